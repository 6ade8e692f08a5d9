"""Statistical power of a design: how often it decides, if heights follow a given curve.

`detectable` and `detectable_alpha` have the smallest exponent that the data distinguish from a
plateau, `advice` and `peak_advice` the measurements that would decide, `realised` the coverage at
the best fit, `stability` the answer without the smallest sizes.

`kept_classes` takes critical values of Delta from the fits of each class to the curve itself, once,
instead of fits to every set of drawn data: a bootstrap without a nested one.  `calibrate` and
`realised` nest; docs/verification.md compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.divergence.curve import Curve
from heatcap.divergence.exponent import growth_exponent
from heatcap.divergence.heights import LEAST_SIZES, Heights
from heatcap.divergence.margins import (
    BOUNDED,
    CLASSES,
    FLAT,
    LOGARITHMIC,
    POWER,
    Margins,
    verdict_of,
)
from heatcap.divergence.peak_fit import PeakFits, peak_problem
from heatcap.divergence.peak_shapes import STEEPEST_ALPHA, cut_off, reach
from heatcap.divergence.testing import (
    HOPELESS,
    REPEATED,
    Fits,
    Fitted,
    Setup,
    drawn_from,
    least_draws,
    plausible,
    problem,
)

__all__ = [
    "DECIDED",
    "EXPONENTS",
    "Advice",
    "advice",
    "detectable",
    "detectable_alpha",
    "kept_classes",
    "peak_advice",
    "realised",
    "stability",
]

DETECTED, DECIDED = 0.95, 0.8  # probability of a detection, and of a right verdict
REPEATS = 40  # sets of data for the realised level
# Trials for heights: exponents, sizes to add, factors by which errors shrink.
EXPONENTS = (0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0)
MORE_SIZES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
SMALLER_ERRORS = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
# Trials for a peak, whose points become denser by a factor.
PEAK_EXPONENTS = (0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, STEEPEST_ALPHA)
FINER = (2.0, 4.0)
PEAK_SMALLER_ERRORS = (1.5, 2.0, 3.0, 5.0, 10.0)
CLOSE = 1 / 3  # of the reach, on both sides of the maximum: where points are added
HIDDEN = 4.0  # chi^2 between classes without noise, below which no test decides 80 in 100 times


def kept_classes(
    setup: Setup, curve: Floats, *, level: float, draws: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Decide which classes are plausible (draw, class) for data drawn about a curve (size,)."""
    fits = setup.fits(curve)
    lowest = fits.best_of_classes()
    drawn = setup.scores(curve + setup.noise(draws, rng))
    delta = drawn - drawn.min(axis=1, keepdims=True)
    allowed = np.zeros((draws, len(CLASSES)), dtype=np.bool_)
    for kind in range(len(CLASSES)):
        if lowest[kind] - lowest.min() <= HOPELESS + setup.margins.penalty:
            scores = setup.scores(drawn_from(fits, kind, draws, rng))
            under = scores[:, kind] - scores.min(axis=1)
            allowed[:, kind] = delta[:, kind] <= float(np.quantile(under, level))
    return allowed


def detectable(fits: Fits, *, level: float, draws: int, rng: np.random.Generator) -> float:
    """Find the smallest detectable exponent of c + a L^kappa, for the observed growth.

    An exponent is detected if `flat` and `bounded` are excluded in 95 % of the draws.  NaN if no
    exponent up to 3 is.
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
        allowed = kept_classes(there, curve, level=level, draws=draws, rng=rng)
        return float(np.mean(~allowed[:, FLAT] & ~allowed[:, BOUNDED]))

    # No bisection: over few sizes a large exponent may look more like saturation than a small one.
    tried = (kappa for kappa in EXPONENTS if kappa > setup.margins.kappa_min)
    return next((kappa for kappa in tried if chance(kappa) >= DETECTED), float("nan"))


def _first_good(values: Sequence[float], good: Callable[[float], bool]) -> float | None:
    """First value that is good, by bisection; None if the last is not."""
    low, high = 0, len(values) - 1
    if not good(values[high]):
        return None
    while low < high:
        middle = (low + high) // 2
        if good(values[middle]):
            high = middle
        else:
            low = middle + 1
    return values[low]


@dataclass(frozen=True)
class Advice:
    """Measurements that would decide, by class, as numbers (None if no trial would) and as text."""

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
    """Find sizes to add, or smaller errors, with which the test would decide.

    The best fit of each plausible class is taken as the truth in turn.
    A design decides if the verdict is then right (that class alone, or "divergent") in 80 % of the
    draws.  New sizes continue the ratio of the last two, at the median relative error.
    """
    ratio = data.sizes[-1] / data.sizes[-2]
    relative = float(np.median(data.errors / np.abs(data.heights)))

    def decides(kind: int, sizes: Floats, curve: Floats, covariance: Floats) -> bool:
        prepared = fits.problem
        setup = problem(sizes, covariance, prepared.margins, prepared.exponent, heights=curve)
        allowed = kept_classes(setup, curve, level=level, draws=draws, rng=rng)
        return _right_share(allowed, kind) >= DECIDED

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
        count = _first_good(MORE_SIZES, partial(with_more, kind))
        ways[name] = {
            "more_sizes": None if count is None else added(count).tolist(),
            "smaller_errors": _first_good(SMALLER_ERRORS, partial(with_less, kind)),
        }
    texts = [f"if {name}: {_advice_text(way, size_name)}" for name, way in ways.items()]
    return Advice(ways, "; ".join(texts))


def _right_share(allowed: NDArray[np.bool_], kind: int) -> float:
    """Share of draws with the right verdict, from their plausible classes (draw, class)."""
    alone = allowed[:, kind] & (allowed.sum(axis=1) == 1)
    if kind in (LOGARITHMIC, POWER):
        alone |= (
            allowed[:, LOGARITHMIC] & allowed[:, POWER] & ~allowed[:, FLAT] & ~allowed[:, BOUNDED]
        )
    return float(alone.mean())


def _advice_text(way: Mapping[str, Any], size_name: str) -> str:
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


def detectable_alpha(
    fits: PeakFits, *, level: float, draws: int, rng: np.random.Generator
) -> float:
    """Find the smallest detectable exponent of a power law as high as the observed peak.

    The power law is cut off at the distance of the points at the maximum, or at the margin if that
    is smaller.  It is detected if `flat` and `bounded` are excluded in 95 % of the draws.  NaN if
    no exponent up to 3 is.
    """
    prepared = fits.problem
    curve, m = prepared.curve, prepared.margins
    best = fits.curves(np.array([np.argmin(fits.chi2)]))[0]
    change = max(float(np.ptp(best)), m.smallest_effect * float(best.max()))
    i = int(np.argmax(best))
    gap = float(np.median(np.diff(curve.x[max(i - 2, 0) : i + 3])))
    place = curve.x[i]
    v = min(np.log(gap / reach(place)), -np.log(m.decade))

    def chance(exponent: float) -> float:
        g = cut_off(curve.x, np.array([[place, v, exponent]]))[0][0]
        drawn = replace(curve, values=best.max() - change + change * (g - g.min()) / np.ptp(g))
        setup = peak_problem(drawn, m)
        lowest = setup.fits(drawn.values).best_of_classes()
        if min(lowest[FLAT], lowest[BOUNDED]) - lowest.min() < HIDDEN:
            return 0.0
        allowed = kept_classes(setup, drawn.values, level=level, draws=draws, rng=rng)
        return float(np.mean(~allowed[:, FLAT] & ~allowed[:, BOUNDED]))

    tried = (exponent for exponent in PEAK_EXPONENTS if exponent > m.alpha_min)
    return next((exponent for exponent in tried if chance(exponent) >= DETECTED), float("nan"))


def peak_advice(
    fits: PeakFits,
    names: tuple[str, ...],
    *,
    control_name: str,
    level: float,
    draws: int,
    rng: np.random.Generator,
) -> Advice:
    """Find denser points, or smaller errors, with which the test would decide.

    The best fit of each plausible class is taken as the truth in turn.
    A design decides if the verdict is then right (that class alone, or "divergent") in 80 % of the
    draws.  New points have the errors of their neighbours; where errors are correlated a finer
    grid is not tried, because the correlation of new points is unknown.
    """
    prepared = fits.problem
    curve = prepared.curve
    errors = curve.errors
    independent = np.count_nonzero(curve.covariance) == len(errors)

    def decides(kind: int, drawn: Curve) -> bool:
        setup = peak_problem(drawn, prepared.margins)
        lowest = setup.fits(drawn.values).best_of_classes()
        rivals = [other for other in range(len(CLASSES)) if other != kind]
        if kind in (LOGARITHMIC, POWER):
            rivals = [FLAT, BOUNDED]
        if lowest[rivals].min() - lowest[kind] < HIDDEN:
            return False
        allowed = kept_classes(setup, drawn.values, level=level, draws=draws, rng=rng)
        return _right_share(allowed, kind) >= DECIDED

    def finer(kind: int, factor: float) -> bool:
        row = fits.of(kind)[:1]
        x = _denser_points(curve.x, float(curve.x[np.argmax(curve.values)]), int(factor))
        error = np.interp(x, curve.x, errors)
        values = fits.curves_at(row, x)[0]
        return decides(kind, Curve(curve.at(x), values, np.diag(error**2), curve.logarithmic))

    def smaller(kind: int, factor: float) -> bool:
        return decides(
            kind, replace(curve, values=fits.curves(fits.of(kind)[:1])[0]).scaled(1 / factor)
        )

    ways: dict[str, dict[str, Any]] = {}
    for name in names:
        kind = CLASSES.index(name)
        ways[name] = {
            "finer_points": _first_good(FINER, partial(finer, kind)) if independent else None,
            "smaller_errors": _first_good(PEAK_SMALLER_ERRORS, partial(smaller, kind)),
        }
    texts = [
        f"if {name}: {_peak_advice_text(way, control_name, independent)}"
        for name, way in ways.items()
    ]
    return Advice(ways, "; ".join(texts))


def _denser_points(x: Floats, place: float, factor: int) -> Floats:
    """Make the points within a third of the reach `factor` times as dense."""
    r = CLOSE * float(reach(np.array(place)))
    left = np.flatnonzero(np.abs((x[1:] + x[:-1]) / 2 - place) < r)
    shares = np.arange(1, factor) / factor
    added = x[left, np.newaxis] + np.diff(x)[left, np.newaxis] * shares
    return np.sort(np.concatenate([x, added.ravel()]))


def _peak_advice_text(way: Mapping[str, Any], control_name: str, independent: bool) -> str:
    parts = []
    if way["finer_points"]:
        parts.append(f"put {control_name} {way['finer_points']:g} times finer about the maximum")
    if way["smaller_errors"]:
        parts.append(f"make errors {way['smaller_errors']:g} times smaller")
    if parts:
        return ", or ".join(parts)
    finer = f"neither points {FINER[-1]:g} times finer nor " if independent else "not even "
    return f"{finer}errors {PEAK_SMALLER_ERRORS[-1]:g} times smaller would decide"


def realised(
    setup: Setup, fits: Fitted, level: float, draws: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Measure the coverage of the class of the best fit, on data drawn from it."""
    best = int(np.argmin(fits.score))
    kind = int(setup.kind[best])
    curve = fits.curves(np.array([best]))[0]
    inner = max(REPEATED, least_draws(level))
    covered = [
        kind in plausible(setup, y, draws=inner, rng=rng).kinds(level)
        for y in curve + setup.noise(REPEATS, rng)
    ]
    return {
        "replicates": draws,
        "realised_level": float(np.mean(covered)),
        "repeats": REPEATS,
    }


def stability(
    data: Heights,
    margins: Margins,
    exponent: float | None,
    *,
    level: float,
    draws: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Repeat the test without the smallest sizes, at most half of them: classes and exponent."""
    rows = []
    for first in range(1, len(data.sizes) // 2 + 1):
        part = data.take(slice(first, None))
        if len(part.sizes) < LEAST_SIZES:
            break
        setup = problem(part.sizes, part.covariance, margins, exponent, heights=part.heights)
        result = plausible(setup, part.heights, draws=draws, rng=rng)
        names = result.names(level)
        rows.append(
            {
                "smallest_size": float(part.sizes[0]),
                "plausible": list(names),
                "verdict": verdict_of(names),
                "exponent": growth_exponent(part).to_dict(),
            }
        )
    return rows
