"""Crossings of a dimensionless quantity: where curves of different sizes meet."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from heatcap._json import plain
from heatcap.scaling._curves import Curve, curves
from heatcap.scaling.parameter import Parameter
from heatcap.scaling.points import Points

__all__ = ["Crossings", "crossings"]

Floats = NDArray[np.float64]

GRID = 2001
EXPONENTS = np.linspace(0.25, 6, 47)  # of the drift of the crossings, 1/nu + omega
MOST_WITHOUT = 0.05  # share of draws without a crossing that is put up with


@dataclass(frozen=True, eq=False)
class Crossings:
    """Where the curves of successive sizes cross.

    Attributes
    ----------
    small, large : ndarray (pair)
        Sizes of each pair.
    x, error, height : ndarray (pair)
        Position with its error, and the value there; NaN for a pair that does not cross.
    covariance : ndarray (pair, pair)
        Of the positions: pairs that share a size are correlated.
    x_c : Parameter
        Extrapolated with x*(L) = x_c + a L^-w, w free: `systematic` is the spread over w.
    status, message : str
        "ok", "no crossing", "too few pairs" (x_c is then that of the largest pair).
    """

    small: Floats
    large: Floats
    x: Floats
    error: Floats
    height: Floats
    covariance: Floats
    x_c: Parameter
    status: str = "ok"
    message: str = ""
    draws: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("small", "large", "x", "error", "height", "covariance", "status", "message")
        return dict(plain({name: getattr(self, name) for name in names} | {"x_c": self.x_c}))


def crossings(
    points: Points, *, ratio: float | None = None, draws: int = 500, rng: int | np.random.Generator
) -> Crossings:
    """Crossings of all pairs of successive sizes, or of sizes at a fixed ratio.

    Every size is fitted by a spline; positions of all pairs come from common draws of the curves,
    so that pairs which share a size carry their covariance.  The crossing nearest to those of the
    other pairs is taken where there are several.

    Parameters
    ----------
    points : Points
    ratio : float, optional
        large / small of the pairs, such as 2; successive sizes by default.
    draws : int
    rng : int or Generator

    Returns
    -------
    Crossings

    Raises
    ------
    ValueError
        If a size has fewer than 5 points.
    """
    lines = curves(points, draws=draws, rng=np.random.default_rng(rng))
    pairs = _pairs(lines, ratio)
    guess = _guess(pairs)
    found = [_cross(a, b, guess) for a, b in pairs]
    sizes = [(a.size, b.size) for a, b in pairs]
    small, large = (np.array([s[k] for s in sizes]) for k in (0, 1))
    x, height = (np.array([f[k] for f in found]) for k in (0, 1))
    drawn = np.array([f[2] for f in found]).reshape(len(pairs), draws)
    known = np.isfinite(drawn).mean(axis=1) >= 1 - MOST_WITHOUT
    x, height = np.where(known, x, np.nan), np.where(known, height, np.nan)
    filled = np.where(np.isfinite(drawn), drawn, x[:, None])
    covariance = np.atleast_2d(np.cov(filled)) if len(pairs) else np.empty((0, 0))
    error = np.sqrt(np.diag(covariance)) if len(pairs) else np.empty(0)
    x_c, status, message = _extrapolated(small, large, x, covariance)
    return Crossings(
        small, large, x, np.where(known, error, np.nan), height, covariance, x_c, status, message,
        drawn,
    )  # fmt: skip


def _pairs(lines: list[Curve], ratio: float | None) -> list[tuple[Curve, Curve]]:
    if ratio is None:
        return list(itertools.pairwise(lines))
    return [(a, b) for a in lines for b in lines if abs(b.size / a.size / ratio - 1) < 0.02]


def _guess(pairs: list[tuple[Curve, Curve]]) -> float:
    """The middle of all sign changes of all pairs."""
    every = [x for a, b in pairs for x in _roots(*_difference(a, b))]
    return float(np.median(every)) if every else float("nan")


def _difference(a: Curve, b: Curve) -> tuple[Floats, Floats]:
    low, high = max(a.range[0], b.range[0]), min(a.range[1], b.range[1])
    x = np.linspace(low, high, GRID) if high > low else np.empty(0)
    return x, a(x) - b(x)


def _roots(x: Floats, y: Floats) -> Floats:
    at = np.flatnonzero(np.signbit(y[1:]) != np.signbit(y[:-1]))
    return np.asarray(x[at] - y[at] * (x[at + 1] - x[at]) / (y[at + 1] - y[at]))


def _cross(a: Curve, b: Curve, guess: float) -> tuple[float, float, Floats]:
    """Position, height and drawn positions of the crossing nearest to a guess."""
    x, y = _difference(a, b)
    nothing = np.full(a.draws.shape[0], np.nan)
    roots = _roots(x, y)
    if not roots.size or not np.isfinite(guess):
        return float("nan"), float("nan"), nothing
    at = float(roots[np.abs(roots - guess).argmin()])
    drawn = nothing.copy()
    for k, row in enumerate(a.drawn(x) - b.drawn(x)):
        near = _roots(x, row)
        if near.size:
            drawn[k] = near[np.abs(near - at).argmin()]
    return at, float(a(np.array([at]))[0]), drawn


def _extrapolated(
    small: Floats, large: Floats, x: Floats, covariance: Floats
) -> tuple[Parameter, str, str]:
    known = np.flatnonzero(np.isfinite(x))
    nan = float("nan")
    if not known.size:
        return Parameter(nan, nan, nan), "no crossing", "no pair of sizes crosses within its data"
    if known.size < 3:
        last = known[-1]
        drift = float(np.ptp(x[known])) if known.size > 1 else nan
        value = Parameter(float(x[last]), float(np.sqrt(covariance[last, last])), drift)
        return value, "too few pairs", f"{known.size} pairs cross, 3 are needed to extrapolate"
    middle = np.sqrt(small * large)[known]
    weight = np.linalg.inv(covariance[np.ix_(known, known)])
    rows = []
    for w in EXPONENTS:
        design = np.column_stack([np.ones(known.size), (middle / middle.max()) ** -w])
        normal = np.linalg.inv(design.T @ weight @ design)
        fit = normal @ design.T @ weight @ x[known]
        off = x[known] - design @ fit
        rows.append((fit[0], normal[0, 0], off @ weight @ off))
    values, variances, chi2 = np.array(rows).T
    share = np.exp(-0.5 * (chi2 - chi2.min()))
    share /= share.sum()
    mean = float(share @ values)
    spread = float(np.sqrt(share @ (values - mean) ** 2))
    result = Parameter(mean, float(np.sqrt(share @ variances)), spread)
    p = float(stats.chi2.sf(chi2.min(), max(known.size - 2, 1)))
    if p < 1e-3:
        return result, "poor fit", f"no drift L^-w describes the crossings (p = {p:.1g})"
    return result, "ok", ""
