"""Sets with one modulus each -> what the time of a peak follows: onset or memorisation.

In a sweep of sizes onset, memorisation and size move together.  At one size a grid of fractions
and weight decays moves the onset, while memorisation hardly moves.  A third clock is the decay
itself: weights alone shrink by a factor e in 1 / (learning rate x weight decay) steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from study import OBSERVABLES, SEED, arguments, draw, write_json

import heatcap as hc
from heatcap import figures
from heatcap.events import Column

COLOUR = {0.5: "#0072B2", 1.0: "#000000", 2.0: "#D55E00"}
MIN_RUNS = 9  # for three parameters
MARKER = {0.6: "o", 0.7: "s", 0.8: "^"}
PANELS = ("heat_capacity", "landscape_heat_capacity_fixed", "unweighted_heat_capacity")


def main() -> None:
    given = arguments(__doc__ or "", "observables", many=True)
    found: dict[str, Any] = {}
    drawings = {}
    for path in given.observables:
        obs = hc.load(path)
        events = hc.find_events(obs, *OBSERVABLES)
        audit = hc.audit_leads(obs, events, rng=SEED)
        content = audit.to_dict()
        found[path.stem] = {
            "runs": content["runs"],
            "cells": cells(events.runs),
            "clocks": {
                name: lead["clock"]
                | {"order": lead["order"], "precedes": lead["precedes"]}
                | {"with_decay": with_decay(events, name)}
                for name, lead in content["observables"].items()
            },
        }
        with figures.styled():
            drawings[path.stem] = clocks(events)
    drawn = draw(drawings, given.output)
    write_json(given.output, {"sets": found, "figures": drawn}, given.observables)


def cells(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Runs, onsets and median times of every fraction and weight decay."""
    rows = []
    for (fraction, decay), part in runs.groupby(["fraction", "weight_decay"]):
        onset = part[Column.ONSET].median()
        rows.append(
            {
                "fraction": fraction,
                "weight_decay": decay,
                "runs": len(part),
                "with_onset": int(part[Column.ONSET].notna().sum()),
                "memorisation": float(part[Column.MEMORISED].median()),
                "onset": float(onset) if np.isfinite(onset) else None,
            }
        )
    return rows


def with_decay(events: hc.Events, name: str) -> dict[str, Any] | None:
    """Slopes of ln t_peak on ln t_onset and ln weight decay; -1 on the latter is the decay's clock.

    Least squares; errors allow for a scatter that differs between cells.  None without enough
    runs, or where the weight decay does not vary.
    """
    peaks = events.peak(name)
    logs = np.log(peaks[[Column.PEAK, Column.ONSET, "weight_decay"]].dropna().to_numpy())
    if len(logs) < MIN_RUNS or np.ptp(logs[:, 2]) == 0:
        return None
    fit = sm.OLS(logs[:, 0], sm.add_constant(logs[:, 1:])).fit(cov_type="HC3")
    ends = fit.conf_int()
    return {"runs": len(logs)} | {
        what: {"value": fit.params[k], "error": fit.bse[k], "ci95": ends[k].tolist()}
        for k, what in ((1, "onset"), (2, "weight_decay"))
    }


def clocks(events: hc.Events) -> Figure:
    """Step of the peak against that of the onset, by definition; on the line they coincide."""
    figure = figures.new_figure(7.0, 2.9)
    axes = figure.subplots(1, len(PANELS), sharex=True, sharey=True)
    for ax, name in zip(axes, PANELS, strict=True):
        _panel(ax, events, name)
    axes[0].set_ylabel("step of the peak")
    keys = [
        Line2D([], [], ls="", marker="o", color=c, label=f"weight decay {d:g}")
        for d, c in COLOUR.items()
    ]
    keys += [
        Line2D([], [], ls="", marker=m, color="#7F7F7F", label=f"fraction {f:g}")
        for f, m in MARKER.items()
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=6)
    return figure


def _panel(ax: Axes, events: hc.Events, name: str) -> None:
    peaks = events.peak(name)
    for decay, colour in COLOUR.items():
        for fraction, marker in MARKER.items():
            part = peaks[(peaks["weight_decay"] == decay) & (peaks["fraction"] == fraction)]
            ax.plot(
                part[Column.ONSET], part[Column.PEAK], ls="", ms=3.5, mew=0.6,
                marker=marker, color=colour, mfc="none",
            )  # fmt: skip
    ends = (50.0, 12000.0)  # around memorisation and behind the longest record
    ax.plot(ends, ends, color="#404040", lw=0.6, zorder=0)
    ax.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    ax.set_title(name.replace("_", " "), loc="left")
    ax.set_xlabel("step of the onset")


if __name__ == "__main__":
    main()
