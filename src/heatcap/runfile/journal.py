"""Atomic commits for a file that a library writes in its own order.

HDF5 scatters a change over many small writes; a process killed between two of them can leave a
file that no longer opens.  `JournaledFile` is the file object that HDF5 writes to.  Bytes past
the committed end go straight to disk, where no reader looks for them.  Bytes inside it are
held back as pages until `commit`, which logs all of them to ``<path>.journal``, seals the log
with a checksum, and only then changes the file: a redo log, as databases keep one.

A kill leaves an unsealed journal (the file is as before the commit) or a sealed one (`recover`
writes the pages again).  The journal also carries the lock that keeps a second writer out: only
who holds it may touch the journal or replace the file.  A second, momentary lock on the file
itself (`steady`) keeps readers from looking into the middle of a commit.  This holds against the
death of the process at any instant, not against a power cut: nothing is synced to the disk.
"""

from __future__ import annotations

import errno
import io
import os
import struct
import time
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["JournaledFile", "Locked", "journal_path", "recover", "steady"]

PAGE = 4096
_MAGIC = b"heatcap-journal1"
_SEAL = struct.Struct("<16sQQI")  # magic, pages, file size, CRC-32 of the pages
_ENTRY = struct.Struct("<QI")  # offset, length

#: Seconds that a lock is waited for: others hold it for milliseconds, or for hours.
PATIENCE = 0.5
_PAUSE = 0.005
#: The one byte that `steady` locks lies beyond any file, clear of locks that HDF5 takes.
_STEADY_BYTE = 1 << 62
_FLOCK = struct.Struct("@hhqqi0q")  # struct flock: type, whence, start, length, process
_SHARED, _EXCLUSIVE, _FREE = "F_RDLCK", "F_WRLCK", "F_UNLCK"


class Locked(OSError):
    """Another process holds the journal: it is writing the file now."""


def journal_path(path: Path) -> Path:
    return path.with_name(path.name + ".journal")


class JournaledFile(io.RawIOBase):
    """Random-access file whose changes reach the disk all together, or not at all."""

    def __init__(self, path: Path, *, draft: Path | None = None, overwrite: bool = False) -> None:
        """Open `path`; with `draft`, put that file in its place first, under the same lock.

        Raises FileExistsError if a draft would replace a file and `overwrite` is not given.
        """
        self._path = path
        self._forgetful = False
        self._error: BaseException | None = None
        try:
            self._journal = _lock(journal_path(path), create=True)
        except BaseException:
            super().close()  # the finaliser closes what is open, and there is nothing to close
            raise
        try:
            if draft is None:
                _replay(self._journal, path)
            else:
                _put_in_place(self._journal, draft, path, overwrite)
            self._file = path.open("r+b", buffering=0)
        except BaseException:
            self._release()
            super().close()
            raise
        self._committed = self._size = os.fstat(self._file.fileno()).st_size
        self._pages: dict[int, bytearray] = {}
        self._position = 0

    def commit(self) -> None:
        """Make all changes since the last commit durable against the death of the process.

        Raises what went wrong in a write before: an exception must not pass through HDF5, which
        is left in a state that crashes the process later.
        """
        if self._error is not None:
            raise self._error
        if self._forgetful:
            raise ValueError(f"{self._path}: cannot commit after forget()")
        if self._pages or self._size != self._committed:
            _seal(self._journal, self._pages, self._size)
            _apply(self._file.fileno(), self._pages.items(), self._size)
            self._journal.truncate(0)
        self._pages.clear()
        self._committed = self._size

    def forget(self) -> None:
        """Take no more writes, and never commit again: what HDF5 still flushes is dropped."""
        self._forgetful = True

    def close(self) -> None:
        """Forget what was not committed, and give the file free."""
        if not self.closed:
            self._file.close()
            self._release()
        super().close()

    def _release(self) -> None:
        """Give up the lock; a journal that is sealed stays, for `recover` to finish."""
        try:
            if _read_sealed(self._journal) is None:
                journal_path(self._path).unlink(missing_ok=True)
        finally:
            self._journal.close()

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
        try:
            return self._read(memoryview(buffer).cast("B"))
        except KeyboardInterrupt as error:
            self._error = error
            return self._read(memoryview(buffer).cast("B"))

    def write(self, buffer: ReadableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        try:
            if not self._forgetful:
                self._write(view)
        except BaseException as error:
            self._error = error
            self.forget()
        return len(view)

    def _read(self, view: memoryview) -> int:
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

    def _write(self, view: memoryview) -> None:
        start, stop = self._position, self._position + len(view)
        held = max(0, min(stop, self._committed) - start)
        for number in _pages(start, start + held):
            page, base = self._page(number), number * PAGE
            low, high = max(start, base), min(start + held, base + len(page))
            page[low - base : high - base] = view[low - start : high - start]
        _pwrite(self._file.fileno(), view[held:], start + held)
        self._position = stop
        self._size = max(self._size, stop)

    def _page(self, number: int) -> bytearray:
        if number not in self._pages:
            length = min(PAGE, self._committed - number * PAGE)
            self._pages[number] = bytearray(os.pread(self._file.fileno(), length, number * PAGE))
        return self._pages[number]


def recover(path: Path) -> bool:
    """Finish the commit that a killed writer had sealed; True when there was one.

    Does nothing while a live writer holds the journal.  Raises PermissionError where the file
    has to be mended and cannot be: it may not be written, or cannot be locked here.
    """
    name, deadline = journal_path(path), time.monotonic() + PATIENCE
    while name.exists():
        try:
            journal = _lock(name, create=False, patience=0)
        except FileNotFoundError:
            return False
        except Locked:
            # Sealed for long: another reader is mending the file, which is not to be read before.
            if not _is_sealed(name) or time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
            continue
        except (OSError, ImportError) as error:
            if not _is_sealed(name):
                return False
            raise PermissionError(errno.EACCES, f"cannot lock {name}: {error}") from error
        with journal:
            mended = _replay(journal, path)
            name.unlink(missing_ok=True)
        return mended
    return False


@contextmanager
def steady(path: Path) -> Iterator[None]:
    """Keep commits out while a file is read; for moments, since the writer waits.

    Neither side waits longer than `PATIENCE`: a reader that was stopped must not stop a
    training.  Not flock, which HDF5 uses on the file for its own ends, as long as it is open.
    """
    with path.open("rb", buffering=0) as file:
        _lock_steady(file.fileno(), _SHARED)
        yield  # closing the file gives the lock up


def _lock_steady(descriptor: int, kind: str) -> None:
    """Wait for the other side, within bounds; without effect where there are no such locks."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            _lock_byte(descriptor, kind)
            return
        except ImportError:
            return
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN) or time.monotonic() > deadline:
                return
        time.sleep(_PAUSE / 10)


def _lock_byte(descriptor: int, kind: str) -> None:
    """Lock the byte for this open file, or let it go; never waits.

    An ordinary POSIX lock is the second choice: it is lost as soon as the process closes the
    file anywhere, as HDF5 does to look at it.
    """
    import fcntl

    what = getattr(fcntl, kind)
    if hasattr(fcntl, "F_OFD_SETLK"):
        lock = _FLOCK.pack(what, os.SEEK_SET, _STEADY_BYTE, 1, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)
    else:
        how = {fcntl.F_RDLCK: fcntl.LOCK_SH | fcntl.LOCK_NB, fcntl.F_UNLCK: fcntl.LOCK_UN}
        fcntl.lockf(descriptor, how.get(what, fcntl.LOCK_EX | fcntl.LOCK_NB), 1, _STEADY_BYTE)


def _lock(name: Path, *, create: bool, patience: float = PATIENCE) -> io.FileIO:
    """The journal, locked; a reader that looks whether there is something to mend is waited for."""
    import fcntl  # here, since reading needs no lock and has to work where there is none

    deadline = time.monotonic() + patience
    while True:
        # Not in append mode, in which Linux ignores the offset of pwrite.
        journal = io.FileIO(os.open(name, os.O_RDWR | (os.O_CREAT if create else 0), 0o666), "r+")
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_named(journal, name):
                return journal
        except BlockingIOError:
            if time.monotonic() >= deadline:
                journal.close()
                message = f"{name} is locked: another process is writing this file"
                raise Locked(message) from None
        except BaseException:
            journal.close()
            raise
        journal.close()
        time.sleep(_PAUSE)


def _is_named(file: io.FileIO, name: Path) -> bool:
    """Whether `name` is still this file: who held the lock before may have removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), name.stat())
    except FileNotFoundError:
        return False


def _is_sealed(name: Path) -> bool:
    try:
        with io.FileIO(name) as journal:
            return _read_sealed(journal) is not None
    except FileNotFoundError:
        return False


def _put_in_place(journal: io.FileIO, draft: Path, path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise FileExistsError(errno.EEXIST, "exists already", str(path))
    # First, for the pages of an old journal must not get into the new file.
    journal.truncate(0)
    draft.replace(path)


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
    _lock_steady(descriptor, _EXCLUSIVE)
    try:
        for number, page in pages:
            _pwrite(descriptor, page, number * PAGE)
        os.truncate(descriptor, size)
    finally:
        _lock_steady(descriptor, _FREE)


def _pwrite(descriptor: int, data: ReadableBuffer, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _pages(start: int, stop: int) -> range:
    return range(start // PAGE, -(-stop // PAGE) if stop > start else start // PAGE)
