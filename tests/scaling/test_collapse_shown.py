"""Scaled points in the units of the table; a scaling function no rougher than the overlap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from heatcap.scaling import collapse, points, second_order, with_logarithms
from heatcap.scaling.collapse_problem import Model, Problem, names_of
from heatcap.scaling.collapse_shown import COLUMNS, _smoothest, _unseen

from collapse_marks import planted

SIZES = (16.0, 32.0, 64.0, 128.0)


def drawn(function, *, noise=0.01, count=15, seed=0):
    """Points of A = f((x - 1) L), without corrections."""
    size, t = np.repeat(SIZES, count), np.tile(np.linspace(-1, 1, count), len(SIZES))
    x = 1 + 0.05 * t
    rng = np.random.default_rng(seed)
    value = function((x - 1) * size) + noise * rng.normal(size=size.size)
    return points(size, x, value, np.full(size.size, noise))


def problem_of(data):
    names = names_of(second_order, ["A"])
    problem = Problem.of([data], second_order, names, {"x_c": 1.0, "inverse_nu": 1.0})
    return problem, problem.start(1.0, 1.0, [0.0])


@pytest.fixture(scope="module")
def few():
    """20 points of two sizes: quick, and without corrections."""
    data = drawn(np.tanh, count=10)
    return data.take(data.size < 64)


# ---- the units of the table ----------------------------------------------------------------


@pytest.mark.parametrize("ansatz", ["second-order", "first-order", "kosterlitz-thouless"])
def test_points_scale_as_the_formulas_say(few, ansatz):
    if ansatz == "first-order":  # within L^-2 of x_c
        few = replace(few, control=1 + (few.control - 1) * 16 / few.size)
    found = collapse(few, ansatz=ansatz)
    p = {name: parameter.value for name, parameter in found.parameters.items()}
    stretch = {
        "second-order": lambda: few.size ** p["inverse_nu"],
        "first-order": lambda: few.size ** p["dimension"],
        "kosterlitz-thouless": lambda: (np.log(few.size) - p["log_l0"]) ** 2,
    }[ansatz]()
    (curve,) = found.curves
    assert curve["x_scaled"] == pytest.approx((few.control - p["x_c"]) * stretch)
    assert curve["y_scaled"] == pytest.approx(few.value * few.size ** -p["exponent"])
    assert curve["y_error"] == pytest.approx(few.error * few.size ** -p["exponent"])
    assert list(found.scaled_points().columns) == list(COLUMNS)


def test_a_factor_that_theory_gives_is_taken_off(few):
    form = with_logarithms(second_order, amplitude=0.5, stretch=-0.5)
    found = collapse(few, ansatz=form)
    p = {name: parameter.value for name, parameter in found.parameters.items()}
    (curve,) = found.curves
    log = np.log(few.size)
    x = (few.control - p["x_c"]) * few.size ** p["inverse_nu"] * log**-0.5
    assert curve["x_scaled"] == pytest.approx(x)
    y = few.value * few.size ** -p["exponent"] * log**-0.5
    assert curve["y_scaled"] == pytest.approx(y)
    assert curve["reference"]["y_scaled"] == "value size^-exponent / K(size)"


def test_what_is_corrected_lies_on_f_by_its_residual():
    data = planted(np.random.default_rng(0), 0.005, 0.3)
    (curve,) = collapse(data).curves
    known = np.isfinite(curve["y_corrected"])
    assert known.mean() > 0.7
    f = np.interp(curve["x_scaled"], curve["grid"], curve["f"])
    off = (curve["y_corrected"] - f) / curve["y_error"]
    assert off[known] == pytest.approx(curve["residual"][known], abs=0.2)
    # There are corrections: without them points lie nearer to each other.
    raw = (curve["y_scaled"] - f) / curve["y_error"]
    assert np.mean(raw[known] ** 2) > 3 * np.mean(off[known] ** 2)


@settings(max_examples=4, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_change_of_units_changes_the_points_alike(few, log_unit, log_height):
    """Control in 10^a, values in 10^b."""
    unit, height = 10**log_unit, 10**log_height
    other = points(few.size, unit * few.control, height * few.value, height * few.error)
    one, two = (collapse(data, fixed={"exponent": 0}).curves[0] for data in (few, other))
    for name, factor in (("x_scaled", unit), ("y_corrected", height), ("residual", 1)):
        assert two[name] == pytest.approx(
            factor * one[name], rel=1e-3, abs=1e-3 * factor, nan_ok=True
        )


def test_a_fit_without_anything_free_is_shown_too(few):
    fixed = {"x_c": 1.0, "inverse_nu": 1.0, "exponent": 0.0}
    found = collapse(few, fixed=fixed)
    (curve,) = found.curves
    assert curve["reference"]["x_c"] == {"value": 1.0, "error": 0.0}
    assert curve["x_scaled"] == pytest.approx((few.control - 1) * few.size)
    used = curve["used"]
    most = max(model["knots"] for model in found.models)
    assert found.chi2 - 1 < np.sum(curve["residual"][used] ** 2) < found.chi2 + 2 * most


# ---- the roughness of F --------------------------------------------------------------------


def test_squared_residuals_of_a_size_are_those_of_a_fit_to_the_others():
    data = drawn(np.tanh)
    problem, theta = problem_of(data)
    (knots,) = problem.knots(theta, Model(6))
    expected = np.zeros(len(data))
    x = problem.scaled(0, theta)
    for size in SIZES:
        mine = data.size == size
        basis = BSpline.design_matrix(x, knots, 3).toarray() / data.error[:, None]
        f, *_ = np.linalg.lstsq(basis[~mine], (data.value / data.error)[~mine], rcond=None)
        for i in np.flatnonzero(mine):
            if x[~mine].min() <= x[i] <= x[~mine].max():
                expected[i] = (data.value[i] / data.error[i] - basis[i] @ f) ** 2
    assert (expected > 0).sum() > 40
    assert _unseen(0, problem, theta, knots) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_function_has_no_more_wiggles_than_sizes_predict_of_each_other():
    """A straight line with 18 intervals: noise of one size is none of the next."""
    problem, theta = problem_of(drawn(lambda x: 0.1 * x))
    _, (knots,) = _smoothest(problem, theta, Model(18))
    assert knots.size - 7 <= 6


def test_a_wiggle_that_all_sizes_have_stays():
    data = drawn(lambda x: np.sin(3 * x), count=41)
    problem, theta = problem_of(data)
    _, (knots,) = _smoothest(problem, theta, Model(25))
    assert knots.size - 7 >= 9


def test_a_single_size_predicts_nothing():
    data = drawn(np.tanh)
    problem, theta = problem_of(data.take(data.size == 16))
    (knots,) = problem.knots(theta, Model(4))
    assert not _unseen(0, problem, theta, knots).any()


def test_rows_that_the_fit_leaves_out_are_shown_with_what_it_expects_of_them():
    data = planted(np.random.default_rng(0), 0.005, 0.0)
    wrong = replace(data, value=data.value + np.where(data.control > 1.09, 0.5, 0.0))
    found = collapse(wrong)
    table = found.scaled_points()
    left_out = table[table["used"] == 0]
    assert len(table) == len(data)
    assert len(left_out) > 5
    assert left_out["x_scaled"].notna().all()
    bad = left_out[(left_out["control"] > 1.09) & left_out["residual"].notna()]
    assert (bad["residual"].abs() > 20).all()
