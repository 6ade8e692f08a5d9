"""Power laws as straight lines: data and fit, local exponents, and the exponent of every window.

Both axes of the data are logarithmic unless a value is not positive.  Axes have the units of the
data; bars and bands are one standard deviation.  Numbers, status and reasons are in the caption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter, goodness_line, readable
from heatcap.core.text import plain
from heatcap.figures.panels import (
    CENTRE,
    CURVE,
    SPREAD,
    by_words,
    caption_of,
    kinds_of,
    log_axis,
    paper,
    say,
)
from heatcap.figures.style import BLUE, VERMILION, describe, label, styled
from heatcap.scaling import Crossover, PowerLaw
from heatcap.scaling.power_laws import Values, local_exponents

__all__ = ["crossover", "power_law"]

PANELS = ("data", "exponents")
KEYS = 0.25  # of the panel: room for its legend
MARK: dict[str, Any] = {"ls": "", "marker": "o", "ms": 3.5, "color": VERMILION, "elinewidth": 0.8}
SQUARE: dict[str, Any] = MARK | {"marker": "s", "mfc": "none", "color": BLUE}
SIDES = {"below": (0, (1, 1.5)), "above": (0, (5, 2))}


def power_law(
    result: PowerLaw,
    *,
    name: str = "x",
    panel: str = "all",
    width: str = "double",
    labels: Mapping[str, str] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw the data with the fit, and local exponents with those of every window.

    With a limit, the data are drawn as their distance from it.

    Parameters
    ----------
    result : PowerLaw
        Made by :func:`heatcap.scaling.power_law`.
    name : str
        What x is called.
    panel : {"all", "data", "exponents"}, optional
    width : {"double", "single"}, optional
        Two columns of a journal, 7 inches, or one, 3.4 inches.
    labels : mapping, optional
        Words on the axes for "control" (x) and "value", with $mathematics$.
    axes : Axes, optional
        Where one panel is drawn, "data" unless `panel` is given.

    Returns
    -------
    Figure
        A new one, or that of `axes`.

    Raises
    ------
    ValueError
        If `panel`, `width` or `labels` are none of these.
    """
    said = by_words(labels, ("size", name))
    figure, places = _page(panel, width, axes)
    with styled():
        if (ax := places.get("data")) is not None:
            limit = result.limit.value if result.limit is not None else 0.0
            value = said.get("value") or label(result.name)
            _data(ax, result, said["control"], f"|{value} − limit|" if limit else value, limit)
            if result.curve:
                x, y = result.curve["x"], np.abs(result.curve["value"] - limit)
                shown = np.where(y > 0, y, np.nan) if limit else result.curve["value"]
                ax.plot(x, shown, **CURVE, gid="fit")
        if (ax := places.get("exponents")) is not None:
            _exponents(ax, result, said["control"])
        if axes is None:
            signs = {"p": result.exponent, "A": result.amplitude, "limit": result.limit}
            onward = "on" if result.toward == "infinity" else "down"
            panels = {
                "data": "data and fit"
                + ", as the distance from the limit" * (result.limit is not None),
                "exponents": "local exponents of neighbours, and those of a pure power from each x "
                f"{onward}; dashed and grey: the answer with its total error",
            }
            describe(figure, _caption("Power law", result, signs, panels, places))
    return figure


def crossover(
    result: Crossover,
    *,
    name: str = "x",
    panel: str = "all",
    width: str = "double",
    labels: Mapping[str, str] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw the data with two power laws that cross, and the exponent along x.

    Power laws are drawn where the status is "ok" or "one side only".

    Parameters
    ----------
    result : Crossover
        Made by :func:`heatcap.scaling.crossover`.
    name : str
        What x is called.
    panel : {"all", "data", "exponents"}, optional
    width : {"double", "single"}, optional
        Two columns of a journal, 7 inches, or one, 3.4 inches.
    labels : mapping, optional
        Words on the axes for "control" (x) and "value", with $mathematics$.
    axes : Axes, optional
        Where one panel is drawn, "data" unless `panel` is given.

    Returns
    -------
    Figure
        A new one, or that of `axes`.

    Raises
    ------
    ValueError
        If `panel`, `width` or `labels` are none of these.
    """
    said = by_words(labels, ("size", name))
    figure, places = _page(panel, width, axes)
    with styled():
        if (ax := places.get("data")) is not None:
            _data(ax, result, said["control"], said.get("value") or label(result.name), 0.0)
            _two_powers(ax, result)
        if (ax := places.get("exponents")) is not None:
            _slopes(ax, result, said["control"])
        if axes is None:
            signs = {"p": result.p, "q": result.q, "x_cross": result.x_cross}
            where = "grey: the crossover with its error"
            panels = {
                "data": f"data and fit; dotted and dashed: the power laws below and above; {where}",
                "exponents": f"local exponents of neighbours; dotted and dashed: p and q; {where}",
            }
            describe(figure, _caption("Crossover", result, signs, panels, places))
    return figure


def _page(panel: str, width: str, axes: Axes | None) -> tuple[Figure, dict[str, Axes]]:
    """The panels that are asked for, by kind."""
    kinds = kinds_of(panel, PANELS, axes, whole=True)
    with styled():
        figure, places = paper(kinds, [], "", {}, width, axes)
    return figure, {kind: ax for (kind, _), (ax,) in zip(kinds, places, strict=True)}


def _caption(
    title: str,
    result: PowerLaw | Crossover,
    signs: Mapping[str, Parameter | None],
    panels: Mapping[str, str],
    shown: Sequence[str] | Mapping[str, Axes],
) -> str:
    numbers = [
        f"{sign} = " + (f"{p.value:g} (fixed)" if p.error == 0 else readable(p.value, p.error))
        for sign, p in signs.items()
        if p is not None and np.isfinite([p.value, p.error]).all()
    ]
    if np.isfinite(result.chi2):
        numbers.append(goodness_line(result.chi2, result.dof, result.p_value))
    said = [f"{kind.capitalize()}: {panels[kind]}." for kind in shown]
    of = f"{title} of {plain(result.name)}."
    return caption_of(of, said, numbers, result.status, result.message)


def _two_powers(ax: Axes, result: Crossover) -> None:
    """The fit, its two power laws, and where they cross."""
    if not result.curve or result.x_cross is None:
        return
    ends, x = ax.get_ylim(), result.curve["x"]
    ax.plot(x, result.curve["value"], **CURVE, gid="fit")
    for side, dashes in SIDES.items():
        style: dict[str, Any] = {"color": BLUE, "lw": 0.8, "ls": dashes}
        ax.plot(x, result.curve[side], **style, gid=side, label=f"power law {side}")
    _mark(ax, result.x_cross)
    ax.set_ylim(ends)
    ax.legend()


def _data(ax: Axes, result: PowerLaw | Crossover, x: str, value: str, limit: float) -> None:
    y = np.abs(result.y - limit) if limit else result.y
    ax.errorbar(result.x, y, result.error, **MARK)[0].set_gid("point")
    if np.all(y > 0):
        # Bars that reach below zero end at the edge of the panel.
        ax.set_yscale("log", nonpositive="clip")
        ax.set_ylim(0.6 * y.min(), 1.6 * y.max())
        log_axis(ax.yaxis)
    _along(ax, result.x, x)
    ax.set_ylabel(value)


def _exponents(ax: Axes, result: PowerLaw, x_name: str) -> None:
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
        words = f"pure power from this {x_name} {'on' if ends == 'smallest' else 'down'}"
        drawn = ax.errorbar(x, value, error, **SQUARE, label=words)
        drawn[0].set_gid("window")
    _finished(ax, result.x, result.slopes["value"], x_name)


def _slopes(ax: Axes, result: Crossover, x_name: str) -> None:
    """Local exponents along x, with both exponents."""
    slopes = local_exponents(Values(result.x, result.y, np.diag(result.error**2)))
    if not slopes["x"].size:
        say(ax, f"no exponents: {result.status}")
        return
    for p, dashes in ((result.p, SIDES["below"]), (result.q, SIDES["above"])):
        if p is not None:
            ax.axhspan(p.value - p.error, p.value + p.error, **SPREAD, gid="exponent error")
            ax.axhline(p.value, color=BLUE, lw=0.8, ls=dashes, gid="exponent")
    if result.x_cross is not None:
        _mark(ax, result.x_cross)
    _local(ax, slopes)
    _finished(ax, result.x, slopes["value"], x_name, keys=False)


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


def _finished(ax: Axes, x: Floats, values: Floats, x_name: str, *, keys: bool = True) -> None:
    _along(ax, x, x_name)
    room = max(2 * float(np.ptp(values)), 0.2)
    middle = float(np.median(values))
    low, high = ax.get_ylim()
    low, high = max(low, middle - 2 * room), min(high, middle + 2 * room)
    ax.set_ylim(low, high + KEYS * (high - low) * keys)
    ax.set_ylabel("local exponent")
    if keys:
        ax.legend(loc="upper right")


def _along(ax: Axes, x: Floats, name: str) -> None:
    """A logarithmic axis over all x, the same in both panels."""
    room = (x.max() / x.min()) ** 0.05
    ax.set_xscale("log")
    ax.set_xlim(x.min() / room, x.max() * room)
    log_axis(ax.xaxis)
    ax.set_xlabel(name)
