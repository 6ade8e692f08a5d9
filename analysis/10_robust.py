"""Sets of sizes -> do order and verdict stand if choices are made otherwise?

Each variant changes one thing: how curves are smoothed, what counts as a maximum, which accuracy
gives the onset, which probe inputs or runs are used, and the margins of the classes.  The order is
corrected for all definitions of the study, but for trained and untrained inputs, of which the
landscape fluctuation alone ships.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xarray as xr
from study import OBSERVABLES, SEED, arguments, falls, note, write_json

import heatcap as hc
from heatcap.divergence import Margins, bound_by_keys
from heatcap.events import SMOOTHING

CANONICAL, LANDSCAPE, UNWEIGHTED = (
    "heat_capacity",
    "landscape_heat_capacity_fixed",
    "unweighted_heat_capacity",
)
ASKED = (CANONICAL, LANDSCAPE, UNWEIGHTED)
OF_SOME_INPUTS = (LANDSCAPE,)  # ships for trained and for untrained inputs
LARGE = 79  # from here on generalisation hardly waits for memorisation at 70 %

Some = Callable[[xr.Dataset], Any]


def main() -> None:
    given = arguments(__doc__ or "", "observables")
    obs = hc.load(given.observables)
    found = {}
    for name, change in VARIANTS.items():
        events, audit = audited(obs, **change)
        found[name] = answers(obs, events, audit)
        if not change:  # of the verdict alone
            found["without the bound of the keys"] = answers(obs, events, audit, bounded=False)
            for other, margins in MARGINS.items():
                found[other] = answers(obs, events, audit, margins)
        note(f"{given.observables.stem}: {name}")
    write_json(given.output, {"variants": found}, [given.observables])


def audited(
    obs: xr.Dataset, *, runs: Some | None = None, without: str = "", **options: Any
) -> tuple[hc.Events, hc.Audit]:
    """Events and audit of some runs, without a metric, with options of :func:`find_events`."""
    obs = obs if runs is None else obs.isel(run=runs(obs))
    obs = obs.drop_vars(without) if without else obs
    names = OBSERVABLES if options.get("inputs", "all") == "all" else OF_SOME_INPUTS
    events = hc.find_events(obs, *names, **options)
    return events, hc.audit_leads(obs, events, rng=SEED)


def answers(
    obs: xr.Dataset,
    events: hc.Events,
    audit: hc.Audit,
    margins: Margins | None = None,
    *,
    bounded: bool = True,
) -> dict[str, Any]:
    """Order and verdict of every definition that is asked for."""
    rows = {}
    for name in (each for each in ASKED if each in audit.leads):
        lead = audit.leads[name]
        bound = bound_by_keys(obs) if bounded and name == CANONICAL else None
        row: dict[str, Any] = {
            "first": lead.pooled.first,
            "unresolved": lead.pooled.unresolved,
            "later": lead.pooled.later,
            "order": lead.order,
            "precursor": lead.precursor,
        }
        try:
            verdict = hc.verdict_of_runs(events, name, bound=bound, margins=margins, rng=SEED)
            row |= {"verdict": verdict.verdict, "plausible": list(verdict.plausible)}
            row |= {"if_no_crossover": list(verdict.if_no_crossover), "falls": falls(verdict)}
        except ValueError as problem:
            row |= {"verdict": None, "plausible": [], "message": str(problem)}
        rows[name] = row
    return rows


VARIANTS: dict[str, dict[str, Any]] = {
    "as in the study": {},
    "half the smoothing": {"smoothing": SMOOTHING / 2},
    "twice the smoothing": {"smoothing": SMOOTHING * 2},
    "maxima from a prominence of 20 %": {"min_prominence": 0.2},
    "onset of the plain test accuracy": {"without": "mirror_free_accuracy"},
    "trained inputs": {"inputs": "trained"},
    "untrained inputs": {"inputs": "untrained"},
    "seeds of even number": {"runs": lambda obs: obs["seed"].values % 2 == 0},
    "seeds of odd number": {"runs": lambda obs: obs["seed"].values % 2 == 1},
    "without the smallest size": {
        "runs": lambda obs: obs["size"].values > obs["size"].values.min()
    },
    "without the largest size": {"runs": lambda obs: obs["size"].values < obs["size"].values.max()},
    f"sizes below {LARGE}": {"runs": lambda obs: obs["size"].values < LARGE},
}
MARGINS = {
    "power laws from κ = 0.2": Margins(kappa_min=0.2),
    "power laws from κ = 0.05": Margins(kappa_min=0.05),
    "bounded by 4 times the heights": Margins(saturation_ratio=4.0),
}


if __name__ == "__main__":
    main()
