"""Figure of a Kosterlitz-Thouless fit: stiffness of all sizes, and its fall at T_KT.

The stiffness and the temperature have the units of the data (k_B = 1), so that the jump is
2 T_KT / pi; errors are one standard deviation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from heatcap.core.result import goodness_line, readable
from heatcap.core.text import plain
from heatcap.figures import panels
from heatcap.figures.panels import (
    CENTRE,
    SPREAD,
    Look,
    by_words,
    caption_of,
    kinds_of,
    look_of_sizes,
    paper,
    say,
    symbol,
)
from heatcap.figures.style import VERMILION, describe, styled
from heatcap.scaling import Points
from heatcap.scaling.jump import Stiffness

__all__ = ["stiffness"]

POINT: dict[str, Any] = panels.POINT | {"zorder": 3}
JUMP: dict[str, Any] = {"color": "black", "lw": 0.9, "zorder": 2}
OTHER: dict[str, Any] = {"color": "#8C8C8C", "lw": 0.8, "ls": (0, (3, 2)), "zorder": 1}


def stiffness(
    result: Stiffness,
    data: Points,
    *,
    names: tuple[str, str] = ("size", "T"),
    panel: str = "all",
    width: str = "double",
    labels: Mapping[str, str] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw stiffness against temperature with 2 T / pi, and its fall with ln L at T_KT.

    Points of the "jump" are those of the two temperatures nearest to T_KT, shifted there along the
    fit; other models of at least 1 % of the weight are drawn, each at its own T_KT, which is a
    line where the status is "ok".  Numbers, status and reasons are in the caption.

    Parameters
    ----------
    result : Stiffness
        Made by :func:`heatcap.scaling.stiffness`.
    data : Points
        The data that `result` was made from.
    names : tuple of str, optional
        What the size and the temperature are called.
    panel : {"all", "data", "jump"}, optional
    width : {"double", "single"}, optional
        Two columns of a journal, 7 inches, or one, 3.4 inches.
    labels : mapping, optional
        Words on the axes for "size", "control" and "value", with $mathematics$.
    axes : Axes, optional
        Where one panel is drawn, "data" unless `panel` is given.

    Returns
    -------
    Figure
        A new one, or that of `axes`.

    Raises
    ------
    ValueError
        If there are no data, or `panel`, `width` or `labels` are none of these.
    """
    if not len(data):
        raise ValueError("no data: expected Points")
    said = by_words(labels, names)
    kinds = kinds_of(panel, ("data", "jump"), axes, whole=bool(result.curves))
    sizes = np.unique(data.size).tolist()
    look = look_of_sizes(sizes)
    with styled():
        figure, places = paper(kinds, sizes, said["size"], look, width, axes)
        for (kind, _), (ax,) in zip(kinds, places, strict=True):
            if kind == "data":
                _against_temperature(ax, result, data, look)
                ax.set_xlabel(said["control"])
                ax.set_ylabel(said.get("value") or symbol(data.name))
            elif result.curves:
                _at_the_transition(ax, result, look)
            else:
                say(ax, f"no fit: {result.status}")
        if axes is None:
            describe(figure, _caption(result, data, [kind for kind, _ in kinds]))
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
        if result.ok:
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


def _caption(result: Stiffness, data: Points, kinds: Sequence[str]) -> str:
    fitted = bool(result.curves)
    line = "dashed: T_KT; " if result.ok else ""
    left_out = (
        "; open: left out of the fit" if len(result.curves.get("used", ())) < len(data) else ""
    )
    other = "; grey: other models" if fitted and len(result.curves["at_t_kt"]) > 1 else ""
    panels = {
        "data": "stiffness; black: 2 T / \u03c0"
        + f"; lines: the best fit; {line}grey: T_KT within its error{left_out}" * fitted,
        "jump": f"\u03c0\u03a5/2T at T_KT against 1/ln L; line: the best fit{other}; dotted: the "
        "universal jump; star: a free jump",
    }
    return caption_of(
        f"Stiffness {plain(data.name)}.",
        [f"{kind.capitalize()}: {panels[kind]}." for kind in kinds],
        _numbers(result),
        result.status,
        result.message,
    )


def _numbers(result: Stiffness) -> list[str]:
    """Numbers of the caption: T_KT, the jump, the constant, chi^2."""
    t, j, c = result.t_kt, result.jump, result.c
    if not np.isfinite(t.value):
        return []
    return [
        f"T_KT = {readable(t.value, t.error)}"
        + (" (jump free)" if result.free_jump else " (jump universal)"),
        f"jump J = {readable(j.value, j.error)} of 2 T / \u03c0",
        f"c = {readable(c.value, c.error)}",
        goodness_line(result.chi2, result.dof, result.p_value),
    ]
