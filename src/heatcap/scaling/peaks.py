"""Peaks: the maximum of every size, its limit in the control, and its growth with the size.

    x_peak(L) = x_c + a L^(-1/nu) (1 + b L^(-omega))
    h(L) = A L^kappa (1 + b L^(-omega)),   c + A (L^kappa - 1) / kappa,   or   A ln L + B + b / L

`extrema` locates the maximum of each curve, `peaks_against_size` (or ``Extrema.against_size``) fits
positions and heights.  Positions are in the unit of the control, heights in that of A; 1/nu is the
exponent of the shift, kappa that of the height (gamma/nu, alpha/nu).  Whether heights diverge at
all is a question for :mod:`heatcap.divergence`.

M. N. Barber, in: Phase Transitions and Critical Phenomena 8 (1983) 145, and A. E. Ferdinand and
M. E. Fisher, Phys. Rev. 185 (1969) 832 for the logarithm (what was checked: docs/references.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heatcap.core.arrays import Floats, numbers
from heatcap.core.result import (
    Parameter,
    Result,
    Status,
    measured,
    parameter_line,
    readable,
    status_line,
)
from heatcap.scaling.condense import condensed
from heatcap.scaling.curves import Curve, curves, drawing, lone_points, missed
from heatcap.scaling.data import Points
from heatcap.scaling.fits import STEEPEST, weights_of
from heatcap.scaling.powers import (
    EXPONENT,
    Fit,
    Form,
    average,
    fit_forms,
    heaviest,
    predicted,
)

__all__ = ["Extrema", "PeakScaling", "extrema", "peaks_against_size"]

SHIFT = (0.25, 4.0)  # bounds of 1/nu
GROWTH = (-3.0, 5.0)  # bounds of kappa
OMEGAS = (1.0, 2.0)
POOR = 1e-3  # p-value of chi^2 below which a fit is poor
LEAST_WEIGHT = 0.05  # of a logarithm, from which on it is not excluded: 6 in the score
SHOWN = 101  # points of a fit that is drawn
PARTS = ("position_status", "height_status")
FAULTS = {
    Status.TOO_FEW_SIZES: "too few sizes for {}",
    Status.UNDETERMINED: "{} undetermined",
    Status.POOR_FIT: "poor fit of {}",
    Status.LOGARITHMS_NOT_EXCLUDED: "logarithm of {} not excluded",
}
GRID = 501
MOST_AT_END = 0.05  # share of draws that peak at an end of the data
ACROSS = 4  # points within half the height of a peak, at least


# ---- the maximum of every size -----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Extrema(Result):
    """Maximum of every size, with errors and status.

    Attributes
    ----------
    size, x, x_error, height, height_error : ndarray (size)
        NaN for sizes whose curve is, or may be, highest at an end of its data.  Heights are
        corrected for the upward bias of a noisy maximum (`bias`).
    x_covariance, height_covariance : ndarray (size, size)
        Diagonal unless sizes share replicates.
    status : Status
        "ok", "peak at an end" of the data of some sizes, "no peak" at any size, "undersampled".
    message : str
        Which sizes, and what to do.
    curves : list of dict
        By size: grid `x`, `y`, and `band`, its standard deviation.
    draws : ndarray (size, draw)
        Heights of the draws.
    """

    size: Floats
    x: Floats
    x_error: Floats
    height: Floats
    height_error: Floats
    bias: Floats
    height_covariance: Floats
    x_covariance: Floats
    name: str = "A"
    curves: list[dict[str, Any]] = field(default_factory=list, repr=False)
    draws: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    def against_size(
        self, *, inverse_nu: float | None = None, exponent: float | None = None
    ) -> PeakScaling:
        """Fit positions and heights against the size, for sizes that have a peak."""
        finite = np.flatnonzero(np.isfinite(self.x))
        pairs = np.ix_(finite, finite)
        return peaks_against_size(
            self.size[finite], self.x[finite], self.x_error[finite], self.height[finite],
            self.height_error[finite], x_covariance=self.x_covariance[pairs],
            height_covariance=self.height_covariance[pairs], inverse_nu=inverse_nu,
            exponent=exponent, name=self.name,
        )  # fmt: skip

    FIELDS = (
        "name", "size", "x", "x_error", "height", "height_error", "bias", "x_covariance",
        "height_covariance", "status", "message", "peaks",
    )  # fmt: skip

    @property
    def peaks(self) -> list[dict[str, Any]]:
        """Peaks by size, each number with its error, for JSON."""
        rows = zip(self.size, self.x, self.x_error, self.height, self.height_error, strict=True)
        return [
            {"size": size, "x": measured(x, dx), "height": measured(y, dy)}
            for size, x, dx, y, dy in rows
        ]

    def _lines(self) -> list[str]:
        """Peaks with their errors and status."""
        lines = [status_line(self.status, self.message)]
        for k, size in enumerate(self.size):
            if np.isfinite(self.x[k]):
                at = readable(float(self.x[k]), float(self.x_error[k]))
                height = readable(float(self.height[k]), float(self.height_error[k]))
                lines.append(f"size {size:g}: x = {at}, {self.name} = {height}")
            else:
                lines.append(f"size {size:g}: no peak inside its data")
        return lines


def extrema(points: Points, *, draws: int = 500, rng: int | np.random.Generator = 0) -> Extrema:
    """Locate the maximum of A(x) at every size.

    A smooth curve is fitted to every size, and its maximum computed on draws of the curve: their
    spread is the error, the excess of their mean over the maximum of the fit is the bias of a noisy
    maximum.  A maximum at an end of the data is no peak: the size is listed with NaN and left out
    of fits.

    Parameters
    ----------
    points : Points
        For minima, give -A.
    draws : int
        Draws of every curve for the errors, 50 or more.
    rng : int or Generator

    Returns
    -------
    Extrema
        ``.against_size()`` fits them against the size.

    Raises
    ------
    ValueError
        If a size has fewer than 5 points, or for fewer than 50 draws.
    """
    points = condensed(points)
    lines = curves(points, draws=draws, rng=np.random.default_rng(rng))
    maxima = [_maximum(line) for line in lines]
    x, height, bias = (np.array([f[k] for f in maxima]) for k in range(3))
    drawn_x, drawn = (np.array([f[k] for f in maxima]) for k in (3, 4))
    shared = points.replicates is not None
    x_covariance, covariance = (_covariance(d, x, shared) for d in (drawn_x, drawn))
    inside = np.isfinite(x)
    at_end = [f"{line.size:g}" for line, ok in zip(lines, inside, strict=True) if not ok]
    message = f"highest at an end of the data: sizes {', '.join(at_end)}" if at_end else ""
    message += "; widen the range of their control" if at_end else ""
    coarse = [
        f"{line.size:g}"
        for line, ok in zip(lines, inside, strict=True)
        if ok and _across(line, points.control[points.size == line.size]) < ACROSS
    ]
    if coarse:
        message = "; ".join(filter(None, [message, _COARSE.format(", ".join(coarse), ACROSS)]))
    status = Status.UNDERSAMPLED if coarse else Status.OK
    if not inside.all():
        status = Status.PEAK_AT_AN_END if inside.any() else Status.NO_PEAK
    notes = [lone_points(lines), message, points.message, missed(lines)]
    return Extrema(
        np.array([line.size for line in lines]), x, np.sqrt(np.diag(x_covariance)), height,
        np.sqrt(np.diag(covariance)), bias, covariance, x_covariance,
        points.name, [drawing(line) for line in lines], drawn, status=status,
        message="; ".join(filter(None, notes)),
    )  # fmt: skip


_COARSE = (
    "undersampled: the peaks of sizes {} have fewer than {} points within half of their height, so "
    "that the heights are guesses; measure in between"
)


def _across(line: Curve, control: Floats) -> int:
    """Number of points within the full width at half of the peak's height."""
    x = np.linspace(*line.range, GRID)
    y = line(x)
    low = y < (y.max() + y.min()) / 2
    top = int(y.argmax())
    left, right = np.flatnonzero(low[:top]), np.flatnonzero(low[top:])
    first = x[left[-1]] if left.size else x[0]
    last = x[top + right[0]] if right.size else x[-1]
    return int(np.sum((control >= first) & (control <= last)))


def _maximum(line: Curve) -> tuple[float, float, float, Floats, Floats]:
    """Position, height and bias of a peak; positions and heights of its draws."""
    x = np.linspace(*line.range, GRID)
    at, top = _tops(x, line(x)[None])
    drawn_at, drawn = _tops(x, line.drawn(x))
    ends = (drawn_at <= x[0]) | (drawn_at >= x[-1])
    if at[0] in (x[0], x[-1]) or ends.mean() > MOST_AT_END:
        nan = float("nan")
        return nan, nan, nan, drawn_at, drawn
    bias = float(drawn.mean() - top[0])
    return float(at[0]), float(top[0] - bias), bias, drawn_at, drawn


def _tops(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Maximum of every row: a parabola through the highest grid point and its neighbours."""
    k = y.argmax(axis=1)
    inner = np.clip(k, 1, x.size - 2)
    rows = np.arange(y.shape[0])
    left, middle, right = (y[rows, inner + step] for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / np.where(bend < 0, bend, -np.inf)
    inside = k == inner
    at = np.where(inside, x[inner] + shift * (x[1] - x[0]), x[k])
    return at, np.where(inside, middle - 0.25 * (left - right) * shift, y[rows, k])


def _covariance(drawn: Floats, value: Floats, shared: bool) -> Floats:
    """Covariance of the sizes that have a peak, NaN for the others."""
    out = np.full((value.size, value.size), np.nan)
    finite: Sequence[int] = np.flatnonzero(np.isfinite(value)).tolist()
    if finite:
        estimate = np.atleast_2d(np.cov(drawn[finite]))
        # Independent sizes: off-diagonal elements are noise of the draws.
        out[np.ix_(finite, finite)] = estimate if shared else np.diag(np.diag(estimate))
    return out


# ---- against size ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PeakScaling(Result):
    """Positions and heights of peaks against the size.

    Attributes
    ----------
    size, x, x_error, height, height_error : ndarray (size)
    x_c : Parameter or None
        Limit of the positions at infinite size; None without a fit.
    inverse_nu : Parameter or None
        Exponent of the shift; None without a fit, or where the positions do not determine it.
    exponent : Parameter or None
        kappa, given that the heights are a power of L.  With a background, kappa < 0 saturates.
    log_slope : Parameter or None
        A, given that the heights are a logarithm.
    log_weight : float
        Weight of the logarithm against the power law: the best score of each, exp(-score / 2),
        score = chi^2 + 2 k + 2 n_cut.  Not a verdict on whether the heights diverge.
    status : Status
        That of the positions if they are not fitted well, else that of the heights.
    position_status, height_status : Status
        "ok", "too few sizes", "undetermined", "poor fit", "not given"; of the heights also
        "logarithms not excluded".
    message : str
        Meaning of the statuses, and what to do.
    position_models, height_models : list of dict
        Every fit: form, smallest_size, weight, chi2, dof, p_value, coefficients of
        (L / L_max)^..., exponent.
    position_curve, height_curves : dict, dict of dict
        The fits with the largest weight, `size` and `value`; heights by "power" and "logarithm".
    """

    size: Floats
    x: Floats | None
    x_error: Floats | None
    height: Floats | None
    height_error: Floats | None
    x_c: Parameter | None = None
    inverse_nu: Parameter | None = None
    exponent: Parameter | None = None
    log_slope: Parameter | None = None
    log_weight: float = float("nan")
    fixed: dict[str, float] = field(default_factory=dict)
    position_status: Status = Status.NOT_GIVEN
    height_status: Status = Status.NOT_GIVEN
    name: str = "A"
    position_models: list[dict[str, Any]] = field(default_factory=list)
    height_models: list[dict[str, Any]] = field(default_factory=list)
    position_curve: dict[str, Any] = field(default_factory=dict, repr=False)
    height_curves: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def outcome(self) -> str:
        """ "ok" if positions and heights are fitted well, else which are not, and why."""
        parts = {"positions": self.position_status, "heights": self.height_status}
        return ", ".join(FAULTS[v].format(k) for k, v in parts.items() if v in FAULTS) or "ok"

    @property
    def statuses(self) -> dict[str, Status]:
        """Status of every number; x_c holds all shifts where the positions leave 1/nu open."""
        open_ = self.position_status is Status.UNDETERMINED
        heights = self.height_status
        a_log = heights is Status.LOGARITHMS_NOT_EXCLUDED
        return {
            "x_c": Status.OK if open_ else self.position_status,
            "inverse_nu": self.position_status,
            "exponent": heights,
            "log_slope": Status.UNDECIDED if a_log else heights,
        }

    FIELDS = (
        "name", "size", "x", "x_error", "height", "height_error", "x_c", "inverse_nu", "exponent",
        "log_slope", "log_weight", "fixed", "status", "statuses", "position_status",
        "height_status",
        "message", "position_models", "height_models",
    )  # fmt: skip

    def _lines(self) -> list[str]:
        """Parameters with their errors and outcome."""
        lines = [status_line(self.outcome, self.message)]
        names = ["x_c", "inverse_nu"] * (self.x is not None)
        names += ["exponent", "log_slope"] * (self.height is not None)
        for name in names:
            status = self.statuses[name]
            note = "" if status is Status.OK or getattr(self, name) is None else f"   {status}"
            lines.append(
                parameter_line(name, getattr(self, name), fixed=self.fixed.get(name), note=note)
            )
        if np.isfinite(self.log_weight):
            lines.append(f"weight of the logarithm against the power law: {self.log_weight:.2g}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, where `status` names the parts that are not fitted well."""
        return super().to_dict() | {"status": self.outcome}


def peaks_against_size(
    size: ArrayLike,
    x: ArrayLike | None = None,
    x_error: ArrayLike | None = None,
    height: ArrayLike | None = None,
    height_error: ArrayLike | None = None,
    *,
    x_covariance: ArrayLike | None = None,
    height_covariance: ArrayLike | None = None,
    inverse_nu: float | None = None,
    exponent: float | None = None,
    name: str = "A",
) -> PeakScaling:
    """Fit positions or heights of given peaks, or both, against the size.

        x_peak(L) = x_c + a L^(-1/nu) (1 + b L^(-omega)),   h(L) = A L^kappa (1 + b L^(-omega))

    Corrections (omega = 1, 2) and all smallest sizes are averaged.  Whether heights diverge or stay
    bounded is not decided here, nor by `log_weight`: see ``heatcap.divergence``.

    Parameters
    ----------
    size : array_like (size)
    x, x_error : array_like (size), optional
        Positions and their standard deviations.
    height, height_error : array_like (size), optional
    x_covariance, height_covariance : array_like (size, size), optional
        Instead of the errors, where sizes are correlated.
    inverse_nu, exponent : float, optional
        1/nu and kappa where they are known.
    name : str
        Name of the observable, for summaries.

    Returns
    -------
    PeakScaling
        An exponent that is not determined is None, with the reason in `message`.

    Raises
    ------
    ValueError
        If lengths differ, sizes repeat, an error is missing or not positive, a number is not
        finite, or there is neither a position nor a height.
    """
    sizes = numbers(size, "size")
    order = _order(sizes)
    at = _checked("x", x, x_error, x_covariance, order)
    top = _checked("height", height, height_error, height_covariance, order)
    if at is None and top is None:
        raise ValueError("neither positions nor heights: expected x, height, or both")
    if inverse_nu is not None and not 0 < inverse_nu <= STEEPEST:
        raise ValueError(f"inverse_nu must be positive, at most {STEEPEST:g}, got {inverse_nu:g}")
    if exponent is not None and not abs(exponent) <= STEEPEST:
        raise ValueError(f"exponent must be within +-{STEEPEST:g}, got {exponent:g}")
    sizes = sizes[order]
    given = {"inverse_nu": inverse_nu, "exponent": exponent}
    fields: dict[str, Any] = {}
    messages = []
    if at is not None:
        fields |= _positions(sizes, *at, inverse_nu)
        messages.append(fields.pop("message"))
    if top is not None:
        fields |= _heights(sizes, *top, exponent)
        messages.append(fields.pop("message"))
    (x_, x_error_), (height_, height_error_) = (
        (None, None) if pair is None else (pair[0], np.sqrt(np.diag(pair[1]))) for pair in (at, top)
    )
    return PeakScaling(
        sizes, x_, x_error_, height_, height_error_,
        fixed={k: float(v) for k, v in given.items() if v is not None},
        message="; ".join(filter(None, messages)), name=name, **fields,
        status=next(filter(FAULTS.get, (fields[k] for k in PARTS if k in fields)), Status.OK),
    )  # fmt: skip


def _order(size: Floats) -> NDArray[np.intp]:
    if size.ndim != 1 or not np.all(np.isfinite(size) & (size > 0)):
        raise ValueError("sizes must be positive numbers, one for each peak")
    if np.unique(size).size < size.size:
        raise ValueError("sizes must differ: one peak for each")
    return np.argsort(size)


def _checked(
    what: str,
    value: ArrayLike | None,
    error: ArrayLike | None,
    covariance: ArrayLike | None,
    order: NDArray[np.intp],
) -> tuple[Floats, Floats] | None:
    """Values and their covariance, in order of size."""
    if value is None:
        return None
    y = numbers(value, what)
    if error is None and covariance is None:
        raise ValueError(f"{what} has no errors: expected {what}_error or {what}_covariance")
    if error is not None:
        cov = np.diag(numbers(error, f"{what}_error") ** 2)
    if covariance is not None:
        cov = numbers(covariance, f"{what}_covariance")
    if y.shape != order.shape or cov.shape != (order.size, order.size):
        raise ValueError(
            f"{what} must have one value and one error for each of {order.size} sizes,"
            f" got {y.shape} and {cov.shape}"
        )
    if not np.isfinite(y).all() or not np.isfinite(cov).all() or np.any(np.diag(cov) <= 0):
        raise ValueError(f"{what} and its errors must be finite, and errors positive")
    return y[order], cov[np.ix_(order, order)]


# ---- positions ---------------------------------------------------------------------------


def _shift(omega: float, bounds: tuple[float, float]) -> Form:
    def columns(u: Floats, w: float) -> Floats:
        return np.column_stack([np.ones_like(u), u**-w, u ** -(w + omega)])

    name = f"x_c + a L^(-1/nu) (1 + b L^-{omega:g})"
    return Form(name, columns, bounds, slow=True, correction=(1, 2))


def _positions(
    size: Floats, x: Floats, covariance: Floats, inverse_nu: float | None
) -> dict[str, Any]:
    bounds = SHIFT if inverse_nu is None else (inverse_nu, inverse_nu)
    forms = [_shift(omega, bounds) for omega in OMEGAS]
    fits = _fits(size, x, covariance, forms)
    if not fits:
        return {
            "position_status": Status.TOO_FEW_SIZES,
            "message": _few(size, "positions", 3 + forms[0].free),
        }
    best = heaviest(fits)
    out: dict[str, Any] = {
        "x_c": average(fits, 0),
        "position_models": _models(fits),
        "position_curve": _curve(best, size),
        "position_status": Status.OK,
        "message": "",
    }
    if best.form.free and best.determined:
        out["inverse_nu"] = average(fits, EXPONENT)
    if best.p_value < POOR:
        message = f"no shift L^(-1/nu) describes the positions (p = {best.p_value:.1g}): leave out"
        return out | {
            "position_status": Status.POOR_FIT,
            "message": f"{message} the smallest sizes",
        }
    if best.form.free and not best.determined:
        message = "the positions do not determine 1/nu: add larger sizes, or give it (inverse_nu)"
        return out | {"position_status": Status.UNDETERMINED, "message": message}
    return out


# ---- heights -----------------------------------------------------------------------------


def _power(omega: float, bounds: tuple[float, float]) -> Form:
    def columns(u: Floats, kappa: float) -> Floats:
        return np.column_stack([u**kappa, u ** (kappa - omega)])

    return Form(f"A L^kappa (1 + b L^-{omega:g})", columns, bounds, correction=(0, 1))


def _background(bounds: tuple[float, float]) -> Form:
    def columns(u: Floats, kappa: float) -> Floats:
        # expm1: the limit kappa -> 0, the logarithm, must be smooth.
        grown = np.log(u) if abs(kappa) < 1e-9 else np.expm1(kappa * np.log(u)) / kappa
        return np.column_stack([np.ones_like(u), grown])

    return Form("c + A (L^kappa - 1)/kappa", columns, bounds)


def _logarithm() -> Form:
    def columns(u: Floats, _: float) -> Floats:
        return np.column_stack([np.ones_like(u), np.log(u), 1 / u])

    return Form("A ln L + B + b/L", columns, (0.0, 0.0), correction=(1, 2))


def _heights(
    size: Floats, height: Floats, covariance: Floats, exponent: float | None
) -> dict[str, Any]:
    bounds = GROWTH if exponent is None else (exponent, exponent)
    forms = [_power(omega, bounds) for omega in OMEGAS] + [_background(bounds)]
    powers = _fits(size, height, covariance, forms)
    logs = _fits(size, height, covariance, [_logarithm()])
    if not powers or not logs:
        return {"height_status": Status.TOO_FEW_SIZES, "message": _few(size, "heights", 3)}
    power, log = heaviest(powers), heaviest(logs)
    best = min(power, log, key=lambda fit: fit.score)
    out: dict[str, Any] = {
        "log_slope": average(logs, 1),
        "log_weight": float(1 / (1 + np.exp(np.clip((log.score - power.score) / 2, -700, 700)))),
        "height_models": _models([*powers, *logs]),
        "height_curves": {"power": _curve(power, size), "logarithm": _curve(log, size)},
        "height_status": Status.OK,
        "message": "",
    }
    if power.form.free and power.determined:
        out["exponent"] = average(powers, EXPONENT)
    moved = "exponent" in out and _moved(power, log, out["log_weight"], out["exponent"])
    if best.p_value < POOR:
        message = (
            "neither a power of L nor a logarithm describes the heights "
            f"(p = {best.p_value:.1g}): leave out the smallest sizes"
        )
        return out | {"height_status": Status.POOR_FIT, "message": message}
    if power.form.free and not power.determined:
        message = "the heights do not determine their exponent: add larger sizes, or smaller errors"
        return out | {"height_status": Status.UNDETERMINED, "message": message}
    if moved:
        message = _AS_WELL.format(out["log_weight"])
        return out | {"height_status": Status.LOGARITHMS_NOT_EXCLUDED, "message": message}
    return out


_AS_WELL = (
    "a logarithm fits the heights as well (weight {:.2g}), and then they have no exponent: the one "
    "below holds for a power only (heatcap verdict weighs them)"
)


def _moved(power: Fit, log: Fit, log_weight: float, exponent: Parameter) -> bool:
    """Whether a logarithm, the power 0, is not excluded, and the exponent is not 0."""
    return (
        power.form.free
        and log.p_value >= POOR
        and log_weight > LEAST_WEIGHT
        and abs(exponent.value) > exponent.error
    )


# ---- both --------------------------------------------------------------------------------


def _fits(size: Floats, y: Floats, covariance: Floats, forms: Sequence[Form]) -> list[Fit]:
    """Fits of every form that leaves a degree of freedom."""
    return fit_forms(size, y, covariance, forms, spare=1)


def _few(size: Floats, what: str, needed: int) -> str:
    return f"{what} of {size.size} sizes, at least {needed} are needed: add sizes"


def _models(fits: Sequence[Fit]) -> list[dict[str, Any]]:
    weights = weights_of(fits).tolist()
    return [fit.to_dict() | {"weight": w} for fit, w in zip(fits, weights, strict=True)]


def _curve(fit: Fit, size: Floats) -> dict[str, Any]:
    grid = np.geomspace(fit.smallest, size[-1], SHOWN)
    return {"size": grid, "value": predicted(fit, grid, float(size[-1])), "form": fit.form.name}
