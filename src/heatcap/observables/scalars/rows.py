"""Rows of one run: brought to steps that increase, or refused."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats

__all__ = ["any_value", "in_order", "shown"]

Series = dict[str, Floats]


def in_order(
    step: Floats,
    series: Series,
    row: NDArray[np.intp],
    where: str,
    accuracies: Collection[str],
    hint: str = "",
) -> tuple[Floats, Series, tuple[str, ...]]:
    """Steps that increase and the columns along them.

    Rows without any value are left out.  Rows of one step that fill different columns are one
    row; loggers write each metric when they have it.

    Parameters
    ----------
    step : (row,)
    series
        Columns (row,), NaN where a cell is empty.
    row : (row,)
        Numbers of the rows in their file, for messages.
    where
        File and run, to begin messages with.
    accuracies
        Columns that must lie between 0 and 100.
    hint
        What may help if steps decrease.

    Returns
    -------
    step : (step,)
    series
        Columns (step,); infinite values are NaN.
    notes
        What was left out.

    Raises
    ------
    ValueError
        If no row is left, steps decrease, two rows of a step fill the same column, or an accuracy
        is out of range.
    """
    some = any_value(series)
    kept = some & np.isfinite(step)
    notes = [f"{n} rows without a step left out"] if (n := int((some & ~kept).sum())) else []
    if not kept.any():
        raise ValueError(f"{where}no row has a step and a value of {', '.join(series)}")
    step, row = step[kept], row[kept]
    series = {column: v[kept] for column, v in series.items()}
    _check_accuracies(series, accuracies, row, where)
    if (falls := np.flatnonzero(np.diff(step) < 0)).size:
        raise _disorder(where, row, step, falls[0], hint)
    starts = np.flatnonzero(np.diff(step, prepend=-np.inf) > 0)
    if starts.size < step.size:
        series = _merged(step, series, row, starts, where, hint)
    for column, v in series.items():
        if n := int(np.isinf(v).sum()):
            notes.append(f"{n} infinite value{'s' * (n > 1)} of {column} read as missing")
            series[column] = np.where(np.isinf(v), np.nan, v)
    return step[starts], series, tuple(notes)


def any_value(series: Series) -> NDArray[np.bool_]:
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
    # fmax passes over NaN, so it picks the one value there is.
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
