"""Outputs are whole or not there: what is left after failures, kills, links and full disks."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from heatcap.core import writing
from heatcap.core.writing import whole, write_bytes, write_text

KILLED = """
import os, signal, sys
from heatcap.core.writing import whole
with whole(sys.argv[1]) as draft:
    draft.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    return path


def kill_a_writer_of(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL


def names_beside(path: Path) -> list[str]:
    return sorted(os.listdir(path.parent))


def test_what_is_written_replaces_what_was_there(old):
    write_text(old, "new — \udcff\n")
    assert old.read_bytes() == "new — \\udcff\n".encode()
    assert names_beside(old) == ["out.csv"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_failure_in_the_middle_leaves_the_old_content(old, error):
    with pytest.raises(type(error)), whole(old) as draft:  # noqa: PT012
        draft.write_text("half")
        raise error
    assert old.read_text() == "old"
    assert names_beside(old) == ["out.csv"]


def test_a_killed_writer_leaves_the_old_content_and_the_next_one_no_litter(old):
    kill_a_writer_of(old)
    assert old.read_text() == "old"
    assert len(names_beside(old)) == 2
    write_text(old, "new")
    assert names_beside(old) == ["out.csv"]


def test_only_own_litter_is_removed(old):
    kill_a_writer_of(old)
    other = old.with_name("out.csv.1")
    kill_a_writer_of(other)
    drafts = [name for name in names_beside(old) if name.startswith(".")]
    other_draft, draft = sorted(drafts, key=lambda name: not name.startswith(".out.csv.1."))
    random = draft[-12:]
    kept = {
        draft.replace(random, "f" + random): "another ending",
        draft[:-18] + "000000" + random: "another machine",
        f".out.csv.{os.getpid()}": "a name of someone else",
        f".out.csv.part.{draft[10:]}": "a part",
    }
    for name, text in kept.items():
        old.with_name(name).write_text(text)
    link = draft[:-12] + "0" * 12
    old.with_name(link).symlink_to(other)
    pipe = draft[:-12] + "1" * 12
    os.mkfifo(old.with_name(pipe))
    write_text(old, "new")
    assert names_beside(old) == sorted([*kept, link, pipe, other_draft, "out.csv"])
    assert {name: old.with_name(name).read_text() for name in kept} == kept


def test_writers_of_one_output_do_not_mix(old):
    texts = [str(k) * 100_000 for k in range(8)]
    threads = [threading.Thread(target=write_text, args=(old, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert old.read_text() in texts
    assert names_beside(old) == ["out.csv"]


def test_a_writer_leaves_the_draft_of_a_living_one_alone(old):
    with whole(old) as first:
        first.write_text("first")
        write_text(old, "second")
        assert first.exists()
        assert old.read_text() == "second"
    assert old.read_text() == "first"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_an_open(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a", "")
        (tmp_path / "b").write_text("")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_permissions_of_a_file_stay(old):
    old.chmod(0o640)
    write_text(old, "new")
    assert stat.S_IMODE(old.stat().st_mode) == 0o640


def test_a_write_protected_file_stays(old, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    with pytest.raises(PermissionError, match=r"is write-protected: '.*out.csv'"):
        write_text(old, "new")
    assert old.read_text() == "old"


def test_a_link_is_replaced_and_not_followed(old):
    link = old.with_name("link")
    link.symlink_to(old)
    write_text(link, "new")
    assert old.read_text() == "old"
    assert link.read_text() == "new"
    assert not link.is_symlink()


def test_a_folder_stays(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder, expected"):
        write_text(tmp_path / "out", "new")


def test_errors_name_the_target_and_no_draft(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"'.*/none/out.csv'"):
        write_text(tmp_path / "none" / "out.csv", "")

    def refuse(*_):
        raise PermissionError(13, "Permission denied", "draft")

    monkeypatch.setattr(writing.os, "open", refuse)
    with pytest.raises(PermissionError, match=r"Permission denied: '.*/out.csv'"):
        write_text(tmp_path / "out.csv", "")


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "c" * 240 + ".csv"])
def test_long_names(tmp_path, name):
    path = tmp_path / name
    kill_a_writer_of(path)
    write_text(path, "new")
    assert os.listdir(tmp_path) == [name]


def test_names_that_are_no_text(tmp_path):
    path = tmp_path / os.fsdecode(b"a\xff")
    kill_a_writer_of(path)
    write_text(path, "new")
    assert os.listdir(os.fsencode(tmp_path)) == [b"a\xff"]


def test_devices_and_pipes_are_written_through(tmp_path):
    write_text("/dev/null", "new")
    assert not stat.S_ISREG(os.stat("/dev/null").st_mode)
    code = "print('a'); from heatcap.core.writing import *; write_text('/dev/stdout', 'b\\n'); "
    code += "print('c')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "a\nb\nc\n"
    with open(tmp_path / "log", "w") as log:
        subprocess.run([sys.executable, "-c", code], stdout=log, check=True)
    assert (tmp_path / "log").read_text() == "a\nb\nc\n"


def test_a_file_that_may_not_grow(old):
    """A limit on the size of files: what a full disk does, without one."""
    code = "import sys; from heatcap.core.writing import *; write_bytes(sys.argv[1], bytes(10**6))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(old)],
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )  # fmt: skip
    assert done.returncode == 1
    assert f"File too large: '{old}'" in done.stderr
    assert old.read_text() == "old"
    assert names_beside(old) == ["out.csv"]


def test_without_locks_nothing_is_taken_for_litter(old, monkeypatch):
    kill_a_writer_of(old)
    monkeypatch.setattr(writing, "fcntl", None)
    write_bytes(old, b"new")
    assert old.read_text() == "new"
    assert len(names_beside(old)) == 2


def test_a_link_to_a_pipe_is_replaced(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "out.txt"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    write_text(link, "new")
    assert link.read_text() == "new"
    assert not link.is_symlink()
