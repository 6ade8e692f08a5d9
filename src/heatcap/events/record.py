"""Events in the accuracies and the loss of one run: memorisation, onset, mirror leak, spikes.

Each function takes 1-D arrays along the rows of the record, with steps in increasing order; rows
that are NaN or at step 0 are skipped.  Accuracies are fractions of 1, crossings are interpolated in
ln step, results are in steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from heatcap.core.arrays import Bools, Floats

__all__ = [
    "LEAST_FINAL",
    "LEAST_RISE",
    "MEMORISED",
    "MirrorLeak",
    "Onset",
    "memorisation",
    "mirror_leak",
    "near_spikes",
    "not_negative",
    "onset",
    "positive",
    "record",
    "spikes",
    "usable",
]

MEMORISED = 0.99  # train accuracy
LEAST_RISE, LEAST_FINAL = 0.2, 0.9  # rise and final test accuracy of a run that generalises
TOLERANCE = 0.1  # of an accuracy
MIN_ROWS = 3  # of a plateau


def memorisation(step: ArrayLike, train_accuracy: ArrayLike, *, level: float = MEMORISED) -> float:
    """Find the step at which the train accuracy first reaches `level`, interpolated in ln step.

    Parameters
    ----------
    step, train_accuracy : array_like (row)
        Steps in increasing order; rows that are NaN or at step 0 are skipped.
    level : float
        Accuracy that counts as memorised.

    Returns
    -------
    float
        NaN if the level is never reached; the first step if it is reached there already.

    Raises
    ------
    ValueError
        If lengths differ or steps do not increase.
    """
    x, accuracy = record(step, train_accuracy, "train_accuracy")
    reached = np.flatnonzero(accuracy >= level)
    if not reached.size:
        return float("nan")
    return float(np.exp(_crossing(x, accuracy, int(reached[0]), level)))


@dataclass(frozen=True)
class Onset:
    """Onset of generalisation of one run, or the statement that there is none by `last_step`.

    `step` is NaN when `censored`, and `message` has the reason.  A record without any test accuracy
    is not censored, because nothing was observed; nor is one that generalises without memorising,
    for it has no baseline.  `spacing` is the gap between the rows beside the onset, in steps, which
    limits its resolution.  Accuracies are fractions of 1.
    """

    step: float
    baseline: float
    final: float
    censored: bool
    last_step: float
    message: str = ""
    spacing: float = float("nan")

    @property
    def midpoint(self) -> float:
        """Accuracy whose last upward crossing is the onset."""
        return (self.baseline + self.final) / 2


def onset(
    step: ArrayLike,
    accuracy: ArrayLike,
    memorisation_step: float,
    *,
    min_rise: float = LEAST_RISE,
    min_final: float = LEAST_FINAL,
) -> Onset:
    """Find the onset: the last upward crossing of the midpoint of baseline and final value.

        midpoint = (baseline + final) / 2

    with the baseline read at memorisation, and the median over the last tenth of the record, in ln
    step, as the final value.

    Parameters
    ----------
    step, accuracy : array_like (row)
        Test accuracy, mirror-free where the task is symmetric.
    memorisation_step : float
        Step at which the baseline is read; NaN if the run never memorised.
    min_rise, min_final : float
        The onset exists only if final - baseline >= `min_rise` and final >= `min_final`.

    Returns
    -------
    Onset
        Censored, with the reason in `message`, where the onset does not exist.

    Raises
    ------
    ValueError
        If lengths differ or steps do not increase.
    """
    rows = usable(step, accuracy)
    x, accuracy = record(step, accuracy, "accuracy")
    if not x.size:
        return Onset(np.nan, np.nan, np.nan, False, np.nan, "no test accuracy in the record")
    last = float(np.asarray(step)[rows][-1])
    final = float(np.median(accuracy[x >= x[-1] - 0.1 * (x[-1] - x[0])]))
    if not np.isfinite(memorisation_step):
        why = f"not memorised by step {last:.0f}"
        if final >= min_final:
            why += ": the baseline, and with it the onset, is not defined"
        return Onset(np.nan, np.nan, final, final < min_final, last, why)
    baseline = float(np.interp(np.log(memorisation_step), x, accuracy))
    if final < min_final or final - baseline < min_rise:
        why = f"not generalised by step {last:.0f}: accuracy {baseline:.3f} -> {final:.3f}"
        return Onset(np.nan, baseline, final, True, last, why)
    midpoint = (baseline + final) / 2
    above = accuracy >= midpoint
    up = np.flatnonzero(above[1:] & ~above[:-1]) + 1
    if not up.size:  # possible only where the record starts above and the baseline is read later
        return Onset(np.nan, baseline, final, True, last, "accuracy never crosses its midpoint")
    at = float(np.exp(_crossing(x, accuracy, int(up[-1]), midpoint)))
    spacing = float(np.exp(x[up[-1]]) - np.exp(x[up[-1] - 1]))
    return Onset(at, baseline, final, False, last, spacing=spacing)


def _crossing(x: Floats, y: Floats, i: int, level: float) -> float:
    """Position at which the segment that ends at row i, the first at or above level, crosses it."""
    if i == 0:
        return float(x[0])
    return float(x[i - 1] + (level - y[i - 1]) / (y[i] - y[i - 1]) * (x[i] - x[i - 1]))


# ---- test accuracy that only mirrors memorised pairs -----------------------------------------


@dataclass(frozen=True)
class MirrorLeak:
    """Accuracy on the plateau after memorisation, and whether mirrored pairs explain it.

    `found` is None where this is undecidable; `message` has the observation, or what is missing.
    """

    plateau: float
    found: bool | None
    message: str = ""


def mirror_leak(
    step: ArrayLike,
    test_accuracy: ArrayLike,
    mirror_free_accuracy: ArrayLike,
    memorisation_step: float,
    onset_step: float,
    *,
    fraction: float = np.nan,
) -> MirrorLeak:
    """Test whether the test accuracy plateaus because mirrors of trained pairs are answered.

    On a symmetric operation with an ordered split, (b, a) is answered as soon as (a, b) is
    memorised: the test accuracy then waits near the training fraction f, and a threshold below f
    fires at memorisation.  The plateau is the median test accuracy over the first half, in ln step,
    of the time from memorisation to the onset (or to the end of the record).  It is a leak if it is
    0.1 or more above the mirror-free accuracy, or, without one, within 0.1 of f.

    Parameters
    ----------
    step, test_accuracy, mirror_free_accuracy : array_like (row)
        Accuracies; the mirror-free one is NaN where it was not recorded.
    memorisation_step, onset_step : float
        NaN where there is none.
    fraction : float
        Training fraction f; NaN if it is not known.

    Returns
    -------
    MirrorLeak

    Raises
    ------
    ValueError
        If lengths differ or steps do not increase.
    """
    plain = _plateau(step, test_accuracy, memorisation_step, onset_step)
    if not np.isfinite(plain):
        return MirrorLeak(plain, None, "no plateau between memorisation and onset to look at")
    free = _plateau(step, mirror_free_accuracy, memorisation_step, onset_step)
    if np.isfinite(free):
        leaks = plain - free >= TOLERANCE
        observed = f"test accuracy {plain:.2f} after memorisation, {free:.2f} on mirror-free inputs"
        return MirrorLeak(plain, leaks, f"mirror leak: {observed}" if leaks else "")
    if not np.isfinite(fraction):
        return MirrorLeak(plain, None, "mirror leak not tested: no training fraction is known")
    leaks = abs(plain - fraction) <= TOLERANCE
    observed = f"test accuracy waits at {plain:.2f}, near the training fraction {fraction:g}"
    hint = "; if the operation is symmetric, these are mirrors of trained pairs"
    return MirrorLeak(plain, leaks, f"mirror leak: {observed}{hint}" if leaks else "")


def _plateau(step: ArrayLike, accuracy: ArrayLike, memorised: float, onset: float) -> float:
    x, values = record(step, accuracy, "accuracy")
    if not x.size or not np.isfinite(memorised):
        return float("nan")
    start, end = np.log(memorised), np.log(onset) if np.isfinite(onset) else x[-1]
    inside = values[(x > start) & (x <= (start + end) / 2)]
    return float(np.median(inside)) if inside.size >= MIN_ROWS else float("nan")


# ---- the record of a run -------------------------------------------------------------------


def usable(step: ArrayLike, values: ArrayLike) -> Bools:
    """Select the rows with a value at a step after step 0."""
    step, values = np.asarray(step, dtype=np.float64), np.asarray(values, dtype=np.float64)
    ok: Bools = np.isfinite(step) & (step > 0) & np.isfinite(values)
    return ok


def record(step: ArrayLike, values: ArrayLike, name: str) -> tuple[Floats, Floats]:
    """Return ln step and values of the usable rows.

    Raises
    ------
    ValueError
        If lengths differ or steps do not increase.
    """
    if np.ndim(step) != 1 or np.shape(step) != np.shape(values):
        raise ValueError(
            f"step and {name} must be 1-D and of one length,"
            f" got {np.shape(step)} and {np.shape(values)}"
        )
    every = np.asarray(step, dtype=np.float64)
    finite = every[np.isfinite(every)]
    if finite.size and np.any(np.diff(finite) <= 0):
        at = int(np.argmax(np.diff(finite) <= 0))
        raise ValueError(f"step must increase, got {finite[at]:g} followed by {finite[at + 1]:g}")
    ok = usable(step, values)
    return np.log(every[ok]), np.asarray(values, dtype=np.float64)[ok]


def not_negative(**values: float) -> None:
    """Refuse options below 0, by name."""
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name} must not be negative, got {value}")


def positive(**values: float) -> None:
    """Refuse options that are not above 0, by name."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")


# ---- spikes of the training loss -----------------------------------------------------------

FOOT = 2.0  # times the running median: level at which a spike begins and ends


def spikes(
    step: ArrayLike, train_loss: ArrayLike, *, factor: float = 5.0, width: float = 0.2
) -> Bools:
    """Mark the rows at which the training loss exceeds `factor` times its running median.

    A spike extends, before and after, for as long as the loss stays above twice its running median.
    The running median is taken over at most 31 rows spread evenly over a window of `width` in ln
    step (never fewer than 3 rows on a side) with *equally many rows before and after*: a loss that
    only falls is its own running median, at any speed and on any grid, and is never marked.  The
    last 3 rows are compared with the rows before them; the first 3 are never marked.

    Parameters
    ----------
    step, train_loss : array_like (row)
    factor : float
        Threshold; 5 is the criterion by which slingshots (a term of V. Thilak et al.,
        arXiv:2206.04817) are counted elsewhere.
    width : float
        Width of the window in ln step.

    Returns
    -------
    ndarray of bool (row)

    Raises
    ------
    ValueError
        If lengths differ, steps do not increase, or `factor` or `width` is not positive.
    """
    positive(factor=factor, width=width)
    x, loss = record(step, train_loss, "train_loss")
    marked = np.zeros(np.shape(step), dtype=bool)
    excess = loss / factor, loss / min(factor, FOOT)
    median = _running_median(x, loss, width)
    top, foot = excess[0] > median, excess[1] > median
    piece = np.cumsum(np.diff(foot, prepend=False))  # odd numbers count the pieces of the foot
    marked[usable(step, train_loss)] = foot & np.isin(piece, piece[top])
    return marked


def _running_median(x: Floats, y: Floats, width: float, side: int = 3, points: int = 31) -> Floats:
    """Median over a window centred in rows; infinite for the first `side` rows."""
    n = x.size
    row = np.arange(n)
    before = row - np.searchsorted(x, x - width / 2)
    after = np.searchsorted(x, x + width / 2, side="right") - 1 - row
    half = np.clip(np.minimum(before, after), side, np.minimum(row, n - 1 - row).clip(side))
    at_end = row > n - 1 - side
    first = np.where(at_end, row - np.maximum(before, 2 * side), row - half)
    length = np.where(at_end, row - first, 2 * half)
    index = first[:, None] + np.rint(np.linspace(0, 1, points) * length[:, None]).astype(np.intp)
    median = np.median(y[index.clip(0, max(n - 1, 0))], axis=1) if n else np.empty(0)
    return np.where(first < 0, np.inf, median)


def near_spikes(step: ArrayLike, spike_steps: ArrayLike) -> Bools:
    """Mark the checkpoints with a spike between the checkpoint before and the one after.

    A spike between two checkpoints may have affected either of them.

    Parameters
    ----------
    step : array_like (checkpoint)
    spike_steps : array_like (spike)
        Steps of the marked spikes, on any grid.

    Returns
    -------
    ndarray of bool (checkpoint)
    """
    step, marked = np.asarray(step, dtype=np.float64), np.sort(np.asarray(spike_steps, dtype=float))
    before = np.concatenate([[-np.inf], step[:-1]])[: step.size]
    after = np.concatenate([step[1:], [np.inf]])[: step.size]
    inside = np.searchsorted(marked, after, side="left") - np.searchsorted(
        marked, before, side="right"
    )
    return np.asarray(inside > 0)
