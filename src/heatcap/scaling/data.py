"""Points of finite-size scaling: size L, control x, value A and its standard error.

`points` checks and sorts arrays; `read_table` reads a CSV, whitespace, Parquet or NetCDF file, a
DataFrame or a Dataset (text and Parquet by :mod:`heatcap.core.tables`; the replicates and the
covariance of a Dataset here).  Units are the user's.  Missing errors are estimated from replicates,
from the covariance or from the scatter between neighbours, and `Points.message` says which.  Errors
from few runs are steadied by those of their neighbours, and widen a fit by Student's factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heatcap.core.arrays import Floats, numbers
from heatcap.core.choice import Choice
from heatcap.core.student import counts_of_runs, student_factor
from heatcap.scaling.loading import (
    Shape,
    Tables,
    Wanted,
    load_table,
    read_columns,
    read_points,
    zeros_named,
)
from heatcap.scaling.scatter import local_scatter, steadied

__all__ = [
    "Points",
    "load_table",
    "number_or_name",
    "points",
    "read_columns",
    "read_table",
    "steadied",
]

FAR = 1e60  # magnitudes from 1 / FAR to FAR: squares of their ratios are numbers
SPAN = 1e30  # largest over smallest size: so are its powers up to 8
NOTED = 1.05  # Student's factor from which on the message mentions it


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
    estimated : bool
        Whether the errors are estimates from the scatter: only their ratios mean something.
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
    estimated: bool = False
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

    def scaled(self, factor: float) -> Points:
        """Multiply errors that are estimates from the scatter, whose ratios alone are known."""
        return replace(self, error=factor * self.error)

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
    estimated = error is None and cov is None and rep is None
    out = replace(out, estimated=estimated, row=np.arange(1, n + 1))
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
            + zeros_named(errors[order], arrays["size"][order])
        )
    _check_once(arrays, order)


def _check_once(arrays: dict[str, Floats], order: NDArray[np.intp]) -> None:
    pair = np.column_stack([arrays["size"][order], arrays["control"][order]])
    pair = pair[np.lexsort((pair[:, 1], pair[:, 0]))]
    same = np.flatnonzero((np.diff(pair, axis=0) == 0).all(axis=1))
    if same.size:
        size, control = pair[same[0]]
        raise ValueError(
            f"two points at size {size:g} and control {control:g}, expected one: average them, or "
            "give them as replicates (a table of runs goes without --error)"
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
    _check_once(arrays, np.flatnonzero(np.isfinite(np.stack([*arrays.values()])).all(axis=0)))
    return local_scatter(arrays["size"], arrays["control"], arrays["value"]), _ESTIMATED


_ESTIMATED = (
    "no errors given: estimated from the scatter between neighbours, and scaled so that chi^2 is as"
    " expected: chi^2 tests nothing"
)


def read_table(
    table: Tables,
    *,
    size: str,
    control: str,
    value: str,
    error: str | None = None,
    likely: str | None = None,
    runs: str | int | None = None,
    names: Sequence[str] | None = None,
    choice: Choice | None = None,
    **how: Any,
) -> Points:
    """Read points from a file, several files, a DataFrame or a Dataset.

    Files are text (CSV, TSV, white space), JSON, numpy's, Parquet, NetCDF or HDF5.  Without errors,
    rows of one size and control are runs: their mean is the value, their spread gives the error.

    Parameters
    ----------
    table
        Several files are one table.  A Dataset may hold replicates of the value as
        ``VALUE_replicates`` with a dimension ``replicate``, and their covariance as
        ``VALUE_covariance`` (point, point_2).
    size, control, value, error : str
        Names of the columns.
    likely : str, optional
        Column of the errors if there is one and `error` is not given.
    runs : str or int, optional
        Number of runs behind an error: a column or one number for all.
    names : sequence of str, optional
        Names of the columns of a text table without a header.
    choice : Choice, optional
        Rows that are used, all by default.
    **how
        Keywords of :class:`heatcap.scaling.loading.Shape`: wide, size_from, interval, successes,
        trials, drop_zero_errors, decimal.

    Returns
    -------
    Points

    Raises
    ------
    ValueError
        For a file that cannot be read, a missing column, a cell that is not a number.
    """
    count = runs if isinstance(runs, str) else None
    wanted = Wanted(size, control, value, error, likely, count)
    columns, beside, called = read_points(table, wanted, Shape(**how), names, choice)
    count = columns.pop("runs", runs)
    message = columns.pop("message", "")
    try:
        found = points(**columns, name=value, runs=count, **beside)
    except ValueError as problem:
        raise ValueError(f"{called}{problem}") from None
    if message and not found.replicates_shared:  # the runs of a point have told all they know
        found = replace(found, replicates=None)
    return replace(found, message="; ".join(filter(None, [message, found.message])))


def number_or_name(text: str | None) -> int | str | None:
    """Parse the number of runs, or the name of the column that holds it."""
    return int(text) if text is not None and text.isdecimal() else text
