"""Scatter of a curve with its correlation: the null against which a maximum is tested.

Correlated scatter drifts, and a drift has maxima.  Locally the model is

    scatter = white noise of variance (1 - c) s^2 + random walk in ln step with a share c of s^2

with s^2(x) the variance of a value about the line through its neighbours, and one share c for the
whole record.  Scatter with a finite correlation length (Ornstein-Uhlenbeck) looks like a walk below
this length and drifts less than a walk above it: the walk is the conservative limit.

c is estimated from contrasts of the smoothed curve: its distance from the line through the curve 2
and 4 widths of the smoothing away on both sides.  Their mean square is that of noise and walk
together; structure makes them larger.  At a quarter of the distance structure contributes less, and
a walk as much: the estimate there, with allowance for the number of contrasts, is an upper limit of
c.  `Scatter.significance` gives the drop beside a maximum in standard errors of this model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from heatcap.core.arrays import Bools, Floats

__all__ = ["Contrasts", "Scatter", "local_deviation", "pseudo_residuals"]

Index = NDArray[np.intp]

NEIGHBOURS = 15  # pseudo-residuals behind one value of the scatter
LAGS = (2, 4)  # distances of a contrast, in widths of the smoothing
CENTRES = 100  # most contrasts at one lag
SHARES = np.r_[0, np.geomspace(0.003, 1, 16)][:, None]
BOUND = 3.0  # of a squared contrast over its variance: limits the influence of structure
BOUNDED = 0.8582  # mean square of a normal deviate with this bound
FINE = 4  # ratio of the two smoothing widths; the finer contrasts limit the share
ALLOWANCE = 0.7  # of their size, because they are few
LEAST_SHARE = 0.25  # of the share in the whole record: beside a maximum the curve may be quiet
TINY = np.finfo(float).tiny


def pseudo_residuals(x: Floats, values: Floats) -> Floats:
    """Compute the distance of every inner value from the line through its neighbours, normalised.

    For values with independent errors of standard deviation s about a straight line, pseudo-
    residuals have standard deviation s (Gasser, Sroka and Jennen-Steinmetz, Biometrika 73 (1986)
    625; see docs/references.md).  `x` and `values` are (bin,), the result (bin - 2,).
    """
    if x.size < 3:
        return np.empty(0)
    a = (x[2:] - x[1:-1]) / (x[2:] - x[:-2])
    off = a * values[:-2] + (1 - a) * values[2:] - values[1:-1]
    return np.asarray(off / np.sqrt(a**2 + (1 - a) ** 2 + 1))


def local_deviation(x: Floats, values: Floats) -> Floats:
    """Estimate the standard deviation of a value about the line through its neighbours, locally.

    A running median (bin,), so that a kink or an unmarked spike does not count as scatter.  NaN for
    records too short to distinguish scatter from shape.
    """
    residual = np.abs(pseudo_residuals(x, values))
    if residual.size < NEIGHBOURS:
        return np.full(values.size, np.nan)
    padded = np.pad(residual, NEIGHBOURS // 2, mode="reflect")
    median = np.median(sliding_window_view(padded, NEIGHBOURS), axis=1)
    padded = np.pad(median, NEIGHBOURS // 2, mode="edge")
    even = sliding_window_view(padded, NEIGHBOURS).mean(axis=1)
    return np.pad(1.4826 * even, 1, mode="edge")  # the ends have one neighbour only


@dataclass(frozen=True)
class Contrasts:
    """Second differences of the smoothed curve: linear maps from a curve and from its scatter.

    Attributes
    ----------
    at : ndarray (contrast)
        ln step of their centres.
    of_curve : ndarray (contrast, bin)
    of_noise : ndarray (contrast, bin)
        Their variance for white noise, from its variance in every bin.
    of_walk : ndarray (contrast, gap)
        The same for a random walk, from the variance of its steps between bins.
    """

    at: Floats
    of_curve: Floats
    of_noise: Floats
    of_walk: Floats

    @classmethod
    def of(cls, x: Floats, hat: Floats, width: float) -> Contrasts:
        """Build the contrasts of a smoother `hat` (bin, bin) of a width at x = ln step (bin,)."""
        every = [_second_differences(x, lag * width) for lag in LAGS]
        i, left, right = np.concatenate(every, axis=1)
        a = ((x[right] - x[i]) / (x[right] - x[left]))[:, None]
        rows = a * hat[left] + (1 - a) * hat[right] - hat[i]
        later = np.cumsum(rows[:, ::-1], axis=1)[:, ::-1]  # a step of the walk moves all later bins
        return cls(x[i], rows, rows**2, later[:, 1:] ** 2)


def _second_differences(x: Floats, reach: float) -> Index:
    """Centres, and bins `reach` or two bins away on both sides, whichever is further."""
    i = np.arange(0, x.size, max(1, x.size // CENTRES))
    left = np.minimum(np.searchsorted(x, x[i] - reach, "right") - 1, i - 2)
    right = np.maximum(np.searchsorted(x, x[i] + reach, "left"), i + 2)
    return np.array([i, left, right])[:, (left >= 0) & (right < x.size)]


@dataclass(frozen=True)
class Excess:
    """Squared contrasts of one scale over their expectation at every share of a walk, bounded.

    Attributes
    ----------
    at : ndarray (contrast)
        ln step of their centres.
    ratio : ndarray (share, contrast)
    size : float
        Expected mean of the ratio at the right share.
    """

    at: Floats
    ratio: Floats
    size: float

    @classmethod
    def of(
        cls, contrasts: Contrasts, values: Floats, variance: Floats, steps: Floats, size: float
    ) -> Excess:
        """Compare the contrasts of values (bin,) with the variances of noise and walk steps."""
        noise, walk = contrasts.of_noise @ variance, contrasts.of_walk @ steps
        expected = (1 - SHARES) * noise + SHARES * walk
        with np.errstate(over="ignore"):  # beside a curve without scatter; it is bounded below
            ratio = (contrasts.of_curve @ values) ** 2 / (expected + TINY)
        return cls(contrasts.at, np.minimum(ratio, BOUND), BOUNDED * size)

    def share(self, left: float, right: float) -> float:
        """Estimate the share of a walk outside an interval, or everywhere if little is left."""
        beside = (self.at < left) | (self.at > right)
        every = self._share(np.ones_like(beside))
        if 3 * np.count_nonzero(beside) < beside.size:
            return every
        return max(self._share(beside), LEAST_SHARE * every)

    def _share(self, counted: Bools) -> float:
        """Share at which the mean ratio has its expected size; 0 or 1 beyond."""
        mean = self.ratio[:, counted].mean(axis=1)
        return float(np.interp(-self.size, np.maximum.accumulate(-mean), SHARES[:, 0]))


@dataclass(frozen=True)
class Scatter:
    """Scatter of one curve, and the significance of maxima above it.

    All is NaN where the record is too short to distinguish scatter from shape.

    Attributes
    ----------
    x, smoothed : ndarray (bin)
    deviation : ndarray (bin)
        Standard deviation of a value about the line through its neighbours, locally.
    noise : ndarray (bin)
        Variance of the smoothed curve if all scatter is white.
    walk : ndarray (bin)
        Variance of a walk since the first bin if all scatter is one.
    excess : tuple of Excess
        At the scale of the smoothing, and finer.
    """

    x: Floats
    smoothed: Floats
    deviation: Floats
    noise: Floats
    walk: Floats
    excess: tuple[Excess, ...]

    @classmethod
    def of(
        cls, x: Floats, hat: Floats, contrasts: tuple[Contrasts, Contrasts], values: Floats
    ) -> Scatter:
        """Estimate the scatter of values (bin,) about a curve smoothed by `hat` (bin, bin)."""
        deviation = local_deviation(x, values)
        variance = deviation**2
        steps = _steps_of_walk(x, variance)
        return cls(
            x=x,
            smoothed=hat @ values,
            deviation=deviation,
            noise=hat**2 @ variance,
            walk=np.concatenate([[0.0], np.cumsum(steps)]),
            excess=tuple(
                Excess.of(contrast, values, variance, steps, size)
                for contrast, size in zip(contrasts, (1.0, ALLOWANCE), strict=True)
            ),
        )

    @property
    def known(self) -> bool:
        """Whether the record is long enough to distinguish scatter from shape."""
        return not np.isnan(self.deviation).any()

    def significance(self, peak: int, prominence: float) -> float:
        """Compute the smaller of the drops on the two sides of a maximum, in standard errors.

        The drop of a side is the most significant one before the curve is higher again.
        """
        if not self.known:
            return float("nan")
        drops = self._drops(peak, self._share_beside(peak, prominence))
        higher = np.flatnonzero(self.smoothed > self.smoothed[peak])
        left = higher[higher < peak].max(initial=-1) + 1
        right = higher[higher > peak].min(initial=self.x.size)
        return float(min(drops[left:peak].max(), drops[peak + 1 : right].max()))

    def rise_to_its_end(self) -> float:
        """Compute the most significant rise of the curve to its last bin, in standard errors."""
        if not self.known:
            return float("nan")
        last = self.x.size - 1
        return float(self._drops(last, self._share(np.inf, np.inf)).max())

    def _drops(self, peak: int, share: float) -> Floats:
        """Height of a bin above all others, in standard errors of the difference."""
        noise = self.noise[peak] + self.noise
        variance = (1 - share) * noise + share * np.abs(self.walk - self.walk[peak])
        drop = self.smoothed[peak] - self.smoothed
        return np.asarray(drop / np.sqrt(np.maximum(variance, TINY)))

    def _share_beside(self, peak: int, prominence: float) -> float:
        """Share of a walk beside the maximum, which itself would look like a walk."""
        low = np.flatnonzero(self.smoothed < self.smoothed[peak] - prominence / 2)
        # Exclude twice the distance over which the curve falls by half of the prominence.
        left = 2 * self.x[low[low < peak].max(initial=0)] - self.x[peak]
        right = 2 * self.x[low[low > peak].min(initial=self.x.size - 1)] - self.x[peak]
        return self._share(left, right)

    def _share(self, left: float, right: float) -> float:
        return min(excess.share(left, right) for excess in self.excess)


def _steps_of_walk(x: Floats, variance: Floats) -> Floats:
    """Variance of the steps of a walk whose values have this variance about their neighbours."""
    before, after = np.diff(x)[:-1], np.diff(x)[1:]
    a = after / (before + after)
    per_ln_step = before * a / (a**2 + (1 - a) ** 2 + 1)  # of a walk of variance 1 per ln step
    rate = variance / np.pad(per_ln_step, 1, mode="edge")
    return np.asarray((rate[1:] + rate[:-1]) / 2 * np.diff(x))
