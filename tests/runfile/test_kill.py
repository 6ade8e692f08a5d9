"""kill -9 at any instant: the file opens, and holds every checkpoint that was complete."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import re
import shutil
import socket
import stat
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forgetful_disk import ForgetfulDisk

from heatcap.observables import observe
from heatcap.runfile import (
    LogitReader,
    RunFileError,
    RunWriter,
    commit_waits,
    open_run,
    open_runs,
    read_header,
    repair_run,
    validate_run,
)
from heatcap.runfile import journal as journal_module
from heatcap.runfile.journal import JournaledFile, Locked, committed, journal_path, repair

from runs import create_run, logits_at, seal_a_commit, snapshot, write_run

MORTAL_WRITER = Path(__file__).with_name("mortal_writer.py")


def deaths(path: Path, *how: str) -> list[dict[str, Any]]:
    create_run(path).close()
    done = subprocess.run(
        [sys.executable, str(MORTAL_WRITER), str(path), *how],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("writers", [50, pytest.param(200, marks=pytest.mark.statistical)])
def test_writers_that_are_killed(tmp_path: Path, writers: int) -> None:
    """One file through writers killed at random instants, each going on where one died."""
    path = tmp_path / "run.h5"
    told = deaths(path, "by-signal", str(writers))
    assert len(told) == writers
    for death in told:
        assert death["steps"] == list(range(len(death["steps"])))
        # All that was promised is there, and at most the one commit that was under way.
        assert death["promised"] <= death["steps"][-1] <= death["promised"] + 1
    check_contents(path, len(told[-1]["steps"]))


def test_death_at_each_write_of_a_commit(tmp_path: Path) -> None:
    """No instant is left to luck: before the seal the old state is kept, after it the new."""
    path = tmp_path / "run.h5"
    told = deaths(path, "at-write")
    *died, last = told
    assert not last["died"]
    assert len(died) >= 5  # raw data, the journal, and several pages
    assert all(death["died"] for death in died)
    lengths = [0, *(len(death["steps"]) for death in told)]
    gained = np.diff(lengths)
    # Nothing before the journal is sealed, one checkpoint from then on.
    assert set(gained) == {0, 1}
    assert (np.diff(gained) >= 0).all()
    check_contents(path, len(last["steps"]))


def check_contents(path: Path, steps: int) -> None:
    with open_run(path) as run:
        assert run.step.values.tolist()[-1] - run.step.values.tolist()[0] + 1 == steps
        np.testing.assert_array_equal(run.train_loss, run.metric_step)
        for step in run.step.values:
            np.testing.assert_array_equal(run.logits.sel(step=step), logits_at(step))
    assert validate_run(path) == []
    repair_run(path)
    assert validate_run(path) == []
    assert not journal_path(path).exists()


def test_a_torn_journal_is_ignored_and_a_sealed_one_is_laid_over(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(bytes(10_000))
    file = JournaledFile(path, run_id="run")
    file.seek(4000)
    file.write(b"x" * 200)
    file.seek(9_990)
    file.write(b"y" * 50)
    file._write_journal(file._change().sealed())
    sealed = journal_path(path).read_bytes()
    file.close()
    before = path.read_bytes()
    assert before[:10_000] == bytes(10_000)  # nothing inside the committed part was touched

    for torn in (sealed[:-1], sealed[:40], sealed[:16], sealed[:7], b"", sealed[:-1] + b"!"):
        journal_path(path).write_bytes(torn)
        assert committed(path) is None
        assert not repair(path, "run")
        assert path.read_bytes() == before
        assert not journal_path(path).exists()

    journal_path(path).write_bytes(sealed)
    overlay = committed(path)
    assert overlay is not None
    seen = overlay.read()
    overlay.close()
    assert seen[4000:4200] == b"x" * 200
    assert seen[9_990:] == b"y" * 50
    assert path.read_bytes() == before
    assert journal_path(path).read_bytes() == sealed

    assert repair(path, "run")
    assert path.read_bytes() == seen
    assert not journal_path(path).exists()


@pytest.mark.parametrize("torn", range(0, 4096 * 3 + 1, 512))
def test_a_commit_that_was_applied_in_part_is_finished(tmp_path: Path, torn: int) -> None:
    """A power cut leaves any of the sectors written and the others not."""
    path = tmp_path / "bytes"
    path.write_bytes(bytes(12_000))
    file = JournaledFile(path, run_id="run")
    for at in range(0, 12_000, 700):
        file.seek(at)
        file.write(b"z" * min(300, 12_000 - at))
    change = file._change()
    file._write_journal(change.sealed())
    file.close()
    after = bytearray(12_000)
    for number, page in change.pages.items():
        after[number * 4096 : number * 4096 + len(page.content)] = page.content
    partly = bytearray(after)
    partly[torn : torn + 1024] = bytes(len(partly[torn : torn + 1024]))
    path.write_bytes(partly)
    seen = committed(path)
    with seen if seen is not None else path.open("rb") as whole:
        assert whole.read() == after
    repair(path, "run")
    assert path.read_bytes() == after


def test_reads_see_what_was_written_but_not_committed(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(256)) * 40)
    reference, draw = bytearray(path.read_bytes()), random.Random(3)
    file = JournaledFile(path, run_id="run")
    for _ in range(300):
        at, length = draw.randrange(12_000), draw.randrange(1, 9_000)
        data = draw.randbytes(length)
        file.seek(at)
        file.write(data)
        reference.extend(bytes(max(0, at + length - len(reference))))
        reference[at : at + length] = data
        at, length = draw.randrange(len(reference)), draw.randrange(9_000)
        file.seek(at)
        assert file.read(length) == bytes(reference[at : at + length])
        if draw.random() < 0.1:
            file.commit()
            assert path.read_bytes() == bytes(reference)
    file.commit()
    file.close()
    assert path.read_bytes() == bytes(reference)


def test_a_live_writer_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with create_run(path) as run:
        run.append(0, logits_at(0))
        with pytest.raises(Locked, match=r"run.h5.journal is locked: another process"):
            repair(path, "run")
        with pytest.raises(RunFileError, match=r"run.h5: another process is writing this run"):
            repair_run(path)
        assert read_header(path).checkpoints == 1
        run.append(1, logits_at(1))
    assert read_header(path).checkpoints == 2


def test_a_foreign_journal_is_named_and_left_alone(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5")
    journal_path(path).write_bytes(b"not a journal, but longer than its header" * 3)
    check_left_alone(path, "is no journal that this heatcap writes", 5)


def test_a_journal_of_another_run(tmp_path: Path) -> None:
    path, other = (write_run(tmp_path / name) for name in ("in/run.h5", "other.h5"))
    seal_a_commit(other)
    shutil.copy(journal_path(other), journal_path(path))
    check_left_alone(path, "is of another state of run.h5", 5)


def test_a_journal_that_names_another_run(tmp_path: Path) -> None:
    """The same bytes under another identity: only the name in the journal tells."""
    path = write_run(tmp_path / "run.h5")
    seal_a_commit(path)
    with journal_path(path).open("rb", buffering=0) as journal:
        change = journal_module._read_change(journal, path)
    journal_path(path).write_bytes(dataclasses.replace(change, run_id="other").sealed())
    check_left_alone(path, "is of the run 'other', not of 'run'", 5)


def test_a_restored_backup_beside_a_stale_journal_stays_what_it_is(tmp_path: Path) -> None:
    path, backup = write_run(tmp_path / "run.h5", reason=""), tmp_path / "backup"
    for step in (5, 6):
        shutil.copy(path, backup)
        with RunWriter.resume(path) as run:
            run.append(step, logits_at(step))
    seal_a_commit(path)
    shutil.copy(backup, path)
    check_left_alone(path, "is of another state of run.h5", 6)


def test_a_shorter_file_beside_a_journal(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5")
    committed_bytes = path.read_bytes()
    seal_a_commit(path)
    path.write_bytes(committed_bytes)  # as after a copy that took no part of the last commit
    check_left_alone(path, "is of another state of run.h5: the file has .* bytes, and had", 5)


def test_a_journal_for_a_hole_of_a_file(tmp_path: Path) -> None:
    """Neither the file nor its journal takes any place, and both would take memory."""
    path = write_run(tmp_path / "run.h5")
    seal_a_commit(path)
    for name, length in ((path, 1 << 31), (journal_path(path), 1 << 30)):
        with name.open("r+b") as file:
            file.truncate(length)
    with pytest.warns(UserWarning, match="journal: has 1073741824 bytes, expected up to 6"):
        assert open_runs(path).headers[0].checkpoints == 5


def check_left_alone(path: Path, told: str, checkpoints: int) -> None:
    before = snapshot(path.parent)
    with pytest.warns(UserWarning, match=f"left alone: .*journal: {told}"):
        assert open_runs(path.parent).headers[0].checkpoints == checkpoints
    with pytest.warns(UserWarning, match=told), open_run(path) as run:
        assert run.sizes["step"] == checkpoints
    (problem,) = validate_run(path)
    assert re.search(f"left alone: .*{told}", problem)
    assert snapshot(path.parent) == before
    for change in (repair_run, RunWriter.resume):
        with pytest.raises(RunFileError, match=f"run.h5: is not changed.*{told}"):
            change(path)
    assert contents(path.parent) == {name: seen[-1] for name, seen in before.items()}


def test_a_page_outside_the_file_is_an_error(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5")
    seal_a_commit(path)
    with journal_path(path).open("rb", buffering=0) as journal:
        change = journal_module._read_change(journal, path)
    page = next(iter(change.pages.values()))
    for number in (change.before // 4096 + 1, 1 << 40):
        bad = dataclasses.replace(change, pages={number: page})
        journal_path(path).write_bytes(bad.sealed())
        check_refused(path, "has a page of 4096 bytes at")


def test_a_journal_larger_than_its_file_can_need(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5")
    with journal_path(path).open("wb") as journal:
        journal.truncate(1 << 40)  # sparse; nobody reads it
    check_left_alone(path, "has 1099511627776 bytes, expected up to", 5)


def test_a_writer_whose_program_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its own journal is removed, and no other run's of the same name."""
    here, there = tmp_path / "here", tmp_path / "there"
    other = write_run(there / "run.h5")
    seal_a_commit(other)
    here.mkdir()
    monkeypatch.chdir(here)
    with create_run(Path("run.h5")) as run:
        monkeypatch.chdir(there)
        run.append(0, logits_at(0))
    assert commit_waits(other)
    assert [path.name for path in here.iterdir()] == ["run.h5"]
    assert read_header(here / "run.h5").checkpoints == 1


def test_a_fork_leaves_the_file_to_its_parent(tmp_path: Path) -> None:
    """Its end closes what it inherited: journal and lock stay, and nothing is written."""
    path = tmp_path / "run.h5"
    program = (
        "import os, sys; from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from runs import create_run, logits_at\n"
        "from heatcap.runfile import RunFileError, RunWriter\n"
        "path = Path(sys.argv[1])\n"
        "with create_run(path) as run:\n"
        "    run.append(0, logits_at(0)); run.log(1, train_loss=1.0)\n"
        "    if os.fork() == 0:\n"
        "        try: run.append(1, logits_at(1))\n"
        "        except RunFileError as error: print(error, flush=True)\n"
        "        sys.exit(0)\n"
        "    os.wait()\n"
        "    try: RunWriter.resume(path)\n"
        "    except RunFileError as error: print(error, flush=True)\n"
        "    run.append(2, logits_at(2))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first.endswith("is written by the process that forked this one")
    assert second.endswith("another process is writing this run")
    assert validate_run(path) == []
    assert read_header(path).checkpoints == 2
    assert [each.name for each in tmp_path.iterdir()] == ["run.h5"]


def test_a_journal_with_a_second_name_is_not_emptied(tmp_path: Path) -> None:
    """Of whatever file: also the sealed journal of another run that was killed."""
    other, path = write_run(tmp_path / "other.h5"), write_run(tmp_path / "run.h5")
    seal_a_commit(other)
    os.link(journal_path(other), journal_path(path))
    for write in (repair_run, RunWriter.resume, lambda p: create_run(p, overwrite=True)):
        with pytest.raises(RunFileError, match="has several names"):
            write(path)
    assert read_header(other).checkpoints == 6
    journal_path(path).unlink()
    shutil.copy(journal_path(other), journal_path(path))
    with pytest.raises(RunFileError, match="is of the run 'other'"):
        create_run(path, overwrite=True)
    journal_path(path).write_bytes(bytes(4096) + b"an image")
    with pytest.raises(RunFileError, match="is no journal that this heatcap writes"):
        RunWriter.resume(path)
    assert journal_path(path).read_bytes() == bytes(4096) + b"an image"


def test_a_run_that_is_not_replaced_after_all_keeps_its_last_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_run(tmp_path / "run.h5")
    seal_a_commit(path)

    def fail(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("heatcap.runfile.journal.os.replace", fail)
    with pytest.raises(RunFileError, match="Operation not permitted"):
        create_run(path, overwrite=True)
    monkeypatch.undo()
    assert read_header(path).checkpoints == 6
    assert validate_run(path) == []


def test_a_large_file_that_is_being_written_needs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    journal_path(path).touch()
    assert committed(path) is None


@pytest.mark.parametrize("kind", ["link", "loop", "pipe", "folder", "socket", "device"])
def test_a_journal_that_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    path, other = write_run(tmp_path / "in" / "run.h5"), write_run(outside / "run.h5")
    seal_a_commit(other)
    name = journal_path(path)
    if kind == "link":
        name.symlink_to(journal_path(other))
    elif kind == "loop":
        name.symlink_to(name)
    elif kind == "pipe":
        os.mkfifo(name)
    elif kind == "folder":
        name.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(name))
    else:
        try:
            os.mknod(name, stat.S_IFCHR, os.makedev(1, 5))  # as /dev/zero
        except PermissionError:
            pytest.skip("only root can make a device")
    check_refused(path, "expected a regular file")


def check_refused(path: Path, told: str) -> None:
    before = snapshot(path.parent.parent)
    for read in (read_header, open_run, validate_run, LogitReader):
        with pytest.raises(RunFileError, match=rf"run.h5: .*{told}"):
            read(path)
    assert snapshot(path.parent.parent) == before
    for write in (repair_run, RunWriter.resume, lambda p: create_run(p, overwrite=True)):
        with pytest.raises(RunFileError, match=rf"run.h5: .*{told}"):
            write(path)
    assert contents(path.parent.parent) == {n: seen[-1] for n, seen in before.items()}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: seen[-1] for name, seen in snapshot(folder).items()}


def test_a_link_to_a_run_is_read_and_not_written(tmp_path: Path) -> None:
    """Its journal lies beside the file itself; a folder cannot bring a journal for another."""
    other = write_run(tmp_path / "outside" / "run.h5")
    seal_a_commit(other)
    path = tmp_path / "in" / "run.h5"
    path.parent.mkdir()
    path.symlink_to(other)
    journal_path(path).write_bytes(journal_path(other).read_bytes())
    before = snapshot(tmp_path)
    assert read_header(path).checkpoints == 6
    for change in (repair_run, RunWriter.resume):
        with pytest.raises(RunFileError, match=r"run.h5.*is a symbolic link, expected a regular"):
            change(path)
    assert snapshot(tmp_path) == before


def test_a_file_with_two_names_is_not_written(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5")
    seal_a_commit(path)
    os.link(path, tmp_path / "second.h5")
    before = path.read_bytes()
    for change in (repair_run, RunWriter.resume):
        with pytest.raises(RunFileError, match="has several names"):
            change(path)
    assert path.read_bytes() == before


def test_reading_never_writes(tmp_path: Path) -> None:
    """Every verb that reads, over folders as a killed writer leaves them: nothing changes."""
    for name in ("sealed", "torn", "idle", "foreign"):
        write_run(tmp_path / "runs" / f"{name}.h5")
    sealed = tmp_path / "runs" / "sealed.h5"
    seal_a_commit(sealed)
    for name, content in (("torn", b"heatcap-jour"), ("idle", b""), ("foreign", b"?")):
        journal_path(tmp_path / "runs" / f"{name}.h5").write_bytes(content)
    before = snapshot(tmp_path / "runs")
    with pytest.warns(UserWarning, match="foreign.h5.journal"):
        runs = open_runs(tmp_path / "runs")
    assert [header.checkpoints for header in runs.headers] == [5, 5, 6, 5]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        observables = observe(runs)
        check_last_logits(sealed, 99)
        with LogitReader(sealed) as reader:
            block = reader.read(slice(5, 6), 0, slice(0, 2), slice(0, 25), slice(0, 1))
            np.testing.assert_array_equal(block[0], logits_at(99)[0])
    assert observables.sizes["checkpoint"] == 6
    assert validate_run(sealed) == []
    assert commit_waits(sealed)
    assert snapshot(tmp_path / "runs") == before
    assert repair_run(sealed)
    assert not commit_waits(sealed)
    assert not repair_run(sealed)
    check_last_logits(sealed, 99)
    assert validate_run(sealed) == []
    assert not journal_path(sealed).exists()


def check_last_logits(path: Path, step: int) -> None:
    with open_run(path) as run:
        np.testing.assert_array_equal(run.logits.sel(step=step), logits_at(step))


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.statistical) for seed in (1, 2))]
)
def test_a_power_cut_at_each_step_of_durable_commits(tmp_path: Path, seed: int) -> None:
    """All that was not synced may be lost, sector by sector: what was acknowledged is there."""
    disk = ForgetfulDisk(tmp_path / "disk", random.Random(seed))
    path = tmp_path / "disk" / "run.h5"
    path.parent.mkdir()
    with disk.watching():
        with create_run(path, durable=True) as run:
            for step in range(4):
                run.log(step, train_loss=float(step))
                run.append(step, logits_at(step))
                disk.acknowledge(step)
        with RunWriter.resume(path, step=2, durable=True) as run:
            run.log(9, train_loss=9.0)
            run.append(9, logits_at(9))
            disk.acknowledge(9)
            run.finish("end")
    acknowledged = []
    for cut in range(seed, len(disk.log) + 1, 5):
        folder = tmp_path / f"after{cut}"
        known = disk.after_power_cut(cut, folder)
        if not (folder / "run.h5").exists():
            assert known is None
            continue
        steps = check_whole(folder / "run.h5")
        assert known is None or known in steps or (known == 3 and 2 in steps)  # 3 was cut off
        acknowledged.append(known)
    assert {1, 2, 3, 9} <= set(acknowledged)


def check_whole(path: Path) -> list[int]:
    with open_run(path) as run:
        steps = [int(step) for step in run.step.values]
        for step in steps:
            np.testing.assert_array_equal(run.logits.sel(step=step), logits_at(step))
    assert validate_run(path) in ([], ["holds no checkpoint"])
    with RunWriter.resume(path) as writer:
        writer.append(1000, logits_at(1000))
    assert read_header(path).checkpoints == len(steps) + 1
    return steps
