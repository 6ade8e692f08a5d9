"""Is a peak along the control, at one size, a power law, a logarithm, or rounded?

The same question as that of heights against size, with the same answer: the classes that the data
do not exclude, the true one among them 95 times in 100 (:mod:`heatcap.divergence.plausible`).  At
one size every peak is finite.  So the question is how far from x_c a power law is seen: over a
decade of |x - x_c| at least, or the rounding itself is seen (see `peak_shapes`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from heatcap._json import plain
from heatcap._vector import Floats
from heatcap.divergence._peak_fit import PeakFits, PeakProblem, peak_problem
from heatcap.divergence.alpha import alpha
from heatcap.divergence.box_cox import Exponent
from heatcap.divergence.margins import CLASSES, POWER
from heatcap.divergence.peak_power import detectable_alpha, peak_advice
from heatcap.divergence.peak_shapes import STEEPEST, PeakMargins, reach
from heatcap.divergence.plausible import Plausible, plausible
from heatcap.divergence.power import Advice, verdict_of
from heatcap.divergence.verdict import _bracket, _check_options, judged_by
from heatcap.divergence.window import Curve, read_curve

__all__ = ["ROUNDED_MEANS", "PeakVerdict", "judged_peak", "peak_test"]

ROUNDED_MEANS = (
    "the peak is rounded, or a jump, as seen at this size: a crossover, or a transition at which "
    "this observable does not diverge (alpha <= 0, a jump, Kosterlitz-Thouless), or one whose "
    "rounding goes away with the size; only heights against size tell these apart"
)
FINITE = (
    "a peak at one size is finite: a power law or a logarithm is meant over the reach, and cut off "
    "below it; whether the peak goes on growing, only heights against size tell"
)
SAID = {
    "edge": "the maximum is at the edge of the window: no peak is seen, and no class is named",
    "misfit": (
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
    "undecided": "the data do not exclude enough",
}

INNER = 40  # draws for advice and power
REPEATS, REPEATED = 40, 100  # sets of data for the realised level; draws of a test within
OUTER = 0.1  # of the window at each end, within which a curve that still rises has no maximum
RISING = 0.05  # of its change
CHANCE = 16.0  # in chi^2: a peak beside a drift that noise alone may make
GROSS = 4.0  # times chi^2 of draws, with errors as given: no class has the form of the values
EVENLY = np.linspace(0.0, 1.0, 201)


@dataclass(frozen=True, eq=False)
class PeakVerdict:
    """The classes that a curve along the control does not exclude, and what they rest on.

    Attributes
    ----------
    verdict : str
        A class ("flat", "bounded", "logarithmic", "power-law"), "divergent" or "undecided".
    plausible : tuple of str
        The classes that are not excluded.
    p_values : dict
        Of every class.
    exponent : Exponent
        alpha of a peak that is cut off out of sight, its 95 % interval and the profile of chi^2;
        NaN where no such peak comes near the data.
    exponent_upper_limit95 : float
        One-sided; infinite where nothing limits it.
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
    status : str
        "ok"; "edge" where no maximum is inside the window, "misfit" where no form comes near the
        values with errors as they were given, whether or not these are then multiplied: then the
        verdict is "undecided", and what is plausible counts for nothing.
    curves : dict
        By class the best fit: `name`, `control` (a grid), `values`, `x_c`; of a power law also
        its `background`.
    ways : dict
        The advice as numbers, for each plausible class of an undecided verdict: how many times
        finer the points about the maximum (`finer_points`), how many times smaller the errors
        (`smaller_errors`); None where nothing that was tried is enough.
    """

    verdict: str
    plausible: tuple[str, ...]
    p_values: Mapping[str, float]
    exponent: Exponent
    detectable_exponent: float
    models: list[dict[str, Any]]
    margins: PeakMargins
    calibration: Mapping[str, Any]
    warnings: list[str]
    advice: str
    seconds: float
    control_name: str
    level: float
    data: Curve
    status: str = "ok"
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    ways: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def exponent_upper_limit95(self) -> float:
        return self.exponent.upper_limit95

    @property
    def meaning(self) -> str:
        """What the verdict says, or the status; what `bounded` would mean where it is left."""
        if self.status != "ok":
            return SAID[self.status]
        if self.verdict == "undecided" and "bounded" in self.plausible:
            return f"{MEANING['undecided']}; bounded would mean that {ROUNDED_MEANS}"
        return MEANING[self.verdict]

    def summary(self) -> str:
        """The verdict in plain words, in lines."""
        first, last = self.data.control[0], self.data.control[-1]
        of = f"ln {self.control_name}" if self.data.logarithmic else self.control_name
        named = (
            f"{len(self.data.control)} points at one size, {self.control_name} = {first:g} to "
            f"{last:g}, forms in {of}"
        )
        left = ", ".join(self.plausible) if self.status == "ok" else "no class is named"
        lines = [
            f"verdict: {self.verdict} ({named}): {self.meaning}",
            f"not excluded at {self.level:.0%}: {left}",
            self._exponent_line(),
            self.margins.summary(),
            *(f"warning: {text}" for text in self.warnings if text != self.meaning),
        ]
        return "\n".join(lines + ([f"to decide: {self.advice}"] if self.advice else []))

    def _exponent_line(self) -> str:
        found = self.exponent
        if not np.isfinite(found.value):
            line = "exponent alpha: no power law comes near these values"
        else:
            low, high = found.ci95
            limits = f"{_bracket(low)} to {_bracket(high)}"
            line = (
                "exponent alpha, if the cut-off is out of sight (0 is a logarithm): "
                f"{found.value:.2f}, 95 % interval {limits}, upper limit "
                f"{_bracket(found.upper_limit95)}"
            )
        if np.isnan(self.detectable_exponent):
            smallest = f"there is none up to {STEEPEST:g}"
        else:
            smallest = f"{self.detectable_exponent:g}"
        return (
            f"{line}; smallest exponent that is told from bounded 95 times in 100, with the growth "
            f"seen: {smallest}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: None for what is infinite or does not exist."""
        names = ("exponent_upper_limit95", "detectable_exponent", "models", "margins")
        more = ("calibration", "warnings", "advice", "seconds", "control_name", "status", "level")
        return dict(
            plain(
                {
                    "schema_version": 1,
                    "verdict": self.verdict,
                    "plausible": list(self.plausible),
                    "p_values": self.p_values,
                    "logarithmic": self.data.logarithmic,
                    "window": self.data.control[[0, -1]],
                    "exponent": self.exponent.to_dict(),
                }
                | {name: getattr(self, name) for name in names + more}
            )
        )


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

        A(x) = s + c (x - x_bar) + a g(x - x_c),    g ~ (|x - x_c|^2 + delta^2)^(-alpha/2)

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
        The true class is plausible at least this often.
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
        For points, values or errors that cannot be used, or options out of range.

    Notes
    -----
    A Lorentzian narrower than a tenth of the reach falls like x^-2 over more than a decade.  It is
    a power law with alpha = 2, cut off, and is called so; a wider one is bounded.
    """
    start = time.perf_counter()
    _check_options(level, draws, None)
    m = margins or PeakMargins()
    generator = np.random.default_rng(rng)
    read = read_curve(
        control, values, errors, covariance=covariance, window=window, logarithmic=logarithmic
    )
    data, setup, found, warnings = judged_peak(read, m, rescale, draws, generator)
    fits = setup.fits(data.values)
    names = found.names(level)
    gross = _too_large(read, data, found) > GROSS
    status = "misfit" if gross else "edge" if _at_edge(fits, names) else "ok"
    decided = verdict_of(names) if status == "ok" else "undecided"
    advised = Advice({}, "")
    if status == "ok" and decided == "undecided":
        advised = peak_advice(
            fits, names, control_name=control_name, level=level, draws=INNER, rng=generator
        )
    return PeakVerdict(
        verdict=decided,
        plausible=names,
        p_values=dict(zip(CLASSES, found.p_values.tolist(), strict=True)),
        exponent=alpha(fits),
        detectable_exponent=detectable_alpha(fits, level=level, draws=INNER, rng=generator),
        models=_models(fits),
        margins=m,
        calibration=_realised(fits, level, draws, generator),
        warnings=[FINITE, *([SAID[status]] if status in SAID else []), *warnings, *_sparse(fits)],
        advice=advised.text,
        seconds=time.perf_counter() - start,
        control_name=control_name,
        level=level,
        data=data,
        status=status,
        curves=_curves(fits),
        ways=advised.ways,
    )


def judged_peak(
    data: Curve, m: PeakMargins, rescale: bool, draws: int, rng: np.random.Generator
) -> tuple[Curve, PeakProblem, Plausible, list[str]]:
    """The test alone, with what chi^2 says of the errors."""

    def prepared(given: Curve) -> PeakProblem:
        return peak_problem(given, m)

    return judged_by(prepared, data, data.values, rescale, draws, rng, "values")


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


def _realised(fits: PeakFits, level: float, draws: int, rng: np.random.Generator) -> dict[str, Any]:
    setup = fits.problem
    best = int(np.argmin(fits.chi2))
    kind = int(setup.kind[best])
    curve = fits.curves(np.array([best]))[0]
    kept = [
        kind in plausible(setup, y, draws=REPEATED, rng=rng, enough=1 - level).kinds(level)
        for y in curve + setup.noise(REPEATS, rng)
    ]
    return {
        "replicates": draws,
        "realised_level": float(np.mean(kept)),
        "repeats": REPEATS,
    }


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
    x_c, v, exponent = own.rows[i][1]
    t = x - x_c
    side = t / np.hypot(t, reach(x_c) * np.exp(v))
    unit = float(own.peaks.span[i - len(own.flat)]) * exponent
    level = fits.s[i] + fits.c[i] * (x - own.curve.centre)
    return np.asarray(level - fits.a[i] * (1 + fits.b[i] * side) / unit)


def _models(fits: PeakFits) -> list[dict[str, Any]]:
    """Rows of `PeakVerdict.models`, those with the largest weight first."""
    families: dict[str, list[int]] = {}
    for i, (family, _) in enumerate(fits.problem.rows):
        families.setdefault(family.name, []).append(i)
    rows, schwarz, aicc = [], [], []
    n = len(fits.problem.error)
    kinds = [int(fits.problem.kind[members[0]]) for members in families.values()]
    for kind, members in zip(kinds, families.values(), strict=True):
        i = members[int(np.argmin(fits.chi2[members]))]
        k = _count(fits, i)
        rows.append(_row(fits, i, n - k))
        chi2 = float(fits.chi2[i])
        schwarz.append(chi2 + k * np.log(n) + 2 * np.log(kinds.count(kind)))
        aicc.append(chi2 + 2 * k + (2 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.inf))
    for name, cost in (("weight", schwarz), ("aicc_weight", aicc)):
        weight = np.exp(-(np.array(cost) - np.min(cost)) / 2)
        for row, share in zip(rows, weight / weight.sum(), strict=True):
            row[name] = float(share)
    return sorted(rows, key=lambda row: -row["weight"])


def _count(fits: PeakFits, i: int) -> int:
    """Level, change, slope and asymmetry where it has them, and the parameters of its form."""
    own = fits.problem
    family, _ = own.rows[i]
    if i < len(own.flat):
        return 2 + len(family.axes)
    return 3 + int(own.peaks.box[5, i - len(own.flat)] > 0) + len(family.axes)


def _row(fits: PeakFits, i: int, dof: int) -> dict[str, Any]:
    family, theta = fits.problem.rows[i]
    chi2 = float(fits.chi2[i])
    return {
        "name": family.name,
        "class": CLASSES[family.kind],
        "parameters": _parameters(fits, i, dict(zip(family.axes, theta.tolist(), strict=True))),
        "chi2": chi2,
        "dof": dof,
        "p_value": float(stats.chi2.sf(chi2, dof)) if dof > 0 else float("nan"),
    }


def _change(fits: PeakFits, i: int) -> float:
    """Of the form over the points, upwards or downwards; where there is a slope, beside it."""
    own, x = fits.problem, fits.problem.curve.x
    i_peak = i - len(own.flat)
    shapes, at = (own.flat, i) if i_peak < 0 else (own.peaks, i_peak)
    form = shapes.g[at] + fits.b[i] * shapes.e[at]
    if i_peak >= 0:
        form = form - np.polyval(np.polyfit(x, form, 1), x)
    return float(fits.a[i] * np.ptp(form))


def _parameters(fits: PeakFits, i: int, found: dict[str, float]) -> dict[str, float]:
    """In units of the control: level, slope and change of the values, ratio of amplitudes."""
    curve = fits.problem.curve
    span = curve.ends[1] - curve.ends[0]
    b = float(fits.b[i])
    named = {"s": float(fits.s[i]), "slope": float(fits.c[i] / span), "change": _change(fits, i)}
    # What e stands for in a flat form is drift.
    if b and "x_c" in found and i >= len(fits.problem.flat):
        named["right_over_left"] = (1 + b) / (1 - b)
    for name, value in found.items():
        if name == "x_c":
            named[name] = float(curve.at(np.array(value)))
        elif name == "delta":
            named[name] = float(reach(np.array(found["x_c"])) * np.exp(value) * span)
        elif name in ("power", "tilt"):
            continue
        elif name == "w":
            named[name] = float(np.exp(value) * span)
        else:
            named[name] = float(np.exp(value)) if name in ("D", "q") else value
    return named
