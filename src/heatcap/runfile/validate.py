"""Reading a run file to the last number, to say all that is wrong with it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from .reader import LogitReader, journal_problem, undisturbed
from .writer import logit_problem

__all__ = ["validate_run"]

#: Problems that are listed one by one; a broken writer makes one for every block.
LISTED = 20
#: A finite logit so far below its row's largest has no weight and looks like a mask of -1e4.
MASK_DEPTH = 5000.0
_BLOCK_BYTES = 1 << 22

_Block = tuple[int, slice, slice, slice]


def validate_run(path: str | os.PathLike[str]) -> list[str]:
    """The problems of a run file's contents, one sentence each; empty when there is none.

    Reads every checkpoint, in blocks of some mebibytes.  Lists the first 20 problems and counts
    the others.  Raises RunFileError where the file is no run file at all (see `open_run`).
    """
    with LogitReader(path) as logits:
        problems = [*filter(None, [journal_problem(path)]), *_step_problems("step", logits.steps)]
        with undisturbed(Path(path)) as source, h5py.File(source, "r") as h5:
            problems += _step_problems("metric_step", h5["metric_step"][...])
            problems += _probe_problems(h5)
            problems += _accuracy_problems(h5)
        if not logits.steps.size:
            problems.append("holds no checkpoint")
        found = itertools.chain(problems, _all_logit_problems(logits))
        listed = list(itertools.islice(found, LISTED))
        more = sum(1 for _ in found)
    return [*listed, f"and {more} more"] if more else listed


def _all_logit_problems(logits: LogitReader) -> Iterator[str]:
    for checkpoint, step in enumerate(logits.steps):
        for layer, heads, probes, queries in _blocks(logits):
            block = logits.read(slice(checkpoint, checkpoint + 1), layer, heads, probes, queries)[0]
            for head, values in enumerate(block, heads.start):
                if problem := logit_problem(values) or _mask_problem(values):
                    where = _part("probe", probes, logits) + _part("query", queries, logits)
                    yield f"step {step}, layer {layer}, head {head}{where}: {problem}"


def _blocks(logits: LogitReader) -> Iterator[_Block]:
    """Each chunk of a checkpoint once, several together up to some mebibytes."""
    layers, extents = logits.header.shape[1], logits.header.shape[2:5]
    steps = list(logits.chunk)
    for axis in (2, 1, 0):
        size = 4 * logits.header.shape[5] * int(np.prod(steps))
        steps[axis] = min(extents[axis], steps[axis] * max(1, _BLOCK_BYTES // size))
    parts = (
        [slice(at, min(at + step, extent)) for at in range(0, extent, step)]
        for extent, step in zip(extents, steps, strict=True)
    )
    for layer, (heads, probes, queries) in itertools.product(
        range(layers), list(itertools.product(*parts))
    ):
        yield layer, heads, probes, queries


def _part(dim: str, part: slice, logits: LogitReader) -> str:
    """Which part of a dimension a block is; nothing where it is the whole."""
    whole = part == slice(0, logits.header.sizes[dim])
    return "" if whole else f", {dim} {part.start} to {part.stop - 1}"


def _mask_problem(logits: np.ndarray) -> str:
    finite_low = np.where(np.isneginf(logits), np.inf, logits).min(axis=-1)
    depth = logits.max(axis=-1) - finite_low
    if (rows := int(np.count_nonzero(depth > MASK_DEPTH))) == 0:
        return ""
    return (
        f"{rows} queries have a finite logit {depth.max():.4g} below their largest: looks like an "
        f"additive mask of -1e4; an absent key is -inf"
    )


def _step_problems(name: str, steps: np.ndarray) -> list[str]:
    if steps.size and (steps[0] < 0 or np.any(np.diff(steps) <= 0)):
        return [f"{name} does not grow strictly from 0 on"]
    return []


def _accuracy_problems(h5: h5py.File) -> list[str]:
    """Accuracies in per cent would pass every threshold of the events."""
    names = [
        name for name in h5 if name.endswith("accuracy") and isinstance(h5[name], h5py.Dataset)
    ]
    found = {name: h5[name][...] for name in names}
    return [
        f"{name} holds {values[bad][0]:g}, expected fractions between 0 and 1"
        for name, values in found.items()
        if values.dtype.kind == "f" and (bad := (values < 0) | (values > 1)).any()
    ]


def _probe_problems(h5: h5py.File) -> list[str]:
    inputs = h5["probe_input"][...]
    problems = [
        f"{name} holds values other than 0, 1 and -1"
        for name in ("probe_trained", "probe_mirror_trained")
        if not np.isin(h5[name][...], (-1, 0, 1)).all()
    ]
    if len(np.unique(inputs, axis=0)) < len(inputs) and h5.attrs["probe_population"]:
        problems.append(
            "probe_input holds an input twice, but says it is a sample without replacement"
        )
    return problems
