"""One bad file costs itself alone: what is said of good files does not depend on it."""

from __future__ import annotations

import os
import random
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import mutants
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from mutants import HARMLESS, IN_FILE, IN_FOLDER, JOURNALS
from typer.testing import CliRunner

import heatcap
from heatcap.cli import app
from heatcap.runfile import reader as reader_module

from runs import seal_a_commit, write_run

COLUMNS = "step=epoch,train_accuracy=acc,test_accuracy=val,observable=cv"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset, str]:
    """Two good runs in a folder, their observables, and what `info` says of them."""
    folder = tmp_path_factory.mktemp("good")
    for seed in (0, 1):
        write_run(folder / f"good{seed}.h5", seed=seed, parameters={"p": 5, "seed": seed})
    table = heatcap.observe(folder)
    return folder, table, told("info", folder)[0]


def told(command: str, *arguments: object) -> tuple[str, str]:
    """What a command prints, and what it complains of."""
    done = CliRunner().invoke(app, [command, *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.stdout, done.stderr


def beside(good: Path, folder: Path) -> Path:
    """The good files again, in a folder of their own, and a third one that goes bad."""
    for path in sorted(good.glob("*.h5")):
        os.link(path, folder / path.name)
    return write_run(folder / "bad.h5", seed=2, parameters={"p": 5, "seed": 2})


def check(good: tuple[Path, xr.Dataset, str], bad: Path, *, named: bool = True) -> None:
    """Every way to read the folder gives what it gives without the bad file, and names that."""
    _, expected, info = good
    folder = bad.parent
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is in `problems`
        runs = heatcap.open_runs(folder)
        table = heatcap.observe(runs)
    here = [header for header in runs.headers if header.run_id != "bad"]
    assert [header.run_id for header in here] == ["good0", "good1"]
    rows = expected.run.values.tolist()
    same = [name for name in expected.variables if name != "path"]
    xr.testing.assert_identical(table.sel(run=rows)[same].drop_attrs(), expected[same].drop_attrs())
    said, complaints = told("info", folder)
    assert _rows(info) == [row for row in _rows(said) if not row.startswith("bad")]
    checked, more = told("validate", folder)
    for name in ("good0.h5", "good1.h5"):
        assert f"{name}: ok" in checked.replace("\n", "")
    if named:
        assert rows == table.run.values.tolist()
        assert bad.name in table.attrs["problems"]
        assert f"{bad.name}: ok" not in checked
        assert bad.name in checked + more
        assert bad.name in complaints or len(runs) == 3


def _rows(text: str) -> list[str]:
    """Rows of a table without its header and spacing, which all of its rows set."""
    return [" ".join(line.split()) for line in text.splitlines()[1:]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in IN_FILE if kind not in HARMLESS])
def test_a_file_that_lies(kind: str, good: tuple[Path, xr.Dataset, str], tmp_path: Path) -> None:
    bad = beside(good[0], tmp_path)
    with h5py.File(bad, "r+") as h5:
        IN_FILE[kind](h5, random.Random(kind))
    check(good, bad)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in IN_FOLDER if kind not in HARMLESS])
def test_what_is_no_file(kind: str, good: tuple[Path, xr.Dataset, str], tmp_path: Path) -> None:
    bad = beside(good[0], tmp_path)
    IN_FOLDER[kind](bad, random.Random(kind))
    if kind == "missing":
        bad.symlink_to("nothing")
    check(good, bad)


@pytest.mark.slow
@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("kind", JOURNALS)
def test_a_journal_that_lies(
    kind: str, sealed: bool, good: tuple[Path, xr.Dataset, str], tmp_path: Path
) -> None:
    folder, aside = tmp_path / "case", tmp_path / "beside"
    folder.mkdir()
    aside.mkdir()
    bad = beside(good[0], folder)
    (aside / "precious.bin").write_bytes(b"precious" * 999)
    content = b"heatcap-journal1" * 9
    if sealed:  # of a file that has gone on since
        seal_a_commit(write_run(aside / "other.h5"))
        content = (aside / "other.h5.journal").read_bytes()
    JOURNALS[kind](bad.with_name("bad.h5.journal"), content, random.Random(kind))
    check(good, bad, named=False)
    assert (aside / "precious.bin").read_bytes() == b"precious" * 999


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_damaged_bytes(seed: int, good: tuple[Path, xr.Dataset, str], tmp_path: Path) -> None:
    bad = beside(good[0], tmp_path)
    bad.write_bytes(bad.read_bytes()[: -5000 - seed])
    check(good, bad)
    at = random.Random(seed).randrange(3000)
    again = write_run(bad, overwrite=True, seed=2, parameters={"p": 5, "seed": 2})
    with h5py.File(again, "r") as h5:
        offset = h5["logits"].id.get_chunk_info(0).byte_offset
    content = bytearray(bad.read_bytes())
    content[offset + at % 600] ^= 1 << seed
    bad.write_bytes(content)
    check(good, bad)


@contextmanager
def unprivileged() -> Iterator[None]:
    """As somebody to whom permissions apply."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may search, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("kind", ["file", "folder", "folder called like a file"])
def test_permission_denied(kind: str, good: tuple[Path, xr.Dataset, str], public: Path) -> None:
    bad = beside(good[0], public)
    for path in public.glob("good*"):
        path.chmod(0o644)
    if kind != "file":
        bad.unlink()
        bad = bad if "file" in kind else bad.with_suffix("")
        bad.mkdir()
        write_run(bad / "inside.h5")
    bad.chmod(0)
    try:
        with unprivileged():
            check(good, bad)
    finally:
        bad.chmod(0o755)


def test_a_file_that_vanishes(
    good: tuple[Path, xr.Dataset, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the search and the header, and between the header and the logits."""
    bad = beside(good[0], tmp_path)
    runs = heatcap.open_runs(tmp_path)
    bad.unlink()
    with pytest.warns(UserWarning, match=r"left out: .*bad.h5: .*[Nn]o such file"):
        table = heatcap.observe(runs)
    assert table.run.values.tolist() == ["good0", "good1"]
    found = reader_module.find_runs(tmp_path)
    monkeypatch.setattr(reader_module, "find_runs", lambda _: [*found, bad])
    with pytest.warns(UserWarning, match=r"left out: .*bad.h5: .*[Nn]o such file"):
        assert len(heatcap.open_runs(tmp_path)) == 2


def _curves(path: Path, seed: int) -> Path:
    steps = np.unique(np.geomspace(1, 1000, 60).astype(int))
    peak = np.exp(-(np.log(steps / (150 + 50 * seed)) ** 2))
    columns = {"epoch": steps, "acc": np.minimum(1, steps / 50), "val": np.minimum(1, steps / 600)}
    pd.DataFrame(columns | {"cv": peak}).to_csv(path, index=False)
    return path


BAD_TABLES = {
    "cells": lambda path: path.write_text("epoch,acc,val,cv\n1,x,y,z\n"),
    "columns": lambda path: path.write_text("epoch,acc\n1,1\n"),
    "no text": lambda path: path.write_bytes(b"\x89PNG\xff\xfe"),
    "empty": lambda path: path.write_bytes(b""),
    "NUL": lambda path: path.write_bytes(b"epoch,acc,val,cv\n1,1,1,\0\n"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
    "missing": lambda path: path.unlink(),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "wide": lambda path: path.write_bytes(b"1," * 100_000),
}


@pytest.fixture(scope="module")
def good_tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], str]:
    """Two tables of scalars, and their events."""
    folder = tmp_path_factory.mktemp("tables")
    tables = [_curves(folder / f"{name}.csv", i) for i, name in enumerate("ab")]
    told("events", *tables, "--columns", COLUMNS, "-o", folder / "events.csv")
    return tables, (folder / "events.csv").read_text()


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_a_table_among_others(
    kind: str, good_tables: tuple[list[Path], str], tmp_path: Path
) -> None:
    """Events are those of the good tables, and the bad one is named."""
    tables, expected = good_tables
    bad, csv = _curves(tmp_path / "bad.csv", 2), tmp_path / "events.csv"
    BAD_TABLES[kind](bad)
    said = told("events", *tables, bad, "--columns", COLUMNS, "-o", csv)
    assert csv.read_text() == expected
    assert "bad.csv" in said[1]


@pytest.mark.slow
def test_a_page_of_tables(good_tables: tuple[list[Path], str], tmp_path: Path) -> None:
    """The page says of good tables what it says without the bad one, and names that."""
    fifo, page = tmp_path / "bad.csv", tmp_path / "page.html"
    os.mkfifo(fifo)
    said, complaints = told("report", *good_tables[0], fifo, "--columns", COLUMNS, "-o", page)
    alone, _ = told("report", *good_tables[0], "--columns", COLUMNS, "-o", tmp_path / "good.html")
    answers = alone.split("warning:")[0].splitlines()[1:]
    assert len(answers) > 2
    assert said.splitlines()[1:][: len(answers)] == answers
    assert "bad.csv" in complaints
    assert "bad.csv" in page.read_text()


@pytest.mark.slow
def test_observables_among_others(tmp_path: Path) -> None:
    """A page of the good files, which names the bad one."""
    good = _curves(tmp_path / "a.csv", 0)
    table = heatcap.read_scalars(good, COLUMNS)
    heatcap.save(table, tmp_path / "a.nc")
    heatcap.save(table.assign_coords(run=["b"]), tmp_path / "b.nc")
    content = bytearray((tmp_path / "b.nc").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "bad.nc").write_bytes(content)
    names, page = ("a.nc", "b.nc", "bad.nc"), tmp_path / "page.html"
    said, complaints = told("report", *(tmp_path / name for name in names), "-o", page)
    assert "bad.nc: cannot be read as NetCDF (it is damaged" in complaints
    assert "2 runs" in said
    assert "bad.nc" in page.read_text()


def test_a_mutant_is_what_its_seed_says(tmp_path: Path) -> None:
    """A case of the fuzzer can be made again."""
    content = mutants.write_run(tmp_path / "run.h5").read_bytes()
    draws = [[mutants.change_bytes(content, random.Random(i)) for i in range(30)] for _ in range(2)]
    assert draws[0] == draws[1]
    assert sum(changed == content for _, changed in draws[0]) < 10
