"""Pictures of results, at the size of the printed page; no statistics are made here.

Every verb takes results and returns a :class:`matplotlib.figure.Figure`; :func:`save` writes it as
PDF and as PNG.  Nothing touches pyplot or leaves a trace in the settings of matplotlib.

Colours are those of Okabe and Ito, which every kind of colour vision distinguishes; lines that
share a panel differ in style as well.  For a figure of your own, call :func:`new_figure` within
:func:`styled`.
"""

from typing import TYPE_CHECKING

from heatcap.core.lazy import lazy

if TYPE_CHECKING:
    from heatcap.figures.along_training import evolution
    from heatcap.figures.collapsed import collapse
    from heatcap.figures.counted import thresholds
    from heatcap.figures.curves_of_sizes import crossings, extrema, histograms
    from heatcap.figures.jump import stiffness
    from heatcap.figures.lead_rows import leads
    from heatcap.figures.straight_lines import crossover, power_law
    from heatcap.figures.style import caption, new_figure, save, styled
    from heatcap.figures.temperature import scan
    from heatcap.figures.verdicts import peak_verdict, verdict
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "caption",
    "collapse",
    "crossings",
    "crossover",
    "evolution",
    "extrema",
    "histograms",
    "leads",
    "new_figure",
    "peak_verdict",
    "power_law",
    "save",
    "scan",
    "stiffness",
    "styled",
    "thresholds",
    "verdict",
]
