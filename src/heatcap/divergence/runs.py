"""Verdicts on the peak heights of saved runs, for each observable against the size of the runs.

The bridge from events (:mod:`heatcap.events`) to :func:`heatcap.divergence_test`: runs of one size
are replicates, the size is that of the model or task (`size_name`), heights are in the units of the
observable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from heatcap.attention import heat_capacity_bound
from heatcap.core.quantities import KEYS
from heatcap.divergence.heights import Bound
from heatcap.divergence.verdict import Verdict, divergence_test
from heatcap.events import AVERAGE, PROPER, Column, Events
from heatcap.observables.dataset import curve, size_coordinate, size_name_of, sizes_of

__all__ = ["bound_by_keys", "verdict_of_runs"]

SETTINGS = ("task", "fraction", "weight_decay")  # to be equal in runs of different sizes


def verdict_of_runs(
    events: Events,
    observable: str,
    *,
    head: int | str = AVERAGE,
    layer: Any = None,
    group: str = PROPER,
    bound: Bound | None = None,
    **options: Any,
) -> Verdict:
    """Test how the peak heights of saved runs grow with the size.

    The runs of a size are independent, and their spread gives the error.  Heights are corrected
    for the bias of a noisy, smoothed maximum (:func:`heatcap.find_events`).  Runs without an
    interior peak are not among them; the warnings count these and the censored runs.

    Parameters
    ----------
    events : Events
    observable : str
    head : int or "mean"
    layer : label, optional
        The first one by default.
    group : str
        "none" for the treatment runs, or a control.
    bound : callable, optional
        See :func:`divergence_test`; :func:`bound_by_keys` has that of the row heat capacity.
    **options
        Options of :func:`divergence_test`: level, margins, rescale, draws, rng, ...

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        If `events` lack the observable, layer, head or group, the sizes of the runs have more than
        one name, or fewer than four sizes have a peak.
    """
    runs = events.of_group(group)
    runs = runs[sizes_of(events.runs)[runs.index].notna()]
    if runs.empty:
        raise ValueError(f"no run with a size belongs to group {group!r}")
    size_name = size_name_of(runs)
    peaks = events.peak(observable, layer=layer, head=head)
    size = sizes_of(runs)
    height = runs[Column.RUN].map(peaks.set_index(Column.RUN)[Column.HEIGHT])
    there = height.notna()
    sizes = np.unique(size[there])
    at = [there & (size == value) for value in sizes]
    verdict = divergence_test(
        sizes,
        None,
        replicates=[height[rows].to_numpy() for rows in at],
        labels=[runs[Column.RUN][rows].tolist() for rows in at],
        missing=dict(zip(*_counts_by_size(size[~there].to_numpy()), strict=True)),
        size_name=size_name,
        bound=bound,
        **options,
    )
    return replace(verdict, warnings=[*verdict.warnings, *_run_warnings(runs[there], size[there])])


def _counts_by_size(sizes: NDArray[np.float64]) -> tuple[list[float], list[int]]:
    """Distinct sizes and their numbers of runs."""
    distinct, counts = np.unique(sizes, return_counts=True)
    return distinct.tolist(), counts.tolist()


def _run_warnings(runs: pd.DataFrame, size: pd.Series) -> list[str]:
    """Warnings on censored runs among the heights, and on settings that differ between runs."""
    messages = []
    name = size_name_of(runs)
    censored = size[runs[Column.CENSORED].fillna(False).astype(bool)]
    if len(censored):
        counts = ", ".join(
            f"{n} at {name} = {s:g}"
            for s, n in zip(*_counts_by_size(censored.to_numpy()), strict=True)
        )
        messages.append(f"heights of runs that had not generalised by their last step: {counts}")
    for setting in SETTINGS:
        values = runs[setting].unique().tolist() if setting in runs else []
        if len(values) > 1:
            shown = ", ".join(map(str, values))
            messages.append(
                f"the runs differ in {setting} ({shown}): a height may follow it, not a size"
            )
    return messages


def bound_by_keys(obs: xr.Dataset) -> Callable[[float], float] | None:
    """Compute the largest canonical heat capacity of the last query, as a function of the size.

    The number of visible keys n is taken from the runs.  If it is the same for all, so is the bound
    (:func:`heatcap.heat_capacity_bound`); if it grows linearly with the size, the bound grows like
    (ln n)^2 / 4.  None in any other case.
    """
    if KEYS not in obs or size_coordinate(obs) is None:
        return None
    keys, size = curve(obs, KEYS).to_numpy(), sizes_of(obs).to_numpy()
    finite = np.isfinite(keys) & np.isfinite(size)
    keys, size = keys[finite], size[finite]
    if keys.size == 0:
        return None
    if np.ptp(keys) == 0:
        return lambda _: float(heat_capacity_bound(keys[0]))
    if np.ptp(size) == 0:
        return None
    slope, start = np.polyfit(size, keys, 1)
    if slope <= 0 or np.abs(start + slope * size - keys).max() > 1e-6 * keys.max():
        return None
    return lambda size: float(heat_capacity_bound(start + slope * size))
