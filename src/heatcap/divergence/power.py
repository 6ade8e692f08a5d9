"""How often a design would decide, if heights grew along a given curve.

Critical values of Delta come from the fits of each class to the curve itself, once, instead of
those to every set of data drawn: a bootstrap without a bootstrap inside.  `calibrate` has both and
docs/verification.md compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.divergence.heights import Heights
from heatcap.divergence.margins import BOUNDED, CLASSES, FLAT, LOGARITHMIC, POWER
from heatcap.divergence.testing import HOPELESS, Fits, Setup, drawn_from, problem

__all__ = [
    "EXPONENTS",
    "Advice",
    "advice",
    "detectable",
    "first_good",
    "kept_classes",
    "right_share",
    "right_verdicts",
    "verdict_of",
]

DETECTED, DECIDED = 0.95, 0.8
EXPONENTS = (0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0)
MORE_SIZES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
SMALLER_ERRORS = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0)


def verdict_of(names: tuple[str, ...]) -> str:
    """One class, "divergent" for {logarithmic, power-law}, else "undecided"."""
    if len(names) == 1:
        return names[0]
    return "divergent" if set(names) == {"logarithmic", "power-law"} else "undecided"


def right_verdicts(kind: str) -> tuple[str, ...]:
    """Verdicts that are right for a class: itself, and "divergent" for the two that are."""
    return (kind, "divergent") if kind in ("logarithmic", "power-law") else (kind,)


def kept_classes(
    setup: Setup, curve: Floats, *, level: float, draws: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Whether each class is plausible (draw, class) for data drawn about a curve (size,)."""
    fits = setup.fits(curve)
    lowest = fits.best_of_classes()
    drawn = setup.scores(curve + setup.noise(draws, rng))
    delta = drawn - drawn.min(axis=1, keepdims=True)
    kept = np.zeros((draws, len(CLASSES)), dtype=np.bool_)
    for kind in range(len(CLASSES)):
        if lowest[kind] - lowest.min() <= HOPELESS + setup.margins.penalty:
            under = _delta(setup, drawn_from(fits, kind, draws, rng), kind)
            kept[:, kind] = delta[:, kind] <= float(np.quantile(under, level))
    return kept


def _delta(setup: Setup, y: Floats, kind: int) -> Floats:
    scores = setup.scores(y)
    return np.asarray(scores[:, kind] - scores.min(axis=1))


def detectable(fits: Fits, *, level: float, draws: int, rng: np.random.Generator) -> float:
    """Smallest exponent of c + a L^kappa, with the growth seen here, that would have been detected.

    Detected: `flat` and `bounded` excluded, 95 times in 100.  NaN if no exponent up to 3 is.
    """
    setup = fits.problem
    sizes, w1 = setup.shapes.sizes, setup.weight.sum(axis=1)
    covariance = setup.root @ setup.root.T
    best = fits.curves(np.array([np.argmin(fits.score)]))[0]
    growth = max(np.ptp(best), setup.margins.smallest_effect * best.max())
    level_of_data = float(best @ w1 / w1.sum())

    def chance(kappa: float) -> float:
        g = sizes**kappa / np.ptp(sizes**kappa)
        curve = level_of_data + growth * (g - g @ w1 / w1.sum())
        there = problem(sizes, covariance, setup.margins, setup.exponent, heights=curve)
        kept = kept_classes(there, curve, level=level, draws=draws, rng=rng)
        return float(np.mean(~kept[:, FLAT] & ~kept[:, BOUNDED]))

    # One by one: over few sizes a large exponent may look more like saturation than a small one.
    tried = (kappa for kappa in EXPONENTS if kappa > setup.margins.kappa_min)
    return next((kappa for kappa in tried if chance(kappa) >= DETECTED), float("nan"))


def first_good(values: Sequence[float], good: Callable[[float], bool]) -> float:
    """The first value that is good, by bisection; NaN if the last is not."""
    low, high = 0, len(values) - 1
    if not values or not good(values[high]):
        return float("nan")
    while low < high:
        middle = (low + high) // 2
        if good(values[middle]):
            high = middle
        else:
            low = middle + 1
    return values[low]


@dataclass(frozen=True)
class Advice:
    """What would decide, by class: `more_sizes` and `smaller_errors`, None if nothing would."""

    ways: Mapping[str, Mapping[str, Any]]
    text: str


def advice(
    data: Heights,
    fits: Fits,
    names: tuple[str, ...],
    *,
    size_name: str,
    level: float,
    draws: int,
    rng: np.random.Generator,
) -> Advice:
    """Sizes to add, or a factor by which errors must shrink, if the best fit of a class is true.

    A design decides if the verdict would then be right (that class alone, or "divergent") 80 times
    in 100.  New sizes continue the ratio of the last two, at the median relative error.
    """
    ratio = data.sizes[-1] / data.sizes[-2]
    relative = float(np.median(data.errors / np.abs(data.heights)))

    def decides(kind: int, sizes: Floats, curve: Floats, covariance: Floats) -> bool:
        own = fits.problem
        setup = problem(sizes, covariance, own.margins, own.exponent, heights=curve)
        kept = kept_classes(setup, curve, level=level, draws=draws, rng=rng)
        return right_share(kept, kind) >= DECIDED

    def added(count: float) -> Floats:
        return np.asarray(np.round(data.sizes[-1] * ratio ** np.arange(1, count + 1)))

    def with_more(kind: int, count: float) -> bool:
        sizes = np.concatenate([data.sizes, added(count)])
        curve = fits.curves_at(fits.of(kind)[:1], sizes)[0]
        new = curve[data.sizes.size :]
        covariance = np.diag(np.concatenate([data.errors, relative * new]) ** 2)
        covariance[: data.sizes.size, : data.sizes.size] = data.covariance
        return decides(kind, sizes, curve, covariance)

    def with_less(kind: int, factor: float) -> bool:
        curve = fits.curves(fits.of(kind)[:1])[0]
        return decides(kind, data.sizes, curve, data.covariance / factor**2)

    ways: dict[str, dict[str, Any]] = {}
    for name in names:
        kind = CLASSES.index(name)
        count = first_good(MORE_SIZES, partial(with_more, kind))
        factor = first_good(SMALLER_ERRORS, partial(with_less, kind))
        ways[name] = {
            "more_sizes": None if np.isnan(count) else added(count).tolist(),
            "smaller_errors": None if np.isnan(factor) else factor,
        }
    said = [f"if {name}: {_text(way, size_name)}" for name, way in ways.items()]
    return Advice(ways, "; ".join(said))


def right_share(kept: NDArray[np.bool_], kind: int) -> float:
    alone = kept[:, kind] & (kept.sum(axis=1) == 1)
    if kind in (LOGARITHMIC, POWER):
        alone |= kept[:, LOGARITHMIC] & kept[:, POWER] & ~kept[:, FLAT] & ~kept[:, BOUNDED]
    return float(alone.mean())


def _text(way: Mapping[str, Any], size_name: str) -> str:
    parts = []
    if way["more_sizes"]:
        listed = ", ".join(f"{size:g}" for size in way["more_sizes"])
        parts.append(f"also measure {size_name} = {listed} as well as the others")
    if way["smaller_errors"]:
        parts.append(f"make errors {way['smaller_errors']:g} times smaller at these sizes")
    if not parts:
        return (
            f"neither {MORE_SIZES[-1]:g} more sizes nor errors {SMALLER_ERRORS[-1]:g} times "
            "smaller would decide"
        )
    return ", or ".join(parts)
