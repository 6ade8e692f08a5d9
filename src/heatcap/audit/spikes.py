"""Do the maxima sit at spikes of the training loss?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from heatcap.events import Column, Events

__all__ = ["SpikeShare", "spike_share"]


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
