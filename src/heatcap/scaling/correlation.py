"""Points of one size that share their runs: how far along the control residuals hang together.

Errors of such points are right one by one, but not independent: a fit that takes them so finds a
chi^2 far below its degrees of freedom and parameters with errors far too small.  Where a covariance
is given, nothing of this is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.scaling.data import Points

__all__ = ["Correlation", "measure"]


SIGNIFICANT = 4.0  # standard errors of the autocorrelation between neighbours, all sizes together


@dataclass(frozen=True, eq=False)
class Correlation:
    """A Gaussian kernel exp(-(x - x')^2 / 2 l^2) between points of one size.

    `lengths`: l by block and size, 0 where neighbours are independent.  `share`: independent
    points over points; 1 without any correlation.
    """

    lengths: Sequence[dict[float, float]]
    share: float

    def widened(self, jacobian: Floats, parts: Sequence[Points]) -> Floats:
        """J^T R J over the whitened residuals of all blocks, R their correlation."""
        out, start = np.zeros((jacobian.shape[1],) * 2), 0
        for part, lengths in zip(parts, self.lengths, strict=True):
            for size, length in lengths.items():
                rows = np.flatnonzero(part.size == size)
                j = jacobian[start + rows]
                if length == 0:
                    out += j.T @ j
                    continue
                apart = (part.control[rows][:, None] - part.control[rows]) / length
                out += j.T @ np.exp(-0.5 * apart**2) @ j
            start += len(part)
        return out


def measure(residuals: Floats, parts: Sequence[Points]) -> Correlation | None:
    """The correlation of whitened residuals along the control, or None if there is none."""
    lengths: list[dict[float, float]] = []
    start, score, count, independent = 0, 0.0, 0, 0.0
    for part in parts:
        own: dict[float, float] = {}
        for size in np.unique(part.size):
            rows = np.flatnonzero(part.size == size)
            r, x = residuals[start + rows], part.control[rows]
            score += _lagged(r, 1) * max(r.size - 1, 0)
            count += max(r.size - 1, 0)
            own[float(size)] = _length(r, x)
            independent += _independent(x, own[float(size)])
        lengths.append(own)
        start += len(part)
    if not count or score / np.sqrt(count) < SIGNIFICANT:
        return None
    return Correlation(lengths, min(1.0, independent / start))


def _lagged(r: Floats, lag: int) -> float:
    """Autocorrelation about zero: a common offset of a size is correlation, too."""
    square = float(np.mean(r**2)) if r.size > lag else 0.0
    return float(np.mean(r[:-lag] * r[lag:]) / square) if square > 0 else 0.0


def _length(r: Floats, x: Floats) -> float:
    """From the largest lag, doubled from 1, over which residuals still agree."""
    length, lag = 0.0, 1
    while lag < r.size / 2:
        rho = _lagged(r, lag)
        if rho < 0.3:
            break
        apart = float(np.mean(x[lag:] - x[:-lag]))
        length = apart / np.sqrt(-2 * np.log(min(rho, 0.95)))
        lag *= 2
    return length


def _independent(x: Floats, length: float) -> float:
    """Number of independent points on a record of the control."""
    if length == 0 or x.size < 2:
        return float(x.size)
    return float(np.clip(np.ptp(x) / (np.sqrt(2 * np.pi) * length), 1.0, x.size))
