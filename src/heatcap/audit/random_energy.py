"""The random-energy null: the heat capacity of a row of independent Gaussian logits."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

__all__ = ["random_energy_heat_capacity"]

Floats = NDArray[np.float64]

SAMPLES = 4096
DEVIATIONS = np.r_[0.0, np.geomspace(0.05, 60, 48)]


def random_energy_heat_capacity(variance: ArrayLike, keys: ArrayLike) -> Floats:
    """Mean heat capacity of rows of n independent Gaussian logits of a given variance, at T = 1.

    C(s^2, n) = < Var_p(E) >, E_j ~ N(0, s^2) independent, p the softmax of -E: Derrida's
    random-energy model at finite n.  s^2 (1 - 1/n) for small s; far above the freezing s one key
    holds all the weight and C falls.

    Parameters
    ----------
    variance : array_like
        s^2, in squared logits.
    keys : array_like
        Visible keys n, 1 or more; broadcasts; rounded.

    Returns
    -------
    ndarray
        By scrambled Sobol points, the same at every call: within 1 % of the mean up to
        n = 64 (the tests say where it is compared with quadrature).  NaN where an input is.

    Raises
    ------
    ValueError
        If a variance is negative or a number of keys below 1.
    """
    s, n = np.broadcast_arrays(np.asarray(variance, float), np.asarray(keys, float))
    if np.any(s < 0) or np.any(n < 1):
        raise ValueError(
            f"variance must be 0 or more and keys 1 or more, got {np.nanmin(s)}, {np.nanmin(n)}"
        )
    out = np.full(s.shape, np.nan)
    known = np.isfinite(s) & np.isfinite(n)
    for each in np.unique(np.rint(n[known])):
        here = known & (np.rint(n) == each)
        out[here] = s[here] * np.interp(np.sqrt(s[here]), DEVIATIONS, _per_variance(int(each)))
    return out


@lru_cache(maxsize=32)
def _per_variance(keys: int) -> Floats:
    """C / s^2 at every standard deviation of the table; 1 - 1/n at 0."""
    if keys == 1:
        return np.zeros(DEVIATIONS.size)
    points = stats.qmc.Sobol(min(keys, 64), rng=np.random.default_rng(0)).random(SAMPLES)
    if keys > 64:  # Sobol's points gain nothing in so many dimensions
        points = np.random.default_rng(0).random((SAMPLES // 4, keys))
    energies = stats.norm.ppf(points.clip(1e-12, 1 - 1e-12))
    return np.array(
        [1 - 1 / keys, *(_mean_heat_capacity(s * energies) / s**2 for s in DEVIATIONS[1:])]
    )


def _mean_heat_capacity(energies: Floats) -> float:
    weight = np.exp(energies.min(axis=1, keepdims=True) - energies)
    p = weight / weight.sum(axis=1, keepdims=True)
    mean = np.sum(p * energies, axis=1, keepdims=True)
    return float(np.mean(np.sum(p * (energies - mean) ** 2, axis=1)))
