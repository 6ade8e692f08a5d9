"""Files of scalars -> one labelled Dataset for all their runs."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.core.version import VERSION
from heatcap.observables.dataset import SCHEMA_VERSION
from heatcap.observables.scalars.columns import (
    ACCURACIES,
    METRICS,
    Columns,
    parse_columns,
    variable_name,
)
from heatcap.observables.scalars.forms import Piece, pieces
from heatcap.observables.scalars.join import Run, accuracies_in_per_cent, joined, unique_ids
from heatcap.observables.side_by_side import stacked
from heatcap.runfile import checksum, told

__all__ = ["read_scalars"]

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def read_scalars(
    paths: Paths, columns: Columns | str, *, problems: list[str] | None = None
) -> xr.Dataset:
    """Scalars along training, of all runs in some tables.

    Parameters
    ----------
    paths
        CSV or Parquet files, in any of the forms above.
    columns
        What the columns mean: :class:`Columns`, or text like that of the command line,
        ``"step=epoch,train_accuracy=acc,test_accuracy=val_acc,observable=cv"``.
    problems
        Gets a line for every file or run that is left out and for every value that is not taken
        as it stands; the same lines are warnings and ``attrs["problems"]``.

    Returns
    -------
    Dataset (run, checkpoint, metric)
        Observables (run, checkpoint) with coordinate `step`, the metrics `train_loss`,
        `test_loss`, `train_accuracy`, `test_accuracy` and `mirror_free_accuracy` (run, metric)
        with coordinate `metric_step`; float64, NaN beyond the end of a run and where nothing was
        logged.  A checkpoint is a step at which an observable has a value, likewise for metrics.
        Accuracies are fractions of 1; where one exceeds 1 in any run of a file (of a folder, for
        files that are joined), all of that file are taken as per cent.  Sweep parameters are
        coordinates (run); `path` and `checksum` (run) say where a run comes from;
        ``attrs["left_out"]`` counts the files and runs that could not be read.

    Raises
    ------
    ValueError
        If no run can be read.
    """
    columns = parse_columns(columns) if isinstance(columns, str) else columns
    files = _files(paths)
    found, digests, left_out = _pieces(files, columns)
    runs, incomplete = joined(found, columns)
    left_out += incomplete
    if not runs:
        if problems is not None:
            problems += left_out
        raise ValueError("; ".join(left_out) or "no file to read scalars from")
    ids = unique_ids(runs)
    per_cent, unit_notes = accuracies_in_per_cent(runs, columns)
    notes = [(r, note) for r, run in enumerate(runs) for note in run.notes] + unit_notes
    said = [*left_out, *told((ids[r], note) for r, note in notes)]
    for line in said:
        warnings.warn(f"left out: {line}" if line in left_out else line, stacklevel=2)
    if problems is not None:
        problems += said
    table = _dataset(runs, ids, columns, per_cent, digests)
    return table.assign_attrs(_stamp(columns, said) | {"left_out": len(left_out)})


def _files(paths: Paths) -> list[Path]:
    """Files in the order given, each once."""
    listed = [paths] if isinstance(paths, str | os.PathLike) else paths
    return list({os.path.realpath(path): Path(path) for path in reversed([*listed])}.values())[::-1]


def _pieces(
    files: Iterable[Path], columns: Columns
) -> tuple[list[Piece], dict[Path, str], list[str]]:
    """What the files hold, their checksums, and a message for each one that is bad."""
    found: list[Piece] = []
    digests: dict[Path, str] = {}
    left_out: list[str] = []
    for path in files:
        try:
            held = pieces(path, columns)
            digests[path] = checksum(path)
            found.extend(held)
        except ValueError as error:
            left_out.append(str(error))
        except OSError as error:
            left_out.append(f"{path}: {error.strerror or error}")
    return found, digests, left_out


def _dataset(
    runs: Sequence[Run],
    ids: Sequence[str],
    columns: Columns,
    per_cent: set[tuple[Hashable, str]],
    digest: Mapping[Path, str],
) -> xr.Dataset:
    tables = [
        _of_run(run, columns, per_cent).assign_coords(run=name)
        for run, name in zip(runs, ids, strict=True)
    ]
    joined_paths = ["; ".join(map(str, run.paths)) for run in runs]
    digests = [_digest([digest[path] for path in run.paths]) for run in runs]
    return stacked(tables).assign(
        path=("run", np.array(joined_paths, dtype=object)),
        checksum=("run", np.array(digests, dtype=object)),
    )


def _of_run(run: Run, columns: Columns, per_cent: set[tuple[Hashable, str]]) -> xr.Dataset:
    seen = _checkpoints(run, columns.observables)
    logged = _checkpoints(run, tuple(columns.metrics.values()))
    observables = {
        variable_name(c): ("checkpoint", run.series[c][seen], {"column": c})
        for c in columns.observables
    }
    metrics = {name: ("metric", _metric(run, name, columns, per_cent)[logged]) for name in METRICS}
    given = {name: run.parameters.get(name) for name in columns.parameters}
    parameters = {name: np.nan if value is None else value for name, value in given.items()}
    steps = {"step": ("checkpoint", run.step[seen]), "metric_step": ("metric", run.step[logged])}
    return xr.Dataset(observables | metrics, steps | parameters)


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


def _stamp(columns: Columns, problems: Sequence[str]) -> dict[str, Any]:
    return {
        "source": "scalars",
        "schema_version": SCHEMA_VERSION,
        "heatcap_version": VERSION,
        "columns": columns.text(),
        "problems": json.dumps(list(problems)),
    }
