"""Kaufman's partition function of the torus."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ellipk

from heatcap.systems import Ising2DExact
from heatcap.systems.exact import CRITICAL_COUPLING, _log_z

COUPLINGS = [0.01, 0.1, 0.3, 0.44, CRITICAL_COUPLING, 0.5, 0.8, 2.0]


@pytest.fixture(scope="module")
def levels() -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Energies and their numbers of states at L = 2, 3 and 4, from all states."""
    out = {}
    for size in (2, 3, 4):
        sites = size**2
        spins = ((np.arange(2**sites)[:, None] >> np.arange(sites)) & 1) * 2 - 1
        spins = spins.reshape(-1, size, size)
        bonds = spins * (np.roll(spins, 1, 1) + np.roll(spins, 1, 2))
        out[size] = np.unique(-bonds.sum((1, 2)), return_counts=True)
    return out


@pytest.mark.parametrize("size", [2, 3, 4])
def test_against_the_sum_over_all_states(
    size: int, levels: dict[int, tuple[np.ndarray, np.ndarray]]
) -> None:
    energy, number = levels[size]
    row = Ising2DExact().exact([size], COUPLINGS)
    for i, k in enumerate(COUPLINGS):
        weight = number * np.exp(-k * (energy - energy.min()))
        p = weight / weight.sum()
        u = p @ energy
        free = -(math.log(weight.sum()) / k - energy.min()) / size**2
        assert row["energy"][i].item() == pytest.approx(u / size**2, abs=1e-12)
        heat = k**2 * (p @ (energy - u) ** 2) / size**2
        assert row["heat_capacity"][i].item() == pytest.approx(heat, abs=1e-12)
        assert row["free_energy"][i].item() == pytest.approx(free, rel=1e-12)


@pytest.mark.parametrize("size", [8, 64, 128])
def test_heat_capacity_is_the_derivative_of_the_energy(size: int) -> None:
    k, h = np.r_[np.linspace(0.2, 0.7, 21), CRITICAL_COUPLING], 1e-5
    up, down = (Ising2DExact().exact([size], k + d)["energy"] for d in (h, -h))
    heat = Ising2DExact().exact([size], k)["heat_capacity"]
    np.testing.assert_allclose(heat, -(k**2) * (up - down) / (2 * h), rtol=1e-5, atol=1e-8)


def test_energy_is_the_derivative_of_the_free_energy() -> None:
    k, h = 0.41, 1e-5
    up, down = (_log_z(32, k + d)[0] for d in (h, -h))
    assert _log_z(32, k)[1] == pytest.approx((up - down) / (2 * h), rel=1e-7)


@pytest.mark.parametrize("k", [0.30, 0.36, 0.55, 0.70])
def test_large_lattices_have_onsagers_energy(k: float) -> None:
    """-coth 2K [1 + 2 (2 tanh^2 2K - 1) K(kappa) / pi], kappa = 2 sinh 2K / cosh^2 2K."""
    kappa = 2 * math.sinh(2 * k) / math.cosh(2 * k) ** 2
    bulk = 1 + 2 / math.pi * (2 * math.tanh(2 * k) ** 2 - 1) * float(ellipk(kappa**2))
    assert Ising2DExact().exact([128], [k])["energy"].item() == pytest.approx(
        -bulk / math.tanh(2 * k), rel=1e-9
    )


def test_the_maximum_grows_like_the_logarithm() -> None:
    """By 8 K_c^2 / pi = 0.4945 per e-fold of L (amplitude of ln|T - T_c| from a lecture text)."""
    top = [Ising2DExact().maximum(size)[1] for size in (32, 64, 128)]
    slopes = np.diff(top) / math.log(2.0)
    np.testing.assert_allclose(slopes, 8 * CRITICAL_COUPLING**2 / math.pi, rtol=0.02)


def test_nothing_overflows() -> None:
    row = Ising2DExact().exact([256], [1e-3, CRITICAL_COUPLING, 3.0, 20.0])
    for name in ("heat_capacity", "energy", "free_energy"):
        assert np.all(np.isfinite(row[name]))
    assert row["energy"][3].item() == pytest.approx(-2.0)
