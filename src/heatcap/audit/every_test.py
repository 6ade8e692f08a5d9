"""The audit of leads: every test of one observable, put together."""

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
    """Hold the leads of all peaks against the nulls and controls that a referee would ask for.

    Parameters
    ----------
    obs : Dataset
        Observables of all runs.
    events : Events, optional
        Made by :func:`heatcap.find_events` from `obs`; found here with default options if left
        out.  Every observable, layer and head in it is part of the look-elsewhere correction.
    rng : int or Generator
        For permutations; equal seeds give equal results.

    Returns
    -------
    Audit

    Raises
    ------
    ValueError
        If `obs` lack what :func:`heatcap.find_events` needs, or a run of `events`.
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
    every = _tables(events)
    elsewhere = _look_elsewhere(every, np.random.default_rng(seed))
    records = records_of(obs, smoothing=events.settings["smoothing"])
    names, out = events.names(), {}
    for (name, layer), looked in elsewhere.items():
        audit = _audit_one(
            obs, events, every[name, layer, AVERAGE], name, layer, records, looked, seed
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
    looked: LookElsewhere,
    seed: int,
) -> LeadAudit:
    # A stream of its own: what is found in one observable does not depend on the others.
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
        look_elsewhere=looked,
        peaks=peaks_by_size(events, name, layer=layer, rng=rng),
        other_maxima=_other_maxima(events, name, layer, set(proper[Column.RUN])),
    )
    audit = replace(audit, order=order_of(audit.precedes, looked.holm_p))
    return replace(audit, against=against(audit))


def _other_maxima(events: Events, name: str, layer: Any, runs: set[Any]) -> dict[str, int]:
    t = events.maxima(name, layer=layer)
    lower = (t[Column.RANK] > 1).fillna(False) & ~t[Column.AT_SPIKE].fillna(True)
    places = t[t[Column.RUN].isin(runs) & lower].groupby(Column.PLACE)
    return {str(place): int(n) for place, n in places[Column.RUN].nunique().items()}


def _tables(events: Events) -> dict[tuple[str, Any, str], pd.DataFrame]:
    """Lead tables of every curve, in the order of the events."""
    curves = events.table[[Column.OBSERVABLE, Column.LAYER, Column.HEAD]].drop_duplicates()
    return {
        (str(name), layer, str(head)): lead_table(events, name, layer, head)
        for name, layer, head in curves.itertuples(index=False)
    }


def _look_elsewhere(
    every: dict[tuple[str, Any, str], pd.DataFrame], rng: np.random.Generator
) -> dict[Place, LookElsewhere]:
    counted = {key: leads(proper_of(table)) for key, table in every.items()}
    sign = {key: sign_test(c.first, c.later) for key, c in counted.items()}
    pairing = _pairing(every, rng)
    means = [key for key in every if key[2] == AVERAGE]
    heads = [key for key in every if key[2] != AVERAGE]
    adjusted = _holm({key: sign[key] for key in means}) | _holm({key: sign[key] for key in heads})
    out = {}
    for name, layer, _ in means:
        own = [key for key in heads if key[:2] == (name, layer)]
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
            for key in own
        ]
        mean = (name, layer, AVERAGE)
        out[name, layer] = LookElsewhere(
            len(means), len(every), adjusted[mean], pairing[mean], rows
        )
    return out


def _holm(p_values: dict[tuple[str, Any, str], float]) -> dict[tuple[str, Any, str], float]:
    return dict(zip(p_values, holm(np.array(list(p_values.values()))).tolist(), strict=True))


def _pairing(
    every: dict[tuple[str, Any, str], pd.DataFrame], rng: np.random.Generator
) -> dict[tuple[str, Any, str], float]:
    """Max-statistic p of every curve, over the runs proper that have an onset."""
    one = next(iter(every.values()))
    kept = ((one[Column.GROUP] == PROPER) & one[Column.ONSET].notna()).to_numpy()
    if kept.sum() < 3:
        return dict.fromkeys(every, float("nan"))
    peaks = np.log(
        np.array([t[Column.PEAK].to_numpy(dtype=np.float64)[kept] for t in every.values()])
    )
    onsets = np.log(one[Column.ONSET].to_numpy(dtype=np.float64)[kept])
    found = max_statistic(peaks, onsets, one[LeadColumn.CONFIGURATION].to_numpy()[kept], rng=rng)
    return dict(zip(every, found.tolist(), strict=True))


def _not_tested(obs: xr.Dataset, events: Events) -> list[str]:
    """What the record lacks for a test, in words."""
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
        known = "mirror_free_accuracy" in obs or "fraction" in events.runs
        why = "no plateau behind memorisation" if known else "no mirror-free accuracy, no fraction"
        lacks.append(f"mirror leak ({why})")
    return lacks


# ---- look-elsewhere: one of many curves will peak before the onset -------------------------

ROUNDING = 1e-9  # of statistics and of standardised ones: differences that are none


def holm(p_values: Floats) -> Floats:
    """Holm's correction: adjusted p-values, NaN where p is NaN (a test that was not made)."""
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
    """Chance that the best of all curves ties its peak to the onset as closely as this one.

    The statistic of a curve is how little l = ln(onset / peak) scatters over its n runs, -ln sd(l).
    The onsets are permuted between runs, within configurations where these have several: that
    widens sd(l) if peak and onset belong together, whichever comes first.  Every curve is measured
    in its own mean and standard deviation under permutation, and the largest of all curves in each
    permutation takes account of their number and dependence.

    Parameters
    ----------
    log_peaks : ndarray (curve, run)
        NaN where a run has no peak.
    log_onsets, configurations : ndarray (run)
        Onsets without NaN: censored runs have no place here.

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
    seen = _closeness(log_onsets - log_peaks)
    if not strata or not np.isfinite(seen).any():
        return np.full(log_peaks.shape[0], np.nan)
    drawn = np.empty((permutations, seen.size))
    shuffled = log_onsets.copy()
    for row in drawn:
        for stratum in strata:
            shuffled[stratum] = rng.permutation(log_onsets[stratum])
        row[:] = _closeness(shuffled - log_peaks)
    every = np.vstack([seen, drawn])  # the order that is there is one of the permutations
    spread = every.std(axis=0)
    # Peaks at one step in all runs are equally close in every order, but for rounding.
    every = (every - every.mean(axis=0)) / np.where(spread > ROUNDING, spread, np.inf)
    best = np.nanmax(every[:, np.isfinite(seen)], axis=1)
    p = (best[:, None] >= every[0] - ROUNDING).mean(axis=0)
    return np.where(np.isfinite(seen), p, np.nan)


def _strata(configurations: Floats) -> list[slice]:
    """Runs of equal configuration, or all runs where none has two."""
    _, start, count = np.unique(configurations, return_index=True, return_counts=True)
    if count.max(initial=0) >= 2:
        return [slice(s, s + n) for s, n in zip(start, count, strict=True) if n >= 2]
    return [slice(0, configurations.size)] if configurations.size >= 2 else []


def _closeness(leads: Floats) -> Floats:
    n = np.isfinite(leads).sum(axis=1)
    mean = np.where(np.isfinite(leads), leads, 0.0).sum(axis=1) / np.maximum(n, 1)
    off = np.where(np.isfinite(leads), leads - mean[:, None], 0.0)
    sd = np.sqrt((off**2).sum(axis=1) / np.maximum(n - 1, 1))
    # A floor: identical leads are not infinitely close.
    return np.where(n >= 3, -np.log(np.maximum(sd, 1e-6)), np.nan)
