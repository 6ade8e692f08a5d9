"""Crossings and maxima of curves whose crossings and maxima are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from heatcap.scaling import crossings, extrema, points
from heatcap.systems import Ising2DExact

SIZES = (8, 16, 32, 64)


def crossing_points(noise, seed, drift=0.0, sizes=SIZES):
    """A = tanh((x - 1 - drift / L) L^0.5): successive sizes cross near x = 1."""
    rng = np.random.default_rng(seed)
    size, x = np.repeat(np.array(sizes, float), 21), np.tile(np.linspace(0.7, 1.3, 21), len(sizes))
    value = np.tanh((x - 1 - drift / size) * size**0.5)
    value = value + noise * rng.normal(size=size.size)
    return points(size, x, value, np.full(size.size, noise or 1e-6))


def test_curves_without_a_drift_cross_at_the_critical_point():
    z = []
    for seed in range(25):
        found = crossings(crossing_points(0.01, seed), rng=seed, draws=300)
        assert found.status == "ok", found.message
        z.append((found.x - 1) / found.error)
        assert found.x_c.error > 0
    z = np.array(z)
    assert np.abs(z.mean(axis=0)).max() < 0.8
    assert 0.6 < z.std() < 1.5


def test_pairs_that_share_a_size_are_correlated():
    """The crossings of (8, 16) and (16, 32) share a curve; those of (8, 16) and (32, 64) do not."""
    found = crossings(crossing_points(0.01, 0), rng=0, draws=4000)
    scale = np.sqrt(np.diag(found.covariance))
    correlation = found.covariance / np.outer(scale, scale)
    many = np.array([crossings(crossing_points(0.01, s), rng=0, draws=20).x for s in range(200)])
    seen = np.corrcoef(many.T)
    assert correlation[0, 1] == pytest.approx(seen[0, 1], abs=0.2)
    assert abs(correlation[0, 1]) > 3 * abs(correlation[0, 2])


def test_the_drift_is_extrapolated():
    found = crossings(crossing_points(0.002, 1, drift=0.4, sizes=(8, 16, 32, 64, 128)), rng=0)
    assert abs(found.x_c.value - 1) < 3 * found.x_c.error
    assert abs(found.x[0] - 1) > 5 * found.error[0]
    json.dumps(found.to_dict(), allow_nan=False)


def test_few_pairs_and_no_crossing_are_a_status():
    found = crossings(crossing_points(0.01, 0, sizes=(8, 16)), rng=0)
    assert found.status == "too few pairs"
    apart = crossing_points(0.01, 0)
    shifted = points(apart.size, apart.control, apart.value + 10 * apart.size, apart.error)
    found = crossings(shifted, rng=0)
    assert found.status == "no crossing"
    assert np.isnan(found.x).all()
    json.dumps(found.to_dict(), allow_nan=False)


def test_pairs_at_a_ratio():
    found = crossings(crossing_points(0.01, 0), ratio=4, rng=0)
    assert found.small.tolist() == [8, 16]
    assert found.large.tolist() == [32, 64]


def test_maxima_of_the_exact_heat_capacity_come_back_without_bias():
    system, noise = Ising2DExact(), 0.02
    table = system.exact([8, 16, 32], np.linspace(0.38, 0.48, 41))
    size, control = table["size"].to_numpy(), table["control"].to_numpy()
    exact = table["heat_capacity"].to_numpy()
    truth = [system.maximum(int(L)) for L in np.unique(size)]
    z = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        data = points(
            size, control, exact + noise * rng.normal(size=size.size), np.full(size.size, noise)
        )
        found = extrema(data, rng=seed, draws=200)
        z.append((found.height - [h for _, h in truth]) / found.height_error)
        assert np.abs((found.x - [x for x, _ in truth]) / found.x_error).max() < 5
    assert np.abs(np.mean(z, axis=0)).max() < 0.7


def test_a_curve_that_only_rises_has_no_maximum():
    x = np.linspace(0, 1, 12)
    data = points(np.full(12, 8.0), x, x, np.full(12, 0.01))
    found = extrema(data, rng=0)
    assert np.isnan(found.x).all()
    assert "highest at an end of the data: sizes 8" in found.message


def test_replicates_carry_what_sizes_share():
    """Noise common to both sizes: their heights are correlated."""
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, 15)
    size, control = np.repeat([8.0, 16.0], 15), np.tile(x, 2)
    common = rng.normal(size=(60, 1))
    replicates = np.tile(2 - x**2, 2) + 0.1 * common + 0.02 * rng.normal(size=(60, 30))
    data = points(size, control, replicates.mean(axis=0), replicates=replicates)
    covariance = extrema(data, rng=0).height_covariance
    assert covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]) > 0.7


def test_too_few_points_are_refused():
    data = points([8] * 4 + [16] * 4, [1, 2, 3, 4] * 2, range(8), [0.1] * 8)
    with pytest.raises(ValueError, match="size 8 has 4 points, at least 5 are needed"):
        crossings(data, rng=0)
