"""The sampled XY model against integrals over the angles and a twisted transfer matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest

from heatcap.systems import XY, Ising2D, SpinSystem, weber_minnhagen
from heatcap.systems.xy import T_KT, _run

POINTS = 32


def exact_2(t: float) -> dict[str, float]:
    """L = 2 by the trapezoidal rule, which converges exponentially; every bond is there twice."""
    grid = 2 * np.pi * np.arange(POINTS) / POINTS
    a, b, c = np.meshgrid(grid, grid, grid, indexing="ij")  # sites 1, 2, 3; site 0 at angle 0
    energy = -2 * (np.cos(a) + np.cos(b) + np.cos(c - a) + np.cos(c - b))
    m2 = ((1 + np.cos(a) + np.cos(b) + np.cos(c)) ** 2) + (np.sin(a) + np.sin(b) + np.sin(c)) ** 2
    p = np.exp(-(energy + 8) / t)
    p /= p.sum()
    m2 /= 16
    u = np.sum(p * energy)
    return {
        "energy": u / 4,
        "heat_capacity": np.sum(p * (energy - u) ** 2) / 4 / t**2,
        "magnetisation": np.sum(p * np.sqrt(m2)),
        "susceptibility": 4 * np.sum(p * m2) / t,
        "binder": 1 - np.sum(p * m2**2) / (3 * np.sum(p * m2) ** 2),
    }


def log_z(t: float, twist: float, states: int = 12) -> float:
    """ln Z of L = 3 with every row twisted at its seam, from the transfer matrix of the rows."""
    grid = 2 * np.pi * np.arange(states) / states
    rows = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), -1).reshape(-1, 3)
    within = np.cos(rows[:, 0] - rows[:, 1]) + np.cos(rows[:, 1] - rows[:, 2])
    within += np.cos(rows[:, 2] - rows[:, 0] - twist)
    between = np.cos(rows) @ np.cos(rows).T + np.sin(rows) @ np.sin(rows).T
    matrix = np.exp((between + (within[:, None] + within) / 2 - 6) / t)
    return math.log(np.sum((matrix @ matrix) * matrix.T)) + 18 / t


def test_all_observables_against_an_integral() -> None:
    temperatures = np.array([0.4, 0.9, 1.5, 4.0])
    table = XY().sample([2], temperatures, replicates=24, sweeps=20_000, rng=1)
    score = np.array(
        [
            ((table[name][i] - value) / table[f"{name}_error"][i]).item()
            for i, t in enumerate(temperatures)
            for name, value in exact_2(t).items()
        ]
    )
    assert np.all(np.abs(score) < 4)
    assert 0.3 < np.mean(score**2) < 2
    wrong = np.array([exact_2(t * 1.03)["energy"] for t in temperatures])
    assert np.mean(((table["energy"] - wrong) / table["energy_error"]) ** 2) > 8


def test_short_runs_are_not_biased() -> None:
    """400 values from four runs of five sweeps: without the jackknife C would be too small."""
    table = XY().sample([2], np.full(400, 0.9), replicates=4, sweeps=5, rng=0)
    heat = table["heat_capacity"].to_numpy()
    error = heat.std(ddof=1) / np.sqrt(heat.size)
    assert abs(heat.mean() - exact_2(0.9)["heat_capacity"]) < 3 * error


def test_helicity_modulus_against_a_twist() -> None:
    """Upsilon = d^2 F / d twist^2 and U = -d ln Z / d beta, by differences."""
    t, h = 1.0, 0.05
    table = XY().sample([3], [t], replicates=24, sweeps=4000, rng=2)
    straight = log_z(t, 0.0)
    stiffness = 2 * t * (straight - log_z(t, h)) / h**2
    score = (table["helicity_modulus"] - stiffness) / table["helicity_modulus_error"]
    assert abs(score.item()) < 4
    assert table["helicity_modulus_error"].item() < 5e-3
    d = 1e-3
    energy = -(log_z(1 / (1 + d), 0.0) - straight) / d / 9
    assert table["energy"].item() == pytest.approx(energy, abs=4e-3)


def test_cold_spins_are_waves() -> None:
    """U = -2 + T/2 and Upsilon = 1 - T/4, to first order and up to 1/N."""
    row = XY().sample([16], [0.05], replicates=8, sweeps=400, rng=3)
    assert row["energy"].item() == pytest.approx(-2 + 0.025, abs=1e-3)
    assert row["helicity_modulus"].item() == pytest.approx(1 - 0.0125, abs=1.5e-3)


def test_the_jump_is_smeared_by_a_logarithm() -> None:
    """Upsilon at T_KT lies above 2 T / pi, and one constant describes both sizes."""
    table = XY().sample([8, 32], [T_KT], replicates=12, sweeps=800, rng=4)
    jump = 2 * T_KT / math.pi
    excess = table["helicity_modulus"].to_numpy() / jump - 1
    error = table["helicity_modulus_error"].to_numpy() / jump
    assert np.all(excess > 10 * error)
    c = 1 / excess - 2 * np.log([8, 32])
    spread = np.hypot(*(error / excess**2))
    assert abs(c[0] - c[1]) < 4 * spread + 0.5
    form = weber_minnhagen([8, 32], float(c[0]))
    assert form[0] == pytest.approx(table["helicity_modulus"][0].item())
    assert weber_minnhagen(1e300, 0.0) == pytest.approx(jump, rel=1e-3)
    hot = XY().sample([32], [1.4], replicates=4, sweeps=300, rng=5)
    assert hot["helicity_modulus"].item() < 0.02
    with pytest.raises(ValueError, match="must be positive"):
        weber_minnhagen(2, -5.0)


def test_kernels_are_compiled_once() -> None:
    """Another signature would be compiled outside the lock."""
    for replicates in (2, 3):
        XY().sample([3], [1.0], replicates=replicates, sweeps=2, rng=0)
    assert len(_run.signatures) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("system", [XY(), Ising2D()])
def test_a_series_holds_what_a_table_averages(system: SpinSystem) -> None:
    options = {"replicates": 3, "sweeps": 40, "rng": 7}
    controls = [0.4, 0.9]
    series, table = (
        system.series([3, 4], controls, **options),
        system.sample([3, 4], controls, **options),
    )
    for name in ("energy", "magnetisation"):
        np.testing.assert_allclose(series[name].mean(("replicate", "sweep")), table[name])
