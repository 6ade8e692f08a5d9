"""The figure of a verdict shows what the verdict says, and nothing overlaps."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from heatcap.attention import heat_capacity_bound
from heatcap.divergence import CLASSES, divergence_test
from heatcap.figures import caption, save
from heatcap.figures import verdict as draw

from pictures import gids, overlapping, words

pytestmark = pytest.mark.usefixtures("without_extras")

SIX = 2.0 ** np.arange(3, 9)
TEN = 2.0 ** np.arange(3, 13)
PRIMES = np.array([19.0, 23, 29, 37, 43, 59, 73, 83, 97, 113])
LOG = np.array([2.477, 2.554, 2.673, 2.737, 2.932, 3.074, 3.135, 3.234, 3.297, 3.345])
CASES = {
    "bounded": (SIX, 4 - 10 / SIX, 0.01, "L"),
    "undecided": (PRIMES, LOG, 0.01, "p"),
    "divergent": (TEN, 1 + np.log(TEN) ** 2 / 4, 0.005, "L"),
    "power-law": (SIX, 1 + 0.3 * SIX, 0.01, "number_of_keys"),
    "flat": (SIX, np.full(6, 3.0), 0.01, "L"),
}


@pytest.fixture(scope="module")
def verdicts():
    found = {
        name: divergence_test(sizes, heights, noise * heights, size_name=called)
        for name, (sizes, heights, noise, called) in CASES.items()
    }
    assert {name: each.verdict for name, each in found.items()} == {name: name for name in CASES}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_nothing_overlaps_and_axes_are_named(name, verdicts):
    figure = draw(verdicts[name], name="heat_capacity")
    assert overlapping(figure) == []
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.get_axes() if ax.axison)


def test_panels_hold_the_numbers_of_the_verdict(verdicts):
    result = verdicts["undecided"]
    figure = draw(result)
    (points,) = gids(figure, "height")
    assert points.get_xdata() == pytest.approx(PRIMES)
    assert points.get_ydata() == pytest.approx(LOG)
    (local,) = gids(figure, "local exponent")
    assert local.get_ydata() == pytest.approx([r["exponent"] for r in result.local_exponents])
    assert local.get_xdata()[0] == pytest.approx(1 / np.log(PRIMES).mean())
    (region,) = gids(figure, "region")
    shown = region.get_array()
    rise = result.crossover.chi2.T - result.crossover.lowest
    assert np.array_equal(np.ma.getmaskarray(shown), rise > 5.991465)
    (least,) = gids(figure, "kappa_min")
    assert least.get_xdata()[0] == result.margins.kappa_min
    assert figure.get_axes()[0].get_xscale() == "log"


@pytest.mark.parametrize("name", CASES)
def test_excluded_classes_are_dotted_and_said_to_be(name, verdicts):
    result = verdicts[name]
    figure = draw(result)
    colours = set()
    for kind in CLASSES:
        (line,) = gids(figure, f"fit {kind}")
        assert line.is_dashed() == (kind not in result.plausible)
        assert (f"{kind} (excluded)" in words(figure)) == (kind not in result.plausible)
        assert line.get_ydata() == pytest.approx(result.curves[kind]["heights"])
        colours.add(to_hex(line.get_color()))
    assert len(colours) == 4


def test_the_caption_has_verdict_set_margins_and_what_bounded_means(verdicts):
    for result in verdicts.values():
        figure = draw(result)
        said = caption(figure)
        assert "verdict" not in words(figure)
        assert f"verdict: {result.verdict} (" in said
        assert f"not excluded at 95%: {', '.join(result.plausible)}" in said
        assert "power law from kappa = 0.1, bounded up to 2 times" in said
        assert ("a crossover, or a transition" in said) == ("bounded" in result.plausible)


def test_the_limit_of_the_crossover_length_is_drawn_where_there_is_one(verdicts):
    (limit,) = gids(draw(verdicts["power-law"]), "limit")
    assert limit.get_ydata()[0] == verdicts["power-law"].crossover_length_lower_limit95 > 0
    assert "lower limit of the crossover length" in words(draw(verdicts["power-law"]))
    assert gids(draw(verdicts["flat"]), "limit") == []


def test_best_fits_go_on_beyond_the_data(verdicts):
    (beyond,) = gids(draw(verdicts["bounded"]), "beyond the data")
    assert beyond.get_x() == 256
    assert verdicts["bounded"].curves["bounded"]["sizes"][-1] > 4 * 256


@pytest.mark.slow
def test_warnings_and_what_a_bound_excludes_are_shown():
    heights = np.array([1.697, 2.259, 3.523, 4.627, 6.054, 7.725])
    result = divergence_test(SIX, heights, 0.03 * heights, bound=heat_capacity_bound)
    figure = draw(result)
    assert "power-law (excluded by bound)" in words(figure)
    assert "warning: bound: it grows slower than any power" in caption(figure)
    assert overlapping(figure) == []
    headed = draw(result, head=True)
    assert "warning: bound: it grows slower than any power" in words(headed)
    assert overlapping(headed) == []


def test_heights_that_fall_or_are_negative_have_words_instead_of_panels():
    heights = np.array([0.53, 0.5, 0.46, 0.43, -0.1, -0.2])
    result = divergence_test(SIX, heights, np.full(6, 0.02))
    assert np.isnan(result.exponent.value)
    figure = draw(result)
    said = words(figure)
    assert "no local exponents" in said
    assert overlapping(figure) == []
    falling = 3 + 10 / SIX
    figure = draw(divergence_test(SIX, falling, 0.01 * falling))
    assert "the heights do not grow" in words(figure)
    assert overlapping(figure) == []


def test_a_misfit_has_words_instead_of_a_region():
    heights = (4 - 10 / SIX) * [1, 1, 3, 1, 1, 1]
    result = divergence_test(SIX, heights, 0.01 * heights)
    assert result.status == "misfit"
    figure = draw(result)
    assert gids(figure, "region") == gids(figure, "limit") == []
    assert "no class is named" in words(figure)
    assert overlapping(figure) == []


def test_powers_that_miss_the_heights_have_words_instead_of_a_region():
    sizes = 2.0 ** np.arange(3, 10)
    heights = sizes**0.5 * (1 + 3 / sizes)  # a correction that no cut-off mimics
    result = divergence_test(sizes, heights, 0.001 * heights)
    assert result.verdict == "power-law"
    assert result.crossover_length_lower_limit95 == 0
    assert "no limit, cut-off powers do not describe the heights" in result.summary()
    figure = draw(result)
    assert gids(figure, "region") == gids(figure, "limit") == []
    assert "cut-off powers do not\ndescribe the heights" in words(figure)
    assert r"\kappa_{\min}" not in words(figure)  # nor has the key what no panel shows
    assert overlapping(figure) == []


@pytest.mark.slow
def test_drawing_leaves_no_trace_and_files_are_equal(verdicts, tmp_path):
    before = dict(mpl.rcParams)
    first, *others = (save(draw(verdicts["bounded"]), tmp_path / f"{k}.pdf")[0] for k in range(4))
    assert dict(mpl.rcParams) == before
    assert all(each.read_bytes() == first.read_bytes() for each in others)


def test_fits_that_coincide_show_in_the_gaps_of_one_another(verdicts):
    result = verdicts["bounded"]
    offsets = set()
    for kind in ("logarithmic", "power-law"):
        (line,) = gids(draw(result), f"fit {kind}")
        start, (dot, gap) = line._unscaled_dash_pattern
        assert gap >= 2 * dot
        offsets.add(round(start % (dot + gap), 6))
    assert len(offsets) == 2
    first, second = sorted(offsets)
    assert second - first >= dot


@pytest.mark.parametrize("name", CASES)
def test_local_exponents_are_seen_from_zero(name, verdicts):
    result = verdicts[name]
    ax = draw(result, panel="exponents").get_axes()[0]
    low, high = ax.get_ylim()
    shown = [row["exponent"] for row in result.local_exponents]
    assert low < 0 < high
    assert low < min(shown) <= max(shown) < high
    assert high - low >= 0.2
    assert high - low < 3.6 * max(np.ptp([*shown, 0.0]), 0.2)


def test_the_head_stands_above_the_panels_or_in_the_caption(verdicts):
    whole, bare = (draw(verdicts["bounded"], head=head) for head in (True, False))
    assert "power law from kappa" in words(whole)
    assert caption(whole) == ""
    assert bare.get_figheight() < whole.get_figheight()
    assert overlapping(whole) == []


def test_single_column_one_panel_and_axes_of_a_figure(verdicts):
    result = verdicts["bounded"]
    single = draw(result, width="single")
    assert single.get_figwidth() == 3.4
    assert overlapping(single) == []
    assert [ax.get_title("left") for ax in single.get_axes()] == ["(a)", "(b)", "(c)"]
    alone = draw(result, panel="cut-offs")
    assert len(gids(alone, "region")) == len(alone.get_axes()) == 1
    assert caption(alone).count(":") < caption(single).count(":")
    mine = Figure()
    ax = mine.subplots()
    assert draw(result, axes=ax) is mine
    assert len(gids(mine, "height")) == 1
    assert "power-law" in words(mine)
    with pytest.raises(ValueError, match="panel must be one of heights, exponents, cut-offs, all"):
        draw(result, panel="profile")
    with pytest.raises(ValueError, match="width must be one of single, double, got 'wide'"):
        draw(result, width="wide")
