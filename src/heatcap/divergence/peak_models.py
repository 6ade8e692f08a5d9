"""Every family of forms with its best fit: parameters in units of the control, and weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from heatcap.divergence.evidence import add_weights
from heatcap.divergence.margins import CLASSES
from heatcap.divergence.peak_fit import PeakFits
from heatcap.divergence.peak_shapes import reach

__all__ = ["models_of_peaks"]


def models_of_peaks(fits: PeakFits) -> list[dict[str, Any]]:
    """Rows of `PeakVerdict.models`, those with the largest weight first."""
    families: dict[str, list[int]] = {}
    for i, (family, _) in enumerate(fits.problem.rows):
        families.setdefault(family.name, []).append(i)
    n = len(fits.problem.error)
    best = [members[int(np.argmin(fits.chi2[members]))] for members in families.values()]
    counts = [_count(fits, i) for i in best]
    return add_weights([_row(fits, i, n - k) for i, k in zip(best, counts, strict=True)], counts, n)


def _count(fits: PeakFits, i: int) -> int:
    """Level, change, slope and asymmetry where it has them, and the parameters of its form."""
    own = fits.problem
    family, _ = own.rows[i]
    if i < len(own.flat):
        return 2 + len(family.axes)
    return 3 + int(own.peaks.box[5, i - len(own.flat)] > 0) + len(family.axes)


def _row(fits: PeakFits, i: int, dof: int) -> dict[str, Any]:
    family, theta = fits.problem.rows[i]
    chi2 = float(fits.chi2[i])
    return {
        "name": family.name,
        "class": CLASSES[family.kind],
        "parameters": _parameters(fits, i, dict(zip(family.axes, theta.tolist(), strict=True))),
        "chi2": chi2,
        "dof": dof,
        "p_value": float(stats.chi2.sf(chi2, dof)) if dof > 0 else float("nan"),
    }


def _change(fits: PeakFits, i: int) -> float:
    """Of the form over the points, upwards or downwards; where there is a slope, beside it."""
    own, x = fits.problem, fits.problem.curve.x
    i_peak = i - len(own.flat)
    shapes, at = (own.flat, i) if i_peak < 0 else (own.peaks, i_peak)
    form = shapes.g[at] + fits.b[i] * shapes.e[at]
    if i_peak >= 0:
        form = form - np.polyval(np.polyfit(x, form, 1), x)
    return float(fits.a[i] * np.ptp(form))


def _parameters(fits: PeakFits, i: int, found: dict[str, float]) -> dict[str, float]:
    """In units of the control: level, slope and change of the values, ratio of amplitudes."""
    curve = fits.problem.curve
    span = curve.ends[1] - curve.ends[0]
    b = float(fits.b[i])
    named = {"s": float(fits.s[i]), "slope": float(fits.c[i] / span), "change": _change(fits, i)}
    # What e stands for in a flat form is drift.
    if b and "x_c" in found and i >= len(fits.problem.flat):
        named["right_over_left"] = (1 + b) / (1 - b)
    for name, value in found.items():
        if name == "x_c":
            named[name] = float(curve.at(np.array(value)))
        elif name == "delta":
            named[name] = float(reach(np.array(found["x_c"])) * np.exp(value) * span)
        elif name in ("power", "tilt"):
            continue
        elif name == "log2_m":
            named["m"] = float(2.0**value)
        elif name == "lean":
            named["wider_right"] = float(np.exp(2 * value))
        elif name == "w":
            named[name] = float(np.exp(value) * span)
        else:
            named[name] = float(np.exp(value)) if name in ("D", "q", "p") else value
    return named
