"""Coverage of `power_law` and `crossover` on planted data: slow corrections, and other forms.

python benchmarks/powers_marks.py [--replicates 200]

Exponents, shares and places are drawn anew for every set of data, none of them on a grid of the
fits.  Rows that say so are negative controls: they must fail.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatcap.core.result import Parameter
from heatcap.scaling import crossover, power_law

from machine import cpu_name, print_tables

Floats = NDArray[np.float64]
Rng = np.random.Generator

SIZES = {6: 8.0 * 2.0 ** np.linspace(0, 5, 6), 8: 8.0 * 2.0 ** np.linspace(0, 7, 8)}


# ---- corrections to a power law: share of the leading term at u = x / x_min ---------------


def none(u: Floats, _: float, _rng: Rng) -> Floats:
    return 0 * u


def any_speed(u: Floats, _: float, rng: Rng) -> Floats:
    return rng.normal(0, 0.3) * u ** -np.exp(rng.uniform(np.log(0.2), np.log(4)))


def expected(u: Floats, _: float, rng: Rng) -> Floats:
    """What the fits expect beforehand."""
    decline = u ** -np.exp(rng.uniform(np.log(0.2), np.log(4)))
    return rng.normal(0, 0.3) * decline + rng.normal(0, 0.3) * decline**2


def slow(u: Floats, _: float, rng: Rng) -> Floats:
    return rng.normal(0, 0.3) * u ** -rng.uniform(0.2, 0.6)


def root(u: Floats, _: float, rng: Rng) -> Floats:
    return rng.choice([-0.3, 0.3]) * u**-0.5


def two(u: Floats, _: float, rng: Rng) -> Floats:
    return rng.normal(0, 0.2) * u**-0.5 + rng.normal(0, 0.2) * u**-1.3


def shifted(u: Floats, p: float, rng: Rng) -> Floats:
    """(x + x_0)^p."""
    return (1 + rng.uniform(-0.3, 0.3) / u) ** p - 1


def wavy(u: Floats, _: float, rng: Rng) -> Floats:
    """A power with waves in ln x that die out."""
    return 0.2 * np.cos(2 * np.log(u) + rng.uniform(0, 6.3)) / u


def logarithm(u: Floats, _: float, rng: Rng) -> Floats:
    """Slower than any power."""
    return rng.choice([-0.3, 0.3]) / (1 + np.log(u))


def factor(u: Floats, _: float, rng: Rng) -> Floats:
    """A logarithm that multiplies the power."""
    return (1 + np.log(u)) ** rng.choice([-0.5, 0.5]) - 1


POWERS: dict[str, tuple[Any, int, float, dict[str, Any]]] = {
    "b, c 0 ± 0.3, ω 0.2 … 4: as expected": (expected, 8, 0.01, {}),
    "as expected, 6 sizes": (expected, 6, 0.01, {}),
    "no correction, asked as pure": (none, 8, 0.01, {"pure": True}),
    "no correction": (none, 8, 0.01, {}),
    "share 0 ± 0.3, ω 0.2 … 4": (any_speed, 8, 0.01, {}),
    "the same, 6 sizes": (any_speed, 6, 0.01, {}),
    "the same, noise 0.2 %": (any_speed, 8, 0.002, {}),
    "slow: ω 0.2 … 0.6": (slow, 8, 0.01, {}),
    "share ± 0.3, ω = 0.5": (root, 8, 0.01, {}),
    "two: ω = 0.5 and 1.3": (two, 8, 0.01, {}),
    "(x + x₀)^p": (shifted, 8, 0.01, {}),
    "waves in ln x": (wavy, 8, 0.01, {}),
    "logarithm: ± 0.3 / (1 + ln x/x_min)": (logarithm, 8, 0.01, {}),
    "times (1 + ln x/x_min)^(± 1/2)": (factor, 8, 0.01, {}),
    "slow, asked as pure (control)": (slow, 8, 0.01, {"pure": True}),
}
LIMITS: dict[str, tuple[Any, int, float, dict[str, Any]]] = {
    "b, c 0 ± 0.3, ω 0.2 … 4: as expected": (expected, 8, 0.01, {}),
    "no correction, asked as pure": (none, 8, 0.01, {"pure": True}),
    "share 0 ± 0.3, ω 0.2 … 4": (any_speed, 8, 0.01, {}),
    "slow: ω 0.2 … 0.6": (slow, 8, 0.01, {}),
    "two: ω = 0.5 and 1.3": (two, 8, 0.01, {}),
    "share 0 ± 0.3, p given": (any_speed, 8, 0.01, {"given": True}),
    "share 0 ± 0.3, p given, h → 0": (any_speed, 8, 0.01, {"given": True, "toward": "zero"}),
    "slow, asked as pure, p given (control)": (slow, 8, 0.01, {"given": True, "pure": True}),
}


Held = tuple[bool, bool, float]  # within the intervals of 68 and 95 %, and distance in errors


def held(p: Parameter | None, truth: float) -> Held | None:
    """Whether the intervals hold the truth; None without a number."""
    if p is None or not p.error:
        return None
    low, high = p.ci95
    off = abs(p.value - truth)
    return bool(off < p.error), bool(low < truth < high), off / p.error


def of_power(name: str, rng: Rng) -> tuple[dict[str, Held | None], bool]:
    """Intervals of exponent and amplitude."""
    correction, count, noise, options = POWERS[name]
    x, p, amplitude = SIZES[count], rng.uniform(-2, 2), np.exp(rng.normal())
    y = amplitude * x**p * (1 + correction(x / x[0], p, rng))
    error = noise * np.abs(y)
    found = power_law(x, y + error * rng.normal(size=x.size), error, **options)
    found_in = {"p": held(found.exponent, p), "A": held(found.amplitude, amplitude)}
    return found_in, found.ok


def of_limit(name: str, rng: Rng) -> tuple[dict[str, Held | None], bool]:
    """Intervals of limit and exponent."""
    correction, count, noise, options = LIMITS[name]
    options = dict(options)
    x, p = SIZES[count], -np.exp(rng.uniform(np.log(0.4), np.log(2)))
    u = x / x[0]
    y = 1 + rng.choice([-0.6, 0.6]) * u**p * (1 + correction(u, p, rng))
    error = np.full(x.size, noise)
    if options.pop("given", False):
        options["exponent"] = p
    if options.get("toward") == "zero":
        x = 1 / x
        options["exponent"] = -p
    found = power_law(x, y + error * rng.normal(size=x.size), error, limit=True, **options)
    return {"limit": held(found.limit, 1.0), "p": held(found.exponent, p)}, found.ok


# ---- crossovers ----------------------------------------------------------------------------


def joined(s: float | tuple[float, float]) -> Callable[[Floats, float, float], Floats]:
    """Two powers with x_cross = 1 at sharpness s."""

    def y(u: Floats, p: float, q: float) -> Floats:
        return np.asarray(np.exp(np.logaddexp(s * p * np.log(u), s * q * np.log(u)) / s))

    return y


def switched(u: Floats, p: float, q: float) -> Floats:
    """The exponent goes from p to q as tanh(3 ln u / 2): ln y is its integral."""
    t = np.log(u)
    bend = (np.logaddexp(1.5 * t, -1.5 * t) / 1.5) / 2
    return np.asarray(np.exp((p + q) / 2 * t + (q - p) * bend))


CROSSED: dict[str, tuple[Any, int, dict[str, Any]]] = {
    "A x^p + B x^q": (joined(1.0), 1, {}),
    "A x^p + B x^q, asked as a sum": (joined(1.0), 1, {"sharpness": 1.0}),
    "harmonic": (joined(-1.0), -1, {}),
    "sharpness 1.4": (joined(1.4), 1, {}),
    "sharpness −2.5": (joined(-2.5), -1, {}),
    "exponent from p to q as tanh": (switched, 1, {}),
    "sharpness 2.5, asked as a sum (control)": (joined(2.5), 1, {"sharpness": 1.0}),
}
NULLS = {
    "one power": none,
    "share 0 ± 0.3, ω 0.2 … 4": any_speed,
    "slow: ω 0.2 … 0.6": slow,
    "two: ω = 0.5 and 1.3": two,
    "waves in ln x": wavy,
}
PLACES = 16.0 * 2.0 ** np.linspace(0, 6, 13)


def of_crossover(name: str, rng: Rng) -> tuple[dict[str, Held | None], bool]:
    """Intervals of p, q and x_cross."""
    form, sign, options = CROSSED[name]
    p = rng.uniform(-2, 0.5)
    q, place = p + sign * rng.uniform(1, 2.5), np.exp(rng.uniform(np.log(64), np.log(256)))
    y = 30 * form(PLACES / place, p, q)
    error = 0.02 * y
    found = crossover(PLACES, y + error * rng.normal(size=y.size), error, **options)
    if not found.ok:
        return dict.fromkeys(("p", "q", "x×")), False
    found_in = {"p": held(found.p, p), "q": held(found.q, q), "x×": held(found.x_cross, place)}
    return found_in, True


# ---- tables --------------------------------------------------------------------------------


def coverage_table(
    of: Callable[[str, Rng], tuple[dict[str, Held | None], bool]], names: list[str], replicates: int
) -> str:
    lines = []
    for name in names:
        found = [of(name, np.random.default_rng(seed)) for seed in range(replicates)]
        keys = list(found[0][0])
        if not lines:
            head = ["truth", *(f"{key}: 68 % | 95 % | rms" for key in keys), "ok"]
            lines = ["| " + " | ".join(head) + " |"]
            lines.append("|---" * (lines[0].count("|") - 1) + "|")
        cells = []
        for key in keys:
            seen = [each[key] for each, _ in found if each[key] is not None]
            if len(seen) < replicates / 10:
                cells += ["", "", ""]
                continue
            inner, outer, off = np.array(seen, dtype=float).T
            rms = np.sqrt(np.mean(np.minimum(off, 99) ** 2))
            cells += [f"{inner.mean():.2f}", f"{outer.mean():.2f}", f"{rms:.2f}"]
        ok = np.mean([each for _, each in found])
        lines.append(f"| {name.replace('|', '&#124;')} | " + " | ".join(cells) + f" | {ok:.2f} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines) + "\n"


def null_table(replicates: int) -> str:
    """Crossovers that are found where there are none."""
    lines = ["| truth | crossover found | no crossover |", "|---|---|---|"]
    for name, correction in NULLS.items():
        words = []
        for seed in range(replicates):
            rng = np.random.default_rng(seed)
            p, u = rng.uniform(-2, 2), PLACES / PLACES[0]
            y = 30 * u**p * (1 + correction(u, p, rng))
            error = 0.02 * np.abs(y)
            words.append(crossover(PLACES, y + error * rng.normal(size=u.size), error).status)
        found, none_ = (np.mean([w == word for w in words]) for word in ("ok", "no crossover"))
        lines.append(f"| {name} | {found:.2f} | {none_:.2f} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines) + "\n"


def tables(replicates: int) -> Iterator[str]:
    """All tables in Markdown."""
    yield f"{cpu_name()}, numpy {np.__version__}.\n"
    yield f"### Exponent and amplitude of a power law ({replicates} tables a row)\n\n" + (
        coverage_table(of_power, [*POWERS], replicates)
    )
    yield f"### Limit of a power law ({replicates} tables a row)\n\n" + (
        coverage_table(of_limit, [*LIMITS], replicates)
    )
    few = max(replicates // 2, 20)
    yield f"### Two power laws ({few} tables a row)\n\n" + coverage_table(
        of_crossover, [*CROSSED], few
    )
    yield f"### No crossover ({few} tables a row)\n\n" + null_table(few)


if __name__ == "__main__":
    print_tables(tables, __doc__, 200)
