"""Data collapse: a global search, a scan of models, and an average with an honest error.

The user gives no starting point.  A first fit is sought over the whole range of x_c, of the shape
parameter and of the exponents; then windows around X = 0, numbers of knots, smallest sizes and
corrections are scanned, and the fits averaged with weights

    w ~ exp(-(chi^2 + 2 k + 2 n_cut) / 2)

(k parameters, n_cut points left out; Jay and Neil, Phys. Rev. D 103 (2021) 114502), so that the
spread between models is part of the error.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.stats import qmc

from heatcap.resampling import readable
from heatcap.scaling._correlation import Correlation, measure
from heatcap.scaling._fit import Model, Problem, Solution
from heatcap.scaling.ansatz import ANSATZE, Ansatz
from heatcap.scaling.parameter import Parameter, finite
from heatcap.scaling.points import Points

__all__ = ["Collapse", "collapse"]

Floats = NDArray[np.float64]

SEARCH = 256  # points of the global search
REFINED = 8  # of which are refined
KNOTS = (4, 6, 9, 13, 18, 25)
WINDOWS = (1.0, 0.8, 0.65, 0.5, 0.4)  # shares of the points, nearest to X = 0
OMEGAS = (1.0, 2.0)
CORRECTIONS = ("a", "b", "c")  # parameters that no one asks for
NEGLIGIBLE = 12.0  # in the score: a weight of e^-6
OVERLAP = 0.5  # of the points: where sizes do not meet, nothing is compared
POOR = 1e-3  # p-value of chi^2 below which a fit is poor


@dataclass(frozen=True, eq=False)
class Collapse:
    """The outcome of a collapse; a number counts only where `status` is "ok".

    Attributes
    ----------
    parameters : dict of Parameter
        `x_c`, `inverse_nu` (or `log_l0`), `exponent` (`exponent_A` for several observables), and
        `omega` where corrections to scaling carry most of the weight.
    chi2, dof, p_value : of the fit with the largest weight
    window : tuple of float
        Smallest and largest control in that fit.
    sizes_used : list of float
    models : list of dict
        Every fit: weight, window, knots, omega, chi2, dof, parameters and their errors.
    status : str
        "ok", or the reason why not: "too few sizes", "too few points", "poor fit", "unidentified",
        "at an edge".
    message : str
        What it means, and what to do.
    seconds : float
    curves : list of dict
        By observable, of the fit with the largest weight: `name`, `size` and `control` of its
        points, the collapsed points `x`, `y`, `error`, the `residual` in units of the error, and
        the scaling function `f` on a `grid` with its `band` (one standard deviation).
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
    status: str = "ok"
    message: str = ""
    seconds: float = 0.0
    curves: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    def summary(self) -> str:
        """Parameters with their errors, goodness of fit and status, in lines."""
        lines = [f"status: {self.status}" + (f" ({self.message})" if self.message else "")]
        for name, p in self.parameters.items():
            if name in self.fixed:
                lines.append(f"{name} = {p.value:g} (fixed)")
                continue
            lines.append(
                f"{name} = {readable(p.value, p.error)}"
                f"   statistical {p.statistical:.2g}, between models {p.systematic:.2g}"
            )
        if self.parameters:
            sizes = ", ".join(f"{s:g}" for s in self.sizes_used)
            lines.append(
                f"chi2/dof = {self.chi2:.1f}/{self.dof} (p = {self.p_value:.2g}), sizes {sizes}, "
                f"control {self.window[0]:g} to {self.window[1]:g}, {self.seconds:.1f} s"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "schema_version": 1,
            "ansatz": self.ansatz,
            "fixed": dict(self.fixed),
            "parameters": {name: p.to_dict() for name, p in self.parameters.items()},
            "goodness_of_fit": {
                "chi2": finite(self.chi2),
                "dof": self.dof,
                "p_value": finite(self.p_value),
            },
            "window": [finite(x) for x in self.window],
            "sizes_used": self.sizes_used,
            "status": self.status,
            "message": self.message,
            "seconds": self.seconds,
            "models": self.models,
        }


def collapse(
    data: Points | Sequence[Points],
    *,
    ansatz: str | Ansatz = "second-order",
    fixed: Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
    rng: int | np.random.Generator = 0,
) -> Collapse:
    """Fit a scaling ansatz to one observable, or to several that share x_c and the shape.

    Parameters
    ----------
    data : Points or sequence of Points
    ansatz : {"second-order", "kosterlitz-thouless"} or Ansatz
    fixed : mapping, optional
        Parameters that are not fitted, such as ``{"exponent": 0}`` for a dimensionless quantity.
    start : mapping, optional
        One more start beside those of the search; it cannot replace it.
    rng : int or Generator
        For the points of the search.

    Returns
    -------
    Collapse
        Never a bare number: a poor fit, an unidentified parameter or an edge is a `status`.

    Raises
    ------
    ValueError
        For an unknown ansatz, an unknown name in `fixed` or `start`, or no data.
    """
    began = time.perf_counter()
    parts = [data] if isinstance(data, Points) else list(data)
    form = _ansatz(ansatz)
    names = _names(parts, form)
    given = _checked(fixed or {}, names, "fixed")
    _checked(start or {}, names, "start")
    options: dict[str, Any] = {"ansatz": form.name, "fixed": given}
    if refusal := _too_little(parts, names, given):
        return _refused(*refusal, parts, options, began)
    found = _search(parts, form, names, given, start or {}, np.random.default_rng(rng))
    correlation = _correlation(parts, form, names, given, found)
    fits = _scan(parts, form, names, given, found, correlation)
    if not fits:
        return _refused(
            "too few points", "no fit has degrees of freedom left", parts, options, began
        )
    return _average(fits, parts, names, given, form, options, began, correlation)


def _correlation(
    parts: Sequence[Points],
    form: Ansatz,
    names: Sequence[str],
    fixed: Mapping[str, float],
    found: Solution,
) -> Correlation | None:
    """Whether points of one size are correlated, seen in the residuals of a flexible fit."""
    if any(part.covariance is not None for part in parts):
        return None
    problem = Problem.of(parts, form, names, fixed)
    models = [m for m in _models(parts) if m.analytic]
    if not models or problem.n - _parameters(problem, models[-1]) < 3:
        return None
    solution = problem.solve(found.theta, models[-1])
    knots = problem.knots(solution.theta, models[-1])
    residuals, _, _ = problem.evaluate(solution.theta, models[-1], knots)
    return measure(residuals, parts)


def _ansatz(ansatz: str | Ansatz) -> Ansatz:
    if isinstance(ansatz, Ansatz):
        return ansatz
    if ansatz not in ANSATZE:
        raise ValueError(f"ansatz must be one of {', '.join(ANSATZE)}, got {ansatz!r}")
    return ANSATZE[ansatz]


def _names(parts: Sequence[Points], form: Ansatz) -> list[str]:
    if not parts:
        raise ValueError("no data: expected Points, or a sequence of them")
    names = ["x_c", form.parameter, "c"]
    for part in parts:
        end = "" if len(parts) == 1 else f"_{part.name}"
        names += [f"exponent{end}", f"b{end}", f"a{end}"]
    if len(set(names)) < len(names):
        raise ValueError("observables must have different names")
    return names


def _checked(given: Mapping[str, float], names: Sequence[str], what: str) -> dict[str, float]:
    if unknown := [name for name in given if name not in names]:
        raise ValueError(f"{what} must be among {', '.join(names)}, got {', '.join(unknown)}")
    return {name: float(value) for name, value in given.items()}


def _too_little(
    parts: Sequence[Points], names: Sequence[str], fixed: Mapping[str, float]
) -> tuple[str, str] | None:
    free = sum(name.split("_")[0] not in CORRECTIONS and name not in fixed for name in names)
    for part in parts:
        sizes, counts = np.unique(part.size, return_counts=True)
        if sizes.size < 2:
            return "too few sizes", f"{part.name}: {sizes.size} size; a collapse compares sizes"
        if len(part) < 4 + 3 + free or counts.max() < 4:
            return (
                "too few points",
                f"{part.name}: {len(part)} points, at least {7 + free} are needed",
            )
    return None


def _refused(
    status: str, message: str, parts: Sequence[Points], options: dict[str, Any], began: float
) -> Collapse:
    nan = float("nan")
    sizes = sorted({float(s) for part in parts for s in part.size})
    return Collapse(
        {}, nan, 0, nan, (nan, nan), sizes, [], status=status, message=message,
        seconds=time.perf_counter() - began, **options,
    )  # fmt: skip


def _search(
    parts: Sequence[Points],
    form: Ansatz,
    names: Sequence[str],
    fixed: Mapping[str, float],
    start: Mapping[str, float],
    rng: np.random.Generator,
) -> Solution:
    """The best of local fits from the best points of a space-filling design, and from `start`."""
    problem = Problem.of(parts, form, names, fixed)
    free = problem.free(Model(6))
    low, high = _box(problem, form, names)
    design = qmc.Sobol(free.size, rng=rng).random(SEARCH)
    middle = problem.start(problem.centre, sum(form.bounds) / 2, [0.0] * len(parts))
    thetas = np.tile(middle, (SEARCH, 1))
    thetas[:, free] = low[free] + design * (high - low)[free]
    if start:
        own = middle.copy()
        for name, value in start.items():
            own[list(names).index(name)] = value
        thetas = np.vstack([own, thetas])
    model = Model(_pilot_knots(problem))
    costs = np.array([_cost(problem, theta, model) for theta in thetas])
    best = thetas[np.argsort(costs)[: REFINED + bool(start)]]
    fits = [problem.solve(theta, model) for theta in best]
    inside = [
        f for f in fits if low[0] <= f.theta[0] <= high[0] and problem.overlap(f.theta) >= OVERLAP
    ] or fits
    return min(inside, key=lambda fit: fit.chi2)


def _pilot_knots(problem: Problem) -> int:
    smallest = min(block.value.size for block in problem.blocks)
    return int(np.clip(smallest // 5, 3, 12))


def _box(problem: Problem, form: Ansatz, names: Sequence[str]) -> tuple[Floats, Floats]:
    low, high = np.full(len(names), -2.5), np.full(len(names), 2.5)
    low[0], high[0] = problem.centre - problem.half, problem.centre + problem.half
    low[1], high[1] = form.bounds
    return low, high


def _cost(problem: Problem, theta: Floats, model: Model) -> float:
    if problem.overlap(theta) < OVERLAP:
        return np.inf
    residual, _, _ = problem.evaluate(theta, model, problem.knots(theta, model), jacobian=False)
    return float(residual @ residual)


@dataclass(frozen=True, eq=False)
class _Fit:
    solution: Solution
    problem: Problem
    cut: int
    share: float
    smallest: float
    window: tuple[float, float]
    parts: Sequence[Points]
    correlation: Correlation | None = None

    @property
    def independent(self) -> float:
        """Independent points over points."""
        return self.correlation.share if self.correlation else 1.0

    @property
    def score(self) -> float:
        charge = _charge(self.problem, self.solution.model, self.cut * self.independent)
        return self.solution.chi2 * self.independent + charge

    @cached_property
    def covariance(self) -> Floats:
        """Of the free parameters; with the correlation of the points, where there is one."""
        plain = self.solution.covariance
        if self.correlation is None:
            return plain
        s, problem = self.solution, self.problem
        knots = problem.knots(s.theta, s.model)
        jacobian = problem.evaluate(s.theta, s.model, knots)[1][:, problem.free(s.model)]
        return np.asarray(plain @ self.correlation.widened(jacobian, self.parts) @ plain)


def _charge(problem: Problem, model: Model, cut: float) -> float:
    """What a fit pays for its parameters and for the points that it leaves out.

    Coefficients of corrections to scaling are free of charge: corrections exist in every finite
    system, and that the data do without them is no evidence against them.
    """
    blocks = len(problem.blocks)
    linear = blocks * (model.knots + 3)
    return float(2 * (linear + problem.free(Model(model.knots)).size) + 2 * cut)


def _scan(
    parts: Sequence[Points],
    form: Ansatz,
    names: Sequence[str],
    fixed: Mapping[str, float],
    found: Solution,
    correlation: Correlation | None,
) -> list[_Fit]:
    independent = correlation.share if correlation else 1.0
    total = sum(map(len, parts))
    whole = Problem.of(parts, form, names, fixed)
    distance = [np.abs(whole.scaled(block, found.theta)) for block in whole.blocks]
    fits: list[_Fit] = []
    best = np.inf
    for smallest in _smallest_sizes(parts):
        for share in WINDOWS:
            kept = [
                part.take((d <= np.quantile(d, share)) & (part.size >= smallest))
                for part, d in zip(parts, distance, strict=True)
            ]
            if any(np.unique(part.size).size < 2 for part in kept):
                continue
            problem = Problem.of(kept, form, names, fixed)
            controls = np.concatenate([part.control for part in kept])
            window = float(controls.min()), float(controls.max())
            cut = total - problem.n
            for model in _models(kept):
                dof = problem.n - _parameters(problem, model)
                if dof < max(3, problem.n // 10):
                    continue
                # With errors that are known, chi^2 stays near dof: such a fit would have no weight.
                least = dof - 3 * np.sqrt(2 * dof) if correlation is None else 0.0
                least += _charge(problem, model, cut * independent)
                if least > best + NEGLIGIBLE:
                    continue
                solution = problem.solve(found.theta, model)
                if problem.overlap(solution.theta) < OVERLAP:
                    continue
                fits.append(
                    _Fit(solution, problem, cut, share, smallest, window, kept, correlation)
                )
                best = min(best, fits[-1].score)
    return fits


def _parameters(problem: Problem, model: Model) -> int:
    linear = model.knots + 3
    return len(problem.blocks) * linear + problem.free(model).size


def _smallest_sizes(parts: Sequence[Points]) -> list[float]:
    """All sizes, and without the smallest ones while three are left."""
    sizes = np.unique(np.concatenate([part.size for part in parts]))
    return [float(s) for s in sizes[: max(1, min(sizes.size - 2, 3))]]


def _models(parts: Sequence[Points]) -> list[Model]:
    smallest = min(map(len, parts))
    few = min(np.unique(part.size).size for part in parts) < 3
    out = []
    for knots in KNOTS:
        if knots + 3 > smallest / 2:
            break
        out += [Model(knots), Model(knots, None, True)]
        if not few:  # with two sizes a correction fits anything
            out += [Model(knots, omega, analytic) for omega in OMEGAS for analytic in (False, True)]
    return out


def _average(
    fits: Sequence[_Fit],
    parts: Sequence[Points],
    names: Sequence[str],
    fixed: Mapping[str, float],
    form: Ansatz,
    options: dict[str, Any],
    began: float,
    correlation: Correlation | None,
) -> Collapse:
    scores = np.array([fit.score for fit in fits])
    weights = np.exp(-0.5 * (scores - scores.min()))
    weights /= weights.sum()
    parameters = {}
    for i, name in enumerate(names):
        if name.split("_")[0] in CORRECTIONS:
            continue
        values = np.array([fit.solution.theta[i] for fit in fits])
        variances = np.array([_variance(fit, i) for fit in fits])
        mean = float(weights @ values)
        spread = float(weights @ (values - mean) ** 2)
        parameters[name] = Parameter(mean, float(np.sqrt(weights @ variances)), np.sqrt(spread))
    with_omega = np.array([fit.solution.model.omega is not None for fit in fits])
    if weights[with_omega].sum() > 0.5:
        omega = np.array([fit.solution.model.omega or 0.0 for fit in fits])[with_omega]
        w = weights[with_omega] / weights[with_omega].sum()
        mean = float(w @ omega)
        parameters["omega"] = Parameter(mean, 0.0, float(np.sqrt(w @ (omega - mean) ** 2)))
    best = fits[int(np.argmin(scores))]
    chi2, dof = best.solution.chi2, best.solution.dof
    share = best.independent
    p_value = float(stats.chi2.sf(chi2 * share, dof * share))
    status, message = _status(parameters, fixed, p_value, chi2, dof, form, parts)
    if correlation is not None:
        message = "; ".join(filter(None, [message, _CORRELATED.format(1 / share)]))
    return Collapse(
        parameters=parameters,
        chi2=chi2,
        dof=dof,
        p_value=p_value,
        window=best.window,
        sizes_used=sorted({float(s) for part in parts for s in part.size if s >= best.smallest}),
        models=[_row(fit, w, names) for fit, w in zip(fits, weights, strict=True)],
        status=status,
        message=message,
        seconds=time.perf_counter() - began,
        curves=[
            {"name": part.name, "size": part.size, "control": part.control}
            | best.problem.curve(b, best.solution)
            for b, part in enumerate(best.parts)
        ],
        **options,
    )


_CORRELATED = (
    "residuals of neighbouring points of one size agree, as if they shared their runs: {:.0f} "
    "points count as one, errors are widened accordingly (a covariance would do better)"
)


def _variance(fit: _Fit, i: int) -> float:
    free = fit.problem.free(fit.solution.model).tolist()
    return float(fit.covariance[free.index(i), free.index(i)]) if i in free else 0.0


def _row(fit: _Fit, weight: float, names: Sequence[str]) -> dict[str, Any]:
    s = fit.solution
    return {
        "weight": float(weight),
        "share_of_points": fit.share,
        "smallest_size": fit.smallest,
        "knots": s.model.knots,
        "omega": s.model.omega,
        "analytic": s.model.analytic,
        "chi2": finite(s.chi2),
        "dof": s.dof,
        "parameters": {name: finite(float(v)) for name, v in zip(names, s.theta, strict=True)},
        "errors": {name: finite(np.sqrt(_variance(fit, i))) for i, name in enumerate(names)},
    }


def _status(
    parameters: Mapping[str, Parameter],
    fixed: Mapping[str, float],
    p_value: float,
    chi2: float,
    dof: int,
    form: Ansatz,
    parts: Sequence[Points],
) -> tuple[str, str]:
    controls = np.concatenate([part.control for part in parts])
    span = float(np.ptp(controls))
    if p_value < POOR:
        return "poor fit", (
            f"chi2/dof = {chi2:.1f}/{dof} (p = {p_value:.1g}): the ansatz does not describe these "
            "data within their errors; check the errors, narrow the range of the control, or try "
            "another ansatz"
        )
    x_c, shape = parameters["x_c"], parameters[form.parameter]
    limits = {"x_c": span / 4, form.parameter: 0.25 * abs(shape.value)}
    for name, limit in limits.items():
        if name not in fixed and not parameters[name].error < limit:
            return "unidentified", (
                f"{name} = {parameters[name].value:.4g} with an error of "
                f"{parameters[name].error:.2g}: the data do not determine it"
            )
    for name, p in parameters.items():
        if name.startswith("exponent") and name not in fixed and not p.error < 0.5:
            return "unidentified", f"{name} has an error of {p.error:.2g}"
    low, high = controls.min(), controls.max()
    margin = 0.02 * span
    if "x_c" not in fixed and not low + margin < x_c.value < high - margin:
        return "at an edge", (
            f"x_c = {x_c.value:.6g} lies at the edge of the control, {low:g} to {high:g}: "
            "measure on both sides of it"
        )
    near = 0.05 * (form.bounds[1] - form.bounds[0])
    if form.parameter not in fixed and not (
        form.bounds[0] + near / 2 < shape.value < form.bounds[1] - near
    ):
        return "at an edge", f"{form.parameter} = {shape.value:.3g} lies at the edge of its range"
    return "ok", ""
