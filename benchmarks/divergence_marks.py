"""Verdicts on heights whose growth is known: coverage, false verdicts, power.

    python benchmarks/divergence_marks.py [--replicates 200]

Beside the verdict stand the trial that it has to beat (best chi^2 of each class without
corrections, a class excluded from Delta chi^2 = 4 on) and the published practice: A L^g against
A (1 - e^(-bL)), ordinary least squares, a verdict from Delta AIC = 2 on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize_scalar

from heatcap.divergence import CLASSES, Margins
from heatcap.divergence.box_cox import box_cox
from heatcap.divergence.heights import Heights, read_heights
from heatcap.divergence.plausible import plausible, problem
from heatcap.divergence.power import kept_classes, right_verdicts, verdict_of
from heatcap.divergence.verdict import divergence_test, judged
from heatcap.systems import CurieWeiss, Ising1D, Ising2DExact, TwoLevel

from machine import cpu_name, print_tables, said

Floats = NDArray[np.float64]

DESIGNS = {
    "10 primes": np.array([19, 23, 29, 37, 43, 59, 73, 83, 97, 113.0]),
    "8-256": 2.0 ** np.arange(3, 9),
    "15 sizes": np.array([8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024.0]),
}
NOISE = (0.003, 0.01, 0.03)
DRAWS = 200
SEED = 23  # of the tables; the margins and the number of nulls were tuned with other seeds


@dataclass(frozen=True)
class Truth:
    name: str
    kind: str
    heights: Callable[[Floats], Floats]


def each(height: Callable[[int], float]) -> Callable[[Floats], Floats]:
    """A function of one integer size, computed once for each."""
    stored = functools.cache(height)
    return lambda sizes: np.array([stored(int(L)) for L in sizes])


def susceptibility(size: int) -> float:
    """The largest susceptibility of the Curie-Weiss magnet over the temperature."""
    system = CurieWeiss()

    def negative(t: float) -> float:
        return -float(system.columns(size, np.array([t]))["susceptibility"][0])

    found = minimize_scalar(negative, bounds=(0.3, 1.5), method="bounded", options={"xatol": 1e-7})
    return -float(found.fun)


TRUTHS = (
    Truth("3", "flat", lambda L: 3.0 + 0 * L),
    Truth("4 - 10/L", "bounded", lambda L: 4 - 10 / L),
    Truth("4 - 3 exp(-L/20)", "bounded", lambda L: 4 - 3 * np.exp(-L / 20)),
    Truth("Ising ring, exact", "bounded", each(lambda L: Ising1D().maximum(L)[1])),
    Truth("Curie-Weiss C, exact", "bounded", each(lambda L: CurieWeiss().maximum(L)[1])),
    Truth("1 + 0.5 ln L", "logarithmic", lambda L: 1 + 0.5 * np.log(L)),
    Truth("two-level row, exact", "logarithmic", each(lambda L: TwoLevel().maximum(L)[1])),
    Truth("2D Ising C, exact", "logarithmic", each(lambda L: Ising2DExact().maximum(L)[1])),
    Truth("1 + 0.3 L^0.2", "power-law", lambda L: 1 + 0.3 * L**0.2),
    Truth("1 + 0.3 L^0.4", "power-law", lambda L: 1 + 0.3 * L**0.4),
    Truth("1 + 0.3 L", "power-law", lambda L: 1 + 0.3 * L),
    Truth("L^0.4", "power-law", lambda L: L**0.4),
    Truth("Curie-Weiss chi, exact", "power-law", each(susceptibility)),
)


def corrected(truth: Truth, b: float, omega: float) -> Truth:
    """With a correction b (growth seen) (L / L_min)^-omega."""

    def heights(L: Floats) -> Floats:
        h = truth.heights(L)
        return np.asarray(h + b * np.ptp(h) * (L / L.min()) ** -omega)

    return Truth(f"{truth.name}, {b:+g} (L/L_min)^-{omega:g}", truth.kind, heights)


CORRECTED = tuple(
    corrected(truth, b, omega)
    for truth in (
        TRUTHS[1],
        Truth("4 - 5 L^-0.5", "bounded", lambda L: 4 - 5 * L**-0.5),
        TRUTHS[5],
        Truth("1 + 0.3 L^0.35", "power-law", lambda L: 1 + 0.3 * L**0.35),
    )
    for b, omega in ((-0.2, 1.0), (0.2, 1.0), (0.3, 1.5))
)


def class_of(truth: Truth, sizes: Floats, margins: Margins) -> str:
    """Its class at these sizes: growth below the smallest effect is flat."""
    h = truth.heights(sizes)
    if truth.kind == "bounded":
        assert truth.heights(np.array([1e4]))[0] < margins.saturation_ratio * h.max()
    return "flat" if np.ptp(h) < margins.smallest_effect * h.max() else truth.kind


def sets_of_data(
    truth: Truth, sizes: Floats, noise: float, replicates: int, declared: float = 1.0
) -> Iterator[Heights]:
    rng = np.random.default_rng([SEED, len(sizes), round(1e4 * noise), len(truth.name)])
    h = truth.heights(sizes)
    for _ in range(replicates):
        y = h * (1 + noise * rng.normal(size=sizes.size))
        yield read_heights(sizes, y, declared * noise * h)


@dataclass(frozen=True)
class Cell:
    """Shares in one cell of the battery."""

    coverage: float
    power: float
    wrong: float
    verdict: str


def shares(found: list[tuple[str, ...]], kind: str) -> Cell:
    verdicts = [verdict_of(names) for names in found]
    n = len(found)
    most = max(set(verdicts), key=verdicts.count)
    right = right_verdicts(kind)
    return Cell(
        sum(kind in names for names in found) / n,
        sum(v in right for v in verdicts) / n,
        sum(v not in (*right, "undecided") for v in verdicts) / n,
        f"{most} {verdicts.count(most) / n:.2f}",
    )


def run(data: Heights, rng: np.random.Generator, margins: Margins, rescale: bool = False) -> Any:
    return judged(data, margins, None, rescale, DRAWS, rng)


def kept(data: Heights, rng: np.random.Generator, margins: Margins) -> tuple[str, ...]:
    """Classes that are not excluded: the same as those of `run`, without the size of p-values."""
    setup = problem(data.sizes, data.covariance, margins)
    return plausible(setup, data.heights, draws=DRAWS, rng=rng, enough=0.05).names(0.95)


def trial(data: Heights) -> tuple[str, ...]:
    """The mark: no corrections, flat counted as bounded, excluded at Delta chi^2 >= 4."""
    setup = problem(data.sizes, data.covariance, Margins(correction=0.0))
    score = setup.scores(data.heights[np.newaxis])[0]
    kept = dict(zip(CLASSES, score - score.min() < 4, strict=True))
    kept["bounded"] |= kept.pop("flat")
    return tuple(name for name, inside in kept.items() if inside)


def practice(sizes: Floats, y: Floats) -> str:
    """AIC = n ln(SS / n) + 2 k of A L^g against A (1 - e^(-bL))."""
    n = len(y)

    def aic(shape: Floats) -> float:
        a = shape @ y / np.einsum("ij,ij->i", shape, shape)
        ss = np.min(np.sum((y - a[:, np.newaxis] * shape) ** 2, axis=1))
        return float(n * np.log(ss / n) + 4)

    power = aic(sizes ** np.linspace(-1, 3, 1601)[:, np.newaxis])
    saturating = aic(-np.expm1(-sizes * np.geomspace(1e-5, 10, 1200)[:, np.newaxis]))
    if abs(power - saturating) <= 2:
        return "undecided"
    return "power-law" if power < saturating else "bounded"


@dataclass(frozen=True)
class Row:
    """A cell of the battery with those of the trial and of the published practice."""

    kind: str
    cell: Cell
    trial: Cell
    text: str


def rows_of(design: str, index: int, replicates: int) -> list[Row]:
    """One truth at one design, at every noise."""
    sizes, truth, margins = DESIGNS[design], TRUTHS[index], Margins()
    kind, rows = class_of(truth, sizes, margins), []
    for noise in NOISE:
        rng = np.random.default_rng(SEED)
        data = list(sets_of_data(truth, sizes, noise, replicates))
        cell = shares([kept(each, rng, margins) for each in data], kind)
        old = shares([trial(each) for each in data], "bounded" if kind == "flat" else kind)
        aic = np.mean([practice(sizes, each.heights) == "power-law" for each in data])
        text = (
            f"| {design} | {truth.name} | {kind} | {noise:.1%} | {cell.coverage:.2f} "
            f"| {cell.wrong:.2f} | {cell.power:.2f} | {cell.verdict} | {old.coverage:.2f} "
            f"| {old.wrong:.2f} | {old.power:.2f} | {aic:.2f} |"
        )
        rows.append(Row(kind, cell, old, text))
    return rows


def battery(replicates: int) -> str:
    lines = [
        "| sizes | truth | class | noise | coverage | false | power | most often | trial: coverage "
        "| trial: false | trial: power | AIC says power law |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    cases = [(design, index) for design in DESIGNS for index in range(len(TRUTHS))]
    rows = [row for part in at_once(rows_of, cases, replicates) for row in part]
    cells, trials = [row.cell for row in rows], [row.trial for row in rows]
    kinds = [row.kind for row in rows]
    inside = [round(cell.coverage * replicates) for cell in cells]
    wrong = [round(cell.wrong * replicates) for cell in cells]
    p_low = [float(stats.binom.cdf(n, replicates, 0.95)) for n in inside]
    p_false = [float(stats.binom.sf(n - 1, replicates, 0.05)) for n in wrong]
    coverage = np.mean([cell.coverage for cell in cells])
    lines += [
        *(row.text for row in rows),
        "",
        f"Coverage over all {len(cells)} cells {coverage:.3f}, lowest "
        f"{min(cell.coverage for cell in cells):.2f}; cells significantly below 95 % (binomial, "
        f"Holm, 5 %): {holm(p_low)}; cells with significantly more than 5 % false verdicts: "
        f"{holm(p_false)}. False verdicts over all cells {np.mean([c.wrong for c in cells]):.3f} "
        f"(trial: {np.mean([c.wrong for c in trials]):.3f}). Sum of powers "
        f"{sum(c.power for c in cells):.1f} of {len(cells)} "
        f"(trial: {sum(c.power for c in trials):.1f}, at a coverage of "
        f"{np.mean([c.coverage for c in trials]):.3f}, lowest "
        f"{min(c.coverage for c in trials):.2f}); without the flat truths, which the trial counts "
        f"as bounded, {_grown(kinds, cells)} (trial: {_grown(kinds, trials)}).",
    ]
    return "\n".join(lines) + "\n"


def at_once(
    work: Callable[[str, int, int], Any], cases: list[tuple[str, int]], replicates: int
) -> Iterator[Any]:
    """One process for each core; each case has seeds of its own, so that nothing depends on it."""
    with ProcessPoolExecutor() as pool:
        jobs = [pool.submit(work, *case, replicates) for case in cases]
        for job, case in zip(jobs, cases, strict=True):
            yield job.result()
            said(f"{work.__name__}: {case[0]}, {case[1] + 1}")


def _grown(kinds: list[str], cells: list[Cell]) -> str:
    power = [cell.power for kind, cell in zip(kinds, cells, strict=True) if kind != "flat"]
    return f"{sum(power):.1f} of {len(power)}"


def holm(p_values: list[float]) -> int:
    """How many are rejected at 5 %."""
    n = len(p_values)
    for i, p in enumerate(sorted(p_values)):
        if p > 0.05 / (n - i):
            return i
    return n


def corrected_rows(design: str, index: int, replicates: int) -> list[tuple[float, str]]:
    """Coverage and row of one truth with corrections, at every noise."""
    sizes, truth, rows = DESIGNS[design], CORRECTED[index], []
    for noise in NOISE:
        rng = np.random.default_rng(SEED)
        data = list(sets_of_data(truth, sizes, noise, replicates))
        cell = shares([kept(each, rng, Margins()) for each in data], truth.kind)
        old = shares([trial(each) for each in data], truth.kind)
        row = "".join(f"| {c.coverage:.2f} | {c.wrong:.2f} | {c.power:.2f} " for c in (cell, old))
        rows.append((cell.coverage, f"| {design} | {truth.name} | {noise:.1%} {row}|"))
    return rows


def corrections_table(replicates: int) -> str:
    """Truths with corrections to scaling, which the trial does not have."""
    lines = [
        "| sizes | truth | noise | coverage | false | power | trial: coverage | false | power |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    cases = [(design, index) for design in DESIGNS for index in range(len(CORRECTED))]
    rows = [row for part in at_once(corrected_rows, cases, replicates) for row in part]
    low = [float(stats.binom.cdf(round(c * replicates), replicates, 0.95)) for c, _ in rows]
    mean, lowest = np.mean([c for c, _ in rows]), min(c for c, _ in rows)
    said = (
        f"Coverage over all {len(rows)} cells {mean:.3f}, lowest {lowest:.2f}; cells "
        f"significantly below 95 % (binomial, Holm, 5 %): {holm(low)}."
    )
    return "\n".join([*lines, *(text for _, text in rows), "", said]) + "\n"


def errors_table(replicates: int) -> str:
    """Declared errors half and twice the true ones."""
    lines = [
        "| sizes | declared / true | truth | noticed | coverage | coverage, rescaled |",
        "|---|---|---|---|---|---|",
    ]
    margins = Margins()
    for design in ("10 primes", "15 sizes"):
        sizes = DESIGNS[design]
        for declared in (0.5, 1.0, 2.0):
            for truth in (TRUTHS[1], TRUTHS[5], TRUTHS[9]):
                rng, noticed, inside, heeded = np.random.default_rng(SEED), 0, 0, 0
                for data in sets_of_data(truth, sizes, 0.01, replicates, declared):
                    *_, found, warnings = run(data, rng, margins)
                    noticed += any("chi2" in text for text in warnings)
                    inside += truth.kind in found.names(0.95)
                    *_, again, _ = run(data, rng, margins, True)
                    heeded += truth.kind in again.names(0.95)
                rates = [f"{x / replicates:.2f}" for x in (noticed, inside, heeded)]
                lines.append(
                    f"| {design} | {declared:g} | {truth.name} | " + " | ".join(rates) + " |"
                )
        said(f"errors, {design}")
    return "\n".join(lines) + "\n"


def exponent_table(replicates: int) -> str:
    """Intervals of the exponent where the truth is a member of the family."""
    lines = [
        "| sizes | truth | kappa | noise | in the 95 % interval | below the 95 % upper limit |",
        "|---|---|---|---|---|---|",
    ]
    for design, sizes in DESIGNS.items():
        for index, kappa in ((1, -1.0), (5, 0.0), (9, 0.4), (10, 1.0)):
            for noise in NOISE:
                inside, below = 0, 0
                for data in sets_of_data(TRUTHS[index], sizes, noise, 5 * replicates):
                    found = box_cox(data)
                    inside += found.ci95[0] <= kappa <= found.ci95[1]
                    below += kappa <= found.upper_limit95
                rates = f"{inside / 5 / replicates:.2f} | {below / 5 / replicates:.2f}"
                lines.append(
                    f"| {design} | {TRUTHS[index].name} | {kappa:g} | {noise:.1%} | {rates} |"
                )
    return "\n".join(lines) + "\n"


def estimate_table(replicates: int) -> str:
    """Power by the quick estimate behind the advice, against the whole test."""
    lines = ["| sizes | truth | noise | power | quick estimate |", "|---|---|---|---|---|"]
    margins = Margins()
    for design, sizes in DESIGNS.items():
        for truth in (TRUTHS[1], TRUTHS[5], TRUTHS[9]):
            for noise in NOISE:
                rng = np.random.default_rng(SEED)
                data = sets_of_data(truth, sizes, noise, replicates)
                full = shares([kept(each, rng, margins) for each in data], truth.kind)
                h = truth.heights(sizes)
                setup = problem(sizes, np.diag((noise * h) ** 2), margins)
                quickly = kept_classes(setup, h, level=0.95, draws=400, rng=rng)
                names = [tuple(np.array(CLASSES)[row].tolist()) for row in quickly]
                quick = shares(names, truth.kind)
                lines.append(
                    f"| {design} | {truth.name} | {noise:.1%} | {full.power:.2f} "
                    f"| {quick.power:.2f} |"
                )
    return "\n".join(lines) + "\n"


def speed() -> str:
    sizes = DESIGNS["15 sizes"]
    lines = ["| truth | noise | s |", "|---|---|---|"]
    for truth in (TRUTHS[1], TRUTHS[5], TRUTHS[9]):
        for noise in NOISE:
            heights = truth.heights(sizes)
            best = min(divergence_test(sizes, heights, noise * heights).seconds for _ in range(3))
            lines.append(f"| {truth.name} | {noise:.1%} | {best:.2f} |")
    return "\n".join(lines) + "\n"


def tables(replicates: int) -> Iterator[str]:
    """All tables in Markdown."""
    yield f"{cpu_name()}, numpy {np.__version__}.\n"
    yield f"### Battery ({replicates} replicates a cell)\n\n" + battery(replicates)
    half = max(2, replicates // 2)
    yield (
        f"### Truths with corrections to scaling ({half} replicates a cell)\n\n"
        + corrections_table(half)
    )
    yield f"### Declared errors that are wrong ({half} a row)\n\n" + errors_table(half)
    yield "### Interval of the exponent\n\n" + exponent_table(replicates)
    yield "### Quick estimate of power\n\n" + estimate_table(half)
    yield "### Speed, whole `divergence_test`, 15 sizes\n\n" + speed()


if __name__ == "__main__":
    print_tables(tables, __doc__, 200)
