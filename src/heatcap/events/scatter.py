"""The scatter of a curve, its own correlation in it: what a maximum must stand out from.

Scatter whose values are correlated wanders, and what wanders has maxima.  Locally the model is

    scatter = white noise of variance (1 - c) s^2 + a random walk in ln step, c s^2 of the variance

with s^2(x) the variance of a value about the line through its neighbours, and c one share for the
whole record.  Scatter of a finite correlation length (Ornstein-Uhlenbeck) looks like a walk below
this length and wanders less than a walk above it: the walk is the limit that counts.

c is read from contrasts of the smoothed curve, its distance from the line through what lies 2 and
4 widths of the smoothing away on both sides: on average they are as large as noise and walk
together make them.  Structure makes them larger.  A quarter as far it makes them less so, and a
walk as much: what is told there, with allowance for their number, is the most that c can be.
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
LAGS = (2, 4)  # widths of the smoothing
CENTRES = 100  # of the contrasts at one lag, at most
SHARES = np.r_[0, np.geomspace(0.003, 1, 16)][:, None]
BOUND = 3.0  # of a squared contrast over its variance: structure counts no more than that
BOUNDED = 0.8582  # mean of the square of a normal deviate, bounded so
FINE = 4  # times narrower: the contrasts that bound the share
ALLOWANCE = 0.7  # of their size, for few of them
LEAST_SHARE = 0.25  # of the share in the whole record: what is left beside a maximum may be quiet
TINY = np.finfo(float).tiny


def pseudo_residuals(x: Floats, values: Floats) -> Floats:
    """Distance of every inner value from the line through its neighbours, of unit variance.

    For values with independent errors of standard deviation s about a straight line, these have
    standard deviation s (Gasser, Sroka and Jennen-Steinmetz, Biometrika 73 (1986) 625; what was
    checked: docs/references.md).
    """
    if x.size < 3:
        return np.empty(0)
    a = (x[2:] - x[1:-1]) / (x[2:] - x[:-2])
    off = a * values[:-2] + (1 - a) * values[2:] - values[1:-1]
    return np.asarray(off / np.sqrt(a**2 + (1 - a) ** 2 + 1))


def local_deviation(x: Floats, values: Floats) -> Floats:
    """Standard deviation of a value about the line through its neighbours, locally.

    A running median: a kink or an unmarked spike does not count as scatter.  NaN for records
    too short to tell scatter from shape.
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
    """Second differences of the smoothed curve: maps from a curve and from its scatter.

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
        every = [_second_differences(x, lag * width) for lag in LAGS]
        i, left, right = np.concatenate(every, axis=1)
        a = ((x[right] - x[i]) / (x[right] - x[left]))[:, None]
        rows = a * hat[left] + (1 - a) * hat[right] - hat[i]
        later = np.cumsum(rows[:, ::-1], axis=1)[:, ::-1]  # what a step moves, with all behind it
        return cls(x[i], rows, rows**2, later[:, 1:] ** 2)


def _second_differences(x: Floats, reach: float) -> Index:
    """Centres, and what lies `reach` or two bins away on both sides, whichever is more."""
    i = np.arange(0, x.size, max(1, x.size // CENTRES))
    left = np.minimum(np.searchsorted(x, x[i] - reach, "right") - 1, i - 2)
    right = np.maximum(np.searchsorted(x, x[i] + reach, "left"), i + 2)
    return np.array([i, left, right])[:, (left >= 0) & (right < x.size)]


@dataclass(frozen=True)
class Excess:
    """Squared contrasts of one scale over what every share of a walk makes them, bounded.

    Attributes
    ----------
    at : ndarray (contrast)
    ratio : ndarray (share, contrast)
    size : float
        Their mean at the right share.
    """

    at: Floats
    ratio: Floats
    size: float

    @classmethod
    def of(
        cls, contrasts: Contrasts, values: Floats, variance: Floats, steps: Floats, size: float
    ) -> Excess:
        noise, walk = contrasts.of_noise @ variance, contrasts.of_walk @ steps
        expected = (1 - SHARES) * noise + SHARES * walk
        ratio = (contrasts.of_curve @ values) ** 2 / (expected + TINY)
        return cls(contrasts.at, np.minimum(ratio, BOUND), BOUNDED * size)

    def share(self, left: float, right: float) -> float:
        """Share of a walk as told outside of an interval, or everywhere if that leaves little."""
        beside = (self.at < left) | (self.at > right)
        every = self._share(np.ones_like(beside))
        if 3 * np.count_nonzero(beside) < beside.size:
            return every
        return max(self._share(beside), LEAST_SHARE * every)

    def _share(self, counted: Bools) -> float:
        """Where the mean is as large as it should be; 0 or 1 beyond."""
        mean = self.ratio[:, counted].mean(axis=1)
        return float(np.interp(-self.size, np.maximum.accumulate(-mean), SHARES[:, 0]))


@dataclass(frozen=True)
class Scatter:
    """The scatter of one curve, and how far a maximum stands out from it.

    All is NaN where the record is too short to tell scatter from shape.

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
                Excess.of(each, values, variance, steps, size)
                for each, size in zip(contrasts, (1.0, ALLOWANCE), strict=True)
            ),
        )

    @property
    def known(self) -> bool:
        """Whether the record is long enough to tell scatter from shape."""
        return not np.isnan(self.deviation).any()

    def significance(self, peak: int, prominence: float) -> float:
        """Smaller of the drops on the two sides of a maximum, in standard errors.

        Of each side that point counts, before higher ground, to which the drop is surest.
        """
        if not self.known:
            return float("nan")
        drops = self._drops(peak, self._share_beside(peak, prominence))
        higher = np.flatnonzero(self.smoothed > self.smoothed[peak])
        left = higher[higher < peak].max(initial=-1) + 1
        right = higher[higher > peak].min(initial=self.x.size)
        return float(min(drops[left:peak].max(), drops[peak + 1 : right].max()))

    def rise_to_its_end(self) -> float:
        """Surest rise of the smoothed curve to its last bin, in standard errors."""
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
        """Share of a walk, told from what is not the maximum itself: that would count as one."""
        low = np.flatnonzero(self.smoothed < self.smoothed[peak] - prominence / 2)
        # Twice as far as the curve takes to fall by half.
        left = 2 * self.x[low[low < peak].max(initial=0)] - self.x[peak]
        right = 2 * self.x[low[low > peak].min(initial=self.x.size - 1)] - self.x[peak]
        return self._share(left, right)

    def _share(self, left: float, right: float) -> float:
        return min(each.share(left, right) for each in self.excess)


def _steps_of_walk(x: Floats, variance: Floats) -> Floats:
    """Variance of the steps of a walk that has this local variance about its neighbours."""
    before, after = np.diff(x)[:-1], np.diff(x)[1:]
    a = after / (before + after)
    per_ln_step = before * a / (a**2 + (1 - a) ** 2 + 1)  # of a walk of variance 1 per ln step
    rate = variance / np.pad(per_ln_step, 1, mode="edge")
    return np.asarray((rate[1:] + rate[:-1]) / 2 * np.diff(x))
