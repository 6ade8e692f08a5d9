"""The Ising ring."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from heatcap.systems import Ising1D


@pytest.mark.parametrize("size", [2, 3, 8, 11])
def test_against_the_sum_over_all_states(size: int) -> None:
    spins = np.array(list(itertools.product([-1, 1], repeat=size)))
    energy = -np.sum(spins * np.roll(spins, 1, axis=1), axis=1)
    magnet = spins.sum(axis=1)
    for t in (0.3, 0.9, 2.5, 40.0):
        p = np.exp(-(energy - energy.min()) / t)
        p /= p.sum()
        u = p @ energy
        row = Ising1D().exact([size], [t])
        assert row["energy"].item() == pytest.approx(u / size, rel=1e-12)
        heat = p @ (energy - u) ** 2 / size / t**2
        assert row["heat_capacity"].item() == pytest.approx(heat, rel=1e-11)
        assert row["susceptibility"].item() == pytest.approx(p @ magnet**2 / size / t, rel=1e-12)


@pytest.mark.parametrize(
    ("size", "height"), [(8, 0.526), (11, 0.544), (32, 0.480), (512, 0.4392), (4096, 0.4392)]
)
def test_the_maximum_overshoots_and_saturates(size: int, height: float) -> None:
    assert Ising1D().maximum(size)[1] == pytest.approx(height, abs=5e-4)


def test_heat_capacity_is_the_derivative_of_the_energy() -> None:
    t, h = np.linspace(0.2, 4.0, 40), 1e-5
    up, down = (Ising1D().exact([16, 64], t + d)["energy"] for d in (h, -h))
    np.testing.assert_allclose(
        Ising1D().exact([16, 64], t)["heat_capacity"], (up - down) / (2 * h), rtol=1e-6, atol=1e-9
    )


def test_extreme_temperatures() -> None:
    cold = Ising1D().exact([8], [1e-2])
    assert cold["energy"].item() == pytest.approx(-1.0)
    assert 0.0 <= cold["heat_capacity"].item() < 1e-30
    assert Ising1D().critical_point is None
