"""Metrics, parameters and observables are never taken for one another, whatever their names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import heatcap
from heatcap.cli import app
from heatcap.runfile import STANDARD_METRICS, TAKEN, RunFileError, names_read, open_runs, writer
from heatcap.runfile.names import name_problem
from heatcap_trainer.config import ModelConfig, OptimiserConfig, TaskConfig

from runs import create_run, logits_at, write_run

EVERY = sorted({name for names in TAKEN.values() for name in names})
SETTINGS = {"seed", "d_k", "softmax_scale", "soft_cap", "model_dtype"}
EVENTS = TAKEN["a column of the tables of events"]
#: Names that a metric cannot have in any file, for they are variables of it.
VARIABLES = {*TAKEN["a variable of the run file"], "step", "layer", "head", "probe", "query", "key"}
VARIABLES |= {"position", "metric_step"}


def old_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, metrics: list[str], parameters: dict[str, Any]
) -> Path:
    """A run of two layers as it could be written before names were refused; metric i is i / 64."""
    with monkeypatch.context() as patch:
        patch.setattr(writer, "name_problem", lambda *_: "")
        with create_run(path, layers=2, metrics=metrics, parameters=parameters) as run:
            for step in range(3):
                run.log(step, **{name: i / 64 for i, name in enumerate(metrics)})
                run.append(step, logits_at(step, run.shape))
            run.finish("step limit")
    return path


@pytest.mark.parametrize("name", EVERY)
def test_the_writer_refuses_every_name_that_is_taken(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run.h5"
    if name not in SETTINGS:
        for called in (name, f"parameter_{name}"):
            with pytest.raises(RunFileError, match=f"parameter cannot be called '{called}', .*my_"):
                create_run(path, parameters={called: 1})
    if name not in (*STANDARD_METRICS, *EVENTS):
        for called in (name, f"metric_{name}", f"parameter_{name}"):
            if called != "parameter_seed" and called.removeprefix("parameter_") not in SETTINGS:
                with pytest.raises(RunFileError, match=f"metric cannot be called '{called}', .*my"):
                    create_run(path, metrics=[called])
    assert not path.exists()


def test_a_metric_is_not_called_like_a_parameter(tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match="cannot be called 'lr', a parameter is called so"):
        create_run(tmp_path / "run.h5", metrics=["lr"], parameters={"lr": 0.1})
    create_run(tmp_path / "run.h5", metrics=["lr"], parameters={"coords": 1, "seed": 0}).close()


def test_what_the_trainer_calls_parameters_is_free() -> None:
    names = {
        name
        for section in (TaskConfig, ModelConfig, OptimiserConfig)
        for name in section.__dataclass_fields__
        if name != "name"
    }
    assert {name: name_problem("parameter", name) for name in names} == dict.fromkeys(names, "")


@pytest.mark.slow
def test_every_name_that_exists_is_registered(tmp_path: Path) -> None:
    """What files, observables, tables and events really hold, with all options."""
    path = write_run(tmp_path / "run.h5", layers=2, parameters={"p": 5})
    with h5py.File(path) as h5:
        exist = {*h5, *h5.attrs}
    for per in ("head", "layer"):
        obs = heatcap.observe(path, per=per, temperatures=[0.5, 2.0], geometry=True)
        exist |= {*map(str, obs.variables), *map(str, obs.dims)}
        events = heatcap.find_events(obs.fillna(0))
        exist |= {*events.table, *events.runs}
    (tmp_path / "a.csv").write_text("epoch,acc,te,cv\n0,0.1,0.1,1\n1,1,1,2\n")
    columns = "step=epoch,train_accuracy=acc,test_accuracy=te,observable=cv"
    exist |= {*map(str, heatcap.read_scalars(tmp_path / "a.csv", columns).variables)} - {"cv"}
    exist |= {*map(str, open_runs(path).table.variables)}
    assert exist - {"p"} - set(EVERY) == set()
    # And the other way: what is registered exists, or is the error or the scan of what does.
    ahead = {name for name in TAKEN["an observable"] if name.endswith("_error") or "scan_" in name}
    assert set(TAKEN["an observable"]) - ahead - exist == set()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is read as")
def test_old_files_with_every_name_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = old_run(tmp_path / "plain.h5", monkeypatch, ["train_accuracy"], {"p": 5})
    plain = heatcap.observe(plain, temperatures=[0.5, 2.0]).isel(run=0)
    parameters = {name: f"value of {name}" for name in EVERY if name not in SETTINGS}
    names = [name for name in EVERY if name not in VARIABLES]
    # A few in each file: netCDF readers take a time that is quadratic in the number of variables.
    parts = [names[i::12] for i in range(12)]
    for i, part in enumerate(parts):
        old_run(tmp_path / "old" / f"{i:02}.h5", monkeypatch, part, {"p": 5} | parameters)
    obs = heatcap.observe(tmp_path / "old", temperatures=[0.5, 2.0])
    held = obs.variables  # which, unlike arrays, do not bring all coordinates along
    for name in ("size", "seed", "complete", "stop_reason", "step", "probe_size", "run", "path"):
        assert name in held
        if name not in ("run", "path"):
            assert (held[name] == plain.variables[name]).all(), name
    for run, part in enumerate(parts):
        for name in {*TAKEN["an observable"]} & {*plain.variables}:
            np.testing.assert_array_equal(held[name][run], plain.variables[name], err_msg=name)
        for i, name in enumerate(part):
            free = name in (*STANDARD_METRICS, *EVENTS)
            assert (held[name if free else f"metric_{name}"][run] == i / 64).all(), name
    for name in parameters:
        assert (held[f"parameter_{name}"] == f"value of {name}").all()
        assert f"the parameter '{name}' is read as 'parameter_{name}'" in obs.attrs["problems"]
    assert "the metric 'entropy' is read as 'metric_entropy': an observable" in obs.problems
    heatcap.save(obs, tmp_path / "obs.nc")
    assert heatcap.load(tmp_path / "obs.nc")["metric_entropy"].attrs["name_in_file"] == "entropy"


def test_an_old_file_loses_no_run_and_is_not_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(4):
        old_run(tmp_path / f"{seed}.h5", monkeypatch, ["entropy"], {"head": seed})
    write_run(tmp_path / "new.h5", layers=2)
    many = "0.h5, .*1.h5 and 2 more runs: the"
    with (
        pytest.warns(UserWarning, match=f"{many} parameter 'head' is read as 'parameter_head'"),
        pytest.warns(UserWarning, match=f"{many} metric 'entropy' is read as 'metric_entropy'"),
    ):
        runs = open_runs(tmp_path)
    assert [header.parameters.get("parameter_head") for header in runs.headers] == [
        0,
        1,
        2,
        3,
        None,
    ]
    assert len(heatcap.observe(runs)["run"]) == 5
    told = CliRunner().invoke(app, ["info", str(tmp_path)])
    assert told.exit_code == 0
    assert "parameter_head" in told.stdout
    assert "metric 'entropy' is read as 'metric_entropy': an observable is called so" in told.stderr


def test_a_metric_called_like_a_parameter_of_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = old_run(tmp_path / "logged.h5", monkeypatch, ["lr"], {"p": 5})
    swept = old_run(tmp_path / "swept.h5", monkeypatch, ["loss"], {"lr": 0.5})
    alone = {path: heatcap.observe(path) for path in (logged, swept)}
    assert (alone[logged]["lr"] == 0).all()
    with pytest.warns(UserWarning, match="logged.h5: the metric 'lr' is read as 'metric_lr'"):
        both = heatcap.observe([logged, swept])
    np.testing.assert_array_equal(both["lr"], [np.nan, 0.5])
    np.testing.assert_array_equal(both["metric_lr"], [[0, 0, 0], [np.nan] * 3])
    assert "the metric 'lr' is read as 'metric_lr': a parameter" in both.attrs["problems"]
    joined = heatcap.join({"a": alone[logged], "b": alone[swept]})
    for name in ("lr", "metric_lr"):
        np.testing.assert_array_equal(joined[name], both[name])
    assert len(json.loads(joined.attrs["problems"])) == 1
    # Runs that are known already end as if all were computed anew, whatever stood beside them.
    again = heatcap.observe(logged, known=both)
    assert (again["lr"] == 0).all()
    assert "metric_lr" not in again
    with pytest.warns(UserWarning, match="read as 'metric_lr'"):
        grown = heatcap.observe([logged, swept], known=alone[logged])
    xr.testing.assert_identical(grown, both)


def test_observables_that_a_metric_had_replaced_are_computed_again(
    run_path: Path,
) -> None:
    obs = heatcap.observe(run_path)
    stale = obs.assign(entropy=("run", [7.0]))
    xr.testing.assert_identical(heatcap.observe(run_path, known=stale), obs)


_NAMES = st.lists(
    st.builds(
        "".join,
        st.tuples(
            st.sampled_from(["", "metric_", "parameter_", "metric_metric_"]),
            st.sampled_from(["lr", "entropy", "step", "seed", "train_loss", "group"]),
        ),
    ),
    unique=True,
)


def test_the_documentation_lists_every_name() -> None:
    page = Path(__file__).parents[2] / "docs" / "file-format.md"
    _, _, rest = page.read_text(encoding="utf-8").partition("**Names that are taken.**")
    words = set(re.findall(r"\w+", rest.partition("The variable `metric_step`")[0]))
    families = r"scan_(.*)|(.*)_error|fisher_(.*)|depth_(.*)_head_average|depth_(.*)"
    for name in {*EVERY} - {*STANDARD_METRICS} - words:
        family = re.fullmatch(families, name)
        assert family, name
        assert {*filter(None, family.groups())} < words, name


@given(metrics=_NAMES, parameters=_NAMES)
def test_different_names_stay_different(metrics: list[str], parameters: list[str]) -> None:
    called = list(names_read("parameter", parameters).values())
    read = names_read("metric", [name for name in metrics if name != "step"], called)
    free = {*STANDARD_METRICS, *EVENTS, *SETTINGS}
    together = [*called, *read.values()]
    assert len({*together}) == len(together)
    assert not {*together} & ({*EVERY} - free)
    for name, now in read.items():
        assert now == name or now.startswith("metric_")


def test_names_that_readers_of_netcdf_would_cut(tmp_path: Path) -> None:
    for how in ({"metrics": ["_nc4_non_coord_y"]}, {"parameters": {"_nc4_non_coord_y": 1}}):
        with pytest.raises(RunFileError, match="netCDF writes other names so"):
            create_run(tmp_path / "run.h5", **how)
