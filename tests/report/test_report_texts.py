"""Texts from files: what would be a formula, or nothing that a page can hold."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

import pytest
from matplotlib.artist import Artist
from matplotlib.figure import Figure

import heatcap as hc
from heatcap.figures import verdict
from heatcap.report.plans import Plan as Picture
from heatcap.report.plans import drawn

from synthetic import Plan, observables

NAME = "landscape_heat_capacity"
NAMES = ("a$b$c", "a$\\frac{$", "$", "{", "x{y$z$", "50% $_$", "\\")


@pytest.fixture(scope="module")
def table():
    return observables([Plan(p=p, seed=s) for p in (19, 31) for s in range(2)], scan=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_formulas(table, name):
    obs = table.rename({NAME: name, "p": "size"})
    obs = obs.assign_coords(size_name=("run", [name] * obs.sizes["run"]))
    page = hc.build_report(obs, name).html()
    assert "could not be drawn" not in page
    assert page.count("<svg") == 2  # evolution, leads
    assert page.count("There is no figure: expected at least 4 sizes") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_formulas_in_the_figure_of_a_verdict(sweep_report, name):
    found = replace(sweep_report.verdicts[NAME], size_name=name)
    plan = Picture("k", "t", "c", lambda: verdict(found, name=name, head=False))
    assert not drawn(plan).missing


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["\x00", "\x0b", "\x1b", "\ufffe", "\ud800"])
def test_control_characters_are_shown(table, sign):
    runs = [f"r{sign}{k}" for k in range(table.sizes["run"])]
    obs = table.rename({NAME: f"n{sign}", "p": "size"}).assign_coords(
        run=runs, size_name=("run", [f"s{sign}"] * len(runs))
    )
    found = hc.build_report(obs, f"n{sign}", title=f"t{sign}", command=f"c{sign}")
    page = found.html()
    page.encode()
    assert sign not in page
    assert "could not be drawn" not in page
    said = sign.encode("unicode_escape").decode()
    assert f"r{said}0" in page
    assert [each.name for each in found.answers] == [f"n{said}"]


def test_what_can_be_shown_is_left_alone(table):
    assert hc.build_report(table, NAME).obs["run"].equals(table["run"])


def test_a_figure_that_fails_leaves_the_page():
    class Failing(Artist):
        def draw(self, _):
            raise ValueError("\nno such letter")

    def broken():
        figure = Figure()
        figure.subplots().add_artist(Failing())
        return figure

    found = drawn(Picture("k", "t", "c", broken))
    assert found.image is None
    assert found.missing == "it could not be drawn (no such letter)"
    assert found.caption == ""


def test_the_policy_has_the_hash_of_the_script(sweep_page):
    page = sweep_page
    script = re.findall(r"<script>(.*?)</script>", page, re.S)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert re.findall("script-src '([^']*)'", policy.replace("&#39;", "'")) == [f"sha256-{digest}"]
