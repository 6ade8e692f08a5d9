"""A writer that dies; run as a program, it forks one per death and tells what it had promised.

    python mortal_writer.py RUN.h5 by-signal WRITERS  kill -9 at random instants
    python mortal_writer.py RUN.h5 at-write           one writer for each write of a commit

Forking after the imports makes a death cost milliseconds.  One line of JSON per death.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from heatcap.runfile import LogitReader, RunWriter

from runs import logits_at


def write_for_ever(path: str, promise: Callable[[int], None]) -> None:
    with RunWriter.resume(path) as run:
        step = -1 if run.last_step is None else run.last_step
        while True:
            step += 1
            run.log(step, train_loss=float(step))
            run.append(step, logits_at(step))
            promise(step)


def die_by_signal(path: str, draw: random.Random) -> int:
    """Fork a writer, kill it some instants after some promises; the last step it promised."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        write_for_ever(path, lambda step: os.write(writing, b"%d\n" % step) and None)
    os.close(writing)
    with os.fdopen(reading) as promises:
        kept = [promises.readline() for _ in range(draw.randrange(1, 4))]
        for _ in range(draw.randrange(60_000)):  # up to about one commit, in no clock's units
            pass
        os.kill(child, signal.SIGKILL)
        seen = steps(path)  # while it dies
        kept += promises.read().split("\n")
    os.waitpid(child, 0)
    assert seen == steps(path)[: len(seen)], seen
    return max(int(line) for line in kept if line.strip())


def die_at_write(path: str, count: int) -> bool:
    """Fork a writer whose (count + 1)-th write to the disk kills it; whether one died so."""
    if (child := os.fork()) == 0:
        real, left = os.pwrite, count

        def pwrite(*arguments: object) -> int:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)  # type: ignore[arg-type]

        with RunWriter.resume(path) as run:
            os.pwrite = pwrite  # type: ignore[assignment]
            run.append(1 + (run.last_step or 0), logits_at(1 + (run.last_step or 0)))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def steps(path: str) -> list[int]:
    with LogitReader(path) as reader:
        return [int(step) for step in reader.steps]


def main(path: str, how: str, writers: str = "0") -> None:
    if how == "by-signal":
        draw = random.Random(7)
        for _ in range(int(writers)):
            promised = die_by_signal(path, draw)
            print(json.dumps({"promised": promised, "steps": steps(path)}), flush=True)
    else:
        count, died = 0, True
        while died:
            died = die_at_write(path, count)
            print(json.dumps({"died": died, "steps": steps(path)}), flush=True)
            count += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
