"""Writing a run: one checkpoint of logits and some rows of metrics at a time.

    with RunWriter.create("run.h5", layers=1, heads=4, keys=3, queries=[2], ...) as run:
        for step in range(steps):
            run.log(step, train_loss=..., test_accuracy=...)
            if step in checkpoints:
                run.append(step, logits)      # (layer, head, probe, query, key)
        run.finish("step limit")

Each `append` is one atomic commit (see `journal`): logits, metrics and the step counter arrive
in the file together, and a process killed at any instant leaves the last complete checkpoint.
Only NumPy is needed, so any framework can write.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from heatcap.core.version import VERSION
from heatcap.core.writing import drafted
from heatcap.runfile import layout
from heatcap.runfile.contents import (
    check_contents,
    header_attributes,
    header_of,
    is_sealed,
    metric_names,
    read_header,
    read_tables,
)
from heatcap.runfile.integrity import header_checksum, layer_checksums, table_checksum
from heatcap.runfile.journal import ForeignJournal, JournaledFile, Locked, repair
from heatcap.runfile.layout import RunFileError
from heatcap.runfile.names import Kind, name_problem
from heatcap.runfile.rules import (
    LARGEST_STEP,
    accuracy_problem,
    is_plain,
    logit_problem,
    text_problem,
)
from heatcap.runfile.storage import LARGEST_TEXT

__all__ = ["RunWriter", "repair_run"]

_CHUNK_BYTES = 1 << 20


class RunWriter:
    """Writer of checkpoints and metrics to one run file; made by `create` or `resume`.

    A context manager.  Leaving it closes the file and keeps the run open for `resume`; only
    `finish` marks the run as ended.  A writer that is interrupted while it changes the file
    (KeyboardInterrupt, a full disk) gives the file up, with the whole of that commit or nothing of
    it; `last_step` of a writer that resumes shows which.
    """

    def __init__(self, path: Path, run_id: str, **how: Any) -> None:
        self.path = path
        self._over = ""  # why the writer cannot be used any more
        self._process = os.getpid()
        with _named(path):
            self._journal = JournaledFile(path, run_id=run_id, **how)
        try:
            self._h5 = h5py.File(self._journal, "r+")
        except BaseException:
            self._journal.close()
            raise
        try:
            attributes = header_attributes(self._h5, path)
            self._metrics = metric_names(self._h5, attributes["metrics"])
            self._sealed = is_sealed(self._h5, attributes)
            self.shape: tuple[int, ...] = self._h5["logits"].shape[1:]
        except BaseException:
            self._release("could not be opened")
            raise
        self._pending: list[tuple[int, dict[str, float]]] = []

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        layers: int,
        heads: int,
        keys: int,
        queries: Sequence[int],
        probe_input: np.ndarray,
        probe_trained: np.ndarray,
        probe_mirror_trained: np.ndarray | None = None,
        probe_population: int = 0,
        metrics: Sequence[str] = layout.STANDARD_METRICS,
        size_name: str,
        size: float,
        seed: int,
        parameters: Mapping[str, Any],
        config: Mapping[str, Any] | None = None,
        d_k: int,
        softmax_scale: float | None = None,
        soft_cap: float = 0.0,
        model_dtype: str = "float32",
        versions: Mapping[str, str] | None = None,
        overwrite: bool = False,
        durable: bool = False,
    ) -> Self:
        """Start a run file.

        Parameters
        ----------
        path
            Where the file goes; by convention ``NAME.h5``, and NAME is the run's identity.
            Folders that are missing are made.
        layers, heads, keys
            Extent of the logits; `keys` is the largest number of keys of any query.
        queries
            Positions in the context of the queries that are stored, e.g. ``[n - 1]`` for the
            last one alone.
        probe_input
            (probe, position) integers, the fixed inputs on which logits are recorded.
        probe_trained, probe_mirror_trained
            (probe,) 1 or 0: was the input, was its mirror (b, a) trained on?  Leave the mirror
            out where the task is not symmetric: it is stored as -1, "not applicable".
        probe_population
            Number of all inputs that the probe was drawn from uniformly; 0 means unbounded.
        metrics
            Names of the scalars that `log` takes: identifiers, and neither those of parameters
            nor those that have a meaning beside the observables (``runfile.names.TAKEN``).
        size_name, size
            What is called the size of this system, e.g. ``"p", 113``.
        parameters
            Flat mapping of what may differ between the runs of a sweep: numbers, text or
            bools, under names that are identifiers and have no meaning beside the observables
            (``runfile.names.TAKEN``).
        config
            All of the configuration; anything that JSON can hold.
        d_k, softmax_scale, soft_cap, model_dtype
            Metadata.  The logits are the argument of the softmax: scale and cap are in them.
        overwrite
            Replace a file that exists; otherwise that is an error.
        durable
            Sync each commit to the disk, so that what was appended outlives a power cut; without
            it, it outlives the process.

        Raises
        ------
        RunFileError
            If the file exists or an argument does not fit; the message names it.
        """
        target = Path(path)
        if target.exists() and not overwrite:
            raise RunFileError(f"{target}: exists already; pass overwrite=True or resume it")
        if target.name.startswith("."):
            raise RunFileError(f"{target}: readers pass over names that begin with a dot")
        _check_names(target, parameters, metrics)
        probe = _checked_probe(target, probe_input, probe_trained, probe_mirror_trained)
        inputs = probe["probe_input"]
        if probe_population and len(np.unique(inputs, axis=0)) < len(inputs):
            raise RunFileError(
                f"{target}: probe_input holds an input twice; it is a sample of probe_population = "
                f"{probe_population} inputs without replacement (pass 0 for an unbounded one)"
            )
        _check_fits(target, "queries", np.asarray(queries), np.int64)
        if d_k < 1:
            raise RunFileError(f"{target}: d_k must be at least 1, got {d_k}")
        shape = (layers, heads, len(inputs), len(queries), keys)
        if min(shape) < 1:
            raise RunFileError(f"{target}: every extent must be at least 1, got {shape}")
        attributes = {
            "format": layout.FORMAT,
            "format_version": layout.FORMAT_VERSION,
            "Conventions": "CF-1.8",
            "run_id": target.name.removesuffix(".h5"),
            "size_name": size_name,
            "size": float(size),
            "seed": int(seed),
            "probe_population": int(probe_population),
            "d_k": int(d_k),
            "softmax_scale": float(d_k**-0.5 if softmax_scale is None else softmax_scale),
            "soft_cap": float(soft_cap),
            "model_dtype": model_dtype,
            "parameters": _to_json(target, "parameters", dict(parameters)),
            "config": _to_json(target, "config", dict(config or {})),
            "versions": _to_json(target, "versions", _versions() | dict(versions or {})),
            "started": _now(),
            "finished": "",
            "stop_reason": "",
        }
        for name, value in attributes.items():
            if isinstance(value, str) and not is_plain(value):
                raise RunFileError(f"{target}: {name} {value!r} holds a NUL or is no Unicode text")
        if not -(2**63) <= seed < 2**63:
            raise RunFileError(f"{target}: the seed {seed} does not fit into 64 bits")
        target.parent.mkdir(parents=True, exist_ok=True)
        # Built under another name, so that `target` is never a file without its frame.
        with _named(target), drafted(target) as draft:
            with h5py.File(draft, "w", locking=False) as h5:
                _write_frame(h5, shape, queries, probe, metrics, attributes)
                check_contents(
                    h5, header_of(h5, target)
                )  # do not begin a run that no reader would take
            run_id = str(attributes["run_id"])
            return cls(target, run_id, draft=draft, overwrite=overwrite, durable=durable)

    @classmethod
    def resume(
        cls, path: str | os.PathLike[str], *, step: int | None = None, durable: bool = False
    ) -> Self:
        """Continue a run; checkpoints and metrics after `step` are dropped (None: kept).

        Raises
        ------
        RunFileError
            If the file is not a run file, is a link, is being written, lies beside a journal of
            something else, has no checkpoint at `step`, or its tables are damaged.
        """
        header = read_header(path)
        run = cls(Path(path), header.run_id, durable=durable)
        try:
            _, damaged = read_tables(run._h5, header)
            if damaged:  # a cut would give the rest a checksum of its own
                raise RunFileError(f"{run.path}: {damaged[0]}")
            if step is not None:
                run._check_recorded(step)
            with run._commit():
                if step is not None:
                    run._cut(int(step))
                run._set(finished="", stop_reason="")
        except BaseException:
            run._release("could not be resumed")
            raise
        return run

    @property
    def last_step(self) -> int | None:
        """Return the step of the last complete checkpoint; None before the first."""
        self._check_usable()
        return _last(self._h5["step"])

    def log(self, step: int, **metrics: float) -> None:
        """Log one row of metrics; it reaches the file with the next commit.

        A metric that is not given is NaN in this row.  Raises RunFileError for a name that was
        not announced to `create`, for a step that does not grow, and for an accuracy in per cent.
        """
        self._check_usable()
        if unknown := set(metrics) - set(self._metrics):
            raise RunFileError(
                f"{self.path}: unknown metric {sorted(unknown)[0]!r}; announce it to create() with "
                f"metrics=..., which now has {', '.join(self._metrics)}"
            )
        last = self._pending[-1][0] if self._pending else _last(self._h5["metric_step"])
        self._check_step("metrics", step, last)
        row = {name: float(value) for name, value in metrics.items()}
        for name, value in row.items():
            if problem := accuracy_problem(name, np.array([value])):
                raise RunFileError(f"{self.path}: at step {step}, {problem}")
        self._pending.append((int(step), row))

    def append(self, step: int, logits: np.ndarray) -> None:
        """Add one checkpoint, (layer, head, probe, query, key), as one atomic commit.

        Absent keys are -inf.  Raises RunFileError, and leaves the file as it was, for another
        shape, a step that does not grow, NaN, +inf, a finite number too large to be a logit (a
        mask in disguise), or a query without any visible key.
        """
        self._check_step("checkpoint", step, self.last_step)
        values = self._checked_logits(step, logits)
        with self._commit():
            _extend(self._h5["logits"], values[np.newaxis])
            if self._sealed:
                _extend(self._h5["logits_checksum"], layer_checksums(values)[np.newaxis])
            self._write_metrics()
            self._extend_table("step", np.array([int(step)]))

    def flush(self) -> None:
        """Commit the metrics that were logged since the last checkpoint."""
        self._check_usable()
        with self._commit():
            self._write_metrics()

    def finish(self, reason: str) -> None:
        """Mark the run as ended, with the rule that ended it."""
        if not isinstance(reason, str) or not reason:
            raise RunFileError(f"{self.path}: the reason of the end must be a text, got {reason!r}")
        if problem := text_problem("the reason of the end", reason):
            raise RunFileError(f"{self.path}: {problem}")  # no reader would take the run
        self._check_usable()
        with self._commit():
            self._set(finished=_now(), stop_reason=str(reason))
            self._write_metrics()

    def close(self) -> None:
        """Commit what was logged, and release the file; a second call does nothing.

        A fork of the process that writes has nothing to do either.
        """
        if not self._over and os.getpid() == self._process:
            try:
                self.flush()
            finally:
                self._release("is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _commit(self) -> Iterator[None]:
        """Commit all changes of the file made within, or, when interrupted, none."""
        try:
            yield
            self._h5.flush()
            self._journal.commit()
        except BaseException:
            # HDF5 holds half of a change now, which must never be committed.
            # Behind the seal of the journal the commit counts, before it nothing of it does.
            self._release(
                "was interrupted during a commit, which the run holds whole or not at all"
            )
            raise

    def _release(self, why: str) -> None:
        """Let go of the file without another commit."""
        self._over = self._over or why
        self._journal.forget()
        try:
            self._h5.close()
        finally:
            self._journal.close()

    def _check_usable(self) -> None:
        if os.getpid() != self._process:
            raise RunFileError(f"{self.path}: is written by the process that forked this one")
        if self._over:
            raise RunFileError(
                f"{self.path}: this writer {self._over}; go on with RunWriter.resume"
            )

    def _check_recorded(self, step: int) -> None:
        steps = self._h5["step"][...]
        if step not in steps:
            raise RunFileError(
                f"{self.path}: cannot resume after step {step}, no checkpoint was recorded there "
                f"(the last is {steps[-1] if steps.size else 'none'})"
            )

    def _cut(self, step: int) -> None:
        """Drop all that came after `step`."""
        checkpoints = int(np.searchsorted(self._h5["step"][...], step, side="right"))
        rows = int(np.searchsorted(self._h5["metric_step"][...], step, side="right"))
        for name in ("logits", "logits_checksum")[: 1 + self._sealed]:
            self._h5[name].resize(checkpoints, axis=0)
        tables = {"step": checkpoints} | dict.fromkeys(("metric_step", *self._metrics), rows)
        for name, length in tables.items():
            self._h5[name].resize(length, axis=0)
            if self._sealed:
                _note_checksum(self._h5[name], table_checksum(self._h5[name][...]))

    def _write_metrics(self) -> None:
        if self._pending:
            for name in self._metrics:
                column = [row.get(name, np.nan) for _, row in self._pending]
                self._extend_table(name, np.array(column))
            self._extend_table("metric_step", np.array([step for step, _ in self._pending]))
            self._pending.clear()

    def _extend_table(self, name: str, values: np.ndarray) -> None:
        """Add rows to a variable that has its checksum as an attribute."""
        table = self._h5[name]
        if self._sealed:
            more = table_checksum(values.astype(table.dtype), start=table.shape[0])
            _note_checksum(table, more, add=True)
        _extend(table, values)

    def _set(self, **attributes: str) -> None:
        """Change attributes of the file, and the checksum that covers them."""
        self._h5.attrs.update(attributes)
        if self._sealed:
            covered = header_attributes(self._h5, self.path)
            self._h5.attrs["header_checksum"] = header_checksum(covered)

    def _check_step(self, what: str, step: int, last: int | None) -> None:
        if step % 1 != 0 or step >= LARGEST_STEP:  # NaN, too
            raise RunFileError(
                f"{self.path}: {what} at step {step}, expected a whole number of optimiser steps "
                f"below 2^53"
            )
        if step < 0 or (last is not None and step <= last):
            raise RunFileError(
                f"{self.path}: {what} at step {step}, expected a step after "
                f"{'-1' if last is None else last}"
            )

    def _checked_logits(self, step: int, logits: np.ndarray) -> np.ndarray:
        where = f"{self.path}: logits at step {step}"
        if np.shape(logits) != self.shape:
            raise RunFileError(
                f"{where}: expected shape {self.shape} (layer, head, probe, query, key), "
                f"got {np.shape(logits)}"
            )
        if np.ma.is_masked(logits):  # a masked array holds any number behind its mask
            raise RunFileError(f"{where}: some values are masked; an absent key is -inf")
        given = np.asarray(logits)
        if given.dtype.kind in "cmMOSU":  # kinds unknown to NumPy, such as bfloat16, are cast
            raise RunFileError(f"{where}: expected numbers, got {given.dtype}")
        with np.errstate(over="ignore"):
            values = given.astype(np.float32, copy=False)
        if np.isinf(values).sum() > np.isinf(given).sum():
            raise RunFileError(f"{where}: a finite value is beyond float32; an absent key is -inf")
        if problem := logit_problem(values):
            raise RunFileError(f"{where}: {problem}")
        return values


def repair_run(path: str | os.PathLike[str]) -> bool:
    """Finish the commit that a killed writer had sealed; True when there was one.

    What a writer that goes on does, too; readers do not need it.

    Raises
    ------
    RunFileError
        If the file is no run file, is a link, is being written, or its journal belongs to
        something else (which is left alone).
    """
    file = Path(path)
    run_id = read_header(file).run_id
    with _named(file):
        return repair(file, run_id)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what keeps a file from being changed into an error that names it."""
    try:
        yield
    except Locked:
        raise RunFileError(f"{path}: another process is writing this run") from None
    except FileExistsError:
        raise RunFileError(f"{path}: exists already, it was made just now") from None
    except ImportError:
        raise RunFileError(f"{path}: writing a run needs flock, this system has none") from None
    except ForeignJournal as error:
        raise RunFileError(
            f"{path}: is not changed beside a journal of something else, which is left alone: "
            f"{error}; move it away"
        ) from None
    except OSError as error:
        raise RunFileError(f"{path}: cannot be written: {error}") from error


def _check_names(path: Path, parameters: Mapping[str, Any], metrics: Sequence[str]) -> None:
    if problem := layout.parameter_problem(parameters):
        raise RunFileError(f"{path}: {problem}")
    for name in metrics:
        if not isinstance(name, str) or not name.isidentifier():
            raise RunFileError(
                f"{path}: the metric {name!r} must be an identifier (letters, digits, _)"
            )
    # Beside the observables they would have another meaning (see `names`).
    named: list[tuple[Kind, str]] = [("parameter", name) for name in parameters]
    for kind, name in [*named, *(("metric", name) for name in metrics)]:
        if problem := name_problem(kind, name, parameters):
            raise RunFileError(
                f"{path}: the {kind} cannot be called {name!r}, {problem}; call it something "
                f"else, like 'my_{name}'"
            )


def _checked_probe(
    path: Path, inputs: np.ndarray, trained: np.ndarray, mirror: np.ndarray | None
) -> dict[str, np.ndarray]:
    inputs = np.asarray(inputs)
    if inputs.ndim != 2 or not np.issubdtype(inputs.dtype, np.integer):
        raise RunFileError(
            f"{path}: probe_input must be integers (probe, position), "
            f"got {inputs.dtype} {inputs.shape}"
        )
    _check_fits(path, "probe_input", inputs, np.int32)
    if mirror is None:
        mirror = np.full(len(inputs), -1)
    flags = {"probe_trained": np.asarray(trained), "probe_mirror_trained": np.asarray(mirror)}
    for name, flag in flags.items():
        if flag.shape != inputs.shape[:1] or not np.isin(flag, (-1, 0, 1)).all():
            raise RunFileError(
                f"{path}: {name} must hold {len(inputs)} values of 0, 1 (or -1), got {flag.shape}"
            )
    return {"probe_input": inputs, **flags}


def _check_fits(path: Path, name: str, values: np.ndarray, dtype: type) -> None:
    """Raise ValueError for values that a cast would change: HDF5 clips, NumPy wraps."""
    with np.errstate(invalid="ignore"):
        bad = values.astype(dtype) != values
    if bad.any():
        raise RunFileError(f"{path}: {name} holds {values[bad][0]}, expected {np.dtype(dtype)}")


def _write_frame(
    h5: h5py.File,
    shape: tuple[int, ...],
    queries: Sequence[int],
    probe: Mapping[str, np.ndarray],
    metrics: Sequence[str],
    attributes: Mapping[str, Any],
) -> None:
    """Create all dimensions, variables and attributes, without a checkpoint."""
    h5.attrs.update(attributes)
    layers, heads, inputs, _, keys = shape
    coordinates = {
        "step": np.empty(0, np.int64),
        "layer": np.arange(layers),
        "head": np.arange(heads),
        "probe": np.arange(inputs),
        "query": np.asarray(queries),
        "key": np.arange(keys),
        "position": np.arange(probe["probe_input"].shape[1]),
        "metric_step": np.empty(0, np.int64),
    }
    for number, (name, values) in enumerate(coordinates.items()):
        growing = {"maxshape": (None,), "chunks": (1024,)} if values.size == 0 else {}
        scale = h5.create_dataset(name, data=values.astype(np.int64), **growing)
        scale.make_scale(name)
        scale.attrs["_Netcdf4Dimid"] = np.int32(number)
    h5["step"].attrs["units"] = h5["metric_step"].attrs["units"] = "optimiser steps"
    h5["query"].attrs["long_name"] = "position of the query in the context"
    h5["metric_step"].attrs["metrics"] = " ".join(metrics)

    logits = _variable(h5, "logits", layout.LOGIT_DIMS, np.float32, chunks=_chunks(shape))
    logits.attrs.update(units="logit", long_name="argument of the softmax; absent keys are -inf")
    for name, values in probe.items():
        dims = ("probe", "position")[: values.ndim]
        _variable(h5, name, dims, np.int32 if values.ndim == 2 else np.int8)[...] = values
    _variable(h5, "logits_checksum", ("step", "layer"), np.uint64, chunks=(256, layers))
    for name in metrics:
        _variable(h5, name, ("metric_step",), np.float64, chunks=(1024,))
    for name in (*coordinates, *probe, *metrics):
        _note_checksum(h5[name], table_checksum(h5[name][...]))
    covered = header_attributes(h5, Path(h5.filename))
    h5.attrs["header_checksum"] = header_checksum(covered)


def _variable(
    h5: h5py.File,
    name: str,
    dims: Sequence[str],
    dtype: type,
    chunks: tuple[int, ...] | None = None,
) -> h5py.Dataset:
    if name in h5:
        raise RunFileError(f"the name {name!r} is taken already; call the metric something else")
    variable = h5.create_dataset(
        name,
        shape=[h5[dim].shape[0] for dim in dims],
        maxshape=[h5[dim].maxshape[0] for dim in dims],
        chunks=chunks,
        dtype=dtype,
    )
    for axis, dim in enumerate(dims):
        variable.dims[axis].attach_scale(h5[dim])
    return variable


def _chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a chunk: one checkpoint of one layer, cut evenly to about a mebibyte.

    Cut along heads, then queries, then probe inputs.
    """
    chunk = [1, 1, *shape[1:]]
    for axis in (2, 4, 3):
        rest = 4 * int(np.prod(chunk)) // chunk[axis]
        fits = max(1, _CHUNK_BYTES // rest)
        chunk[axis] = _part(chunk[axis], fits)
    return tuple(chunk)


def _part(extent: int, fits: int) -> int:
    """Size of parts of at most `fits`: a divisor, or nearly even parts where none is near."""
    fits = min(fits, extent)
    divisor = max(n for n in range(1, fits + 1) if extent % n == 0)
    if 2 * divisor >= fits:
        return divisor
    parts = -(-extent // fits)
    return -(-extent // parts)


def _extend(variable: h5py.Dataset, values: np.ndarray) -> None:
    variable.resize(variable.shape[0] + len(values), axis=0)
    variable[-len(values) :] = values


def _note_checksum(variable: h5py.Dataset, checksum: int, *, add: bool = False) -> None:
    """Write the attribute `checksum`, or add to it; h5py's own way takes ten times as long."""
    if not h5py.h5a.exists(variable.id, b"checksum"):
        variable.attrs["checksum"] = np.uint64(checksum)
        return
    noted, value = h5py.h5a.open(variable.id, b"checksum"), np.zeros((), np.uint64)
    if add:
        noted.read(value)
    value[...] = (int(value) + checksum) % 2**64
    noted.write(value)


def _last(variable: h5py.Dataset) -> int | None:
    return int(variable[-1]) if variable.shape[0] else None


def _to_json(path: Path, name: str, value: Any) -> str:
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RunFileError(f"{path}: {name} does not fit into JSON: {error}") from None
    if len(text) > LARGEST_TEXT:
        raise RunFileError(
            f"{path}: {name} has {len(text)} characters, the limit is {LARGEST_TEXT}"
        )
    return text


def _versions() -> dict[str, str]:
    """Versions of this package and of the libraries that write the file."""
    return {
        "heatcap": VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "h5py": h5py.__version__,
        "hdf5": h5py.version.hdf5_version,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
