"""Controls: is the same peak there where nothing generalises?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from heatcap.audit.lead_tests import LeadColumn
from heatcap.events import Column, controls_of, proper_of

__all__ = ["Control", "controls"]


RISE = 0.2  # of the test accuracy: such a run does generalise, and is no control
LEVEL = 0.05
WAY = LEVEL / 3  # three ways to pass
APART = 1.25  # ratio of heights or delays: a smaller one is the same peak, however sure
EARLIER = 1 / 3  # of the delay of the runs proper: another maximum, not the same one


@dataclass(frozen=True)
class Control:
    """One group of runs that cannot generalise, beside the runs proper.

    Attributes
    ----------
    name : str
    verdict : str
        A precursor of generalisation must be "absent", "lower" or "later" here, the last two by a
        factor of 1.25 at least and at 5 % after correction for the three ways.  "present": it is
        there as well.  "open": most curves still rise at the end of their record, so that the peak
        may be yet to come.  "earlier": there is a maximum, but less than a third as long after
        memorisation, and so another one.  "too few runs": mostly without a peak, which might be
        chance.  "not tested": every run of the group generalises, or none of the runs proper peaks.
    runs, with_peak, rising : int
        Without the runs of the group that do generalise (`generalising`).
    height_ratio, delay_ratio : float
        Geometric means of control over runs proper, at equal sizes where there are any; the delay
        is the step of the peak over that of memorisation.
    lower_p, later_p : float
        One-sided permutation tests of these ratios within sizes.
    fewer_p : float
        Fisher's exact test: a smaller share of runs with a peak than among the runs proper.
    """

    name: str
    verdict: str
    runs: int
    generalising: int
    with_peak: int
    rising: int
    height_ratio: float = float("nan")
    delay_ratio: float = float("nan")
    lower_p: float = float("nan")
    later_p: float = float("nan")
    fewer_p: float = float("nan")


def controls(table: pd.DataFrame, *, rng: np.random.Generator) -> list[Control]:
    """Every group of controls in a table of :func:`lead_table`, against the runs proper."""
    proper = proper_of(table)
    return [_control(name, part, proper, rng) for name, part in controls_of(table).items()]


def _control(
    name: str, every: pd.DataFrame, proper: pd.DataFrame, rng: np.random.Generator
) -> Control:
    rises = every[Column.ONSET].notna() | (every[Column.FINAL] - every[Column.BASELINE] >= RISE)
    part = every[~rises]
    shared = np.intersect1d(part[LeadColumn.SIZE], proper[LeadColumn.SIZE])
    proper = proper[proper[LeadColumn.SIZE].isin(shared)] if shared.size else proper
    n, seen = len(part), part[Column.PEAK].notna()
    counts = {
        "runs": n,
        "generalising": int(rises.sum()),
        "with_peak": int(seen.sum()),
        "rising": int(part[Column.RISING].sum()),
    }
    if not n or proper[Column.PEAK].notna().sum() == 0:
        return Control(name, "not tested", **counts)
    part, proper = _with_delay(part), _with_delay(proper)
    height, lower = _compare(part, proper, LeadColumn.HEIGHT, -1, rng)
    delay, later = _compare(part, proper, "delay", +1, rng)
    fewer = _fewer(counts["with_peak"], n, int(proper[Column.PEAK].notna().sum()), len(proper))
    is_lower = lower < WAY and height * APART <= 1
    is_later = later < WAY and delay >= APART
    verdict = _verdict(counts, is_lower, is_later, fewer, delay)
    return Control(
        name,
        verdict,
        **counts,
        height_ratio=height,
        delay_ratio=delay,
        lower_p=lower,
        later_p=later,
        fewer_p=fewer,
    )


def _with_delay(table: pd.DataFrame) -> pd.DataFrame:
    """Time of the peak over that of memorisation: random labels are memorised later.

    A run that never memorised has no delay; it cannot be called late.
    """
    return table.assign(delay=table[Column.PEAK] / table[Column.MEMORISED])


def _verdict(counts: dict[str, int], lower: bool, later: bool, fewer: float, delay: float) -> str:
    if counts["rising"] > counts["runs"] / 2:
        return "open"
    if counts["with_peak"] <= counts["runs"] / 2:
        return "absent" if fewer < WAY else "too few runs"
    if lower:
        return "lower"
    if later:
        return "later"
    return "earlier" if delay < EARLIER else "present"


def _fewer(seen: int, runs: int, seen_proper: int, proper: int) -> float:
    table = np.array([[seen, runs - seen], [seen_proper, proper - seen_proper]])
    return float(stats.fisher_exact(table, alternative="less").pvalue)


def _compare(
    part: pd.DataFrame,
    proper: pd.DataFrame,
    column: str,
    sign: int,
    rng: np.random.Generator,
    permutations: int = 4999,
) -> tuple[float, float]:
    """Ratio of geometric means within sizes, and P(a relabelling gives one as extreme)."""
    a, b = (t[t[column] > 0] for t in (part, proper))
    shared = np.intersect1d(a[LeadColumn.SIZE], b[LeadColumn.SIZE])
    # Without any size in common all runs are compared with all.
    strata = [(a[a[LeadColumn.SIZE] == s], b[b[LeadColumn.SIZE] == s]) for s in shared] or [(a, b)]
    if not len(a) or not len(b):
        return float("nan"), float("nan")
    total = sum(len(x) for x, _ in strata)
    seen, relabelled = 0.0, np.zeros(permutations)
    for x, y in strata:
        values = np.log(np.r_[x[column].to_numpy(), y[column].to_numpy()])
        weight, k = len(x) / total, len(x)
        shuffled = rng.permuted(np.tile(values, (permutations, 1)), axis=1)
        seen += weight * (values[:k].mean() - values[k:].mean())
        relabelled += weight * (shuffled[:, :k].mean(axis=1) - shuffled[:, k:].mean(axis=1))
    extreme = int(np.sum(sign * relabelled >= sign * seen - 1e-12))
    return float(np.exp(seen)), float((1 + extreme) / (1 + permutations))
