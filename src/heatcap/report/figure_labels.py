"""What the panels and lines of each figure stand for, so that the page can name them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from heatcap.audit import Audit, lead_table
from heatcap.divergence import Verdict
from heatcap.events import AVERAGE, Column, Events
from heatcap.figures.names import spoken
from heatcap.figures.selection import by_size
from heatcap.report.readout import Naming
from heatcap.report.texts import size_label

__all__ = ["of_evolution", "of_leads", "of_scan", "of_verdict"]

Namer = Callable[[Axes], Naming | None]
DIGITS = 9  # by which a point is recognised


def _known(value: float) -> float:
    """A coordinate as it is looked up."""
    return float(f"{value:.{DIGITS}g}")


def of_evolution(
    obs: xr.Dataset, events: Events, observables: Sequence[str], group: str, figure: Figure
) -> Namer:
    """Rows are accuracy and observables, columns sizes, lines runs in the order of `obs`."""
    sizes = by_size(obs, events, None, group)
    ids = obs["run"].to_numpy()
    name = size_label(events.runs) if "size_name" in events.runs else "p"
    columns = iter(sizes.items())
    of_axes: dict[Axes, tuple[int, Any, list[Any]]] = {}
    for part in figure.subfigs:
        grid = np.array(list(part.axes), dtype=object).reshape(1 + len(observables), -1)
        for column in grid.T:
            if column[0].axison:
                size, runs = next(columns)
                for row, ax in enumerate(column):
                    of_axes[ax] = (row, size, [ids[r] for r in runs])
    marked = events.table[events.table[Column.HEAD] == AVERAGE]
    peaks = {
        (row[Column.OBSERVABLE], _known(row[Column.PEAK])): row
        for row in marked.to_dict("records")
        if np.isfinite(row[Column.PEAK])
    }

    def naming(ax: Axes) -> Naming | None:
        if ax not in of_axes:
            return None
        row, size, runs = of_axes[ax]
        shown = "accuracy" if row == 0 else observables[row - 1]

        def label(line: Line2D, number: int) -> str | list[str] | None:
            kind = line.get_gid()
            if kind == "run":
                second = number >= len(runs)
                what = ("test" if second else "train") if row == 0 else "offset part" * second
                return f"{runs[number % len(runs)]}{', ' if what else ''}{what}"
            if kind in ("peak", "lower maximum"):
                steps = np.asarray(line.get_xdata(), dtype=np.float64).tolist()
                return [_of_peak(kind, peaks.get((shown, _known(x)))) for x in steps]
            return None

        return Naming(f"{name} = {size:g}", "step", spoken(shown), label)

    return naming


def _of_peak(kind: str, row: Any) -> str:
    if row is None:
        return kind
    said = f"{kind} of {row[Column.RUN]}: step {row[Column.PEAK]:.0f}, "
    said += f"height {row[Column.HEIGHT]:.4g}"
    lead = row[Column.LEAD]
    return said + (f", lead {lead:+.0f} steps" if kind == "peak" and np.isfinite(lead) else "")


def of_leads(audit: Audit, events: Events, figure: Figure, names: Sequence[str]) -> Namer:
    """Four panels for every observable; points are recognised by their ratio."""
    of_axes: dict[Axes, tuple[str, dict[float, str], int]] = {}
    for part, name in zip(figure.subfigs, names, strict=True):
        lead = audit.leads[name]
        table = lead_table(events, lead.observable, lead.layer)
        until = table[Column.ONSET].where(
            ~table[Column.CENSORED].astype(bool), table[Column.LAST_STEP]
        )
        runs = {
            _known(ratio): str(run)
            for run, ratio in zip(table[Column.RUN], until / table[Column.PEAK], strict=True)
            if np.isfinite(ratio)
        }
        of_axes |= {ax: (name, runs, k) for k, ax in enumerate(part.axes)}
    x = (size_label(events.runs), "runs with the peak first (%)", "slope of ln peak")
    y = ("onset / peak", "null", "event")

    def naming(ax: Axes) -> Naming | None:
        name, runs, k = of_axes.get(ax, ("", {}, 3))
        if k == 3:
            return None

        def label(line: Line2D, _: int) -> list[str] | None:
            kind = line.get_gid()
            if k or kind not in ("run", "unresolved", "censored"):
                return None
            note = {"unresolved": ", too close to tell", "censored": ", no onset yet"}
            ratios = np.asarray(line.get_ydata(), dtype=np.float64).tolist()
            return [f"{runs.get(_known(v), kind)}: {v:.3g}{note.get(kind, '')}" for v in ratios]

        return Naming(spoken(name), x[k], y[k], label)

    return naming


def of_verdict(found: Verdict) -> Namer:
    """Heights, local exponents, profile."""
    data, name = found.data, found.size_name
    heights = [
        f"{name} = {size:g}: {height:.4g} ± {error:.2g}"
        for size, height, error in zip(data.sizes, data.heights, data.errors, strict=True)
    ]
    local = [
        f"from {name} = {row['smallest_size']:g} on: {row['exponent']:.3g} ± {row['error']:.2g}"
        for row in found.local_exponents
    ]

    def naming(ax: Axes) -> Naming | None:
        kinds = {line.get_gid() for line in ax.lines}
        if "height" in kinds:
            return Naming("heights", name, "height", label)
        if "local exponent" in kinds:
            return Naming("local exponents", f"1 / ln {name}", "exponent", label)
        if "profile" in kinds:
            return Naming("profile", "exponent", "chi² above its minimum")
        return None

    def label(line: Line2D, _: int) -> str | list[str] | None:
        kind = line.get_gid() or ""
        if kind.startswith("fit "):
            return f"best fit, {kind[4:]}"
        return {"height": heights, "local exponent": local}.get(kind)

    return naming


def of_scan() -> Namer:
    """One line for every checkpoint that is shown, in the order of training."""

    def label(line: Line2D, number: int) -> str | None:
        return f"checkpoint {number + 1} of those shown" if line.get_gid() == "checkpoint" else None

    def naming(ax: Axes) -> Naming | None:
        title = re.sub(r"(?<!\\)\$", "", ax.get_title()).replace(r"\$", "$")
        return Naming(title, "temperature", "heat capacity", label) if title else None

    return naming
