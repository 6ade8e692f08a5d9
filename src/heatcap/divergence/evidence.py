"""Every family of shapes with its best fit and two weights: Schwarz, and AICc beside it.

A family is the shapes of one form, which differ by their parameters.  Both weights count those that
are free, the level, the growth and a correction: k ln n (G. Schwarz, Ann. Stat. 6 (1978) 461), with
classes alike, and 2 k with its term for few data (N. Sugiura, Commun. Stat. Theory Methods 7 (1978)
13).  They are a guide: the guarantee of a verdict rests on its calibration alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from heatcap.core.arrays import Floats
from heatcap.divergence.growth import Shapes
from heatcap.divergence.margins import CLASSES
from heatcap.divergence.testing import Fits

__all__ = ["add_weights", "models_of"]


def models_of(fits: Fits) -> list[dict[str, Any]]:
    """Rows of `Verdict.models`, those with the largest weight first."""
    shapes = fits.problem.shapes
    best: dict[tuple[int, str], int] = {}
    for i in np.argsort(fits.score, kind="stable").tolist():
        best.setdefault((int(shapes.kind[i]), shapes.name(i)), i)
    counts = [_count(shapes, i) for i in best.values()]
    rows = [
        _row(fits, i, family, k) for ((_, family), i), k in zip(best.items(), counts, strict=True)
    ]
    return add_weights(rows, counts, len(fits.problem.error))


def add_weights(rows: list[dict[str, Any]], counts: list[int], n: int) -> list[dict[str, Any]]:
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


def _row(fits: Fits, i: int, family: str, count: int) -> dict[str, Any]:
    shapes = fits.problem.shapes
    parameters = {"s": float(fits.s[i]), "growth": float(fits.a[i])} | shapes.parameters(i)
    if shapes.omega[i]:
        parameters |= {"b": float(fits.b[i]), "omega": float(shapes.omega[i])}
    dof, chi2 = len(fits.problem.error) - count, float(fits.chi2[i])
    return {
        "name": family,
        "class": CLASSES[shapes.kind[i]],
        "parameters": parameters,
        "chi2": chi2,
        "dof": dof,
        "p_value": float(stats.chi2.sf(chi2, dof)) if dof > 0 else float("nan"),
    }


def _count(shapes: Shapes, i: int) -> int:
    """Level, growth, the shape's free parameters, a correction and its exponent."""
    return 2 + int(shapes.free[i].sum()) + 2 * int(shapes.omega[i] > 0)


def _normalised(cost: Floats) -> Floats:
    """Weights exp(-cost / 2); alike where no cost is finite."""
    if not np.isfinite(cost).any():
        return np.full(len(cost), 1 / len(cost))
    weight = np.exp(-(cost - cost[np.isfinite(cost)].min()) / 2)
    return np.asarray(weight / weight.sum())
