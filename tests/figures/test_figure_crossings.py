"""The figures of crossings and of peaks."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

from heatcap.figures import caption, new_figure, save
from heatcap.figures import crossings as draw_crossings
from heatcap.figures import extrema as draw_extrema
from heatcap.figures.panels import paper
from heatcap.scaling import crossings, extrema, points, read_table
from heatcap.systems import Planted

from pictures import gids, overlapping, words

TEN = (8, 11, 16, 23, 32, 45, 64, 91, 128, 181)


def planted(function, sizes, exponent=0.0):
    system = Planted(function=function, exponent=exponent, correction=0.3, noise=0.005)
    table = system.sample(sizes, lambda L: system.grid(L, width=2.5, count=13), rng=0)
    return read_table(table, size="size", control="control", value="value", error="value_error")


@pytest.fixture(scope="module")
def crossed():
    data = planted("binder", [8, 16, 32, 64, 128])
    return crossings(data, drift=2.0, rng=0, draws=100), data


@pytest.fixture(scope="module")
def peaked():
    data = planted("lorentzian", [8, 16, 32, 64, 128], 0.5)
    return extrema(data, rng=0, draws=100), data


def test_crossings_are_ringed_and_extrapolated(crossed):
    result, data = crossed
    figure = draw_crossings(result, data, names=("L", "K"))
    (rings,) = gids(figure, "crossing")
    assert rings.get_xdata() == pytest.approx(result.x)
    assert rings.get_ydata() == pytest.approx(result.height)
    (pairs,) = gids(figure, "pair")
    assert pairs.get_xdata() == pytest.approx(result.middle**-2.0)
    assert pairs.get_ydata() == pytest.approx(result.x)
    assert next(iter(gids(figure, "x_c"))).get_xdata()[0] == result.x_c.value
    (line,) = gids(figure, "extrapolation")
    assert [line.get_xdata()[-1], line.get_ydata()[-1]] == pytest.approx([0, result.x_c.value])
    (band,) = gids(figure, "band")
    at_infinity = [y for x, y in band.get_paths()[0].vertices if x == 0]
    ends = [result.x_c.value - result.x_c.error, result.x_c.value + result.x_c.error]
    assert [min(at_infinity), max(at_infinity)] == pytest.approx(ends)
    assert {ax.get_xlabel()[:3] for ax in figure.axes} == {"$K$", "$L$"}
    assert "Status: ok." in caption(figure)


def test_peaks_are_ringed_and_their_heights_fitted(peaked):
    result, data = peaked
    figure = draw_extrema(result, data, names=("L", "K"))
    (rings,) = gids(figure, "peak")
    assert rings.get_ydata() == pytest.approx(result.height)
    (heights,) = gids(figure, "height")
    assert heights.get_xdata() == pytest.approx(result.size)
    (power,) = gids(figure, "power")
    assert np.interp(64, power.get_xdata(), power.get_ydata()) == pytest.approx(
        result.height[3], rel=0.02
    )
    assert "peak of value" in words(figure)


@pytest.mark.parametrize("sizes", [(16, 32), (8, 16, 32, 64), TEN])
def test_nothing_overlaps_with_two_sizes_or_ten(sizes):
    data = planted("binder", sizes)
    figure = draw_crossings(crossings(data, rng=0, draws=60), data, names=("L", "K"))
    assert overlapping(figure) == []
    data = planted("lorentzian", sizes, 0.5)
    figure = draw_extrema(extrema(data, rng=0, draws=60), data, names=("L", "K"))
    assert overlapping(figure) == []


def test_no_crossing_and_no_peak_are_said_on_the_page():
    x = np.linspace(0, 1, 9)
    data = points(np.repeat([8.0, 16], 9), np.tile(x, 2), np.r_[x, x + 5], np.full(18, 0.01))
    for find, draw, panel, said in (
        (crossings, draw_crossings, "pairs", "nothing to extrapolate: no crossing"),
        (extrema, draw_extrema, "heights", "no size has a peak inside its data"),
    ):
        result = find(data, rng=0, draws=60)
        assert said in words(draw(result, data, panel=panel))
        figure = draw(result, data)
        assert len(figure.axes) == 1
        assert not gids(figure, "x_c")
        assert f"Status: {result.status}" in caption(figure)
        assert overlapping(figure) == []


def test_one_panel_one_column_and_words_of_ones_own(crossed, peaked):
    labels = {"control": "$T/J$", "value": "$U_4$", "size": "N"}
    for (result, data), draw, last, words_there in (
        (crossed, draw_crossings, "pairs", "$T/J$ at the crossing"),
        (peaked, draw_extrema, "heights", "peak of $U_4$"),
    ):
        figure = draw(result, data, width="single", labels=labels)
        assert figure.get_size_inches()[0] == 3.4
        assert [ax.get_title(loc="left") for ax in figure.axes] == ["(a)", "(b)"]
        assert overlapping(figure) == []
        said = words(figure)
        assert words_there in said
        assert "status" not in said.lower()
        own = new_figure(3.4, 2.5)
        ax = own.subplots()
        assert draw(result, data, panel=last, axes=ax) is own
        assert ax.lines
        with pytest.raises(ValueError, match=f"panel must be one of data, {last}, all"):
            draw(result, data, panel="windows")


def test_a_page_without_sizes_has_no_legend():
    figure, ((left,), (right,)) = paper([("data", 1), ("pairs", 1)], [], "L", {}, "single", None)
    figure.draw_without_rendering()
    assert figure.axes == [left, right]
    assert not any(part.legends for part in figure.subfigs)
    assert left.get_position().y0 > right.get_position().y1


def test_figures_are_written_and_leave_no_trace(crossed, tmp_path):
    before = dict(mpl.rcParams)
    for path in save(draw_crossings(*crossed), tmp_path / "figure"):
        assert path.stat().st_size > 5000
    assert dict(mpl.rcParams) == before
