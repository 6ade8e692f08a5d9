"""The page is complete in itself, and text of run files is only text."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace

import pytest
from reading import Reader, few, report_of

from heatcap.core.quantities import FLUCTUATIONS, OBSERVABLES, spoken

from synthetic import observables

EVIL = "</script><script>alert(1)</script>--></svg>&"


def test_the_page_loads_nothing(sweep_page):
    reader = Reader(sweep_page)
    assert all(link.startswith(("#", "data:")) for link in reader.links)
    assert "url(http" not in sweep_page
    assert "@import" not in sweep_page
    policy = next(a["content"] for t, a in reader.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_identifiers_are_unique_and_references_are_kept(sweep_page):
    reader = Reader(sweep_page)
    assert len(reader.ids) == len(set(reader.ids))
    known = set(reader.ids)
    asked = re.findall(r"url\(#([^)]+)\)", sweep_page)
    asked += [link[1:] for link in reader.links if link.startswith("#")]
    for _, attributes in reader.tags:
        for name in ("aria-labelledby", "aria-describedby"):
            asked += (attributes.get(name) or "").split()
    assert asked
    assert set(asked) <= known


def test_headings_do_not_skip_a_level(sweep_page):
    heads = Reader(sweep_page).heads
    assert heads.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(heads))


@pytest.mark.slow
def test_equal_runs_give_equal_bytes():
    one, two = (report_of(observables(few((19, 31, 43, 59))), "heat_capacity") for _ in range(2))
    assert one is not two
    assert one.verdicts
    assert one.html() == two.html()
    assert one.summary() == two.summary()


@pytest.mark.slow
def test_text_of_run_files_is_only_text():
    obs = observables(few())
    obs = obs.assign_coords(run=[f"{EVIL}{k}" for k in range(4)], task=("run", [EVIL] * 4))
    obs = obs.assign_coords(control=("run", ["none", "none", EVIL, EVIL]))
    obs = obs.rename(landscape_heat_capacity=EVIL)
    obs.attrs["problems"] = json.dumps([EVIL])
    obs.attrs["command"] = EVIL
    page = report_of(obs, "heat_capacity", EVIL).html()
    reader = Reader(page)
    assert [a for tag, a in reader.tags if tag == "script" and "type" not in a] == [{}]
    assert page.count("</script") == page.count("<script")
    assert "alert(1)" in page
    assert all(re.fullmatch("[a-z0-9-]+", each) for each in reader.ids)
    assert f"{EVIL}0" in "".join(reader.text)
    data = re.findall(r'<script type="application/json" class="panels">(.*?)</script>', page)
    labels = {s["label"] for panels in data for p in json.loads(panels) for s in p["series"]
              if isinstance(s["label"], str)}  # fmt: skip
    assert any(label.startswith(f"{EVIL}0") for label in labels)


def test_the_title_is_escaped(single_report):
    page = replace(single_report, title="a < b").html()
    assert "<title>a &lt; b</title>" in page


@pytest.mark.slow
def test_saving_is_whole_or_not(single_report, tmp_path, monkeypatch):
    found = single_report
    path = tmp_path / "report.html"
    path.write_text("before")
    with pytest.raises(ValueError, match=r"written as \.html"):
        found.save(tmp_path / "report.pdf")
    with monkeypatch.context() as patch:
        patch.setattr("heatcap.report.page.methods", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            found.save(path)
    assert path.read_text() == "before"
    assert found.save(path) == path
    assert path.read_text().startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_result_is_plain_json(sweep_report):
    content = json.loads(json.dumps(sweep_report.to_dict(), allow_nan=False))
    assert [a["name"] for a in content["answers"]] == list(content["verdicts"])
    assert content["settings"]["seed"] == 0


def test_an_observable_has_one_name_on_the_page(sweep_page):
    """The name in files is left to the data of the tables and to the drawings' own words."""
    shown = "".join(Reader(re.sub(r"<svg.*?</svg>", "", sweep_page, flags=re.S)).text)
    assert "landscape heat capacity" in shown
    panels = re.findall(r'<script type="application/json" class="panels">.*?</script>', sweep_page)
    assert panels
    assert "landscape_heat_capacity" not in shown + "".join(panels)


def test_the_names_of_figures_are_those_of_the_page():
    for name in FLUCTUATIONS:
        assert OBSERVABLES[name].label.replace("\n", " ") == spoken(name)


def test_what_columns_mean_stands_beside_the_table(sweep_page):
    notes = dict(
        re.findall(r'id="note-(\w+)">.*?</p>\s*<p class="note columns">(.*?)</p>', sweep_page)
    )
    assert "<b>in errors</b>: prominence as a multiple" in notes["peaks"]
    assert "<b>× error</b>: factor up or down" in notes["sizes"]
    assert "<b>pairing p-value</b>: that peaks and onsets" in notes["heads"]
    assert "<b>pull</b>: seen less predicted" in notes["classes"]
