"""Read tables of heights against size, or of one curve, into arguments of the divergence tests.

`read_heights` serves :func:`heatcap.divergence_test`, `read_curve` :func:`heatcap.peak_test`.
Commands import this module only when they run, because it needs numpy.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from heatcap.core.arrays import Floats
from heatcap.core.cells import note
from heatcap.core.choice import Choice
from heatcap.core.tables import columns_of, errors_in_cells, named, sizes_in
from heatcap.scaling.data import load_table, number_or_name, read_columns

__all__ = ["read_curve", "read_heights"]


FEW_POINTS = 5  # rows needed to take order or even distances for a grid
ALIKE = 0.75  # smallest ratio of occurrences of grid values; some runs may lack some
EVEN = 0.05  # of a distance: rounding
CONTROLS = ("control", "temperature", "T", "beta", "K", "x")  # names of a control


def read_heights(
    path: Path,
    size: str,
    value: str,
    error: str | None,
    names: list[str] | None,
    runs: str | None = None,
    choice: Choice | None = None,
) -> dict[str, Any]:
    """Read the arguments of `divergence_test`: heights with errors, covariance, replicates or none.

    Raises
    ------
    ValueError
        If a column is missing or holds unusable values, or the rows are curves along a control.
    """
    if runs is not None and error is None:
        raise ValueError("--runs needs --error: it says how many runs an error comes from")
    count = number_or_name(runs)
    counted = [count] if isinstance(count, str) else []
    wanted = [size, value, *([error] if error else []), *counted]
    table, beside = load_table(path, names=names, value=value, wanted=wanted)
    named(table, wanted, f"{path}: ")
    columns = columns_of(table, wanted[1:], f"{path}: ") | {
        size: sizes_in(table, size, f"{path}: ")
    }
    if error is None and (within := errors_in_cells(table, value, f"{path}: ")) is not None:
        error = f"error of {value}"
        columns[error] = within
        note(f"{path}: errors of {value!r} are those within its cells")
    sizes, heights = columns[size], columns[value]
    used = np.ones(sizes.size, dtype=bool) if choice is None else choice.rows(sizes)
    _refuse_curves(path, table[used], size, wanted)
    _refuse_bad(
        path, size, sizes, used & ~(np.isfinite(sizes) & (sizes > 1)), "a finite size above 1"
    )
    _refuse_bad(path, value, heights, used & np.isinf(heights), "a finite height")
    # An empty height is a run without a peak: it is counted, not silently dropped.
    there = used & ~np.isnan(heights)
    empty, counts = np.unique(sizes[used & ~there], return_counts=True)
    missing = dict(zip(empty.tolist(), counts.tolist(), strict=True))

    def heights_of(**errors: Floats) -> dict[str, Any]:
        arguments = {"sizes": sizes[there], "heights": heights[there], "missing": missing}
        return arguments | errors

    if error is not None:
        errors = columns[error]
        bad = there & ~(np.isfinite(errors) & (errors > 0))
        _refuse_bad(path, error, errors, bad, "a positive error")
        _each_once(path, size, sizes, there)
        arguments = heights_of(errors=errors[there])
        if runs is not None:
            arguments["runs"] = columns[count][there] if isinstance(count, str) else count
        return arguments
    if (covariance := _covariance(beside)) is not None:
        _each_once(path, size, sizes, there)
        return heights_of(covariance=covariance[np.ix_(there, there)])
    distinct, counts = np.unique(sizes[there], return_counts=True)
    if counts.size and counts.max() > 1:
        rows = [np.flatnonzero(there & (sizes == s)) for s in distinct]
        return {
            "sizes": distinct,
            "heights": None,
            "replicates": [heights[of_size] for of_size in rows],
            "labels": [[f"row {i + 1} of the data" for i in of_size] for of_size in rows],
            "missing": missing,
        }
    if unused := [str(name) for name in table.columns if name not in (*wanted, "index", "point")]:
        listed = ", ".join(map(repr, unused))
        warnings.warn(f"{path}: no --error; columns that were not used: {listed}", stacklevel=2)
    return heights_of()


def _refuse_curves(path: Path, table: pd.DataFrame, size: str, wanted: list[str]) -> None:
    """Refuse rows of one size that are points of a curve along a control, and not runs."""
    for name in map(str, table.columns):
        called = name if len(name) == 1 else name.lower()
        if called not in CONTROLS or name in wanted:
            continue
        differ = table.groupby(size)[name].nunique().max() > 1
        numbers = pd.to_numeric(table[name], errors="coerce")
        if differ and _along_a_grid(numbers.groupby(table[size])):
            raise ValueError(
                f"{path}: rows of one {size} differ in {name!r}: these are curves, and no heights."
                f" Their peaks against the size: --size {size} --control {name}; one curve: --at"
                f" SIZE, too. If every row is a run, leave the column {name!r} out of the table"
            )
        empty = table[name].astype(str).str.strip().str.lower().isin(["", "nan"])
        if differ and (numbers.notna() | empty).all():
            message = f"{path}: every row was taken for a run of its {size}; {name!r} was not used"
            warnings.warn(message, stacklevel=3)
        elif differ:
            kinds = ", ".join(map(str, table[name].unique()[:4]))
            raise ValueError(
                f"{path}: rows of one {size} differ in {name!r} ({kinds}): these are no runs of one"
                " kind; keep the rows of one"
            )


def _along_a_grid(by_size: Iterable[tuple[Any, pd.Series[Any]]]) -> bool:
    """Whether values of a control were set on a grid, and are not measured, as peak positions are.

    Values of a grid occur equally often at their size.  They occur at other sizes too, or are in
    order or at even distances.
    """
    columns = [column.dropna().to_numpy(dtype=np.float64) for _, column in by_size]
    distinct = [np.unique(column, return_counts=True) for column in columns]
    sets = [set(values.tolist()) for values, _ in distinct]
    grids = 0
    for k, (values, counts) in enumerate(distinct):
        others = set().union(*sets[:k], *sets[k + 1 :])
        shared = len(sets[k] & others) * 2 >= len(values)
        same = len(sets) > 1 and all(grid == sets[k] for grid in sets)
        steps = np.diff(columns[k])
        in_order = bool((steps > 0).all() or (steps < 0).all())
        row = len(values) >= FEW_POINTS and (in_order or _evenly_spaced(values))
        several = len(values) > 1 and ALIKE * counts.max() <= counts.min()
        grids += several and (same or row or (shared and len(values) > 2))
    return 2 * grids > len(distinct)


def _evenly_spaced(values: Floats) -> bool:
    """Whether distances, or ratios, of sorted values are equal up to rounding."""
    scales = [values, np.log(values)] if values[0] > 0 else [values]
    return any(np.ptp(np.diff(scale)) < EVEN * np.diff(scale).mean() for scale in scales)


def _refuse_bad(path: Path, name: str, column: Floats, bad: Any, expected: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        got = "an empty cell" if np.isnan(column[row]) else f"{column[row]:g}"
        raise ValueError(
            f"{path}: row {row + 1} of the data, column {name!r}: expected {expected}, got {got}"
        )


def _each_once(path: Path, size: str, sizes: Floats, there: Any) -> None:
    first: dict[float, int] = {}
    for row, (value, has_height) in enumerate(zip(sizes.tolist(), there.tolist(), strict=True), 1):
        if has_height and first.setdefault(value, row) != row:
            raise ValueError(
                f"{path}: rows {first[value]} and {row} of the data, column {size!r}: both have"
                f" {value:g}, expected every size once; runs of one size go without --error"
            )


def read_curve(
    path: Path,
    control: str,
    value: str,
    error: str | None,
    names: list[str] | None,
    picked: tuple[str, float] | None,
    choice: Choice | None = None,
) -> dict[str, Any]:
    """Read the arguments of `peak_test`: rows of one size that have a value.

    Raises
    ------
    ValueError
        If a column is missing, no row has the size, or a control, value or error is unusable.
    """
    wanted = [control, value, *([error] if error else []), *([picked[0]] if picked else [])]
    columns, beside = read_columns(path, wanted, names=names, value=value)
    x, y = columns[control], columns[value]
    rows = ~np.isnan(y)
    if choice is not None:
        rows &= choice.rows(control=x)
    if picked is not None:
        size, at = picked
        sizes = columns[size]
        rows &= sizes == at
        if not rows.any():
            listed = ", ".join(f"{present:g}" for present in np.unique(sizes))
            raise ValueError(f"{path}: no row with {size} = {at:g}; there is {listed}")
    _refuse_bad(path, control, x, rows & ~np.isfinite(x), "a finite control")
    _refuse_bad(path, value, y, rows & np.isinf(y), "a finite value")
    curve = {"control": x[rows], "values": y[rows]}
    if error is not None:
        errors = columns[error]
        bad = rows & ~(np.isfinite(errors) & (errors > 0))
        _refuse_bad(path, error, errors, bad, "a positive error")
        return curve | {"errors": errors[rows]}
    covariance = _covariance(beside)
    return curve if covariance is None else curve | {"covariance": covariance[np.ix_(rows, rows)]}


def _covariance(beside: dict[str, Floats]) -> Floats | None:
    """Covariance of all rows, from the table or from the replicates behind the values."""
    if "replicates" in beside:
        return np.asarray(np.cov(beside["replicates"].T) / len(beside["replicates"]))
    return beside.get("covariance")
