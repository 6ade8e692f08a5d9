"""`heatcap system` and `heatcap collapse`: tables out, tables in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import CubicSpline
from typer.testing import CliRunner

from heatcap.cli import app

from collapse_marks import planted


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def table(tmp_path: Path) -> Path:
    data = planted(np.random.default_rng(0), 0.002, 0.0)
    path = tmp_path / "table.csv"
    columns = {"L": data.size, "x": data.control, "A": data.value, "dA": data.error}
    pd.DataFrame(columns).sample(frac=1, random_state=1).to_csv(path, index=False)
    return path


OPTIONS = ("--size", "L", "--control", "x", "--value", "A", "--error", "dA")


def test_collapse_of_an_unordered_table(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    status, text, _ = run("collapse", table, *OPTIONS, "--json", out)
    assert status == 0
    assert "status: ok" in text
    content = json.loads(out.read_text())
    assert content["status"] == "ok"
    for name, truth in (("x_c", 1.0), ("inverse_nu", 0.8), ("exponent", -0.25)):
        parameter = content["parameters"][name]
        assert abs(parameter["value"] - truth) < 3 * parameter["error"]
    assert content["inputs"]
    assert content["seconds"] > 0
    assert content["sizes_used"][-1] == 128


def test_collapse_writes_a_page_that_does_not_depend_on_its_name(
    table: Path, tmp_path: Path
) -> None:
    pages = [tmp_path / "a.html", tmp_path / "b.htm"]
    for page in pages:
        status, text, _ = run("collapse", table, *OPTIONS, "--html", page)
        assert status == 0
        assert text.endswith(f"{page}\n")
    assert pages[0].read_bytes() == pages[1].read_bytes()
    before = table.read_bytes()
    for page, told in ((table, "is an input"), (tmp_path / "a.pdf", "is written as .html")):
        status, _, said = run("collapse", table, *OPTIONS, "--html", page)
        assert status == 1
        assert said.count("\n") == 1
        assert told in said
    assert table.read_bytes() == before


def test_a_table_without_a_header_and_a_fixed_parameter(table: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.dat"
    pd.read_csv(table).to_csv(bare, index=False, header=False, sep=" ")
    arguments = ("--names", "L,x,A,dA", "--fix", "exponent=-0.25")
    status, text, _ = run("collapse", bare, *OPTIONS, *arguments)
    assert status == 0
    assert "exponent = -0.25 (fixed)" in text


def test_runs_behind_the_errors_and_what_theory_excludes(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    _, text, _ = run("collapse", table, *OPTIONS, "--runs", 3, "--json", out)
    assert "errors of 3 runs: parameters wider by 1." in text
    content = json.loads(out.read_text())
    assert {row["kind"] for row in content["competitors"]} == {"crossover", "logarithms", "height"}
    assert content["crossover_length_lower_limit95"] > 128
    with_runs = tmp_path / "runs.csv"
    pd.read_csv(table).assign(n=3).to_csv(with_runs, index=False)
    excluded = ("--excluded", "logarithms", "--excluded", "crossover")
    _, same, _ = run("collapse", with_runs, *OPTIONS, "--runs", "n", *excluded, "--json", out)
    assert "errors of 3 runs" in same
    assert json.loads(out.read_text())["competitors"] == []
    status, _, said = run("collapse", table, *OPTIONS, "--excluded", "logs")
    assert status == 1
    assert "excluded must be among crossover, logarithms, held, first-order, got logs" in said


def test_what_is_wrong_is_said(table: Path, tmp_path: Path) -> None:
    status, _, said = run("collapse", table, "--size", "L", "--control", "x", "--value", "B")
    assert status == 1
    assert "no column 'B'; there is 'L', 'x', 'A', 'dA'" in said
    status, _, said = run("collapse", table, *OPTIONS, "--fix", "nu=1")
    assert status == 1
    assert "fixed must be among x_c" in said
    assert run("collapse", table, *OPTIONS, "--fix", "nu")[0] == 2
    status, _, said = run("collapse", table, *OPTIONS, "--fix", "inverse_nu=nan")
    assert status == 1
    assert "fixed must be finite, got inverse_nu = nan" in said
    status, _, said = run("collapse", table, *OPTIONS, "--json", table)
    assert "is an input" in said
    one = tmp_path / "one.csv"
    pd.read_csv(table).query("L == 16").to_csv(one, index=False)
    status, text, _ = run("collapse", one, *OPTIONS)
    assert status == 0  # that it cannot be said is an answer
    assert "status: too few sizes" in text


def test_a_system_writes_its_table(tmp_path: Path) -> None:
    out = tmp_path / "ring.csv"
    status, text, _ = run("system", "ising1d", "--sizes", "8,11", "--control", "0.2:1:5", "-o", out)
    assert status == 0
    assert "10 points of ising1d" in text
    found = pd.read_csv(out)
    assert found["size"].tolist() == [8] * 5 + [11] * 5
    status, _, said = run("system", "nope", "--sizes", "8", "--control", "1", "-o", out)
    assert status == 1
    assert "system must be one of" in said
    arguments = ("--sizes", "4", "--control", "0.4,0.5", "--set", "replicates=4", "--seed", "3")
    tables = []
    for name in ("a.csv", "b.csv"):
        assert run("system", "percolation", *arguments, "-o", tmp_path / name)[0] == 0
        tables.append((tmp_path / name).read_text())
    assert tables[0] == tables[1]


def test_a_figure_can_be_redrawn_from_the_exported_points(table: Path, tmp_path: Path) -> None:
    """Points by their formulas and the parameters of the JSON; F and residuals from them alone."""
    export, out, picture = (tmp_path / name for name in ("points.csv", "out.json", "fit.svg"))
    status, text, _ = run(
        "collapse", table, *OPTIONS, "--json", out, "--export", export, "--figure", picture,
        "--panel", "collapse", "--width", "single", "--label", "value=$m$", "--label", "control=T",
    )  # fmt: skip
    assert status == 0
    for path in (export, picture, picture.with_suffix(".png"), tmp_path / "fit.caption.txt"):
        assert str(path) in text
        assert path.stat().st_size
    found, content = pd.read_csv(export), json.loads(out.read_text())
    columns = ["size", "control", "value", "error", "x_scaled", "y_scaled", "y_corrected"]
    assert list(found.columns)[:8] == [*columns, "residual"]
    given = pd.read_csv(table).sort_values(["L", "x"])
    ours = found.sort_values(["size", "control"])
    assert ours[columns[:4]].to_numpy() == pytest.approx(given.to_numpy())
    p = {name: number["value"] for name, number in content["parameters"].items()}
    x = (found["control"] - p["x_c"]) * found["size"] ** p["inverse_nu"]
    assert found["x_scaled"].to_numpy() == pytest.approx(x.to_numpy())
    y = found["value"] * found["size"] ** -p["exponent"]
    assert found["y_scaled"].to_numpy() == pytest.approx(y.to_numpy())
    (scaled,) = content["scaled"]
    f, known = scaled["scaling_function"], found["y_corrected"].notna()
    assert known.mean() > 0.9
    unit = found["error"] * found["size"] ** -p["exponent"]
    off = (found["y_corrected"] - CubicSpline(f["x"], f["value"])(x)) / unit
    assert off[known].to_numpy() == pytest.approx(found["residual"][known].to_numpy(), abs=0.01)
    assert np.mean(found["residual"] ** 2) < 1.5
    assert scaled["reference"]["x_c"] == pytest.approx(
        {"value": p["x_c"], "error": content["parameters"]["x_c"]["error"]}
    )


def test_what_is_wrong_with_a_figure_is_said_before_anything_is_fitted(
    table: Path, tmp_path: Path
) -> None:
    status, _, said = run("collapse", table, *OPTIONS, "--figure", tmp_path / "fit.docx")
    assert (status, said.strip()) == (
        1, "heatcap: figures are written as .pdf, .png and .svg, got 'fit.docx'",
    )  # fmt: skip
    status, _, said = run("collapse", table, *OPTIONS, "--label", "x=T")
    assert status == 2
    assert "expected control=TEXT, value=TEXT or size=TEXT, got 'x=T'" in " ".join(said.split())
    for option in ("--panel", "--width"):
        status, _, said = run("collapse", table, *OPTIONS, option, "none")
        assert status == 2
        assert f"'{option}'" in said


def test_files_with_the_same_columns_are_a_joint_fit(tmp_path: Path) -> None:
    """B, M and X share x_c = 1 and 1/nu = 1; exponents 0, -1/8 and 7/4."""
    rng, truths = np.random.default_rng(2), {"B": 0.0, "M": -0.125, "X": 1.75}
    size, x = np.repeat([16.0, 32, 64], 13), np.tile(np.linspace(0.9, 1.1, 13), 3)
    for name, exponent in truths.items():
        value = size**exponent / (1 + np.exp((x - 1) * size / 2))
        rows = np.column_stack([size, x, value * (1 + 0.003 * rng.normal(size=39)), 0.003 * value])
        np.savetxt(tmp_path / f"{name}.dat", rows)
    files = [tmp_path / f"{name}.dat" for name in truths]
    pure = ("--excluded", "crossover", "--excluded", "logarithms")
    names = ("--names", "L,x,A,dA")
    status, _, _ = run("collapse", *files, *names, *pure, "--json", tmp_path / "out.json")
    assert status == 0
    found = json.loads((tmp_path / "out.json").read_text())["parameters"]
    for name, exponent in truths.items():
        parameter = found[f"exponent_{name}"]
        assert abs(parameter["value"] - exponent) < 3 * parameter["error"]
    status, _, said = run("collapse", *files[:2], "--names", "L,x")
    assert status == 2
    assert "name the column of the observable" in said
