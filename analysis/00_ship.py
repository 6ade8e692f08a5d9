"""Observables of run files -> the small file that ships: data/study/observables.nc.

Full observables have cumulants and the geometry of the path; the study needs the heat capacities,
what they are made of, and the metrics, in single precision.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from study import OBSERVABLES, POOLED, arguments, note

import heatcap as hc
from heatcap.runfile import find_runs, open_run

KEPT = (
    *OBSERVABLES,
    POOLED,
    *("energy", "entropy", "visible_keys", "participation_ratio"),
    *("mean_visible_keys", "heat_capacity_bound", "single_key"),
    *("logit_scale", "mirror_free_accuracy", "test_accuracy", "train_accuracy"),
    *("test_loss", "train_loss", "weight_norm"),
    *("stop_reason", "complete", "probe_size", "probe_population", "checksum"),
)

APART = ("landscape_heat_capacity", "landscape_heat_capacity_fixed", POOLED)


def main() -> None:
    given = arguments(__doc__ or "", "observables", "runs", many=True)
    obs = hc.load(given.observables)
    obs = obs.isel(run=obs["complete"].values == 1)
    small = obs[list(KEPT)]
    for name in small.data_vars:  # of trained and untrained inputs the fluctuations alone
        if "inputs" in small[name].dims and name not in APART:
            small[name] = small[name].where(small["inputs"] == "all")
    files = {path.stem: path for path in find_runs(given.runs)}
    small["wall_seconds"] = ("run", [_seconds(files[str(run)]) for run in obs["run"].values])
    small["wall_seconds"].attrs = {
        "units": "s",
        "long_name": "from the first to the last step, on a busy core, pauses included",
    }
    for name, values in small.data_vars.items():
        if values.dtype == np.float64 and {"checkpoint", "metric"} & set(values.dims):
            small[name] = values.astype(np.float32)
    small.attrs["command"] = "make sweep"  # not where the run files lay
    hc.save(small, given.output)
    note(
        f"{given.output}: {small.sizes['run']} runs, {given.output.stat().st_size / 2**20:.1f} MiB"
    )


def _seconds(path: Path) -> float:
    """From the start of a run to its end."""
    attrs = open_run(path).attrs
    started, finished = (np.datetime64(attrs[k][:19]) for k in ("started", "finished"))
    return float((finished - started) / np.timedelta64(1, "s"))


if __name__ == "__main__":
    main()
