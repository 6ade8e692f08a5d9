"""Figures of power laws and crossovers: what is drawn is what was found."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from heatcap import figures
from heatcap.figures.panels import log_axis
from heatcap.scaling import crossover, power_law

from pictures import overlapping, words

SIZES = 8.0 * 2.0 ** np.arange(8)


def noisy(y, error):
    return y + error * np.random.default_rng(0).standard_normal(y.size)


def lines(figure, gid):
    return [line for ax in figure.axes for line in ax.lines if line.get_gid() == gid]


def test_a_power_law_is_drawn_with_its_points_windows_and_answer():
    y = SIZES**-0.7
    found = power_law(SIZES, noisy(y, 0.01 * y), 0.01 * y, name="loss")
    figure = figures.power_law(found, name="N")
    left, right = figure.axes
    (points,) = lines(figure, "point")
    assert points.get_ydata() == pytest.approx(found.y)
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    (fit,) = lines(figure, "fit")
    drawn = np.interp(np.log(SIZES), np.log(fit.get_xdata()), fit.get_ydata())
    assert drawn == pytest.approx(found.y, rel=0.05)
    (answer,) = lines(figure, "exponent")
    assert answer.get_ydata()[0] == pytest.approx(found.exponent.value)
    (local,) = lines(figure, "local exponent")
    assert local.get_ydata() == pytest.approx(found.slopes["value"])
    (windows,) = lines(figure, "window")
    assert windows.get_xdata()[0] == 8
    assert left.get_ylabel() == "loss"
    assert right.get_xlabel() == "$N$"


def test_with_a_limit_the_distance_from_it_is_drawn():
    error = np.full(8, 0.002)
    found = power_law(SIZES, noisy(0.5 - 0.3 * SIZES**-0.5, error), error, limit=True)
    figure = figures.power_law(found)
    (points,) = lines(figure, "point")
    assert points.get_ydata() == pytest.approx(np.abs(found.y - found.limit.value))
    assert "limit" in figure.axes[0].get_ylabel()


def test_a_crossover_is_marked_and_one_that_is_none_is_not():
    x = 16.0 * 2.0 ** (np.arange(13) / 2)
    y = 3 * ((x / 100) ** -2 + 1)
    found = crossover(x, noisy(y, 0.02 * y), 0.02 * y)
    figure = figures.crossover(found)
    assert {line.get_xdata()[0] for line in lines(figure, "x_cross")} == {found.x_cross.value}
    assert len(lines(figure, "below")) == len(lines(figure, "above")) == 1
    none = figures.crossover(crossover(x, noisy(x, 0.02 * x), 0.02 * x))
    assert not lines(none, "x_cross")
    (local,) = lines(none, "local exponent")
    assert local.get_ydata() == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize(("toward", "onward"), [("infinity", "on"), ("zero", "down")])
def test_the_caption_says_which_way_the_windows_shrink(toward, onward):
    y = SIZES**-0.7
    found = power_law(SIZES, noisy(y, 0.01 * y), 0.01 * y, toward=toward)
    said = figures.caption(figures.power_law(found))
    assert f"a pure power from each x {onward};" in said


def test_no_answer_is_a_figure_and_files_are_written(tmp_path):
    few = figures.power_law(power_law([8, 16], [1.0, 0.5], [0.1, 0.1]), name="N")
    pdf, png = figures.save(few, tmp_path / "out.pdf")
    assert pdf.stat().st_size
    assert png.stat().st_size


@pytest.fixture(scope="module")
def both():
    """A power law with a limit, and a crossover."""
    x = 16.0 * 2.0 ** (np.arange(13) / 2)
    y, error = 3 * ((x / 100) ** -2 + 1), np.full(8, 0.002)
    loss = noisy(0.5 - 0.3 * SIZES**-0.5, error)
    return {
        "power_law": power_law(SIZES, loss, error, limit=True, name="loss"),
        "crossover": crossover(x, noisy(y, 0.02 * y), 0.02 * y, name="loss"),
    }


@pytest.mark.parametrize("kind", ["power_law", "crossover"])
def test_the_page_has_letters_labels_and_legends_and_words_stand_beside(both, kind):
    draw, found = getattr(figures, kind), both[kind]
    for width, inches in {"single": 3.4, "double": 7.0}.items():
        figure = draw(found, width=width, labels={"control": "$N$", "value": "cost"})
        assert figure.get_figwidth() == inches
        assert overlapping(figure) == []
        assert [ax.get_title("left") for ax in figure.axes] == ["(a)", "(b)"]
        assert "cost" in figure.axes[0].get_ylabel()
        assert "status" not in words(figure)
    said = figures.caption(figure)
    assert f"Status: {found.status}" in said
    assert f"χ²/dof = {found.chi2:.1f}/{found.dof}" in said
    alone = draw(found, panel="exponents")
    assert [ax.get_title("left") for ax in alone.axes] == [""]
    assert "Data:" not in figures.caption(alone)
    ax = Figure().subplots()
    assert draw(found, axes=ax) is ax.figure
    assert ax.get_ylabel()
    with pytest.raises(ValueError, match="panel must be one of data, exponents, all"):
        draw(found, panel="windows")
    with pytest.raises(ValueError, match="labels are of control, value, size, got x"):
        draw(found, labels={"x": "N"})


@pytest.mark.parametrize(
    ("low", "high", "least"),
    [(0.9, 1.2, 3), (2.2, 4.9, 3), (3, 28, 3), (1e-6, 8e-6, 3), (4, 9e4, 4)],
)
def test_a_logarithmic_axis_of_any_length_has_three_numbers(low, high, least):
    ax = Figure().subplots()
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    log_axis(ax.xaxis)
    ax.figure.draw_without_rendering()
    at = [t for t in ax.xaxis.get_major_ticks() if low <= t.get_loc() <= high]
    numbers = [tick.label1.get_text() for tick in at]
    assert len(numbers) >= least
    assert all(numbers)
    assert len(set(numbers)) == len(numbers)
