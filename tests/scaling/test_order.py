"""The verdict on an order: what each test excludes, and data of which nothing may be claimed."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest

from heatcap.core.result import Parameter
from heatcap.scaling import Evidence, points, transition_order
from heatcap.scaling.order import ORDERS, _forms, _verdict
from heatcap.systems import Ising1D, Ising2DExact, Potts

SECOND, FIRST, KT = ORDERS
NUMBER = Parameter(1.0, 0.1, 0.0)


def evidence(*, favours=(), excludes=()):
    return Evidence("a test", "a number", NUMBER, tuple(favours), tuple(excludes))


@pytest.mark.parametrize("order", ORDERS)
def test_the_verdict_is_what_alone_is_left(order):
    others = [name for name in ORDERS if name != order]
    tests = [evidence(favours=[order], excludes=others[:1]), evidence(excludes=others[1:])]
    verdict, status, message = _verdict(tests, 64.0)
    assert (verdict, status) == (order, "ok")
    assert "up to L = 64" in message


def test_two_orders_left_are_undecided():
    verdict, status, message = _verdict([evidence(favours=[SECOND], excludes=[FIRST])], 64.0)
    assert (verdict, status) == ("undecided", "undecided")
    assert message == f"not excluded: {SECOND}, {KT}"


def test_what_is_left_must_at_least_describe_the_data():
    rest = evidence(excludes=[FIRST, KT])
    assert _verdict([rest], 64.0)[0] == "undecided"
    fits = Evidence("a test", "a number", NUMBER, allows=(SECOND,))
    assert _verdict([rest, fits], 64.0)[0] == SECOND
    assert _verdict([evidence(excludes=[FIRST]), fits], 64.0)[0] == "undecided"


def test_tests_that_disagree_are_undecided():
    """Two peaks that do not grow keep first order open, whatever 1/nu says."""
    tests = [evidence(favours=[SECOND], excludes=[FIRST, KT]), evidence(favours=[FIRST])]
    assert _verdict(tests, 64.0)[:2] == ("undecided", "tests disagree")
    assert _verdict([evidence(excludes=ORDERS)], 64.0)[:2] == ("undecided", "tests disagree")
    assert _verdict([evidence(excludes=[FIRST, KT])], 64.0)[:2] == ("undecided", "undecided")
    assert _verdict([evidence()], 64.0)[:2] == ("undecided", "no evidence")


class Fake:
    """What a collapse says of itself."""

    def __init__(self, score, p_value=0.5, status="ok", inverse_nu=1.0, independent=1.0):
        self.parameters = {
            "inverse_nu": Parameter(inverse_nu, 0.04, 0.0),
            "log_l0": Parameter(0.0, 0.1, 0.0),
        }
        self.sizes_used = [8.0, 16.0, 32.0, 64.0]
        self.score, self.independent = score, independent
        self.p_value, self.status, self.ok = p_value, status, status == "ok"


def test_the_log_evidence_is_half_the_difference_of_scores():
    found = _forms(
        {"second-order": Fake(40), "first-order": Fake(70), "kosterlitz-thouless": Fake(46)}, 2
    )
    assert found.value.value == pytest.approx(3)
    assert found.excludes == (FIRST,)
    assert found.favours == ()
    better = _forms(
        {"second-order": Fake(60), "first-order": Fake(70), "kosterlitz-thouless": Fake(46)}, 2
    )
    assert (better.favours, set(better.excludes)) == ((KT,), {SECOND, FIRST})


def test_correlated_points_weaken_the_log_evidence():
    """One point in four counts, by the fit that sees the most correlation."""
    found = _forms(
        {
            "second-order": Fake(40, independent=0.25),
            "first-order": Fake(70),
            "kosterlitz-thouless": Fake(46),
        },
        2,
    )
    assert found.value.value == pytest.approx(0.75)
    assert (found.favours, found.excludes) == ((), ())


def test_a_small_exponent_is_no_evidence_against_kosterlitz_thouless():
    """XY: the second-order form was 7 ahead, with 1/nu = 0.54(4)."""
    others = {"first-order": Fake(90), "kosterlitz-thouless": Fake(55)}
    small = _forms(others | {"second-order": Fake(40, inverse_nu=0.54)}, 2)
    assert (small.favours, small.excludes) == ((), (FIRST,))
    large = _forms(others | {"second-order": Fake(40, inverse_nu=0.95)}, 2)
    assert (large.favours, large.excludes) == ((SECOND,), (KT, FIRST))


def test_corrections_to_first_order_are_no_evidence_against_it():
    """1/nu within 15 % of d, or above it: the free exponent takes up what the held one cannot."""
    others = {"first-order": Fake(90), "kosterlitz-thouless": Fake(95)}
    for inverse_nu in (1.75, 2.4):
        near = _forms(others | {"second-order": Fake(40, inverse_nu=inverse_nu)}, 2)
        assert (near.favours, near.excludes) == ((), (KT,))
    assert FIRST in _forms(others | {"second-order": Fake(40, inverse_nu=1.2)}, 2).excludes


def test_poor_fits_are_evidence_for_none():
    poor = {
        "second-order": Fake(400, 1e-9, "poor fit"),
        "first-order": Fake(700, 1e-9, "poor fit"),
        "kosterlitz-thouless": Fake(500, 1e-9, "poor fit"),
    }
    found = _forms(poor, 2)
    assert (found.favours, found.excludes) == ((), ())
    assert "no form fits" in found.message
    vague = poor | {"second-order": Fake(40, 0.5, "unidentified")}
    assert _forms(vague, 2).excludes == ()


def noisy(system, sizes, controls, noise, seed):
    table = system.exact(sizes, controls)
    rng = np.random.default_rng(seed)
    value = table["heat_capacity"].to_numpy()
    error = np.full(value.size, noise * value.mean())
    drawn = value + error * rng.normal(size=value.size)
    return points(table["size"].to_numpy(), table["control"].to_numpy(), drawn, error)


def test_the_ring_is_no_transition_of_any_order():
    """Its peaks saturate: first order is excluded, and nothing is claimed."""
    data = noisy(Ising1D(), [8, 16, 32, 64, 128], np.linspace(0.2, 1.2, 21), 0.01, 0)
    found = transition_order(heat_capacity=data)
    assert found.verdict == "undecided"
    assert FIRST in found.evidence[0].excludes
    assert not found.evidence[0].favours
    json.dumps(found.to_dict(), allow_nan=False)


def peaked(heights, error=0.002):
    """A parabola of a given height at every size."""
    x = np.linspace(-1, 1, 15)
    size = np.repeat(np.array(list(heights), float), x.size)
    value = np.concatenate([h * (1 - x**2 / 4) for h in heights.values()])
    noise = np.random.default_rng(0).normal(size=value.size)
    return points(size, np.tile(x, len(heights)), value * (1 + error * noise), error * value)


@pytest.mark.parametrize(
    ("height", "excluded"),
    [
        (lambda L: 1.5 - 1.5 / L, {FIRST}),  # bounded, and still growing
        (lambda L: 1.5 + 0 * L, {FIRST}),
        (lambda L: 0.5 + L**0.4, {FIRST, KT}),
        (lambda L: 1.0 + 0.1 * L**2.0, {SECOND, KT}),
    ],
)
def test_heights_exclude_what_they_can(height, excluded):
    found = transition_order(heat_capacity=peaked({L: height(L) for L in (8, 16, 32, 64, 128)}))
    assert set(found.evidence[0].excludes) == excluded, found.summary()
    assert found.verdict == (FIRST if SECOND in excluded else "undecided")


def test_noise_says_nothing():
    rng = np.random.default_rng(0)
    size, x = np.repeat([8.0, 16.0, 32.0, 64.0], 11), np.tile(np.linspace(0, 1, 11), 4)
    for _ in range(5):
        data = points(size, x, rng.normal(size=44), np.full(44, 1.0))
        found = transition_order(heat_capacity=data)
        assert found.verdict == "undecided"


def test_peaks_of_ising_grow_too_slowly_for_first_order():
    data = noisy(Ising2DExact(), [8, 16, 32, 64, 128], np.linspace(0.4, 0.46, 41), 0.003, 1)
    found = transition_order(heat_capacity=data)
    assert found.evidence[0].excludes[0] == FIRST
    assert found.verdict == "undecided"  # bounded or not, the peaks alone do not say
    assert "verdict: undecided" in found.summary()


@functools.cache
def series(q, sweeps):
    system, sizes = Potts(q), [8, 12, 16, 20]
    shift = 0.8 if q > 4 else 0.0
    controls = {L: [system.critical_point * (1 + shift / L**2)] for L in sizes}
    return system.series(sizes, controls, replicates=16, sweeps=sweeps, rng=1)


def test_ten_states_are_first_order_by_their_energies_alone():
    found = transition_order(series=series(10, 6000))
    assert found.verdict == FIRST, found.summary()
    names = {each.test: each for each in found.evidence}
    assert names["energy histogram"].excludes == (SECOND, KT)
    assert names["heat-capacity peaks"].test


def test_three_states_are_not_first_order_by_their_energies():
    found = transition_order(series=series(3, 2000))
    assert found.verdict in ("undecided", SECOND), found.summary()
    assert not any(FIRST in each.favours for each in found.evidence)


def test_a_planted_second_order_collapse():
    """Far from both others: 1/nu = 0.8 of a steep scaling function, sizes over a decade."""
    rng = np.random.default_rng(3)
    sizes = [8, 16, 32, 64, 128]
    size = np.repeat(np.array(sizes, float), 11)
    x = 1 + np.concatenate([np.linspace(-2.5, 2.5, 11) / L**0.8 for L in sizes])
    value = np.tanh((x - 1) * size**0.8) + 0.1 * ((x - 1) * size**0.8)
    data = points(size, x, value + 0.002 * rng.normal(size=55), np.full(55, 0.002))
    found = transition_order(dimensionless=data)
    assert found.verdict == SECOND, found.summary()
    assert "would look the same" in found.message
    assert set(found.results) == {"second-order", "first-order", "kosterlitz-thouless"}


def test_nothing_is_no_question():
    with pytest.raises(ValueError, match="expected a dimensionless quantity, heat capacity"):
        transition_order()
