"""Atomic output: a file has its old content or all of the new one, never a part.

The new content is a draft in the folder of the target, ``.NAME.PID.HOSTRANDOM``, which is synced
and then renamed over the target.  A draft is locked as long as its writer lives; unlocked ones, of
writers that were killed on this machine, are removed when the same target is written again.

* A link in place of the target is replaced and never followed, so that nothing is written outside
  the folder that was named.  Only devices and pipes, such as /dev/stdout, are written through,
  since they cannot be replaced.
* Permissions are those of a plain ``open``: by the umask for a new file, unchanged for an existing
  one.  A write-protected file stays.
* Two writers of one output do not mix: the later one wins.
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

__all__ = ["drafted", "html_path", "whole", "write_bytes", "write_text"]

LONGEST = 255  # bytes in the name of a file
_RANDOM = 12
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def html_path(target: str | os.PathLike[str]) -> Path:
    """Return the path of a page; raise ValueError if it does not end in .html or .htm."""
    path = Path(target)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{path}: a page is written as .html, got {path.suffix!r}")
    return path


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8, whole or not at all; lone surrogates as ``\\udcff``."""
    write_bytes(target, text.encode("utf-8", "backslashreplace"))


def write_bytes(target: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Write a file whole or not at all."""
    with whole(target) as draft, open(draft, "wb") as file:
        file.write(data)


@contextlib.contextmanager
def whole(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Provide a draft that replaces a file at the end of the block, unless the block fails.

    Parameters
    ----------
    target : path
        The file; its folder must exist.

    Yields
    ------
    Path
        An empty file beside the target, to be written by name.  It is locked (`flock`): HDF5 needs
        ``locking=False``.

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
    """Provide a draft beside a file, which the block may rename; else it is removed."""
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
    """Beginning of the names of drafts of a file; a digest if its name is too long."""
    rest = len(f"..{2**32}.") + len(_host()) + _RANDOM
    name = os.fsencode(path.name)
    short = len(name) + rest <= LONGEST
    return f".{path.name if short else hashlib.sha256(name).hexdigest()}."


def _host() -> str:
    """Digest of this machine's name: some file systems do not share locks between machines."""
    return hashlib.sha256(platform.node().encode("utf-8", "replace")).hexdigest()[:6]


def _draft(path: Path) -> tuple[Path, int | None]:
    """An empty file beside `path`, and the descriptor that locks it while it is open."""
    while True:
        name = f"{_prefix(path)}{os.getpid()}.{_host()}{secrets.token_hex(_RANDOM // 2)}"
        draft = path.with_name(name)
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR | _NO_LINK, 0o666)
        if fcntl is None:
            os.close(descriptor)  # an open file cannot be renamed there
            return draft, None
        # Since it was opened, another writer may have removed it as litter.
        if _locked(descriptor) is not False and draft.exists():
            return draft, descriptor
        os.close(descriptor)


def _locked(descriptor: int) -> bool | None:
    """Lock an open file; False if another process has the lock, None without locks."""
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
    draft_name = re.compile(rf"{re.escape(_prefix(path))}\d+\.{_host()}[0-9a-f]{{{_RANDOM}}}")
    try:
        names = [name for name in os.listdir(path.parent) if draft_name.fullmatch(name)]
    except OSError:  # a folder may be written and not listed
        return
    for name in names:
        with contextlib.suppress(OSError):
            _remove_if_left(path.with_name(name))


def _remove_if_left(draft: Path) -> None:
    """Remove a regular file that no process has locked."""
    if not stat.S_ISREG(draft.lstat().st_mode):
        return
    if fcntl is None:
        if os.name == "nt":  # Windows refuses while its writer has it open
            draft.unlink()
        return
    # Non-blocking, in case a pipe has taken its place.
    descriptor = os.open(draft, os.O_RDONLY | os.O_NONBLOCK | _NO_LINK)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and _locked(descriptor):
            draft.unlink()
    finally:
        os.close(descriptor)


# ---- the target ----------------------------------------------------------------------------


def _mode(path: Path) -> int | None:
    """Permissions of the file to be replaced; None if there is none."""
    try:
        info = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(info.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, expected the name of a file", str(path))
    if not stat.S_ISREG(info.st_mode):
        return None
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "is write-protected", str(path))
    return stat.S_IMODE(info.st_mode) & 0o777


def _is_stream(path: Path) -> bool:
    """Whether a path is a device, a pipe or an open descriptor such as /dev/stdout.

    Names of descriptors are links; any other link is not followed.
    """
    folder = os.path.realpath(path.parent)
    opened = folder == "/dev" or folder.startswith(("/proc/", "/dev/fd"))
    try:
        kind = (path.stat() if opened else path.lstat()).st_mode
    except OSError:
        return False
    replaceable = stat.S_ISREG(kind) or stat.S_ISLNK(kind) or stat.S_ISDIR(kind)
    return (opened and not stat.S_ISDIR(kind)) or not replaceable


@contextlib.contextmanager
def _written_through(path: Path) -> Iterator[Path]:
    """Provide a draft elsewhere, whose content is written to the device at the end."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, path.name)
        draft.touch()
        yield draft
        with _opened(path) as device:
            device.write(draft.read_bytes())


def _opened(path: Path) -> BinaryIO:
    """Open the device; the output of this process is continued at its position."""
    sys.stdout.flush()
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return open(os.dup(descriptor), "wb")
    return open(path, "wb")


# ---- to the disk ---------------------------------------------------------------------------


def _sync(draft: Path, mode: int | None) -> None:
    """Sync the draft to the disk, by name, since its writer may have replaced the file."""
    descriptor = os.open(draft, os.O_RDWR | _NO_LINK)
    try:
        if mode is not None and hasattr(os, "fchmod"):
            with contextlib.suppress(OSError):  # file systems without permissions
                os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Sync the new name to the disk, where a folder can be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _named(path: Path, draft: Path | None) -> Iterator[None]:
    """Make errors of the system name the target instead of the draft."""
    try:
        yield
    except OSError as error:
        of_draft = (None, str(draft), draft)
        if error.errno is None or (draft is not None and error.filename not in of_draft):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
