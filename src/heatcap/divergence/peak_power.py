"""How finer points or smaller errors would decide on a peak, by simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.divergence.curve import Curve
from heatcap.divergence.margins import BOUNDED, CLASSES, FLAT, LOGARITHMIC, POWER
from heatcap.divergence.peak_fit import PeakFits, peak_problem
from heatcap.divergence.peak_shapes import STEEPEST, cut_off, reach
from heatcap.divergence.power import (
    DECIDED,
    DETECTED,
    Advice,
    first_good,
    kept_classes,
    right_share,
)

__all__ = ["detectable_alpha", "peak_advice"]

EXPONENTS = (0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, STEEPEST)
FINER = (2.0, 4.0)
SMALLER_ERRORS = (1.5, 2.0, 3.0, 5.0, 10.0)
CLOSE = 1 / 3  # of the reach, on both sides of the maximum: where points are added
HIDDEN = 4.0  # chi^2 between classes without noise, below which no test decides 80 in 100 times


def detectable_alpha(
    fits: PeakFits, *, level: float, draws: int, rng: np.random.Generator
) -> float:
    """Smallest exponent of a power law, as high as the peak seen, that would have been detected.

    It is cut off at the distance of the points at the maximum, or where the margin has it.
    Detected: `flat` and `bounded` excluded, 95 times in 100.  NaN if no exponent up to 3 is.
    """
    own = fits.problem
    curve, m = own.curve, own.margins
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
        kept = kept_classes(setup, drawn.values, level=level, draws=draws, rng=rng)
        return float(np.mean(~kept[:, FLAT] & ~kept[:, BOUNDED]))

    tried = (each for each in EXPONENTS if each > m.alpha_min)
    return next((each for each in tried if chance(each) >= DETECTED), float("nan"))


def peak_advice(
    fits: PeakFits,
    names: tuple[str, ...],
    *,
    control_name: str,
    level: float,
    draws: int,
    rng: np.random.Generator,
) -> Advice:
    """Finer points about the maximum, or smaller errors, if the best fit of a class is true.

    A design decides if the verdict would then be right (that class alone, or "divergent") 80 times
    in 100.  New points have the errors of their neighbours; where errors are correlated a finer
    grid is not tried, because nothing is known of the correlation of what is added.
    """
    own = fits.problem
    curve = own.curve
    errors = curve.errors
    independent = np.count_nonzero(curve.covariance) == len(errors)

    def decides(kind: int, drawn: Curve) -> bool:
        setup = peak_problem(drawn, own.margins)
        lowest = setup.fits(drawn.values).best_of_classes()
        rivals = [each for each in range(len(CLASSES)) if each != kind]
        if kind in (LOGARITHMIC, POWER):
            rivals = [FLAT, BOUNDED]
        if lowest[rivals].min() - lowest[kind] < HIDDEN:
            return False
        kept = kept_classes(setup, drawn.values, level=level, draws=draws, rng=rng)
        return right_share(kept, kind) >= DECIDED

    def finer(kind: int, factor: float) -> bool:
        row = fits.of(kind)[:1]
        x = _finer(curve.x, float(curve.x[np.argmax(curve.values)]), int(factor))
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
        points = _or_none(first_good(FINER, partial(finer, kind))) if independent else None
        ways[name] = {
            "finer_points": points,
            "smaller_errors": _or_none(first_good(SMALLER_ERRORS, partial(smaller, kind))),
        }
    said = [f"if {name}: {_text(way, control_name, independent)}" for name, way in ways.items()]
    return Advice(ways, "; ".join(said))


def _finer(x: Floats, place: float, factor: int) -> Floats:
    """Points with those within a third of the reach `factor` times as dense."""
    r = CLOSE * float(reach(np.array(place)))
    left = np.flatnonzero(np.abs((x[1:] + x[:-1]) / 2 - place) < r)
    shares = np.arange(1, factor) / factor
    added = x[left, np.newaxis] + np.diff(x)[left, np.newaxis] * shares
    return np.sort(np.concatenate([x, added.ravel()]))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _text(way: Mapping[str, Any], control_name: str, independent: bool) -> str:
    parts = []
    if way["finer_points"]:
        parts.append(f"put {control_name} {way['finer_points']:g} times finer about the maximum")
    if way["smaller_errors"]:
        parts.append(f"make errors {way['smaller_errors']:g} times smaller")
    if parts:
        return ", or ".join(parts)
    finer = f"neither points {FINER[-1]:g} times finer nor " if independent else "not even "
    return f"{finer}errors {SMALLER_ERRORS[-1]:g} times smaller would decide"
