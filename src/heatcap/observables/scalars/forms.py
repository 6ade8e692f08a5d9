"""Forms of a table: what each file holds of which run."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.observables.scalars.columns import TEXTS, Columns
from heatcap.observables.scalars.rows import any_value, in_order, shown
from heatcap.observables.scalars.table import Rows, Table, open_table

__all__ = ["Parameter", "Piece", "Place", "pieces"]

Parameter = int | float | str | None

_DOWNLOAD = ("Wall time", "Step", "Value")
_DOWNLOAD_NAME = re.compile(r"run-(.*)-tag-(.*)", re.DOTALL)
_LONG = ("run", "tag", "step", "value")


@dataclass(frozen=True)
class Place:
    """Where a run comes from.

    `key` is shared by the pieces of one run, `source` by files that share the unit of their
    accuracies; `names` are ids of the run, from the shortest to the one nobody else can have.
    """

    key: Hashable
    source: Hashable
    names: tuple[str, ...]
    path: Path
    where: str


@dataclass(frozen=True)
class Piece:
    """What one file holds of one run: steps that increase, and columns along them.

    `offers` is all that the file has, for messages; `problem` says why the run is bad, if it is.
    """

    place: Place
    step: Floats
    series: dict[str, Floats]
    offers: tuple[str, ...] = ()
    parameters: dict[str, Parameter] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problem: str = ""

    @staticmethod
    def bad(place: Place, problem: object) -> Piece:
        return Piece(place, np.empty(0), {}, problem=str(problem))


def pieces(path: Path, columns: Columns) -> list[Piece]:
    """What a file holds, run by run.

    Raises
    ------
    ValueError
        If the file as a whole is bad.
    """
    wanted = [columns.step, *columns.series, *_DOWNLOAD, *_LONG]
    table = open_table(path, wanted)
    found = list(_form(table, columns)(table, columns))
    if not found:
        raise ValueError(f"{path}: no row holds anything")
    return found


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
    cells = {n: _cells(rows, n, c) for n, c in columns.items()}
    hint = "" if columns.run else "; if the file holds several runs, say run=COLUMN"
    for label, at in _split(rows.texts(columns.run) if columns.run else [""] * step.size):
        own = {c: v[at] for c, v in series.items()}
        if columns.run and not label:
            yield from _without_run(own, at, rows, columns.run)
            continue
        place = _place_in(rows.path, label)
        try:
            held = {name: _constant(cells[name], at, name, rows, place) for name in cells}
        except ValueError as error:
            yield Piece.bad(place, error)
            continue
        row = at + rows.first
        yield _piece(place, columns, step[at], own, row, table.header, held, hint)


def _without_run(
    series: dict[str, Floats], at: NDArray[np.intp], rows: Rows, column: str
) -> Iterator[Piece]:
    """A problem if rows that name no run hold anything."""
    held = np.flatnonzero(any_value(series))
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
    found = [column for column in columns.series if _plain(column) == _plain(tag)]
    if len(found) > 1:
        raise ValueError(f"{table.path}: its name fits {' and '.join(found)}, expected one of them")
    if not found:
        yield Piece(place, np.empty(0), {}, (tag,))
        return
    rows = table.read(["Step", "Value"])
    step, value = rows.numbers("Step"), rows.numbers("Value")
    yield _piece(place, columns, step, {found[0]: value}, np.arange(step.size) + rows.first)


def _tensorboard_long(table: Table, columns: Columns) -> Iterator[Piece]:
    rows = table.read(["step", "value"], ["run", "tag"])
    step, value, tags = rows.numbers("step"), rows.numbers("value"), np.array(rows.texts("tag"))
    for run, at in _split(rows.texts("run")):
        place = _place_in(rows.path, "" if run == "." else run)
        offers = tuple(dict.fromkeys(tags[at].tolist()))
        # Even a run without any wanted tag is spoken of.
        yield Piece(place, np.empty(0), {}, offers)
        for column in columns.series:
            own = at[tags[at] == column]
            if own.size:
                yield _piece(place, columns, step[own], {column: value[own]}, own + rows.first)


def _wandb_chart(table: Table, columns: Columns) -> Iterator[Piece]:
    step_name = columns.step
    if step_name not in table.header and "Step" in table.header:
        step_name = "Step"
    charted = {name: found for name in table.header if (found := _of_chart(name, columns))}
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
    series: dict[str, Floats],
    row: NDArray[np.intp],
    offers: tuple[str, ...] = (),
    parameters: dict[str, Parameter] | None = None,
    hint: str = "",
) -> Piece:
    try:
        step, series, notes = in_order(step, series, row, place.where, columns.accuracies, hint)
    except ValueError as error:
        return Piece.bad(place, error)
    return Piece(place, step, series, offers or tuple(series), parameters or {}, notes)


def _place_in(path: Path, run: str) -> Place:
    """A run that is all in one file; without a name of its own it has that of the file."""
    file = path.resolve()
    where = f"{path}: run {run}, " if run else f"{path}: "
    return Place(("file", file, run), file, _ladder(file, file.stem, run), path, where)


def _place_beside(path: Path, form: str, run: str) -> Place:
    """A run that is spread over files of one folder."""
    folder = path.resolve().parent
    names = _ladder(folder, folder.name, run)
    return Place((form, folder, run), (form, folder), names, path, f"{path}: run {names[0]}, ")


def _of_chart(header: str, columns: Columns) -> tuple[str, str] | None:
    """Run and column of a chart's ``RUN - METRIC``; None if it is not wanted."""
    # The longest first: one metric may end like another.
    for column in sorted(columns.series, key=len, reverse=True):
        if header.endswith(f" - {column}") and len(header) > len(column) + 3:
            return header.removesuffix(f" - {column}"), column
    return None


def _plain(tag: str) -> str:
    """A tag as file names can hold it."""
    return re.sub(r"\W", "_", tag)


def _split(labels: Iterable[str]) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Rows of every label, labels in the order of their first row."""
    names = list(labels)
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    code = np.array([numbers[name] for name in names], dtype=np.intp)
    order = np.argsort(code, kind="stable")
    ends = np.cumsum(np.bincount(code, minlength=len(numbers)))
    yield from zip(numbers, np.split(order, ends[:-1]), strict=bool(names))


def _cells(rows: Rows, name: str, column: str) -> list[float] | list[str]:
    return rows.texts(column) if name in TEXTS else rows.numbers(column).tolist()


def _constant(
    cells: list[float] | list[str], at: NDArray[np.intp], name: str, rows: Rows, place: Place
) -> Parameter:
    """The one value that a sweep parameter has within a run; None if it has none."""
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
    whole = name in ("p", "size", "seed") and isinstance(first, float) and first.is_integer()
    return int(first) if whole and first is not None else first


def _ladder(base: Path, name: str, run: str) -> tuple[str, ...]:
    """Ids of a run in a file or folder, each longer than the one before."""
    parts = [*base.parts[1:-1], name]
    tails = ["/".join(parts[-k:]) for k in range(1, len(parts) + 1)] + [str(base)]
    return (run, *(f"{tail}/{run}" for tail in tails)) if run else tuple(tails)
