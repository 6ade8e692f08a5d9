"""One set -> do accuracy and heat capacity of all sizes fall on one curve of a scaled ln step?

The control is ln step.  Runs are the replicates, so that errors and the correlation along a run are
those of the runs.  The ansatz is A = L^(zeta/nu) f((ln t - x_c) L^(1/nu)): with 1/nu > 0 the rise
sharpens with the size, as at a transition; zeta = 0 for an accuracy.

The mean over runs of a rise is as wide as the onsets are scattered, so the accuracy is also taken
with each run's clock set to its own onset: the control is ln(t / t_onset).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
import xarray as xr
from study import SEED, arguments, draw, note, write_json

import heatcap as hc
from heatcap import figures
from heatcap.scaling import Points, points

POINTS = 15  # controls of a size
REPLICATES = 200
RISE = 0.02  # an accuracy rises between this and one less this
LEAST_RUNS, LEAST_SIZES = 3, 4  # runs of a size that have a spread; sizes of a fit
CANONICAL, LANDSCAPE = "heat_capacity", "landscape_heat_capacity_fixed"


def main() -> None:
    given = arguments(__doc__ or "", "observables")
    obs = hc.load(given.observables)
    obs = obs.isel(run=(obs["control"].values == "none") & (obs["weight_decay"].values > 0))
    stem = given.output.name.split(".")[0]
    found, drawings = {}, {}
    # Where the operation is symmetric, plain test accuracy rises with memorisation: the mirrors.
    symmetric = bool(np.isfinite(obs["mirror_free_accuracy"]).any())
    accuracy = "mirror_free_accuracy" if symmetric else "test_accuracy"
    events = hc.find_events(obs, LANDSCAPE)
    onsets = events.runs.set_index("run")["onset_step"].to_xarray()
    flat = {"exponent": 0.0}
    cases = (
        (accuracy, accuracy, "metric_step", flat, None),
        (f"{accuracy}_from_the_onset", accuracy, "metric_step", flat | {"x_c": 0.0}, onsets),
        (CANONICAL, CANONICAL, "step", None, None),
        (LANDSCAPE, LANDSCAPE, "step", None, None),
    )
    for label, name, time, fixed, own in cases:
        data = curves(obs, name, time, own)
        if data is None:
            continue
        fit = hc.collapse(data, fixed=fixed, rng=SEED)
        note(f"{stem}: {label} {fit.status}")
        kept = np.unique(data.size).tolist()
        found[label] = {"points": len(data), "sizes": kept} | written(fit)
        if fit.curves:
            control = "ln step" if own is None else "ln(step / onset)"
            names = (str(obs["size_name"].values[0]), control)
            drawings[f"collapse_{stem}_{label}"] = figures.collapse(fit, data, names=names)
    content = {
        "collapses": found,
        "widths": widths(obs, accuracy, events.runs),
        "figures": draw(drawings, given.output),
    }
    write_json(given.output, content, [given.observables])


def written(fit: hc.Collapse) -> dict[str, Any]:
    """What counts of a fit: all of one that is ok, and of a poor one how poor it is.

    Where the data do not determine a fit, the valley that it ends in is flat, and the place there
    hangs on the last bits: two processors are up to a tenth of an error apart.
    """
    said = ["status", "ansatz", "fixed"]
    if fit.status in ("ok", "poor fit"):
        said += ["message", "goodness_of_fit"]
    if fit.ok:
        said += ["parameters", "window", "sizes_used", "residuals"]
    found = fit.to_dict()
    if fit.status == "poor fit":
        # It stops anywhere in its valley: chi^2 to one, and the order of its p-value, are the same.
        poor = found["goodness_of_fit"]
        poor |= {"chi2": round(poor["chi2"]), "p_value": float(f"{poor['p_value']:.0e}")}
    return {name: found[name] for name in said}


def widths(obs: xr.Dataset, name: str, runs: pd.DataFrame) -> dict[str, Any]:
    """Factor in step that the rise of a single run takes: quartiles by size, and its trend.

    The trend is the power b of ln(factor) = a p^b, by least squares over runs; a rise that sharpens
    like L^(-1/nu) has b = -1/nu.  None where there are fewer than three sizes.
    """
    risen = runs.dropna(subset=["onset_step"])
    factors = np.array([_factor(obs, name, run) for run in risen.to_dict("records")])
    sizes = risen["size"].to_numpy(dtype=float)
    rows = []
    for size in np.unique(sizes):
        own = factors[(sizes == size) & np.isfinite(factors)]
        if own.size:
            low, median, high = np.quantile(own, [0.25, 0.5, 0.75]).tolist()
            row = {"size": float(size), "runs": own.size}
            rows.append(row | {"median": median, "low": low, "high": high})
    return {"by_size": rows, "trend": _trend(sizes, np.log(factors))}


def _factor(obs: xr.Dataset, name: str, run: dict[Any, Any]) -> float:
    """From a quarter to three quarters of the way between baseline and final value.

    Around the last upward crossing of the middle, which is the onset: the last step below a quarter
    before it, the first above three quarters after it.  NaN where one of them is not in the record.
    """
    one = obs.sel(run=run["run"])
    step, accuracy = one["metric_step"].values, one[name].values
    known = np.isfinite(step) & np.isfinite(accuracy) & (step > 0)
    x, share = np.log(step[known]), accuracy[known] - run["baseline"]
    share = share / (run["final_value"] - run["baseline"])
    middle = int(np.searchsorted(x, np.log(run["onset_step"])))
    before = np.flatnonzero(share[:middle] < 0.25)
    after = np.flatnonzero(share[middle:] >= 0.75)
    if not before.size or not after.size:
        return float("nan")
    low = _crossing(x, share, int(before[-1]), 0.25)
    high = _crossing(x, share, middle + int(after[0]) - 1, 0.75)
    return float(np.exp(high - low))


def _crossing(x: Any, share: Any, below: int, level: float) -> float:
    """Where a curve passes a level between a point and the next, on a straight line."""
    part = (level - share[below]) / (share[below + 1] - share[below])
    return float(x[below] + part * (x[below + 1] - x[below]))


def _trend(sizes: Any, width: Any) -> dict[str, Any] | None:
    known = np.isfinite(width) & (width > 0)
    if np.unique(sizes[known]).size < 3:
        return None
    design = sm.add_constant(np.log(sizes[known]))
    # Errors allow for a scatter that differs between sizes.
    fit = sm.OLS(np.log(width[known]), design).fit(cov_type="HC3")
    ends = fit.conf_int()[1].tolist()
    return {"value": fit.params[1], "error": fit.bse[1], "ci95": ends, "runs": int(known.sum())}


def curves(
    obs: xr.Dataset, name: str, time: str, origin: xr.DataArray | None = None
) -> Points | None:
    """Mean over runs at even steps of ln t, with the runs behind it.

    The grid of a size runs from where its first run has memorised to the end of its shortest
    record, that of an accuracy over its rise alone: a plateau collapses onto anything.  With an
    origin, t is in units of it, run by run, and the grid is what all runs have.  None without
    sizes enough.
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
        if origin is not None:
            own = own.isel(run=np.isfinite(origin.sel(run=own["run"]).values))
        if (n := own.sizes["run"]) < LEAST_RUNS:
            continue
        steps, curve = own[time].values, values.sel(run=own["run"]).values
        start = np.full(n, max(5.0, _memorised(own)))
        if origin is not None:
            units = origin.sel(run=own["run"]).values
            steps, start = steps / units[:, None], start / units
        ends = np.log(start.max()), np.log(np.nanmax(steps, axis=1).min())
        if rising:
            fine = np.linspace(*ends, 400)
            mean = _table(fine, steps, curve).mean(0)
            inside = fine[(mean > RISE) & (mean < 1 - RISE)]
            ends = (inside[0], inside[-1]) if inside.size else ends
        grid = np.linspace(*ends, POINTS)
        table = _table(grid, steps, curve)
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
    if len(errors) < LEAST_SIZES:
        return None
    joined = {key: np.concatenate(parts, axis=-1) for key, parts in columns.items()}
    return points(
        joined["size"], joined["control"], joined["value"], np.concatenate(errors),
        replicates=joined["replicates"], name=name,
    )  # fmt: skip


def _counting(own: xr.Dataset, accuracy: Any, runs: int) -> Any:
    """Error of a share of the test inputs of all runs, never zero (one more of each kind).

    0 where the record does not say how many there are (contexts drawn at random).  Of the pairs
    whose mirror is not trained on, a share 1 - f of the share 1 - f is tested.
    """
    left = 1 - float(own["fraction"].values[0])
    population = float(own["probe_population"].values[0])
    if not population:
        return 0.0
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
