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
from heatcap.core.student import chi2_tail
from heatcap.core.text import cell
from heatcap.core.writing import write_text
from heatcap.scaling.ansatz import ANSATZE, LENGTH, Ansatz, in_unit
from heatcap.scaling.collapse_fits import (
    Correlation,
    Fit,
    correlation_of,
    resampled,
    scan,
    search,
    with_scaled_errors,
)
from heatcap.scaling.collapse_problem import SHARED, Problem, names_of, without_structure
from heatcap.scaling.collapse_shown import COLUMNS, shown, table_of
from heatcap.scaling.competitors import (
    KINDS,
    NOT_EXCLUDED,
    Competitor,
    competitors,
    crossover_limit,
    lone_point,
    objection,
    other_orders,
    power_of_log,
    spanned,
)
from heatcap.scaling.condense import condensed
from heatcap.scaling.data import Points
from heatcap.scaling.exponents import correlation_between, derived
from heatcap.scaling.fits import STEEPEST, Tested, average, unsettled, weights_of

__all__ = ["Collapse", "collapse"]


FAR = 1e30  # of corrections that are given, and of x_c over the control: squares are numbers
CORRECTIONS = ("a", "b", "c", "s", "omega")  # nuisance parameters
SEARCHED = 240  # points of an observable in the global search
SMALL = 0.75  # of the leading term, at the smallest size: more is not a correction
LEAST_SHARE = 0.5  # of the points: for fewer of them the status is "narrowed"
MOST = 0.75  # of the points: where fewer are used, the message tells which
NARROWER = 0.6  # share of the points that are left when a range that does not fit is narrowed
FITS = 0.05  # p-value from which on a narrowed range is taken: the range was chosen for its fit
LEAST_DOF = 8  # of a fit in a narrowed range: with fewer any form fits
NARROWEST = 0.15  # share down to which it is
STRUCTURE = 20.0  # in chi^2 + 2 k, over values that do not depend on the control
POOR = 1e-3  # p-value of chi^2 below which a fit is poor


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
        moves a parameter by more than its error, which is then valid for a pure power only.
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
        "held".
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
    if refusal := _too_little(parts, names, given):
        return _refused(*refusal, parts, options, began)
    widest = max(float(np.abs(part.control).max()) for part in parts)
    if abs(given.get("x_c", 0.0)) > FAR * widest:
        raise ValueError(f"x_c = {given['x_c']:g} is far from the control, at most {widest:g}")
    rng = np.random.default_rng(rng)
    problem = Problem.of(parts, form, names, given)
    sparse = Problem.of([_thinned(part) for part in parts], form, names, given)
    guess = search(sparse, start or {}, rng)
    if all(part.estimated for part in parts):
        parts = with_scaled_errors(parts, problem, guess)
        problem = Problem.of(parts, form, names, given)
    correlation = correlation_of(parts, problem, guess)
    fits = scan(parts, problem, guess, correlation)
    if narrow and fits and _p_value(_heaviest(fits)) < POOR:
        fits = _narrowed(parts, problem, rng) or fits
        correlation = _heaviest(fits).correlation
    if not fits:
        return _refused(
            Status.TOO_FEW_POINTS, "no fit has degrees of freedom left", parts, options, began
        )
    parameters = _parameters(fits, names)
    if bootstrap and any(part.replicates is not None for part in parts):
        drawn = resampled(fits, parts, bootstrap, rng)
        spread = dict(zip(names, drawn.std(axis=0, ddof=1), strict=True))
        parameters = {
            name: Parameter(p.value, float(spread[name]), p.systematic)
            for name, p in parameters.items()
        }
    wider = max(part.wider for part in parts)
    parameters = {
        name: replace(p, statistical=wider * p.statistical) for name, p in parameters.items()
    }
    parameters |= {k: Parameter.held(v) for k, v in given.items() if k in parameters}
    kinds = [kind for kind in KINDS if kind not in excluded]
    return _result(
        fits, parameters, parts, names, form, options, began, correlation, kinds, problem
    )


def _heaviest(fits: Sequence[Fit]) -> Fit:
    return min(fits, key=lambda fit: fit.score)


def _p_value(fit: Fit) -> float:
    solution, share = fit.solution, fit.independent
    return chi2_tail(solution.chi2 * share, solution.dof * share)


def _narrowed(
    parts: Sequence[Points], whole: Problem, rng: np.random.Generator
) -> list[Fit] | None:
    """Fits to ever narrower ranges about the place where sizes come to differ fastest.

    Points far from x_c do not scale, at no size, and mislead the search: it starts anew in every
    range.  (The windows in X of a scan keep the points of small sizes, far from x_c as they are.)
    """
    centre = float(np.median([_steepest(part) for part in parts]))
    total = sum(map(len, parts))
    chosen = [np.arange(len(part)) for part in parts]
    while True:
        distances = [np.abs(p.control[r] - centre) for p, r in zip(parts, chosen, strict=True)]
        farthest = np.quantile(np.concatenate(distances), NARROWER)
        chosen = [r[d <= farthest] for r, d in zip(chosen, distances, strict=True)]
        near = [part.take(rows) for part, rows in zip(parts, chosen, strict=True)]
        count = sum(map(len, near))
        if count < NARROWEST * total or _too_little(near, whole.names, whole.fixed):
            return None
        if min(np.unique(part.size).size for part in near) < 3:
            return None
        problem = Problem.of(near, whole.ansatz, whole.names, whole.fixed)
        thin = Problem.of([_thinned(part) for part in near], whole.ansatz, whole.names, whole.fixed)
        guess = search(thin, {}, rng)
        found = scan(near, problem, guess, correlation_of(near, problem, guess))
        found = [fit for fit in found if fit.solution.dof >= LEAST_DOF]
        if not found:
            return None
        best, names = _heaviest(found), whole.names
        p_value = _p_value(best)
        status, _ = _status(
            _parameters(found, names), whole.fixed, p_value, 0.0, 0, whole.ansatz, near
        )
        if status is Status.OK and p_value > FITS:
            return [
                replace(
                    fit,
                    rows=[rows[of] for rows, of in zip(chosen, fit.rows, strict=True)],
                    cut=fit.cut + total - count,
                    share=fit.share * count / total,
                )
                for fit in found
            ]


def _steepest(part: Points) -> float:
    """The control at which the largest size departs fastest from the smallest one."""
    large, small = (part.take(part.size == s) for s in (part.size.max(), part.size.min()))
    x, error = large.control, large.error
    y = large.value - np.interp(x, small.control, small.value)
    step = np.maximum(np.abs(y[2:] - y[:-2]) - 2 * np.hypot(error[2:], error[:-2]), 0)
    return float(x[1:-1][np.argmax(step / (x[2:] - x[:-2]))]) if x.size > 2 else float(x.mean())


def _thinned(part: Points) -> Points:
    """Enough points for a search, evenly along the control of every size."""
    sizes = np.unique(part.size)
    most = max(12, SEARCHED // sizes.size)
    rows = []
    for size in sizes:
        indices = np.flatnonzero(part.size == size)
        evenly = np.linspace(0, indices.size - 1, min(indices.size, most))
        rows.append(indices[evenly.round().astype(int)])
    return part.take(np.concatenate(rows))


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


def _too_little(
    parts: Sequence[Points], names: Sequence[str], fixed: Mapping[str, float]
) -> tuple[Status, str] | None:
    free = sum(name.split("_")[0] not in CORRECTIONS and name not in fixed for name in names)
    for part in parts:
        sizes, counts = np.unique(part.size, return_counts=True)
        if sizes.size < 2:
            return (
                Status.TOO_FEW_SIZES,
                f"{part.name}: {sizes.size} size; a collapse compares sizes",
            )
        if len(part) < 4 + 3 + free or counts.max() < 4:
            message = f"{part.name}: {len(part)} points, at least {7 + free} are needed"
            return Status.TOO_FEW_POINTS, message
    return None


def _refused(
    status: Status, message: str, parts: Sequence[Points], options: dict[str, Any], began: float
) -> Collapse:
    nan = float("nan")
    sizes = sorted({float(s) for part in parts for s in part.size})
    return Collapse(
        {}, nan, 0, nan, (nan, nan), sizes, [], status=status, message=message,
        seconds=time.perf_counter() - began, **options,
    )  # fmt: skip


def _parameters(fits: Sequence[Fit], names: Sequence[str]) -> dict[str, Parameter]:
    """Averages of the parameters of interest: no corrections but omega."""
    corrected = fits[0].solution.model.corrected
    return {
        name: average(fits, [fit.of(i) for fit in fits])
        for i, name in enumerate(names)
        if name.split("_")[0] not in CORRECTIONS or (name == "omega" and corrected)
    }


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
) -> Collapse:
    weights = weights_of(fits)
    best = fits[int(np.argmax(weights))]
    solution, share = best.solution, best.independent
    chi2, dof = solution.chi2, solution.dof
    p_value = chi2_tail(chi2 * share, dof * share)
    status, message = _status(parameters, options["fixed"], p_value, chi2, dof, form, parts)
    if status is Status.OK:
        status, message = _hollow(fits, weights, parts) or (status, message)
    lone = ""
    if best.cut or status is Status.POOR_FIT:
        lone = lone_point(parts, whole, fits)
    if lone:
        status, message = Status.POOR_FIT, lone
    if status is Status.OK:
        status, message = _share(fits, weights, parameters, p_value)
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
        orders = other_orders(parameters.get("inverse_nu"), options["fixed"], rivals)
        notes = [*orders, *notes]
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
        derived=derived(parameters, rho),
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


def _hollow(
    fits: Sequence[Fit], weights: Floats, parts: Sequence[Points]
) -> tuple[Status, str] | None:
    """Whether a good chi^2 means nothing: large corrections, no structure, or two sizes only."""
    best = fits[int(np.argmax(weights))]
    if (correction := best.problem.largest_correction(best.solution.theta)) > SMALL:
        return Status.POOR_FIT, (
            f"the correction to scaling is {correction:.1f} times the leading term at the smallest "
            "size, which is no correction: check what is fixed, or leave out the smallest sizes"
        )
    chi2, parameters = without_structure(best.problem)
    gain = (chi2 - best.solution.chi2) * best.independent
    if gain - 2 * (best.solution.parameters - parameters) < STRUCTURE:
        return Status.UNIDENTIFIED, (
            "values that do not depend on the control describe the data as well: there is nothing "
            "to collapse"
        )
    # Curves of two sizes always meet somewhere, whatever the correction to scaling.
    if min(np.unique(part.size).size for part in parts) < 3:
        return Status.TOO_FEW_SIZES, (
            "two sizes leave no room for a correction to scaling, which the errors do not hold: "
            "add a third"
        )
    return None


def _share(
    fits: Sequence[Fit], weights: Floats, parameters: Mapping[str, Parameter], p_value: float
) -> tuple[Status, str]:
    """Whether most points are used, which are, and whether a small share of them fits well."""
    best = fits[int(np.argmax(weights))]
    total = best.problem.n + best.cut
    share = float(weights @ [fit.problem.n for fit in fits]) / total
    if share > MOST:
        return Status.OK, ""
    low, high = best.window
    text = f"uses {share:.0%} of the points: control {low:g} to {high:g}"
    if (p := parameters.get("inverse_nu")) is not None:
        x_c = parameters["x_c"].value
        scaled = [np.abs(part.control - x_c) * part.size**p.value for part in best.parts]
        text = f"uses {share:.0%} of the points: |X| < {max(map(np.max, scaled)):.2g}"
        text += f", control {low:g} to {high:g}"
    if share >= LEAST_SHARE:
        return Status.OK, text
    if p_value < FITS and not all(part.estimated for part in best.parts):
        return Status.POOR_FIT, (
            f"{text}, and even there the fit is poor (p = {p_value:.1g}): check the errors, or try "
            "another ansatz"
        )
    return Status.NARROWED, (
        f"{text}; the others do not follow the ansatz: they are far from x_c, of small sizes, or "
        "of another transition; give the range that is meant (--window) to have it tested alone"
    )


def _unidentified(name: str, p: Parameter) -> tuple[Status, str]:
    if not np.isfinite(p.error):
        return Status.UNIDENTIFIED, f"the data do not depend on {name}"
    return Status.UNIDENTIFIED, (
        f"{name} = {p.value:.4g} with an error of {p.error:.2g}: the data do not determine it"
    )


def _status(
    parameters: Mapping[str, Parameter],
    fixed: Mapping[str, float],
    p_value: float,
    chi2: float,
    dof: int,
    form: Ansatz,
    parts: Sequence[Points],
) -> tuple[Status, str]:
    controls = np.concatenate([part.control for part in parts])
    span = float(np.ptp(controls))
    if p_value < POOR and not all(part.estimated for part in parts):
        return Status.POOR_FIT, (
            f"chi2/dof = {chi2:.1f}/{dof} (p = {p_value:.1g}): the ansatz does not describe these "
            "data within their errors; check the errors, narrow the range of the control, or try "
            "another ansatz"
        )
    x_c, shape = parameters["x_c"], parameters[form.parameter]
    # L0 depends on the unit of the size; the slope of the stretch, 2 / ln(L/L0), does not.
    middle = float(np.mean(np.log(np.concatenate([part.size for part in parts]))))
    scale = abs(middle - shape.value) if form.parameter == LENGTH else abs(shape.value)
    limits = {"x_c": span / 4, form.parameter: 0.25 * scale}
    for name, limit in limits.items():
        if name not in fixed and not parameters[name].error < limit:
            return _unidentified(name, parameters[name])
    for name, p in parameters.items():
        if name.startswith("exponent") and name not in fixed and not p.error < 0.5:
            return _unidentified(name, p)
    low, high = controls.min(), controls.max()
    margin = max(0.02 * span, x_c.error)
    if "x_c" not in fixed and not low + margin < x_c.value < high - margin:
        return Status.AT_AN_EDGE, (
            f"x_c = {x_c.value:.6g} lies at the edge of the control, {low:g} to {high:g}: "
            "measure on both sides of it"
        )
    near = 0.05 * (form.bounds[1] - form.bounds[0])
    if form.parameter not in fixed and not (
        form.bounds[0] + near / 2 < shape.value < form.bounds[1] - near
    ):
        return (
            Status.AT_AN_EDGE,
            f"{form.parameter} = {shape.value:.3g} lies at the edge of its range",
        )
    return Status.OK, ""


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
