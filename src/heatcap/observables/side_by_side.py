"""Merge observables of several files or runs along the dimension `run`.

`join` merges files that were observed with the same options, `fitting` those of many files that can
be joined; `stacked` pads runs of different lengths to one Dataset and `alone` takes one out again.
Padding is NaN; `outgrown` finds runs so long that padding the others would take too much memory.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median_low
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from heatcap.core.arrays import require
from heatcap.core.quantities import VISIBLE_KEYS
from heatcap.core.text import few
from heatcap.observables.dataset import problems_of, size_coordinate
from heatcap.runfile import merged_notes, names_read, reading_notes, text_or_numbers

__all__ = [
    "IN_FILE",
    "OUTGROWN",
    "alone",
    "apart",
    "fitting",
    "join",
    "outgrown",
    "renamed",
    "stacked",
]

#: Attribute of a metric: its name in the file, if the Dataset uses another one.
IN_FILE = "name_in_file"

AXES = ("layer", "head", "inputs", "temperature")
EQUAL = ("layer", "head", "temperature")
SAME = ("options", "source", "columns", "schema_version")
OPTIONS = ("temperatures", "geometry", "per")  # in the order in which `observe` writes them

#: Bytes that padded runs may take in any case.
ROOM = 1 << 30
#: Largest ratio of padded to stored size, of all runs, and of each against the median run.
PADDING, SPREAD = 2, 10
OUTGROWN = "is so long or wide that the others, padded to it, take too much memory; take it alone"


def join(tables: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Join the runs of several Datasets that were observed with the same options.

    Parameters
    ----------
    tables : dict
        Observables by the name of their file.

    Returns
    -------
    Dataset (run, checkpoint, ...)
        Values that a file lacks are NaN (or "") in its runs; probe inputs are those common to all
        files.  ``attrs["problems"]``, ``["commands"]`` and ``["versions"]`` are lists in JSON, of
        all files; ``["left_out"]`` is their sum.

    Raises
    ------
    TypeError
        If `tables` are no dict of Datasets.
    ValueError
        If there is no Dataset, one has no runs or malformed problems, a run is in two files, sizes
        have different names, options, layers, heads or temperatures differ, or one is so long that
        the others, padded to it, take too much memory; the message names the file.
    """
    require(tables, "tables", Mapping)
    if not tables:
        raise ValueError("no observables to join")
    problems = [text for name, table in tables.items() for text in _checked(name, table)]
    first, *others = tables
    for name in others:
        _check_compatible(first, tables[first], name, tables[name])
    _check_runs(tables)
    if not others:
        return tables[first]
    for number in outgrown([*tables.values()]):
        raise ValueError(f"{[*tables][number]}: {OUTGROWN}")
    tables = _common_inputs(dict(zip(tables, apart([*tables.values()]), strict=True)))
    whole = stacked([*tables.values()])
    problems += renamed(whole, problems)
    attrs = tables[first].attrs | {"problems": json.dumps(problems)}
    for single, several in (("command", "commands"), ("heatcap_version", "versions")):
        attrs[several] = json.dumps(list(dict.fromkeys(_provenance(tables, single, several))))
    if any("left_out" in table.attrs for table in tables.values()):
        attrs["left_out"] = sum(int(table.attrs.get("left_out", 0)) for table in tables.values())
    return whole.assign_attrs(attrs)


def stacked(tables: Sequence[xr.Dataset]) -> xr.Dataset:
    """Stack runs, the shorter ones padded with NaN (queries in front, so that they end together).

    A table without the dimension `run` is one run.  Missing values are NaN, or "" among texts.
    """
    extents = _longest([{str(dim): n for dim, n in table.sizes.items()} for table in tables])
    coords: dict[str, Any] = {}
    variables: dict[str, Any] = {}
    for name in dict.fromkeys(str(name) for table in tables for name in table.variables):
        owners = [table for table in tables if name in table.variables]
        first = owners[0].variables[name]
        if name in AXES and first.dims == (name,):
            coords[name] = max((table[name].values for table in owners), key=len)
            continue
        if _is_of_all(name, tables):
            coords[name] = first
            continue
        dims = [str(dim) for dim in first.dims if dim != "run"]
        rows = [_rows(table, name, dims, extents) for table in tables]
        values = np.concatenate(rows) if dims else text_or_numbers([v for row in rows for v in row])
        filled = (("run", *dims), values, first.attrs)
        (coords if name in owners[0].coords else variables)[name] = filled
    return xr.Dataset(variables, coords)


def _is_of_all(name: str, tables: Sequence[xr.Dataset]) -> bool:
    """Whether a coordinate of no single run is the same in all tables."""
    return all(
        "run" in table.dims
        and name in table.coords
        and "run" not in table[name].dims
        and bool(table[name].equals(tables[0][name]))
        for table in tables
    )


def _rows(
    table: xr.Dataset, name: str, dims: Sequence[str], extents: Mapping[str, int]
) -> NDArray[Any] | list[Any]:
    """A variable of the runs of a table (run, *dims), as long as the longest of them all."""
    count = table.sizes.get("run", 1)
    variable = table.variables.get(name)
    if not dims:
        held = [None] if variable is None else np.atleast_1d(variable.values).tolist()
        # A missing number among texts becomes "", not "nan".
        return [None if v != v else v for v in (held if len(held) == count else held * count)]
    shape = [extents[dim] for dim in dims]
    if variable is not None and variable.dtype.kind not in "biuf":
        out = np.full((count, *shape), "", dtype=object)
    else:
        out = np.full((count, *shape), np.nan)
    if variable is not None:
        parts = [
            slice(full - n, full) if dim == "query" else slice(0, n)
            for dim, full in zip(dims, shape, strict=True)
            for n in [variable.sizes[dim]]
        ]
        out[(slice(None), *parts)] = variable.transpose(..., *dims).values
    return out


def alone(table: xr.Dataset, run: int) -> xr.Dataset:
    """Take one run out of several that `observe` stacked, without its padding."""
    table = table.isel(run=run)
    visible = table[VISIBLE_KEYS].isel(inputs=0)
    parts = {
        "checkpoint": np.isfinite(table["step"].values),
        "metric": np.isfinite(table["metric_step"].values),
        "query": np.isfinite(table["query_position"].values),
    }
    for dim in ("layer", "head"):
        if dim in visible.dims:
            parts[dim] = visible.notnull().any([d for d in visible.dims if d != dim]).values
    table = table.isel({dim: np.flatnonzero(rows) for dim, rows in parts.items()})
    # A scalar that is "" or NaN is what `stacked` puts where a run lacks a parameter.
    scalars = {str(name): value.item() for name, value in table.coords.items() if not value.ndim}
    foreign = [name for name, value in scalars.items() if value == "" or value != value]
    if table.sizes["layer"] == 1:
        foreign += [str(name) for name in table.data_vars if str(name).startswith("depth_")]
    return table.drop_vars(foreign)


def fitting(
    tables: Mapping[str, xr.Dataset], problems: Sequence[str] = ()
) -> tuple[xr.Dataset, list[str]]:
    """Join the files that fit together; each other one adds a line to the problems.

    A file has to fit those before it.

    Raises
    ------
    ValueError
        If no file is left, with the first problems.
    """
    of_runs = {name: table for name, table in tables.items() if "run" in table.dims}
    large = {[*of_runs][number] for number in outgrown([*of_runs.values()])}
    problems = [*problems, *(f"{name}: {OUTGROWN}" for name in tables if name in large)]
    tables = {name: table for name, table in tables.items() if name not in large}
    try:
        return join(tables), problems
    except Exception:  # joining them one by one shows which file is the cause
        whole = None
    fit: dict[str, xr.Dataset] = {}
    for name, table in tables.items():
        try:
            whole = join(fit | {name: table})
            fit[name] = table
        except ValueError as problem:
            message = str(problem)
            problems.append(message if message.startswith(f"{name}: ") else f"{name}: {message}")
        except Exception as problem:  # a bad file can cause any exception, xarray's own included
            message = " ".join(str(problem).split())
            problems.append(f"{name}: does not fit ({type(problem).__name__}: {message})")
    if whole is None:
        raise ValueError(few(problems))
    return whole, problems


def outgrown(tables: Sequence[xr.Dataset]) -> list[int]:
    """List the indices of tables to which the others cannot be padded in reasonable memory.

    Padded, they may take a gibibyte, or a small multiple of their own size, or of the size they
    would have if each run were like the median one: runs that stop early are no fault.
    """
    dims = [
        {
            str(name): tuple(str(dim) for dim in variable.dims if dim != "run")
            for name, variable in table.variables.items()
        }
        for table in tables
    ]
    sizes = [{str(dim): n for dim, n in table.sizes.items() if dim != "run"} for table in tables]
    counts = [table.sizes.get("run", 1) for table in tables]
    held = [_bytes(axes, extents) for axes, extents in zip(dims, sizes, strict=True)]

    def is_too_much(remaining: Sequence[int]) -> bool:
        runs = sum(counts[k] for k in remaining)
        room = PADDING * sum(counts[k] * held[k] for k in remaining)
        room = max(ROOM, room, SPREAD * runs * median_low(held[k] for k in remaining))
        every = {name: axes for k in remaining for name, axes in dims[k].items()}
        return runs * _bytes(every, _longest([sizes[k] for k in remaining])) > room

    remaining = list(range(len(tables)))
    if len(remaining) < 2 or not is_too_much(remaining):
        return []
    # Ordered by the size of the median run padded to each: its length, width and variables.
    every = {name: axes for variables in dims for name, axes in variables.items()}
    shared = Counter(name for variables in dims for name in variables)
    usual = {name: axes for name, axes in every.items() if 2 * shared[name] >= len(dims)}
    middle = {
        dim: median_low(extents[dim] for extents in sizes if dim in extents)
        for dim in _longest(sizes)
    }
    reach = [
        _bytes(usual | variables, _longest([middle, extents]))
        for variables, extents in zip(dims, sizes, strict=True)
    ]
    remaining.sort(key=reach.__getitem__)
    left = []
    while len(remaining) > 1 and is_too_much(remaining):
        left.append(remaining.pop())
    return left


def _bytes(dims: Mapping[str, Sequence[str]], sizes: Mapping[str, int]) -> int:
    return 8 * sum(math.prod(sizes.get(dim, 1) for dim in names) for names in dims.values())


def _longest(sizes: Sequence[Mapping[str, int]]) -> dict[str, int]:
    longest: dict[str, int] = {}
    for extents in sizes:
        longest |= {dim: max(n, longest.get(dim, 0)) for dim, n in extents.items()}
    return longest


def apart(tables: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Rename metrics so that no metric of a table is called like a parameter of another."""
    read = names_read("metric", _in_files(*tables), _parameters(*tables))
    out = []
    for table in tables:
        changed = {name: now for name, now in _in_files(table).items() if read[name] != now}
        marked = {now: table[now].assign_attrs({IN_FILE: name}) for name, now in changed.items()}
        out.append(table.assign(marked).rename({now: read[name] for name, now in changed.items()}))
    return out


def renamed(table: xr.Dataset, noted: Sequence[str] = ()) -> list[str]:
    """List a line for each renamed metric, unless it was noted already."""
    names = {name: now for name, now in _in_files(table).items() if name != now}
    notes = []
    for name, now in names.items():
        (note,) = reading_notes("metric", {name: now}, _parameters(table))
        has = table[now].notnull().any("metric").values
        if not any(line.endswith(note) for line in noted):
            who = table["path" if "path" in table else "run"].values
            notes += [(str(run), note) for run in who[has]]
    return merged_notes(notes)


def _in_files(*tables: xr.Dataset) -> dict[str, str]:
    """Names of the metrics here, by their names in the files."""
    return {
        str(table.variables[name].attrs.get(IN_FILE, name)): str(name)
        for table in tables
        for name in table.data_vars
        if "metric" in table.variables[name].dims
    }


def _parameters(*tables: xr.Dataset) -> set[str]:
    return {
        str(name)
        for table in tables
        for name in table.coords
        if table.variables[name].dims in ((), ("run",))
    }


def _checked(name: str, table: xr.Dataset) -> list[str]:
    """Problems noted in one file, which must have runs."""
    require(table, name, xr.Dataset)
    if "run" not in table.dims or "run" not in table.coords:
        raise ValueError(f"{name}: has no dimension 'run', expected observables of runs")
    try:
        return problems_of(table)
    except ValueError as problem:
        raise ValueError(f"{name}: {problem}") from None


def _provenance(tables: Mapping[str, xr.Dataset], single: str, several: str) -> list[str]:
    """Commands or versions of all files, including those that were joined before."""
    texts: list[str] = []
    for table in tables.values():
        if several in table.attrs:
            texts += json.loads(table.attrs[several])
        elif table.attrs.get(single):
            texts.append(str(table.attrs[single]))
    return texts


def _common_inputs(tables: Mapping[str, xr.Dataset]) -> Mapping[str, xr.Dataset]:
    """Tables with the probe inputs that all files have, in the order of the first."""
    first, *others = tables
    if "inputs" not in tables[first].dims:
        return tables
    listed = tables[first]["inputs"].to_numpy().tolist()
    common = [
        kind
        for kind in listed
        if all(kind in tables[name]["inputs"].to_numpy().tolist() for name in others)
    ]
    return {name: table.sel(inputs=common) for name, table in tables.items()}


def _check_compatible(first: str, reference: xr.Dataset, name: str, compared: xr.Dataset) -> None:
    for key in SAME:
        a, b = reference.attrs.get(key), compared.attrs.get(key)
        if a != b:
            a, b = _differing_options(key, a, b)
            raise ValueError(f"{name}: has {key} {b}, expected {a} as in {first}")
    # With sizes in two coordinates the runs of one file would have none.
    where = [size_coordinate(table) for table in (reference, compared)]
    if all(where) and where[0] != where[1]:
        raise ValueError(
            f"{name}: has sizes in {where[1]!r}, expected them in {where[0]!r} as in {first}"
        )
    for dim in AXES:
        if (dim in reference.dims) != (dim in compared.dims):
            lacks, has = (name, first) if dim in reference.dims else (first, name)
            raise ValueError(f"{lacks}: lacks dimension {dim!r}, which {has} has")
        if (
            dim in EQUAL
            and dim in reference.dims
            and not np.array_equal(reference[dim].to_numpy(), compared[dim].to_numpy())
        ):
            raise ValueError(
                f"{name}: has {dim} {compared[dim].to_numpy().tolist()}, expected "
                f"{reference[dim].to_numpy().tolist()} as in {first}"
            )
    if "inputs" in reference.dims:
        a, b = (table["inputs"].to_numpy().tolist() for table in (reference, compared))
        if not set(a) & set(b):
            raise ValueError(f"{name}: has inputs {b}, expected one of {a} as in {first}")


def _differing_options(key: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Name the options that differ, if both can be read."""
    try:
        pair = [json.loads(text) for text in (a, b)]
    except (TypeError, ValueError):
        return a, b
    if key == "options":
        pair = [
            dict(zip(OPTIONS, options, strict=True))
            if isinstance(options, list) and len(options) == len(OPTIONS)
            else options
            for options in pair
        ]
    if not all(isinstance(options, dict) for options in pair):
        return a, b
    differ = [name for name in pair[0] | pair[1] if pair[0].get(name) != pair[1].get(name)]
    expected, got = (
        ", ".join(f"{name} = {options.get(name)}" for name in differ) for options in pair
    )
    return expected, got


def _check_runs(tables: Mapping[str, xr.Dataset]) -> None:
    owner: dict[Any, str] = {}
    for name, table in tables.items():
        for run in table["run"].to_numpy().tolist():
            if run in owner:
                raise ValueError(f"{name}: holds run {run}, which {owner[run]} has too")
            owner[run] = name
