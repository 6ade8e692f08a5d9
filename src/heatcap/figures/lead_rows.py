"""Figure of the leads: onset over peak by size, how often the peak is first, and the audit.

One row per observable.  Leads are drawn as the ratio of steps onset / peak, above 1 where the peak
comes first; shares of runs are in per cent, beside those of a peak at a random step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.textpath import TextToPath
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from heatcap.audit import Audit, LeadAudit, LeadColumn, Leads, Slope, lead_table
from heatcap.audit.clocks import MIN_RUNS
from heatcap.core.quantities import preferred, spoken
from heatcap.core.text import literal, plain
from heatcap.events import Column, Events, proper_of, size_name_of
from heatcap.figures.panels import entitle, tell
from heatcap.figures.style import BLUE, ENSEMBLE, PAGE, letter, new_figure, styled

__all__ = ["leads"]

MOST, LETTERS, CONTROL_LINES = 4, 45, 4  # rows, letters of size labels, lines: what fits
SMALL, TITLE, LINE = 7.0, 8.0, 0.128  # points; inches from line to line
PANELS, TOP, BOTTOM, WORDS = 1.45, 0.2, 0.15, 1.6  # inches
MARGIN = 0.45  # inches; letters that are fitted to pixels are up to 5 % wider than measured
REACH = 0.28  # half the width that runs of one size spread over, sizes being 1 apart
FIRST, SLOPE = "runs with the peak first (%)", "slope of ln peak"  # names of the axes
TEXT_AT = 111.0  # position of text on the axis of shares
MISSING: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SMALL}
MISSING |= {"bbox": {"fc": "white", "ec": "none", "pad": 0.5}}
SLOPES = (-1.0, 2.0)  # limits of the axis; 0 and 1 are the slopes of no relation and of a clock
LATER = "#EDEDED"
GUIDE: dict[str, Any] = {"color": "#404040", "lw": 0.6}
MEDIAN: dict[str, Any] = {"color": "black", "lw": 1.1, "solid_capstyle": "butt", "zorder": 3}
MARKER: dict[str, dict[str, Any]] = {
    "run": {"marker": "o", "ms": 3.6, "mew": 0.6, "zorder": 4},
    "unresolved": {"marker": "o", "ms": 3.6, "mew": 0.9, "mfc": "white", "zorder": 4},
    "censored": {"marker": "^", "ms": 4.6, "mew": 0.9, "mfc": "white", "zorder": 4},
    "observed": {"marker": "o", "ms": 4.6, "mew": 0.6, "zorder": 4},
    "head": {"marker": "o", "ms": 3.0, "mew": 0.8, "mfc": "white", "zorder": 3},
    "interval": {"marker": "|", "ms": 8, "mew": 1.1, "color": "black"},  # for the legend
    "null": {"marker": "D", "ms": 3.4, "mew": 0.8, "mfc": "white", "color": "black", "zorder": 3},
}
MARKER = {name: {"ls": ""} | style for name, style in MARKER.items()}
KEY = {
    "run": "one run",
    "unresolved": "too close to tell",
    "censored": "no onset yet: at least",
    "median": "median",
    "interval": "its 95 % interval",
    "null": "share by chance",
}
NOTE = {"unresolved": ", too close to tell", "censored": ", no onset yet"}  # for a pointer


def leads(audit: Audit, events: Events, *, observables: Sequence[str] | None = None) -> Figure:
    """Draw onset over peak by size, how often the peak is first, and its clock.

    One row for every observable, with the conclusion of the audit below it.  Treatment runs only: a
    control has no onset, so that its verdict is given in words.

    Parameters
    ----------
    audit : Audit
        Made by :func:`heatcap.audit.audit_leads`.
    events : Events
        The events that were audited.
    observables : sequence of str, optional
        Names in ``audit.leads``.  By default heat capacity, landscape heat capacity (in the fixed
        gauge, if it is there) and unweighted heat capacity, or the first four of others.

    Returns
    -------
    Figure
        Two columns of a journal wide.

    Raises
    ------
    ValueError
        If an observable is not in the audit.
    """
    chosen = {name: audit.leads[name] for name in _names(audit, observables)}
    tables = {name: _table(events, lead) for name, lead in chosen.items()}
    with styled():
        conclusions = [
            plain(f"{spoken(name)}: {lead.conclusion.removeprefix(f'{name}: ')}")
            for name, lead in chosen.items()
        ]
        texts = [_wrapped(conclusion, PAGE - MARGIN) for conclusion in conclusions]
        heights = [PANELS + LINE * (1 + text.count("\n")) for text in texts]
        heights[-1] += BOTTOM
        figure = new_figure(PAGE, TOP + sum(heights))
        parts = figure.subfigures(len(chosen), 1, height_ratios=heights, squeeze=False)[:, 0]
        limits = _limits(list(chosen.values()), list(tables.values()))
        axes = [(size_name_of(events.runs), "onset / peak"), (FIRST, "null"), (SLOPE, "event")]
        for part, text, (name, lead) in zip(parts, texts, chosen.items(), strict=True):
            _row(part, name, lead, tables[name], limits)
            for ax, (x, y) in zip(part.axes, axes, strict=False):
                entitle(ax, spoken(name), x, y)
            part.supxlabel(
                text, x=0.008, ha="left", fontsize=SMALL, parse_math=False, gid="conclusion"
            )
        _label(parts[-1], letter(size_name_of(events.runs)))
        _legend(figure)
    return figure


def _names(audit: Audit, observables: Sequence[str] | None) -> list[str]:
    """Names in the audit that are drawn; ValueError for one that is not in it."""
    have = list(audit.leads)
    if observables is None:
        wanted = preferred(lead.observable for lead in audit.leads.values())
        some = [key for n in wanted for key in have if audit.leads[key].observable == n]
        return (some or have)[:MOST]
    if unknown := [name for name in observables if name not in have]:
        raise ValueError(f"the audit lacks {', '.join(unknown)}; it has {', '.join(have)}")
    return list(observables)


def _table(events: Events, lead: LeadAudit) -> pd.DataFrame:
    """Treatment runs, with the slot of their size on the axis and the ratio that is drawn.

    The ratio is that of the onset to the peak, or of the last step to it in a censored run.
    """
    table = lead_table(events, lead.observable, lead.layer)
    table = proper_of(table)
    until = table[Column.ONSET].where(~table[Column.CENSORED].astype(bool), table[Column.LAST_STEP])
    _, slot = np.unique(table[LeadColumn.SIZE].to_numpy(dtype=np.float64), return_inverse=True)
    return table.assign(ratio=until / table[Column.PEAK], slot=slot)


def _limits(audits: list[LeadAudit], tables: list[pd.DataFrame]) -> tuple[float, float]:
    """One axis for all rows, so that leads compare."""
    ends = [end for a in audits for group in (a.pooled, *a.by_size) for end in group.log_ci95]
    ratios = [table["ratio"].to_numpy(dtype=np.float64) for table in tables]
    drawn = np.concatenate([[0.8, 1.25], np.exp(ends), *ratios])
    drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
    room = max(1.15, (drawn.max() / drawn.min()) ** 0.07)
    return float(drawn.min() / room), float(drawn.max() * room)


def _row(
    part: SubFigure, name: str, lead: LeadAudit, table: pd.DataFrame, limits: tuple[float, float]
) -> None:
    colour = ENSEMBLE.get(lead.observable, BLUE)
    grid = part.add_gridspec(2, 3, width_ratios=[2.5, 1.36, 1.0], wspace=0.06)
    places = (grid[:, 0], grid[:, 1], grid[0, 2], grid[1, 2])
    ratios, shares, slopes, controls = (part.add_subplot(place) for place in places)
    _ratios(ratios, lead, table, colour, limits)
    _shares(shares, lead, colour)
    _slopes(slopes, lead, colour)
    _controls(controls, lead)
    ratios.set_title(literal(spoken(name)), loc="left")
    shares.set_title("how often first", loc="left")


def _label(part: SubFigure, size_name: str) -> None:
    ratios, shares, slopes, _ = part.axes
    ratios.set_xlabel(size_name)
    shares.set_xlabel(FIRST, x=0.32)
    slopes.set_xlabel(SLOPE)


# ---- the leads -----------------------------------------------------------------------------


def _ratios(
    ax: Axes, lead: LeadAudit, table: pd.DataFrame, colour: str, limits: tuple[float, float]
) -> None:
    ax.axhspan(limits[0], 1, color=LATER, lw=0, zorder=0, gid="onset first")
    ax.axhline(1, **GUIDE, zorder=1)
    _runs(ax, table, colour)
    many = len(lead.by_size) > 1
    every = len(lead.by_size) + 0.3  # the place of all sizes together
    for place, group in [*enumerate(lead.by_size), *([(every, lead.pooled)] if many else [])]:
        _median(ax, place, group)
    if many:
        ax.axvline(every - 0.7, color="#B0B0B0", lw=0.6, zorder=1)
    ax.set_xlim(-0.6, every + 0.6 if many else 0.5)
    labels = _size_labels([group.size for group in lead.by_size])
    ax.set_xticks([*range(len(labels)), *([every] if many else [])], labels + ["all"] * many)
    ax.tick_params(axis="x", length=0)
    ax.set_ylabel("onset / peak\n(ratio of steps)")
    _log_axis(ax, limits)


def _runs(ax: Axes, table: pd.DataFrame, colour: str) -> None:
    """A marker for every run with a peak and an onset, or a last step instead of the onset."""
    table = table[np.isfinite(table["ratio"])]
    at = _side_by_side(table["slot"].to_numpy())
    ratio, close = table["ratio"].to_numpy(), (table[LeadColumn.ORDER] == "unresolved").to_numpy()
    waiting = table[Column.CENSORED].to_numpy(dtype=bool)
    for gid, shown in (
        ("run", ~close & ~waiting),
        ("unresolved", close & ~waiting),
        ("censored", waiting),
    ):
        if shown.any():
            (points,) = ax.plot(at[shown], ratio[shown], color=colour, gid=gid, **MARKER[gid])
            named = zip(table[Column.RUN][shown], ratio[shown], strict=True)
            tell(points, [f"{run}: {value:.3g}{NOTE.get(gid, '')}" for run, value in named])


def _side_by_side(place: NDArray[Any]) -> NDArray[np.float64]:
    """Abscissae of the runs: those of one size in the order of the table, about its place."""
    order = np.array([np.sum(place[:k] == slot) for k, slot in enumerate(place)], dtype=np.float64)
    runs = np.array([np.sum(place == slot) for slot in place])
    step = np.minimum(0.2, 2 * REACH / np.maximum(runs - 1, 1))
    return np.asarray(place + (order - (runs - 1) / 2) * step, dtype=np.float64)


def _median(ax: Axes, place: float, group: Leads) -> None:
    middle, (low, high) = np.exp(group.median_log), np.exp(group.log_ci95)
    if np.isfinite(middle):
        ax.plot([place - 0.35, place + 0.35], [middle] * 2, **MEDIAN, gid="median")
    if np.isfinite([low, high]).all():
        ax.plot([place] * 2, [low, high], **MEDIAN, gid="interval")


def _size_labels(sizes: list[float | None]) -> list[str]:
    """Value of every size, or of every second, third, ... where they are many."""
    if len(sizes) == 1 and sizes[0] == 0:
        return ["all runs"]  # no size is known
    labels = ["?" if size is None or math.isnan(size) else f"{size:g}" for size in sizes]
    wide = (len(labels) + 1) * (1 + max(map(len, labels), default=0))
    every = -(-wide // LETTERS)
    return [label if k % every == 0 else "" for k, label in enumerate(labels)]


def _log_axis(ax: Axes, limits: tuple[float, float]) -> None:
    ax.set_yscale("log")
    ax.set_ylim(*limits)
    decades = math.log10(limits[1] / limits[0])
    subs = (1,) if decades > 1.5 else (1, 2, 5) if decades > 0.8 else (1, 1.5, 2, 3, 5, 7)
    ax.yaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(LogLocator(subs=(2, 5) if decades > 1.5 else (1,), numticks=6))
    ax.yaxis.set_minor_formatter(NullFormatter())


# ---- how often the peak is first -----------------------------------------------------------


def _shares(ax: Axes, lead: LeadAudit, colour: str) -> None:
    """Observed share of peaks first, each head's, and those of unrelated peaks."""
    p, pooled = lead.precedes, lead.pooled
    null = p.phase_null
    tail = "p_as_few" if p.share < 0.5 else "p"  # the side on which the share lies
    rows = [
        ("random step", null["steps"]["expected_share"], null["steps"][tail]),
        ("random ln step", null["log_steps"]["expected_share"], null["log_steps"][tail]),
        ("even odds", 0.5 if p.runs else math.nan, p.sign_p),
    ]
    heads = [h for h in lead.look_elsewhere.heads if h["first"] + h["later"]]
    ax.set_xlim(-6, 185)  # the right is for text
    ax.set_ylim(4.6, -0.6)
    ax.set_yticks(range(5), ["observed", "each head", *(name for name, _, _ in rows)])
    ax.tick_params(axis="y", length=0)
    ax.set_xticks([0, 50, 100])
    ax.spines["bottom"].set_bounds(0, 100)
    ax.vlines([0, 50, 100], -0.6, 4.6, color="#E0E0E0", lw=0.5, zorder=0)
    _beside_share(ax, 0, f"{pooled.first} of {p.runs}")
    if not p.runs:
        return
    ax.vlines(100 * p.share, 0, 4.6, color=colour, lw=0.7, ls=(0, (3, 2)), zorder=1)
    ax.plot(100 * p.share, 0, color=colour, gid="observed", clip_on=False, **MARKER["observed"])
    _heads(ax, heads, colour)
    for y, (_, share, chance) in enumerate(rows, start=2):
        ax.plot(100 * share, y, gid="null", clip_on=False, **MARKER["null"])
        _beside_share(ax, y, _p(chance))


def _heads(ax: Axes, heads: list[dict[str, Any]], colour: str) -> None:
    if heads:
        shares = [100 * h["first"] / (h["first"] + h["later"]) for h in heads]
        heights = 1 + 0.3 * np.linspace(-1, 1, len(heads)) * (len(heads) > 1)
        ax.plot(shares, heights, color=colour, gid="head", clip_on=False, **MARKER["head"])
    _beside_share(
        ax, 1, "1 head" if len(heads) == 1 else f"{len(heads)} heads" if heads else "none"
    )


def _beside_share(ax: Axes, y: float, text: str) -> None:
    # Not in the layout: rows of panels would differ in width with their texts.
    ax.text(TEXT_AT, y, text, va="center", fontsize=SMALL, in_layout=False)


def _p(p: float) -> str:
    if not math.isfinite(p):
        return ""
    return f"P = {p:.2g}" if p >= 1e-4 else f"P = {p:.0e}"


# ---- the clock, and the controls -----------------------------------------------------------


def _slopes(ax: Axes, lead: LeadAudit, colour: str) -> None:
    """Slopes of ln peak on ln onset and on ln memorisation, and the clock that they name."""
    clock = lead.clock
    ax.set_xlim(*SLOPES)
    ax.set_ylim(1.6, -0.6)
    ax.set_yticks([0, 1], ["onset", "memorisation"])
    ax.tick_params(axis="y", length=0, pad=4)
    ax.set_xticks([-1, 0, 1, 2])
    for y, name in enumerate(("onset", "memorisation")):
        if name in clock.slopes:
            _slope(ax, y, clock.slopes[name], colour)
        elif clock.slopes:
            ax.text(0.5, y, "does not vary", **MISSING)
    if clock.slopes:
        ax.vlines([0, 1], -0.6, 1.6, color="#B0B0B0", lw=0.6, zorder=0)
    else:
        why = "too few" if clock.runs < MIN_RUNS else "none vary"
        ax.text(0.5, 0.5, f"{clock.runs} runs:\n{why}", **MISSING)
    _beside(ax, f"follows: {clock.follows}", 1, 3, va="baseline", fontsize=TITLE)


def _slope(ax: Axes, y: float, slope: Slope, colour: str) -> None:
    """Estimate and interval, clipped by an arrow where they leave the axis."""
    low, high = SLOPES
    ends = np.clip(slope.ci95, low, high)
    ax.plot(ends, [y, y], color=colour, lw=1.1, gid="slope interval", zorder=2)
    for end, marker, beyond in ((low, "<", slope.ci95[0] < low), (high, ">", slope.ci95[1] > high)):
        if beyond:
            style: dict[str, Any] = {"ls": "", "marker": marker, "ms": 3.5, "mew": 0}
            ax.plot(end, y, color=colour, clip_on=False, gid="beyond", **style)
    if low <= slope.value <= high:
        ax.plot(slope.value, y, color=colour, gid="slope", **MARKER["observed"])


def _controls(ax: Axes, lead: LeadAudit) -> None:
    """Verdicts of the controls, in words."""
    ax.set_axis_off()
    sentences = [
        plain(f"{spoken(c.name)}: {c.verdict}")
        + f", {c.with_peak} of {c.runs}" * (c.runs > 0)
        + f" ({c.generalising} more generalise)" * (c.generalising > 0)
        for c in lead.controls
    ]
    text = "\n".join(["peak in controls:", *_fitting(sentences)]) if sentences else "no controls"
    _beside(ax, text, 1, 0, va="top", fontsize=SMALL, linespacing=1.25, gid="controls")


def _fitting(sentences: list[str]) -> list[str]:
    """Lines of as many sentences as there is room for."""
    lines: list[str] = []
    for k, sentence in enumerate(sentences):
        longer = lines + _wrapped(sentence, WORDS, indent="  ").split("\n")
        if len(longer) + (k + 1 < len(sentences)) > CONTROL_LINES:
            return [*lines, f"and {len(sentences) - k} more"]
        lines = longer
    return lines


def _beside(ax: Axes, text: str, y: float, up: float, **style: Any) -> None:
    """Write text that begins where the names of the slopes do."""
    ax.annotate(
        text, (0, y), xycoords="axes fraction", xytext=(-46, up), textcoords="offset points",
        annotation_clip=False, parse_math=False, in_layout=False, **style,
    )  # fmt: skip


# ---- words ---------------------------------------------------------------------------------


def _wrapped(text: str, width: float, indent: str = "") -> str:
    """Lines no wider than a number of inches, in the style that is set."""
    measure, font = TextToPath(), FontProperties(size=SMALL)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines[-1].strip() else lines[-1] + word
        if measure.get_text_width_height_descent(longer, font, False)[0] > 72 * width:
            lines.append(indent + word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def _legend(figure: Figure) -> None:
    drawn = {line.get_gid() for ax in figure.get_axes() for line in ax.lines}
    handles: list[Artist] = [
        Line2D([], [], **({"color": "#595959"} | MARKER.get(gid, MEDIAN)), label=label)
        for gid, label in KEY.items()
        if gid in drawn
    ]
    handles.append(Patch(color=LATER, label="onset first"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
