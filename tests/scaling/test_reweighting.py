"""Reweighted averages against sums over all states, Kaufman's solution and a slow oracle."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from heatcap.scaling import energy_series, extrema, read_table, reweight
from heatcap.scaling.reweighting import Ensemble, ensembles
from heatcap.systems import Ising2D, Ising2DExact, Potts

NAMES = ("energy", "heat_capacity", "energy_binder")


@functools.cache
def ising_levels():
    """Energies and their number of states on the 4 x 4 torus, by summing over all states."""
    bits = (np.arange(2**16)[:, None] >> np.arange(16)) & 1
    spins = (1 - 2 * bits).reshape(-1, 4, 4)
    energy = -(spins * np.roll(spins, 1, 1) + spins * np.roll(spins, 1, 2)).sum(axis=(1, 2))
    return np.unique(energy, return_counts=True)


def exact_averages(beta):
    level, states = ising_levels()
    weight = states * np.exp(-beta * (level - level.min()))
    p = weight / weight.sum()
    mean = p @ level
    square, fourth = p @ level**2.0, p @ level**4.0
    c = beta**2 * (p @ (level - mean) ** 2) / 16
    return mean / 16, c, 1 - fourth / (3 * square**2)


def exact_series(betas, samples=400_000, replicates=8):
    """Samples in exactly the proportions of the canonical ensemble, dealt out to replicates."""
    level, states = ising_levels()
    energy = []
    for beta in betas:
        log_p = np.log(states) - beta * level
        counts = np.round(samples * np.exp(log_p - logsumexp(log_p)))
        every = np.repeat(level, counts.astype(int))[: samples // 8 * 8]
        every = np.resize(every, samples)
        energy.append(np.random.default_rng(0).permutation(every).reshape(replicates, -1) / 16)
    n = len(betas)
    return energy_series(energy, size=[4] * n, control=betas, sites=[16] * n, control_name="beta")


def gaussian_series(betas, *, mean=0.0, sigma=20.0, sites=100, shape=(8, 2000), seed=0):
    """A continuous energy: normal with a mean that falls by sigma^2 per unit of beta."""
    rng = np.random.default_rng(seed)
    energy = [(mean - (b - 1) * sigma**2 + sigma * rng.normal(size=shape)) / sites for b in betas]
    n = len(betas)
    return energy_series(
        energy, size=[10] * n, control=betas, sites=[sites] * n, control_name="beta"
    )


@pytest.mark.parametrize("betas", [[0.4], [0.3, 0.4, 0.48]])
def test_sums_over_all_states_come_back(betas):
    table = reweight(exact_series(betas), [0.37, 0.4, 0.43])
    for i, beta in enumerate(table["control"].to_numpy()):
        for name, truth in zip(NAMES, exact_averages(beta), strict=True):
            found = float(table[name][i])
            assert found == pytest.approx(truth, abs=5e-4), (name, beta)


def test_a_temperature_is_an_inverse_coupling():
    series = exact_series([0.4])
    other = series.assign_coords(control=1 / series["control"]).assign_attrs(
        control_name="temperature T"
    )
    a, b = reweight(series, [0.38, 0.42]), reweight(other, [1 / 0.38, 1 / 0.42])
    for name in NAMES:
        np.testing.assert_allclose(a[name], b[name])
    assert b["control"].to_numpy() == pytest.approx([1 / 0.38, 1 / 0.42])


@settings(max_examples=8)
@given(st.floats(-50, 50), st.integers(1, 3))
def test_the_zero_of_the_energy_moves_the_energy_alone(shift, count):
    betas = [1.0, 1.02, 1.05][:count]
    series = gaussian_series(betas)
    moved = series.assign(energy=series["energy"] + shift)
    a, b = reweight(series, [0.99, 1.02]), reweight(moved, [0.99, 1.02])
    np.testing.assert_allclose(b["energy"], a["energy"] + shift, rtol=1e-9, atol=1e-7)
    # A continuous energy is binned: the bins move with it only up to their width.
    np.testing.assert_allclose(b["heat_capacity"], a["heat_capacity"], rtol=1e-5)


def test_without_a_step_nothing_is_reweighted():
    series = Potts(3).series(6, 1.0, replicates=8, sweeps=400, rng=1)
    table = reweight(series, [1.0])
    runs = series["energy"].mean("sweep")
    np.testing.assert_allclose(table["energy_replicates"][0], runs)
    np.testing.assert_allclose(table["energy"][0], runs.mean())
    assert float(table["effective_samples"][0]) < 3200


def test_free_energies_are_those_of_the_slow_iteration():
    """Sample by sample, f_k <- -ln sum_n exp(-beta_k E_n) / sum_j N_j exp(f_j - beta_j E_n)."""
    series = Ising2D().series([6], [0.36, 0.42, 0.47], replicates=8, sweeps=60, rng=3)
    (each,) = ensembles(series)
    energy = 36 * series["energy"].to_numpy().reshape(3, -1)
    beta, n, every = each.beta, energy.shape[1], energy.ravel()
    f = np.zeros(3)
    for _ in range(3000):
        mixture = logsumexp(np.log(n) + f[:, None] - np.outer(beta, every), axis=0)
        f = -logsumexp(-np.outer(beta, every) - mixture, axis=1)
        f -= f[0]
    np.testing.assert_allclose(each.free_energies, f, atol=1e-7)


def test_all_samples_count_whatever_the_order_of_the_simulations():
    a = reweight(gaussian_series([0.97, 1.0, 1.04]), [0.98, 1.02])
    series = gaussian_series([0.97, 1.0, 1.04]).isel(point=[2, 0, 1])
    b = reweight(series, [0.98, 1.02])
    for name in NAMES:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-8)


def test_a_normal_energy_is_reweighted_exactly():
    sigma, sites = 20.0, 100
    series = gaussian_series([1.0, 1.06], shape=(16, 20_000), seed=4)
    table = reweight(series, np.linspace(0.98, 1.08, 6))
    control = table["control"].to_numpy()
    truth = {"energy": -(control - 1) * sigma**2 / sites, "heat_capacity": control**2 * 4.0}
    for name, exact in truth.items():
        z = (table[name] - exact) / table[f"{name}_error"]
        assert np.abs(z).max() < 4.5


@pytest.mark.parametrize("couplings", [[0.44], [0.41, 0.44, 0.46]])
def test_errors_cover_the_exact_solution(couplings):
    system, exact, z = Ising2D(), Ising2DExact(), []
    for seed in range(16):
        series = system.series([12], couplings, replicates=16, sweeps=500, rng=seed)
        table = reweight(series, np.linspace(0.42, 0.455, 6))
        truth = exact.exact([12], table["control"].to_numpy())
        z.append([(table[n] - truth[n]) / table[f"{n}_error"] for n in NAMES[:2]])
    z = np.array(z)
    assert np.abs(z.mean(axis=0)).max() < 0.85
    assert 0.6 < np.mean(z**2) < 1.7  # 1.15 by Student's t
    assert np.mean(np.abs(z) < 2.13) > 0.9


def test_one_long_run_is_cut_into_blocks():
    """Blocks of 20 integrated times: the error is that of independent runs."""
    system, exact, z = Ising2D(), Ising2DExact().exact([8], [0.43]), []
    for seed in range(30):
        series = system.series([8], [0.44], replicates=1, sweeps=4000, rng=seed)
        table = reweight(series, [0.43])
        assert table.sizes["replicate"] == 16
        z.append(float((table["energy"] - exact["energy"])[0] / table["energy_error"][0]))
    assert 0.5 < np.mean(np.square(z)) < 1.9


def test_a_run_too_short_for_blocks_has_no_error():
    table = reweight(gaussian_series([1.0], shape=(1, 300)), [1.0])
    assert np.isfinite(table["energy"]).all() or "energies that were sampled" in table.message
    long = reweight(gaussian_series([1.0], shape=(1, 20_000)), [1.0])
    assert np.isfinite(long["energy_error"]).all()


def test_beyond_the_samples_there_is_no_number():
    table = reweight(gaussian_series([1.0]), [0.7, 1.0, 1.3])
    assert np.isfinite(table["heat_capacity"]).to_numpy().tolist() == [False, True, False]
    assert (
        "size 10: 2 controls (0.7 to 1.3) are NaN: too few independent samples"
        in table.attrs["message"]
    )
    own = reweight(gaussian_series([1.0]))
    assert own.sizes["point"] == 41
    assert np.isfinite(own["heat_capacity"]).all()
    assert own["control"].min() > 0.9


def test_simulations_that_do_not_overlap_are_said():
    table = reweight(gaussian_series([1.0, 1.6]), [1.0])
    assert "size 10: 1 pairs of simulations do not overlap" in table.attrs["message"]


def test_the_table_serves_the_other_verbs(tmp_path):
    series = Ising2D().series([8, 16], [0.42, 0.44], replicates=8, sweeps=800, rng=0)
    grid = np.linspace(0.40, 0.46, 25)
    table = reweight(series, grid)
    path = tmp_path / "table.nc"
    table.to_netcdf(path, engine="h5netcdf")
    columns = {"size": "size", "control": "control", "value": "heat_capacity"}
    peaks = extrema(read_table(path, **columns), rng=0)
    for size, x, height, error in zip(
        peaks.size, peaks.x, peaks.height, peaks.height_error, strict=True
    ):
        truth = Ising2DExact().maximum(int(size))
        assert x == pytest.approx(truth[0], abs=0.01)
        assert abs(height - truth[1]) < 4 * error + 0.01


def test_series_of_systems_have_their_energies():
    """Energies of the series, and of a table from the same seeds."""
    for system, controls in ((Ising2D(), [0.4, 0.45]), (Potts(3), [0.95, 1.05])):
        series = system.series([4, 6], controls, replicates=3, sweeps=50, rng=5)
        table = system.sample([4, 6], controls, replicates=3, sweeps=50, rng=5)
        assert series["energy"].dims == ("point", "replicate", "sweep")
        np.testing.assert_allclose(table["energy_replicates"], series["energy"].mean("sweep"))
        assert series["sites"].to_numpy().tolist() == [16, 16, 36, 36]
        assert series["control"].to_numpy().tolist() == controls * 2


def test_what_is_wrong_is_said():
    series = gaussian_series([1.0])
    with pytest.raises(ValueError, match=r"energy must be \(point, replicate, sweep\)"):
        energy_series([1.0, 2.0], size=[4], control=[1.0], sites=[16])
    with pytest.raises(ValueError, match="control_name' must begin with"):
        reweight(series.assign_attrs(control_name="field"))
    with pytest.raises(ValueError, match="a series must have coordinates sites"):
        reweight(series.drop_vars("sites"))
    with pytest.raises(ValueError, match="must have dimensions sweep"):
        reweight(series.rename(sweep="time"))
    with pytest.raises(ValueError, match="energies must be finite, got 16000"):
        reweight(series * np.nan)
    with pytest.raises(ValueError, match="control must be positive"):
        reweight(series.assign_coords(control=-series["control"]))
    with pytest.raises(ValueError, match="controls must be positive, got -1"):
        reweight(series, [-1.0])
    for missing in itertools.islice(("energy",), 1):
        with pytest.raises(ValueError, match="a series must have 'energy'"):
            reweight(series.drop_vars(missing))


def exact_histograms(numbers, tau=0.5):
    """Two simulations of three levels 1 apart, their histograms without noise."""
    beta, level = np.array([0.5, 1.5]), np.arange(3.0)
    p = np.exp(-np.outer(beta, level))
    p /= p.sum(axis=1, keepdims=True)
    counts = np.array(numbers)[:, None] * p
    return Ensemble(4.0, 2.0, beta, level, counts[None], np.full(2, tau))


def test_a_longer_simulation_counts_more_and_moves_no_average():
    beta = np.array([0.3, 1.0, 2.0])
    p = np.exp(-np.outer(beta, np.arange(3)))
    energy = (p @ np.arange(3)) / p.sum(axis=1)
    for numbers in ([300.0, 300.0], [100.0, 900.0]):
        (found, *_), _ = exact_histograms(numbers).estimate(beta)
        assert found * 2 == pytest.approx(energy, rel=1e-6)


def test_the_heat_capacity_of_single_samples_has_the_variance_without_bias():
    level, seen = np.array([0.0, 1.0, 5.0]), np.array([0, 0, 1, 2, 1])
    counts = np.eye(3)[seen][:, None]
    alone = Ensemble(4.0, 2.0, np.array([0.7]), level, counts, np.array([0.5]))
    (_, found, _), _ = alone.estimate(np.array([0.7]))
    assert found == pytest.approx(0.7**2 * np.var(level[seen], ddof=1) / 2)


@pytest.mark.parametrize("tau", [0.5, 3.0])
def test_samples_at_their_own_temperature_are_one_in_two_tau(tau):
    one = replace(exact_histograms([600.0, 0.0], tau), beta=np.array([0.5]), tau=np.array([tau]))
    one = replace(one, counts=one.counts[:, :1])
    assert one.effective_samples(np.array([0.5])) == pytest.approx(600 / (2 * tau))
