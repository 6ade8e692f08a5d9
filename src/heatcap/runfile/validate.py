"""Reading a run file to the last number, to say all that is wrong with it."""

from __future__ import annotations

import os

import h5py
import numpy as np

from .reader import LogitReader, read_header
from .writer import logit_problem

__all__ = ["validate_run"]


def validate_run(path: str | os.PathLike[str]) -> list[str]:
    """The problems of a run file's contents, one sentence each; empty when there is none.

    Reads every checkpoint, one layer at a time.  Raises RunFileError where the file is no run
    file at all (see `open_run`).
    """
    header = read_header(path)
    with h5py.File(path, "r") as h5:
        problems = [*_step_problems(h5, "step"), *_step_problems(h5, "metric_step")]
        problems += _probe_problems(h5)
        steps = h5["step"][...]
    whole = tuple(slice(0, extent) for extent in header.shape[2:5])
    with LogitReader(path) as logits:
        for checkpoint, step in enumerate(steps):
            for layer in range(header.shape[1]):
                for head in range(header.shape[2]):
                    block = logits.read(
                        slice(checkpoint, checkpoint + 1), layer, slice(head, head + 1), *whole[1:]
                    )
                    if problem := logit_problem(block):
                        problems.append(f"step {step}, layer {layer}, head {head}: {problem}")
    return problems


def _step_problems(h5: h5py.File, name: str) -> list[str]:
    steps = h5[name][...]
    if steps.size and (steps[0] < 0 or np.any(np.diff(steps) <= 0)):
        return [f"{name} does not grow strictly from 0 on"]
    return []


def _probe_problems(h5: h5py.File) -> list[str]:
    inputs = h5["probe_input"][...]
    problems = [
        f"{name} holds values other than 0, 1 and -1"
        for name in ("probe_trained", "probe_mirror_trained")
        if not np.isin(h5[name][...], (-1, 0, 1)).all()
    ]
    if len(np.unique(inputs, axis=0)) < len(inputs) and h5.attrs["probe_population"]:
        problems.append("probe_input holds an input twice, but says it is a sample without return")
    return problems
