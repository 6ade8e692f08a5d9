"""Reading runs: lazily, many at once, and files that are wrong in every way."""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
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
    checkpoints_in,
    open_run,
    open_runs,
    read_header,
    validate_run,
)
from heatcap.runfile import contents as contents_module
from heatcap.runfile import reader as reader_module
from heatcap.runfile.journal import journal_path

from runs import as_version_1, create_run, logits_at, seal_a_commit, write_run

MORTAL_WRITER = Path(__file__).with_name("mortal_writer.py")


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
    as_version_1(path)
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


def _array_for_format(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        h5.attrs["format"] = np.arange(3)


def _text_for_seed(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        h5.attrs["seed"] = "zero"


def _text_for_size(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        h5.attrs["size"] = "large"


def _nested_parameter(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        h5.attrs["parameters"] = '{"p": {"q": 1}}'


def _short_metric(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        h5["test_loss"].resize(2, axis=0)


BAD: list[tuple[Callable[[Path], None], str]] = [
    (_empty, "is empty, expected a run file"),
    (_text, "is not HDF5, expected a run file"),
    (_truncated, "is truncated, expected a run file"),
    (_foreign, "expected the attribute format = 'heatcap-run', got None"),
    (_newer, "format_version 99, this heatcap reads versions up to 2"),
    (_without_logits, "the variable 'logits' is missing"),
    (_group_for_logits, "the variable 'logits' is missing"),
    (_scalar_for_step, "the variable 'step' must have 1 dimension"),
    (_without_attribute, "attribute is missing: .*seed"),
    (_half_precision, r"logits must be float32 \(IEEE\), got float16"),
    (_step_lost, r"'logits' has shape \(5, 1, 2, 25, 1, 3\), expected \(3, 1, 2, 25, 1, 3\)"),
    (_parameters_are_a_list, "'parameters' must be a JSON object"),
    (_array_for_format, "expected the attribute format = 'heatcap-run', got array"),
    (_text_for_seed, "the attribute 'seed' must be an integer, got 'zero'"),
    (_text_for_size, "the attribute 'size' must be a number, got 'large'"),
    (_nested_parameter, "the parameter 'p' must be a number, text or true/false, got dict"),
    (_short_metric, r"'test_loss' has shape \(2,\), expected \(5,\)"),
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
    as_version_1(run_path)
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


def test_validate_lists_the_first_problems_and_counts_the_others(run_path: Path) -> None:
    as_version_1(run_path)
    with h5py.File(run_path, "r+") as h5:
        h5["logits"].resize(30, axis=0)  # what is added reads as zero
        h5["logits"][:, 0, :, 3, 0, 0] = np.nan
        h5["step"].resize(30, axis=0)
        h5["step"][...] = np.arange(30)
    problems = validate_run(run_path)
    assert len(problems) == 21
    assert problems[-1] == "and 40 more"


def test_validate_points_out_what_looks_like_a_mask(run_path: Path) -> None:
    masked, logit = logits_at(5), logits_at(6)
    masked[0, 1, 7, 0, 2] = -1e4
    logit[0, 1, 7, 0, 2] = -4000.0
    with heatcap.RunWriter.resume(run_path) as run:
        run.append(5, masked)  # the writer cannot tell it from a logit
        run.append(6, logit)
    (problem,) = validate_run(run_path)
    assert problem.startswith("step 5, layer 0, head 1: 1 queries have a finite logit 1e+04 below")
    assert "an absent key is -inf" in problem


@pytest.mark.parametrize("chunks", [None, (1, 1, 1, 10, 4, 3), (1, 1, 2, 7, 3, 3)])
def test_validate_reads_all_once_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: tuple[int, ...] | None
) -> None:
    path = tmp_path / "run.h5"
    write_run(path, steps=2, queries=[0, 1, 2, 3])
    as_version_1(path)
    with h5py.File(path, "r+") as h5:
        values = h5["logits"][...]
        values[1, 0, 1, 24, 3, 0] = np.nan
        del h5["logits"]
        h5.create_dataset("logits", data=values, chunks=chunks)
    monkeypatch.setattr(reader_module, "_BLOCK_BYTES", 500)
    seen = np.zeros((2, 1, 2, 25, 4), int)
    real = LogitReader.read

    def read(self: LogitReader, *block: slice) -> np.ndarray:
        seen[block] += 1
        values = real(self, *block)
        assert values.nbytes <= max(500, 4 * 3 * int(np.prod(self.chunk)))
        return values

    monkeypatch.setattr(LogitReader, "read", read)
    (problem,) = validate_run(path)
    assert (seen == 1).all()
    assert problem.startswith("step 1, layer 0, head 1, probe ")


def test_a_chunk_of_storage_without_chunks_is_a_row(run_path: Path) -> None:
    with h5py.File(run_path, "r+") as h5:
        values = h5["logits"][...]
        del h5["logits"]
        h5["logits"] = values
    with LogitReader(run_path) as logits:
        assert logits.chunk == (1, 1, 1)


def test_one_file_under_two_spellings_counts_once(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run_path.parent)
    assert len(heatcap.runfile.find_runs([run_path, "run.h5", "."])) == 1
    assert len(open_runs(["run.h5", run_path])) == 1


def test_attributes_as_netcdf_writes_them(run_path: Path) -> None:
    """Scalars as arrays of one, text as bytes."""
    expected = read_header(run_path)
    with h5py.File(run_path, "r+") as h5:
        for name in ("format_version", "seed", "size", "probe_population"):
            h5.attrs[name] = np.array([h5.attrs[name]])
        h5.attrs["format"] = np.bytes_(h5.attrs["format"])
    assert read_header(run_path) == expected


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EROFS])
def test_reading_needs_no_lock(run_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Where nothing can be locked, as on some network disks, a sealed journal is read the same."""
    seal_a_commit(run_path)

    def lock(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", lock)
    monkeypatch.setattr(fcntl, "fcntl", lock)
    assert read_header(run_path).checkpoints == 6


@pytest.mark.parametrize("error", [OSError, RuntimeError, KeyError, TypeError, ValueError])
def test_whatever_hdf5_raises_names_the_file(
    run_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise error("from below")

    monkeypatch.setattr(contents_module, "_checked_extents", fail)
    with pytest.raises(RunFileError, match=r"run.h5: cannot be read.*from below"):
        read_header(run_path)


def test_reading_works_where_there_is_no_fcntl(run_path: Path) -> None:
    program = (
        "import sys; sys.modules['fcntl'] = None\n"
        "from heatcap.runfile import LogitReader\n"
        "with LogitReader(sys.argv[1]) as logits: print(logits.header.checkpoints)"
    )
    journal_path(run_path).write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-c", program, str(run_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "5\n", done.stderr


def test_readers_beside_a_fast_writer(tmp_path: Path) -> None:
    """Header, steps and the last logits belong together, while commits follow without a pause."""
    path = tmp_path / "run.h5"
    with create_run(path) as run:
        run.append(0, logits_at(0))
    program = f"import sys; sys.argv[0] = {str(MORTAL_WRITER)!r}\n" + (
        f"sys.path.insert(0, {str(MORTAL_WRITER.parent)!r})\n"
        "from mortal_writer import write_for_ever\n"
        "write_for_ever(sys.argv[1], lambda step: print(step, flush=True))"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None
        writer.stdout.readline()  # it is writing now
        good = sum(_reads_the_last(path) for _ in range(50))
        assert writer.poll() is None
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    assert good >= 45
    assert read_header(path).checkpoints > 2


def _reads_the_last(path: Path) -> bool:
    try:
        least = read_header(path).checkpoints
        with LogitReader(path) as logits:
            count = logits.header.checkpoints
            last = slice(count - 1, count)
            block = logits.read(last, 0, slice(0, 2), slice(0, 25), slice(0, 1))
    except RunFileError:
        return False
    assert count >= least
    assert logits.steps.tolist() == list(range(count))
    np.testing.assert_array_equal(block[0], logits_at(count - 1)[0])
    return True


def test_validate_wants_checkpoints_and_fractions(tmp_path: Path) -> None:
    with create_run(tmp_path / "run.h5") as run:
        with pytest.raises(RunFileError, match="at step 0, train_accuracy holds 55, expected frac"):
            run.log(0, train_accuracy=55.0)
        run.log(0, train_accuracy=0.55)
    assert validate_run(tmp_path / "run.h5") == ["holds no checkpoint"]


def test_checkpoints_are_spoken_of_only_where_no_run_file_is(tmp_path: Path) -> None:
    (tmp_path / "step_10.pt").write_bytes(b"")
    with pytest.raises(RunFileError, match=r"step_10.pt looks like a checkpoint of weights: see"):
        open_runs(tmp_path)
    with pytest.raises(RunFileError, match=r"step_10.pt looks like a checkpoint of weights: see"):
        open_runs(tmp_path / "step_10.pt")
    (tmp_path / "run.h5").write_bytes(b"")
    with pytest.raises(RunFileError, match=r"run.h5: is empty, expected a run file$"):
        open_runs(tmp_path)


def test_the_search_for_checkpoints_ends_at_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files(*_: object) -> Iterator[Path]:
        yield tmp_path / "step_10.pt"
        raise AssertionError("read on")

    monkeypatch.setattr(Path, "rglob", files)
    assert "step_10.pt looks like" in checkpoints_in(tmp_path)


def test_a_damaged_copy_does_not_displace_its_run(tmp_path: Path) -> None:
    """Which of two files of one run is read is not decided by their names."""
    path = write_run(tmp_path / "run.h5")
    content = bytearray(path.read_bytes())
    at = content.index(logits_at(3).tobytes()[:40])
    content[at] ^= 1
    (tmp_path / "copy.h5").write_bytes(content)
    with pytest.warns(UserWarning, match=r"left out: .*copy.h5: has the run_id 'run' of .*run.h5"):
        runs = open_runs(tmp_path)
    assert runs.paths == (path,)


@pytest.mark.parametrize("untrusted", [False, True])
def test_a_run_that_is_in_doubt_is_not_displaced_by_a_damaged_copy(
    tmp_path: Path, untrusted: bool
) -> None:
    """What `observe` warns of, a mask and the journal of another run, is no damage."""
    logits = np.float32(logits_at(0))
    logits[..., 0] = -9876.5
    with create_run(tmp_path / "run.h5") as run:
        run.append(0, logits)
    content = bytearray((tmp_path / "run.h5").read_bytes())
    (tmp_path / "run.h5").rename(tmp_path / "b.h5")
    (tmp_path / "b.h5.journal").write_text("notes")
    content[content.index(logits.tobytes())] ^= 1
    (tmp_path / "a.h5").write_bytes(content)
    with (
        pytest.warns(UserWarning, match="b.h5.journal: is no journal"),
        pytest.warns(UserWarning, match=r"left out: .*a.h5: has the run_id 'run' of .*b.h5 too"),
    ):
        assert open_runs(tmp_path, untrusted=untrusted).paths == (tmp_path / "b.h5",)


def test_a_run_is_not_displaced_by_one_of_another_name(tmp_path: Path) -> None:
    """Whoever writes a file can give it any run_id."""
    write_run(tmp_path / "run.h5").rename(tmp_path / "a.h5")
    write_run(tmp_path / "run.h5", steps=3)
    with pytest.warns(UserWarning, match=r"left out: .*a.h5: has the run_id 'run' of .*run.h5 too"):
        assert open_runs(tmp_path).paths == (tmp_path / "run.h5",)
