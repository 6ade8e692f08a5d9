"""The figure of a verdict along the control shows what the verdict says, and nothing overlaps."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

from heatcap.divergence import CLASSES, peak_test
from heatcap.figures import caption
from heatcap.figures import peak_verdict as draw

from peak_marks import TRUTHS, control
from pictures import gids, overlapping, words

pytestmark = pytest.mark.usefixtures("without_extras")

X = control(40)
CASES = {"power-law": "alpha = 1, delta = 0.03", "bounded": "Gaussian, w = 0.2"}


@pytest.fixture(scope="module")
def verdicts():
    found = {}
    for kind, name in CASES.items():
        y = TRUTHS[name][1](X)
        error = np.full(40, 0.003 * y.max())
        y = y + error * np.random.default_rng(0).normal(size=40)
        found[kind] = peak_test(X, y, error, control_name="T")
    assert {kind: each.verdict for kind, each in found.items()} == {kind: kind for kind in CASES}
    return found


@pytest.mark.parametrize("kind", CASES)
def test_nothing_overlaps_and_every_class_is_there(kind, verdicts):
    before = dict(mpl.rcParams)
    result = verdicts[kind]
    figure = draw(result, name="heat_capacity")
    assert overlapping(figure) == []
    assert dict(mpl.rcParams) == before
    for each in CLASSES:
        (line,) = gids(figure, f"fit {each}")
        assert line.is_dashed() == (each not in result.plausible)
        assert line.get_ydata() == pytest.approx(result.curves[each]["values"])
    said = caption(figure)
    assert f"verdict: {kind} (" in said
    assert "only heights against" in said


def test_without_a_named_class_every_fit_is_dotted_and_none_is_called_excluded():
    error = np.full(40, 0.02)
    values = 2 + X + error * np.random.default_rng(0).normal(size=40)
    result = peak_test(X, values, error, control_name="T", draws=100)
    assert result.status == "edge"
    figure = draw(result)
    assert overlapping(figure) == []
    assert all(line.is_dashed() for each in CLASSES for line in gids(figure, f"fit {each}"))
    said = words(figure) + caption(figure)
    assert "(excluded)" not in said
    assert "not excluded at 95%: no class is named" in said
    assert said.count("the maximum is at the edge of the window") == 1
    assert "no peak is seen" in said
    assert "interval of" not in said
    assert gids(figure, "profile") == []
    assert gids(figure, "interval") == []


def test_a_logarithmic_control_has_a_logarithmic_axis_and_distances(verdicts):
    plain = verdicts["power-law"].data
    result = peak_test(
        np.exp(X), plain.values, plain.errors, control_name="t", logarithmic=True, draws=100
    )
    figure = draw(result)
    assert overlapping(figure) == []
    left, centre, _ = figure.get_axes()
    assert left.get_xscale() == "log"
    assert left.get_xlabel().endswith("(logarithmic)")
    assert r"\ln" in centre.get_xlabel()
    (values,) = gids(figure, "value")
    assert values.get_xdata() == pytest.approx(np.exp(X))
    place = np.log(result.curves["power-law"]["x_c"])
    assert place == pytest.approx(0.037, abs=0.01)
    (before,), (after,) = gids(figure, "tail left"), gids(figure, "tail right")
    shown = np.concatenate([place - before.get_xdata(), place + after.get_xdata()])
    assert len(shown) > 10
    assert all(np.abs(X - each).min() < 1e-9 for each in shown)


def test_tails_and_profile_hold_the_numbers(verdicts):
    result = verdicts["power-law"]
    figure = draw(result)
    place = result.curves["power-law"]["x_c"]
    (left,), (right,) = gids(figure, "tail left"), gids(figure, "tail right")
    shown = np.concatenate([place - left.get_xdata(), place + right.get_xdata()])
    assert all(np.abs(X - each).min() < 1e-9 for each in shown)
    (profile,) = gids(figure, "profile")
    assert profile.get_ydata().min() == 0
    (interval,) = gids(figure, "interval")
    assert interval.get_x() == pytest.approx(result.exponent.ci95[0])


def test_without_a_power_law_there_are_words(verdicts):
    assert "no power law comes near" in words(draw(verdicts["bounded"]))


def test_where_no_class_is_named_none_is_called_excluded(verdicts):
    figure = draw(replace(verdicts["bounded"], status="misfit", plausible=()))
    said = words(figure) + caption(figure)
    assert "no tails: misfit" in said
    assert "no class describes the" in said
    assert "is excluded" not in said
