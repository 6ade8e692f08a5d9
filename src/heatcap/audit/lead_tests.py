"""Distribution of leads, and tests of the order of peak and onset against chance.

A lead is onset - peak in steps, log_lead = ln(onset / peak).  `lead_table` has one row per run,
`leads` counts and medians, `precedes` all tests of the order; `phase_null` is the null of a peak at
a random phase of the record.  The tests use the runs in which the order is decided: peak and onset
are further apart than the checkpoints beside the peak.  Leads of runs that have not generalised are
right-censored: the peak came at least that much earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from heatcap.core.arrays import Floats
from heatcap.events import (
    AVERAGE,
    SMOOTHING,
    Column,
    Events,
    censored_median,
    order_of_events,
    sizes_of,
)

__all__ = [
    "FEWEST",
    "LeadColumn",
    "Leads",
    "Precedes",
    "lead_table",
    "leads",
    "median_with_interval",
    "phase_null",
    "precedes",
    "records_of",
    "sign_test",
]

FEWEST = 6  # signs with which a sign test can reach 5 %


@dataclass(frozen=True)
class Leads:
    """Leads in steps, onset - peak, of the runs of one size (or of all: `size` None).

    Attributes
    ----------
    runs, with_peak, censored, with_onset, compared : int
        Numbers of runs: all; those with a peak; not generalised by their last step; with an onset;
        with both events.
    first, unresolved, later : int
        Compared runs by the order of the peak.
    median : float
        Includes the censored leads (Kaplan-Meier); NaN where more than half are censored.
    ci95 : tuple of float
        NaN with too few runs for an interval (fewer than 6).
    median_log, log_ci95 : float, tuple of float
        The same for ln(onset / peak).
    """

    size: float | None
    runs: int
    with_peak: int
    highest_at_end: int
    censored: int
    with_onset: int
    compared: int
    first: int
    unresolved: int
    later: int
    median: float
    ci95: tuple[float, float]
    median_log: float
    log_ci95: tuple[float, float]


def leads(table: pd.DataFrame, size: float | None = None) -> Leads:
    """Count the runs of one size (or all) of a :func:`lead_table`, with their median lead."""
    part = table if size is None else table[table[LeadColumn.SIZE] == size]
    order = part[LeadColumn.ORDER].value_counts()
    compared = part[part[LeadColumn.ORDER] != ""]
    waiting = part[part[Column.CENSORED] & part[Column.PEAK].notna()]
    observed = compared[LeadColumn.LEAD].to_numpy()
    at_least = (waiting[Column.LAST_STEP] - waiting[Column.PEAK]).to_numpy()
    median, ci95 = median_with_interval(observed, at_least)
    median_log, log_ci95 = median_with_interval(
        compared[LeadColumn.LOG_LEAD].to_numpy(),
        np.log(waiting[Column.LAST_STEP] / waiting[Column.PEAK]),
    )
    return Leads(
        size=size,
        runs=len(part),
        with_peak=int(part[Column.PEAK].notna().sum()),
        highest_at_end=int(part[LeadColumn.HIGHEST_AT_END].sum()),
        censored=int(part[Column.CENSORED].sum()),
        with_onset=int(part[Column.ONSET].notna().sum()),
        compared=len(compared),
        **{name: int(order.get(name, 0)) for name in ("first", "unresolved", "later")},
        median=median,
        ci95=ci95,
        median_log=median_log,
        log_ci95=log_ci95,
    )


def median_with_interval(
    values: Floats, at_least: Floats | Sequence[float] = ()
) -> tuple[float, tuple[float, float]]:
    """Estimate the median and its 95 % interval, without assumptions on the distribution.

    Without censoring, the interval is between order statistics, from the binomial distribution of
    signs (coverage 95 % or more; at least 6 values).  With censored values, known only to exceed
    `at_least`, it is that of the log-log transform of the Kaplan-Meier estimate.
    """
    nothing = (float("nan"), float("nan"))
    if len(at_least):
        return censored_median(np.asarray(values), np.asarray(at_least, dtype=np.float64))
    if not values.size:
        return float("nan"), nothing
    ordered, n = np.sort(values), values.size
    k = int(stats.binom.ppf(0.025, n, 0.5))  # P(fewer than k of n below the median) <= 2.5 %
    interval = (float(ordered[k - 1]), float(ordered[n - k])) if k >= 1 else nothing
    return float(np.median(values)), interval


@dataclass(frozen=True)
class Precedes:
    """Share of runs in which the peak comes first, with p-values of tests against chance.

    `share` refers to the runs in which the order is decided.  `sign_p` and `wilcoxon_p` are the
    two-sided p-values of a zero lead; the latter for ln(onset / peak).  `strict_sign_p` is the sign
    test with open runs counted against the majority: censored runs with a peak as first, runs whose
    curve still rises at the end of the record as later.  `phase_null_p` is the larger of the two
    p-values in `phase_null`, see :func:`phase_null` (for a minority of peaks first: the p-value of
    as few at a random step).

    Runs of one configuration (size, fraction, weight decay) are not independent:
    `configurations_p` is the sign test of the median leads of at least 6 configurations, `each_p`
    the largest sign test of any of 2 to 5 configurations (NaN otherwise).  `between_sizes_p` is the
    p-value of equal probabilities of coming first at all sizes (permutation test).
    """

    runs: int
    share: float
    sign_p: float
    wilcoxon_p: float
    phase_null_p: float
    phase_null: dict[str, dict[str, float]]
    strict_sign_p: float
    configurations: int
    configurations_p: float
    each_p: float
    between_sizes_p: float


def records_of(obs: xr.Dataset, *, smoothing: float = SMOOTHING) -> dict[Any, tuple[float, float]]:
    """Find the first and last step of every run between which a peak can be detected.

    They are the first step after 0, and 2 widths of the smoothing before the end of the record: a
    later maximum would count as one at the end.
    """
    out = {}
    steps = obs["step"].transpose("run", "checkpoint").to_numpy()
    for run, row in zip(obs["run"].to_numpy(), steps, strict=True):
        used = row[np.isfinite(row) & (row > 0)]
        nonempty = used.size > 0
        last = used[-1] * np.exp(-2 * smoothing) if nonempty else np.nan
        out[run] = (float(used[0]), float(last)) if nonempty else (np.nan, np.nan)
    return out


def precedes(
    table: pd.DataFrame, records: dict[Any, tuple[float, float]], *, rng: np.random.Generator
) -> Precedes:
    """Test the order of peak and onset: sign test, Wilcoxon's test and the phase null.

    Parameters
    ----------
    table : DataFrame
        From :func:`lead_table`.
    records : dict
        From :func:`records_of`.
    rng : Generator
        Source of the permutations between sizes.

    Returns
    -------
    Precedes
        p-values are NaN where no run is decided.
    """
    decided = table[table[LeadColumn.ORDER].isin(["first", "later"])]
    first = int((decided[LeadColumn.ORDER] == "first").sum())
    n = len(decided)
    compared = table[table[LeadColumn.ORDER] != ""]
    null = phase_null(
        decided[Column.ONSET].to_numpy(),
        decided[Column.PEAK].to_numpy(),
        np.array([records[run] for run in decided[Column.RUN]]),
    )
    mostly_first = 2 * first > n
    chances = [null["steps"]["p"], null["log_steps"]["p"]]
    return Precedes(
        runs=n,
        share=first / n if n else float("nan"),
        sign_p=sign_test(first, n - first),
        wilcoxon_p=_wilcoxon(compared[LeadColumn.LOG_LEAD].to_numpy()),
        phase_null_p=max(chances) if mostly_first else null["steps"]["p_as_few"],
        phase_null=null,
        strict_sign_p=_strict_sign_test(table, first, n - first),
        configurations=decided[LeadColumn.CONFIGURATION].nunique(),
        configurations_p=_sign_test_of_medians(compared),
        each_p=_largest_sign_p(decided),
        between_sizes_p=_between_sizes(decided, rng),
    )


def _strict_sign_test(table: pd.DataFrame, first: int, later: int) -> float:
    """Sign test with the open runs counted in the minority."""
    if 2 * first > first + later:
        return sign_test(first, later + int((table[Column.RISING] & ~table[Column.CENSORED]).sum()))
    waiting = table[Column.CENSORED] & table[Column.PEAK].notna()
    return sign_test(first + int(waiting.sum()), later)


def _largest_sign_p(decided: pd.DataFrame) -> float:
    """Largest sign-test p of any configuration, if there are too few to test their medians."""
    count = decided[LeadColumn.CONFIGURATION].nunique()
    if not 2 <= count < FEWEST:
        return float("nan")
    overall = (decided[LeadColumn.ORDER] == "first").mean() > 0.5
    p_values = []
    for _, part in decided.groupby(LeadColumn.CONFIGURATION):
        first = int((part[LeadColumn.ORDER] == "first").sum())
        same = (2 * first > len(part)) == overall
        p_values.append(sign_test(first, len(part) - first) if same else 1.0)
    return max(p_values)


def _sign_test_of_medians(compared: pd.DataFrame) -> float:
    """Sign test on the median lead of every configuration; NaN below 6 of them."""
    medians = compared.groupby(LeadColumn.CONFIGURATION)[LeadColumn.LOG_LEAD].median()
    medians = medians[medians != 0]
    if len(medians) < FEWEST:
        return float("nan")
    return sign_test(int((medians > 0).sum()), int((medians < 0).sum()))


def sign_test(first: int, later: int) -> float:
    """Compute the two-sided p of the sign test; NaN without any run."""
    n = first + later
    return float(stats.binomtest(first, n).pvalue) if n else float("nan")


def phase_null(onsets: Floats, peaks: Floats, records: Floats) -> dict[str, dict[str, float]]:
    """Test the order against peaks at a random phase of each record.

        q = (onset - start) / (end - start)

    is the probability that a peak precedes the onset if its record is shifted cyclically by a
    random phase, spikes included, so that the highest maximum is equally likely at any step.  The
    p-value of as many runs with the peak first as observed follows exactly from the
    Poisson-binomial distribution.  In ln steps the phase starts at the second earliest peak of all
    runs, because the first steps, in which nothing happens yet, are most of a record in ln steps
    (the second, so that no single run decides).

    Parameters
    ----------
    onsets, peaks : ndarray (run)
        Steps.
    records : ndarray (run, 2)
        First and last step between which a peak can be detected.

    Returns
    -------
    dict
        "steps" and "log_steps", each with `expected_share`, the expected share of runs in which a
        peak at a random phase comes first, `p` for at least as many runs with the peak first as
        observed, and `p_as_few` for at most as many.
    """
    if not len(onsets):
        nothing = dict.fromkeys(("expected_share", "p", "p_as_few"), float("nan"))
        return {"steps": nothing, "log_steps": nothing}
    (start, end), first = np.asarray(records, dtype=np.float64).T, int(np.sum(peaks < onsets))
    free = (onsets - start) / np.maximum(end - start, 1e-9)
    earliest = np.sort(peaks)[min(1, peaks.size - 1)]
    length = np.log(np.maximum(end, onsets) / earliest)  # 0 if the record ends at that peak
    free_log = np.log(onsets / earliest) / np.maximum(length, 1e-9)
    return {
        name: {
            "expected_share": float(q.mean()),
            "p": _at_least(first, q),
            "p_as_few": _at_least(len(q) - first, 1 - q),
        }
        for name, q in (("steps", free.clip(0, 1)), ("log_steps", free_log.clip(0, 1)))
    }


def _at_least(k: int, q: Floats) -> float:
    """P(K >= k) for a sum K of independent Bernoulli(q)."""
    chances = np.ones(1)
    for p in q:
        chances = np.convolve(chances, [1 - p, p])
    return float(min(1.0, chances[k:].sum()))


def _wilcoxon(log_leads: Floats) -> float:
    moved = log_leads[log_leads != 0]
    return float(stats.wilcoxon(moved).pvalue) if moved.size else float("nan")


def _between_sizes(
    decided: pd.DataFrame, rng: np.random.Generator, permutations: int = 1999
) -> float:
    sizes, group = np.unique(decided[LeadColumn.SIZE].to_numpy(), return_inverse=True)
    first = np.asarray(decided[LeadColumn.ORDER] == "first", dtype=np.float64)
    if sizes.size < 2 or first.size == sizes.size:
        return float("nan")
    count = np.bincount(group)

    def spread(values: Floats) -> float:
        return float(np.sum(np.bincount(group, weights=values) ** 2 / count))

    observed = spread(first)
    chance = [spread(rng.permutation(first)) >= observed - 1e-9 for _ in range(permutations)]
    return float((1 + sum(chance)) / (1 + permutations))


# ---- one row per run: its peak, memorisation and onset -------------------------------------


class LeadColumn:
    """Columns of the table of leads beside those of the runs, the peak and `rising`."""

    SIZE = "size"
    CONFIGURATION = "configuration"  #: a number for every combination of settings, seeds apart
    HEIGHT = "height"  #: of the peak
    SPACING = "spacing"  #: of the checkpoints beside the peak, in steps
    HIGHEST_AT_END = "highest_at_end"  #: the curve is higher at an end, and has no peak
    LEAD = "lead"  #: onset - peak in steps
    LOG_LEAD = "log_lead"  #: ln(onset / peak)
    ORDER = "order"  #: "first", "later", "unresolved", or "" without a lead


def lead_table(
    events: Events, observable: str, layer: Any, head: int | str = AVERAGE
) -> pd.DataFrame:
    """List every run with its peak of one curve (rank 1, outside spikes).

    Parameters
    ----------
    events : Events
    observable : str
    layer : label of a layer
    head : int or "mean"

    Returns
    -------
    DataFrame
        One row per run in the order of ``events.runs``: its columns and

        * `size`, `configuration` (a number for every combination of size, fraction, weight decay
          and task), `peak_step`, `height`, `spacing`;
        * `highest_at_end`: the curve is higher at an end of its record, and has no peak;
        * `rising`: the record ends while the curve rises to its highest;
        * `lead` = onset - peak in steps, `log_lead` = ln(onset / peak);
        * `order`: "first", "later", "unresolved" (closer than the checkpoints beside the peak or
          the rows beside the onset), or "" without a lead.

    Raises
    ------
    ValueError
        If `events` lack the curve.
    """
    best = events.peak(observable, layer=layer, head=head).set_index(Column.RUN)
    table = events.runs.copy()
    table[LeadColumn.SIZE] = sizes_of(events.runs)
    names = [n for n in (LeadColumn.SIZE, "fraction", "weight_decay", "task") if n in table]
    table[LeadColumn.CONFIGURATION] = table.groupby(names, dropna=False, sort=True).ngroup()
    for name, column in (
        (Column.PEAK, Column.PEAK),
        (LeadColumn.HEIGHT, Column.HEIGHT),
        (LeadColumn.SPACING, Column.PEAK_SPACING),
    ):
        table[name] = table[Column.RUN].map(best[column]).astype(float)
    curves = events.curves_of(observable, layer, head).set_index(Column.RUN)
    for name, column in (
        (LeadColumn.HIGHEST_AT_END, Column.EDGE_MAXIMUM),
        (Column.RISING, Column.RISING),
    ):
        table[name] = table[Column.RUN].map(curves[column]).fillna(False).astype(bool)
    table[LeadColumn.LEAD] = table[Column.ONSET] - table[Column.PEAK]
    table[LeadColumn.LOG_LEAD] = np.log(table[Column.ONSET] / table[Column.PEAK])
    spacing = table[[LeadColumn.SPACING, Column.ONSET_SPACING]].max(axis=1)
    table[LeadColumn.ORDER] = order_of_events(table[LeadColumn.LEAD], spacing)
    return table
