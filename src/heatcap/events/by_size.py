"""Peaks and onsets per size: means with errors over runs, and survival analysis of onsets.

`peaks_by_size` has mean height and ln position of the peak with bootstrap errors over runs (heights
in units of the observable); `onset_survival` the onset times in steps, with runs that have not
generalised as censored.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from heatcap.core.arrays import Floats
from heatcap.core.columns import PROPER, Column
from heatcap.core.result import plain
from heatcap.core.student import errors_of_means
from heatcap.events.result import Events
from heatcap.observables.dataset import sizes_of
from heatcap.resampling import Estimate, bootstrap
from heatcap.resampling.censored import censored_median
from heatcap.resampling.estimate import deviations_of

__all__ = [
    "OnsetSurvival",
    "PeaksBySize",
    "onset_survival",
    "peaks_by_size",
]

GAUSSIAN = 1.959964  # errors in a 95 % interval


@dataclass(frozen=True, eq=False)
class PeaksBySize:
    """Mean peak of the runs of every size.

    Attributes
    ----------
    runs, with_peak : DataArray (size)
        Number of runs, and number of runs with a peak, which the estimates use.
    height : Estimate (size[, head])
    log_step : Estimate (size[, head])
        ln of the position.  Its error is never smaller than the spacing of the checkpoints.
    message : str
        Reason for missing errors.
    """

    runs: xr.DataArray
    with_peak: xr.DataArray
    height: Estimate | None
    log_step: Estimate | None
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None for missing estimates."""
        return {
            "size": self.runs["size"].to_numpy().tolist(),
            "runs": self.runs.to_numpy().tolist(),
            "with_peak": self.with_peak.to_numpy().tolist(),
            "height": self.height.to_dict() if self.height else None,
            "log_step": self.log_step.to_dict() if self.log_step else None,
            "message": self.message,
        }


def peaks_by_size(
    events: Events,
    observable: str,
    *,
    head: int | str | None = "mean",
    layer: Any = None,
    group: str = PROPER,
    unit: str = "run",
    replicates: int = 1000,
    rng: int | np.random.Generator = 0,
) -> PeaksBySize:
    """Average height and ln position of the peak per size, with bootstrap errors over runs.

    Parameters
    ----------
    events : Events
    observable : str
    head : int, "mean" or None
        None: every head, along a dimension `head`; heads share runs, so their covariance is
        estimated as well.
    layer : label, optional
        The first one by default.
    group : str
        "none" for the treatment runs, or a control.
    unit : str
        "run": all runs are independent.  "seed": runs of different sizes with one seed are drawn
        together, and ``height.covariance()`` holds what they share.
    replicates : int
    rng : int or Generator

    Returns
    -------
    PeaksBySize
        A size with a single peak has no error.  Curves that are highest at an end of their record
        have no peak.

    Raises
    ------
    ValueError
        If `events` lack the observable, layer, head or group.
    """
    table = events.peak(observable, layer=layer, head=head)
    runs = events.of_group(group)
    runs = runs[sizes_of(events.runs)[runs.index].notna()]
    if runs.empty:
        raise ValueError(f"no run belongs to group {group!r}")
    size = sizes_of(runs)
    sizes = np.unique(size)
    heads = list(dict.fromkeys(table[Column.HEAD]))
    peaked = runs[runs[Column.RUN].isin(table[Column.RUN])]
    counts = _count(size, sizes), _count(size[peaked.index], sizes)
    if peaked.empty:
        return PeaksBySize(*counts, height=None, log_step=None, message="no run has a peak")
    data = _dataset(table, peaked, heads, head)
    options: dict[str, Any] = {"unit": unit, "replicates": replicates, "rng": rng}
    height, place = (_estimate(data, name, options) for name in ("height", "log_step"))
    height = _with_pooled_errors(height, data)
    place = _with_checkpoint_spacing(place, _mean_by_size("spacing")(data))
    return PeaksBySize(*counts, height, place, height.message)


def _estimate(data: xr.Dataset, name: str, options: dict[str, Any]) -> Estimate:
    """Bootstrap over runs within sizes; sizes with one run keep their value without an error."""
    mean = _mean_by_size(name)
    value = mean(data)
    several = data["member"].sum("run") >= 2
    runs = data["member"].where(several, 0).sum("size_label") > 0
    if not runs.any():
        return _without_error(value)
    part = data[[name, "member"]].isel(run=runs.to_numpy(), size_label=several.to_numpy())
    estimate = bootstrap(part, mean, strata="size", vectorized=True, interval="t", **options)
    if several.all():
        return estimate
    sizes = {"size": value["size"]}
    parts = {f: getattr(estimate, f).reindex(sizes) for f in ("error", "ci68", "ci95", "n_eff")}
    message = "; ".join(filter(None, [estimate.message, _LONE]))
    return replace(estimate, value=value, bias=None, message=message, **parts)


_LONE = "sizes with one peak have no error"


def _without_error(value: xr.DataArray) -> Estimate:
    nothing = xr.full_like(value, np.nan)
    ends = nothing.expand_dims(bound=["low", "high"], axis=-1)
    return Estimate(
        value=value,
        error=nothing,
        ci68=ends,
        ci95=ends,
        n_eff=nothing,
        method="none",
        message=_LONE,
    )


def _count(size: pd.Series, sizes: np.ndarray[Any, Any]) -> xr.DataArray:
    return xr.DataArray([int((size == s).sum()) for s in sizes], {"size": sizes}, "size")


def _dataset(
    table: pd.DataFrame, runs: pd.DataFrame, heads: list[str], head: int | str | None
) -> xr.Dataset:
    """Heights and positions (run[, head]), and membership of runs in sizes (run, size_label)."""
    size = sizes_of(runs).to_numpy()
    sizes = np.unique(size)
    member = (size[:, None] == sizes).astype(np.float64)
    values = {}
    columns = table.assign(
        height=table[Column.HEIGHT],
        log_step=np.log(table[Column.PEAK]),
        spacing=np.log1p(table[Column.PEAK_SPACING] / table[Column.PEAK]),
    )
    for name in ("height", "log_step", "spacing"):
        wide = columns.pivot(index=Column.RUN, columns=Column.HEAD, values=name)
        wide = wide.reindex(index=runs[Column.RUN], columns=heads)
        values[name] = (("run", "head"), wide.to_numpy())
    data = xr.Dataset(
        values | {"member": (("run", "size_label"), member)},
        {"run": runs[Column.RUN].to_numpy(), "size": ("run", size), "head": heads},
    )
    data = data.assign_coords(size_label=sizes)
    if "seed" in runs:
        data = data.assign_coords(seed=("run", runs["seed"].to_numpy()))
    return data if head is None else data.isel(head=0, drop=True)


def _mean_by_size(name: str) -> Any:
    def mean(data: xr.Dataset) -> xr.DataArray:
        defined = data[name].notnull()
        weight = data["member"] * defined
        total = (data["member"] * data[name].fillna(0.0) * defined).sum("run")
        count = weight.sum("run")
        return (total / count.where(count > 0)).rename(size_label="size")

    return mean


def _with_pooled_errors(height: Estimate, data: xr.Dataset) -> Estimate:
    """Heights with the errors of a verdict on them, for which sizes with few runs share a spread.

    The bootstrap replicates keep their correlations, scaled to these errors.
    """
    if not height.error.notnull().any():
        return height
    # In `data`, `size` is a coordinate of the runs.
    labelled = data.drop_vars("size").rename(size_label="size")
    member = labelled["member"] * labelled["height"].notnull()
    count = member.sum("run")
    off = (labelled["height"] - height.value) * member
    variance = (off**2).sum("run") / np.maximum(count - 1, 1)
    heads = height.value["head"].to_numpy() if "head" in height.value.dims else [None]
    error = xr.full_like(height.error, np.nan)
    for place in [{} if head is None else {"head": head} for head in heads]:
        arrays = [x.sel(place).to_numpy() for x in (height.value, variance, count)]
        present = arrays[2] > 0
        errors = np.full(present.shape, np.nan)
        errors[present] = errors_of_means(*(x[present] for x in arrays))[0]
        error.loc[place] = errors
    error = error.where(height.error.notnull())
    side = xr.DataArray([-1.0, 1.0], {"bound": height.ci95["bound"]}, "bound")
    ends: dict[str, Any] = {
        name: (height.value + width * side * error).transpose(*getattr(height, name).dims)
        for name, width in (("ci68", 1.0), ("ci95", GAUSSIAN))
    }
    deviations = None
    if height.replicates is not None:
        spread = height.replicates.copy(data=deviations_of(height.replicates.to_numpy()))
        deviations = spread * (error / height.error.where(height.error > 0)).fillna(0.0)
        deviations = deviations.transpose(*height.replicates.dims)
    return replace(height, error=error, deviations=deviations, **ends)


def _with_checkpoint_spacing(place: Estimate, spacing: xr.DataArray) -> Estimate:
    """Positions whose errors and intervals extend at least to the neighbouring checkpoints."""
    error = place.error.copy(data=np.maximum(place.error, spacing))  # NaN stays NaN
    side = xr.DataArray([-1.0, 1.0], {"bound": place.ci95["bound"]}, "bound")
    reach = place.value + side * spacing

    def widened(ci: xr.DataArray) -> xr.DataArray:
        outer: xr.DataArray = side * np.maximum(side * ci, side * reach)
        return outer.where(ci.notnull()).transpose(*ci.dims)

    return replace(place, error=error, ci68=widened(place.ci68), ci95=widened(place.ci95))


# ---- onsets with censoring -----------------------------------------------------------------


@dataclass(frozen=True)
class OnsetSurvival:
    """Onset times of the treatment runs, per size.

    Attributes
    ----------
    by_size : list of dict
        `size`, `runs`, `censored`, Kaplan-Meier `median` onset step with `ci95` (NaN where it
        does not exist: half the runs censored, or too few).
    log_rank_p : float
        p-value of one distribution of onsets for all sizes; NaN for a single size.
    hazard_ratio, hazard_ci95, hazard_p
        Cox regression: factor on the rate of onset when the size doubles; above 1, larger sizes
        generalise earlier.
    message : str
    """

    by_size: list[dict[str, Any]] = field(default_factory=list)
    log_rank_p: float = float("nan")
    hazard_ratio: float = float("nan")
    hazard_ci95: tuple[float, float] = (float("nan"), float("nan"))
    hazard_p: float = float("nan")
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None for missing numbers."""
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
    """Compare onset times: Kaplan-Meier per size, log-rank test, Cox regression on log2(size).

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
    observed = (~runs[Column.CENSORED]).to_numpy(dtype=np.float64)
    rows = [_survival_row(s, time[size == s], observed[size == s]) for s in np.unique(size)]
    if len(rows) < 2 or not observed.any():
        why = "one size, nothing to compare" if observed.any() else "no run has generalised"
        return OnsetSurvival(rows, message="; ".join(filter(None, [why, left_out])))
    return OnsetSurvival(
        rows, _log_rank(time, observed, size), *_cox(time, observed, size), message=left_out
    )


def _survival_row(size: float, time: Floats, observed: Floats) -> dict[str, Any]:
    median, ci95 = censored_median(time[observed == 1], time[observed == 0])
    counts = {"size": float(size), "runs": int(time.size), "censored": int((observed == 0).sum())}
    return counts | {"median": median, "ci95": ci95}


def _log_rank(time: Floats, observed: Floats, size: Floats) -> float:
    from statsmodels.duration.survfunc import survdiff

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # statsmodels warns where a size has no event
            return float(survdiff(time, observed, size)[1])
    except np.linalg.LinAlgError:  # a size without any onset while the others are watched
        return float("nan")


def _cox(time: Floats, observed: Floats, size: Floats) -> tuple[float, tuple[float, float], float]:
    from statsmodels.duration.hazard_regression import PHReg
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    nothing = (float("nan"), (float("nan"), float("nan")), float("nan"))
    if not (size > 0).all():
        return nothing
    x = np.log2(size)
    try:
        with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            fit = PHReg(time, (x - x.mean())[:, None], status=observed).fit(disp=0)
            (low, high), value = fit.conf_int()[0], fit.params[0]
            p = float(fit.pvalues[0])
    except (np.linalg.LinAlgError, ValueError):
        return nothing
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        return nothing  # sizes that do not overlap: the ratio has no finite maximum
    with np.errstate(over="ignore"):
        return float(np.exp(value)), (float(np.exp(low)), float(np.exp(high))), p
