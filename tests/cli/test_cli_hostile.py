"""Odd tables and odd options from the shell: one line that says why, and no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from heatcap.cli import app

COLUMNS = ("--size", "L", "--control", "T", "--value", "U")


def refused(*arguments: object) -> str:
    """Run a command that fails in one line; that line."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 1, done.output
    *notes, last = done.stderr.splitlines()
    assert all(line.startswith("note: ") for line in notes), done.stderr
    return last.removeprefix("heatcap: ")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    size, control = (g.ravel() for g in np.meshgrid([8, 16, 32, 64], np.linspace(0.8, 1.2, 9)))
    value = 0.6 - 0.3 * np.tanh(0.4 * size * (control - 1)) + 0.001 * np.sin(9 * control * size)
    frame = pd.DataFrame({"L": size, "T": control, "U": value, "dU": 0.003})
    frame.to_csv(path := tmp_path / "t.csv", index=False)
    return path


@pytest.mark.parametrize("verb", ["crossings", "extrema", "stiffness", "collapse", "verdict"])
def test_a_table_without_rows(verb: str, tmp_path: Path) -> None:
    (path := tmp_path / "t.csv").write_text("L,T,U,dU\n")
    assert refused(verb, path, *COLUMNS, "--error", "dU") == f"{path}: holds no data, it has no row"


def test_arrays_that_are_no_columns(table: Path, tmp_path: Path) -> None:
    with h5py.File(path := tmp_path / "t.h5", "w") as file:
        file["L"] = 3.0
    assert refused("crossings", path, *COLUMNS) == (
        f"{path}: has no arrays at its top, expected columns of one length there"
    )
    data = pd.read_csv(table)
    size, control, value, error = data.to_numpy().T
    np.savez(path := tmp_path / "t.npz", L=size, T=control, U=value + 1j, dU=error)
    assert "column 'U': expected real numbers, got complex ones" in refused(
        "crossings", path, *COLUMNS, "--error", "dU"
    )
    (path := tmp_path / "t.npy").write_text("L T U\n")
    said = refused("crossings", path, *COLUMNS)
    assert "it is no file of numpy.save or numpy.savez" in said
    assert "pickle" not in said


def test_whole_numbers_of_any_length(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"L": [8, 16], "T": [1, 2], "U": [10**400, 1]}))
    assert "value must be finite, got inf in row 1" in refused("verdict", path, *COLUMNS)
    path.write_text('{"columns": ["L", "T"], "data": [[8, 1], 3]}')
    assert "its rows are no lists of 2 cells" in refused("verdict", path, *COLUMNS)


@pytest.mark.parametrize(
    "text",
    [
        "#" + "a" * 300_000 + "\nL,T,U\n8,1,2\n",
        "# a=" + "1" * 300_000 + "x\nL,T,U\n8,1,2\n",
        "L,T,U\n8,1,2" + " " * 300_000 + "x\n",
        "L,T,V" + "(" * 300_000 + "\n8,1,2\n",
        "L,T,V" + " " * 300_000 + "x\n8,1,2\n",
        "L,T,U\n" + "a" + "1" * 300_000 + "!,1,2\n",
        "L,T,U\n" + "a" + " " * 300_000 + "!,1,2\n",
        "L,T,U\n" + "1x" * 150_000 + "1,1,2\n",
    ],
    ids=["word", "digits", "blanks", "brackets", "name", "size", "label", "edges"],
)
def test_long_lines_cost_their_length(text: str, tmp_path: Path) -> None:
    """Each of these took hours, the square of its length; now they take a second together."""
    (path := tmp_path / "t.csv").write_text(text)
    assert len(refused("crossings", path, *COLUMNS)) < 400


def test_errors_name_the_table(table: Path, tmp_path: Path) -> None:
    few = ("--control", "L", "--size", "T", "--value", "U", "--error", "dU")
    assert refused("crossings", table, *few).startswith(f"{table}: size 0.8 has 4 points")
    assert refused("verdict", table, *few).startswith(f"{table}: size 0.8 has 4 points")
    for said in (refused("order", "--series", table), refused("order", "--series", tmp_path)):
        assert said.startswith(str(tmp_path))


def test_powers_that_overflow(table: Path, tmp_path: Path) -> None:
    asked = (table, *COLUMNS, "--error", "dU")
    assert "drift must be positive, at most 20" in refused("crossings", *asked, "--drift", "1e9")
    for option in ("inverse-nu", "exponent"):
        said = refused("extrema", *asked, f"--{option}", "1e9")
        assert "20, got 1e+09" in said
    for name in ("exponent", "inverse_nu", "omega", "a"):
        said = refused("collapse", *asked, "--fix", f"{name}=1e200")
        assert said.startswith("fixed must be within +-")
        assert f"got {name} = 1e+200" in said
    assert "x_c = 1e+200 is far from the control" in refused(
        "collapse", *asked, "--fix", "x_c=1e200"
    )
    sizes = np.array([8, 16, 32, 64, 128.0])
    pd.DataFrame({"N": sizes, "y": sizes, "e": 0.1}).to_csv(path := tmp_path / "p.csv")
    law = (path, "--x", "N", "--value", "y", "--error", "e")
    for option in ("exponent", "omega"):
        assert "20, got 1e+09" in refused("power-law", *law, f"--{option}", "1e9")
    for window in ("nan:", "100:10"):
        assert "with lo below hi" in refused("power-law", *law, "--window", window)


def test_counts_that_are_none(table: Path, tmp_path: Path) -> None:
    asked = ("--successes", "U", "--trials", "L")
    said = refused("crossings", table, *COLUMNS[:4], *asked)
    assert "expected counts 0 <= U <= L" in said
    size, control = (g.ravel() for g in np.meshgrid([8, 16, 32, 64], np.linspace(0.8, 1.2, 9)))
    path = tmp_path / "k.csv"
    counts = {"size": size, "control": control, "successes": 4, "trials": 9}
    pd.DataFrame(counts).to_csv(path, index=False)
    said = refused("thresholds", path, "--cluster", "size")
    assert said == f"{path}: cluster: expected two or more at each size, got 1 at 8"
    both = CliRunner().invoke(app, ["thresholds", str(path), "--successes", "trials"])
    assert both.exit_code == 0
    assert "all trials succeed" in both.stdout


def test_sizes_in_names_are_whole(table: Path, tmp_path: Path) -> None:
    wide = pd.read_csv(table).pivot(index="T", columns="L", values="U")
    path = tmp_path / "w.csv"
    wide.set_axis(["L=1,024", "L=2,048", "L=4,096", "L=8,192"], axis=1).to_csv(path)
    said = refused("crossings", path, "--control", "T", "--wide")
    assert "expected a column for each size, such as L=8" in said  # 1,024 was read as 24
    said = refused("crossings", path, "--control", "T", "--size", "T", "--wide")
    assert "--wide: expected different names" in said


def test_options_that_known_positions_do_not_take(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    pd.DataFrame({"L": [8, 16, 32, 64], "x": [1.2, 1.1, 1.05, 1.02], "e": 0.01}).to_csv(path)
    asked = ["extrema", str(path), "--size", "L", "--positions", "x", "--error", "e"]
    assert CliRunner().invoke(app, asked).exit_code == 0
    for more in (["--window", "0:1"], ["--exponent", "3"], ["--value", "x"]):
        done = CliRunner().invoke(app, asked + more)
        assert done.exit_code == 2
        assert "--positions: goes without --value, --window" in done.stderr
    assert CliRunner().invoke(app, [*asked, "--drop-zero-errors", "--sizes", ":64"]).exit_code == 0


def test_an_example_overwrites_nothing(tmp_path: Path) -> None:
    (path := tmp_path / "notes").write_bytes(b"\xff\xfe\x80")
    assert refused("example", "ising", "-o", path).startswith(f"{path}: exists and is another")
    assert path.read_bytes() == b"\xff\xfe\x80"
    assert "example must be one of" in refused("example", "../../x")


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("--sizes", "inf", "--sizes: expected whole numbers, got inf"),
        ("--sizes", "8.5", "--sizes: expected whole numbers, got 8.5"),
        ("--set", "replicates=inf", "replicates must be a whole number of 1 or more, got inf"),
        ("--set", "replicates=nan", "replicates must be a whole number of 1 or more, got nan"),
        ("--set", "sweeps=1.5", "sweeps must be a whole number of 1 or more, got 1.5"),
        ("--set", "replicates=-1", "replicates must be a whole number of 1 or more, got -1"),
        ("--sizes", "1e30", "a size must be at most 2^53, got 1e+30"),
        ("--sizes", "1e9", "size must be at most 32768, got 1e+09"),
        ("--set", "sweeps=1e30", "sweeps must be at most 2147483647, got 1e+30"),
        ("--set", "thermalisation=1e30", "thermalisation must be at most 2147483647, got 1e+30"),
        (
            "--set",
            "thermalisation=nan",
            "thermalisation must be a whole number of 0 or more, got nan",
        ),
    ],
)
def test_systems_of_no_size(option: str, text: str, expected: str, tmp_path: Path) -> None:
    asked = {"--sizes": "4", "--control": "0.4"} | {option: text}
    options = [word for pair in asked.items() for word in pair]
    assert refused("system", "ising2d", "-o", tmp_path / "s.csv", *options) == expected
    assert not (tmp_path / "s.csv").exists()
