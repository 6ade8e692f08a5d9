"""Two sets -> what the literature measured, beside these runs: the pooled variance, canonical C.

The pooled logit variance takes the mean logit of every head, which ships for data/grokking alone:
the mean energy is free energy less potential, the pooled variance that within heads plus that
between them.  Exact where all inputs see as many keys, as in addition.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from study import POOLED, SEED, arguments, draw, write_json

import heatcap as hc
from heatcap import figures
from heatcap.events import Column

CANONICAL, UNWEIGHTED = "heat_capacity", "unweighted_heat_capacity"


def main() -> None:
    given = arguments(__doc__ or "", "grokking", "delayed")
    obs = hc.load(given.grokking)
    obs = obs.assign({POOLED: pooled(obs)})
    events = hc.find_events(obs, CANONICAL, UNWEIGHTED, POOLED)
    audit = hc.audit_leads(obs, events, rng=SEED)
    content = audit.to_dict()
    drawn = draw(
        {"leads_pooled": figures.leads(audit, events, observables=[POOLED, CANONICAL])},
        given.output,
    )
    write_json(
        given.output,
        {
            "runs": content["runs"],
            "observables": content["observables"],
            "counts": events.counts().replace({np.nan: None}).to_dict("records"),
            "within_heads": within_heads(obs, events),
            "plateau": plateaus(hc.load(given.delayed)),
            "figures": drawn,
        },
        [given.grokking, given.delayed],
    )


def pooled(obs: xr.Dataset) -> xr.DataArray:
    """Variance of all logits of one layer and query at once (run, checkpoint)."""
    if "fisher_potential" not in obs:
        raise ValueError("observables lack 'fisher_potential'; `heatcap observe --geometry` has it")
    one = obs.sel(inputs="all").squeeze(["layer", "query"], drop=True)
    mean, within = one["free_energy"] - one["fisher_potential"], one[UNWEIGHTED]
    between = mean.var("head", skipna=False)
    return (within.mean("head", skipna=False) + between).transpose("run", "checkpoint")


def within_heads(obs: xr.Dataset, events: hc.Events) -> dict[str, float]:
    """Share of the pooled variance at its peak that is left with one mean for each head."""
    share = obs[UNWEIGHTED].sel(inputs="all").isel(layer=0, query=-1).mean("head") / obs[POOLED]
    peaks = events.peak(POOLED).set_index(Column.RUN)[Column.PEAK]
    found = []
    for run, at in peaks.items():
        off = abs(obs["step"].sel(run=run).to_numpy() - at)
        found.append(share.sel(run=run).to_numpy()[np.nanargmin(off)])
    return {"runs": len(found), "median": float(np.median(found)), "low": float(min(found))}


def plateaus(obs: xr.Dataset) -> list[dict[str, Any]]:
    """Canonical C midway between memorisation and onset and at the end, and when it rises.

    Medians over the runs of a size with an onset; midway in ln step.  The rise is the first passage
    after that point of the middle between the two values, in steps after the onset.
    """
    runs = hc.find_events(obs, CANONICAL).proper
    runs = runs[runs[Column.ONSET].notna()]
    curves = obs[CANONICAL].sel(inputs="all").isel(layer=0, query=-1).mean("head")
    rows = []
    for _, part in runs.groupby("size"):
        found = np.array([_plateau(obs, curves, run) for run in part.to_dict("records")])
        low, end, rise = np.nanmedian(found, axis=0).tolist()
        row = {
            "size": float(part["size"].iloc[0]),
            "runs": len(part),
            "onset": float(part[Column.ONSET].median()),
        }
        rows.append(row | {"plateau": low, "end": end, "rise_after_onset": rise})
    return rows


def _plateau(obs: xr.Dataset, curves: xr.DataArray, run: dict[Any, Any]) -> tuple[float, ...]:
    step, curve = obs["step"].sel(run=run["run"]).values, curves.sel(run=run["run"]).values
    known = np.isfinite(step) & np.isfinite(curve) & (step > 0)
    step, curve = step[known], curve[known]
    middle = np.sqrt(run[Column.MEMORISED] * run[Column.ONSET])
    low, end = float(np.interp(np.log(middle), np.log(step), curve)), float(curve[-1])
    above = np.flatnonzero((step > middle) & (curve >= (low + end) / 2))
    return low, end, float(step[above[0]] - run[Column.ONSET]) if above.size else float("nan")


if __name__ == "__main__":
    main()
