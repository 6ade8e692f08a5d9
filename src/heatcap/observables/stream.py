"""One run file -> its observables as arrays, in bounded memory.

The logits of a run may be larger than the memory; what is asked of them is averages over the
probe.  So blocks of about `BLOCK_BYTES` go through the kernels: for every layer, group of heads,
group of queries and part of the probe, all checkpoints one after the other.  Moments of the parts
of a probe merge, and a path through the checkpoints needs two earlier ones at hand, no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatcap.attention import heat_capacity_bound
from heatcap.attention.geometry import Block, Fields, Time, TrainingPath, along_depth, clock, ranges
from heatcap.attention.kernels import ROW_COLUMNS, weigh_words
from heatcap.attention.moments import (
    Subsets,
    TableMoments,
    merge_into,
    table_heat_capacities,
    table_moments,
)
from heatcap.core.arrays import Floats
from heatcap.core.quantities import (
    BOUND,
    FREE_ENERGY,
    INPUTS,
    KEYS,
    POOLED,
    SCAN_DIMS,
    SCANNED,
    TABLE_DIMS,
    scan_of,
)
from heatcap.runfile import LogitReader, RunFileError
from heatcap.runfile.integrity import DAMAGED, LayerSums
from heatcap.runfile.rules import MASK_DEPTH, logit_problem, mask_problem

__all__ = ["BLOCK_BYTES", "observe_logits"]

BLOCK_BYTES = 1 << 19  # larger ones leave the cache between the reading and the computing


def observe_logits(
    reader: LogitReader,
    steps: NDArray[np.int64],
    trained: NDArray[np.int8],
    *,
    temperatures: Sequence[float] = (),
    geometry: Time | None = None,
) -> tuple[Fields, str]:
    """All observables of a run's logits, with its `steps` (checkpoint,) and `trained` (probe,).

    Those of its path only where `geometry` says in which time.  And a caution where they look as if
    a mask was left in them, or "".  Raises RunFileError where `validate_run` finds anything else
    wrong with the logits.
    """
    tables = _Tables(reader.header.shape, temperatures)
    path = TrainingPath(reader.header.shape) if geometry else None
    guard = _Guard(reader)
    population = reader.header.probe_population
    for block in _blocks(reader):
        subsets = _subsets(trained[block.probes], block.queries)
        _run_through(reader, block, subsets, (guard, tables, path))
        if block.probes.stop == reader.header.shape[3]:
            tables.close(block, population)
    guard.check()
    fields = tables.fields()
    if geometry and path:
        fields |= path.fields("fisher", tables.potential, clock(steps, geometry))
        if reader.header.shape[1] > 1:
            fields |= along_depth(reader, tables.potential, BLOCK_BYTES)
    return fields | _visible_keys(reader), guard.caution


def _blocks(reader: LogitReader) -> Iterator[Block]:
    """Blocks of whole chunks and bounded size; the parts of a probe follow one another."""
    _, layers, heads, probes, queries, keys = reader.header.shape
    head, probe, query = reader.chunk
    probe_step = _multiple(probe, BLOCK_BYTES // (4 * keys * query * head), probes)
    query_step = _multiple(query, BLOCK_BYTES // (4 * keys * probe_step * head), queries)
    head_step = _multiple(head, BLOCK_BYTES // (4 * keys * probe_step * query_step), heads)
    for layer in range(layers):
        for head_part in ranges(heads, head_step):
            for query_part in ranges(queries, query_step):
                for probe_part in ranges(probes, probe_step):
                    yield Block(layer, head_part, probe_part, query_part)


def _multiple(unit: int, count: int, most: int) -> int:
    """The largest multiple of `unit` up to `count`, one unit at the least."""
    return min(most, max(unit, count // unit * unit))


def _subsets(trained: NDArray[np.int8], queries: slice) -> dict[str, Subsets]:
    count = queries.stop - queries.start
    every = np.ones(len(trained), dtype=bool)
    return {
        "inputs": Subsets.of([every, trained == 1, trained == 0], count),
        "scan": Subsets.of([every], count),
    }


def _run_through(
    reader: LogitReader,
    block: Block,
    subsets: dict[str, Subsets],
    sinks: tuple[_Guard, _Tables, TrainingPath | None],
) -> None:
    """All checkpoints of one block, as many at once as fit."""
    guard, tables, path = sinks
    heads, probes, queries = (
        part.stop - part.start for part in (block.heads, block.probes, block.queries)
    )
    each = 4 * heads * probes * queries * reader.header.shape[-1]
    for checkpoints in ranges(reader.header.checkpoints, max(1, BLOCK_BYTES // each)):
        logits = reader.read(checkpoints, block.layer, block.heads, block.probes, block.queries)
        guard.add(checkpoints, block, logits)
        try:
            every = subsets["inputs"]
            moments = path.add(checkpoints, block, logits, every) if path else None
            tables.add(checkpoints, logits, subsets, moments)
        except ValueError:
            guard.look(checkpoints, block, logits)
            raise


class _Guard:
    """Refuses logits that `validate_run` refuses, and tells of what may be a mask or diverged.

    NaN, +inf and rows without a key are found by the kernels.  Only a block that holds a large
    number is looked at row by row, so that the others cost no more than their checksums.
    """

    def __init__(self, reader: LogitReader) -> None:
        self._reader = reader
        self._sums = LayerSums(reader.header.shape, self._row_sums)
        self._large = False
        self.caution = ""

    def _row_sums(self, words: NDArray[np.uint32], starts: NDArray[np.uint64]) -> Any:
        sums, largest = weigh_words(words, starts)
        self._large = largest >= MASK_DEPTH / 2
        return sums

    def add(self, checkpoints: slice, block: Block, logits: NDArray[np.float32]) -> None:
        """Look at one block (checkpoint, head, probe, query, key), in any order."""
        parts = (block.layer, block.heads, block.probes, block.queries)
        self._sums.add(logits, checkpoints, *parts)
        if self._large:
            self.look(checkpoints, block, logits)

    def look(self, checkpoints: slice, block: Block, logits: NDArray[np.float32]) -> None:
        """Raise what is wrong with a block, if anything is, with its step and layer."""
        for checkpoint, values in enumerate(logits, checkpoints.start):
            if problem := logit_problem(values):
                self._refuse(checkpoint, block.layer, problem)
            if not self.caution and (doubt := mask_problem(values)):
                step = self._reader.steps[checkpoint]
                self.caution = (
                    f"step {step}, layer {block.layer}: {doubt}; `heatcap validate` lists all"
                )

    def check(self) -> None:
        """Raise for the first layer of a checkpoint whose logits are not those written."""
        if self._reader.checksums is not None:
            for checkpoint, layer in self._sums.wrong(self._reader.checksums):
                self._refuse(checkpoint, layer, DAMAGED)

    def _refuse(self, checkpoint: int, layer: int, problem: str) -> None:
        path, step = self._reader.header.path, self._reader.steps[checkpoint]
        raise RunFileError(f"{path}: step {step}, layer {layer}: {problem}")


class _Tables:
    """Heat capacities and averages per table (checkpoint, layer, head), all temperatures."""

    def __init__(self, shape: Sequence[int], temperatures: Sequence[float]) -> None:
        self._extent = (shape[0], shape[1], shape[2], shape[4])
        self._temperatures = np.array(temperatures, dtype=np.float64)
        self._open: dict[tuple[int, int, int], TableMoments] = {}
        self._values: dict[str, Floats] = {}
        self._scans: dict[str, Floats] = {}
        self.potential = np.full(self._extent, np.nan)
        self._pooled = np.zeros((shape[0], len(INPUTS), 3))

    def add(
        self,
        checkpoints: slice,
        logits: NDArray[np.float32],
        subsets: dict[str, Subsets],
        moments: TableMoments | None,
    ) -> None:
        """Merge one part of the probe of some checkpoints, with its moments if they are known."""
        stack = logits.reshape(-1, *logits.shape[2:])
        self._merge(checkpoints, -1, moments or table_moments(stack, subsets["inputs"]))
        for number, temperature in enumerate(self._temperatures):
            self._merge(checkpoints, number, table_moments(stack, subsets["scan"], 1 / temperature))

    def _merge(self, checkpoints: slice, number: int, moments: TableMoments) -> None:
        place = (checkpoints.start, checkpoints.stop, number)
        known = self._open.get(place)
        self._open[place] = moments if known is None else known.merge(moments)

    def close(self, block: Block, population: int) -> None:
        """The whole probe has been seen: moments become observables."""
        for (start, stop, number), moments in self._open.items():
            beta = 1.0 if number < 0 else 1.0 / self._temperatures[number]
            found = table_heat_capacities(moments, beta, population)
            place = (slice(start, stop), slice(None), block.layer, block.heads, block.queries)
            if number < 0:
                merge_into(self._pooled[start:stop], moments.pooled(stop - start))
                for name, value in found.items():  # (checkpoint * head, inputs, query)
                    own = self._array(self._values, name, len(INPUTS))
                    own[place] = np.swapaxes(
                        value.reshape(stop - start, -1, *value.shape[1:]), 1, 2
                    )
                fixed = _fixed_free_energy(moments)
                self.potential[place[0], block.layer, block.heads, block.queries] = fixed.reshape(
                    stop - start, -1, fixed.shape[-1]
                )
            else:
                for name in SCANNED:
                    own = self._array(self._scans, name, len(self._temperatures))
                    value = found[name][:, 0].reshape(stop - start, -1, found[name].shape[-1])
                    own[place[0], number, block.layer, block.heads, block.queries] = value
        self._open.clear()

    def _array(self, arrays: dict[str, Floats], name: str, extent: int) -> Floats:
        checkpoints, *rest = self._extent
        if name not in arrays:
            arrays[name] = np.full((checkpoints, extent, *rest), np.nan)
        return arrays[name]

    def fields(self) -> Fields:
        fields: Fields = {name: (TABLE_DIMS, value) for name, value in self._values.items()}
        count, square = self._pooled[..., 0], self._pooled[..., 2]
        variance = square / np.where(count > 0, count, np.nan)  # beta is 1
        fields[POOLED] = (("checkpoint", "inputs"), variance)
        return fields | {scan_of(name): (SCAN_DIMS, v) for name, v in self._scans.items()}


def _fixed_free_energy(moments: TableMoments) -> Floats:
    """<F - mean E> over all inputs, (head, query): the potential in the gauge of mean energy 0."""
    mean = moments.means[:, 0, :, :, 1]
    found: Floats = (
        mean[..., ROW_COLUMNS.index(FREE_ENERGY)] - mean[..., ROW_COLUMNS.index("mean_energy")]
    )
    return found


def _visible_keys(reader: LogitReader) -> Fields:
    """Mean number of visible keys of each query, and the mean of the bound that it sets on C."""
    _, _, _, probes, queries, keys = reader.header.shape
    count = max(1, min(probes, BLOCK_BYTES // (4 * queries * keys)))
    visible, bound = np.zeros((2, queries))
    for part in ranges(probes, count):
        logits = reader.read(slice(0, 1), 0, slice(0, 1), part, slice(0, queries))[0, 0]
        n = np.isfinite(logits).sum(axis=-1)
        visible += n.sum(axis=0)
        bound += heat_capacity_bound(n).sum(axis=0)
    return {
        KEYS: (("query",), visible / probes),
        BOUND: (("query",), bound / probes),
    }
