"""Collapse on data whose answer is known: published ones, where they are at hand, and planted ones.

    python benchmarks/collapse_marks.py [--published FOLDER] [--replicates 200]

FOLDER holds `ising2d_square` and `bond_percolation` (docs/verification.md says where they come
from); without it those rows are skipped.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatcap.scaling import Collapse, Points, collapse, points, read_table

from machine import cpu_name, print_tables, progress, said

Floats = NDArray[np.float64]

PUBLISHED = Path(
    os.environ.get("HEATCAP_PUBLISHED", Path(__file__).parents[2] / "shared" / "published")
)
TRUTH = {"x_c": 1.0, "inverse_nu": 0.8, "exponent": -0.25}


def ising(observable: str) -> Points:
    path = PUBLISHED / "ising2d_square" / f"ising-square-{observable}.dat"
    columns = {"size": "L", "control": "K", "value": observable, "error": "error"}
    return read_table(path, **columns, names=["L", "K", observable, "error"])


def percolation(observable: str) -> Points:
    """Means with their one-sigma intervals; points without an error are left out."""
    import h5py

    columns: list[list[float]] = [[], [], [], []]
    with h5py.File(PUBLISHED / "bond_percolation" / "bond-percolation-2d.h5") as file:
        for size in sorted(file, key=int):
            rows = file[size][:]
            interval = rows[f"percolation_{observable}_ci"]
            error = (interval[:, 1] - interval[:, 0]) / 2
            kept = error > 0
            for column, values in zip(
                columns,
                (
                    np.full(kept.sum(), int(size)),
                    rows["p"][kept],
                    rows[f"percolation_{observable}_mean"][kept],
                    error[kept],
                ),
                strict=True,
            ):
                column.extend(values.tolist())
    return points(*columns, name=observable)


def planted(
    rng: np.random.Generator,
    noise: float,
    correction: float,
    sizes: tuple[int, ...] = (16, 32, 64, 128),
    n: int = 25,
) -> Points:
    """A = L^-1/4 (tanh X + 1.5)(1 + b / L), X = (x - 1) L^0.8; grids differ between sizes."""
    size = np.repeat(np.array(sizes, dtype=float), n)
    shift = rng.uniform(-0.004, 0.004, len(sizes))
    control = np.concatenate([np.linspace(0.9, 1.1, n) + s for s in shift])
    value = size**-0.25 * (np.tanh((control - 1) * size**0.8) + 1.5) * (1 + correction / size)
    error = noise * size**-0.25
    return points(size, control, value + error * rng.normal(size=size.size), error)


def published_table() -> str:
    if not PUBLISHED.is_dir():
        return f"Skipped: no folder {PUBLISHED.name} (set HEATCAP_PUBLISHED).\n"
    ising_truth = {"x_c": 0.4406868, "inverse_nu": 1.0, "exponent": -0.125, "exponent_M": -0.125}
    bonds = {"x_c": 0.5, "inverse_nu": 0.75, "exponent_strength": -5 / 48}
    cases: list[tuple[str, list[Points], dict[str, float], dict[str, float]]] = [
        ("Ising B, exponent fixed at 0", [ising("B")], {"exponent": 0}, ising_truth),
        ("Ising M alone, whole file", [ising("M")], {}, ising_truth),
        ("Ising B and M together", [ising("B"), ising("M")], {"exponent_B": 0}, ising_truth),
        (
            "bond percolation, probability and strength",
            [percolation("probability"), percolation("strength")],
            {"exponent_probability": 0},
            bonds,
        ),
    ]
    lines = [
        "| data | parameter | found | exact | off by (errors) | chi²/dof | status | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, parts, fixed, truth in cases:
        said(name)
        found = collapse(parts, fixed=fixed)
        lines += _rows(name, found, fixed, truth)
    return "\n".join(lines) + "\n"


def _rows(
    name: str, found: Collapse, fixed: dict[str, float], truth: dict[str, float]
) -> Iterator[str]:
    from heatcap.resampling import readable

    for parameter, p in found.parameters.items():
        if parameter in truth and parameter not in fixed:
            off = (p.value - truth[parameter]) / p.error
            yield (
                f"| {name} | {parameter} | {readable(p.value, p.error)} | {truth[parameter]:.7g} "
                f"| {off:+.1f} | {found.chi2:.0f}/{found.dof} | {found.status} "
                f"| {found.seconds:.1f} |"
            )


def basin_table(starts: int) -> str:
    """The same optimum from every seed of the search and from every user-given start?"""
    rng = np.random.default_rng(0)
    data = ising("B") if PUBLISHED.is_dir() else planted(rng, 0.005, 0.0)
    fixed = {"exponent": 0.0} if PUBLISHED.is_dir() else {}
    reference = collapse(data, fixed=fixed)

    def same(other: Collapse) -> bool:
        pairs = zip(reference.parameters.values(), other.parameters.values(), strict=True)
        return all(abs(a.value - b.value) <= 0.1 * a.error + 1e-12 for a, b in pairs)

    low, high = data.control.min(), data.control.max()
    seeds = sum(same(collapse(data, fixed=fixed, rng=seed)) for seed in progress("seeds", starts))
    given = 0
    for _ in progress("starts", starts):
        start = {"x_c": rng.uniform(low, high), "inverse_nu": rng.uniform(0.5, 2)}
        given += same(collapse(data, fixed=fixed, start=start))
    return (
        "| 60 starts | at the same optimum |\n|---|---|\n"
        f"| random seeds of the search | {seeds} of {starts} |\n"
        f"| random starts given by the user | {given} of {starts} |\n"
    ).replace("60 starts", f"{starts} starts")


def step(z: Floats) -> Floats:
    return 0.61 / (1 + 0.9 * np.exp(-1.7 * z))


OTHER: dict[str, tuple[Callable[[Floats, Floats], Floats], float | None]] = {
    "none": (lambda z, _: step(z), None),
    "f(X + L^-0.8)": (lambda z, size: step(z + size**-0.8), None),
    "f(X) + 0.4 L^-0.8 / (1 + (X - 1)^2)": (
        lambda z, size: step(z) + 0.4 * size**-0.8 / (1 + (z - 1) ** 2),
        None,
    ),
    "L^-0.5 [ln(1 + e^X) + 0.8 L^-0.8 / (1 + e^-X)]": (
        lambda z, size: (np.log1p(np.exp(z)) + 0.8 * size**-0.8 / (1 + np.exp(-z))) / size**0.5,
        -0.5,
    ),
}


def other_table(replicates: int) -> str:
    """Corrections of a form that the fit does not have; sizes 8 to 64, x_c = 1, nu = 1."""
    lines = [
        "| correction | parameter | total 68 % | total 95 % | rms of deviation / error | ok |",
        "|---|---|---|---|---|---|",
    ]
    size, z = np.repeat([8.0, 16, 32, 64], 21), np.tile(np.linspace(-2, 2, 21), 4)
    for name, (curve, exponent) in OTHER.items():
        value = curve(z, size)
        error = np.full(84, 0.002) if exponent is None else 0.003 * value
        found = []
        for seed in progress(f"other corrections: {name}", replicates):
            noise = error * np.random.default_rng(seed).normal(size=84)
            fixed = {"exponent": 0.0} if exponent is None else {}
            found.append(collapse(points(size, 1 + z / size, value + noise, error), fixed=fixed))
        truth = {"x_c": 1.0, "inverse_nu": 1.0}
        for parameter, exact in (truth | ({"exponent": exponent} if exponent else {})).items():
            given = [c.parameters[parameter] for c in found]
            off = np.array([(p.value - exact) / p.error for p in given])
            shares = [np.mean(np.abs(off) < q) for q in (1, 1.96)]
            lines.append(
                f"| {name} | {parameter} | {shares[0]:.2f} | {shares[1]:.2f} "
                f"| {np.sqrt(np.mean(off**2)):.2f} | {np.mean([c.ok for c in found]):.2f} |"
            )
    return "\n".join(lines) + "\n"


def coverage_table(replicates: int) -> str:
    lines = [
        "| noise | correction b/L | parameter | statistical 68 % | statistical 95 % | total 68 % "
        "| total 95 % | ok |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for noise in (0.002, 0.005, 0.02):
        for correction in (0.0, 0.5):
            rng = np.random.default_rng(1)
            found = [
                collapse(planted(rng, noise, correction))
                for _ in progress(f"coverage {noise} {correction}", replicates)
            ]
            done = [c for c in found if c.parameters]
            for name, truth in TRUTH.items():
                z = np.array(
                    [
                        [
                            (c.parameters[name].value - truth) / c.parameters[name].statistical,
                            (c.parameters[name].value - truth) / c.parameters[name].error,
                        ]
                        for c in done
                    ]
                )
                cells = [np.mean(np.abs(z[:, k]) < q) for k in (0, 1) for q in (1, 1.96)]
                shares = " | ".join(f"{share:.2f}" for share in cells)
                ok = np.mean([c.ok for c in found])
                lines.append(f"| {noise:.1%} | {correction:g} | {name} | {shares} | {ok:.2f} |")
    return "\n".join(lines) + "\n"


def stretched(
    rng: np.random.Generator,
    noise: float,
    stretch: Callable[[Floats], Floats],
    height: Callable[[Floats], Floats] = lambda size: size**-0.25,
    runs: int | None = None,
) -> tuple[Floats, Floats, Floats, Floats]:
    """A = K(L) (tanh X + 1.5), X = (x - 1) S(L): columns, with errors known or from some runs."""
    size = np.repeat([16.0, 32, 64, 128], 21)
    wide, factor = stretch(size), height(size)
    control = 1 + (np.tile(np.linspace(-2.4, 2.4, 21), 4) + rng.uniform(-0.1, 0.1)) / wide
    value, error = factor * (np.tanh((control - 1) * wide) + 1.5), noise * factor
    if runs is None:
        return size, control, value + error * rng.normal(size=84), error
    each = value + error * np.sqrt(runs) * rng.normal(size=(runs, 84))
    return size, control, each.mean(axis=0), each.std(axis=0, ddof=1) / np.sqrt(runs)


def cut_off(length: float, m: float = 2.0) -> Callable[[Floats], Floats]:
    return lambda size: size**0.8 * (1 + (size / length) ** m) ** (-0.8 / m)


TRUTHS: dict[str, tuple[float, Callable[[Floats], Floats], Callable[[Floats], Floats], float]] = {
    "pure power": (0.8, lambda size: size**0.8, lambda size: size**-0.25, -0.25),
    "cut off at L_max": (0.8, cut_off(128), lambda size: size**-0.25, -0.25),
    "cut off at L_max, m = 1": (0.8, cut_off(128, 1), lambda size: size**-0.25, -0.25),
    "cut off at L_max, m = 4": (0.8, cut_off(128, 4), lambda size: size**-0.25, -0.25),
    "cut off at 2 L_max": (0.8, cut_off(256), lambda size: size**-0.25, -0.25),
    "cut off at 10 L_max": (0.8, cut_off(1280), lambda size: size**-0.25, -0.25),
    "4-state Potts: X = t L^1.5 (ln L)^-0.75": (
        1.5,
        lambda size: size**1.5 * np.log(size) ** -0.75,
        lambda size: size**1.75 * np.log(size) ** -0.125,
        1.75,
    ),
    "X = t L^1.5 (ln L)^-1.5": (
        1.5,
        lambda size: size**1.5 * np.log(size) ** -1.5,
        lambda size: size**-0.25,
        -0.25,
    ),
    "X = t L^0.8 (ln L)^0.5": (
        0.8,
        lambda size: size**0.8 * np.log(size) ** 0.5,
        lambda size: size**-0.25,
        -0.25,
    ),
    "A = L^-0.25 (ln L)^0.5 f(X)": (
        0.8,
        lambda size: size**0.8,
        lambda size: size**-0.25 * np.log(size) ** 0.5,
        -0.25,
    ),
}
LENGTHS = {"L_max": 128.0, "2 L_max": 256.0, "10 L_max": 1280.0}


def competitors_table(replicates: int) -> str:
    """What is said of pure powers and of what is none; coverage where it is ok."""
    lines = [
        "| truth | noise | ok | crossover | logarithms | other status | 1/ν 95 %, if ok | of the "
        "exponent | limit of the length below it |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (inverse_nu, stretch, height, exponent) in TRUTHS.items():
        length = next((v for k, v in LENGTHS.items() if f"at {k}" in name), None)
        for noise in (0.002, 0.005, 0.02):
            found = [
                collapse(points(*stretched(np.random.default_rng(seed), noise, stretch, height)))
                for seed in progress(f"competitors: {name}", replicates)
            ]
            counts = Counter(c.status.split(" not ")[0] for c in found)
            kinds = [counts.pop(kind, 0) for kind in ("ok", "crossover", "logarithms")]
            shares = " | ".join(f"{n / replicates:.2f}" for n in (*kinds, sum(counts.values())))
            ok = [c for c in found if c.ok]
            truth = {"inverse_nu": inverse_nu, "exponent": exponent}
            held = " | ".join(_kept(ok, k, v) for k, v in truth.items())
            limits = [c.crossover_length_lower_limit95 for c in found]
            known = [x for x in limits if x is not None]
            below = f"{np.mean([x <= length for x in known]):.2f}" if length and known else "–"
            lines.append(f"| {name} | {noise:.1%} | {shares} | {held} | {below} |")
    return "\n".join(lines) + "\n"


def _kept(found: list[Collapse], name: str, truth: float) -> str:
    if not found:
        return "–"
    ends = [c.parameters[name].ci95 for c in found]
    return f"{np.mean([low <= truth <= high for low, high in ends]):.2f}"


def runs_table(replicates: int) -> str:
    """Errors from a few runs a point, told (`runs=`) and not; logarithms excluded."""
    lines = [
        "| runs | told | parameter | total 95 % | rms of deviation / error | ok |",
        "|---|---|---|---|---|---|",
    ]
    truth = {"x_c": 1.0, "inverse_nu": 0.8, "exponent": -0.25}
    for runs in (3, 4, 5):
        for told in (None, runs):
            found = []
            for seed in progress(f"errors of {runs} runs", replicates):
                rng = np.random.default_rng(seed)
                rows = stretched(rng, 0.005, lambda size: size**0.8, runs=runs)
                found.append(collapse(points(*rows, runs=told), excluded=["logarithms"]))
            for name, exact in truth.items():
                given = [c.parameters[name] for c in found]
                off = np.array([(p.value - exact) / p.error for p in given])
                lines.append(
                    f"| {runs} | {'yes' if told else 'no'} | {name} "
                    f"| {np.mean(np.abs(off) < 1.96):.2f} | {np.sqrt(np.mean(off**2)):.2f} "
                    f"| {np.mean([c.ok for c in found]):.2f} |"
                )
    return "\n".join(lines) + "\n"


def lattice(curve: Callable[[Floats, Floats], Floats], seed: int) -> Points:
    """A curve of control and size on four sizes, one grid, with noise of 0.01."""
    size, control = np.repeat([16.0, 32, 64, 128], 15), np.tile(np.linspace(0.9, 1.1, 15), 4)
    noise = 0.01 * np.random.default_rng(seed).normal(size=60)
    return points(size, control, curve(control, size) + noise, np.full(60, 0.01))


def scales(seed: int, noise: float = 0.005, sizes: tuple[int, ...] = (16, 32, 64, 128)) -> Points:
    return planted(np.random.default_rng(seed), noise, 0.0, sizes)


def unrelated(x: Floats, size: Floats) -> Floats:
    return np.where(size < 50, np.sin(20 * x), np.exp(3 * x))


WRONG: dict[str, tuple[Callable[[int], Points], dict[str, Any]]] = {
    "noise": (lambda s: lattice(lambda x, _: 0 * x, s), {}),
    "noise, exponent fixed at 0": (
        lambda s: lattice(lambda x, _: 0 * x + 1, s),
        {"fixed": {"exponent": 0}},
    ),
    "two unrelated curves": (lambda s: lattice(unrelated, s), {}),
    "two unrelated curves, exponent fixed at 0": (
        lambda s: lattice(unrelated, s),
        {"fixed": {"exponent": 0}},
    ),
    "one curve for all sizes": (lambda s: lattice(lambda x, _: np.tanh(10 * (x - 1)), s), {}),
    "a straight line for all sizes": (lambda s: lattice(lambda x, _: x, s), {}),
    "an offset for each size": (
        lambda s: lattice(lambda x, size: np.tanh(10 * (x - 1)) + np.log(size) * x**2, s),
        {},
    ),
    "second order, exponent fixed wrongly at 0": (scales, {"fixed": {"exponent": 0}}),
    "second order, fitted as first order": (scales, {"ansatz": "first-order"}),
    "second order, fitted as Kosterlitz-Thouless": (
        lambda s: scales(s, 0.002, (8, 16, 32, 64, 128)),
        {"ansatz": "kosterlitz-thouless"},
    ),
    "one size": (lambda s: scales(s, sizes=(16,)), {}),
    "two points": (lambda s: scales(s).take(np.array([10, 40])), {}),
}


def wrong_table(replicates: int) -> str:
    lines = ["| data | status, and how often |", "|---|---|"]
    for name, (make, options) in WRONG.items():
        found = [
            collapse(make(seed), **options).status
            for seed in progress(f"wrong: {name}", replicates)
        ]
        counts = ", ".join(f"{status} {n}" for status, n in Counter(found).most_common())
        lines.append(f"| {name} | {counts} |")
    return "\n".join(lines) + "\n"


BACKGROUNDS = ("none", "analytic", "field", "second transition", "saturation", "drift")


def windowed(rng: np.random.Generator, background: str) -> tuple[Points, dict[str, float]]:
    """A = L^e f(X) and what does not scale; windows reach |X| = 2.5 to 8 at the smallest size.

    Everything is drawn at random: x_c, 1/nu, e, 4 or 5 sizes up to 128, 16 to 32 points a size,
    half of them in the inner quarter, noise of 0.3 to 1 %.  In the whole window t = -1 to 1 (at the
    farther end) the background is 0.2 to 1 of L_min^e; it is smooth and the same for all sizes.
    """
    power, e, x_c = rng.uniform(0.6, 1.6), rng.uniform(-0.4, 0.2), rng.uniform(0.8, 1.2)
    sizes = np.array([8.0, 16, 32, 64, 128])[rng.integers(0, 2) :][: rng.integers(4, 6)]
    n, noise = int(rng.integers(16, 33)), 10 ** rng.uniform(np.log10(0.003), -2)
    low, high = rng.uniform(2.5, 8, 2) / sizes.min() ** power
    u = np.sort(
        np.concatenate([np.linspace(-1, 1, n - n // 2), np.linspace(-0.2618, 0.2537, n // 2)])
    )
    size = np.repeat(sizes, n)
    shift = np.repeat(rng.uniform(-0.2, 0.2, sizes.size) * (low + high) / n, n)
    x = x_c + np.tile(np.where(u < 0, low, high) * u, sizes.size) + shift
    far, unit, steep = max(low, high), sizes.min() ** e, rng.uniform(0.5, 1.5)
    t = (x - x_c) / far
    z, height = (x - x_c) * size**power, size**e
    strength, sign = rng.uniform(0.2, 1), rng.choice([-1, 1])
    value = height * (np.tanh(steep * z) + 1.5)
    if background == "analytic":
        value += sign * strength * unit * t**2
    elif background == "field":
        bent = z * (1 + 0.4 * sign * strength * t)
        value = height * (np.tanh(steep * bent) + 1.5) * (1 + 0.3 * rng.uniform(-1, 1) * t)
    elif background == "second transition":
        side = rng.choice([-low, high]) * rng.uniform(0.6, 0.9)
        other = (x - x_c - side) * np.sign(side) * size ** rng.uniform(0.6, 1.6)
        value += 0.6 * strength * unit * (1 + np.tanh(other))
    elif background == "saturation":
        grown = height * np.logaddexp(0, 2 * steep * z)
        value = grown * (1 + (grown / (4 * strength * sizes.max() ** e + height)) ** 4) ** -0.25
    elif background == "drift":
        value *= 1 + 0.5 * sign * strength * t
    error = noise * np.maximum(np.abs(value), height)
    value = value + error * rng.normal(size=size.size)
    return points(size, x, value, error), {"x_c": x_c, "inverse_nu": power, "exponent": e}


def windows_table(replicates: int) -> str:
    """Status and coverage where most of the range does not scale; other forms are excluded."""
    lines = [
        "| what does not scale | ok | narrowed | poor fit | other | x_c within 1, 2 errors | 1/ν "
        "| exponent | all three, ok and narrowed alone |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for background in BACKGROUNDS:
        counts: Counter[str] = Counter()
        off: dict[str, list[list[float]]] = {"ok": [], "narrowed": []}
        for seed in progress(f"windows: {background}", replicates):
            data, truth = windowed(np.random.default_rng([7, seed]), background)
            found = collapse(data, excluded=["crossover", "logarithms"])
            counts[str(found.status)] += 1
            if found.status in off:
                p = found.parameters
                off[found.status].append([abs(p[k].value - truth[k]) / p[k].error for k in truth])
        shares = [counts.pop(k, 0) / replicates for k in ("ok", "narrowed", "poor fit")]
        cells = [f"{share:.2f}" for share in (*shares, sum(counts.values()) / replicates)]
        z = np.array(off["ok"] + off["narrowed"]).reshape(-1, 3)
        cells += [_within(column) for column in z.T]
        cells.append(" and ".join(_within(np.array(off[k])) for k in off))
        lines.append(f"| {background} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _within(off: Floats) -> str:
    if not off.size:
        return "–"
    return f"{np.mean(off < 1):.2f}, {np.mean(off < 1.96):.2f}"


def first_order_table(replicates: int) -> str:
    """How often a dimensionless quantity, X = (x - 1) L^y on sizes 8 to 32, is "first order"."""
    lines = ["| 1/ν | noise 0.3 % | noise 1 % | noise 3 % |", "|---|---|---|---|"]
    size = np.repeat([8.0, 12, 16, 24, 32], 17)
    x = np.tile(np.linspace(-2, 2, 17), 5)
    for y in (0.5, 0.75, 1.0, 1.2, 1.5, 1.59, 1.8, 2.0, 2.2, 3.0):
        shares = []
        for noise in (0.003, 0.01, 0.03):
            found = []
            for seed in progress(f"first order: 1/nu {y:g}", replicates):
                rng = np.random.default_rng(seed)
                value = 0.5 - 0.4 * np.tanh(0.6 * x) + noise * rng.normal(size=size.size)
                data = points(size, 1 + x / size**y, value, np.full(size.size, noise))
                found.append(collapse(data, fixed={"exponent": 0}).status == "first order")
            shares.append(f"{np.mean(found):.2f}")
        lines.append(f"| {y:g} | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"


def tables(replicates: int) -> Iterator[str]:
    """All tables in Markdown."""
    yield f"{cpu_name()}, numpy {np.__version__}.\n"
    yield "### Published data\n\n" + published_table()
    yield "### Basin\n\n" + basin_table(min(60, replicates))
    wrong = max(2, replicates // 10)
    yield f"### What must never be `ok` ({wrong} data sets a row)\n\n" + wrong_table(wrong)
    yield f"### Coverage on planted data ({replicates} collapses a row)\n\n" + coverage_table(
        replicates
    )
    few = max(2, replicates // 4)
    yield f"### Corrections of another form ({few} collapses a row)\n\n" + other_table(few)
    yield f"### Pure powers, and what is none ({few} collapses a row)\n\n" + competitors_table(few)
    yield f"### Errors of 3 to 5 runs ({few} collapses a row)\n\n" + runs_table(few)
    yield f"### Windows that are too wide ({few} collapses a row)\n\n" + windows_table(few)
    yield f"### Called first order ({few} collapses a cell)\n\n" + first_order_table(few)


if __name__ == "__main__":
    print_tables(tables, __doc__, 200)
