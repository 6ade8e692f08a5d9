"""Onset times with censoring: a run that has not generalised yet counts as such."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.core.columns import Column
from heatcap.core.result import plain
from heatcap.events.result import Events
from heatcap.observables.dataset import sizes_of
from heatcap.resampling.censored import censored_median

__all__ = ["OnsetSurvival", "onset_survival"]


@dataclass(frozen=True)
class OnsetSurvival:
    """Onset times of the runs proper, per size.

    Attributes
    ----------
    by_size : list of dict
        `size`, `runs`, `censored`, Kaplan-Meier `median` onset step with `ci95` (NaN where it
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
        content = {
            "by_size": self.by_size,
            "log_rank_p": self.log_rank_p,
            "hazard_ratio_per_doubling": {
                "value": self.hazard_ratio,
                "ci95": self.hazard_ci95,
                "p": self.hazard_p,
            },
            "message": self.message,
        }
        return dict(plain(content))


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
    runs = events.proper[np.isfinite(events.proper[Column.LAST_STEP])]
    if runs.empty:
        return OnsetSurvival(message="no run with a test accuracy")
    size = sizes_of(runs).to_numpy()
    unknown = int(np.isnan(size).sum())
    runs, size = runs[np.isfinite(size)], size[np.isfinite(size)]
    left_out = f"{unknown} runs without a size left out" if unknown else ""
    time = runs[Column.ONSET].fillna(runs[Column.LAST_STEP]).to_numpy(dtype=np.float64)
    seen = (~runs[Column.CENSORED]).to_numpy(dtype=np.float64)
    rows = [_of_size(s, time[size == s], seen[size == s]) for s in np.unique(size)]
    if len(rows) < 2 or not seen.any():
        why = "one size, nothing to compare" if seen.any() else "no run has generalised"
        return OnsetSurvival(rows, message="; ".join(filter(None, [why, left_out])))
    return OnsetSurvival(
        rows, _log_rank(time, seen, size), *_cox(time, seen, size), message=left_out
    )


def _of_size(size: float, time: Floats, seen: Floats) -> dict[str, Any]:
    median, ci95 = censored_median(time[seen == 1], time[seen == 0])
    counts = {"size": float(size), "runs": int(time.size), "censored": int((seen == 0).sum())}
    return counts | {"median": median, "ci95": ci95}


def _log_rank(time: Floats, seen: Floats, size: Floats) -> float:
    from statsmodels.duration.survfunc import survdiff

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # statsmodels warns where a size has no event
            return float(survdiff(time, seen, size)[1])
    except np.linalg.LinAlgError:  # a size without any onset while the others are watched
        return float("nan")


def _cox(time: Floats, seen: Floats, size: Floats) -> tuple[float, tuple[float, float], float]:
    from statsmodels.duration.hazard_regression import PHReg
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    nothing = (float("nan"), (float("nan"), float("nan")), float("nan"))
    if not (size > 0).all():
        return nothing
    x = np.log2(size)
    try:
        with warnings.catch_warnings(record=True) as said, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            fit = PHReg(time, (x - x.mean())[:, None], status=seen).fit(disp=0)
            (low, high), value = fit.conf_int()[0], fit.params[0]
            p = float(fit.pvalues[0])
    except (np.linalg.LinAlgError, ValueError):
        return nothing
    if any(issubclass(warning.category, ConvergenceWarning) for warning in said):
        return nothing  # sizes that do not overlap: the ratio has no finite maximum
    with np.errstate(over="ignore"):
        return float(np.exp(value)), (float(np.exp(low)), float(np.exp(high))), p
