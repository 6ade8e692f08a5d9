"""Tables of the answers: means by size, heads one by one, classes of growth, local exponents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from heatcap.audit import Audit
from heatcap.divergence import Verdict
from heatcap.events import Events, PeaksBySize
from heatcap.report.tables import Cell, Column, Table, named, number, word
from heatcap.report.texts import size_label

__all__ = ["classes_of", "exponents_of", "heads_of", "sizes_table"]


def sizes_table(events: Events, audit: Audit | None) -> Table:
    """Heights, places and leads of the runs proper."""
    head = [
        Column("observable"),
        Column(size_label(events.runs), True),
        Column("runs", True),
        Column("with peak", True),
        Column("height", True, "mean over the runs with a peak"),
        Column("error", True, "one standard deviation, as a verdict uses it"),
        Column("step", True, "geometric mean of the positions"),
        Column("× error", True, "factor up or down: one standard deviation of ln step"),
        Column("peak first", True, "runs whose peak comes before their onset"),
        Column("unresolved", True, "peak and onset closer than the record tells"),
        Column("onset first", True, "runs whose onset comes before their peak"),
        Column("median lead", True, "onset less peak, in steps, censored runs included"),
    ]
    rows = [
        [named(name), *row]
        for name, lead in (audit.leads if audit else {}).items()
        for row in _size_rows(lead.peaks, {each.size: each for each in lead.by_size})
    ]
    said = (
        "Runs proper only; means over runs. The relative spreads of all sizes steady one another, "
        "by as much as they are alike, and errors are wider where runs are few (Student)."
    )
    return Table("sizes", "Peaks by size", said, head, rows)


def _size_rows(peaks: PeaksBySize, leads: Mapping[Any, Any]) -> Iterable[list[Cell]]:
    for size in peaks.runs["size"].to_numpy().tolist():
        at = {"size": size}
        height, place = (
            (math.nan, math.nan)
            if each is None or size not in each.value["size"]
            else (float(each.value.sel(at)), float(each.error.sel(at)))
            for each in (peaks.height, peaks.log_step)
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


def classes_of(verdicts: Mapping[str, Verdict]) -> Table:
    """What the data exclude."""
    head = [
        Column("observable"),
        Column("class"),
        Column("p-value", True, "of the class; it is excluded where this is below 1 − level"),
        Column("not excluded"),
        Column("predicted", True, "by the class: height at the largest size, from all others"),
        Column("seen", True, "height at the largest size"),
        Column("pull", True, "seen less predicted, in errors of the height seen"),
    ]
    rows = []
    for name, found in verdicts.items():
        ahead = {row["class"]: row for row in found.predictions}
        for kind, p in found.p_values.items():
            row = ahead.get(kind, {})
            by_bound = kind in found.excluded_by_bound
            left = "yes" if kind in found.plausible else "no, by the bound" if by_bound else "no"
            rows.append(
                [
                    named(name),
                    word(kind),
                    number(p, ".3f"),
                    word(left if found.status == "ok" else "no class is named"),
                    number(row.get("predicted", math.nan), ".4g"),
                    number(row.get("height", math.nan), ".4g"),
                    number(row.get("pull", math.nan), "+.1f"),
                ]
            )
    said = "Growth of the height with the size: what the data do not exclude, and how well each "
    said += "class would have predicted the largest size."
    return Table("classes", "Classes of growth", said, head, rows)


def heads_of(audit: Audit | None) -> Table:
    """Leads of every head, with the corrections for having looked at all of them."""
    head = [
        Column("observable"),
        Column("head", True),
        Column("compared", True, "runs with a peak and an onset"),
        Column("peak first", True),
        Column("unresolved", True),
        Column("onset first", True),
        Column("median lead", True, "in steps"),
        Column("sign test p-value", True, "of the order, for this head alone"),
        Column("Holm p-value", True, "the same, corrected for all heads of all observables"),
        Column(
            "pairing p-value",
            True,
            "that peaks and onsets of runs are paired by chance, against the best of all curves",
        ),
    ]
    rows = [
        [
            named(name),
            number(float(each["head"]), ".0f"),
            *(number(each[k], ".0f") for k in ("compared", "first", "unresolved", "later")),
            number(each["median_lead"], "+.0f"),
            *(number(each[k], ".2g") for k in ("sign_p", "holm_p", "max_statistic_p")),
        ]
        for name, lead in (audit.leads if audit else {}).items()
        for each in lead.look_elsewhere.heads
    ]
    return Table("heads", "Heads one by one", "Runs proper only.", head, rows)


def exponents_of(verdicts: Mapping[str, Verdict]) -> Table:
    """What the panels of a verdict show, in numbers."""
    size = next((found.size_name for found in verdicts.values()), "size")
    head = [
        Column("observable"),
        Column(size, True),
        Column("height", True),
        Column("error", True, "one standard deviation, as in peaks by size"),
        Column("local exponent", True, f"of a power of {size}, over the sizes from this one on"),
        Column("its error", True),
        Column("not excluded", False, "by the sizes from this one on"),
    ]
    rows = [
        [named(name), *row] for name, found in verdicts.items() for row in _exponent_rows(found)
    ]
    said = (
        "Heights as the verdicts use them, local exponents, and what would not be excluded without "
        "the sizes below."
    )
    return Table("exponents", "Heights and local exponents", said, head, rows)


def _exponent_rows(found: Verdict) -> Iterable[list[Cell]]:
    local = {row["smallest_size"]: row for row in found.local_exponents}
    kept = {row["smallest_size"]: ", ".join(row["plausible"]) for row in found.stability}
    left = ", ".join(found.plausible) if found.status == "ok" else "no class is named"
    kept[float(found.data.sizes[0])] = left
    data = found.data
    for size, height, error in zip(data.sizes, data.heights, data.errors, strict=True):
        own = local.get(float(size), {})
        yield [
            number(size, "g"),
            number(height, ".4g"),
            number(error, ".2g"),
            number(own.get("exponent", math.nan), ".3g"),
            number(own.get("error", math.nan), ".2g"),
            word(kept.get(float(size), "")),
        ]
