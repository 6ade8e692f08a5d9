"""Estimates: a value with standard error, confidence intervals and effective sample size.

:class:`Estimate` is the result of all functions of :mod:`heatcap.resampling`.  The intervals:
Student's t about the value (`t_interval`), quantiles of replicates (`percentile_interval`), and
quantiles corrected for bias and skewness (`bca_interval`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import ndtr, ndtri, stdtrit

from heatcap.core.arrays import Floats
from heatcap.core.result import Caution, Result, Status, compact, plain, readable

__all__ = [
    "LEVELS",
    "Estimate",
    "bca_interval",
    "between",
    "deviations_of",
    "like",
    "percentile_interval",
    "t_interval",
]

_ARRAYS = ("value", "error", "ci68", "ci95", "n_eff", "bias", "tau")


@dataclass(frozen=True, eq=False, repr=False)
class Estimate(Result):
    """A value with standard error and intervals, a number or a labelled array.

    Attributes
    ----------
    value : DataArray (...)
        0-d for a number.  Only the jackknife has subtracted the `bias`.
    error : DataArray (...)
        Standard error; NaN where it cannot be estimated, with the reason in `message`.
    ci68, ci95 : DataArray (..., bound)
        Intervals of 0.6827 and 0.95, `bound` "low" and "high".
    n_eff : DataArray (...)
        Effective sample size: n / (2 tau) of a series; one more than the degrees of freedom for
        independent units, their number if they are all of one kind.
    method : str
        Method and kind of interval.
    bias : DataArray (...), optional
        Estimated bias of the statistic.  Removed from `value` by the jackknife; reported and *not*
        removed by the bootstrap.
    tau : DataArray (...), optional
        Integrated autocorrelation time, in entries of the series.
    replicates : DataArray (replicate, ...), optional
        Statistic of each resampled (bootstrap) or reduced (jackknife) data set.
    deviations : DataArray (replicate, ...), optional
        Scaled such that the squares sum to `error`\\ :sup:`2`, where replicates need weights.
    status : Status
        "ok", or "no errors" if no entry has one.
    message : str
        Why the error should not be trusted; else empty.
    """

    value: xr.DataArray
    error: xr.DataArray
    ci68: xr.DataArray
    ci95: xr.DataArray
    n_eff: xr.DataArray
    method: str
    bias: xr.DataArray | None = None
    tau: xr.DataArray | None = None
    replicates: xr.DataArray | None = None
    deviations: xr.DataArray | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.error).any():
            object.__setattr__(self, "status", Status.NO_ERRORS)

    def cautions(self) -> list[Caution]:
        """Reasons not to trust the error, also where there is one."""
        return [Caution("Error", self.message)] if self.message else super().cautions()

    def covariance(self) -> xr.DataArray:
        """Compute the covariance matrix of the entries; its diagonal is `error` squared.

        Returns
        -------
        DataArray (d, d_2)
            For the one dimension d of `value`; several are stacked to ``entry``, and a number has
            a 1 by 1 matrix (``entry``, ``entry_2``).

        Raises
        ------
        ValueError
            If the method left no replicates to compute it from.
        """
        if (spread := self._spread()) is None:
            raise ValueError(f"no covariance: {self.method!r} leaves no replicates")
        one = self.value.ndim == 1
        dim = str(self.value.dims[0]) if one else "entry"
        flat = spread.reshape(len(spread), -1)
        finite = np.isfinite(self.error.to_numpy()).ravel()
        matrix: Floats = np.where(finite[:, np.newaxis] & finite, flat.T @ flat, np.nan)
        coords = {}
        if one and dim in self.value.coords:
            labels = self.value[dim].to_numpy()
            coords = {dim: (dim, labels), f"{dim}_2": (f"{dim}_2", labels)}
        return xr.DataArray(matrix, dims=(dim, f"{dim}_2"), coords=coords, name="covariance")

    def _spread(self) -> Floats | None:
        """Deviations (replicate, ...) whose squares sum to the squared error."""
        if self.deviations is not None:
            return self.deviations.to_numpy()
        if self.replicates is None:
            return None
        return deviations_of(self.replicates.to_numpy())

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain Python for JSON, None where a value does not exist.

        A number gives floats and pairs; an array gives nested lists, with its dims and coords.
        """
        out: dict[str, Any] = {"method": self.method, "message": self.message}
        if self.value.ndim:
            out["dims"] = [str(d) for d in self.value.dims]
            out["coords"] = {str(k): plain(c.to_numpy()) for k, c in self.value.coords.items()}
        arrays = ((name, getattr(self, name)) for name in _ARRAYS)
        return out | {name: None if a is None else plain(a.to_numpy()) for name, a in arrays}

    def strings(self) -> xr.DataArray:
        """Format every entry as ``0.4406(12)``, with two digits of the error."""
        pairs = zip(self.value.to_numpy().ravel(), self.error.to_numpy().ravel(), strict=True)
        texts = [
            readable(v, e) + ("" if math.isfinite(v) and math.isfinite(e) else " (no error)")
            for v, e in ((float(v), float(e)) for v, e in pairs)
        ]
        shaped = np.array(texts, dtype=object).reshape(self.value.shape)
        return xr.DataArray(shaped, dims=self.value.dims, coords=self.value.coords)

    def siunitx(self) -> str:
        r"""Format a number for LaTeX, ``\num{0.4406(12)}``.

        Raises
        ------
        ValueError
            If the estimate is an array.
        """
        if self.value.ndim:
            raise ValueError(f"siunitx is for a number, got an array {self.value.dims}")
        value, error = self.value.item(), self.error.item()
        return rf"\num{{{compact(value, error)}}}" if math.isfinite(value) else "--"

    def _lines(self) -> Sequence[str]:
        return [str(self), *(caution.text for caution in self.cautions())]

    def __str__(self) -> str:
        words = self.strings()
        return str(words.item()) if not words.ndim else str(words.to_series().to_string())

    def __repr__(self) -> str:
        shape = ", ".join(f"{d}: {n}" for d, n in self.value.sizes.items())
        head = f"<heatcap.Estimate ({shape})" if shape else f"<heatcap.Estimate {self}"
        note = f"; {self.message}" if self.message else ""
        return f"{head}, {self.method}{note}>" + (f"\n{self}" if shape else "")


def like(template: xr.DataArray, values: Any) -> xr.DataArray:
    """Label values as `template`; a single number is repeated."""
    filled = np.broadcast_to(np.asarray(values, dtype=np.float64), template.shape).copy()
    return xr.DataArray(filled, dims=template.dims, coords=template.coords)


def deviations_of(replicates: Floats) -> Floats:
    """Deviations (replicate, ...) from the mean whose squares sum to the variance."""
    # Relative to the first: equal replicates then deviate by exactly zero.
    shifted = replicates - replicates[:1]
    return np.asarray((shifted - shifted.mean(axis=0)) / math.sqrt(max(len(replicates) - 1, 1)))


def between(template: xr.DataArray, low: Floats, high: Floats) -> xr.DataArray:
    """Make an interval (..., bound) of entries labelled as `template`."""
    bounds = [
        like(template, end).expand_dims(bound=[name], axis=-1)
        for name, end in (("low", low), ("high", high))
    ]
    return xr.concat(bounds, dim="bound")


# ---- intervals -----------------------------------------------------------------------------

Interval = Callable[[float], tuple[Floats, Floats]]

ROUNDING = 1e-12  # of the largest replicate: smaller differences are rounding

#: Nominal coverage: one standard deviation of a Gaussian, and 95 %.
LEVELS = {"ci68": 0.6827, "ci95": 0.95}


def t_interval(value: Floats, error: Floats, dof: Floats, level: float) -> tuple[Floats, Floats]:
    """Student's interval value -+ t_dof error."""
    half = np.where(np.isfinite(error), error * _quantile(level, dof), np.nan)
    return value - half, value + half


def percentile_interval(replicates: Floats, dof: Floats, level: float) -> tuple[Floats, Floats]:
    """Interval between quantiles of the replicates (replicate, ...), widened by Student's t."""
    high = ndtr(_quantile(level, dof))
    ordered = np.sort(replicates, axis=0)
    return _read(ordered, 1 - high), _read(ordered, high)


def bca_interval(
    replicates: Floats, value: Floats, acceleration: Floats, dof: Floats, level: float
) -> tuple[Floats, Floats]:
    """Interval between quantiles of the replicates, corrected for bias and skewness.

    alpha(z) = Phi(z0 + (z0 + z) / (1 - a (z0 + z))) with z0 the normal score of the share of
    replicates below the value; Efron, J. Am. Stat. Assoc. 82 (1987) 171 (what was checked:
    docs/references.md).
    """
    count = len(replicates)
    # A sum in another order differs by rounding: such a replicate is neither above nor below.
    same = np.abs(replicates - value) <= ROUNDING * np.abs(replicates).max(axis=0)
    below = ((replicates < value) & ~same).mean(axis=0) + same.mean(axis=0) / 2
    z0 = ndtri(np.clip(below, 1 / (count + 1), count / (count + 1)))
    z = _quantile(level, dof)
    ordered = np.sort(replicates, axis=0)
    low, high = (_read(ordered, _shifted(z0, s * z, acceleration)) for s in (-1, 1))
    return low, high


def _quantile(level: float, dof: Floats) -> Floats:
    return np.asarray(stdtrit(dof, 0.5 + level / 2))


def _shifted(z0: Floats, z: Floats, a: Floats) -> Floats:
    s = z0 + z
    stretch = 1 - a * s
    # Beyond the pole of the transformation the extreme replicate is taken.
    moved = np.where(stretch > 0, s / np.where(stretch > 0, stretch, 1.0), np.copysign(np.inf, s))
    return np.asarray(ndtr(z0 + moved))


def _read(ordered: Floats, share: Floats) -> Floats:
    """Quantile of sorted replicates (replicate, ...) at a share for each entry: place (R+1) p."""
    last = len(ordered) - 1
    place = np.clip(share * (last + 2) - 1, 0, last)
    # A share of NaN belongs to an entry without an error: any place will do.
    below = np.nan_to_num(np.floor(place)).astype(np.intp)
    low = np.take_along_axis(ordered, below[np.newaxis], axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(below + 1, last)[np.newaxis], axis=0)[0]
    return np.asarray(low + (place - below) * (high - low))
