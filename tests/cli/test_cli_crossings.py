"""`heatcap crossings` and `heatcap extrema`: a table in, numbers, JSON and a figure out."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from heatcap.cli import app
from heatcap.systems import Planted


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def written(path: Path, system: Planted, sizes: list[int]) -> Path:
    found = system.sample(sizes, lambda L: system.grid(L, width=2.5, count=13), rng=0)
    columns = {"L": "size", "K": "control", "B": "value", "dB": "value_error"}
    pd.DataFrame({k: found[v].to_numpy() for k, v in columns.items()}).to_csv(path, index=False)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    system = Planted(function="binder", correction=0.5, noise=0.003)
    return written(tmp_path / "table.csv", system, [8, 16, 32, 64])


@pytest.fixture
def peaked(tmp_path: Path) -> Path:
    system = Planted(function="lorentzian", exponent=0.5, noise=0.01)
    return written(tmp_path / "peaked.csv", system, [8, 16, 32, 64, 128])


OPTIONS = ("--size", "L", "--control", "K", "--value", "B", "--error", "dB")


def test_crossings_of_a_table(table: Path, tmp_path: Path) -> None:
    out, figure = tmp_path / "out.json", tmp_path / "out.pdf"
    arguments = ("--ratio", "2", "--seed", "1", "--json", out, "--figure", figure)
    status, text, _ = run("crossings", table, *OPTIONS, *arguments)
    assert status == 0
    assert "status: drift not tested" in text
    assert "sizes 32, 64: x* = " in text
    content = json.loads(out.read_text())
    assert content["schema_version"] == 1
    assert abs(content["x_c"]["value"] - 1) < 3 * content["x_c"]["error"]
    assert len(content["covariance"]) == 3
    assert content["goodness_of_fit"]["dof"] == 0
    assert "no degrees of freedom left: the fit is not tested" in text
    assert content["inputs"]
    assert figure.is_file()
    assert figure.with_suffix(".png").is_file()


def test_extrema_of_a_table(peaked: Path, tmp_path: Path) -> None:
    out, figure = tmp_path / "out.json", tmp_path / "out.pdf"
    status, text, _ = run("extrema", peaked, *OPTIONS, "--json", out, "--figure", figure)
    assert status == 0
    assert "size 128: x = " in text
    content = json.loads(out.read_text())
    assert content["against_size"]["statuses"]["x_c"] == "ok"
    exponent = content["against_size"]["exponent"]
    assert abs(exponent["value"] - 0.5) < 3 * exponent["error"]
    assert figure.is_file()


def test_a_table_without_a_header_and_known_exponents(
    table: Path, peaked: Path, tmp_path: Path
) -> None:
    for path in (table, peaked):
        bare = tmp_path / f"{path.stem}.dat"
        pd.read_csv(path).to_csv(bare, index=False, header=False, sep=" ")
    names = ("--names", "L,K,B,dB")
    status, text, _ = run("crossings", tmp_path / "table.dat", *OPTIONS, *names, "--drift", "2")
    assert status == 0
    assert "drift_exponent = 2 (fixed)" in text
    assert "chi2/dof = " in text
    arguments = (*names, "--inverse-nu", "1", "--exponent", "0.5")
    status, text, _ = run("extrema", tmp_path / "peaked.dat", *OPTIONS, *arguments)
    assert status == 0
    assert "inverse_nu = 1 (fixed)" in text
    assert "exponent = 0.5 (fixed)" in text


@pytest.mark.parametrize("verb", ["crossings", "extrema"])
def test_what_is_wrong_is_said(verb: str, table: Path) -> None:
    status, _, said = run(verb, table, "--size", "L", "--control", "K", "--value", "C")
    assert status == 1
    assert "no column 'C'; there is 'L', 'K', 'B', 'dB'" in said
    status, _, said = run(verb, table, *OPTIONS, "--json", table)
    assert status == 1
    assert "is an input" in said
    assert run(verb, table)[0] == 2


def test_that_it_cannot_be_said_is_an_answer(table: Path, tmp_path: Path) -> None:
    two = tmp_path / "two.csv"
    pd.read_csv(table).query("L < 20").to_csv(two, index=False)
    status, text, _ = run("crossings", two, *OPTIONS)
    assert status == 0
    assert "status: too few pairs" in text
    status, text, _ = run("extrema", two, *OPTIONS, "--figure", tmp_path / "none.pdf")
    assert status == 0
    assert "status: no peak" in text
    assert "too few sizes for positions, too few sizes for heights" in text


@pytest.mark.parametrize(("command", "panel"), [("crossings", "pairs"), ("extrema", "heights")])
def test_a_figure_for_one_column_of_a_journal(
    command: str, panel: str, table: Path, peaked: Path, tmp_path: Path
) -> None:
    given, figure = {"crossings": table, "extrema": peaked}[command], tmp_path / "out.svg"
    page = ("--figure", figure, "--panel", panel, "--width", "single", "--label", "control=$T/J$")
    status, text, _ = run(command, given, *OPTIONS, *page)
    assert status == 0
    caption = tmp_path / "out.caption.txt"
    assert text.splitlines()[-3:] == [str(figure), str(figure.with_suffix(".png")), str(caption)]
    assert f"{panel.capitalize()}: " in caption.read_text()
    assert 'width="244.8pt"' in figure.read_text()  # 3.4 inches
    status, _, said = run(command, given, *OPTIONS, "--panel", "windows")
    assert status == 2
    assert panel in said


def test_points_are_chosen_by_window_size_and_row(table: Path) -> None:
    _, text, _ = run("crossings", table, *OPTIONS, "--sizes", "16:", "--window", "0.9:1.1")
    assert "sizes 8, 16" not in text
    assert "sizes 16, 32: x* = " in text
    status, _, said = run("crossings", table, *OPTIONS, "--drop", "100000")
    assert status == 1
    assert "--drop 100000: there are" in said


def test_positions_that_are_known_are_fitted_without_curves(tmp_path: Path) -> None:
    sizes = [8.0, 12, 16, 24, 32, 48, 64, 96]
    at = pd.DataFrame({"L": sizes, "Tc": [2.5 + L**-1.25 * (1 + 0.2 / L) for L in sizes]})
    at["dTc"] = 0.0004
    at.to_csv(path := tmp_path / "positions.csv", index=False)
    arguments = ("--size", "L", "--positions", "Tc")
    status, _, _ = run("extrema", path, *arguments, "--error", "dTc", "--json", tmp_path / "o.json")
    assert status == 0
    found = json.loads((tmp_path / "o.json").read_text())["against_size"]
    for name, truth in (("x_c", 2.5), ("inverse_nu", 1.25)):
        assert abs(found[name]["value"] - truth) < 2 * found[name]["error"]
    assert found["height_status"] == "not given"
    status, _, said = run("extrema", path, *arguments)
    assert status == 1
    assert "--positions needs --error" in said
