"""Tables that ship: each command that goes with one runs, and finds what is known."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import heatcap as hc
from heatcap.cli import app
from heatcap.systems.shipped import EXAMPLES, remade, shipped
from heatcap.systems.spanning import spanning_counts, spans

GALLERY = Path(__file__).parents[2] / "docs" / "gallery.md"


def run(line: str):
    return CliRunner().invoke(app, shlex.split(line)[1:])


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_command_to_try_finds_what_is_known(name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert EXAMPLES[name].command in run(f"heatcap example {name}").stdout
    done = run(f"{EXAMPLES[name].command} --json out.json")
    assert done.exit_code == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} - {f"{name}.caption.txt"} == {
        "out.json", *(f"{name}{ending}" for ending in (".csv", ".pdf", ".png")),
    }  # fmt: skip
    content = json.loads((tmp_path / "out.json").read_text())
    if name == "verdict":
        assert content["verdict"] == "power-law"
        return
    assert content["status"] == "ok"
    known = {"ising": 0.440687, "percolation": 0.5, "thresholds": 0.592746}[name]
    found = content.get("parameters", content)["x_c"]
    assert abs(found["value"] - known) < 3 * found["error"] < 0.02


def test_the_list_names_all_and_nothing_is_written_over(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    listed = run("heatcap example").stdout
    for name, one in EXAMPLES.items():
        assert f"heatcap example {name}" in listed
        assert one.command in listed
        assert hc.example(name).shape[0] == shipped(name).count("\n") - 1
    Path("ising.csv").write_text("mine\n")
    done = run("heatcap example ising")
    assert done.exit_code == 1
    assert "ising.csv: exists and is another table" in done.stderr
    assert Path("ising.csv").read_text() == "mine\n"
    assert run("heatcap example ising -o other.csv").exit_code == 0
    assert Path("other.csv").read_text() == shipped("ising")
    assert "example must be one of ising, percolation" in run("heatcap example isin").stderr
    with pytest.raises(ValueError, match="example must be one of"):
        hc.example("../ising")


def test_the_gallery_shows_every_command() -> None:
    page = GALLERY.read_text(encoding="utf-8").replace("\\\n", "")
    text = " ".join(page.split())
    for name, one in EXAMPLES.items():
        assert one.command in text
        assert f'hc.example("{name}")' in text


@pytest.mark.statistical
@pytest.mark.parametrize("name", EXAMPLES)
def test_what_ships_can_be_made_again(name) -> None:
    assert remade(name) == shipped(name)


def test_the_first_sizes_are_made_again() -> None:
    table = hc.example("thresholds")
    few = table[table["size"] <= 16]
    grid = {size: few.loc[few["size"] == size, "control"].to_numpy() for size in (8, 16)}
    again = spanning_counts([8, 16], grid, trials=500, rng=1)
    assert again["successes"].tolist() == few["successes"].tolist()


def test_spanning_against_a_flood() -> None:
    random = np.random.default_rng(0)
    occupied = random.random((50, 6, 6)) < 0.6

    def floods(sample) -> bool:
        seen, stack = set(), [(0, j) for j in range(6) if sample[0, j]]
        while stack:
            i, j = stack.pop()
            if (i, j) not in seen and 0 <= i < 6 and 0 <= j < 6 and sample[i, j]:
                seen.add((i, j))
                stack += [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
        return any(i == 5 for i, _ in seen)

    expected = [floods(sample) for sample in occupied]
    assert spans(occupied).tolist() == expected
    assert 5 < sum(expected) < 45


def test_arguments_of_the_counts() -> None:
    with pytest.raises(ValueError, match="a probability p must lie between 0 and 1"):
        spanning_counts([4], [1.5])
    with pytest.raises(ValueError, match="trials must be 1 or more, got 0"):
        spanning_counts([4], [0.5], trials=0)
    with pytest.raises(ValueError, match="size must be at least 2, got 1"):
        spanning_counts([1], [0.5])
    assert spanning_counts([4], [0.0, 1.0], trials=3)["successes"].tolist() == [0, 3]
