"""What the page says of a place in a figure: data coordinates, and the nearest thing drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter

__all__ = ["Naming", "readout"]

MOST = 40  # points of a line that can be found
SCALES = ("linear", "log")


@dataclass(frozen=True)
class Naming:
    """What a panel shows.

    Attributes
    ----------
    title, x, y : str
    label : callable
        (line, its number among the lines of the panel with the same name) -> a text for the line,
        one for each of its points, or None where it stands for nothing.
    """

    title: str = ""
    x: str = "x"
    y: str = "y"
    label: Callable[[Line2D, int], str | Sequence[str] | None] = field(default=lambda *_: None)


def readout(figure: Figure, naming: Callable[[Axes], Naming | None]) -> list[dict[str, Any]]:
    """Panels of a figure whose layout is settled.

    Parameters
    ----------
    figure : Figure
    naming : callable
        What a panel shows; None leaves it out.

    Returns
    -------
    list of dict
        `box` (left, top, right, bottom, as shares of the figure), names, `x` and `y` (limits, and
        whether the axis is logarithmic, or the labels of its ticks where these are words), and
        `series`: labels with their points.  Lines are thinned to 40 points, numbers to 5 digits.
    """
    panels = []
    for ax in figure.axes:
        names = naming(ax)
        if names is None or not {ax.get_xscale(), ax.get_yscale()} <= set(SCALES):
            continue
        box = ax.get_window_extent().transformed(figure.transFigure.inverted())
        panels.append(
            {
                "box": [round(v, 5) for v in (box.x0, 1 - box.y1, box.x1, 1 - box.y0)],
                "title": names.title,
                "x": _axis(names.x, ax.xaxis, ax.get_xlim()),
                "y": _axis(names.y, ax.yaxis, ax.get_ylim()),
                "series": _series(ax, names),
            }
        )
    return panels


def _axis(name: str, axis: Axis, limits: tuple[float, float]) -> dict[str, Any]:
    out: dict[str, Any] = {"name": name, "limits": [_short(v) for v in limits]}
    if axis.get_scale() == "log":
        return out | {"log": True}
    if isinstance(axis.get_major_formatter(), FixedFormatter):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        at = axis.get_majorticklocs()
        out["ticks"] = [[_short(v), text] for v, text in zip(at, labels, strict=False) if text]
    return out


def _series(ax: Axes, names: Naming) -> list[dict[str, Any]]:
    out, count = [], dict[Any, int]()
    for line in ax.lines:
        number = count.get(line.get_gid(), 0)
        count[line.get_gid()] = number + 1
        label = names.label(line, number)
        if label is None:
            continue
        x = np.asarray(line.get_xdata(), dtype=np.float64)
        y = np.asarray(line.get_ydata(), dtype=np.float64)
        rows = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        if not isinstance(label, str):
            label = [label[k] for k in rows.tolist()]
        elif rows.size > MOST:
            rows = rows[np.unique(np.linspace(0, rows.size - 1, MOST).round().astype(int))]
        if rows.size:
            points = {"x": [_short(v) for v in x[rows]], "y": [_short(v) for v in y[rows]]}
            out.append({"label": label} | points)
    return out


def _short(value: float) -> float:
    return float(f"{value:.5g}") if math.isfinite(value) else 0.0
