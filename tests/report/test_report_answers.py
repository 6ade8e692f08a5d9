"""What a report says, of whatever runs there are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from reading import few, report_of, text_of, titles

import heatcap as hc
from heatcap.report.findings import answers_of, chance

from synthetic import Plan, observables


def test_answers_are_those_of_the_audit_and_the_verdicts(sweep_report):
    found = sweep_report
    assert [a.name for a in found.answers] == list(found.audit.leads) == list(found.verdicts)
    for answer in found.answers:
        verdict = found.verdicts[answer.name]
        assert found.audit.leads[answer.name].conclusion == f"{answer.name}: {answer.conclusion}"
        assert answer.verdict == verdict.verdict
        assert answer.warnings == verdict.warnings
        assert answer.advice == verdict.advice
        assert answer.meaning == verdict.meaning
        for kind in verdict.plausible:
            assert kind in answer.tested


def test_an_order_is_claimed_only_where_the_audit_claims_it(sweep_report):
    for answer in sweep_report.answers:
        lead = sweep_report.audit.leads[answer.name]
        assert answer.precedes.startswith("before") == (lead.order == "first")
        assert ("consistent with a precursor" in answer.precedes) == lead.precursor
        assert ("undecided" in answer.precedes) == (lead.order == "undecided")


@pytest.mark.parametrize(
    ("order", "against", "said"),
    [
        ("first", ["it follows memorisation"], "before the onset, but no evidence of a precursor"),
        ("first", [], "before the onset; a precursor is not shown"),
        ("later", [], "after the onset: no precursor"),
        ("undecided", ["it follows memorisation"], "undecided"),
    ],
)
def test_words_of_each_order(sweep_report, order, against, said):
    audit, name = sweep_report.audit, "heat_capacity"
    lead = replace(audit.leads[name], order=order, against=against, controls=[])
    changed = replace(audit, leads={name: lead})
    (answer,) = answers_of({name: (name, 0)}, sweep_report.events, changed, {}, {})
    assert answer.precedes == said


def test_the_headline_gives_every_verdict_with_its_meaning(sweep_report):
    inventory, order, growth = sweep_report.headline
    assert inventory.startswith("16 runs: 12 runs proper, and as controls 2 with")
    assert "4 sizes, p = 19 to 89" in inventory
    assert order.startswith("Does a peak precede generalisation?")
    for verdict in sweep_report.verdicts.values():
        assert f": {verdict.verdict}, that is, " in growth
        how, _, what = verdict.meaning.partition(": ")
        assert how in growth
        assert what in growth
    for answer in sweep_report.answers:
        assert answer.name.replace("_", " ") in growth.lower()


@pytest.mark.slow
def test_undecided_comes_with_what_it_would_take():
    rng = np.random.default_rng(0)
    plans = [Plan(p=p, seed=s) for p in (19, 31, 43, 59) for s in range(3)]
    obs = observables(plans, scan=False)
    # Heights that scatter by half: nothing can be excluded.
    factor = xr.DataArray(np.exp(0.5 * rng.normal(size=len(plans))), dims="run")
    obs["landscape_heat_capacity"] = obs["landscape_heat_capacity"] * factor
    found = report_of(obs, "landscape_heat_capacity")
    (answer,) = found.answers
    assert answer.verdict == "undecided"
    assert answer.advice
    assert answer.advice in text_of(found.html())


@pytest.mark.slow
def test_a_missing_verdict_says_why_and_stops_nothing(pair_report):
    found = pair_report
    assert not found.verdicts
    assert set(found.missing) == {"heat_capacity", "landscape_heat_capacity"}
    assert "expected at least 4 sizes, got 2" in found.headline[2]
    text = text_of(found.html())
    assert "There is no figure: expected at least 4 sizes, got 2." in text
    assert "Along training" in text


@pytest.mark.slow
def test_a_single_run(single_report):
    found = single_report
    assert found.headline[0] == "1 run; one size, p = 43."
    assert "too few for a test of the order" in found.answers[0].conclusion
    assert found.html().count("<svg ") == 3  # evolution, leads, scan


@pytest.mark.slow
def test_all_runs_censored():
    found = report_of(observables(few(onset=np.nan, last=3000.0)))
    assert {a.order for a in found.answers} == {"nothing"}
    assert "4 of 4 runs had not generalised" in found.summary()
    assert "no order of peak and onset can be seen" in found.summary().replace("\n    ", " ")
    assert "4 censored" in text_of(found.html())


@pytest.mark.slow
def test_runs_without_a_size_have_a_panel_each():
    obs = observables(few((43,), 3)).drop_vars("p")
    found = report_of(obs)
    assert found.headline[0] == "3 runs; no size is known."
    assert titles(found) >= {"No size"}
    assert "run = 3" in found.html()


def test_only_controls_have_no_audit():
    found = report_of(observables(few(onset=np.nan, control="random_labels")))
    assert found.audit is None
    assert "all runs are controls" in found.missing["audit"]
    assert found.answers[0].precedes == "not tested"
    assert "all runs are controls" in text_of(found.html())


@pytest.mark.slow
def test_several_layers_are_told_apart():
    one = observables(few())
    obs = one.drop_dims("layer")
    for name in ("heat_capacity", "landscape_heat_capacity"):
        obs[name] = xr.concat([one[name], one[name]], "layer")
    found = report_of(obs.assign_coords(layer=[0, 1]))
    assert [a.name for a in found.answers][:2] == [
        "heat_capacity, layer 0",
        "heat_capacity, layer 1",
    ]
    assert "of the first layer" in text_of(found.html())


def test_tables_of_scalars(tmp_path):
    paths = []
    for size, seed in ((19, 0), (31, 0)):
        step = np.unique(np.geomspace(1, 4000, 150).round())
        x = np.log(step)
        rows = {
            "step": step,
            "loss": np.exp(-x),
            "train": np.clip(x / 4.6, 0, 1),
            "test": 1 / (1 + np.exp(-(x - 6.8) / 0.15)),
            "cv": np.exp(-0.5 * ((x - 6) / 0.4) ** 2),
            "n": np.full(step.size, size),
        }
        path = tmp_path / f"{size}_{seed}.csv"
        body = [",".join(rows), *(",".join(map(str, r)) for r in zip(*rows.values(), strict=True))]
        path.write_text("\n".join(body))
        paths.append(path)
    columns = "step=step,train_loss=loss,train_accuracy=train,test_accuracy=test,observable=cv,p=n"
    found = hc.build_report(hc.read_scalars(paths, columns), sources=paths)
    assert [a.name for a in found.answers] == ["cv"]
    text = text_of(found.html())
    assert "before the onset in 2 of 2 runs" in text.replace("peak ", "")
    assert [s.sha256 in text for s in found.sources] == [True, True]


def test_p_values_of_the_order_are_given_whatever_decided(sweep_report):
    for answer in sweep_report.answers:
        tests = sweep_report.audit.leads[answer.name].precedes
        side, many = ("p", "many") if tests.share > 0.5 else ("p_as_few", "few")
        assert answer.chance.startswith(f"p-values: sign test {chance(tests.sign_p)}, ")
        step = tests.phase_null["steps"][side]
        assert f"as {many} peaks first at a random step {chance(step)}," in answer.chance


def test_words_that_are_shown_are_not_read_off_prose(sweep_report, monkeypatch):
    name, found = next(iter(sweep_report.verdicts.items()))
    for text in ("brief", "summary"):
        monkeypatch.setattr(type(found), text, lambda *_: 1 / 0)
    (answer,) = answers_of({name: (name, 0)}, sweep_report.events, None, {name: found}, {})
    assert answer.tested == (
        "4 sizes, p = 19 to 89; not excluded at 95%: flat; crossover length: none, the heights "
        "do not grow; if there is no crossover: flat"
    )
    assert answer.exponent.startswith("exponent: none, the heights do not grow")
