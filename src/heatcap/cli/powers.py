"""Commands `power-law` and `crossover`: values against a size, a field or a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from heatcap.cli.application import (
    Drawn,
    Drop,
    Error,
    Json,
    Labels,
    Names,
    Tables,
    Width,
    answer,
    app,
    axis_labels,
    chosen,
    draw,
    plain_errors,
    words,
)
from heatcap.cli.shapes import checked, with_shapes

if TYPE_CHECKING:
    from heatcap.core.result import Result

__all__ = ["crossover", "power_law"]

X = Annotated[str, typer.Option("--x", help="Column of the size, field or step.")]
Y = Annotated[str, typer.Option(help="Column of the value.")]
Panel = Annotated[Literal["all", "data", "exponents"], typer.Option(help="Part of the figure.")]
Window = Annotated[
    str, typer.Option(metavar="LO:HI", help="Range of x that is used; LO: or :HI, too.")
]
Sizes = Annotated[str, typer.Option(metavar="LO:HI|A,B", help="Values of x that are used.")]


@app.command(name="power-law")
@with_shapes
def power_law(
    tables: Tables,
    x: X,
    value: Y,
    error: Error = None,
    names: Names = "",
    limit: Annotated[
        bool, typer.Option("--limit", help="Fit the limit of the value, too: y = y_inf + A x^p.")
    ] = False,
    exponent: Annotated[float | None, typer.Option(help="p, where it is known.")] = None,
    omega: Annotated[
        float | None, typer.Option(help="Exponent of the correction, where it is known.")
    ] = None,
    pure: Annotated[
        bool, typer.Option("--pure", help="No corrections: A x^p alone, errors are smaller.")
    ] = False,
    toward: Annotated[
        str, typer.Option(help="infinity (sizes) or zero (fields, steps): where the law holds.")
    ] = "infinity",
    window: Window = "",
    sizes: Sizes = "",
    drop: Drop = None,
    json: Json = None,
    figure: Drawn = None,
    panel: Panel = "all",
    width: Width = "double",
    label: Labels = None,
    *,
    shape: dict[str, Any],
) -> None:
    """Exponent, amplitude and limit of a power law, with corrections of any speed.

    Without --error, rows of one x are runs, and their spread gives the error.
    """
    from heatcap.scaling import power_law as fit

    options = {"limit": limit, "exponent": exponent, "omega": omega, "pure": pure, "toward": toward}
    shown = {"panel": panel, "width": width, "labels": axis_labels(label)}
    columns, rows = (x, value, error), (window, sizes, drop)
    _answered(fit, "power_law", tables, columns, names, rows, shape, options, json, figure, shown)


@app.command()
@with_shapes
def crossover(
    tables: Tables,
    x: X,
    value: Y,
    error: Error = None,
    names: Names = "",
    sharpness: Annotated[
        float | None,
        typer.Option(help="Where known: 1 for a sum of powers, -1 for a harmonic one."),
    ] = None,
    window: Window = "",
    sizes: Sizes = "",
    drop: Drop = None,
    json: Json = None,
    figure: Drawn = None,
    panel: Panel = "all",
    width: Width = "double",
    label: Labels = None,
    *,
    shape: dict[str, Any],
) -> None:
    """Two power laws and where they cross, or that one with corrections is enough.

    Without --error, rows of one x are runs, and their spread gives the error.
    """
    from heatcap.scaling import crossover as fit

    options = {"sharpness": sharpness}
    shown = {"panel": panel, "width": width, "labels": axis_labels(label)}
    columns, rows = (x, value, error), (window, sizes, drop)
    _answered(fit, "crossover", tables, columns, names, rows, shape, options, json, figure, shown)


def _answered(
    fit: Callable[..., Result],
    kind: str,
    tables: list[Path],
    columns: tuple[str, str, str | None],
    names: str,
    rows: tuple[str, str, list[str] | None],
    shape: dict[str, Any],
    options: dict[str, Any],
    json: Path | None,
    figure: Path | None,
    shown: dict[str, Any],
) -> None:
    """Read the columns, fit, print, and write what is asked for."""
    from heatcap.scaling.power_laws import read_power_table

    with plain_errors(), checked(tables, json, figure=figure):
        choice = chosen(*rows)
        data = read_power_table(tables, *columns, words(names), choice=choice, **shape)
        result = fit(**data, **options, name=columns[1])
        answer(result.summary(), result.to_dict(), tables, json)
        draw(kind, figure, result, name=columns[0], **shown)
