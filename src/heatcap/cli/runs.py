"""Commands on run files: info, validate, repair, observe."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heatcap.cli.application import (
    app,
    check_outputs,
    command,
    fail_if,
    numbers,
    plain_errors,
    plural,
    print_table,
    progress,
    say,
    stop,
)
from heatcap.core.quantities import BOUND, HEAT_CAPACITY, KEYS

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["bound_notes"]

RunPaths = Annotated[list[Path], typer.Argument(help="Run files, or folders that hold them.")]


Untrusted = Annotated[
    bool,
    typer.Option(
        "--untrusted",
        help="Read files in processes with limits of time and, on Linux, of memory: HDF5 itself "
        "can hang or crash on hostile bytes.",
    ),
]


class Per(StrEnum):
    head = "head"
    layer = "layer"


class Time(StrEnum):
    step = "step"
    log = "log"


@app.command()
def info(paths: RunPaths, untrusted: Untrusted = False) -> None:
    """List runs: size, sweep parameters, checkpoints, and how each one ended."""
    from heatcap.runfile import open_runs, parameter_names

    with plain_errors():
        runs = open_runs(paths, untrusted=untrusted)
    names = parameter_names(runs.headers)
    columns = ("run", *names, "layers", "heads", "probe", "keys", "checkpoints", "end")
    rows = []
    for header in runs.headers:
        sizes = header.sizes
        extents = (sizes["layer"], sizes["head"], sizes["probe"], sizes["key"], sizes["step"])
        given = [header.parameters.get(name, "") for name in names]
        values = [f"{value:g}" if isinstance(value, float) else str(value) for value in given]
        end = header.stop_reason or "(not finished)"
        rows.append((header.run_id, *values, *map(str, extents), end))
    print_table(columns, rows, left=(0, len(columns) - 1))
    fail_if(bool(runs.problems))


@app.command()
def validate(paths: RunPaths, untrusted: Untrusted = False) -> None:
    """Read run files to the last number and say what is wrong; exit status 1 if anything is."""
    from heatcap.runfile import (
        RunFileError,
        checkpoints_in,
        commit_waits,
        find_runs,
        validate_run,
    )

    bad = 0
    files = find_runs(paths)
    if not files:
        stop(f"no file *.h5 in {', '.join(map(str, paths))}{checkpoints_in(paths)}")
    for path in files:
        try:
            problems = validate_run(path, untrusted=untrusted)
        except RunFileError as error:
            say(str(error), err=True)
            bad += 1
            continue
        bad += bool(problems)
        say(f"{path}: " + ("; ".join(problems) if problems else "ok"))
        if not untrusted and commit_waits(path):
            say(f"{path}: its last commit is in its journal; heatcap repair finishes it")
    fail_if(bad > 0)


@app.command()
def repair(paths: RunPaths) -> None:
    """Finish in run files the commit that a killed writer left in its journal.

    Readers do not need it: they lay the journal over the file in memory.
    """
    from heatcap.runfile import RunFileError, find_runs, repair_run

    bad = False
    for path in find_runs(paths):
        try:
            finished = repair_run(path)
        except RunFileError as error:
            say(str(error), err=True)
            bad = True
            continue
        say(f"{path}: " + ("finished the last commit" if finished else "nothing to do"))
    fail_if(bad)


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
    geometry: Annotated[
        bool,
        typer.Option(
            "--geometry", help="Also the information geometry along training and the layers."
        ),
    ] = False,
    time: Annotated[
        Time, typer.Option(help="Unit of time of the --geometry: step or ln step.")
    ] = Time.step,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", help="Processes; 0 for one per core.", min=0)
    ] = 0,
    untrusted: Untrusted = False,
) -> None:
    """Compute the observables of runs; runs that OUTPUT holds already are not computed again."""
    import heatcap.observables as observables
    from heatcap.runfile import open_runs

    with plain_errors():
        if time is not Time.step and not geometry:
            raise typer.BadParameter("needs --geometry, whose time it is", param_hint="--time")
        check_outputs(paths, output)
        temperatures = _temperatures(temperature)
        runs = open_runs(paths, untrusted=untrusted)
        computed = observables.load(output) if output.exists() else None
        # Those that this process may use, in a container too.
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        with progress(len(runs), "observing") as shown:
            table = observables.observe(
                runs,
                temperatures=temperatures,
                per=per.value,
                geometry=geometry,
                time=time.value,
                jobs=jobs or cores or 1,
                known=computed,
                progress=shown,
            )
        table.attrs["command"] = command()
        observables.save(table, output)
        say(f"{output}: {_extents(table)}")
        for line in bound_notes(table):
            say(line)
        bad = len(runs) - table.sizes["run"] + len(runs.problems)
    fail_if(bad > 0)


def bound_notes(table: xr.Dataset) -> list[str]:
    """State how close the heat capacity of the last query comes to its bound.

    Empty where there is no heat capacity.
    """
    import numpy as np

    from heatcap.observables.dataset import curve

    if HEAT_CAPACITY not in table:
        return []
    highest = curve(table, HEAT_CAPACITY)
    highest = highest.max([dim for dim in highest.dims if dim != "run"])
    reached = (highest / curve(table, BOUND)).values
    keys = np.unique(curve(table, KEYS).values.round(6))
    keys_said = f"{keys[0]:g}" if len(keys) == 1 else f"{keys[0]:g} to {keys[-1]:g}"
    note = (
        f"heat_capacity of the last query: at most {np.nanmax(reached):.0%} of the bound that "
        f"{keys_said} visible keys set"
    )
    if len(keys) == 1 and table.sizes["run"] > 1:
        note += "; the bound is the same for all runs, so a height that saturates is no finding"
    return [note]


def _temperatures(text: str) -> list[float]:
    """Parse a,b,c or LOW:HIGH:COUNT in even steps of ln T."""
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
    return numbers("--temperature", text)


def _extents(table: xr.Dataset) -> str:
    """Numbers of runs, checkpoints, ... in words."""
    order = ("run", "checkpoint", "layer", "head", "query", "temperature")
    counted = [(table.sizes[dim], dim) for dim in order if dim in table.sizes]
    return ", ".join(f"{n} {plural(dim, n)}" for n, dim in counted)
