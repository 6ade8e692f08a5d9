"""Cells of the battery: a truth at a design with errors, drawn anew for each seed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from heatcap.systems import Percolation

import divergence_truths as truths
from divergence_ceilings import FAMILIES, Closest, closest_wrong
from divergence_truths import DESIGNS, Floats, Truth, class_of, cut_off, seeded

# Errors: heights as measured, and what the verdict is told of them.

Data = tuple[Floats | None, dict[str, Any]]
Measured = Callable[[Floats, np.random.Generator], Data]


def gaussian(noise: float, told: float = 1.0, **options: Any) -> Measured:
    """Independent relative errors; the verdict is told `told` times them."""

    def measured(h: Floats, rng: np.random.Generator) -> Data:
        return h * (1 + noise * rng.normal(size=h.size)), {"errors": told * noise * h} | options

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

    def measured(_: Floats, rng: np.random.Generator) -> Data:
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
    "half of 1% told": gaussian(0.01, 0.5),
    "half told, rescaled": gaussian(0.01, 0.5, rescale=True),
    "twice 1% told": gaussian(0.01, 2.0),
}
# Errors that are not right: there a refusal or a warning is the answer, and no mark counts them.
WRONG = ("outlier", "half of 1% told", "half told, rescaled", "twice 1% told")


# Cells.

POWERS, LENGTHS = "f ten cells", "g length"  # parts with marks of their own


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
        own = self.part in ("a family", POWERS)
        return own and self.truth.known and not self.truth.crossover and self.kind != "flat"


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
        flat = Truth(lambda L: 3 + 0 * L, limit=3.0, known=True)
        yield cell(part, "constant", flat, "15 sizes", errors)
    drift = Truth(lambda L: 3 - 0.72 / L, limit=3.0, known=True)
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
    ("mean-field chi", ("8-256", "15 sizes", "32-8192")),
    ("Ising ring C", ("16 of 4-64", "8-256")),
    ("square Ising C", ("16 of 4-64", "8-256")),
    ("attention row", ("dense 4-64", "10 primes", "15 sizes", "20 over 3 decades", "millions")),
    ("square Ising C at 0.98 K_c", ("8-256",)),
    ("mean-field chi at 1.04 T_c", ("32-8192", "20 over 3 decades")),
)


def exact_cells() -> Iterator[Cell]:
    part = "c exact"
    for name, designs in EXACT_AT:
        for design in designs:
            yield cell(part, name, truths.exact(name), design, "1%")
    yield cell(part, "mean-field C", truths.exact("mean-field C"), "dense 4-64", "0.3%")
    yield cell(part, "mean-field C", truths.exact("mean-field C"), "dense 4-64", "3%")
    sizes = np.array([4, 6, 8, 12, 16, 24, 32, 48.0])
    mean_size = Truth(lambda L: L ** (43 / 24), "power-law", kappa=43 / 24, name="exact exponent")
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
    "4 - 10/L": Truth(lambda L: 4 - 10 / L, "", 4.0, known=True, kappa=-1.0),
    "1 + 0.5 ln L": Truth(lambda L: 1 + 0.5 * np.log(L), "logarithmic", known=True, kappa=0.0),
    "1 + 0.3 L^0.4": Truth(lambda L: 1 + 0.3 * L**0.4, "power-law", known=True, kappa=0.4),
    "1 + 0.3 L": Truth(lambda L: 1 + 0.3 * L, "power-law", known=True, kappa=1.0),
    "attention row": truths.exact("attention row"),
}


def power_cells() -> Iterator[Cell]:
    for design, name in POWER:
        yield cell(POWERS, name, USUAL_TRUTHS[name], design, "1%")


@functools.cache
def nearest(design: str, name: str, family: str) -> Closest:
    """The closest function of a wrong class to one of the ten, at 1 %."""
    sizes, truth = DESIGNS[design], USUAL_TRUTHS[name]
    h = truth.heights(sizes)
    return closest_wrong(sizes, h, 0.01 * h, class_of(truth, sizes), family)


def closest_cells() -> Iterator[Cell]:
    """The bounded functions of the family that are closest to growths, as truths."""

    def sought(design: str, name: str) -> Callable[[Floats], Floats]:
        """When heights are asked for, as it takes seconds."""
        return lambda _: nearest(design, name, FAMILIES[1]).heights

    for design, name in POWER:
        if USUAL_TRUTHS[name].growth:
            truth = Truth(sought(design, name), known=True, kind="bounded")
            yield cell("h closest", f"bounded, closest to {name}", truth, design, "1%")


STEEP = "1 + 0.3 L"


def crossover_cells(seed: int) -> Iterator[Cell]:
    part = LENGTHS
    for design in ("15 sizes", "32-8192"):
        sizes = DESIGNS[design]
        for at in (0.3, 1.0, 2.0, 10.0):
            for m in (0.5, 1.0, 2.0, 4.0):
                label = f"xi {at:g} L_max, m {m:g}"
                kappa = float(seeded(seed, part, label, design).uniform(0.2, 1.2))
                truth = cut_off(sizes, kappa, at * sizes.max(), m)
                yield cell(part, label, truth, design, "1%")
    yield cell(part, STEEP, USUAL_TRUTHS[STEEP], "32-8192", "1%")


@functools.cache
def all_cells(seed: int) -> dict[str, Cell]:
    """By key, in the order of the parts."""
    random = (family_cells, exponent_cells, form_cells, error_cells, crossover_cells)
    cells = [*exact_cells(), *power_cells(), *closest_cells()]
    cells += [*(each for part in random for each in part(seed))]
    found = {each.key: each for each in sorted(cells, key=lambda each: each.part)}
    if len(found) < len(cells):
        raise ValueError("two cells have one key")
    return found
