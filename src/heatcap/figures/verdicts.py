"""Figures of verdicts: heights against the size, and one peak along the control.

:func:`verdict` draws what :func:`heatcap.divergence_test` decides, :func:`peak_verdict` what
:func:`heatcap.peak_test` decides.  Both have three panels and keys; the words are in the caption.
Best fits of classes that are not excluded are solid, the others dotted.  Axes have the units of the
data; errors are one standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from heatcap.core.arrays import Floats
from heatcap.core.text import plain
from heatcap.divergence import CLASSES, PeakVerdict, Verdict
from heatcap.divergence.answer import Answer
from heatcap.divergence.exponent import TWO_SIDED, Exponent
from heatcap.figures.panels import (
    CENTRE,
    CURVE,
    GREY,
    LINE,
    SPREAD,
    entitle,
    filled,
    kinds_of,
    log_axis,
    plain_axes,
    say,
    symbol,
    tell,
    write_head,
)
from heatcap.figures.panels import WIDTHS as PAPER
from heatcap.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    PURPLE,
    VERMILION,
    describe,
    label,
    new_figure,
    styled,
)

__all__ = ["peak_verdict", "verdict"]


# ---- heights against the size --------------------------------------------------------------

HEIGHT: dict[str, Any] = {
    "ls": "", "marker": "o", "ms": 3.0, "color": BLACK, "zorder": 5,
}  # fmt: skip
LIMIT: dict[str, Any] = {"color": BLACK, "lw": 1.0, "ls": ":"}
TALL = 10  # largest over smallest height above which the axis is logarithmic
LEAST_SPAN = 0.2  # of the axis of exponents: less would magnify rounding
JOINT = 5.991465  # chi^2 of two degrees of freedom at 95 %
ABOVE_BELOW = 0.15  # margin above and below, as a share of the span of heights
APART = 0.13  # least distance of labelled sizes, as a share of the axis


def verdict(
    result: Verdict,
    *,
    name: str = "height",
    head: bool = False,
    panel: str = "all",
    width: str = "double",
    axes: Axes | None = None,
) -> Figure:
    """Draw heights and best fits, local exponents, and the plane of exponent and cut-off.

    Best fits of classes that are not excluded are solid, the others dotted; all are dotted where
    the status names no class.  They are continued beyond the data, where the panel is grey.  The
    plane of exponent and crossover length is filled where a power or logarithm, cut off or not, is
    not excluded at 95 % (without corrections to scaling); above the broken axis there is no
    cut-off.  Words stand in its place where cut-off powers do not describe the heights.  Verdict,
    exponent, margins and warnings are in the caption.

    Parameters
    ----------
    result : Verdict
        Made by :func:`heatcap.divergence_test`.
    name : str
        What the height is called.
    head : bool
        Whether the verdict stands above the panels in words instead.
    panel : {"all", "heights", "exponents", "cut-offs"}, optional
    width : {"double", "single"}, optional
        Two columns of a journal, 7 inches, or one, 3.4 inches.
    axes : Axes, optional
        Where one panel is drawn, "heights" unless `panel` is given.

    Returns
    -------
    Figure
        A new one, or that of `axes`.

    Raises
    ------
    ValueError
        If `panel` or `width` are none of these.
    """
    standing = _standing_of(result)
    least = (r"\kappa", result.margins.kappa_min)
    panels: Panels = {
        "heights": lambda ax: _heights(ax, result, name, standing),
        "exponents": lambda ax: _local(ax, result),
        "cut-offs": lambda ax: _region(ax, result),
    }
    shows = {
        "heights": "heights and the best fit of each class; grey: beyond the data",
        "exponents": "local exponents of the sizes from each one on",
        "cut-offs": "exponents and crossover lengths that are not excluded together at 95 %",
    }
    marks = [HEIGHT | {"label": "height, one standard deviation"}]
    if result.crossover_length_lower_limit95 > 0:
        marks.append(LIMIT | {"label": "lower limit of the crossover length"})
    page = _Page(result, name, shows, marks, least, standing)
    return _drawn(page, panels, panel, width, axes, head=head)


def _heights(ax: Axes, result: Verdict, name: str, standing: Mapping[str, str]) -> None:
    """Heights with errors and the best fit of each class, against ln size."""
    data = result.data
    ax.set_xscale("log")
    for kind, curve in result.curves.items():
        line = _class_line(result, kind, standing)
        (fit,) = ax.plot(curve["sizes"], curve["heights"], **line, gid=f"fit {kind}")
        tell(fit, f"best fit, {kind}")
    points = ax.errorbar(data.sizes, data.heights, data.errors, **HEIGHT)[0]
    points.set_gid("height")
    rows = zip(data.sizes, data.heights, data.errors, strict=True)
    tell(points, [f"{result.size_name} = {L:g}: {h:.4g} ± {error:.2g}" for L, h, error in rows])
    entitle(ax, "heights", result.size_name, "height")
    ax.set_xlabel(f"{symbol(result.size_name)} (logarithmic)")
    ax.set_ylabel(label(name))
    far = result.curves["flat"]["sizes"][-1]
    ax.axvspan(data.sizes[-1], far, color=GREY, alpha=0.12, lw=0, gid="beyond the data")
    low, high = float((data.heights - data.errors).min()), float((data.heights + data.errors).max())
    if low > 0 and high > TALL * low:
        ax.set_yscale("log")
        ax.set_ylim(low / 1.5, high * result.margins.saturation_ratio)
    else:
        room = ABOVE_BELOW * (high - low)
        ax.set_ylim(low - room, high + max(room, 0.35 * (high - low)))
        plain_axes(ax)
    ax.xaxis.set_major_locator(FixedLocator(_spread(data.sizes, far)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
    ax.set_xlim(data.sizes[0] / (far / data.sizes[0]) ** 0.04, far)


def _spread(sizes: Floats, far: float) -> list[float]:
    """Sizes whose labels do not touch on an axis up to `far`, with the smallest and largest."""
    step = min(APART * np.log(far / sizes[0]), np.log(sizes[-1] / sizes[0]) / 2)
    labelled = [float(sizes[0])]
    for size in sizes[1:-1].tolist():
        if np.log(size / labelled[-1]) >= step and np.log(sizes[-1] / size) >= step:
            labelled.append(size)
    return [*labelled, float(sizes[-1])]


def _local(ax: Axes, result: Verdict) -> None:
    """Local exponents against 1 / ln of the geometric mean size."""
    rows = result.local_exponents
    if not rows:
        say(ax, "no local exponents:\nheights are not positive")
        return
    x, y, error = (
        np.array([row[key] for row in rows]) for key in ("inverse_log_size", "exponent", "error")
    )
    ax.axhline(0, **ZERO)
    points = ax.errorbar(x, y, error, **HEIGHT)[0]
    points.set_gid("local exponent")
    template = "from {} = {:g} on: {:.3g} ± {:.2g}"
    firsts = [row["smallest_size"] for row in rows]
    points_told = zip(firsts, y, error, strict=True)
    tell(points, [template.format(result.size_name, *numbers) for numbers in points_told])
    entitle(ax, "local exponents", f"1 / ln {result.size_name}", "exponent")
    ax.set_xlim(0, 1.12 * x.max())
    ax.set_ylim(*_exponents_shown(y, error))
    ax.set_xlabel(f"1 / ln {symbol(result.size_name)}, sizes from each one on")
    ax.set_ylabel(r"local exponent $\kappa_{\mathrm{eff}}$")
    plain_axes(ax)


def _exponents_shown(exponents: Floats, errors: Floats) -> tuple[float, float]:
    """Limits that show zero, all exponents, and as much of long bars as leaves them legible."""
    span = max(float(np.ptp([*exponents, 0.0])), LEAST_SPAN)
    low = max(min(0.0, float((exponents - errors).min())), min(0.0, exponents.min()) - span)
    high = min(max(0.0, float((exponents + errors).max())), max(0.0, exponents.max()) + span)
    room = max(0.08 * (high - low), (LEAST_SPAN - (high - low)) / 2)
    return low - room, high + room


def _region(ax: Axes, result: Verdict) -> None:
    """Exponents and crossover lengths that are not excluded together."""
    crossover, data = result.crossover, result.data
    if result.status != "ok":
        say(ax, "no class is named")
        return
    if np.ptp(crossover.chi2) < 1e-6:
        say(ax, result.NO_POWER)
        return
    if not result.cut_offs_fit:
        say(ax, "cut-off powers do not\ndescribe the heights")
        return
    rise = crossover.chi2 - crossover.lowest
    lengths = crossover.lengths.copy()
    step = lengths[-2] / lengths[-3]
    lengths[-1] = lengths[-2] * step**2  # no crossover: above the others
    kappa, low, high = result.margins.kappa_min, data.sizes[0], data.sizes[-1]
    ax.set_yscale("log")
    edges = np.sqrt(lengths[1:] * lengths[:-1])
    edges = np.concatenate([[lengths[0] / step**0.5], edges, [lengths[-1] * step]])
    half = (crossover.exponents[1] - crossover.exponents[0]) / 2
    sides = np.append(crossover.exponents - half, crossover.exponents[-1] + half)
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
    ax.set_xlabel(r"exponent $\kappa$ (0: logarithm)")
    ax.set_ylabel(f"crossover length ({symbol(result.size_name)})")


# ---- a peak along the control --------------------------------------------------------------

VALUE: dict[str, Any] = {
    "ls": "", "marker": "o", "ms": 2.4, "color": BLACK, "elinewidth": 0.5, "zorder": 5,
}  # fmt: skip
SIDE: dict[str, dict[str, Any]] = {
    "right": VALUE,
    "left": VALUE | {"marker": "s", "mfc": "white", "mew": 0.6},
}
DEEP = 3.0  # errors above the background that a tail must reach
NARROW = 24  # letters per line of words in place of a panel
MANY = 40  # points above which marks are smaller
FAR = 2.0  # widths of the profile within which the least exponent widens the panel


def peak_verdict(
    result: PeakVerdict,
    *,
    name: str = "value",
    panel: str = "all",
    width: str = "double",
    axes: Axes | None = None,
) -> Figure:
    """Draw values and best fits, tails on both sides of x_c, and the profile of chi^2.

    Best fits of classes that are not excluded are solid, the others dotted; all are dotted where
    the status names no class.  Tails are the values minus the background of the best power law,
    against the distance from its x_c: a power law is a straight line there down to its cut-off.
    The profile is over the exponent alpha.  Words are in the caption.

    Parameters
    ----------
    result : PeakVerdict
        Made by :func:`heatcap.peak_test`.
    name : str
        What the value is called.
    panel : {"all", "values", "tails", "profile"}, optional
    width : {"double", "single"}, optional
        Two columns of a journal, 7 inches, or one, 3.4 inches.
    axes : Axes, optional
        Where one panel is drawn, "values" unless `panel` is given.

    Returns
    -------
    Figure
        A new one, or that of `axes`.

    Raises
    ------
    ValueError
        If `panel` or `width` are none of these.
    """
    standing = _standing_of(result)
    least = (r"\alpha", result.margins.alpha_min)

    def profile(ax: Axes) -> None:
        if result.exponent_determined:
            _profile(ax, result.exponent, least, "alpha_min")
        else:
            say(ax, "no exponent:\n" + fill(result.why_no_exponent, NARROW))

    panels: Panels = {
        "values": lambda ax: _values(ax, result, name, standing),
        "tails": lambda ax: _tails(ax, result, standing),
        "profile": profile,
    }
    shows = {
        "values": "values and the best fit of each class",
        "tails": "tails above the background, on both sides of x_c",
        "profile": "profile of chi^2 over the exponent; grey: its 95 % interval",
    }
    sides = {"right": "value, right of $x_c$", "left": "left of $x_c$"}
    marks = [
        {name: value for name, value in SIDE[side].items() if name != "elinewidth"}
        | {"label": label}
        for side, label in sides.items()
    ]
    page = _Page(result, name, shows, marks, least, standing)
    return _drawn(page, panels, panel, width, axes, head=False)


def _values(ax: Axes, result: PeakVerdict, name: str, standing: Mapping[str, str]) -> None:
    """Values with errors and the best fit of each class, against the control."""
    data = result.data
    if data.logarithmic:
        ax.set_xscale("log")
    for kind, curve in result.curves.items():
        line = _class_line(result, kind, standing)
        ax.plot(curve["control"], curve["values"], **line, gid=f"fit {kind}")
    size = {"ms": 1.8} if len(data.control) > MANY else {}
    ax.errorbar(data.control, data.values, data.errors, **VALUE | size)[0].set_gid("value")
    ax.set_xlabel(symbol(result.control_name) + (" (logarithmic)" if data.logarithmic else ""))
    ax.set_ylabel(label(name))
    low, high = (data.values - data.errors).min(), (data.values + data.errors).max()
    # A cut-off power law between two points may be far above both.
    ax.set_ylim(low - 0.06 * (high - low), high + 0.15 * (high - low))
    if data.logarithmic:
        log_axis(ax.xaxis)
    else:
        plain_axes(ax)


def _tails(ax: Axes, result: PeakVerdict, standing: Mapping[str, str]) -> None:
    """Values above the background of the power law, against the distance from x_c."""
    data, law = result.data, result.curves["power-law"]
    if result.status != "ok":
        say(ax, f"no tails: {result.status}")
        return
    if "power-law" not in result.plausible:
        # Its background would give the tails of another peak.
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
        at, line = curve["control"], _class_line(result, kind, standing)
        tail = curve["values"] - np.interp(at, law["control"], law["background"])
        for here in (at >= place, at < place):
            rows = here & (tail > 0) & (_distance(result, at) > 0)
            ax.plot(_distance(result, at)[rows], tail[rows], **line)
    low, high = (rest - data.errors)[seen], (rest + data.errors)[seen]
    ax.set_ylim(low.min() / 1.3, high.max() * 1.3)
    near = distance[seen & (distance > 0)]
    ax.set_xlim(near.min() / 1.5, near.max() * 1.2)
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis)
    named = symbol(result.control_name)
    ax.set_xlabel(rf"$|\ln$ {named} $- \ln x_c|$" if data.logarithmic else f"|{named} $-$ $x_c$|")
    ax.set_ylabel("above the background")


def _distance(result: PeakVerdict, control: Floats) -> Floats:
    """Distance from x_c of the best power law, |x - x_c| or |ln x - ln x_c|."""
    place = result.curves["power-law"]["x_c"]
    if result.data.logarithmic:
        return np.asarray(np.abs(np.log(control / place)))
    return np.asarray(np.abs(control - place))


def _profile(ax: Axes, exponent: Exponent, least: tuple[str, float], gid: str) -> None:
    """Profile of chi^2 over the exponent, its interval, and the least exponent of a power law."""
    letter, value = least
    rise = exponent.chi2 - exponent.chi2.min()
    low, high = float(exponent.grid[0]), float(exponent.grid[-1])
    near = low - FAR * (high - low) <= value <= high + FAR * (high - low)
    ends = [low, high, value] if near else [low, high]
    room = 0.06 * (max(ends) - min(ends))
    ax.set_xlim(min(ends) - room, max(ends) + room)
    # Without a limit of the exponent the interval reaches beyond the panel.
    inside = np.clip(exponent.ci95, *ax.get_xlim())
    ax.axvspan(inside[0], inside[1], **SPREAD, gid="interval")
    ax.axhline(TWO_SIDED, **ZERO)
    ax.plot(exponent.grid, rise, **CURVE, gid="profile")
    ax.set_ylim(0, 2 * TWO_SIDED)
    if near:
        ax.axvline(value, **CENTRE, gid=gid)
    else:
        left = value < low
        ax.text(
            0.03 if left else 0.97,
            0.95,
            rf"$\leftarrow{letter}_{{\min}}$" if left else rf"${letter}_{{\min}}\rightarrow$",
            ha="left" if left else "right",
            va="top",
            transform=ax.transAxes,
            gid=gid,
        )
    ax.set_xlabel(f"${letter}$ (0: logarithm)")
    ax.set_ylabel(r"$\chi^2$ above its minimum")
    plain_axes(ax)


# ---- what both share: the head, three panels, the keys -------------------------------------

COLOUR = dict(zip(CLASSES, (PURPLE, BLUE, GREEN, VERMILION), strict=True))
# Fits that are not excluded lie on one another: each is drawn inside the one before.
WIDTHS = {1: (1.3,), 2: (2.4, 0.8), 3: (3.0, 1.8, 0.7), 4: (4.0, 2.9, 1.8, 0.7)}
DOTS, GAP = (1.4, 4.2), 1.4  # in line widths: a dot of each class fits beside those of the others
DOTTED = {kind: k for k, kind in enumerate(CLASSES)}
ZERO: dict[str, Any] = {"color": GREY, "lw": 0.6, "zorder": 0}
ROW = 2.2  # inches of the panels
Panels = Mapping[str, Callable[[Axes], None]]


@dataclass(frozen=True)
class _Page:
    """What a figure of a verdict says: by panel, in its keys, and of the classes.

    `marks` is how the data are drawn, with labels; `least` the exponent's letter in mathematics and
    its least value for a power law; `standing` words in the key for each class that is dotted.
    """

    result: Answer
    name: str
    shows: Mapping[str, str]
    marks: Sequence[Mapping[str, Any]]
    least: tuple[str, float]
    standing: Mapping[str, str]

    def caption(self, kinds: Sequence[str]) -> str:
        """What the panels show, and the summary."""
        shown = [f"{kind.capitalize()}: {self.shows[kind]}." for kind in kinds]
        head = f"Verdict on {plain(self.name)}."
        bars = "Bars: one standard deviation."
        return "\n".join([head, *shown, bars, plain(self.result.summary(), lines=True)])


def _drawn(
    page: _Page, panels: Panels, panel: str, width: str, axes: Axes | None, *, head: bool
) -> Figure:
    """Draw panels and keys of a verdict on a page, or one panel into axes.

    Raises
    ------
    ValueError
        For an unknown panel or width.
    """
    kinds = [kind for kind, _ in kinds_of(panel, tuple(panels), axes, whole=True)]
    if width not in PAPER:
        raise ValueError(f"width must be one of {', '.join(PAPER)}, got {width!r}")
    with styled():
        if axes is not None:
            panels[kinds[0]](axes)
            axes.legend(handles=[key for keys in _keys(page, [axes]) for key in keys])
            figure = axes.get_figure(root=True)
            assert figure is not None
            return figure
        double = width == "double"
        rows = 1 if double else len(kinds)
        lines = _head(page.result) if head else []
        above = [LINE * len(lines) + 0.1] if head else []
        below = 2.7 if double else 4.9 + len(page.marks)
        heights = [*above, (ROW if double else 2.0) * rows, below * LINE + 0.08]
        figure = new_figure(PAPER[width], sum(heights))
        *top, middle, bottom = figure.subfigures(
            len(heights), 1, height_ratios=heights, squeeze=False
        )[:, 0]
        if head:
            write_head(top[0], lines, above[0])
        grid: dict[str, Any] = {"wspace": 0.06}
        if double:
            grid["width_ratios"] = (1.25, 1, 1)[: len(kinds)]
        places = middle.subplots(rows, len(kinds) // rows, gridspec_kw=grid, squeeze=False).flat
        for k, (kind, ax) in enumerate(zip(kinds, places, strict=True)):
            panels[kind](ax)
            if len(kinds) > 1:
                ax.set_title(f"({chr(97 + k)})", loc="left")
        keys = zip(_keys(page, middle.axes), ("upper center", "lower center"), strict=True)
        for handles, loc in keys:
            columns = len(handles) if double else (2 if loc == "upper center" else 1)
            at: dict[str, Any] = {"loc": loc}
            if not double and columns == 1:  # below the two rows of the fits
                at = {"loc": "upper center", "bbox_to_anchor": (0.5, 1 - 2.6 / below)}
            bottom.legend(handles=handles, ncols=columns, **at).set_in_layout(False)
        if not head:
            describe(figure, page.caption(kinds))
    return figure


def _head(result: Answer) -> list[tuple[str, str]]:
    """Lines of the summary, warnings as "status"; the advice stays with the numbers."""
    lines = []
    for line in plain(result.summary(), lines=True).split("\n"):
        if not line.startswith("to decide"):
            gid = "status" if line.startswith("warning") else "said"
            lines += [(gid, part) for part in filled(line.split(), " ")]
    return lines


def _keys(page: _Page, axes: Sequence[Axes]) -> tuple[list[Artist], list[Artist]]:
    """Entries of the legend: fits of the classes; the data and the lines that are drawn."""
    drawn = {artist.get_gid() for ax in axes for artist in ax.get_children()}
    fits: list[Artist] = [
        Line2D(
            [],
            [],
            **_class_line(page.result, kind, page.standing),
            label=kind + page.standing.get(kind, ""),
        )
        for kind in page.result.curves
    ]
    others: list[Artist] = [Line2D([], [], **mark) for mark in page.marks]
    letter, value = page.least
    if "interval" in drawn:
        others.append(Patch(color=SPREAD["color"], label=f"95 % interval of ${letter}$"))
    if not drawn.isdisjoint({"kappa_min", "alpha_min"}):
        others.append(Line2D([], [], **CENTRE, label=rf"${letter}_{{\min}}$ = {value:g}"))
    return fits, others


def _standing_of(result: Answer) -> dict[str, str]:
    """Words in the key for the classes whose fits are dotted: all, where no class is named."""
    if result.status != "ok":
        return dict.fromkeys(result.curves, "")
    by = result.excluded_by_bound
    return {
        kind: " (excluded by bound)" if kind in by else " (excluded)"
        for kind in result.curves
        if kind not in result.plausible
    }


def _class_line(result: Answer, kind: str, standing: Mapping[str, str]) -> dict[str, Any]:
    """Style of a fit: solid, one inside another, if it is not excluded, else dotted."""
    if kind in standing:
        # Fits of power law and logarithm may coincide: each shows in the gaps of the other.
        return {"color": COLOUR[kind], "lw": 1.1, "ls": (GAP * DOTTED[kind], DOTS), "zorder": 3}
    rank = result.plausible.index(kind)
    width = WIDTHS[len(result.plausible)][rank]
    return {"color": COLOUR[kind], "lw": width, "ls": "-", "zorder": 2 + 0.1 * rank}
