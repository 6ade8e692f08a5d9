"""Heights with the growths that they do not exclude, local exponents, and the profile of kappa."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from heatcap.divergence import CLASSES, Verdict
from heatcap.divergence.box_cox import TWO_SIDED
from heatcap.figures._parts import (
    CENTRE,
    CURVE,
    GREY,
    LINE,
    SPREAD,
    _filled,
    plain_axes,
    say,
    symbol,
    value_name,
    write_head,
)
from heatcap.figures._style import (
    BLACK,
    BLUE,
    GREEN,
    PAGE,
    PURPLE,
    VERMILION,
    new_figure,
    styled,
)

__all__ = ["verdict"]

Floats = NDArray[np.float64]

COLOUR = dict(zip(CLASSES, (PURPLE, BLUE, GREEN, VERMILION), strict=True))
# Fits that are not excluded lie on one another: each is drawn inside the one before.
WIDTHS = {1: (1.3,), 2: (2.4, 0.8), 3: (3.0, 1.8, 0.7), 4: (4.0, 2.9, 1.8, 0.7)}
HEIGHT: dict[str, Any] = {
    "ls": "", "marker": "o", "ms": 3.0, "color": BLACK, "zorder": 5,
}  # fmt: skip
ZERO: dict[str, Any] = {"color": GREY, "lw": 0.6, "zorder": 0}
ROW = 2.2  # inches of the panels
TALL = 10  # largest over smallest height, from which on their axis is logarithmic
APART = 0.13  # share of the axis between sizes that are written below it
FAR = 2.0  # widths of the profile up to which kappa_min is brought into the panel


def verdict(result: Verdict, *, name: str = "height") -> Figure:
    """Heights and best fits, local exponents, and the profile of chi^2 over kappa, side by side.

    Parameters
    ----------
    result : Verdict
        Made by :func:`heatcap.divergence_test`.
    name : str
        What the height is called.

    Returns
    -------
    Figure
        Two columns of a journal wide.  Best fits of classes that are not excluded are solid, the
        others dotted; the head has the verdict, the exponent, the margins and the warnings.
    """
    with styled():
        lines = _head(result)
        head, foot = LINE * len(lines) + 0.1, 2.7 * LINE + 0.08
        figure = new_figure(PAGE, head + ROW + foot)
        top, middle, bottom = figure.subfigures(
            3, 1, height_ratios=[head, ROW, foot], squeeze=False
        )[:, 0]
        write_head(top, lines, head, ok=False)
        left, centre, right = middle.subplots(
            1, 3, gridspec_kw={"wspace": 0.06, "width_ratios": (1.25, 1, 1)}
        )
        _heights(left, result, name)
        _local(centre, result)
        _profile(right, result)
        _keys(bottom, result)
    return figure


def _head(result: Verdict) -> list[tuple[str, str]]:
    """Lines of the summary, warnings as "status"; the advice stays with the numbers."""
    found = []
    for line in result.summary().splitlines():
        if not line.startswith("to decide"):
            gid = "status" if line.startswith("warning") else "said"
            found += [(gid, part) for part in _filled(line.split(), " ")]
    return found


def _keys(part: SubFigure, result: Verdict) -> None:
    fits: list[Artist] = [
        Line2D([], [], **_line(result, kind), label=kind + _standing(result, kind))
        for kind in result.curves
    ]
    others: list[Artist] = [Line2D([], [], **HEIGHT, label="height, one standard deviation")]
    if np.isfinite(result.exponent.value):
        kappa = rf"$\kappa_{{\min}}$ = {result.margins.kappa_min:g}"
        others += [
            Patch(color=SPREAD["color"], label=r"95 % interval of $\kappa$"),
            Line2D([], [], **CENTRE, label=kappa),
        ]
    above = part.legend(handles=fits, loc="upper center", ncols=len(fits))
    below = part.legend(handles=others, loc="lower center", ncols=len(others))
    for legend in (above, below):
        legend.set_in_layout(False)


def _standing(result: Verdict, kind: str) -> str:
    if kind in result.plausible:
        return ""
    return " (excluded by bound)" if kind in result.excluded_by_bound else " (excluded)"


def _line(result: Verdict, kind: str) -> dict[str, Any]:
    if kind not in result.plausible:
        return {"color": COLOUR[kind], "lw": 0.9, "ls": (0, (1, 1.6)), "zorder": 3}
    rank = result.plausible.index(kind)
    width = WIDTHS[len(result.plausible)][rank]
    return {"color": COLOUR[kind], "lw": width, "ls": "-", "zorder": 2 + 0.1 * rank}


def _heights(ax: Axes, result: Verdict, name: str) -> None:
    data = result.data
    ax.set_xscale("log")
    for kind, curve in result.curves.items():
        ax.plot(curve["sizes"], curve["heights"], **_line(result, kind), gid=f"fit {kind}")
    drawn = ax.errorbar(data.sizes, data.heights, data.errors, **HEIGHT)
    drawn[0].set_gid("height")
    ax.set_title("heights and best fits", loc="left")
    ax.set_xlabel(f"{symbol(result.size_name)} (logarithmic)")
    ax.set_ylabel(value_name(name))
    low = float((data.heights - data.errors).min())
    if low > 0 and data.heights.max() > TALL * low:
        ax.set_yscale("log")
        ax.set_ylim(bottom=low / 1.5)  # fits of excluded classes may go through zero
    else:
        plain_axes(ax)
    ax.xaxis.set_major_locator(FixedLocator(_spread(data.sizes)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(lambda each, _: f"{each:g}")
    room = (data.sizes[-1] / data.sizes[0]) ** 0.05
    ax.set_xlim(data.sizes[0] / room, data.sizes[-1] * room)


def _spread(sizes: Floats) -> list[float]:
    """Sizes whose names do not touch, from the smallest on and with the largest."""
    step = APART * np.log(sizes[-1] / sizes[0])
    kept = [float(sizes[0])]
    for size in sizes[1:-1].tolist():
        if np.log(size / kept[-1]) >= step and np.log(sizes[-1] / size) >= step:
            kept.append(size)
    return [*kept, float(sizes[-1])]


def _local(ax: Axes, result: Verdict) -> None:
    rows = result.local_exponents
    if not rows:
        say(ax, "no local exponents:\nheights are not positive")
        return
    x, y, error = (
        np.array([row[key] for row in rows]) for key in ("inverse_log_size", "exponent", "error")
    )
    ax.axhline(0, **ZERO)
    ax.errorbar(x, y, error, **HEIGHT)[0].set_gid("local exponent")
    ax.set_xlim(0, 1.12 * x.max())
    ax.set_title("local exponents", loc="left")
    ax.set_xlabel(f"1 / ln {symbol(result.size_name)}, sizes from each one on")
    ax.set_ylabel(r"$\kappa_{\mathrm{eff}}$")
    plain_axes(ax)


def _profile(ax: Axes, result: Verdict) -> None:
    found, least = result.exponent, result.margins.kappa_min
    if not np.isfinite(found.value):
        say(ax, "no exponent:\nthe heights do not grow")
        return
    rise = found.chi2 - found.chi2.min()
    low, high = float(found.kappa[0]), float(found.kappa[-1])
    near = low - FAR * (high - low) <= least <= high + FAR * (high - low)
    ends = [low, high, least] if near else [low, high]
    room = 0.06 * (max(ends) - min(ends))
    ax.set_xlim(min(ends) - room, max(ends) + room)
    # Where nothing limits kappa the interval goes on beyond the panel.
    inside = np.clip(found.ci95, *ax.get_xlim())
    ax.axvspan(inside[0], inside[1], **SPREAD, gid="interval")
    ax.axhline(TWO_SIDED, **ZERO)
    ax.plot(found.kappa, rise, **CURVE, gid="profile")
    ax.set_ylim(0, 2 * TWO_SIDED)
    if near:
        ax.axvline(least, **CENTRE, gid="kappa_min")
    else:
        left = least < low
        ax.text(
            0.03 if left else 0.97, 0.95, r"$\leftarrow\kappa_{\min}$" if left else
            r"$\kappa_{\min}\rightarrow$", ha="left" if left else "right", va="top",
            transform=ax.transAxes, gid="kappa_min",
        )  # fmt: skip
    ax.set_title("profile of the exponent", loc="left")
    ax.set_xlabel(r"$\kappa$ (0: logarithm)")
    ax.set_ylabel(r"$\chi^2$ above its minimum")
    plain_axes(ax)
