"""Spins on the L x L torus: random numbers, cluster sweeps and measurements along a run.

J = k_B = 1; all quantities are per site.  Every run has its own generator, seeded from one NumPy
generator: equal seeds give equal tables, whatever was computed before.

Swendsen-Wang: satisfied bonds are kept with probability p = 1 - e^(-K) and every cluster gets a new
colour (R. H. Swendsen & J.-S. Wang, Phys. Rev. Lett. 58 (1987) 86; what was checked:
docs/references.md).  With clusters of s_c sites, S_k = sum_c s_c^k, averages over the colours are
exact:

    <m^2> = <S_2> / N^2,    <m^4> = <S_2^2 + 2 (S_2^2 - S_4) / (q - 1)> / N^4,

m the order parameter vector of q - 1 components, |m| = 1 in an ordered state (q = 2: the
magnetisation).  The tests compare them with sums over all states.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from heatcap.core.arrays import Floats, Ints
from heatcap.core.jit import compile_by, jit
from heatcap.systems.system import LARGEST_EDGE, SampledSystem, at_least, positive
from heatcap.systems.table import Controls, from_runs, points

__all__ = [
    "COLUMNS",
    "Seed",
    "SpinSystem",
    "State",
    "flatten",
    "generator",
    "join",
    "potts_runs",
    "seed_attrs",
    "states",
    "uniform",
]

Seed = int | np.random.Generator | None
State = NDArray[np.uint64]

_PER_DOUBLE = 2.0**-53
_SHIFT_UP, _SHIFT_DOWN = np.uint64(17), np.uint64(11)
_LEFT, _RIGHT = np.uint64(45), np.uint64(19)


def generator(rng: Seed) -> np.random.Generator:
    """Make a NumPy generator; None gives a fresh one."""
    return np.random.default_rng(rng)


def seed_attrs(rng: Seed) -> dict[str, int | str]:
    """Record the seed as an attribute of a table."""
    return {"seed": int(rng) if isinstance(rng, (int, np.integer)) else "not recorded"}


def states(rng: np.random.Generator, points: int, replicates: int) -> State:
    """Draw the state of the generator of every run (point, replicate, 4)."""
    return rng.integers(1, 2**64, size=(points, replicates, 4), dtype=np.uint64, endpoint=False)


@jit()
def uniform(state: State) -> float:
    """Draw the next number of xoshiro256+ in [0, 1).

    D. Blackman & S. Vigna, ACM Trans. Math. Softw. 47 (4) (2021).  Inlined into the kernels:
    NumPy's generators would be called through a pointer.
    """
    total = state[0] + state[3]
    shifted = state[1] << _SHIFT_UP
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = (state[3] << _LEFT) | (state[3] >> _RIGHT)
    return float(total >> _SHIFT_DOWN) * _PER_DOUBLE


@dataclass(frozen=True)
class SpinSystem(SampledSystem):
    """Spins on the L x L torus, sampled by independent runs of cluster sweeps."""

    measured: ClassVar[tuple[str, ...]] = ("energy", "square", "fourth", "magnetisation")
    """Columns of a run: energy, <m^2>, <m^4> and |m|, per site; a system may add others."""

    @abstractmethod
    def _run(
        self, length: int, control: float, seeds: State, sweeps: int, thermalisation: int
    ) -> Floats:
        """Series (column, replicate, sweep) of the `measured` columns."""

    @abstractmethod
    def _observables(
        self, sites: Ints, control: Floats, mean: dict[str, Floats]
    ) -> dict[str, Floats]:
        """Observables from averages by name, among them ``variance`` of the energy per site."""

    def _energy(self, run: Floats) -> Floats:
        """Energy per site from the first column of a run."""
        return run

    def sample(
        self,
        sizes: Sequence[int],
        controls: Controls,
        *,
        replicates: int = 16,
        sweeps: int = 1000,
        thermalisation: int | None = None,
        rng: Seed = None,
    ) -> xr.Dataset:
        """Sample a table of averages over independent runs.

        Parameters
        ----------
        sizes : sequence of int
            L, from 2; tested up to 128.
        controls : sequence, mapping from size to sequence, or function of the size
            Temperatures or couplings, as `control_name` says.
        replicates : int
            Independent runs of every point; errors come from their spread.
        sweeps, thermalisation : int
            Sweeps that are measured, and sweeps before them that are not: by default a fifth as
            many, at least 100.
        rng : int or Generator, optional
            Equal seeds give equal tables.

        Returns
        -------
        Dataset (point)

        Raises
        ------
        ValueError
            If an argument is out of range.
        """
        size, control = points(sizes, controls)
        names = ["energy", "spread", *self.measured[1:]]
        out, centres = np.empty((len(names), size.size, replicates)), np.empty(size.size)
        runs = self._runs(size, control, replicates, sweeps, thermalisation, rng)
        for i, run in enumerate(runs):
            # Squares about a common centre: the variance over all runs then follows from averages.
            centres[i] = run[0].mean()
            out[0, i] = run[0].mean(axis=1)
            out[1, i] = np.mean((run[0] - centres[i]) ** 2, axis=1)
            out[2:, i] = run[1:].mean(axis=2)

        def statistic(averages: xr.DataArray) -> xr.DataArray:
            mean = dict(zip(names, averages.to_numpy(), strict=True))
            mean["variance"] = mean["spread"] - (mean["energy"] - centres) ** 2
            values = self._observables(size**2, control, mean)
            coords = {"observable": list(values)}
            return xr.DataArray([*values.values()], coords, ("observable", "point"))

        averages = xr.DataArray(out, dims=("moment", "point", "replicate"))
        attrs = self.describe() | seed_attrs(rng) | {"replicates": replicates, "sweeps": sweeps}
        return from_runs(size, control, averages, statistic, attrs=attrs)

    def series(
        self,
        sizes: int | Sequence[int],
        controls: float | Controls,
        *,
        replicates: int = 2,
        sweeps: int = 1000,
        thermalisation: int | None = None,
        rng: Seed = None,
    ) -> xr.Dataset:
        """Sample time series of ``energy`` and ``magnetisation`` per site.

        Arguments are those of :meth:`sample`.

        Returns
        -------
        Dataset (point, replicate, sweep)
            With coordinates ``size``, ``control`` and ``sites`` along ``point``, as needed by
            :func:`heatcap.scaling.reweight`.  A single size, not in a sequence, with a single
            control has no dimension ``point``.
        """
        size, control = points(np.atleast_1d(np.asarray(sizes)).tolist(), controls)
        runs = self._runs(size, control, replicates, sweeps, thermalisation, rng)
        magnetisation = self.measured.index("magnetisation")
        out = np.array([(self._energy(run[0]), run[magnetisation]) for run in runs])
        dims = ("point", "replicate", "sweep")
        along = {"size": size, "control": control, "sites": size**2}
        data = xr.Dataset(
            {"energy": (dims, out[:, 0]), "magnetisation": (dims, out[:, 1])},
            coords={name: ("point", values) for name, values in along.items()},
        ).assign_attrs(self.describe() | seed_attrs(rng))
        if np.ndim(sizes) == 0 and size.size == 1:
            labels = {"size": int(size[0]), "control": float(control[0])}
            return data.isel(point=0).assign_attrs(labels)
        return data

    def _runs(
        self,
        size: Ints,
        control: Floats,
        replicates: int,
        sweeps: int,
        thermalisation: int | None,
        rng: Seed,
    ) -> Iterator[Floats]:
        """Series (column, replicate, sweep) of one point after the other."""
        positive(self.control_name.split()[0], control)
        seeds = states(generator(rng), size.size, replicates)
        for seed, length, x in zip(seeds, size.tolist(), control.tolist(), strict=True):
            at_least(2, length, LARGEST_EDGE)
            if replicates < 1 or sweeps < 1:
                raise ValueError(
                    f"replicates and sweeps must be positive, got {replicates}, {sweeps}"
                )
            if thermalisation is not None and thermalisation < 0:
                raise ValueError(f"thermalisation must be 0 or more, got {thermalisation}")
            before = max(100, sweeps // 5) if thermalisation is None else thermalisation
            yield self._run(length, x, seed, sweeps, before)


COLUMNS = ("satisfied", "square", "fourth", "magnetisation")
"""Per sweep: satisfied bonds per site, <m^2> and <m^4> over the colours, |m| of the majority."""


def potts_runs(
    length: int,
    q: int,
    coupling: float,
    seeds: State,
    sweeps: int,
    thermalisation: int,
) -> Floats:
    """Sample series (column, replicate, sweep) of independent runs, one per row of `seeds`.

    Every other run starts from an ordered state: a bias of the start then appears as scatter.
    """
    compile_by(_run, 2, 2, 0.5, False, 0, np.ones(4, np.uint64), np.empty((len(COLUMNS), 1)))
    # One run is one contiguous block: another layout would be another type, compiled separately.
    out = np.empty((len(seeds), len(COLUMNS), sweeps))
    keep = -math.expm1(-coupling)
    for i, seed in enumerate(seeds.copy()):
        _run(int(length), q, keep, bool(i % 2), thermalisation, seed, out[i])
    return out.swapaxes(0, 1)


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
    """Point every site to its root, and count the sites of every root."""
    size[:] = 0
    for i in range(len(parent)):  # parents have smaller indices and are final already
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
