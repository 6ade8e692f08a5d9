"""The table that every system gives and every scaling fit takes: one row per size and control.

A Dataset with the one dimension ``point``; coordinates ``size`` and ``control`` on it.  For an
observable A: ``A``; ``A_error``, one standard deviation, absolute, absent for exact values;
``A_replicates`` (point, replicate), whose mean is ``A`` and whose standard error is ``A_error``;
``A_covariance`` (point, point_2) where points share noise.  Grids may differ between sizes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from heatcap.core.arrays import Floats
from heatcap.core.text import csv
from heatcap.core.writing import write_text
from heatcap.resampling import jackknife

__all__ = ["Controls", "from_runs", "make_table", "observables", "points", "to_csv", "to_frame"]

Controls = ArrayLike | Mapping[int, ArrayLike] | Callable[[int], ArrayLike]

LARGEST = 2**53  # size, up to which whole numbers are exact
SUFFIXES = ("_error", "_replicates", "_covariance")


def points(sizes: Sequence[int], controls: Controls) -> tuple[NDArray[np.int64], Floats]:
    """Expand sizes and controls to points, size by size in the order given.

    Raises
    ------
    ValueError
        If there is no size, a size is not a positive whole number or comes twice, or the controls
        of a size are missing, empty or not finite.
    """
    whole: list[int] = []
    for size in np.atleast_1d(np.asarray(sizes)).tolist():
        if size != int(size) or size < 1:
            raise ValueError(f"a size must be a whole number of 1 or more, got {size}")
        if size > LARGEST:
            raise ValueError(f"a size must be at most 2^53, got {size:g}")
        whole.append(int(size))
    if not whole or len(set(whole)) < len(whole):
        raise ValueError(f"sizes must be one or more different numbers, got {whole}")
    grids = [_grid(size, controls) for size in whole]
    return np.repeat(np.array(whole), [grid.size for grid in grids]), np.concatenate(grids)


def _grid(size: int, controls: Controls) -> Floats:
    if isinstance(controls, Mapping):
        if size not in controls:
            raise ValueError(f"no controls for size {size}, only for {sorted(controls)}")
        given: ArrayLike = controls[size]
    else:
        given = controls(size) if callable(controls) else controls
    grid = np.atleast_1d(np.asarray(given, dtype=np.float64))
    if grid.ndim != 1 or grid.size == 0 or not np.all(np.isfinite(grid)):
        raise ValueError(
            f"controls of size {size} must be one or more finite numbers, got {given!r}"
        )
    return grid


def make_table(
    size: ArrayLike,
    control: ArrayLike,
    values: Mapping[str, ArrayLike],
    errors: Mapping[str, ArrayLike] | None = None,
    *,
    replicates: Mapping[str, ArrayLike] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Make a table of values (point), errors (point) and replicates (point, replicate)."""
    table = xr.Dataset(coords={"size": ("point", size), "control": ("point", control)})
    for name, column in values.items():
        table[name] = ("point", np.asarray(column, dtype=np.float64))
        if errors is not None and name in errors:
            table[f"{name}_error"] = ("point", np.asarray(errors[name], dtype=np.float64))
        if replicates is not None and name in replicates:
            runs = np.asarray(replicates[name], dtype=np.float64)
            table[f"{name}_replicates"] = (("point", "replicate"), runs)
    return table.assign_attrs(attrs or {})


def from_runs(
    size: NDArray[np.int64],
    control: Floats,
    runs: xr.DataArray,
    statistic: Callable[[xr.DataArray], xr.DataArray],
    *,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Make a table from the averages of independent runs.

    Parameters
    ----------
    runs : DataArray (moment, point, replicate)
        Averages of each run.
    statistic : callable
        A smooth function from averages (moment, point) to observables (observable, point).

    Returns
    -------
    Dataset (point)
        Jackknife values of the observables, leading bias removed.  The replicates are pseudo-values
        R theta - (R - 1) theta_j: single runs where an observable is a mean.  Their mean is the
        value and their standard error the error in every case.

    Raises
    ------
    ValueError
        For fewer than two runs: there would be no error.
    """
    count = runs.sizes["replicate"]
    if count < 2:
        raise ValueError(f"replicates must be at least 2 for an error, got {count}")
    fit = jackknife(runs, lambda some: statistic(some.mean("replicate")), dim="replicate")
    if fit.bias is None or fit.replicates is None:
        raise AssertionError("the jackknife gives bias and replicates")
    pseudo = count * (fit.value + fit.bias) - (count - 1) * fit.replicates
    names = [str(name) for name in fit.value["observable"].to_numpy()]
    return make_table(
        size,
        control,
        {name: fit.value.sel(observable=name).to_numpy() for name in names},
        {name: fit.error.sel(observable=name).to_numpy() for name in names},
        replicates={
            name: pseudo.sel(observable=name).transpose("point", "replicate").to_numpy()
            for name in names
        },
        attrs=attrs,
    )


def observables(table: xr.Dataset) -> list[str]:
    """List the names of the observables of a table."""
    names = [str(name) for name in table.data_vars]
    return [name for name in names if not name.endswith(SUFFIXES)]


def to_frame(table: xr.Dataset) -> pd.DataFrame:
    """Convert to a DataFrame: size, control, A and A_error of every observable.

    One row per point.  Replicates and covariances have no column: keep them with
    ``table.to_netcdf``.
    """
    columns: dict[str, NDArray[Any]] = {
        "size": table["size"].to_numpy(),
        "control": table["control"].to_numpy(),
    }
    for name in observables(table):
        columns[name] = table[name].to_numpy()
        if f"{name}_error" in table:
            columns[f"{name}_error"] = table[f"{name}_error"].to_numpy()
    return pd.DataFrame(columns)


def to_csv(table: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write the columns of :func:`to_frame` as CSV, with all digits."""
    write_text(path, csv(to_frame(table)))
