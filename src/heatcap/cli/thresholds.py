"""The command `thresholds`: where shares of successes cross a level, from counts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from heatcap.cli.application import (
    Control,
    Drawn,
    Drop,
    Json,
    Labels,
    Names,
    Size,
    Sizes,
    Tables,
    Width,
    Window,
    answer,
    app,
    axis_labels,
    chosen,
    draw,
    plain_errors,
    words,
)
from heatcap.cli.shapes import checked, with_shapes

__all__ = ["thresholds"]

OF_SHARES = {
    "wide": "--wide: counts need two columns, k and n, and one row for each size and control; where"
    " wide shares meet a level says crossings --wide --level",
    "interval": "--interval: errors come from the counts; where shares with errors meet a level"
    " says crossings --interval --level",
    "drop_zero_errors": "--drop-zero-errors: counts have no error of zero, leave it out",
}


@app.command()
@with_shapes
def thresholds(
    tables: Tables,
    successes: Annotated[str, typer.Option(help="Column of the successes k.")] = "successes",
    trials: Annotated[str, typer.Option(help="Column of the trials n.")] = "trials",
    size: Size = "size",
    control: Control = "control",
    level: Annotated[float, typer.Option(help="Share of successes at the threshold.")] = 0.5,
    cluster: Annotated[
        str | None, typer.Option(help="Column of what trials share: a run, a sample of disorder.")
    ] = None,
    inverse_nu: Annotated[float | None, typer.Option(help="1/nu, where it is known.")] = None,
    names: Names = "",
    window: Window = "",
    sizes: Sizes = "",
    drop: Drop = None,
    json: Json = None,
    figure: Drawn = None,
    panel: Annotated[
        Literal["all", "data", "thresholds"], typer.Option(help="Part of the figure.")
    ] = "all",
    width: Width = "double",
    label: Labels = None,
    *,
    shape: dict[str, Any],
) -> None:
    """Where the share of successes crosses a level, from counts, by size and for infinite size."""
    from heatcap.core.tables import place_of
    from heatcap.scaling.loading import Shape, Wanted, read_rows

    shown: dict[str, Any] = {"panel": panel, "width": width, "labels": axis_labels(label)}
    with plain_errors(), checked(tables, json, figure=figure):
        if meant := [said for option, said in OF_SHARES.items() if shape[option]]:
            raise ValueError(meant[0])
        how = Shape(successes=successes, trials=trials, **shape)
        wanted = Wanted(size, control, f"{successes}/{trials}")
        rows = read_rows(tables, wanted, how, words(names), chosen(window, sizes, drop))
        columns = rows.columns | rows.counts
        shared = None
        if cluster is not None:
            name = place_of(rows.data, cluster, rows.called)
            shared = rows.data[name].astype(str).to_numpy()[rows.used]
        named = ("size", "control", "successes", "trials")
        from heatcap.scaling import thresholds as find

        result = find(
            *(columns[name][rows.used] for name in named),
            level=level, cluster=shared, inverse_nu=inverse_nu,
        )  # fmt: skip
        answer(result.summary(), result.to_dict(), tables, json)
        draw("thresholds", figure, result, names=(size, control), **shown)
