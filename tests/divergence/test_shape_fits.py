"""Shapes of the classes, and the kernel that fits them, against slow oracles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from heatcap.divergence import CLASSES, Margins
from heatcap.divergence.margins import BOUNDED, FLAT, LOGARITHMIC, POWER
from heatcap.divergence.plausible import problem
from heatcap.divergence.shapes import OMEGAS, shapes_of

PRIMES = np.array([19, 23, 29, 37, 43, 59, 73, 83, 97, 113.0])
DOUBLING = 2.0 ** np.arange(3, 9)


def noisy(sizes, curve, noise, seed=0):
    rng = np.random.default_rng(seed)
    h = curve(sizes)
    return h * (1 + noise * rng.normal(size=sizes.size)), noise * h


def set_up(sizes, errors, **margins):
    return problem(sizes, np.diag(np.asarray(errors) ** 2), Margins(**margins))


@pytest.mark.parametrize("sizes", [PRIMES, DOUBLING])
@pytest.mark.parametrize("curve", [lambda L: 1 + 0.5 * np.log(L), lambda L: 4 - 10 / L])
def test_every_fit_is_the_constrained_minimum_of_scipy(sizes, curve):
    """Oracle: SLSQP on (s, a, c = a b, u = a t) with the box and what b and t may be."""
    y, errors = noisy(sizes, curve, 0.02)
    setup = set_up(sizes, errors)
    fits, shapes, top = setup.fits(y), setup.shapes, y.max()
    rng, corrected = np.random.default_rng(1), [bool(row.omega) for row in shapes.rows]
    some = [rng.choice(np.flatnonzero(np.equal(corrected, each)), 25) for each in (True, False)]
    inside = 0
    for i in np.concatenate(some):
        box = np.clip(shapes.box[:, i] * top, -1e3, 1e3)
        low, high = shapes.box[4:, i]
        step = bool(shapes.d[i].any())
        design = np.array([np.ones_like(sizes), shapes.g[i], shapes.e[i], shapes.d[i]])

        def chi2(x, design=design):
            return np.sum(((y - x @ design) / errors) ** 2)

        sign = 1.0 if box[1] > 0 else -1.0
        ends = [(2, low, high)] * int(high > low) + [(3, 0.0, 1.0)] * int(step)
        limits = [
            {"type": "ineq", "fun": lambda x, k=k, end=end, s=s: s * (end * x[1] - x[k])}
            for k, *both in ends
            for s, end in zip((-sign, sign), both, strict=True)
        ]
        free = (-1e3, 1e3)
        bounds = [(box[2], box[3]), (box[0], box[1])]
        bounds += [free if high > low else (0, 0), free if step else (0, 0)]
        middle = [np.clip(y.mean(), *bounds[0]), np.clip(y.std(), *bounds[1]), 0.0, 0.0]
        a = fits.a[i]
        found = np.array([fits.s[i], a, a * fits.b[i], a * fits.t[i]])
        assert chi2(found) == pytest.approx(fits.chi2[i], rel=1e-7, abs=1e-7)
        tolerance = 1e-9 * (1 + np.abs(found).max())
        assert box[0] - tolerance <= a <= box[1] + tolerance
        assert box[2] - tolerance <= fits.s[i] <= box[3] + tolerance
        assert low - 1e-12 <= fits.b[i] <= high + 1e-12
        assert 0.0 <= fits.t[i] <= float(step) + 1e-12
        for start in (middle, found):
            best = minimize(
                chi2,
                start,
                method="SLSQP",
                bounds=bounds,
                constraints=limits,
                options={"ftol": 1e-13, "maxiter": 400},
            )
            # A search that did not end well may lie a little outside, where chi^2 is lower.
            outside = min((limit["fun"](best.x) for limit in limits), default=0.0)
            if outside >= -1e-12:
                assert fits.chi2[i] <= best.fun * (1 + 1e-3) + 1e-3
                inside += 1
    assert inside > 50  # of 100


def test_best_of_each_class_is_the_best_of_every_shape():
    """The pruned loop over many sets against the plain one over each."""
    rng = np.random.default_rng(0)
    y, errors = noisy(PRIMES, lambda L: 1 + 0.5 * np.log(L), 0.01)
    setup = set_up(PRIMES, errors)
    sets = y + errors * rng.normal(size=(20, 10)) * rng.uniform(0, 5, (20, 1))
    by_class = np.array([setup.fits(each).best_of_classes() for each in sets])
    np.testing.assert_allclose(setup.scores(sets), by_class, rtol=1e-9, atol=1e-7)


def test_chi2_of_a_covariance_is_that_of_its_curve():
    rng = np.random.default_rng(2)
    root = 0.05 * (np.eye(6) + 0.3 * rng.normal(size=(6, 6)))
    covariance = root @ root.T
    setup = problem(DOUBLING, covariance, Margins())
    y = 1 + 0.3 * DOUBLING**0.4
    fits = setup.fits(y)
    rest = y - fits.curves(np.arange(len(setup.shapes)))
    brute = np.array([r @ np.linalg.inv(covariance) @ r for r in rest])
    np.testing.assert_allclose(fits.chi2, brute, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("curve", "kind"),
    [
        (lambda L: 3 + 0 * L, FLAT),
        (lambda L: 4 - 10 / L, BOUNDED),
        (lambda L: 3 + 5 * L**-0.5, BOUNDED),
        (lambda L: 1 + 0.5 * np.log(L), LOGARITHMIC),
        (lambda L: 1 + np.log(L) ** 2 / 4, LOGARITHMIC),
        (lambda L: 1 + 0.3 * L**0.4, POWER),
        (lambda L: 1 + 0.3 * L, POWER),
        (lambda L: 2 + L**0.4 + 0.5 * (L / 8) ** -1.0, POWER),
    ],
)
def test_exact_heights_cost_their_class_nothing(curve, kind):
    y = curve(DOUBLING)
    setup = set_up(DOUBLING, 1e-3 * y, penalty=0.0)
    lowest = setup.fits(y).best_of_classes()
    assert lowest[kind] == pytest.approx(0.0, abs=1e-5)
    assert kind == FLAT or lowest[FLAT] > 100


def test_every_shape_belongs_to_its_class():
    """Far out: what is bounded stays within R times the heights, what is not leaves them."""
    sizes, far = DOUBLING, np.array([8.0, 1e90])
    shapes = shapes_of(sizes, Margins())
    out = shapes.at(far).g[:, 1]
    steps = shapes.at(np.array([1e40, 1e42])).g
    for row, g, (near, later) in zip(shapes.rows, out, steps, strict=True):
        if row.kind == BOUNDED:
            assert abs(g) < 0.5
            assert row.limit == (0.0, 1.25 if row.omega else 2.0)
        elif row.kind == POWER:
            kappa = np.log(later / near) / np.log(100)
            assert kappa == pytest.approx(row.parameters["kappa"], abs=1e-6)
            assert kappa >= 0.1 - 1e-9
        elif row.kind == LOGARITHMIC and row.limit[0] == -np.inf:
            assert np.log(later / near) / np.log(100) < 0.1
        elif row.kind == LOGARITHMIC:
            assert row.limit[0] == 2.0
    assert np.ptp(shapes.g, axis=1) == pytest.approx(1.0)
    assert {row.kind for row in shapes.rows} == set(range(len(CLASSES)))


def test_overshoots_have_their_extremum_inside_the_data():
    for row in shapes_of(PRIMES, Margins()).rows:
        if "overshoot" in row.family and row.kind == BOUNDED:
            known = row.further[0]
            assert known["p"] * known["xi"] <= PRIMES[-2] * (1 + 1e-12)
            assert row.growth[1] < 0


def test_corrections_die_away_from_one_at_the_smallest_size():
    shapes = shapes_of(PRIMES, Margins())
    seen = set()
    for row, e, box in zip(shapes.rows, shapes.e, shapes.box.T, strict=True):
        if row.omega:
            np.testing.assert_allclose(e, (PRIMES / 19) ** -row.omega)
            assert tuple(box[4:]) == (-0.3, 0.3)
            seen.add(row.omega)
    assert seen == set(OMEGAS)


def test_between_two_neighbours_lies_the_grid():
    """Every function of a chain is the end of a segment, at other sizes too."""
    shapes = shapes_of(PRIMES, Margins())
    longer = np.append(PRIMES, [200.0, 400.0])
    far = shapes.at(longer)
    np.testing.assert_allclose(far.g[:, :10], shapes.g)
    np.testing.assert_allclose(far.e[:, :10], shapes.e, atol=1e-12)
    for row, g, e, d in zip(far.rows, far.g, far.e, far.d, strict=True):
        if row.further is not None:
            other, step = row.further[1](longer), d if row.omega else e
            np.testing.assert_allclose(g + step, other / np.ptp(row.further[1](PRIMES)), rtol=1e-9)


@settings(max_examples=15)
@given(kappa=st.floats(0.1, 3.0), level=st.floats(0.5, 2.0))
def test_exponents_off_the_grid_are_fitted(kappa, level):
    y = level + PRIMES**kappa / np.ptp(PRIMES**kappa)
    lowest = set_up(PRIMES, 0.002 * y, correction=0.0).fits(y).best_of_classes()
    assert lowest[POWER] < 0.6


@settings(max_examples=15)
@given(kappa=st.floats(0.15, 1.0), b=st.floats(-0.25, 0.25))
def test_corrected_exponents_off_the_grid_are_fitted(kappa, b):
    growth = PRIMES**kappa / np.ptp(PRIMES**kappa)
    y = 3 + growth + b * (PRIMES / 19) ** -1.0
    lowest = set_up(PRIMES, 0.002 * y, penalty=0.0).fits(y).best_of_classes()
    assert lowest[POWER] < 0.1


def test_a_given_exponent_is_the_only_power_law():
    rows = shapes_of(PRIMES, Margins(), exponent=2.0).rows
    assert {row.parameters["kappa"] for row in rows if row.kind == POWER} == {2.0}


def test_no_correction_margin_no_corrections():
    assert not any(row.omega for row in shapes_of(PRIMES, Margins(correction=0.0)).rows)


@settings(max_examples=25)
@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 1000))
def test_units_of_the_height_do_not_matter(scale, seed):
    y, errors = noisy(DOUBLING, lambda L: 1 + 0.5 * np.log(L), 0.02, seed)
    plain = set_up(DOUBLING, errors).scores(y[np.newaxis])
    scaled = set_up(DOUBLING, scale * errors).scores(scale * y[np.newaxis])
    np.testing.assert_allclose(scaled, plain, rtol=1e-6, atol=1e-6)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), shift=st.floats(-3, 3))
def test_more_shapes_never_fit_worse(seed, shift):
    """Corrections and wider margins only add to the classes that they widen."""
    y, errors = noisy(DOUBLING, lambda L: 4 + shift / L + 0.1 * np.log(L), 0.02, seed)
    less = set_up(DOUBLING, errors, correction=0.0).scores(y[np.newaxis])[0]
    more = set_up(DOUBLING, errors, penalty=0.0).scores(y[np.newaxis])[0]
    dearer = set_up(DOUBLING, errors, penalty=4.0).scores(y[np.newaxis])[0]
    assert np.all(more <= less + 1e-7)
    assert np.all(more <= dearer + 1e-7)
    assert np.all(dearer <= less + 1e-7)
    wide = set_up(DOUBLING, errors, correction=0.0, saturation_ratio=3.0).scores(y[np.newaxis])[0]
    assert wide[BOUNDED] <= less[BOUNDED] + 1e-7
    assert wide[LOGARITHMIC] >= less[LOGARITHMIC] - 1e-7


def test_margins_out_of_range_are_refused():
    with pytest.raises(ValueError, match="kappa_min must be finite and above 0"):
        Margins(kappa_min=0.0)
    with pytest.raises(ValueError, match="saturation_ratio must be finite and above 1"):
        Margins(saturation_ratio=1.0)
    with pytest.raises(ValueError, match="smallest_effect must be below"):
        Margins(smallest_effect=0.6)
    assert Margins(penalty=0.0, correction=0.0).to_dict()["penalty"] == 0.0
