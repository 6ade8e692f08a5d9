"""The peer runs with the names lent to it, and is asked what a user would ask."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from heatcap.scaling import points

import peers
from collapse_marks import planted

pytestmark = pytest.mark.skipif(not peers.installed(), reason="pyfssa is not installed")


@pytest.fixture(scope="module")
def fssa():
    return peers.load_fssa()


def on_one_grid():
    size, x = np.repeat([16.0, 32.0, 64.0], 15), np.tile(np.linspace(0.9, 1.1, 15), 3)
    value = size**-0.25 * (np.tanh((x - 1) * size**0.8) + 1.5)
    rng = np.random.default_rng(0)
    error = 0.002 * size**-0.25
    return points(size, x, value + error * rng.normal(size=size.size), error)


def test_the_peer_finds_what_was_planted_from_a_good_start(fssa) -> None:
    found = peers.by_fssa(fssa, on_one_grid(), (1.0, 1.25, -0.3))
    assert found.said == "success = True"
    assert found.parameters["x_c"][0] == pytest.approx(1.0, abs=0.005)
    assert found.parameters["1/nu"][0] == pytest.approx(0.8, abs=0.05)
    assert found.parameters["exponent"][0] == pytest.approx(-0.25, abs=0.02)
    assert all(error > 0 for _, error in found.parameters.values())


def test_only_shared_controls_reach_the_peer() -> None:
    data = on_one_grid()
    dropped = data.take(np.arange(len(data)) != 3)
    sizes, controls, value, error = peers.common(dropped)
    assert sizes.tolist() == [16, 32, 64]
    assert controls.size == 14
    assert value.shape == error.shape == (3, 14)
    of_32 = data.take((data.size == 32) & (data.control != data.control[3]))
    assert value[1].tolist() == of_32.value.tolist()
    assert peers.common(planted(np.random.default_rng(0), 0.01, 0.0))[1].size == 0


def test_what_was_lent_is_taken_back() -> None:
    before = sys.modules.get("pkg_resources"), sys.modules.get("scipy.optimize.optimize")
    peers.load_fssa()
    assert not hasattr(np, "asfarray")
    assert not hasattr(np, "int")
    after = sys.modules.get("pkg_resources"), sys.modules.get("scipy.optimize.optimize")
    assert after == before


def test_a_start_is_right_by_its_numbers_alone() -> None:
    good = {"x_c": (0.4407, 1e-9), "1/nu": (1.01, 1e-9)}
    assert peers.right(peers.Found(0.0, good, "success = False", ""))
    assert not peers.right(peers.Found(0.0, good | {"1/nu": (1.2, 1.0)}, "success = True", ""))
    assert not peers.right(peers.Found(0.0, {}, "raised ValueError", ""))


@pytest.mark.parametrize("case", peers.CASES)
def test_a_planted_case_has_the_truth_that_it_says(case: str) -> None:
    data, (x_c, inverse_nu, exponent) = peers.CASES[case](np.random.default_rng(1))
    largest = data.size == data.size.max()
    near = np.abs((data.control - x_c) * data.size**inverse_nu) < 0.5
    y = data.value * data.size**-exponent  # about X = 0 all sizes are one curve, but for the drift
    assert len(data) == 25 * np.unique(data.size).size
    assert near.sum() > 10
    assert np.ptp(y[near & ~largest]) < 0.75 * np.median(y[near & largest])


def test_a_tool_that_does_not_end_is_ended() -> None:
    def endless() -> None:
        while True:
            pass

    with pytest.raises(TimeoutError), peers._at_most(0.05):
        endless()


def test_no_error_is_no_agreement() -> None:
    found = peers.Found(0.0, {"x_c": (1.0, 0.5), "1/nu": (1.0, 0.0)}, "", "")
    assert peers.off(found, (2.0, 1.0, 0.0)).tolist() == [2.0, np.inf, np.inf]
