"""Feed bad files to everything that reads, and count what becomes of them.

    python benchmarks/fuzz.py --seed 7                  # 5000 run files, 1000 of the others
    python benchmarks/fuzz.py --quick                   # 200 in all, as the gate does
    python benchmarks/fuzz.py --keep bad                # keep the cases that fail ...
    python benchmarks/fuzz.py --replay bad/run-17       # ... and read one again

Half of the run files are mutants of the bytes, the others lie in their structure, their journal
or their place; the others are tables, and observables.  Each is read in a process that lives
long, has limits of time and memory, and is replaced when it dies.  What becomes of a case:

fine           all numbers are those of the file that the mutant was made from
clear error    a RunFileError or ValueError of one line that names the file, or a named problem
traceback      any other exception, or a message that does not say which file
wrong number   other numbers, or what must be refused, were taken without a word
crash          the reader died of a signal
hang           it took longer than the limit
memory         it took more than the limit
outside        something in the folders changed: to read is not to write

Exit status 1 where one of the last six is not zero.
"""

# All readers of a kind of file are called alike.
# ruff: noqa: ARG001

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import stat
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from random import Random
from typing import Any

import h5py
import mutants
import numpy as np

from heatcap.runfile import RunWriter
from heatcap.runfile.quarantine import Limits

from machine import said

COLUMNS = (
    *("fine", "clear error", "traceback", "wrong number"),
    *("crash", "hang", "memory", "outside"),
)
BAD = COLUMNS[2:]
RUNS, OTHERS, QUICK = 5000, 1000, 200
BATCH = 25  # cases that a driver takes at a time

SECONDS = 20.0  # of processor time at a door; three times as long by the clock, on a busy machine
SPARE = 2**30  # bytes of addresses beyond what a reader needs for good files
RESIDENT = 2**29  # bytes of memory likewise; thrice as much with the worker of an untrusted file
CONTROL = 10  # cases after which a good file is read again
LARGE = 2**26  # bytes of a file that are looked at whole for changes


@dataclass(frozen=True)
class Case:
    """A bad file, and what may be said of it."""

    kind: str
    number: int
    harm: str
    target: str
    columns: dict[str, str] = field(default_factory=dict)
    #: Digests of numbers that are right; without any, numbers may be what they are.
    right: tuple[str, ...] = ()
    refuse: bool = False
    vanishes: bool = False


# Making cases --------------------------------------------------------------------------------


class Originals:
    """Good files, made once for each process, and what their numbers are."""

    def __init__(self, folder: Path) -> None:
        extents: tuple[dict[str, int], ...] = (
            {},
            {"checkpoints": 40, "layers": 1, "inputs": 4},
            {"inputs": 120},
        )
        self.runs = [
            mutants.write_run(folder / f"good{i}.h5", **extent) for i, extent in enumerate(extents)
        ]
        (folder / "deaths").mkdir()
        self.deaths = list(mutants.deaths(self.runs[0], folder / "deaths"))
        last = sorted((folder / "deaths").glob("*.h5"), key=os.path.getmtime)[-1]
        resumed = Path(shutil.copy(self.runs[0], folder / "resumed.h5"))
        RunWriter.resume(resumed).close()  # the commit before the one of the checkpoint
        self.digests = [numbers_of_run(path) for path in self.runs]
        self.commits = (self.digests[0], numbers_of_run(resumed), numbers_of_run(last))
        self.table = _table()
        self.scalars = _scalars()
        self.observables = _observables(folder)


def run_case(good: Originals, case: Path, number: int, draw: Random) -> Case:
    target = case / "run.h5"
    kind = draw.choice(("bytes",) * 5 + ("structure",) * 3 + ("journal", "place"))
    which = draw.randrange(len(good.runs)) if kind == "bytes" else 0
    shutil.copyfile(good.runs[which], target)
    made = partial(Case, "run", number, target=target.name)
    right = (good.digests[which],)
    if kind == "bytes":
        harm, data = mutants.change_bytes(target.read_bytes(), draw)
        target.write_bytes(data)
        return made(harm=harm, right=right)
    if kind == "structure":
        harm = draw.choice([*mutants.IN_FILE])
        with h5py.File(target, "r+") as h5:
            if old := draw.random() < 0.5:
                mutants.unseal(h5)
            mutants.IN_FILE[harm](h5, draw)
        said = f"{harm}, version 1" if old else harm
        kept = old and harm in mutants.HARMLESS_IN_OLD
        return made(harm=said, refuse=harm not in mutants.HARMLESS and not kept)
    if kind == "journal":
        harm = draw.choice([*mutants.JOURNALS])
        data, journal = draw.choice(good.deaths)
        if draw.random() < 0.7:
            target.write_bytes(data)  # else a journal that is stale or foreign
        mutants.JOURNALS[harm](target.with_name("run.h5.journal"), journal, draw)
        return made(harm=harm, right=good.commits)
    harm = draw.choice([*mutants.IN_FOLDER, "vanishing"])
    if harm != "vanishing":
        mutants.IN_FOLDER[harm](target, draw)
    return made(harm=harm, right=right, vanishes=harm == "vanishing")


def other_case(good: Originals, case: Path, number: int, draw: Random) -> Case:
    kind = draw.choice(("table", "scalars", "observables", "document"))
    made = partial(Case, kind, number)
    if kind == "observables":
        target = case / "obs.nc"
        harm, data = mutants.change_bytes(good.observables[0], draw)
        target.write_bytes(data)
        return made(harm=harm, target=target.name, right=(good.observables[1],))
    if kind == "document":
        suffix, data = mutants.odd_document(draw)
        (case / f"table{suffix}").write_bytes(data)
        return made(harm=f"document{suffix}", target=f"table{suffix}", columns=COLUMNS_OF_TABLE)
    text = {"table": good.table, "scalars": good.scalars}[kind]
    how = draw.choice(("cells", "bytes", "parquet"))
    if how == "cells":
        data = mutants.change_table(text, draw).encode("utf-8", "surrogatepass")
    else:
        data = mutants.change_bytes(_parquet(text) if how == "parquet" else text.encode(), draw)[1]
    target = case / ("table.parquet" if how == "parquet" else "table.csv")
    target.write_bytes(data)
    return made(harm=how, target=target.name, columns=COLUMNS_OF_TABLE)


@cache
def _parquet(text: str) -> bytes:
    import io

    import pandas as pd

    file = io.BytesIO()
    pd.read_csv(io.StringIO(text)).to_parquet(file)
    return file.getvalue()


def _table() -> str:
    rows = [
        f"{size},{control:.3f},{np.tanh((control - 1) * size) + 2:.6f},0.01"
        for size in (8, 16, 32)
        for control in np.linspace(0.8, 1.2, 9)
    ]
    return "\n".join(["L,x,A,dA", *rows]) + "\n"


def _scalars() -> str:
    steps = np.unique(np.geomspace(1, 1000, 30).astype(int))
    rows = [
        f"{run},{step},{min(1, step / 50):.3f},{min(1, step / 600):.3f},"
        f"{np.exp(-(np.log(step / 200) ** 2)):.5f}"
        for run in "ab"
        for step in steps
    ]
    return "\n".join(["run,epoch,acc,val,cv", *rows]) + "\n"


def _observables(folder: Path) -> tuple[bytes, str]:
    """Observables as they are saved, and what their numbers are."""
    import heatcap

    table = heatcap.read_scalars(_written(folder / "scalars.csv", _scalars()), SCALARS)
    heatcap.save(table, folder / "obs.nc")
    return (folder / "obs.nc").read_bytes(), numbers_of_observables(folder / "obs.nc")


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


COLUMNS_OF_TABLE = {"size": "L", "control": "x", "value": "A", "error": "dA"}
SCALARS = "run=run,step=epoch,train_accuracy=acc,test_accuracy=val,observable=cv"


# Reading, in a process of its own ------------------------------------------------------------

Said = tuple[str, str]  # ok, named, error, traceback or memory; and the digest or what was said


def numbers_of_run(path: Path, **how: Any) -> str:
    """All numbers that `observe` makes of a run."""
    import heatcap

    return _hash(heatcap.observe(path, **how).drop_vars(["path", "checksum"]))


def numbers_of_observables(path: Path) -> str:
    import heatcap

    return _hash(heatcap.load(path))


def _hash(table: Any) -> str:
    digest = hashlib.sha256()
    for name in sorted(map(str, table.variables)):
        values = np.asarray(table[name].values)
        plain = values.tolist() if values.dtype.kind == "O" else values.tobytes()
        digest.update(repr((name, table[name].dims, values.shape, plain)).encode())
    return digest.hexdigest()


def read_run(path: Path, case: Case, untrusted: bool | Limits) -> dict[str, Said]:
    """By headers, to the last number, and as observables."""
    import heatcap
    from heatcap.runfile import validate_run

    how = {"untrusted": untrusted} if untrusted else {}

    def headers() -> Said:
        return "ok", str(len(heatcap.open_runs(path, **how)))

    def validated() -> Said:
        problems = validate_run(path, **how)
        return ("named", "; ".join(problems)) if problems else ("ok", "")

    doors = {"open_runs": headers, "validate": validated}
    return {name: _tried(path, door) for name, door in doors.items()} | {
        "observe": _tried(path, lambda: ("ok", numbers_of_run(path, **how)))
    }


def read_table(path: Path, case: Case, untrusted: bool | Limits) -> dict[str, Said]:
    import heatcap

    def points() -> Said:
        return "ok", _unfounded(path, heatcap.read_table(path, **case.columns))

    doors: dict[str, Callable[[], Said]] = {"read_table": points}
    if case.number % 5 == 0:
        names = [f"--{what}={name}" for what, name in case.columns.items()]
        doors["collapse"] = partial(_command, "collapse", str(path), *names)
        doors["verdict"] = partial(_command, "verdict", str(path), "--value=A", "--size=L")
    return {name: _tried(path, door) for name, door in doors.items()}


def read_scalars(path: Path, case: Case, untrusted: bool | Limits) -> dict[str, Said]:
    import heatcap

    def events() -> Said:
        heatcap.find_events(heatcap.read_scalars(path, SCALARS))
        return "ok", ""

    return {"read_scalars": _tried(path, events)}


def read_observables(path: Path, case: Case, untrusted: bool | Limits) -> dict[str, Said]:
    return {"load": _tried(path, lambda: ("ok", numbers_of_observables(path)))}


DOORS = {
    "run": read_run,
    "table": read_table,
    "document": read_table,
    "scalars": read_scalars,
    "observables": read_observables,
}


def _tried(path: Path, door: Callable[[], Said]) -> Said:
    """What a door says; which exceptions are clear is written here."""
    try:
        return door()
    except MemoryError as error:
        return "memory", repr(error)
    except ValueError as error:
        text = str(error)
        if len(text.splitlines()) > 1 or path.name not in text:
            return "traceback", f"not a line that names the file: {error!r}"
        return "error", text
    except Exception as error:
        return "traceback", repr(error)[:500]


def _command(*arguments: str) -> Said:
    """A command of the command line: its exit status is 0, or 1 with one line."""
    from typer.testing import CliRunner

    from heatcap.cli import app

    done = CliRunner().invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code:
        raise ValueError(done.stderr.strip().splitlines()[-1])
    return "ok", ""


def _unfounded(path: Path, points: Any) -> str:
    """A number that was read from a text and stands in none of its cells; or nothing."""
    if path.suffix not in (".csv", ".txt"):
        return ""
    cells = path.read_text(encoding="utf-8-sig").replace('"', ",")
    for separator in ";\t\r\n ":
        cells = cells.replace(separator, ",")
    there = {_number(cell) for cell in cells.split(",")}
    for name in ("size", "control", "value", "error"):
        for value in getattr(points, name):
            if float(value) not in there:
                return f"{name} {value} stands in no cell"
    return ""


def _number(cell: str) -> float | None:
    try:
        return None if "_" in cell or not cell.isascii() else float(cell)
    except ValueError:
        return None


def serve(pipe: Connection, untrusted: bool) -> None:
    """Read cases as long as there are any; limits begin when a good file of each kind was read."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        good = mutants.write_run(Path(folder) / "run.h5")
        table = _written(Path(folder) / "table.csv", _table())
        case = Case("run", 0, "", "", COLUMNS_OF_TABLE)
        right = read_run(good, case, untrusted)
        read_table(table, case, untrusted)
        read_scalars(_written(table, _scalars()), case, untrusted)
        assert {way for way, _ in right.values()} == {"ok"}, right
        limits: bool | Limits = Limits(SECONDS, SPARE) if untrusted else False
        if not untrusted:  # else the library limits its own processes
            limit = _kilobytes("VmSize") * 1024 + SPARE
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        pipe.send("ready")
        while True:
            try:
                case, place = pipe.recv()
            except EOFError:
                return
            os.chdir(place)  # what is written by accident is found
            told = DOORS[case.kind](Path(place) / case.target, case, limits)
            again = right
            if case.kind == "run" and (case.number % CONTROL == 0 or _died(told)):
                # A good file that comes after bad ones; and a new worker, without haste.
                again = read_run(good, case, untrusted)
            if again != right:
                told["good"] = "traceback", f"a good file afterwards: {again}"
            os.chdir(folder)
            pipe.send(told)


def _died(told: dict[str, Said]) -> bool:
    """Whether the library had to end a worker of its own."""
    return any("worker" in text or "took longer" in text for _, text in told.values())


def _kilobytes(name: str, process: int | str = "self") -> int:
    """A line of the process's status; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
    except OSError:
        return 0


class Reader:
    """The process that reads, replaced when it dies."""

    def __init__(self, untrusted: bool) -> None:
        self.untrusted = untrusted
        self.doors = 4 if untrusted else 1  # with a good file; each has the library's own limit
        self.process: SpawnProcess | None = None
        self.pipe: Connection

    def read(self, case: Case, folder: Path) -> tuple[str, dict[str, Said]]:
        """How it ended ("", crash, hang or memory), and what was said at each door."""
        if self.process is None:
            self._start()
        assert self.process is not None
        before = self._seconds()
        self.pipe.send((case, str(folder)))
        started = time.monotonic()
        while not self.pipe.poll(0.05):
            clock = time.monotonic() - started
            if not self.process.is_alive() and not self.pipe.poll(0):
                return self._over("crash", f"exit status {self.process.exitcode}")
            if self._resident() > self.most:
                return self._over("memory", f"{self._resident() / 2**20:.0f} MiB in use")
            if self._seconds() - before > self.doors * SECONDS or clock > 3 * self.doors * SECONDS:
                return self._over("hang", f"{clock:.0f} s")
        try:
            told: dict[str, Said] = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            return self._over("crash", f"exit status {self.process.exitcode}")
        if self._resident() > self.most:
            return "memory", self._over("memory", "too much was taken")[1] | told
        return "", told

    def _over(self, how: str, why: str) -> tuple[str, dict[str, Said]]:
        self.stop()
        return how, {"": (how, why)}

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.untrusted))
        self.process.start()
        theirs.close()
        self.pipe.recv()
        self.most = self._resident() + (3 if self.untrusted else 1) * RESIDENT

    def _resident(self) -> int:
        """The most memory it ever took, and what its own processes take now."""
        assert self.process is not None
        own = _kilobytes("VmHWM", self.process.pid or 0)
        return 1024 * (own + sum(_kilobytes("VmRSS", child) for child in self._children()))

    def _children(self) -> list[str]:
        assert self.process is not None
        try:
            pid = self.process.pid
            return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return []

    def _seconds(self) -> float:
        assert self.process is not None
        try:
            told = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return sum(map(int, told[11:13])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.pipe.close()
            self.process = None


# Judging -------------------------------------------------------------------------------------


def judged(case: Case, ended: str, told: dict[str, Said]) -> str:
    """The column that a case counts in."""
    ways = {way for way, _ in told.values()}
    if ended:
        return ended
    for bad in ("memory", "traceback"):
        if bad in ways:
            return bad
    if case.kind != "run":
        wrong = any(way == "ok" and text and text not in case.right for way, text in told.values())
        return "wrong number" if wrong else "clear error" if "error" in ways else "fine"
    way, digest = told["observe"]
    validated, problems = told["validate"]
    # What validate refuses, observe refuses: but for what is a warning there.
    warned = any(each in problems for each in ("left alone", "looks like an additive mask"))
    passed = validated != "ok" and not case.vanishes and not warned
    if way == "ok" and (case.refuse or passed or (case.right and digest not in case.right)):
        return "wrong number"
    return "fine" if way == "ok" else "clear error"


def snapshot(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Everything in a folder that reading must not change."""
    return {str(path.relative_to(folder)): _state(path) for path in [folder, *folder.rglob("*")]}


def _state(path: Path) -> tuple[Any, ...]:
    s = path.lstat()
    content: Any = os.readlink(path) if stat.S_ISLNK(s.st_mode) else ""
    if stat.S_ISREG(s.st_mode):
        with path.open("rb") as file:
            content = hashlib.sha256(file.read(LARGE)).hexdigest()
    return s.st_mode, s.st_size, s.st_mtime_ns, s.st_ino, content


def one_case(seed: int, kind: str, number: int, work: Worker) -> tuple[Case, str, dict[str, Said]]:
    """Make a case, have it read, judge it; keep its folder where it failed."""
    place = work.folder / f"{kind}-{number}"
    case_folder, beside = place / "case", place / "beside"
    case_folder.mkdir(parents=True)
    beside.mkdir()
    (beside / "precious.bin").write_bytes(b"precious" * 2000)
    shutil.copyfile(work.good.runs[0], beside / "other.h5")
    draw = Random(f"{seed} {kind} {number}")
    make = run_case if kind == "run" else other_case
    case = make(work.good, case_folder, number, draw)
    before = snapshot(place)
    timer = threading.Timer(draw.random() / 20, (case_folder / case.target).unlink)
    if case.vanishes:
        timer.start()
    ended, told = work.reader.read(case, case_folder)
    verdict = judged(case, ended, told)
    if case.vanishes:
        timer.join()
    else:
        after = snapshot(place)
        if changed := sorted(k for k in before | after if before.get(k) != after.get(k)):
            verdict, told = "outside", told | {"changed": ("", ", ".join(changed))}
    if verdict in BAD and work.keep:
        _keep(place, work.keep, case, verdict, told)
    shutil.rmtree(place)
    return case, verdict, told


def _keep(place: Path, keep: Path, case: Case, verdict: str, told: dict[str, Said]) -> None:
    target = keep / place.name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(place, target, symlinks=True, ignore=_special)
    record = {"verdict": verdict, "told": told} | vars(case)
    (target / "case.json").write_text(json.dumps(record, indent=1) + "\n")


def _special(folder: str, names: list[str]) -> list[str]:
    """Names of FIFOs and huge files, which cannot be copied."""
    stats = {name: os.lstat(os.path.join(folder, name)) for name in names}
    return [n for n, s in stats.items() if stat.S_ISFIFO(s.st_mode) or s.st_size > LARGE]


# Driving -------------------------------------------------------------------------------------


class Worker:
    """What a driver keeps from case to case."""

    def __init__(self, untrusted: bool, keep: Path | None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        (self.folder / "good").mkdir()
        self.good = Originals(self.folder / "good")
        self.reader = Reader(untrusted)
        self.keep = keep


_worker: Worker


def _begin(*arguments: Any) -> None:
    global _worker
    warnings.simplefilter("ignore")
    _worker = Worker(*arguments)


def _batch(seed: int, kind: str, numbers: list[int]) -> list[tuple[Case, str, dict[str, Said]]]:
    return [one_case(seed, kind, number, _worker) for number in numbers]


def _end(_: int) -> None:
    _worker.reader.stop()
    shutil.rmtree(_worker.folder, ignore_errors=True)


def drive(options: argparse.Namespace) -> Iterator[tuple[Case, str, dict[str, Said]]]:
    """All cases, judged; in as many processes as asked for."""
    counts = {"run": options.runs, "other": options.others}
    batches = [
        (kind, list(range(start, min(start + BATCH, count))))
        for kind, count in counts.items()
        for start in range(0, count, BATCH)
    ]
    arguments = (options.untrusted, options.keep)
    spawn = multiprocessing.get_context("spawn")
    pool = [
        ProcessPoolExecutor(1, spawn, initializer=_begin, initargs=arguments)
        for _ in range(options.jobs)
    ]
    try:
        shares = [
            [each.submit(_batch, options.seed, *batch) for batch in batches[i :: options.jobs]]
            for i, each in enumerate(pool)
        ]
        for i in range(len(batches)):
            yield from shares[i % options.jobs][i // options.jobs].result()
    finally:
        for each in pool:
            each.submit(_end, 0)
            each.shutdown(cancel_futures=False)


def replay(folder: Path, untrusted: bool) -> int:
    """Read a case that was kept, and print what is said at each door."""
    record = json.loads((folder / "case.json").read_text())
    names = ("kind", "number", "harm", "target", "columns", "right", "refuse", "vanishes")
    case = Case(**{name: record[name] for name in names})
    with tempfile.TemporaryDirectory() as copy:
        place = Path(shutil.copytree(folder, Path(copy) / "place", symlinks=True))
        before = snapshot(place)
        reader = Reader(untrusted)
        ended, told = reader.read(case, place / "case")
        reader.stop()
        changed = before != snapshot(place)
    verdict = "outside" if changed else judged(case, ended, told)
    print(f"{case.kind} {case.number}, {case.harm}: {verdict} (was {record['verdict']})")
    for door, (way, text) in told.items():
        print(f"  {door}: {way}: {text[:2000]}")
    return verdict in BAD


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=Random().randrange(10**6))
    parser.add_argument("--runs", type=int, default=RUNS, help="run files")
    parser.add_argument("--others", type=int, default=OTHERS, help="tables and observables")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} cases in all")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--untrusted", action="store_true", help="as `heatcap --untrusted` reads")
    parser.add_argument("--keep", type=Path, help="folder for the cases that fail")
    parser.add_argument("--replay", type=Path, help="a case that was kept")
    options = parser.parse_args()
    if options.replay:
        return replay(options.replay, options.untrusted)
    if options.quick:
        options.runs, options.others = QUICK * 4 // 5, QUICK // 5
    started = time.monotonic()
    counts: dict[str, Counter[str]] = {}
    for done, (case, verdict, told) in enumerate(drive(options), start=1):
        counts.setdefault(case.kind, Counter())[verdict] += 1
        if verdict in BAD:
            doors = "; ".join(f"{door}: {way}: {text[:160]}" for door, (way, text) in told.items())
            said(f"{case.kind} {case.number}, {case.harm}: {verdict}: {doors}")
        if done % 500 == 0:
            said(f"{done} cases, {time.monotonic() - started:.0f} s")
    print(f"\nseed {options.seed}, {time.monotonic() - started:.0f} s\n")
    print("| | " + " | ".join(COLUMNS) + " |\n" + "| --- " * (len(COLUMNS) + 1) + "|")
    for kind, count in counts.items():
        print(f"| {kind} | " + " | ".join(str(count[column]) for column in COLUMNS) + " |")
    return any(count[column] for count in counts.values() for column in BAD)


if __name__ == "__main__":
    sys.exit(main())
