"""Table of model families with their best fits and two weights, and predictions of a height.

A family is the shapes of one form, which differ by their parameters: of growth with the size
(`models_of`), or of a peak along the control (`models_of_peaks`).  Schwarz weights cost k ln n
(G. Schwarz, Ann. Stat. 6 (1978) 461), with equal prior weight for the classes, AICc weights 2 k
with the correction for few data (N. Sugiura, Commun. Stat. Theory Methods 7 (1978) 13); k counts
level, growth, a correction and the free parameters of the form.  The weights are a guide: the
coverage of a verdict rests on its calibration alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.core.student import chi2_tail
from heatcap.divergence.heights import LEAST_SIZES, Heights
from heatcap.divergence.margins import CLASSES, Margins
from heatcap.divergence.peak_fit import PeakFits
from heatcap.divergence.peak_shapes import reach
from heatcap.divergence.testing import Fits, problem

__all__ = ["models_of", "models_of_peaks", "predictions"]


def models_of(fits: Fits) -> list[dict[str, Any]]:
    """Make the rows of `Verdict.models`, those with the largest weight first."""
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
        rows.append(_model_row(family, kind, parameters, float(fits.chi2[i]), n - count))
        counts.append(count)
    return _weighted(rows, counts, n)


def _model_row(
    family: str, kind: int, parameters: dict[str, float], chi2: float, dof: int
) -> dict[str, Any]:
    return {
        "name": family,
        "class": CLASSES[kind],
        "parameters": parameters,
        "chi2": chi2,
        "dof": dof,
        "p_value": chi2_tail(chi2, dof),
    }


def _weighted(rows: list[dict[str, Any]], counts: list[int], n: int) -> list[dict[str, Any]]:
    """Add the two weights to rows, from chi^2 and the numbers of parameters and of data."""
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
    """Weights exp(-cost / 2), normalised; equal where no cost is finite."""
    if not np.isfinite(cost).any():
        return np.full(len(cost), 1 / len(cost))
    weight = np.exp(-(cost - cost[np.isfinite(cost)].min()) / 2)
    return np.asarray(weight / weight.sum())


def models_of_peaks(fits: PeakFits) -> list[dict[str, Any]]:
    """Make the rows of `PeakVerdict.models`, those with the largest weight first."""
    families: dict[str, list[int]] = {}
    for i, (family, _) in enumerate(fits.problem.rows):
        families.setdefault(family.name, []).append(i)
    n, rows, counts = len(fits.problem.error), [], []
    for members in families.values():
        i = members[int(np.argmin(fits.chi2[members]))]
        family, theta = fits.problem.rows[i]
        count = _peak_count(fits, i)
        parameters = _peak_parameters(fits, i, dict(zip(family.axes, theta.tolist(), strict=True)))
        rows.append(
            _model_row(family.name, family.kind, parameters, float(fits.chi2[i]), n - count)
        )
        counts.append(count)
    return _weighted(rows, counts, n)


def _peak_count(fits: PeakFits, i: int) -> int:
    """Number of parameters: level, change, slope and asymmetry if any, and those of the form."""
    prepared = fits.problem
    family, _ = prepared.rows[i]
    if i < len(prepared.flat):
        return 2 + len(family.axes)
    return 3 + int(prepared.peaks.box[5, i - len(prepared.flat)] > 0) + len(family.axes)


def _peak_change(fits: PeakFits, i: int) -> float:
    """Change of the form over the points, without its linear part if the shape has a slope."""
    prepared, x = fits.problem, fits.problem.curve.x
    i_peak = i - len(prepared.flat)
    shapes, at = (prepared.flat, i) if i_peak < 0 else (prepared.peaks, i_peak)
    form = shapes.g[at] + fits.b[i] * shapes.e[at]
    if i_peak >= 0:
        form = form - np.polyval(np.polyfit(x, form, 1), x)
    return float(fits.a[i] * np.ptp(form))


def _peak_parameters(fits: PeakFits, i: int, theta: dict[str, float]) -> dict[str, float]:
    """Parameters in units of the control: level, slope, change, amplitudes, those of the form."""
    curve = fits.problem.curve
    span = curve.ends[1] - curve.ends[0]
    b = float(fits.b[i])
    named = {
        "s": float(fits.s[i]),
        "slope": float(fits.c[i] / span),
        "change": _peak_change(fits, i),
    }
    # In a flat form e is a drift, not an asymmetry.
    if b and "x_c" in theta and i >= len(fits.problem.flat):
        named["right_over_left"] = (1 + b) / (1 - b)
    for name, value in theta.items():
        if name == "x_c":
            named[name] = float(curve.at(np.array(value)))
        elif name == "delta":
            named[name] = float(reach(np.array(theta["x_c"])) * np.exp(value) * span)
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
    """Predict the height at the largest size from all other sizes, by class.

    `pull` is the observed height minus the predicted one, in units of the error of the height
    alone: the extrapolation error of each class over one size.
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
