"""Heights with the growths that they do not exclude, local exponents, and the profile of kappa."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from heatcap.divergence import Verdict
from heatcap.figures._parts import plain_axes, say, symbol
from heatcap.figures._style import BLACK
from heatcap.figures._verdict_parts import ZERO, class_line, drawn, profile, standing_of
from heatcap.figures.names import label

__all__ = ["verdict"]

Floats = NDArray[np.float64]

HEIGHT: dict[str, Any] = {
    "ls": "", "marker": "o", "ms": 3.0, "color": BLACK, "zorder": 5,
}  # fmt: skip
TALL = 10  # largest over smallest height, from which on their axis is logarithmic
LEAST_SPAN = 0.2  # of the axis of exponents: less would magnify what is nothing
NARROW = 24  # letters in a line of a panel that is empty
APART = 0.13  # share of the axis between sizes that are written below it


def verdict(result: Verdict, *, name: str = "height", head: bool = True) -> Figure:
    """Heights and best fits, local exponents, and the profile of chi^2 over kappa, side by side.

    Parameters
    ----------
    result : Verdict
        Made by :func:`heatcap.divergence_test`.
    name : str
        What the height is called.
    head : bool
        Whether the verdict stands above the panels in words.

    Returns
    -------
    Figure
        Two columns of a journal wide.  Best fits of classes that are not excluded are solid, the
        others dotted; all are where the status names no class.  The head has the verdict, the
        exponent, the margins and the warnings.
    """
    standing = standing_of(result)
    least = (r"\kappa", result.margins.kappa_min)

    def panels(left: Axes, centre: Axes, right: Axes) -> None:
        _heights(left, result, name, standing)
        _local(centre, result)
        if result.exponent_determined:
            profile(right, result.exponent, least, "kappa_min")
        else:
            say(right, "no exponent:\n" + fill(result.why_no_exponent, NARROW))

    mark = HEIGHT | {"label": "height, one standard deviation"}
    return drawn(result, panels, [mark], least, standing, head=head)


def _heights(ax: Axes, result: Verdict, name: str, standing: Mapping[str, str]) -> None:
    data = result.data
    ax.set_xscale("log")
    for kind, curve in result.curves.items():
        line = class_line(result, kind, standing)
        ax.plot(curve["sizes"], curve["heights"], **line, gid=f"fit {kind}")
    ax.errorbar(data.sizes, data.heights, data.errors, **HEIGHT)[0].set_gid("height")
    ax.set_title("heights and best fits", loc="left")
    ax.set_xlabel(f"{symbol(result.size_name)} (logarithmic)")
    ax.set_ylabel(label(name))
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


def _exponents_shown(exponents: Floats, errors: Floats) -> tuple[float, float]:
    """From zero to all exponents; of their bars no more than makes the exponents unreadable."""
    span = max(float(np.ptp([*exponents, 0.0])), LEAST_SPAN)
    low = max(min(0.0, float((exponents - errors).min())), min(0.0, exponents.min()) - span)
    high = min(max(0.0, float((exponents + errors).max())), max(0.0, exponents.max()) + span)
    room = max(0.08 * (high - low), (LEAST_SPAN - (high - low)) / 2)
    return low - room, high + room


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
    ax.set_ylim(*_exponents_shown(y, error))
    ax.set_title("local exponents", loc="left")
    ax.set_xlabel(f"1 / ln {symbol(result.size_name)}, sizes from each one on")
    ax.set_ylabel(r"$\kappa_{\mathrm{eff}}$")
    plain_axes(ax)
