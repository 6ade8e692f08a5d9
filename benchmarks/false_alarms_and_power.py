"""How often the audit finds a lead where there is none, and where there is one.

    python benchmarks/false_alarms_and_power.py [--replicates 1000]

prints the tables of docs/verification.md.  Times of events are planted without curves, so that
thousands of experiments can be judged; the last table goes through curves and peak finding.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from heatcap.audit import LeadColumn, clock, lead_table, max_statistic, precedes, records_of
from heatcap.audit.result import order_of
from heatcap.events import Column, find_events, order_of_events, peaks

from machine import said

Floats = NDArray[np.float64]

START, END = 1.0, 3000.0  # first and last step of every planted record


@dataclass(frozen=True)
class Times:
    """When the events of some runs take place, in steps, and the sizes of the runs."""

    peak: Floats
    onset: Floats
    memorisation: Floats
    size: Floats


def lognormal(rng: np.random.Generator, middle: float, spread: float, n: int) -> Floats:
    return middle * np.exp(spread * rng.normal(size=n))


def same_distribution(rng: np.random.Generator, n: int = 10) -> Times:
    """Peak and onset drawn apart from one distribution."""
    size = np.zeros(n)
    return Times(
        lognormal(rng, 900, 0.4, n), lognormal(rng, 900, 0.4, n), lognormal(rng, 100, 0.2, n), size
    )


def random_step(rng: np.random.Generator, n: int = 10) -> Times:
    """A peak anywhere in the record, evenly in steps; onsets in its last part."""
    peak = rng.uniform(2, END - 1, n)
    return Times(peak, lognormal(rng, 2200, 0.1, n), lognormal(rng, 100, 0.2, n), np.zeros(n))


def random_ln_step(rng: np.random.Generator, n: int = 10) -> Times:
    """A peak anywhere in the record, evenly in ln step: nearly always before the onset."""
    peak = np.exp(rng.uniform(np.log(2), np.log(END - 1), n))
    return Times(peak, lognormal(rng, 900, 0.3, n), lognormal(rng, 100, 0.2, n), np.zeros(n))


def memorisation_clock(rng: np.random.Generator, n: int = 10) -> Times:
    """A peak tied to memorisation; the onset comes later and goes its own way."""
    memorisation = lognormal(rng, 100, 0.3, n)
    peak = 1.4 * memorisation * np.exp(0.1 * rng.normal(size=n))
    return Times(peak, lognormal(rng, 900, 0.3, n), memorisation, np.zeros(n))


def own_clock(rng: np.random.Generator, n: int = 10) -> Times:
    """A peak at a step of its own, such as a schedule sets it; the onset always later."""
    return Times(
        lognormal(rng, 300, 0.15, n),
        lognormal(rng, 1000, 0.3, n),
        lognormal(rng, 100, 0.3, n),
        np.zeros(n),
    )


def sizes_go_their_own_way(rng: np.random.Generator, n: int = 3) -> Times:
    """Ten sizes with three runs each: peak and onset depend on the size, apart from each other."""
    levels = np.repeat(rng.normal(size=(3, 10)), n, axis=1)
    size = np.repeat(np.arange(10.0), n)
    peak, onset, memorisation = np.exp(0.4 * levels + 0.1 * rng.normal(size=levels.shape))
    return Times(900 * peak, 900 * onset, 100 * memorisation, size)


def common_cause(rng: np.random.Generator, n: int = 3) -> Times:
    """Ten sizes: peak and onset both fall with the size, runs of one size apart from each other."""
    level = np.repeat(-0.15 * np.arange(10.0), n)
    onset, peak = (m * np.exp(level + 0.2 * rng.normal(size=10 * n)) for m in (1500, 500))
    memorisation = lognormal(rng, 100, 0.2, 10 * n)
    return Times(peak, onset, memorisation, np.repeat(np.arange(10.0), n))


def few_sizes(rng: np.random.Generator, sizes: int = 3, n: int = 10) -> Times:
    """Three sizes with ten runs each: peak and onset depend on the size, apart from each other."""
    levels = np.repeat(rng.normal(size=(3, sizes)), n, axis=1)
    size = np.repeat(np.arange(float(sizes)), n)
    peak, onset, memorisation = np.exp(0.4 * levels + 0.1 * rng.normal(size=levels.shape))
    return Times(900 * peak, 900 * onset, 100 * memorisation, size)


def planted_lead(
    rng: np.random.Generator, n: int = 10, errors: float = 2.0, spread: float = 0.25
) -> Times:
    """ln(onset / peak) is Gaussian, its mean `errors` standard deviations above 0."""
    onset = lognormal(rng, 900, 0.3, n)
    lead = spread * (errors + rng.normal(size=n))
    return Times(onset * np.exp(-lead), onset, lognormal(rng, 100, 0.2, n), np.zeros(n))


def planted_sweep(rng: np.random.Generator, n: int = 3) -> Times:
    """A lead of two standard deviations at ten sizes whose onsets differ, three runs each."""
    size = np.repeat(np.arange(10.0), n)
    onset = 400 * np.exp(0.1 * size + 0.3 * rng.normal(size=size.size))
    lead = 0.25 * (2 + rng.normal(size=size.size))
    memorisation = lognormal(rng, 100, 0.2, size.size)
    return Times(onset * np.exp(-lead), onset, memorisation, size)


def records_at_a_multiple(
    rng: np.random.Generator, clock_of: str, spread: float = 0.5, n: int = 30
) -> pd.DataFrame:
    """Every record ends at three times its onset; the peak is at a random phase, or planted."""
    onset = lognormal(rng, 1500, spread, n)
    return _with_ends(rng, onset, 3 * onset, clock_of)


def records_of_one_end(
    rng: np.random.Generator, clock_of: str, spread: float = 0.5, n: int = 30
) -> pd.DataFrame:
    """All records end at one step."""
    onset = lognormal(rng, 1500, spread, n)
    return _with_ends(rng, onset, np.full(n, 1.5 * onset.max()), clock_of)


def _with_ends(
    rng: np.random.Generator, onset: Floats, last: Floats, clock_of: str
) -> pd.DataFrame:
    n = onset.size
    memorisation = lognormal(rng, 100, 0.3, n)
    peak = {
        "steps": lambda: 1 + rng.uniform(size=n) * (last - 1),
        "steps from 15 % on": lambda: last * rng.uniform(0.15, 0.95, n),
        "ln steps": lambda: last ** rng.uniform(size=n),
        "onset": lambda: 0.5 * onset * lognormal(rng, 1, 0.25, n),
        "memorisation": lambda: 1.4 * memorisation * lognormal(rng, 1, 0.15, n),
    }[clock_of]()
    return table_of(Times(peak, onset, memorisation, np.zeros(n))).assign(last_step=last)


UNRELATED = (
    same_distribution,
    random_step,
    random_ln_step,
    memorisation_clock,
    own_clock,
    common_cause,
    few_sizes,
    sizes_go_their_own_way,
)
RELATED = (planted_lead, planted_sweep)


def table_of(times: Times, spacing: float = 0.01) -> pd.DataFrame:
    """The table of leads that the audit works on."""
    lead = times.onset - times.peak
    table = pd.DataFrame(
        {
            Column.RUN: np.arange(times.peak.size),
            LeadColumn.SIZE: times.size,
            Column.PEAK: times.peak,
            Column.ONSET: times.onset,
            Column.MEMORISED: times.memorisation,
            LeadColumn.SPACING: spacing * times.peak,
            LeadColumn.CONFIGURATION: times.size.astype(int),
            Column.LAST_STEP: END,
            Column.CENSORED: False,
            Column.RISING: False,
            LeadColumn.LEAD: lead,
            LeadColumn.LOG_LEAD: np.log(times.onset / times.peak),
        }
    )
    table[LeadColumn.ORDER] = order_of_events(lead, table[LeadColumn.SPACING])
    return table


@dataclass(frozen=True)
class Verdict:
    order: str
    follows: str
    pairing_p: float


def judge(times: Times, rng: np.random.Generator, permutations: int = 199) -> Verdict:
    """What the audit says of planted times, one observable looked at."""
    table = table_of(times)
    records = dict.fromkeys(table["run"], (START, END))
    p = precedes(table, records, rng=rng)
    pairing = max_statistic(
        np.log(times.peak)[None, :],
        np.log(times.onset),
        times.size,
        rng=rng,
        permutations=permutations,
    )
    return Verdict(order_of(p, p.sign_p), clock(table).follows, float(pairing[0]))


def verdicts(
    scenario: Callable[[np.random.Generator], Times], replicates: int, seed: int = 0
) -> list[Verdict]:
    rng = np.random.default_rng(seed)
    return [judge(scenario(rng), rng) for _ in range(replicates)]


def rates(found: list[Verdict]) -> dict[str, float]:
    """Shares of the experiments in which each claim is made."""
    return {
        "first": float(np.mean([v.order == "first" for v in found])),
        "later": float(np.mean([v.order == "later" for v in found])),
        "onset": float(np.mean([v.follows in ("onset", "both") for v in found])),
        "memorisation": float(np.mean([v.follows == "memorisation" for v in found])),
        "first and onset": float(
            np.mean([v.order == "first" and v.follows == "onset" for v in found])
        ),
        "pairing": float(np.mean([v.pairing_p < 0.05 for v in found])),
    }


def planted_curves(
    rng: np.random.Generator, lead: float, spread: float, runs: int = 10, noise: float = 0.05
) -> xr.Dataset:
    """Curves with a peak a planted ln lead before the onset; a lead of NaN: at a random ln step."""
    step = np.unique(np.rint(np.geomspace(START, END, 140)))
    metric_step = np.unique(np.rint(np.r_[np.geomspace(1, 200, 80), np.linspace(200, END, 300)]))
    x, m = np.log(step), np.log(metric_step)
    curves, train, test = [], [], []
    for _ in range(runs):
        onset = np.log(900) + 0.25 * rng.normal()
        peak = (
            onset - lead + spread * rng.normal()
            if np.isfinite(lead)
            else rng.uniform(5, np.log(END))
        )
        curves.append(np.exp(-0.5 * ((x - peak) / 0.35) ** 2) + noise * rng.normal(size=x.size))
        train.append(np.clip(0.99 + 0.6 * (m - np.log(100) - 0.2 * rng.normal()), 0.01, 1))
        test.append(0.01 + 0.98 / (1 + np.exp(-(m - onset) / 0.1)))
    return xr.Dataset(
        {
            "planted": (("run", "checkpoint"), np.array(curves)),
            "train_accuracy": (("run", "metric"), np.array(train)),
            "test_accuracy": (("run", "metric"), np.array(test)),
        },
        {
            "run": np.arange(runs),
            "step": (("run", "checkpoint"), np.tile(step, (runs, 1))),
            "metric_step": (("run", "metric"), np.tile(metric_step, (runs, 1))),
        },
    )


def judged_curves(obs: xr.Dataset, rng: np.random.Generator) -> str:
    """The order that is claimed after peaks and onsets have been found in curves."""
    table = lead_table(find_events(obs), "planted", 0)
    p = precedes(table, records_of(obs), rng=rng)
    return order_of(p, p.sign_p)


def order_table(replicates: int) -> str:
    lines = [
        "| planted | runs | claimed: peak first | peak later | time follows the onset "
        "| follows memorisation | both first and onset | pairing p < .05 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for scenario in (*UNRELATED, *RELATED):
        said(scenario.__name__)
        shares = rates(verdicts(scenario, replicates))
        n = scenario(np.random.default_rng(0)).peak.size
        name = scenario.__name__.replace("_", " ")
        cells = " | ".join(f"{share:.3f}" for share in shares.values())
        lines.append(f"| {name} | {n} | {cells} |")
    return "\n".join(lines)


def clock_table(replicates: int) -> str:
    """What the clock says where the record's end moves with the onset, and where it does not."""
    lines = [
        "| record ends at | peak | runs | onset, or both | memorisation | nothing |",
        "|---|---|---|---|---|---|",
    ]
    for make in (records_at_a_multiple, records_of_one_end):
        for planted in ("steps", "steps from 15 % on", "ln steps", "onset", "memorisation"):
            for n in (10, 30, 100):
                said(f"{make.__name__}: {planted}, {n} runs")
                rng = np.random.default_rng(6)
                found = [clock(make(rng, planted, n=n)).follows for _ in range(replicates)]
                onset = np.mean([f in ("onset", "both") for f in found])
                memorised = found.count("memorisation") / replicates
                end = "3 onsets" if make is records_at_a_multiple else "one step"
                what = f"random, even in {planted}" if "steps" in planted else f"tied to {planted}"
                lines.append(
                    f"| {end} | {what} | {n} | {onset:.3f} | {memorised:.3f} "
                    f"| {1 - onset - memorised:.3f} |"
                )
    return "\n".join(lines)


def power_table(replicates: int) -> str:
    lines = ["| lead / standard deviation | 6 runs | 10 runs | 20 runs |", "|---|---|---|---|"]
    for errors in (0.5, 1.0, 1.5, 2.0, 3.0):
        said(f"power at {errors}")
        rng = np.random.default_rng(1)
        cells = []
        for n in (6, 10, 20):
            found = [
                judge(planted_lead(rng, n, errors), rng, permutations=1).order == "first"
                for _ in range(replicates)
            ]
            cells.append(f"{np.mean(found):.3f}")
        lines.append(f"| {errors:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def curve_table(replicates: int) -> str:
    lines = [
        "| curves with 5 % scatter, 10 runs | claimed: peak first | later |",
        "|---|---|---|",
    ]
    cases = {
        "lead of 2 standard deviations (ln lead 0.5 ± 0.25)": (0.5, 0.25),
        "peak at a random ln step": (np.nan, 0.0),
        "no lead (ln lead 0 ± 0.25)": (0.0, 0.25),
    }
    for name, (lead, spread) in cases.items():
        said(name)
        rng = np.random.default_rng(2)
        found = [judged_curves(planted_curves(rng, lead, spread), rng) for _ in range(replicates)]
        first, later = (np.mean([order == word for order in found]) for word in ("first", "later"))
        lines.append(f"| {name} | {first:.3f} | {later:.3f} |")
    return "\n".join(lines)


def wander(x: Floats, length: float, rng: np.random.Generator) -> Floats:
    """Scatter of variance 1, correlated over a length in ln step: 0 white, inf a random walk."""
    gap = np.diff(x)
    kept = np.exp(-gap / length) if length else 0 * gap
    kicks = np.sqrt(gap if np.isinf(length) else 1 - kept**2) * rng.normal(size=gap.size)
    values = [rng.normal()]
    for keep, kick in zip(kept, kicks, strict=True):
        values.append(keep * values[-1] + kick)
    return np.array(values)


def scatter_table(replicates: int) -> str:
    """Peaks in curves without any, and planted ones in scatter: what significance lets through."""
    grids = {
        "200, linear": np.arange(10, 2010, 10.0),
        "200": np.geomspace(10, 30000, 200),
        "140": np.unique(np.rint(np.geomspace(1, 5000, 150))),
        "60": np.geomspace(3, 3000, 60),
        "30": np.geomspace(10, 3000, 30),
    }
    shapes: dict[str, Callable[[Floats], Floats]] = {
        "flat": lambda x: 0 * x,
        "rising": lambda x: 20 * x / x[-1],
        "step": lambda x: 20 / (1 + np.exp(-(x - 6) / 0.5)),
        "peak of width 0.5, 20 deviations": lambda x: 20 * np.exp(-2 * (x - 6) ** 2),
        "peak of width 0.35, 20 deviations": lambda x: 20 * np.exp(-4.1 * (x - 6) ** 2),
        "peak of width 0.5, 10 deviations": lambda x: 10 * np.exp(-2 * (x - 6) ** 2),
    }
    lines = [f"| curve | scatter | {' | '.join(grids)} |", "|---|---|" + "---|" * len(grids)]
    for name, shape in shapes.items():
        for length in (0.0, 0.1, 0.3, 1.0, np.inf) if name == "flat" else (0.0, 0.3):
            kind = {0.0: "white", np.inf: "random walk"}.get(length, f"correlated over {length:g}")
            said(f"scatter: {name}, {kind}")
            rng = np.random.default_rng(3)
            cells = []
            for step in grids.values():
                x = np.log(step)
                found = [
                    peaks(step, shape(x) + wander(x, length, rng)).found for _ in range(replicates)
                ]
                cells.append(f"{np.mean(found):.3f}")
            lines.append(f"| {name} | {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def height_table(replicates: int) -> str:
    """Mean height of planted peaks of height 1, in per cent off."""
    lines = [
        "| scatter | width in ln step | highest value | highest smoothed | with the bias removed |",
        "|---|---|---|---|---|",
    ]
    step = np.unique(np.rint(np.geomspace(1, 5000, 140)))
    x = np.log(step)
    for noise in (0.02, 0.05, 0.1):
        for width in (0.3, 0.5):
            said(f"heights: {noise}, {width}")
            rng = np.random.default_rng(4)
            rows = list(_heights(rng, x, step, noise, width, replicates))
            raw, smoothed, corrected = 100 * (np.mean(rows, axis=0) - 1)
            error = 100 * np.std(rows, axis=0)[2] / np.sqrt(len(rows))
            lines.append(
                f"| {noise:.0%} | {width:g} | {raw:+.1f} % | {smoothed:+.1f} % "
                f"| {corrected:+.1f} ± {error:.1f} % |"
            )
    return "\n".join(lines)


def _heights(
    rng: np.random.Generator, x: Floats, step: Floats, noise: float, width: float, replicates: int
) -> Iterator[tuple[float, float, float]]:
    from heatcap.events import smooth

    truth = np.exp(-0.5 * ((x - 6) / width) ** 2)
    for _ in range(replicates):
        curve = truth + noise * rng.normal(size=x.size)
        found = peaks(step, curve)
        if found.found and not found.edge_maximum:
            yield curve.max(), smooth(step, curve).max(), found.height[0]


TABLES: dict[str, Callable[[int], str]] = {
    "False alarms and power of the order and of the clock": order_table,
    "Clocks and the ends of records": clock_table,
    "Power of the order": power_table,
    "Through curves and peak finding": curve_table,
    "Peaks in scatter": scatter_table,
    "Heights": height_table,
}
SHARE = {  # of the replicates, where curves are made
    "Clocks and the ends of records": 0.2,
    "Through curves and peak finding": 0.2,
    "Peaks in scatter": 0.3,
    "Heights": 0.2,
}


def tables(replicates: int) -> Iterator[str]:
    """All tables in Markdown."""
    for title, make in TABLES.items():
        n = max(20, int(replicates * SHARE.get(title, 1.0)))
        yield f"### {title} ({n} experiments each)\n\n{make(n)}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000)
    for text in tables(parser.parse_args().replicates):
        print(text, flush=True)


if __name__ == "__main__":
    main()
