"""Figures of power laws and crossovers: what is drawn is what was found."""

from __future__ import annotations

import numpy as np
import pytest

from heatcap import figures
from heatcap.scaling import crossover, power_law

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
    assert len(lines(none, "local exponent")) == 1


def test_no_answer_is_a_figure_and_files_are_written(tmp_path):
    few = figures.power_law(power_law([8, 16], [1.0, 0.5], [0.1, 0.1]), name="N")
    pdf, png = figures.save(few, tmp_path / "out.pdf")
    assert pdf.stat().st_size
    assert png.stat().st_size
