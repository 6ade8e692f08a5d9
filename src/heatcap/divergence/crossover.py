"""Exponent and crossover length of heights that grow: the region that the data do not exclude.

    h(L) = c + a g(L),    a >= 0,    g = (l^kappa - 1) / kappa,    l = L (1 + (L / xi)^m)^(-1/m),
                                 or  g = 1 - exp(-(L / xi)^q)

xi is the length at which l is 2^(-1/m) of L; xi = inf is pure growth.  chi^2 is lowest over c, a
and m in [1/2, 4] at every kappa and xi: the region is of the first form.  The profile over xi, of
both, gives the lower limit of the crossover length: a crossover that begins below it costs more
than 3.84 in chi^2, which is more than the 2.71 of a one-sided limit, because exponent and sharpness
are free.
The sizes have to reach their power law by themselves: there are no corrections to scaling here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.core.result import plain
from heatcap.divergence.exponent import TWO_SIDED
from heatcap.divergence.growth import SHARP, STEEPEST, STRETCHED, ln_l, power_of
from heatcap.divergence.heights import Heights

__all__ = ["Crossover", "crossover"]

GENTLEST, STEP = -0.5, 0.1  # of the exponents that a search starts from
LENGTHS = 24  # per profile, from a quarter of the smallest size on
FURTHEST = 30.0  # of the largest size
ROUNDS = 7  # in which exponent and sharpness are looked at more closely
COLUMNS, SHARPS = 48, 19  # exponents of the region, and sharpnesses of each
SHOWN = 12.0  # in chi^2: twice what limits a region of two parameters


@dataclass(frozen=True, eq=False)
class Crossover:
    """The region of exponents and crossover lengths.

    Attributes
    ----------
    lower_limit95 : float
        One-sided, in units of the size; 0 where a crossover at any length fits, or heights do not
        grow.
    lowest : float
        chi^2 of the best of all.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain({name: getattr(self, name) for name in self.__dataclass_fields__}))


def crossover(data: Heights) -> Crossover:
    """The region of exponents and crossover lengths, and the limit of the latter."""
    weight = np.asarray(np.linalg.inv(data.covariance), dtype=np.float64)
    low, high = float(data.sizes[0]), float(data.sizes[-1])
    lengths = np.append(np.geomspace(low / 4, FURTHEST * high, LENGTHS), np.inf)
    profile = _profile(data, weight, lengths)
    exponents, region = _region(data, weight, lengths)
    limit = _lower(data, weight, lengths, profile)
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
        found = _cut_off(data, weight, around, np.broadcast_to(x, around.shape), np.exp(sharp))
        best = found.argmin(axis=0)[np.newaxis]
        kappa, log_m = (np.take_along_axis(each, best, axis=0)[0] for each in (around, sharp))
        lowest = np.minimum(lowest, found.min(axis=0))
    return np.asarray(np.minimum(lowest.min(axis=1), _stretched(data, weight, lengths)))


def _stretched(data: Heights, weight: Floats, lengths: Floats) -> Floats:
    """Lowest chi^2 of stretched exponentials at every length; infinite at an infinite one."""
    powers = np.geomspace(STRETCHED[0], STRETCHED[-1], 4 * len(STRETCHED))
    found = np.full(len(lengths), np.inf)
    inside = np.flatnonzero(np.isfinite(lengths))
    x, q = np.meshgrid(np.log(lengths[inside]), powers, indexing="ij")
    forms = -np.exp(-np.exp(q.ravel()[:, np.newaxis] * (np.log(data.sizes) - x.reshape(-1, 1))))
    found[inside] = _chi2(data, weight, forms).reshape(x.shape).min(axis=1)
    return found


def _lower(data: Heights, weight: Floats, lengths: Floats, profile: Floats) -> float:
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
