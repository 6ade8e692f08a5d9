"""Observables of several files, side by side along `run`."""

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

from heatcap.core.quantities import VISIBLE_KEYS
from heatcap.observables.dataset import problems_of, size_coordinate
from heatcap.runfile import names_read, reading_notes, text_or_numbers, told

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

#: Attribute of a metric: its name in the file, where it is called otherwise beside observables.
IN_FILE = "name_in_file"

AXES = ("layer", "head", "inputs", "temperature")
EQUAL = ("layer", "head", "temperature")
SAME = ("options", "source", "columns", "schema_version")
OPTIONS = ("temperatures", "geometry", "per")  # in the order in which `observe` writes them

#: Bytes that padded runs may take in any case.
ROOM = 1 << 30
#: How many times what they hold they may take: all of them, and each against the middle one.
PADDING, SPREAD = 2, 10
OUTGROWN = "is so long or wide that the others, padded to it, take too much memory; take it alone"


def join(tables: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """One Dataset of the runs of several, all observed with the same options.

    Parameters
    ----------
    tables : dict
        Observables by the name of their file.

    Returns
    -------
    Dataset (run, checkpoint, ...)
        What one file lacks is NaN (or "") in its runs; probe inputs are those that all files have.
        ``attrs["problems"]``, ``["commands"]`` and ``["versions"]`` are lists in JSON, of all
        files; ``["left_out"]`` is their sum.

    Raises
    ------
    ValueError
        If there is none, one has no runs or malformed problems, a run is in two files, sizes are
        called differently, options, layers, heads or temperatures differ, or one is so long that
        the others, padded to it, take too much memory; the message names the file.
    """
    if not tables:
        raise ValueError("no observables to join")
    said = [text for name, table in tables.items() for text in _checked(name, table)]
    first, *others = tables
    for name in others:
        _check(first, tables[first], name, tables[name])
    _check_runs(tables)
    if not others:
        return tables[first]
    for number in outgrown([*tables.values()]):
        raise ValueError(f"{[*tables][number]}: {OUTGROWN}")
    tables = _common_inputs(dict(zip(tables, apart([*tables.values()]), strict=True)))
    whole = stacked([*tables.values()])
    said += renamed(whole, said)
    attrs = tables[first].attrs | {"problems": json.dumps(said)}
    for single, several in (("command", "commands"), ("heatcap_version", "versions")):
        attrs[several] = json.dumps(list(dict.fromkeys(_made(tables, single, several))))
    if any("left_out" in table.attrs for table in tables.values()):
        attrs["left_out"] = sum(int(table.attrs.get("left_out", 0)) for table in tables.values())
    return whole.assign_attrs(attrs)


def stacked(tables: Sequence[xr.Dataset]) -> xr.Dataset:
    """Runs side by side, the shorter ones padded with NaN (queries in front, to end together).

    A table without the dimension `run` is one run.  What a run lacks is NaN, or "" beside texts.
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
    own = table.variables.get(name)
    if not dims:
        held = [None] if own is None else np.atleast_1d(own.values).tolist()
        # A number that is not known is no text beside texts.
        return [None if v != v else v for v in (held if len(held) == count else held * count)]
    shape = [extents[dim] for dim in dims]
    if own is not None and own.dtype.kind not in "biuf":
        out = np.full((count, *shape), "", dtype=object)
    else:
        out = np.full((count, *shape), np.nan)
    if own is not None:
        parts = [
            slice(full - n, full) if dim == "query" else slice(0, n)
            for dim, full in zip(dims, shape, strict=True)
            for n in [own.sizes[dim]]
        ]
        out[(slice(None), *parts)] = own.transpose(..., *dims).values
    return out


def alone(table: xr.Dataset, run: int) -> xr.Dataset:
    """One run of several that `observe` stacked, without what others made longer or wider."""
    table = table.isel(run=run)
    own = table[VISIBLE_KEYS].isel(inputs=0)
    parts = {
        "checkpoint": np.isfinite(table["step"].values),
        "metric": np.isfinite(table["metric_step"].values),
        "query": np.isfinite(table["query_position"].values),
    }
    for dim in ("layer", "head"):
        if dim in own.dims:
            parts[dim] = own.notnull().any([d for d in own.dims if d != dim]).values
    table = table.isel({dim: np.flatnonzero(kept) for dim, kept in parts.items()})
    foreign = [str(name) for name in table.coords if _is_missing(table[name])]
    if table.sizes["layer"] == 1:
        foreign += [str(name) for name in table.data_vars if str(name).startswith("depth_")]
    return table.drop_vars(foreign)


def _is_missing(value: xr.DataArray) -> bool:
    """Whether a scalar is what `stacked` puts where a run lacks a parameter."""
    return value.ndim == 0 and (value.item() == "" or value.item() != value.item())


def fitting(
    tables: Mapping[str, xr.Dataset], problems: Sequence[str] = ()
) -> tuple[xr.Dataset, list[str]]:
    """The files that fit together, joined; to the problems a line for each that does not.

    A file has to fit those before it.  Raises ValueError, with all problems, where none is left.
    """
    of_runs = {name: table for name, table in tables.items() if "run" in table.dims}
    large = {[*of_runs][number] for number in outgrown([*of_runs.values()])}
    problems = [*problems, *(f"{name}: {OUTGROWN}" for name in tables if name in large)]
    tables = {name: table for name, table in tables.items() if name not in large}
    try:
        return join(tables), problems
    except Exception:  # of which file, is seen when they come one by one
        whole = None
    fit: dict[str, xr.Dataset] = {}
    for name, table in tables.items():
        try:
            whole = join(fit | {name: table})
            fit[name] = table
        except ValueError as problem:
            told = str(problem)
            problems.append(told if told.startswith(f"{name}: ") else f"{name}: {told}")
        except Exception as problem:  # a file can bring about any, xarray's own among them
            told = " ".join(str(problem).split())
            problems.append(f"{name}: does not fit ({type(problem).__name__}: {told})")
    if whole is None:
        raise ValueError("; ".join(problems))
    return whole, problems


def outgrown(tables: Sequence[xr.Dataset]) -> list[int]:
    """Numbers of the tables to which the others cannot be padded in reasonable memory.

    Padded, they may take a gibibyte, or a small multiple of what they hold themselves, or of what
    they would hold if each run were like the middle one: runs that stop early are no fault.
    """
    dims = [_dims(table) for table in tables]
    sizes = [{str(dim): n for dim, n in table.sizes.items() if dim != "run"} for table in tables]
    counts = [table.sizes.get("run", 1) for table in tables]
    held = [_bytes(*each) for each in zip(dims, sizes, strict=True)]

    def is_too_much(kept: Sequence[int]) -> bool:
        runs = sum(counts[k] for k in kept)
        room = PADDING * sum(counts[k] * held[k] for k in kept)
        room = max(ROOM, room, SPREAD * runs * median_low(held[k] for k in kept))
        every = {name: each for k in kept for name, each in dims[k].items()}
        return runs * _bytes(every, _longest([sizes[k] for k in kept])) > room

    kept = list(range(len(tables)))
    if len(kept) < 2 or not is_too_much(kept):
        return []
    # What a run would make of the middle one decides: its length, its width and its names.
    every = {name: each for own in dims for name, each in own.items()}
    shared = Counter(name for own in dims for name in own)
    usual = {name: each for name, each in every.items() if 2 * shared[name] >= len(dims)}
    middle = {dim: median_low(own[dim] for own in sizes if dim in own) for dim in _longest(sizes)}
    reach = [_bytes(usual | own, _longest([middle, n])) for own, n in zip(dims, sizes, strict=True)]
    kept.sort(key=reach.__getitem__)
    left = []
    while len(kept) > 1 and is_too_much(kept):
        left.append(kept.pop())
    return left


def _dims(table: xr.Dataset) -> dict[str, tuple[str, ...]]:
    """Dimensions of one run by the names of its variables."""
    return {
        str(name): tuple(str(dim) for dim in variable.dims if dim != "run")
        for name, variable in table.variables.items()
    }


def _bytes(dims: Mapping[str, Sequence[str]], sizes: Mapping[str, int]) -> int:
    return 8 * sum(math.prod(sizes.get(dim, 1) for dim in own) for own in dims.values())


def _longest(sizes: Sequence[Mapping[str, int]]) -> dict[str, int]:
    longest: dict[str, int] = {}
    for own in sizes:
        longest |= {dim: max(n, longest.get(dim, 0)) for dim, n in own.items()}
    return longest


def apart(tables: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """The same, where no metric of one is called like a parameter of another."""
    read = names_read("metric", _in_files(*tables), _parameters(*tables))
    out = []
    for table in tables:
        changed = {name: now for name, now in _in_files(table).items() if read[name] != now}
        marked = {now: table[now].assign_attrs({IN_FILE: name}) for name, now in changed.items()}
        out.append(table.assign(marked).rename({now: read[name] for name, now in changed.items()}))
    return out


def renamed(table: xr.Dataset, said: Sequence[str] = ()) -> list[str]:
    """A line for each metric that is not called as in its file, unless it was said."""
    names = {name: now for name, now in _in_files(table).items() if name != now}
    notes = []
    for name, now in names.items():
        (note,) = reading_notes("metric", {name: now}, _parameters(table))
        has = table[now].notnull().any("metric").values
        if not any(line.endswith(note) for line in said):
            who = table["path" if "path" in table else "run"].values
            notes += [(str(each), note) for each in who[has]]
    return told(notes)


def _in_files(*tables: xr.Dataset) -> dict[str, str]:
    """Metrics by their names in the files: what they are called here."""
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
    """The problems of one file that has runs."""
    if "run" not in table.dims or "run" not in table.coords:
        raise ValueError(f"{name}: has no dimension 'run', expected observables of runs")
    try:
        return problems_of(table)
    except ValueError as problem:
        raise ValueError(f"{name}: {problem}") from None


def _made(tables: Mapping[str, xr.Dataset], single: str, several: str) -> list[str]:
    """Commands or versions of all files, also of those that were joined before."""
    found: list[str] = []
    for table in tables.values():
        if several in table.attrs:
            found += json.loads(table.attrs[several])
        elif table.attrs.get(single):
            found.append(str(table.attrs[single]))
    return found


def _common_inputs(tables: Mapping[str, xr.Dataset]) -> Mapping[str, xr.Dataset]:
    """Probe inputs that all files have, in the order of the first."""
    first, *others = tables
    if "inputs" not in tables[first].dims:
        return tables
    known = tables[first]["inputs"].to_numpy().tolist()
    kept = [
        each
        for each in known
        if all(each in tables[name]["inputs"].to_numpy().tolist() for name in others)
    ]
    return {name: table.sel(inputs=kept) for name, table in tables.items()}


def _check(first: str, one: xr.Dataset, name: str, other: xr.Dataset) -> None:
    for key in SAME:
        a, b = one.attrs.get(key), other.attrs.get(key)
        if a != b:
            a, b = _unlike(key, a, b)
            raise ValueError(f"{name}: has {key} {b}, expected {a} as in {first}")
    _check_sizes(first, one, name, other)
    for dim in AXES:
        if (dim in one.dims) != (dim in other.dims):
            lacks, has = (name, first) if dim in one.dims else (first, name)
            raise ValueError(f"{lacks}: lacks dimension {dim!r}, which {has} has")
        if (
            dim in EQUAL
            and dim in one.dims
            and not np.array_equal(one[dim].to_numpy(), other[dim].to_numpy())
        ):
            raise ValueError(
                f"{name}: has {dim} {other[dim].to_numpy().tolist()}, expected "
                f"{one[dim].to_numpy().tolist()} as in {first}"
            )

    if "inputs" in one.dims:
        a, b = (table["inputs"].to_numpy().tolist() for table in (one, other))
        if not set(a) & set(b):
            raise ValueError(f"{name}: has inputs {b}, expected one of {a} as in {first}")


def _unlike(key: str, a: Any, b: Any) -> tuple[Any, Any]:
    """The options that differ, where both can be read."""
    try:
        pair = [json.loads(text) for text in (a, b)]
    except (TypeError, ValueError):
        return a, b
    if key == "options":
        pair = [
            dict(zip(OPTIONS, each, strict=True))
            if isinstance(each, list) and len(each) == len(OPTIONS)
            else each
            for each in pair
        ]
    if not all(isinstance(each, dict) for each in pair):
        return a, b
    differ = [name for name in pair[0] | pair[1] if pair[0].get(name) != pair[1].get(name)]
    one, other = (", ".join(f"{name} = {each.get(name)}" for name in differ) for each in pair)
    return one, other


def _check_sizes(first: str, one: xr.Dataset, name: str, other: xr.Dataset) -> None:
    """A size is in the same coordinate everywhere, or runs of one file would have none."""
    where = [size_coordinate(table) for table in (one, other)]
    if all(where) and where[0] != where[1]:
        raise ValueError(
            f"{name}: has sizes in {where[1]!r}, expected them in {where[0]!r} as in {first}"
        )


def _check_runs(tables: Mapping[str, xr.Dataset]) -> None:
    owner: dict[Any, str] = {}
    for name, table in tables.items():
        for run in table["run"].to_numpy().tolist():
            if run in owner:
                raise ValueError(f"{name}: holds run {run}, which {owner[run]} has too")
            owner[run] = name
