"""Find the events of every run, observable, layer and head in a file of observables.

`find_events` takes accuracies and loss of every run (:mod:`heatcap.events.record`) and the peaks of
every curve (:mod:`heatcap.events.curves`), and puts both into the tables of
:class:`heatcap.events.Events`.  Times are training steps; smoothing widths are in ln step.
"""

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
    """Find memorisation, onset, spikes, peaks and leads of every run.

        lead = onset - peak, in steps

    with the definitions of :mod:`heatcap.events`.

    Parameters
    ----------
    obs : Dataset (run, checkpoint, layer, head, query, ...)
        Observables of all runs, padded with NaN; coordinates `step` (run, checkpoint) and
        `metric_step` (run, metric).  Any of `layer`, `head`, `query`, `inputs` may be absent;
        observables without layer or head are listed under the first layer and the head "mean".
    *observables : str
        Names; by default those of `DEFAULT_OBSERVABLES` that `obs` has, or, without any of these,
        every variable (run, checkpoint).
    smoothing : float
        Standard deviation of the smoothing kernel in ln step.
    min_prominence : float
        Smallest prominence of a listed maximum, as a share of the smoothed curve's range.
    min_significance : float
        Smallest drop beside a listed maximum in units of its standard error, from the scatter of
        neighbouring checkpoints, including its correlation.
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
    names = _checked_names(obs, observables)
    curves = {name: _curves(obs, name, query, inputs) for name in names}
    runs, spike_steps = _timelines(obs)
    steps = obs["step"].transpose("run", "checkpoint").to_numpy().astype(np.float64)
    used = [step[np.isfinite(step) & (step > 0)] for step in steps]
    runs[Column.CHECKPOINTS] = [step.size for step in used]
    # The share of checkpoints near a spike is the base rate of peaks that coincide with one.
    runs[Column.SPIKE_SHARE] = [
        float(near_spikes(step, at).mean()) if step.size else np.nan
        for step, at in zip(used, spike_steps, strict=True)
    ]
    limits = Limits(min_prominence, min_significance)
    rows: list[dict[str, Any]] = []
    of_curves: list[dict[str, Any]] = []
    for r, run in enumerate(runs.to_dict("records")):
        grids: dict[bytes, Grid] = {}
        for name, (layers, heads, values) in curves.items():
            for (i, j), _ in np.ndenumerate(values[r, 0]):
                chosen = values[r, :, i, j]
                peaks = _peaks_of(steps[r], chosen, spike_steps[r], grids, smoothing, limits)
                place = {Column.OBSERVABLE: name, Column.LAYER: layers[i], Column.HEAD: heads[j]}
                rows.extend(place | event for event in _event_rows(run, peaks))
                of_curves.append(
                    {Column.RUN: run[Column.RUN]}
                    | place
                    | {
                        Column.MAXIMA: peaks.raw_maxima,
                        Column.MAXIMA_AT_SPIKE: peaks.raw_at_spike,
                        Column.EDGE_MAXIMUM: peaks.edge_maximum,
                        Column.RISING: peaks.rising,
                        Column.REASON: peaks.reason,
                    }
                )
    settings = {
        "smoothing": smoothing,
        "min_prominence": min_prominence,
        "min_significance": min_significance,
        "query": query,
        "inputs": inputs,
    }
    marked = dict(zip(runs[Column.RUN], spike_steps, strict=True))
    return Events(_peak_table(rows, runs), runs, pd.DataFrame(of_curves), marked, settings)


def _peaks_of(
    step: Floats,
    curve: Floats,
    spike_steps: Floats,
    grids: dict[bytes, Grid],
    smoothing: float,
    limits: Limits,
) -> Peaks:
    """Peaks of one curve; curves of a run with the same checkpoints share one smoother."""
    ok = usable(step, curve)
    key = ok.tobytes()
    if key not in grids:
        grids[key] = Grid.of(step[ok], spike_steps, smoothing)
    return grids[key].peaks(curve[ok], limits)


def _event_rows(run: dict[Any, Any], peaks: Peaks) -> Iterator[dict[str, Any]]:
    common = {Column.RUN: run[Column.RUN], Column.EDGE_MAXIMUM: peaks.edge_maximum}
    if not peaks.found:
        yield common | {Column.STATUS: "no interior peak", Column.REASON: peaks.reason}
    for k in range(peaks.step.size):
        yield common | {
            Column.RANK: int(peaks.rank[k]),
            Column.PEAK: peaks.step[k],
            Column.HEIGHT: peaks.height[k],
            Column.PROMINENCE: peaks.prominence[k],
            Column.AT_SPIKE: bool(peaks.at_spike[k]),
            Column.LEAD: run[Column.ONSET] - peaks.step[k],
            Column.STATUS: "interior maximum" if peaks.edge_maximum else "peak",
            Column.PLACE: _phase_of_training(peaks.step[k], run),
            Column.REASON: "",
            Column.PEAK_SPACING: peaks.spacing[k],
            Column.SIGNIFICANCE: peaks.significance[k],
            Column.BIAS: peaks.bias[k],
        }


def _phase_of_training(step: float, run: dict[Any, Any]) -> str:
    """Phase of training in which a step lies; "" where the accuracies are not known."""
    memorised, onset_step = run[Column.MEMORISED], run[Column.ONSET]
    if np.isnan(run[Column.LAST_STEP]):
        return ""
    if np.isnan(memorised) or step <= memorised:
        return "before memorisation"
    if np.isnan(onset_step):
        return "after memorisation"
    return "before onset" if step <= onset_step else "after onset"


def _peak_table(rows: list[dict[str, Any]], runs: pd.DataFrame) -> pd.DataFrame:
    """Rows of all peaks with the settings and events of their run, in the order of the CSV file."""
    settings = settings_of(runs)
    of_run = [name for name in OF_PEAK if name in OF_RUN]
    of_peak = [name for name in OF_PEAK if name not in OF_RUN]
    table = pd.DataFrame(rows, columns=[Column.RUN, *of_peak])
    table = table.merge(runs[[Column.RUN, *settings, *of_run]], on=Column.RUN, how="left")
    table = table[[Column.RUN, *settings, *OF_PEAK]]
    return table.astype({Column.RANK: "Int64", Column.AT_SPIKE: "boolean", Column.CENSORED: bool})


def _checked_names(obs: xr.Dataset, observables: Sequence[str]) -> list[str]:
    names = list(observables) or [name for name in DEFAULT_OBSERVABLES if name in obs]
    names = names or [str(n) for n in obs.data_vars if set(obs[n].dims) == {"run", "checkpoint"}]
    missing = [name for name in names if name not in obs]
    if missing or not names:
        wanted = ", ".join(missing) or "any of " + ", ".join(DEFAULT_OBSERVABLES)
        available = [str(n) for n in obs.data_vars if {"run", "checkpoint"} <= set(obs[n].dims)]
        raise ValueError(lacking(wanted, available))
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
    """Labels of layers and heads, and the observable (run, checkpoint, layer, head).

    The last head is the average over heads, and the only one if the observable has no heads.
    """
    chosen = curve(obs, name, query=query, inputs=inputs)
    heads = labels_of(chosen, "head") if "head" in chosen.dims else []
    missing = [dim for dim in ("layer", "head") if dim not in chosen.dims]
    labelled = chosen.expand_dims(missing).transpose("run", "checkpoint", "layer", "head")
    values = labelled.to_numpy().astype(np.float64)
    if heads:
        mean = labelled.astype(np.float64).mean("head", skipna=True).to_numpy()[..., None]
        values = np.concatenate([values, mean], axis=-1)
    return labels_of(labelled, "layer"), [*map(str, heads), AVERAGE], values


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
        settings = _settings_of(obs, r)
        try:
            row, marked = _timeline({name: of[r] for name, of in columns.items()}, settings)
        except ValueError as error:
            raise ValueError(f"run {run}: {error}") from None
        rows.append({Column.RUN: run} | settings | row)
        spike_steps.append(marked)
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


def _settings_of(obs: xr.Dataset, r: int) -> dict[str, Any]:
    """Coordinates of run r: the parameters of the sweep first, in a fixed order."""
    present = [str(c) for c in obs.coords if obs[c].dims == ("run",) and c != "run"]
    ordered = [c for c in SWEEP if c in present] + [c for c in present if c not in SWEEP]
    return {c: obs[c].to_numpy()[r] for c in ordered}
