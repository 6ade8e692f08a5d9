"""Is a peak along the control, at one size, a power law, a logarithm, or rounded?

The same question as that of heights against size, with the same answer: the classes that the data
do not exclude, the true one among them 95 times in 100 (:mod:`heatcap.divergence.testing`), for
curves that its forms describe or nearly, on a straight background.  At one size every peak is
finite.  So the question is how far from x_c a power law is seen: over a
decade of |x - x_c| at least, or the rounding itself is seen (see `peak_shapes`).
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
OUTER = 0.1  # of the window at each end, within which a curve that still rises has no maximum
RISING = 0.05  # of its change
CHANCE = 16.0  # in chi^2: a peak beside a drift that noise alone may make
OFF_BY_TWO = 4.0  # times chi^2 of draws, with errors as given, twice too small: a misfit
EXACT = 1e-10  # of the largest value: scatter that is rounding
EVENLY = np.linspace(0.0, 1.0, 201)


@dataclass(frozen=True, eq=False, kw_only=True)
class PeakVerdict(Answer):
    """The classes that a curve along the control does not exclude, and what they rest on.

    Attributes
    ----------
    verdict : str
        A class ("flat", "bounded", "logarithmic", "power-law"), "divergent" or "undecided".
    plausible : tuple of str
        The classes that are not excluded; none where the status is not "ok".
    p_values : dict
        Of every class.
    exponent : Exponent
        alpha of a peak that is cut off out of sight, its 95 % interval and the profile of chi^2;
        NaN where no such peak comes near the data, or the status is not "ok".
    x_c : Parameter
        Where the peak is, in units of the control: the point towards which a power law or a
        logarithm grows, the middle of a step, and of a rounded peak the maximum of the curve.
        Systematic is what the forms that fit nearly as well as the best make of it.  NaN where
        the values may be flat, or the status is not "ok".
    exponent_determined : bool
        Whether the exponent and its interval mean anything; `why_no_exponent` says why not.
    exponent_upper_limit95 : float
        One-sided; infinite where nothing limits it, or no exponent is determined.
    detectable_exponent : float
        Smallest alpha of a power law as high as the peak seen that these data would have told from
        flat and bounded 95 times in 100; NaN if no exponent up to 3 is.
    models : list of dict
        Every family of forms: name, class, parameters in units of the control (of its logarithm
        for widths, where forms are functions of it), chi2, dof, p_value, weight (Schwarz,
        classes alike), aicc_weight.
    margins : PeakMargins
    calibration : dict
        `replicates` drawn for each null, and the `realised_level`: the share of sets of data drawn
        from the best fit for which its class was plausible, from `repeats` sets.
    warnings : list of str
    advice : str
        What would decide; empty where the data do.
    seconds : float
    control_name : str
    level : float
    data : Curve
        Points, values and covariance as used.
    status : Status
        "ok"; "edge" where no maximum is inside the window, "misfit" where no form comes near the
        values with errors as they were given, whether or not these are then multiplied: then the
        verdict is "undecided", and no class is plausible.
    message : str
        What the status means here; empty where it is "ok".
    curves : dict
        By class the best fit: `name`, `control` (a grid), `values`, `x_c`; of a power law also
        its `background`.
    ways : dict
        The advice as numbers, for each plausible class of an undecided verdict: how many times
        finer the points about the maximum (`finer_points`), how many times smaller the errors
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
        """What one size can show at most; how many points, from where to where."""
        first, last = self.data.control[0], self.data.control[-1]
        of = f"ln {self.control_name}" if self.data.logarithmic else self.control_name
        return (
            f"at one size, {ONE_SIZE}; {len(self.data.control)} points, {self.control_name} = "
            f"{first:g} to {last:g}, forms in {of}"
        )

    @property
    def exponent_said(self) -> str:
        """The exponent in a line, and the power of the data."""
        if self.why_no_exponent == self.NO_POWER:
            return f"exponent alpha: {self.NO_POWER} these values; {self._detectable()}"
        named = "exponent alpha, if the cut-off is out of sight (0 is a logarithm)"
        return f"{named}: {self._exponent_or_why}"

    @property
    def position_said(self) -> str:
        """Where the peak is, in a line."""
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
        """Plain values for JSON: None for what is infinite or does not exist."""
        own = {
            "x_c": self.x_c.to_dict(),
            "control_name": self.control_name,
            "logarithmic": self.data.logarithmic,
            "window": self.data.control[[0, -1]],
        }
        return super().to_dict() | dict(plain(own))


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
    """Which forms of a peak along the control, at one size, the values do not exclude.

        A(x) = s + c (x - x_bar) + a g(x - x_c),    g ~ (|x - x_c|^m + delta^m)^(-alpha/m)

    against rounded peaks and steps (:mod:`heatcap.divergence.peak_shapes`).

    Parameters
    ----------
    control : array_like (point,)
        At least twelve in the window, each once.
    values : array_like (point,)
        Of one observable at one size; the largest must be positive.
    errors : array_like (point,), optional
        One standard deviation, independent.  If nothing is known of the errors, they are taken
        equal and their size from the scatter about the best fit: misfit is then not seen.
    covariance : array_like (point, point), optional
        Instead of errors: neighbouring points of one run are correlated.
    control_name : str
    window : tuple of float, optional
        Lowest and highest control that is used.
    logarithmic : bool
        Forms are functions of ln control, as for training steps.
    level : float
        How often, at least, the true class is plausible, for curves that the forms describe or
        nearly, at errors that are known.
    margins : PeakMargins, optional
    rescale : bool
        Multiply the errors so that chi^2 is what it should be, if it is not.  Values whose chi^2
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
        For points, values or errors that cannot be used, options out of range, and for values
        on a straight line, or without errors and scatter.

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
    data, setup, found, warnings = judged_peak(read, m, rescale, draws, streams.of("test"))
    fits = setup.fits(data.values)
    names = found.names(level)
    gross = _too_large(read, data, found) > OFF_BY_TWO
    edge = Status.EDGE if _at_edge(fits, names) else Status.OK
    status = Status.MISFIT if gross else edge
    message = MESSAGES.get(status, "")
    decided = verdict_of(names) if status is Status.OK else "undecided"
    return PeakVerdict(
        verdict=decided,
        plausible=names if status is Status.OK else (),
        p_values=dict(zip(CLASSES, found.p_values.tolist(), strict=True)),
        margins=m,
        warnings=[FINITE, *([message] if message else []), *warnings, *_sparse(fits)],
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
    """The test alone, with what chi^2 says of the errors."""

    def prepared(given: Curve) -> PeakProblem:
        return peak_problem(given, m)

    return judged_by(prepared, data, data.values, rescale, draws, rng, "values")


def _refuse_exact(data: Curve) -> None:
    """A straight line has no peak; without errors their size is that of the scatter."""
    line, drift = (
        np.polynomial.Polynomial.fit(data.x, data.values, degree)(data.x) for degree in (1, 2)
    )
    least = EXACT * np.abs(data.values).max()
    if not data.known and np.ptp(data.values - drift) <= least:
        raise ValueError("the values have no scatter: give errors")
    if np.ptp(data.values - line) <= least:
        raise ValueError("the values lie on a straight line, up to rounding: there is no peak")


def _too_large(given: Curve, used: Curve, found: Plausible) -> float:
    """How many times chi^2 is too large for the errors as given, if they were.

    Where errors were multiplied chi^2 is what it should be, and the factor tells what it was.
    """
    multiplied = float(used.covariance[0, 0] / given.covariance[0, 0]) if given.known else 1.0
    return multiplied * found.best_chi2 / float(np.median(found.drawn_chi2))


def _at_edge(fits: PeakFits, names: tuple[str, ...]) -> bool:
    """Whether the curve may be largest at an end of the window, and still rise towards it.

    The best fit says so, or drift or a step that comes close to it: at hundreds of positions some
    narrow peak fits the noise on a slope better than the slope alone.
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
    outer = round(OUTER * len(curve))
    rise = RISING * float(np.ptp(curve))
    return any(
        np.argmax(side) == 0 and side[0] - side[outer] > rise for side in (curve, curve[::-1])
    )


def _sparse(fits: PeakFits) -> list[str]:
    """Points so far apart that no decade of distances from the maximum is seen between them."""
    own, curve = fits.problem, fits.problem.curve
    i = int(np.argmax(fits.curves(np.array([np.argmin(fits.chi2)]))[0]))
    gap = float(np.diff(curve.x[max(i - 1, 0) : i + 2]).max())
    limit = float(reach(curve.x[i])) / own.margins.decade
    if gap <= limit:
        return []
    return [
        f"points at the maximum are {gap / limit:.1f} times too far apart to show whether a power "
        f"law goes on over a factor {own.margins.decade:g} of the distance"
    ]


def _curves(fits: PeakFits) -> dict[str, dict[str, Any]]:
    """Best fit of every class on a grid that holds the points and is fine about its position."""
    own = fits.problem.curve
    found = {}
    for kind, name in enumerate(CLASSES):
        row = fits.of(kind)[:1]
        family, theta = fits.problem.rows[int(row[0])]
        x = np.union1d(EVENLY, own.x)
        x_c = float(theta[0]) if "x_c" in family.axes else float("nan")
        if np.isfinite(x_c):
            near = np.geomspace(1e-4, 1, 100)
            x = np.union1d(x, np.concatenate([[x_c], x_c + near, x_c - near]))
            x = x[(x >= 0) & (x <= 1)]
        found[name] = {
            "name": family.name,
            "control": own.at(x),
            "values": fits.curves_at(row, x)[0],
            "x_c": float(own.at(np.array(x_c))),
        }
        if kind == POWER:
            found[name]["background"] = _background(fits, int(row[0]), x)
    return found


def _background(fits: PeakFits, i: int, x: Floats) -> Floats:
    """What is left of a power law without its power: g has it less its value at the reach."""
    own = fits.problem
    family, (x_c, v, exponent, *_) = own.rows[i]
    t = x - x_c
    jump = family.name.endswith("jump")
    side = np.sign(t) if jump else t / np.hypot(t, reach(x_c) * np.exp(v))
    unit = float(own.peaks.span[i - len(own.flat)]) * exponent
    level = fits.s[i] + fits.c[i] * (x - own.curve.centre)
    return np.asarray(level - fits.a[i] * (1 + fits.b[i] * side) / unit)
