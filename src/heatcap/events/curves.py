"""Peaks of a curve: smoothed at a stated width in ln step, told from scatter, fitted, ranked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import find_peaks, peak_prominences

from heatcap.core.arrays import Bools, Floats
from heatcap.events.loss import near_spikes
from heatcap.events.record import not_negative, positive, record, usable
from heatcap.events.scatter import pseudo_residuals
from heatcap.events.smoother import Smoother

__all__ = ["SMOOTHING", "Grid", "Limits", "Peaks", "peaks", "smooth"]


SMOOTHING = 0.1  # standard deviation of the kernel, in ln step
MIN_PROMINENCE = 0.02  # of the range of the smoothed curve
MIN_SIGNIFICANCE = 3.8  # standard errors: at most 5 % of structureless curves pass
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
    if x.size:
        smoother = Smoother.of(x, width)
        smoothed = smoother.smooth(smoother.mean(values))
        out[usable(step, curve)] = np.interp(x, smoother.x, smoothed)
    return out


@dataclass(frozen=True)
class Peaks:
    """Interior maxima of one curve, ordered by rank; arrays of one length.

    Rank 1 is *the* peak, the highest maximum outside marked spikes, and it is absent where there is
    none.  Maxima at a spike follow after all others, from rank 2 at the least.

    Attributes
    ----------
    step, height : ndarray
        Vertex of a parabola in ln step through the checkpoints around the maximum; the height with
        the bias of a noisy, smoothed maximum removed.  At a spike: the checkpoint and its value.
    prominence : ndarray
        Height of the smoothed curve above the higher of the two saddles that separate it from
        higher ground or an end.
    significance : ndarray
        The smaller of the drops on its two sides over its standard error, from the scatter of
        neighbouring checkpoints with its correlation; NaN where there are too few to tell.
    bias : ndarray
        What was subtracted from the height of the fit.
    rank : ndarray of int
    at_spike : ndarray of bool
    spacing : ndarray
        The larger gap to a neighbouring checkpoint, in steps: the position is no sharper.
    edge_maximum : bool
        The smoothed curve is highest at an end of the record, or in a maximum that its scatter
        could have made.
    rising : bool
        The record ends at its highest, by more than scatter: a peak may be yet to come.
    reason : str
        Why there is no peak; empty where there is one.
    raw_maxima, raw_at_spike : int
        Maxima of the curve before smoothing that stand out from the scatter, and how many of them
        coincide with a spike.
    """

    step: Floats
    height: Floats
    prominence: Floats
    significance: Floats
    bias: Floats
    rank: NDArray[np.int64]
    at_spike: Bools
    spacing: Floats
    edge_maximum: bool
    rising: bool = False
    reason: str = ""
    raw_maxima: int = 0
    raw_at_spike: int = 0

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
    min_significance: float = MIN_SIGNIFICANCE,
) -> Peaks:
    """Interior maxima of a curve smoothed at a stated width, fitted, with rank and prominence.

    Checkpoints near a marked spike (:func:`near_spikes`) are left out before the curve is smoothed,
    so that a spike can neither be a peak nor move one.  The maxima there are listed as `at_spike`.

    A maximum is fitted with a parabola in ln step, under a Gaussian weight half as wide again as
    the smoothing.  The maximum of a noisy curve lies above the truth, that of a smoothed one below:
    both biases are measured on copies of the smoothed curve with scatter like the measured one, and
    removed from the height.  No error is given: the error of a peak comes from other runs.

    Parameters
    ----------
    step, curve : array_like (checkpoint)
    spike_steps : array_like (spike)
        Steps of the marked spikes, on any grid.
    smoothing : float
        Standard deviation of the kernel in ln step.
    min_prominence : float
        Smallest prominence of a maximum that is listed, as a share of the smoothed curve's range;
        the highest is listed in any case.
    min_significance : float
        Smallest of the drops beside a maximum, in units of its standard error.

    Returns
    -------
    Peaks
        With `reason` where there is no interior peak: too few checkpoints, a maximum at an end, a
        flat curve, nothing that stands out from the scatter.

    Raises
    ------
    ValueError
        If lengths differ, steps do not increase, or an option is not positive.
    """
    positive(smoothing=smoothing, min_prominence=min_prominence)
    not_negative(min_significance=min_significance)
    record(step, curve, "curve")
    ok = usable(step, curve)
    grid = Grid.of(np.asarray(step, dtype=np.float64)[ok], np.asarray(spike_steps), smoothing)
    limits = Limits(min_prominence, min_significance)
    return grid.peaks(np.asarray(curve, dtype=np.float64)[ok], limits)


@dataclass(frozen=True)
class Limits:
    """What a maximum must reach to be listed."""

    prominence: float = MIN_PROMINENCE
    significance: float = MIN_SIGNIFICANCE


@dataclass(frozen=True)
class Grid:
    """What all curves of one run share: its checkpoints, marked spikes and smoother."""

    step: Floats
    marked: Bools
    smoother: Smoother | None  # None where too few checkpoints are away from spikes

    @classmethod
    def of(cls, step: Floats, spike_steps: ArrayLike, smoothing: float) -> Grid:
        marked = near_spikes(step, spike_steps)
        clean = np.log(step[~marked])
        enough = clean.size >= MIN_CHECKPOINTS
        return cls(step, marked, Smoother.of(clean, smoothing) if enough else None)

    def peaks(self, curve: Floats, limits: Limits) -> Peaks:
        raw = self._raw_maxima(curve, limits)
        outside, ends, reason = self._outside_spikes(curve[~self.marked], limits)
        hidden = self._hidden(raw, outside["step"])
        at_spike = self._at_spikes(curve, raw[self.marked[raw] & ~hidden])
        n, m = outside["step"].size, at_spike["step"].size
        step = np.concatenate([outside["step"], at_spike["step"]])
        return Peaks(
            step=step,
            **{k: np.concatenate([outside[k], at_spike[k]]) for k in outside if k != "step"},
            rank=np.concatenate([np.arange(n) + 1, np.arange(m) + max(n, 1) + 1]),
            at_spike=np.arange(n + m) >= n,
            spacing=self._spacing(step),
            edge_maximum=ends[0],
            rising=ends[1],
            reason=reason,
            raw_maxima=raw.size,
            raw_at_spike=int(self.marked[raw].sum()),
        )

    def _outside_spikes(
        self, curve: Floats, limits: Limits
    ) -> tuple[dict[str, Floats], tuple[bool, bool], str]:
        """Fitted maxima by height, whether an end is higher, and why there is none."""
        if self.smoother is None:
            return _columns([]), (False, False), self._too_few()
        values = self.smoother.mean(curve)
        scatter = self.smoother.scatter(values)
        smoothed = scatter.smoothed
        index, prominence = _maxima(smoothed, limits.prominence)
        pairs = zip(index, prominence, strict=True)
        significance = np.array([scatter.significance(i, above) for i, above in pairs])
        kept = ~(significance < limits.significance)  # NaN: cannot be told, kept
        rows: list[tuple[float, ...]] = []
        for i, above, sure in zip(index[kept], prominence[kept], significance[kept], strict=True):
            x, height = self.smoother.fit(values, i)
            bias = self.smoother.bias(scatter, i) if scatter.known else 0.0
            rows.append((np.exp(x), height - bias, above, sure, bias))
        highest = int(smoothed.argmax())
        at_end = not _flat(smoothed) and highest in (0, smoothed.size - 1)
        rising = at_end and highest > 0
        rising = rising and not scatter.rise_to_its_end() < limits.significance
        # Where the highest maximum is given up, a lower one does not take its place.
        at_end = at_end or (bool(rows) and highest in index[~kept])
        return _columns(rows), (at_end, rising), "" if rows else _why_none(smoothed, index.size)

    def _hidden(self, index: NDArray[np.intp], peaks: Floats) -> Bools:
        """Which checkpoints belong to a peak that stands without them: it is listed once."""
        if self.smoother is None or not peaks.size:
            return np.zeros(index.size, dtype=bool)
        apart = np.abs(np.log(self.step[index])[:, None] - np.log(peaks))
        return np.asarray((apart <= 2 * self.smoother.width).any(axis=1))

    def _at_spikes(self, curve: Floats, index: NDArray[np.intp]) -> dict[str, Floats]:
        """Maxima at marked checkpoints as they stand: a spike is not smoothed and not fitted."""
        prominence = peak_prominences(curve, index)[0]
        return _columns(
            [
                (self.step[i], curve[i], above, np.nan, 0.0)
                for i, above in zip(index, prominence, strict=True)
            ]
        )

    def _raw_maxima(self, curve: Floats, limits: Limits) -> NDArray[np.intp]:
        """Maxima before smoothing that rise above the typical scatter by 5 standard errors."""
        if curve.size < MIN_CHECKPOINTS:
            return np.empty(0, dtype=np.intp)
        scatter = 1.4826 * np.median(np.abs(pseudo_residuals(np.log(self.step), curve)))
        index, prominence = _maxima(curve, limits.prominence)
        real: NDArray[np.intp] = index[prominence >= 5 * np.sqrt(2) * scatter]
        return real

    def _too_few(self) -> str:
        near = int(self.marked.sum())
        reason = f"{self.step.size - near} checkpoints after step 0 and away from spikes,"
        reason += f" at least {MIN_CHECKPOINTS} needed"
        return reason + (f" ({near} are near a spike)" if near else "")

    def _spacing(self, at: Floats) -> Floats:
        """The larger of the gaps beside the checkpoint next to a position, in steps."""
        if not at.size:
            return np.empty(0)
        gap = np.diff(self.step)
        nearest = np.abs(np.log(self.step) - np.log(at)[:, None]).argmin(axis=1)
        nearest = nearest.clip(1, self.step.size - 2)
        return np.asarray(np.maximum(gap[nearest - 1], gap[nearest]))


def _columns(rows: list[tuple[float, ...]]) -> dict[str, Floats]:
    """Rows of step, height, prominence, significance and bias as columns, highest first."""
    table = np.array(sorted(rows, key=lambda row: -row[1]), dtype=np.float64).reshape(-1, 5)
    names = ("step", "height", "prominence", "significance", "bias")
    return dict(zip(names, table.T, strict=True))


def _maxima(curve: Floats, min_prominence: float) -> tuple[NDArray[np.intp], Floats]:
    """Interior maxima that are prominent, and the highest; none in a curve flat to rounding."""
    if _flat(curve):
        return np.empty(0, dtype=np.intp), np.empty(0)
    index, found = find_peaks(curve, prominence=0.0)
    prominence = np.asarray(found["prominences"], dtype=np.float64)
    kept = prominence >= min_prominence * np.ptp(curve)
    kept |= curve[index] >= curve[index].max(initial=-np.inf)  # the highest in any case
    return index[kept].astype(np.intp), prominence[kept]


def _flat(smoothed: Floats) -> bool:
    return bool(np.ptp(smoothed) <= 1e-9 * np.abs(smoothed).max())


def _why_none(smoothed: Floats, maxima: int) -> str:
    if _flat(smoothed):
        return "the curve is flat"
    if maxima:
        return f"no maximum stands out from the scatter between checkpoints ({maxima} do not)"
    end = "first" if smoothed[0] >= smoothed[-1] else "last"
    return f"no interior maximum: the curve is highest at its {end} checkpoint"
