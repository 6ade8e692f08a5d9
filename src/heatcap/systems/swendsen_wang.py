"""Swendsen-Wang sweeps of the q-state Potts model on the L x L torus; q = 2 is the Ising model.

Satisfied bonds are kept with probability p = 1 - e^(-K) and every cluster gets a new colour
(R. H. Swendsen & J.-S. Wang, Phys. Rev. Lett. 58 (1987) 86; what was checked: docs/references.md).
With clusters of s_c sites, S_k = sum_c s_c^k, averages over the colours are exact:

    <m^2> = <S_2> / N^2,    <m^4> = <S_2^2 + 2 (S_2^2 - S_4) / (q - 1)> / N^4,

m the order parameter vector of q - 1 components, |m| = 1 in an ordered state (q = 2: the
magnetisation).  The tests compare them with sums over all states.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from heatcap.core.arrays import Floats, Ints
from heatcap.core.jit import jit
from heatcap.systems.sampling import State, compiling, uniform

__all__ = ["COLUMNS", "compile_once", "flatten", "join", "runs"]

COLUMNS = ("satisfied", "square", "fourth", "magnetisation")
"""Per sweep: satisfied bonds per site, <m^2> and <m^4> over the colours, |m| of the majority."""


def runs(
    length: int,
    q: int,
    coupling: float,
    seeds: State,
    *,
    sweeps: int,
    thermalisation: int,
) -> Floats:
    """Series (column, replicate, sweep) of independent runs, one for each row of `seeds`.

    Every other run starts from an ordered state: a bias of the start then shows as scatter.
    """
    compile_once()
    # One run is one contiguous block: another layout would be another type to compile for.
    out = np.empty((len(seeds), len(COLUMNS), sweeps))
    keep = -math.expm1(-coupling)
    for i, seed in enumerate(seeds.copy()):
        _run(int(length), q, keep, bool(i % 2), thermalisation, seed, out[i])
    return out.swapaxes(0, 1)


@functools.cache
def compile_once() -> None:
    """Compile the kernels or load them from the cache, one process at a time."""
    with compiling():
        _run(2, 2, 0.5, False, 0, np.ones(4, np.uint64), np.empty((len(COLUMNS), 1)))


@jit()
def _root(parent: Ints, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@jit()
def join(parent: Ints, i: int, j: int) -> None:
    """Put two sites into one cluster; its root is the site with the smallest index."""
    a, b = _root(parent, i), _root(parent, j)
    if a < b:
        parent[b] = a
    else:
        parent[a] = b


@jit()
def flatten(parent: Ints, size: Ints) -> None:
    """Let every site point to its root, and count the sites of every root."""
    size[:] = 0
    for i in range(len(parent)):  # parents have smaller indices: theirs are final already
        parent[i] = parent[parent[i]]
        size[parent[i]] += 1


@jit()
def _bonds(length: int, colour: Ints, keep: float, parent: Ints, state: State) -> int:
    """Join equal neighbours with probability `keep`; returns the number of equal neighbours."""
    satisfied = 0
    for i in range(len(parent)):
        parent[i] = i
    for y in range(length):
        below = (y + 1) * length if y + 1 < length else 0
        for x in range(length):
            i = y * length + x
            right = i + 1 if x + 1 < length else y * length
            if colour[i] == colour[right]:
                satisfied += 1
                if uniform(state) < keep:
                    join(parent, i, right)
            if colour[i] == colour[below + x]:
                satisfied += 1
                if uniform(state) < keep:
                    join(parent, i, below + x)
    return satisfied


@jit()
def _recolour(
    parent: Ints, size: Ints, q: int, colour: Ints, counts: Ints, state: State
) -> tuple[float, float]:
    """New colours; returns S_2 and S_4, and the sites of each colour in `counts`."""
    s2, s4 = 0.0, 0.0
    counts[:] = 0
    for i in range(len(parent)):
        if parent[i] == i:
            colour[i] = int(uniform(state) * q)
            counts[colour[i]] += size[i]
            square = float(size[i]) ** 2
            s2 += square
            s4 += square * square
        else:
            colour[i] = colour[parent[i]]
    return s2, s4


@jit()
def _run(
    length: int, q: int, keep: float, ordered: bool, thermalisation: int, state: State, out: Floats
) -> None:
    """One run; `out` (column, sweep)."""
    sites = length * length
    colour, parent = np.zeros(sites, np.int64), np.empty(sites, np.int64)
    size, counts = np.empty(sites, np.int64), np.empty(q, np.int64)
    if not ordered:
        for i in range(sites):
            colour[i] = int(uniform(state) * q)
    for sweep in range(-thermalisation, out.shape[1]):
        satisfied = _bonds(length, colour, keep, parent, state)
        flatten(parent, size)
        s2, s4 = _recolour(parent, size, q, colour, counts, state)
        if sweep >= 0:
            out[0, sweep] = satisfied / sites
            out[1, sweep] = s2 / sites**2
            out[2, sweep] = (s2 * s2 + 2.0 * (s2 * s2 - s4) / (q - 1)) / float(sites) ** 4
            out[3, sweep] = (q * counts.max() / sites - 1.0) / (q - 1)
