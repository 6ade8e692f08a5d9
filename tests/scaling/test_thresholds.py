"""Thresholds from counts: planted answers, what is not there to be found, and identities."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import norm

from heatcap.figures import thresholds as drawn
from heatcap.scaling import power_law, thresholds
from heatcap.scaling.counts import LAWS, _Curve, _curves_of, _gap, _Part

from pictures import gids, overlapping
from thresholds_marks import KINDS, planted


def table(seed=0, **options):
    return planted(np.random.default_rng(seed), **options)


def one_size(k, n=100, x=None):
    """Thresholds of a single size from its successes."""
    k = np.asarray(k)
    x = np.arange(k.size, dtype=float) if x is None else np.asarray(x)
    return thresholds(np.full(k.size, 8.0), x, k, np.full(k.size, n)).rows[0]


def test_limit_widths_and_every_size_within_their_errors() -> None:
    data = table()
    found = thresholds(*data.columns, inverse_nu=0.5)
    assert found.ok
    assert found.x_c is not None
    assert abs(found.x_c.value - data.x_c) < 3 * found.x_c.error < 0.03
    assert found.inverse_nu is not None
    assert abs(found.inverse_nu.value - data.inverse_nu) < 3 * found.inverse_nu.error
    for row, position, width in zip(found.rows, data.position, data.width, strict=True):
        assert abs(row.position.value - position) < 3 * row.position.error
        assert abs(row.width.value - width) < 3 * row.width.error
    assert [row.size for row in found.rows] == [16, 32, 64, 128, 256]


def test_a_free_exponent_widens_the_limit_and_says_so() -> None:
    data = table(3)
    free, held = (thresholds(*data.columns, inverse_nu=w) for w in (None, data.inverse_nu))
    assert free.x_c.error > held.x_c.error
    assert abs(free.x_c.value - data.x_c) < 3 * free.x_c.error
    assert free.shift_exponent is None
    assert "do not determine the exponent of their shift" in free.message
    assert held.fixed == {"inverse_nu": 0.5}


def test_the_likelihood_is_that_of_a_slow_oracle() -> None:
    """Position and width of a straight probit against a search for the largest likelihood."""
    x = np.linspace(-1, 1, 4)
    k, n = np.array([6, 31, 64, 95]), 100

    def loss(theta):
        p = norm.cdf((x - theta[0]) / theta[1])
        return -np.sum(k * np.log(p) + (n - k) * np.log1p(-p))

    best = minimize(loss, [0.1, 0.7], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
    row = one_size(k, x=x)
    # The parabola has a share of the average, and hardly moves a straight truth.
    assert row.position.value == pytest.approx(best.x[0], abs=0.2 * row.position.error)
    assert row.width.value == pytest.approx(best.x[1], abs=0.2 * row.width.error)
    exact = np.polyfit(x[1:3], norm.ppf(k[1:3] / n), 1)
    (two,) = thresholds(np.full(2, 8.0), x[1:3], k[1:3], np.full(2, n)).rows
    (probit, *others) = _curves_of(
        _Part(8.0, x[1:3], k[1:3].astype(float), np.full(2, 100.0), None)
    )
    assert [probit.link, *(curve.link for curve in others)] == ["Probit", "Logit", "Cauchy"]
    (position, width), covariance, _ = probit.at(0.5, rising=True)  # exactly determined
    assert position == pytest.approx(-exact[1] / exact[0])
    assert width == pytest.approx(1 / exact[0])
    # Var m = w^2 sum (weights of the interpolation)^2 p q / (n phi^2), by the delta method.
    p, z = k[1:3] / n, norm.ppf(k[1:3] / n)
    moved = [z[1], -z[0]] / (z[1] - z[0]) / exact[0]
    error = np.sqrt(np.sum(moved**2 * p * (1 - p) / n / norm.pdf(z) ** 2))
    assert covariance[0, 0] ** 0.5 == pytest.approx(error, rel=1e-6)
    assert abs(two.position.value - position) < 0.1 * error  # the three curves share the weight
    assert two.extrapolated  # no share is below 16 or above 84 %


@pytest.mark.parametrize("link", ["Probit", "Logit", "Cauchy"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("level", [0.5, 0.8])
def test_the_width_reaches_from_one_probit_below_to_one_above(link, sign, level) -> None:
    """Half the distance between Phi(Phi^-1(level) - 1) and + 1, and its error by differences."""
    beta, covariance = np.array([0.1, sign * 1.9]), np.array([[0.01, 0.002], [0.002, 0.04]])

    def at(b, sloppy=covariance):
        return _Curve(link, b, sloppy, 0.0, 2.0, 0.5, (0, 0, 0)).at(level, sign > 0)

    (position, width), spread, _ = at(beta)
    ends = norm.cdf(norm.ppf(level) + np.array([-1, 0, 1]))
    low, middle, high = 2 + 0.5 * (LAWS[link].ppf(ends) - beta[0]) / beta[1]
    assert position == pytest.approx(middle)
    assert width == pytest.approx(abs(high - low) / 2)
    step = 1e-5 * np.eye(2)
    slopes = np.array([(at(beta + d)[0] - at(beta - d)[0]) / 2e-5 for d in step]).T
    assert spread == pytest.approx(slopes @ covariance @ slopes.T, rel=1e-5)


def test_a_bent_curve_is_not_followed_far_beyond_its_controls() -> None:
    bent = _Curve("Probit", np.array([0, 0.5, 0.05]), 0.01 * np.eye(3), 0.0, 0.0, 1.0, (0, 0, 0))
    (position, width), spread, far = bent.at(0.5, rising=True)
    assert position == 0
    assert [width, spread[1, 1], far] == [np.inf] * 3
    assert spread[0, 0] == pytest.approx(0.01 / 0.5**2)


def test_a_bend_of_rounding_moves_no_threshold() -> None:
    """A parabola of 1e-15 has a second root at 1e15, beside which the first loses its digits."""
    beta = np.array([0.123456789, 0.6, 1.1e-15])
    bent = _Curve("Logit", beta, 0.01 * np.eye(3), 0.0, 0.0, 1.0, (0, 0, 0))
    (position, _), _, _ = bent.at(0.5, rising=True)
    assert position == pytest.approx(-beta[0] / beta[1], rel=1e-9)


def test_widths_of_curves_that_are_not_normal_are_within_their_errors() -> None:
    """The slope at the level, of the normal curve, missed those of a Cauchy curve by 5 errors."""
    off = []
    for seed, kind in enumerate(["logistic", "Cauchy", "Gumbel"] * 3):
        data = table(seed, kind=kind, trials=1000, sizes=(16.0, 64.0))
        for row, width in zip(thresholds(*data.columns).rows, data.width, strict=True):
            off.append((row.width.value - width) / row.width.error)
    assert np.sqrt(np.mean(np.square(off))) < 1.5


def test_the_limit_is_that_of_power_law() -> None:
    data = table(7)
    found = thresholds(*data.columns, inverse_nu=0.5)
    size, value, error = np.array(
        [(r.size, r.position.value, r.position.error) for r in found.rows]
    ).T
    same = power_law(size, value, error, limit=True, exponent=-0.5)
    assert found.x_c.value == pytest.approx(same.limit.value)
    assert found.x_c.error == pytest.approx(same.limit.error)
    assert found.x_c.ci95 == pytest.approx(same.limit.ci95)
    assert found.extrapolation["x"][-1] == pytest.approx(found.x_c.value)
    assert found.extrapolation["band"][-1] == pytest.approx(found.x_c.error)
    inside = np.interp(64.0, found.extrapolation["size"][:-1], found.extrapolation["x"][:-1])
    assert abs(inside - found.rows[2].position.value) < 2 * found.rows[2].position.error


def test_shares_that_neither_rise_nor_fall_have_no_threshold():
    """The slope of a line is zero, and its sign in another unit that of rounding."""
    for unit in (1.0, 1.584268621405554, -0.3):
        found = one_size([0, 20, 10, 0, 16, 17, 0], 20, x=unit * np.arange(7))
        assert (found.status, found.position) == ("not monotone", None)


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 20), min_size=4, max_size=7),
    st.floats(0.1, 10), st.floats(-5, 5), st.booleans(),
)  # fmt: skip
def test_unit_zero_and_direction_of_the_control_change_nothing(k, unit, zero, flipped) -> None:
    x = np.arange(len(k), dtype=float)
    factor = -unit if flipped else unit
    here, there = one_size(k, 20), one_size(k, 20, x=factor * x + zero)
    assert here.status is there.status
    if here.position is not None:
        span = x[-1]
        assert there.position.value == pytest.approx(
            factor * here.position.value + zero, abs=1e-4 * unit * span
        )
        assert there.position.error == pytest.approx(unit * here.position.error, rel=1e-3)
        assert there.rising == (here.rising != flipped)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 20), min_size=4, max_size=7), st.floats(0.2, 0.8))
def test_failures_for_successes_change_nothing(k, level) -> None:
    x, n = np.arange(len(k), dtype=float), np.full(len(k), 20)
    assume(abs(np.polyfit(x, k, 1)[0]) > 1e-9)  # else neither flank is the one that counts
    size = np.full(len(k), 8.0)
    here = thresholds(size, x, np.array(k), n, level=level).rows[0]
    there = thresholds(size, x, n - np.array(k), n, level=1 - level).rows[0]
    assert here.status is there.status
    if here.position is not None:
        assert there.position.value == pytest.approx(here.position.value, abs=1e-3)


def test_rows_of_a_control_may_be_split() -> None:
    """The estimate is that of the sums, and only the dispersion sees the rows."""
    data = table(1)
    half = data.columns[2] // 2
    size, x, k, n = data.columns
    split = [np.tile(size, 2), np.tile(x, 2), np.append(half, k - half)]
    found = thresholds(*split, np.append(n // 2, n - n // 2), inverse_nu=0.5)
    whole = thresholds(*data.columns, inverse_nu=0.5)
    for a, b in zip(found.rows, whole.rows, strict=True):
        assert a.trials == b.trials
        assert a.controls == b.controls
    assert found.dispersion.error < whole.dispersion.error


def test_clusters_scatter_and_are_found_by_name_or_by_dispersion() -> None:
    data = table(2, overlap=0.5)
    named = thresholds(*data.columns, cluster=[f"run {c}" for c in data.cluster])
    unnamed = thresholds(*data.columns)
    size, x, k, n = data.columns
    at, where = np.unique(np.column_stack([size, x]), axis=0, return_inverse=True)
    sums = [np.bincount(where.ravel(), weights=v) for v in (k, n)]
    blind = thresholds(*at.T, *sums)
    assert named.dispersion is None
    assert unnamed.dispersion.value == pytest.approx(2.5, rel=0.15)  # 1 + 0.5 (4 - 1)
    assert "more than independent ones" in unnamed.message
    for a, b, c in zip(named.rows, unnamed.rows, blind.rows, strict=True):
        assert a.position.error == pytest.approx(b.position.error, rel=0.35)
        assert 0.4 < c.position.error / b.position.error < 1.6
    few = thresholds(*data.columns, cluster=np.arange(len(k)) % 5)
    assert "fewer than 20 clusters at size 16, 32, 64, 128, 256" in few.message


def test_levels_agree_on_the_limit() -> None:
    data = table(4)
    low, high = (thresholds(*data.columns, level=p, inverse_nu=0.5) for p in (0.5, 0.85))
    assert abs(low.x_c.value - high.x_c.value) < 3 * np.hypot(low.x_c.error, high.x_c.error)
    assert high.rows[0].position.value > low.rows[0].position.value + 0.1


# ---- what is not there to be found -------------------------------------------------------


def test_a_step_is_known_by_the_spacing() -> None:
    row = one_size([0, 0, 0, 100, 100, 100])
    assert row.status == "separated"
    assert row.width is None
    assert row.position.value == 2.5
    assert row.position.error == pytest.approx(1 / np.sqrt(12))
    assert "between 2 and 3" in row.message
    falling = one_size([100, 100, 30, 0, 0])
    assert falling.status == "separated"
    assert not falling.rising
    assert falling.position.value == 2.0
    assert falling.position.error == pytest.approx(2 / np.sqrt(12))


def test_a_step_of_single_trials_is_no_step() -> None:
    row = one_size([0, 0, 1, 1], n=1)
    assert row.status == "too few points"
    assert row.position is None
    assert "too few trials" in row.message


@pytest.mark.parametrize("share", [0, 100])
def test_all_alike_has_no_threshold(share) -> None:
    row = one_size([share] * 5)
    assert row.status == "at an edge"
    assert row.position is None
    assert ("no trial succeeds" if not share else "all trials succeed") in row.message


def test_a_level_that_is_not_reached() -> None:
    row = one_size([2, 5, 9, 20, 31])
    assert row.status == "at an edge"
    assert "P from 0.02 to 0.31 does not cross 0.5" in row.message


def test_one_control_and_curves_that_turn() -> None:
    assert one_size([40]).status == "too few points"
    row = one_size([2, 30, 80, 97, 70, 20, 3])
    assert row.status == "not monotone"
    assert row.position is None
    assert one_size([2, 30, 25, 60, 52, 80, 97]).status == "ok"  # noise turns, too


def test_sizes_without_a_threshold_are_named_and_left_out() -> None:
    data = table(5)
    size, x, k, n = (c.copy() for c in data.columns)
    k[size == 16] = 0
    found = thresholds(size, x, k, n, inverse_nu=0.5)
    assert found.ok
    assert "size 16 at an edge: no trial succeeds" in found.message
    assert found.rows[0].position is None
    assert len(found.used) == 4
    few = thresholds(*(c[size > 32] for c in (size, x, k, n)))
    assert few.status == "too few sizes"
    assert "3 sizes have a threshold, 4 are needed" in few.message
    assert few.x_c is None
    lost = thresholds(size, x, np.zeros_like(k), n)
    assert lost.status == "at an edge"


def test_rows_without_trials_are_counted() -> None:
    size, x, k, n = (c.copy() for c in table(6).columns)
    k[:3] = n[:3] = 0
    x[5] = np.nan
    found = thresholds(size, x, k, n)
    assert "1 rows without a number left out; 3 rows without trials left out" in found.message
    assert found.rows[0].controls == 5


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((0.0, 1.0, 1, 2), r"row 3 of the data: size must be positive, got 0"),
        ((8.0, 1.0, 3, 2), r"row 3 of the data: successes must be at most the trials, got 3 of 2"),
        ((8.0, 1.0, -1, 2), r"row 3 of the data: successes must be a whole number, 0 or more"),
        ((8.0, 1.0, 1, 2.5), r"row 3 of the data: trials must be a whole number, 0 or more"),
    ],
)
def test_bad_rows_are_named(row, message) -> None:
    good = [(8.0, 0.0, 1, 2), (8.0, 0.5, 1, 2)]
    with pytest.raises(ValueError, match=message):
        thresholds(*zip(*good, row, strict=True))


def test_bad_options() -> None:
    data = table().columns
    with pytest.raises(ValueError, match="level must lie between 0 and 1, got 1"):
        thresholds(*data, level=1.0)
    with pytest.raises(ValueError, match="inverse_nu must be positive"):
        thresholds(*data, inverse_nu=-1.0)
    with pytest.raises(ValueError, match="trials must have one entry for each of 45 rows"):
        thresholds(*data[:3], data[3][:4])
    with pytest.raises(ValueError, match="cluster must have one entry"):
        thresholds(*data, cluster=[1, 2])


def test_separation_is_no_overlap_of_successes_and_failures() -> None:
    x = np.array([0.0, 1.0, 2.0, 3.0])
    n = np.full(4, 5.0)
    assert _gap(x, np.array([0.0, 1.0, 2.0, 5.0]), n) is None
    assert _gap(x, np.array([0.0, 0.0, 5.0, 5.0]), n) == (1.0, 2.0)
    assert _gap(x, np.array([0.0, 2.0, 5.0, 5.0]), n) == (0.0, 2.0)
    assert _gap(x, np.array([5.0, 5.0, 1.0, 0.0]), n) == (1.0, 3.0)
    assert _gap(x, np.array([5.0, 0.0, 5.0, 0.0]), n) is None


def test_every_kind_of_curve_has_its_level_at_zero() -> None:
    for curve in KINDS.values():
        assert curve(np.array([0.0]))[0] == pytest.approx(0.5)


# ---- what is written and drawn -----------------------------------------------------------


def test_plain_values_have_a_row_for_each_size() -> None:
    content = json.loads(json.dumps(thresholds(*table().columns).to_dict(), allow_nan=False))
    assert {"value", "error"} <= content["x_c"].keys()
    assert [row["size"] for row in content["rows"]] == [16, 32, 64, 128, 256]
    for row in content["rows"]:
        assert {"value", "error"} <= row["position"].keys()
        assert {"value", "error"} <= row["width"].keys()
    assert content["models"]


def test_the_figure_shows_shares_and_thresholds() -> None:
    size, x, k, n = (c.copy() for c in table().columns)
    step = size == 256
    k[step] = np.where(x[step] > np.median(x[step]), n[step], 0)
    found = thresholds(size, x, k, n)
    figure = drawn(found, names=("N", "alpha"))
    assert overlapping(figure) == []
    assert len(gids(figure, "position")) == 5
    assert len(gids(figure, "curve")) == 4  # a step has none
    (line,) = gids(figure, "extrapolation")
    assert line.get_ydata()[-1] == pytest.approx(found.x_c.value)
    assert line.get_xdata()[-1] == 0
    (share,) = [a for a in gids(figure, "share") if a.get_marker() == "o"]
    assert share.get_ydata() == pytest.approx(k[:9] / n[:9])


def test_a_figure_without_an_answer() -> None:
    found = thresholds([8, 8, 16, 16], [0, 1, 0, 1], [0, 0, 0, 0], [9, 9, 9, 9])
    assert len(gids(drawn(found, panel="thresholds"), "no data")) == 1


def test_steps_in_one_gap_share_its_error() -> None:
    """Any number of sizes between the same two controls: the limit may be anywhere there."""
    x = np.linspace(0.4, 0.6, 11)
    size, control = (grid.ravel() for grid in np.meshgrid([8, 16, 32, 64, 128], x, indexing="ij"))
    k = np.where(control > 0.511, 100, 0)
    found = thresholds(size, control, k, np.full(k.size, 100), inverse_nu=1)
    assert found.x_c.value == pytest.approx(0.51)
    assert found.x_c.systematic == pytest.approx(0.02 / np.sqrt(12))


def test_a_step_of_few_clusters_is_no_step() -> None:
    """Three samples that all agree say no more than three trials, however many each holds."""
    x, samples = np.arange(6.0), np.arange(3)
    control, sample = (grid.ravel() for grid in np.meshgrid(x, samples, indexing="ij"))
    k = np.where(control > 2, 1000, 0)
    columns = np.full(k.size, 8.0), control, k, np.full(k.size, 1000)
    assert thresholds(*columns).rows[0].status == "separated"
    few = thresholds(*columns, cluster=sample).rows[0]
    assert few.status == "too few points"
    assert "too few trials" in few.message
