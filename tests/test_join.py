"""Observables of several files side by side."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import heatcap as hc
from heatcap import join

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


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda b: b.assign_attrs(options="other"), "b.nc: has options other"),
        (lambda b: b.isel(head=slice(0, 2)), r"b.nc: has head \[0, 1\]"),
        (lambda b: b.isel(head=0, drop=True), "b.nc: lacks dimension 'head'"),
        (lambda b: b.assign_coords(run=["add_p019_s0_none_wd1", "x"]), "b.nc: holds run add_p019"),
    ],
)
def test_files_that_do_not_fit_are_named(spoil, match):
    whole = observables(few())
    a, b = whole.isel(run=slice(0, 2)), whole.isel(run=slice(2, 4))
    with pytest.raises(ValueError, match=match):
        join({"a.nc": a, "b.nc": spoil(b)})
