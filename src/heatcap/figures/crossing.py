"""Curves of all sizes where they cross, and the crossings against the size of the pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from heatcap.core.result import readable
from heatcap.figures.curves_of_sizes import curves_of_sizes, page
from heatcap.figures.names import label
from heatcap.figures.panels import (
    CENTRE,
    CURVE,
    SPREAD,
    goodness,
    plain_axes,
    say,
    symbol,
)
from heatcap.figures.style import VERMILION, styled
from heatcap.scaling import Crossings, Parameter, Points

__all__ = ["crossings"]


CROSS: dict[str, Any] = {
    "ls": "", "marker": "o", "ms": 5.5, "mfc": "none", "mec": VERMILION, "mew": 1.0, "zorder": 4,
}  # fmt: skip
PAIR: dict[str, Any] = {"ls": "", "marker": "o", "ms": 3.5, "color": VERMILION, "elinewidth": 0.8}
BAND: dict[str, Any] = {"color": "#E3E3E3", "lw": 0, "zorder": -1}
ROOM = 2.5  # half the window over the distance of the farthest crossing from the middle
NEAR = 7  # points of the largest size that are at least shown


def crossings(
    result: Crossings, data: Points, *, names: tuple[str, str] = ("size", "control")
) -> Figure:
    """Left: curves with their points, crossings ringed.  Right: crossings against L, and x_c.

    Parameters
    ----------
    result : Crossings
        Made by :func:`heatcap.scaling.crossings`.
    data : Points
        Those whose crossings they are.
    names : tuple of str, optional
        What the size and the control are called.

    Returns
    -------
    Figure
        Two columns of a journal wide.
    """
    with styled():
        keys: list[Artist] = [
            Line2D([], [], **CROSS, label="crossing of a pair"),
            Line2D([], [], **CENTRE, label="$x_c$"),
        ]
        if np.isfinite(result.x_c.error):
            keys.append(Patch(color=SPREAD["color"], label="its error"))
        if result.extrapolation:
            keys.append(Line2D([], [], **CURVE, label="extrapolation"))
            keys.append(Patch(color=BAND["color"], label="its error"))
        sizes = sorted({float(s) for s in data.size})
        figure, left, right, look = page(
            sizes, names[0], _numbers(result), result.status, result.message, keys
        )
        low, high = _window(result, data)
        curves_of_sizes(left, data, result.curves, look, (low, high))
        left.plot(result.x, result.height, **CROSS, gid="crossing")
        _mark(left, result.x_c, vertical=True)
        left.set_title("curves of all sizes", loc="left")
        left.set_xlabel(symbol(names[1]))
        left.set_ylabel(label(data.name))
        _against(right, result, names)
    return figure


def _numbers(result: Crossings) -> list[str]:
    named = {
        "$x_c$": result.x_c,
        "value at infinity": result.height_infinity,
        "$w$": result.drift_exponent,
    }
    found = [
        f"{name} = {readable(p.value, p.error)}"
        for name, p in named.items()
        if p is not None and np.isfinite(p.value) and np.isfinite(p.error)
    ]
    if result.drift is not None:
        found.append(f"$w$ = {result.drift:g} (fixed)")
    if result.models:
        found += goodness(result.chi2, result.dof, result.p_value)
    return [each.replace("= -", "= \u2212") for each in found]


def _window(result: Crossings, data: Points) -> tuple[float, float]:
    """About the crossings, and wide enough for points of the largest size; else all data."""
    low, high = float(data.control.min()), float(data.control.max())
    known = np.isfinite(result.x)
    if not known.any():
        return low, high
    marks = [*result.x[known], *([result.x_c.value] if np.isfinite(result.x_c.value) else [])]
    middle = 0.5 * (min(marks) + max(marks))
    largest = np.sort(np.abs(data.control[data.size == data.size.max()] - middle))
    half = max(
        ROOM * 0.5 * float(np.ptp(marks)),
        3 * float(np.nanmax(result.error)),
        float(largest[:NEAR][-1]),
    )
    return max(low, middle - half), min(high, middle + half)


def _mark(ax: Axes, p: Parameter, *, vertical: bool) -> None:
    if not np.isfinite(p.value):
        return
    line, span = (ax.axvline, ax.axvspan) if vertical else (ax.axhline, ax.axhspan)
    if np.isfinite(p.error):
        span(p.value - p.error, p.value + p.error, **SPREAD, gid="x_c error")
    line(p.value, **CENTRE, gid="x_c")


def _against(ax: Axes, result: Crossings, names: Sequence[str]) -> None:
    known = np.isfinite(result.x)
    if not known.any():
        say(ax, f"nothing to extrapolate: {result.status}")
        return
    w, what = 1.0, rf"1 / {symbol(names[0])}"
    own = result.drift_exponent
    fitted = result.drift if own is None else own.value
    if fitted is not None:
        w, what = fitted, rf"{symbol(names[0])}$^{{\,-{fitted:.2f}}}$"
    middle = result.middle
    _mark(ax, result.x_c, vertical=False)
    if result.extrapolation:
        size, x, band = (np.asarray(result.extrapolation[k]) for k in ("size", "x", "band"))
        ax.fill_between(size**-w, x - band, x + band, **BAND, gid="band")
        ax.plot(size**-w, x, **CURVE, gid="extrapolation")
    ax.errorbar(middle[known] ** -w, result.x[known], result.error[known], **PAIR)[0].set_gid(
        "pair"
    )
    ax.set_xlim(0, 1.08 * float((middle[known] ** -w).max()))
    bars = np.nan_to_num(result.error[known])
    ends = [*(result.x[known] - bars), *(result.x[known] + bars)]
    if np.isfinite(result.x_c.error):
        ends += [result.x_c.value - result.x_c.error, result.x_c.value + result.x_c.error]
    room = 0.06 * float(np.ptp(ends)) or 1.0
    ax.set_ylim(min(ends) - room, max(ends) + room)
    ax.set_title("crossings of pairs", loc="left")
    ax.set_xlabel(f"{what}, with the geometric mean of the pair")
    ax.set_ylabel(f"{symbol(names[1])} at the crossing")
    plain_axes(ax)
