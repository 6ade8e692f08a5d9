"""Tables in text: lines as people, programs and instruments write them.

Any separator; comment lines and their ends with ``#`` or ``%``; the names in the first row, below a
title, above a row of units, or behind a comment mark (numpy.savetxt, gnuplot); blocks of lines with
``L = 16`` above each.  Cells stay text; `heatcap.core.cells` reads them.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from heatcap.core.cells import ABSENT, decimal_mark, like_number, listed, note

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SEPARATORS", "WIDEST", "Lines", "read_lines"]

SEPARATORS = (",", ";", "\t", None)  # None is white space
FIRST = 5  # rows from which the separator is inferred
SAMPLE = 60  # rows, titles included, among which the data begin
WIDEST = 10_000  # columns of a text table; each cell costs a hundred times its bytes

_COMMENT = re.compile(r"\s*(?:#|%|//|!)+")
# Marks are sought at the first of several blanks, labels at the start of a word: each line is read
# once, however long it is.
_INLINE = re.compile(r"(?<!\s)\s+(?:#|//|%(?=\s*[A-Za-z])).*$")
_LABEL = re.compile(r"\b([^\W\d]\w*)\s*[=:]\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\b")
_COUNTED = re.compile(r"\[?\d+[\]:=.)]+(?=\S)")  # 1:L 2:T, as gnuplot scripts number columns
_UNIT = re.compile(r"(?<!\s)\s+(?=[\[(])")

Names = Sequence[str] | None


class Lines(NamedTuple):
    """Cells of a table, all of them text; `attrs` has the decimal `mark` and number of `blocks`."""

    header: list[str]
    rows: list[list[str]]
    attrs: dict[str, Any]

    def frame(self) -> pd.DataFrame:
        """Make a DataFrame with the same `attrs`."""
        import pandas as pd  # a third of a second, which a wrong name or row does not wait for

        frame = pd.DataFrame(self.rows, columns=self.header)
        frame.attrs |= self.attrs
        return frame


@dataclass
class _Text:
    """Lines of a table: rows of the body, comments above it, and labels that hold at each row."""

    rows: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)  # above the first row
    labels: list[dict[str, str]] = field(default_factory=list)  # of every row
    blocks: int = 0


def _body(text: str) -> _Text:
    out, labels, blank = _Text(), dict[str, str](), True
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line.strip():
            blank = True
            continue
        marked = _COMMENT.match(line)
        bare = line[marked.end() :] if marked else line
        if not marked and '"' not in bare:
            bare = _INLINE.sub("", bare)
        if marked or _LABEL.fullmatch(bare.strip()):
            if found := _LABEL.findall(bare):
                labels = labels | dict(found)
            if marked and not out.rows:
                out.comments.append(bare.strip())
            continue
        out.blocks += blank
        blank = False
        out.rows.append(bare)
        out.labels.append(labels)
    return out


def read_lines(
    text: str, called: str, names: Names = None, wanted: Sequence[str] = (), decimal: str = ""
) -> Lines:
    """Read all cells of a text.

    Parameters
    ----------
    text, called : str
        `called` begins every message.
    names : sequence of str, optional
        Names of the columns, instead of those in the text.
    wanted : sequence of str
        Columns that the reader will ask for; they tell names from titles and units, and those that
        stand as ``L = 16`` above blocks of lines become columns.
    decimal : str
        "," or "."; found from the cells by default.

    Raises
    ------
    ValueError
        If there are no data, or a row has another width than the header.
    """
    body = _body(text)
    if not body.rows:
        raise ValueError(f"{called}holds no data")
    # By the separator that gives most columns.
    width = 1 + max(body.rows[0].count(separator) for separator in (*SEPARATORS[:-1], " "))
    if width > WIDEST:
        raise ValueError(f"{called}has {width} columns or more, expected at most {WIDEST}")
    separator = _separator(body.rows, names, decimal)
    sample = [_cells(row, separator) for row in body.rows[:SAMPLE]]
    start = _start(sample, names)
    header, start = _header(body, sample, start, separator, names, wanted, called)
    rows, labels = [], []
    for row, label in zip(body.rows[start:], body.labels[start:], strict=True):
        cells = _cells(row, separator)
        if cells != header or names is not None:  # blocks repeat the names
            rows.append(cells)
            labels.append(label)
    surplus = [len(cells) == len(header) + 1 and not cells[-1] for cells in rows]
    if separator is not None and all(surplus):  # each row ends with a separator
        rows = [cells[:-1] for cells in rows]
    # Not by pandas: it fills a row that is too short with empty cells, and reads an unclosed quote
    # to the end of the file.
    for number, cells in enumerate(rows, 1):
        if len(cells) != len(header):
            raise ValueError(
                f"{called}row {number} of the data has {len(cells)} columns, expected"
                f" {len(header)}: {listed(header)}" + _advice(separator, cells, header)
            )
    mark = decimal or decimal_mark(itertools.chain(*rows))
    for name in wanted:
        if name not in header and any(name in label for label in labels):
            header = [*header, name]
            rows = [[*row, label.get(name, "")] for row, label in zip(rows, labels, strict=True)]
            note(f"{called}{name!r} is read from lines such as {name} = {rows[0][-1]}")
    if mark == "," and not decimal:
        note(f"{called}decimal commas: 0,5 is read as 0.5")
    return Lines(header, rows, {"mark": mark, "blocks": body.blocks})


def _advice(separator: str | None, cells: Sequence[str], header: Sequence[str]) -> str:
    if separator == "," and len(cells) > len(header):
        return ": decimal commas? Write 3.14, or separate columns by semicolons"
    return ""


def _header(
    body: _Text,
    sample: list[list[str]],
    start: int,
    separator: str | None,
    names: Names,
    wanted: Sequence[str],
    called: str,
) -> tuple[list[str], int]:
    """The names of the columns, and the first row of the data."""
    width = len(sample[min(start, len(sample) - 1)])
    if names is not None:
        if start:
            note(f"{called}{_skipped(start)} above the data left out, --names are used")
        return list(names), start
    if start:
        above = [_named(row, separator, width) for row in body.rows[:start]]
        place = max(range(start), key=lambda k: (_fits(above[k], width, wanted), -k))
        if not _fits(above[place], width, wanted)[0]:
            place = start - 1  # its width is what the first row is measured by
        if start > 1:
            note(f"{called}names of columns are {listed(above[place])}; other rows above the data"
                 " are left out")  # fmt: skip
        return above[place], start
    behind = [_named(row, separator, width) for row in body.comments]
    fitting = [row for row in behind if _fits(row, width, wanted)[0]]
    if fitting:
        best = max(reversed(fitting), key=lambda row: _fits(row, width, wanted))
        note(f"{called}names of columns are those of the comment line: {listed(best)}")
        return best, 0
    return sample[0], 1


def _skipped(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _fits(row: Sequence[str], width: int, wanted: Sequence[str]) -> tuple[bool, int]:
    """Whether a row may hold the names of the columns, and how many of them are wanted."""
    named = len(row) == width and not all(map(like_number, row))
    return named, sum(name in row for name in wanted)


def _named(line: str, separator: str | None, width: int) -> list[str]:
    """Cells of a line of names, with units, numbers of columns or a label in front joined."""
    cells = _cells(line, separator)
    if separator is not None and len(cells) != width:  # a comment may be spaced differently
        cells = max(cells, _cells(line, None), key=lambda row: len(row) == width)
    if len(cells) > width:
        for trial in (_UNIT.sub("\0", line), re.sub(r"^\s*\S+:\s+", "", line)):
            joined = [cell.replace("\0", " ") for cell in _cells(trial, separator)]
            if len(joined) == width:
                return joined
    if all(map(_COUNTED.match, cells)):
        cells = [_COUNTED.sub("", cell, count=1) for cell in cells]
    return cells


def _start(sample: list[list[str]], names: Names) -> int:
    """The first row of the data: of the usual width, numbers where most rows below have some."""
    first = 1 if names is None else 0
    width = Counter(len(row) for row in reversed(sample)).most_common(1)[0][0]
    tail = [row for row in sample if len(row) == width][-FIRST:]
    if len(tail) > 1:  # the names themselves tell nothing
        tail = tail[1:] if len(tail) < FIRST else tail
    numeric = [c for c in range(width) if 2 * sum(like_number(row[c]) for row in tail) >= len(tail)]
    if not numeric:
        return first
    for k, row in enumerate(sample):
        if len(row) != width:
            continue
        words = sum(not _may_be_number(row[c]) for c in numeric)
        units = words and all(cell in ("", "1") or not like_number(cell) for cell in row)
        if 2 * words <= len(numeric) and (k or not words) and not (units and k < len(sample) - 1):
            return k
    return first


def _may_be_number(cell: str) -> bool:
    return not cell or like_number(cell) or cell.lower() in ABSENT | {"nan", "inf"}


def _separator(lines: Sequence[str], names: Names, decimal: str) -> str | None:
    """The separator that gives the first rows the width of the header and most numbers."""

    def fits(separator: str | None) -> tuple[bool, bool, int, bool, int]:
        sample = [_cells(line, separator) for line in lines[:SAMPLE]]
        start = _start(sample, names)
        data = sample[min(start, len(sample) - 1) :][:FIRST]
        width = len(data[0]) if names is None else len(names)
        alike = width > 1 and all(len(row) == width for row in data)
        headed = any(len(row) == width for row in sample[:start])
        # Between semicolons 3,14 is a number with a decimal comma; 1;0 between commas is none.
        cells = list(itertools.chain(*data)) if alike else []
        numbers = 2 * sum(map(like_number, cells)) - len(cells)
        return alike, headed, numbers, separator is not None, width

    within = "".join(lines[:SAMPLE])
    there = (mark for mark in SEPARATORS if mark is None or (mark in within and mark != decimal))
    return max(there, key=fits)


_SPACED = re.compile(r"(?<=[\d.)])\s*(±|\+/-|\+-)\s*(?=[\d.])")
_EDGES = re.compile(r"(?<![\d.])(\d+) *([x×]) *(?=\d+(?![\d.]))")
_EQUALS = re.compile(r"(?<=\w)\s*=\s*(?=[\d.])")
_PER_CENT = re.compile(r"(?<=\d)\s+%")


def _cells(line: str, separator: str | None) -> list[str]:
    """Cells of a row; separators within quotes are text."""
    line = line.strip(" \r\n" if separator == "\t" else None)
    if separator is None:
        line = _PER_CENT.sub("%", _EQUALS.sub("=", _SPACED.sub(r"\1", _EDGES.sub(r"\1\2", line))))
    elif '"' in line:
        with suppress(csv.Error):
            cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
            return [cell.strip() for cell in cells]
    return [cell.strip() for cell in line.split(separator)]
