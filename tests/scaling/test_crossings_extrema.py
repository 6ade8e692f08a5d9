"""Crossings and maxima of curves whose crossings and maxima are known."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from heatcap.core.result import Status
from heatcap.scaling import crossings, extrema, peaks_against_size, points, read_table
from heatcap.scaling.crossing import _covariance_of
from heatcap.scaling.curves import Curve, _kernel, _prior, curves
from heatcap.scaling.peaks import _maximum
from heatcap.scaling.powers import Form, average, averaged_curve, fit_forms
from heatcap.systems import CurieWeiss, Ising2DExact, Planted

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
    for seed in range(12):
        found = crossings(crossing_points(0.01, seed), rng=seed, draws=200)
        assert found.status == "drift not tested", found.message
        z.append((found.x - 1) / found.error)
        assert found.x_c.error > 0
    z = np.array(z)
    assert np.abs(z.mean(axis=0)).max() < 0.8
    assert 0.6 < z.std() < 1.5


@pytest.mark.slow
def test_pairs_that_share_a_size_are_correlated():
    """The crossings of (8, 16) and (16, 32) share a curve; those of (8, 16) and (32, 64) do not."""
    found = crossings(crossing_points(0.01, 0), rng=0, draws=1000)
    scale = np.sqrt(np.diag(found.covariance))
    correlation = found.covariance / np.outer(scale, scale)
    many = np.array([crossings(crossing_points(0.01, s), rng=0, draws=50).x for s in range(40)])
    seen = np.corrcoef(many.T)
    assert correlation[0, 1] == pytest.approx(seen[0, 1], abs=0.35)
    assert abs(correlation[0, 1]) > 3 * abs(correlation[0, 2])


def test_the_drift_is_extrapolated():
    found = crossings(crossing_points(0.002, 1, drift=0.4, sizes=(8, 16, 32, 64, 128)), rng=0)
    assert found.status == "ok", found.message
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
    for seed in range(12):
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


# ---- curves --------------------------------------------------------------------------------


@settings(max_examples=15)
@given(
    shift=st.floats(-1e3, 1e3),
    scale=st.floats(1e-3, 1e3),
    up=st.floats(-50, 50),
    k=st.floats(1e-2, 99),
)
def test_curves_follow_a_change_of_units(shift, scale, up, k):
    """x -> shift + scale x, A -> up + k A: the same curve, in other units."""
    data = crossing_points(0.01, 3, sizes=(8,))
    moved = points(data.size, shift + scale * data.control, up + k * data.value, k * data.error)
    (a,), (b,) = (curves(p, draws=50, rng=np.random.default_rng(1)) for p in (data, moved))
    assert b.mean == pytest.approx(up + k * a.mean, abs=1e-4 * k)
    assert b.grid == pytest.approx(shift + scale * a.grid)


def test_a_curve_is_that_of_the_gaussian_process_that_is_written_down():
    """A slow oracle: the mean of all draws is the mean, and both go through exact points."""
    x = np.linspace(0, 1, 12)
    data = points(np.full(12, 8.0), x, np.sin(5 * x), np.full(12, 1e-4))
    (line,) = curves(data, draws=4000, rng=np.random.default_rng(0))
    assert line(x) == pytest.approx(np.sin(5 * x), abs=3e-4)
    fine = np.linspace(0, 1, 101)
    assert line(fine) == pytest.approx(np.sin(5 * fine), abs=1e-3)
    band = line.drawn(fine).std(axis=0)
    assert np.abs(line.drawn(fine).mean(axis=0) - line(fine)).max() < 5 * band.max() / math.sqrt(
        4000
    )


def test_points_without_noise_to_speak_of_give_an_error_between_them():
    """Few points: what lies between them is not known as well as they are."""
    x = np.linspace(-3, 3, 7)
    data = points(np.full(7, 8.0), x, 1 / (1 + x**2), np.full(7, 1e-4))
    (line,) = curves(data, draws=300, rng=np.random.default_rng(0))
    at, between = (line.drawn(np.array([p])).std() for p in (1.0, 1.5))
    assert between > 10 * at


# ---- powers of the size --------------------------------------------------------------------

FORM = Form("power", lambda u, w: np.column_stack([np.ones_like(u), u**-w]), (0.5, 6.0))


@given(x_c=st.floats(-2, 2), a=st.floats(0.5, 2), w=st.floats(0.8, 4))
def test_an_exact_power_comes_back(x_c, a, w):
    size = np.array([8.0, 16, 32, 64])
    y = x_c + a * size**-w
    fits = fit_forms(size, y, np.diag((1e-4 * 8**-w * (size / 8) ** -w) ** 2), [FORM])
    assert average(fits, 0).value == pytest.approx(x_c, abs=5 * average(fits, 0).error + 1e-12)
    assert average(fits, -1).value == pytest.approx(w, abs=0.01)


def test_the_fit_is_that_of_a_general_optimiser():
    size = np.array([8.0, 12, 16, 24, 32])
    error = 0.001 * np.ones(5)
    y = 1 + 0.9 * size**-1.0 + error * np.random.default_rng(0).normal(size=5)
    fit = fit_forms(size, y, np.diag(error**2), [FORM])[0]
    value, _ = curve_fit(lambda L, c, a, w: c + a * L**-w, size, y, (1, 1, 1), error)
    chi2 = np.sum(((value[0] + value[1] * size ** -value[2] - y) / error) ** 2)
    assert fit.chi2 == pytest.approx(chi2, abs=0.01)
    assert fit.dof == 2


def test_fits_that_say_nothing_about_the_exponent_do_not_count_beside_those_that_do():
    size = np.array([8.0, 16, 32, 64])
    (fit,) = fit_forms(size, 1 + 1 / size, np.diag(np.full(4, 1e-8)), [FORM])[:1]
    open_ = replace(fit, determined=False, mean=fit.mean + 9, score=fit.score + 1)
    assert average([fit, open_], 0).systematic == 0
    assert average([replace(fit, determined=False), open_], 0).systematic > 1


def test_the_averaged_curve_ends_at_the_averaged_constant_and_its_error():
    """Three smallest sizes whose fits differ: the average is none of them."""
    size = np.array([8.0, 12, 16, 24, 32, 48])
    error = 0.002 * np.ones(6)
    y = 1 + 0.9 * size**-1.0 + error * np.random.default_rng(1).normal(size=6)
    fits = fit_forms(size, y, np.diag(error**2), [FORM])
    at, band = averaged_curve(fits, np.array([48.0, np.inf]), 48.0)
    constant = average(fits, 0)
    assert len(fits) == 3
    assert constant.systematic > 0
    assert [at[1], band[1]] == pytest.approx([constant.value, constant.error])
    assert abs(at[0] - y[-1]) < 3 * error[-1]
    assert band[0] < band[1]


def test_a_correction_does_not_take_the_place_of_what_it_corrects():
    """b -> infinity turns L^kappa (1 + b L^-1) into L^(kappa - 1): kappa would be off by one."""
    size = np.array([8.0, 11, 16, 23, 32, 45, 64, 91])
    found = peaks_against_size(size, height=size**0.7, height_error=0.01 * size**0.7)
    assert found.exponent.value == pytest.approx(0.7, abs=2 * found.exponent.error)
    assert found.exponent.error < 0.1


# ---- crossings -----------------------------------------------------------------------------


def test_a_pair_that_does_not_cross_is_named_and_the_others_count():
    data = crossing_points(0.01, 0, sizes=(8, 16, 32, 64, 128))
    apart = data.value + 3.0 * (data.size == 8)
    found = crossings(points(data.size, data.control, apart, data.error), rng=0, draws=200)
    assert found.status == "drift not tested"
    assert "sizes 8, 16 do not cross within their data" in found.message
    assert np.isnan(found.x[0])
    assert np.isfinite(found.x[1:]).all()
    assert "sizes 8, 16: no crossing" in found.summary()
    json.dumps(found.to_dict(), allow_nan=False)


def test_limits_where_curves_meet_are_no_crossings():
    """A step: far from x_c all sizes lie on top of each other, and noise crosses there for free."""
    size = np.repeat([8.0, 16, 32, 64], 31)
    x = np.tile(np.linspace(-3, 3, 31), 4)
    value = np.tanh(x * size / 16) + 0.01 * np.random.default_rng(0).normal(size=size.size)
    found = crossings(points(size, x, value, np.full(size.size, 0.01)), rng=0, draws=200)
    assert np.abs(found.x).max() < 0.3
    assert found.status == "drift not tested"


def test_a_change_of_sign_by_chance_is_no_second_crossing():
    """One flat end of six runs, 16/32 at 4.2 deviations among 36 points: "multiple crossings"."""
    size = np.repeat([8.0, 16, 32, 64], 9)
    x = np.tile(np.linspace(0.8, 1.2, 9), 4)
    value = 0.6 - 0.3 * np.tanh((x - 1) * size)
    value[[17, 26]] += [-0.0025, 0.0025]  # the last points of 16 and 32
    found = crossings(points(size, x, value, np.full(36, 0.00122)), rng=0, draws=200)
    assert found.status == "drift not tested"
    assert found.x == pytest.approx(1, abs=0.03)
    value[[16, 25]] += [-0.01, 0.01]  # 8 deviations are none of chance
    found = crossings(points(size, x, value, np.full(36, 0.00122)), rng=0, draws=200)
    assert found.status == "multiple crossings"


def test_errors_of_few_runs_widen_crossings():
    data = crossing_points(0.005, 1, drift=0.4, sizes=(8, 16, 32, 64))
    few = points(data.size, data.control, data.value, data.error, runs=5)
    same = crossings(replace(few, wider=1.0), rng=0, draws=200)
    wide = crossings(few, rng=0, draws=200)
    assert few.wider > 1
    assert wide.error == pytest.approx(few.wider * same.error)


def test_two_true_crossings_are_said_and_the_one_of_the_others_is_taken():
    size = np.repeat([8.0, 16, 32, 64], 31)
    x = np.tile(np.linspace(-1, 1, 31), 4)
    value = x * size**0.3 * np.where(size == 8, 1 + 1.5 * np.maximum(x, 0), 1.0)
    value = value + 0.002 * np.random.default_rng(0).normal(size=size.size)
    found = crossings(points(size, x, value, np.full(size.size, 0.002)), rng=0, draws=200)
    assert found.status == "multiple crossings"
    assert "sizes 8, 16 cross more than once" in found.message
    assert "narrow the range of the control" in found.message
    assert abs(found.x[0]) < 0.1


def test_crossings_that_follow_no_power_are_a_poor_fit():
    data = crossing_points(0.001, 0, sizes=(8, 16, 32, 64, 128))
    bent = np.tanh((data.control - 1 - 0.05 * np.sin(data.size)) * data.size**0.5)
    found = crossings(points(data.size, data.control, bent, data.error), rng=0, draws=200)
    assert found.status == "poor fit"
    assert "leave out the smallest sizes" in found.message


def test_a_known_drift_makes_the_error_smaller():
    data = crossing_points(0.005, 1, drift=0.4, sizes=(8, 16, 32, 64))
    free, known = (crossings(data, drift=w, rng=0, draws=200) for w in (None, 1.0))
    assert known.x_c.error < free.x_c.error
    assert known.drift_exponent is None
    assert "drift_exponent = 1 (fixed)" in known.summary()
    assert abs(known.x_c.value - 1) < 3 * known.x_c.error


def test_one_error_bar_in_three_misses_the_planted_point():
    """Drift L^-2 of a planted Binder curve: x_c and its error, over 20 tables."""
    system = Planted(function="binder", correction=0.6, noise=0.001)
    z = []
    for seed in range(20):
        table = system.sample([8, 16, 32, 64, 128], lambda L: system.grid(L, count=15), rng=seed)
        data = read_table(table, size="size", control="control", value="value", error="value_error")
        found = crossings(data, rng=seed, draws=150)
        z.append((found.x_c.value - 1) / found.x_c.error)
    assert np.mean(np.abs(z) < 1) >= 0.5
    assert np.abs(z).max() < 4
    assert np.std(z) > 0.3  # errors that cover, and are of use


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ratio": 0.5}, "ratio must be above 1, large over small, got 0.5"),
        ({"drift": 0}, "drift must be positive, at most 20, it is 1/nu"),
        ({"draws": 5}, "draws must be at least 50 for an error, got 5"),
    ],
)
def test_options_out_of_range_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        crossings(crossing_points(0.01, 0), **options)


def test_no_pair_at_the_ratio_is_a_status():
    found = crossings(crossing_points(0.01, 0), ratio=3, rng=0, draws=50)
    assert found.status == "no crossing"
    assert "no two sizes at a ratio of 3" in found.message


# ---- peaks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("replicates", [None, 40])
def test_peaks_have_the_error_that_is_said(replicates):
    """z-scores of positions and heights: mean 0 and width 1."""
    system = Planted(function="lorentzian", exponent=0.7, noise=0.01)
    x, h = [], []
    for seed in range(25):
        table = system.sample(
            [8, 32], lambda L: system.grid(L, width=3, count=21), rng=seed, replicates=replicates
        )
        data = read_table(
            table, size="size", control="control", value="value",
            error=None if replicates else "value_error",
        )  # fmt: skip
        found = extrema(data, rng=seed, draws=150)
        x.append((found.x - 1 - 0.4 / found.size) / found.x_error)
        h.append((found.height - found.size**0.7) / found.height_error)
    for z in (x, h):
        assert abs(np.mean(z)) < 0.5
        assert 0.7 < np.std(z) < 1.4


def test_heights_of_the_exact_magnet_grow_as_the_logarithm_with_its_slope():
    """Ferdinand and Fisher: C grows by 8 K_c^2 / pi for every factor e.

    Amplitude of ln|T - T_c| from a lecture text.
    """
    system, size = Ising2DExact(), np.array([16, 24, 32, 48, 64, 96])
    x, height = np.array([system.maximum(int(L)) for L in size]).T
    found = peaks_against_size(size, x, 1e-4 / size, height, 1e-3 * height)
    slope = 8 * system.critical_point**2 / math.pi
    assert found.log_slope.value == pytest.approx(slope, abs=3 * found.log_slope.error)
    assert found.log_slope.error < 0.02
    assert found.log_weight > 0.2
    assert abs(found.exponent.value) < 3 * found.exponent.error
    assert found.x_c.value == pytest.approx(system.critical_point, abs=3 * found.x_c.error)


def test_heights_of_the_mean_field_magnet_saturate():
    system, size = CurieWeiss(), np.array([256, 512, 1024, 2048, 4096])
    height = np.array([system.maximum(int(n))[1] for n in size])
    found = peaks_against_size(size, height=height, height_error=1e-3 * height)
    assert found.exponent.value < 0
    assert found.log_weight < 0.5
    assert found.position_status == "not given"


def test_a_power_is_told_from_a_logarithm_where_errors_allow():
    size = np.array([8.0, 16, 32, 64, 128, 256])
    for height, low, high in ((size**0.5, 0, 0.01), (1 + np.log(size), 0.5, 1)):
        found = peaks_against_size(size, height=height, height_error=0.0005 * height)
        assert low <= found.log_weight <= high


def test_a_known_exponent_needs_fewer_sizes_and_says_so():
    size = np.array([8.0, 16, 32])
    found = peaks_against_size(size, 1 + 1 / size, 0.001 / size)
    assert found.position_status == "too few sizes"
    assert "at least 4 are needed" in found.message
    found = peaks_against_size(size, 1 + 1 / size, 0.001 / size, inverse_nu=1.0)
    assert found.ok
    assert found.x_c.value == pytest.approx(1, abs=1e-6)
    assert "inverse_nu = 1 (fixed)" in found.summary()
    json.dumps(found.to_dict(), allow_nan=False)


def test_positions_that_do_not_move_leave_nu_open():
    size = np.array([8.0, 16, 32, 64, 128])
    found = peaks_against_size(size, np.ones(5), np.full(5, 0.01))
    assert found.position_status == "undetermined"
    assert found.inverse_nu is None
    assert found.x_c.value == pytest.approx(1, abs=0.01)
    wild = peaks_against_size(size, np.sin(size), np.full(5, 1e-3))
    assert wild.position_status == "poor fit"


def test_a_status_is_one_word_and_the_outcome_says_which_part():
    size = np.array([8.0, 16, 32, 64, 128])
    rising, error = size**0.5, np.full(5, 0.01)
    found = peaks_against_size(size, np.ones(5), error, np.sin(size), np.full(5, 1e-3))
    assert (found.status, found.ok) == (Status.UNDETERMINED, False)
    assert found.to_dict()["status"] == "positions undetermined, poor fit of heights"
    assert found.summary().startswith("status: positions undetermined, poor fit of heights (")
    assert found.summary(verbose=True).endswith(Status.UNDETERMINED.meaning)
    other = peaks_against_size(size, 1 + 1 / size, 1e-3 / size, np.sin(size), np.full(5, 1e-3))
    assert (other.status, other.outcome) == (Status.POOR_FIT, "poor fit of heights")
    fine = peaks_against_size(size, height=rising, height_error=error)
    assert (fine.status, fine.outcome, fine.cautions()) == (Status.OK, "ok", [])


def test_a_size_without_a_peak_is_listed_and_left_out():
    system = Planted(function="lorentzian", noise=0.01)
    grids = {8: np.linspace(0.5, 0.9, 15)} | {L: system.grid(L, width=3) for L in (16, 32, 64, 128)}
    table = system.sample(list(grids), grids, rng=0)
    data = read_table(table, size="size", control="control", value="value", error="value_error")
    found = extrema(data, rng=0, draws=100)
    assert found.status == "peak at an end"
    assert "sizes 8; widen the range" in found.message
    assert "size 8: no peak inside its data" in found.summary()
    assert found.against_size().size.tolist() == [16, 32, 64, 128]
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([8, 8], [1, 2], [1, 1]), "sizes must differ"),
        (([8, 16], [1, 2]), "x has no errors: expected x_error or x_covariance"),
        (([8, 16], [1, 2], [1, 0]), "x and its errors must be finite, and errors positive"),
        (([8, 16],), "neither positions nor heights"),
        (([8, 16], [1, 2, 3], [1, 1, 1]), "x must have one value and one error for each of 2"),
        (([8, 16], np.ma.masked_array([1, 2], [0, 1]), [1, 1]), "x and its errors must be finite"),
        (([8, 16], [1, 2j], [1, 1]), "x must be real numbers, got complex"),
    ],
)
def test_peaks_that_make_no_sense_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        peaks_against_size(*arguments)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"inverse_nu": np.inf}, "inverse_nu must be positive, at most 20, got inf"),
        ({"exponent": np.nan}, "exponent must be within .*20, got nan"),
    ],
)
def test_exponents_that_are_no_number_are_refused(known, said):
    with pytest.raises(ValueError, match=said):
        peaks_against_size([8, 16], height=[1, 2], height_error=[1, 1], **known)


# ---- published data ------------------------------------------------------------------------

PUBLISHED = Path(
    os.environ.get("HEATCAP_PUBLISHED", Path(__file__).parents[3] / "shared" / "published")
)


@pytest.mark.skipif(
    not (PUBLISHED / "ising2d_square").is_dir(), reason="published tables are not here"
)
def test_published_binder_ratios_cross_at_the_exact_point():
    path = PUBLISHED / "ising2d_square" / "ising-square-B.dat"
    columns = {"size": "L", "control": "K", "value": "B", "error": "dB"}
    found = crossings(read_table(path, **columns, names=list(columns.values())), rng=0)
    assert found.status == "too few pairs"  # three sizes
    assert (found.x - Ising2DExact().critical_point) / found.error == pytest.approx([0, 0], abs=2)
    assert found.x_c.error < 1e-4


def test_the_maximum_of_a_noisy_curve_is_too_high_and_its_bias_taken_off():
    off, bias = [], []
    for seed in range(20):
        rng, x = np.random.default_rng(seed), np.linspace(-1, 1, 21)
        value = 1 - x**2 + 0.3 * rng.normal(size=x.size)
        found = extrema(points(np.full(21, 8.0), x, value, np.full(21, 0.3)), rng=seed, draws=100)
        off.append(found.height[0] - 1)
        bias.append(found.bias[0])
    raw = np.mean(off) + np.mean(bias)
    assert raw > 3 * np.std(off) / math.sqrt(20)
    assert abs(np.mean(off)) < raw / 2


def test_a_parabola_has_its_vertex_between_points_of_the_grid():
    grid, at = np.linspace(-1, 1, 201), 0.12345
    curve = 2 - (grid - at) ** 2
    line = Curve(8.0, grid, curve, np.stack([curve + 0.2, curve + 0.4]), 0.0, 1.0)
    x, height, bias, drawn_x, drawn = _maximum(line)
    assert x == pytest.approx(at, abs=1e-9)
    assert drawn_x == pytest.approx([at, at], abs=1e-9)
    assert drawn == pytest.approx([2.2, 2.4])
    assert (height, bias) == pytest.approx((2 - 0.3, 0.3))


def test_the_weight_of_the_logarithm_is_that_of_its_best_fit_beside_the_best_power():
    size = np.array([8.0, 16, 32, 64, 128])
    found = peaks_against_size(size, height=np.log(size) + 1, height_error=np.full(5, 0.02))
    log, power = (
        max(m["weight"] for m in found.height_models if ("ln L" in m["form"]) is chosen)
        for chosen in (True, False)
    )
    assert found.log_weight == pytest.approx(log / (log + power))
    assert 0.6 < found.log_weight < 0.9


@pytest.mark.parametrize(("end", "lost"), [(1.0, 1.0), (0.9051, 0.92)])
def test_a_draw_that_has_lost_its_crossing_counts_as_beyond_the_data(end, lost):
    """As their nearer end, or as far off as the farthest draw."""
    drawn = np.array([[0.88, 0.91, np.nan]])
    found = _covariance_of(drawn, np.array([0.9]), [(0.0, end)])
    assert found[0, 0] == pytest.approx(np.var([0.88, 0.91, lost], ddof=1))


def test_a_drift_that_nothing_tests_may_bend_as_much_as_from_the_last_pair_but_one():
    found = crossings(crossing_points(0.002, 1, drift=0.4), rng=0, draws=100)
    assert found.status == "drift not tested"
    step = abs(found.x[-1] - found.x[-2])
    assert found.x_c.systematic >= step > found.x_c.statistical / 10


def test_prior_curves_have_the_covariance_of_the_kernel():
    x, rng = np.linspace(-1, 1, 5), np.random.default_rng(0)
    drawn, at_points = _prior(x, x[1:3], 0.5, 2.0, 20_000, rng)
    bend = np.diff(np.eye(5), 2, axis=0)  # which a trend has not
    expected = bend @ _kernel(x, x, 0.5, 2.0) @ bend.T
    assert np.cov(bend @ drawn.T) == pytest.approx(expected, abs=0.1 * expected.max())
    assert at_points == pytest.approx(drawn[:, 1:3])


def test_a_constant_has_the_error_of_the_general_optimiser():
    """With what its exponent leaves open; precise data, so that all is Gaussian."""
    size, error = np.array([8.0, 12, 16, 24, 32]), np.full(5, 1e-6)
    y = 1 + 0.9 / size
    fit = fit_forms(size, y, np.diag(error**2), [FORM])[0]
    _, covariance = curve_fit(
        lambda L, c, a, w: c + a * L**-w, size, y, (1, 0.9, 1), error, absolute_sigma=True
    )
    assert fit.variance[0] == pytest.approx(covariance[0, 0], rel=0.05)


def test_a_size_that_is_left_out_costs_as_much_as_a_parameter():
    size = np.array([8.0, 12, 16, 24, 32, 48])
    fits = fit_forms(size, 1 + 1 / size, np.diag(np.full(6, 1e-6)), [FORM])
    assert [fit.smallest for fit in fits] == [8, 12, 16]
    for left_out, fit in enumerate(fits):
        parameters = 6 - left_out - fit.dof
        assert fit.score == pytest.approx(fit.chi2 + 2 * (parameters + left_out))


def test_every_number_of_the_json_stands_with_its_error():
    t = np.linspace(-1, 1, 11)
    size, x = np.repeat([8.0, 16, 32, 64], 11), np.tile(1 + 0.2 * t, 4)
    step = points(size, x, np.tanh((x - 1) * size / 4), np.full(44, 0.01))
    found = crossings(step, draws=60, rng=0)
    rows = found.to_dict()["pairs"]
    assert [(row["small"], row["large"]) for row in rows] == [(8, 16), (16, 32), (32, 64)]
    assert rows[1]["x"] == {"value": found.x[1], "error": found.error[1]}
    assert rows[2]["height"] == {"value": found.height[2], "error": found.height_error[2]}
    peak = extrema(
        points(size, x, 1 / (1 + ((x - 1) * size / 4) ** 2), np.full(44, 0.01)), draws=60
    )
    row = peak.to_dict()["peaks"][1]
    assert row["size"] == 16
    assert row["height"] == {"value": peak.height[1], "error": peak.height_error[1]}
    rising = extrema(points(size, x, x, np.full(44, 0.01)), draws=60).to_dict()["peaks"][0]
    assert rising["x"] == {"value": None, "error": None}


def test_flat_sides_that_noise_orders_are_no_crossing():
    """Where curves saturate their errors vanish: the bracket began there, at no crossing."""
    size, x = np.repeat([10.0, 20, 30, 40, 50], 19), np.tile(np.linspace(1.8, 2.7, 19), 5)
    value = 2 / 3 / (1 + np.exp((x - 2.25) * size / 4))
    error = np.maximum(0.02 * np.minimum(value, 2 / 3 - value), 3e-6)
    value = value + error * np.random.default_rng(0).normal(size=x.size)
    found = crossings(points(size, x, value, error), rng=0, draws=100)
    assert found.status == "ok", found.message
    assert np.abs((found.x - 2.25) / found.error).max() < 3
    assert found.error.max() < 0.1


def test_one_point_against_the_others_of_its_size_is_named_with_its_row():
    data = crossing_points(0.002, 1)
    assert "stands alone" not in crossings(data, draws=50).message
    value = data.value.copy()
    value[50] += 0.2
    found = crossings(points(data.size, data.control, value, data.error), draws=50)
    assert found.status == "poor fit"
    assert "A at row 51 of the data, size 32, control 0.94" in found.message


def test_curves_meet_a_level_at_places_that_approach_x_c_as_1_over_nu():
    """tanh(t L^0.5) = 1/2 at t = artanh(1/2) / L^0.5."""
    data = crossing_points(0.001, 0, sizes=(8, 16, 32, 64, 128))
    found = crossings(data, level=0.5, rng=0)
    assert found.small.tolist() == found.large.tolist()
    truth = 1 + np.arctanh(0.5) / found.small**0.5
    assert np.abs((found.x - truth) / found.error).max() < 3
    assert abs(found.x_c.value - 1) < 2 * found.x_c.error
    assert "size 8: x* = " in found.summary()
    with pytest.raises(ValueError, match="goes without a ratio"):
        crossings(data, level=0.5, ratio=2)


def test_a_logarithm_that_fits_as_well_leaves_the_exponent_open():
    size = np.array([8.0, 16, 32, 64, 128])
    height = 0.5 * np.log(size) + 0.2
    found = peaks_against_size(size, height=height, height_error=0.01 * height)
    assert found.height_status == "logarithms not excluded"
    assert found.statuses["log_slope"] == "undecided"
    assert found.outcome == "logarithm of heights not excluded"
    power = peaks_against_size(size, height=size, height_error=0.01 * size)
    assert power.height_status == "ok"


def test_an_exponent_that_is_missing_is_never_ok():
    """With a logarithm ahead, an exponent that is not determined was "ok" and None."""
    size, error = 8.0 * 2.0 ** np.arange(4), np.ones(4)
    height = np.log(size) + 1 + error * np.random.default_rng(3).normal(size=4)
    found = peaks_against_size(size, height=height, height_error=error)
    assert found.log_weight > 0.5
    assert found.exponent is None
    assert found.statuses["exponent"] == "undetermined"
    assert "do not determine their exponent" in found.message


def test_a_level_that_no_curve_meets_speaks_of_sizes():
    found = crossings(crossing_points(0.001, 0), level=5, rng=0)
    assert found.status == "no crossing"
    assert found.message.startswith("no size crosses within its data")
