"""Median of censored times, of which only a lower bound is known."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from heatcap.core.arrays import Floats

__all__ = ["censored_median"]

FEWEST = 6  # values that an interval at 95 % needs


def censored_median(values: Floats, at_least: Floats) -> tuple[float, tuple[float, float]]:
    """Estimate Kaplan and Meier's median with its 95 % interval (log-log transform).

    Parameters
    ----------
    values : ndarray
        Observed times, of either sign.
    at_least : ndarray
        Lower bounds of the censored times.

    Returns
    -------
    median, (low, high)
        Where the survival stays at one half, the middle of that step, as for a plain median.  NaN
        if it never falls to one half; the interval is NaN for fewer than 6 values.
    """
    from statsmodels.duration.survfunc import SurvfuncRight

    every = np.concatenate([values, at_least])
    if not every.size:
        return float("nan"), (float("nan"), float("nan"))
    shift = every.min() - 1  # the times of statsmodels are positive
    status = np.r_[np.ones(values.size), np.zeros(at_least.size)]
    curve = SurvfuncRight(every - shift, status)
    low = high = np.nan
    if every.size >= FEWEST:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of the logarithm of a survival of exactly 1 or 0
            low, high = curve.quantile_ci(0.5, alpha=0.05)
    return _half(curve) + float(shift), (float(low + shift), float(high + shift))


def _half(curve: Any) -> float:
    """Time at which the survival falls to one half; the middle of the step if it stays there."""
    survival, time = np.asarray(curve.surv_prob), np.asarray(curve.surv_times)
    reached = np.flatnonzero(survival <= 0.5 + 1e-12)
    below = np.flatnonzero(survival < 0.5 - 1e-12)
    if not reached.size:
        return float("nan")
    return float((time[reached[0]] + time[below[0]]) / 2 if below.size else time[reached[0]])
