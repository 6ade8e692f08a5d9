"""Errors of means over few runs, where they are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from heatcap.core.student import (
    MANY,
    degrees_behind,
    errors_of_means,
    steadied_variances,
    student_factor,
)


def test_variances_of_three_runs_have_their_bias_taken_off():
    """Of true variance 1: exponential, of median ln 2 and geometric mean e^-gamma."""
    own = -np.log1p(-(np.arange(4001) + 0.5) / 4001)
    steadied, _ = steadied_variances(np.append(own, 0.0), np.append(np.full(4001, 3.0), 1.0))
    assert steadied[-1] == pytest.approx(np.log(2) * np.exp(np.euler_gamma), rel=1e-3)


def test_errors_of_many_runs_are_those_of_the_textbook():
    deviation, runs = np.array([0.2, 0.4]), np.full(2, 1e5)
    errors, wider = errors_of_means(np.array([1.0, 2.0]), deviation**2, runs)
    assert errors == pytest.approx(deviation / np.sqrt(runs), rel=1e-3)
    assert wider == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("free", [1.0, 3.0, 19.0, 500.0])
def test_degrees_of_freedom_come_back_from_their_factor(free):
    assert degrees_behind(float(student_factor(free + 1))) == pytest.approx(free, rel=1e-6)
    assert degrees_behind(1.0) == MANY
