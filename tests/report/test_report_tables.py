"""Every column of every table is the number of the result that it is named after."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from reading import tables_of

from heatcap.report.tables import (
    classes_of,
    exponents_of,
    heads_of,
    peaks_of,
    runs_of,
    sizes_table,
    word,
)

NAME = "landscape_heat_capacity"


def rows(table):
    """Values that rows are sorted by, by the heads of their columns."""
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    return [dict(zip(names, (cell.value for cell in row), strict=True)) for row in table.rows]


def texts(table):
    names = [column.name for column in table.columns]
    return [dict(zip(names, (cell.text for cell in row), strict=True)) for row in table.rows]


def same(shown, expected):
    """Equal numbers; "" where there is none."""
    if expected is None or not math.isfinite(expected):
        return shown == ""
    return shown == pytest.approx(expected, rel=1e-9)


def test_runs(sweep_report):
    events = sweep_report.events
    found = rows(runs_of(events))
    assert len(found) == len(events.runs)
    columns = {
        "p": "p",
        "fraction": "fraction",
        "weight decay": "weight_decay",
        "seed": "seed",
        "memorisation": "memorisation_step",
        "onset": "onset_step",
        "±": "onset_step_spacing",
        "last step": "last_step",
        "final accuracy": "final_value",
        "spikes": "spikes",
        "checkpoints": "checkpoints",
    }
    for row, own in zip(found, events.runs.to_dict("records"), strict=True):
        assert row["run"] == own["run"]
        assert row["group"] == own["group"].replace("_", " ")
        assert row["generalised"] == ("no" if own["censored"] else "yes")
        for shown, name in columns.items():
            if shown in row:
                assert same(row[shown], float(own[name])), (shown, row)
    assert {"p", "onset", "±", "final accuracy", "memorisation"} <= set(found[0])


def test_a_run_without_an_onset_is_not_one_that_did_not_generalise(sweep_report):
    runs = sweep_report.events.runs.copy()
    runs.loc[0, ["onset_step", "censored"]] = [np.nan, False]
    found = rows(runs_of(replace(sweep_report.events, runs=runs)))
    assert found[0]["generalised"] == "not known"


def test_peaks(sweep_report):
    events = sweep_report.events
    expected = events.table[events.table["head"] == "mean"]
    expected = expected[(expected["rank"] == 1) | expected["rank"].isna()]
    group = events.runs.set_index("run")["group"]
    found = rows(peaks_of(events))
    assert len(found) == len(expected)
    columns = {
        "p": "p",
        "step": "peak_step",
        "±": "peak_step_spacing",
        "height": "peak_height",
        "prominence": "prominence",
        "in errors": "significance",
    }
    signs = set()
    for row, own in zip(found, expected.to_dict("records"), strict=True):
        assert (row["observable"], row["run"]) == (own["observable"], own["run"])
        assert row["group"] == group[own["run"]].replace("_", " ")
        for shown, name in columns.items():
            assert same(row[shown], float(own[name])), (shown, row)
        peak = own["status"] == "peak"
        assert same(row["lead"], own["onset_step"] - own["peak_step"] if peak else np.nan)
        signs.add(np.sign(row["lead"]) if row["lead"] != "" else 0)
        reason = own["reason"] or "higher at an end of the record"
        assert row["status"] == (own["status"] if peak else reason)
        assert row["where"] == (own["place"] if isinstance(own["place"], str) else "")
    assert {-1.0, 1.0} <= signs


def test_sizes(sweep_report):
    table = sizes_table(sweep_report.events, sweep_report.audit)
    found = rows(table)
    expected = [
        (name, lead, size)
        for name, lead in sweep_report.audit.leads.items()
        for size in lead.peaks.runs["size"].values
    ]
    assert len(found) == len(expected)
    for row, (name, lead, size) in zip(found, expected, strict=True):
        peaks, own = lead.peaks, next(each for each in lead.by_size if each.size == size)
        assert (row["observable"], row["p"]) == (name, size)
        assert row["runs"] == peaks.runs.sel(size=size)
        assert row["with peak"] == peaks.with_peak.sel(size=size)
        assert same(row["height"], float(peaks.height.value.sel(size=size)))
        assert same(row["error"], float(peaks.height.error.sel(size=size)))
        assert same(row["step"], math.exp(float(peaks.log_step.value.sel(size=size))))
        assert same(row["× error"], math.exp(float(peaks.log_step.error.sel(size=size))))
        assert row["peak first"] == own.first
        assert row["unresolved"] == own.unresolved
        assert row["onset first"] == own.later
        assert same(row["median lead"], own.median)
    shown = texts(table)
    assert any(row["median lead"].startswith("+") for row in shown)
    assert rows(sizes_table(sweep_report.events, None)) == []


def test_heads(sweep_report):
    found = rows(heads_of(sweep_report.audit))
    expected = [
        (name, each)
        for name, lead in sweep_report.audit.leads.items()
        for each in lead.look_elsewhere.heads
    ]
    assert len(found) == len(expected) == 12
    columns = {
        "compared": "compared",
        "peak first": "first",
        "unresolved": "unresolved",
        "onset first": "later",
        "median lead": "median_lead",
        "sign test p-value": "sign_p",
        "Holm p-value": "holm_p",
        "pairing p-value": "max_statistic_p",
    }
    for row, (name, own) in zip(found, expected, strict=True):
        assert row["observable"] == name
        assert row["head"] == int(own["head"])
        for shown, key in columns.items():
            assert same(row[shown], own[key]), (shown, row)


def _foretold(verdict):
    """With predictions, which four sizes are too few for."""
    pulls = (-2.0, 3.0, -0.4, 1.7)
    ahead = [
        {"class": kind, "predicted": 5.0 + k, "height": 4.5, "pull": pull}
        for k, (kind, pull) in enumerate(zip(verdict.p_values, pulls, strict=True))
    ]
    other = replace(verdict)
    vars(other)["predictions"] = ahead  # computed on demand, and kept there
    return other


def test_classes(sweep_report):
    verdicts = sweep_report.verdicts | {NAME: _foretold(sweep_report.verdicts[NAME])}
    found = rows(classes_of(verdicts))
    expected = [(name, each, kind) for name, each in verdicts.items() for kind in each.p_values]
    assert len(found) == len(expected)
    for row, (name, verdict, kind) in zip(found, expected, strict=True):
        ahead = next((each for each in verdict.predictions if each["class"] == kind), {})
        assert (row["observable"], row["class"]) == (name, kind)
        assert same(row["p-value"], verdict.p_values[kind])
        assert same(row["predicted"], ahead.get("predicted", np.nan))
        assert same(row["seen"], ahead.get("height", np.nan))
        assert same(row["pull"], ahead.get("pull", np.nan))
        by_bound = "no, by the bound" if kind in verdict.excluded_by_bound else "no"
        named = "yes" if kind in verdict.plausible else by_bound
        assert row["not excluded"] == (named if verdict.status == "ok" else "no class is named")
    assert [row["pull"] for row in found if row["pull"] != ""] == [-2, 3, -0.4, 1.7]


def test_no_class_is_named_where_the_verdict_is_none(sweep_report):
    other = replace(sweep_report.verdicts[NAME], status="poor fit")
    assert {row["not excluded"] for row in rows(classes_of({NAME: other}))} == {"no class is named"}
    assert rows(exponents_of({NAME: other}))[0]["not excluded"] == "no class is named"


def test_exponents(sweep_report):
    found = rows(exponents_of(sweep_report.verdicts))
    expected = [
        (name, each, k)
        for name, each in sweep_report.verdicts.items()
        for k in range(len(each.data.sizes))
    ]
    assert len(found) == len(expected)
    some = 0
    for row, (name, verdict, k) in zip(found, expected, strict=True):
        size = verdict.data.sizes[k]
        local = [each for each in verdict.local_exponents if each["smallest_size"] == size]
        own = local[0] if local else {}
        some += bool(own)
        assert (row["observable"], row["p"]) == (name, size)
        assert same(row["height"], verdict.data.heights[k])
        assert same(row["error"], verdict.data.errors[k])
        assert same(row["local exponent"], own.get("exponent", np.nan))
        assert same(row["its error"], own.get("error", np.nan))
        left = [e["plausible"] for e in verdict.stability if e["smallest_size"] == size]
        kept = verdict.plausible if k == 0 else left[0] if left else []
        assert row["not excluded"] == ", ".join(kept)
    assert some


def test_tables_have_the_numbers_of_the_results(sweep_report, sweep_page):
    tables = tables_of(sweep_page)
    runs = sweep_report.events.runs.set_index("run")
    assert len(tables["runs"]) == len(runs)
    for row in tables["runs"]:
        own = runs.loc[row["run"]]
        assert row["p"] == str(own["p"])
        assert row["onset"] == ("–" if np.isnan(own["onset_step"]) else f"{own['onset_step']:.0f}")
        assert row["generalised"] == ("no" if own["censored"] else "yes")
    peaks = sweep_report.events.peak("landscape_heat_capacity").set_index("run")
    shown = [r for r in tables["peaks"] if r["observable"] == "landscape heat capacity"]
    assert {r["run"]: r["height"] for r in shown if r["status"] == "peak"} == {
        run: f"{height:.4g}" for run, height in peaks["peak_height"].items()
    }
    lead = sweep_report.audit.leads["landscape_heat_capacity"]
    sizes = [r for r in tables["sizes"] if r["observable"] == "landscape heat capacity"]
    assert [r["height"] for r in sizes] == [f"{v:.4g}" for v in lead.peaks.height.value.values]
    assert [r["peak first"] for r in sizes] == [str(each.first) for each in lead.by_size]
    assert len(tables["heads"]) == 3 * 4
    verdict = sweep_report.verdicts["landscape_heat_capacity"]
    kept = {r["class"] for r in tables["classes"] if r["not excluded"] == "yes"
            and r["observable"] == "landscape heat capacity"}  # fmt: skip
    assert kept == set(verdict.plausible)
    local = [r for r in tables["exponents"] if r["observable"] == "landscape heat capacity"]
    assert [r["error"] for r in local] == [f"{e:.2g}" for e in verdict.data.errors]
    assert local[0]["not excluded"] == ", ".join(verdict.plausible)


def test_what_is_not_there_is_a_dash():
    for nothing in (math.nan, None, np.nan, ""):
        assert word(nothing).text == "–"
        assert word(nothing).value == ""


def test_one_height_has_one_error(sweep_report):
    sizes = sizes_table(sweep_report.events, sweep_report.audit)
    tested = exponents_of(sweep_report.verdicts)
    own, used = (
        [row["error"] for row in rows(table) if row["observable"] == NAME]
        for table in (sizes, tested)
    )
    assert own == pytest.approx(used, rel=1e-9)
    assert "steady one another" in sizes.caption
