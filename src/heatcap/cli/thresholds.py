"""Commands of counts and of the tables that ship: thresholds, example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from heatcap.cli.application import (
    Control,
    Drawn,
    Json,
    Labels,
    Names,
    Size,
    Table,
    Width,
    answer,
    app,
    axis_labels,
    check_outputs,
    draw,
    plain_errors,
    say,
    words,
)


@app.command()
def thresholds(
    table: Table,
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
    json: Json = None,
    figure: Drawn = None,
    panel: Annotated[
        Literal["all", "data", "thresholds"], typer.Option(help="Part of the figure.")
    ] = "all",
    width: Width = "double",
    label: Labels = None,
) -> None:
    """Where the share of successes crosses a level, from counts, by size and for infinite size."""
    from heatcap.scaling import thresholds as find
    from heatcap.scaling.data import load_table, read_columns

    shown: dict[str, Any] = {"panel": panel, "width": width, "labels": axis_labels(label)}
    with plain_errors():
        check_outputs([table], json, figure=figure)
        wanted: dict[str, Any] = {"names": words(names), "value": successes}
        named = [size, control, successes, trials]
        columns, _ = read_columns(table, named, **wanted)
        shared = None
        if cluster is not None:
            frame, _ = load_table(table, **wanted)
            if cluster not in frame.columns:
                raise ValueError(f"{table}: no column {cluster!r}")
            shared = frame[cluster].astype(str).to_numpy()
        try:
            result = find(
                *(columns[name] for name in named),
                level=level,
                cluster=shared,
                inverse_nu=inverse_nu,
            )
        except ValueError as problem:
            raise ValueError(f"{table}: {problem}") from None
        answer(result.summary(), result.to_dict(), [table], json)
        draw("thresholds", figure, result, names=(size, control), **shown)


@app.command()
def example(
    name: Annotated[str, typer.Argument(help="Its name; without one all are listed.")] = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="TABLE.csv; NAME.csv unless said.")
    ] = None,
    remake: Annotated[
        bool, typer.Option("--remake", help="Sample it again instead of copying it: minutes.")
    ] = False,
) -> None:
    """Write a small table that ships with heatcap, and say what to try on it."""
    from heatcap.core.writing import write_text
    from heatcap.systems.shipped import EXAMPLES, remade, shipped

    if not name:
        for known, one in EXAMPLES.items():
            say(f"{known}: {one.about}\n  heatcap example {known}\n  {one.command}", lines=True)
        return
    with plain_errors():
        path = output or Path(f"{name}.csv")
        check_outputs([], path)
        text = remade(name) if remake else shipped(name)
        if path.is_file() and path.read_bytes() != text.encode():
            raise ValueError(f"{path}: exists and is another table, choose a name (-o TABLE.csv)")
        write_text(path, text)
    one = EXAMPLES[name]
    say(f"{path}: {one.about}\nknown: {one.known}\ntry: {one.command}", lines=True)
