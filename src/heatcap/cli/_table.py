"""What the commands of finite-size scaling share: options of a table, and their answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from heatcap.cli._shared import say, write_json

__all__ = [
    "TABLE",
    "Control",
    "Drawn",
    "Error",
    "Json",
    "Names",
    "Runs",
    "Seed",
    "Size",
    "Table",
    "answer",
    "number_or_name",
]

TABLE = "Table of points (CSV, whitespace, Parquet, NetCDF)."

Table = Annotated[Path, typer.Argument(help=TABLE)]
Size = Annotated[str, typer.Option(help="Column of the size L.")]
Control = Annotated[str, typer.Option(help="Column of the control x.")]
Error = Annotated[str | None, typer.Option(help="Column of the error of the value.")]
Names = Annotated[str, typer.Option(help="Columns of a table without a header: L,K,A,dA.")]
Runs = Annotated[
    str | None,
    typer.Option(metavar="COLUMN|N", help="Runs behind each error: a column, or how many."),
]
Seed = Annotated[int, typer.Option(help="Of searches, draws and resamples.")]
Json = Annotated[Path | None, typer.Option("--json", help="OUT.json to write.")]
Drawn = Annotated[Path | None, typer.Option(help="OUT.pdf; a PNG comes with it.")]


def number_or_name(text: str | None) -> int | str | None:
    """How many runs, or the column that says it."""
    return int(text) if text is not None and text.isdecimal() else text


def answer(summary: str, content: dict[str, Any], inputs: list[Path], json: Path | None) -> None:
    """The summary on the screen, and the JSON where it is asked for."""
    say(summary, lines=True)
    if json is not None:
        write_json(json, content, inputs)
        say(str(json))
