"""Scalars of other programs -> the Dataset of observables: every form, every refusal."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heatcap import load, save
from heatcap.audit import audit_leads
from heatcap.core import tables
from heatcap.core.columns import Column
from heatcap.events import find_events
from heatcap.observables import read_scalars
from heatcap.observables.scalars import Columns, is_table, parse_columns
from heatcap.observables.scalars.columns import METRICS
from heatcap.runfile import STANDARD_METRICS, checksum

COLUMNS = parse_columns(
    "step=epoch,train_loss=loss/train,train_accuracy=train_acc,test_accuracy=val_acc,"
    "observable=cv,observable=probe/s"
)
SERIES = list(COLUMNS.series)
ONE = parse_columns("step=epoch,observable=cv")

Frames = dict[str, pd.DataFrame]
Writer = Callable[[Path, Frames], list[Path]]


def frames(runs: int = 2, rows: int = 7) -> Frames:
    rng = np.random.default_rng(3)
    found = {}
    for r in range(runs):
        n = rows + 2 * r
        found[f"seed{r}"] = pd.DataFrame(
            {"epoch": np.arange(n) ** 2 * 10.0} | {c: rng.uniform(0, 1, n) for c in SERIES}
        )
    return found


def csv_per_run(folder: Path, runs: Frames) -> list[Path]:
    paths = [folder / f"{name}.csv" for name in runs]
    for path, frame in zip(paths, runs.values(), strict=True):
        frame.to_csv(path, index=False)
    return paths


def excel_per_run(folder: Path, runs: Frames) -> list[Path]:
    """Semicolons, a byte order mark and CRLF."""
    paths = [folder / f"{name}.txt" for name in runs]
    for path, frame in zip(paths, runs.values(), strict=True):
        frame.to_csv(path, index=False, sep=";", encoding="utf-8-sig", lineterminator="\r\n")
    return paths


def tsv_per_run(folder: Path, runs: Frames) -> list[Path]:
    paths = [folder / f"{name}.tsv" for name in runs]
    for path, frame in zip(paths, runs.values(), strict=True):
        frame.to_csv(path, index=False, sep="\t", na_rep="null")
    return paths


def parquet_per_run(folder: Path, runs: Frames) -> list[Path]:
    pytest.importorskip("pyarrow")
    paths = [folder / f"{name}.parquet" for name in runs]
    for path, frame in zip(paths, runs.values(), strict=True):
        frame.set_index("epoch").to_parquet(path)
    return paths


def tensorboard_downloads(folder: Path, runs: Frames) -> list[Path]:
    """One file per run and tag, as the data-download links of a chart give them."""
    paths = []
    for name, frame in runs.items():
        for column in SERIES:
            part = frame[["epoch", column]].dropna()
            paths.append(folder / f"run-{name}-tag-{column.replace('/', '_')}.csv")
            pd.DataFrame({"Wall time": 1.6e9, "Step": part["epoch"], "Value": part[column]}).to_csv(
                paths[-1], index=False
            )
    return paths


def tensorboard_long(folder: Path, runs: Frames) -> list[Path]:
    """What ``ExperimentFromDev.get_scalars`` returns, with its index."""
    melted = [
        frame.melt("epoch", var_name="tag", value_name="value")
        .dropna()
        .rename(columns={"epoch": "step"})
        .assign(run=name)
        for name, frame in runs.items()
    ]
    pd.concat(melted)[["run", "tag", "step", "value"]].to_csv(folder / "long.csv")
    return [folder / "long.csv"]


def wandb_charts(folder: Path, runs: Frames) -> list[Path]:
    """One file per chart: ``"RUN - METRIC"`` beside its minimum and maximum, all cells quoted."""
    paths = []
    for k, column in enumerate(SERIES):
        wide: pd.DataFrame = pd.DataFrame({"Step": []})
        for name, frame in runs.items():
            title = f"{name} - {column}"
            part = pd.DataFrame(
                {"Step": frame["epoch"], f"{name} - _step": frame["epoch"]}
                | {title + end: frame[column] for end in ("", "__MIN", "__MAX")}
            )
            wide = wide.merge(part.dropna(), on="Step", how="outer")
        paths.append(folder / f"wandb_export_2024-05-0{k + 1}.csv")
        wide.to_csv(paths[-1], index=False, quoting=1)
    return paths


FORMS: list[Writer] = [
    csv_per_run,
    excel_per_run,
    tsv_per_run,
    parquet_per_run,
    tensorboard_downloads,
    tensorboard_long,
    wandb_charts,
]


def expected(runs: Frames, names: list[str], series: list[str]) -> np.ndarray:
    """Steps and columns (run, 1 + column, row): the rows in which any of `series` is filled."""
    parts = [f.loc[f[series].notna().any(axis=1), [*names]].to_numpy().T for f in runs.values()]
    out = np.full((len(parts), len(names), max(p.shape[1] for p in parts)), np.nan)
    for row, part in zip(out, parts, strict=True):
        row[:, : part.shape[1]] = part
    return out


def assert_is(obs: xr.Dataset, runs: Frames) -> None:
    cv, s = SERIES[3:]
    step, *values = expected(runs, ["epoch", cv, s], [cv, s]).swapaxes(0, 1)
    np.testing.assert_array_equal(obs["step"], step)
    np.testing.assert_array_equal(obs["cv"], values[0])
    np.testing.assert_array_equal(obs["probe_s"], values[1])
    step, *values = expected(runs, ["epoch", *SERIES[:3]], SERIES[:3]).swapaxes(0, 1)
    np.testing.assert_array_equal(obs["metric_step"], step)
    for name, value in zip(("train_loss", "train_accuracy", "test_accuracy"), values, strict=True):
        np.testing.assert_array_equal(obs[name], value)
    assert obs["run"].values.tolist() == list(runs)


# --- forms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("write", FORMS)
def test_every_form_says_the_same(tmp_path: Path, write: Writer) -> None:
    runs = frames(3)
    runs["seed1"].loc[[1, 3], ["cv", "train_acc"]] = np.nan
    obs = read_scalars(write(tmp_path, runs), COLUMNS)
    assert_is(obs, runs)
    assert obs["cv"].dims == obs["step"].dims == ("run", "checkpoint")
    assert obs["train_loss"].dims == obs["metric_step"].dims == ("run", "metric")
    assert obs["probe_s"].attrs["column"] == "probe/s"


cells = st.floats(-3e38, 3e38, allow_subnormal=False) | st.just(np.nan)


@pytest.mark.slow
@pytest.mark.parametrize("write", FORMS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_values_and_steps_survive_exactly(
    tmp_path_factory: pytest.TempPathFactory, write: Writer, data: st.DataObject
) -> None:
    runs = {}
    for name in ("b", "a"):
        n = data.draw(st.integers(1, 8))
        step = data.draw(st.lists(st.integers(0, 2**53), min_size=n, max_size=n, unique=True))
        frame = pd.DataFrame({"epoch": np.sort(np.array(step, dtype=np.float64))})
        for column in SERIES:
            drawn = st.floats(0, 1) if "acc" in column else cells
            frame[column] = data.draw(st.lists(drawn, min_size=n, max_size=n))
        frame.loc[0, SERIES] = 0.5
        runs[name] = frame
    assert_is(read_scalars(write(tmp_path_factory.mktemp("form"), runs), COLUMNS), runs)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_one_file_of_several_runs(tmp_path: Path, suffix: str) -> None:
    runs = frames(3)
    together = pd.concat(f.assign(name=name, wd=0.5, p=19) for name, f in runs.items())
    together = together.sort_values("epoch", kind="stable").sample(frac=1.0, random_state=1)
    together = together.sort_values("epoch")  # runs interleave
    first = {name: i for i, name in enumerate(together["name"].unique())}
    path = tmp_path / f"all.{suffix}"
    (together.to_parquet if suffix == "parquet" else together.to_csv)(path, index=False)
    columns = parse_columns(COLUMNS.text() + ",run=name,weight_decay=wd,p=p,size=p")
    obs = read_scalars(path, columns)
    assert_is(obs, {name: runs[name] for name in sorted(runs, key=first.__getitem__)})
    assert obs["weight_decay"].values.tolist() == [0.5] * 3
    assert obs["p"].dtype.kind == obs["size"].dtype.kind == "i"
    assert set(obs["checksum"].values) == {checksum(path)}


def test_run_names_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("epoch,cv,id\n1,2,007\n1,2,7\n")
    obs = read_scalars(tmp_path / "a.csv", parse_columns("step=epoch,observable=cv,run=id"))
    assert obs["run"].values.tolist() == ["007", "7"]
    pd.DataFrame({"epoch": [1, 1], "cv": [2, 3], "id": [7, None]}).to_parquet(tmp_path / "b.pq")
    with pytest.warns(UserWarning, match=r"row 2 names no run in column 'id'"):
        obs = read_scalars(tmp_path / "b.pq", parse_columns("step=epoch,observable=cv,run=id"))
    assert obs["run"].values.tolist() == ["7"]


def test_wandb_history_fills_a_step_on_several_rows(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(
        "_step,_runtime,_timestamp,train_loss,val_acc,cv\n"
        "0,1.5,1.7e9,2.5,,\n"
        "0,1.6,1.7e9,,0.25,\n"
        "0,1.6,1.7e9,,,\n"
        "1,1.7,1.7e9,NaN,,3.0\n"
        '2,1.8,1.7e9,"Infinity",0.5,null\n'
        "3,1.9,1.7e9,0.5,,4.0\n"
    )
    columns = parse_columns("step=_step,train_loss=train_loss,test_accuracy=val_acc,observable=cv")
    with pytest.warns(UserWarning, match="history: 1 infinite value of train_loss read as missing"):
        obs = read_scalars(path, columns).isel(run=0)
    assert obs["step"].values.tolist() == [1, 3]
    assert obs["cv"].values.tolist() == [3, 4]
    assert obs["metric_step"].values.tolist() == [0, 2, 3]
    np.testing.assert_array_equal(obs["train_loss"], [2.5, np.nan, 0.5])
    np.testing.assert_array_equal(obs["test_accuracy"], [0.25, 0.5, np.nan])


def test_a_value_beyond_single_precision_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("epoch,cv\n1,1e300\n2,2\n3,-inf\n4,3e38\n")
    with pytest.warns(UserWarning, match="a: 2 values of cv beyond 3.4e38 read as missing"):
        obs = read_scalars(tmp_path / "a.csv", ONE)
    assert obs["cv"].values.tolist() == [[2, 3e38]]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_values_that_are_read_overflow_nowhere(tmp_path: Path, sign: int) -> None:
    rng = np.random.default_rng(0)
    for run in "abcdef":
        cv = 1 + np.exp(-((np.arange(60) - 20) ** 2) / 30) + 0.01 * rng.normal(size=60)
        cv[33] = sign * 3.4e38 * rng.uniform()
        rows = [f"{k},1,{min(1, max(0.1, (k - 25) / 10))},{v}\n" for k, v in enumerate(cv, 1)]
        (tmp_path / f"{run}.csv").write_text("epoch,acc,val,cv\n" + "".join(rows))
    meaning = "step=epoch,train_accuracy=acc,test_accuracy=val,observable=cv"
    obs = read_scalars(sorted(tmp_path.iterdir()), parse_columns(meaning))
    events = find_events(obs)
    assert events.table[Column.HEIGHT].notna().all()
    assert "cv: " in audit_leads(obs, events).summary()


@pytest.mark.parametrize(("bad", "others"), [(3, ""), (40, "; and 37 more")])
def test_the_first_bad_runs_are_named_and_the_others_counted(
    tmp_path: Path, bad: int, others: str
) -> None:
    rows = [f"{r},{epoch},1\n" for r in range(bad) for epoch in (1, 2, 1)]
    (tmp_path / "a.csv").write_text("run,epoch,cv\n" + "".join(rows))
    with pytest.raises(ValueError, match=r"run 0, .*; .*run 1, .*; .*run 2, ") as raised:
        read_scalars(tmp_path / "a.csv", "run=run,step=epoch,observable=cv")
    assert "run 3" not in str(raised.value)
    assert str(raised.value).endswith("steps of a run must increase" + others)


def test_wandb_history_by_epoch_leaves_out_rows_without_one(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("_step,epoch,cv\n0,0,1\n1,,2\n2,1,3\n")
    with pytest.warns(UserWarning, match="h: 1 rows without a step left out"):
        obs = read_scalars(tmp_path / "h.csv", ONE)
    assert obs["cv"].values.tolist() == [[1, 3]]


def test_a_run_called_dot_has_the_name_of_its_folder(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "run-.-tag-cv.csv").write_text("Wall time,Step,Value\n1,0,2\n")
    paths = sorted(tmp_path.rglob("*.csv"))
    assert read_scalars(paths, ONE)["run"].values.tolist() == ["x", "y"]


def test_tensorboard_download_as_a_table_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "renamed.csv").write_text("Wall time,Step,Value\n1,0,2\n")
    obs = read_scalars(tmp_path / "renamed.csv", parse_columns("step=Step,observable=Value"))
    assert obs["Value"].values.tolist() == [[2.0]]


def test_unwanted_tags_and_charts_are_passed_over(tmp_path: Path) -> None:
    runs = frames(2)
    paths = tensorboard_downloads(tmp_path, runs)
    other = tmp_path / "run-seed0-tag-lr.csv"
    other.write_text("Wall time,Step,Value\nbroken\n")
    assert_is(read_scalars([other, *paths], COLUMNS), runs)


def test_longest_metric_wins_in_a_chart(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("Step,r - cv,r - b - cv\n1,2,3\n")
    obs = read_scalars(tmp_path / "w.csv", parse_columns("step=Step,observable=cv"))
    assert obs["run"].values.tolist() == ["r", "r - b"]
    columns = parse_columns("step=Step,observable=cv,observable=b - cv")
    obs = read_scalars(tmp_path / "w.csv", columns)
    assert (obs["cv"].item(), obs["b - cv"].item()) == (2, 3)


@pytest.mark.parametrize("write", FORMS)
def test_order_of_files_is_only_the_order_of_runs(tmp_path: Path, write: Writer) -> None:
    paths = write(tmp_path, frames(3))
    one, other = read_scalars(paths, COLUMNS), read_scalars(paths[::-1], COLUMNS)
    xr.testing.assert_identical(one.sortby("run"), other.sortby("run"))
    assert set(one["run"].values) == {"seed0", "seed1", "seed2"}


def test_ids_are_unique_whatever_the_order(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a/x.csv", "b/x.csv", "b/x.txt", "y.csv")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text("epoch,cv\n1,2\n")
    ids = read_scalars(paths, ONE)["run"].values.tolist()
    assert ids[0] == "a/x"
    assert ids[3] == "y"
    assert len(set(ids)) == 4
    assert read_scalars(paths[::-1], ONE)["run"].values.tolist() == ids[::-1]
    assert read_scalars([paths[0], paths[0]], ONE).sizes["run"] == 1


# --- what the Dataset is --------------------------------------------------------------------


def test_the_dataset_is_that_of_observables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("epoch,cv,what\n0,1,add\n5,2,add\n")
    columns = parse_columns("step=epoch,observable=cv,task=what")
    obs = read_scalars(str(tmp_path / "a.csv"), columns)
    assert set(METRICS) <= set(STANDARD_METRICS)
    for name in METRICS:
        assert obs[name].dtype == np.float64
        assert obs[name].dims == ("run", "metric")
    assert obs["step"].values.tolist() == [[0, 5]]
    assert obs["task"].values.tolist() == ["add"]
    assert obs["checksum"].item() == checksum(tmp_path / "a.csv")
    assert obs["path"].item() == str(tmp_path / "a.csv")
    assert obs.attrs["source"] == "scalars"
    assert json.loads(obs.attrs["problems"]) == []
    assert parse_columns(obs.attrs["columns"]) == columns
    save(obs, tmp_path / "obs.nc")
    xr.testing.assert_identical(load(tmp_path / "obs.nc"), obs)


def test_saved_with_a_slash_in_a_name(tmp_path: Path) -> None:
    obs = read_scalars(csv_per_run(tmp_path, frames()), COLUMNS)
    save(obs, tmp_path / "obs.nc")
    xr.testing.assert_equal(load(tmp_path / "obs.nc"), obs)


def test_a_parameter_may_lack_in_a_run(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("epoch,cv,seed,control\n1,2,,none\n2,3,4,\n")
    (tmp_path / "b.csv").write_text("epoch,cv,seed,control\n1,2,,\n")
    columns = parse_columns("step=epoch,observable=cv,seed=seed,control=control")
    obs = read_scalars([tmp_path / "a.csv", tmp_path / "b.csv"], columns)
    np.testing.assert_array_equal(obs["seed"], [4, np.nan])
    assert obs["control"].values.tolist() == ["none", ""]


def test_a_parameter_may_tell_runs_apart(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("epoch,cv,seed\n1,2,3\n1,2,4\n")
    columns = parse_columns("step=epoch,observable=cv,seed=seed,run=seed")
    obs = read_scalars(tmp_path / "a.csv", columns)
    assert obs["run"].values.tolist() == ["3", "4"]
    assert obs["seed"].values.tolist() == [3, 4]


def planted(folder: Path, onset: float = 900.0, peak: float = 400.0) -> Path:
    step = np.unique(np.rint(np.geomspace(1, 6000, 150)))
    x = np.log(step)
    pd.DataFrame(
        {
            "epoch": step,
            "train_acc": 100 / (1 + np.exp(-6 * (x - np.log(60)))),
            "val_acc": 100 / (1 + np.exp(-6 * (x - np.log(onset)))),
            "cv": 0.2 + np.exp(-0.5 * ((x - np.log(peak)) / 0.3) ** 2),
            "p": 43,
        }
    ).to_csv(folder / "planted.csv", index=False)
    return folder / "planted.csv"


def test_find_events_finds_a_planted_peak(tmp_path: Path) -> None:
    text = "step=epoch,train_accuracy=train_acc,test_accuracy=val_acc,observable=cv,p=p"
    with pytest.warns(UserWarning, match="planted: (train|val)_acc read as per cent"):
        obs = read_scalars(planted(tmp_path), parse_columns(text))
    events = find_events(obs, "cv").table
    assert len(events) == 1
    assert events["peak_step"].item() == pytest.approx(400, rel=0.02)
    assert events["onset_step"].item() == pytest.approx(900, rel=0.02)
    assert events["p"].item() == 43


def test_find_events_without_any_metric(tmp_path: Path) -> None:
    obs = read_scalars(planted(tmp_path), ONE)
    assert obs.sizes["metric"] == 0
    save(obs, tmp_path / "obs.nc")
    events = find_events(load(tmp_path / "obs.nc"), "cv").table
    assert events["peak_step"].item() == pytest.approx(400, rel=0.02)
    assert np.isnan(events["onset_step"].item())


# --- accuracies -----------------------------------------------------------------------------

ACCURACY = parse_columns("step=epoch,train_accuracy=tr,test_accuracy=te,observable=cv,run=id")


def test_per_cent_is_judged_over_all_runs_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,epoch,tr,te,cv\nx,1,0.9,0.8,1\nx,2,1.4,1,1\ny,1,99,1,1\n")
    problems: list[str] = []
    with pytest.warns(UserWarning, match="x, y: t") as caught:
        obs = read_scalars(tmp_path / "a.csv", ACCURACY, problems=problems)
    np.testing.assert_allclose(obs["train_accuracy"], [[0.009, 0.014], [0.99, np.nan]])
    # Logged together, in one unit: a run that never generalises stays at 1 per cent.
    np.testing.assert_allclose(obs["test_accuracy"], [[0.008, 0.01], [0.01, np.nan]])
    assert problems == ["x, y: tr read as per cent", "x, y: te read as per cent"]
    assert [str(w.message) for w in caught] == problems
    assert json.loads(obs.attrs["problems"]) == problems


def test_units_may_differ_between_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("epoch,te,cv\n1,50,1\n")
    (tmp_path / "b.csv").write_text("epoch,te,cv\n1,0.5,1\n")
    columns = parse_columns("step=epoch,test_accuracy=te,observable=cv")
    with pytest.warns(UserWarning, match="[ab]: te read as") as caught:
        obs = read_scalars([tmp_path / "a.csv", tmp_path / "b.csv"], columns)
    assert [str(w.message) for w in caught] == [
        "a: te read as per cent",
        "b: te read as a fraction, at most 0.5, though other files have it in per cent",
    ]
    assert obs["test_accuracy"].values.tolist() == [[0.5], [0.5]]


def test_units_are_judged_over_the_files_of_a_folder_that_are_joined(tmp_path: Path) -> None:
    for run, value in (("a", 100), ("b", 1)):
        for tag in ("te", "cv"):
            path = tmp_path / f"run-{run}-tag-{tag}.csv"
            path.write_text(f"Wall time,Step,Value\n1,1,{value}\n")
    columns = parse_columns("step=Step,test_accuracy=te,observable=cv")
    with pytest.warns(UserWarning, match="a, b: te read as per cent"):
        obs = read_scalars(sorted(tmp_path.iterdir()), columns)
    assert obs["test_accuracy"].values.tolist() == [[1], [0.01]]
    assert obs["cv"].values.tolist() == [[100], [1]]


@pytest.mark.parametrize(("value", "read"), [(1.3, 0.013), (2, 0.02)])
def test_from_where_on_it_is_per_cent(tmp_path: Path, value: float, read: float) -> None:
    (tmp_path / "a.csv").write_text(f"epoch,te,cv\n1,{value},1\n")
    columns = parse_columns("step=epoch,test_accuracy=te,observable=cv")
    with pytest.warns(UserWarning, match="per cent"):
        obs = read_scalars(tmp_path / "a.csv", columns)
    assert obs["test_accuracy"].item() == pytest.approx(read)


def test_rounding_above_one_is_no_per_cent(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("epoch,te,cv\n1,1.0000001,1\n")
    obs = read_scalars(tmp_path / "a.csv", "step=epoch,test_accuracy=te,observable=cv")
    assert obs["test_accuracy"].item() == pytest.approx(1)


def test_an_accuracy_that_is_also_an_observable_keeps_its_unit_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("epoch,te\n1,50\n")
    columns = parse_columns("step=epoch,test_accuracy=te,observable=te")
    with pytest.warns(UserWarning, match="te read as per cent"):
        obs = read_scalars(tmp_path / "a.csv", columns)
    assert (obs["te"].item(), obs["test_accuracy"].item()) == (50, 0.5)


def test_many_runs_are_said_in_one_line(tmp_path: Path) -> None:
    lines = [f"r{i},1,50,50,1\n" for i in range(9)]
    (tmp_path / "a.csv").write_text("id,epoch,tr,te,cv\n" + "".join(lines))
    with pytest.warns(UserWarning, match="r0, r1 and 7 more runs: t[re] read as per cent"):
        read_scalars(tmp_path / "a.csv", ACCURACY)


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("step=a", "columns name no observable, expected observable=COLUMN"),
        ("observable=a", "columns name no step, expected step=COLUMN"),
        ("", "columns name no step"),
        ("step=a,cv", "expected MEANING=COLUMN, separated by commas, got 'cv'"),
        ("step=,observable=cv", "expected MEANING=COLUMN, separated by commas, got 'step='"),
        ("step=a,loss=b,observable=c", "'loss' is no meaning of a column; known: step, run, train"),
        ("step=a,step=b,observable=c", "step stands for a and b, expected one column"),
        ("step=a,p=b,p=b,observable=c", "p stands for b and b, expected one column"),
        ("step=a,observable=train_loss", "observable=train_loss: the Dataset keeps the name"),
        ("step=a,observable=metric_step", "observable=metric_step: the Dataset keeps the name"),
        ("step=a,observable=c/v,observable=c_v", "c/v and c_v would both be called 'c_v'"),
        ("step=a,observable=c,observable=c", "c and c would both be called 'c'"),
    ],
)
def test_columns_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        parse_columns(text)
    assert "\n" not in str(error.value)


def test_columns_by_hand() -> None:
    columns = Columns(step="e", observables=("cv",), metrics={"test_loss": "a"})
    assert columns == parse_columns(" step = e, test_loss=a ,observable=cv,")
    assert columns.run is None
    with pytest.raises(ValueError, match="no metric is called 'loss'; known: train_loss"):
        Columns(step="e", observables=("cv",), metrics={"loss": "a"})
    with pytest.raises(ValueError, match="no sweep parameter is called 'lr'; known: p, size"):
        Columns(step="e", observables=("cv",), parameters={"lr": "a"})


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "number": ("epoch,cv\n1,2\n2,x9\n", "a.csv: row 3, column 'cv': expected a number, got 'x9'"),
    "underscore": ("epoch,cv\n1,1_0\n", "row 2, column 'cv': expected a number, got '1_0'"),
    "truth": ("epoch,cv\n1,True\n", "row 2, column 'cv': expected a number, got 'True'"),
    "bad step": ("epoch,cv\nzero,1\n", "row 2, column 'epoch': expected a number, got 'zero'"),
    "decimal comma": ("epoch;cv\n1;0,5\n", "row 2, column 'cv': expected a number, got '0,5'"),
    "too wide": ("epoch,cv\n1,2\n2,0,5\n", "a.csv: row 3 has more fields than the header, which h"),
    "falls": (
        "epoch,cv\n1,1\n400,1\n300,1\n",
        "a.csv: row 4: step 300 after 400; steps of a run must increase; if the file holds several "
        "runs, say run=COLUMN",
    ),
    "after a blank line": ("epoch,cv\n1,1\n\n1,1\n", "a.csv: row 4: step 1 after 1; steps of a"),
    "twice": ("epoch,cv\n1234567,1\n1234567,1\n", "row 3: step 1234567 after 1234567; steps of"),
    "no column": ("epoch,cvv\n1,2\n", "a.csv: no column 'cv'; did you mean 'cvv'? there is 'ep"),
    "no step": ("step,cv\n1,2\n", "a.csv: no column 'epoch'; there is 'step', 'cv'"),
    "two columns": ("epoch,cv,cv\n1,2,3\n", "a.csv: 2 columns are called 'cv', expected one"),
    "empty": ("", "a.csv: the file is empty"),
    "only a header": ("epoch,cv\n", "a.csv: no row holds anything"),
    "no values": ("epoch,cv\n1,\n2,nan\n", "a.csv: no row has a step and a value of cv"),
    "no steps": ("epoch,cv\n,1\n", "a.csv: no row has a step and a value of cv"),
    "infinite": ("epoch,cv\n1,inf\n", "a.csv: no value of cv"),
    "blank header": ("\nepoch,cv\n1,2\n", "a.csv: the first line is empty, expected the names"),
    "binary": (b"\x80\x05\x95junk\x00", "a.csv: is not text in UTF-8 (byte 0x80)"),
    "zeros": (b"epoch,cv\x00\n", "a.csv: is not text, expected a table in UTF-8"),
    "later junk": (b"epoch,cv\n1,\xff\n", "a.csv: is not text in UTF-8 (byte 0xff)"),
    "quote": ('epoch,cv\n1,"2\n', "a.csv: cannot be read as a table ("),
    "long header": (b"a" * 200_000, "a.csv: cannot be read as a table (field larger"),
    "download": (
        "Wall time,Step,Value\n1,2,3\n",
        "a.csv: TensorBoard's download is called run-RUN-tag-TAG.csv, from which run and tag",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_refused(tmp_path: Path, name: str) -> None:
    content, said = REFUSED[name]
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    problems: list[str] = []
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        read_scalars(path, ONE, problems=problems)
    assert "\n" not in str(error.value)
    assert problems == [str(error.value)]


def test_bad_bytes_beyond_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "HEADER_BYTES", 12)
    (tmp_path / "a.csv").write_bytes(b"epoch,cv\n1,2\n3,\xff\n")
    with pytest.raises(ValueError, match=r"a.csv: is not text in UTF-8 \(byte 0xff"):
        read_scalars(tmp_path / "a.csv", ONE)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone.csv: no such file, expected a table"):
        read_scalars(tmp_path / "gone.csv", ONE)
    with pytest.raises(ValueError, match="is a folder, expected a table"):
        read_scalars(tmp_path, ONE)
    with pytest.raises(ValueError, match="no file to read scalars from"):
        read_scalars([], ONE)


def test_size_is_checked_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(tmp_path / "a.csv", "wb") as file:
        file.truncate(5 * 2**30)  # a hole: it takes no room
    with pytest.raises(ValueError, match=r"a.csv: has 5 GiB, more than 4 GiB are not read"):
        read_scalars(tmp_path / "a.csv", ONE)
    pd.DataFrame({"epoch": np.arange(10**5), "cv": 1.0}).to_parquet(tmp_path / "b.parquet")
    monkeypatch.setattr(tables, "LIMIT", 15 * 10**5)
    with pytest.raises(ValueError, match=r"b.parquet: has 100000 rows, more than 0.0014 GiB are"):
        read_scalars(tmp_path / "b.parquet", ONE)


@pytest.mark.slow
def test_a_parquet_of_one_long_text_is_not_read(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    long = pd.DataFrame({"id": ["x" * 10**6] * 300, "epoch": range(300), "cv": 1.0})
    long.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a.parquet: its columns inflate to far more than its"):
        read_scalars(tmp_path / "a.parquet", parse_columns(ONE.text() + ",run=id"))


def test_parquet_needs_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    said = r"reading Parquet needs pyarrow: pip install heatcap\[parquet\]"
    with pytest.raises(ValueError, match=said):
        read_scalars(tmp_path / "a.parquet", ONE)


def test_bad_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "a.pq").write_bytes(b"PAR1 and more junk")
    with pytest.raises(ValueError, match=r"a.pq: cannot be read as Parquet"):
        read_scalars(tmp_path / "a.pq", ONE)
    pd.DataFrame({"epoch": [1, 2], "cv": ["0.5", "much"]}).to_parquet(tmp_path / "b.pq")
    with pytest.raises(
        ValueError, match=r"b.pq: row 2, column 'cv': expected a number, got 'much'"
    ):
        read_scalars(tmp_path / "b.pq", ONE)
    pd.DataFrame({"epoch": [2, 1], "cv": [1, 2]}).to_parquet(tmp_path / "c.pq")
    with pytest.raises(ValueError, match=r"c.pq: row 2: step 1 after 2"):
        read_scalars(tmp_path / "c.pq", ONE)


def test_only_the_columns_that_are_needed_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("note,epoch,cv\nbad,1,2\n,2,3\n")
    assert read_scalars(tmp_path / "a.csv", ONE)["cv"].values.tolist() == [[2, 3]]


@pytest.mark.parametrize("value", [-0.01, 100.5])
def test_accuracies_out_of_range(tmp_path: Path, value: float) -> None:
    (tmp_path / "a.csv").write_text(f"id,epoch,tr,te,cv\nx,1,1,1,1\nx,2,1,{value},1\n")
    said = f"a.csv: run x, row 3: te is {value}, expected an accuracy from 0 to 1, or from 0 to 100"
    with pytest.raises(ValueError, match=re.escape(said)):
        read_scalars(tmp_path / "a.csv", ACCURACY)


def test_a_parameter_that_varies(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,epoch,tr,te,cv,s\nx,1,1,1,1,4\ny,1,1,1,1,5\nx,2,1,1,1,5\n")
    columns = parse_columns(ACCURACY.text() + ",seed=s")
    problems: list[str] = []
    with pytest.warns(UserWarning, match="left out: .*a.csv: run x, row 4: seed is 5 after 4; a s"):
        obs = read_scalars(tmp_path / "a.csv", columns, problems=problems)
    assert obs["run"].values.tolist() == ["y"]
    assert obs["seed"].values.tolist() == [5]


def test_an_order_error_names_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,epoch,tr,te,cv\nx,3,1,1,1\ny,1,1,1,1\nx,2,1,1,1\n")
    with pytest.warns(UserWarning, match=r"a.csv: run x, row 4: step 2 after 3; .* increase$"):
        read_scalars(tmp_path / "a.csv", ACCURACY)


def test_the_others_go_on(tmp_path: Path) -> None:
    runs = frames(2)
    good = csv_per_run(tmp_path, runs)
    (tmp_path / "bad.csv").write_text("epoch\n1\n")
    (tmp_path / "worse.csv").write_bytes(b"\xff\xfe")
    problems = ["an earlier one"]
    with pytest.warns(UserWarning, match="left out: .*") as caught:
        obs = read_scalars(
            [tmp_path / "bad.csv", good[0], tmp_path / "worse.csv", good[1]],
            COLUMNS,
            problems=problems,
        )
    assert_is(obs, runs)
    assert len(caught) == 2
    assert problems[0] == "an earlier one"
    assert [p.split(": ")[0] for p in problems[1:]] == [
        str(tmp_path / "bad.csv"),
        str(tmp_path / "worse.csv"),
    ]
    assert json.loads(obs.attrs["problems"]) == problems[1:]
    with pytest.raises(ValueError, match=r"bad.csv: no column.*; .*worse.csv: is not text"):
        read_scalars([tmp_path / "bad.csv", tmp_path / "worse.csv"], COLUMNS)


def test_a_joined_run_that_lacks_a_tag(tmp_path: Path) -> None:
    paths = tensorboard_downloads(tmp_path, frames(2))
    cut = [p for p in paths if p.name != "run-seed0-tag-val_acc.csv"]
    (tmp_path / "run-seed0-tag-vall_acc.csv").write_text("Wall time,Step,Value\n1,0,2\n")
    cut.append(tmp_path / "run-seed0-tag-vall_acc.csv")
    with pytest.warns(UserWarning, match="run seed0 has no 'val_acc'; did you mean 'vall_acc'?"):
        obs = read_scalars(cut, COLUMNS)
    assert obs["run"].values.tolist() == ["seed1"]


def test_a_long_table_that_lacks_a_tag(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("run,tag,step,value\na,c,1,2\nb,cv,1,2\nb,c,1,3\n")
    with pytest.warns(
        UserWarning, match="l.csv: run a has no 'cv'; did you mean 'c'. there is 'c'"
    ):
        obs = read_scalars(tmp_path / "l.csv", ONE)
    assert obs["run"].values.tolist() == ["b"]


def test_a_bad_file_of_a_joined_run_is_said_once(tmp_path: Path) -> None:
    paths = tensorboard_downloads(tmp_path, frames(2))
    paths[0].write_text("Wall time,Step,Value\n1,5,2\n1,4,2\n")
    problems: list[str] = []
    with pytest.warns(UserWarning, match="run seed0, row 3: step 4 after 5; steps of a run must"):
        obs = read_scalars(paths, COLUMNS, problems=problems)
    assert obs["run"].values.tolist() == ["seed1"]
    assert len(problems) == 1


def test_a_column_that_two_files_have(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("Step,r - cv\n1,2\n")
    with pytest.raises(ValueError, match=r"run r: .*a.csv and .*b.csv have cv"):
        read_scalars([tmp_path / "b.csv", tmp_path / "a.csv"], ONE)


def test_a_joined_run_names_all_its_files(tmp_path: Path) -> None:
    runs = frames(1)
    for write in (tensorboard_downloads, wandb_charts):
        paths = sorted(write(tmp_path, runs))
        for order in (paths, paths[::-1]):
            obs = read_scalars(order, COLUMNS)
            assert obs["path"].item() == "; ".join(map(str, paths))
            digests = "".join(sorted(map(checksum, paths)))
            assert obs["checksum"].item() == hashlib.sha256(digests.encode()).hexdigest()


def test_a_name_of_several_lines_becomes_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('epoch,"c\r\nv",id\n1,2,"x\ny"\n')
    columns = parse_columns("step=epoch,observable=c v,run=id")
    assert read_scalars(tmp_path / "a.csv", columns)["run"].values.tolist() == ["x y"]


def test_a_file_name_that_fits_two_tags(tmp_path: Path) -> None:
    (tmp_path / "run-r-tag-c_v.csv").write_text("Wall time,Step,Value\n1,1,2\n")
    with pytest.raises(ValueError, match="its name fits c v and c-v, expected one of them"):
        read_scalars(
            tmp_path / "run-r-tag-c_v.csv",
            parse_columns("step=Step,observable=c v,observable=c-v"),
        )


def test_forms_without_parameters_say_so(tmp_path: Path) -> None:
    (tmp_path / "run-r-tag-cv.csv").write_text("Wall time,Step,Value\n1,1,2\n")
    columns = parse_columns("step=Step,observable=cv,p=p")
    with pytest.warns(UserWarning, match="r: no p, which this form of file does not hold"):
        obs = read_scalars(tmp_path / "run-r-tag-cv.csv", columns)
    assert np.isnan(obs["p"].item())


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("epoch,cv\n1,2\n")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "a.csv")

    monkeypatch.setattr(tables, "_open_text", denied)
    with pytest.raises(ValueError, match=r"a.csv: Permission denied$"):
        read_scalars(tmp_path / "a.csv", ONE)


def test_good_files_warn_of_nothing(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        obs = read_scalars(csv_per_run(tmp_path, frames()), COLUMNS)
    assert json.loads(obs.attrs["problems"]) == []


@pytest.mark.parametrize("name", ["a.csv", "a.TSV", "b/c.txt", "a.parquet", "a.pq"])
def test_tables_by_suffix(name: str) -> None:
    assert is_table(name)
    assert is_table(Path(name))
    assert not is_table(name + ".h5")
