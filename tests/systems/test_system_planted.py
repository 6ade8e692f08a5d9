"""Planted collapses: the truth is in the attributes and in the numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from heatcap.systems import Planted
from heatcap.systems.planted import FUNCTIONS

SIZES = [8, 16, 32]


def test_the_equation() -> None:
    system = Planted(
        np.cos, x_c=2.0, inverse_nu=0.7, exponent=-0.4, correction=0.5, omega=1.5, noise=0.0
    )
    table = system.sample([16], [1.7, 2.0, 2.2], rng=0)
    z = (np.array([1.7, 2.0, 2.2]) - 2.0) * 16**0.7
    expected = 16**-0.4 * np.cos(z) * (1 + 0.5 * 16**-1.5)
    np.testing.assert_allclose(table["value"], expected, rtol=1e-14)
    assert table.attrs["x_c"] == 2.0
    assert table.attrs["nu"] == 1 / 0.7
    assert {table.attrs[name] for name in ("exponent", "correction", "omega")} == {-0.4, 0.5, 1.5}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_sizes_collapse_without_corrections_only(name: str) -> None:
    def curves(correction: float) -> np.ndarray:
        system = Planted(name, exponent=0.3, inverse_nu=1.2, correction=correction, noise=0.0)
        table = system.exact(SIZES, system.grid)
        return table["value"].to_numpy().reshape(3, -1) / np.array(SIZES)[:, None] ** 0.3

    np.testing.assert_allclose(curves(0.0), curves(0.0)[[0, 0, 0]], rtol=1e-12)
    assert np.abs(curves(1.0) / curves(1.0)[0] - 1).max() > 0.05


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_noise_has_the_covariance_that_is_stated(relative: bool, correlation: float) -> None:
    system = Planted("peak", noise=0.02, relative=relative, correlation=correlation)
    count = 4000
    table = system.sample([8, 16], [0.9, 1.0, 1.1], replicates=count, rng=2)
    truth = system.exact([8, 16], [0.9, 1.0, 1.1])["value"].to_numpy()
    sigma = 0.02 * (truth if relative else np.ones(6))
    np.testing.assert_allclose(table["value_error"], sigma, rtol=5 / math.sqrt(2 * count))
    rho = np.corrcoef(table["value_replicates"])
    same = np.kron(np.eye(2), np.ones((3, 3))) * correlation
    np.fill_diagonal(same, 1.0)
    np.testing.assert_allclose(rho, same, atol=5 / math.sqrt(count))
    assert ("value_covariance" in table) == (correlation > 0)
    if correlation:
        np.testing.assert_allclose(table["value_covariance"], same * np.outer(sigma, sigma))


@pytest.mark.parametrize("replicates", [None, 50])
def test_deviations_have_the_stated_size(replicates: int | None) -> None:
    system = Planted("binder", noise=0.03)
    table = system.sample(SIZES, system.grid(8, count=200), replicates=replicates, rng=4)
    truth = system.exact(SIZES, system.grid(8, count=200))["value"]
    z = ((table["value"] - truth) / table["value_error"]).to_numpy()
    assert abs(z.mean()) < 4 / math.sqrt(z.size)
    assert abs(np.mean(z**2) - 1) < 4 * math.sqrt(2 / z.size) + 2 / 50
    wrong = Planted("binder", noise=0.03, x_c=1.03).exact(SIZES, system.grid(8, count=200))
    z = ((table["value"] - wrong["value"]) / table["value_error"]).to_numpy()
    assert np.mean(z**2) > 1 + 8 * math.sqrt(2 / z.size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"function": "cosine"}, "callable or one of"),
        ({"noise": -1.0}, "noise must be 0 or more"),
        ({"correlation": 1.5}, "between 0 and 1"),
        ({"inverse_nu": 0.0}, "inverse_nu must not be 0"),
    ],
)
def test_bad_parameters_say_why(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Planted(**options)
