"""Figures of the page: which there are, their captions, and their drawing as inline SVG.

:func:`plans_of` lists the figures of a report before any is drawn, :func:`drawn` draws one.  A
figure that cannot be drawn becomes a picture with the reason.  :func:`readout` gives the points
that the page shows under the pointer; :func:`inline_svg` draws with colours as variables, which
:func:`shades` pairs with those of the dark theme.  Lengths of SVG are in points.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter

import heatcap.figures as figures
from heatcap.core.quantities import HEAT_CAPACITY, preferred, scan_of, spoken
from heatcap.divergence import Verdict
from heatcap.events import PROPER, Column, size_name_of
from heatcap.figures.panels import panel_of, words_of
from heatcap.observables.dataset import size_coordinate
from heatcap.report.findings import Findings, listed

__all__ = [
    "CARD",
    "Inline",
    "Picture",
    "Plan",
    "drawn",
    "inline_svg",
    "plans_of",
    "readout",
    "shades",
]


# ---- which figures there are ---------------------------------------------------------------

MOST = 4  # rows of panels
DRAWN = 12  # observables (and layers): more would make the page too large
LEADS, GROWS = "Does the peak come first?", "Does it diverge?"


@dataclass(frozen=True)
class Plan:
    """Figure before it is drawn.

    `draw` returns the figure; a ValueError from it is the reason why there is none.  With `paper`
    the figure keeps a white background, for a scale of colours that is read off it.
    """

    key: str
    title: str
    caption: str
    draw: Callable[[], Figure]
    folded: bool = False
    paper: bool = False


def plans_of(report: Findings) -> list[Plan]:
    """List the figures: evolution, leads, verdicts, temperature scan; controls are folded."""
    obs = _with_sizes(report.obs)
    parts = (_evolutions(report, obs), _leads(report), _verdicts(report), _scans(report, obs))
    plans: dict[str, Plan] = {}
    for plan in (plan for part in parts for plan in part):
        # Names of observables and controls may hold any sign; identifiers may not.
        key = re.sub("[^a-z0-9]+", "-", plan.key.lower()).strip("-")
        key = key if key not in plans else f"{key}-{len(plans)}"
        plans[key] = replace(plan, key=key)
    return list(plans.values())


def _with_sizes(obs: xr.Dataset) -> xr.Dataset:
    """Number runs without a size, so that each has a panel of its own."""
    if size_coordinate(obs):
        return obs
    number = [float(k) for k in range(1, obs.sizes["run"] + 1)]
    return obs.assign_coords(size=("run", number), size_name=("run", ["run"] * len(number)))


def _shown(report: Findings) -> tuple[str, ...]:
    """Observables that figures show: one of each kind, or the first few of others."""
    have = list(dict.fromkeys(answer.observable for answer in report.answers))
    return preferred(have) or tuple(have[:MOST])


def _evolutions(report: Findings, obs: xr.Dataset) -> Iterator[Plan]:
    """Curves along training: the treatment runs, then each control."""
    events, shown = report.events, _shown(report)
    layers = obs.sizes.get("layer", 1)
    numbered = "" if obs is report.obs else "; runs are numbered as in the table of runs"
    proper = {} if events.proper.empty else {PROPER: events.proper}
    for group, runs in (proper | dict(sorted(events.controls.items()))).items():
        n, censored = len(runs), int(runs[Column.CENSORED].sum())
        names = listed([spoken(name) for name in shown])

        def draw(group: str = group, runs: pd.DataFrame = runs) -> Figure:
            size_name_of(runs)  # raises for sizes of several names, which would share a panel
            return figures.evolution(obs, events, observables=shown, group=group)

        control = "" if group == PROPER else f", control: {spoken(group)}"
        yield Plan(
            key="evolution" if group == PROPER else f"evolution {group}",
            title=f"Along training{control}",
            caption=(
                f"{n} {'run' if n == 1 else 'runs'}, one line each: accuracies, then {names}"
                + (" of the first layer" if layers > 1 else "")
                + numbered
                + f". Dotted: memorisation; dashed: onset of generalisation ({n - censored} of "
                f"{n}; {censored} censored). A filled triangle is a peak, a hollow one the highest "
                "interior maximum of a curve that is higher at an end."
            ),
            draw=draw,
            folded=group != PROPER,
        )


def _leads(report: Findings) -> Iterator[Plan]:
    """Leads of the observables that are shown along training, then of the others."""
    audit, events = report.audit, report.events
    if audit is None:
        why = f"no audit: {report.missing.get('audit', '')}"
        yield Plan("leads", LEADS, "", _nothing(why))
        return
    names = list(audit.leads)
    shown = _shown(report)
    main = [name for name in names if audit.leads[name].observable in shown][:MOST]
    others = [name for name in names if name not in main]
    others, left = others[: DRAWN - len(main)], others[DRAWN - len(main) :]
    chunks = [main, *(others[k : k + MOST] for k in range(0, len(others), MOST))]
    for number, chunk in enumerate(chunks):

        def draw(chunk: list[str] = chunk) -> Figure:
            return figures.leads(audit, events, observables=chunk)

        pooled = {name: audit.leads[name].pooled for name in chunk}
        counted = [
            f"{spoken(name)} {lead.first} of {lead.first + lead.later}"
            + (f" ({lead.unresolved} more too close to tell)" if lead.unresolved else "")
            for name, lead in pooled.items()
            if lead.compared
        ]
        yield Plan(
            key=f"leads-{number}" if number else "leads",
            title=f"{LEADS} Other observables" if number else LEADS,
            caption=(
                "Left: onset over peak for each run; above 1 the peak came first. Centre: how "
                "often the peak is first, beside what a peak at a random step has for free (P: "
                "p-value). Right: which clock its time follows, and whether controls show it too."
                + (f" Peak first in: {'; '.join(counted)} runs." if counted else "")
            ),
            draw=draw,
            folded=number > 0,
        )
    if left:
        yield Plan("leads-left", f"{LEADS} The rest", "", _nothing(_in_tables(len(left))))


def _verdicts(report: Findings) -> Iterator[Plan]:
    """Heights and verdicts, then the names without a verdict, with the reason."""
    for name, verdict in list(report.verdicts.items())[:DRAWN]:

        def draw(name: str = name, verdict: Verdict = verdict) -> Figure:
            return figures.verdict(verdict, name=name, head=False)

        answer = next(answer for answer in report.answers if answer.name == name)
        yield Plan(
            key=f"verdict {name}",
            title=f"{GROWS} {spoken(name).capitalize()}: {answer.verdict}",
            caption=(
                "Left: heights with the errors of the verdict, and the best fit of each class. "
                "Centre: local exponents. Right: exponents and crossover lengths that are "
                "not excluded. "
                f"Tested: {answer.tested}; {verdict.p_values_said}. "
                f"{answer.verdict.capitalize()}: {verdict.meaning}."
            ),
            draw=draw,
        )
    if (left := len(report.verdicts) - DRAWN) > 0:
        yield Plan("verdicts-left", f"{GROWS} The rest", "", _nothing(_in_tables(left)))
    without: dict[str, list[str]] = {}
    for answer in report.answers:
        if answer.name in report.missing:
            without.setdefault(answer.tested, []).append(spoken(answer.name))
    for number, (why, names) in enumerate(without.items()):
        key = f"no-verdict-{number}" if number else "no-verdict"
        yield Plan(key, f"{GROWS} {listed(names).capitalize()}: no verdict", "", _nothing(why))


def _scans(report: Findings, obs: xr.Dataset) -> Iterator[Plan]:
    """Quenched temperature scan, where the observables have one."""
    for name in map(str, obs.data_vars):
        if name != scan_of(HEAT_CAPACITY):
            continue

        def draw() -> Figure:
            controls = report.events.controls
            group = next(iter(controls)) if report.events.proper.empty else PROPER
            size_name_of(report.events.of_group(group))
            return figures.scan(obs, report.events, group=group)

        temperatures = obs["temperature"].to_numpy()
        yield Plan(
            key="scan",
            title="Heat capacity against temperature",
            caption=(
                f"Quenched scan, {temperatures.size} temperatures from {temperatures.min():g} to "
                f"{temperatures.max():g} in units of the model's own (T = 1): weights and "
                "everything upstream stay as they are. One run for every size."
            ),
            draw=draw,
            paper=True,
        )


def _in_tables(count: int) -> str:
    return f"{count} more {'is' if count == 1 else 'are'} in the tables alone"


def _nothing(why: str) -> Callable[[], Figure]:
    """Drawing that fails with a reason, for a plan without a figure."""

    def draw() -> Figure:
        raise ValueError(why)

    return draw


# ---- drawing -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """Figure as it stands on the page; without an `image`, `missing` says why."""

    key: str
    title: str
    caption: str
    folded: bool = False
    paper: bool = False
    image: Inline | None = None
    panels: list[dict[str, Any]] = field(default_factory=list)
    missing: str = ""


def drawn(plan: Plan) -> Picture:
    """Draw the figure of a plan; one that fails has the reason instead."""
    common: dict[str, Any] = {
        "key": plan.key,
        "title": plan.title,
        "folded": plan.folded,
        "paper": plan.paper,
    }
    try:
        figure = plan.draw()
    except ValueError as problem:
        return Picture(**common, caption="", missing=str(problem))
    try:
        image, panels = _rendered(plan, figure)
    except Exception as problem:  # a text from a file may break a renderer in any way
        why = str(problem).strip().rpartition("\n")[2] or type(problem).__name__
        return Picture(**common, caption="", missing=f"it could not be drawn ({why})")
    return Picture(**common, caption=plan.caption, image=image, panels=panels)


def _rendered(plan: Plan, figure: Figure) -> tuple[Inline, list[dict[str, Any]]]:
    # At the resolution of the SVG, so that the panels lie where the page looks for them.
    figure.set_dpi(72)
    with figures.styled(), mpl.rc_context({"svg.fonttype": "path"}):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        panels = readout(figure)
    return inline_svg(figure, plan.key), panels


# ---- points that are read off under a pointer ----------------------------------------------

POINTS = 40  # points of a line that the pointer can find
SCALES = ("linear", "log")


def readout(figure: Figure) -> list[dict[str, Any]]:
    """Read off the panels of a figure whose layout is settled, and which have a title.

    Returns
    -------
    list of dict
        `box` (left, top, right, bottom, as shares of the figure), names, `x` and `y` (limits, and
        whether the axis is logarithmic, or the labels of its ticks where these are words), and
        `series`: labels with their points.  Lines are thinned to 40 points, numbers to 5 digits.
    """
    panels = []
    for ax in figure.axes:
        names = panel_of(ax)
        if names is None or not {ax.get_xscale(), ax.get_yscale()} <= set(SCALES):
            continue
        box = ax.get_window_extent().transformed(figure.transFigure.inverted())
        panels.append(
            {
                "box": [round(v, 5) for v in (box.x0, 1 - box.y1, box.x1, 1 - box.y0)],
                "title": names.title,
                "x": _axis(names.x, ax.xaxis, ax.get_xlim()),
                "y": _axis(names.y, ax.yaxis, ax.get_ylim()),
                "series": _series(ax),
            }
        )
    return panels


def _axis(name: str, axis: Axis, limits: tuple[float, float]) -> dict[str, Any]:
    """Name, limits, scale and worded ticks of an axis."""
    out: dict[str, Any] = {"name": name, "limits": [_short(v) for v in limits]}
    if axis.get_scale() == "log":
        return out | {"log": True}
    if isinstance(axis.get_major_formatter(), FixedFormatter):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        at = axis.get_majorticklocs()
        out["ticks"] = [[_short(v), text] for v, text in zip(at, labels, strict=False) if text]
    return out


def _series(ax: Axes) -> list[dict[str, Any]]:
    """Labels and points of the lines that have words, thinned."""
    out = []
    for line in ax.lines:
        label = words_of(line)
        if label is None:
            continue
        x = np.asarray(line.get_xdata(), dtype=np.float64)
        y = np.asarray(line.get_ydata(), dtype=np.float64)
        rows = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        if not isinstance(label, str):
            label = tuple(label[k] for k in rows.tolist())
        elif rows.size > POINTS:
            rows = rows[np.unique(np.linspace(0, rows.size - 1, POINTS).round().astype(int))]
        if rows.size:
            points = {"x": [_short(v) for v in x[rows]], "y": [_short(v) for v in y[rows]]}
            words = label if isinstance(label, str) else list(label)
            out.append({"label": words} | points)
    return out


def _short(value: float) -> float:
    return float(f"{value:.5g}") if math.isfinite(value) else 0.0


# ---- SVG: its colours follow the theme, its names clash with no other ----------------------

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
CARD, INK = (0x1B, 0x1F, 0x26), (0xE8, 0xE8, 0xE8)  # dark theme: background, text
VISIBLE = 3.0  # contrast of a line with what is behind it (WCAG 2.2, 1.4.11)
# Paths are drawn for a page 7 inches wide: a hundredth of a point is invisible.
NUMBER = re.compile(r"-?\d+\.\d{3,}")
COLOUR = re.compile(r"#([0-9a-fA-F]{6})\b")
NAMED = re.compile(r"url\(#([^)]+)\)")


@dataclass(frozen=True)
class Inline:
    """Element, its size in points, and the colours that the page has to define."""

    text: str
    width: float
    height: float
    colours: frozenset[str] = field(default=frozenset())


def inline_svg(figure: Figure, key: str) -> Inline:
    """Draw a figure whose layout is settled.

    Parameters
    ----------
    figure : Figure
    key : str
        Unique on the page; prefix of all identifiers.

    Returns
    -------
    Inline
        Letters are paths, so that the figure looks alike everywhere; the page says in words what
        it shows.  Equal figures and keys give equal text.
    """
    out = io.StringIO()
    with figures.styled(), mpl.rc_context({"svg.hashsalt": key, "svg.fonttype": "path"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    # The parser drops comments, in which Matplotlib writes every text of the figure.
    root = ElementTree.fromstring(out.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{SVG}metadata", f"{SVG}style"):
                parent.remove(child)
    names = _numbered(root, key)
    colours = {"000000"}
    for element in root.iter():
        _rewrite(element, names, colours)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    inside = "".join(ElementTree.tostring(child, "unicode") for child in root)
    head = (
        f'<svg class="drawing" viewBox="0 0 {width:g} {height:g}" aria-hidden="true" '
        'focusable="false" fill="var(--c-000000)" stroke-linejoin="round" stroke-linecap="butt">'
    )
    return Inline(f"{head}{inside}</svg>", width, height, frozenset(colours))


def _numbered(root: ElementTree.Element, key: str) -> dict[str, str]:
    """Number the identifiers that are referred to: those of Matplotlib vary with memory."""
    asked: dict[str, None] = {}
    for element in root.iter():
        for name, value in element.attrib.items():
            asked |= dict.fromkeys(NAMED.findall(value))
            if name == f"{XLINK}href" and value.startswith("#"):
                asked[value[1:]] = None
    return {name: f"{key}-{number}" for number, name in enumerate(asked)}


def _rewrite(element: ElementTree.Element, names: dict[str, str], colours: set[str]) -> None:
    """Set plain tags, numbered identifiers, colours as variables, and short numbers."""
    element.tag = element.tag.removeprefix(SVG)
    element.tail = element.text = None
    attributes = dict(element.attrib)
    element.attrib.clear()
    for name, value in attributes.items():
        if name == "id":
            if value in names:
                element.set("id", names[value])
            continue
        if name == f"{XLINK}href":
            name = "href"
            value = f"#{names[value[1:]]}" if value.startswith("#") else value
        elif name == "d":
            value = NUMBER.sub(lambda match: f"{float(match[0]):.2f}", value)
        elif name == "style":
            value = COLOUR.sub(lambda match: _variable(match[1], colours), value)
        element.set(name, NAMED.sub(lambda match: f"url(#{names[match[1]]})", value))


def _variable(colour: str, colours: set[str]) -> str:
    colour = colour.lower()
    if _dark(colour) == colour:
        return f"#{colour}"
    colours.add(colour)
    return f"var(--c-{colour})"


def shades(colours: frozenset[str]) -> list[tuple[str, str]]:
    """Pair each colour with its shade in the dark theme, both in hexadecimal."""
    return [(colour, _dark(colour)) for colour in sorted(colours)]


def _dark(colour: str) -> str:
    """Shade of the dark theme: greys are inverted, colours lightened until they are visible."""
    rgb = _rgb(colour)
    if max(rgb) - min(rgb) <= 8:
        share = ((255 - rgb[1]) / 255) ** 0.8
        return _hex(tuple(c + (i - c) * share for c, i in zip(CARD, INK, strict=True)))
    mixed = 0.0
    while _contrast(rgb, CARD) < VISIBLE:
        mixed += 0.04
        rgb = tuple(c + (255 - c) * mixed for c in _rgb(colour))
    return _hex(rgb) if mixed else colour


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(float(int(colour[k : k + 2], 16)) for k in (0, 2, 4))


def _hex(rgb: tuple[float, ...]) -> str:
    return "".join(f"{round(channel):02x}" for channel in rgb)


def _contrast(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Contrast ratio of two colours (WCAG 2.2)."""
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(rgb: tuple[float, ...]) -> float:
    """Relative luminance of sRGB (WCAG 2.2)."""
    c = [channel / 255 for channel in rgb]
    linear = [
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in c
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
