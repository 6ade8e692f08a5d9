"""Figures show what the tables say, at the size of the page, and nothing overlaps."""

from __future__ import annotations

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from heatcap.events import find_events
from heatcap.figures import evolution, save, scan

from pictures import overlapping
from synthetic import Plan, observables, sweep

PLANS = [
    *sweep(primes=(19, 43, 113), seeds=2, controls=(43,)),
    Plan(p=43, seed=2, onset=np.nan, last=3000.0),
    Plan(p=43, seed=3, spikes=(300.0, 2000.0)),
]


@pytest.fixture(scope="module")
def obs():
    return observables(PLANS)


@pytest.fixture(scope="module")
def events(obs):
    return find_events(obs)


@pytest.fixture(scope="module")
def figure(obs, events):
    return evolution(obs, events)


def axes_of(figure):
    return [ax for ax in figure.get_axes() if ax.axison]


def marked(figure, gid):
    return [line for ax in axes_of(figure) for line in ax.lines if line.get_gid() == gid]


def by_title(figure):
    """Title -> the column of panels below it."""
    heads = [ax for ax in axes_of(figure) if ax.get_title()]
    return {
        head.get_title().split("\n")[0]: [ax for ax in axes_of(figure) if place(ax) == place(head)]
        for head in heads
    }


def place(ax):
    """Block and column of a panel."""
    return id(ax.figure), ax.get_subplotspec().colspan.start


# ---- evolution -----------------------------------------------------------------------------


def test_every_size_has_a_column_of_named_panels(figure):
    columns = by_title(figure)
    assert [*columns] == ["$p$ = 19", "$p$ = 43", "$p$ = 113"]
    first = columns["$p$ = 19"]
    assert [ax.get_ylabel().replace("\n", " ") for ax in first] == [
        "accuracy",
        "heat capacity",
        "landscape heat capacity fixed",
        "unweighted heat capacity",
    ]
    for column in columns.values():
        assert column[-1].get_xlabel() == "training step"
        assert {ax.get_xscale() for ax in column} == {"log"}
        assert [ax.get_ylim() for ax in column] == [ax.get_ylim() for ax in first]


def test_onset_and_memorisation_are_marked_for_every_run_that_has_them(figure, events):
    runs = events.runs[events.runs["group"] == "none"]
    for p, part in runs.groupby("p"):
        for ax in by_title(figure)[f"$p$ = {p}"]:
            lines = {gid: [] for gid in ("onset", "memorisation")}
            for line in ax.lines:
                if line.get_gid() in lines:
                    lines[line.get_gid()].append(line.get_xdata()[0])
            assert sorted(lines["onset"]) == sorted(part["onset_step"].dropna())
            assert sorted(lines["memorisation"]) == sorted(part["memorisation_step"])


def test_peaks_are_those_of_the_table(figure, events):
    ids = events.runs.loc[events.runs["group"] == "none", "run"]
    names = ("heat_capacity", "landscape_heat_capacity_fixed", "unweighted_heat_capacity")
    for row, name in enumerate(names, start=1):
        table = events.peak(name)
        table = table[table["run"].isin(ids)]
        drawn_steps = [
            step
            for column in by_title(figure).values()
            for line in column[row].lines
            if line.get_gid() == "peak"
            for step in line.get_xdata()
        ]
        assert sorted(drawn_steps) == sorted(table["peak_step"])


def test_spikes_and_censored_runs_are_shown(figure, events):
    (rug,) = marked(figure, "spike")
    assert sorted(rug.get_xdata()) == sorted(np.concatenate([*events.spike_steps.values()]))
    titles = [ax.get_title() for ax in axes_of(figure)]
    assert "$p$ = 43\n1 of 4 censored" in titles


def test_curves_are_the_head_average_of_the_runs(figure, obs):
    panel = by_title(figure)["$p$ = 19"][1]
    lines = [line for line in panel.lines if line.get_gid() == "run"]
    assert len(lines) == 2
    curve = obs["heat_capacity"].isel(run=0, layer=0, query=-1).sel(inputs="all").mean("head")
    expected = curve.values[1:][np.isfinite(curve.values[1:])]
    assert lines[0].get_ydata() == pytest.approx(expected)
    assert (lines[0].get_xdata() > 0).all()


def test_accuracies_are_those_of_training_and_of_mirror_free_test_inputs(figure, obs):
    panel = by_title(figure)["$p$ = 19"][0]
    lines = [line for line in panel.lines if line.get_gid() == "run"]
    for line, name in ((lines[0], "train_accuracy"), (lines[2], "mirror_free_accuracy")):
        values = obs[name].isel(run=0).values[1:]
        assert line.get_ydata() == pytest.approx(values[np.isfinite(values)])


def test_a_head_can_be_chosen(obs, events):
    panel = by_title(evolution(obs, events, head=3, sizes=[19, 43]))["$p$ = 19"][1]
    curve = obs["heat_capacity"].isel(run=0, layer=0, query=-1).sel(inputs="all", head=3).values
    assert panel.lines[0].get_ydata() == pytest.approx(curve[1:][np.isfinite(curve[1:])])
    peak = next(line for line in panel.lines if line.get_gid() == "peak")
    table = events.peak("heat_capacity", head=3)
    assert set(peak.get_xdata()) == set(table[table["p"] == 19]["peak_step"])


def test_the_bound_is_drawn_where_it_is_in_reach(obs, events, figure):
    assert {line.get_ydata()[0] for line in marked(figure, "bound")} == {0.7618}
    far = obs.assign(heat_capacity_bound=obs["heat_capacity_bound"] * 10)
    assert not marked(evolution(far, events), "bound")
    assert not marked(evolution(obs.drop_vars("heat_capacity_bound"), events), "bound")


def test_the_mirror_free_accuracy_is_named(obs, figure):
    assert "mirror-free test acc." in legend(figure)
    plain = obs.drop_vars("mirror_free_accuracy")
    assert "test accuracy" in legend(evolution(plain, find_events(plain)))


def legend(figure):
    return [t.get_text() for t in figure.legends[0].get_texts()]


def test_the_legend_names_what_is_there(figure, obs, events):
    assert legend(figure) == [
        "train accuracy",
        "mirror-free test acc.",
        "memorisation",
        "onset",
        "peak",
        "loss spike",
        "bound by the number of keys (0.762)",
        "unweighted: its offset part",
    ]
    assert "loss spike" not in legend(evolution(obs, events, sizes=[19]))


def test_controls_are_apart(obs, events):
    control = evolution(obs, events, group="random_labels")
    assert [*by_title(control)] == ["$p$ = 43"]
    assert not marked(control, "onset")
    assert len(marked(control, "peak")) == 3


def test_a_part_of_the_runs_is_drawn_with_the_events_of_all(obs, events):
    part = obs.isel(run=[5, 0])
    figure = evolution(part, events)
    ids = part["run"].values
    onsets = {line.get_xdata()[0] for line in marked(figure, "onset")}
    assert onsets == set(events.runs.set_index("run").loc[ids, "onset_step"])
    with pytest.raises(ValueError, match=f"events lack runs .*: {obs['run'].values[1]}"):
        evolution(obs.isel(run=[0, 1]), find_events(part))


def test_events_are_found_if_left_out(obs, figure):
    found = evolution(obs)
    assert len(marked(found, "onset")) == len(marked(figure, "onset"))


@pytest.mark.parametrize(("sizes", "width"), [([43], 3.4), ([19, 43], 7.0), (None, 7.0)])
def test_widths_are_those_of_a_journal(obs, events, sizes, width):
    assert evolution(obs, events, sizes=sizes).get_figwidth() == width
    assert scan(obs, events, sizes=sizes).get_figwidth() == width


def test_nothing_overlaps(obs, events, figure):
    assert overlapping(figure) == []
    assert overlapping(evolution(obs, events, sizes=[43])) == []
    assert overlapping(scan(obs, events)) == []
    assert overlapping(scan(obs, events, sizes=[43])) == []


@pytest.mark.slow
def test_ten_sizes_stay_on_a_page_and_do_not_overlap():
    ten = observables(sweep(seeds=1, controls=()))
    figure = evolution(ten, find_events(ten))
    assert len(by_title(figure)) == 10
    assert {len(column) for column in by_title(figure).values()} == {4}
    assert figure.get_figheight() < 9.2
    assert overlapping(figure) == []


def test_text_is_readable_at_print_size(figure):
    sizes = {t.get_fontsize() for t in figure.findobj(Text) if t.get_text().strip()}
    assert min(sizes) >= 7
    assert max(sizes) <= 9


def test_colours_are_told_apart_and_styles_differ(figure):
    panels = by_title(figure)["$p$ = 19"]
    runs = [[line for line in ax.lines if line.get_gid() == "run"] for ax in panels]
    colours = [to_hex(row[0].get_color()) for row in runs]
    assert len(set(colours)) == 4
    for row in (runs[0], runs[3]):  # two kinds of curve share these panels
        assert len({(to_hex(c.get_color()), c.get_linestyle()) for c in row}) == 2
        assert len({c.get_linestyle() for c in row}) == 2


def test_uneven_blocks_leave_no_empty_frames():
    seven = observables(sweep(primes=(19, 23, 31, 43, 53, 61, 73), seeds=1, controls=()))
    figure = evolution(seven, find_events(seven))
    assert len([ax for ax in axes_of(figure) if ax.get_title()]) == 7
    assert len(axes_of(figure)) == 28


def test_refusals(obs, events):
    with pytest.raises(ValueError, match=r"sizes must be among \[19, 43, 113\], got \[20\]"):
        evolution(obs, events, sizes=[20])
    with pytest.raises(ValueError, match="to group 'dropout'; there are none, random_labels"):
        evolution(obs, events, group="dropout")
    with pytest.raises(ValueError, match="observables lack 'magnetisation'"):
        evolution(obs, events, observables=["magnetisation"])
    bare = obs.drop_vars("fisher_speed", errors="ignore")
    with pytest.raises(ValueError, match=r"lack 'fisher_speed'; make them with .* --geometry`"):
        evolution(bare, events, observables=["fisher_speed"])
    with pytest.raises(ValueError, match="observables lack a size"):
        evolution(obs.drop_vars("p"), events)
    with pytest.raises(ValueError, match="observables lack 'scan_entropy': make them with"):
        scan(obs, events, observable="entropy")
    with pytest.raises(ValueError, match=r"seed must be one of \[0, 1\] at every size .* 7"):
        scan(obs, events, sizes=[19], seed=7)


def test_the_size_is_what_the_runs_call_it(obs):
    named = obs.assign_coords(size=obs["p"] * 2, size_name=("run", ["keys"] * obs.sizes["run"]))
    titles = [*by_title(evolution(named))]
    assert titles == ["keys = 38", "keys = 86", "keys = 226"]


# ---- scan ----------------------------------------------------------------------------------


def test_the_scan_draws_checkpoints_of_one_run_in_the_order_of_their_steps(obs, events):
    figure = scan(obs, events, checkpoints=6)
    panels = [ax for ax in axes_of(figure) if ax.get_title()]
    assert [ax.get_title() for ax in panels] == ["$p$ = 19", "$p$ = 43", "$p$ = 113"]
    for ax in panels:
        lines = [line for line in ax.lines if line.get_gid() == "checkpoint"]
        assert len(lines) == 6
        # viridis brightens: later steps are lighter
        light = [np.dot(mpl.colors.to_rgb(c.get_color()), [0.3, 0.6, 0.1]) for c in lines]
        assert np.all(np.diff(light) > 0)
        assert ax.get_xscale() == "log"
        assert [c.get_xdata()[0] for c in ax.lines if c.get_gid() == "model"] == [1.0]
    last = obs["scan_heat_capacity"].isel(run=0, layer=0, query=-1).mean("head").values
    last = last[np.isfinite(last).all(axis=1)][-1]
    lines = [line for line in panels[0].lines if line.get_gid() == "checkpoint"]
    assert lines[-1].get_ydata() == pytest.approx(last)
    assert panels[0].get_xlabel() == "temperature $T$"
    assert panels[0].get_ylabel() == "heat capacity"
    assert {ax.get_ylabel() for ax in figure.get_axes() if not ax.get_title()} == {"training step"}


def test_temperatures_may_come_in_any_order(obs, events):
    shuffled = obs.isel(temperature=np.random.default_rng(0).permutation(obs.sizes["temperature"]))
    a, b = (scan(o, events, sizes=[19]).get_axes()[0].lines[3] for o in (obs, shuffled))
    assert a.get_xydata() == pytest.approx(b.get_xydata())


def test_the_seed_of_the_scan_is_chosen(obs, events):
    scaled = obs.copy(deep=True)
    scaled["scan_heat_capacity"] = scaled["scan_heat_capacity"] * (1 + scaled["seed"])
    top = [
        max(
            line.get_ydata().max() for line in axes_of(f)[0].lines if line.get_gid() == "checkpoint"
        )
        for f in (scan(scaled, events, sizes=[19]), scan(scaled, events, sizes=[19], seed=1))
    ]
    assert top[1] / top[0] == pytest.approx(2, rel=0.05)


# ---- files ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fig.pdf", "fig.png", "fig"])
def test_both_files_are_written(figure, tmp_path, name):
    pdf, png = save(figure, tmp_path / name)
    assert (pdf.name, png.name) == ("fig.pdf", "fig.png")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert png.read_bytes().startswith(b"\x89PNG")


def test_fonts_are_embedded_as_outlines_and_pixels_are_those_of_the_page(obs, events, tmp_path):
    pdf, png = save(scan(obs, events), tmp_path / "fig.pdf", dpi=150)
    assert b"/Type3" not in pdf.read_bytes()
    assert b"/FontFile2" in pdf.read_bytes()
    image = mpl.image.imread(png)
    assert image.shape[1] == 7.0 * 150


def test_equal_figures_are_equal_files(obs, events, tmp_path):
    a, b = (save(scan(obs, events, sizes=[19]), tmp_path / n)[0].read_bytes() for n in "ab")
    assert a == b


def test_saving_keeps_the_layout_engine_and_refuses_other_formats(figure, tmp_path):
    engine = figure.get_layout_engine()
    save(figure, tmp_path / "x")
    assert figure.get_layout_engine() is engine
    with pytest.raises(ValueError, match=r"written as .pdf, .png and .svg, got 'fig.eps'"):
        save(figure, tmp_path / "fig.eps")


def test_no_trace_is_left_in_matplotlib(obs, events, tmp_path):
    with mpl.rc_context():
        mpl.rcdefaults()
        before = dict(mpl.rcParams)
        save(scan(obs, events, sizes=[19]), tmp_path / "x")
        assert dict(mpl.rcParams) == before


@pytest.mark.slow
def test_pyplot_is_never_imported():
    code = "import sys, heatcap.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
