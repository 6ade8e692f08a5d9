"""Competitors of a collapse: other forms that may describe the same points.

    crossover     X = t l^(1/nu),  l = L (1 + (L/xi)^m)^(-1/m)        m = 1, 2
    logarithms    X = t L^(1/nu) (ln L/L0)^q                          |q| = 3/8 to 3/2
    height        A = L^e (ln L/L0)^p f(X)                            p = -1/2, 1/2
    held          a fixed exponent or shape is fitted
    Kosterlitz-Thouless, where 1/nu is small

L0 is a sixteenth of the smallest size, 1 on lattices from 16 on: the unit of the size must not
decide what is excluded.

Each form is fitted to the points of the fit with the largest weight, with its knots and from its
minimum.  No data exclude every length or every power.  By convention a crossover is an objection if
its length is within the sizes (cut off beyond them, a growth is still that growth), a logarithm if
its power is 3/4 or more (3/4: the four-state Potts model); other forms only if they fit much
better.  A logarithm in the height is, for any data, a small power within a correction to scaling:
only the exponent that it implies is stated.  A collapse is "ok" after these comparisons.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter, Status
from heatcap.core.student import chi2_tail
from heatcap.scaling.ansatz import (
    START,
    Ansatz,
    in_unit,
    kosterlitz_thouless,
    with_crossover,
    with_logarithms,
)
from heatcap.scaling.collapse_fits import Fit, Solution, solve
from heatcap.scaling.collapse_problem import OWN, SHAPE, SHARED, X_C, Problem
from heatcap.scaling.data import Points

__all__ = [
    "KINDS",
    "NOT_EXCLUDED",
    "WITHIN",
    "Competitor",
    "competitors",
    "crossover_limit",
    "first_order",
    "lone_point",
    "objection",
    "other_orders",
    "power_of_log",
    "spanned",
]

Start = tuple[Problem, Floats]

KINDS = ("crossover", "logarithms", "held", "first-order")
NOT_EXCLUDED = (Status.CROSSOVER_NOT_EXCLUDED, Status.LOGARITHMS_NOT_EXCLUDED)
WITHIN = 6.0  # in chi^2 + 2 k of the fit: not excluded
SHARPNESS = (2.0, 1.0)  # m
LENGTHS = (8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125)  # xi over the largest size
FAR = 30.0  # `delta` from which on shorter lengths need not be tried
POWERS = (0.375, 0.75, 1.125, 1.5)  # |q|
LOGARITHM = 0.75  # |q| from which on it need not fit better to be an objection
HEIGHT = 0.5  # |p|
SMALL = 0.7  # 1/nu below which Kosterlitz-Thouless data look like a power
SUSPECTS = 3  # points with the largest residuals, each of which is tried
ALONE = 25.0  # of chi^2 that one point must carry to be named
POOR = 1e-3  # p-value
WITHOUT = 1e6  # factor on the error of a point that removes it from a fit
DIMENSIONS = (2.0, 3.0)
NEAR, SHARP = 2.0, 0.125  # distance of 1/nu from d in errors; error of 1/nu over d
DECIDED = 0.05  # error of an exponent over d: 1.5 (Potts, q = 4) and 1.59 (3D Ising) are excluded


@dataclass(frozen=True, eq=False)
class Competitor:
    """A competing form: its goodness of fit and its parameters.

    Attributes
    ----------
    name : str
        The form as a formula.
    kind : str
        "crossover", "logarithms", "height", "held" or "kosterlitz-thouless".
    chi2, delta : float
        `delta` is chi^2 + 2 k less that of the collapse: up to 6 it is not excluded.
    parameters : dict of float
        Those of the ansatz, and those that the form adds: `crossover_length` and `sharpness`, or
        `log_power` and L0, `log_length`, or `freed`, the value that is held, and `freed_error`,
        the error of the parameter that is fitted instead.
    """

    name: str
    kind: str
    chi2: float
    delta: float
    parameters: Mapping[str, float]


def competitors(fit: Fit, kinds: Collection[str], smallest: float) -> list[Competitor]:
    """Fit the competitors of the given kinds; `smallest` is the smallest size of all points."""
    field, form = _Field.of(fit, smallest), fit.problem.ansatz
    power = form.parameter in ("inverse_nu", "dimension")
    tried: list[Competitor] = []
    if "crossover" in kinds and power:
        tried += field.crossovers()
    if "logarithms" in kinds and form.name in ("second-order", "first-order"):
        tried += [*field.logarithms(), *field.heights()]
    if "held" in kinds:
        tried += field.freed()
    if power and fit.solution.theta[SHAPE] < SMALL and form.parameter not in fit.problem.fixed:
        tried.append(field.kosterlitz_thouless())
    return tried


def crossover_limit(rivals: Sequence[Competitor]) -> float | None:
    """The smallest crossover length that is not excluded.

    0 if the shortest one tried is not excluded, the longest one tried if all are, None if none was
    tried.
    """
    rows = [(c.parameters["sharpness"], c.parameters["crossover_length"], c.delta)
            for c in rivals if c.kind == "crossover"]  # fmt: skip
    limits = []
    for m in {sharpness for sharpness, _, _ in rows}:
        length, delta = np.array(sorted((xi, d) for sharp, xi, d in rows if sharp == m)).T
        within = np.flatnonzero(delta <= WITHIN)
        if not within.size:
            limits.append(length[-1])
        elif (first := within[0]) == 0:
            limits.append(0.0)
        else:
            share = (delta[first - 1] - WITHIN) / (delta[first - 1] - delta[first])
            limits.append(length[first - 1] * (length[first] / length[first - 1]) ** share)
    return float(min(limits)) if limits else None


_OBJECTIONS = {
    "crossover": Status.CROSSOVER_NOT_EXCLUDED,
    "logarithms": Status.LOGARITHMS_NOT_EXCLUDED,
    "height": Status.LOGARITHMS_NOT_EXCLUDED,
    "held": Status.POOR_FIT,
}
_ONLY = "the errors hold only without it; if theory excludes it, say so (--excluded {0})"
_WORSE = "a pure power is behind by that much"


def objection(
    rivals: Sequence[Competitor], asked: Mapping[str, Parameter], largest: float
) -> tuple[Status, str] | None:
    """Status and message if a competitor is not excluded and moves a parameter of interest.

    A parameter is moved if it changes by more than its error.
    """
    serious = [
        c
        for c in rivals
        if c.delta <= _limit(c, largest)
        and any(abs(c.parameters[name] - p.value) > p.error for name, p in asked.items())
    ]
    if not serious:
        return None
    best = {kind: min((c for c in serious if c.kind == kind), key=lambda c: c.delta)
            for kind in {c.kind for c in serious}}  # fmt: skip
    ranked = sorted(best.values(), key=lambda c: c.delta)
    return _OBJECTIONS[ranked[0].kind], "; ".join(_words(c, asked) for c in ranked)


def spanned(rivals: Sequence[Competitor], asked: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Extend systematic errors towards competitors that are not excluded.

    The shift of a parameter counts by the square root of the competitor's weight relative to the
    fit, which is 1 if it fits as well.  Fixed parameters are known, and small powers of a logarithm
    are never excluded: these two kinds count only where they fit better.
    """
    reach = dict.fromkeys(asked, 0.0)
    for c in rivals:
        if c.kind in KINDS and c.delta <= (WITHIN if c.kind == "crossover" else 0.0):
            weight = float(np.exp(-max(c.delta, 0.0) / 4))
            for name, p in asked.items():
                reach[name] = max(reach[name], weight * abs(c.parameters[name] - p.value))
    return {
        name: replace(p, systematic=float(np.hypot(p.systematic, reach[name])))
        for name, p in asked.items()
    }


def _limit(c: Competitor, largest: float) -> float:
    """The `delta` up to which a form is an objection to the status "ok"."""
    within = c.parameters.get("crossover_length", 0.0) <= largest * (1 + 1e-9)
    large = abs(c.parameters.get("log_power", 0.0)) >= LOGARITHM
    if (c.kind == "logarithms" and large) or (c.kind == "crossover" and within):
        return WITHIN
    return -np.inf if c.kind == "kosterlitz-thouless" else -WITHIN


def _words(c: Competitor, asked: Mapping[str, Parameter]) -> str:
    values = ", ".join(f"{name} = {c.parameters[name]:.4g}" for name in asked)
    better = c.delta < -WITHIN
    rated = f"fits {'better' if better else 'as well'} (chi2 + 2 k {c.delta:+.1f})"
    hint = "check what is fixed" if c.kind == "held" else _WORSE if better else _ONLY.format(c.kind)
    return f"{c.name} {rated}, with {values}: {hint}"


@dataclass(frozen=True, eq=False)
class _Field:
    """The fit that all competitors start from, with its knots and its largest size."""

    problem: Problem
    base: Solution
    independent: float
    largest: float
    start: float  # L0

    @classmethod
    def of(cls, fit: Fit, smallest: float) -> _Field:
        largest = max(float(part.size.max()) for part in fit.parts)
        return cls(fit.problem, fit.solution, fit.independent, largest, START * smallest)

    def crossovers(self) -> Iterator[Competitor]:
        """Lengths from 8 times the largest size down to one that is clearly excluded.

        Each fit starts from the last one.
        """
        for m in SHARPNESS:
            near = self.problem, self.base.theta
            for factor in LENGTHS:
                length = factor * self.largest
                form = with_crossover(self.problem.ansatz, length, sharpness=m)
                name = f"X = t l^(1/nu), l = L (1 + (L/{length:.4g})^{m:g})^(-1/{m:g})"
                near = self._stretched(form, *near)
                extra = {"crossover_length": length, "sharpness": m}
                tried, near = self._fitted(name, "crossover", near, **extra)
                yield tried
                if tried.delta > FAR:
                    break

    def logarithms(self) -> Iterator[Competitor]:
        """Powers of either sign, from the smallest on, as long as chi^2 falls."""
        for sign in (-1, 1):
            last, near = WITHIN, (self.problem, self.base.theta)
            for power in POWERS:
                q = sign * power
                form = with_logarithms(self.problem.ansatz, stretch=q, length=self.start)
                near = self._stretched(form, *near)
                name = f"X = t L^(1/nu) {power_of_log(self.start, q)}"
                tried, near = self._fitted(name, "logarithms", near, **self._logarithm(q))
                yield tried
                if tried.delta > last:
                    break
                last = tried.delta

    def heights(self) -> Iterator[Competitor]:
        """A power of ln L/L0 in every observable whose exponent is free."""
        names = self.problem.names[SHARED::OWN]
        free = [b for b, name in enumerate(names) if name not in self.problem.fixed]
        for p in (-HEIGHT, HEIGHT) if free else ():
            blocks, theta = list(self.problem.blocks), self.base.theta.copy()
            for b in free:
                log = blocks[b].log_size + blocks[b].log_ref - np.log(self.start)
                # A over the power of the logarithm; whitened values stay as they are.
                raw, whiten = blocks[b].raw / log**p, blocks[b].whiten * log**p
                blocks[b] = replace(blocks[b], raw=raw, whiten=whiten)
                theta[SHARED + OWN * b] -= p * np.polyfit(log, np.log(log), 1)[0]
            problem = replace(self.problem, blocks=blocks)
            name = f"A = L^e {power_of_log(self.start, p)} f(X)"
            yield self._fitted(name, "height", (problem, theta), **self._logarithm(p))[0]

    def _logarithm(self, power: float) -> dict[str, float]:
        return {"log_power": power, "log_length": self.start}

    def freed(self) -> Iterator[Competitor]:
        """Each fixed exponent, and a fixed shape parameter, fitted instead."""
        for name, value in self.problem.fixed.items():
            if name.startswith("exponent") or name == self.problem.names[SHAPE]:
                fixed = {k: v for k, v in self.problem.fixed.items() if k != name}
                problem, label = replace(self.problem, fixed=fixed), f"{name} free, not {value:g}"
                yield self._fitted(label, "held", (problem, self.base.theta), freed=value)[0]

    def kosterlitz_thouless(self) -> Competitor:
        """The Kosterlitz-Thouless form, with as many parameters as the power law."""
        form = in_unit(kosterlitz_thouless, self.start / START)
        names = [form.parameter if i == SHAPE else n for i, n in enumerate(self.problem.names)]
        problem, theta = replace(self.problem, ansatz=form, names=names), self.base.theta.copy()
        theta[SHAPE] = np.clip(float(np.mean(_logs(problem))) - 2 / theta[SHAPE], *form.bounds)
        competitor, _ = self._fitted("X = t (ln L/L0)^2", form.name, (problem, theta))
        return replace(competitor, delta=competitor.delta - 2)

    def _stretched(self, form: Ansatz, problem: Problem, theta: Floats) -> Start:
        """Replace the stretch of a problem, with the shape that gives the same slope in ln L."""
        theta, log = theta.copy(), _logs(problem)
        if problem.names[SHAPE] not in problem.fixed:
            there, slope = form.stretch(log, theta[SHAPE])
            off = problem.ansatz.stretch(log, theta[SHAPE])[0] - there
            slope = slope - slope.mean()
            theta[SHAPE] += off @ slope / max(float(slope @ slope), 1e-300)
            theta[SHAPE] = theta[SHAPE].clip(*form.bounds)
        return replace(problem, ansatz=form), theta

    def _fitted(
        self, name: str, kind: str, start: Start, **extra: float
    ) -> tuple[Competitor, Start]:
        """Fit a competitor; also return its minimum, as a start for the next one."""
        problem, theta = start
        # With few knots chi^2 depends on their places: they stay those of the fit.
        solution = solve(problem, theta, self.base.model, passes=1, knots=self.base.knots)
        delta = float((solution.chi2 - self.base.chi2) * self.independent + 2)
        parameters = dict(zip(problem.names, map(float, solution.theta), strict=True))
        if "freed" in extra:
            (place,) = set(problem.free(self.base.model)) - set(self.problem.free(self.base.model))
            at = problem.free(self.base.model).tolist().index(place)
            extra["freed_error"] = float(np.sqrt(solution.covariance[at, at]))
        rival = Competitor(name, kind, solution.chi2, delta, parameters | extra)
        return rival, (problem, solution.theta)


def power_of_log(start: float, power: float) -> str:
    """(ln L/L0)^p as a formula for messages."""
    return f"(ln L{'' if start == 1 else f'/{start:.3g}'})^{power:g}"


def _logs(problem: Problem) -> Floats:
    return np.concatenate([block.log_size + block.log_ref for block in problem.blocks])


# ---- notes on a collapse -----------------------------------------------------------------


def first_order(
    parameters: Mapping[str, Parameter], given: Mapping[str, float]
) -> tuple[Status, str] | None:
    """Status and message where all exponents are those of a first-order transition: 1/nu = d.

    Those of the observables are then 0 (jumps, dimensionless quantities) or d (their variances).
    """
    (d,) = _dimension(parameters, given) or (0.0,)
    if not d or parameters["inverse_nu"].error > DECIDED * d:
        return None
    for p in (p for name, p in parameters.items() if name.startswith("exponent")):
        if p.error > DECIDED * d or all(abs(p.value - e) > NEAR * p.error for e in (0.0, d)):
            return None
    return Status.FIRST_ORDER, _FIRST.format(d) + _EXCLUDE.format(d)


def _dimension(parameters: Mapping[str, Parameter], given: Mapping[str, float]) -> list[float]:
    """The dimension that 1/nu agrees with, if it is fitted and agrees with one."""
    p = parameters.get("inverse_nu")
    if p is None or "inverse_nu" in given:
        return []
    return [d for d in DIMENSIONS if abs(p.value - d) < NEAR * p.error < NEAR * SHARP * d]


def other_orders(
    parameters: Mapping[str, Parameter], given: Mapping[str, float], rivals: Sequence[Competitor]
) -> list[str]:
    """Notes where 1/nu agrees with that of a first-order or Kosterlitz-Thouless transition."""
    notes = [_FIRST.format(d) for d in _dimension(parameters, given)]
    notes += [_KT.format(c.delta) for c in rivals if c.kind == _KIND and c.delta <= WITHIN]
    return notes


_KIND = "kosterlitz-thouless"
_FIRST = (
    "X = t L^d with d = {0:g}: as at a first-order transition in {0:g} dimensions, which has no "
    "exponent nu (heatcap order tells; a mean-field magnet has 1/nu = 2, too)"
)
_EXCLUDE = (
    "; is the dimension of the system {0:g}? Then fit --ansatz first-order --fix dimension={0:g}; "
    "if it is another, or theory excludes a jump, say so (--excluded first-order)"
)
_KT = (
    "1/nu is small, and X = t (ln L/L0)^2 fits as well (chi2 + 2 k {0:+.1f}): Kosterlitz-Thouless? "
    "(heatcap collapse --ansatz kosterlitz-thouless, heatcap stiffness)"
)


def lone_point(parts: Sequence[Points], whole: Problem, fits: Sequence[Fit]) -> str:
    """Describe the one point without which all others fit; empty if there is none."""
    if any(part.covariance is not None for part in parts):
        return ""
    all_points = [fit for fit in fits if fit.cut == 0]
    if not all_points:
        return ""
    first = min(all_points, key=lambda fit: fit.score).solution
    if chi2_tail(first.chi2, first.dof) > POOR:
        return ""
    near = min(fits, key=lambda fit: fit.score).solution  # without it, perhaps
    block = np.repeat(np.arange(len(parts)), list(map(len, parts)))
    start = np.cumsum([0, *map(len, parts)])
    tried = []
    for i in np.argsort(-np.abs(first.residuals))[:SUSPECTS].tolist():
        b, row = int(block[i]), i - int(start[block[i]])
        error = parts[b].error.copy()
        error[row] *= WITHOUT
        without = [replace(p, error=error) if k == b else p for k, p in enumerate(parts)]
        problem = Problem.of(without, whole.ansatz, whole.names, whole.fixed)
        for model in {fit.solution.model for fit in all_points}:
            solution = solve(problem, near.theta, model)
            tried.append((solution.chi2 + 2 * solution.parameters, i, b, row, solution))
    _, i, b, row, solution = min(tried, key=lambda candidate: candidate[0])
    chi2 = solution.chi2
    dof = solution.dof - 1
    if chi2_tail(chi2, dof) < POOR or first.chi2 - chi2 < ALONE:
        return ""
    part = parts[b]
    fitted = part.value[row] - solution.residuals[i] * part.error[row] * WITHOUT
    values = f"x_c = {solution.theta[X_C]:.5g}, {whole.names[SHAPE]} = {solution.theta[SHAPE]:.3g}"
    return (
        f"one point stands alone: {part.name} at {part.place(row)} is {part.value[row]:.3g}, not "
        f"{fitted:.3g}; without it chi2/dof = {chi2:.1f}/{dof}, {values} (leave it out, or measure "
        "it again)"
    )
