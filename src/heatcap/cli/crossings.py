"""Finite-size scaling without a scaling function: crossings, and peaks against size."""

from __future__ import annotations

from typing import Annotated

import typer

from heatcap.cli.application import (
    Control,
    Drawn,
    Error,
    Json,
    Names,
    Seed,
    Size,
    Table,
    answer,
    app,
    check_outputs,
    plain_errors,
    save_figure,
    words,
)


@app.command()
def crossings(
    table: Table,
    value: Annotated[str, typer.Option(help="Column of the dimensionless quantity.")],
    size: Size = "size",
    control: Control = "control",
    error: Error = None,
    names: Names = "",
    ratio: Annotated[
        float | None, typer.Option(help="Large over small of the pairs; successive by default.")
    ] = None,
    drift: Annotated[float | None, typer.Option(help="1/nu + omega, where it is known.")] = None,
    seed: Seed = 0,
    json: Json = None,
    figure: Drawn = None,
) -> None:
    """Where curves of pairs of sizes cross, and x_c from x*(L) = x_c + a L^(-1/nu - omega)."""
    from heatcap.scaling import crossings as find
    from heatcap.scaling import read_table

    with plain_errors():
        check_outputs([table], json, figure=figure)
        data = read_table(
            table, size=size, control=control, value=value, error=error, names=words(names)
        )
        found = find(data, ratio=ratio, drift=drift, rng=seed)
        answer(found.summary(), found.to_dict(), [table], json)
        if figure is not None:
            from heatcap.figures import crossings as draw

            save_figure(draw(found, data, names=(size, control)), figure)


@app.command()
def extrema(
    table: Table,
    value: Annotated[str, typer.Option(help="Column of the quantity that has a peak.")],
    size: Size = "size",
    control: Control = "control",
    error: Error = None,
    names: Names = "",
    inverse_nu: Annotated[float | None, typer.Option(help="1/nu, where it is known.")] = None,
    exponent: Annotated[float | None, typer.Option(help="Of the height, if known.")] = None,
    seed: Seed = 0,
    json: Json = None,
    figure: Drawn = None,
) -> None:
    """Peak of every size; x_c, 1/nu and the exponent of the height from peaks against size."""
    from heatcap.scaling import extrema as find
    from heatcap.scaling import read_table

    with plain_errors():
        check_outputs([table], json, figure=figure)
        data = read_table(
            table, size=size, control=control, value=value, error=error, names=words(names)
        )
        found = find(data, rng=seed)
        against = found.against_size(inverse_nu=inverse_nu, exponent=exponent)
        said = f"{found.summary()}\nagainst size, {against.summary()}"
        content = found.to_dict() | {"against_size": against.to_dict()}
        answer(said, content, [table], json)
        if figure is not None:
            from heatcap.figures import extrema as draw

            save_figure(draw(found, data, against, names=(size, control)), figure)
