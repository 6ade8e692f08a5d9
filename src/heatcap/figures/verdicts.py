"""What figures of verdicts share: head, three panels, keys, profile, and how a class is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from heatcap.core.text import plain
from heatcap.divergence import CLASSES
from heatcap.divergence.answer import Answer
from heatcap.divergence.exponent import TWO_SIDED, Exponent
from heatcap.figures.panels import (
    CENTRE,
    CURVE,
    GREY,
    LINE,
    SPREAD,
    _filled,
    plain_axes,
    write_head,
)
from heatcap.figures.style import BLUE, GREEN, PAGE, PURPLE, VERMILION, new_figure, styled

__all__ = ["COLOUR", "ZERO", "class_line", "drawn", "profile", "standing_of"]

COLOUR = dict(zip(CLASSES, (PURPLE, BLUE, GREEN, VERMILION), strict=True))
# Fits that are not excluded lie on one another: each is drawn inside the one before.
WIDTHS = {1: (1.3,), 2: (2.4, 0.8), 3: (3.0, 1.8, 0.7), 4: (4.0, 2.9, 1.8, 0.7)}
DOTS, GAP = (1.4, 4.2), 1.4  # in line widths: a dot of each class fits beside those of the others
DOTTED = {kind: k for k, kind in enumerate(CLASSES)}
ZERO: dict[str, Any] = {"color": GREY, "lw": 0.6, "zorder": 0}
ROW = 2.2  # inches of the panels
FAR = 2.0  # widths of the profile up to which the least exponent is brought into the panel


def drawn(
    result: Answer,
    panels: Callable[[Axes, Axes, Axes], None],
    marks: Sequence[Mapping[str, Any]],
    least: tuple[str, float],
    standing: Mapping[str, str],
    *,
    head: bool = True,
    interval: bool = True,
) -> Figure:
    """A figure of the verdict.

    Parameters
    ----------
    result : Verdict or PeakVerdict
    panels : callable
        Draws into the three axes.
    marks : sequence of mapping
        How the data are drawn, with labels.
    least : tuple of str and float
        The exponent's letter in mathematics, and its least value for a power law.
    standing : mapping
        What is said of each class that is dotted; the others are solid.
    head : bool
        Whether the summary stands above the panels.
    interval : bool
        Whether a panel shows the interval of the exponent.

    Returns
    -------
    Figure
    """
    with styled():
        lines = _head(result) if head else []
        above = [LINE * len(lines) + 0.1] if head else []
        heights = [*above, ROW, 2.7 * LINE + 0.08]
        figure = new_figure(PAGE, sum(heights))
        *top, middle, bottom = figure.subfigures(
            len(heights), 1, height_ratios=heights, squeeze=False
        )[:, 0]
        if head:
            write_head(top[0], lines, above[0], ok=False)
        panels(*middle.subplots(1, 3, gridspec_kw={"wspace": 0.06, "width_ratios": (1.25, 1, 1)}))
        _keys(bottom, result, marks, least, standing, interval)
    return figure


def _head(result: Answer) -> list[tuple[str, str]]:
    """Lines of the summary, warnings as "status"; the advice stays with the numbers."""
    found = []
    for line in plain(result.summary(), lines=True).split("\n"):
        if not line.startswith("to decide"):
            gid = "status" if line.startswith("warning") else "said"
            found += [(gid, part) for part in _filled(line.split(), " ")]
    return found


def _keys(
    part: SubFigure,
    result: Answer,
    marks: Sequence[Mapping[str, Any]],
    least: tuple[str, float],
    standing: Mapping[str, str],
    interval: bool,
) -> None:
    fits: list[Artist] = [
        Line2D([], [], **class_line(result, kind, standing), label=kind + standing.get(kind, ""))
        for kind in result.curves
    ]
    others: list[Artist] = [Line2D([], [], **mark) for mark in marks]
    letter, value = least
    if interval and result.exponent_determined:
        others.append(Patch(color=SPREAD["color"], label=f"95 % interval of ${letter}$"))
    if result.exponent_determined or (not interval and result.status == "ok"):
        others.append(Line2D([], [], **CENTRE, label=rf"${letter}_{{\min}}$ = {value:g}"))
    above = part.legend(handles=fits, loc="upper center", ncols=len(fits))
    below = part.legend(handles=others, loc="lower center", ncols=len(others))
    for legend in (above, below):
        legend.set_in_layout(False)


def standing_of(result: Answer) -> dict[str, str]:
    """What is said of the classes whose fits are dotted: all, where no class is named."""
    if result.status != "ok":
        return dict.fromkeys(result.curves, "")
    by = result.excluded_by_bound
    return {
        kind: " (excluded by bound)" if kind in by else " (excluded)"
        for kind in result.curves
        if kind not in result.plausible
    }


def class_line(result: Answer, kind: str, standing: Mapping[str, str]) -> dict[str, Any]:
    """Solid, one inside another, for what is not excluded; dotted for the others."""
    if kind in standing:
        # Fits of power law and logarithm may coincide: each shows in the gaps of the other.
        return {"color": COLOUR[kind], "lw": 1.1, "ls": (GAP * DOTTED[kind], DOTS), "zorder": 3}
    rank = result.plausible.index(kind)
    width = WIDTHS[len(result.plausible)][rank]
    return {"color": COLOUR[kind], "lw": width, "ls": "-", "zorder": 2 + 0.1 * rank}


def profile(ax: Axes, found: Exponent, least: tuple[str, float], gid: str) -> None:
    """chi^2 over the exponent, its interval, and the least one of a power law."""
    letter, value = least
    rise = found.chi2 - found.chi2.min()
    low, high = float(found.grid[0]), float(found.grid[-1])
    near = low - FAR * (high - low) <= value <= high + FAR * (high - low)
    ends = [low, high, value] if near else [low, high]
    room = 0.06 * (max(ends) - min(ends))
    ax.set_xlim(min(ends) - room, max(ends) + room)
    # Where nothing limits the exponent the interval goes on beyond the panel.
    inside = np.clip(found.ci95, *ax.get_xlim())
    ax.axvspan(inside[0], inside[1], **SPREAD, gid="interval")
    ax.axhline(TWO_SIDED, **ZERO)
    ax.plot(found.grid, rise, **CURVE, gid="profile")
    ax.set_ylim(0, 2 * TWO_SIDED)
    if near:
        ax.axvline(value, **CENTRE, gid=gid)
    else:
        left = value < low
        ax.text(
            0.03 if left else 0.97,
            0.95,
            rf"$\leftarrow{letter}_{{\min}}$" if left else rf"${letter}_{{\min}}\rightarrow$",
            ha="left" if left else "right",
            va="top",
            transform=ax.transAxes,
            gid=gid,
        )
    ax.set_title("profile of the exponent", loc="left")
    ax.set_xlabel(f"${letter}$ (0: logarithm)")
    ax.set_ylabel(r"$\chi^2$ above its minimum")
    plain_axes(ax)
