"""The command: what it lists, trains, resumes and reports."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest

pytest.importorskip("torch")

from typer.testing import CliRunner

from heatcap.runfile import open_runs
from heatcap_trainer.cli import app
from heatcap_trainer.config import parse
from heatcap_trainer.cost import estimate
from heatcap_trainer.pool import work_through

CONFIG = """
[task]
p = 5

[record]
probe_size = 10
checkpoint_every = 20
state_seconds = 0.0

[stop]
max_steps = 40

[[sweep]]
seed = [0, 1]

[[sweep]]
seed = 0
control = "random_labels"
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


def invoke(*arguments):
    return CliRunner().invoke(app, ["run", *map(str, arguments)])


def test_dry_run_lists_and_trains_nothing(config, tmp_path):
    result = invoke(config, "-o", tmp_path / "out", "--dry-run")
    assert result.exit_code == 0
    assert "addition_p5_f0.7_wd1_seed1" in result.output
    assert "addition-random-labels_p5_f0.7_wd1_seed0" in result.output
    assert "3 runs, at most" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_trains_all_and_resume_skips_them(config, tmp_path):
    out = tmp_path / "out"
    result = invoke(config, "-o", out, "--device", "cpu", "--jobs", 1)
    assert result.exit_code == 0, result.output
    runs = open_runs(out)
    assert len(runs) == 3
    assert sorted(map(str, runs.table["control"].values)) == ["none", "none", "random_labels"]
    assert "addition_p5_f0.7_wd1_seed0: max_steps" in result.output
    again = invoke(config, "-o", out, "--device", "cpu")
    assert again.exit_code == 1
    assert "exists already, and 2 more; pass --resume" in again.output
    resumed = invoke(config, "-o", out, "--device", "cpu", "--resume")
    assert resumed.exit_code == 0
    assert "all 3 runs are finished" in resumed.output


@pytest.mark.slow
def test_resume_refuses_what_was_made_with_another_configuration(config, tmp_path):
    out = tmp_path / "out"
    assert invoke(config, "-o", out, "--device", "cpu", "--jobs", 1).exit_code == 0
    config.write_text(CONFIG.replace("checkpoint_every = 20", "checkpoint_every = 10"))
    result = invoke(config, "-o", out, "--device", "cpu", "--resume")
    assert result.exit_code == 1
    assert "seed0.h5: was made with another record.checkpoint_every" in result.output


def test_a_corrupt_state_is_an_error_that_names_the_file(config, tmp_path):
    from heatcap_trainer.config import load
    from heatcap_trainer.train import Paths, train

    def die(step):
        if step > 20:
            raise KeyError("die")

    first = load(config)[0]
    with pytest.raises(KeyError):
        train([first], tmp_path, report=die)
    state = Paths(tmp_path, first.name).state
    state.write_bytes(b"")
    result = invoke(config, "-o", tmp_path, "--device", "cpu", "--jobs", 1, "--resume")
    assert result.exit_code == 1
    assert f"error: {state}: not a readable state" in result.output


def test_errors_are_one_line_and_exit_status_one(config, tmp_path):
    config.write_text("[task]\nprime = 7\n")
    result = invoke(config, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "error: " in result.output
    assert "task.prime: unknown key" in result.output


def test_a_failed_run_does_not_lose_the_others(tmp_path):
    configs = parse({"task": {"p": 5}, "stop": {"max_steps": 3}, "sweep": [{"seed": [0, 1, 2]}]})
    (tmp_path / f"{configs[1].name}.h5").write_bytes(b"not a run file")
    work = [[c] for c in configs]
    events = list(work_through(work, tmp_path, jobs=1, device="cpu", resume=False))
    ends = {event.batch: event for event in events if event.kind != "step"}
    assert [ends[i].kind for i in range(3)] == ["done", "failed", "done"]
    assert "exists already" in ends[1].error


@pytest.mark.slow
def test_a_process_that_dies_does_not_lose_the_others(tmp_path):
    configs = parse(
        {"task": {"p": 5}, "sweep": [{"max_steps": 100_000}, {"seed": 1, "max_steps": 3}]}
    )
    events, ends = (
        work_through([[c] for c in configs], tmp_path, jobs=1, device="cpu", resume=False),
        {},
    )
    with closing(events):
        for event in events:
            if event.kind == "step" and event.batch == 0:
                os.kill(event.process, signal.SIGKILL)
            elif event.kind != "step":
                ends[event.batch] = event
    assert ends[0].kind == "failed"
    assert "status -9" in ends[0].error
    assert ends[1].kind == "done", ends[1].error


@pytest.mark.slow
def test_a_process_that_dies_between_two_batches_loses_the_second_alone(tmp_path):
    configs = parse({"task": {"p": 5}, "stop": {"max_steps": 3}, "sweep": [{"seed": [0, 1, 2]}]})
    before, ends = multiprocessing.active_children(), {}
    events = work_through([[c] for c in configs], tmp_path, jobs=1, device="cpu", resume=False)
    with closing(events):
        for event in events:
            if event.kind == "step":
                continue
            ends[event.batch] = event
            if event.batch == 0:
                (worker,) = set(multiprocessing.active_children()) - set(before)
                worker.kill()
                worker.join(30)
    assert [ends[i].kind for i in range(3)] == ["done", "failed", "done"]
    assert "status -9" in ends[1].error


@pytest.mark.slow
def test_ctrl_c_ends_cleanly_and_resume_goes_on(config, tmp_path):
    config.write_text(CONFIG.replace("max_steps = 40", "max_steps = 20000\nafter_onset = 1e9"))
    out = tmp_path / "out"
    # A shell starts what runs in its background with SIGINT ignored, and children inherit that.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heard}; from heatcap_trainer.cli import app; app()"]
    process = subprocess.Popen(
        [*command, "run", config, "-o", out, "--device", "cpu", "--jobs", "1"],
        stderr=subprocess.PIPE,
    )
    try:
        end = time.monotonic() + 600
        while not list(out.glob("state/*.safetensors")) and process.poll() is None:
            assert time.monotonic() < end, "no state was saved"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()  # its workers end at their next report
        process.wait(timeout=120)
        process.stderr.close()
    assert process.returncode == 130
    assert b"--resume" in said
    assert b"Traceback" not in said
    assert len(open_runs(out)) == 1


def test_help_is_fast_because_torch_is_not_imported():
    code = "import sys; import heatcap_trainer.cli; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_estimate_counts_what_is_written(tmp_path):
    from heatcap_trainer.train import train

    (config,) = parse({"task": {"p": 7}, "stop": {"max_steps": 300, "min_steps": 300}})
    train([config], tmp_path)
    found = (tmp_path / f"{config.name}.h5").stat().st_size
    assert 0.5 < estimate(config).bytes / found < 2
