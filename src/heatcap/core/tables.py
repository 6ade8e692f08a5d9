"""Tables in text or Parquet files: columns as numbers and as text.

Sizes are checked before anything is read.

`open_table`, a log of runs
    Up to gigabytes; the header is the first line, and only the columns requested are read.
`read_frame`, points of a study
    Small, and written by people: text (:mod:`heatcap.core.text_tables`), JSON, numpy's files or
    Parquet.  All columns are read, and `heatcap.core.cells` reads the cells.  Another format is one
    more entry of `FORMS`.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import importlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.core.cells import (
    cell_errors,
    like_number,
    listed,
    nearest,
    note,
    numbers_of,
    shortened,
    sizes_of,
)
from heatcap.core.text_tables import read_lines

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LARGEST",
    "LONG",
    "Rows",
    "Table",
    "columns_of",
    "errors_in_cells",
    "flat_columns",
    "is_table",
    "named",
    "nearest",
    "open_parquet",
    "open_table",
    "place_of",
    "read_flat",
    "read_frame",
    "sizes_in",
]

#: Largest file, and largest content of a compressed one, in bytes.
LIMIT = 4 * 2**30
#: Bytes in which the header is sought; a chart of a thousand runs needs about a million.
HEADER_BYTES = 2**22

LARGEST = 64 * 2**20  # bytes of a text table, or cells of another, at most

_PARQUET = (".parquet", ".pq")
_TEXT = (".csv", ".tsv", ".txt")
_MISSING = ("", "nan", "null", "none", "na", "n/a", "#n/a", "<na>", "-nan", "+nan")
_LOG_SEPARATORS = (",", "\t", ";")
_SPELLINGS = [s for m in _MISSING for s in {m, m.upper(), m.capitalize(), m.replace("n", "N")}]


def is_table(path: str | Path) -> bool:
    """Whether the suffix is that of a table: .csv, .tsv, .txt, .parquet or .pq."""
    return Path(path).suffix.lower() in (*_TEXT, *_PARQUET)


@dataclass(frozen=True)
class Rows:
    """Some columns of a table; `first` is the number of the first row (the header is line 1)."""

    path: Path
    first: int
    columns: Mapping[str, pd.Series[Any]]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Read a column as numbers (row,), NaN for empty cells.

        Raises
        ------
        ValueError
            If a cell is neither a number nor empty.
        """
        column = self.columns[name]
        if column.dtype.kind in "iuf":
            return column.to_numpy(np.float64)
        out = np.full(len(column), np.nan)
        for i in np.flatnonzero(column.notna().to_numpy()):
            cell = str(column.iat[int(i)]).strip()
            if cell.lower() not in _MISSING:
                out[i] = self._number(cell, name, int(i))
        return out

    def _number(self, cell: str, name: str, i: int) -> float:
        try:
            if "_" in cell:  # Python would read 1_000
                raise ValueError
            return float(cell)
        except ValueError:
            place = f"{self.path}: row {i + self.first}, column {name!r}"
            raise ValueError(f"{place}: expected a number, got {shortened(cell)}") from None

    def texts(self, name: str) -> list[str]:
        """Read a column as text, "" for empty cells."""
        column = self.columns[name]
        if column.dtype.kind == "f":  # whole numbers with gaps
            return ["" if np.isnan(v) else f"{v:.15g}" for v in column]
        filled = column.notna().to_numpy()
        return [_one_line(str(v)) if ok else "" for v, ok in zip(column, filled, strict=True)]


@dataclass(frozen=True)
class Table:
    """A table that is open but not read; `separator` is None for Parquet."""

    path: Path
    header: tuple[str, ...]
    separator: str | None

    def require(self, names: Iterable[str]) -> None:
        """Raise if the table lacks a column or has it twice."""
        for name in names:
            if name not in self.header:
                raise ValueError(
                    f"{self.path}: no column {shortened(name)}{nearest(name, self.header)}"
                )
            _once(name, self.header, f"{self.path}: ")

    def read(self, numbers: Sequence[str], texts: Sequence[str] = ()) -> Rows:
        """Read the named columns; those of `texts` as they are written.

        Raises
        ------
        ValueError
            If a column is missing, or the file cannot be read.
        """
        self.require([*numbers, *texts])
        names = list(dict.fromkeys([*numbers, *texts]))
        if self.separator is None:
            return Rows(self.path, 1, _read_parquet(self.path, names))
        return Rows(self.path, 2, self._read_text(names, set(texts)))

    def _read_text(self, names: list[str], texts: set[str]) -> dict[str, pd.Series[Any]]:
        import pandas as pd

        at = {str(self.header.index(name)): name for name in names}
        extra = str(len(self.header))
        options: dict[str, Any] = {
            "sep": self.separator,
            "usecols": [*at, extra],
            "index_col": False,
            "dtype": {extra: str} | {i: str for i, name in at.items() if name in texts},
            "keep_default_na": False,
            "na_values": {i: [""] if name in texts else _SPELLINGS for i, name in at.items()}
            | {extra: [""]},
            "skip_blank_lines": False,  # they count as rows
            "low_memory": False,
        }
        # Since pandas 3.1 the default is exact, and the option is deprecated.
        if tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1):
            options["float_precision"] = "round_trip"
        try:
            with open(self.path, encoding="utf-8-sig", newline="") as file:
                source = cast("IO[str]", _Renamed(file, str(self.separator)))
                frame: pd.DataFrame = pd.read_csv(source, **options)
        except UnicodeDecodeError as error:
            raise _not_text(self.path, error) from None
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{self.path}: cannot be read as a table ({reason})") from None
        surplus = np.flatnonzero(frame[extra].notna().to_numpy())
        if surplus.size:
            raise ValueError(
                f"{self.path}: row {surplus[0] + 2} has more fields than the header, which has "
                f"{extra}"
            )
        return {name: frame[i] for i, name in at.items()}


class _Renamed:
    """A text table with columns named 0, 1, ..., one more than in its header.

    With `usecols`, pandas drops surplus fields silently; the extra column catches them.
    """

    def __init__(self, file: IO[str], separator: str) -> None:
        fields = next(csv.reader(file, delimiter=separator))
        self.file = file
        self.start = separator.join(map(str, range(len(fields) + 1))) + "\n"

    def read(self, size: int = -1) -> str:
        start, self.start = self.start, ""
        return start or self.file.read(size)

    def __iter__(self) -> Iterator[str]:
        yield self.read()


def open_table(path: Path, wanted: Iterable[str]) -> Table:
    """Open a table and read its header.

    The separator is the one that gives most of the `wanted` columns.

    Raises
    ------
    ValueError
        If there is no such file, or it is too large, empty, or no table.
    """
    if path.is_dir():
        raise ValueError(f"{path}: is a folder, expected a table (CSV or Parquet)")
    if not path.is_file():
        raise ValueError(f"{path}: no such file, expected a table (CSV or Parquet)")
    size = path.stat().st_size
    if size > LIMIT:
        raise ValueError(f"{path}: has {size / 2**30:.3g} GiB, more than {_limit()} are not read")
    if size == 0:
        raise ValueError(f"{path}: the file is empty")
    if path.suffix.lower() in _PARQUET:
        return Table(path, tuple(flat_columns(open_parquet(path))), None)
    return _open_text(path, set(wanted))


def _once(name: str, header: Sequence[str], called: str) -> None:
    if (n := header.count(name)) > 1:
        raise ValueError(f"{called}{n} columns are called {shortened(name)}, expected one")


def _open_text(path: Path, wanted: set[str]) -> Table:
    with open(path, "rb") as file:
        start = file.read(HEADER_BYTES)
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError as error:
        raise _not_text(path, error) from None
    if "\0" in text:
        raise ValueError(f"{path}: is not text, expected a table in UTF-8")
    headers = {separator: _header(path, text, separator) for separator in _LOG_SEPARATORS}
    best = max(_LOG_SEPARATORS, key=lambda s: (len(wanted & {*headers[s]}), len(headers[s])))
    if not any(headers[best]):
        raise ValueError(f"{path}: the first line is empty, expected the names of the columns")
    return Table(path, headers[best], best)


def _header(path: Path, text: str, separator: str) -> tuple[str, ...]:
    try:
        fields = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    except csv.Error as error:
        raise ValueError(f"{path}: cannot be read as a table ({error})") from None
    return tuple(_one_line(name) for name in fields)


def _read_parquet(path: Path, names: list[str]) -> dict[str, pd.Series[Any]]:
    file = open_parquet(path)
    if file.metadata.num_rows * len(names) * 8 > LIMIT:
        raise ValueError(
            f"{path}: has {file.metadata.num_rows} rows, more than {_limit()} are not read"
        )
    frame = read_flat(file, path, names)
    return {name: frame[name] for name in names}


def _not_text(path: Path, error: UnicodeDecodeError) -> ValueError:
    byte = error.object[error.start]
    return ValueError(f"{path}: is not text in UTF-8 (byte {byte:#04x})")


def _limit() -> str:
    return f"{LIMIT / 2**30:.3g} GiB"


def _one_line(text: str) -> str:
    return " ".join(text.splitlines()).strip()


# ---- points of a study -------------------------------------------------------------------


def read_frame(
    path: Path,
    names: Sequence[str] | None = None,
    wanted: Sequence[str] = (),
    decimal: str = "",
    needed: Sequence[str] = (),
) -> pd.DataFrame:
    """Read all columns of a table of points; `names` are for a table without a header.

    Cells of a text stay text, stripped; `wanted` and `decimal` are those of
    :func:`heatcap.core.text_tables.read_lines`.  A text that lacks a column of `needed` is refused
    before pandas is imported.  A file that ends with ``.gz`` is inflated.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    endings = [ending.lower() for ending in path.suffixes]
    ending = endings[-1] if endings else ""
    if ending in SHEETS:
        raise ValueError(
            f"{path}: is a spreadsheet, expected text: save it as CSV, or"
            f" soffice --headless --convert-to csv {path.name}"
        )
    if ending in (".parquet", ".pq"):
        frame = _parquet_points(path)
    else:
        if ending == ".gz":
            ending = endings[-2] if len(endings) > 1 else ""
        content = _content(path)
        if ending not in FORMS:
            lines = read_lines(_text(content, path), f"{path}: ", names, wanted, decimal)
            if lines.rows:
                _places(lines.header, lines.attrs, needed, f"{path}: ", quiet=True)
            return lines.frame()
        try:
            frame = FORMS[ending](content)
        except UNREADABLE as error:
            told = " ".join(str(error).split())[:200] or type(error).__name__
            raise ValueError(
                f"{path}: cannot be read as {ending[1:].upper()} ({told}); expected {_COLUMNS}"
            ) from None
    if names is not None:
        if len(names) != frame.shape[1]:
            raise ValueError(
                f"{path}: has {frame.shape[1]} columns, got {len(names)} --names:"
                f" {listed(frame.columns.tolist())}"
            )
        frame = frame.set_axis(list(names), axis=1)
    if decimal:
        frame.attrs["mark"] = decimal
    return frame


UNREADABLE = (
    ValueError, KeyError, TypeError, RecursionError, OSError, EOFError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
_COLUMNS = "columns of one length"
SHEETS = (".xlsx", ".xls", ".xlsm", ".ods")


def _content(path: Path) -> bytes:
    """Bytes of a file, inflated if it is compressed; at most LARGEST."""
    with path.open("rb") as file:
        start = file.read(2)
    opened: Any = gzip.open if start == b"\x1f\x8b" else open
    try:
        with opened(path, "rb") as file:
            content: bytes = file.read(LARGEST + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cannot be inflated ({error})") from None
    if len(content) > LARGEST:
        raise ValueError(f"{path}: larger than {LARGEST // 2**20} MiB, expected a table of points")
    return content


def _text(content: bytes, path: Path) -> str:
    utf16 = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    try:
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            f"{path}: is neither text in UTF-8 nor a table that is read: .csv .tsv .dat .txt .json"
            " .npz .npy .h5 .nc .parquet, or one of the texts with .gz; text in Latin-1:"
            " iconv -f latin1 -t utf-8"
        ) from None


def columns_of(data: pd.DataFrame, wanted: Sequence[str], called: str) -> dict[str, Floats]:
    """Convert columns to numbers, empty cells to NaN; `called` begins every error message.

    Raises
    ------
    ValueError
        For a missing column, or a cell that is not a number.
    """
    mark = data.attrs.get("mark", ".")
    columns = _places(_header_of(data), data.attrs, wanted, called)
    return {name: numbers_of(data[columns[name]], name, called, mark) for name in wanted}


def sizes_in(data: pd.DataFrame, name: str, called: str) -> Floats:
    """Convert a column of sizes to numbers: 16, L=16 and 16x16 are 16.

    Raises
    ------
    ValueError
        For a missing column, or a cell that is no size.
    """
    column = data[place_of(data, name, called)]
    return sizes_of(column, name, called, data.attrs.get("mark", "."))


def errors_in_cells(data: pd.DataFrame, name: str, called: str) -> Floats | None:
    """Errors that are written in the cells of a column, as in 0.88(3); None if there are none."""
    column = data[_places(_header_of(data), data.attrs, [name], called, quiet=True)[name]]
    return cell_errors(column, name, called, data.attrs.get("mark", "."))


def place_of(data: pd.DataFrame, name: str, called: str) -> str:
    """The name in the table of a column, which may have a unit; raises if there is none."""
    return _places(_header_of(data), data.attrs, [name], called)[name]


def named(data: pd.DataFrame, wanted: Sequence[str], called: str) -> None:
    """Raise if a table lacks columns, all of them in one message, or has one twice."""
    _places(_header_of(data), data.attrs, wanted, called, quiet=True)


def _header_of(data: pd.DataFrame) -> list[str]:
    return [str(name) for name in data.columns]


def _places(
    header: Sequence[str],
    attrs: Mapping[Any, Any],
    wanted: Sequence[str],
    called: str,
    quiet: bool = False,
) -> dict[str, str]:
    """The column of every name; a unit in brackets behind it may be left out."""
    bare = [name if len(name) > LONG else _UNIT.sub("", name) for name in header]
    places = {}
    for name in wanted:
        if name not in header and bare.count(name) == 1:
            places[name] = header[bare.index(name)]
            if not quiet:
                note(f"{called}{shortened(places[name])} is read as {shortened(name)}")
        else:
            places[name] = name
    missing = [name for name in wanted if places[name] not in header]
    if missing:
        there = nearest(missing[0], header) if len(missing) == 1 else f"; there is {listed(header)}"
        raise ValueError(
            f"{called}no column {listed(missing)}{there}{_way_on(attrs, header, missing)}"
        )
    for name in wanted:
        _once(places[name], header, called)
    return places


LONG = 1000  # characters of a name in which no unit or size is sought
_UNIT = re.compile(r"\s*(\[[^\]]*\]|\([^)]*\))\s*$")
_SIZED = re.compile(r"(?:^|[^\d.])\d+\D*$")


def _way_on(attrs: Mapping[Any, Any], header: Sequence[str], missing: Sequence[str]) -> str:
    """What may help where a column is missing."""
    if all(map(like_number, header)):
        return ": no header? Then name the columns, --names L,C,dC (in Python names=)"
    if sum(bool(_SIZED.search(name[-LONG:])) for name in header) > 1:
        return ": one column for each size? --wide"
    if attrs.get("blocks", 0) > 1:
        return (
            f": {attrs['blocks']} blocks of lines, one for each size? Write # L = 16 above"
            " each, or keep each in a file of its own: --size-from"
        )
    for option in ("size", "control"):  # columns that are looked for unless others are named
        if option in missing:
            return f": say which is the {option}, --{option} COLUMN"
    return ""


def _parquet_points(path: Path) -> pd.DataFrame:
    file = open_parquet(path)
    about = file.metadata
    if (cells := about.num_rows * about.num_columns) > LARGEST:
        raise ValueError(f"{path}: has {cells} cells, more than {LARGEST} are not read")
    return read_flat(file, path, flat_columns(file))


def _json_points(content: bytes) -> pd.DataFrame:
    """Records, columns, pandas' "split" or one record a line."""
    import pandas as pd

    text = content.decode("utf-8-sig")
    try:
        data = json.loads(text)
    except json.JSONDecodeError:
        data = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(data, dict) and isinstance(data.get("data"), list):
        if isinstance(names := data.get("columns"), list):
            if not all(isinstance(row, list) and len(row) == len(names) for row in data["data"]):
                raise ValueError(f"its rows are no lists of {len(names)} cells")
            data = [dict(zip(map(str, names), row, strict=True)) for row in data["data"]]
        else:
            data = data["data"]
    if isinstance(data, dict):
        data = {name: _listlike(cells) for name, cells in data.items()}
        if len({len(cells) for cells in data.values()}) != 1:
            raise ValueError("its entries are no lists of one length")
    elif not (isinstance(data, list) and data and all(isinstance(row, dict) for row in data)):
        raise ValueError("it holds neither records nor columns")
    frame = pd.DataFrame(data)
    nested = [name for name in frame if frame[name].map(lambda v: isinstance(v, list | dict)).any()]
    if nested:
        raise ValueError(f"{listed(nested)} has lists or objects as cells")
    return frame


def _listlike(cells: Any) -> list[Any]:
    """Cells of a column, which pandas writes as an object from row to cell."""
    if isinstance(cells, dict):
        return list(cells.values())
    return cells if isinstance(cells, list) else []


def _numpy_points(content: bytes) -> pd.DataFrame:
    if not content.startswith((b"PK", b"\x93NUMPY")):
        raise ValueError("it is no file of numpy.save or numpy.savez")
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if isinstance(array, np.ndarray):
        return _of_arrays({"": array})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > 8 * LARGEST:
            raise ValueError(f"it inflates to more than {8 * LARGEST // 2**20} MiB")
    return _of_arrays({name: array[name] for name in array.files})


def _of_arrays(arrays: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """Columns of arrays (row,), of one (row, column), or of the fields of one."""
    import pandas as pd

    alone = next(iter(arrays.values())) if len(arrays) == 1 else None
    if alone is not None and alone.dtype.names:
        return pd.DataFrame({name: alone[name] for name in alone.dtype.names})
    if alone is not None and alone.ndim == 2:
        return pd.DataFrame(alone, columns=[str(k) for k in range(alone.shape[1])])
    arrays = {name: each for name, each in arrays.items() if each.ndim == 1}
    if len({each.size for each in arrays.values()}) != 1:
        raise ValueError("it has no arrays of one length")
    return pd.DataFrame(dict(arrays))


#: By suffix; Parquet is read in place, any other is text.
FORMS: dict[str, Callable[[bytes], pd.DataFrame]] = {
    ".json": _json_points,
    ".jsonl": _json_points,
    ".npz": _numpy_points,
    ".npy": _numpy_points,
}


# ---- Parquet -------------------------------------------------------------------------------

#: Bytes in memory per byte of the file, at most: a repeated text is stored once.
INFLATION = 100
#: Bytes in memory below which inflation is not limited: columns of one value are harmless.
SMALL = 1 << 28
#: Rows of texts that are counted at a time.
BATCH = 256
#: Bytes of a value that is a Python object, and the types for which it is.
OBJECT = 104
_OBJECTS = ("DECIMAL", "DATE", "TIME")


def open_parquet(path: Path) -> Any:
    """Open a `pyarrow.parquet.ParquetFile`.

    Raises
    ------
    ValueError
        If the file is not Parquet, or pyarrow is not installed.
    """
    try:
        return importlib.import_module("pyarrow.parquet").ParquetFile(path)
    except ImportError:
        raise ValueError(
            f"{path}: reading Parquet needs pyarrow: pip install heatcap[parquet]"
        ) from None
    except Exception as error:
        raise _unreadable(path, error) from None


def flat_columns(file: Any) -> list[str]:
    """List the columns with one value in a row; no metadata bound the size of lists."""
    return [of.path for of in _leaves(file) if _is_flat(of)]


def read_flat(file: Any, path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Read flat columns of an open file; an index of pandas is a column, too.

    Raises
    ------
    ValueError
        If columns share a name, would inflate to far more than the file has, or cannot be read.
    """
    leaves = _leaves(file)
    for name in names:  # a nested column is read by the name of its parent, too
        alike = [of for of in leaves if f"{of.path}.".startswith(f"{name}.")]
        if (n := sum(of.path == name or not _is_flat(of) for of in alike)) > 1:
            raise ValueError(f"{path}: {n} columns are called {name!r}, expected one")
    most = max(SMALL, INFLATION * path.stat().st_size)
    # Not by columns: pyarrow aborts the process if the metadata of one are wrong.
    groups = [file.metadata.row_group(k) for k in range(file.metadata.num_row_groups)]
    kinds = {of.path: of for of in leaves if _is_flat(of)}
    width = sum(_bytes_of(kinds[name]) for name in names)
    texts = [name for name in names if kinds[name].physical_type == "BYTE_ARRAY"]
    stored = [max(group.total_byte_size, 0) for group in groups]
    content = sum(max(g.num_rows * width, size) for g, size in zip(groups, stored, strict=True))
    try:
        if texts and content <= most:
            # No text is longer than its row group, so that a batch needs no more than the limit;
            # batches are small, because the sizes of groups are what the file claims.
            rows = max(1, min(BATCH, most // max(1, *stored)))
            for batch in file.iter_batches(batch_size=rows, columns=texts):
                content += sum(map(_text_bytes, batch.columns))
                if content > most:
                    break
        if content <= most:
            table = file.read(columns=list(names))
            frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)[list(names)]
            return frame
    except Exception as error:
        raise _unreadable(path, error) from None
    raise ValueError(
        f"{path}: its columns inflate to far more than its {path.stat().st_size} bytes; "
        f"at most {most} are read"
    )


def _leaves(file: Any) -> list[Any]:
    return [file.schema.column(k) for k in range(len(file.schema))]


def _is_flat(leaf: Any) -> bool:
    return leaf.path == leaf.name and not leaf.max_repetition_level


def _bytes_of(leaf: Any) -> int:
    """Bytes of a value in memory; for a text those of its offset."""
    is_object = leaf.logical_type.type in _OBJECTS
    return max(leaf.length or 0, 8) + (OBJECT if is_object else 0)


def _text_bytes(column: Any) -> int:
    """Bytes of all texts, repeated ones counted every time."""
    return int((column.dictionary_decode() if hasattr(column, "dictionary") else column).nbytes)


def _unreadable(path: Path, error: Exception) -> ValueError:
    told = " ".join(str(error).split())[:200] or type(error).__name__
    return ValueError(f"{path}: cannot be read as Parquet ({told})")
