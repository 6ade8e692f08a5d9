# ruff: noqa: E402
"""Do intervals of 68 and 95 % hold the truth as often as they say?

    python benchmarks/coverage_of_intervals.py [--replicates 2000] [--seed 1]

Every row analyses `replicates` independent data sets of known truth; a coverage p is uncertain by
sqrt(p (1 - p) / replicates), printed in brackets.  "SE / exact" is the mean standard error over the
true standard deviation of the estimate.  Rows that say so are negative controls: they must fail.
Prints Markdown tables; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # the seconds below are those of one core

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.signal import lfilter

from heatcap.resampling import Estimate, bootstrap, gamma_method, jackknife

from machine import cpu_name

Floats = NDArray[np.float64]

RESAMPLED = 1000
SERIES = ((200, 4.5), (225, 4.5), (450, 4.5), (2000, 4.5), (1000, 19.5), (2000, 19.5), (200, 19.5))
BLOCKS = 20


def coverage(estimate: Estimate, truth: Floats | float) -> tuple[float, float]:
    """Share of the entries whose intervals of 68 and 95 % hold the truth."""
    shares = []
    for ci in (estimate.ci68, estimate.ci95):
        low, high = ci.sel(bound="low").to_numpy(), ci.sel(bound="high").to_numpy()
        shares.append(float(np.mean((low <= truth) & (truth <= high))))
    return shares[0], shares[1]


def ar1(n: int, tau: float, size: int, rng: np.random.Generator) -> xr.DataArray:
    """Stationary AR(1) series (dataset, time) of integrated time tau, unit variance."""
    a = (2 * tau - 1) / (2 * tau + 1)
    noise = rng.normal(size=(size, n)) * math.sqrt(1 - a * a)
    noise[:, 0] /= math.sqrt(1 - a * a)
    return xr.DataArray(lfilter([1.0], [1.0, -a], noise, axis=1), dims=("dataset", "time"))


def ar1_error(n: int, tau: float) -> float:
    """Exact standard error of the mean of n entries of such a series."""
    a = (2 * tau - 1) / (2 * tau + 1)
    t = np.arange(1, n)
    return math.sqrt((1 + 2 * np.sum((1 - t / n) * a**t)) / n)


def mean_of_runs(data: xr.DataArray) -> xr.DataArray:
    """Mean over the runs, for every data set at once: the data sets share their draws."""
    return data.mean("run")


def gaussian_table(count: int, rng: np.random.Generator) -> str:
    """Mean of few Gaussian runs."""
    rows = []
    for n in progress("Gaussian runs", (3, 5, 10, 30)):
        data = xr.DataArray(rng.normal(size=(n, count)), dims=("run", "dataset"))
        found = bootstrap(data, mean_of_runs, rng=rng, replicates=RESAMPLED, interval="t")
        normal = np.mean(np.abs(found.value) <= 1.959964 * found.error).item()
        ratio = math.sqrt(np.mean(found.error**2).item() * n)
        rows.append([n, *cells(found, 0.0), f"{ratio:.3f}", f"{normal:.3f}"])
    head = ["n", "68 %", "95 %", "rms SE / exact", "1.96 SE at 95 % (control)"]
    return table("Mean of n Gaussian runs, t interval", head, rows)


def skewed_table(count: int, rng: np.random.Generator) -> str:
    """Mean of exponential runs with all three intervals."""
    rows = []
    for n in progress("skewed runs", (5, 10, 20, 50)):
        data = xr.DataArray(rng.exponential(size=(n, count)), dims=("run", "dataset"))
        for interval in ("t", "bca", "percentile"):
            found = bootstrap(data, mean_of_runs, rng=rng, replicates=RESAMPLED, interval=interval)
            low, high = misses(found, 1.0)
            rows.append([n, interval, *cells(found, 1.0), f"{low:.3f}", f"{high:.3f}"])
    head = ["n", "interval", "68 %", "95 %", "95 % lies below", "95 % lies above"]
    return table("Mean of n exponential runs", head, rows)


def misses(found: Estimate, truth: float) -> tuple[float, float]:
    """Share of the intervals of 95 % that lie below the truth, and above it."""
    below = float(np.mean(found.ci95.sel(bound="high") < truth))
    return below, float(np.mean(found.ci95.sel(bound="low") > truth))


def probe_table(count: int, rng: np.random.Generator) -> str:
    """Runs that are looked at on one probe, drawn from a finite population."""
    rows = []
    for n, m, population in progress("finite probes", ((10, 32, 32), (10, 32, 64), (10, 32, 1024))):
        data, truth = probed(n, m, population, min(count, 1000), rng)
        choices: dict[str, dict[str, Any]] = {
            "runs and rows": {"within": "probe", "population": population},
            "without correction (control)": {"within": "probe"},
            "runs alone (control)": {},
        }
        for label, options in choices.items():
            found = bootstrap(data, grand_mean, rng=rng, replicates=400, interval="t", **options)
            exact = float(np.std(found.value - truth))
            ratio = math.sqrt(np.mean(found.error**2).item()) / exact
            rows.append([n, m, population, label, *cells(found, truth), f"{ratio:.3f}"])
        own, truth = probed(n, m, population, min(count, 1000), rng, own=True)
        found = bootstrap(own, grand_mean, rng=rng, replicates=400, interval="t")
        ratio = math.sqrt(np.mean(found.error**2).item()) / float(np.std(found.value - truth))
        label = "own rows in every run, runs alone"
        rows.append([n, m, population, label, *cells(found, truth), f"{ratio:.3f}"])
    head = ["runs", "rows", "population", "drawn", "68 %", "95 %", "rms SE / sd"]
    return table("Mean over runs and the rows of a shared probe, t interval", head, rows)


def probed(
    n: int, m: int, population: int, count: int, rng: np.random.Generator, *, own: bool = False
) -> tuple[xr.DataArray, Floats]:
    """Runs with rows of a probe (run, probe, dataset), and the mean of the population.

    Runs (variance 1 / 16) and rows (1 / 4) are additive, their interaction has variance 1 / 4.
    With `own` every run has a probe of its own.
    """
    inputs = rng.normal(scale=0.5, size=(population, count))
    noise = rng.normal(scale=0.5, size=(n, m, count))
    probe = np.stack([rng.permutation(inputs)[:m] for _ in range(n)]) if own else inputs[:m]
    values = rng.normal(scale=0.25, size=(n, 1, count)) + probe + noise
    return xr.DataArray(values, dims=("run", "probe", "dataset")), inputs.mean(axis=0)


def grand_mean(data: xr.DataArray) -> xr.DataArray:
    """Mean over runs and rows."""
    return data.mean(("run", "probe"))


def series_table(count: int, rng: np.random.Generator) -> str:
    """Mean of an AR(1) series: Gamma method, blocked jackknife, naive."""
    methods = {"Gamma": of_series, f"{BLOCKS} blocks": of_blocks, "naive (control)": naive}
    rows = []
    for n, tau in progress("series", SERIES):
        data, exact = ar1(n, tau, count, rng), ar1_error(n, tau)
        for label, method in methods.items():
            found = method(data)
            ratio = f"{found.error.mean().item() / exact:.2f}"
            flagged = "" if found.tau is None else f"{np.mean(n / found.tau < 50).item():.2f}"
            rows.append([n, tau, f"{n / tau:.0f}", label, *cells(found, 0.0), ratio, flagged])
    head = ["n", "tau", "n/tau", "method", "68 %", "95 %", "SE / exact", "flagged"]
    return table("Mean of n entries of an AR(1) series", head, rows)


def of_series(data: xr.DataArray) -> Estimate:
    """Gamma method with its defaults."""
    return gamma_method(data, dim="time")


def of_blocks(data: xr.DataArray) -> Estimate:
    """Blocked jackknife."""
    return jackknife(data, lambda d: d.mean("time"), dim="time", blocks=BLOCKS)


def naive(data: xr.DataArray) -> Estimate:
    """As if the entries were independent; equal to a jackknife that leaves out single entries."""
    value = data.mean("time")
    error = data.std("time", ddof=1) / math.sqrt(data.sizes["time"])
    ends = [
        xr.concat([value - z * error, value + z * error], dim="bound").assign_coords(
            bound=["low", "high"]
        )
        for z in (1.0, 1.959964)
    ]
    count = xr.full_like(value, data.sizes["time"])
    return Estimate(value, error, ends[0], ends[1], count, "naive")


def sizes_table(count: int, rng: np.random.Generator) -> str:
    """Difference of the heights at two sizes whose runs share seeds: correlation 0.8."""
    units = {"seeds together": "seed", "independent sizes (control)": "run"}
    rows = []
    for n in progress("shared seeds", (10, 30)):
        data = heights(n, count, rng)
        for label, unit in units.items():
            found = bootstrap(
                data, difference, unit=unit, strata="p", rng=rng, replicates=RESAMPLED
            )
            ratio = math.sqrt(np.mean(found.error**2).item()) / math.sqrt(0.4 / n)
            rows.append([n, label, *cells(found, 0.0), f"{ratio:.2f}"])
    head = ["seeds", "drawn", "68 %", "95 %", "rms SE / exact"]
    return table("Difference of two sizes that share seeds", head, rows)


def heights(n: int, count: int, rng: np.random.Generator) -> xr.DataArray:
    """Heights (run, dataset) of n seeds at two sizes: unit variance, correlation 0.8."""
    common = math.sqrt(0.8) * rng.normal(size=(n, count))
    values = np.concatenate([common + math.sqrt(0.2) * rng.normal(size=(n, count)) for _ in "ab"])
    coords = {"p": ("run", np.repeat([31, 59], n)), "seed": ("run", np.tile(np.arange(n), 2))}
    return xr.DataArray(values, dims=("run", "dataset"), coords=coords)


def difference(data: xr.DataArray) -> xr.DataArray:
    """Mean height at the larger size less that at the smaller."""
    p = data["p"].to_numpy()
    small, large = (data.isel(run=p == size).mean("run") for size in (31, 59))
    return large - small


def speed_table(rng: np.random.Generator) -> str:
    """Seconds for 1000 replicates of peak heights over 100 runs x 200 checkpoints; mark: 2 s."""
    data = xr.DataArray(rng.normal(size=(100, 200)), dims=("run", "checkpoint"))
    rows = []
    for label, statistic in progress("speed", SPEED.items()):
        for vectorized in (False, True):
            start = time.perf_counter()
            bootstrap(data, statistic, rng=1, vectorized=vectorized)
            seconds = time.perf_counter() - start
            rows.append([label, "vectorised" if vectorized else "plain", f"{seconds:.2f}"])
    return table("1000 replicates, 100 runs x 200 checkpoints", ["statistic", "path", "s"], rows)


def smoother(n: int, width: float = 5.0) -> Floats:
    """Matrix of a Gaussian moving average."""
    kernel = np.exp(-0.5 * ((np.arange(n)[:, np.newaxis] - np.arange(n)) / width) ** 2)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True))


def peak(data: xr.DataArray) -> xr.DataArray:
    """Maximum of every smoothed curve."""
    hat = smoother(data.sizes["checkpoint"]).T
    found: xr.DataArray = xr.apply_ufunc(
        lambda curves: (curves @ hat).max(axis=-1), data, input_core_dims=[["checkpoint"]]
    )
    return found


SPEED: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "mean of the peaks": lambda data: peak(data).mean("run"),
    "peak of the mean": lambda data: peak(data.mean("run")),
}


def cells(found: Estimate, truth: Floats | float) -> list[str]:
    """Coverages of 68 and 95 % with their Monte-Carlo errors in the last digits."""
    count = found.value.size
    return [f"{p:.3f}({math.sqrt(p * (1 - p) / count) * 1000:.0f})" for p in coverage(found, truth)]


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    body = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
    return f"### {title}\n\n{body}\n"


def progress(name: str, items: Iterable[Any]) -> Iterator[Any]:
    """Items, counted on stderr as they are done."""
    start = time.perf_counter()
    for i, item in enumerate(items, 1):
        yield item
        print(f"{name}: {i}", file=sys.stderr, flush=True)
    print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=2000, help="data sets per row")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    for text in tables(options.replicates, seed=options.seed):
        print(text, flush=True)


def tables(replicates: int, *, seed: int = 1) -> Iterator[str]:
    """All tables in Markdown."""
    rng = np.random.default_rng(seed)
    yield f"{replicates} data sets, {cpu_name()}, numpy {np.__version__}.\n"
    for make in (gaussian_table, skewed_table, probe_table, series_table, sizes_table):
        yield make(replicates, rng)
    yield speed_table(rng)


if __name__ == "__main__":
    main()
