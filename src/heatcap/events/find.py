"""Events of every run, observable, layer and head in a file of observables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.core.columns import AVERAGE, OF_PEAK, OF_RUN, Column
from heatcap.core.quantities import FLUCTUATIONS
from heatcap.events.curves import MIN_PROMINENCE, MIN_SIGNIFICANCE, SMOOTHING, Grid, Limits, Peaks
from heatcap.events.record import (
    Onset,
    memorisation,
    mirror_leak,
    near_spikes,
    not_negative,
    onset,
    positive,
    spikes,
    usable,
)
from heatcap.events.result import Events, settings_of
from heatcap.observables.dataset import curve, groups_of, labels_of, lacking
from heatcap.runfile import TAKEN

__all__ = ["DEFAULT_OBSERVABLES", "find_events"]


DEFAULT_OBSERVABLES = FLUCTUATIONS

SWEEP = ("p", "seed", "fraction", "weight_decay", "task", "control")


def find_events(
    obs: xr.Dataset,
    *observables: str,
    smoothing: float = SMOOTHING,
    min_prominence: float = MIN_PROMINENCE,
    min_significance: float = MIN_SIGNIFICANCE,
    query: int = -1,
    inputs: str = "all",
) -> Events:
    """Memorisation, onset, spikes, peaks and leads of every run.

    Parameters
    ----------
    obs : Dataset (run, checkpoint, layer, head, query, ...)
        Observables of all runs, padded with NaN; coordinates `step` (run, checkpoint) and
        `metric_step` (run, metric).  Any of `layer`, `head`, `query`, `inputs` may be absent; what
        has no layer or head stands under the first layer and the head "mean".
    *observables : str
        Names; if none is given, those of `DEFAULT_OBSERVABLES` that `obs` has, or, without any,
        every variable (run, checkpoint).
    smoothing : float
        Standard deviation of the smoothing kernel in ln step.
    min_prominence : float
        Smallest prominence of a listed maximum, as a share of the smoothed curve's range.
    min_significance : float
        Smallest drop beside a listed maximum in units of its standard error, from the scatter of
        neighbouring checkpoints with the curve's own correlation.
    query : int
        Index of the query (not its position); the last by default.
    inputs : str
        "all", "trained" or "untrained" probe inputs.

    Returns
    -------
    Events

    Raises
    ------
    ValueError
        If `obs` lacks an observable, a metric or a coordinate, or a run's steps do not increase.
    """
    if not isinstance(obs, xr.Dataset):
        raise ValueError(
            f"expected a Dataset of observables (heatcap.load), got {type(obs).__name__}"
        )
    positive(smoothing=smoothing, min_prominence=min_prominence)
    not_negative(min_significance=min_significance)
    names = _names(obs, observables)
    curves = {name: _curves(obs, name, query, inputs) for name in names}
    runs, spike_steps = _timelines(obs)
    steps = obs["step"].transpose("run", "checkpoint").to_numpy().astype(np.float64)
    _mark_shares(runs, steps, spike_steps)
    limits = Limits(min_prominence, min_significance)
    rows: list[dict[str, Any]] = []
    of_curves: list[dict[str, Any]] = []
    for r, run in enumerate(runs.to_dict("records")):
        grids: dict[bytes, Grid] = {}
        for name, (layers, heads, values) in curves.items():
            for (i, j), _ in np.ndenumerate(values[r, 0]):
                curve = values[r, :, i, j]
                found = _of_curve(steps[r], curve, spike_steps[r], grids, smoothing, limits)
                place = {Column.OBSERVABLE: name, Column.LAYER: layers[i], Column.HEAD: heads[j]}
                rows.extend(place | event for event in _event_rows(run, found))
                of_curves.append({Column.RUN: run[Column.RUN]} | place | _curve_row(found))
    settings = {
        "smoothing": smoothing,
        "min_prominence": min_prominence,
        "min_significance": min_significance,
        "query": query,
        "inputs": inputs,
    }
    marked = dict(zip(runs[Column.RUN], spike_steps, strict=True))
    return Events(_table(rows, runs), runs, pd.DataFrame(of_curves), marked, settings)


def _of_curve(
    step: Floats,
    curve: Floats,
    spike_steps: Floats,
    grids: dict[bytes, Grid],
    smoothing: float,
    limits: Limits,
) -> Peaks:
    """Peaks of one curve; the smoothers of a run are made once for all its curves."""
    ok = usable(step, curve)
    key = ok.tobytes()
    if key not in grids:
        grids[key] = Grid.of(step[ok], spike_steps, smoothing)
    return grids[key].peaks(curve[ok], limits)


def _event_rows(run: dict[Any, Any], found: Peaks) -> Iterator[dict[str, Any]]:
    common = {Column.RUN: run[Column.RUN], Column.EDGE_MAXIMUM: found.edge_maximum}
    if not found.found:
        yield common | {Column.STATUS: "no interior peak", Column.REASON: found.reason}
    for k in range(found.step.size):
        yield common | {
            Column.RANK: int(found.rank[k]),
            Column.PEAK: found.step[k],
            Column.HEIGHT: found.height[k],
            Column.PROMINENCE: found.prominence[k],
            Column.AT_SPIKE: bool(found.at_spike[k]),
            Column.LEAD: run[Column.ONSET] - found.step[k],
            Column.STATUS: "interior maximum" if found.edge_maximum else "peak",
            Column.PLACE: _place(found.step[k], run),
            Column.REASON: "",
            Column.PEAK_SPACING: found.spacing[k],
            Column.SIGNIFICANCE: found.significance[k],
            Column.BIAS: found.bias[k],
        }


def _place(step: float, run: dict[Any, Any]) -> str:
    """Where a step lies in the life of a run; "" where its accuracies are not known."""
    memorised, onset_step = run[Column.MEMORISED], run[Column.ONSET]
    if np.isnan(run[Column.LAST_STEP]):
        return ""
    if np.isnan(memorised) or step <= memorised:
        return "before memorisation"
    if np.isnan(onset_step):
        return "after memorisation"
    return "before onset" if step <= onset_step else "after onset"


def _curve_row(found: Peaks) -> dict[str, Any]:
    return {
        Column.MAXIMA: found.raw_maxima,
        Column.MAXIMA_AT_SPIKE: found.raw_at_spike,
        Column.EDGE_MAXIMUM: found.edge_maximum,
        Column.RISING: found.rising,
        Column.REASON: found.reason,
    }


def _table(rows: list[dict[str, Any]], runs: pd.DataFrame) -> pd.DataFrame:
    """Rows of all peaks beside what is known of their run, in the order of the CSV file."""
    settings = settings_of(runs)
    of_run = [name for name in OF_PEAK if name in OF_RUN]
    of_peak = [name for name in OF_PEAK if name not in OF_RUN]
    table = pd.DataFrame(rows, columns=[Column.RUN, *of_peak])
    table = table.merge(runs[[Column.RUN, *settings, *of_run]], on=Column.RUN, how="left")
    table = table[[Column.RUN, *settings, *OF_PEAK]]
    return table.astype({Column.RANK: "Int64", Column.AT_SPIKE: "boolean", Column.CENSORED: bool})


def _names(obs: xr.Dataset, observables: Sequence[str]) -> list[str]:
    names = list(observables) or [name for name in DEFAULT_OBSERVABLES if name in obs]
    names = names or [str(n) for n in obs.data_vars if set(obs[n].dims) == {"run", "checkpoint"}]
    missing = [name for name in names if name not in obs]
    if missing or not names:
        wanted = ", ".join(missing) or "any of " + ", ".join(DEFAULT_OBSERVABLES)
        known = [str(n) for n in obs.data_vars if {"run", "checkpoint"} <= set(obs[n].dims)]
        raise ValueError(lacking(wanted, known))
    for name in ("step", "metric_step", "train_accuracy", "test_accuracy"):
        if name not in obs.variables:
            raise ValueError(f"observables lack {name!r}, which events need")
    for name in names:
        if name not in obs.data_vars or not {"run", "checkpoint"} <= set(obs[name].dims):
            raise ValueError(
                f"{name!r} has dimensions {obs[name].dims}; an observable needs run and checkpoint"
            )
    if not obs.sizes["run"] or not obs.sizes["checkpoint"]:
        raise ValueError(f"observables hold no {'checkpoint' if obs.sizes['run'] else 'run'}")
    taken = {*TAKEN["a column of the tables of events"]}
    if clash := sorted(taken & {str(c) for c in obs.coords if obs[c].dims == ("run",)}):
        raise ValueError(f"coordinate {clash[0]!r} has the name of a column of the events table")
    return names


def _curves(
    obs: xr.Dataset, name: str, query: int, inputs: str
) -> tuple[list[Any], list[str], Floats]:
    """Labels of layers and heads, and an array (run, checkpoint, layer, head).

    The last head is the average over heads, the only one where there are none.
    """
    chosen = curve(obs, name, query=query, inputs=inputs)
    heads = labels_of(chosen, "head") if "head" in chosen.dims else []
    missing = [dim for dim in ("layer", "head") if dim not in chosen.dims]
    each = chosen.expand_dims(missing).transpose("run", "checkpoint", "layer", "head")
    values = each.to_numpy().astype(np.float64)
    if heads:
        mean = each.astype(np.float64).mean("head", skipna=True).to_numpy()[..., None]
        values = np.concatenate([values, mean], axis=-1)
    return labels_of(each, "layer"), [*map(str, heads), AVERAGE], values


def _timelines(obs: xr.Dataset) -> tuple[pd.DataFrame, list[Floats]]:
    """One row per run, and the steps of its spikes."""
    names = ("metric_step", "train_accuracy", "test_accuracy", "mirror_free_accuracy", "train_loss")
    blank = np.full(obs["metric_step"].shape, np.nan)
    columns = {
        n: obs[n].transpose("run", "metric").to_numpy() if n in obs.variables else blank
        for n in names
    }
    ids = obs["run"].to_numpy() if "run" in obs.coords else np.arange(obs.sizes["run"])
    rows, spike_steps = [], []
    for r, run in enumerate(ids):
        try:
            of_run = {name: values[r] for name, values in columns.items()}
            row, found = _timeline(of_run, _sweep(obs, r))
        except ValueError as error:
            raise ValueError(f"run {run}: {error}") from None
        rows.append({Column.RUN: run} | _sweep(obs, r) | row)
        spike_steps.append(found)
    table = pd.DataFrame(rows)
    if table[Column.RUN].duplicated().any():
        twice = table[Column.RUN][table[Column.RUN].duplicated()].tolist()
        raise ValueError(f"run ids must be unique, got {twice} more than once")
    stopped = Column.STOP_REASON
    table[stopped] = obs[stopped].to_numpy() if stopped in obs else ""
    table[Column.GROUP] = groups_of(table)
    return table, spike_steps


def _timeline(
    metrics: dict[str, NDArray[Any]], sweep: dict[str, Any]
) -> tuple[dict[str, Any], Floats]:
    step = metrics["metric_step"]
    memorised = memorisation(step, metrics["train_accuracy"])
    mirror_free = bool(usable(step, metrics["mirror_free_accuracy"]).any())
    metric = "mirror_free_accuracy" if mirror_free else "test_accuracy"
    start = onset(step, metrics[metric], memorised)
    if np.isfinite(start.last_step) and not usable(step, metrics["train_accuracy"]).any():
        why = "no train accuracy in the record"
        start = Onset(np.nan, np.nan, start.final, False, np.nan, why)
    leak = mirror_leak(
        step,
        metrics["test_accuracy"],
        metrics["mirror_free_accuracy"],
        memorised,
        start.step,
        fraction=float(sweep.get("fraction", np.nan)),
    )
    marked = spikes(step, metrics["train_loss"])
    starts = np.count_nonzero(np.diff(marked.astype(np.int8), prepend=0) == 1)
    row = {
        Column.MEMORISED: memorised,
        Column.BASELINE: start.baseline,
        Column.FINAL: start.final,
        Column.ONSET: start.step,
        Column.ONSET_SPACING: start.spacing,
        Column.CENSORED: start.censored,
        Column.LAST_STEP: start.last_step,
        Column.ONSET_METRIC: metric,
        Column.MESSAGE: start.message,
        Column.PLATEAU: leak.plateau,
        Column.MIRROR_LEAK: leak.found,
        Column.MIRROR_MESSAGE: leak.message,
        Column.SPIKES: float(starts) if usable(step, metrics["train_loss"]).any() else np.nan,
    }
    return row, np.asarray(step, dtype=np.float64)[marked]


def _sweep(obs: xr.Dataset, r: int) -> dict[str, Any]:
    """Coordinates of run r: the parameters of the sweep first, in a fixed order."""
    present = [str(c) for c in obs.coords if obs[c].dims == ("run",) and c != "run"]
    ordered = [c for c in SWEEP if c in present] + [c for c in present if c not in SWEEP]
    return {c: obs[c].to_numpy()[r] for c in ordered}


def _mark_shares(runs: pd.DataFrame, steps: Floats, spike_steps: Sequence[Floats]) -> None:
    """Checkpoints of every run and the share of them near a spike: the base rate of coincidence."""
    used = [s[np.isfinite(s) & (s > 0)] for s in steps]
    runs[Column.CHECKPOINTS] = [s.size for s in used]
    runs[Column.SPIKE_SHARE] = [
        float(near_spikes(s, at).mean()) if s.size else np.nan
        for s, at in zip(used, spike_steps, strict=True)
    ]
