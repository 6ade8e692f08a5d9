"""Peaks of one curve: smoothing at a stated width in ln step, significance, fit and rank.

`smooth` is the smoother alone, `peaks` the whole analysis of a curve; `Grid` and `Smoother` serve
all curves of one run, whose matrices they share.  Positions are in steps, widths in ln step,
heights in units of the observable.  The scatter against which a maximum is tested is modelled in
:mod:`heatcap.events.scatter`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import find_peaks, peak_prominences

from heatcap.core.arrays import Bools, Floats, Ints
from heatcap.events.record import near_spikes, not_negative, positive, record, usable
from heatcap.events.scatter import FINE, Contrasts, Scatter, pseudo_residuals

__all__ = ["SMOOTHING", "Grid", "Limits", "Peaks", "Smoother", "peaks", "smooth"]

Index = NDArray[np.intp]

SMOOTHING = 0.1  # standard deviation of the kernel, in ln step
MIN_PROMINENCE = 0.02  # of the range of the smoothed curve
MIN_SIGNIFICANCE = 3.8  # standard errors: at most 5 % of curves without structure pass
MIN_CHECKPOINTS = 5
LARGEST = 1000  # checkpoints; longer records are averaged in at most twice as many bins
COPIES = 200  # noisy copies to estimate the bias of a height


def smooth(step: ArrayLike, curve: ArrayLike, *, width: float = SMOOTHING) -> Floats:
    """Smooth a curve by local linear regression on ln step with a Gaussian kernel.

    Straight lines in ln step are reproduced, at the ends of the record too, on any grid.  Where
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

    Raises
    ------
    ValueError
        If lengths differ, steps do not increase, or `width` is not positive.
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

    Rank 1 is *the* peak, the highest maximum outside marked spikes; it is absent where there is
    none.  Maxima at a spike follow all others, at rank 2 or later.

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
        neighbouring checkpoints with its correlation; NaN where there are too few of them.
    bias : ndarray
        Bias that was subtracted from the height of the fit.
    rank : ndarray of int
    at_spike : ndarray of bool
    spacing : ndarray
        The larger gap to a neighbouring checkpoint, in steps: the resolution of the position.
    edge_maximum : bool
        The smoothed curve is highest at an end of the record, or in a maximum that its scatter
        could have made.
    rising : bool
        The curve ends at its largest value, by more than scatter: a peak may follow.
    reason : str
        Reason for a missing peak; empty where there is one.
    raw_maxima, raw_at_spike : int
        Number of maxima of the curve before smoothing that exceed the scatter, and number of these
        that coincide with a spike.
    """

    step: Floats
    height: Floats
    prominence: Floats
    significance: Floats
    bias: Floats
    rank: Ints
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
    """Find the interior maxima of a smoothed curve and fit, test and rank them.

    Checkpoints near a marked spike (:func:`near_spikes`) are left out before the curve is smoothed,
    so that a spike can neither be a peak nor move one.  The maxima there are listed as `at_spike`.

    A maximum is fitted with a parabola in ln step, under a Gaussian weight 1.5 times as wide as the
    smoothing.  The maximum of a noisy curve is biased upwards, that of a smoothed one downwards:
    both biases are estimated on copies of the smoothed curve with scatter like the observed one,
    and removed from the height.  No error is given: the error of a peak comes from other runs.

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
        Smallest drop beside a maximum that is listed, in units of its standard error.

    Returns
    -------
    Peaks
        With `reason` where there is no interior peak: too few checkpoints, a maximum at an end, a
        flat curve, no maximum that exceeds the scatter.

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
    """Least prominence (share of the range) and significance (standard errors) of a maximum."""

    prominence: float = MIN_PROMINENCE
    significance: float = MIN_SIGNIFICANCE


@dataclass(frozen=True)
class Grid:
    """Checkpoints, marked spikes and smoother, which all curves of one run share."""

    step: Floats
    marked: Bools
    smoother: Smoother | None  # None where too few checkpoints are away from spikes

    @classmethod
    def of(cls, step: Floats, spike_steps: ArrayLike, smoothing: float) -> Grid:
        """Mark checkpoints (checkpoint,) near a spike and prepare the smoother of the others."""
        marked = near_spikes(step, spike_steps)
        clean = np.log(step[~marked])
        enough = clean.size >= MIN_CHECKPOINTS
        return cls(step, marked, Smoother.of(clean, smoothing) if enough else None)

    def peaks(self, curve: Floats, limits: Limits) -> Peaks:
        """Find the peaks of a curve (checkpoint,)."""
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
        """Fitted maxima by height, whether an end is higher and the curve rising, and a reason."""
        if self.smoother is None:
            return _columns([]), (False, False), self._too_few()
        values = self.smoother.mean(curve)
        scatter = self.smoother.scatter(values)
        smoothed = scatter.smoothed
        index, prominence = _maxima(smoothed, limits.prominence)
        pairs = zip(index, prominence, strict=True)
        significance = np.array([scatter.significance(i, above) for i, above in pairs])
        significant = ~(significance < limits.significance)  # NaN, unknown scatter, counts as such
        rows: list[tuple[float, ...]] = []
        for i, above, sure in zip(
            index[significant], prominence[significant], significance[significant], strict=True
        ):
            x, height = self.smoother.fit(values, i)
            bias = self.smoother.bias(scatter, i) if scatter.known else 0.0
            rows.append((np.exp(x), height - bias, above, sure, bias))
        highest = int(smoothed.argmax())
        at_end = not _flat(smoothed) and highest in (0, smoothed.size - 1)
        rising = at_end and highest > 0
        rising = rising and not scatter.rise_to_its_end() < limits.significance
        # A lower maximum does not replace the highest one where that is insignificant.
        at_end = at_end or (bool(rows) and highest in index[~significant])
        return (
            _columns(rows),
            (at_end, rising),
            "" if rows else _reason_for_none(smoothed, index.size),
        )

    def _hidden(self, index: Index, peaks: Floats) -> Bools:
        """Whether checkpoints at spikes belong to a peak found without them, to list it once."""
        if self.smoother is None or not peaks.size:
            return np.zeros(index.size, dtype=bool)
        apart = np.abs(np.log(self.step[index])[:, None] - np.log(peaks))
        return np.asarray((apart <= 2 * self.smoother.width).any(axis=1))

    def _at_spikes(self, curve: Floats, index: Index) -> dict[str, Floats]:
        """Maxima at marked checkpoints, neither smoothed nor fitted."""
        prominence = peak_prominences(curve, index)[0]
        return _columns(
            [
                (self.step[i], curve[i], above, np.nan, 0.0)
                for i, above in zip(index, prominence, strict=True)
            ]
        )

    def _raw_maxima(self, curve: Floats, limits: Limits) -> Index:
        """Maxima before smoothing that exceed the median scatter by 5 standard errors."""
        if curve.size < MIN_CHECKPOINTS:
            return np.empty(0, dtype=np.intp)
        scatter = 1.4826 * np.median(np.abs(pseudo_residuals(np.log(self.step), curve)))
        index, prominence = _maxima(curve, limits.prominence)
        real: Index = index[prominence >= 5 * np.sqrt(2) * scatter]
        return real

    def _too_few(self) -> str:
        near = int(self.marked.sum())
        reason = f"{self.step.size - near} checkpoints after step 0 and away from spikes,"
        reason += f" at least {MIN_CHECKPOINTS} needed"
        return reason + (f" ({near} are near a spike)" if near else "")

    def _spacing(self, at: Floats) -> Floats:
        """Larger of the gaps beside the checkpoint next to a position, in steps."""
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


def _maxima(curve: Floats, min_prominence: float) -> tuple[Index, Floats]:
    """Prominent interior maxima, the highest in any case; none in a curve flat up to rounding."""
    if _flat(curve):
        return np.empty(0, dtype=np.intp), np.empty(0)
    index, properties = find_peaks(curve, prominence=0.0)
    prominence = np.asarray(properties["prominences"], dtype=np.float64)
    selected = prominence >= min_prominence * np.ptp(curve)
    selected |= curve[index] >= curve[index].max(initial=-np.inf)
    return index[selected].astype(np.intp), prominence[selected]


def _flat(smoothed: Floats) -> bool:
    return bool(np.ptp(smoothed) <= 1e-9 * np.abs(smoothed).max())


def _reason_for_none(smoothed: Floats, maxima: int) -> str:
    if _flat(smoothed):
        return "the curve is flat"
    if maxima:
        return f"no maximum stands out from the scatter between checkpoints ({maxima} do not)"
    end = "first" if smoothed[0] >= smoothed[-1] else "last"
    return f"no interior maximum: the curve is highest at its {end} checkpoint"


# ---- the smoother of one record: local straight lines and parabolas in ln step ---------------


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
        """Prepare the smoother of a record with checkpoints at x = ln step (checkpoint,)."""
        bin_of = np.arange(x.size)
        if x.size > LARGEST:
            # Bins of a twentieth of the kernel's width change nothing that the kernel resolves.
            bin_width = max(width / 20, (x[-1] - x[0]) / (2 * LARGEST))
            _, bin_of = np.unique(np.floor((x - x[0]) / bin_width), return_inverse=True)
        count = np.bincount(bin_of)
        centres = np.bincount(bin_of, weights=x) / count
        return cls(centres, bin_of, width, _hat(centres, count, width))

    def mean(self, curve: Floats) -> Floats:
        """Average a curve (checkpoint,) in every bin."""
        if self.bin_of.size == self.x.size:
            return curve
        return np.bincount(self.bin_of, weights=curve) / np.bincount(self.bin_of)

    def smooth(self, values: Floats) -> Floats:
        """Smooth values (bin,)."""
        return np.asarray(self.hat @ values)

    def scatter(self, values: Floats) -> Scatter:
        """Estimate the scatter of a curve (bin,) with its correlation."""
        return Scatter.of(self.x, self.hat, self._contrasts, values)

    def fit(self, values: Floats, peak: int) -> tuple[float, float]:
        """Fit a local parabola at a maximum: ln step and height of its vertex."""
        at = np.array([peak])
        x, height = self._vertices(self._parabolas(at) @ values, at)
        return float(x[0]), float(height[0])

    def bias(self, scatter: Scatter, peak: int) -> float:
        """Estimate the bias of a height from noisy copies of the smoothed curve.

        Their mean height, less that of the curve itself, combines two biases: the maximum of a
        noisy curve is too high, that of a smoothed one too low.  The copies never change.
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
        # Wider than the smoother, because a parabola follows the top of a peak.
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
        """Vertex of c0 + c1 d + c2 d^2, no further than the neighbours or the width."""
        c0, c1, c2 = parabola.T
        reach = np.maximum(self.width, np.minimum(np.diff(self.x)[at - 1], np.diff(self.x)[at]))
        with np.errstate(divide="ignore", invalid="ignore"):
            d = np.where(c2 < 0, -c1 / (2 * c2), 0.0).clip(-reach, reach)
        inside = (self.x[at] + d).clip(self.x[0], self.x[-1])
        d = inside - self.x[at]
        return inside, c0 + d * (c1 + d * c2)


def _hat(x: Floats, count: Ints, width: float) -> Floats:
    """Matrix of the local-linear smoother: smoothed = hat @ curve."""
    d = x[None, :] - x[:, None]
    w = np.exp(-0.5 * (d / width) ** 2) * count
    s0, s1, s2 = (np.sum(w * d**k, axis=1, keepdims=True) for k in range(3))
    det = s0 * s2 - s1**2
    isolated = det <= np.finfo(float).tiny  # the weights of all neighbours underflow
    hat: Floats = np.where(isolated, w / s0, w * (s2 - d * s1) / np.where(isolated, 1.0, det))
    return hat


def _vertex_of_three(x: Floats, values: Floats, i: int) -> float:
    """Height of the parabola through a maximum and its two neighbours."""
    (a, b), (p, q) = x[[i - 1, i + 1]] - x[i], values[[i - 1, i + 1]] - values[i]
    c2 = (p / a - q / b) / (a - b)
    c1 = p / a - c2 * a
    return float(values[i] - (c1**2 / (4 * c2) if c2 < 0 else 0.0))
