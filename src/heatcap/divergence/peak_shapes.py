"""Forms of a peak along the control at one size; each belongs to one class.

    A(x) = s + c (x - x_bar) + a [g(x) + b e(x)],    |b| <= B

g + b e, without its linear part, changes by at least one over the points: otherwise a wide step
with a slope that cancels it would be both a step and flat.  With t = x - x_c, the asymmetry
e = g t / sqrt(t^2 + w^2) changes sign at x_c: amplitudes differ by up to a factor of two; for power
laws also with a jump, e = g sign(t).  x is the control, or its logarithm, in units of the window.

    cut-off power     g ~ [(|t|^m + delta^m)^(-alpha/m) - (r^m + delta^m)^(-alpha/m)] / alpha
    stretched         exp(-|t / w|^p / p), w on one side up to e = 2.7 times that on the other
    sech^2            cosh(t / w)^-2               step        tanh(t / w)
    Schottky          (D/x)^2 q e^(D/x) / (1 + q e^(D/x))^2

m from 1 to 8 and p from 0.7 to 6 vary the rounding, because the form of a crossover is not known.
r, the reach, is the larger distance from x_c to an end of the window: one side is enough to show a
power law, which a peak outside the middle could otherwise not have.

`plain` makes the forms without a slope, `families` all others, `stacked` the arrays for the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats, Ints
from heatcap.divergence.growth import power_of
from heatcap.divergence.margins import BOUNDED, FLAT, LOGARITHMIC, POWER, PeakMargins

__all__ = [
    "ALL",
    "CUSP",
    "STEEPEST_ALPHA",
    "Family",
    "PeakShapes",
    "cut_off",
    "families",
    "plain",
    "reach",
    "stacked",
]

Form = Callable[[Floats, Floats], tuple[Floats, Floats]]

STEEPEST_ALPHA = 3.0  # largest exponent; beyond, (t^2 + delta^2)^(-alpha/2) is nearly a Gaussian
CUSP, ROUND = -2.0, -1.0  # smallest exponents of a cusp, and of a rounded peak
FINEST = 1 / 8  # smallest cut-off in units of the distance of points
WIDEST = 3.0  # largest rounding in units of the reach
BLUNT = ("cut-off power", "cut-off logarithm", "rounded power")
LOG2_SHARPNESS = np.linspace(0.0, 3.0, 3)  # log2 m of a rounding: m = 1 is blunt, 2.8, 8 a corner
POWERS = np.linspace(np.log(0.7), np.log(6.0), 4)  # ln p of exp(-|t|^p)
LEAN = np.linspace(-0.5, 0.5, 3)
STARTS, ALL = 25, 61  # positions that a search starts from: about a maximum, and everywhere
SMALL = (0.05, 0.2)  # widths of small peaks that count as flat; narrower ones are a single point
SLOPES = (-1.5, 0.0, 1.5)  # drift beside them, in units of their height
MANY = 80  # most positions of these
SEEN = 1e-6  # least change beside a straight line, in units of the form; below it is rounding


@dataclass(frozen=True, eq=False)
class Family:
    """Forms of one class that differ by their parameters.

    Attributes
    ----------
    name : str
    kind : int
    axes : dict
        Start values of the search for each parameter, equally spaced.
    form : callable
        Maps x (point,) and parameters (shape, parameter) to g and e (shape, point).
    growth : tuple of float
        Lowest and highest a, in units of the largest value.
    """

    name: str
    kind: int
    axes: dict[str, Floats]
    form: Form
    growth: tuple[float, float]


@dataclass(frozen=True, eq=False)
class PeakShapes:
    """Shapes on given points, as arrays for the kernel.

    Attributes
    ----------
    g, e : ndarray (shape, point)
    kind : ndarray of int (shape,)
        Index into :data:`heatcap.divergence.margins.CLASSES`.
    box : ndarray (6, shape)
        Lowest and highest a, s (both in units of the largest value) and b.
    penalty : ndarray (shape,)
        Zero.
    span : ndarray (shape,)
        Scale by which g and e were divided.
    seen : ndarray of bool (shape,)
        Whether the change beside a slope exceeds rounding.
    rows : list of (Family, ndarray)
        Family and parameters of every shape.
    """

    g: Floats
    e: Floats
    kind: Ints
    box: Floats
    penalty: Floats
    span: Floats
    seen: NDArray[np.bool_]
    rows: list[tuple[Family, Floats]]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: NDArray[np.bool_]) -> PeakShapes:
        """Select some of the shapes."""
        return PeakShapes(
            g=np.ascontiguousarray(self.g[rows]),
            e=np.ascontiguousarray(self.e[rows]),
            kind=self.kind[rows],
            box=np.ascontiguousarray(self.box[:, rows]),
            penalty=self.penalty[rows],
            span=self.span[rows],
            seen=self.seen[rows],
            rows=[row for row, selected in zip(self.rows, rows.tolist(), strict=True) if selected],
        )

    def at(self, x: Floats, index: Ints) -> tuple[Floats, Floats]:
        """Evaluate g and e of some shapes at other points, in the same units."""
        pairs = [self.rows[i][0].form(x, self.rows[i][1][np.newaxis]) for i in index.tolist()]
        span = self.span[index][:, np.newaxis]
        g, e = (np.concatenate(forms) / span for forms in zip(*pairs, strict=True))
        return g, e


def stacked(
    x: Floats, members: list[tuple[Family, Floats]], skew: float, *, sloped: bool = True
) -> PeakShapes:
    """Stack families with their parameters (shape, parameter), with a slope beside or without."""
    pairs = [family.form(x, theta) for family, theta in members]
    g, e = (np.concatenate(forms) for forms in zip(*pairs, strict=True))
    span = _span(x, g, e, skew) if sloped else np.ptp(g, axis=1)
    seen = span > SEEN * np.abs(g).max(axis=1) if sloped else np.ones(len(g), dtype=np.bool_)
    span[span == 0] = 1.0  # constant over the points: the form changes far outside
    count = [len(theta) for _, theta in members]
    growth = np.repeat([family.growth for family, _ in members], count, axis=0).T
    b = np.where(np.any(e, axis=1), skew, 0.0)
    free = np.full(len(g), np.inf)
    return PeakShapes(
        g=np.ascontiguousarray(g / span[:, np.newaxis]),
        e=np.ascontiguousarray(e / span[:, np.newaxis]),
        kind=np.repeat(np.array([family.kind for family, _ in members], dtype=np.int64), count),
        box=np.ascontiguousarray(np.vstack([growth, -free, free, -b, b])),
        penalty=np.zeros(len(g)),
        span=span,
        seen=seen,
        rows=[(family, row) for family, theta in members for row in theta],
    )


def _span(x: Floats, g: Floats, e: Floats, skew: float) -> Floats:
    """Smallest change of g + b e over b, without its linear part.

    At the edge of the window e is nearly -g, or both are straight lines: the change must be visible
    for any asymmetry, or flat values would count as a peak.
    """
    t = x - x.mean()
    line = np.vstack([t / np.sqrt(t @ t), np.full(len(t), len(t) ** -0.5)])
    g, e = g - g @ line.T @ line, e - e @ line.T @ line
    square = np.maximum(np.einsum("ij,ij->i", e, e), 1e-300)
    least = np.clip(-np.einsum("ij,ij->i", g, e) / square, -skew, skew)
    forms = [g + b * e for b in (-skew, 0.0, skew, least[:, np.newaxis])]
    return np.asarray(np.min([form.max(axis=1) - form.min(axis=1) for form in forms], axis=0))


def plain(x: Floats, m: PeakMargins) -> list[tuple[Family, Floats]]:
    """Make the forms without a slope: flat ones and drift.

    Flat forms include small peaks and steps, on drift.
    Drift by more than the smallest effect is bounded over any window, and is no peak.
    """
    least = m.smallest_effect
    places = x[:: int(np.ceil(len(x) / MANY))]
    gap = float(np.median(np.diff(x)))
    widths = np.log([gap / 2, *SMALL])
    axes = (places, widths, np.array(SLOPES))
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    bend = {"power": np.array([1.0])}
    both = dict(zip(("x_c", "w", "tilt"), axes, strict=True))
    small = (-least, least)
    return [
        (Family("constant, drift", FLAT, bend, _drift, small), np.array([[1.0], [2.0]])),
        (Family("constant, small peak", FLAT, both, _peak_on_drift, small), grid),
        (Family("constant, small step", FLAT, both, _step_on_drift, small), grid),
        (Family("drift up", BOUNDED, bend, _drift, (least, np.inf)), np.array([[1.0]])),
        (Family("drift down", BOUNDED, bend, _drift, (-np.inf, -least)), np.array([[1.0]])),
    ]


def families(
    x: Floats,
    top: tuple[float, float],
    gap: float,
    m: PeakMargins,
    control: Callable[[Floats], Floats],
    starts: int = STARTS,
) -> Iterator[Family]:
    """Make every family of peaks and steps.

    Parameters
    ----------
    x : ndarray (point,)
        From 0 to 1.
    top : tuple of float
        Interval in which the maximum may be.
    gap : float
        Distance of points there.
    m : PeakMargins
    control : callable
        Maps x to the control: the Schottky anomaly is a function of it, if it is positive.
    starts : int
        Largest number of positions.
    """
    up, down = (m.smallest_effect, np.inf), (-np.inf, -m.smallest_effect)
    count = int(np.clip(np.ceil((top[1] - top[0]) / gap) + 1, 3, starts))
    where = np.linspace(*top, count)
    edge = -np.log(m.decade)
    finest = min(np.log(FINEST * gap), edge - np.log(2))
    sharp = np.linspace(finest, edge, max(int(np.ceil((edge - finest) / 0.7)) + 1, 3))
    wide = np.linspace(edge, np.log(WIDEST), 6)
    least = m.alpha_min
    for name, kind, rounding, alpha in (
        ("cut-off power", POWER, sharp, np.linspace(least, STEEPEST_ALPHA, 7)),
        ("cut-off logarithm", LOGARITHMIC, sharp, np.linspace(-0.99 * least, 0.99 * least, 3)),
        ("cusp", BOUNDED, sharp, np.linspace(CUSP, -least, 4)),
        ("rounded power", BOUNDED, wide, np.linspace(ROUND, STEEPEST_ALPHA, 5)),
    ):
        axes = {"x_c": where, "delta": rounding, "alpha": alpha}
        if name in BLUNT:
            axes["log2_m"] = LOG2_SHARPNESS
        yield Family(name, kind, axes, cut_off, up)
    axes = {"x_c": where, "delta": sharp, "alpha": np.linspace(least, STEEPEST_ALPHA, 7)}
    yield Family("cut-off power, jump", POWER, axes, cut_off_jump, up)
    widths = np.linspace(np.log(gap / 2), np.log(2.0), 9)
    yield Family("sech^2", BOUNDED, {"x_c": where, "w": widths}, _sech, up)
    axes = {"x_c": where, "w": widths, "p": POWERS, "lean": LEAN}
    yield Family("stretched exponential", BOUNDED, axes, stretched, up)
    inside = np.linspace(x[0], x[-1], STARTS)
    jumps = np.linspace(np.log(gap / 8), np.log(2.0), 11)
    for name, sign in (("step up", up), ("step down", down)):
        yield Family(name, BOUNDED, {"x_c": inside, "w": jumps}, _step, sign)
    ends = control(np.array([0.0, 1.0]))
    if ends[0] > 0:
        lowest, highest = np.log(ends)
        axes = {"D": np.linspace(lowest, highest + 2, 12), "q": np.linspace(-2.0, 2.0, 4)}
        yield Family("Schottky", BOUNDED, axes, _schottky(control), up)


def reach(x_c: Floats) -> Floats:
    """Compute the larger distance from x_c to an end of the window, which is [0, 1]."""
    return np.maximum(x_c, 1 - x_c)


def cut_off(x: Floats, theta: Floats) -> tuple[Floats, Floats]:
    """Evaluate [(|t|^m + delta^m)^(-alpha/m) - (1 + delta^m)^(-alpha/m)] / alpha, t over the reach.

    Parameters are x_c, ln delta in units of the reach, alpha, and log2 m if m is not 2.
    """
    x_c, v, alpha, *more = theta.T[:, :, np.newaxis]
    m = 2.0 ** more[0] if more else 2.0
    r = reach(x_c)
    t = (x - x_c) / r
    log = (np.log(np.abs(t) ** m + np.exp(m * v)) - np.log1p(np.exp(m * v))) / m
    g = -power_of(log, -alpha)
    return g, g * t / np.hypot(t, np.exp(v))


def cut_off_jump(x: Floats, theta: Floats) -> tuple[Floats, Floats]:
    """Evaluate `cut_off` with amplitudes that jump at x_c."""
    g, _ = cut_off(x, theta)
    return g, g * np.sign(x - theta[:, :1])


def stretched(x: Floats, theta: Floats) -> tuple[Floats, Floats]:
    """Evaluate exp(-|t/w|^p / p), w wider right and narrower left of x_c by a factor e^lean."""
    x_c, w, p, lean = theta.T[:, :, np.newaxis]
    t = (x - x_c) * np.exp(-w)
    t = t * np.exp(-lean * np.sign(t))
    p = np.exp(p)
    g = np.exp(-np.minimum(np.abs(t) ** p / p, 700.0))
    return g, np.zeros_like(g)


def _gauss(x: Floats, theta: Floats) -> tuple[Floats, Floats]:
    x_c, w = theta[:, 0, np.newaxis], np.exp(theta[:, 1, np.newaxis])
    t = (x - x_c) / w
    g = np.exp(-np.minimum(t * t / 2, 700.0))
    return g, g * t / np.hypot(t, 1.0)


def _sech(x: Floats, theta: Floats) -> tuple[Floats, Floats]:
    x_c, w = theta[:, 0, np.newaxis], np.exp(theta[:, 1, np.newaxis])
    t = (x - x_c) / w
    g = np.cosh(np.minimum(np.abs(t), 300.0)) ** -2
    return g, g * t / np.hypot(t, 1.0)


def _step(x: Floats, theta: Floats) -> tuple[Floats, Floats]:
    x_c, w = theta[:, 0, np.newaxis], np.exp(theta[:, 1, np.newaxis])
    g = np.tanh((x - x_c) / w)
    return g, np.zeros_like(g)


def _peak_on_drift(x: Floats, theta: Floats) -> tuple[Floats, Floats]:
    drift = x - 0.5 + np.zeros_like(theta[:, :1])
    return _gauss(x, theta)[0] + theta[:, 2:] * drift, drift


def _step_on_drift(x: Floats, theta: Floats) -> tuple[Floats, Floats]:
    drift = x - 0.5 + np.zeros_like(theta[:, :1])
    return _step(x, theta)[0] + theta[:, 2:] * drift, drift


def _drift(x: Floats, theta: Floats) -> tuple[Floats, Floats]:
    """x with some curvature, and (x - 1/2)^2."""
    g = (x - 0.5 * (theta - 1)) ** theta
    return g, np.where(theta == 1, (x - 0.5) ** 2, 0.0)


def _schottky(control: Callable[[Floats], Floats]) -> Form:
    """Schottky anomaly of two levels D apart, with degeneracies in the ratio q."""
    from scipy.special import expit

    def form(x: Floats, theta: Floats) -> tuple[Floats, Floats]:
        z = np.minimum(np.exp(theta[:, :1]) / control(x), 700.0)
        p = expit(z + theta[:, 1:])
        g = z * z * p * (1 - p)
        return g, np.zeros_like(g)

    return form
