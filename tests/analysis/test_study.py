"""The study: its page says what its results say, and its scripts keep to the public interface."""

from __future__ import annotations

import ast
import copy
import json
import re
import runpy
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xarray as xr
from study_scripts import ANALYSIS, script

import heatcap as hc
from heatcap.scaling import points

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
    path = Path(__file__).parents[2] / ".ci" / "same.py"
    return runpy.run_path(str(path))["differences"]


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


def test_a_collapse_that_failed_writes_how_poor_it_is_and_no_parameter():
    written = script("05_collapse").written
    size, x = np.repeat([8.0, 16, 32], 8), np.tile(np.linspace(-1, 1, 8), 3)
    fit = hc.collapse(points(size, x, np.tanh(x * size), np.full(24, 0.01)), bootstrap=0)
    assert {"parameters", "goodness_of_fit"} < set(written(replace(fit, status="ok")))
    fits = [(125.8468, 1.0444e-14), (125.8586, 1.0395e-14)]  # the same data on two processors
    for chi2, p in fits:
        poor = written(replace(fit, status="poor fit", chi2=chi2, dof=27, p_value=p))
        assert set(poor) == {"status", "ansatz", "fixed", "message", "goodness_of_fit"}
        assert poor["goodness_of_fit"] == {"chi2": 126, "dof": 27, "p_value": 1e-14}
    flat = written(replace(fit, status="unidentified"))
    assert set(flat) == {"status", "ansatz", "fixed"}


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
    del other["diverge"]["fraction_70"]["p"]["heat_capacity"]["verdict"]
    with pytest.raises(page.jinja2.UndefinedError, match="verdict"):
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


def test_a_verdict_without_its_guarantee_has_a_mark(page):
    made = script("11_results")
    found = json.loads((ANALYSIS / "results.json").read_text())["diverge"]["fraction_70"]["p"]
    plain = found["heat_capacity"]
    broken = plain | {"warnings": ["the guarantee does not hold with such errors: test again"]}
    assert not page.shaken(plain)
    assert page.shaken(broken)
    assert made._verdict(plain)["verdict"] == plain["verdict"]
    assert made._verdict(broken)["verdict"] == plain["verdict"] + "†"


def test_an_exponent_at_the_edge_of_what_is_tried_is_a_limit():
    exponent = script("11_results")._exponent
    assert exponent(4.0, 2.83, None) == "above 2.83"
    assert exponent(1.68, 0.93, 2.39) == "1.68 (0.93 to 2.39)"


def test_table_of_the_page_keeps_the_rows_that_are_asked_for(page):
    table = {"columns": ["set", "n"], "rows": [["a", 1], ["b", 2]]}
    assert page.markdown(table, set="b") == "| n |\n| --- |\n| 2 |"


def test_curves_of_a_collapse_have_the_error_of_the_mean_over_runs():
    """Ten runs of a line with a common slope and a scattered level: the error is that of a mean."""
    rng = np.random.default_rng(0)
    step = np.tile(np.geomspace(1, 1000, 50), (40, 1))
    level = rng.normal(0, 0.1, size=40)
    obs = xr.Dataset(
        {
            "landscape": (("run", "metric"), np.log(step) + level[:, None]),
            "train_accuracy": (("run", "metric"), (step > 20).astype(float)),
        },
        {
            "run": np.arange(40),
            "size": ("run", np.repeat([10.0, 20.0, 30.0, 40.0], 10)),
            "metric_step": (("run", "metric"), step),
        },
    )
    data = script("05_collapse").curves(obs, "landscape", "metric_step")
    assert data.control.min() == pytest.approx(np.log(step[0][step[0] > 20][0]))
    for size, own in zip((10, 20, 30, 40), level.reshape(4, 10), strict=True):
        there = data.size == size
        assert data.value[there] == pytest.approx(data.control[there] + own.mean())
        expected = own.std(ddof=1) / np.sqrt(10)
        assert data.error[there] == pytest.approx(expected, rel=0.2)
    drawn = np.stack([data.resample(rng) for _ in range(400)]).std(0)
    assert drawn == pytest.approx(data.error, rel=0.15)


def test_accuracy_without_a_wrong_answer_has_an_error():
    """Nought of n is no certainty: about one in n."""
    own = xr.Dataset(
        coords={
            "fraction": ("run", [0.7]),
            "probe_population": ("run", [10000]),
            "task": ("run", ["addition"]),
        }
    )
    tested = 10000 * 0.3**2
    error = script("05_collapse")._counting(own, np.array([0.0, 0.5]), 1)
    assert error == pytest.approx([1 / tested, 0.5 / np.sqrt(tested)], rel=0.01)


@pytest.fixture(scope="module")
def rises() -> xr.Dataset:
    """Three runs each of four sizes: one rise, the wider the larger; onsets from run to run."""
    size = np.repeat([10.0, 20.0, 30.0, 40.0], 3)
    onset = np.tile([100.0, 200.0, 400.0], 4)
    step = np.geomspace(1, 2000, 400)
    x = np.log(step / onset[:, None])
    return xr.Dataset(
        {
            "test_accuracy": (("run", "metric"), np.clip(0.5 + x * 10 / size[:, None], 0, 1)),
            "train_accuracy": (("run", "metric"), np.tile(step > 20, (12, 1)).astype(float)),
            "onset": ("run", onset),
            "probe_population": ("run", np.full(12, 10_000)),
            "task": ("run", ["recall"] * 12),
        },
        {
            "run": np.arange(12),
            "size": ("run", size),
            "fraction": ("run", np.full(12, 0.7)),
            "metric_step": (("run", "metric"), np.tile(step, (12, 1))),
        },
    )


def runs_of(rises: xr.Dataset) -> Any:
    runs = rises[["size", "onset"]].to_dataframe().reset_index()
    return runs.rename(columns={"onset": "onset_step"}).assign(baseline=0.0, final_value=1.0)


def test_width_of_a_rise_is_that_of_the_single_run(rises):
    """A rise by 10 / L for each unit of ln step goes from 1/4 to 3/4 within L / 20."""
    found = script("05_collapse").widths(rises, "test_accuracy", runs_of(rises))
    rows = found["by_size"]
    assert [row["size"] for row in rows] == [10, 20, 30, 40]
    expected = np.exp(np.array([10, 20, 30, 40]) / 20)
    for quantile in ("low", "median", "high"):
        assert [row[quantile] for row in rows] == pytest.approx(expected, rel=1e-6)
    assert found["trend"]["value"] == pytest.approx(1)  # ln of the factor goes like L
    assert found["trend"]["ci95"] == pytest.approx([1, 1])


def test_width_of_a_rise_is_not_that_of_a_later_dip_nor_of_a_record_that_ends(rises):
    runs = runs_of(rises)
    step, accuracy = rises["metric_step"], rises["test_accuracy"]
    widths = script("05_collapse").widths
    dipped = rises.assign(test_accuracy=accuracy.where((step < 1500) | (step > 1600), 0.6))
    steep = dipped.isel(run=dipped["size"].values == 10)
    assert widths(steep, "test_accuracy", runs[runs["size"] == 10])["by_size"][0]["median"] == (
        pytest.approx(np.exp(0.5), rel=1e-6)
    )
    short = rises.assign(test_accuracy=accuracy.where(accuracy < 0.7))
    assert widths(short, "test_accuracy", runs) == {"by_size": [], "trend": None}


def test_on_the_clock_of_its_onset_the_rise_of_all_runs_is_that_of_one(rises):
    curves = script("05_collapse").curves
    data = curves(rises, "test_accuracy", "metric_step", rises["onset"])
    assert data.value == pytest.approx(0.5 + data.control * 10 / data.size, abs=1e-3)
    assert abs(data.control[data.size == 10]).max() == pytest.approx(0.48, abs=0.02)
    mixed = curves(rises, "test_accuracy", "metric_step")
    assert np.ptp(mixed.control[mixed.size == 10]) > np.log(4)


def test_sizes_without_runs_enough_are_not_collapsed(rises):
    few = rises.isel(run=rises["size"].values < 40)
    assert script("05_collapse").curves(few, "test_accuracy", "metric_step") is None
    one = rises.isel(run=slice(None, None, 3))
    assert script("05_collapse").curves(one, "test_accuracy", "metric_step") is None


def test_table_of_variants_has_counts_order_and_verdict():
    found = {"first": 3, "unresolved": 1, "later": 2, "order": "undecided", "verdict": None}
    table = script("11_results").table_of_variants({"fraction_70": {"a": {"heat_capacity": found}}})
    assert table.to_dict("records") == [
        {"set": "70 %", "variant": "a", "canonical": "3:1:2 undecided; no verdict"}
    ]
