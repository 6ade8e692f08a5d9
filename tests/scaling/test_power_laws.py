"""Power laws: exact cases, units, a slow oracle, what is refused, and coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit
from scipy.stats import multivariate_normal, norm

from heatcap.core.result import Status
from heatcap.scaling import power_law
from heatcap.scaling.fits import mixture
from heatcap.scaling.power_fits import EXPONENT, LIMIT, fit_powers
from heatcap.scaling.power_laws import Values, local_exponents, read_values

SIZES = 8.0 * 2.0 ** np.arange(8)


def noisy(y, error, seed=0):
    return y + error * np.random.default_rng(seed).standard_normal(np.size(y))


@pytest.mark.parametrize("p", [-2.3, -0.5, 0.0, 0.37, 3.1])
@pytest.mark.parametrize("pure", [True, False])
def test_an_exact_power_law_comes_back(p, pure):
    found = power_law(SIZES, 3.0 * SIZES**p, 0.01 * SIZES**p, pure=pure)
    assert found.status == "ok"
    assert found.exponent.value == pytest.approx(p, abs=0.3 * found.exponent.error)
    assert found.amplitude.value == pytest.approx(3.0, abs=0.3 * found.amplitude.error)
    assert found.chi2 < 1e-3
    assert found.limit is None


def test_a_pure_power_has_the_numbers_of_a_general_optimiser():
    error = 0.02 * SIZES**-0.6
    y = noisy(2 * SIZES**-0.6, error)
    found = power_law(SIZES, y, error, pure=True)
    best, covariance = curve_fit(
        lambda x, a, p: a * x**p, SIZES, y, (2, -0.6), error, absolute_sigma=True
    )
    assert found.exponent.value == pytest.approx(best[1], abs=0.02 * covariance[1, 1] ** 0.5)
    assert found.exponent.error == pytest.approx(covariance[1, 1] ** 0.5, rel=0.02)
    assert found.amplitude.value == pytest.approx(best[0], rel=0.005)
    assert found.amplitude.error == pytest.approx(covariance[0, 0] ** 0.5, rel=0.05)


def test_a_given_exponent_leaves_a_straight_line():
    error = np.full(8, 0.002)
    y = noisy(0.5 + 0.3 * SIZES**-0.5, error)
    found = power_law(SIZES, y, error, limit=True, exponent=-0.5, pure=True)
    (slope, constant), covariance = np.polyfit(SIZES**-0.5, y, 1, w=1 / error, cov="unscaled")
    assert found.limit.value == pytest.approx(constant, abs=1e-6)
    assert found.limit.error == pytest.approx(covariance[1, 1] ** 0.5, rel=1e-3)
    assert found.amplitude.value == pytest.approx(slope, rel=1e-4)
    assert found.exponent.value == -0.5
    assert found.exponent.error == 0


def test_the_weight_is_the_likelihood_integrated_over_the_corrections():
    """Slow oracle: with the prior of the corrections in the covariance of the data.

    The unit of the prior is the leading term, which here is known well; at given exponent, the
    posterior of omega is the marginal likelihood of the whole model.
    """
    x, p, noise = SIZES[:6], -0.7, 0.01
    y = noisy(2 * x**p * (1 + 0.2 * (x / 8) ** -0.8), noise * x**p, 3)
    omegas = (0.3, 0.8, 2.0)
    fits = fit_powers(x, y, np.diag((noise * x**p) ** 2), (p, p), omegas=omegas)
    score = np.array([fit.score for fit in fits])
    expected = []
    for fit in fits:
        lead, decline = x**p, (x / x[0]) ** -fit.omega
        unit = abs(fit.best[2]) * x[-1] ** -p
        terms = [0.3 * unit * lead * decline, 0.3 * unit * lead * decline**2]
        covariance = np.diag((noise * lead) ** 2) + sum(np.outer(t, t) for t in terms)
        weight = np.linalg.solve(covariance, lead)
        amplitude = weight @ y / (weight @ lead)
        logarithm = multivariate_normal.logpdf(y, amplitude * lead, covariance)
        expected.append(-2 * logarithm + np.log(weight @ lead))  # A is integrated over
    expected = np.array(expected)
    assert np.argsort(expected).tolist() == np.argsort(score).tolist()
    assert np.diff(score) == pytest.approx(np.diff(expected), abs=0.3)


UNITS = st.floats(1e-6, 1e6)


@settings(max_examples=15, deadline=None)
@given(UNITS, UNITS, st.sampled_from([-1.0, 1.0]))
def test_numbers_follow_a_change_of_units(of_x, of_y, sign):
    error = np.full(8, 0.004)
    y = noisy(0.5 + 0.9 * SIZES**-0.8, error)
    one = power_law(SIZES, y, error, limit=True, exponent=-0.8)
    two = power_law(of_x * SIZES, sign * of_y * y, of_y * error, limit=True, exponent=-0.8)
    assert two.limit.value == pytest.approx(sign * of_y * one.limit.value, rel=1e-5)
    assert two.limit.error == pytest.approx(of_y * one.limit.error, rel=1e-4)
    unit = sign * of_y * of_x**0.8
    assert two.amplitude.value == pytest.approx(unit * one.amplitude.value, rel=1e-5)
    free = power_law(SIZES, y, 2 * error)
    moved = power_law(of_x * SIZES, sign * of_y * y, 2 * of_y * error)
    assert moved.exponent.value == pytest.approx(free.exponent.value, abs=1e-4)
    assert moved.exponent.error == pytest.approx(free.exponent.error, rel=1e-3)


def test_toward_zero_is_toward_infinity_of_the_inverse():
    error = np.full(8, 0.002)
    y = noisy(0.5 + 0.3 * SIZES**-0.5, error)
    one = power_law(SIZES, y, error, limit=True)
    two = power_law(1 / SIZES, y, error, limit=True, toward="zero")
    assert two.limit.value == pytest.approx(one.limit.value, rel=1e-9)
    assert two.limit.error == pytest.approx(one.limit.error, rel=1e-9)
    assert two.x.tolist() == sorted(1 / SIZES)
    free, back = power_law(SIZES, y, error), power_law(1 / SIZES, y, error, toward="zero")
    assert back.exponent.value == pytest.approx(-free.exponent.value, rel=1e-9)
    assert back.exponent.ci95 == pytest.approx(tuple(-e for e in free.exponent.ci95[::-1]))
    assert back.slopes["value"] == pytest.approx(-free.slopes["value"])
    assert back.windows[0]["largest"] == pytest.approx(1 / 8)


def test_a_slow_correction_is_within_the_error_and_a_pure_power_misses_it():
    error = 0.002 * SIZES**-0.7
    y = noisy(SIZES**-0.7 * (1 + 0.3 * (SIZES / 8) ** -0.5), error)
    found, pure = power_law(SIZES, y, error), power_law(SIZES, y, error, pure=True)
    assert abs(found.exponent.value + 0.7) < 2 * found.exponent.error < 0.05
    assert abs(pure.exponent.value + 0.7) > 3 * pure.exponent.error
    known = power_law(SIZES, y, error, omega=0.5)
    assert known.exponent.error < found.exponent.error
    assert abs(known.exponent.value + 0.7) < 2 * known.exponent.error


def test_windows_and_local_slopes_approach_the_exponent():
    y = SIZES**-0.7 * (1 + 0.3 * (SIZES / 8) ** -0.5)
    found = power_law(SIZES, y, 0.01 * y)
    exponents = np.array([window["exponent"] for window in found.windows])
    assert np.all(np.diff(exponents) > 0)
    assert np.all(exponents < -0.7)
    local = np.diff(np.log(y)) / np.log(2)
    assert found.slopes["value"] == pytest.approx(local)
    assert found.slopes["error"] == pytest.approx(np.full(7, 0.01 * 2**0.5 / np.log(2)))


def test_growing_data_reach_a_limit_from_below():
    error = np.full(8, 0.002)
    found = power_law(SIZES, noisy(2 - 3 * SIZES**-1.0, error), error, limit=True)
    assert found.ok
    assert abs(found.limit.value - 2) < 2.5 * found.limit.error
    assert found.limit.error < 0.02


def test_an_exponent_that_is_not_determined_leaves_the_limit():
    error = np.full(5, 0.01)
    found = power_law(SIZES[:5], noisy(0.5 + 0.1 * SIZES[:5] ** -0.5, error), error, limit=True)
    assert found.status == "ok"
    assert found.exponent is None
    assert "exponent is not determined" in found.message
    assert abs(found.limit.value - 0.5) < 2.5 * found.limit.error


def test_few_points_and_what_is_no_power_law_are_a_status():
    few = power_law([8, 16], [1.0, 0.5], [0.1, 0.1])
    assert few.status is Status.TOO_FEW_POINTS
    assert "at least 3" in few.message
    assert few.to_dict()["parameters"] == {"exponent": None, "amplitude": None}
    y = 1 + np.array([0.5, -0.5] * 4)
    poor = power_law(SIZES, y, 0.01 * np.ones(8))
    assert poor.status is Status.POOR_FIT
    assert "crossover" in poor.message


def test_small_x_is_left_out_where_corrections_are_too_large():
    y = SIZES**-1.0 * np.where(SIZES < 16, 3.0, 1.0)
    found = power_law(SIZES, noisy(y, 0.005 * y), 0.005 * y)
    assert "1 points left out" in found.message
    assert abs(found.exponent.value + 1) < 2.5 * found.exponent.error


def test_errors_come_from_runs_from_replicates_or_from_the_scatter():
    rng = np.random.default_rng(1)
    runs = SIZES**-0.5 * (1 + 0.05 * rng.standard_normal((12, 8)))
    of_rows = power_law(np.tile(SIZES, 12), runs.ravel(), pure=True)
    of_runs = power_law(SIZES, None, replicates=runs, pure=True)
    expected = 0.05 / 12**0.5 / np.std(np.log(SIZES)) / 8**0.5
    for found in (of_rows, of_runs):
        assert found.ok
        assert abs(found.exponent.value + 0.5) < 3 * found.exponent.error
        assert 0.7 < found.exponent.error / expected < 2
    scatter = power_law(SIZES, runs.mean(axis=0), pure=True)
    assert "no errors given" in scatter.message
    assert 0.4 < scatter.exponent.error / expected < 3


def test_a_common_error_of_all_points_moves_the_amplitude_and_not_the_exponent():
    y = SIZES**-0.5
    own, common = 0.002 * y, 0.1 * y
    covariance = np.diag(own**2) + np.outer(common, common)
    found = power_law(SIZES, y, covariance=covariance, pure=True)
    alone = power_law(SIZES, y, own, pure=True)
    assert found.exponent.error == pytest.approx(alone.exponent.error, rel=0.05)
    assert found.amplitude.error == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (([1, 2, 0], [1, 1, 1], [1, 1, 1]), {}, "x, row 3: expected a positive number, got 0"),
        (([1, 2, 3], [1, 1, 1], [1, 0, 1]), {}, "errors, row 2: expected a positive error, got 0"),
        (([1, 2, 2], [1, 1, 1], [1, 1, 1]), {}, "x = 2 occurs twice"),
        (([1, 2], [1, 1, 1]), {}, "expected one y for each x"),
        ((np.arange(1, 3000), np.ones(2999), np.ones(2999)), {}, "at most 2000 points, got 2999"),
        (([1, 2, 3], [1, np.inf, 1], [1, 1, 1]), {}, "y, row 2: expected a finite number"),
        (([1, 2, 3], [1, 1, 1], [1, 1]), {}, "expected 3 errors"),
        (([1, 2, 3], [1, 1, 1]), {"covariance": np.zeros((3, 3))}, "positive definite"),
        (([1, 2, 3], [1, 1, 1]), {"replicates": np.ones((4, 3))}, "y as None"),
        (([1, 2, 3], [1, 1, 1]), {"exponent": 0.5, "limit": True}, "no limit toward infinity"),
        (([1, 2, 3], [1, 1, 1]), {"omega": -1.0}, "omega must be positive"),
        (([1, 2, 3], [1, 1, 1]), {"omega": 1.0, "pure": True}, "give one of them"),
        (([1, 2, 3], [1, 1, 1]), {"toward": "nowhere"}, "'infinity' or 'zero'"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, options, said):
    with pytest.raises(ValueError, match=said):
        power_law(*arguments, **options)


def test_missing_points_are_counted_and_left_out():
    data = read_values([8, 16, np.nan, 4], [1, np.nan, 2, 3], [0.1, 0.2, 0.3, 0.4])
    assert data.x.tolist() == [4, 8]
    assert data.error.tolist() == pytest.approx([0.4, 0.1])
    assert data.note == "2 points without a number left out"


def test_a_mixture_of_one_is_the_normal_distribution():
    (fit,) = fit_powers(SIZES, SIZES**-1.0, np.diag(1e-4 * SIZES**-2.0), (-1, -1), omegas=())
    found = mixture([fit], [(2.0, 0.25)])
    assert (found.value, found.error) == pytest.approx((2.0, 0.5))
    assert found.ci95 == pytest.approx((2 - 0.5 * 1.959964, 2 + 0.5 * 1.959964))
    logarithm = mixture([fit], [(0.0, 0.04)], logarithm=True)
    assert logarithm.ci95 == pytest.approx(np.exp(0.2 * norm.ppf([0.025, 0.975])))
    assert fit.mean[LIMIT] == 0
    assert fit.mean[EXPONENT] == -1


@pytest.mark.statistical
@pytest.mark.slow
def test_intervals_hold_slow_corrections_as_often_as_they_say():
    inner = outer = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p, omega = rng.uniform(-2, 2), rng.uniform(0.2, 0.6)
        y = SIZES**p * (1 + rng.normal(0, 0.3) * (SIZES / 8) ** -omega)
        error = 0.01 * np.abs(y)
        found = power_law(SIZES, y + error * rng.standard_normal(8), error)
        inner += abs(found.exponent.value - p) < found.exponent.error
        outer += found.exponent.ci95[0] < p < found.exponent.ci95[1]
    assert 0.55 < inner / 60 < 0.9
    assert outer / 60 > 0.87


def test_without_errors_corrections_take_degrees_of_freedom():
    """Five points leave one: an error of chi2 / 3 was below the distance 6 times in 10."""
    rng, sizes = np.random.default_rng(3), np.geomspace(8, 256, 5)
    away = []
    for _ in range(12):
        y = sizes**-0.5 * (1 + 0.3 * 8 / sizes) * (1 + 0.03 * rng.normal(size=5))
        exponent = power_law(sizes, y).exponent
        away.append((exponent.value + 0.5) / exponent.error)
    assert np.sum(np.abs(away) < 2) >= 10


@pytest.mark.parametrize("q", [-0.5, 0.5])
@pytest.mark.parametrize("toward", ["infinity", "zero"])
def test_a_logarithm_that_moves_the_exponent_is_the_status(q, toward):
    """Sizes 8 to 1024: corrections by powers bend as ln^q does, and p would be off by 2 errors."""
    x = SIZES if toward == "infinity" else 1 / SIZES
    y = SIZES**0.7 * (1 + np.log(SIZES / 8)) ** q
    found = power_law(x, noisy(y, 0.01 * y, 4), 0.01 * y, toward=toward)
    assert found.status is Status.LOGARITHMS_NOT_EXCLUDED
    sign = 1 if toward == "infinity" else -1
    form = f"A x^p (1 + ln({'x/8' if sign > 0 else '0.125/x'}))^{q:g}"
    (planted,) = [rival for rival in found.logarithms if rival["form"] == form]
    assert abs(planted["exponent"] - sign * 0.7) < 3 * planted["error"]
    for rival in found.logarithms:
        assert abs(rival["exponent"] - found.exponent.value) > found.exponent.error
    assert f"{found.logarithms[0]['form']} fits as well" in found.message
    assert f"add {'larger' if sign > 0 else 'smaller'} x" in found.message
    assert found.to_dict()["logarithms"]


def test_a_logarithm_is_no_objection_where_it_is_excluded_or_moves_nothing():
    error = 0.01 * SIZES**-0.7
    plain = noisy(SIZES**-0.7, error, 1)
    assert power_law(SIZES, plain, error).logarithms == []
    y = noisy(SIZES**0.7 * (1 + np.log(SIZES / 8)) ** 0.5, 0.01 * SIZES**0.7, 4)
    for known in ({"omega": 1.0}, {"pure": True}, {"exponent": 0.7}):
        assert power_law(SIZES, y, 0.01 * SIZES**0.7, **known).logarithms == []


def test_a_logarithm_as_correction_has_the_slow_oracle_as_its_weight():
    """omega = 0 stands for 1 / (1 + ln(x/x_min)), with the prior of the other corrections."""
    x, p, noise = SIZES, -0.7, 0.01
    d = 1 / (1 + np.log(x / 8))
    y = noisy(2 * x**p * (1 + 0.3 * d), noise * x**p, 3)
    covariance = np.diag((noise * x**p) ** 2)
    log, slow = fit_powers(x, y, covariance, (p, p), omegas=(0.0, 0.3))
    scores = []
    for fit, decline in ((log, d), (slow, (x / 8) ** -0.3)):
        lead, unit = x**p, 0.3 * abs(fit.best[2]) * x[-1] ** -p
        terms = [unit * lead * decline, unit * lead * decline**2]
        whole = covariance + sum(np.outer(t, t) for t in terms)
        weight = np.linalg.solve(whole, lead)
        amplitude = weight @ y / (weight @ lead)
        likelihood = multivariate_normal.logpdf(y, amplitude * lead, whole)
        scores.append(-2 * likelihood + np.log(weight @ lead))
    assert log.score - slow.score == pytest.approx(scores[0] - scores[1], abs=0.3)


def test_the_curve_of_a_fit_is_its_best_line_with_the_error_of_every_part():
    error = np.full(8, 0.002)
    y = noisy(0.5 + 0.3 * SIZES**-0.5, error)
    (pure,) = fit_powers(SIZES, y, np.diag(error**2), (-0.5, -0.5), omegas=(), limit=True)
    design = np.column_stack([SIZES**-0.5, np.ones(8)]) / error[:, None]
    inverse = np.linalg.inv(design.T @ design)
    at = np.array([30.0, np.inf])
    rows = np.column_stack([at**-0.5, np.ones(2)])
    mean, variance = pure.curve(at / SIZES[-1])
    assert mean == pytest.approx(rows @ inverse @ design.T @ (y / error), rel=1e-9)
    assert variance == pytest.approx(np.einsum("xi,ij,xj->x", rows, inverse, rows), rel=1e-6)
    for fit in fit_powers(SIZES, y, np.diag(error**2), (-4, -0.25), limit=True, slow=True):
        mean, variance = fit.curve(np.array([np.inf]))
        assert mean[0] == pytest.approx(fit.mean[LIMIT])
        assert variance[0] == pytest.approx(fit.variance[LIMIT])


def test_local_exponents_are_those_of_a_pure_power_and_leave_out_a_change_of_sign():
    y = 3 * SIZES**-0.7
    data = Values(SIZES, y, np.diag((0.01 * y) ** 2))
    found = local_exponents(data)
    assert found["value"] == pytest.approx(-0.7, rel=1e-12)
    assert found["error"] == pytest.approx(0.01 * np.sqrt(2) / np.log(2), rel=1e-12)
    assert found["x"] == pytest.approx(SIZES[:-1] * np.sqrt(2), rel=1e-12)
    between = (y[0] + y[1]) / 2  # the first two values lie on either side of this limit
    assert local_exponents(data, limit=between)["x"] == pytest.approx(found["x"][1:], rel=1e-12)


@pytest.mark.parametrize(("counts", "told"), [((4, 4, 4), "4 runs"), ((3, 7, 4), "3 to 7 runs")])
def test_the_number_of_runs_is_said_once_where_it_is_the_same(counts, told):
    x = np.repeat(SIZES[:3], counts)
    data = read_values(x, noisy(x**0.5, 0.01))
    assert data.note == f"errors from the spread of {told} of one x"
