"""A peak along the control with the forms that it does not exclude, its tails, and alpha."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from heatcap.core.arrays import Floats
from heatcap.divergence import PeakVerdict
from heatcap.figures.names import label
from heatcap.figures.panels import plain_axes, say, symbol
from heatcap.figures.style import BLACK
from heatcap.figures.verdicts import class_line, drawn, profile, standing_of

__all__ = ["peak_verdict"]


VALUE: dict[str, Any] = {
    "ls": "", "marker": "o", "ms": 2.4, "color": BLACK, "elinewidth": 0.5, "zorder": 5,
}  # fmt: skip
SIDE: dict[str, dict[str, Any]] = {
    "right": VALUE,
    "left": VALUE | {"marker": "s", "mfc": "white", "mew": 0.6},
}
DEEP = 3.0  # errors below which a tail is drawn no further
NARROW = 24  # letters in a line of a panel that is empty
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
        others dotted; all are where the status names no class.  Tails are what is left above the
        background of the best power law, against the distance from its x_c: a power law is a
        straight line there down to its cut-off.
    """
    standing = standing_of(result)
    least = (r"\alpha", result.margins.alpha_min)

    def panels(left: Axes, centre: Axes, right: Axes) -> None:
        _values(left, result, name, standing)
        _tails(centre, result, standing)
        if result.exponent_determined:
            profile(right, result.exponent, least, "alpha_min")
        else:
            say(right, "no exponent:\n" + fill(result.why_no_exponent, NARROW))

    sides = {"right": "value, right of $x_c$", "left": "left of $x_c$"}
    marks = [_plain(side) | {"label": label} for side, label in sides.items()]
    return drawn(result, panels, marks, least, standing)


def _plain(side: str) -> dict[str, Any]:
    return {key: value for key, value in SIDE[side].items() if key != "elinewidth"}


def _values(ax: Axes, result: PeakVerdict, name: str, standing: Mapping[str, str]) -> None:
    data = result.data
    if data.logarithmic:
        ax.set_xscale("log")
    for kind, curve in result.curves.items():
        line = class_line(result, kind, standing)
        ax.plot(curve["control"], curve["values"], **line, gid=f"fit {kind}")
    size = {"ms": 1.8} if len(data.control) > MANY else {}
    ax.errorbar(data.control, data.values, data.errors, **VALUE | size)[0].set_gid("value")
    ax.set_title("values and best fits", loc="left")
    ax.set_xlabel(symbol(result.control_name) + (" (logarithmic)" if data.logarithmic else ""))
    ax.set_ylabel(label(name))
    low, high = (data.values - data.errors).min(), (data.values + data.errors).max()
    # A cut-off power law between two points may be far above both.
    ax.set_ylim(low - 0.06 * (high - low), high + 0.15 * (high - low))
    if data.logarithmic:
        _number_decades(ax.xaxis)
    else:
        plain_axes(ax)


def _tails(ax: Axes, result: PeakVerdict, standing: Mapping[str, str]) -> None:
    data, law = result.data, result.curves["power-law"]
    if result.status != "ok":
        say(ax, f"no tails: {result.status}")
        return
    if "power-law" not in result.plausible:
        # What it takes for background would give the tails of another peak.
        say(ax, "no tails: a power law\nis excluded")
        return
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
        style = SIDE[side] | {"ms": 2}
        bars = ax.errorbar(distance[rows], rest[rows], data.errors[rows], **style)
        bars[0].set_gid(f"tail {side}")
    for kind, curve in result.curves.items():
        at, line = curve["control"], class_line(result, kind, standing)
        tail = curve["values"] - np.interp(at, law["control"], law["background"])
        for here in (at >= place, at < place):
            rows = here & (tail > 0) & (_distance(result, at) > 0)
            ax.plot(_distance(result, at)[rows], tail[rows], **line)
    low, high = (rest - data.errors)[seen], (rest + data.errors)[seen]
    ax.set_ylim(low.min() / 1.3, high.max() * 1.3)
    near = distance[seen & (distance > 0)]
    ax.set_xlim(near.min() / 1.5, near.max() * 1.2)
    for axis in (ax.xaxis, ax.yaxis):
        _number_decades(axis)
    ax.set_title("tails on both sides", loc="left")
    named = symbol(result.control_name)
    ax.set_xlabel(rf"$|\ln$ {named} $- \ln x_c|$" if data.logarithmic else f"|{named} $- x_c$|")
    ax.set_ylabel("above the background")


def _number_decades(axis: Any) -> None:
    """Few numbers on a logarithmic axis, written out."""
    low, high = axis.get_view_interval()
    few = np.log10(high / low) > 1.3
    axis.set_major_locator(LogLocator(subs=(1.0,) if few else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(lambda each, _: f"{each:g}")
    axis.set_minor_formatter(NullFormatter())


def _distance(result: PeakVerdict, control: Floats) -> Floats:
    """From the position of the best power law, in what forms are functions of."""
    place = result.curves["power-law"]["x_c"]
    if result.data.logarithmic:
        return np.asarray(np.abs(np.log(control / place)))
    return np.asarray(np.abs(control - place))
