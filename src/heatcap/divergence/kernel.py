"""Numerical kernel of the fits: linear least squares within a box, for many shapes and sets.

    chi^2 = r^T W r,    r = y - s - a (g + b e),
    a in [a_low, a_high] H,    s in [s_low, s_high] H,    b in [b_low, b_high]

H is the height in which the box is measured.  Weighted means are subtracted from all functions, so
that a form that changes little relative to its level is not lost in rounding.  At fixed b chi^2 is
convex in (s, a): its minimum over the box is the free one, if that lies inside, or else the best of
the minima on the four edges.  Over b there is one minimum, because {(s, a, ab): chi^2 <= x} is
convex and b = (ab) / a preserves that.  It is the free minimum of the three coefficients; or, where
that violates only the range of b, the minimum at this end of b; or else found by golden section.

`normal` prepares the scalar products, `best` returns the lowest chi^2 of every class for many sets,
`every` the coefficients of all shapes for one set.
"""

from __future__ import annotations

import functools
from typing import NamedTuple, Protocol

import numpy as np

from heatcap.core.arrays import Floats, Ints
from heatcap.core.jit import compiling, jit

__all__ = ["Forms", "Normal", "best", "every", "normal"]

Two = tuple[float, float]
Three = tuple[float, float, float]
Four = tuple[float, float, float, float]
Six = tuple[float, float, float, float, float, float]

_GOLDEN = 0.6180339887498949
_STEPS = 10  # locate b to 0.8 % of its range
_SINGULAR = 1e-11  # relative determinant below which g and e are one function


class Forms(Protocol):
    """Shapes as arrays: g and e (shape, point), kind (shape,), box (6, shape), penalty (shape,)."""

    @property
    def g(self) -> Floats: ...
    @property
    def e(self) -> Floats: ...
    @property
    def kind(self) -> Ints: ...
    @property
    def box(self) -> Floats: ...
    @property
    def penalty(self) -> Floats: ...


class Normal(NamedTuple):
    """Scalar products, with the weight W, of 1 and of g and e of each shape.

    Attributes
    ----------
    products : ndarray (shape, 6)
        1.1, mean of g, g.g, mean of e, e.e, g.e; products are those of g and e less their means.
    wg, we, w1 : ndarray (shape, point), (shape, point), (point,)
        g W, e W (of g and e less their means), 1 W.
    """

    products: Floats
    wg: Floats
    we: Floats
    w1: Floats


@jit()
def _at(b: float, y: Two, n: Six, box: Four, beat: float) -> Three:
    """Minimum of chi^2 - y W y over the box at fixed b, and its a and s.

    Infinite where it cannot lie below `beat`.
    """
    al, ah, sl, sh = box
    yv, s11, mean = y[0] + b * y[1], n[0], n[1] + b * n[3]
    vv = n[2] + 2.0 * b * n[5] + b * b * n[4]
    a = yv / vv
    if -a * yv >= beat:
        return np.inf, 0.0, 0.0
    s = -a * mean
    if al <= a <= ah and sl <= s <= sh:
        return -a * yv, a, s
    low, best_a, best_s = np.inf, 0.0, 0.0
    for edge in range(4):
        if edge < 2:
            a = al if edge == 0 else ah
            if not np.isfinite(a):
                continue
            s = min(max(-a * mean, sl), sh)
        else:
            s = sl if edge == 2 else sh
            if not np.isfinite(s):
                continue
            a = min(max((yv - s11 * s * mean) / (vv + s11 * mean * mean), al), ah)
        level = s + a * mean
        v = s11 * level * level + a * a * vv - 2.0 * a * yv
        if v < low:
            low, best_a, best_s = v, a, s
    return low, best_a, best_s


@jit()
def _along(y: Two, n: Six, box: Four, left: float, right: float) -> Four:
    """Minimum over (s, a, b) with its a, s, b by golden section in b."""
    first, second = _at(left, y, n, box, np.inf), _at(right, y, n, box, np.inf)
    lowest, b = (first, left) if first[0] < second[0] else (second, right)
    x1, x2 = right - _GOLDEN * (right - left), left + _GOLDEN * (right - left)
    f1, f2 = _at(x1, y, n, box, np.inf), _at(x2, y, n, box, np.inf)
    for _ in range(_STEPS):
        if f1[0] < f2[0]:
            right, x2, f2 = x2, x1, f1
            x1 = right - _GOLDEN * (right - left)
            f1 = _at(x1, y, n, box, np.inf)
        else:
            left, x1, f1 = x1, x2, f2
            x2 = left + _GOLDEN * (right - left)
            f2 = _at(x2, y, n, box, np.inf)
    if f1[0] < lowest[0]:
        lowest, b = f1, x1
    if f2[0] < lowest[0]:
        lowest, b = f2, x2
    return lowest[0], lowest[1], lowest[2], b


@jit()
def _over_b(y: Two, n: Six, box: Four, left: float, right: float, beat: float) -> Four:
    """Minimum over (s, a, b) with its a, s, b; infinite if it cannot lie below `beat`."""
    gg, ee, ge = n[2], n[4], n[5]
    det = gg * ee - ge * ge
    if det > _SINGULAR * gg * ee:
        a, c = (y[0] * ee - y[1] * ge) / det, (y[1] * gg - y[0] * ge) / det
        lowest = -(a * y[0] + c * y[1])
        if lowest >= beat:
            return np.inf, 0.0, 0.0, 0.0
        s = -a * n[1] - c * n[3]
        if box[0] <= a <= box[1] and box[2] <= s <= box[3]:
            if left * abs(a) <= np.sign(a) * c <= right * abs(a):
                return lowest, a, s, c / a
            # Convex in (s, a, ab): the minimum is on the only edge that the free one violates.
            b = right if np.sign(a) * c > right * abs(a) else left
            v, a, s = _at(b, y, n, box, beat)
            return v, a, s, b
    return _along(y, n, box, left, right)


@jit()
def _fit(
    e: int, y: Two, height: float, mean: float, products: Floats, box: Floats, beat: float
) -> Four:
    """One shape: chi^2 - y W y and a, s, b."""
    p = products[e]
    n = (p[0], p[1], p[2], p[3], p[4], p[5])
    low, high = box[2, e] * height - mean, box[3, e] * height - mean
    bounds = (box[0, e] * height, box[1, e] * height, low, high)
    if box[4, e] == box[5, e]:
        v, a, s = _at(0.0, y, n, bounds, beat)
        return v, a, s, 0.0
    return _over_b(y, n, bounds, box[4, e], box[5, e], beat)


@jit()
def _best(
    yy: Floats,
    height: Floats,
    mean: Floats,
    yg: Floats,
    ye: Floats,
    products: Floats,
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
            y = (yg[r, e], ye[r, e])
            v = _fit(e, y, height[r], mean[r], products, box, score[r, c] - extra)[0]
            score[r, c] = min(score[r, c], v + extra)


@jit()
def _every(
    height: float,
    mean: float,
    yg: Floats,
    ye: Floats,
    products: Floats,
    box: Floats,
    out: Floats,
) -> None:
    """chi^2 - y W y, a, s and b (4, shape) of every shape for one set."""
    for e in range(yg.size):
        v, a, s, b = _fit(e, (yg[e], ye[e]), height, mean, products, box, np.inf)
        out[0, e] = v
        out[1, e] = a
        out[2, e] = s + mean
        out[3, e] = b


@functools.cache
def _compile_once() -> None:
    """Compile the kernels or load them from the cache, one process at a time."""
    with compiling():
        one, row, index = np.ones(1), np.ones((1, 1)), np.zeros(1, np.int64)
        # g and e of three sizes, with unit weights.
        shared = np.array([[3.0, 0.0, 2.0, 0.0, 2.0, 0.0]]), np.array([[0.0, 1.0] * 3]).T.copy()
        _best(one, one, one, row, row, *shared, index, one, np.empty((1, 4)))
        _every(1.0, 1.0, one, one, *shared, np.empty((4, 1)))


def normal(shapes: Forms, weight: Floats) -> Normal:
    """Compute the scalar products of shapes with the weight (point, point)."""
    w1 = weight.sum(axis=1)
    total = w1.sum()
    means = [form @ w1 / total for form in (shapes.g, shapes.e)]
    g, e = (
        form - mean[:, np.newaxis] for form, mean in zip((shapes.g, shapes.e), means, strict=True)
    )
    wg, we = g @ weight, e @ weight
    gg, ee, ge = ((u * v).sum(axis=1) for u, v in ((wg, g), (we, e), (wg, e)))
    level = np.full(len(shapes.kind), total)
    products = np.column_stack([level, means[0], gg, means[1], ee, ge])
    return Normal(np.ascontiguousarray(products), wg, we, w1)


def best(shapes: Forms, parts: Normal, y: Floats, weight: Floats, height: Floats) -> Floats:
    """Minimise chi^2 + penalty in every class (set, class) for `y` (set, point).

    `height` (set,) is the unit of the boxes.
    """
    _compile_once()
    # Without the mean, for chi^2 would be lost in the rounding of the large y W y.
    mean = y @ parts.w1 / parts.w1.sum()
    rest = y - mean[:, np.newaxis]
    score = np.empty((len(y), 4))
    _best(
        np.einsum("ij,ij->i", rest @ weight, rest),
        np.ascontiguousarray(height),
        mean,
        np.ascontiguousarray(rest @ parts.wg.T),
        np.ascontiguousarray(rest @ parts.we.T),
        parts.products,
        shapes.box,
        shapes.kind,
        shapes.penalty,
        score,
    )
    return score


def every(shapes: Forms, parts: Normal, y: Floats, weight: Floats, height: float) -> Floats:
    """Fit every shape to one set `y` (point,): chi^2, a, s and b (4, shape)."""
    _compile_once()
    mean = float(y @ parts.w1 / parts.w1.sum())
    rest = y - mean
    out = np.empty((4, len(shapes.kind)))
    _every(
        float(height),
        mean,
        np.ascontiguousarray(parts.wg @ rest),
        np.ascontiguousarray(parts.we @ rest),
        parts.products,
        shapes.box,
        out,
    )
    out[0] += float(rest @ weight @ rest)
    return out
