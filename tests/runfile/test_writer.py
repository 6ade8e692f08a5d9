"""What RunWriter promises: atomic appends, resuming, and errors that name what is wrong."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from heatcap.runfile import (
    LogitReader,
    RunFileError,
    RunWriter,
    open_run,
    read_header,
    validate_run,
)
from heatcap.runfile import journal as journal_module
from heatcap.runfile import writer as writer_module
from heatcap.runfile.journal import journal_path

from runs import create_run, logits_at, seal_a_commit, write_run


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5", steps=4)
    with open_run(path) as run:
        for step in range(4):
            np.testing.assert_array_equal(run.logits.sel(step=step), logits_at(step))
        np.testing.assert_allclose(run.train_loss, [1, 1 / 2, 1 / 3, 1 / 4])
        assert np.isnan(run.weight_norm).all()  # announced but never logged
        assert run.attrs["stop_reason"] == "step limit"
        assert run.attrs["finished"] >= run.attrs["started"]


def test_absent_keys_stay_absent(tmp_path: Path) -> None:
    logits = logits_at(0)
    logits[..., 1] = -np.inf
    with create_run(tmp_path / "run.h5") as run:
        run.append(0, logits)
    with open_run(tmp_path / "run.h5") as run:
        assert np.isneginf(run.logits[..., 1]).all()
        assert np.isfinite(run.logits[..., 0]).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "1 values are NaN; an absent key is -inf"),
        (np.inf, "some values are"),
        (-1e10, "a masked key must be -inf"),
        (np.finfo(np.float16).min, "a masked key must be -inf"),
    ],
)
def test_impossible_logits_are_refused_and_lose_nothing(
    run_path: Path, value: float, message: str
) -> None:
    bad = logits_at(9)
    bad[0, 1, 7, 0, 2] = value
    with RunWriter.resume(run_path) as run:
        with pytest.raises(RunFileError, match=f"logits at step 9: .*{message}"):
            run.append(9, bad)
        run.append(10, logits_at(10))
    with open_run(run_path) as run:
        assert run.step.values.tolist() == [0, 1, 2, 3, 4, 10]
    assert validate_run(run_path) == []


def test_a_query_without_a_key_is_refused(run_path: Path) -> None:
    bad = logits_at(9)
    bad[0, 0, 3] = -np.inf
    with (
        RunWriter.resume(run_path) as run,
        pytest.raises(RunFileError, match="1 queries have no visible key"),
    ):
        run.append(9, bad)


def test_steps_grow(run_path: Path) -> None:
    with RunWriter.resume(run_path) as run:
        with pytest.raises(RunFileError, match="checkpoint at step 4, expected a step after 4"):
            run.append(4, logits_at(4))
        with pytest.raises(RunFileError, match="metrics at step 2, expected a step after 4"):
            run.log(2, train_loss=0.0)
        with pytest.raises(RunFileError, match="unknown metric 'trian_loss'"):
            run.log(7, trian_loss=0.0)
        with pytest.raises(RunFileError, match=r"expected shape \(1, 2, 25, 1, 3\)"):
            run.append(7, np.zeros((1, 2, 25, 3)))


def test_resume_neither_repeats_nor_skips(run_path: Path) -> None:
    with RunWriter.resume(run_path, step=2) as run:
        assert run.last_step == 2
        for step in (3, 4, 5):
            run.log(step, train_loss=-1.0)
            run.append(step, logits_at(step))
    with open_run(run_path) as run:
        assert run.step.values.tolist() == run.metric_step.values.tolist() == [0, 1, 2, 3, 4, 5]
        np.testing.assert_array_equal(run.logits.sel(step=3), logits_at(3))
        np.testing.assert_allclose(run.train_loss, [1, 1 / 2, 1 / 3, -1, -1, -1])
        assert run.attrs["stop_reason"] == ""


def test_resume_wants_a_recorded_step(run_path: Path) -> None:
    with pytest.raises(RunFileError, match=r"cannot resume after step 7.*the last is 4"):
        RunWriter.resume(run_path, step=7)
    assert read_header(run_path).complete  # the failed attempt changed nothing


def test_one_writer_at_a_time(run_path: Path) -> None:
    with (
        RunWriter.resume(run_path),
        pytest.raises(RunFileError, match="another process is writing this run"),
    ):
        RunWriter.resume(run_path)


def test_a_run_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with create_run(path) as run:
        for step in range(3):
            run.append(step, logits_at(step))
            assert read_header(path).checkpoints == step + 1
            with open_run(path) as seen:
                np.testing.assert_array_equal(seen.logits[-1], logits_at(step))
    assert not (tmp_path / "run.h5.journal").exists()


def test_an_existing_file_is_not_overwritten_unasked(run_path: Path) -> None:
    with pytest.raises(RunFileError, match="exists already; pass overwrite=True or resume it"):
        create_run(run_path)
    create_run(run_path, overwrite=True).close()
    assert read_header(run_path).checkpoints == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probe_input": np.zeros((25, 3))}, "probe_input must be integers"),
        ({"probe_trained": np.zeros(24)}, "probe_trained must hold 25 values of 0, 1"),
        ({"probe_trained": np.full(25, 2)}, "probe_trained must hold 25 values of 0, 1"),
        ({"probe_population": 24}, "probe_population must be 0 .* or at least the 25 probe inputs"),
        ({"probe_population": -3}, "probe_population must be 0 .* or at least the 25 probe inputs"),
        ({"size": float("inf")}, "the size must be positive and finite, got inf"),
        ({"size": -1}, "the size must be positive and finite, got -1"),
        ({"parameters": {f"a{n}": n for n in range(1001)}}, "has 1001 parameters, expected"),
        ({"size_name": "x\0y"}, "size_name 'x.x00y' holds a NUL or is no Unicode text"),
        ({"model_dtype": "\udcff"}, "model_dtype .* holds a NUL or is no Unicode text"),
        ({"seed": 2**64}, "the seed 18446744073709551616 does not fit into 64 bits"),
        ({"d_k": 0}, "d_k must be at least 1, got 0"),
        ({"queries": [1.7]}, "queries holds 1.7, expected int64"),
        ({"queries": [float("nan")]}, "queries holds nan, expected int64"),
        (
            {"probe_input": np.full((25, 3), 2**40)},
            "probe_input holds 1099511627776",
        ),
        ({"parameters": {"a": "\ud800"}}, "parameter a .* is no Unicode text"),
        ({"parameters": {"a": 2**70}}, "the parameter 'a' does not fit into 64 bits"),
        ({"config": {1: 2, "1": 3}}, "the attribute 'config' must be a JSON object"),
        ({"probe_input": np.zeros((25, 3), int)}, "probe_input holds an input twice"),
        ({"heads": 0}, "every extent must be at least 1"),
        ({"config": {"rate": np.float32(1)}}, "config does not fit into JSON"),
        ({"parameters": {"wd": float("nan")}}, "parameters does not fit into JSON"),
        ({"metrics": ["logits"]}, "cannot be called 'logits', a variable of the run file is"),
        ({"metrics": ["a b"]}, "the metric 'a b' must be an identifier"),
        ({"metrics": ["a/b"]}, "the metric 'a/b' must be an identifier"),
        ({"parameters": {"layer": 1}}, "cannot be called 'layer', a dimension or coordinate is"),
        ({"parameters": {"a b": 1}}, "the parameter 'a b' must be an identifier"),
        ({"parameters": {"a": [1]}}, "the parameter 'a' must be a number, text .* got list"),
        ({"parameters": {"a": None}}, "the parameter 'a' must be a number, text .* got NoneType"),
    ],
)
def test_wrong_arguments_leave_no_file(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(RunFileError, match=message):
        create_run(tmp_path / "run.h5", **change)
    assert list(tmp_path.iterdir()) == []


def test_a_reason_is_text(run_path: Path) -> None:
    with RunWriter.resume(run_path) as run:
        for reason in ("a\0b", "\udcff"):
            with pytest.raises(RunFileError, match="holds a NUL or is no Unicode text"):
                run.finish(reason)
        for other in ("", "x" * 2001, None, ValueError("diverged")):
            with pytest.raises(RunFileError, match="the reason of the end"):
                run.finish(other)  # type: ignore[arg-type]
        run.finish(np.str_("x" * 2000))
    assert validate_run(run_path) == []
    assert read_header(run_path).complete


def test_steps_are_whole_numbers(run_path: Path) -> None:
    with RunWriter.resume(run_path) as run:
        for step in (10.5, float("nan"), float("inf"), 2**53, 2**63, 2**70):
            with pytest.raises(RunFileError, match=r"expected a whole number"):
                run.append(step, logits_at(5))
            with pytest.raises(RunFileError, match=r"expected a whole number"):
                run.log(step, train_loss=1.0)
        run.append(np.float64(10.0), logits_at(10))
        run.append(2**53 - 1, logits_at(10))
    assert read_header(run_path).checkpoints == 7
    assert validate_run(run_path) == []


def test_a_mask_in_double_precision_is_no_absent_key(run_path: Path) -> None:
    logits = logits_at(5).astype(np.float64)
    logits[..., 0] = np.finfo(np.float64).min
    with RunWriter.resume(run_path) as run:
        with pytest.raises(RunFileError, match="a finite value is beyond float32"):
            run.append(5, logits)
        logits[..., 0] = -np.inf
        run.append(5, logits)


def test_logits_that_a_cast_would_change(run_path: Path) -> None:
    logits = logits_at(10)
    with RunWriter.resume(run_path) as run:
        with pytest.raises(RunFileError, match=r"some values are masked; an absent key is -inf"):
            run.append(10, np.ma.masked_greater(logits, 1))
        for kind in (complex, str, object):
            with pytest.raises(RunFileError, match=r"logits at step 10: expected numbers, got"):
                run.append(10, logits.astype(kind))
        run.append(10, np.ma.asarray(logits))
    assert validate_run(run_path) == []


def test_a_name_that_readers_of_folders_pass_over(tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match="readers pass over names that begin with a dot"):
        create_run(tmp_path / ".h5")
    assert list(tmp_path.iterdir()) == []


def test_an_accuracy_may_be_rounded(run_path: Path) -> None:
    """A mean of single precision is a little above 1; what only ends so is no accuracy."""
    with RunWriter.resume(run_path) as run:
        run.log(5, train_loss=1.0, test_accuracy=1.0000001192)
        with pytest.raises(RunFileError, match="at step 6, test_accuracy holds 83, expected frac"):
            run.log(6, test_accuracy=83)
    assert validate_run(run_path) == []
    with create_run(run_path.parent / "other.h5", metrics=["log_accuracy"]) as run:
        run.log(0, log_accuracy=-3.0)


def test_chunks_divide_every_extent(tmp_path: Path) -> None:
    probe = np.arange(6000).reshape(-1, 1)
    create_run(
        tmp_path / "wide.h5",
        heads=6,
        keys=512,
        queries=[10, 11, 12, 13],
        probe_input=probe,
        probe_trained=np.zeros(6000),
        probe_mirror_trained=None,
        probe_population=0,
    ).close()
    with h5py.File(tmp_path / "wide.h5") as h5:
        chunks = h5["logits"].chunks
        assert 4 * np.prod(chunks) <= 1 << 20
        assert all(
            extent % chunk == 0
            for extent, chunk in zip(h5["logits"].shape[1:], chunks[1:], strict=True)
        )
        assert (h5["probe_mirror_trained"][...] == -1).all()


def test_chunks_of_a_prime_extent_are_not_single_inputs(tmp_path: Path) -> None:
    """12,007 inputs have no divisor; the last chunk is cut by the edge, and reads the same."""
    count, keys = 12_007, 64
    path = tmp_path / "prime.h5"
    shape = (1, 1, count, 1, keys)
    with create_run(
        path,
        heads=1,
        keys=keys,
        probe_input=np.arange(count)[:, None],
        probe_trained=np.zeros(count),
        probe_mirror_trained=None,
        probe_population=0,
    ) as run:
        for step in range(2):
            run.append(step, logits_at(step, shape))
    with LogitReader(path) as logits:
        chunk = logits.chunk[1]
        assert chunk == 4003  # three parts, nearly even
        for start, stop in [(0, chunk), (2 * chunk, count), (0, count), (chunk, count), (5, 4009)]:
            block = logits.read(slice(0, 2), 0, slice(0, 1), slice(start, stop), slice(0, 1))
            for step in range(2):
                expected = logits_at(step, shape)[0, :, start:stop]
                np.testing.assert_array_equal(block[step], expected)
    assert validate_run(path) == []


@pytest.mark.parametrize(
    ("extent", "fits", "part"), [(12, 5, 4), (12, 100, 12), (13, 5, 5), (113, 50, 38), (7, 1, 1)]
)
def test_parts(extent: int, fits: int, part: int) -> None:
    assert writer_module._part(extent, fits) == part


def _interrupt_after(calls: int, error: BaseException, real: Callable[..., object]) -> object:
    left = calls

    def call(*arguments: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise error
        return real(*arguments)

    return call


@pytest.mark.slow
@pytest.mark.parametrize("calls", range(12))
def test_an_interrupted_append_keeps_what_was_there(
    run_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """Between logits, each column of metrics, and the step."""
    with pytest.raises(KeyboardInterrupt), RunWriter.resume(run_path) as run:  # noqa: PT012
        run.log(5, train_loss=0.0)
        broken = _interrupt_after(calls, KeyboardInterrupt(), writer_module._extend)
        monkeypatch.setattr(writer_module, "_extend", broken)
        run.append(5, logits_at(5))
        run.flush()
        raise KeyboardInterrupt  # the last case: after all of it
    monkeypatch.undo()
    check_resumable(run_path, complete=calls == 11)


@pytest.mark.parametrize("calls", range(6))
def test_a_full_disk_keeps_what_was_there(
    run_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """Any write of a commit fails: before the seal nothing has happened, after it all has."""
    run = RunWriter.resume(run_path)
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "pwrite", _interrupt_after(calls, full, os.pwrite))
    with pytest.raises(OSError, match="No space left"):
        run.append(5, logits_at(5))
    with pytest.raises(RunFileError, match=r"was interrupted during a commit.*RunWriter.resume"):
        run.append(6, logits_at(6))
    with pytest.raises(RunFileError, match="was interrupted"):
        run.log(6, train_loss=0.0)
    run.close()
    monkeypatch.undo()
    check_resumable(run_path, complete=read_header(run_path).checkpoints == 6)


def test_an_interrupt_behind_the_seal_is_told_truly(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit counts then, though the writer cannot go on."""
    run = RunWriter.resume(run_path)
    broken = _interrupt_after(0, KeyboardInterrupt(), journal_module._apply)
    monkeypatch.setattr(journal_module, "_apply", broken)
    with pytest.raises(KeyboardInterrupt):
        run.append(5, logits_at(5))
    assert read_header(run_path).checkpoints == 6
    with pytest.raises(RunFileError, match=r"interrupted .*, which the run holds whole or not at"):
        run.append(6, logits_at(6))


def test_a_writer_that_cannot_begin_lets_go_of_the_file(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, opened = run_path.read_bytes(), []

    def fail(h5: h5py.File, _: object) -> bool:
        opened.append(h5)
        raise KeyboardInterrupt

    monkeypatch.setattr(writer_module, "is_sealed", fail)
    with pytest.raises(KeyboardInterrupt):
        RunWriter.resume(run_path)
    monkeypatch.undo()
    assert not opened[0]  # closed
    assert run_path.read_bytes() == before
    check_resumable(run_path, complete=False)


def check_resumable(path: Path, *, complete: bool) -> None:
    steps = [0, 1, 2, 3, 4, 5][: 6 if complete else 5]
    assert validate_run(path) == []
    with RunWriter.resume(path) as run:
        assert run.last_step == steps[-1]
        run.log(7, train_loss=0.5)
        run.append(7, logits_at(7))
    with open_run(path) as seen:
        assert seen.step.values.tolist() == [*steps, 7]
        for step in seen.step.values:
            np.testing.assert_array_equal(seen.logits.sel(step=step), logits_at(step))
    assert validate_run(path) == []
    assert not journal_path(path).exists()


def test_a_closed_writer_says_so(run_path: Path) -> None:
    run = RunWriter.resume(run_path)
    run.close()
    run.close()
    for use in (lambda: run.append(9, logits_at(9)), run.flush, lambda: run.finish("end")):
        with pytest.raises(RunFileError, match="this writer is closed"):
            use()


def test_a_file_that_is_being_written_is_not_replaced(run_path: Path) -> None:
    with RunWriter.resume(run_path) as run:
        run.append(5, logits_at(5))
        with pytest.raises(RunFileError, match="another process is writing this run"):
            create_run(run_path, overwrite=True)
        assert journal_path(run_path).exists()
        with pytest.raises(RunFileError, match="another process is writing this run"):
            RunWriter.resume(run_path)
        run.append(6, logits_at(6))
    assert read_header(run_path).checkpoints == 7
    assert [path.name for path in run_path.parent.iterdir()] == ["run.h5"]


def test_an_old_journal_does_not_get_into_a_new_file(run_path: Path) -> None:
    seal_a_commit(run_path)
    create_run(run_path, overwrite=True).close()
    assert read_header(run_path).checkpoints == 0
    assert validate_run(run_path) == ["holds no checkpoint"]


def test_what_is_no_journal_is_not_overwritten(run_path: Path) -> None:
    before = run_path.read_bytes()
    journal_path(run_path).write_bytes(b"notes of my own")
    for start in (lambda: create_run(run_path, overwrite=True), lambda: RunWriter.resume(run_path)):
        with pytest.raises(RunFileError, match=r"run.h5.journal: is no journal.*move it away"):
            start()
    assert journal_path(run_path).read_bytes() == b"notes of my own"
    assert run_path.read_bytes() == before
    assert sorted(path.name for path in run_path.parent.iterdir()) == ["run.h5", "run.h5.journal"]


def test_a_lock_counts_only_under_the_name_of_the_journal(run_path: Path) -> None:
    """Who waited for a journal that its holder then removed has locked nothing."""
    name = journal_path(run_path)
    old = name.open("wb")
    fcntl.flock(old, fcntl.LOCK_EX)

    def let_go() -> None:
        time.sleep(0.1)
        name.unlink()
        old.close()

    thread = threading.Thread(target=let_go)
    thread.start()
    with RunWriter.resume(run_path) as run:  # a reader's short lock is waited for
        thread.join()
        assert os.path.samestat(os.fstat(run._journal._journal.fileno()), name.stat())


def test_missing_folders_are_made(tmp_path: Path) -> None:
    create_run(tmp_path / "a" / "b" / "run.h5").close()
    assert read_header(tmp_path / "a" / "b" / "run.h5").run_id == "run"
