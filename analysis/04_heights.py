"""One set -> does the height of the peak diverge, for every definition and what is called the size.

The size is p, or the number of visible keys n; and what grows with it: the entropy of the uniform
row, ln p or ln n, and the number of inputs that are trained on.  These are other names for the same
heights: an exponent counts only together with the variable it belongs to.

The highest maximum of a curve need not be the same peak at every size.  So each definition is also
asked for the maxima at one place alone (branches), and all are asked again for the sizes with a
delay, where the onset comes several times later than memorisation.

Heights that fall with the size answer nothing on divergence, which is marked; a set whose largest
sizes have one run each, unsolved, has no verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from study import OBSERVABLES, SEED, arguments, draw, falls, note, write_json

import heatcap as hc
from heatcap import figures
from heatcap.divergence import bound_by_keys
from heatcap.events import LEAST_FINAL, Column, Events, proper_of

CANONICAL, LANDSCAPE = "heat_capacity", "landscape_heat_capacity_fixed"
BEFORE = ("before onset", "after memorisation")  # the latter where there is no onset
BRANCHES = {
    f"{CANONICAL}, before memorisation": (CANONICAL, ("before memorisation",)),
    f"{CANONICAL}, after the onset": (CANONICAL, ("after onset",)),
    f"{LANDSCAPE}, memorisation to onset": (LANDSCAPE, BEFORE),
    f"{LANDSCAPE}, after the onset": (LANDSCAPE, ("after onset",)),
}
DELAY = 3.0  # onset over memorisation, median of the runs of a size
Variable = Callable[[pd.DataFrame], Any]


def main() -> None:
    given = arguments(__doc__ or "", "observables")
    obs = hc.load(given.observables)
    events = with_branches(hc.find_events(obs, *OBSERVABLES))
    stem = given.output.name.split(".")[0]
    own = str(events.runs["size_name"].iloc[0])
    bound, why = bound_by_keys(obs), why_not(events.runs)
    found: dict[str, Any] = {}
    drawings = {}
    for variable, value in variables(own).items():
        runs = events.runs.assign(size=value(events.runs), size_name=variable)
        sized = replace(events, runs=runs)
        asked = (*OBSERVABLES, *(BRANCHES if variable == own else ()))
        verdicts = {name: _verdict(sized, name, bound, variable == own, why) for name in asked}
        found[variable] = {name: numbers for name, (numbers, _) in verdicts.items()}
        note(f"{stem}, {variable}: {[numbers['verdict'] for numbers, _ in verdicts.values()]}")
        if variable == own:
            drawings = {
                f"verdict_{stem}_{name}": figures.verdict(
                    each, name=name.replace("_", " "), head=True
                )
                for name, (_, each) in verdicts.items()
                if each is not None and name in OBSERVABLES
            }
    late = delayed(events.runs)
    some = replace(events, runs=events.runs[events.runs["size"].isin(late)])
    content = {
        "size": own,
        "verdicts": found,
        "places": {name: places(events, name) for name in OBSERVABLES},
        "delayed": {
            "least_ratio": DELAY,
            "sizes": late,
            "verdicts": {name: _verdict(some, name, bound, True, why)[0] for name in OBSERVABLES},
        },
        "figures": draw(drawings, given.output),
    }
    write_json(given.output, content, [given.observables])


def _verdict(
    events: Events, name: str, bound: Any, of_keys: bool, why: str
) -> tuple[dict[str, Any], hc.Verdict | None]:
    """The numbers of a verdict, and the verdict, or why there is none."""
    if why:
        return {"verdict": None, "message": why}, None
    limit = bound if name.split(",")[0] == CANONICAL and of_keys else None
    try:
        verdict = hc.verdict_of_runs(events, name, bound=limit, rng=SEED)
    except ValueError as problem:
        return {"verdict": None, "message": str(problem)}, None
    return _numbers(verdict), verdict


def why_not(runs: pd.DataFrame) -> str:
    """Why the heights of a set determine nothing; empty where they may."""
    proper = proper_of(runs)
    largest = proper[proper["size"].isin(sorted(proper["size"].unique())[-2:])]
    if len(largest) > 2 or (largest[Column.FINAL] >= LEAST_FINAL).any():
        return ""
    sizes = " and ".join(f"{size:g}" for size in sorted(largest["size"]))
    return f"one run each at {sizes}, and it had not solved the task"


def delayed(runs: pd.DataFrame) -> list[float]:
    """Sizes with a median onset of several times the median memorisation."""
    proper = proper_of(runs)
    medians = proper.groupby("size")[[Column.ONSET, Column.MEMORISED]].median()
    ratio = medians[Column.ONSET] / medians[Column.MEMORISED]
    return [float(size) for size in ratio.index[ratio >= DELAY]]


def places(events: Events, name: str) -> dict[str, dict[str, int]]:
    """Where the peak lies, counted for every size of the runs proper."""
    peaks = events.peak(name).merge(events.proper[[Column.RUN]], on=Column.RUN)
    return {
        f"{size:g}": {str(place): int(n) for place, n in part[Column.PLACE].value_counts().items()}
        for size, part in peaks.groupby("size")
    }


def variables(own: str) -> dict[str, Variable]:
    """What is called the size, as a function of the runs."""
    if own == "p":
        return {
            "p": lambda runs: runs["size"],
            "ln p": lambda runs: np.log(runs["size"]),
            "trained inputs": lambda runs: np.round(runs["fraction"] * runs["size"] ** 2),
        }
    return {own: lambda runs: runs["size"], f"ln {own}": lambda runs: np.log(runs["size"])}


def with_branches(events: Events) -> Events:
    """The highest maximum at each place as a curve of its own, even if it is higher elsewhere."""
    tables = [events.table]
    for branch, (name, where) in BRANCHES.items():
        maxima = events.maxima(name)
        maxima = maxima[maxima[Column.PLACE].isin(where)].sort_values(Column.RANK)
        first = maxima.groupby(Column.RUN, sort=False).head(1)
        tables.append(first.assign(observable=branch, rank=1, edge_maximum=False))
    return replace(events, table=pd.concat(tables, ignore_index=True))


def _numbers(verdict: hc.Verdict) -> dict[str, Any]:
    """The verdict without what depends on the clock or is drawn alone."""
    content = verdict.to_dict()
    left_out = ("seconds", "models", "curves", "predictions", "stability", "schema_version")
    kept = {k: v for k, v in content.items() if k not in (*left_out, "crossover")}
    return kept | {"meaning": verdict.meaning, "falls": falls(verdict)}


if __name__ == "__main__":
    main()
