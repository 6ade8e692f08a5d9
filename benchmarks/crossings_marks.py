"""Coverage of extrapolated crossings on planted Binder curves whose drift is known.

python benchmarks/crossings_marks.py [--replicates 200]
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from heatcap.scaling import Points, crossings, points, read_table
from heatcap.systems import Planted

from machine import cpu_name, print_tables

SIZES = {6: (8, 16, 32, 64, 128, 256), 4: (8, 16, 32, 64)}
DRIFTS = {2.0: (1.0, 1.0, 0.6), 1.2: (0.6, 0.6, 0.4)}  # w = 1/nu + omega: 1/nu, omega, b


def planted(sizes: Sequence[int], noise: float, drift: float, seed: int) -> Points:
    """Fifteen points per size, within a range that narrows with the size."""
    inverse_nu, omega, b = DRIFTS[drift]
    system = Planted(inverse_nu=inverse_nu, omega=omega, correction=b, noise=noise)
    table = system.sample(
        list(sizes), lambda size: system.grid(size, width=2.0, count=15), rng=seed
    )
    return read_table(table, size="size", control="control", value="value", error="value_error")


def coverage_table(replicates: int) -> str:
    lines = [
        "| drift w | sizes | noise | 68 % statistical | 68 % total | 95 % total | median error "
        "| rms deviation | w determined | ok |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for drift in DRIFTS:
        for count, sizes in SIZES.items():
            for noise in (0.001, 0.005, 0.02):
                rows = []
                for seed in range(replicates):
                    found = crossings(planted(sizes, noise, drift, seed), rng=seed, draws=300)
                    x_c = found.x_c
                    known = found.drift_exponent is not None
                    rows.append((x_c.value - 1, x_c.statistical, x_c.error, known, found.ok))
                off, statistical, total, known_, ok = np.array(rows, dtype=float).T
                shares = [
                    np.mean(np.abs(off) < statistical),
                    np.mean(np.abs(off) < total),
                    np.mean(np.abs(off) < 1.96 * total),
                ]
                said = " | ".join(f"{share:.2f}" for share in shares)
                lines.append(
                    f"| {drift} | {count} | {noise:.1%} | {said} | {np.median(total):.1e} "
                    f"| {np.sqrt(np.mean(off**2)):.1e} | {known_.mean():.2f} | {ok.mean():.2f} |"
                )
                print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines) + "\n"


def wide(sizes: Sequence[int], given: str, count: int, rng: np.random.Generator) -> Points:
    """U = 0.6 - 0.3 tanh X + 0.2 / (L cosh^2 X), X = (x - 1) L, noise 0.003; most of it is flat."""
    size, control = np.repeat(np.array(sizes, dtype=float), count), np.linspace(0.8, 1.2, count)
    control = np.tile(control, len(sizes))
    z = (control - 1) * size
    value = 0.6 - 0.3 * np.tanh(z) + 0.2 / size / np.cosh(z) ** 2
    if given == "6 runs":
        runs = value + 0.003 * rng.normal(size=(6, size.size))
        rows = {"L": np.tile(size, 6), "T": np.tile(control, 6), "U": runs.ravel()}
        return read_table(pd.DataFrame(rows), size="L", control="T", value="U")
    value = value + 0.003 * rng.normal(size=size.size)
    error = np.full(size.size, 0.003) if given == "errors" else None
    return points(size, control, value, error)


def wide_table(replicates: int) -> str:
    """Statuses where the ends of the range are flat, and curves cross there in noise."""
    lines = [
        "| given | sizes | points of a size | ok | drift not tested | multiple crossings "
        "| other | within 1 error | within 2 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for given in ("errors", "6 runs", "no errors"):
        for sizes in ((8, 16, 32, 64), (8, 12, 16, 24, 32, 48)):
            for count in (9, 31):
                found = [
                    crossings(wide(sizes, given, count, np.random.default_rng(seed)), draws=300)
                    for seed in range(replicates)
                ]
                counts = Counter(str(c.status) for c in found)
                said = [counts.pop(s, 0) for s in ("ok", "drift not tested", "multiple crossings")]
                shares = [n / replicates for n in (*said, sum(counts.values()))]
                off = np.array([abs(c.x_c.value - 1) / c.x_c.error for c in found])
                shares += [np.mean(off < 1), np.mean(off < 2)]
                row = " | ".join(f"{share:.2f}" for share in shares)
                lines.append(f"| {given} | {len(sizes)} | {count} | {row} |")
                print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines) + "\n"


def tables(replicates: int) -> Iterator[str]:
    """All tables in Markdown."""
    yield f"{cpu_name()}, numpy {np.__version__}.\n"
    yield f"### x_c from crossings ({replicates} tables a row)\n\n" + coverage_table(replicates)
    yield f"### Ranges with flat ends ({replicates} tables a row)\n\n" + wide_table(replicates)


if __name__ == "__main__":
    print_tables(tables, __doc__, 200)
