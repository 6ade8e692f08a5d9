"""False-alarm rates and power of a planned experiment, before anything is measured.

For every assumed truth, data are drawn at the planned sizes and errors and go through the whole
test, so that the rates are those of the test itself and not of a formula.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from heatcap.core.arrays import Floats
from heatcap.core.result import Result
from heatcap.divergence.heights import checked_sizes
from heatcap.divergence.margins import CLASSES, Margins, check_level, right_verdicts, verdict_of
from heatcap.divergence.power import DECIDED, kept_classes
from heatcap.divergence.testing import plausible, problem

__all__ = ["Calibration", "Truth", "calibrate", "usual_truths"]

VERDICTS = (*CLASSES, "divergent", "undecided")
DRAWS = 200  # for each null
SMALLER = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)  # factors by which errors may shrink
MORE = (0, 1, 2, 3, 4, 6, 8)  # sizes to add


@dataclass(frozen=True)
class Truth:
    """A growth law with its class: heights as a function of an array of sizes.

    Raises
    ------
    ValueError
        If `kind` is not one of the classes.
    """

    name: str
    kind: str
    heights: Callable[[Floats], Floats]

    def __post_init__(self) -> None:
        if self.kind not in CLASSES:
            raise ValueError(
                f"the class of {self.name} must be one of {CLASSES}, got {self.kind!r}"
            )


def usual_truths(sizes: Floats) -> list[Truth]:
    """List a constant, and laws of each class that grow by half of the smallest height."""
    low, high = float(sizes.min()), float(sizes.max())

    def rising(g: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
        first, last = g(np.array([low, high]))
        return lambda L: 1.0 + 0.5 * (g(L) - first) / (last - first)

    def power(kappa: float) -> Truth:
        return Truth(f"c + a L^{kappa:g}", "power-law", rising(lambda L: L**kappa))

    length = np.sqrt(low * high)
    return [
        Truth("constant", "flat", lambda L: np.ones_like(L)),
        Truth("s - a/L", "bounded", rising(lambda L: -1.0 / L)),
        Truth(f"s - a exp(-L/{length:.3g})", "bounded", rising(lambda L: -np.exp(-L / length))),
        Truth("c + a ln L", "logarithmic", rising(lambda L: np.log(L))),
        *(power(kappa) for kappa in (0.2, 0.4, 1.0)),
    ]


@dataclass(frozen=True, eq=False)
class Calibration(Result):
    """Verdicts that a planned experiment would reach, for each assumed truth.

    Attributes
    ----------
    sizes : ndarray
    relative_error : float
        Error of one height over the height, after averaging over all its seeds.
    rows : list of dict
        By truth: `truth`, `class`, the share of each verdict (`verdicts`), `coverage` (its class
        plausible), `power` (its class alone, or "divergent" for the two divergent ones), `false`
        (a wrong verdict).
    suggestions : list of dict
        By truth without enough power: `smaller_errors`, `seeds` (if the seeds are given) and
        `more_sizes`; None where nothing that was tried is enough.
    """

    FIELDS = (
        *("sizes", "relative_error", "seeds", "level", "margins", "replicates", "rows"),
        *("suggestions", "seconds"),
    )

    sizes: Floats
    relative_error: float
    seeds: int | None
    level: float
    margins: Margins
    replicates: int
    rows: list[dict[str, Any]]
    suggestions: list[dict[str, Any]]
    seconds: float

    def _lines(self) -> Sequence[str]:
        """Format a line for every truth, then the suggestions."""
        sizes = ", ".join(f"{size:g}" for size in self.sizes)
        lines = [
            f"sizes {sizes}; errors of {self.relative_error:.2%} of a height"
            + (f" ({self.seeds} seeds)" if self.seeds else "")
            + f"; {self.replicates} experiments for each truth"
        ]
        for row in self.rows:
            shares = ", ".join(f"{name} {share:.2f}" for name, share in row["verdicts"].items())
            lines.append(
                f"{row['truth']} ({row['class']}): {shares}; power {row['power']:.2f}, "
                f"false {row['false']:.2f}, coverage {row['coverage']:.2f}"
            )
        return [*lines, *(suggestion["text"] for suggestion in self.suggestions)]


def calibrate(
    sizes: ArrayLike,
    relative_error: float | None = None,
    *,
    seeds: int | None = None,
    scatter: float | None = None,
    margins: Margins | None = None,
    level: float = 0.95,
    truths: list[Truth] | None = None,
    replicates: int = 100,
    rng: int | np.random.Generator = 0,
) -> Calibration:
    """Compute false-alarm rates and power of a planned experiment, for each class of truth.

    Parameters
    ----------
    sizes : array_like (size,)
        Planned sizes.
    relative_error : float, optional
        Relative error of the height of one size, after averaging over seeds.
    seeds : int, optional
        Number of runs of each size.
    scatter : float, optional
        Relative scatter of the height between runs; with `seeds` it gives the relative error.
    margins : Margins, optional
    level : float
    truths : list of Truth, optional
        :func:`usual_truths` by default: a constant, two that saturate, a logarithm, and powers 0.2,
        0.4 and 1, which grow by half of the smallest height over the sizes.
    replicates : int
        Experiments drawn for each truth.
    rng : int or Generator

    Returns
    -------
    Calibration

    Raises
    ------
    ValueError
        If the error is not between 0 and 1, neither it nor seeds and scatter are given, or another
        option is out of range.
    """
    start = time.perf_counter()
    size = np.sort(checked_sizes(sizes))
    error = _planned_error(relative_error, seeds, scatter)
    check_level(level)
    if replicates < 1:
        raise ValueError(f"at least one replicate is needed, got {replicates}")
    m, generator = margins or Margins(), np.random.default_rng(rng)
    rows, suggestions = [], []
    for truth in usual_truths(size) if truths is None else truths:
        row = _rates(truth, size, error, m, level, replicates, generator)
        rows.append(row)
        if row["power"] < DECIDED:
            suggestions.append(_suggest(truth, size, error, seeds, m, level, generator))
    seconds = time.perf_counter() - start
    return Calibration(size, error, seeds, level, m, replicates, rows, suggestions, seconds)


def _planned_error(relative_error: float | None, seeds: int | None, scatter: float | None) -> float:
    if seeds is not None and seeds < 1:
        raise ValueError(f"at least one seed is needed, got {seeds}")
    if relative_error is None:
        if seeds is None or scatter is None:
            raise ValueError("give a relative error, or seeds and their scatter")
        relative_error = scatter / np.sqrt(seeds)
    elif scatter is not None:
        raise ValueError("give a relative error or a scatter, not both")
    if not 0 < relative_error < 1:
        raise ValueError(f"the relative error must lie between 0 and 1, got {relative_error}")
    return float(relative_error)


def _rates(
    truth: Truth,
    sizes: Floats,
    error: float,
    margins: Margins,
    level: float,
    replicates: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    curve = truth.heights(sizes)
    covariance = np.diag((error * curve) ** 2)
    names = []
    for y in curve * (1 + error * rng.normal(size=(replicates, len(curve)))):
        setup = problem(sizes, covariance, margins, heights=y)
        names.append(plausible(setup, y, draws=DRAWS, rng=rng).names(level))
    verdicts = [verdict_of(plausible_names) for plausible_names in names]
    right = right_verdicts(truth.kind)
    shares = {name: verdicts.count(name) / replicates for name in VERDICTS if name in verdicts}
    return {
        "truth": truth.name,
        "class": truth.kind,
        "verdicts": shares,
        "coverage": sum(truth.kind in plausible_names for plausible_names in names) / replicates,
        "power": sum(shares.get(name, 0.0) for name in right),
        "false": sum(v for name, v in shares.items() if name not in (*right, "undecided")),
    }


def _suggest(
    truth: Truth,
    sizes: Floats,
    error: float,
    seeds: int | None,
    margins: Margins,
    level: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Suggest smaller errors or more sizes, by the estimate of power without a nested bootstrap."""

    def enough(planned: Floats, planned_error: float) -> bool:
        curve = truth.heights(planned)
        covariance = np.diag((planned_error * curve) ** 2)
        setup = problem(planned, covariance, margins, heights=curve)
        allowed = kept_classes(setup, curve, level=level, draws=DRAWS, rng=rng)
        verdicts = [
            verdict_of(tuple(name for name, is_in in zip(CLASSES, row, strict=True) if is_in))
            for row in allowed
        ]
        return sum(verdicts.count(name) for name in right_verdicts(truth.kind)) >= DECIDED * len(
            verdicts
        )

    ratio = sizes[-1] / sizes[-2]
    longer = {n: np.round(sizes[-1] * ratio ** np.arange(1, n + 1)) for n in MORE}
    factor = next((f for f in SMALLER if enough(sizes, error / f)), None)
    added = next((n for n in MORE if enough(np.concatenate([sizes, longer[n]]), error)), None)
    runs = None if factor is None or seeds is None else int(np.ceil(seeds * factor**2))
    more = None if added is None else longer[added].tolist()
    return {
        "truth": truth.name,
        "smaller_errors": factor,
        "seeds": runs,
        "more_sizes": more,
        "text": _suggestion_text(truth.name, factor, runs, more),
    }


def _suggestion_text(
    name: str, factor: float | None, runs: int | None, more: list[float] | None
) -> str:
    ways = []
    if factor is not None:
        ways.append(f"errors smaller by {factor:g}" + (f" ({runs} seeds)" if runs else ""))
    if more:
        ways.append("more sizes: " + ", ".join(f"{size:g}" for size in more))
    if not ways:
        return (
            f"{name}: neither errors {SMALLER[-1]:g} times smaller nor {MORE[-1]} more sizes tell"
        )
    return f"{name}: told {DECIDED:.0%} of the time by " + ", or by ".join(ways)
