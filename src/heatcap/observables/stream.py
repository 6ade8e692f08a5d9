"""Stream one run file into its observables, as arrays, in bounded memory.

The logits of a run may be larger than the memory, but observables are averages over the probe.
Blocks of about `BLOCK_BYTES` go through the kernels: for every layer, group of heads, group of
queries and part of the probe, all checkpoints one after the other.  Moments of the parts of a probe
merge, and a path through the checkpoints needs no more than two earlier ones.
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

BLOCK_BYTES = 1 << 19  # larger blocks leave the cache between reading and computing


def observe_logits(
    reader: LogitReader,
    steps: NDArray[np.int64],
    trained: NDArray[np.int8],
    *,
    temperatures: Sequence[float] = (),
    geometry: Time | None = None,
) -> tuple[Fields, str]:
    """Compute all observables of a run's logits, and a caution where these look like a mask.

    Parameters
    ----------
    reader : LogitReader
    steps : ndarray of int (checkpoint,)
    trained : ndarray of int (probe,)
        1 for inputs of the training set, 0 for others.
    temperatures : sequence of float
    geometry : "step", "log" or None
        Time of the path along training; None for no geometry.

    Returns
    -------
    fields : dict
        Dimensions and values by name.
    caution : str
        Where the logits look as if a mask was left in them, or "".

    Raises
    ------
    RunFileError
        If `validate_run` finds anything else wrong with the logits.
    """
    tables = _Tables(reader.header.shape, temperatures)
    path = TrainingPath(reader.header.shape) if geometry else None
    guard = _Guard(reader)
    population = reader.header.probe_population
    for block in _blocks(reader):
        inputs = trained[block.probes]
        every = np.ones(len(inputs), dtype=bool)
        queries = block.queries.stop - block.queries.start
        subsets = {
            "inputs": Subsets.of([every, inputs == 1, inputs == 0], queries),
            "scan": Subsets.of([every], queries),
        }
        _add_block(reader, block, subsets, (guard, tables, path))
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
    """Largest multiple of `unit` up to `count`, at least one unit, at most `most`."""
    return min(most, max(unit, count // unit * unit))


def _add_block(
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
    checkpoint_bytes = 4 * heads * probes * queries * reader.header.shape[-1]
    for checkpoints in ranges(reader.header.checkpoints, max(1, BLOCK_BYTES // checkpoint_bytes)):
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
    """Refuse logits that `validate_run` refuses, and note what may be a mask or diverged.

    The kernels find NaN, +inf and rows without a key.  Only a block that holds a large number is
    checked row by row, so that the others cost no more than their checksums.
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
        """Add one block (checkpoint, head, probe, query, key), in any order."""
        parts = (block.layer, block.heads, block.probes, block.queries)
        self._sums.add(logits, checkpoints, *parts)
        if self._large:
            self.look(checkpoints, block, logits)

    def look(self, checkpoints: slice, block: Block, logits: NDArray[np.float32]) -> None:
        """Refuse a block with a problem, naming its step and layer; note a possible mask."""
        for checkpoint, values in enumerate(logits, checkpoints.start):
            if problem := logit_problem(values):
                self._refuse(checkpoint, block.layer, problem)
            if not self.caution and (doubt := mask_problem(values)):
                step = self._reader.steps[checkpoint]
                self.caution = (
                    f"step {step}, layer {block.layer}: {doubt}; `heatcap validate` lists all"
                )

    def check(self) -> None:
        """Refuse the first layer of a checkpoint whose logits differ from those written."""
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
        earlier = self._open.get(place)
        self._open[place] = moments if earlier is None else earlier.merge(moments)

    def close(self, block: Block, population: int) -> None:
        """Turn moments into observables once the whole probe has been added."""
        for (start, stop, number), moments in self._open.items():
            beta = 1.0 if number < 0 else 1.0 / self._temperatures[number]
            capacities = table_heat_capacities(moments, beta, population)
            place = (slice(start, stop), slice(None), block.layer, block.heads, block.queries)
            if number < 0:
                merge_into(self._pooled[start:stop], moments.pooled(stop - start))
                for name, value in capacities.items():  # (checkpoint * head, inputs, query)
                    array = self._array(self._values, name, len(INPUTS))
                    array[place] = np.swapaxes(_by_checkpoint(value, stop - start), 1, 2)
                fixed = _by_checkpoint(_fixed_free_energy(moments), stop - start)
                self.potential[place[0], block.layer, block.heads, block.queries] = fixed
            else:
                for name in SCANNED:
                    array = self._array(self._scans, name, len(self._temperatures))
                    value = _by_checkpoint(capacities[name][:, 0], stop - start)
                    array[place[0], number, block.layer, block.heads, block.queries] = value
        self._open.clear()

    def _array(self, arrays: dict[str, Floats], name: str, extent: int) -> Floats:
        checkpoints, *rest = self._extent
        if name not in arrays:
            arrays[name] = np.full((checkpoints, extent, *rest), np.nan)
        return arrays[name]

    def fields(self) -> Fields:
        """Return dimensions and values of all observables, by name."""
        fields: Fields = {name: (TABLE_DIMS, value) for name, value in self._values.items()}
        count, square = self._pooled[..., 0], self._pooled[..., 2]
        variance = square / np.where(count > 0, count, np.nan)  # beta is 1
        fields[POOLED] = (("checkpoint", "inputs"), variance)
        return fields | {scan_of(name): (SCAN_DIMS, v) for name, v in self._scans.items()}


def _by_checkpoint(values: Floats, checkpoints: int) -> Floats:
    """Values (checkpoint * head, ...) as (checkpoint, head, ...)."""
    return values.reshape(checkpoints, -1, *values.shape[1:])


def _fixed_free_energy(moments: TableMoments) -> Floats:
    """Potential <F - mean E> over all inputs, (head, query), in the gauge of mean energy 0."""
    mean = moments.means[:, 0, :, :, 1]
    potential: Floats = (
        mean[..., ROW_COLUMNS.index(FREE_ENERGY)] - mean[..., ROW_COLUMNS.index("mean_energy")]
    )
    return potential


def _visible_keys(reader: LogitReader) -> Fields:
    """Mean number of visible keys of each query, and mean of the bound that it sets on C."""
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
