"""Data collapse: x_c and exponents from curves of several sizes.

    A(L, x) = L^exponent f((x - x_c) L^(1/nu))      with corrections: :mod:`heatcap.scaling.ansatz`

No starting point is needed: a global search covers the range of x_c and of the shape parameter.
Windows around X = 0, smallest sizes and numbers of knots are then scanned and averaged
(:mod:`heatcap.scaling.collapse_fits`), so that the spread between models is part of the error.
Before the status is "ok", other forms are fitted to the same points
(:mod:`heatcap.scaling.competitors`).  x_c is in the unit of the control, exponents are numbers.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from heatcap.core.arrays import Floats
from heatcap.core.result import (
    Parameter,
    Result,
    Status,
    goodness_line,
    parameter_line,
    readable,
    status_line,
)
from heatcap.core.student import chi2_tail, student_factor
from heatcap.core.text import cell
from heatcap.core.writing import write_text
from heatcap.scaling.ansatz import ANSATZE, Ansatz, in_unit
from heatcap.scaling.collapse_checks import (
    MOST,
    POOR,
    hollow,
    p_value_of,
    parameters_of,
    share_used,
    status_of,
    too_little,
    window_of,
)
from heatcap.scaling.collapse_fits import (
    Correlation,
    Fit,
    correlation_of,
    resampled,
    scan,
    search,
    with_scaled_errors,
)
from heatcap.scaling.collapse_problem import SHARED, Problem, names_of
from heatcap.scaling.collapse_ranges import settled, thinned
from heatcap.scaling.collapse_shown import COLUMNS, shown, table_of
from heatcap.scaling.competitors import (
    KINDS,
    NOT_EXCLUDED,
    Competitor,
    competitors,
    crossover_limit,
    first_order,
    lone_point,
    objection,
    other_orders,
    power_of_log,
    spanned,
)
from heatcap.scaling.condense import condensed
from heatcap.scaling.data import Points
from heatcap.scaling.exponents import correlation_between, derived
from heatcap.scaling.fits import STEEPEST, Tested, unsettled, weights_of
from heatcap.scaling.powers import heaviest

__all__ = ["Collapse", "collapse"]


FAR = 1e30  # of corrections that are given, and of x_c over the control: squares are numbers


@dataclass(frozen=True, eq=False)
class Collapse(Tested, Result):
    """Parameters of a collapse with errors, status and the fits behind them.

    Attributes
    ----------
    parameters : dict of Parameter
        `x_c`, `inverse_nu` (or `log_l0`), `exponent` (`exponent_A` for several observables), and
        `omega` where there are corrections to scaling, with three sizes or more.
    chi2, dof, p_value : of the fit with the largest weight
    window : tuple of float
        Smallest and largest control in that fit.
    sizes_used : list of float
    models : list of dict
        Every fit: weight, share_of_points, smallest_size, knots, chi2, dof, parameters, errors.
    status : Status
        "ok", else "too few sizes", "too few points", "poor fit", "unidentified" or "at an edge";
        "narrowed" where the ansatz describes only the points nearest to x_c, fewer than half;
        "crossover not excluded" or "logarithms not excluded" where such a form fits as well and
        moves a parameter by more than its error, which is then valid for a pure power only;
        "first order" where all exponents are those of a jump, 1/nu the dimension 2 or 3.
    message : str
        Meaning of the status, and what to do.
    seconds : float
        Wall time.
    curves : list of dict
        By observable, in the units of the table, at the reported parameters
        (:mod:`heatcap.scaling.collapse_shown`): scaled points `x_scaled`, `y_scaled` of all rows,
        `y_corrected` without corrections to scaling, its `y_error`, the `residual` in units of the
        error, whether a row was `used`; the scaling function `f` on a `grid` with its `band` (one
        standard deviation), and the `reference` values.
    residuals : list of dict
        By observable, of the same fit: autocorrelation of neighbouring residuals, their mean square
        by size, the point with the largest residual.
    competitors : list of Competitor
        Other forms fitted to the same points, unless excluded by the user.
    crossover_length_lower_limit95 : float or None
        Length, in units of the size, below which a crossover is excluded: chi^2 + 2 k is larger by
        6 than that of the collapse.  Cut-offs of sharpness m = 1 and m = 2 are tried, the smaller
        limit counts.  0 where the shortest length tried fits, the longest one where none does, None
        where no crossover was fitted.
    derived : dict of Parameter
        `nu`; of an exponent below 0 `beta`, of one above 0 `gamma`, `eta` and `alpha`, with the
        name of its observable if there are several (:mod:`heatcap.scaling.exponents`).
    covariance : ndarray (parameter, parameter)
        Of the parameters in their order, systematic errors included; fixed ones have none.
    score : float
        chi^2 + 2 k + 2 n_cut of the same fit: halved, the difference of two ansaetze on the same
        data, times `independent`, is a log evidence.
    independent : float
        Independent points over points.
    """

    parameters: Mapping[str, Parameter]
    chi2: float
    dof: int
    p_value: float
    window: tuple[float, float]
    sizes_used: list[float]
    models: list[dict[str, Any]] = field(default_factory=list)
    ansatz: str = "second-order"
    fixed: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    curves: list[dict[str, Any]] = field(default_factory=list)
    residuals: list[dict[str, Any]] = field(default_factory=list)
    score: float = float("inf")
    independent: float = 1.0
    competitors: list[Competitor] = field(default_factory=list)
    crossover_length_lower_limit95: float | None = None
    derived: Mapping[str, Parameter] = field(default_factory=dict)
    covariance: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    def __repr__(self) -> str:
        return f"<Collapse {self.ansatz}, {self.summary()}>"

    FIELDS = (
        "ansatz", "fixed", "parameters", "covariance", "derived", "goodness_of_fit", "window",
        "sizes_used", "status", "message", "seconds", "residuals", "models", "competitors",
        "crossover_length_lower_limit95", "scaled",
    )  # fmt: skip

    @property
    def scaled(self) -> list[dict[str, Any]]:
        """Scaled points, scaling function and reference values by observable, for JSON."""
        return [
            {
                "name": curve["name"],
                "reference": curve["reference"],
                "points": {name: curve[name] for name in COLUMNS},
                "scaling_function": {
                    "x": curve["grid"], "value": curve["f"], "error": curve["band"],
                    "sizes": curve["covered"],
                },
            }
            for curve in self.curves
        ]  # fmt: skip

    def scaled_points(self) -> pd.DataFrame:
        """Table of the scaled points: the columns of `curves`, and `observable` for several."""
        return table_of(self.curves)

    def export(self, path: str | Path) -> None:
        """Write the scaled points as CSV; cells are empty where the scaling function is unknown."""
        table = self.scaled_points()
        if "observable" in table:
            table["observable"] = [cell(name) for name in table["observable"]]
        write_text(path, table.to_csv(index=False, lineterminator="\n"))

    def _lines(self) -> list[str]:
        """Parameters with their errors, goodness of fit and status."""
        lines = [status_line(self.status, self.message)]
        lines += [
            parameter_line(name, p, fixed=self.fixed.get(name))
            for name, p in self.parameters.items()
        ]
        if self.parameters:
            sizes = ", ".join(f"{s:g}" for s in self.sizes_used)
            lines.append(
                f"{goodness_line(self.chi2, self.dof, self.p_value)}, sizes {sizes}, "
                f"control {self.window[0]:g} to {self.window[1]:g}, {self.seconds:.1f} s"
            )
        return [*lines, *self._consequences(), *self._conditions()]

    def _consequences(self) -> list[str]:
        """Derived exponents, and the condition under which they are, in a line for each kind."""
        lines = []
        for kind, meaning in _MEANINGS.items():
            named = {k: p for k, p in self.derived.items() if k.split("_")[0] == kind}
            values = ", ".join(f"{k} = {readable(p.value, p.error)}" for k, p in named.items())
            lines += [f"{values}{meaning}"] if named else []
        return lines

    def _conditions(self) -> list[str]:
        """Limits of an "ok": crossover lengths excluded, logarithms that never are."""
        lines = []
        for c in (c for c in self.competitors if c.kind == "held"):
            name, at = c.name.split(" ")[0], c.parameters
            free = readable(at[name], at["freed_error"])
            lines.append(f"{name} is held at {at['freed']:g}; fitted it is {free}")
        if self.ok and self.crossover_length_lower_limit95:
            lines.append(
                f"a cut-off of X = t L^(1/nu) lies beyond {self.crossover_length_lower_limit95:.3g}"
            )
        if self.ok and (rows := [c for c in self.competitors if c.kind == "height"]):
            for name in (n for n in self.parameters if n.startswith("exponent")):
                if name not in self.fixed:
                    exponents = ", ".join(
                        f"{c.parameters[name]:.3g} with "
                        + power_of_log(c.parameters["log_length"], c.parameters["log_power"])
                        for c in sorted(rows, key=lambda c: c.parameters["log_power"])
                    )
                    lines.append(f"{name} is that of a pure power: {exponents} in A")
        return lines


_MEANINGS = {
    "nu": "",
    "beta": "   if it is an order parameter",
    "gamma": "   if it is a susceptibility",
    "eta": "   likewise",
    "alpha": "   if it is a heat capacity",
}


def collapse(
    data: Points | Sequence[Points],
    *,
    ansatz: str | Ansatz = "second-order",
    fixed: Mapping[str, float] | None = None,
    free: Collection[str] = (),
    start: Mapping[str, float] | None = None,
    excluded: str | Collection[str] = (),
    narrow: bool = True,
    bootstrap: int = 100,
    rng: int | np.random.Generator = 0,
) -> Collapse:
    """Fit a scaling ansatz to one observable or several.

    A(L, x) = L^exponent f(X), X = (x - x_c) L^(1/nu) at second order, with corrections to scaling
    (:mod:`heatcap.scaling.ansatz`).  Several observables share x_c and the shape parameter.

    Parameters
    ----------
    data : Points or sequence of Points
    ansatz : {"second-order", "first-order", "kosterlitz-thouless"} or Ansatz
    fixed : mapping, optional
        Parameters that are not fitted, such as ``{"exponent": 0}`` for a dimensionless quantity.
        Of several observables "exponent" means that of each, "exponent_A" one.
    free : collection of str
        Parameters that are fitted though the ansatz holds them: "dimension" at first order.
    start : mapping, optional
        One more starting point beside those of the search.
    excluded : str or collection of str
        Competitors that theory excludes, or that are not to be fitted: "crossover", "logarithms",
        "held", "first-order".
    narrow : bool
        Narrow a range of the control in which no fit of all points is good.
    bootstrap : int
        Resamples of the replicates, if there are any.  The whole average is fitted to each, and the
        spread of these fits is the statistical error.
    rng : int or Generator
        For the points of the search and for the resamples.

    Returns
    -------
    Collapse
        A poor fit, an unidentified parameter or one at an edge is a `status`, not an exception.

    Raises
    ------
    ValueError
        For an unknown ansatz, an unknown name in `fixed`, `start` or `excluded`, a value there that
        is not finite, or no data.
    """
    began = time.perf_counter()
    excluded = {excluded} if isinstance(excluded, str) else set(excluded)
    if unknown := excluded - set(KINDS):
        raise ValueError(f"excluded must be among {', '.join(KINDS)}, got {', '.join(unknown)}")
    parts = [data] if isinstance(data, Points) else list(data)
    form = _ansatz(ansatz)
    if not parts or not all(isinstance(part, Points) for part in parts):
        raise ValueError("expected Points, or a sequence of them: read_table and points make them")
    parts = [condensed(part) for part in parts]
    form = in_unit(form, min((float(part.size.min()) for part in parts if len(part)), default=1.0))
    names = names_of(form, [part.name for part in parts])
    if len(set(names)) < len(names):
        raise ValueError("observables must have different names")
    given = _checked(_of_each(fixed or {}, names), names, "fixed")
    _checked(dict.fromkeys(free, 0.0), names, "free")
    if both := sorted(set(free) & set(given)):
        raise ValueError(f"{both[0]} is both fixed and free: expected one of them")
    if form.held is not None and form.parameter not in free:
        given = {form.parameter: form.held} | given
    _checked(start or {}, names, "start")
    options: dict[str, Any] = {"ansatz": form.name, "fixed": given}
    if refusal := too_little(parts, names, given):
        return _refused(*refusal, parts, options, began)
    widest = max(float(np.abs(part.control).max()) for part in parts)
    if abs(given.get("x_c", 0.0)) > FAR * widest:
        raise ValueError(f"x_c = {given['x_c']:g} is far from the control, at most {widest:g}")
    rng = np.random.default_rng(rng)
    problem = Problem.of(parts, form, names, given)
    sparse = Problem.of([thinned(part) for part in parts], form, names, given)
    guess = search(sparse, start or {}, rng)
    if all(part.estimated for part in parts):
        parts = with_scaled_errors(parts, problem, guess)
        problem = Problem.of(parts, form, names, given)
    correlation = correlation_of(parts, problem, guess)
    fits = scan(parts, problem, guess, correlation)
    found, moving = None, ""
    # Of points that count as few, those left out cost little, whether or not they scale.
    narrower = correlation is None and bool(fits) and window_of(fits) < MOST
    if narrow and fits and (narrower or p_value_of(heaviest(fits)) < POOR):
        found, moving = settled(parts, problem, rng)
        fits = found.fits if found else fits
        correlation = heaviest(fits).correlation
    if not fits:
        return _refused(
            Status.TOO_FEW_POINTS, "no fit has degrees of freedom left", parts, options, began
        )
    parameters = parameters_of(fits, names)
    if found:
        parameters = {
            name: replace(p, systematic=float(np.hypot(p.systematic, found.moved[name])))
            for name, p in parameters.items()
        }
    if bootstrap and any(part.replicates is not None for part in parts):
        drawn = resampled(fits, parts, bootstrap, rng)
        spread = dict(zip(names, drawn.std(axis=0, ddof=1), strict=True))
        parameters = {
            name: Parameter(p.value, float(spread[name]), p.systematic)
            for name, p in parameters.items()
        }
    wider = max(part.wider for part in parts)
    if all(part.estimated for part in parts):  # their scale is that of chi^2
        wider *= float(student_factor(heaviest(fits).solution.dof + 1))
    parameters = {
        name: replace(p, statistical=wider * p.statistical) for name, p in parameters.items()
    }
    parameters |= {k: Parameter.held(v) for k, v in given.items() if k in parameters}
    kinds = [kind for kind in KINDS if kind not in excluded]
    return _result(
        fits, parameters, parts, names, form, options, began, correlation, kinds, problem,
        moving,
    )  # fmt: skip


def _ansatz(ansatz: str | Ansatz) -> Ansatz:
    if isinstance(ansatz, Ansatz):
        return ansatz
    if ansatz not in ANSATZE:
        raise ValueError(f"ansatz must be one of {', '.join(ANSATZE)}, got {ansatz!r}")
    return ANSATZE[ansatz]


def _of_each(given: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Expand the name of a parameter that several observables have to that of each."""
    out: dict[str, float] = {}
    for name, value in given.items():
        own = [] if name in names else [n for n in names[SHARED:] if n.split("_")[0] == name]
        out |= dict.fromkeys(own or [name], value)
    return out


def _checked(given: Mapping[str, float], names: Sequence[str], what: str) -> dict[str, float]:
    if unknown := [name for name in given if name not in names]:
        hint = " (nu is given as inverse_nu = 1/nu)" if "nu" in unknown else ""
        raise ValueError(f"{what} must be among {', '.join(names)}, got {', '.join(unknown)}{hint}")
    values = {name: float(value) for name, value in given.items()}
    if wrong := [f"{name} = {value}" for name, value in values.items() if not isfinite(value)]:
        raise ValueError(f"{what} must be finite, got {', '.join(wrong)}")
    for name, value in values.items():
        power = name.startswith(("exponent", "inverse_nu", "omega"))
        if name != "x_c" and abs(value) > (most := STEEPEST if power else FAR):
            raise ValueError(f"{what} must be within +-{most:g}, got {name} = {value:g}")
    return values


def _refused(
    status: Status, message: str, parts: Sequence[Points], options: dict[str, Any], began: float
) -> Collapse:
    nan = float("nan")
    sizes = sorted({float(s) for part in parts for s in part.size})
    return Collapse(
        {}, nan, 0, nan, (nan, nan), sizes, [], status=status, message=message,
        seconds=time.perf_counter() - began, **options,
    )  # fmt: skip


def _result(
    fits: Sequence[Fit],
    parameters: Mapping[str, Parameter],
    parts: Sequence[Points],
    names: Sequence[str],
    form: Ansatz,
    options: dict[str, Any],
    began: float,
    correlation: Correlation | None,
    kinds: Collection[str],
    whole: Problem,
    moving: str,
) -> Collapse:
    weights = weights_of(fits)
    best = fits[int(np.argmax(weights))]
    solution, share = best.solution, best.independent
    chi2, dof = solution.chi2, solution.dof
    p_value = chi2_tail(chi2 * share, dof * share)
    status, message = status_of(parameters, options["fixed"], p_value, chi2, dof, form, parts)
    if status is Status.OK:
        status, message = hollow(fits, weights, parts) or (status, message)
    lone = ""
    if best.cut or status is Status.POOR_FIT:
        lone = lone_point(parts, whole, fits)
    if lone:
        status, message = Status.POOR_FIT, lone
    if status is Status.OK:
        status, message = share_used(fits, weights, parameters, p_value, moving)
    rivals: list[Competitor] = []
    if status in (Status.OK, Status.NARROWED) and kinds:
        sizes = np.concatenate([part.size for part in parts])
        smallest, largest = float(sizes.min()), float(sizes.max())
        rivals = competitors(best, kinds, smallest)
        asked = {
            name: p
            for name, p in parameters.items()
            if name not in options["fixed"] and name != "omega"
        }
        status, message = objection(rivals, asked, largest) or (status, message)
        if status in (Status.OK, Status.NARROWED):
            parameters = {**parameters, **spanned(rivals, asked)}
    elif status is Status.POOR_FIT and "held" in kinds and not lone:
        rivals = competitors(best, ["held"], float(min(part.size.min() for part in parts)))
    notes = [message]
    if status in (Status.OK, Status.NARROWED, *NOT_EXCLUDED, Status.AT_AN_EDGE):
        asks = form.name == "second-order" and "first-order" in kinds
        found = first_order(parameters, options["fixed"]) if asks else None
        if found and status is not Status.AT_AN_EDGE:
            status, notes = found[0], [found[1], *notes]
        else:
            notes = [*other_orders(parameters, options["fixed"], rivals), *notes]
    notes += [*sorted({part.message for part in parts}), unsettled(fits)]
    if correlation is not None:
        notes.append(_CORRELATED.format(1 / share))
    elif p_value > 1 - POOR:
        notes.append(_TOO_GOOD.format(chi2, dof))
    message = "; ".join(filter(None, notes))
    rho = correlation_between(fits, names, list(parameters))
    errors = np.array([p.error for p in parameters.values()])
    errors = np.where(np.isfinite(errors), errors, np.nan)  # infinity times 0 is a warning
    return Collapse(
        parameters=parameters,
        chi2=chi2,
        dof=dof,
        p_value=p_value,
        window=best.window,
        sizes_used=sorted({float(s) for part in best.parts for s in part.size}),
        models=[fit.row(w, names) for fit, w in zip(fits, weights, strict=True)],
        status=status,
        message=message,
        seconds=time.perf_counter() - began,
        residuals=_pattern(solution.residuals, best.parts),
        score=chi2 - 2 * dof + 2 * sum(map(len, parts)),
        independent=share,
        competitors=rivals,
        crossover_length_lower_limit95=crossover_limit(rivals),
        curves=shown(best, parameters, parts, names),
        derived={} if status is Status.FIRST_ORDER else derived(parameters, rho),
        covariance=rho * np.outer(errors, errors),
        **options,
    )


_TOO_GOOD = (
    "chi2 = {:.1f} for {} degrees of freedom: errors are too large, or points share their runs and "
    "a common error cannot be seen (then give a covariance or the replicates)"
)
_CORRELATED = (
    "residuals of neighbouring points of one size agree, as if they shared their runs: {:.0f} "
    "points count as one, errors are widened accordingly (a covariance would do better)"
)


def _pattern(residuals: Floats, parts: Sequence[Points]) -> list[dict[str, Any]]:
    """Patterns in the residuals of every observable.

    `neighbours` is the autocorrelation of successive residuals of one size, `sigma` the same in
    standard errors; `mean_square_by_size` is 1 where errors are right; `largest` is the point with
    the largest residual, in units of its error.
    """
    out, start = [], 0
    for part in parts:
        r = residuals[start : start + len(part)]
        start += len(part)
        same = part.size[1:] == part.size[:-1]
        products = (r[1:] * r[:-1])[same]
        correlation = float(products.sum() / max((r**2).sum(), 1e-300))
        worst = int(np.abs(r).argmax())
        out.append(
            {
                "name": part.name,
                "neighbours": correlation,
                "sigma": correlation * np.sqrt(max(products.size, 1)),
                "mean_square_by_size": {
                    f"{size:g}": float(np.mean(r[part.size == size] ** 2))
                    for size in np.unique(part.size)
                },
                "largest": {
                    "size": float(part.size[worst]),
                    "control": float(part.control[worst]),
                    "residual": float(r[worst]),
                },
            }
        )
    return out
