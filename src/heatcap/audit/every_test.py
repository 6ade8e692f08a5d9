"""Audit all leads: every test for every observable, with the look-elsewhere correction.

`audit_leads` makes the tests of :mod:`heatcap.audit.lead_tests`, :mod:`heatcap.audit.clocks` and
:mod:`heatcap.audit.artefacts`.  `holm` corrects the sign tests for the number of observables;
`max_statistic` tests the pairing of peaks and onsets against the best of all curves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from heatcap.audit.artefacts import bound, controls, offset_share, random_energy_ratio, spike_share
from heatcap.audit.clocks import clock
from heatcap.audit.lead_tests import LeadColumn, lead_table, leads, precedes, records_of, sign_test
from heatcap.audit.result import Audit, LeadAudit, LookElsewhere, against, conclude, order_of
from heatcap.core.arrays import Floats
from heatcap.core.quantities import BOUND
from heatcap.events import (
    AVERAGE,
    PROPER,
    Column,
    Events,
    find_events,
    onset_survival,
    peaks_by_size,
    proper_of,
)

__all__ = [
    "audit_leads",
    "holm",
    "max_statistic",
]

Place = tuple[str, Any]

METRICS_OF = {
    "train_loss": "spikes",
    "train_accuracy": "memorisation and onset",
    "test_accuracy": "onset",
}


def audit_leads(
    obs: xr.Dataset,
    events: Events | None = None,
    *,
    rng: int | np.random.Generator = 0,
) -> Audit:
    """Test the leads of all peaks against nulls and controls.

    Parameters
    ----------
    obs : Dataset
        Observables of all runs.
    events : Events, optional
        Result of :func:`heatcap.find_events` for `obs`; made here with default options if left
        out.  Every observable, layer and head in it is part of the look-elsewhere correction.
    rng : int or Generator
        Source of the permutations; equal seeds give equal results.

    Returns
    -------
    Audit

    Raises
    ------
    ValueError
        If `obs` lacks what :func:`heatcap.find_events` needs, or a run of `events`, or all runs are
        controls.
    """
    if not isinstance(obs, xr.Dataset):
        raise ValueError(
            f"expected the observables first, then the events; got {type(obs).__name__}"
        )
    events = find_events(obs) if events is None else events
    if events.proper.empty:
        groups = ", ".join(sorted(events.controls))
        raise ValueError(f"all runs are controls ({groups}); an audit of leads needs other runs")
    missing = set(events.runs[Column.RUN]) - set(obs["run"].to_numpy().tolist())
    if missing:
        named = ", ".join(sorted(map(str, missing)))
        raise ValueError(f"observables lack runs that the events have: {named}")
    seed = int(np.random.default_rng(rng).integers(2**63)) if not isinstance(rng, int) else rng
    curves = events.table[[Column.OBSERVABLE, Column.LAYER, Column.HEAD]].drop_duplicates()
    tables = {
        (str(name), layer, str(head)): lead_table(events, name, layer, head)
        for name, layer, head in curves.itertuples(index=False)
    }
    elsewhere = _look_elsewhere(tables, np.random.default_rng(seed))
    records = records_of(obs, smoothing=events.settings["smoothing"])
    names, out = events.names(), {}
    for (name, layer), correction in elsewhere.items():
        audit = _audit_one(
            obs, events, tables[name, layer, AVERAGE], name, layer, records, correction, seed
        )
        key = names[name, layer]
        out[key] = replace(audit, conclusion=conclude(key, audit))
    settings = events.settings | {"seed": seed}
    return Audit(out, events.runs, onset_survival(events), _not_tested(obs, events), settings)


def _audit_one(
    obs: xr.Dataset,
    events: Events,
    table: pd.DataFrame,
    name: str,
    layer: Any,
    records: dict[Any, tuple[float, float]],
    correction: LookElsewhere,
    seed: int,
) -> LeadAudit:
    # A random stream for each observable, so that its result does not depend on the others.
    rng = np.random.default_rng([seed, *f"{name}, layer {layer}".encode()])
    proper = proper_of(table)
    where = {"query": events.settings["query"], "inputs": events.settings["inputs"]}
    sizes = np.unique(proper[LeadColumn.SIZE].dropna())
    audit = LeadAudit(
        observable=name,
        layer=layer,
        pooled=leads(proper),
        by_size=[leads(proper, float(size)) for size in sizes],
        precedes=precedes(proper, records, rng=rng),
        clock=clock(proper),
        spikes=spike_share(events, name, layer),
        controls=controls(table, rng=rng),
        bound=bound(obs, proper, name, query=where["query"]),
        offset=offset_share(obs, proper, name, layer, **where),
        random_energy=random_energy_ratio(obs, proper, name, layer, **where),
        look_elsewhere=correction,
        peaks=peaks_by_size(events, name, layer=layer, rng=rng),
        other_maxima=_other_maxima(events, name, layer, set(proper[Column.RUN])),
    )
    audit = replace(audit, order=order_of(audit.precedes, correction.holm_p))
    return replace(audit, against=against(audit))


def _other_maxima(events: Events, name: str, layer: Any, runs: set[Any]) -> dict[str, int]:
    t = events.maxima(name, layer=layer)
    lower = (t[Column.RANK] > 1).fillna(False) & ~t[Column.AT_SPIKE].fillna(True)
    places = t[t[Column.RUN].isin(runs) & lower].groupby(Column.PLACE)
    return {str(place): int(n) for place, n in places[Column.RUN].nunique().items()}


def _look_elsewhere(
    tables: dict[tuple[str, Any, str], pd.DataFrame], rng: np.random.Generator
) -> dict[Place, LookElsewhere]:
    counted = {key: leads(proper_of(table)) for key, table in tables.items()}
    sign = {key: sign_test(c.first, c.later) for key, c in counted.items()}
    pairing = _pairing(tables, rng)
    means = [key for key in tables if key[2] == AVERAGE]
    heads = [key for key in tables if key[2] != AVERAGE]
    adjusted = _holm_by_curve({key: sign[key] for key in means}) | _holm_by_curve(
        {key: sign[key] for key in heads}
    )
    out = {}
    for name, layer, _ in means:
        heads_here = [key for key in heads if key[:2] == (name, layer)]
        rows = [
            {
                "head": key[2],
                "compared": counted[key].compared,
                "first": counted[key].first,
                "unresolved": counted[key].unresolved,
                "later": counted[key].later,
                "median_lead": counted[key].median,
                "sign_p": sign[key],
                "holm_p": adjusted[key],
                "max_statistic_p": pairing[key],
            }
            for key in heads_here
        ]
        mean = (name, layer, AVERAGE)
        out[name, layer] = LookElsewhere(
            len(means), len(tables), adjusted[mean], pairing[mean], rows
        )
    return out


def _holm_by_curve(
    p_values: dict[tuple[str, Any, str], float],
) -> dict[tuple[str, Any, str], float]:
    return dict(zip(p_values, holm(np.array(list(p_values.values()))).tolist(), strict=True))


def _pairing(
    tables: dict[tuple[str, Any, str], pd.DataFrame], rng: np.random.Generator
) -> dict[tuple[str, Any, str], float]:
    """Max-statistic p of every curve, over the treatment runs that have an onset."""
    first = next(iter(tables.values()))
    selected = ((first[Column.GROUP] == PROPER) & first[Column.ONSET].notna()).to_numpy()
    if selected.sum() < 3:
        return dict.fromkeys(tables, float("nan"))
    peaks = np.log(
        np.array([t[Column.PEAK].to_numpy(dtype=np.float64)[selected] for t in tables.values()])
    )
    onsets = np.log(first[Column.ONSET].to_numpy(dtype=np.float64)[selected])
    p_values = max_statistic(
        peaks, onsets, first[LeadColumn.CONFIGURATION].to_numpy()[selected], rng=rng
    )
    return dict(zip(tables, p_values.tolist(), strict=True))


def _not_tested(obs: xr.Dataset, events: Events) -> list[str]:
    """Tests that the record does not allow, each with what is missing."""
    lacks = []
    if not events.controls:
        lacks.append("controls (no runs with random labels or weight decay 0)")
    if BOUND not in obs:
        lacks.append("bound, offset and random-energy null (no keys in the record)")
    if "probe_size" not in obs:
        lacks.append("errors of the probe (no probe in the record)")
    for metric, test in METRICS_OF.items():
        if metric not in obs or not np.isfinite(obs[metric].to_numpy()).any():
            lacks.append(f"{test} (no {metric.replace('_', ' ')})")
    if events.runs[Column.MIRROR_LEAK].isna().all():
        recorded = "mirror_free_accuracy" in obs or "fraction" in events.runs
        why = (
            "no plateau behind memorisation" if recorded else "no mirror-free accuracy, no fraction"
        )
        lacks.append(f"mirror leak ({why})")
    return lacks


# ---- look-elsewhere: one of many curves will peak before the onset -------------------------

ROUNDING = 1e-9  # differences of statistics, standardised or not, that count as zero


def holm(p_values: Floats) -> Floats:
    """Adjust p-values by Holm's step-down correction; NaN (a test not made) stays NaN."""
    from statsmodels.stats.multitest import multipletests

    out = np.full(len(p_values), np.nan)
    made = np.isfinite(p_values)
    if made.any():
        out[made] = multipletests(np.asarray(p_values)[made], method="holm")[1]
    return out


def max_statistic(
    log_peaks: Floats,
    log_onsets: Floats,
    configurations: Floats,
    *,
    rng: np.random.Generator,
    permutations: int = 999,
) -> Floats:
    """Test the tie of peaks to onsets, corrected for the number of curves.

        statistic = -ln sd(l),    l = ln(onset / peak) over the runs of a curve

    The onsets are permuted between runs, within configurations where these have several: that
    widens sd(l) if peak and onset belong together, whichever comes first.  The statistic of every
    curve is standardised by its mean and standard deviation under permutation; p is the share of
    permutations in which the largest of all curves reaches the observed value of this one, which
    accounts for their number and dependence.

    Parameters
    ----------
    log_peaks : ndarray (curve, run)
        NaN where a run has no peak.
    log_onsets, configurations : ndarray (run)
        Onsets without NaN: censored runs must be left out.
    rng : Generator
    permutations : int

    Returns
    -------
    ndarray (curve)
        p-values; NaN for curves with fewer than 3 runs.
    """
    order = np.argsort(configurations, kind="stable")
    log_peaks, log_onsets, configurations = (
        log_peaks[:, order],
        log_onsets[order],
        configurations[order],
    )
    strata = _strata(configurations)
    observed = _closeness(log_onsets - log_peaks)
    if not strata or not np.isfinite(observed).any():
        return np.full(log_peaks.shape[0], np.nan)
    drawn = np.empty((permutations, observed.size))
    shuffled = log_onsets.copy()
    for row in drawn:
        for stratum in strata:
            shuffled[stratum] = rng.permutation(log_onsets[stratum])
        row[:] = _closeness(shuffled - log_peaks)
    every = np.vstack([observed, drawn])  # the observed order is one of the permutations
    spread = every.std(axis=0)
    # Peaks at one step in all runs are equally close in every permutation, up to rounding.
    every = (every - every.mean(axis=0)) / np.where(spread > ROUNDING, spread, np.inf)
    best = np.nanmax(every[:, np.isfinite(observed)], axis=1)
    p = (best[:, None] >= every[0] - ROUNDING).mean(axis=0)
    return np.where(np.isfinite(observed), p, np.nan)


def _strata(configurations: Floats) -> list[slice]:
    """Slices of runs with equal configuration, or all runs if no configuration has two."""
    _, start, count = np.unique(configurations, return_index=True, return_counts=True)
    if count.max(initial=0) >= 2:
        return [slice(s, s + n) for s, n in zip(start, count, strict=True) if n >= 2]
    return [slice(0, configurations.size)] if configurations.size >= 2 else []


def _closeness(leads: Floats) -> Floats:
    """-ln sd of leads (curve, run); NaN for fewer than 3 runs."""
    n = np.isfinite(leads).sum(axis=1)
    mean = np.where(np.isfinite(leads), leads, 0.0).sum(axis=1) / np.maximum(n, 1)
    off = np.where(np.isfinite(leads), leads - mean[:, None], 0.0)
    sd = np.sqrt((off**2).sum(axis=1) / np.maximum(n - 1, 1))
    # The floor keeps identical leads at a finite closeness.
    return np.where(n >= 3, -np.log(np.maximum(sd, 1e-6)), np.nan)
