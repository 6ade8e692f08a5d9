"""Least squares between bounds, and what is said of parameters that nothing determines."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from heatcap.scaling.fits import inverse_normal, minimum, unsettled, weights_of


def valley(at):
    """Rosenbrock's valley, its minimum at (1, 1)."""
    x, y = at
    return np.array([1 - x, 10 * (y - x**2)]), np.array([[-1.0, 0.0], [-20 * x, 10.0]])


def descended(low, high):
    tried = []

    def rows(at):
        tried.append(tuple(at))
        return valley(at)

    found, settled = minimum(rows, np.array([-1.2, 1.0]), np.array(low), np.array(high))
    assert settled
    return found, tried


def test_the_minimum_is_found_and_no_point_is_asked_for_twice_in_a_row():
    found, tried = descended([-5.0, -5.0], [5.0, 5.0])
    np.testing.assert_allclose(found, 1, atol=1e-6)
    assert all(a != b for a, b in itertools.pairwise(tried))


def test_a_parameter_in_large_units_does_not_end_the_descent_of_the_others():
    """A control of 10^6 with a range of 1 once did: any step of the others is small beside it."""

    def rows(at):
        residuals, slopes = valley(at[1:])
        return np.append(residuals, at[0] - 1e6), np.vstack(
            [np.column_stack([np.zeros(2), slopes]), [1.0, 0.0, 0.0]]
        )

    low, high = np.array([1e6 - 1, -5.0, -5.0]), np.array([1e6 + 1, 5.0, 5.0])
    found, _ = minimum(rows, np.array([1e6 + 0.5, -1.2, 1.0]), low, high)
    np.testing.assert_allclose(found - [1e6, 0, 0], [0, 1, 1], atol=1e-6)


def test_a_narrow_valley_is_followed_to_its_end_or_said_not_to_be():
    """Sixty evaluations once ended fits of a collapse, by up to 4 of chi^2."""

    def along(steep):
        def rows(at):
            x, y = at
            slopes = [[-1.0, 0.0], [-3 * steep * x**2, steep]]
            return np.array([1 - x, steep * (y - x**3)]), np.array(slopes)

        return minimum(rows, np.array([-1.2, 1.0]), np.full(2, -5.0), np.full(2, 5.0))

    found, settled = along(300.0)
    assert settled
    np.testing.assert_allclose(found, 1, atol=1e-6)
    found, settled = along(1000.0)
    assert not settled
    assert found[0] < 0.9


def test_fits_without_an_end_are_noted_by_their_weight():
    def fits(*pairs):
        return [SimpleNamespace(score=score, settled=settled) for score, settled in pairs]

    assert unsettled(fits((7.0, True), (30.0, False))) == ""
    share = round(100 / (1 + np.e))
    assert unsettled(fits((7.0, True), (9.0, False))).startswith(
        f"fits with {share}% of the weight"
    )


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
    found, _ = minimum(rows, first * scales, low * scales, high * scales)
    np.testing.assert_array_equal(found / scales, minimum(valley, first, low, high)[0])


def test_a_start_without_parameters_or_finite_residuals_is_returned():
    nothing = np.empty(0)
    assert minimum(lambda _: (np.ones(2), np.ones((2, 0))), nothing, nothing, nothing)[0].size == 0
    start = np.array([3.0])
    low, high = np.array([-1.0]), np.array([2.0])
    assert minimum(lambda _: (np.full(2, np.nan), np.ones((2, 1))), start, low, high) == (
        [2.0],
        False,
    )


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
