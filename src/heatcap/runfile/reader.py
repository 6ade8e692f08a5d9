"""Reading runs: one lazily, many by their headers, and one to its last number.

:func:`open_run` gives a lazy Dataset, :func:`open_runs` the headers of a sweep, each run of which
opens on demand; :func:`validate_run` reads a file completely.  Untrusted files are read by
processes of their own.
"""

from __future__ import annotations

import itertools
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np

from heatcap.core.text import few
from heatcap.runfile.contents import (
    REQUIRED,
    LogitReader,
    Path_,
    check_contents,
    header_of,
    journal_problem,
    opened,
    read_header,
    tables_of,
    undisturbed,
    warn_of_journal,
)
from heatcap.runfile.integrity import DAMAGED, LayerSums
from heatcap.runfile.journal import journal_path
from heatcap.runfile.layout import RunFileError, RunHeader
from heatcap.runfile.names import merged_notes
from heatcap.runfile.quarantine import Limits, for_contents, for_header, in_worker, in_workers
from heatcap.runfile.rules import logit_problem, mask_problem
from heatcap.runfile.storage import check_all

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "Runs",
    "checkpoints_in",
    "find_runs",
    "is_whole",
    "open_run",
    "open_runs",
    "text_or_numbers",
    "validate_run",
]

#: Bytes of logits up to which an untrusted run is read whole.
LARGEST_WHOLE = 1 << 30


def open_run(path: Path_, *, untrusted: bool | Limits = False) -> xr.Dataset:
    """Open a run as a lazy Dataset: logits, metrics, probe.

    ``logits`` (step, layer, head, probe, query, key) is the argument of the softmax, float32.

    Values are read when they are used; close the Dataset, or use it in a ``with``, to release
    the file.  Nothing is written: a commit that a killed writer had sealed is laid over the file
    in memory, and a journal of another file is left alone with a warning.  While a writer is at
    work, a Dataset that was opened before its last commit may be stale: open it again.

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
        with opened(file, source) as h5:
            header = header_of(h5, file)
            check_all(h5, file, but=("logits", *tables_of(header)))
            check_contents(h5, header)
        warn_of_journal(file)
        # Attributes of variables have no checksum, so none of them may decide what is read.
        run = xr.open_dataset(cast("str", source), engine="h5netcdf", decode_cf=False)
        for name, dims in (REQUIRED | dict.fromkeys(header.metrics, ("metric_step",))).items():
            if run[name].dtype == bool:  # an attribute of netCDF turns -1 into True
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
    """Header of a run, and what is wrong with a journal beside it."""
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
        """Names that were read under a prefix, one line for all files that share it."""
        return merged_notes((str(h.path), note) for h in self.headers for note in h.cautions)

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(header.path for header in self.headers)

    @property
    def table(self) -> xr.Dataset:
        """Tabulate the runs: sweep parameters as coordinates; size, checkpoints, stop_reason."""
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
        """Select the runs whose parameters have these values: ``runs.select(p=113, seed=0)``."""
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
    """Open the runs in folders (searched in depth for ``*.h5``) and files.

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
    for glance in _glances(files, untrusted):
        if isinstance(glance, RunFileError):
            problems.append(glance)
            continue
        header, of_journal = glance
        if of_journal:
            warnings.warn(of_journal, stacklevel=2)
        twins.setdefault(header.run_id, []).append(header)
    headers = [_first_whole(same, untrusted) for same in twins.values()]
    for chosen in headers:
        for other in twins[chosen.run_id]:
            if other is not chosen:
                told_twice = f"{other.path}: has the run_id {chosen.run_id!r} of {chosen.path} too"
                problems.append(RunFileError(told_twice))
    if not headers:
        told = few([*map(str, problems)]) or "no file *.h5"
        searched = ", ".join(map(str, _named(paths))) or "an empty list"
        message = f"no run file to open in {searched}: {told}"
        # Beside bad run files, checkpoints are not what was meant.
        meant = any(path.suffix == ".h5" for path in files)
        raise RunFileError(message + ("" if meant else checkpoints_in(paths)))
    runs = Runs(tuple(headers), tuple(problems), untrusted)
    for line in [*(f"left out: {problem}" for problem in problems), *runs.cautions]:
        warnings.warn(line, stacklevel=2)
    return runs


def _first_whole(same: Sequence[RunHeader], untrusted: bool | Limits) -> RunHeader:
    """First whole file of several with one run_id; the first of all where none is whole.

    A file named like the run comes before others, which may only claim its run_id.
    """
    first, *others = sorted(same, key=lambda header: header.path.name != f"{header.run_id}.h5")
    for header in (first, *others) if others else ():
        if is_whole(header.path, untrusted=untrusted):
            return header
    return first


def find_runs(paths: Path_ | Iterable[Path_]) -> list[Path]:
    """List the run files in folders, searched in depth, and files; each once, sorted."""
    by_place: dict[str, Path] = {}
    for name in _named(paths):
        for path in _inside(name) if os.path.isdir(name) else [name]:
            if not path.name.startswith("."):
                by_place.setdefault(os.path.realpath(path), path)
    return list(by_place.values())


def _inside(folder: Path) -> list[Path]:
    """Run files in a folder, and folders in it that cannot be searched, to be reported."""
    closed: list[Path] = []
    searched = os.walk(folder, onerror=lambda error: closed.append(Path(error.filename)))
    paths = [
        Path(where, name)
        for where, folders, files in searched
        for name in (*folders, *files)
        if name.endswith(".h5")
    ]
    return sorted({*paths, *closed})


def checkpoints_in(paths: Path_ | Iterable[Path_]) -> str:
    """Advise what to do with checkpoints of torch that lie in place of run files; or ""."""
    kinds = (".pt", ".pth", ".ckpt", ".safetensors")
    for name in _named(paths):
        inside = name.rglob("*") if os.path.isdir(name) else [name]
        first = next((path for path in inside if path.suffix in kinds), None)
        if first is not None:
            return (
                f"; {first.name} looks like a checkpoint of weights: see 'from saved checkpoints'"
                " in the documentation, which makes a run file of them"
            )
    return ""


def parameter_names(headers: Iterable[RunHeader]) -> list[str]:
    """List the names of the sweep parameters, in the order of the files."""
    return list(dict.fromkeys(name for header in headers for name in header.parameters))


def text_or_numbers(values: list[Any]) -> np.ndarray:
    """Convert parameters for NetCDF: numbers to floats or ints, the rest to text."""
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return np.array(values)
    if all(value is None or isinstance(value, int | float) for value in values):
        return np.array([np.nan if value is None else float(value) for value in values])
    return np.array(["" if value is None else str(value) for value in values], dtype=object)


def _named(paths: Path_ | Iterable[Path_]) -> list[Path]:
    """One path or several, as a list."""
    return list(map(Path, [paths] if isinstance(paths, str | os.PathLike) else paths))


# ---- reading to the last number ------------------------------------------------------------

#: Problems that are listed one by one; a broken writer makes one for every block.
LISTED = 20
_BLOCK_BYTES = 1 << 22

_Block = tuple[int, slice, slice, slice]


def validate_run(path: str | os.PathLike[str], *, untrusted: bool | Limits = False) -> list[str]:
    """List the problems of a run file's contents, one sentence each; empty when there is none.

    Reads every checkpoint, in blocks of some mebibytes.  Lists the first 20 problems and counts
    the others.  An `untrusted` file is read by a process of its own, with limits of time and memory
    (see `quarantine`).

    Raises
    ------
    RunFileError
        If the file is no run file at all (see `open_run`).
    """
    if untrusted:
        limits = for_contents(untrusted, Path(path))
        reported: list[str] = in_worker(validate_run, path, limits=limits)
        return reported
    with LogitReader(path, checked=False) as logits:
        problems = [*filter(None, [journal_problem(path)]), *logits.problems]
        if not logits.steps.size:
            problems.append("holds no checkpoint")
        every = itertools.chain(problems, _all_logit_problems(logits))
        listed = list(itertools.islice(every, LISTED))
        more = sum(1 for _ in every)
    return [*listed, f"and {more} more"] if more else listed


def is_whole(path: str | os.PathLike[str], *, untrusted: bool | Limits = False) -> bool:
    """Test whether `observe` takes a run, also one that looks masked or has a foreign journal."""
    try:
        if untrusted:
            limits = for_contents(untrusted, Path(path))
            return bool(in_worker(is_whole, path, limits=limits))
        with LogitReader(path) as logits:
            return bool(logits.steps.size) and not any(_all_logit_problems(logits, masks=False))
    except RunFileError:
        return False


def _all_logit_problems(logits: LogitReader, *, masks: bool = True) -> Iterator[str]:
    """Problems of the logits, block by block, then checksums that do not agree."""
    sums = LayerSums(logits.header.shape)
    for checkpoint, step in enumerate(logits.steps):
        for layer, heads, probes, queries in _blocks(logits):
            where = (slice(checkpoint, checkpoint + 1), layer, heads, probes, queries)
            block = logits.read(*where)
            sums.add(block, *where)
            for head, values in enumerate(block[0], heads.start):
                if problem := logit_problem(values) or (masks and mask_problem(values)):
                    part = _part("probe", probes, logits) + _part("query", queries, logits)
                    yield f"step {step}, layer {layer}, head {head}{part}: {problem}"
    if logits.checksums is not None:
        for checkpoint, layer in sums.wrong(logits.checksums):
            yield f"step {logits.steps[checkpoint]}, layer {layer}: {DAMAGED}"


def _blocks(logits: LogitReader) -> Iterator[_Block]:
    """Each chunk of a checkpoint once, several together up to some mebibytes."""
    layers, extents = logits.header.shape[1], logits.header.shape[2:5]
    steps = list(logits.chunk)
    for axis in (2, 1, 0):
        size = 4 * logits.header.shape[5] * int(np.prod(steps))
        steps[axis] = min(extents[axis], steps[axis] * max(1, _BLOCK_BYTES // size))
    parts = (
        [slice(at, min(at + step, extent)) for at in range(0, extent, step)]
        for extent, step in zip(extents, steps, strict=True)
    )
    for layer, (heads, probes, queries) in itertools.product(
        range(layers), list(itertools.product(*parts))
    ):
        yield layer, heads, probes, queries


def _part(dim: str, part: slice, logits: LogitReader) -> str:
    """Part of a dimension that a block covers, in words; "" for the whole."""
    whole = part == slice(0, logits.header.sizes[dim])
    return "" if whole else f", {dim} {part.start} to {part.stop - 1}"
