"""`heatcap order`: columns and series in, a verdict with its evidence out."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

from heatcap.cli import app
from heatcap.systems import Ising1D, Potts


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["order", *map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@functools.cache
def energies() -> xr.Dataset:
    system, sizes = Potts(10), [8, 12, 16, 20]
    controls = {L: [system.critical_point * (1 + 0.8 / L**2)] for L in sizes}
    return system.series(sizes, controls, replicates=16, sweeps=6000, rng=1)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    path = tmp_path / "series.nc"
    energies().to_netcdf(path, engine="h5netcdf")
    return path


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    table = Ising1D().exact([8, 16, 32, 64], np.linspace(0.2, 1.2, 15))
    value = table["heat_capacity"].to_numpy()
    value = value + 0.005 * np.random.default_rng(0).normal(size=value.size)
    columns = {"L": table["size"], "T": table["control"], "c": value, "dc": 0.005}
    path = tmp_path / "ring.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_a_series_is_enough(series: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "out.json", tmp_path / "out.pdf"
    status, text, _ = run("--series", series, "--json", out, "--figure", picture)
    assert status == 0
    assert "verdict: first order" in text
    assert "energy histogram: growth of the barrier with L^(d-1)" in text
    content = json.loads(out.read_text())
    assert content["verdict"] == "first order"
    assert {each["test"] for each in content["evidence"]} == {
        "energy histogram",
        "heat-capacity peaks",
    }
    assert content["results"]["barriers"]["status"] == ["double"] * 4
    assert content["inputs"]
    assert picture.stat().st_size > 1000
    assert picture.with_suffix(".png").is_file()


def test_columns_of_a_table(ring: Path) -> None:
    columns = ("--size", "L", "--control", "T", "--heat-capacity", "c")
    status, text, _ = run(ring, *columns, "--heat-capacity-error", "dc")
    assert status == 0  # that nothing can be said is an answer
    assert "verdict: undecided" in text
    assert "excludes first order" in text


def test_what_is_wrong_is_said(ring: Path, series: Path, tmp_path: Path) -> None:
    assert run()[0] == 2
    assert run("--binder", "U")[0] == 2
    assert run(ring)[0] == 2
    assert run(ring, "--heat-capacity", "c", "--figure", tmp_path / "f.pdf")[0] == 2
    columns = ("--size", "L", "--control", "T", "--heat-capacity", "c")
    status, _, said = run(ring, *columns, "--heat-capacity-error", "c_error")
    assert status == 1
    assert "no column 'c_error'" in said
    status, _, said = run("--series", series, "--json", series)
    assert status == 1
    assert "is an input" in said
    energies().drop_vars("sites").to_netcdf(tmp_path / "bad.nc", engine="h5netcdf")
    status, _, said = run("--series", tmp_path / "bad.nc")
    assert status == 1
    assert "a series must have coordinates sites" in said
