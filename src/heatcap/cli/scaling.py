"""Finite-size scaling: systems with known answers, and collapse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from heatcap.cli.application import (
    TABLE,
    Control,
    Drawn,
    Json,
    Names,
    Runs,
    Seed,
    Size,
    answer,
    app,
    assignments,
    check_outputs,
    for_each,
    numbers,
    plain_errors,
    save_figure,
    say,
    words,
)


@app.command()
def collapse(
    tables: Annotated[list[Path], typer.Argument(help=TABLE)],
    value: Annotated[list[str], typer.Option(help="Column of the observable; may be repeated.")],
    size: Size = "size",
    control: Control = "control",
    error: Annotated[
        list[str] | None, typer.Option(help="Column of its error, for each --value in turn.")
    ] = None,
    runs: Runs = None,
    names: Names = "",
    ansatz: Annotated[
        str, typer.Option(help="second-order, first-order or kosterlitz-thouless.")
    ] = "second-order",
    fix: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: a parameter that is not fitted.")
    ] = None,
    excluded: Annotated[
        list[str] | None,
        typer.Option(help="What theory excludes: crossover, logarithms or held; may be repeated."),
    ] = None,
    seed: Seed = 0,
    json: Json = None,
    figure: Drawn = None,
) -> None:
    """Collapse data of several sizes: critical point and exponents, with errors; no start needed.

    Several observables share x_c and the shape: repeat --value (and --error), with one table or
    one for each.  They are called exponent_VALUE then.
    """
    from heatcap.scaling import collapse as fit
    from heatcap.scaling import read_table
    from heatcap.scaling.data import number_or_name

    with plain_errors():
        check_outputs(tables, json, figure=figure)
        like: dict[str, Any] = {"size": size, "control": control, "names": words(names)}
        like["runs"] = number_or_name(runs)
        files, errors = for_each("tables", tables, value), for_each("--error", error, value)
        parts = [
            read_table(path, value=v, error=e, **like)
            for path, v, e in zip(files, value, errors, strict=True)
        ]
        found = fit(parts, ansatz=ansatz, fixed=assignments(fix), excluded=excluded or (), rng=seed)
        answer(found.summary(), found.to_dict(), tables, json)
        if figure is not None:
            from heatcap.figures import collapse as draw

            save_figure(draw(found, parts, names=(size, control)), figure)


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
        whole = [int(size) for size in numbers("--sizes", sizes)]
        table = write(name, output, whole, _grid(control), **given)
        say(f"{output}: {table.sizes['point']} points of {name}")
        known = {k: table.attrs[k] for k in ANSWERS if k in table.attrs}
        if known:
            say("known: " + ", ".join(f"{k} = {v:.7g}" for k, v in known.items()))


def _grid(text: str) -> list[float]:
    import numpy as np

    if ":" not in text:
        return numbers("--control", text)
    try:
        low, high, count = text.split(":")
        return [float(x) for x in np.linspace(float(low), float(high), int(count))]
    except ValueError:
        raise typer.BadParameter(
            f"expected LOW:HIGH:COUNT, got {text!r}", param_hint="--control"
        ) from None
