"""Rows of a table that are used."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatcap.core.choice import Choice, interval

SIZE = np.array([8.0, 8, 16, 16, 64, np.nan])
CONTROL = np.array([0.1, 0.5, 0.1, 0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"sizes": "16:"}, [3, 4, 5, 6]),
        ({"sizes": ":16"}, [1, 2, 3, 4, 6]),
        ({"sizes": "8,64"}, [1, 2, 5, 6]),
        ({"window": "0.2:"}, [2, 4, 5, 6]),
        ({"window": "0.05,0.2"}, [1, 3]),
        ({"drop": "2,5"}, [1, 3, 4, 6]),
        ({"sizes": "8", "window": ":0.2", "drop": "3"}, [1]),
    ],
)
def test_rows_are_chosen(options, rows):
    used = Choice.of(**options).rows(SIZE, CONTROL)
    assert (np.flatnonzero(used) + 1).tolist() == rows


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sizes": "9"}, "there is no size 9, there are 8, 16, 64"),
        ({"window": "2:1"}, "expected lo:hi with lo below hi, got 2:1"),
        ({"window": "1:2:3"}, "--window: expected lo:hi, got 1:2:3"),
        ({"window": "5:6"}, "no row is left: --window 5:6, the control of the chosen rows is 0.1"),
        ({"drop": "0"}, "expected rows of the data, 1 or more, got 0"),
        ({"drop": "7"}, "--drop 7: there are 6 rows of data"),
        ({"sizes": "8,b"}, "--sizes: expected numbers, got 8,b"),
    ],
)
def test_what_is_not_there_is_named(options, expected):
    with pytest.raises(ValueError, match=expected):
        Choice.of(**options).rows(SIZE, CONTROL)


@given(low=st.floats(-1e9, 1e9), width=st.floats(1e-3, 1e9))
def test_an_interval_is_read_as_it_is_written(low, width):
    assert interval("--window", f"{low!r}:{low + width!r}") == (low, low + width)
