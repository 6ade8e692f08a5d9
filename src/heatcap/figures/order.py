"""Energy histograms at equal heights of their peaks, and the barrier against the size."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from heatcap.core.result import readable
from heatcap.figures.style import BLUE, PAGE, VERMILION, new_figure, styled
from heatcap.scaling.histogram import Barriers

__all__ = ["histograms"]

DEEPEST = -7.0  # of ln P / P_max that is shown
DASHES = ("-", (0, (6, 1.5)), (0, (3, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (1, 1)))
POINT = {"double": ("o", BLUE), "single": ("s", "#595959")}


def histograms(found: Barriers) -> Figure:
    """ln P / P_max of every size on the left, Delta F on the right.

    Parameters
    ----------
    found : Barriers

    Returns
    -------
    Figure
        Bands are one standard deviation of the shape (a constant and a tilt are none).  Sizes
        whose runs do not tunnel are drawn, and have no barrier.

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
        _curves(left, found)
        _barriers(right, found)
    return figure


def _curves(ax: Axes, found: Barriers) -> None:
    shown = [(c, s) for c, s in zip(found.curves, found.shapes, strict=True) if c]
    shades = colormaps["viridis"](np.linspace(0.9, 0.0, len(shown)))
    for k, (curve, status) in enumerate(shown):
        x, y, error = (np.asarray(curve[name]) for name in ("energy", "log_p", "error"))
        label = f"$L={curve['size']:g}$" + ("" if status in POINT else f" ({status})")
        style = DASHES[k % len(DASHES)]
        ax.plot(x, y, color=shades[k], lw=1.1, ls=style, label=label, gid="histogram")
        ax.fill_between(x, y - error, y + error, color=shades[k], alpha=0.25, lw=0)
    lowest = min(float(np.min(curve["log_p"])) for curve, _ in shown)
    ax.set_ylim(max(DEEPEST, 1.7 * lowest), 0.7)  # the legend stands below
    ax.set_xlabel("energy per site")
    ax.set_ylabel(r"$\ln\,P/P_{\max}$")
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.legend(loc="lower center", ncols=1 if len(shown) < 4 else 2)


def _barriers(ax: Axes, found: Barriers) -> None:
    for status, (marker, colour) in POINT.items():
        rows = [i for i, word in enumerate(found.shapes) if word == status]
        if rows:
            ax.errorbar(
                found.size[rows], found.barrier[rows], found.barrier_error[rows],
                ls="", marker=marker, color=colour, ms=3.5, elinewidth=0.6, label=f"{status} peak",
            )  # fmt: skip
    known = np.isfinite(found.barrier)
    if not known.any():
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no barrier is known", ha="center", color=VERMILION)
        return
    ax.set_xlim(0, 1.1 * found.size[known].max())
    ax.set_ylim(min(0.0, 1.3 * float(np.nanmin(found.barrier))), None)
    ax.margins(y=0.25)
    if ax.get_ylim()[1] < 1:  # a barrier below 1 is thermal noise to the system
        ax.set_ylim(-0.1, 1)
    ax.set_xlabel("size $L$")
    ax.set_ylabel(r"barrier $\Delta F/T$")
    if np.isfinite(found.tension.value):
        slope = readable(found.tension.value, found.tension.error)
        ax.set_title(f"slope against $L^{{d-1}}$: {slope}", loc="left")
    ax.legend(loc="upper left")
