"""Artefacts that imitate a peak: bound, offsets of keys, random energies, spikes, controls.

`bound`, `offset_share` and `random_energy_ratio` compare the height of a peak (in nats) with what
the number of keys, a constant offset or independent Gaussian logits give; `spike_share` compares
the positions of maxima with spikes of the loss; `controls` look for the same peak in runs that
cannot generalise.
"""

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
from heatcap.events import Column, Events, controls_of, proper_of
from heatcap.observables.dataset import curve

__all__ = [
    "Bound",
    "Control",
    "Share",
    "SpikeShare",
    "bound",
    "controls",
    "offset_share",
    "random_energy_ratio",
    "spike_share",
]

NEAR = 0.5  # share of the bound from which on a height is within its reach


@dataclass(frozen=True)
class Bound:
    """Largest peak as a share of its upper bound, set by the number of visible keys.

    `same_for_all_sizes`: the bound does not grow with the size, so that a height that saturates is
    no result, and one that diverges is impossible.
    """

    tested: bool
    bound: float = float("nan")
    reached: float = float("nan")
    within_reach: bool | None = None
    same_for_all_sizes: bool | None = None
    message: str = ""


@dataclass(frozen=True)
class Share:
    """Median, smallest and largest value over the peaks of the runs, or the reason for none."""

    tested: bool
    median: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    message: str = ""

    @classmethod
    def of(cls, values: Floats) -> Share:
        """Summarise values (run,); NaN is skipped."""
        values = values[np.isfinite(values)]
        if not values.size:
            return cls(False, message="no run has a peak")
        return cls(True, float(np.median(values)), float(values.min()), float(values.max()))


def bound(obs: xr.Dataset, table: pd.DataFrame, observable: str, *, query: int) -> Bound:
    """Compare the peaks of the canonical heat capacity with their upper bound.

    Parameters
    ----------
    obs : Dataset
        With `heat_capacity_bound` (run, query).
    table : DataFrame
        From :func:`lead_table`.
    observable : str
        Only `heat_capacity` is bounded by the number of keys.
    query : int
        Query of the events.
    """
    if observable != HEAT_CAPACITY:
        return Bound(False, message="the number of keys sets no bound on this observable")
    if BOUND not in obs:
        return Bound(False, message="the number of visible keys is not in the record")
    limits = _of_runs(obs, table, BOUND, query)
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
    """Compute the share of the height at the peak that is a constant offset of keys.

        share = offset_heat_capacity / unweighted_heat_capacity

    at the checkpoint of the peak; in other observables the offset cannot be separated in averages
    over the probe.
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
    """Divide the heat capacity at the peak by that of independent Gaussian logits.

    These have the variance of all logits of the row over the probe (`unweighted_heat_capacity` at
    the same checkpoint) and the same number of keys (random-energy model).  At a ratio near 1 the
    height reflects that variance only.
    """
    if observable != HEAT_CAPACITY:
        return Share(False, message="defined for the canonical heat capacity only")
    missing = [n for n in (UNWEIGHTED, KEYS) if n not in obs]
    if missing:
        return Share(False, message=f"{' and '.join(missing)} not in the record")
    variance = _at_peaks(obs, table, UNWEIGHTED, layer, query=query, inputs=inputs)
    n = _of_runs(obs, table, KEYS, query)
    return Share.of(table[LeadColumn.HEIGHT].to_numpy() / random_energy_heat_capacity(variance, n))


def _of_runs(obs: xr.Dataset, table: pd.DataFrame, name: str, query: int) -> Floats:
    """An observable (run, query) at one query, for every run of the table."""
    values = curve(obs, name, query=query).to_numpy()
    of_run = dict(zip(obs["run"].to_numpy(), values, strict=True))
    return np.asarray(table[Column.RUN].map(of_run), dtype=np.float64)


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
    """Share of the maxima, before smoothing, that coincide with a spike, and its base rate.

    `base_rate` is the share of checkpoints near a spike, `p` the probability of at least as many
    coincidences at that rate.  `highest_at_spike` counts the runs whose highest maximum is at a
    spike, `highest_first` those of them where it precedes the onset: leads due to spikes alone.
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
    """Count the maxima at spikes, for the head average over the treatment runs."""
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
    highest, first = _highest_at_spikes(events, observable, layer, set(runs[Column.RUN]))
    share = at_spike / maxima if maxima else float("nan")
    return SpikeShare(share, base, p, maxima, at_spike, highest, first)


def _highest_at_spikes(
    events: Events, observable: str, layer: Any, runs: set[Any]
) -> tuple[int, int]:
    t = events.maxima(observable, layer=layer)
    t = t[t[Column.RUN].isin(runs) & t[Column.RANK].notna()]
    top = t.sort_values(Column.HEIGHT, ascending=False).groupby(Column.RUN, sort=False).head(1)
    top = top[top[Column.AT_SPIKE].fillna(False).astype(bool)]
    return len(top), int((top[Column.LEAD] > 0).sum())


# ---- is it there where nothing generalises? ------------------------------------------------

RISE = 0.2  # of the test accuracy: a run that rises by more generalises, and is no control
LEVEL = 0.05
WAY = LEVEL / 3  # Bonferroni: a control can pass in three ways
APART = 1.25  # ratio of heights or delays below which two peaks count as the same
EARLIER = 1 / 3  # of the delay in treatment runs: an earlier maximum is a different one


@dataclass(frozen=True)
class Control:
    """One control, a group of runs that cannot generalise, compared with the treatment runs.

    Attributes
    ----------
    name : str
    verdict : str
        A precursor of generalisation must be "absent", "lower" or "later" in a control, the last
        two by a factor of at least 1.25 and at 5 % after correction for the three tests.
        "present": the peak is in the control as well.  "open": most curves still rise at the end of
        their record, so that a peak may follow.  "earlier": there is a maximum, but at less than a
        third of the delay after memorisation, and thus a different one.  "too few runs": mostly
        without a peak, which may be chance.  "not tested": every run of the control generalises, or
        no treatment run has a peak.
    runs, with_peak, rising : int
        Numbers without the runs of the control that do generalise (`generalising`).
    height_ratio, delay_ratio : float
        Geometric means of control over treatment runs, at equal sizes if they share any; the delay
        is the step of the peak over that of memorisation.
    lower_p, later_p : float
        One-sided permutation tests of these ratios within sizes.
    fewer_p : float
        Fisher's exact test: smaller share of runs with a peak than among the treatment runs.
    """

    name: str
    verdict: str
    runs: int
    generalising: int
    with_peak: int
    rising: int
    height_ratio: float = float("nan")
    delay_ratio: float = float("nan")
    lower_p: float = float("nan")
    later_p: float = float("nan")
    fewer_p: float = float("nan")


def controls(table: pd.DataFrame, *, rng: np.random.Generator) -> list[Control]:
    """Compare every control in a table of :func:`lead_table` with the treatment runs."""
    proper = proper_of(table)
    return [_control(name, part, proper, rng) for name, part in controls_of(table).items()]


def _control(
    name: str, every: pd.DataFrame, proper: pd.DataFrame, rng: np.random.Generator
) -> Control:
    rises = every[Column.ONSET].notna() | (every[Column.FINAL] - every[Column.BASELINE] >= RISE)
    part = every[~rises]
    shared = np.intersect1d(part[LeadColumn.SIZE], proper[LeadColumn.SIZE])
    proper = proper[proper[LeadColumn.SIZE].isin(shared)] if shared.size else proper
    n, has_peak = len(part), part[Column.PEAK].notna()
    counts = {
        "runs": n,
        "generalising": int(rises.sum()),
        "with_peak": int(has_peak.sum()),
        "rising": int(part[Column.RISING].sum()),
    }
    if not n or proper[Column.PEAK].notna().sum() == 0:
        return Control(name, "not tested", **counts)
    part, proper = _with_delay(part), _with_delay(proper)
    height, lower = _compare(part, proper, LeadColumn.HEIGHT, -1, rng)
    delay, later = _compare(part, proper, "delay", +1, rng)
    peaks, peaks_proper = counts["with_peak"], int(proper[Column.PEAK].notna().sum())
    contingency = np.array([[peaks, n - peaks], [peaks_proper, len(proper) - peaks_proper]])
    fewer = float(stats.fisher_exact(contingency, alternative="less").pvalue)
    is_lower = lower < WAY and height * APART <= 1
    is_later = later < WAY and delay >= APART
    verdict = _verdict(counts, is_lower, is_later, fewer, delay)
    return Control(
        name,
        verdict,
        **counts,
        height_ratio=height,
        delay_ratio=delay,
        lower_p=lower,
        later_p=later,
        fewer_p=fewer,
    )


def _with_delay(table: pd.DataFrame) -> pd.DataFrame:
    """Add the delay, step of the peak over that of memorisation, since random labels take longer.

    A run that never memorised has no delay, and cannot count as late.
    """
    return table.assign(delay=table[Column.PEAK] / table[Column.MEMORISED])


def _verdict(counts: dict[str, int], lower: bool, later: bool, fewer: float, delay: float) -> str:
    if counts["rising"] > counts["runs"] / 2:
        return "open"
    if counts["with_peak"] <= counts["runs"] / 2:
        return "absent" if fewer < WAY else "too few runs"
    if lower:
        return "lower"
    if later:
        return "later"
    return "earlier" if delay < EARLIER else "present"


def _compare(
    part: pd.DataFrame,
    proper: pd.DataFrame,
    column: str,
    sign: int,
    rng: np.random.Generator,
    permutations: int = 4999,
) -> tuple[float, float]:
    """Ratio of geometric means within sizes, and the permutation p-value of one as extreme."""
    a, b = (t[t[column] > 0] for t in (part, proper))
    shared = np.intersect1d(a[LeadColumn.SIZE], b[LeadColumn.SIZE])
    # Without a common size all runs are compared with all.
    strata = [(a[a[LeadColumn.SIZE] == s], b[b[LeadColumn.SIZE] == s]) for s in shared] or [(a, b)]
    if not len(a) or not len(b):
        return float("nan"), float("nan")
    total = sum(len(x) for x, _ in strata)
    observed, relabelled = 0.0, np.zeros(permutations)
    for x, y in strata:
        values = np.log(np.r_[x[column].to_numpy(), y[column].to_numpy()])
        weight, k = len(x) / total, len(x)
        shuffled = rng.permuted(np.tile(values, (permutations, 1)), axis=1)
        observed += weight * (values[:k].mean() - values[k:].mean())
        relabelled += weight * (shuffled[:, :k].mean(axis=1) - shuffled[:, k:].mean(axis=1))
    extreme = int(np.sum(sign * relabelled >= sign * observed - 1e-12))
    return float(np.exp(observed)), float((1 + extreme) / (1 + permutations))
