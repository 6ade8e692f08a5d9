"""Run files for tests, small enough to be made on the spot."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np

from heatcap.runfile import RunWriter

SHAPE = {"layers": 1, "heads": 2, "keys": 3, "queries": [2]}


def create_run(path: Path, **changes: Any) -> RunWriter:
    """A writer for addition modulo 5 with the whole population as its probe."""
    p = 5
    pairs = np.stack(np.meshgrid(np.arange(p), np.arange(p), indexing="ij"), -1).reshape(-1, 2)
    probe = np.column_stack([pairs, np.full(len(pairs), p)])
    arguments: dict[str, Any] = {
        **SHAPE,
        "probe_input": probe,
        "probe_trained": np.arange(p * p) % 2,
        "probe_mirror_trained": np.arange(p * p) % 3 == 0,
        "probe_population": p * p,
        "size_name": "p",
        "size": p,
        "seed": 0,
        "parameters": {"p": p, "seed": 0, "fraction": 0.5, "weight_decay": 1.0},
        "d_k": 32,
    }
    return RunWriter.create(path, **(arguments | changes))


def logits_at(step: int, shape: tuple[int, ...] = (1, 2, 25, 1, 3)) -> np.ndarray:
    """Reproducible logits of one checkpoint."""
    return np.random.default_rng(step).normal(size=shape).astype(np.float32)


def write_run(path: Path, steps: int = 5, reason: str = "step limit", **changes: Any) -> Path:
    with create_run(path, **changes) as run:
        shape = run.shape
        for step in range(steps):
            run.log(step, train_loss=1.0 / (step + 1), test_accuracy=step / steps)
            run.append(step, logits_at(step, shape))
        if reason:
            run.finish(reason)
    return path


def seal_a_commit(path: Path, step: int = 99) -> None:
    """Leave the file as a writer does that is killed when it has sealed its journal."""
    run = RunWriter.resume(path)
    sealed = run._journal._write_journal

    def die(content: bytes) -> None:
        sealed(content)
        raise KeyboardInterrupt

    with mock.patch.object(run._journal, "_write_journal", die):
        try:
            run.append(step, logits_at(step, run.shape))
        except KeyboardInterrupt:
            return
    raise AssertionError("the writer lives")


def snapshot(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Names, kinds, times and contents of all that is in a folder; links are not followed."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        seen = os.lstat(path)
        small = stat.S_ISREG(seen.st_mode) and seen.st_size < 1 << 24
        content = path.read_bytes() if small else b""
        name = os.fspath(path.relative_to(folder))
        found[name] = (seen.st_mode, seen.st_ino, seen.st_size, seen.st_mtime_ns, content)
    return found


def as_version_1(path: Path) -> Path:
    """The same run as older writers left it, without checksums; tests may change it then."""
    with h5py.File(path, "r+") as h5:
        h5.attrs["format_version"] = 1
        del h5.attrs["header_checksum"], h5["logits_checksum"]
        for variable in h5.values():
            variable.attrs.pop("checksum", None)
    return path
