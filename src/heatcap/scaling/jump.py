"""Kosterlitz-Thouless transition from the stiffness (helicity modulus, superfluid density).

In the infinite system Upsilon falls from 2 T / pi to 0 at T_KT (Nelson and Kosterlitz, Phys. Rev.
Lett. 39 (1977) 1201); in a finite one the jump is smeared by a logarithm,

    pi Upsilon / (2 T) = J [1 + 1 / (2 ln L + c)]        at T_KT, J = 1

(Weber and Minnhagen, Phys. Rev. B 37 (1988) 5986; what was checked: docs/references.md).  That
form alone drifts: c of the XY model goes from 1.4 at L = 8 to 2.2 at L = 64.  Here the
renormalisation flow behind it is fitted instead (:mod:`heatcap.scaling.flow`), at leading and at
next order, to all sizes and all temperatures on both sides of T_KT at once; orders, smallest sizes,
windows of temperature and corrections are averaged with weights e^(-(chi^2 + 2 n_cut) / 2), as in
:mod:`heatcap.scaling.fits` with k = 0: corrections, which always exist, cost nothing.  k_B = 1:
temperatures are in units of the stiffness, J is a number.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from heatcap.core.arrays import Floats
from heatcap.core.result import (
    Parameter,
    Result,
    Status,
    goodness_line,
    parameter_line,
    plain,
    readable,
    status_line,
)
from heatcap.core.student import chi2_tail
from heatcap.scaling.data import Points
from heatcap.scaling.fits import Tested, average, unsettled, weights_of
from heatcap.scaling.flow import (
    Fit,
    Model,
    constant_of,
    described,
    scan,
    search,
    smooth_score,
    too_little,
)

__all__ = ["Stiffness", "stiffness"]

POOR = 1e-3
FAR = 3.0  # errors from which on a difference is significant
VAGUE = 0.15  # error of the jump from which on it is not determined
EXCLUDED = 6.0  # difference of the scores from which on the worse form is excluded
CURVE = 120  # points of a curve


@dataclass(frozen=True, eq=False)
class Stiffness(Tested, Result):
    """Kosterlitz-Thouless temperature and jump, with the fits behind them.

    Attributes
    ----------
    t_kt : Parameter
        With the universal jump, or with a fitted one if `free_jump`.
    jump : Parameter
        J, the jump in units of 2 T / pi, fitted in both cases: 1 if it is universal.
    c : Parameter
        The constant of 1 + 1 / (2 ln L + c), from the flow at T_KT and the largest size.
    chi2, dof, p_value
        Of the fit with the largest weight; points of one size are taken as independent unless
        there is a covariance.
    window : tuple of float
        Smallest and largest temperature of that fit.
    sizes_used : list of float
        Sizes of that fit.
    temperatures : list of dict
        The classical table: where three sizes or more share a `temperature`, the `c`, `chi2` and
        `dof` of 1 + 1 / (2 ln L + c) there, with J = 1.  chi2 is least near T_KT.
    models : list of dict
        Every fit: weight, order, curvature, correction, smallest_size, share_of_points, chi2, dof,
        t_kt, jump and their errors.
    free_jump : bool
    against_smooth : float
        chi^2 + 2 k of a stiffness without a jump, smooth in T and L, less that of the flow.
    status : Status
        "ok", "too few sizes", "too few points", "no jump", "poor fit", "another jump",
        "unidentified" or "at an edge".
    message : str
        Meaning of the status, and what to do.
    seconds : float
        Wall time.
    curves : dict
        For a figure: the `used` pairs of size and temperature; by size `temperature` and
        `stiffness` of the best fit, and pi Upsilon / (2 T) at its T_KT: `measured` with
        `measured_error`, moved there along the fit, and `log_size` with `at_t_kt`, one curve for
        each of the heaviest models.
    """

    t_kt: Parameter
    jump: Parameter
    c: Parameter
    chi2: float
    dof: int
    p_value: float
    window: tuple[float, float]
    sizes_used: list[float]
    temperatures: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    free_jump: bool = False
    against_smooth: float = float("nan")
    seconds: float = 0.0
    curves: dict[str, Any] = field(default_factory=dict, repr=False)

    FIELDS = (
        "t_kt", "jump", "c", "window", "sizes_used", "free_jump", "against_smooth", "status",
        "message", "seconds", "temperatures", "models", "goodness_of_fit",
    )  # fmt: skip

    def _lines(self) -> list[str]:
        """Parameters with their errors, goodness of fit and status."""
        lines = [status_line(self.status, self.message)]
        if not np.isfinite(self.t_kt.value):
            return lines
        notes = {
            "T_KT": "jump free" if self.free_jump else "jump universal",
            "J": "jump over 2 T / pi, 1 if universal",
            "c": "1 + 1 / (2 ln L + c) at the largest size",
        }
        for (name, note), p in zip(notes.items(), (self.t_kt, self.jump, self.c), strict=True):
            lines.append(parameter_line(name, p, note=f"; {note}"))
        sizes = ", ".join(f"{s:g}" for s in self.sizes_used)
        lines.append(
            f"{goodness_line(self.chi2, self.dof, self.p_value)}, sizes {sizes}, "
            f"T {self.window[0]:g} to {self.window[1]:g}, {self.seconds:.1f} s"
        )
        return lines


def stiffness(
    points: Points, *, free_jump: bool = False, rng: int | np.random.Generator = 0
) -> Stiffness:
    """Fit a Kosterlitz-Thouless transition to the helicity modulus.

    The renormalisation flow gives pi Upsilon / (2 T) at every size and temperature; at T_KT it is
    1 + 1 / (2 ln L + c) for large L.  No start is needed.

    Parameters
    ----------
    points : Points
        Helicity modulus Upsilon per site (k_B = 1) of three or more sizes; the control is the
        temperature, in the units of Upsilon.  Temperatures may differ between sizes.
    free_jump : bool
        Fit T_KT together with the jump, instead of 2 T / pi: for a stiffness in other units.
    rng : int or Generator
        For the points of the search.

    Returns
    -------
    Stiffness
        Its status is "no jump" where the stiffness is zero within errors or stays below 2 T / pi,
        "another jump" where the data contradict a universal one.

    Raises
    ------
    ValueError
        If a temperature is not positive.
    """
    began = time.perf_counter()
    if np.any(points.control <= 0):
        raise ValueError(
            f"temperatures must be positive, got {points.control.min():g}: the control must be T"
        )
    if refusal := too_little(points):
        return _refused(*refusal, points, free_jump, began)
    if refusal := _no_crossing(points):
        return _refused(*refusal, points, free_jump, began)
    guess = search(points, np.random.default_rng(rng))
    near = points.take(described(guess, points)) if guess else points
    if guess is None or too_little(near):
        return _refused(
            Status.NO_JUMP,
            "no point lies where a flow to a jump would be",
            points,
            free_jump,
            began,
        )
    fixed, free = (scan(near, guess, jump) for jump in (False, True))
    chosen = free if free_jump else fixed
    if not fixed or not free:
        return _refused(
            Status.TOO_FEW_POINTS, "no fit has degrees of freedom left", points, free_jump, began
        )
    smooth = smooth_score(near, guess) - min(model.charged for model in (*fixed, *free))
    return _average(chosen, free, points, free_jump, smooth, began)


def _no_crossing(points: Points) -> tuple[Status, str] | None:
    """Whether the largest size stays on one side of the line 2 T / pi, within two errors."""
    largest = points.take(points.size == points.size.max())
    y, error = (np.pi * a / (2 * largest.control) for a in (largest.value, largest.error))
    if np.all(y < FAR * error):
        return Status.NO_JUMP, "at the largest size the stiffness is nowhere different from zero"
    if np.all(y + 2 * error < 1):
        return Status.NO_JUMP, (
            "at the largest size the stiffness lies below 2 T / pi at all temperatures: if there "
            "is a transition, it lies at a lower one"
        )
    sizes = np.unique(points.size)
    if np.all(y - 2 * error > 1 + 1 / (2 * np.log(sizes[-1]))):
        return Status.AT_AN_EDGE, (
            "at the largest size the stiffness lies above 2 T / pi at all temperatures: measure "
            "at higher ones"
        )
    return None


# ---- result ------------------------------------------------------------------------------


def _average(
    chosen: Sequence[Model],
    free: Sequence[Model],
    points: Points,
    free_jump: bool,
    smooth: float,
    began: float,
) -> Stiffness:
    best = min(chosen, key=lambda model: model.score)
    largest = float(points.size.max())
    t_kt = average(chosen, [model.fit.of("t_kt") for model in chosen])
    jump = average(free, [model.fit.of("jump") for model in free])
    result = Stiffness(
        t_kt=t_kt,
        jump=jump,
        c=average(chosen, [constant_of(model.fit, largest) for model in chosen]),
        chi2=best.fit.chi2,
        dof=best.fit.dof,
        p_value=_p_value(best.fit),
        window=(float(best.points.control.min()), float(best.points.control.max())),
        sizes_used=[float(s) for s in np.unique(best.points.size)],
        temperatures=_table(points),
        models=[_row(m, w) for m, w in zip(chosen, weights_of(chosen), strict=True)],
        free_jump=free_jump,
        against_smooth=smooth,
        curves=_curves_of(chosen),
    )
    status, message = _status(result, min(free, key=lambda model: model.score).fit, points)
    message = "; ".join(filter(None, [message, unsettled(chosen)]))
    return replace(result, status=status, message=message, seconds=time.perf_counter() - began)


def _status(result: Stiffness, free: Fit, points: Points) -> tuple[Status, str]:
    low, high, t, jump = points.control.min(), points.control.max(), result.t_kt, result.jump
    if not min(result.p_value, p_free := _p_value(free)) >= POOR and not (
        p_free >= POOR and _differs(jump)
    ):
        return Status.POOR_FIT, (
            f"chi2/dof = {result.chi2:.1f}/{result.dof} (p = {result.p_value:.1g}; {p_free:.1g} "
            "with a free jump): no flow to a jump describes these data within their errors; check "
            "the errors, or there is no Kosterlitz-Thouless transition"
        )
    if not jump.value > 2 * jump.error:
        return Status.NO_JUMP, (
            f"the jump, {readable(jump.value, jump.error)} of 2 T / pi, may be zero: the data do "
            "not show one"
        )
    if result.against_smooth < -EXCLUDED:
        return Status.NO_JUMP, (
            "a stiffness that is smooth in T and in L describes these data better than the flow "
            f"to a jump does (chi2 + 2 k lower by {-result.against_smooth:.1f})"
        )
    if _differs(jump) and not result.free_jump:
        return Status.ANOTHER_JUMP, (
            f"a free fit finds {readable(jump.value, jump.error)} of the universal jump 2 T / pi: "
            "other units, sizes too small, or no Kosterlitz-Thouless transition; T_KT here "
            "supposes the universal one"
        )
    if not low < t.value < high:
        return Status.AT_AN_EDGE, (
            f"T_KT = {t.value:.5g} lies outside the temperatures, {low:g} to {high:g}: measure on "
            "both sides of it"
        )
    return _undetermined(result, high - low)


def _undetermined(result: Stiffness, span: float) -> tuple[Status, str]:
    t, jump = result.t_kt, result.jump
    if result.against_smooth < EXCLUDED:
        return Status.UNIDENTIFIED, (
            "a stiffness without a jump, smooth in T and in L, describes these data about as well "
            f"(chi2 + 2 k above the flow by {result.against_smooth:.1f}, {EXCLUDED:g} asked for): "
            "larger sizes, smaller errors or temperatures above T_KT would tell"
        )
    if not t.error < span / 8:
        return Status.UNIDENTIFIED, f"T_KT = {t.value:.4g} has an error of {t.error:.2g}"
    if not jump.error < VAGUE:
        return Status.UNIDENTIFIED, (
            f"the jump is not determined, {readable(jump.value, jump.error)} of 2 T / pi: that "
            "there is one has been supposed and not seen"
        )
    return Status.OK, ""


def _p_value(fit: Fit) -> float:
    return chi2_tail(fit.chi2, fit.dof)


def _differs(jump: Parameter) -> bool:
    return bool(abs(jump.value - 1) > FAR * jump.error)


def _refused(
    status: Status, message: str, points: Points, free_jump: bool, began: float
) -> Stiffness:
    nan = float("nan")
    nothing = Parameter(nan, nan, nan)
    return Stiffness(
        nothing, nothing, nothing, nan, 0, nan, (nan, nan),
        [float(s) for s in np.unique(points.size)], _table(points), free_jump=free_jump,
        status=status, message=message, seconds=time.perf_counter() - began,
    )  # fmt: skip


def _table(points: Points) -> list[dict[str, Any]]:
    """chi^2 of 1 + 1 / (2 ln L + c) at every temperature of three sizes or more."""
    rows = []
    for t in np.unique(points.control):
        here = points.take(points.control == t)
        if len(here) < 3:
            continue
        y, error = np.pi * here.value / (2 * t), np.pi * here.error / (2 * t)
        log = 2 * np.log(here.size)

        def chi2(inverse: float, y: Floats = y, error: Floats = error, log: Floats = log) -> float:
            # In 1 / (2 ln L_min + c): the whole range of c, and c = infinity, is an interval.
            return float(np.sum(((y - 1 - 1 / (log - log[0] + 1 / inverse)) / error) ** 2))

        best = minimize_scalar(chi2, bounds=(1e-4, 20.0), method="bounded")
        c = 1 / float(best.x) - log[0]
        rows.append(
            {"temperature": float(t), "c": float(c), "chi2": float(best.fun), "dof": len(here) - 1}
        )
    return rows


def _row(model: Model, weight: float) -> dict[str, Any]:
    fit = model.fit
    (t_kt, t_variance), (jump, jump_variance) = fit.of("t_kt"), fit.of("jump")
    return {
        "weight": float(weight),
        "order": "next" if fit.form.b else "leading",
        "curvature": fit.form.quadratic,
        "correction": fit.form.correction,
        "smallest_size": float(model.points.size.min()),
        "share_of_points": model.share,
        "chi2": plain(fit.chi2),
        "dof": fit.dof,
        "t_kt": plain(t_kt),
        "t_kt_error": plain(np.sqrt(t_variance)),
        "jump": plain(jump),
        "jump_error": plain(np.sqrt(jump_variance)),
    }


# ---- for a figure ------------------------------------------------------------------------


def _curves_of(models: Sequence[Model]) -> dict[str, Any]:
    """The `curves` of :class:`heatcap.scaling.Stiffness`."""
    weights = weights_of(models)
    best = models[int(np.argmax(weights))]
    fit, used = best.fit, best.points
    t_kt = fit.of("t_kt")[0]
    window = used.control.min(), used.control.max()
    fine = np.linspace(*window, CURVE)
    sizes = np.unique(used.size)
    first, last = 1 / np.log(sizes[[0, -1]])
    grid = np.exp(
        1 / np.concatenate([np.linspace(first, last, 20), last * np.geomspace(0.9, 0.05, 30)])
    )
    at = _y(fit, sizes, np.concatenate([fine, [t_kt]]))
    measured = [_moved(fit, used, size, at[k, -1]) for k, size in enumerate(sizes)]
    heavy = [k for k in np.argsort(-weights)[:8] if weights[k] > 0.01]
    return {
        "size": sizes,
        "used": set(zip(used.size.tolist(), used.control.tolist(), strict=True)),
        "temperature": fine,
        "stiffness": at[:, :-1] * 2 * fine / np.pi,
        "t_kt": t_kt,
        "measured": np.array([m[0] for m in measured]),
        "measured_error": np.array([m[1] for m in measured]),
        "log_size": np.log(grid),
        "at_t_kt": [_critical(models[k].fit, grid) for k in heavy],
        "weight": weights[heavy],
    }


def _y(fit: Fit, sizes: Floats, temperatures: Floats) -> Floats:
    """y of the fit (size, temperature); smaller sizes count as its smallest."""
    first = fit.problem.log_sizes[0]
    logs = np.maximum(np.log(sizes), first)
    every = np.unique(np.concatenate([[first], logs]))
    problem = replace(fit.problem, log_sizes=every)
    v = problem.running(fit.theta[None], fit.form, fit.free_jump, temperatures)[:, 0]
    values = 1 + v[np.searchsorted(every, logs)] / 2
    if fit.form.correction:
        weight = fit.theta[fit.form.names(fit.free_jump).index("correction")]
        values = values + weight * np.exp(-2 * (logs - first))[:, None]
    return np.asarray(fit.of("jump")[0] * values)


def _critical(fit: Fit, sizes: Floats) -> Floats:
    """y at the T_KT of the fit; NaN below its smallest size."""
    y = _y(fit, sizes, fit.theta[:1])[:, 0]
    return np.where(np.log(sizes) >= fit.problem.log_sizes[0] - 1e-9, y, np.nan)


def _moved(fit: Fit, used: Points, size: float, there: float) -> tuple[float, float]:
    """y of the two temperatures nearest to T_KT, moved there along the fit."""
    nearest = used.take(used.size == size)
    nearest = nearest.take(np.argsort(np.abs(nearest.control - fit.of("t_kt")[0]))[:2])
    factor = np.pi / (2 * nearest.control)
    expected = np.array([_y(fit, np.array([size]), np.array([t]))[0, 0] for t in nearest.control])
    weight = 1 / (nearest.error * factor) ** 2
    off = float(np.sum(weight * (nearest.value * factor - expected)) / weight.sum())
    return there + off, float(1 / np.sqrt(weight.sum()))
