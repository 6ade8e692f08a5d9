"""Parts that several figures share: marks, axes, pages, the choice of runs, words of a pointer.

Each size has one colour and one marker in all panels of a figure.  Figures of scaling are pages of
panels (:func:`paper`) with a caption (:func:`caption_of`).  :func:`entitle` and :func:`tell` attach
to a panel and a line the words that a page shows under the pointer.  Lengths are in inches, sizes
of letters and marks in points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextToPath
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter
from numpy.typing import NDArray

from heatcap.core.text import plain
from heatcap.events import Column, Events
from heatcap.figures.style import COLUMN, PAGE, VERMILION, letter, new_figure
from heatcap.observables.dataset import size_coordinate, size_name_of, sizes_of

__all__ = [
    "CENTRE",
    "CURVE",
    "GREY",
    "LINE",
    "MARKERS",
    "PLAIN",
    "POINT",
    "SMALL",
    "SPREAD",
    "WIDTHS",
    "Look",
    "by_size",
    "by_words",
    "caption_of",
    "critical",
    "entitle",
    "filled",
    "keys_of_sizes",
    "kinds_of",
    "log_axis",
    "look_of_sizes",
    "panel_of",
    "paper",
    "plain_axes",
    "rows_of",
    "say",
    "symbol",
    "tell",
    "titled",
    "usable",
    "words_of",
    "write_head",
]


# ---- marks, and colours of the sizes -------------------------------------------------------

GREY = "#595959"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "p", ">")
POINT: dict[str, Any] = {"ls": "", "ms": 2.9, "mew": 0.6, "elinewidth": 0.5, "zorder": 2}
PLAIN: dict[str, Any] = {"ls": "", "ms": 3.6, "mew": 0.8, "color": GREY}  # of a legend
CENTRE: dict[str, Any] = {"color": "black", "lw": 0.9, "ls": (0, (4, 2)), "zorder": 3}
SPREAD: dict[str, Any] = {"color": "#BDBDBD", "lw": 0, "zorder": 0}
CURVE: dict[str, Any] = {"color": "black", "lw": 0.8, "zorder": 3}

Look = dict[float, dict[str, Any]]


def look_of_sizes(sizes: Sequence[float]) -> Look:
    """Choose colour and marker by size: dark to bright, without the yellow that paper swallows."""
    shades = colormaps["viridis"](np.linspace(0.0, 0.86, max(len(sizes), 2)))
    return {
        float(size): {"color": to_hex(shades[k]), "marker": MARKERS[k % len(MARKERS)]}
        for k, size in enumerate(sizes)
    }


def keys_of_sizes(name: str, sizes: Iterable[float], look: Look) -> list[Artist]:
    """Make the entries of a legend: the name of the size, then the mark of every size."""
    word = name if "$" in name else symbol(name)
    keys: list[Artist] = [Line2D([], [], ls="", marker="", label=word)]
    return keys + [Line2D([], [], **(PLAIN | look[float(s)]), label=f"{s:g}") for s in sizes]


# ---- axes ----------------------------------------------------------------------------------


def plain_axes(ax: Axes) -> None:
    """Set few ticks, and numbers in full: no offset at the end of the axis."""
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(ScalarFormatter(useOffset=False))


FEW, SHORT = 2.0, 0.8  # decades below which 1, 2, 5 and even steps are numbered


def log_axis(axis: Axis) -> None:
    """Number a logarithmic axis whose limits are set, at three places or more.

    Decades are numbered on a long axis, 1, 2 and 5 on one of less than two, even steps below 0.8.
    """
    low, high = axis.get_view_interval()
    decades = math.log10(high / low)
    if decades < SHORT:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], min_n_ticks=4))
        axis.set_minor_locator(NullLocator())
    elif decades < FEW:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda value, _: _number(value))
    axis.set_minor_formatter(NullFormatter())


def _number(value: float) -> str:
    """A number of an axis: in full, or with a power of ten."""
    mantissa, _, power = f"{value:.3e}".partition("e")
    if -4 <= int(power) < 5:
        return f"{value:g}"
    factor = "" if float(mantissa) == 1 else f"{float(mantissa):g}\\times"
    return f"${factor}10^{{{int(power)}}}$"


def symbol(name: str) -> str:
    """Write a letter in italics, words without underscores."""
    return letter(name.replace("_", " "))


def say(ax: Axes, words: str) -> None:
    """Write words in place of a panel."""
    ax.set_axis_off()
    ax.text(
        0.5, 0.5, words, ha="center", va="center", color=VERMILION, transform=ax.transAxes,
        gid="no data", wrap=True,
    )  # fmt: skip


# ---- pages for print -----------------------------------------------------------------------

WIDTHS = {"single": COLUMN, "double": PAGE}
WORDS = ("control", "value", "size")  # what a user may call by another name
EDGE = 0.25  # inches of a page beside its legend
LETTERS = 26  # panels that have a letter
SCANS = "windows"  # panels that are small, and have a legend of their own
Kinds = Sequence[tuple[str, int]]


def by_words(labels: Mapping[str, str] | None, names: tuple[str, str]) -> dict[str, str]:
    """Words of the axes: those of the user, which may hold $mathematics$, or the names.

    Raises
    ------
    ValueError
        For a label of something else.
    """
    labels = labels or {}
    if unknown := [word for word in labels if word not in WORDS]:
        raise ValueError(f"labels are of {', '.join(WORDS)}, got {', '.join(unknown)}")
    named = {"size": symbol(names[0]), "control": symbol(names[1])}
    return named | {word: letter(text) if len(text) == 1 else text for word, text in labels.items()}


def caption_of(
    title: str, panels: Sequence[str], numbers: Sequence[str], status: str, message: str
) -> str:
    """Write a caption: what the panels show, the numbers, the status and its reasons."""
    lines = [title, *panels, "Bars: one standard deviation."]
    if numbers:
        text = ", ".join(numbers).replace("= -", "= \u2212").replace("chi2", "χ²")
        lines.append(f"{text}.")
    lines.append(f"Status: {status}" + f" ({plain(message)})" * bool(message) + ".")
    return "\n".join(lines)


def critical(control: str) -> str:
    """Write the critical control: T_c where the control is a letter T, else x_c."""
    bare = control.strip("$")
    return f"${bare}_c$" if len(bare) == 1 and bare.isalpha() else "$x_c$"


def kinds_of(
    panel: str, known: Sequence[str], axes: Axes | None, *, whole: bool
) -> list[tuple[str, int]]:
    """Panels that are asked for, one of each kind; the first alone where there is no more."""
    if panel not in ("all", *known):
        raise ValueError(f"panel must be one of {', '.join(known)}, all, got {panel!r}")
    shown = known if panel == "all" else (panel,)
    alone = axes is not None or (panel == "all" and not whole)
    return [(kind, 1) for kind in (shown[:1] if alone else shown)]


def paper(
    kinds: Kinds,
    sizes: Sequence[float],
    size_name: str,
    look: Look,
    width: str,
    axes: Axes | Sequence[Axes] | None,
) -> tuple[Figure, list[list[Axes]]]:
    """A page with panels of several kinds and a legend of the sizes, or the axes that are given.

    Without sizes there is no legend.

    Panels of one kind stand below each other (a row holds one of each), those of "windows", or
    those of a single kind, beside each other.  Several panels get letters.

    Raises
    ------
    ValueError
        For an unknown width, or axes that are not one for each panel.
    """
    if width not in WIDTHS:
        raise ValueError(f"width must be one of {', '.join(WIDTHS)}, got {width!r}")
    shown = sizes[:: math.ceil(len(sizes) / SHOWN) or 1]
    keys = keys_of_sizes(size_name, shown, look) if len(shown) else []
    if axes is not None:
        return _given(kinds, keys, [axes] if isinstance(axes, Axes) else list(axes))
    wide, double = WIDTHS[width], width == "double"
    most = max(count for _, count in kinds)
    places = [(kind, k) for k in range(most) for kind, count in kinds if k < count]
    main = [place for place in places if place[0] != SCANS]
    scans = [place for place in places if place[0] == SCANS]
    abreast = min(len({kind for kind, _ in main}), 3)
    across = max(1, (abreast if abreast > 1 else min(len(main), 3)) if double else 1)
    beside = max(1, min(len(scans), 4 if double else 2))
    # A column of several panels is no longer than a page.
    shape = 0.62 if not double and len(main) > 1 else 0.72
    tall = max(1.6, wide / (across + 0.2) * (shape if across > 1 or not double else 0.5))
    keys, columns = _rows_of_keys(keys, wide - EDGE)
    lines = math.ceil(len(keys) / columns) if keys else 0
    parts = [
        (main, across, math.ceil(len(main) / across) * tall + 0.18 * lines),
        (scans, beside, math.ceil(len(scans) / beside) * 1.6 + 0.2),
    ]
    parts = [part for part in parts if part[0]]
    heights = [height for _, _, height in parts]
    figure = new_figure(wide, sum(heights))
    pages = figure.subfigures(len(parts), 1, height_ratios=heights, squeeze=False)[:, 0]
    out: dict[str, list[Axes]] = {kind: [] for kind, _ in kinds}
    for page, (members, side, _) in zip(pages, parts, strict=True):
        grid = page.add_gridspec(math.ceil(len(members) / side), side, wspace=0.04)
        for place, (kind, _) in enumerate(members):
            out[kind].append(page.add_subplot(grid[place // side, place % side]))
        if members is main and keys:
            page.legend(handles=keys, loc="outside upper center", ncols=columns)
    for k, ax in enumerate(figure.get_axes() if len(places) > 1 else ()):
        ax.set_title(f"({chr(97 + k)})" if k < LETTERS else f"({k + 1})", loc="left")
    return figure, [out[kind] for kind, _ in kinds]


def _given(
    kinds: Kinds, keys: Sequence[Artist], axes: list[Axes]
) -> tuple[Figure, list[list[Axes]]]:
    """Axes of someone else's figure, with the legend of the sizes in the first."""
    ((kind, count),) = kinds
    if len(axes) != count:
        raise ValueError(f"expected {count} axes for {kind}, got {len(axes)}")
    if kind != SCANS and keys:
        axes[0].legend(handles=keys)
    figure = axes[0].get_figure(root=True)
    assert figure is not None
    return figure, [axes]


SHOWN = 24  # sizes in a legend, at most


def _rows_of_keys(keys: Sequence[Artist], wide: float) -> tuple[list[Artist], int]:
    """Order a legend so that it reads row by row on so many inches, and its columns."""
    measure, font = TextToPath(), FontProperties(size=SMALL)
    words = [str(key.get_label()) for key in keys]
    widths = [measure.get_text_width_height_descent(w, font, "$" in w)[0] for w in words]
    beside = 3.5 * SMALL  # handle, pad and the gap between columns
    if sum(widths) + beside * len(keys) <= 72 * wide:
        return list(keys), len(keys)
    columns = max(1, min(len(keys), int(72 * wide / (max(widths) + beside))))
    # Matplotlib fills column by column, the first ones with one more.
    deep, longer = divmod(len(keys), columns)
    heights = [deep + (j < longer) for j in range(columns)]
    return [keys[i * columns + j] for j in range(columns) for i in range(heights[j])], columns


# ---- the head of a figure ------------------------------------------------------------------

SMALL, LINE = 7.0, 0.132  # points; inches from line to line
MARGIN = 0.5  # inches; letters that are fitted to pixels are up to 5 % wider than measured


def write_head(part: SubFigure, lines: Sequence[tuple[str, str]], height: float) -> None:
    """Write lines from the top down, warnings ("status") in their colour."""
    for k, (gid, line) in enumerate(lines):
        style: dict[str, Any] = {"color": VERMILION} if gid == "status" else {}
        y = 1 - (0.05 + LINE * k) / height
        part.text(
            0.012, y, line, va="top", in_layout=False, fontsize=SMALL, gid=gid, parse_math=False,
            **style,
        )  # fmt: skip


def filled(items: Sequence[str], gap: str) -> list[str]:
    """Fill lines no wider than the page, in the style that is set."""
    measure, font = TextToPath(), FontProperties(size=SMALL)
    lines: list[str] = []
    for item in items:
        longer = f"{lines[-1]}{gap}{item}" if lines else item
        wide = measure.get_text_width_height_descent(longer, font, False)[0]
        if lines and wide <= 72 * (PAGE - MARGIN):
            lines[-1] = longer
        else:
            lines.append(item)
    return lines


# ---- which runs a figure shows -------------------------------------------------------------


def by_size(
    obs: xr.Dataset, events: Events, sizes: Sequence[float] | None, group: str
) -> dict[Any, list[int]]:
    """Sort the runs of one group by size: their indices at every size, in order.

    The group is a control, or "none" for the treatment runs.

    Raises
    ------
    ValueError
        If the observables have no size, the events lack a run, or no run has the group or a size.
    """
    if size_coordinate(obs) is None:
        raise ValueError("observables lack a size: neither 'size' nor 'p' is a coordinate of run")
    values, of_run = sizes_of(obs).to_numpy(), events.group_of
    if missing := [str(run) for run in obs["run"].to_numpy() if run not in of_run]:
        raise ValueError(f"events lack runs that the observables have: {', '.join(missing)}")
    chosen = np.array([of_run[run] == group for run in obs["run"].to_numpy()])
    if not chosen.any():
        groups = ", ".join(sorted({of_run[run] for run in obs["run"].to_numpy()}))
        raise ValueError(f"no run belongs to group {group!r}; there are {groups}")
    have = sorted(set(values[chosen].tolist()))
    wanted = have if sizes is None else list(sizes)
    if unknown := [s for s in wanted if s not in have]:
        listed = ", ".join(f"{size:g}" for size in have)
        raise ValueError(f"sizes must be among [{listed}], got {unknown}")
    return {s: np.flatnonzero(chosen & (values == s)).tolist() for s in wanted}


def titled(obs: xr.Dataset, size: float, runs: Sequence[int], *, plain: bool = False) -> str:
    """Write name and value of the size of some runs (indices), in italics unless plain."""
    name = size_name_of(obs.coords.to_dataset().isel(run=list(runs)))
    return f"{name if plain else letter(name)} = {size:g}"


def rows_of(events: Events, run: Any) -> pd.Series:
    """Return the row of one run in the table of runs."""
    row: pd.Series = events.runs[events.runs[Column.RUN] == run].iloc[0]
    return row


def usable(step: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Select the points that a logarithmic axis of steps can show."""
    ok = np.isfinite(step) & (step > 0) & np.isfinite(values)
    return step[ok], values[ok]


# ---- what panels and lines stand for -------------------------------------------------------


@dataclass(frozen=True)
class Panel:
    """Title of a panel and names of its axes, without mathematics."""

    title: str
    x: str = "x"
    y: str = "y"


# Weak keys: the words live as long as the panel or line that they describe.
_PANELS: WeakKeyDictionary[Axes, Panel] = WeakKeyDictionary()
_WORDS: WeakKeyDictionary[Line2D, str | tuple[str, ...]] = WeakKeyDictionary()


def entitle(ax: Axes, title: str, x: str = "x", y: str = "y") -> None:
    """Give a panel its title and the names of its axes, for a pointer."""
    _PANELS[ax] = Panel(title, x, y)


def tell(line: Line2D, words: str | Sequence[str]) -> None:
    """Give a line its words, or one text for each of its points."""
    _WORDS[line] = words if isinstance(words, str) else tuple(words)


def panel_of(ax: Axes) -> Panel | None:
    """Return the title and names of a panel; None where it has none."""
    return _PANELS.get(ax)


def words_of(line: Line2D) -> str | tuple[str, ...] | None:
    """Return the words of a line, or of each of its points; None where it has none."""
    return _WORDS.get(line)
