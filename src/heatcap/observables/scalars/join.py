"""Pieces of files -> runs, each with one id and accuracies between 0 and 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.observables.scalars.columns import Columns
from heatcap.observables.scalars.forms import Parameter, Piece
from heatcap.observables.scalars.rows import shown
from heatcap.observables.scalars.table import nearest

__all__ = ["Run", "accuracies_in_per_cent", "joined", "unique_ids"]


#: An accuracy above is in per cent; a fraction may exceed 1 by a slip, not by so much.
PER_CENT_ABOVE = 1.001  # no fraction exceeds 1, but for rounding


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


def joined(pieces: Iterable[Piece], columns: Columns) -> tuple[list[Run], list[str]]:
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


def unique_ids(runs: Sequence[Run]) -> list[str]:
    """The shortest name of every run that no other has; it does not depend on their order."""
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


def accuracies_in_per_cent(
    runs: Sequence[Run], columns: Columns
) -> tuple[set[tuple[Hashable, str]], list[tuple[int, str]]]:
    """Which (source, column) is in per cent, and notes (index of the run, text) that say so.

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
    # Accuracies that were logged together have one unit; so has a column over all files, unless it
    # never exceeds 1 there: a control may stay at 1 per cent.
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
    series = {c: _spread(owner[c].step, owner[c].series[c], step) for c in columns.series}
    if not any(np.isfinite(series[c]).any() for c in columns.observables):
        raise ValueError(f"{place.where}no value of {', '.join(columns.observables)}")
    parameters = pieces[0].parameters
    notes = [note for piece in pieces for note in piece.notes]
    if columns.parameters and not parameters:
        notes.append(f"no {', '.join(columns.parameters)}, which this form of file does not hold")
    paths = tuple(sorted({piece.place.path for piece in pieces if piece.series}))
    return Run(place.names, place.source, paths, step, series, parameters, tuple(sorted(notes)))


def _owners(pieces: Iterable[Piece]) -> dict[str, Piece]:
    """The one piece that holds a column."""
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


def _spread(step: Floats, values: Floats, all_steps: Floats) -> Floats:
    out = np.full(all_steps.size, np.nan)
    out[np.searchsorted(all_steps, step)] = values
    return out
