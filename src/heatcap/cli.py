"""The command `heatcap`: file in, file out.

Exit status 0: an answer; 1: bad input, said in one line; 2: bad usage.  Everything heavy is
imported where it is used, so that ``heatcap --help`` answers at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["app"]

app = typer.Typer(
    help="Is that peak a phase transition, or a crossover?  Analysis of saved attention runs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich costs 0.1 s at every --help
    pretty_exceptions_enable=False,
)
figure_app = typer.Typer(help="Draw a figure from observables (PDF and PNG).", no_args_is_help=True)
app.add_typer(figure_app, name="figure")

RunPaths = Annotated[list[Path], typer.Argument(help="Run files, or folders that hold them.")]
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


class Per(StrEnum):
    head = "head"
    layer = "layer"


class Time(StrEnum):
    step = "step"
    log = "log"


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from heatcap import __version__

        typer.echo(f"heatcap {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(2)


@app.command()
def info(paths: RunPaths) -> None:
    """List runs: size, sweep parameters, checkpoints, and how each one ended."""
    from rich.table import Table

    from heatcap.runfile import open_runs, parameter_names

    with _plain_errors():
        runs = open_runs(paths)
    names = parameter_names(runs.headers)
    table = Table(box=None, pad_edge=False)
    for column in ("run", *names, "layers", "heads", "probe", "keys", "checkpoints", "end"):
        table.add_column(column, justify="left" if column in ("run", "end") else "right")
    for header in runs.headers:
        sizes = header.sizes
        extents = (sizes["layer"], sizes["head"], sizes["probe"], sizes["key"], sizes["step"])
        values = (header.parameters.get(name, "") for name in names)
        end = header.stop_reason or "(not finished)"
        table.add_row(header.run_id, *map(_short, values), *map(str, extents), end)
    _print(table)
    _fail_if(bool(runs.problems))


@app.command()
def validate(paths: RunPaths) -> None:
    """Read run files to the last number and say what is wrong; exit status 1 if anything is."""
    from heatcap.runfile import RunFileError, find_runs, validate_run

    bad = 0
    files = find_runs(paths)
    if not files:
        _stop(f"no file *.h5 in {', '.join(map(str, paths))}")
    for path in files:
        try:
            problems = validate_run(path)
        except RunFileError as error:
            typer.echo(str(error), err=True)
            bad += 1
            continue
        bad += bool(problems)
        typer.echo(f"{path}: " + ("; ".join(problems) if problems else "ok"))
    _fail_if(bad > 0)


@app.command()
def observe(
    paths: RunPaths,
    output: Annotated[Path, typer.Option("-o", "--output", help="OBS.nc to write.")],
    temperature: Annotated[
        str,
        typer.Option(
            help="Temperatures of a scan, relative to the model's: 0.5,1,2 or, in even steps of "
            "ln T, LOW:HIGH:COUNT."
        ),
    ] = "",
    per: Annotated[Per, typer.Option(help="Keep the heads, or average over them.")] = Per.head,
    time: Annotated[
        Time, typer.Option(help="Unit of time in the geometry of the path: step or ln step.")
    ] = Time.step,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", help="Processes; 0 for one per core.", min=0)
    ] = 0,
) -> None:
    """Compute the observables of runs; runs that OUTPUT holds already are not computed again."""
    from heatcap import observables
    from heatcap.runfile import open_runs

    with _plain_errors():
        temperatures = _temperatures(temperature)
        runs = open_runs(paths)
        known = observables.load(output) if output.exists() else None
        with _progress(len(runs), "observing") as progress:
            table = observables.observe(
                runs,
                temperatures=temperatures,
                per=per.value,
                time=time.value,
                jobs=jobs or _cores(),
                known=known,
                progress=progress,
            )
        table.attrs["command"] = _command()
        observables.save(table, output)
        typer.echo(f"{output}: {_extents(table)}")
        for line in bound_notes(table):
            typer.echo(line)
        bad = len(runs) - table.sizes["run"] + len(runs.problems)
    _fail_if(bad > 0)


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
    from heatcap.audit import audit_leads
    from heatcap.events import find_events

    with _plain_errors():
        _check_outputs(records, output, json)
        obs, problems = _records(records, columns)
        found = find_events(obs, *(observable or ()), smoothing=smoothing)
        found.to_csv(output)
        sizes = ((len(found.table), "row"), (len(found.runs), "run"))
        typer.echo(f"{output}: " + ", ".join(f"{n} {_plural(word, n)}" for n, word in sizes))
        typer.echo(found.summary())
        if json is not None:
            audit = audit_leads(obs, found)
            _write_json(json, audit.to_dict() | {"problems": problems}, records)
            typer.echo(f"\n{json}\n{audit.summary()}")
    _fail_if(obs.attrs.get("left_out", 0) > 0)


@app.command()
def collapse(
    tables: Annotated[
        list[Path], typer.Argument(help="Table of points (CSV, whitespace, Parquet, NetCDF).")
    ],
    value: Annotated[list[str], typer.Option(help="Column of the observable; may be repeated.")],
    size: Annotated[str, typer.Option(help="Column of the size L.")] = "size",
    control: Annotated[str, typer.Option(help="Column of the control x.")] = "control",
    error: Annotated[
        list[str] | None, typer.Option(help="Column of its error, for each --value in turn.")
    ] = None,
    names: Annotated[str, typer.Option(help="Columns of tables without a header: L,K,A,dA.")] = "",
    ansatz: Annotated[str, typer.Option(help="second-order or kosterlitz-thouless.")] = (
        "second-order"
    ),
    fix: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: a parameter that is not fitted.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the search.")] = 0,
    json: Annotated[Path | None, typer.Option("--json", help="OUT.json to write.")] = None,
    figure: Annotated[Path | None, typer.Option(help="OUT.pdf; a PNG comes with it.")] = None,
) -> None:
    """Collapse data of several sizes: critical point and exponents, with errors; no start needed.

    Several observables share x_c and the shape: repeat --value (and --error), with one table or
    one for each.  They are called exponent_VALUE then.
    """
    from heatcap.scaling import collapse as fit
    from heatcap.scaling import read_table

    with _plain_errors():
        _check_outputs(tables, json, figure)
        files, errors = _for_each("tables", tables, value), _for_each("--error", error, value)
        parts = [
            read_table(path, size=size, control=control, value=v, error=e, names=_words(names))
            for path, v, e in zip(files, value, errors, strict=True)
        ]
        found = fit(parts, ansatz=ansatz, fixed=_assignments(fix), rng=seed)
        typer.echo(found.summary())
        if json is not None:
            _write_json(json, found.to_dict(), tables)
            typer.echo(str(json))
        if figure is not None:
            from heatcap.figures import collapse as draw

            _save(draw(found, parts, names=(size, control)), figure)


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

    with _plain_errors():
        given: dict[str, Any] = dict(_assignments(options))
        given = {k: int(v) if float(v).is_integer() else v for k, v in given.items()}
        if name in SYSTEMS and hasattr(SYSTEMS[name], "sample"):
            given["rng"] = seed
        whole = [int(size) for size in _numbers("--sizes", sizes)]
        table = write(name, output, whole, _grid(control), **given)
        typer.echo(f"{output}: {table.sizes['point']} points of {name}")


@figure_app.command()
def evolution(
    obs: ObsPath,
    output: FigurePath,
    smoothing: Smoothing = 0.1,
    sizes: Sizes = "",
    group: Group = "none",
) -> None:
    """Accuracies and heat capacities along training, with peaks, onsets and spikes."""
    from heatcap.events import find_events
    from heatcap.figures import evolution as draw
    from heatcap.observables import load

    with _plain_errors():
        table = load(obs)
        found = find_events(table, smoothing=smoothing)
        _save(draw(table, found, sizes=_numbers("--sizes", sizes) or None, group=group), output)


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
    from heatcap.audit import audit_leads
    from heatcap.events import find_events
    from heatcap.figures import leads as draw

    with _plain_errors():
        _check_outputs(records, output, output.with_suffix(".png"))
        obs, _ = _records(records, columns)
        found = find_events(obs, *(observable or ()), smoothing=smoothing)
        _save(draw(audit_leads(obs, found), found, observables=observable), output)
    _fail_if(obs.attrs.get("left_out", 0) > 0)


@figure_app.command()
def scan(obs: ObsPath, output: FigurePath, sizes: Sizes = "", group: Group = "none") -> None:
    """C(T): the quenched temperature scan at successive checkpoints."""
    from heatcap.figures import scan as draw
    from heatcap.observables import load

    with _plain_errors():
        table = load(obs)
        _save(draw(table, sizes=_numbers("--sizes", sizes) or None, group=group), output)


def _records(paths: list[Path], columns: str) -> tuple[xr.Dataset, list[str]]:
    """Observables, or tables of scalars brought into their form, and what was wrong with some."""
    from heatcap.observables import load
    from heatcap.scalars import is_table, parse_columns, read_scalars

    tables = [path for path in paths if is_table(path)]
    if not tables and len(paths) == 1:
        if columns:
            raise typer.BadParameter(
                f"is for tables (CSV, Parquet), got {paths[0]}", param_hint="--columns"
            )
        return load(paths[0]), []
    if len(tables) < len(paths):
        other = next(path for path in paths if path not in tables)
        raise typer.BadParameter(f"expected one OBS.nc or tables (CSV, Parquet), got {other} too")
    if not columns:
        raise typer.BadParameter(
            "tables need it, for example step=epoch,train_accuracy=acc,test_accuracy=val_acc,"
            "observable=cv",
            param_hint="--columns",
        )
    try:
        meaning = parse_columns(columns)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--columns") from None
    problems: list[str] = []
    return read_scalars(tables, meaning, problems=problems), problems


def _check_outputs(inputs: list[Path], *outputs: Path | None) -> None:
    """Before any work: outputs have a folder, and overwrite neither an input nor one another."""
    taken = {path.resolve(): "an input" for path in inputs}
    for path in filter(None, outputs):
        if not path.resolve().parent.is_dir():
            raise ValueError(f"{path}: there is no folder {path.parent}")
        if path.resolve() in taken:
            raise ValueError(f"{path}: is {taken[path.resolve()]}, expected another output")
        taken[path.resolve()] = "another output"


def _write_json(path: Path, content: dict[str, Any], inputs: list[Path]) -> None:
    """JSON with the command, the versions and the checksums of what was read; whole or not."""
    import json
    import platform
    from importlib.metadata import version

    from heatcap import __version__
    from heatcap.runfile import checksum

    names = ("numpy", "scipy", "pandas", "xarray", "statsmodels")
    content = content | {
        "command": _command(),
        "versions": {"heatcap": __version__, "python": platform.python_version()}
        | {name: version(name) for name in names},
        "inputs": {str(p): checksum(p) for p in inputs if p.is_file()},
    }
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    part.replace(path)


def _for_each(what: str, given: list[Any] | None, values: list[str]) -> list[Any]:
    """One of each for every value, or one for all, or none."""
    given = list(given or [None])
    if len(given) == 1 and (what == "tables" or len(values) == 1 or given[0] is None):
        return given * len(values)
    if len(given) != len(values):
        raise typer.BadParameter(
            f"expected one for each of {len(values)} values, got {len(given)}", param_hint=what
        )
    return given


def _words(text: str) -> list[str] | None:
    return [word.strip() for word in text.split(",")] if text else None


def _assignments(pairs: list[str] | None) -> dict[str, float]:
    out = {}
    for pair in pairs or []:
        name, equals, number = pair.partition("=")
        try:
            out[name.strip()] = float(number)
        except ValueError:
            raise typer.BadParameter(f"expected NAME=VALUE with a number, got {pair!r}") from None
        if not equals:
            raise typer.BadParameter(f"expected NAME=VALUE, got {pair!r}")
    return out


def _grid(text: str) -> list[float]:
    import numpy as np

    if ":" not in text:
        return _numbers("--control", text)
    try:
        low, high, count = text.split(":")
        return [float(x) for x in np.linspace(float(low), float(high), int(count))]
    except ValueError:
        raise typer.BadParameter(
            f"expected LOW:HIGH:COUNT, got {text!r}", param_hint="--control"
        ) from None


def bound_notes(table: xr.Dataset) -> list[str]:
    """A sentence where the heat capacity of the last query comes close to its bound."""
    import numpy as np

    if "heat_capacity" not in table:
        return []
    last = table.isel(query=-1)
    highest = last["heat_capacity"].sel(inputs="all")
    highest = highest.max([dim for dim in highest.dims if dim != "run"])
    reached = (highest / last["heat_capacity_bound"]).values
    keys = np.unique(last["mean_visible_keys"].values.round(6))
    keys_said = f"{keys[0]:g}" if len(keys) == 1 else f"{keys[0]:g} to {keys[-1]:g}"
    note = (
        f"heat_capacity of the last query: at most {np.nanmax(reached):.0%} of the bound that "
        f"{keys_said} visible keys set"
    )
    if len(keys) == 1 and table.sizes["run"] > 1:
        note += "; the bound is the same for all runs, so a height that saturates is no finding"
    return [note]


def _save(figure: Figure, output: Path) -> None:
    from heatcap.figures import save

    for path in save(figure, output):
        typer.echo(str(path))


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Bad input ends in one line and exit status 1, warnings in one line each."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        typer.echo(f"warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        try:
            yield
        except (ValueError, OSError) as error:
            _stop(str(error))


def _stop(message: str) -> None:
    typer.echo(f"heatcap: {message}", err=True)
    raise typer.Exit(1)


def _fail_if(bad: bool) -> None:
    if bad:
        raise typer.Exit(1)


def _temperatures(text: str) -> list[float]:
    import numpy as np

    try:
        if ":" in text:
            low, high, count = text.split(":")
            if not 0 < float(low) < float(high):
                raise ValueError
            if int(count) < 2:
                raise ValueError
            return [float(t) for t in np.geomspace(float(low), float(high), int(count))]
    except ValueError:
        raise typer.BadParameter(
            f"expected LOW:HIGH:COUNT with 0 < LOW < HIGH and COUNT > 1, got {text!r}",
            param_hint="--temperature",
        ) from None
    return _numbers("--temperature", text)


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(
            f"expected numbers separated by commas, got {text!r}", param_hint=option
        ) from None


@contextlib.contextmanager
def _progress(total: int, what: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, _: bar.update(task, completed=done)


def _print(table: Any) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(table)


def _extents(table: xr.Dataset) -> str:
    order = ("run", "checkpoint", "layer", "head", "query", "temperature")
    counted = [(table.sizes[dim], dim) for dim in order if dim in table.sizes]
    return ", ".join(f"{n} {_plural(dim, n)}" for n, dim in counted)


def _plural(word: str, count: int) -> str:
    return word if count == 1 else "queries" if word == "query" else f"{word}s"


def _cores() -> int:
    """Cores that this process may use, in a container too."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _command() -> str:
    return " ".join(["heatcap", *sys.argv[1:]])
