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

__all__ = ["by_size", "curve", "rows_of", "titled", "usable"]


def titled(obs: xr.Dataset, size: Any, *, plain: bool = False) -> str:
    """Name and value of the size that tells the panels apart; symbols in italics unless plain."""
    name = "p" if "p" in obs.coords else "size"
    if "size_name" in obs.coords:
        name = str(np.atleast_1d(obs["size_name"].to_numpy())[0])
    return f"{name if plain else letter(name)} = {size:g}"


def by_size(
    obs: xr.Dataset, events: Events, sizes: Sequence[float] | None, group: str
) -> dict[Any, list[int]]:
    """Indices of the runs of one group (a control, or "none") at every size, in order of size."""
    values, of_run = _sizes(obs), events.group_of
    if missing := [str(run) for run in obs["run"].to_numpy() if run not in of_run]:
        raise ValueError(f"events lack runs that the observables have: {', '.join(missing)}")
    chosen = np.array([of_run[run] == group for run in obs["run"].to_numpy()])
    if not chosen.any():
        groups = ", ".join(sorted({of_run[run] for run in obs["run"].to_numpy()}))
        raise ValueError(f"no run belongs to group {group!r}; there are {groups}")
    have = sorted(set(values[chosen].tolist()))
    wanted = have if sizes is None else list(sizes)
    if unknown := [s for s in wanted if s not in have]:
        raise ValueError(f"sizes must be among {have}, got {unknown}")
    return {s: np.flatnonzero(chosen & (values == s)).tolist() for s in wanted}


def _sizes(obs: xr.Dataset) -> NDArray[Any]:
    for name in ("size", "p"):
        if name in obs.coords and obs[name].dims == ("run",):
            return np.asarray(obs[name].to_numpy())
    raise ValueError("observables lack a size: neither 'size' nor 'p' is a coordinate of run")


def curve(
    obs: xr.Dataset, name: str, run: int, *, query: int, head: int | str, layer: int, inputs: str
) -> xr.DataArray:
    """One observable of one run: head average or one head, one layer (by index), one query."""
    if name not in obs:
        raise ValueError(f"observables lack {name!r}; they have {', '.join(map(str, obs))}")
    values = obs[name].isel(run=run)
    if "inputs" in values.dims:
        values = values.sel(inputs=inputs)
    if "query" in values.dims:
        values = values.isel(query=query)
    if "layer" in values.dims:
        values = values.isel(layer=layer)
    if "head" in values.dims:
        values = values.mean("head") if head == "mean" else values.sel(head=int(head))
    return values


def usable(step: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows that a logarithmic axis of steps can show."""
    ok = np.isfinite(step) & (step > 0) & np.isfinite(values)
    return step[ok], values[ok]


def rows_of(events: Events, run: Any) -> pd.Series:
    """What is known of one run."""
    row: pd.Series = events.runs[events.runs[Column.RUN] == run].iloc[0]
    return row
