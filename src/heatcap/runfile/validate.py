"""Reading a run file to the last number, to say all that is wrong with it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from heatcap.runfile.contents import LogitReader, journal_problem
from heatcap.runfile.integrity import DAMAGED, LayerSums
from heatcap.runfile.layout import RunFileError
from heatcap.runfile.quarantine import Limits, for_contents, in_worker
from heatcap.runfile.rules import logit_problem, mask_problem

__all__ = ["is_whole", "validate_run"]

#: Problems that are listed one by one; a broken writer makes one for every block.
LISTED = 20
_BLOCK_BYTES = 1 << 22

_Block = tuple[int, slice, slice, slice]


def validate_run(path: str | os.PathLike[str], *, untrusted: bool | Limits = False) -> list[str]:
    """The problems of a run file's contents, one sentence each; empty when there is none.

    Reads every checkpoint, in blocks of some mebibytes.  Lists the first 20 problems and counts
    the others.  An `untrusted` file is read by a process of its own, with limits of time and memory
    (see `quarantine`).  Raises RunFileError where the file is no run file at all (see `open_run`).
    """
    if untrusted:
        limits = for_contents(untrusted, Path(path))
        found: list[str] = in_worker(validate_run, path, limits=limits)
        return found
    with LogitReader(path, checked=False) as logits:
        problems = [*filter(None, [journal_problem(path)]), *logits.problems]
        if not logits.steps.size:
            problems.append("holds no checkpoint")
        every = itertools.chain(problems, _all_logit_problems(logits))
        listed = list(itertools.islice(every, LISTED))
        more = sum(1 for _ in every)
    return [*listed, f"and {more} more"] if more else listed


def is_whole(path: str | os.PathLike[str], *, untrusted: bool | Limits = False) -> bool:
    """Whether `observe` takes a run; it may look masked, or lie beside the journal of another."""
    try:
        if untrusted:
            limits = for_contents(untrusted, Path(path))
            return bool(in_worker(is_whole, path, limits=limits))
        with LogitReader(path) as logits:
            return bool(logits.steps.size) and not any(_all_logit_problems(logits, masks=False))
    except RunFileError:
        return False


def _all_logit_problems(logits: LogitReader, *, masks: bool = True) -> Iterator[str]:
    sums = LayerSums(logits.header.shape)
    for checkpoint, step in enumerate(logits.steps):
        for layer, heads, probes, queries in _blocks(logits):
            where = (slice(checkpoint, checkpoint + 1), layer, heads, probes, queries)
            block = logits.read(*where)
            sums.add(block, *where)
            for head, values in enumerate(block[0], heads.start):
                if problem := logit_problem(values) or (masks and mask_problem(values)):
                    part = _part("probe", probes, logits) + _part("query", queries, logits)
                    yield f"step {step}, layer {layer}, head {head}{part}: {problem}"
    if logits.checksums is not None:
        for checkpoint, layer in sums.wrong(logits.checksums):
            yield f"step {logits.steps[checkpoint]}, layer {layer}: {DAMAGED}"


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
