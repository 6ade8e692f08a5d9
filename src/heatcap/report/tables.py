"""Tables of the page: cells of text, with the numbers that their rows are sorted by.

Each function takes results (events, audit, verdicts) and returns a :class:`Table`; columns state
their meaning and unit in the :class:`Heading`.  Errors are one standard deviation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from heatcap.audit import Audit
from heatcap.core.quantities import spoken
from heatcap.divergence import Verdict
from heatcap.events import MEMORISED, Column, Events, PeaksBySize, settings_of, sizes_of
from heatcap.observables.dataset import size_label

__all__ = [
    "Cell",
    "Heading",
    "Table",
    "classes_of",
    "either",
    "exponents_of",
    "heads_of",
    "named",
    "number",
    "peaks_of",
    "runs_of",
    "sizes_table",
    "word",
]

NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """Text of a cell, and the value that rows are sorted by ("" for none)."""

    text: str
    value: str | float = ""


@dataclass(frozen=True)
class Heading:
    """Head of a column, whether it holds numbers, and its meaning."""

    name: str
    number: bool = False
    meaning: str = ""


@dataclass(frozen=True)
class Table:
    """Table of the page."""

    key: str
    title: str
    caption: str
    columns: Sequence[Heading]
    rows: Sequence[Sequence[Cell]]


def word(value: Any) -> Cell:
    """Make a cell of text, a dash for none; names of controls lose their underscores."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return Cell(NOTHING)
    text = spoken(str(value)) if str(value) in ("random_labels", "weight_decay_0") else str(value)
    return Cell(text or NOTHING, text)


def named(observable: str) -> Cell:
    """Make a cell of an observable as the page names it, sorted and copied by its own name."""
    return Cell(spoken(observable), observable)


def either(value: Any) -> Cell:
    """Make a cell of a parameter of a run: a number or text."""
    numeric = isinstance(value, int | float) or hasattr(value, "dtype")
    if numeric and not isinstance(value, bool | str):
        return number(value, "g")
    return word(value)


def number(value: Any, form: str) -> Cell:
    """Make a cell of a number in a format; a dash for none."""
    if value is None or value is pd.NA or not math.isfinite(value):
        return Cell(NOTHING)
    text = format(value, form).replace("-", "\N{MINUS SIGN}")
    rounded = float(f"{value:.10g}")
    return Cell(text, int(rounded) if rounded.is_integer() else rounded)


# ---- along training: runs, and the highest maximum of every curve --------------------------

SKIPPED = {"size", "size_name", Column.GROUP, "control"}  # settings with a column of their own


def runs_of(events: Events) -> Table:
    """Tabulate the runs with their settings and events, one row each."""
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
    for row, value in zip(runs.to_dict("records"), size, strict=True):
        rows.append(
            [
                word(row[Column.RUN]),
                number(value or math.nan, "g"),
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
    """Tabulate the highest maximum of every curve, or the reason why it is no peak."""
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
    caption = (
        "The highest maximum of every curve, averaged over heads. A peak's position is known no "
        "better than the checkpoints beside it; its height has an error over runs (next table)."
    )
    return Table("peaks", "Peaks", caption, head, rows)


# ---- answers: means by size, heads one by one, classes of growth, local exponents ----------


def sizes_table(events: Events, audit: Audit | None) -> Table:
    """Tabulate heights, positions and leads of the peaks of treatment runs by size."""
    head = [
        Heading("observable"),
        Heading(size_label(events.runs), True),
        Heading("runs", True),
        Heading("with peak", True),
        Heading("height", True, "mean over the runs with a peak"),
        Heading("error", True, "one standard deviation, as a verdict uses it"),
        Heading("step", True, "geometric mean of the positions"),
        Heading("× error", True, "factor up or down: one standard deviation of ln step"),
        Heading("peak first", True, "runs whose peak comes before their onset"),
        Heading("unresolved", True, "peak and onset closer than the record tells"),
        Heading("onset first", True, "runs whose onset comes before their peak"),
        Heading("median lead", True, "onset less peak, in steps, censored runs included"),
    ]
    rows = [
        [named(name), *row]
        for name, lead in (audit.leads if audit else {}).items()
        for row in _size_rows(
            lead.peaks, {lead_of_size.size: lead_of_size for lead_of_size in lead.by_size}
        )
    ]
    caption = (
        "Runs proper only; means over runs. The relative spreads of all sizes steady one another, "
        "by as much as they are alike, and errors are wider where runs are few (Student)."
    )
    return Table("sizes", "Peaks by size", caption, head, rows)


def _size_rows(peaks: PeaksBySize, leads: Mapping[Any, Any]) -> Iterable[list[Cell]]:
    """Cells of one observable, a row per size."""
    for size in peaks.runs["size"].to_numpy().tolist():
        at = {"size": size}
        height, place = (
            (math.nan, math.nan)
            if mean is None or size not in mean.value["size"]
            else (float(mean.value.sel(at)), float(mean.error.sel(at)))
            for mean in (peaks.height, peaks.log_step)
        )
        lead = leads.get(size)
        counts = [lead.first, lead.unresolved, lead.later] if lead else [math.nan] * 3
        yield [
            number(size or math.nan, "g"),
            number(int(peaks.runs.sel(at)), "d"),
            number(int(peaks.with_peak.sel(at)), "d"),
            number(height[0], ".4g"),
            number(height[1], ".2g"),
            number(math.exp(place[0]), ".0f"),
            number(math.exp(place[1]), ".2f"),
            *(number(n, ".0f") for n in counts),
            number(lead.median if lead else math.nan, "+.0f"),
        ]


def heads_of(audit: Audit | None) -> Table:
    """Tabulate the leads of every head, with p-values corrected for looking at all heads."""
    head = [
        Heading("observable"),
        Heading("head", True),
        Heading("compared", True, "runs with a peak and an onset"),
        Heading("peak first", True),
        Heading("unresolved", True),
        Heading("onset first", True),
        Heading("median lead", True, "in steps"),
        Heading("sign test p-value", True, "of the order, for this head alone"),
        Heading("Holm p-value", True, "the same, corrected for all heads of all observables"),
        Heading(
            "pairing p-value",
            True,
            "that peaks and onsets of runs are paired by chance, against the best of all curves",
        ),
    ]
    rows = [
        [
            named(name),
            number(float(one_head["head"]), ".0f"),
            *(number(one_head[k], ".0f") for k in ("compared", "first", "unresolved", "later")),
            number(one_head["median_lead"], "+.0f"),
            *(number(one_head[k], ".2g") for k in ("sign_p", "holm_p", "max_statistic_p")),
        ]
        for name, lead in (audit.leads if audit else {}).items()
        for one_head in lead.look_elsewhere.heads
    ]
    return Table("heads", "Heads one by one", "Runs proper only.", head, rows)


def classes_of(verdicts: Mapping[str, Verdict]) -> Table:
    """Tabulate p-values and predictions of each class of growth."""
    head = [
        Heading("observable"),
        Heading("class"),
        Heading("p-value", True, "of the class; it is excluded where this is below 1 − level"),
        Heading("not excluded"),
        Heading("predicted", True, "by the class: height at the largest size, from all others"),
        Heading("seen", True, "height at the largest size"),
        Heading("pull", True, "seen less predicted, in errors of the height seen"),
    ]
    rows = []
    for name, verdict in verdicts.items():
        ahead = {row["class"]: row for row in verdict.predictions}
        for kind, p in verdict.p_values.items():
            row = ahead.get(kind, {})
            by_bound = kind in verdict.excluded_by_bound
            left = "yes" if kind in verdict.plausible else "no, by the bound" if by_bound else "no"
            rows.append(
                [
                    named(name),
                    word(kind),
                    number(p, ".3f"),
                    word(left if verdict.status == "ok" else "no class is named"),
                    number(row.get("predicted", math.nan), ".4g"),
                    number(row.get("height", math.nan), ".4g"),
                    number(row.get("pull", math.nan), "+.1f"),
                ]
            )
    caption = (
        "Growth of the height with the size: what the data do not exclude, and how well each class "
        "would have predicted the largest size."
    )
    return Table("classes", "Classes of growth", caption, head, rows)


def exponents_of(verdicts: Mapping[str, Verdict]) -> Table:
    """Tabulate the heights and local exponents that the figures of verdicts show."""
    size = next((verdict.size_name for verdict in verdicts.values()), "size")
    head = [
        Heading("observable"),
        Heading(size, True),
        Heading("height", True),
        Heading("error", True, "one standard deviation, as in peaks by size"),
        Heading("local exponent", True, f"of a power of {size}, over the sizes from this one on"),
        Heading("its error", True),
        Heading("not excluded", False, "by the sizes from this one on"),
    ]
    rows = [
        [named(name), *row] for name, verdict in verdicts.items() for row in _exponent_rows(verdict)
    ]
    caption = (
        "Heights as the verdicts use them, local exponents, and what would not be excluded without "
        "the sizes below."
    )
    return Table("exponents", "Heights and local exponents", caption, head, rows)


def _exponent_rows(verdict: Verdict) -> Iterable[list[Cell]]:
    """Cells of one verdict, a row per size."""
    local = {row["smallest_size"]: row for row in verdict.local_exponents}
    plausible = {row["smallest_size"]: ", ".join(row["plausible"]) for row in verdict.stability}
    left = ", ".join(verdict.plausible) if verdict.status == "ok" else "no class is named"
    plausible[float(verdict.data.sizes[0])] = left
    data = verdict.data
    for size, height, error in zip(data.sizes, data.heights, data.errors, strict=True):
        exponent = local.get(float(size), {})
        yield [
            number(size, "g"),
            number(height, ".4g"),
            number(error, ".2g"),
            number(exponent.get("exponent", math.nan), ".3g"),
            number(exponent.get("error", math.nan), ".2g"),
            word(plausible.get(float(size), "")),
        ]
