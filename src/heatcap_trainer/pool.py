"""Runs in parallel: single-threaded processes, each given one batch of runs after another.

A process that dies, or a run that raises, loses its own batch alone.  A worker that loses its
parent notices at its next report and ends.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from heatcap_trainer.config import RunConfig

__all__ = ["Event", "work_through"]

_CONTEXT = get_context("spawn")  # fork and threads can hang
_REPORT_SECONDS = 0.5
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True)
class Event:
    """Event of one batch of runs."""

    kind: str  # "step", "done" or "failed"
    batch: int
    step: int = 0
    reasons: tuple[tuple[str, str], ...] = ()  # (run, reason of its end)
    error: str = ""
    process: int = 0


def work_through(
    batches: Sequence[list[RunConfig]], folder: Path, *, jobs: int, device: str, resume: bool
) -> Generator[Event]:
    """Train batches of runs in `jobs` processes; yields events as they happen.

    Closing the iterator ends the processes; what they recorded can be resumed.
    """
    waiting, workers = deque(range(len(batches))), list[_Worker]()
    try:
        while waiting or workers:
            while waiting and len(workers) < jobs:
                workers.append(_Worker(folder, device, resume))
                workers[-1].give(waiting.popleft(), batches)
            for connection in wait([w.connection for w in workers]):
                worker = next(w for w in workers if w.connection is connection)
                event = worker.hear()
                yield event
                if event.kind == "step":
                    continue
                if worker.alive and waiting:
                    worker.give(waiting.popleft(), batches)
                else:
                    worker.end()
                    workers.remove(worker)
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process and the pipe to it."""

    def __init__(self, folder: Path, device: str, resume: bool) -> None:
        self.connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(
            target=_serve, args=(theirs, folder, device, resume), daemon=True
        )
        self._process.start()
        theirs.close()
        self._batch = -1
        self.alive = True

    def give(self, batch: int, batches: Sequence[list[RunConfig]]) -> None:
        self._batch = batch
        # A worker may die between two batches; `hear` then meets the end of the pipe.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send((batch, batches[batch]))

    def hear(self) -> Event:
        try:
            event = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.alive = False
            self._process.join()
            code = self._process.exitcode
            return Event("failed", self._batch, error=f"its process ended with status {code}")
        assert isinstance(event, Event)
        return event

    def end(self) -> None:
        self.connection.close()
        self._process.terminate()
        self._process.join()


def _serve(connection: Connection[Any, Any], folder: Path, device: str, resume: bool) -> None:
    """Serve batches in a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    _single_threaded(device)
    while True:
        try:
            batch, configs = connection.recv()
            connection.send(_attempt(batch, configs, folder, device, resume, connection))
        except (EOFError, OSError):  # the parent is gone
            return


def _attempt(
    batch: int,
    configs: list[RunConfig],
    folder: Path,
    device: str,
    resume: bool,
    connection: Connection[Any, Any],
) -> Event:
    from heatcap_trainer.train import train

    last = time.monotonic()

    def report(step: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _REPORT_SECONDS:
            last = time.monotonic()
            connection.send(Event("step", batch, step, process=os.getpid()))

    try:
        reasons = train(configs, folder, device=device, resume=resume, report=report)
    except BrokenPipeError:
        raise
    except Exception as error:
        text = str(error) if isinstance(error, ValueError) else traceback.format_exc()
        return Event("failed", batch, error=text)
    return Event("done", batch, reasons=tuple(reasons.items()))


def _single_threaded(device: str) -> None:
    """One thread, kept memory and, on CUDA, deterministic kernels."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    _keep_memory()
    import torch

    torch.set_num_threads(1)
    if device == "cuda":
        torch.use_deterministic_algorithms(True)


def _keep_memory() -> None:
    """Keep glibc from returning activations to the system at every step: page faults cost 10 %."""
    import ctypes

    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    mallopt(_M_TRIM_THRESHOLD, 1 << 30)
