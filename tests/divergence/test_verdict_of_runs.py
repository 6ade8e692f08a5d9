"""Verdicts on runs: heights are those of the peaks, and what is missing is stated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from heatcap.attention import heat_capacity_bound
from heatcap.divergence import bound_by_keys, divergence_test, verdict_of_runs
from heatcap.events import find_events

from synthetic import Plan, observables

SIZES = (19, 29, 43, 67, 113)
NAME = "landscape_heat_capacity"


@pytest.fixture(scope="module")
def obs():
    """At p = 43 one run has no peak."""
    rng = np.random.default_rng(3)
    plans = [Plan(p=p, seed=s) for p in SIZES for s in range(4)]
    table = observables(plans, noise=0.002, scan=False)
    factor = np.log(table["p"]) * np.exp(0.02 * rng.normal(size=len(plans)))
    curve = table[NAME] * factor
    flat = (table["p"] == 43) & (table["seed"] == 2)
    table[NAME] = xr.where(flat, curve.isel(checkpoint=-1), curve).transpose(*curve.dims)
    return table


@pytest.fixture(scope="module")
def events(obs):
    return find_events(obs, NAME)


def test_the_verdict_is_that_of_the_heights_of_the_peaks(events):
    found = verdict_of_runs(events, NAME)
    peaks = [part["peak_height"].to_numpy() for _, part in events.peak(NAME).groupby("p")]
    by_hand = divergence_test(SIZES, None, replicates=peaks)
    np.testing.assert_allclose(found.data.heights, [each.mean() for each in peaks])
    assert found.p_values == by_hand.p_values
    assert found.size_name == "p"


def test_runs_without_a_peak_are_stated(events):
    assert any("1 at p = 43" in text for text in verdict_of_runs(events, NAME).warnings)


def test_settings_that_differ_are_stated(events):
    mixed = replace(
        events, runs=events.runs.assign(fraction=np.where(events.runs["p"] > 50, 0.3, 0.7))
    )
    assert any("differ in fraction" in text for text in verdict_of_runs(mixed, NAME).warnings)
    assert not any("differ" in text for text in verdict_of_runs(events, NAME).warnings)


def test_an_unknown_group_and_too_few_sizes_are_refused(obs, events):
    with pytest.raises(ValueError, match="group 'absent'"):
        verdict_of_runs(events, NAME, group="absent")
    few = find_events(obs.where(obs["p"] < 50, drop=True), NAME)
    with pytest.raises(ValueError, match="expected at least 4 sizes, got 3"):
        verdict_of_runs(few, NAME)


def test_the_bound_follows_the_visible_keys(obs):
    keys = xr.DataArray(np.full((obs.sizes["run"], 1), 3.0), dims=("run", "query"))
    constant = bound_by_keys(obs.assign(mean_visible_keys=keys))
    assert constant(19.0) == constant(1e9) == heat_capacity_bound(3)
    grown = bound_by_keys(obs.assign(mean_visible_keys=keys * 0 + obs["p"] - 1))
    assert grown(1000.0) == pytest.approx(float(heat_capacity_bound(999)))
    odd = bound_by_keys(obs.assign(mean_visible_keys=keys + (obs["p"] == 29)))
    assert odd is None
