"""What is left over by a fit, and what a fit without any structure would leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from heatcap.core.arrays import Floats
from heatcap.scaling.collapse_problem import OWN, SHARED, Block, Problem
from heatcap.scaling.data import Points

__all__ = ["pattern", "without_structure"]


def pattern(residuals: Floats, parts: Sequence[Points]) -> list[dict[str, Any]]:
    """By observable: do residuals of neighbours agree, which size stands out, which point.

    `neighbours` is the autocorrelation of successive residuals of one size, `sigma` how many of its
    standard errors that is; `mean_square_by_size` is 1 where errors are right; `largest` is the
    point that is furthest off, in units of its error.
    """
    out, start = [], 0
    for part in parts:
        r = residuals[start : start + len(part)]
        start += len(part)
        same = part.size[1:] == part.size[:-1]
        products = (r[1:] * r[:-1])[same]
        correlation = float(products.sum() / max((r**2).sum(), 1e-300))
        worst = int(np.abs(r).argmax())
        out.append(
            {
                "name": part.name,
                "neighbours": correlation,
                "sigma": correlation * np.sqrt(max(products.size, 1)),
                "mean_square_by_size": {
                    f"{size:g}": float(np.mean(r[part.size == size] ** 2))
                    for size in np.unique(part.size)
                },
                "largest": {
                    "size": float(part.size[worst]),
                    "control": float(part.control[worst]),
                    "residual": float(r[worst]),
                },
            }
        )
    return out


def without_structure(problem: Problem) -> tuple[float, int]:
    """chi^2 and parameters of values that do not depend on the control, A = B L^exponent."""
    chi2, parameters = 0.0, 0
    for b, block in enumerate(problem.blocks):
        name = problem.names[SHARED + OWN * b]
        if name in problem.fixed:
            chi2 += _constant(problem.fixed[name], block)
            parameters += 1
            continue
        fit = minimize_scalar(_constant, args=(block,), bounds=(-4, 4), method="bounded")
        chi2 += min(float(fit.fun), _constant(0.0, block))
        parameters += 2
    return chi2, parameters


def _constant(exponent: float, block: Block) -> float:
    column = block.whitened(np.exp(exponent * block.log_size))
    off = block.value - column * (column @ block.value) / (column @ column)
    return float(off @ off)
