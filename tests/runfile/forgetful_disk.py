"""A disk that loses what was not synced, for the files that a journal writes.

It stands between `heatcap.runfile.journal` and the operating system, notes each change in
order, and lays out what a power cut after any of them may leave: of every file what was last
synced and, by chance, any sectors that were written since; of the folder the names that were
synced and, by chance, a beginning of the changes since.
"""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

SECTOR = 512


class ForgetfulDisk:
    def __init__(self, folder: Path, draw: random.Random) -> None:
        self.folder = folder
        self.log: list[tuple[Any, ...]] = []
        self._draw = draw

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note all that the journal's module does to files and names."""
        real = {name: getattr(os, name) for name in _WATCHED}
        watched = mock.patch("heatcap.runfile.journal.os", _Watched(self.log, real))
        with watched, mock.patch.object(Path, "unlink", self._unlink(Path.unlink)):
            yield

    def acknowledge(self, step: int) -> None:
        self.log.append(("acknowledged", step))

    def after_power_cut(self, cut: int, folder: Path) -> int | None:
        """Lay out in `folder` what is left after `cut` changes; the last step acknowledged."""
        files: dict[int, _File] = {}
        names: dict[str, int] = {}
        unsynced: list[tuple[Any, ...]] = []
        known = None
        for what, *told in self.log[:cut]:
            if what == "acknowledged":
                known = told[0]
            elif what == "sync folder":
                _rename(names, unsynced)
                unsynced = []
            elif what in ("name", "replace", "unlink"):
                unsynced.append((what, *told))
            else:
                files.setdefault(told[0], _File()).take(what, *told[1:])
        _rename(names, unsynced[: self._draw.randint(0, len(unsynced))])
        folder.mkdir()
        for name, number in names.items():
            content = files[number].after_power_cut(self._draw) if number in files else b""
            (folder / name).write_bytes(content)
        return known

    def _unlink(self, real: Any) -> Any:
        def unlink(path: Path, missing_ok: bool = False) -> None:
            real(path, missing_ok=missing_ok)
            self.log.append(("unlink", path.name))

        return unlink


class _File:
    """What was synced of a file, and the changes since."""

    def __init__(self) -> None:
        self._synced = b""
        self._changes: list[tuple[str, Any, int]] = []

    def take(self, what: str, *told: Any) -> None:
        if what == "content":
            self._synced, self._changes = told[0], []
        elif what == "sync":
            self._synced, self._changes = self._after(self._changes), []
        elif what == "truncate":
            self._changes.append(("truncate", None, told[0]))
        else:
            data, offset = told
            for at in range(0, len(data), SECTOR):
                self._changes.append(("write", data[at : at + SECTOR], offset + at))

    def after_power_cut(self, draw: random.Random) -> bytes:
        kept = draw.choice((0.0, 0.5, 0.9, 1.0))
        return self._after([change for change in self._changes if draw.random() < kept])

    def _after(self, changes: list[tuple[str, Any, int]]) -> bytes:
        content = bytearray(self._synced)
        for what, data, at in changes:
            if what == "truncate":
                del content[at:]
                content.extend(bytes(at - len(content)))
            else:
                content.extend(bytes(max(0, at + len(data) - len(content))))
                content[at : at + len(data)] = data
        return bytes(content)


def _rename(names: dict[str, int], changes: list[tuple[Any, ...]]) -> None:
    for what, *told in changes:
        if what == "name":
            names[told[1]] = told[0]
        elif what == "unlink":
            names.pop(told[0], None)
        else:
            names[told[1]] = told[0]


_WATCHED = ("open", "pwrite", "ftruncate", "fsync", "replace")


class _Watched:
    """The module `os`, with an ear on what changes files."""

    def __init__(self, log: list[tuple[Any, ...]], real: dict[str, Any]) -> None:
        self._log, self._real = log, real

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        is_new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        descriptor: int = self._real["open"](path, flags, mode)
        if is_new:
            number = os.fstat(descriptor).st_ino
            self._log += [("content", number, b""), ("name", number, Path(path).name)]
        return descriptor

    def pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        written: int = self._real["pwrite"](descriptor, data, offset)
        self._log.append(("write", _number(descriptor), bytes(data)[:written], offset))
        return written

    def ftruncate(self, descriptor: int, size: int) -> None:
        self._real["ftruncate"](descriptor, size)
        self._log.append(("truncate", _number(descriptor), size))

    def fsync(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            self._log.append(("sync folder",))
        elif not any(entry[1] == found.st_ino for entry in self._log if entry[0] == "content"):
            # A file that others made, the draft: its content is what it has at its first sync.
            content = os.pread(descriptor, found.st_size, 0)
            self._log.append(("content", found.st_ino, content))
        else:
            self._log.append(("sync", found.st_ino))

    def replace(self, source: Any, target: Any) -> None:
        number = os.stat(source).st_ino
        self._real["replace"](source, target)
        self._log.append(("replace", number, Path(target).name))


def _number(descriptor: int) -> int:
    return os.fstat(descriptor).st_ino
