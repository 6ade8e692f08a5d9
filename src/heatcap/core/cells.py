"""Cells of tables as people write them, read as numbers.

    0.8826(30)   0.8826±0.003   1.2(3)e-4   0.34%   0.88D+00   1.2×10^-3   0,88   1,234.5   1 234

What marks decimals is one decision for a whole table (`decimal_mark`); a mark that may mean two
things is refused.  What is guessed is told by a `TableNote`, a warning of one line.
"""

from __future__ import annotations

import difflib
import re
import reprlib
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from heatcap.core.arrays import Floats

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DECIMAL_COMMA", "TableNote", "cell_errors", "decimal_mark", "is_number", "like_number",
    "listed", "nearest", "note", "numbers_of", "shortened", "sizes_of",
]  # fmt: skip

MOST_LISTED = 12  # columns in a message
ABSENT = {"n/a", "na", "none", "null", "missing", "-", "--", ".", "?"}  # texts that mean no value
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
UNSURE = "?"  # the decimal mark of a table whose commas may be either

_SHORT = reprlib.Repr()  # of a cell or a name in a message
_SHORT.maxstring = _SHORT.maxother = 80
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_POWER = r"(?:[eE][+-]?\d+)?"
_PLAIN = re.compile(_NUMBER + _POWER)
_IN_DIGITS = re.compile(rf"({_NUMBER})\((\d+\.?\d*|\.\d+)\)({_POWER})")
_PLUS_MINUS = re.compile(r"\s*(?:±|\+/-|\+-|\\pm)\s*")
_TIMES_TEN = re.compile(r"\s*(?:[x×*·]|\\times)\s*10\s*(?:\^|\*\*)\s*[{(]?([+-]?\d+)[})]?")
_FORTRAN = re.compile(r"(?<=[\d.])[dD](?=[+-]?\d+\b)")
_COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(\.\d*)?")  # 1,234,567.8
_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+(,\d*)?")  # 1.234.567,8
_SPACES = re.compile(r"(?<=\d)[ '\u2019\u00a0\u2009\u202f](?=\d{3}(?!\d))")  # 1 234 567
_TIDY = {"\u2212": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " "}
_LONGEST = 200  # characters of a cell that may be a number


class TableNote(UserWarning):
    """What was guessed on reading a table."""


def note(message: str) -> None:
    """Tell what was guessed, in one line."""
    warnings.warn(message, TableNote, stacklevel=3)


def shortened(value: Any) -> str:
    """Quote a cell or a name, shortened if it is long."""
    return _SHORT.repr(value)


def listed(names: Sequence[Any]) -> str:
    """List names for a message, at most twelve of them."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return (", ".join(map(_SHORT.repr, names[:MOST_LISTED])) or "none") + more


def nearest(name: str, known: Sequence[str]) -> str:
    """Complete a message on a missing name by the closest name and the list of names."""
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {_SHORT.repr(close[0])}?" if close else ""
    return f"{meant or ';'} there is {listed(known)}"


def is_number(cell: str) -> bool:
    """Whether Python reads a cell as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def like_number(cell: str) -> bool:
    """Whether a cell is a number in any of the ways it may be written."""
    return is_number(cell) or bool(DECIMAL_COMMA.fullmatch(cell)) or _read(cell, ".") is not None


def decimal_mark(cells: Iterable[str]) -> str:
    """Find what marks decimals in a table: ".", ",", or "?" where commas may be thousands.

    Commas mark decimals where some cell can only be read so (0,8), none has a decimal point, and
    points in groups of three (1.234) are fewer.
    """
    surely, maybe, points, grouped = 0, 0, 0, 0
    for cell in cells:
        comma, point = cell.rfind(","), cell.rfind(".")
        if (comma < 0 and point < 0) or len(cell) > _LONGEST:
            continue
        bare = re.split(r"[(±eEdD%]|\+[/-]", cell.strip())[0].strip()
        if comma < 0:
            number = bool(_PLAIN.fullmatch(bare))
            grouped += number and bool(_POINTS.fullmatch(bare))
            points += number and not _POINTS.fullmatch(bare)
        elif point < 0:
            alike = bool(DECIMAL_COMMA.fullmatch(bare) or _COMMAS.fullmatch(bare))
            maybe += alike and bool(_COMMAS.fullmatch(bare))
            surely += alike and not _COMMAS.fullmatch(bare)
        else:
            surely += bool(comma > point and _POINTS.fullmatch(bare))
            points += bool(point > comma and _COMMAS.fullmatch(bare))
    if surely and not points and grouped <= surely:
        return ","
    return UNSURE if maybe and not (surely or points or grouped) else "."


def _tidied(cell: str, mark: str) -> str:
    """A cell with a decimal point, no thousands, and e for powers of ten."""
    for old, new in _TIDY.items():
        cell = cell.replace(old, new)
    cell = _FORTRAN.sub("e", _TIMES_TEN.sub(r"e\1", _SPACES.sub("", cell.strip())))
    if mark == ",":
        return (cell.replace(".", "") if _POINTS.match(cell) else cell).replace(",", ".")
    grouped = _COMMAS.match(cell) if mark == "." else None
    if grouped and "," not in cell[grouped.end() :]:
        cell = cell.replace(",", "")
    return cell


def _read(cell: str, mark: str) -> tuple[float, float, str] | None:
    """Value, error (NaN for none) and what was guessed; None for what is no number."""
    if len(cell) > _LONGEST:
        return None
    text = _tidied(cell, mark)
    share = 0.01 if text.endswith("%") else 1.0
    text = text.removesuffix("%").strip()
    kind = "per cent as shares: 0.34% is 0.0034" if share != 1 else ""
    value, *error = _PLUS_MINUS.split(text, maxsplit=1)
    value = value.strip().removesuffix("%")
    if error and _PLAIN.fullmatch(value) and _PLAIN.fullmatch(error[0].strip()):
        return share * float(value), share * float(error[0]), kind
    if within := _IN_DIGITS.fullmatch(text):
        mantissa, digits, power = within.groups()
        if "." in digits:
            off = float(digits) * float(f"1{power}")
        else:  # of the last places of the mantissa
            off = float(f"{digits}e{int(power[1:] or 0) - len(mantissa.partition('.')[2])}")
        return share * float(mantissa + power), share * off, kind
    if _PLAIN.fullmatch(text):
        return share * float(text), np.nan, kind
    return None


def numbers_of(column: pd.Series[Any], name: str, called: str, mark: str = ".") -> Floats:
    """Convert a column to numbers, empty cells to NaN; `called` begins every error message.

    Raises
    ------
    ValueError
        For a cell that is not a number.
    """
    return _converted(column, name, called, mark)[0]


def cell_errors(column: pd.Series[Any], name: str, called: str, mark: str = ".") -> Floats | None:
    """Errors written in the cells of a column, as 0.88(3) or 0.88±0.03; None if there are none."""
    errors = _converted(column, name, called, mark, quiet=True)[1]
    return errors if np.isfinite(errors).any() else None


def _converted(
    column: pd.Series[Any], name: str, called: str, mark: str, quiet: bool = False
) -> tuple[Floats, Floats]:
    import pandas as pd  # here, so that the other functions do without it

    if column.dtype.kind in "mM":  # pandas would convert them to integers in units of its own
        raise ValueError(f"{called}column {name!r}: expected numbers, got times ({column.dtype})")
    if column.dtype.kind == "c":  # numpy would drop the imaginary part
        raise ValueError(f"{called}column {name!r}: expected real numbers, got complex ones")
    if column.dtype == object:  # whole numbers of JSON are of any length
        column = column.map(lambda cell: str(cell) if type(cell) is int else cell)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64).copy()
    errors = np.full(numbers.size, np.nan)
    text = np.isnan(numbers) & column.notna().to_numpy()
    words = column.astype(str).str.strip().str.lower().isin(["nan", ""]).to_numpy()
    notes: dict[str, str] = {}
    for row in np.flatnonzero(text & ~words).tolist():
        cell = str(column.iloc[row])
        read = _read(cell, mark)
        if read is None:
            raise ValueError(
                f"{called}row {row + 1} of the data, column {_SHORT.repr(name)}: expected a number,"
                f" got {_SHORT.repr(column.iloc[row])}{_hint(cell, mark)}"
            )
        numbers[row], errors[row], kind = read
        if not np.isfinite(read[1]) and not kind and mark == "." and "," in cell:
            kind = "commas as thousands"
        if kind and not quiet:
            notes.setdefault(kind, cell)
    for kind, cell in notes.items():
        note(f"{called}column {_SHORT.repr(name)}: read {kind} ({_SHORT.repr(cell)})")
    return numbers, errors


def _hint(cell: str, mark: str) -> str:
    """Advice on a cell that is not a number."""
    if len(cell) < 40 and mark == UNSURE and _COMMAS.fullmatch(cell):
        point = cell.replace(",", ".")
        return f": {cell.replace(',', '')} or {point}? Say --decimal . or --decimal ,"
    if DECIMAL_COMMA.fullmatch(cell) and len(cell) < 40:
        return f": a decimal comma? Write {cell.replace(',', '.')}, or say --decimal ,"
    if cell.lower() in ABSENT:
        return ": leave the cell empty where there is no value, such as a run without a peak"
    return ""


_POWER_OF_TWO = re.compile(r"2\s*(?:\^|\*\*)\s*\{?(\d{1,2})\}?")
_EDGE = re.compile(r"(\d+(?:\.\d+)?)(?:\s*[xX×]\s*(\d+(?:\.\d+)?))+")
_NAMED = re.compile(r"[^\W\d]\w*?\s*[=_:]?\s*(\d+(?:\.\d+)?(?:[eE]\+?\d+)?)")


def sizes_of(column: pd.Series[Any], name: str, called: str, mark: str = ".") -> Floats:
    """Convert sizes to numbers; ``L=16``, ``16x16`` (the edge) and ``2^4`` are 16.

    Raises
    ------
    ValueError
        For a cell that is no size, or edges that differ.
    """
    if column.dtype.kind in "iuf":
        return numbers_of(column, name, called, mark)
    cells = column.astype(object).copy()
    for row, cell in enumerate(map(str, column)):
        if len(cell) > _LONGEST or like_number(cell):
            continue
        if edges := _EDGE.fullmatch(cell.strip()):
            if len(set(re.split(r"\s*[xX×]\s*", cell.strip()))) > 1:
                raise ValueError(
                    f"{called}row {row + 1} of the data, column {_SHORT.repr(name)}: expected a"
                    f" size, got {_SHORT.repr(cell)} with different edges: add a column of sizes"
                )
            cells.iloc[row] = edges[1]
        elif power := _POWER_OF_TWO.fullmatch(cell.strip()):
            cells.iloc[row] = str(2 ** int(power[1]))
        elif labelled := _NAMED.fullmatch(cell.strip()):
            cells.iloc[row] = labelled[1]
        else:
            continue
        if row == 0:
            note(f"{called}column {_SHORT.repr(name)}: {cell} is read as {cells.iloc[row]}")
    return numbers_of(cells, name, called, mark)
