"""Compute observables from run files: one labelled Dataset for all runs of a sweep.

Each run is one task, streamed in bounded memory (`stream`).  Runs may differ in their checkpoints:
``checkpoint`` and ``metric`` number these, ``step(run, checkpoint)`` and ``metric_step(run,
metric)`` have the training steps, and missing values are NaN.  Results carry the checksum of their
file, so that a known run is not computed again.

``heat_capacity`` is the canonical one, dU/dT; the other heat capacities are fluctuations of the
table of logits (:func:`heatcap.attention.heat_capacities` has the equations).  Energies are in
logits, entropies and heat capacities in nats (k_B = 1).
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from heatcap.core.quantities import INPUTS, KEYS, OBSERVABLES, POOLED, SINGLE_KEY, VISIBLE_KEYS
from heatcap.core.text import few
from heatcap.core.version import VERSION
from heatcap.observables.dataset import SCHEMA_VERSION, problems_of
from heatcap.observables.side_by_side import (
    IN_FILE,
    OUTGROWN,
    alone,
    apart,
    outgrown,
    renamed,
    stacked,
)
from heatcap.runfile import (
    STANDARD_METRICS,
    TAKEN,
    LogitReader,
    RunFileError,
    RunHeader,
    Runs,
    checksum,
    names_read,
    open_runs,
)
from heatcap.runfile.quarantine import UNLIMITED, Limits, for_contents, in_workers, stored_bytes
from heatcap.runfile.storage import INFLATION

if TYPE_CHECKING:
    from heatcap.attention.geometry import Fields, Time

__all__ = ["observe"]

#: Bytes of the observables of a checkpoint, layer, head and query, and at each temperature.
_ROW, _SCANNED = 2000, 300
#: Bytes that observables of a run may take in any case.
_ROOM = 1 << 30

#: Attribute of a single run: a note on where its logits look like a mask.
_DOUBT = "doubt"

Paths = Runs | str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def observe(
    runs: Paths,
    *,
    temperatures: Sequence[float] = (),
    geometry: bool = False,
    time: Time = "step",
    per: Literal["head", "layer"] = "head",
    jobs: int = 1,
    known: xr.Dataset | None = None,
    progress: Callable[[int, int], None] | None = None,
    untrusted: bool | Limits = False,
) -> xr.Dataset:
    """Compute the observables of saved runs.

    Parameters
    ----------
    runs
        Result or argument of `open_runs`.
    temperatures
        Temperatures of a quenched scan, relative to the model's own (T = 1): variables ``scan_*``.
    geometry
        Also compute the information geometry of the paths along training, ``fisher_*``, and along
        the layers, ``depth_*``.  This takes half as long again, and a fifth more storage.
    time
        Time of ``fisher_speed`` and ``fisher_action``: "step" or "log" (ln step).
    per
        "layer" averages over the heads, "head" keeps them.
    jobs
        Number of processes; each computes one run at a time.
    known
        Observables of an earlier call; runs with the same checksum are taken from there if the
        options are the same.
    progress
        Called with (runs done, runs in all).
    untrusted
        Read files in processes with limits of time and, on Linux, of memory, since HDF5 itself can
        hang or crash on hostile bytes.

    Returns
    -------
    Dataset (run, checkpoint, inputs, layer, head, query, metric, temperature)
        ``inputs`` are all, trained and untrained inputs of the probe.  Energies in logits,
        entropies and heat capacities in nats (k_B = 1).  ``pooled_logit_variance``
        (run, checkpoint, inputs) is the variance over all layers, heads, queries and keys at once.
        ``heat_capacity_bound`` (run, query) is the largest heat capacity for the number of visible
        keys; queries that see one key have C = S = 0 exactly, are flagged by ``single_key`` and
        enter no average.  ``attrs["problems"]`` lists what was noted: bad files, which are left out
        with a warning; metrics or parameters of older files that are called like an observable or
        a coordinate, which are read under a prefix (``metric_entropy``) with the original name in
        ``.attrs["name_in_file"]``; runs whose logits look like a mask in places, which are observed
        as they are.

    Raises
    ------
    RunFileError
        If no run can be observed.
    ValueError
        If an option is not one of the above, or a temperature is not positive.
    """
    options = _Options(tuple(float(t) for t in temperatures), geometry, time, per)
    collection = runs if isinstance(runs, Runs) else open_runs(runs, untrusted=untrusted)
    untrusted = untrusted or collection.untrusted
    reusable = _reusable(known, options)
    observed: dict[int, xr.Dataset] = {}
    left_out: list[str] = []
    tasks = [(header.path, options, reusable) for header in collection.headers]
    for done, (number, outcome) in enumerate(_outcomes(tasks, jobs, untrusted), start=1):
        if isinstance(outcome, RunFileError):
            left_out.append(str(outcome))
        elif isinstance(outcome, str):
            assert known is not None
            reused = alone(known, known["checksum"].values.tolist().index(outcome))
            observed[number] = _of_header(reused, collection.headers[number])
        else:
            observed[number] = outcome
        if progress:
            progress(done, len(tasks))
    if not observed:
        raise RunFileError("no run could be observed: " + few(left_out))
    order = sorted(observed)
    for large in outgrown([observed[number] for number in order]):
        left_out.append(f"{collection.headers[order[large]].path}: {OUTGROWN}")
        del observed[order[large]]
    for problem in left_out:
        warnings.warn(f"left out: {problem}", stacklevel=2)
    tables = [observed[number] for number in sorted(observed)]
    table = stacked(apart(tables))
    cautions = collection.cautions
    doubts = [run.attrs[_DOUBT] for run in tables if _DOUBT in run.attrs]
    for line in (unseen := [*renamed(table, cautions), *doubts]):
        warnings.warn(line, stacklevel=2)
    problems = [*map(str, collection.problems), *left_out, *cautions, *unseen]
    table.attrs = _attributes(options, problems)
    return table


@dataclass(frozen=True)
class _Options:
    temperatures: tuple[float, ...]
    geometry: bool
    time: Time
    per: Literal["head", "layer"]

    def __post_init__(self) -> None:
        if bad := [t for t in self.temperatures if not (t > 0 and np.isfinite(t))]:
            raise ValueError(f"temperatures must be positive, got {bad[0]}")
        if self.time not in ("step", "log"):
            raise ValueError(f"time must be 'step' or 'log', got {self.time!r}")
        if self.time == "log" and not self.geometry:
            raise ValueError("time='log' is a time of the geometry: it needs geometry=True")
        if self.per not in ("head", "layer"):
            raise ValueError(f"per must be 'head' or 'layer', got {self.per!r}")

    def text(self) -> str:
        """Format the options that decide whether earlier observables can be reused."""
        return json.dumps([self.temperatures, self.path, self.per])

    @property
    def path(self) -> Time | None:
        """Time of the geometry; None without geometry."""
        return self.time if self.geometry else None


_Outcome = xr.Dataset | str | RunFileError
_Task = tuple[Path, _Options, frozenset[str]]


def _outcomes(
    tasks: Sequence[_Task], jobs: int, untrusted: bool | Limits
) -> Iterable[tuple[int, _Outcome]]:
    """Observables of each run with its number, in the order of completion."""
    if not untrusted and (jobs <= 1 or len(tasks) <= 1):
        return ((number, _observe_one(*task)) for number, task in enumerate(tasks))
    limits = [
        for_contents(untrusted, path, 1 + len(options.temperatures)) if untrusted else UNLIMITED
        for path, options, _ in tasks
    ]
    return in_workers(_observe_one, tasks, limits, max(1, jobs))


def _observe_one(path: Path, options: _Options, known: frozenset[str]) -> _Outcome:
    """Observables of a run, or its checksum if they are known already."""
    try:
        digest = checksum(path)
        if digest in known:
            return digest
        return _observe_run(path, options).assign(checksum=digest)
    except RunFileError as error:
        return error
    except Exception as error:  # a bad file can cause any exception, h5py's own included
        return RunFileError(f"{path}: {' '.join(str(error).split()) or type(error).__name__}")


def _observe_run(path: Path, options: _Options) -> xr.Dataset:
    from heatcap.observables.stream import observe_logits

    with LogitReader(path) as reader:
        if reader.header.checkpoints == 0:
            raise RunFileError(f"{path}: holds no checkpoint yet")
        _check_memory(reader.header, len(options.temperatures))
        fields, doubt = observe_logits(
            reader,
            reader.steps,
            reader.tables["probe_trained"],
            temperatures=options.temperatures,
            geometry=options.path,
        )
        table = _label(fields, reader.header, reader.tables)
    table = table.assign_coords(inputs=list(INPUTS), temperature=list(options.temperatures))
    if not options.temperatures:
        table = table.drop_dims("temperature")
    table = _head_average(table) if options.per == "layer" else table
    return table.assign_attrs({_DOUBT: f"{table['path'].item()}: {doubt}"}) if doubt else table


def _check_memory(header: RunHeader, temperatures: int) -> None:
    """Refuse a file whose observables take far more memory than the file takes space.

    A hostile file with few inputs and keys, compressed, can be tiny on disk.
    """
    checkpoints, layers, heads, _, queries, _ = header.shape
    size = checkpoints * layers * heads * queries * (_ROW + _SCANNED * temperatures)
    stored = stored_bytes(header.path)
    if size > max(_ROOM, INFLATION * stored):
        raise RunFileError(
            f"{header.path}: its observables would take {size} bytes, the file has {stored}"
        )


def _head_average(table: xr.Dataset) -> xr.Dataset:
    """Averages over heads, without errors, because heads that share a probe are not independent."""
    by_head = [str(name) for name in table.data_vars if "head" in table[name].dims]
    errors = [name for name in by_head if name.endswith("_error")]
    averaged = [name for name in by_head if name not in errors]
    table = table.assign({name: table[name].mean("head", skipna=False) for name in averaged})
    for path in ("fisher", "depth"):
        if f"{path}_detour" in table:
            ratio = table[f"{path}_length"] / table[f"{path}_geodesic"]
            table[f"{path}_detour"] = ratio.where(table[f"{path}_geodesic"] > 0)
    return table.drop_vars([*errors, "head"])


def _label(fields: Fields, header: RunHeader, tables: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Label arrays with names and units, and add the metrics and parameters of the run."""
    table = xr.Dataset(
        {
            name: (dims, values, {"units": OBSERVABLES[name].unit})
            for name, (dims, values) in fields.items()
        }
    )
    table[SINGLE_KEY] = (table[KEYS] == 1).astype(np.int8)
    for name, called in names_read("metric", header.metrics, header.parameters).items():
        attrs = {} if called == name else {IN_FILE: name}
        table[called] = ("metric", tables[name].astype(np.float64), attrs)
    for name in STANDARD_METRICS:
        if name not in table:
            table[name] = ("metric", np.full(header.metric_rows, np.nan))
    table = table.assign_coords(
        step=("checkpoint", tables["step"].astype(np.float64)),
        metric_step=("metric", tables["metric_step"].astype(np.float64)),
        layer=np.arange(header.shape[1]),
        head=np.arange(header.shape[2]),
        query_position=("query", tables["query"].astype(np.float64)),
    )
    return _of_header(table, header)


def _of_header(table: xr.Dataset, header: RunHeader) -> xr.Dataset:
    """Set the properties of a run from its header: stacking may have turned numbers into text."""
    # A mapping, not keywords: a parameter may be called `coords`.
    table = table.assign_coords(
        {
            "run": header.run_id,
            "size_name": header.size_name,
            "size": header.size,
            "seed": header.seed,
            **header.parameters,
        }
    )
    return table.assign(
        stop_reason=header.stop_reason,
        complete=np.int8(header.complete),
        # A path that is not UTF-8 cannot be stored as text.
        path=os.fsencode(header.path).decode(errors="backslashreplace"),
        probe_size=header.shape[3],
        probe_population=header.probe_population,
    )


def _reusable(known: xr.Dataset | None, options: _Options) -> frozenset[str]:
    wanted = _attributes(options, ())
    stamps = ("options", "schema_version", "heatcap_version")
    if known is None or any(known.attrs.get(name) != wanted[name] for name in stamps):
        return frozenset()
    # In older versions metrics and parameters could replace observables of the same name.
    observables = [known[name] for name in TAKEN["an observable"] if name in known.variables]
    if not all({"checkpoint", "query"} & {*values.dims} for values in observables):
        return frozenset()
    if not all(_is_labelled(known, name, *dims) for name, dims in _LABELS.items()):
        return frozenset()
    try:
        problems = problems_of(known)
    except ValueError:
        return frozenset()
    # Doubtful runs are computed again, so that their note is given again.
    doubtful = [
        any(line.startswith(f"{path}: step ") for line in problems) for path in known["path"].values
    ]
    return frozenset(map(str, known["checksum"].values[~np.array(doubtful, bool)]))


#: Variables with their dimensions that are needed to take a run out of earlier observables.
_LABELS = {
    "checksum": ("run",),
    "path": ("run",),
    "step": ("run", "checkpoint"),
    "metric_step": ("run", "metric"),
    "query_position": ("run", "query"),
    VISIBLE_KEYS: ("run", "inputs", "layer", "query"),
    POOLED: ("run", "checkpoint", "inputs"),
}


def _is_labelled(known: xr.Dataset, name: str, *dims: str) -> bool:
    if name not in known.variables:
        return False
    variable = known.variables[name]
    if name in ("checksum", "path"):
        return variable.dims == dims
    return {*dims} <= {*variable.dims} and variable.dtype.kind in "iuf"


def _attributes(options: _Options, problems: Sequence[str]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "heatcap_version": VERSION,
        "options": options.text(),
        "problems": json.dumps(list(problems)),
    }
