"""The order of a transition from tables and energy series."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heatcap.cli.application import (
    TABLE,
    Control,
    Json,
    Names,
    Seed,
    Size,
    answer,
    app,
    check_outputs,
    plain_errors,
    save_figure,
    words,
)

OF_ERROR = "Column of its error; its name with _error unless said."


@app.command()
def order(
    table: Annotated[Path | None, typer.Argument(help=TABLE)] = None,
    binder: Annotated[str, typer.Option(help="Column of a dimensionless quantity.")] = "",
    binder_error: Annotated[str, typer.Option(help=OF_ERROR)] = "",
    heat_capacity: Annotated[str, typer.Option(help="Column of the heat capacity per site.")] = "",
    heat_capacity_error: Annotated[str, typer.Option(help=OF_ERROR)] = "",
    stiffness: Annotated[str, typer.Option(help="Column of the helicity modulus.")] = "",
    stiffness_error: Annotated[str, typer.Option(help=OF_ERROR)] = "",
    series: Annotated[
        Path | None, typer.Option(help="SERIES.nc: energies (point, replicate, sweep).")
    ] = None,
    size: Size = "size",
    control: Control = "control",
    names: Names = "",
    dimension: Annotated[int, typer.Option(help="d of the system.")] = 2,
    seed: Seed = 0,
    json: Json = None,
    figure: Annotated[
        Path | None, typer.Option(help="OUT.pdf of the energy histograms; a PNG comes with it.")
    ] = None,
) -> None:
    """Second order, first order, Kosterlitz-Thouless or undecided, and the evidence for it.

    Columns of one table, energy series, or both.  Without --heat-capacity it comes from the series.
    """
    import xarray as xr

    from heatcap.scaling import read_table, transition_order

    columns = {
        "dimensionless": (binder, binder_error),
        "heat_capacity": (heat_capacity, heat_capacity_error),
        "stiffness": (stiffness, stiffness_error),
    }
    named = any(column for column, _ in columns.values())
    if table is None and named:
        raise typer.BadParameter("columns are named, but no table is given", param_hint="TABLE")
    if not named and series is None:
        raise typer.BadParameter(
            "expected --binder, --heat-capacity or --stiffness with a table, or --series"
        )
    if figure is not None and series is None:
        raise typer.BadParameter("histograms need --series", param_hint="--figure")
    with plain_errors():
        inputs = [path for path in (table, series) if path is not None]
        check_outputs(inputs, json, figure=figure)
        given = {
            what: read_table(
                table, size=size, control=control, value=column,
                error=error or f"{column}_error", names=words(names),
            )
            for what, (column, error) in columns.items()
            if column and table is not None
        }  # fmt: skip
        energies = None
        if series is not None:
            with xr.open_dataset(series, engine="h5netcdf") as file:
                energies = file.load()
        found = transition_order(**given, series=energies, dimension=dimension, rng=seed)
        answer(found.summary(), found.to_dict(), inputs, json)
        if figure is not None:
            from heatcap.figures import histograms

            save_figure(histograms(found.results["barriers"]), figure)
