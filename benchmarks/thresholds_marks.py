"""Thresholds from counts: coverage of positions, widths and limits on planted curves.

    python benchmarks/thresholds_marks.py [--replicates 100]

Curves of five sizes, P = F((x - x*(L)) / w(L)), F normal or not, x* and w by powers of L; trials
independent or in clusters of four.  In the drawn rows, exponent, amplitude of the shift and the
corrections of shift and width are drawn anew for each table from what `power_law` expects
beforehand; in the others they are fixed, and covered more often than the nominal share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from heatcap.scaling import Parameter, thresholds

from machine import cpu_name, print_tables, progress

Floats = NDArray[np.float64]

X_C = 1.0
SIZES = (16.0, 32.0, 64.0, 128.0, 256.0)
FOUR = 4  # trials of a cluster

#: P as a function of (x - x*) / w; every one has the level one half at 0.
KINDS: dict[str, Callable[[Floats], Floats]] = {
    "normal": lambda z: np.asarray(norm.cdf(z)),
    "logistic": lambda z: np.asarray(1 / (1 + np.exp(-1.6 * z))),
    "Gumbel": lambda z: np.asarray(1 - np.exp(-np.log(2) * np.exp(z))),
    "Cauchy": lambda z: np.asarray(0.5 + np.arctan(1.5 * z) / np.pi),
}


@dataclass(frozen=True)
class Planted:
    """Rows of counts, and the answers."""

    columns: tuple[Floats, Floats, Floats, Floats]  # size, control, successes, trials
    cluster: NDArray[np.intp]
    position: Floats
    width: Floats  # half the distance between P = 16 and 84 %
    inverse_nu: float
    x_c: float = X_C


def planted(
    rng: np.random.Generator,
    kind: str = "normal",
    *,
    inverse_nu: float = 0.5,
    shift: float = 0.3,
    omega: float | None = None,
    trials: int = 200,
    overlap: float = 0.0,
    drawn: bool = False,
    sizes: Sequence[float] = SIZES,
    controls: int = 9,
) -> Planted:
    """Counts of k out of n at nine controls within 2.2 widths of the threshold of each size.

    `omega` is that of a correction of 0.3 at the smallest size, `overlap` the correlation of two
    trials of a cluster (beta-binomial).  With `drawn`, 1/nu is uniform in its logarithm from 0.25
    to 4, the shift 0.3 to 1.5 widths to either side, and corrections of shift and width are
    b u^-omega + c u^(-2 omega), b and c 0 +- 0.3, omega from 0.2 to 4.
    """
    curve, far = KINDS[kind], np.linspace(-2.2, 2.2, controls)
    u = np.asarray(sizes) / sizes[0]
    if drawn:
        inverse_nu = float(np.exp(rng.uniform(np.log(0.25), np.log(4))))
        shift = rng.choice([-1, 1]) * rng.uniform(0.3, 1.5)
    power = np.asarray(sizes) ** -inverse_nu
    width = power * (1 + _corrections(u, rng)) if drawn else power
    moved = 0.3 * u**-omega if omega else 0.0 * u
    moved = _corrections(u, rng) if drawn else moved
    position = X_C + shift * power * (1 + moved)
    x = (position if drawn else X_C + shift * power)[:, None] + width[:, None] * far
    p = curve((x - position[:, None]) / width[:, None])
    size = np.broadcast_to(np.asarray(sizes)[:, None], x.shape)
    low, high = (
        brentq(lambda z, q=q: float(curve(np.array([z]))[0]) - norm.cdf(q), -9, 9) for q in (-1, 1)
    )
    if not overlap:
        k, n = rng.binomial(trials, p), np.full(x.size, trials)
    else:
        alike = (1 - overlap) / overlap
        p = np.repeat(p.ravel(), trials // FOUR)
        own = rng.beta(np.maximum(p * alike, 1e-9), np.maximum((1 - p) * alike, 1e-9))
        k, n = rng.binomial(FOUR, own), np.full(p.size, FOUR)
        size, x = (np.repeat(a.ravel(), trials // FOUR) for a in (size, x))
    columns = tuple(np.asarray(a, dtype=np.float64).ravel() for a in (size, x, k, n))
    return Planted(
        columns, np.arange(columns[0].size), position, width * (high - low) / 2, inverse_nu
    )  # type: ignore[arg-type]


def _corrections(u: Floats, rng: np.random.Generator) -> Floats:
    decline = u ** -np.exp(rng.uniform(np.log(0.2), np.log(4)))
    return np.asarray(rng.normal(0, 0.3) * decline + rng.normal(0, 0.3) * decline**2)


def hits(pairs: Sequence[tuple[Parameter, float]]) -> str:
    """Share of intervals of 68 and 95 % that hold the truth, in percent."""
    if not pairs:
        return "– | –"
    inner = [abs(p.value - truth) < p.error for p, truth in pairs]
    outer = [p.ci95[0] < truth < p.ci95[1] for p, truth in pairs]
    return f"{100 * np.mean(inner):.0f} | {100 * np.mean(outer):.0f}"


ROWS: dict[str, dict[str, Any]] = {
    "normal, all drawn": {"drawn": True},
    "logistic, all drawn": {"kind": "logistic", "drawn": True},
    "normal": {},
    "logistic": {"kind": "logistic"},
    "Gumbel": {"kind": "Gumbel"},
    "Gumbel, 1000 trials": {"kind": "Gumbel", "trials": 1000},
    "Cauchy": {"kind": "Cauchy"},
    "normal, ω = ½": {"omega": 0.5},
    "normal, 1/ν = 1": {"inverse_nu": 1.0, "shift": 1.0},
    "clusters, named": {"overlap": 0.5, "named": True},
    "clusters, rows": {"overlap": 0.5},
    "clusters, summed": {"overlap": 0.5, "summed": True},
}


def tables(replicates: int) -> Iterator[str]:
    """All tables in Markdown."""
    began = time.process_time()
    lines = [
        f"### Coverage on planted counts ({replicates} tables a row)\n",
        "| truth | position 68 | 95 | width 68 | 95 | x_c, exponent given, 68 | 95 | x_c, exponent"
        " free, 68 | 95 | 1/ν of widths 68 | 95 | ok |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(name, options, replicates) for name, options in ROWS.items()]
    seconds = time.process_time() - began
    yield "\n".join(lines) + (
        f"\n\n{cpu_name()}, numpy {np.__version__}: {seconds:.0f} s on one core.\n"
    )


def _row(name: str, options: dict[str, Any], replicates: int) -> str:
    options = dict(options)
    named, summed = options.pop("named", False), options.pop("summed", False)
    position, width, free, held, nu = ([] for _ in range(5))  # type: ignore[var-annotated]
    good = 0
    for seed in progress(name, replicates):
        data = planted(np.random.default_rng(seed), **options)
        columns = _summed(data.columns) if summed else data.columns
        found = thresholds(*columns, cluster=data.cluster if named else None)
        given = found.extrapolated(inverse_nu=data.inverse_nu)
        good += found.ok
        for row, at, wide in zip(found.rows, data.position, data.width, strict=True):
            if row.position is not None and row.width is not None:
                position.append((row.position, at))
                width.append((row.width, wide))
        free += [(found.x_c, X_C)] if found.x_c else []
        held += [(given.x_c, X_C)] if given.x_c else []
        nu += [(found.inverse_nu, data.inverse_nu)] if found.inverse_nu else []
    shares = " | ".join(map(hits, (position, width, held, free, nu)))
    return f"| {name} | {shares} | {100 * good / replicates:.0f} % |"


def _summed(columns: Sequence[Floats]) -> list[Floats]:
    size, x, k, n = columns
    cells, where = np.unique(np.column_stack([size, x]), axis=0, return_inverse=True)
    sums = [np.bincount(where.ravel(), weights=v) for v in (k, n)]
    return [*cells.T, *sums]


if __name__ == "__main__":
    print_tables(tables, __doc__, 100)
