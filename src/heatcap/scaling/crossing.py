"""Crossings of a dimensionless quantity: where curves of different sizes meet.

    x*(L) = x_c + a L^(-w),   w = 1/nu + omega

`crossings` fits a smooth curve to every size (:mod:`heatcap.scaling.curves`), locates the crossing
of each pair, or where each curve meets a level (then w = 1/nu, if the level is not A at x_c), and
extrapolates to infinite size (:mod:`heatcap.scaling.powers`).  x* is in the unit of the control;
the L of a pair is the geometric mean of its sizes.  The height A(x*) has its own limit, approached
as L^(-omega).  For exponents fit the whole curves (`collapse`).

K. Binder, Z. Phys. B 43 (1981) 119; for the drift for example H. Shao, W. Guo and A. W. Sandvik,
Science 352 (2016) 213 (what was checked: docs/references.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import stdtrit

from heatcap.core.arrays import Floats
from heatcap.core.result import (
    Parameter,
    Result,
    Status,
    goodness_line,
    measured,
    parameter_line,
    readable,
    status_line,
)
from heatcap.core.student import chi2_tail, degrees_behind
from heatcap.scaling.condense import condensed
from heatcap.scaling.curves import Curve, curves, drawing, lone_points, missed
from heatcap.scaling.data import Points
from heatcap.scaling.fits import STEEPEST, Tested
from heatcap.scaling.powers import (
    EXPONENT,
    Fit,
    Form,
    average,
    averaged_curve,
    fit_forms,
    heaviest,
)

__all__ = [
    "Crossings",
    "crossings",
]

DRIFT = (0.5, 6.0)  # of the exponent of the drift of the crossings, 1/nu + omega
OF_A_LEVEL = (0.25, 6.0)  # of that of the places where curves meet a level, 1/nu
APPROACH = (0.25, 4.0)  # of omega, the exponent with which the heights approach their limit
POOR = 1e-3  # p-value of chi^2 below which an extrapolation is poor
SHOWN = 200  # sizes of the extrapolation that is drawn
FARTHEST = 1e4  # of them, in units of the largest pair; infinity comes after it
GRID = 501
SURE = 3.0  # standard deviations by which two curves differ on either side of a crossing
BY_CHANCE = 1e-3  # share of tables in which noise may add a crossing to those of a pair
MOST_WITHOUT = 0.05  # share of draws without a crossing above which the pair has none


@dataclass(frozen=True, eq=False)
class Crossings(Tested, Result):
    """Crossings of pairs of sizes, and their extrapolation to infinite size.

    Attributes
    ----------
    small, large : ndarray (pair)
        Sizes of each pair; the same size twice where curves meet a level.
    x, error, height, height_error : ndarray (pair)
        Position and value of the crossing; NaN for a pair that does not cross.
    covariance, height_covariance : ndarray (pair, pair)
        Pairs that share a size are correlated.
    x_c : Parameter
        Extrapolated; `statistical` includes the uncertainty of w, `systematic` is the spread
        between smallest sizes.  With fewer than 3 pairs it is the crossing of the largest pair, and
        `systematic` the distance to the other one.
    drift_exponent : Parameter or None
        w; None where the crossings do not determine it.
    height_infinity : Parameter or None
        The value at the crossing, extrapolated alike; None with fewer than 3 pairs.
    chi2, dof, p_value : of the extrapolation with the largest weight
    status : Status
        "ok", "no crossing", "too few pairs", "multiple crossings", "poor fit", "drift not tested".
    message : str
        Meaning of the status, and what to do.
    models : list of dict
        Every extrapolation of x.
    curves : list of dict
        By size: grid `x`, `y`, and `band`, its standard deviation.
    extrapolation : dict
        `size` (the middle of a pair, the last one infinite), `x` and its error `band` of the
        averaged extrapolation, which ends at x_c and its error; empty without one.
    draws : ndarray (pair, draw)
        Crossings of the draws, NaN where a draw has none.
    """

    small: Floats
    large: Floats
    x: Floats
    error: Floats
    height: Floats
    height_error: Floats
    covariance: Floats
    height_covariance: Floats
    x_c: Parameter
    drift_exponent: Parameter | None = None
    height_infinity: Parameter | None = None
    chi2: float = float("nan")
    dof: int = 0
    p_value: float = float("nan")
    drift: float | None = None
    level: float | None = None
    name: str = "A"
    models: list[dict[str, Any]] = field(default_factory=list)
    curves: list[dict[str, Any]] = field(default_factory=list, repr=False)
    extrapolation: dict[str, Any] = field(default_factory=dict, repr=False)
    draws: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    @property
    def middle(self) -> Floats:
        """Geometric mean of the two sizes: the L of the extrapolation."""
        return np.asarray(np.sqrt(self.small * self.large))

    FIELDS = (
        "name", "small", "large", "x", "error", "height", "height_error", "covariance",
        "height_covariance", "x_c", "drift_exponent", "height_infinity", "drift", "level",
        "status", "message", "models", "goodness_of_fit", "pairs",
    )  # fmt: skip

    @property
    def pairs(self) -> list[dict[str, Any]]:
        """Crossings by pair, each number with its error, for JSON."""
        rows = zip(
            self.small, self.large, self.x, self.error, self.height, self.height_error, strict=True
        )
        return [
            {"small": a, "large": b, "x": measured(x, dx), "height": measured(y, dy)}
            for a, b, x, dx, y, dy in rows
        ]

    def _lines(self) -> list[str]:
        """Pairs, extrapolated values with their errors, goodness of fit and status."""
        lines = [status_line(self.status, self.message)]
        for k in range(self.x.size):
            pair = f"sizes {self.small[k]:g}, {self.large[k]:g}: "
            if self.level is not None:
                pair = f"size {self.small[k]:g}: "
            if np.isfinite(self.x[k]) and self.level is not None:
                at = readable(float(self.x[k]), float(self.error[k]))
                lines.append(f"{pair}x* = {at}")
            elif np.isfinite(self.x[k]):
                at = readable(float(self.x[k]), float(self.error[k]))
                height = readable(float(self.height[k]), float(self.height_error[k]))
                lines.append(f"{pair}x* = {at}, {self.name} = {height}")
            else:
                lines.append(f"{pair}no crossing")
        between = "between models" if self.models else "to the other pair"
        lines += [
            parameter_line("x_c", self.x_c, between=between),
            parameter_line("drift_exponent", self.drift_exponent, fixed=self.drift),
            parameter_line("height_infinity", self.height_infinity),
        ][: 3 if self.level is None else 2]
        if self.models:
            lines.append(goodness_line(self.chi2, self.dof, self.p_value))
        return lines


def crossings(
    points: Points,
    *,
    ratio: float | None = None,
    drift: float | None = None,
    level: float | None = None,
    draws: int = 500,
    rng: int | np.random.Generator = 0,
) -> Crossings:
    """Locate crossings of pairs of sizes and extrapolate to infinite size.

    Every size is fitted by a smooth curve.  Crossings of all pairs are computed on common draws of
    the curves, so that pairs which share a size are correlated as they should be.  Where two curves
    meet more than once and differ significantly in between, the crossing nearest to those of the
    other pairs is taken.  The extrapolation is x*(L) = x_c + a L^(-w), w = 1/nu + omega.

    Parameters
    ----------
    points : Points
        A dimensionless quantity: its curves cross at x_c up to corrections to scaling.
    ratio : float, optional
        large / small of the pairs, such as 2; successive sizes by default.
    drift : float, optional
        w = 1/nu + omega where it is known; fitted by default, between 0.5 and 6.
    level : float, optional
        Find where the curve of each size meets this value instead, and extrapolate with w = 1/nu,
        between 0.25 and 6.
    draws : int
        Draws of every curve for the errors, 50 or more.
    rng : int or Generator

    Returns
    -------
    Crossings
        A pair whose curves do not cross has NaN.

    Raises
    ------
    ValueError
        If a size has fewer than 5 points, `ratio`, `drift` or `draws` is out of range, or `ratio`
        is given with `level`.
    """
    if ratio is not None and not ratio > 1:
        raise ValueError(f"ratio must be above 1, large over small, got {ratio:g}")
    if drift is not None and not 0 < drift <= STEEPEST:
        raise ValueError(
            f"drift must be positive, at most {STEEPEST:g}, it is 1/nu + omega, got {drift:g}"
        )
    if level is not None and (ratio is not None or not np.isfinite(level)):
        raise ValueError(f"level must be a number, and goes without a ratio, got {level:g}")
    points = condensed(points)
    lines = curves(points, draws=draws, rng=np.random.default_rng(rng))
    pairs = list(itertools.pairwise(lines)) if level is None else [(a, a) for a in lines]
    if ratio is not None:
        pairs = [(a, b) for a in lines for b in lines if abs(b.size / a.size / ratio - 1) < 0.02]
    met = [_meet(a, b, points, level) for a, b in pairs]
    place = _usual_place(met)
    crossed = [_cross(a, m, place) for (a, _), m in zip(pairs, met, strict=True)]
    small, large = (np.array([pair[k].size for pair in pairs]) for k in (0, 1))
    x, height = (np.array([f[k] for f in crossed]) for k in (0, 1))
    drawn, drawn_height = (
        np.array([f[k] for f in crossed]).reshape(len(pairs), draws) for k in (2, 3)
    )
    wider = points.wider**2
    covariance = wider * _covariance_of(drawn, x, [_common(a, b) for a, b in pairs])
    heights = wider * _covariance_of(drawn_height, height, [(-np.inf, np.inf)] * len(pairs))
    bounds = DRIFT if level is None else OF_A_LEVEL
    fits = _fits(small, large, x, covariance, bounds if drift is None else (drift, drift))
    of_height = _fits(small, large, height, heights, APPROACH) if level is None else []
    names = [f"{a.size:g}, {b.size:g}" if level is None else f"{a.size:g}" for a, b in pairs]
    many = [name for name, m in zip(names, met, strict=True) if len(m.brackets) > 1]
    x_c, status, message = _verdict(x, covariance, fits, names, many, ratio)
    if alone := lone_points(lines):
        status, message = Status.POOR_FIT, "; ".join(filter(None, [alone, message]))
    if level is not None:
        for words, meant in (("pairs of sizes", "sizes"), ("pair of sizes", "size")):
            message = message.replace(words, meant)
        message = message.replace("pair", "size")
    best = heaviest(fits) if fits else None
    w = average(fits, EXPONENT) if best and best.determined and best.form.free else None
    return Crossings(
        small, large, x, _errors(covariance), height, _errors(heights), covariance, heights, x_c,
        w, average(of_height, 0) if of_height else None,
        best.chi2 if best else float("nan"), best.dof if best else 0,
        best.p_value if best and best.dof else float("nan"), drift, level, points.name,
        [fit.to_dict() for fit in fits], [drawing(line) for line in lines],
        _extrapolation(fits, np.sqrt(small * large)[np.isfinite(x)]), drawn, status=status,
        message="; ".join(filter(None, [message, points.message, missed(lines)])),
    )  # fmt: skip


def _errors(covariance: Floats) -> Floats:
    return np.asarray(np.sqrt(np.diag(covariance)))


# ---- to infinite size --------------------------------------------------------------------


def _drifting(u: Floats, w: float) -> Floats:
    """Columns 1, u^-w and u^-(w + 1): the limit, the drift, and its correction."""
    return np.column_stack([np.ones_like(u), u**-w, u ** -(w + 1)])


def _fits(
    small: Floats, large: Floats, y: Floats, covariance: Floats, bounds: tuple[float, float]
) -> list[Fit]:
    finite = np.flatnonzero(np.isfinite(y))
    order = finite[np.argsort(np.sqrt(small * large)[finite], kind="stable")]
    if finite.size < 3:
        return []
    form = Form("power", _drifting, bounds, slow=True, correction=(1, 2))
    middle = np.sqrt(small * large)[order]
    return fit_forms(middle, y[order], covariance[np.ix_(order, order)], [form])


def _verdict(
    x: Floats,
    covariance: Floats,
    fits: Sequence[Fit],
    names: Sequence[str],
    many: Sequence[str],
    ratio: float | None,
) -> tuple[Parameter, Status, str]:
    """x_c, the status, and advice."""
    nan = float("nan")
    finite = np.flatnonzero(np.isfinite(x))
    without = [name for name, at in zip(names, x, strict=True) if not np.isfinite(at)]
    lost = f"sizes {' and '.join(without)} do not cross within their data" if without else ""
    if not names:
        what = "one size" if ratio is None else f"no two sizes at a ratio of {ratio:g}"
        return Parameter(nan, nan, nan), Status.NO_CROSSING, f"there is {what}: add sizes"
    if not finite.size:
        message = "no pair of sizes crosses within its data: widen the range of the control, or the"
        message += " quantity is not dimensionless, or there is no transition in the range"
        return Parameter(nan, nan, nan), Status.NO_CROSSING, message
    if not fits:
        last = finite[-1]
        spread = float(np.ptp(x[finite])) if finite.size > 1 else nan
        value = Parameter(float(x[last]), float(np.sqrt(covariance[last, last])), spread)
        crossing = (
            "1 pair of sizes crosses" if finite.size == 1 else f"{finite.size} pairs of sizes cross"
        )
        message = f"{crossing}, 3 are needed to"
        message += " extrapolate: add sizes; x_c is the crossing of the largest pair"
        return value, Status.TOO_FEW_PAIRS, "; ".join(filter(None, [message, lost]))
    x_c, best = average(fits, 0), heaviest(fits)
    if many:
        message = f"sizes {' and '.join(many)} cross more than once: the crossing nearest to the"
        message += " others is taken; narrow the range of the control to the one that is meant"
        return x_c, Status.MULTIPLE_CROSSINGS, "; ".join(filter(None, [message, lost]))
    if chi2_tail(best.chi2, max(best.dof, 1)) < POOR:
        message = f"no drift L^-w describes the crossings (chi2 = {best.chi2:.3g}): leave out the"
        message += " smallest sizes, or errors are too small"
        return x_c, Status.POOR_FIT, "; ".join(filter(None, [message, lost]))
    if best.dof:
        return x_c, Status.OK, lost
    # Without degrees of freedom the drift is not tested: the last step counts as systematic error.
    step = float(np.abs(np.diff(x[finite])[-1]))
    x_c = Parameter(x_c.value, x_c.statistical, float(np.hypot(x_c.systematic, step)))
    untested = "there are no more pairs than parameters: add sizes"
    return x_c, Status.DRIFT_NOT_TESTED, "; ".join(filter(None, [untested, lost]))


def _extrapolation(fits: Sequence[Fit], middle: Floats) -> dict[str, Any]:
    """The averaged extrapolation from the smallest pair of the heaviest fit to infinite size."""
    if not fits:
        return {}
    largest = float(middle.max())
    size = np.append(np.geomspace(heaviest(fits).smallest, FARTHEST * largest, SHOWN), np.inf)
    x, band = averaged_curve(fits, size, largest)
    return {"size": size, "x": x, "band": band}


# ---- where two curves meet ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Meetings:
    """The difference of two curves on a grid, and where its sign changes significantly."""

    x: Floats
    mean: Floats
    drawn: Floats
    brackets: list[tuple[int, int]]


def _common(a: Curve, b: Curve) -> tuple[float, float]:
    """The range of the control in which both have data."""
    return max(a.range[0], b.range[0]), min(a.range[1], b.range[1])


def _meet(a: Curve, b: Curve, points: Points, level: float | None) -> _Meetings:
    """The difference of two curves where both have data, or of one curve and a level."""
    low, high = _common(a, b)
    x = np.linspace(low, high, GRID) if high > low else np.empty(0)
    if not x.size:
        return _Meetings(x, x, np.empty((a.draws.shape[0], 0)), [])
    if level is None:
        mean, drawn = a(x) - b(x), a.drawn(x) - b.drawn(x)
    else:
        mean, drawn = a(x) - level, a.drawn(x) - level
    measured = points.control[np.isin(points.size, (a.size, b.size))]
    brackets = _brackets(x, mean, drawn.std(axis=0), measured, _clear(points))
    return _Meetings(x, mean, drawn, brackets)


def _brackets(
    x: Floats, mean: Floats, deviation: Floats, measured: Floats, clear: float
) -> list[tuple[int, int]]:
    """Pairs of grid points between which the sign changes significantly: the innermost ones.

    Far from a crossing the curves of a dimensionless quantity approach common limits, where noise
    makes them cross any number of times: a change of sign counts only between differences of more
    than SURE standard deviations, at controls where one of the two was measured.  Of all points of
    a table some differ that much by chance: beside the range of the largest difference, and the one
    of the largest difference of the other sign, a range of one sign needs `clear` deviations.
    """
    at = np.unique(np.searchsorted(x, measured[(measured >= x[0]) & (measured <= x[-1])]))
    z = mean[at] / np.maximum(deviation[at], 1e-300)
    sure = np.abs(z) > SURE
    at, z = at[sure], z[sure]
    if not z.size:
        return []
    starts = np.flatnonzero(np.diff(np.sign(z), prepend=0.0))
    peaks = np.array([run[np.abs(run).argmax()] for run in np.split(z, starts[1:])])
    other = peaks * np.sign(peaks[np.abs(peaks).argmax()])
    kept = (np.abs(peaks) > clear) | (other == other.max()) | (other == other.min())
    at, z = (v[np.repeat(kept, np.diff(starts, append=z.size))] for v in (at, z))
    turns = np.flatnonzero(np.diff(np.sign(z)))
    return [(int(at[k]), int(at[k + 1])) for k in turns]


def _clear(points: Points) -> float:
    """Deviations that no point of a table exceeds by chance, in 1 - BY_CHANCE of all tables."""
    share = BY_CHANCE / max(len(points), 1) / 2
    return float(stdtrit(degrees_behind(points.wider), 1 - share))


def _usual_place(met: Sequence[_Meetings]) -> float:
    """The median of all significant crossings; of all sign changes if none is."""
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


def _cross(a: Curve, met: _Meetings, guess: float) -> tuple[float, float, Floats, Floats]:
    """Position, height and their draws, of the crossing nearest to a guess."""
    nan, nothing = float("nan"), np.full(a.draws.shape[0], np.nan)
    place = _place(met, guess)
    if place is None:
        return nan, nan, nothing, nothing
    low, high, at = place
    x, rows = met.x[low : high + 1], met.drawn[:, low : high + 1]
    drawn = _middle(x, rows) if met.brackets else _nearest(x, rows, at)
    if np.isfinite(drawn).mean() < 1 - MOST_WITHOUT:
        return nan, nan, drawn, nothing
    values = a.drawn(x)
    heights = np.array([np.interp(p, x, y) for p, y in zip(drawn, values, strict=True)])
    return at, float(a(np.array([at]))[0]), drawn, heights


def _place(m: _Meetings, guess: float) -> tuple[int, int, float] | None:
    """The bracket, as grid points, of the crossing nearest to a guess, and the crossing."""
    if not np.isfinite(guess) or not m.x.size:
        return None
    candidates = []
    for low, high in m.brackets or [(0, m.x.size - 1)]:
        roots = _roots(m.x[low : high + 1], m.mean[low : high + 1])
        # Within a bracket noise may add crossings: the middle one depends on no guess.
        if roots.size:
            nearest = int(np.abs(roots - guess).argmin())
            at = roots[(roots.size - 1) // 2 if m.brackets else nearest]
            candidates.append((low, high, float(at)))
    return min(candidates, key=lambda f: abs(f[2] - guess), default=None)


def _nearest(x: Floats, rows: Floats, at: float) -> Floats:
    """The sign change of every row that is nearest to `at`, NaN where there is none."""
    left, right = rows[:, :-1], rows[:, 1:]
    change = np.signbit(left) != np.signbit(right)
    with np.errstate(divide="ignore", invalid="ignore"):
        where = x[:-1] - left * np.diff(x) / (right - left)
    apart = np.where(change, np.abs(where - at), np.inf)
    k = apart.argmin(axis=1)
    row = np.arange(rows.shape[0])
    return np.where(np.isfinite(apart[row, k]), where[row, k], np.nan)


def _middle(x: Floats, rows: Floats) -> Floats:
    """The middle sign change of every row, NaN where there is none."""
    found = [_roots(x, row) for row in rows]
    return np.array([f[(f.size - 1) // 2] if f.size else np.nan for f in found])


def _covariance_of(drawn: Floats, value: Floats, ranges: Sequence[tuple[float, float]]) -> Floats:
    """Covariance of the pairs that cross, NaN for the others.

    In a draw without a crossing it lies beyond an end of the data: it is put at the nearer end, or
    as far off as the farthest draw, whichever is farther.  Leaving it out would make errors too
    small.
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
    finite = np.flatnonzero(np.isfinite(value))
    if finite.size:
        out[np.ix_(finite, finite)] = np.atleast_2d(np.cov(filled[finite]))
    return out
