"""Shipped observables -> one file of observables for every set of the study, and a list of runs."""

from __future__ import annotations

import numpy as np
from study import SETS, arguments, note

import heatcap as hc
from heatcap.core.text import csv
from heatcap.core.writing import write_text

COLUMNS = (
    *("run", "task", "control", "size_name", "size", "fraction", "weight_decay", "seed"),
    *("stop_reason", "probe_size", "probe_population", "wall_seconds", "checksum"),
)


def main() -> None:
    given = arguments(__doc__ or "", "observables", many=True)
    shipped = {str(path): hc.load(path) for path in given.observables}
    obs = hc.join(shipped)
    chosen = {name: np.asarray(select(obs)) for name, select in SETS.items()}
    table = obs[[c for c in COLUMNS if c in obs.variables and c != "run"]].to_dataframe()
    table = table.reset_index()[[c for c in COLUMNS if c in obs.variables]]
    # The list first: the sets, which are made again with it, must not be older.
    write_text(given.output, csv(table[np.any(list(chosen.values()), axis=0)]))
    for name, which in chosen.items():
        if not which.any():
            raise ValueError(f"set {name} has no run in {', '.join(shipped)}")
        hc.save(obs.isel(run=which), given.output.parent / f"{name}.nc")
        note(f"{name}: {which.sum()} runs")


if __name__ == "__main__":
    main()
