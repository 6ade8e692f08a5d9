"""The figure of a collapse: data, collapsed data, residuals, scan of models."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

from heatcap.figures import collapse as draw
from heatcap.figures import save
from heatcap.scaling import collapse, points

from collapse_marks import planted


@pytest.fixture(scope="module")
def fitted():
    data = planted(np.random.default_rng(0), 0.005, 0.0)
    return collapse(data), data


def gids(figure, gid):
    return [artist for artist in figure.findobj() if artist.get_gid() == gid]


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def test_the_estimate_and_the_scaling_function_are_drawn(fitted):
    result, data = fitted
    before = dict(mpl.rcParams)
    figure = draw(result, data, names=("L", "x"))
    (line,) = gids(figure, "x_c")
    assert line.get_xdata()[0] == result.parameters["x_c"].value
    (f,) = gids(figure, "f")
    assert f.get_ydata() == pytest.approx(result.curves[0]["f"])
    assert "status: ok" in words(figure)
    assert dict(mpl.rcParams) == before


def test_several_observables_have_a_row_each(fitted):
    data = fitted[1]
    twin = points(data.size, data.control, data.value, data.error, name="B")
    result = collapse([data, twin])
    assert len(gids(draw(result, [data, twin]), "f")) == 2


def test_what_failed_says_so_in_the_head(tmp_path):
    few = points([16, 32], [1, 1], [1, 2], [0.1, 0.1])
    figure = draw(collapse(few), few)
    assert "too few points" in words(figure)
    assert not gids(figure, "f")
    assert all(path.stat().st_size for path in save(figure, tmp_path / "few.pdf"))


def test_other_data_than_those_of_the_collapse_are_refused(fitted):
    with pytest.raises(ValueError, match="data"):
        draw(fitted[0], [])
