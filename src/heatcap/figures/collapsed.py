"""Figure of a collapse: the data of all sizes, the scaling function, residuals, and the models.

Axes are physical: (x - x_c) L^(1/nu) and A L^-exponent in the units of the table, at the reported
parameters (:attr:`heatcap.scaling.Collapse.curves`); residuals are in errors.  Bars are one
standard deviation, and so is the band unless it would vanish behind the line.  Words stand in the
caption (:func:`heatcap.figures.caption`), and a scaling function only where two sizes overlap.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.core.quantities import FLUCTUATIONS
from heatcap.core.result import goodness_line, readable
from heatcap.core.text import literal, plain
from heatcap.figures.panels import (
    CENTRE,
    CURVE,
    MARKERS,
    POINT,
    SPREAD,
    Look,
    by_words,
    caption_of,
    critical,
    look_of_sizes,
    paper,
    plain_axes,
    say,
    symbol,
)
from heatcap.figures.style import BLUE, describe, label, styled
from heatcap.scaling import Collapse, Points

__all__ = ["collapse"]

PANELS = ("data", "collapse", "residuals", "windows")
WEIGHT = 1e-4  # models of less weight are not drawn
CARRYING = 0.01  # from this weight on the error bar of a model widens the axis
BAND = 0.8  # points on paper; thinner bands are drawn twice as wide
EXCESS = 12.0  # of squared residuals over chi^2, beyond that of a smoother function
LONG = 16  # letters of a control beyond which its scaled name takes two lines
TALL = 1.3  # inches of a panel that the width of a band is judged by
GUIDE: dict[str, Any] = {"color": "#606060", "lw": 0.6, "zorder": 1}
BORDER: dict[str, Any] = {"color": "#E0E0E0", "lw": 0.5, "zorder": 1}
MODEL: dict[str, Any] = {"ls": "", "mew": 0.8, "elinewidth": 0.5, "color": BLUE, "zorder": 3}
SYMBOL = {"inverse_nu": r"$1/\nu$", "log_l0": r"$\ln L_0$", "omega": r"$\omega$"}
WORD = {"inverse_nu": "1/ν", "log_l0": "ln L0", "omega": "ω"}
STRETCH = {
    "second-order": r"{size}$^{{\,1/\nu}}$",
    "first-order": "{size}$^{{\\,d}}$",
    "kosterlitz-thouless": "$(\\ln\\,${size}$/L_0)^2$",
}


@dataclass(frozen=True)
class _Shown:
    """A collapse with its data, the marks of the sizes, and the words of the axes."""

    result: Collapse
    parts: Sequence[Points]
    curves: Sequence[dict[str, Any] | None]
    look: Look
    size: str
    control: str
    value: str | None
    raw: bool

    @property
    def x_c(self) -> str:
        return critical(self.control)

    @property
    def free(self) -> list[str]:
        result = self.result
        return [n for n in result.parameters if n not in result.fixed and n != "omega"]

    @property
    def models(self) -> list[dict[str, Any]]:
        return [m for m in self.result.models if m["weight"] > WEIGHT]

    def named(self, k: int) -> str:
        """The value of observable k on an axis."""
        return _value_name(self.parts[k].name) if self.value is None else self.value

    @property
    def scaled_control(self) -> str:
        stretch = STRETCH.get(self.result.ansatz, "$S(${size}$)$").format(size=self.size)
        gap = "\n" if len(self.control) > LONG else " "
        return f"({self.control}{gap}$-$ {self.x_c}) {stretch}"

    def scaled_value(self, k: int) -> str:
        """What is drawn of observable k, with the power of the size in numbers."""
        curve = self.curves[k]
        assert curve is not None
        p = curve["reference"]["exponent"]
        power = ""
        if p["value"] != 0:
            number = _power(-p["value"], p["error"])
            power = f" {self.size}$^{{\\,{number}}}$"
        factor = " $/\\,K$" if curve["reference"]["y_scaled"].endswith("K(size)") else ""
        return self.named(k) + power + factor

    @property
    def band(self) -> int:
        """Standard deviations of the band that is drawn."""
        widths = [_band_width(c) for c in self.curves if c is not None]
        return 1 + any(width < BAND for width in widths)


def collapse(
    result: Collapse,
    data: Points | Sequence[Points],
    *,
    names: tuple[str, str] = ("size", "control"),
    panel: str = "all",
    width: str = "double",
    raw: bool = False,
    labels: Mapping[str, str] | None = None,
    axes: Axes | Sequence[Axes] | None = None,
) -> Figure:
    """Draw data, collapsed points, residuals, and the parameters of each model.

    Points that the fit leaves out are open among the data; x_c is a line where the status is "ok".
    The status, its reasons and the numbers are in the caption.

    Parameters
    ----------
    result : Collapse
        Made by :func:`heatcap.scaling.collapse`.
    data : Points or sequence of Points
        The data that `result` was made from.
    names : tuple of str, optional
        What the size and the control are called.
    panel : {"all", "data", "collapse", "residuals", "windows"}, optional
        What is drawn: for every observable, or (windows) for every free parameter.
    width : {"double", "single"}, optional
        Two columns of a journal, 7 inches, or one, 3.4 inches.
    raw : bool, optional
        Scaled points as they are; corrections to scaling are taken off otherwise.
    labels : mapping, optional
        Words on the axes for "size", "control" and "value", with $mathematics$.
    axes : Axes or sequence of Axes, optional
        Where one kind of panel is drawn instead of on a new page; "collapse" unless `panel` is
        given.

    Returns
    -------
    Figure
        A new one, or that of `axes`.

    Raises
    ------
    ValueError
        If there are no data, their names are not those of the collapse, or `panel`, `width`,
        `labels` or the number of `axes` are none of these.
    """
    parts = [data] if isinstance(data, Points) else list(data)
    curves = _curves(result, parts)
    sizes = sorted({float(s) for part in parts for s in part.size})
    said = by_words(labels, names)
    value = said.get("value") if len(parts) == 1 else None
    shown = _Shown(
        result, parts, curves, look_of_sizes(sizes), said["size"], said["control"], value, raw
    )
    kinds = _kinds(shown, panel if axes is None or panel != "all" else "collapse")
    with styled():
        figure, places = paper(kinds, sizes, said["size"], shown.look, width, axes)
        for (kind, count), drawn in zip(kinds, places, strict=True):
            for k in range(count):
                _PANEL[kind](drawn[k], shown, k)
            if kind == "windows" and count:
                _keys_of_models(drawn[0], shown)
        if axes is None:
            describe(figure, _caption(shown, [kind for kind, count in kinds if count]))
    return figure


def _kinds(shown: _Shown, panel: str) -> list[tuple[str, int]]:
    """Kinds of panels with their numbers."""
    if panel not in ("all", *PANELS):
        raise ValueError(f"panel must be one of {', '.join(PANELS)}, all, got {panel!r}")
    windows = len(shown.free) if shown.models else 0
    if panel == "windows" and not windows:
        raise ValueError(f"no windows to draw: {_no_windows(shown)}")
    counts = {kind: len(shown.parts) for kind in PANELS} | {"windows": windows}
    if panel == "all" and not any(shown.curves):
        counts |= {"collapse": 0, "residuals": 0}
    return [(kind, counts[kind]) for kind in PANELS if panel in ("all", kind)]


def _no_windows(shown: _Shown) -> str:
    if shown.models:
        return "all parameters are fixed"
    return f"no fit, {shown.result.status}"


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


def _data(ax: Axes, shown: _Shown, k: int) -> None:
    """Data against the control, open where the fit leaves them out, and x_c with its error."""
    part, curve = shown.parts[k], shown.curves[k]
    used = np.zeros(len(part), dtype=bool) if curve is None else curve["used"]
    for gid, chosen in (("raw", used), ("left out", ~used)):
        face: dict[str, Any] = {"mfc": "white"} if gid == "left out" and curve is not None else {}
        columns = part.size, part.control, part.value, part.error
        _by_size(ax, *columns, chosen, shown.look, gid, **face)
    low, high = float(part.control.min()), float(part.control.max())
    if (x_c := shown.result.parameters.get("x_c")) and not _beyond(part, x_c.value):
        if shown.result.ok:
            ax.axvline(x_c.value, **CENTRE, gid="x_c")
        low, high = min(low, x_c.value), max(high, x_c.value)
        if math.isfinite(x_c.error):
            ax.axvspan(x_c.value - x_c.error, x_c.value + x_c.error, **SPREAD, gid="x_c error")
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    ax.set_xlim(low - room, high + room)
    plain_axes(ax)
    ax.set_xlabel(shown.control)
    ax.set_ylabel(shown.named(k))


def _beyond(part: Points, x_c: float) -> bool:
    low, high = float(part.control.min()), float(part.control.max())
    half = 0.5 * (high - low)
    return not low - half <= x_c <= high + half


def _by_size(
    ax: Axes,
    size: Floats,
    x: Floats,
    y: Floats,
    error: Floats | None,
    chosen: NDArray[np.bool_],
    look: Look,
    gid: str,
    **more: Any,
) -> None:
    """Plot points with one artist per size; without bars where there are no errors."""
    for one_size in np.unique(size[chosen]):
        rows = chosen & (size == one_size)
        bars = None if error is None else error[rows]
        drawn = ax.errorbar(x[rows], y[rows], bars, **(POINT | look[float(one_size)] | more))
        drawn[0].set_gid(gid)


def _collapsed(ax: Axes, shown: _Shown, k: int) -> None:
    """Collapsed points, the scaling function where sizes overlap, and its error."""
    curve = shown.curves[k]
    if curve is None:
        say(ax, f"no fit: {shown.result.status}")
        return
    y = curve["y_scaled"] if shown.raw else curve["y_corrected"]
    known = curve["used"] & np.isfinite(y)
    # With a covariance, errors belong to no single point.
    error = None if shown.parts[k].covariance is not None else curve["y_error"]
    _by_size(ax, curve["size"], curve["x_scaled"], y, error, known, shown.look, "point")
    over = curve["covered"] > 1
    f, band = np.where(over, curve["f"], np.nan), shown.band * curve["band"]
    ax.fill_between(curve["grid"], f - band, f + band, where=over, **SPREAD, gid="band")
    ax.plot(curve["grid"], f, **CURVE, gid="f")
    bars = 0 if error is None else error[known]
    ends = np.concatenate([y[known] - bars, y[known] + bars, f[over]])
    if ends.size:
        room = 0.05 * float(np.ptp(ends)) or 1.0
        ax.set_ylim(ends.min() - room, ends.max() + room)
    plain_axes(ax)
    ax.set_xlabel(shown.scaled_control)
    corrected = not shown.raw and "omega" in shown.result.parameters
    ax.set_ylabel(shown.scaled_value(k) + ", corrected" * corrected)


def _band_width(curve: Mapping[str, Any]) -> float:
    """Width of the band of one standard deviation, in points on paper."""
    tall = np.ptp(np.concatenate([curve["y_scaled"][curve["used"]], curve["f"]]))
    return float(2 * np.median(curve["band"]) / (tall or 1.0) * 72 * TALL)


def _residuals(ax: Axes, shown: _Shown, k: int) -> None:
    """Residuals in errors against the scaled control, with guides at 0 and +-2."""
    curve = shown.curves[k]
    if curve is None:
        say(ax, f"no fit: {shown.result.status}")
        return
    for y, style in ((0, "-"), (2, (0, (3, 2))), (-2, (0, (3, 2)))):
        ax.axhline(y, **GUIDE, ls=style, gid="guide")
    known = curve["used"] & np.isfinite(curve["residual"])
    columns = curve["size"], curve["x_scaled"], curve["residual"]
    _by_size(ax, *columns, None, known, shown.look, "residual")
    most = max(3.2, 1.1 * float(np.abs(curve["residual"][known]).max(initial=0)))
    ax.set_ylim(-most, most)
    plain_axes(ax)
    ax.set_xlabel(shown.scaled_control)
    ax.set_ylabel("residual / error")


# ---- the models ----------------------------------------------------------------------------


def _windows(ax: Axes, shown: _Shown, k: int) -> None:
    """One free parameter: its value in each model, by the share of points used."""
    result, models, name = shown.result, shown.models, shown.free[k]
    shares = sorted({float(m["share_of_points"]) for m in models})
    _models(ax, name, result, models, _places(models, shares))
    ax.vlines(np.arange(1, len(shares)) - 0.5, 0, 1, **BORDER, transform=ax.get_xaxis_transform())
    ax.set_xlim(-0.5, len(shares) - 0.5)
    several = len(shares) > 1
    ax.set_xticks(range(len(shares)) if several else [], [f"{s:g}" for s in shares] * several)
    ax.tick_params(axis="x", length=0)
    alone = "all points" if shares[0] == 1 else f"{shares[0]:g} of the points"
    ax.set_xlabel("share of points" if several else alone)
    ax.set_ylabel(_parameter(name, shown))


def _keys_of_models(ax: Axes, shown: _Shown) -> None:
    """Legend of the smallest sizes of the models, where they differ."""
    least = _least_sizes(shown.result)
    present = [size for size in least if size in {m["smallest_size"] for m in shown.models}]
    if present == least[:1]:
        return
    blue: dict[str, Any] = {"color": BLUE, "ls": "", "ms": 4, "mew": 0.8}
    handles: list[Artist] = [
        Line2D(
            [],
            [],
            **(blue | _marker(size, least)),
            label="all sizes" if size == least[0] else f"sizes from {size:g}",
        )
        for size in present
    ]
    part = ax.figure
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
    low = high = average.value
    if math.isfinite(average.error):
        low, high = low - average.error, high + average.error
        ax.axhspan(low, high, **SPREAD, gid="average error")
    ax.axhline(average.value, color="black", lw=0.8, zorder=1, gid="average")
    for x, model in zip(at, models, strict=True):
        value, error = model["parameters"].get(name), model["errors"].get(name)
        if value is None:
            continue
        error = error if error is not None and math.isfinite(error) else None
        diameter = 1.6 + 5.4 * math.sqrt(model["weight"])  # the area goes with the weight
        style = MODEL | {"ms": diameter} | _marker(model["smallest_size"], _least_sizes(result))
        ax.errorbar(x, value, error, **style)[0].set_gid("model")
        reach = (error or 0.0) if model["weight"] > CARRYING else 0.0
        low, high = min(low, value - reach), max(high, value + reach)
    room = 0.06 * (high - low) or 1.0
    ax.set_ylim(low - room, high + room)
    plain_axes(ax)


_PANEL = {"data": _data, "collapse": _collapsed, "residuals": _residuals, "windows": _windows}


# ---- words ---------------------------------------------------------------------------------


def _caption(shown: _Shown, kinds: Sequence[str]) -> str:
    """The caption: what the panels show, the numbers, the status and its reasons."""
    result, fitted = shown.result, any(shown.curves)
    names = ", ".join(plain(part.name) for part in shown.parts)
    x_c = result.parameters.get("x_c")
    data = "data"
    if fitted and x_c:
        data += ("; dashed: x_c" if result.ok else "") + "; grey: x_c within its error"
        if any(_beyond(part, x_c.value) for part in shown.parts):
            data += ", beyond the data and not drawn"
        if not all(curve["used"].all() for curve in shown.curves if curve):
            data += "; open: left out of the fit"
    deviations = "one standard deviation" if shown.band == 1 else "two standard deviations"
    points = "as they are" if shown.raw else "without corrections to scaling"
    if any(part.covariance is not None for part in shown.parts):
        points += " (they are correlated: no bars)"
    panels = {
        "data": data,
        "collapse": f"scaled points, {points}; line: scaling function where two sizes overlap, "
        f"grey: its error ({deviations})",
        "residuals": "residuals in units of the error, against the scaled control" + _excess(shown),
        "windows": "parameters of every fit by the share of points, those nearest to x_c, and by "
        "the smallest size; areas of points are weights; line and grey: the average "
        "with its total error",
    }
    several = sum(name.startswith("exponent") for name in result.parameters) > 1
    numbers = [
        f"{_word(name, several)} = "
        + (f"{p.value:g} (fixed)" if name in result.fixed else readable(p.value, p.error))
        for name, p in result.parameters.items()
    ]
    if numbers:
        numbers.append(goodness_line(result.chi2, result.dof, result.p_value))
    said = [f"{kind.capitalize()}: {panels[kind]}." for kind in kinds]
    title = f"Collapse of {names}: {result.ansatz}."
    return caption_of(title, said, numbers, result.status, result.message)


def _excess(shown: _Shown) -> str:
    """Note on residuals at the averages, where those of the best fit are much smaller."""
    independent = all(part.covariance is None for part in shown.parts)
    squares = sum(
        float(np.nansum(curve["residual"][curve["used"]] ** 2)) for curve in shown.curves if curve
    )
    if not independent or not squares > shown.result.chi2 + EXCESS:
        return ""
    return f" (at the reported averages their squares add up to {squares:.0f})"


def _word(name: str, several: bool) -> str:
    if several and name.startswith("exponent_"):
        return f"exponent of {plain(name.removeprefix('exponent_'))}"
    return WORD.get(name, plain(name))


def _power(value: float, error: float) -> str:
    """A power of the size, with two digits of its error; as it is where it has none."""
    if not 0 < error < math.inf:
        return f"{value:.4g}"
    return f"{value:.{min(4, max(0, 1 - math.floor(math.log10(error))))}f}"


def _parameter(name: str, shown: _Shown) -> str:
    if name == "x_c":
        return shown.x_c
    if name in SYMBOL:
        return SYMBOL[name]
    if len(shown.parts) > 1 and name.startswith("exponent_"):
        return f"exponent of {symbol(name.removeprefix('exponent_'))}"
    return symbol(name)


def _value_name(name: str) -> str:
    if name in FLUCTUATIONS or len(name) == 1:
        return label(name)
    lines = textwrap.wrap(plain(name.replace("_", " ")), 20)
    return "\n".join(map(literal, lines)) or label(name)
