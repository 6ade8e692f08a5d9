"""Read files of scalars into one labelled Dataset for all their runs.

`read_scalars` joins the pieces of :mod:`heatcap.observables.scalars.forms` to runs, finds the unit
of the accuracies (fractions of 1, or per cent) and stacks the runs.  Times are the logged steps.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.core.tables import nearest
from heatcap.core.text import few
from heatcap.core.version import VERSION
from heatcap.observables.dataset import SCHEMA_VERSION
from heatcap.observables.scalars.columns import (
    ACCURACIES,
    METRICS,
    Columns,
    parse_columns,
    variable_name,
)
from heatcap.observables.scalars.forms import Parameter, Piece, pieces, shown
from heatcap.observables.side_by_side import stacked
from heatcap.runfile import checksum, merged_notes

__all__ = ["read_scalars"]

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

#: Accuracies above are in per cent: a fraction exceeds 1 by rounding only.
PER_CENT_ABOVE = 1.001


@dataclass(frozen=True)
class Run:
    """One run: steps that increase and every column along them, NaN where it was not logged."""

    names: tuple[str, ...]
    source: Hashable
    paths: tuple[Path, ...]
    step: Floats
    series: dict[str, Floats]
    parameters: dict[str, Parameter]
    notes: tuple[str, ...]


def read_scalars(
    paths: Paths, columns: Columns | str, *, problems: list[str] | None = None
) -> xr.Dataset:
    """Read scalars along training, of all runs in some tables.

    Parameters
    ----------
    paths
        CSV or Parquet files, in any of the forms above.
    columns
        Meaning of the columns: :class:`Columns`, or text like that of the command line,
        ``"step=epoch,train_accuracy=acc,test_accuracy=val_acc,observable=cv"``.
    problems
        List to which a line is added for every file or run that is left out and for every value
        that is changed; the same lines are warnings and ``attrs["problems"]``.

    Returns
    -------
    Dataset (run, checkpoint, metric)
        Observables (run, checkpoint) with coordinate `step`, the metrics `train_loss`,
        `test_loss`, `train_accuracy`, `test_accuracy` and `mirror_free_accuracy` (run, metric)
        with coordinate `metric_step`; float64, NaN beyond the end of a run and where nothing was
        logged.  A checkpoint is a step at which an observable has a value, likewise for metrics.
        Accuracies are fractions of 1; where one exceeds 1 in any run of a file (of a folder, for
        files that are joined), all of that file are taken as per cent.  Sweep parameters are
        coordinates (run); `path` and `checksum` (run) identify the file of a run;
        ``attrs["left_out"]`` counts the files and runs that could not be read.

    Raises
    ------
    ValueError
        If no run can be read.
    """
    columns = parse_columns(columns) if isinstance(columns, str) else columns
    listed = [paths] if isinstance(paths, str | os.PathLike) else paths
    # Each file once, in the order given.
    files = {os.path.realpath(path): Path(path) for path in reversed([*listed])}
    parts, digests, left_out = _pieces([*files.values()][::-1], columns)
    runs, incomplete = _joined(parts, columns)
    left_out += incomplete
    if not runs:
        if problems is not None:
            problems += left_out
        raise ValueError(few(left_out) or "no file to read scalars from")
    ids = _unique_ids(runs)
    per_cent, unit_notes = _accuracies_in_per_cent(runs, columns)
    notes = [(r, note) for r, run in enumerate(runs) for note in run.notes] + unit_notes
    messages = [*left_out, *merged_notes((ids[r], note) for r, note in notes)]
    for line in messages:
        warnings.warn(f"left out: {line}" if line in left_out else line, stacklevel=2)
    if problems is not None:
        problems += messages
    table = _dataset(runs, ids, columns, per_cent, digests)
    return table.assign_attrs(
        source="scalars",
        schema_version=SCHEMA_VERSION,
        heatcap_version=VERSION,
        columns=columns.text(),
        problems=json.dumps(messages),
        left_out=len(left_out),
    )


def _pieces(
    files: Iterable[Path], columns: Columns
) -> tuple[list[Piece], dict[Path, str], list[str]]:
    """Pieces of runs in the files, their checksums, and a message for each bad file."""
    parts: list[Piece] = []
    digests: dict[Path, str] = {}
    left_out: list[str] = []
    for path in files:
        try:
            parts_of_file = pieces(path, columns)
            digests[path] = checksum(path)
            parts.extend(parts_of_file)
        except ValueError as error:
            left_out.append(str(error))
        except OSError as error:
            left_out.append(f"{path}: {error.strerror or error}")
    return parts, digests, left_out


def _dataset(
    runs: Sequence[Run],
    ids: Sequence[str],
    columns: Columns,
    per_cent: set[tuple[Hashable, str]],
    digest: Mapping[Path, str],
) -> xr.Dataset:
    tables = [
        _run_dataset(run, name, columns, per_cent) for run, name in zip(runs, ids, strict=True)
    ]
    joined_paths = ["; ".join(map(str, run.paths)) for run in runs]
    digests = [_digest([digest[path] for path in run.paths]) for run in runs]
    return stacked(tables).assign(
        path=("run", np.array(joined_paths, dtype=object)),
        checksum=("run", np.array(digests, dtype=object)),
    )


def _run_dataset(
    run: Run, name: str, columns: Columns, per_cent: set[tuple[Hashable, str]]
) -> xr.Dataset:
    observed = _checkpoints(run, columns.observables)
    logged = _checkpoints(run, tuple(columns.metrics.values()))
    observables = {
        variable_name(c): ("checkpoint", run.series[c][observed], {"column": c})
        for c in columns.observables
    }
    metrics = {name: ("metric", _metric(run, name, columns, per_cent)[logged]) for name in METRICS}
    values = {name: run.parameters.get(name) for name in columns.parameters}
    parameters = {name: np.nan if value is None else value for name, value in values.items()}
    steps = {
        "step": ("checkpoint", run.step[observed]),
        "metric_step": ("metric", run.step[logged]),
    }
    return xr.Dataset(observables | metrics, {"run": name} | steps | parameters)


def _checkpoints(run: Run, names: Sequence[str]) -> NDArray[np.intp]:
    """Rows of a run in which any of some columns has a value."""
    held = np.zeros(run.step.size, dtype=bool)
    for name in names:
        held |= np.isfinite(run.series[name])
    return np.flatnonzero(held)


def _metric(run: Run, name: str, columns: Columns, per_cent: set[tuple[Hashable, str]]) -> Floats:
    if name not in columns.metrics:
        return np.full(run.step.size, np.nan)
    column = columns.metrics[name]
    whole = 100 if name in ACCURACIES and (run.source, column) in per_cent else 1
    return run.series[column] / whole


def _digest(digests: Sequence[str]) -> str:
    """Checksum of a file, or of the checksums of several."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


# ---- pieces of files -> runs ----------------------------------------------------------------


def _joined(pieces: Iterable[Piece], columns: Columns) -> tuple[list[Run], list[str]]:
    """Runs in the order of their first piece, and a message for each one that is incomplete."""
    groups: dict[Hashable, list[Piece]] = {}
    for piece in pieces:
        groups.setdefault(piece.place.key, []).append(piece)
    runs, problems = [], []
    for group in groups.values():
        try:
            runs.append(_join(group, columns))
        except ValueError as error:
            problems.append(str(error))
    return runs, problems


def _unique_ids(runs: Sequence[Run]) -> list[str]:
    """Shortest unique name of every run, independent of their order."""
    rungs = [0] * len(runs)
    while True:
        ids = [run.names[rung] for run, rung in zip(runs, rungs, strict=True)]
        count = Counter(ids)
        climb = [
            i for i, run in enumerate(runs) if count[ids[i]] > 1 and rungs[i] + 1 < len(run.names)
        ]
        if not climb:
            return ids
        for i in climb:
            rungs[i] += 1


def _accuracies_in_per_cent(
    runs: Sequence[Run], columns: Columns
) -> tuple[set[tuple[Hashable, str]], list[tuple[int, str]]]:
    """The (source, column) pairs in per cent, and notes (index of the run, text) about units.

    A column is judged over all runs of its source: an accuracy that is still low in one run may
    be high in another.
    """
    highest: dict[tuple[Hashable, str], float] = {}
    for run in runs:
        for column in columns.accuracies:
            v = run.series[column]
            here = float(np.max(v, where=np.isfinite(v), initial=0.0))
            place = (run.source, column)
            highest[place] = max(here, highest.get(place, 0.0))
    # Accuracies of one source share a unit.  A column of another source that never exceeds 1 stays
    # a fraction, with a note: a control may stay below 1 per cent.
    sources = {source for (source, _), value in highest.items() if value > PER_CENT_ABOVE}
    per_cent = {place for place in highest if place[0] in sources}
    notes = []
    for r, run in enumerate(runs):
        for column in columns.accuracies:
            text = _unit_note((run.source, column), highest, per_cent)
            notes += [(r, text)] if text else []
    return per_cent, notes


def _unit_note(
    place: tuple[Hashable, str],
    highest: dict[tuple[Hashable, str], float],
    per_cent: set[tuple[Hashable, str]],
) -> str:
    _, column = place
    if place in per_cent:
        return f"{column} read as per cent"
    read = f"{column} read as a fraction, at most {shown(highest[place])}"
    if any(c == column for _, c in per_cent):
        return f"{read}, though other files have it in per cent"
    return ""


def _join(pieces: list[Piece], columns: Columns) -> Run:
    if bad := [piece.problem for piece in pieces if piece.problem]:
        raise ValueError("; ".join(sorted(bad)))
    place = pieces[0].place
    owner = _owners(pieces)
    _require(owner, pieces, columns)
    step = np.unique(np.concatenate([piece.step for piece in pieces]))
    series = {c: _along_steps(owner[c].step, owner[c].series[c], step) for c in columns.series}
    if not any(np.isfinite(series[c]).any() for c in columns.observables):
        raise ValueError(f"{place.where}no value of {', '.join(columns.observables)}")
    parameters = pieces[0].parameters
    notes = [note for piece in pieces for note in piece.notes]
    if columns.parameters and not parameters:
        notes.append(f"no {', '.join(columns.parameters)}, which this form of file does not hold")
    paths = tuple(sorted({piece.place.path for piece in pieces if piece.series}))
    return Run(place.names, place.source, paths, step, series, parameters, tuple(sorted(notes)))


def _owners(pieces: Iterable[Piece]) -> dict[str, Piece]:
    """The single piece that holds each column."""
    owner: dict[str, Piece] = {}
    for piece in pieces:
        for column in piece.series:
            if column in owner:
                both = sorted([str(owner[column].place.path), str(piece.place.path)])
                raise ValueError(f"run {piece.place.names[0]}: {' and '.join(both)} have {column}")
            owner[column] = piece
    return owner


def _require(owner: dict[str, Piece], pieces: Iterable[Piece], columns: Columns) -> None:
    offers = sorted({name for piece in pieces for name in piece.offers})
    path = min(str(piece.place.path) for piece in pieces)
    name = next(piece.place.names[0] for piece in pieces)
    for column in columns.series:
        if column not in owner:
            raise ValueError(f"{path}: run {name} has no {column!r}{nearest(column, offers)}")


def _along_steps(step: Floats, values: Floats, all_steps: Floats) -> Floats:
    out = np.full(all_steps.size, np.nan)
    out[np.searchsorted(all_steps, step)] = values
    return out
