"""Bootstrap and jackknife against exact variances, slow oracles and coverage."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

from heatcap.resampling import Estimate, bootstrap, jackknife
from heatcap.resampling.estimate import bca_interval

Floats = NDArray[np.float64]


def runs(n: int, *shape: int, seed: int = 0) -> xr.DataArray:
    dims = ("run", "k", "l")[: len(shape) + 1]
    return xr.DataArray(np.random.default_rng(seed).normal(size=(n, *shape)), dims=dims)


def mean(data: Any) -> Any:
    return data.mean("run")


def error_of_variance(replicates: int) -> float:
    """Relative standard error of the variance of so many Gaussian replicates."""
    return math.sqrt(2 / (replicates - 1))


def covered(found: Estimate, truth: Floats | float) -> tuple[float, float]:
    shares = [
        float(np.mean((ci.sel(bound="low") <= truth) & (truth <= ci.sel(bound="high"))))
        for ci in (found.ci68, found.ci95)
    ]
    return shares[0], shares[1]


# Variances


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3, 40])
def test_the_variance_of_a_mean_is_that_of_the_textbook(n: int) -> None:
    data = runs(n, 300, seed=n)
    found = bootstrap(data, mean, rng=1, replicates=2000)
    ratio = (found.error**2 / (data.var("run", ddof=1) / n)).mean().item()
    assert ratio == pytest.approx(1.0, abs=4 * error_of_variance(2000))


def test_z_score_of_one_standard_error() -> None:
    data = runs(25, seed=2)
    found = bootstrap(data, mean, rng=3, replicates=20000, vectorized=True)
    exact = data.std("run", ddof=1).item() / 5
    assert abs(found.error.item() / exact - 1) < 4 * error_of_variance(20000) / 2
    assert found.bias is not None
    assert abs(found.bias.item()) < 4 * exact / math.sqrt(20000)
    assert found.value.item() == data.mean().item()


@pytest.mark.slow
def test_strata_keep_their_numbers_and_their_exact_variance() -> None:
    data = runs(7, 200, seed=4).assign_coords(p=("run", [31, 59, 31, 59, 59, 31, 59]))
    sizes = []

    def total(d: xr.DataArray) -> xr.DataArray:
        p = d["p"].to_numpy()
        sizes.append((int(np.sum(p == 31)), int(np.sum(p == 59))))
        return d.isel(run=p == 31).mean("run") + d.isel(run=p == 59).mean("run")

    found = bootstrap(data, total, strata="p", rng=1, replicates=1500, interval="t")
    assert set(sizes[1:1501]) == {(2, 3)}  # n - 1 of each
    parts = [data.isel(run=data["p"].to_numpy() == p) for p in (31, 59)]
    a, b = (part.var("run", ddof=1) / part.sizes["run"] for part in parts)
    ratio = (found.error**2 / (a + b)).mean().item()
    assert ratio == pytest.approx(1.0, abs=4 * error_of_variance(1500))
    welch = (a + b) ** 2 / (a**2 / 2 + b**2 / 3)
    np.testing.assert_allclose(found.n_eff, welch + 1, rtol=1e-9)


def shared_seeds(n: int, seed: int, count: int = 1) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, count))
    values = np.concatenate([common + 0.5 * rng.normal(size=(n, count)) for _ in "ab"])
    coords = {"p": ("run", np.repeat([31, 59], n)), "seed": ("run", np.tile(np.arange(n), 2))}
    return xr.DataArray(values, dims=("run", "k"), coords=coords)


def heights(data: xr.DataArray) -> xr.DataArray:
    return xr.DataArray(data.isel(k=0).groupby("p").mean())


def test_sizes_that_share_seeds_have_their_covariance() -> None:
    data = shared_seeds(12, seed=5)
    found = bootstrap(
        data, heights, unit="seed", strata="p", rng=1, replicates=1000, vectorized=True
    )
    a, b = data[:12, 0].to_numpy(), data[12:, 0].to_numpy()
    exact = np.cov(a, b) / 12
    c = found.covariance()
    assert c.dims == ("p", "p_2")
    assert c["p"].to_numpy().tolist() == [31, 59]
    np.testing.assert_allclose(c, exact, rtol=4 * error_of_variance(1000), atol=0)
    assert exact[0, 1] > 0.5 * exact[0, 0]  # otherwise the test says nothing


def test_negative_control_without_the_seeds_there_is_none() -> None:
    found = bootstrap(
        shared_seeds(12, seed=5), heights, strata="p", rng=1, replicates=1000, vectorized=True
    )
    c = found.covariance().to_numpy()
    assert abs(c[0, 1]) < 4 * math.sqrt(c[0, 0] * c[1, 1] / 1000)


def test_a_missing_run_does_not_cost_the_error() -> None:
    data = shared_seeds(10, seed=6).isel(run=slice(0, 19))
    found = bootstrap(data, heights, unit="seed", strata="p", rng=1, replicates=300)
    assert found.message == ""
    assert np.isfinite(found.error).all()
    c = found.covariance().to_numpy()
    assert c[0, 1] > 0.4 * math.sqrt(c[0, 0] * c[1, 1])


# Rows of a finite population


def probe(n: int, m: int, population: int, seed: int, count: int) -> tuple[xr.DataArray, Floats]:
    """Runs and rows of a shared probe, additive: runs of sd 0.3, rows of sd 1."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(population, count))
    values = 0.3 * rng.normal(size=(n, 1, count)) + inputs[:m]
    return xr.DataArray(values, dims=("run", "probe", "k")), inputs.mean(axis=0)


def both(data: xr.DataArray) -> xr.DataArray:
    return data.mean(("run", "probe"))


@pytest.mark.slow
@pytest.mark.parametrize("population", [20, 25, 50, 400, None])
def test_two_stages_add_up_to_the_analytic_variance(population: int | None) -> None:
    m, n = 20, 6
    data, _ = probe(n, m, population or 1000, 7, 150)
    found = bootstrap(
        data, both, within="probe", population=population, rng=2, replicates=1500, interval="t"
    )
    of_runs = data.mean("probe").var("run", ddof=1) / n
    left = 1 - m / population if population else 1.0
    of_rows = left * data.mean("run").var("probe", ddof=1) / m
    ratio = ((found.error**2) / (of_runs + of_rows)).mean().item()
    assert ratio == pytest.approx(1.0, abs=4 * error_of_variance(1500) / 2)


def test_a_full_population_has_no_error_from_its_rows() -> None:
    data, _ = probe(5, 16, 16, 8, 3)
    alone = bootstrap(data, both, unit=None, within="probe", population=16, rng=1, replicates=50)
    assert alone.error.to_numpy().tolist() == [0.0] * 3
    with_rows = bootstrap(
        data, both, within="probe", population=16, rng=1, replicates=200, interval="t"
    )
    of_runs = bootstrap(data, both, rng=1, replicates=2000, interval="t")
    np.testing.assert_allclose(with_rows.error, of_runs.error, rtol=0.25)


def test_rows_of_single_runs_and_their_degrees_of_freedom() -> None:
    data, _ = probe(1, 30, 60, 9, 200)
    found = bootstrap(data, both, unit=None, within="probe", population=60, rng=1, replicates=1500)
    exact = data.isel(run=0).var("probe", ddof=1) / 30 / 2
    assert (found.error**2 / exact).mean().item() == pytest.approx(1.0, abs=0.04)
    assert found.n_eff[0].item() == 30
    half = (found.ci95[:, 1] - found.value) / found.error
    np.testing.assert_allclose(half, student.ppf(0.975, 29), rtol=1e-9)


def test_few_rows_of_an_infinite_population() -> None:
    data = runs(1, 5, 300, seed=26)
    found = bootstrap(
        data, lambda d: d.mean(("run", "k")), unit=None, within="k", rng=1, replicates=2000
    )
    ratio = (found.error**2 / (data.isel(run=0).var("k", ddof=1) / 5)).mean().item()
    assert ratio == pytest.approx(1.0, abs=4 * error_of_variance(2000))


def test_rows_have_degrees_of_freedom_of_their_own() -> None:
    """Welch and Satterthwaite for two stages: rows dominate, so there are many more than n - 1."""
    data, _ = probe(4, 30, 60, 27, 20)
    found = bootstrap(data, both, within="probe", population=60, rng=1, replicates=2000)
    a = data.mean("probe").var("run", ddof=1) / 4
    b = data.mean("run").var("probe", ddof=1) / 30 / 2
    np.testing.assert_allclose(found.n_eff - 1, (a + b) ** 2 / (a**2 / 3 + b**2 / 29), rtol=0.25)


def test_every_run_may_have_rows_of_its_own() -> None:
    """With the run as stratum and fixed, rows are drawn independently for each."""
    rng = np.random.default_rng(10)
    data = xr.DataArray(rng.normal(size=(2, 25)), dims=("run", "probe"), coords={"run": ["a", "b"]})
    for strata, correlated in (("run", False), (None, True)):
        twin = data.copy(data=np.stack([data[0], data[0]]))
        found = bootstrap(
            twin,
            lambda d: d.mean("probe"),
            unit=None,
            strata=strata,
            within="probe",
            population=100,
            rng=1,
            replicates=800,
        )
        assert found.replicates is not None
        r = np.corrcoef(found.replicates.transpose(..., "replicate"))[0, 1]
        assert abs(r - correlated) < 0.15


def test_populations_per_stratum() -> None:
    """A full probe of one size and an infinite one of another: only the second has an error."""
    data = runs(4, 12, seed=11).rename(k="probe").assign_coords(p=("run", [31, 31, 59, 59]))
    population = xr.DataArray([12, 12, 10**6, 10**6], dims="run")
    found = bootstrap(
        data,
        lambda d: d.mean("probe"),
        unit=None,
        strata="p",
        within="probe",
        population=population,
        rng=1,
        replicates=400,
    )
    assert (found.error[:2] == 0).all()
    exact = data[2:].std("probe", ddof=1) / math.sqrt(12)
    np.testing.assert_allclose(found.error[2:], exact, rtol=0.15)
    assert found.replicates is not None
    with pytest.raises(ValueError, match=r"one number where rows are shared, got \[12, 1000000\]"):
        bootstrap(data, both, within="probe", population=population, rng=1)


# One unit


def test_a_single_run_has_no_error() -> None:
    found = bootstrap(runs(1, 2), mean, rng=1, replicates=20)
    assert np.isnan(found.error).all()
    assert np.isnan(found.ci95).all()
    assert found.message == "a single run: no error of what depends on it"
    assert str(found.strings()[0].item()).endswith("(no error)")
    with_rows = bootstrap(runs(1, 9), lambda d: float(d.mean()), within="k", rng=1, replicates=20)
    assert np.isnan(with_rows.error)
    one = jackknife(runs(1), mean)
    assert np.isnan(one.error)
    assert one.message == "a single run: no error can be had"


def test_a_stratum_with_one_unit_spoils_only_what_depends_on_it() -> None:
    data = runs(6, 1, seed=12).assign_coords(p=("run", [31, 31, 59, 31, 31, 31]))
    found = bootstrap(data, heights, strata="p", rng=1, replicates=50)
    assert np.isfinite(found.error.sel(p=31))
    assert np.isnan(found.error.sel(p=59))
    assert np.isnan(found.ci68.sel(p=59)).all()
    assert found.n_eff.to_numpy().tolist() == [5, 1]
    assert found.message == "a single run at p = 59: no error of what depends on it"
    assert np.isnan(found.covariance().sel(p=59)).all()
    pooled = bootstrap(data, lambda d: float(d.median()), strata="p", rng=1, replicates=50)
    assert np.isnan(pooled.error)
    equal = bootstrap(data * 0, heights, strata="p", rng=1, replicates=50)
    assert np.isnan(equal.error.sel(p=59))


# Paths


def smoothed_peak(data: xr.DataArray) -> xr.DataArray:
    i = np.arange(data.sizes["k"])
    hat = np.exp(-0.5 * ((i[:, None] - i) / 3) ** 2)
    found: xr.DataArray = xr.apply_ufunc(lambda c: (c @ hat).max(-1), data, input_core_dims=[["k"]])
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"unit": "seed"},
        {"strata": "p"},
        {"unit": "seed", "strata": "p", "interval": "bca"},
        {"within": "l", "population": 11},
        {"within": "l", "population": 11, "strata": "p"},
        {"unit": None, "within": "l"},
        {"unit": None, "within": "l", "strata": "p"},
    ],
)
@pytest.mark.parametrize("batch", [1, 1 << 26])
def test_both_paths_draw_the_same(
    options: dict[str, Any], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heatcap.resampling.samples.BATCH_BYTES", batch)
    data = runs(8, 10, 5, seed=13).assign_coords(
        p=("run", np.repeat([31, 59], 4)), seed=("run", np.tile(np.arange(4), 2))
    )

    def statistic(d: xr.DataArray) -> xr.DataArray:
        return smoothed_peak(d.mean("run")).mean("l")

    one, other = (
        bootstrap(data, statistic, rng=5, replicates=40, vectorized=v, **options)
        for v in (False, True)
    )
    assert one.replicates is not None
    assert other.replicates is not None
    np.testing.assert_allclose(one.replicates, other.replicates, rtol=1e-12)
    np.testing.assert_allclose(one.ci95, other.ci95, rtol=1e-9)


def test_strata_can_be_grouped_in_both_paths() -> None:
    data = shared_seeds(6, seed=14)
    one, other = (
        bootstrap(data, heights, unit="seed", strata="p", rng=1, replicates=30, vectorized=v)
        for v in (False, True)
    )
    np.testing.assert_allclose(one.covariance(), other.covariance(), rtol=1e-12)


def test_interleaved_strata_can_be_grouped_in_both_paths() -> None:
    data = runs(9, 1, seed=25).assign_coords(p=("run", [31, 59, 59] * 3))
    one, other = (
        bootstrap(data, heights, strata="p", rng=1, replicates=30, interval="bca", vectorized=v)
        for v in (False, True)
    )
    np.testing.assert_allclose(one.ci95, other.ci95, rtol=1e-12)


def test_equal_seeds_give_equal_results_and_generators_move_on() -> None:
    data, generator = runs(10), np.random.default_rng(3)
    a, b, c, d = (
        bootstrap(data, mean, rng=rng, replicates=50).error.item()
        for rng in (3, 3, generator, generator)
    )
    assert a == b == c != d


def test_datasets_and_their_variables_are_drawn_together() -> None:
    x = runs(20, seed=15)
    found = bootstrap(
        xr.Dataset({"a": x, "b": 2 * x}),
        lambda d: float(d.b.mean() - 2 * d.a.mean()),
        rng=1,
        replicates=50,
    )
    assert found.error.item() == pytest.approx(0, abs=1e-12)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(-50, 50), st.floats(0.1, 10))
def test_shift_and_scale(seed: int, shift: float, scale: float) -> None:
    data = runs(6, seed=seed)
    one, other = (bootstrap(d, mean, rng=seed, replicates=30) for d in (data, scale * data + shift))
    assert other.error.item() == pytest.approx(scale * one.error.item(), rel=1e-6)
    np.testing.assert_allclose(other.ci95, scale * one.ci95 + shift, rtol=1e-6, atol=1e-6)


# Intervals


@pytest.mark.statistical
@pytest.mark.parametrize("n", [3, 10])
def test_coverage_of_gaussian_means(n: int) -> None:
    found = bootstrap(runs(n, 2000, seed=16), mean, rng=1, replicates=1500, interval="t")
    for share, nominal in zip(covered(found, 0.0), (0.6827, 0.95), strict=True):
        assert share == pytest.approx(nominal, abs=0.035)  # all share their draws
    normal = float(np.mean(np.abs(found.value) < 1.96 * found.error))
    assert normal < 0.935  # negative control: without Student


@pytest.mark.statistical
def test_bca_covers_skewed_means_better_on_both_sides() -> None:
    data = xr.DataArray(np.random.default_rng(17).exponential(size=(20, 1500)), dims=("run", "k"))
    above = {}
    for interval in ("t", "bca", "percentile"):
        found = bootstrap(data, mean, rng=1, replicates=1000, interval=interval)
        assert covered(found, 1.0)[1] == pytest.approx(0.95, abs=0.05)
        above[interval] = float(np.mean(found.ci95.sel(bound="high") < 1.0))
    assert above["bca"] < above["percentile"] < above["t"]


@pytest.mark.statistical
def test_coverage_of_runs_on_a_finite_probe() -> None:
    data, truth = probe(8, 20, 40, 18, 800)
    right = bootstrap(data, both, within="probe", population=40, rng=1, replicates=300)
    for share, nominal in zip(covered(right, truth), (0.6827, 0.95), strict=True):
        assert share == pytest.approx(nominal, abs=0.04)
    infinite = bootstrap(data, both, within="probe", rng=1, replicates=300)
    assert covered(infinite, truth)[0] > 0.76
    alone = bootstrap(data, both, rng=1, replicates=300)
    assert covered(alone, truth)[0] < 0.60


@pytest.mark.statistical
def test_coverage_of_a_difference_between_sizes_that_share_seeds() -> None:
    data = shared_seeds(10, seed=19, count=1000)

    def difference(d: xr.DataArray) -> xr.DataArray:
        p = d["p"].to_numpy()
        return xr.DataArray(d.isel(run=p == 59).mean("run") - d.isel(run=p == 31).mean("run"))

    right = bootstrap(data, difference, unit="seed", strata="p", rng=1, replicates=500)
    for share, nominal in zip(covered(right, 0.0), (0.6827, 0.95), strict=True):
        assert share == pytest.approx(nominal, abs=0.04)
    wrong = bootstrap(data, difference, strata="p", rng=1, replicates=300)
    assert covered(wrong, 0.0)[0] > 0.85  # negative control


def test_the_default_interval_depends_on_the_number_of_units() -> None:
    for n, name in ((9, "t"), (10, "bca")):
        assert f"{name} interval" in bootstrap(runs(n), mean, rng=1, replicates=20).method
    rows = bootstrap(runs(12, 4), lambda d: d.mean(("run", "k")), within="k", rng=1, replicates=20)
    assert "t interval" in rows.method


def test_bca_against_its_formula() -> None:
    data = xr.DataArray(np.random.default_rng(20).exponential(size=15), dims="run")
    found = bootstrap(data, mean, rng=1, replicates=1999, interval="bca")
    assert found.replicates is not None
    r, x = np.sort(found.replicates.to_numpy()), data.to_numpy()
    d = x - x.mean()
    a = np.sum(d**3) / (6 * np.sum(d**2) ** 1.5)
    z0 = ndtri(np.mean(r < x.mean()))
    for sign, end in zip((-1, 1), found.ci95.to_numpy(), strict=True):
        z = z0 + sign * student.ppf(0.975, 14)
        place = ndtr(z0 + z / (1 - a * z)) * 2000 - 1
        assert end == pytest.approx(np.interp(place, np.arange(1999), r), rel=1e-9)


def test_bca_counts_ties_by_half() -> None:
    replicates = np.repeat([-2.0, -1.0, 0.0, 1.0, 2.0], [5, 25, 40, 25, 5])
    low, high = bca_interval(replicates, np.zeros(()), np.zeros(()), np.full((), np.inf), 0.95)
    assert low == pytest.approx(-high)


def test_a_tie_is_a_tie_in_any_order_of_the_sum() -> None:
    """Means of few different numbers tie; their sums differ by rounding with the order."""
    exact = np.repeat([0.0, 1.0], 6)
    found = [
        bootstrap(xr.DataArray(x, dims="run"), mean, rng=1, replicates=999, interval="bca").ci95
        for x in (exact, 0.1 + 0.2 * exact)
    ]
    assert found[1].to_numpy() == pytest.approx(0.1 + 0.2 * found[0].to_numpy(), abs=1e-12)


# Failures


def test_replicates_that_fail_are_left_out_and_told() -> None:
    data, calls = runs(10), iter(range(1000))

    def fragile(d: xr.DataArray) -> float:
        return math.nan if next(calls) in (5, 6) else float(d.mean())

    found = bootstrap(data, fragile, rng=1, replicates=100, interval="t")
    assert found.message == "2 of 100 replicates are not finite and left out"
    assert np.isfinite(found.error)
    assert found.replicates is not None
    assert found.replicates.sizes["replicate"] == 98
    often = iter(range(1000))
    found = bootstrap(
        data,
        lambda d: math.nan if next(often) % 5 == 1 else float(d.mean()),
        rng=1,
        replicates=100,
        interval="t",
    )
    assert found.message == "20% of the replicates are not finite: no error"
    assert np.isnan(found.error)


CASES: list[tuple[dict[str, Any], str]] = [
    ({"unit": "seeds"}, "unit must be a dimension or a coordinate of the data, one of ['run', 'k'"),
    ({"strata": "q"}, "strata must be a dimension or a coordinate of the data"),
    ({"strata": "head"}, "strata 'head' must lie along 'run', got ('k',)"),
    ({"unit": "grid"}, "unit 'grid' must be 1-D, got dimensions ('run', 'k')"),
    ({"within": "probe"}, "within must be a dimension of the data other than 'run', got 'probe'"),
    ({"within": "run"}, "within must be a dimension of the data other than 'run', got 'run'"),
    ({"within": "k", "population": 3}, "a population of 3 is smaller than its 4 rows"),
    ({"population": 3}, "population is that of the rows: name their dimension by within"),
    ({"replicates": 0}, "replicates must be at least 2, got 0"),
    ({"replicates": -5}, "replicates must be at least 2, got -5"),
    ({"unit": None}, "nothing to draw: name a unit, or rows within"),
    ({"interval": "normal"}, "interval must be one of ('t', 'bca', 'percentile'), got 'normal'"),
    ({"unit": None, "within": "k", "interval": "bca"}, "one of ('t', 'percentile'), got 'bca'"),
    ({"rng": None}, "rng must be a seed or a numpy Generator, got None"),
]


@pytest.mark.parametrize(("options", "text"), CASES)
def test_what_is_refused(options: dict[str, Any], text: str) -> None:
    data = runs(5, 4).assign_coords(head=("k", list("abcd")), grid=(("run", "k"), np.ones((5, 4))))
    with pytest.raises(ValueError, match=re.escape(text)):
        bootstrap(data, lambda d: float(d.mean()), **({"rng": 1} | options))


def test_statistics_that_are_refused() -> None:
    data = runs(6, 4).assign_coords(seed=("run", np.arange(6)))
    with pytest.raises(ValueError, match="a number or a DataArray, got Dataset"):
        bootstrap(data, lambda d: d.to_dataset(name="x"), rng=1)
    with pytest.raises(ValueError, match="got ndarray"):
        bootstrap(data, lambda d: d.to_numpy(), rng=1)
    with pytest.raises(ValueError, match=r"one shape for all samples, got \{'run': 6\} and then"):
        bootstrap(data, lambda d: d.mean("k"), rng=1)
    with pytest.raises(ValueError, match="one set of labels of 'k' for all samples"):
        bootstrap(
            data, lambda d: d[0].assign_coords(k=range(d.sizes["run"], d.sizes["run"] + 4)), rng=1
        )
    with pytest.raises(ValueError, match="must not return dimension 'bound'"):
        bootstrap(data, lambda d: d.mean("run").rename(k="bound"), rng=1)
    with pytest.raises(ValueError, match="must keep dimension 'replicate', got float"):
        bootstrap(data, lambda d: float(d.mean()), rng=1, vectorized=True)


# Jackknife


@settings(max_examples=40)
@given(st.integers(2, 40), st.integers(0, 10**6), st.floats(-1e3, 1e3))
def test_jackknife_of_a_mean_is_exact(n: int, seed: int, shift: float) -> None:
    data = runs(n, seed=seed) + shift
    found = jackknife(data, mean)
    assert found.error.item() == pytest.approx(data.std(ddof=1).item() / math.sqrt(n), rel=1e-6)
    assert found.value.item() == pytest.approx(data.mean().item())
    assert found.bias is not None
    assert found.bias.item() == pytest.approx(0, abs=1e-8)
    half = found.ci95[1].item() - found.value.item()
    assert half == pytest.approx(student.ppf(0.975, n - 1) * found.error.item(), rel=1e-6)


@settings(max_examples=40)
@given(st.integers(3, 40), st.integers(0, 10**6))
def test_jackknife_bias_of_the_plug_in_variance_is_exact(n: int, seed: int) -> None:
    data = runs(n, seed=seed)
    found = jackknife(data, lambda d: d.var("run"))
    s2 = data.var("run", ddof=1).item()
    assert found.bias is not None
    assert found.bias.item() == pytest.approx(-s2 / n, rel=1e-8)
    assert found.value.item() == pytest.approx(s2, rel=1e-8)


def test_jackknife_covariance_of_means_is_exact() -> None:
    data = runs(9, 3, seed=21)
    found = jackknife(data, mean)
    np.testing.assert_allclose(
        found.covariance(), np.cov(data.to_numpy(), rowvar=False) / 9, rtol=1e-10
    )


@pytest.mark.parametrize("blocks", [4, 5, 7])
def test_blocks_against_weighted_means(blocks: int) -> None:
    """Pseudo-values h theta - (h - 1) theta_j with h = N / m_j, in loops."""
    x = runs(40, seed=22)
    found = jackknife(x, mean, blocks=blocks)
    values, n = x.to_numpy(), 40
    variance = 0.0
    for part in np.array_split(values, blocks):
        h = n / len(part)
        variance += (
            (
                h * values.mean()
                - (h - 1) * (values.sum() - part.sum()) / (n - len(part))
                - values.mean()
            )
            ** 2
            / (h - 1)
            / blocks
        )
    assert found.error.item() ** 2 == pytest.approx(variance)
    assert found.value.item() == pytest.approx(values.mean())
    assert found.n_eff.item() == blocks


def test_blocks_see_autocorrelation_and_say_when_they_are_too_short() -> None:
    n, a = 4000, 0.8
    noise = np.random.default_rng(23).normal(size=(300, n)) * math.sqrt(1 - a * a)
    noise[:, 0] /= math.sqrt(1 - a * a)
    x = xr.DataArray(lfilter([1.0], [1.0, -a], noise), dims=("k", "time"))
    t = np.arange(1, n)
    exact = math.sqrt((1 + 2 * np.sum((1 - t / n) * a**t)) / n)
    found = jackknife(x, lambda d: d.mean("time"), dim="time", blocks=20)
    assert found.error.mean().item() / exact == pytest.approx(0.98, abs=0.03)
    assert covered(found, 0.0)[1] == pytest.approx(0.95, abs=0.04)
    one = jackknife(x[0], lambda d: d.mean("time"), dim="time", blocks=20)
    assert one.message == ""
    short = jackknife(x[0], lambda d: d.mean("time"), dim="time", blocks=1000)
    assert re.match(r"neighbouring blocks correlate by 0\.\d\d: .* take fewer", short.message)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"dim": "seed"}, "data must have dimension 'seed', got ('run',)"),
        ({"blocks": 1}, "blocks must be at least 2, got 1: fewer than 2 blocks"),
        ({"blocks": 7}, "blocks must be at most the 6 entries of 'run', got 7"),
    ],
)
def test_what_the_jackknife_refuses(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        jackknife(runs(6), mean, **options)
