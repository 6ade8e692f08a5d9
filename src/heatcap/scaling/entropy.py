"""The entropy S(E) of a size: a spline, fitted by Poisson likelihood to its energy histogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.interpolate import BSpline

from heatcap.core.arrays import Floats
from heatcap.scaling.multihistogram import Ensemble

__all__ = ["Entropy", "entropy_of"]


BINS = 160  # of the energy at most
LEVELS = 4  # in a bin at least: the density of states of a lattice is uneven from level to level
INTERVALS = (3, 4, 6, 8, 11, 15, 20)  # of the spline of the entropy
GRID = 401
BEYOND = 0.002  # share of the samples beyond either end of the range
FEWEST = 20.0  # effective samples of a size; tunnelling counts in them, and is asked for below


@dataclass(frozen=True, eq=False)
class Entropy:
    """S on a grid of extensive energies, and S with each unit left out (unit, grid)."""

    energy: Floats
    value: Floats
    left_out: Floats
    p_value: float


def entropy_of(each: Ensemble) -> Entropy | None:
    """The spline with the smallest criterion, and its jackknife."""
    bins = _Bins.of(each)
    if bins is None or each.counts.shape[0] < 4:
        return None
    h, offset = bins.counted(each.total), bins.offset(each.log_mixture)
    fits = []
    for intervals in INTERVALS:
        if intervals + 3 > h.size / 2:
            break
        knots = np.linspace(bins.edges[0], bins.edges[-1], intervals + 1)
        knots = np.concatenate([[knots[0]] * 3, knots, [knots[-1]] * 3])
        basis = BSpline.design_matrix(bins.middle, knots, 3).toarray()
        c = _poisson(basis, h, offset, None)
        deviance = _deviance(h, basis @ c + offset) / each.correlated
        fits.append((deviance + 2 * c.size, deviance, h.size - c.size, knots, basis, c))
    if not fits:
        return None
    _, deviance, dof, knots, basis, c = min(fits, key=lambda fit: fit[0])
    x = np.linspace(bins.edges[0], bins.edges[-1], GRID)
    on_grid = BSpline.design_matrix(x, knots, 3).toarray()
    left_out = np.array(
        [
            on_grid @ _poisson(basis, bins.counted(counts), bins.offset(mixture), c)
            for counts, mixture in each.without()
        ]
    )
    return Entropy(x, on_grid @ c, left_out, float(stats.chi2.sf(deviance, dof)))


@dataclass(frozen=True, eq=False)
class _Bins:
    edges: Floats
    at: NDArray[np.intp]
    level: Floats

    @classmethod
    def of(cls, each: Ensemble) -> _Bins | None:
        """Equal bins over the energies that were seen often enough."""
        seen = np.cumsum(each.total.sum(axis=0))
        first = int(np.searchsorted(seen, BEYOND * seen[-1]))
        last = int(np.searchsorted(seen, (1 - BEYOND) * seen[-1]))
        if seen[-1] < FEWEST * each.correlated or last - first < INTERVALS[0] + 3:
            return None
        step, first = _lattice(each.level, first)
        low, high = each.level[first] - step / 2, each.level[last] + step / 2
        width = (high - low) / BINS
        if step:
            width = step * max(LEVELS, np.ceil(width / step))
        count = int((high - low) / width + 1e-9)
        if count < 2 * (INTERVALS[0] + 3):
            return None
        edges = low + width * np.arange(count + 1)
        return cls(edges, np.searchsorted(edges, each.level) - 1, each.level)

    @property
    def middle(self) -> Floats:
        return np.asarray((self.edges[1:] + self.edges[:-1]) / 2)

    def counted(self, counts: Floats) -> Floats:
        inside = (self.at >= 0) & (self.at < self.edges.size - 1)
        h = counts.sum(axis=0)[inside]
        counted = np.bincount(self.at[inside], weights=h, minlength=self.edges.size - 1)
        return counted.astype(np.float64)

    def offset(self, log_mixture: Floats) -> Floats:
        return np.interp(self.middle, self.level, log_mixture)


def _lattice(level: Floats, first: int) -> tuple[float, int]:
    """Spacing of the levels, 0 if they are continuous; the first beyond the gaps near the ground.

    Just above its ground state a lattice has no states at all at many multiples of the spacing.
    """
    spacing = np.diff(level)
    step = float(np.median(spacing))
    if np.ptp(spacing[spacing.size // 4 : -max(spacing.size // 4, 1)]) > 1e-5 * step:
        return 0.0, first
    below = np.flatnonzero(spacing[: spacing.size // 2] > 1.5 * step)
    return step, max(first, int(below[-1]) + 1 if below.size else 0)


def _poisson(basis: Floats, h: Floats, offset: Floats, start: Floats | None) -> Floats:
    """Coefficients of ln <H> = basis c + offset by maximum likelihood, Newton's method."""

    def loss(c: Floats) -> float:
        eta = basis @ c + offset
        return float(np.exp(np.minimum(eta, 100.0)).sum() - h @ eta)

    if start is None:
        weight = np.sqrt(h + 0.5)
        target = np.log(h + 0.5) - offset
        solved = np.linalg.lstsq(basis * weight[:, None], target * weight, rcond=None)[0]
        start = np.asarray(solved, dtype=np.float64)
    c = start
    value = loss(c)
    for _ in range(60):
        mean = np.exp(np.minimum(basis @ c + offset, 100.0))
        hessian = (basis * mean[:, None]).T @ basis
        hessian += 1e-9 * np.trace(hessian) * np.eye(c.size)  # a knot without samples
        step, scale = np.linalg.solve(hessian, basis.T @ (h - mean)), 1.0
        while scale > 1e-4 and not loss(c + scale * step) <= value + 1e-12 * abs(value):
            scale /= 2
        c, before, value = c + scale * step, value, loss(c + scale * step)
        if abs(before - value) < 1e-9 * max(1.0, abs(value)):
            break
    return c


def _deviance(h: Floats, eta: Floats) -> float:
    """Twice the log likelihood ratio against a free mean for every bin."""
    log_h = np.log(np.maximum(h, 1.0))  # counts are whole numbers; 0 ln 0 = 0
    return float(2 * np.sum(h * (log_h - eta) - (h - np.exp(eta))))
