"""Verdicts on the peak heights of saved runs: one for each observable, for the size of the runs."""

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

SETTINGS = ("task", "fraction", "weight_decay")  # of runs that are compared between sizes


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
    """Which growths of the peak height with the size the saved runs do not exclude.

    The runs of a size are independent, and their spread gives the error; each height is free of
    the bias of a noisy, smoothed maximum (:func:`heatcap.find_events`).  Runs without an interior
    peak are not in the heights; they and the censored ones are counted in the warnings.

    Parameters
    ----------
    events : Events
    observable : str
    head : int or "mean"
    layer : label, optional
        The first one by default.
    group : str
        "none" for the runs proper, or a control.
    bound : callable, optional
        See :func:`divergence_test`; :func:`bound_by_keys` has that of the row heat capacity.
    **options
        Of :func:`divergence_test`: level, margins, rescale, draws, rng, ...

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
    at = [there & (size == each) for each in sizes]
    found = divergence_test(
        sizes,
        None,
        replicates=[height[each].to_numpy() for each in at],
        labels=[runs[Column.RUN][each].tolist() for each in at],
        missing=dict(zip(*_counted(size[~there].to_numpy()), strict=True)),
        size_name=size_name,
        bound=bound,
        **options,
    )
    return replace(found, warnings=[*found.warnings, *_said(runs[there], size[there])])


def _counted(sizes: NDArray[np.float64]) -> tuple[list[float], list[int]]:
    """Each size that occurs, and how often."""
    known, counts = np.unique(sizes, return_counts=True)
    return known.tolist(), counts.tolist()


def _said(runs: pd.DataFrame, size: pd.Series) -> list[str]:
    """Censored runs in the heights, and settings that differ between them."""
    found = []
    name = size_name_of(runs)
    censored = size[runs[Column.CENSORED].fillna(False).astype(bool)]
    if len(censored):
        counts = ", ".join(
            f"{n} at {name} = {s:g}" for s, n in zip(*_counted(censored.to_numpy()), strict=True)
        )
        found.append(f"heights of runs that had not generalised by their last step: {counts}")
    for setting in SETTINGS:
        values = runs[setting].unique().tolist() if setting in runs else []
        if len(values) > 1:
            shown = ", ".join(map(str, values))
            found.append(
                f"the runs differ in {setting} ({shown}): a height may follow it, not a size"
            )
    return found


def bound_by_keys(obs: xr.Dataset) -> Callable[[float], float] | None:
    """Largest possible canonical heat capacity of the last query, as a function of the size.

    The number of visible keys n is read off the runs: where it is the same for all, so is the bound
    (:func:`heatcap.heat_capacity_bound`), and where it grows along a straight line of the size, the
    bound grows like (ln n)^2 / 4.  None where it is neither.
    """
    if KEYS not in obs or size_coordinate(obs) is None:
        return None
    keys, size = curve(obs, KEYS).to_numpy(), sizes_of(obs).to_numpy()
    known = np.isfinite(keys) & np.isfinite(size)
    keys, size = keys[known], size[known]
    if keys.size == 0:
        return None
    if np.ptp(keys) == 0:
        return lambda _: float(heat_capacity_bound(keys[0]))
    if np.ptp(size) == 0:
        return None
    slope, start = np.polyfit(size, keys, 1)
    if slope <= 0 or np.abs(start + slope * size - keys).max() > 1e-6 * keys.max():
        return None
    return lambda each: float(heat_capacity_bound(start + slope * each))
