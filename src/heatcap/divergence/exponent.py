"""Exponent of growing heights with its interval, and limits of the crossover length.

The exponent is that of growth with corrections to scaling, without a crossover
(`growth_exponent`):

    h(L) = c + a [(L^kappa - 1) / kappa + b L^(kappa - omega)],    a > 0

The crossover length is that of growth without corrections, which has to reach its power law over
the given sizes by itself (`crossover`):

    h(L) = c + a g(L),    a >= 0,    g = (l^kappa - 1) / kappa,    l = L (1 + (L / xi)^m)^(-1/m),
                                 or  g = 1 - exp(-(L / xi)^q)

xi is the length at which l = 2^(-1/m) L; xi = inf is pure growth.  At every kappa and xi, chi^2 is
minimised over c, a and m in [1/2, 4]; the region of exponents and lengths uses the first form.  The
profile over xi, of both forms, gives the lower limit of the crossover length: a crossover that
begins below it costs more than 3.84 in chi^2.  This is more than the 2.71 of a one-sided limit,
because exponent and sharpness are free.  Lengths are in units of the size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.core.result import plain
from heatcap.divergence.growth import EDGE, SHARP, STEEPEST, STRETCHED, ln_l, power_of
from heatcap.divergence.heights import Heights
from heatcap.scaling.powers import EXPONENT, Form, average, fit_forms, heaviest

__all__ = [
    "TWO_SIDED",
    "Crossover",
    "Exponent",
    "crossover",
    "growth_exponent",
    "local_exponents",
    "no_exponent",
    "of_profile",
]
TWO_SIDED, ONE_SIDED = 3.841459, 2.705543  # chi^2 of one degree of freedom at 95 and 90 %
UPPER = 1.644854  # standard deviations of a one-sided 95 % limit
GROWTH = (-4.0, 7.0)  # bounds of kappa
DECAYS = (1.0, 2.0)
GENTLEST, STEP = -0.5, 0.1  # of the exponents that a search starts from
STARTS = 24  # per profile, from a quarter of the smallest size on
FURTHEST = 30.0  # of the largest size
ROUNDS = 7  # of refinement of exponent and sharpness
COLUMNS, SHARPS = 48, 19  # exponents of the region, and sharpnesses of each
SHOWN = 12.0  # in chi^2: twice what limits a region of two parameters


@dataclass(frozen=True, eq=False)
class Exponent:
    """Exponent with its 95 % interval: NaN without an exponent, infinite where nothing limits it.

    Attributes
    ----------
    value : float
    ci95 : tuple of float
    upper_limit95 : float
        One-sided.
    grid, chi2 : ndarray
        The profile: exponents about the minimum, or all of them where there is no exponent, with
        the lowest chi^2 of each.
    """

    value: float
    ci95: tuple[float, float]
    upper_limit95: float
    grid: Floats = field(repr=False)
    chi2: Floats = field(repr=False)

    def said(self) -> str:
        """Format value, interval and upper limit as text."""
        ends = (*self.ci95, self.upper_limit95)
        low, high, upper = (f"{x:.2f}" if np.isfinite(x) else "no limit" for x in ends)
        return f"{self.value:.2f}, 95 % interval {low} to {high}, one-sided upper limit {upper}"

    def only_if(self, sound: bool) -> Exponent:
        """Return the exponent, or none where the data do not determine it."""
        return self if sound else no_exponent(self.grid, self.chi2)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dict(plain({"value": self.value, "ci95": list(self.ci95)}))


def no_exponent(grid: Floats, chi2: Floats) -> Exponent:
    """Return the `Exponent` of data that determine none, with the profile."""
    return Exponent(float("nan"), (-np.inf, np.inf), np.inf, grid, chi2)


def growth_exponent(data: Heights) -> Exponent:
    """Fit the exponent of growing heights, with corrections to scaling.

        h(L) = c + a [(L^kappa - 1) / kappa + b L^(kappa - omega)],    a > 0,    omega = 1 and 2

    The result is averaged over the corrections to scaling (:mod:`heatcap.scaling.powers`).  It
    assumes this form: a crossover inside or beyond the sizes is not part of it.
    """
    forms = [_corrected_growth(omega) for omega in DECAYS]
    fits = fit_forms(data.sizes, data.heights, data.covariance, forms, whole=True)
    best = heaviest(fits)
    grid, share, coefficients, _ = best.scan
    chi2 = best.chi2 - 2 * np.log(np.maximum(share / share.max(), 1e-300))
    i = int(np.argmax(share))
    if coefficients[i, 1] <= 0:
        return no_exponent(grid, chi2)
    if not best.determined:
        return Exponent(float(grid[i]), (-np.inf, np.inf), np.inf, grid, chi2)
    kappa = average(fits, EXPONENT)
    upper = kappa.value + UPPER * kappa.error
    return Exponent(kappa.value, kappa.ci95, upper, grid, chi2)


def _corrected_growth(omega: float) -> Form:
    def columns(u: Floats, kappa: float) -> Floats:
        grown = np.log(u) if abs(kappa) < EDGE else np.expm1(kappa * np.log(u)) / kappa
        return np.column_stack([np.ones_like(u), grown, u ** (kappa - omega)])

    def leading(u: Floats, kappa: float) -> Floats:
        # Observed growth or the power alone, the smaller: a correction to L^2 starts from little.
        grown = np.abs(columns(u, kappa)[:, 1])
        return np.minimum(grown, u**kappa / max(abs(kappa), EDGE))

    name = f"c + a (L^kappa - 1)/kappa, L^-{omega:g}"
    return Form(name, columns, GROWTH, correction=(1, 2), leading=leading)


def of_profile(profile: Callable[[Floats], Floats], grid: Floats, chi2: Floats) -> Exponent:
    """Find the minimum of chi^2, with its interval (3.84) and upper limit (2.71).

    Parameters
    ----------
    profile : callable
        Maps exponents (exponent,) to chi^2 (exponent,).
    grid, chi2 : ndarray (exponent,)
        Equally spaced exponents, and the profile there.
    """
    # The interval of precise data is narrower than a step: the profile is refined there.
    near = np.flatnonzero(chi2 <= chi2.min() + 2 * TWO_SIDED)
    low, high = grid[max(near[0] - 1, 0)], grid[min(near[-1] + 1, len(grid) - 1)]
    finer = np.linspace(low, high, len(grid))
    chi2 = profile(finer)
    i = int(np.argmin(chi2))
    upper = _interval(finer, chi2, i, ONE_SIDED)[1]
    return Exponent(
        _vertex_of_parabola(finer, chi2, i),
        _interval(finer, chi2, i, TWO_SIDED),
        upper,
        finer,
        chi2,
    )


def _vertex_of_parabola(grid: Floats, chi2: Floats, i: int) -> float:
    """Minimum of the parabola through the lowest point and its neighbours."""
    if not 0 < i < len(chi2) - 1:
        return float(grid[i])
    left, mid, right = chi2[i - 1 : i + 2]
    curvature = left - 2 * mid + right
    shift = 0.5 * (left - right) / curvature if curvature > 0 else 0.0
    return float(grid[i] + shift * (grid[1] - grid[0]))


def _interval(grid: Floats, chi2: Floats, i: int, rise: float) -> tuple[float, float]:
    """Outermost exponents within `rise` of the minimum; infinite at an end of the grid."""
    target = chi2[i] + rise
    inside = np.flatnonzero(chi2 <= target)
    first, last = inside[0], inside[-1]
    low = -np.inf if first == 0 else _crossing(grid, chi2, first - 1, first, target)
    high = np.inf if last == len(chi2) - 1 else _crossing(grid, chi2, last + 1, last, target)
    return low, high


def _crossing(grid: Floats, chi2: Floats, outside: int, inside: int, target: float) -> float:
    share = (chi2[outside] - target) / (chi2[outside] - chi2[inside])
    return float(grid[outside] + share * (grid[inside] - grid[outside]))


@dataclass(frozen=True, eq=False)
class Crossover:
    """Region of exponents and crossover lengths, with the lower limit of the latter.

    Attributes
    ----------
    lower_limit95 : float
        One-sided, in units of the size; 0 where a crossover at any length fits, or heights do not
        grow.
    lowest : float
        Lowest chi^2 of all.
    exponents, lengths : ndarray
        The last length is infinite.
    chi2 : ndarray (exponent, length)
        Lowest chi^2, over level, growth and sharpness.
    """

    lower_limit95: float
    lowest: float
    exponents: Floats = field(repr=False)
    lengths: Floats = field(repr=False)
    chi2: Floats = field(repr=False)


def crossover(data: Heights) -> Crossover:
    """Compute the region of exponents and crossover lengths, and the limit of the latter."""
    weight = np.asarray(np.linalg.inv(data.covariance), dtype=np.float64)
    low, high = float(data.sizes[0]), float(data.sizes[-1])
    lengths = np.append(np.geomspace(low / 4, FURTHEST * high, STARTS), np.inf)
    profile = _profile(data, weight, lengths)
    exponents, region = _region(data, weight, lengths)
    limit = _lower_limit(data, weight, lengths, profile)
    return Crossover(limit, float(profile.min()), exponents, lengths, region)


def _region(data: Heights, weight: Floats, lengths: Floats) -> tuple[Floats, Floats]:
    """Exponents where chi^2 is near its lowest, and chi^2 (exponent, length)."""
    low, high = GENTLEST, STEEPEST
    while True:
        exponents = np.linspace(low, high, COLUMNS)
        sharp = np.geomspace(SHARP[0], SHARP[-1], SHARPS)
        axes = np.meshgrid(exponents, lengths, sharp, indexing="ij")
        chi2 = _cut_off(data, weight, *axes).min(axis=2)
        near = exponents[(chi2 <= chi2.min() + SHOWN).any(axis=1)]
        step = exponents[1] - exponents[0]
        ends = max(low, near[0] - step), min(high, near[-1] + step)
        if ends[1] - ends[0] > (high - low) / 2:
            return exponents, chi2
        low, high = ends


def _profile(data: Heights, weight: Floats, lengths: Floats) -> Floats:
    """Lowest chi^2 at every length, over exponent and sharpness between those of a lattice."""
    exponents = np.arange(GENTLEST, STEEPEST + STEP, STEP)
    axes = np.meshgrid(exponents, lengths, SHARP, indexing="ij")
    chi2 = _cut_off(data, weight, *axes)
    best, lowest = np.argmin(chi2, axis=0), chi2.min(axis=0)  # (length, sharpness)
    kappa, (x, log_m) = exponents[best], np.meshgrid(lengths, np.log(SHARP), indexing="ij")
    step, ratio = STEP, np.log(2.0)
    moves = np.array(list(product((-1.0, 0.0, 1.0), repeat=2)))[..., np.newaxis, np.newaxis]
    for _ in range(ROUNDS):
        step, ratio = step / 2, ratio / 2
        around = np.minimum(kappa + step * moves[:, 0], STEEPEST)
        sharp = np.clip(log_m + ratio * moves[:, 1], np.log(SHARP[0]), np.log(SHARP[-1]))
        refined = _cut_off(data, weight, around, np.broadcast_to(x, around.shape), np.exp(sharp))
        best = refined.argmin(axis=0)[np.newaxis]
        kappa, log_m = (np.take_along_axis(lattice, best, axis=0)[0] for lattice in (around, sharp))
        lowest = np.minimum(lowest, refined.min(axis=0))
    return np.asarray(np.minimum(lowest.min(axis=1), _stretched(data, weight, lengths)))


def _stretched(data: Heights, weight: Floats, lengths: Floats) -> Floats:
    """Lowest chi^2 of stretched exponentials at every length; infinite at an infinite one."""
    powers = np.geomspace(STRETCHED[0], STRETCHED[-1], 4 * len(STRETCHED))
    lowest = np.full(len(lengths), np.inf)
    inside = np.flatnonzero(np.isfinite(lengths))
    x, q = np.meshgrid(np.log(lengths[inside]), powers, indexing="ij")
    forms = -np.exp(-np.exp(q.ravel()[:, np.newaxis] * (np.log(data.sizes) - x.reshape(-1, 1))))
    lowest[inside] = _chi2(data, weight, forms).reshape(x.shape).min(axis=1)
    return lowest


def _lower_limit(data: Heights, weight: Floats, lengths: Floats, profile: Floats) -> float:
    """The largest length tried below which all are excluded; 0 where none is."""
    lowest = profile.min()
    first = int(np.flatnonzero(profile <= lowest + TWO_SIDED)[0])
    if first == 0:
        return 0.0
    outside, inside = lengths[first - 1], lengths[first]
    if np.isinf(inside):
        return float(outside)
    for _ in range(2):
        between = np.geomspace(outside, inside, 8)
        fine = _profile(data, weight, between)
        lowest = min(lowest, float(fine.min()))
        within = np.flatnonzero(fine <= lowest + TWO_SIDED)
        first = int(within[0]) if len(within) else len(between) - 1
        if first == 0:
            return float(outside)
        outside, inside = between[first - 1], between[first]
    return float(outside)


def _cut_off(data: Heights, weight: Floats, kappa: Floats, length: Floats, m: Floats) -> Floats:
    """Lowest chi^2 for every exponent, length and sharpness, of one shape."""
    with np.errstate(divide="ignore"):
        ln_xi = np.log(length / data.sizes[0]).ravel()
    theta = np.column_stack([kappa.ravel(), ln_xi, m.ravel()])
    g = power_of(ln_l(data.sizes / data.sizes[0], theta), theta[:, :1])
    return _chi2(data, weight, g).reshape(kappa.shape)


def _chi2(data: Heights, weight: Floats, g: Floats) -> Floats:
    """Lowest chi^2 over c and a >= 0 of every form (form, size)."""
    g = g / np.maximum(np.ptp(g, axis=1), 1e-300)[:, np.newaxis]
    w1 = weight.sum(axis=1)
    rest = data.heights - data.heights @ w1 / w1.sum()
    g = g - (g @ w1 / w1.sum())[:, np.newaxis]
    wg = g @ weight
    product, norm = wg @ rest, np.einsum("ij,ij->i", wg, g)
    better = np.maximum(product, 0.0) ** 2 / np.maximum(norm, 1e-300)
    return np.asarray(float(rest @ weight @ rest) - better, dtype=np.float64)


def local_exponents(data: Heights) -> list[dict[str, float]]:
    """Fit kappa_eff of A L^kappa to the sizes from L_min on, for every L_min.

    Each row has 1 / ln L with L the geometric mean of those sizes.  Towards 1 / ln L = 0 a power
    law tends to its exponent, a logarithm to 0 like 1 / ln L, and saturating heights to 0 faster.
    Fits with a height that is not positive are left out, for it has no logarithm.
    """
    rows = []
    for first in range(len(data.sizes) - 2):
        part = data.take(slice(first, None))
        if np.any(part.heights <= 0):
            continue
        log, y = np.log(part.sizes), np.log(part.heights)
        weight = np.linalg.inv(part.covariance / np.outer(part.heights, part.heights))
        design = np.column_stack([np.ones_like(log), log])
        inverse = np.linalg.inv(design.T @ weight @ design)
        slope = (inverse @ design.T @ weight @ y)[1]
        rows.append(
            {
                "smallest_size": float(part.sizes[0]),
                "inverse_log_size": float(1 / log.mean()),
                "exponent": float(slope),
                "error": float(np.sqrt(inverse[1, 1])),
            }
        )
    return rows
