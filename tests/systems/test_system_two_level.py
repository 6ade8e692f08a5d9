"""One level below n - 1 degenerate ones."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from heatcap.attention import bound_asymptote, canonical, heat_capacity_bound
from heatcap.systems import TwoLevel


@pytest.mark.parametrize("n", [2, 3, 7, 113])
def test_it_is_the_row_of_that_many_keys(n: int) -> None:
    logits = xr.DataArray(np.r_[0.0, np.full(n - 1, -1.3)], dims="key")
    t = np.array([0.1, 0.4, 1.0, 5.0])
    row = canonical(logits, beta=xr.DataArray(1 / t, dims="t"))
    table = TwoLevel(gap=1.3).exact([n], t)
    for name in ("heat_capacity", "energy", "entropy"):
        np.testing.assert_allclose(table[name], row[name], rtol=1e-12)


@pytest.mark.parametrize(
    ("n", "height"),
    # From a scan of the temperature by another program, to the digits given.
    [(2, 0.4392), (3, 0.7618), (5, 1.2464), (16, 2.7187), (113, 6.516), (1024, 12.983)],
)
def test_largest_heat_capacity(n: int, height: float) -> None:
    position, top = TwoLevel(gap=2.0).maximum(n)
    assert top == pytest.approx(height, abs=6e-4)
    assert top == pytest.approx(float(heat_capacity_bound(n)), rel=1e-12)
    around = TwoLevel(gap=2.0).exact([n], position * np.array([0.99, 1.01]))["heat_capacity"]
    assert np.all(around < top)


def test_largest_heat_capacity_tends_to_its_asymptote() -> None:
    gaps = [float(bound_asymptote(n)) - TwoLevel().maximum(n)[1] for n in (10, 1000, 100_000)]
    assert gaps[0] > gaps[1] > gaps[2] > 0


def test_heat_capacity_is_the_derivative_of_the_energy() -> None:
    t, h = np.linspace(0.1, 3.0, 30), 1e-5
    up, down = (TwoLevel().exact([9], t + d)["energy"] for d in (h, -h))
    np.testing.assert_allclose(
        TwoLevel().exact([9], t)["heat_capacity"], (up - down) / (2 * h), rtol=1e-6, atol=1e-9
    )


def test_low_temperatures_do_not_overflow() -> None:
    assert TwoLevel().exact([3], [1e-3])["heat_capacity"].item() == 0.0
    with pytest.raises(ValueError, match="gap must be positive"):
        TwoLevel(gap=-1.0)
