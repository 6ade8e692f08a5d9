"""Heights with the growths that they do not exclude, local exponents, and what may cross over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from heatcap.core.arrays import Floats
from heatcap.divergence import Verdict
from heatcap.figures.names import label
from heatcap.figures.panels import CENTRE, GREY, plain_axes, say, symbol
from heatcap.figures.style import BLACK
from heatcap.figures.verdicts import ZERO, class_line, drawn, standing_of

__all__ = ["verdict"]


HEIGHT: dict[str, Any] = {
    "ls": "", "marker": "o", "ms": 3.0, "color": BLACK, "zorder": 5,
}  # fmt: skip
LIMIT: dict[str, Any] = {"color": BLACK, "lw": 1.0, "ls": ":"}
TALL = 10  # largest over smallest height, from which on their axis is logarithmic
LEAST_SPAN = 0.2  # of the axis of exponents: less would magnify what is nothing
JOINT = 5.991465  # chi^2 of two degrees of freedom at 95 %
ROOM = 0.15  # of the height seen, left above and below it
APART = 0.13  # share of the axis between sizes that are written below it


def verdict(result: Verdict, *, name: str = "height", head: bool = True) -> Figure:
    """Heights and best fits, local exponents, and the plane of exponent and crossover length.

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
        others dotted; all are where the status names no class; beyond the data, which is grey, they
        are continued.  In the plane those powers and logarithms are filled, cut off or not, that
        are not excluded at 95 % (without corrections to scaling); above the broken axis there is no
        cut-off.  The head has the verdict, the exponent, the margins and the warnings.
    """
    standing = standing_of(result)
    least = (r"\kappa", result.margins.kappa_min)

    def panels(left: Axes, centre: Axes, right: Axes) -> None:
        _heights(left, result, name, standing)
        _local(centre, result)
        _region(right, result)

    marks = [HEIGHT | {"label": "height, one standard deviation"}]
    if result.crossover_length_lower_limit95 > 0:
        marks.append(LIMIT | {"label": "lower limit of the crossover length"})
    return drawn(result, panels, marks, least, standing, head=head, interval=False)


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
    far = result.curves["flat"]["sizes"][-1]
    ax.axvspan(data.sizes[-1], far, color=GREY, alpha=0.12, lw=0, gid="beyond the data")
    low, high = float((data.heights - data.errors).min()), float((data.heights + data.errors).max())
    if low > 0 and high > TALL * low:
        ax.set_yscale("log")
        ax.set_ylim(low / 1.5, high * result.margins.saturation_ratio)
    else:
        room = ROOM * (high - low)
        ax.set_ylim(low - room, high + max(room, 0.35 * (high - low)))
        plain_axes(ax)
    ax.xaxis.set_major_locator(FixedLocator(_spread(data.sizes, far)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(lambda each, _: f"{each:g}")
    ax.set_xlim(data.sizes[0] / (far / data.sizes[0]) ** 0.04, far)


def _region(ax: Axes, result: Verdict) -> None:
    """Exponents and crossover lengths that are not excluded together."""
    found, data = result.crossover, result.data
    if result.status != "ok":
        say(ax, "no class is named")
        return
    if np.ptp(found.chi2) < 1e-6:
        say(ax, result.NO_POWER)
        return
    rise = found.chi2 - found.lowest
    lengths = found.lengths.copy()
    step = lengths[-2] / lengths[-3]
    lengths[-1] = lengths[-2] * step**2  # no crossover: above the others
    kappa, low, high = result.margins.kappa_min, data.sizes[0], data.sizes[-1]
    ax.set_yscale("log")
    edges = np.sqrt(lengths[1:] * lengths[:-1])
    edges = np.concatenate([[lengths[0] / step**0.5], edges, [lengths[-1] * step]])
    half = (found.exponents[1] - found.exponents[0]) / 2
    sides = np.append(found.exponents - half, found.exponents[-1] + half)
    shown = np.ma.masked_array(np.ones(rise.T.shape), rise.T > JOINT)
    ax.pcolormesh(
        sides, edges, shown, cmap="gray", vmin=0, vmax=2, alpha=0.6, lw=0, gid="region",
        rasterized=True,
    )  # fmt: skip
    ax.axhline(high, **ZERO)
    ax.axhline(lengths[-2] * step, **ZERO)
    ax.axvline(kappa, **CENTRE, gid="kappa_min")
    if (limit := result.crossover_length_lower_limit95) > 0:
        ax.axhline(limit, **LIMIT, gid="limit")
    ax.set_xlim(sides[0], sides[-1])
    ax.set_ylim(edges[0], edges[-1])
    ax.yaxis.set_major_locator(FixedLocator([low, high, lengths[-1]]))
    ax.yaxis.set_major_formatter(FixedFormatter([f"{low:g}", f"{high:g}", "none"]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_title("cut-offs not excluded", loc="left")
    ax.set_xlabel(r"exponent $\kappa$ (0: logarithm)")
    ax.set_ylabel(f"crossover length ({symbol(result.size_name)})")


def _spread(sizes: Floats, far: float) -> list[float]:
    """Sizes whose names do not touch on an axis up to `far`, the smallest and largest included."""
    step = min(APART * np.log(far / sizes[0]), np.log(sizes[-1] / sizes[0]) / 2)
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
