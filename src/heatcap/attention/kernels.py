"""Fused kernels of the ensemble: blocks of attention rows in, float64 averages out.

:func:`row_observables` gives the thermodynamics of single rows, :func:`fisher_distance` the
geometry between two sets of rows; `table_kernel` computes the moments over a probe.
Energies E = -logit, k_B = 1; ``-inf`` is an absent key.

How it is fast.  Rows sit in the lanes of the vector unit and keys follow one another, which suits 3
keys as well as 300: a block of rows is transposed into the L1 cache first.  Exponentials are base
2 and branch-free, so that LLVM vectorises them without a vector mathematics library.

How it is accurate.  Power sums are taken about the row's largest logit, itself one of the states:
its probability is at least 1/n, so Var E >= <E>^2 / n in that gauge, and <E^2> - <E>^2 loses no
more than a factor n + 1.  No second pass is needed even for frozen rows and logits of 1e4.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatcap.attention.arithmetic import LN2, LOG2E, LOWEST, exp2, ln
from heatcap.attention.blocks import (
    KEYS,
    ROWS,
    as_logits,
    check_beta,
    check_rows,
    extremes,
    gather,
    tile_for,
)
from heatcap.attention.distances import ABSENT, SHELF, add_arcs, move, shelf_for
from heatcap.core import quantities
from heatcap.core.arrays import Floats, Logits
from heatcap.core.jit import CONTRACT, REORDER, compiling, jit
from heatcap.core.quantities import ENERGY, HEAT_CAPACITY
from heatcap.runfile.integrity import GOLDEN

__all__ = [
    "COLUMNS",
    "FLUCTUATING",
    "ROW_COLUMNS",
    "absorb",
    "compile_once",
    "row_observables",
    "scratch_for",
    "table_kernel",
    "weigh_words",
]

ROW_COLUMNS = (*quantities.ROWS, "mean_energy", "energy_above_mean")
"""What :func:`row_observables` computes; the last is U - mean_energy, free of the row's gauge."""

FLUCTUATING = (HEAT_CAPACITY, ENERGY, "energy_above_mean")
"""Columns whose spread over the probe is kept, up to the fourth moment."""

COLUMNS = len(ROW_COLUMNS)
_F, _U, _S, _C, _K3, _K4, _PR, _PMAX, _N, MEAN, ABOVE = range(COLUMNS)
_SPREAD = tuple(ROW_COLUMNS.index(name) for name in FLUCTUATING)

_SUMS = 9
# Row r of sum k lies at k * ROWS + r of one flat array: with a common base pointer LLVM sees
# that the sums do not overlap.  Unsigned, for numba wraps signed indices.
_Z, _S1, _S2, _S3, _S4, _Q, _D, _V = (np.uintp(k * ROWS) for k in range(1, _SUMS))
_DONE = _SUMS * ROWS  # the columns of a finished block follow the sums
_O0, _O1, _O2, _O3, _O4, _O5, _O6, _O7, _O8, _O9, _O10 = (
    np.uintp(_DONE + k * ROWS) for k in range(COLUMNS)
)
_PER_Z = _DONE + _PMAX * ROWS  # 1 / Z is the largest probability
_WORK = _DONE + COLUMNS * ROWS


# --- one block of rows ----------------------------------------------------------------------------


@jit()
def _is_tame(top: Logits, bottom: Logits, count: int, scale: float) -> bool:
    """Whether no key of a block is absent or too improbable: most blocks, and quicker to sum."""
    wild = 0
    for i in range(count):
        depth = (np.float64(bottom[i]) - np.float64(top[i])) * scale
        wild += 0 if depth > LOWEST else 1
    return wild == 0


def _fold(width: int, tame: bool) -> Callable[..., None]:
    """Make the kernel that adds `width` keys to the sums, each of which is loaded once for them."""

    @jit(CONTRACT)
    def fold(
        tile: Logits,
        key: int,
        count: int,
        top: Logits,
        scale: float,
        sums: Floats,
        weights: Floats | None,
    ) -> None:
        base = np.uintp(key * ROWS)
        for i in range(count):
            r = np.uintp(i)
            peak = np.float64(top[i])
            rest, z, q = sums[r], sums[r + _Z], sums[r + _Q]
            s1, s2, s3, s4 = sums[r + _S1], sums[r + _S2], sums[r + _S3], sums[r + _S4]
            depth, visible = sums[r + _D], sums[r + _V]
            for k in range(width):
                d = np.float64(tile[base + np.uintp(k * ROWS) + r]) - peak
                y: float = d * scale
                if not tame:
                    y = LOWEST if y < LOWEST else y
                w = exp2(y)
                if not tame:  # comparisons stand so that NaN goes through
                    w = 0.0 if y <= LOWEST else w
                    depth += d if d > -np.inf else 0.0
                    visible += 1.0 if d > -np.inf else 0.0
                else:
                    depth += d
                    visible += 1.0
                if weights is not None:  # decided when it is compiled
                    weights[base + np.uintp(k * ROWS) + r] = w if tame or d > -np.inf else ABSENT
                y2 = y * y
                wy2 = w * y2
                rest += w if y < 0.0 else 0.0
                z += w
                q += w * w
                s1 += w * y
                s2 += wy2
                s3 += wy2 * y
                s4 += wy2 * y2
            sums[r], sums[r + _Z], sums[r + _Q] = rest, z, q
            sums[r + _S1], sums[r + _S2], sums[r + _S3], sums[r + _S4] = s1, s2, s3, s4
            sums[r + _D], sums[r + _V] = depth, visible

    return fold


_tame_1, _tame_3, _tame_4 = (_fold(width, True) for width in (1, 3, 4))
_wild_1, _wild_4 = (_fold(width, False) for width in (1, 4))


@jit()
def _fold_keys(
    tile: Logits,
    keys: int,
    count: int,
    top: Logits,
    scale: float,
    tame: bool,
    sums: Floats,
    weights: Floats | None,
) -> None:
    """Add the keys of a tile to the sums, four at a time; keep their weights if asked."""
    whole = keys - keys % 4
    for key in range(0, whole, 4):
        if tame:
            _tame_4(tile, key, count, top, scale, sums, weights)
        else:
            _wild_4(tile, key, count, top, scale, sums, weights)
    if tame and keys - whole == 3:  # all of modular arithmetic
        _tame_3(tile, whole, count, top, scale, sums, weights)
        whole += 3
    for key in range(whole, keys):
        if tame:
            _tame_1(tile, key, count, top, scale, sums, weights)
        else:
            _wild_1(tile, key, count, top, scale, sums, weights)


@jit(CONTRACT)
def _log_z(rest: float, z: float, per_z: float) -> float:
    """ln z, where z = 1 + rest (or ties + rest): to full precision when rest is tiny."""
    return ln(z) + (rest - (z - float(np.floor(z - rest + 0.5)))) * per_z


@jit(CONTRACT)
def _finish(work: Floats, top: Logits, temperature: float, count: int) -> None:
    """Columns of a block from the power sums of y = beta (s - top) log2 e <= 0."""
    for i in range(count):
        r = np.uintp(i)
        z, per_z = work[r + _Z], 1.0 / work[r + _Z]
        peak, y1 = np.float64(top[i]), work[r + _S1] * per_z
        m2, m3, m4 = work[r + _S2] * per_z, work[r + _S3] * per_z, work[r + _S4] * per_z
        log_z = _log_z(work[r], z, per_z)
        depth = -y1 * LN2  # beta (U + top) >= 0
        c2 = m2 - y1 * y1
        c3 = m3 - y1 * (3.0 * m2 - 2.0 * y1 * y1)
        c4 = m4 - y1 * (4.0 * m3 - y1 * (6.0 * m2 - 3.0 * y1 * y1))
        mean_depth = work[r + _D] / work[r + _V]
        work[r + _O0] = -peak - log_z * temperature
        work[r + _O1] = depth * temperature - peak
        work[r + _O2] = depth + log_z
        work[r + _O3] = c2 * LN2**2
        work[r + _O4] = -c3 * LN2**3  # E = -s turns the odd cumulants round
        work[r + _O5] = (c4 - 3.0 * c2 * c2) * LN2**4
        work[r + _O6] = z * z / work[r + _Q]
        work[r + _O7] = per_z
        work[r + _O8] = work[r + _V]
        work[r + _O9] = -peak - mean_depth
        work[r + _O10] = depth * temperature + mean_depth


@jit()
def _deliver(work: Floats, count: int, first: int, out: Floats) -> None:
    """Finished columns to out[:, first : first + count]: all, or those that are `FLUCTUATING`."""
    for k in range(len(out)):
        c = k if len(out) == COLUMNS else _SPREAD[k]
        source, target = np.uintp(_DONE + c * ROWS), out[k, first : first + count]
        for i in range(count):
            target[i] = work[source + np.uintp(i)]


@jit(REORDER)
def _column_sum(work: Floats, base: int, count: int) -> float:
    """Sum of a finished column over the rows of a block."""
    total = 0.0
    for i in range(count):
        total += work[np.uintp(base) + np.uintp(i)]
    return total


@jit()
def _defects(sums: Floats, count: int) -> int:
    """Rows with NaN, +inf or no visible key: their sums are NaN."""
    bad = 0
    for i in range(count):
        r = np.uintp(i)
        bad += 0 if sums[r + _Z] >= 1.0 and sums[r + _S1] <= 0.0 else 1
    return bad


# --- moments over the probe -----------------------------------------------------------------------


@jit(REORDER)
def _key_sums(tile: Logits, base: int, count: int, shift: float) -> tuple[float, float, float]:
    """Count, sum and sum of squares of (s - shift) over the visible rows of one key."""
    seen, total, square = 0.0, 0.0, 0.0
    for i in range(count):
        s = np.float64(tile[np.uintp(base) + np.uintp(i)])
        here = s > -np.inf
        d = s - shift if here else 0.0
        seen += 1.0 if here else 0.0
        total += d
        square += d * d
    return seen, total, square


@jit()
def _first_visible(tile: Logits, base: int, count: int) -> float:
    """A logit of this key to shift by: a member of the sample, so Var >= (mean - shift)^2 / m."""
    for i in range(count):
        s = np.float64(tile[np.uintp(base + i)])
        if s > -np.inf:
            return s
    return 0.0


@jit()
def _add_keys(tile: Logits, key: int, keys: int, count: int, moments: Floats) -> None:
    """Add a block of rows to moments (key, 4): count, sum, sum of squares and the shift of both."""
    for j in range(keys):
        sums = moments[key + j]
        base = j * ROWS
        if sums[0] == 0.0:
            sums[3] = _first_visible(tile, base, count)
        seen, total, square = _key_sums(tile, base, count, sums[3])
        sums[0] += seen
        sums[1] += total
        sums[2] += square


@jit()
def _centre_keys(moments: Floats, out: Floats) -> None:
    """Shifted sums (key, 4) of logits to count, mean and sum of squares (key, 3) of energies."""
    for j in range(len(out)):
        count, total, square, shift = moments[j]
        mean = total / count if count > 0.0 else 0.0
        out[j, 0] = count
        out[j, 1] = -(shift + mean) if count > 0.0 else 0.0
        out[j, 2] = max(square - total * mean, 0.0)


@jit(REORDER)
def _central(values: Floats, mean: float) -> tuple[float, float, float]:
    """Sums of the second, third and fourth powers of the deviations."""
    s2, s3, s4 = 0.0, 0.0, 0.0
    for i in range(len(values)):
        d = values[i] - mean
        d2 = d * d
        s2 += d2
        s3 += d2 * d
        s4 += d2 * d2
    return s2, s3, s4


@jit()
def _centre_rows(
    totals: Floats, columns: Floats, first: int, stop: int, means: Floats, spread: Floats
) -> None:
    """Sums and fluctuating columns (:, first : stop) to means (column, 2) and spread (:, 5)."""
    for c in range(COLUMNS):
        means[c, 0] = stop - first
        means[c, 1] = totals[c] / (stop - first)
    for k in range(len(_SPREAD)):
        mean = means[_SPREAD[k], 1]
        spread[k, 0], spread[k, 1] = stop - first, mean
        spread[k, 2], spread[k, 3], spread[k, 4] = _central(columns[k, first:stop], mean)


@jit(CONTRACT)
def absorb(moments: Floats, more: Floats) -> None:
    """Merge count, mean and central sums of a second sample into those of the first.

    Pébay, SAND2008-6212, 2008; fourth moment as corrected in Pébay et al., Comput. Stat. 31 (2016)
    1305.
    """
    for i in range(len(moments)):
        a, b = moments[i], more[i]
        if b[0] == 0.0:
            continue
        count = a[0] + b[0]
        left, right, step = a[0] / count, b[0] / count, b[1] - a[1]
        cross = step * step * a[0] * right
        if len(a) == 5:
            a[4] += b[4] + cross * step * step * (left * left - left * right + right * right)
            a[4] += 6.0 * step * step * (left * left * b[2] + right * right * a[2])
            a[4] += 4.0 * step * (left * b[3] - right * a[3])
            a[3] += b[3] + cross * step * (left - right)
            a[3] += 3.0 * step * (left * b[2] - right * a[2])
        if len(a) > 2:
            a[2] += b[2] + cross
        a[1] += step * right
        a[0] = count


@jit()
def _rows(
    table: Logits,
    order: NDArray[np.int64],
    first: int,
    stop: int,
    beta: float,
    out: Floats,
    totals: Floats,
    keys: Floats,
    scratch: tuple[Logits, Logits, Logits, Floats],
    path: tuple[Floats, Floats, Floats] | None,
) -> int:
    """Rows order[first:stop] into out[:, first:stop], added to `totals` and `keys` unless empty.

    With a `path` also the distances that the rows have moved.  Returns the number of defects.
    """
    tile, top, bottom, work = scratch
    n, bad, scale = table.shape[1], 0, beta * LOG2E
    for start in range(first, stop, ROWS):
        count = min(ROWS, stop - start)
        top[:], bottom[:] = -np.inf, np.inf
        work[:_DONE] = 0.0
        for key in range(0, n, KEYS):
            width = min(KEYS, n - key)
            gather(table, order, start, count, key, width, tile)
            extremes(tile, width, count, top, bottom)
            if len(keys) > 0:
                _add_keys(tile, key, width, count, keys)
        tame = _is_tame(top, bottom, count, scale)
        for key in range(0, n, KEYS):
            width = min(KEYS, n - key)
            if n > KEYS:
                gather(table, order, start, count, key, width, tile)
            if path is None:
                _fold_keys(tile, width, count, top, scale, tame, work, None)
            else:
                shelf = path[0][SHELF + key * ROWS :]
                _fold_keys(tile, width, count, top, scale, tame, work, shelf)
        bad += _defects(work, count)
        _finish(work, top, 1.0 / beta, count)
        if path is not None:
            move(path[0], path[1], start * n, n, count, work[_PER_Z:])
            add_arcs(path[0], count, path[2])
        _deliver(work, count, start, out)
        for c in range(len(totals)):  # while the columns are in the cache
            totals[c] += _column_sum(work, _DONE + c * ROWS, count)
    return bad


@jit()
def table_kernel(
    tables: Logits,
    order: NDArray[np.int64],
    starts: NDArray[np.int64],
    membership: NDArray[np.bool_],
    beta: float,
    moments: tuple[Floats, Floats, Floats],
    scratch: tuple[Logits, Logits, Logits, Floats],
    path: tuple[Floats, Floats, Floats] | None,
) -> int:
    """Add up the moments of each table (table, subset, query, ...), group by group.

    Returns the number of rows that are NaN, +inf or fully masked.  `path` is a shelf, the
    amplitudes that rows of each head had before and at first (head, 2, row and key), and the sums
    of their distances (table, query, 4).
    """
    means, spread, keys = moments
    n, queries, bad = tables.shape[2], means.shape[2], 0
    columns, totals = np.empty((len(_SPREAD), len(order))), np.empty(COLUMNS)
    sums = np.empty((n, 4))
    own_means, own_spread = np.empty((COLUMNS, 2)), np.empty((len(_SPREAD), 5))
    own_keys = np.empty((n, 3))
    for t in range(len(tables)):
        for i in range(len(starts) - 1):
            group, query, a, b = i // queries, i % queries, starts[i], starts[i + 1]
            sums[:], totals[:] = 0.0, 0.0
            if path is None:
                bad += _rows(tables[t], order, a, b, beta, columns, totals, sums, scratch, None)
            else:
                here = (path[0], path[1][t % len(path[1])], path[2][t, query])
                bad += _rows(tables[t], order, a, b, beta, columns, totals, sums, scratch, here)
            _centre_keys(sums, own_keys)
            _centre_rows(totals, columns, a, b, own_means, own_spread)
            for s in range(len(membership)):
                if membership[s, group]:
                    absorb(means[t, s, query], own_means)
                    absorb(spread[t, s, query], own_spread)
                    absorb(keys[t, s, query], own_keys)
    return bad


# --- checksums of a run file ----------------------------------------------------------------------

_HALF, _ODD = np.uint64(32), np.uint64(1)
_MAGNITUDE, _INFINITY, _ZERO = np.uint32(0x7FFFFFFF), np.uint32(0x7F800000), np.uint32(0)


@jit()
def _word_sums(
    words: NDArray[np.uint32], starts: NDArray[np.uint64], golden: np.uint64, out: Any
) -> Any:
    """`runfile.integrity.word_sum` of each row that begins at index `starts`.

    Returns the bits of the largest finite magnitude among the words as float32.
    """
    largest = np.uint32(0)
    for row in range(len(words)):
        total = np.uint64(0)
        multiple = starts[row] * golden
        for word in words[row]:
            multiple += golden
            total += np.uint64(word) * ((multiple >> _HALF) | _ODD)
            magnitude = word & _MAGNITUDE
            largest = max(largest, magnitude if magnitude < _INFINITY else _ZERO)
        out[row] = total
    return largest


# --- NumPy layer ----------------------------------------------------------------------------------


def row_observables(logits: Logits, beta: float = 1.0, out: Floats | None = None) -> Floats:
    """Compute the thermodynamics of each row of `logits` (row, key).

    Returns an array (column, row), columns as in `ROW_COLUMNS`; written to `out` where it is given.
    Float32 and float64 are taken as they are, anything else is converted; sums are float64.

    Raises
    ------
    ValueError
        If `beta` is not positive, or a row holds NaN, +inf or no visible key.
    """
    rows = as_logits(logits, 2)
    check_beta(beta)
    if out is None:
        out = np.empty((COLUMNS, len(rows)))
    compile_once(rows.dtype)
    order = np.arange(len(rows))
    none, scratch = np.empty(0), scratch_for(rows)
    bad = _rows(
        rows, order, 0, len(rows), float(beta), out, none, none.reshape(0, 4), scratch, None
    )
    check_rows(bad, len(rows))
    return out


def weigh_words(
    words: NDArray[np.uint32], starts: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], float]:
    """Compute weighted sums of rows (row, word) of float32 bits, and their largest magnitude.

    The sums, mod 2^64, are those of `runfile.integrity`; the magnitude is that of finite values.
    """
    compile_once(np.dtype(np.float32))
    sums = np.empty(len(words), np.uint64)
    with np.errstate(over="ignore"):  # they wrap on purpose; NumPy warns where numba is off
        largest = np.uint32(_word_sums(words, starts, np.uint64(GOLDEN), sums))
    return sums, float(largest.view(np.float32))


@functools.cache
def compile_once(dtype: np.dtype[Any], path: bool = False) -> None:
    """Compile the kernels for logits of a type, or load them from numba's cache, once a process.

    Those of a path are compiled apart, for few analyses ask for one.
    """
    with compiling():
        rows = np.zeros((1, 1), dtype)
        order, none, out = np.zeros(1, np.int64), np.empty(0), np.empty((COLUMNS, 1))
        _rows(rows, order, 0, 1, 1.0, out, none, none.reshape(0, 4), scratch_for(rows), None)
        moments = (
            np.zeros((1, 1, 1, COLUMNS, 2)),
            np.zeros((1, 1, 1, len(FLUCTUATING), 5)),
            np.zeros((1, 1, 1, 1, 3)),
        )
        starts, every = np.array([0, 1]), np.ones((1, 1), bool)
        tables = (rows[np.newaxis], order, starts, every, 1.0, moments, scratch_for(rows))
        if path:
            table_kernel(*tables, (shelf_for(1), np.zeros((1, 2)), np.zeros((1, 1, 4))))
            return
        table_kernel(*tables, None)
        absorb(np.ones((1, 5)), np.ones((1, 5)))
        with np.errstate(over="ignore"):
            one = np.ones(1, np.uint64)
            _word_sums(np.ones((1, 1), np.uint32), one, one[0], one)


def scratch_for(logits: Logits) -> tuple[Logits, Logits, Logits, Floats]:
    """Allocate a block of rows: logits (key, row), their extremes, the sums with the results."""
    rows = np.empty(ROWS, logits.dtype)
    return tile_for(logits), rows, rows.copy(), np.empty(_WORK)
