"""The Dataset of observables: its names, sizes, groups, curves, and runs side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import heatcap
from heatcap.core.quantities import HEAT_CAPACITY, OBSERVABLES, SINGLE_KEY, preferred
from heatcap.observables import join
from heatcap.observables.dataset import (
    curve,
    groups_of,
    labels_of,
    size_coordinate,
    size_name_of,
    sizes_of,
)
from heatcap.observables.side_by_side import alone, stacked

from runs import write_run


def of_runs(**coords: list[object]) -> xr.Dataset:
    """Runs of which nothing is known but some coordinates."""
    number = len(next(iter(coords.values())))
    along = {name: ("run", values) for name, values in coords.items()}
    return xr.Dataset(coords={"run": [f"r{k}" for k in range(number)]} | along)


def test_what_observe_writes_is_as_it_is_listed(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5", steps=3)
    obs = heatcap.observe(path, temperatures=[1.0, 2.0])
    listed = {str(name) for name in obs.data_vars} & {*OBSERVABLES}
    of_logits = {
        str(name)
        for name, values in obs.data_vars.items()
        if {"checkpoint", "query"} & {*values.dims}
    }
    assert of_logits == listed
    for name in listed:
        assert obs[name].dims == ("run", *OBSERVABLES[name].dims), name
        if name != SINGLE_KEY:
            assert obs[name].attrs["units"] == OBSERVABLES[name].unit, name


@pytest.mark.parametrize(
    ("coords", "where", "sizes", "called"),
    [
        ({"size": [7, 11], "size_name": ["L", "L"]}, "size", [7.0, 11.0], "L"),
        ({"size": [7, 11], "p": [97, 113]}, "size", [7.0, 11.0], "size"),
        ({"size": [np.nan, np.nan], "p": [97, 113]}, "p", [97.0, 113.0], "p"),
        ({"size": [7, 11], "size_name": ["", ""]}, "size", [7.0, 11.0], "size"),
        ({"seed": [0, 1]}, None, [0.0, 0.0], "size"),
    ],
)
def test_where_the_size_stands_is_what_it_is_called(coords, where, sizes, called) -> None:
    obs = of_runs(**coords)
    assert size_coordinate(obs) == where
    assert sizes_of(obs).tolist() == sizes
    assert size_name_of(obs) == called
    table = obs.to_dataframe().reset_index()  # as events carry it on
    assert (size_coordinate(table), size_name_of(table)) == (where, called)


def test_sizes_of_two_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sizes are called L \(2 runs\) and n \(1 run\): choose"):
        size_name_of(of_runs(size=[1, 2, 3], size_name=["L", "L", "n"]))


def test_runs_without_decay_are_a_control_beside_runs_with_it() -> None:
    runs = {"control": ["none", "", "random_labels", "nan"], "weight_decay": [1.0, 0.0, 0.0, 1.0]}
    assert groups_of(of_runs(**runs)).tolist() == [
        "none",
        "weight_decay_0",
        "random_labels",
        "none",
    ]
    alike = of_runs(weight_decay=[0.0, 0.0])
    assert groups_of(alike).tolist() == ["none", "none"]
    assert groups_of(of_runs(seed=[1])).tolist() == ["none"]


def test_a_curve_is_chosen_by_label_and_by_index() -> None:
    values = np.arange(2 * 3 * 2 * 2 * 2 * 4, dtype=float).reshape(2, 3, 2, 2, 2, 4)
    dims = ("run", "checkpoint", "inputs", "layer", "head", "query")
    obs = xr.Dataset(
        {HEAT_CAPACITY: (dims, values), "bare": (("run", "checkpoint"), values[..., 0, 0, 0, 0])},
        {"inputs": ["all", "trained"], "layer": [3, 5], "head": [0, 1]},
    )
    found = curve(obs, HEAT_CAPACITY, run=1, query=1, inputs="trained", layer=5, head=0)
    np.testing.assert_array_equal(found, values[1, :, 1, 1, 0, 1])
    np.testing.assert_array_equal(
        curve(obs, HEAT_CAPACITY, layer=3, head="mean"), values[:, :, 0, 0, :, -1].mean(-1)
    )
    assert curve(obs, HEAT_CAPACITY).dims == ("run", "checkpoint", "layer", "head")
    np.testing.assert_array_equal(curve(obs, "bare", layer=5, head="mean"), obs["bare"])
    assert labels_of(obs[HEAT_CAPACITY], "layer") == [3, 5]
    assert labels_of(obs[HEAT_CAPACITY].drop_vars("layer"), "layer") == [0, 1]
    assert labels_of(obs["bare"], "layer") == [0]
    with pytest.raises(ValueError, match="query must be an index into 4 queries, got 4"):
        curve(obs, HEAT_CAPACITY, query=4)
    with pytest.raises(ValueError, match=r"inputs must be one of \['all', 'trained'\], got 'some'"):
        curve(obs, HEAT_CAPACITY, inputs="some")
    with pytest.raises(ValueError, match=r"observables lack 'cv'; they have heat_capacity, bare"):
        curve(obs, "cv")


def test_one_of_each_kind_is_shown_the_better_first() -> None:
    have = ["landscape_heat_capacity", "unweighted_heat_capacity", "landscape_heat_capacity_fixed"]
    assert preferred(have) == ("landscape_heat_capacity_fixed", "unweighted_heat_capacity")
    assert preferred(have[:1]) == ("landscape_heat_capacity",)
    assert preferred(["cv"]) == ()


def one_run(name: str, length: int, queries: int, **known: object) -> xr.Dataset:
    values = np.arange(float(length * queries)).reshape(length, queries)
    return xr.Dataset(
        {HEAT_CAPACITY: (("checkpoint", "query"), values, {"units": "nat"})},
        {"run": name, "step": ("checkpoint", np.arange(length))} | known,
    )


def test_runs_side_by_side_end_with_their_last_query() -> None:
    both = stacked([one_run("a", 3, 1, p=7, task="add"), one_run("b", 2, 2, p=11)])
    assert both[HEAT_CAPACITY].dims == ("run", "checkpoint", "query")
    nan = np.nan
    np.testing.assert_array_equal(
        both[HEAT_CAPACITY],
        [[[nan, 0.0], [nan, 1.0], [nan, 2.0]], [[0.0, 1.0], [2.0, 3.0], [nan, nan]]],
    )
    assert both[HEAT_CAPACITY].attrs == {"units": "nat"}
    assert both["p"].to_numpy().tolist() == [7, 11]
    assert both["p"].dtype.kind == "i"
    assert both["task"].to_numpy().tolist() == ["add", ""]


def test_stacking_stacks_is_stacking_all() -> None:
    runs = [one_run("a", 3, 1, t="x"), one_run("b", 2, 2, q=0.5), one_run("c", 1, 3, t="y")]
    whole = stacked(runs)
    xr.testing.assert_identical(stacked([stacked(runs[:2]), stacked(runs[2:])]), whole)
    xr.testing.assert_identical(stacked([runs[0], stacked(runs[1:])]), whole)
    assert whole["t"].to_numpy().tolist() == ["x", "", "y"]
    np.testing.assert_array_equal(whole["q"], [np.nan, 0.5, np.nan])


def test_a_number_that_is_not_known_is_no_text() -> None:
    mixed = stacked([one_run("a", 1, 1, p=np.nan), one_run("b", 1, 1, p="x")])
    assert mixed["p"].to_numpy().tolist() == ["", "x"]


def test_a_metric_that_the_first_file_lacks_keeps_its_name_in_the_file(tmp_path: Path) -> None:
    first = heatcap.observe(write_run(tmp_path / "a.h5", steps=3))
    second = heatcap.observe(write_run(tmp_path / "b.h5", steps=3, seed=1))
    second["metric_entropy"] = second["train_loss"].assign_attrs(name_in_file="entropy")
    joined = join({"a": first, "b": second})
    assert joined["metric_entropy"].attrs["name_in_file"] == "entropy"


def test_a_run_alone_is_what_it_was_before_it_was_stacked(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / f"s{seed}.h5", steps=3 + seed, seed=seed) for seed in range(2)]
    both, first = heatcap.observe(paths), heatcap.observe(paths[0])
    xr.testing.assert_equal(stacked([alone(both, 0)]), first)
