"""The command itself, its groups, and what they answer without a command."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["app", "figure_app"]

app = typer.Typer(
    help="Is that peak a phase transition, or a crossover?  Analysis of saved attention runs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich costs 0.1 s at every --help
    pretty_exceptions_enable=False,
)
figure_app = typer.Typer(help="Draw a figure from observables (PDF and PNG).", no_args_is_help=True)
app.add_typer(figure_app, name="figure")


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
