"""A power law with its exponent, amplitude and limit, from values against a size or a field.

    y(x) = A x^p (1 + b x^-omega + c x^(-2 omega))  [+ y_inf]

p may be of either sign, known or not.  With `toward="zero"` the law is approached as x -> 0 (a
field, a reduced temperature, a step): corrections are then x^omega and x^(2 omega), and the limit
is that of x -> 0.  x and y keep their units; A is in units of y / x^p, that is y at x = 1 but for
the corrections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from heatcap.core.arrays import Floats, numbers
from heatcap.core.cells import note
from heatcap.core.choice import Choice
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
from heatcap.core.student import errors_of_means, student_factor
from heatcap.scaling.fits import STEEPEST, mixture, weights_of
from heatcap.scaling.loading import Shape, Tables, Wanted, from_to, read_rows, zeros_named
from heatcap.scaling.power_fits import (
    AMPLITUDE,
    EXPONENT,
    LIMIT,
    LN_AMPLITUDE,
    LOGARITHM,
    OMEGAS,
    SHARES,
    PowerFit,
    fit_powers,
)
from heatcap.scaling.powers import heaviest

__all__ = [
    "APPROACH", "PowerLaw", "Values", "fit_values", "local_exponents", "power_law",
    "read_power_table", "read_values",
]  # fmt: skip

EXPONENTS = (-6.0, 6.0)  # bounds of p
APPROACH = (0.25, 4.0)  # bounds of |p| with a limit
DOUBTED = 0.05  # p-value below which the smallest x is left out
FEWEST = 5  # points that are never left out
POOR = 1e-3  # p-value of chi^2 below which a fit is poor
WINDOWS = 20  # smallest x from which pure powers are fitted, at most
MOST = 2000  # points: beyond, their mean over neighbours holds as much
SHOWN = 101  # points of a curve that is drawn
TOWARD = ("infinity", "zero")
LOGARITHMS = (-1.0, -0.5, -0.25, 0.25, 0.5, 1.0)  # powers q of a logarithm
AS_WELL = 4.0  # of chi^2 above the least: a power times a logarithm is not excluded
AS_LIKELY = 2.0  # of the score above the least: a logarithm as correction is not excluded


# ---- values with their errors --------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Values:
    """Values against x in ascending order, with their covariance.

    `known` is false where errors are only alike (relative, or absolute): their size then comes from
    the fit.
    """

    x: Floats
    y: Floats
    covariance: Floats
    known: bool = True
    note: str = ""

    @property
    def error(self) -> Floats:
        """Standard deviations."""
        return np.sqrt(np.diag(self.covariance))


def read_values(
    x: ArrayLike,
    y: ArrayLike | None,
    errors: ArrayLike | None = None,
    *,
    covariance: ArrayLike | None = None,
    replicates: ArrayLike | None = None,
    relative: bool = True,
) -> Values:
    """Check values and bring them into order.

    Parameters
    ----------
    x, y : array_like (point)
        Without errors, points of one x are runs: their mean counts, and their spread gives the
        error.  Pairs in which one is NaN are left out.
    errors : array_like (point), optional
        Standard deviations.
    covariance : array_like (point, point), optional
    replicates : array_like (replicate, point), optional
        Runs of all points, in place of y; runs of different points may be correlated.
    relative : bool
        Errors that nothing tells are alike relative to y, else alike.

    Raises
    ------
    ValueError
        If shapes differ, x or an error is not positive, an x occurs twice, a number is infinite, or
        the covariance is not positive definite.
    """
    at, note, known = numbers(x, "x"), "", True
    if replicates is not None:
        if y is not None or errors is not None or covariance is not None:
            raise ValueError("replicates hold values and errors: give them alone, y as None")
        y, covariance = _of_replicates(numbers(replicates, "replicates"))
        note = f"errors from {np.shape(replicates)[0]} replicates"
    value = numbers(np.nan if y is None else y, "y")
    if at.ndim != 1 or value.shape != at.shape:
        raise ValueError(f"expected one y for each x, got shapes {value.shape} and {at.shape}")
    if at.size > MOST and (errors is not None or np.unique(at).size > MOST):
        raise ValueError(f"expected at most {MOST} points, got {at.size}: average neighbours")
    if errors is not None and covariance is not None:
        raise ValueError("expected errors or a covariance, got both")
    there = ~(np.isnan(at) | np.isnan(value))
    _refuse(at, there & ~(np.isfinite(at) & (at > 0)), "x", "a positive number")
    _refuse(value, there & ~np.isfinite(value), "y", "a finite number")
    if covariance is not None:
        cov = numbers(covariance, "covariance")
        if cov.shape != (at.size, at.size):
            raise ValueError(f"expected a covariance of {at.size} by {at.size}, got {cov.shape}")
        cov = cov[np.ix_(there, there)]
    elif errors is not None:
        error = numbers(errors, "errors")
        if error.shape != at.shape:
            raise ValueError(f"expected {at.size} errors, got {error.shape}")
        _refuse(error, there & ~(np.isfinite(error) & (error > 0)), "errors", "a positive error")
        cov = np.diag(error[there] ** 2)
    else:
        return _of_runs(at[there], value[there], relative)
    at, value = at[there], value[there]
    order = np.argsort(at, kind="stable")
    if twice := sorted({float(a) for a in at if np.sum(at == a) > 1}):
        raise ValueError(
            f"x = {twice[0]:g} occurs twice, expected each once; runs go without errors"
        )
    cov = cov[np.ix_(order, order)]
    try:
        np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        raise ValueError("the covariance must be finite and positive definite") from None
    left = np.sum(~there)
    note = "; ".join(filter(None, [note, f"{left} points without a number left out" * bool(left)]))
    return Values(at[order], value[order], cov, known, note)


def _refuse(column: Floats, bad: Any, name: str, expected: str) -> None:
    if np.any(bad):
        row = int(np.argmax(bad))
        raise ValueError(f"{name}, row {row + 1}: expected {expected}, got {column[row]:g}")


def _of_replicates(runs: Floats) -> tuple[Floats, Floats]:
    """Mean and its covariance; correlations of few runs are shrunk, errors wider by Student's."""
    if runs.ndim != 2 or runs.shape[0] < 2:
        raise ValueError(f"expected two or more replicates of all points, got shape {runs.shape}")
    count, points = runs.shape
    covariance = np.atleast_2d(np.cov(runs.T)) / count * float(student_factor(count)) ** 2
    variance = np.diag(covariance)
    # Correlations of R runs are uncertain by R^(-1/2): without this many points are singular.
    covariance = covariance * count / (count + points)
    np.fill_diagonal(covariance, variance)
    return runs.mean(axis=0), covariance


def _of_runs(x: Floats, y: Floats, relative: bool) -> Values:
    """Values whose errors are not given: means over the runs of each x, else of a common size."""
    distinct, counts = np.unique(x, return_counts=True)
    mean = np.array([y[x == at].mean() for at in distinct])
    if distinct.size and counts.max() > 1:
        variance = [y[x == at].var(ddof=1) if np.sum(x == at) > 1 else 0.0 for at in distinct]
        error, _ = errors_of_means(mean, np.array(variance), counts.astype(np.float64))
        if np.all(error > 0):
            note = f"errors from the spread of {from_to(counts)} runs of one x"
            return Values(distinct, mean, np.diag(error**2), True, note)
    size = np.abs(mean) if relative and np.all(mean != 0) else np.ones_like(mean)
    kind = "relative errors" if relative else "errors"
    note = (
        f"no errors given: equal {kind} from the scatter about the fit, so that chi2 tests nothing"
    )
    top = float(np.max(np.abs(mean), initial=0.0)) or 1.0
    return Values(
        distinct, mean, np.diag((1e-3 * size * (1 if relative else top)) ** 2), False, note
    )


# ---- the verb ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PowerLaw(Result):
    """Exponent, amplitude and limit of a power law; a number that is not determined is None.

    Attributes
    ----------
    x, y, error : ndarray (point)
        The data, ascending in x.
    exponent, amplitude, limit : Parameter or None
        p, A and y_inf; A is averaged in its logarithm.  A limit is stated without an exponent, too:
        it then holds every approach within the bounds.
    omega : float
        Exponent of the correction at the best fit; infinite without corrections.
    fixed : dict
        What was given: exponent, omega.
    toward : str
        "infinity" or "zero": where the law is approached.
    status : Status
        "ok", "too few points", "undetermined", "poor fit", "logarithms not excluded".
    chi2, dof, p_value
        Of the best fit; chi2 holds the priors of the corrections.
    slopes : dict
        Local exponents d ln|y - y_inf| / d ln x of neighbours: `x`, `value`, `error`.
    windows : list of dict
        Exponents of pure powers from every smallest x on (`smallest`, `exponent`, ...; the largest
        x with `toward="zero"`).
    curve : dict
        The best fit, `x` and `value`.
    logarithms : list of dict
        What the data do not exclude and what moves the exponent by more than its error: `form`,
        `exponent`, `error`, `chi2`; the best one first.
    """

    x: Floats
    y: Floats
    error: Floats
    exponent: Parameter | None = None
    amplitude: Parameter | None = None
    limit: Parameter | None = None
    omega: float = float("nan")
    fixed: dict[str, float] = field(default_factory=dict)
    with_limit: bool = False
    toward: str = "infinity"
    name: str = "y"
    chi2: float = float("nan")
    dof: int = 0
    p_value: float = float("nan")
    slopes: dict[str, Floats] = field(default_factory=dict, repr=False)
    windows: list[dict[str, Any]] = field(default_factory=list, repr=False)
    models: list[dict[str, Any]] = field(default_factory=list, repr=False)
    curve: dict[str, Floats] = field(default_factory=dict, repr=False)
    logarithms: list[dict[str, Any]] = field(default_factory=list, repr=False)

    FIELDS = (
        "name", "toward", "x", "y", "error", "parameters", "omega", "fixed", "status", "message",
        "chi2", "dof", "p_value", "slopes", "windows", "models", "curve", "logarithms",
    )  # fmt: skip

    @property
    def parameters(self) -> dict[str, Parameter | None]:
        """Exponent, amplitude and, if asked for, the limit."""
        found = {"exponent": self.exponent, "amplitude": self.amplitude}
        return found | ({"limit": self.limit} if self.with_limit else {})

    def _lines(self) -> list[str]:
        lines = [status_line(self.status, self.message)]
        for name, p in self.parameters.items():
            lines.append(parameter_line(name, p, fixed=self.fixed.get(name)))
        if np.isfinite(self.chi2):
            lines.append(goodness_line(self.chi2, self.dof, self.p_value))
        return lines


def power_law(
    x: ArrayLike,
    y: ArrayLike | None,
    errors: ArrayLike | None = None,
    *,
    covariance: ArrayLike | None = None,
    replicates: ArrayLike | None = None,
    limit: bool = False,
    exponent: float | None = None,
    omega: float | None = None,
    pure: bool = False,
    toward: str = "infinity",
    name: str = "y",
) -> PowerLaw:
    """Fit a power law with corrections of any speed: exponent, amplitude and limit.

        y = A x^p (1 + b x^-omega + c x^(-2 omega))  [+ y_inf]

    b and c are 0 +- 0.3 at the smallest x beforehand, omega is scanned from 0.2 to 4 evenly in its
    logarithm, and all are averaged over.  Points at the smallest x are left out while chi^2 is
    poorer than 1 in 20.  Logarithms are slower than any of these, and tried as rivals: x^p times
    (1 + ln(x/x_min))^q, |q| = 1/4, 1/2 or 1, and 1 / (1 + ln(x/x_min)) in the place of x^-omega.
    One that is not excluded and moves p by more than its error is the status.

    Parameters
    ----------
    x, y : array_like (point)
        x positive.  Without errors, points of one x are runs.
    errors : array_like (point), optional
    covariance : array_like (point, point), optional
    replicates : array_like (replicate, point), optional
        Instead of y and errors.
    limit : bool
        Fit the limit of y, too, which a power with 0.25 < |p| < 4 approaches.
    exponent : float, optional
        p where it is known.
    omega : float, optional
        Exponent of the correction where it is known.
    pure : bool
        No correction: what theory or the design of the data excludes.
    toward : str
        "infinity" (sizes) or "zero" (fields, steps): where the law is approached.
    name : str
        Name of y, for summaries.

    Raises
    ------
    ValueError
        For values that are refused (:func:`read_values`), an exponent or omega out of range, an
        unknown `toward`, and `omega` with `pure`.
    """
    if toward not in TOWARD:
        raise ValueError(f"toward must be 'infinity' or 'zero', got {toward!r}")
    sign = 1.0 if toward == "infinity" else -1.0  # fits are in x or 1 / x
    if exponent is not None and not abs(exponent) <= STEEPEST:
        raise ValueError(f"exponent must be within +-{STEEPEST:g}, got {exponent:g}")
    if limit and exponent is not None and sign * exponent >= 0:
        raise ValueError(
            f"a power {exponent:g} has no limit toward {toward}: expected the other sign"
        )
    if omega is not None and not 0 < omega <= STEEPEST:
        raise ValueError(f"omega must be positive, at most {STEEPEST:g}, got {omega:g}")
    if omega is not None and pure:
        raise ValueError("a pure power has no omega: give one of them")
    data = read_values(
        x, y, errors, covariance=covariance, replicates=replicates, relative=not limit
    )
    if exponent is not None:
        bounds = (sign * exponent, sign * exponent)
    else:
        bounds = (-APPROACH[1], -APPROACH[0]) if limit else EXPONENTS
    options: dict[str, Any] = {
        "omegas": () if pure else OMEGAS if omega is None else (omega,),
        "limit": limit,
        "slow": limit and exponent is None,
    }
    turned = data if sign > 0 else _turned(data)
    fits, turned = fit_values(turned, bounds, options)
    given = {"exponent": exponent, "omega": omega}
    fields: dict[str, Any] = {
        "x": data.x, "y": data.y, "error": _turned(turned).error if sign < 0 else turned.error,
        "fixed": {k: float(v) for k, v in given.items() if v is not None},
        "with_limit": limit, "toward": toward, "name": name,
    }  # fmt: skip
    if not fits:
        needed = 2 + limit + (exponent is None)
        message = f"{data.x.size} points, at least {needed} are needed: add some"
        return PowerLaw(**fields, status=Status.TOO_FEW_POINTS, message=message)
    fields |= _numbers(fits, float(turned.x[-1]), sign, exponent, limit)
    fields |= _pictures(fits, turned, sign, bounds, limit)
    status, message = _status(fits, bounds, limit, data.known)
    if status is Status.OK and not limit and not pure and exponent is None and omega is None:
        fields["logarithms"] = rivals = _logarithms(fits, turned, bounds, sign)
        if rivals:
            status, message = (
                Status.LOGARITHMS_NOT_EXCLUDED,
                _rival(rivals[0], fields["exponent"], sign),
            )
    left = int(np.sum(turned.x < heaviest(fits).smallest))
    dropped = f"{left} points left out, where corrections are too large" if left else ""
    note = "; ".join(filter(None, [message, dropped, data.note]))
    return PowerLaw(**fields, status=status, message=note)


def _turned(data: Values) -> Values:
    """The same against 1 / x, in ascending order."""
    back = slice(None, None, -1)
    return Values(
        1 / data.x[back], data.y[back], data.covariance[back, back], data.known, data.note
    )


def fit_values(
    data: Values, bounds: tuple[float, float], options: dict[str, Any]
) -> tuple[list[PowerFit], Values]:
    """Fits of the points that are kept, and the data with errors of known size."""
    fits = fit_powers(data.x, data.y, data.covariance, bounds, **options)
    if not fits:
        return fits, data
    if not data.known:
        best = heaviest(fits)
        # Errors that are too small let b and c follow the scatter: each takes a degree of freedom.
        free = max(best.dof - (len(SHARES) if options["omegas"] else 0), 1)
        scale = best.chi2 / free * float(student_factor(free + 1)) ** 2
        scale = max(scale, 1e-16)  # points on a power law: what rounding leaves
        data = replace(data, covariance=data.covariance * scale)
        return fit_powers(data.x, data.y, data.covariance, bounds, **options), data
    first = 0
    while max(fit.p_value for fit in fits) < DOUBTED and data.x.size - first > FEWEST:
        first += max(1, (data.x.size - first) // 10)
        kept = slice(first, None)
        shorter = fit_powers(
            data.x[kept], data.y[kept], data.covariance[kept, kept], bounds, **options
        )
        if not shorter:
            break
        fits = shorter
    return fits, data


def _numbers(
    fits: Sequence[PowerFit], unit: float, sign: float, exponent: float | None, limit: bool
) -> dict[str, Any]:
    """Parameters in units of the data, where x of the fits is in those of `unit`."""

    def averaged(place: int) -> SkewParameter:
        return mixture(fits, [(fit.mean[place], fit.variance[place]) for fit in fits])

    best = heaviest(fits)
    fields: dict[str, Any] = {"omega": best.omega}
    goodness = min(fits, key=lambda fit: fit.chi2)
    fields |= {"chi2": goodness.chi2, "dof": goodness.dof, "p_value": goodness.p_value}
    open_ = best.open_below or best.open_above
    if exponent is not None:
        fields["exponent"] = Parameter.held(float(exponent))
    elif not open_:
        p = averaged(EXPONENT)
        low, high = sorted(sign * end for end in p.ci95)
        fields["exponent"] = replace(p, value=sign * p.value, interval=(low, high))
    if limit:
        fields["limit"] = averaged(LIMIT)
    if not open_:
        fields["amplitude"] = _amplitude(fits, unit)
    fields["models"] = [
        fit.to_dict() | {"exponent": sign * fit.mean[EXPONENT], "weight": weight}
        for fit, weight in zip(fits, weights_of(fits).tolist(), strict=True)
    ]
    return fields


def _amplitude(fits: Sequence[PowerFit], unit: float) -> Parameter:
    """A of x^p, from that of u^p: ln A = ln A_u - p ln x_max."""
    step = np.log(unit)
    pairs = []
    for fit in fits:
        # Var(ln A) = Var(ln A_u) + ln(x_max)^2 Var p - 2 ln(x_max) Cov(ln A_u, p)
        variance = (
            fit.variance[LN_AMPLITUDE]
            + step**2 * fit.variance[EXPONENT]
            - 2 * step * fit.covariance
        )
        pairs.append((fit.mean[LN_AMPLITUDE] - step * fit.mean[EXPONENT], max(variance, 0.0)))
    found = mixture(fits, pairs, logarithm=True)
    if heaviest(fits).mean[AMPLITUDE] > 0:
        return found
    return replace(found, value=-found.value, interval=(-found.ci95[1], -found.ci95[0]))


def _status(
    fits: Sequence[PowerFit],
    bounds: tuple[float, float],
    limit: bool,
    known: bool,
) -> tuple[Status, str]:
    """Status and its message for these data."""
    best = heaviest(fits)
    top = max(fit.p_value for fit in fits)
    if known and top < POOR:
        return Status.POOR_FIT, (
            f"no power law with corrections describes the data (p = {top:.1g}): errors that are"
            " too small, or two power laws (crossover)"
        )
    if not (best.open_below or best.open_above):
        return Status.OK, ""
    ends = [abs(end) for end, is_open in zip(bounds, _open(best), strict=True) if is_open]
    listed = " and ".join(f"{end:g}" for end in ends)
    said = f"the exponent is not determined, {listed} fits as well"
    if limit:  # as with a drift that is not determined, the limit holds all of them
        return Status.OK, f"{said}: the limit holds every approach between {_range(bounds)}"
    return Status.UNDETERMINED, f"{said}: add points, or smaller errors"


def _logarithms(
    fits: Sequence[PowerFit], data: Values, bounds: tuple[float, float], sign: float
) -> list[dict[str, Any]]:
    """Logarithms that are not excluded and move p by more than its error, the best one first."""
    kept = data.x >= heaviest(fits).smallest
    x, y, covariance = data.x[kept], data.y[kept], data.covariance[np.ix_(kept, kept)]
    p = mixture(fits, [(fit.mean[EXPONENT], fit.variance[EXPONENT]) for fit in fits])
    least = min(fit.chi2 for fit in fits)
    found = []
    for q in LOGARITHMS:
        factor = (1 + np.log(x / x[0])) ** q
        (fit,) = fit_powers(x, y / factor, covariance / np.outer(factor, factor), bounds, omegas=())
        if fit.chi2 < least + AS_WELL:
            found.append((f"A x^p (1 + ln(x/x_0))^{q:g}", fit))
    (fit,) = fit_powers(x, y, covariance, bounds, omegas=(LOGARITHM,))
    if fit.score < heaviest(fits).score + AS_LIKELY:
        found.append(("A x^p (1 + b / (1 + ln(x/x_0)) + ...)", fit))
    x_0 = f"{x[0] ** sign:.4g}"
    return [
        {
            "form": (form if sign > 0 else form.replace("x/x_0", "x_0/x")).replace("x_0", x_0),
            "exponent": sign * float(fit.mean[EXPONENT]),
            "error": float(fit.variance[EXPONENT] ** 0.5), "chi2": fit.chi2,
        }
        for form, fit in sorted(found, key=lambda pair: pair[1].chi2)
        if abs(fit.mean[EXPONENT] - p.value) > p.error
    ]  # fmt: skip


def _rival(best: dict[str, Any], p: Parameter, sign: float) -> str:
    farther = "larger" if sign > 0 else "smaller"
    moved = readable(best["exponent"], best["error"])
    return (
        f"{best['form']} fits as well, with the exponent {moved} for {readable(p.value, p.error)}:"
        f" add {farther} x, or give omega where theory excludes logarithms"
    )


def _range(bounds: tuple[float, float]) -> str:
    low, high = sorted(map(abs, bounds))
    return f"{low:g} and {high:g}"


def _open(fit: PowerFit) -> tuple[bool, bool]:
    return fit.open_below, fit.open_above


# ---- what is drawn -------------------------------------------------------------------------


def _pictures(
    fits: Sequence[PowerFit],
    data: Values,
    sign: float,
    bounds: tuple[float, float],
    limit: bool,
) -> dict[str, Any]:
    """Local slopes, pure powers of every window, and the curve of the best fit."""
    best = heaviest(fits)
    largest = float(data.x[-1])
    grid = np.geomspace(best.smallest, largest, SHOWN)
    curve = {"x": grid**sign, "value": best.at(grid / largest)}
    windows = []
    most = data.x.size - 3 - limit
    for first in np.unique(np.linspace(0, most, min(most + 1, WINDOWS)).round().astype(int)):
        kept = slice(first, None)
        found = fit_powers(
            data.x[kept], data.y[kept], data.covariance[kept, kept], bounds, omegas=(), limit=limit
        )
        if found:
            (one,) = found
            windows.append(
                {"smallest" if sign > 0 else "largest": one.smallest**sign}
                | {
                    "exponent": sign * float(one.mean[EXPONENT]),
                    "error": float(one.variance[EXPONENT] ** 0.5),
                    "chi2": one.chi2, "dof": one.dof, "p_value": one.p_value,
                }
            )  # fmt: skip
    return {
        "curve": curve,
        "windows": windows,
        "slopes": local_exponents(data, best.best[-1], sign),
    }


def local_exponents(data: Values, limit: float = 0.0, sign: float = 1.0) -> dict[str, Floats]:
    """d ln|y - y_inf| / d ln x of neighbours: `x`, `value`, `error` (pair,).

    The limit counts as known.  Pairs between which y - y_inf changes its sign are left out.  `sign`
    is -1 for data against 1 / x.
    """
    y, lx = data.y - limit, np.log(data.x)
    usable = np.flatnonzero(y[1:] * y[:-1] > 0)
    ly = np.log(np.abs(np.where(y == 0, 1.0, y)))
    relative = data.covariance / np.outer(np.where(y == 0, 1.0, y), np.where(y == 0, 1.0, y))
    diagonal, beside = np.diag(relative), np.diag(relative, 1)
    step = np.diff(lx)
    error = np.sqrt(np.maximum(diagonal[1:] + diagonal[:-1] - 2 * beside, 0)) / step
    middle = np.exp((lx[1:] + lx[:-1]) / 2) ** sign
    return {
        "x": middle[usable],
        "value": sign * (np.diff(ly) / step)[usable],
        "error": error[usable],
    }


# ---- tables --------------------------------------------------------------------------------


def read_power_table(
    table: Tables,
    x: str,
    value: str,
    error: str | None = None,
    names: Sequence[str] | None = None,
    window: tuple[float, float] | None = None,
    choice: Choice | None = None,
    **how: Any,
) -> dict[str, Any]:
    """Read the arguments x, y and errors, or covariance, of `power_law` and `crossover`.

    Parameters
    ----------
    table
        As for :func:`heatcap.scaling.read_table`.
    x, value, error : str
        Names of the columns.
    names : sequence of str, optional
        Names of the columns of a text table without a header.
    window : tuple of float, optional
        Lowest and highest x that are used.
    choice : Choice, optional
        Rows that are used, instead of a window; its sizes are x.
    **how
        Keywords of :class:`heatcap.scaling.loading.Shape`.

    Raises
    ------
    ValueError
        For a file that cannot be read, a missing column, a cell that is not a number, an error of
        zero, and a window without points.
    """
    chosen = choice or Choice(window or (-np.inf, np.inf))
    rows = read_rows(table, Wanted(x, None, value, error), Shape(**how), names, chosen)
    kept = rows.used
    if rows.message:
        note(f"{rows.called}{rows.message}")
    out: dict[str, Any] = {"x": rows.columns["size"][kept], "y": rows.columns["value"][kept]}
    if "error" in rows.columns:
        errors = rows.columns["error"][kept]
        if zeros := zeros_named(np.where(np.isnan(out["y"]), np.nan, errors), out["x"]):
            raise ValueError(f"{rows.called}errors must be positive{zeros}")
        return out | {"errors": errors}
    if "covariance" in rows.beside:
        return out | {"covariance": rows.beside["covariance"][np.ix_(kept, kept)]}
    if "replicates" in rows.beside:
        return out | {"y": None, "replicates": rows.beside["replicates"][:, kept]}
    return out
