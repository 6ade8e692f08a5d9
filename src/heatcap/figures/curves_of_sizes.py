"""Curves of all sizes: where they cross, where they peak, and histograms of the energy.

:func:`crossings` and :func:`extrema` have two kinds of panels, the curves with their points, and
what they are extrapolated from; numbers and status are in the caption.  Axes have the units of the
data; bars and bands are one standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator

from heatcap.core.result import Status, goodness_line, readable
from heatcap.core.text import plain
from heatcap.figures.panels import (
    CENTRE,
    CURVE,
    POINT,
    SPREAD,
    WIDTHS,
    Look,
    by_words,
    caption_of,
    kinds_of,
    log_axis,
    look_of_sizes,
    paper,
    plain_axes,
    say,
)
from heatcap.figures.style import BLUE, VERMILION, describe, label, new_figure, styled
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
    result: Crossings,
    data: Points,
    *,
    names: tuple[str, str] = ("size", "control"),
    panel: str = "all",
    width: str = "double",
    labels: Mapping[str, str] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw curves of all sizes with their crossings, and the crossings against the size.

    x_c is a line where the status is "ok"; numbers, status and reasons are in the caption.

    Parameters
    ----------
    result : Crossings
        Made by :func:`heatcap.scaling.crossings`.
    data : Points
        The data that `result` was made from.
    names : tuple of str, optional
        What the size and the control are called.
    panel : {"all", "data", "pairs"}, optional
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
    crossed = bool(np.isfinite(result.x).any())
    kinds = kinds_of(panel, ("data", "pairs"), axes, whole=crossed)
    sizes = sorted({float(s) for s in data.size})
    with styled():
        look = look_of_sizes(sizes)
        figure, places = paper(kinds, sizes, said["size"], look, width, axes)
        for (kind, _), (ax,) in zip(kinds, places, strict=True):
            if kind == "pairs":
                _against_pairs(ax, result, said)
                continue
            _curves(ax, data, result.curves, look, _about_crossings(result, data))
            ax.plot(result.x, result.height, **RING, gid="crossing")
            _mark(ax, result.x_c, result.ok, vertical=True)
            _name_axes(ax, said, data.name)
        if axes is None:
            describe(figure, _crossing_caption(result, data, [kind for kind, _ in kinds]))
    return figure


def _name_axes(ax: Axes, said: Mapping[str, str], value: str) -> None:
    ax.set_xlabel(said["control"])
    ax.set_ylabel(said.get("value") or label(value))


def _crossing_caption(result: Crossings, data: Points, kinds: Sequence[str]) -> str:
    line = "dashed: x_c; " if result.ok else ""
    extrapolated = "; line: extrapolation with its error" if result.extrapolation else ""
    panels = {
        "data": f"curves of all sizes; rings: crossings of pairs; {line}grey: x_c within its error",
        "pairs": f"crossings against the geometric mean of the pair{extrapolated}",
    }
    return caption_of(
        f"Crossings of {plain(data.name)}.",
        [f"{kind.capitalize()}: {panels[kind]}." for kind in kinds],
        _crossing_numbers(result),
        result.status,
        result.message,
    )


def _crossing_numbers(result: Crossings) -> list[str]:
    """Numbers of the caption: x_c, the value at infinity, the drift exponent, chi^2."""
    named = {
        "x_c": result.x_c,
        "value at infinity": result.height_infinity,
        "w": result.drift_exponent,
    }
    numbers = [
        f"{name} = {readable(p.value, p.error)}"
        for name, p in named.items()
        if p is not None and np.isfinite(p.value) and np.isfinite(p.error)
    ]
    if result.drift is not None:
        numbers.append(f"w = {result.drift:g} (fixed)")
    if result.models:
        numbers.append(goodness_line(result.chi2, result.dof, result.p_value))
    return numbers


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


def _mark(ax: Axes, p: Parameter, ok: bool, *, vertical: bool) -> None:
    """Line at a parameter that counts, with its error as a band."""
    if not np.isfinite(p.value):
        return
    line, span = (ax.axvline, ax.axvspan) if vertical else (ax.axhline, ax.axhspan)
    if np.isfinite(p.error):
        span(p.value - p.error, p.value + p.error, **SPREAD, gid="x_c error")
    if ok:
        line(p.value, **CENTRE, gid="x_c")


def _against_pairs(ax: Axes, result: Crossings, said: Mapping[str, str]) -> None:
    """Crossings of pairs against L^-w, with their extrapolation."""
    located = np.isfinite(result.x)
    if not located.any():
        say(ax, f"nothing to extrapolate: {result.status}")
        return
    w, what = 1.0, f"1 / {said['size']}"
    exponent = result.drift_exponent
    fitted = result.drift if exponent is None else exponent.value
    if fitted is not None:
        w, what = fitted, rf"{said['size']}$^{{\,-{fitted:.2f}}}$"
    middle = result.middle
    _mark(ax, result.x_c, result.ok, vertical=False)
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
    ax.set_xlabel(f"{what} of the pair")
    ax.set_ylabel(f"{said['control']} at the crossing")
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
    panel: str = "all",
    width: str = "double",
    labels: Mapping[str, str] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw curves of all sizes with their peaks, and the heights with fits of each kind.

    x_c is a line where positions have an answer; numbers and status are in the caption.

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
    panel : {"all", "data", "heights"}, optional
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
    fits = result.against_size() if against is None and np.isfinite(result.x).any() else against
    said = by_words(labels, names)
    peaked = bool(np.isfinite(result.height).any())
    kinds = kinds_of(panel, ("data", "heights"), axes, whole=peaked)
    sizes = sorted({float(s) for s in data.size})
    with styled():
        look = look_of_sizes(sizes)
        figure, places = paper(kinds, sizes, said["size"], look, width, axes)
        for (kind, _), (ax,) in zip(kinds, places, strict=True):
            if kind == "heights":
                _peak_heights(ax, result, fits, said.get("value") or label(data.name), said["size"])
                continue
            window = float(data.control.min()), float(data.control.max())
            _curves(ax, data, result.curves, look, window)
            ax.plot(result.x, result.height, **RING, gid="peak")
            if fits is not None and fits.x_c is not None and fits.position_status == Status.OK:
                at, off = fits.x_c.value, fits.x_c.error
                if window[0] <= at <= window[1]:
                    ax.axvline(at, **CENTRE, gid="x_c")
                    ax.axvspan(at - off, at + off, **SPREAD, gid="x_c error")
            _name_axes(ax, said, data.name)
        if axes is None:
            describe(figure, _peak_caption(result, fits, data, [kind for kind, _ in kinds]))
    return figure


def _peak_caption(
    result: Extrema, fits: PeakScaling | None, data: Points, kinds: Sequence[str]
) -> str:
    status, message = str(result.status), result.message
    if fits is not None and not fits.ok:
        status = fits.outcome if result.ok else status
        message = "; ".join(filter(None, [result.message, fits.message]))
    curves = fits is not None and fits.height_curves
    drawn = "; line: power of the size, dashed: logarithm" if curves else ""
    panels = {
        "data": "curves of all sizes; rings: their peaks; dashed: x_c, grey: its error, where "
        "positions determine it",
        "heights": f"height of the peaks against the size{drawn}",
    }
    return caption_of(
        f"Peaks of {plain(data.name)}.",
        [f"{kind.capitalize()}: {panels[kind]}." for kind in kinds],
        _peak_numbers(fits),
        status,
        message,
    )


def _peak_numbers(fits: PeakScaling | None) -> list[str]:
    """Numbers of the caption: x_c and exponents, fixed or with errors."""
    if fits is None:
        return []
    named = {
        "x_c": ("x_c", fits.x_c),
        "1/ν": ("inverse_nu", fits.inverse_nu),
        "κ": ("exponent", fits.exponent),
        "slope of the logarithm": ("log_slope", fits.log_slope),
    }
    out = []
    for sign, (name, p) in named.items():
        if name in fits.fixed:
            out.append(f"{sign} = {fits.fixed[name]:g} (fixed)")
        elif p is not None:
            out.append(f"{sign} = {readable(p.value, p.error)}")
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
    ax.set_xlabel(size_name)
    ax.set_ylabel(f"peak of {name}")
    if ax.get_yscale() == "linear":
        plain_axes(ax)
    else:
        log_axis(ax.yaxis)
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


def histograms(
    found: Barriers, *, width: str = "double", axes: Sequence[Axes] | None = None
) -> Figure:
    """Draw the energy histograms of all sizes, and the barrier Delta F against the size.

    Parameters
    ----------
    found : Barriers
        Made by :func:`heatcap.scaling.histogram.barriers`.
    width : {"double", "single"}, optional
        Two columns of a journal, 7 inches, or one, 3.4 inches.
    axes : sequence of two Axes, optional
        Where histograms and barriers are drawn.

    Returns
    -------
    Figure
        ln P / P_max on the left, Delta F / T on the right.  Bands are one standard deviation of the
        shape, from which a constant and a tilt are taken off.  Sizes whose runs do not tunnel are
        drawn, but have no barrier.

    Raises
    ------
    ValueError
        If no size has a histogram, or `width` or the number of `axes` is another.
    """
    if not any(found.curves):
        raise ValueError("no size has a histogram: the series are too short")
    if width not in WIDTHS:
        raise ValueError(f"width must be one of {', '.join(WIDTHS)}, got {width!r}")
    if axes is not None and len(axes) != 2:
        raise ValueError(f"expected 2 axes, got {len(axes)}")
    with styled():
        left, right = _two(found, width) if axes is None else axes
        _histogram_curves(left, found)
        _barriers(right, found)
    figure = left.get_figure(root=True)
    assert figure is not None
    return figure


def _two(found: Barriers, width: str) -> list[Axes]:
    """Axes of a new page, beside each other or one below the other."""
    wide = width == "double"
    figure = new_figure(WIDTHS[width], 2.4 if wide else 4.6)
    grid = figure.add_gridspec(
        1 if wide else 2, 2 if wide else 1, width_ratios=[1.5, 1][: 2 if wide else 1]
    )
    places = [figure.add_subplot(grid[k]) for k in (0, 1)]
    for letter, ax in zip("ab", places, strict=True):
        ax.set_title(f"({letter})", loc="left")
    describe(figure, _barrier_caption(found))
    return places


def _barrier_caption(found: Barriers) -> str:
    numbers = []
    if np.isfinite(found.tension.value):
        slope = readable(found.tension.value, found.tension.error)
        numbers.append(f"slope of the barriers against L^(d-1) = {slope}")
    panels = [
        "Histograms: ln P / P_max, from which a constant and a tilt are taken off; bands: one "
        "standard deviation of the shape.",
        "Barriers: ΔF / T of sizes whose runs tunnel.",
    ]
    title = "Histograms of the energy per site."
    return caption_of(title, panels, numbers, found.status, found.message)


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
    ax.legend(loc="best")


# ---- what crossings and peaks share: curves with their points -------------------------------

RING: dict[str, Any] = {
    "ls": "", "marker": "o", "ms": 5.5, "mfc": "none", "mec": VERMILION, "mew": 1.0, "zorder": 4,
}  # fmt: skip


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
