"""Onset times with censoring: a run that has not generalised yet counts as such."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heatcap.events.result import Events

__all__ = ["OnsetSurvival", "onset_survival", "sizes_of"]


@dataclass(frozen=True)
class OnsetSurvival:
    """Onset times of the runs proper, per size.

    Attributes
    ----------
    by_size : list of dict
        `size`, `runs`, `censored`, Kaplan-Meier `median` onset step with `ci95` (None where it
        does not exist: half the runs censored, or too few).
    log_rank_p : float
        Could all sizes share one distribution of onsets?  NaN for a single size.
    hazard_ratio, hazard_ci95, hazard_p
        Cox: factor on the rate of onset when the size doubles; above 1, larger sizes generalise
        earlier.
    message : str
    """

    by_size: list[dict[str, Any]] = field(default_factory=list)
    log_rank_p: float = float("nan")
    hazard_ratio: float = float("nan")
    hazard_ci95: tuple[float, float] = (float("nan"), float("nan"))
    hazard_p: float = float("nan")
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, None where a number does not exist."""
        return {
            "by_size": self.by_size,
            "log_rank_p": _or_none(self.log_rank_p),
            "hazard_ratio_per_doubling": {
                "value": _or_none(self.hazard_ratio),
                "ci95": [_or_none(x) for x in self.hazard_ci95],
                "p": _or_none(self.hazard_p),
            },
            "message": self.message,
        }


def onset_survival(events: Events) -> OnsetSurvival:
    """Kaplan-Meier per size, log-rank between sizes, Cox regression on log2(size).

    Parameters
    ----------
    events : Events
        Runs of controls and runs without any test accuracy are left out.

    Returns
    -------
    OnsetSurvival
    """
    runs = events.runs
    runs = runs[(runs["group"] == "none") & np.isfinite(runs["last_step"])]
    if runs.empty:
        return OnsetSurvival(message="no run with a test accuracy")
    size = sizes_of(runs).to_numpy()
    time = runs["onset_step"].fillna(runs["last_step"]).to_numpy(dtype=np.float64)
    seen = (~runs["censored"]).to_numpy(dtype=np.float64)
    rows = [_of_size(s, time[size == s], seen[size == s]) for s in np.unique(size)]
    if len(rows) < 2 or not seen.any():
        return OnsetSurvival(rows, message="one size, nothing to compare" if seen.any() else _NONE)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # statsmodels warns where a size has no event
        return OnsetSurvival(rows, _log_rank(time, seen, size), *_cox(time, seen, size))


_NONE = "no run has generalised"


def sizes_of(runs: pd.DataFrame) -> pd.Series:
    """The size of every run: its `size`, its `p`, or 0 where neither is known."""
    for name in ("size", "p"):
        if name in runs and runs[name].notna().any():
            return runs[name].astype(float)
    return pd.Series(0.0, index=runs.index)


def _of_size(size: float, time: NDArray[Any], seen: NDArray[Any]) -> dict[str, Any]:
    from statsmodels.duration.survfunc import SurvfuncRight

    row = {"size": float(size), "runs": int(time.size), "censored": int((seen == 0).sum())}
    curve = SurvfuncRight(time, seen)
    median, interval = curve.quantile(0.5), (np.nan, np.nan)
    if time.size >= 6:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # log-log of a survival of exactly 1 or 0
            interval = curve.quantile_ci(0.5)
    return row | {"median": _or_none(median), "ci95": [_or_none(x) for x in interval]}


def _log_rank(time: NDArray[Any], seen: NDArray[Any], size: NDArray[Any]) -> float:
    from statsmodels.duration.survfunc import survdiff

    try:
        return float(survdiff(time, seen, size)[1])
    except np.linalg.LinAlgError:  # all onsets at one step: nothing to compare
        return float("nan")


def _cox(
    time: NDArray[Any], seen: NDArray[Any], size: NDArray[Any]
) -> tuple[float, tuple[float, float], float]:
    from statsmodels.duration.hazard_regression import PHReg

    nothing = (float("nan"), (float("nan"), float("nan")), float("nan"))
    if not (size > 0).all():
        return nothing
    x = np.log2(size)
    try:
        fit = PHReg(time, (x - x.mean())[:, None], status=seen).fit(disp=0)
    except (np.linalg.LinAlgError, ValueError):
        return nothing
    (low, high), value = fit.conf_int()[0], fit.params[0]
    return float(np.exp(value)), (float(np.exp(low)), float(np.exp(high))), float(fit.pvalues[0])


def _or_none(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None
