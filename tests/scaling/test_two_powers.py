"""Crossovers of two power laws: exact cases, units, an oracle, and one power that is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from heatcap.core.result import Status
from heatcap.scaling import crossover
from heatcap.scaling.two_powers import _model

X = 16.0 * 2.0 ** (np.arange(13) / 2)


def noisy(y, share=0.02, seed=0):
    error = share * np.abs(y)
    return y + error * np.random.default_rng(seed).standard_normal(y.size), error


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_and_a_harmonic_sum_come_back(sign):
    p, q = (-2.0, 0.0) if sign > 0 else (0.5, -1.5)
    u = X / 100
    y = 3 * (u ** (sign * p) + u ** (sign * q)) ** sign
    for options in ({}, {"sharpness": float(sign)}):
        found = crossover(X, *noisy(y), **options)
        assert found.status == "ok", found.message
        for p_, truth in ((found.p, p), (found.q, q), (found.x_cross, 100)):
            assert abs(p_.value - truth) < 2.5 * p_.error
        assert found.x_cross.error < 30
        assert found.gain > 50


def test_a_known_form_has_the_numbers_of_a_general_optimiser():
    y, error = noisy(3 * ((X / 100) ** -2.0 + 1))
    found = crossover(X, y, error, sharpness=1)

    def form(x, a, p, b, q):
        return np.exp(a) * (x / 100) ** p + np.exp(b) * (x / 100) ** q

    best, covariance = curve_fit(form, X, y, (1, -2, 1, 0), error, absolute_sigma=True)
    assert found.p.value == pytest.approx(best[1], abs=0.01 * covariance[1, 1] ** 0.5)
    assert found.q.error == pytest.approx(covariance[3, 3] ** 0.5, rel=0.02)
    place = 100 * np.exp((best[0] - best[2]) / (best[3] - best[1]))
    assert found.x_cross.value == pytest.approx(place, rel=1e-3)


@pytest.mark.parametrize("s", [-2.5, -1.0, 0.7, 3.0])
def test_derivatives_are_those_of_the_form(s):
    theta, t = np.array([0.3, 4.0, -0.8, 1.7]), np.log(X)
    _, slopes = _model(theta, t, s)
    for k in range(4):
        step = np.zeros(4)
        step[k] = 1e-6
        numeric = (_model(theta + step, t, s)[0] - _model(theta - step, t, s)[0]) / 2e-6
        assert slopes[:, k] == pytest.approx(numeric, abs=1e-7)


def test_both_power_laws_meet_at_the_crossover():
    found = crossover(X, *noisy(3 * ((X / 100) ** -2.0 + 1)))
    curve = found.curve
    place = np.interp(0, np.log(curve["above"] / curve["below"]), np.log(curve["x"]))
    best = max(found.models, key=lambda model: model["weight"])
    assert np.exp(place) == pytest.approx(best["x_cross"], rel=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.sampled_from([-1.0, 1.0]))
def test_numbers_follow_a_change_of_units(of_x, of_y, sign):
    y, error = noisy(3 * ((X / 100) ** -2.0 + 1))
    one = crossover(X, y, error, sharpness=1)
    two = crossover(of_x * X, sign * of_y * y, of_y * error, sharpness=1)
    assert two.x_cross.value == pytest.approx(of_x * one.x_cross.value, rel=1e-4)
    assert two.p.value == pytest.approx(one.p.value, abs=1e-4)
    assert two.q.error == pytest.approx(one.q.error, rel=1e-3)


@pytest.mark.parametrize("share", [0.0, 0.3, -0.3])
def test_one_power_with_corrections_is_no_crossover(share):
    y = 5 * X**-0.7 * (1 + share * (X / 16) ** -0.5)
    found = crossover(X, *noisy(y))
    assert found.status is Status.NO_CROSSOVER
    assert found.x_cross is None
    assert abs(found.one_power.value + 0.7) < 2.5 * found.one_power.error
    assert "exponent = " in found.summary()


def test_a_side_that_is_hardly_seen_is_said():
    y = (X / 16) ** -2.0 + 0.0002
    found = crossover(X, *noisy(y, 0.01))
    assert found.status is Status.ONE_SIDE_ONLY
    assert "above x" in found.message


def test_few_points_two_signs_and_no_form_are_said():
    few = crossover(X[:5], X[:5], X[:5])
    assert few.status is Status.TOO_FEW_POINTS
    with pytest.raises(ValueError, match="one sign"):
        crossover(X, np.linspace(-1, 2, 13), 0.01 * np.ones(13))
    with pytest.raises(ValueError, match="sharpness"):
        crossover(X, X, X, sharpness=0)
    waves = np.exp(np.sin(3 * np.log(X))) * (1 + (X / 100) ** 2)
    assert crossover(X, waves, 0.01 * waves).status in ("poor fit", "no crossover")


def test_errors_that_are_not_given_come_from_the_scatter():
    y, _ = noisy(3 * ((X / 100) ** -2.0 + 1))
    found = crossover(X, y, sharpness=1)
    assert found.status == "ok"
    assert "no errors given" in found.message
    assert found.error / y == pytest.approx(np.full(13, 0.02), rel=0.6)
