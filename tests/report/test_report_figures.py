"""Figures inside the page: colours of both themes, and what is read off under the pointer."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from heatcap.figures.panels import entitle, tell
from heatcap.report.plans import (
    CARD,
    POINTS,
    _contrast,
    _dark,
    _rgb,
    drawn,
    inline_svg,
    plans_of,
    readout,
)

pytestmark = pytest.mark.slow

PALETTE = ("000000", "e69f00", "56b4e9", "009e73", "0072b2", "d55e00", "cc79a7")


@pytest.fixture(scope="module")
def pictures(sweep_report):
    return {plan.key: drawn(plan) for plan in plans_of(sweep_report)}


def test_every_figure_is_there(pictures):
    assert not [p.missing for p in pictures.values() if p.missing]
    assert {"evolution", "evolution-random-labels", "leads", "scan"} <= set(pictures)
    assert sum(key.startswith("verdict-") for key in pictures) == 3
    assert pictures["evolution-random-labels"].folded
    assert all(any(digit in p.caption for digit in "123456789") for p in pictures.values())


def test_what_is_too_much_to_draw_is_said(sweep_report, monkeypatch):
    monkeypatch.setattr("heatcap.report.plans.DRAWN", 2)
    found = {plan.key: plan for plan in plans_of(sweep_report)}
    assert sum(key.startswith("verdict-") for key in found) == 2
    assert drawn(found["verdicts-left"]).missing == "1 more is in the tables alone"


@pytest.mark.parametrize("colour", [*PALETTE, "7f7f7f", "404040", "440154", "595959"])
def test_colours_are_legible_in_the_dark(colour):
    assert _contrast(_rgb(_dark(colour)), tuple(map(float, CARD))) >= 3.0


def test_the_palette_stays_what_it_is():
    assert [c for c in PALETTE[1:] if _dark(c) != c] == []
    assert _dark("ffffff") == "".join(f"{each:02x}" for each in CARD)


def test_no_grey_is_left_fixed(pictures):
    seen = set()
    for picture in pictures.values():
        fixed = set(re.findall(r"#([0-9a-fA-F]{6})\b", picture.image.text))
        for colour in fixed:
            rgb = _rgb(colour)
            assert max(rgb) - min(rgb) > 8, colour
        themed = set(re.findall(r"var\(--c-([0-9a-f]{6})\)", picture.image.text))
        assert themed
        assert themed <= picture.image.colours
        seen |= fixed
    assert seen & set(PALETTE)


def test_two_figures_share_no_identifier():
    def one(key):
        figure = Figure()
        figure.subplots().plot([1, 2], [3, 4])
        figure.set_layout_engine("none")
        return inline_svg(figure, key)

    a, b = (set(re.findall(r' id="([^"]+)"', one(key).text)) for key in "ab")
    assert a
    assert not a & b
    assert one("a") == one("a")


def test_places_of_panels_are_those_of_the_drawing():
    figure = Figure(figsize=(4, 2))
    ax = figure.add_axes((0.25, 0.5, 0.5, 0.25))
    (line,) = ax.plot([1, 10, 100], [0, 1, 2])
    ax.plot([1, 10], [0, 1])  # stands for nothing
    figure.add_axes((0, 0, 0.1, 0.1))  # nor does this panel
    tell(line, "0")
    entitle(ax, "t", "step", "C")
    ax.set_xscale("log")
    ax.set(xlim=(1, 100), ylim=(0, 2))
    (panel,) = readout(figure)
    assert panel["box"] == [0.25, 0.25, 0.75, 0.5]
    assert panel["x"] == {"name": "step", "limits": [1.0, 100.0], "log": True}
    assert panel["y"] == {"name": "C", "limits": [0.0, 2.0]}
    assert panel["series"] == [{"label": "0", "x": [1.0, 10.0, 100.0], "y": [0.0, 1.0, 2.0]}]


def test_long_lines_are_thinned_and_gaps_left_out():
    figure = Figure()
    ax = figure.subplots()
    y = np.linspace(0, 1, 1000)
    y[500] = np.nan
    (line,) = ax.plot(np.arange(1000), y)
    tell(line, "a")
    entitle(ax, "")
    (panel,) = readout(figure)
    (series,) = panel["series"]
    assert len(series["x"]) == POINTS
    assert series["x"][0] == 0.0
    assert series["x"][-1] == 999.0
    assert np.isfinite(series["y"]).all()


def test_lines_of_the_evolution_are_named_after_their_runs(sweep_report, pictures):
    """A line named after a run holds the values of that run."""
    obs, seen = sweep_report.obs, set()
    for panel in pictures["evolution"].panels:
        for series in panel["series"]:
            name, label = panel["y"]["name"].replace(" ", "_"), series["label"]
            if not isinstance(label, str) or name == "accuracy" or ", " in label:
                continue
            run = obs.sel(run=label)
            curve = run[name].sel(inputs="all").isel(layer=0, query=-1).mean("head").to_numpy()
            at = np.nanargmin(np.abs(run["step"].to_numpy() - series["x"][-1]))
            assert curve[at] == pytest.approx(series["y"][-1], rel=1e-3)
            assert panel["title"] == f"p = {int(run['p'])}"
            seen.add((name, label))
    assert len(seen) == 3 * 12


def test_accuracies_of_the_evolution_are_told_apart(sweep_report, pictures):
    panel = pictures["evolution"].panels[0]
    train = [s for s in panel["series"] if s["label"].endswith(", train")]
    test = [s for s in panel["series"] if s["label"].endswith(", test")]
    assert len(train) == len(test) == 3
    memorised = sweep_report.events.runs.set_index("run")["memorisation_step"]
    for early, late in zip(train, test, strict=True):
        run = early["label"].removesuffix(", train")
        assert late["label"] == f"{run}, test"
        at = np.searchsorted(early["x"], memorised[run] * 1.2)
        assert early["y"][at] > 0.9
        assert late["y"][at] < 0.1


def test_peaks_and_leads_are_named(sweep_report, pictures):
    labels = [
        label
        for panel in pictures["evolution"].panels
        for series in panel["series"]
        if isinstance(series["label"], list)
        for label in series["label"]
    ]
    assert labels
    peaks = sweep_report.events.peak("landscape_heat_capacity")
    proper = peaks[np.isfinite(peaks["onset_step"])].to_dict("records")
    assert len(proper) == 12
    for row in proper:
        wanted = f"peak of {row['run']}: step {row['peak_step']:.0f}, "
        assert any(label.startswith(wanted) for label in labels)
    of_leads = {
        label.split(": ")[0]
        for panel in pictures["leads"].panels
        for series in panel["series"]
        for label in series["label"]
    }
    runs = sweep_report.events.runs
    assert of_leads == set(runs[runs["group"] == "none"]["run"])


def test_heights_of_a_verdict_are_named(sweep_report, pictures):
    picture = pictures["verdict-landscape-heat-capacity"]
    heights = next(p for p in picture.panels if p["title"] == "heights")
    data = sweep_report.verdicts["landscape_heat_capacity"].data
    (series,) = [s for s in heights["series"] if isinstance(s["label"], list)]
    assert series["x"] == data.sizes.tolist()
    assert series["label"][0] == f"p = 19: {data.heights[0]:.4g} ± {data.errors[0]:.2g}"
    assert {s["label"] for s in heights["series"] if isinstance(s["label"], str)} == {
        f"best fit, {kind}" for kind in ("flat", "bounded", "logarithmic", "power-law")
    }


def test_the_caption_counts_leads_as_the_figure_does(sweep_report):
    lead = sweep_report.audit.leads["landscape_heat_capacity"]
    pooled = lead.pooled
    assert pooled.unresolved
    wanted = f"landscape heat capacity {pooled.first} of {lead.precedes.runs} ({pooled.unresolved} "
    captions = {plan.key: plan.caption for plan in plans_of(sweep_report)}
    assert wanted + "more too close to tell)" in captions["leads"]
