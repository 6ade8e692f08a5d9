"""Tables of attention rows: moments over a probe, and the heat capacities made of them.

A *table* is what one checkpoint, layer and head yield: logits of shape (probe, query, key).
:func:`table_moments` turns a stack of tables into the few moments from which
:func:`table_heat_capacities` computes every heat capacity.  Moments of parts of a probe merge, so
a table may be streamed through in pieces.  Energies E = -logit, in logits; all variances are
population variances (ddof = 0).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heatcap.attention.blocks import as_logits, check_beta, check_rows
from heatcap.attention.distances import shelf_for
from heatcap.attention.kernels import (
    ABOVE,
    COLUMNS,
    FLUCTUATING,
    MEAN,
    ROW_COLUMNS,
    absorb,
    compile_once,
    scratch_for,
    table_kernel,
)
from heatcap.core.arrays import Floats, Logits
from heatcap.core.quantities import (
    FISHER_INFORMATION,
    HEAT_CAPACITY,
    LANDSCAPE,
    LANDSCAPE_FIXED,
    OFFSET,
    TOTAL,
    UNWEIGHTED,
    error_of,
)

__all__ = ["Subsets", "TableMoments", "merge_into", "table_heat_capacities", "table_moments"]


@dataclass(frozen=True)
class Subsets:
    """Subsets of a probe, sorted into groups of inputs that belong to the same subsets.

    Each row is visited once, whatever the number of subsets.  Inputs in none of them are skipped.
    """

    membership: NDArray[np.bool_]
    """(subset, group)"""
    order: NDArray[np.int64]
    """Rows probe * queries + query, sorted by group and query."""
    starts: NDArray[np.int64]
    """(group * query + 1): where each group and query begins in `order`."""
    queries: int
    rows: int
    """probe * queries, of a whole table"""

    @classmethod
    def of(cls, selection: ArrayLike, queries: int = 1) -> Subsets:
        """Sort the inputs of a boolean matrix (subset, probe) by the subsets that hold them.

        Raises
        ------
        ValueError
            If `selection` has more than two dimensions.
        """
        chosen = np.atleast_2d(np.asarray(selection, dtype=bool))
        if chosen.ndim != 2:
            raise ValueError(f"selection must have shape (subset, probe), got {chosen.shape}")
        patterns, group = np.unique(chosen, axis=1, return_inverse=True)
        used = np.flatnonzero(patterns.any(axis=0))
        members = [np.flatnonzero(group == g) for g in used]
        rows = [m * queries + q for m in members for q in range(queries)]
        return cls(
            membership=np.ascontiguousarray(patterns[:, used]),
            order=np.concatenate([*rows, np.empty(0, np.int64)]).astype(np.int64),
            starts=np.cumsum([0, *(len(r) for r in rows)], dtype=np.int64),
            queries=queries,
            rows=chosen.shape[1] * queries,
        )


@dataclass(frozen=True)
class TableMoments:
    """Moments of tables over their probe inputs: what all heat capacities are computed from.

    The last axis holds the number of rows, the mean and the sums of the second (third, fourth)
    powers of the deviations from it.  The moments of two parts of a probe `merge`.
    """

    means: Floats
    """(table, subset, query, column, 2), columns as in `ROW_COLUMNS`"""
    spread: Floats
    """(table, subset, query, fluctuating, 5), as in `FLUCTUATING`"""
    keys: Floats
    """(table, subset, query, key, 3): energies of each key over the inputs that see it"""

    def merge(self, other: TableMoments) -> TableMoments:
        """Combine the moments of two parts of a probe; ValueError where their shapes differ."""
        pairs = zip(self._arrays(), other._arrays(), strict=True)
        return TableMoments(*(_merged(a, b) for a, b in pairs))

    def pooled(self, stacks: int) -> Floats:
        """Pool the energies of each stack of tables over queries and keys: (stack, subset, 3)."""
        tables, subsets, *_ = self.keys.shape
        keys = self.keys.reshape(stacks, tables // stacks, subsets, -1, 3).swapaxes(1, 2)
        count, mean, between, within = _pool(keys.reshape(stacks, subsets, -1, 3))
        return np.stack([count, mean, between + within], axis=-1)

    @classmethod
    def concatenate(cls, stacks: Iterable[TableMoments]) -> TableMoments:
        """Join several stacks of tables, so that one call computes their heat capacities."""
        columns = zip(*(stack._arrays() for stack in stacks), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def _arrays(self) -> tuple[Floats, ...]:
        return self.means, self.spread, self.keys


def _merged(a: Floats, b: Floats) -> Floats:
    """Moments of the union of two samples."""
    if a.shape != b.shape:
        raise ValueError(
            f"moments of the same tables must have the same shape: {a.shape}, {b.shape}"
        )
    compile_once(np.dtype(np.float32))
    out = a.copy()
    merge_into(out, b)
    return out


def merge_into(moments: Floats, more: Floats) -> None:
    """Add the moments `more` of further samples in place: contiguous arrays of one shape."""
    absorb(moments.reshape(-1, moments.shape[-1]), more.reshape(-1, more.shape[-1]))


def table_moments(
    logits: Logits,
    subsets: Subsets,
    beta: float = 1.0,
    path: tuple[Floats, Floats] | None = None,
) -> TableMoments:
    """Compute the moments over the probe of a stack of tables.

    Parameters
    ----------
    logits : array (table, probe, query, key) or (table, probe * query, key)
        Tables of equal shape: any checkpoints, layers and heads.  C-contiguous float32 or float64
        is read in place.
    subsets : Subsets
        Made once for a probe, with as many queries as the tables have.
    path : (array (head, 2 * row * key), array (table, query, 4)), optional
        Amplitudes sqrt p of the rows of the table before and of the first one of every head, and
        where the distances from both are added (:class:`heatcap.attention.geometry.TrainingPath`).

    Returns
    -------
    TableMoments

    Raises
    ------
    ValueError
        If `beta` is not positive, or a row that is used holds NaN, +inf or no visible key.
    """
    stack = np.asarray(logits)
    if stack.ndim == 4:
        stack = stack.reshape(stack.shape[0], -1, stack.shape[3])
    tables = as_logits(stack, 3)
    check_beta(beta)
    if tables.shape[1] != subsets.rows:
        raise ValueError(
            f"a table of these subsets has {subsets.rows} rows (probe x query), "
            f"got {tables.shape[1]}"
        )
    shape = (len(tables), len(subsets.membership), subsets.queries)
    means, spread = np.zeros((*shape, COLUMNS, 2)), np.zeros((*shape, len(FLUCTUATING), 5))
    keys = np.zeros((*shape, tables.shape[2], 3))
    order, starts, membership = subsets.order, subsets.starts, subsets.membership
    moments, scratch = (means, spread, keys), scratch_for(tables)
    compile_once(tables.dtype, path is not None)
    moved = None if path is None else (shelf_for(tables.shape[2]), *path)
    bad = table_kernel(tables, order, starts, membership, float(beta), moments, scratch, moved)
    check_rows(bad, len(tables) * len(order))
    return TableMoments(*moments)


def table_heat_capacities(
    moments: TableMoments,
    beta: float = 1.0,
    population: int = 0,
    inputs: int | None = None,
) -> dict[str, Floats]:
    """Compute averages, heat capacities and standard errors of each table.

    Arrays (table, subset, query) by name: the averages of all `ROW_COLUMNS` but the auxiliary
    energies, `fisher_information`, and, all with population variances over the inputs x (E the
    energies, U the row energies):

        landscape_heat_capacity        beta^2 Var_x(U)
        landscape_heat_capacity_fixed  beta^2 Var_x(U - mean energy)
        total_heat_capacity            heat_capacity + landscape_heat_capacity
        unweighted_heat_capacity       beta^2 Var(E) over all visible pairs (input, key) alike
        offset_heat_capacity           beta^2 Var_j(<E>_x), key j weighted by the inputs that see it

    so that the last two differ by the mean variance within a key (law of total variance), also
    where inputs see different numbers of keys.  An empty subset gives NaN.

    `*_error` is the standard error from the sampling of the probe: sqrt(s^2 / m) of the mean C and
    sqrt((m4 - s^4) / m) of a variance, times sqrt(1 - m/M), where a probe of m = `inputs` was drawn
    from a population of M = `population` (0: infinite) without replacement.  A subset of m_s
    inputs was drawn from about M m_s / m of its kind, so that its fraction is m/M as well.
    Without `inputs` the largest subset counts as the probe.

    Raises
    ------
    ValueError
        If the population is negative, or smaller than the probe.
    """
    count = moments.spread[..., 0, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        empty = np.where(count > 0, 0.0, np.nan)
        named = {
            name: moments.means[..., i, 1] + empty
            for i, name in enumerate(ROW_COLUMNS)
            if i not in (MEAN, ABOVE)
        }
        c, u, v = (moments.spread[..., k, :] for k in range(len(FLUCTUATING)))
        named[FISHER_INFORMATION] = named[HEAT_CAPACITY] / beta**2
        named[LANDSCAPE] = beta**2 * u[..., 2] / count
        named[LANDSCAPE_FIXED] = beta**2 * v[..., 2] / count
        named[TOTAL] = named[HEAT_CAPACITY] + named[LANDSCAPE]
        pairs, _, between, within = _pool(moments.keys)
        named[UNWEIGHTED] = beta**2 * (between + within) / (pairs + empty)
        named[OFFSET] = beta**2 * between / (pairs + empty)
        finite = _finite_population(count, population, inputs) + empty
        named[error_of(HEAT_CAPACITY)] = _corrected(c[..., 2] / (count - 1) / count, finite)
        named[error_of(LANDSCAPE)] = beta**2 * _variance_error(u, finite)
        named[error_of(LANDSCAPE_FIXED)] = beta**2 * _variance_error(v, finite)
    return named


def _pool(keys: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Count, mean, sums of squares between and within samples (..., sample, 3)."""
    count, mean, square = keys[..., 0], keys[..., 1], keys[..., 2]
    total = count.sum(axis=-1)
    grand = (count * mean).sum(axis=-1) / np.maximum(total, 1.0)
    between = (count * (mean - grand[..., None]) ** 2).sum(axis=-1)
    return total, grand, between, square.sum(axis=-1)


def _finite_population(count: Floats, population: int, inputs: int | None) -> Floats:
    """Correction 1 - m/M for sampling without replacement; 1 for an infinite population."""
    if population < 0:
        raise ValueError(f"population must be 0 (infinite) or a count, got {population}")
    if not population or not count.size:
        return np.ones_like(count)
    probe = count.max(axis=-2, keepdims=True) if inputs is None else np.float64(inputs)
    if np.any(probe > population):
        raise ValueError(
            f"a probe of {int(np.max(probe))} inputs cannot come from a population of {population}"
        )
    return np.broadcast_to(1.0 - probe / population, count.shape)


def _corrected(variance: Floats, finite: Floats) -> Floats:
    """Standard error sqrt(variance (1 - m/M)); exactly 0 where the sample is the population.

    Also for a population of a single input, whose variance is 0/0.
    """
    return np.where(finite == 0.0, 0.0, np.sqrt(variance * finite))


def _variance_error(spread: Floats, finite: Floats) -> Floats:
    """Standard error sqrt((m4 - s^4) / m) of a sample variance."""
    count = spread[..., 0]
    excess = spread[..., 4] / count - (spread[..., 2] / count) ** 2
    return _corrected(np.maximum(excess, 0.0) / count, finite)
