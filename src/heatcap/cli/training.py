"""Commands on observables along training: `events`, and the figures of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heatcap.cli.application import (
    app,
    check_observables,
    check_outputs,
    draw,
    fail_if,
    figure_app,
    numbers,
    plain_errors,
    plural,
    say,
    write_json,
)
from heatcap.core.columns import PROPER
from heatcap.core.text import legible, plain

if TYPE_CHECKING:
    import xarray as xr

RecordPaths = Annotated[
    list[Path],
    typer.Argument(help="OBS.nc from `heatcap observe`, or tables of scalars (CSV, Parquet)."),
]
ColumnsOption = Annotated[
    str,
    typer.Option(
        help="What the columns of tables mean: step=epoch,train_loss=loss,train_accuracy=acc,"
        "test_accuracy=val_acc,observable=cv (meaning=column; observable may be repeated)."
    ),
]
ObsPath = Annotated[Path, typer.Argument(help="Observables (OBS.nc) from `heatcap observe`.")]
FigurePath = Annotated[Path, typer.Option("-o", "--output", help="FIG.pdf; a PNG comes with it.")]
Smoothing = Annotated[
    float, typer.Option(help="Width of the smoothing before peaks are sought, in ln step.")
]

Sizes = Annotated[str, typer.Option(help="Sizes to draw, e.g. 19,43,113; all by default.")]
Group = Annotated[
    str,
    typer.Option(help='"none" for the runs proper, or a control: random_labels, weight_decay_0.'),
]


@app.command()
def events(
    records: RecordPaths,
    output: Annotated[Path, typer.Option("-o", "--output", help="EVENTS.csv to write.")],
    observable: Annotated[
        list[str] | None, typer.Option(help="Observable to search; repeat for several.")
    ] = None,
    smoothing: Smoothing = 0.1,
    columns: ColumnsOption = "",
    json: Annotated[
        Path | None, typer.Option("--json", help="AUDIT.json: hold the leads against their nulls.")
    ] = None,
) -> None:
    """Find memorisation, onset of generalisation, peaks, spikes and leads; audit the leads."""
    with plain_errors():
        check_outputs(records, output, json)
        obs, problems = observables_of(records, columns)
        from heatcap.events import find_events

        result = find_events(obs, *(observable or ()), smoothing=smoothing)
        result.to_csv(output)
        sizes = ((len(result.table), "row"), (len(result.runs), "run"))
        say(f"{output}: " + ", ".join(f"{n} {plural(word, n)}" for n, word in sizes))
        say(result.summary(), lines=True)
        if json is not None:
            from heatcap.audit import audit_leads

            audit = audit_leads(obs, result)
            write_json(json, audit.to_dict() | {"problems": problems}, records)
            say("")
            say(str(json))
            say(audit.summary(), lines=True)
    fail_if(obs.attrs.get("left_out", 0) > 0)


@figure_app.command()
def evolution(
    obs: ObsPath,
    output: FigurePath,
    smoothing: Smoothing = 0.1,
    sizes: Sizes = "",
    group: Group = PROPER,
) -> None:
    """Accuracies and heat capacities along training, with peaks, onsets and spikes."""
    with plain_errors():
        check_outputs([obs], figure=output)
        check_observables(obs)
        from heatcap.events import find_events
        from heatcap.observables import load

        table = legible(load(obs))
        result = find_events(table, smoothing=smoothing)
        chosen = numbers("--sizes", sizes) or None
        draw("evolution", output, table, result, sizes=chosen, group=group)


@figure_app.command()
def leads(
    records: RecordPaths,
    output: FigurePath,
    observable: Annotated[
        list[str] | None, typer.Option(help="Observable to draw; repeat for several.")
    ] = None,
    smoothing: Smoothing = 0.1,
    columns: ColumnsOption = "",
) -> None:
    """Leads per size with the nulls beside them, and a sentence of conclusion."""
    with plain_errors():
        check_outputs(records, figure=output)
        obs, _ = observables_of(records, columns)
        from heatcap.audit import audit_leads
        from heatcap.events import find_events

        result = find_events(obs, *(observable or ()), smoothing=smoothing)
        draw("leads", output, audit_leads(obs, result), result, observables=observable)
    fail_if(obs.attrs.get("left_out", 0) > 0)


@figure_app.command()
def scan(obs: ObsPath, output: FigurePath, sizes: Sizes = "", group: Group = "none") -> None:
    """C(T): the quenched temperature scan at successive checkpoints."""
    draw_observables("scan", obs, output, sizes=numbers("--sizes", sizes) or None, group=group)


def draw_observables(figure: str, obs: Path, output: Path, **options: Any) -> None:
    """Draw a figure of :mod:`heatcap.figures` that needs observables and nothing else."""
    with plain_errors():
        check_outputs([obs], figure=output)
        check_observables(obs)
        from heatcap.observables import load

        draw(figure, output, legible(load(obs)), **options)


def observables_of(paths: list[Path], columns: str) -> tuple[xr.Dataset, list[str]]:
    """Read observables, or tables of scalars in their form, with the problems of tables.

    Raises `typer.BadParameter` where --columns is missing, wrong, or given without tables.
    """
    from heatcap.core.tables import is_table

    tables = [path for path in paths if is_table(path)]
    if not tables and len(paths) == 1:
        if columns:
            raise typer.BadParameter(
                f"is for tables (CSV, Parquet), got {plain(str(paths[0]))}", param_hint="--columns"
            )
        check_observables(paths[0])
        from heatcap.observables import load

        return legible(load(paths[0])), []
    if len(tables) < len(paths):
        other = next(path for path in paths if path not in tables)
        raise typer.BadParameter(
            f"expected one OBS.nc or tables (CSV, Parquet), got {plain(str(other))} too"
        )
    if not columns:
        raise typer.BadParameter(
            "tables need it, for example step=epoch,train_accuracy=acc,test_accuracy=val_acc,"
            "observable=cv",
            param_hint="--columns",
        )
    from heatcap.observables.scalars import parse_columns, read_scalars

    try:
        meaning = parse_columns(columns)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--columns") from None
    problems: list[str] = []
    return legible(read_scalars(tables, meaning, problems=problems)), problems
