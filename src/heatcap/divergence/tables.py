"""Read tables of heights against size, or of one curve, into arguments of the divergence tests.

`read_heights` serves :func:`heatcap.divergence_test`, `read_curve` :func:`heatcap.peak_test`.
Commands import this module only when they run, because it needs numpy.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.core.cells import TableNote, listed, note
from heatcap.core.choice import Choice
from heatcap.scaling.data import number_or_name
from heatcap.scaling.loading import Shape, Tables, Wanted, read_rows, zeros_named

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_curve", "read_heights"]


FEW_POINTS = 5  # rows needed to take order or even distances for a grid
ALIKE = 0.75  # smallest ratio of occurrences of grid values; some runs may lack some
EVEN = 0.05  # of a distance: rounding
CONTROLS = ("control", "temperature", "T", "beta", "K", "x")  # names of a control


def read_heights(
    table: Tables,
    size: str,
    value: str,
    error: str | None,
    names: list[str] | None,
    runs: str | None = None,
    choice: Choice | None = None,
    **how: Any,
) -> dict[str, Any]:
    """Read the arguments of `divergence_test`: heights with errors, covariance, replicates or none.

    `how` has keywords of :class:`heatcap.scaling.loading.Shape`.

    Raises
    ------
    ValueError
        If a column is missing or holds unusable values, or the rows are curves along a control.
    """
    if runs is not None and error is None:
        raise ValueError("--runs needs --error: it says how many runs an error comes from")
    count = number_or_name(runs)
    counted = count if isinstance(count, str) else None
    shape = Shape(**how)
    with warnings.catch_warnings():
        # Without errors all columns that are not used are named below.
        warnings.filterwarnings("ignore", "column .* looks like the errors", TableNote)
        rows = read_rows(
            table, Wanted(size, None, value, error, runs=counted), shape, names, choice
        )
    columns, called = rows.columns, rows.called
    if rows.message:
        note(f"{called}{rows.message}")
    wanted = [size, value, *filter(None, [error, counted]), *(shape.interval or ())]
    sizes, heights, used = columns["size"], columns["value"], rows.used
    _refuse_curves(called, rows.data[used], size, wanted)
    _refuse_bad(
        called, size, sizes, used & ~(np.isfinite(sizes) & (sizes > 1)), "a finite size above 1"
    )
    _refuse_bad(called, value, heights, used & np.isinf(heights), "a finite height")
    # An empty height is a run without a peak: it is counted, not silently dropped.
    there = used & ~np.isnan(heights)
    empty, counts = np.unique(sizes[used & ~there], return_counts=True)
    missing = dict(zip(empty.tolist(), counts.tolist(), strict=True))

    def heights_of(**errors: Floats) -> dict[str, Any]:
        arguments = {"sizes": sizes[there], "heights": heights[there], "missing": missing}
        return arguments | errors

    if "error" in columns:
        errors = columns["error"]
        _refuse_errors(called, error or f"error of {value}", errors, there, sizes)
        _each_once(called, size, sizes, there)
        arguments = heights_of(errors=errors[there])
        if runs is not None:
            arguments["runs"] = columns["runs"][there] if counted is not None else count
        return arguments
    if (covariance := _covariance(rows.beside)) is not None:
        _each_once(called, size, sizes, there)
        return heights_of(covariance=covariance[np.ix_(there, there)])
    distinct, counts = np.unique(sizes[there], return_counts=True)
    if counts.size and counts.max() > 1:
        of_sizes = [np.flatnonzero(there & (sizes == s)) for s in distinct]
        return {
            "sizes": distinct,
            "heights": None,
            "replicates": [heights[of_size] for of_size in of_sizes],
            "labels": [[f"row {i + 1} of the data" for i in of_size] for of_size in of_sizes],
            "missing": missing,
        }
    if unused := [str(name) for name in rows.data if name not in (*wanted, "index", "point")]:
        message = f"{called}no --error; columns that were not used: {listed(unused)}"
        warnings.warn(message, stacklevel=2)
    return heights_of()


def _refuse_curves(called: str, table: pd.DataFrame, size: str, wanted: list[str]) -> None:
    """Refuse rows of one size that are points of a curve along a control, and not runs."""
    import pandas as pd

    for name in map(str, table.columns):
        called = name if len(name) == 1 else name.lower()
        if called not in CONTROLS or name in wanted:
            continue
        differ = table.groupby(size)[name].nunique().max() > 1
        numbers = pd.to_numeric(table[name], errors="coerce")
        if differ and _along_a_grid(numbers.groupby(table[size])):
            raise ValueError(
                f"{called}rows of one {size} differ in {name!r}: these are curves, and no heights."
                f" Their peaks against the size: --size {size} --control {name}; one curve: --at"
                f" SIZE, too. If every row is a run, leave the column {name!r} out of the table"
            )
        empty = table[name].astype(str).str.strip().str.lower().isin(["", "nan"])
        if differ and (numbers.notna() | empty).all():
            message = f"{called}every row was taken for a run of its {size}; {name!r} was not used"
            warnings.warn(message, stacklevel=3)
        elif differ:
            kinds = ", ".join(map(str, table[name].unique()[:4]))
            raise ValueError(
                f"{called}rows of one {size} differ in {name!r} ({kinds}): these are no runs of one"
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


def _refuse_bad(
    called: str, name: str, column: Floats, bad: Any, expected: str, more: str = ""
) -> None:
    if bad.any():
        row = int(bad.argmax())
        got = "an empty cell" if np.isnan(column[row]) else f"{column[row]:g}"
        raise ValueError(
            f"{called}row {row + 1} of the data, column {name!r}: expected {expected}, got {got}"
            + more
        )


def _refuse_errors(
    called: str, name: str, errors: Floats, used: Any, sizes: Floats | None = None
) -> None:
    """Refuse errors of rows that are used and not positive; zeros are counted."""
    bad = used & ~(np.isfinite(errors) & (errors > 0))
    zeros = zeros_named(errors[used], None if sizes is None else sizes[used])
    _refuse_bad(called, name, errors, bad, "a positive error", zeros)


def _each_once(called: str, size: str, sizes: Floats, there: Any) -> None:
    first: dict[float, int] = {}
    for row, (value, has_height) in enumerate(zip(sizes.tolist(), there.tolist(), strict=True), 1):
        if has_height and first.setdefault(value, row) != row:
            raise ValueError(
                f"{called}rows {first[value]} and {row} of the data, column {size!r}: both have"
                f" {value:g}, expected every size once; runs of one size go without --error"
            )


def read_curve(
    table: Tables,
    control: str,
    value: str,
    error: str | None,
    names: list[str] | None,
    picked: tuple[str, float] | None,
    choice: Choice | None = None,
    **how: Any,
) -> dict[str, Any]:
    """Read the arguments of `peak_test`: rows of one size that have a value.

    `how` has keywords of :class:`heatcap.scaling.loading.Shape`.

    Raises
    ------
    ValueError
        If a column is missing, no row has the size, or a control, value or error is unusable.
    """
    size = picked[0] if picked else None
    rows = read_rows(table, Wanted(size, control, value, error), Shape(**how), names, choice)
    columns, called = rows.columns, rows.called
    if rows.message:
        note(f"{called}{rows.message}")
    x, y = columns["control"], columns["value"]
    used = rows.used & ~np.isnan(y)
    if picked is not None:
        sizes, at = columns["size"], picked[1]
        used &= sizes == at
        if not used.any():
            there = ", ".join(f"{present:g}" for present in np.unique(sizes)[:12])
            raise ValueError(f"{called}no row with {size} = {at:g}; there is {there}")
    _refuse_bad(called, control, x, used & ~np.isfinite(x), "a finite control")
    _refuse_bad(called, value, y, used & np.isinf(y), "a finite value")
    curve = {"control": x[used], "values": y[used]}
    if "error" in columns:
        errors = columns["error"]
        _refuse_errors(called, error or f"error of {value}", errors, used)
        return curve | {"errors": errors[used]}
    covariance = _covariance(rows.beside)
    return curve if covariance is None else curve | {"covariance": covariance[np.ix_(used, used)]}


def _covariance(beside: dict[str, Floats]) -> Floats | None:
    """Covariance of all rows, from the table or from the replicates behind the values."""
    if "replicates" in beside:
        return np.asarray(np.cov(beside["replicates"].T) / len(beside["replicates"]))
    return beside.get("covariance")
