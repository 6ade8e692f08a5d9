"""Energy histograms: single or double peak, and the free-energy barrier between two.

At the temperature where both peaks are equally high, Delta F = ln(P_max / P_min) is the free energy
of two interfaces in units of T.  It grows as L^(d-1) at a first-order transition, where the peaks
stay apart by the latent heat; elsewhere it does not grow, or there is a single peak.

ln P(E; beta) = S(E) - beta E + const: reweighting tilts the curve and does nothing else.  The
inverse temperature of equal height is hence the slope of the line that touches both peaks of S, and
Delta F the largest gap between S and its concave hull: a convex part of the entropy.  Energies are
extensive in the fits, per site in results; k_B = 1.

J. Lee & J. M. Kosterlitz, Phys. Rev. Lett. 65 (1990) 137; M. S. S. Challa, D. P. Landau &
K. Binder, Phys. Rev. B 34 (1986) 1841 (what was checked: docs/references.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter, Result, Status, readable
from heatcap.core.student import chi2_tail
from heatcap.scaling.reweighting import Ensemble, ensembles, inverse

__all__ = ["Barriers", "Gap", "barriers", "hull_corners", "widest_gap"]

RESOLVED = ("single", "double")  # shapes that were determined
DRAWS = 400
CHANCE = 0.01  # p-value of the gap under a single peak, above which the peak is single
POOR = 1e-3  # p-value below which the spline does not describe the histogram
CROSSINGS = 10  # of the valley; with fewer the runs do not tunnel
SMALLEST = 0.05  # least error of a barrier: a twentieth of T decides nothing
BINS = 160  # of the energy at most
LEVELS = 4  # in a bin at least: the density of states of a lattice is uneven from level to level
INTERVALS = (3, 4, 6, 8, 11, 15, 20)  # of the spline of the entropy
GRID = 401
BEYOND = 0.002  # share of the samples beyond either end of the range
FEWEST = 20.0  # effective samples of a size; tunnelling is required separately


@dataclass(frozen=True, eq=False)
class Barriers(Result):
    """Shapes of the energy histograms of all sizes, and the barriers.

    Attributes
    ----------
    size : ndarray (size)
    shapes : list of str
        By size: "double"; "single"; "no tunnelling" (two peaks, but runs hardly ever pass between
        them, so that the valley is not sampled); "one-sided" (a second peak outside the energies
        sampled); "poor fit" (no smooth curve describes the histogram: lattices of a few dozen
        sites); "too short" (too few samples, or levels of the energy).
    barrier, barrier_error : ndarray (size)
        Delta F; for a single peak a noisy 0; NaN unless "double" or "single".
    distance, distance_error : ndarray (size)
        Between the peaks, in energy per site; NaN unless "double".
    control : ndarray (size)
        Temperature, or its inverse, at which both peaks are equally high; NaN unless "double".
    p_value : ndarray (size)
        Probability of a gap as large under a single peak.
    crossings : ndarray (size)
        Passages of the runs between the peaks.
    tension : Parameter
        Slope of Delta F against L^(d-1): twice the interface tension over T at a first-order
        transition, 0 or less elsewhere; `systematic` is the change without the smallest size.
    curves : list of dict
        By size: `energy` per site, `log_p` = ln P / P_max at equal heights (at the peak of a
        single one) and its `error`.
    status : Status
        "ok", or "no evidence" if no size is "double" or "single".
    message : str
        Sizes without tunnelling, and what to do.
    """

    size: Floats
    shapes: list[str]
    barrier: Floats
    barrier_error: Floats
    distance: Floats
    distance_error: Floats
    control: Floats
    p_value: Floats
    crossings: NDArray[np.int64]
    tension: Parameter
    curves: list[dict[str, Any]] = field(default_factory=list)

    FIELDS = (
        "size", "status", "barrier", "barrier_error", "distance", "distance_error", "control",
        "p_value", "crossings", "tension", "message",
    )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, where `status` is that of every size: its shape."""
        return super().to_dict() | {"status": self.shapes}

    def _lines(self) -> list[str]:
        """A line for every size."""
        lines = []
        for i, size in enumerate(self.size):
            line = f"L = {size:g}: {self.shapes[i]}"
            if np.isfinite(self.barrier[i]):
                line += f", barrier {readable(self.barrier[i], self.barrier_error[i])}"
            if np.isfinite(self.distance[i]):
                line += f", peaks {readable(self.distance[i], self.distance_error[i])} apart"
            lines.append(line)
        if np.isfinite(self.tension.value):
            slope = readable(self.tension.value, self.tension.error)
            lines.append(f"growth of the barrier with L^(d-1): {slope}")
        return [*lines, *filter(None, [self.message])]


def barriers(
    series: xr.Dataset, *, dimension: int = 2, rng: int | np.random.Generator = 0
) -> Barriers:
    """Find peaks of the energy histograms and the barrier between them.

    Delta F = ln(P_max / P_min) at equal peak heights.  The entropy S is a cubic spline, fitted by
    Poisson likelihood to the histogram of all simulations of a size; the number of its intervals is
    chosen by Akaike's criterion, where autocorrelated samples count as fewer.  Errors are jackknife
    errors over the runs.  A second peak is tested by the probability of a gap as large if S were
    its own concave hull, with the noise of S.

    Parameters
    ----------
    series : Dataset (point, replicate, sweep)
        As for :func:`heatcap.scaling.reweight`; near the transition, with several runs.
    dimension : int
        Dimension d in Delta F ~ L^(d-1).
    rng : int or Generator
        For the noise.

    Returns
    -------
    Barriers

    Raises
    ------
    ValueError
        As :func:`heatcap.scaling.reweight`.
    """
    generator = np.random.default_rng(rng)
    every, direct = ensembles(series), inverse(series)
    rows = [_analysed(ensemble, series, direct, generator) for ensemble in every]
    columns: dict[str, Any] = {name: np.array([row[name] for row in rows]) for name in _NUMBERS}
    shapes = [str(row["shape"]) for row in rows]
    size = np.array([ensemble.size for ensemble in every])
    tension = _tension(size ** (dimension - 1), columns["barrier"], columns["barrier_error"])
    stuck = [f"{s:g}" for s, word in zip(size, shapes, strict=True) if word == "no tunnelling"]
    message = f"sizes {', '.join(stuck)}: two phases, and runs that stay in theirs; run longer"
    return Barriers(
        size=size,
        shapes=shapes,
        status=Status.OK if {*shapes} & {*RESOLVED} else Status.NO_EVIDENCE,
        tension=tension,
        curves=[row["curve"] for row in rows],
        message=message if stuck else "",
        **columns,
    )


_NUMBERS = (
    "barrier",
    "barrier_error",
    "distance",
    "distance_error",
    "control",
    "p_value",
    "crossings",
)


def _analysed(
    ensemble: Ensemble, series: xr.Dataset, direct: bool, rng: np.random.Generator
) -> dict[str, Any]:
    nan = float("nan")
    out: dict[str, Any] = dict.fromkeys(_NUMBERS, nan) | {"crossings": 0, "curve": {}}
    entropy = _entropy_of(ensemble)
    if entropy is None:
        return out | {"shape": "too short"}
    x, n = entropy.energy, len(entropy.left_out)
    widest = widest_gap(x, entropy.value)
    error = np.sqrt((n - 1) / n) * (entropy.left_out - entropy.left_out.mean(axis=0))
    noise = rng.standard_normal((DRAWS, n)) @ error
    null = np.array([widest_gap(x, widest.hull + row).height for row in noise])
    p_value = (1 + np.count_nonzero(null >= widest.height)) / (1 + DRAWS)
    # A single peak is drawn at the temperature of the runs: there is no equal height of two.
    tilt = widest.slope if p_value <= CHANCE else float(np.median(ensemble.beta))
    out |= {"curve": _curve(ensemble, entropy, tilt, error), "p_value": p_value}
    if entropy.p_value < POOR:
        return out | {"shape": "poor fit"}
    gaps = [widest_gap(x, row) for row in entropy.left_out]
    spread = _jackknife([gap.height for gap in gaps])
    if p_value > CHANCE:
        single = {"barrier": widest.height, "barrier_error": max(spread, SMALLEST, null.std())}
        return out | single | {"shape": "single"}
    if widest.low == x[0] or widest.high == x[-1]:
        return out | {"shape": "one-sided"}
    apart = [(gap.high - gap.low) / ensemble.sites for gap in gaps]
    crossings = _crossings(series, ensemble, widest)
    if crossings < CROSSINGS:
        return out | {"shape": "no tunnelling", "crossings": crossings}
    beta = widest.slope
    return out | {
        "shape": "double",
        "barrier": widest.height,
        "barrier_error": max(spread, SMALLEST),
        "distance": (widest.high - widest.low) / ensemble.sites,
        "distance_error": max(_jackknife(apart), (x[1] - x[0]) / ensemble.sites),
        "control": beta if direct else 1 / beta,
        "crossings": crossings,
    }


def _jackknife(left_out: list[float]) -> float:
    return float(np.sqrt((len(left_out) - 1) * np.nanvar(left_out)))


def _crossings(series: xr.Dataset, ensemble: Ensemble, gap: Gap) -> int:
    """Passages from beyond one peak to beyond the other, over all runs of the size."""
    if "point" in series.dims:
        series = series.isel(point=np.flatnonzero(series["size"].to_numpy() == ensemble.size))
    energy = series["energy"].to_numpy().reshape(-1, series.sizes["sweep"])
    count = 0
    for run in energy * ensemble.sites:
        side = np.where(run <= gap.low, -1, np.where(run >= gap.high, 1, 0))
        side = side[side != 0]
        count += int(np.count_nonzero(np.diff(side)))
    return count


def _curve(ensemble: Ensemble, entropy: _Entropy, tilt: float, error: Floats) -> dict[str, Any]:
    """ln P / P_max at an inverse temperature."""
    x = entropy.energy
    log_p = entropy.value - tilt * x
    # Errors of the constant and of the tilt do not change the shape.
    design = np.column_stack([np.ones_like(x), x - x.mean()])
    shape = error - (design @ np.linalg.lstsq(design, error.T, rcond=None)[0]).T
    return {
        "size": ensemble.size,
        "energy": x / ensemble.sites,
        "log_p": log_p - log_p.max(),
        "error": np.sqrt((shape**2).sum(axis=0)),
    }


def _tension(area: Floats, barrier: Floats, error: Floats) -> Parameter:
    """Slope of the barrier against L^(d-1), and its change without the smallest size."""
    nan = float("nan")
    finite = np.flatnonzero(np.isfinite(barrier))
    if finite.size < 2:
        return Parameter(nan, nan, nan)
    slope, spread = _line(area[finite], barrier[finite], error[finite])
    if finite.size < 3:
        return Parameter(slope, spread, 0.0)
    later, later_error = _line(area[finite[1:]], barrier[finite[1:]], error[finite[1:]])
    # Without the smallest size the slope is noisier: that part of the change is not systematic.
    noise = max(later_error**2 - spread**2, 0.0)
    return Parameter(slope, spread, float(np.sqrt(max((later - slope) ** 2 - noise, 0.0))))


def _line(x: Floats, y: Floats, error: Floats) -> tuple[float, float]:
    w = error**-2.0
    centre = w @ x / w.sum()
    moment = w @ (x - centre) ** 2
    return float(w @ ((x - centre) * y) / moment), float(moment**-0.5)


# ---- the entropy of one size -------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Entropy:
    """S on a grid of extensive energies, and S with each unit left out (unit, grid)."""

    energy: Floats
    value: Floats
    left_out: Floats
    p_value: float


def _entropy_of(ensemble: Ensemble) -> _Entropy | None:
    """The spline with the smallest Akaike criterion, and its jackknife."""
    bins = _Bins.of(ensemble)
    if bins is None or ensemble.counts.shape[0] < 4:
        return None
    h, offset = bins.counted(ensemble.total), bins.offset(ensemble.log_mixture)
    fits = []
    for intervals in INTERVALS:
        if intervals + 3 > h.size / 2:
            break
        knots = np.linspace(bins.edges[0], bins.edges[-1], intervals + 1)
        knots = np.concatenate([[knots[0]] * 3, knots, [knots[-1]] * 3])
        basis = BSpline.design_matrix(bins.middle, knots, 3).toarray()
        c = _poisson(basis, h, offset, None)
        deviance = _deviance(h, basis @ c + offset) / ensemble.correlated
        fits.append((deviance + 2 * c.size, deviance, h.size - c.size, knots, basis, c))
    if not fits:
        return None
    _, deviance, dof, knots, basis, c = min(fits, key=lambda fit: fit[0])
    x = np.linspace(bins.edges[0], bins.edges[-1], GRID)
    on_grid = BSpline.design_matrix(x, knots, 3).toarray()
    left_out = np.array(
        [
            on_grid @ _poisson(basis, bins.counted(counts), bins.offset(mixture), c)
            for counts, mixture in ensemble.without()
        ]
    )
    return _Entropy(x, on_grid @ c, left_out, chi2_tail(deviance, dof))


@dataclass(frozen=True, eq=False)
class _Bins:
    """Bins of the extensive energy: `edges`, and the bin `at` of every level."""

    edges: Floats
    at: NDArray[np.intp]
    level: Floats

    @classmethod
    def of(cls, ensemble: Ensemble) -> _Bins | None:
        """Equal bins over the energies that were seen often enough."""
        seen = np.cumsum(ensemble.total.sum(axis=0))
        first = int(np.searchsorted(seen, BEYOND * seen[-1]))
        last = int(np.searchsorted(seen, (1 - BEYOND) * seen[-1]))
        if seen[-1] < FEWEST * ensemble.correlated or last - first < INTERVALS[0] + 3:
            return None
        step, first = _lattice(ensemble.level, first)
        low, high = ensemble.level[first] - step / 2, ensemble.level[last] + step / 2
        width = (high - low) / BINS
        if step:
            width = step * max(LEVELS, np.ceil(width / step))
        count = int((high - low) / width + 1e-9)
        if count < 2 * (INTERVALS[0] + 3):
            return None
        edges = low + width * np.arange(count + 1)
        return cls(edges, np.searchsorted(edges, ensemble.level) - 1, ensemble.level)

    @property
    def middle(self) -> Floats:
        return np.asarray((self.edges[1:] + self.edges[:-1]) / 2)

    def counted(self, counts: Floats) -> Floats:
        inside = (self.at >= 0) & (self.at < self.edges.size - 1)
        h = counts.sum(axis=0)[inside]
        counted = np.bincount(self.at[inside], weights=h, minlength=self.edges.size - 1)
        return counted.astype(np.float64)

    def offset(self, log_mixture: Floats) -> Floats:
        return np.interp(self.middle, self.level, log_mixture)


def _lattice(level: Floats, first: int) -> tuple[float, int]:
    """Spacing of the levels, 0 if continuous, and the first level beyond the gaps.

    Just above the ground state of a lattice many multiples of the spacing have no states.
    """
    spacing = np.diff(level)
    step = float(np.median(spacing))
    if np.ptp(spacing[spacing.size // 4 : -max(spacing.size // 4, 1)]) > 1e-5 * step:
        return 0.0, first
    below = np.flatnonzero(spacing[: spacing.size // 2] > 1.5 * step)
    return step, max(first, int(below[-1]) + 1 if below.size else 0)


def _poisson(basis: Floats, h: Floats, offset: Floats, start: Floats | None) -> Floats:
    """Coefficients of ln <H> = basis c + offset by maximum likelihood, Newton's method."""

    def loss(c: Floats) -> float:
        eta = basis @ c + offset
        return float(np.exp(np.minimum(eta, 100.0)).sum() - h @ eta)

    if start is None:
        weight = np.sqrt(h + 0.5)
        target = np.log(h + 0.5) - offset
        solved = np.linalg.lstsq(basis * weight[:, None], target * weight, rcond=None)[0]
        start = np.asarray(solved, dtype=np.float64)
    c = start
    value = loss(c)
    for _ in range(60):
        mean = np.exp(np.minimum(basis @ c + offset, 100.0))
        hessian = (basis * mean[:, None]).T @ basis
        hessian += 1e-9 * np.trace(hessian) * np.eye(c.size)  # a knot without samples
        step, scale = np.linalg.solve(hessian, basis.T @ (h - mean)), 1.0
        while scale > 1e-4 and not loss(c + scale * step) <= value + 1e-12 * abs(value):
            scale /= 2
        c, before, value = c + scale * step, value, loss(c + scale * step)
        if abs(before - value) < 1e-9 * max(1.0, abs(value)):
            break
    return c


def _deviance(h: Floats, eta: Floats) -> float:
    """Twice the log likelihood ratio against a free mean for every bin."""
    log_h = np.log(np.maximum(h, 1.0))  # counts are whole numbers; 0 ln 0 = 0
    return float(2 * np.sum(h * (log_h - eta) - (h - np.exp(eta))))


# ---- the concave hull of the entropy -----------------------------------------------------


@dataclass(frozen=True, eq=False)
class Gap:
    """Largest gap between a curve and its concave hull, and the ends of that gap."""

    height: float
    low: float
    high: float
    slope: float
    hull: Floats


def widest_gap(x: Floats, y: Floats) -> Gap:
    """Find the largest gap between y(x) and its concave hull; 0 where y is concave."""
    corners = hull_corners(x, y)
    hull = np.interp(x, x[corners], y[corners])
    at = int((hull - y).argmax())
    right = int(np.searchsorted(corners, at))
    if hull[at] <= y[at] or right == 0:
        nan = float("nan")
        return Gap(0.0, nan, nan, nan, hull)
    a, b = corners[right - 1], corners[right]
    slope = float((y[b] - y[a]) / (x[b] - x[a]))
    return Gap(float(hull[at] - y[at]), float(x[a]), float(x[b]), slope, hull)


def hull_corners(x: Floats, y: Floats) -> NDArray[np.intp]:
    """Find the corners of the upper concave hull (Andrew's monotone chain)."""
    xs, ys = x.tolist(), y.tolist()
    corners: list[int] = []
    for i in range(len(xs)):
        while len(corners) > 1:
            a, b = corners[-2], corners[-1]
            if (ys[b] - ys[a]) * (xs[i] - xs[b]) > (ys[i] - ys[b]) * (xs[b] - xs[a]):
                break
            corners.pop()
        corners.append(i)
    return np.array(corners)
