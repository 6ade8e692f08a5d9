"""What a collapse shows: scaled points and the scaling function F, in the units of the table.

    x_scaled    = (x - x_c) S(L)                      S = L^(1/nu), L^d or (ln L/L0)^2
    y_scaled    = A L^-exponent                       over K(L), where theory gives one
    y_corrected = F(x_scaled) + (A - fit) L^-exponent

x_c, the shape parameter, the exponents and omega are those reported; the fit of the largest weight
is made again with them, so that axes, points and F belong to the numbers of the summary.  F has as
many knots as the sizes predict of each other: the fewest whose squared residuals of a size, from F
of the other sizes, exceed the least by no more than one standard error (T. Hastie, R. Tibshirani
and J. Friedman, The Elements of Statistical Learning, 2009, section 7.10).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter
from heatcap.scaling.ansatz import Ansatz
from heatcap.scaling.collapse_fits import KNOTS, Fit, solve
from heatcap.scaling.collapse_problem import Block, Model, Problem
from heatcap.scaling.data import Points

__all__ = ["COLUMNS", "shown", "table_of"]

#: Columns of an exported table.
COLUMNS = (
    "size", "control", "value", "error", "x_scaled", "y_scaled", "y_corrected", "residual",
    "y_error", "used",
)  # fmt: skip
GRID = 200  # abscissae of F
WORSE = 2.0  # in chi^2 + 2 k: what a smoother F may cost
NUISANCE = ("b", "a", "s")


def shown(
    best: Fit, parameters: Mapping[str, Parameter], parts: Sequence[Points], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Scaled points of all rows, and F, by observable.

    Returns
    -------
    list of dict
        `name`; the arrays of `COLUMNS` (point), NaN where F is not known; `x` and `y`, which are
        x_scaled and y_corrected; `grid`, `f`, `band` (one standard deviation of F) and `covered`,
        the number of sizes whose points lie on both sides; `reference`, the values that scale.
    """
    used = best.problem
    held = {name: p.value for name, p in parameters.items() if name in names}
    theta = best.solution.theta.copy()
    for name, value in held.items():
        theta[list(names).index(name)] = value
    fixed = replace(used, fixed={**used.fixed, **held})
    theta, knots = _smoothest(fixed, theta, best.solution.model)
    blocks = [
        Block.of(replace(part, covariance=None), block.log_ref)
        for part, block in zip(parts, used.blocks, strict=True)
    ]
    whole = replace(fixed, blocks=blocks)
    out = []
    for b, (part, rows) in enumerate(zip(parts, best.rows, strict=True)):
        curve = _curve(b, part, np.isin(np.arange(len(part)), rows), fixed, whole, theta, knots[b])
        curve["reference"] = _reference(b, fixed, theta, names, parameters)
        out.append({"name": part.name} | curve)
    return out


def table_of(curves: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Table of all scaled points, with a last column `observable` if there are several."""
    frames = []
    for curve in curves:
        frame = pd.DataFrame({name: curve[name] for name in COLUMNS})
        frame["used"] = frame["used"].astype(int)
        if len(curves) > 1:
            frame["observable"] = curve["name"]
        frames.append(frame)
    if not frames:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(frames, ignore_index=True)


def _curve(
    b: int,
    part: Points,
    used: NDArray[np.bool_],
    fitted: Problem,
    whole: Problem,
    theta: Floats,
    knots: Floats,
) -> dict[str, Any]:
    """Points of one observable in the units of the table, and its scaling function."""
    form, log_ref = fitted.ansatz, fitted.blocks[b].log_ref
    exponent = float(fitted.own(b, theta)[0])
    unit = fitted.half * float(np.exp(_stretch(form, np.array([log_ref]), theta)[0]))
    height = float(np.exp(-_amplitude(form, np.array([log_ref]), exponent)[0]))
    f, covariance = _spline(b, fitted, theta, knots)
    low, high = float(knots[0]), float(knots[-1])

    log_size = np.log(part.size)
    x = (part.control - theta[0]) * np.exp(_stretch(form, log_size, theta))
    scale = np.exp(-_amplitude(form, log_size, exponent))
    bare = whole.scaled(b, theta)
    reached = (bare >= low) & (bare <= high)
    fit = np.full(x.size, np.nan)
    fit[reached] = (whole.factor(b, theta) * f(bare.clip(low, high)))[reached]
    off = part.value - fit
    known = reached & (x >= unit * low) & (x <= unit * high)
    corrected = np.where(known, height * f((x / unit).clip(low, high)) + off * scale, np.nan)

    grid = np.linspace(max(low, x[used].min() / unit), min(high, x[used].max() / unit), GRID)
    basis = BSpline.design_matrix(grid, knots, 3).toarray()
    within = [x[used & (part.size == size)] for size in np.unique(part.size[used])]
    between = [(grid * unit >= row.min()) & (grid * unit <= row.max()) for row in within]
    return {
        "size": part.size,
        "control": part.control,
        "value": part.value,
        "error": part.error,
        "x_scaled": x,
        "y_scaled": part.value * scale,
        "y_corrected": corrected,
        "y_error": part.error * scale,
        "residual": off / part.error,
        "used": used,
        "x": x,
        "y": corrected,
        "grid": grid * unit,
        "f": height * (basis @ f.c),
        "band": height * np.sqrt(np.einsum("ij,jk,ik->i", basis, covariance, basis)),
        "covered": np.sum(between, axis=0),
    }


def _stretch(form: Ansatz, log_size: Floats, theta: Floats) -> Floats:
    """ln S of the sizes."""
    return form.stretch(log_size, float(theta[1]))[0]


def _amplitude(form: Ansatz, log_size: Floats, exponent: float) -> Floats:
    """ln(L^exponent K(L))."""
    power = exponent * log_size
    return power if form.amplitude is None else power + form.amplitude(log_size)


def _design(b: int, problem: Problem, theta: Floats, knots: Floats) -> Floats:
    x = problem.scaled(b, theta).clip(knots[0], knots[-1])
    return np.asarray(
        BSpline.design_matrix(x, knots, 3).toarray() * problem.factor(b, theta)[:, None]
    )


def _spline(b: int, problem: Problem, theta: Floats, knots: Floats) -> tuple[Any, Floats]:
    """f of a block, in the units of the fit, and the covariance of its coefficients."""
    block = problem.blocks[b]
    whitened = block.whitened(_design(b, problem, theta, knots))
    coefficients, *_ = np.linalg.lstsq(whitened, block.value, rcond=1e-10)
    covariance = np.linalg.pinv(whitened.T @ whitened, rcond=1e-12, hermitian=True)
    return BSpline(knots, coefficients, 3), np.asarray(covariance)


def _reference(
    b: int,
    problem: Problem,
    theta: Floats,
    names: Sequence[str],
    parameters: Mapping[str, Parameter],
) -> dict[str, Any]:
    """Values behind the scaled points: reported ones with errors, corrections, their units."""
    own = names[4 + 4 * b : 8 + 4 * b]
    values = dict(zip(names, theta.tolist(), strict=True))
    mine = ("x_c", problem.ansatz.parameter, own[0])
    return {
        **{
            "exponent" if n == own[0] else n: {"value": values[n], "error": parameters[n].error}
            for n in mine
        },
        "corrections": {n: values[n] for n in ("omega", "c")}
        | {short: values[n] for short, n in zip(NUISANCE, own[1:], strict=True)},
        "size": float(np.exp(problem.blocks[b].log_ref)),
        "half_range_of_control": problem.half,
        "x_scaled": "(control - x_c) " + _FORMULAS.get(problem.ansatz.name, "S(size)"),
        "y_scaled": "value size^-exponent" + " / K(size)" * (problem.ansatz.amplitude is not None),
    }


_FORMULAS = {
    "second-order": "size^inverse_nu",
    "first-order": "size^dimension",
    "kosterlitz-thouless": "(ln(size) - log_l0)^2",
}


def _smoothest(problem: Problem, theta: Floats, model: Model) -> tuple[Floats, list[Floats]]:
    """theta and knots of the smoothest F that sizes predict of each other and points allow."""
    tried = [k for k in KNOTS if k < model.knots] + [model.knots]
    unseen = [
        np.concatenate(
            [
                _unseen(b, problem, theta, knots)
                for b, knots in enumerate(problem.knots(theta, replace(model, knots=k)))
            ]
        )
        for k in tried
    ]
    best = unseen[int(np.argmin([squares.sum() for squares in unseen]))]
    theta_full, chi2 = _refitted(problem, theta, model)
    each = 2 * len(problem.blocks)
    for k, squares in zip(tried[:-1], unseen, strict=False):
        excess = squares - best
        if excess.sum() > np.sqrt(excess.size) * excess.std():
            continue
        smoother = replace(model, knots=k)
        moved, other = _refitted(problem, theta, smoother)
        if other + each * k <= chi2 + each * model.knots + WORSE:
            return moved, problem.knots(moved, smoother)
    return theta_full, problem.knots(theta_full, model)


def _refitted(problem: Problem, theta: Floats, model: Model) -> tuple[Floats, float]:
    """theta with the corrections fitted again, and chi^2."""
    if problem.free(model).size:
        solution = solve(problem, theta, model)
        return solution.theta, solution.chi2
    residuals, _, _ = problem.evaluate(theta, problem.knots(theta, model), jacobian=False)
    return theta, float(residuals @ residuals)


def _unseen(b: int, problem: Problem, theta: Floats, knots: Floats) -> Floats:
    """Squared residuals, in errors, of points of a size from f of the others, in their range."""
    block, x = problem.blocks[b], problem.scaled(b, theta)
    error = block.error
    design = _design(b, problem, theta, knots) / error[:, None]
    value = block.raw / error
    out = np.zeros(x.size)
    for size in np.unique(block.log_size):
        mine = block.log_size == size
        if mine.all():
            return out
        others = design[~mine]
        solved = np.linalg.pinv(others.T @ others, rcond=1e-10, hermitian=True)
        unseen = mine & (x >= x[~mine].min()) & (x <= x[~mine].max())
        fitted = design[unseen] @ (solved @ (others.T @ value[~mine]))
        out[unseen] = (value[unseen] - fitted) ** 2
    return out
