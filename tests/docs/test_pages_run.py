"""Pages that show what comes out: it does."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from pages import ROOT, blocks
from typer.testing import CliRunner

import heatcap
from heatcap.cli import app

pytestmark = pytest.mark.slow


def folded(text: str) -> str:
    return " ".join(text.split())


def test_start_shows_what_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = 0
    for kind, text in blocks(ROOT / "docs" / "start.md"):
        if kind == "text":
            Path("heights.csv").write_text(text)
        if kind != "console":
            continue
        command, shown = text.replace("\\\n", "").removeprefix("$ heatcap ").split("\n", 1)
        done = CliRunner().invoke(app, shlex.split(command))
        assert done.exit_code == 0
        assert folded(done.stdout) == folded(shown)
        ran += 1
    assert ran == 2
    assert {path.name for path in tmp_path.iterdir()} == {
        *("heights.csv", "verdict.json", "verdict.pdf", "verdict.png", "verdict.caption.txt"),
    }


def test_the_loop_with_a_recorder_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    (code,) = [
        text for kind, text in blocks(ROOT / "docs" / "howto" / "record.md") if kind == "python"
    ]
    exec(compile(code, "record.md", "exec"), {"__name__": "record"})
    run = heatcap.open_run("run.h5")
    assert dict(run.logits.sizes) == {
        **{"step": 12, "layer": 1, "head": 2, "probe": 49, "query": 3, "key": 3},
    }
    assert run["train_loss"][0] > run["train_loss"][-1]
    assert run.attrs["stop_reason"] == "end of loop"
    observed = heatcap.observe("run.h5", jobs=1)
    assert float(observed["heat_capacity"].max()) <= float(observed["heat_capacity_bound"].max())


def test_saved_checkpoints_become_a_run_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "howto" / "checkpoints.md"
    (code,) = [text for kind, text in blocks(page) if kind == "python"]
    exec(compile(code, "checkpoints.md", "exec"), {"__name__": "checkpoints"})
    run = heatcap.open_run("run.h5")
    assert run["step"].values.tolist() == [0, 10, 30, 100, 300]
    # Weights grow from file to file, so each was loaded, and in the order of the steps.
    spread = run.logits.std(["layer", "head", "probe", "query", "key"]).values
    assert (spread[1:] > spread[:-1]).all()
    assert {"train_accuracy", "test_accuracy"} <= set(run.data_vars)


def test_a_folder_of_checkpoints_is_pointed_to_their_page(tmp_path: Path) -> None:
    (tmp_path / "step_10.pt").write_bytes(b"")
    for command in ("info", "validate"):
        done = CliRunner().invoke(app, [command, str(tmp_path)])
        assert done.exit_code == 1
        assert "step_10.pt looks like a checkpoint of weights" in done.stderr
        assert "see 'from saved checkpoints' in the documentation" in done.stderr
    index = (ROOT / "docs" / "howto" / "index.md").read_text(encoding="utf-8")
    assert "[From saved checkpoints](checkpoints.md)" in index
