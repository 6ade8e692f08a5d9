"""The page of sliders: its numbers are those of the fit, and text is only text."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from reading import Reader

from heatcap.core.result import Parameter, Status
from heatcap.report import explore
from heatcap.report.explorer import MOST
from heatcap.scaling import Collapse, collapse, kosterlitz_thouless, points

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\x1b]0;&\"'"
MOST_BYTES = 200_000


def some(count=21, sizes=(8, 16, 32), name="m", noise=0.01):
    rng = np.random.default_rng(0)
    rows = [(s, 1 + x / s) for s in sizes for x in np.linspace(-2, 2, count)]
    size, control = map(np.array, zip(*rows, strict=True))
    value = size**0.5 * np.tanh((control - 1) * size) + 2 * size**0.5
    error = noise * size**0.5
    return points(size, control, value + error * rng.standard_normal(size.size), error, name=name)


def fitted(data=(), **parameters):
    """A result as a fit gives it, without the fit."""
    numbers = {"x_c": (1.0, 0.002), "inverse_nu": (1.0, 0.01), "exponent": (0.5, 0.02)}
    numbers |= parameters
    return Collapse(
        {name: Parameter(value, error, 0.0) for name, (value, error) in numbers.items()},
        50.0, 48, 0.4, (0.75, 1.25), [8.0, 16.0, 32.0],
        curves=[{"name": d.name, "size": d.size, "control": d.control} for d in data],
    )  # fmt: skip


def data_of(page):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(found[1])


def test_sliders_begin_at_the_fit_with_its_regions():
    sliders = data_of(explore(fitted(), some()).html())["sliders"]
    assert [s["start"] for s in sliders] == [1.0, 1.0, 0.5]
    for slider, error in zip(sliders, (0.002, 0.01, 0.02), strict=True):
        low, high = (slider["start"] + slider["step"] * slider[end] for end in ("low", "high"))
        assert slider["inner"] == pytest.approx([slider["start"] - error, slider["start"] + error])
        assert slider["outer"][1] - slider["start"] == pytest.approx(1.959964 * error)
        assert low < slider["outer"][0] < slider["outer"][1] < high
        assert slider["step"] <= error / 10


def test_the_points_are_those_of_the_table():
    data = some()
    (observable,) = data_of(explore(fitted(), data).html())["observables"]
    assert [g["size"] for g in observable["groups"]] == [8, 16, 32]
    for key, column in (("x", data.control), ("y", data.value), ("e", data.error)):
        shown = np.concatenate([group[key] for group in observable["groups"]])
        assert np.abs(shown - column).max() < 1e-3 * data.error.min()


def test_points_that_the_fit_left_out_are_marked():
    data = some()
    page = data_of(explore(fitted([data.take(data.size > 8)]), data).html())
    out = [group["out"] for group in page["observables"][0]["groups"]]
    assert out == [list(range(21)), [], []]


@pytest.mark.parametrize("status", [Status.POOR_FIT, Status.UNIDENTIFIED, Status.AT_AN_EDGE])
def test_numbers_that_do_not_count_have_no_regions(status):
    page = explore(replace(fitted(), status=status, message="for a <reason>"), some()).html()
    assert {s["inner"] for s in data_of(page)["sliders"]} == {None}
    assert "for a &lt;reason&gt;" in page
    assert "There are no 68 and 95 % regions" in page


def test_a_condition_leaves_the_regions():
    conditional = replace(fitted(), status=Status.LOGARITHMS_NOT_EXCLUDED)
    assert all(s["inner"] for s in data_of(explore(conditional, some()).html())["sliders"])


def test_held_and_undetermined_parameters_have_sliders_without_a_region():
    result = replace(
        fitted(inverse_nu=(1.2, math.inf), exponent=(0.0, 0.0)), fixed={"exponent": 0.0}
    )
    page = explore(result, some()).html()
    _, shape, exponent = data_of(page)["sliders"]
    for slider in (shape, exponent):
        assert slider["inner"] is None
        assert slider["low"] < 0 < slider["high"]
    assert "0, held" in page
    assert "not determined" in page


def test_a_refused_fit_can_be_tried_by_hand():
    data = some(sizes=(8,))
    result = collapse(data)
    assert result.status == Status.TOO_FEW_SIZES
    page = explore(result, data).html()
    assert [s["start"] for s in data_of(page)["sliders"]] == pytest.approx([1.0, 1.0, 0.0])
    assert "Back to the start" in page


def test_every_observable_has_an_exponent():
    both = [some(name="m"), some(name="chi")]
    numbers = {"exponent_m": (0.5, 0.02), "exponent_chi": (1.75, 0.02)}
    sliders = data_of(explore(fitted(both, **numbers), both).html())["sliders"]
    assert [s["start"] for s in sliders] == [1.0, 1.0, 0.5, 1.75]


def test_what_cannot_be_shown_is_refused(tmp_path):
    data = some()
    with pytest.raises(ValueError, match="expected the data of m"):
        explore(fitted([data]), replace(data, name="n"))
    with pytest.raises(ValueError, match="no points"):
        explore(fitted(), [])
    with pytest.raises(ValueError, match="got 'mine'"):
        explore(replace(fitted(), ansatz="mine"), data)
    table = tmp_path / "table.html"
    table.write_text("L,x,m,e")
    page = explore(fitted(), data, sources=[table])
    for name, said in (("a.docx", "written as .html"), ("table.html", "is an input")):
        with pytest.raises(ValueError, match=said):
            page.save(tmp_path / name)
    assert table.read_text() == "L,x,m,e"


def test_text_of_tables_is_only_text():
    data = some(name=EVIL)
    result = replace(fitted([data]), status=Status.POOR_FIT, message=EVIL)
    page = explore(result, data, names=(EVIL, EVIL), command=EVIL).html()
    reader = Reader(page)
    assert [tag for tag, _ in reader.tags if tag in ("img", "iframe", "object")] == []
    assert page.count("</script") == page.count("<script") == 2
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert "\x1b" not in page
    assert "alert(1)" in "".join(reader.text)


def test_the_page_loads_nothing_and_its_policy_is_strict():
    reader = Reader(explore(fitted(), some()).html())
    policy = next(a["content"] for _, a in reader.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert all(link.startswith(("#", "data:")) for link in reader.links)
    assert len(reader.ids) == len(set(reader.ids))


def test_equal_inputs_give_equal_bytes(tmp_path):
    one, two = (explore(replace(fitted(), seconds=s), some()).html() for s in (1.0, 2.0))
    assert one == two
    assert explore(fitted(), some()).save(tmp_path / "fit.html").read_text("utf-8") == one


@pytest.mark.parametrize(("count", "sizes"), [(2000, 20), (3 * MOST, 20), (2000, 500)])
def test_the_size_of_the_page_is_limited(count, sizes):
    data = some(count // sizes, sizes=np.geomspace(2, 1e6, sizes), noise=1e-7)
    page = explore(fitted(), replace(data, control=data.control + np.pi)).html()
    assert len(page.encode()) < MOST_BYTES
    groups = data_of(page)["observables"][0]["groups"]
    shown = sum(len(group["x"]) for group in groups)
    assert shown == 2000 if count == 2000 else MOST / 2 < shown <= MOST + len(groups)
    assert len(groups) == sizes
    assert ("points are on this page" in page) == (count > 2000)


def test_the_length_of_the_kosterlitz_thouless_form_stays_below_the_sizes():
    assert kosterlitz_thouless.parameter == "log_l0"
    result = replace(fitted(log_l0=(1.0, 2.0)), ansatz="kosterlitz-thouless")
    shape = data_of(explore(result, some()).html())["sliders"][1]
    assert shape["start"] + shape["step"] * shape["high"] < math.log(8)
