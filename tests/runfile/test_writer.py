"""What RunWriter promises: atomic appends, resuming, and errors that name what is wrong."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from heatcap.runfile import RunFileError, RunWriter, open_run, read_header, validate_run

from runs import create_run, logits_at, write_run


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
        ({"probe_population": 24}, "smaller than the 25 probe inputs"),
        ({"heads": 0}, "every extent must be at least 1"),
        ({"config": {"rate": np.float32(1)}}, "config does not fit into JSON"),
        ({"parameters": {"wd": float("nan")}}, "parameters does not fit into JSON"),
        ({"metrics": ["logits"]}, "the name 'logits' is taken already"),
    ],
)
def test_wrong_arguments_leave_no_file(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(RunFileError, match=message):
        create_run(tmp_path / "run.h5", **change)
    assert list(tmp_path.iterdir()) == []


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
