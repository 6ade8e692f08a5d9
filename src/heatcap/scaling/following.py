"""Corrections to scaling of a collapse, as they follow parameters that are moved by hand.

A fit determines corrections n and parameters p together.  At p beside the best ones, chi^2 is least
for n + dn/dp (p - p_best), to first order in p, where with the Jacobian J of all residuals

    dn/dp = -(J_n^T J_n)^-1 J_n^T J_p

(coefficients of the splines are projected out of J, priors are rows of it).  omega stays: in the
amplitudes alone X and ln A are linear, or nearly, and first order reaches far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.scaling.ansatz import ANSATZE, in_unit
from heatcap.scaling.collapse_problem import OMEGA, OWN, SHARED, C, Model, Problem, names_of
from heatcap.scaling.collapsing import Collapse
from heatcap.scaling.data import Points

__all__ = ["Following", "corrections_of", "rows_used"]


@dataclass(frozen=True, eq=False)
class Following:
    """Corrections c, omega, and b, a, s of every observable.

    Attributes
    ----------
    half, log_ref : float
        Units of the corrections: t = (x - x_c) / half, and ln of the size that is 1.
    best : ndarray (parameter)
        x_c, shape and exponents of the fit with the largest weight.
    values : ndarray (correction)
        There.
    slopes : ndarray (correction, parameter)
        dn/dp.
    """

    half: float
    log_ref: float
    best: Floats
    values: Floats
    slopes: Floats


def corrections_of(result: Collapse, parts: Sequence[Points]) -> Following | None:
    """Find the corrections of the fit with the largest weight; None where it has none.

    Parameters
    ----------
    result : Collapse
        With one of the ansaetze that have a name.
    parts : sequence of Points
        The data that `result` was made from.
    """
    if not result.models:
        return None
    row = max(result.models, key=lambda model: float(model["weight"]))
    rows = rows_used(result, parts)
    if rows is None:
        return None
    used = [part.take(chosen) for part, chosen in zip(parts, rows, strict=True)]
    form = in_unit(ANSATZE[result.ansatz], min(float(part.size.min()) for part in parts))
    names = names_of(form, [part.name for part in parts])
    theta = np.array([row["parameters"][name] for name in names], dtype=np.float64)
    corrected = min(np.unique(part.size).size for part in used) > 2
    problem, model = Problem.of(used, form, names, result.fixed), Model(row["knots"], corrected)
    own = SHARED + OWN * np.arange(len(parts))
    parameters = np.array([0, 1, *own])
    corrections = np.array([C, OMEGA, *(place + k for place in own for k in (1, 2, 3))])
    amplitudes = np.setdiff1d(corrections, OMEGA)
    free = np.intersect1d(amplitudes, problem.free(model))
    if not free.size and not theta[amplitudes].any():
        return None
    _, jacobian, _ = problem.evaluate(theta, problem.knots(theta, model))
    jacobian = np.vstack([jacobian, problem.priors(theta, model)[1]])
    slopes = np.zeros((theta.size, parameters.size))
    slopes[free] = -np.linalg.lstsq(jacobian[:, free], jacobian[:, parameters], rcond=1e-10)[0]
    return Following(
        half=problem.half,
        log_ref=problem.blocks[0].log_ref,
        best=theta[parameters],
        values=theta[corrections],
        slopes=slopes[corrections],
    )


def rows_used(result: Collapse, parts: Sequence[Points]) -> list[NDArray[np.bool_]] | None:
    """Rows of every part in the fit with the largest weight; None if it has other points."""
    if not result.curves:
        return None
    out = []
    for part, curve in zip(parts, result.curves, strict=True):
        pairs = _pairs(curve["size"], curve["control"])
        marks = curve.get("used", [True] * len(pairs))  # where curves hold all rows
        fitted = {pair for pair, mark in zip(pairs, marks, strict=True) if mark}
        rows = np.array([pair in fitted for pair in _pairs(part.size, part.control)])
        if np.count_nonzero(rows) < len(fitted):
            return None
        out.append(rows)
    return out


def _pairs(size: Floats, control: Floats) -> list[tuple[float, float]]:
    return list(zip(size.tolist(), control.tolist(), strict=True))
