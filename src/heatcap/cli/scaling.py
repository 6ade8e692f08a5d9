"""Commands of finite-size scaling: collapse, crossings, peaks, stiffness, order.

Each reads a table of points, prints the summary of a fit, and writes JSON and a figure on request.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from heatcap.cli.application import (
    TABLE,
    Control,
    Drawn,
    Drop,
    Json,
    Names,
    Runs,
    Seed,
    Size,
    Sizes,
    Tables,
    Width,
    Window,
    answer,
    app,
    assignments,
    axis_labels,
    check_outputs,
    chosen,
    command,
    draw,
    for_each,
    plain_errors,
    say,
    words,
)
from heatcap.cli.shapes import Asked, by_place, checked, with_shapes
from heatcap.core.writing import html_path

if TYPE_CHECKING:
    from heatcap.scaling import PeakScaling

OF_ERROR = "Column of its error; its name with _error, if there is one, unless said."

FIXED = (
    "Hold a parameter that is fitted otherwise: x_c; inverse_nu, 1/nu in X = t L^(1/nu); exponent, "
    "e in A = L^e f(X), 0 for a dimensionless quantity; omega, a and s, corrections to scaling, "
    "1 + a L^-omega and X + s L^-omega; b and c, analytic corrections, 1 + b t and t (1 + c t); "
    "dimension and log_l0 of the other ansaetze.  Of several observables exponent means each, "
    "exponent_NAME one; a held exponent is compared with the fitted one."
)


@app.command()
@with_shapes
def collapse(
    tables: Annotated[list[Path], typer.Argument(help=TABLE)],
    value: Annotated[
        list[str] | None,
        typer.Option(help="Column of the observable; may be repeated.  The third of --names."),
    ] = None,
    size: Size = "size",
    control: Control = "control",
    error: Annotated[
        list[str] | None, typer.Option(help="Column of its error, for each --value in turn.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of each observable; of several tables that of the file.  Or words of an "
            "axis: control=TEXT, value=TEXT, size=TEXT."
        ),
    ] = None,
    runs: Runs = None,
    names: Names = "",
    window: Window = "",
    sizes: Sizes = "",
    drop: Drop = None,
    ansatz: Annotated[
        str, typer.Option(help="second-order, first-order or kosterlitz-thouless.")
    ] = "second-order",
    fix: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=FIXED)] = None,
    free: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Fit what the ansatz holds: dimension, 2 at first order."
        ),
    ] = None,
    excluded: Annotated[
        list[str] | None,
        typer.Option(
            help="What theory excludes: crossover, logarithms, held, first-order; may be repeated."
        ),
    ] = None,
    resamples: Annotated[
        int,
        typer.Option(min=0, help="Of the replicates that a Dataset holds; 0: errors of the fit."),
    ] = 100,
    seed: Seed = 0,
    json: Json = None,
    export: Annotated[
        Path | None, typer.Option(help="POINTS.csv of the scaled points, in units of the table.")
    ] = None,
    figure: Drawn = None,
    panel: Annotated[
        Literal["all", "data", "collapse", "residuals", "windows"],
        typer.Option(help="Part of the figure."),
    ] = "all",
    width: Width = "double",
    raw: Annotated[
        bool, typer.Option("--raw", help="Draw scaled points with their corrections.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="OUT.html: a page with sliders to try other parameters.")
    ] = None,
    *,
    shape: dict[str, Any],
) -> None:
    """Collapse data of several sizes: critical point and exponents, with errors; no start needed.

    Several observables share x_c and the shape: repeat --value (and --error), with one table or
    one for each, or give several tables with the same columns.  Their exponents are called
    exponent_VALUE, or exponent_FILE, or exponent_LABEL.
    """
    from heatcap.scaling.data import number_or_name, read_table

    with plain_errors():
        check_outputs(tables, json, export, html, figure=figure)
        axes = [text for text in label or [] if "=" in text]
        label = [text for text in label or [] if "=" not in text]
        shown = {"panel": panel, "width": width, "raw": raw, "labels": axis_labels(axes)}
        if html is not None:
            html_path(html)
        if not value:
            named = {"names": names, "size": size, "control": control, "error": None}
            if not (columns := by_place(named)):
                raise typer.BadParameter("name the column of the observable", param_hint="--value")
            size, control, value = columns["size"], columns["control"], [columns["value"]]
            error = error or ([columns["error"]] if columns["error"] else None)
        if len(tables) > 1 and len(value) == 1 and not shape["size_from"]:
            label = label or [path.stem for path in tables]
            value, error = value * len(tables), (error or [])[:1] * len(tables) or None
        like: dict[str, Any] = {"size": size, "control": control, "names": words(names)}
        like |= {"runs": number_or_name(runs), "choice": chosen(window, sizes, drop)} | shape
        files: list[Any] = (
            [tables] * len(value) if shape["size_from"] else for_each("tables", tables, value)
        )
        errors = for_each("--error", error, value)
        called = for_each("--label", label or value, value)
        parts = [
            replace(read_table(path, value=v, error=e, **like), name=name)
            for path, v, e, name in zip(files, value, errors, called, strict=True)
        ]
        if len(parts) > 1 and all(part.size.min() == part.size.max() for part in parts):
            parts = [read_table(tables, value=value[0], error=errors[0], **like)]
        if resamples and any(part.replicates is not None for part in parts):
            say(
                f"{resamples} resamples of the replicates: about twice the time of a fit without "
                "them (--resamples 0)",
                err=True,
            )
        from heatcap.scaling import collapse as fit  # half a second, after the tables are read

        result = fit(
            parts, ansatz=ansatz, fixed=assignments(fix), free=free or (),
            excluded=excluded or (), bootstrap=resamples, rng=seed,
        )  # fmt: skip
        answer(result.summary(), result.to_dict(), tables, json)
        if export is not None:
            result.export(export)
            say(str(export))
        draw("collapse", figure, result, parts, names=(size, control), **shown)
        if html is not None:
            from heatcap.report import explore

            # Equal inputs give equal pages, wherever this run writes.
            typed = command(without=("--html", "--json", "--figure", "--export"))
            page = explore(result, parts, names=(size, control), sources=tables, command=typed)
            say(str(page.save(html)))


@app.command()
@with_shapes
def crossings(
    tables: Tables,
    value: Annotated[str, typer.Option(help="Column of the dimensionless quantity.")],
    ratio: Annotated[
        float | None, typer.Option(help="Large over small of the pairs; successive by default.")
    ] = None,
    drift: Annotated[float | None, typer.Option(help="1/nu + omega, where it is known.")] = None,
    level: Annotated[
        float | None, typer.Option(help="Where each curve meets this value, instead of another.")
    ] = None,
    panel: Annotated[
        Literal["all", "data", "pairs"], typer.Option(help="Part of the figure.")
    ] = "all",
    *,
    asked: Asked,
) -> None:
    """Where curves of pairs of sizes cross, and x_c from x*(L) = x_c + a L^(-1/nu - omega)."""
    with asked.points(tables, value) as data:
        from heatcap.scaling import crossings as find

        result = find(data, ratio=ratio, drift=drift, level=level, rng=asked.seed)
        answer(result.summary(), result.to_dict(), tables, asked.json)
        asked.draw("crossings", result, data, panel=panel)


@app.command()
@with_shapes
def extrema(
    tables: Tables,
    value: Annotated[str, typer.Option(help="Column of the quantity that has a peak.")] = "",
    positions: Annotated[
        str, typer.Option(help="Column of positions that are known already, one row for each size.")
    ] = "",
    inverse_nu: Annotated[float | None, typer.Option(help="1/nu, where it is known.")] = None,
    exponent: Annotated[float | None, typer.Option(help="Of the height, if known.")] = None,
    panel: Annotated[
        Literal["all", "data", "heights"], typer.Option(help="Part of the figure.")
    ] = "all",
    *,
    asked: Asked,
) -> None:
    """Peak of every size; x_c, 1/nu and the exponent of the height from peaks against size.

    With --positions a table of peaks that are known, instead of curves.
    """
    if positions:
        if value or asked.figure or asked.window or exponent is not None:
            raise typer.BadParameter(
                "goes without --value, --window, --exponent and --figure", param_hint="--positions"
            )
        with plain_errors(), checked(tables, asked.json):
            known = _known_peaks(tables, positions, asked, inverse_nu)
            answer(known.summary(), {"against_size": known.to_dict()}, tables, asked.json)
        return
    if not value:
        raise typer.BadParameter("name the column of the peaked quantity", param_hint="--value")
    with asked.points(tables, value) as data:
        from heatcap.scaling import extrema as find

        result = find(data, rng=asked.seed)
        against = result.against_size(inverse_nu=inverse_nu, exponent=exponent)
        summary = f"{result.summary()}\nagainst size, {against.summary()}"
        content = result.to_dict() | {"against_size": against.to_dict()}
        answer(summary, content, tables, asked.json)
        asked.draw("extrema", result, data, against, panel=panel)


def _known_peaks(
    tables: list[Path], positions: str, asked: Asked, inverse_nu: float | None
) -> PeakScaling:
    """Fit positions of a table, one row for each size, against the size."""
    from heatcap.scaling.loading import Shape, Wanted, read_rows

    wanted = Wanted(asked.size, None, positions, asked.error)
    choice = chosen("", asked.sizes, asked.drop)
    rows = read_rows(tables, wanted, Shape(**asked.shape), words(asked.names), choice)
    if "error" not in rows.columns:
        raise ValueError("--positions needs --error, the column of their errors, or --interval")
    at, x, dx = (rows.columns[name][rows.used] for name in ("size", "value", "error"))
    from heatcap.scaling import peaks_against_size

    return peaks_against_size(at, x, dx, inverse_nu=inverse_nu, name=positions)


@app.command()
@with_shapes
def stiffness(
    tables: Tables,
    value: Annotated[str, typer.Option(help="Column of the helicity modulus.")],
    free_jump: Annotated[
        bool, typer.Option("--free-jump", help="Fit the jump too, instead of 2 T / pi.")
    ] = False,
    panel: Annotated[
        Literal["all", "data", "jump"], typer.Option(help="Part of the figure.")
    ] = "all",
    *,
    asked: Asked,
) -> None:
    """Kosterlitz-Thouless temperature and universal jump from the helicity modulus.

    The control is the temperature T.
    """
    with asked.points(tables, value) as data:
        from heatcap.scaling import stiffness as fit

        result = fit(data, free_jump=free_jump, rng=asked.seed)
        answer(result.summary(), result.to_dict(), tables, asked.json)
        asked.draw("stiffness", result, data, panel=panel)


@app.command()
@with_shapes
def order(
    tables: Annotated[list[Path] | None, typer.Argument(help=TABLE)] = None,
    binder: Annotated[str, typer.Option(help="Column of a dimensionless quantity.")] = "",
    binder_error: Annotated[str, typer.Option(help=OF_ERROR)] = "",
    heat_capacity: Annotated[str, typer.Option(help="Column of the heat capacity per site.")] = "",
    heat_capacity_error: Annotated[str, typer.Option(help=OF_ERROR)] = "",
    stiffness: Annotated[str, typer.Option(help="Column of the helicity modulus.")] = "",
    stiffness_error: Annotated[str, typer.Option(help=OF_ERROR)] = "",
    series: Annotated[
        Path | None, typer.Option(help="SERIES.nc: energies (point, replicate, sweep).")
    ] = None,
    size: Size = "size",
    control: Control = "control",
    names: Names = "",
    window: Window = "",
    sizes: Sizes = "",
    drop: Drop = None,
    dimension: Annotated[int, typer.Option(help="d of the system.")] = 2,
    seed: Seed = 0,
    json: Json = None,
    figure: Annotated[
        Path | None, typer.Option(help="OUT.pdf of the energy histograms; a PNG comes with it.")
    ] = None,
    *,
    shape: dict[str, Any],
) -> None:
    """Second order, first order, Kosterlitz-Thouless or undecided, and the evidence for it.

    Columns of one table, energy series, or both.  Without --heat-capacity it comes from the series.
    Counts, --successes and --trials, are those of --binder, a share.
    """
    from heatcap.scaling import read_table

    if shape["successes"] is not None and not binder:
        binder = f"{shape['successes']}/{shape['trials']}"
    columns = {
        "dimensionless": (binder, binder_error),
        "heat_capacity": (heat_capacity, heat_capacity_error),
        "stiffness": (stiffness, stiffness_error),
    }
    named = {what: column for what, column in columns.items() if column[0]}
    if not tables and named:
        raise typer.BadParameter("columns are named, but no table is given", param_hint="TABLE")
    if not named and series is None:
        raise typer.BadParameter(
            "expected --binder, --heat-capacity or --stiffness with a table, or --series"
        )
    if figure is not None and series is None:
        raise typer.BadParameter("histograms need --series", param_hint="--figure")
    for option in ("wide", "interval", "successes"):
        if shape[option] and len(named) > 1:
            raise typer.BadParameter(
                "is of one quantity, name one of --binder, --heat-capacity and --stiffness",
                param_hint=f"--{option}",
            )
    with plain_errors():
        inputs = [path for path in (*(tables or []), series) if path is not None]
        check_outputs(inputs, json, figure=figure)
        given = {
            what: read_table(
                tables or [], size=size, control=control, value=column, error=error or None,
                likely=f"{column}_error", names=words(names),
                choice=chosen(window, sizes, drop), **shape,
            )
            for what, (column, error) in named.items()
        }  # fmt: skip
        energies = None
        if series is not None:
            from heatcap.runfile import read_netcdf

            energies = read_netcdf(series, "energy series")
        from heatcap.scaling import transition_order

        result = transition_order(**given, series=energies, dimension=dimension, rng=seed)
        answer(result.summary(), result.to_dict(), inputs, json)
        draw("histograms", figure, result.results.get("barriers"))
