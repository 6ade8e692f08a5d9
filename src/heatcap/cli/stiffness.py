"""The Kosterlitz-Thouless transition by the stiffness."""

from __future__ import annotations

from typing import Annotated

import typer

from heatcap.cli.application import (
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
def stiffness(
    table: Table,
    value: Annotated[str, typer.Option(help="Column of the helicity modulus.")],
    size: Size = "size",
    control: Annotated[str, typer.Option(help="Column of the temperature T.")] = "control",
    error: Error = None,
    names: Names = "",
    free_jump: Annotated[
        bool, typer.Option("--free-jump", help="Fit the jump too, instead of 2 T / pi.")
    ] = False,
    seed: Seed = 0,
    json: Json = None,
    figure: Drawn = None,
) -> None:
    """Kosterlitz-Thouless temperature and universal jump from the helicity modulus."""
    from heatcap.scaling import read_table
    from heatcap.scaling import stiffness as fit

    with plain_errors():
        check_outputs([table], json, figure=figure)
        data = read_table(
            table, size=size, control=control, value=value, error=error, names=words(names)
        )
        found = fit(data, free_jump=free_jump, rng=seed)
        answer(found.summary(), found.to_dict(), [table], json)
        if figure is not None:
            from heatcap.figures import stiffness as draw

            save_figure(draw(found, data, names=(size, control)), figure)
