"""The smoother of one record: local straight lines and parabolas in ln step, and its scatter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.events.scatter import FINE, Contrasts, Scatter

__all__ = ["Smoother"]

Index = NDArray[np.intp]

LARGEST = 1000  # checkpoints; longer records are averaged in at most twice as many bins
COPIES = 200  # noisy copies behind the bias of a height


@dataclass(frozen=True)
class Smoother:
    """Local regression on ln step for all curves of one record.

    Attributes
    ----------
    x : ndarray (bin)
        ln step; a bin holds one checkpoint unless the record is longer than 1000.
    bin_of : ndarray (checkpoint)
    width : float
        Standard deviation of the Gaussian kernel in ln step.
    hat : ndarray (bin, bin)
        Matrix of the local-linear smoother.
    """

    x: Floats
    bin_of: Index
    width: float
    hat: Floats

    @classmethod
    def of(cls, x: Floats, width: float) -> Smoother:
        bin_of = np.arange(x.size)
        if x.size > LARGEST:
            # A twentieth of the kernel's width moves nothing that the kernel would let through.
            bin_width = max(width / 20, (x[-1] - x[0]) / (2 * LARGEST))
            _, bin_of = np.unique(np.floor((x - x[0]) / bin_width), return_inverse=True)
        count = np.bincount(bin_of)
        centres = np.bincount(bin_of, weights=x) / count
        return cls(centres, bin_of, width, _hat(centres, count, width))

    def mean(self, curve: Floats) -> Floats:
        """The curve averaged in every bin."""
        if self.bin_of.size == self.x.size:
            return curve
        return np.bincount(self.bin_of, weights=curve) / np.bincount(self.bin_of)

    def smooth(self, values: Floats) -> Floats:
        return np.asarray(self.hat @ values)

    def scatter(self, values: Floats) -> Scatter:
        """The scatter of a curve, its own correlation in it."""
        return Scatter.of(self.x, self.hat, self._contrasts, values)

    def fit(self, values: Floats, peak: int) -> tuple[float, float]:
        """ln step and height of the vertex of the local parabola at a maximum."""
        at = np.array([peak])
        x, height = self._vertices(self._parabolas(at) @ values, at)
        return float(x[0]), float(height[0])

    def bias(self, scatter: Scatter, peak: int) -> float:
        """Mean height found on noisy copies of the smoothed curve, less that curve's own height.

        Two biases at once: the maximum of a noisy curve is too high, that of a smoothed one too
        low.  The copies are the same at every call.
        """
        smoothed = scatter.smoothed
        copies = smoothed[:, None] + scatter.deviation[:, None] * self._normals
        near = (np.abs(self.x - self.x[peak]) <= 3 * self.width) | (
            np.abs(np.arange(self.x.size) - peak) <= 2
        )
        near[[0, -1]] = False
        candidates = np.flatnonzero(near)
        highest = (self.hat[candidates] @ copies).argmax(axis=0)
        maps = self._parabolas(candidates)[highest]
        _, heights = self._vertices(np.einsum("bcx,xb->bc", maps, copies), candidates[highest])
        return float(heights.mean() - _vertex_of_three(self.x, smoothed, peak))

    @cached_property
    def _contrasts(self) -> tuple[Contrasts, Contrasts]:
        fine = self.width / FINE
        hat = _hat(self.x, np.bincount(self.bin_of), fine)
        return Contrasts.of(self.x, self.hat, self.width), Contrasts.of(self.x, hat, fine)

    @cached_property
    def _normals(self) -> Floats:
        return np.random.default_rng(0).standard_normal((self.x.size, COPIES))

    def _parabolas(self, at: Index) -> Floats:
        """(maximum, coefficient, bin): maps a curve to its local parabolas around `at`."""
        d = self.x - self.x[at][:, None]
        # Half as wide again as the smoother, because a parabola follows the top of a peak.
        wide = 1.5 * self.width
        weight = np.exp(-0.5 * (d / wide) ** 2)
        three = np.abs(np.arange(self.x.size) - at[:, None]) <= 1
        sparse = (np.abs(d) <= 2 * wide).sum(axis=1) < 5
        weight[sparse] = three[sparse]  # through the maximum and its neighbours
        b = np.where(sparse, np.abs(d).max(axis=1, where=three, initial=0.0), wide)[:, None]
        powers = np.stack([np.ones_like(d), d / b, (d / b) ** 2], axis=1)
        weighted = powers * weight[:, None, :]
        normal = weighted @ powers.transpose(0, 2, 1)
        unit = np.stack([np.ones_like(b), b, b**2], axis=1)
        return np.asarray(np.linalg.solve(normal, weighted) / unit)

    def _vertices(self, parabola: Floats, at: Index) -> tuple[Floats, Floats]:
        """Where c0 + c1 d + c2 d^2 is highest, no further than the neighbours or the width."""
        c0, c1, c2 = parabola.T
        reach = np.maximum(self.width, np.minimum(np.diff(self.x)[at - 1], np.diff(self.x)[at]))
        with np.errstate(divide="ignore", invalid="ignore"):
            d = np.where(c2 < 0, -c1 / (2 * c2), 0.0).clip(-reach, reach)
        inside = (self.x[at] + d).clip(self.x[0], self.x[-1])
        d = inside - self.x[at]
        return inside, c0 + d * (c1 + d * c2)


def _hat(x: Floats, count: NDArray[np.int64], width: float) -> Floats:
    """Matrix of the local-linear smoother: smoothed = hat @ curve."""
    d = x[None, :] - x[:, None]
    w = np.exp(-0.5 * (d / width) ** 2) * count
    s0, s1, s2 = (np.sum(w * d**k, axis=1, keepdims=True) for k in range(3))
    det = s0 * s2 - s1**2
    isolated = det <= np.finfo(float).tiny  # all neighbours underflow: the row stands alone
    hat: Floats = np.where(isolated, w / s0, w * (s2 - d * s1) / np.where(isolated, 1.0, det))
    return hat


def _vertex_of_three(x: Floats, values: Floats, i: int) -> float:
    """Height of the parabola through a maximum and its two neighbours."""
    (a, b), (p, q) = x[[i - 1, i + 1]] - x[i], values[[i - 1, i + 1]] - values[i]
    c2 = (p / a - q / b) / (a - b)
    c1 = p / a - c2 * a
    return float(values[i] - (c1**2 / (4 * c2) if c2 < 0 else 0.0))
