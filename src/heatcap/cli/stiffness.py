"""The Kosterlitz-Thouless transition by the stiffness."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heatcap.cli._app import app
from heatcap.cli._shared import check_outputs, plain_errors, save_figure, words, write_json


@app.command()
def stiffness(
    table: Annotated[
        Path, typer.Argument(help="Table of points (CSV, whitespace, Parquet, NetCDF).")
    ],
    value: Annotated[str, typer.Option(help="Column of the helicity modulus.")],
    size: Annotated[str, typer.Option(help="Column of the size L.")] = "size",
    control: Annotated[str, typer.Option(help="Column of the temperature T.")] = "control",
    error: Annotated[str | None, typer.Option(help="Column of its error.")] = None,
    names: Annotated[str, typer.Option(help="Columns of a table without a header: L,T,Y,dY.")] = "",
    free_jump: Annotated[
        bool, typer.Option("--free-jump", help="Fit the jump too, instead of 2 T / pi.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the search.")] = 0,
    json: Annotated[Path | None, typer.Option("--json", help="OUT.json to write.")] = None,
    figure: Annotated[Path | None, typer.Option(help="OUT.pdf; a PNG comes with it.")] = None,
) -> None:
    """Kosterlitz-Thouless temperature and universal jump from the helicity modulus."""
    from heatcap.scaling import read_table
    from heatcap.scaling.stiffness import stiffness as fit

    with plain_errors():
        check_outputs([table], json, figure)
        points = read_table(
            table, size=size, control=control, value=value, error=error, names=words(names)
        )
        found = fit(points, free_jump=free_jump, rng=seed)
        typer.echo(found.summary())
        if json is not None:
            write_json(json, found.to_dict(), [table])
            typer.echo(str(json))
        if figure is not None:
            from heatcap.figures.stiffness import stiffness as draw

            save_figure(draw(found, points, names=(size, control)), figure)
