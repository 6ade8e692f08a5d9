"""The Dataset of observables: sizes and groups of its runs, its curves, its file.

Observables are (run, checkpoint) with any of (inputs, layer, head, query), metrics (run, metric);
`step` (run, checkpoint) and `metric_step` (run, metric) are the training steps.  Properties of a
run are coordinates (run).  Names and units of the observables: :mod:`heatcap.core.quantities`.

Ask here instead of indexing the Dataset: `sizes_of`, `size_name_of` and `groups_of` for the runs,
`curve` for one observable, `load` and `save` for its file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from heatcap.core.columns import AVERAGE, PROPER
from heatcap.core.result import Caution
from heatcap.core.text import plain
from heatcap.core.writing import write_bytes
from heatcap.runfile import SEALED, TAKEN, read_netcdf, sealed

__all__ = [
    "SCHEMA_VERSION",
    "SIZES",
    "cautions_of",
    "curve",
    "groups_of",
    "labels_of",
    "lacking",
    "load",
    "problems_of",
    "save",
    "size_coordinate",
    "size_label",
    "size_name_of",
    "sizes_of",
]

SCHEMA_VERSION = 1

#: Coordinates for the size of a run: the first that is present and known for any run.
SIZES = ("size", "p")


# ---- runs ----------------------------------------------------------------------------------


def size_coordinate(runs: xr.Dataset | pd.DataFrame) -> str | None:
    """Find the coordinate (or column) that holds the sizes of the runs, if any."""
    table = _of_runs(runs)
    return next((name for name in SIZES if name in table and table[name].notna().any()), None)


def sizes_of(runs: xr.Dataset | pd.DataFrame) -> pd.Series:
    """Return the size of every run: its `size`, its `p`, or 0 where neither is known."""
    table = _of_runs(runs)
    name = size_coordinate(table)
    return table[name].astype(float) if name else pd.Series(0.0, index=table.index)


def size_name_of(runs: xr.Dataset | pd.DataFrame) -> str:
    """Return the name of the size of the runs.

    Raises
    ------
    ValueError
        If the runs have sizes of different names, which must not share an axis.
    """
    table = _of_runs(runs)
    named = table.get("size_name", pd.Series(dtype=str)).dropna().astype(str)
    counts = named[named != ""].value_counts()
    if len(counts) > 1:
        parts = [f"{name} ({n} {'run' if n == 1 else 'runs'})" for name, n in counts.items()]
        shown = f"{', '.join(parts[:-1])} and {parts[-1]}"
        raise ValueError(f"sizes are called {shown}: choose one")
    if len(counts):
        return str(counts.index[0])
    return size_coordinate(table) or "size"


def size_label(runs: xr.Dataset | pd.DataFrame) -> str:
    """Return the name of the size; "size" for a column that holds sizes of several names."""
    try:
        return size_name_of(runs)
    except ValueError:
        return "size"


def groups_of(runs: xr.Dataset | pd.DataFrame) -> pd.Series:
    """Return the control to which each run belongs, else `PROPER`.

    Runs with weight decay 0 are a control only beside runs with weight decay.
    """
    table = _of_runs(runs)
    group = pd.Series(PROPER, index=table.index)
    if "control" in table:
        group = table["control"].astype(str)
        group = group.mask(group.isin(["", "nan", "None"]), PROPER)
    if "weight_decay" in table:
        decay = pd.to_numeric(table["weight_decay"], errors="coerce")
        if (decay > 0).any():
            group = group.mask((group == PROPER) & (decay == 0), "weight_decay_0")
    return group


def _of_runs(runs: xr.Dataset | pd.DataFrame) -> pd.DataFrame:
    """Coordinates of every run as a table with one row each; a table of runs as it is."""
    if isinstance(runs, pd.DataFrame):
        return runs
    of_run = [str(name) for name in runs.coords if runs[name].dims == ("run",)]
    columns = {name: runs[name].to_numpy() for name in of_run}
    return pd.DataFrame(columns, index=range(runs.sizes.get("run", 0)))


# ---- curves --------------------------------------------------------------------------------


def lacking(wanted: str, held: Iterable[str]) -> str:
    """Word the message on a missing observable: how to make it, and which ones there are."""
    path = wanted.removeprefix("'").startswith(("fisher_", "depth_"))
    how = "make them with `heatcap observe --geometry`; " if path else ""
    return f"observables lack {wanted}; {how}they have {', '.join(held)}"


def curve(
    obs: xr.Dataset,
    name: str,
    *,
    run: int | None = None,
    query: int = -1,
    inputs: str = "all",
    layer: Any = None,
    head: int | str | None = None,
) -> xr.DataArray:
    """Select one observable at one query, on one kind of inputs.

    Parameters
    ----------
    obs : Dataset
        May lack any of the dimensions below; the choice is then ignored.
    name : str
    run, query : int
        Indices; all runs and the last query by default.
    inputs : str
        "all", "trained" or "untrained".
    layer : label, optional
        All by default; see :func:`labels_of`.
    head : int or "mean", optional
        All by default; "mean" is the average over heads.

    Returns
    -------
    DataArray (run, checkpoint, layer, head)
        Without the dimensions that were chosen or that the observable lacks.

    Raises
    ------
    ValueError
        If `obs` lacks the observable, the inputs or the query.
    """
    if name not in obs:
        raise ValueError(lacking(repr(name), map(str, obs)))
    values = obs[name] if run is None else obs[name].isel(run=run)
    if "inputs" in values.dims:
        available = values["inputs"].to_numpy().tolist()
        if inputs not in available:
            raise ValueError(f"inputs must be one of {available}, got {inputs!r}")
        values = values.sel(inputs=inputs)
    if "query" in values.dims:
        n = values.sizes["query"]
        if not -n <= query < n:
            raise ValueError(f"query must be an index into {n} queries, got {query}")
        values = values.isel(query=query)
    if layer is not None and "layer" in values.dims:
        values = values.isel(layer=labels_of(values, "layer").index(layer))
    if head is not None and "head" in values.dims:
        values = values.mean("head") if head == AVERAGE else values.sel(head=int(head))
    return values


def labels_of(values: xr.DataArray, dim: str) -> list[Any]:
    """List the labels of layers or heads; their numbers where they have none."""
    if dim in values.coords:
        return list(np.atleast_1d(values[dim].to_numpy()).tolist())
    return [*range(values.sizes.get(dim, 1))]


# ---- files ---------------------------------------------------------------------------------


def problems_of(obs: xr.Dataset) -> list[str]:
    """List the problems with files that were noted when the runs were read.

    Raises
    ------
    ValueError
        If ``attrs["problems"]`` is not a list of texts in JSON.
    """
    text = obs.attrs.get("problems", "[]")
    try:
        problems = json.loads(text)
    except (TypeError, ValueError):
        problems = None
    if not isinstance(problems, list) or not all(isinstance(problem, str) for problem in problems):
        raise ValueError(f"problems must be a list of texts in JSON, got {text!r}")
    return problems


def cautions_of(obs: xr.Dataset) -> list[Caution]:
    """List cautions: problems noted when the runs were read, and incomplete runs."""
    return [*_problems(obs), *_incomplete(obs)]


def _problems(obs: xr.Dataset) -> Iterator[Caution]:
    try:
        # Cleaned here, because an escape in JSON becomes a control character only when it is read.
        lines = [plain(line) for line in problems_of(obs)]
    except ValueError as problem:
        lines = [str(problem)]
    if lines:
        text = f"{len(lines)} noted when the runs were read: {'; '.join(lines)}."
        yield Caution("Problems of the files", text)


def _incomplete(obs: xr.Dataset) -> Iterator[Caution]:
    if "complete" not in obs:
        return
    n = int(np.sum(obs["complete"].to_numpy() != 1))
    if n:
        yield Caution(
            "Runs not complete",
            f"{n} of {obs.sizes['run']} run files were still being written, or their training "
            "stopped without an end.",
        )


def save(observables: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write observables as compressed NetCDF; the file appears when it is complete."""
    # Encodings of the source files would truncate longer texts.
    stamps = {"schema_version": SCHEMA_VERSION, SEALED: 1}
    observables = observables.drop_encoding().assign_attrs(stamps)
    packed = {"zlib": True, "complevel": 4, "shuffle": True}
    encoding = {
        name: packed
        for name, variable in observables.variables.items()
        if variable.dtype.kind in "fi" and variable.ndim
    }
    # In memory first, because HDF5 ends the process when it cannot flush to a full disk.
    write_bytes(path, sealed(observables.to_netcdf(engine="h5netcdf", encoding=encoding)))


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Load observables, in memory, from a file that `save` wrote.

    Raises
    ------
    ValueError
        If the file is missing, damaged, not NetCDF, or holds something else.
    """
    table = read_netcdf(path, "observables (OBS.nc)")
    version = table.attrs.get("schema_version")
    if table.attrs.get("format") == "heatcap-run" or version is None:
        raise ValueError(
            f"{path}: holds no observables; expected what `heatcap observe` writes"
            + (", got a run file" if "format" in table.attrs else "")
        )
    if not isinstance(version, int | np.integer) or version > SCHEMA_VERSION:
        raise ValueError(
            f"{path}: has schema_version {version!r}, this heatcap reads versions up to "
            f"{SCHEMA_VERSION}; install a newer heatcap"
        )
    if problem := _structure_problem(table):
        raise ValueError(f"{path}: {problem}, expected what `heatcap observe` writes")
    return table


def _structure_problem(table: xr.Dataset) -> str:
    """Reason why observables cannot be the result of `observe`, or parts of it; "" if they can."""
    for dim in ("layer", "head", "inputs", "temperature"):
        if dim in table.dims and not table.sizes[dim]:
            return f"has no {dim}"
        if dim in table.indexes and not table.indexes[dim].is_unique:
            return f"has one {dim} twice"
    for name in TAKEN["an observable"]:
        if name in table.variables and table.variables[name].dtype.kind not in "biuf":
            return f"{name} must be numbers, got {table.variables[name].dtype}"
    for name in (*TAKEN["an observable"], "size", "size_name", "seed"):
        if "run" in table.dims and name in table.variables and "run" not in table[name].dims:
            return f"{name} lacks the dimension 'run'"
    return ""
