"""The verdict on heights whose growth is known, and what it says beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri, stdtrit
from scipy.stats import chi2

from heatcap.attention import heat_capacity_bound
from heatcap.core.result import Status
from heatcap.divergence import (
    BOUNDED_MEANS,
    CLASSES,
    Margins,
    PeakVerdict,
    Verdict,
    divergence_test,
    peak_test,
    power,
)
from heatcap.divergence.answer import NO_CLASS, UNSOUND, Answer
from heatcap.divergence.exponent import growth_exponent
from heatcap.divergence.heights import CARRIED, CHANCE, ceiling, hump_at, read_heights
from heatcap.divergence.testing import NEAR, drawn_from, plausible, problem
from heatcap.divergence.verdict import judged
from heatcap.systems import CurieWeiss, TwoLevel

DOUBLING = 2.0 ** np.arange(3, 9)
NINE = 2.0 ** np.arange(5, 14)
MANY = np.round(np.geomspace(8, 1024, 15))
RNG = np.random.default_rng(8)
FIELDS = {
    "schema_version",
    "verdict",
    "plausible",
    "status",
    "p_values",
    "size_name",
    "level",
    "excluded_by_bound",
    "hump_at",
    "ways",
    "sizes",
    "heights",
    "errors",
    "local_exponents",
    "predictions",
    "stability",
    "exponent",
    "exponent_upper_limit95",
    "detectable_exponent",
    "models",
    "margins",
    "calibration",
    "cautions",
    "advice",
    "seconds",
    "if_no_crossover",
    "crossover_length_lower_limit95",
    "crossover",
}


def noisy(sizes, curve, noise, seed=0):
    h = curve(sizes)
    return h * (1 + noise * np.random.default_rng(seed).normal(size=sizes.size)), noise * h


@pytest.mark.slow
@pytest.mark.parametrize(
    ("curve", "verdict"),
    [
        (lambda L: 3 + 0 * L, "flat"),
        (lambda L: 4 - 10 / L, "bounded"),
        (lambda L: 1 + 0.5 * np.log(L), "logarithmic"),
        (lambda L: 1 + 0.3 * L**0.4, "power-law"),
    ],
)
def test_precise_heights_get_their_class(curve, verdict):
    found = divergence_test(MANY, *noisy(MANY, curve, 0.002))
    assert found.verdict == verdict
    assert found.plausible == (verdict,)
    assert found.advice == ""
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(data) == FIELDS
    assert set(data["models"][0]) >= {
        "name",
        "class",
        "parameters",
        "chi2",
        "dof",
        "p_value",
        "weight",
    }
    assert sum(row["weight"] for row in data["models"]) == pytest.approx(1)
    assert sum(row["aicc_weight"] for row in data["models"]) == pytest.approx(1)
    assert data["margins"]["kappa_min"] == 0.1
    assert set(data["calibration"]) >= {"replicates", "realised_level"}
    assert "no transition" not in found.summary()
    best = next(row for row in found.models if "corrected" not in row["name"])
    assert best["class"] == verdict


def test_bounded_says_what_it_does_not_exclude():
    """The mean-field magnet has a transition, and its heat capacity is bounded."""
    sizes = np.array([16, 32, 64, 128, 256, 512, 1024.0])
    h = np.array([CurieWeiss().maximum(int(n))[1] for n in sizes])
    found = divergence_test(sizes, h, 0.003 * h, size_name="N")
    assert found.verdict == "bounded"
    assert BOUNDED_MEANS in found.summary()
    assert "N = 16 to 1024" in found.summary()


def test_a_logarithm_on_few_noisy_sizes_is_undecided_and_says_what_would_decide():
    primes = np.array([19, 23, 29, 37, 43, 59, 73, 83, 97, 113.0])
    found = divergence_test(primes, *noisy(primes, lambda L: 1 + 0.5 * np.log(L), 0.01))
    assert found.verdict == "undecided"
    assert {"bounded", "logarithmic"} <= set(found.plausible)
    assert found.advice.startswith("if bounded: ")
    assert set(found.ways) == set(found.plausible)


@pytest.mark.slow
def test_the_advice_holds():
    """Errors as small as advised decide, most of the time, where the class is true."""
    curve = lambda L: 4 - 10 / L  # noqa: E731
    found = divergence_test(DOUBLING, *noisy(DOUBLING, curve, 0.06, seed=8))
    assert found.verdict == "undecided"
    factor = found.ways["bounded"]["smaller_errors"]
    assert factor is not None
    rng, decided = np.random.default_rng(0), 0
    for seed in range(15):
        data = read_heights(DOUBLING, *noisy(DOUBLING, curve, 0.06 / factor, seed))
        decided += judged(data, Margins(), None, False, 100, rng)[2].names(0.95) == ("bounded",)
    assert decided >= 9


@pytest.mark.statistical
def test_the_true_class_is_kept():
    """A miniature of benchmarks/divergence_marks.py: 5 % of 48 is 2.4, and 8 is far too many."""
    lost, margins, rng = 0, Margins(), np.random.default_rng(5)
    for curve, kind in (
        (lambda L: 4 - 10 / L, "bounded"),
        (lambda L: 1 + 0.5 * np.log(L), "logarithmic"),
        (lambda L: 1 + 0.3 * L**0.4, "power-law"),
    ):
        for seed in range(16):
            data = read_heights(DOUBLING, *noisy(DOUBLING, curve, 0.02, seed))
            *_, found, _ = judged(data, margins, None, False, 100, rng)
            lost += kind not in found.names(0.95)
    assert lost < 8


@settings(max_examples=10)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 100))
def test_units_and_order_change_nothing(scale, seed):
    y, errors = noisy(DOUBLING, lambda L: 1 + 0.3 * L**0.4, 0.02, seed)
    mixed = np.random.default_rng(seed).permutation(6)
    plain = read_heights(DOUBLING, y, errors)
    other = read_heights(DOUBLING[mixed], scale * y[mixed], scale * errors[mixed])
    found = [
        judged(data, Margins(), None, False, 100, np.random.default_rng(1))[2].p_values
        for data in (plain, other)
    ]
    assert found[1] == pytest.approx(found[0], abs=0.02)  # ties by rounding
    assert growth_exponent(other).value == pytest.approx(growth_exponent(plain).value, abs=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("without_extras")
def test_order_of_the_sizes_changes_nothing():
    y, errors = noisy(DOUBLING, lambda L: 1 + 0.3 * L, 0.02)
    plain = divergence_test(DOUBLING, y, errors).to_dict()
    other = divergence_test(DOUBLING[::-1], y[::-1], errors[::-1]).to_dict()
    plain.pop("seconds"), other.pop("seconds")
    assert other == plain


@pytest.mark.slow
def test_equal_seeds_give_equal_results():
    data = noisy(DOUBLING, lambda L: 1 + 0.3 * L, 0.02)
    first, second = (divergence_test(DOUBLING, *data, rng=4).to_dict() for _ in range(2))
    first.pop("seconds"), second.pop("seconds")
    assert first == second


def test_wider_margins_for_power_laws_turn_one_into_a_logarithm():
    """Negative control: the class is a matter of margins, and they are heeded."""
    data = noisy(MANY, lambda L: 1 + 0.3 * L**0.2, 0.001)
    assert "power-law" in divergence_test(MANY, *data).plausible
    narrow = divergence_test(MANY, *data, margins=Margins(kappa_min=0.5))
    assert narrow.verdict == "logarithmic"
    assert narrow.to_dict()["margins"]["kappa_min"] == 0.5


def test_the_exponent_of_first_order_growth():
    y, errors = noisy(DOUBLING, lambda L: 2 + 0.01 * L**2, 0.01)
    found = divergence_test(DOUBLING, y, errors, exponent=2.0)
    assert found.verdict == "power-law"
    assert any("exponent 2 alone was tried" in text for text in found.warnings)
    slow = divergence_test(DOUBLING, *noisy(DOUBLING, lambda L: 1 + L, 0.01), exponent=2.0)
    assert "power-law" not in slow.plausible


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("kappa", "noise", "share"), [(0.5, 0.003, 1.0), (0.5, 0.01, -0.5), (2.0, 0.003, 1.0)]
)
def test_intervals_of_the_exponent_hold_the_truth(kappa, noise, share):
    """With corrections to scaling of b/L: 90 of 100 sets and no fewer, at 95 %."""
    inside = below = 0
    for seed in range(60):
        data = noisy(MANY, lambda L: 1 + 0.3 * L**kappa * (1 + share / L), noise, seed)
        found = growth_exponent(read_heights(MANY, *data))
        inside += found.ci95[0] <= kappa <= found.ci95[1]
        below += kappa <= found.upper_limit95
    assert inside >= 54
    assert below >= 54


def test_falling_heights_have_no_exponent():
    found = divergence_test(DOUBLING, *noisy(DOUBLING, lambda L: 1 + 4 / L, 0.01))
    assert found.verdict == "bounded"
    assert np.isnan(found.exponent.value)
    assert found.to_dict()["exponent"]["value"] is None
    assert "do not grow" in found.summary()


def test_errors_too_small_are_noticed_and_mended():
    y, errors = noisy(MANY, lambda L: 1 + 0.5 * np.log(L), 0.02, seed=1)
    found = divergence_test(MANY, y, errors / 3)
    assert any("too large" in text and "errors are too small" in text for text in found.warnings)
    mended = divergence_test(MANY, y, errors / 3, rescale=True)
    np.testing.assert_allclose(mended.data.errors, errors, rtol=0.5)
    assert "logarithmic" in mended.plausible
    wide = judged(read_heights(MANY, y, 4 * errors), Margins(), None, False, 100, RNG)[3]
    assert any("errors look too large" in text for text in wide)
    unknown = divergence_test(MANY, y)
    np.testing.assert_allclose(unknown.data.errors.mean(), errors.mean(), rtol=0.6)
    assert any("no errors given: equal ones of 0.0" in text for text in unknown.warnings)
    assert not any("errors were multiplied" in text for text in unknown.warnings)


def test_the_number_of_keys_excludes_a_power_law():
    sizes = DOUBLING
    h = np.array([TwoLevel().maximum(int(n))[1] for n in sizes])
    y = h * (1 - 0.06)
    free = divergence_test(sizes, y, 0.005 * y, size_name="n")
    assert free.if_no_crossover == ("logarithmic", "power-law")
    bound = divergence_test(sizes, y, 0.005 * y, size_name="n", bound=heat_capacity_bound)
    assert bound.if_no_crossover == ("logarithmic",)
    assert set(bound.plausible) == set(free.plausible) - {"power-law"}
    assert bound.excluded_by_bound == ("power-law",)
    assert any("excluded by the bound, not by the data: power-law" in w for w in bound.warnings)
    at = divergence_test(sizes, h, 0.03 * h, size_name="n", bound=heat_capacity_bound)
    assert any("are at their bound" in text for text in at.warnings)


def test_three_keys_whatever_the_size():
    """Modular addition: three visible keys for each modulus, so that nothing can grow."""
    y, errors = noisy(DOUBLING, lambda L: 0.7 - 0.3 * L**-0.3, 0.02)
    found = divergence_test(DOUBLING, y, errors, bound=np.full(6, 0.7618))
    assert not {"logarithmic", "power-law"} & set(found.plausible)
    assert any("same at every size" in text for text in found.warnings)
    wrong = divergence_test(DOUBLING, 10 * y, errors, bound=np.full(6, 0.7618))
    assert any("lie above it" in text for text in wrong.warnings)


def test_a_bound_that_grows_is_matched_to_its_sizes():
    y, errors = noisy(DOUBLING, lambda L: np.log(L) / 3, 0.02)
    mixed = np.array([3, 0, 5, 1, 4, 2])
    bound = 2 * y
    bound[2] = y[2]
    found = divergence_test(DOUBLING[mixed], y[mixed], errors[mixed], bound=bound[mixed])
    assert any("L = 32 are at their bound" in text for text in found.warnings)
    assert found.excluded_by_bound == ()


def test_runs_that_are_missing_are_stated():
    data = noisy(DOUBLING, lambda L: 4 - 10 / L, 0.02)
    found = divergence_test(DOUBLING, *data, missing={8: 2, 16: 0, 128: 1})
    assert any("2 at L = 8, 1 at L = 128" in text for text in found.warnings)
    assert not any("without a peak" in w for w in divergence_test(DOUBLING, *data).warnings)
    with pytest.raises(ValueError, match="missing runs of 6 sizes"):
        divergence_test(DOUBLING, *data, missing=[1, 2])


def test_replicates_give_means_and_errors():
    rng = np.random.default_rng(0)
    curve = 4 - 10 / DOUBLING
    runs = [h * (1 + 0.05 * rng.normal(size=12)) for h in curve]
    found = divergence_test(DOUBLING, None, replicates=runs)
    np.testing.assert_allclose(found.data.heights, [np.mean(r) for r in runs])
    relative = np.array([np.var(r, ddof=1) / np.mean(r) ** 2 for r in runs])
    wider = found.data.errors / found.data.heights * np.sqrt(12)
    # Spreads steady one another: what is seen lies between each by itself and all together.
    assert np.all(wider > np.sqrt(np.minimum(relative, np.median(relative))))
    assert np.ptp(wider) < np.ptp(np.sqrt(relative))
    few = divergence_test(DOUBLING, None, replicates=[r[:3] for r in runs])
    assert any("steady one another" in text and "Student" in text for text in few.warnings)
    assert not any("steady one another" in text for text in found.warnings)


def test_what_stands_beside_the_verdict():
    found = divergence_test(MANY, *noisy(MANY, lambda L: L**0.4, 0.005))
    for row in found.local_exponents:
        assert abs(row["exponent"] - 0.4) < 4.5 * row["error"]
    pulls = {row["class"]: row["pull"] for row in found.predictions}
    assert abs(pulls["power-law"]) < 4 < abs(pulls["bounded"])
    assert all("power-law" in row["plausible"] for row in found.stability)
    assert found.stability[0]["smallest_size"] == MANY[1]
    assert set(found.curves) == set(CLASSES)
    assert 0.15 <= found.detectable_exponent <= 1
    assert found.exponent_upper_limit95 > found.exponent.value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": [8, 16, 32]}, "at least 4 sizes, got 3"),
        ({"sizes": [8, 8, 16, 32, 64, 128]}, "every size must occur once, got 8 2 times"),
        ({"sizes": [1, 2, 4, 8, 16, 32]}, "above 1"),
        ({"heights": [1, 2, np.nan, 3, 4, 5]}, "heights must be finite"),
        ({"heights": [1, 2, 3]}, "one height per size"),
        ({"heights": [-1, -2, -3, -1, -2, -3]}, "heights must be positive"),
        ({"errors": [0, 1, 1, 1, 1, 1]}, "errors must be positive and finite, got 0"),
        ({"errors": [1, 1]}, "one error per height"),
        ({"covariance": np.eye(6)}, "only one of errors"),
        ({"errors": None, "covariance": np.eye(5)}, "covariance of shape"),
        ({"errors": None, "covariance": np.ones((6, 6))}, "positive definite"),
        ({"heights": None}, "heights are needed"),
        ({"level": 1.0}, "level must be"),
        ({"draws": 10}, "at least 100 draws"),
        ({"exponent": -1.0}, "an exponent must lie between"),
        ({"bound": [0, 1, 1, 1, 1, 1]}, "bound must be positive"),
        ({"errors": None, "replicates": [[1.0]] * 6}, "no spread"),
        ({"errors": None, "replicates": [[1.0, 2.0]] * 5}, "replicates of each of 6 sizes"),
        ({"errors": None, "replicates": [[0.1] * 3] * 6}, "all equal: give errors"),
        ({"errors": None, "replicates": [[0.1] * 11] * 6}, "all equal: give errors"),
    ],
)
def test_bad_input_is_named(change, message):
    heights, errors = noisy(DOUBLING, lambda L: 4 - 10 / L, 0.02)
    given = {"sizes": DOUBLING, "heights": heights, "errors": errors} | change
    positional = [given.pop(name) for name in ("sizes", "heights", "errors")]
    with pytest.raises(ValueError, match=message):
        divergence_test(*positional, **given)


def test_p_values_are_shares_of_draws():
    """The class of the best fit has all of them, one that is hopeless none."""
    y, errors = noisy(DOUBLING, lambda L: 1 + 0.5 * np.log(L), 0.02, 3)
    setup = problem(DOUBLING, np.diag(errors**2), Margins(), heights=y)
    found = plausible(setup, y, draws=100, rng=np.random.default_rng(0))
    assert found.delta.min() == 0
    assert found.p_values[found.delta == 0].tolist() == [1.0]
    assert found.p_values[found.delta > 40].tolist() == [0.0]
    shares = found.p_values[(found.delta > 0) & (found.delta < 40)] * 101
    assert len(shares)
    np.testing.assert_allclose(shares, np.round(shares))
    assert shares.min() >= 1
    assert found.kinds(0.95) == tuple(np.flatnonzero(found.p_values > 0.05))


def test_noise_has_the_covariance_of_the_heights():
    root = np.tril(0.1 * np.random.default_rng(0).normal(size=(6, 6))) + 0.2 * np.eye(6)
    covariance = root @ root.T
    setup = problem(DOUBLING, covariance, Margins(), heights=1 + np.log(DOUBLING))
    drawn = np.cov(setup.noise(40000, np.random.default_rng(1)).T)
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert np.abs((drawn - covariance) / scale).max() < 0.03
    assert np.abs(covariance / scale - np.eye(6)).max() > 0.2


def test_nulls_are_drawn_as_often_as_they_are_likely():
    """Each draw is about a fit within 4 of the best of its class, and these differ."""
    y, errors = noisy(DOUBLING, lambda L: 1 + 0.5 * np.log(L), 0.03, 1)
    setup = problem(DOUBLING, 1e-12 * np.eye(6), Margins(), heights=y)
    near = problem(DOUBLING, np.diag(errors**2), Margins(), heights=y)
    fits, kind = near.fits(y), CLASSES.index("power-law")
    silent = replace(fits, problem=replace(near, root=setup.root))
    drawn = drawn_from(silent, kind, 400, np.random.default_rng(0))
    rows = fits.of(kind)
    above = fits.score[rows] - fits.score[rows[0]]
    curves, shares = fits.curves(rows[above <= NEAR]), np.exp(-above[above <= NEAR] / 2)
    apart = np.abs((drawn[:, np.newaxis] - curves) / errors).max(axis=2)
    assert apart.min(axis=1).max() < 1e-3
    assert np.unique(apart.argmin(axis=1)).size > 10
    mean = shares @ curves / shares.sum()
    spread = np.sqrt(shares @ (curves - mean) ** 2 / shares.sum() / 400)
    assert np.all(np.abs(drawn.mean(axis=0) - mean) < 4 * spread + 1e-5)


def test_heights_that_do_not_change_have_nulls_with_numbers():
    """Shapes without any growth have no curve; drawing from one would compare nothing."""
    sizes = np.array([19.0, 23, 29, 31, 37, 43, 59, 79, 97, 113])
    setup = problem(sizes, 0.15**2 * np.eye(10), Margins(), heights=np.ones(10))
    fits = setup.fits(np.ones(10))
    for kind in range(len(CLASSES)):
        assert np.isfinite(drawn_from(fits, kind, 50, np.random.default_rng(0))).all()


def test_models_report_the_parameters_of_their_best_fit():
    """Rebuilt by hand: s - a L^-k with k between two points of the grid."""
    heights = 4 - 8 * DOUBLING**-0.6
    found = divergence_test(DOUBLING, heights, 1e-3 * heights)
    row = next(
        r for r in found.models if r["name"] == "saturating power" and r["class"] == "bounded"
    )
    kappa, s, growth = (row["parameters"][name] for name in ("kappa", "s", "growth"))
    assert kappa == pytest.approx(-0.6, abs=0.02)
    assert s == pytest.approx(4, abs=0.05)
    assert growth == pytest.approx(np.ptp(heights), rel=0.01)
    assert row["dof"] == 3
    assert row["p_value"] == pytest.approx(chi2.sf(row["chi2"], 3))
    assert sum(r["weight"] for r in found.models) == pytest.approx(1)


@pytest.mark.parametrize("noise", [0.003, 0.01])
def test_a_small_bump_is_flat(noise):
    """A change of 4.5 % is below the smallest effect, whatever its form."""
    x = np.log(MANY)
    curve = 3 + 0.13 * np.exp(-(((x - x.mean()) / 0.8) ** 2) / 2)
    assert "flat" in divergence_test(MANY, curve, noise * curve).plausible


def test_one_wild_height_names_no_class():
    y, errors = noisy(MANY, lambda L: 1 + 0.5 * np.log(L), 0.01, 2)
    y[6] *= 1.6
    found = divergence_test(MANY, y, errors)
    assert found.verdict == "undecided"
    assert found.status == "misfit"
    assert "no class describes the heights" in found.summary()
    assert (found.plausible, found.advice) == ((), "")
    assert "not determined" in found.exponent_said


def test_a_constant_bound_out_of_sight_excludes_power_laws_alone():
    heights = 5 - 4 * (MANY / 8) ** -0.15
    near = divergence_test(MANY, heights, 0.01 * heights, bound=lambda _: 1.5 * heights.max())
    far = divergence_test(MANY, heights, 0.01 * heights, bound=lambda _: 100.0)
    assert near.excluded_by_bound == ("logarithmic", "power-law")
    assert far.excluded_by_bound == ("power-law",)
    assert any("beyond what counts as seen" in text for text in far.warnings)


def test_bounds_are_worded_by_how_they_grow():
    heights = 1 + 0.1 * np.log(MANY)

    def said(bound):
        return " ".join(divergence_test(MANY, heights, 0.05 * heights, bound=bound).warnings)

    assert "slower than the power 0.1" in said(lambda L: 10 * L**0.05)
    assert "slower than any power" in said(lambda L: 10 + np.log(L) ** 2)
    assert "excludes nothing" in said(lambda L: 10 * L**0.5)


def test_few_heights_without_errors_name_no_class():
    found = divergence_test([8, 16, 32, 64], [1, 2, 3, 4], None)
    assert (found.verdict, found.status, found.plausible) == ("undecided", "no errors", ())
    assert "not determined: without errors" in found.summary()
    assert found.summary().endswith("to decide: give errors, or several runs of each size")


def test_errors_in_per_cent_determine_no_exponent():
    y, errors = noisy(DOUBLING, lambda L: 4 - 10 / L, 0.01)
    found = divergence_test(DOUBLING, y, 100 * errors)
    assert "not determined: at these errors nothing limits it" in found.exponent_said
    assert any("are they in per cent?" in text for text in found.warnings)


def test_errors_five_times_too_large_are_not_asked_for_per_cent():
    y, errors = noisy(DOUBLING, lambda L: 4 - 10 / L, 0.01)
    (said,) = [t for t in divergence_test(DOUBLING, y, 5 * errors).warnings if "too large" in t]
    assert "errors look too large" in said
    assert "per cent" not in said


def test_every_status_says_why_it_has_no_exponent():
    assert set(Verdict.MESSAGES) | set(PeakVerdict.MESSAGES) == set(UNSOUND)


@pytest.mark.slow
@pytest.mark.usefixtures("without_extras")
@pytest.mark.parametrize("status", ["misfit", "against the bound", "no limit"])
def test_what_is_not_determined_is_nowhere_a_number(status):
    heights = 1 + 0.3 * DOUBLING**0.4
    if status == "misfit":
        heights[2] *= 3
    bound = np.full(6, 1e3) if status == "against the bound" else None
    errors = heights * (0.001 if status != "no limit" else 3)
    found = divergence_test(DOUBLING, heights, errors, bound=bound)
    assert found.status == (status if status != "no limit" else "ok")
    assert not found.exponent_determined
    assert found.exponent_upper_limit95 == np.inf
    assert f"not determined: {found.why_no_exponent}" in found.exponent_said
    content = json.loads(json.dumps(found.to_dict()))
    assert content["exponent"] == {"value": None, "ci95": [None, None]}
    assert content["exponent_upper_limit95"] is None
    # p-values of classes that do not describe the heights would look like support.
    assert ("p-values" in found.summary()) == (status != "misfit")
    assert ("none (no class describes" in found.p_values_said) == (status == "misfit")


def test_what_every_verdict_says_is_asked_of_its_class():
    assert Answer.__abstractmethods__ == {
        *("tested", "exponent_said", "exponent", "models", "curves"),
        *("detectable_exponent", "calibration", "_advised"),
    }


def test_where_no_class_is_named_the_first_caution_says_so_once():
    y, errors = noisy(MANY, lambda L: 1 + 0.5 * np.log(L), 0.01, 2)
    assert divergence_test(MANY, y, errors).cautions() == []
    found = divergence_test(MANY, y, errors, missing={8.0: 3})
    assert found.ok
    assert found.message == ""
    assert [each.text for each in found.cautions()] == found.warnings != []
    y[6] *= 1.6
    found = divergence_test(MANY, y, errors)
    assert found.status is Status.MISFIT
    assert found.message == Verdict.MESSAGES[Status.MISFIT]
    assert [each.text for each in found.cautions()] == [found.meaning, *found.warnings]
    assert found.cautions()[0].title == NO_CLASS
    x = np.linspace(0, 1, 30)
    found = peak_test(x, 2 + x + 0.003 * RNG.normal(size=30), np.full(30, 0.003))
    assert found.status is Status.EDGE
    assert found.message in found.warnings
    assert found.cautions()[0].text == found.message
    assert sorted(each.text for each in found.cautions()) == sorted(found.warnings)


def test_on_request_a_verdict_shows_every_family():
    found = divergence_test(DOUBLING, *noisy(DOUBLING, lambda L: 4 - 10 / L, 0.01))
    short, long = found.summary().splitlines(), found.summary(verbose=True).splitlines()
    assert long[: len(short)] == short
    title, *rows = long[len(short) :]
    assert title.startswith("families of shapes")
    assert len(rows) == len(found.models)
    for row, model in zip(rows, found.models, strict=True):
        assert row.startswith(f"  {model['name']} ({model['class']}): chi2")
        assert row.endswith(f"weight {model['weight']:.2g}")


def test_what_is_said_is_there_in_parts():
    found = divergence_test(DOUBLING, *noisy(DOUBLING, lambda L: 4 - 10 / L, 0.01), size_name="p")
    assert found.tested == "6 sizes, p = 8 to 256"
    assert found.not_excluded.splitlines() == [
        f"not excluded at 95%: {', '.join(found.plausible)}",
        "crossover length: a crossover at any length fits",
        f"if there is no crossover: {', '.join(found.if_no_crossover)}",
    ]
    assert "one-sided upper limit" in found.exponent_said
    assert f"bounded {found.p_values['bounded']:.2g}" in found.p_values_said
    lines = found.not_excluded.splitlines()
    for part in (found.tested, *lines, found.exponent_said, found.p_values_said):
        assert part in found.summary()
        assert part in found.brief("C")


def test_a_hump_is_said_and_no_saturation():
    def humped(share):
        curve = lambda L: 1 + share * np.exp(-(np.log(L / 64) ** 2) / 2)  # noqa: E731
        return divergence_test(DOUBLING, *noisy(DOUBLING, curve, 0.02), size_name="p")

    found = humped(0.3)
    assert (found.verdict, found.hump_at, found.to_dict()["hump_at"]) == ("bounded", 64, 64)
    assert "the height has a maximum near p = 64 and falls after it: a crossover" in found.meaning
    assert "saturates" not in found.summary()
    # One that is too narrow for every class is seen all the same.
    for share, status in ((0.5, "poor fit"), (1, "misfit")):
        found = humped(share)
        assert found.status == status
        assert found.meaning.endswith("; the height has a maximum near p = 64 and falls after it")


@pytest.mark.statistical
@pytest.mark.parametrize("sizes", [DOUBLING, MANY])
@pytest.mark.parametrize(
    "curve", [lambda L: 4 - 10 / L, lambda L: 4 - 100 / L**2, lambda L: 3 + 0 * L]
)
def test_noise_makes_no_hump_of_a_saturation(sizes, curve):
    """At 5 % of 100 sets, 12 or more would come up twice in 500 tests."""
    data = [read_heights(sizes, *noisy(sizes, curve, 0.03, seed)) for seed in range(100)]
    assert CHANCE == 0.05
    assert sum(np.isfinite(hump_at(each)) for each in data) < 12


def test_falling_heights_and_rising_ones_have_no_hump():
    for curve in (lambda L: 1 + 4 / L, lambda L: 1 + np.log(L)):
        data = read_heights(DOUBLING, *noisy(DOUBLING, curve, 0.01))
        assert np.isnan(hump_at(data))


def test_few_runs_have_wider_errors():
    """Two runs of four sizes, equally scattered: one relative spread, and Student's t on it."""
    mean = np.array([1.05, 1.25, 1.45, 1.55])
    found = read_heights(
        [8, 16, 32, 64], None, replicates=[m * np.array([0.95, 1.05]) for m in mean]
    )
    relative = found.errors / mean
    np.testing.assert_allclose(relative, relative[0])
    # d = 4 x 1 degrees of freedom and no more stand behind it, 1 at least.
    plain = 0.1 / np.sqrt(2) / np.sqrt(2)
    assert stdtrit(5, 0.975) / ndtri(0.975) <= relative[0] / plain
    assert relative[0] / plain <= stdtrit(1, 0.975) / ndtri(0.975)


@pytest.mark.parametrize(
    ("sizes", "heights", "errors", "expected"),
    [
        (DOUBLING, [-10, -9, -8, -7, -6, 0.01], 0.1 * np.ones(6), "heights must be positive"),
        (1 + 1e-13 * np.arange(1, 7), np.ones(6), 0.1 * np.ones(6), "too close"),
        ([8, 16, 32, np.inf], [1, 2, 3, 4], [1, 1, 1, 1], r"got \[inf\]"),
    ],
)
def test_what_cannot_be_judged_is_refused(sizes, heights, errors, expected):
    with pytest.raises(ValueError, match=expected):
        divergence_test(sizes, heights, errors)


@pytest.mark.parametrize("errors", [None, 1e-9])
def test_an_exact_power_is_answered(errors):
    sizes = np.exp2(np.arange(4.0, 13.0))
    found = divergence_test(sizes, np.sqrt(sizes), None if errors is None else errors * sizes)
    assert found.verdict in ("power-law", "divergent")
    assert "exponent" in found.summary()


@pytest.mark.parametrize(
    ("sizes", "options", "said"),
    [
        (1000 + np.arange(7.0), {}, "too close: over less than a factor of 1.05"),
        (np.arange(4.0, 11.0), {"errors": np.full(7, 1e-13)}, "rounding decides"),
        (np.arange(4.0, 11.0), {"draws": 200.5}, "whole number"),
        (np.arange(4.0, 11.0), {"covariance": np.full((7, 7), np.nan)}, "must be finite"),
    ],
)
def test_what_numbers_cannot_tell_is_refused(sizes, options, said):
    with pytest.raises(ValueError, match=said):
        divergence_test(sizes, 1 + np.log(np.arange(2.0, 9.0)), **options)


def test_few_sizes_with_right_errors_are_no_misfit():
    """Four sizes and four parameters: chi^2 of draws is nearly nothing."""
    sizes, refused = np.array([16, 32, 64, 128.0]), 0
    for seed in range(20):
        data = noisy(sizes, lambda L: 2 + 1.5 * np.log(L), 0.01, seed)
        refused += divergence_test(sizes, *data, draws=100).status != "ok"
    assert refused <= 2


@pytest.mark.parametrize("what", ["sizes", "heights", "errors"])
def test_a_masked_number_is_none(what):
    sizes = np.arange(4.0, 11.0)
    given = {"sizes": sizes, "heights": 1 + np.log(sizes), "errors": np.full(7, 0.01)}
    given[what] = np.ma.array(given[what], mask=np.arange(7) == 3)
    with pytest.raises(ValueError, match="nan"):
        divergence_test(**given)


class Fake:
    """One shape of each class; draws of the first class are `excess` above the best one or not."""

    margins = SimpleNamespace(penalty=0.0)

    kind = np.arange(4)

    def __init__(self, delta, excess):
        self.problem, self.score = self, np.array([delta, 0.0, 9.0, 9.0])
        self.excess = excess

    def fits(self, _):
        return self

    def best_of_classes(self):
        return self.score

    def of(self, kind):
        return np.array([kind])

    def curves(self, rows):
        return np.zeros((len(rows), 3))

    def noise(self, draws, _):
        return np.zeros((draws, 3))

    def scores(self, drawn):
        out = np.full((len(drawn), 4), 100.0)  # chi^2 itself says nothing of a class
        out[: len(drawn) // 4, 0] += self.excess
        return out


@pytest.mark.parametrize(("excess", "p"), [(6.0, (1 + 25) / 101), (4.0, 1 / 101)])
def test_a_p_value_counts_draws_that_far_above_their_best_class_and_the_data(excess, p):
    found = plausible(Fake(5.0, excess), np.zeros(3), draws=100, rng=np.random.default_rng(0))
    assert found.p_values[:2] == pytest.approx([p, 1])


def test_the_realised_level_is_that_of_the_class_of_the_best_fit():
    fake = Fake(5.0, 4.0)  # draws never come so far above the class that is best
    found = power.realised(fake, fake, 0.95, 100, np.random.default_rng(0))
    assert found["realised_level"] == 1


@pytest.mark.parametrize(("far", "named"), [(0.97, False), (1.03, True)])
def test_a_run_stands_off_beyond_what_the_others_foretell(far, named):
    """Student's prediction of one more run: s sqrt(1 + 1/n), for the largest of all runs."""
    others = np.array([0.9, 1.1, 0.9, 1.1])
    reach = others.std(ddof=1) * np.sqrt(1 + 1 / 4) * stdtrit(3, 1 - CARRIED / 2 / 5 / 4)
    runs = [np.append(others, 1 + far * reach), *[others] * 3]
    found = read_heights([8, 16, 32, 64], None, replicates=runs)
    assert any("carries the mean" in note for note in found.notes) is named


@pytest.mark.parametrize("kept", ["flat", "bounded", ""])
def test_an_exponent_is_detected_where_flat_and_bounded_are_both_excluded(kept, monkeypatch):
    y = DOUBLING**0.5
    setup = problem(DOUBLING, np.diag((0.02 * y) ** 2), Margins(), heights=y)
    draws = np.tile([name == kept or name == "power-law" for name in CLASSES], (10, 1))
    monkeypatch.setattr(power, "problem", lambda *_, **__: setup)
    monkeypatch.setattr(power, "kept_classes", lambda *_, **__: draws)
    found = power.detectable(setup.fits(y), level=0.95, draws=10, rng=np.random.default_rng(0))
    assert np.isnan(found) == bool(kept)


@pytest.mark.parametrize(("off", "used"), [(2.5, True), (3.5, False)])
def test_a_bound_below_the_heights_by_more_than_three_errors_is_not_used(off, used):
    data = read_heights(DOUBLING, 4 - 10 / DOUBLING, errors=np.full(6, 0.01))
    found = ceiling(data, data.heights[-1] - off * 0.01, Margins(), "L", DOUBLING)
    assert any("it was not used" in message for message in found.messages) is not used
