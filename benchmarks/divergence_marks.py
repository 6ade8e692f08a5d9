"""Verdicts on heights whose growth is known: coverage, false verdicts, power, crossover length.

    python benchmarks/divergence_marks.py --replicates 100 --seed 23
    python benchmarks/divergence_marks.py --only "d forms" --replicates 20 --jobs 2 --json new.json

The truths are not the fitted functions (:mod:`divergence_truths`): members of the family off its
grid, random local exponents, exact systems, and forms that the family does not have; parameters
are drawn anew for each seed.  A set of data that is refused (status not "ok") is neither kept nor
false.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from heatcap.divergence import divergence_test

from divergence_ceilings import FAMILIES, Closest, ceiling
from divergence_cells import (
    LENGTHS,
    POWER,
    POWERS,
    STEEP,
    USUAL_TRUTHS,
    WRONG,
    Cell,
    all_cells,
    nearest,
)
from divergence_truths import DESIGNS, GROWTHS, Floats, seeded
from machine import cpu_name, said

SEED = 23
USUAL = 100

# What the verdict says of one set, and of a cell.


@dataclass(frozen=True)
class Said:
    """One verdict."""

    verdict: str = "undecided"
    plausible: tuple[str, ...] = ()
    refused: bool = True
    warned: bool = True
    conditional: tuple[str, ...] | None = None
    limit: float = float("nan")  # of the crossover length, lower
    exponent: tuple[float, float] = (float("nan"), float("nan"))
    seconds: float = 0.0


def ask(each: Cell, rng: np.random.Generator, index: int) -> Said:
    """Draw a set of data and ask for the verdict, whose random numbers are its own."""
    heights, told = each.measured(each.truth.heights(each.sizes), rng)
    start = time.perf_counter()
    try:
        v = divergence_test(each.sizes, heights, rng=index, **told)
    except ValueError as error:
        said(f"{each.key}: {error}")
        return Said()
    seconds = time.perf_counter() - start
    asked = v.status == "ok" and not np.isnan(each.truth.kappa)
    return Said(
        v.verdict,
        tuple(v.plausible),
        v.status != "ok",
        bool(v.warnings),
        # Fields of the second part: None and NaN where a verdict does not have them.
        getattr(v, "if_no_crossover", None),
        float(getattr(v, "crossover_length_lower_limit95", np.nan)),
        v.exponent.ci95 if asked and v.exponent_determined else Said.exponent,
        seconds,
    )


@dataclass(frozen=True)
class Row:
    """Shares of the sets of one cell; NaN where none can be told."""

    key: str
    part: str
    label: str
    truth: str
    known: bool
    pure: bool
    design: str
    errors: str
    kind: str
    sets: int
    kept: float
    refused: float
    false: float  # a single verdict, or "divergent", that is not true
    silent: float  # false, and without a warning
    warned: float
    power: float  # no false class remains
    verdict: str
    conditional_kept: float
    conditional_power: float
    below_xi: float  # lower limit of the crossover length at or below the true one
    above_half: float  # lower limit above half of the largest size
    exponent: float  # asymptotic exponent inside its interval, where one is stated
    seconds: float


def right(names: Sequence[str], kind: str) -> bool:
    """Whether no false class is among them; logarithm and power law together diverge."""
    allowed = GROWTHS if kind in GROWTHS and len(names) == 2 else (kind,)
    return bool(names) and set(names) <= set(allowed)


def false(verdict: str, kind: str) -> bool:
    """Whether it names a class, or a divergence, that is not there."""
    allowed = (kind, "divergent") if kind in GROWTHS else (kind,)
    return verdict not in (*allowed, "undecided")


def share(which: Sequence[bool] | Sequence[float]) -> float:
    return float(np.mean(which)) if len(which) else float("nan")


def row_of(key: str, seed: int, replicates: int) -> Row:
    """All sets of a cell."""
    each = all_cells(seed)[key]
    rng = seeded(seed, "noise", key)
    return summed(each, [ask(each, rng, i) for i in range(replicates)])


def summed(each: Cell, found: Sequence[Said]) -> Row:
    """Shares; a set that is refused is neither kept nor false."""
    kind, truth = each.kind, each.truth
    classed = found if kind else []
    wrong = [not s.refused and false(s.verdict, kind) for s in classed]
    most = [f"refused ({s.verdict})" if s.refused else s.verdict for s in found]
    usual = max(sorted(set(most)), key=most.count)
    given = [s for s in found if s.conditional is not None]
    limits = [s.limit for s in found if not (s.refused or np.isnan(s.limit))]
    intervals = [s.exponent for s in found if not np.isnan(s.exponent[0])]
    return Row(
        key=each.key,
        part=each.part,
        label=each.label,
        truth=truth.name,
        known=truth.known,
        pure=each.pure,
        design=each.design,
        errors=each.errors,
        kind=kind,
        sets=len(found),
        kept=share([not s.refused and kind in s.plausible for s in classed]),
        refused=share([s.refused for s in found]),
        false=share(wrong),
        silent=share([w and not s.warned for w, s in zip(wrong, classed, strict=True)]),
        warned=share([s.warned for s in found]),
        power=share([not s.refused and right(s.plausible, kind) for s in classed]),
        verdict=f"{usual} {most.count(usual) / len(found):.2f}",
        conditional_kept=share([kind in (s.conditional or ()) for s in given]),
        conditional_power=share([right(s.conditional or (), kind) for s in given]),
        below_xi=share([x <= (truth.crossover or np.inf) * (1 + 1e-9) for x in limits]),
        above_half=share([x > each.sizes.max() / 2 for x in limits]),
        exponent=share([low <= truth.kappa <= high for low, high in intervals]),
        seconds=float(np.median([s.seconds for s in found])),
    )


def measure(seed: int, replicates: int, only: str = "", jobs: int | None = None) -> list[Row]:
    """Rows of the cells whose key has `only`, in the order of the cells."""
    keys = [key for key in all_cells(seed) if only in key]
    rows = {}
    for n, row in enumerate(_rows(keys, seed, replicates, jobs), 1):
        rows[row.key] = row
        said(
            f"{n} of {len(keys)}: {row.key}: {row.kind or 'no class'}, kept {row.kept:.2f}, "
            f"refused {row.refused:.2f}, false {row.false:.2f}, power {row.power:.2f}, "
            f"{row.verdict}, {row.seconds:.2f} s"
        )
    return [rows[key] for key in keys]


def _rows(keys: Sequence[str], seed: int, replicates: int, jobs: int | None) -> Iterator[Row]:
    """As they are done; in this process if there is to be one."""
    if jobs == 1:
        yield from (row_of(key, seed, replicates) for key in keys)
        return
    with ProcessPoolExecutor(jobs) as pool:
        waiting = [pool.submit(row_of, key, seed, replicates) for key in keys]
        yield from (job.result() for job in as_completed(waiting))


# Marks: what is promised, with its number.


@dataclass(frozen=True)
class Mark:
    """A number with the bound that it has to keep."""

    what: str
    value: float
    bound: float
    at_least: bool = True

    @property
    def passed(self) -> bool | None:
        """None where it was not measured."""
        if np.isnan(self.value):
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def line(self) -> str:
        """A row of the table."""
        verdict = {None: "not measured", True: "pass", False: "MISSED"}[self.passed]
        wanted = f"{'at least' if self.at_least else 'at most'} {self.bound:.3g}"
        return f"| {self.what} | {shown(self.value, 3)} | {wanted} | {verdict} |"


def shown(x: float, digits: int = 2) -> str:
    return "–" if np.isnan(x) else f"{x:.{digits}f}"


def over(rows: Sequence[Row], name: str, by: Callable[..., Any] = np.mean) -> float:
    """Mean, lowest or highest of the numbers that are there."""
    values = [x for x in (getattr(row, name) for row in rows) if not np.isnan(x)]
    return float(by(values)) if values else float("nan")


def marks(rows: Sequence[Row], distances: Mapping[Ceiled, Closest]) -> list[Mark]:
    """All marks on the rows at hand."""
    judged = [row for row in rows if row.kind and row.part != LENGTHS]
    sound = [row for row in judged if row.errors not in WRONG]
    out, known = ([row for row in sound if row.known is there] for there in (False, True))
    pure = [row for row in sound if row.pure]
    power = [row for row in rows if row.part == POWERS]
    lengths = [row for row in rows if row.part == LENGTHS and row.label != STEEP]
    steep = [row for row in rows if row.part == LENGTHS and row.label == STEEP]
    found = [
        Mark("coverage, out of the family, lowest cell", over(out, "kept", min), 0.9),
        Mark("coverage, out of the family, mean", over(out, "kept"), 0.95),
        Mark("coverage, all cells, mean", over(sound, "kept"), 0.95),
        Mark("refused, in the family, highest cell", over(known, "refused", max), 0.1, False),
        Mark("refused, all cells, mean", over(sound, "refused"), 0.1, False),
        Mark("false single verdicts, all cells, mean", over(sound, "false"), 0.05, False),
    ]
    if len(power) == len(POWER):
        tops = {f: sum(ceiling(distances[d, t, f].chi2) for d, t in POWER) for f in FAMILIES}
        found += [
            Mark(
                f"sum of powers; 85 % of its ceilings {tops[family]:.2f}, {family}",
                sum(row.power for row in power),
                0.85 * tops[family],
            )
            for family in FAMILIES
        ]
        conditional = sum(row.conditional_power for row in power)
        found.append(Mark("sum of powers, if no crossover", conditional, 7.5))
    return [
        *found,
        Mark("if no crossover: coverage of pure growths", over(pure, "conditional_kept"), 0.95),
        Mark("limit of the crossover length not above it", over(lengths, "below_xi"), 0.95),
        Mark(f"limit above L_max / 2, {STEEP}, 32-8192", over(steep, "above_half"), 0.8),
    ]


def holm(p_values: list[float]) -> int:
    """How many are rejected at 5 %."""
    n = len(p_values)
    for i, p in enumerate(sorted(p_values)):
        if p > 0.05 / (n - i):
            return i
    return n


def remarks(rows: Sequence[Row], distances: Mapping[Ceiled, Closest]) -> str:
    """What the marks do not say."""
    judged = [row for row in rows if row.kind and row.part != LENGTHS]
    sound = [row for row in judged if row.errors not in WRONG]
    low = holm([float(stats.binom.cdf(round(r.kept * r.sets), r.sets, 0.95)) for r in sound])
    known = [row for row in sound if row.known]
    answered = [row.kept / (1 - row.refused) for row in sound if row.refused < 0.9]
    lengths = [row for row in rows if row.part == LENGTHS and row.label != STEEP]
    pure = [row for row in sound if row.pure]
    above = [
        f"{row.label} ({row.design})"
        for row in rows
        if row.part == POWERS and _above(row, distances[row.design, row.label, FAMILIES[0]])
    ]
    told = (
        f"{len(judged)} cells with a class, {len(sound)} of them with errors that are right",
        f"{len(sound) - len(known)} of these out of the family",
        f"significantly below 95 % (binomial, Holm, 5 %): {low}",
        f"coverage in the family: {shown(over(known, 'kept'), 3)}, lowest "
        f"{shown(over(known, 'kept', min))}",
        "coverage of the sets that were answered: "
        f"{shown(share(answered), 3)}, lowest {shown(min(answered, default=np.nan))}",
        f"refused, highest cell: {shown(over(sound, 'refused', max))}",
        f"false without a warning: {shown(over(sound, 'silent'), 3)}, highest "
        f"{shown(over(sound, 'silent', max))}",
        f"mean power: {shown(over(sound, 'power'), 3)}",
        "power above its ceiling, so that the closest wrong function is not kept 95 times in 100: "
        + (", ".join(above) or "none"),
        f"limit of the crossover length, lowest cell: {shown(over(lengths, 'below_xi', min))}",
        "if no crossover, lowest coverage of a pure growth: "
        f"{shown(over(pure, 'conditional_kept', min))}",
        f"median time of a verdict: {shown(over(rows, 'seconds', np.median), 3)} s",
    )
    return "\n".join(f"* {text}" for text in told) + "\n"


def _above(row: Row, near: Closest) -> bool:
    """Whether the power is above the ceiling by more than two of its errors."""
    top = ceiling(near.chi2)
    return row.power > top + 2 * math.sqrt(top * (1 - top) / row.sets)


# Ceilings of the power.


Ceiled = tuple[str, str, str]  # design, truth, family


def all_distances(rows: Sequence[Row], jobs: int | None = None) -> dict[Ceiled, Closest]:
    """Of those of the ten cells that are there, with every family of alternatives."""
    ten = [(row.design, row.label) for row in rows if row.part == POWERS]
    wanted = [(*cell, family) for cell in ten for family in FAMILIES]
    if not wanted:
        return {}
    with ProcessPoolExecutor(jobs) as pool:
        return dict(zip(wanted, pool.map(nearest, *zip(*wanted, strict=True)), strict=True))


# Tables.


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def cells_table(rows: Sequence[Row]) -> str:
    """The worst first; forms out of the family with an asterisk."""
    head = (
        *("part", "truth", "drawn", "sizes", "errors", "class", "kept", "refused", "false"),
        *("silent", "warned", "power", "most often", "if no crossover: kept", "power", "exponent"),
    )
    judged = [row for row in rows if row.kind and row.part != LENGTHS]
    ordered = sorted(judged, key=lambda row: (row.kept - row.false, row.key))
    return grid(
        head,
        [
            [
                row.part[0],
                row.label + ("" if row.known else " *"),
                row.truth,
                row.design,
                row.errors,
                row.kind,
                *map(shown, (row.kept, row.refused, row.false, row.silent, row.warned, row.power)),
                row.verdict,
                *map(shown, (row.conditional_kept, row.conditional_power, row.exponent)),
            ]
            for row in ordered
        ],
    )


GROUPS = ("part", "kind", "design", "errors")


def groups_table(rows: Sequence[Row]) -> str:
    """Shares by part, class, design and errors."""
    judged = [row for row in rows if row.kind and row.part != LENGTHS]
    lines = []
    for by in GROUPS:
        for name in dict.fromkeys(getattr(row, by) for row in judged):
            part = [row for row in judged if getattr(row, by) == name]
            numbers = [over(part, "kept"), over(part, "kept", min)]
            numbers += [over(part, each) for each in ("refused", "false", "silent", "power")]
            more = [over(part, each) for each in ("conditional_kept", "exponent", "seconds")]
            lines.append([name, str(len(part)), *map(shown, (*numbers, *more))])
    head = ("cells", "number", "kept", "lowest", "refused", "false", "silent", "power")
    return grid((*head, "if no crossover: kept", "exponent", "s"), lines)


def changes(rows: Sequence[Row], found: Sequence[Mark], before: Path) -> str:
    """What is different from an earlier run: marks, and cells by more than their errors."""
    old = json.loads(before.read_text())
    values = {mark["what"]: mark["value"] for mark in old["marks"]}
    lines = [
        [mark.what, "", shown(values[mark.what], 3), shown(mark.value, 3)]
        for mark in found
        if values.get(mark.what) is not None
    ]
    cells = {row["key"]: row for row in old["cells"]}
    for row in rows:
        for name in ("kept", "refused", "false", "power", "conditional_power", "below_xi"):
            was, now = cells.get(row.key, {}).get(name), getattr(row, name)
            if was is not None and abs(now - was) > max(0.05, 2 / np.sqrt(2 * row.sets)):
                lines.append([row.key.replace(" |", ";"), name, shown(was), shown(now)])
    return grid(("mark or cell", "share", "before", "now"), lines)


def power_table(rows: Sequence[Row], distances: Mapping[Ceiled, Closest]) -> str:
    """Power of the ten cells beside their ceilings."""
    head = ["sizes", "truth", "power", "if no crossover"]
    for family in FAMILIES:
        head += [f"ceiling, {family}", "chi2", "closest wrong function"]
    lines = []
    for row in (row for row in rows if row.part == POWERS):
        line = [row.design, row.label, shown(row.power), shown(row.conditional_power)]
        for family in FAMILIES:
            near = distances[row.design, row.label, family]
            line += [shown(ceiling(near.chi2)), f"{near.chi2:.2f}", near.said()]
        lines.append(line)
    return grid(head, lines)


def lengths_table(rows: Sequence[Row]) -> str:
    """The lower limit of planted crossover lengths."""
    head = ("truth", "drawn", "sizes", "class", "limit <= xi", "limit > L_max / 2", "kept", "false")
    part = [row for row in rows if row.part == LENGTHS]
    return grid(
        head,
        [
            [
                row.label,
                row.truth,
                row.design,
                row.kind or "–",
                shown(row.below_xi),
                shown(row.above_half),
                *map(shown, (row.kept, row.false)),
            ]
            for row in sorted(part, key=lambda row: (row.below_xi, row.key))
        ],
    )


def speed_table() -> str:
    """A verdict alone, and with all that is computed when it is asked for."""
    sizes, lines = DESIGNS["15 sizes"], []
    for name in ("4 - 10/L", "1 + 0.5 ln L", "1 + 0.3 L^0.4"):
        h = USUAL_TRUTHS[name].heights(sizes)
        for noise in (0.003, 0.01, 0.03):
            alone, whole = zip(*(_timed(sizes, h, noise * h) for _ in range(3)), strict=True)
            lines.append([name, f"{noise:.1%}", f"{min(alone):.3f}", f"{min(whole):.2f}"])
    return grid(("truth", "errors", "verdict, s", "with all that is on demand, s"), lines)


def _timed(sizes: Floats, heights: Floats, errors: Floats) -> tuple[float, float]:
    start = time.perf_counter()
    v = divergence_test(sizes, heights, errors)
    alone = time.perf_counter() - start
    v.to_dict()
    return alone, time.perf_counter() - start


def report(rows: Sequence[Row], distances: Mapping[Ceiled, Closest]) -> Iterator[str]:
    """Marks and tables, in Markdown."""
    table = [mark.line() for mark in marks(rows, distances)]
    sets = f"{min(row.sets for row in rows)} sets of data a cell"
    head = grid(("mark", "measured", "wanted", ""), [])
    yield f"### Marks ({sets})\n\n" + head + "\n".join(table) + "\n\n" + remarks(rows, distances)
    parts = {row.part for row in rows}
    if POWERS in parts:
        yield "### Power beside its ceiling, errors of 1 %\n\n" + power_table(rows, distances)
    if LENGTHS in parts:
        yield "### Lower limit of the crossover length\n\n" + lengths_table(rows)
    if parts - {LENGTHS}:
        yield "### By part, class, sizes and errors\n\n" + groups_table(rows)
        yield "### Cells, the worst first\n\n" + cells_table(rows)


def tables(replicates: int) -> Iterator[str]:
    """For the page."""
    yield f"{cpu_name()}, numpy {np.__version__}, seed {SEED}.\n"
    rows = measure(SEED, replicates)
    yield from report(rows, all_distances(rows))
    yield "### Speed, 15 sizes\n\n" + speed_table()


def plain(numbers: Row | Mark) -> dict[str, Any]:
    """For JSON: None for what was not measured."""
    own = asdict(numbers).items()
    return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in own}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--replicates", type=int, default=USUAL, help="sets of data a cell")
    parser.add_argument("--seed", type=int, default=SEED, help="of truths and noise")
    parser.add_argument("--only", default="", help="cells whose key has this text")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--json", type=Path, help="write rows and marks, to compare runs")
    parser.add_argument("--against", type=Path, help="such a file, to be compared with")
    given = parser.parse_args()
    rows = measure(given.seed, given.replicates, given.only, given.jobs)
    if not rows:
        parser.error(f"no cell has '{given.only}' in its key")
    distances = all_distances(rows, given.jobs)
    found = marks(rows, distances)
    for text in report(rows, distances):
        print(text, flush=True)
    if given.json:
        told = {
            "seed": given.seed,
            "marks": [plain(mark) | {"passed": mark.passed} for mark in found],
            "cells": [plain(row) for row in rows],
        }
        given.json.write_text(json.dumps(told, indent=1) + "\n")
    if given.against:
        print("### Changes\n\n" + changes(rows, found, given.against), flush=True)


if __name__ == "__main__":
    main()
