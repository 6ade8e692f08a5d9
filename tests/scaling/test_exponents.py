"""Exponents that follow from others, and their errors."""

import numpy as np
import pytest

from heatcap.core.result import Parameter
from heatcap.scaling import collapse, points
from heatcap.scaling.exponents import derived


def test_errors_are_those_of_draws_of_the_parameters():
    """A slow oracle: 1/nu and the exponent drawn together."""
    rho = np.array([[1, 0.6], [0.6, 1]])
    parts = {"inverse_nu": Parameter(1.2, 0.01, 0), "exponent": Parameter(-0.3, 0.02, 0)}
    scale = np.array([0.01, 0.02])
    drawn = np.random.default_rng(0).multivariate_normal(
        [1.2, -0.3], rho * np.outer(scale, scale), size=100_000
    )
    found = derived(parts, rho)
    assert list(found) == ["nu", "beta"]
    for name, values in (("nu", 1 / drawn[:, 0]), ("beta", -drawn[:, 1] / drawn[:, 0])):
        assert found[name].value == pytest.approx(values.mean(), rel=1e-3)
        assert found[name].error == pytest.approx(values.std(), rel=0.02)


def test_an_exponent_above_zero_is_that_of_a_susceptibility_or_a_heat_capacity():
    parts = {"inverse_nu": Parameter(1.0, 0.01, 0), "exponent_X": Parameter(1.75, 0.01, 0.01)}
    found = derived(parts, np.eye(2))
    assert {name: p.value for name, p in found.items()} == pytest.approx(
        {"nu": 1, "gamma_X": 1.75, "eta_X": 0.25, "alpha_X": 1.75}
    )
    assert found["eta_X"].error == pytest.approx(parts["exponent_X"].error)
    assert not derived({"log_l0": Parameter(0, 1, 0)}, np.eye(1))


def test_two_observables_give_beta_and_gamma():
    rng = np.random.default_rng(1)
    size, x = np.repeat([16.0, 32, 64], 13), np.tile(np.linspace(0.9, 1.1, 13), 3)
    parts = []
    for name, exponent in (("M", -0.125), ("X", 1.75)):
        value = size**exponent / (1 + np.exp((x - 1) * size / 2))
        error = 0.003 * value
        noise = error * rng.normal(size=x.size)
        parts.append(points(size, x, value + noise, error, name=name))
    found = collapse(parts, excluded=["crossover", "logarithms"])
    for name, truth in (("nu", 1), ("beta_M", 0.125), ("gamma_X", 1.75), ("eta_X", 0.25)):
        assert abs(found.derived[name].value - truth) < 3 * found.derived[name].error
    errors = [p.error for p in found.parameters.values()]
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(errors)
    assert "if it is a susceptibility" in found.summary()
    both = collapse(parts, fixed={"omega": 1, "a": 0}, excluded=["crossover", "logarithms"])
    assert both.fixed == {"omega": 1, "a_M": 0, "a_X": 0}


def test_errors_of_different_kinds_are_propagated_with_the_covariance_of_their_sum():
    parts = {"inverse_nu": Parameter(1.2, 0.01, 0), "exponent": Parameter(-0.3, 0, 0.02)}
    for rho in (-0.9, 0.9):
        slopes = np.array([-0.3 / 1.2**2, -1 / 1.2]) * [0.01, 0.02]
        variance = slopes @ [[1, rho], [rho, 1]] @ slopes
        found = derived(parts, np.array([[1, rho], [rho, 1]]))["beta"]
        assert found.error == pytest.approx(np.sqrt(variance))
        assert found.statistical / found.systematic == pytest.approx(abs(slopes[0] / slopes[1]))
