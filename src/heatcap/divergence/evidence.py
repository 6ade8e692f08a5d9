"""Evidence for every model: approximate marginal likelihood, and AICc beside it.

A model is a family of shapes that differ by their parameters.  With flat priors on the level and on
the growth, in the same units for all models, the integral over both is that of a Gaussian,

    Z ~ mean over the shapes of exp(-chi^2 / 2) / sqrt(det F),   F = (1, g)^T W (1, g),

up to a factor common to all.  Classes have equal prior weight, so have the families of a class;
a correction costs exp(-penalty / 2).  The box is not integrated over: weights are a guide, and the
guarantee of a verdict rests on its calibration alone.  AICc (N. Sugiura, Commun. Stat. Theory
Methods 7 (1978) 13) counts level, growth, the shape's parameter and a correction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from heatcap._vector import Floats
from heatcap.divergence._kernel import Ints
from heatcap.divergence.growth import Shapes
from heatcap.divergence.margins import CLASSES
from heatcap.divergence.plausible import Fits

__all__ = ["models_of"]


def models_of(fits: Fits) -> list[dict[str, Any]]:
    """Rows of `Verdict.models`, those with the largest weight first."""
    shapes = fits.problem.shapes
    families: dict[tuple[int, str], list[int]] = {}
    for i, kind in enumerate(shapes.kind.tolist()):
        families.setdefault((kind, shapes.name(i)), []).append(i)
    per_class = np.bincount([kind for kind, _ in families], minlength=len(CLASSES))
    rows, log_z, aicc = [], [], []
    for (kind, family), members in families.items():
        index = np.array(members)
        i = int(index[np.argmin(fits.score[index])])
        rows.append(_row(fits, i, family, len(members)))
        log_z.append(_log_evidence(fits, index) - np.log(per_class[kind]))
        aicc.append(_aicc(fits, i, len(members)))
    for name, weights in (
        ("weight", _normalised(np.array(log_z))),
        ("aicc_weight", _normalised(-np.array(aicc) / 2)),
    ):
        for row, weight in zip(rows, weights, strict=True):
            row[name] = float(weight)
    return sorted(rows, key=lambda row: -row["weight"])


def _row(fits: Fits, i: int, family: str, members: int) -> dict[str, Any]:
    shapes = fits.problem.shapes
    parameters = {"s": float(fits.s[i]), "growth": float(fits.a[i])} | shapes.parameters(i)
    if shapes.omega[i]:
        parameters |= {"b": float(fits.b[i]), "omega": float(shapes.omega[i])}
    dof = len(fits.problem.error) - _count(shapes, i, members)
    chi2 = float(fits.chi2[i])
    p = float(stats.chi2.sf(chi2, dof)) if dof > 0 else float("nan")
    return {
        "name": family,
        "class": CLASSES[shapes.kind[i]],
        "parameters": parameters,
        "chi2": chi2,
        "dof": dof,
        "p_value": p,
    }


def _count(shapes: Shapes, i: int, members: int) -> int:
    """Level, growth, the shape's parameters if there are several such shapes, a correction."""
    free = len(shapes.parameters(i)) if members > 1 else 0
    return 2 + free + 2 * int(shapes.omega[i] > 0)


def _log_evidence(fits: Fits, index: Ints) -> float:
    p = fits.problem.parts.products[index]
    log = -fits.score[index] / 2 - 0.5 * np.log(p[:, 0] * p[:, 2] - p[:, 1] ** 2)
    return float(np.logaddexp.reduce(log) - np.log(len(index)))


def _aicc(fits: Fits, i: int, members: int) -> float:
    n, k = len(fits.problem.error), _count(fits.problem.shapes, i, members)
    small = 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.inf
    return float(fits.chi2[i]) + 2 * k + small


def _normalised(log: Floats) -> Floats:
    if not np.isfinite(log).any():
        return np.full(len(log), 1 / len(log))
    weight = np.exp(log - log[np.isfinite(log)].max())
    return np.asarray(weight / weight.sum())
