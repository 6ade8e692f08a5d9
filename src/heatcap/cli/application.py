"""The command `heatcap`, and what its parts share: options, answers, errors in one line.

The other modules of this folder add their commands to `app` and `figure_app`.  Nothing heavy is
imported before a command runs; bad input ends in one line on standard error and exit status 1.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shlex
import shutil
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from heatcap.core.text import plain

if TYPE_CHECKING:
    from heatcap.core.choice import Choice

__all__ = [
    "TABLE",
    "Control",
    "Drawn",
    "Drop",
    "Error",
    "Json",
    "Labels",
    "Names",
    "Runs",
    "Seed",
    "Size",
    "Sizes",
    "Table",
    "Tables",
    "Width",
    "Window",
    "answer",
    "app",
    "assignments",
    "axis_labels",
    "check_observables",
    "check_outputs",
    "chosen",
    "command",
    "draw",
    "fail_if",
    "figure_app",
    "for_each",
    "numbers",
    "plain_errors",
    "plural",
    "print_table",
    "progress",
    "say",
    "stop",
    "words",
    "write_json",
]

app = typer.Typer(
    help="Is that peak a phase transition, or a crossover?  Analysis of saved attention runs.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # rich costs 0.1 s at every --help
    pretty_exceptions_enable=False,
)
figure_app = typer.Typer(help="Draw a figure from observables (PDF and PNG).", no_args_is_help=True)
app.add_typer(figure_app, name="figure")


TABLE = "Table of points: text (.csv .tsv .dat .txt, .gz), .json, .npz, .npy, .h5, .nc, .parquet."

Table = Annotated[Path, typer.Argument(help=TABLE)]
Tables = Annotated[list[Path], typer.Argument(help=TABLE + "  Several files are one table.")]
Size = Annotated[str, typer.Option(help="Column of the size L.")]
Control = Annotated[str, typer.Option(help="Column of the control x.")]
Error = Annotated[str | None, typer.Option(help="Column of the error of the value.")]
Names = Annotated[str, typer.Option(help="Columns of a table without a header: L,K,A,dA.")]
Runs = Annotated[
    str | None,
    typer.Option(metavar="COLUMN|N", help="Runs behind each error: a column, or how many."),
]
Window = Annotated[
    str, typer.Option(metavar="LO:HI", help="Range of the control that is used; LO: or :HI, too.")
]
Sizes = Annotated[
    str, typer.Option(metavar="LO:HI|A,B", help="Sizes that are used: 64: or :64 or 8,16,32.")
]
Drop = Annotated[
    list[str] | None,
    typer.Option(metavar="ROW", help="Row of the data (from 1) to leave out; may be repeated."),
]
Seed = Annotated[int, typer.Option(min=0, help="Of searches, draws and resamples.")]
Json = Annotated[Path | None, typer.Option("--json", help="OUT.json to write.")]
Drawn = Annotated[Path | None, typer.Option(help="OUT.pdf or .svg; a PNG and a caption with it.")]
Width = Annotated[Literal["single", "double"], typer.Option(help="Of the figure: 3.4 or 7 inches.")]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", help="WHAT=TEXT on the axes: control, value or size; repeat it."),
]


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from heatcap.core.version import VERSION

        typer.echo(f"heatcap {VERSION}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(2)


def say(text: str, *, lines: bool = False, err: bool = False) -> None:
    """Print one line, or several, without control characters that a file may hold."""
    _print(plain(text, lines=lines), err)


def _print(text: str, err: bool = False) -> None:
    stream = sys.stderr if err else sys.stdout
    encoding = stream.encoding or "utf-8"
    try:
        typer.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=err)
    except OSError as error:
        # Python tries once more at exit, and would end with a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if error.errno != errno.EPIPE and not err:
            say(f"heatcap: standard output: {error.strerror}", err=True)
        raise typer.Exit(1) from None


def answer(summary: str, content: dict[str, Any], inputs: list[Path], json: Path | None) -> None:
    """Print the summary, and write the JSON where a path is given."""
    say(summary, lines=True)
    if json is not None:
        write_json(json, content, inputs)
        say(str(json))


def check_outputs(inputs: list[Path], *outputs: Path | None, figure: Path | None = None) -> None:
    """Check before any work that outputs have a folder and overwrite nothing that is in use.

    Raises ValueError for one that would overwrite an input or another output.
    """
    taken = {os.path.realpath(path): "an input" for path in inputs}
    drawn = [] if figure is None else _files_of(figure)
    for path in filter(None, [*outputs, *drawn]):
        place = os.path.realpath(path)
        if not os.path.isdir(os.path.dirname(place)):
            raise ValueError(f"{path}: there is no folder {path.parent}")
        if path.is_dir():
            raise ValueError(f"{path}: is a folder, expected the name of a file")
        if place in taken:
            raise ValueError(f"{path}: is {taken[place]}, expected another output")
        taken[place] = "another output"


def check_observables(*paths: Path) -> None:
    """Raise ValueError for an input that is no file, before anything that reads it is imported."""
    for path in paths:
        if path.is_dir():
            raise ValueError(
                f"{path}: is a folder, expected observables (OBS.nc): heatcap observe makes them of"
                " run files"
            )
        if not path.is_file():
            raise ValueError(f"{path}: no such file, expected observables (OBS.nc)")


def _files_of(figure: Path) -> list[Path]:
    """Files that a figure is written to."""
    ending = figure.suffix.lower()
    if ending not in ("", ".pdf", ".png", ".svg"):
        raise ValueError(f"figures are written as .pdf, .png and .svg, got {figure.name!r}")
    page = ".svg" if ending == ".svg" else ".pdf"
    return [figure.with_suffix(ending) for ending in (page, ".png", ".caption.txt")]


def write_json(path: Path, content: dict[str, Any], inputs: list[Path]) -> None:
    """Write JSON with command, versions and checksums of the inputs, whole or not at all."""
    import json
    import platform
    from importlib.metadata import version

    from heatcap.core.version import VERSION
    from heatcap.core.writing import write_text
    from heatcap.runfile import checksums

    names = ("numpy", "scipy", "pandas", "xarray", "statsmodels")
    content = content | {
        "command": command(),
        "versions": {"heatcap": VERSION, "python": platform.python_version()}
        | {name: version(name) for name in names},
        "inputs": checksums(inputs),
    }
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def for_each(what: str, given: list[Any] | None, values: list[str]) -> list[Any]:
    """Repeat what is given, one or none, so that there is one for each value."""
    given = list(given or [None])
    if len(given) == 1 and (what == "tables" or len(values) == 1 or given[0] is None):
        return given * len(values)
    if len(given) != len(values):
        raise typer.BadParameter(
            f"expected one for each of {len(values)} values, got {len(given)}", param_hint=what
        )
    return given


def chosen(window: str, sizes: str, drop: list[str] | None) -> Choice:
    """Parse the rows of a table that are used."""
    from heatcap.core.choice import Choice

    return Choice.of(window, sizes, ",".join(drop or []))


def words(text: str) -> list[str] | None:
    """Split text at commas; None where it is empty."""
    return [word.strip() for word in text.split(",")] if text else None


def assignments(pairs: list[str] | None) -> dict[str, float]:
    """Parse NAME=VALUE pairs of numbers."""
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


def axis_labels(pairs: list[str] | None) -> dict[str, str]:
    """Parse WHAT=TEXT pairs, words of the axes; text may hold $mathematics$."""
    out = {}
    for pair in pairs or []:
        what, equals, text = pair.partition("=")
        if not equals or what.strip() not in ("control", "value", "size"):
            raise typer.BadParameter(
                f"expected control=TEXT, value=TEXT or size=TEXT, got {pair!r}",
                param_hint="--label",
            )
        out[what.strip()] = plain(text.strip())  # fonts have no control characters
    return out


def draw(figure: str, output: Path | None, *shown: Any, **options: Any) -> None:
    """Draw a figure of :mod:`heatcap.figures` where a path is given, and print its files."""
    if output is not None:
        from heatcap import figures

        drawn = getattr(figures, figure)(*shown, **options)
        for path in figures.save(drawn, output):
            say(str(path))
        if figures.caption(drawn):
            say(str(output.with_suffix(".caption.txt")))


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """End bad input in one line and exit status 1, and show warnings in one line each."""

    noted: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        kind = "note" if category.__name__ == "TableNote" else "warning"
        text = str(message).partition(": ")[2] if kind == "note" else ""  # of any of the tables
        if text not in noted or not text:
            say(f"{kind}: {message}", err=True)
        noted.add(text)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        try:
            yield
        except OSError as error:
            stop(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        except ValueError as error:
            stop(str(error))
        except MemoryError as error:
            stop(f"not enough memory: {error}".removesuffix(": "))


def stop(message: str) -> NoReturn:
    """Print one line of error and exit with status 1."""
    say(f"heatcap: {message}", err=True)
    raise typer.Exit(1)


def fail_if(bad: bool) -> None:
    """Exit with status 1 if something was wrong."""
    if bad:
        raise typer.Exit(1)


def numbers(option: str, text: str) -> list[float]:
    """Parse numbers separated by commas; errors name the option."""
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(
            f"expected numbers separated by commas, got {text!r}", param_hint=option
        ) from None


@contextlib.contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal; yields a function (done, total) that moves it."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, _: bar.update(task, completed=done)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: Collection[int]
) -> None:
    """Print rows under columns, those in `left` flush left."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for k, name in enumerate(columns):
        table.add_column(Text(plain(name)), justify="left" if k in left else "right")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    shown, terminal = io.StringIO(), sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else 200
    console = Console(file=shown, force_terminal=terminal, width=width, highlight=False)
    console.print(table)
    _print(shown.getvalue().rstrip("\n"))


def plural(word: str, count: int) -> str:
    """Give a word the form for a count."""
    return word if count == 1 else "queries" if word == "query" else f"{word}s"


def command(*, without: Collection[str] = ()) -> str:
    """Return the command line as a shell takes it, without the named options of one value."""
    typed = shlex.join(["heatcap", *_without(sys.argv[1:], without)])
    return os.fsencode(typed).decode(errors="backslashreplace")  # file names may hold any bytes


def _without(arguments: Sequence[str], options: Collection[str]) -> list[str]:
    """Arguments but for some options: -o FILE, -oFILE, --output FILE and --output=FILE."""
    remaining: list[str] = []
    joined = tuple(f"{name}=" if name.startswith("--") else name for name in options)
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            return [*remaining, argument, *rest]
        if argument in options:
            next(rest, None)
        elif not argument.startswith(joined):
            remaining.append(argument)
    return remaining
