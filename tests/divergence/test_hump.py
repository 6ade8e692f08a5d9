"""A hump is where heights turn, and not where one height is wild or noise turns them."""

from __future__ import annotations

import numpy as np
import pytest

from heatcap.divergence.heights import Heights, _share_above, hump_at

SIZES = np.array([8.0, 16, 32, 64, 128, 256])


def heights(values, errors=0.05):
    errors = np.broadcast_to(errors, len(values))
    sizes = 8.0 * 2 ** np.arange(len(values))
    return Heights(sizes, np.asarray(values, dtype=float), np.diag(errors**2.0))


def test_the_size_is_that_of_the_turn():
    assert hump_at(heights([1, 2, 3, 2.5, 2, 1])) == 32
    assert hump_at(heights([1, 3, 2.5, 2, 1, 0.5])) == 16


@pytest.mark.parametrize("values", [[1, 2, 6, 3, 4, 5], [5, 2, 6, 1.5, 1, 0.5]])
def test_one_wild_height_is_no_hump(values):
    assert np.isnan(hump_at(heights(values)))


@pytest.mark.parametrize("place", [4, 5])
def test_a_height_with_a_large_error_does_not_hide_the_turn(place):
    values, errors = [1, 2, 3, 2, 1.5, 1], np.full(6, 0.01)
    values[place], errors[place] = 3.5, 1.5
    assert hump_at(heights(values, errors)) == 32


@pytest.mark.parametrize("sign", [1, -1])
def test_noise_makes_no_hump_of_heights_that_rise_or_fall(sign):
    """By a little: the highest is often an inner one.  At most 5 in 100, and the error of that."""
    rng = np.random.default_rng(3)
    curve = 2 + sign * 0.1 * np.arange(6) / 5
    found = [hump_at(heights(curve + 0.1 * rng.normal(size=6), 0.1)) for _ in range(100)]
    assert np.isfinite(found).sum() < 12


def test_the_whole_covariance_counts():
    """Neighbours that move together make humps of a constant that the diagonal would believe."""
    rng = np.random.default_rng(4)
    apart = np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
    covariance = 0.1**2 * np.exp(-((apart / 2.0) ** 2)) + 1e-6 * np.eye(8)
    sizes = 8.0 * 2 ** np.arange(8)
    drawn = rng.multivariate_normal(np.full(8, 2.0), covariance, size=100)
    whole = [hump_at(Heights(sizes, each, covariance)) for each in drawn]
    alone = [hump_at(Heights(sizes, each, np.diag(np.diag(covariance)))) for each in drawn]
    assert np.isfinite(whole).sum() < 12
    assert np.isfinite(alone).sum() > np.isfinite(whole).sum()


def test_no_chance_is_smaller_than_one_in_all_draws_and_the_data():
    assert _share_above(np.zeros(99), 1.0) == pytest.approx(0.01)
    assert _share_above(np.ones(99), 1.0) == 1
