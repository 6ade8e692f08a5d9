"""One run file -> its observables as arrays, in bounded memory.

The logits of a run may be larger than the memory; what is asked of them is averages over the
probe.  So blocks of about `BLOCK_BYTES` go through the kernels: for every layer, group of heads,
group of queries and part of the probe, all checkpoints one after the other.  Moments of the parts
of a probe merge, and a path through the checkpoints needs two earlier ones at hand, no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from heatcap._kernels import (
    ROW_COLUMNS,
    Subsets,
    TableMoments,
    fisher_distance,
    table_heat_capacities,
    table_moments,
)
from heatcap.ensemble import heat_capacity_bound
from heatcap.runfile import LogitReader

__all__ = ["BLOCK_BYTES", "INPUTS", "SCANNED", "Fields", "Time", "observe_logits"]

BLOCK_BYTES = 1 << 19  # larger ones leave the cache between the reading and the computing

INPUTS = ("all", "trained", "untrained")

#: What a temperature scan keeps, under the prefix ``scan_``.
SCANNED = (
    "free_energy",
    "energy",
    "entropy",
    "heat_capacity",
    "landscape_heat_capacity",
    "landscape_heat_capacity_fixed",
    "total_heat_capacity",
)

Time = Literal["step", "log"]
Floats = NDArray[np.float64]
Fields = dict[str, tuple[tuple[str, ...], Floats]]
"""Name -> (dimensions, values)."""

_TABLE_DIMS = ("checkpoint", "inputs", "layer", "head", "query")
_PATH_DIMS = ("checkpoint", "layer", "head", "query")
_SCAN_DIMS = ("checkpoint", "temperature", "layer", "head", "query")


def observe_logits(
    reader: LogitReader,
    steps: NDArray[np.int64],
    trained: NDArray[np.int8],
    *,
    temperatures: Sequence[float] = (),
    time: Time = "step",
) -> Fields:
    """All observables of a run's logits, with its `steps` (checkpoint,) and `trained` (probe,)."""
    tables = _Tables(reader.header.shape, temperatures)
    path = _Path(reader.header.shape)
    population = reader.header.probe_population
    for block in _blocks(reader):
        subsets = _subsets(trained[block.probes], block.queries)
        _run_through(reader, block, subsets, tables, path)
        if block.probes.stop == reader.header.shape[3]:
            tables.close(block, population)
    fields = tables.fields()
    fields |= path.fields("fisher", tables.potential, _clock(steps, time))
    if reader.header.shape[1] > 1:
        fields |= _depth(reader, tables.potential)
    return fields | _visible_keys(reader)


@dataclass(frozen=True)
class _Block:
    """What is looked at together: a layer, and ranges of heads, probe inputs and queries."""

    layer: int
    heads: slice
    probes: slice
    queries: slice


def _blocks(reader: LogitReader) -> Iterator[_Block]:
    """Blocks of whole chunks and bounded size; the parts of a probe follow one another."""
    _, layers, heads, probes, queries, keys = reader.header.shape
    head, probe, query = reader.chunk
    probe_step = _multiple(probe, BLOCK_BYTES // (4 * keys * query * head), probes)
    query_step = _multiple(query, BLOCK_BYTES // (4 * keys * probe_step * head), queries)
    head_step = _multiple(head, BLOCK_BYTES // (4 * keys * probe_step * query_step), heads)
    for layer in range(layers):
        for head_part in _ranges(heads, head_step):
            for query_part in _ranges(queries, query_step):
                for probe_part in _ranges(probes, probe_step):
                    yield _Block(layer, head_part, probe_part, query_part)


def _multiple(unit: int, count: int, most: int) -> int:
    """The largest multiple of `unit` up to `count`, one unit at the least."""
    return min(most, max(unit, count // unit * unit))


def _ranges(extent: int, step: int) -> Iterator[slice]:
    for start in range(0, extent, step):
        yield slice(start, min(start + step, extent))


def _subsets(trained: NDArray[np.int8], queries: slice) -> dict[str, Subsets]:
    count = queries.stop - queries.start
    every = np.ones(len(trained), dtype=bool)
    return {
        "inputs": Subsets.of([every, trained == 1, trained == 0], count),
        "scan": Subsets.of([every], count),
    }


def _run_through(
    reader: LogitReader,
    block: _Block,
    subsets: dict[str, Subsets],
    tables: _Tables,
    path: _Path,
) -> None:
    """All checkpoints of one block, as many at once as fit."""
    heads, probes, queries = (
        part.stop - part.start for part in (block.heads, block.probes, block.queries)
    )
    each = 4 * heads * probes * queries * reader.header.shape[-1]
    for checkpoints in _ranges(reader.header.checkpoints, max(1, BLOCK_BYTES // each)):
        logits = reader.read(checkpoints, block.layer, block.heads, block.probes, block.queries)
        tables.add(checkpoints, logits, subsets)
        path.add(checkpoints, block, logits)


class _Tables:
    """Heat capacities and averages per table (checkpoint, layer, head), all temperatures."""

    def __init__(self, shape: Sequence[int], temperatures: Sequence[float]) -> None:
        self._extent = (shape[0], shape[1], shape[2], shape[4])
        self._temperatures = np.array(temperatures, dtype=np.float64)
        self._open: dict[tuple[int, int, int], TableMoments] = {}
        self._values: dict[str, Floats] = {}
        self._scans: dict[str, Floats] = {}
        self.potential = np.full(self._extent, np.nan)

    def add(
        self, checkpoints: slice, logits: NDArray[np.float32], subsets: dict[str, Subsets]
    ) -> None:
        """Merge one part of the probe of some checkpoints."""
        stack = logits.reshape(-1, *logits.shape[2:])
        self._merge(checkpoints, -1, table_moments(stack, subsets["inputs"]))
        for number, temperature in enumerate(self._temperatures):
            self._merge(checkpoints, number, table_moments(stack, subsets["scan"], 1 / temperature))

    def _merge(self, checkpoints: slice, number: int, moments: TableMoments) -> None:
        place = (checkpoints.start, checkpoints.stop, number)
        known = self._open.get(place)
        self._open[place] = moments if known is None else known.merge(moments)

    def close(self, block: _Block, population: int) -> None:
        """The whole probe has been seen: moments become observables."""
        for (start, stop, number), moments in self._open.items():
            beta = 1.0 if number < 0 else 1.0 / self._temperatures[number]
            found = table_heat_capacities(moments, beta, population)
            place = (slice(start, stop), slice(None), block.layer, block.heads, block.queries)
            if number < 0:
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
        fields: Fields = {name: (_TABLE_DIMS, value) for name, value in self._values.items()}
        return fields | {f"scan_{name}": (_SCAN_DIMS, v) for name, v in self._scans.items()}


def _fixed_free_energy(moments: TableMoments) -> Floats:
    """<F - mean E> over all inputs, (head, query): the potential in the gauge of mean energy 0."""
    mean = moments.means[:, 0, :, :, 1]
    found: Floats = (
        mean[..., ROW_COLUMNS.index("free_energy")] - mean[..., ROW_COLUMNS.index("mean_energy")]
    )
    return found


class _Path:
    """Sums over the probe of the distances from point to point, and from the first point."""

    def __init__(self, shape: Sequence[int]) -> None:
        self._probes = shape[3]
        self._step, self._square, self._chord = np.zeros(
            (3, shape[0], shape[1], shape[2], shape[4])
        )
        self._first = self._before = np.empty(0, np.float32)

    def add(self, checkpoints: slice, block: _Block, logits: NDArray[np.float32]) -> None:
        """Go on along successive checkpoints (checkpoint, head, probe, query, key) of one block."""
        if checkpoints.start == 0:
            self._first = self._before = logits[:1].copy()
        before = np.concatenate([self._before, logits[:-1]])
        first = np.repeat(self._first, len(logits), axis=0)
        at = (checkpoints, block.layer, block.heads, block.queries)
        distance = _distances(before, logits)
        self._step[at] += distance.sum(axis=2)
        self._square[at] += (distance**2).sum(axis=2)
        self._chord[at] += _distances(first, logits).sum(axis=2)
        self._before = logits[-1:].copy()

    def fields(self, prefix: str, potential: Floats, clock: Floats) -> Fields:
        step, square, chord = (
            sums / self._probes for sums in (self._step, self._square, self._chord)
        )
        found = _geometry(step, square, chord, potential, clock)
        return {f"{prefix}_{name}": (_PATH_DIMS, value) for name, value in found.items()}


def _geometry(
    step: Floats, square: Floats, chord: Floats, potential: Floats, clock: Floats
) -> dict[str, Floats]:
    """Length, speed and action of a path whose time runs along the first axis.

    `step` <d> and `square` <d^2> from the point before, `chord` <d> from the first point.  The
    action adds (v^2/2 - F) dt with F as the mean of both ends of an interval.
    """
    lapse = np.diff(clock, prepend=np.nan).reshape(-1, *(1,) * (step.ndim - 1))
    distance = step.copy()
    distance[0] = np.nan
    length = np.cumsum(step, axis=0)
    kinetic = square / lapse**2 / 2
    middle = (potential + np.roll(potential, 1, axis=0)) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "distance": distance,
            "length": length,
            "geodesic": chord,
            "detour": np.where(chord > 0, length / chord, np.nan),
            "speed": distance / lapse,
            "kinetic": kinetic,
            "potential": potential,
            "action": np.nancumsum((kinetic - middle) * lapse, axis=0),
        }


def _clock(steps: NDArray[np.int64], time: Time) -> Floats:
    """The time that speeds refer to; step 0 has no logarithm, so its interval has no speed."""
    if time == "step":
        return steps.astype(np.float64)
    return np.log(np.where(steps > 0, steps, np.nan))


def _distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> Floats:
    """Fisher distances of the rows of two blocks (..., key)."""
    keys = a.shape[-1]
    return fisher_distance(a.reshape(-1, keys), b.reshape(-1, keys)).reshape(a.shape[:-1])


def _depth(reader: LogitReader, potential: Floats) -> Fields:
    """Geometry along the layers: head by head, and of the distribution averaged over heads."""
    checkpoints, layers, heads, probes, queries, keys = reader.header.shape
    count = max(1, min(probes, BLOCK_BYTES // (4 * heads * queries * keys)))
    whole = (slice(0, heads), slice(0, queries))
    sums = np.zeros((3, layers, checkpoints, heads + 1, queries))
    for part in _ranges(probes, count):
        for checkpoint in range(checkpoints):
            first: NDArray[np.float32] | None = None
            before: NDArray[np.float32] | None = None
            for layer in range(layers):
                one = slice(checkpoint, checkpoint + 1)
                logits = _with_average(reader.read(one, layer, whole[0], part, whole[1])[0])
                if first is None or before is None:
                    first = before = logits
                else:
                    distance = _distances(before, logits)
                    sums[0, layer, checkpoint] += distance.sum(axis=1)
                    sums[1, layer, checkpoint] += (distance**2).sum(axis=1)
                    sums[2, layer, checkpoint] += _distances(first, logits).sum(axis=1)
                    before = logits
    by_layer = np.swapaxes(potential, 0, 1)
    mean = by_layer.mean(axis=2, keepdims=True)
    step, square, chord = sums / probes
    potentials = np.concatenate([by_layer, mean], axis=2)
    found = _geometry(step, square, chord, potentials, np.arange(layers, dtype=np.float64))
    fields: Fields = {}
    for name, value in found.items():
        value = np.swapaxes(value, 0, 1)
        fields[f"depth_{name}"] = (_PATH_DIMS, value[:, :, :-1])
        fields[f"depth_{name}_head_average"] = (("checkpoint", "layer", "query"), value[:, :, -1])
    return fields


def _with_average(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits (head, ...) and, as one head more, the logarithm of the average probability."""
    top = logits.max(axis=-1, keepdims=True)
    weight = np.exp(logits - top, dtype=np.float64)
    mean = (weight / weight.sum(axis=-1, keepdims=True)).mean(axis=0)
    with np.errstate(divide="ignore"):
        log = np.log(mean)
    return np.concatenate([logits, log[np.newaxis]]).astype(np.float32)


def _visible_keys(reader: LogitReader) -> Fields:
    """Mean number of visible keys of each query, and the mean of the bound that it sets on C."""
    _, _, _, probes, queries, keys = reader.header.shape
    count = max(1, min(probes, BLOCK_BYTES // (4 * queries * keys)))
    visible, bound = np.zeros((2, queries))
    for part in _ranges(probes, count):
        logits = reader.read(slice(0, 1), 0, slice(0, 1), part, slice(0, queries))[0, 0]
        n = np.isfinite(logits).sum(axis=-1)
        visible += n.sum(axis=0)
        bound += heat_capacity_bound(n).sum(axis=0)
    return {
        "mean_visible_keys": (("query",), visible / probes),
        "heat_capacity_bound": (("query",), bound / probes),
    }
