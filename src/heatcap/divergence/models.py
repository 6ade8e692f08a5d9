"""Every family of shapes with its best fit and two weights: Schwarz, and AICc beside it.

A family is the shapes of one form, which differ by their parameters: of growth with the size, or of
a peak along the control.  Both weights count those that are free, the level, the growth and a
correction: k ln n (G. Schwarz, Ann. Stat. 6 (1978) 461), with classes alike, and 2 k with its term
for few data (N. Sugiura, Commun. Stat. Theory Methods 7 (1978) 13).  They are a guide: the
guarantee of a verdict rests on its calibration alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from heatcap.core.arrays import Floats
from heatcap.divergence.heights import LEAST_SIZES, Heights
from heatcap.divergence.margins import CLASSES, Margins
from heatcap.divergence.peak_fit import PeakFits
from heatcap.divergence.peak_shapes import reach
from heatcap.divergence.testing import Fits, problem

__all__ = ["models_of", "models_of_peaks", "predictions"]


def models_of(fits: Fits) -> list[dict[str, Any]]:
    """Rows of `Verdict.models`, those with the largest weight first."""
    shapes = fits.problem.shapes
    best: dict[tuple[int, str], int] = {}
    for i in np.argsort(fits.score, kind="stable").tolist():
        best.setdefault((int(shapes.kind[i]), shapes.name(i)), i)
    n, rows, counts = len(fits.problem.error), [], []
    for (kind, family), i in best.items():
        # Level, growth, the shape's free parameters, a correction and its exponent.
        count = 2 + int(shapes.free[i].sum()) + 2 * int(shapes.omega[i] > 0)
        parameters = {"s": float(fits.s[i]), "growth": float(fits.a[i])} | shapes.parameters(i)
        if shapes.omega[i]:
            parameters |= {"b": float(fits.b[i]), "omega": float(shapes.omega[i])}
        rows.append(_row(family, kind, parameters, float(fits.chi2[i]), n - count))
        counts.append(count)
    return _weighted(rows, counts, n)


def _row(
    family: str, kind: int, parameters: dict[str, float], chi2: float, dof: int
) -> dict[str, Any]:
    return {
        "name": family,
        "class": CLASSES[kind],
        "parameters": parameters,
        "chi2": chi2,
        "dof": dof,
        "p_value": float(stats.chi2.sf(chi2, dof)) if dof > 0 else float("nan"),
    }


def _weighted(rows: list[dict[str, Any]], counts: list[int], n: int) -> list[dict[str, Any]]:
    """Rows with the weights of their chi^2, from their numbers of parameters and of data."""
    k, chi2 = np.array(counts, dtype=np.float64), np.array([row["chi2"] for row in rows])
    alike = [sum(other["class"] == row["class"] for other in rows) for row in rows]
    with np.errstate(divide="ignore"):
        few = np.where(n > k + 1, 2 * k * (k + 1) / np.maximum(n - k - 1, 0), np.inf)
    for name, cost in (
        ("weight", chi2 + k * np.log(n) + 2 * np.log(alike)),
        ("aicc_weight", chi2 + 2 * k + few),
    ):
        for row, share in zip(rows, _normalised(cost), strict=True):
            row[name] = float(share)
    return sorted(rows, key=lambda row: -row["weight"])


def _normalised(cost: Floats) -> Floats:
    """Weights exp(-cost / 2); alike where no cost is finite."""
    if not np.isfinite(cost).any():
        return np.full(len(cost), 1 / len(cost))
    weight = np.exp(-(cost - cost[np.isfinite(cost)].min()) / 2)
    return np.asarray(weight / weight.sum())


def models_of_peaks(fits: PeakFits) -> list[dict[str, Any]]:
    """Rows of `PeakVerdict.models`, those with the largest weight first."""
    families: dict[str, list[int]] = {}
    for i, (family, _) in enumerate(fits.problem.rows):
        families.setdefault(family.name, []).append(i)
    n, rows, counts = len(fits.problem.error), [], []
    for members in families.values():
        i = members[int(np.argmin(fits.chi2[members]))]
        family, theta = fits.problem.rows[i]
        count = _peak_count(fits, i)
        parameters = _peak_parameters(fits, i, dict(zip(family.axes, theta.tolist(), strict=True)))
        rows.append(_row(family.name, family.kind, parameters, float(fits.chi2[i]), n - count))
        counts.append(count)
    return _weighted(rows, counts, n)


def _peak_count(fits: PeakFits, i: int) -> int:
    """Level, change, slope and asymmetry where it has them, and the parameters of its form."""
    own = fits.problem
    family, _ = own.rows[i]
    if i < len(own.flat):
        return 2 + len(family.axes)
    return 3 + int(own.peaks.box[5, i - len(own.flat)] > 0) + len(family.axes)


def _peak_change(fits: PeakFits, i: int) -> float:
    """Of the form over the points, upwards or downwards; where there is a slope, beside it."""
    own, x = fits.problem, fits.problem.curve.x
    i_peak = i - len(own.flat)
    shapes, at = (own.flat, i) if i_peak < 0 else (own.peaks, i_peak)
    form = shapes.g[at] + fits.b[i] * shapes.e[at]
    if i_peak >= 0:
        form = form - np.polyval(np.polyfit(x, form, 1), x)
    return float(fits.a[i] * np.ptp(form))


def _peak_parameters(fits: PeakFits, i: int, found: dict[str, float]) -> dict[str, float]:
    """In units of the control: level, slope and change of the values, ratio of amplitudes."""
    curve = fits.problem.curve
    span = curve.ends[1] - curve.ends[0]
    b = float(fits.b[i])
    named = {
        "s": float(fits.s[i]),
        "slope": float(fits.c[i] / span),
        "change": _peak_change(fits, i),
    }
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


def predictions(data: Heights, margins: Margins, exponent: float | None) -> list[dict[str, Any]]:
    """Height at the largest size, by the best fit of each class to all others.

    `pull` is the height seen less the predicted one, in units of the error of the height alone:
    how far each growth would have gone wrong by one size.
    """
    part = data.take(slice(None, -1))
    if len(part.sizes) < LEAST_SIZES:
        return []
    setup = problem(part.sizes, part.covariance, margins, exponent, heights=part.heights)
    fits = setup.fits(part.heights)
    rows = np.array([fits.of(kind)[0] for kind in range(len(CLASSES))])
    predicted = fits.curves_at(rows, data.sizes[-1:])[:, 0]
    return [
        {
            "class": name,
            "size": float(data.sizes[-1]),
            "height": float(data.heights[-1]),
            "predicted": float(value),
            "pull": float((data.heights[-1] - value) / data.errors[-1]),
        }
        for name, value in zip(CLASSES, predicted, strict=True)
    ]
