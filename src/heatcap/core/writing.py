"""Whole or nothing: an output has its old content, or all of the new one, and never a part.

The new content is a draft in the folder of the target, ``.NAME.PID.HOSTRANDOM``, that is synced and
then renamed over it.  A draft is locked for as long as its writer lives; those that are not, of
writers that were killed on this machine, are removed when the same target is written again.

* A link that stands where the target should be is replaced and never followed, so that nothing is
  written outside the folder that was named.  Only what cannot be replaced is written through:
  devices and pipes, such as /dev/stdout.
* Permissions are those of a plain ``open``: by the umask for a new file, as they were for another.
  A file that is write-protected stays.
* Two writers of one output do not mix: the later one wins, whole.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # on Windows, where a file that is open cannot be removed
    fcntl = None  # type: ignore[assignment]

__all__ = ["drafted", "whole", "write_bytes", "write_text"]

LONGEST = 255  # bytes in the name of a file
_RANDOM = 12
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8, whole or not at all; what UTF-8 has no place for as ``\\udcff``."""
    write_bytes(target, text.encode("utf-8", "backslashreplace"))


def write_bytes(target: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Write a file whole or not at all."""
    with whole(target) as draft, open(draft, "wb") as file:
        file.write(data)


@contextlib.contextmanager
def whole(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Draft of a file, which replaces it at the end of the block, and vanishes if that fails.

    Parameters
    ----------
    target : path
        Of the file, which has a folder.

    Yields
    ------
    Path
        An empty file beside the target, to be written by name.  It is locked (`flock`): HDF5 has
        to be told ``locking=False``.

    Raises
    ------
    OSError
        Names the target: there is no such folder, it is read-only, the disk is full.
    """
    path = Path(target)
    if _is_stream(path):
        with _named(path, None), _written_through(path) as draft:
            yield draft
        return
    mode = _mode(path)
    with drafted(path) as draft:
        yield draft
        _sync(draft, mode)
        os.replace(draft, path)
    _sync_folder(path.parent)


@contextlib.contextmanager
def drafted(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Draft of a file beside it, which the block may put in its place; else it vanishes."""
    path = Path(target)
    _remove_litter(path)
    with _named(path, None):
        draft, lock = _draft(path)
    try:
        with _named(path, draft):
            yield draft
    finally:
        if lock is not None:
            os.close(lock)
        with contextlib.suppress(OSError):
            draft.unlink()


# ---- drafts --------------------------------------------------------------------------------


def _prefix(path: Path) -> str:
    """What names of drafts of a file begin with; a digest where its own name is too long."""
    rest = len(f"..{2**32}.") + len(_host()) + _RANDOM
    name = os.fsencode(path.name)
    short = len(name) + rest <= LONGEST
    return f".{path.name if short else hashlib.sha256(name).hexdigest()}."


def _host() -> str:
    """This machine, for a lock is not seen from another one on every file system."""
    return hashlib.sha256(platform.node().encode("utf-8", "replace")).hexdigest()[:6]


def _draft(path: Path) -> tuple[Path, int | None]:
    """An empty file beside `path`, and what keeps it locked as long as it is open."""
    while True:
        name = f"{_prefix(path)}{os.getpid()}.{_host()}{secrets.token_hex(_RANDOM // 2)}"
        draft = path.with_name(name)
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR | _NO_LINK, 0o666)
        if fcntl is None:
            os.close(descriptor)  # an open file cannot be renamed there
            return draft, None
        # Between these lines another writer may have taken it for litter.
        if _locked(descriptor) is not False and draft.exists():
            return draft, descriptor
        os.close(descriptor)


def _locked(descriptor: int) -> bool | None:
    """Lock for as long as it is open; False if another has it, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _remove_litter(path: Path) -> None:
    """Remove drafts of `path` whose writer was killed on this machine."""
    own = re.compile(rf"{re.escape(_prefix(path))}\d+\.{_host()}[0-9a-f]{{{_RANDOM}}}")
    try:
        names = [name for name in os.listdir(path.parent) if own.fullmatch(name)]
    except OSError:  # a folder may be written and not listed
        return
    for name in names:
        with contextlib.suppress(OSError):
            _remove_if_left(path.with_name(name))


def _remove_if_left(draft: Path) -> None:
    """Remove a regular file that nobody has locked."""
    if not stat.S_ISREG(draft.lstat().st_mode):
        return
    if fcntl is None:
        if os.name == "nt":  # which refuses as long as its writer has it open
            draft.unlink()
        return
    # Non-blocking, should a pipe have taken its place.
    descriptor = os.open(draft, os.O_RDONLY | os.O_NONBLOCK | _NO_LINK)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and _locked(descriptor):
            draft.unlink()
    finally:
        os.close(descriptor)


# ---- the target ----------------------------------------------------------------------------


def _mode(path: Path) -> int | None:
    """Permissions of the file that is replaced; None if there is none."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, expected the name of a file", str(path))
    if not stat.S_ISREG(found.st_mode):
        return None
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "is write-protected", str(path))
    return stat.S_IMODE(found.st_mode) & 0o777


def _is_stream(path: Path) -> bool:
    """Whether it is a device or a pipe, or one of the names of what a process has open.

    These names are links; any other link is none of them, wherever it leads.
    """
    folder = os.path.realpath(path.parent)
    opened = folder == "/dev" or folder.startswith(("/proc/", "/dev/fd"))
    try:
        kind = (path.stat() if opened else path.lstat()).st_mode
    except OSError:
        return False
    return (opened and not stat.S_ISDIR(kind)) or not _is_replaced(kind)


def _is_replaced(kind: int) -> bool:
    return stat.S_ISREG(kind) or stat.S_ISLNK(kind) or stat.S_ISDIR(kind)


@contextlib.contextmanager
def _written_through(path: Path) -> Iterator[Path]:
    """A draft elsewhere, whose content is written to the device at the end."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, path.name)
        draft.touch()
        yield draft
        with _opened(path) as device:
            device.write(draft.read_bytes())


def _opened(path: Path) -> BinaryIO:
    """The device; what this process has open as its output goes on where that stands."""
    sys.stdout.flush()
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return open(os.dup(descriptor), "wb")
    return open(path, "wb")


# ---- to the disk ---------------------------------------------------------------------------


def _sync(draft: Path, mode: int | None) -> None:
    """Put the draft on the disk; by name, for who wrote it may have replaced it."""
    descriptor = os.open(draft, os.O_RDWR | _NO_LINK)
    try:
        if mode is not None and hasattr(os, "fchmod"):
            with contextlib.suppress(OSError):  # file systems without permissions
                os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Put the new name on the disk, where a folder can be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _named(path: Path, draft: Path | None) -> Iterator[None]:
    """Errors of the system name the target: of the draft nobody knows."""
    try:
        yield
    except OSError as error:
        known = (None, str(draft), draft)
        if error.errno is None or (draft is not None and error.filename not in known):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
