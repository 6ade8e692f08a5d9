"""Reference values of the heat capacity: its bound by the number of keys, and random logits.

:func:`heat_capacity_bound` is a theorem for every row; :func:`random_energy_heat_capacity` is the
null of rows of independent Gaussian logits.  Heat capacities in nats (k_B = 1), at T = 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from heatcap.core.arrays import Floats

__all__ = ["bound_asymptote", "heat_capacity_bound", "random_energy_heat_capacity"]

_SAMPLES = 4096
_DEVIATIONS = np.r_[0.0, np.geomspace(0.05, 60, 48)]
_MOST = 2**17  # keys; a minute
_BLOCK = 2**22  # levels that are held at once


def heat_capacity_bound(n: ArrayLike) -> Floats:
    """Bound the heat capacity of a row with `n` visible keys; 0 for one key.

    The Schottky peak of one level below n - 1 degenerate ones: the maximum over x of
    x^2 w / (1 + w)^2 with w = (n - 1) e^(-x), at x (1 - w) = 2 (1 + w).  Stays below
    :func:`bound_asymptote` for n >= 3.

    Raises
    ------
    ValueError
        If an `n` is below 1.
    """
    keys = np.asarray(n, dtype=np.float64)
    if np.any(keys < 1):
        raise ValueError(f"a row has at least 1 visible key, got {np.min(keys):g}")
    degeneracy = np.maximum(keys, 2.0) - 1.0
    x = np.log(degeneracy) + 2.0
    for _ in range(20):  # x (1 - w) - 2 (1 + w) is concave and rises: Newton cannot leave the root
        w = degeneracy * np.exp(-x)
        x = x - (x * (1.0 - w) - 2.0 * (1.0 + w)) / (1.0 + w * (1.0 + x))
    w = degeneracy * np.exp(-x)
    return np.where(keys == 1, 0.0, x**2 * w / (1.0 + w) ** 2)


def bound_asymptote(n: ArrayLike) -> Floats:
    """Return (ln(n - 1))^2 / 4 + 1, which :func:`heat_capacity_bound` approaches from below.

    Above the bound for n >= 3.
    """
    return np.asarray(np.log(np.asarray(n, dtype=np.float64) - 1.0) ** 2 / 4.0 + 1.0)


def random_energy_heat_capacity(variance: ArrayLike, keys: ArrayLike) -> Floats:
    """Compute the mean heat capacity of rows of n independent Gaussian logits, at T = 1.

    C(s^2, n) = < Var_p(E) >, E_j ~ N(0, s^2) independent, p the softmax of -E: Derrida's
    random-energy model at finite n.  s^2 (1 - 1/n) for small s; far above the freezing s one key
    holds all the weight and C falls like 1 / s: only rows whose two lowest levels nearly meet have
    a heat capacity.

    Parameters
    ----------
    variance : array_like
        s^2, in squared logits.
    keys : array_like
        Visible keys n, 1 to 131072; broadcasts; rounded.

    Returns
    -------
    ndarray
        By scrambled Sobol points, the same at every call: within 1 % of the mean up to
        n = 64 (the tests say where it is compared with quadrature), and 4 % from s = 10 on.  NaN
        where an input is, 0 where the variance is infinite.

    Raises
    ------
    ValueError
        If a variance is negative, or a number of keys below 1 or above 131072.
    """
    s, n = np.broadcast_arrays(np.asarray(variance, float), np.asarray(keys, float))
    if np.any(s < 0) or np.any(n < 1):
        raise ValueError(
            f"variance must be 0 or more and keys 1 or more, got {np.nanmin(s)}, {np.nanmin(n)}"
        )
    if np.any(n > _MOST):
        raise ValueError(f"keys must be at most {_MOST}, got {np.nanmax(n):g}")
    s = np.asarray(np.sqrt(s))
    out = np.full(s.shape, np.nan)
    given = ~(np.isnan(s) | np.isnan(n))
    for count in np.unique(np.rint(n[given])):
        here = given & (np.rint(n) == count)
        out[here] = _of_deviations(s[here], int(count))
    return out


def _of_deviations(s: Floats, keys: int) -> Floats:
    """Interpolate C in the standard deviation; C s is constant beyond the table."""
    seen = np.minimum(s, _DEVIATIONS[-1])
    beyond = np.divide(seen, s, out=np.ones_like(s), where=s > seen)
    # Relative to its asymptotes at both ends, so that linear interpolation is as accurate where C
    # falls as where it rises.
    relative = _per_variance(keys) * _bend(_DEVIATIONS, keys)
    return np.asarray(np.interp(seen, _DEVIATIONS, relative) * seen**2 / _bend(seen, keys) * beyond)


def _bend(s: Floats, keys: int) -> Floats:
    """Divisor that turns s^2 into the asymptotes of C: s^2 below the freezing, 1 / s above."""
    return np.asarray(1 + (s / np.sqrt(2 * np.log(max(keys, 2)))) ** 3)


@lru_cache(maxsize=32)
def _per_variance(keys: int) -> Floats:
    """C / s^2 at every standard deviation of the table; 1 - 1/n at 0."""
    from scipy.special import ndtri

    if keys == 1:
        return np.zeros(_DEVIATIONS.size)
    total, rows = np.zeros(_DEVIATIONS.size - 1), 0
    for points in _points(keys):
        energies = ndtri(points.clip(1e-12, 1 - 1e-12))
        total += [np.sum(_heat_capacity(s * energies)) / s**2 for s in _DEVIATIONS[1:]]
        rows += len(points)
    return np.asarray(np.r_[1 - 1 / keys, total / rows])


def _points(keys: int) -> Iterator[Floats]:
    """Points (row, key) of the unit cube, in blocks."""
    rng = np.random.default_rng(0)
    if keys <= 64:
        from scipy.stats import qmc  # a second to import

        yield qmc.Sobol(keys, rng=rng).random(_SAMPLES)
        return
    # Sobol's points gain nothing in so many dimensions.
    rows = _SAMPLES // 4
    rows_at_once = max(_BLOCK // keys, 1)
    for first in range(0, rows, rows_at_once):
        yield rng.random((min(rows_at_once, rows - first), keys))


def _heat_capacity(energies: Floats) -> Floats:
    """Var E of rows (row, key) at T = 1."""
    weight = np.exp(energies.min(axis=1, keepdims=True) - energies)
    p = weight / weight.sum(axis=1, keepdims=True)
    mean = np.sum(p * energies, axis=1, keepdims=True)
    return np.asarray(np.sum(p * (energies - mean) ** 2, axis=1))
