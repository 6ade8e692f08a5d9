"""Every writer against every reader: the file is the interface."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from heatcap.runfile import LogitReader, RunWriter, open_run, open_runs, validate_run

from runs import create_run, logits_at, write_run

STEPS = [0, 1, 2, 3]

# Writers: each leaves the same four checkpoints in a file.


def from_numpy(path: Path) -> None:
    write_run(path, steps=4)


def from_double_precision(path: Path) -> None:
    with create_run(path) as run:
        for step in STEPS:
            run.append(step, logits_at(step).astype(np.float64))


def resumed(path: Path) -> None:
    write_run(path, steps=3)
    with RunWriter.resume(path, step=1) as run:
        for step in (2, 3):
            run.append(step, logits_at(step))


def left_open(path: Path) -> None:
    """Still being written: the writer lives on while the file is read."""
    run = create_run(path)
    for step in STEPS:
        run.append(step, logits_at(step))
    OPEN.append(run)


def by_a_torch_loop(path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra 'train'")
    with create_run(path) as run:
        for step in STEPS:
            run.append(step, torch.from_numpy(logits_at(step)).numpy())


OPEN: list[RunWriter] = []
WRITERS = [from_numpy, from_double_precision, resumed, left_open, by_a_torch_loop]

# Readers: each gives steps, logits and the fraction of trained inputs.

Content = tuple[Any, Any, float]


def with_heatcap(path: Path) -> Content:
    with open_run(path) as run:
        return run.step.values, run.logits.values, float(run.probe_trained.mean())


def with_open_runs(path: Path) -> Content:
    (run,) = open_runs(path)
    with run:
        return run.step.values, run.logits.values, float(run.probe_trained.mean())


def with_blocks(path: Path) -> Content:
    with LogitReader(path) as reader, open_run(path) as run:
        whole = [slice(0, n) for n in reader.header.shape[2:5]]
        logits = reader.read(slice(0, len(STEPS)), 0, *whole)[:, np.newaxis].copy()
        return run.step.values, logits, float(run.probe_trained.mean())


def with_xarray(path: Path) -> Content:
    with xr.open_dataset(path, engine="h5netcdf") as run:
        assert not [dim for dim in run.dims if str(dim).startswith("phony")]
        assert run.logits.dims == ("step", "layer", "head", "probe", "query", "key")
        return run.step.values, run.logits.values, float(run.probe_trained.mean())


def with_h5py(path: Path) -> Content:
    with h5py.File(path) as h5:
        assert next(dim.label or dim[0].name for dim in h5["logits"].dims) == "/step"
        return h5["step"][...], h5["logits"][...], float(h5["probe_trained"][...].mean())


def with_ncdump(path: Path) -> Content:
    """netCDF's own reader, in C."""
    if shutil.which("ncdump") is None:
        pytest.skip("needs ncdump (Debian: netcdf-bin)")
    header = _ncdump("-h", str(path))
    assert "float logits(step, layer, head, probe, query, key) ;" in header
    assert "step = UNLIMITED ; // (4 currently)" in header
    assert "phony" not in header
    values = {name: _ncdump_values(path, name) for name in ("step", "logits", "probe_trained")}
    logits = values["logits"].reshape(4, 1, 2, 25, 1, 3)
    return values["step"], logits, float(values["probe_trained"].mean())


READERS = [with_heatcap, with_open_runs, with_blocks, with_xarray, with_h5py, with_ncdump]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("write", WRITERS)
def test_every_writer_with_every_reader(
    tmp_path: Path, write: Callable[[Path], None], read: Callable[[Path], Content]
) -> None:
    path = tmp_path / "run.h5"
    try:
        write(path)
        steps, logits, trained = read(path)
        assert validate_run(path) == []
    finally:
        while OPEN:
            OPEN.pop().close()
    assert steps.tolist() == STEPS
    np.testing.assert_allclose(logits, np.stack([logits_at(step) for step in STEPS]), rtol=1e-6)
    assert trained == pytest.approx(12 / 25)


def _ncdump(*arguments: str) -> str:
    done = subprocess.run(["ncdump", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _ncdump_values(path: Path, name: str) -> np.ndarray:
    text = _ncdump("-p", "9", "-v", name, str(path)).split(f"\n {name} =")[1].split(";")[0]
    return np.array([float(value) for value in text.replace("\n", " ").split(",")])
