"""The page in a browser without a network: it opens, sorts, zooms, reads out, and prints."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.slow

VIEW = "#figure-evolution .view"


@pytest.fixture(scope="module")
def path(sweep_page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(sweep_page, encoding="utf-8")
    return path


@pytest.fixture
def page(chromium, path):
    chromium.media(prefers_color_scheme="light")
    chromium.requests.clear()
    chromium.errors.clear()
    chromium.open(path)
    yield chromium
    assert chromium.errors == []
    assert {url for url in chromium.requests if not url.startswith("data:")} == {path.as_uri()}


def column(page, name):
    """Cells of a column of the table of peaks, as they stand."""
    return page.eval(
        "(() => {const t = document.getElementById('data-peaks');"
        "const k = [...t.tHead.rows[0].cells].findIndex("
        f"(c) => c.textContent.trim() === '{name}');"
        "return [...t.tBodies[0].rows].map((r) => r.cells[k].dataset.v ?? r.cells[k].textContent)"
        "})()"
    )


def head(name):
    return (
        "[...document.querySelectorAll('#data-peaks th')].find("
        f"(c) => c.textContent.trim() === '{name}')"
    )


def test_tables_sort_by_click_and_by_key(page):
    before = column(page, "step")
    page.eval(f"{head('step')}.firstElementChild.click()")
    assert page.eval(f"{head('step')}.getAttribute('aria-sort')") == "ascending"
    steps = [float(text) for text in column(page, "step") if text]
    assert steps == sorted(steps)
    assert sorted(column(page, "step")) == sorted(before)
    page.eval(f"{head('step')}.firstElementChild.focus()")
    page.press("Enter", 13, "\r")
    assert page.eval(f"{head('step')}.getAttribute('aria-sort')") == "descending"
    assert [float(t) for t in column(page, "step") if t] == steps[::-1]
    page.eval(f"{head('run')}.firstElementChild.focus()")
    page.press(" ", 32, " ")
    assert page.eval(f"{head('step')}.hasAttribute('aria-sort')") is False
    assert column(page, "run") == sorted(column(page, "run"))


def test_what_has_no_value_comes_last_both_ways(page):
    for _ in range(2):
        page.eval(f"{head('lead')}.firstElementChild.click()")
        missing = [text == "" or text == "–" for text in column(page, "lead")]
        assert any(missing)
        assert missing == sorted(missing)


def test_rows_are_filtered(page):
    shown = "[...document.querySelectorAll('#data-runs tbody tr')].filter((r) => !r.hidden).length"
    assert page.eval(shown) == 16
    page.eval(
        "(() => {const i = document.querySelector('[data-filter=data-runs]');"
        "i.value = 'random'; i.dispatchEvent(new Event('input'))})()"
    )
    assert page.eval(shown) == 2
    assert page.eval("document.querySelector('#table-runs .said').textContent") == "2 of 16 rows"


def test_a_table_is_copied_as_csv(page):
    page.eval(
        "Object.defineProperty(navigator, 'clipboard',"
        "{value: {writeText: async (text) => { window.copied = text; }}})"
    )
    page.click("[data-copy-table=data-sizes]")
    lines = page.eval("window.copied").split("\n")
    assert lines[0].startswith("observable,p,runs,with peak,height,error,step")
    assert len(lines) == 1 + 3 * 4
    assert re.match(r"heat_capacity,19,3,3,0\.\d+,", lines[1])
    page.click("[data-copy=bibtex]")
    assert page.eval("window.copied").startswith("@software{heatcap,")
    assert page.eval("document.querySelector('[data-copy=bibtex] + .said').textContent") == (
        "Copied."
    )


def box(page, view=VIEW):
    text = page.eval(f"document.querySelector('{view} svg').getAttribute('viewBox')")
    return [float(each) for each in text.split()]


def test_a_figure_zooms_by_button_key_and_wheel(page):
    x, y, w, h = box(page)
    page.click("#figure-evolution [data-zoom=in]")
    assert box(page)[2] == pytest.approx(w / 1.5, abs=0.01)
    page.eval(f"document.querySelector('{VIEW}').focus()")
    page.press("+", 187, "+")
    closer = box(page)
    assert closer[2] == pytest.approx(w / 2.25, abs=0.01)
    page.press("ArrowRight", 39)
    assert box(page)[0] == pytest.approx(closer[0] + 0.1 * closer[2], abs=0.02)
    page.press("0", 48, "0")
    assert box(page) == pytest.approx([x, y, w, h], abs=0.01)
    place = centre(page, VIEW)
    page.mouse("mouseWheel", *place, deltaX=0, deltaY=-120, modifiers=2)
    page.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert box(page)[2] < w
    page.click("#figure-evolution [data-zoom=reset]")
    assert box(page) == pytest.approx([x, y, w, h], abs=0.01)


def test_the_wheel_alone_scrolls_the_page(page):
    whole = box(page)
    page.mouse("mouseWheel", *centre(page, VIEW), deltaX=0, deltaY=-120)
    assert box(page) == whole


def test_a_zoomed_figure_is_dragged(page):
    for _ in range(3):
        page.click("#figure-evolution [data-zoom=in]")
    start = box(page)
    x, y = centre(page, VIEW)
    page.mouse("mousePressed", x, y, button="left", clickCount=1)
    page.mouse("mouseMoved", x - 100, y, button="left")
    page.mouse("mouseReleased", x - 100, y, button="left", clickCount=1)
    assert box(page)[0] > start[0] + 1


def centre(page, query):
    return page.eval(
        f"(() => {{const e = document.querySelector('{query}');"
        "e.scrollIntoView({block: 'center', behavior: 'instant'});"
        "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]})()"
    )


def test_what_is_under_the_pointer_is_read_out(page):
    """At the place of a height, as the data say where it is, the page says the height."""
    view = "#figure-verdict-heat-capacity .view"
    x, y, label = page.eval(
        f"(() => {{const v = document.querySelector('{view}');"
        "v.scrollIntoView({block: 'center', behavior: 'instant'});"
        "const p = JSON.parse(v.parentElement.querySelector('.panels').textContent)"
        ".find((p) => p.title === 'heights');"
        "const s = p.series.find((s) => Array.isArray(s.label));"
        "const r = v.querySelector('svg').getBoundingClientRect();"
        "const t = (a, u) => (a.log ? Math.log(u) : u);"
        "const q = (a, u) => (t(a, u) - t(a, a.limits[0])) /"
        " (t(a, a.limits[1]) - t(a, a.limits[0]));"
        "const [l, o, e, b] = p.box;"
        "return [r.x + r.width * (l + q(p.x, s.x[1]) * (e - l)),"
        "r.y + r.height * (b - q(p.y, s.y[1]) * (b - o)), s.label[1]]})()"
    )
    said = f"document.querySelector('{view} .readout')"
    page.mouse("mouseMoved", x, y)
    title, place, point = page.eval(f"{said}.textContent").split("\n")
    assert title == "heights"
    assert float(re.match(r"p ([\d.]+), height", place)[1]) == pytest.approx(31, rel=0.02)
    assert point == label
    assert label.startswith("p = 31: ")
    assert page.eval(f"getComputedStyle({said}).visibility") == "visible"
    page.mouse("mouseMoved", x, 5)
    assert page.eval(f"getComputedStyle({said}).visibility") == "hidden"


def test_the_point_that_is_read_out_is_drawn_there(page):
    """The drawing has a marker where the readout has its data."""
    x, y = page.eval(
        "(() => {const v = document.querySelector('#figure-verdict-heat-capacity .view');"
        "v.scrollIntoView({block: 'center', behavior: 'instant'});"
        "const u = [...v.querySelectorAll('g[clip-path] > use')].map((e) => "
        "e.getBoundingClientRect());"
        "return [u[0].x + u[0].width / 2, u[0].y + u[0].height / 2]})()"
    )
    page.mouse("mouseMoved", x, y)
    said = page.eval("document.querySelector('#figure-verdict-heat-capacity .readout').textContent")
    assert "p = 19: " in said


def test_themes_follow_the_system_and_the_button(page):
    back = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('svg.drawing')).fill"
    light = page.eval(back), page.eval(ink)
    page.click("#theme")
    assert page.eval("document.getElementById('theme').getAttribute('aria-pressed')") == "true"
    dark = page.eval(back), page.eval(ink)
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    page.click("#theme")
    assert (page.eval(back), page.eval(ink)) == light
    page.media(prefers_color_scheme="dark")
    assert (page.eval(back), page.eval(ink)) == light  # chosen by hand
    page.eval("delete document.documentElement.dataset.theme")
    assert (page.eval(back), page.eval(ink)) == dark


def test_text_is_legible_in_both_themes(page):
    """Contrast of all text that is not part of a figure is 4.5 or more."""
    worst = (
        "(() => {const n = (c) => c.match(/[\\d.]+/g).map(Number);"
        "const l = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ?"
        " v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, k) => s + v * "
        "[0.2126, 0.7152, 0.0722][k], 0);"
        "const back = (e) => {for (; e; e = e.parentElement) {"
        "const c = n(getComputedStyle(e).backgroundColor); if (c[3] !== 0) return c;}"
        "return [255, 255, 255];};"
        "let worst = [99, ''];"
        "for (const e of document.querySelectorAll('main *, header *, footer *')) {"
        "if (e.closest('svg, .readout') || ![...e.childNodes].some((c) => c.nodeType === 3 && "
        "c.textContent.trim())) continue;"
        "const [a, b] = [l(n(getComputedStyle(e).color)), l(back(e))];"
        "const c = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);"
        "if (c < worst[0]) worst = [c, e.outerHTML.slice(0, 80)];} return worst;})()"
    )
    for scheme in ("light", "dark"):
        page.media(prefers_color_scheme=scheme)
        contrast, where = page.eval(worst)
        assert contrast >= 4.5, f"{scheme}: {where}"


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window(page, width):
    page.size(width)
    page.eval("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.eval("document.documentElement.scrollWidth") <= width


def test_it_is_printed_whole_and_light(page):
    page.media(prefers_color_scheme="dark")
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF")
    assert 6 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 30
    assert page.eval("document.querySelectorAll('details[open]').length") == 0
    page.call("Emulation.setEmulatedMedia", media="print")
    hidden = "getComputedStyle(document.querySelector('{}')).display"
    assert page.eval(hidden.format(".tools")) == "none"
    assert page.eval(hidden.format("#theme")) == "none"
    assert page.eval("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.eval("getComputedStyle(document.getElementById('bibtex')).overflowX") == "visible"
    # A button in a head keeps Chromium from repeating it on every page.
    head = "document.querySelector('#data-peaks th')"
    assert page.eval(f"getComputedStyle({head}.firstElementChild).display") == "none"
    assert page.eval(f"getComputedStyle({head}, '::before').content") == '"observable"'
    assert page.eval("getComputedStyle(document.querySelector('.view')).borderRightWidth") == "0px"
    page.call("Emulation.setEmulatedMedia", media="")


def test_the_keyboard_reaches_the_answers_first(page):
    page.press("Tab", 9)
    assert page.eval("document.activeElement.textContent") == "Skip to the answers"
    page.press("Enter", 13, "\r")
    assert page.eval("document.activeElement.id") == "main"


def test_figures_have_names_and_captions(page):
    named = (
        "[...document.querySelectorAll('[role=img]')].map((e) => e.getAttribute('aria-labelledby')"
        ".split(' ').map((id) => document.getElementById(id).textContent.length))"
    )
    lengths = page.eval(named)
    assert len(lengths) >= 5
    assert all(n > 10 for each in lengths for n in each)
