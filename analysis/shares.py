"""A bar for every truth: how often each verdict was found, how often the true class was kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

import heatcap as hc
from heatcap import figures

__all__ = ["shares"]

# Okabe and Ito's colours; undecided is empty, so that what was claimed stands out.
COLOUR = {
    "flat": "#7F7F7F", "bounded": "#0072B2", "logarithmic": "#E69F00", "divergent": "#CC79A7",
    "power-law": "#D55E00", "undecided": "#FFFFFF",
}  # fmt: skip


def shares(plan: hc.Calibration) -> Figure:
    """Shares of the verdicts for every truth, with the coverage beside them."""
    with figures.styled():
        return _bars(plan.rows)


def _bars(rows: list[dict[str, Any]]) -> Figure:
    figure = figures.new_figure(7.0, 0.75 + 0.24 * len(rows))
    ax = figure.subplots()
    place = np.arange(len(rows))[::-1]
    left = np.zeros(len(rows))
    for verdict, colour in COLOUR.items():
        share = np.array([row["verdicts"].get(verdict, 0.0) for row in rows])
        ax.barh(place, share, left=left, height=0.7, color=colour, ec="black", lw=0.5)
        left += share
    for y, row in zip(place, rows, strict=True):
        ax.text(1.015, y, f"{row['coverage']:.2f}", va="center", fontsize=8)
    ax.text(1.015, len(rows) - 0.35, "coverage", va="center", fontsize=8)
    ax.set_yticks(place, [f"{row['truth']} ({row['class']})" for row in rows])
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of experiments with this verdict")
    keys = [Patch(fc=colour, ec="black", lw=0.5, label=name) for name, colour in COLOUR.items()]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    return figure
