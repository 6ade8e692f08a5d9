"""Fisher geodesic distances between attention rows: of two sets, and of rows that move.

With the Fisher metric two rows over the same keys are 4 arcsin(c / 2) apart, c = |sqrt p - sqrt q|.
:func:`fisher_distance` takes c from differences of the logits, so that small distances keep their
digits.  A path through many points keeps the amplitudes sqrt p, from the weights that the moments
need anyway, and subtracts them: c to 1e-13.  :class:`Layers` follows rows from layer to layer.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatcap.attention.arithmetic import LOG2E, LOWEST, angle, exp2, exp2m1, ln
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
from heatcap.core.arrays import Floats, Logits
from heatcap.core.jit import CONTRACT, REORDER, compiling, jit

__all__ = ["ABSENT", "SHELF", "Layers", "add_arcs", "fisher_distance", "move", "shelf_for"]

ABSENT = -1.0  # weight of an absent key, apart from one too improbable
_FAR = -10.0  # its amplitude
_TINY = 1e-300  # probabilities below it have no logarithm here
_MASKED = 3.0  # squared chords are at most 2 where both rows see the same keys

# A shelf holds, `ROWS` lanes each, the squared chords of a block of rows to those before and to
# the first ones, and then the weights of their keys: with one base pointer LLVM vectorises.
_STEP, _CHORD, SHELF = np.uintp(0), np.uintp(ROWS), 2 * ROWS


def _stride(width: int) -> Callable[..., None]:
    """Make the kernel that adds `width` keys to the chords of a block, and stores amplitudes."""

    @jit(CONTRACT)
    def stride(
        shelf: Floats, trail: Floats, at: int, key: int, count: int, inverse: Floats
    ) -> None:
        half, place = np.uintp(len(trail) // 2), np.uintp(at + key * count)
        base, lanes = np.uintp(SHELF + key * ROWS), np.uintp(count)
        for i in range(count):
            r = np.uintp(i)
            step, chord, per_z = shelf[r + _STEP], shelf[r + _CHORD], inverse[r]
            for k in range(width):
                w = shelf[base + np.uintp(k * ROWS) + r]
                a = math.sqrt((w if w > 0.0 else 0.0) * per_z)
                a = a if w >= 0.0 else _FAR
                here = place + np.uintp(k) * lanes + r
                moved, gone = a - trail[here], a - trail[half + here]
                trail[here] = a
                step += moved * moved
                chord += gone * gone
            shelf[r + _STEP], shelf[r + _CHORD] = step, chord

    return stride


_stride_1, _stride_3, _stride_4 = (_stride(width) for width in (1, 3, 4))


@jit()
def move(shelf: Floats, trail: Floats, at: int, keys: int, count: int, inverse: Floats) -> None:
    """Compute squared chords of rows with 1 / Z to the rows before and to the first ones.

    `trail` holds the amplitudes before, which are replaced, then those at first.
    """
    shelf[:SHELF] = 0.0
    whole = keys - keys % 4
    for key in range(0, whole, 4):
        _stride_4(shelf, trail, at, key, count, inverse)
    if keys - whole == 3:
        _stride_3(shelf, trail, at, whole, count, inverse)
        whole += 3
    for key in range(whole, keys):
        _stride_1(shelf, trail, at, key, count, inverse)


@jit(REORDER)
def add_arcs(shelf: Floats, count: int, sums: Floats) -> None:
    """Add d and d^2 from the rows before, d from the first ones, and the rows of other keys."""
    step, square, chord, unlike = 0.0, 0.0, 0.0, 0.0
    for i in range(count):
        r = np.uintp(i)
        a, b = shelf[r + _STEP], shelf[r + _CHORD]
        unlike += 1.0 if a > _MASKED else 0.0
        d = min(angle(min(a, 2.0)), math.pi)
        step += d
        square += d * d
        chord += min(angle(min(b, 2.0)), math.pi)
    sums[0] += step
    sums[1] += square
    sums[2] += chord
    sums[3] += unlike


@jit(CONTRACT)
def _add_weights(
    tile: Logits, keys: int, count: int, top: Logits, scale: float, sums: Floats
) -> None:
    """Add the weights of some keys to Z, which stands in `sums`."""
    for j in range(keys):
        base = np.uintp(j * ROWS)
        for i in range(count):
            y: float = (np.float64(tile[base + np.uintp(i)]) - np.float64(top[i])) * scale
            y = LOWEST if y < LOWEST else y
            w = exp2(y)
            sums[i] += 0.0 if y <= LOWEST else w


@jit(CONTRACT)
def _weigh(
    tile: Logits, keys: int, count: int, top: Logits, scale: float, shelf: Floats, z: Floats
) -> None:
    """Weights of some keys of a block, and their sum."""
    for j in range(keys):
        base = np.uintp(j * ROWS)
        for i in range(count):
            r = base + np.uintp(i)
            d = np.float64(tile[r]) - np.float64(top[i])
            y: float = d * scale
            y = LOWEST if y < LOWEST else y
            w = exp2(y)
            w = 0.0 if y <= LOWEST else w
            z[i] += w
            shelf[r] = w if d > -np.inf else ABSENT


@jit()
def _mix(trail: Floats, at: int, stop: int, mean: Floats) -> None:
    """Add the probabilities of one head to their sum over heads; no head has seen a key below 0."""
    for i in range(at, stop):
        k = np.uintp(i)
        a, m = trail[k], mean[k]
        m = m if m > 0.0 or a < 0.0 else 0.0
        mean[k] = m + a * a if a >= 0.0 else m


@jit(CONTRACT)
def _mean_logs(shelf: Floats, keys: int, count: int, share: float) -> tuple[float, int]:
    """Sum over a block of rows of the mean ln p of the visible keys; how often p is too small."""
    total, logs, seen, tiny = 0.0, np.zeros(ROWS), np.zeros(ROWS), 0
    for j in range(keys):
        base = np.uintp(SHELF + j * ROWS)
        for i in range(count):
            p = shelf[base + np.uintp(i)] * share
            here = p >= 0.0
            low = p < _TINY
            tiny += 1 if here and low else 0
            log = ln(1.0 / (_TINY if low else p))
            logs[i] -= log if here else 0.0
            seen[i] += 1.0 if here else 0.0
    for i in range(count):
        total += logs[i] / seen[i]
    return total, tiny


@jit()
def _follow(
    rows: Logits,
    order: NDArray[np.int64],
    trail: Floats,
    sums: Floats,
    mean: Floats,
    logs: Floats,
    shelf: Floats,
    tile: Logits,
) -> int:
    """Distances of one layer's rows (head * row, key) from the layers before, and of their mean.

    `order` (query, probe) are the rows of a head, `trail` and `sums` (head and mean, ...) as of
    `move` and `add_arcs`.  `logs` (query) takes the mean ln p of the keys, p averaged over heads;
    returns for how many keys it is too small for a logarithm.
    """
    n, heads, probes, tiny = rows.shape[1], len(trail) - 1, order.shape[1], 0
    top, bottom = np.empty(ROWS, rows.dtype), np.empty(ROWS, rows.dtype)
    z, whole = np.empty(ROWS), np.full(ROWS, 1.0 / heads)
    for query in range(len(order)):
        for start in range(0, probes, ROWS):
            count = min(ROWS, probes - start)
            at = (query * probes + start) * n
            mean[at : at + count * n] = ABSENT
            for head in range(heads):
                table = rows[head * order.size : (head + 1) * order.size]
                top[:], bottom[:], z[:] = -np.inf, np.inf, 0.0
                for key in range(0, n, KEYS):
                    width = min(KEYS, n - key)
                    gather(table, order[query], start, count, key, width, tile)
                    extremes(tile, width, count, top, bottom)
                for key in range(0, n, KEYS):
                    width = min(KEYS, n - key)
                    if n > KEYS:
                        gather(table, order[query], start, count, key, width, tile)
                    _weigh(tile, width, count, top, LOG2E, shelf[SHELF + key * ROWS :], z)
                z[:] = 1.0 / z
                move(shelf, trail[head], at, n, count, z)
                add_arcs(shelf, count, sums[head, query])
                _mix(trail[head], at, at + count * n, mean)
            for key in range(n):
                first = at + key * count
                shelf[SHELF + key * ROWS : SHELF + key * ROWS + count] = mean[first : first + count]
            move(shelf, trail[heads], at, n, count, whole)
            add_arcs(shelf, count, sums[heads, query])
            total, rare = _mean_logs(shelf, n, count, 1.0 / heads)
            logs[query] += total
            tiny += rare
    return tiny


@jit(CONTRACT)
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
        base = np.uintp(j * ROWS)
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
            low = LOWEST if low < LOWEST else low
            high = LOWEST if high < LOWEST else high
            ratio = exp2m1(low)
            term = exp2(high if high < 0.0 else 0.0) * (ratio * ratio)
            chord[i] += term if here and there else 0.0
            unlike[i] += 1.0 if here != there else 0.0


@jit()
def _distance_kernel(
    rows_a: Logits,
    rows_b: Logits,
    beta: float,
    out: Floats,
    pair: tuple[Logits, Logits],
) -> tuple[int, int]:
    """Distances of pairs of rows; returns the bad rows, and the pairs that see unlike keys."""
    n, scale, bad, unlike = rows_a.shape[1], beta * LOG2E, 0, 0
    order = np.arange(len(rows_a))
    tops = (np.empty(ROWS, pair[0].dtype), np.empty(ROWS, pair[0].dtype))
    logs = (np.empty(ROWS), np.empty(ROWS))
    chord, odd, bottom = np.empty(ROWS), np.empty(ROWS), np.empty(ROWS, pair[0].dtype)
    for start in range(0, len(rows_a), ROWS):
        count = min(ROWS, len(rows_a) - start)
        chord[:], odd[:] = 0.0, 0.0
        for side in range(2):
            rows, tile, top, log = (rows_a, rows_b)[side], pair[side], tops[side], logs[side]
            top[:], log[:] = -np.inf, 0.0
            for key in range(0, n, KEYS):
                width = min(KEYS, n - key)
                gather(rows, order, start, count, key, width, tile)
                extremes(tile, width, count, top, bottom)
            for key in range(0, n, KEYS):
                width = min(KEYS, n - key)
                if n > KEYS:
                    gather(rows, order, start, count, key, width, tile)
                _add_weights(tile, width, count, top, scale, log)
        for i in range(count):
            bad += 0 if logs[0][i] >= 1.0 else 1
            bad += 0 if logs[1][i] >= 1.0 else 1
            logs[0][i] = ln(logs[0][i]) * LOG2E
            logs[1][i] = ln(logs[1][i]) * LOG2E
        for key in range(0, n, KEYS):
            width = min(KEYS, n - key)
            if n > KEYS:
                gather(rows_a, order, start, count, key, width, pair[0])
                gather(rows_b, order, start, count, key, width, pair[1])
            _add_chords(pair, tops, logs, width, count, scale, chord, odd)
        for i in range(count):
            unlike += 1 if odd[i] > 0.0 else 0
            out[start + i] = min(4.0 * math.asin(min(0.5 * math.sqrt(chord[i]), 1.0)), math.pi)
    return bad, unlike


def fisher_distance(
    logits_a: Logits, logits_b: Logits, beta: float = 1.0, out: Floats | None = None
) -> Floats:
    """Compute the geodesic distance between rows (row, key) of two sets.

    d = 2 arccos sum_j sqrt(p_j q_j) <= pi, computed as 4 arcsin(|sqrt p - sqrt q| / 2), the chord
    from differences of the logits, so that small distances keep their digits.

    Raises
    ------
    ValueError
        If the shapes differ, a row holds NaN, +inf or no visible key, or two rows do not see the
        same keys.
    """
    a, b = as_logits(logits_a, 2), as_logits(logits_b, 2)
    if a.shape != b.shape:
        raise ValueError(f"both sets of rows must have the same shape, got {a.shape} and {b.shape}")
    check_beta(beta)
    if a.dtype != b.dtype:
        a, b = a.astype(np.float64), b.astype(np.float64)
    if out is None:
        out = np.empty(len(a))
    _compile_once(a.dtype)
    bad, unlike = _distance_kernel(a, b, float(beta), out, (tile_for(a), tile_for(a)))
    check_rows(bad, 2 * len(a))
    if unlike:
        raise ValueError(
            f"{unlike} of {len(a)} pairs of rows do not see the same keys: "
            "they have no distance on a common simplex"
        )
    return out


class Layers:
    """Rows (head, probe, query, key) that go from layer to layer, and their mean over the heads."""

    def __init__(self, heads: int, probes: int, queries: int, keys: int) -> None:
        size = probes * queries * keys
        self._order = np.arange(probes * queries).reshape(probes, queries).T.copy()
        self._trail, self._mean = np.zeros((heads + 1, 2 * size)), np.empty(size)
        self._shelf = shelf_for(keys)

    def follow(self, logits: Logits, first: bool) -> tuple[Floats, Floats, bool]:
        """Move to the next layer and sum its distances over the probe.

        Returns
        -------
        sums : ndarray (head, query, 4)
            Columns of :func:`add_arcs`; the last head is the mean of the others.
        logs : ndarray (query,)
            The mean over the keys of ln p, p the mean over the heads, summed over the probe.
        exact : bool
            Whether no p was too small for `logs`.

        Raises
        ------
        ValueError
            If rows do not see the same keys in successive layers.
        """
        rows = as_logits(logits.reshape(-1, logits.shape[-1]), 2)
        _compile_once(rows.dtype)
        sums, logs = np.zeros((len(self._trail), len(self._order), 4)), np.zeros(len(self._order))
        tile = tile_for(rows)
        tiny = _follow(rows, self._order, self._trail, sums, self._mean, logs, self._shelf, tile)
        if first:
            before, start = np.split(self._trail, 2, axis=1)
            start[:] = before
            sums[:] = 0.0
        elif sums[..., 3].any():
            raise ValueError(
                f"{int(sums[:-1, :, 3].sum())} rows do not see the same keys in successive layers: "
                "they have no distance on a common simplex"
            )
        return sums, logs, tiny == 0


def shelf_for(keys: int) -> Floats:
    """Allocate chords and weights of a block of rows."""
    return np.empty(SHELF + keys * ROWS)


@functools.cache
def _compile_once(dtype: np.dtype[Any]) -> None:
    """Compile the distances for logits of a type, or load them from numba's cache."""
    with compiling():
        rows = np.zeros((1, 1), dtype)
        _distance_kernel(rows, rows, 1.0, np.empty(1), (tile_for(rows), tile_for(rows)))
        order, trail, sums = np.zeros((1, 1), np.int64), np.zeros((2, 2)), np.zeros((2, 1, 4))
        one = np.zeros(1)
        _follow(rows, order, trail, sums, one, one.copy(), shelf_for(1), tile_for(rows))
