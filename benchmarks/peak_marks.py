"""Coverage and verdicts of `peak_test`: peaks of known form along the control, at one size.

python benchmarks/peak_marks.py [--replicates 40]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from heatcap.divergence import PeakMargins, peak_test
from heatcap.divergence.peak import judged_peak
from heatcap.divergence.power import verdict_of
from heatcap.divergence.window import read_curve

from machine import cpu_name, print_tables, progress

Floats = NDArray[np.float64]

X_C = 0.037  # between points, and not in the middle of the window
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


def drawn(
    name: str, noise: float, points: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Control, values and errors: `noise` of the largest value."""
    _, curve = TRUTHS[name]
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
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        data = read_curve(*drawn(name, noise, points, rng))
        found.append(judged_peak(data, PeakMargins(), False, DRAWS, rng)[2].names(0.95))
    return found


def coverage_table(replicates: int, noise: float, points: int = 60) -> str:
    lines = [
        "| truth | class | kept | alone or divergent | undecided | false |",
        "|---|---|---|---|---|---|",
    ]
    for name, (kind, _) in TRUTHS.items():
        found = [
            plausible_classes(name, noise, points, [seed])[0] for seed in progress(name, replicates)
        ]
        growing = kind in ("logarithmic", "power-law")
        verdicts = [verdict_of(names) for names in found]
        right = np.mean([v == kind or (growing and v == "divergent") for v in verdicts])
        undecided = np.mean([v == "undecided" for v in verdicts])
        kept = np.mean([kind in names for names in found])
        lines.append(
            f"| {name} | {kind} | {kept:.2f} | {right:.2f} | {undecided:.2f} "
            f"| {abs(1 - right - undecided):.2f} |"
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
        yield f"{title}\n\n" + coverage_table(replicates, noise)
    yield "### The whole test\n\n" + seconds_table()


if __name__ == "__main__":
    print_tables(tables, __doc__, 40)
