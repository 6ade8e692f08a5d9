"""Observables of several files, side by side along `run`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from heatcap.runfile import text_or_numbers

__all__ = ["join"]

# Runs differ in these, and are padded with NaN; queries in front, to end together.
LENGTHS = ("checkpoint", "metric", "query")
AXES = ("layer", "head", "inputs", "temperature")


def join(tables: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """One Dataset of the runs of several, all observed with the same options.

    Parameters
    ----------
    tables : dict
        Observables by the name of their file.

    Returns
    -------
    Dataset (run, checkpoint, ...)
        What one file lacks is NaN (or "") in its runs.

    Raises
    ------
    ValueError
        If there is none, a run is in two files, or options, layers, heads or temperatures differ;
        the message names the file.
    """
    if not tables:
        raise ValueError("no observables to join")
    first, *others = tables
    for name in others:
        _check(first, tables[first], name, tables[name])
    _check_runs(tables)
    if not others:
        return tables[first]
    longest = {dim: max(table.sizes.get(dim, 0) for table in tables.values()) for dim in LENGTHS}
    padded = [_padded(table, longest) for table in tables.values()]
    whole = xr.concat(
        _completed(padded), "run", data_vars="all", coords="different", compat="equals",
        join="override", combine_attrs="override",
    )  # fmt: skip
    said = [each for table in tables.values() for each in _problems(table)]
    return whole.assign_attrs(tables[first].attrs | {"problems": json.dumps(said)})


def _check(first: str, one: xr.Dataset, name: str, other: xr.Dataset) -> None:
    for key in ("options", "source", "columns", "schema_version"):
        a, b = one.attrs.get(key), other.attrs.get(key)
        if a != b:
            raise ValueError(f"{name}: has {key} {b}, expected {a} as in {first}")
    for dim in AXES:
        if (dim in one.dims) != (dim in other.dims):
            lacks, has = (name, first) if dim in one.dims else (first, name)
            raise ValueError(f"{lacks}: lacks dimension {dim!r}, which {has} has")
        if dim in one.dims and not np.array_equal(one[dim].to_numpy(), other[dim].to_numpy()):
            raise ValueError(
                f"{name}: has {dim} {other[dim].to_numpy().tolist()}, expected "
                f"{one[dim].to_numpy().tolist()} as in {first}"
            )


def _check_runs(tables: Mapping[str, xr.Dataset]) -> None:
    owner: dict[Any, str] = {}
    for name, table in tables.items():
        for run in table["run"].to_numpy().tolist():
            if run in owner:
                raise ValueError(f"{name}: holds run {run}, which {owner[run]} has too")
            owner[run] = name


def _padded(table: xr.Dataset, longest: Mapping[str, int]) -> xr.Dataset:
    width = {
        dim: (n - table.sizes[dim], 0) if dim == "query" else (0, n - table.sizes[dim])
        for dim, n in longest.items()
        if dim in table.dims and table.sizes[dim] < n
    }
    return table.pad(width) if width else table


def _completed(tables: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Every table with every variable of runs that any of them has."""
    out = list(tables)
    for name in dict.fromkeys(str(n) for table in tables for n in table.variables):
        owner = next(table for table in tables if name in table.variables)
        if "run" not in owner[name].dims or name == "run":
            continue
        is_coord = name in owner.coords
        for k, table in enumerate(out):
            filled = (
                table
                if name in table.variables
                else table.assign({name: _empty(owner[name], table)})
            )
            out[k] = filled.set_coords(name) if is_coord else filled.reset_coords(name)
    return out


def _empty(like: xr.DataArray, table: xr.Dataset) -> tuple[tuple[Any, ...], Any]:
    shape = tuple(table.sizes.get(dim, like.sizes[dim]) for dim in like.dims)
    if like.dtype.kind in "OUS":
        return like.dims, text_or_numbers([""] * shape[0])
    return like.dims, np.full(shape, np.nan)


def _problems(table: xr.Dataset) -> list[str]:
    return list(json.loads(table.attrs.get("problems", "[]")))
