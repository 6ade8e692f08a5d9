"""Stiffness of a Kosterlitz-Thouless transition: the XY model, planted flows, and no transition.

    python benchmarks/stiffness_marks.py [--replicates 100]

The XY model is sampled here (a few minutes on one core).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from heatcap.resampling import readable
from heatcap.scaling import Points, points
from heatcap.scaling.jump import Stiffness, stiffness

from machine import cpu_name, print_tables, progress, said

Floats = NDArray[np.float64]

# Hasenbusch, J. Phys. A 38 (2005) 5869: quoted by others; Hsieh, Kao and Sandvik, J. Stat. Mech.
# (2013) P09001, find 0.8935(1).
T_XY, ERROR_XY = 0.89294, 0.00008
T_PLANTED = 0.9
SIZES = (8, 12, 16, 24, 32, 64)
TEMPERATURES = np.linspace(0.85, 0.95, 11)


def flowing(sizes: Sequence[int], temperatures: Floats, *, b: float = 1.5) -> Floats:
    """v of the Kosterlitz flow (temperature, size): SciPy's own integrator, tight tolerances.

    At L = 6 v = 0.4 and u = u_c at T = 0.9; both depend on 1 / T, u as a fugacity does.
    """
    inverse = 1 / temperatures - 1 / T_PLANTED
    start = 0.4
    critical = np.sqrt(2 * (start / b - np.log(1 + b * start) / b**2)) if b else start
    logs = np.log(np.asarray(sizes, dtype=float))
    out = []
    for shift in inverse:
        first = [start + 4.4 * shift, critical * np.exp(-4.5 * shift)]
        done = solve_ivp(
            lambda _, s: [-(s[1] ** 2) * (1 + b * s[0]), -s[1] * s[0]],
            (np.log(6.0), logs[-1]), first, t_eval=logs, rtol=1e-10, atol=1e-12,
        )  # fmt: skip
        out.append(done.y[0])
    return np.array(out)


def planted(
    rng: np.random.Generator,
    noise: float = 0.003,
    *,
    jump: float = 1.0,
    correction: float = 0.0,
    b: float = 1.5,
    sizes: Sequence[int] = SIZES,
    temperatures: Floats = TEMPERATURES,
) -> Points:
    """Upsilon = (2 T / pi) J (1 + v / 2 + correction / L^2) with absolute noise."""
    v = flowing(sizes, temperatures, b=b)
    size = np.tile(np.array(sizes, dtype=float), len(temperatures))
    control = np.repeat(temperatures, len(sizes))
    exact = 2 * control / np.pi * jump * (1 + v.ravel() / 2 + correction / size**2)
    return points(
        size, control, exact + noise * rng.normal(size=size.size), np.full(size.size, noise)
    )


def without_a_jump(rng: np.random.Generator, kind: str, noise: float = 0.003) -> Points:
    """Stiffness-like data without a Kosterlitz-Thouless transition."""
    size = np.tile(np.array(SIZES, dtype=float), len(TEMPERATURES))
    control = np.repeat(TEMPERATURES, len(SIZES))
    t = control - T_PLANTED
    x = -t * 4
    log = np.log(size)
    exact = {
        # Order parameter of a second-order transition, beta/nu = 1/8, nu = 1, at T = 0.9.
        "second order, L^-1/8": size**-0.125 * (np.tanh(x * size / 4) + 1.2) * 0.55,
        # Three dimensions: Upsilon = f(t L^1.5) / L.
        "second order, L^-1": 5 / size * np.logaddexp(0, x * size**1.5 / 4 + 1),
        # Continuous in T and the same for all large sizes: a crossover.
        "smooth crossover": 0.57 - 2 * t + 0.6 / size,
        # Vanishes in a smooth way, exponentially in L / xi: no order at any temperature.
        "vanishing": 0.9 * np.exp(-(0.15 + 3 * (t + 0.05)) * (log - 1.5)),
        "noise": np.zeros(size.size),
        "constant": np.full(size.size, 0.57),
    }[kind]
    return points(
        size, control, exact + noise * rng.normal(size=size.size), np.full(size.size, noise)
    )


KINDS = (
    "second order, L^-1/8", "second order, L^-1", "smooth crossover", "vanishing", "noise",
    "constant",
)  # fmt: skip


def xy_points() -> Points:
    """Helicity modulus of the XY model, L = 8 to 64, T = 0.84 to 0.96."""
    from heatcap.systems import XY

    columns: list[list[float]] = [[], [], [], []]
    grid = np.linspace(0.84, 0.96, 13).round(4)
    for size, sweeps in ((8, 4000), (12, 4000), (16, 4000), (24, 3000), (32, 2500), (48, 1500),
                         (64, 1200)):  # fmt: skip
        table = XY().sample([size], grid, replicates=16, sweeps=sweeps, rng=100 + size)
        names = ("size", "control", "helicity_modulus", "helicity_modulus_error")
        for column, name in zip(columns, names, strict=True):
            column.extend(table[name].to_numpy().tolist())
        said(f"XY {size}")
    return points(*columns, name="helicity_modulus")


def xy_table() -> str:
    began = time.perf_counter()
    data = xy_points()
    sampled = time.perf_counter() - began
    lines = [
        "| sizes | jump | T_KT | off by (errors) | J | off by (errors) | chi²/dof | status | s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    subsets = {
        "8 to 64": data,
        "8 to 32": data.take(data.size <= 32),
        "8, 16, 32, 64": data.take(np.isin(data.size, [8, 16, 32, 64])),
        "16 to 64": data.take(data.size >= 16),
    }
    for name, part in subsets.items():
        for free in (False, True):
            found = stiffness(part, free_jump=free)
            t, j = found.t_kt, found.jump
            lines.append(
                f"| {name} | {'free' if free else 'universal'} | {readable(t.value, t.error)} "
                f"| {(t.value - T_XY) / np.hypot(t.error, ERROR_XY):+.1f} "
                f"| {readable(j.value, j.error)} | {(j.value - 1) / j.error:+.1f} "
                f"| {found.chi2:.0f}/{found.dof} | {found.status} | {found.seconds:.1f} |"
            )
    return "\n".join(lines) + f"\n\nSampling took {sampled:.0f} s on one core.\n"


def coverage_table(replicates: int) -> str:
    lines = [
        "| planted | parameter | statistical 68 % | statistical 95 % | total 68 % | total 95 % "
        "| median error | ok |",
        "|---|---|---|---|---|---|---|---|",
    ]
    cases: dict[str, dict[str, Any]] = {
        "next order, 0.002": {"noise": 0.002},
        "next order, 0.005": {"noise": 0.005},
        "next order, 0.003, 0.5 / L²": {"correction": 0.5},
        "leading order, 0.003": {"b": 0.0},
    }
    for name, options in cases.items():
        rng = np.random.default_rng(1)
        found = [stiffness(planted(rng, **options)) for _ in progress(name, replicates)]
        lines += [
            f"| {name} | {parameter} | {covered(found, parameter, truth)} "
            f"| {np.mean([f.ok for f in found]):.2f} |"
            for parameter, truth in (("t_kt", T_PLANTED), ("jump", 1.0))
        ]
    return "\n".join(lines) + "\n"


def covered(found: Sequence[Stiffness], parameter: str, truth: float) -> str:
    """Cells of a row: shares of statistical and total intervals that hold the truth."""
    every = [getattr(f, parameter) for f in found if np.isfinite(f.t_kt.value)]
    off = np.array([abs(p.value - truth) for p in every])
    errors = [np.array([getattr(p, kind) for p in every]) for kind in ("statistical", "error")]
    shares = [np.mean(off < q * error) for error in errors for q in (1, 1.96)]
    cells = [f"{share:.2f}" for share in shares] + [f"{np.median(errors[1]):.2g}"]
    return " | ".join(cells)


def status_table(replicates: int) -> str:
    lines = ["| data | ok | statuses |", "|---|---|---|"]
    rng = np.random.default_rng(2)
    made = {kind: [without_a_jump(rng, kind) for _ in range(replicates)] for kind in KINDS}
    made["jump 1.3 planted"] = [planted(rng, jump=1.3) for _ in range(replicates)]
    made["jump 0.7 planted"] = [planted(rng, jump=0.7) for _ in range(replicates)]
    for name, data in made.items():
        found = [stiffness(data[k]).status for k in progress(name, replicates)]
        said_by = ", ".join(f"{s} {found.count(s)}" for s in sorted(set(found)))
        lines.append(f"| {name} | {found.count('ok')} of {replicates} | {said_by} |")
    return "\n".join(lines) + "\n"


def tables(replicates: int) -> Iterator[str]:
    """All tables in Markdown."""
    yield f"{cpu_name()}, numpy {np.__version__}.\n"
    yield f"### XY model (T_KT = {T_XY}, J = 1)\n\n" + xy_table()
    yield f"### Coverage on planted flows ({replicates} a row)\n\n" + coverage_table(replicates)
    few = max(replicates // 5, 5)
    yield "### Data without a jump, or with another one\n\n" + status_table(few)


if __name__ == "__main__":
    print_tables(tables, __doc__, 100)
