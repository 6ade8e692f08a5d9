"""How much wider an interval is whose error comes from a few runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

__all__ = ["student_factor"]


def student_factor(runs: ArrayLike) -> NDArray[np.float64]:
    """Student's t over the Gaussian quantile, at 95 %, for the mean of so many runs.

    An error s / sqrt(n) of n runs is itself uncertain: an interval made with it covers 95 in 100
    only if it is wider by t_{n-1}(0.975) / 1.96.  Infinite for one run.
    """
    free = np.asarray(runs, dtype=np.float64) - 1
    wide = stdtrit(np.maximum(free, 1e-300), 0.975) / ndtri(0.975)
    return np.where(free > 0, wide, np.inf)
