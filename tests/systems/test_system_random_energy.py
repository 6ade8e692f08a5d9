"""The random-energy row: a wrapper, so only what it adds."""

from __future__ import annotations

import numpy as np
import pytest

from heatcap.attention import random_energy_heat_capacity
from heatcap.systems import RandomEnergy


def test_it_is_the_null_of_the_audit() -> None:
    s = np.array([0.1, 1.0, 3.0])
    table = RandomEnergy().exact([3, 16], s)
    expected = np.r_[random_energy_heat_capacity(s**2, 3), random_energy_heat_capacity(s**2, 16)]
    np.testing.assert_array_equal(table["heat_capacity"], expected)
    assert "1 %" in table.attrs["accuracy"]


def test_a_slow_average_over_the_disorder() -> None:
    energies = 1.5 * np.random.default_rng(0).standard_normal((100_000, 16))
    p = np.exp(-energies)
    p /= p.sum(axis=1, keepdims=True)
    heat = np.sum(p * energies**2, axis=1) - np.sum(p * energies, axis=1) ** 2
    exact = RandomEnergy().exact([16], [1.5])["heat_capacity"].item()
    assert exact == pytest.approx(heat.mean(), rel=0.012)


def test_the_maximum_lies_near_the_freezing() -> None:
    for n in (8, 64):
        position, height = RandomEnergy().maximum(n)
        assert position == pytest.approx(RandomEnergy().freezing(n), rel=0.3)
        assert RandomEnergy().exact([n], [position])["heat_capacity"].item() == height
