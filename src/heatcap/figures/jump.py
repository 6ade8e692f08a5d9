"""Figure of a Kosterlitz-Thouless fit: stiffness of all sizes, and its fall at T_KT.

The stiffness and the temperature have the units of the data (k_B = 1), so that the jump is
2 T_KT / pi; errors are one standard deviation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from heatcap.core.arrays import Floats
from heatcap.core.result import readable
from heatcap.figures import panels
from heatcap.figures.panels import (
    CENTRE,
    LINE,
    PLAIN,
    SPREAD,
    Look,
    goodness,
    head_lines,
    keys_of_sizes,
    look_of_sizes,
    say,
    symbol,
    write_head,
)
from heatcap.figures.style import PAGE, VERMILION, new_figure, styled
from heatcap.scaling import Points
from heatcap.scaling.jump import Stiffness

__all__ = ["stiffness"]

POINT: dict[str, Any] = panels.POINT | {"zorder": 3}
JUMP: dict[str, Any] = {"color": "black", "lw": 0.9, "zorder": 2}
OTHER: dict[str, Any] = {"color": "#8C8C8C", "lw": 0.8, "ls": (0, (3, 2)), "zorder": 1}
ROW, SIZES, ACROSS = 2.35, 24, 10


def stiffness(result: Stiffness, data: Points, *, names: tuple[str, str] = ("size", "T")) -> Figure:
    """Draw stiffness against temperature with 2 T / pi, and its fall with ln L at T_KT.

    Points on the right are those of the two temperatures nearest to T_KT, shifted there along the
    fit; other models of at least 1 % of the weight are drawn, each at its own T_KT.
    A status other than "ok" stands across the head.

    Parameters
    ----------
    result : Stiffness
        Made by :func:`heatcap.scaling.stiffness`.
    data : Points
        The data that `result` was made from.
    names : tuple of str, optional
        What the size and the temperature are called.

    Returns
    -------
    Figure
        Two columns of a journal wide.

    Raises
    ------
    ValueError
        If there are no data.
    """
    if not len(data):
        raise ValueError("no data: expected Points")
    sizes = np.unique(data.size)
    look = look_of_sizes(sizes.tolist())
    with styled():
        lines = head_lines(_numbers(result), result.status, result.message)
        shown = sizes[:: math.ceil(sizes.size / SIZES)]
        deep = math.ceil((shown.size + 1) / ACROSS) + 1
        head = LINE * len(lines) + 0.17 * deep + 0.12
        figure = new_figure(PAGE, head + ROW)
        top, below = figure.subfigures(2, 1, height_ratios=[head, ROW], squeeze=False)[:, 0]
        grid = below.add_gridspec(1, 2, width_ratios=[1.15, 1.0], wspace=0.05)
        left, right = (below.add_subplot(grid[0, k]) for k in (0, 1))
        _against_temperature(left, result, data, look)
        left.set_xlabel(symbol(names[1]))
        left.set_ylabel(symbol(data.name))
        if result.curves:
            _at_the_transition(right, result, look)
        else:
            say(right, f"no fit: {result.status}")
        write_head(top, lines, head, ok=result.ok)
        _legends(top, result, len(data), shown, look, names[0], head)
    return figure


def _against_temperature(ax: Axes, result: Stiffness, data: Points, look: Look) -> None:
    """Points and fits of all sizes, the line 2 T / pi, and T_KT with its error."""
    low, high = float(data.control.min()), float(data.control.max())
    fitted = result.curves.get("used", set())
    pairs = zip(data.size.tolist(), data.control.tolist(), strict=True)
    used = np.array([pair in fitted for pair in pairs]) | (not fitted)
    for size, style in look.items():
        for gid, chosen, face in (("point", used, {}), ("left out", ~used, {"mfc": "white"})):
            rows = (data.size == size) & chosen
            columns = data.control[rows], data.value[rows], data.error[rows]
            ax.errorbar(*columns, **POINT | style | face)[0].set_gid(gid)
    if curves := result.curves:
        for size, curve in zip(curves["size"], curves["stiffness"], strict=True):
            ax.plot(
                curves["temperature"], curve, color=look[float(size)]["color"], lw=0.7, gid="fit"
            )
    t = result.t_kt
    if low <= t.value <= high:
        ax.axvline(t.value, **CENTRE, gid="t_kt")
        ax.axvspan(t.value - t.error, t.value + t.error, **SPREAD, gid="t_kt error")
    room = 0.04 * (high - low)
    span = np.array([low - room, high + room])
    ax.plot(span, 2 * span / np.pi, **JUMP, gid="universal")
    ax.set_xlim(*span)
    top, bottom = (data.value + data.error).max(), (data.value - data.error).min()
    line = 2 * span / np.pi
    reach = max(top, line.max()) - min(bottom, line.min())
    ax.set_ylim(min(bottom, line.min()) - 0.05 * reach, max(top, line.max()) + 0.05 * reach)


def _at_the_transition(ax: Axes, result: Stiffness, look: Look) -> None:
    """Reduced stiffness pi Y / 2 T at T_KT against 1 / ln L, and the free jump."""
    curves = result.curves
    x = 1 / curves["log_size"]
    for k, curve in enumerate(curves["at_t_kt"]):
        ax.plot(x, curve, **(JUMP if k == 0 else OTHER), gid="model")
    logs = 1 / np.log(curves["size"])
    rows = zip(curves["size"], logs, curves["measured"], curves["measured_error"], strict=True)
    for size, at, value, error in rows:
        drawn = ax.errorbar(at, value, error, **POINT | look[float(size)])
        drawn[0].set_gid("measured")
    jump = result.jump
    ax.axhline(1.0, color="black", lw=0.6, ls=":", gid="limit")
    ax.errorbar(
        0.0, jump.value, jump.error, ls="", marker="*", ms=7, mew=0, color=VERMILION,
        elinewidth=0.9, clip_on=False, zorder=4,
    )[0].set_gid("jump")  # fmt: skip
    ax.set_xlim(0.0, 1.06 * logs.max())
    ticks = [s for s in (4, 8, 16, 64, 1024, 10**6) if 1 / math.log(s) < 1.06 * logs.max()]
    ax.xaxis.set_major_locator(FixedLocator([0.0, *(1 / math.log(s) for s in ticks)]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(_size_of))
    values = np.concatenate([curves["measured"], [1.0, jump.value + jump.error]])
    low = min(values.min(), max(jump.value - jump.error, 0.0))
    room = 0.07 * (values.max() - low) or 0.1
    ax.set_ylim(low - room, values.max() + room)
    ax.set_xlabel("size, at $1/\\ln L$")
    ax.set_ylabel(r"$\pi\Upsilon/(2T)$ at $T_\mathrm{KT}$")


def _size_of(x: float, _: int) -> str:
    """Label of a tick at x = 1 / ln L."""
    if x <= 0:
        return r"$\infty$"
    size = math.exp(1 / x)
    return f"{size:.0f}" if size < 5000 else f"$10^{{{math.log10(size):.0f}}}$"


def _numbers(result: Stiffness) -> list[str]:
    """Numbers of the head: T_KT, the jump, the constant, chi^2."""
    t, j, c = result.t_kt, result.jump, result.c
    if not np.isfinite(t.value):
        return []
    numbers = (
        rf"$T_\mathrm{{KT}}$ = {readable(t.value, t.error)}"
        + (" (jump free)" if result.free_jump else " (jump universal)"),
        f"jump $J$ = {readable(j.value, j.error)} of $2T/\\pi$",
        f"$c$ = {readable(c.value, c.error)}",
        *goodness(result.chi2, result.dof, result.p_value),
    )
    return [number.replace("= -", "= \u2212") for number in numbers]


def _legends(
    part: SubFigure,
    result: Stiffness,
    points: int,
    sizes: Floats,
    look: Look,
    name: str,
    height: float,
) -> None:
    keys = keys_of_sizes(name, sizes, look)
    fitted = ", and the best fit" * bool(result.curves)
    others: list[Artist] = [Line2D([], [], **JUMP, label=rf"$2T/\pi${fitted}")]
    if result.curves:
        if len(result.curves["at_t_kt"]) > 1:
            others.append(Line2D([], [], **OTHER, label="other models"))
        others.append(Line2D([], [], **CENTRE, label=r"$T_\mathrm{KT}$"))
        others.append(Patch(color=SPREAD["color"], label="its error"))
        if len(result.curves["used"]) < points:
            left_out = {**PLAIN, "marker": "o", "mfc": "white", "label": "left out of the fit"}
            others.append(Line2D([], [], **left_out))
        star: dict[str, Any] = {"marker": "*", "ms": 7, "mew": 0, "color": VERMILION, "ls": ""}
        others.append(Line2D([], [], **star, label="free jump"))
    low = part.legend(handles=others, loc="lower center", ncols=len(others))
    above = (0.5, 0.19 / height)
    columns = min(len(keys), ACROSS)
    rows = math.ceil(len(keys) / columns)
    places = [i * columns + j for j in range(columns) for i in range(rows)]
    keys = [keys[place] for place in places if place < len(keys)]  # legends fill column by column
    high = part.legend(handles=keys, loc="lower center", bbox_to_anchor=above, ncols=columns)
    for legend in (low, high):
        legend.set_in_layout(False)
