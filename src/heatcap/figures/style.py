"""Widths and colours that all figures share."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import resources

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from heatcap.core.quantities import FLUCTUATIONS

__all__ = [
    "COLUMN",
    "ENSEMBLE",
    "EVENT",
    "PAGE",
    "new_figure",
    "styled",
]

COLUMN, PAGE = 3.4, 7.0  # inches: one and two columns of a journal

# Okabe and Ito's palette.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

ENSEMBLE = dict(
    zip(FLUCTUATIONS, (VERMILION, GREEN, GREEN, SKY, BLUE, ORANGE, PURPLE), strict=True)
)

EVENT = {"memorisation": "#7F7F7F", "onset": BLACK, "spike": PURPLE}


def styled() -> AbstractContextManager[None]:
    """The project's style, for as long as the context lasts."""
    style = resources.files("heatcap.figures") / "heatcap.mplstyle"
    with resources.as_file(style) as path:
        return mpl.rc_context(fname=path)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure with a canvas of its own, outside pyplot."""
    pads = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.03)
    figure = Figure(figsize=(width, height), layout=pads)
    FigureCanvasAgg(figure)
    return figure
