"""The figure of a collapse: data, collapsed data, residuals, scan of models."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex

from heatcap.figures import caption, new_figure, save, styled
from heatcap.figures import collapse as draw
from heatcap.scaling import Parameter, collapse, points

from collapse_marks import planted
from pictures import gids, overlapping, words


@pytest.fixture(scope="module")
def fitted():
    data = planted(np.random.default_rng(0), 0.005, 0.0)
    return collapse(data), data


@pytest.fixture(scope="module")
def pair(fitted):
    data = fitted[1]
    twin = points(data.size, data.control, data.value, data.error, name="B")
    return collapse([data, twin]), [data, twin]


@pytest.fixture(scope="module")
def noise():
    rng = np.random.default_rng(0)
    size, x = np.repeat([16.0, 32, 64, 128], 15), np.tile(np.linspace(0.9, 1.1, 15), 4)
    data = points(size, x, 0.01 * rng.normal(size=60), np.full(60, 0.01))
    return collapse(data), data


@pytest.fixture(scope="module")
def few():
    data = points([16, 32], [1, 1], [1, 2], [0.1, 0.1])
    return collapse(data), data


def drawn(figure, *names):
    return sum(len(line.get_xdata()) for line in gids(figure, *names))


# ---- what is drawn -------------------------------------------------------------------------


def test_the_estimate_and_the_scaling_function_are_drawn(fitted):
    result, data = fitted
    figure = draw(result, data, names=("L", "x"))
    (line,) = gids(figure, "x_c")
    x_c = result.parameters["x_c"]
    assert line.get_xdata()[0] == x_c.value
    (band,) = gids(figure, "x_c error")
    assert [band.get_x(), band.get_width()] == pytest.approx([x_c.value - x_c.error, 2 * x_c.error])
    (f,) = gids(figure, "f")
    over = result.curves[0]["covered"] > 1
    assert f.get_ydata()[over] == pytest.approx(result.curves[0]["f"][over])
    assert "Status: ok." in caption(figure)
    assert line.axes.get_xlabel() == "$x$"


def test_every_point_is_drawn_and_those_of_the_fit_collapse(fitted):
    """With a fit that leaves points out: they are open among the data and nowhere else."""
    result, data = fitted
    (curve,) = result.curves
    kept = (np.arange(len(data)) % 3 > 0) & np.isfinite(curve["y_corrected"])
    figure = draw(replace(result, curves=[curve | {"used": kept}]), data)
    n = int(kept.sum())
    assert drawn(figure, "raw") == drawn(figure, "point") == drawn(figure, "residual") == n
    assert drawn(figure, "left out") == len(data) - n
    assert {line.get_mfc() for line in gids(figure, "left out")} == {"white"}
    assert "open: left out of the fit" in caption(figure)
    residuals = np.concatenate([line.get_ydata() for line in gids(figure, "residual")])
    assert np.sort(residuals) == pytest.approx(np.sort(curve["residual"][kept]))


def test_what_the_label_says_is_drawn(fitted):
    """Amplitude included: (x - x_c) L^(1/nu) and A L^-exponent of the table, raw."""
    result, data = fitted
    p = {name: parameter.value for name, parameter in result.parameters.items()}
    figure = draw(result, data, names=("L", "T"), panel="collapse", raw=True)
    (ax,) = figure.axes
    assert ax.get_xlabel() == "($T$ $-$ $T_c$) $L$$^{\\,1/\\nu}$"
    assert ax.get_ylabel() == f"$A$ $L$$^{{\\,{-p['exponent']:.4f}}}$"
    (small,) = (a for a in gids(figure, "point") if a.get_marker() == "o")
    rows = data.size == 16
    x = (data.control[rows] - p["x_c"]) * 16 ** p["inverse_nu"]
    assert small.get_xdata() == pytest.approx(x)
    assert small.get_ydata() == pytest.approx(data.value[rows] * 16 ** -p["exponent"])


def test_a_scaling_function_is_drawn_where_sizes_overlap(fitted):
    result, data = fitted
    (f,) = gids(draw(result, data), "f")
    x = f.get_xdata()[np.isfinite(f.get_ydata())]
    reach = [np.ptp(result.curves[0]["x_scaled"][data.size == s]) for s in (64, 128)]
    assert np.ptp(x) == pytest.approx(reach[0], rel=0.05)
    assert np.ptp(x) < 0.7 * reach[1]


def test_a_size_keeps_its_colour_and_marker_in_all_panels(pair):
    result, data = pair
    figure = draw(result, data)
    looks = {(to_hex(a.get_color()), a.get_marker()) for a in gids(figure, "raw", "left out")}
    assert len(looks) == len({c for c, _ in looks}) == len({m for _, m in looks}) == 4
    for gid in ("point", "residual"):
        assert {(to_hex(a.get_color()), a.get_marker()) for a in gids(figure, gid)} <= looks


def test_several_observables_have_a_row_each_and_share_x_c(pair):
    figure = draw(*pair)
    lines = gids(figure, "x_c")
    assert len(lines) == len(gids(figure, "f")) == 2
    assert len({line.get_xdata()[0] for line in lines}) == 1
    assert [line.axes.get_ylabel() for line in lines] == ["$A$", "$B$"]
    assert len(gids(figure, "average")) == 4  # x_c, 1/nu and two exponents


def test_the_scan_shows_models_that_weigh_something(fitted):
    result, data = fitted
    figure = draw(result, data)
    some = [m for m in result.models if m["weight"] > 1e-4]
    averages = gids(figure, "average")
    assert len(averages) == 3
    for line, name in zip(averages, ("x_c", "inverse_nu", "exponent"), strict=True):
        assert line.get_ydata()[0] == result.parameters[name].value
        shown = [a for a in line.axes.lines if a.get_gid() == "model"]
        assert [a.get_ydata()[0] for a in shown] == [m["parameters"][name] for m in some]
        is_open = [a.get_mfc() == "white" for a in shown]
        everything = min(m["smallest_size"] for m in result.models)
        assert is_open == [m["smallest_size"] > everything for m in some]
        heaviest = max(range(len(some)), key=lambda k: some[k]["weight"])
        assert shown[heaviest].get_markersize() == max(a.get_markersize() for a in shown)
        places = [tick.get_text() for tick in line.axes.get_xticklabels()]
        for a, m in zip(shown, some, strict=True):
            assert places[round(a.get_xdata()[0])] == f"{m['share_of_points']:g}"


def test_a_band_too_thin_to_be_seen_is_doubled_and_said_to_be(fitted):
    result, data = fitted
    (curve,) = result.curves
    tall = np.ptp(curve["f"])
    for width, factor, said in (
        (0.05, 1, "(one standard deviation)"),
        (0.003, 2, "(two standard deviations)"),
    ):
        changed = curve | {"band": np.full(curve["f"].size, width * tall)}
        figure = draw(replace(result, curves=[changed]), data)
        (band,) = gids(figure, "band")
        top = band.get_paths()[0].vertices[:, 1].max()
        highest = curve["f"][curve["covered"] > 1].max()
        assert top == pytest.approx(highest + factor * width * tall)
        assert said in caption(figure)


# ---- what is fixed, failed or missing ------------------------------------------------------


def test_a_fixed_parameter_is_named_and_not_scanned(fitted):
    data = fitted[1]
    figure = draw(collapse(data, fixed={"exponent": -0.25, "inverse_nu": 0.8}), data)
    assert "exponent = −0.25 (fixed)" in caption(figure)
    assert len(gids(figure, "average")) == 1
    (label,) = (a.get_ylabel() for a in figure.axes if "corrected" in a.get_ylabel())
    assert label == "$A$ size$^{\\,0.25}$, corrected"


def test_correlated_points_have_no_bars_of_their_own(fitted):
    data = fitted[1].take(np.arange(len(fitted[1])) % 2 == 0)
    same = points(data.size, data.control, data.value, covariance=np.diag(data.error**2))
    figure = draw(collapse(same), same, panel="collapse")
    assert not figure.axes[0].collections[1:]  # the band alone
    assert "correlated" in caption(figure)


def test_what_failed_has_no_line_and_says_so_in_the_caption(noise):
    result, data = noise
    assert not result.ok
    figure = draw(result, data)
    assert f"Status: {result.status} ({result.message})." in caption(figure)
    assert gids(figure, "f", "x_c error")
    assert not gids(figure, "x_c")


def test_with_too_few_points_the_data_alone_are_drawn(few, tmp_path):
    figure = draw(*few)
    assert "too few points" in caption(figure)
    assert drawn(figure, "raw", "left out") == 2
    assert len(figure.axes) == 1
    assert len(gids(draw(*few, panel="collapse"), "no data")) == 1
    assert not gids(figure, "f", "x_c", "model", "point")
    assert all(path.stat().st_size for path in save(figure, tmp_path / "few.pdf"))
    with pytest.raises(ValueError, match="no windows to draw: no fit, too few points"):
        draw(*few, panel="windows")


def test_an_estimate_far_from_the_data_is_in_the_caption(fitted):
    result, data = fitted
    far = {**result.parameters, "x_c": replace(result.parameters["x_c"], value=3.0)}
    figure = draw(replace(result, parameters=far), data)
    assert not gids(figure, "x_c", "x_c error")
    assert "beyond the data and not drawn" in caption(figure)
    assert figure.axes[0].get_xlim()[1] < 1.2


def test_averages_that_no_fit_is_near_are_said_to_leave_larger_residuals(fitted):
    result, data = fitted
    (curve,) = result.curves
    assert "add up" not in caption(draw(result, data))
    larger = curve | {"residual": 2 * curve["residual"]}
    said = caption(draw(replace(result, curves=[larger]), data))
    total = np.nansum(larger["residual"][curve["used"]] ** 2)
    assert f"their squares add up to {total:.0f}" in said


def test_parameters_that_the_data_do_not_determine_are_drawn_without_an_error(fitted, tmp_path):
    result, data = fitted
    endless = {name: Parameter(p.value, np.inf, 0.0) for name, p in result.parameters.items()}
    (curve,) = result.curves
    reference = curve["reference"] | {"exponent": {"value": -0.25, "error": np.inf}}
    changed = replace(result, parameters=endless, curves=[curve | {"reference": reference}])
    figure = draw(changed, data)
    save(figure, tmp_path / "endless")
    assert gids(figure, "average")
    assert not gids(figure, "x_c error", "average error")
    assert "$A$ size$^{\\,0.25}$, corrected" in words(figure)


def test_other_data_than_those_of_the_collapse_are_refused(fitted):
    result, data = fitted
    with pytest.raises(ValueError, match="no data"):
        draw(result, [])
    with pytest.raises(ValueError, match="the collapse is of A; the data of A, C"):
        draw(result, [data, replace(data, name="C")])


# ---- the page ------------------------------------------------------------------------------


@pytest.mark.parametrize("width", ["double", "single"])
@pytest.mark.parametrize("name", ["fitted", "pair", "noise", "few"])
def test_no_texts_overlap(name, width, request):
    figure = draw(*request.getfixturevalue(name), width=width)
    assert figure.get_size_inches()[0] == {"double": 7, "single": 3.4}[width]
    assert overlapping(figure) == []


@pytest.mark.parametrize("panel", ["data", "collapse", "residuals", "windows"])
def test_one_kind_of_panel_has_a_page_or_axes_of_ones_own(pair, panel):
    result, data = pair
    many = 4 if panel == "windows" else 2
    alone = draw(result, data, panel=panel, width="single")
    assert len(alone.axes) == many
    with styled():
        own = new_figure(7, 3)
        axes = own.subplots(1, many)
    assert draw(result, data, panel=panel, axes=list(axes)) is own
    marks = {line.get_gid() for line in alone.axes[0].lines} - {None}
    assert marks
    assert {line.get_gid() for line in axes[0].lines} >= marks
    with pytest.raises(ValueError, match=f"expected {many} axes for {panel}, got 1"):
        draw(result, data, panel=panel, axes=axes[0])


def test_nothing_but_letters_labels_and_a_legend_is_on_the_page(fitted):
    result, data = fitted
    labels = {"control": "$T/J$", "value": "$m$", "size": "N"}
    figure = draw(result, data, labels=labels)
    said = words(figure)
    assert not {"status", "chi", "scaling function", "error (", "p ="} & set(said.split("  "))
    assert "status" not in said
    assert "$\\chi" not in said
    letters = [ax.get_title(loc="left") for ax in figure.axes]
    assert letters == ["(a)", "(b)", "(c)", "(d)", "(e)", "(f)"]
    assert "($T/J$ $-$ $x_c$) $N$" in said
    assert "$m$ $N$$^" in said
    for wrong in ({"panel": "top"}, {"width": "3"}, {"labels": {"y": "m"}}):
        with pytest.raises(ValueError, match=r"must be one of|labels are of"):
            draw(result, data, **wrong)


def test_many_sizes_and_long_names_have_room():
    rng = np.random.default_rng(0)
    size, x = np.repeat(np.arange(30.0) * 1000 + 1000, 4), np.tile([0.1, 0.2, 0.3, 0.4], 30)
    name = "landscape_heat_capacity_$of_the_second_kind$"
    data = points(size, x, rng.normal(size=120), np.ones(120), name=name)
    refused = replace(collapse(data.take(data.size < 1500)), message="words $and_ more " * 20)
    figure = draw(refused, data, names=("width_of_the_model", "share_of_training_data"))
    assert overlapping(figure) == []
    assert len({a.get_color() for a in gids(figure, "left out")}) == 30


def test_a_legend_reads_row_by_row():
    size, x = np.repeat(np.arange(10.0, 25), 2), np.tile([0.9, 1.1], 15)
    data = points(size, x, size, np.ones(30))
    refused = collapse(data.take(data.size < 11))
    figure = draw(refused, data, width="single")
    (legend,) = figure.subfigs[0].legends
    figure.draw_without_rendering()
    at = {text.get_text(): text.get_window_extent().get_points()[0] for text in legend.get_texts()}
    rows = sorted({round(y) for _, y in at.values()}, reverse=True)
    assert len(rows) > 1
    order = sorted((w for w in at if w != "size"), key=lambda w: (-round(at[w][1]), at[w][0]))
    assert order == [str(k) for k in range(10, 25)]


def test_no_trace_is_left_in_matplotlib(fitted, tmp_path):
    with mpl.rc_context():
        mpl.rcdefaults()
        before = dict(mpl.rcParams)
        _, png = save(draw(*fitted), tmp_path / "collapse")
        assert "Status: ok" in (tmp_path / "collapse.caption.txt").read_text()
        svg, _ = save(draw(*fitted), tmp_path / "collapse.svg")
        assert svg.read_text().startswith("<?xml")
        assert dict(mpl.rcParams) == before
    assert mpl.image.imread(png).shape[1] == 1400
