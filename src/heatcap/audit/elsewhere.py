"""Look-elsewhere: one of many definitions, layers and heads will peak before the onset."""

from __future__ import annotations

import numpy as np

from heatcap.core.arrays import Floats

__all__ = ["holm", "max_statistic"]


ROUNDING = 1e-9  # of statistics and of standardised ones: differences that are none


def holm(p_values: Floats) -> Floats:
    """Holm's correction: adjusted p-values, NaN where p is NaN (a test that was not made)."""
    from statsmodels.stats.multitest import multipletests

    out = np.full(len(p_values), np.nan)
    made = np.isfinite(p_values)
    if made.any():
        out[made] = multipletests(np.asarray(p_values)[made], method="holm")[1]
    return out


def max_statistic(
    log_peaks: Floats,
    log_onsets: Floats,
    configurations: Floats,
    *,
    rng: np.random.Generator,
    permutations: int = 999,
) -> Floats:
    """Chance that the best of all curves ties its peak to the onset as closely as this one.

    The statistic of a curve is how little l = ln(onset / peak) scatters over its n runs, -ln sd(l).
    The onsets are permuted between runs, within configurations where these have several: that
    widens sd(l) if peak and onset belong together, whichever comes first.  Every curve is measured
    in its own mean and standard deviation under permutation, and the largest of all curves in each
    permutation takes account of their number and dependence.

    Parameters
    ----------
    log_peaks : ndarray (curve, run)
        NaN where a run has no peak.
    log_onsets, configurations : ndarray (run)
        Onsets without NaN: censored runs have no place here.

    Returns
    -------
    ndarray (curve)
        p-values; NaN for curves with fewer than 3 runs.
    """
    order = np.argsort(configurations, kind="stable")
    log_peaks, log_onsets, configurations = (
        log_peaks[:, order],
        log_onsets[order],
        configurations[order],
    )
    strata = _strata(configurations)
    seen = _closeness(log_onsets - log_peaks)
    if not strata or not np.isfinite(seen).any():
        return np.full(log_peaks.shape[0], np.nan)
    drawn = np.empty((permutations, seen.size))
    shuffled = log_onsets.copy()
    for row in drawn:
        for stratum in strata:
            shuffled[stratum] = rng.permutation(log_onsets[stratum])
        row[:] = _closeness(shuffled - log_peaks)
    every = np.vstack([seen, drawn])  # the order that is there is one of the permutations
    spread = every.std(axis=0)
    # Peaks at one step in all runs are equally close in every order, but for rounding.
    every = (every - every.mean(axis=0)) / np.where(spread > ROUNDING, spread, np.inf)
    best = np.nanmax(every[:, np.isfinite(seen)], axis=1)
    p = (best[:, None] >= every[0] - ROUNDING).mean(axis=0)
    return np.where(np.isfinite(seen), p, np.nan)


def _strata(configurations: Floats) -> list[slice]:
    """Runs of equal configuration, or all runs where none has two."""
    _, start, count = np.unique(configurations, return_index=True, return_counts=True)
    if count.max(initial=0) >= 2:
        return [slice(s, s + n) for s, n in zip(start, count, strict=True) if n >= 2]
    return [slice(0, configurations.size)] if configurations.size >= 2 else []


def _closeness(leads: Floats) -> Floats:
    n = np.isfinite(leads).sum(axis=1)
    mean = np.where(np.isfinite(leads), leads, 0.0).sum(axis=1) / np.maximum(n, 1)
    off = np.where(np.isfinite(leads), leads - mean[:, None], 0.0)
    sd = np.sqrt((off**2).sum(axis=1) / np.maximum(n - 1, 1))
    # A floor: identical leads are not infinitely close.
    return np.where(n >= 3, -np.log(np.maximum(sd, 1e-6)), np.nan)
