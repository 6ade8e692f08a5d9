"""Least squares between bounds, and what is said of parameters that nothing determines."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from heatcap.scaling.fits import inverse_normal, minimum, weights_of


def valley(at):
    """Rosenbrock's valley, its minimum at (1, 1)."""
    x, y = at
    return np.array([1 - x, 10 * (y - x**2)]), np.array([[-1.0, 0.0], [-20 * x, 10.0]])


def descended(low, high):
    tried = []

    def rows(at):
        tried.append(tuple(at))
        return valley(at)

    found = minimum(rows, np.array([-1.2, 1.0]), np.array(low), np.array(high))
    return found, tried


def test_the_minimum_is_found_and_no_point_is_asked_for_twice_in_a_row():
    found, tried = descended([-5.0, -5.0], [5.0, 5.0])
    np.testing.assert_allclose(found, 1, atol=1e-6)
    assert all(a != b for a, b in itertools.pairwise(tried))


def test_parameters_stay_between_their_bounds():
    found, tried = descended([-5.0, -5.0], [0.5, 5.0])
    assert found == pytest.approx([0.5, 0.25], abs=1e-4)
    assert max(x for x, _ in tried) <= 0.5


@pytest.mark.parametrize("unit", [2.0**-300, 2.0**-40, 2.0**100])
@pytest.mark.parametrize("start", [-1.2, -5.0])
def test_the_descent_does_not_depend_on_the_unit_of_a_parameter(unit, start):
    def rows(at):
        residuals, slopes = valley(at / [unit, 1.0])
        return residuals, slopes / [unit, 1.0]

    low, high, first = np.full(2, -5.0), np.full(2, 5.0), np.array([start, 1.0])
    scales = np.array([unit, 1.0])
    found = minimum(rows, first * scales, low * scales, high * scales)
    np.testing.assert_array_equal(found / scales, minimum(valley, first, low, high))


def test_a_start_without_parameters_or_finite_residuals_is_returned():
    nothing = np.empty(0)
    assert minimum(lambda _: (np.ones(2), np.ones((2, 0))), nothing, nothing, nothing).size == 0
    start = np.array([3.0])
    low, high = np.array([-1.0]), np.array([2.0])
    assert minimum(lambda _: (np.full(2, np.nan), np.ones((2, 1))), start, low, high) == [2.0]


def test_the_covariance_is_the_inverse_and_large_where_nothing_determines_a_parameter():
    jacobian = np.array([[1.0, 0.0], [1.0, 2.0], [0.0, 1e3]])
    inverse = np.linalg.inv(jacobian.T @ jacobian)
    np.testing.assert_allclose(inverse_normal(jacobian, 1e-14), inverse, rtol=1e-9)
    alike = np.array([[1.0, 1.0], [2.0, 2.0], [0.5, 0.5]])
    assert (np.diag(inverse_normal(alike, 1e-14)) > 1e10).all()
    without = np.array([[1.0, 0.0], [2.0, 0.0]])
    assert np.diag(inverse_normal(without, 1e-14)) == pytest.approx([0.2, np.inf])


def test_a_score_that_is_worse_by_two_weighs_less_by_e():
    weights = weights_of([SimpleNamespace(score=score) for score in (7.0, 9.0)])
    assert weights[0] / weights[1] == pytest.approx(np.e)
    assert weights.sum() == pytest.approx(1)
