"""Exponents with their intervals, where they are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from heatcap.divergence.exponent import local_exponents, of_profile
from heatcap.divergence.heights import read_heights


def test_of_a_parabola_the_interval_and_the_limit_are_gaussian():
    """1.96 standard errors on both sides, 1.645 on one."""

    def profile(kappa):
        return 3 + ((kappa - 0.8) / 0.1) ** 2

    grid = np.linspace(-1, 3, 81)
    found = of_profile(profile, grid, profile(grid))
    assert found.value == pytest.approx(0.8, abs=1e-6)
    assert found.ci95 == pytest.approx((0.8 - 0.196, 0.8 + 0.196), abs=1e-3)
    assert found.upper_limit95 == pytest.approx(0.8 + 0.1645, abs=1e-3)


def test_local_exponents_have_the_error_of_a_straight_line():
    size = np.array([8.0, 16, 32, 64])
    rows = local_exponents(read_heights(size, 2 * size**0.5, errors=0.02 * size**0.5))
    log = np.log(size)
    assert [row["exponent"] for row in rows] == pytest.approx([0.5, 0.5])
    for row, x in zip(rows, (log, log[1:]), strict=True):
        assert row["error"] == pytest.approx(0.01 / np.sqrt(np.sum((x - x.mean()) ** 2)))
