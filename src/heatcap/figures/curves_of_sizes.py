"""A page of two panels under a head: numbers and status above, sizes and keys below."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from heatcap.figures.panels import (
    LINE,
    PLAIN,
    POINT,
    Look,
    head_lines,
    look_of_sizes,
    plain_axes,
    symbol,
    write_head,
)
from heatcap.figures.style import PAGE, new_figure
from heatcap.scaling import Points

__all__ = ["curves_of_sizes", "page"]

ROW, SIZES = 2.5, 12  # inches of the panels; sizes in the legend


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
    lines = head_lines(numbers, status, message)
    shown = list(sizes[:: math.ceil(len(sizes) / SIZES)])
    head = LINE * len(lines) + 0.1
    foot = 2.7 * LINE + 0.08
    figure = new_figure(PAGE, head + ROW + foot)
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=[head, ROW, foot], squeeze=False)[
        :, 0
    ]
    write_head(top, lines, head, ok=status == "ok")
    handles: list[Artist] = [Line2D([], [], ls="", marker="", label=symbol(size_name))]
    handles += [Line2D([], [], **(PLAIN | look[size]), label=f"{size:g}") for size in shown]
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
