"""Options for the shapes of tables, the same for every command that reads points."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args

import typer

from heatcap.cli.application import words

__all__ = ["with_shapes"]

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


def with_shapes(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options; it gets them as `shape`, keywords of `read_table`.

    --value may be left out where counts or a wide table stand for it.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [p for name, p in signature.parameters.items() if name != "shape"]
    listed = "list" in str(signature.parameters["value"].annotation)
    required = signature.parameters["value"].default is inspect.Parameter.empty
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = []
    for p in own:
        changed = p.replace(kind=kind)
        if p.name == "value" and p.default is inspect.Parameter.empty:
            kind_of, *about = get_args(p.annotation)
            optional = Annotated[kind_of | None, *about]  # type: ignore[valid-type]
            changed = changed.replace(annotation=optional, default=None)
        parameters.append(changed)
    parameters += [
        inspect.Parameter(name, kind, default=default, annotation=annotation)
        for name, (annotation, default) in OPTIONS.items()
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        shape = {name: given.pop(name) for name in OPTIONS}
        shape["interval"] = tuple(words(shape["interval"]) or []) or None
        if not given["value"]:
            stands = shape["wide"] or shape["successes"] is not None
            name = "value" if shape["wide"] else f"{shape['successes']}/{shape['trials']}"
            if stands:
                given["value"] = [name] if listed else name
            elif required:
                raise typer.BadParameter("name the column of the value", param_hint="--value")
        command(shape=shape, **given)

    vars(run).pop("__wrapped__")
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run
