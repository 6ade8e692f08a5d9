"""Tables of heights against size, or of one curve, as arguments of the tests of divergence.

Imported by a command when it runs: it needs numpy.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from heatcap.core.arrays import Floats
from heatcap.core.tables import columns_of
from heatcap.scaling.data import load_table, number_or_name, read_columns

__all__ = ["read_curve", "read_heights"]


FEW_POINTS = 5  # rows from which on order or even distances are no chance
ALIKE = 0.75  # least over most occurrences of values that were set; some runs may lack some
EVEN = 0.05  # of a distance: rounding
CONTROLS = ("control", "temperature", "T", "beta", "K", "x")  # names of a control


def read_heights(
    path: Path,
    size: str,
    value: str,
    error: str | None,
    names: list[str] | None,
    runs: str | None = None,
) -> dict[str, Any]:
    """Arguments of the test by size: heights with errors, a covariance, replicates, or neither."""
    if runs is not None and error is None:
        raise ValueError("--runs needs --error: it says how many runs an error comes from")
    count = number_or_name(runs)
    counted = [count] if isinstance(count, str) else []
    wanted = [size, value, *([error] if error else []), *counted]
    table, beside = load_table(path, names=names, value=value)
    columns = columns_of(table, wanted, f"{path}: ")
    _refuse_curves(path, table, size, wanted)
    sizes, heights = columns[size], columns[value]
    _refuse(path, size, sizes, ~(np.isfinite(sizes) & (sizes > 1)), "a finite size above 1")
    _refuse(path, value, heights, np.isinf(heights), "a finite height")
    # An empty height is a run without a peak: it is stated, not dropped in silence.
    there = ~np.isnan(heights)
    empty, counts = np.unique(sizes[~there], return_counts=True)
    missing = dict(zip(empty.tolist(), counts.tolist(), strict=True))

    def heights_of(**errors: Floats) -> dict[str, Any]:
        known = {"sizes": sizes[there], "heights": heights[there], "missing": missing}
        return known | errors

    if error is not None:
        errors = columns[error]
        bad = there & ~(np.isfinite(errors) & (errors > 0))
        _refuse(path, error, errors, bad, "a positive error")
        _each_once(path, size, sizes, there)
        given = heights_of(errors=errors[there])
        if runs is not None:
            given["runs"] = columns[count][there] if isinstance(count, str) else count
        return given
    if (covariance := _covariance(beside)) is not None:
        _each_once(path, size, sizes, there)
        return heights_of(covariance=covariance[np.ix_(there, there)])
    known, counts = np.unique(sizes[there], return_counts=True)
    if counts.size and counts.max() > 1:
        rows = [np.flatnonzero(there & (sizes == each)) for each in known]
        return {
            "sizes": known,
            "heights": None,
            "replicates": [heights[each] for each in rows],
            "labels": [[f"row {row + 1} of the data" for row in each] for each in rows],
            "missing": missing,
        }
    if unused := [str(name) for name in table.columns if name not in (*wanted, "index", "point")]:
        listed = ", ".join(map(repr, unused))
        warnings.warn(f"{path}: no --error; columns that were not used: {listed}", stacklevel=2)
    return heights_of()


def _refuse_curves(path: Path, table: pd.DataFrame, size: str, wanted: list[str]) -> None:
    """Rows of a size along a grid of a control are a curve, and no runs of that size."""
    for name in map(str, table.columns):
        known = name if len(name) == 1 else name.lower()
        if known not in CONTROLS or name in wanted:
            continue
        differ = table.groupby(size)[name].nunique().max() > 1
        numbers = pd.to_numeric(table[name], errors="coerce")
        if differ and _along_a_grid(numbers.groupby(table[size])):
            raise ValueError(
                f"{path}: rows of one {size} differ in {name!r}: these are curves, and no heights."
                f" One curve: --size {size} --control {name} --at SIZE; the height of the peak of"
                f" each size: heatcap extrema, with --size {size} --control {name}. If every row is"
                f" a run, leave the column {name!r} out of the table"
            )
        empty = table[name].astype(str).str.strip().str.lower().isin(["", "nan"])
        if differ and (numbers.notna() | empty).all():
            said = f"{path}: every row was taken for a run of its {size}; {name!r} was not used"
            warnings.warn(said, stacklevel=3)
        elif differ:
            kinds = ", ".join(map(str, table[name].unique()[:4]))
            raise ValueError(
                f"{path}: rows of one {size} differ in {name!r} ({kinds}): these are no runs of one"
                " kind; keep the rows of one"
            )


def _along_a_grid(by_size: Iterable[tuple[Any, pd.Series[Any]]]) -> bool:
    """Whether a control was set, by a grid, and not found, as the place of a peak is.

    Values that were set occur equally often at their size.  They are those of other sizes too, or
    stand in order or at even distances.
    """
    columns = [column.dropna().to_numpy(dtype=np.float64) for _, column in by_size]
    known = [np.unique(column, return_counts=True) for column in columns]
    sets = [set(values.tolist()) for values, _ in known]
    grids = 0
    for k, (values, counts) in enumerate(known):
        others = set().union(*sets[:k], *sets[k + 1 :])
        shared = len(sets[k] & others) * 2 >= len(values)
        same = len(sets) > 1 and all(each == sets[k] for each in sets)
        row = len(values) >= FEW_POINTS and (_in_order(columns[k]) or _even(values))
        several = len(values) > 1 and ALIKE * counts.max() <= counts.min()
        grids += several and (same or row or (shared and len(values) > 2))
    return 2 * grids > len(known)


def _in_order(column: Floats) -> bool:
    steps = np.diff(column)
    return bool((steps > 0).all() or (steps < 0).all())


def _even(values: Floats) -> bool:
    """Whether distances, or ratios, of sorted values are equal but for their last digits."""
    scales = [values, np.log(values)] if values[0] > 0 else [values]
    return any(np.ptp(np.diff(each)) < EVEN * np.diff(each).mean() for each in scales)


def _refuse(path: Path, name: str, column: Floats, bad: Any, expected: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        got = "an empty cell" if np.isnan(column[row]) else f"{column[row]:g}"
        raise ValueError(
            f"{path}: row {row + 1} of the data, column {name!r}: expected {expected}, got {got}"
        )


def _each_once(path: Path, size: str, sizes: Floats, there: Any) -> None:
    first: dict[float, int] = {}
    for row, (each, known) in enumerate(zip(sizes.tolist(), there.tolist(), strict=True), 1):
        if known and first.setdefault(each, row) != row:
            raise ValueError(
                f"{path}: rows {first[each]} and {row} of the data, column {size!r}: both have"
                f" {each:g}, expected every size once; runs of one size go without --error"
            )


def read_curve(
    path: Path,
    control: str,
    value: str,
    error: str | None,
    names: list[str] | None,
    picked: tuple[str, float] | None,
) -> dict[str, Any]:
    """Arguments of the test along the control: rows of one size that have a value."""
    wanted = [control, value, *([error] if error else []), *([picked[0]] if picked else [])]
    columns, beside = read_columns(path, wanted, names=names, value=value)
    x, y = columns[control], columns[value]
    rows = ~np.isnan(y)
    if picked is not None:
        size, at = picked
        sizes = columns[size]
        rows &= sizes == at
        if not rows.any():
            known = ", ".join(f"{each:g}" for each in np.unique(sizes))
            raise ValueError(f"{path}: no row with {size} = {at:g}; there is {known}")
    _refuse(path, control, x, rows & ~np.isfinite(x), "a finite control")
    _refuse(path, value, y, rows & np.isinf(y), "a finite value")
    curve = {"control": x[rows], "values": y[rows]}
    if error is not None:
        errors = columns[error]
        bad = rows & ~(np.isfinite(errors) & (errors > 0))
        _refuse(path, error, errors, bad, "a positive error")
        return curve | {"errors": errors[rows]}
    covariance = _covariance(beside)
    return curve if covariance is None else curve | {"covariance": covariance[np.ix_(rows, rows)]}


def _covariance(beside: dict[str, Floats]) -> Floats | None:
    """Of all rows, where the table has it or replicates whose mean the values are."""
    if "replicates" in beside:
        return np.asarray(np.cov(beside["replicates"].T) / len(beside["replicates"]))
    return beside.get("covariance")
