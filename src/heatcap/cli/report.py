"""Command `report`: one page of answers, from observables or tables of scalars."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heatcap.cli.application import (
    app,
    check_observables,
    check_outputs,
    command,
    fail_if,
    plain_errors,
    progress,
    say,
)
from heatcap.cli.training import ColumnsOption, RecordPaths, Smoothing, observables_of
from heatcap.cli.verdict import Effect, KappaMin, Level, Ratio
from heatcap.core.text import legible
from heatcap.core.writing import html_path

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["report"]


@app.command()
def report(
    records: RecordPaths,
    output: Annotated[Path, typer.Option("-o", "--output", help="REPORT.html to write.")],
    observable: Annotated[
        list[str] | None, typer.Option(help="Observable to report; repeat for several.")
    ] = None,
    columns: ColumnsOption = "",
    title: Annotated[str, typer.Option(help="Of the page.")] = "",
    smoothing: Smoothing = 0.1,
    level: Level = 0.95,
    kappa_min: KappaMin = 0.1,
    saturation_ratio: Ratio = 2.0,
    smallest_effect: Effect = 0.05,
    seed: Annotated[int, typer.Option(help="Of permutations and draws.")] = 0,
) -> None:
    """Answers, warnings, figures and tables on one HTML page that loads nothing.

    Is there a peak, does it precede generalisation, does it diverge with the size: for every
    observable, with what the answers rest on.  Several OBS.nc are put side by side.
    """
    from heatcap.divergence import margins as of_verdicts

    with plain_errors():
        check_outputs(records, output)
        html_path(output)
        margins = of_verdicts.Margins(kappa_min, saturation_ratio, smallest_effect)
        of_verdicts.check_level(level)
        obs = _observables(records, columns)
        from heatcap.report import build_report, check_level  # seconds, with matplotlib

        check_level(level)
        with progress(100, "answering, %") as shown:
            page = build_report(
                obs,
                *(observable or ()),
                smoothing=smoothing,
                level=level,
                margins=margins,
                rng=seed,
                sources=records,
                # Equal inputs give equal pages, wherever they are written.
                command=command(without=("-o", "--output")),
                title=title,
                progress=_per_cent(shown),
            )
        with progress(100, "drawing, %") as shown:
            page.save(output, progress=_per_cent(shown))
        say(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
        say(page.summary(), lines=True)
    fail_if(obs.attrs.get("left_out", 0) > 0)


def _observables(paths: list[Path], columns: str) -> xr.Dataset:
    """Files of observables side by side, or tables as `heatcap events` reads them."""
    from heatcap.core.tables import is_table

    if not columns and not any(is_table(path) for path in paths):
        if len(paths) == 1:
            check_observables(paths[0])
        from heatcap.observables import load

        tables: dict[str, xr.Dataset] = {}
        problems: list[str] = []
        for path in paths:
            if any(os.path.realpath(path) == os.path.realpath(other) for other in tables):
                raise ValueError(f"{path}: is given twice")
            try:
                tables[str(path)] = load(path)
            except ValueError as problem:
                problems.append(str(problem))
        return _joined(tables, problems)
    return observables_of(paths, columns)[0]


def _joined(tables: dict[str, xr.Dataset], problems: list[str]) -> xr.Dataset:
    """Observables of the files that fit together; the page names the others, with `problems`."""
    import json
    import warnings

    from heatcap.observables.dataset import problems_of
    from heatcap.observables.side_by_side import fitting

    side_by_side, problems = fitting(tables, problems)
    for problem in problems:
        warnings.warn(f"left out: {problem}", stacklevel=2)
    table = legible(side_by_side)
    left_out = int(table.attrs.get("left_out", 0)) + len(problems)
    listed = json.dumps([*problems_of(table), *problems])
    return table.assign_attrs(problems=listed, left_out=left_out) if problems else table


def _per_cent(shown: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """Progress of parts as a share of a hundred."""
    return lambda done, total: shown(100 * done // total, 100)
