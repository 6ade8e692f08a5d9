"""Many runs through all commands: seconds, memory, results; linear in the number of runs?

    python benchmarks/load.py [--runs 100,250,500] [--folder DIR]

Writes small run files of five sizes, one in a hundred of them bad (cut off, not HDF5, without
keys, NaN among the logits, a folder), and passes them through observe, events, audit, verdict and
report.  Time is processor time of the command and its workers; memory the largest of its processes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from heatcap.observables import load
from heatcap.runfile import RunWriter

from machine import said

SIZES = (19, 31, 53, 73, 113)
BAD = ("truncated", "text", "keyless", "nan", "folder")
#: What a command may take, in bytes.
LIMIT = 2**30


@dataclass(frozen=True)
class Cost:
    seconds: float
    bytes: int
    status: int
    errors: str


def write_runs(folder: Path, count: int) -> None:
    """Run files, one in a hundred bad, in all kinds in turn."""
    folder.mkdir(parents=True)
    bad = {int(at): BAD[i % len(BAD)] for i, at in enumerate(np.arange(50, count, 100))}
    for seed in range(count):
        path = folder / f"run{seed:03}.h5"
        if bad.get(seed) == "folder":
            path.mkdir()
            continue
        _write_run(path, SIZES[seed % len(SIZES)], seed)
        _spoil(path, bad.get(seed, ""))


def _write_run(path: Path, p: int, seed: int) -> None:
    """Keys that split, inputs that scatter on the way there, and the accuracies of grokking."""
    rng = np.random.default_rng(seed)
    onset = 2200 * (19 / p) ** 0.6 * np.exp(0.2 * rng.normal())
    steps = np.unique(np.rint(np.geomspace(1, 3 * onset, 40)).astype(int))
    probe = rng.permutation(p * p)[:32]
    pattern = rng.normal(size=(2, 1, 32, 1, 3))
    with RunWriter.create(
        path, layers=1, heads=2, keys=3, queries=[2], size_name="p", size=p, seed=seed, d_k=32,
        probe_input=np.stack([probe // p, probe % p], -1), probe_trained=rng.random(32) < 0.7,
        probe_population=p * p, parameters={"p": p, "seed": seed, "fraction": 0.7},
        metrics=["train_loss", "train_accuracy", "test_accuracy"],
    ) as run:  # fmt: skip
        for step in steps:
            x = np.log(step)
            split = 3 / (1 + np.exp(-(x - np.log(onset)) / 0.4))
            scatter = 0.3 + p**0.3 * np.exp(-0.5 * ((x - np.log(0.7 * onset)) / 0.4) ** 2)
            logits = split * np.array([1.0, 0.0, -1.0]) + scatter * pattern[0]
            noise = 0.05 * rng.normal(size=(1, 2, 32, 1, 3))
            known = float(np.clip(0.99 + 0.6 * (x - 4.5), 0, 1))
            general = float(1 / (1 + np.exp(-(x - np.log(onset)) / 0.15)))
            run.log(
                int(step),
                train_loss=4 * np.exp(-x),
                train_accuracy=known,
                test_accuracy=0.98 * general,
            )
            run.append(int(step), logits + noise)
        run.finish("after_onset")


def _spoil(path: Path, how: str) -> None:
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-3000])
    elif how == "text":
        path.write_text("step,loss\n0,1\n")
    elif how:
        with h5py.File(path, "r+") as h5:
            if how == "nan":
                h5["logits"][3, 0, 1, 4] = np.nan
                return
            shape = h5["logits"].shape[:-1]
            for name, empty in (("key", (0,)), ("logits", (*shape, 0))):
                kind = h5[name].dtype
                del h5[name]
                h5.create_dataset(name, shape=empty, dtype=kind)


def commands(folder: Path) -> Iterator[tuple[str, list[str]]]:
    obs = str(folder / "obs.nc")
    what = ["--observable", "landscape_heat_capacity"]
    yield "observe", ["observe", str(folder / "runs"), "-o", obs, "--jobs", "1"]
    yield "events", ["events", obs, "-o", str(folder / "events.csv")]
    audit = str(folder / "audit.json")
    yield "audit", ["events", obs, *what, "-o", str(folder / "audited.csv"), "--json", audit]
    yield "verdict", ["verdict", obs, *what, "--json", str(folder / "verdict.json")]
    yield "report", ["report", obs, *what, "-o", str(folder / "report.html")]


def spent(arguments: list[str]) -> Cost:
    """One command as a process of its own; the usage of it and of its workers."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "heatcap", *arguments], stdout=subprocess.DEVNULL, stderr=errors
        )
        _, status, used = os.wait4(process.pid, 0)
        errors.seek(0)
        unit = 1 if sys.platform == "darwin" else 1024
        return Cost(
            used.ru_utime + used.ru_stime,
            used.ru_maxrss * unit,
            os.waitstatus_to_exitcode(status),
            errors.read(),
        )


def measure(folder: Path, count: int) -> dict[str, Cost]:
    """What each command costs for so many runs; raises where a result or an error is missing."""
    write_runs(folder / "runs", count)
    bad = len(range(50, count, 100))
    costs = {}
    for name, arguments in commands(folder):
        costs[name] = cost = spent(arguments)
        said(f"{count} runs, {name}: {cost.seconds:.1f} s, {cost.bytes / 2**20:.0f} MiB")
        if cost.status != (1 if name == "observe" and bad else 0) or "Traceback" in cost.errors:
            raise SystemExit(f"{name} ended with {cost.status}: {cost.errors[-2000:]}")
        if cost.bytes > LIMIT:
            raise SystemExit(f"{name} took {cost.bytes / 2**20:.0f} MiB, expected at most 1024")
    named = {line for line in costs["observe"].errors.splitlines() if "left out: " in line}
    found = load(folder / "obs.nc").sizes["run"]
    if (found, len(named)) != (count - bad, bad):
        raise SystemExit(f"{found} results, {len(named)} errors; expected {count - bad}, {bad}")
    return costs


def tables(counts: list[int], folder: Path) -> Iterator[str]:
    measured = {count: measure(folder / str(count), count) for count in counts}
    yield "| runs | " + " | ".join(measured[counts[0]]) + " |"
    yield "|---|" + "---|" * len(measured[counts[0]])
    for count, costs in measured.items():
        cells = (f"{c.seconds:.1f} s, {c.bytes / 2**20:.0f} MiB" for c in costs.values())
        yield f"| {count} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", default="100,250,500", help="numbers of runs")
    parser.add_argument("--folder", type=Path, help="to keep the files in; must not exist")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "load"
        for line in tables([int(n) for n in options.runs.split(",")], folder):
            print(line, flush=True)


if __name__ == "__main__":
    main()
