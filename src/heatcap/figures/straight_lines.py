"""Power laws as straight lines: data and fit, local exponents, and the exponent of every window.

Both axes of the data are logarithmic unless a value is not positive.  Axes have the units of the
data; bars and bands are one standard deviation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter, Status, readable
from heatcap.figures.panels import (
    CENTRE,
    CURVE,
    LINE,
    SPREAD,
    goodness,
    head_lines,
    say,
    symbol,
    write_head,
)
from heatcap.figures.style import BLUE, PAGE, VERMILION, label, new_figure, styled
from heatcap.scaling import Crossover, PowerLaw

__all__ = ["crossover", "power_law"]

ROW = 2.5  # inches of the panels
KEYS = 0.25  # of the panel: room for its legend
FEW = 100.0  # largest over smallest x with plain numbers
MARK: dict[str, Any] = {"ls": "", "marker": "o", "ms": 3.5, "color": VERMILION, "elinewidth": 0.8}
SQUARE: dict[str, Any] = MARK | {"marker": "s", "mfc": "none", "color": BLUE}
SIDES = {"below": (0, (1, 1.5)), "above": (0, (5, 2))}


def power_law(result: PowerLaw, *, name: str = "x") -> Figure:
    """Draw the data with the fit, and local exponents with those of every window.

    Parameters
    ----------
    result : PowerLaw
        Made by :func:`heatcap.scaling.power_law`.
    name : str
        What x is called.

    Returns
    -------
    Figure
        Two columns of a journal wide.  With a limit, the left panel shows the distance from it.
    """
    signs = {"p": result.exponent, "A": result.amplitude, "y_\\infty": result.limit}
    with styled():
        figure, (left, right) = _page(_numbers(signs, result), result.status, result.message)
        limit = result.limit.value if result.limit is not None else 0.0
        written = f"|{label(result.name)} − limit|" if result.limit is not None else ""
        _data(left, result, name, written, limit)
        if result.curve:
            x, y = result.curve["x"], np.abs(result.curve["value"] - limit)
            left.plot(x, np.where(y > 0, y, np.nan) if limit else result.curve["value"], **CURVE)
            left.lines[-1].set_gid("fit")
        _exponents(right, result, name)
    return figure


def crossover(result: Crossover, *, name: str = "x") -> Figure:
    """Draw the data with two power laws that cross, and the exponent along x.

    Parameters
    ----------
    result : Crossover
        Made by :func:`heatcap.scaling.crossover`.
    name : str
        What x is called.

    Returns
    -------
    Figure
        Two columns of a journal wide.  Power laws are drawn where the status is "ok" or "one side
        only".
    """
    signs = {"p": result.p, "q": result.q, "x_\\times": result.x_cross}
    with styled():
        figure, (left, right) = _page(_numbers(signs, result), result.status, result.message)
        _data(left, result, name, "", 0.0)
        if result.curve and result.x_cross is not None:
            ends = left.get_ylim()
            x = result.curve["x"]
            left.plot(x, result.curve["value"], **CURVE, gid="fit")
            for side, dashes in SIDES.items():
                style: dict[str, Any] = {"color": BLUE, "lw": 0.8, "ls": dashes}
                left.plot(x, result.curve[side], **style, gid=side, label=f"power law {side}")
            _mark(left, result.x_cross)
            left.set_ylim(ends)
            left.legend()
        _slopes(right, result, name)
    return figure


def _page(numbers: list[str], status: Status, message: str) -> tuple[Figure, tuple[Axes, Axes]]:
    """The figure with its head, and two panels."""
    lines = head_lines(numbers, status, message)
    head = LINE * len(lines) + 0.1
    figure = new_figure(PAGE, head + ROW)
    top, middle = figure.subfigures(2, 1, height_ratios=[head, ROW], squeeze=False)[:, 0]
    write_head(top, lines, head, ok=status is Status.OK)
    left, right = middle.subplots(1, 2, gridspec_kw={"wspace": 0.06})
    return figure, (left, right)


def _numbers(signs: dict[str, Parameter | None], result: PowerLaw | Crossover) -> list[str]:
    out = []
    for sign, p in signs.items():
        if p is not None and np.isfinite([p.value, p.error]).all():
            said = f"{p.value:g} (fixed)" if p.error == 0 else readable(p.value, p.error)
            out.append(f"${sign}$ = {said}".replace("= -", "= \u2212"))
    if np.isfinite(result.chi2):
        out += goodness(result.chi2, result.dof, result.p_value)
    return out


def _data(ax: Axes, result: PowerLaw | Crossover, name: str, written: str, limit: float) -> None:
    y = np.abs(result.y - limit) if limit else result.y
    ax.errorbar(result.x, y, result.error, **MARK)[0].set_gid("point")
    _logarithmic(ax)
    if np.all(y > 0):
        # Bars that reach below zero end at the edge of the panel.
        ax.set_yscale("log", nonpositive="clip")
        ax.set_ylim(0.6 * y.min(), 1.6 * y.max())
    ax.set_title("data and fit", loc="left")
    ax.set_xlabel(symbol(name))
    ax.set_ylabel(written or label(result.name))


def _exponents(ax: Axes, result: PowerLaw, name: str) -> None:
    """Local exponents, those of windows, and the answer."""
    found = result.slopes.get("x", np.array([]))
    if not found.size:
        say(ax, f"no exponents: {result.status}")
        return
    p = result.exponent
    if p is not None:
        ax.axhspan(p.value - p.error, p.value + p.error, **SPREAD, gid="exponent error")
        ax.axhline(p.value, **CENTRE, gid="exponent")
    _local(ax, result.slopes)
    ends = "smallest" if result.toward == "infinity" else "largest"
    x = np.array([window[ends] for window in result.windows])
    value, error = (
        np.array([window[key] for window in result.windows]) for key in ("exponent", "error")
    )
    if x.size:
        words = f"pure power from this {symbol(name)} {'on' if ends == 'smallest' else 'down'}"
        drawn = ax.errorbar(x, value, error, **SQUARE, label=words)
        drawn[0].set_gid("window")
    _finished(ax, result.slopes["value"], name)


def _slopes(ax: Axes, result: Crossover, name: str) -> None:
    """Local exponents along x, with both exponents."""
    y, x = result.y, np.log(result.x)
    usable = y[1:] * y[:-1] > 0
    if not usable.any():
        say(ax, f"no exponents: {result.status}")
        return
    relative = result.error / np.where(y == 0, 1.0, np.abs(y))
    logs = np.log(np.where(y == 0, 1.0, np.abs(y)))
    slopes = {
        "x": np.exp((x[1:] + x[:-1]) / 2)[usable],
        "value": (np.diff(logs) / np.diff(x))[usable],
        "error": (np.hypot(relative[1:], relative[:-1]) / np.diff(x))[usable],
    }
    for p, dashes in ((result.p, SIDES["below"]), (result.q, SIDES["above"])):
        if p is not None:
            ax.axhspan(p.value - p.error, p.value + p.error, **SPREAD, gid="exponent error")
            ax.axhline(p.value, color=BLUE, lw=0.8, ls=dashes, gid="exponent")
    if result.x_cross is not None:
        _mark(ax, result.x_cross)
    _local(ax, slopes)
    _finished(ax, slopes["value"], name, keys=False)


def _local(ax: Axes, slopes: dict[str, Floats]) -> None:
    drawn = ax.errorbar(slopes["x"], slopes["value"], slopes["error"], **MARK, label="neighbours")
    drawn[0].set_gid("local exponent")


def _mark(ax: Axes, place: Parameter) -> None:
    """The crossover with its error, inside the data."""
    low, high = ax.get_xlim()
    if low < place.value < high:
        ends = np.clip([place.value - place.error, place.value + place.error], low, high)
        ax.axvspan(*ends, **SPREAD, gid="x_cross error")
        ax.axvline(place.value, **CENTRE, gid="x_cross")


def _finished(ax: Axes, values: Floats, name: str, *, keys: bool = True) -> None:
    _logarithmic(ax)
    room = max(2 * float(np.ptp(values)), 0.2)
    middle = float(np.median(values))
    low, high = ax.get_ylim()
    low, high = max(low, middle - 2 * room), min(high, middle + 2 * room)
    ax.set_ylim(low, high + KEYS * (high - low) * keys)
    ax.set_title("local exponents", loc="left")
    ax.set_xlabel(symbol(name))
    ax.set_ylabel("exponent")
    if keys:
        ax.legend(loc="upper right")


def _logarithmic(ax: Axes) -> None:
    """Scale x by its logarithm; over less than two decades with plain numbers, 1, 2 and 5."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    if high < FEW * low:
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
