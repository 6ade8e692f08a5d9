"""The sampled Ising model against the exact torus and the sum over all states."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from heatcap.systems import Ising2D, Ising2DExact
from heatcap.systems.exact import CRITICAL_COUPLING

COUPLINGS = np.array([0.2, 0.38, 0.42, CRITICAL_COUPLING, 0.46, 0.55])
RUNS = 24


def scores(value: xr.DataArray, error: xr.DataArray, exact: xr.DataArray) -> np.ndarray:
    return np.asarray((value - exact) / error)


def chi2_p(t: np.ndarray) -> float:
    """Of Student's t values with RUNS - 1 degrees of freedom."""
    z = stats.norm.isf(stats.t.sf(np.abs(t), RUNS - 1))
    return float(stats.chi2.sf(np.sum(z**2), z.size))


@pytest.fixture(scope="module")
def table() -> xr.Dataset:
    return Ising2D().sample([8, 16], COUPLINGS, replicates=RUNS, sweeps=1500, rng=11)


@pytest.mark.parametrize("name", ["energy", "heat_capacity"])
def test_against_kaufman(table: xr.Dataset, name: str) -> None:
    t = scores(table[name], table[f"{name}_error"], Ising2DExact().exact([8, 16], COUPLINGS)[name])
    assert np.all(np.abs(t) < 4)
    assert 1e-3 < chi2_p(t) < 0.9995  # neither too far nor too near


@pytest.mark.parametrize("factor", [0.97, 1.03])
@pytest.mark.parametrize("name", ["energy", "heat_capacity"])
def test_a_wrong_temperature_is_noticed(table: xr.Dataset, name: str, factor: float) -> None:
    wrong = Ising2DExact().exact([8, 16], COUPLINGS * factor)[name]
    t = scores(table[name], table[f"{name}_error"], wrong)
    assert chi2_p(t) < 1e-6
    assert np.abs(t).max() > 4


@pytest.mark.parametrize("size", [3, 4])
def test_all_observables_against_the_sum_over_all_states(size: int) -> None:
    sites = size**2
    spins = (((np.arange(2**sites)[:, None] >> np.arange(sites)) & 1) * 2 - 1).astype(np.int8)
    square = spins.reshape(-1, size, size)
    energy = -np.sum(square * (np.roll(square, 1, 1) + np.roll(square, 1, 2)), (1, 2), dtype=int)
    m = spins.mean(axis=1)
    couplings = np.array([0.1, 0.3, 0.44, 0.6])
    table = Ising2D().sample([size], couplings, replicates=RUNS, sweeps=10_000, rng=size)
    every = []
    for i, k in enumerate(couplings):
        p = np.exp(-k * (energy - energy.min()))
        p /= p.sum()
        u, m1, m2, m4 = (p @ q for q in (energy, np.abs(m), m**2, m**4))
        exact = {
            "energy": u / sites,
            "heat_capacity": k**2 * (p @ (energy - u) ** 2) / sites,
            "magnetisation": m1,
            "susceptibility": k * sites * m2,
            "connected_susceptibility": k * sites * (m2 - m1**2),
            "binder": 1 - m4 / (3 * m2**2),
        }
        every += [
            ((table[name] - value) / table[f"{name}_error"])[i].item()
            for name, value in exact.items()
        ]
    assert np.all(np.abs(every) < 4)
    assert np.mean(np.square(every)) < 2


def test_short_runs_are_not_biased() -> None:
    """400 values from four runs of five sweeps: without the jackknife C would be too small."""
    table = Ising2D().sample([4], np.full(400, 0.3), replicates=4, sweeps=5, rng=0)
    heat = table["heat_capacity"].to_numpy()
    error = heat.std(ddof=1) / np.sqrt(heat.size)
    assert error < 0.02 * heat.mean()
    exact = Ising2DExact().exact([4], [0.3])["heat_capacity"].item()
    assert abs(heat.mean() - exact) < 3 * error


def test_susceptibility_has_its_high_temperature_series() -> None:
    """At high temperatures N <m^2> = 1 + 4 v + 12 v^2 + 36 v^3 + 100 v^4 ..., v = tanh K."""
    high = Ising2D().sample([12], [0.05], replicates=8, sweeps=500, rng=1)
    v = np.tanh(0.05)
    series_value = 0.05 * (1 + 4 * v + 12 * v**2 + 36 * v**3 + 100 * v**4)
    t = (high["susceptibility"] - series_value) / high["susceptibility_error"]
    assert abs(t.item()) < 4
    assert high["susceptibility_error"].item() / series_value < 2e-3


def test_exponents_and_answers() -> None:
    system = Ising2D()
    assert system.critical_point == pytest.approx(0.4406867935097715, abs=1e-15)
    table = system.sample([16, 64], [system.critical_point], replicates=12, sweeps=400, rng=3)
    grow = np.log(table["susceptibility"][1] / table["susceptibility"][0]) / np.log(4)
    assert grow.item() == pytest.approx(system.gamma_over_nu, abs=0.02)
    assert np.all(np.abs(table["binder"] - 0.611) < 5 * table["binder_error"] + 0.004)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicates": 1}, "replicates must be at least 2"),
        ({"sweeps": 0}, "replicates and sweeps must be positive"),
        ({"thermalisation": -1}, "thermalisation must be 0 or more"),
    ],
)
def test_bad_options_say_why(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ising2D().sample([4], [0.4], **({"sweeps": 5} | options))
