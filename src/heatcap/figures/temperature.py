"""Figure of the heat capacity against temperature: the quenched scan at selected checkpoints.

T is in units of the model's own temperature (T = 1), C in nats; weights and logits stay fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from heatcap.core.quantities import BOUND, HEAT_CAPACITY, scan_of, spoken
from heatcap.events import AVERAGE, PROPER, Events, find_events
from heatcap.figures.panels import by_size, entitle, tell, titled, usable
from heatcap.figures.style import COLUMN, PAGE, label, new_figure, styled
from heatcap.observables.dataset import curve, labels_of

__all__ = ["scan"]

# The palest tenth of viridis is left out: thin yellow lines vanish on white.
MODEL: dict[str, Any] = {"color": "#404040", "lw": 0.7, "ls": (0, (3, 2))}
BOUND_LINE: dict[str, Any] = {"color": "#404040", "lw": 0.7, "ls": (0, (6, 1.5, 1, 1.5))}
COLOURS = ListedColormap(colormaps["viridis"](np.linspace(0, 0.9, 256)))


def scan(
    obs: xr.Dataset,
    events: Events | None = None,
    *,
    observable: str = HEAT_CAPACITY,
    sizes: Sequence[float] | None = None,
    group: str = PROPER,
    seed: int | None = None,
    checkpoints: int = 8,
    columns: int = 5,
    query: int = -1,
    head: int | str = AVERAGE,
    layer: int = 0,
    first_step: float = 5.0,
) -> Figure:
    """Draw the quenched scan C(T), one panel per size, one line per checkpoint.

    The model itself runs at T = 1 (marked).  One run is shown for every size, because a mean over
    runs at equal steps would mix stages of training.

    Parameters
    ----------
    obs : Dataset (run, checkpoint, temperature, ...)
        With `scan_` + `observable`, written by `heatcap observe --temperature`.
    events : Events, optional
        Used for the grouping of runs alone; by default made here.
    observable : str
        Name without its prefix.
    sizes : sequence, optional
        Which sizes; all by default.
    group : str
        "none" for the treatment runs, or the name of a control.
    seed : int, optional
        Which run of a size; the lowest seed by default.
    checkpoints : int
        How many, evenly spaced in log step from `first_step` to the end of the run.
    columns : int
        Panels side by side.
    query, layer : int
        Indices; the last query and the first layer by default.
    head : int or "mean"
        One head, or the mean over the heads.
    first_step : float
        Where the scale of colours begins.

    Returns
    -------
    Figure
        Two columns of a journal wide (one, for a single size).

    Raises
    ------
    ValueError
        If the scan, a size, a seed or a group is missing.
    """
    name = scan_of(observable)
    if name not in obs:
        raise ValueError(
            f"observables lack {name!r}: make them with `heatcap observe --temperature`"
        )
    events = find_events(obs) if events is None else events
    groups = by_size(obs, events, sizes, group)
    shown = {size: _one_run(obs, runs, seed) for size, runs in groups.items()}
    norm = LogNorm(first_step, float(np.nanmax(obs["step"].isel(run=list(shown.values())))))
    with styled():
        n_columns = min(columns, len(shown))
        n_rows = -(-len(shown) // n_columns)
        figure = new_figure(PAGE if n_columns > 1 else COLUMN, 0.55 + 1.25 * n_rows)
        axes = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        for ax, (size, run) in zip(axes.flat, shown.items(), strict=False):
            label_of_layer = labels_of(obs[name], "layer")[layer]
            values = curve(obs, name, run=run, query=query, layer=label_of_layer, head=head)
            _panel(ax, obs, values.transpose("checkpoint", "temperature"), run, norm, checkpoints)
            if observable == HEAT_CAPACITY and BOUND in obs:
                ax.axhline(
                    float(curve(obs, BOUND, run=run, query=query)),
                    **BOUND_LINE,
                    zorder=1,
                    gid="bound",
                )
            ax.set_title(titled(obs, size, [run]))
            entitle(ax, titled(obs, size, [run], plain=True), "temperature", spoken(observable))
        _dress(axes, len(shown), label(observable))
        _legend(figure, axes[0, 0])
        bar = figure.colorbar(
            ScalarMappable(norm, COLOURS), ax=axes, label="training step", pad=0.01
        )
        bar.outline.set_visible(False)
    return figure


def _one_run(obs: xr.Dataset, runs: list[int], seed: int | None) -> int:
    """Index of the run with a seed, the lowest by default."""
    if "seed" not in obs.coords:
        return runs[0]
    seeds = obs["seed"].to_numpy()[runs].tolist()
    wanted = min(seeds) if seed is None else seed
    if wanted not in seeds:
        raise ValueError(f"seed must be one of {sorted(seeds)} at every size shown, got {seed}")
    return runs[list(seeds).index(wanted)]


def _panel(
    ax: Axes, obs: xr.Dataset, values: xr.DataArray, run: int, norm: LogNorm, checkpoints: int
) -> None:
    temperature = obs["temperature"].to_numpy()
    order = np.argsort(temperature)
    step = obs["step"].isel(run=run).to_numpy()
    ok = np.isfinite(values.to_numpy()).any(axis=1)
    steps, rows = usable(np.where(ok, step, np.nan), np.arange(step.size, dtype=float))
    for k in _spread(steps, norm.vmin or 1.0, checkpoints):
        c = values.to_numpy()[int(rows[k])]
        (line,) = ax.plot(
            temperature[order], c[order], color=COLOURS(norm(steps[k])), lw=1.0, gid="checkpoint"
        )
        tell(line, f"step {steps[k]:g}")
    ax.axvline(1.0, **MODEL, zorder=1, gid="model")


def _spread(steps: NDArray[np.float64], first: float, n: int) -> list[int]:
    """Rows nearest to n points evenly spaced in log step."""
    if not steps.size:
        return []
    aims = np.linspace(np.log(min(max(first, steps[0]), steps[-1])), np.log(steps[-1]), n)
    nearest = np.abs(np.log(steps)[None, :] - aims[:, None]).argmin(axis=1)
    return [int(k) for k in np.unique(nearest)]


def _dress(axes: NDArray[Any], used: int, label: str) -> None:
    for ax in axes.flat[used:]:
        ax.set_axis_off()
    for k, ax in enumerate(axes.flat[:used]):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(numticks=4))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_locator(LogLocator(subs=(2, 5), numticks=12))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.set_ylim(bottom=0)
        if k + axes.shape[1] >= used:  # nothing below
            ax.set_xlabel("temperature $T$")
            ax.tick_params(labelbottom=True)
        if k % axes.shape[1] == 0:
            ax.set_ylabel(label)


def _legend(figure: Figure, ax: Axes) -> None:
    handles = [Line2D([], [], **MODEL, label="the model's temperature, $T=1$")]
    if any(line.get_gid() == "bound" for line in ax.lines):
        handles.append(Line2D([], [], **BOUND_LINE, label="bound by the number of visible keys"))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=2 if figure.get_figwidth() > COLUMN else 1,
    )
