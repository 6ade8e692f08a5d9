"""Atomic commits for a file that a library writes in its own order.

HDF5 scatters a change over many small writes; a process killed between two of them can leave a
file that no longer opens.  `JournaledFile` is the file object that HDF5 writes to.  Bytes past
the committed end go straight to disk, where no reader looks for them.  Bytes inside it are
held back as pages until `commit`, which logs all of them to ``<path>.journal``, seals the log
with a checksum, and only then changes the file: a redo log, as databases keep one.

A kill leaves an unsealed journal (the file is as before the commit) or a sealed one (`recover`
writes the pages again).  The journal also carries the lock that keeps a second writer out.
This holds against the death of the process at any instant, not against a power cut: nothing
is synced to the disk.
"""

from __future__ import annotations

import fcntl
import io
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["JournaledFile", "Locked", "journal_path", "recover"]

PAGE = 4096
_MAGIC = b"heatcap-journal1"
_SEAL = struct.Struct("<16sQQI")  # magic, pages, file size, CRC-32 of the pages
_ENTRY = struct.Struct("<QI")  # offset, length


class Locked(OSError):
    """Another process holds the journal: it is writing the file now."""


def journal_path(path: Path) -> Path:
    return path.with_name(path.name + ".journal")


class JournaledFile(io.RawIOBase):
    """Random-access file whose changes reach the disk all together, or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._journal = _lock(journal_path(path))
        try:
            _replay(self._journal, path)
            self._file = path.open("r+b", buffering=0)
        except BaseException:
            self._journal.close()
            raise
        self._committed = self._size = os.fstat(self._file.fileno()).st_size
        self._pages: dict[int, bytearray] = {}
        self._position = 0

    def commit(self) -> None:
        """Make all changes since the last commit durable against the death of the process."""
        if self._pages or self._size != self._committed:
            _seal(self._journal, self._pages, self._size)
            _apply(self._file.fileno(), self._pages.items(), self._size)
            self._journal.truncate(0)
        self._pages.clear()
        self._committed = self._size

    def close(self) -> None:
        """Forget what was not committed, and give the file free."""
        if not self.closed:
            self._file.close()
            journal_path(self._path).unlink(missing_ok=True)
            self._journal.close()
        super().close()

    # The file protocol, as HDF5 uses it.

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def truncate(self, size: int | None = None) -> int:
        self._size = self._position if size is None else size
        return self._size

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        start, wanted = self._position, max(0, min(len(view), self._size - self._position))
        got = os.preadv(self._file.fileno(), [view[:wanted]], start)
        view[got:wanted] = bytes(wanted - got)
        for number in _pages(start, start + wanted) if self._pages else ():
            page, base = self._pages.get(number, b""), number * PAGE
            low, high = max(start, base), min(start + wanted, base + len(page))
            if low < high:
                view[low - start : high - start] = page[low - base : high - base]
        self._position += wanted
        return wanted

    def write(self, buffer: ReadableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        start, stop = self._position, self._position + len(view)
        held = max(0, min(stop, self._committed) - start)
        for number in _pages(start, start + held):
            page, base = self._page(number), number * PAGE
            low, high = max(start, base), min(start + held, base + len(page))
            page[low - base : high - base] = view[low - start : high - start]
        _pwrite(self._file.fileno(), view[held:], start + held)
        self._position = stop
        self._size = max(self._size, stop)
        return len(view)

    def _page(self, number: int) -> bytearray:
        if number not in self._pages:
            length = min(PAGE, self._committed - number * PAGE)
            self._pages[number] = bytearray(os.pread(self._file.fileno(), length, number * PAGE))
        return self._pages[number]


def recover(path: Path) -> bool:
    """Finish the commit that a killed writer had sealed; True when there was one.

    Does nothing while a live writer holds the journal.  Raises PermissionError where the file
    has to be mended and may not be written.
    """
    name = journal_path(path)
    if not name.exists():
        return False
    try:
        journal = _lock(name)
    except Locked:
        return False
    except PermissionError:
        with io.FileIO(name) as readable:
            if _read_sealed(readable) is None:
                return False
        raise
    with journal:
        mended = _replay(journal, path)
        name.unlink(missing_ok=True)
    return mended


def _lock(name: Path) -> io.FileIO:
    journal = io.FileIO(name, "a+")
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        journal.close()
        raise Locked(f"{name} is locked: another process is writing this file") from None
    return journal


def _seal(journal: io.FileIO, pages: dict[int, bytearray], size: int) -> None:
    body = b"".join(
        _ENTRY.pack(number * PAGE, len(page)) + page for number, page in sorted(pages.items())
    )
    journal.truncate(0)
    _pwrite(journal.fileno(), _SEAL.pack(_MAGIC, len(pages), size, zlib.crc32(body)) + body, 0)


def _read_sealed(journal: io.FileIO) -> tuple[list[tuple[int, bytes]], int] | None:
    """Pages and file size of a complete journal; None for an empty or torn one."""
    journal.seek(0)
    content = journal.read()
    if len(content) < _SEAL.size:
        return None
    magic, count, size, checksum = _SEAL.unpack_from(content)
    body = content[_SEAL.size :]
    if magic != _MAGIC or zlib.crc32(body) != checksum:
        return None
    pages, at = [], 0
    for _ in range(count):
        offset, length = _ENTRY.unpack_from(body, at)
        pages.append((offset // PAGE, body[at + _ENTRY.size : at + _ENTRY.size + length]))
        at += _ENTRY.size + length
    return pages, size


def _replay(journal: io.FileIO, path: Path) -> bool:
    sealed = _read_sealed(journal)
    if sealed is not None:
        with path.open("r+b", buffering=0) as file:
            _apply(file.fileno(), sealed[0], sealed[1])
    journal.truncate(0)
    return sealed is not None


def _apply(descriptor: int, pages: Iterable[tuple[int, ReadableBuffer]], size: int) -> None:
    for number, page in pages:
        _pwrite(descriptor, page, number * PAGE)
    os.truncate(descriptor, size)


def _pwrite(descriptor: int, data: ReadableBuffer, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _pages(start: int, stop: int) -> range:
    return range(start // PAGE, -(-stop // PAGE) if stop > start else start // PAGE)
