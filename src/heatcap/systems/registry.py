"""Systems by name: `tabulate` computes the table of one, `write` puts it into a file."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from heatcap.core.writing import write_bytes
from heatcap.systems.exact import CurieWeiss, Ising1D, Ising2DExact, RandomEnergy, TwoLevel
from heatcap.systems.percolation import Percolation
from heatcap.systems.planted import Planted
from heatcap.systems.potts import Ising2D, Potts
from heatcap.systems.system import ExactSystem, SampledSystem, System
from heatcap.systems.table import Controls, to_csv, to_frame
from heatcap.systems.xy import XY

__all__ = ["SYSTEMS", "tabulate", "write"]

SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        TwoLevel(),
        RandomEnergy(),
        Ising1D(),
        Ising2DExact(),
        CurieWeiss(),
        Ising2D(),
        Potts(3),
        Potts(10),
        XY(),
        Percolation(),
        Planted(),
    )
}
"""Systems by name, with default parameters; :func:`tabulate` takes others."""


#: Options that are whole numbers, with the smallest; MOST is the largest.
WHOLE = {"replicates": 1, "sweeps": 1, "runs": 1, "trials": 1, "thermalisation": 0, "q": 2}
MOST = 2**31 - 1
FAR = 1e6  # of a parameter


def tabulate(name: str, sizes: Sequence[int], controls: Controls, **options: Any) -> xr.Dataset:
    """Compute the table of a system by its name.

    Parameters
    ----------
    name : str
        A key of :data:`SYSTEMS`.
    sizes, controls
        As for ``exact`` or ``sample`` of the system.
    **options
        Parameters of the system (``q``, ``gap``, ``x_c`` ...) and options of ``sample``
        (``replicates``, ``sweeps``, ``rng`` ...).

    Returns
    -------
    Dataset (point)

    Raises
    ------
    ValueError
        If the name or an option is unknown, or a value is out of range.
    """
    if name not in SYSTEMS:
        raise ValueError(f"system must be one of {sorted(SYSTEMS)}, got {name!r}")
    system = SYSTEMS[name]
    fields = {field.name for field in dataclasses.fields(system)}
    parameters = {key: value for key, value in options.items() if key in fields}
    rest = {key: value for key, value in options.items() if key not in fields}
    allowed: set[str] = set()
    if isinstance(system, (SampledSystem, Planted)):
        allowed = set(inspect.signature(system.sample).parameters) - {"sizes", "controls"}
    if unknown := sorted(set(rest) - allowed):
        raise ValueError(f"{name} has no option {unknown}, only {sorted(fields | allowed)}")
    for key in WHOLE.keys() & options.keys():
        value, least = options[key], WHOLE[key]
        if value < least or value % 1:  # also NaN and infinity, whose remainder is NaN
            raise ValueError(f"{key} must be a whole number of {least} or more, got {value:.15g}")
        if value > MOST:
            raise ValueError(f"{key} must be at most {MOST}, got {value:g}")
    for key, value in parameters.items():
        if isinstance(value, int | float) and not abs(value) <= FAR:  # also NaN
            raise ValueError(f"{key} must lie between {-FAR:g} and {FAR:g}, got {value:g}")
    system = dataclasses.replace(system, **parameters)
    try:
        if isinstance(system, (SampledSystem, Planted)):
            return system.sample(sizes, controls, **rest)
        if isinstance(system, ExactSystem):
            return system.exact(sizes, controls)
    except OverflowError:
        raise ValueError(f"{name}: sizes and options give numbers that are too large") from None
    raise AssertionError(f"{name} is neither exact nor sampled")


def write(
    name: str,
    path: str | os.PathLike[str],
    sizes: Sequence[int],
    controls: Controls,
    **options: Any,
) -> xr.Dataset:
    """Write the table of a system to a file and return it.

    Arguments are those of :func:`tabulate`.  ``.csv`` and ``.parquet`` keep size, control, values
    and errors; ``.nc`` keeps everything.

    Raises
    ------
    ValueError
        For another ending, before anything is computed; or as :func:`tabulate`.
    """
    ending = Path(path).suffix
    if ending not in (".csv", ".parquet", ".nc"):
        raise ValueError(f"a table ends in .csv, .parquet or .nc, got {os.fspath(path)!r}")
    table = tabulate(name, sizes, controls, **options)
    if ending == ".csv":
        to_csv(table, path)
    elif ending == ".parquet":
        write_bytes(path, to_frame(table).to_parquet(None, index=False))
    else:
        write_bytes(path, table.to_netcdf(engine="h5netcdf"))
    return table
