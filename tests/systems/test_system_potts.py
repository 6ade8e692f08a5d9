"""The sampled Potts model against the sum over all states, and its order at q = 3 and 10."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from heatcap.resampling import integrated_time
from heatcap.systems import Potts
from heatcap.systems.clusters import _run

TEMPERATURES = np.array([0.6, 0.9, 1.0, 1.4, 3.0])


def exact(q: int, size: int, t: float) -> dict[str, float]:
    colours = np.array(list(itertools.product(range(q), repeat=size**2)), dtype=np.int8)
    square = colours.reshape(-1, size, size)
    same = (square == np.roll(square, 1, 1)).sum((1, 2)) + (square == np.roll(square, 1, 2)).sum(
        (1, 2)
    )
    share = np.array([(colours == c).mean(axis=1) for c in range(q)])
    m2 = (q * np.sum(share**2, axis=0) - 1) / (q - 1)
    m1 = (q * share.max(axis=0) - 1) / (q - 1)
    p = np.exp((same - same.max()) / t)
    p /= p.sum()
    u, sites = -(p @ same), size**2
    return {
        "heat_capacity": p @ (same + u) ** 2 / sites / t**2,
        "energy": u / sites,
        "magnetisation": p @ m1,
        "susceptibility": sites * (p @ m2) / t,
        "binder": 1 - p @ m2**2 / (3 * (p @ m2) ** 2),
    }


@pytest.mark.parametrize(("q", "size"), [(3, 3), (10, 2), (4, 2)])
def test_against_the_sum_over_all_states(q: int, size: int) -> None:
    table = Potts(q).sample([size], TEMPERATURES, replicates=32, sweeps=20_000, rng=q)
    t = np.array(
        [
            ((table[name][i] - value) / table[f"{name}_error"][i]).item()
            for i, temperature in enumerate(TEMPERATURES)
            for name, value in exact(q, size, temperature).items()
        ]
    )
    assert np.all(np.abs(t) < 4)
    assert 0.3 < np.mean(t**2) < 2
    wrong = exact(q, size, 1.4 * 1.03)
    row = table.isel(point=3)
    assert abs((row["energy"] - wrong["energy"]) / row["energy_error"]) > 4


def test_answers() -> None:
    assert Potts(3).critical_point == pytest.approx(1 / math.log(1 + math.sqrt(3)), rel=1e-15)
    assert Potts(3).alpha_over_nu == pytest.approx(0.4)
    assert Potts(2).critical_point == pytest.approx(1 / math.log(1 + math.sqrt(2)))
    assert Potts(3).latent_heat == 0.0
    assert Potts(10).latent_heat == pytest.approx(0.6961, abs=1e-4)  # literature, from memory
    assert (Potts(3).transition, Potts(10).transition) == ("second order", "first order")
    # Scaling relations in two dimensions.
    for q in (2, 3, 4):
        system = Potts(q)
        assert system.gamma_over_nu + 2 * system.beta_over_nu == pytest.approx(2.0)
        assert system.alpha_over_nu == pytest.approx(2 / system.nu - 2)
    with pytest.raises(ValueError, match="q must be at least 2"):
        Potts(1)


def test_energy_and_susceptibility_of_q3_at_the_critical_point() -> None:
    system = Potts(3)
    table = system.sample([16, 64], [system.critical_point], replicates=16, sweeps=1000, rng=2)
    chi = table["susceptibility"].to_numpy()
    error = np.hypot(*(table["susceptibility_error"].to_numpy() / chi)) / np.log(4)
    assert error < 0.03
    assert abs(np.log(chi[1] / chi[0]) / np.log(4) - system.gamma_over_nu) < 4 * error
    # The energy of the torus tends to the exact one as L^(-(1 - alpha) / nu) = L^(-4/5).
    gap = (table["energy"] - system.critical_energy).to_numpy()
    error = table["energy_error"].to_numpy()
    assert gap[0] < -10 * error[0]
    assert abs(gap[1] - gap[0] * 4**-0.8) < 4 * np.hypot(*error) + 0.02 * abs(gap[1])


def test_short_runs_are_not_biased() -> None:
    """6000 values from four runs of five sweeps: without the jackknife C would be too small."""
    table = Potts(3).sample([2], np.full(6000, 1.0), replicates=4, sweeps=5, rng=0)
    heat = table["heat_capacity"].to_numpy()
    error = heat.std(ddof=1) / np.sqrt(heat.size)
    assert error < 0.015 * heat.mean()
    assert abs(heat.mean() - exact(3, 2, 1.0)["heat_capacity"]) < 3 * error


def test_q10_has_two_phases_a_latent_heat_apart() -> None:
    system = Potts(10)
    series = system.series(24, system.critical_point, replicates=8, sweeps=4000, rng=6)
    energy = series["energy"]
    assert energy.dims == ("replicate", "sweep")
    counts, edges = np.histogram(energy, bins=30, range=(-2.0, -0.6))
    middle = 0.5 * (edges[:-1] + edges[1:])
    cut = middle > system.critical_energy
    low, high = middle[~cut][np.argmax(counts[~cut])], middle[cut][np.argmax(counts[cut])]
    assert high - low == pytest.approx(system.latent_heat, abs=0.15)
    valley = counts[(middle > low + 0.2) & (middle < high - 0.2)].min()
    assert valley < 0.8 * min(counts[~cut].max(), counts[cut].max())
    assert np.all((energy >= -2) & (energy <= 0))
    assert float(integrated_time(energy, dim="sweep").value.mean()) > 10


def test_series_and_table_are_the_same_runs() -> None:
    table = Potts(3).sample([6], [1.0], replicates=4, sweeps=50, rng=9)
    series = Potts(3).series(6, 1.0, replicates=4, sweeps=50, rng=9)
    np.testing.assert_allclose(table["energy_replicates"][0], series["energy"].mean("sweep"))
    assert series.attrs["size"] == 6


def test_kernels_are_compiled_once() -> None:
    """Another signature would be compiled outside the lock."""
    for replicates in (1, 2, 3):
        Potts(3).series(np.int32(4), np.float32(1.0), replicates=replicates, sweeps=2, rng=0)  # type: ignore[arg-type]
    assert len(_run.signatures) == 1  # type: ignore[attr-defined]
