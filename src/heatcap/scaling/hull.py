"""The concave hull of a curve, and its widest gap: a convex part of the entropy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats

__all__ = ["Gap", "hull_corners", "widest_gap"]


@dataclass(frozen=True, eq=False)
class Gap:
    """The largest distance of a curve from its concave hull, between the points it touches."""

    height: float
    low: float
    high: float
    slope: float
    hull: Floats


def widest_gap(x: Floats, y: Floats) -> Gap:
    corners = hull_corners(x, y)
    hull = np.interp(x, x[corners], y[corners])
    at = int((hull - y).argmax())
    right = int(np.searchsorted(corners, at))
    if hull[at] <= y[at] or right == 0:
        nan = float("nan")
        return Gap(0.0, nan, nan, nan, hull)
    a, b = corners[right - 1], corners[right]
    slope = float((y[b] - y[a]) / (x[b] - x[a]))
    return Gap(float(hull[at] - y[at]), float(x[a]), float(x[b]), slope, hull)


def hull_corners(x: Floats, y: Floats) -> NDArray[np.intp]:
    """Corners of the upper concave hull (Andrew's monotone chain)."""
    xs, ys = x.tolist(), y.tolist()
    kept: list[int] = []
    for i in range(len(xs)):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if (ys[b] - ys[a]) * (xs[i] - xs[b]) > (ys[i] - ys[b]) * (xs[b] - xs[a]):
                break
            kept.pop()
        kept.append(i)
    return np.array(kept)
