"""Workers with limits: whatever a file does to the process that reads it costs that file alone."""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import warnings
from multiprocessing.connection import wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import heatcap
from heatcap.cli import app
from heatcap.cli.application import plain_errors
from heatcap.runfile import RunFileError, open_runs, quarantine, reader, validate_run
from heatcap.runfile.quarantine import (
    UNLIMITED,
    Limits,
    for_contents,
    in_worker,
    in_workers,
)

from runs import write_run


def behave(file: str, *, how: str = "") -> int:
    """What a file named so does to whoever reads it; the process that did."""
    how = how or Path(file).stem
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(3)
    if how == "hang":
        signal.pause()
    if how == "large":
        np.ones(1 << 29)
    if how == "strange":
        raise AssertionError("never seen")
    if how == "unpicklable":
        return lambda: 0  # type: ignore[return-value]
    return os.getpid()


def warn(file: str) -> None:
    for category in (UserWarning, RuntimeWarning, UserWarning):
        warnings.warn(file, category, stacklevel=2)


def lower_limit(_: str) -> int:
    """The limit of memory inside of `_memory`, where the user has set a lower one."""
    import resource

    now = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 40, now[1]))
    try:
        with quarantine._memory(1 << 42):
            return resource.getrlimit(resource.RLIMIT_AS)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_AS, now)


FATE = {
    "crash": r"crash.h5: reading it killed the worker process \(signal 11, SIGSEGV\)",
    "killed": r"killed.h5: .*\(signal 9, SIGKILL, perhaps for lack of memory\)",
    "exit": r"exit.h5: reading it ended the worker process \(exit status 3\)",
    "hang": "hang.h5: reading it took longer than 0.5 s",
    "large": "large.h5: reading it takes more memory than it may",
    "strange": "strange.h5: AssertionError: never seen",
    "unpicklable": "unpicklable.h5: .*pickle",
}


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_what_kills_a_worker_costs_its_file_alone(jobs: int) -> None:
    names = [name for bad in FATE for name in (bad, "good")]
    limits = {"hang": Limits(0.5), "large": Limits(memory=1 << 30)}
    tasks = [(f"{name}.h5",) for name in names]
    found = dict(in_workers(behave, tasks, [limits.get(n, UNLIMITED) for n in names], jobs))
    assert sorted(found) == list(range(len(names)))
    for number, name in enumerate(names):
        if name == "good":
            assert isinstance(found[number], int)
        else:
            assert isinstance(found[number], RunFileError)
            assert re.match(FATE[name], str(found[number]))


def test_one_worker_lives_through_calls() -> None:
    first = in_worker(behave, "good.h5", limits=UNLIMITED)
    assert first != os.getpid()
    assert in_worker(behave, "good.h5", limits=Limits(60, 1 << 30)) == first
    with pytest.raises(RunFileError, match=r"strange.h5"):
        in_worker(behave, "strange.h5", limits=UNLIMITED)
    assert in_worker(behave, "good.h5", limits=UNLIMITED) == first
    os.kill(first, signal.SIGKILL)  # while it is idle: the next file is not to blame
    assert in_worker(behave, "good.h5", limits=UNLIMITED) != first


def test_no_worker_outlives_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        for number, _ in in_workers(behave, [("good.h5",), ("hang.h5",)], [UNLIMITED] * 2, 2):
            assert number == 0
            raise KeyboardInterrupt
    gc.collect()  # of the generator, which nobody else can close
    assert len(multiprocessing.active_children()) == len(quarantine._idle) == 1


def test_workers_done_at_once_take_the_tasks_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_done(busy: list[Any]) -> list[Any]:
        return [worker for worker in busy if wait([worker.pipe])]

    monkeypatch.setattr(quarantine, "_ready", all_done)
    found = dict(in_workers(behave, [("good.h5",)] * 6, [UNLIMITED] * 6, 2))
    assert len(found) == 6
    assert len(set(found.values())) == 2
    assert len(quarantine._idle) == 1


@pytest.mark.slow
def test_a_worker_reads_where_the_program_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        for name in "ab":
            write_run(tmp_path / str(seed) / f"{name}.h5", seed=seed, parameters={"of": name})
    for seed in range(2):
        monkeypatch.chdir(tmp_path / str(seed))
        runs = open_runs(["a.h5", "b.h5"], untrusted=True)
        assert [header.seed for header in runs.headers] == [seed, seed]
        expected = heatcap.observe(".")
        xr.testing.assert_identical(heatcap.observe(["a.h5", "b.h5"], jobs=2), expected)
        xr.testing.assert_identical(heatcap.observe(runs), expected)
        with runs[0] as whole, heatcap.open_run("a.h5") as lazy:
            xr.testing.assert_identical(whole, lazy.load())


def test_warnings_of_a_worker_are_given_by_the_program(capfd: pytest.CaptureFixture[str]) -> None:
    while quarantine._idle:  # they write where the tests before them did
        quarantine._idle.pop().kill()
    with pytest.warns((UserWarning, RuntimeWarning), match="text") as told:
        in_worker(warn, "text.h5", limits=UNLIMITED)
    assert [one.category for one in told] == [UserWarning, RuntimeWarning]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with plain_errors():
            in_worker(warn, "\x1b[31mred.h5", limits=UNLIMITED)
            in_worker(behave, "good.h5", limits=UNLIMITED)  # none is told again
    assert capfd.readouterr().err == 2 * "warning: \\x1b[31mred.h5\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(3):
        write_run(tmp_path / f"seed{seed}.h5", seed=seed, parameters={"seed": seed})
    (tmp_path / "bad.h5").write_text("no HDF5")
    return tmp_path


@pytest.mark.filterwarnings("ignore:left out")
def test_untrusted_files_give_what_trusted_ones_give(folder: Path) -> None:
    trusted, untrusted = open_runs(folder), open_runs(folder, untrusted=True)
    assert untrusted.headers == trusted.headers
    assert [*map(str, untrusted.problems)] == [*map(str, trusted.problems)]
    expected = heatcap.observe(trusted)
    xr.testing.assert_identical(heatcap.observe(untrusted), expected)
    xr.testing.assert_identical(heatcap.observe(folder, untrusted=True, jobs=2), expected)
    with untrusted[0] as whole, trusted[0] as lazy:
        xr.testing.assert_identical(whole, lazy.load())
    assert untrusted.select(seed=1).untrusted
    for path in folder.glob("seed*.h5"):
        assert validate_run(path, untrusted=True) == []
    with pytest.raises(RunFileError, match=r"bad.h5: is not HDF5"):
        validate_run(folder / "bad.h5", untrusted=True)


def test_an_untrusted_run_is_not_read_whole_when_it_is_large(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "LARGEST_WHOLE", 1000)
    with pytest.raises(RunFileError, match=r"run.h5: its logits have 3000 bytes"):
        reader._load_run(run_path)


def test_a_hanging_file_is_named(folder: Path) -> None:
    with pytest.raises(RunFileError, match=r"seed0.h5: reading it took longer than 0 s"):
        validate_run(folder / "seed0.h5", untrusted=Limits(seconds=0))


def test_an_untrusted_run_with_a_foreign_journal_is_warned_of(folder: Path) -> None:
    (folder / "bad.h5").unlink()
    (folder / "seed1.h5.journal").write_bytes(b"?")
    with pytest.warns(UserWarning, match=r"left alone: .*seed1.h5.journal"):
        runs = open_runs(folder, untrusted=True)
    with pytest.warns(UserWarning, match=r"left alone: .*seed1.h5.journal"):
        runs[1].close()


def test_limits_grow_with_what_is_stored_up_to_a_ceiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse, dense = tmp_path / "sparse.h5", tmp_path / "dense.h5"
    dense.write_bytes(bytes(3 << 20))
    with open(sparse, "wb") as file:
        file.write(bytes(1 << 20))
        file.truncate(1 << 40)
    assert for_contents(True, dense, 2) == Limits(66, (2 << 30) + (12 << 20))
    assert for_contents(True, sparse).seconds < 63
    assert for_contents(True, sparse).memory < 3 << 30
    assert for_contents(True, tmp_path / "none.h5") == Limits(60, 2 << 30)
    monkeypatch.setattr(quarantine, "stored_bytes", lambda _: 1 << 50)
    assert for_contents(True, dense) == Limits(6 * 3600, 16 << 30)
    assert for_contents(Limits(1e6), dense) == Limits(1e6)


def test_a_lower_limit_of_the_user_stays() -> None:
    assert in_worker(lower_limit, "good.h5", limits=UNLIMITED) == 1 << 40


class Broken:
    """A pipe whose other end died with words unread or half-said."""

    def send(self, _: Any) -> None:
        raise ConnectionResetError

    def poll(self) -> bool:
        return True

    def recv(self) -> Any:
        raise OSError("got end of file during message")

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (-15, "killed the worker process (signal 15, SIGTERM)"),
        (-40, "killed the worker process (signal 40)"),
        (3221225477, "ended the worker process (exit status 3221225477)"),
    ],
)
def test_a_worker_that_dies_in_a_message_is_told_by_its_end(
    monkeypatch: pytest.MonkeyPatch, status: int, told: str
) -> None:
    monkeypatch.delattr(signal, "SIGKILL")  # as on Windows
    done = lambda: None  # noqa: E731
    worker: Any = object.__new__(quarantine._Worker)
    worker.alive, worker._new, worker.pipe = True, False, Broken()
    worker._process = SimpleNamespace(join=done, kill=done, close=done, exitcode=status)
    worker.begin(0, behave, ("a.h5",), UNLIMITED)
    worker._begun = True
    assert str(worker.outcome()) == f"a.h5: reading it {told}"


ORPHAN = """
import os, signal
from heatcap.runfile.quarantine import UNLIMITED, in_worker

def orphan(file):
    parent = os.getppid()
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent:
        pass

if __name__ == "__main__":
    in_worker(orphan, "a.h5", limits=UNLIMITED)
"""


def test_a_worker_whose_program_was_killed_ends_in_silence(tmp_path: Path) -> None:
    (tmp_path / "orphan.py").write_text(ORPHAN)
    done = subprocess.run(
        [sys.executable, tmp_path / "orphan.py"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")


KILLED = """
import os, signal, warnings
from pathlib import Path
import heatcap
from heatcap.observables import observing

real = observing._observe_run

def mortal(path, options):
    if path.name == "seed1.h5":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(path, options)

observing._observe_run = mortal  # in the workers too: they import this file

if __name__ == "__main__":
    import sys
    warnings.simplefilter("ignore")
    told = []
    obs = heatcap.observe(sys.argv[1], jobs=2, progress=lambda *now: told.append(now))
    print(obs.run.values.tolist(), told, obs.attrs["problems"])
"""


@pytest.mark.slow
def test_a_worker_killed_while_it_observes_loses_its_own_file(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for seed in range(4):
        write_run(runs / f"seed{seed}.h5", seed=seed)
    (tmp_path / "killed.py").write_text(KILLED)
    done = subprocess.run(
        [sys.executable, tmp_path / "killed.py", runs], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "['seed0', 'seed2', 'seed3'] [(1, 4), (2, 4), (3, 4), (4, 4)]" in done.stdout
    assert "seed1.h5: reading it killed the worker process (signal 9, SIGKILL" in done.stdout


def test_a_script_without_a_guard_is_told_so(folder: Path) -> None:
    program = folder / "script.py"
    program.write_text(
        f"import heatcap\nheatcap.observe({str(folder / 'seed0.h5')!r}, untrusted=True)\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert "keep what it runs under `if __name__ == '__main__':`" in done.stderr


def test_commands_take_untrusted_files(folder: Path) -> None:
    told = CliRunner().invoke(app, ["info", "--untrusted", str(folder / "seed0.h5")])
    assert told.exit_code == 0
    assert "seed0" in told.output
    told = CliRunner().invoke(app, ["validate", "--untrusted", str(folder)])
    assert told.exit_code == 1
    assert "seed2.h5: ok" in told.output
    out = folder / "obs.nc"
    CliRunner().invoke(app, ["observe", "--untrusted", str(folder / "seed0.h5"), "-o", str(out)])
    assert heatcap.load(out).sizes["run"] == 1
