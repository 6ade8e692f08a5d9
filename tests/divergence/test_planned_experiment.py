"""Calibration of a design, and the quick estimate of power behind the advice."""

from __future__ import annotations

import json

import numpy as np
import pytest

from heatcap.divergence import Calibration, Margins, Truth, calibrate
from heatcap.divergence.margins import BOUNDED, LOGARITHMIC, verdict_of
from heatcap.divergence.power import kept_classes
from heatcap.divergence.testing import problem

DOUBLING = 2.0 ** np.arange(3, 9)


def test_a_design_by_truth():
    planned = calibrate(DOUBLING, 0.005, replicates=8)
    rows = {row["truth"]: row for row in planned.rows}
    assert {row["class"] for row in planned.rows} == {
        "flat",
        "bounded",
        "logarithmic",
        "power-law",
    }
    assert rows["s - a/L"]["power"] > 0.5
    assert rows["constant"]["power"] > 0.5
    for row in planned.rows:
        assert row["coverage"] >= 0.6
        assert row["false"] <= 0.4
        assert sum(row["verdicts"].values()) == pytest.approx(1)
    weak = {row["truth"] for row in planned.rows if row["power"] < 0.8}
    assert {each["truth"] for each in planned.suggestions} == weak
    content = json.loads(json.dumps(planned.to_dict(), allow_nan=False))
    assert list(content) == ["schema_version", *Calibration.FIELDS]
    assert planned.summary().splitlines()[-len(weak) :] == [
        each["text"] for each in planned.suggestions
    ]
    assert planned.summary(verbose=True) == planned.summary()
    assert planned.ok


def test_seeds_and_scatter_give_the_error():
    truth = [Truth("saturates", "bounded", lambda L: 4 - 10 / L)]
    planned = calibrate(DOUBLING, seeds=4, scatter=0.12, truths=truth, replicates=6)
    assert planned.relative_error == pytest.approx(0.06)
    (suggestion,) = planned.suggestions
    assert suggestion["seeds"] >= 4 * 1.5**2
    better = calibrate(
        DOUBLING, seeds=suggestion["seeds"], scatter=0.12, truths=truth, replicates=16
    )
    assert better.rows[0]["power"] > 0.5
    assert "4 seeds" in planned.summary()


def test_smaller_errors_have_more_power():
    truth = [Truth("logarithm", "logarithmic", lambda L: 1 + 0.5 * np.log(L))]
    power = [
        calibrate(DOUBLING, error, truths=truth, replicates=16).rows[0]["power"]
        for error in (0.05, 0.003)
    ]
    assert power[1] > power[0] + 0.3


def test_the_quick_estimate_keeps_the_truth_and_loses_the_rest():
    y = 4 - 10 / DOUBLING
    setup = problem(DOUBLING, np.diag((0.005 * y) ** 2), Margins(), heights=y)
    rng = np.random.default_rng(0)
    kept = kept_classes(setup, y, level=0.95, draws=300, rng=rng)
    assert 0.9 <= kept[:, BOUNDED].mean() <= 1.0
    assert kept[:, LOGARITHMIC].mean() < 0.1


def test_verdict_of_a_set():
    assert verdict_of(("bounded",)) == "bounded"
    assert verdict_of(("logarithmic", "power-law")) == "divergent"
    assert verdict_of(("bounded", "logarithmic")) == "undecided"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "relative error, or seeds and their scatter"),
        ({"seeds": 0, "scatter": 0.1}, "at least one seed"),
        ({"relative_error": 0.1, "scatter": 0.1}, "not both"),
        ({"relative_error": -0.1}, "between 0 and 1"),
        ({"relative_error": 0.1, "replicates": 0}, "at least one replicate"),
        ({"relative_error": 0.1, "level": 0.1}, "level"),
    ],
)
def test_bad_plans_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        calibrate(DOUBLING, **options)
    with pytest.raises(ValueError, match="class of x"):
        Truth("x", "growing", np.log)
