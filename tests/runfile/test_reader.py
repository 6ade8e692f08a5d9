"""Reading runs: lazily, many at once, and files that are wrong in every way."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heatcap
from heatcap.runfile import (
    LogitReader,
    RunFileError,
    Runs,
    open_run,
    open_runs,
    read_header,
    validate_run,
)

from runs import create_run, logits_at, write_run


def test_open_run_is_lazy(run_path: Path) -> None:
    with open_run(run_path) as run:
        assert not run.logits.variable._in_memory
        assert run.logits.dims == ("step", "layer", "head", "probe", "query", "key")
        assert run.logits.dtype == np.float32


def test_blocks_are_slices_of_the_logits(run_path: Path) -> None:
    with LogitReader(run_path) as logits:
        block = logits.read(slice(3, 4), 0, slice(1, 2), slice(5, 17), slice(0, 1))
        np.testing.assert_array_equal(block[0], logits_at(3)[0, 1:2, 5:17])
        again = logits.read(slice(1, 3), 0, slice(0, 2), slice(0, 3), slice(0, 1))
        np.testing.assert_array_equal(again[0], logits_at(1)[0, :, :3])
        np.testing.assert_array_equal(again[1], logits_at(2)[0, :, :3])
        assert np.shares_memory(block, again)


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize(
    "chunks", [None, (1, 1, 2, 5, 2, 3), (1, 1, 1, 10, 4, 3), (2, 1, 2, 20, 4, 3)]
)
def test_blocks_of_every_storage(
    tmp_path: Path, chunks: tuple[int, ...] | None, compression: str | None
) -> None:
    """Whole chunks are read past HDF5, everything else through it; the values are the same."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(4, 2, 2, 20, 4, 3)).astype(np.float32)
    path = tmp_path / "run.h5"
    write_run(path, steps=0, layers=2, queries=[0, 1, 2, 3], probe_input=np.arange(20)[:, None],
              probe_trained=np.zeros(20), probe_mirror_trained=None)  # fmt: skip
    with h5py.File(path, "r+") as h5:
        del h5["logits"]
        layout = {"chunks": chunks, "compression": compression} if chunks else {}
        h5.create_dataset("logits", data=values, **layout)
        h5["step"].resize(4, axis=0)
        h5["step"][...] = np.arange(4)
    with LogitReader(path) as logits:
        for _ in range(60):
            parts = [_part(rng, extent) for extent in (4, 2, 20, 4)]
            layer = int(rng.integers(2))
            expected = values[parts[0], layer, parts[1], parts[2], parts[3]]
            np.testing.assert_array_equal(logits.read(parts[0], layer, *parts[1:]), expected)


def _part(rng: np.random.Generator, extent: int) -> slice:
    """A range; whole, aligned and crooked ones alike."""
    step = int(rng.choice([1, 5, extent]))
    start, stop = sorted(rng.choice(extent // min(step, extent) + 1, 2, replace=False))
    return slice(int(start) * min(step, extent), int(stop) * min(step, extent))


def test_a_block_that_ends_with_the_file(run_path: Path) -> None:
    """A file cut behind the reader's back is an error, not a block of leftovers."""
    with LogitReader(run_path) as logits:
        run_path.write_bytes(run_path.read_bytes()[:3000])
        with pytest.raises(RunFileError, match=r"run.h5: ends within its logits, it is truncated"):
            logits.read(slice(0, 5), 0, slice(0, 2), slice(0, 25), slice(0, 1))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("step,loss\n0,1\n")


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def _foreign(path: Path) -> None:
    with h5py.File(path, "w") as h5:
        h5["x"] = 1


def _newer(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        h5.attrs["format_version"] = 99


def _without_logits(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        del h5["logits"]


def _without_attribute(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        del h5.attrs["seed"]


def _group_for_logits(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        del h5["logits"]
        h5.create_group("logits")


def _scalar_for_step(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        del h5["step"]
        h5["step"] = 1


def _half_precision(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        half = h5["logits"][...].astype(np.float16)
        del h5["logits"]
        h5["logits"] = half


def _step_lost(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        h5["step"].resize(3, axis=0)


def _parameters_are_a_list(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        h5.attrs["parameters"] = "[1, 2]"


BAD: list[tuple[Callable[[Path], None], str]] = [
    (_empty, "is empty, expected a run file"),
    (_text, "is not HDF5, expected a run file"),
    (_truncated, "is truncated, expected a run file"),
    (_foreign, "expected the attribute format = 'heatcap-run', got None"),
    (_newer, "format_version 99, this heatcap reads versions up to 1"),
    (_without_logits, "the variable 'logits' is missing"),
    (_group_for_logits, "the variable 'logits' is missing"),
    (_scalar_for_step, "the variable 'step' must have 1 dimension"),
    (_without_attribute, "attribute is missing: .*seed"),
    (_half_precision, "logits must be float32, got float16"),
    (_step_lost, r"'logits' has shape \(5, 1, 2, 25, 1, 3\), expected \(3, 1, 2, 25, 1, 3\)"),
    (_parameters_are_a_list, "'parameters' must be a JSON object"),
]


@pytest.mark.parametrize(("harm", "message"), BAD, ids=lambda part: getattr(part, "__name__", ""))
def test_a_bad_file_says_what_was_expected(
    run_path: Path, harm: Callable[[Path], None], message: str
) -> None:
    harm(run_path)
    for read in (open_run, read_header, open_runs, validate_run, heatcap.observe):
        with pytest.raises(RunFileError, match=f"run.h5: .*{message}"):
            read(run_path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match=r"gone.h5: no such file, expected a run file"):
        open_run(tmp_path / "gone.h5")
    with pytest.raises(RunFileError, match=r"no run file to open in .*: no file \*.h5"):
        open_runs(tmp_path)


@functools.cache
def _intact() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_run(Path(folder) / "run.h5", steps=2).read_bytes()


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 40_000), flips=st.lists(st.integers(0, 40_000), max_size=8))
def test_no_damage_escapes_as_another_error(cut: int, flips: list[int]) -> None:
    """Bytes changed or cut anywhere: a RunFileError, or a file that still reads."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.h5"
        content = bytearray(_intact())
        for flip in flips:
            content[flip % len(content)] ^= 0xFF
        path.write_bytes(content[: len(content) - cut % len(content)])
        try:
            assert read_header(path).sizes["key"] > 0
        except RunFileError as error:
            assert str(path) in str(error)  # noqa: PT017 (either outcome is right)


@pytest.mark.filterwarnings("ignore:left out")
def test_one_bad_file_does_not_lose_the_others(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / f"seed{seed}.h5", seed=seed, parameters={"p": 5, "seed": seed})
    _text(tmp_path / "seed1.h5")
    with pytest.warns(UserWarning, match=r"left out: .*seed1.h5: is not HDF5"):
        runs = open_runs(tmp_path)
    assert [header.run_id for header in runs.headers] == ["seed0", "seed2"]
    assert len(runs.problems) == 1
    obs = heatcap.observe(runs)
    assert obs.run.values.tolist() == ["seed0", "seed2"]
    assert "seed1.h5" in obs.attrs["problems"]


def test_the_same_run_twice_is_reported(tmp_path: Path) -> None:
    write_run(tmp_path / "run.h5")
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "run.h5", tmp_path / "copy")
    with pytest.warns(UserWarning, match="has the run_id 'run' of .* too"):
        assert len(open_runs(tmp_path)) == 1


def test_the_collection_knows_its_sweep(tmp_path: Path) -> None:
    for p, seed in [(5, 0), (5, 1), (7, 0)]:
        parameters = {"p": p, "seed": seed, "task": "addition", "weight_decay": 1.0}
        write_run(tmp_path / f"p{p}_{seed}.h5", parameters=parameters, seed=seed)
    write_run(tmp_path / "other.h5", parameters={"task": "recall", "pairs": 8}, reason="")
    runs = open_runs([tmp_path / "p5_0.h5", tmp_path])  # a file named twice counts once
    assert isinstance(runs, Runs)
    assert len(runs) == 4
    table = runs.table
    assert table.run.values.tolist() == ["p5_0", "other", "p5_1", "p7_0"]
    np.testing.assert_array_equal(table.p, [5, np.nan, 5, 7])
    assert table.task.values.tolist() == ["addition", "recall", "addition", "addition"]
    assert table.complete.values.tolist() == [True, False, True, True]
    assert [h.run_id for h in runs.select(p=5).headers] == ["p5_0", "p5_1"]
    assert len(runs[1:3]) == 2
    with runs[0] as run:
        assert run.attrs["run_id"] == "p5_0"
    assert "4 runs; 3 p" in repr(runs)


def test_five_hundred_headers_cost_as_many_opens(tmp_path: Path) -> None:
    """The collection reads headers, not arrays: bytes read do not grow with the logits."""
    path = write_run(tmp_path / "run.h5", steps=40)
    small = _bytes_read(lambda: read_header(path))
    with heatcap.RunWriter.resume(path) as run:
        for step in range(40, 240):
            run.append(step, logits_at(step))
    assert path.stat().st_size > 4 * 25_000
    assert _bytes_read(lambda: read_header(path)) < small + 25_000


def _bytes_read(call: Callable[[], object]) -> int:
    def count() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    if not Path("/proc/self/io").exists():
        pytest.skip("needs /proc/self/io to count what is read")
    before = count()
    call()
    return count() - before


def test_validate_finds_what_a_header_cannot_show(run_path: Path) -> None:
    assert validate_run(run_path) == []
    with h5py.File(run_path, "r+") as h5:
        h5["logits"][2, 0, 1, 3, 0, 0] = np.nan
        h5["logits"][4, 0, 0, 3, 0, 0] = -1e10
        h5["step"][1] = 0
        h5["probe_trained"][0] = 7
        h5["probe_input"][0] = h5["probe_input"][1]
    problems = "; ".join(validate_run(run_path))
    for expected in (
        "step 2, layer 0, head 1: 1 values are NaN",
        "step 4, layer 0, head 0: a finite value of magnitude 1e+10",
        "step does not grow",
        "probe_trained holds values other than 0, 1 and -1",
        "probe_input holds an input twice",
    ):
        assert expected in problems


def test_a_run_of_no_checkpoint_opens(tmp_path: Path) -> None:
    create_run(tmp_path / "run.h5").close()
    with open_run(tmp_path / "run.h5") as run:
        assert run.sizes["step"] == 0
    with pytest.raises(RunFileError, match=r"run.h5: holds no checkpoint yet"):
        heatcap.observe(tmp_path)
