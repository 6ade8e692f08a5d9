"""Look-elsewhere: one of many definitions, layers and heads will peak before the onset."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

__all__ = ["holm", "max_statistic"]

Floats = NDArray[np.float64]


def holm(p_values: Floats) -> Floats:
    """Holm's correction: adjusted p-values, NaN where p is NaN (a test that was not made)."""
    out = np.full(len(p_values), np.nan)
    made = np.isfinite(p_values)
    if made.any():
        out[made] = multipletests(np.asarray(p_values)[made], method="holm")[1]
    return out


def max_statistic(
    log_peaks: Floats,
    log_onsets: Floats,
    sizes: Floats,
    *,
    rng: np.random.Generator,
    permutations: int = 999,
) -> Floats:
    """Chance that the best of all curves ties its peak to the onset as well as this one, unpaired.

    The statistic of a curve is t = mean(l) / (sd(l) / sqrt(n)), l = ln(onset / peak) over the n
    runs that have both.  The onsets are permuted between runs, within sizes where these have
    several: that leaves mean(l) alone and widens sd(l) if peak and onset belong together.  The
    null therefore tests the *pairing*, and the largest t over all curves in each permutation takes
    account of their number and of their dependence.

    Parameters
    ----------
    log_peaks : ndarray (curve, run)
        NaN where a run has no peak.
    log_onsets, sizes : ndarray (run)
        Onsets without NaN: censored runs have no place here.

    Returns
    -------
    ndarray (curve)
        p-values; NaN for curves with fewer than 3 runs.
    """
    order = np.argsort(sizes, kind="stable")
    log_peaks, log_onsets, sizes = log_peaks[:, order], log_onsets[order], sizes[order]
    strata = _strata(sizes)
    seen = _t(log_onsets - log_peaks)
    if not strata or not np.isfinite(seen).any():
        return np.full(log_peaks.shape[0], np.nan)
    exceeded = np.ones(seen.size)
    shuffled = log_onsets.copy()
    for _ in range(permutations):
        for stratum in strata:
            shuffled[stratum] = rng.permutation(log_onsets[stratum])
        exceeded += np.nanmax(_t(shuffled - log_peaks)) >= seen - 1e-9
    return np.where(np.isfinite(seen), exceeded / (1 + permutations), np.nan)


def _strata(sizes: Floats) -> list[slice]:
    """Runs of equal size, or all runs where no size has two."""
    _, start, count = np.unique(sizes, return_index=True, return_counts=True)
    if count.max(initial=0) >= 2:
        return [slice(s, s + n) for s, n in zip(start, count, strict=True) if n >= 2]
    return [slice(0, sizes.size)] if sizes.size >= 2 else []


def _t(leads: Floats) -> Floats:
    n = np.isfinite(leads).sum(axis=1)
    filled = np.where(np.isfinite(leads), leads, 0.0)
    mean = filled.sum(axis=1) / np.maximum(n, 1)
    off = np.where(np.isfinite(leads), leads - mean[:, None], 0.0)
    sd = np.sqrt((off**2).sum(axis=1) / np.maximum(n - 1, 1))
    # A floor: identical leads are not infinitely significant.
    return np.where(n >= 3, mean / np.maximum(sd, 1e-6) * np.sqrt(n), np.nan)
