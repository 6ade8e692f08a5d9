"""The order of a transition from tables and energy series."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heatcap.cli._app import app
from heatcap.cli._shared import check_outputs, plain_errors, save_figure, words, write_json


@app.command()
def order(
    table: Annotated[
        Path | None, typer.Argument(help="Table of points (CSV, whitespace, Parquet, NetCDF).")
    ] = None,
    binder: Annotated[str, typer.Option(help="Column of a dimensionless quantity.")] = "",
    heat_capacity: Annotated[str, typer.Option(help="Column of the heat capacity per site.")] = "",
    stiffness: Annotated[str, typer.Option(help="Column of the helicity modulus.")] = "",
    series: Annotated[
        Path | None, typer.Option(help="SERIES.nc: energies (point, replicate, sweep).")
    ] = None,
    size: Annotated[str, typer.Option(help="Column of the size L.")] = "size",
    control: Annotated[str, typer.Option(help="Column of the control x.")] = "control",
    error_ending: Annotated[
        str, typer.Option(help="Ending of the columns of errors: binder_error of binder.")
    ] = "_error",
    names: Annotated[str, typer.Option(help="Columns of a table without a header.")] = "",
    dimension: Annotated[int, typer.Option(help="d of the system.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the searches and resamples.")] = 0,
    json: Annotated[Path | None, typer.Option("--json", help="OUT.json to write.")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="OUT.pdf of the energy histograms; a PNG comes with it.")
    ] = None,
) -> None:
    """Second order, first order, Kosterlitz-Thouless or undecided, and the evidence for it.

    Columns of one table, energy series, or both.  Without --heat-capacity it comes from the series.
    """
    import xarray as xr

    from heatcap.scaling.order import transition_order
    from heatcap.scaling.points import read_table

    columns = {"dimensionless": binder, "heat_capacity": heat_capacity, "stiffness": stiffness}
    if table is None and any(columns.values()):
        raise typer.BadParameter("columns are named, but no table is given", param_hint="TABLE")
    if not any(columns.values()) and series is None:
        raise typer.BadParameter(
            "expected --binder, --heat-capacity or --stiffness with a table, or --series"
        )
    if figure is not None and series is None:
        raise typer.BadParameter("histograms need --series", param_hint="--figure")
    with plain_errors():
        inputs = [path for path in (table, series) if path is not None]
        check_outputs(inputs, json, figure)
        given = {
            what: read_table(
                table, size=size, control=control, value=column,
                error=f"{column}{error_ending}" if error_ending else None, names=words(names),
            )
            for what, column in columns.items()
            if column and table is not None
        }  # fmt: skip
        energies = None
        if series is not None:
            with xr.open_dataset(series, engine="h5netcdf") as file:
                energies = file.load()
        found = transition_order(**given, series=energies, dimension=dimension, rng=seed)
        typer.echo(found.summary())
        if json is not None:
            write_json(json, found.to_dict(), inputs)
            typer.echo(str(json))
        if figure is not None:
            from heatcap.figures.order import histograms

            save_figure(histograms(found.results["barriers"]), figure)
