"""The explorer in a browser without a network: sliders move the points, and chi^2 tells."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from test_explorer import EVIL, fitted, some

from heatcap.report import explore
from heatcap.scaling import collapse, read_table
from heatcap.systems import Planted

pytestmark = pytest.mark.slow

COMMAND = (
    "heatcap collapse ising.csv --value binder --error binder_error --fix exponent=0 "
    "--excluded logarithms"
)
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def planted():
    system = Planted(function="order_parameter", exponent=-0.125, correction=0.2, noise=0.005)
    table = system.sample([8, 12, 16, 24, 32], system.grid, rng=3)
    names = {"size": "size", "control": "control", "value": "value", "error": "value_error"}
    return read_table(table, **names)


@pytest.fixture(scope="module")
def saved(planted, tmp_path_factory):
    """Pages by name."""
    folder = tmp_path_factory.mktemp("explorers")
    both = [some(name="m"), some(name="chi", noise=0.02)]
    joint = fitted(both, exponent_m=(0.5, 0.02), exponent_chi=(0.4, 0.02))
    evil = some(name=EVIL)
    narrow = some().take(np.abs(some().control - 1) * some().size < 1.5)
    return {
        "plain": explore(fitted(), some(), names=("L", "T"), command=COMMAND).save(
            folder / "plain.html"
        ),
        "planted": explore(collapse(planted), planted).save(folder / "planted.html"),
        "joint": explore(joint, both, names=("L", "T")).save(folder / "joint.html"),
        "narrow": explore(fitted([narrow], x_c=(1.003, 0.002)), some()).save(
            folder / "narrow.html"
        ),
        "dimension": explore(
            replace(fitted(dimension=(1.0, 0.01)), ansatz="first-order"), some()
        ).save(folder / "dimension.html"),
        "log_l0": explore(
            replace(fitted(log_l0=(0.5, 0.1)), ansatz="kosterlitz-thouless"), some()
        ).save(folder / "log_l0.html"),
        "evil": explore(fitted([evil]), evil, names=(EVIL, EVIL)).save(folder / "evil.html"),
    }


@pytest.fixture
def page(chromium, saved):
    """Opens a page by name; at the end it has asked for nothing and raised nothing."""
    chromium.media(prefers_color_scheme="light")
    chromium.requests.clear()
    chromium.errors.clear()
    opened = []

    def show(name, width=1400):
        opened.append(saved[name].as_uri())
        chromium.open(saved[name], width)
        chromium.eval(DRAWN)
        return chromium

    yield show
    assert chromium.errors == []
    assert {url for url in chromium.requests if not url.startswith("data:")} == {*opened}


def move(page, slider, places):
    page.eval(
        f"(() => {{const s = document.getElementById('slider-{slider}'); s.value = {places};"
        "s.dispatchEvent(new Event('input'))})()"
    )
    page.eval(DRAWN)


def text(page, name):
    return page.eval(f"document.getElementById('{name}').textContent")


def quality(page, name="raw"):
    return float(text(page, name))


def drawn(page, plot=0):
    """Points as they are drawn, in the units of the axes: size, x, y."""
    svg = f"document.querySelectorAll('.plot svg')[{plot}]"
    x0, x1, y0, y1 = json.loads(page.eval(f"{svg}.dataset.limits"))
    left, right, top, bottom = json.loads(page.eval(f"{svg}.dataset.frame"))
    rows = []
    for size, path in page.eval(
        f"[...{svg}.querySelectorAll('.marks')].map((p) => [p.dataset.size, p.getAttribute('d')])"
    ):
        for x, y in re.findall(r"M([-\d.]+) ([-\d.]+)", path):
            rows.append(
                (
                    float(size),
                    x0 + (x1 - x0) * (float(x) - left) / (right - left),
                    y0 + (y1 - y0) * (bottom - float(y)) / (bottom - top),
                )
            )
    return np.array(rows).T, (x1 - x0) / (right - left), (y1 - y0) / (bottom - top)


def agreement(data, x_c, inverse_nu, exponent):
    """Mean squared distance of every point from cubics through four neighbours, by Vandermonde."""
    x = (data.control - x_c) * data.size**inverse_nu
    y, e = data.value * data.size**-exponent, data.error * data.size**-exponent
    terms = []
    for k in range(len(data)):
        found = []
        for size in np.unique(data.size[data.size != data.size[k]]):
            rows = np.flatnonzero(data.size == size)
            room = 1e-9 * np.ptp(x[rows])
            if not x[rows].min() - room <= x[k] <= x[rows].max() + room:
                continue
            above = int(np.count_nonzero(x[rows] <= x[k]))
            rows = rows[np.clip(above - 2, 0, rows.size - 4) :][:4]
            powers = np.vander((x[rows] - x[k]), 4)
            weights = np.linalg.solve(powers.T, [0, 0, 0, 1])
            found.append((weights @ y[rows], weights**2 @ e[rows] ** 2))
        if found:
            value, variance = np.array(found).T
            mean = np.average(value, weights=1 / variance)
            terms.append((y[k] - mean) ** 2 / (e[k] ** 2 + 1 / np.sum(1 / variance)))
    return np.mean(terms)


@pytest.mark.parametrize("places", [(0, 0, 0), (37, -22, 51), (7, 3, -2)])
def test_points_and_chi2_are_those_of_the_parameters(page, places):
    tab, data = page("plain"), some()
    sliders = json.loads(text(tab, "data"))["sliders"]
    for k, place in enumerate(places):
        move(tab, k, place)
    theta = [s["start"] + s["step"] * p for s, p in zip(sliders, places, strict=True)]
    (size, x, y), one_x, one_y = drawn(tab)
    assert (size == data.size).all()
    assert np.abs(x - (data.control - theta[0]) * size ** theta[1]).max() < one_x
    assert np.abs(y - data.value * size ** -theta[2]).max() < one_y
    assert quality(tab) == pytest.approx(agreement(data, *theta), abs=0.006, rel=0.01)


def test_points_that_the_fit_left_out_are_drawn_on_request_and_do_not_count(page):
    tab, data = page("narrow"), some()
    inside = data.take(np.abs(data.control - 1) * data.size < 1.5)
    best = quality(tab)
    assert best == pytest.approx(agreement(inside, 1.003, 1, 0.5), abs=0.006)
    assert best != pytest.approx(agreement(data, 1.003, 1, 0.5), abs=0.02)
    assert drawn(tab)[0].shape[1] == len(inside)
    tab.click("#all")
    tab.eval(DRAWN)
    assert drawn(tab)[0].shape[1] == len(data)
    assert quality(tab) == best


@pytest.mark.parametrize("name", ["dimension", "log_l0"])
def test_other_forms_have_their_own_stretch(page, name):
    tab, data = page(name), some()
    move(tab, 1, 20)
    slider = json.loads(text(tab, "data"))["sliders"][1]
    shape = slider["start"] + 20 * slider["step"]
    stretch = data.size**shape if name == "dimension" else (np.log(data.size) - shape) ** 2
    (_, x, _), one, _ = drawn(tab)
    assert np.abs(x - (data.control - 1) * stretch).max() < one
    label = tab.eval("document.querySelector('.axis.x').textContent")
    assert ("sized" if name == "dimension" else "(ln size/L₀)²") in label


@pytest.mark.parametrize("slider", [0, 1, 2])
def test_a_moved_slider_is_worse_and_back_to_the_fit_restores(page, slider):
    tab = page("plain")
    before, best = drawn(tab)[0], quality(tab)
    assert 0.5 < best < 1.5
    for place in (-40, 40):
        move(tab, slider, place)
        assert quality(tab) > 1.5 * best
        assert np.abs(drawn(tab)[0] - before).max() > 0.01
        assert quality(tab, "raw-fit") == best
        assert "outside 95 %" in text(tab, f"about-{slider}")
    tab.click("#back")
    tab.eval(DRAWN)
    assert (drawn(tab)[0] == before).all()
    assert quality(tab) == best
    assert "inside 68 %" in text(tab, f"about-{slider}")


def test_the_keyboard_does_everything(page):
    tab = page("plain")
    seen, start = [], quality(tab)
    for _ in range(14):
        tab.press("Tab", 9)
        seen.append(tab.eval("document.activeElement.id"))
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert tab.eval(outline) == "solid", seen
        if seen[-1] == "slider-0":
            for _ in range(30):
                tab.press("ArrowRight", 39)
        if seen[-1] == "back":
            break
    assert [each for each in seen if each.startswith(("slider", "back"))] == [
        "slider-0", "slider-1", "slider-2", "back"
    ]  # fmt: skip
    tab.eval(DRAWN)
    assert quality(tab) > start + 1
    valuetext = "document.getElementById('slider-0').getAttribute('aria-valuetext')"
    assert "outside 95 %" in tab.eval(valuetext)
    tab.press("Enter", 13, "\r")
    tab.eval(DRAWN)
    assert quality(tab) == start


def test_a_number_is_typed(page):
    tab = page("plain")
    tab.eval(
        "(() => {const n = document.getElementById('number-0'); n.value = '1.05';"
        "n.dispatchEvent(new Event('change'))})()"
    )
    tab.eval(DRAWN)
    (size, x, _), one, _ = drawn(tab)
    assert np.abs(x - (some().control - 1.05) * size).max() < one
    # Beyond its range the slider stands at its end.
    ends = "(() => {const s = document.getElementById('slider-0'); return [s.value, s.max]})()"
    assert len({*tab.eval(ends)}) == 1


def test_sizes_are_switched_off_and_two_are_needed(page):
    tab = page("plain")
    tab.click("[data-size='0']")
    tab.eval(DRAWN)
    assert {*drawn(tab)[0][0]} == {16, 32}
    assert quality(tab) == quality(tab, "raw-fit")
    tab.click("[data-size='1']")
    tab.eval(DRAWN)
    assert text(tab, "raw") == "no overlap"


def test_corrections_follow_the_sliders(page):
    """With them taken off, one error of a parameter leaves the sizes together."""
    tab = page("planted")
    best, raw = quality(tab, "corrected"), quality(tab)
    assert best == pytest.approx(1, abs=0.3)
    assert raw > 1.5
    before = drawn(tab)[0]
    tab.click("#take-off")
    tab.eval(DRAWN)
    after = drawn(tab)[0]
    assert np.abs(after - before).max() > 0.01
    assert tab.eval("!document.querySelector('.taken').hidden")
    move(tab, 1, -10)
    assert best < quality(tab, "corrected") < best + 0.5
    assert quality(tab) > raw + 1


def test_every_observable_has_a_plot_and_its_own_exponent(page):
    tab = page("joint")
    before = [drawn(tab, plot)[0] for plot in (0, 1)]
    move(tab, 3, 40)
    after = [drawn(tab, plot)[0] for plot in (0, 1)]
    assert (before[0] == after[0]).all()
    assert np.abs(before[1] - after[1]).max() > 0.01
    parts = tab.eval("[...document.querySelectorAll('output.part')].map((o) => o.textContent)")
    assert float(parts[1].split()[-1]) > 2 > float(parts[0].split()[-1])


@pytest.mark.parametrize("name", ["plain", "planted", "joint", "evil"])
@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_the_screen_in_both_themes(page, name, width):
    tab = page(name, width)
    assert tab.eval("document.documentElement.scrollWidth") <= width
    assert tab.eval("document.querySelector('.plot svg').childElementCount") > 10
    shades = []
    for scheme in ("light", "dark"):
        tab.media(prefers_color_scheme=scheme)
        colour = tab.eval("getComputedStyle(document.querySelector('.plot')).backgroundColor")
        shades.append(sum(map(int, re.findall(r"\d+", colour)[:3])))
    assert shades[0] > 600 > 150 > shades[1]


def test_regions_are_where_the_slider_has_its_values(page):
    """The middle of the thumb stands in the middle of a place of the slider without its ends."""
    tab = page("plain")
    slider = json.loads(text(tab, "data"))["sliders"][0]
    (left, right), (low, high) = tab.eval(
        "['.track .outer', '#slider-0'].map((q) => {const r = "
        "document.querySelector(q).getBoundingClientRect(); return [r.left, r.right]})"
    )
    for edge, value in ((left, slider["outer"][0]), (right, slider["outer"][1])):
        place = (value - slider["start"]) / slider["step"]
        share = (place - slider["low"]) / (slider["high"] - slider["low"])
        assert edge == pytest.approx(low + 9 + share * (high - low - 18), abs=0.5)


def test_sliders_span_more_on_request(page):
    tab, data = page("plain"), some()
    move(tab, 0, 8)
    slider = json.loads(text(tab, "data"))["sliders"][0]
    tab.eval(
        "(() => {const s = document.getElementById('span'); s.value = '10';"
        "s.dispatchEvent(new Event('change'))})()"
    )
    assert tab.eval("document.getElementById('slider-0').value") == "1"
    assert f"{slider['start'] + 8 * slider['step']:.4f}" in tab.eval(
        "document.getElementById('number-0').value"
    )
    move(tab, 0, 20)
    (size, x, _), one, _ = drawn(tab)
    assert np.abs(x - (data.control - slider["start"] - 200 * slider["step"]) * size).max() < one
    narrow = tab.eval("document.querySelector('.track .outer').getBoundingClientRect().width")
    tab.click("#back")
    assert tab.eval("document.getElementById('slider-0').value") == "0"
    assert narrow < 20


@pytest.mark.parametrize("width", [320, 390, 460])
def test_a_command_breaks_between_its_words(page, width):
    """Not after the hyphens of an option, which then reads as two words."""
    tab = page("plain", width)
    assert tab.eval("document.querySelector('.provenance code').textContent") == COMMAND
    tops, bottoms = tab.eval(
        "['top', 'bottom'].map((side) => [...document.querySelectorAll('.provenance code span')]"
        ".map((s) => s.getBoundingClientRect()[side]))"
    )
    one = bottoms[0] - tops[0]
    assert len(tops) == len(COMMAND.split())
    assert [b - t for t, b in zip(tops, bottoms, strict=True)] == pytest.approx([one] * len(tops))
    assert len({*tops}) > 1
    assert tab.eval("document.documentElement.scrollWidth") == width


def test_names_of_columns_run_nothing(page):
    tab = page("evil")
    assert "alert(1)" in tab.eval("document.querySelector('h1').textContent")
    assert tab.eval("document.querySelectorAll('main img').length") == 0
