"""Thresholds from counts: where the share of successes crosses a level, by size, and its limit.

    P(x) = Phi((x - m) / w),   generally Phi^-1(P) = b_0 + b_1 t + b_2 t^2 + b_3 t^3
    x*(L) = x_c + a L^(-1/nu) (1 + b L^(-omega)),   w(L) = A L^(-1/nu) (1 + b L^(-omega))

k successes in n trials are binomial at each control; a probit regression of each size (statsmodels'
GLM) has no trouble with k = 0 and k = n, where the error of a share vanishes.  x* is the control at
which P is the level, w = 1 / |d Phi^-1(P) / dx| there, both in the unit of the control.  Other
curves than the normal one bend Phi^-1(P): the straight line, parabola and cubic are averaged with
weights exp(-(D / phi + 2 k) / 2), D the deviance.  Trials that share something (runs, samples of
disorder) scatter more than binomially: by the dispersion phi, pooled over sizes, or, where their
`cluster` is named, by a sandwich over clusters.

P. McCullagh and J. A. Nelder, Generalized Linear Models (1989), ch. 4; phi: D. J. Fletcher,
Biometrika 99 (2012) 230; when a fit is separated: M. J. Silvapulle, J. R. Stat. Soc. B 43 (1981)
310 (all three unchecked).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from heatcap.core.arrays import Floats, numbers
from heatcap.core.result import (
    Parameter,
    Result,
    Status,
    goodness_line,
    parameter_line,
    readable,
    status_line,
)
from heatcap.scaling.fits import STEEPEST, Tested, moments, weights_of
from heatcap.scaling.fits import average as averaged
from heatcap.scaling.powers import (
    EXPONENT,
    Fit,
    Form,
    average,
    averaged_curve,
    fit_forms,
    heaviest,
)

__all__ = ["Threshold", "Thresholds", "thresholds"]

DEGREES = (1, 2, 3)  # of Phi^-1(P) in the control
SHIFT = (0.25, 4.0)  # bounds of the exponents of shift and width
OMEGAS = (0.25, 0.5, 1.0, 2.0)  # of corrections; 1 and 2 alone make errors 2 to 3 times too small
SURE = 4.0  # standard deviations by which P must rise and fall to be called not monotone
POOR = 1e-3  # p-value of chi^2 below which an extrapolation is poor
FEW_CLUSTERS = 20  # below, a sandwich is too small
CHANCE = 0.05  # that all trials agree although P is at the level
SHOWN = 101  # points of a curve that is drawn
FARTHEST = 1e4  # of the extrapolation that is drawn, in units of the largest size


@dataclass(frozen=True, eq=False)
class Threshold:
    """Threshold of one size.

    Attributes
    ----------
    size : float
    status : Status
        "ok"; "separated": successes are all 0 on one side and all 1 on the other, the position is
        known by the spacing of the controls alone, and the width is not; "at an edge": the level is
        not reached within the data; "not monotone"; "too few points".
    message : str
    position, width : Parameter or None
        `systematic` is the spread between degrees.
    correlation : float
        Between position and width.
    controls, trials : int
    rising : bool
        Whether successes grow with the control.
    control, share, error : ndarray (control)
        Successes over trials, and their standard deviation from (k + 1) / (n + 2).
    curve : dict
        `control`, `value` and `band` of the averaged fit; empty without one.
    """

    size: float
    status: Status
    message: str
    position: Parameter | None
    width: Parameter | None
    correlation: float
    controls: int
    trials: int
    rising: bool
    control: Floats = field(repr=False)
    share: Floats = field(repr=False)
    error: Floats = field(repr=False)
    curve: dict[str, Any] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("size", "status", "message", "position", "width", "correlation", "controls")
        return {name: getattr(self, name) for name in (*names, "trials", "rising")}


@dataclass(frozen=True, eq=False)
class Thresholds(Tested, Result):
    """Thresholds of all sizes and their limit.

    Attributes
    ----------
    level : float
    rows : list of Threshold
        By size.
    x_c : Parameter or None
        Limit of the positions at infinite size.  `statistical` includes the uncertainty of the
        exponent, `systematic` is the spread between corrections and smallest sizes, and the error
        of a gap between controls in which the steps of several sizes lie.
    shift_exponent : Parameter or None
        1/nu (+ omega) of the positions; None where they do not determine it, and x_c holds all from
        0.25 to 4.
    inverse_nu : Parameter or None
        1/nu from the widths, w ~ L^(-1/nu); None where they do not determine it.
    dispersion : Parameter or None
        phi: variance of the successes over the binomial one; None with clusters.
    chi2, dof, p_value : of the extrapolation with the largest weight
    fixed : dict
        The exponent of the shift, where it is given.
    status : Status
        "ok", "too few sizes", "poor fit", or that of the rows where all have the same.
    message : str
        Sizes left out, and what to do.
    models : list of dict
        Every extrapolation.
    extrapolation : dict
        `size` (the last one infinite), `x` and its error `band`; empty without one.
    notes : sequence of str
        On the counts.
    """

    level: float
    rows: list[Threshold]
    x_c: Parameter | None = None
    shift_exponent: Parameter | None = None
    inverse_nu: Parameter | None = None
    dispersion: Parameter | None = None
    chi2: float = float("nan")
    dof: int = 0
    p_value: float = float("nan")
    fixed: dict[str, float] = field(default_factory=dict)
    models: list[dict[str, Any]] = field(default_factory=list, repr=False)
    extrapolation: dict[str, Any] = field(default_factory=dict, repr=False)
    notes: Sequence[str] = field(default=(), repr=False)

    FIELDS = (
        "level", "x_c", "shift_exponent", "inverse_nu", "fixed", "dispersion", "rows", "status",
        "message", "goodness_of_fit", "models",
    )  # fmt: skip

    @property
    def used(self) -> list[Threshold]:
        """Rows that have a position."""
        return [row for row in self.rows if row.position is not None]

    def extrapolated(self, *, inverse_nu: float | None = None) -> Thresholds:
        """Extrapolate the same thresholds with an exponent of the shift that is known."""
        return _limit(self.level, self.rows, inverse_nu, self.dispersion, self.notes)

    def _lines(self) -> list[str]:
        """Limit and exponents, then a line for each size."""
        lines = [
            status_line(self.status, self.message),
            parameter_line("x_c", self.x_c),
            parameter_line(
                "shift_exponent", self.shift_exponent, fixed=self.fixed.get("inverse_nu")
            ),
            parameter_line("inverse_nu", self.inverse_nu, note=" (from the widths)"),
        ]
        if self.models:
            lines.append(goodness_line(self.chi2, self.dof, self.p_value))
        if self.dispersion is not None:
            known = readable(self.dispersion.value, self.dispersion.error)
            lines.append(f"dispersion = {known}, 1 for independent trials")
        return lines + [_line(row, self.level) for row in self.rows]


def _line(row: Threshold, level: float) -> str:
    parts = [f"size {row.size:g}:"]
    for name, p in ((f"x(P = {level:g})", row.position), ("width", row.width)):
        if p is not None:
            parts.append(f"{name} = {readable(p.value, p.error)}")
    parts += [f"{row.trials} trials at {row.controls} controls"]
    if row.status is not Status.OK:
        parts.append(f"{row.status} ({row.message})")
    return f"{parts[0]} {', '.join(parts[1:])}"


def thresholds(
    size: ArrayLike,
    control: ArrayLike,
    successes: ArrayLike,
    trials: ArrayLike,
    *,
    level: float = 0.5,
    cluster: ArrayLike | None = None,
    inverse_nu: float | None = None,
) -> Thresholds:
    """Locate the threshold of every size from counts, and extrapolate to infinite size.

    Parameters
    ----------
    size, control : array_like (row)
    successes, trials : array_like (row)
        k of n.  Rows without trials, or with a number missing, are left out.
    level : float
        P at the threshold, between 0 and 1.
    cluster : array_like (row), optional
        What the trials of a row share with those of other rows: numbers or names.  Clusters of
        different sizes are independent.
    inverse_nu : float, optional
        Exponent of the shift where it is known; fitted by default, between 0.25 and 4.

    Returns
    -------
    Thresholds

    Raises
    ------
    ValueError
        For lengths that differ, sizes that are not positive, counts that are not whole numbers with
        0 <= k <= n, or a level or exponent out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level:g}")
    columns, groups, notes = _checked(size, control, successes, trials, cluster)
    parts = list(_by_size(columns, groups))
    found = [_curves_of(part) for part in parts]
    phi = None if cluster is not None else _pooled(found)
    scale = 1.0 if phi is None else max(1.0, phi.value)
    rows = [_row(p, f, level, scale) for p, f in zip(parts, found, strict=True)]
    if phi is not None and phi.value - 1 > SURE * phi.error:
        notes.append(f"trials scatter {phi.value:.2g} times more than independent ones")
    few = [f"{p.size:g}" for p in parts if 0 < p.clusters < FEW_CLUSTERS]
    if few:
        notes.append(f"fewer than {FEW_CLUSTERS} clusters at size {', '.join(few)}: errors are low")
    if len({row.rising for row in rows if row.status is Status.OK}) > 1:
        notes.append("successes grow with the control at some sizes and fall at others")
    return _limit(level, rows, inverse_nu, phi, notes)


# ---- the rows ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Part:
    """Counts of one size: rows, and their sums at each control."""

    size: float
    control: Floats
    successes: Floats
    trials: Floats
    group: NDArray[np.intp] | None

    @property
    def clusters(self) -> int:
        return 0 if self.group is None else int(np.unique(self.group).size)

    def cells(self) -> tuple[Floats, Floats, Floats]:
        """Distinct controls with their successes and trials."""
        at, where = np.unique(self.control, return_inverse=True)
        k, n = (
            np.bincount(where, weights=v).astype(np.float64) for v in (self.successes, self.trials)
        )
        return at, k, n

    def independent(self, phi: float) -> Floats:
        """Trials at each control that count as independent: clusters, where they are named."""
        at, where = np.unique(self.control, return_inverse=True)
        if self.group is None:
            return np.bincount(where, weights=self.trials) / phi
        pairs = np.unique(np.column_stack([where, self.group]), axis=0)
        return np.bincount(pairs[:, 0], minlength=at.size).astype(np.float64)


def _checked(
    size: ArrayLike,
    control: ArrayLike,
    successes: ArrayLike,
    trials: ArrayLike,
    cluster: ArrayLike | None,
) -> tuple[list[Floats], NDArray[np.intp] | None, list[str]]:
    """Rows that count, the number of the cluster of each, and notes on the others."""
    given = {"size": size, "control": control, "successes": successes, "trials": trials}
    named = {name: numbers(column, name) for name, column in given.items()}
    count = named["size"].size
    for name, column in named.items():
        if column.shape != (count,):
            raise ValueError(f"{name} must have one entry for each of {count} rows, got"
                             f" {column.shape}")  # fmt: skip
    s, x, k, n = named.values()
    complete = np.isfinite([s, x, k, n]).all(axis=0)
    faults = {
        "size must be positive": (s, s <= 0),
        "successes must be a whole number, 0 or more": (k, (k < 0) | (k != np.rint(k))),
        "trials must be a whole number, 0 or more": (n, (n < 0) | (n != np.rint(n))),
        "successes must be at most the trials": (k, k > n),
    }
    for what, (column, wrong) in faults.items():
        if (bad := np.flatnonzero(wrong & complete)).size:
            row = int(bad[0])
            beside = f" of {n[row]:g}" if "at most" in what else ""
            raise ValueError(f"row {row + 1} of the data: {what}, got {column[row]:g}{beside}")
    kept = complete & (n > 0)
    lost = {"without a number": ~complete, "without trials": complete & (n == 0)}
    notes = [f"{int(w.sum())} rows {why} left out" for why, w in lost.items() if w.any()]
    groups = None
    if cluster is not None:
        names = np.asarray(cluster)
        if names.shape != (count,):
            raise ValueError(f"cluster must have one entry for each of {count} rows, got"
                             f" {names.shape}")  # fmt: skip
        groups = np.unique(names[kept].astype(str), return_inverse=True)[1]
        for one in np.unique(s[kept]):  # the spread of one cluster is unknown
            if np.unique(groups[s[kept] == one]).size < 2:
                raise ValueError(f"cluster: expected two or more at each size, got 1 at {one:g}")
    return [column[kept] for column in (s, x, k, n)], groups, notes


def _by_size(columns: Sequence[Floats], groups: NDArray[np.intp] | None) -> Iterator[_Part]:
    size, x, k, n = columns
    for one in np.unique(size):
        at = size == one
        group = None if groups is None else groups[at]
        yield _Part(float(one), x[at], k[at], n[at], group)


# ---- regressions of one size -------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Curve:
    """Phi^-1(P) as a polynomial in t = (x - middle) / half."""

    beta: Floats
    covariance: Floats
    deviance: float
    middle: float
    half: float
    pearson: tuple[float, float, int]  # sum, mean of Fletcher's s, degrees of freedom

    def eta(self, x: Floats) -> Floats:
        return np.asarray(
            np.polynomial.polynomial.polyval((x - self.middle) / self.half, self.beta)
        )

    def band(self, x: Floats) -> Floats:
        """Variance of eta."""
        t = np.vander((x - self.middle) / self.half, self.beta.size, increasing=True)
        return np.asarray(np.einsum("xi,ij,xj->x", t, self.covariance, t))

    def at(self, level: float, rising: bool) -> tuple[Floats, Floats] | None:
        """Position and width at a level within the data, and their covariance."""
        shifted = self.beta.copy()
        shifted[0] -= ndtri(level)
        roots = np.polynomial.polynomial.polyroots(shifted)
        slope = np.polynomial.polynomial.polyder(self.beta)
        real = roots[np.abs(roots.imag) < 1e-9].real
        rates = np.polynomial.polynomial.polyval(real, slope)
        good = real[(np.abs(real) <= 1) & ((rates > 0) == rising) & (rates != 0)]
        if not good.size:
            return None
        t = float(good[np.abs(good).argmin()])
        rate = float(np.polynomial.polynomial.polyval(t, slope))
        bend = float(np.polynomial.polynomial.polyval(t, np.polynomial.polynomial.polyder(slope)))
        power = np.arange(self.beta.size)
        moved = -(float(t) ** power) / rate
        steeper = power * float(t) ** np.maximum(power - 1, 0) + bend * moved
        change = np.array([moved, -np.sign(rate) * steeper / rate**2]) * self.half
        value = np.array([self.middle + self.half * t, self.half / abs(rate)])
        return value, change @ self.covariance @ change.T


def _curves_of(part: _Part) -> list[_Curve]:
    """Probit regressions of every degree that the counts determine; none if they are separated."""
    x, k, n = part.cells()
    if x.size < 2 or _gap(x, k, n) is not None:
        return []
    middle, half = 0.5 * (x[0] + x[-1]), 0.5 * (x[-1] - x[0])
    out: list[_Curve] = []
    for degree in DEGREES:
        if x.size > degree + (degree > 1):
            start = None if not out else np.append(out[-1].beta, np.zeros(degree + 1))[: degree + 1]
            curve = _regression(part, degree, float(middle), float(half), start)
            if curve is not None:
                out.append(curve)
    return out


def _regression(
    part: _Part, degree: int, middle: float, half: float, start: Floats | None
) -> _Curve | None:
    import statsmodels.api as sm  # a second to import, and reading a table needs none of it

    x, k, n = part.cells() if part.group is None else (part.control, part.successes, part.trials)
    design = np.vander((x - middle) / half, degree + 1, increasing=True)
    family = sm.families.Binomial(link=sm.families.links.Probit())
    robust = (
        {} if part.group is None else {"cov_type": "cluster", "cov_kwds": {"groups": part.group}}
    )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            model = sm.GLM(np.column_stack([k, n - k]), design, family=family)
            fit = model.fit(start_params=start, **robust)
        except (np.linalg.LinAlgError, ValueError):  # separated in this degree
            return None
        covariance = np.asarray(fit.cov_params())
    beta = np.asarray(fit.params)
    if not fit.converged or not np.isfinite(covariance).all() or np.any(np.diag(covariance) <= 0):
        return None
    t = np.vander((part.control - middle) / half, degree + 1, increasing=True)
    p = ndtr(t @ beta).clip(1e-12, 1 - 1e-12)
    off = part.successes - part.trials * p
    pearson = float(np.sum(off**2 / (part.trials * p * (1 - p))))
    # Rare successes far from the threshold make a tail of Pearson's sum, which s takes off.
    s = float(np.mean((1 - 2 * p) * off / (part.trials * p * (1 - p))))
    dof = part.control.size - degree - 1
    return _Curve(beta, covariance, float(fit.deviance), middle, half, (pearson, s, dof))


def _pooled(found: Sequence[Sequence[_Curve]]) -> Parameter | None:
    """Dispersion phi over all sizes, from the regressions of the highest degree."""
    best = [curves[-1].pearson for curves in found if curves and curves[-1].pearson[2] > 0]
    if not best:
        return None
    dof = sum(d for _, _, d in best)
    phi = sum(pearson / (1 + s) for pearson, s, _ in best) / dof
    return Parameter(phi, float(np.sqrt(2 / dof)) * phi, 0.0)


def _gap(x: Floats, k: Floats, n: Floats) -> tuple[float, float] | None:
    """Controls between which a probit jumps, where no slope is the best one; else None."""
    some, lacking = x[k > 0], x[k < n]
    if not some.size or not lacking.size:
        return float(x[0]), float(x[-1])
    for first, last in ((lacking.max(), some.min()), (some.max(), lacking.min())):
        if first <= last:  # at most one control has both
            inside = x[(x < last)], x[(x > first)]
            low = inside[0].max() if inside[0].size else x[0]
            high = inside[1].min() if inside[1].size else x[-1]
            return float(low), float(high)
    return None


# ---- one size ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scored:
    score: float


def _row(part: _Part, curves: Sequence[_Curve], level: float, phi: float) -> Threshold:
    x, k, n = part.cells()
    guess = (k + 1) / (n + 2)
    error = np.sqrt(phi * guess * (1 - guess) / n)
    slope = float(np.polyfit(x - x.mean(), guess, 1, w=np.sqrt(n))[0]) if x.size > 1 else 1.0
    rising = slope >= 0
    bare = Threshold(
        part.size, Status.OK, "", None, None, float("nan"), x.size, int(n.sum()), rising,
        x, k / n, error,
    )  # fmt: skip
    if x.size < 2:
        return replace(bare, status=Status.TOO_FEW_POINTS, message="one control, two are needed")
    if (gap := _gap(x, k, n)) is not None:
        return _separated(bare, gap, k, n, part.independent(phi), level)
    if _turns(guess, error):
        message = "successes rise and fall with the control: narrow its range to one flank"
        return replace(bare, status=Status.NOT_MONOTONE, message=message)
    met = [(curve, at) for curve in curves if (at := curve.at(level, rising)) is not None]
    if not met:
        reached = f"P from {(k / n).min():.2g} to {(k / n).max():.2g}"
        message = f"{reached} does not cross {level:g} within the controls: widen their range"
        return replace(bare, status=Status.AT_AN_EDGE, message=message)
    fits = [_Scored(curve.deviance / phi + 2 * curve.beta.size) for curve, _ in met]
    values = np.array([value for _, (value, _) in met])
    spreads = np.array([phi * cov for _, (_, cov) in met])
    position, width = (
        averaged(fits, zip(values[:, i], spreads[:, i, i], strict=True)) for i in (0, 1)
    )
    weights = weights_of(fits)
    off = values - weights @ values
    shared = float(weights @ (spreads[:, 0, 1] + off[:, 0] * off[:, 1]))
    return replace(
        bare, position=position, width=width,
        correlation=shared / (position.error * width.error),
        curve=_drawn([curve for curve, _ in met], weights, phi, x),
    )  # fmt: skip


def _drawn(curves: Sequence[_Curve], weights: Floats, phi: float, x: Floats) -> dict[str, Any]:
    """P and its error along the controls, averaged over degrees."""
    grid = np.linspace(x[0], x[-1], SHOWN)
    etas = np.array([curve.eta(grid) for curve in curves])
    variances = np.array([phi * curve.band(grid) for curve in curves])
    value, slope = ndtr(etas), np.exp(-(etas**2) / 2) / np.sqrt(2 * np.pi)
    mean, statistical, spread = moments(weights, value, slope**2 * variances)
    return {"control": grid, "value": mean, "band": np.hypot(statistical, spread)}


def _separated(
    row: Threshold,
    gap: tuple[float, float],
    k: Floats,
    n: Floats,
    independent: Floats,
    level: float,
) -> Threshold:
    """The threshold lies between two controls, by the counts there; or nowhere."""
    if not k.any() or np.array_equal(k, n):
        what = "all trials succeed" if k.any() else "no trial succeeds"
        message = f"{what}: the level lies beyond the controls, widen their range"
        return replace(row, status=Status.AT_AN_EDGE, message=message)
    low, high = gap
    at = [int(np.flatnonzero(row.control == end)[0]) for end in gap]
    # How likely the ends are if P is at the level there.
    chances = [(level if k[i] else 1 - level) ** independent[i] for i in at if k[i] in (0, n[i])]
    if len(chances) < 2 or max(chances) > CHANCE:
        message = f"the step between {low:g} and {high:g} rests on too few trials: add some there"
        return replace(row, status=Status.TOO_FEW_POINTS, message=message)
    message = f"the step lies between {low:g} and {high:g}: add controls there"
    position = Parameter(0.5 * (low + high), 0.0, (high - low) / np.sqrt(12))
    rising = bool(row.share[at[1]] > row.share[at[0]])
    return replace(row, status=Status.SEPARATED, message=message, position=position, rising=rising)


def _turns(share: Floats, error: Floats) -> bool:
    """Whether shares both rise and fall by more than SURE errors, each between two controls."""
    z = (share[None, :] - share[:, None]) / np.hypot(error[None, :], error[:, None])
    later = z[np.triu_indices(share.size, 1)]
    return bool(later.max() > SURE and later.min() < -SURE)


# ---- to infinite size --------------------------------------------------------------------


def _shift(omega: float, bounds: tuple[float, float]) -> Form:
    def columns(u: Floats, w: float) -> Floats:
        return np.column_stack([np.ones_like(u), u**-w, u ** -(w + omega)])

    name = f"x_c + a L^(-1/nu) (1 + b L^-{omega:g})"
    return Form(name, columns, bounds, slow=True, correction=(1, 2))


def _narrowing(omega: float) -> Form:
    def columns(u: Floats, w: float) -> Floats:
        return np.column_stack([u**-w, u ** -(w + omega)])

    return Form(f"A L^(-1/nu) (1 + b L^-{omega:g})", columns, SHIFT, correction=(0, 1))


def _limit(
    level: float,
    rows: list[Threshold],
    inverse_nu: float | None,
    phi: Parameter | None,
    notes: Sequence[str],
) -> Thresholds:
    """The limit of the positions, and the exponent of the widths."""
    if inverse_nu is not None and not 0 < inverse_nu <= STEEPEST:
        raise ValueError(f"inverse_nu must be positive, at most {STEEPEST:g}, got {inverse_nu:g}")
    out = [f"size {r.size:g} {r.status}: {r.message}" for r in rows if r.position is None]
    fixed = {} if inverse_nu is None else {"inverse_nu": float(inverse_nu)}
    bare = Thresholds(level, rows, dispersion=phi, fixed=fixed, notes=notes)
    bounds = SHIFT if inverse_nu is None else (inverse_nu, inverse_nu)
    places = [(r.size, r.position) for r in rows if r.position is not None]
    widths = [(r.size, r.width) for r in rows if r.width is not None]
    forms = [_shift(omega, bounds) for omega in OMEGAS]
    fits = _fits(places, forms)
    narrow = _fits(widths, [_narrowing(omega) for omega in OMEGAS])
    known = bool(narrow) and heaviest(narrow).determined and heaviest(narrow).p_value >= POOR
    bare = replace(bare, inverse_nu=average(narrow, EXPONENT) if known else None)
    if not fits:
        needed = 4 if inverse_nu is None else 3
        statuses = {row.status for row in rows}
        alike = len(statuses) == 1 and Status.OK not in statuses
        message = f"{len(places)} sizes have a threshold, {needed} are needed: add sizes"
        return replace(
            bare, status=statuses.pop() if alike else Status.TOO_FEW_SIZES,
            message="; ".join([message, *out, *notes]),
        )  # fmt: skip
    best = heaviest(fits)
    size = np.array([s for s, _ in places])
    x_c = average(fits, 0)
    for moved in _moved_together(places):
        common = average(_fits(moved, forms), 0).value - x_c.value
        x_c = replace(x_c, systematic=float(np.hypot(x_c.systematic, common)))
    found = replace(
        bare, x_c=x_c, chi2=best.chi2, dof=best.dof, p_value=best.p_value,
        models=[fit.to_dict() for fit in fits], extrapolation=_extrapolation(fits, size),
        shift_exponent=average(fits, EXPONENT) if best.determined and best.form.free else None,
    )  # fmt: skip
    if best.p_value < POOR:
        message = f"no shift L^(-1/nu) describes the positions (p = {best.p_value:.1g}): leave out"
        message += " the smallest sizes, or name the clusters of the trials"
        return replace(found, status=Status.POOR_FIT, message="; ".join([message, *out, *notes]))
    if best.form.free and not best.determined:
        held = (
            "" if found.inverse_nu is None else f" {found.inverse_nu.value:.2g}, as of the widths"
        )
        out.append(
            "positions do not determine the exponent of their shift, and x_c holds all from"
            f" {SHIFT[0]:g} to {SHIFT[1]:g}: give it where it is known (inverse_nu{held})"
        )
    return replace(found, message="; ".join([*out, *notes]))


def _moved_together(
    places: Sequence[tuple[float, Parameter]],
) -> Iterator[list[tuple[float, Parameter]]]:
    """Positions with those of one gap moved by its error, for every gap of several sizes.

    Steps between the same two controls may all lie on one side of their middle.
    """
    gaps = [p for _, p in places if p.statistical == 0]  # separated
    for gap in {p for p in gaps if gaps.count(p) > 1}:
        moved = replace(gap, value=gap.value + gap.systematic)
        yield [(size, moved if p == gap else p) for size, p in places]


def _fits(pairs: Sequence[tuple[float, Parameter]], forms: Sequence[Form]) -> list[Fit]:
    if not pairs:
        return []
    size, value, error = (np.array(c) for c in zip(*((s, p.value, p.error) for s, p in pairs),
                                                   strict=True))  # fmt: skip
    return fit_forms(size, value, np.diag(error**2), forms, spare=1)


def _extrapolation(fits: Sequence[Fit], size: Floats) -> dict[str, Any]:
    """The averaged extrapolation from the smallest size of the heaviest fit to infinite size."""
    largest = float(size.max())
    grid = np.append(np.geomspace(heaviest(fits).smallest, FARTHEST * largest, SHOWN), np.inf)
    x, band = averaged_curve(fits, grid, largest)
    return {"size": grid, "x": x, "band": band}
