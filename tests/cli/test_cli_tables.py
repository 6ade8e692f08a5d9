"""Tables of people from the shell: each shape with the right answer, each guess in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from heatcap.cli import app

OPTIONS = ("--size", "L", "--control", "T", "--value", "U")
X_C = 1.0


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def x_c(tmp_path: Path, *arguments: object) -> tuple[str, str]:
    """Run crossings and compare x_c with the truth; what was printed."""
    out = tmp_path / "out.json"
    status, text, said = run("crossings", *arguments, "--json", out)
    assert status == 0, said
    found = json.loads(out.read_text())["x_c"]
    assert abs(found["value"] - X_C) < 3 * found["error"]
    assert found["error"] < 0.05
    return text, said


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    size, control = (g.ravel() for g in np.meshgrid([8, 16, 32, 64], np.linspace(0.8, 1.2, 17)))
    value = 0.6 - 0.3 * np.tanh(0.4 * size * (control - X_C))
    value += 0.003 * rng.standard_normal(size.size)
    return pd.DataFrame({"L": size, "T": control.round(6), "U": value.round(6), "dU": 0.003})


def test_a_header_behind_a_comment_mark(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "savetxt.csv"
    np.savetxt(path, table.to_numpy(), header="L T U dU")
    _, said = x_c(tmp_path, path, *OPTIONS, "--error", "dU")
    assert said == f"note: {path}: names of columns are those of the comment line: 'L', 'T', 'U'," \
        " 'dU'\n"  # fmt: skip


def test_a_column_for_each_size(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    wide = table.pivot(index="T", columns="L", values="U").add_prefix("L=")
    wide.to_csv(path)
    status, _, said = run("crossings", path, *OPTIONS)
    assert status == 1
    assert "one column for each size? --wide" in said
    text, said = x_c(tmp_path, path, *OPTIONS, "--wide")
    assert "sizes 8, 16, 32, 64 are those in the names of the columns" in said
    assert "no errors given" in text
    x_c(tmp_path, path, "--control", "T", "--wide")  # the value needs no name


def test_a_file_for_each_size(table: pd.DataFrame, tmp_path: Path) -> None:
    paths = [tmp_path / f"U{size}.dat" for size in (8, 16, 32, 64)]
    for path, (_, rows) in zip(paths, table.groupby("L"), strict=True):
        rows.drop(columns="L").to_csv(path, index=False, sep=" ")
    how = (*OPTIONS, "--error", "dU", "--size-from", r"U(\d+)")
    x_c(tmp_path, *paths, *how)
    status, text, _ = run("collapse", *paths, *how, "--fix", "exponent=0")
    assert status == 0
    assert "sizes 8, 16, 32, 64" in text


def test_a_row_for_each_run(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "seeds.csv"
    rng = np.random.default_rng(6)
    runs = [table.assign(seed=k, U=table["U"] + 0.006 * rng.standard_normal(68)) for k in range(6)]
    pd.concat(runs).drop(columns="dU").to_csv(path, index=False)
    text, said = x_c(tmp_path, path, *OPTIONS)
    assert "rows of one size and control are runs, 6 for each point" in text
    assert said == ""
    assert "no peak" in run("extrema", path, *OPTIONS)[1]


def test_errors_of_zero_and_counts(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    size, control = (g.ravel() for g in np.meshgrid([8, 16, 32, 64], np.linspace(0.8, 1.2, 17)))
    k = rng.binomial(400, 1 / (1 + np.exp(0.6 * size * (control - X_C))))
    error = np.sqrt(k * (400 - k) / 400) / 400
    path = tmp_path / "R.csv"
    columns = {"L": size, "T": control, "U": k / 400, "dU": error, "k": k, "n": 400}
    pd.DataFrame(columns).to_csv(path, index=False)
    status, _, said = run("crossings", path, *OPTIONS, "--error", "dU")
    assert status == 1
    assert f"{np.sum(error == 0)} of 68 errors are zero, of sizes" in said
    text, _ = x_c(tmp_path, path, *OPTIONS, "--error", "dU", "--drop-zero-errors")
    assert "rows left out, whose error is zero" in text
    x_c(tmp_path, path, *OPTIONS[:4], "--successes", "k", "--trials", "n")


def test_german_spreadsheets_and_errors_in_cells(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    cells = [f"{u:.4f}(30)".replace(".", ",") for u in table["U"]]
    table.assign(U=cells, T=table["T"].map(lambda t: f"{t:.4f}".replace(".", ","))).drop(
        columns="dU"
    ).to_csv(path, index=False, sep=";")
    _, said = x_c(tmp_path, path, *OPTIONS)
    assert "decimal commas: 0,5 is read as 0.5" in said
    assert "errors of 'U' are those within its cells" in said
    path.write_text("L;h\n" + "".join(f"L={n};{n**0.5:.4f}(100)\n" for n in (8, 16, 32, 64, 128)))
    status, _text, said = run("verdict", path, "--size", "L", "--value", "h")
    assert status == 0, said
    assert "column 'L': L=8 is read as 8" in said


def test_records_and_intervals(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    table.assign(lo=table["U"] - 0.003, hi=table["U"] + 0.003).to_json(path, orient="records")
    x_c(tmp_path, path, *OPTIONS, "--interval", "lo,hi")
    status, _, said = run("crossings", path, *OPTIONS, "--interval", "lo")
    assert status == 1
    assert "--interval: expected two columns, LOWER,UPPER" in said
    assert run("crossings", path, "--size", "L", "--control", "T")[0] == 2


def test_a_column_that_looks_like_errors_is_noted(table: pd.DataFrame, tmp_path: Path) -> None:
    table.to_csv(path := tmp_path / "t.csv", index=False)
    _, said = x_c(tmp_path, path, *OPTIONS)
    assert said == f"note: {path}: column 'dU' looks like the errors of 'U' and is not used:" \
        " --error dU\n"  # fmt: skip
