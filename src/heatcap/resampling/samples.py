"""Resampling: positions to draw, the drawn data, and a statistic on many of them.

:class:`Units` are drawn within strata, :class:`Rows` from finite populations, and a :class:`Plan`
combines both.  A :class:`Draw` holds positions, :func:`take` the data at them, and
:func:`replicate` evaluates a statistic on every drawn data set, singly or in batches.
"""

from __future__ import annotations

import math
import numbers
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from heatcap.core.arrays import Floats

__all__ = [
    "Data",
    "Draw",
    "Plan",
    "Rows",
    "Statistic",
    "Units",
    "dim_of",
    "evaluate",
    "replicate",
    "take",
]

Data = xr.DataArray | xr.Dataset
Statistic = Callable[[Any], Any]
Positions = NDArray[np.intp]
Labels = NDArray[np.int64]

BATCH_BYTES = 1 << 26  # of drawn data: with a few temporaries of the statistic, 256 MB in all


@dataclass(frozen=True)
class Draw:
    """Drawn positions along the dimension of the units and along that of the rows.

    Attributes
    ----------
    dim, within : str
        Names of the two dimensions; empty where nothing is drawn along them.
    units : ndarray ([replicate,] unit)
    rows : ndarray ([replicate,] [unit,] row) or None
        With a dimension of units where not all units look at the same rows.
    """

    dim: str
    units: Positions | None
    within: str = ""
    rows: Positions | None = None
    stacked: bool = False

    @property
    def shape(self) -> tuple[tuple[int, ...], ...]:
        return tuple(() if a is None else a.shape for a in (self.units, self.rows))

    def nbytes(self, data: Data) -> int:
        """Size of the drawn data, before padding and temporaries."""
        share = 1.0
        for dim, drawn in ((self.dim, self.units), (self.within, self.rows)):
            if drawn is not None:
                share *= drawn.shape[-1] / max(1, data.sizes[dim])
        return int(data.nbytes * share)

    @staticmethod
    def stack(draws: list[Draw]) -> Draw:
        """Stack draws of one shape along a leading dimension of replicates."""
        one = draws[0]
        units = None if one.units is None else np.stack([_present(d.units) for d in draws])
        rows = None if one.rows is None else np.stack([_present(d.rows) for d in draws])
        return Draw(one.dim, units, one.within, rows, True)


def _present(a: Positions | None) -> Positions:
    assert a is not None
    return a


def take(data: Any, draw: Draw) -> Any:
    """Select the drawn data, labels included.

    With stacked draws a label of the units has dimensions (replicate, unit), unless it is the same
    in all replicates, as that of a stratum.
    """
    lead: tuple[str, ...] = ("replicate",) if draw.stacked else ()
    indexers = {}
    if draw.units is not None:
        indexers[draw.dim] = xr.Variable((*lead, draw.dim), draw.units)
    if draw.rows is not None:
        per_unit = draw.rows.ndim > len(lead) + 1
        dims = (*lead, draw.dim, draw.within) if per_unit else (*lead, draw.within)
        indexers[draw.within] = xr.Variable(dims, draw.rows)
        if per_unit and draw.units is None:
            indexers[draw.dim] = xr.Variable((draw.dim,), np.arange(data.sizes[draw.dim]))
    if draw.stacked or draw.rows is not None:
        # Labels of a dimension cannot have two dimensions.
        data = data.drop_vars([d for d in indexers if d in data.coords])
    out = data.isel(indexers)
    return _settle(out) if draw.stacked else out


def _settle(data: Any) -> Any:
    """Drop the dimension of replicates from labels that are the same in all."""
    for name, c in data.coords.items():
        if "replicate" in c.dims:
            values = c.transpose("replicate", ...)
            first = values.isel(replicate=0)
            if bool(np.all(values.to_numpy() == first.to_numpy())):
                data = data.assign_coords({name: first.drop_vars(list(first.coords))})
    return data


@dataclass(frozen=True)
class Units:
    """Positions of every unit along `dim`, and groups of exchangeable units.

    A group holds the units that occur equally often in the same strata, so that every replicate has
    all strata in the same numbers; a unit without peers joins the group with which it shares most
    strata.
    """

    dim: str
    members: tuple[Positions, ...]
    groups: tuple[Positions, ...]
    lone: tuple[str, ...]  # descriptions of groups of one unit

    @classmethod
    def of(cls, data: Data, unit: str, strata: str | None) -> Units:
        dim = dim_of(data, unit, "unit")
        if not data.sizes[dim]:
            raise ValueError(f"data must have at least one {unit}, got none")
        labels = _codes(data[unit]) if unit not in data.dims else np.arange(data.sizes[dim])
        stratum = _strata_of(data, strata, dim)
        members = tuple(
            at[np.argsort(stratum[at], kind="stable")]
            for at in (np.flatnonzero(labels == u) for u in range(labels.max() + 1))
        )
        counts = np.array([np.bincount(stratum[at], minlength=stratum.max() + 1) for at in members])
        groups = _groups(counts)
        lone = tuple(_words(data, strata, members[g[0]], unit) for g in groups if g.size == 1)
        return cls(dim, members, groups, lone)

    @property
    def count(self) -> int:
        return len(self.members)

    def draw(self, rng: np.random.Generator) -> Positions:
        """Draw n - 1 of the n units of every group, with replacement.

        A single unit stays.  The variance of a mean over n - 1 draws is exactly s^2 / n.  The
        alternative, n draws and deviations multiplied by sqrt(n / (n - 1)), has one factor for all
        strata and turns replicates into numbers that no sample has (Rao & Wu, J. Am. Stat. Assoc.
        83 (1988) 231; what was checked: docs/references.md).
        """
        drawn = [g[rng.integers(g.size, size=max(g.size - 1, 1))] for g in self.groups]
        return self._positions(np.concatenate(drawn))

    def without(self, unit: int) -> Positions:
        """All positions but those of a unit, by group, which keeps the order of the strata."""
        every = np.concatenate(self.groups)
        return self._positions(every[every != unit])

    def swapped(self, unit: int, other: int) -> Positions:
        """All positions, with those of a unit replaced by those of another, repeated to fit."""
        every = np.arange(sum(at.size for at in self.members))
        every[self.members[unit]] = np.resize(self.members[other], self.members[unit].size)
        return every

    def _positions(self, units: Positions) -> Positions:
        return np.concatenate([self.members[u] for u in units])


@dataclass(frozen=True)
class Rows:
    """Rows drawn from finite populations, one set of rows for each stratum of units."""

    dim: str
    count: int
    populations: tuple[int, ...]  # 0: infinite
    set_of: Labels | None  # of every position along the units; None if all share one set

    @classmethod
    def of(
        cls,
        data: Data,
        within: str,
        population: int | xr.DataArray | None,
        strata: str | None,
        dim: str,
    ) -> Rows:
        if within not in data.dims or within == dim:
            raise ValueError(
                f"within must be a dimension of the data other than {dim!r}, "
                f"got {within!r} of {tuple(data.dims)}"
            )
        set_of = _strata_of(data, strata, dim) if strata else None
        count = data.sizes[within]
        if count < 2:
            raise ValueError(f"rows along {within!r} must be at least 2, got {count}")
        return cls(within, count, _populations(data, population, set_of, dim, count), set_of)

    @property
    def drawn(self) -> int:
        """Number of rows of a replicate: m - 1 as for units, m if they are the population."""
        return self.count if self.count in self.populations else self.count - 1

    def draw(self, rng: np.random.Generator) -> Positions:
        """Draw rows (set, row) from pseudo-populations without replacement."""
        return np.stack([self._one(rng, n) for n in self.populations])

    def _one(self, rng: np.random.Generator, population: int) -> Positions:
        copies, share = _copies(self.count, self.drawn, population)
        if not copies:
            return rng.integers(self.count, size=self.drawn)
        copies += int(rng.random() < share)
        place = rng.choice(copies * self.count, self.drawn, replace=False)
        rows: Positions = np.sort(place % self.count)
        return rows


@dataclass(frozen=True)
class Plan:
    """Units and rows that are drawn for a replicate."""

    units: Units | None
    rows: Rows | None
    dim: str

    def draws(self, rng: np.random.Generator, replicates: int) -> Iterator[Draw]:
        for _ in range(replicates):
            at = self.units.draw(rng) if self.units else None
            if self.rows is None:
                yield Draw(self.dim, at)
            else:
                yield Draw(self.dim, at, self.rows.dim, self._rows(self.rows, rng, at))

    @staticmethod
    def _rows(rows: Rows, rng: np.random.Generator, at: Positions | None) -> Positions:
        drawn = rows.draw(rng)
        if rows.set_of is None:
            one: Positions = drawn[0]
            return one
        per_unit: Positions = drawn[rows.set_of if at is None else rows.set_of[at]]
        return per_unit


def dim_of(data: Data, name: str, role: str) -> str:
    """Find the dimension of a dimension or of a 1-D coordinate along it."""
    if name in data.dims:
        return name
    if name not in data.coords:
        available = [*map(str, data.dims), *(str(c) for c in data.coords if c not in data.dims)]
        raise ValueError(
            f"{role} must be a dimension or a coordinate of the data, one of {available}, "
            f"got {name!r}"
        )
    if data[name].ndim != 1:
        raise ValueError(f"{role} {name!r} must be 1-D, got dimensions {data[name].dims}")
    return str(data[name].dims[0])


def _strata_of(data: Data, strata: str | None, dim: str) -> Labels:
    """Number of the stratum of every position along `dim`."""
    if strata is None:
        return np.zeros(data.sizes[dim], dtype=np.int64)
    if dim_of(data, strata, "strata") != dim:
        raise ValueError(f"strata {strata!r} must lie along {dim!r}, got {data[strata].dims}")
    return np.arange(data.sizes[dim]) if strata not in data.coords else _codes(data[strata])


def _codes(labels: xr.DataArray) -> Labels:
    return np.unique(labels.to_numpy(), return_inverse=True)[1].astype(np.int64)


def _groups(counts: NDArray[np.int64]) -> tuple[Positions, ...]:
    """Groups of units with equal counts (unit, stratum); a single one joins the most similar."""
    kinds: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for u, row in enumerate(counts):
        kinds[tuple(row.tolist())].append(u)
    for kind in [k for k, units in kinds.items() if len(units) == 1]:
        kin = max((k for k in kinds if k != kind), key=_kinship(kind, kinds), default=None)
        if kin is not None and _overlap(kin, kind):
            kinds[kin] += kinds.pop(kind)
    return tuple(np.array(sorted(units), dtype=np.intp) for units in kinds.values())


def _kinship(
    kind: tuple[int, ...], kinds: dict[tuple[int, ...], list[int]]
) -> Callable[[tuple[int, ...]], tuple[int, int]]:
    return lambda other: (_overlap(other, kind), len(kinds[other]))


def _overlap(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    return sum(map(min, a, b))


def _words(data: Data, strata: str | None, at: Positions, unit: str) -> str:
    if strata is None:
        return f"a single {unit}"
    label = data[strata].to_numpy()[at[0]] if strata in data.coords else at[0]
    return f"a single {unit} at {strata} = {label}"


def _populations(
    data: Data,
    population: int | xr.DataArray | None,
    set_of: Labels | None,
    dim: str,
    count: int,
) -> tuple[int, ...]:
    """Population of every set of rows, 0 if infinite."""
    sets = 1 if set_of is None else int(set_of.max()) + 1
    if population is None:
        return (0,) * sets
    if not isinstance(population, xr.DataArray) or not population.ndim:
        sizes = [int(population)] * sets
    else:
        if population.dims != (dim,) or population.sizes[dim] != data.sizes[dim]:
            raise ValueError(
                f"population must be a number or have one entry for each {dim!r}, "
                f"got {dict(population.sizes)}"
            )
        values = population.to_numpy()
        where = np.zeros(values.size, dtype=np.int64) if set_of is None else set_of
        by_set = [np.unique(values[where == s]) for s in range(sets)]
        if mixed := [e.tolist() for e in by_set if e.size > 1]:
            raise ValueError(
                f"population must be one number where rows are shared, got {mixed[0]}; "
                "name the strata that share them"
            )
        sizes = [int(e[0]) for e in by_set]
    if min(sizes) < count:
        raise ValueError(f"a population of {min(sizes)} is smaller than its {count} rows")
    return tuple(sizes)


def _copies(m: int, drawn: int, population: int) -> tuple[int, float]:
    """Copies k of each of m rows, and the share of replicates with k + 1; k = 0: infinite.

    `drawn` = d rows out of k m have a mean of variance v(k) = (k m - d) (m - 1) / (d m (k m - 1))
    s^2.  The share is such that the average is (1/m - 1/N) s^2, for any N.  Filling up to N with
    rows at random, as Booth, Butler & Hall (J. Am. Stat. Assoc. 89 (1994) 1282; what was checked:
    docs/references.md) do, would move the mean of the pseudo-population from replicate to
    replicate, which is spread that the sample does not have.
    """
    if population == m:
        return 1, 0.0
    wanted = (1 / m - 1 / population) if population else 1 / m
    rest = (m - 1) - wanted * drawn * m
    if not population or rest <= 0:
        return 0, 0.0

    def variance(k: int) -> float:
        return (k * m - drawn) * (m - 1) / (drawn * m * (k * m - 1))

    k = max(1, math.floor(drawn * (m - 1 - wanted * m) / (m * rest)))
    return k, max(0.0, (wanted - variance(k)) / (variance(k + 1) - variance(k)))


def evaluate(statistic: Statistic, data: Any) -> xr.DataArray:
    """Evaluate the statistic as a DataArray of float64."""
    result = statistic(data)
    if isinstance(result, xr.DataArray):
        if clash := {"bound", "replicate"} & set(map(str, result.dims)):
            raise ValueError(f"statistic must not return dimension {sorted(clash)[0]!r}")
        return result.astype(np.float64)
    if isinstance(result, numbers.Real) or (isinstance(result, np.ndarray) and not result.ndim):
        return xr.DataArray(float(result))
    raise ValueError(f"statistic must return a number or a DataArray, got {_kind(result)}")


def replicate(
    data: Data,
    statistic: Statistic,
    like: xr.DataArray,
    draws: Iterable[Draw],
    *,
    vectorized: bool,
) -> Floats:
    """Evaluate the statistic (draw, ...) on every drawn data set.

    Dimensions are in the order of `like`.
    """
    if not vectorized:
        rows = [_checked(evaluate(statistic, take(data, draw)), like) for draw in draws]
        return np.stack(rows) if rows else np.empty((0, *like.shape))
    parts = [_batch(data, statistic, like, batch) for batch in _batches(draws, data)]
    return np.concatenate(parts) if parts else np.empty((0, *like.shape))


def _batch(data: Data, statistic: Statistic, like: xr.DataArray, batch: list[Draw]) -> Floats:
    result = statistic(take(data, Draw.stack(batch)))
    if not isinstance(result, xr.DataArray) or "replicate" not in result.dims:
        came = result.dims if isinstance(result, xr.DataArray) else _kind(result)
        raise ValueError(f"a vectorized statistic must keep dimension 'replicate', got {came}")
    if result.sizes["replicate"] != len(batch):
        raise ValueError(
            f"a vectorized statistic must return {len(batch)} replicates, "
            f"got {result.sizes['replicate']}"
        )
    first = result.isel(replicate=0, drop=True)
    _checked(first, like)
    return result.transpose("replicate", *like.dims).to_numpy().astype(np.float64)


def _checked(result: xr.DataArray, like: xr.DataArray) -> Floats:
    if set(result.dims) != set(like.dims) or dict(result.sizes) != dict(like.sizes):
        raise ValueError(
            "statistic must return one shape for all samples, "
            f"got {dict(like.sizes)} and then {dict(result.sizes)}"
        )
    for dim in like.dims:
        if dim in like.indexes and dim in result.indexes:
            labels = result.indexes[dim]
            if labels is not like.indexes[dim] and not labels.equals(like.indexes[dim]):
                raise ValueError(
                    f"statistic must return one set of labels of {dim!r} for all samples"
                )
    return result.transpose(*like.dims).to_numpy()


def _batches(draws: Iterable[Draw], data: Data) -> Iterator[list[Draw]]:
    """Batches of successive draws of one shape that fit into `BATCH_BYTES`."""
    batch: list[Draw] = []
    for draw in draws:
        limit = max(1, BATCH_BYTES // max(1, draw.nbytes(data)))
        if batch and (len(batch) >= limit or draw.shape != batch[0].shape):
            yield batch
            batch = []
        batch.append(draw)
    if batch:
        yield batch


def _kind(result: Any) -> str:
    return (
        f"{type(result).__name__} {np.shape(result)}"
        if isinstance(result, np.ndarray)
        else type(result).__name__
    )
