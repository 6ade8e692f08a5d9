"""Commands of data whose answer is known: `system` makes tables, `example` writes shipped ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from heatcap.cli.application import (
    app,
    assignments,
    check_outputs,
    numbers,
    plain_errors,
    say,
)

__all__ = ["example", "system"]

MOST_CONTROLS = 100_000


@app.command()
def system(
    name: Annotated[str, typer.Argument(help="Its name; a wrong one lists them all.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="TABLE.csv, .parquet or .nc.")],
    sizes: Annotated[str, typer.Option(help="Sizes, e.g. 8,16,32.")],
    control: Annotated[str, typer.Option(help="Values of the control: a,b,c or LOW:HIGH:COUNT.")],
    options: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE: a parameter of the system or of its sampling."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of sampled systems.")] = 0,
) -> None:
    """Write the table of a system whose answer is known: exact, sampled or planted."""
    from heatcap.systems import SYSTEMS, write
    from heatcap.systems.system import ANSWERS

    with plain_errors():
        check_outputs([], output)
        given: dict[str, Any] = dict(assignments(options))
        given = {k: int(v) if float(v).is_integer() else v for k, v in given.items()}
        if name in SYSTEMS and hasattr(SYSTEMS[name], "sample"):
            given["rng"] = seed
        whole = _whole("--sizes", sizes)
        table = write(name, output, whole, _grid(control), **given)
        say(f"{output}: {table.sizes['point']} points of {name}")
        answers = {k: table.attrs[k] for k in ANSWERS if k in table.attrs}
        if answers:
            say("known: " + ", ".join(f"{k} = {v:.7g}" for k, v in answers.items()))


def _whole(option: str, text: str) -> list[int]:
    """Parse whole numbers a,b,c."""
    given = numbers(option, text)
    if wrong := [one for one in given if not one.is_integer()]:
        raise ValueError(f"{option}: expected whole numbers, got {wrong[0]:g}")
    return [int(one) for one in given]


def _grid(text: str) -> list[float]:
    """Parse a,b,c or LOW:HIGH:COUNT in even steps."""
    import numpy as np

    if ":" not in text:
        return numbers("--control", text)
    try:
        low, high, count = text.split(":")
        if not 0 < int(count) <= MOST_CONTROLS:
            raise ValueError
        return [float(x) for x in np.linspace(float(low), float(high), int(count))]
    except ValueError:
        raise typer.BadParameter(
            f"expected LOW:HIGH:COUNT with a count of 1 to {MOST_CONTROLS}, got {text!r}",
            param_hint="--control",
        ) from None


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
