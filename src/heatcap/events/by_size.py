"""Heights and positions of peaks, and onsets, per size: with errors over runs, and censoring."""

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
        How many runs there are, and how many of them have a peak: the estimates stand on these.
    height : Estimate (size[, head])
    log_step : Estimate (size[, head])
        ln of the position.  Its error is never smaller than the spacing of the checkpoints.
    message : str
        Where an error cannot be had.
    """

    runs: xr.DataArray
    with_peak: xr.DataArray
    height: Estimate | None
    log_step: Estimate | None
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, None where there is none."""
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
    """Bootstrap over runs of the mean height and the mean ln position of the peak.

    Parameters
    ----------
    events : Events
    observable : str
    head : int, "mean" or None
        None: every head, along a dimension `head`; heads share runs, so they come with their
        covariance.
    layer : label, optional
        The first one by default.
    group : str
        "none" for the runs proper, or a control.
    unit : str
        "run": all runs are independent.  "seed": runs of different sizes with one seed are drawn
        together, and ``height.covariance()`` holds what they share.
    replicates : int
    rng : int or Generator

    Returns
    -------
    PeaksBySize
        A size with one run with a peak has no error: none is made up.  Curves that are highest at
        an end of their record have no peak.

    Raises
    ------
    ValueError
        If `events` lack the observable, layer, head or group.
    """
    table = events.peak(observable, layer=layer, head=head)
    every = events.of_group(group)
    every = every[sizes_of(events.runs)[every.index].notna()]
    if every.empty:
        raise ValueError(f"no run belongs to group {group!r}")
    size = sizes_of(every)
    sizes = np.unique(size)
    heads = list(dict.fromkeys(table[Column.HEAD]))
    known = every[every[Column.RUN].isin(table[Column.RUN])]
    counts = _count(size, sizes), _count(size[known.index], sizes)
    if known.empty:
        return PeaksBySize(*counts, height=None, log_step=None, message="no run has a peak")
    data = _dataset(table, known, heads, head)
    options: dict[str, Any] = {"unit": unit, "replicates": replicates, "rng": rng}
    height, place = (_estimate(data, name, options) for name in ("height", "log_step"))
    height = _steadied(height, data)
    place = _no_sharper(place, _mean_by_size("spacing")(data))
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
    found = bootstrap(part, mean, strata="size", vectorized=True, interval="t", **options)
    if several.all():
        return found
    sizes = {"size": value["size"]}
    parts = {f: getattr(found, f).reindex(sizes) for f in ("error", "ci68", "ci95", "n_eff")}
    message = "; ".join(filter(None, [found.message, _LONE]))
    return replace(found, value=value, bias=None, message=message, **parts)


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
    """Heights and positions (run[, head]), and which run belongs to which size."""
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
        known = data[name].notnull()
        weight = data["member"] * known
        total = (data["member"] * data[name].fillna(0.0) * known).sum("run")
        count = weight.sum("run")
        return (total / count.where(count > 0)).rename(size_label="size")

    return mean


def _steadied(height: Estimate, data: xr.Dataset) -> Estimate:
    """Heights with the errors that a verdict on them has: few runs steady one another.

    The bootstrap keeps what the entries share, scaled to these errors.
    """
    if not height.error.notnull().any():
        return height
    seen = data.drop_vars("size").rename(size_label="size")  # `size` is that of each run there
    mine = seen["member"] * seen["height"].notnull()
    count = mine.sum("run")
    off = (seen["height"] - height.value) * mine
    variance = (off**2).sum("run") / np.maximum(count - 1, 1)
    heads = height.value["head"].to_numpy() if "head" in height.value.dims else [None]
    error = xr.full_like(height.error, np.nan)
    for own in [{} if head is None else {"head": head} for head in heads]:
        each = [x.sel(own).to_numpy() for x in (height.value, variance, count)]
        known = each[2] > 0
        found = np.full(known.shape, np.nan)
        found[known] = errors_of_means(*(x[known] for x in each))[0]
        error.loc[own] = found
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


def _no_sharper(place: Estimate, spacing: xr.DataArray) -> Estimate:
    """Positions with errors and intervals that reach to the neighbouring checkpoints."""
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
