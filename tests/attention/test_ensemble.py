"""The labelled verbs: names broadcast, units, the bound, paths."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from heatcap.attention import (
    bound_asymptote,
    canonical,
    fisher_distance,
    heat_capacities,
    heat_capacity_bound,
    path_geometry,
)
from heatcap.attention.ensemble import UNITS

import oracles

PARTS = {
    "heat_capacity",
    "landscape_heat_capacity",
    "landscape_heat_capacity_fixed",
    "total_heat_capacity",
    "unweighted_heat_capacity",
    "offset_heat_capacity",
}


def logits(seed=0, dtype=np.float32, **sizes):
    sizes = sizes or {"step": 3, "head": 2, "probe": 20, "key": 5}
    values = np.random.default_rng(seed).normal(scale=2.0, size=tuple(sizes.values()))
    coords = {"step": 10 * np.arange(sizes["step"])} if "step" in sizes else {}
    return xr.DataArray(values.astype(dtype), dims=tuple(sizes), coords=coords)


# --- canonical ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_canonical_against_the_oracle(dtype):
    s = logits(dtype=dtype)
    found = canonical(s, beta=1.3)
    slow = oracles.row_observables(s.to_numpy(), 1.3)
    slow["fisher_information"] = slow["heat_capacity"] / 1.3**2
    for name, unit in UNITS.items():
        assert found[name].dtype == np.float64
        assert found[name].attrs["units"] == unit
        np.testing.assert_allclose(found[name], slow[name], rtol=1e-10, atol=1e-11, err_msg=name)
    assert set(found) == set(UNITS)
    assert found["step"].equals(s["step"])


def test_temperature_scan_is_one_call():
    s = logits()
    temperature = xr.DataArray([0.5, 1.0, 2.0], dims="temperature", name="temperature")
    scan = canonical(s, beta=1 / temperature)
    assert scan["energy"].dims == ("step", "head", "probe", "temperature")
    for i, t in enumerate(temperature.values):
        xr.testing.assert_allclose(scan.isel(temperature=i), canonical(s, beta=1 / t), rtol=1e-14)


@pytest.mark.parametrize("dims", [("head",), ("step", "head"), ("probe",), ("temperature", "step")])
def test_beta_meets_logits_by_name(dims):
    s = logits()
    sizes = {**s.sizes, "temperature": 2}
    beta = xr.DataArray(
        np.linspace(0.4, 3.0, np.prod([sizes[d] for d in dims])).reshape([sizes[d] for d in dims]),
        dims=dims,
    )
    found = canonical(s, beta=beta)
    for index in np.ndindex(beta.shape):
        at = dict(zip(dims, index, strict=True))
        own = canonical(
            s.isel({d: i for d, i in at.items() if d in s.dims}), beta=float(beta[index])
        )
        xr.testing.assert_allclose(
            found.isel(at).drop_vars("step", errors="ignore"),
            own.drop_vars("step", errors="ignore"),
            rtol=1e-13,
        )


def test_one_row_and_another_name_for_the_states():
    row = xr.DataArray([0.0, 1.0, -np.inf], dims="token")
    found = canonical(row, dim="token")
    assert found["energy"].shape == ()
    assert float(found["visible_keys"]) == 2.0
    scan = canonical(row, beta=xr.DataArray([1.0, 2.0], dims="beta"), dim="token")
    assert scan["energy"].dims == ("beta",)


def test_energy_rises_with_temperature_by_the_heat_capacity():
    """C = dU/dT along a scan, by the labels alone: the trapezoidal rule on a fine grid."""
    temperature = xr.DataArray(
        np.linspace(0.5, 3.0, 400), dims="T", coords={"T": np.linspace(0.5, 3.0, 400)}
    )
    scan = canonical(logits(head=3, key=6), beta=1 / temperature)
    integral = scan["heat_capacity"].integrate("T")
    rise = scan["energy"].isel(T=-1) - scan["energy"].isel(T=0)
    np.testing.assert_allclose(integral, rise, rtol=1e-4)


def test_errors_say_what_came():
    s = logits(key=4)
    with pytest.raises(ValueError, match=r"logits must have dimension 'token', got \('key',\)"):
        canonical(s, dim="token")
    with pytest.raises(ValueError, match="beta must be positive and finite, got a minimum of -1"):
        canonical(s, beta=xr.DataArray([1.0, -1.0], dims="b"))
    with pytest.raises(ValueError, match="1 of 1 rows are NaN"):
        canonical(s * np.nan)


# --- heat capacities ------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [1.0, 0.6])
def test_heat_capacities_against_the_oracle(beta):
    s = logits()
    found = heat_capacities(s, beta=beta)
    assert set(found) >= PARTS
    for step in range(3):
        for head in range(2):
            slow = oracles.heat_capacities(s[step, head].to_numpy(), beta)
            for name, value in slow.items():
                assert float(found[name][step, head]) == pytest.approx(value, rel=1e-10), name


def test_heat_capacities_take_dimensions_by_name():
    s = logits()
    xr.testing.assert_allclose(
        heat_capacities(s).transpose("step", "head"),
        heat_capacities(s.transpose("key", "probe", "head", "step")).transpose("step", "head"),
        rtol=1e-13,
    )


def test_heat_capacities_scan_and_subsets():
    s = logits()
    beta = xr.DataArray([0.5, 1.0], dims="temperature", coords={"temperature": [2.0, 1.0]})
    trained = np.arange(20) < 8
    selection = xr.DataArray(
        [np.ones(20, bool), trained, ~trained, np.zeros(20, bool)],
        dims=("inputs", "probe"),
        coords={"inputs": ["all", "trained", "untrained", "none"]},
    )
    found = heat_capacities(s, beta=beta, selection=selection)
    assert found["heat_capacity"].sizes == {"step": 3, "head": 2, "temperature": 2, "inputs": 4}
    own = heat_capacities(s.isel(probe=trained), beta=0.5)
    xr.testing.assert_allclose(
        found.sel(inputs="trained", temperature=2.0, drop=True)[sorted(PARTS)], own[sorted(PARTS)]
    )
    assert bool(found.sel(inputs="none").to_array().isnull().all())
    alone = heat_capacities(s, selection=selection.sel(inputs="trained", drop=True))
    xr.testing.assert_allclose(
        alone, found.sel(inputs="trained", temperature=1.0, drop=True), rtol=1e-13
    )


def test_a_probe_that_is_the_population_has_no_error():
    found = heat_capacities(logits(), population=20)
    for name in set(found) - PARTS:
        assert bool((found[name] == 0).all())
    assert bool((heat_capacities(logits())["heat_capacity_error"] > 0).all())


def test_a_part_of_the_probe_keeps_the_fraction_of_the_probe():
    s = logits()
    part = xr.DataArray(np.arange(20) < 5, dims="probe")
    finite = heat_capacities(s, selection=part, population=40)["heat_capacity_error"]
    free = heat_capacities(s, selection=part)["heat_capacity_error"]
    xr.testing.assert_allclose(finite, free * np.sqrt(0.5))


def test_selection_is_checked():
    s = logits()
    with pytest.raises(
        ValueError, match="selection has 3 inputs along 'probe', the logits have 20"
    ):
        heat_capacities(s, selection=xr.DataArray(np.ones(3, bool), dims="probe"))
    with pytest.raises(ValueError, match=r"selection must have dimensions \(inputs, probe\) or"):
        heat_capacities(s, selection=xr.DataArray(np.ones(20, bool), dims="x"))
    with pytest.raises(ValueError, match="logits must have dimension 'probe'"):
        heat_capacities(s.isel(probe=0))


# --- bound ----------------------------------------------------------------------------------------

PRINTED = {2: 0.4392, 3: 0.7618, 4: 1.0235, 5: 1.2465, 8: 1.7766}
PRINTED |= {16: 2.7187, 64: 5.230, 113: 6.516, 1024: 12.983}


@pytest.mark.parametrize(("n", "value"), PRINTED.items())
def test_bound_table(n, value):
    assert float(heat_capacity_bound(n)) == pytest.approx(value, abs=1e-4 if n < 64 else 1e-3)
    assert float(heat_capacity_bound(n)) == pytest.approx(oracles.heat_capacity_bound(n), rel=1e-8)


def test_bound_is_stationary_to_twelve_digits():
    """At the optimum x (1 - w) = 2 (1 + w): C = x^2/4 - 1 there, free of w."""
    n = np.unique(np.logspace(np.log10(2), 12, 300).round())
    bound = heat_capacity_bound(n)
    x = 2 * np.sqrt(bound + 1)
    w = (n - 1) * np.exp(-x)
    np.testing.assert_allclose(x * (1 - w), 2 * (1 + w), rtol=1e-12)
    assert np.all(np.diff(bound) > 0)


def test_bound_stays_below_its_asymptote():
    n = np.concatenate([np.arange(3, 2000), np.logspace(4, 200, 50)])
    gap = bound_asymptote(n) - heat_capacity_bound(n)
    assert np.all(gap > 0)
    assert gap[-1] < 0.02 < gap[0]


def test_bound_shapes_and_limits():
    assert heat_capacity_bound(1) == 0.0
    np.testing.assert_array_equal(heat_capacity_bound([[1, 2]]).shape, (1, 2))
    assert np.isnan(heat_capacity_bound(np.nan))
    with pytest.raises(ValueError, match="a row has at least 1 visible key, got 0"):
        heat_capacity_bound([3, 0])


@given(st.integers(2, 400))
def test_bound_is_reached(n):
    x = 2 * np.sqrt(heat_capacity_bound(n) + 1)
    row = xr.DataArray(np.r_[x, np.zeros(n - 1)], dims="key")
    best = float(canonical(row)["heat_capacity"])
    assert best == pytest.approx(float(heat_capacity_bound(n)), rel=1e-12)


# --- geometry -------------------------------------------------------------------------------------


def test_distance_broadcasts_by_name():
    s = logits()
    found = fisher_distance(s, s.isel(step=0, drop=True), beta=1.2)
    assert set(found.dims) == {"step", "head", "probe"}
    assert bool((found.isel(step=0) == 0).all())
    slow = oracles.fisher_distance(s.to_numpy(), s.to_numpy()[0], 1.2)
    np.testing.assert_allclose(found.transpose("step", "head", "probe"), slow, atol=1e-7)


@given(st.integers(0, 10_000), st.floats(0.1, 30.0))
def test_distance_is_a_metric(seed, scale):
    a, b, c = (scale * logits(seed + i, np.float64, probe=40, key=4) for i in range(3))
    ab, bc, ac = fisher_distance(a, b), fisher_distance(b, c), fisher_distance(a, c)
    assert bool((ab + bc >= ac - 1e-9).all())
    np.testing.assert_array_equal(ab, fisher_distance(b, a))
    assert float(ab.max()) <= np.pi


@pytest.mark.parametrize("along", ["step", "head"])
def test_a_path_is_never_shorter_than_the_geodesic(along):
    path = path_geometry(logits(), along=along)
    assert bool((path["fisher_length"] >= path["fisher_geodesic"] - 1e-12).all())
    assert bool((path["fisher_detour"] >= 1 - 1e-12).all())
    np.testing.assert_allclose(path["fisher_distance"].sum(along), path["fisher_length"])
    if along == "step":
        np.testing.assert_array_equal(path["step"], [10, 20])


def test_heating_is_a_path_of_known_length():
    """The thermodynamic length: the integral of sqrt(Var E) d beta, on a fine grid."""
    beta = xr.DataArray(
        np.linspace(0.5, 2.0, 2001), dims="beta", coords={"beta": np.linspace(0.5, 2.0, 2001)}
    )
    row = logits(dtype=np.float64, key=6)
    path = path_geometry(beta * row, along="beta")
    speed = np.sqrt(canonical(row, beta=beta)["fisher_information"])
    assert float(path["fisher_length"]) == pytest.approx(float(speed.integrate("beta")), rel=1e-6)


def test_a_straight_path_has_no_detour_and_a_resting_one_no_ratio():
    two = xr.DataArray([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]], dims=("step", "key"))
    path = path_geometry(two)
    assert float(path["fisher_detour"]) == pytest.approx(1.0, rel=1e-12)
    assert np.isnan(path_geometry(two * 0)["fisher_detour"])


def test_a_path_has_two_points():
    with pytest.raises(ValueError, match="a path along 'step' needs at least 2 points, got 1"):
        path_geometry(logits(step=1, key=2))
