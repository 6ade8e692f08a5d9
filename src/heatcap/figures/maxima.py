"""Curves of all sizes with their peaks, and the height of the peaks against the size."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from heatcap.core.result import readable
from heatcap.figures.curves_of_sizes import curves_of_sizes, page
from heatcap.figures.names import label
from heatcap.figures.panels import CENTRE, plain_axes, say, symbol
from heatcap.figures.style import BLUE, VERMILION, styled
from heatcap.scaling import Extrema, Points
from heatcap.scaling.peaks import PeakScaling

__all__ = ["extrema"]

PEAK: dict[str, Any] = {
    "ls": "", "marker": "o", "ms": 5.5, "mfc": "none", "mec": VERMILION, "mew": 1.0, "zorder": 4,
}  # fmt: skip
HEIGHT: dict[str, Any] = {"ls": "", "marker": "o", "ms": 3.5, "color": VERMILION}
FIT: dict[str, dict[str, Any]] = {
    "power": {"color": "black", "lw": 0.9, "ls": "-"},
    "logarithm": {"color": BLUE, "lw": 0.9, "ls": (0, (4, 2))},
}
TICKS = 6  # sizes that are written below the axis


def extrema(
    result: Extrema,
    data: Points,
    against: PeakScaling | None = None,
    *,
    names: tuple[str, str] = ("size", "control"),
) -> Figure:
    """Left: curves with their points, peaks ringed.  Right: heights, with the fits of each kind.

    Parameters
    ----------
    result : Extrema
        Made by :func:`heatcap.scaling.extrema`.
    data : Points
        Those whose peaks they are.
    against : PeakScaling, optional
        ``result.against_size()`` by default.
    names : tuple of str, optional
        What the size and the control are called.

    Returns
    -------
    Figure
        Two columns of a journal wide.
    """
    fits = result.against_size() if against is None and np.isfinite(result.x).any() else against
    status, message = str(result.status), result.message
    if fits is not None and not fits.ok:
        status = fits.outcome if result.ok else status
        message = "; ".join(filter(None, [result.message, fits.message]))
    with styled():
        keys: list[Artist] = [Line2D([], [], **PEAK, label="peak")]
        position = _position(fits)
        if position is not None:
            keys.append(Line2D([], [], **CENTRE, label="$x_c$"))
        if fits is not None and fits.height_curves:
            keys += [
                Line2D([], [], **FIT["power"], label="power of the size"),
                Line2D([], [], **FIT["logarithm"], label="logarithm"),
            ]
        sizes = sorted({float(s) for s in data.size})
        figure, left, right, look = page(sizes, names[0], _numbers(fits), status, message, keys)
        window = float(data.control.min()), float(data.control.max())
        curves_of_sizes(left, data, result.curves, look, window)
        left.plot(result.x, result.height, **PEAK, gid="peak")
        if position is not None and window[0] <= position <= window[1]:
            left.axvline(position, **CENTRE, gid="x_c")
        left.set_title("curves of all sizes", loc="left")
        left.set_xlabel(symbol(names[1]))
        left.set_ylabel(label(data.name))
        _heights(right, result, fits, data.name, names[0])
    return figure


def _position(fits: PeakScaling | None) -> float | None:
    return None if fits is None or fits.x_c is None else fits.x_c.value


def _numbers(fits: PeakScaling | None) -> list[str]:
    if fits is None:
        return []
    named = {
        "$x_c$": ("x_c", fits.x_c),
        r"$1/\nu$": ("inverse_nu", fits.inverse_nu),
        r"$\kappa$": ("exponent", fits.exponent),
        "slope of the logarithm": ("log_slope", fits.log_slope),
    }
    out = []
    for sign, (name, p) in named.items():
        if name in fits.fixed:
            out.append(f"{sign} = {fits.fixed[name]:g} (fixed)")
        elif p is not None:
            out.append(f"{sign} = {readable(p.value, p.error)}".replace("= -", "= \u2212"))
    if np.isfinite(fits.log_weight):
        out.append(f"weight of the logarithm = {fits.log_weight:.2g}")
    return out


def _heights(
    ax: Axes, result: Extrema, fits: PeakScaling | None, name: str, size_name: str
) -> None:
    known = np.isfinite(result.height)
    if not known.any():
        say(ax, "no size has a peak inside its data")
        return
    size, height, error = (a[known] for a in (result.size, result.height, result.height_error))
    ax.set_xscale("log")
    logarithmic = fits is not None and fits.log_weight > 0.5
    if not logarithmic and height.min() - error.max() > 0 and height.max() > 3 * height.min():
        ax.set_yscale("log")
    for kind, curve in (fits.height_curves if fits is not None else {}).items():
        ax.plot(curve["size"], curve["value"], **FIT[kind], zorder=1, gid=kind)
    ax.errorbar(size, height, error, **HEIGHT, zorder=3)[0].set_gid("height")
    ax.set_title("height of the peaks", loc="left")
    ax.set_xlabel(f"{symbol(size_name)} (logarithmic)")
    ax.set_ylabel(f"peak of {label(name)}")
    if ax.get_yscale() == "linear":
        plain_axes(ax)
    ticks = size[:: -(-size.size // TICKS)]
    ax.xaxis.set_major_locator(FixedLocator(ticks.tolist()))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(lambda each, _: f"{each:g}")
    ax.set_xlim(0.85 * size.min(), 1.18 * size.max())
