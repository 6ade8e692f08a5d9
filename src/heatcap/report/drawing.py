"""A figure of the page: planned, drawn, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from heatcap.figures import styled
from heatcap.report.readout import Naming, readout
from heatcap.report.svg import Inline, inline_svg

__all__ = ["Drawn", "Picture", "Plan", "drawn"]

Drawn = tuple[Figure, Callable[[Axes], Naming | None]]


@dataclass(frozen=True)
class Plan:
    """A figure before it is drawn.

    `draw` gives the figure and what its panels show; a ValueError from it is the reason why there
    is none.  `paper`: it keeps a white background, for a scale of colours that is read off it.
    """

    key: str
    title: str
    caption: str
    draw: Callable[[], Drawn]
    folded: bool = False
    paper: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure as it stands on the page; without an `image`, `missing` says why."""

    key: str
    title: str
    caption: str
    folded: bool = False
    paper: bool = False
    image: Inline | None = None
    panels: list[dict[str, Any]] = field(default_factory=list)
    missing: str = ""


def drawn(plan: Plan) -> Picture:
    """The figure of a plan."""
    kept: dict[str, Any] = {
        "key": plan.key,
        "title": plan.title,
        "folded": plan.folded,
        "paper": plan.paper,
    }
    try:
        figure, naming = plan.draw()
    except ValueError as problem:
        return Picture(**kept, caption="", missing=str(problem))
    try:
        image, panels = _rendered(plan, figure, naming)
    except Exception as problem:  # anything that a text from a file may do to a renderer
        why = str(problem).strip().rpartition("\n")[2] or type(problem).__name__
        return Picture(**kept, caption="", missing=f"it could not be drawn ({why})")
    return Picture(**kept, caption=plan.caption, image=image, panels=panels)


def _rendered(
    plan: Plan, figure: Figure, naming: Callable[[Axes], Naming | None]
) -> tuple[Inline, list[dict[str, Any]]]:
    # At the resolution of the SVG, so that the panels lie where the page looks for them.
    figure.set_dpi(72)
    with styled(), mpl.rc_context({"svg.fonttype": "path"}):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        panels = readout(figure, naming)
    return inline_svg(figure, plan.key), panels
