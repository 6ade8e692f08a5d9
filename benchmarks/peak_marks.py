"""Coverage and verdicts of `peak_test`: peaks of known form along the control, at one size.

python benchmarks/peak_marks.py [--replicates 40]
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from heatcap.divergence import PeakMargins, peak_test
from heatcap.divergence.curve import read_curve
from heatcap.divergence.margins import verdict_of
from heatcap.divergence.peak import OFF_BY_TWO, judged_peak
from heatcap.divergence.peak_fit import peak_position
from heatcap.scaling import Parameter
from heatcap.systems.exact import Ising2DExact

from machine import cpu_name, print_tables, progress

Floats = NDArray[np.float64]

X_C = 0.037  # between points, and not in the middle of the window
FINE = np.linspace(-1.0, 1.0, 401)  # what a smoothing is averaged over, in units of its width
NOISES = (0.01, 0.04)  # of the largest value
COLDEST = 1.1  # what is added to the control for temperatures
DRAWS = 150


def control(points: int) -> Floats:
    """Equally spaced from -1 to 1."""
    return np.linspace(-1, 1, points)


def cut_off_power(alpha: float, delta: float, right: float = 1.0) -> Callable[[Floats], Floats]:
    """1 + g, g from 0 to 2: (t^2 + delta^2)^(-alpha/2), times `right` on the right."""

    def curve(x: Floats) -> Floats:
        t = x - X_C
        square = t * t + delta * delta
        g = -np.log(square) / 2 if alpha == 0 else (square ** (-alpha / 2) - 1) / alpha
        peak = -np.log(delta) if alpha == 0 else (delta**-alpha - 1) / alpha
        return 1 + 2 * g / peak * np.where(t > 0, right, 1.0)

    return curve


def schottky(x: Floats) -> Floats:
    """Two levels 1.2 apart at temperatures 0.1 to 2.1."""
    z = 1.2 / (x + COLDEST)
    return 5 * z**2 * np.exp(z) / (1 + np.exp(z)) ** 2


TRUTHS: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
    "alpha = 0.5, delta = 0.03": ("power-law", cut_off_power(0.5, 0.03)),
    "alpha = 1, delta = 0.03": ("power-law", cut_off_power(1.0, 0.03)),
    "alpha = 1, delta = 0.05, right side 0.6": ("power-law", cut_off_power(1.0, 0.05, 0.6)),
    "logarithm, delta = 0.03": ("logarithmic", cut_off_power(0.0, 0.03)),
    "Lorentzian, delta = 0.03": ("power-law", cut_off_power(2.0, 0.03)),
    "Lorentzian, delta = 0.3": ("bounded", cut_off_power(2.0, 0.3)),
    "alpha = 0.5, delta = 0.15": ("bounded", cut_off_power(0.5, 0.15)),
    "cusp, 1 - |t|^0.5": ("bounded", cut_off_power(-0.5, 1e-6)),
    "Gaussian, w = 0.2": ("bounded", lambda x: 1 + 2 * np.exp(-(((x - X_C) / 0.2) ** 2) / 2)),
    "Schottky, D = 1.2": ("bounded", schottky),
    "step, w = 0.05": ("bounded", lambda x: 2 + np.tanh((x - X_C) / 0.05)),
    "step, w = 0": ("bounded", lambda x: 2 + np.sign(x - X_C)),
    "constant": ("flat", lambda x: 3 + 0 * x),
    "drift of 3 %": ("flat", lambda x: 3 + 0.045 * x),
}


def smoothed(of: Callable[[Floats], Floats], width: float, box: bool) -> Callable[[Floats], Floats]:
    """1 + 2 f / max f of `of`, averaged over a box from -width to width or a Gaussian."""
    place, weight = (FINE, np.ones(401)) if box else (4 * FINE, np.exp(-8 * FINE**2))

    def mean(x: Floats) -> Floats:
        return np.asarray(
            of(np.abs(x[:, np.newaxis] - X_C - width * place)) @ weight / weight.sum()
        )

    return lambda x: 1 + 2 * mean(x) / mean(np.array([X_C]))[0]


def peak_of(form: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """1 + 2 f of x - x_c."""
    return lambda x: 1 + 2 * form(x - X_C)


def stretched(p: float, w: float) -> Callable[[Floats], Floats]:
    return peak_of(lambda t: np.exp(-(np.abs(t / w) ** p)))


def shoulder(p: float, q: float, w: float) -> Callable[[Floats], Floats]:
    return peak_of(lambda t: (1 + np.abs(t / w) ** p) ** -q)


def fano(t: Floats) -> Floats:
    """Fano's resonance with q = 3 and its maximum, one, at t = 0."""
    e = t / 0.2 + 1 / 3
    return (3 + e) ** 2 / (1 + e * e) / 10


def log_normal(t: Floats) -> Floats:
    """Of the distance from the left of the window, its maximum at t = 0."""
    z = np.maximum(t + 1.05 + X_C, 1e-9) / (1.05 + X_C)
    return np.exp(-((np.log(z) / 0.2) ** 2) / 2)


def two_sided(t: Floats) -> Floats:
    return np.exp(-((t / np.where(t < 0, 0.1, 0.25)) ** 2) / 2)


def corrected(t: Floats) -> Floats:
    near = np.hypot(t, 0.03)
    return 0.03 / near * (1 + 0.5 * near**0.5) / (1 + 0.5 * 0.03**0.5)


def level_within(alpha: float, width: float) -> Callable[[Floats], Floats]:
    return peak_of(lambda t: (width / np.maximum(np.abs(t), width)) ** alpha)


def logarithm(t: Floats) -> Floats:
    return 3 - np.log(np.maximum(t, 1e-4))


def blunt_logarithm(t: Floats) -> Floats:
    return np.log(0.03 + np.abs(t)) / np.log(0.03)


def power(alpha: float) -> Callable[[Floats], Floats]:
    """Pure, to be smoothed; finite between the points of the average."""
    return lambda t: np.maximum(t, 1e-4) ** -alpha


def ising(size: int) -> Callable[[Floats], Floats]:
    """C of the square lattice of size x size spins, exact; its maximum at x_c, T within 0.9."""
    exact = Ising2DExact()

    @functools.cache
    def at(x: tuple[float, ...]) -> Floats:
        top = 1 / exact.maximum(size)[0]
        temperature = top + 0.9 * (np.array(x) - X_C)
        return exact.columns(size, 1 / temperature)["heat_capacity"]

    return lambda x: at(tuple(x.tolist()))


# No form of `peak_shapes`: how the rounding is made is nobody's choice.
OTHERS: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
    "(1 + t^2/w^2)^-3, w = 0.4": ("bounded", shoulder(2, 3, 0.4)),
    "(1 + |t/w|)^-1, w = 0.2": ("bounded", shoulder(1, 1, 0.2)),
    "(1 + |t/w|)^-0.5, w = 0.2": ("bounded", shoulder(1, 0.5, 0.2)),
    "(1 + |t/w|^4)^-0.25, w = 0.2": ("bounded", shoulder(4, 0.25, 0.2)),
    "(1 + |t/w|^4)^-0.1, w = 0.12": ("bounded", shoulder(4, 0.1, 0.12)),
    "exp(-|t/w|^0.7), w = 0.3": ("bounded", stretched(0.7, 0.3)),
    "exp(-|t/w|), w = 0.15": ("bounded", stretched(1.0, 0.15)),
    "exp(-|t/w|), w = 0.4": ("bounded", stretched(1.0, 0.4)),
    "exp(-|t/w|^1.5), w = 0.2": ("bounded", stretched(1.5, 0.2)),
    "exp(-|t/w|^4), w = 0.3": ("bounded", stretched(4.0, 0.3)),
    "tent, w = 0.5": ("bounded", peak_of(lambda t: np.maximum(1 - np.abs(t / 0.5), 0.0))),
    "log-normal": ("bounded", peak_of(log_normal)),
    "Gaussian, w = 0.1 and 0.25": ("bounded", peak_of(two_sided)),
    "Fano, q = 3": ("bounded", peak_of(fano)),
    "Voigt, 0.15 and 0.15": ("bounded", smoothed(lambda t: 1 / (1 + (t / 0.15) ** 2), 0.15, False)),
    "|t|^-0.5 in a box of 0.15": ("bounded", smoothed(power(0.5), 0.15, True)),
    "|t|^-0.5 in a box of 0.3": ("bounded", smoothed(power(0.5), 0.3, True)),
    "ln |t| in a box of 0.3": ("bounded", smoothed(logarithm, 0.3, True)),
    "|t|^-0.5 in a Gaussian of 0.15": ("bounded", smoothed(power(0.5), 0.15, False)),
    "|t|^-1 beyond 0.15, level within": ("bounded", level_within(1.0, 0.15)),
    "|t|^-0.5 beyond 0.15, level within": ("bounded", level_within(0.5, 0.15)),
    "Ising, 6 x 6": ("bounded", ising(6)),
    "|t|^-0.5 beyond 0.03, level within": ("power-law", level_within(0.5, 0.03)),
    "(0.03 + |t|)^-1": ("power-law", shoulder(1, 1, 0.03)),
    "(0.03 + |t|)^-0.5": ("power-law", shoulder(1, 0.5, 0.03)),
    "|t|^-0.5 in a Gaussian of 0.03": ("power-law", smoothed(power(0.5), 0.03, False)),
    "|t|^-1 (1 + 0.5 |t|^0.5), 0.03": ("power-law", peak_of(corrected)),
    "Ising, 64 x 64": ("logarithmic", ising(64)),
    "ln (0.03 + |t|)": ("logarithmic", peak_of(blunt_logarithm)),
}  # fmt: skip


def drawn(
    name: str, noise: float, points: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Control, values and errors: `noise` of the largest value."""
    _, curve = (TRUTHS | OTHERS)[name]
    x = control(points)
    exact = curve(x)
    error = np.full(points, noise * exact.max())
    # The Schottky anomaly is a function of the temperature, and that is positive.
    shown = x + COLDEST if name.startswith("Schottky") else x
    return shown, exact + error * rng.normal(size=points), error


def plausible_classes(
    name: str, noise: float, points: int, seeds: Sequence[int]
) -> list[tuple[str, ...]]:
    """Classes that are not excluded, for data of every seed."""
    return [_found(name, noise, points, seed)[0] for seed in seeds]


def _found(name: str, noise: float, points: int, seed: int) -> tuple[tuple[str, ...], Parameter]:
    """Classes that are not excluded, none of a misfit; and the position."""
    rng = np.random.default_rng(seed)
    data = read_curve(*drawn(name, noise, points, rng))
    _, setup, found, _ = judged_peak(data, PeakMargins(), False, DRAWS, rng)
    if found.best_chi2 > OFF_BY_TWO * np.median(found.drawn_chi2):
        return (), peak_position(setup.fits(data.values), ())
    names = found.names(0.95)
    return names, peak_position(setup.fits(data.values), names)


def place(name: str) -> float:
    """Where the peak is: x_c of what grows and of a step, else the maximum."""
    kind, curve = (TRUTHS | OTHERS)[name]
    if kind in ("power-law", "logarithmic") or name.startswith("step"):
        return X_C
    x = np.linspace(-1, 1, 4001)
    return float(x[np.argmax(curve(x))]) + (COLDEST if name.startswith("Schottky") else 0)


def coverage_table(truths: Sequence[str], replicates: int, noise: float, points: int = 60) -> str:
    lines = [
        "| truth | class | kept | alone or divergent | undecided | refused | false | x_c within |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in truths:
        kind = (TRUTHS | OTHERS)[name][0]
        found = [_found(name, noise, points, seed) for seed in progress(name, replicates)]
        growing = kind in ("logarithmic", "power-law")
        verdicts = [verdict_of(names) if names else "refused" for names, _ in found]
        right = np.mean([v == kind or (growing and v == "divergent") for v in verdicts])
        undecided, refused = (np.mean([v == w for v in verdicts]) for w in ("undecided", "refused"))
        kept = np.mean([kind in names for names, _ in found])
        at = [(each.value - place(name)) / each.error for _, each in found]
        pulls = np.abs([pull for pull in at if np.isfinite(pull)])
        within = f"{np.mean(pulls < 1.96):.2f}" if kind != "flat" and len(pulls) else ""
        lines.append(
            f"| {name.replace('|', '&#124;')} | {kind} | {kept:.2f} | {right:.2f} "
            f"| {undecided:.2f} | {refused:.2f} | {abs(1 - right - undecided - refused):.2f} "
            f"| {within} |"
        )
    return "\n".join(lines) + "\n"


def seconds_table() -> str:
    """Time of the whole test, with calibration, power and advice."""
    lines = ["| truth | noise | verdict | seconds |", "|---|---|---|---|"]
    for name in TRUTHS:
        for noise in NOISES:
            data = drawn(name, noise, 60, np.random.default_rng(0))
            began = time.perf_counter()
            found = peak_test(*data)
            lines.append(
                f"| {name} | {noise:.0%} | {found.verdict} | {time.perf_counter() - began:.1f} |"
            )
    return "\n".join(lines) + "\n"


def tables(replicates: int) -> Iterator[str]:
    """All tables in Markdown."""
    yield f"{cpu_name()}, numpy {np.__version__}.\n"
    for noise in NOISES:
        title = f"### 60 points, noise {noise:.0%} of the largest value, {replicates} a row"
        yield f"{title}\n\n" + coverage_table([*TRUTHS], replicates, noise)
        yield f"{title}: forms that are none of the family\n\n" + coverage_table(
            [*OTHERS], replicates, noise
        )
    yield "### The whole test\n\n" + seconds_table()


if __name__ == "__main__":
    print_tables(tables, __doc__, 40)
