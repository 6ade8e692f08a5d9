"""Bond percolation against the sum over all sets of bonds, and its exact answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from heatcap.systems import Percolation
from heatcap.systems.percolation import _fill, canonical, microcanonical

NAMES = Percolation.observables


def clusters(sites: int, links: list[tuple[int, int]]) -> list[int]:
    """Label of every site, by repeated relabelling."""
    label = list(range(sites))
    for a, b in links:
        old, new = label[a], label[b]
        label = [new if each == old else each for each in label]
    return label


def observe(length: int, bonds: tuple[int, ...]) -> list[float]:
    """Observables of one set of bonds; wrapping from the threefold cover of the torus."""
    sites = length**2

    def ends(bond: int, wide: int, high: int) -> list[tuple[int, int]]:
        site, down = divmod(bond, 2)
        out = []
        for cx, cy in itertools.product(range(wide), range(high)):
            x, y = site % length + cx * length, site // length + cy * length
            to = ((x + 1 - down) % (wide * length), (y + down) % (high * length))
            out.append((y * wide * length + x, to[1] * wide * length + to[0]))
        return out

    label = clusters(sites, [e for b in bonds for e in ends(b, 1, 1)])
    size = sorted(np.unique(label, return_counts=True)[1])
    wide = clusters(3 * sites, [e for b in bonds for e in ends(b, 3, 1)])
    high = clusters(3 * sites, [e for b in bonds for e in ends(b, 1, 3)])
    along_x = any(
        wide[y * 3 * length + x] == wide[y * 3 * length + x + length]
        for x, y in itertools.product(range(length), repeat=2)
    )
    along_y = any(high[i] == high[i + sites] for i in range(sites))
    others = sum(s**2 for s in size[:-1])
    return [size[-1] / sites, others / sites, (along_x + along_y) / 2, float(along_x and along_y)]


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    """Averages (observable, bonds) over all sets of the 8 bonds of L = 2."""
    return np.array(
        [
            np.mean([observe(2, some) for some in itertools.combinations(range(8), n)], axis=0)
            for n in range(9)
        ]
    ).T


def test_against_the_sum_over_all_sets_of_bonds(exact: np.ndarray) -> None:
    p = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    table = Percolation().sample([2], p, replicates=24, runs=400, rng=1)
    score = []
    for k, name in enumerate(NAMES):
        value = canonical(exact, p)[k]
        score += list(((table[name] - value) / table[f"{name}_error"]).to_numpy())
        shifted = canonical(exact, p * 1.03)[k]
        wrong = np.abs(((table[name] - shifted) / table[f"{name}_error"]).to_numpy())
        assert wrong.max() > 4
    assert np.all(np.abs(score) < 4)
    assert np.mean(np.square(score)) < 2


@pytest.mark.parametrize("bonds", [3, 6, 9, 12])
def test_larger_lattice_at_a_fixed_number_of_bonds(bonds: int) -> None:
    """L = 3, sets of bonds drawn at random, by the slow observer and by the kernel."""
    rng = np.random.default_rng(bonds)
    slow = np.array([observe(3, tuple(rng.permutation(18)[:bonds].tolist())) for _ in range(1500)])
    seeds = rng.integers(1, 2**63, (1, 4)).astype(np.uint64)
    fast = microcanonical(3, seeds, 30_000)[:, 0, bonds]
    error = slow.std(axis=0) / np.sqrt(len(slow)) * np.sqrt(1.05)
    assert np.all(np.abs(slow.mean(axis=0) - fast) < 4 * error + 1e-3)


def test_binomial_averages_are_exact() -> None:
    """Of 1, n and n (n - 1): 1, M p and M (M - 1) p^2."""
    n, p = np.arange(51.0), np.array([0.0, 0.2, 0.5, 1.0])
    one, mean, pairs = canonical(np.array([n**0, n, n * (n - 1)]), p)
    np.testing.assert_allclose(one, 1.0)
    np.testing.assert_allclose(mean, 50 * p)
    np.testing.assert_allclose(pairs, 50 * 49 * p**2, atol=1e-12)


def test_full_and_empty_lattices() -> None:
    table = Percolation().sample([4, 5], [0.0, 1.0], replicates=2, runs=3, rng=0)
    for size in (4, 5):
        empty, full = (table.sel(point=(table["size"] == size)).isel(point=i) for i in (0, 1))
        assert empty["strength"].item() == pytest.approx(1 / size**2)
        assert empty["mean_size"].item() == pytest.approx(1 - 1 / size**2)
        assert empty["wrapping"].item() == 0.0
        assert full["strength"].item() == full["wrapping_both"].item() == pytest.approx(1.0)
        assert full["mean_size"].item() == pytest.approx(0.0, abs=1e-12)


def test_answers_at_the_critical_point() -> None:
    """Pinson's wrapping probabilities and the fractal dimension; corrections are small."""
    system = Percolation()
    table = system.sample([16, 32, 64], [0.5], replicates=20, runs=100, rng=3)
    deviation = np.abs(table["wrapping"] - system.critical_wrapping)
    assert np.all(deviation < 4 * table["wrapping_error"] + 0.002)
    assert np.all(np.abs(table["wrapping_both"] - 0.351642855) < 0.03)
    log = np.log(table["strength"].to_numpy())
    assert (log[2] - log[0]) / np.log(4) == pytest.approx(-system.beta_over_nu, abs=0.015)
    log = np.log(table["mean_size"].to_numpy())
    assert (log[2] - log[0]) / np.log(4) == pytest.approx(system.gamma_over_nu, abs=0.06)


def test_points_of_a_size_share_their_runs() -> None:
    table = Percolation().sample([8], [0.49, 0.5], replicates=40, runs=5, rng=4)
    assert np.corrcoef(table["strength_replicates"])[0, 1] > 0.8
    one = Percolation().sample([8], [0.5], replicates=40, runs=5, rng=4)
    np.testing.assert_allclose(one["strength"], table["strength"][1], rtol=1e-12)


def test_bad_arguments_say_why() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Percolation().sample([4], [1.2])
    with pytest.raises(ValueError, match="replicates and runs must be positive"):
        Percolation().sample([4], [0.5], runs=0)


def test_kernels_are_compiled_once() -> None:
    """Another signature would be compiled outside the lock."""
    for replicates in (2, 3):
        Percolation().sample([3], [0.5], replicates=replicates, runs=1, rng=0)
    assert len(_fill.signatures) == 1  # type: ignore[attr-defined]
