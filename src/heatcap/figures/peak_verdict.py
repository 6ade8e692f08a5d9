"""A peak along the control with the forms that it does not exclude, its tails, and alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from heatcap.divergence import PeakVerdict
from heatcap.divergence.box_cox import TWO_SIDED
from heatcap.figures._parts import (
    CENTRE,
    CURVE,
    LINE,
    SPREAD,
    _filled,
    plain_axes,
    say,
    symbol,
    value_name,
    write_head,
)
from heatcap.figures._style import BLACK, PAGE, new_figure, styled
from heatcap.figures.verdict import COLOUR, ROW, WIDTHS, ZERO

__all__ = ["peak_verdict"]

Floats = NDArray[np.float64]

VALUE: dict[str, Any] = {
    "ls": "", "marker": "o", "ms": 2.4, "color": BLACK, "elinewidth": 0.5, "zorder": 5,
}  # fmt: skip
SIDE: dict[str, dict[str, Any]] = {
    "right": VALUE,
    "left": VALUE | {"marker": "s", "mfc": "white", "mew": 0.6},
}
DEEP = 3.0  # errors below which a tail is drawn no further
MANY = 40  # points from which on marks of the curve are smaller


def peak_verdict(result: PeakVerdict, *, name: str = "value") -> Figure:
    """Values and best fits, tails on both sides of x_c, and the profile of chi^2 over alpha.

    Parameters
    ----------
    result : PeakVerdict
        Made by :func:`heatcap.peak_test`.
    name : str
        What the value is called.

    Returns
    -------
    Figure
        Two columns of a journal wide.  Best fits of classes that are not excluded are solid, the
        others dotted.  Tails are what is left above the background of the best power law, against
        the distance from its x_c: a power law is a straight line there down to its cut-off.
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
        _values(left, result, name)
        _tails(centre, result)
        _profile(right, result)
        _keys(bottom, result)
    return figure


def _head(result: PeakVerdict) -> list[tuple[str, str]]:
    """Lines of the summary, warnings as "status"; the advice stays with the numbers."""
    found = []
    for line in result.summary().splitlines():
        if not line.startswith("to decide"):
            gid = "status" if line.startswith("warning") else "said"
            found += [(gid, part) for part in _filled(line.split(), " ")]
    return found


def _keys(part: SubFigure, result: PeakVerdict) -> None:
    fits: list[Artist] = [
        Line2D([], [], **_line(result, kind), label=kind + _standing(result, kind))
        for kind in result.curves
    ]
    sides = {"right": "value, right of $x_c$", "left": "left of $x_c$"}
    others: list[Artist] = [
        Line2D([], [], **_plain(side), label=label) for side, label in sides.items()
    ]
    if np.isfinite(result.exponent.value):
        others += [
            Patch(color=SPREAD["color"], label=r"95 % interval of $\alpha$"),
            Line2D([], [], **CENTRE, label=rf"$\alpha_{{\min}}$ = {result.margins.alpha_min:g}"),
        ]
    above = part.legend(handles=fits, loc="upper center", ncols=len(fits))
    below = part.legend(handles=others, loc="lower center", ncols=len(others))
    for legend in (above, below):
        legend.set_in_layout(False)


def _plain(side: str) -> dict[str, Any]:
    return {key: value for key, value in SIDE[side].items() if key != "elinewidth"}


def _standing(result: PeakVerdict, kind: str) -> str:
    return "" if kind in result.plausible else " (excluded)"


def _line(result: PeakVerdict, kind: str) -> dict[str, Any]:
    if kind not in result.plausible:
        return {"color": COLOUR[kind], "lw": 0.9, "ls": (0, (1, 1.6)), "zorder": 3}
    rank = result.plausible.index(kind)
    width = WIDTHS[len(result.plausible)][rank]
    return {"color": COLOUR[kind], "lw": width, "ls": "-", "zorder": 2 + 0.1 * rank}


def _values(ax: Axes, result: PeakVerdict, name: str) -> None:
    data = result.data
    if data.logarithmic:
        ax.set_xscale("log")
    for kind, curve in result.curves.items():
        ax.plot(curve["control"], curve["values"], **_line(result, kind), gid=f"fit {kind}")
    size = {"ms": 1.8} if len(data.control) > MANY else {}
    ax.errorbar(data.control, data.values, data.errors, **VALUE | size)[0].set_gid("value")
    ax.set_title("values and best fits", loc="left")
    ax.set_xlabel(symbol(result.control_name) + (" (logarithmic)" if data.logarithmic else ""))
    ax.set_ylabel(value_name(name))
    low, high = (data.values - data.errors).min(), (data.values + data.errors).max()
    # A cut-off power law between two points may be far above both.
    ax.set_ylim(low - 0.06 * (high - low), high + 0.15 * (high - low))
    if not data.logarithmic:
        plain_axes(ax)


def _tails(ax: Axes, result: PeakVerdict) -> None:
    data, law = result.data, result.curves["power-law"]
    background = np.interp(data.control, law["control"], law["background"])
    rest, place = data.values - background, law["x_c"]
    distance = _distance(result, data.control)
    seen = rest > DEEP * data.errors
    if np.count_nonzero(seen) < 2:
        say(ax, "no tails above\nthe background")
        return
    ax.set_xscale("log")
    ax.set_yscale("log")
    for side, here in (("right", data.control >= place), ("left", data.control < place)):
        rows = here & seen
        drawn = ax.errorbar(distance[rows], rest[rows], data.errors[rows], **SIDE[side] | {"ms": 2})
        drawn[0].set_gid(f"tail {side}")
    for kind, curve in result.curves.items():
        at = curve["control"]
        tail = curve["values"] - np.interp(at, law["control"], law["background"])
        for here in (at >= place, at < place):
            rows = here & (tail > 0) & (_distance(result, at) > 0)
            ax.plot(_distance(result, at)[rows], tail[rows], **_line(result, kind))
    low, high = (rest - data.errors)[seen], (rest + data.errors)[seen]
    ax.set_ylim(low.min() / 1.3, high.max() * 1.3)
    near = distance[seen & (distance > 0)]
    ax.set_xlim(near.min() / 1.5, near.max() * 1.2)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0,) if _decades(axis) > 1.3 else (1.0, 2.0, 5.0)))
        axis.set_major_formatter(lambda each, _: f"{each:g}")
        axis.set_minor_formatter(NullFormatter())
    ax.set_title("tails on both sides", loc="left")
    named = symbol(result.control_name)
    ax.set_xlabel(rf"$|\ln$ {named} $- \ln x_c|$" if data.logarithmic else f"|{named} $- x_c$|")
    ax.set_ylabel("above the background")


def _decades(axis: Any) -> float:
    low, high = axis.get_view_interval()
    return float(np.log10(high / low))


def _distance(result: PeakVerdict, control: Floats) -> Floats:
    """From the position of the best power law, in what forms are functions of."""
    place = result.curves["power-law"]["x_c"]
    if result.data.logarithmic:
        return np.asarray(np.abs(np.log(control / place)))
    return np.asarray(np.abs(control - place))


def _profile(ax: Axes, result: PeakVerdict) -> None:
    found, least = result.exponent, result.margins.alpha_min
    if not np.isfinite(found.value):
        say(ax, "no exponent:\nno power law comes near")
        return
    rise = found.chi2 - found.chi2.min()
    ends = [float(found.kappa[0]), float(found.kappa[-1]), least]
    room = 0.06 * (max(ends) - min(ends))
    ax.set_xlim(min(ends) - room, max(ends) + room)
    # Where nothing limits alpha the interval goes on beyond the panel.
    inside = np.clip(found.ci95, *ax.get_xlim())
    ax.axvspan(inside[0], inside[1], **SPREAD, gid="interval")
    ax.axhline(TWO_SIDED, **ZERO)
    ax.plot(found.kappa, rise, **CURVE, gid="profile")
    ax.set_ylim(0, 2 * TWO_SIDED)
    ax.axvline(least, **CENTRE, gid="alpha_min")
    ax.set_title("profile of the exponent", loc="left")
    ax.set_xlabel(r"$\alpha$ (0: logarithm)")
    ax.set_ylabel(r"$\chi^2$ above its minimum")
    plain_axes(ax)
