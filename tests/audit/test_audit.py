"""The audit of leads: exact cases, planted relations and their absence, nulls that can fail."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from heatcap.attention import canonical
from heatcap.audit import (
    audit_leads,
    bound,
    clock,
    controls,
    holm,
    lead_table,
    max_statistic,
    median_with_interval,
    offset_share,
    phase_null,
    precedes,
    random_energy_heat_capacity,
    random_energy_ratio,
    records_of,
    spike_share,
)
from heatcap.audit.every_test import _pairing
from heatcap.audit.lead_tests import LeadColumn, _between_sizes
from heatcap.divergence import verdict_of_runs
from heatcap.events import find_events, onset_survival, peaks_by_size

from false_alarms_and_power import (
    END,
    START,
    Times,
    common_cause,
    few_sizes,
    judged_curves,
    memorisation_clock,
    own_clock,
    planted_curves,
    planted_lead,
    planted_sweep,
    random_ln_step,
    random_step,
    rates,
    records_at_a_multiple,
    records_of_one_end,
    same_distribution,
    sizes_go_their_own_way,
    table_of,
    verdicts,
)
from synthetic import Plan, observables

RNG = np.random.default_rng


@pytest.fixture
def obs(sweep_obs):
    return sweep_obs


@pytest.fixture
def events(sweep_events):
    return sweep_events


@pytest.fixture
def audit(sweep_audit):
    return sweep_audit


def records(table, start=START, end=END):
    return dict.fromkeys(table["run"], (start, end))


# ---- planted data: what must not be found, and what must -----------------------------------


@pytest.mark.statistical
@pytest.mark.parametrize(
    "scenario",
    [same_distribution, random_step, random_ln_step, sizes_go_their_own_way],
    ids=lambda s: s.__name__,
)
def test_without_a_relation_no_lead_is_found(scenario):
    """At most 5 % of the experiments claim an order (150 of each; 3 standard errors allowed)."""
    found = rates(verdicts(scenario, 150))
    allowed = 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)
    assert found["first"] <= allowed
    assert found["first"] + found["later"] <= allowed
    assert found["onset"] <= allowed
    assert found["pairing"] <= allowed


@pytest.mark.statistical
def test_few_sizes_are_not_pooled():
    """Three sizes with an order each of their own: a claim needs every one of them."""
    found = rates(verdicts(few_sizes, 100))
    assert found["first"] + found["later"] <= 0.25  # all three alike by chance
    assert found["onset"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)


@pytest.mark.statistical
@pytest.mark.parametrize(
    "scenario", [memorisation_clock, own_clock, common_cause], ids=lambda s: s.__name__
)
def test_a_peak_on_another_clock_comes_first_and_does_not_follow_the_onset(scenario):
    found = rates(verdicts(scenario, 100))
    assert found["first"] >= 0.95  # it does come first
    assert found["first and onset"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)
    if scenario is memorisation_clock:
        assert found["memorisation"] >= 0.9


@pytest.mark.statistical
def test_a_planted_lead_is_found():
    """Two standard deviations of one run, 10 runs: found in 95 % of the experiments or more."""
    found = rates(verdicts(planted_lead, 200))
    assert found["first"] >= 0.95
    assert found["pairing"] >= 0.7


@pytest.mark.statistical
def test_a_planted_lead_over_sizes_follows_the_onset():
    found = rates(verdicts(planted_sweep, 60))
    assert found["first"] == 1
    assert found["onset"] >= 0.95


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("lead", "spread", "order", "least"),
    [(0.5, 0.25, "first", 0.9), (-0.5, 0.25, "later", 0.7), (0.0, 0.25, "undecided", 0.85)],
)
def test_planted_curves_are_judged_as_planted(lead, spread, order, least):
    rng = RNG(5)
    said = [judged_curves(planted_curves(rng, lead, spread), rng) for _ in range(30)]
    assert said.count(order) / 30 >= least


# ---- order ---------------------------------------------------------------------------------


def test_sign_and_wilcoxon_are_scipys():
    times = planted_lead(RNG(0), 12)
    table = table_of(times)
    p = precedes(table, records(table), rng=RNG(0))
    first = int((times.peak < times.onset).sum())
    assert p.sign_p == stats.binomtest(first, 12).pvalue
    assert p.wilcoxon_p == stats.wilcoxon(np.log(times.onset / times.peak)).pvalue
    assert p.share == first / 12


def test_a_lead_within_the_rows_of_the_accuracy_is_unresolved():
    """Accuracy logged every 1000 steps: an onset between two rows is known no better."""
    plans = [Plan(seed=s, onset=900.0 + 10 * s, peak=600.0 + 10 * s) for s in range(8)]
    obs = observables(plans, noise=0.005, scan=False)
    kept = (obs["metric_step"] < 200) | (obs["metric_step"] % 1000 < 9)
    sparse = obs.assign(mirror_free_accuracy=obs["mirror_free_accuracy"].where(kept))
    for table, order in ((obs, "first"), (sparse, "unresolved")):
        events = find_events(table, "landscape_heat_capacity")
        assert (lead_table(events, "landscape_heat_capacity", 0)["order"] == order).all()
    assert events.runs["onset_step_spacing"].min() > 700


def test_what_the_record_leaves_open_counts_against_the_majority():
    times = planted_lead(RNG(0), 10, errors=4)
    table = table_of(times)
    assert precedes(table, records(table), rng=RNG(0)).strict_sign_p < 0.05
    rising = pd.concat([table, table.assign(rising=True, order="", peak_step=np.nan)])
    rising["run"] = np.arange(20)
    assert precedes(rising, records(rising), rng=RNG(0)).strict_sign_p == 1
    late = table_of(Times(times.onset, times.peak, times.memorisation, times.size))
    waiting = pd.concat([late, late.assign(censored=True, order="", onset_step=np.nan)])
    waiting["run"] = np.arange(20)
    p = precedes(waiting, records(waiting), rng=RNG(0))
    assert p.share == 0
    assert p.strict_sign_p == 1


def test_sizes_that_differ_in_their_order_are_noticed():
    early = planted_lead(RNG(0), 8, errors=4)
    both = Times(
        np.r_[early.peak, early.onset], np.r_[early.onset, early.peak],
        np.r_[early.memorisation, early.memorisation], np.repeat([19.0, 43.0], 8),
    )  # fmt: skip
    table = table_of(both)
    p = precedes(table, records(table), rng=RNG(0))
    assert p.between_sizes_p < 0.01
    assert p.each_p == 1
    mixed = table_of(replace(early, size=np.tile([19.0, 43.0], 4)))
    p = precedes(mixed, records(mixed), rng=RNG(0))
    assert p.between_sizes_p > 0.5
    assert p.each_p == stats.binomtest(4, 4).pvalue


def test_unresolved_runs_are_in_no_share():
    times = Times(np.array([100.0, 500, 999]), np.full(3, 1000.0), np.full(3, 50.0), np.zeros(3))
    table = table_of(times, spacing=0.01)
    assert table["order"].tolist() == ["first", "first", "unresolved"]
    p = precedes(table, records(table), rng=RNG(0))
    assert (p.runs, p.share) == (2, 1.0)


def test_the_phase_null_is_the_binomial_where_all_records_are_alike():
    """q = (1000 - 1) / (3001 - 1) in steps: P(K >= 4 of 5), by scipy and by drawing."""
    onsets, peaks = np.full(5, 1000.0), np.array([500.0, 400, 300, 200, 1500])
    null = phase_null(onsets, peaks, np.tile([1.0, 3001.0], (5, 1)))
    q = 999 / 3000
    assert null["steps"]["expected_share"] == pytest.approx(q)
    assert null["steps"]["p"] == pytest.approx(stats.binom.sf(3, 5, q))
    q = np.log(1000 / 300) / np.log(3001 / 300)  # from the second earliest peak on
    assert null["log_steps"]["p"] == pytest.approx(stats.binom.sf(3, 5, q))


def test_the_phase_null_by_drawing_phases():
    rng = RNG(1)
    onsets, ends = rng.uniform(500, 1500, 8), rng.uniform(2000, 3000, 8)
    peaks = onsets * np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.4, 1.1, 1.2])
    null = phase_null(onsets, peaks, np.column_stack([np.ones(8), ends]))
    phases = rng.uniform(1, ends, (200_000, 8))
    by_hand = np.mean((phases < onsets).sum(axis=1) >= 6)
    assert null["steps"]["p"] == pytest.approx(by_hand, abs=0.004)


def test_the_phase_null_can_fail_and_can_hold():
    onsets, record = np.full(10, 900.0), np.tile([1.0, 3000.0], (10, 1))
    assert phase_null(onsets, np.full(10, 600.0), record)["steps"]["p"] < 1e-4
    late = np.tile([1.0, 950.0], (10, 1))  # the record ends with the onset
    assert phase_null(onsets, np.full(10, 600.0), late)["steps"]["p"] > 0.5


def test_records_end_where_a_maximum_could_still_be_interior(obs):
    window = records_of(obs, smoothing=0.1)
    step = obs["step"].to_numpy()
    for r, run in enumerate(obs["run"].to_numpy()):
        last = np.nanmax(step[r])
        assert window[run] == pytest.approx((1, last * np.exp(-0.2)))


# ---- leads ---------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=40))
def test_the_interval_of_a_median_is_made_of_order_statistics(values):
    values = np.array(values)
    median, (low, high) = median_with_interval(values)
    assert low <= median <= high
    assert low in values
    assert high in values
    n = values.size
    k = int((np.sort(values) < low).sum())
    assert stats.binom.cdf(k - 1, n, 0.5) <= 0.025 or low == values.min()


def test_the_interval_of_a_median_covers():
    rng = RNG(2)
    for n in (6, 10, 25):
        draws = rng.exponential(size=(2000, n))
        inside = [low <= np.log(2) <= high for _, (low, high) in map(median_with_interval, draws)]
        assert np.mean(inside) >= 0.95 - 0.015
    assert np.isnan(median_with_interval(np.arange(5.0))[1]).all()


def test_censored_leads_move_the_median_up_and_are_never_dropped():
    values = np.arange(1.0, 10)
    assert median_with_interval(values)[0] == 5
    assert median_with_interval(values, [100.0, 100.0])[0] == 6
    assert median_with_interval(values, [0.0, 0.0])[0] == 5  # known of them: more than 0
    assert np.isnan(median_with_interval(values, np.full(20, 100.0))[0])
    low, high = median_with_interval(np.arange(1.0, 30) - 15, [50.0])[1]
    assert low < 0 < high


def test_leads_are_counted_by_size(events, audit):
    lead = audit.leads["landscape_heat_capacity"]
    assert [part.size for part in lead.by_size] == sorted({float(p) for p in events.runs["p"]})
    for name in ("runs", "compared", "first", "later", "unresolved", "censored"):
        assert sum(getattr(part, name) for part in lead.by_size) == getattr(lead.pooled, name)
    table = lead_table(events, "landscape_heat_capacity", 0)
    proper = table[table["group"] == "none"]
    assert lead.pooled.median == pytest.approx(proper["lead"].median())


def test_a_curve_that_is_highest_at_an_end_has_no_peak(obs):
    rising = obs.assign(rising=obs["heat_capacity"] * 0 + obs["step"])
    table = lead_table(find_events(rising, "rising"), "rising", 0)
    assert table["highest_at_end"].all()
    assert table["peak_step"].isna().all()
    assert (table["order"] == "").all()


# ---- clock ---------------------------------------------------------------------------------


def planted_clock(onset, memorisation, noise=0.1, n=60, sizes=1, seed=0):
    rng = RNG(seed)
    size = np.repeat(np.arange(float(sizes)), n // sizes)
    t_on, t_mem = np.exp(
        0.4 * rng.normal(size=(2, n)) + 0.3 * rng.normal(size=(2, sizes))[:, size.astype(int)]
    )
    level = 0.3 * rng.normal(size=sizes)[size.astype(int)]
    peak = np.exp(
        onset * np.log(t_on) + memorisation * np.log(t_mem) + level + noise * rng.normal(size=n)
    )
    return table_of(Times(600 * peak, 1000 * t_on, 100 * t_mem, size))


@pytest.mark.parametrize("sizes", [1, 6])
@pytest.mark.parametrize(
    ("onset", "memorisation", "follows"),
    [(1, 0, "onset"), (0, 1, "memorisation"), (0.6, 0.6, "both"), (0, 0, "neither")],
)
def test_the_clock_is_the_planted_one(onset, memorisation, follows, sizes):
    found = clock(planted_clock(onset, memorisation, sizes=sizes))
    assert found.follows == follows
    for name, truth in (("onset", onset), ("memorisation", memorisation)):
        slope = found.slopes[name]
        assert slope.ci95[0] - slope.error < truth < slope.ci95[1] + slope.error
    assert found.method.startswith("mixed" if sizes > 1 else "least squares")


@pytest.mark.statistical
def test_the_slopes_cover():
    """95 % intervals of both slopes hold the truth, 150 sweeps of 5 sizes."""
    inside = []
    for seed in range(150):
        found = clock(planted_clock(0.7, 0.2, noise=0.3, n=30, sizes=5, seed=seed))
        for name, truth in (("onset", 0.7), ("memorisation", 0.2)):
            low, high = found.slopes[name].ci95
            inside.append(low <= truth <= high)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.04)


def test_least_squares_is_statsmodels():
    import statsmodels.api as sm

    table = planted_clock(0.7, 0.2)
    x = np.log(table[["onset_step", "memorisation_step"]].to_numpy())
    fit = sm.OLS(np.log(table["peak_step"].to_numpy()), sm.add_constant(x)).fit()
    found = clock(table).slopes
    assert [found[k].value for k in ("onset", "memorisation")] == pytest.approx(fit.params[1:])
    assert [found[k].error for k in ("onset", "memorisation")] == pytest.approx(fit.bse[1:])


def test_slopes_within_sizes_are_least_squares_with_a_level_each():
    import statsmodels.api as sm

    table = planted_clock(0.7, 0.2, sizes=6)
    x = np.log(table[["onset_step", "memorisation_step"]].to_numpy())
    levels = pd.get_dummies(table["size"]).to_numpy(dtype=float)
    fit = sm.OLS(np.log(table["peak_step"].to_numpy()), np.hstack([x, levels])).fit()
    found = clock(table).within
    assert [found[k].value for k in ("onset", "memorisation")] == pytest.approx(fit.params[:2])
    assert [found[k].error for k in ("onset", "memorisation")] == pytest.approx(fit.bse[:2])


def test_partial_correlations_are_those_of_residuals():
    table = planted_clock(0.7, 0.2)
    y, a, b = np.log(table[["peak_step", "onset_step", "memorisation_step"]].to_numpy()).T
    corr = np.linalg.inv(np.corrcoef([y, a, b]))
    by_hand = -corr[0, 1] / np.sqrt(corr[0, 0] * corr[1, 1])
    assert clock(table).partial["onset"]["r"] == pytest.approx(by_hand)


def test_a_clock_that_cannot_be_told_says_so():
    assert clock(planted_clock(1, 0).iloc[:5]).message == "5 runs with all three times, 6 needed"
    table = planted_clock(1, 0)
    same = clock(table.assign(memorisation_step=100.0))
    assert same.follows == "onset"
    assert "memorisation is the same in all runs" in same.message
    noisy = clock(planted_clock(1, 0, noise=3).iloc[:10])
    assert noisy.follows == "undetermined"


def test_a_run_that_cannot_be_compared_is_left_out_of_the_clock():
    """Without the end of one record no draw was as close as the peaks: chance would be excluded."""
    table = records_at_a_multiple(RNG(4), "steps", spread=1.0)
    for name, value, said in (
        ("last_step", np.nan, "1 run left out: the end of the record is not known"),
        ("peak_step", 0.0, "1 run left out: a time of 0 has no logarithm"),
    ):
        broken = table.copy()
        broken.loc[3, name] = value
        found, without = clock(broken), clock(table.drop(index=3))
        assert found.by_chance == without.by_chance
        assert found.by_chance["onset"]["steps"] > 0.025
        assert (found.runs, found.follows) == (len(table) - 1, without.follows)
        assert said in found.message
        assert said in clock(broken.iloc[:5]).message


def test_differences_between_sizes_alone_are_told_apart():
    rng = RNG(3)
    size = np.repeat(np.arange(8.0), 5)
    onset = np.exp(0.5 * size + 0.2 * rng.normal(size=40))
    peak = np.exp(0.5 * size + 0.02 * rng.normal(size=40))  # follows the size, not the onset
    memorisation = np.exp(0.2 * rng.normal(size=40))
    found = clock(table_of(Times(600 * peak, 900 * onset, 100 * memorisation, size)))
    assert found.within["onset"].ci95[1] < 0.5


def test_the_end_of_the_record_is_no_clock():
    """Records end at three times the onset: a peak at a random phase moves with it by one half."""
    follows = []
    for seed in range(60):
        table = planted_clock(1, 0, n=80, seed=seed)
        table["last_step"] = 3 * table["onset_step"]
        phase = RNG(seed).uniform(0.46, 0.54, size=80)
        found = clock(table.assign(peak_step=table["last_step"] ** phase))
        assert found.free["onset"] == pytest.approx(0.5)
        assert found.slopes["onset"].ci95[0] > 0
        follows.append(found.follows)
        assert clock(table).follows == "onset"  # with slope 1
    assert follows.count("onset") <= 60 * 0.05 + 3 * np.sqrt(60 * 0.05 * 0.95)


@pytest.mark.statistical
@pytest.mark.parametrize("scenario", [records_at_a_multiple, records_of_one_end])
@pytest.mark.parametrize("phase", ["steps", "ln steps"])
def test_peaks_at_random_phases_follow_nothing(scenario, phase):
    """At most 5 % of 100 experiments, three standard errors allowed; wide onsets, 30 runs."""
    rng = RNG(11)
    found = [clock(scenario(rng, phase)).follows for _ in range(100)]
    false = sum(f not in ("undetermined", "neither") for f in found)
    assert false <= 5 + 3 * np.sqrt(100 * 0.05 * 0.95)


@pytest.mark.parametrize("scenario", [records_at_a_multiple, records_of_one_end])
@pytest.mark.parametrize("follows", ["onset", "memorisation"])
def test_planted_clocks_are_found_whatever_ends_the_records(scenario, follows):
    rng = RNG(12)
    found = [clock(scenario(rng, follows)).follows for _ in range(40)]
    assert found.count(follows) >= 36


def test_what_a_random_phase_does_as_well_says_so():
    """Peaks at a random step: the slopes alone would say that they follow the onset."""
    table = records_at_a_multiple(RNG(4), "steps", spread=1.0)
    found = clock(table)
    assert found.slopes["onset"].ci95[0] > found.free["onset"]
    assert found.by_chance["onset"]["steps"] > 0.025
    assert found.follows != "onset"
    assert "peaks at a random step of these records are as close to the onset" in found.message


def test_a_slope_that_the_record_gives_for_free_says_so():
    table = planted_clock(1, 0)
    table["last_step"] = 3 * table["onset_step"]
    table["peak_step"] = np.sqrt(table["last_step"]) * np.exp(0.2 * RNG(1).normal(size=60))
    found = clock(table)
    assert found.follows == "undetermined"
    assert "is not above the 0.50 that the ends of the records give" in found.message


def records_that_follow(onset_within: float, seed: int = 0) -> pd.DataFrame:
    """Six sizes; the end of a record moves with the onset within sizes, and not between them."""
    table = planted_clock(1, 0, noise=0.15, n=90, sizes=6, seed=seed)
    x = np.log(table["onset_step"])
    inside = x - x.groupby(table["size"]).transform("mean")
    return table.assign(last_step=np.exp(8 + onset_within * inside - 3 * (x - inside)))


def test_records_that_follow_within_sizes_alone_are_seen():
    """Pooled, the end of the record falls with the onset; within sizes it gives 1.2 for free."""
    found = clock(records_that_follow(2.4))
    assert found.free["onset"] == pytest.approx(1.2, abs=1e-6)
    assert found.follows == "undetermined"
    assert clock(records_that_follow(0)).follows == "onset"


def test_a_slope_within_sizes_that_is_not_above_what_is_free_says_so():
    """Sizes make the slope sure over all runs; the runs within them leave it open."""
    rng, size = RNG(0), np.repeat(np.arange(6.0), 6)
    onset = np.exp(0.6 * size + 0.3 * rng.normal(size=36))
    peak = 600 * onset * np.exp(0.3 * rng.normal(size=36))
    memorisation = 100 * np.exp(0.2 * rng.normal(size=36))
    table = table_of(Times(peak, 1000 * onset, memorisation, size))
    found = clock(table.assign(last_step=table["onset_step"] ** 1.5))
    assert found.within["onset"].ci95[0] < found.free["onset"] < found.slopes["onset"].ci95[0]
    assert found.follows == "undetermined"
    assert "within configurations the slope on onset" in found.message


# ---- controls ------------------------------------------------------------------------------


def control_table(peaks=6, height=1.0, delay=1.0, at_end=0, runs=6, seed=0, rise=0.0):
    rng = RNG(seed)

    def rows(n, group, height, delay, with_peak, onset):
        noise = np.exp(0.1 * rng.normal(size=(2, n)))
        seen = np.arange(n) < with_peak
        return pd.DataFrame(
            {
                "group": group,
                "size": np.arange(n) % 3,
                "peak_step": np.where(seen, 400 * delay * noise[0], np.nan),
                "height": np.where(seen, height * noise[1], np.nan),
                "memorisation_step": 100.0,
                "onset_step": onset,
                "baseline": 0.0,
                "final_value": rise if group != "none" else 1.0,
                "rising": np.arange(n) >= n - at_end if group != "none" else False,
            }
        )

    parts = rows(12, "none", 1.0, 1.0, 12, 900.0), rows(runs, "c", height, delay, peaks, np.nan)
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({}, "present"),
        ({"height": 3.0}, "present"),
        ({"height": 0.5}, "lower"),
        ({"height": 0.85, "runs": 60, "peaks": 60}, "present"),  # surely lower, by little
        ({"delay": 2.0}, "later"),
        ({"delay": 1.15, "runs": 60, "peaks": 60}, "present"),
        ({"delay": 1.6, "runs": 2, "peaks": 2}, "present"),  # later, with p = 3.7 %
        ({"peaks": 0}, "absent"),
        ({"delay": 0.1}, "earlier"),
        ({"runs": 1, "peaks": 0}, "too few runs"),
        ({"peaks": 0, "at_end": 6}, "open"),
        ({"rise": 0.5}, "not tested"),
    ],
)
def test_every_verdict_on_a_control_can_be_had(options, verdict):
    (control,) = controls(control_table(**options), rng=RNG(0))
    assert control.verdict == verdict
    assert control.runs + control.generalising == options.get("runs", 6)


def test_a_control_that_never_memorises_is_not_called_late():
    table = control_table().assign(
        memorisation_step=lambda t: t["memorisation_step"].where(t["group"] == "none")
    )
    (control,) = controls(table, rng=RNG(0))
    assert control.verdict == "present"
    assert np.isnan(control.later_p)


def test_the_worst_control_counts(audit):
    lead = audit.leads["landscape_heat_capacity"]
    one = lead.controls[0]

    def verdict(*verdicts):
        return replace(lead, controls=[replace(one, verdict=v) for v in verdicts]).control_verdict

    assert verdict("absent", "present") == "present"
    assert verdict("absent", "open") == "open"
    assert verdict("lower", "too few runs") == "too few runs"
    assert verdict("absent", "not tested") == "absent"
    assert verdict() == "not tested"


@pytest.mark.statistical
def test_controls_like_the_runs_are_cleared_in_5_per_cent_at_most():
    said = [controls(control_table(seed=s), rng=RNG(s))[0].verdict for s in range(200)]
    assert said.count("present") >= 200 * 0.95 - 3 * np.sqrt(200 * 0.05 * 0.95)


def test_controls_of_the_synthetic_sweep(audit):
    lead = audit.leads["landscape_heat_capacity"]
    assert {c.name: c.runs for c in lead.controls} == {"random_labels": 3, "weight_decay_0": 3}
    assert audit.leads["landscape_heat_capacity"].control_verdict == "present"


# ---- heights -------------------------------------------------------------------------------


def test_the_bound_and_its_reach(audit):
    bound = audit.leads["heat_capacity"].bound
    assert bound.tested
    assert bound.bound == 0.7618
    assert bound.reached == pytest.approx(0.36 / 0.7618, rel=0.1)
    assert bound.same_for_all_sizes
    assert not audit.leads["landscape_heat_capacity"].bound.tested


def test_the_offset_share_is_the_planted_one(obs, audit):
    share = audit.leads["unweighted_heat_capacity"].offset
    assert share.tested
    assert 0.8 < share.low <= share.median <= share.high <= 1.05
    assert not audit.leads["heat_capacity"].offset.tested
    table = lead_table(find_events(obs, "unweighted_heat_capacity"), "unweighted_heat_capacity", 0)
    half = obs.assign(offset_heat_capacity=0.5 * obs["unweighted_heat_capacity"])
    options = {"query": -1, "inputs": "all"}
    share = offset_share(half, table, "unweighted_heat_capacity", 0, **options)
    assert (share.low, share.high) == pytest.approx((0.5, 0.5))


def test_heights_are_compared_at_the_checkpoint_of_the_peak(obs):
    """By hand: offset share and random-energy ratio of every run at its peak."""
    options = {"query": -1, "inputs": "all"}
    events = find_events(obs, "unweighted_heat_capacity", "heat_capacity")
    mean = obs.isel(query=-1, layer=0).sel(inputs="all").mean("head")
    rows = {run: r for r, run in enumerate(obs["run"].to_numpy())}

    def at_peak(name, table):
        out = []
        for run, step in zip(table["run"], table["peak_step"], strict=True):
            steps = obs["step"].to_numpy()[rows[run]]
            near = np.nanargmin(np.abs(np.log(np.maximum(steps, 0.5)) - np.log(step)))
            out.append(float(mean[name][rows[run], near]))
        return np.array(out)

    table = lead_table(events, "unweighted_heat_capacity", 0)
    shares = at_peak("offset_heat_capacity", table) / at_peak("unweighted_heat_capacity", table)
    share = offset_share(obs, table, "unweighted_heat_capacity", 0, **options)
    assert (share.low, share.high) == pytest.approx((shares.min(), shares.max()))
    table = lead_table(events, "heat_capacity", 0)
    keys = obs.assign(mean_visible_keys=obs["heat_capacity_bound"] * 0 + 3)
    null = random_energy_heat_capacity(at_peak("unweighted_heat_capacity", table), 3)
    ratio = random_energy_ratio(keys, table, "heat_capacity", 0, **options)
    expected = np.median(table["height"] / null)
    assert ratio.median == pytest.approx(expected)
    assert bound(keys, table, "heat_capacity", query=-1).bound == 0.7618


def test_random_energies_exact_for_two_keys():
    """n = 2: C = < p (1 - p) d^2 >, d ~ N(0, 2 s^2), by quadrature."""
    x, w = np.polynomial.hermite_e.hermegauss(120)
    w = w / w.sum()
    for s in (0.3, 1.0, 3.0):
        d = np.sqrt(2) * s * x
        p = 1 / (1 + np.exp(d))
        exact = np.sum(w * p * (1 - p) * d**2)
        assert random_energy_heat_capacity(s**2, 2) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("n", [3, 16, 200])
def test_random_energies_against_the_ensemble_of_drawn_rows(n):
    for s in (0.2, 1.0, 2.5):
        rows = s * RNG(0).normal(size=(4000, n))
        drawn = canonical(xr.DataArray(rows, dims=("row", "key")))["heat_capacity"]
        error = float(drawn.std() / np.sqrt(4000))
        expected = float(random_energy_heat_capacity(s**2, n))
        assert expected == pytest.approx(float(drawn.mean()), abs=4 * error + 0.01 * expected)
    small = random_energy_heat_capacity(1e-4, n)
    assert small == pytest.approx(1e-4 * (1 - 1 / n), rel=0.01)


@pytest.mark.parametrize("variance", [300.0, 1e4, 1e6])
def test_frozen_rows_have_little_heat_capacity(variance):
    """Far above the freezing C falls like 1 / s, in the table and beyond it."""
    for n in (2, 8):
        rows = np.sqrt(variance) * RNG(1).normal(size=(200_000, n))
        drawn = canonical(xr.DataArray(rows, dims=("row", "key")))["heat_capacity"]
        error = float(drawn.std() / np.sqrt(len(rows)))
        mean = float(drawn.mean())
        found = random_energy_heat_capacity(variance, n)
        assert found == pytest.approx(mean, abs=3 * error + 0.04 * mean)
    assert random_energy_heat_capacity([1e300, np.inf], 8).tolist() == pytest.approx([0, 0])


@pytest.mark.slow
def test_as_many_random_energies_as_can_be_held():
    """In blocks of rows; more than there is time for are refused."""
    many = random_energy_heat_capacity(0.25, 10_000)
    assert many == pytest.approx(0.25, rel=0.01)
    for keys in (1e9, np.inf):
        with pytest.raises(ValueError, match="keys must be at most 131072, got"):
            random_energy_heat_capacity(1.0, keys)


def test_the_random_energy_null_can_fail():
    """Rows of two levels have another C than Gaussian logits of their variance."""
    row = np.r_[0.0, np.full(15, -4.0)]
    c = float(canonical(xr.DataArray(row, dims="key"))["heat_capacity"])
    assert abs(c / random_energy_heat_capacity(row.var(), 16) - 1) > 0.3


def test_random_energy_refuses_what_cannot_be():
    assert np.isnan(random_energy_heat_capacity(np.nan, 3))
    assert random_energy_heat_capacity(1.0, 1) == 0
    with pytest.raises(ValueError, match="variance must be 0 or more and keys 1 or more"):
        random_energy_heat_capacity(-1.0, 3)


@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_a_permutation_inside_a_row_is_no_null(seed, n):
    """C does not change when the keys of a row change places: such a test could never fail."""
    rng = RNG(seed)
    row = 3 * rng.normal(size=n)
    c, permuted = (
        float(canonical(xr.DataArray(r, dims="key"))["heat_capacity"])
        for r in (row, rng.permutation(row))
    )
    assert c == pytest.approx(permuted, rel=1e-12, abs=1e-12)


# ---- look-elsewhere ------------------------------------------------------------------------


def test_holm_by_hand():
    p = np.array([0.01, np.nan, 0.04, 0.03])
    assert holm(p) == pytest.approx([0.03, np.nan, 0.06, 0.06], nan_ok=True)
    assert np.isnan(holm(np.full(2, np.nan))).all()


def test_the_max_statistic_keeps_its_level_over_many_curves():
    """20 unrelated curves: the best of them is significant in 5 % of the experiments."""
    hits = []
    for seed in range(120):
        rng = RNG(seed)
        peaks, onsets = rng.normal(size=(20, 12)), rng.normal(size=12)
        p = max_statistic(peaks, onsets, np.zeros(12), rng=rng, permutations=99)
        hits.append(p.min() <= 0.05)
    assert np.mean(hits) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)


def test_the_max_statistic_finds_the_pair_among_many():
    rng = RNG(0)
    peaks, onsets = rng.normal(size=(20, 12)), rng.normal(size=12)
    peaks[7] = onsets - 0.5 + 0.1 * rng.normal(size=12)
    p = max_statistic(peaks, onsets, np.zeros(12), rng=rng)
    assert p[7] < 0.01
    assert np.delete(p, 7).min() > 0.1


def test_the_max_statistic_finds_a_pair_beside_a_curve_that_is_far_ahead():
    """What counts is the scatter of the leads, not their size, nor which event comes first."""
    rng = RNG(2)
    onsets = 0.3 * rng.normal(size=20)
    far = -2 + 0.3 * rng.normal(size=20)
    for lead in (0.3, -0.3):
        peaks = np.stack([onsets - lead + 0.1 * rng.normal(size=20), far])
        p = max_statistic(peaks, onsets, np.zeros(20), rng=RNG(0))
        assert p[0] < 0.02
        assert p[1] > 0.2


def test_a_curve_whose_peaks_all_lie_at_one_step_does_not_disturb_the_others():
    """It is equally close in every order; what rounding makes of that is no statistic."""
    rng = RNG(3)
    onsets, other = rng.normal(size=12), rng.normal(size=12)
    alone = max_statistic(other[None], onsets, np.zeros(12), rng=RNG(0))[0]
    for step in (0.1, 1 / 3, 2.7):
        peaks = np.stack([np.full(12, step), other])
        beside = max_statistic(peaks, onsets, np.zeros(12), rng=RNG(0))
        # Among the permutations the best of both is that of the other, where it is above its mean.
        assert beside[0] == 1
        assert beside[1] == pytest.approx(alone) or alone > 0.3


def test_pairing_is_tested_within_configurations():
    rng = RNG(1)
    size = np.repeat(np.arange(5.0), 4)
    onset = np.exp(size + 0.2 * rng.normal(size=20))
    peak = np.exp(size - 0.5 + 0.2 * rng.normal(size=20))
    table = table_of(Times(peak, onset, np.full(20, 1.0), size)).assign(group="none")
    key = ("a", 0, "mean")
    assert _pairing({key: table}, RNG(0))[key] > 0.05
    assert _pairing({key: table.assign(configuration=0)}, RNG(0))[key] < 0.01


def test_the_max_statistic_permutes_within_sizes():
    """Sizes that move both times are no pairing of runs."""
    rng = RNG(1)
    size = np.repeat(np.arange(5.0), 4)
    onsets = 2 * size + 0.2 * rng.normal(size=20)
    peaks = 2 * size - 0.5 + 0.2 * rng.normal(size=20)
    within = max_statistic(peaks[None], onsets, size, rng=RNG(0))[0]
    pooled = max_statistic(peaks[None], onsets, np.zeros(20), rng=RNG(0))[0]
    assert pooled < 0.01 < 0.05 < within


def test_heads_are_listed_one_by_one(audit):
    looked = audit.leads["heat_capacity"].look_elsewhere
    assert (looked.observables, looked.curves) == (3, 15)
    assert [row["head"] for row in looked.heads] == ["0", "1", "2", "3"]
    assert all(row["holm_p"] >= row["sign_p"] for row in looked.heads)


# ---- spikes --------------------------------------------------------------------------------


def test_spikes_against_the_base_rate():
    plans = [Plan(seed=s, spikes=(700.0, 1200.0, 1900.0, 2900.0)) for s in range(4)]
    events = find_events(observables(plans, noise=0.005, scan=False), "heat_capacity")
    share = spike_share(events, "heat_capacity", 0)
    assert share.at_spike >= 12
    assert 0 < share.base_rate < 0.3
    assert share.p < 1e-3
    calm = [Plan(seed=s) for s in range(4)]
    events = find_events(observables(calm, noise=0.005, scan=False), "heat_capacity")
    share = spike_share(events, "heat_capacity", 0)
    assert (share.share, share.base_rate, share.explain) == (0, 0, False)
    assert share.highest_at_spike == 0


def test_the_highest_maximum_at_a_spike_is_counted_with_its_order():
    plans = [Plan(seed=0, spikes=(850.0,)), Plan(seed=1, spikes=(1100.0,)), Plan(seed=2)]
    obs = observables(plans, noise=0.005, scan=False)
    share = spike_share(find_events(obs, "landscape_heat_capacity"), "landscape_heat_capacity", 0)
    assert (share.highest_at_spike, share.highest_first) == (2, 1)


def test_without_a_loss_spikes_are_not_tested():
    obs = observables([Plan(seed=s) for s in range(2)], scan=False)
    obs["train_loss"] = obs["train_loss"] * np.nan
    share = spike_share(find_events(obs, "heat_capacity"), "heat_capacity", 0)
    assert not share.tested
    assert np.isnan(share.share)


# ---- onsets and peaks per size --------------------------------------------------------------


def test_onsets_with_censoring_per_size(events):
    found = onset_survival(events)
    runs = events.runs[events.runs["group"] == "none"]
    for row in found.by_size:
        own = runs[runs["p"] == row["size"]]["onset_step"]
        assert row["median"] == pytest.approx(own.median())
        assert (row["runs"], row["censored"]) == (3, 0)
    assert found.log_rank_p < 1e-4
    assert found.hazard_ci95[0] > 1  # larger sizes generalise earlier, as planted


def test_the_hazard_ratio_is_per_doubling_of_the_size():
    """Exponential onsets with a rate that grows like the size: the ratio is 2."""
    rng = RNG(1)
    p = np.repeat([10, 20, 40, 80], 200)
    runs = pd.DataFrame(
        {"run": np.arange(p.size), "p": p, "group": "none", "censored": False, "last_step": 1e9}
    ).assign(onset_step=1e4 * rng.exponential(size=p.size) / p)
    found = onset_survival(replace(find_events(observables([Plan()]), "heat_capacity"), runs=runs))
    assert found.hazard_ratio == pytest.approx(2, rel=0.1)
    assert found.hazard_ci95[0] < 2 < found.hazard_ci95[1]


def test_a_size_that_never_generalises_does_not_stop_the_survival():
    plans = [Plan(p=19, seed=s) for s in range(4)]
    plans += [Plan(p=43, seed=s, onset=np.nan, last=300.0, peak=200.0) for s in range(4)]
    found = onset_survival(find_events(observables(plans, scan=False), "heat_capacity"))
    assert [row["censored"] for row in found.by_size] == [0, 4]


def test_censored_runs_enter_the_median_onset():
    plans = [Plan(seed=s, onset=o) for s, o in enumerate([500.0, 700.0, 900.0, np.nan, np.nan])]
    row = onset_survival(find_events(observables(plans, scan=False), "heat_capacity")).by_size[0]
    assert (row["runs"], row["censored"]) == (5, 2)
    assert row["median"] == pytest.approx(900, rel=0.02)
    assert all(np.isnan(row["ci95"]))  # five runs


def test_peaks_by_size_are_means_with_errors_over_runs(events):
    found = peaks_by_size(events, "landscape_heat_capacity", replicates=2000)
    table = events.peak("landscape_heat_capacity").merge(events.runs[["run", "group"]], on="run")
    own = table[(table["group"] == "none") & (table["p"] == 43)]
    at = {"size": 43.0}
    assert float(found.height.value.sel(at)) == pytest.approx(own["peak_height"].mean())
    used = verdict_of_runs(events, "landscape_heat_capacity").data
    np.testing.assert_allclose(found.height.error, used.errors)
    np.testing.assert_allclose(np.sqrt(np.diag(found.height.covariance())), used.errors)
    width = np.diff(found.height.ci95.sel(at))
    assert width == pytest.approx(2 * 1.959964 * float(found.height.error.sel(at)))
    spacing = np.log1p(own["peak_step_spacing"] / own["peak_step"]).mean()
    assert float(found.log_step.error.sel(at)) >= spacing


def test_one_seed_has_no_error(obs):
    one = obs.isel(run=[0])
    found = peaks_by_size(find_events(one, "landscape_heat_capacity"), "landscape_heat_capacity")
    assert np.isnan(found.height.error).all()
    assert np.isfinite(found.height.value).all()
    assert found.height.message


def test_sizes_that_share_seeds_have_a_covariance():
    """Heights of two sizes whose seeds move together are correlated; drawn apart, they are not."""
    rng = RNG(0)
    plans = [Plan(p=p, seed=s) for p in (19, 43) for s in range(12)]
    obs = observables(plans, noise=0.002, scan=False)
    factor = np.tile(np.exp(0.3 * rng.normal(size=12)), 2)
    obs["landscape_heat_capacity"] = obs["landscape_heat_capacity"] * xr.DataArray(
        factor, dims="run"
    )
    events = find_events(obs, "landscape_heat_capacity")
    shared = peaks_by_size(events, "landscape_heat_capacity", unit="seed").height.covariance()
    apart = peaks_by_size(events, "landscape_heat_capacity", unit="run").height.covariance()
    correlation = [
        float(c[0, 1] / np.sqrt(c[0, 0] * c[1, 1])) for c in (shared.to_numpy(), apart.to_numpy())
    ]
    assert correlation[0] > 0.9
    assert abs(correlation[1]) < 0.2


def test_heads_share_runs_and_have_a_covariance(events):
    found = peaks_by_size(events, "landscape_heat_capacity", head=None)
    assert found.height.value.dims == ("size", "head")
    assert np.isfinite(found.height.error).all()


# ---- all of it -----------------------------------------------------------------------------


def test_conclusions_claim_no_more_than_the_tests(audit):
    said = {name: lead.conclusion for name, lead in audit.leads.items()}
    unweighted = said["unweighted_heat_capacity"]
    assert "peak before the onset in 30 of 30 runs that have both" in unweighted
    assert "of its height is a constant offset of keys" in unweighted
    assert "no evidence of a precursor" in unweighted
    assert "peak after the onset" in said["heat_capacity"]
    assert audit.leads["heat_capacity"].other_maxima == {"before memorisation": 30}
    assert (
        "Another, lower maximum lies before memorisation in 30 of the runs" in said["heat_capacity"]
    )
    assert not any(lead.precursor for lead in audit.leads.values())
    assert all("phase transition" not in text for text in said.values())


def test_a_planted_precursor_is_called_consistent_with_one():
    """Leads of every run, absent in the controls: the only case in which the word stands."""
    rng = RNG(0)
    plans = []
    for p in (19, 31, 43, 61, 89, 113):
        for seed in range(3):
            onset = 600 * np.exp(0.3 * rng.normal())
            lead = 0.6 + 0.1 * rng.normal()
            plans.append(Plan(p, seed, 60 + p, onset, onset * np.exp(-lead), 3000.0))
    never = {"onset": np.nan, "control": "random_labels", "last": 3000.0}
    plans += [Plan(p=p, seed=s, memorisation=60.0 + p, **never) for p in (19, 43) for s in range(3)]
    obs = observables(plans, noise=0.01, scan=False)
    flat = obs["landscape_heat_capacity"].where(obs["control"] != "random_labels", 0.1)
    obs["landscape_heat_capacity"] = flat
    lead = audit_leads(obs, find_events(obs, "landscape_heat_capacity")).leads
    lead = lead["landscape_heat_capacity"]
    assert lead.precursor
    assert lead.control_verdict == "absent"
    assert lead.clock.follows == "onset"
    assert "consistent with a precursor of generalisation" in lead.conclusion


@pytest.mark.slow
def test_equal_seeds_give_equal_audits(obs, events, audit):
    again = audit_leads(obs, events)
    assert json.dumps(again.to_dict()) == json.dumps(audit.to_dict())


def test_the_json_has_the_fields_of_its_format(audit):
    content = json.loads(json.dumps(audit.to_dict(), allow_nan=False))
    assert set(content["observables"]) == set(audit.leads)
    for lead in content["observables"].values():
        assert isinstance(lead["runs"], int)
        assert isinstance(lead["censored"], int)
        assert set(lead["median_lead"]) >= {"value", "ci95"}
        assert set(lead["precedes"]) >= {"share", "sign_p", "wilcoxon_p", "phase_null_p"}
        allowed = {"onset", "memorisation", "both", "neither", "undetermined"}
        assert lead["clock"]["follows"] in allowed
        assert set(lead["spikes"]) >= {"share", "base_rate"}
        for name in ("controls", "bound", "offset", "look_elsewhere"):
            assert isinstance(lead[name], dict)
        assert lead["conclusion"].endswith(".")


def test_what_is_not_in_the_record_is_not_tested():
    bare = observables([Plan(seed=s) for s in range(3)], scan=False)
    bare = bare.drop_vars(["heat_capacity_bound"])
    audit = audit_leads(bare, find_events(bare, "heat_capacity"))
    said = " ".join(audit.summary().split())
    assert "Not tested: controls" in said
    assert "bound, offset and random-energy null" in said
    assert audit.leads["heat_capacity"].control_verdict == "not tested"
    with pytest.raises(ValueError, match="observables lack runs that the events have"):
        audit_leads(bare.isel(run=[0]), find_events(bare, "heat_capacity"))


def test_the_order_that_is_there_counts_among_those_between_sizes():
    """No chance is 0: all first at one size, all later at the other, in 1999 permutations."""
    order = pd.DataFrame(
        {
            LeadColumn.SIZE: np.repeat([19.0, 43.0], 12),
            LeadColumn.ORDER: ["first"] * 12 + ["later"] * 12,
        }
    )
    assert _between_sizes(order, RNG(0)) == pytest.approx(1 / 2000)


def test_the_max_statistic_finds_a_pair_beside_curves_of_few_runs():
    """Three runs are close by chance often: each curve in units of its own permutations."""
    for seed in range(3):
        rng = RNG(seed)
        onsets, few = rng.normal(size=12), np.full((6, 12), np.nan)
        tied = onsets - 1 + 0.2 * rng.normal(size=12)
        few[:, :3] = rng.normal(size=(6, 3))
        p = max_statistic(np.vstack([tied, few]), onsets, np.zeros(12), rng=rng, permutations=499)
        assert p[0] < 0.005


def test_the_highest_of_all_peaks_is_compared_with_its_bound(obs):
    table = lead_table(find_events(obs, "heat_capacity"), "heat_capacity", 0)
    table[LeadColumn.HEIGHT] = np.linspace(0.1, 0.75, len(table))
    found = bound(obs, table, "heat_capacity", query=-1)
    assert found.reached == pytest.approx(0.75 / 0.7618)
    assert found.within_reach
