"""Other forms that may describe the same points: fitted before a collapse is called "ok".

    crossover     X = t l^(1/nu),  l = L (1 + (L/xi)^m)^(-1/m)        m = 1, 2
    logarithms    X = t L^(1/nu) (ln L)^q                             |q| >= 3/4
    height        A = L^e (ln L)^p f(X)                               p = -1/2, 1/2
    held          what was held is free
    Kosterlitz-Thouless, where 1/nu is small

Each is fitted to the points of the fit with the largest weight, with a spline like its own and from
where it ended.  No data exclude every length or every power: a crossover counts where its length is
within the sizes (a growth that is cut off beyond them is that growth, by convention), a logarithm
from the power of the four-state Potts model on.  A logarithm in the height is a small power, within
a correction to scaling, for any data: it is said how much of the exponent it would be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatcap.scaling._descent import Solution, solve
from heatcap.scaling._problem import OWN, SHAPE, SHARED, Block, Problem
from heatcap.scaling._scan import Fit
from heatcap.scaling.ansatz import Ansatz, kosterlitz_thouless, with_crossover, with_logarithms
from heatcap.scaling.parameter import Parameter, finite

__all__ = [
    "KINDS",
    "NOT_EXCLUDED",
    "WITHIN",
    "Competitor",
    "competitors",
    "crossover_limit",
    "objection",
    "spanned",
]

Floats = NDArray[np.float64]

KINDS = ("crossover", "logarithms", "held")
NOT_EXCLUDED = ("crossover not excluded", "logarithms not excluded")
WITHIN = 6.0  # in chi^2 + 2 k of the fit: not excluded
SHARPNESS = (2.0, 1.0)  # m
LENGTHS = (8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125)  # xi over the largest size
FAR = 30.0  # `delta` from which on shorter lengths need not be tried
POWERS = (0.75, 1.125, 1.5)  # |q|
HEIGHT = 0.5  # |p|
SMALL = 0.7  # 1/nu below which Kosterlitz-Thouless data look like a power


@dataclass(frozen=True, eq=False)
class Competitor:
    """A form, how well it describes the points, and its parameters.

    Attributes
    ----------
    name : str
        The form as a formula.
    kind : str
        "crossover", "logarithms", "height", "held" or "kosterlitz-thouless".
    chi2, delta : float
        `delta` is chi^2 + 2 k less that of the collapse: up to 6 it is not excluded.
    parameters : dict of float
        Those of the ansatz, and what the form adds: `crossover_length`, `log_power`.
    """

    name: str
    kind: str
    chi2: float
    delta: float
    parameters: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        parameters = {name: finite(v) for name, v in self.parameters.items()}
        numbers = {"chi2": finite(self.chi2), "delta": finite(self.delta)}
        return {"name": self.name, "kind": self.kind, **numbers, "parameters": parameters}


def competitors(fit: Fit, kinds: Collection[str]) -> list[Competitor]:
    """All that were tried, of the `kinds` that count."""
    field, form = _Field.of(fit), fit.problem.ansatz
    power = form.parameter in ("inverse_nu", "dimension")
    found: list[Competitor] = []
    if "crossover" in kinds and power:
        found += field.crossovers()
    smallest = min(float(part.size.min()) for part in fit.parts)
    if "logarithms" in kinds and form.name in ("second-order", "first-order") and smallest >= 2:
        found += [*field.logarithms(), *field.heights()]
    if "held" in kinds:
        found += field.freed()
    if power and fit.solution.theta[SHAPE] < SMALL and form.parameter not in fit.problem.fixed:
        found.append(field.kosterlitz_thouless())
    return found


def crossover_limit(found: Sequence[Competitor]) -> float | None:
    """The smallest length that is not excluded; 0 if none is, None if none was tried."""
    rows = [(c.parameters["sharpness"], c.parameters["crossover_length"], c.delta)
            for c in found if c.kind == "crossover"]  # fmt: skip
    limits = []
    for m in {sharpness for sharpness, _, _ in rows}:
        length, delta = np.array(sorted((xi, d) for own, xi, d in rows if own == m)).T
        within = np.flatnonzero(delta <= WITHIN)
        if not within.size:
            limits.append(length[-1])
        elif (first := within[0]) == 0:
            limits.append(0.0)
        else:
            share = (delta[first - 1] - WITHIN) / (delta[first - 1] - delta[first])
            limits.append(length[first - 1] * (length[first] / length[first - 1]) ** share)
    return float(min(limits)) if limits else None


_SAID = {
    "crossover": "crossover not excluded",
    "logarithms": "logarithms not excluded",
    "height": "logarithms not excluded",
    "held": "poor fit",
}
_KNOWN = "if theory excludes it, say so (--excluded {0})"
_HOLDS = {
    "crossover": f"the errors hold without a crossover; {_KNOWN.format('crossover')}",
    "logarithms": f"the errors hold without logarithms; {_KNOWN.format('logarithms')}",
    "height": f"the errors hold without logarithms; {_KNOWN.format('logarithms')}",
    "held": "check what is fixed",
}


def objection(
    found: Sequence[Competitor], asked: Mapping[str, Parameter], largest: float
) -> tuple[str, str] | None:
    """Status and message where a form that counts is not excluded and moves what is asked for."""
    serious = [c for c in found if c.delta <= _limit(c, largest) and _moved(c, asked)]
    if not serious:
        return None
    best = {kind: min((c for c in serious if c.kind == kind), key=lambda c: c.delta)
            for kind in {c.kind for c in serious}}  # fmt: skip
    ranked = sorted(best.values(), key=lambda c: c.delta)
    said = "; ".join(f"{_words(c, asked)}: {_HOLDS[c.kind]}" for c in ranked)
    return _SAID[ranked[0].kind], said


def spanned(found: Sequence[Competitor], asked: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Parameters whose systematic error reaches to what is not excluded.

    By the root of its weight beside the fit, which is 1 where it fits as well; what was held is
    known, and counts only where it fits better free.
    """
    reach = dict.fromkeys(asked, 0.0)
    for c in found:
        if c.kind in KINDS and c.delta <= (0.0 if c.kind == "held" else WITHIN):
            weight = float(np.exp(-max(c.delta, 0.0) / 4))
            for name, p in asked.items():
                reach[name] = max(reach[name], weight * abs(c.parameters[name] - p.value))
    return {
        name: replace(p, systematic=float(np.hypot(p.systematic, reach[name])))
        for name, p in asked.items()
    }


def _limit(c: Competitor, largest: float) -> float:
    """The `delta` up to which a form is an objection, not a matter of the error alone."""
    within = c.parameters.get("crossover_length", 0.0) <= largest * (1 + 1e-9)
    if c.kind == "logarithms" or (c.kind == "crossover" and within):
        return WITHIN
    return -np.inf if c.kind == "kosterlitz-thouless" else -WITHIN


def _moved(c: Competitor, asked: Mapping[str, Parameter]) -> bool:
    return any(abs(c.parameters[name] - p.value) > p.error for name, p in asked.items())


def _words(c: Competitor, asked: Mapping[str, Parameter]) -> str:
    rated = "better" if c.delta < -WITHIN else "as well"
    values = ", ".join(f"{name} = {c.parameters[name]:.4g}" for name in asked)
    return f"{c.name} fits {rated} (chi2 + 2 k {c.delta:+.1f}), with {values}"


@dataclass(frozen=True, eq=False)
class _Field:
    """What all competitors start from: the fit, once more from where it ended.

    Its knots moved before its last pass, so that it is compared after as many passes.
    """

    problem: Problem
    base: Solution
    independent: float
    largest: float

    @classmethod
    def of(cls, fit: Fit) -> _Field:
        base = solve(fit.problem, fit.solution.theta, fit.solution.model, passes=1)
        largest = max(float(part.size.max()) for part in fit.parts)
        return cls(fit.problem, base, fit.independent, largest)

    def crossovers(self) -> Iterator[Competitor]:
        """From far beyond the sizes down, until a length is excluded by far."""
        for m in SHARPNESS:
            for factor in LENGTHS:
                tried = self._crossover(factor, m)
                yield tried
                if tried.delta > FAR:
                    break

    def _crossover(self, factor: float, m: float) -> Competitor:
        length = factor * self.largest
        form = with_crossover(self.problem.ansatz, length, sharpness=m)
        name = f"X = t l^(1/nu), l = L (1 + (L/{length:.4g})^{m:g})^(-1/{m:g})"
        return self._stretched(name, "crossover", form, crossover_length=length, sharpness=m)

    def logarithms(self) -> Iterator[Competitor]:
        """From the smallest power on, to either side, while it fits better."""
        for sign in (-1, 1):
            last = np.inf
            for power in POWERS:
                q = sign * power
                form = with_logarithms(self.problem.ansatz, stretch=q)
                name = f"X = t L^(1/nu) (ln L)^{q:g}"
                tried = self._stretched(name, "logarithms", form, log_power=q)
                yield tried
                if tried.delta > min(last, WITHIN):
                    break
                last = tried.delta

    def heights(self) -> Iterator[Competitor]:
        """A power of ln L in every observable whose exponent is free."""
        free = [b for b in range(len(self.problem.blocks)) if self._exponent(b)]
        for p in (-HEIGHT, HEIGHT) if free else ():
            blocks, theta = list(self.problem.blocks), self.base.theta.copy()
            for b in free:
                log = blocks[b].log_size + blocks[b].log_ref
                blocks[b] = _divided(blocks[b], log**p)
                theta[SHARED + OWN * b] -= p * np.polyfit(log, np.log(log), 1)[0]
            problem = replace(self.problem, blocks=blocks)
            yield self._fitted(f"A = L^e (ln L)^{p:g} f(X)", "height", problem, theta, log_power=p)

    def _exponent(self, b: int) -> bool:
        return self.problem.names[SHARED + OWN * b] not in self.problem.fixed

    def freed(self) -> Iterator[Competitor]:
        """Each exponent that was held, and the shape."""
        for name, value in self.problem.fixed.items():
            if name.startswith("exponent") or name == self.problem.names[SHAPE]:
                fixed = {k: v for k, v in self.problem.fixed.items() if k != name}
                problem = replace(self.problem, fixed=fixed)
                yield self._fitted(
                    f"{name} free, not {value:g}", "held", problem, self.base.theta, freed=value
                )

    def kosterlitz_thouless(self) -> Competitor:
        """With as many parameters as the power."""
        form = kosterlitz_thouless
        names = [form.parameter if i == SHAPE else n for i, n in enumerate(self.problem.names)]
        theta, problem = self.base.theta.copy(), replace(self.problem, ansatz=form, names=names)
        middle = float(np.mean(self._logs()))
        theta[SHAPE] = np.clip(middle - 2 / theta[SHAPE], *form.bounds)
        found = self._fitted("X = t (ln L/L0)^2", form.name, problem, theta)
        return replace(found, delta=found.delta - 2)

    def _logs(self) -> Floats:
        return np.concatenate([block.log_size + block.log_ref for block in self.problem.blocks])

    def _stretched(self, name: str, kind: str, form: Ansatz, **extra: float) -> Competitor:
        """Another stretch, begun with the shape that gives it the slope of the fit."""
        theta, log = self.base.theta.copy(), self._logs()
        if self.problem.names[SHAPE] not in self.problem.fixed:
            there, slope = form.stretch(log, theta[SHAPE])
            off = self.problem.ansatz.stretch(log, theta[SHAPE])[0] - there
            slope = slope - slope.mean()
            theta[SHAPE] += off @ slope / max(float(slope @ slope), 1e-300)
            theta[SHAPE] = theta[SHAPE].clip(*form.bounds)
        return self._fitted(name, kind, replace(self.problem, ansatz=form), theta, **extra)

    def _fitted(
        self, name: str, kind: str, problem: Problem, theta: Floats, **extra: float
    ) -> Competitor:
        own = solve(problem, theta, self.base.model, passes=1)
        delta = (own.chi2 - self.base.chi2) * self.independent + 2
        parameters = dict(zip(problem.names, map(float, own.theta), strict=True))
        return Competitor(name, kind, own.chi2, float(delta), parameters | extra)


def _divided(block: Block, factor: Floats) -> Block:
    """The block of A over a factor: whitened values stay as they are."""
    return replace(block, raw=block.raw / factor, whiten=block.whiten * factor)
