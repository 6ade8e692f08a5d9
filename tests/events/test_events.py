"""Planted events with known answers, invariances, censoring, spikes, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from heatcap.events import (
    Events,
    controls_of,
    find_events,
    memorisation,
    near_spikes,
    onset,
    peaks,
    proper_of,
    settings_of,
    smooth,
    spikes,
)
from heatcap.events.curves import Grid
from heatcap.events.record import _running_median

from synthetic import HEADS, Plan, bump, checkpoint_steps, observables, rise

STEP = np.concatenate([[0.0], np.unique(np.rint(np.geomspace(1, 5000, 300)))])
X = np.log(np.maximum(STEP, 0.5))
GRIDS = {
    "logarithmic": np.unique(np.rint(np.geomspace(1, 5000, 150))),
    "linear": np.arange(0, 5000, 20.0),
    "mixed": np.unique(np.r_[np.arange(0, 100, 2), np.arange(100, 5000, 50)]).astype(float),
    "irregular": np.sort(np.random.default_rng(3).uniform(1, 5000, 400)),
}


# ---- memorisation --------------------------------------------------------------------------


def test_memorisation_is_interpolated_in_log_step():
    # 0.9 at 100, 1.0 at 400: 0.99 lies nine tenths of the way in ln step.
    expected = np.exp(0.1 * np.log(100) + 0.9 * np.log(400))
    assert memorisation([0, 100, 400, 500], [0.0, 0.9, 1.0, 0.5]) == pytest.approx(expected)


def test_memorisation_is_the_first_crossing_and_may_be_missing():
    assert memorisation([1, 2, 3, 4], [0.0, 0.99, 0.2, 1.0]) == pytest.approx(2)
    assert np.isnan(memorisation([1, 2, 3], [0.1, 0.5, 0.98]))
    assert memorisation([1, 2, 3], [0.1, 0.5, 0.98], level=0.5) == pytest.approx(2)
    assert np.isnan(memorisation([], []))


def test_a_record_starts_at_its_first_positive_step():
    assert memorisation([0, 10, 20], [1.0, 1.0, 1.0]) == pytest.approx(10)
    assert memorisation([0, 10, 20], [0.0, 1.0, 1.0]) == pytest.approx(10)


def test_rows_of_nan_are_skipped():
    step = [1, 10, np.nan, 100, np.nan]
    assert memorisation(step, [0.0, 0.89, 1.0, 1.09, np.nan]) == pytest.approx(10 * np.sqrt(10))


# ---- onset ---------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", GRIDS)
def test_onset_of_a_planted_rise(grid):
    step = GRIDS[grid]
    accuracy = 0.1 + 0.9 * rise(np.log(np.maximum(step, 0.5)), 800, 0.1)
    found = onset(step, accuracy, 100.0)
    assert not found.censored
    assert found.step == pytest.approx(800, rel=2e-3)
    assert (found.baseline, found.final) == pytest.approx((0.1, 1.0), abs=1e-3)
    assert found.last_step == pytest.approx(step[-1])


def test_the_baseline_is_read_at_memorisation_and_moves_the_midpoint():
    """A plateau of answered mirrors: the midpoint is not 0.5."""
    accuracy = 0.7 * rise(X, 50, 0.02) + 0.3 * rise(X, 1000, 0.2)
    found = onset(STEP, accuracy, 100.0)
    assert found.baseline == pytest.approx(0.7, abs=1e-3)
    assert found.midpoint == pytest.approx(0.85, abs=2e-3)
    assert found.step == pytest.approx(1000, rel=0.01)


def test_onset_is_the_last_upward_crossing_and_is_interpolated_in_log_step():
    accuracy = np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    step = np.array([1.0, 10, 20, 40, 160, 200, 240, 250])
    assert onset(step, accuracy, 5.0).step == pytest.approx(80)  # halfway from 40 to 160


def test_the_final_value_is_the_median_of_the_last_tenth_in_log_step():
    step = np.exp(np.linspace(0, 10, 101))
    accuracy = np.where(step > 100, 1.0, 0.0)
    accuracy[-3:] = 0.0  # 3 of the 11 rows of the last tenth
    assert onset(step, accuracy, 10.0).final == 1.0
    accuracy[-6:] = 0.0  # 6 of 11
    assert onset(step, accuracy, 10.0).final == 0.0
    accuracy[90:101] = np.linspace(0.9, 1.0, 11)
    assert onset(step, accuracy, 10.0).final == pytest.approx(0.95)


def test_the_baseline_is_interpolated_in_log_step():
    step, accuracy = [1, 100, 10_000, 20_000], [0.0, 0.2, 0.6, 1.0]
    assert onset(step, accuracy, 1000.0).baseline == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("base", "final", "censored"),
    [(0.1, 0.92, False), (0.1, 0.89, True), (0.75, 0.93, True), (0.7, 0.92, False), (0, 0, True)],
)
def test_an_onset_needs_a_rise_and_a_final_value(base, final, censored):
    accuracy = base + (final - base) * (STEP > 700)
    found = onset(STEP, accuracy, 100.0)
    assert found.censored is censored
    assert np.isnan(found.step) is np.True_ or not censored
    assert found.last_step == pytest.approx(5000)
    if censored:
        assert "not generalised by step 5000" in found.message


def test_the_conditions_are_options():
    accuracy = 0.1 + 0.5 * (STEP > 700)
    assert onset(STEP, accuracy, 100.0).censored
    assert not onset(STEP, accuracy, 100.0, min_final=0.5).censored
    assert onset(STEP, accuracy, 100.0, min_final=0.5, min_rise=0.6).censored


def test_a_run_that_never_memorised_is_censored_and_says_so():
    found = onset(STEP, np.full(STEP.size, 0.3), np.nan)
    assert found.censored
    assert found.message == "not memorised by step 5000"
    undefined = onset(STEP, np.ones(STEP.size), np.nan)
    assert not undefined.censored  # it does generalise
    assert "the baseline, and with it the onset, is not defined" in undefined.message
    assert onset([], [], 3.0).message == "no test accuracy in the record"
    blank = onset([1, 2], [np.nan, np.nan], 3.0)
    assert not blank.censored  # nothing was observed
    assert np.isnan(blank.step)
    assert blank.message == "no test accuracy in the record"


@given(scale=st.floats(0.01, 1000), at=st.floats(150, 2500))
@settings(deadline=None)
def test_onset_and_memorisation_scale_with_the_step(scale, at):
    step = STEP[1:]
    accuracy, train = 0.02 + 0.97 * rise(X[1:], at, 0.1), rise(X[1:], 60, 0.05)
    base = onset(step, accuracy, memorisation(step, train))
    scaled = onset(scale * step, accuracy, memorisation(scale * step, train))
    assert scaled.step == pytest.approx(scale * base.step, rel=1e-9)
    assert scaled.final == base.final


# ---- spikes --------------------------------------------------------------------------------


def falling(step):
    """A loss that falls by seven orders of magnitude, fastest near step 100."""
    return 1e-7 + 4 * np.exp(-step / 60)


def test_planted_spikes_are_found_and_nothing_else():
    step = np.arange(1.0, 6000, 10)
    loss = falling(step)
    planted = [150, 151, 300, 420, 421, 422, 599]  # one row, several rows, the very last row
    loss[planted] *= 20
    assert np.flatnonzero(spikes(step, loss)).tolist() == planted


def test_a_spike_may_begin_in_the_last_rows():
    step = np.arange(1.0, 3000, 10)
    loss = np.r_[np.ones(step.size - 3), 10, 10, 10]
    assert np.flatnonzero(spikes(step, loss)).tolist() == [297, 298, 299]


def test_the_window_is_a_width_in_log_step():
    """Half of 0.2 in ln step around step 1000 is 100 steps: 20 rows in all."""
    step = np.arange(1.0, 3000, 10)
    short, long = (np.where(np.abs(step - 1000) < half, 10.0, 1.0) for half in (42, 72))
    assert spikes(step, short).sum() == np.sum(short > 1)
    assert not spikes(step, long)[100]
    assert spikes(step, long, width=0.4)[100]


def test_a_spike_is_measured_against_the_factor():
    step = np.arange(1.0, 2000, 10)
    loss = np.ones(step.size)
    loss[100], loss[150] = 4.9, 5.1
    assert np.flatnonzero(spikes(step, loss)).tolist() == [150]
    assert np.flatnonzero(spikes(step, loss, factor=4)).tolist() == [100, 150]
    assert not spikes(step, loss, factor=6).any()


@pytest.mark.parametrize("grid", GRIDS)
def test_falling_rising_and_stepwise_losses_have_no_spikes(grid):
    step = GRIDS[grid]
    assert not spikes(step, falling(step)).any()
    assert not spikes(step, falling(step)[::-1])[:-3].any()  # at the end, one may have begun
    assert not spikes(step, np.where(step > 600, 1.0, 1e-6)).any()
    assert not spikes(step, np.where(step > 600, 1e-6, 1.0)).any()


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=80), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_loss_that_only_falls_is_never_marked(values, seed):
    gaps = np.random.default_rng(seed).exponential(size=len(values)) + 1e-6
    assert not spikes(np.cumsum(gaps), np.sort(values)[::-1]).any()


@given(st.floats(1e-8, 1e8), st.floats(0.1, 100))
@settings(deadline=None)
def test_spikes_do_not_depend_on_the_unit_of_loss_or_step(unit, scale):
    step = np.arange(1.0, 3000, 10)
    loss = falling(step) * np.exp(0.3 * np.random.default_rng(0).normal(size=step.size))
    loss[[100, 200]] *= 50
    assert spikes(scale * step, unit * loss).tolist() == spikes(step, loss).tolist()


def test_the_first_rows_have_nothing_to_be_compared_with():
    assert not spikes(np.arange(1, 30), np.r_[100.0, 50.0, 20.0, np.ones(26)]).any()


def test_padding_and_step_zero_are_not_spikes():
    step = np.r_[0.0, np.arange(1.0, 100), np.full(5, np.nan)]
    loss = np.r_[99.0, np.ones(99), np.full(5, np.nan)]
    loss[50] = 10
    loss[60] = np.nan
    assert np.flatnonzero(spikes(step, loss)).tolist() == [50]
    assert spikes([], []).size == 0
    assert not spikes([1, 2], [1.0, 9.0]).any()


def test_checkpoints_on_both_sides_of_a_spike_are_near_it():
    step = [10, 20, 30, 40]
    assert near_spikes(step, [25]).tolist() == [False, True, True, False]
    assert near_spikes(step, [20]).tolist() == [False, True, False, False]
    assert near_spikes(step, [3]).tolist() == [True, False, False, False]
    assert near_spikes(step, [99, 24]).tolist() == [False, True, True, True]
    assert near_spikes(step, []).tolist() == [False] * 4
    assert near_spikes([], [1.0]).size == 0


# ---- smoothing -----------------------------------------------------------------------------


@given(
    a=st.floats(-10, 10),
    b=st.floats(-10, 10),
    width=st.floats(0.01, 2),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_straight_lines_in_log_step_pass_unchanged_up_to_the_ends(a, b, width, seed):
    step = np.cumsum(np.random.default_rng(seed).exponential(size=40) + 0.01)
    line = a + b * np.log(step)
    scale = 1 + np.abs(line).max()
    assert np.abs(smooth(step, line, width=width) - line).max() < 1e-8 * scale


def test_smoothing_is_the_weighted_straight_line_fit():
    rng = np.random.default_rng(1)
    step, curve = np.cumsum(rng.exponential(size=30)), rng.normal(size=30)
    x = np.log(step)
    for i in (0, 7, 29):
        weight = np.exp(-0.5 * ((x - x[i]) / 0.3) ** 2)
        fit = np.polynomial.Polynomial.fit(x - x[i], curve, 1, w=np.sqrt(weight)).convert()
        assert smooth(step, curve, width=0.3)[i] == pytest.approx(fit.coef[0])


def test_isolated_checkpoints_keep_their_value():
    curve = np.array([1.0, -2.0, 5.0])
    assert smooth([1, 1e6, 1e12], curve, width=0.01) == pytest.approx(curve)


def test_smoothing_keeps_shape_and_padding():
    out = smooth([0, 1, 2, np.nan], [5.0, 1.0, np.nan, np.nan])
    assert np.isnan(out).tolist() == [True, False, True, True]


# ---- peaks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("at", [90.0, 700.0])
def test_a_planted_peak_is_found_within_the_spacing(grid, at):
    step = GRIDS[grid]
    found = peaks(step, 2 * bump(np.log(np.maximum(step, 0.5)), at, 0.5))
    assert found.rank.tolist() == [1]
    assert abs(found.step[0] - at) <= found.spacing[0] + 0.03 * at  # a third of the smoothing
    assert found.height[0] == pytest.approx(2, rel=0.025)  # three points
    assert found.found
    assert not found.edge_maximum
    assert not found.at_spike.any()


def test_peaks_are_ranked_by_height_with_their_prominence():
    curve = 1.0 * bump(X, 30, 0.3) + 3.0 * bump(X, 400, 0.3) + 0.5 * bump(X, 3000, 0.15) + 7
    found = peaks(STEP, curve, smoothing=0.03)
    assert found.rank.tolist() == [1, 2, 3]
    assert found.step == pytest.approx([400, 30, 3000], rel=0.03)
    assert found.height == pytest.approx([10, 8, 7.5], abs=0.05)
    assert found.prominence == pytest.approx([3, 1, 0.5], abs=0.05)


def test_rank_goes_by_height_and_not_by_prominence():
    x = np.arange(11.0)
    found = peaks(np.exp(x), np.interp(x, [0, 2, 6, 8, 10], [9, 10, 0, 6, 0]), smoothing=1e-3)
    # Isolated checkpoints: parabolas through 9.5, 10, 7.5 and through 3, 6, 3.
    assert found.height == pytest.approx([10 + 1 / 6, 6])
    assert found.prominence == pytest.approx([1, 6])


def test_prominence_is_measured_from_the_higher_saddle():
    x = np.arange(9.0)
    curve = np.interp(x, [0, 2, 4, 6, 8], [0.0, 5.0, 3.0, 4.0, 1.0])
    found = peaks(np.exp(x), curve, smoothing=1e-3)
    assert found.step == pytest.approx(np.exp([2 + 3 / 14, 6 - 1 / 4]))
    assert found.prominence == pytest.approx([4, 1])  # the record's end at 1 is the higher side


def test_small_maxima_are_not_listed():
    curve = bump(X, 400, 0.5) + 0.015 * bump(X, 20, 0.3)
    assert peaks(STEP, curve).rank.size == 1
    assert peaks(STEP, curve, min_prominence=0.01).rank.size == 2


@pytest.mark.parametrize(
    ("curve", "end"), [(X, "last"), (-X, "first"), (np.exp(X / 3), "last"), ((X - 5) ** 2, "last")]
)
def test_a_maximum_at_an_end_is_no_interior_peak(curve, end):
    found = peaks(STEP, curve)
    assert not found.found
    assert found.rank.size == 0
    assert found.edge_maximum
    if end == "last" and curve[-1] > curve[1]:
        assert found.reason == "no interior maximum: the curve is highest at its last checkpoint"


def test_an_end_higher_than_the_peak_is_flagged_and_the_peak_kept():
    curve = bump(X, 60, 0.3) + 3 * rise(X, 6000, 0.3)
    found = peaks(STEP, curve)
    assert found.step == pytest.approx([60], rel=0.05)
    assert found.edge_maximum


@pytest.mark.parametrize("value", [0.0, 0.3, -1e6])
def test_a_flat_curve_has_no_peak(value):
    found = peaks(STEP, np.full(STEP.size, value))
    assert found.reason == "the curve is flat"


@pytest.mark.parametrize("n", [0, 1, 4])
def test_too_few_checkpoints_are_a_reason_and_no_exception(n):
    found = peaks(np.arange(n + 1), np.r_[99.0, np.ones(n)])
    assert f"{n} checkpoints after step 0" in found.reason
    assert "at least 5 needed" in found.reason
    assert found.step.size == found.spacing.size == 0


@given(
    a=st.floats(1e-6, 1e6),
    b=st.floats(-1e3, 1e3),
    scale=st.floats(0.01, 100),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=50)
def test_peaks_are_invariant_under_affine_maps_and_rescaled_steps(a, b, scale, seed):
    noise = np.random.default_rng(seed).normal(size=STEP.size)
    curve = bump(X, 300, 0.6) + 0.7 * bump(X, 20, 0.4) + 0.05 * noise
    base, mapped = peaks(STEP, curve), peaks(scale * STEP, a * (curve + b))
    assert mapped.step == pytest.approx(scale * base.step)
    assert mapped.prominence == pytest.approx(a * base.prominence, rel=1e-6, abs=a * 1e-6)
    assert mapped.height == pytest.approx(a * (base.height + b), rel=1e-6, abs=a * 1e-6)


def test_a_plateau_without_scatter_is_a_peak():
    curve = np.where(np.abs(np.arange(60) - 30) < 10, 100.0, 0.0)
    found = peaks(10.0 * np.arange(1, 61), curve)
    assert 200 < found.step[0] < 400
    assert found.significance[0] > 1e100  # and nothing overflowed


def test_spikes_can_neither_be_a_peak_nor_move_one():
    curve = bump(X, 600, 0.4)
    spike_steps = np.array([200.0, 620.0, 2000.0])
    hit = curve + 5 * np.array(near_spikes(STEP, spike_steps))
    found = peaks(STEP, hit, spike_steps)
    assert found.step[0] == pytest.approx(600, rel=0.05)
    assert found.height[0] == pytest.approx(1, abs=0.05)
    assert found.at_spike.tolist() == [False, True, True]
    assert found.rank.tolist() == [1, 2, 3]
    assert sorted(found.step[1:]) == pytest.approx([200, 2000], rel=0.05)
    assert peaks(STEP, hit).step[0] != found.step[0]  # without the marks it is a spike


def test_rank_one_is_absent_where_all_maxima_are_at_spikes():
    spike_steps = np.array([100.0, 1000.0])
    curve = X + 5 * np.array(near_spikes(STEP, spike_steps))
    found = peaks(STEP, curve, spike_steps)
    assert not found.found
    assert found.rank.tolist() == [2, 3]
    assert found.at_spike.all()
    assert found.edge_maximum


def test_a_maximum_that_stands_without_its_spike_is_listed_once():
    curve = bump(X, 600, 0.4)
    found = peaks(STEP, curve, [600.0])
    assert found.rank.tolist() == [1]
    assert not found.at_spike.any()


def test_a_record_all_near_spikes_says_so():
    step = np.arange(1.0, 20)
    found = peaks(step, bump(np.log(step), 9, 0.3), step)
    assert "0 checkpoints" in found.reason
    assert "19 are near a spike" in found.reason
    assert found.at_spike.all()
    assert found.rank.tolist() == [2]


def test_spacing_is_the_larger_gap():
    step = np.array([1.0, 2, 4, 9, 11, 30])
    assert peaks(step, [0, 1, 2, 9, 3, 1], smoothing=0.01).spacing.tolist() == [5]


# ---- errors --------------------------------------------------------------------------------


def test_errors_say_what_was_expected_and_what_came():
    with pytest.raises(ValueError, match=r"step must increase, got 3 followed by 2"):
        memorisation([1, 3, 2], [0, 0, 1])
    with pytest.raises(ValueError, match=r"step and curve must be .* got \(3,\) and \(2,\)"):
        peaks([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="smoothing must be positive, got 0"):
        peaks([1, 2, 3], [1, 2, 3], smoothing=0)
    with pytest.raises(ValueError, match="min_prominence must be positive, got nan"):
        peaks([1, 2, 3], [1, 2, 3], min_prominence=np.nan)
    with pytest.raises(ValueError, match="factor must be positive"):
        spikes([1, 2, 3], [1, 2, 3], factor=-1)
    with pytest.raises(ValueError, match="step must increase, got 2 followed by 2"):
        onset([1, 2, 2], [1, 2, 3], 1.0)


# ---- all runs ------------------------------------------------------------------------------

PLANS = [
    Plan(p=19, seed=0, memorisation=70, onset=2000, peak=1500, last=5000),
    Plan(p=43, seed=0, memorisation=100, onset=800, peak=1000, last=2000, symmetric=False),
    Plan(p=43, seed=1, memorisation=90, onset=np.nan, peak=700, last=3000),
    Plan(p=43, seed=0, onset=np.nan, control="random_labels", last=3000),
    Plan(p=43, seed=0, onset=np.nan, weight_decay=0.0, last=3000),
    Plan(p=113, seed=0, spikes=(250.0, 1800.0), last=4000),
]
COLUMNS = [
    *("run", "p", "seed", "fraction", "weight_decay", "task", "control", "observable", "layer"),
    *("head", "rank", "peak_step", "peak_height", "prominence", "at_spike", "memorisation_step"),
    *("onset_step", "censored", "lead_steps", "status", "last_step"),
]


@pytest.fixture(scope="module")
def obs() -> xr.Dataset:
    return observables(PLANS, noise=0.01)


@pytest.fixture(scope="module")
def events(obs) -> Events:
    return find_events(obs)


def test_runs_have_their_planted_events(obs, events):
    runs = events.runs
    assert runs["run"].tolist() == obs["run"].values.tolist()
    planted = [q.memorisation for q in PLANS]
    # Planted in 0.99 + 0.6 ln(t / t_mem), clipped at 1: exact but for the clipped row.
    assert runs["memorisation_step"].to_numpy() == pytest.approx(planted, rel=0.02)
    expected = [q.onset for q in PLANS]
    assert runs["onset_step"].to_numpy() == pytest.approx(expected, rel=0.02, nan_ok=True)
    assert runs["censored"].tolist() == [False, False, True, True, True, False]
    assert runs["last_step"].tolist() == [5000, 2000, 3000, 3000, 3000, 4000]
    assert runs["spikes"].tolist() == [0, 0, 0, 0, 0, 2]
    assert (runs["spike_share"] > 0).tolist() == [False] * 5 + [True]
    assert runs["onset_metric"][0] == "mirror_free_accuracy"
    assert runs["onset_metric"][1] == "test_accuracy"
    assert runs["group"].tolist() == ["none"] * 3 + ["random_labels", "weight_decay_0", "none"]
    assert runs["stop_reason"][0] == "twice the onset"
    assert runs["message"][2].startswith("not generalised by step 3000")


def test_the_mirror_free_accuracy_is_used_because_the_plain_one_leaks(obs, events):
    plain = find_events(obs.drop_vars("mirror_free_accuracy"))
    assert plain.runs["onset_metric"].eq("test_accuracy").all()
    assert plain.runs["baseline"][0] == pytest.approx(0.7, abs=0.02)
    assert events.runs["baseline"][0] == pytest.approx(0.01, abs=0.01)


def test_leads_are_onset_minus_peak_and_empty_when_censored(events):
    peak = events.peak("landscape_heat_capacity")
    assert peak["peak_step"].to_numpy() == pytest.approx([q.peak for q in PLANS], rel=0.12)
    lead = peak["lead_steps"].to_numpy()
    assert lead[0] > 0 > lead[1]
    assert np.isnan(lead[2:5]).all()
    assert lead == pytest.approx((peak["onset_step"] - peak["peak_step"]).to_numpy(), nan_ok=True)


def test_every_head_and_their_average_are_listed(events):
    first = events.peak("unweighted_heat_capacity", head=3)
    mean = events.peak("unweighted_heat_capacity")
    assert set(events.table["head"]) == {*map(str, range(HEADS)), "mean"}
    # Heads are planted as 0.7, 0.9, 1.1, 1.3 times the curve.
    ratio = first["peak_height"].to_numpy() / mean["peak_height"].to_numpy()
    assert ratio == pytest.approx(np.full(6, 1.3), rel=0.03)


def test_the_table_has_the_columns_of_the_file_format(events):
    assert events.table.columns.tolist()[: len(COLUMNS)] == COLUMNS
    kept = events.table.drop_duplicates(["run", "observable", "layer", "head"])
    assert len(kept) == len(PLANS) * 6 * (HEADS + 1)


def test_maxima_at_spikes_follow_after_the_peak(events):
    spiky = events.table[events.table["at_spike"].fillna(False)]
    assert set(spiky["p"]) == {113}
    assert (spiky["rank"] > 1).all()
    assert np.isfinite(spiky["lead_steps"]).all()


def test_a_run_is_read_alike_alone_and_among_longer_ones(obs, events):
    """Padding with NaN changes nothing."""
    for r in (0, 1):
        alone = obs.isel(run=[r])
        n = int(np.isfinite(alone["step"]).sum())
        cut = find_events(alone.isel(checkpoint=slice(0, n))).table
        pd.testing.assert_frame_equal(
            cut, events.table[events.table["run"] == cut["run"][0]].reset_index(drop=True)
        )


def test_short_runs_and_blank_runs_are_kept_with_a_reason(obs):
    blank = obs.isel(run=[0, 1]).copy(deep=True)
    blank["heat_capacity"].loc[{"run": blank["run"][0]}] = np.nan
    for name in ("train_accuracy", "test_accuracy", "mirror_free_accuracy", "train_loss"):
        blank[name].loc[{"run": blank["run"][1]}] = np.nan
    found = find_events(blank, "heat_capacity")
    first, second = (found.table[found.table["run"] == r] for r in blank["run"].values)
    assert (first["status"] == "no interior peak").all()
    assert first["reason"].str.contains("0 checkpoints").all()
    assert first["rank"].isna().all()
    assert len(first) == HEADS + 1
    assert (second["status"] == "peak").all()
    assert second["onset_step"].isna().all()
    assert (second["message"] == "no test accuracy in the record").all()
    assert found.runs["message"][1] == "no test accuracy in the record"


def test_dimensions_may_be_missing(obs, events):
    flat = obs.isel(layer=0, query=0, drop=True).sel(inputs="all", drop=True).mean("head")
    found = find_events(flat, "total_heat_capacity")
    assert set(found.table["head"]) == {"mean"}
    expected = events.peak("total_heat_capacity")
    assert found.table[found.table["rank"] == 1]["peak_step"].tolist() == (
        expected["peak_step"].tolist()
    )


def test_options_reach_the_peaks(obs):
    fine = find_events(obs, "heat_capacity", smoothing=0.01, min_significance=0)
    assert len(fine.table) > len(find_events(obs, "heat_capacity").table)
    assert fine.settings["smoothing"] == 0.01
    half = obs.copy(deep=True)
    name = "landscape_heat_capacity"
    half[name].loc[{"inputs": "trained"}] *= 0.5
    heights = [
        find_events(half, name, inputs=i).peak(name)["peak_height"].to_numpy()
        for i in ("all", "trained")
    ]
    assert heights[1] / heights[0] == pytest.approx(np.full(6, 0.5), rel=0.05)


def test_the_query_is_chosen_by_index(obs):
    one = obs[["heat_capacity"]]
    two = xr.concat([2 * one, one.assign_coords(query=[3])], "query")
    two = two.assign({name: obs[name] for name in ("train_accuracy", "test_accuracy")})
    last, first = (
        find_events(two, "heat_capacity", query=q).peak("heat_capacity")["peak_height"].to_numpy()
        for q in (-1, 0)
    )
    assert first == pytest.approx(2 * last)


def test_refusals_name_what_is_missing(obs):
    with pytest.raises(ValueError, match=r"lack magnetisation; they have .*heat_capacity"):
        find_events(obs, "magnetisation")
    with pytest.raises(ValueError, match="observables lack 'metric_step', which events need"):
        find_events(obs.drop_vars("metric_step"))
    with pytest.raises(
        ValueError, match=r"inputs must be one of \['all', 'trained', 'untrained'\]"
    ):
        find_events(obs, inputs="some")
    with pytest.raises(ValueError, match="query must be an index into 1 queries, got 1"):
        find_events(obs, query=1)
    with pytest.raises(ValueError, match="run ids must be unique, got"):
        find_events(xr.concat([obs, obs.isel(run=[0])], "run"))
    wrong = obs.copy(deep=True)
    wrong["metric_step"][1, 5] = 1e9
    with pytest.raises(
        ValueError, match=r"run add_p043_s0_none_wd1: step must increase, got 1e\+09"
    ):
        find_events(wrong)


def test_the_csv_file_reads_back(events, tmp_path):
    events.to_csv(tmp_path / "events.csv")
    back = pd.read_csv(tmp_path / "events.csv", keep_default_na=False)
    assert back.columns.tolist()[: len(COLUMNS)] == COLUMNS
    assert len(back) == len(events.table)
    assert set(back["censored"]) == {"True", "False"} or back["censored"].dtype == bool
    censored = back[back["censored"].astype(str) == "True"]
    assert (censored["lead_steps"] == "").all()
    assert (censored["onset_step"] == "").all()
    steps = pd.to_numeric(back["peak_step"]).to_numpy()
    assert steps == pytest.approx(events.table["peak_step"].to_numpy(dtype=float), nan_ok=True)


def test_everything_goes_to_json_and_back(events):
    said = json.loads(json.dumps(events.to_dict(), allow_nan=False))
    assert said["schema_version"] == 1
    assert len(said["peaks"]) == len(events.table)
    assert said["runs"][2]["onset_step"] is None
    assert said["runs"][2]["censored"] is True
    assert isinstance(said["peaks"][0]["rank"], int)


def test_counts_are_those_of_the_head_average_by_group(events):
    counts = events.counts().set_index(["observable", "group"])
    main = counts.loc[("landscape_heat_capacity", "none")]
    assert main[["runs", "censored", "with_peak", "compared", "peak_first"]].tolist() == [
        4, 1, 4, 3, 2,
    ]  # fmt: skip
    lead = events.peak("landscape_heat_capacity")["lead_steps"].to_numpy()[[0, 1, 5]]
    # The fourth run had not generalised long after its peak: its lead is longer than all.
    assert main["median_lead"] == pytest.approx(np.median([*lead, 1e9]))
    control = counts.loc[("landscape_heat_capacity", "random_labels")]
    assert control[["runs", "censored", "with_peak", "compared"]].tolist() == [1, 1, 1, 0]


def test_runs_without_a_peak_count_and_single_heads_do_not(obs):
    some = obs.isel(run=[0, 1]).copy(deep=True)
    some["heat_capacity"].loc[{"run": some["run"][1]}] = 1.0
    some["heat_capacity"].loc[{"head": 0}] = 1.0
    (row,) = find_events(some, "heat_capacity").counts().to_dict("records")
    assert (row["runs"], row["with_peak"], row["compared"]) == (2, 1, 1)


def test_the_summary_counts_and_claims_nothing_else(events):
    text = events.summary()
    header, *lines = (re.split(r"\s{2,}", line) for line in text.splitlines())
    assert header[1:6] == ["peak", "highest at end", "onset", "peak first", "unresolved"]
    cells = dict(
        zip(header, next(t for t in lines if t[0] == "landscape_heat_capacity"), strict=False)
    )
    assert (cells["peak"], cells["onset"], cells["peak first"]) == ("4/4", "3/4", "2/3")
    assert "prominence at least 2% of the range" in text
    assert cells["random_labels"] == "peak 1/1, onset 0/1"
    assert cells["weight_decay_0"].startswith("peak 1/1")
    for word in ("precede", "cause", "predict", "significant", "transition"):
        assert word not in text


def test_a_run_without_a_control_belongs_to_the_study(obs):
    blank = obs.assign_coords(control=("run", ["", "none", "nan", "random_labels", "", ""]))
    expected = ["none", "none", "none", "random_labels", "weight_decay_0", "none"]
    assert find_events(blank).runs["group"].tolist() == expected


def test_the_owner_tells_the_runs_proper_from_the_controls(events):
    runs = events.runs
    group_of = dict(zip(runs["run"], runs["group"], strict=True))
    assert events.group_of == group_of
    assert [group_of[run] for run in events.proper["run"]] == ["none"] * 4
    assert list(events.controls) == ["random_labels", "weight_decay_0"]  # in order of appearance
    assert [len(part) for part in events.controls.values()] == [1, 1]
    assert events.of_group("random_labels")["p"].tolist() == [43]
    assert events.of_group("another").empty
    assert events.counted_controls() == {"random_labels": 1, "weight_decay_0": 1}
    peaks = events.peak("landscape_heat_capacity").merge(runs[["run", "group"]], on="run")
    assert proper_of(peaks)["run"].isin(events.proper["run"]).all()
    assert sum(map(len, [proper_of(peaks), *controls_of(peaks).values()])) == len(peaks)


def test_settings_are_what_the_runs_were_given(obs, events):
    given = {str(name) for name in obs.coords if obs[name].dims == ("run",)} - {"run"}
    assert set(settings_of(events.runs)) == given


def test_the_highest_of_a_curve_is_one_row_a_run(events):
    keys = ["run", "observable", "layer"]
    highest = events.highest()
    assert not highest.duplicated(keys).any()
    assert set(highest["head"]) == {"mean"}
    assert len(highest) == len(events.runs) * len(events.names())
    one = events.curves_of("landscape_heat_capacity", highest["layer"].iloc[0])
    assert one["run"].tolist() == events.runs["run"].tolist()


def test_events_are_a_result(events):
    assert events.ok
    assert "Task differs" in {each.title for each in events.cautions()}
    assert events.summary(verbose=True) == events.summary()


def test_weight_decay_zero_is_no_control_where_all_runs_have_it():
    plans = [replace(q, weight_decay=0.0) for q in PLANS[:2]]
    assert find_events(observables(plans)).runs["group"].tolist() == ["none", "none"]


def test_checkpoints_start_after_step_zero(obs):
    shifted = obs.copy(deep=True)
    for name in ("heat_capacity", "landscape_heat_capacity"):
        shifted[name][:, 0] = 1e6
    assert checkpoint_steps(100)[0] == 0
    first = find_events(shifted, "heat_capacity").table
    pd.testing.assert_frame_equal(first, find_events(obs, "heat_capacity").table)


def test_the_smoothers_of_a_run_are_made_once(monkeypatch, obs):
    """Building the smoother is what costs: one for each run, not one for each curve."""
    made, real = [], Grid.of.__func__
    monkeypatch.setattr(Grid, "of", classmethod(lambda cls, *a: made.append(1) or real(cls, *a)))
    found = find_events(obs)
    assert len(made) == len(found.runs)


def test_highest_at_an_end_is_counted_apart(obs):
    """A curve that only rises, with noise on it, has bumps but no peak in the summary."""
    rising, rng = obs.isel(run=[0, 1]).copy(deep=True), np.random.default_rng(4)
    height = np.log1p(rising["step"]) / 10
    noise = xr.DataArray(rng.normal(scale=0.02, size=height.shape), dims=height.dims)
    rising["heat_capacity"] = (height + noise).broadcast_like(rising["heat_capacity"])
    found = find_events(rising, "heat_capacity", smoothing=0.03)
    (row,) = found.counts().to_dict("records")
    assert (row["with_peak"], row["compared"]) == (0, 0)
    ends = found.curves[found.curves["head"] == "mean"]["edge_maximum"]
    assert row["highest_at_end"] == ends.sum() >= 1


def test_a_lead_within_the_spacing_is_unresolved(obs):
    """Onset and peak closer than the checkpoints around the peak: neither came first."""
    (before,) = (
        find_events(obs.isel(run=[0]), "landscape_heat_capacity").counts().to_dict("records")
    )
    assert before["peak_first"] + before["onset_first"] == before["compared"] == 1
    found = find_events(obs.isel(run=[0]), "landscape_heat_capacity")
    wide = replace(found, table=found.table.assign(peak_step_spacing=1e6))
    (row,) = wide.counts().to_dict("records")
    assert (row["peak_first"], row["unresolved"], row["onset_first"]) == (0, 1, 0)


def test_where_rows_grow_dense_the_window_is_as_long_as_its_sparse_side():
    """100 rows lie within the width after the 20th row, and one before: three on either side."""
    x = np.concatenate([np.linspace(0, 2, 21), 2 + 0.001 * np.arange(1, 200)])
    away = np.abs(np.arange(x.size) - 20.0)
    assert _running_median(x, away, 0.2)[20] <= 3
