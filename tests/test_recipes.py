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

from heatcap.observables import save

from runs import logits_at, write_run
from synthetic import Plan, observables

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
RECIPE = re.compile(r"^\*\*An? ([\w ]+)\*\*(?:(?!^```).)*?^```diff\n(.*?)^```$", re.M | re.S)
RECIPES = dict(RECIPE.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))

#: All that is new is used in one process, as users would: imports take longer than the uses.
USE = """
import json
from typer.testing import CliRunner
import heatcap as hc
from heatcap.cli import app
from heatcap.figures import evolution, portrait
from heatcap.report.methods import definitions_of

said = {}
obs = hc.observe("run.h5")
new = obs["landscape_third_cumulant"]
said["observable"] = {
    "units": new.attrs["units"],
    "dims": new.dims,
    "values": new.isel(run=0, inputs=0, layer=0, query=0).values.tolist(),
    "definition": definitions_of([new.name])[0].content,
    "labels": [ax.get_ylabel() for ax in evolution(obs, observables=[new.name]).axes],
}
hc.save(obs, "of_run.nc")
(axes,) = portrait(obs).axes
said["figure"] = {
    "labels": [axes.get_xlabel(), axes.get_ylabel()],
    "lines": [line.get_xydata().tolist() for line in axes.lines],
    "of": [obs[name].isel(inputs=0, query=0).mean(["layer", "head"]).values.tolist()
           for name in ("energy", "entropy")],
}
for name, command in {
    "verdict": "verdict heights.csv --value C --error dC --json verdict.json",
    "events": "events obs.nc -o events.csv",
    "drawn": "figure portrait of_run.nc -o portrait.pdf",
    "figures": "figure --help",
}.items():
    done = CliRunner().invoke(app, command.split())
    assert done.exit_code == 0, done.output
    said[name] = done.output
print(json.dumps(said))
"""
#: Tests of the house that a new name or file could break.
HOUSE = "imports or circle or crosses_a_wing or has_a_room or written_by_their_owner or of_its_face"


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
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__"))
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


SIZES = 2.0 ** np.arange(3, 11)


@pytest.fixture(scope="module")
def said(tree: Path) -> dict[str, Any]:
    """What comes out where all that is new is used; files are in the tree."""
    write_run(tree / "run.h5")
    save(observables([Plan(p=p) for p in (19, 31)]), tree / "obs.nc")
    rows = [f"{size:g},{2 - 1 / (1 + (size / 40) ** 2):.12g},0.0001\n" for size in SIZES]
    (tree / "heights.csv").write_text("size,C,dC\n" + "".join(rows))
    return dict(json.loads(run(tree, "-c", USE)))


def test_there_are_four_recipes() -> None:
    assert [*RECIPES] == ["observable", "law of growth", "event", "figure"]


def test_a_new_observable_is_in_the_dataset_and_on_an_axis(said: dict[str, Any]) -> None:
    new = said["observable"]
    assert new["units"] == "1"
    assert new["dims"] == ["run", "checkpoint", "inputs", "layer", "head", "query"]
    assert new["definition"] == "β³ ⟨(U − ⟨U⟩)³⟩_x"
    assert "landscape\nthird cumulant" in new["labels"]
    logits = np.array([logits_at(step)[0, :, :, 0] for step in range(5)], dtype=np.float64)
    weight = np.exp(logits)
    energy = -(logits * weight).sum(-1) / weight.sum(-1)
    third = ((energy - energy.mean(-1, keepdims=True)) ** 3).mean(-1)
    np.testing.assert_allclose(new["values"], third, rtol=1e-9)


def test_a_new_law_is_a_family_of_the_verdict(said: dict[str, Any], tree: Path) -> None:
    assert "bounded" in said["verdict"]
    verdict = json.loads((tree / "verdict.json").read_text())
    best = verdict["models"][0]
    assert (best["name"], best["class"], verdict["verdict"]) == ("Hill curve", "bounded", "bounded")
    assert best["parameters"]["q"] == pytest.approx(2.0, rel=0.01)
    assert best["parameters"]["xi"] == pytest.approx(40.0, rel=0.01)


def test_a_new_event_is_in_the_tables(said: dict[str, Any], tree: Path) -> None:
    assert "events.csv" in said["events"]
    with open(tree / "events.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    obs = observables([Plan(p=p) for p in (19, 31)])
    assert {row["run"] for row in rows} == {*map(str, obs["run"].values)}
    for row in rows:
        of_run = obs.sel(run=row["run"]).isel(metric=slice(1, None))  # step 0 has no logarithm
        at, accuracy = float(row["halfway_step"]), of_run[row["onset_metric"]].values
        step = np.log(of_run["metric_step"].values)
        assert np.interp(np.log(at), step, accuracy) == pytest.approx(0.5)


def test_a_new_figure_is_a_command(said: dict[str, Any], tree: Path) -> None:
    assert "Entropy against energy along training" in said["figures"]
    assert said["drawn"].split() == ["portrait.pdf", "portrait.png"]
    drawn = said["figure"]
    assert drawn["labels"] == ["energy $U$ (logits)", "entropy $S$ (nats)"]
    np.testing.assert_allclose(np.moveaxis(drawn["lines"], 2, 0), drawn["of"])
    assert (tree / "portrait.pdf").read_bytes().startswith(b"%PDF")


def test_what_recipes_leave_obeys_the_house(tree: Path) -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        if path.name in ("test_layering.py", "test_owners.py"):
            copy = tree / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    for name in ("pyproject.toml", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tree / name)
    passed = run(tree, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-k", HOUSE, "tests")
    assert int(passed.rpartition(" passed")[0].split()[-1]) > 100
    run(tree, "-m", "ruff", "format", "--no-cache", "src")  # as the page says: blank lines
    run(tree, "-m", "ruff", "check", "--no-cache", "src")
