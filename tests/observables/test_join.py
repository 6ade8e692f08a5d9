"""Observables of several files side by side."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

import heatcap as hc
from heatcap import join
from heatcap.observables import side_by_side
from heatcap.observables.dataset import problems_of
from heatcap.observables.side_by_side import fitting, outgrown

from synthetic import Plan, observables, sweep


def few(primes=(19, 31), seeds=2, **changes):
    return [Plan(p=p, seed=s, **changes) for p in primes for s in range(seeds)]


def test_files_are_put_side_by_side():
    whole = observables(sweep(primes=(19, 31), controls=()))
    a, b = whole.isel(run=slice(0, 3)), whole.isel(run=slice(3, 6))
    last = int(np.isfinite(b["step"]).sum("checkpoint").max())
    b = b.isel(checkpoint=slice(0, last))
    found = join({"a.nc": a, "b.nc": b})
    assert found["run"].values.tolist() == whole["run"].values.tolist()
    table = hc.find_events(found, "landscape_heat_capacity").table
    expected = hc.find_events(whole, "landscape_heat_capacity").table
    assert table["peak_step"].tolist() == expected["peak_step"].tolist()
    assert join({"a.nc": a}) is a


def test_queries_end_together():
    whole = observables(few()).drop_vars("query")
    a, b = whole.isel(run=slice(0, 2)), whole.isel(run=slice(2, 4))
    name = "landscape_heat_capacity"
    longer = xr.concat([0 * a[name], a[name]], "query")
    found = join({"a.nc": a[[]].assign({name: longer}), "b.nc": b[[name]]})[name]
    last = found.isel(query=-1)
    assert last.equals(whole[name].isel(query=-1))
    assert np.isnan(found.isel(query=0, run=2)).all()


def test_what_one_file_lacks_is_missing_in_its_runs():
    whole = observables(few())
    a = whole.isel(run=slice(0, 2)).drop_vars(["test_loss", "task"])
    b = whole.isel(run=slice(2, 4))
    found = join({"a.nc": a, "b.nc": b})
    assert np.isnan(found["test_loss"].isel(run=0)).all()
    assert np.isfinite(found["test_loss"].isel(run=2)).any()
    assert found["task"].values.tolist() == ["", "", "add", "add"]


def halves(**changes):
    """Two files of two runs each."""
    whole = observables(few(**changes))
    return whole.isel(run=slice(0, 2)), whole.isel(run=slice(2, 4))


@pytest.mark.parametrize("key", ["options", "source", "columns", "schema_version"])
def test_files_made_otherwise_are_named(key):
    a, b = halves()
    with pytest.raises(ValueError, match=f"b.nc: has {key} other, expected None as in a.nc"):
        join({"a.nc": a, "b.nc": b.assign_attrs({key: "other"})})


def test_only_the_options_that_differ_are_shown():
    a, b = halves()
    a = a.assign_attrs(options=json.dumps([[0.5, 1.0], "step", "head"]))
    b = b.assign_attrs(options=json.dumps([[0.5, 1.0], "log", "head"]))
    wanted = r"b\.nc: has options geometry = log, expected geometry = step as in a\.nc$"
    with pytest.raises(ValueError, match=wanted):
        join({"a.nc": a, "b.nc": b})


@pytest.mark.parametrize("dim", ["layer", "head", "temperature"])
def test_axes_that_differ_are_named(dim):
    a, b = halves()
    assert dim in b.dims
    with pytest.raises(ValueError, match=f"b.nc: has {dim} .*expected .* as in a.nc"):
        join({"a.nc": a, "b.nc": b.assign_coords({dim: b[dim] + 1})})
    with pytest.raises(ValueError, match=f"b.nc: lacks dimension '{dim}', which a.nc has"):
        join({"a.nc": a, "b.nc": b.isel({dim: 0}, drop=True)})
    with pytest.raises(ValueError, match=f"a.nc: lacks dimension '{dim}', which b.nc has"):
        join({"a.nc": a.isel({dim: 0}, drop=True), "b.nc": b})


def test_inputs_that_all_files_have_are_kept():
    a, b = halves()
    assert a["inputs"].values.tolist() == ["all", "trained", "untrained"]
    found = join({"a.nc": a, "b.nc": b.sel(inputs=["untrained", "all"])})
    assert found["inputs"].values.tolist() == ["all", "untrained"]
    name = "landscape_heat_capacity"
    expected = b[name].sel(inputs="untrained")
    filled = found[name].sel(inputs="untrained").isel(run=slice(2, 4))
    np.testing.assert_array_equal(filled, expected)
    with pytest.raises(ValueError, match=r"b\.nc: has inputs .*trained.*expected one of .*'all'"):
        join({"a.nc": a.sel(inputs=["all"]), "b.nc": b.sel(inputs=["trained"])})


def test_sizes_in_different_coordinates_are_refused():
    a, b = halves()
    b = b.rename(p="size").assign_coords(size_name=("run", ["p", "p"]))
    with pytest.raises(
        ValueError, match=r"b\.nc: has sizes in 'size', expected them in 'p' as in a"
    ):
        join({"a.nc": a, "b.nc": b})
    with pytest.raises(
        ValueError, match=r"b\.nc: has sizes in 'p', expected them in 'size' as in a"
    ):
        join({"a.nc": b, "b.nc": a})


def test_what_the_files_say_of_themselves_is_kept():
    a, b = halves()
    a = a.assign_attrs(command="one", heatcap_version="0.1", problems='["x"]', left_out=2)
    b = b.assign_attrs(command="two", heatcap_version="0.2", problems='["y"]', left_out=1)
    found = join({"a.nc": a, "b.nc": b})
    assert json.loads(found.attrs["commands"]) == ["one", "two"]
    assert json.loads(found.attrs["versions"]) == ["0.1", "0.2"]
    assert problems_of(found) == ["x", "y"]
    assert found.attrs["left_out"] == 3
    third = observables(few((53,))).assign_attrs(command="three")
    again = join({"ab.nc": found, "c.nc": third})
    assert json.loads(again.attrs["commands"]) == ["one", "two", "three"]
    assert again.attrs["left_out"] == 3


@pytest.mark.parametrize("problems", ["{", '"text"', "[1]", 3])
def test_malformed_problems_name_the_file(problems):
    a, b = halves()
    with pytest.raises(ValueError, match=r"b\.nc: problems must be a list of texts in JSON, got"):
        join({"a.nc": a, "b.nc": b.assign_attrs(problems=problems)})


def test_observables_without_runs_are_named():
    a, b = halves()
    with pytest.raises(ValueError, match=r"b\.nc: has no dimension 'run'"):
        join({"a.nc": a, "b.nc": b.isel(run=0, drop=True)})


def test_a_run_in_two_files_is_named():
    a, b = halves()
    first = a["run"].values[0]
    with pytest.raises(ValueError, match=f"b.nc: holds run {first}, which a.nc has too"):
        join({"a.nc": a, "b.nc": b.assign_coords(run=[first, "x"])})


def shaped(heads, rows, metrics=("loss",)):
    """Zeros that take no memory, in the shape of one run."""
    table = {"heat_capacity": (("checkpoint", "head"), np.broadcast_to(0.0, (1000, heads)))}
    return xr.Dataset(table | {name: ("metric", np.broadcast_to(0.0, rows)) for name in metrics})


@pytest.mark.slow
def test_runs_that_would_blow_up_the_others_are_told_apart():
    usual = [shaped(4, 100)] * 40
    # Neither a run ten times as long nor a large one beside a small one is too much.
    for fine in (
        [*usual, shaped(4, 1000)],
        [*usual, shaped(40, 100)],
        [shaped(4, 100), shaped(10**6, 100)],
        [shaped(4, 10**7)] * 40,
    ):
        assert outgrown(fine) == []
    long, wide = shaped(4, 10**7), shaped(10**5, 100)
    strange = shaped(4, 100, [f"m{k}" for k in range(50000)])
    for bad in (long, wide, strange):
        assert outgrown([*usual[:7], bad, *usual]) == [7]
    assert sorted(outgrown([long, *usual[:7], wide, long, *usual, strange])) == [0, 8, 9, 50]


def test_a_file_that_would_blow_up_the_others_is_named(monkeypatch):
    a, b = halves()
    assert join({"a.nc": a, "b.nc": b}).sizes["run"] == 4
    monkeypatch.setattr(side_by_side, "ROOM", 0)
    b = b.isel(run=[0]).pad(metric=(0, 100 * b.sizes["metric"]))
    b = b.drop_vars([name for name in b.data_vars if "metric" not in b[name].dims])
    with pytest.raises(ValueError, match=r"b\.nc: is so long or wide"):
        join({"a.nc": a, "b.nc": b})


def test_the_files_that_go_together_are_joined(monkeypatch):
    a, b = halves()
    other = b.assign_coords(run=["x", "y"])
    long = other.drop_vars([name for name in b.data_vars if "metric" not in b[name].dims])
    long = long.pad(metric=(0, 1000 * b.sizes["metric"]))
    none = a.isel(run=0, drop=True)
    given = {"none.nc": none, "long.nc": long, "a.nc": a, "twice.nc": a, "b.nc": b}
    monkeypatch.setattr(side_by_side, "ROOM", 0)
    found, problems = fitting(given, ["said before"])
    xr.testing.assert_identical(found, join({"a.nc": a, "b.nc": b}))
    said = [line.split(":")[0] for line in problems]
    assert said == ["said before", "long.nc", "none.nc", "twice.nc"]
    with pytest.raises(ValueError, match=r"said before; none\.nc: has no dimension"):
        fitting({"none.nc": none}, ["said before"])
