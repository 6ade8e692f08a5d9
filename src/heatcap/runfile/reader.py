"""Reading runs: one lazily, many by their headers, logits in bounded blocks.

Files come from strangers, killed processes and half-finished copies.  Whatever is wrong with
one is said in a single `RunFileError` that names the file and what was expected, before any
memory is taken for its contents; nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

import h5py
import numpy as np

from heatcap.runfile import layout
from heatcap.runfile.integrity import header_checksum, table_checksum
from heatcap.runfile.journal import ForeignJournal, Overlay, committed, journal_path, steady
from heatcap.runfile.layout import RunFileError, RunHeader
from heatcap.runfile.names import names_read, reading_notes, told
from heatcap.runfile.quarantine import Limits, for_contents, for_header, in_worker, in_workers
from heatcap.runfile.rules import header_problem, json_object, table_problems
from heatcap.runfile.storage import (
    MISSING,
    attribute,
    check_all,
    check_names,
    check_storage,
    check_together,
    stated_length,
    variable,
)

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "LogitReader",
    "Runs",
    "check_contents",
    "checkpoints_in",
    "checksum",
    "checksums",
    "commit_waits",
    "find_runs",
    "header_attributes",
    "header_of",
    "is_sealed",
    "journal_problem",
    "metric_names",
    "open_run",
    "open_runs",
    "read_header",
    "read_tables",
    "text_or_numbers",
    "undisturbed",
]

Path_ = str | os.PathLike[str]

#: Bytes after the end of an HDF5 file; a writer killed in a commit leaves a checkpoint there.
LARGEST_TAIL = 1 << 34
#: Bytes of logits up to which an untrusted run is read whole.
LARGEST_WHOLE = 1 << 30


def open_run(path: Path_, *, untrusted: bool | Limits = False) -> xr.Dataset:
    """A run as a lazy Dataset: ``logits`` (step, layer, head, probe, query, key), metrics, probe.

    Values are read when they are used; close the Dataset, or use it in a ``with``, to release
    the file.  Nothing is written: a commit that a killed writer had sealed is laid over the file
    in memory, and a journal of something else is left alone with a warning.  While a writer is at
    work, a Dataset that was opened before its last commit may be stale: open it anew.

    An `untrusted` file is read whole by a process of its own, with limits of time and memory (see
    `quarantine`), and refused if its logits have more than a gibibyte.

    Raises
    ------
    RunFileError
        If the file is missing, empty, truncated, not a run file, damaged, or of a newer version.
    """
    import xarray as xr

    file = Path(path)
    if untrusted:
        run: xr.Dataset = in_worker(_load_run, file, limits=for_contents(untrusted, file))
        return run
    with undisturbed(file) as source:
        with _opened(file, source) as h5:
            header = header_of(h5, file)
            check_all(h5, file, but=("logits", *_tables_of(header)))
            check_contents(h5, header)
        _warn_of_journal(file)
        # Attributes of variables have no checksum, so that none of them decides what is read.
        run = xr.open_dataset(cast("str", source), engine="h5netcdf", decode_cf=False)
        for name, dims in (_REQUIRED | dict.fromkeys(header.metrics, ("metric_step",))).items():
            if run[name].dtype == bool:  # by an attribute of netCDF that makes True of -1
                run.close()
                raise RunFileError(f"{file}: the variable {name!r} has an attribute dtype")
            if run[name].dims != dims:
                run.close()
                raise RunFileError(
                    f"{file}: the variable {name!r} names its dimensions {run[name].dims}, "
                    f"expected {dims}"
                )
        return run


def _load_run(file: Path) -> xr.Dataset:
    header = read_header(file)
    if (size := 4 * math.prod(header.shape)) > LARGEST_WHOLE:
        raise RunFileError(
            f"{file}: its logits have {size} bytes; an untrusted run of more than {LARGEST_WHOLE} "
            f"is not read whole, let observe() go through it"
        )
    with open_run(file) as run:
        return run.load()


def _glance(file: Path) -> tuple[RunHeader, str]:
    """The header of a run, and what is wrong with a journal beside it."""
    header = read_header(file)
    return header, journal_problem(file) if os.path.lexists(journal_path(file)) else ""


def _glances(
    files: Sequence[Path], untrusted: bool | Limits
) -> Iterator[tuple[RunHeader, str] | RunFileError]:
    if untrusted:
        limits = [for_header(untrusted)] * len(files)
        tasks = [(file,) for file in files]
        yield from (outcome for _, outcome in in_workers(_glance, tasks, limits))
        return
    for file in files:
        try:
            yield _glance(file)
        except RunFileError as error:
            yield error


def read_header(path: Path_) -> RunHeader:
    """All of a run but its arrays; raises RunFileError as `open_run` does."""
    file = Path(path)
    with undisturbed(file) as source, _opened(file, source) as h5:
        return header_of(h5, file)


@dataclass(frozen=True, repr=False)
class Runs(Sequence["xr.Dataset"]):
    """Runs of one sweep: headers at hand, arrays opened one by one.

    ``runs[i]`` opens run i, ``runs.table`` holds the sweep parameters with dimension ``run``,
    ``runs.problems`` the files that could not be used, ``runs.cautions`` names of parameters and
    metrics that had to be read under a prefix.  What is `untrusted` stays so.
    """

    headers: tuple[RunHeader, ...]
    problems: tuple[RunFileError, ...] = ()
    untrusted: bool | Limits = False

    @property
    def cautions(self) -> list[str]:
        """What was read other than it stands in the files, one line for all that share it."""
        return told((str(h.path), note) for h in self.headers for note in h.cautions)

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(header.path for header in self.headers)

    @property
    def table(self) -> xr.Dataset:
        """Dataset (run): sweep parameters as coordinates; size, checkpoints, stop_reason."""
        import xarray as xr

        table = xr.Dataset(coords={"run": [header.run_id for header in self.headers]})
        for name in parameter_names(self.headers):
            column = [header.parameters.get(name) for header in self.headers]
            table = table.assign_coords({name: ("run", text_or_numbers(column))})
        for name in ("size_name", "size", "seed", "stop_reason", "complete", "checkpoints"):
            if name not in table.coords:
                values = np.array([getattr(header, name) for header in self.headers])
                table[name] = ("run", values.astype(object) if values.dtype.kind == "U" else values)
        return table

    def select(self, **parameters: Any) -> Runs:
        """The runs whose parameters have these values, e.g. ``runs.select(p=113, seed=0)``."""
        chosen = tuple(
            header
            for header in self.headers
            if all(header.parameters.get(name) == value for name, value in parameters.items())
        )
        return replace(self, headers=chosen)

    def __len__(self) -> int:
        return len(self.headers)

    @overload
    def __getitem__(self, index: int) -> xr.Dataset: ...
    @overload
    def __getitem__(self, index: slice) -> Runs: ...
    def __getitem__(self, index: int | slice) -> xr.Dataset | Runs:
        if isinstance(index, slice):
            return replace(self, headers=self.headers[index])
        return open_run(self.headers[index].path, untrusted=self.untrusted)

    def __repr__(self) -> str:
        bad = f", {len(self.problems)} files with problems" if self.problems else ""
        varied = {
            name: len({header.parameters.get(name) for header in self.headers})
            for name in parameter_names(self.headers)
        }
        axes = ", ".join(f"{count} {name}" for name, count in varied.items() if count > 1)
        return f"<heatcap.Runs: {len(self)} runs{bad}; {axes or 'one setting'}>"


def open_runs(paths: Path_ | Iterable[Path_], *, untrusted: bool | Limits = False) -> Runs:
    """The runs in a folder (searched in depth for ``*.h5``), in a file, or in several of both.

    A file that cannot be used, or that holds a run that another one has (the same ``run_id``; the
    first that is whole is taken, ``RUN_ID.h5`` before others), is reported by a warning, kept in
    ``.problems``, and does not lose the others.

    HDF5 itself can hang or crash on hostile bytes: headers of `untrusted` files are read by a
    process of its own, with limits of time and memory (see `quarantine`).

    Raises
    ------
    RunFileError
        If there is no run at all.
    """
    twins: dict[str, list[RunHeader]] = {}
    problems: list[RunFileError] = []
    files = find_runs(paths)
    for found in _glances(files, untrusted):
        if isinstance(found, RunFileError):
            problems.append(found)
            continue
        header, of_journal = found
        if of_journal:
            warnings.warn(of_journal, stacklevel=2)
        twins.setdefault(header.run_id, []).append(header)
    headers = [_first_whole(same, untrusted) for same in twins.values()]
    for kept in headers:
        for other in twins[kept.run_id]:
            if other is not kept:
                told_twice = f"{other.path}: has the run_id {kept.run_id!r} of {kept.path} too"
                problems.append(RunFileError(told_twice))
    if not headers:
        told = "; ".join(str(problem) for problem in problems) or "no file *.h5"
        said = f"no run file to open in {_listed(paths)}: {told}"
        # Where run files are, but bad ones, checkpoints beside them are not what was meant.
        meant = any(path.suffix == ".h5" for path in files)
        raise RunFileError(said + ("" if meant else checkpoints_in(paths)))
    runs = Runs(tuple(headers), tuple(problems), untrusted)
    for line in [*(f"left out: {problem}" for problem in problems), *runs.cautions]:
        warnings.warn(line, stacklevel=2)
    return runs


def _first_whole(same: Sequence[RunHeader], untrusted: bool | Limits) -> RunHeader:
    """Of several files of one run the first that is whole; a damaged copy is none of it.

    One that is called like the run comes before others, which may bear its name without being it.
    """
    from heatcap.runfile.validate import is_whole

    first, *others = sorted(same, key=lambda header: header.path.name != f"{header.run_id}.h5")
    for header in (first, *others) if others else ():
        if is_whole(header.path, untrusted=untrusted):
            return header
    return first


def find_runs(paths: Path_ | Iterable[Path_]) -> list[Path]:
    """The run files that `paths` names, folders searched in depth, each file once, sorted."""
    names = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: dict[str, Path] = {}
    for name in map(Path, names):
        for path in _inside(name) if os.path.isdir(name) else [name]:
            if not path.name.startswith("."):
                found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def _inside(folder: Path) -> list[Path]:
    """Run files in a folder, and those of its folders that cannot be searched, to be named."""
    closed: list[Path] = []
    searched = os.walk(folder, onerror=lambda error: closed.append(Path(error.filename)))
    found = [
        Path(where, name)
        for where, folders, files in searched
        for name in (*folders, *files)
        if name.endswith(".h5")
    ]
    return sorted({*found, *closed})


def checkpoints_in(paths: Path_ | Iterable[Path_]) -> str:
    """What to do with checkpoints of torch, where there are any in place of run files; or ""."""
    names = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    kinds = (".pt", ".pth", ".ckpt", ".safetensors")
    for name in map(Path, names):
        inside = name.rglob("*") if os.path.isdir(name) else [name]
        first = next((path for path in inside if path.suffix in kinds), None)
        if first is not None:
            return (
                f"; {first.name} looks like a checkpoint of weights: see 'from saved checkpoints'"
                " in the documentation, which makes a run file of them"
            )
    return ""


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
        """Open a run; without `checked` what is wrong with its tables is told in `problems`."""
        file = Path(path)
        # All that commits may change is taken at one moment; logits that are there stay.
        with undisturbed(file) as source, ExitStack() as stack:
            self._h5 = stack.enter_context(_opened(file, source))
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
        """Fill the block from whole chunks; False where it is not made up of such.

        A chunk that reaches over the edge of the array is not one: it is larger in the file.
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
    """What the logits (step, layer) should add up to; None in version 1."""
    file, shape = header.path, header.shape[:2]
    if not header.sealed:
        return None
    found = variable(h5, file, "logits_checksum")
    check_storage(found, file, "logits_checksum")
    if found.shape != shape or found.dtype != np.uint64:
        raise RunFileError(
            f"{file}: logits_checksum must be uint64 {shape}, got {found.dtype} {found.shape}"
        )
    values: np.ndarray = h5["logits_checksum"][...]
    return values


def _chunk_offsets(logits: h5py.Dataset) -> dict[tuple[int, ...], int]:
    """Where each chunk lies in the file; empty if chunks are not plain float32 in native order."""
    plain = logits.chunks is not None and logits.chunks[:2] == (1, 1)
    whole_rows = plain and logits.chunks[5] == logits.shape[5]
    # Without preadv (Windows) all is read through HDF5, which takes longer and gives the same.
    if not hasattr(os, "preadv"):
        return {}
    if not whole_rows or logits.id.get_create_plist().get_nfilters() or logits.dtype != np.float32:
        return {}
    found: dict[tuple[int, ...], int] = {}

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        found[chunk.chunk_offset[:5]] = chunk.byte_offset

    if logits.shape[0]:
        logits.id.chunk_iter(note)
    size = logits.dtype.itemsize * math.prod(logits.chunks)
    inside = all(0 < offset <= logits.file.id.get_filesize() - size for offset in found.values())
    return found if inside else {}  # HDF5 says what is wrong


def parameter_names(headers: Iterable[RunHeader]) -> list[str]:
    """Names of the sweep parameters, in the order in which the files bring them."""
    return list(dict.fromkeys(name for header in headers for name in header.parameters))


def checksum(path: Path_) -> str:
    """SHA-256 of a file, in hexadecimal; of a run as it was committed.

    A commit that is only in the journal counts, for readers see it: the checksum is that which
    the file has when the commit is finished.

    Raises RunFileError for an HDF5 file that goes on for gibibytes after its own end: such a hole
    of a tebibyte takes no place, but an hour.
    """
    file = Path(path)
    source: Path | Overlay = file
    if _has_journal(file.resolve() if file.is_symlink() else file):
        with undisturbed(file) as source:
            pass  # an overlay stays what it is when commits go on
    with source.open("rb") if isinstance(source, Path) else source as content:
        end = stated_length(content.read(64))
        length = content.seek(0, os.SEEK_END)
        if end is not None and length - end > LARGEST_TAIL:
            raise RunFileError(f"{path}: goes on for {length - end} bytes after its end")
        content.seek(0)
        return hashlib.file_digest(content, "sha256").hexdigest()


def checksums(paths: Iterable[Path_]) -> dict[str, str]:
    """SHA-256 of those of some files that can be read; to open a FIFO would wait for ever."""
    found = {}
    for path in paths:
        with suppress(OSError, RunFileError):
            if os.path.isfile(path):
                found[os.fspath(path)] = checksum(path)
    return found


@contextmanager
def undisturbed(file: Path) -> Iterator[Path | Overlay]:
    """What HDF5 opens to read the file as it was committed, while no commit changes it.

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
    except Exception as error:  # a file can bring about any, h5py's own among them
        told = f"{type(error).__name__}: {error}"
        raise RunFileError(f"{file}: cannot be read, expected a run file ({told})") from error


def _unlike_a_file(file: Path) -> str:
    if not file.exists():
        return "is a link to nothing" if file.is_symlink() else "no such file"
    return "is a folder" if file.is_dir() else "is no regular file"


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
    """What is wrong with a journal beside the file; empty when nothing is."""
    return _look_at_journal(Path(path))[1]


def commit_waits(path: Path_) -> bool:
    """Whether the last commit is in the journal and not in the file yet, so that both belong."""
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


def _warn_of_journal(file: Path) -> None:
    if _has_journal(file) and (problem := journal_problem(file)):
        warnings.warn(problem, stacklevel=3)


def _has_journal(file: Path) -> bool:
    """Whether something bears the name of its journal; asked once for every file of a folder."""
    return os.path.lexists(f"{file}.journal")


@contextmanager
def _opened(file: Path, source: Path | Overlay) -> Iterator[h5py.File]:
    """The file as HDF5."""
    try:
        h5 = h5py.File(source, "r")
    except OSError as error:
        raise RunFileError(f"{file}: {_unlike_hdf5(file, error)}") from None
    with h5:
        yield h5


def _unlike_hdf5(file: Path, error: OSError) -> str:
    expected = "expected a run file"
    if file.stat().st_size == 0:
        return f"is empty, {expected}"
    if not h5py.is_hdf5(file):
        return f"is not HDF5, {expected}"
    what = "is truncated" if "truncated" in str(error) else "cannot be opened as HDF5"
    return f"{what}, {expected} ({error})"


def header_of(h5: h5py.File, file: Path) -> RunHeader:
    """The header of an open file; raises RunFileError where it is none of a run."""
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
    """What `header_checksum` covers, in its order; None for what is missing."""
    found = {name: attribute(h5.id, file, name) for name in layout.ATTRIBUTES}
    columns = None
    if h5.id.links.exists(b"metric_step"):
        columns = attribute(variable(h5, file, "metric_step"), file, "metrics")
    found["metrics"] = columns
    return {name: None if value is MISSING else value for name, value in found.items()}


def is_sealed(h5: h5py.File, attributes: Mapping[str, Any]) -> bool:
    """Whether the file has checksums, or should have: from version 2 on."""
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


def check_contents(h5: h5py.File, header: RunHeader) -> None:
    """Raise the first of the problems of a run's tables."""
    _, problems = read_contents(h5, header)
    if problems:
        raise RunFileError(f"{header.path}: {problems[0]}")


def read_contents(h5: h5py.File, header: RunHeader) -> tuple[dict[str, np.ndarray], list[str]]:
    """All variables of a run but its logits, and what is wrong with them."""
    tables, problems = read_tables(h5, header)
    config = attribute(h5.id, header.path, "config")
    if config is not MISSING and (not isinstance(config, str) or json_object(config) is None):
        problems.append("the attribute 'config' must be a JSON object")
    return tables, [*problems, *table_problems(tables, header.probe_population)]


def read_tables(h5: h5py.File, header: RunHeader) -> tuple[dict[str, np.ndarray], list[str]]:
    """All variables of a run but its logits, and which of them are damaged.

    Raises RunFileError before anything is read that is not in the file as it should be.
    """
    file, tables, damaged = header.path, {}, []
    variables = {name: variable(h5, file, name) for name in ("logits", *_tables_of(header))}
    check_names(variables, file)
    for name, found in variables.items():
        check_storage(found, file, name)
    check_together(variables, file)
    for name in _tables_of(header):
        tables[name] = values = h5[name][...]
        if header.sealed and attribute(variables[name], file, "checksum") != table_checksum(values):
            damaged.append(f"the variable {name!r} is damaged: it does not have its checksum")
    return tables, damaged


def _tables_of(header: RunHeader) -> tuple[str, ...]:
    return (*_DIMENSIONS, *_PROBE, *header.metrics)


def _check_format(attributes: Mapping[str, Any], file: Path) -> None:
    found = attributes["format"]
    if not isinstance(found, str) or found != layout.FORMAT:
        raise RunFileError(
            f"{file}: is HDF5 but not a run file: expected the attribute "
            f"format = {layout.FORMAT!r}, got {found!r}"
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


def metric_names(h5: h5py.File, announced: Any) -> tuple[str, ...]:
    """The columns of metrics: those that the writer announced, or else the standard ones."""
    if isinstance(announced, str):
        names = tuple(dict.fromkeys(announced.split()))
        if odd := [name for name in names if not name.isidentifier()]:
            raise RunFileError(f"{h5.filename}: the metric {odd[0]!r} must be an identifier")
        return names
    return tuple(name for name in layout.STANDARD_METRICS if name in h5)


def _checked_extents(h5: h5py.File, file: Path, metrics: Sequence[str]) -> dict[str, int]:
    """Length of each dimension, after every variable was seen to have its dimensions' shape."""
    extents = {}
    for dim in _DIMENSIONS:
        shape = variable(h5, file, dim).shape
        if len(shape) != 1:
            raise RunFileError(f"{file}: the variable {dim!r} must have 1 dimension, got {shape}")
        extents[dim] = shape[0]
    columns = dict.fromkeys(metrics, ("metric_step",))
    for name, dims in (columns | _REQUIRED).items():
        found, expected = variable(h5, file, name), tuple(extents[dim] for dim in dims)
        if found.shape != expected:
            raise RunFileError(
                f"{file}: the variable {name!r} has shape {found.shape}, "
                f"expected {expected} for the dimensions {dims}"
            )
        if name == "logits" and found.get_type() != h5py.h5t.IEEE_F32LE:
            raise RunFileError(f"{file}: logits must be float32 (IEEE), got {found.dtype}")
    return extents


_DIMENSIONS = (*layout.LOGIT_DIMS, "position", "metric_step")
_PROBE = {
    "probe_input": ("probe", "position"),
    "probe_trained": ("probe",),
    "probe_mirror_trained": ("probe",),
}
_REQUIRED: dict[str, tuple[str, ...]] = {"logits": layout.LOGIT_DIMS, **_PROBE}


def _parameters(text: str, file: Path) -> dict[str, Any]:
    value = json_object(text)
    if value is None:
        raise RunFileError(f"{file}: the attribute 'parameters' must be a JSON object")
    if problem := layout.parameter_problem(value):
        raise RunFileError(f"{file}: {problem}")
    return value


def text_or_numbers(values: list[Any]) -> np.ndarray:
    """Parameters as an array that NetCDF can hold: numbers as floats or ints, the rest as text."""
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return np.array(values)
    if all(value is None or isinstance(value, int | float) for value in values):
        return np.array([np.nan if value is None else float(value) for value in values])
    return np.array(["" if value is None else str(value) for value in values], dtype=object)


def _listed(paths: Path_ | Iterable[Path_]) -> str:
    names = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    return ", ".join(str(name) for name in names) or "an empty list"
