"""One set -> do accuracy and heat capacity of all sizes fall on one curve of a scaled ln step?

The control is ln step.  Runs are the replicates, so that errors and the correlation along a run are
those of the runs.  The ansatz is A = L^(zeta/nu) f((ln t - x_c) L^(1/nu)): with 1/nu > 0 the rise
sharpens with the size, as at a transition; zeta = 0 for an accuracy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from study import SEED, arguments, draw, note, write_json

import heatcap as hc
from heatcap import figures
from heatcap.scaling import Points, points

POINTS = 15  # controls of a size
REPLICATES = 200
RISE = 0.02  # an accuracy rises between this and one less this
LANDSCAPE = "landscape_heat_capacity_fixed"


def main() -> None:
    given = arguments(__doc__ or "", "observables")
    obs = hc.load(given.observables)
    obs = obs.isel(run=(obs["control"].values == "none") & (obs["weight_decay"].values > 0))
    stem = given.output.name.split(".")[0]
    found, drawings = {}, {}
    # Where the operation is symmetric, plain test accuracy rises with memorisation: the mirrors.
    symmetric = bool(np.isfinite(obs["mirror_free_accuracy"]).any())
    accuracy = "mirror_free_accuracy" if symmetric else "test_accuracy"
    cases = ((accuracy, "metric_step", {"exponent": 0.0}), (LANDSCAPE, "step", None))
    for name, time, fixed in cases:
        data = curves(obs, name, time)
        fit = hc.collapse(data, fixed=fixed, rng=SEED)
        note(f"{stem}: {name} {fit.status}")
        found[name] = {"points": len(data)} | {
            k: v for k, v in fit.to_dict().items() if k not in ("seconds", "curves", "models")
        }
        if fit.curves:
            names = (str(obs["size_name"].values[0]), "ln step")
            drawings[f"collapse_{stem}_{name}"] = figures.collapse(fit, data, names=names)
    drawn = draw(drawings, given.output)
    write_json(given.output, {"collapses": found, "figures": drawn}, [given.observables])


def curves(obs: xr.Dataset, name: str, time: str) -> Points:
    """Mean over runs at even steps of ln t, with the runs behind it.

    The grid of a size runs from where its first run has memorised to the end of its shortest
    record, that of an accuracy over its rise alone: a plateau collapses onto anything.
    """
    values = obs[name]
    if "layer" in values.dims:
        values = values.sel(inputs="all").isel(layer=0, query=-1).mean("head")
    rising = name.endswith("accuracy")
    rng = np.random.default_rng(SEED)
    columns: dict[str, list[Any]] = {"size": [], "control": [], "value": [], "replicates": []}
    errors = []
    for size in np.unique(obs["size"].values):
        own = obs.isel(run=obs["size"].values == size)
        steps, curve = own[time].values, values.sel(run=own["run"]).values
        ends = np.log(max(5.0, _memorised(own))), np.log(np.nanmax(steps, axis=1).min())
        if rising:
            fine = np.linspace(*ends, 400)
            mean = _table(fine, steps, curve).mean(0)
            inside = fine[(mean > RISE) & (mean < 1 - RISE)]
            ends = (inside[0], inside[-1]) if inside.size else ends
        grid = np.linspace(*ends, POINTS)
        table = _table(grid, steps, curve)
        n = len(table)
        drawn = table[rng.integers(n, size=(REPLICATES, n))].mean(1) - table.mean(0)
        # Means of n runs drawn from themselves scatter too little, by (n - 1) / n in the variance.
        error = drawn.std(0) * np.sqrt(n / (n - 1))
        errors.append(np.maximum(error, _counting(own, table.mean(0), n) if rising else 0.0))
        columns["size"].append(np.full(POINTS, size))
        columns["control"].append(grid)
        columns["value"].append(table.mean(0))
        # Points takes independent repetitions whose mean is the value.
        wide = errors[-1] / np.maximum(drawn.std(0), 1e-12) * np.sqrt(REPLICATES - 1)
        columns["replicates"].append(table.mean(0) + wide * (drawn - drawn.mean(0)))
    joined = {key: np.concatenate(parts, axis=-1) for key, parts in columns.items()}
    return points(
        joined["size"], joined["control"], joined["value"], np.concatenate(errors),
        replicates=joined["replicates"], name=name,
    )  # fmt: skip


def _counting(own: xr.Dataset, accuracy: Any, runs: int) -> Any:
    """Error of a share of the test inputs of all runs, never zero (one more of each kind).

    Of the pairs whose mirror is not trained on, a share 1 - f of the share 1 - f is tested.
    """
    left = 1 - float(own["fraction"].values[0])
    population = float(own["probe_population"].values[0])
    tested = population * (left**2 if own["task"].values[0] == "addition" else left)
    share = (accuracy * tested + 1) / (tested + 2)
    return np.sqrt(share * (1 - share) / (tested * runs))


def _memorised(own: xr.Dataset) -> float:
    """First recorded step at which a run has a train accuracy of 0.99."""
    there = own["train_accuracy"].values >= 0.99
    return float(np.min(own["metric_step"].values, where=there, initial=np.inf))


def _table(grid: Any, steps: Any, curves: Any) -> Any:
    """Curves (run, step) at the steps of a grid of ln step."""
    rows = []
    for step, values in zip(steps, curves, strict=True):
        known = np.isfinite(step) & np.isfinite(values) & (step > 0)
        rows.append(np.interp(grid, np.log(step[known]), values[known]))
    return np.stack(rows)


if __name__ == "__main__":
    main()
