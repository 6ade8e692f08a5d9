"""The command line: files in, files out, one line for what is wrong, the right exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

import heatcap
from heatcap.cli import app, bound_notes

from runs import create_run, logits_at, seal_a_commit, write_run
from synthetic import observables, sweep


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


def test_too_little_memory_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: object, **__: object) -> None:
        np.empty(1 << 50)

    write_run(tmp_path / "run.h5")
    monkeypatch.setattr(heatcap.observables, "observe", greedy)
    status, _, said = run("observe", tmp_path / "run.h5", "-o", tmp_path / "o.nc")
    assert (status, said.count("\n")) == (1, 1)
    assert "heatcap: not enough memory: Unable to allocate 8.00 PiB" in said


def test_wrong_usage_is_two() -> None:
    assert run("observe")[0] == 2
    assert run("nonsense")[0] == 2
    status, _, said = run("observe", "x", "-o", "y", "--temperature", "1,two")
    assert status == 2
    assert "expected numbers separated by commas, got '1,two'" in said
    status, _, said = run("observe", "x", "-o", "y", "--time", "log")
    assert status == 2
    assert "needs --geometry" in said
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
    write_run(tmp_path / "b.h5")
    for output, wrong in (("a.h5", "is an input"), ("b.h5", "holds no observables")):
        status, _, said = run("observe", tmp_path / "a.h5", "-o", tmp_path / output)
        assert status == 1
        assert wrong in said
        assert heatcap.open_run(tmp_path / output).sizes["step"] == 5


def test_a_saturation_at_the_bound_is_named(tmp_path: Path) -> None:
    for p in (5, 7):
        write_run(tmp_path / f"p{p}.h5", parameters={"p": p})
    (note,) = bound_notes(heatcap.observe(tmp_path))
    assert "3 visible keys" in note
    assert "a height that saturates is no finding" in note
    (alone,) = bound_notes(heatcap.observe(tmp_path / "p5.h5"))
    assert "no finding" not in alone


@pytest.mark.slow
def test_events_and_figures(tmp_path: Path) -> None:
    plans = sweep(primes=(19, 43), seeds=2, controls=(43,))
    heatcap.save(observables(plans), tmp_path / "obs.nc")
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
    assert "observables lack entropie; they have" in said
    missing = run("events", tmp_path / "obs.nc", "-o", "x.csv", "--observable", "fisher_speed")
    assert "make them with `heatcap observe --geometry`" in missing[2]


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


# ---- scalars that others logged, and the audit ---------------------------------------------

COLUMNS = (
    "step=epoch,train_loss=train_loss,test_loss=val_loss,train_accuracy=train_acc,"
    "test_accuracy=val_acc,observable=cv"
)
LISTED = [
    *("run", "observable", "layer", "head", "rank", "peak_step", "peak_height", "prominence"),
    *("at_spike", "memorisation_step", "onset_step", "censored", "lead_steps"),
]


def table(path: Path, *, lead: float = 0.5, seed: int = 0, last: int = 3000) -> Path:
    """What another trainer logged: onset at 900, a peak a factor e^lead before it."""
    rng = np.random.default_rng(seed)
    epoch = np.arange(0, last, 5)
    x = np.log(np.maximum(epoch, 0.5))
    onset = np.log(900) + 0.2 * rng.normal()
    memorised = np.log(90) + 0.1 * rng.normal()
    peak = onset - lead + 0.1 * rng.normal()
    rise = 1 / (1 + np.exp(-(x - onset) / 0.08))
    pd.DataFrame(
        {
            "epoch": epoch,
            "train_loss": 1e-4 + 4 * np.exp(-epoch / 60),
            "val_loss": 5 * (1 - rise),
            "train_acc": np.clip(0.99 + 0.6 * (x - memorised), 0.01, 1),
            "val_acc": 0.02 + 0.97 * rise,
            "cv": np.exp(-0.5 * ((x - peak) / 0.3) ** 2) + 0.02 * rng.normal(size=x.size),
        }
    ).to_csv(path, index=False)
    return path


def test_tables_go_through_events_and_audit(tmp_path: Path) -> None:
    paths = [table(tmp_path / f"run{seed}.csv", seed=seed) for seed in range(8)]
    out, audit = tmp_path / "events.csv", tmp_path / "audit.json"
    status, text, _ = run("events", *paths, "--columns", COLUMNS, "-o", out, "--json", audit)
    assert status == 0
    found = pd.read_csv(out)
    assert found.columns[: len(LISTED)].tolist() == LISTED
    assert found["run"].tolist() == [f"run{seed}" for seed in range(8)]
    assert (np.log(found["onset_step"] / found["peak_step"]) - 0.5).abs().max() < 0.4
    content = json.loads(audit.read_text())
    assert content["schema_version"] == 1
    assert content["command"].startswith("heatcap")
    assert len(content["inputs"]) == 8
    assert set(content["versions"]) >= {"heatcap", "numpy", "statsmodels"}
    cv = content["observables"]["cv"]
    assert (cv["runs"], cv["censored"]) == (8, 0)
    assert cv["precedes"]["share"] == 1
    assert cv["precedes"]["sign_p"] < 0.01
    assert cv["precedes"]["phase_null_p"] < 0.05
    low, high = cv["median_lead"]["ci95"]
    assert low < cv["median_lead"]["value"] < high
    assert cv["controls"]["verdict"] == "not tested"
    assert not cv["bound"]["tested"]
    assert not cv["offset"]["tested"]
    assert any("controls" in line for line in content["not_tested"])
    assert cv["conclusion"] in " ".join(text.split())
    assert "no control was tested" in cv["conclusion"]


def test_a_bad_table_among_good_ones_is_status_one_and_the_others_go_on(tmp_path: Path) -> None:
    good = [table(tmp_path / f"run{seed}.csv", seed=seed) for seed in range(2)]
    bad = tmp_path / "bad.csv"
    bad.write_text("epoch,train_loss,val_loss,train_acc,val_acc,cv\n1,1,1,0,0,1\n2,x,1,0,0,1\n")
    out, audit = tmp_path / "events.csv", tmp_path / "audit.json"
    status, _, said = run("events", bad, *good, "--columns", COLUMNS, "-o", out, "--json", audit)
    assert status == 1
    assert "bad.csv: row 3, column 'train_loss': expected a number, got 'x'" in said
    assert pd.read_csv(out)["run"].unique().tolist() == ["run0", "run1"]
    assert any("bad.csv" in line for line in json.loads(audit.read_text())["problems"])


def test_tables_and_observables_are_not_mixed(tmp_path: Path) -> None:
    first = table(tmp_path / "a.csv")
    obs = tmp_path / "obs.nc"
    heatcap.save(observables(sweep(primes=(43,), seeds=1), scan=False), obs)
    out = tmp_path / "events.csv"
    status, _, said = run("events", first, obs, "--columns", COLUMNS, "-o", out)
    assert status == 2
    assert "expected one OBS.nc or tables" in said
    assert run("events", first, "-o", out)[0] == 2
    status, _, said = run("events", obs, "--columns", COLUMNS, "-o", out)
    assert status == 2
    assert "is for tables" in said
    status, _, said = run("events", first, "--columns", "step=epoch,speed=cv", "-o", out)
    assert status == 2
    assert "'speed' is no meaning of a column" in said
    assert not out.exists()


def test_nothing_that_was_read_is_overwritten(tmp_path: Path) -> None:
    first = table(tmp_path / "a.csv")
    before = first.read_bytes()
    status, _, said = run("events", first, "--columns", COLUMNS, "-o", first)
    assert status == 1
    assert "a.csv: is an input, expected another output" in said
    out = tmp_path / "events.csv"
    status, _, said = run("events", first, "--columns", COLUMNS, "-o", out, "--json", out)
    assert "is another output" in said
    status, _, said = run("events", first, "--columns", COLUMNS, "-o", tmp_path / "no" / "e.csv")
    assert "there is no folder" in said
    assert first.read_bytes() == before
    assert not out.exists()


@pytest.mark.slow
def test_the_audit_of_observables_is_written_whole(tmp_path: Path) -> None:
    obs, audit = tmp_path / "obs.nc", tmp_path / "audit.json"
    heatcap.save(observables(sweep(primes=(19, 43, 89), controls=(43,)), scan=False), obs)
    out = tmp_path / "events.csv"
    status, text, _ = run("events", obs, "-o", out, "--json", audit)
    assert status == 0
    content = json.loads(audit.read_text())
    assert list(content["observables"]) == [
        "heat_capacity",
        "landscape_heat_capacity",
        "landscape_heat_capacity_fixed",
        "total_heat_capacity",
        "unweighted_heat_capacity",
        "offset_heat_capacity",
    ]
    for lead in content["observables"].values():
        assert lead["conclusion"] in " ".join(text.split())
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_repair_finishes_what_validate_points_out(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5")
    seal_a_commit(path)
    status, text, _ = run("validate", path)
    assert status == 0
    assert text.startswith(f"{path}: ok\n")
    assert "its last commit is in its journal; heatcap repair finishes it" in text
    assert run("repair", tmp_path)[:2] == (0, f"{path}: finished the last commit\n")
    assert run("repair", path)[:2] == (0, f"{path}: nothing to do\n")
    assert "journal" not in run("validate", path)[1]
    link = tmp_path / "folder" / "link.h5"
    link.parent.mkdir()
    link.symlink_to(path)
    seal_a_commit(path, 100)
    status, _, said = run("repair", link)
    assert status == 1
    assert said.startswith(f"{link}: cannot be written")
