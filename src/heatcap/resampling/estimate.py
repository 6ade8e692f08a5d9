"""A value with its error and intervals: what every function of this package returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

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
    """A value, its standard error and its intervals; a number or an array with labels.

    Attributes
    ----------
    value : DataArray (...)
        0-d for a number.  The jackknife has taken its `bias` off, no other method has.
    error : DataArray (...)
        Standard error; NaN where it cannot be had, with the reason in `message`.
    ci68, ci95 : DataArray (..., bound)
        Intervals of 0.6827 and 0.95, `bound` "low" and "high".
    n_eff : DataArray (...)
        Effective sample size: n / (2 tau) of a series; one more than the degrees of freedom for
        independent units, their number if they are all of one kind.
    method : str
        What made it, with its interval.
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
        "ok", or "no errors" where not a single entry has one.
    message : str
        Why not to trust the error; empty when all is well.
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
        """Why not to trust the error, also where there is one."""
        return [Caution("Error", self.message)] if self.message else super().cautions()

    def covariance(self) -> xr.DataArray:
        """Covariance matrix of the entries; its diagonal is the square of `error`.

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
        matrix: Floats = np.where(self._known(), flat.T @ flat, np.nan)
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

    def _known(self) -> NDArray[np.bool_]:
        """Pairs of entries that both have an error."""
        known = np.isfinite(self.error.to_numpy()).ravel()
        return np.asarray(known[:, np.newaxis] & known)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python for JSON, None where a value does not exist.

        A number gives floats and pairs; an array gives nested lists, with its dims and coords.
        """
        out: dict[str, Any] = {"method": self.method, "message": self.message}
        if self.value.ndim:
            out["dims"] = [str(d) for d in self.value.dims]
            out["coords"] = {str(k): plain(c.to_numpy()) for k, c in self.value.coords.items()}
        arrays = ((name, getattr(self, name)) for name in _ARRAYS)
        return out | {name: None if a is None else plain(a.to_numpy()) for name, a in arrays}

    def strings(self) -> xr.DataArray:
        """``0.4406(12)`` for every entry, two digits of the error."""
        return self._words(_readable)

    def siunitx(self) -> str:
        r"""LaTeX of a number, ``\num{0.4406(12)}``.

        Raises
        ------
        ValueError
            If the estimate is an array.
        """
        if self.value.ndim:
            raise ValueError(f"siunitx is for a number, got an array {self.value.dims}")
        value, error = self.value.item(), self.error.item()
        return rf"\num{{{compact(value, error)}}}" if math.isfinite(value) else "--"

    def _words(self, word: Any) -> xr.DataArray:
        pairs = zip(self.value.to_numpy().ravel(), self.error.to_numpy().ravel(), strict=True)
        words = np.array([word(float(v), float(e)) for v, e in pairs], dtype=object)
        return xr.DataArray(
            words.reshape(self.value.shape), dims=self.value.dims, coords=self.value.coords
        )

    def _lines(self) -> Sequence[str]:
        return [str(self), *(each.text for each in self.cautions())]

    def __str__(self) -> str:
        words = self.strings()
        return str(words.item()) if not words.ndim else str(words.to_series().to_string())

    def __repr__(self) -> str:
        shape = ", ".join(f"{d}: {n}" for d, n in self.value.sizes.items())
        head = f"<heatcap.Estimate ({shape})" if shape else f"<heatcap.Estimate {self}"
        note = f"; {self.message}" if self.message else ""
        return f"{head}, {self.method}{note}>" + (f"\n{self}" if shape else "")


def like(template: xr.DataArray, values: Any) -> xr.DataArray:
    """Values with the labels of `template`; a single number is repeated."""
    filled = np.broadcast_to(np.asarray(values, dtype=np.float64), template.shape).copy()
    return xr.DataArray(filled, dims=template.dims, coords=template.coords)


def deviations_of(replicates: Floats) -> Floats:
    """Deviations from the mean (replicate, ...), their squares summing to the variance."""
    # From the first of them first: equal replicates then deviate by zero, not by rounding.
    shifted = replicates - replicates[:1]
    return np.asarray((shifted - shifted.mean(axis=0)) / math.sqrt(max(len(replicates) - 1, 1)))


def between(template: xr.DataArray, low: Floats, high: Floats) -> xr.DataArray:
    """Interval (..., bound) of entries labelled as in `template`."""
    bounds = [
        like(template, end).expand_dims(bound=[name], axis=-1)
        for name, end in (("low", low), ("high", high))
    ]
    return xr.concat(bounds, dim="bound")


def _readable(value: float, error: float) -> str:
    known = math.isfinite(value) and math.isfinite(error)
    return readable(value, error) if known else f"{readable(value, error)} (no error)"


# ---- intervals -----------------------------------------------------------------------------

Interval = Callable[[float], tuple[Floats, Floats]]

ROUNDING = 1e-12  # of the largest replicate: differences that are none

#: Nominal coverage: one standard deviation of a Gaussian, and 95 %.
LEVELS = {"ci68": 0.6827, "ci95": 0.95}


def t_interval(value: Floats, error: Floats, dof: Floats, level: float) -> tuple[Floats, Floats]:
    """value -+ t_dof error."""
    half = np.where(np.isfinite(error), error * _quantile(level, dof), np.nan)
    return value - half, value + half


def percentile_interval(replicates: Floats, dof: Floats, level: float) -> tuple[Floats, Floats]:
    """Quantiles of the replicates (replicate, ...)."""
    high = ndtr(_quantile(level, dof))
    ordered = np.sort(replicates, axis=0)
    return _read(ordered, 1 - high), _read(ordered, high)


def bca_interval(
    replicates: Floats, value: Floats, acceleration: Floats, dof: Floats, level: float
) -> tuple[Floats, Floats]:
    """Quantiles of the replicates, corrected for bias and skewness.

    alpha(z) = Phi(z0 + (z0 + z) / (1 - a (z0 + z))) with z0 the normal score of the share of
    replicates below the value; Efron, J. Am. Stat. Assoc. 82 (1987) 171 (what was checked:
    docs/references.md).
    """
    count = len(replicates)
    # A sum in another order is the same number: such a replicate is neither above nor below.
    same = np.abs(replicates - value) <= ROUNDING * np.abs(replicates).max(axis=0)
    below = ((replicates < value) & ~same).mean(axis=0) + same.mean(axis=0) / 2
    z0 = ndtri(np.clip(below, 1 / (count + 1), count / (count + 1)))
    z = _quantile(level, dof)
    ordered = np.sort(replicates, axis=0)
    low, high = (_read(ordered, _shifted(z0, s * z, acceleration)) for s in (-1, 1))
    return low, high


def _quantile(level: float, dof: Floats) -> Floats:
    return np.asarray(student.ppf(0.5 + level / 2, dof))


def _shifted(z0: Floats, z: Floats, a: Floats) -> Floats:
    s = z0 + z
    stretch = 1 - a * s
    # Beyond the pole of the transformation the replicates have nothing further out to offer.
    moved = np.where(stretch > 0, s / np.where(stretch > 0, stretch, 1.0), np.copysign(np.inf, s))
    return np.asarray(ndtr(z0 + moved))


def _read(ordered: Floats, share: Floats) -> Floats:
    """Quantile of sorted replicates (replicate, ...) at a share for each entry: place (R+1) p."""
    last = len(ordered) - 1
    place = np.clip(share * (last + 2) - 1, 0, last)
    # A share that is NaN belongs to an entry without an error; any place will do.
    below = np.nan_to_num(np.floor(place)).astype(np.intp)
    low = np.take_along_axis(ordered, below[np.newaxis], axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(below + 1, last)[np.newaxis], axis=0)[0]
    return np.asarray(low + (place - below) * (high - low))
