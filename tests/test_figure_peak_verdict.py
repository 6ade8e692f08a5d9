"""The figure of a verdict along the control shows what the verdict says, and nothing overlaps."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from peak_marks import TRUTHS, control

from heatcap.divergence import CLASSES, peak_test
from heatcap.figures import peak_verdict as draw

from pictures import gids, overlapping, words

X = control(40)
CASES = {"power-law": "alpha = 1, delta = 0.03", "bounded": "Gaussian, w = 0.2"}


@pytest.fixture(scope="module")
def verdicts():
    found = {}
    for kind, name in CASES.items():
        y = TRUTHS[name][1](X)
        error = np.full(40, 0.01 * y.max())
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
    said = words(figure)
    assert f"verdict: {kind} (" in said
    assert "only heights against" in said


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
