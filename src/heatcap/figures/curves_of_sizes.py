"""Curves of all sizes: where they cross, where they peak, and histograms of the energy.

:func:`crossings` and :func:`extrema` have two panels under a head of numbers and status, the curves
with their points on the left and the extrapolation on the right; :func:`histograms` has no head.
Axes have the units of the data; bars and bands are one standard deviation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator

from heatcap.core.result import readable
from heatcap.figures.panels import (
    CENTRE,
    CURVE,
    LINE,
    POINT,
    SPREAD,
    Look,
    goodness,
    head_lines,
    keys_of_sizes,
    look_of_sizes,
    plain_axes,
    say,
    symbol,
    write_head,
)
from heatcap.figures.style import BLUE, PAGE, VERMILION, label, new_figure, styled
from heatcap.scaling import Crossings, Extrema, Parameter, Points
from heatcap.scaling.histogram import Barriers
from heatcap.scaling.peaks import PeakScaling

__all__ = ["crossings", "extrema", "histograms"]


# ---- crossings -----------------------------------------------------------------------------

PAIR: dict[str, Any] = {"ls": "", "marker": "o", "ms": 3.5, "color": VERMILION, "elinewidth": 0.8}
BAND: dict[str, Any] = {"color": "#E3E3E3", "lw": 0, "zorder": -1}
ROOM = 2.5  # half the window, in half spans of the crossings
NEAR = 7  # points of the largest size that the window shows at least


def crossings(
    result: Crossings, data: Points, *, names: tuple[str, str] = ("size", "control")
) -> Figure:
    """Draw curves of all sizes with their crossings, and the crossings against the size.

    Parameters
    ----------
    result : Crossings
        Made by :func:`heatcap.scaling.crossings`.
    data : Points
        The data that `result` was made from.
    names : tuple of str, optional
        What the size and the control are called.

    Returns
    -------
    Figure
        Two columns of a journal wide.
    """
    with styled():
        keys: list[Artist] = [
            Line2D([], [], **RING, label="crossing of a pair"),
            Line2D([], [], **CENTRE, label="$x_c$"),
        ]
        if np.isfinite(result.x_c.error):
            keys.append(Patch(color=SPREAD["color"], label="its error"))
        if result.extrapolation:
            keys.append(Line2D([], [], **CURVE, label="extrapolation"))
            keys.append(Patch(color=BAND["color"], label="its error"))
        sizes = sorted({float(s) for s in data.size})
        figure, left, right, look = page(
            sizes, names[0], _crossing_numbers(result), result.status, result.message, keys
        )
        low, high = _about_crossings(result, data)
        _curves(left, data, result.curves, look, (low, high))
        left.plot(result.x, result.height, **RING, gid="crossing")
        _mark(left, result.x_c, vertical=True)
        left.set_title("curves of all sizes", loc="left")
        left.set_xlabel(symbol(names[1]))
        left.set_ylabel(label(data.name))
        _against_pairs(right, result, names)
    return figure


def _crossing_numbers(result: Crossings) -> list[str]:
    """Numbers of the head: x_c, the value at infinity, the drift exponent, chi^2."""
    named = {
        "$x_c$": result.x_c,
        "value at infinity": result.height_infinity,
        "$w$": result.drift_exponent,
    }
    numbers = [
        f"{name} = {readable(p.value, p.error)}"
        for name, p in named.items()
        if p is not None and np.isfinite(p.value) and np.isfinite(p.error)
    ]
    if result.drift is not None:
        numbers.append(f"$w$ = {result.drift:g} (fixed)")
    if result.models:
        numbers += goodness(result.chi2, result.dof, result.p_value)
    return [number.replace("= -", "= \u2212") for number in numbers]


def _about_crossings(result: Crossings, data: Points) -> tuple[float, float]:
    """Window about the crossings that has points of the largest size; else all data."""
    low, high = float(data.control.min()), float(data.control.max())
    located = np.isfinite(result.x)
    if not located.any():
        return low, high
    marks = [*result.x[located], *([result.x_c.value] if np.isfinite(result.x_c.value) else [])]
    middle = 0.5 * (min(marks) + max(marks))
    largest = np.sort(np.abs(data.control[data.size == data.size.max()] - middle))
    half = max(
        ROOM * 0.5 * float(np.ptp(marks)),
        3 * float(np.nanmax(result.error)),
        float(largest[:NEAR][-1]),
    )
    return max(low, middle - half), min(high, middle + half)


def _mark(ax: Axes, p: Parameter, *, vertical: bool) -> None:
    """Line at a parameter, with its error as a band."""
    if not np.isfinite(p.value):
        return
    line, span = (ax.axvline, ax.axvspan) if vertical else (ax.axhline, ax.axhspan)
    if np.isfinite(p.error):
        span(p.value - p.error, p.value + p.error, **SPREAD, gid="x_c error")
    line(p.value, **CENTRE, gid="x_c")


def _against_pairs(ax: Axes, result: Crossings, names: Sequence[str]) -> None:
    """Crossings of pairs against L^-w, with their extrapolation."""
    located = np.isfinite(result.x)
    if not located.any():
        say(ax, f"nothing to extrapolate: {result.status}")
        return
    w, what = 1.0, rf"1 / {symbol(names[0])}"
    exponent = result.drift_exponent
    fitted = result.drift if exponent is None else exponent.value
    if fitted is not None:
        w, what = fitted, rf"{symbol(names[0])}$^{{\,-{fitted:.2f}}}$"
    middle = result.middle
    _mark(ax, result.x_c, vertical=False)
    if result.extrapolation:
        size, x, band = (np.asarray(result.extrapolation[k]) for k in ("size", "x", "band"))
        ax.fill_between(size**-w, x - band, x + band, **BAND, gid="band")
        ax.plot(size**-w, x, **CURVE, gid="extrapolation")
    ax.errorbar(middle[located] ** -w, result.x[located], result.error[located], **PAIR)[0].set_gid(
        "pair"
    )
    ax.set_xlim(0, 1.08 * float((middle[located] ** -w).max()))
    bars = np.nan_to_num(result.error[located])
    ends = [*(result.x[located] - bars), *(result.x[located] + bars)]
    if np.isfinite(result.x_c.error):
        ends += [result.x_c.value - result.x_c.error, result.x_c.value + result.x_c.error]
    room = 0.06 * float(np.ptp(ends)) or 1.0
    ax.set_ylim(min(ends) - room, max(ends) + room)
    ax.set_title("crossings of pairs", loc="left")
    ax.set_xlabel(f"{what}, with the geometric mean of the pair")
    ax.set_ylabel(f"{symbol(names[1])} at the crossing")
    plain_axes(ax)


# ---- peaks ---------------------------------------------------------------------------------

HEIGHT: dict[str, Any] = {"ls": "", "marker": "o", "ms": 3.5, "color": VERMILION}
FIT: dict[str, dict[str, Any]] = {
    "power": {"color": "black", "lw": 0.9, "ls": "-"},
    "logarithm": {"color": BLUE, "lw": 0.9, "ls": (0, (4, 2))},
}
TICKS = 6  # sizes labelled on the axis


def extrema(
    result: Extrema,
    data: Points,
    against: PeakScaling | None = None,
    *,
    names: tuple[str, str] = ("size", "control"),
) -> Figure:
    """Draw curves of all sizes with their peaks, and the heights with fits of each kind.

    Parameters
    ----------
    result : Extrema
        Made by :func:`heatcap.scaling.extrema`.
    data : Points
        The data that `result` was made from.
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
        keys: list[Artist] = [Line2D([], [], **RING, label="peak")]
        position = None if fits is None or fits.x_c is None else fits.x_c.value
        if position is not None:
            keys.append(Line2D([], [], **CENTRE, label="$x_c$"))
        if fits is not None and fits.height_curves:
            keys += [
                Line2D([], [], **FIT["power"], label="power of the size"),
                Line2D([], [], **FIT["logarithm"], label="logarithm"),
            ]
        sizes = sorted({float(s) for s in data.size})
        figure, left, right, look = page(
            sizes, names[0], _peak_numbers(fits), status, message, keys
        )
        window = float(data.control.min()), float(data.control.max())
        _curves(left, data, result.curves, look, window)
        left.plot(result.x, result.height, **RING, gid="peak")
        if position is not None and window[0] <= position <= window[1]:
            left.axvline(position, **CENTRE, gid="x_c")
        left.set_title("curves of all sizes", loc="left")
        left.set_xlabel(symbol(names[1]))
        left.set_ylabel(label(data.name))
        _peak_heights(right, result, fits, data.name, names[0])
    return figure


def _peak_numbers(fits: PeakScaling | None) -> list[str]:
    """Numbers of the head: x_c and exponents, fixed or with errors."""
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


def _peak_heights(
    ax: Axes, result: Extrema, fits: PeakScaling | None, name: str, size_name: str
) -> None:
    """Heights of the peaks against the size, with the fits."""
    measured = np.isfinite(result.height)
    if not measured.any():
        say(ax, "no size has a peak inside its data")
        return
    size, height, error = (a[measured] for a in (result.size, result.height, result.height_error))
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
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xlim(0.85 * size.min(), 1.18 * size.max())


# ---- energy histograms ---------------------------------------------------------------------

DEEPEST = -7.0  # lowest ln P / P_max that is shown
DASHES = ("-", (0, (6, 1.5)), (0, (3, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (1, 1)))
KINDS = {"double": ("o", BLUE), "single": ("s", "#595959")}


def histograms(found: Barriers) -> Figure:
    """Draw the energy histograms of all sizes, and the barrier Delta F against the size.

    Parameters
    ----------
    found : Barriers
        Made by :func:`heatcap.scaling.histogram.barriers`.

    Returns
    -------
    Figure
        ln P / P_max on the left, Delta F / T on the right.  Bands are one standard deviation of the
        shape, from which a constant and a tilt are taken off.  Sizes whose runs do not tunnel are
        drawn, but have no barrier.

    Raises
    ------
    ValueError
        If no size has a histogram.
    """
    if not any(found.curves):
        raise ValueError("no size has a histogram: the series are too short")
    with styled():
        figure = new_figure(PAGE, 2.4)
        left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
        _histogram_curves(left, found)
        _barriers(right, found)
    return figure


def _histogram_curves(ax: Axes, barriers: Barriers) -> None:
    shown = [(c, s) for c, s in zip(barriers.curves, barriers.shapes, strict=True) if c]
    shades = colormaps["viridis"](np.linspace(0.9, 0.0, len(shown)))
    for k, (curve, status) in enumerate(shown):
        x, y, error = (np.asarray(curve[name]) for name in ("energy", "log_p", "error"))
        label = f"$L={curve['size']:g}$" + ("" if status in KINDS else f" ({status})")
        style = DASHES[k % len(DASHES)]
        ax.plot(x, y, color=shades[k], lw=1.1, ls=style, label=label, gid="histogram")
        ax.fill_between(x, y - error, y + error, color=shades[k], alpha=0.25, lw=0)
    lowest = min(float(np.min(curve["log_p"])) for curve, _ in shown)
    ax.set_ylim(max(DEEPEST, 1.7 * lowest), 0.7)  # room for the legend
    ax.set_xlabel("energy per site")
    ax.set_ylabel(r"$\ln\,P/P_{\max}$")
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.legend(loc="lower center", ncols=1 if len(shown) < 4 else 2)


def _barriers(ax: Axes, barriers: Barriers) -> None:
    for status, (marker, colour) in KINDS.items():
        rows = [i for i, word in enumerate(barriers.shapes) if word == status]
        if rows:
            ax.errorbar(
                barriers.size[rows], barriers.barrier[rows], barriers.barrier_error[rows],
                ls="", marker=marker, color=colour, ms=3.5, elinewidth=0.6, label=f"{status} peak",
            )  # fmt: skip
    measured = np.isfinite(barriers.barrier)
    if not measured.any():
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no barrier is known", ha="center", color=VERMILION)
        return
    ax.set_xlim(0, 1.1 * barriers.size[measured].max())
    ax.set_ylim(min(0.0, 1.3 * float(np.nanmin(barriers.barrier))), None)
    ax.margins(y=0.25)
    if ax.get_ylim()[1] < 1:  # a barrier below T is no barrier: show it small
        ax.set_ylim(-0.1, 1)
    ax.set_xlabel("size $L$")
    ax.set_ylabel(r"barrier $\Delta F/T$")
    if np.isfinite(barriers.tension.value):
        slope = readable(barriers.tension.value, barriers.tension.error)
        ax.set_title(f"slope against $L^{{d-1}}$: {slope}", loc="left")
    ax.legend(loc="upper left")


# ---- what crossings and peaks share: the page, and curves with their points ----------------

RING: dict[str, Any] = {
    "ls": "", "marker": "o", "ms": 5.5, "mfc": "none", "mec": VERMILION, "mew": 1.0, "zorder": 4,
}  # fmt: skip
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
    head = LINE * len(lines) + 0.1
    foot = 2.7 * LINE + 0.08
    figure = new_figure(PAGE, head + ROW + foot)
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=[head, ROW, foot], squeeze=False)[
        :, 0
    ]
    write_head(top, lines, head, ok=status == "ok")
    handles = keys_of_sizes(size_name, sizes[:: math.ceil(len(sizes) / SIZES)], look)
    below = bottom.legend(handles=list(keys), loc="lower center", ncols=len(keys))
    above = bottom.legend(handles=handles, loc="upper center", ncols=len(handles))
    for legend in (below, above):
        legend.set_in_layout(False)
    left, right = middle.subplots(1, 2, gridspec_kw={"wspace": 0.06})
    return figure, left, right, look


def _curves(
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
        shown = (data.size == size) & (data.control >= low - room) & (data.control <= high + room)
        drawn = ax.errorbar(
            data.control[shown], data.value[shown], data.error[shown], **(POINT | look[size])
        )
        drawn[0].set_gid("point")
        ends += [*(data.value[shown] - data.error[shown]), *(data.value[shown] + data.error[shown])]
    ax.set_xlim(low - room, high + room)
    tall = 0.06 * float(np.ptp(ends)) or 1.0
    ax.set_ylim(min(ends) - tall, max(ends) + tall)
    plain_axes(ax)
