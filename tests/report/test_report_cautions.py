"""Every caution of a report: there where it should be, absent where not."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from reading import few, report_of, titles

import heatcap as hc
from heatcap.events import find_events, size_name_of
from heatcap.report.findings import cautions_of

from synthetic import Plan, observables

pytestmark = pytest.mark.usefixtures("without_extras")

NAME = "landscape_heat_capacity"


def plans(primes=(19, 31, 53, 89), seeds=8, **changes):
    return [Plan(p=p, seed=s, **changes) for p in primes for s in range(seeds)]


@pytest.fixture(scope="module")
def plain():
    """Runs that deserve no caution of their own, with controls."""
    never = {"onset": np.nan, "peak": 700.0, "control": "random_labels"}
    table = observables([*plans(), Plan(p=19, **never), Plan(p=89, **never)], scan=False)
    return table.drop_vars("heat_capacity_bound")


def said(obs, audit=None, verdicts=None):
    events = find_events(obs, NAME)
    return {each.title: each.text for each in cautions_of(obs, events, audit, verdicts or {})}


def test_few_cautions_without_a_reason(plain):
    assert set(said(plain)) <= {"Mirror leak"}


def proper(obs):
    return obs.isel(run=slice(0, 32))


SPOILED = {
    "Problems of the files": lambda o: o.assign_attrs(problems=json.dumps(["x"])),
    "Runs not complete": lambda o: o.assign(complete=("run", [0] + [1] * (o.sizes["run"] - 1))),
    "Fraction differs": lambda o: o.assign_coords(
        fraction=("run", [0.6, *[0.7] * (o.sizes["run"] - 1)])
    ),
    "Not generalised": lambda o: o.assign(
        test_accuracy=o["test_accuracy"].where(o["seed"] != 3, 0.1),
        mirror_free_accuracy=o["mirror_free_accuracy"].where(o["seed"] != 3, 0.1),
    ),
    "No defined onset": lambda o: o.assign(train_accuracy=0.5 * o["train_accuracy"]),
    "Few runs per size": lambda o: o.isel(run=slice(2, None)),
}


@pytest.mark.slow
@pytest.mark.parametrize("title", list(SPOILED))
def test_each_caution_comes_with_its_cause_alone(plain, title):
    assert title not in said(plain)
    assert title in said(SPOILED[title](plain))


def test_settings_are_told_with_their_values(plain):
    n = plain.sizes["run"]
    width = np.where(plain["p"] < 50, 64.0, 128.0)
    found = said(plain.assign_coords(width=("run", width), lot=("run", np.arange(n) % 12)))
    assert "differ in width (64, 128), and it changes with the size: " in found["Width differs"]
    assert "differ in lot (0, 1, 2, 3, 4, 5, 6, 7, ...): " in found["Lot differs"]
    assert not any(
        "differs" in title for title in said(plain.assign_coords(n=("run", np.arange(n))))
    )


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        (8, None),
        (7, "1 of 4 sizes have 3 to 7 runs (7 at p = 19); the relative spreads "
            "of the sizes steady one another, by as much as they are alike."),
        (3, "1 of 4 sizes have 3 to 7 runs (3 at p = 19)"),
        (2, "1 of 4 sizes have fewer than 3 runs (2 at p = 19): their errors are guesses"),
    ],
)  # fmt: skip
def test_few_runs_of_a_size(plain, runs, text):
    found = said(plain.isel(run=slice(8 - runs, None))).get("Few runs per size", "")
    assert text in found if text else not found


@pytest.mark.slow
def test_settings_come_first_and_stand_in_the_headline():
    table = observables(plans(seeds=3), scan=False)
    table = table.assign_coords(fraction=("run", [0.6, 0.7, 0.7] * 4)).assign_attrs(
        problems=json.dumps(["x"])
    )
    found = hc.build_report(table, NAME)
    assert found.verdicts
    assert found.cautions()[0].text.startswith("The runs differ in fraction (0.6, 0.7): a peak may")
    wanted = ", over runs that differ in fraction (0.6, 0.7): a height may follow it, not the size."
    assert found.headline[2].endswith(wanted)


# ---- sizes of several names ----------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed():
    table = observables(plans(seeds=3), scan=False).rename(p="size")
    names = np.where(table["size"] < 80, "p", "visible_keys")
    return table.assign_coords(size_name=("run", names))


TEXT = "sizes are called p (9 runs) and visible_keys (3 runs): choose one"


def test_a_verdict_refuses_sizes_of_several_names(mixed):
    events = find_events(mixed, NAME)
    assert len(events.peak(NAME)) == 12
    with pytest.raises(ValueError, match=f"^{re.escape(TEXT)}$"):
        hc.verdict_of_runs(events, NAME)


def test_a_name_that_only_controls_have_does_not_matter(mixed):
    events = find_events(mixed, NAME)
    runs = events.runs.assign(group=np.where(events.runs["size"] > 80, "random_labels", "none"))
    assert size_name_of(runs[runs["group"] == "none"]) == "p"
    table = replace(events, runs=runs)
    with pytest.raises(ValueError, match="4 sizes"):
        hc.verdict_of_runs(table, NAME)


def test_names_that_are_not_given_are_no_names(mixed):
    runs = find_events(mixed, NAME).runs
    assert size_name_of(runs.assign(size_name=np.where(runs["size"] < 50, "", "p"))) == "p"


def test_a_report_says_so_first_and_gives_no_verdict(mixed):
    found = hc.build_report(mixed, NAME)
    assert not found.verdicts
    assert found.cautions()[0].title == "Sizes of several names"
    assert TEXT[1:] in found.cautions()[0].text
    assert TEXT in found.headline[2]
    page = found.html()
    assert page.count(f"There is no figure: {TEXT}") >= 2


# ---- of a sweep ----------------------------------------------------------------------------


def test_warnings_that_a_sweep_deserves(sweep_report):
    said = {each.title: each.text for each in sweep_report.cautions()}
    assert "at every size: it cannot diverge" in said["Bound the same for all sizes"]
    assert said["Mirror leak"].startswith("In 12 of 12 runs")
    assert "No controls" not in said
    assert "All 4 sizes have 3 runs" in said["Few runs per size"]
    assert "steady one another" in said["Few runs per size"]


@pytest.mark.slow
def test_warnings_of_spikes_seeds_settings_and_missing_controls():
    obs = observables(few(spikes=(1500.0, 2500.0)))
    obs = obs.assign_coords(fraction=("run", [0.5, 0.5, 0.7, 0.7]))
    obs = obs.assign(complete=("run", [1, 1, 0, 1]))
    obs.attrs["problems"] = json.dumps(["runs/x.h5: is cut short"])
    said = {each.title: each.text for each in report_of(obs).cautions()}
    assert "spikes in 4 of 4 runs" in said["Loss spikes"]
    assert "of heat capacity (base rate" in said["Loss spikes"]
    assert "2 at p = 19, 31" in said["Few runs per size"]
    assert "fraction (0.5, 0.7), and it changes with the size" in said["Fraction differs"]
    assert said["Runs not complete"].startswith("1 of 4")
    assert "runs/x.h5: is cut short" in said["Problems of the files"]
    assert "No controls" in said
    assert list(said)[:2] == ["Fraction differs", "Problems of the files"]


def test_a_setting_that_only_the_controls_change_is_no_warning(sweep_report):
    assert not any("differs" in title for title in titles(sweep_report))


@pytest.mark.slow
def test_nothing_to_warn_of_is_not_made_up(sweep_report):
    found = sweep_report
    obs = found.obs.drop_vars(["heat_capacity_bound"])
    audit = hc.audit_leads(obs, found.events)
    titles = {each.title for each in cautions_of(obs, found.events, audit, found.verdicts)}
    assert "Bound the same for all sizes" not in titles
    assert "Not tested" in titles


def test_warnings_of_verdicts_are_among_the_cautions(sweep_report):
    found = {
        name: replace(each, warnings=[f"own {k}", "of all"])
        for k, (name, each) in enumerate(sweep_report.verdicts.items())
    }
    obs, events, audit = sweep_report.obs, sweep_report.events, sweep_report.audit
    said = [each.text for each in cautions_of(obs, events, audit, found)]
    assert said.count("All 3: of all.") == 1
    assert said.count("Landscape heat capacity: own 1.") == 1
    assert sum("of all" in text for text in said) == 1


def test_controls_that_generalise_are_counted(sweep_report):
    audit = sweep_report.audit
    lead = audit.leads[NAME]
    some = [replace(each, generalising=3, runs=6) for each in lead.controls[:1]]
    changed = replace(audit, leads={NAME: replace(lead, controls=some)})
    titles_ = {each.title: each.text for each in cautions_of(
        sweep_report.obs, sweep_report.events, changed, {})}  # fmt: skip
    assert titles_["Controls that generalise"].startswith("3 of 9 runs with random labels do")
    assert "Controls that generalise" not in titles(sweep_report)
