"""Spikes of the training loss, and which checkpoints they touch."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from heatcap.core.arrays import Bools, Floats
from heatcap.events.record import positive, record, usable

__all__ = ["near_spikes", "spikes"]

FOOT = 2.0  # times the running median: where a spike begins and ends


def spikes(
    step: ArrayLike, train_loss: ArrayLike, *, factor: float = 5.0, width: float = 0.2
) -> Bools:
    """Rows at which the training loss exceeds `factor` times its running median.

    A spike goes on, before and after, for as long as the loss stays above twice its running median.
    The running median is taken over at most 31 rows spread evenly over a window of `width` in ln
    step (never fewer than 3 rows on a side) with *equally many rows before and after*: a loss that
    only falls is its own running median, at any speed and on any grid, and is never marked.  The
    last 3 rows are compared with the rows before them, the first 3 with nothing.

    Parameters
    ----------
    step, train_loss : array_like (row)
    factor : float
        5, the criterion under which slingshots (the word of V. Thilak et al., arXiv:2206.04817) are
        counted elsewhere.
    width : float
        Of the window, in ln step.

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
    marked[usable(step, train_loss)] = _around(excess[0] > median, excess[1] > median)
    return marked


def _around(top: Bools, foot: Bools) -> Bools:
    """Rows of the foot that hang together with a row of the top."""
    piece = np.cumsum(np.diff(foot, prepend=False))  # odd numbers number the pieces of the foot
    return np.asarray(foot & np.isin(piece, piece[top]))


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
    """Checkpoints with a spike between the checkpoint before and the one after.

    What happened between two checkpoints may have left its mark on either.

    Parameters
    ----------
    step : array_like (checkpoint)
    spike_steps : array_like (spike)
        Steps of the marked spikes, on any grid.

    Returns
    -------
    ndarray of bool (checkpoint)
    """
    step, found = np.asarray(step, dtype=np.float64), np.sort(np.asarray(spike_steps, dtype=float))
    before = np.concatenate([[-np.inf], step[:-1]])[: step.size]
    after = np.concatenate([step[1:], [np.inf]])[: step.size]
    inside = np.searchsorted(found, after, side="left") - np.searchsorted(
        found, before, side="right"
    )
    return np.asarray(inside > 0)
