"""Tables of what was found along training: runs, and the highest maximum of every curve."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from heatcap.events import MEMORISED, Events, sizes_of
from heatcap.figures.names import spoken
from heatcap.report.tables import Column, Table, either, named, number, word
from heatcap.report.texts import size_label

__all__ = ["peaks_of", "runs_of"]

SKIPPED = {"size", "size_name", "group", "control"}  # in columns of their own


def runs_of(events: Events) -> Table:
    """One row per run, with its settings."""
    runs, size = events.runs, sizes_of(events.runs)
    columns = list(map(str, runs.columns))
    sweep = [
        name
        for name in columns[1 : columns.index("memorisation_step")]
        if name not in SKIPPED and not (name == "p" and (runs["p"] == size).all())
    ]
    head = [
        Column("run"),
        Column(size_label(runs), True, "the size of the run"),
        Column("group", False, "none: a run proper; otherwise the control that it is"),
        *(Column(spoken(name), pd.api.types.is_numeric_dtype(runs[name])) for name in sweep),
        Column("memorisation", True, f"first step with a train accuracy of {MEMORISED:g}"),
        Column("onset", True, "onset of generalisation, in steps"),
        Column("±", True, "spacing of the record at the onset, in steps"),
        Column("last step", True),
        Column("final accuracy", True, "median over the last tenth of the record in ln step"),
        Column("generalised", False, "no: censored at the last step"),
        Column("spikes", True, "of the training loss"),
        Column("checkpoints", True),
    ]
    rows = []
    for row, own in zip(runs.to_dict("records"), size, strict=True):
        rows.append(
            [
                word(row["run"]),
                number(own if own else math.nan, "g"),
                word(row["group"]),
                *(either(row[name]) for name in sweep),
                number(row["memorisation_step"], ".0f"),
                number(row["onset_step"], ".0f"),
                number(row["onset_step_spacing"], ".0f"),
                number(row["last_step"], ".0f"),
                number(row["final_value"], ".3f"),
                word(_generalised(row)),
                number(row["spikes"], ".0f"),
                number(row["checkpoints"], ".0f"),
            ]
        )
    return Table("runs", "Runs", "One row per run; steps of training.", head, rows)


def _generalised(row: Mapping[Any, Any]) -> str:
    if row["censored"]:
        return "no"
    return "yes" if math.isfinite(row["onset_step"]) else "not known"


def peaks_of(events: Events) -> Table:
    """One row per curve; where there is no peak, the reason."""
    t = events.table[events.table["head"] == "mean"]
    t = t[(t["rank"] == 1) | t["rank"].isna()]
    t = t.assign(_size=sizes_of(t), _group=t["run"].map(events.runs.set_index("run")["group"]))
    layers = t["layer"].nunique() > 1
    head = [
        Column("observable"),
        *([Column("layer", True)] if layers else []),
        Column("run"),
        Column(size_label(events.runs), True),
        Column("group"),
        Column("step", True, "of the highest interior maximum outside loss spikes"),
        Column("±", True, "spacing of the checkpoints beside it, in steps"),
        Column("height", True, "of the smoothed curve, free of the bias of a noisy maximum"),
        Column("prominence", True, "height above the higher of the two valleys beside the peak"),
        Column("in errors", True, "prominence as a multiple of its standard error"),
        Column("lead", True, "onset - peak in steps; positive when the peak came first"),
        Column("status"),
        Column("where", False, "of the peak, relative to memorisation and onset"),
    ]
    rows = []
    for row in t.to_dict("records"):
        peak = row["status"] == "peak"
        status = row["status"] if peak else row["reason"] or "higher at an end of the record"
        rows.append(
            [
                named(row["observable"]),
                *([number(row["layer"], "g")] if layers else []),
                word(row["run"]),
                number(row["_size"] or math.nan, "g"),
                word(row["_group"]),
                number(row["peak_step"], ".0f"),
                number(row["peak_step_spacing"], ".0f"),
                number(row["peak_height"], ".4g"),
                number(row["prominence"], ".3g"),
                number(row["significance"], ".1f"),
                number(row["lead_steps"] if peak else math.nan, "+.0f"),
                word(status),
                word(row["place"]),
            ]
        )
    said = "The highest maximum of every curve, averaged over heads. A peak's position is known no "
    said += "better than the checkpoints beside it; its height has an error over runs (next table)."
    return Table("peaks", "Peaks", said, head, rows)
