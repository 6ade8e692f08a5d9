"""Verdict on peak heights: do they diverge with the size?  The confidence set of growth classes.

The answer has two parts.  The first is the set of classes that are not excluded.  It contains the
true class in 95 % of the cases, if the laws of :mod:`heatcap.divergence.growth` describe the
heights at least nearly and the errors are known; crossovers at any length inside the sizes are
among these laws, and a lower limit of the crossover length comes with the set.  The second part,
`if_no_crossover`, is the sharper set under the assumption that there is no crossover (see
:mod:`heatcap.divergence.testing`).  A single class left is the verdict; logarithm and power law
together are "divergent"; anything else is "undecided".  All of it holds within the margins, which
are part of the answer, and for the size that was named.  Heights are in units of the observable,
lengths in units of the size.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from heatcap.core.arrays import Floats
from heatcap.core.result import Status, plain
from heatcap.divergence.answer import Answer
from heatcap.divergence.exponent import (
    Crossover,
    Exponent,
    crossover,
    growth_exponent,
    local_exponents,
)
from heatcap.divergence.growth import STEEPEST
from heatcap.divergence.heights import (
    Bound,
    Ceiling,
    Heights,
    ceiling,
    hump_at,
    informative,
    read_heights,
)
from heatcap.divergence.margins import BOUNDED, CLASSES, LOGARITHMIC, POWER, Margins, verdict_of
from heatcap.divergence.models import models_of, predictions
from heatcap.divergence.power import EXPONENTS, Advice, advice, detectable, realised, stability
from heatcap.divergence.testing import (
    NEAR,
    POOR,
    REPEATED,
    Fits,
    Plausible,
    Problem,
    Streams,
    check_options,
    judged_by,
    least_draws,
    plausible,
    problem,
    scale_of,
    standing_off,
    unlikely,
)

__all__ = ["BOUNDED_MEANS", "Verdict", "divergence_test", "judged"]

GROWS = "saturates"
SATURATES = f"the height {GROWS}"
BOUNDED_MEANS = (
    f"{SATURATES}: a crossover, or a transition at which this observable does not diverge "
    "(alpha <= 0, a jump, Kosterlitz-Thouless); these heights do not tell them apart"
)
MEANING = {
    "flat": "the heights do not change by more than the smallest effect over these sizes",
    "bounded": BOUNDED_MEANS,
    "logarithmic": "the height grows, slower than a power and towards no limit in sight",
    "power-law": "the height grows like a power of the size",
    "divergent": "the height grows without a limit in sight; logarithm or power law is open",
}
MESSAGES = {
    Status.MISFIT: (
        "no class describes the heights: errors too small, a wild height, or another form"
    ),
    Status.POOR_FIT: "no class describes the heights well: too much is left for their errors",
    Status.NO_ERRORS: "the scatter of so few heights says nothing of their errors",
    Status.AGAINST_THE_BOUND: "the data leave only what the bound excludes",
}
LEAST_FREE = 8  # sizes needed to estimate the errors from the scatter about the best fit
OFF_BY_THREE = 9.0  # chi^2 over that of draws, with errors three times too small: a misfit
ELSEWHERE = 9.0  # in chi^2 above the best fit: such functions do not describe the heights
NO_FAMILY = "c + a L^kappa with corrections does not describe the heights"
CONTINUED = 8.0  # times the largest size: how far best fits are continued
INNER = 150  # draws for advice and power


@dataclass(frozen=True, eq=False, kw_only=True)
class Verdict(Answer):
    """Classes that the data do not exclude, and the fits, limits and cautions behind them.

    Attributes marked "on demand" are computed at their first use, each from a random stream of its
    own.

    Attributes
    ----------
    verdict : str
        A class ("flat", "bounded", "logarithmic", "power-law"), "divergent" or "undecided".
    plausible : tuple of str
        The classes that are not excluded, where a crossover may begin at any length up to the
        largest size; empty where the status is not "ok".
    p_values : dict
        p-value of every class.
    crossover_length_lower_limit95 : float
        On demand.  Lower limit of the length at which a power law or logarithm is cut off (m from
        1/2 to 4), at 95 % if it has no corrections to scaling, in units of the size; 0 where a
        crossover at any length fits, heights do not grow, or no such growth describes them.  Never
        above the crossover length of the best bounded fit, where that is not excluded.
    if_no_crossover : tuple of str
        The plausible classes that are not excluded if there is no crossover at any length; no
        guarantee where there is one.  Empty where no class then describes the heights.
    exponent : Exponent
        On demand.  kappa of c + a (L^kappa - 1) / kappa with corrections to scaling, and its 95 %
        interval, given that heights grow so; NaN where they do not, or the status is not "ok".
    exponent_determined : bool
        Whether the exponent and its interval are defined; `why_no_exponent` has the reason if not.
    exponent_upper_limit95 : float
        One-sided; infinite where nothing limits it, or no exponent is determined.
    detectable_exponent : float
        On demand.  Smallest kappa that these data would distinguish from flat and bounded in 95 %
        of the cases, for a growth as large as the observed one; NaN if no exponent up to 3 is.
    models : list of dict
        On demand.  Every family of shapes that comes near the heights: name, class, parameters,
        chi2, dof, p_value, weight (Schwarz, equal prior for the classes), aicc_weight.
    margins : Margins
    calibration : dict
        On demand.  `replicates` drawn for each null, and the `realised_level`: the share of sets
        of data drawn from the best fit for which its class was plausible, from `repeats` sets
        with 100 draws each.
    warnings : list of str
    advice : str
        On demand.  Measurements that would decide; empty where the data decide.
    ways : dict
        The advice as numbers, for each plausible class of an undecided verdict: sizes to add
        (`more_sizes`), factor by which errors must shrink (`smaller_errors`); None where nothing
        that was tried is enough.
    seconds : float
        Wall time of the test, without the attributes on demand.
    size_name : str
    level : float
    data : Heights
        Sizes, heights and covariance as used.
    crossover : Crossover
        On demand.  chi^2 over exponent and crossover length.
    curves : dict
        On demand.  By class the best fit: `name`, `sizes` (a grid that goes beyond the data),
        `heights`; for growths one without a cut-off, if the data do not distinguish it from the
        best.
    draws : int
    fits : Fits
        Every shape that comes near the heights.
    local_exponents, predictions, stability : list of dict
        On demand.  kappa_eff from every smallest size on; prediction of the largest height from all
        others; classes and exponent without the smallest sizes.
    excluded_by_bound : tuple of str
    hump_at : float
        Size near which the heights have a maximum: they rise before it and fall after it by more
        than noise explains (:mod:`heatcap.divergence.heights`); NaN where there is none.
    status : Status
        "ok", or why no class is named: "misfit" (no class describes the heights), "poor fit" (none
        does well), "no errors" (and too few sizes to estimate them), "against the bound" (the data
        leave only classes that a theorem excludes).
    message : str
        Meaning of the status; empty where it is "ok".
    """

    MEANING = MEANING
    MESSAGES = MESSAGES
    MOST_TRIED = EXPONENTS[-1]
    NO_POWER = "the heights do not grow"

    margins: Margins
    size_name: str
    data: Heights = field(repr=False)
    fits: Fits = field(repr=False)
    if_no_crossover: tuple[str, ...] = ()
    hump_at: float = float("nan")
    draws: int = 400

    @cached_property
    def crossover(self) -> Crossover:
        return crossover(self.data)

    @property
    def cut_offs_fit(self) -> bool:
        """Whether a power or logarithm, cut off or not, fits nearly as well as the best function.

        Without corrections to scaling.  Else its crossover length says nothing of the heights.
        """
        return bool(self.crossover.lowest <= self.fits.chi2.min() + ELSEWHERE)

    @property
    def crossover_length_lower_limit95(self) -> float:
        if not self.ok:
            return 0.0
        limit, shapes = self.crossover.lower_limit95, self.fits.problem.shapes
        if not self.cut_offs_fit:
            return 0.0
        i = int(self.fits.of(BOUNDED)[0])
        parameters = (
            shapes.parameters(i) if "bounded" in self.plausible and not shapes.pure[i] else {}
        )
        return min(limit, parameters.get("xi", np.inf))

    @cached_property
    def exponent(self) -> Exponent:
        exponent = growth_exponent(self.data)
        return exponent.only_if(self.ok and not self._another_form(exponent))

    def _another_form(self, exponent: Exponent) -> bool:
        """Whether the best fit of all laws refutes the family of the exponent."""
        return bool(exponent.chi2.min() > self.fits.chi2.min() + ELSEWHERE)

    @cached_property
    def models(self) -> list[dict[str, Any]]:
        return models_of(self.fits)

    @cached_property
    def curves(self) -> dict[str, dict[str, Any]]:
        return _curves(self.fits)

    @cached_property
    def detectable_exponent(self) -> float:
        stream = self.streams.of("detectable")
        return detectable(self.fits, level=self.level, draws=self._inner(INNER), rng=stream)

    def _inner(self, draws: int) -> int:
        """Draws of a nested test, enough for the level."""
        return max(draws, least_draws(self.level))

    @cached_property
    def calibration(self) -> Mapping[str, Any]:
        return realised(
            self.fits.problem, self.fits, self.level, self.draws, self.streams.of("realised")
        )

    @cached_property
    def _advised(self) -> Advice:
        if self.status is Status.NO_ERRORS:
            return Advice({}, "give errors, or several runs of each size")
        if not self.ok or self.verdict != "undecided":
            return Advice({}, "")
        return advice(
            self.data, self.fits, self.plausible, size_name=self.size_name, level=self.level,
            draws=self._inner(INNER), rng=self.streams.of("advice"),
        )  # fmt: skip

    @cached_property
    def local_exponents(self) -> list[dict[str, float]]:
        return local_exponents(self.data)

    @cached_property
    def predictions(self) -> list[dict[str, Any]]:
        return predictions(self.data, self.margins, self.fits.problem.exponent)

    @cached_property
    def stability(self) -> list[dict[str, Any]]:
        return stability(
            self.data, self.margins, self.fits.problem.exponent, level=self.level,
            draws=self._inner(REPEATED), rng=self.streams.of("stability"),
        )  # fmt: skip

    @property
    def crossover_said(self) -> str:
        """The lower limit of the crossover length in words."""
        if self._course != GROWS:
            return f"crossover length: none, {self.NO_POWER}"
        if not self.cut_offs_fit:
            return "crossover length: no limit, cut-off powers do not describe the heights"
        if (limit := self.crossover_length_lower_limit95) == 0:
            return "crossover length: a crossover at any length fits"
        least = f"{self.size_name} = {float(f'{limit:.3g}'):g}"
        return (
            f"crossover length: if the growth crosses over, not below {least} (95 %, for growth "
            "without corrections to scaling)"
        )

    @property
    def why_no_exponent(self) -> str:
        """Reason why no exponent is determined; empty where one is."""
        why = super().why_no_exponent
        if not why or not self.ok:
            return why
        if self._course != GROWS:
            return self.NO_POWER
        return NO_FAMILY if self._another_form(self.exponent) else why

    @property
    def not_excluded(self) -> str:
        """Both parts of the answer, one per line."""
        if not self.ok:
            return super().not_excluded
        left = ", ".join(self.if_no_crossover) or "no class describes the heights"
        conditional = f"if there is no crossover: {left}"
        return "\n".join([super().not_excluded, self.crossover_said, conditional])

    @property
    def meaning(self) -> str:
        """Meaning of the verdict or the status; that of `bounded` where it is not excluded."""
        text = super().meaning.replace(SATURATES, f"the height {self._course}")
        # The heights have a maximum even where no class describes them.
        has_hump = self.status in (Status.MISFIT, Status.POOR_FIT) and np.isfinite(self.hump_at)
        return f"{text}; the height {self._course}" if has_hump else text

    @property
    def _course(self) -> str:
        """How bounded heights continue: through a maximum, downwards, or to a plateau."""
        if np.isfinite(self.hump_at):
            return f"has a maximum near {self.size_name} = {self.hump_at:g} and falls after it"
        heights = self.curves["bounded"]["heights"]
        return "falls with the size" if heights[-1] < heights[0] else GROWS

    def brief(self, name: str) -> str:
        """Summarise one of several observables, without the meaning and margins that all share."""
        first = f"{name}: {self.verdict} ({self.tested}); {self.not_excluded}"
        return "\n    ".join([*first.split("\n"), *self._numbers()])

    @property
    def tested(self) -> str:
        """Number of sizes and their range."""
        first, last = self.data.sizes[0], self.data.sizes[-1]
        return f"{len(self.data.sizes)} sizes, {self.size_name} = {first:g} to {last:g}"

    @property
    def exponent_said(self) -> str:
        """Exponent and detectable exponent in a line."""
        if self.why_no_exponent == self.NO_POWER:
            return (
                f"exponent: none, {self.NO_POWER} with the size; growth that sets in beyond "
                "these sizes is not tested"
            )
        return f"exponent in one family (0 is a logarithm): {self._exponent_or_why}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None for infinite or missing values."""
        names = ("size_name", "excluded_by_bound", "hump_at", "local_exponents", "predictions")
        data = {name: getattr(self.data, name) for name in ("sizes", "heights", "errors")}
        parts = ("stability", "if_no_crossover", "crossover_length_lower_limit95", "crossover")
        content = data | {name: getattr(self, name) for name in (*names, *parts)}
        return super().to_dict() | dict(plain(content))


def divergence_test(
    sizes: ArrayLike,
    heights: ArrayLike | None,
    errors: ArrayLike | None = None,
    *,
    covariance: ArrayLike | None = None,
    replicates: Sequence[ArrayLike] | None = None,
    runs: ArrayLike | None = None,
    labels: Sequence[Sequence[str]] | None = None,
    size_name: str = "L",
    level: float = 0.95,
    margins: Margins | None = None,
    exponent: float | None = None,
    bound: Bound | None = None,
    missing: Mapping[float, int] | Sequence[int] | None = None,
    rescale: bool = False,
    draws: int = 400,
    rng: int | np.random.Generator = 0,
) -> Verdict:
    """Test how peak heights grow with the size: flat, bounded, logarithm or power law.

        h(L) = s + a [g(L) + b (L / L_min)^-omega]

    with the growth laws g of :mod:`heatcap.divergence.growth`.

    Parameters
    ----------
    sizes : array_like (size,)
        At least four, each once, above 1.
    heights : array_like (size,)
        May be None if there are replicates.
    errors : array_like (size,), optional
        One standard deviation.  Without any errors they are taken as equal and estimated from the
        scatter about the best fit; a misfit then remains undetected.
    covariance : array_like (size, size), optional
        Instead of errors.
    replicates : sequence of array_like, optional
        Heights of independent runs of each size, which give mean and error.
    runs : int or array_like (size,), optional
        Number of runs behind each of the `errors`, two or more: errors of few runs are widened.
    labels : sequence of sequence of str, optional
        Name of each replicate, for messages on a run that dominates the mean of its size.
    size_name : str
        Name of the size to which the verdict refers.
    level : float
        Coverage: lowest probability that the true class is plausible, for heights that the laws
        describe at least nearly, at known errors.
    margins : Margins, optional
    exponent : float, optional
        Exponent of the power law where theory gives it (d at a first-order transition); no other
        power law is then tried.
    bound : array_like (size,) or callable, optional
        Upper bound of the observable at each size, such as :func:`heatcap.heat_capacity_bound`
        where the size is the number of keys.  A function is also asked how it grows.
    missing : mapping or sequence, optional
        By size (or in the order of the sizes) the number of runs without a peak, which are not in
        the heights: a warning states it.
    rescale : bool
        Multiply the errors until chi^2 has its expected value, if it has not.
    draws : int
        Sets of data drawn for each null.
    rng : int or Generator

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        If sizes, heights or errors cannot be used, or an option is out of range.
    """
    start = time.perf_counter()
    check_options(level, draws)
    m, streams = margins or Margins(), Streams(rng)
    if exponent is not None and not m.kappa_min <= exponent <= STEEPEST:
        raise ValueError(
            f"an exponent must lie between kappa_min, {m.kappa_min:g}, and {STEEPEST:g}, got "
            f"{exponent}"
        )
    data = read_heights(
        sizes, heights, errors, covariance=covariance, replicates=replicates, runs=runs,
        labels=labels, size_name=size_name,
    )  # fmt: skip
    data, asked = informative(data, size_name), np.asarray(sizes, dtype=np.float64)
    limit = ceiling(data, bound, m, size_name, asked)
    data, setup, result, warnings = judged(data, m, exponent, rescale, draws, streams.of("test"))
    names, messages, contradiction = _within_bound(result.names(level), limit)
    fits, status = setup.fits(data.heights), _status(data, result, contradiction)
    sharper: tuple[str, ...] = ()
    if status is Status.OK:
        conditional = plausible(
            setup.pure, data.heights, draws=draws, rng=streams.of("conditional")
        )
        if not (scale_of(conditional) ** 2 > POOR and unlikely(conditional)):
            sharper = tuple(name for name in conditional.names(level) if name in names)
    if status in (Status.POOR_FIT, Status.MISFIT):
        warnings += standing_off(data.sizes, data.heights, data.covariance, fits, size_name)
    warnings += [*limit.messages, *messages, *_missing_runs(missing, asked, size_name)]
    if exponent is not None:
        warnings.append(f"power-law: the exponent {exponent:g} alone was tried, as given")
    return Verdict(
        verdict=verdict_of(names) if status is Status.OK else "undecided",
        status=status,
        message=MESSAGES.get(status, ""),
        plausible=names if status is Status.OK else (),
        p_values=dict(zip(CLASSES, result.p_values.tolist(), strict=True)),
        margins=m,
        warnings=warnings,
        seconds=time.perf_counter() - start,
        size_name=size_name,
        level=level,
        data=data,
        fits=fits,
        if_no_crossover=sharper,
        hump_at=hump_at(data),
        excluded_by_bound=limit.excluded,
        streams=streams,
        draws=draws,
    )


def _status(data: Heights, result: Plausible, contradiction: bool) -> Status:
    if not data.known and len(data.sizes) < LEAST_FREE:
        return Status.NO_ERRORS
    excess = scale_of(result) ** 2 if unlikely(result) else 0.0
    if excess > POOR:
        return Status.MISFIT if excess > OFF_BY_THREE else Status.POOR_FIT
    return Status.AGAINST_THE_BOUND if contradiction else Status.OK


def judged(
    data: Heights,
    m: Margins,
    exponent: float | None,
    rescale: bool,
    draws: int,
    rng: np.random.Generator,
) -> tuple[Heights, Problem, Plausible, list[str]]:
    """Test the heights, and check their errors with chi^2 (`rescale` adjusts them)."""

    def prepared(scaled: Heights) -> Problem:
        return problem(scaled.sizes, scaled.covariance, m, exponent, heights=scaled.heights)

    return judged_by(prepared, data, data.heights, rescale, draws, rng, "heights")


def _within_bound(
    names: tuple[str, ...], limit: Ceiling
) -> tuple[tuple[str, ...], list[str], bool]:
    """Classes that neither data nor bound exclude, messages, and whether these contradict."""
    left = tuple(name for name in names if name not in limit.excluded)
    removed = ", ".join(name for name in names if name in limit.excluded)
    if not removed:
        return names, [], False
    if left:
        return left, [f"excluded by the bound, not by the data: {removed}"], False
    message = (
        f"the data leave only {removed}, which the bound excludes: growth that cannot go on beyond "
        "these sizes, or a bound of something else"
    )
    return names, [message], True


def _continuation(fits: Fits, kind: int) -> int:
    """Best fit of a class; for growths one without a cut-off beyond the data, if it is as good.

    Over the data both agree, but the continuation of a cut-off growth saturates: it would show
    another class.
    """
    rows = fits.of(kind)
    if kind in (LOGARITHMIC, POWER):
        pure = rows[fits.problem.shapes.pure[rows]]
        if len(pure) and fits.score[pure[0]] <= fits.score[rows[0]] + NEAR:
            return int(pure[0])
    return int(rows[0])


def _missing_runs(
    missing: Mapping[float, int] | Sequence[int] | None, sizes: Floats, size_name: str
) -> list[str]:
    if missing is None:
        return []
    if isinstance(missing, Mapping):
        counts = {float(size): int(n) for size, n in missing.items()}
    elif len(missing) == len(sizes):
        counts = dict(zip(sizes.tolist(), map(int, missing), strict=True))
    else:
        raise ValueError(f"expected missing runs of {len(sizes)} sizes, got {len(missing)}")
    listed = [f"{n} at {size_name} = {size:g}" for size, n in sorted(counts.items()) if n]
    if not listed:
        return []
    return [
        "runs without a peak are not in the heights: " + ", ".join(listed) + "; if "
        "they are not like the others, the heights are a selection"
    ]


def _curves(fits: Fits) -> dict[str, dict[str, Any]]:
    rows = np.array([_continuation(fits, kind) for kind in range(len(CLASSES))])
    shapes = fits.problem.shapes
    grid = np.geomspace(shapes.sizes[0], CONTINUED * shapes.sizes[-1], 160)
    heights = fits.curves_at(rows, grid)
    return {
        name: {"name": shapes.name(i), "sizes": grid, "heights": h}
        for name, i, h in zip(CLASSES, rows.tolist(), heights, strict=True)
    }
