"""Style of all figures: widths, colours, names on axes, and writing as PDF and PNG.

Widths are in inches: one column of a journal is 3.4, two are 7.  A figure is made by
:func:`new_figure` within :func:`styled`, and written by :func:`save`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from heatcap.core.quantities import (
    HEAT_CAPACITY,
    LANDSCAPE,
    LANDSCAPE_FIXED,
    OBSERVABLES,
    OFFSET,
    POOLED,
    TOTAL,
    UNWEIGHTED,
    spoken,
)
from heatcap.core.text import literal
from heatcap.core.writing import write_bytes, write_text

__all__ = [
    "COLUMN",
    "ENSEMBLE",
    "EVENT",
    "PAGE",
    "caption",
    "describe",
    "label",
    "letter",
    "new_figure",
    "save",
    "styled",
]


# ---- the style, and writing ----------------------------------------------------------------

COLUMN, PAGE = 3.4, 7.0  # inches: one and two columns of a journal
# Okabe and Ito's palette.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

#: Of curves of fluctuations; what is not listed is blue.
ENSEMBLE = {
    HEAT_CAPACITY: VERMILION,
    LANDSCAPE: GREEN,
    LANDSCAPE_FIXED: GREEN,
    TOTAL: SKY,
    UNWEIGHTED: BLUE,
    OFFSET: ORANGE,
    POOLED: PURPLE,
}

EVENT = {"memorisation": "#7F7F7F", "onset": BLACK, "spike": PURPLE}


def styled() -> AbstractContextManager[None]:
    """Set the project's style within a context."""
    style = resources.files("heatcap.figures") / "heatcap.mplstyle"
    with resources.as_file(style) as path:
        return mpl.rc_context(fname=path)


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure with a canvas of its own, outside pyplot; width and height in inches."""
    pads = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.03)
    figure = Figure(figsize=(width, height), layout=pads)
    FigureCanvasAgg(figure)
    return figure


_CAPTIONS: WeakKeyDictionary[Figure, str] = WeakKeyDictionary()  # they live as long as figures
ENDINGS = (".pdf", ".png", ".svg")


def describe(figure: Figure, text: str) -> None:
    """Give a figure its caption, which is not drawn but written beside it."""
    _CAPTIONS[figure] = text


def caption(figure: Figure) -> str:
    """Return the caption of a figure, plain text; empty where it has none."""
    return _CAPTIONS.get(figure, "")


def save(figure: Figure, path: str | Path, *, dpi: int = 200) -> tuple[Path, Path]:
    """Write the figure as PDF or SVG, as PNG beside it, and its caption if it has one.

    Parameters
    ----------
    figure : Figure
    path : str or Path
        Ends in .pdf, .png, .svg or in none of them; a PNG is written in any case, and a PDF unless
        it is .svg.  The caption is PATH.caption.txt.
    dpi : int
        Resolution of the PNG, in dots per inch.

    Returns
    -------
    tuple of Path
        The PDF (or SVG) and the PNG.  Equal figures give equal bytes: no date is written.

    Raises
    ------
    ValueError
        If the path ends in the suffix of another format.
    """
    path = Path(path)
    if path.suffix.lower() not in ("", *ENDINGS):
        raise ValueError(f"figures are written as .pdf, .png and .svg, got {path.name!r}")
    form = "svg" if path.suffix.lower() == ".svg" else "pdf"
    page, png = path.with_suffix(f".{form}"), path.with_suffix(".png")
    for part in figure.subfigs:  # the layout puts their edges at 0 or -0, by chance
        part.patch.set_visible(False)
    paper, screen = io.BytesIO(), io.BytesIO()  # both are drawn before one is written
    with styled(), _laid_out(figure):
        figure.savefig(paper, format=form, metadata=_NO_DATE[form])
        figure.savefig(screen, format="png", dpi=dpi)
    write_bytes(page, paper.getbuffer())
    write_bytes(png, screen.getbuffer())
    if text := caption(figure):
        write_text(path.with_suffix(".caption.txt"), text + "\n")
    return page, png


_NO_DATE: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}


@contextmanager
def _laid_out(figure: Figure) -> Iterator[None]:
    """Make the layout once for both files: it costs as much as drawing."""
    engine = figure.get_layout_engine()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    try:
        yield
    finally:
        figure.set_layout_engine(engine)


# ---- names on an axis ----------------------------------------------------------------------

LETTERS = 0x500  # Latin, Greek, Cyrillic: what mathtext has


def label(name: str) -> str:
    """Name an observable as on an axis, with symbols in italics."""
    observable = OBSERVABLES.get(name)
    return (observable and observable.label) or letter(spoken(name))


def letter(name: str) -> str:
    """Set a single letter in italics; escape any other name, which may come from a file."""
    if len(name) == 1 and name.isalpha() and ord(name) < LETTERS:
        return f"${name}$"
    # A backslash at the end would escape the dollar sign of a formula behind it.
    return literal(name) + " " * name.endswith("\\")
