"""Work on files in separate processes: a hang, crash or lack of memory costs one file alone.

HDF5 itself can hang or crash on hostile bytes, and the system kills what takes too much memory.
Workers live long, since a start costs as much as a hundred headers; one that dies or overruns its
`Limits` is replaced, and the file it had at hand gets a `RunFileError` that says so.  Limits of
time hold everywhere, those of memory on Linux alone.  A worker is no sandbox: it has the rights of
the program, which unpickles what it sends.
"""

from __future__ import annotations

import math
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from heatcap.runfile.layout import RunFileError

__all__ = [
    "UNLIMITED",
    "Limits",
    "for_contents",
    "for_header",
    "in_worker",
    "in_workers",
    "stored_bytes",
]

_GIBIBYTE = 1 << 30
#: No file takes more than this unless the caller says so; it is reached at some gigabytes.
_LONGEST, _LARGEST = 6 * 3600.0, 16 * _GIBIBYTE

#: One idle worker is kept for the next call, whose files may come one by one.
_idle: list[_Worker] = []


@dataclass(frozen=True)
class Limits:
    """Limits for one file: seconds of time, and bytes of memory on top of the program's own."""

    seconds: float = math.inf
    memory: float = math.inf


UNLIMITED = Limits()


def for_header(untrusted: bool | Limits) -> Limits:
    """Return the limits for a header: a thousand times what it takes."""
    return untrusted if isinstance(untrusted, Limits) else Limits(20.0, _GIBIBYTE)


def for_contents(untrusted: bool | Limits, path: Path, passes: int = 1) -> Limits:
    """Return the limits for reading a file to its end: a hundred times what it takes."""
    if isinstance(untrusted, Limits):
        return untrusted
    size = stored_bytes(path)
    return Limits(
        min(60.0 + passes * size / 2**20, _LONGEST), min(2 * _GIBIBYTE + 4 * size, _LARGEST)
    )


def stored_bytes(path: Path) -> int:
    """Count the bytes of a file that are stored: the size of a sparse file costs nothing."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return 0  # the worker reports why
    blocks: int = getattr(status, "st_blocks", 0)  # Windows and some file systems count none
    return min(status.st_size, 512 * blocks) if blocks else status.st_size


def in_workers(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    limits: Sequence[Limits],
    jobs: int = 1,
) -> Iterator[tuple[int, Any]]:
    """Yield number and outcome of ``function(*task)`` for each task, as they come.

    The first item of a task is the file that it is about.  Whatever goes wrong with it is a
    RunFileError as its outcome.  Function and outcome travel by pickle, and so do warnings, which
    are given again here.

    Raises
    ------
    RuntimeError
        If no worker can be started.
    """
    waiting, busy = list(range(len(tasks)))[::-1], list[_Worker]()
    try:
        while waiting or busy:
            while waiting and len(busy) < jobs:
                number = waiting.pop()
                busy.append(worker := _idle.pop() if _idle else _Worker())
                worker.begin(number, function, tasks[number], limits[number])
            for worker in _ready(busy):
                outcome = worker.outcome()
                if outcome is _BEGUN:
                    continue
                busy.remove(worker)
                if outcome is _NEVER_BEGUN:
                    waiting.append(worker.number)
                if worker.alive:
                    _idle.append(worker)
                _dismiss(len(waiting))
                for told in worker.warnings:
                    warnings.warn_explicit(*told)
                if outcome is not _NEVER_BEGUN:
                    yield worker.number, outcome
    finally:
        for worker in busy:
            worker.kill()
        _dismiss(0)


def _dismiss(tasks: int) -> None:
    """End all but one of the idle workers that the waiting tasks do not need."""
    while len(_idle) > max(1, tasks):
        _idle.pop().kill()


def in_worker(function: Callable[..., Any], *task: Any, limits: Limits) -> Any:
    """Call ``function(*task)``, whose first argument is a file; raises its RunFileError."""
    ((_, outcome),) = in_workers(function, [task], [limits])
    if isinstance(outcome, RunFileError):
        raise outcome
    return outcome


def _ready(busy: Sequence[_Worker]) -> list[_Worker]:
    """Workers that have a message, died, or have used up their time."""
    left = min(worker.deadline for worker in busy) - time.monotonic()
    # The pipe of a dead worker is ready as well, at its end.
    ready = wait([worker.pipe for worker in busy], None if left == math.inf else max(0.0, left))
    now = time.monotonic()
    return [worker for worker in busy if worker.pipe in ready or worker.deadline <= now]


_BEGUN, _NEVER_BEGUN = object(), object()

#: Text, category, file and line, as `warnings.warn_explicit` takes them.
_Warning = tuple[str, type[Warning], str, int]


class _Worker:
    """A process that does one task after the other."""

    def __init__(self) -> None:
        # spawn: HDF5 and numba hold locks and threads that a fork would copy half-way.
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self.alive, self._new = True, True

    def begin(
        self, number: int, function: Callable[..., Any], task: tuple[Any, ...], limits: Limits
    ) -> None:
        """Hand over a task; its time runs from the moment when the worker has it."""
        self.number, self._path, self._limits = number, task[0], limits
        self._begun, self.deadline = False, math.inf
        self.warnings: Sequence[_Warning] = ()
        # The program may have changed its folder since the worker started.
        folder = "" if os.path.isabs(task[0]) else os.getcwd()
        with suppress(ConnectionError):  # `outcome` finds that it died
            self.pipe.send((folder, function, task, limits.memory))

    def outcome(self) -> Any:
        """Outcome of the task; `_BEGUN` where it has begun, `_NEVER_BEGUN` where it will not."""
        if not self.pipe.poll():
            self.kill()
            return self._error(f"reading it took longer than {self._limits.seconds:g} s")
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):  # the latter if it died in the middle of a message
            return self._death()
        if self._begun:
            outcome, self.warnings = message
            return outcome
        self._begun, self._new = True, False
        self.deadline = time.monotonic() + self._limits.seconds
        return _BEGUN

    def _death(self) -> Any:
        """Outcome of a task whose worker died; RuntimeError where it never started."""
        self._process.join()
        status = self._process.exitcode or 0
        self.kill()
        if self._new:
            raise RuntimeError(
                f"a worker process could not start (exit status {status}); does the calling script "
                f"keep what it runs under `if __name__ == '__main__':`?"
            )
        if not self._begun:
            return _NEVER_BEGUN  # it died while idle
        if status >= 0:
            return self._error(f"reading it ended the worker process (exit status {status})")
        # Windows has no SIGKILL, and signals of real time have no names.
        names = {int(known_signal): f", {known_signal.name}" for known_signal in signal.Signals}
        name = names.get(-status, "")
        perhaps = ", perhaps for lack of memory" if name == ", SIGKILL" else ""
        return self._error(
            f"reading it killed the worker process (signal {-status}{name}{perhaps})"
        )

    def _error(self, problem: str) -> RunFileError:
        return RunFileError(f"{self._path}: {problem}")

    def kill(self) -> None:
        """End the process and close its pipe; a worker only reads, so nothing is lost."""
        if self.alive:
            self.alive = False
            self._process.kill()
            self._process.join()
            self._process.close()
            self.pipe.close()


def _serve(pipe: Connection) -> None:
    """Serve tasks until the pipe closes, also with the process that started the worker."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the program, which kills its workers
    with suppress(EOFError, OSError), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")  # the program filters them
        while True:
            folder, function, task, memory = pipe.recv()
            told.clear()
            pipe.send("begun")
            try:
                if folder:
                    os.chdir(folder)
                with _memory(memory):
                    outcome = function(*task)
                pipe.send((outcome, _plain(told)))
            except RunFileError as error:
                pipe.send((error, _plain(told)))
            except MemoryError:
                problem = "reading it takes more memory than it may"
                pipe.send((RunFileError(f"{task[0]}: {problem}"), _plain(told)))
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
                pipe.send((RunFileError(f"{task[0]}: {problem}"), _plain(told)))


def _plain(told: Sequence[warnings.WarningMessage]) -> list[_Warning]:
    """Warnings as they travel, each once."""
    records = ((str(one.message), one.category, one.filename, one.lineno) for one in told)
    return list(dict.fromkeys(records))


@contextmanager
def _memory(more: float) -> Iterator[None]:
    """Limit the address space to so many bytes more than the process has now (Linux)."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        used = pages * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError):
        more = math.inf
    if more == math.inf:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    # Never above a limit that the user has set.
    given = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    most = min([used + int(more), *given])
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=_idle.clear
    )  # workers are children of the parent, not of a fork
