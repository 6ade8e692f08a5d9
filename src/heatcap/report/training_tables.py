"""Tables of what was found along training: runs, and the highest maximum of every curve."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from heatcap.events import MEMORISED, Column, Events, settings_of, sizes_of
from heatcap.figures.names import spoken
from heatcap.report.tables import Column as Heading
from heatcap.report.tables import Table, either, named, number, word
from heatcap.report.texts import size_label

__all__ = ["peaks_of", "runs_of"]

SKIPPED = {"size", "size_name", Column.GROUP, "control"}  # in columns of their own


def runs_of(events: Events) -> Table:
    """One row per run, with its settings."""
    runs, size = events.runs, sizes_of(events.runs)
    sweep = [
        name
        for name in settings_of(runs)
        if name not in SKIPPED and not (name == "p" and (runs["p"] == size).all())
    ]
    head = [
        Heading("run"),
        Heading(size_label(runs), True, "the size of the run"),
        Heading("group", False, "none: a run proper; otherwise the control that it is"),
        *(Heading(spoken(name), pd.api.types.is_numeric_dtype(runs[name])) for name in sweep),
        Heading("memorisation", True, f"first step with a train accuracy of {MEMORISED:g}"),
        Heading("onset", True, "onset of generalisation, in steps"),
        Heading("±", True, "spacing of the record at the onset, in steps"),
        Heading("last step", True),
        Heading("final accuracy", True, "median over the last tenth of the record in ln step"),
        Heading("generalised", False, "no: censored at the last step"),
        Heading("spikes", True, "of the training loss"),
        Heading("checkpoints", True),
    ]
    rows = []
    for row, own in zip(runs.to_dict("records"), size, strict=True):
        rows.append(
            [
                word(row[Column.RUN]),
                number(own if own else math.nan, "g"),
                word(row[Column.GROUP]),
                *(either(row[name]) for name in sweep),
                number(row[Column.MEMORISED], ".0f"),
                number(row[Column.ONSET], ".0f"),
                number(row[Column.ONSET_SPACING], ".0f"),
                number(row[Column.LAST_STEP], ".0f"),
                number(row[Column.FINAL], ".3f"),
                word(_generalised(row)),
                number(row[Column.SPIKES], ".0f"),
                number(row[Column.CHECKPOINTS], ".0f"),
            ]
        )
    return Table("runs", "Runs", "One row per run; steps of training.", head, rows)


def _generalised(row: Mapping[Any, Any]) -> str:
    if row[Column.CENSORED]:
        return "no"
    return "yes" if math.isfinite(row[Column.ONSET]) else "not known"


def peaks_of(events: Events) -> Table:
    """One row per curve; where there is no peak, the reason."""
    t = events.highest()
    t = t.assign(_size=sizes_of(t), _group=t[Column.RUN].map(events.group_of))
    layers = t[Column.LAYER].nunique() > 1
    head = [
        Heading("observable"),
        *([Heading("layer", True)] if layers else []),
        Heading("run"),
        Heading(size_label(events.runs), True),
        Heading("group"),
        Heading("step", True, "of the highest interior maximum outside loss spikes"),
        Heading("±", True, "spacing of the checkpoints beside it, in steps"),
        Heading("height", True, "of the smoothed curve, free of the bias of a noisy maximum"),
        Heading("prominence", True, "height above the higher of the two valleys beside the peak"),
        Heading("in errors", True, "prominence as a multiple of its standard error"),
        Heading("lead", True, "onset - peak in steps; positive when the peak came first"),
        Heading("status"),
        Heading("where", False, "of the peak, relative to memorisation and onset"),
    ]
    rows = []
    for row in t.to_dict("records"):
        peak = row[Column.STATUS] == "peak"
        why = row[Column.REASON] or "higher at an end of the record"
        rows.append(
            [
                named(row[Column.OBSERVABLE]),
                *([number(row[Column.LAYER], "g")] if layers else []),
                word(row[Column.RUN]),
                number(row["_size"] or math.nan, "g"),
                word(row["_group"]),
                number(row[Column.PEAK], ".0f"),
                number(row[Column.PEAK_SPACING], ".0f"),
                number(row[Column.HEIGHT], ".4g"),
                number(row[Column.PROMINENCE], ".3g"),
                number(row[Column.SIGNIFICANCE], ".1f"),
                number(row[Column.LEAD] if peak else math.nan, "+.0f"),
                word("peak" if peak else why),
                word(row[Column.PLACE]),
            ]
        )
    said = "The highest maximum of every curve, averaged over heads. A peak's position is known no "
    said += "better than the checkpoints beside it; its height has an error over runs (next table)."
    return Table("peaks", "Peaks", said, head, rows)
