"""Figure of one training after another: accuracy and heat capacities, one column per size.

Every line is one run against the training step, on a logarithmic axis.  Marks (memorisation, onset,
peaks, spikes) come from the events; heat capacities are in nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from heatcap.core.quantities import BOUND, HEAT_CAPACITY, OFFSET, PREFERRED, UNWEIGHTED, spoken
from heatcap.events import AVERAGE, PROPER, Column, Events, find_events
from heatcap.figures.panels import by_size, entitle, rows_of, tell, titled, usable
from heatcap.figures.style import (
    COLUMN,
    ENSEMBLE,
    EVENT,
    PAGE,
    label,
    new_figure,
    styled,
)
from heatcap.observables.dataset import curve, labels_of

__all__ = ["evolution"]

DEFAULT = tuple(kind[0] for kind in PREFERRED)
# Drawn in the same panel, dashed: the share of the solid curve that is a constant offset of keys.
BESIDE = {UNWEIGHTED: OFFSET}
BOUND_IN_REACH = 0.4  # the bound is drawn where a curve exceeds this share of it
TRAIN, TEST = "#7F7F7F", "#000000"
DASHED, DOTTED, ONSET = (0, (4, 1.2)), (0, (1, 1.2)), (0, (3, 2))
BOUND_LINE: dict[str, Any] = {"color": "#404040", "lw": 0.7, "ls": (0, (6, 1.5, 1, 1.5))}

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class _View:
    """Data and options of the whole figure, with the curves of single runs."""

    obs: xr.Dataset
    events: Events
    observables: tuple[str, ...]
    query: int
    head: int | str
    layer: int
    inputs: str

    def steps(self, run: int) -> NDArray[np.float64]:
        return np.asarray(self.obs["step"].isel(run=run).to_numpy(), dtype=np.float64)

    def curve(self, name: str, run: int) -> Curve:
        chosen = curve(
            self.obs,
            name,
            run=run,
            query=self.query,
            inputs=self.inputs,
            layer=_layer(self, name),
            head=self.head,
        )
        return usable(self.steps(run), chosen.to_numpy())

    def metric(self, name: str, run: int) -> Curve:
        step = self.obs["metric_step"].isel(run=run).to_numpy()
        return usable(step, self.obs[name].isel(run=run).to_numpy())

    def ids(self, runs: Sequence[int]) -> list[Any]:
        return list(self.obs["run"].to_numpy()[list(runs)])

    def run(self, run: int) -> pd.Series:
        return rows_of(self.events, self.obs["run"].to_numpy()[run])

    def bound(self, runs: Sequence[int]) -> float:
        if BOUND not in self.obs:
            return np.nan
        return float(curve(self.obs, BOUND, query=self.query).isel(run=list(runs)).max())


def evolution(
    obs: xr.Dataset,
    events: Events | None = None,
    *,
    observables: Sequence[str] = DEFAULT,
    sizes: Sequence[float] | None = None,
    group: str = PROPER,
    columns: int = 5,
    query: int = -1,
    head: int | str = AVERAGE,
    layer: int = 0,
    inputs: str = "all",
    first_step: float = 5.0,
) -> Figure:
    """Draw accuracy and heat capacities against the step, with events as marks.

    Marks are memorisation, onset, peaks and spikes, from `events`.  Every line is one run: a median
    over runs that peak at different steps has peaks that no run has.  Panels of a row share their
    axis, so that heights compare.

    Parameters
    ----------
    obs : Dataset (run, checkpoint, ...)
        Observables of all runs.
    events : Events, optional
        Made by :func:`heatcap.find_events` from `obs`, with the same query and inputs; by
        default made here with default options.
    observables : sequence of str
        One row of panels for each.
    sizes : sequence, optional
        Which sizes; all by default.
    group : str
        "none" for the treatment runs, or the name of a control.
    columns : int
        Panels side by side before a new block of rows begins.
    query, layer : int
        Indices; the last query and the first layer by default.
    head : int or "mean"
        One head, or the mean over the heads.
    inputs : str
        "all", "trained" or "untrained".
    first_step : float
        Where the axis begins.

    Returns
    -------
    Figure
        Two columns of a journal wide (one, for a single size).

    Raises
    ------
    ValueError
        If an observable, a size or a group is missing.
    """
    if events is None:
        events = find_events(obs, *observables, query=query, inputs=inputs)
    view = _View(obs, events, tuple(observables), query, head, layer, inputs)
    groups = by_size(obs, events, sizes, group)
    blocks = _blocks(list(groups), columns)
    rows = 1 + len(view.observables)
    with styled():
        width = PAGE if len(groups) > 1 else COLUMN
        figure = new_figure(width, 0.45 + len(blocks) * (0.45 + 0.92 * rows))
        parts = figure.subfigures(len(blocks), 1, hspace=0.02, squeeze=False)[:, 0]
        limits = _limits(view, [r for runs in groups.values() for r in runs])
        for part, block in zip(parts, blocks, strict=True):
            axes = part.subplots(rows, len(blocks[0]), sharex=True, squeeze=False)
            for k, column in enumerate(axes.T):
                if k < len(block):
                    _column(column, view, block[k], groups[block[k]], limits)
                    first = min(first_step, limits["end"] / 2)
                    _dress(column, view, k == 0, (first, 1.1 * limits["end"]))
                else:
                    for ax in column:
                        ax.set_axis_off()
        _legend(figure, view, limits, [r for runs in groups.values() for r in runs])
    return figure


def _blocks(sizes: list[Any], columns: int) -> list[list[Any]]:
    """Split sizes into blocks of nearly equal width: 6 sizes in 5 columns are two blocks of 3."""
    n = -(-len(sizes) // columns)
    width = -(-len(sizes) // n)
    return [sizes[i : i + width] for i in range(0, len(sizes), width)]


def _column(
    axes: NDArray[Any], view: _View, size: Any, runs: list[int], limits: dict[str, float]
) -> None:
    """All panels of one size."""
    rows = [view.run(r) for r in runs]
    censored = sum(bool(row[Column.CENSORED]) for row in rows)
    title = titled(view.obs, size, runs)
    axes[0].set_title(title + (f"\n{censored} of {len(runs)} censored" if censored else ""))
    _accuracy(axes[0], view, runs)
    _spikes(axes[0], view, runs)
    for ax, name in zip(axes, ("accuracy", *view.observables), strict=True):
        entitle(ax, titled(view.obs, size, runs, plain=True), "step", spoken(name))
    for ax, name in zip(axes[1:], view.observables, strict=True):
        _observable(ax, view, name, runs)
        ax.set_ylim(0, limits[name])
        if name == HEAT_CAPACITY and limits["bound"] <= limits[name]:
            ax.axhline(view.bound(runs), **BOUND_LINE, gid="bound")
    for ax in axes:
        for row in rows:
            _events(ax, row)


def _accuracy(ax: Axes, view: _View, runs: list[int]) -> None:
    """Train and test accuracy of the runs."""
    test = view.run(runs[0])[Column.ONSET_METRIC]
    ids = view.ids(runs)
    train, tested = ([f"{run}, {which}" for run in ids] for which in ("train", "test"))
    _lines(ax, [view.metric("train_accuracy", r) for r in runs], train, TRAIN, DASHED)
    _lines(ax, [view.metric(str(test), r) for r in runs], tested, TEST, "-")
    ax.set_ylim(-0.05, 1.05)


def _observable(ax: Axes, view: _View, name: str, runs: list[int]) -> None:
    """Curves of an observable with their peaks, and the part that is drawn beside it."""
    colour = ENSEMBLE.get(name, "#0072B2")
    beside = BESIDE.get(name)
    pair = beside in view.obs  # one wide, one narrow on top: the two nearly coincide
    ids = view.ids(runs)
    _lines(ax, [view.curve(name, r) for r in runs], ids, colour, "-", 1.4 if pair else 0.8)
    if pair:
        curves, parts = (
            [view.curve(str(beside), r) for r in runs],
            [f"{k}, offset part" for k in ids],
        )
        _lines(ax, curves, parts, ENSEMBLE[str(beside)], DASHED, 0.7)
    peaks = view.events.peak(name, layer=_layer(view, name), head=view.head, at_end=True)
    peaks = peaks.set_index(Column.RUN)
    for gid, at_end, fill in (("peak", False, colour), ("lower maximum", True, "white")):
        rows = peaks[peaks[Column.EDGE_MAXIMUM] == at_end]
        at = [(run, view.curve(name, r)) for r, run in zip(runs, ids, strict=True)]
        at = [(run, drawn) for run, drawn in at if run in rows.index]
        steps = [rows[Column.PEAK][run] for run, _ in at]
        # On the raw curve: the height in the table is of the smoothed one, a little lower.
        (marks,) = ax.plot(
            steps, [np.interp(step, *drawn) for step, (_, drawn) in zip(steps, at, strict=True)],
            ls="", marker="v", mfc=fill, mec="black" if fill == colour else colour, mew=0.6,
            gid=gid, zorder=5,
        )  # fmt: skip
        tell(marks, [_peak_words(gid, run, rows.loc[run]) for run, _ in at])


def _peak_words(kind: str, run: Any, row: pd.Series) -> str:
    """Step, height and lead of a peak, for a pointer."""
    place = f"{kind} of {run}: step {row[Column.PEAK]:.0f}, height {row[Column.HEIGHT]:.4g}"
    lead = row[Column.LEAD]
    return place + (f", lead {lead:+.0f} steps" if kind == "peak" and np.isfinite(lead) else "")


def _layer(view: _View, name: str) -> Any:
    if name not in view.obs or "layer" not in view.obs[name].dims:
        return None
    return labels_of(view.obs[name], "layer")[view.layer]


def _lines(
    ax: Axes, curves: list[Curve], words: list[Any], colour: str, style: Any, width: float = 0.8
) -> None:
    """One line a run, fainter where there are many."""
    alpha = 0.85 if len(curves) <= 5 else max(0.25, 4 / len(curves))
    for (step, values), text in zip(curves, words, strict=True):
        (line,) = ax.plot(step, values, color=colour, ls=style, lw=width, alpha=alpha, gid="run")
        tell(line, str(text))


def _events(ax: Axes, row: pd.Series) -> None:
    """Vertical lines at memorisation and onset of one run."""
    if np.isfinite(row[Column.MEMORISED]):
        ax.axvline(
            row[Column.MEMORISED], color=EVENT["memorisation"], lw=0.6, ls=DOTTED, zorder=1,
            gid="memorisation",
        )  # fmt: skip
    if not row[Column.CENSORED]:
        ax.axvline(row[Column.ONSET], color=EVENT["onset"], lw=0.6, ls=ONSET, gid="onset", zorder=1)


def _spikes(ax: Axes, view: _View, runs: list[int]) -> None:
    """Ticks at the foot of the accuracy, where the loss of any run spikes."""
    steps = np.concatenate([view.events.spike_steps[view.run(r)[Column.RUN]] for r in runs])
    if steps.size:
        ax.plot(
            steps, np.full(steps.size, 0.05), transform=ax.get_xaxis_transform(), ls="",
            marker="|", ms=4, mew=0.9, color=EVENT["spike"], gid="spike",
        )  # fmt: skip


def _limits(view: _View, runs: list[int]) -> dict[str, float]:
    """Upper end of every row's axis; the bound is included where the curves come near it."""
    top = {name: max((_top(view, name, r) for r in runs), default=0.0) for name in view.observables}
    limits = {name: 1.12 * value or 1.0 for name, value in top.items()}
    limits["bound"] = view.bound(runs)
    recorded = [view.obs[name].isel(run=runs).to_numpy() for name in ("metric_step", "step")]
    limits["end"] = float(np.nanmax(np.concatenate([r.ravel() for r in recorded] + [[1.0]])))
    if top.get(HEAT_CAPACITY, 0.0) >= BOUND_IN_REACH * limits["bound"]:
        limits[HEAT_CAPACITY] = max(limits[HEAT_CAPACITY], 1.08 * limits["bound"])
    return limits


def _top(view: _View, name: str, run: int) -> float:
    values = view.curve(name, run)[1]
    return float(values.max()) if values.size else 0.0


def _dress(axes: NDArray[Any], view: _View, leftmost: bool, steps: tuple[float, float]) -> None:
    """Scales, ticks and names of the axes of one column."""
    for ax in axes:
        ax.set_xscale("log")
        ax.set_xlim(*steps)
        ax.xaxis.set_major_locator(LogLocator(numticks=5))
        ax.xaxis.set_minor_locator(LogLocator(subs=(2, 5), numticks=12))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 2.5, 5, 10]))
        ax.tick_params(labelleft=leftmost)
    axes[0].set_yticks([0, 0.5, 1])
    axes[-1].set_xlabel("training step")
    if leftmost:
        axes[0].set_ylabel("accuracy")
        for ax, name in zip(axes[1:], view.observables, strict=True):
            ax.set_ylabel(label(name))
        axes[0].figure.align_ylabels(list(axes))


def _legend(figure: Figure, view: _View, limits: dict[str, float], runs: list[int]) -> None:
    rows = [view.run(r) for r in runs]
    mirror_free = any(row[Column.ONSET_METRIC] == "mirror_free_accuracy" for row in rows)
    peak = {"ls": "", "marker": "v", "mec": "black", "mew": 0.5, "mfc": "#999999"}
    styles: dict[str, dict[str, Any]] = {
        "train accuracy": {"color": TRAIN, "ls": DASHED},
        "mirror-free test acc." if mirror_free else "test accuracy": {"color": TEST},
        "memorisation": {"color": EVENT["memorisation"], "lw": 0.8, "ls": DOTTED},
        "onset": {"color": EVENT["onset"], "lw": 0.8, "ls": ONSET},
        "peak": peak,
    }
    ids = view.obs["run"].to_numpy()[runs]
    marked = pd.concat(
        [view.events.peak(name, head=view.head, at_end=True) for name in view.observables]
    )
    if marked[marked[Column.RUN].isin(ids)][Column.EDGE_MAXIMUM].any():
        styles["highest maximum; curve higher at an end"] = peak | {"mfc": "white"}
    if any(row[Column.SPIKES] > 0 for row in rows):
        styles["loss spike"] = {"color": EVENT["spike"], "ls": "", "marker": "|"}
    for name in view.observables:
        if (beside := BESIDE.get(name)) in view.obs:
            styles["unweighted: its offset part"] = {"color": ENSEMBLE[str(beside)], "ls": DASHED}
        if name == HEAT_CAPACITY and limits["bound"] <= limits[name]:
            styles[f"bound by the number of keys ({limits['bound']:.3g})"] = BOUND_LINE
    handles = [Line2D([], [], label=label, **style) for label, style in styles.items()]
    wide = figure.get_figwidth() > COLUMN
    figure.legend(handles=handles, loc="outside upper center", ncols=4 if wide else 2)
