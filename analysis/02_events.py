"""One set -> its events: counts for every definition, by size, and the table of all peaks."""

from __future__ import annotations

from typing import Any

import numpy as np
from study import OBSERVABLES, arguments, draw, write_json

import heatcap as hc
from heatcap import figures
from heatcap.events import Column, onset_survival

COLUMNS = 5  # of sizes, that fit a page
SEEDS = 5  # lines of more runs lie on one another


def main() -> None:
    given = arguments(__doc__ or "", "observables")
    obs = hc.load(given.observables)
    events = hc.find_events(obs, *OBSERVABLES)
    events.to_csv(given.output.with_suffix(".csv"))
    runs = events.runs
    counts = events.counts().replace({np.nan: None}).to_dict("records")
    drawn = _draw(obs, given.output)
    write_json(
        given.output,
        {
            "settings": events.settings,
            "runs": len(runs),
            "groups": runs[Column.GROUP].value_counts().to_dict(),
            "size_name": str(runs["size_name"].iloc[0]),
            "sizes": sorted(runs["size"].unique().tolist()),
            "by_size": _by_size(events.proper),
            "control_sizes": [f"{size:g}" for size in _sizes_of_controls(events)],
            "counts": counts,
            "onsets": onset_survival(events).to_dict(),
            "figures": drawn,
        },
        [given.observables],
    )


def _sizes_of_controls(events: hc.Events) -> list[float]:
    return sorted({size for runs in events.controls.values() for size in runs["size"]})


def _by_size(proper: Any) -> list[dict[str, Any]]:
    """Runs, onsets and the median times, of the runs proper at every size."""
    rows = []
    for size, part in proper.groupby("size"):
        known = part[Column.ONSET].dropna()
        rows.append(
            {
                "size": float(size),
                "runs": len(part),
                "with_onset": len(known),
                "memorisation": _median(part[Column.MEMORISED]),
                "accuracy_at_memorisation": _median(part[Column.BASELINE]),
                "final_accuracy": _median(part[Column.FINAL]),
                "onset": _median(known),
                "onset_lowest": _or_none(known.min()),
                "onset_highest": _or_none(known.max()),
                "last_step": float(part[Column.LAST_STEP].median()),
            }
        )
    return rows


def _median(values: Any) -> float | None:
    return _or_none(values.median())


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _draw(obs: Any, output: Any) -> list[str]:
    """The course of training, for some sizes; every definition, for the middle one of them."""
    sizes = sorted(set(obs["size"].values.tolist()))
    some = [
        sizes[i] for i in np.unique(np.linspace(0, len(sizes) - 1, COLUMNS).round().astype(int))
    ]
    few = obs.isel(run=obs["seed"].values < SEEDS)
    events = hc.find_events(few, *OBSERVABLES)
    stem = output.name.split(".")[0]
    drawings = {
        f"evolution_{stem}": figures.evolution(few, events, sizes=some),
        f"definitions_{stem}": figures.evolution(
            few,
            events,
            sizes=[some[0], some[len(some) // 2], some[-1]] if len(some) > 2 else some,
            observables=[o for o in OBSERVABLES if o != "offset_heat_capacity"],
        ),
    }
    return draw(drawings, output)


if __name__ == "__main__":
    main()
