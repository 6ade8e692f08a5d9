"""Single series: the Gamma method against exact errors, an oracle and slow sums."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import t as student

from heatcap.resampling import Estimate, gamma_method, integrated_time, jackknife

Floats = NDArray[np.float64]


def ar1(n: int, tau: float, count: int, seed: int) -> xr.DataArray:
    """Stationary AR(1) series (series, time) of unit variance; tau = (1 + a) / (1 - a) / 2."""
    a = (2 * tau - 1) / (2 * tau + 1)
    noise = np.random.default_rng(seed).normal(size=(count, n)) * math.sqrt(1 - a * a)
    noise[:, 0] /= math.sqrt(1 - a * a)
    return xr.DataArray(lfilter([1.0], [1.0, -a], noise, axis=1), dims=("series", "time"))


def ar1_error(n: int, tau: float) -> float:
    """Var of the mean = (1 + 2 sum_t (1 - t / n) a^t) / n, exactly."""
    a, t = (2 * tau - 1) / (2 * tau + 1), np.arange(1, n)
    return math.sqrt((1 + 2 * float(np.sum((1 - t / n) * a**t))) / n)


def covered(found: Estimate, truth: float = 0.0) -> tuple[float, float]:
    shares = [
        ((ci.sel(bound="low") <= truth) & (truth <= ci.sel(bound="high"))).mean().item()
        for ci in (found.ci68, found.ci95)
    ]
    return shares[0], shares[1]


def by_hand(x: Floats, s: float) -> tuple[float, float, float, int]:
    """Error, tau, its error and window of a series, in loops."""
    n, d = len(x), x - x.mean()
    gamma = [sum(d[i] * d[i + t] for i in range(n - t)) / (n - t) for t in range(n // 2)]
    tau = 0.5
    for w in range(1, n // 2):
        tau += gamma[w] / gamma[0]
        held = max(tau, 0.5)
        decay = s / math.log((2 * held + 1) / (2 * held - 1)) if held > 0.5 else 1e-9
        if math.exp(-w / decay) < decay / math.sqrt(w * n) or w == n // 2 - 1:
            break
    # cumulated without the floor, which holds at the window only
    full = max(0.5 + sum(gamma[1 : w + 1]) / gamma[0], 0.5) * (1 + (2 * w + 1) / n)
    spread = 2 * full * math.sqrt(max(w + 0.5 - full, 0) / n)
    return math.sqrt(2 * full * gamma[0] / n), full, spread, w


@pytest.mark.parametrize("s", [1.0, 1.5, 3.0])
@pytest.mark.parametrize(("n", "tau"), [(60, 0.5), (151, 3.0), (400, 4.5)])
def test_against_sums_by_hand(n: int, tau: float, s: float) -> None:
    data = ar1(n, tau, 4, seed=n)
    found, time = gamma_method(data, dim="time", s=s), integrated_time(data, dim="time", s=s)
    for i, x in enumerate(data.to_numpy()):
        error, t, t_error, w = by_hand(x, s)
        assert found.value[i].item() == pytest.approx(x.mean())
        assert found.error[i].item() == pytest.approx(error, rel=1e-10)
        assert time.value[i].item() == pytest.approx(t, rel=1e-10)
        assert time.error[i].item() == pytest.approx(t_error, rel=1e-8, abs=1e-12)
        assert found.n_eff[i].item() == pytest.approx(n / (2 * t), rel=1e-10)
        half = float(found.ci68[i, 1] - found.value[i]) / error
        assert half == pytest.approx(student.ppf(0.5 + 0.6827 / 2, n / (2 * w + 1)), rel=1e-9)


PYERRORS = """
import json, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, pyerrors as pe
out = []
for x in json.load(open(sys.argv[1])):
    o = pe.Obs([np.array(x)], ["e"])
    o.gamma_method(S=1.5)
    out.append([o.value, o.e_dvalue["e"], o.e_tauint["e"], o.e_dtauint["e"]])
x = np.array(json.load(open(sys.argv[1]))[0]) + 3
c = pe.Obs([x * x], ["e"]) - pe.Obs([x], ["e"]) ** 2
c.gamma_method(S=1.5)
out.append([c.value, c.e_dvalue["e"], c.e_tauint["e"], c.e_dtauint["e"]])
print(json.dumps(out))
"""


@pytest.mark.slow
def test_against_pyerrors(tmp_path: Path) -> None:
    # In a process of its own: importing it warns and changes how arrays are printed.
    series = [ar1(n, tau, 1, seed=7)[0].to_numpy() for n, tau in ((2000, 4.5), (1000, 19.5))]
    (tmp_path / "series.json").write_text(json.dumps([x.tolist() for x in series]))
    done = subprocess.run(
        [sys.executable, "-c", PYERRORS, str(tmp_path / "series.json")],
        capture_output=True,
        text=True,
    )
    if "No module named 'pyerrors'" in done.stderr:
        pytest.skip("pyerrors is not installed")
    assert not done.returncode, done.stderr
    *means, (heat, heat_error, heat_tau, _) = json.loads(done.stdout)
    for x, (value, error, tau, _) in zip(series, means, strict=True):
        found = gamma_method(xr.DataArray(x, dims="time"), dim="time")
        assert found.value.item() == pytest.approx(value, rel=1e-12)
        assert found.error.item() == pytest.approx(error, rel=1e-3)
        assert found.tau is not None
        # Its tau is divided by 1 + 1 / n, its error has the square root of that back.
        assert found.tau.item() == pytest.approx(tau, rel=1.1 / x.size)
    found = specific_heat(xr.DataArray(series[0] + 3, dims="time"))
    assert found.value.item() == pytest.approx(heat, rel=1e-10)
    assert found.error.item() == pytest.approx(heat_error, rel=1e-3)
    assert found.tau is not None
    assert found.tau.item() == pytest.approx(heat_tau, rel=1e-3)


def specific_heat(energy: xr.DataArray) -> Estimate:
    data = xr.Dataset({"e": energy, "e2": energy**2})
    return gamma_method(data, lambda m: m.e2 - m.e**2, dim="time")


def test_a_function_of_means_is_propagated_linearly() -> None:
    """<E^2> - <E>^2 has the error of the mean of (E - <E>)^2, exactly."""
    energy = ar1(600, 3.0, 3, seed=1) + 100.0
    found = specific_heat(energy)
    squares = (energy - energy.mean("time")) ** 2
    direct = gamma_method(squares, dim="time")
    np.testing.assert_allclose(found.value, direct.value, rtol=1e-9)
    np.testing.assert_allclose(found.error, direct.error, rtol=1e-6)
    np.testing.assert_allclose(found.tau, direct.tau, rtol=1e-6)  # type: ignore[arg-type]


def test_a_function_may_mix_entries_and_take_one_array() -> None:
    data = xr.DataArray(np.exp(0.1 * ar1(500, 2.0, 2, seed=2)))
    mixed = gamma_method(data, lambda m: float(np.log(m[0] / m[1])), dim="time")
    a, b = data.to_numpy()
    linear = a / a.mean() - b / b.mean()
    direct = gamma_method(xr.DataArray(linear, dims="time"), dim="time")
    assert mixed.error.item() == pytest.approx(direct.error.item(), rel=1e-4)
    assert mixed.value.item() == pytest.approx(math.log(a.mean() / b.mean()))


@pytest.mark.parametrize(
    ("n", "tau"), [(225, 4.5), (450, 4.5), (2000, 4.5), (1000, 19.5), (2000, 19.5)]
)
def test_coverage_and_error_on_ar1(n: int, tau: float) -> None:
    count = 1500
    found = gamma_method(ar1(n, tau, count, seed=11), dim="time")
    assert found.error.mean().item() / ar1_error(n, tau) == pytest.approx(1.0, abs=0.04)
    for share, nominal in zip(covered(found), (0.6827, 0.95), strict=True):
        assert share == pytest.approx(nominal, abs=0.03)


def test_negative_control_the_naive_error_covers_far_too_little() -> None:
    data = ar1(450, 4.5, 400, seed=12)
    found = jackknife(data, lambda d: d.mean("time"), dim="time")
    assert covered(found)[0] < 0.35
    assert covered(found)[1] < 0.60


def test_short_series_are_flagged() -> None:
    short = gamma_method(ar1(200, 19.5, 1, seed=3)[0], dim="time")
    assert short.tau is not None
    ratio = 200 / short.tau.item()
    assert ratio < 50
    expected = f"n/tau = {ratio:.0f}: fewer than 50, the error is probably too small"
    assert short.message == expected
    many = gamma_method(ar1(200, 19.5, 5, seed=3), dim="time")
    assert "(the smallest of 5)" in many.message
    assert gamma_method(ar1(2000, 4.5, 1, seed=3)[0], dim="time").message == ""


def test_flags_are_rare_where_the_error_is_right_and_the_rule_where_it_is_not() -> None:
    for n, tau, low, high in ((450, 4.5, 0.0, 0.06), (200, 19.5, 0.95, 1.0)):
        found = gamma_method(ar1(n, tau, 500, seed=4), dim="time")
        assert low <= float(np.mean(n / found.tau < 50)) <= high  # type: ignore[operator]


@given(st.floats(0.01, 100), st.floats(-100, 100), st.integers(0, 1000))
def test_scale_shift_and_reversal(scale: float, shift: float, seed: int) -> None:
    x = ar1(120, 2.0, 1, seed=seed)[0]
    found, moved = (gamma_method(y, dim="time") for y in (x, scale * x[::-1] + shift))
    assert found.tau is not None
    assert moved.tau is not None
    assert moved.tau.item() == pytest.approx(found.tau.item(), rel=1e-6)
    assert moved.error.item() == pytest.approx(scale * found.error.item(), rel=1e-6)


def test_integrated_time_of_ar1() -> None:
    found = integrated_time(ar1(20000, 4.5, 100, seed=5), dim="time")
    assert found.value.mean().item() == pytest.approx(4.5, rel=0.02)
    assert found.value.std().item() == pytest.approx(found.error.mean().item(), rel=0.25)
    low, high = (found.ci95.sel(bound=b) for b in ("low", "high"))
    np.testing.assert_allclose(low * high, found.value**2, rtol=1e-10)
    assert covered(found, 4.5)[1] > 0.85


def test_a_constant_series_has_no_error() -> None:
    data = xr.DataArray(np.full((2, 50), 0.1), dims=("series", "time"))
    data[1] = np.arange(50.0) % 7
    found = gamma_method(data, dim="time")
    assert found.error[0].item() == 0
    assert found.tau is not None
    assert found.tau[0].item() == 0.5
    assert found.ci95[0].to_numpy().tolist() == [0.1, 0.1]
    assert found.error[1].item() > 0
    assert integrated_time(data[0], dim="time").error.item() == 0
    ratio = xr.Dataset({"a": data[0], "b": data[0]})
    assert gamma_method(ratio, lambda m: m.a / m.b, dim="time").error.item() == 0


def test_anticorrelated_series_are_not_better_than_independent_ones() -> None:
    x = xr.DataArray(np.tile([1.0, -1.0], 50), dims="time")
    assert integrated_time(x, dim="time").value.item() == pytest.approx(0.5 * (1 + 3 / 100))


def test_what_is_refused() -> None:
    x = xr.DataArray(np.arange(20.0), dims="time", name="energy")
    with pytest.raises(ValueError, match=r"'energy' must have dimension 'step', got \('time',\)"):
        gamma_method(x, dim="step")
    with pytest.raises(ValueError, match="'energy' must have at least 8 entries, got 7"):
        integrated_time(x[:7], dim="time")
    with pytest.raises(ValueError, match="'energy' must be finite, got 2 of 20 NaN or infinite"):
        gamma_method(x.where((x != 3) & (x != 5)), dim="time")
    with pytest.raises(ValueError, match="s must be positive, got 0"):
        gamma_method(x, dim="time", s=0)
    with pytest.raises(ValueError, match=r"several series need a statistic, got \['a', 'b'\]"):
        gamma_method(xr.Dataset({"a": x, "b": x}), dim="time")
    with pytest.raises(ValueError, match="must return a number or a DataArray, got Dataset"):
        gamma_method(xr.Dataset({"a": x}), lambda m: m, dim="time")
