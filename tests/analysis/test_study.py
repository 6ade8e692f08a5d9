"""The study: its page says what its results say, and its scripts keep to the public interface."""

from __future__ import annotations

import ast
import copy
import json
import re
import runpy
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from study_scripts import ANALYSIS, script

import heatcap as hc

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(ANALYSIS.glob("*.py"))


@pytest.fixture(scope="module")
def page() -> ModuleType:
    return script("12_page")


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return json.loads((ANALYSIS / "results.json").read_text())


def test_page_says_what_the_results_say(page, results):
    assert (ROOT / "docs" / "study.md").read_text() == page.page(results)


@pytest.fixture(scope="module")
def rounded() -> Any:
    return script("study").rounded


@pytest.fixture
def same() -> Any:
    return of_gate("differences")


def of_gate(name: str) -> Any:
    return runpy.run_path(str(ROOT / ".ci" / "same.py"))[name]


def test_numbers_are_written_to_the_digits_that_they_mean(rounded):
    fit = {"value": 0.1234567, "error": 0.0099996, "ci95": [0.103826, 0.143], "runs": 99}
    assert rounded(fit) == {"value": 0.12346, "error": 0.01, "ci95": [0.10383, 0.143], "runs": 99}
    lists = {"value": [12.3456, None, 1 / 3], "error": [1.25001, None, 0.0], "n_eff": [1.23456789]}
    assert rounded(lists) == {
        "value": [12.346, None, 0.333333], "error": [1.25, None, 0.0], "n_eff": [1.23457]
    }  # fmt: skip
    verdict = {"heights": [123.444], "errors": [26.0], "exponent": {"value": None}, "level": 0.95}
    assert rounded(verdict) == verdict | {"heights": [123.44]}
    assert rounded({"value": 123456.7, "error": 26000.0}) == {"value": 123460.0, "error": 26000.0}
    p = {"sign_p": 0.0123456, "p_values": {"flat": 1 / 3}, "p": {"share": 1 / 3}, "last": 123456.0}
    assert rounded(p) == {
        "sign_p": 0.01235, "p_values": {"flat": 0.3333}, "p": {"share": 0.333333}, "last": 123456.0
    }  # fmt: skip
    assert json.dumps(rounded([-0.0, -0.0, {"value": -0.0001, "error": 9.0}])) == json.dumps(
        [0.0, 0.0, {"value": 0.0, "error": 9.0}]
    )


def test_what_is_written_stays_when_it_is_read_and_written_again(rounded, results):
    assert rounded(results) == results


def test_processors_that_differ_by_rounding_write_hardly_a_number_otherwise(rounded, same):
    """Of raw numbers, moved by more than two processors are apart: by the last digit at most."""
    rng = np.random.default_rng(0)
    values = rng.lognormal(0, 5, 3000)
    errors = values * rng.uniform(1e-3, 1, 3000)
    raw = [
        {"value": float(value), "error": float(error), "p_value": float(rng.uniform())}
        for value, error in zip(values, errors, strict=True)
    ]
    moved = [{k: v * (1 + 1e-8 * rng.uniform(-1, 1)) for k, v in row.items()} for row in raw]
    one, other = rounded(raw), rounded(moved)
    differ = sum(a[k] != b[k] for a, b in zip(one, other, strict=True) for k in a)
    assert differ <= 9  # one in a thousand
    assert same(one, other) == []
    assert same(one, [row | {"value": 1.001 * row["value"] + row["error"]} for row in one])


def test_parts_are_compared_with_their_place_in_the_results(results, same):
    part_of = of_gate("part_of")
    branches, peaks = results["branches"]["recall"], results["peak"]["recall"]
    made = {
        "scan": {"runs": results["scan"]},
        "recall.leads": {"observables": results["precede"]["recall"]},
        "recall.heights": {"verdicts": results["diverge"]["recall"]} | branches,
        "recall.events": results["runs"]["sets"]["recall"]
        | {"counts": [row for groups in peaks.values() for row in groups.values()]},
        "systems": results["systems"] | {"figures": ["of no interest"]},
    }
    for name, part in made.items():
        assert same(*part_of(results, name, part)) == []
    changed = copy.deepcopy(made)
    changed["scan"]["runs"][0]["onset"] *= 1.001
    changed["recall.events"]["counts"].pop()
    changed["recall.heights"]["delayed"]["sizes"].pop()
    for name in ("scan", "recall.events", "recall.heights"):
        assert same(*part_of(results, name, changed[name])) != []
    for name in ("recall.collapse", "elsewhere.leads", "colapse"):
        with pytest.raises(SystemExit, match=f"{name}.json is no part of the results"):
            part_of(results, name, {})


def test_page_differs_where_a_result_differs(page, results):
    other = copy.deepcopy(results)
    other["precede"]["fraction_70"]["unweighted_heat_capacity"]["conclusion"] += " Changed."
    assert page.page(other) != page.page(results)


def test_claim_that_does_not_hold_stops_the_page(page, results):
    other = copy.deepcopy(results)
    other["precede"]["fraction_60"]["heat_capacity"]["precursor"] = True
    with pytest.raises(page.ClaimError, match="a precursor is shown for none"):
        page.page(other)


def test_a_number_that_is_missing_stops_the_page(page, results):
    other = copy.deepcopy(results)
    del other["precede"]["fraction_70"]["heat_capacity"]["order"]
    with pytest.raises(page.jinja2.UndefinedError, match="order"):
        page.page(other)


def test_every_figure_of_the_page_is_there_and_has_a_caption_with_no_gap(page, results):
    text = page.page(results)
    shown = re.findall(r"\(images/study/(\w+)\.png\)", text)
    assert sorted(shown) == sorted(page.captions(results))
    for name, said in page.captions(results).items():
        assert (ROOT / "docs" / "images" / "study" / f"{name}.png").is_file()
        assert said.endswith(".")
        assert not re.search(r"nan|None|\{\{", said)


def test_template_has_no_measured_number_typed_by_hand():
    """Decimal fractions come from results; the constants are those of the set-up."""
    template = (ANALYSIS / "study.md.j2").read_text()
    plain = re.sub(r"\{[{%#].*?[}%#]\}", "", template, flags=re.DOTALL)
    plain = re.sub(r"arXiv:\d+\.\d+|abs/\d+\.\d+", "", plain)
    # What leaves no room for an onset; learning rate, thresholds, smoothing.
    setup = ["0.8", "0.2", "0.001", "0.99", "0.2", "0.9", "0.1"]
    assert re.findall(r"\d+\.\d+", plain) == setup


def test_captions_for_latex_escape_what_tex_takes_for_itself(page):
    assert page.tex("50 % & a_b^2") == r"50 \% \& a\_b\textasciicircum{}2"
    assert page.macro("clock_p43") == "captionClockPdc"


def test_every_run_of_the_study_has_the_checksum_that_its_observables_have(results):
    known: dict[str, str] = {}
    for name in ("grokking", "study"):
        obs = hc.load(ROOT / "data" / name / "observables.nc")
        known |= dict(zip(obs["run"].values.tolist(), obs["checksum"].values.tolist(), strict=True))
    assert results["run_files"].items() <= known.items()
    assert results["runs"]["total"] == len(results["run_files"])


def test_shipped_observables_are_finished_runs_with_heat_capacities():
    obs = hc.load(ROOT / "data" / "study" / "observables.nc")
    assert (obs["complete"].values == 1).all()
    top = obs["heat_capacity"].max([d for d in obs["heat_capacity"].dims if d != "run"])
    bound = obs["heat_capacity_bound"].isel(query=-1)
    assert (top.values <= bound.values * (1 + 1e-6)).all()
    assert np.isfinite(obs["wall_seconds"].values).all()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_use_the_public_interface_alone(script):
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("heatcap"):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        else:
            continue
        assert not [name for name in names if name.startswith("_")]


@pytest.fixture
def found() -> dict[str, Any]:
    """What the study keeps of a verdict."""
    return {
        "verdict": "undecided",
        "plausible": ["bounded", "logarithmic"],
        "if_no_crossover": ["logarithmic"],
        "crossover_length_lower_limit95": 0.0,
        "heights": [1.0, 2.0, 3.0],
        "errors": [0.1, 0.1, 0.1],
        "exponent": {"value": 0.2, "ci95": [-0.1, 0.5]},
        "exponent_upper_limit95": 0.4,
        "hump_at": None,
        "falls": False,
        "cautions": [],
    }


def test_a_verdict_without_its_guarantee_has_a_mark(page, found):
    made = script("11_results")
    broken = found | {"cautions": ["the guarantee does not hold with such errors: test again"]}
    assert not page.shaken(found)
    assert page.shaken(broken)
    assert made._verdict(found)["verdict"] == "undecided"
    assert made._verdict(broken)["verdict"] == "undecided†"


def test_a_row_has_both_parts_of_the_answer(found):
    row = script("11_results")._verdict
    said = row(found)
    assert said["not excluded"] == "bounded, logarithmic"
    assert said["if no crossover"] == "logarithmic"
    assert said["crossover"] == "at any length"
    assert row(found | {"crossover_length_lower_limit95": 310.4})["crossover"] == "not below 310"


def test_answers_have_both_parts_and_put_what_falls_together(page, found):
    names = ["a", "b", "c"]
    verdicts = {"a": found, "b": found | {"falls": True}, "c": found | {"falls": True}}
    told = page.answers(verdicts, names, dict(zip(names, "ABC", strict=True)))
    assert told == (
        "A **undecided** (bounded or logarithmic; if there is no crossover "
        "logarithmic); **no answer** from heights that fall (B, C)"
    )
    one = {"verdict": "bounded", "plausible": ["bounded"], "if_no_crossover": ["bounded"]}
    assert page.answer(found | one) == "**bounded**"


def test_heights_that_fall_have_no_class(found):
    said = script("11_results")._verdict(found | {"falls": True, "verdict": "bounded"})
    assert said["verdict"] == "no answer: falls"
    assert "bounded" not in str(said)
    falls = script("study").falls
    sizes, errors = [10, 20, 30, 40, 50], np.full(5, 0.05)
    lower = {
        last: falls(hc.divergence_test(sizes, [1.0, 0.9, 0.8, 0.9, last], errors))
        for last in (0.8, 0.9, 1.2)
    }
    assert lower == {0.8: True, 0.9: False, 1.2: False}
    assert falls(hc.divergence_test(sizes, [1.0, 1.5, 2.0, 1.5, 1.0], errors))  # behind a maximum


def test_one_unsolved_run_at_each_of_the_largest_sizes_determines_nothing():
    why = script("04_heights").why_not
    runs = pd.DataFrame(
        {
            "group": "none",
            "size": [8.0, 8, 16, 16, 32, 64],
            "final_value": [1, 1, 1, 1, 0.71, 0.70],
        }
    )
    assert why(runs) == "one run each at 32 and 64, and it had not solved the task"
    assert why(runs.assign(final_value=1.0)) == ""
    assert why(pd.concat([runs, runs])) == ""
    assert why(runs[runs["size"] <= 16]) == ""


def test_pooled_variance_from_what_ships_is_that_of_the_logits():
    obs = hc.observe(ROOT / "data" / "grokking" / "runs", geometry=True)
    expected = obs["pooled_logit_variance"].sel(inputs="all")
    made = script("05_pooled").pooled(obs.drop_vars("pooled_logit_variance"))
    assert made.dims == ("run", "checkpoint")
    np.testing.assert_allclose(made, expected, rtol=1e-12)


def test_works_of_others_say_how_they_are_known(page):
    table = page.literature()
    assert {row[-1] for row in table["rows"]} == {"read", "read; formula second hand"}
    for row in table["rows"]:
        assert ("Var(QKᵀ" in row[2]) == ("second hand" in row[-1])


def test_an_exponent_at_the_edge_of_what_is_tried_is_a_limit():
    made = script("11_results")
    exponent, edge = made._exponent, made.GROWTH[1]
    assert exponent(edge, 2.83, None) == "above 2.83"
    assert exponent(edge - 0.1, 2.83, None) == f"{edge - 0.1:.2f} (2.83 to no limit)"
    assert exponent(1.68, 0.93, 2.39) == "1.68 (0.93 to 2.39)"


def test_table_of_the_page_keeps_the_rows_that_are_asked_for(page):
    table = {"columns": ["set", "n"], "rows": [["a", 1], ["b", 2]]}
    assert page.markdown(table, set="b") == "| n |\n| --- |\n| 2 |"


def test_table_of_variants_has_counts_order_and_verdict():
    found = {"first": 3, "unresolved": 1, "later": 2, "order": "undecided", "verdict": None}
    table = script("11_results").table_of_variants({"fraction_70": {"a": {"heat_capacity": found}}})
    assert table.to_dict("records") == [
        {"set": "70 %", "variant": "a", "canonical": "3:1:2 undecided; not determined"}
    ]
