"""Information geometry of paths: attention rows that move along training or along depth.

With the Fisher metric two rows over the same keys are d = 2 arccos sum_j sqrt(p_j q_j) apart.  A
path is summarised by averages over the probe: <d> and <d^2> from the point before, <d> from the
first point.  Its length is never shorter than the geodesic between its ends.  Distances are
numbers, times are steps, ln step or layers.  The action takes F, a number of logits at T = 1, in
units of 1/time^2: only paths with the same time can be compared by it.

:class:`TrainingPath` follows the checkpoints of a run, :func:`along_depth` the layers of a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from heatcap.attention.distances import Layers
from heatcap.attention.moments import Subsets, TableMoments, table_moments
from heatcap.core.arrays import Floats
from heatcap.core.quantities import PATH_DIMS
from heatcap.runfile import LogitReader

__all__ = [
    "Block",
    "Fields",
    "Time",
    "TrainingPath",
    "along_depth",
    "clock",
    "ranges",
]

Time = Literal["step", "log"]
Fields = dict[str, tuple[tuple[str, ...], Floats]]
"""Name -> (dimensions, values)."""


@dataclass(frozen=True)
class Block:
    """Part of a run that is read at once: a layer, ranges of heads, probe inputs and queries."""

    layer: int
    heads: slice
    probes: slice
    queries: slice


def ranges(extent: int, step: int) -> Iterator[slice]:
    """Yield consecutive ranges of at most `step` that cover an extent."""
    for start in range(0, extent, step):
        yield slice(start, min(start + step, extent))


class TrainingPath:
    """Sums over the probe of the distances from point to point, and from the first point."""

    def __init__(self, shape: Sequence[int]) -> None:
        self._probes = shape[3]
        self._step, self._square, self._chord = np.zeros(
            (3, shape[0], shape[1], shape[2], shape[4])
        )
        self._trail = np.empty((0, 0))

    def add(
        self, checkpoints: slice, block: Block, logits: NDArray[np.float32], subsets: Subsets
    ) -> TableMoments:
        """Continue along successive checkpoints (checkpoint, head, probe, query, key) of a block.

        Returns the moments of these tables: both come from one exponential of each logit.

        Raises
        ------
        ValueError
            If rows do not see the same keys at successive checkpoints.
        """
        stack = logits.reshape(-1, *logits.shape[2:])
        heads, queries = logits.shape[1], logits.shape[3]
        sums = np.zeros((len(stack), queries, 4))
        if checkpoints.start == 0:
            self._trail = np.zeros((heads, 2 * stack[0].size))
            table_moments(stack[:heads], subsets, path=(self._trail, sums.copy()))
            before, first = np.split(self._trail, 2, axis=1)
            first[:] = before
        moments = table_moments(stack, subsets, path=(self._trail, sums))
        at = (checkpoints, block.layer, block.heads, block.queries)
        step, square, chord, unlike = np.moveaxis(sums.reshape(-1, heads, queries, 4), -1, 0)
        if unlike.any():
            raise ValueError(
                f"{int(unlike.sum())} rows do not see the same keys at successive checkpoints: "
                "they have no distance on a common simplex"
            )
        self._step[at] += step
        self._square[at] += square
        self._chord[at] += chord
        return moments

    def fields(self, prefix: str, potential: Floats, clock: Floats) -> Fields:
        """Return the geometry of the paths, averaged over the probe, under names with a prefix."""
        step, square, chord = (
            sums / self._probes for sums in (self._step, self._square, self._chord)
        )
        geometry = _geometry(step, square, chord, potential, clock)
        return {f"{prefix}_{name}": (PATH_DIMS, value) for name, value in geometry.items()}


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


def clock(steps: NDArray[np.int64], time: Time) -> Floats:
    """Return the time of each checkpoint: its step, or ln step (NaN at step 0, which has none)."""
    if time == "step":
        return steps.astype(np.float64)
    return np.log(np.where(steps > 0, steps, np.nan))


def along_depth(reader: LogitReader, potential: Floats, block_bytes: int) -> Fields:
    """Compute the geometry along the layers, by head and of the average over the heads.

    `potential` (checkpoint, layer, head, query) is that of the single heads.  The average has the
    energies E_j = -ln (mean over heads of p_j), hence F = 0 and the potential F - mean E is the
    mean of ln p_j over the keys.
    """
    checkpoints, layers, heads, probes, queries, keys = reader.header.shape
    sums = np.zeros((layers, checkpoints, heads + 1, queries, 4))
    logs = np.zeros((layers, checkpoints, 1, queries))
    count = max(1, min(probes, block_bytes // (4 * heads * queries * keys)))
    for part in ranges(probes, count):
        path = Layers(heads, part.stop - part.start, queries, keys)
        for checkpoint in range(checkpoints):
            for layer in range(layers):
                block = (slice(checkpoint, checkpoint + 1), layer, slice(0, heads), part)
                logits = reader.read(*block, slice(0, queries))[0]
                moved, mean, exact = path.follow(logits, layer == 0)
                sums[layer, checkpoint] += moved
                logs[layer, checkpoint, 0] += mean if exact else _sum_of_logs(logits)
    step, square, chord = np.moveaxis(sums[..., :3], -1, 0) / probes
    potentials = np.concatenate([np.swapaxes(potential, 0, 1), logs / probes], axis=2)
    geometry = _geometry(step, square, chord, potentials, np.arange(layers, dtype=np.float64))
    fields: Fields = {}
    for name, value in geometry.items():
        by_head, average = np.split(np.swapaxes(value, 0, 1), [heads], axis=2)
        fields[f"depth_{name}"] = (PATH_DIMS, by_head)
        fields[f"depth_{name}_head_average"] = (("checkpoint", "layer", "query"), average[:, :, 0])
    return fields


def _sum_of_logs(logits: NDArray[np.float32]) -> Floats:
    """Sum over the probe of the mean over the keys of ln p, p the average over heads, by query.

    In logarithms throughout: a key with an underflowing weight in all heads is improbable, not
    absent.
    """
    values = logits.astype(np.float64)
    log_p = values - logsumexp(values, axis=-1, keepdims=True)
    log_mean = logsumexp(log_p, axis=0) - np.log(len(log_p))
    sums: Floats = np.mean(log_mean, axis=-1, where=np.isfinite(log_mean)).sum(axis=0)
    return sums
