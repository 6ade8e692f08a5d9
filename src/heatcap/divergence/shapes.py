"""Growth laws of heights with the size, each of which belongs to one class by its asymptotics.

    h(L) = s + a [g(L) + b (L / L_min)^-omega],    |b| <= B

g is scaled to change by one over the sizes at hand, so that a is the growth that is seen and b the
correction to scaling in units of it (B = 0 for most shapes).  Where g has a limit it is 0, so that
s is the height at which h saturates.  Exponents and lengths are on a grid; between neighbours g is
interpolated, g_i + t (g_(i+1) - g_i) with 0 <= t <= 1: a fit is linear in s, a, a t and a b.  A
class is the union of its shapes, each with a box for s and a.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from heatcap.divergence.margins import BOUNDED, FLAT, LOGARITHMIC, POWER, Margins
from heatcap.ensemble import heat_capacity_bound

__all__ = ["Shape", "Shapes", "shapes_of"]

Floats = NDArray[np.float64]
Form = Callable[[Floats], Floats]
Chain = list[tuple[dict[str, float], Form]]

ALGEBRAIC = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
LOGARITHMS = (0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
SHIFTS = (-1.0, 0.0, 1.0, 2.0)  # of ln L in (ln L)^2: a factor of L never dies away
BELOW = (0.3, 0.6, 0.99)  # exponents of logarithmic growth in units of kappa_min
ABOVE = (1.0, 1.5)  # exponents of power laws in units of kappa_min, and then
EXPONENTS = (0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.6, 2.0, 2.25, 2.5, 2.75, 3.0)
LENGTHS = 10
OMEGAS = (1.0, 1.5, 2.0)


@dataclass(frozen=True, eq=False)
class Shape:
    """One growth law, and the box of s and a, in units of the largest height, where it is meant.

    `family` groups shapes that differ by `parameters` alone.  `further` is the neighbour on the
    grid, with its parameters; `omega` the exponent of a correction.
    """

    family: str
    kind: int
    form: Form
    growth: tuple[float, float]
    limit: tuple[float, float] = (-np.inf, np.inf)
    parameters: Mapping[str, float] = field(default_factory=dict)
    further: tuple[Mapping[str, float], Form] | None = None
    omega: float = 0.0


@dataclass(frozen=True, eq=False)
class Shapes:
    """All shapes on given sizes, as arrays for the kernel.

    Attributes
    ----------
    sizes : ndarray (size,)
    g, e, d : ndarray (shape, size)
        h = s + a (g + b e + t d).  With a correction e is the correction and d the step to the
        neighbour; without, e is the step and d is 0.
    span : ndarray (2, shape)
        What g and its neighbour are divided by.
    kind : ndarray of int (shape,)
        Index into :data:`heatcap.divergence.margins.CLASSES`.
    box : ndarray (6, shape)
        Lowest and highest growth a, lowest and highest s, both in units of the largest height,
        and lowest and highest b.
    penalty : ndarray (shape,)
        Added to chi^2: what a correction costs.
    rows : list of Shape
    """

    sizes: Floats
    g: Floats
    e: Floats
    d: Floats
    span: Floats
    kind: NDArray[np.int64]
    box: Floats
    penalty: Floats
    rows: list[Shape]

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, sizes: Floats) -> Shapes:
        """The same functions at other sizes, in the same units."""
        g, e, d = _functions(self.rows, sizes, self.sizes.min(), self.span)
        return replace(self, sizes=sizes, g=g, e=e, d=d)


def shapes_of(sizes: Floats, margins: Margins, exponent: float | None = None) -> Shapes:
    """Every shape of every class on these sizes.

    Parameters
    ----------
    sizes : ndarray (size,)
        Above 1.
    margins : Margins
    exponent : float, optional
        Of the power law where theory gives it (d at a first-order transition); the class then
        holds no other.

    Raises
    ------
    ValueError
        For sizes over which a growth law does not change in floating point.
    """
    rows = list(_rows(sizes, margins, exponent))
    span = np.ptp([[row.form(sizes), _second(row)(sizes)] for row in rows], axis=2).T
    if not np.all(np.isfinite(span) & (span > 0)):
        raise ValueError(
            f"sizes {sizes.min():g} to {sizes.max():g} are too close, too small or too large: no "
            "growth law changes over them"
        )
    g, e, d = _functions(rows, sizes, sizes.min(), span)
    b = {"corrected": (-margins.correction, margins.correction), "between": (0.0, 1.0)}
    box = [[*row.growth, *row.limit, *b.get(_role(row), (0.0, 0.0))] for row in rows]
    return Shapes(
        sizes=sizes,
        g=g,
        e=e,
        d=d,
        span=span,
        kind=np.array([row.kind for row in rows], dtype=np.int64),
        box=np.ascontiguousarray(np.array(box).T),
        penalty=np.array([margins.penalty if row.omega else 0.0 for row in rows]),
        rows=rows,
    )


def _role(row: Shape) -> str:
    return "corrected" if row.omega else "between" if row.further else "alone"


def _second(row: Shape) -> Form:
    return row.form if row.further is None else row.further[1]


def _functions(
    rows: list[Shape], sizes: Floats, smallest: float, span: Floats
) -> tuple[Floats, Floats, Floats]:
    """g, e and d (shape, size)."""
    g = np.array([row.form(sizes) for row in rows]) / span[0][:, np.newaxis]
    e = np.array([_second(row)(sizes) for row in rows]) / span[1][:, np.newaxis] - g
    d = np.zeros_like(g)
    for i, row in enumerate(rows):
        if row.omega:
            d[i], e[i] = e[i], (sizes / smallest) ** -row.omega
    return g, e, d


def _rows(sizes: Floats, m: Margins, exponent: float | None) -> Iterator[Shape]:
    least, ratio = m.smallest_effect, m.saturation_ratio
    grows, falls = (least, np.inf), (-np.inf, -least)
    seen, out_of_sight = (0.0, ratio), (ratio, np.inf)
    for name, drift in (("ln L", _logarithm(1.0, 0.0)), ("L", _power(1.0)), ("1/L", _power(-1.0))):
        yield Shape(f"constant, drift as {name}", FLAT, drift, (-least, least))
    small = (-least, least)
    for family, chain in (*_saturating(sizes), *(("overshoot", c) for c in _overshooting(sizes))):
        for known, form, further in _pairs(chain):
            name = f"constant, small change as {family}"
            yield Shape(name, FLAT, form, small, parameters=known, further=further)
    for family, chain in _saturating(sizes):
        for known, form, further in _pairs(chain):
            yield Shape(f"{family}, from below", BOUNDED, form, grows, seen, known, further)
            yield Shape(f"{family}, from above", BOUNDED, form, falls, seen, known, further)
            far = f"{family}, beyond R times the heights"
            yield Shape(far, LOGARITHMIC, form, grows, out_of_sight, known, further)
    for chain in _overshooting(sizes):
        for known, form, further in _pairs(chain):
            name = "s + a L^p exp(-L/xi), overshoot"
            yield Shape(name, BOUNDED, form, falls, seen, known, further)
    for kind, family, chain in _growing(sizes, m, exponent):
        for known, form, further in _pairs(chain):
            yield Shape(family, kind, form, grows, parameters=known, further=further)
    if m.correction > 0:
        yield from _corrected(sizes, m, exponent)


def _corrected(sizes: Floats, m: Margins, exponent: float | None) -> Iterator[Shape]:
    grows = (max(m.corrected_growth, m.smallest_effect), np.inf)
    seen = (0.0, min(m.corrected_saturation, m.saturation_ratio))
    for omega in OMEGAS:
        for kind, family, chain in _growing(sizes, m, exponent):
            for known, form, further in _pairs(chain):
                name = f"{family}, corrected"
                yield Shape(name, kind, form, grows, (-np.inf, np.inf), known, further, omega)
        for known, form, further in _pairs(_algebraic()):
            name = "s - a L^-k, corrected"
            yield Shape(name, BOUNDED, form, grows, seen, known, further, omega)


def _pairs(
    chain: Chain,
) -> Iterator[tuple[dict[str, float], Form, tuple[dict[str, float], Form] | None]]:
    """Neighbours of a chain; one alone has none."""
    if len(chain) == 1:
        yield (*chain[0], None)
    for (known, form), further in pairwise(chain):
        yield known, form, further


def _power(exponent: float, sign: float = 1.0) -> Form:
    return lambda sizes: sign * sizes**exponent


def _logarithm(power: float, shift: float, sign: float = 1.0) -> Form:
    return lambda sizes: sign * (np.log(sizes) + shift) ** power


def _exponential(power: float, xi: float, low: float) -> Form:
    return lambda sizes: -np.exp(power * np.log(sizes / low) - (sizes - low) / xi)


def _algebraic() -> Chain:
    return [({"k": k}, _power(-k, -1.0)) for k in ALGEBRAIC]


def _saturating(sizes: Floats) -> Iterator[tuple[str, Chain]]:
    """Functions that rise to their limit, which is 0."""
    yield "s - a L^-k", _algebraic()
    yield "s - a (ln L)^-q", [({"q": q}, _logarithm(-q, 0.0, -1.0)) for q in (1.0, 2.0)]
    low, high = float(sizes.min()), float(sizes.max())
    lengths = np.geomspace(low / 4, 2 * high, LENGTHS).tolist()
    yield "s - a exp(-L/xi)", [({"xi": xi}, _exponential(0.0, xi, low)) for xi in lengths]


def _overshooting(sizes: Floats) -> Iterator[Chain]:
    """Functions whose extremum is seen: it lies at p xi, not above the second largest size.

    An extremum beyond the data would be growth of any form, with a guess for its limit.
    """
    low, seen = float(sizes.min()), float(np.sort(sizes)[-2])
    for p in (1.0, 2.0):
        lengths = np.geomspace(low / 8, max(seen / p, low / 8), LENGTHS).tolist()
        yield [({"p": p, "xi": xi}, _exponential(p, xi, low)) for xi in lengths]


def _growing(sizes: Floats, m: Margins, exponent: float | None) -> Iterator[tuple[int, str, Chain]]:
    powers = [({"q": q}, _logarithm(q, 0.0)) for q in LOGARITHMS]
    yield LOGARITHMIC, "c + a (ln L)^q", powers
    shifts = [x for x in SHIFTS if np.log(sizes.min()) + x > 0]
    yield LOGARITHMIC, "c + a (ln L + l)^2", [({"l": x}, _logarithm(2.0, x)) for x in shifts]
    # The attention row of L keys: (ln L)^2 / 4 with corrections that die like no power of L.
    yield LOGARITHMIC, "c + a C_max(L keys)", [({}, heat_capacity_bound)]
    below = [k * m.kappa_min for k in BELOW]
    small = [({"kappa": kappa}, _power(kappa)) for kappa in below]
    yield LOGARITHMIC, "c + a L^kappa, below kappa_min", small
    own = [k * m.kappa_min for k in ABOVE]
    every = own + [k for k in EXPONENTS if k > own[-1]] if exponent is None else [exponent]
    yield POWER, "c + a L^kappa", [({"kappa": kappa}, _power(kappa)) for kappa in every]
