"""The range of the control that scales, where not all points do.

Points far from x_c do not scale, at no size: a background, another transition or a limit of the
quantity adds to what does.  A good chi^2 does not find the range that scales: the widest one whose
chi^2 is good still has a part of the misfit in its parameters, and half of the intervals of 95 %
missed the truth.  Ranges that shrink about x_c are fitted each by itself instead, until one agrees
with the next two within noise.  The next narrower one is reported, and how far the parameters moved
is a systematic error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from heatcap.core.result import Parameter, Status, readable
from heatcap.scaling.collapse_checks import (
    FITS,
    MOST,
    p_value_of,
    parameters_of,
    status_of,
    too_little,
    window_of,
)
from heatcap.scaling.collapse_fits import Fit, correlation_of, scan, search
from heatcap.scaling.collapse_problem import Problem
from heatcap.scaling.data import Points
from heatcap.scaling.powers import heaviest

__all__ = ["Range", "settled", "thinned"]

SEARCHED = 240  # points of an observable in the global search
NARROWER = 0.7  # share of the points that are left in the next range
NARROWEST = 0.12  # share down to which there is one
LEAST_DOF = 8  # of a fit in a range: with fewer any form fits
AGREE = 2.0  # standard deviations of their difference within which two ranges agree
DEEPER = 2  # ranges with which one must agree
LEAST = 0.5  # of the error in the narrower range: the least deviation of the difference


@dataclass(frozen=True, eq=False)
class Range:
    """Fits to the points of one range; `moved`: how far parameters are from the next wider one."""

    fits: list[Fit]
    parameters: Mapping[str, Parameter]
    moved: Mapping[str, float]


def settled(
    parts: Sequence[Points], whole: Problem, rng: np.random.Generator
) -> tuple[Range | None, str]:
    """The widest range that agrees with narrower ones; None and the reason if there is none."""
    tried: list[Range] = []
    for found in _ranges(parts, whole, rng):
        tried.append(found)
        first = tried[-1 - DEEPER :][0]
        if len(tried) > DEEPER and _agree(first, tried[-DEEPER:]):
            return _between(first, tried[-DEEPER]), ""
    # The last ranges have fewer narrower ones.
    for k in range(max(len(tried) - DEEPER, 0), len(tried) - 1):
        if _agree(tried[k], tried[k + 1 :]):
            return _between(tried[k], tried[k + 1]), ""
    if len(tried) < 2:
        return None, "too few points near x_c tell whether narrower ranges agree"
    seen = [found.parameters for found in tried]
    name = max(_compared(tried[0]), key=lambda n: _apart(n, tried[0], tried[1]))
    values = ", ".join(readable(p[name].value, p[name].error) for p in seen)
    return None, f"ever narrower ranges give other answers, {name} = {values}"


def _between(wide: Range, narrow: Range) -> Range:
    moved = {
        name: abs(p.value - wide.parameters[name].value) for name, p in narrow.parameters.items()
    }
    return replace(narrow, moved=moved)


def _agree(wide: Range, narrower: Sequence[Range]) -> bool:
    return all(_apart(n, wide, narrow) <= AGREE for n in _compared(wide) for narrow in narrower)


def _compared(found: Range) -> list[str]:
    """Names of the parameters that are fitted, without omega."""
    return [name for name, p in found.parameters.items() if name != "omega" and p.error > 0]


def _apart(name: str, wide: Range, narrow: Range) -> float:
    """Difference of two ranges, one within the other, in its standard deviations.

    An estimate from a part of the data is that from all of them plus independent noise, if the
    latter is efficient: the variance of the difference is the difference of variances.
    """
    a, b = wide.parameters[name], narrow.parameters[name]
    variance = max(b.statistical**2 - a.statistical**2, (LEAST * b.statistical) ** 2)
    return float(abs(a.value - b.value) / np.sqrt(variance))


def _ranges(parts: Sequence[Points], whole: Problem, rng: np.random.Generator) -> Iterator[Range]:
    """Ever narrower ranges about the place where sizes come to differ fastest, if they fit.

    Points far from x_c mislead the search: it starts anew in every range.  (The windows in X of a
    scan keep the points of small sizes, far from x_c as they are: a range fits where most of its
    points are used.)
    """
    centre = float(np.median([_steepest(part) for part in parts]))
    total = sum(map(len, parts))
    chosen: list[NDArray[np.intp]] = [np.arange(len(part)) for part in parts]
    while True:
        distances = [np.abs(p.control[r] - centre) for p, r in zip(parts, chosen, strict=True)]
        farthest = np.quantile(every := np.concatenate(distances), NARROWER, method="lower")
        if farthest == every.max():  # points of all sizes at the same two controls
            return
        chosen = [r[d <= farthest] for r, d in zip(chosen, distances, strict=True)]
        near = [part.take(rows) for part, rows in zip(parts, chosen, strict=True)]
        count = sum(map(len, near))
        if count < NARROWEST * total or too_little(near, whole.names, whole.fixed):
            return
        if min(np.unique(part.size).size for part in near) < 3:
            return
        fits = _fitted(near, whole, rng)
        if not fits:
            continue
        parameters = parameters_of(fits, whole.names)
        status, _ = status_of(
            parameters, whole.fixed, p_value_of(heaviest(fits)), 0.0, 0, whole.ansatz, near
        )
        if status is not Status.OK or p_value_of(heaviest(fits)) < FITS or window_of(fits) < MOST:
            continue
        fits = [
            replace(
                fit,
                rows=[rows[of] for rows, of in zip(chosen, fit.rows, strict=True)],
                cut=fit.cut + total - count,
                share=fit.share * count / total,
            )
            for fit in fits
        ]
        yield Range(fits, parameters, {})


def _fitted(near: Sequence[Points], whole: Problem, rng: np.random.Generator) -> list[Fit]:
    """The scan of one range, from a search of its own."""
    problem = Problem.of(near, whole.ansatz, whole.names, whole.fixed)
    thin = Problem.of([thinned(part) for part in near], whole.ansatz, whole.names, whole.fixed)
    guess = search(thin, {}, rng)
    found = scan(near, problem, guess, correlation_of(near, problem, guess))
    return [fit for fit in found if fit.solution.dof >= LEAST_DOF]


def _steepest(part: Points) -> float:
    """The control at which the largest size departs fastest from the smallest one."""
    large, small = (part.take(part.size == s) for s in (part.size.max(), part.size.min()))
    x, error = large.control, large.error
    y = large.value - np.interp(x, small.control, small.value)
    step = np.maximum(np.abs(y[2:] - y[:-2]) - 2 * np.hypot(error[2:], error[:-2]), 0)
    return float(x[1:-1][np.argmax(step / (x[2:] - x[:-2]))]) if x.size > 2 else float(x.mean())


def thinned(part: Points) -> Points:
    """Enough points for a search, evenly along the control of every size."""
    sizes = np.unique(part.size)
    most = max(12, SEARCHED // sizes.size)
    rows = []
    for size in sizes:
        indices = np.flatnonzero(part.size == size)
        evenly = np.linspace(0, indices.size - 1, min(indices.size, most))
        rows.append(indices[evenly.round().astype(int)])
    return part.take(np.concatenate(rows))
