"""The study: its page says what its results say, and its scripts keep to the public interface."""

from __future__ import annotations

import ast
import copy
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xarray as xr

import heatcap as hc

ROOT = Path(__file__).parents[2]
ANALYSIS = ROOT / "analysis"
SCRIPTS = sorted(ANALYSIS.glob("*.py"))


@pytest.fixture(scope="module")
def page() -> ModuleType:
    return _script("11_page")


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return json.loads((ANALYSIS / "results.json").read_text())


def _script(name: str) -> ModuleType:
    """A numbered script as a module."""
    spec = importlib.util.spec_from_file_location(f"study_{name}", ANALYSIS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(ANALYSIS))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ANALYSIS))
    return module


def test_page_says_what_the_results_say(page, results):
    assert (ROOT / "docs" / "study.md").read_text() == page.page(results)


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
    setup = ["0.001", "0.99", "0.2", "0.9", "0.1"]  # learning rate, thresholds, smoothing
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


def test_table_of_the_page_keeps_the_rows_that_are_asked_for(page):
    table = {"columns": ["set", "n"], "rows": [["a", 1], ["b", 2]]}
    assert page.markdown(table, set="b") == "| n |\n| --- |\n| 2 |"


def test_curves_of_a_collapse_have_the_error_of_the_mean_over_runs():
    """Ten runs of a line with a common slope and a scattered level: the error is that of a mean."""
    rng = np.random.default_rng(0)
    step = np.tile(np.geomspace(1, 1000, 50), (20, 1))
    level = rng.normal(0, 0.1, size=20)
    obs = xr.Dataset(
        {
            "landscape": (("run", "metric"), np.log(step) + level[:, None]),
            "train_accuracy": (("run", "metric"), (step > 20).astype(float)),
        },
        {
            "run": np.arange(20),
            "size": ("run", np.repeat([10.0, 20.0], 10)),
            "metric_step": (("run", "metric"), step),
        },
    )
    data = _script("05_collapse").curves(obs, "landscape", "metric_step")
    assert data.control.min() == pytest.approx(np.log(step[0][step[0] > 20][0]))
    for size, own in ((10, level[:10]), (20, level[10:])):
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
    error = _script("05_collapse")._counting(own, np.array([0.0, 0.5]), 1)
    assert error == pytest.approx([1 / tested, 0.5 / np.sqrt(tested)], rel=0.01)
