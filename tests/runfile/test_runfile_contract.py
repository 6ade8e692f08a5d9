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


def by_the_recorder(path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra 'train'")
    from heatcap_trainer.recorder import Recorder

    logits = (logits_at(step) for step in STEPS)
    with Recorder(
        path,
        torch.nn.Linear(1, 1),
        torch.arange(75).reshape(25, 3),
        capture=lambda: next(logits),
        probe_trained=np.arange(25) % 2,
        queries=[2],
        d_k=32,
        size_name="p",
        size=5,
    ) as recorder:
        for step in STEPS:
            recorder.record(step, train_loss=1.0)


OPEN: list[RunWriter] = []
WRITERS = [from_numpy, from_double_precision, resumed, left_open, by_a_torch_loop, by_the_recorder]

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
        logits = reader.read(slice(0, len(reader.steps)), 0, *whole)[:, np.newaxis].copy()
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
    assert "step = UNLIMITED ; // (" in header
    assert "phony" not in header
    values = {name: _ncdump_values(path, name) for name in ("step", "logits", "probe_trained")}
    logits = values["logits"].reshape(-1, 1, 2, 25, 1, 3)
    return values["step"], logits, float(values["probe_trained"].mean())


READERS = [with_heatcap, with_open_runs, with_blocks, with_xarray, with_h5py, with_ncdump]


@pytest.mark.slow
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
    words = text.replace("\n", " ").replace("Infinityf", "inf").split(",")
    return np.array([float(value) for value in words])


@pytest.fixture(scope="module")
def trained_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    from heatcap_trainer.config import ModelConfig, RecordConfig, RunConfig, StopConfig, TaskConfig
    from heatcap_trainer.train import train

    config = RunConfig(
        task=TaskConfig(p=5, fraction=0.6),
        model=ModelConfig(d_model=8, heads=2, d_mlp=8),
        record=RecordConfig(probe_size=25, checkpoint_every=2, metrics_every=2),
        stop=StopConfig(max_steps=6),
    )
    folder = tmp_path_factory.mktemp("trained")
    train([config], folder)
    return folder / f"{config.name}.h5"


@pytest.mark.parametrize("read", READERS)
def test_the_trainer_with_every_reader(trained_path: Path, read: Callable[[Path], Content]) -> None:
    assert validate_run(trained_path) == []
    steps, logits, trained = read(trained_path)
    with open_run(trained_path) as run:
        assert steps.tolist() == run.step.values.tolist()
        assert len(steps) > 2
        np.testing.assert_allclose(logits, run.logits.values, rtol=1e-6)
        assert trained == pytest.approx(float(run.probe_trained.mean()))
