"""Which runs and which curve of them a figure shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from heatcap.events import Column, Events
from heatcap.figures.names import letter
from heatcap.observables.dataset import size_coordinate, size_name_of, sizes_of

__all__ = ["by_size", "rows_of", "titled", "usable"]


def titled(obs: xr.Dataset, size: float, runs: Sequence[int], *, plain: bool = False) -> str:
    """Name and value of the size of some runs (indices); symbols in italics unless plain."""
    name = size_name_of(obs.coords.to_dataset().isel(run=list(runs)))
    return f"{name if plain else letter(name)} = {size:g}"


def by_size(
    obs: xr.Dataset, events: Events, sizes: Sequence[float] | None, group: str
) -> dict[Any, list[int]]:
    """Indices of the runs of one group (a control, or "none") at every size, in order of size."""
    if size_coordinate(obs) is None:
        raise ValueError("observables lack a size: neither 'size' nor 'p' is a coordinate of run")
    values, of_run = sizes_of(obs).to_numpy(), events.group_of
    if missing := [str(run) for run in obs["run"].to_numpy() if run not in of_run]:
        raise ValueError(f"events lack runs that the observables have: {', '.join(missing)}")
    chosen = np.array([of_run[run] == group for run in obs["run"].to_numpy()])
    if not chosen.any():
        groups = ", ".join(sorted({of_run[run] for run in obs["run"].to_numpy()}))
        raise ValueError(f"no run belongs to group {group!r}; there are {groups}")
    have = sorted(set(values[chosen].tolist()))
    wanted = have if sizes is None else list(sizes)
    if unknown := [s for s in wanted if s not in have]:
        known = ", ".join(f"{size:g}" for size in have)
        raise ValueError(f"sizes must be among [{known}], got {unknown}")
    return {s: np.flatnonzero(chosen & (values == s)).tolist() for s in wanted}


def usable(step: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows that a logarithmic axis of steps can show."""
    ok = np.isfinite(step) & (step > 0) & np.isfinite(values)
    return step[ok], values[ok]


def rows_of(events: Events, run: Any) -> pd.Series:
    """What is known of one run."""
    row: pd.Series = events.runs[events.runs[Column.RUN] == run].iloc[0]
    return row
