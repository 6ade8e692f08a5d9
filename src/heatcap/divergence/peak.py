"""Verdict on a peak along the control at one size: power law, logarithm, or rounded.

The answer has the form of that on heights against size: the set of classes that the data do not
exclude.  It contains the true class in 95 % of the cases (:mod:`heatcap.divergence.testing`), for
curves that the forms describe at least nearly, on a linear background.  At one size every peak is
finite: a power law must be visible over at least a decade of |x - x_c|; otherwise the rounding
itself is visible, and the peak is bounded (:mod:`heatcap.divergence.peak_shapes`).  x_c is in units
of the control, values in those of the observable.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter, Status, plain
from heatcap.divergence.answer import Answer
from heatcap.divergence.curve import Curve, read_curve
from heatcap.divergence.exponent import Exponent
from heatcap.divergence.margins import CLASSES, POWER, PeakMargins, verdict_of
from heatcap.divergence.models import models_of_peaks
from heatcap.divergence.peak_fit import (
    PeakFits,
    PeakProblem,
    peak_exponent,
    peak_position,
    peak_problem,
)
from heatcap.divergence.peak_shapes import STEEPEST_ALPHA, reach
from heatcap.divergence.power import Advice, detectable_alpha, peak_advice, realised
from heatcap.divergence.testing import Plausible, Streams, check_options, judged_by

__all__ = ["ROUNDED_MEANS", "PeakVerdict", "judged_peak", "peak_test"]

ROUNDED_MEANS = (
    "the peak is rounded, or a jump, as seen at this size: a crossover, or a transition at which "
    "this observable does not diverge (alpha <= 0, a jump, Kosterlitz-Thouless), or one whose "
    "rounding goes away with the size; only heights against size tell these apart"
)
ONE_SIZE = "which cannot tell a rounded transition from a crossover"
FINITE = (
    "a peak at one size is finite: a power law or a logarithm is meant over the reach, and cut off "
    "below it; whether the peak goes on growing, only heights against size tell"
)
MESSAGES = {
    Status.EDGE: "the maximum is at the edge of the window: no peak is seen, and no class is named",
    Status.MISFIT: (
        "no form describes these values: chi2 is more than four times what it should be, and no "
        "class is named; a narrower window about one maximum may help"
    ),
}
MEANING = {
    "flat": "the values do not change by more than the smallest effect over the window",
    "bounded": ROUNDED_MEANS,
    "logarithmic": "the peak grows towards x_c like a logarithm of the distance, down to a cut-off",
    "power-law": "the peak grows towards x_c like a power of the distance, down to a cut-off",
    "divergent": "the peak grows towards x_c without rounding in sight; logarithm or power is open",
}

INNER = 40  # draws for advice and power
OUTER = 0.1  # of the window at each end: a curve that still rises there has no maximum inside
RISING = 0.05  # of the change of the curve: the least such rise
CHANCE = 16.0  # in chi^2: gain of a peak over a drift that noise alone may reach
OFF_BY_TWO = 4.0  # chi^2 over that of draws, with errors two times too small: a misfit
EXACT = 1e-10  # of the largest value: scatter below it is rounding
EVENLY = np.linspace(0.0, 1.0, 201)


@dataclass(frozen=True, eq=False, kw_only=True)
class PeakVerdict(Answer):
    """Classes that a curve along the control does not exclude, with fits, limits and cautions.

    Attributes
    ----------
    verdict : str
        A class ("flat", "bounded", "logarithmic", "power-law"), "divergent" or "undecided".
    plausible : tuple of str
        The classes that are not excluded; empty where the status is not "ok".
    p_values : dict
        p-value of every class.
    exponent : Exponent
        alpha of a peak with an unresolved cut-off, its 95 % interval and the profile of chi^2; NaN
        where no such peak comes near the data, or the status is not "ok".
    x_c : Parameter
        Position of the peak in units of the control: the point towards which a power law or a
        logarithm grows, the middle of a step, the maximum of a rounded peak.  Its systematic error
        is the difference between the forms that fit nearly as well as the best.  NaN where the
        values may be flat, or the status is not "ok".
    exponent_determined : bool
        Whether the exponent and its interval are defined; `why_no_exponent` has the reason if not.
    exponent_upper_limit95 : float
        One-sided; infinite where nothing limits it, or no exponent is determined.
    detectable_exponent : float
        Smallest alpha that these data would distinguish from flat and bounded in 95 % of the cases,
        for a power law as high as the observed peak; NaN if no exponent up to 3 is.
    models : list of dict
        Every family of forms: name, class, parameters in units of the control (of its logarithm
        for widths, where forms are functions of it), chi2, dof, p_value, weight (Schwarz, equal
        prior for the classes), aicc_weight.
    margins : PeakMargins
    calibration : dict
        `replicates` drawn for each null, and the `realised_level`: the share of sets of data drawn
        from the best fit for which its class was plausible, from `repeats` sets.
    warnings : list of str
    advice : str
        Measurements that would decide; empty where the data decide.
    seconds : float
        Wall time of the test.
    control_name : str
    level : float
    data : Curve
        Points, values and covariance as used.
    status : Status
        "ok"; "edge" where no maximum is inside the window, "misfit" where no form comes near the
        values with errors as they were given, whether or not these are then multiplied: then the
        verdict is "undecided", and no class is plausible.
    message : str
        Meaning of the status; empty where it is "ok".
    curves : dict
        By class the best fit: `name`, `control` (a grid), `values`, `x_c`; of a power law also
        its `background`.
    ways : dict
        The advice as numbers, for each plausible class of an undecided verdict: factor by which the
        points about the maximum must be denser (`finer_points`), or errors smaller
        (`smaller_errors`); None where nothing that was tried is enough.
    """

    MEANING = MEANING
    MESSAGES = MESSAGES
    MOST_TRIED = STEEPEST_ALPHA
    NO_POWER = "no power law comes near"

    margins: PeakMargins
    control_name: str
    data: Curve = field(repr=False)
    fits: PeakFits = field(repr=False)
    draws: int = 400

    @cached_property
    def exponent(self) -> Exponent:
        return peak_exponent(self.fits).only_if(self.ok)

    @cached_property
    def x_c(self) -> Parameter:
        return peak_position(self.fits, self.plausible)

    @cached_property
    def models(self) -> list[dict[str, Any]]:
        return models_of_peaks(self.fits)

    @cached_property
    def curves(self) -> dict[str, dict[str, Any]]:
        return _curves(self.fits)

    @cached_property
    def detectable_exponent(self) -> float:
        stream = self.streams.of("detectable")
        return detectable_alpha(self.fits, level=self.level, draws=INNER, rng=stream)

    @cached_property
    def calibration(self) -> Mapping[str, Any]:
        return realised(
            self.fits.problem, self.fits, self.level, self.draws, self.streams.of("realised")
        )

    @cached_property
    def _advised(self) -> Advice:
        if not self.ok or self.verdict != "undecided":
            return Advice({}, "")
        return peak_advice(
            self.fits, self.plausible, control_name=self.control_name, level=self.level,
            draws=INNER, rng=self.streams.of("advice"),
        )  # fmt: skip

    @property
    def tested(self) -> str:
        """Limit of a verdict at one size, number of points and their range."""
        first, last = self.data.control[0], self.data.control[-1]
        of = f"ln {self.control_name}" if self.data.logarithmic else self.control_name
        return (
            f"at one size, {ONE_SIZE}; {len(self.data.control)} points, {self.control_name} = "
            f"{first:g} to {last:g}, forms in {of}"
        )

    @property
    def exponent_said(self) -> str:
        """Exponent and detectable exponent in a line."""
        if self.why_no_exponent == self.NO_POWER:
            return f"exponent alpha: {self.NO_POWER} these values; {self._detectable()}"
        named = "exponent alpha, if the cut-off is out of sight (0 is a logarithm)"
        return f"{named}: {self._exponent_or_why}"

    @property
    def position_said(self) -> str:
        """Position of the peak in a line."""
        if not np.isfinite(self.x_c.value):
            return "x_c: none, no peak is seen for certain"
        low, high = self.x_c.ci95
        return (
            f"x_c = {self.x_c.value:.4g}, 95 % interval {low:.4g} to {high:.4g} (error "
            f"{self.x_c.statistical:.2g} in a form, {self.x_c.systematic:.2g} between forms)"
        )

    def _numbers(self, *margins: str) -> list[str]:
        return [self.position_said, *super()._numbers(*margins)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None for infinite or missing values."""
        along_control = {
            "x_c": self.x_c.to_dict(),
            "control_name": self.control_name,
            "logarithmic": self.data.logarithmic,
            "window": self.data.control[[0, -1]],
        }
        return super().to_dict() | dict(plain(along_control))


def peak_test(
    control: ArrayLike,
    values: ArrayLike,
    errors: ArrayLike | None = None,
    *,
    covariance: ArrayLike | None = None,
    control_name: str = "x",
    window: tuple[float, float] | None = None,
    logarithmic: bool = False,
    level: float = 0.95,
    margins: PeakMargins | None = None,
    rescale: bool = False,
    draws: int = 400,
    rng: int | np.random.Generator = 0,
) -> PeakVerdict:
    """Test whether a peak along the control is a power law, a logarithm or rounded.

        A(x) = s + c (x - x_bar) + a g(x - x_c),    g ~ (|x - x_c|^m + delta^m)^(-alpha/m)

    against rounded peaks and steps (:mod:`heatcap.divergence.peak_shapes`).

    Parameters
    ----------
    control : array_like (point,)
        At least twelve in the window, each once.
    values : array_like (point,)
        Of one observable at one size; the largest must be positive.
    errors : array_like (point,), optional
        One standard deviation, independent.  Without any errors they are taken as equal and
        estimated from the scatter about the best fit; a misfit then remains undetected.
    covariance : array_like (point, point), optional
        Instead of errors: neighbouring points of one run are correlated.
    control_name : str
    window : tuple of float, optional
        Lowest and highest control that is used.
    logarithmic : bool
        Use forms that are functions of ln control, as for training steps.
    level : float
        Coverage: lowest probability that the true class is plausible, for curves that the forms
        describe at least nearly, at known errors.
    margins : PeakMargins, optional
    rescale : bool
        Multiply the errors until chi^2 has its expected value, if it has not.  Values whose chi^2
        is more than four times too large have no verdict even so.
    draws : int
        Sets of data drawn for each null.
    rng : int or Generator

    Returns
    -------
    PeakVerdict

    Raises
    ------
    ValueError
        If points, values or errors cannot be used, an option is out of range, or the values lie on
        a straight line or have neither errors nor scatter.

    Notes
    -----
    A Lorentzian narrower than a tenth of the reach falls like x^-2 over more than a decade.  It is
    a power law with alpha = 2, cut off, and is called so; a wider one is bounded.
    """
    start = time.perf_counter()
    check_options(level, draws)
    m = margins or PeakMargins()
    streams = Streams(rng)
    read = read_curve(
        control, values, errors, covariance=covariance, window=window, logarithmic=logarithmic
    )
    _refuse_exact(read)
    data, setup, result, warnings = judged_peak(read, m, rescale, draws, streams.of("test"))
    fits = setup.fits(data.values)
    names = result.names(level)
    # Rescaled errors hide a misfit: chi^2 is compared as it was with the errors as given.
    rescaled = float(data.covariance[0, 0] / read.covariance[0, 0]) if read.known else 1.0
    excess = rescaled * result.best_chi2 / float(np.median(result.drawn_chi2))
    edge = Status.EDGE if _at_edge(fits, names) else Status.OK
    status = Status.MISFIT if excess > OFF_BY_TWO else edge
    message = MESSAGES.get(status, "")
    decided = verdict_of(names) if status is Status.OK else "undecided"
    return PeakVerdict(
        verdict=decided,
        plausible=names if status is Status.OK else (),
        p_values=dict(zip(CLASSES, result.p_values.tolist(), strict=True)),
        margins=m,
        warnings=[FINITE, *([message] if message else []), *warnings, *_resolution_warning(fits)],
        seconds=time.perf_counter() - start,
        control_name=control_name,
        level=level,
        data=data,
        status=status,
        message=message,
        fits=fits,
        streams=streams,
        draws=draws,
    )


def judged_peak(
    data: Curve, m: PeakMargins, rescale: bool, draws: int, rng: np.random.Generator
) -> tuple[Curve, PeakProblem, Plausible, list[str]]:
    """Test the curve, and check its errors with chi^2 (`rescale` adjusts them)."""

    def prepared(curve: Curve) -> PeakProblem:
        return peak_problem(curve, m)

    return judged_by(prepared, data, data.values, rescale, draws, rng, "values")


def _refuse_exact(data: Curve) -> None:
    """Refuse a straight line, which has no peak, and exact values without errors."""
    line, drift = (
        np.polynomial.Polynomial.fit(data.x, data.values, degree)(data.x) for degree in (1, 2)
    )
    least = EXACT * np.abs(data.values).max()
    if not data.known and np.ptp(data.values - drift) <= least:
        raise ValueError("the values have no scatter: give errors")
    if np.ptp(data.values - line) <= least:
        raise ValueError("the values lie on a straight line, up to rounding: there is no peak")


def _at_edge(fits: PeakFits, names: tuple[str, ...]) -> bool:
    """Whether the curve may be largest at an end of the window, and still rise towards it.

    Decided by the best fit, and by drift and steps nearly as good: of narrow peaks at hundreds of
    positions one fits the noise on a slope better than the slope alone.
    """
    if "flat" in names:
        return False
    best = int(np.argmin(fits.chi2))
    rows = [best]
    for name in ("drift", "step"):
        members = [
            i for i, (family, _) in enumerate(fits.problem.rows) if family.name.startswith(name)
        ]
        if not members:
            continue
        other = members[int(np.argmin(fits.chi2[members]))]
        if fits.chi2[other] < fits.chi2[best] + CHANCE:
            rows.append(other)
    return any(_rises_to_an_end(curve) for curve in fits.curves_at(np.array(rows), EVENLY))


def _rises_to_an_end(curve: Floats) -> bool:
    """Whether a curve on an even grid is largest at an end, and still rises to it notably."""
    outer = round(OUTER * len(curve))
    rise = RISING * float(np.ptp(curve))
    return any(
        np.argmax(side) == 0 and side[0] - side[outer] > rise for side in (curve, curve[::-1])
    )


def _resolution_warning(fits: PeakFits) -> list[str]:
    """Warning if the points at the maximum are too far apart to resolve a decade of distances."""
    problem, curve = fits.problem, fits.problem.curve
    i = int(np.argmax(fits.curves(np.array([np.argmin(fits.chi2)]))[0]))
    gap = float(np.diff(curve.x[max(i - 1, 0) : i + 2]).max())
    limit = float(reach(curve.x[i])) / problem.margins.decade
    if gap <= limit:
        return []
    return [
        f"points at the maximum are {gap / limit:.1f} times too far apart to show whether a power "
        f"law goes on over a factor {problem.margins.decade:g} of the distance"
    ]


def _curves(fits: PeakFits) -> dict[str, dict[str, Any]]:
    """Best fit of every class on a grid with all points, dense about its position."""
    curve = fits.problem.curve
    curves = {}
    for kind, name in enumerate(CLASSES):
        row = fits.of(kind)[:1]
        family, theta = fits.problem.rows[int(row[0])]
        x = np.union1d(EVENLY, curve.x)
        x_c = float(theta[0]) if "x_c" in family.axes else float("nan")
        if np.isfinite(x_c):
            near = np.geomspace(1e-4, 1, 100)
            x = np.union1d(x, np.concatenate([[x_c], x_c + near, x_c - near]))
            x = x[(x >= 0) & (x <= 1)]
        curves[name] = {
            "name": family.name,
            "control": curve.at(x),
            "values": fits.curves_at(row, x)[0],
            "x_c": float(curve.at(np.array(x_c))),
        }
        if kind == POWER:
            curves[name]["background"] = _background(fits, int(row[0]), x)
    return curves


def _background(fits: PeakFits, i: int, x: Floats) -> Floats:
    """Background of a power law: g is the power less its value at the reach, added back here."""
    problem = fits.problem
    family, (x_c, v, exponent, *_) = problem.rows[i]
    t = x - x_c
    jump = family.name.endswith("jump")
    side = np.sign(t) if jump else t / np.hypot(t, reach(x_c) * np.exp(v))
    unit = float(problem.peaks.span[i - len(problem.flat)]) * exponent
    level = fits.s[i] + fits.c[i] * (x - problem.curve.centre)
    return np.asarray(level - fits.a[i] * (1 + fits.b[i] * side) / unit)
