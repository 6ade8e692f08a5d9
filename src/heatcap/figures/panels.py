"""What the figures of finite-size scaling share: a look for every size, marks, axes and words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from heatcap.core.text import plain
from heatcap.figures.names import letter
from heatcap.figures.style import PAGE, VERMILION

__all__ = [
    "CENTRE", "CURVE", "GREY", "LINE", "MARKERS", "PLAIN", "POINT", "SMALL", "SPREAD", "Look",
    "filled", "goodness", "head_lines", "look_of_sizes", "plain_axes", "say", "symbol",
    "write_head",
]  # fmt: skip

SMALL, LINE = 7.0, 0.132  # points; inches from line to line
MARGIN = 0.5  # inches; letters that are fitted to pixels are up to 5 % wider than measured
GREY = "#595959"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "p", ">")
POINT: dict[str, Any] = {"ls": "", "ms": 2.9, "mew": 0.6, "elinewidth": 0.5, "zorder": 2}
PLAIN: dict[str, Any] = {"ls": "", "ms": 3.6, "mew": 0.8, "color": GREY}  # of a legend
CENTRE: dict[str, Any] = {"color": "black", "lw": 0.9, "ls": (0, (4, 2)), "zorder": 3}
SPREAD: dict[str, Any] = {"color": "#BDBDBD", "lw": 0, "zorder": 0}
CURVE: dict[str, Any] = {"color": "black", "lw": 0.8, "zorder": 3}

Look = dict[float, dict[str, Any]]


def look_of_sizes(sizes: Sequence[float]) -> Look:
    """Colour and marker by size: dark to bright, without the yellow that paper swallows."""
    shades = colormaps["viridis"](np.linspace(0.0, 0.86, max(len(sizes), 2)))
    return {
        float(size): {"color": to_hex(shades[k]), "marker": MARKERS[k % len(MARKERS)]}
        for k, size in enumerate(sizes)
    }


# ---- axes ----------------------------------------------------------------------------------


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


# ---- the head ------------------------------------------------------------------------------


def head_lines(numbers: Sequence[str], status: str, message: str) -> list[tuple[str, str]]:
    """Lines of the head with what they are: "parameters" or "status"."""
    said = f"status: {status}" + (f" ({message})" if message else "")
    return [
        *(("parameters", line) for line in filled(numbers, "     ", math_text=True)),
        *(("status", line) for line in filled(plain(said).split(), " ")),
    ]


def write_head(
    part: SubFigure, lines: Sequence[tuple[str, str]], height: float, *, ok: bool
) -> None:
    """The lines from the top down, a status other than "ok" in a colour of warning."""
    for k, (gid, line) in enumerate(lines):
        style: dict[str, Any] = {"fontsize": SMALL, "gid": gid, "parse_math": gid == "parameters"}
        if gid == "status" and not ok:
            style["color"] = VERMILION
        y = 1 - (0.05 + LINE * k) / height
        part.text(0.012, y, line, va="top", in_layout=False, **style)


def filled(items: Sequence[str], gap: str, math_text: bool = False) -> list[str]:
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


# ---- words ---------------------------------------------------------------------------------


def goodness(chi2: float, dof: int, p_value: float) -> list[str]:
    """chi^2 by the degrees of freedom, and its p-value if any are left."""
    if dof == 0:
        return [rf"$\chi^2$ = {chi2:.1f}, no degrees of freedom left"]
    chance = f"{p_value:.0e}" if 0 < p_value < 1e-3 else f"{p_value:.2g}"
    return [rf"$\chi^2$/dof = {chi2:.1f}/{dof}", f"p = {chance}"]


def symbol(name: str) -> str:
    """A letter in italics, words without underscores."""
    return letter(name.replace("_", " "))
