"""Exponent and crossover length of heights that grow: the region that the data do not exclude.

    h(L) = c + a (l^kappa - 1) / kappa,    l = L (1 + (L / xi)^m)^(-1/m),    a >= 0

xi is the length at which l is 2^(-1/m) of L; xi = inf is pure growth.  chi^2 is
lowest over c, a and m in [1/2, 4] at every kappa and xi.  Its profile over xi gives the lower limit
of the crossover length: a crossover that begins below it costs more than 3.84 in chi^2, which is
more than the 2.71 of a one-sided limit, because exponent and sharpness are free.  The sizes have to
reach their power law by themselves: there are no corrections to scaling here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heatcap._json import plain
from heatcap._vector import Floats
from heatcap.divergence.exponent import TWO_SIDED
from heatcap.divergence.growth import ln_l, power_of
from heatcap.divergence.heights import Heights

__all__ = ["Crossover", "crossover"]

EXPONENTS = np.linspace(-0.5, 3.0, 36)
SHARP = np.array([0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0])
LENGTHS = 24  # per profile, from a quarter of the smallest size on
FURTHEST = 30.0  # of the largest size
ROUNDS = 7  # in which the exponent is looked at more closely


@dataclass(frozen=True, eq=False)
class Crossover:
    """The region of exponents and crossover lengths.

    Attributes
    ----------
    lower_limit95 : float
        One-sided, in units of the size; 0 where a crossover at any length fits, or heights do not
        grow.
    exponents, lengths : ndarray
        The last length is infinite.
    chi2 : ndarray (exponent, length)
        Lowest chi^2, over level, growth and sharpness.
    """

    lower_limit95: float
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
    every = _chi2(data, weight, *np.meshgrid(EXPONENTS, lengths, SHARP, indexing="ij"))
    region = every.min(axis=2)
    profile = _profile(data, weight, lengths, every)
    limit = _lower(data, weight, lengths, profile)
    return Crossover(limit, EXPONENTS, lengths, region)


def _profile(data: Heights, weight: Floats, lengths: Floats, chi2: Floats) -> Floats:
    """Lowest chi^2 at every length, over exponents between those of the lattice too."""
    best = np.argmin(chi2, axis=0)  # (length, sharpness)
    centre, step = EXPONENTS[best], EXPONENTS[1] - EXPONENTS[0]
    lowest = chi2.min(axis=0)
    x, m = np.meshgrid(lengths, SHARP, indexing="ij")
    for _ in range(ROUNDS):
        step /= 2
        around = centre + step * np.array([-1.0, 0.0, 1.0])[:, np.newaxis, np.newaxis]
        found = _chi2(data, weight, *np.broadcast_arrays(around, x, m))
        best = found.argmin(axis=0)[np.newaxis]
        centre = np.take_along_axis(around, best, axis=0)[0]
        lowest = np.minimum(lowest, np.take_along_axis(found, best, axis=0)[0])
    return np.asarray(lowest.min(axis=1))


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
        chi2 = _chi2(data, weight, *np.meshgrid(EXPONENTS, between, SHARP, indexing="ij"))
        fine = _profile(data, weight, between, chi2)
        lowest = min(lowest, float(fine.min()))
        within = np.flatnonzero(fine <= lowest + TWO_SIDED)
        first = int(within[0]) if len(within) else len(between) - 1
        if first == 0:
            return float(outside)
        outside, inside = between[first - 1], between[first]
    return float(outside)


def _chi2(data: Heights, weight: Floats, kappa: Floats, length: Floats, m: Floats) -> Floats:
    """Lowest chi^2 over c and a >= 0 for every exponent, length and sharpness, of one shape."""
    with np.errstate(divide="ignore"):
        ln_xi = np.log(length / data.sizes[0]).ravel()
    theta = np.column_stack([kappa.ravel(), ln_xi, m.ravel()])
    g = power_of(ln_l(data.sizes / data.sizes[0], theta), theta[:, :1])
    g = g / np.maximum(np.ptp(g, axis=1), 1e-300)[:, np.newaxis]
    w1 = weight.sum(axis=1)
    rest = data.heights - data.heights @ w1 / w1.sum()
    g = g - (g @ w1 / w1.sum())[:, np.newaxis]
    wg = g @ weight
    product, norm = wg @ rest, np.einsum("ij,ij->i", wg, g)
    chi2 = float(rest @ weight @ rest) - np.maximum(product, 0.0) ** 2 / np.maximum(norm, 1e-300)
    return np.asarray(chi2.reshape(kappa.shape), dtype=np.float64)
