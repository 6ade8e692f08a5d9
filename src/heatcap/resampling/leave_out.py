"""Jackknife: bias, standard error and covariance from leaving out entries or blocks.

Single entries for independent runs, blocks of consecutive entries for a correlated series.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from heatcap.core.arrays import Floats, require
from heatcap.resampling.estimate import LEVELS, Estimate, between, like, t_interval
from heatcap.resampling.samples import Data, Draw, Statistic, evaluate, replicate

__all__ = ["jackknife"]


def jackknife(
    data: Data, statistic: Statistic, *, dim: str = "run", blocks: int | None = None
) -> Estimate:
    """Estimate bias, standard error and covariance by leaving data out.

    With equal blocks bias = (B - 1) (mean theta_j - theta), value = theta - bias and
    error^2 = (B - 1) / B sum_j (theta_j - mean theta_j)^2, theta_j without block j.

    Parameters
    ----------
    data : DataArray or Dataset
    statistic : callable
        From such data to a number or a DataArray; labels survive.
    dim : str
        Dimension along which entries are left out.
    blocks : int, optional
        Number of blocks of consecutive entries, for an autocorrelated series: each should be many
        autocorrelation times long.  None leaves out single entries, which are taken as
        independent.  Blocks of unequal length, which differ by one entry, are weighted by length.

    Returns
    -------
    Estimate
        `value` without its leading bias; intervals with Student's t of B - 1 degrees of freedom.
        The error of a single entry is NaN, with the reason in `message`, which also warns of
        correlation between neighbouring blocks.

    Raises
    ------
    TypeError
        If `data` have no labels.
    ValueError
        If `dim` is missing, for fewer than 2 blocks or more than entries, or a statistic that
        changes its shape.

    Notes
    -----
    Blocks of unequal length are those of the delete-m_j jackknife: Busing, Meijer & van der Leeden,
    Statistics and Computing 9 (1999) 3 (what was checked: docs/references.md).  The standard
    error of statistics that are not smooth, such as a median, is wrong: take :func:`bootstrap`.
    """
    require(data, "data", xr.DataArray, xr.Dataset)
    parts = _blocks(data, dim, blocks)
    theta = evaluate(statistic, data)
    if len(parts) == 1:
        return _unknown(theta, f"a single {dim}: no error can be had")
    every = np.arange(data.sizes[dim])
    draws = (Draw(dim, np.delete(every, part)) for part in parts)
    reduced = replicate(data, statistic, theta, draws, vectorized=False)
    sizes = np.array([part.size for part in parts], dtype=np.float64)
    value, deviations = _busing(theta.to_numpy(), reduced, sizes)
    error, count = np.sqrt(np.sum(deviations**2, axis=0)), np.float64(len(parts))
    corrected, dof = like(theta, value), np.full(theta.shape, count - 1)
    ends = {name: t_interval(value, error, dof, level) for name, level in LEVELS.items()}
    return Estimate(
        value=corrected,
        error=like(theta, error),
        ci68=between(theta, *ends["ci68"]),
        ci95=between(theta, *ends["ci95"]),
        n_eff=like(theta, count),
        method=f"jackknife, {len(parts)} {'blocks' if blocks else 'entries'}",
        bias=like(theta, theta.to_numpy() - value),
        message=_neighbours(deviations) if blocks else "",
        replicates=_labelled(theta, reduced),
        deviations=_labelled(theta, deviations),
    )


def _busing(theta: Floats, reduced: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Corrected value, and deviations (block, ...) whose squares sum to its variance."""
    count = len(sizes)
    h = (sizes.sum() / sizes).reshape(-1, *[1] * theta.ndim)
    # Differences from theta first: a large common value would cancel in the pseudo-values.
    shift = reduced - theta
    bias = np.sum((1 - 1 / h) * shift, axis=0)
    pseudo = bias - (h - 1) * shift
    return theta - bias, pseudo / np.sqrt(count * (h - 1))


def _blocks(data: Data, dim: str, blocks: int | None) -> list[NDArray[np.intp]]:
    if dim not in data.dims:
        raise ValueError(f"data must have dimension {dim!r}, got {tuple(data.dims)}")
    length = data.sizes[dim]
    if blocks is not None and blocks < 2:
        raise ValueError(f"blocks must be at least 2, got {blocks}: fewer than 2 blocks")
    if blocks is not None and blocks > length:
        raise ValueError(f"blocks must be at most the {length} entries of {dim!r}, got {blocks}")
    return np.array_split(np.arange(length), blocks or length)


def _neighbours(deviations: Floats) -> str:
    """A warning if neighbouring blocks are correlated, by more than two standard deviations."""
    d = deviations.reshape(len(deviations), -1)
    power = np.sum(d**2, axis=0)
    rho = np.sum(d[1:] * d[:-1], axis=0) / np.where(power > 0, power, 1.0)
    # The mean has been subtracted: uncorrelated blocks have -1/B on average.
    if len(d) < 4 or np.max(rho, initial=-1.0) < 2 / np.sqrt(len(d)) - 1 / len(d):
        return ""
    return f"neighbouring blocks correlate by {rho.max():.2f}: the error is too small, take fewer"


def _unknown(theta: xr.DataArray, why: str) -> Estimate:
    nan = like(theta, np.nan)
    none = between(theta, nan.to_numpy(), nan.to_numpy())
    one = like(theta, 1.0)
    return Estimate(theta, nan, none, none, one, "jackknife, 1 entry", bias=nan, message=why)


def _labelled(theta: xr.DataArray, values: Floats) -> xr.DataArray:
    return xr.DataArray(values, dims=("replicate", *theta.dims), coords=theta.coords)
