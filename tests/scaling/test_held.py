"""A parameter that is held is what was given, without an error: whatever the rounding."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_collapse import planted

from heatcap.scaling import (
    Parameter,
    collapse,
    crossings,
    first_order,
    peaks_against_size,
    points,
)
from heatcap.scaling.fits import average, weights_of

NUMBERS = st.floats(-1e6, 1e6)


@given(value=NUMBERS, scores=st.lists(st.floats(0, 40), min_size=1, max_size=40))
def test_the_average_of_equal_numbers_is_that_number(value, scores):
    fits = [SimpleNamespace(score=score) for score in scores]
    assert average(fits, [(value, 0.0)] * len(scores)) == Parameter.held(value)


@given(values=st.lists(NUMBERS, min_size=2, max_size=9), scores=st.data())
def test_an_average_lies_among_its_numbers(values, scores):
    fits = [SimpleNamespace(score=scores.draw(st.floats(0, 40))) for _ in values]
    weights = weights_of(fits)
    found = average(fits, zip(values, np.square(values), strict=True))
    assert found.value == pytest.approx(np.average(values, weights=weights), rel=1e-9, abs=1e-6)
    spread = np.sqrt(np.average((np.array(values) - found.value) ** 2, weights=weights))
    assert found.systematic == pytest.approx(spread, rel=1e-9, abs=1e-6)


HELD = {"x_c": 1.0 + 1e-3 / 3, "inverse_nu": 0.1 + 0.7, "exponent": -0.1 - 0.2, "omega": 1 / 1.1}


@pytest.mark.parametrize("name", HELD)
def test_what_a_collapse_holds_is_exact(name):
    data = planted(correction=1.0, sizes=(8, 16, 32, 64))
    found = collapse(data, fixed={name: HELD[name]}, start=dict.fromkeys(HELD, 0.9))
    assert len(found.models) > 1
    assert found.parameters[name] == Parameter.held(HELD[name])
    assert {row["parameters"][name] for row in found.models} == {HELD[name]}
    assert {row["errors"][name] for row in found.models} == {0}


def test_what_a_collapse_holds_is_exact_on_resamples():
    """The standard deviation of equal numbers is that of their rounding."""
    mean = planted(sizes=(8, 16, 32))
    noise = mean.error * np.random.default_rng(0).standard_normal((6, len(mean)))
    data = points(mean.size, mean.control, mean.value, mean.error, replicates=mean.value + noise)
    found = collapse(data, fixed={"exponent": -0.3, "omega": 1.1}, bootstrap=7)
    assert found.parameters["exponent"] == Parameter.held(-0.3)
    assert found.parameters["omega"] == Parameter.held(1.1)
    assert found.parameters["x_c"].statistical > 0


def test_what_an_ansatz_holds_is_exact():
    found = collapse(planted(sizes=(8, 16, 32)), ansatz=first_order)
    assert found.parameters["dimension"] == Parameter.held(2.0)


def test_an_exponent_that_is_held_is_the_one_of_every_fit():
    """Of crossings and of peaks: what is given is told apart from what is fitted."""
    size, w = np.array([8.0, 16, 32, 64, 128]), 1 / 0.7
    at = 1 + 0.3 * size**-w
    found = peaks_against_size(size, at, 1e-5 * size**0, inverse_nu=w)
    assert (found.inverse_nu, found.fixed) == (None, {"inverse_nu": w})
    assert {row["exponent"] for row in found.position_models} == {w}
    lines = np.concatenate([at[k] + np.linspace(-0.2, 0.2, 15) for k in range(5)])
    value = 0.6 + 0.1 * np.repeat(size, 15) ** 0.8 * (lines - 1)
    met = crossings(points(np.repeat(size, 15), lines, value, 1e-4 * value**0), drift=w)
    assert (met.drift_exponent, met.drift) == (None, w)
    assert {row["exponent"] for row in met.models} == {w}
