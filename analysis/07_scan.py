"""Run files with logits -> C(T) with the weights held fixed, along training.

At which temperatures is the canonical heat capacity largest?  Every row whose energies differ has a
maximum of C(T), as a two-level system has: a maximum is no sign of criticality, and one at the
model's own temperature, T = 1, would not be either.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from study import arguments, draw, write_json

import heatcap as hc
from heatcap import figures
from heatcap.events import Column

TEMPERATURES = np.geomspace(0.1, 10.0, 41)


def main() -> None:
    given = arguments(__doc__ or "", "runs")
    files = sorted(given.runs.glob("*.h5"))
    obs = hc.observe(files, temperatures=TEMPERATURES.tolist())
    events = hc.find_events(obs)
    scan = obs["scan_heat_capacity"].isel(layer=0, query=-1).mean("head")
    onsets = events.runs.set_index(Column.RUN)[Column.ONSET]
    rows: list[dict[str, Any]] = []
    for run in obs["run"].values:
        step = obs["step"].sel(run=run).values
        late = np.flatnonzero(step >= onsets[run])
        curves = scan.sel(run=run).isel(checkpoint=late).transpose("checkpoint", "temperature")
        rows.append(
            {
                "run": str(run),
                "size": float(obs["size"].sel(run=run)),
                "onset": float(onsets[run]),
                "probe_size": int(obs["probe_size"].sel(run=run)),
                "checkpoints_after_onset": len(late),
                "maxima_at_the_end": maxima(curves.values[-1]),
                "share_with_two_maxima": float(
                    np.mean([len(maxima(c)) > 1 for c in curves.values])
                ),
            }
        )
    drawn = draw({"scan": figures.scan(obs, events)}, given.output)
    write_json(given.output, {"runs": rows, "figures": drawn}, files)


def maxima(curve: Any) -> list[float]:
    """Temperatures of the interior maxima of C(T); an end of the scan is none."""
    inner = np.flatnonzero((curve[1:-1] > curve[:-2]) & (curve[1:-1] > curve[2:])) + 1
    return [float(t) for t in TEMPERATURES[inner]]


if __name__ == "__main__":
    main()
