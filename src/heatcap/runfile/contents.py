"""One run file, opened: its header, its tables, its logits in bounded blocks.

Files come from strangers, killed processes and half-finished copies.  Whatever is wrong with one
raises a single `RunFileError` that names the file and what was expected, before any memory is
taken for its contents; nothing is unpickled.  :func:`read_header` and :class:`LogitReader` serve
the analysis; :func:`undisturbed` gives a file as it was committed, whatever a writer does.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from heatcap.runfile import layout
from heatcap.runfile.integrity import header_checksum, table_checksum
from heatcap.runfile.journal import ForeignJournal, Overlay, committed, journal_path, steady
from heatcap.runfile.layout import RunFileError, RunHeader
from heatcap.runfile.names import names_read, reading_notes
from heatcap.runfile.rules import header_problem, json_object, table_problems
from heatcap.runfile.storage import (
    MISSING,
    attribute,
    check_names,
    check_storage,
    check_together,
    stated_length,
    variable,
)

__all__ = [
    "REQUIRED",
    "LogitReader",
    "Path_",
    "check_contents",
    "checksum",
    "checksums",
    "commit_waits",
    "header_attributes",
    "header_of",
    "is_sealed",
    "journal_problem",
    "metric_names",
    "opened",
    "read_contents",
    "read_header",
    "read_tables",
    "tables_of",
    "undisturbed",
    "warn_of_journal",
]

Path_ = str | os.PathLike[str]
_DIMENSIONS = (*layout.LOGIT_DIMS, "position", "metric_step")
_PROBE = {
    "probe_input": ("probe", "position"),
    "probe_trained": ("probe",),
    "probe_mirror_trained": ("probe",),
}
REQUIRED: dict[str, tuple[str, ...]] = {"logits": layout.LOGIT_DIMS, **_PROBE}


def read_header(path: Path_) -> RunHeader:
    """Read all of a run but its arrays.

    Raises
    ------
    RunFileError
        As `open_run` does.
    """
    file = Path(path)
    with undisturbed(file) as source, opened(file, source) as h5:
        return header_of(h5, file)


class LogitReader:
    """Blocks of logits of one run, read into a buffer that is used again.

        with LogitReader(path) as logits:
            block = logits.read(checkpoints, layer, heads, probes, queries)

    The block is a float32 array (checkpoint, head, probe, query, key), valid until the next
    `read`.  Blocks of whole chunks (`chunk`) are read fastest: uncompressed chunks lie in the file
    as they do in memory, so they go past the HDF5 library, which takes two to three times as long.
    `tables` are all other variables, `checksums` (step, layer) what the logits should add up to
    (see `integrity`).
    """

    def __init__(self, path: Path_, *, checked: bool = True) -> None:
        """Open a run; without `checked`, problems of its tables go into `problems`.

        With it they raise RunFileError.
        """
        file = Path(path)
        # All that commits may change is read at one moment; logits in the file never change.
        with undisturbed(file) as source, ExitStack() as stack:
            self._h5 = stack.enter_context(opened(file, source))
            self.header = header_of(self._h5, file)
            self.tables, self.problems = read_contents(self._h5, self.header)
            if checked and self.problems:
                raise RunFileError(f"{file}: {self.problems[0]}")
            self.steps = self.tables["step"]
            self.checksums = _logit_checksums(self._h5, self.header)
            self._logits: h5py.Dataset = self._h5["logits"]
            self._offsets = _chunk_offsets(self._logits) if source is file else {}
            self._close = stack.pop_all().close
        self._buffer = np.empty(0, np.float32)

    @property
    def chunk(self) -> tuple[int, int, int]:
        """Extent of a chunk in heads, probe inputs and queries; one row where there are none."""
        heads, probes, queries = (self._logits.chunks or (1,) * 6)[2:5]
        return heads, probes, queries

    def read(
        self, checkpoints: slice, layer: int, heads: slice, probes: slice, queries: slice
    ) -> np.ndarray:
        """Read a block (checkpoint, head, probe, query, key), valid until the next `read`.

        Raises
        ------
        RunFileError
            If the logits cannot be read, or the file ends within them.
        """
        ranges = (checkpoints, heads, probes, queries)
        shape = (*(part.stop - part.start for part in ranges), self.header.shape[-1])
        if self._buffer.size < (count := math.prod(shape)):
            self._buffer = np.empty(count, np.float32)
        block = self._buffer[:count].reshape(shape)
        try:
            if not self._read_chunks(block, layer, ranges):
                self._logits.read_direct(block, np.s_[checkpoints, layer, heads, probes, queries])
        except OSError as error:
            path = self.header.path
            raise RunFileError(f"{path}: its logits cannot be read: {error}") from error
        return block

    def _read_chunks(self, block: np.ndarray, layer: int, ranges: tuple[slice, ...]) -> bool:
        """Fill the block from whole chunks; False where it does not consist of whole ones.

        A chunk that extends beyond the array does not count: it is larger in the file.
        """
        extents = (1, *self.chunk)
        if any(
            part.start % extent or (part.stop - part.start) % extent
            for part, extent in zip(ranges, extents, strict=True)
        ):
            return False
        for corner in itertools.product(
            *(
                range(part.start, part.stop, extent)
                for part, extent in zip(ranges, extents, strict=True)
            )
        ):
            offset = self._offsets.get((corner[0], layer, *corner[1:]))
            place = tuple(
                slice(at - part.start, at - part.start + extent)
                for at, part, extent in zip(corner, ranges, extents, strict=True)
            )
            target = block[place]
            if offset is None or not target.flags.c_contiguous:
                return False
            whole = target.reshape(-1).data.cast("B")
            if os.preadv(self._h5.id.get_vfd_handle(), [whole], offset) != len(whole):
                raise RunFileError(f"{self.header.path}: ends within its logits, it is truncated")
        return True

    def __enter__(self) -> LogitReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()


def _logit_checksums(h5: h5py.File, header: RunHeader) -> np.ndarray | None:
    """Stored checksums of the logits (step, layer); None in version 1."""
    file, shape = header.path, header.shape[:2]
    if not header.sealed:
        return None
    dataset = variable(h5, file, "logits_checksum")
    check_storage(dataset, file, "logits_checksum")
    if dataset.shape != shape or dataset.dtype != np.uint64:
        raise RunFileError(
            f"{file}: logits_checksum must be uint64 {shape}, got {dataset.dtype} {dataset.shape}"
        )
    values: np.ndarray = h5["logits_checksum"][...]
    return values


def _chunk_offsets(logits: h5py.Dataset) -> dict[tuple[int, ...], int]:
    """Where each chunk lies in the file; empty if chunks are not plain float32 in native order."""
    plain = logits.chunks is not None and logits.chunks[:2] == (1, 1)
    whole_rows = plain and logits.chunks[5] == logits.shape[5]
    # Without preadv (Windows) all is read through HDF5, slower with the same result.
    if not hasattr(os, "preadv"):
        return {}
    if not whole_rows or logits.id.get_create_plist().get_nfilters() or logits.dtype != np.float32:
        return {}
    offsets: dict[tuple[int, ...], int] = {}

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        offsets[chunk.chunk_offset[:5]] = chunk.byte_offset

    if logits.shape[0]:
        logits.id.chunk_iter(note)
    size = logits.dtype.itemsize * math.prod(logits.chunks)
    inside = all(0 < offset <= logits.file.id.get_filesize() - size for offset in offsets.values())
    return offsets if inside else {}  # HDF5 reports what is wrong


# ---- checksums of whole files --------------------------------------------------------------

#: Bytes after the end of an HDF5 file; a writer killed in a commit leaves a checkpoint there.
LARGEST_TAIL = 1 << 34


def checksum(path: Path_) -> str:
    """Compute the SHA-256 of a file, in hexadecimal; of a run as it was committed.

    A commit that is only in the journal counts, for readers see it: the checksum is that of the
    file when the commit is finished.

    Raises
    ------
    RunFileError
        If an HDF5 file goes on for gibibytes after its own end: a hole of a tebibyte takes no
        space, but an hour to read.
    """
    file = Path(path)
    source: Path | Overlay = file
    if _has_journal(file.resolve() if file.is_symlink() else file):
        with undisturbed(file) as source:
            pass  # an overlay does not change with later commits
    with source.open("rb") if isinstance(source, Path) else source as content:
        end = stated_length(content.read(64))
        length = content.seek(0, os.SEEK_END)
        if end is not None and length - end > LARGEST_TAIL:
            raise RunFileError(f"{path}: goes on for {length - end} bytes after its end")
        content.seek(0)
        return hashlib.file_digest(content, "sha256").hexdigest()


def checksums(paths: Iterable[Path_]) -> dict[str, str]:
    """Compute the SHA-256 of each file that can be read; a FIFO, which blocks, is skipped."""
    digests = {}
    for path in paths:
        with suppress(OSError, RunFileError):
            if os.path.isfile(path):
                digests[os.fspath(path)] = checksum(path)
    return digests


# ---- the file as it was committed, with its journal ----------------------------------------


@contextmanager
def undisturbed(file: Path) -> Iterator[Path | Overlay]:
    """Keep commits out and yield what HDF5 opens to read the file as it was committed.

    That is the file itself, as a rule; after a kill between seal and end of a commit the file with
    that commit laid over it in memory.  Whatever goes wrong inside is a RunFileError.
    """
    try:
        if not file.is_file():
            raise RunFileError(f"{file}: {_unlike_a_file(file)}, expected a run file (*.h5)")
        with steady(file), _committed(file) as source:
            yield source
    except RunFileError:
        raise
    except Exception as error:  # a bad file can cause any exception
        told = f"{type(error).__name__}: {error}"
        raise RunFileError(f"{file}: cannot be read, expected a run file ({told})") from error


@contextmanager
def opened(file: Path, source: Path | Overlay) -> Iterator[h5py.File]:
    """Open a file as HDF5; RunFileError where it is not."""
    try:
        h5 = h5py.File(source, "r")
    except OSError as error:
        raise RunFileError(f"{file}: {_unlike_hdf5(file, error)}") from None
    with h5:
        yield h5


def _unlike_a_file(file: Path) -> str:
    if not file.exists():
        return "is a link to nothing" if file.is_symlink() else "no such file"
    return "is a folder" if file.is_dir() else "is no regular file"


def _unlike_hdf5(file: Path, error: OSError) -> str:
    expected = "expected a run file"
    if file.stat().st_size == 0:
        return f"is empty, {expected}"
    if not h5py.is_hdf5(file):
        return f"is not HDF5, {expected}"
    what = "is truncated" if "truncated" in str(error) else "cannot be opened as HDF5"
    return f"{what}, {expected} ({error})"


@contextmanager
def _committed(file: Path) -> Iterator[Path | Overlay]:
    """The committed state; a journal that is foreign is left alone (`journal_problem` names it)."""
    try:
        overlay = _overlay(file)
    except ForeignJournal:
        overlay = None
    except OSError as error:
        raise RunFileError(f"{file}: cannot be read beside its journal: {error}") from error
    yield file if overlay is None else overlay


def _overlay(file: Path) -> Overlay | None:
    """The commit of a journal over the file it lies beside, if it was made for this run."""
    place = file.resolve() if file.is_symlink() else file
    overlay = committed(place) if _has_journal(place) else None
    if overlay is not None:
        with h5py.File(overlay, "r") as h5:
            if (run_id := h5.attrs.get("run_id")) != overlay.run_id:
                overlay.close()
                raise ForeignJournal(
                    f"{journal_path(file)}: is of the run {overlay.run_id!r}, not of {run_id!r}"
                )
    return overlay


def journal_problem(path: Path_) -> str:
    """Describe what is wrong with a journal beside the file; empty when nothing is."""
    return _look_at_journal(Path(path))[1]


def commit_waits(path: Path_) -> bool:
    """Test whether the last commit is in the journal and not yet in the file."""
    return _look_at_journal(Path(path))[0]


def _look_at_journal(file: Path) -> tuple[bool, str]:
    try:
        with steady(file):
            overlay = _overlay(file)
    except ForeignJournal as error:
        return False, f"left alone: {error}; remove it once you know what it was"
    except OSError as error:
        return False, str(error)
    if overlay is not None:
        overlay.close()
    return overlay is not None, ""


def warn_of_journal(file: Path) -> None:
    """Warn where something is wrong with the journal of a file."""
    if _has_journal(file) and (problem := journal_problem(file)):
        warnings.warn(problem, stacklevel=3)


def _has_journal(file: Path) -> bool:
    """Whether something has the name of its journal; one cheap question per file of a folder."""
    return os.path.lexists(f"{file}.journal")


# ---- header and tables ---------------------------------------------------------------------


def header_of(h5: h5py.File, file: Path) -> RunHeader:
    """Read the header of an open file; RunFileError where it is not that of a run."""
    attributes = header_attributes(h5, file)
    _check_format(attributes, file)
    columns = metric_names(h5, attributes["metrics"])
    extents = _checked_extents(h5, file, columns)
    given = _parameters(_text(attributes, file, "parameters"), file)
    called = names_read("parameter", given)
    parameters = {called[name]: value for name, value in given.items()}
    metrics = names_read("metric", columns, parameters)
    notes = reading_notes("parameter", called) + reading_notes("metric", metrics, parameters)
    header = RunHeader(
        path=file,
        run_id=_text(attributes, file, "run_id"),
        parameters=parameters,
        size_name=_text(attributes, file, "size_name"),
        size=_number(attributes, file, "size"),
        seed=_integer(attributes, file, "seed"),
        probe_population=_integer(attributes, file, "probe_population"),
        stop_reason=_text(attributes, file, "stop_reason"),
        shape=tuple(extents[dim] for dim in layout.LOGIT_DIMS),
        metric_rows=extents["metric_step"],
        cautions=tuple(notes),
        metrics=tuple(metrics),
        sealed=is_sealed(h5, attributes),
    )
    if problem := header_problem(header):
        raise RunFileError(f"{file}: {problem}")
    if header.sealed:
        _check_seal(h5, attributes, file)
    return header


def header_attributes(h5: h5py.File, file: Path) -> dict[str, Any]:
    """Read the attributes that `header_checksum` covers, in its order; None for a missing one."""
    values = {name: attribute(h5.id, file, name) for name in layout.ATTRIBUTES}
    columns = None
    if h5.id.links.exists(b"metric_step"):
        columns = attribute(variable(h5, file, "metric_step"), file, "metrics")
    values["metrics"] = columns
    return {name: None if value is MISSING else value for name, value in values.items()}


def is_sealed(h5: h5py.File, attributes: Mapping[str, Any]) -> bool:
    """Test whether the file has checksums, or should have: from version 2 on."""
    return attributes["format_version"] != 1 or bool(h5py.h5a.exists(h5.id, b"header_checksum"))


def _check_seal(h5: h5py.File, attributes: dict[str, Any], file: Path) -> None:
    plain = all(
        value is None or isinstance(value, str | int | float) for value in attributes.values()
    )
    if not plain or attribute(h5.id, file, "header_checksum") != header_checksum(attributes):
        raise RunFileError(
            f"{file}: the header is damaged or was changed by other means than RunWriter: "
            f"its attributes do not have their checksum"
        )


def metric_names(h5: h5py.File, announced: Any) -> tuple[str, ...]:
    """Name the columns of metrics: those that the writer announced, or else the standard ones."""
    if isinstance(announced, str):
        names = tuple(dict.fromkeys(announced.split()))
        if odd := [name for name in names if not name.isidentifier()]:
            raise RunFileError(f"{h5.filename}: the metric {odd[0]!r} must be an identifier")
        return names
    return tuple(name for name in layout.STANDARD_METRICS if name in h5)


def _check_format(attributes: Mapping[str, Any], file: Path) -> None:
    name = attributes["format"]
    if not isinstance(name, str) or name != layout.FORMAT:
        raise RunFileError(
            f"{file}: is HDF5 but not a run file: expected the attribute "
            f"format = {layout.FORMAT!r}, got {name!r}"
        )
    version = attributes["format_version"]
    if not isinstance(version, int) or not 1 <= version <= layout.FORMAT_VERSION:
        raise RunFileError(
            f"{file}: has format_version {version!r}, this heatcap reads versions up to "
            f"{layout.FORMAT_VERSION}; install a newer heatcap"
        )


def _text(attributes: Mapping[str, Any], file: Path, name: str) -> str:
    return str(_typed(attributes, file, name, "text", str))


def _number(attributes: Mapping[str, Any], file: Path, name: str) -> float:
    return float(_typed(attributes, file, name, "a number", int, float))


def _integer(attributes: Mapping[str, Any], file: Path, name: str) -> int:
    return int(_typed(attributes, file, name, "an integer", int))


def _typed(attributes: Mapping[str, Any], file: Path, name: str, words: str, *types: type) -> Any:
    value = attributes[name]
    if value is None:
        raise RunFileError(f"{file}: a required attribute is missing: {name!r}")
    if not isinstance(value, types):
        raise RunFileError(f"{file}: the attribute {name!r} must be {words}, got {value!r}")
    return value


def _parameters(text: str, file: Path) -> dict[str, Any]:
    value = json_object(text)
    if value is None:
        raise RunFileError(f"{file}: the attribute 'parameters' must be a JSON object")
    if problem := layout.parameter_problem(value):
        raise RunFileError(f"{file}: {problem}")
    return value


def _checked_extents(h5: h5py.File, file: Path, metrics: Sequence[str]) -> dict[str, int]:
    """Length of each dimension; RunFileError where a variable does not have that shape."""
    extents = {}
    for dim in _DIMENSIONS:
        shape = variable(h5, file, dim).shape
        if len(shape) != 1:
            raise RunFileError(f"{file}: the variable {dim!r} must have 1 dimension, got {shape}")
        extents[dim] = shape[0]
    columns = dict.fromkeys(metrics, ("metric_step",))
    for name, dims in (columns | REQUIRED).items():
        dataset, expected = variable(h5, file, name), tuple(extents[dim] for dim in dims)
        if dataset.shape != expected:
            raise RunFileError(
                f"{file}: the variable {name!r} has shape {dataset.shape}, "
                f"expected {expected} for the dimensions {dims}"
            )
        if name == "logits" and dataset.get_type() != h5py.h5t.IEEE_F32LE:
            raise RunFileError(f"{file}: logits must be float32 (IEEE), got {dataset.dtype}")
    return extents


def check_contents(h5: h5py.File, header: RunHeader) -> None:
    """Raise RunFileError with the first problem of a run's tables."""
    _, problems = read_contents(h5, header)
    if problems:
        raise RunFileError(f"{header.path}: {problems[0]}")


def read_contents(h5: h5py.File, header: RunHeader) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read all variables of a run but its logits, and list what is wrong with them."""
    tables, problems = read_tables(h5, header)
    config = attribute(h5.id, header.path, "config")
    if config is not MISSING and (not isinstance(config, str) or json_object(config) is None):
        problems.append("the attribute 'config' must be a JSON object")
    return tables, [*problems, *table_problems(tables, header.probe_population)]


def read_tables(h5: h5py.File, header: RunHeader) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read all variables of a run but its logits, and list which of them are damaged.

    Raises RunFileError before it reads anything that is not stored as it should be.
    """
    file, tables, damaged = header.path, {}, []
    variables = {name: variable(h5, file, name) for name in ("logits", *tables_of(header))}
    check_names(variables, file)
    for name, dataset in variables.items():
        check_storage(dataset, file, name)
    check_together(variables, file)
    for name in tables_of(header):
        tables[name] = values = h5[name][...]
        if header.sealed and attribute(variables[name], file, "checksum") != table_checksum(values):
            damaged.append(f"the variable {name!r} is damaged: it does not have its checksum")
    return tables, damaged


def tables_of(header: RunHeader) -> tuple[str, ...]:
    """Name the variables of a run other than its logits."""
    return (*_DIMENSIONS, *_PROBE, *header.metrics)
