"""`heatcap power-law` and `heatcap crossover`: a table in, numbers, JSON and a figure out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from heatcap.cli import app


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


COLUMNS = ("--x", "N", "--value", "y", "--error", "e")


def written(path: Path, x: object, y: object, error: object) -> Path:
    noise = np.random.default_rng(0).standard_normal(np.size(x))
    pd.DataFrame({"N": x, "y": y + error * noise, "e": error}).to_csv(path, index=False)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    x = 8.0 * 2.0 ** np.arange(8)
    return written(tmp_path / "table.csv", x, 3 * x**-0.5, 0.01 * x**-0.5)


def test_a_power_law_of_a_table(table: Path, tmp_path: Path) -> None:
    out, figure = tmp_path / "out.json", tmp_path / "out.pdf"
    status, text, _ = run("power-law", table, *COLUMNS, "--json", out, "--figure", figure)
    assert status == 0
    assert text.startswith("status: ok\nexponent = -0.")
    content = json.loads(out.read_text())
    for name, truth in (("exponent", -0.5), ("amplitude", 3.0)):
        found = content["parameters"][name]
        assert abs(found["value"] - truth) < 2.5 * found["error"]
        assert found["ci95"][0] < found["value"] < found["ci95"][1]
    assert "limit" not in content["parameters"]
    assert len(content["slopes"]["value"]) == 7
    assert figure.is_file()
    assert figure.with_suffix(".png").is_file()


def test_a_limit_with_a_known_exponent_toward_zero(tmp_path: Path) -> None:
    h = 0.5 ** np.arange(7)
    table = written(tmp_path / "steps.csv", h, 2 - 0.5 * h, np.full(7, 0.003))
    out = tmp_path / "out.json"
    options = ("--limit", "--exponent", 1, "--toward", "zero", "--json", out)
    status, text, _ = run("power-law", table, *COLUMNS, *options)
    assert status == 0
    assert "exponent = 1 (fixed)" in text
    limit = json.loads(out.read_text())["parameters"]["limit"]
    assert abs(limit["value"] - 2) < 2.5 * limit["error"] < 0.03


def test_a_crossover_of_a_table(tmp_path: Path) -> None:
    x = 16.0 * 2.0 ** (np.arange(13) / 2)
    y = 3 * ((x / 100) ** -2 + 1)
    table = written(tmp_path / "table.csv", x, y, 0.02 * y)
    out, figure = tmp_path / "out.json", tmp_path / "out.pdf"
    status, text, _ = run("crossover", table, *COLUMNS, "--json", out, "--figure", figure)
    assert status == 0
    assert text.startswith("status: ok\np = -")
    found = json.loads(out.read_text())["parameters"]
    for name, truth in (("p", -2), ("q", 0), ("x_cross", 100)):
        assert abs(found[name]["value"] - truth) < 2.5 * found[name]["error"]
    assert figure.is_file()


def test_no_crossover_is_an_answer_with_a_figure(table: Path, tmp_path: Path) -> None:
    status, text, _ = run("crossover", table, *COLUMNS, "--figure", tmp_path / "out.pdf")
    assert status == 0
    assert text.startswith("status: no crossover")


def test_a_window_and_rows_that_are_runs(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    status, _, _ = run("power-law", table, *COLUMNS, "--window", "32:", "--json", out)
    assert status == 0
    assert json.loads(out.read_text())["x"] == [32, 64, 128, 256, 512, 1024]
    rng = np.random.default_rng(0)
    x = np.repeat([8.0, 16, 32, 64], 6)
    runs = tmp_path / "runs.csv"
    pd.DataFrame({"N": x, "y": x * (1 + 0.02 * rng.normal(size=24))}).to_csv(runs, index=False)
    status, text, _ = run("power-law", runs, "--x", "N", "--value", "y", "--pure")
    assert status == 0
    assert "spread of 6 runs" in text


def test_what_is_wrong_is_said(table: Path) -> None:
    status, _, said = run("power-law", table, "--x", "M", "--value", "y")
    assert status == 1
    assert "no column" in said
    status, _, said = run("power-law", table, *COLUMNS, "--window", "4000:")
    assert (status, "no row is left: --window 4000:inf, " in said) == (1, True)
    status, _, said = run("crossover", table, *COLUMNS, "--window", "a:b")
    assert (status, "--window: expected lo:hi" in said) == (1, True)
    status, _, said = run("power-law", table, *COLUMNS, "--toward", "one")
    assert (status, "table.csv: toward must be" in said) == (1, True)
