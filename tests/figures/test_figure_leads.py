"""The figure of the leads shows every run, what the audit found, and its conclusions in full."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.text import Text

from heatcap.audit import Clock, Slope, audit_leads, lead_table
from heatcap.events import find_events
from heatcap.figures import leads, save

from pictures import overlapping
from synthetic import Plan, observables, sweep

DEFAULT = ["heat_capacity", "landscape_heat_capacity_fixed", "unweighted_heat_capacity"]
PLANS = [
    *sweep(primes=(19, 43, 113), seeds=2, controls=(43,)),
    Plan(p=43, seed=2, onset=np.nan, last=3000.0),
    Plan(p=43, seed=3, peak=890.0),
]


def audited(obs, *names):
    events = find_events(obs, *names)
    return audit_leads(obs, events), events


@pytest.fixture(scope="module")
def found():
    return audited(observables(PLANS, scan=False))


@pytest.fixture(scope="module")
def figure(found):
    return leads(*found)


def rows(figure):
    """Panels of every row: ratios, shares, slopes, controls."""
    return [part.axes for part in figure.subfigs]


def drawn(ax, *gids):
    """Points of all lines with one of the gids, sorted."""
    points = [line.get_xydata() for line in ax.lines if line.get_gid() in gids]
    return sorted(map(tuple, np.concatenate(points))) if points else []


def proper(events, name):
    table = lead_table(events, name, 0)
    return table[table["group"] == "none"]


def texts(figure, gid=None):
    return [t.get_text() for t in figure.findobj(Text) if gid is None or t.get_gid() == gid]


def outside(figure):
    """Texts that leave the page."""
    seen, draw = {}, Text.draw

    def recorded(self, renderer, *args, **kwargs):
        if self.get_visible() and self.get_text().strip():
            seen[self.get_text()] = self.get_window_extent(renderer)
        return draw(self, renderer, *args, **kwargs)

    with mock.patch.object(Text, "draw", recorded):
        figure.draw_without_rendering()
    page = figure.bbox.padded(0.5)
    return [t for t, b in seen.items() if b.x0 < page.x0 or b.x1 > page.x1 or b.y0 < page.y0]


def shown(audit, name):
    """The conclusion, with the name that the observable has on paper."""
    said = audit.leads[name].conclusion.removeprefix(f"{name}: ")
    return f"{name.replace('_', ' ')}: {said}"


def with_lead(audit, name, **changes):
    """The audit with some results of one observable replaced."""
    return replace(audit, leads={name: replace(audit.leads[name], **changes)})


# ---- the leads -----------------------------------------------------------------------------


def test_every_run_with_a_peak_and_an_onset_has_a_marker(figure, found):
    for (ratios, *_), name in zip(rows(figure), DEFAULT, strict=True):
        table = proper(found[1], name)
        assert len(drawn(ratios, "run", "unresolved")) == table["log_lead"].notna().sum() == 7
        assert len(drawn(ratios, "unresolved")) == (table["order"] == "unresolved").sum()
    assert sum(len(drawn(ratios, "unresolved")) for ratios, *_ in rows(figure)) > 0


def test_markers_lie_at_the_ratio_of_onset_to_peak_over_their_size(figure, found):
    for (ratios, *_), name in zip(rows(figure), DEFAULT, strict=True):
        table = proper(found[1], name).dropna(subset="log_lead")
        points = drawn(ratios, "run", "unresolved")
        for place, size in enumerate((19, 43, 113)):
            expected = np.exp(table.loc[table["size"] == size, "log_lead"])
            seen = [y for x, y in points if abs(x - place) < 0.5]
            assert sorted(seen) == pytest.approx(sorted(expected))
        assert len({x for x, _ in points}) == len(points)  # side by side
        assert [t.get_text() for t in ratios.get_xticklabels()] == ["19", "43", "113", "all"]


def test_a_censored_run_is_at_least_where_its_record_ends(figure, found):
    for (ratios, *_), name in zip(rows(figure), DEFAULT, strict=True):
        table = proper(found[1], name)
        waiting = table[table["censored"] & table["peak_step"].notna()]
        ratio = waiting["last_step"] / waiting["peak_step"]
        assert [y for _, y in drawn(ratios, "censored")] == pytest.approx(sorted(ratio))
        assert len(waiting) == 1
        markers = [line.get_marker() for line in ratios.lines if line.get_gid() == "censored"]
        assert markers == ["^"]


def test_medians_are_those_of_the_audit_and_all_rows_share_their_axis(figure, found):
    for (ratios, *_), name in zip(rows(figure), DEFAULT, strict=True):
        audit = found[0].leads[name]
        bars = [line.get_ydata()[0] for line in ratios.lines if line.get_gid() == "median"]
        expected = [each.median_log for each in (*audit.by_size, audit.pooled)]
        assert np.log(bars) == pytest.approx(expected)
        low, high = ratios.get_ylim()
        assert (low, high) == rows(figure)[0][0].get_ylim()
        assert all(low < y < high for _, y in drawn(ratios, "run", "unresolved", "censored"))
        assert ratios.get_yscale() == "log"


def test_intervals_are_drawn_where_the_audit_has_them(found):
    audit, events = found
    pooled = replace(audit.leads["heat_capacity"].pooled, log_ci95=(-2.0, 0.5))
    figure = leads(with_lead(audit, "heat_capacity", pooled=pooled), events)
    ratios = rows(figure)[0][0]
    assert np.log([y for _, y in drawn(ratios, "interval")]) == pytest.approx([-2.0, 0.5])
    assert ratios.get_ylim()[0] < np.exp(-2.0)


@pytest.mark.slow
def test_ten_runs_of_a_size_keep_clear_of_the_next_one():
    plans = [Plan(p=p, seed=s) for p in (19, 23, 29) for s in range(10)]
    ratios = rows(leads(*audited(observables(plans, scan=False), "heat_capacity")))[0][0]
    x = np.array([x for x, _ in drawn(ratios, "run", "unresolved")])
    assert len(x) == 30
    within = [np.ptp(x[abs(x - place) < 0.5]) for place in range(3)]
    assert max(within) < 0.6  # what is left is wider than two markers at ten sizes


# ---- what comes first for free -------------------------------------------------------------


def test_shares_stand_beside_those_of_chance(figure, found):
    for (_, shares, *_), name in zip(rows(figure), DEFAULT, strict=True):
        p, pooled = found[0].leads[name].precedes, found[0].leads[name].pooled
        assert drawn(shares, "observed") == [(100 * p.share, 0)]
        free = [p.phase_null[k]["expected_share"] for k in ("steps", "log_steps")]
        expected = [(100 * share, y) for y, share in enumerate([*free, 0.5], start=2)]
        assert np.array(drawn(shares, "null")) == pytest.approx(np.array(sorted(expected)))
        words = [t.get_text() for t in shares.texts]
        assert words[0] == f"{pooled.first} of {p.runs}"
        assert float(words[-1].removeprefix("P = ")) == pytest.approx(p.sign_p, rel=0.05)


def test_every_head_has_its_share(figure, found):
    heads = found[0].leads["landscape_heat_capacity_fixed"].look_elsewhere.heads
    shares = rows(figure)[1][1]
    expected = [100 * h["first"] / (h["first"] + h["later"]) for h in heads]
    assert [x for x, _ in drawn(shares, "head")] == pytest.approx(sorted(expected))
    assert "4 heads" in [t.get_text() for t in shares.texts]


# ---- what it follows, and the controls -----------------------------------------------------


def test_slopes_are_those_of_the_clock(figure, found):
    for (*_, slopes, _), name in zip(rows(figure), DEFAULT, strict=True):
        clock = found[0].leads[name].clock
        values = {0: clock.slopes["onset"].value, 1: clock.slopes["memorisation"].value}
        inside = {y: value for y, value in values.items() if -1 <= value <= 2}
        assert {y: x for x, y in drawn(slopes, "slope")} == pytest.approx(inside)
        assert f"follows: {clock.follows}" in [t.get_text() for t in slopes.texts]


def test_intervals_that_leave_the_axis_end_in_arrows(found):
    audit, events = found
    slopes = {"onset": Slope(0.5, 2.0, (-3.0, 4.0)), "memorisation": Slope(9.0, 1.0, (7.0, 11.0))}
    clock = Clock("onset", 8, slopes)
    panel = rows(leads(with_lead(audit, "heat_capacity", clock=clock), events))[0][2]
    assert drawn(panel, "beyond") == [(-1, 0), (2, 0), (2, 1)]
    assert drawn(panel, "slope") == [(0.5, 0)]
    assert panel.get_xlim() == (-1, 2)


@pytest.mark.parametrize(
    ("clock", "words"),
    [
        (Clock("undetermined", 4), "4 runs:\ntoo few"),
        (Clock("undetermined", 9), "9 runs:\nnone vary"),
        (Clock("onset", 9, {"onset": Slope(1.0, 0.1, (0.8, 1.2))}), "does not vary"),
    ],
)
def test_a_missing_slope_is_said(found, clock, words):
    audit, events = found
    panel = rows(leads(with_lead(audit, "heat_capacity", clock=clock), events))[0][2]
    assert words in [t.get_text() for t in panel.texts]


def test_controls_are_given_in_words(figure, found):
    for text, name in zip(texts(figure, "controls"), DEFAULT, strict=True):
        heading, *lines = text.split("\n")
        assert heading == "peak in controls:"
        expected = [
            f"{c.name.replace('_', ' ')}: {c.verdict}, {c.with_peak} of {c.runs}"
            for c in found[0].leads[name].controls
        ]
        assert lines == expected
        assert len(lines) == 2


def test_controls_beyond_the_room_are_counted(found):
    audit, events = found
    control = replace(audit.leads["heat_capacity"].controls[0], name="a_name_of_some_length")
    figure = leads(with_lead(audit, "heat_capacity", controls=[control] * 5), events)
    (text,) = texts(figure, "controls")
    assert text.endswith("and 4 more")
    assert overlapping(figure) == []


# ---- words, and the page -------------------------------------------------------------------


def test_conclusions_are_there_in_full(figure, found):
    said = [text.replace("\n", " ") for text in texts(figure, "conclusion")]
    assert said == [shown(found[0], name) for name in DEFAULT]
    assert any("\n" in text for text in texts(figure, "conclusion"))


def test_nothing_overlaps_or_leaves_the_page(figure):
    assert overlapping(figure) == []
    assert outside(figure) == []


def test_a_long_conclusion_makes_room_for_itself(found):
    audit, events = found
    long = with_lead(audit, "heat_capacity", conclusion="heat_capacity: so and so it was. " * 30)
    tall, short = (leads(a, events, observables=["heat_capacity"]) for a in (long, audit))
    assert tall.get_figheight() > short.get_figheight() + 0.5
    for figure in (tall, short):
        assert overlapping(figure) == []
        assert outside(figure) == []


@pytest.mark.slow
def test_ten_sizes_fit_the_page(sweep_audit, sweep_events):
    figure = leads(sweep_audit, sweep_events)
    assert figure.get_figwidth() == 7.0
    assert figure.get_figheight() < 9.2
    assert overlapping(figure) == []
    assert outside(figure) == []


def test_text_is_readable_at_print_size(figure):
    sizes = {t.get_fontsize() for t in figure.findobj(Text) if t.get_text().strip()}
    assert min(sizes) >= 7
    assert max(sizes) <= 8


def test_the_legend_names_what_is_there(figure, found):
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == [
        "one run",
        "too close to tell",
        "no onset yet: at least",
        "median",
        "its 95 % interval",
        "share by chance",
        "onset first",
    ]
    (legend,) = leads(*found, observables=["unweighted_heat_capacity"]).legends
    assert "too close to tell" not in [t.get_text() for t in legend.get_texts()]


def test_the_rows_can_be_chosen(found):
    figure = leads(*found, observables=["total_heat_capacity", "heat_capacity"])
    titles = [ratios.get_title(loc="left") for ratios, *_ in rows(figure)]
    assert titles == ["total heat capacity", "heat capacity"]
    with pytest.raises(ValueError, match="audit lacks magnetisation; it has heat_capacity, land"):
        leads(*found, observables=["magnetisation"])


def test_rows_by_default_are_the_first_of_those_that_nearly_coincide(found):
    audit, events = found
    names = ["landscape_heat_capacity", "total_heat_capacity"]
    some = replace(audit, leads={name: audit.leads[name] for name in names})
    assert [t.split(":")[0] for t in texts(leads(some, events), "conclusion")] == [
        "landscape heat capacity"
    ]
    other = replace(audit, leads={name: audit.leads[name] for name in names[1:]})
    assert len(rows(leads(other, events))) == 1


def test_both_files_are_written_without_a_trace_in_matplotlib(found, tmp_path):
    with mpl.rc_context():
        mpl.rcdefaults()
        before = dict(mpl.rcParams)
        figure = leads(*found)
        pdf, png = save(figure, tmp_path / "leads")
        assert dict(mpl.rcParams) == before
    assert b"/Type3" not in pdf.read_bytes()
    assert mpl.image.imread(png).shape[1] == 1400


# ---- little, much and nothing --------------------------------------------------------------


def scattered(n, rng=0, **same):
    rng = np.random.default_rng(rng)
    times = np.exp(0.25 * rng.normal(size=(n, 2))) * [900, 800]
    return [Plan(seed=k, onset=a, peak=b, **same) for k, (a, b) in enumerate(times)]


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1, 50])
def test_one_size_has_no_place_for_all(runs):
    audit, events = audited(observables(scattered(runs), scan=False))
    figure = leads(audit, events)
    ratios = rows(figure)[1][0]
    assert [t.get_text() for t in ratios.get_xticklabels()] == ["43"]
    points = drawn(ratios, "run", "unresolved")
    assert len(points) == len({x for x, _ in points}) == runs
    assert all(abs(x) < 0.5 for x, _ in points)
    assert texts(figure, "controls") == ["no controls"] * 3
    assert overlapping(figure) == []
    assert leads(audit, events).axes[0].lines[1].get_xydata() == pytest.approx(
        figure.axes[0].lines[1].get_xydata()
    )


@pytest.mark.slow
def test_runs_without_a_size():
    obs = observables(scattered(3), scan=False).drop_vars("p")
    figure = leads(*audited(obs))
    assert [t.get_text() for t in rows(figure)[0][0].get_xticklabels()] == ["all runs"]
    assert overlapping(figure) == []


@pytest.mark.slow
def test_many_sizes_are_not_all_labelled():
    obs = observables([Plan(p=1000 + 10 * k, onset=900 + 9 * k) for k in range(14)], scan=False)
    figure = leads(*audited(obs, "heat_capacity"))
    labels = [t.get_text() for t in rows(figure)[0][0].get_xticklabels()]
    assert labels[:3] == ["1000", "", "1020"]
    assert len(labels) == 15
    assert overlapping(figure) == []


@pytest.mark.slow
def test_no_run_has_generalised():
    plans = [Plan(p=p, seed=k, onset=np.nan) for p in (19, 43) for k in range(3)]
    figure = leads(*audited(observables(plans, scan=False)))
    ratios, shares, *_ = rows(figure)[1]
    assert len(drawn(ratios, "censored")) == 6
    assert not drawn(ratios, "run", "unresolved", "median")
    assert not drawn(shares, "observed", "null", "head")
    assert shares.texts[0].get_text() == "0 of 0"
    assert overlapping(figure) == []


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_an_observable_without_a_peak(value):
    obs = observables(scattered(3), scan=False)
    obs["heat_capacity"] = obs["heat_capacity"] * 0 + value
    audit, events = audited(obs, "heat_capacity")
    figure = leads(audit, events)
    ratios, shares, slopes, _ = rows(figure)[0]
    assert not drawn(ratios, "run", "unresolved", "censored", "median")
    assert not drawn(shares, "observed")
    assert "0 runs:\ntoo few" in [t.get_text() for t in slopes.texts]
    assert texts(figure, "conclusion")[0].replace("\n", " ") == shown(audit, "heat_capacity")
    assert overlapping(figure) == []
