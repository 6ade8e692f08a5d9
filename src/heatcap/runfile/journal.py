"""Atomic commits for a file that a library writes in its own order.

HDF5 scatters a change over many small writes; a process killed between two of them can leave a
file that no longer opens.  `JournaledFile` is the file object that HDF5 writes to.  Bytes past
the committed end go straight to disk, where no reader looks for them.  Bytes inside it are
held back as pages until `commit`, which logs all of them to ``<path>.journal``, seals the log
with a checksum, and only then changes the file: a redo log, as databases keep one.

A kill leaves an unsealed journal (the file is as before the commit) or a sealed one (the commit
is made, though its pages may not be in the file yet).  Reading never writes: `committed` lays the
pages of a sealed journal over the file in memory.  Only a writer that goes on, or `repair`,
changes the file.

A journal counts for one state of one file: it names the run, both sizes, the checksum of what
the commit had added, and those of the sectors that its pages replace.  A file that
fits all of these is the one that was being written, as far as its writer came; any other is left
alone.

The journal also carries the lock that keeps a second writer out: only its holder may change the
journal or replace the file.  A second, momentary lock on the file itself (`steady`) keeps readers
out of the middle of a commit.

All this holds against the death of the process at any instant.  With ``durable`` each commit is
synced to the disk as well, step by step, and outlives a power cut from when it has returned.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import time
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = [
    "ForeignJournal",
    "JournaledFile",
    "Locked",
    "Overlay",
    "committed",
    "journal_path",
    "repair",
    "steady",
]

PAGE = 4096
#: A power cut may tear a page, but no sector.
SECTOR = 512
_MAGIC = b"heatcap-journal2"
# Magic, CRC-32 of all that follows, bytes that follow, pages, file size before and after the
# commit, CRC-32 of what lies between the two, length of the run's name.
_SEAL = struct.Struct("<16sIQQQQIH")
_SUMMED = 20  # where the summed part begins
_LONGEST_NAME = 1 << 16
_SMALL = 1 << 26  # bytes of a file that may lie in its journal, however few of them are stored
_ENTRY = struct.Struct("<QI8I")  # offset, length, CRC-32 of each sector that is replaced
_ADDED = 1 << 20  # bytes that are read at a time where they are only summed

#: Seconds that a lock is waited for: others hold it for milliseconds, or for hours.
PATIENCE = 0.5
_PAUSE = 0.005
#: The one byte that `steady` locks lies beyond any file, clear of locks that HDF5 takes.
_STEADY_BYTE = 1 << 62
_FLOCK = struct.Struct("@hhqqi0q")  # struct flock: type, whence, start, length, process
_SHARED, _EXCLUSIVE, _FREE = "F_RDLCK", "F_WRLCK", "F_UNLCK"


class Locked(OSError):
    """Another process holds the journal: it is writing the file now."""


class ForeignJournal(OSError):
    """The file with the name of the journal belongs to another file, or another state of it."""


class Overlay(io.RawIOBase):
    """File of a run with the pages of a commit laid over it and its new size; for reading."""

    def __init__(
        self, file: io.FileIO, pages: dict[int, bytearray], size: int, run_id: str
    ) -> None:
        self.run_id = run_id
        self._file = file
        self._pages = pages
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._read(memoryview(buffer).cast("B"))

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _read(self, view: memoryview) -> int:
        start, wanted = self._position, max(0, min(len(view), self._size - self._position))
        _read_at(self._file, view[:wanted], start)
        for number in _pages(start, start + wanted) if self._pages else ():
            page, base = self._pages.get(number, b""), number * PAGE
            low, high = max(start, base), min(start + wanted, base + len(page))
            if low < high:
                view[low - start : high - start] = page[low - base : high - base]
        self._position += wanted
        return wanted


class JournaledFile(Overlay):
    """Random-access file whose changes reach the disk all together, or not at all."""

    def __init__(
        self,
        path: Path,
        *,
        run_id: str,
        draft: Path | None = None,
        overwrite: bool = False,
        durable: bool = False,
    ) -> None:
        """Open `path`; with `draft`, put that file in its place first, under the same lock.

        Raises FileExistsError if a draft would replace a file and `overwrite` is not given,
        ForeignJournal for a journal of something else, OSError for a file with several names.
        """
        # A program may change its folder, and its journal would be another one then.
        self._path = path = Path(os.path.abspath(path))
        self._process = os.getpid()
        self._durable = durable
        self._forgetful = False
        self._error: BaseException | None = None
        try:
            self._journal = _lock(journal_path(path), durable)
        except BaseException:
            super(Overlay, self).close()  # the finaliser closes what is open: nothing is yet
            raise
        try:
            if draft is None:
                _finish(self._journal, path, run_id, durable)
            else:
                _discard(self._journal, path, run_id, durable)
                _put_in_place(draft, path, overwrite, durable)
            file = _open_to_change(path)
            if durable:
                _sync_folder(path)
        except BaseException:
            self._release()
            super(Overlay, self).close()
            raise
        self._committed = os.fstat(file.fileno()).st_size
        super().__init__(file, {}, self._committed, run_id)

    def commit(self) -> None:
        """Commit all changes so far: they outlive the process, or, if durable, the power.

        Raises what went wrong in a write before: an exception must not pass through HDF5, which
        is left in a state that crashes the process later.
        """
        if not self._is_own():
            raise ValueError(
                f"{self._path}: is written by process {self._process}, not by this one"
            )
        if self._error is not None:
            raise self._error
        if self._forgetful:
            raise ValueError(f"{self._path}: cannot commit after forget()")
        if self._pages or self._size != self._committed:
            change = self._change()
            if self._durable:
                os.fsync(self._file.fileno())  # added bytes first: the seal vouches for them
            self._write_journal(change.sealed())
            _apply(self._file, change, self._durable)
            # Not synced: until the next seal, this one only repeats what is in the file already.
            _clear(self._journal)
        self._pages.clear()
        self._committed = self._size

    def forget(self) -> None:
        """Take no more writes, and never commit again: what HDF5 still flushes is dropped."""
        self._forgetful = True

    def close(self) -> None:
        """Drop what was not committed, and release the file."""
        if not self.closed:
            self._file.close()
            self._release()
        super().close()

    def _is_own(self) -> bool:
        """Test whether this is the process that opened the file, and not a fork of it.

        A fork ends by closing what it has inherited: the file stays its parent's.
        """
        return os.getpid() == self._process

    def _change(self) -> _Change:
        if os.fstat(self._file.fileno()).st_size < self._size:
            os.ftruncate(self._file.fileno(), self._size)
        pages = {}
        for number, page in sorted(self._pages.items()):
            if content := bytes(page[: max(0, self._size - number * PAGE)]):
                pages[number] = _Page(content, _sector_sums(self._stored(number, len(content))))
        added = _sum_of(self._file, self._committed, self._size)
        return _Change(self.run_id, self._committed, self._size, added, pages)

    def _write_journal(self, content: bytes) -> None:
        _clear(self._journal)
        _pwrite(self._journal.fileno(), content, 0)
        if self._durable:
            os.fsync(self._journal.fileno())

    def _release(self) -> None:
        """Give up the lock; a journal that is sealed stays for `repair`, a foreign one as it is."""
        try:
            is_done = _read_change(self._journal, self._path) is None
            is_ours = self._is_own() and _is_named(self._journal, journal_path(self._path))
            if is_done and is_ours:
                journal_path(self._path).unlink(missing_ok=True)
        except OSError:
            pass
        finally:
            self._journal.close()

    # The rest of the file protocol, as HDF5 uses it.

    def writable(self) -> bool:
        return True

    def truncate(self, size: int | None = None) -> int:
        self._size = self._position if size is None else size
        return self._size

    def readinto(self, buffer: WriteableBuffer) -> int:
        try:
            return super().readinto(buffer)
        except KeyboardInterrupt as error:
            self._error = error
            return super().readinto(buffer)

    def write(self, buffer: ReadableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        try:
            if not self._forgetful and self._is_own():
                self._write(view)
        except BaseException as error:
            self._error = error
            self.forget()
        return len(view)

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
            self._pages[number] = bytearray(self._stored(number, length))
        return self._pages[number]

    def _stored(self, number: int, length: int) -> bytes:
        """A page as it is in the file."""
        page = bytearray(length)
        _read_at(self._file, memoryview(page), number * PAGE)
        return bytes(page)


def journal_path(path: Path) -> Path:
    return path.with_name(path.name + ".journal")


def committed(path: Path) -> Overlay | None:
    """Lay a sealed journal over its file, as the last commit left it; None without one.

    None where the file says it all.  Nothing is written and nothing locked.

    Raises
    ------
    ForeignJournal
        If there is a journal that does not belong to this state of this file.
    OSError
        If the journal is no regular file, or cannot be read.
    """
    try:
        journal = _open_journal(journal_path(path), os.O_RDONLY)
    except FileNotFoundError:
        return None
    with journal:
        change = _read_change(journal, path)
    if change is None:
        return None
    file = path.open("rb", buffering=0)
    try:
        _check_belongs(change, file, path)
        if change.is_in(file):
            file.close()
            return None
        pages = {number: bytearray(page.content) for number, page in change.pages.items()}
        return Overlay(file, pages, change.after, change.run_id)
    except BaseException:
        file.close()
        raise


def repair(path: Path, run_id: str, *, durable: bool = True) -> bool:
    """Finish the commit that a killed writer had sealed; True when there was one to finish.

    An idle or torn journal is removed.  Raises Locked while a writer is at work, ForeignJournal
    for a journal of something else, OSError where the file may not be changed.
    """
    _check_regular(os.lstat(path), path)
    if not os.path.lexists(journal_path(path)):
        return False
    journal = _lock(journal_path(path), durable)
    with journal:
        finished = _finish(journal, path, run_id, durable)
        journal_path(path).unlink(missing_ok=True)
    return finished


@contextmanager
def steady(path: Path) -> Iterator[None]:
    """Keep commits out while a file is read, for moments, since the writer waits.

    Neither side waits longer than `PATIENCE`: a reader that was stopped must not stop a
    training.  Not flock, which HDF5 uses on the file for its own ends, as long as it is open.
    """
    with path.open("rb", buffering=0) as file:
        _lock_steady(file.fileno(), _SHARED)
        yield  # closing the file gives the lock up


@dataclass(frozen=True)
class _Page:
    content: bytes
    replaced: tuple[int, ...]  # CRC-32 of each sector that was there

    def is_in(self, stored: bytes) -> bool:
        return stored == self.content

    def fits(self, stored: bytes) -> bool:
        """Whether each sector is as before the commit, or as after it."""
        now, then = _sector_sums(stored), _sector_sums(self.content)
        return all(sector in pair for sector, *pair in zip(now, self.replaced, then, strict=True))


@dataclass(frozen=True)
class _Change:
    """Change of one commit: pages inside the old size, and the new size."""

    run_id: str
    before: int
    after: int
    added: int  # CRC-32 of the bytes between the two sizes
    pages: dict[int, _Page]

    def sealed(self) -> bytes:
        name = self.run_id.encode("utf-8", "surrogatepass")
        body = name + b"".join(
            _ENTRY.pack(number * PAGE, len(page.content), *_padded(page.replaced)) + page.content
            for number, page in self.pages.items()
        )
        numbers = (len(body), len(self.pages), self.before, self.after, self.added, len(name))
        summed = _SEAL.pack(_MAGIC, 0, *numbers)[_SUMMED:] + body
        return _SEAL.pack(_MAGIC, zlib.crc32(summed), *numbers) + body

    def is_in(self, file: io.FileIO) -> bool:
        size = os.fstat(file.fileno()).st_size
        return size == self.after and all(
            page.is_in(_read_page(file, number, page)) for number, page in self.pages.items()
        )


def _read_change(journal: io.FileIO, path: Path) -> _Change | None:
    """Read the change of a sealed journal; None for an empty or torn one, never committed.

    A torn journal starts as a journal does.  Raises ForeignJournal for anything else, OSError for
    pages outside the file.
    """
    name = journal_path(path)
    journal.seek(0)
    length, limit = os.fstat(journal.fileno()).st_size, _largest_journal(path)
    if length > limit:
        raise ForeignJournal(f"{name}: has {length} bytes, expected up to {limit} for {path.name}")
    seal = journal.read(_SEAL.size) or b""
    head = seal[: len(_MAGIC)]
    if head != _MAGIC[: len(head)]:
        raise ForeignJournal(f"{name}: is no journal that this heatcap writes")
    if len(seal) < _SEAL.size:
        return None
    _, checksum, size, count, before, after, added, named = _SEAL.unpack(seal)
    if size > length - _SEAL.size:
        return None
    body = journal.read(size) or b""
    if len(body) < size or zlib.crc32(body, zlib.crc32(seal[_SUMMED:])) != checksum:
        return None
    pages, at = {}, named
    for _ in range(count):
        offset, size, *sums = _ENTRY.unpack_from(body.ljust(at + _ENTRY.size), at)
        page = body[at + _ENTRY.size : at + _ENTRY.size + size]
        if offset % PAGE or not 0 < len(page) == size <= PAGE or offset + size > min(before, after):
            what = f"has a page of {size} bytes at {offset}, expected pages of up to {PAGE} bytes"
            raise OSError(errno.EINVAL, f"{what} within the file; remove it", str(name))
        pages[offset // PAGE] = _Page(page, tuple(sums[: -(-size // SECTOR)]))
        at += _ENTRY.size + size
    return _Change(body[:named].decode(errors="replace"), before, after, added, pages)


def _largest_journal(path: Path) -> int:
    """Bytes of a journal that replaces every page of the file, or every stored one.

    A hole of a large file takes no space, but memory where it is read.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        size = 0
    else:
        stored = 512 * getattr(status, "st_blocks", 0)  # not every system counts them
        size = min(status.st_size, max(stored, _SMALL)) if stored else status.st_size
    return _SEAL.size + _LONGEST_NAME + size + _ENTRY.size * (size // PAGE + 1)


def _check_belongs(change: _Change, file: io.FileIO, path: Path) -> None:
    """Raise ForeignJournal unless the change was made for the file as it stands."""
    size = os.fstat(file.fileno()).st_size
    if size < change.after:
        what = f"the file has {size} bytes, and had {change.after} when it was written"
    elif _sum_of(file, change.before, change.after) != change.added:
        what = "the file ends otherwise than when it was written"
    elif not all(page.fits(_read_page(file, n, page)) for n, page in change.pages.items()):
        what = "the file was changed since it was written"
    else:
        return
    raise ForeignJournal(f"{journal_path(path)}: is of another state of {path.name}: {what}")


def _finish(journal: io.FileIO, path: Path, run_id: str, durable: bool) -> bool:
    """Apply a sealed journal to its file and empty it; True where there was one."""
    change = _read_change(journal, path)
    finished = False
    if change is not None:
        with _open_to_change(path) as file:
            _check_belongs(change, file, path)
            if change.run_id != run_id:
                raise ForeignJournal(
                    f"{journal_path(path)}: is of the run {change.run_id!r}, not of {run_id!r}"
                )
            if finished := not change.is_in(file):
                _apply(file, change, durable)
    _clear(journal)
    return finished


def _apply(file: io.FileIO, change: _Change, durable: bool) -> None:
    _lock_steady(file.fileno(), _EXCLUSIVE)
    try:
        for number, page in change.pages.items():
            _pwrite(file.fileno(), page.content, number * PAGE)
        os.ftruncate(file.fileno(), change.after)
    finally:
        _lock_steady(file.fileno(), _FREE)
    if durable:
        os.fsync(file.fileno())


def _discard(journal: io.FileIO, path: Path, run_id: str, durable: bool) -> None:
    """Empty the journal of a file that is replaced, whose pages must not get into the new one."""
    change = _read_change(journal, path)
    if change is not None:
        if change.run_id != run_id:
            raise ForeignJournal(f"{journal_path(path)}: is of the run {change.run_id!r}")
        # Into the old file first, which stays whole should the new one not take its place.
        with suppress(ForeignJournal, FileNotFoundError):
            _finish(journal, path, run_id, durable)
    _clear(journal)
    if durable:
        os.fsync(journal.fileno())


def _put_in_place(draft: Path, path: Path, overwrite: bool, durable: bool) -> None:
    if os.path.lexists(path) and not overwrite:
        raise FileExistsError(errno.EEXIST, "exists already", str(path))
    if durable:
        with draft.open("rb") as file:
            os.fsync(file.fileno())
    os.replace(draft, path)


def _clear(journal: io.FileIO) -> None:
    """Remove the seal; the magic bytes stay, by which the rest is recognised as ours."""
    os.ftruncate(journal.fileno(), len(_MAGIC))


def _open_journal(name: Path, flags: int) -> io.FileIO:
    """Open the journal, a regular file and no link: checked first, since a device might act."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with _named_links(name):
        if not (flags & os.O_CREAT) or os.path.lexists(name):
            _check_regular(os.lstat(name), name)
        # Not in append mode, in which Linux ignores the offset of pwrite.
        mode = "r+" if flags & os.O_RDWR else "r"
        journal = io.FileIO(name, mode, opener=lambda path, _: os.open(path, flags, 0o666))
    status = os.fstat(journal.fileno())
    try:
        _check_regular(status, name)
        if flags & os.O_RDWR and status.st_nlink > 1:
            raise OSError(errno.EMLINK, "has several names (hard links), remove it", str(name))
    except BaseException:
        journal.close()
        raise
    return journal


def _open_to_change(path: Path) -> io.FileIO:
    """Open the file to be changed: a regular one, no link, with no other name."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    with _named_links(path):
        _check_regular(os.lstat(path), path)
        file = io.FileIO(path, "r+", opener=lambda name, _: os.open(name, flags))
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
        return file
    file.close()
    raise OSError(errno.EMLINK, "has several names (hard links), work on a copy", str(path))


@contextmanager
def _named_links(path: Path) -> Iterator[None]:
    """Report a link that was put in place of the file as one that was there before."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _irregular("a symbolic link", path) from None


def _check_regular(status: os.stat_result, path: Path) -> None:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    if not stat.S_ISREG(status.st_mode):
        raise _irregular(kinds.get(stat.S_IFMT(status.st_mode), "a device"), path)


def _irregular(kind: str, path: Path) -> OSError:
    return OSError(errno.EINVAL, f"is {kind}, expected a regular file", str(path))


def _lock(name: Path, durable: bool) -> io.FileIO:
    """Open or make the journal, and lock it; waits a moment for other writers."""
    import fcntl  # here, since reading needs no lock and must work without fcntl

    deadline = time.monotonic() + PATIENCE
    while True:
        journal = _open_journal(name, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_named(journal, name):
                _begin(journal, durable)
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


def _begin(journal: io.FileIO, durable: bool) -> None:
    """Write the magic bytes into an empty journal, so that they outlive a crash."""
    if os.fstat(journal.fileno()).st_size == 0:
        _pwrite(journal.fileno(), _MAGIC, 0)
        if durable:
            os.fsync(journal.fileno())


def _is_named(file: io.FileIO, name: Path) -> bool:
    """Whether `name` is still this file, which the last holder of the lock may have removed."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.lstat(name))
    except FileNotFoundError:
        return False


def _lock_steady(descriptor: int, kind: str) -> None:
    """Wait for the lock, within bounds; without effect where there are no such locks."""
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


def _sync_folder(path: Path) -> None:
    """Make names in the folder of `path` outlive a power cut."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _sum_of(file: io.FileIO, start: int, stop: int) -> int:
    """CRC-32 of a part of the file."""
    crc, buffer = 0, bytearray(max(0, min(_ADDED, stop - start)))
    for at in range(start, stop, _ADDED):
        part = memoryview(buffer)[: min(_ADDED, stop - at)]
        _read_at(file, part, at)
        crc = zlib.crc32(part, crc)
    return crc


def _read_page(file: io.FileIO, number: int, page: _Page) -> bytes:
    stored = bytearray(len(page.content))
    _read_at(file, memoryview(stored), number * PAGE)
    return bytes(stored)


def _read_at(file: io.FileIO, view: memoryview, offset: int) -> None:
    """Fill `view` from the file, with zeros beyond its end.

    A fork shares the position of a file, so that it is used only where there is no other way.
    """
    while view:
        if hasattr(os, "preadv"):
            got = os.preadv(file.fileno(), [view], offset)
        else:
            file.seek(offset)
            got = file.readinto(view)
        if not got:
            view[:] = bytes(len(view))
            return
        view, offset = view[got:], offset + got


def _pwrite(descriptor: int, data: ReadableBuffer, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _sector_sums(page: bytes) -> tuple[int, ...]:
    return tuple(zlib.crc32(page[at : at + SECTOR]) for at in range(0, len(page), SECTOR))


def _padded(sums: tuple[int, ...]) -> tuple[int, ...]:
    return sums + (0,) * (PAGE // SECTOR - len(sums))


def _pages(start: int, stop: int) -> range:
    return range(start // PAGE, -(-stop // PAGE) if stop > start else start // PAGE)
