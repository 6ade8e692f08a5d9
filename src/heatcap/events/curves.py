"""Peaks of a curve: smoothed at a stated width in ln step, ranked, spikes set apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import find_peaks

from heatcap.events._record import Bools, Floats, positive, record, usable
from heatcap.events.loss import near_spikes

__all__ = ["MIN_PROMINENCE", "SMOOTHING", "Grid", "Peaks", "peaks", "smooth"]


SMOOTHING = 0.1  # standard deviation of the kernel, in ln step
MIN_PROMINENCE = 0.02  # of the range of the smoothed curve
MIN_CHECKPOINTS = 5


def smooth(step: ArrayLike, curve: ArrayLike, *, width: float = SMOOTHING) -> Floats:
    """Local-linear regression of the curve on ln step with a Gaussian kernel.

    Straight lines in ln step pass unchanged, at the ends of the record too, on any grid.  Where
    checkpoints are further apart than `width` nothing is averaged.

    Parameters
    ----------
    step, curve : array_like (checkpoint)
    width : float
        Standard deviation of the kernel in ln step.

    Returns
    -------
    ndarray (checkpoint)
        NaN where the curve is NaN and at step 0.
    """
    positive(width=width)
    x, values = record(step, curve, "curve")
    out = np.full(np.shape(step), np.nan)
    out[usable(step, curve)] = _hat(x, width) @ values
    return out


def _hat(x: Floats, width: float) -> Floats:
    """Matrix of the local-linear smoother: smoothed = hat @ curve."""
    d = x[None, :] - x[:, None]
    w = np.exp(-0.5 * (d / width) ** 2)
    s0, s1, s2 = (np.sum(w * d**k, axis=1, keepdims=True) for k in range(3))
    det = s0 * s2 - s1**2
    isolated = det <= np.finfo(float).tiny  # all neighbours underflow: the row stands alone
    hat: Floats = np.where(isolated, w / s0, w * (s2 - d * s1) / np.where(isolated, 1.0, det))
    return hat


@dataclass(frozen=True)
class Peaks:
    """Interior maxima of one curve, ordered by rank; arrays of one length.

    Rank 1 is *the* peak, the highest maximum outside marked spikes, and it is absent where there is
    none.  Maxima at a spike follow after all others, from rank 2 at the least.

    Attributes
    ----------
    step, height : ndarray
        Checkpoint of the maximum and the smoothed curve there.
    prominence : ndarray
        Height above the higher of the two saddles that separate it from higher ground or an end.
    rank : ndarray of int
    at_spike : ndarray of bool
    spacing : ndarray
        The larger gap to a neighbouring checkpoint, in steps: the position is no sharper.
    edge_maximum : bool
        An end of the record is higher than every interior maximum outside spikes.
    reason : str
        Why there is no peak; empty where there is one.
    """

    step: Floats
    height: Floats
    prominence: Floats
    rank: NDArray[np.int64]
    at_spike: Bools
    spacing: Floats
    edge_maximum: bool
    reason: str = ""

    @property
    def found(self) -> bool:
        """Whether there is a peak outside marked spikes."""
        return not self.reason


def peaks(
    step: ArrayLike,
    curve: ArrayLike,
    spike_steps: ArrayLike = (),
    *,
    smoothing: float = SMOOTHING,
    min_prominence: float = MIN_PROMINENCE,
) -> Peaks:
    """Interior maxima of a curve smoothed at a stated width, with rank and prominence.

    Checkpoints near a marked spike (:func:`near_spikes`) are left out before the curve is smoothed,
    so that a spike can neither be a peak nor move one.  Maxima that exist only with them are
    listed as `at_spike`.  Smoothing lowers a peak: one of standard deviation w in ln step by the
    factor 1 / sqrt(1 + (smoothing / w)^2).

    Parameters
    ----------
    step, curve : array_like (checkpoint)
    spike_steps : array_like (spike)
        Steps of the marked spikes, on any grid.
    smoothing : float
        Standard deviation of the kernel in ln step.
    min_prominence : float
        Smallest prominence of a maximum that is listed, as a share of the smoothed curve's range.

    Returns
    -------
    Peaks
        With `reason` where there is no interior peak: too few checkpoints, a maximum at an end, a
        flat curve.

    Raises
    ------
    ValueError
        If lengths differ, steps do not increase, or an option is not positive.
    """
    positive(smoothing=smoothing, min_prominence=min_prominence)
    record(step, curve, "curve")
    ok = usable(step, curve)
    grid = Grid.of(np.asarray(step, dtype=np.float64)[ok], np.asarray(spike_steps), smoothing)
    return grid.peaks(np.asarray(curve, dtype=np.float64)[ok], min_prominence)


@dataclass(frozen=True)
class Grid:
    """What all curves of one run share: its checkpoints, marked spikes and smoothers."""

    step: Floats
    x: Floats
    clean: NDArray[np.intp]  # checkpoints away from spikes
    smoothing: float
    hat_clean: Floats
    hat_all: Floats | None  # None where no checkpoint is near a spike

    @classmethod
    def of(cls, step: Floats, spike_steps: NDArray[Any], smoothing: float) -> Grid:
        x, marked = np.log(step), near_spikes(step, spike_steps)
        clean = np.flatnonzero(~marked)
        hat_all = _hat(x, smoothing) if marked.any() else None
        return cls(step, x, clean, smoothing, _hat(x[clean], smoothing), hat_all)

    def peaks(self, curve: Floats, min_prominence: float) -> Peaks:
        if self.clean.size < MIN_CHECKPOINTS:
            return self._none(curve, min_prominence)
        smoothed = self.hat_clean @ curve[self.clean]
        index, prominence = _maxima(smoothed, min_prominence)
        highest = smoothed[index].max() if index.size else -np.inf
        edge = bool(max(smoothed[0], smoothed[-1]) >= highest)
        reason = "" if index.size else _why_none(smoothed)
        outside = (self.clean[index], smoothed[index], prominence)
        return self._ranked(
            outside, self._at_spikes(curve, outside[0], min_prominence), edge, reason
        )

    def _none(self, curve: Floats, min_prominence: float) -> Peaks:
        n, near = self.clean.size, self.step.size - self.clean.size
        empty = (self.clean[:0], np.empty(0), np.empty(0))
        reason = (
            f"{n} checkpoints after step 0 and away from spikes, at least {MIN_CHECKPOINTS} needed"
        )
        reason += f" ({near} are near a spike)" if near else ""
        return self._ranked(empty, self._at_spikes(curve, empty[0], min_prominence), False, reason)

    def _at_spikes(
        self, curve: Floats, outside: NDArray[np.intp], min_prominence: float
    ) -> tuple[NDArray[np.intp], Floats, Floats]:
        """Maxima of the whole curve that are near a spike and are none of those outside."""
        if self.hat_all is None or self.step.size < MIN_CHECKPOINTS:
            return self.clean[:0], np.empty(0), np.empty(0)
        smoothed = self.hat_all @ curve
        index, prominence = _maxima(smoothed, min_prominence)
        marked = np.setdiff1d(np.arange(self.x.size), self.clean)
        keep = self._close(index, marked, self.smoothing)
        keep &= ~self._close(index, outside, 2 * self.smoothing)
        return index[keep], smoothed[index[keep]], prominence[keep]

    def _close(self, a: NDArray[np.intp], b: NDArray[np.intp], distance: float) -> Bools:
        """Which of checkpoints a have one of b within a distance in ln step or next to them."""
        apart = np.abs(self.x[a][:, None] - self.x[b][None, :]) > distance
        return np.asarray(~(apart & (np.abs(a[:, None] - b[None, :]) > 1)).all(axis=1), dtype=bool)

    def _ranked(
        self,
        outside: tuple[NDArray[np.intp], Floats, Floats],
        at_spike: tuple[NDArray[np.intp], Floats, Floats],
        edge: bool,
        reason: str,
    ) -> Peaks:
        first, second = np.argsort(-outside[1]), np.argsort(-at_spike[1])
        index, height, prominence = (
            np.concatenate([a[first], b[second]]) for a, b in zip(outside, at_spike, strict=True)
        )
        gap = np.diff(self.step)
        return Peaks(
            step=self.step[index],
            height=height,
            prominence=prominence,
            rank=np.concatenate(
                [np.arange(first.size) + 1, np.arange(second.size) + max(first.size, 1) + 1]
            ),
            at_spike=np.arange(index.size) >= first.size,
            spacing=np.maximum(gap[index - 1], gap[index]) if index.size else np.empty(0),
            edge_maximum=edge,
            reason=reason,
        )


def _maxima(smoothed: Floats, min_prominence: float) -> tuple[NDArray[np.intp], Floats]:
    """Interior local maxima and their prominences; none in a curve that is flat to rounding."""
    if _flat(smoothed):
        return np.empty(0, dtype=np.intp), np.empty(0)
    index, found = find_peaks(smoothed, prominence=min_prominence * np.ptp(smoothed))
    return index.astype(np.intp), np.asarray(found["prominences"], dtype=np.float64)


def _flat(smoothed: Floats) -> bool:
    return bool(np.ptp(smoothed) <= 1e-9 * np.abs(smoothed).max())


def _why_none(smoothed: Floats) -> str:
    if _flat(smoothed):
        return "the curve is flat"
    end = "first" if smoothed[0] >= smoothed[-1] else "last"
    return f"no interior maximum: the curve is highest at its {end} checkpoint"
