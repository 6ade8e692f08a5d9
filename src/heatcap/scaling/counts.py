"""Thresholds from counts: where the share of successes crosses a level, by size, and its limit.

    F^-1(P) = b_0 + b_1 t + b_2 t^2 + b_3 t^3,   F normal, logistic; Cauchy straight
    x*(L) = x_c + a L^(-1/nu) (1 + b L^(-omega) + c L^(-2 omega)),   w(L) ~ L^(-1/nu) (1 + ...)

k successes in n trials are binomial at each control; a regression of each size (statsmodels' GLM)
has no trouble with k = 0 and k = n, where the error of a share vanishes.  x* is the control at
which P is the level.  w is half the distance between the controls where Phi^-1(P) is one below and
one above its value at the level: 16 % and 84 % for a level of one half, one standard deviation of a
normal curve.  (The slope at the level is no such number: curves that the counts cannot tell apart
differ in it by many of its errors.)  Curves F and degrees are averaged with weights
exp(-(D / phi + 2 k) / 2), D the deviance.  Trials that share something (runs, samples of disorder)
scatter more than binomially: by the dispersion phi, pooled over sizes, or, where their `cluster` is
named, by a sandwich over clusters.  Limit and exponents are those of
:func:`heatcap.scaling.power_law`.

P. McCullagh and J. A. Nelder, Generalized Linear Models (1989), ch. 4; phi: D. J. Fletcher,
Biometrika 99 (2012) 230; when a fit is separated: M. J. Silvapulle, J. R. Stat. Soc. B 43 (1981)
310 (what was checked: docs/references.md).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import cauchy, logistic, norm

from heatcap.core.arrays import Floats, numbers
from heatcap.core.result import (
    Parameter,
    Result,
    SkewParameter,
    Status,
    goodness_line,
    parameter_line,
    readable,
    status_line,
)
from heatcap.scaling.fits import STEEPEST, Tested, mixture, moments, weights_of
from heatcap.scaling.fits import average as averaged
from heatcap.scaling.power_fits import EXPONENT, LIMIT, OMEGAS, PowerFit
from heatcap.scaling.power_laws import APPROACH, Values, fit_values
from heatcap.scaling.powers import heaviest

__all__ = ["Threshold", "Thresholds", "thresholds"]

LAWS = {"Probit": norm, "Logit": logistic, "Cauchy": cauchy}  # by their links in statsmodels
# Degrees of F^-1(P) in the control: bent Cauchy curves have more than one maximum of likelihood.
DEGREES = {"Probit": 3, "Logit": 3, "Cauchy": 1}
LOOSE = 1e3  # error of a coefficient from which on the counts do not determine it
BEYOND = 1.2  # how far bends are followed for a width, in halves of the range of the controls
ROUNDING = 1e-9  # change of the share over the controls, by a line: less is rounding
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
        `systematic` is the spread between curves and degrees.
    correlation : float
        Between position and width.
    extrapolated : bool
        Whether the width reaches beyond the controls.
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
    extrapolated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("size", "status", "message", "position", "width", "correlation", "controls")
        names_too = ("trials", "rising", "extrapolated")
        return {name: getattr(self, name) for name in (*names, *names_too)}


@dataclass(frozen=True, eq=False)
class Thresholds(Tested, Result):
    """Thresholds of all sizes and their limit.

    Attributes
    ----------
    level : float
    rows : list of Threshold
        By size.
    x_c : Parameter or None
        Limit of the positions at infinite size, as of :func:`heatcap.scaling.power_law`: median and
        error of 68 % over exponents and corrections of any speed; with the error of a gap between
        controls in which the steps of several sizes lie.
    shift_exponent : Parameter or None
        1/nu of the positions; None where they do not determine it, and x_c holds all from
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
    scatter = _pooled(found)
    scale = 1.0 if scatter is None else max(1.0, scatter.value)
    phi = None if cluster is not None else scatter
    # A sandwich holds the scatter of clusters, the deviance that weighs curves does not.
    own = 1.0 if phi is None else scale
    rows = [_row(p, f, level, own, scale) for p, f in zip(parts, found, strict=True)]
    if phi is not None and phi.value - 1 > SURE * phi.error:
        notes.append(f"trials scatter {phi.value:.2g} times more than independent ones")
    few = [f"{p.size:g}" for p in parts if 0 < p.clusters < FEW_CLUSTERS]
    if few:
        notes.append(f"fewer than {FEW_CLUSTERS} clusters at size {', '.join(few)}: errors are low")
    if len({row.rising for row in rows if row.status is Status.OK}) > 1:
        notes.append("successes grow with the control at some sizes and fall at others")
    if far := [f"{row.size:g}" for row in rows if row.width is not None and row.extrapolated]:
        notes.append(f"widths reach beyond the controls at size {', '.join(far)}: extrapolated")
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
    """F^-1(P) as a polynomial in t = (x - middle) / half; F by the name of its link."""

    link: str
    beta: Floats
    covariance: Floats
    deviance: float
    middle: float
    half: float
    pearson: tuple[float, float, int]  # sum, mean of Fletcher's s, degrees of freedom

    def drawn(self, x: Floats) -> tuple[Floats, Floats]:
        """P and its variance."""
        law = LAWS[self.link]
        t = np.vander((x - self.middle) / self.half, self.beta.size, increasing=True)
        eta, variance = t @ self.beta, np.einsum("xi,ij,xj->x", t, self.covariance, t)
        with np.errstate(over="ignore"):  # a density of 0
            return law.cdf(eta), law.pdf(eta) ** 2 * variance

    def at(self, level: float, rising: bool) -> tuple[Floats, Floats, float] | None:
        """Position and width at a level within the data, their covariance, and the farthest |t|.

        The width is infinite, as is its variance, where the curve has none nearby.
        """
        power = np.arange(self.beta.size)
        slope = np.polynomial.polynomial.polyder(self.beta)
        probit = norm.ppf(level)

        def met(step: float) -> Floats:
            """Places t where Phi^-1(P) is so much above that of the level."""
            shifted = self.beta.copy()
            shifted[0] -= LAWS[self.link].ppf(norm.cdf(probit + step))
            # A bend that rounding leaves has a root so far away that the others lose their digits.
            trimmed = np.polynomial.polynomial.polytrim(shifted, 1e-9 * np.abs(shifted).max())
            roots = np.polynomial.polynomial.polyroots(trimmed)
            return np.asarray(roots[np.abs(roots.imag) < 1e-9].real)

        def moved(t: float) -> Floats:
            """Derivative of a place with respect to beta."""
            return np.asarray(-(t**power) / np.polynomial.polynomial.polyval(t, slope))

        real = met(0.0)
        rates = np.polynomial.polynomial.polyval(real, slope)
        good = real[(np.abs(real) <= 1) & ((rates > 0) == rising) & (rates != 0)]
        if not good.size:
            return None
        t = float(good[np.abs(good).argmin()])
        ends = met(-1.0 if rising else 1.0), met(1.0 if rising else -1.0)
        below, above = ends[0][ends[0] < t], ends[1][ends[1] > t]
        position = self.middle + self.half * t
        far = max(-below.max(), above.min()) if below.size and above.size else np.inf
        if far > (BEYOND if self.beta.size > 2 else np.inf) or not np.isfinite(far):
            variance = self.half**2 * float(moved(t) @ self.covariance @ moved(t))
            return np.array([position, np.inf]), np.diag([variance, np.inf]), np.inf
        first, last = float(below.max()), float(above.min())
        change = np.array([moved(t), (moved(last) - moved(first)) / 2]) * self.half
        value = np.array([position, self.half * (last - first) / 2])
        return value, change @ self.covariance @ change.T, far


def _curves_of(part: _Part) -> list[_Curve]:
    """Regressions of every curve and degree that the counts determine; none if separated."""
    x, k, n = part.cells()
    if x.size < 2 or _gap(x, k, n) is not None:
        return []
    middle, half = float(0.5 * (x[0] + x[-1])), float(0.5 * (x[-1] - x[0]))
    out: list[_Curve] = []
    for link in LAWS:
        start = None
        for degree in range(1, DEGREES[link] + 1):
            if x.size <= degree + (degree > 1):
                break
            curve = _regression(part, link, degree, middle, half, start)
            start = None if curve is None else np.append(curve.beta, 0.0)
            out += [] if curve is None else [curve]
    return out


def _regression(
    part: _Part, link: str, degree: int, middle: float, half: float, start: Floats | None
) -> _Curve | None:
    import statsmodels.api as sm  # a second to import, and reading a table needs none of it

    x, k, n = part.cells() if part.group is None else (part.control, part.successes, part.trials)
    design = np.vander((x - middle) / half, degree + 1, increasing=True)
    family = sm.families.Binomial(link=getattr(sm.families.links, link)())
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
    if not fit.converged or not np.isfinite(covariance).all():
        return None
    spread = np.linalg.eigvalsh(covariance)
    if spread[0] <= 0 or spread[-1] > LOOSE**2:
        return None
    t = np.vander((part.control - middle) / half, degree + 1, increasing=True)
    p = LAWS[link].cdf(t @ beta).clip(1e-12, 1 - 1e-12)
    off = part.successes - part.trials * p
    pearson = float(np.sum(off**2 / (part.trials * p * (1 - p))))
    # Rare successes far from the threshold make a tail of Pearson's sum, which s takes off.
    s = float(np.mean((1 - 2 * p) * off / (part.trials * p * (1 - p))))
    dof = part.control.size - degree - 1
    return _Curve(link, beta, covariance, float(fit.deviance), middle, half, (pearson, s, dof))


def _pooled(found: Sequence[Sequence[_Curve]]) -> Parameter | None:
    """Dispersion phi over all sizes, from the probit regressions of the highest degree."""
    probits = [[curve for curve in curves if curve.link == "Probit"] for curves in found]
    best = [curves[-1].pearson for curves in probits if curves and curves[-1].pearson[2] > 0]
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


def _row(
    part: _Part, curves: Sequence[_Curve], level: float, phi: float, scatter: float
) -> Threshold:
    """One size; errors grow by phi, and deviances count over `scatter`."""
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
    if abs(slope) * np.ptp(x) < ROUNDING:  # the sign is that of rounding
        message = "successes neither rise nor fall with the control: narrow its range to one flank"
        return replace(bare, status=Status.NOT_MONOTONE, message=message)
    fits = [_Scored(curve.deviance / scatter + 2 * curve.beta.size) for curve, _ in met]
    values = np.array([value for _, (value, _, _) in met])
    spreads = np.array([phi * cov for _, (_, cov, _) in met])
    position = averaged(fits, zip(values[:, 0], spreads[:, 0, 0], strict=True))
    found = replace(bare, position=position, curve=_drawn(met, weights_of(fits), phi, x))
    wide = np.flatnonzero(np.isfinite(values[:, 1]))
    if not wide.size:
        return found
    fits, values, spreads = [fits[i] for i in wide], values[wide], spreads[wide]
    width = averaged(fits, zip(values[:, 1], spreads[:, 1, 1], strict=True))
    weights = weights_of(fits)
    off = values - weights @ values
    shared = weights @ (spreads + off[:, :, None] * off[:, None, :]).transpose(1, 0, 2)
    beyond = float(weights @ [met[i][1][2] > 1 for i in wide]) > 0.5
    return replace(
        found, width=width, extrapolated=beyond,
        correlation=float(shared[0, 1] / np.sqrt(shared[0, 0] * shared[1, 1])),
    )  # fmt: skip


def _drawn(
    met: Sequence[tuple[_Curve, Any]], weights: Floats, phi: float, x: Floats
) -> dict[str, Any]:
    """P and its error along the controls, averaged over curves."""
    grid = np.linspace(x[0], x[-1], SHOWN)
    value, variance = (np.array(v) for v in zip(*(c.drawn(grid) for c, _ in met), strict=True))
    mean, statistical, spread = moments(weights, value, phi * variance)
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
    places = [(r.size, r.position) for r in rows if r.position is not None]
    widths = [(r.size, r.width) for r in rows if r.width is not None]
    narrow, fits = _fits(widths, None, limit=False), _fits(places, inverse_nu, limit=True)
    bare = replace(bare, inverse_nu=_exponent(narrow))
    if not fits:
        needed = 4 if inverse_nu is None else 3
        statuses = {row.status for row in rows}
        alike = len(statuses) == 1 and Status.OK not in statuses
        message = f"{len(places)} sizes have a threshold, {needed} are needed: add sizes"
        return replace(
            bare, status=statuses.pop() if alike else Status.TOO_FEW_SIZES,
            message="; ".join([message, *out, *notes]),
        )  # fmt: skip
    best = min(fits, key=lambda fit: fit.chi2)
    size = np.array([s for s, _ in places])
    x_c = _constant(fits)
    for moved in _moved_together(places):
        common = _constant(_fits(moved, inverse_nu, limit=True)).value - x_c.value
        x_c = _wider(x_c, common)
    found = replace(
        bare, x_c=x_c, chi2=best.chi2, dof=best.dof, p_value=best.p_value,
        models=_models(fits), extrapolation=_extrapolation(fits, size),
        shift_exponent=None if fixed else _exponent(fits),
    )  # fmt: skip
    if left := int(np.sum(size < heaviest(fits).smallest)):
        out.append(f"{left} smallest sizes left out, where corrections are too large")
    if best.p_value < POOR:
        message = f"no shift L^(-1/nu) describes the positions (p = {best.p_value:.1g}): leave out"
        message += " the smallest sizes, or name the clusters of the trials"
        return replace(found, status=Status.POOR_FIT, message="; ".join([message, *out, *notes]))
    if not fixed and found.shift_exponent is None:
        held = (
            "" if found.inverse_nu is None else f" {found.inverse_nu.value:.2g}, as of the widths"
        )
        out.append(
            "positions do not determine the exponent of their shift, and x_c holds all from"
            f" {APPROACH[0]:g} to {APPROACH[1]:g}: give it where it is known (inverse_nu{held})"
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


def _fits(
    pairs: Sequence[tuple[float, Parameter]], inverse_nu: float | None, *, limit: bool
) -> list[PowerFit]:
    """Power laws through (size, value) pairs, with a limit or without; empty if too few."""
    if not pairs:
        return []
    size, value, error = (np.array(c) for c in zip(*((s, p.value, p.error) for s, p in pairs),
                                                   strict=True))  # fmt: skip
    bounds = (-APPROACH[1], -APPROACH[0]) if inverse_nu is None else (-inverse_nu, -inverse_nu)
    slow = limit and inverse_nu is None
    options = {"omegas": OMEGAS, "limit": limit, "slow": slow}
    return fit_values(Values(size, value, np.diag(error**2)), bounds, options)[0]


def _constant(fits: Sequence[PowerFit]) -> SkewParameter:
    return mixture(fits, [(fit.mean[LIMIT], fit.variance[LIMIT]) for fit in fits])


def _exponent(fits: Sequence[PowerFit]) -> Parameter | None:
    """Exponent of a decline; None where the fits are poor, or leave an end of its range open."""
    if not fits or fits[0].open_below or fits[0].open_above:
        return None
    if max(fit.p_value for fit in fits) < POOR:
        return None
    return mixture(fits, [(-fit.mean[EXPONENT], fit.variance[EXPONENT]) for fit in fits])


def _wider(x_c: SkewParameter, common: float) -> SkewParameter:
    """A limit with an error that positions share."""
    half = [np.hypot(end - x_c.value, 1.959964 * common) for end in x_c.ci95]
    return replace(
        x_c, systematic=float(np.hypot(x_c.systematic, common)),
        interval=(float(x_c.value - half[0]), float(x_c.value + half[1])),
    )  # fmt: skip


def _models(fits: Sequence[PowerFit]) -> list[dict[str, Any]]:
    """Every extrapolation, with x_c, a, a b, a c in units of L / L_max."""
    out = []
    for fit, weight in zip(fits, weights_of(fits).tolist(), strict=True):
        p, omega, a, b, c, limit = fit.best
        named = f"x_c + a L^(-1/nu) (1 + b L^-{omega:.3g} + c L^-{2 * omega:.3g})"
        out.append({
            "form": named, "smallest_size": fit.smallest, "chi2": fit.chi2, "p_value": fit.p_value,
            "dof": fit.dof, "coefficients": [limit, a, a * b, a * c], "exponent": -p,
            "weight": weight,
        })  # fmt: skip
    return out


def _extrapolation(fits: Sequence[PowerFit], size: Floats) -> dict[str, Any]:
    """Median and error of the positions from the smallest size of the fits to infinite size."""
    largest = float(size.max())
    grid = np.append(np.geomspace(fits[0].smallest, FARTHEST * largest, SHOWN), np.inf)
    curves = np.array([fit.curve(grid / largest) for fit in fits])  # (fit, 2, size)
    found = [mixture(fits, [(m, v) for m, v in curves[:, :, i]]) for i in range(grid.size)]
    return {
        "size": grid,
        "x": np.array([p.value for p in found]),
        "band": np.array([p.error for p in found]),
    }
