"""Fused kernels behind :mod:`heatcap.ensemble`: blocks of attention rows in, float64 averages out.

A *table* is what one checkpoint, layer and head yield: logits of shape (probe, query, key).
:func:`table_moments` turns a stack of tables into the few moments that every heat capacity is made
of; moments of parts of a probe merge, so a table may be streamed through in pieces.
:func:`row_observables` gives the thermodynamics of the single rows, :func:`fisher_distance` the
geometry between two sets of rows.  Energies E = -logit, k_B = 1; ``-inf`` is an absent key.

How it is fast.  Rows sit in the lanes of the vector unit and keys follow one another, which suits 3
keys as well as 300: a block of rows is transposed into the L1 cache first.  Exponentials are base
2 and branch-free, so that LLVM vectorises them without a vector mathematics library.

How it is accurate.  Power sums are taken about the row's largest logit, itself one of the states:
its probability is at least 1/n, so Var E >= <E>^2 / n in that gauge, and <E^2> - <E>^2 loses no
more than a factor n + 1.  No second pass is needed even for frozen rows and logits of 1e4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "FLUCTUATING",
    "ROW_COLUMNS",
    "Subsets",
    "TableMoments",
    "fisher_distance",
    "row_observables",
    "table_heat_capacities",
    "table_moments",
]

ROW_COLUMNS = (
    "free_energy",
    "energy",
    "entropy",
    "heat_capacity",
    "third_cumulant",
    "fourth_cumulant",
    "participation_ratio",
    "max_probability",
    "visible_keys",
    "mean_energy",
    "energy_above_mean",
)
"""What :func:`row_observables` computes; the last is U - mean_energy, free of the row's gauge."""

FLUCTUATING = ("heat_capacity", "energy", "energy_above_mean")
"""Columns whose spread over the probe is kept, up to the fourth moment."""

Floats = NDArray[np.float64]
Logits = NDArray[np.float32] | NDArray[np.float64]
F = TypeVar("F", bound=Callable[..., Any])

_COLUMNS = len(ROW_COLUMNS)
_F, _U, _S, _C, _K3, _K4, _PR, _PMAX, _N, _MEAN, _ABOVE = range(_COLUMNS)
_SPREAD = tuple(ROW_COLUMNS.index(name) for name in FLUCTUATING)

_ROWS = 64  # rows of a block: eight 512-bit vectors of doubles
_KEYS = 128  # keys of a block: the transposed block is 32 KiB of float32
_SUMS = 9

# Neither "nnan" nor "ninf": absent keys are -inf and defects are found as NaN.
_CONTRACT = {"contract"}  # a*b + c in one rounding, nothing reordered
_REORDER = {"contract", "reassoc", "nsz"}  # sums may be split over vector lanes

_LN2 = math.log(2.0)
_LOG2E = 1.0 / _LN2
_ROUND = 1.5 * 2.0**52  # adding it rounds to an integer and leaves that in the low bits
_LOWEST = -1022.0  # 2**-1022, the smallest normal double; less probable keys count as p = 0

# Row r of sum k lies at k * _ROWS + r of one flat array: with a common base pointer LLVM sees
# that the sums do not overlap.  Unsigned, for numba wraps signed indices.
_Z, _S1, _S2, _S3, _S4, _Q, _D, _V = (np.uintp(k * _ROWS) for k in range(1, _SUMS))
_DONE = _SUMS * _ROWS  # the columns of a finished block follow the sums
_O0, _O1, _O2, _O3, _O4, _O5, _O6, _O7, _O8, _O9, _O10 = (
    np.uintp(_DONE + k * _ROWS) for k in range(_COLUMNS)
)
_WORK = _DONE + _COLUMNS * _ROWS


def _jit(fastmath: set[str] | None = None) -> Callable[[F], F]:
    """numba.njit as this module uses it, with a type that mypy can follow.

    NumPy's error model: a division that may raise is a branch, and a branch is not vectorised.
    """
    jit = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=fastmath or False)
    return cast(Callable[[F], F], jit)


_intrinsic = cast(Callable[[F], Callable[..., Any]], intrinsic)


# --- elementary functions -------------------------------------------------------------------------


@_jit(_CONTRACT)
def _power_parts(y: float) -> tuple[float, float]:
    """2^y as (2^k, 2^r - 1), k the nearest integer and |r| <= 1/2; relative error 4e-14 of 2^r.

    The polynomial interpolates (2^r - 1)/r at Chebyshev nodes; made with mpmath, 40 digits.
    """
    t = y + _ROUND
    r = y - (t - _ROUND)
    p = 1.0203121063391729e-07
    p = p * r + 1.3255224878668817e-06
    p = p * r + 1.525268684626772e-05
    p = p * r + 0.00015403455852453838
    p = p * r + 0.0013333558179043112
    p = p * r + 0.009618129159402558
    p = p * r + 0.055504108664760424
    p = p * r + 0.2402265069581299
    p = p * r + 0.6931471805599453
    scale = np.int64((np.float64(t).view(np.int64) + 1023) << 52).view(np.float64)
    return scale, p * r


@_jit(_CONTRACT)
def _exp2(y: float) -> float:
    """2^y for -1022 <= y <= 0; exactly 1 at 0."""
    scale, fraction = _power_parts(y)
    return scale * fraction + scale


@_jit(_CONTRACT)
def _exp2m1(y: float) -> float:
    """2^y - 1 for -1022 <= y <= 0, accurate near 0."""
    scale, fraction = _power_parts(y)
    return scale * fraction + (scale - 1.0)


@_jit(_CONTRACT)
def _log(x: float) -> float:
    """ln x for finite x >= 1, after fdlibm's e_log.c but without branches; relative error 1e-15."""
    bits = np.float64(x).view(np.int64) + (0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
    exponent = np.float64((bits >> 52) - 1023)
    mantissa = np.int64((bits & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD).view(np.float64)
    f = mantissa - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 1.479819860511658591e-01
    p = p * z + 1.531383769920937332e-01
    p = p * z + 1.818357216161805012e-01
    p = p * z + 2.222219843214978396e-01
    p = p * z + 2.857142874366239149e-01
    p = p * z + 3.999999999940941908e-01
    p = p * z + 6.666666666666735130e-01
    half = 0.5 * f * f
    return exponent * _LN2 + (f - (half - s * (half + p * z)))


# --- one block of rows ----------------------------------------------------------------------------


@_intrinsic
def _transpose(
    _context: Any, tile: Any, at: Any, table: Any, key: Any, rows: Any
) -> tuple[Any, Callable[..., Any]]:
    """tile[at + j * _ROWS + i] = table[rows[i], key + j] for i, j < 4, as vectors.

    Written in LLVM's own language since its loop vectoriser makes scatters of the plain loop, which
    cost more than the exponentials.
    """
    return types.void(tile, at, table, key, rows), partial(_emit_copy, square=True)


@_intrinsic
def _column(
    _context: Any, tile: Any, at: Any, table: Any, key: Any, rows: Any
) -> tuple[Any, Callable[..., Any]]:
    """tile[at + i] = table[rows[i], key] for i < 4: the same for rows of fewer than four keys."""
    return types.void(tile, at, table, key, rows), partial(_emit_copy, square=False)


def _emit_copy(context: Any, builder: Any, signature: Any, args: Any, *, square: bool) -> Any:
    """Code of both: four loads, two rounds of shuffles, stores."""
    tile_type, _, table_type, _, rows_type = signature.args
    tile = context.make_array(tile_type)(context, builder, args[0])
    table = context.make_array(table_type)(context, builder, args[2])
    stride = builder.extract_value(table.shape, 1)
    rows = [builder.extract_value(args[4], i) for i in range(rows_type.count)]
    scalar = context.get_data_type(tile_type.dtype)
    vector = ir.VectorType(scalar, 4).as_pointer()
    size = tile_type.dtype.bitwidth // 8

    def source(row: Any) -> Any:
        offset = builder.add(builder.mul(row, stride), args[3])
        return builder.gep(table.data, [offset])

    def store(value: Any, j: int) -> None:
        offset = builder.add(args[1], ir.Constant(args[1].type, j * _ROWS))
        target = builder.bitcast(builder.gep(tile.data, [offset]), vector)
        builder.store(value, target, align=size)

    def shuffle(left: Any, right: Any, lanes: tuple[int, ...]) -> Any:
        mask = ir.Constant(ir.VectorType(ir.IntType(32), 4), list(lanes))
        return builder.shuffle_vector(left, right, mask)

    if square:
        a, b, c, d = (builder.load(builder.bitcast(source(r), vector), align=size) for r in rows)
        low, high = (0, 4, 1, 5), (2, 6, 3, 7)
        ab, cd = shuffle(a, b, low), shuffle(c, d, low)
        store(shuffle(ab, cd, (0, 1, 4, 5)), 0)
        store(shuffle(ab, cd, (2, 3, 6, 7)), 1)
        ab, cd = shuffle(a, b, high), shuffle(c, d, high)
        store(shuffle(ab, cd, (0, 1, 4, 5)), 2)
        store(shuffle(ab, cd, (2, 3, 6, 7)), 3)
    else:
        column = ir.Constant(ir.VectorType(scalar, 4), ir.Undefined)
        for i, row in enumerate(rows):
            lane = ir.Constant(ir.IntType(32), i)
            column = builder.insert_element(column, builder.load(source(row)), lane)
        store(column, 0)
    return context.get_dummy_value()


@_jit()
def _gather(
    table: Logits,
    order: NDArray[np.int64],
    first: int,
    count: int,
    key: int,
    keys: int,
    tile: Logits,
) -> None:
    """Transpose rows order[first : first + count], keys key : key + keys, into tile[j * _ROWS + r].

    Four by four; the last row and the last keys are copied again to fill the square.
    """
    last = first + count - 1
    for r in range(0, count, 4):
        i = first + r
        rows = (order[i], order[min(i + 1, last)], order[min(i + 2, last)], order[min(i + 3, last)])
        if keys < 4:
            for j in range(keys):
                _column(tile, j * _ROWS + r, table, key + j, rows)
        else:
            for j in range(0, keys, 4):
                j = min(j, keys - 4)
                _transpose(tile, j * _ROWS + r, table, key + j, rows)


@_jit()
def _extremes(tile: Logits, keys: int, count: int, top: Logits, bottom: Logits) -> None:
    """Largest and smallest logit of each row so far; a NaN is neither, the sums find it."""
    for j in range(keys):
        base = np.uintp(j * _ROWS)
        for i in range(count):
            s = tile[base + np.uintp(i)]
            top[i] = s if s > top[i] else top[i]
            bottom[i] = s if s < bottom[i] else bottom[i]


@_jit()
def _is_tame(top: Logits, bottom: Logits, count: int, scale: float) -> bool:
    """Whether no key of a block is absent or too improbable: most blocks, and quicker to sum."""
    wild = 0
    for i in range(count):
        depth = (np.float64(bottom[i]) - np.float64(top[i])) * scale
        wild += 0 if depth > _LOWEST else 1
    return wild == 0


def _fold(width: int, tame: bool) -> Callable[..., None]:
    """Kernel that adds `width` keys to the sums: each sum is then loaded once per `width` keys."""

    @_jit(_CONTRACT)
    def fold(tile: Logits, key: int, count: int, top: Logits, scale: float, sums: Floats) -> None:
        base = np.uintp(key * _ROWS)
        for i in range(count):
            r = np.uintp(i)
            peak = np.float64(top[i])
            rest, z, q = sums[r], sums[r + _Z], sums[r + _Q]
            s1, s2, s3, s4 = sums[r + _S1], sums[r + _S2], sums[r + _S3], sums[r + _S4]
            depth, visible = sums[r + _D], sums[r + _V]
            for k in range(width):
                d = np.float64(tile[base + np.uintp(k * _ROWS) + r]) - peak
                y: float = d * scale
                if not tame:
                    y = _LOWEST if y < _LOWEST else y
                w = _exp2(y)
                if not tame:  # comparisons stand so that NaN goes through
                    w = 0.0 if y <= _LOWEST else w
                    depth += d if d > -np.inf else 0.0
                    visible += 1.0 if d > -np.inf else 0.0
                else:
                    depth += d
                    visible += 1.0
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


@_jit()
def _fold_keys(
    tile: Logits, keys: int, count: int, top: Logits, scale: float, tame: bool, sums: Floats
) -> None:
    whole = keys - keys % 4
    for key in range(0, whole, 4):
        if tame:
            _tame_4(tile, key, count, top, scale, sums)
        else:
            _wild_4(tile, key, count, top, scale, sums)
    if tame and keys - whole == 3:  # all of modular arithmetic
        _tame_3(tile, whole, count, top, scale, sums)
        whole += 3
    for key in range(whole, keys):
        if tame:
            _tame_1(tile, key, count, top, scale, sums)
        else:
            _wild_1(tile, key, count, top, scale, sums)


@_jit(_CONTRACT)
def _log_z(rest: float, z: float, per_z: float) -> float:
    """ln z, where z = 1 + rest (or ties + rest): to full precision when rest is tiny."""
    return _log(z) + (rest - (z - float(np.floor(z - rest + 0.5)))) * per_z


@_jit(_CONTRACT)
def _finish(work: Floats, top: Logits, temperature: float, count: int) -> None:
    """Columns of a block from the power sums of y = beta (s - top) log2 e <= 0."""
    for i in range(count):
        r = np.uintp(i)
        z, per_z = work[r + _Z], 1.0 / work[r + _Z]
        peak, y1 = np.float64(top[i]), work[r + _S1] * per_z
        m2, m3, m4 = work[r + _S2] * per_z, work[r + _S3] * per_z, work[r + _S4] * per_z
        log_z = _log_z(work[r], z, per_z)
        depth = -y1 * _LN2  # beta (U + top) >= 0
        c2 = m2 - y1 * y1
        c3 = m3 - y1 * (3.0 * m2 - 2.0 * y1 * y1)
        c4 = m4 - y1 * (4.0 * m3 - y1 * (6.0 * m2 - 3.0 * y1 * y1))
        mean_depth = work[r + _D] / work[r + _V]
        work[r + _O0] = -peak - log_z * temperature
        work[r + _O1] = depth * temperature - peak
        work[r + _O2] = depth + log_z
        work[r + _O3] = c2 * _LN2**2
        work[r + _O4] = -c3 * _LN2**3  # E = -s turns the odd cumulants round
        work[r + _O5] = (c4 - 3.0 * c2 * c2) * _LN2**4
        work[r + _O6] = z * z / work[r + _Q]
        work[r + _O7] = per_z
        work[r + _O8] = work[r + _V]
        work[r + _O9] = -peak - mean_depth
        work[r + _O10] = depth * temperature + mean_depth


@_jit()
def _deliver(work: Floats, count: int, first: int, out: Floats) -> None:
    """Finished columns to out[:, first : first + count]: all, or those that are `FLUCTUATING`."""
    for k in range(len(out)):
        c = k if len(out) == _COLUMNS else _SPREAD[k]
        source, target = np.uintp(_DONE + c * _ROWS), out[k, first : first + count]
        for i in range(count):
            target[i] = work[source + np.uintp(i)]


@_jit(_REORDER)
def _column_sum(work: Floats, base: int, count: int) -> float:
    total = 0.0
    for i in range(count):
        total += work[np.uintp(base) + np.uintp(i)]
    return total


@_jit()
def _add_totals(work: Floats, count: int, totals: Floats) -> None:
    """Sums of the finished columns over the rows, while they are at hand."""
    for c in range(len(totals)):
        totals[c] += _column_sum(work, _DONE + c * _ROWS, count)


@_jit()
def _defects(sums: Floats, count: int) -> int:
    """Rows with NaN, +inf or no visible key: their sums are NaN."""
    bad = 0
    for i in range(count):
        r = np.uintp(i)
        bad += 0 if sums[r + _Z] >= 1.0 and sums[r + _S1] <= 0.0 else 1
    return bad


# --- moments over the probe -----------------------------------------------------------------------


@_jit(_REORDER)
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


@_jit()
def _first_visible(tile: Logits, base: int, count: int) -> float:
    """A logit of this key to shift by: a member of the sample, so Var >= (mean - shift)^2 / m."""
    for i in range(count):
        s = np.float64(tile[np.uintp(base + i)])
        if s > -np.inf:
            return s
    return 0.0


@_jit()
def _add_keys(tile: Logits, key: int, keys: int, count: int, moments: Floats) -> None:
    """Add a block of rows to moments (key, 4): count, sum, sum of squares and the shift of both."""
    for j in range(keys):
        own = moments[key + j]
        base = j * _ROWS
        if own[0] == 0.0:
            own[3] = _first_visible(tile, base, count)
        seen, total, square = _key_sums(tile, base, count, own[3])
        own[0] += seen
        own[1] += total
        own[2] += square


@_jit()
def _centre_keys(moments: Floats, out: Floats) -> None:
    """Shifted sums (key, 4) of logits to count, mean and sum of squares (key, 3) of energies."""
    for j in range(len(out)):
        count, total, square, shift = moments[j]
        mean = total / count if count > 0.0 else 0.0
        out[j, 0] = count
        out[j, 1] = -(shift + mean) if count > 0.0 else 0.0
        out[j, 2] = max(square - total * mean, 0.0)


@_jit(_REORDER)
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


@_jit()
def _centre_rows(
    totals: Floats, columns: Floats, first: int, stop: int, means: Floats, spread: Floats
) -> None:
    """Sums and fluctuating columns (:, first : stop) to means (column, 2) and spread (:, 5)."""
    for c in range(_COLUMNS):
        means[c, 0] = stop - first
        means[c, 1] = totals[c] / (stop - first)
    for k in range(len(_SPREAD)):
        mean = means[_SPREAD[k], 1]
        spread[k, 0], spread[k, 1] = stop - first, mean
        spread[k, 2], spread[k, 3], spread[k, 4] = _central(columns[k, first:stop], mean)


@_jit(_CONTRACT)
def _absorb(own: Floats, more: Floats) -> None:
    """Count, mean and central sums of the union of two samples, in place (Pébay 2008, eqs. 3.1)."""
    for i in range(len(own)):
        a, b = own[i], more[i]
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


@_jit()
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
) -> int:
    """Rows order[first:stop] into out[:, first:stop], added to `totals` and `keys` unless empty.

    Returns the number of defects.
    """
    tile, top, bottom, work = scratch
    n, bad, scale = table.shape[1], 0, beta * _LOG2E
    for start in range(first, stop, _ROWS):
        count = min(_ROWS, stop - start)
        top[:], bottom[:] = -np.inf, np.inf
        work[:_DONE] = 0.0
        for key in range(0, n, _KEYS):
            width = min(_KEYS, n - key)
            _gather(table, order, start, count, key, width, tile)
            _extremes(tile, width, count, top, bottom)
            if len(keys) > 0:
                _add_keys(tile, key, width, count, keys)
        tame = _is_tame(top, bottom, count, scale)
        for key in range(0, n, _KEYS):
            width = min(_KEYS, n - key)
            if n > _KEYS:
                _gather(table, order, start, count, key, width, tile)
            _fold_keys(tile, width, count, top, scale, tame, work)
        bad += _defects(work, count)
        _finish(work, top, 1.0 / beta, count)
        _deliver(work, count, start, out)
        _add_totals(work, count, totals)
    return bad


@_jit()
def _table_kernel(
    tables: Logits,
    order: NDArray[np.int64],
    starts: NDArray[np.int64],
    membership: NDArray[np.bool_],
    beta: float,
    moments: tuple[Floats, Floats, Floats],
    scratch: tuple[Logits, Logits, Logits, Floats],
) -> int:
    """Moments of each table (table, subset, query, ...), group by group; returns the defects."""
    means, spread, keys = moments
    n, queries, bad = tables.shape[2], means.shape[2], 0
    columns, totals = np.empty((len(_SPREAD), len(order))), np.empty(_COLUMNS)
    sums = np.empty((n, 4))
    own_means, own_spread = np.empty((_COLUMNS, 2)), np.empty((len(_SPREAD), 5))
    own_keys = np.empty((n, 3))
    for t in range(len(tables)):
        for i in range(len(starts) - 1):
            group, query, a, b = i // queries, i % queries, starts[i], starts[i + 1]
            sums[:], totals[:] = 0.0, 0.0
            bad += _rows(tables[t], order, a, b, beta, columns, totals, sums, scratch)
            _centre_keys(sums, own_keys)
            _centre_rows(totals, columns, a, b, own_means, own_spread)
            for s in range(len(membership)):
                if membership[s, group]:
                    _absorb(means[t, s, query], own_means)
                    _absorb(spread[t, s, query], own_spread)
                    _absorb(keys[t, s, query], own_keys)
    return bad


# --- geometry -------------------------------------------------------------------------------------


@_jit(_CONTRACT)
def _add_weights(
    tile: Logits, keys: int, count: int, top: Logits, scale: float, sums: Floats
) -> None:
    for j in range(keys):
        base = np.uintp(j * _ROWS)
        for i in range(count):
            y: float = (np.float64(tile[base + np.uintp(i)]) - np.float64(top[i])) * scale
            y = _LOWEST if y < _LOWEST else y
            w = _exp2(y)
            sums[i] += 0.0 if y <= _LOWEST else w


@_jit(_CONTRACT)
def _add_chords(
    pair: tuple[Logits, Logits],
    tops: tuple[Logits, Logits],
    logs: tuple[Floats, Floats],
    keys: int,
    count: int,
    scale: float,
    chord: Floats,
    unlike: Floats,
) -> None:
    """chord += (sqrt p - sqrt q)^2; unlike += keys that only one of the two rows sees."""
    for j in range(keys):
        base = np.uintp(j * _ROWS)
        for i in range(count):
            a = np.float64(pair[0][base + np.uintp(i)])
            b = np.float64(pair[1][base + np.uintp(i)])
            ta, tb = np.float64(tops[0][i]), np.float64(tops[1][i])
            here, there = a > -np.inf, b > -np.inf
            # ln p - ln q from the difference of the logits: keeps its digits when p is close to q.
            change = ((a - b) - (ta - tb)) * scale - (logs[0][i] - logs[1][i])
            la, lb = (a - ta) * scale - logs[0][i], (b - tb) * scale - logs[1][i]
            high = la if la > lb else lb
            low = -0.5 * abs(change)
            low = _LOWEST if low < _LOWEST else low
            high = _LOWEST if high < _LOWEST else high
            ratio = _exp2m1(low)
            term = _exp2(high if high < 0.0 else 0.0) * (ratio * ratio)
            chord[i] += term if here and there else 0.0
            unlike[i] += 1.0 if here != there else 0.0


@_jit()
def _distance_kernel(
    rows_a: Logits,
    rows_b: Logits,
    beta: float,
    out: Floats,
    pair: tuple[Logits, Logits],
) -> tuple[int, int]:
    n, scale, bad, unlike = rows_a.shape[1], beta * _LOG2E, 0, 0
    order = np.arange(len(rows_a))
    tops = (np.empty(_ROWS, pair[0].dtype), np.empty(_ROWS, pair[0].dtype))
    logs = (np.empty(_ROWS), np.empty(_ROWS))
    chord, odd, bottom = np.empty(_ROWS), np.empty(_ROWS), np.empty(_ROWS, pair[0].dtype)
    for start in range(0, len(rows_a), _ROWS):
        count = min(_ROWS, len(rows_a) - start)
        chord[:], odd[:] = 0.0, 0.0
        for side in range(2):
            rows, tile, top, log = (rows_a, rows_b)[side], pair[side], tops[side], logs[side]
            top[:], log[:] = -np.inf, 0.0
            for key in range(0, n, _KEYS):
                width = min(_KEYS, n - key)
                _gather(rows, order, start, count, key, width, tile)
                _extremes(tile, width, count, top, bottom)
            for key in range(0, n, _KEYS):
                width = min(_KEYS, n - key)
                if n > _KEYS:
                    _gather(rows, order, start, count, key, width, tile)
                _add_weights(tile, width, count, top, scale, log)
        for i in range(count):
            bad += 0 if logs[0][i] >= 1.0 else 1
            bad += 0 if logs[1][i] >= 1.0 else 1
            logs[0][i] = _log(logs[0][i]) * _LOG2E
            logs[1][i] = _log(logs[1][i]) * _LOG2E
        for key in range(0, n, _KEYS):
            width = min(_KEYS, n - key)
            if n > _KEYS:
                _gather(rows_a, order, start, count, key, width, pair[0])
                _gather(rows_b, order, start, count, key, width, pair[1])
            _add_chords(pair, tops, logs, width, count, scale, chord, odd)
        for i in range(count):
            unlike += 1 if odd[i] > 0.0 else 0
            out[start + i] = min(4.0 * math.asin(min(0.5 * math.sqrt(chord[i]), 1.0)), math.pi)
    return bad, unlike


# --- NumPy layer ----------------------------------------------------------------------------------


def row_observables(logits: Logits, beta: float = 1.0, out: Floats | None = None) -> Floats:
    """Thermodynamics of each row of `logits` (row, key): array (column, row), see `ROW_COLUMNS`.

    Float32 and float64 are taken as they are, anything else is converted; sums are float64.

    Raises
    ------
    ValueError
        If `beta` is not positive, or a row holds NaN, +inf or no visible key.
    """
    rows = _as_logits(logits, 2)
    check_beta(beta)
    if out is None:
        out = np.empty((_COLUMNS, len(rows)))
    order = np.arange(len(rows))
    none, scratch = np.empty(0), _scratch(rows)
    bad = _rows(rows, order, 0, len(rows), float(beta), out, none, none.reshape(0, 4), scratch)
    _check_rows(bad, len(rows))
    return out


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
        """From a boolean matrix (subset, probe)."""
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
        """Moments of both parts together."""
        pairs = zip(self._arrays(), other._arrays(), strict=True)
        return TableMoments(*(_merged(a, b) for a, b in pairs))

    @classmethod
    def concatenate(cls, stacks: Iterable[TableMoments]) -> TableMoments:
        """Several stacks of tables as one, so that heat capacities are taken in one call."""
        columns = zip(*(stack._arrays() for stack in stacks), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def _arrays(self) -> tuple[Floats, ...]:
        return self.means, self.spread, self.keys


def _merged(a: Floats, b: Floats) -> Floats:
    if a.shape != b.shape:
        raise ValueError(
            f"moments of the same tables must have the same shape: {a.shape}, {b.shape}"
        )
    out = a.copy()
    _absorb(out.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]))
    return out


def table_moments(logits: Logits, subsets: Subsets, beta: float = 1.0) -> TableMoments:
    """Moments over the probe of a stack of tables.

    Parameters
    ----------
    logits : array (table, probe, query, key) or (table, probe * query, key)
        Tables of equal shape: any checkpoints, layers and heads.  C-contiguous float32 or float64
        is read in place.
    subsets : Subsets
        Made once for a probe, with as many queries as the tables have.

    Raises
    ------
    ValueError
        If `beta` is not positive, or a row that is used holds NaN, +inf or no visible key.
    """
    stack = np.asarray(logits)
    if stack.ndim == 4:
        stack = stack.reshape(stack.shape[0], -1, stack.shape[3])
    tables = _as_logits(stack, 3)
    check_beta(beta)
    if tables.shape[1] != subsets.rows:
        raise ValueError(
            f"a table of these subsets has {subsets.rows} rows (probe x query), "
            f"got {tables.shape[1]}"
        )
    shape = (len(tables), len(subsets.membership), subsets.queries)
    means, spread = np.zeros((*shape, _COLUMNS, 2)), np.zeros((*shape, len(FLUCTUATING), 5))
    keys = np.zeros((*shape, tables.shape[2], 3))
    order, starts, membership = subsets.order, subsets.starts, subsets.membership
    moments, scratch = (means, spread, keys), _scratch(tables)
    bad = _table_kernel(tables, order, starts, membership, float(beta), moments, scratch)
    _check_rows(bad, len(tables) * len(order))
    return TableMoments(*moments)


def table_heat_capacities(
    moments: TableMoments,
    beta: float = 1.0,
    population: int = 0,
    inputs: int | None = None,
) -> dict[str, Floats]:
    """Averages, heat capacities and standard errors of each table: arrays (table, subset, query).

    The averages of all `ROW_COLUMNS` but the auxiliary energies, `fisher_information`, and, all
    with population variances over the inputs x (E the energies, U the row energies):

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
    """
    count = moments.spread[..., 0, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        empty = np.where(count > 0, 0.0, np.nan)
        named = {
            name: moments.means[..., i, 1] + empty
            for i, name in enumerate(ROW_COLUMNS)
            if i not in (_MEAN, _ABOVE)
        }
        c, u, v = (moments.spread[..., k, :] for k in range(len(FLUCTUATING)))
        named["fisher_information"] = named["heat_capacity"] / beta**2
        named["landscape_heat_capacity"] = beta**2 * u[..., 2] / count
        named["landscape_heat_capacity_fixed"] = beta**2 * v[..., 2] / count
        named["total_heat_capacity"] = named["heat_capacity"] + named["landscape_heat_capacity"]
        pooled, offset = _pooled_variance(moments.keys)
        named["unweighted_heat_capacity"] = beta**2 * pooled
        named["offset_heat_capacity"] = beta**2 * offset
        finite = _finite_population(count, population, inputs) + empty
        named["heat_capacity_error"] = _corrected(c[..., 2] / (count - 1) / count, finite)
        named["landscape_heat_capacity_error"] = beta**2 * _variance_error(u, finite)
        named["landscape_heat_capacity_fixed_error"] = beta**2 * _variance_error(v, finite)
    return named


def fisher_distance(
    logits_a: Logits, logits_b: Logits, beta: float = 1.0, out: Floats | None = None
) -> Floats:
    """Geodesic distance between rows (row, key) of two sets: 2 arccos sum_j sqrt(p_j q_j) <= pi.

    Computed as 4 arcsin(|sqrt p - sqrt q| / 2), the chord from differences of the logits, so that
    small distances keep their digits.

    Raises
    ------
    ValueError
        If the shapes differ, a row holds NaN, +inf or no visible key, or two rows do not see the
        same keys.
    """
    a, b = _as_logits(logits_a, 2), _as_logits(logits_b, 2)
    if a.shape != b.shape:
        raise ValueError(f"both sets of rows must have the same shape, got {a.shape} and {b.shape}")
    check_beta(beta)
    if a.dtype != b.dtype:
        a, b = a.astype(np.float64), b.astype(np.float64)
    if out is None:
        out = np.empty(len(a))
    bad, unlike = _distance_kernel(a, b, float(beta), out, (_tile(a), _tile(a)))
    _check_rows(bad, 2 * len(a))
    if unlike:
        raise ValueError(
            f"{unlike} of {len(a)} pairs of rows do not see the same keys: "
            "they have no distance on a common simplex"
        )
    return out


def check_beta(beta: ArrayLike) -> None:
    """Raise unless every `beta` is positive and finite."""
    values = np.asarray(beta, dtype=np.float64)
    if not np.all((values > 0) & np.isfinite(values)):
        raise ValueError(f"beta must be positive and finite, got a minimum of {np.min(values)}")


def _check_rows(bad: int, total: int) -> None:
    if bad:
        raise ValueError(
            f"{bad} of {total} rows are NaN, +inf or fully masked: ln Z is not finite; "
            "an absent key is -inf and every row needs a visible one"
        )


def _as_logits(logits: ArrayLike, ndim: int) -> Logits:
    """C-contiguous, writeable float32 or float64 (what is narrower becomes float32)."""
    values = np.asarray(logits)
    if values.ndim != ndim or values.shape[-1] == 0:
        raise ValueError(f"logits must have {ndim} dimensions, the last not empty: {values.shape}")
    dtype = np.float32 if values.dtype in (np.float16, np.float32) else np.float64
    # Read-only arrays are another type to numba: it would compile all kernels once more.
    return cast(Logits, np.require(values, dtype, ("C_CONTIGUOUS", "WRITEABLE")))


def _scratch(logits: Logits) -> tuple[Logits, Logits, Logits, Floats]:
    """A block of rows: logits (key, row), their extremes, and the sums with the results."""
    rows = np.empty(_ROWS, logits.dtype)
    return _tile(logits), rows, rows.copy(), np.empty(_WORK)


def _tile(logits: Logits) -> Logits:
    return np.empty(_KEYS * _ROWS, logits.dtype)


def _pooled_variance(keys: Floats) -> tuple[Floats, Floats]:
    """Variance over all visible pairs (input, key), and its part between keys."""
    count, mean, square = keys[..., 0], keys[..., 1], keys[..., 2]
    total = count.sum(axis=-1)
    grand = (count * mean).sum(axis=-1) / total
    between = (count * (mean - grand[..., None]) ** 2).sum(axis=-1) / total
    return between + square.sum(axis=-1) / total, between


def _finite_population(count: Floats, population: int, inputs: int | None) -> Floats:
    """1 - m/M; 1 for an infinite population."""
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
    """Standard error; exactly 0 where the sample is the population, even one of a single input."""
    return np.where(finite == 0.0, 0.0, np.sqrt(variance * finite))


def _variance_error(spread: Floats, finite: Floats) -> Floats:
    """Of a sample variance: sqrt((m4 - s^4) / m)."""
    count = spread[..., 0]
    excess = spread[..., 4] / count - (spread[..., 2] / count) ** 2
    return _corrected(np.maximum(excess, 0.0) / count, finite)
