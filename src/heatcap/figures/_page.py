"""A page of two panels under a head: numbers and status above, sizes and keys below."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextToPath
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from heatcap.figures._style import LABEL, PAGE, VERMILION, new_figure
from heatcap.figures.collapse import _look as look_of_sizes
from heatcap.scaling import Points

__all__ = [
    "CENTRE", "CURVE", "SPREAD", "curves_of_sizes", "page", "plain_axes", "say", "symbol",
    "value_name",
]  # fmt: skip

SMALL, LINE = 7.0, 0.132  # points; inches from line to line
ROW, SIZES, MARGIN = 2.5, 12, 0.5  # inches of the panels; sizes in the legend; inches
GREY = "#595959"
CENTRE: dict[str, Any] = {"color": "black", "lw": 0.9, "ls": (0, (4, 2)), "zorder": 3}
SPREAD: dict[str, Any] = {"color": "#BDBDBD", "lw": 0, "zorder": 0}
CURVE: dict[str, Any] = {"color": "black", "lw": 0.8, "zorder": 3}
POINT: dict[str, Any] = {"ls": "", "ms": 2.9, "mew": 0.6, "elinewidth": 0.5, "zorder": 2}

Look = dict[float, dict[str, Any]]


def page(
    sizes: Sequence[float],
    size_name: str,
    numbers: Sequence[str],
    status: str,
    message: str,
    keys: Sequence[Artist],
) -> tuple[Figure, Axes, Axes, Look]:
    """The figure, its two panels, and the colour and marker of every size."""
    look = look_of_sizes(sizes)
    said = f"status: {status}" + (f" ({message})" if message else "")
    lines = [("parameters", line) for line in _filled(numbers, "     ", math_text=True)]
    lines += [("status", line) for line in _filled(said.split(), " ")]
    shown = list(sizes[:: math.ceil(len(sizes) / SIZES)])
    head = LINE * len(lines) + 0.1
    foot = 2.7 * LINE + 0.08
    figure = new_figure(PAGE, head + ROW + foot)
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=[head, ROW, foot], squeeze=False)[
        :, 0
    ]
    for k, (gid, line) in enumerate(lines):
        style: dict[str, Any] = {"fontsize": SMALL, "gid": gid, "parse_math": gid == "parameters"}
        if gid == "status" and status != "ok":
            style["color"] = VERMILION
        y = 1 - (0.05 + LINE * k) / head
        top.text(0.012, y, line, va="top", in_layout=False, **style)
    plain: dict[str, Any] = {"ls": "", "ms": 3.6, "mew": 0.8, "color": GREY}
    handles: list[Artist] = [Line2D([], [], ls="", marker="", label=symbol(size_name))]
    handles += [Line2D([], [], **(plain | look[size]), label=f"{size:g}") for size in shown]
    below = bottom.legend(handles=list(keys), loc="lower center", ncols=len(keys))
    above = bottom.legend(handles=handles, loc="upper center", ncols=len(handles))
    for legend in (below, above):
        legend.set_in_layout(False)
    left, right = middle.subplots(1, 2, gridspec_kw={"wspace": 0.06})
    return figure, left, right, look


def curves_of_sizes(
    ax: Axes,
    data: Points,
    curves: Sequence[Mapping[str, Any]],
    look: Look,
    window: tuple[float, float],
) -> None:
    """Points with errors, and the curve through them, between two controls."""
    low, high = window
    room = 0.02 * (high - low)
    ends: list[float] = []
    for curve in curves:
        size = float(curve["size"])
        x, y = np.asarray(curve["x"]), np.asarray(curve["y"])
        ax.plot(x, y, color=look[size]["color"], lw=0.8, zorder=1, gid="curve")
        ends += y[(x >= low) & (x <= high)].tolist()
        own = (data.size == size) & (data.control >= low - room) & (data.control <= high + room)
        drawn = ax.errorbar(
            data.control[own], data.value[own], data.error[own], **(POINT | look[size])
        )
        drawn[0].set_gid("point")
        ends += [*(data.value[own] - data.error[own]), *(data.value[own] + data.error[own])]
    ax.set_xlim(low - room, high + room)
    tall = 0.06 * float(np.ptp(ends)) or 1.0
    ax.set_ylim(min(ends) - tall, max(ends) + tall)
    plain_axes(ax)


def say(ax: Axes, words: str) -> None:
    """Words instead of a panel."""
    ax.set_axis_off()
    ax.text(
        0.5, 0.5, words, ha="center", va="center", color=VERMILION, transform=ax.transAxes,
        gid="no data", wrap=True,
    )  # fmt: skip


def plain_axes(ax: Axes) -> None:
    """Few ticks, and numbers in full: no offset at the end of the axis."""
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(ScalarFormatter(useOffset=False))


def symbol(name: str) -> str:
    """A letter in italics, words without underscores."""
    if len(name) == 1 and name.isalpha():
        return f"${name}$"
    return name.replace("_", " ").replace("$", r"\$")


def value_name(name: str) -> str:
    """Of an observable, as on an axis."""
    return LABEL.get(name, symbol(name))


def _filled(items: Sequence[str], gap: str, math_text: bool = False) -> list[str]:
    """Lines no wider than the page, in the style that is set."""
    measure, font = TextToPath(), FontProperties(size=SMALL)
    lines: list[str] = []
    for item in items:
        longer = f"{lines[-1]}{gap}{item}" if lines else item
        wide = measure.get_text_width_height_descent(longer, font, math_text and "$" in longer)[0]
        if lines and wide <= 72 * (PAGE - MARGIN):
            lines[-1] = longer
        else:
            lines.append(item)
    return lines
