"""Estimates: how they are written, stored and combined."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from heatcap.resampling import Estimate, bootstrap, gamma_method, jackknife


def estimate(value: float, error: float) -> Estimate:
    v, e = xr.DataArray(float(value)), xr.DataArray(float(error))
    ci = xr.concat([v - e, v + e], dim="bound").assign_coords(bound=["low", "high"])
    return Estimate(v, e, ci, ci, xr.DataArray(10.0), "by hand")


@pytest.mark.parametrize(
    ("value", "error", "word", "latex"),
    [
        (0.44062, 0.00124, "0.4406(12)", "0.4406(12)"),
        (-0.44062, 0.00124, "-0.4406(12)", "-0.4406(12)"),
        (123.456, 9.96, "123(10)", "123(10)"),
        (123.456, 9.94, "123.5(9.9)", "123.5(99)"),
        (1.23456, 0.0996, "1.23(10)", "1.23(10)"),
        (3.456, 1.234, "3.5(1.2)", "3.5(12)"),
        (0.5, 12.3, "0(12)", "0(12)"),
        (-0.3, 12.3, "0(12)", "0(12)"),
        (-0.001, 0.12, "0.00(12)", "0.00(12)"),
        (12344.0, 561.0, "12340(560)", "12340(560)"),
        (0.0, 0.25, "0.00(25)", "0.00(25)"),
        (1.23456e-12, 1.2e-15, "1.2346(12)e-12", "1.2346(12)e-12"),
        (9.9999e-12, 1.2e-14, "10.000(12)e-12", "10.000(12)e-12"),
        (3e20, 4.1e17, "3.0000(41)e20", "3.0000(41)e20"),
        (0.0, 3.3e-12, "0.0(3.3)e-12", "0.0(33)e-12"),
        (0.4406, 0.0, "0.4406(0)", "0.4406(0)"),
        (0.4406, math.nan, "0.4406 (no error)", "0.4406"),
        (0.4406, math.inf, "0.4406 (no error)", "0.4406"),
    ],
)
def test_a_number_is_written_with_two_digits_of_its_error(
    value: float, error: float, word: str, latex: str
) -> None:
    assert str(estimate(value, error)) == word
    assert estimate(value, error).siunitx() == rf"\num{{{latex}}}"


def test_a_value_that_does_not_exist() -> None:
    nothing = estimate(math.nan, math.nan)
    assert str(nothing) == "nan (no error)"
    assert nothing.siunitx() == "--"


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_what_is_written_can_be_read_back(value: float, error: float) -> None:
    word = str(estimate(value, error))
    mantissa, _, rest = word.partition("(")
    inside = rest.rstrip(")")
    decimals = len(mantissa.partition(".")[2])
    shown = float(inside) if "." in inside else float(inside) * 10.0**-decimals
    assert shown == pytest.approx(error, rel=0.0501)
    assert float(mantissa) == pytest.approx(value, abs=0.0501 * error)


@pytest.fixture
def labelled() -> Estimate:
    data = xr.DataArray(
        np.random.default_rng(1).normal(size=(12, 3)),
        dims=("run", "head"),
        coords={"head": ["a", "b", "c"]},
    )
    return bootstrap(data, lambda d: d.mean("run"), rng=1, replicates=200)


def test_labels_survive(labelled: Estimate) -> None:
    for part in (labelled.value, labelled.error, labelled.n_eff, labelled.bias):
        assert part is not None
        assert part.dims == ("head",)
        assert part["head"].to_numpy().tolist() == ["a", "b", "c"]
    assert labelled.ci95.dims == ("head", "bound")
    assert labelled.ci95["bound"].to_numpy().tolist() == ["low", "high"]
    assert labelled.replicates is not None
    assert labelled.replicates.dims == ("replicate", "head")


def test_covariance_has_the_squared_errors_on_its_diagonal(labelled: Estimate) -> None:
    c = labelled.covariance()
    assert c.dims == ("head", "head_2")
    assert c["head_2"].to_numpy().tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(np.diag(c), labelled.error**2, rtol=1e-12)
    np.testing.assert_allclose(c, c.T, rtol=1e-12)


def test_covariance_of_several_dimensions_and_of_a_number() -> None:
    data = xr.DataArray(np.random.default_rng(2).normal(size=(8, 2, 3)), dims=("run", "a", "b"))
    many = jackknife(data, lambda d: d.mean("run"))
    assert many.covariance().shape == (6, 6)
    np.testing.assert_allclose(
        np.diag(many.covariance()), many.error.to_numpy().ravel() ** 2, rtol=1e-12
    )
    one = jackknife(data, lambda d: float(d.mean()))
    assert one.covariance().dims == ("entry", "entry_2")
    assert one.covariance().item() == pytest.approx(one.error.item() ** 2)


def test_no_covariance_without_replicates() -> None:
    series = xr.DataArray(np.random.default_rng(3).normal(size=100), dims="time")
    with pytest.raises(ValueError, match=r"no covariance: 'Gamma method, S = 1\.5' leaves no repl"):
        gamma_method(series, dim="time").covariance()


def test_to_dict_is_json(labelled: Estimate) -> None:
    out = json.loads(json.dumps(labelled.to_dict(), allow_nan=False))
    assert out["dims"] == ["head"]
    assert out["coords"] == {"head": ["a", "b", "c"]}
    assert out["error"] == labelled.error.to_numpy().tolist()
    assert np.shape(out["ci95"]) == (3, 2)
    number = estimate(0.5, math.nan).to_dict()
    assert number["value"] == 0.5
    assert number["error"] is None
    assert number["ci68"] == [None, None]
    assert number["tau"] is None
    assert "dims" not in number


def test_repr_says_what_it_is(labelled: Estimate) -> None:
    assert repr(labelled).startswith("<heatcap.Estimate (head: 3), bootstrap, 200 replicates, bca")
    assert str(labelled.strings()[0].item()) in repr(labelled)
    assert repr(estimate(0.44062, 0.00124)) == "<heatcap.Estimate 0.4406(12), by hand>"
    with pytest.raises(ValueError, match=r"siunitx is for a number, got an array \('head',\)"):
        labelled.siunitx()


def test_a_missing_error_is_a_status_and_a_message_a_caution() -> None:
    known, unknown = estimate(1.0, 0.1), estimate(1.0, math.nan)
    assert known.ok
    assert known.cautions() == []
    assert known.summary() == "1.00(10)"
    assert (unknown.status, unknown.ok) == ("no errors", False)
    walk = np.cumsum(np.random.default_rng(0).normal(size=60))
    short = gamma_method(xr.DataArray(walk, dims="step"), dim="step")
    assert short.ok
    assert "fewer than 50" in short.message
    assert [each.text for each in short.cautions()] == [short.message]
    assert short.summary().splitlines() == [str(short), short.message]
