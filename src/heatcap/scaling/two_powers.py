"""A crossover: two power laws that are joined, against one power law with corrections.

    y = Y [(x / x_cross)^(p s) + (x / x_cross)^(q s)]^(1/s)

p holds below x_cross and q above it; the straight lines of ln y against ln x meet at x_cross, where
both are Y.  The sharpness s > 0 joins by the larger (s = 1: y = A x^p + B x^q, q > p), s < 0 by the
smaller (s = -1: the harmonic sum, q < p).  |s| is averaged over 1/2 to 4, evenly in its logarithm,
unless it is given.  One power law with corrections is that of :mod:`heatcap.scaling.power_laws`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from heatcap.core.arrays import Floats
from heatcap.core.result import (
    Parameter,
    Result,
    Status,
    goodness_line,
    parameter_line,
    status_line,
)
from heatcap.core.student import chi2_tail, student_factor
from heatcap.scaling.fits import inverse_normal, minimum, mixture, weights_of
from heatcap.scaling.power_fits import EXPONENT, OMEGAS, fit_powers
from heatcap.scaling.power_laws import EXPONENTS, POOR, SHOWN, Values, read_values
from heatcap.scaling.powers import heaviest

__all__ = ["Crossover", "crossover"]

SHARPNESSES = tuple(float(s) for s in np.geomspace(0.5, 4.0, 7))
LN_Y, LN_X, P, STEP = range(4)  # parameters: ln Y, ln x_cross, p, |q - p|
STEPS = (0.02, 12.0)  # bounds of |q - p|
STARTS = 12  # places of x_cross from which a fit starts, at most
BEST = 3  # of them that are followed
BETTER = 12.0  # of chi^2: what two powers must gain on one
SEEN = 0.4  # error of an exponent, as a share of the difference, up to which a side is seen
LEAST = 6  # points


@dataclass(frozen=True, eq=False)
class Crossover(Result):
    """Two exponents and where they cross.

    Attributes
    ----------
    x, y, error : ndarray (point)
    p, q : Parameter or None
        Exponents below and above `x_cross`; None without a crossover.
    x_cross : Parameter or None
        Where the two power laws are equal; averaged in its logarithm.
    one_power : Parameter or None
        Exponent of one power law with corrections, for all data.
    gain : float
        chi2 of one power law with corrections less that of two power laws.
    sharpness : float
        s of the best fit.
    status : Status
        "ok", "no crossover", "one side only", "poor fit", "too few points".
    chi2, dof, p_value
        Of the best fit by two power laws.
    curve : dict
        The best fit: `x`, `value`, and the power laws `below` and `above`.
    """

    x: Floats
    y: Floats
    error: Floats
    p: Parameter | None = None
    q: Parameter | None = None
    x_cross: Parameter | None = None
    one_power: Parameter | None = None
    gain: float = float("nan")
    sharpness: float = float("nan")
    fixed: dict[str, float] = field(default_factory=dict)
    name: str = "y"
    chi2: float = float("nan")
    dof: int = 0
    p_value: float = float("nan")
    models: list[dict[str, Any]] = field(default_factory=list, repr=False)
    curve: dict[str, Floats] = field(default_factory=dict, repr=False)

    FIELDS = (
        "name", "x", "y", "error", "parameters", "one_power", "gain", "sharpness", "fixed",
        "status", "message", "chi2", "dof", "p_value", "models", "curve",
    )  # fmt: skip

    @property
    def parameters(self) -> dict[str, Parameter | None]:
        """p, q and x_cross."""
        return {"p": self.p, "q": self.q, "x_cross": self.x_cross}

    def _lines(self) -> list[str]:
        lines = [status_line(self.status, self.message)]
        if self.status is Status.NO_CROSSOVER:
            return [*lines, parameter_line("exponent", self.one_power)]
        lines += [parameter_line(name, p) for name, p in self.parameters.items()]
        if np.isfinite(self.chi2):
            lines.append(goodness_line(self.chi2, self.dof, self.p_value))
            lines.append(f"one power law with corrections: chi2 higher by {self.gain:.1f}")
        return lines


def crossover(
    x: ArrayLike,
    y: ArrayLike | None,
    errors: ArrayLike | None = None,
    *,
    covariance: ArrayLike | None = None,
    replicates: ArrayLike | None = None,
    sharpness: float | None = None,
    name: str = "y",
) -> Crossover:
    """Find where one power law gives way to another, or say that one is enough.

        y = Y [(x / x_cross)^(p s) + (x / x_cross)^(q s)]^(1/s)

    Two power laws must lower chi2 by 12 against one with corrections.

    Parameters
    ----------
    x, y, errors, covariance, replicates, name
        As in :func:`heatcap.scaling.power_law`; y has one sign.
    sharpness : float, optional
        s where the form is known: 1 is a sum of two powers, -1 a harmonic one.

    Raises
    ------
    ValueError
        For values that are refused, a y of both signs beyond its errors, or a sharpness of 0.
    """
    if sharpness is not None and not (np.isfinite(sharpness) and sharpness):
        raise ValueError(f"sharpness must be finite and not 0, got {sharpness:g}")
    data = read_values(x, y, errors, covariance=covariance, replicates=replicates)
    sign = -1.0 if data.y.size and np.median(data.y) < 0 else 1.0
    fields: dict[str, Any] = {
        "x": data.x, "y": data.y, "error": data.error, "name": name,
        "fixed": {} if sharpness is None else {"sharpness": float(sharpness)},
    }  # fmt: skip
    far = sign * data.y < -3 * data.error
    if data.known and far.any():
        where = data.x[np.argmax(far)]
        raise ValueError(f"y must have one sign, it has another at x = {where:g}")
    if data.x.size < LEAST:
        message = f"{data.x.size} points, at least {LEAST} are needed: add some"
        return Crossover(**fields, status=Status.TOO_FEW_POINTS, message=message)
    data = Values(data.x, sign * data.y, data.covariance, data.known, data.note)
    grid = [s * k for k in SHARPNESSES for s in (1, -1)] if sharpness is None else [sharpness]
    fits = _fits(data, grid)
    if fits and not data.known:
        best = heaviest(fits)
        scale = max(best.chi2 / best.dof * float(student_factor(best.dof + 1)) ** 2, 1e-16)
        data = Values(data.x, data.y, data.covariance * scale, False, data.note)
        fits = _fits(data, grid)
        fields["error"] = data.error
    ones = fit_powers(data.x, data.y, data.covariance, EXPONENTS, omegas=OMEGAS)
    fields["one_power"] = mixture(
        ones, [(fit.mean[EXPONENT], fit.variance[EXPONENT]) for fit in ones]
    )
    least = min(fit.chi2 for fit in ones)
    gain = least - min((fit.chi2 for fit in fits), default=np.inf)
    if gain < BETTER:
        return Crossover(
            **fields, gain=gain, status=Status.NO_CROSSOVER,
            message=_joined(_alone(max(fit.p_value for fit in ones)), data.note),
        )  # fmt: skip
    fields |= {"gain": gain} | _numbers(fits, data, sign)
    status, message = _status(data, fields)
    return Crossover(**fields, status=status, message=_joined(message, data.note))


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _alone(p_value: float) -> str:
    if p_value < POOR:
        return f"nor does one power law describe the data (p = {p_value:.1g})"
    return "one power law with corrections is enough: see power-law for its numbers"


# ---- fits ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Fit:
    """Two powers at one sharpness: ln Y, ln x_cross, p, |q - p|, with their covariance."""

    sharpness: float
    theta: Floats
    covariance: Floats
    chi2: float
    dof: int

    @property
    def score(self) -> float:
        return self.chi2

    @property
    def p_value(self) -> float:
        return chi2_tail(self.chi2, self.dof) if self.dof > 0 else 1.0

    def pair(self, name: str) -> tuple[float, float]:
        """Value and variance of p, q or ln x_cross."""
        along = np.zeros(4)
        along[LN_X if name == "x_cross" else P] = 1.0
        if name == "q":
            along[STEP] = np.sign(self.sharpness)
        return float(along @ self.theta), float(along @ self.covariance @ along)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "sharpness": self.sharpness, "p": self.pair("p")[0], "q": self.pair("q")[0],
            "x_cross": float(np.exp(self.theta[LN_X])), "chi2": self.chi2, "dof": self.dof,
            "p_value": self.p_value,
        }  # fmt: skip


def _model(theta: Floats, t: Floats, s: float) -> tuple[Floats, Floats]:
    """ln y and its derivatives (point, parameter) at t = ln x."""
    off, sign = t - theta[LN_X], np.sign(s)
    q = theta[P] + sign * theta[STEP]
    below, above = s * theta[P] * off, s * q * off
    top = np.logaddexp(below, above)
    share = np.exp(above - top)  # of the second power
    slopes = np.stack(
        [np.ones_like(t), -(theta[P] + sign * theta[STEP] * share), off, sign * share * off], axis=1
    )
    return theta[LN_Y] + top / s, slopes


def _fits(data: Values, grid: Sequence[float]) -> list[_Fit]:
    """The best fit of every sharpness, from the best places of a broken line."""
    whitener = np.linalg.inv(np.linalg.cholesky(data.covariance))
    t, target = np.log(data.x), whitener @ data.y
    low = np.array([-690.0, t[0] - 1.0, EXPONENTS[0], STEPS[0]])
    high = np.array([690.0, t[-1] + 1.0, EXPONENTS[1], STEPS[1]])

    def fitted(start: Floats, s: float) -> tuple[float, Floats]:
        def rows(theta: Floats) -> tuple[Floats, Floats]:
            ln_y, slopes = _model(theta, t, s)
            y = np.exp(np.clip(ln_y, -690, 690))
            return whitener @ y - target, whitener @ (y[:, np.newaxis] * slopes)

        theta, _ = minimum(rows, start, low, high)
        off, jacobian = rows(theta)
        starts.append(theta)
        jacobians[theta.tobytes()] = jacobian
        return float(off @ off), theta

    out = []
    for sign in (1, -1):
        starts = _starts(data, sign)[:BEST]
        ordered = sorted((s for s in grid if s * sign > 0), key=lambda s: abs(np.log(abs(s))))
        for s in ordered:
            jacobians: dict[bytes, Floats] = {}
            tried = [fitted(start, s) for start in list(starts)]
            chi2, theta = min(tried, key=lambda each: each[0])
            starts = [theta]  # the next sharpness starts from here
            covariance = inverse_normal(jacobians[theta.tobytes()], 1e-12)
            out.append(_Fit(float(s), theta, covariance, chi2, t.size - 4))
    return out


def _starts(data: Values, sign: int) -> list[Floats]:
    """Broken lines through ln y, the best first, that bend up (sign > 0) or down."""
    t = np.log(data.x)
    # A value below its error has no logarithm to speak of.
    y = np.maximum(data.y, data.error)
    weight = np.minimum(y / data.error, 1e3 * np.min(y / data.error))
    places = np.linspace(t[1], t[-2], min(STARTS, 2 * t.size))
    found = []
    for place in places:
        bend = np.maximum(t - place, 0)
        design = np.stack([np.ones_like(t), t - place, bend], axis=1)
        solution, *_ = np.linalg.lstsq(design * weight[:, np.newaxis], np.log(y) * weight)
        off = (design @ solution - np.log(y)) * weight
        step = max(float(sign * solution[2]), 0.3)
        wrong = sign * solution[2] <= 0
        start = np.array([solution[0], place, solution[1], step])
        found.append((bool(wrong), float(off @ off), start))
    return [start for _, _, start in sorted(found, key=lambda each: each[:2])]


# ---- numbers and status --------------------------------------------------------------------


def _numbers(fits: Sequence[_Fit], data: Values, sign: float) -> dict[str, Any]:
    best = heaviest(fits)
    p, q = (mixture(fits, [fit.pair(name) for fit in fits]) for name in ("p", "q"))
    place = mixture(fits, [fit.pair("x_cross") for fit in fits], logarithm=True)
    grid = np.geomspace(data.x[0], data.x[-1], SHOWN)
    off = np.log(grid) - best.theta[LN_X]
    top = sign * np.exp(best.theta[LN_Y])
    return {
        "p": p,
        "q": q,
        "x_cross": place,
        "sharpness": best.sharpness,
        "chi2": best.chi2,
        "dof": best.dof,
        "p_value": best.p_value,
        "models": [
            fit.to_dict() | {"weight": weight}
            for fit, weight in zip(fits, weights_of(fits).tolist(), strict=True)
        ],
        "curve": {
            "x": grid,
            "value": sign * np.exp(_model(best.theta, np.log(grid), best.sharpness)[0]),
            "below": top * np.exp(best.pair("p")[0] * off),
            "above": top * np.exp(best.pair("q")[0] * off),
        },
    }


def _status(data: Values, fields: dict[str, Any]) -> tuple[Status, str]:
    """Status and its message."""
    if data.known and fields["p_value"] < POOR:
        return Status.POOR_FIT, (
            f"two power laws do not describe the data either (p = {fields['p_value']:.1g})"
        )
    p, q, place = fields["p"], fields["q"], fields["x_cross"]
    difference = abs(q.value - p.value)
    sides = {
        "below": p.error < SEEN * difference and np.sum(data.x < place.value) >= 2,
        "above": q.error < SEEN * difference and np.sum(data.x > place.value) >= 2,
    }
    missing = [side for side, seen in sides.items() if not seen]
    if missing:
        listed = " and ".join(missing)
        return Status.ONE_SIDE_ONLY, (
            f"the power law {listed} x = {place.value:.3g} is hardly seen: add points there"
        )
    return Status.OK, ""
