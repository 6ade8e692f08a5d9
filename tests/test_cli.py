"""The command line: files in, files out, one line for what is wrong, the right exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from typer.testing import CliRunner

import heatcap
from heatcap.cli import app, bound_notes

from runs import create_run, logits_at, write_run
from synthetic import observables


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def test_help_and_version() -> None:
    assert run("--version") == (0, f"heatcap {heatcap.__version__}\n", "")
    status, text, _ = run("--help")
    assert status == 0
    for command in ("info", "validate", "observe", "events", "figure"):
        assert command in text


def test_wrong_usage_is_two() -> None:
    assert run("observe")[0] == 2
    assert run("nonsense")[0] == 2
    status, _, said = run("observe", "x", "-o", "y", "--temperature", "1,two")
    assert status == 2
    assert "expected numbers separated by commas, got '1,two'" in said
    status, _, said = run("observe", "x", "-o", "y", "--temperature", "2:1:3")
    assert status == 2
    assert "expected LOW:HIGH:COUNT with 0 < LOW < HIGH and COUNT > 1, got '2:1:3'" in said


def test_info_lists_what_is_there(tmp_path: Path) -> None:
    write_run(tmp_path / "a.h5", parameters={"p": 5, "fraction": 0.7})
    write_run(tmp_path / "b.h5", parameters={"p": 7, "fraction": 0.7}, reason="")
    status, text, _ = run("info", tmp_path)
    assert status == 0
    header, first, second = text.splitlines()
    assert header.split()[:3] == ["run", "p", "fraction"]
    assert first.split() == ["a", "5", "0.7", "1", "2", "25", "3", "5", "step", "limit"]
    assert second.endswith("(not finished)")


def test_a_bad_file_among_good_ones_is_status_one(tmp_path: Path) -> None:
    write_run(tmp_path / "a.h5")
    (tmp_path / "b.h5").write_text("no")
    for command in (["info"], ["observe", "-o", tmp_path / "obs.nc"]):
        status, _, said = run(*command, tmp_path)
        assert status == 1
        assert "b.h5: is not HDF5, expected a run file" in said
    assert heatcap.load(tmp_path / "obs.nc").run.values.tolist() == ["a"]


def test_validate(tmp_path: Path) -> None:
    write_run(tmp_path / "a.h5")
    assert run("validate", tmp_path) == (0, f"{tmp_path / 'a.h5'}: ok\n", "")
    (tmp_path / "b.h5").write_text("no")
    status, text, said = run("validate", tmp_path)
    assert (status, "a.h5: ok" in text, "b.h5: is not HDF5" in said) == (1, True, True)
    (tmp_path / "none").mkdir()
    assert run("validate", tmp_path / "none")[0] == 1


def test_observe_and_again(tmp_path: Path) -> None:
    write_run(tmp_path / "a.h5")
    out = tmp_path / "obs.nc"
    arguments = ("observe", tmp_path / "a.h5", "-o", out, "-j", 1, "--temperature", "0.5:2:3")
    status, text, _ = run(*arguments)
    assert status == 0
    assert "1 run, 5 checkpoints, 1 layer, 2 heads, 1 query, 3 temperatures" in text
    assert "of the bound that 3 visible keys set" in text
    first = heatcap.load(out)
    np.testing.assert_allclose(first.temperature, [0.5, 1, 2])
    assert run(*arguments)[0] == 0
    xr.testing.assert_identical(heatcap.load(out), first)
    status, _, said = run("observe", tmp_path / "a.h5", "-o", out, "--temperature", "0")
    assert (status, said) == (1, "heatcap: temperatures must be positive, got 0.0\n")


def test_a_foreign_output_is_not_overwritten(tmp_path: Path) -> None:
    write_run(tmp_path / "a.h5")
    status, _, said = run("observe", tmp_path / "a.h5", "-o", tmp_path / "a.h5")
    assert status == 1
    assert "holds no observables" in said
    assert heatcap.open_run(tmp_path / "a.h5").sizes["step"] == 5


def test_a_saturation_at_the_bound_is_named(tmp_path: Path) -> None:
    for p in (5, 7):
        write_run(tmp_path / f"p{p}.h5", parameters={"p": p})
    (note,) = bound_notes(heatcap.observe(tmp_path))
    assert "3 visible keys" in note
    assert "a height that saturates is no finding" in note
    (alone,) = bound_notes(heatcap.observe(tmp_path / "p5.h5"))
    assert "no finding" not in alone


def test_events_and_figures(tmp_path: Path) -> None:
    heatcap.save(observables(), tmp_path / "obs.nc")
    status, text, _ = run("events", tmp_path / "obs.nc", "-o", tmp_path / "events.csv")
    assert status == 0
    table = pd.read_csv(tmp_path / "events.csv")
    assert f"{len(table)} rows" in text
    assert {"rank", "peak_step", "onset_step", "lead_steps", "censored"} <= set(table.columns)
    status, text, _ = run("figure", "evolution", tmp_path / "obs.nc", "-o", tmp_path / "evo.pdf")
    assert status == 0
    assert (tmp_path / "evo.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "evo.png").read_bytes().startswith(b"\x89PNG")
    figure = ("figure", "evolution", tmp_path / "obs.nc", "-o", tmp_path / "control.png")
    status, text, _ = run(*figure, "--group", "random_labels", "--sizes", "43")
    assert (status, (tmp_path / "control.pdf").exists()) == (0, True)
    status, _, said = run(*figure, "--sizes", "44")
    assert (status, "sizes must be among" in said) == (1, True)
    status, _, said = run("events", tmp_path / "obs.nc", "-o", "x.csv", "--observable", "entropie")
    assert status == 1
    assert "observables lack entropie" in said


def test_scan_needs_a_scan(tmp_path: Path) -> None:
    write_run(tmp_path / "a.h5")
    run("observe", tmp_path / "a.h5", "-o", tmp_path / "obs.nc")
    status, _, said = run("figure", "scan", tmp_path / "obs.nc", "-o", tmp_path / "scan.pdf")
    assert status == 1
    assert "temperature" in said
    assert not (tmp_path / "scan.pdf").exists()


def test_the_installed_command_answers() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "heatcap", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "observe" in done.stdout


def test_a_run_without_metrics_is_drawn_and_not_called_censored(tmp_path: Path) -> None:
    with create_run(tmp_path / "run.h5") as writer:
        for step in range(8):
            writer.append(step, logits_at(step))
    assert run("observe", tmp_path / "run.h5", "-o", tmp_path / "obs.nc")[0] == 0
    assert run("events", tmp_path / "obs.nc", "-o", tmp_path / "events.csv")[0] == 0
    table = pd.read_csv(tmp_path / "events.csv")
    assert not table.censored.any()
    assert set(table.message) == {"no test accuracy in the record"}
    assert run("figure", "evolution", tmp_path / "obs.nc", "-o", tmp_path / "evo.pdf")[0] == 0
