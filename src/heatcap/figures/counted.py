"""Figure of thresholds: shares of successes of all sizes, and the thresholds against the size.

Axes have the units of the data; bars and bands are one standard deviation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from heatcap.core.result import Status, readable
from heatcap.figures.curves_of_sizes import BAND, PAIR, RING, page
from heatcap.figures.panels import CENTRE, CURVE, POINT, SPREAD, Look, plain_axes, say, symbol
from heatcap.figures.style import styled
from heatcap.scaling import Thresholds

__all__ = ["thresholds"]

LEVEL: dict[str, Any] = {"color": "black", "lw": 0.6, "ls": ":", "zorder": 0}


def thresholds(result: Thresholds, *, names: tuple[str, str] = ("size", "control")) -> Figure:
    """Draw shares of successes with their regressions, and the thresholds against the size.

    Parameters
    ----------
    result : Thresholds
        Made by :func:`heatcap.scaling.thresholds`.
    names : tuple of str, optional
        What the size and the control are called.

    Returns
    -------
    Figure
        Two columns of a journal wide.
    """
    with styled():
        keys: list[Artist] = [Line2D([], [], **RING, label=f"P = {result.level:g}")]
        if result.x_c is not None:
            keys += [
                Line2D([], [], **CENTRE, label="$x_c$"),
                Patch(color=SPREAD["color"], label="its error"),
                Line2D([], [], **CURVE, label="extrapolation"),
                Patch(color=BAND["color"], label="its error"),
            ]
        sizes = [row.size for row in result.rows]
        figure, left, right, look = page(
            sizes, names[0], _numbers(result), result.status, result.message, keys
        )
        _shares(left, result, look)
        left.set_xlabel(symbol(names[1]))
        _against_size(right, result, names)
    return figure


def _numbers(result: Thresholds) -> list[str]:
    named = {
        "$x_c$": result.x_c,
        "exponent of the shift": result.shift_exponent,
        r"$1/\nu$ of the widths": result.inverse_nu,
    }
    out = [f"{k} = {readable(p.value, p.error)}" for k, p in named.items() if p is not None]
    out += [f"exponent of the shift = {v:g} (fixed)" for v in result.fixed.values()]
    return [number.replace("= -", "= \u2212") for number in out]


def _shares(ax: Axes, result: Thresholds, look: Look) -> None:
    """Successes over trials with the averaged regression, and the threshold of each size."""
    for row in result.rows:
        style = look[row.size]
        ax.errorbar(row.control, row.share, row.error, **(POINT | style))[0].set_gid("share")
        if row.curve:
            x, y, band = (np.asarray(row.curve[k]) for k in ("control", "value", "band"))
            ax.plot(x, y, color=style["color"], lw=0.9, gid="curve")
            ax.fill_between(x, y - band, y + band, color=style["color"], alpha=0.2, lw=0)
        if row.position is not None:
            ax.plot(row.position.value, result.level, **RING, gid="threshold")
    ax.axhline(result.level, **LEVEL, gid="level")
    if result.x_c is not None:
        low, high = ax.get_xlim()
        if low <= result.x_c.value <= high:
            ax.axvline(result.x_c.value, **CENTRE, gid="x_c")
        ax.set_xlim(low, high)
    ax.set_ylim(-0.03, 1.03)
    ax.set_title("all sizes", loc="left")
    ax.set_ylabel("share of successes $P$")


def _against_size(ax: Axes, result: Thresholds, names: tuple[str, str]) -> None:
    """Thresholds against a power of the size, with their extrapolation."""
    rows = [(row.size, row.position, row.status) for row in result.rows if row.position is not None]
    if not rows:
        say(ax, f"no threshold: {result.status}")
        return
    exponent = result.shift_exponent or result.inverse_nu
    w = result.fixed.get("inverse_nu", 1.0 if exponent is None else exponent.value)
    ends: list[float] = []
    if result.x_c is not None:
        value, error = result.x_c.value, result.x_c.error
        ends += [value - error, value + error]
        ax.axhspan(*ends, **SPREAD, gid="x_c error")
        ax.axhline(value, **CENTRE, gid="x_c")
        size, x, band = (np.asarray(result.extrapolation[k]) for k in ("size", "x", "band"))
        ax.fill_between(size**-w, x - band, x + band, **BAND, gid="band")
        ax.plot(size**-w, x, **CURVE, gid="extrapolation")
    for at, p, status in rows:
        hollow = {} if status is Status.OK else {"mfc": "white"}
        ax.errorbar(at**-w, p.value, p.error, **(PAIR | hollow))[0].set_gid("position")
        ends += [p.value - p.error, p.value + p.error]
    ax.set_xlim(0, 1.08 * max(at**-w for at, _, _ in rows))
    room = 0.06 * float(np.ptp(ends)) or 1.0
    ax.set_ylim(min(ends) - room, max(ends) + room)
    ax.set_title("thresholds", loc="left")
    power = rf"1 / {symbol(names[0])}" if w == 1 else rf"{symbol(names[0])}$^{{\,-{w:.2f}}}$"
    ax.set_xlabel(power)
    ax.set_ylabel(f"{symbol(names[1])} at the threshold")
    plain_axes(ax)
