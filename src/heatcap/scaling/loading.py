"""Tables of points in the shapes that people have, into columns of numbers.

One table or several files, long or wide, one row a point or one row a run, errors as a column, as
ends of an interval, within the cells or from counts.  `heatcap.scaling.data` makes points of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.core.cells import listed, note, shortened
from heatcap.core.choice import Choice
from heatcap.core.tables import (
    LARGEST,
    LONG,
    columns_of,
    errors_in_cells,
    named,
    place_of,
    read_frame,
    sizes_in,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = [
    "Rows", "Shape", "Table", "Tables", "Wanted", "from_to", "load_table", "read_columns",
    "read_points", "read_rows", "zeros_named",
]  # fmt: skip

Table: TypeAlias = "pd.DataFrame | xr.Dataset | str | Path"
Tables: TypeAlias = "Table | Sequence[Table]"

LABELS = ("seed", "run", "replicate", "replica", "sample", "rep", "disorder")
MOST_ALONE = 0.5  # share of points with one run, above which rows are no runs


@dataclass(frozen=True)
class Shape:
    """How a table holds its points, beyond the names of its columns.

    Attributes
    ----------
    wide : bool
        One column for each size, which is the number in its name.
    size_from : str
        Regular expression whose first group in the name of a file is its size.
    interval : (str, str) or None
        Columns of the lower and upper ends of a 68 % interval, instead of the error.
    successes, trials : str or None
        Columns of counts k of n, instead of value and error: k / n, with the error of the share
        (k + 1) / (n + 2), which is never zero.
    drop_zero_errors : bool
        Leave out rows with an error of zero.
    decimal : str
        "," or "." as the mark of decimals; found from the cells if empty.
    """

    wide: bool = False
    size_from: str = ""
    interval: tuple[str, str] | None = None
    successes: str | None = None
    trials: str | None = None
    drop_zero_errors: bool = False
    decimal: str = ""

    def __post_init__(self) -> None:
        if (self.successes is None) != (self.trials is None):
            raise ValueError("--successes and --trials go together: k of n")
        if self.decimal not in ("", ",", "."):
            raise ValueError(f"--decimal: expected , or . as the mark, got {self.decimal!r}")
        if self.interval is not None and len(self.interval) != 2:
            raise ValueError("--interval: expected two columns, LOWER,UPPER")
        kinds = {
            "--interval": self.interval is not None,
            "--successes": self.successes is not None,
            "--size-from": bool(self.size_from),
        }
        if self.wide and (other := [name for name, given in kinds.items() if given]):
            raise ValueError(
                f"--wide takes values, and errors such as dL=8: {other[0]} needs one row for each"
                " size and control"
            )
        if kinds["--interval"] and kinds["--successes"]:
            raise ValueError("--interval and --successes: expected one of them, both give errors")
        try:
            re.compile(self.size_from)
        except re.error as problem:
            raise ValueError(f"--size-from {self.size_from!r}: {problem}") from None


@dataclass(frozen=True)
class Wanted:
    """Columns of points; `size` or `control` is None where there is none.

    Attributes
    ----------
    error : str or None
        Column of the errors, which must be there.
    likely : str or None
        Column of the errors if there is one, and no other shape gives them.
    runs : str or None
        Column of numbers of runs.
    """

    size: str | None
    control: str | None
    value: str
    error: str | None = None
    likely: str | None = None
    runs: str | None = None


@dataclass
class Rows:
    """Rows of one or several tables.

    Attributes
    ----------
    columns : dict of ndarray (row,)
        "size", "control", "value", "error" and "runs", those that there are.
    used : ndarray of bool (row,)
        Rows that are chosen, and whose error is not zero where that was asked for.
    beside : dict
        "covariance" or "replicates" of a Dataset.
    counts : dict of ndarray (row,)
        "successes" and "trials", where they stand for the value.
    label : ndarray (row,) or None
        Which run a row is.
    called : str
        Begins every message.
    message : str
        Rows that were left out.
    data : DataFrame
        All columns as they were read.
    """

    columns: dict[str, Floats]
    used: NDArray[np.bool_]
    beside: dict[str, Floats]
    counts: dict[str, Floats]
    label: Floats | None
    called: str
    message: str
    data: pd.DataFrame


def read_rows(
    table: Tables,
    wanted: Wanted,
    how: Shape,
    names: Sequence[str] | None = None,
    choice: Choice | None = None,
) -> Rows:
    """Read columns of a table in any of its shapes; the window is of the control, else of the size.

    Raises
    ------
    ValueError
        For a file that cannot be read, a missing column, a cell that is not a number.
    """
    tables = _listed(table)
    if not tables:
        raise ValueError("expected a table, got none")
    parts = [_part(one, wanted, how, names, len(tables) > 1) for one in tables]
    columns: dict[str, Floats] = {}
    for name in ("size", "control", "value", "error", "runs", "label", "successes", "trials"):
        given = [name in part for part, _, _ in parts]
        if any(given) and not all(given):
            without = tables[given.index(False)]
            raise ValueError(f"{_called(without)}no {name}, which the other tables have")
        if all(given):
            columns[name] = np.concatenate([part[name] for part, _, _ in parts])
    beside = parts[0][1] if len(parts) == 1 else {}
    called = _called(tables[0]) if len(parts) == 1 else f"{len(parts)} tables: "
    used = np.ones(columns["value"].size, dtype=bool)
    if choice is not None:
        size, control = columns.get("size"), columns.get("control")
        try:
            used = choice.rows(size, size if control is None else control)
        except ValueError as problem:
            raise ValueError(f"{called}{problem}") from None
    message = _without_zeros(columns, used) if how.drop_zero_errors else ""
    counts: dict[str, Floats] = {
        name: columns.pop(name) for name in ("successes", "trials") if name in columns
    }
    data = parts[0][2]
    if len(parts) > 1:
        import pandas as pd

        data = pd.concat([part for _, _, part in parts])
    label = columns.pop("label", None)
    return Rows(columns, used, beside, counts, label, called, message, data.reset_index(drop=True))


def read_points(
    table: Tables,
    wanted: Wanted,
    how: Shape,
    names: Sequence[str] | None,
    choice: Choice | None = None,
) -> tuple[dict[str, Any], dict[str, Floats], str]:
    """Read arguments of `points` (and a message), what stands beside, and a name for messages.

    Raises
    ------
    ValueError
        As `read_rows`; where fewer than half of the points have several rows, these are no runs.
    """
    rows = read_rows(table, wanted, how, names, choice)
    columns: dict[str, Any] = rows.columns | {"used": rows.used}
    message, beside = rows.message, rows.beside
    if "error" not in columns and not beside:
        told = _averaged(columns, beside, rows.label, rows.called)
        message = "; ".join(filter(None, [message, told]))
    if rows.counts:  # an error that is asked for goes first
        beside = {}
    return columns | ({"message": message} if message else {}), beside, rows.called


def _listed(tables: Tables) -> list[Table]:
    """Several tables, or one, as a list; files need neither pandas nor xarray for it."""
    if isinstance(tables, str | Path):
        return [tables]
    if isinstance(tables, list | tuple):
        return list(tables)
    import pandas as pd
    import xarray as xr

    return [tables] if isinstance(tables, pd.DataFrame | xr.Dataset) else list(tables)


def _part(
    table: Table, wanted: Wanted, how: Shape, names: Sequence[str] | None, several: bool
) -> tuple[dict[str, Floats], dict[str, Floats], pd.DataFrame]:
    """Columns of one table by what they are, what stands beside them, and all of the table."""
    called = _called(table)
    ends = list(how.interval or [])
    counts = [c for c in (how.successes, how.trials) if c is not None]
    values = counts or [wanted.value]
    others = [name for name in (*ends, wanted.error, wanted.runs) if name is not None]
    places = [name for name in (wanted.control, wanted.size) if name is not None]
    needed = [*places, *values, *ends, *filter(None, (wanted.error, wanted.runs))]
    data, beside = load_table(
        table, names=names, value=wanted.value, decimal=how.decimal,
        wanted=[*places, *([] if how.wide else [*values, *others])],
        needed=[] if how.wide or how.size_from or several else needed,
    )  # fmt: skip
    if how.size_from and wanted.size is not None:
        data[wanted.size] = _size_in(table, how.size_from, called)
    elif several and wanted.size not in data.columns and not how.wide and wanted.size is not None:
        raise ValueError(
            f"{called}no column {shortened(wanted.size)}: is the size in the names of the files?"
            r" --size-from '(\d+)'"
        )
    error = wanted.error
    if how.wide:
        data, error = _long(data, wanted, called)
    elif error is None and not ends and not counts and wanted.likely in data.columns:
        error = wanted.likely
    numeric = [*values, *ends, *([error] if error else [])]
    numeric += [wanted.control] if wanted.control is not None else []
    numeric += [wanted.runs] if wanted.runs else []
    named(data, list(dict.fromkeys([*places, *numeric])), called)
    columns = columns_of(data, numeric, called)
    out: dict[str, Floats] = {}
    if wanted.size is not None:
        out["size"] = sizes_in(data, wanted.size, called)
    if wanted.control is not None:
        out["control"] = columns[wanted.control]
    if wanted.runs:
        out["runs"] = columns[wanted.runs]
    if counts:
        k, n = (columns[name] for name in counts)
        out["value"], out["error"] = _share(k, n, counts, called)
        return out | {"successes": k, "trials": n}, {}, data
    out["value"] = columns[wanted.value]
    if error:
        out["error"] = columns[error]
    elif ends:
        out["error"] = _half(columns[ends[0]], out["value"], columns[ends[1]], ends, called)
    elif (within := errors_in_cells(data, wanted.value, called)) is not None:
        out["error"] = within
        note(f"{called}errors of {shortened(wanted.value)} are those within its cells")
    elif not beside:
        _tell_unused(data, wanted, called)
    if label := [name for name in data.columns if str(name).lower() in LABELS]:
        import pandas as pd

        out["label"] = pd.factorize(data[label[0]], sort=True)[0].astype(np.float64)
    return out, beside, data


def _size_in(table: Table, pattern: str, called: str) -> float:
    """The size in the name of a file."""
    if not isinstance(table, str | Path):
        raise ValueError(
            f"--size-from {pattern}: expected a file, got a table without a name: give it a column"
            " of the size"
        )
    name = Path(table).name
    found = re.search(pattern, name)
    if found is None:
        raise ValueError(f"{called}--size-from {pattern}: nothing in {name!r} is like it")
    text = found[1] if found.re.groups else found[0]
    try:
        return float(str(text).replace(",", "."))
    except ValueError:
        raise ValueError(
            f"{called}--size-from {pattern}: expected a number in {name!r}, got {text!r}"
        ) from None


# ---- one column for each size ---------------------------------------------------------------

# Not the 024 of 1,024.
_SIZE_IN_NAME = re.compile(
    r"(?<![\d.])(?!(?<=\d,)\d{3}(?!\d))(\d+(?:\.\d+)?)(?:[x×]\1)*\)?(?:[_ ]?(\D*))$"
)
_OF_ERROR = re.compile(
    r"^(?:d|e|err|error|errors|sigma|s|sd|se|std|sem|stderr|delta|unc|u|σ|δ|Δ|±)$"
)


def _long(data: pd.DataFrame, wanted: Wanted, called: str) -> tuple[pd.DataFrame, str | None]:
    """A row for each size and row, of a table with a column for each size; others are repeated."""
    import pandas as pd

    size = wanted.size or "size"
    roles = [size, *([] if wanted.control is None else [wanted.control]), wanted.value, "error"]
    if len(set(roles)) < len(roles):
        raise ValueError(f"{called}--wide: expected different names for {listed(roles)}")
    header = [str(name) for name in data.columns]
    if wanted.control is not None and header.count(wanted.control) != 1:
        there = place_of(data, wanted.control, called)
        header[header.index(there)] = wanted.control
        data = data.set_axis(header, axis=1)
    values: dict[str, int] = {}
    errors: dict[str, int] = {}
    last = ""
    for place, name in enumerate(header):
        if name == wanted.control:
            continue
        found = _SIZE_IN_NAME.search(name[-LONG:])
        number = found[1] if found else last
        told = number and _is_error(name, number if found else "")
        if told or (number in values and _of_value(name, header[values[number]])):
            errors.setdefault(number, place)
        elif found and number not in values:
            values[number] = place
        elif found:
            raise ValueError(f"{called}--wide: two columns for the size {number}")
        last = number
    if len(values) < 2:
        raise ValueError(
            f"{called}--wide: expected a column for each size, such as L=8"
            + (f", beside {wanted.control!r}" if wanted.control is not None else "")
            + f"; there is {listed(header)}"
        )
    if errors and set(errors) != set(values):
        without = [number for number in values if number not in errors]
        raise ValueError(f"{called}--wide: no column of errors for the sizes {listed(without)}")
    if wanted.error is not None and not errors:
        raise ValueError(
            f"{called}--wide: expected a column of errors for each size, such as dL=8, instead of"
            f" --error {wanted.error}; there is {listed(header)}"
        )
    taken = {*values.values(), *errors.values()}
    beside = [
        place
        for place, name in enumerate(header)
        if place not in taken and (name == wanted.control or name not in roles)
    ]
    pieces = []
    for number, place in values.items():
        columns = {size: np.full(len(data), float(number)), wanted.value: data.iloc[:, place]}
        if errors:
            columns["error"] = data.iloc[:, errors[number]]
        pieces.append(pd.concat([pd.DataFrame(columns), data.iloc[:, beside]], axis=1))
    sizes = ", ".join(f"{float(number):g}" for number in list(values)[:12])
    note(f"{called}sizes {sizes} are those in the names of the columns"
         + (", with errors" if errors else ""))  # fmt: skip
    long = pd.concat(pieces, ignore_index=True)
    long.attrs |= data.attrs
    return long, "error" if errors else None


def _of_value(name: str, value: str) -> bool:
    """Whether a name is that of the errors of another column: dm(L=8) of m(L=8)."""
    before = name.removesuffix(value).rstrip("_ ")
    return name != value and name.endswith(value) and before in ("d", "e", "s", "σ", "δ", "Δ")


def _is_error(name: str, number: str) -> bool:
    """Whether a name says error: one of its words does, or d stands before it."""
    words = re.findall(r"[^\W\d_]+|±", name.replace(number, " ") if number else name)
    return any(_OF_ERROR.match(word) for word in map(str, words)) or bool(
        words and re.match(r"^[dσδΔ][A-Z]", words[0])
    )


# ---- errors of other kinds -------------------------------------------------------------------


def _share(k: Floats, n: Floats, names: Sequence[str], called: str) -> tuple[Floats, Floats]:
    """k / n, and the standard error of the share (k + 1) / (n + 2)."""
    whole = (k == np.rint(k)) & (n == np.rint(n))
    bad = ~(whole & (k >= 0) & (k <= n) & (n > 0)) & ~np.isnan(k + n)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{called}row {row + 1} of the data: expected counts 0 <= {names[0]} <= {names[1]},"
            f" got {k[row]:g} of {n[row]:g}"
        )
    share = (k + 1) / (n + 2)
    return k / n, np.sqrt(share * (1 - share) / n)


def _half(low: Floats, value: Floats, high: Floats, names: Sequence[str], called: str) -> Floats:
    """Half the distance of the ends of an interval."""
    bad = ~((low <= value) & (value <= high)) & ~np.isnan(low + value + high)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{called}row {row + 1} of the data: expected {names[0]} <= value <= {names[1]}, got"
            f" {low[row]:g}, {value[row]:g}, {high[row]:g}; --interval takes the ends, not errors"
        )
    uneven = np.abs(high + low - 2 * value) > 0.5 * (high - low)
    if (lopsided := int(np.sum(uneven))) > 0:
        note(f"{called}{lopsided} of {value.size} intervals are lopsided: errors are half of them")
    return (high - low) / 2


def _tell_unused(data: pd.DataFrame, wanted: Wanted, called: str) -> None:
    """Note a column that looks like the errors and was not named."""
    v = re.escape(wanted.value)
    pattern = re.compile(
        rf"(?:d|d_|e|err_?|error_?|sigma_?|s_|se_|std_|delta_?|σ_?|Δ){v}|{v}_?(?:err|error|errors|"
        r"sigma|std|sd|se|sem|stderr|unc)|errors?|err|sigma|std|stderr|sem|σ",
        re.IGNORECASE,
    )
    used = (wanted.size, wanted.control, wanted.value)
    for name in map(str, data.columns):
        if name not in used and pattern.fullmatch(name):
            note(f"{called}column {shortened(name)} looks like the errors of"
                 f" {shortened(wanted.value)} and is not used: --error {name}")  # fmt: skip
            return


def _without_zeros(columns: dict[str, Floats], used: NDArray[np.bool_]) -> str:
    """Take rows whose error is zero out of `used`, and say how many."""
    if "error" not in columns:
        return ""
    zero = used & (columns["error"] == 0)
    if not zero.any():
        return ""
    told = f"{zero.sum()} of {used.sum()} rows left out, whose error is zero"
    used &= ~zero
    return told + (f": sizes {_distinct(columns['size'][zero])}" if "size" in columns else "")


def _distinct(size: Floats) -> str:
    return ", ".join(f"{one:g}" for one in np.unique(size)[:12])


def from_to(counts: NDArray[np.int_]) -> str:
    """Counts for a message: 3 to 7, or 7 where all are alike."""
    low, high = counts.min(), counts.max()
    return f"{low}" if low == high else f"{low} to {high}"


def zeros_named(error: Floats, size: Floats | None = None) -> str:
    """How many errors are zero, at which sizes, and the way on; "" if none is."""
    zero = error == 0
    if not zero.any():
        return ""
    sizes = "" if size is None else f", of sizes {_distinct(size[zero])}"
    return (
        f"; {zero.sum()} of {error.size} errors are zero{sizes}: leave them out with"
        " --drop-zero-errors (drop_zero_errors=True), or, for shares k/n, give the counts with"
        " --successes and --trials, whose errors are those of (k + 1)/(n + 2)"
    )


def _averaged(
    columns: dict[str, Any], beside: dict[str, Floats], label: Floats | None, called: str
) -> str:
    """Rows of one size and control are runs: put their mean, error and number in their place."""
    whole = np.isfinite(columns["size"] + columns["control"] + columns["value"])
    rows = np.flatnonzero(whole & columns["used"])
    keys = np.column_stack([columns["size"][rows], columns["control"][rows]])
    distinct, of_row, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    of_row = of_row.reshape(-1)
    if not counts.size or counts.max() < 2:
        return ""
    alone = counts == 1
    if alone.mean() > MOST_ALONE:
        size, control = distinct[counts.argmax()]
        raise ValueError(
            f"{called}{counts.max()} rows at size {size:g} and control {control:g}, and most points"
            " have one: expected one row for each point, or several runs of each"
        )
    value = columns["value"][rows]
    means = np.bincount(of_row, value) / counts
    order = np.lexsort((rows if label is None else label[rows], of_row))
    firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    reference = value[order][firsts]  # relative to it, equal runs have exactly no spread
    off = value - reference[of_row]
    square = np.bincount(of_row, off**2) - np.bincount(of_row, off) ** 2 / counts
    kept = ~alone
    columns["used"] = np.ones(kept.sum(), dtype=bool)
    several = counts[kept]
    message = f"rows of one size and control are runs, {from_to(several)} for each point"
    if alone.any():
        message += f"; {alone.sum()} points with one run left out"
    columns |= {"size": distinct[kept, 0], "control": distinct[kept, 1], "value": means[kept]}
    if np.isin(value, (0.0, 1.0)).all():
        share = (means[kept] * several + 1) / (several + 2)
        columns["error"] = np.sqrt(share * (1 - share) / several)
        return f"{message}: shares of 0 and 1, errors of (k + 1)/(n + 2)"
    if not alone.any() and several.min() == several.max():
        beside["replicates"] = value[order].reshape(-1, several[0]).T
        return message
    columns["error"] = np.sqrt(np.maximum(square[kept], 0) / (several - 1) / several)
    columns["runs"] = several.astype(np.float64)
    return f"{message}: errors from their spread"


# ---- one file ------------------------------------------------------------------------------


def read_columns(
    table: Table, wanted: Sequence[str], *, names: Sequence[str] | None, value: str
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Read columns by name; from a Dataset the covariance or replicates of `value`, too.

    Raises
    ------
    ValueError
        For a file that cannot be read, a missing column, a cell that is not a number.
    """
    data, beside = load_table(table, names=names, value=value, wanted=wanted, needed=wanted)
    return columns_of(data, wanted, _called(table)), beside


def _called(table: Table) -> str:
    return f"{table}: " if isinstance(table, str | Path) else ""


def load_table(
    table: Table,
    *,
    names: Sequence[str] | None,
    value: str,
    wanted: Sequence[str] = (),
    decimal: str = "",
    needed: Sequence[str] = (),
) -> tuple[pd.DataFrame, dict[str, Floats]]:
    """Read all columns; from a Dataset the covariance or replicates of `value`, too.

    Raises
    ------
    ValueError
        For a file that cannot be read.
    """
    data, beside = _load(table, names, value, wanted, decimal, needed)
    if not len(data):
        raise ValueError(f"{_called(table)}holds no data, it has no row")
    return data, {k: v for k, v in beside.items() if v.shape[-1] == len(data)}


def _load(
    table: Table,
    names: Sequence[str] | None,
    value: str,
    wanted: Sequence[str],
    decimal: str,
    needed: Sequence[str],
) -> tuple[pd.DataFrame, dict[str, Floats]]:
    if not isinstance(table, str | Path):
        import pandas as pd

        if not isinstance(table, pd.DataFrame):
            return _of_dataset(table, value)
        data = table.reset_index(drop=table.index.names == [None])
        data.attrs |= {"mark": decimal} if decimal else {}
        return data, {}
    path = Path(table)
    if path.is_dir():
        raise ValueError(f"{path}: is a folder, expected a table of points")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.suffix.lower() in (".nc", ".h5", ".hdf5", ".nc4"):
        from heatcap.runfile import (  # h5py takes its time, and text needs none
            array_names,
            read_netcdf,
        )

        arrays = read_netcdf(path, "a table")
        if (not arrays.variables or not arrays.sizes) and (
            within := [name for name in array_names(path) if "/" in name]
        ):
            raise ValueError(
                f"{path}: its arrays are in groups, {listed(within)}: expected columns of one"
                " length at the top; write those of one table to a file of their own, .h5 or .npz"
            )
        return _of_dataset(arrays, value, str(path))
    return read_frame(path, names, wanted, decimal, needed), {}


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
    for name in [str(v) for v in data.data_vars if data[v].dtype.names]:  # a table of h5py
        names = data[name].dtype.names or ()
        fields = {str(f): (data[name].dims, data[name].to_numpy()[f]) for f in names}
        data = data.drop_vars(name).assign(fields)
    if not data.variables or not data.sizes:
        raise ValueError(f"{where}: has no arrays at its top, expected columns of one length there")
    if value in data:  # arrays along other dimensions are no columns
        own = set(data[value].dims)
        data = data.drop_vars([v for v in data.variables if not set(data[v].dims) <= own])
    # A row for each combination of the dimensions, which may be many more than are stored.
    size = math.prod(data.sizes.values()) * sum(v.dtype.itemsize for v in data.variables.values())
    if (cells := size // 8) > LARGEST:
        raise ValueError(f"{where}: has {cells} cells, more than {LARGEST} are not read")
    frame = data.to_dataframe().reset_index()
    return frame.drop(columns=[c for c in frame if str(c).startswith("phony_dim_")]), beside
