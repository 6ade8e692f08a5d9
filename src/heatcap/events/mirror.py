"""Mirror leak: test accuracy that only repeats what was memorised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from heatcap.events.record import record

__all__ = ["MirrorLeak", "mirror_leak"]

TOLERANCE = 0.1  # of an accuracy
MIN_ROWS = 3


@dataclass(frozen=True)
class MirrorLeak:
    """Accuracy on the plateau after memorisation, and whether mirrored pairs explain it.

    `found` is None where it cannot be told; `message` says what was seen, or what is missing.
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
    """Whether the test accuracy plateaus because mirrors of trained pairs are answered.

    On a symmetric operation with an ordered split, (b, a) is answered as soon as (a, b) is
    memorised: the test accuracy then waits near the training fraction f, and a threshold below f
    fires at memorisation.  The plateau is the median test accuracy over the first half, in ln step,
    of the time from memorisation to the onset (or to the end of the record).  It is a leak where
    it stands 0.1 or more above the mirror-free accuracy, or, without one, within 0.1 of f.

    Parameters
    ----------
    step, test_accuracy, mirror_free_accuracy : array_like (row)
        The last one NaN where it was not recorded.
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
        found = plain - free >= TOLERANCE
        seen = f"test accuracy {plain:.2f} after memorisation, {free:.2f} on mirror-free inputs"
        return MirrorLeak(plain, found, f"mirror leak: {seen}" if found else "")
    if not np.isfinite(fraction):
        return MirrorLeak(plain, None, "mirror leak not tested: no training fraction is known")
    found = abs(plain - fraction) <= TOLERANCE
    seen = f"test accuracy waits at {plain:.2f}, near the training fraction {fraction:g}"
    hint = "; if the operation is symmetric, these are mirrors of trained pairs"
    return MirrorLeak(plain, found, f"mirror leak: {seen}{hint}" if found else "")


def _plateau(step: ArrayLike, accuracy: ArrayLike, memorised: float, onset: float) -> float:
    x, values = record(step, accuracy, "accuracy")
    if not x.size or not np.isfinite(memorised):
        return float("nan")
    start, end = np.log(memorised), np.log(onset) if np.isfinite(onset) else x[-1]
    inside = values[(x > start) & (x <= (start + end) / 2)]
    return float(np.median(inside)) if inside.size >= MIN_ROWS else float("nan")
