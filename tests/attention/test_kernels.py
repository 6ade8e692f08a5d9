"""The kernels against exact cases, identities away from beta = 1, and slow oracles."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from heatcap.attention import heat_capacity_bound
from heatcap.attention.arithmetic import angle, exp2, exp2m1, ln
from heatcap.attention.blocks import ROWS, gather
from heatcap.attention.distances import fisher_distance
from heatcap.attention.kernels import FLUCTUATING, ROW_COLUMNS, row_observables
from heatcap.attention.moments import Subsets, TableMoments, table_heat_capacities, table_moments

import oracles

BETAS = st.floats(0.05, 20.0)
WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 16, 31, 64, 128, 129, 300)


def rows_of(logits, beta=1.0):
    return dict(zip(ROW_COLUMNS, row_observables(np.atleast_2d(logits), beta), strict=True))


def logit_rows(max_keys=9, scale=30.0, masked=True):
    """Rows (row, key) of float64 with some absent keys, one always visible."""

    @st.composite
    def draw_rows(draw):
        shape = draw(st.integers(1, 5)), draw(st.integers(1, max_keys))
        s = draw(arrays(np.float64, shape, elements=st.floats(-scale, scale, width=32)))
        if masked:
            absent = draw(arrays(np.bool_, shape))
            absent[:, draw(st.integers(0, shape[1] - 1))] = False
            s = np.where(absent, -np.inf, s)
        return s

    return draw_rows()


def assert_rows_agree(logits, beta=1.0, rtol=1e-10):
    """Against the oracle, relative to what is added up where a quantity may cross zero."""
    logits = np.atleast_2d(logits)
    found, slow = rows_of(logits, beta), oracles.row_observables(logits, beta)
    c = slow["heat_capacity"]
    size = np.abs(np.where(np.isfinite(logits), logits, 0.0)).max(-1) + 1 / beta
    floor = {
        "free_energy": size,
        "energy": size,
        "mean_energy": size,
        "energy_above_mean": size,
        "third_cumulant": oracle_size(logits, beta, 3),
        "fourth_cumulant": oracle_size(logits, beta, 4) + 3 * c**2,
    }
    for name in ROW_COLUMNS:
        allowed = rtol * np.maximum(np.abs(slow[name]), floor.get(name, 0.0))
        allowed = allowed + np.finfo(float).tiny  # below it numbers lose their digits
        assert np.all(np.abs(found[name] - slow[name]) <= allowed), name


def oracle_size(logits, beta, power):
    """Sum of p |beta (E - U)|^power: what a central moment is made of."""
    s = np.asarray(logits, dtype=np.float64)
    level = np.where(np.isfinite(s), s.max(-1, keepdims=True) - s, 0.0)
    p = np.where(np.isfinite(s), np.exp(-beta * level), 0.0)
    p = p / p.sum(-1, keepdims=True)
    return (p * np.abs(beta * (level - (p * level).sum(-1, keepdims=True))) ** power).sum(-1)


# --- exact cases ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("beta", [0.3, 1.0, 2.5])
def test_two_levels(n, beta):
    """One key above n - 1 equal ones: the Schottky system."""
    gap = 1.75
    found = rows_of(np.r_[0.5 + gap, np.full(n - 1, 0.5)], beta)
    w = (n - 1) * math.exp(-beta * gap)
    p = w / (1 + w)
    exact = {
        "free_energy": -0.5 - gap - math.log1p(w) / beta,
        "energy": -0.5 - gap + gap * p,
        "entropy": math.log1p(w) + beta * gap * p,
        "heat_capacity": (beta * gap) ** 2 * p * (1 - p),
        "third_cumulant": (beta * gap) ** 3 * p * (1 - p) * (1 - 2 * p),
        "fourth_cumulant": (beta * gap) ** 4 * p * (1 - p) * (1 - 6 * p * (1 - p)),
        "participation_ratio": (1 + w) ** 2 / (1 + w * math.exp(-beta * gap)),
        "max_probability": 1 / (1 + w),
        "visible_keys": n,
        "mean_energy": -0.5 - gap / n,
        "energy_above_mean": -gap + gap / n + gap * p,
    }
    for name, value in exact.items():
        size = max(1.0, exact["heat_capacity"]) ** 2  # the fourth cumulant crosses zero
        assert found[name][0] == pytest.approx(value, rel=1e-11, abs=1e-12 * size), name


@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("level", [0.0, -1e4, 3.25])
def test_uniform_row(n, level):
    found = rows_of(np.full(n, level), 1.7)
    assert found["entropy"][0] == pytest.approx(math.log(n), rel=1e-14)
    assert found["participation_ratio"][0] == pytest.approx(n, rel=1e-14)
    assert found["max_probability"][0] == pytest.approx(1 / n, rel=1e-14)
    for name in ("heat_capacity", "third_cumulant", "fourth_cumulant", "energy_above_mean"):
        assert found[name][0] == 0.0
    assert found["energy"][0] == found["mean_energy"][0] == -level


@pytest.mark.parametrize("level", [0.0, 1e4, -1e4, 0.1])
@pytest.mark.parametrize("keys", [1, 3, 7])
def test_one_visible_key_has_neither_entropy_nor_heat_capacity(level, keys):
    row = np.full((1, keys), -np.inf, dtype=np.float32)
    row[0, keys // 2] = level
    found = rows_of(row, 0.7)
    for name in ("entropy", "heat_capacity", "third_cumulant", "fourth_cumulant"):
        assert found[name][0] == 0.0
    assert found["free_energy"][0] == found["energy"][0] == -np.float32(level)
    assert found["participation_ratio"][0] == found["max_probability"][0] == 1.0
    assert found["visible_keys"][0] == 1.0


# --- oracle ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("rows", [1, 3, 64, 67, 200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_oracle_over_shapes(n, rows, dtype):
    """All remainders of the blocks: 64 rows, 128 keys, squares of 4 x 4."""
    rng = np.random.default_rng(n * rows)
    logits = rng.normal(scale=4.0, size=(rows, n)).astype(dtype)
    logits[rng.random((rows, n)) < 0.2] = -np.inf
    logits[:, n // 3] = 1.0
    assert_rows_agree(logits, beta=0.8)


@given(logit_rows(), BETAS)
def test_oracle(logits, beta):
    assert_rows_agree(logits, beta)


@pytest.mark.parametrize("offset", [1e4, -1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_oracle_at_large_logits(offset, dtype):
    rng = np.random.default_rng(1)
    assert_rows_agree((offset + rng.normal(size=(50, 9))).astype(dtype), 1.3)
    assert_rows_agree(rng.uniform(-1e4, 1e4, size=(50, 9)).astype(dtype), 0.01)
    assert_rows_agree(rng.uniform(-1e4, 1e4, size=(50, 9)).astype(dtype), 1.0)


@pytest.mark.parametrize("gap", [10.0, 40.0, 200.0, 600.0])
def test_oracle_in_nearly_frozen_rows(gap):
    """Entropy and heat capacity keep their digits where 1 + exp(-gap) is 1 in double precision."""
    rng = np.random.default_rng(2)
    logits = rng.uniform(0, 3, size=(40, 5))
    logits[:, 1] += gap
    assert rows_of(logits)["entropy"].max() < 0.2
    assert_rows_agree(logits)


def test_oracle_in_the_worst_gauge():
    """All weight far below the largest logit, whose probability is 1/n."""
    n = 2000
    logits = np.full((3, n), -1e-3)
    logits[:, 0] = 0.0
    logits[:, 1::2] -= 1e-5 * np.arange(n // 2)
    assert_rows_agree(logits, 1.0)


def test_keys_too_improbable_for_a_double_count_as_nothing():
    found = rows_of(np.array([0.0, -800.0, -1e30]))
    assert found["entropy"][0] == found["heat_capacity"][0] == 0.0
    assert found["visible_keys"][0] == 3.0


# --- identities -----------------------------------------------------------------------------------


@given(logit_rows(), BETAS)
def test_thermodynamic_identities(logits, beta):
    found = rows_of(logits, beta)
    size = np.abs(found["energy"]) + np.abs(found["free_energy"]) + 1 / beta
    legendre = found["energy"] - found["entropy"] / beta
    assert np.all(np.abs(found["free_energy"] - legendre) <= 1e-12 * size)
    p = oracles.probabilities(logits, beta)
    log_p = np.log(np.where(p > 0, p, 1.0))
    mean = (p * log_p).sum(-1, keepdims=True)
    surprisal = (p * (log_p - mean) ** 2).sum(-1)
    np.testing.assert_allclose(found["heat_capacity"], surprisal, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(found["entropy"], -mean[:, 0], rtol=1e-9, atol=1e-13)


@given(logit_rows(scale=5.0), st.floats(0.2, 4.0))
def test_derivatives(logits, beta):
    """U = d(beta F)/d beta, C = dU/dT, and the cumulants are derivatives of ln Z."""
    h = 1e-4 * beta
    up, down, here = rows_of(logits, beta + h), rows_of(logits, beta - h), rows_of(logits, beta)
    slope = ((beta + h) * up["free_energy"] - (beta - h) * down["free_energy"]) / (2 * h)
    np.testing.assert_allclose(slope, here["energy"], atol=3e-6)
    temperature = 1 / (beta + h) - 1 / (beta - h)
    rise = (up["energy"] - down["energy"]) / temperature
    scale = 1 + here["heat_capacity"].max()
    np.testing.assert_allclose(rise, here["heat_capacity"], atol=1e-4 * scale)
    # d^3 ln Z / d beta^3 of -E is -kappa_3(E), and so on: differences of Var E and kappa_3.
    spread = {b: r["heat_capacity"] / b**2 for b, r in ((beta + h, up), (beta - h, down))}
    third = -(spread[beta + h] - spread[beta - h]) / (2 * h) * beta**3
    np.testing.assert_allclose(here["third_cumulant"], third, atol=2e-5 * (1 + scale) ** 3)
    skew = [r["third_cumulant"] / b**3 for b, r in ((beta + h, up), (beta - h, down))]
    fourth = -(skew[0] - skew[1]) / (2 * h) * beta**4
    np.testing.assert_allclose(here["fourth_cumulant"], fourth, atol=2e-5 * (1 + scale) ** 4)


@given(logit_rows(), BETAS, st.integers(-1000, 1000))
def test_gauge(logits, beta, shift):
    before, after = rows_of(logits, beta), rows_of(logits - shift, beta)
    for name in ("free_energy", "energy", "mean_energy"):
        np.testing.assert_allclose(after[name], before[name] + shift, rtol=1e-11, atol=1e-9)
    for name in ("entropy", "heat_capacity", "participation_ratio", "energy_above_mean"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-7, atol=1e-9)


@given(logit_rows(), BETAS, st.randoms(use_true_random=False))
def test_keys_are_interchangeable(logits, beta, random):
    order = list(range(logits.shape[1]))
    random.shuffle(order)
    before, after = rows_of(logits, beta), rows_of(logits[:, order], beta)
    for name in ROW_COLUMNS:
        scale = 1e-12 * (1 + np.abs(logits[np.isfinite(logits)]).max() * beta) ** 4
        np.testing.assert_allclose(after[name], before[name], rtol=1e-9, atol=scale, err_msg=name)


@given(logit_rows(masked=False), BETAS, st.data())
def test_masked_keys_are_deleted_keys(logits, beta, data):
    at = data.draw(st.integers(0, logits.shape[1]))
    masked = np.insert(logits, at, -np.inf, axis=1)
    np.testing.assert_allclose(
        row_observables(masked, beta), row_observables(logits, beta), rtol=1e-13, atol=1e-11
    )


@given(logit_rows(max_keys=6, masked=False), BETAS, st.data())
def test_softmax_minimises_the_helmholtz_functional(logits, beta, data):
    """F[q] - F[p] = T KL(q || p) >= 0 for any distribution q over the keys."""
    n = logits.shape[1]
    weight = data.draw(arrays(np.float64, n, elements=st.floats(1e-3, 1.0)))
    q = weight / weight.sum()
    functional = -(q * logits).sum(-1) + (q * np.log(q)).sum() / beta
    excess = functional - rows_of(logits, beta)["free_energy"]
    size = 1e-12 * (np.abs(logits).max() + 1 / beta)
    assert np.all(excess >= -size)
    log_p = beta * logits - np.logaddexp.reduce(beta * logits, axis=-1)[:, None]
    divergence = (q * (np.log(q) - log_p)).sum(-1)
    np.testing.assert_allclose(excess, divergence / beta, rtol=1e-9, atol=10 * size)


@given(logit_rows(max_keys=12), BETAS)
def test_no_row_exceeds_the_bound(logits, beta):
    found = rows_of(logits, beta)
    assert np.all(found["heat_capacity"] <= heat_capacity_bound(found["visible_keys"]) + 1e-12)


# --- input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [3, 4])
def test_defects_are_found_among_absent_keys(keys):
    logits = np.zeros((10, keys), np.float32)
    logits[:, 0] = -np.inf
    logits[4, 1], logits[6, 2] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"^2 of 10 rows are NaN"):
        row_observables(logits)


def test_float16_is_taken_at_its_value():
    half = np.random.default_rng(3).normal(size=(5, 4)).astype(np.float16)
    np.testing.assert_array_equal(row_observables(half), row_observables(half.astype(np.float32)))


def test_any_layout_gives_the_same():
    logits = np.random.default_rng(4).normal(size=(7, 10)).astype(np.float32)
    expected = row_observables(np.ascontiguousarray(logits[::2, ::3]))
    np.testing.assert_array_equal(row_observables(logits[::2, ::3]), expected)


def test_result_goes_where_asked():
    logits = np.zeros((3, 2), np.float32)
    out = np.full((len(ROW_COLUMNS), 3), np.nan)
    assert row_observables(logits, 1.0, out) is out
    assert np.all(np.isfinite(out))


@pytest.mark.parametrize("defect", [np.nan, np.inf, "masked"])
@pytest.mark.parametrize("keys", [1, 3, 6, 200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_defective_rows_are_counted(defect, keys, dtype):
    logits = np.zeros((100, keys), dtype)
    for row in (7, 99):
        logits[row, keys - 1] = -np.inf if defect == "masked" else defect
        if defect == "masked":
            logits[row] = -np.inf
    with pytest.raises(ValueError, match=r"^2 of 100 rows are NaN, \+inf or fully masked"):
        row_observables(logits)
    with pytest.raises(ValueError, match=r"^2 of 100 rows are NaN, \+inf or fully masked"):
        table_moments(logits[None], Subsets.of(np.ones((1, 100))))


@pytest.mark.parametrize("beta", [0.0, -1.0, np.nan, np.inf])
def test_beta_must_be_positive(beta):
    with pytest.raises(ValueError, match="beta must be positive and finite, got"):
        row_observables(np.zeros((1, 2)), beta)


def test_shape_is_checked():
    with pytest.raises(
        ValueError, match=r"logits must have 2 dimensions, the last not empty: \(3,\)"
    ):
        row_observables(np.zeros(3))
    with pytest.raises(ValueError, match=r"of these subsets has 12 rows \(probe x query\), got 5"):
        table_moments(np.zeros((1, 5, 3)), Subsets.of(np.ones((1, 6)), queries=2))


# --- tables ---------------------------------------------------------------------------------------


def three_subsets(probe, seed=0):
    trained = np.random.default_rng(seed).random(probe) < 0.6
    return np.stack([np.ones(probe, bool), trained, ~trained])


def assert_table_agrees(logits, beta, selection, rtol=1e-10):
    """One table (probe, key): every subset against the oracle on those inputs alone."""
    found = table_heat_capacities(table_moments(logits[None], Subsets.of(selection), beta), beta)
    for s, members in enumerate(selection):
        slow = oracles.heat_capacities(logits[members], beta)
        for name, value in slow.items():
            assert found[name][0, s, 0] == pytest.approx(value, rel=rtol, abs=1e-13), name


@pytest.mark.parametrize("keys", [1, 2, 3, 5, 16, 150])
@pytest.mark.parametrize("probe", [2, 63, 64, 65, 300])
@pytest.mark.parametrize("masked", [False, True])
def test_tables_against_the_oracle(keys, probe, masked):
    rng = np.random.default_rng(probe + keys)
    logits = rng.normal(scale=2.0, size=(probe, keys)).astype(np.float32)
    if masked:
        logits[rng.random(logits.shape) < 0.3] = -np.inf
        logits[:, -1] = rng.normal(size=probe)
    selection = three_subsets(probe)
    selection[1, 0], selection[2, 1] = True, True
    assert_table_agrees(logits, 1.6, selection)


@pytest.mark.parametrize("offsets", [[1.0, -0.5, 1.0], [1.0, 1.0, 1.0]])
def test_small_variances_survive_large_offsets(offsets):
    """Offsets of 1e4 and variances of 1e-3 and less, between the keys as well."""
    rng = np.random.default_rng(5)
    logits = 1e4 * np.array(offsets) + rng.normal(scale=0.03, size=(500, 3))
    assert_table_agrees(logits, 0.9, three_subsets(500), rtol=1e-8)
    assert_table_agrees(logits.astype(np.float32), 0.9, three_subsets(500), rtol=1e-8)


@given(logit_rows(), BETAS)
def test_total_is_the_weighted_variance_over_inputs_and_keys(logits, beta):
    """Law of total variance: canonical + landscape = Var of E under p(x, j) = p_j(x) / m."""
    found = table_heat_capacities(
        table_moments(logits[None], Subsets.of(np.ones(len(logits))), beta), beta
    )
    p = oracles.probabilities(logits, beta) / len(logits)
    energy = np.where(np.isfinite(logits), -logits, 0.0)
    mean = (p * energy).sum()
    direct = beta**2 * (p * (energy - mean) ** 2).sum()
    assert found["total_heat_capacity"][0, 0, 0] == pytest.approx(direct, rel=1e-9, abs=1e-9)


def test_unweighted_is_offset_plus_the_variance_within_keys():
    rng = np.random.default_rng(6)
    logits = rng.normal(size=(1, 400, 5)) + 3 * np.arange(5)
    logits[0, :100, 4] = -np.inf
    moments = table_moments(logits, Subsets.of(np.ones(400)))
    found = table_heat_capacities(moments)
    energy = [-logits[0, np.isfinite(logits[0, :, j]), j] for j in range(5)]
    within = sum(len(e) * e.var() for e in energy) / sum(len(e) for e in energy)
    difference = found["unweighted_heat_capacity"] - found["offset_heat_capacity"]
    assert difference[0, 0, 0] == pytest.approx(within, rel=1e-12)


def test_averages_are_those_of_the_rows():
    logits = np.random.default_rng(7).normal(size=(2, 50, 4)).astype(np.float32)
    selection = three_subsets(50)
    found = table_heat_capacities(table_moments(logits, Subsets.of(selection), 1.4), 1.4)
    for t in range(2):
        rows = rows_of(logits[t], 1.4)
        rows["fisher_information"] = rows["heat_capacity"] / 1.4**2
        for s, members in enumerate(selection):
            for name in set(ROW_COLUMNS) - {"mean_energy", "energy_above_mean"}:
                expected = rows[name][members].mean()
                assert found[name][t, s, 0] == pytest.approx(expected, rel=1e-12), name
            expected = rows["fisher_information"][members].mean()
            assert found["fisher_information"][t, s, 0] == pytest.approx(expected, rel=1e-12)


def test_queries_are_kept_apart():
    rng = np.random.default_rng(8)
    logits = rng.normal(size=(3, 40, 4, 4)).astype(np.float32)
    logits[..., np.triu_indices(4, 1)[0], np.triu_indices(4, 1)[1]] = -np.inf
    selection = three_subsets(40)
    found = table_heat_capacities(table_moments(logits, Subsets.of(selection, queries=4)))
    for q in range(4):
        alone = table_heat_capacities(
            table_moments(np.ascontiguousarray(logits[:, :, q]), Subsets.of(selection))
        )
        for name, values in alone.items():
            np.testing.assert_allclose(
                found[name][..., q], values[..., 0], rtol=1e-13, err_msg=name
            )
    assert np.all(found["heat_capacity"][..., 0] == 0.0)
    np.testing.assert_array_equal(found["visible_keys"], np.broadcast_to([1.0, 2, 3, 4], (3, 3, 4)))


@settings(max_examples=50)
@given(st.data())
def test_parts_of_a_probe_merge_to_the_whole(data):
    probe, keys = data.draw(st.integers(2, 150)), data.draw(st.integers(1, 6))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    offset = data.draw(st.sampled_from([0.0, 100.0, 1e4]))
    logits = offset + rng.normal(scale=2.0, size=(2, probe, 2, keys))
    logits[:, : probe // 2, :, -1] = -np.inf if keys > 1 else 0.0
    selection = three_subsets(probe)
    cuts = sorted(data.draw(st.lists(st.integers(0, probe), max_size=3)))
    whole = table_moments(logits, Subsets.of(selection, 2), 0.7)
    parts: list[TableMoments] = []
    for a, b in zip([0, *cuts], [*cuts, probe], strict=True):
        parts.append(table_moments(logits[:, a:b], Subsets.of(selection[:, a:b], 2), 0.7))
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    want, have = (table_heat_capacities(m, 0.7, 10_000) for m in (whole, merged))
    for name in want:
        # m4 - s^4 may vanish under the root of an error
        size = 1.0 + np.nanmax(want["landscape_heat_capacity"])
        atol = 1e-7 * size if name.endswith("_error") else 1e-12
        np.testing.assert_allclose(have[name], want[name], rtol=1e-10, atol=atol, err_msg=name)
    np.testing.assert_allclose(
        merged.spread[..., :2], whole.spread[..., :2], rtol=1e-11, atol=1e-12
    )
    for power in (2, 3, 4):
        size = whole.spread[..., 4:] ** (power / 4) * whole.spread[..., :1] ** (1 - power / 4)
        error = np.abs(merged.spread[..., power] - whole.spread[..., power])
        assert np.all(error <= 1e-10 * size[..., 0] + 1e-12)


def test_merging_needs_the_same_tables():
    a = table_moments(np.zeros((1, 3, 2)), Subsets.of(np.ones(3)))
    b = table_moments(np.zeros((2, 3, 2)), Subsets.of(np.ones(3)))
    with pytest.raises(ValueError, match="moments of the same tables must have the same shape"):
        a.merge(b)


def test_an_empty_subset_is_nan():
    selection = np.array([[True] * 9, [False] * 9])
    moments = table_moments(np.random.default_rng(9).normal(size=(1, 9, 3)), Subsets.of(selection))
    for population in (0, 9, 100):
        for name, values in table_heat_capacities(moments, 1.0, population).items():
            assert np.isnan(values[0, 1, 0]), name
            assert np.isfinite(values[0, 0, 0]), name


def test_no_subset_has_inputs():
    moments = table_moments(np.zeros((1, 4, 3)), Subsets.of(np.zeros((2, 4), bool)))
    assert all(np.isnan(v).all() for v in table_heat_capacities(moments).values())


# --- standard errors ------------------------------------------------------------------------------


def sample_of(energies, beta=1.0, population=0, members=None):
    """Errors of a probe whose rows are (E, E + 1): equal C, row energies that follow E."""
    levels = -np.stack([energies, energies + 1.0], -1)
    chosen = np.ones((1, len(energies)), bool) if members is None else members
    moments = table_moments(levels[None], Subsets.of(chosen), beta)
    return table_heat_capacities(moments, beta, population)


@pytest.mark.parametrize("population", [0, 100, 40])
def test_standard_errors_by_hand(population):
    rng = np.random.default_rng(10)
    m = 40
    logits = rng.normal(scale=2.0, size=(m, 3))
    row = oracles.row_observables(logits, 1.5)
    moments = table_moments(logits[None], Subsets.of(np.ones(m)), 1.5)
    found = table_heat_capacities(moments, 1.5, population)
    kept = math.sqrt(1 - m / population) if population else 1.0
    by_hand = row["heat_capacity"].std(ddof=1) / math.sqrt(m) * kept
    assert found["heat_capacity_error"][0, 0, 0] == pytest.approx(by_hand, rel=1e-10)
    for name, column in (("", "energy"), ("_fixed", "energy_above_mean")):
        d = row[column] - row[column].mean()
        error = math.sqrt(((d**4).mean() - (d**2).mean() ** 2) / m) * kept * 1.5**2
        value = found[f"landscape_heat_capacity{name}_error"][0, 0, 0]
        assert value == pytest.approx(error, rel=1e-10)
        if population == m:
            assert value == 0.0


@pytest.mark.parametrize("m", [1, 2, 30])
def test_the_whole_population_has_no_sampling_error(m):
    logits = np.random.default_rng(m).normal(size=(1, m, 3))
    members = np.ones((2, m), bool)
    members[1, 1:] = False
    found = table_heat_capacities(table_moments(logits, Subsets.of(members)), 1.0, m)
    for name in ("heat_capacity", *(f"landscape_heat_capacity{x}" for x in ("", "_fixed"))):
        assert np.all(found[f"{name}_error"] == 0.0)


def test_subsets_share_the_fraction_of_the_probe():
    energies = np.random.default_rng(11).normal(size=60)
    members = three_subsets(60)
    free, finite = (sample_of(energies, 1.0, size, members) for size in (0, 80))
    for name in ("heat_capacity_error", "landscape_heat_capacity_error"):
        np.testing.assert_allclose(finite[name], free[name] * math.sqrt(1 - 60 / 80), rtol=1e-12)
    part = table_moments(-energies[None, :, None] * [1.0, 2.0], Subsets.of(members[1:2]))
    told = table_heat_capacities(part, 1.0, 80, inputs=60)["landscape_heat_capacity_error"]
    untold = table_heat_capacities(part, 1.0, 0)["landscape_heat_capacity_error"]
    np.testing.assert_allclose(told, untold * math.sqrt(1 - 60 / 80), rtol=1e-12)


@pytest.mark.parametrize("population", [0, 400])
def test_standard_errors_cover(population):
    """z-scores of many probes have unit variance: both ends are held."""
    rng = np.random.default_rng(12)
    pool = rng.normal(scale=1.5, size=(population or 200_000, 3))
    exact = {
        "heat_capacity": oracles.row_observables(pool)["heat_capacity"].mean(),
        "landscape_heat_capacity": oracles.row_observables(pool)["energy"].var(),
        "landscape_heat_capacity_fixed": oracles.row_observables(pool)["energy_above_mean"].var(),
    }
    draws, m = 600, 200
    picks = np.stack([rng.choice(len(pool), m, replace=False) for _ in range(draws)])
    found = table_heat_capacities(
        table_moments(pool[picks], Subsets.of(np.ones(m))), 1.0, population
    )
    for name, truth in exact.items():
        z = (found[name] - truth) / found[f"{name}_error"]
        assert 0.85 < z.std() < 1.15, name


@pytest.mark.parametrize(
    ("population", "message"),
    [(-1, "population must be 0"), (5, "a probe of 9 inputs cannot come from a population of 5")],
)
def test_impossible_populations(population, message):
    with pytest.raises(ValueError, match=message):
        sample_of(np.arange(9.0), population=population)


# --- subsets --------------------------------------------------------------------------------------


@given(arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 30))), st.integers(1, 3))
def test_subsets_sort_the_probe(selection, queries):
    subsets = Subsets.of(selection, queries)
    rows = [[] for _ in selection]
    for segment in range(len(subsets.starts) - 1):
        members = subsets.order[subsets.starts[segment] : subsets.starts[segment + 1]]
        assert np.all(members % queries == segment % queries)
        for s in np.flatnonzero(subsets.membership[:, segment // queries]):
            rows[s].extend(members)
    for own, chosen in zip(rows, selection, strict=True):
        expected = np.flatnonzero(np.repeat(chosen, queries))
        np.testing.assert_array_equal(sorted(own), expected)


def test_subsets_have_two_dimensions():
    with pytest.raises(ValueError, match=r"selection must have shape \(subset, probe\), got"):
        Subsets.of(np.ones((1, 2, 3)))


def test_fluctuating_columns_are_columns():
    assert set(FLUCTUATING) <= set(ROW_COLUMNS)


# --- geometry -------------------------------------------------------------------------------------


@given(st.data(), BETAS)
def test_distance_against_the_oracle(data, beta):
    a = data.draw(logit_rows())
    b = data.draw(arrays(np.float64, a.shape, elements=st.floats(-30, 30, width=32)))
    b = np.where(np.isfinite(a), b, -np.inf)
    found = fisher_distance(a, b, beta)
    np.testing.assert_allclose(found, oracles.fisher_distance(a, b, beta), atol=1e-6)
    chord = np.sqrt(oracles.probabilities(a, beta)) - np.sqrt(oracles.probabilities(b, beta))
    half = np.minimum(np.sqrt((chord**2).sum(-1)) / 2, math.sqrt(0.5))
    np.testing.assert_allclose(found, 4 * np.arcsin(half), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("step", [1e-2, 1e-5, 1e-8, 1e-11])
@pytest.mark.parametrize("offset", [0.0, 64.0])
def test_small_distances_are_the_fisher_metric(step, offset):
    """d -> sqrt(Var_p E) d beta for a small change of temperature."""
    s = np.random.default_rng(13).integers(-8, 8, size=(70, 5)) / 4.0
    found = fisher_distance(s, s * (1 + step) + offset)
    metric = np.sqrt(oracles.row_observables(s)["heat_capacity"]) * step
    np.testing.assert_allclose(found, metric, rtol=3 * step + 1e-13, atol=2e-16 * (1 + offset))


@pytest.mark.parametrize("exponent", [-10, -20, -30])
def test_tiny_distances_keep_their_digits(exponent):
    """Two keys move apart, exactly in the logits: d = gd(x / 2), about x / 2."""
    x = 0.7 * 2.0**exponent
    found = fisher_distance(np.zeros((1, 2)), np.array([[x, 0.0]]))[0]
    assert found == pytest.approx(math.atan(math.sinh(x / 2)), rel=1e-11, abs=0)


def test_large_distances():
    far = np.array([[0.0, -2000.0], [-2000.0, 0.0], [0.0, -1e30]])
    np.testing.assert_allclose(fisher_distance(far, far[:, ::-1]), math.pi, rtol=1e-15)
    assert np.all(fisher_distance(far, far) == 0.0)


@pytest.mark.parametrize("keys", [1, 3, 130])
def test_distance_over_blocks(keys):
    rng = np.random.default_rng(14)
    a, b = rng.normal(size=(2, 150, keys)).astype(np.float32)
    np.testing.assert_allclose(fisher_distance(a, b), oracles.fisher_distance(a, b), atol=3e-8)
    np.testing.assert_array_equal(fisher_distance(a, b), fisher_distance(b, a))
    np.testing.assert_allclose(
        fisher_distance(a, b.astype(np.float64)), fisher_distance(a, b), rtol=1e-13
    )


def test_distance_needs_the_same_keys():
    a = np.zeros((3, 2))
    b = np.array([[0.0, 0.0], [0.0, -np.inf], [0.0, 0.0]])
    with pytest.raises(ValueError, match=r"^1 of 3 pairs of rows do not see the same keys"):
        fisher_distance(a, b)
    with pytest.raises(ValueError, match=r"must have the same shape, got \(3, 2\) and \(3, 1\)"):
        fisher_distance(a, b[:, :1])
    b[1] = np.nan
    with pytest.raises(ValueError, match=r"^1 of 6 rows are NaN, \+inf or fully masked"):
        fisher_distance(a, b)


@pytest.mark.parametrize("square", [0.0, 1e-30, 1e-6, 0.1, 1.0, 1.9999, 2.0])
def test_the_angle_of_a_chord(square: float) -> None:
    assert angle(square) == pytest.approx(4 * math.asin(math.sqrt(square) / 2), rel=2e-14)


# --- import ---------------------------------------------------------------------------------------


def test_ensemble_loads_without_numba():
    code = "import sys, heatcap.attention; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_read_only_rows_are_taken() -> None:
    a, b = np.broadcast_to(np.float32([0.0, 1.0]), (4, 2)), np.zeros((4, 2), np.float32)
    assert not a.flags.writeable
    np.testing.assert_allclose(fisher_distance(a, b), fisher_distance(a.copy(), b))
    np.testing.assert_allclose(row_observables(a), row_observables(a.copy()))


USER_OF_KERNELS = """
import sys
import numpy as np
from heatcap.attention.distances import fisher_distance
from heatcap.attention.kernels import row_observables
from heatcap.attention.moments import Subsets, table_moments

def rows():
    return row_observables(logits).sum()
def tables():
    return sum(a.sum() for a in table_moments(logits[None], every)._arrays())
def distances():
    return fisher_distance(logits, logits[::-1].copy()).sum()

logits = np.random.default_rng(0).normal(size=(70, 5)).astype(np.float32)
every = Subsets.of(np.ones((1, 70), bool))
logits[:, 3:] = -np.inf
ways = [rows, tables, distances]
turn = int(sys.argv[1])
found = {way.__name__: way() for way in ways[turn:] + ways[:turn]}
print(*(f"{found[way.__name__]:.12g}" for way in ways))
"""


@pytest.mark.slow
def test_processes_that_compile_at_once_leave_a_right_cache(tmp_path):
    """Three processes on a cold cache, each in another order, and one that loads what they left."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def start(turn):
        command = [sys.executable, "-c", USER_OF_KERNELS, str(turn)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    said = [process.communicate()[0] for process in [start(turn) for turn in (0, 1, 2)]]
    said += [start(turn).communicate()[0] for turn in (0, 1)]
    assert len(set(said)) == 1
    assert len(said[0].split()) == 3


def test_each_type_of_logits_is_compiled_once():
    """Every way to the kernels meets the signatures that were compiled under the lock."""
    from heatcap.attention import distances
    from heatcap.attention import kernels as _kernels

    for dtype in (np.float32, np.float64):
        logits = np.random.default_rng(1).normal(size=(2, 6, 3, 4)).astype(dtype)
        for selection in (np.ones((1, 6), bool), np.eye(6, dtype=bool)[:2], np.zeros((1, 6), bool)):
            moments = table_moments(logits, Subsets.of(selection, 3))
            table_heat_capacities(moments.merge(moments))
        row_observables(logits.reshape(-1, 4)[::2], out=None)
        fisher_distance(logits[0, 0], np.asfortranarray(logits[0, 1]))
    for kernel in (_kernels.table_kernel, distances._distance_kernel):
        assert len(kernel.signatures) == 2
    assert len(_kernels.absorb.signatures) <= 2  # from Python, and from within a kernel


def test_exponential_and_logarithm_are_as_accurate_as_they_say():
    y = -np.concatenate([np.geomspace(1e-9, 1022, 4000), np.linspace(0, 3, 4001)])
    powers, less_one = (np.array([f(v) for v in y.tolist()]) for f in (exp2, exp2m1))
    assert np.max(np.abs(powers / np.exp2(y) - 1)) < 6e-14
    assert np.max(np.abs(less_one - np.expm1(y * np.log(2)))) < 6e-14
    x = np.concatenate([1 + np.geomspace(1e-12, 1, 4000), np.geomspace(1, 1e300, 4000)])
    logarithms = np.array([ln(v) for v in x.tolist()])
    assert np.max(np.abs(logarithms - np.log(x)) / np.maximum(np.log(x), 1e-300)) < 1e-15


@pytest.mark.parametrize("keys", [1, 4, 5, 7])
def test_a_block_is_transposed_and_nothing_is_written_behind_it(keys):
    table = np.random.default_rng(keys).normal(size=(6, 9))
    order = np.array([5, 0, 3, 1])
    tile = np.full(16 * ROWS, np.nan)
    gather(table, order, 0, 4, 2, keys, tile)
    block = tile.reshape(-1, ROWS)
    assert np.array_equal(block[:keys, :4], table[order, 2 : 2 + keys].T)
    assert np.isnan(block[keys:]).all()
