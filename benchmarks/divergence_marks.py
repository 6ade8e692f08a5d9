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
import functools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from heatcap.divergence import divergence_test
from heatcap.systems import Percolation

import divergence_truths as truths
from divergence_truths import DESIGNS, Floats, Truth, class_of, cut_off, seeded
from machine import cpu_name, said

SEED = 23
USUAL = 100
GROWING = ("logarithmic", "power-law")

# Errors: heights as measured, and what the verdict is told of them.

Data = tuple[Floats | None, dict[str, Any]]
Measured = Callable[[Floats, np.random.Generator], Data]


def gaussian(noise: float) -> Measured:
    def measured(h: Floats, rng: np.random.Generator) -> Data:
        return h * (1 + noise * rng.normal(size=h.size)), {"errors": noise * h}

    return measured


def runs(count: int, spread: float, form: str) -> Measured:
    """A few runs of each size, whose mean is the height."""

    def measured(h: Floats, rng: np.random.Generator) -> Data:
        drawn = rng.normal(size=(h.size, count))
        if form == "lognormal":
            factor = np.exp(spread * drawn - spread**2 / 2)
        else:
            factor = 1 + spread * drawn
        return None, {"replicates": list(h[:, np.newaxis] * factor)}

    return measured


def correlated(noise: float, rho: float) -> Measured:
    """Neighbouring sizes with a correlation, of which the verdict is told."""

    def measured(h: Floats, rng: np.random.Generator) -> Data:
        order = np.arange(h.size)
        apart = np.abs(order[:, np.newaxis] - order)
        covariance = noise**2 * np.outer(h, h) * rho**apart
        return rng.multivariate_normal(h, covariance), {"covariance": covariance}

    return measured


def outlier(noise: float, off: float) -> Measured:
    """One height is off by so many errors."""

    def measured(h: Floats, rng: np.random.Generator) -> Data:
        y = h * (1 + noise * rng.normal(size=h.size))
        y[rng.integers(h.size)] += off * noise * h.mean() * rng.choice([-1, 1])
        return y, {"errors": noise * h}

    return measured


def loose(noise: float, times: float) -> Measured:
    """One height with an error that is so many times that of the others, and said to be."""

    def measured(h: Floats, rng: np.random.Generator) -> Data:
        error = noise * h
        error[rng.integers(h.size)] *= times
        return h + error * rng.normal(size=h.size), {"errors": error}

    return measured


def percolated(sizes: Floats) -> Measured:
    """Real runs of bond percolation at its threshold: errors from 16 batches of 20."""

    def measured(h: Floats, rng: np.random.Generator) -> Data:
        lengths = [int(L) for L in sizes]
        table = Percolation().sample(lengths, [0.5], replicates=16, runs=20, rng=rng)
        return table["mean_size"].values, {"errors": table["mean_size_error"].values}

    return measured


ERRORS: dict[str, Measured] = {
    "0.3%": gaussian(0.003),
    "1%": gaussian(0.01),
    "3%": gaussian(0.03),
    "3 runs, Gaussian 2%": runs(3, 0.02, "Gaussian"),
    "5 runs, Gaussian 10%": runs(5, 0.1, "Gaussian"),
    "3 runs, lognormal 10%": runs(3, 0.1, "lognormal"),
    "5 runs, lognormal 25%": runs(5, 0.25, "lognormal"),
    "correlated 1%": correlated(0.01, 0.6),
    "loose height": loose(0.01, 100.0),
    "outlier": outlier(0.01, 8.0),
}
WRONG = ("outlier",)  # errors that are not right: refusals are answers there


# Cells.


@dataclass(frozen=True)
class Cell:
    """A truth at a design with errors."""

    part: str
    label: str
    truth: Truth
    design: str
    errors: str
    sizes: Floats
    measured: Measured

    @property
    def key(self) -> str:
        return f"{self.part} | {self.label} | {self.design} | {self.errors}"

    @property
    def kind(self) -> str:
        return class_of(self.truth, self.sizes)

    @property
    def pure(self) -> bool:
        """Whether it grows without a crossover, as a member of the family does."""
        return self.truth.known and self.truth.crossover == 0 and self.part in ("a family", "power")


def cell(part: str, label: str, truth: Truth, design: str, errors: str) -> Cell:
    return Cell(part, label, truth, design, errors, DESIGNS[design], ERRORS[errors])


def drawn(
    seed: int, part: str, label: str, design: str, make: Callable[..., Truth], wanted: str
) -> Truth:
    """The first truth of those drawn for a cell that has the class at the design."""
    rng = seeded(seed, part, label, design)
    for _ in range(1000):
        truth = make(DESIGNS[design], rng)
        if class_of(truth, DESIGNS[design]) == wanted:
            return truth
    raise ValueError(f"no {part}, {label} is {wanted} at {design}")


def pick(seed: int, *what: object, of: Sequence[str]) -> str:
    return str(seeded(seed, *what).choice(of))


NOISES = ("0.3%", "1%", "1%", "3%")


def family_cells(seed: int) -> Iterator[Cell]:
    part = "a family"
    for kind, wanted in truths.FAMILY.items():
        make = functools.partial(truths.drawn_family, kind)
        often = kind not in ("slow saturation", "cut off beyond")
        for design in DESIGNS if often else ("8-256", "15 sizes"):
            truth = drawn(seed, part, kind, design, make, wanted)
            yield cell(part, kind, truth, design, pick(seed, design, kind, of=NOISES))
    for errors in ("0.3%", "1%", "3%"):
        flat = Truth("3", lambda L: 3 + 0 * L, "", 3.0, known=True)
        yield cell(part, "constant", flat, "15 sizes", errors)
    drift = Truth("drift of 3 %", lambda L: 3 - 0.72 / L, "", 3.0, known=True)
    yield cell(part, "drift", drift, "15 sizes", "1%")


def exponent_cells(seed: int) -> Iterator[Cell]:
    part = "b exponents"
    for design in DESIGNS:
        for kind in truths.EXPONENTS:
            for i in range(2 if design in ("8-256", "15 sizes", "32-8192") else 1):
                label = f"{kind} {i + 1}"
                make = functools.partial(truths.drawn_exponent, kind)
                truth = drawn(seed, part, label, design, make, kind)
                yield cell(part, label, truth, design, pick(seed, design, label, of=NOISES))


EXACT_AT = (
    ("mean-field C", ("dense 4-64", "16 of 4-64", "10 primes", "15 sizes", "32-8192")),
    ("mean-field chi", ("16 of 4-64", "15 sizes", "32-8192")),
    ("Ising ring C", ("16 of 4-64", "8-256")),
    ("square Ising C", ("16 of 4-64", "8-256")),
    ("attention row", ("dense 4-64", "10 primes", "15 sizes", "20 over 3 decades", "millions")),
    ("square Ising C at 0.98 K_c", ("8-256",)),
    ("mean-field chi at 1.04 T_c", ("32-8192", "20 over 3 decades")),
)


def exact_cells(seed: int) -> Iterator[Cell]:
    part = "c exact"
    for name, designs in EXACT_AT:
        for design in designs:
            yield cell(part, name, truths.exact(name), design, "1%")
    yield cell(part, "mean-field C", truths.exact("mean-field C"), "dense 4-64", "0.3%")
    yield cell(part, "mean-field C", truths.exact("mean-field C"), "dense 4-64", "3%")
    sizes = np.array([4, 6, 8, 12, 16, 24, 32, 48.0])
    mean_size = Truth("43/24", lambda L: L ** (43 / 24), "power-law")
    yield Cell(part, "percolation", mean_size, "4-48", "runs", sizes, percolated(sizes))


def form_cells(seed: int) -> Iterator[Cell]:
    part = "d forms"
    designs = ("15 sizes", "32-8192", "8-256", "20 over 3 decades", "16 of 4-64", "10 primes")
    for i, name in enumerate(truths.SATURATING):
        for design in (designs[i % 4], designs[(i % 4 + 1 + i // 4 % 5) % 6]):
            make = lambda s, rng, name=name: truths.saturating(  # noqa: E731
                name, s, 1.0 if rng.random() < 0.25 else float(np.exp(rng.uniform(-1.6, 0)))
            )
            truth = drawn(seed, part, name, design, make, "bounded")
            yield cell(part, name, truth, design, pick(seed, design, name, of=NOISES))
    for i, name in enumerate(truths.GROWING):
        for design in (designs[i % 4], designs[(i % 4 + 1 + i // 4 % 5) % 6]):
            errors = pick(seed, design, name, of=NOISES)
            yield cell(part, name, truths.growing(name, DESIGNS[design]), design, errors)


def error_cells(seed: int) -> Iterator[Cell]:
    part = "e errors"
    made = {"cut-off power": "15 sizes", "logarithm": "15 sizes", "power": "32-8192"}
    for errors in list(ERRORS)[3:]:
        for kind, design in made.items():
            make = functools.partial(truths.drawn_family, kind)
            label, wanted = f"{kind}, {errors}", truths.FAMILY[kind]
            yield cell(part, kind, drawn(seed, part, label, design, make, wanted), design, errors)


POWER = (
    ("10 primes", "4 - 10/L"),
    ("10 primes", "1 + 0.5 ln L"),
    ("10 primes", "1 + 0.3 L^0.4"),
    ("10 primes", "1 + 0.3 L"),
    ("8-256", "4 - 10/L"),
    ("8-256", "1 + 0.5 ln L"),
    ("8-256", "1 + 0.3 L^0.4"),
    ("15 sizes", "1 + 0.5 ln L"),
    ("15 sizes", "attention row"),
    ("15 sizes", "1 + 0.3 L^0.4"),
)
USUAL_TRUTHS = {
    "4 - 10/L": Truth("", lambda L: 4 - 10 / L, "", 4.0, known=True),
    "1 + 0.5 ln L": Truth("", lambda L: 1 + 0.5 * np.log(L), "logarithmic", known=True),
    "1 + 0.3 L^0.4": Truth("", lambda L: 1 + 0.3 * L**0.4, "power-law", known=True),
    "1 + 0.3 L": Truth("", lambda L: 1 + 0.3 * L, "power-law", known=True),
    "attention row": truths.exact("attention row"),
}


def power_cells(seed: int) -> Iterator[Cell]:
    for design, name in POWER:
        yield cell("power", name, USUAL_TRUTHS[name], design, "1%")


def crossover_cells(seed: int) -> Iterator[Cell]:
    part = "xi"
    for design in ("15 sizes", "32-8192"):
        sizes = DESIGNS[design]
        for at in (0.3, 1.0, 2.0, 10.0):
            for m in (0.5, 1.0, 2.0, 4.0):
                label = f"xi {at:g} L_max, m {m:g}"
                kappa = float(seeded(seed, part, label, design).uniform(0.2, 1.2))
                truth = cut_off(sizes, kappa, at * sizes.max(), m)
                yield cell(part, label, truth, design, "1%")
    yield cell(part, "1 + 0.3 L", USUAL_TRUTHS["1 + 0.3 L"], "32-8192", "1%")


@functools.cache
def all_cells(seed: int) -> dict[str, Cell]:
    """By key, in the order of the parts."""
    parts = (family_cells, exponent_cells, exact_cells, form_cells, error_cells, power_cells)
    cells = [each for part in (*parts, crossover_cells) for each in part(seed)]
    found = {each.key: each for each in cells}
    assert len(found) == len(cells), "two cells have one key"
    return found


# What the verdict says of one set, and of a cell.


@dataclass(frozen=True)
class Said:
    """One verdict."""

    verdict: str
    plausible: tuple[str, ...]
    refused: bool
    warned: bool
    conditional: tuple[str, ...] | None
    limit: float
    seconds: float


def ask(each: Cell, rng: np.random.Generator) -> Said:
    """Draw a set of data and ask for the verdict."""
    heights, told = each.measured(each.truth.heights(each.sizes), rng)
    try:
        v = divergence_test(each.sizes, heights, rng=rng, **told)
    except ValueError as error:
        said(f"{each.key}: {error}")
        return Said("undecided", (), True, True, (), 0.0, 0.0)
    return Said(
        v.verdict,
        tuple(v.plausible),
        v.status != "ok",
        bool(v.warnings),
        getattr(v, "if_no_crossover", None),
        float(getattr(v, "crossover_length_lower_limit95", np.nan)),
        v.seconds,
    )


@dataclass(frozen=True)
class Row:
    """Shares of the sets of one cell."""

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
    false: float
    silent: float  # of all sets: false without a warning
    power: float
    verdict: str
    conditional_kept: float
    conditional_power: float
    below_xi: float  # lower limit of the crossover length at or below the true one
    above_half: float  # lower limit above half of the largest size
    seconds: float

    @property
    def answered(self) -> float:
        """Share kept of the sets that were answered."""
        return self.kept / (1 - self.refused) if self.refused < 1 else float("nan")


def right(names: Sequence[str], kind: str) -> bool:
    """Whether no false class is among them; logarithm and power law together diverge."""
    allowed = GROWING if kind in GROWING and len(names) == 2 else (kind,)
    return bool(names) and set(names) <= set(allowed)


def false(verdict: str, kind: str) -> bool:
    allowed = (kind, "divergent") if kind in GROWING else (kind,)
    return verdict not in (*allowed, "undecided")


def row_of(key: str, seed: int, replicates: int) -> Row:
    """All sets of a cell."""
    each = all_cells(seed)[key]
    rng = seeded(seed, "noise", key)
    return summed(each, [ask(each, rng) for _ in range(replicates)])


def summed(each: Cell, found: list[Said]) -> Row:
    kind = each.kind
    wrong = [not s.refused and false(s.verdict, kind) for s in found]
    said_most = [f"refused ({s.verdict})" if s.refused else s.verdict for s in found]
    most = max(set(said_most), key=said_most.count)
    given = [s.conditional for s in found if s.conditional is not None]
    limits = np.array([s.limit for s in found])
    xi = each.truth.crossover or np.inf

    def share(which: Sequence[bool] | Any) -> float:
        return float(np.mean(which)) if len(which) else float("nan")

    known = np.isfinite(limits) | np.isposinf(limits)
    return Row(
        each.key,
        each.part,
        each.label,
        each.truth.name or each.label,
        each.truth.known,
        each.pure,
        each.design,
        each.errors,
        kind,
        len(found),
        share([not s.refused and kind in s.plausible for s in found]),
        share([s.refused for s in found]),
        share(wrong),
        share([w and not s.warned for w, s in zip(wrong, found, strict=True)]),
        share([not s.refused and right(s.plausible, kind) for s in found]),
        f"{most} {said_most.count(most) / len(found):.2f}",
        share([kind in names for names in given]),
        share([right(names, kind) for names in given]),
        share(limits[known] <= xi * (1 + 1e-9)),
        share(limits[known] > each.sizes.max() / 2),
        float(np.median([s.seconds for s in found])),
    )


def measure(seed: int, replicates: int, only: str = "", jobs: int | None = None) -> Iterator[Row]:
    """Rows of the cells whose key has `only`, in the order in which they are done."""
    keys = [key for key in all_cells(seed) if only in key]
    with ProcessPoolExecutor(jobs) as pool:
        waiting = {pool.submit(row_of, key, seed, replicates) for key in keys}
        for n, job in enumerate(as_completed(waiting), 1):
            row = job.result()
            said(
                f"{n} of {len(keys)}: {row.key}: {row.kind or 'no class'}, kept {row.kept:.2f}, "
                f"refused {row.refused:.2f}, false {row.false:.2f}, power {row.power:.2f}, "
                f"{row.verdict}, {row.seconds:.2f} s"
            )
            yield row


# Tables and marks.


HEAD = (
    "| part | truth | sizes | errors | class | kept | refused | false | silent | power | most often "
    "| if no crossover: kept | power |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
)


def shown(x: float) -> str:
    return "–" if np.isnan(x) else f"{x:.2f}"


def line(row: Row) -> str:
    mark = "" if row.known else "*"
    numbers = (row.kept, row.refused, row.false, row.silent, row.power)
    return (
        f"| {row.part} | {row.label}{mark}: {row.truth} | {row.design} | {row.errors} | {row.kind} | "
        + " | ".join(map(shown, numbers))
        + f" | {row.verdict} | {shown(row.conditional_kept)} | {shown(row.conditional_power)} |"
    )


def table(rows: Sequence[Row]) -> str:
    """The worst cells first."""
    classed = [row for row in rows if row.kind]
    ordered = sorted(classed, key=lambda row: (row.kept - row.false, row.key))
    return "\n".join([*HEAD, *map(line, ordered)]) + "\n"


def mark(
    what: str, value: float, at_least: float | None = None, at_most: float | None = None
) -> str:
    if np.isnan(value):
        return f"| {what} | – | not measured |"
    if at_least is not None:
        return f"| {what} | {value:.3f} | {'pass' if value >= at_least else 'MISSED'} (>= {at_least:g}) |"
    assert at_most is not None
    return f"| {what} | {value:.3f} | {'pass' if value <= at_most else 'MISSED'} (<= {at_most:g}) |"


def mean(values: Sequence[float]) -> float:
    there = [x for x in values if not np.isnan(x)]
    return float(np.mean(there)) if there else float("nan")


def marks(rows: Sequence[Row]) -> str:
    classed = [row for row in rows if row.kind and row.part != "xi"]
    sound = [row for row in classed if row.errors not in WRONG]
    out = [row for row in sound if not row.known]
    power = [row for row in rows if row.part == "power"]
    pure = [row for row in sound if row.pure]
    xi = [row for row in rows if row.part == "xi" and row.label.startswith("xi")]
    ln = [row for row in rows if row.part == "xi" and row.label.startswith("1 + 0.3")]
    nan = float("nan")
    lines = [
        "| mark | measured | |",
        "|---|---|---|",
        mark(
            "coverage, lowest cell out of the family", min((r.kept for r in out), default=nan), 0.9
        ),
        mark("coverage over all cells", mean([r.kept for r in sound]), 0.95),
        mark("coverage over all cells out of the family", mean([r.kept for r in out]), 0.95),
        mark(
            "coverage, lowest cell in the family",
            min((r.kept for r in sound if r.known), default=nan),
            0.9,
        ),
        mark(
            "refused, highest cell (errors right)",
            max((r.refused for r in sound), default=nan),
            at_most=0.1,
        ),
        mark("refused over all (errors right)", mean([r.refused for r in sound]), at_most=0.1),
        mark(
            "false single verdicts over all cells", mean([r.false for r in classed]), at_most=0.05
        ),
        mark(
            "false without a warning, highest cell",
            max((r.silent for r in classed), default=nan),
            at_most=0.05,
        ),
    ]
    if len(power) == len(POWER):
        lines += [
            mark("sum of powers, ten cells", sum(r.power for r in power), 0.85 * 5.6),
            mark("the same if no crossover", sum(r.conditional_power for r in power), 7.5),
        ]
    lines += [
        mark(
            "if no crossover: coverage of pure growths",
            mean([r.conditional_kept for r in pure]),
            0.95,
        ),
        mark(
            "crossover limit at or below the true length, all", mean([r.below_xi for r in xi]), 0.95
        ),
        mark("the same, lowest cell", min((r.below_xi for r in xi), default=nan), 0.9),
        mark("crossover limit above L_max / 2 for L^1", mean([r.above_half for r in ln]), 0.8),
    ]
    low = holm([float(stats.binom.cdf(round(r.kept * r.sets), r.sets, 0.95)) for r in sound])
    lines += ["", f"{len(classed)} cells; significantly below 95 % (binomial, Holm, 5 %): {low}."]
    return "\n".join(lines) + "\n"


def holm(p_values: list[float]) -> int:
    """How many are rejected at 5 %."""
    n = len(p_values)
    for i, p in enumerate(sorted(p_values)):
        if p > 0.05 / (n - i):
            return i
    return n


def report(rows: Sequence[Row]) -> Iterator[str]:
    """All tables in Markdown."""
    yield "### Marks\n\n" + marks(rows)
    yield "### Cells, the worst first\n\n" + table(rows)


def tables(replicates: int) -> Iterator[str]:
    """For the page."""
    yield f"{cpu_name()}, numpy {np.__version__}.\n"
    yield from report(list(measure(SEED, replicates)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--replicates", type=int, default=USUAL, help="sets of data a cell")
    parser.add_argument("--seed", type=int, default=SEED, help="of truths and noise")
    parser.add_argument("--only", default="", help="cells whose key has this text")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--json", type=Path, help="write the rows, to compare runs")
    given = parser.parse_args()
    rows = list(measure(given.seed, given.replicates, given.only, given.jobs))
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    for text in report(rows):
        print(text, flush=True)


if __name__ == "__main__":
    main()
