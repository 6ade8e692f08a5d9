"""Numbers as they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

import heatcap
from heatcap.core.arrays import numbers
from heatcap.core.student import counts_of_runs

MASKED = np.ma.masked_array([1, 7, 3], [False, True, False])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (MASKED, [1, np.nan, 3]),
        ([1.0, np.ma.masked, 3], [1, np.nan, 3]),
        ([MASKED, np.array([1, 2, 3])], [[1, np.nan, 3], [1, 2, 3]]),
        (np.ma.masked_array(7.0, True), np.nan),
        (pd.Series([1, None, 3], dtype="Int64"), [1, np.nan, 3]),
        (range(3), [0, 1, 2]),
        (2, 2),
    ],
)
def test_what_is_masked_is_no_number(given, expected):
    found = numbers(given, "A")
    assert type(found) is np.ndarray
    assert_array_equal(found, expected)


def test_what_was_given_stays():
    given = np.array([1.0, 2.0])
    numbers(given, "A")[0] = 5
    numbers(MASKED, "A")[1] = 5
    assert given[0] == 1
    assert MASKED.data[1] == 7
    assert MASKED.mask.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1j, 2], "A must be real numbers, got complex numbers"),
        (np.ma.masked_array([True, False], [True, False]), "A must be real numbers, got truth"),
        (np.array(["2020"], "M8[Y]"), "A must be real numbers, got times"),
        ([[1, 2], [3]], "A must be real numbers: .* inhomogeneous"),
        (["x"], "A must be real numbers: could not convert"),
        ({1: 2}, "A must be real numbers"),
    ],
)
def test_what_is_no_real_number_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        numbers(given, "A")


@pytest.mark.parametrize(
    ("runs", "used", "said"),
    [
        ([2, 3], None, r"runs must be one number, or one for each of 3, got \(2,\)"),
        ([2, 1, 0], None, "got 1 in size 16"),
        ([2, 3, np.nan], None, "got nan in size 32"),
        (np.ma.masked_array([2, 3, 4], [False, True, False]), None, "got nan in size 16"),
        ([2, np.inf, 1], [2, 0], "got 1 in size 32"),
        (np.inf, None, "2 or more and finite for their errors to be known, got inf$"),
    ],
)
def test_numbers_of_runs_that_cannot_be(runs, used, said):
    with pytest.raises(ValueError, match=said):
        counts_of_runs(numbers(runs, "runs"), 3, lambda k: f"size {(8, 16, 32)[k]}", used=used)


def test_numbers_of_runs():
    assert counts_of_runs(np.array(5.0), 3, str).tolist() == [5, 5, 5]
    some = counts_of_runs(np.array([2.0, np.nan, 4]), 3, str, used=np.array([2, 0]))
    assert some[[0, 2]].tolist() == [2, 4]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: heatcap.jackknife(x, np.mean), "data must be a DataArray or Dataset"),
        (lambda x: heatcap.bootstrap(x, np.mean, rng=0), "data must be a DataArray or Dataset"),
        (heatcap.heat_capacities, "logits must be a DataArray"),
        (heatcap.canonical, "logits must be a DataArray"),
        (heatcap.join, "tables must be a Mapping"),
        (lambda x: heatcap.join({"one.nc": x}), "one.nc must be a Dataset"),
    ],
)
def test_what_has_no_labels_is_refused_by_name(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"{message}, got ndarray"):
        call(np.ones((4, 5)))
