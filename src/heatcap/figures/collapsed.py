"""Figure of a collapse: the data of all sizes, the scaling function, residuals, and the models.

The scaling variable X is that of :attr:`heatcap.scaling.Collapse.curves`; residuals are in errors;
bars are one standard deviation, and so is the band unless it would vanish behind the line.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.core.quantities import FLUCTUATIONS
from heatcap.core.result import readable
from heatcap.core.text import literal, plain
from heatcap.figures.panels import (
    CENTRE,
    CURVE,
    LINE,
    MARKERS,
    PLAIN,
    POINT,
    SMALL,
    SPREAD,
    Look,
    goodness,
    head_lines,
    keys_of_sizes,
    look_of_sizes,
    plain_axes,
    say,
    symbol,
    write_head,
)
from heatcap.figures.style import BLUE, PAGE, label, new_figure, styled
from heatcap.scaling import Collapse, Points

__all__ = ["collapse"]

WEIGHT = 1e-4  # models of less weight are not drawn
CARRYING = 0.01  # from this weight on the error bar of a model widens the axis
BAND = 0.8  # points on paper; thinner bands are drawn twice as wide
SIZES, ACROSS, SHORT = 24, 9, 12  # in the legend; per line; per line of short names
ROW, SCAN, EMPTY, BELOW = 1.5, 1.45, 0.3, 0.22  # inches
GUIDE: dict[str, Any] = {"color": "#606060", "lw": 0.6, "zorder": 1}
BORDER: dict[str, Any] = {"color": "#E0E0E0", "lw": 0.5, "zorder": 1}
MODEL: dict[str, Any] = {"ls": "", "mew": 0.8, "elinewidth": 0.5, "color": BLUE, "zorder": 3}
BANDS = ("1 standard deviation", "2 standard deviations", "2 standard deviations, behind the line")
SYMBOL = {"x_c": "$x_c$", "inverse_nu": r"$1/\nu$", "log_l0": r"$\ln L_0$", "omega": r"$\omega$"}


def collapse(
    result: Collapse,
    data: Points | Sequence[Points],
    *,
    names: tuple[str, str] = ("size", "control"),
) -> Figure:
    """Draw one row per observable, and below them the parameters of each model.

    A row holds the data with the estimate of x_c, the collapsed points with the scaling function,
    and the residuals.  Collapsed points are those of the fit with the largest weight; points that
    it leaves out are open among the data.  A status other than "ok" stands across the head.

    Parameters
    ----------
    result : Collapse
        Made by :func:`heatcap.scaling.collapse`.
    data : Points or sequence of Points
        The data that `result` was made from.
    names : tuple of str, optional
        What the size and the control are called.

    Returns
    -------
    Figure
        Two columns of a journal wide.

    Raises
    ------
    ValueError
        If there are no data, or their names are not those of the collapse.
    """
    parts = [data] if isinstance(data, Points) else list(data)
    curves = _curves(result, parts)
    free = [n for n in result.parameters if n not in result.fixed and n != "omega"]
    models = [m for m in result.models if m["weight"] > WEIGHT]
    sizes = sorted({float(s) for part in parts for s in part.size})
    look = look_of_sizes(sizes)
    with styled():
        lines = _head_lines(result)
        keys = sizes[:: math.ceil(len(sizes) / SIZES)]  # every second, third, ... of many
        head = (
            LINE * (len(lines) + 1.35 * (1 + math.ceil(len(keys) / _across(keys, names[0])))) + 0.12
        )
        rows = ROW * len(parts) + BELOW
        across = min(len(free), 4) or 1
        deep = math.ceil(len(free) / 4)
        scan = deep * SCAN + BELOW + LINE if free and models else EMPTY
        figure = new_figure(PAGE, head + rows + scan)
        ratios = [head, rows, scan]
        top, middle, bottom = figure.subfigures(3, 1, height_ratios=ratios, squeeze=False)[:, 0]
        grid = middle.add_gridspec(len(parts), 3, width_ratios=[1.25, 1.25, 1.0], wspace=0.04)
        panels = [[middle.add_subplot(grid[i, j]) for j in range(3)] for i in range(len(parts))]
        widths = [_band_width(c) for c in curves if c is not None]
        twice = any(width < BAND for width in widths)
        hidden = all(2 * width < BAND for width in widths)
        for row, part, curve in zip(panels, parts, curves, strict=True):
            _data(row[0], part, curve, result, look)
            if curve is None:
                for ax in row[1:]:
                    say(ax, f"no fit: {result.status}")
            else:
                _collapsed(row[1], part, curve, 1 + twice, look)
                _residuals(row[2], curve, look)
        _label(panels, parts, result, names[1])
        if free and models:
            _scan(bottom, result, free, models, (deep, across))
        else:
            why = "all parameters are fixed" if models else f"no fit, {result.status}"
            bottom.text(0.5, 0.5, f"no scan of models: {why}", ha="center", va="center", gid="none")
        write_head(top, lines, head, ok=result.ok)
        _legends(top, middle, keys, look, names[0], BANDS[twice + (twice and hidden)], head)
    return figure


def _curves(result: Collapse, parts: Sequence[Points]) -> list[dict[str, Any] | None]:
    """The curve of every observable, or None for all where nothing was fitted."""
    if not parts:
        raise ValueError("no data: expected Points, or a sequence of them")
    by_name = {curve["name"]: curve for curve in result.curves}
    if not by_name:
        return [None] * len(parts)
    named = [part.name for part in parts]
    if sorted(named) != sorted(by_name):
        raise ValueError(f"the collapse is of {', '.join(by_name)}; the data of {', '.join(named)}")
    return [by_name[name] for name in named]


# ---- data and collapse ---------------------------------------------------------------------


def _data(
    ax: Axes,
    part: Points,
    curve: Mapping[str, Any] | None,
    result: Collapse,
    look: Look,
) -> None:
    """Data against the control, open where the fit leaves them out, and x_c with its error."""
    fitted = set() if curve is None else set(zip(curve["size"], curve["control"], strict=True))
    used = np.array([pair in fitted for pair in zip(part.size, part.control, strict=True)])
    for gid, shown in (("raw", used), ("left out", ~used)):
        face = {"mfc": "white"} if gid == "left out" and curve is not None else {}
        _by_size(ax, part.size, part.control, part.value, part.error, shown, look, gid, **face)
    low, high = float(part.control.min()), float(part.control.max())
    span = high - low
    if x_c := result.parameters.get("x_c"):
        if low - 0.5 * span <= x_c.value <= high + 0.5 * span:
            ax.axvline(x_c.value, **CENTRE, gid="x_c")
            low, high = min(low, x_c.value), max(high, x_c.value)
        else:
            side = "left" if x_c.value < low else "right"
            _note(ax, f"$x_c$ = {x_c.value:.4g}, beyond the {side}", gid="beyond")
        ax.axvspan(x_c.value - x_c.error, x_c.value + x_c.error, **SPREAD, gid="x_c error")
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    ax.set_xlim(low - room, high + room)
    plain_axes(ax)


def _by_size(
    ax: Axes,
    size: Floats,
    x: Floats,
    y: Floats,
    error: Floats | None,
    shown: NDArray[np.bool_],
    look: Look,
    gid: str,
    **more: Any,
) -> None:
    """Plot points with one artist per size; without bars where there are no errors."""
    for one_size in np.unique(size[shown]):
        chosen = shown & (size == one_size)
        bars = None if error is None else error[chosen]
        drawn = ax.errorbar(x[chosen], y[chosen], bars, **(POINT | look[float(one_size)] | more))
        drawn[0].set_gid(gid)


def _collapsed(
    ax: Axes,
    part: Points,
    curve: Mapping[str, Any],
    factor: int,
    look: Look,
) -> None:
    """Collapsed points, the scaling function, and its error times `factor`."""
    every = np.ones(len(curve["x"]), dtype=bool)
    if part.covariance is None:
        _by_size(ax, curve["size"], curve["x"], curve["y"], curve["error"], every, look, "point")
    else:  # with a covariance, errors and residuals belong to no single point
        _by_size(ax, curve["size"], curve["x"], curve["y"], None, every, look, "point")
        _note(ax, "fitted values, as the points\nare correlated", gid="fitted")
    f, band = curve["f"], factor * curve["band"]
    ax.fill_between(curve["grid"], f - band, f + band, **SPREAD, gid="band")
    ax.plot(curve["grid"], f, **CURVE, gid="f")
    low = min((curve["y"] - curve["error"]).min(), f.min())
    high = max((curve["y"] + curve["error"]).max(), f.max())
    room = 0.05 * (high - low) or 1.0
    ax.set_ylim(low - room, high + room)
    plain_axes(ax)


def _band_width(curve: Mapping[str, Any]) -> float:
    """Width of the band of one standard deviation, in points on paper."""
    tall = np.ptp(np.concatenate([curve["y"], curve["f"]]))
    return float(2 * np.median(curve["band"]) / (tall or 1.0) * 72 * (ROW - 0.3))


def _residuals(ax: Axes, curve: Mapping[str, Any], look: Look) -> None:
    """Residuals in errors against the scaling variable, with guides at 0 and +-2."""
    for y, style in ((0, "-"), (2, (0, (3, 2))), (-2, (0, (3, 2)))):
        ax.axhline(y, **GUIDE, ls=style, gid="guide")
    every = np.ones(len(curve["x"]), dtype=bool)
    _by_size(ax, curve["size"], curve["x"], curve["residual"], None, every, look, "residual")
    most = max(3.2, 1.1 * float(np.abs(curve["residual"]).max()))
    ax.set_ylim(-most, most)
    plain_axes(ax)


def _label(
    panels: Sequence[Sequence[Axes]], parts: Sequence[Points], result: Collapse, control: str
) -> None:
    """Titles, and names of the axes."""
    corrected = "omega" in result.parameters
    for (raw, collapsed, residuals), part in zip(panels, parts, strict=True):
        value = _value_name(part.name)
        raw.set_ylabel(value)
        if collapsed.axison:
            exponent = "exponent" if len(parts) == 1 else f"exponent_{part.name}"
            scaled = result.fixed.get(exponent) != 0
            power = r"$\,L^{\,-\mathrm{exponent}}$" if scaled else ""
            collapsed.set_ylabel(value + power)
            residuals.set_ylabel("residual / error")
    first, last = panels[0], panels[-1]
    first[0].set_title("data", loc="left")
    last[0].set_xlabel(symbol(control))
    if first[1].axison:
        first[1].set_title("collapsed" + ", corrections taken off" * corrected, loc="left")
        first[2].set_title("residuals", loc="left")
        for ax in last[1:]:
            ax.set_xlabel("scaling variable $X$")


# ---- the models ----------------------------------------------------------------------------


def _scan(
    part: SubFigure,
    result: Collapse,
    free: Sequence[str],
    models: Sequence[Mapping[str, Any]],
    shape: tuple[int, int],
) -> None:
    """One panel per free parameter: its value in each model, by the share of points used."""
    shares = sorted({float(m["share_of_points"]) for m in result.models})
    at = _places(models, shares)
    several = sum(name.startswith("exponent") for name in result.parameters) > 1
    grid = part.add_gridspec(*shape, wspace=0.06)
    for k, name in enumerate(free):
        ax = part.add_subplot(grid[k // shape[1], k % shape[1]])
        _models(ax, name, result, models, at)
        ax.vlines(
            np.arange(1, len(shares)) - 0.5, 0, 1, **BORDER, transform=ax.get_xaxis_transform()
        )
        ax.set_xlim(-0.5, len(shares) - 0.5)
        ax.set_xticks(range(len(shares)), [f"{share:g}" for share in shares])
        ax.tick_params(axis="x", length=0)
        ax.set_ylabel(_parameter(name, several))
    part.supxlabel("window scan: share of points nearest to $X = 0$", fontsize=7.5, gid="share")
    blue: dict[str, Any] = {"color": BLUE, "ls": "", "ms": 4, "mew": 0.8}
    least = _least_sizes(result)
    handles: list[Artist] = [
        Line2D(
            [],
            [],
            **(blue | _marker(size, least)),
            label="all sizes" if size == least[0] else f"sizes from {size:g}",
        )
        for size in least
        if size in {m["smallest_size"] for m in models}
    ]
    handles.append(Patch(color=SPREAD["color"], label="average, total error"))
    part.legend(handles=handles, loc="outside upper center", ncols=len(handles))


def _least_sizes(result: Collapse) -> list[float]:
    return sorted({float(m["smallest_size"]) for m in result.models})


def _marker(size: float, least: Sequence[float]) -> dict[str, Any]:
    """Filled with all sizes; open, and of another form, without the smallest."""
    place = least.index(size)
    return {"marker": MARKERS[place], "mfc": "white" if place else BLUE}


def _places(models: Sequence[Mapping[str, Any]], shares: Sequence[float]) -> Floats:
    """Abscissae: models of one share side by side about its place, those of one kind together."""
    at = np.array([shares.index(m["share_of_points"]) for m in models], dtype=np.float64)
    for place in np.unique(at):
        members = np.flatnonzero(at == place)
        order = sorted(
            members.tolist(), key=lambda k: (models[k]["smallest_size"], models[k]["knots"])
        )
        step = min(0.12, 0.84 / max(members.size - 1, 1))
        at[order] += step * (np.arange(members.size) - (members.size - 1) / 2)
    return at


def _models(
    ax: Axes,
    name: str,
    result: Collapse,
    models: Sequence[Mapping[str, Any]],
    at: Floats,
) -> None:
    """Values of one parameter in all models, with the average and its error."""
    average = result.parameters[name]
    low, high = average.value - average.error, average.value + average.error
    ax.axhspan(low, high, **SPREAD, gid="average error")
    ax.axhline(average.value, color="black", lw=0.8, zorder=1, gid="average")
    for x, model in zip(at, models, strict=True):
        value, error = model["parameters"].get(name), model["errors"].get(name)
        if value is None:
            continue
        diameter = 1.6 + 5.4 * math.sqrt(model["weight"])  # the area goes with the weight
        style = MODEL | {"ms": diameter} | _marker(model["smallest_size"], _least_sizes(result))
        ax.errorbar(x, value, error, **style)[0].set_gid("model")
        reach = (error or 0.0) if model["weight"] > CARRYING else 0.0
        low, high = min(low, value - reach), max(high, value + reach)
    room = 0.06 * (high - low) or 1.0
    ax.set_ylim(low - room, high + room)
    plain_axes(ax)


# ---- words ---------------------------------------------------------------------------------


def _head_lines(result: Collapse) -> list[tuple[str, str]]:
    """Lines of the head with their kind, "parameters" or "status"."""
    several = sum(name.startswith("exponent") for name in result.parameters) > 1
    items = []
    for name, p in result.parameters.items():
        is_fixed = name in result.fixed
        number = f"{p.value:g} (fixed)" if is_fixed else readable(p.value, p.error)
        items.append(f"{_parameter(name, several)} = {number}".replace("= -", "= \u2212"))
    if result.parameters:
        items += goodness(result.chi2, result.dof, result.p_value)
    return head_lines(items, result.status, result.message)


def _legends(
    part: SubFigure,
    panels: SubFigure,
    sizes: Sequence[float],
    look: Look,
    size_name: str,
    deviations: str,
    height: float,
) -> None:
    """Legend: the sizes and, below them, the lines and bands that are drawn."""
    drawn = {artist.get_gid() for ax in panels.axes for artist in ax.get_children()}
    other: dict[str, Artist] = {
        "x_c": Line2D([], [], **CENTRE, label="$x_c$"),
        "x_c error": Patch(color=SPREAD["color"], label="its error"),
        "left out": Line2D([], [], marker="o", mfc="white", **PLAIN, label="left out of the fit"),
        "f": Line2D([], [], **CURVE, label="scaling function $f$"),
        "band": Patch(color=SPREAD["color"], label=f"its error ({deviations})"),
    }
    if "f" not in drawn:
        del other["left out"]
    handles = [handle for gid, handle in other.items() if gid in drawn]
    if handles:
        low = part.legend(handles=handles, loc="lower center", ncols=len(handles))
        low.set_in_layout(False)
    keys = keys_of_sizes(size_name, sizes, look)
    above = (0.5, 1.35 * LINE / height if handles else 0.0)
    columns = min(len(keys), _across(sizes, size_name) + 1)
    high = part.legend(handles=keys, loc="lower center", bbox_to_anchor=above, ncols=columns)
    high.set_in_layout(False)


def _across(sizes: Sequence[float], size_name: str) -> int:
    """Sizes that fit one line of the legend."""
    return SHORT if max(len(size_name), *(len(f"{s:g}") for s in sizes)) <= 3 else ACROSS


def _note(ax: Axes, words: str, gid: str) -> None:
    ax.text(
        0.03, 0.97, words, transform=ax.transAxes, va="top", fontsize=SMALL, gid=gid, zorder=4,
        bbox={"fc": "white", "ec": "none", "pad": 0.5, "alpha": 0.8},
    )  # fmt: skip


def _parameter(name: str, several: bool) -> str:
    if name in SYMBOL:
        return SYMBOL[name]
    if several and name.startswith("exponent_"):
        return f"exponent of {symbol(name.removeprefix('exponent_'))}"
    return symbol(name)


def _value_name(name: str) -> str:
    if name in FLUCTUATIONS or len(name) == 1:
        return label(name)
    lines = textwrap.wrap(plain(name.replace("_", " ")), 20)
    return "\n".join(map(literal, lines)) or label(name)
