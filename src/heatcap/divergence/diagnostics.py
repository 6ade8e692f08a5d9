"""What to look at beside the verdict: local exponents, stability, and a prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatcap.divergence.exponent import growth_exponent
from heatcap.divergence.heights import LEAST_SIZES, Heights
from heatcap.divergence.margins import CLASSES, Margins
from heatcap.divergence.power import verdict_of
from heatcap.divergence.testing import plausible, problem

__all__ = ["local_exponents", "predictions", "stability"]


def local_exponents(data: Heights) -> list[dict[str, float]]:
    """kappa_eff of A L^kappa, fitted to the sizes from L_min on, against 1 / ln L.

    L is the geometric mean of those sizes.  Towards 1 / ln L = 0 a power law tends to its exponent,
    a logarithm to 0 like 1 / ln L, what saturates to 0 faster.  Heights that are not positive
    have no logarithm: their sizes are left out.
    """
    rows = []
    for first in range(len(data.sizes) - 2):
        part = data.take(slice(first, None))
        if np.any(part.heights <= 0):
            continue
        log, y = np.log(part.sizes), np.log(part.heights)
        weight = np.linalg.inv(part.covariance / np.outer(part.heights, part.heights))
        design = np.column_stack([np.ones_like(log), log])
        inverse = np.linalg.inv(design.T @ weight @ design)
        slope = (inverse @ design.T @ weight @ y)[1]
        rows.append(
            {
                "smallest_size": float(part.sizes[0]),
                "inverse_log_size": float(1 / log.mean()),
                "exponent": float(slope),
                "error": float(np.sqrt(inverse[1, 1])),
            }
        )
    return rows


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


def stability(
    data: Heights,
    margins: Margins,
    exponent: float | None,
    *,
    level: float,
    draws: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Plausible classes and exponent without the smallest sizes; at most half are left out."""
    rows = []
    for first in range(1, len(data.sizes) // 2 + 1):
        part = data.take(slice(first, None))
        if len(part.sizes) < LEAST_SIZES:
            break
        setup = problem(part.sizes, part.covariance, margins, exponent, heights=part.heights)
        found = plausible(setup, part.heights, draws=draws, rng=rng)
        names = found.names(level)
        rows.append(
            {
                "smallest_size": float(part.sizes[0]),
                "plausible": list(names),
                "verdict": verdict_of(names),
                "exponent": growth_exponent(part).to_dict(),
            }
        )
    return rows
