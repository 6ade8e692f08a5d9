"""The best shape of every class for many sets of heights: a linear fit within a box, by shape.

    chi^2 = r^T W r,    r = y - s - a (g + b e + t d),
    a in [a_low, a_high] H,    s in [s_low, s_high] H,    b in [b_low, b_high],    0 <= t <= 1

H the largest height of the set.  At fixed b and t chi^2 is convex in (s, a): its minimum over the
box is the free one, if that lies inside, or else the best of the minima on the four edges.  Over b
it has one minimum, because {(s, a, ab): chi^2 <= x} is convex and b = (ab) / a keeps that; it is
the free one of the three coefficients, or else found by golden section.  With a step as well the
minimum is the free one of the four, or that of three on an edge of the box of s and a, or lies
where b or t ends.
"""

from __future__ import annotations

import functools
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from heatcap._kernels import _cache_lock as compiling
from heatcap._vector import Floats, jit

__all__ = ["Forms", "Ints", "Normal", "best", "every", "normal"]

Ints = NDArray[np.int64]
Three = tuple[float, float, float]
Four = tuple[float, float, float, float]
Five = tuple[float, float, float, float, float]
Six = tuple[float, float, float, float, float, float]

_GOLDEN = 0.6180339887498949
_STEPS = 10  # b to 0.8 % of its range
_SINGULAR = 1e-11  # g and e are one function


class Forms(Protocol):
    """Shapes as arrays: g, e and d (shape, point), class, box (6, shape) and penalty of each."""

    @property
    def g(self) -> Floats: ...
    @property
    def e(self) -> Floats: ...
    @property
    def d(self) -> Floats: ...
    @property
    def kind(self) -> Ints: ...
    @property
    def box(self) -> Floats: ...
    @property
    def penalty(self) -> Floats: ...


class Normal(NamedTuple):
    """Scalar products, with the weight W, of 1 and of g, e and d of each shape.

    Attributes
    ----------
    products : ndarray (shape, 10)
        1.1, 1.g, g.g, 1.e, e.e, g.e, 1.d, d.d, g.d, e.d; 0 for what is not there.
    free : ndarray (shape, 4, 4)
        Inverse of the normal matrix of (1, g, e, d).
    wg, we, wd, w1 : ndarray (shape, size), ..., (size,)
        g W, e W, d W, 1 W.
    """

    products: Floats
    free: Floats
    wg: Floats
    we: Floats
    wd: Floats
    w1: Floats


@jit()
def _value(a: float, s: float, b1: float, bv: float, s11: float, s1v: float, svv: float) -> float:
    return s * s * s11 + 2.0 * a * s * s1v + a * a * svv - 2.0 * (s * b1 + a * bv)


@jit()
def _at(b: float, y: Three, n: Six, box: Four) -> Three:
    """Minimum of chi^2 - y W y over the box at fixed b, and its a and s."""
    al, ah, sl, sh = box
    b1, bv, s11 = y[0], y[1] + b * y[2], n[0]
    s1v, svv = n[1] + b * n[3], n[2] + 2.0 * b * n[5] + b * b * n[4]
    det = s11 * svv - s1v * s1v
    s = (b1 * svv - bv * s1v) / det
    a = (bv * s11 - b1 * s1v) / det
    if al <= a <= ah and sl <= s <= sh:
        return _value(a, s, b1, bv, s11, s1v, svv), a, s
    low, best_a, best_s = np.inf, 0.0, 0.0
    for edge in range(4):
        if edge < 2:
            a = al if edge == 0 else ah
            if not np.isfinite(a):
                continue
            s = min(max((b1 - a * s1v) / s11, sl), sh)
        else:
            s = sl if edge == 2 else sh
            if not np.isfinite(s):
                continue
            a = min(max((bv - s * s1v) / svv, al), ah)
        v = _value(a, s, b1, bv, s11, s1v, svv)
        if v < low:
            low, best_a, best_s = v, a, s
    return low, best_a, best_s


@jit()
def _along(y: Three, n: Six, box: Four, left: float, right: float) -> Four:
    """Minimum over (s, a, b) with its a, s, b by golden section in b."""
    first, second = _at(left, y, n, box), _at(right, y, n, box)
    kept, b = (first, left) if first[0] < second[0] else (second, right)
    x1, x2 = right - _GOLDEN * (right - left), left + _GOLDEN * (right - left)
    f1, f2 = _at(x1, y, n, box), _at(x2, y, n, box)
    for _ in range(_STEPS):
        if f1[0] < f2[0]:
            right, x2, f2 = x2, x1, f1
            x1 = right - _GOLDEN * (right - left)
            f1 = _at(x1, y, n, box)
        else:
            left, x1, f1 = x1, x2, f2
            x2 = left + _GOLDEN * (right - left)
            f2 = _at(x2, y, n, box)
    if f1[0] < kept[0]:
        kept, b = f1, x1
    if f2[0] < kept[0]:
        kept, b = f2, x2
    return kept[0], kept[1], kept[2], b


@jit()
def _over_b(y: Three, n: Six, box: Four, left: float, right: float, beat: float) -> Four:
    """Minimum over (s, a, b) with its a, s, b; infinite if it cannot lie below `beat`."""
    s11, s1g, sgg, s1e, see, sge = n
    gg, ee, ge = sgg - s1g * s1g / s11, see - s1e * s1e / s11, sge - s1g * s1e / s11
    det = gg * ee - ge * ge
    if det > _SINGULAR * gg * ee:
        yg, ye = y[1] - s1g * y[0] / s11, y[2] - s1e * y[0] / s11
        a, c = (yg * ee - ye * ge) / det, (ye * gg - yg * ge) / det
        lowest = -(y[0] * y[0] / s11 + a * yg + c * ye)
        if lowest >= beat:
            return np.inf, 0.0, 0.0, 0.0
        s = (y[0] - a * s1g - c * s1e) / s11
        inside = box[0] <= a <= box[1] and box[2] <= s <= box[3]
        if inside and left * abs(a) <= np.sign(a) * c <= right * abs(a):
            return lowest, a, s, c / a
    return _along(y, n, box, left, right)


@jit()
def _solve(m: Six, y: Three) -> Three:
    """Solution of a symmetric system, given by rows of its upper triangle; NaN if singular."""
    m11, m12, m13, m22, m23, m33 = m
    c11, c12, c13 = m22 * m33 - m23 * m23, m13 * m23 - m12 * m33, m12 * m23 - m13 * m22
    det = m11 * c11 + m12 * c12 + m13 * c13
    if det <= _SINGULAR * m11 * m22 * m33:
        return np.nan, np.nan, np.nan
    c22, c23, c33 = m11 * m33 - m13 * m13, m12 * m13 - m11 * m23, m11 * m22 - m12 * m12
    return (
        (c11 * y[0] + c12 * y[1] + c13 * y[2]) / det,
        (c12 * y[0] + c22 * y[1] + c23 * y[2]) / det,
        (c13 * y[0] + c23 * y[1] + c33 * y[2]) / det,
    )


@jit()
def _over_both(
    y: Four, p: Floats, free: Floats, box: Four, left: float, right: float, beat: float
) -> Five:
    """Minimum over (s, a, b, t) with its a, s, b, t; infinite if it cannot lie below `beat`."""
    s = free[0, 0] * y[0] + free[0, 1] * y[1] + free[0, 2] * y[2] + free[0, 3] * y[3]
    a = free[1, 0] * y[0] + free[1, 1] * y[1] + free[1, 2] * y[2] + free[1, 3] * y[3]
    c = free[2, 0] * y[0] + free[2, 1] * y[1] + free[2, 2] * y[2] + free[2, 3] * y[3]
    u = free[3, 0] * y[0] + free[3, 1] * y[1] + free[3, 2] * y[2] + free[3, 3] * y[3]
    lowest = -(s * y[0] + a * y[1] + c * y[2] + u * y[3])
    if lowest >= beat:
        return np.inf, 0.0, 0.0, 0.0, 0.0
    inside = a > 0 and box[0] <= a <= box[1] and box[2] <= s <= box[3]
    if inside and left * a <= c <= right * a and 0.0 <= u <= a:
        return lowest, a, s, c / a, u / a
    low, best_a, best_s, best_b, best_t = np.inf, 0.0, 0.0, 0.0, 0.0
    s11, s1g, sgg, s1e, see, sge, s1d, sdd, sgd, sed = p
    for edge in range(4):
        end = box[edge]
        if not np.isfinite(end):
            continue
        if edge < 2:
            a, rest = end, (y[0] - end * s1g, y[2] - end * sge, y[3] - end * sgd)
            s, c, u = _solve((s11, s1e, s1d, see, sed, sdd), rest)
            v = a * a * sgg - 2.0 * a * y[1] - (s * rest[0] + c * rest[1] + u * rest[2])
        else:
            s, rest = end, (y[1] - end * s1g, y[2] - end * s1e, y[3] - end * s1d)
            a, c, u = _solve((sgg, sge, sgd, see, sed, sdd), rest)
            v = s * s * s11 - 2.0 * s * y[0] - (a * rest[0] + c * rest[1] + u * rest[2])
        inside = a > 0 and box[0] <= a <= box[1] and box[2] <= s <= box[3]
        if inside and v < low and left * a <= c <= right * a and 0.0 <= u <= a:
            low, best_a, best_s, best_b, best_t = v, a, s, c / a, u / a
    for end in range(2):
        t = float(end)
        sgg_t, sge_t = sgg + 2.0 * t * sgd + t * sdd, sge + t * sed
        n = (s11, s1g + t * s1d, sgg_t, s1e, see, sge_t)
        v = _over_b((y[0], y[1] + t * y[3], y[2]), n, box, left, right, min(low, beat))
        if v[0] < low:
            low, best_a, best_s, best_b, best_t = v[0], v[1], v[2], v[3], t
    for end in range(2):
        b = left if end == 0 else right
        sgg_b = sgg + 2.0 * b * sge + b * b * see
        n = (s11, s1g + b * s1e, sgg_b, s1d, sdd, sgd + b * sed)
        v = _over_b((y[0], y[1] + b * y[2], y[3]), n, box, 0.0, 1.0, min(low, beat))
        if v[0] < low:
            low, best_a, best_s, best_b, best_t = v[0], v[1], v[2], b, v[3]
    return low, best_a, best_s, best_b, best_t


@jit()
def _fit(
    e: int,
    y: Four,
    height: float,
    mean: float,
    products: Floats,
    free: Floats,
    box: Floats,
    beat: float,
) -> Five:
    """One shape: chi^2 - y W y and a, s, b, t."""
    p = products[e]
    n = (p[0], p[1], p[2], p[3], p[4], p[5])
    low, high = box[2, e] * height - mean, box[3, e] * height - mean
    bounds = (box[0, e] * height, box[1, e] * height, low, high)
    three = (y[0], y[1], y[2])
    if box[4, e] == box[5, e]:
        v, a, s = _at(0.0, three, n, bounds)
        return v, a, s, 0.0, 0.0
    if p[7] == 0.0:
        v, a, s, b = _over_b(three, n, bounds, box[4, e], box[5, e], beat)
        return v, a, s, b, 0.0
    return _over_both(y, p, free[e], bounds, box[4, e], box[5, e], beat)


@jit()
def _best(
    yy: Floats,
    height: Floats,
    mean: Floats,
    y1: Floats,
    yg: Floats,
    ye: Floats,
    yd: Floats,
    products: Floats,
    free: Floats,
    box: Floats,
    kind: Ints,
    penalty: Floats,
    score: Floats,
) -> None:
    """Lowest chi^2 + penalty (set, class); heights less their `mean`."""
    score[:] = np.inf
    for r in range(yy.size):
        for e in range(kind.size):
            c = kind[e]
            extra = yy[r] + penalty[e]
            y = (y1[r], yg[r, e], ye[r, e], yd[r, e])
            beat = score[r, c] - extra
            v = _fit(e, y, height[r], mean[r], products, free, box, beat)[0]
            score[r, c] = min(score[r, c], v + extra)


@jit()
def _every(
    height: float,
    mean: float,
    y1: float,
    yg: Floats,
    ye: Floats,
    yd: Floats,
    products: Floats,
    free: Floats,
    box: Floats,
    out: Floats,
) -> None:
    """chi^2 - y W y, a, s, b and t (5, shape) of every shape for one set."""
    for e in range(yg.size):
        y = (y1, yg[e], ye[e], yd[e])
        v, a, s, b, t = _fit(e, y, height, mean, products, free, box, np.inf)
        out[0, e] = v
        out[1, e] = a
        out[2, e] = s + mean
        out[3, e] = b
        out[4, e] = t


@functools.cache
def _compile_once() -> None:
    """Compile the kernels or load them from the cache, one process at a time."""
    with compiling():
        one, row, index = np.ones(1), np.ones((1, 1)), np.zeros(1, np.int64)
        # 1, g and e of three sizes, with unit weights.
        products = np.array([[3.0, 1.0, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
        free, box = np.eye(4)[np.newaxis].copy(), np.array([[0.0, 1.0] * 3]).T.copy()
        shared = (products, free, box)
        _best(one, one, one, one, row, row, row, *shared, index, one, np.empty((1, 4)))
        _every(1.0, 1.0, 1.0, one, one, one, *shared, np.empty((5, 1)))


def normal(shapes: Forms, weight: Floats) -> Normal:
    """What the fits need of shapes and weight."""
    g, e, d = shapes.g, shapes.e, shapes.d
    wg, we, wd, w1 = g @ weight, e @ weight, d @ weight, weight.sum(axis=1)
    s11 = np.full(len(shapes.kind), w1.sum())
    s1g, s1e, s1d = (each.sum(axis=1) for each in (wg, we, wd))
    pairs = ((wg, g), (we, e), (wd, d), (wg, e), (wg, d), (we, d))
    sgg, see, sdd, sge, sgd, sed = ((u * v).sum(axis=1) for u, v in pairs)
    products = np.column_stack([s11, s1g, sgg, s1e, see, sge, s1d, sdd, sgd, sed])
    rows = [[s11, s1g, s1e, s1d], [s1g, sgg, sge, sgd], [s1e, sge, see, sed], [s1d, sgd, sed, sdd]]
    matrix = np.array(rows).transpose(2, 0, 1)
    unit = np.sqrt(np.einsum("eii->ei", matrix))
    unit[unit == 0] = 1.0
    scale = unit[:, :, np.newaxis] * unit[:, np.newaxis, :]
    free = np.ascontiguousarray(np.linalg.pinv(matrix / scale, hermitian=True) / scale)
    return Normal(np.ascontiguousarray(products), free, wg, we, wd, w1)


def best(shapes: Forms, parts: Normal, weight: Floats, y: Floats) -> Floats:
    """Lowest chi^2 + penalty of every class (set, class) for `y` (set, size)."""
    _compile_once()
    # chi^2 is small against y W y, but not against that of the heights less their mean.
    mean = y @ parts.w1 / parts.w1.sum()
    rest = y - mean[:, np.newaxis]
    score = np.empty((len(y), 4))
    _best(
        np.einsum("ij,ij->i", rest @ weight, rest),
        y.max(axis=1),
        mean,
        rest @ parts.w1,
        np.ascontiguousarray(rest @ parts.wg.T),
        np.ascontiguousarray(rest @ parts.we.T),
        np.ascontiguousarray(rest @ parts.wd.T),
        parts.products,
        parts.free,
        shapes.box,
        shapes.kind,
        shapes.penalty,
        score,
    )
    return score


def every(shapes: Forms, parts: Normal, weight: Floats, y: Floats) -> Floats:
    """chi^2, a, s, b and t (5, shape) of every shape for one set `y` (size,)."""
    _compile_once()
    mean = float(y @ parts.w1 / parts.w1.sum())
    rest = y - mean
    out = np.empty((5, len(shapes.kind)))
    _every(
        float(y.max()),
        mean,
        float(rest @ parts.w1),
        np.ascontiguousarray(parts.wg @ rest),
        np.ascontiguousarray(parts.we @ rest),
        np.ascontiguousarray(parts.wd @ rest),
        parts.products,
        parts.free,
        shapes.box,
        out,
    )
    out[0] += float(rest @ weight @ rest)
    return out
