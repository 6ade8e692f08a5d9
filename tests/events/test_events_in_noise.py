"""Peaks told from scatter, heights without the bias of a maximum, spikes, mirrored pairs."""

from __future__ import annotations

import numpy as np
import pytest

from heatcap.events import find_events, mirror_leak, peaks, spikes
from heatcap.events.curves import Smoother
from heatcap.events.scatter import pseudo_residuals

from false_alarms_and_power import wander
from synthetic import Plan, bump, observables, rise

STEP = np.unique(np.rint(np.geomspace(1, 5000, 140)))
X = np.log(STEP)


def noisy(curve, noise, seed):
    return curve + noise * np.random.default_rng(seed).normal(size=curve.size)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.02, 0.1])
@pytest.mark.parametrize("width", [0.3, 0.5])
def test_the_bias_of_a_noisy_smoothed_maximum_is_removed(noise, width):
    """Over 150 planted peaks: within three standard errors, or half a per cent, of the truth."""
    curve = bump(X, 400, width)
    found = [peaks(STEP, noisy(curve, noise, seed), min_significance=0) for seed in range(150)]
    heights = np.array([p.height[0] for p in found])
    error = heights.std(ddof=1) / np.sqrt(heights.size)
    assert abs(heights.mean() - 1) < 3 * error + 0.005
    as_found = heights + [p.bias[0] for p in found]
    assert abs(as_found.mean() - 1) > abs(heights.mean() - 1)


def test_smoothing_alone_lowers_a_narrow_peak_and_the_bias_says_so():
    events = find_events(observables([Plan()], noise=0.001), "landscape_heat_capacity")
    best = events.peak("landscape_heat_capacity").iloc[0]
    assert best["height_bias"] < 0
    assert best["peak_height"] == pytest.approx(0.05 * 43**0.8, rel=0.005)


def test_the_maximum_of_raw_noise_would_be_biased():
    """The negative control: what the plain maximum of the same curves gives."""
    curve = bump(X, 400, 0.5)
    raw = [noisy(curve, 0.1, seed).max() for seed in range(150)]
    assert np.mean(raw) > 1.1


@pytest.mark.statistical
@pytest.mark.parametrize(
    "shape", [0 * X, 2 * X, 20 * rise(X, 400, 0.5)], ids=["flat", "rise", "step"]
)
def test_scatter_makes_no_peaks(shape):
    """A structureless curve shows a peak in at most 5 % of the trials, with scatter of any size."""
    found = [peaks(STEP, noisy(shape, 1.0, seed)) for seed in range(200)]
    assert np.mean([p.found for p in found]) <= 0.05
    blind = [peaks(STEP, noisy(shape, 1.0, seed), min_significance=0) for seed in range(50)]
    assert np.mean([p.found for p in blind]) > 0.5
    reasons = {p.reason for p in found if not p.found}
    assert any("no maximum stands out from the scatter" in reason for reason in reasons)


@pytest.mark.statistical
@pytest.mark.parametrize("length", [0.1, 0.3, 1.0, np.inf])
@pytest.mark.parametrize(
    "step",
    [np.arange(10, 2010, 10.0), STEP, np.geomspace(10, 3000, 30)],
    ids=["200 linear", "140", "30"],
)
def test_scatter_that_wanders_makes_no_peaks(step, length):
    """At most 5 % of the curves, 60 each, three standard errors allowed; blind to it, most do."""
    x = np.log(step)
    found = [peaks(step, wander(x, length, np.random.default_rng(seed))) for seed in range(60)]
    assert np.mean([p.found for p in found]) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)
    blind = [
        peaks(step, wander(x, length, np.random.default_rng(seed)), min_significance=0)
        for seed in range(20)
    ]
    assert np.mean([p.found for p in blind]) > 0.5


def test_real_peaks_are_kept_in_scatter():
    """What the shape costs: a share of the walk is told from what lies beside the peak."""
    for width, noise in ((0.5, 0.1), (0.3, 0.05)):
        found = [peaks(STEP, noisy(bump(X, 400, width), noise, seed)) for seed in range(60)]
        assert np.mean([p.found for p in found]) >= 0.9
    wandering = [
        peaks(STEP, bump(X, 400, 0.5) + 0.05 * wander(X, 0.3, np.random.default_rng(seed)))
        for seed in range(60)
    ]
    assert np.mean([p.found for p in wandering]) >= 0.9


def test_a_lower_maximum_does_not_take_the_place_of_one_that_is_given_up():
    """A bump, then a rise to a plateau on which scatter makes the highest maximum."""
    curve = noisy(bump(X, 30, 0.4) + 2 * rise(X, 300, 0.2), 0.02, 0)
    assert 0 < curve.argmax() < X.size - 1
    found = peaks(STEP, curve)
    assert found.step == pytest.approx([30], rel=0.05)
    assert found.edge_maximum
    assert not found.rising


def test_scatter_is_measured_where_it_is():
    quiet_then_loud = np.where(X < 4, 0.1, 1.0) * np.random.default_rng(0).normal(size=X.size)
    scatter = Smoother.of(X, 0.1).scatter(quiet_then_loud).deviation
    assert np.median(scatter[X < 3]) == pytest.approx(0.1, rel=0.4)
    assert np.median(scatter[X > 5]) == pytest.approx(1.0, rel=0.4)
    assert not Smoother.of(X[:12], 0.1).scatter(X[:12]).known


def test_pseudo_residuals_have_the_variance_of_the_noise_and_ignore_lines():
    x = np.cumsum(np.random.default_rng(1).exponential(size=4000))
    assert np.abs(pseudo_residuals(x, 3 - 2 * x)).max() < 1e-9
    noise = np.random.default_rng(2).normal(size=x.size)
    assert np.var(pseudo_residuals(x, noise)) == pytest.approx(1, abs=0.1)


def test_long_records_are_binned_without_moving_a_peak():
    """6000 rows: what the dense smoother gives on every row, to a tenth of the scatter."""
    step = np.arange(1.0, 6001)
    x = np.log(step)
    curve = bump(x, 1500, 0.3) + 0.4 * bump(x, 90, 0.4)
    smoother = Smoother.of(x, 0.1)
    assert smoother.x.size < 1000 < x.size
    binned = np.interp(x, smoother.x, smoother.smooth(smoother.mean(curve)))
    some = np.arange(0, x.size, 97)
    for i in some:
        weight = np.exp(-0.5 * ((x - x[i]) / 0.1) ** 2)
        fit = np.polynomial.Polynomial.fit(x - x[i], curve, 1, w=np.sqrt(weight)).convert()
        assert binned[i] == pytest.approx(fit.coef[0], abs=2e-3)
    found = peaks(step, noisy(curve, 0.05, 3), min_significance=0)
    best = np.argsort(-found.prominence)[:2]
    assert found.step[best] == pytest.approx([1500, 90], rel=0.05)
    assert found.height[best] == pytest.approx([1, 0.4], abs=0.03)


def test_copies_are_the_same_at_every_call():
    curve = noisy(bump(X, 400, 0.5), 0.05, 0)
    assert peaks(STEP, curve).height[0] == peaks(STEP, curve).height[0]


# ---- spikes --------------------------------------------------------------------------------


def spiky(n=6000, period=430, seed=0):
    """A loss with a train of spikes, and an observable that jumps with each of them."""
    step = np.arange(1.0, n)
    rng = np.random.default_rng(seed)
    loss = 1e-4 + 4 * np.exp(-step / 60)
    curve = 1 + 0.02 * rng.normal(size=step.size)
    train = np.arange(600, n - 100, period)
    for at in train:
        burst = np.exp(-0.5 * ((step - at) / 6) ** 2)
        loss = loss * (1 + 40 * burst)
        curve = curve + rng.uniform(2, 4) * burst
    return step, loss, curve, train


def test_maxima_at_spikes_are_counted_against_the_base_rate():
    step, loss, curve, train = spiky(seed=1)
    marked = spikes(step, loss)
    found = peaks(step, curve, step[marked])
    assert found.raw_maxima == found.raw_at_spike == train.size
    assert sorted(found.step[found.at_spike]) == pytest.approx(train, abs=3)
    assert not found.found
    assert marked.mean() < 0.1


def test_a_spike_reaches_down_to_twice_the_running_median():
    step = np.arange(1.0, 3000, 10)
    loss = np.ones(step.size)
    loss[100:107] = [1.9, 2.5, 4.0, 30.0, 3.0, 2.1, 1.5]
    loss[200] = 3.0  # never above 5: no spike
    assert np.flatnonzero(spikes(step, loss)).tolist() == [101, 102, 103, 104, 105]
    assert np.flatnonzero(spikes(step, loss, factor=1.8)).tolist() == [*range(100, 106), 200]


def test_events_count_maxima_and_label_where_they_sit():
    plans = [Plan(spikes=(1500.0,)), Plan(p=59, seed=1, onset=np.nan, control="random_labels")]
    events = find_events(observables(plans, noise=0.01), "landscape_heat_capacity")
    curves = events.curves.set_index(["run", "head"])
    first = events.runs["run"][0]
    assert curves.loc[(first, "mean"), "maxima_at_spike"] == 1
    assert curves.loc[(first, "mean"), "maxima"] >= 1
    bumps = find_events(observables(plans, noise=0.01), "heat_capacity").table
    of_first = bumps[(bumps["run"] == first) & (bumps["head"] == "mean") & ~bumps["at_spike"]]
    assert of_first.set_index("place")["peak_step"].to_dict() == pytest.approx(
        {"before memorisation": 55, "after onset": 1.15 * 900}, rel=0.05
    )
    other = bumps[(bumps["run"] != first) & (bumps["head"] == "mean")]
    assert set(other["place"]) == {"before memorisation", "after memorisation"}


# ---- mirrored pairs ------------------------------------------------------------------------


def accuracies(plateau, onset=900.0):
    gain = rise(X, onset, 0.1)
    return plateau * (1 - gain) * rise(X, 80, 0.05) + gain


def test_a_plateau_at_the_training_fraction_is_a_mirror_leak():
    nan = np.full(STEP.size, np.nan)
    plain = accuracies(0.68)
    leak = mirror_leak(STEP, plain, nan, 100, 900, fraction=0.7)
    assert leak.found
    assert leak.plateau == pytest.approx(0.68, abs=0.01)
    assert "waits at 0.68, near the training fraction 0.7" in leak.message
    assert not mirror_leak(STEP, accuracies(0.05), nan, 100, 900, fraction=0.7).found
    unknown = mirror_leak(STEP, plain, nan, 100, 900)
    assert unknown.found is None
    assert "no training fraction is known" in unknown.message


def test_the_mirror_free_accuracy_decides_where_there_is_one():
    free = accuracies(0.0)
    leak = mirror_leak(STEP, accuracies(0.68), free, 100, 900, fraction=0.3)
    assert leak.found
    assert leak.message.endswith("0.68 after memorisation, 0.00 on mirror-free inputs")
    assert not mirror_leak(STEP, free, free, 100, 900).found


def test_without_a_plateau_nothing_is_said_of_mirrors():
    for memorised, onset in ((np.nan, 900), (890, 900)):
        leak = mirror_leak(STEP, accuracies(0.7), 0 * X, memorised, onset, fraction=0.7)
        assert leak.found is None
        assert "no plateau" in leak.message


def test_runs_say_whether_mirrors_leak():
    runs = find_events(observables([Plan(), Plan(p=59, symmetric=False)]), "heat_capacity").runs
    assert runs["mirror_leak"].tolist() == [True, False]
    assert "mirror-free" in runs["mirror_message"][0]


def test_the_share_of_a_walk_in_the_scatter_is_told():
    smoother, shares = Smoother.of(np.linspace(0, 8, 200), 0.1), []
    for seed in range(10):
        white, step = np.random.default_rng(seed).normal(size=(2, 200))
        walk = np.cumsum(step)
        every = [smoother.scatter(curve) for curve in (white, walk, white * 2 + walk)]
        shares.append([each._share(np.inf, np.inf) for each in every])
    white, walk, both = np.mean(shares, axis=0)
    assert white < 0.1
    assert walk > 0.6
    assert 0.02 < both < 0.3
