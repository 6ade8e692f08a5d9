"""Where two curves meet: one crossing of each pair, and the covariance of all of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.scaling.curves import Curve

__all__ = ["Meetings", "common", "covariance_of", "cross", "meet", "usual_place"]


GRID = 501
SURE = 3.0  # standard deviations by which two curves differ on either side of a crossing
MOST_WITHOUT = 0.05  # share of draws without a crossing that is put up with


@dataclass(frozen=True, eq=False)
class Meetings:
    """The difference of two curves on a grid, and where it changes its sign for certain."""

    x: Floats
    mean: Floats
    drawn: Floats
    brackets: list[tuple[int, int]]


def common(a: Curve, b: Curve) -> tuple[float, float]:
    """Where both have data."""
    return max(a.range[0], b.range[0]), min(a.range[1], b.range[1])


def meet(a: Curve, b: Curve) -> Meetings:
    """The difference of two curves where both have data."""
    low, high = common(a, b)
    x = np.linspace(low, high, GRID) if high > low else np.empty(0)
    if not x.size:
        return Meetings(x, x, np.empty((a.draws.shape[0], 0)), [])
    mean, drawn = a(x) - b(x), a.drawn(x) - b.drawn(x)
    return Meetings(x, mean, drawn, _brackets(mean, drawn.std(axis=0)))


def _brackets(mean: Floats, deviation: Floats) -> list[tuple[int, int]]:
    """Grid points between which the sign changes, each where its side is surest.

    Far from a crossing the curves of a dimensionless quantity meet at its limits, where noise
    makes them cross any number of times: a change between two sides that are no more than noise
    does not count.
    """
    z = mean / np.maximum(deviation, 1e-300)
    sure = np.flatnonzero(np.abs(z) > SURE)
    if not sure.size:
        return []
    ends = np.flatnonzero(np.diff(np.sign(z[sure])) != 0) + 1
    lobes = np.split(sure, ends)
    tops = [int(lobe[np.abs(z[lobe]).argmax()]) for lobe in lobes]
    return list(itertools.pairwise(tops))


def usual_place(met: Sequence[Meetings]) -> float:
    """The middle of all crossings that are certain; of all sign changes if none is."""
    sure = [
        x
        for m in met
        for low, high in m.brackets
        for x in _roots(m.x[low : high + 1], m.mean[low : high + 1])
    ]
    every = sure or [x for m in met for x in _roots(m.x, m.mean)]
    return float(np.median(every)) if every else float("nan")


def _roots(x: Floats, y: Floats) -> Floats:
    at = np.flatnonzero(np.signbit(y[1:]) != np.signbit(y[:-1]))
    return np.asarray(x[at] - y[at] * (x[at + 1] - x[at]) / (y[at + 1] - y[at]))


def cross(a: Curve, met: Meetings, guess: float) -> tuple[float, float, Floats, Floats]:
    """Position, height and their draws, of the crossing nearest to a guess."""
    nan, nothing = float("nan"), np.full(a.draws.shape[0], np.nan)
    place = _place(met, guess)
    if place is None:
        return nan, nan, nothing, nothing
    low, high, at = place
    x, rows = met.x[low : high + 1], met.drawn[:, low : high + 1]
    drawn = _nearest(x, rows, at)
    if np.isfinite(drawn).mean() < 1 - MOST_WITHOUT:
        return nan, nan, drawn, nothing
    values = a.drawn(x)
    heights = np.array([np.interp(p, x, y) for p, y in zip(drawn, values, strict=True)])
    return at, float(a(np.array([at]))[0]), drawn, heights


def _place(m: Meetings, guess: float) -> tuple[int, int, float] | None:
    """Grid points to look between, and the crossing."""
    if not np.isfinite(guess) or not m.x.size:
        return None
    found = []
    for low, high in m.brackets or [(0, m.x.size - 1)]:
        roots = _roots(m.x[low : high + 1], m.mean[low : high + 1])
        # Between sure sides there may be several by chance: their middle is nobody's choice.
        if roots.size:
            at = np.median(roots) if m.brackets else roots[np.abs(roots - guess).argmin()]
            found.append((low, high, float(roots[np.abs(roots - at).argmin()])))
    return min(found, key=lambda f: abs(f[2] - guess), default=None)


def _nearest(x: Floats, rows: Floats, at: float) -> Floats:
    """Of every row the sign change nearest to `at`, NaN where there is none."""
    left, right = rows[:, :-1], rows[:, 1:]
    change = np.signbit(left) != np.signbit(right)
    with np.errstate(divide="ignore", invalid="ignore"):
        where = x[:-1] - left * np.diff(x) / (right - left)
    apart = np.where(change, np.abs(where - at), np.inf)
    k = apart.argmin(axis=1)
    own = np.arange(rows.shape[0])
    return np.where(np.isfinite(apart[own, k]), where[own, k], np.nan)


def covariance_of(drawn: Floats, value: Floats, ranges: Sequence[tuple[float, float]]) -> Floats:
    """Of the pairs that cross, NaN for the others.

    A draw without a crossing has lost it beyond an end of the data: it counts as the nearer end, or
    as far off as the farthest draw, whichever is farther.  To leave it out would make errors small.
    """
    filled = drawn.copy()
    for row, at, (low, high) in zip(filled, value, ranges, strict=True):
        lost = np.isnan(row)
        if not np.isfinite(at) or not lost.any():
            continue
        side = -1.0 if at - low < high - at else 1.0
        end = min(at - low, high - at)
        far = float(np.nanmax(np.abs(row - at)))
        row[lost] = at + side * max(end if np.isfinite(end) else 0.0, far)
    out = np.full((value.size, value.size), np.nan)
    known = np.flatnonzero(np.isfinite(value))
    if known.size:
        out[np.ix_(known, known)] = np.atleast_2d(np.cov(filled[known]))
    return out
