"""Errors of 3 to 5 runs: intervals of a collapse that still hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from heatcap.core.student import student_factor
from heatcap.scaling import collapse, points, read_table
from heatcap.scaling.data import steadied


def test_the_factor_is_that_of_tables():
    """t(0.975) of 2, 4 and 9 degrees of freedom over 1.960."""
    assert student_factor([3, 5, 10]) * 1.959964 == pytest.approx(
        [4.3027, 2.7764, 2.2622], rel=1e-4
    )
    assert student_factor(1e9) == pytest.approx(1)
    assert student_factor(1) == np.inf


def measured(seed, runs):
    """A planted collapse with errors from so many runs a point: value, and error of the mean."""
    rng = np.random.default_rng(seed)
    size = np.repeat([16.0, 32, 64, 128], 21)
    x = 1 + np.tile(np.linspace(-2, 2, 21), 4) / size**0.8
    truth = size**-0.25 * (np.tanh((x - 1) * size**0.8) + 1.5)
    each = truth + 0.004 * size**-0.25 * np.sqrt(runs) * rng.normal(size=(runs, size.size))
    return size, x, each, each.std(axis=0, ddof=1) / np.sqrt(runs)


def test_errors_of_three_runs_are_steadied_by_their_neighbours():
    """1 / s^2 of 3 runs hangs on chance: each is off by a half, and some by a factor of ten."""
    ratio = {"plain": [], "steady": []}
    for seed in range(5):
        size, x, _, error = measured(seed, 3)
        own, wider = steadied(size, x, error, np.full(size.size, 3.0))
        true = 0.004 * size**-0.25
        ratio["plain"] += (error / true).tolist()
        ratio["steady"] += (own / true).tolist()
        assert 1.02 < wider < 1.4
    assert np.std(np.log(ratio["plain"])) > 0.5
    assert np.std(np.log(ratio["steady"])) < 0.25
    assert np.sqrt(np.mean(np.square(ratio["steady"]))) == pytest.approx(1, abs=0.1)


def test_errors_that_differ_and_are_known_stay():
    """Thousands of runs behind errors that scatter by a factor of two: no neighbour is believed."""
    rng = np.random.default_rng(0)
    size, x = np.repeat([8.0, 16], 20), np.tile(np.linspace(0, 1, 20), 2)
    error = 0.01 * 2 ** rng.uniform(-1, 1, 40)
    own, wider = steadied(size, x, error, np.full(40, 2000.0))
    assert own == pytest.approx(error, rel=0.02)
    assert wider == pytest.approx(1, abs=0.01)


def test_intervals_from_three_runs_hold():
    """As they came they covered 0.78 of 90, and were larger."""
    off, errors = [], {"told": [], "plain": []}
    for seed in range(6):
        size, x, each, error = measured(seed, 3)
        told = collapse(points(size, x, each.mean(0), error, runs=3), excluded=["logarithms"])
        assert "errors of 3 runs: parameters wider by 1." in told.message
        plain = collapse(points(size, x, each.mean(0), error), excluded=["logarithms"])
        truth = {"x_c": 1.0, "inverse_nu": 0.8, "exponent": -0.25}
        off += [(told.parameters[k].value - v) / told.parameters[k].error for k, v in truth.items()]
        for name, found in (("told", told), ("plain", plain)):
            errors[name].append(found.parameters["exponent"].error)
    assert np.mean(np.abs(off) < 1.96) >= 0.9
    assert np.median(errors["told"]) < 1.1 * np.median(errors["plain"])


def test_replicates_bring_their_number_along():
    size, x, each, error = measured(0, 4)
    found = points(size, x, each.mean(0), replicates=each)
    assert found.wider > 1.02
    same = points(size, x, each.mean(0), error, runs=4)
    assert same.error == pytest.approx(found.error)
    shared = (
        each.mean(0)
        + 0.01 * np.random.default_rng(0).normal(size=(4, 1))
        + 1e-4 * (each - each.mean(0))
    )
    assert points(size, x, shared.mean(0), replicates=shared).wider == pytest.approx(
        float(student_factor(4))
    )


def test_the_number_of_runs_is_a_column_or_a_number():
    size, x, each, error = measured(0, 5)
    frame = pd.DataFrame({"L": size, "x": x, "A": each.mean(0), "dA": error, "n": 5})
    columns = {"size": "L", "control": "x", "value": "A", "error": "dA"}
    assert (
        read_table(frame, **columns, runs="n").error.tolist()
        == read_table(frame, **columns, runs=5).error.tolist()
    )
    assert read_table(frame, **columns).wider == 1
    with pytest.raises(ValueError, match=r"runs must be 2 or more .*, got 1"):
        read_table(frame.assign(n=1), **columns, runs="n")
    with pytest.raises(ValueError, match="runs are those behind an error: give the errors, too"):
        read_table(frame.drop(columns="dA"), size="L", control="x", value="A", runs=5)
