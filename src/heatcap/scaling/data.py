"""Points of finite-size scaling: size L, control x, value A and its standard error.

`points` checks and sorts arrays; `read_table` reads a CSV, whitespace, Parquet or NetCDF file, a
DataFrame or a Dataset (text and Parquet by :mod:`heatcap.core.tables`; the replicates and the
covariance of a Dataset here).  Units are the user's.  Missing errors are estimated from replicates,
from the covariance or from the scatter between neighbours, and `Points.message` says which.  Errors
from few runs are steadied by those of their neighbours, and widen a fit by Student's factor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.special import polygamma

from heatcap.core.arrays import Floats, numbers
from heatcap.core.choice import Choice
from heatcap.core.student import counts_of_runs, prior_degrees, student_factor
from heatcap.core.tables import LARGEST, columns_of, read_frame

__all__ = [
    "Points",
    "load_table",
    "number_or_name",
    "points",
    "read_columns",
    "read_table",
    "steadied",
]

Table = pd.DataFrame | xr.Dataset | str | Path

FAR = 1e60  # magnitudes from 1 / FAR to FAR: squares of their ratios are numbers
SPAN = 1e30  # largest over smallest size: so are its powers up to 8
NOTED = 1.05  # Student's factor from which on the message mentions it
REACH = 3.0  # points of a size along the control: standard deviation of the kernel


@dataclass(frozen=True, eq=False)
class Points:
    """Values A(L, x) with their errors, in any order, each size on a grid of its own.

    Attributes
    ----------
    size, control, value, error : ndarray (point)
        L, x, A and the standard deviation of A.
    covariance : ndarray (point, point) or None
        Where points are correlated; its diagonal is error**2.
    replicates : ndarray (replicate, point) or None
        Independent repetitions whose mean is `value`.
    name : str
    message : str
        Rows left out, and where the errors come from.
    wider : float
        Student's factor of errors that come from few runs; errors of a fit are multiplied by it.
    row : ndarray (point) or None
        Row of the data that a point comes from, the first one being 1.
    """

    size: Floats
    control: Floats
    value: Floats
    error: Floats
    covariance: Floats | None = None
    replicates: Floats | None = None
    name: str = "A"
    message: str = ""
    wider: float = 1.0
    row: NDArray[np.intp] | None = None

    def __repr__(self) -> str:
        sizes = ", ".join(f"{size:g}" for size in np.unique(self.size))
        note = f" ({self.message})" if self.message else ""
        return f"<Points {self.name}: {len(self)} points, sizes {sizes}{note}>"

    def __len__(self) -> int:
        return int(self.size.size)

    def take(self, chosen: NDArray[Any]) -> Points:
        """Select points by index or by a boolean mask."""
        rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return replace(
            self,
            size=self.size[rows],
            control=self.control[rows],
            value=self.value[rows],
            error=self.error[rows],
            covariance=None if self.covariance is None else self.covariance[np.ix_(rows, rows)],
            replicates=None if self.replicates is None else self.replicates[:, rows],
            row=None if self.row is None else self.row[rows],
        )

    def place(self, i: int) -> str:
        """Name a point by its size, its control and its row of the data."""
        row = "" if self.row is None else f"row {self.row[i]} of the data, "
        return f"{row}size {self.size[i]:g}, control {self.control[i]:g}"

    def resample(self, rng: np.random.Generator) -> Floats:
        """Draw the values of a new experiment.

        Replicates are bootstrapped; without any, values are drawn from the errors.  Where
        replicates of different points are independent, every point is resampled by itself: chance
        correlations of a few replicates would make errors uncertain.  R - 1 of R replicates are
        drawn, which gives the variance of the mean without bias.
        """
        if self.replicates is None:
            if self.covariance is not None:
                return rng.multivariate_normal(self.value, self.covariance, method="cholesky")
            return self.value + self.error * rng.standard_normal(len(self))
        count = self.replicates.shape[0]
        shape = (count - 1, 1 if self.replicates_shared else len(self))
        picked = np.broadcast_to(rng.integers(count, size=shape), (count - 1, len(self)))
        return np.asarray(np.take_along_axis(self.replicates, picked, axis=0).mean(axis=0))

    @cached_property
    def replicates_shared(self) -> bool:
        """Whether replicates of neighbouring points of a size are correlated (4 sigma)."""
        if self.replicates is None:
            return False
        off = self.replicates - self.replicates[0]
        off -= off.mean(axis=0)
        off = off / np.maximum(off.std(axis=0), 1e-300)
        neighbours = self.size[1:] == self.size[:-1]
        r = np.mean(off[:, 1:] * off[:, :-1], axis=0)[neighbours]
        return bool(abs(r.sum()) > 4 * np.sqrt(max(r.size, 1) / (off.shape[0] - 1)))


def points(
    size: ArrayLike,
    control: ArrayLike,
    value: ArrayLike,
    error: ArrayLike | None = None,
    *,
    covariance: ArrayLike | None = None,
    replicates: ArrayLike | None = None,
    runs: ArrayLike | None = None,
    used: ArrayLike | None = None,
    name: str = "A",
) -> Points:
    """Check measurements and sort them by size and control.

    Parameters
    ----------
    size, control, value, error : array_like (point)
        Rows in which a size, control or value is NaN or masked are left out.  Without errors, they
        come from the replicates or the covariance, else from the scatter about the cubics through
        the neighbours of one size; `message` states which.
    covariance : array_like (point, point), optional
    replicates : array_like (replicate, point), optional
    runs : int or array_like (point), optional
        How many runs the errors come from (2 or more), that of the replicates if left out.  Errors
        of few runs are steadied by those of their neighbours, and `wider` is Student's factor.
    used : array_like of bool (point), optional
        Rows that count, all by default.
    name : str

    Returns
    -------
    Points

    Raises
    ------
    ValueError
        For lengths that differ, values that are not real numbers, sizes or errors that are not
        positive, an infinite value, magnitudes beyond 1e-60 to 1e60, two points at one size and
        control, runs that are not finite or fewer than two, runs without an error, or a covariance
        that is not positive definite.
    """
    columns = {"size": size, "control": control, "value": value}
    arrays = {k: numbers(v, k) for k, v in columns.items()}
    n = arrays["size"].size
    chosen = np.ones(n, dtype=bool) if used is None else np.asarray(used, dtype=bool)
    arrays = {k: np.where(chosen, v, np.nan) if v.shape == (n,) else v for k, v in arrays.items()}
    for k, v in arrays.items():
        if v.shape != (n,):
            raise ValueError(f"{k} must have one entry for each of {n} points, got {v.shape}")
        if np.isinf(v).any():
            row = int(np.flatnonzero(np.isinf(v))[0])
            raise ValueError(f"{k} must be finite, got {v[row]} in row {row + 1}")
    if np.any(arrays["size"] <= 0):
        raise ValueError(f"sizes must be positive, got {np.nanmin(arrays['size']):g}")
    cov = None if covariance is None else numbers(covariance, "covariance")
    rep = None if replicates is None else numbers(replicates, "replicates")
    if cov is not None and cov.shape != (n, n):
        raise ValueError(f"covariance must be {n} by {n}, got {cov.shape}")
    if rep is not None and (rep.ndim != 2 or rep.shape[1] != n or rep.shape[0] < 2):
        raise ValueError(f"replicates must be (2 or more, {n}), got {rep.shape}")
    errors, note = _errors(arrays, error, cov, rep)
    complete = np.isfinite(np.stack([*arrays.values(), errors])).all(axis=0)
    by_size = np.lexsort((arrays["control"][complete], arrays["size"][complete]))
    order = np.flatnonzero(complete)[by_size]
    _check(arrays, errors, order)
    left_out = int(chosen.sum()) - order.size
    rows = f"{left_out} row{'s' * (left_out > 1)} without a number left out" if left_out else ""
    out = Points(arrays["size"], arrays["control"], arrays["value"], errors, cov, rep, name)
    out = replace(out, row=np.arange(1, n + 1))
    out = replace(out.take(order), message="; ".join(filter(None, [note, rows])))
    _check_magnitudes(out)
    if out.covariance is not None and not _definite(out.covariance):
        raise ValueError("the covariance must be finite and positive definite")
    if runs is not None and error is None and cov is None and rep is None:
        raise ValueError("runs are those behind an error: give the errors, too")
    if runs is None and rep is not None and error is None and cov is None:
        runs = rep.shape[0]
    if runs is None:
        return out
    counts = counts_of_runs(numbers(runs, "runs"), n, lambda k: f"row {k + 1}", used=order)
    return _of_runs(out, counts[order])


def _definite(covariance: Floats) -> bool:
    try:
        np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return False
    return bool(np.isfinite(covariance).all())


def _of_runs(data: Points, runs: Floats) -> Points:
    """Points with errors steadied by their neighbours and with Student's factor."""
    if data.covariance is not None or not len(data):
        wider = float(np.max(student_factor(runs))) if len(data) else 1.0
        return replace(data, wider=wider)
    error, wider = steadied(data.size, data.control, data.error, runs)
    if data.replicates_shared:  # neighbours from the same runs add no degrees of freedom
        wider = float(np.max(student_factor(runs)))
    note = f"errors of {runs.min():.0f} runs: parameters wider by {wider:.3g} (Student)"
    notes = [data.message, note if wider >= NOTED else ""]
    return replace(data, error=error, wider=wider, message="; ".join(filter(None, notes)))


def _check(arrays: dict[str, Floats], errors: Floats, order: NDArray[np.intp]) -> None:
    if np.any(errors[order] <= 0):
        bad = order[errors[order] <= 0].min()
        raise ValueError(
            f"errors must be positive, got {errors[bad]:g} in row {bad + 1} of the data"
        )
    pair = np.column_stack([arrays["size"][order], arrays["control"][order]])
    same = np.flatnonzero((np.diff(pair, axis=0) == 0).all(axis=1))
    if same.size:
        size, control = pair[same[0]]
        raise ValueError(
            f"two points at size {size:g} and control {control:g}, expected one: average them, or "
            "give them as replicates"
        )


def _check_magnitudes(data: Points) -> None:
    """Raise where squares or powers of the data would not be numbers."""
    if not len(data):
        return
    if (span := data.size.max() / data.size.min()) > SPAN:
        raise ValueError(f"sizes span a factor of {span:.2g}, expected at most {SPAN:g}")
    magnitudes = {  # single values and controls may be tiny
        "size": data.size,
        "control": np.abs(data.control).max(),
        "range of the control": np.ptp(data.control),
        "value": np.abs(data.value).max(),
        "error": data.error,
    }
    for what, columns in magnitudes.items():
        far = np.atleast_1d(columns)
        far = far[((far > 0) & (far < 1 / FAR)) | (far > FAR)]
        if far.size:
            raise ValueError(
                f"{what} {far[0]:.3g}: expected {1 / FAR:g} to {FAR:g}, choose another unit"
            )


def _errors(
    arrays: dict[str, Floats], error: ArrayLike | None, cov: Floats | None, rep: Floats | None
) -> tuple[Floats, str]:
    if cov is not None:
        if np.any(np.diag(cov) <= 0):
            raise ValueError("the diagonal of the covariance must be positive")
        return np.sqrt(np.diag(cov)), ""
    if error is not None:
        given = numbers(error, "error")
        if given.shape != arrays["size"].shape:
            raise ValueError(
                f"error must have one entry for each of {arrays['size'].size} points,"
                f" got {given.shape}"
            )
        return given, ""
    if rep is not None:
        # Relative to the first: equal replicates then have exactly no spread.
        spread = (rep - rep[0]).std(axis=0, ddof=1)
        return spread / np.sqrt(rep.shape[0]), "errors from the replicates"
    return _scatter(
        arrays
    ), "no errors given: estimated from the scatter between neighbours, so that chi^2 tests nothing"


def _scatter(arrays: dict[str, Floats]) -> Floats:
    """One error per size: the median distance from the cubic through the neighbours.

    At least that of rounding, where the points lie on a cubic.
    """
    out = np.full(arrays["size"].size, np.nan)
    highest = float(np.max(np.abs(arrays["value"]), initial=0.0, where=~np.isnan(arrays["value"])))
    rounding = np.finfo(np.float64).eps * (highest or 1.0)
    for size in np.unique(arrays["size"][np.isfinite(arrays["size"])]):
        rows = np.flatnonzero((arrays["size"] == size) & np.isfinite(arrays["value"]))
        rows = rows[np.argsort(arrays["control"][rows])]
        if rows.size < 7:
            raise ValueError(
                f"no errors given, and size {size:g} has {rows.size} points: 7 are needed to"
                " estimate them from their scatter"
            )
        off = _off_neighbours(arrays["control"][rows], arrays["value"][rows])
        out[rows] = max(1.4826 * float(np.median(np.abs(off))), rounding)
    return out


def _off_neighbours(x: Floats, y: Floats) -> Floats:
    """Distance of each value from the cubic through its four neighbours, in units of its error."""
    out = []
    for i in range(2, x.size - 2):
        near = np.array([i - 2, i - 1, i + 1, i + 2])
        weights = np.array(
            [np.prod((x[i] - x[near[near != j]]) / (x[j] - x[near[near != j]])) for j in near]
        )
        out.append((y[i] - weights @ y[near]) / np.sqrt(1 + weights @ weights))
    return np.array(out)


def read_table(
    table: Table,
    *,
    size: str,
    control: str,
    value: str,
    error: str | None = None,
    runs: str | int | None = None,
    names: Sequence[str] | None = None,
    choice: Choice | None = None,
) -> Points:
    """Read points from a file, a DataFrame or a Dataset.

    Files are CSV, text with white space, Parquet or NetCDF.

    Parameters
    ----------
    table
        A Dataset may hold replicates of the value as ``VALUE_replicates`` with a dimension
        ``replicate``, and their covariance as ``VALUE_covariance`` (point, point_2).
    size, control, value, error : str
        Names of the columns.
    runs : str or int, optional
        Number of runs behind an error: a column or one number for all.
    names : sequence of str, optional
        Names of the columns of a text table without a header.
    choice : Choice, optional
        Rows that are used, all by default.

    Returns
    -------
    Points

    Raises
    ------
    ValueError
        For a file that cannot be read, a missing column, a cell that is not a number.
    """
    wanted = [size, control, value, *([error] if error else [])]
    counts = [runs] if isinstance(runs, str) else []
    columns, beside = read_columns(table, wanted + counts, names=names, value=value)
    count = columns[runs] if isinstance(runs, str) else runs
    try:
        used = None if choice is None else choice.rows(columns[size], columns[control])
        return points(
            *(columns[name] for name in wanted), name=value, runs=count, used=used, **beside
        )
    except ValueError as problem:
        raise ValueError(f"{_called(table)}{problem}") from None


def read_columns(
    table: Table, wanted: Sequence[str], *, names: Sequence[str] | None, value: str
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Read columns by name; from a Dataset the covariance or replicates of `value`, too.

    Raises
    ------
    ValueError
        For a file that cannot be read, a missing column, a cell that is not a number.
    """
    data, beside = load_table(table, names=names, value=value)
    return columns_of(data, wanted, _called(table)), beside


def _called(table: Table) -> str:
    return f"{table}: " if isinstance(table, str | Path) else ""


def load_table(
    table: Table, *, names: Sequence[str] | None, value: str
) -> tuple[pd.DataFrame, dict[str, Floats]]:
    """Read all columns; from a Dataset the covariance or replicates of `value`, too.

    Raises
    ------
    ValueError
        For a file that cannot be read.
    """
    data, beside = _load(table, names, value)
    return data, {k: v for k, v in beside.items() if v.shape[-1] == len(data)}


def _load(
    table: Table, names: Sequence[str] | None, value: str
) -> tuple[pd.DataFrame, dict[str, Floats]]:
    if isinstance(table, pd.DataFrame):
        return table.reset_index(drop=table.index.names == [None]), {}
    if isinstance(table, xr.Dataset):
        return _of_dataset(table, value)
    path = Path(table)
    if path.is_dir():
        raise ValueError(f"{path}: is a folder, expected a table of points")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.suffix.lower() in (".nc", ".h5", ".nc4"):
        from heatcap.runfile import read_netcdf  # h5py takes its time, and text needs none

        return _of_dataset(read_netcdf(path, "a table"), value, str(path))
    return read_frame(path, names), {}


def _of_dataset(
    data: xr.Dataset, value: str, where: str = "the table"
) -> tuple[pd.DataFrame, dict[str, Floats]]:
    beside: dict[str, Floats] = {}
    if (name := f"{value}_replicates") in data and "replicate" in data[name].dims:
        values = data[name].transpose("replicate", ...)
        beside["replicates"] = values.to_numpy().reshape(values.sizes["replicate"], -1)
    if (name := f"{value}_covariance") in data and data[name].ndim == 2:
        beside["covariance"] = data[name].to_numpy()
    others = [
        str(v) for v in data.data_vars if {"replicate", "point_2"} & set(map(str, data[v].dims))
    ]
    data = data.drop_vars(others)
    # A row for each combination of the dimensions, which may be many more than are stored.
    size = math.prod(data.sizes.values()) * sum(v.dtype.itemsize for v in data.variables.values())
    if (cells := size // 8) > LARGEST:
        raise ValueError(f"{where}: has {cells} cells, more than {LARGEST} are not read")
    return data.to_dataframe().reset_index(), beside


def number_or_name(text: str | None) -> int | str | None:
    """Parse the number of runs, or the name of the column that holds it."""
    return int(text) if text is not None and text.isdecimal() else text


# ---- errors that come from few runs ------------------------------------------------------
#
# With n runs a point, the variance s^2 of a mean is uncertain by sqrt(2 / (n - 1)), and a fit with
# weights 1 / s^2 is dominated by points whose runs agree by chance.  Variances of neighbours along
# the control are similar: each is shrunk towards the mean of its neighbours, by an amount that the
# scatter of all variances about such means determines (an inverse-gamma prior with d_0 degrees of
# freedom: G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 3 (2004) 3).


def steadied(size: Floats, control: Floats, error: Floats, runs: Floats) -> tuple[Floats, float]:
    """Shrink errors towards those of their neighbours, and give Student's factor.

    Parameters
    ----------
    size, control, error, runs : ndarray (point)
        Errors are standard deviations of means over `runs` runs, two or more.

    Returns
    -------
    error : ndarray (point)
    wider : float
        Student's factor at the fewest degrees of freedom.
    """
    degrees = runs - 1
    mean, excess, pooled = error**2, [], np.empty(error.size)
    for one in np.unique(size):
        rows = np.flatnonzero(size == one)
        rows = rows[np.argsort(control[rows])]
        apart = np.arange(rows.size)[:, None] - np.arange(rows.size)
        kernel = np.exp(-0.5 * (apart / REACH) ** 2)
        kernel /= kernel.sum(axis=1, keepdims=True)
        weighted = kernel * degrees[rows]
        mean[rows] = weighted @ error[rows] ** 2 / weighted.sum(axis=1)
        pooled[rows] = degrees[rows].mean() / (kernel**2).sum(axis=1)
        off = np.log(error[rows] ** 2)
        off -= kernel @ off
        left = 1 - 2 * np.diag(kernel) + (kernel**2).sum(axis=1)
        excess += (off[left > 0.1] ** 2 / left[left > 0.1]).tolist()
    # The logarithm of a variance with d degrees of freedom scatters by trigamma(d / 2).
    expected = float(np.mean(polygamma(1, degrees / 2)))
    spread = float(np.mean(excess)) - expected if excess else np.inf
    prior = np.minimum(prior_degrees(spread), pooled)
    variance = (prior * mean + degrees * error**2) / (prior + degrees)
    free = np.where(prior < pooled, prior + degrees, pooled)
    return np.sqrt(variance), float(np.max(student_factor(free + 1)))
