"""The recipes of CONTRIBUTING.md, walked literally on a copy of the sources."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from heatcap.observables import save

from runs import logits_at, write_run
from synthetic import Plan, observables

ROOT = Path(__file__).parents[1]
RECIPE = re.compile(r"^\*\*An? ([\w ]+)\*\*(?:(?!^```).)*?^```diff\n(.*?)^```$", re.M | re.S)
RECIPES = dict(RECIPE.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))


def apply(recipe: str, tree: Path) -> None:
    """Add the lines with + below the lines that stand above them."""
    path, above = tree, ""
    for kind, lines in groupby(recipe.splitlines(keepends=True), key=lambda line: line[0]):
        text = "".join(line[1:] for line in lines)
        if kind == " ":
            above = text
        elif kind == "+":
            held = f"\n{path.read_text(encoding='utf-8')}" if above else "\n"
            assert held.count(f"\n{above}") == 1, f"{path.name} must have once: {above}"
            path.write_text(held.replace(f"\n{above}", f"\n{above}{text}")[1:], encoding="utf-8")
        else:
            path, above = tree / f"{kind}{text}".strip(), ""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources to which every recipe was applied."""
    tree = tmp_path_factory.mktemp("tree")
    compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", tree / "src", ignore=compiled)
    for recipe in RECIPES.values():
        apply(recipe, tree)
    return tree


def run(tree: Path, *arguments: str) -> str:
    """What a Python in which the copy is heatcap prints."""
    # Kernels of other sources would have to be compiled; without that they need two seconds.
    changed = {"PYTHONPATH": str(tree / "src"), "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree, env=os.environ | changed, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_are_four_recipes() -> None:
    assert [*RECIPES] == ["observable", "law of growth", "event", "figure"]


OBSERVE = """
import json, sys
import heatcap as hc
from heatcap.figures import evolution
obs = hc.observe(sys.argv[1])
values = obs["landscape_third_cumulant"]
axes = evolution(obs, observables=["landscape_third_cumulant"]).axes
said = {
    "units": values.attrs["units"],
    "dims": values.dims,
    "values": values.isel(run=0, inputs=0, layer=0, query=0).values.tolist(),
    "labels": [ax.get_ylabel() for ax in axes],
}
print(json.dumps(said))
"""


def test_a_new_observable_is_in_the_dataset_and_on_an_axis(tree: Path) -> None:
    said = json.loads(run(tree, "-c", OBSERVE, str(write_run(tree / "run.h5"))))
    assert said["units"] == "1"
    assert said["dims"] == ["run", "checkpoint", "inputs", "layer", "head", "query"]
    assert "landscape\nthird cumulant" in said["labels"]
    logits = np.array([logits_at(step)[0, :, :, 0] for step in range(5)], dtype=np.float64)
    weight = np.exp(logits)
    energy = -(logits * weight).sum(-1) / weight.sum(-1)
    third = ((energy - energy.mean(-1, keepdims=True)) ** 3).mean(-1)
    np.testing.assert_allclose(said["values"], third, rtol=1e-9)


def test_a_new_law_is_a_family_of_the_verdict(tree: Path) -> None:
    sizes = 2.0 ** np.arange(3, 11)
    rows = [f"{size:g},{2 - 1 / (1 + (size / 40) ** 2):.12g},0.0001\n" for size in sizes]
    (tree / "heights.csv").write_text("size,C,dC\n" + "".join(rows))
    options = ("--value", "C", "--error", "dC", "--json", "verdict.json")
    run(tree, "-m", "heatcap", "verdict", "heights.csv", *options)
    verdict = json.loads((tree / "verdict.json").read_text())
    best = verdict["models"][0]
    assert (best["name"], best["class"], verdict["verdict"]) == ("Hill curve", "bounded", "bounded")
    assert best["parameters"]["q"] == pytest.approx(2.0, rel=0.01)
    assert best["parameters"]["xi"] == pytest.approx(40.0, rel=0.01)


def test_a_new_event_is_in_the_table_of_events(tree: Path) -> None:
    obs = observables([Plan(p=p) for p in (19, 31)])
    save(obs, tree / "obs.nc")
    run(tree, "-m", "heatcap", "events", "obs.nc", "-o", "events.csv")
    with open(tree / "events.csv", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    assert {row["run"] for row in rows} == {*map(str, obs["run"].values)}
    for row in rows:
        of_run = obs.sel(run=row["run"])
        known = np.log(of_run["metric_step"].values), of_run[row["onset_metric"]].values
        at = np.interp(np.log(float(row["halfway_step"])), *known)
        assert at == pytest.approx(0.5)


def test_a_new_figure_is_a_command(tree: Path) -> None:
    save(observables([Plan(p=p) for p in (19, 31)]), tree / "obs.nc")
    assert "Entropy against energy" in run(tree, "-m", "heatcap", "figure", "--help")
    obs = tree / "run.nc"
    run(tree, "-m", "heatcap", "observe", str(write_run(tree / "other.h5")), "-o", str(obs))
    run(tree, "-m", "heatcap", "figure", "portrait", str(obs), "-o", "portrait.pdf")
    assert (tree / "portrait.pdf").read_bytes().startswith(b"%PDF")
    colours = imread(tree / "portrait.png")[..., :3].reshape(-1, 3)
    assert (np.ptp(colours, axis=1) > 0.5).any()  # a line that is neither black nor grey


def test_what_a_recipe_leaves_obeys_the_rules_of_the_house(tree: Path) -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        if path.name in ("test_layering.py", "test_owners.py"):
            copy = tree / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    for name in ("pyproject.toml", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tree / name)
    run(tree, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "tests")
    run(tree, "-m", "ruff", "check", "--no-cache", "src")
    run(tree, "-m", "ruff", "format", "--no-cache", "--check", "src")
