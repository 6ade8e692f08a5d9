"""Figure of thresholds: shares of successes of all sizes, and the thresholds against the size.

Axes have the units of the data; bars and bands are one standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from heatcap.core.result import Status, readable
from heatcap.figures.curves_of_sizes import BAND, PAIR, RING
from heatcap.figures.panels import (
    CENTRE,
    CURVE,
    POINT,
    SPREAD,
    Look,
    by_words,
    caption_of,
    kinds_of,
    look_of_sizes,
    paper,
    plain_axes,
    say,
)
from heatcap.figures.style import describe, styled
from heatcap.scaling import Thresholds

__all__ = ["thresholds"]

LEVEL: dict[str, Any] = {"color": "black", "lw": 0.6, "ls": ":", "zorder": 0}


def thresholds(
    result: Thresholds,
    *,
    names: tuple[str, str] = ("size", "control"),
    panel: str = "all",
    width: str = "double",
    labels: Mapping[str, str] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw shares of successes with their regressions, and the thresholds against the size.

    Numbers, status and reasons are in the caption.

    Parameters
    ----------
    result : Thresholds
        Made by :func:`heatcap.scaling.thresholds`.
    names : tuple of str, optional
        What the size and the control are called.
    panel : {"all", "data", "thresholds"}, optional
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
        If `panel`, `width` or `labels` are none of these.
    """
    said = by_words(labels, names)
    located = any(row.position is not None for row in result.rows)
    kinds = kinds_of(panel, ("data", "thresholds"), axes, whole=located)
    sizes = [row.size for row in result.rows]
    with styled():
        look = look_of_sizes(sizes)
        figure, places = paper(kinds, sizes, said["size"], look, width, axes)
        for (kind, _), (ax,) in zip(kinds, places, strict=True):
            if kind == "thresholds":
                _against_size(ax, result, said)
                continue
            _shares(ax, result, look)
            ax.set_xlabel(said["control"])
            ax.set_ylabel(said.get("value", "share of successes $P$"))
        if axes is None:
            describe(figure, _caption(result, [kind for kind, _ in kinds]))
    return figure


def _caption(result: Thresholds, kinds: Sequence[str]) -> str:
    extrapolated = "; dashed: x_c, grey: its error; line: extrapolation" * (result.x_c is not None)
    panels = {
        "data": "shares of successes of all sizes, with their regressions (one standard "
        f"deviation); dotted: P = {result.level:g}; rings: thresholds",
        "thresholds": f"thresholds against a power of the size{extrapolated}",
    }
    said = [f"{kind.capitalize()}: {panels[kind]}." for kind in kinds]
    return caption_of("Thresholds.", said, _numbers(result), result.status, result.message)


def _numbers(result: Thresholds) -> list[str]:
    named = {
        "x_c": result.x_c,
        "exponent of the shift": result.shift_exponent,
        "1/\u03bd of the widths": result.inverse_nu,
    }
    out = [f"{k} = {readable(p.value, p.error)}" for k, p in named.items() if p is not None]
    return out + [f"exponent of the shift = {v:g} (fixed)" for v in result.fixed.values()]


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


def _against_size(ax: Axes, result: Thresholds, said: Mapping[str, str]) -> None:
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
    power = f"1 / {said['size']}" if w == 1 else rf"{said['size']}$^{{\,-{w:.2f}}}$"
    ax.set_xlabel(power)
    ax.set_ylabel(f"{said['control']} at the threshold")
    plain_axes(ax)
