"""Curves of a fitted flow for a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.scaling.data import Points
from heatcap.scaling.flow import Fit
from heatcap.scaling.flow_scan import Model, weights_of

__all__ = ["curves_of"]


CURVE = 120  # points of a curve


def curves_of(models: Sequence[Model]) -> dict[str, Any]:
    """What :class:`heatcap.scaling.Stiffness` holds as `curves`."""
    weights = weights_of(models)
    best = models[int(np.argmax(weights))]
    fit, used = best.fit, best.points
    t_kt = fit.of("t_kt")[0]
    window = used.control.min(), used.control.max()
    fine = np.linspace(*window, CURVE)
    sizes = np.unique(used.size)
    first, last = 1 / np.log(sizes[[0, -1]])
    grid = np.exp(
        1 / np.concatenate([np.linspace(first, last, 20), last * np.geomspace(0.9, 0.05, 30)])
    )
    at = _y(fit, sizes, np.concatenate([fine, [t_kt]]))
    measured = [_moved(fit, used, size, at[k, -1]) for k, size in enumerate(sizes)]
    heavy = [k for k in np.argsort(-weights)[:8] if weights[k] > 0.01]
    return {
        "size": sizes,
        "used": set(zip(used.size.tolist(), used.control.tolist(), strict=True)),
        "temperature": fine,
        "stiffness": at[:, :-1] * 2 * fine / np.pi,
        "t_kt": t_kt,
        "measured": np.array([m[0] for m in measured]),
        "measured_error": np.array([m[1] for m in measured]),
        "log_size": np.log(grid),
        "at_t_kt": [_critical(models[k].fit, grid) for k in heavy],
        "weight": weights[heavy],
    }


def _y(fit: Fit, sizes: Floats, temperatures: Floats) -> Floats:
    """y of the fit (size, temperature); no size below its smallest."""
    first = fit.problem.log_sizes[0]
    logs = np.maximum(np.log(sizes), first)
    every = np.unique(np.concatenate([[first], logs]))
    problem = replace(fit.problem, log_sizes=every)
    v = problem.running(fit.theta[None], fit.form, fit.free_jump, temperatures)[:, 0]
    values = 1 + v[np.searchsorted(every, logs)] / 2
    if fit.form.correction:
        weight = fit.theta[fit.form.names(fit.free_jump).index("correction")]
        values = values + weight * np.exp(-2 * (logs - first))[:, None]
    return np.asarray(fit.of("jump")[0] * values)


def _critical(fit: Fit, sizes: Floats) -> Floats:
    """y at the fit's own T_KT; NaN below its smallest size."""
    y = _y(fit, sizes, fit.theta[:1])[:, 0]
    return np.where(np.log(sizes) >= fit.problem.log_sizes[0] - 1e-9, y, np.nan)


def _moved(fit: Fit, used: Points, size: float, there: float) -> tuple[float, float]:
    """y of the two temperatures nearest to T_KT, moved there along the fit."""
    own = used.take(used.size == size)
    own = own.take(np.argsort(np.abs(own.control - fit.of("t_kt")[0]))[:2])
    factor = np.pi / (2 * own.control)
    expected = np.array([_y(fit, np.array([size]), np.array([t]))[0, 0] for t in own.control])
    weight = 1 / (own.error * factor) ** 2
    off = float(np.sum(weight * (own.value * factor - expected)) / weight.sum())
    return there + off, float(1 / np.sqrt(weight.sum()))
