"""Options for the shapes of tables, the same for every command that reads points."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from heatcap.cli.application import (
    Control,
    Drawn,
    Drop,
    Error,
    Json,
    Labels,
    Names,
    Seed,
    Size,
    Sizes,
    Width,
    Window,
    axis_labels,
    check_outputs,
    chosen,
    draw,
    plain_errors,
    words,
)

if TYPE_CHECKING:
    from heatcap.scaling import Points

__all__ = ["OPTIONS", "Asked", "checked", "with_shapes"]

KEYWORD = inspect.Parameter.KEYWORD_ONLY

OPTIONS: dict[str, tuple[Any, Any]] = {
    "wide": (
        Annotated[
            bool, typer.Option("--wide", help="One column for each size, which is in its name.")
        ],
        False,
    ),
    "size_from": (
        Annotated[
            str,
            typer.Option(
                metavar="REGEX", help=r"Size in the name of each file: its first group, '(\d+)'."
            ),
        ],
        "",
    ),
    "interval": (
        Annotated[
            str,
            typer.Option(metavar="LOWER,UPPER", help="Columns of the ends of a 68 % interval."),
        ],
        "",
    ),
    "successes": (
        Annotated[
            str | None, typer.Option(help="Column of counts k; with --trials instead of --value.")
        ],
        None,
    ),
    "trials": (Annotated[str | None, typer.Option(help="Column of the trials n.")], None),
    "drop_zero_errors": (
        Annotated[
            bool, typer.Option("--drop-zero-errors", help="Leave out rows with an error of 0.")
        ],
        False,
    ),
    "decimal": (
        Annotated[
            str,
            typer.Option(metavar=", or .", help="Mark of decimals, where the cells do not tell."),
        ],
        "",
    ),
}


COLUMNS: dict[str, tuple[Any, Any]] = {
    "size": (Size, "size"),
    "control": (Control, "control"),
    "error": (Error, None),
    "names": (Names, ""),
    "window": (Window, ""),
    "sizes": (Sizes, ""),
    "drop": (Drop, None),
}
ANSWERS: dict[str, tuple[Any, Any]] = {
    "seed": (Seed, 0),
    "json": (Json, None),
    "figure": (Drawn, None),
    "width": (Width, "double"),
    "label": (Labels, None),
}


@dataclass(frozen=True)
class Asked:
    """What is given of the options in COLUMNS, ANSWERS and OPTIONS, and the value."""

    size: str
    control: str
    error: str | None
    names: str
    window: str
    sizes: str
    drop: list[str] | None
    seed: int
    json: Path | None
    figure: Path | None
    width: Literal["single", "double"]
    label: list[str] | None
    shape: dict[str, Any]

    @contextlib.contextmanager
    def points(self, tables: list[Path], value: str) -> Iterator[Points]:
        """Check the outputs and read a table; what its points then raise is one line."""
        from heatcap.scaling import read_table

        with plain_errors(), checked(tables, self.json, figure=self.figure):
            yield read_table(
                tables, size=self.size, control=self.control, value=value, error=self.error,
                names=words(self.names), choice=chosen(self.window, self.sizes, self.drop),
                **self.shape,
            )  # fmt: skip

    def draw(self, kind: str, *shown: Any, panel: str) -> None:
        """Draw the figure that is asked for, if any."""
        names = (self.size, self.control)
        labels = axis_labels(self.label)
        draw(kind, self.figure, *shown, names=names, panel=panel, width=self.width, labels=labels)


def by_place(given: Mapping[str, Any]) -> dict[str, Any]:
    """Take size, control, value and error from --names L,x,A,dA, in this order.

    Empty unless --names has three or four columns.
    """
    names = words(given["names"])
    if names is None or len(names) not in (3, 4):
        return {}
    size, control = (
        given[option] if given[option] in names else names[place]
        for place, option in enumerate(("size", "control"))
    )  # fmt: skip
    error = given["error"] or (names[3] if names[3:] else None)
    return {"size": size, "control": control, "value": names[2], "error": error}


@contextlib.contextmanager
def checked(
    tables: list[Path], *outputs: Path | None, figure: Path | None = None
) -> Iterator[None]:
    """Check the outputs, and name the tables before what is raised about their content."""
    check_outputs(tables, *outputs, figure=figure)
    called = str(tables[0]) if len(tables) == 1 else f"{len(tables)} tables"
    try:
        yield
    except ValueError as problem:
        named = ("--", *(f"{one}: " for one in (called, *tables)))  # an option, or a table
        told = "" if str(problem).startswith(named) else f"{called}: "
        raise ValueError(f"{told}{problem}") from None


def with_shapes(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shapes; it gets them as `shape`, keywords of `read_table`.

    A command that takes `asked` instead has COLUMNS behind its value, and ANSWERS, too.  Options of
    the same name are the command's own.  --value may be left out where counts or a wide table
    stand for it.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [p for name, p in signature.parameters.items() if name not in ("shape", "asked")]
    known = {p.name for p in own}
    shapes = {name: option for name, option in OPTIONS.items() if name not in known}
    joint = COLUMNS | ANSWERS if "asked" in signature.parameters else {}
    value = signature.parameters.get("value")
    required = value is not None and value.default is inspect.Parameter.empty
    listed = "list" in str(value.annotation if value else "")
    parameters: list[inspect.Parameter] = []
    for p in own:
        changed = p.replace(kind=KEYWORD)
        if p.name == "value" and required:
            kind_of, *about = get_args(p.annotation)
            optional = Annotated[kind_of | None, *about]  # type: ignore[valid-type]
            changed = changed.replace(annotation=optional, default=None)
        parameters.append(changed)
        if p.name == "value" and joint:
            parameters += _parameters(COLUMNS)
    parameters += _parameters((ANSWERS if joint else {}) | shapes)

    @functools.wraps(command)
    def run(**given: Any) -> None:
        shape = {name: given.pop(name) for name in shapes}
        if "interval" in shape:
            shape["interval"] = tuple(words(shape["interval"]) or []) or None
        if value is not None and not given["value"] and not given.get("positions"):
            stands = shape["wide"] or shape.get("successes") is not None
            name = "value" if shape["wide"] else f"{shape.get('successes')}/{shape.get('trials')}"
            if stands:
                given["value"] = [name] if listed else name
            elif joint and (columns := by_place(given)):
                given |= columns
            elif required:
                raise typer.BadParameter("name the column of the value", param_hint="--value")
        if joint:
            given["asked"] = Asked(**{name: given.pop(name) for name in joint}, shape=shape)
        else:
            given["shape"] = shape
        command(**given)

    vars(run).pop("__wrapped__")
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _parameters(options: dict[str, tuple[Any, Any]]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(name, KEYWORD, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]
