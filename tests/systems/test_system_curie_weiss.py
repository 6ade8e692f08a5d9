"""The magnet whose heat capacity is bounded at a true transition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from heatcap.systems import CurieWeiss


@pytest.mark.parametrize("size", [2, 5, 10])
def test_against_the_sum_over_all_states(size: int) -> None:
    m = np.array(list(itertools.product([-1, 1], repeat=size))).mean(axis=1)
    for t in (0.4, 1.0, 3.0):
        p = np.exp(size * m**2 / (2 * t))
        p /= p.sum()
        row = CurieWeiss().exact([size], [t])
        energy = -(m**2) / 2
        mean = p @ np.abs(m)
        expected = {
            "energy": p @ energy,
            "heat_capacity": size * (p @ energy**2 - (p @ energy) ** 2) / t**2,
            "magnetisation": mean,
            "susceptibility": size * (p @ m**2 - mean**2) / t,
            "binder": 1 - p @ m**4 / (3 * (p @ m**2) ** 2),
        }
        for name, value in expected.items():
            assert row[name].item() == pytest.approx(value, rel=1e-10, abs=1e-12), name


@pytest.mark.parametrize(("size", "height"), [(256, 1.37), (1024, 1.51), (4096, 1.58)])
def test_largest_heat_capacity(size: int, height: float) -> None:
    assert CurieWeiss().maximum(size)[1] == pytest.approx(height, abs=6e-3)


def test_heat_capacity_is_the_derivative_of_the_energy() -> None:
    t, h = np.linspace(0.5, 1.6, 23), 1e-5
    up, down = (CurieWeiss().exact([400], t + d)["energy"] for d in (h, -h))
    np.testing.assert_allclose(
        CurieWeiss().exact([400], t)["heat_capacity"], (up - down) / (2 * h), rtol=1e-5
    )


def test_exponents_at_the_critical_point() -> None:
    """Ratios of sizes four apart, where corrections are N^(-1/2)."""
    system = CurieWeiss()
    row = system.exact([65536, 262144], [1.0])
    growth = {name: math.log(row[name][1] / row[name][0], 4) for name in system.observables}
    assert growth["magnetisation"] == pytest.approx(-system.beta_over_nu, abs=2e-3)
    assert growth["susceptibility"] == pytest.approx(system.gamma_over_nu, abs=5e-3)
    assert growth["heat_capacity"] == pytest.approx(system.alpha_over_nu, abs=5e-3)
    limit = 1 - math.gamma(0.25) ** 4 / (24 * math.pi**2)
    assert system.critical_binder == pytest.approx(limit, abs=1e-7)
    assert row["binder"][1].item() == pytest.approx(limit, abs=1e-3)


def test_curves_collapse_with_nu() -> None:
    system, z = CurieWeiss(), np.linspace(-2, 2, 9)
    curves = [
        system.exact([n], 1 + z * n ** (-1 / system.nu))["binder"].to_numpy()
        for n in (16384, 262144)
    ]
    np.testing.assert_allclose(*curves, atol=6e-3)
    assert np.ptp(curves[0]) > 0.3
