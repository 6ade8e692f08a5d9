"""What a height is made of: the bound, a constant offset of keys, random energies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from heatcap.attention import random_energy_heat_capacity
from heatcap.audit.lead_tests import LeadColumn
from heatcap.core.arrays import Floats
from heatcap.core.quantities import BOUND, HEAT_CAPACITY, KEYS, OFFSET, UNWEIGHTED
from heatcap.events import Column, Events
from heatcap.observables.dataset import curve

__all__ = [
    "Bound",
    "Share",
    "SpikeShare",
    "bound",
    "offset_share",
    "random_energy_ratio",
    "spike_share",
]

NEAR = 0.5  # of the bound: within reach


@dataclass(frozen=True)
class Bound:
    """The largest peak as a share of the bound that the number of visible keys sets.

    `same_for_all_sizes`: the bound does not grow with the size, so that a height that saturates is
    no finding, and one that diverges is impossible.
    """

    tested: bool
    bound: float = float("nan")
    reached: float = float("nan")
    within_reach: bool | None = None
    same_for_all_sizes: bool | None = None
    message: str = ""


@dataclass(frozen=True)
class Share:
    """Median, smallest and largest value over the peaks of the runs; or why there is none."""

    tested: bool
    median: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    message: str = ""

    @classmethod
    def of(cls, values: Floats) -> Share:
        values = values[np.isfinite(values)]
        if not values.size:
            return cls(False, message="no run has a peak")
        return cls(True, float(np.median(values)), float(values.min()), float(values.max()))


def bound(obs: xr.Dataset, table: pd.DataFrame, observable: str, *, query: int) -> Bound:
    """How near the peaks of the canonical heat capacity come to their bound.

    Parameters
    ----------
    obs : Dataset
        With `heat_capacity_bound` (run, query).
    table : DataFrame
        From :func:`lead_table`.
    observable : str
        Only `heat_capacity` is bounded by the number of keys.
    query : int
        That of the events.
    """
    if observable != HEAT_CAPACITY:
        return Bound(False, message="the number of keys sets no bound on this observable")
    if BOUND not in obs:
        return Bound(False, message="the number of visible keys is not in the record")
    limit = curve(obs, BOUND, query=query)
    of_run = dict(zip(obs["run"].to_numpy(), limit.to_numpy(), strict=True))
    limits = table[Column.RUN].map(of_run).to_numpy(dtype=np.float64)
    reached = table[LeadColumn.HEIGHT].to_numpy() / limits
    if not np.isfinite(reached).any():
        return Bound(False, message="no run has a peak")
    highest = int(np.nanargmax(reached))
    return Bound(
        tested=True,
        bound=float(limits[highest]),
        reached=float(reached[highest]),
        within_reach=bool(reached[highest] >= NEAR),
        same_for_all_sizes=bool(np.nanmax(limits) - np.nanmin(limits) < 1e-9),
    )


def offset_share(
    obs: xr.Dataset, table: pd.DataFrame, observable: str, layer: Any, *, query: int, inputs: str
) -> Share:
    """Which share of the height at the peak is a constant offset of keys.

    `offset_heat_capacity` over `unweighted_heat_capacity` at the checkpoint of the peak; other
    observables have no such part that could be told from averages over the probe.
    """
    if observable == OFFSET:
        return Share(True, 1.0, 1.0, 1.0, "the offset itself")
    if observable != UNWEIGHTED:
        return Share(False, message="not separable in this observable")
    if OFFSET not in obs:
        return Share(False, message="the offset is not in the record")
    names = (OFFSET, UNWEIGHTED)
    part, whole = (_at_peaks(obs, table, name, layer, query=query, inputs=inputs) for name in names)
    return Share.of(part / whole)


def random_energy_ratio(
    obs: xr.Dataset, table: pd.DataFrame, observable: str, layer: Any, *, query: int, inputs: str
) -> Share:
    """Heat capacity at the peak over that of independent Gaussian logits.

    These have the variance of all logits of the row over the probe (`unweighted_heat_capacity` at
    the same checkpoint) and the same number of keys.  A ratio near 1: the height says no more than
    that variance.
    """
    if observable != HEAT_CAPACITY:
        return Share(False, message="defined for the canonical heat capacity only")
    missing = [n for n in (UNWEIGHTED, KEYS) if n not in obs]
    if missing:
        return Share(False, message=f"{' and '.join(missing)} not in the record")
    variance = _at_peaks(obs, table, UNWEIGHTED, layer, query=query, inputs=inputs)
    keys = curve(obs, KEYS, query=query)
    of_run = dict(zip(obs["run"].to_numpy(), keys.to_numpy(), strict=True))
    n = table[Column.RUN].map(of_run).to_numpy(dtype=np.float64)
    return Share.of(table[LeadColumn.HEIGHT].to_numpy() / random_energy_heat_capacity(variance, n))


def _at_peaks(
    obs: xr.Dataset, table: pd.DataFrame, name: str, layer: Any, *, query: int, inputs: str
) -> Floats:
    """Head average of an observable at the checkpoint nearest to the peak of every run."""
    values = curve(obs, name, query=query, inputs=inputs, layer=layer, head="mean")
    curves = values.transpose("run", "checkpoint").to_numpy()
    steps = obs["step"].transpose("run", "checkpoint").to_numpy()
    row_of = {run: r for r, run in enumerate(obs["run"].to_numpy())}
    out = np.full(len(table), np.nan)
    for k, (run, at) in enumerate(zip(table[Column.RUN], table[Column.PEAK], strict=True)):
        if np.isfinite(at):
            r = row_of[run]
            out[k] = curves[r, np.nanargmin(np.abs(np.log(steps[r].clip(0.5)) - np.log(at)))]
    return out


# ---- do the maxima sit at spikes of the training loss? -------------------------------------


@dataclass(frozen=True)
class SpikeShare:
    """Share of the maxima, before smoothing, that coincide with a spike, and the base rate of it.

    `base_rate` is the share of checkpoints near a spike; `p` the chance of as many coincidences at
    that rate.  `highest_at_spike` of the runs have their highest maximum there, `highest_first` of
    these before the onset: what a train of spikes gives for free.
    """

    share: float
    base_rate: float
    p: float
    maxima: int
    at_spike: int
    highest_at_spike: int
    highest_first: int
    tested: bool = True
    message: str = ""

    @property
    def explain(self) -> bool:
        """Whether spikes explain most of the maxima, beyond the base rate."""
        return self.share >= 0.5 and self.p < 0.01


def spike_share(events: Events, observable: str, layer: Any) -> SpikeShare:
    """Count maxima of the head average over the runs proper."""
    runs, curves = events.proper, events.curves_of(observable, layer)
    chosen = curves[curves[Column.RUN].isin(runs[Column.RUN])]
    if runs[Column.SPIKES].isna().all():
        nan = float("nan")
        return SpikeShare(nan, nan, nan, 0, 0, 0, 0, False, "no training loss in the record")
    maxima, at_spike = int(chosen[Column.MAXIMA].sum()), int(chosen[Column.MAXIMA_AT_SPIKE].sum())
    checkpoints = runs[Column.CHECKPOINTS].to_numpy(dtype=np.float64)
    near = (runs[Column.SPIKE_SHARE].fillna(0) * checkpoints).sum()
    base = float(near / checkpoints.sum()) if checkpoints.sum() else float("nan")
    p = float("nan")
    if maxima and np.isfinite(base):
        p = float(stats.binomtest(at_spike, maxima, min(base, 1.0), alternative="greater").pvalue)
    highest, first = _highest(events, observable, layer, set(runs[Column.RUN]))
    share = at_spike / maxima if maxima else float("nan")
    return SpikeShare(share, base, p, maxima, at_spike, highest, first)


def _highest(events: Events, observable: str, layer: Any, runs: set[Any]) -> tuple[int, int]:
    t = events.maxima(observable, layer=layer)
    t = t[t[Column.RUN].isin(runs) & t[Column.RANK].notna()]
    top = t.sort_values(Column.HEIGHT, ascending=False).groupby(Column.RUN, sort=False).head(1)
    top = top[top[Column.AT_SPIKE].fillna(False).astype(bool)]
    return len(top), int((top[Column.LEAD] > 0).sum())
