"""Corrections of a collapse follow its parameters as a fit beside the best one has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heatcap.scaling import ANSATZE, Collapse, Points, collapse, points
from heatcap.scaling.collapse_fits import solve
from heatcap.scaling.collapse_problem import Model, Problem, names_of
from heatcap.scaling.following import corrections_of


def drifting(name: str = "m", sizes: tuple[int, ...] = (8, 12, 16, 24, 32)) -> Points:
    rng = np.random.default_rng(4)
    size, x = map(np.ravel, np.meshgrid(np.array(sizes, dtype=float), np.linspace(-1.5, 1.5, 15)))
    value = size**-0.2 * (2 + np.tanh(x)) * (1 + 0.8 / size)
    error = np.full(value.size, 0.002)
    return points(size, 1 + x / size, value + error * rng.standard_normal(x.size), error, name=name)


@pytest.fixture(scope="module")
def fit() -> Collapse:
    return collapse(drifting())


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_slopes_are_those_of_fits_beside_the_best(fit: Collapse, moved: int) -> None:
    data = drifting()
    follow = corrections_of(fit, [data])
    assert follow is not None
    row = max(fit.models, key=lambda model: model["weight"])
    pairs = np.column_stack([fit.curves[0]["size"], fit.curves[0]["control"]])
    rows = [k for k in range(len(data)) if (pairs == [data.size[k], data.control[k]]).all(1).any()]
    used = data.take(np.array(rows))
    form = ANSATZE["second-order"]
    names = names_of(form, ["m"])
    best = np.array([row["parameters"][name] for name in names])
    model = Model(row["knots"])
    free = Problem.of([used], form, names, {})
    knots = free.knots(best, model)
    step = 0.02 * row["errors"][("x_c", "inverse_nu", "exponent")[moved]]
    ends = []
    for sign in (-1, 1):
        theta = best.copy()
        theta[(0, 1, 4)[moved]] += sign * step
        held = {name: theta[names.index(name)] for name in ("x_c", "inverse_nu", "exponent")}
        problem = replace(free, fixed=held | {"omega": best[3]})
        ends.append(solve(problem, theta, model, knots=knots).theta[[2, 3, 5, 6, 7]])
    slopes = (ends[1] - ends[0]) / (2 * step)
    # In errors of the corrections for one error of the parameter; what is left is curvature.
    unit = 50 * step / np.array([row["errors"][names[k]] for k in (2, 3, 5, 6, 7)])
    assert np.abs(slopes * unit).max() > 0.3
    assert follow.slopes[:, moved] * unit == pytest.approx(slopes * unit, rel=0.06, abs=0.03)
    assert follow.values == pytest.approx(best[[2, 3, 5, 6, 7]])
    assert follow.best == pytest.approx(best[[0, 1, 4]])


def test_two_sizes_have_no_corrections() -> None:
    data = drifting(sizes=(8, 16))
    assert corrections_of(collapse(data), [data]) is None


def test_held_corrections_stay() -> None:
    data = drifting()
    held = collapse(data, fixed={"s": 0.0, "b": 0.0})
    follow = corrections_of(held, [data])
    assert follow is not None
    c, omega, b, a, s = follow.slopes
    assert not b.any()
    assert not s.any()
    assert not omega.any()
    assert c.any()
    assert a.any()


def test_no_fit_has_none() -> None:
    data = drifting(sizes=(8,))
    assert corrections_of(collapse(data), [data]) is None
