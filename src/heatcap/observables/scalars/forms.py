"""Forms of a table: split each file into pieces of runs, with steps that increase.

A form is recognised by the header: one row per step, TensorBoard's download or long table, or a
chart of W&B.  Steps are as logged, accuracies still in the unit of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.core.tables import Rows, Table, open_table
from heatcap.observables.dataset import SIZES
from heatcap.observables.scalars.columns import TEXTS, Columns

__all__ = ["Parameter", "Piece", "Place", "pieces", "shown"]

Parameter = int | float | str | None
Series = dict[str, Floats]

_DOWNLOAD = ("Wall time", "Step", "Value")
_DOWNLOAD_NAME = re.compile(r"run-(.*)-tag-(.*)", re.DOTALL)
_LONG = ("run", "tag", "step", "value")
FARTHEST = float(np.finfo(np.float32).max)  # what models compute with; its powers stay finite too


@dataclass(frozen=True)
class Place:
    """Origin of a run.

    `key` is shared by the pieces of one run, `source` by files that share the unit of their
    accuracies; `names` are ids of the run, from the shortest to a unique one.
    """

    key: Hashable
    source: Hashable
    names: tuple[str, ...]
    path: Path
    where: str


@dataclass(frozen=True)
class Piece:
    """The part of one run in one file: steps that increase, and columns along them.

    `offers` names all columns of the file, for messages; `problem` is the reason why the run is
    bad, or "".
    """

    place: Place
    step: Floats
    series: Series
    offers: tuple[str, ...] = ()
    parameters: dict[str, Parameter] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problem: str = ""

    @staticmethod
    def bad(place: Place, problem: object) -> Piece:
        """Make the piece of a run that cannot be read."""
        return Piece(place, np.empty(0), {}, problem=str(problem))


def pieces(path: Path, columns: Columns) -> list[Piece]:
    """Read a file and split it into the pieces of its runs.

    Raises
    ------
    ValueError
        If the file as a whole is bad.
    """
    wanted = [columns.step, *columns.series, *_DOWNLOAD, *_LONG]
    table = open_table(path, wanted)
    parts = list(_form(table, columns)(table, columns))
    if not parts:
        raise ValueError(f"{path}: no row holds anything")
    return parts


def _form(table: Table, columns: Columns) -> Callable[[Table, Columns], Iterator[Piece]]:
    if set(columns.series) <= set(table.header):
        return _one_row_per_step
    if table.header == _DOWNLOAD:
        return _tensorboard_download
    if set(_LONG) <= set(table.header):
        return _tensorboard_long
    if any(_of_chart(name, columns) for name in table.header):
        return _wandb_chart
    return _one_row_per_step


def _one_row_per_step(table: Table, columns: Columns) -> Iterator[Piece]:
    numbers = [columns.step, *columns.series]
    numbers += [c for name, c in columns.items() if name not in TEXTS]
    texts = [c for name, c in columns.items() if name in TEXTS]
    rows = table.read(numbers, texts + ([columns.run] if columns.run else []))
    step, series = rows.numbers(columns.step), {c: rows.numbers(c) for c in columns.series}
    cells: dict[str, list[float] | list[str]] = {
        n: rows.texts(c) if n in TEXTS else rows.numbers(c).tolist() for n, c in columns.items()
    }
    hint = "" if columns.run else "; if the file holds several runs, say run=COLUMN"
    for label, at in _split(rows.texts(columns.run) if columns.run else [""] * step.size):
        columns_of_run = {c: v[at] for c, v in series.items()}
        if columns.run and not label:
            yield from _without_run(columns_of_run, at, rows, columns.run)
            continue
        place = _place_in(rows.path, label)
        try:
            constants = {name: _constant(cells[name], at, name, rows, place) for name in cells}
        except ValueError as error:
            yield Piece.bad(place, error)
            continue
        row = at + rows.first
        yield _piece(place, columns, step[at], columns_of_run, row, table.header, constants, hint)


def _without_run(series: Series, at: NDArray[np.intp], rows: Rows, column: str) -> Iterator[Piece]:
    """A problem if rows without the name of a run hold values."""
    held = np.flatnonzero(_any_value(series))
    if held.size:
        row = at[held[0]] + rows.first
        yield Piece.bad(
            _place_in(rows.path, ""), f"{rows.path}: row {row} names no run in column {column!r}"
        )


def _tensorboard_download(table: Table, columns: Columns) -> Iterator[Piece]:
    named = _DOWNLOAD_NAME.fullmatch(table.path.stem)
    if not named:
        raise ValueError(
            f"{table.path}: TensorBoard's download is called run-RUN-tag-TAG.csv, from which run "
            f"and tag are read; rename the file, or say step=Step,observable=Value"
        )
    run, tag = named.groups()
    place = _place_beside(table.path, "download", "" if run == "." else run)
    fitting = [column for column in columns.series if _plain(column) == _plain(tag)]
    if len(fitting) > 1:
        raise ValueError(
            f"{table.path}: its name fits {' and '.join(fitting)}, expected one of them"
        )
    if not fitting:
        yield Piece(place, np.empty(0), {}, (tag,))
        return
    rows = table.read(["Step", "Value"])
    step, value = rows.numbers("Step"), rows.numbers("Value")
    yield _piece(place, columns, step, {fitting[0]: value}, np.arange(step.size) + rows.first)


def _tensorboard_long(table: Table, columns: Columns) -> Iterator[Piece]:
    rows = table.read(["step", "value"], ["run", "tag"])
    step, value, tags = rows.numbers("step"), rows.numbers("value"), np.array(rows.texts("tag"))
    for run, at in _split(rows.texts("run")):
        place = _place_in(rows.path, "" if run == "." else run)
        offers = tuple(dict.fromkeys(tags[at].tolist()))
        # A run without any wanted tag is listed as well, so that a message can name it.
        yield Piece(place, np.empty(0), {}, offers)
        for column in columns.series:
            rows_of_tag = at[tags[at] == column]
            if rows_of_tag.size:
                yield _piece(
                    place,
                    columns,
                    step[rows_of_tag],
                    {column: value[rows_of_tag]},
                    rows_of_tag + rows.first,
                )


def _wandb_chart(table: Table, columns: Columns) -> Iterator[Piece]:
    step_name = columns.step
    if step_name not in table.header and "Step" in table.header:
        step_name = "Step"
    charted = {name: chart for name in table.header if (chart := _of_chart(name, columns))}
    rows = table.read([step_name, *charted])
    runs: dict[str, dict[str, Floats]] = {}
    for name, (run, column) in charted.items():
        runs.setdefault(run, {})[column] = rows.numbers(name)
    step = rows.numbers(step_name)
    for run, series in runs.items():
        place = _place_beside(table.path, "chart", run)
        yield _piece(place, columns, step, series, np.arange(step.size) + rows.first)


def _piece(
    place: Place,
    columns: Columns,
    step: Floats,
    series: Series,
    row: NDArray[np.intp],
    offers: tuple[str, ...] = (),
    parameters: dict[str, Parameter] | None = None,
    hint: str = "",
) -> Piece:
    try:
        step, series, notes = _in_order(step, series, row, place.where, columns.accuracies, hint)
    except ValueError as error:
        return Piece.bad(place, error)
    return Piece(place, step, series, offers or tuple(series), parameters or {}, notes)


def _place_in(path: Path, run: str) -> Place:
    """Place of a run in one file; a run without a name has that of the file."""
    file = path.resolve()
    where = f"{path}: run {run}, " if run else f"{path}: "
    return Place(("file", file, run), file, _ladder(file, file.stem, run), path, where)


def _place_beside(path: Path, form: str, run: str) -> Place:
    """Place of a run that is spread over files of one folder."""
    folder = path.resolve().parent
    names = _ladder(folder, folder.name, run)
    return Place((form, folder, run), (form, folder), names, path, f"{path}: run {names[0]}, ")


def _of_chart(header: str, columns: Columns) -> tuple[str, str] | None:
    """Run and column of a chart's ``RUN - METRIC``; None if it is not wanted."""
    # The longest first, because the name of one metric may end with another.
    for column in sorted(columns.series, key=len, reverse=True):
        if header.endswith(f" - {column}") and len(header) > len(column) + 3:
            return header.removesuffix(f" - {column}"), column
    return None


def _plain(tag: str) -> str:
    """Tag with the characters that file names allow."""
    return re.sub(r"\W", "_", tag)


def _split(labels: Iterable[str]) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Row indices of every label, labels in the order of their first row."""
    names = list(labels)
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    code = np.array([numbers[name] for name in names], dtype=np.intp)
    order = np.argsort(code, kind="stable")
    ends = np.cumsum(np.bincount(code, minlength=len(numbers)))
    yield from zip(numbers, np.split(order, ends[:-1]), strict=bool(names))


def _constant(
    cells: list[float] | list[str], at: NDArray[np.intp], name: str, rows: Rows, place: Place
) -> Parameter:
    """Value of a sweep parameter within a run; None if it has none."""
    first: float | str | None = None
    for i in at:
        cell = cells[i]
        if cell == "" or cell != cell:
            continue
        if first is not None and cell != first:
            raise ValueError(
                f"{place.where}row {i + rows.first}: {name} is {shown(cell)} after {shown(first)}; "
                f"a sweep parameter must be the same in all rows of a run"
            )
        first = cell
    whole = name in (*SIZES, "seed") and isinstance(first, float) and first.is_integer()
    return int(first) if whole and first is not None else first


def _ladder(base: Path, name: str, run: str) -> tuple[str, ...]:
    """Ids of a run in a file or folder, each longer than the one before."""
    parts = [*base.parts[1:-1], name]
    tails = ["/".join(parts[-k:]) for k in range(1, len(parts) + 1)] + [str(base)]
    return (run, *(f"{tail}/{run}" for tail in tails)) if run else tuple(tails)


# ---- rows of one run ----------------------------------------------------------------------


def _in_order(
    step: Floats,
    series: Series,
    row: NDArray[np.intp],
    where: str,
    accuracies: Collection[str],
    hint: str = "",
) -> tuple[Floats, Series, tuple[str, ...]]:
    """Merge rows to steps that increase, with the columns along them.

    Rows without any value are left out.  Rows of one step that fill different columns are one
    row, because loggers write each metric when they have it.

    Parameters
    ----------
    step : (row,)
    series
        Columns (row,), NaN where a cell is empty.
    row : (row,)
        Numbers of the rows in their file, for messages.
    where
        File and run, with which messages begin.
    accuracies
        Columns that must lie between 0 and 100.
    hint
        Advice for messages if steps decrease.

    Returns
    -------
    step : (step,)
    series
        Columns (step,); infinite values, and those infinite in single precision, are NaN.
    notes
        Notes on rows and values that were left out.

    Raises
    ------
    ValueError
        If no row is left, steps decrease, two rows of a step fill the same column, or an accuracy
        is out of range.
    """
    some = _any_value(series)
    usable = some & np.isfinite(step)
    notes = [f"{n} rows without a step left out"] if (n := int((some & ~usable).sum())) else []
    if not usable.any():
        raise ValueError(f"{where}no row has a step and a value of {', '.join(series)}")
    step, row = step[usable], row[usable]
    series = {column: v[usable] for column, v in series.items()}
    _check_accuracies(series, accuracies, row, where)
    if (falls := np.flatnonzero(np.diff(step) < 0)).size:
        raise _disorder(where, row, step, falls[0], hint)
    starts = np.flatnonzero(np.diff(step, prepend=-np.inf) > 0)
    if starts.size < step.size:
        series = _merged(step, series, row, starts, where, hint)
    for column, v in series.items():
        far = np.abs(v) > FARTHEST
        if n := int(far.sum()):
            values = f"value{'s' * (n > 1)} of {column}"
            what = f"infinite {values}" if np.isinf(v[far]).all() else f"{values} beyond 3.4e38"
            notes.append(f"{n} {what} read as missing")
            series[column] = np.where(far, np.nan, v)
    return step[starts], series, tuple(notes)


def _any_value(series: Series) -> NDArray[np.bool_]:
    """Whether a row fills any column."""
    filled: NDArray[np.bool_] = ~np.all([np.isnan(v) for v in series.values()], axis=0)
    return filled


def shown(value: float | str) -> str:
    """A number as a person would write it."""
    return value if isinstance(value, str) else f"{value:.15g}"


def _merged(
    step: Floats,
    series: Series,
    row: NDArray[np.intp],
    starts: NDArray[np.intp],
    where: str,
    hint: str,
) -> Series:
    for v in series.values():
        held = np.flatnonzero(~np.isnan(v))
        if (again := np.flatnonzero(np.diff(step[held]) == 0)).size:
            raise _disorder(where, row[held], step[held], again[0], hint)
    # fmax ignores NaN, so it picks the single value of each step.
    return {column: np.fmax.reduceat(v, starts) for column, v in series.items()}


def _disorder(where: str, row: NDArray[np.intp], step: Floats, i: int, hint: str) -> ValueError:
    return ValueError(
        f"{where}row {row[i + 1]}: step {shown(step[i + 1])} after {shown(step[i])}; "
        f"steps of a run must increase{hint}"
    )


def _check_accuracies(
    series: Series, accuracies: Collection[str], row: NDArray[np.intp], where: str
) -> None:
    for column in series.keys() & set(accuracies):
        v = series[column]
        bad = np.flatnonzero(np.isfinite(v) & ((v < 0) | (v > 100)))
        if bad.size:
            raise ValueError(
                f"{where}row {row[bad[0]]}: {column} is {shown(v[bad[0]])}, expected an accuracy "
                f"from 0 to 1, or from 0 to 100 per cent"
            )
