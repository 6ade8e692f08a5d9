"""When a run is recorded, and when it stops."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from heatcap import events
from heatcap_trainer.config import StopConfig
from heatcap_trainer.schedule import onset, should_stop, steps


def test_steps_are_the_union_of_both_spacings():
    assert steps(100, per_decade=2, every=25) == [0, 1, 3, 10, 25, 32, 50, 75, 100]
    assert steps(10, per_decade=1) == [0, 1, 10]
    assert steps(1, per_decade=10, every=100) == [0, 1]


def test_steps_contain_the_limit_once():
    for last in (1, 2, 7, 99, 1000, 1001):
        found = steps(last, per_decade=7, every=10)
        assert found[0] == 0
        assert found[-1] == last
        assert found == sorted(set(found))


def record(midpoint, last, width=0.05, top=1.0):
    """Accuracy that rises from 0 to `top` about `midpoint` in log step; memorised at step 50."""
    step = np.arange(0, last + 1, 10)
    x = np.log(np.maximum(step, 1) / midpoint) / width
    return step, np.where(step >= 50, 1.0, 0.5), top / (1 + np.exp(-np.clip(x, -50, 50)))


def rows(*columns):
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize("midpoint", [200, 555, 1111])
def test_onset_is_the_midpoint(midpoint):
    step, train, accuracy = record(midpoint, 3000)
    assert onset(step, train, accuracy) == pytest.approx(midpoint, rel=2e-3)


def test_onset_is_the_last_crossing():
    step, train, accuracy = record(300, 3000)
    accuracy[(step > 800) & (step < 900)] = 0.0  # falls once more
    assert onset(step, train, accuracy) == pytest.approx(895, abs=6)


def test_no_onset_without_memorisation_rise_or_height():
    step, train, accuracy = record(300, 3000)
    assert onset(step, 0.9 * train, accuracy) is None
    assert onset(step, train, 0.85 * accuracy) is None
    assert onset(step, train, np.full_like(accuracy, 0.95)) is None


def test_the_rule_stops_at_the_multiple_of_the_onset():
    columns = record(500, 5000)
    rule = StopConfig(max_steps=5000, after_onset=2.0)
    stops = [i for i in range(2, 400) if should_stop(rows(*(c[:i] for c in columns)), rule)]
    assert columns[0][stops[0] - 1] == pytest.approx(1000, abs=20)
    late = StopConfig(max_steps=5000, min_steps=2000)
    assert not should_stop(rows(*(c[:150] for c in columns)), late)
    assert should_stop(rows(*(c[:201] for c in columns)), late) == "after_onset"


def test_the_rule_waits_for_the_accuracy():
    assert not should_stop(rows(*record(500, 4000, top=0.93)), StopConfig(max_steps=5000))


def test_the_rule_stops_at_the_limit():
    never = rows(*record(1e9, 3000))
    assert should_stop(never, StopConfig(max_steps=3000)) == "max_steps"
    assert should_stop(never, StopConfig(max_steps=3001)) == ""
    assert should_stop([(0, 0.0, 0.0)], StopConfig(max_steps=10)) == ""


@pytest.fixture(scope="module")
def grokking():
    """Onsets of the shipped runs, {run: (of the analysis, of this rule)}; NaN: none."""
    path = Path(__file__).parents[2] / "data" / "grokking" / "observables.nc"
    with xr.open_dataset(path) as runs:
        return {str(name): both_onsets(runs.sel(run=name)) for name in runs["run"].values}


def both_onsets(run):
    columns = [run[n].values for n in ("metric_step", "train_accuracy", "mirror_free_accuracy")]
    step, train, accuracy = (c[np.isfinite(columns[0])] for c in columns)
    found = events.onset(step, accuracy, events.memorisation(step, train))
    ours = onset(step, train, accuracy, final=StopConfig().accuracy)
    return found.step, np.nan if ours is None else ours


def test_the_rule_is_close_to_the_onset_of_the_analysis(grokking):
    analysis, rule = np.array(list(grokking.values())).T
    both = np.isfinite(analysis) & np.isfinite(rule)
    assert both.sum() >= 25
    np.testing.assert_allclose(rule[both], analysis[both], rtol=0.1)
    assert not (np.isfinite(rule) & ~np.isfinite(analysis)).any()


def test_the_rule_is_stricter_than_the_analysis(grokking):
    analysis, rule = grokking["addition_p19_f0.7_wd1_seed2"]
    assert np.isfinite(analysis)
    assert np.isnan(rule)
