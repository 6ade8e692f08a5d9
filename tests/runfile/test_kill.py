"""kill -9 at any instant: the file opens, and holds every checkpoint that was complete."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heatcap.runfile import RunFileError, open_run, read_header, validate_run
from heatcap.runfile import journal as journal_module
from heatcap.runfile.journal import JournaledFile, journal_path, recover

from runs import create_run, logits_at

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


def test_a_hundred_kills(tmp_path: Path) -> None:
    """One file through 100 writers killed at random instants, each going on where one died."""
    path = tmp_path / "run.h5"
    told = deaths(path, "by-signal", "7")
    assert len(told) == 100
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
    assert not journal_path(path).exists()


def test_a_torn_journal_is_ignored_and_a_sealed_one_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(bytes(10_000))
    file = JournaledFile(path)
    file.seek(4000)
    file.write(b"x" * 200)
    file.seek(9_990)
    file.write(b"y" * 50)
    journal_module._seal(file._journal, file._pages, file._size)
    sealed = journal_path(path).read_bytes()
    file.close()
    before = path.read_bytes()[:10_000]
    assert before == bytes(10_000)  # nothing inside the committed part was touched

    journal_path(path).write_bytes(sealed[:-1])
    assert not recover(path)
    assert path.read_bytes()[:10_000] == before

    journal_path(path).write_bytes(sealed)
    assert recover(path)
    after = path.read_bytes()
    assert after[4000:4200] == b"x" * 200
    assert after[9_990:] == b"y" * 50
    assert not journal_path(path).exists()


def test_reads_see_what_was_written_but_not_committed(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(256)) * 40)
    reference, draw = bytearray(path.read_bytes()), random.Random(3)
    file = JournaledFile(path)
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
        assert not recover(path)
        assert read_header(path).checkpoints == 1
        run.append(1, logits_at(1))
    assert read_header(path).checkpoints == 2


def test_a_foreign_journal_cannot_harm(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    create_run(path).close()
    journal_path(path).write_bytes(b"not a journal, but longer than its header" * 3)
    assert read_header(path).checkpoints == 0
    with pytest.raises(RunFileError, match="no such file"):
        read_header(tmp_path / "other.h5")
