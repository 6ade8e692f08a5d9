"""Kill `heatcap-train run` at random instants, resume it, and compare with a run left in peace.

    python benchmarks/trainer_deaths.py [--deaths 50] [--seed 0]

An instant is a number of function calls (from Python, into NumPy, torch, HDF5 or the system) that
the trainer has made since it opened its files; there it dies by kill -9, command and worker at
once.  Every third death is followed by another one while the run is resumed.  In the end metrics,
steps, logits and all weights are those of the run that was left in peace, bit for bit.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # of the optimiser; imported here, so that no death falls into the import

import heatcap_trainer.train  # noqa: F401  (likewise)
from heatcap.runfile import open_run
from heatcap_trainer import cli, pool

CONFIG = """
[task]
p = 5
[model]
d_model = 16
heads = 2
d_mlp = 32
[record]
probe_size = 10
checkpoints_per_decade = 3
checkpoint_every = 10
metrics_every = 5
weights = true
state_seconds = 0.0
[stop]
max_steps = 30
"""


def train(folder: Path, dies_at: int | None = None) -> int:
    """The command in a process of its own; what it ended with, negative for a signal."""
    if (child := os.fork()) == 0:
        os.setpgid(0, 0)  # so that it can be killed together with its worker
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        # Forked, so that a worker starts in milliseconds; no thread of torch has been started.
        pool._CONTEXT = get_context("fork")  # type: ignore[assignment]
        pool._attempt = partial(_attempt, pool._attempt, dies_at, folder / "calls")
        arguments = ["run", str(folder / "config.toml"), "-o", str(folder), "--resume"]
        try:
            cli.app([*arguments, "--device", "cpu", "--jobs", "1"])
        except SystemExit as end:
            os._exit(int(end.code or 0))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _attempt(real: Any, dies_at: int | None, count: Path, *arguments: Any) -> Any:
    """The worker's training, with its calls counted."""
    calls = 0

    def counted(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == dies_at:
            os.killpg(0, signal.SIGKILL)

    sys.setprofile(counted)
    try:
        return real(*arguments)
    finally:
        sys.setprofile(None)
        count.write_text(str(calls))


def results(folder: Path) -> dict[str, Any]:
    """All that training leaves, by name: arrays of the run, its end, bytes of the weights."""
    (path,) = folder.glob("*.h5")
    with open_run(path) as run:
        found: dict[str, Any] = {str(name): run[name].values for name in run.variables}
        found["end"] = np.array(run.attrs["stop_reason"])
    files = [*folder.glob("weights/*/*"), *folder.glob("state/*")]
    return found | {str(file.relative_to(folder)): file.read_bytes() for file in files}


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        value.tobytes() == other[name].tobytes()
        if isinstance(value, np.ndarray)
        else value == other[name]
        for name, value in one.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--deaths", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:

        def fresh(name: str) -> Path:
            folder = Path(scratch) / name
            folder.mkdir()
            (folder / "config.toml").write_text(CONFIG)
            return folder

        peace = fresh("peace")
        if status := train(peace):
            raise SystemExit(f"the run that is left in peace ended with {status}")
        whole, calls = results(peace), int((peace / "calls").read_text())
        folders = deaths = wrong = 0
        while deaths < options.deaths:
            folder = fresh(str(folders := folders + 1))
            instants = [draw.randrange(1, calls) for _ in range(2 if deaths % 3 == 2 else 1)]
            ends = [train(folder, dies_at) for dies_at in instants] + [train(folder)]
            if ends[0] == 0:  # the number of calls is not quite the same each time
                continue
            deaths += 1
            good = ends[0] == -signal.SIGKILL and ends[-1] == 0 and equal(whole, results(folder))
            wrong += not good
            print(f"killed at call {instants} of {calls}: {'equal' if good else ends}", flush=True)
    print(f"{options.deaths - wrong} of {options.deaths} resumed bit-equal")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
