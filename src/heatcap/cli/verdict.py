"""Commands `verdict` (does a peak diverge, with the size or along a control) and `calibrate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from heatcap.cli.application import (
    Drawn,
    Drop,
    Error,
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
    check_observables,
    check_outputs,
    chosen,
    draw,
    fail_if,
    numbers,
    plain_errors,
    say,
    words,
)
from heatcap.cli.shapes import OPTIONS, checked, with_shapes
from heatcap.core.columns import PROPER
from heatcap.core.quantities import HEAT_CAPACITY
from heatcap.core.text import legible

if TYPE_CHECKING:
    from heatcap.divergence import Verdict
    from heatcap.divergence.answer import Answer
    from heatcap.scaling import Extrema

__all__ = ["calibrate", "verdict"]

Level = Annotated[
    float,
    typer.Option(
        help="How often, at least, the true class is not excluded, for data that the fitted forms "
        "describe or nearly, at errors that are known."
    ),
]
KappaMin = Annotated[float, typer.Option(help="Margin: smallest exponent of a power law.")]
Ratio = Annotated[float, typer.Option(help="Margin: a limit is seen up to so many heights.")]
Effect = Annotated[float, typer.Option(help="Margin: smallest effect, as a share of the height.")]
# Options of one of the three questions: along a control, by size, of saved runs.
ALONG = ("log_control", "at", "alpha_min", "decade")
LEAST_SIZES = 4
BY_SIZE = ("kappa_min", "saturation_ratio", "runs")
OF_TABLES = ("control", "size", "error", "names", "runs")
CHOICE = ("window", "sizes", "drop")
OF_TABLE_ALONE = (*ALONG, *OF_TABLES, *CHOICE, *OPTIONS)
OF_RUNS = ("observable", "group")


@app.command()
@with_shapes
def verdict(
    context: typer.Context,
    tables: Tables,
    value: Annotated[
        str | None, typer.Option(help="Column of the peak height; an empty cell is no peak.")
    ] = None,
    size: Size = "size",
    error: Error = None,
    runs: Runs = None,
    names: Names = "",
    control: Annotated[
        str | None, typer.Option(help="Column of the control: test one curve along it.")
    ] = None,
    at: Annotated[float | None, typer.Option(help="With --control: rows of this --size.")] = None,
    window: Window = "",
    sizes: Sizes = "",
    drop: Drop = None,
    observable: Annotated[
        list[str] | None, typer.Option(help="Of saved runs; repeat for several, all by default.")
    ] = None,
    group: Annotated[
        str, typer.Option(help='Of saved runs: "none" for the runs proper, or a control.')
    ] = PROPER,
    log_control: Annotated[
        bool, typer.Option("--log-control", help="With --control: forms in its logarithm.")
    ] = False,
    alpha_min: Annotated[
        float, typer.Option(help="With --control, margin: smallest exponent of a power law.")
    ] = 0.1,
    decade: Annotated[
        float, typer.Option(help="With --control, margin: reach over cut-off of a power law.")
    ] = 10.0,
    level: Level = 0.95,
    kappa_min: KappaMin = 0.1,
    saturation_ratio: Ratio = 2.0,
    smallest_effect: Effect = 0.05,
    rescale: Annotated[
        bool, typer.Option("--rescale", help="Multiply errors that chi2 does not agree with.")
    ] = False,
    seed: Seed = 0,
    json: Json = None,
    figure: Drawn = None,
    panel: Annotated[
        Literal["all", "heights", "exponents", "cut-offs", "values", "tails", "profile"],
        typer.Option(help="Part of the figure; the last three along a --control."),
    ] = "all",
    width: Width = "double",
    *,
    shape: dict[str, Any],
) -> None:
    """Which growths of heights with the size are not excluded: power law, logarithm, bounded, flat.

    Without --value the table is OBS.nc from `heatcap observe`: a verdict for each observable, on
    the peak heights of the runs.  With it, one row for each size; without --error several rows of
    one size are independent runs, and their spread gives the error.  With --control one curve along
    the control, at one size, is tested in the same way; of a table with several sizes, --size and
    --at pick one.  With --size and --control, but no --at, the peaks of all sizes are located and
    tested against the size.
    """
    from heatcap.core.choice import interval
    from heatcap.divergence.margins import Margins, PeakMargins, check_level
    from heatcap.divergence.tables import read_curve, read_heights
    from heatcap.scaling import read_table

    shown = {"panel": panel, "width": width}
    with plain_errors(), checked(tables, json, figure=figure):
        check_level(level)
        given = _given(context)
        margins = Margins(kappa_min, saturation_ratio, smallest_effect)
        if value is None:
            _only(given, OF_TABLE_ALONE, "needs --value, the column of a table")
            if len(tables) > 1:
                raise ValueError("expected one OBS.nc, or --value, the column of tables")
            _of_runs(
                tables[0], observable, group, json, (figure, shown),
                level=level, margins=margins, rescale=rescale, rng=seed,
            )  # fmt: skip
            return
        _only(given, OF_RUNS, "goes without --value")
        peaks: Extrema | None = None
        data: dict[str, Any]
        like: dict[str, Any] = {"error": error, "names": words(names)} | shape
        by_size = "size" in given or shape["wide"] or shape["size_from"]
        if control is not None and by_size and at is None:
            _only(given, (*ALONG, "runs"), "goes without the peaks of several sizes")
            like["choice"] = chosen(window, sizes, drop)
            points = read_table(tables, size=size, control=control, value=value, **like)
            from heatcap.scaling import extrema

            peaks = extrema(points, rng=seed)
            data = {**_heights_of(peaks), "size_name": size, "margins": margins}
        elif control is not None:
            _only(given, (*BY_SIZE, "sizes"), "goes without --control")
            picked = None if at is None else (size, at)
            like["choice"] = chosen("", "", drop)
            data = {
                "control_name": control,
                "window": interval("--window", window) if window else None,
                "logarithmic": log_control,
                "margins": PeakMargins(alpha_min, decade, smallest_effect),
            }
            data |= read_curve(tables, control, value, picked=picked, **like)
        else:
            _only(given, (*ALONG, "window"), "needs --control")
            like["choice"] = chosen("", sizes, drop)
            data = read_heights(tables, size, value, runs=runs, **like)
            data |= {"size_name": size, "margins": margins}
        # Half a second to import, which a table that cannot be read does not wait for.
        from heatcap.divergence import divergence_test, peak_test

        along = control is not None and peaks is None
        test: Callable[..., Answer] = peak_test if along else divergence_test
        result = test(**data, level=level, rescale=rescale, rng=seed)
        summary, content = result.summary(), result.to_dict()
        if peaks is not None:
            summary = f"{summary}\npeaks, {peaks.summary()}"
            content |= {"peaks": peaks.to_dict()}
        answer(summary, content, tables, json)
        draw("peak_verdict" if along else "verdict", figure, result, name=value, **shown)


def _heights_of(peaks: Extrema) -> dict[str, Any]:
    """Arguments of `divergence_test` for the sizes that have a peak; at least four are needed.

    Raises
    ------
    ValueError
        If fewer have one.
    """
    import numpy as np

    there = np.isfinite(peaks.height)
    if there.sum() < LEAST_SIZES:
        reason = f"; {peaks.message}" if peaks.message else ""
        raise ValueError(
            f"{there.sum()} of {there.size} sizes have a peak inside their data, {LEAST_SIZES} are"
            f" needed for a verdict{reason}"
        )
    covariance = peaks.height_covariance[np.ix_(there, there)]
    return {
        "sizes": peaks.size[there],
        "heights": peaks.height[there],
        "covariance": covariance,
    }


def _of_runs(
    path: Path,
    observables: list[str] | None,
    group: str,
    json: Path | None,
    drawing: tuple[Path | None, dict[str, Any]],
    **options: Any,
) -> None:
    """Verdict for each observable of saved runs, or the reason why there is none."""
    if path.suffix != ".nc":
        raise ValueError(f"{path}: a table needs --value, the column of the height")
    check_observables(path)
    from heatcap.divergence import bound_by_keys, verdict_of_runs
    from heatcap.events import find_events
    from heatcap.observables import load

    obs = legible(load(path))
    events = find_events(obs, *(observables or ()))
    names = observables or events.observables
    figure, shown = drawing
    if figure is not None and len(names) != 1:
        raise ValueError("--figure draws one verdict: name one --observable")
    verdicts, problems = {}, {}
    for name in names:
        bound = bound_by_keys(obs) if name == HEAT_CAPACITY else None
        try:
            verdicts[name] = verdict_of_runs(events, name, group=group, bound=bound, **options)
        except ValueError as problem:
            problems[name] = str(problem)
            say(f"{name}: no verdict: {problem}", err=True)
            continue
        say(verdicts[name].brief(name), lines=True)
    meanings = _meanings(verdicts)
    content = {
        "schema_version": 1,
        "observables": {name: result.to_dict() for name, result in verdicts.items()},
        "problems": problems,
    }
    answer("\n".join([*meanings, options["margins"].summary()]), content, [path], json)
    if figure is not None and verdicts:
        draw("verdict", figure, verdicts[names[0]], name=names[0], **shown)
    fail_if(bool(problems))


def _meanings(verdicts: dict[str, Verdict]) -> list[str]:
    """Meaning of each verdict, once; with names where one word has several meanings."""
    names_by_meaning: dict[tuple[str, str], list[str]] = {}
    for name, result in verdicts.items():
        names_by_meaning.setdefault((result.verdict, result.meaning), []).append(name)
    words = [verdict for verdict, _ in names_by_meaning]
    return [
        f"{verdict}: {meaning}"
        + (f" (said of {', '.join(names)})" if words.count(verdict) > 1 else "")
        for (verdict, meaning), names in names_by_meaning.items()
    ]


def _given(context: typer.Context) -> set[str]:
    """Options that are on the command line."""
    return {
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }


def _only(given: set[str], names: tuple[str, ...], expected: str) -> None:
    """Raise ValueError for an option that belongs to another question."""
    for name in names:
        if name in given:
            raise ValueError(f"--{name.replace('_', '-')} {expected}")


@app.command()
def calibrate(
    sizes: Annotated[str, typer.Option(help="Planned sizes, e.g. 19,23,29,37.")],
    relative_error: Annotated[
        float | None, typer.Option(help="Of the height of one size, over all its runs.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Runs of each size.")] = None,
    scatter: Annotated[
        float | None, typer.Option(help="Relative scatter of the height from run to run.")
    ] = None,
    level: Level = 0.95,
    kappa_min: KappaMin = 0.1,
    saturation_ratio: Ratio = 2.0,
    smallest_effect: Effect = 0.05,
    replicates: Annotated[int, typer.Option(help="Experiments drawn for each truth.")] = 100,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """What a planned experiment would find: power and false verdicts for each truth.

    The error is --relative-error, or --scatter over the root of --seeds.
    """
    from heatcap.divergence.margins import Margins, check_level

    with plain_errors():
        check_outputs([], json)
        check_level(level)
        planned = numbers("--sizes", sizes)
        margins = Margins(kappa_min, saturation_ratio, smallest_effect)
        from heatcap.divergence import calibrate as plan  # half a second to import

        result = plan(
            planned, relative_error, seeds=seeds, scatter=scatter, margins=margins, level=level,
            replicates=replicates, rng=seed,
        )  # fmt: skip
        answer(result.summary(), result.to_dict(), [], json)
