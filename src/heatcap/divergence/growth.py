"""Growth laws of heights with the size; the asymptotics of a law decide its class.

    h(L) = s + a [g(L) + b (L / L_min)^-omega],    |b| <= B

    power       g = (l^kappa - 1) / kappa, ln l at kappa = 0;   l = L (1 + (L / xi)^m)^(-1/m)
    stretched   g = 1 - exp(-(L / xi)^q)
    onset       g = ((1 + (L / L_0)^m)^(kappa/m) - 1) / kappa, ln(1 + (L / L_0)^m) / m at kappa = 0
    slow        g = (ln(L / L_0)^q - 1) / q, ln ln(L / L_0) at q = 0;   L_0 < L_min / 2
    row         g = largest heat capacity of L keys, (ln L)^2 / 4 with slow corrections
    overshoot   g = -L^p exp(-L / xi), falling after a maximum that is seen

xi = inf is pure growth.  An onset is a growth like L^m that crosses over to another one, which
decides the class.  A growth that is cut off at xi <= L_max has a limit; one that is cut off beyond
the data is classed by its growth over the data.  g is scaled to change by one over the given sizes,
so that a is the observed growth, and a limit of g is moved to 0, so that s is the height at which
h saturates.  A class is the union of its shapes, each with a box for s and a.

`shapes_of` makes the lattice of all shapes, `finer` adds shapes between its points, `slopes` has
the derivatives by the parameters.  Lengths are in units of the size, heights in units of the
observable, and parameters that are lengths are stored as logarithms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import product

import numpy as np

from heatcap.attention import heat_capacity_bound
from heatcap.core.arrays import Bools, Floats, Ints
from heatcap.divergence.margins import BOUNDED, FLAT, LOGARITHMIC, POWER, Margins

__all__ = [
    "EDGE",
    "LAWS",
    "OMEGAS",
    "PARAMETERS",
    "SHARP",
    "STEEPEST",
    "STRETCHED",
    "Law",
    "Shapes",
    "finer",
    "ln_l",
    "power_of",
    "shapes_of",
    "slopes",
]

Range = tuple[float, float]
Lattice = tuple[Floats, Bools]

SATURATING = (-3.0, -2.0, -1.5, -1.0, -0.75, -0.5, -0.35, -0.2, -0.1, -0.05, -0.02)
ABOVE = (1.0, 1.5)  # exponents of power laws in units of kappa_min, and then
EXPONENTS = (
    *(0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    *(1.15, 1.3, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 5.0, 6.0),
)
STEEPEST = EXPONENTS[-1]
LATE = (0.0, 0.3, 0.6, 1.0, 2.0)  # exponents of a growth with an onset
BELOW = (0.0, 0.3, 0.6, 0.99)  # exponents of slower growth in units of kappa_min
LENGTHS = 8  # crossover lengths inside the sizes
BEYOND = (1.4, 2.0, 3.0, 6.0, 12.0)  # crossover lengths over the largest size
SHARP = (0.5, 1.0, 2.0, 4.0)
STRETCHED = (0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0)
SLOW = (-2.0, -1.0, -0.5, 0.0, 0.25)  # powers of ln L alone, and then of any unit
LOGARITHMS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5)
CORRECTED = (1.0, 2.0)  # those that may have a correction: below it looks bounded, above a power
UNITS = (0.7, 1.2, 2.0, 3.0, 5.0)  # of ln(L_min / L_0): a factor of L never dies away
OMEGAS = (1.0, 1.5, 2.0)
PARAMETERS = 3
DIFFERENCE = 3e-4  # step of a parameter for numerical derivatives
EDGE = 1e-9  # difference of a parameter that counts as zero
ROUNDING = 1e-12  # tolerance at the smallest exponent of a power law
SAME = 0.01  # exponents that are closer count as equal
FAINT = 1e-8  # change of a form relative to its level: below it is rounding
CUT, STRETCH, ONSET, SLOWLY, ROW, OVERSHOOT = range(6)  # of `LAWS`


@dataclass(frozen=True, eq=False)
class Law:
    """Growth laws of one form.

    Attributes
    ----------
    name : str
    parameters : tuple of str
        Names of the columns of `theta` (shape, 3); lengths as logarithms.  A first one called kappa
        is the exponent of unlimited growth; a second called ln xi ends at the largest size.
    form : callable
        Maps sizes (size,) and theta to g (shape, size), rising.
    limit : callable
        Maps theta to the limit of g (shape,), infinite where it has none.
    lattice : callable
        Maps sizes, margins and the given exponent to the parts of the lattice that the search
        starts from: theta and its free columns.
    range : tuple of (float, float)
        Lowest and highest value of each parameter but lengths.
    pure : bool
        Whether no shape of the law is cut off.
    small : bool
        Whether a small change of this form counts as flat; of powers, those that `_shapes_by_class`
        names.
    """

    name: str
    parameters: tuple[str, ...]
    form: Callable[[Floats, Floats], Floats]
    limit: Callable[[Floats], Floats]
    lattice: Callable[[Floats, Margins, float | None], Iterator[Lattice]]
    range: tuple[tuple[float, float], ...] = ()
    pure: bool = True
    small: bool = True


@dataclass(frozen=True, eq=False)
class Shapes:
    """All shapes on given sizes, as arrays for the kernel.

    Attributes
    ----------
    sizes : ndarray (size,)
    g, e : ndarray (shape, size)
        h = s + a (g + b e).
    span, limit : ndarray (shape,)
        Scale and offset of g: (form - limit) / span.
    kind : ndarray of int (shape,)
        Index into :data:`heatcap.divergence.margins.CLASSES`.
    box : ndarray (6, shape)
        Lowest and highest growth a, lowest and highest s, both in units of the height, and lowest
        and highest b.
    penalty : ndarray (shape,)
        Cost of a correction, added to chi^2.
    law : ndarray of int (shape,)
        Index into `LAWS`.
    theta : ndarray (shape, 3)
        Parameters.
    free : ndarray of bool (shape, 3)
        Parameters that may be varied.
    omega : ndarray (shape,)
        Exponent of the correction, 0 without.
    """

    sizes: Floats
    g: Floats
    e: Floats
    span: Floats
    limit: Floats
    kind: Ints
    box: Floats
    penalty: Floats
    law: Ints
    theta: Floats
    free: Bools
    omega: Floats

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def pure(self) -> Bools:
        """Whether each shape has no cut-off, inside or beyond the sizes, and is not stretched."""
        always = np.array([law.pure for law in LAWS])[self.law]
        return np.asarray(always | ((self.law == CUT) & np.isinf(self.theta[:, 1])))

    def at(self, sizes: Floats) -> Shapes:
        """Evaluate the same functions at other sizes, in the same units."""
        g = (_forms(sizes, self.law, self.theta) - self.limit[:, np.newaxis]) / (
            self.span[:, np.newaxis]
        )
        return replace(self, sizes=sizes, g=g, e=_corrections(sizes, self.sizes[0], self.omega))

    def take(self, rows: Bools | Ints) -> Shapes:
        """Select some of the shapes."""
        columns = {name: np.ascontiguousarray(getattr(self, name)[rows]) for name in _BY_SHAPE}
        return replace(self, box=np.ascontiguousarray(self.box[:, rows]), **columns)

    def joined(self, *others: Shapes) -> Shapes:
        """Append other shapes on the same sizes."""
        parts = (self, *others)
        columns = {name: np.concatenate([getattr(p, name) for p in parts]) for name in _BY_SHAPE}
        return replace(self, box=np.concatenate([p.box for p in parts], axis=1), **columns)

    def name(self, i: int) -> str:
        """Name the family of a shape; shapes of one family differ by their parameters."""
        law, falls = LAWS[self.law[i]], self.box[1, i] <= 0
        if self.kind[i] == FLAT:
            return f"constant, small change as {law.name}"
        name = law.name
        if self.law[i] == CUT:
            name = "cut-off power" if np.isfinite(self.theta[i, 1]) else "power"
            if np.isinf(self.theta[i, 1]) and self.theta[i, 0] < 0:
                name = "saturating power"
        if self.kind[i] == LOGARITHMIC and self.box[2, i] > 0:
            name += ", limit beyond R times the height"
        return name + (", falling" if falls else "") + (", corrected" if self.omega[i] else "")

    def parameters(self, i: int) -> dict[str, float]:
        """Return the parameters of a shape by name; lengths, not their logarithms."""
        law = LAWS[self.law[i]]
        values = dict(zip(law.parameters, self.theta[i].tolist(), strict=False))
        if self.law[i] == CUT and np.isinf(self.theta[i, 1]):
            del values["ln xi"], values["m"]
        return {
            name.removeprefix("ln "): float(np.exp(value)) if name.startswith("ln ") else value
            for name, value in values.items()
        }


_BY_SHAPE = [field.name for field in fields(Shapes) if field.name not in ("sizes", "box")]


def shapes_of(sizes: Floats, margins: Margins, exponent: float | None = None) -> Shapes:
    """Make every shape of every class on these sizes.

    Parameters
    ----------
    sizes : ndarray (size,)
        Above 1, rising.
    margins : Margins
    exponent : float, optional
        Exponent of the power law where theory gives it (d at a first-order transition); the class
        then holds no other.

    Returns
    -------
    Shapes

    Raises
    ------
    ValueError
        If a growth law does not change over the sizes in floating point.
    """
    parts = [
        part
        for law, of_law in enumerate(LAWS)
        for theta, free in of_law.lattice(sizes, margins, exponent)
        for part in _shapes_by_class(sizes, margins, law, theta, free, exponent)
    ]
    whole = parts[0].joined(*parts[1:])
    if set(whole.kind.tolist()) != {FLAT, BOUNDED, LOGARITHMIC, POWER}:
        raise ValueError(
            f"sizes {sizes.min():g} to {sizes.max():g} are too close, too small or too large: no "
            "growth law changes over them"
        )
    return whole


def finer(
    shapes: Shapes, rows: Ints, theta: Floats, margins: Margins, exponent: float | None
) -> Shapes | None:
    """Add shapes of the laws of some rows at other parameters.

    None if none of these rows has a parameter to vary.

    Parameters
    ----------
    shapes : Shapes
    rows : ndarray of int (row,)
    theta : ndarray (row, other, 3)
        Parameters to try; they are clipped to the range in which a shape stays in its class.
    margins : Margins
    exponent : float, optional
    """
    parts = []
    movable = shapes.free[rows].any(axis=1)
    low, high = _parameter_range(shapes, rows, margins)
    theta = np.clip(theta, low[:, np.newaxis], high[:, np.newaxis])
    for law in np.unique(shapes.law[rows[movable]]).tolist():
        of_law = movable & (shapes.law[rows] == law)
        others = theta[of_law].reshape(-1, PARAMETERS)
        free = np.repeat(shapes.free[rows[of_law]], theta.shape[1], axis=0)
        others, first = np.unique(others, axis=0, return_index=True)
        parts += list(_shapes_by_class(shapes.sizes, margins, law, others, free[first], exponent))
    return parts[0].joined(*parts[1:]) if parts else None


def _parameter_range(shapes: Shapes, rows: Ints, margins: Margins) -> tuple[Floats, Floats]:
    """Lowest and highest parameters (row, 3) with which shapes stay in their class."""
    law, theta, largest = shapes.law[rows], shapes.theta[rows], float(np.log(shapes.sizes[-1]))
    low, high = np.full(theta.shape, -np.inf), np.full(theta.shape, np.inf)
    for index in np.unique(law).tolist():
        for k, ends in enumerate(LAWS[index].range):
            low[law == index, k], high[law == index, k] = ends
        if "ln xi" in LAWS[index].parameters:
            high[law == index, 1] = largest
    over = law == OVERSHOOT
    high[over, 1] = np.log(shapes.sizes[-2] / theta[over, 0])
    beyond = (law == CUT) & (theta[:, 1] > largest + EDGE)
    low[beyond, 1], high[beyond, 1] = largest + 2 * EDGE, np.inf
    power = shapes.kind[rows] == POWER
    low[power, 0] = margins.kappa_min
    return low, high


def slopes(shapes: Shapes, rows: Ints) -> Floats:
    """Differentiate g (row, 3, size) by the parameters at constant span; 0 where one is fixed."""
    law, theta, free = shapes.law[rows], shapes.theta[rows], shapes.free[rows]
    out = np.zeros((len(rows), PARAMETERS, len(shapes.sizes)))
    for k in range(PARAMETERS):
        varied = free[:, k]
        change = DIFFERENCE * np.eye(PARAMETERS)[k]
        above, below = (
            _forms(shapes.sizes, law[varied], theta[varied] + sign * change) for sign in (1, -1)
        )
        out[varied, k] = (above - below) / (2 * DIFFERENCE)
    return out / shapes.span[rows][:, np.newaxis, np.newaxis]


def _shapes_by_class(
    sizes: Floats, m: Margins, law: int, theta: Floats, free: Bools, exponent: float | None
) -> Iterator[Shapes]:
    """Shapes of a law, by the classes to which they belong."""
    inside = _in_range(sizes, law, theta)
    theta, free = theta[inside], free[inside]
    index, high = np.full(len(theta), law), float(np.log(sizes[-1]))
    g, limit = _forms(sizes, index, theta), LAWS[law].limit(theta)
    if law == CUT:  # cut off beyond the data: no limit in sight
        limit = np.where((theta[:, 1] > high + EDGE) & np.isfinite(theta[:, 1]), np.inf, limit)
    span = np.ptp(g, axis=1)
    above = np.abs(g - np.where(np.isfinite(limit), limit, 0.0)[:, np.newaxis])
    good = np.isfinite(span) & (
        span > FAINT * np.maximum(np.abs(g), above).max(axis=1, initial=0.0)
    )

    def made(rows: Bools, kind: int, growth: Range, s: Range, omega: float = 0) -> Iterator[Shapes]:
        rows = rows & good
        if not rows.any():
            return
        n = int(rows.sum())
        gone = np.where(np.isfinite(limit[rows]), limit[rows], 0.0)
        omegas = np.full(n, float(omega))
        b = m.correction if omega else 0.0
        box = np.repeat(np.array([[*growth, *s, -b, b]]).T, n, axis=1)
        yield Shapes(
            sizes=sizes,
            g=(g[rows] - gone[:, np.newaxis]) / span[rows, np.newaxis],
            e=_corrections(sizes, sizes[0], omegas),
            span=span[rows],
            limit=gone,
            kind=np.full(n, kind),
            box=box,
            penalty=np.full(n, m.penalty if omega else 0.0),
            law=index[rows],
            theta=theta[rows],
            free=free[rows],
            omega=omegas,
        )

    least, ratio, anything = m.smallest_effect, m.saturation_ratio, (-np.inf, np.inf)
    up, down, small = (least, np.inf), (-np.inf, -least), (-least, least)
    limited = np.isfinite(limit)
    if law == OVERSHOOT:
        yield from made(limited, BOUNDED, down, (0.0, ratio))
        yield from made(good, FLAT, small, anything)
        return
    yield from made(limited, BOUNDED, up, (0.0, ratio))
    falling = limited & (np.isinf(theta[:, 1]) if law == CUT else limited)
    yield from made(falling, BOUNDED, down, (0.0, ratio))
    yield from made(limited, LOGARITHMIC, up, (ratio, np.inf))
    power = ~limited & (_kappa(law, theta) >= m.kappa_min - ROUNDING)
    if exponent is not None:
        power &= _kappa(law, theta) == exponent
    slow = ~limited & (_kappa(law, theta) < m.kappa_min - ROUNDING)
    yield from made(slow, LOGARITHMIC, up, anything)
    yield from made(power, POWER, up, anything)
    if law == CUT:
        plain = np.isinf(theta[:, 1])
        steady = plain & np.isin(theta[:, 0], (-1.0, 0.0, 1.0))
        yield from made(steady | (plain & limited), FLAT, small, anything)
        if m.correction > 0:
            grows = (max(m.corrected_growth, least), np.inf)
            near = (0.0, min(m.corrected_saturation, ratio))
            for omega in OMEGAS:
                yield from made(slow & plain, LOGARITHMIC, grows, anything, omega)
                yield from made(power & plain, POWER, grows, anything, omega)
                distinct = np.abs(theta[:, 0] + omega) > SAME  # else the correction is the growth
                yield from made(limited & plain & distinct, BOUNDED, grows, near, omega)
            crossing = limited & ~plain & (theta[:, 1] <= high + EDGE)
            for omega in OMEGAS[::2]:  # at errors of 1 % the one between them is near enough
                yield from made(crossing, BOUNDED, grows, (0.0, ratio), omega)
    elif LAWS[law].small:
        yield from made(good, FLAT, small, anything)
    elif law == SLOWLY and m.correction > 0:
        grows = (max(m.corrected_growth, least), np.inf)
        some = (theta[:, 0] >= CORRECTED[0]) & (theta[:, 0] <= CORRECTED[1])
        for omega in OMEGAS:
            yield from made(slow & some, LOGARITHMIC, grows, anything, omega)


def _in_range(sizes: Floats, law: int, theta: Floats) -> Bools:
    """Whether parameters are in the range for which a law is meant."""
    first, second = theta[:, 0], theta[:, 1]
    inside = np.ones(len(theta), dtype=np.bool_)
    for k, (lowest, highest) in enumerate(LAWS[law].range):
        inside &= (theta[:, k] >= lowest - EDGE) & (theta[:, k] <= highest + EDGE)
    low, high = np.log(sizes[[0, -1]]) + np.array([-EDGE, EDGE])
    if law == CUT:  # a saturating power is cut off inside the data or not at all
        beyond = (second > high) & np.isfinite(second)
        lowest, highest = LAWS[law].range[0]
        inside |= np.isinf(second) & (first >= lowest) & (first <= highest)
        inside &= ~(beyond & (first < -EDGE))
    elif law == STRETCH:
        inside &= second <= high
    elif law == OVERSHOOT:  # its extremum, at p xi, must lie inside the data
        inside &= second <= np.log(sizes[-2] / first) + EDGE
    elif law == ONSET:
        inside &= second <= high
    elif law == SLOWLY:
        inside &= (low - second > UNITS[0] - 1e-6) & (low - second < max(UNITS[-1], low) + 1e-6)
        inside &= (first > LOGARITHMS[0] - EDGE) | (second == 0.0)
    return inside


def _kappa(law: int, theta: Floats) -> Floats:
    """Asymptotic exponent of unlimited growth: 0 for logarithms."""
    return theta[:, 0] if LAWS[law].parameters[:1] == ("kappa",) else np.zeros(len(theta))


def _forms(sizes: Floats, law: Ints, theta: Floats) -> Floats:
    g = np.empty((len(theta), len(sizes)))
    for index in np.unique(law).tolist():
        rows = law == index
        with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
            g[rows] = LAWS[index].form(sizes, theta[rows])
    return g


def _corrections(sizes: Floats, smallest: float, omega: Floats) -> Floats:
    e = (sizes / smallest) ** -omega[:, np.newaxis]
    return np.ascontiguousarray(np.where(omega[:, np.newaxis] > 0, e, 0.0))


def ln_l(sizes: Floats, theta: Floats) -> Floats:
    """Compute ln l, the logarithm of L cut off at xi, (shape, size).

    ln l = ln L - ln(1 + (L / xi)^m) / m
    """
    x, m = theta[:, 1:2], theta[:, 2:3]
    ln_size = np.log(sizes)
    cut = np.isfinite(x[:, 0])
    out = np.broadcast_to(ln_size, (len(theta), len(sizes))).copy()
    out[cut] -= np.logaddexp(0.0, m[cut] * (ln_size - x[cut])) / m[cut]
    return out


def power_of(log: Floats, kappa: Floats) -> Floats:
    """Compute (l^kappa - 1) / kappa from ln l; ln l itself at kappa = 0."""
    zero = np.abs(kappa) < EDGE
    return np.where(zero, log, np.expm1(kappa * log) / np.where(zero, 1.0, kappa))


def _power_limit(theta: Floats) -> Floats:
    kappa, x = theta[:, 0], theta[:, 1]
    cut = np.isfinite(x)
    limit = np.where(kappa < -EDGE, -1 / np.where(kappa < -EDGE, kappa, -1.0), np.inf)
    limit[cut] = power_of(x[cut], kappa[cut])
    return limit


def _growth_after_onset(sizes: Floats, theta: Floats) -> Floats:
    m = theta[:, 2:3]
    return power_of(np.logaddexp(0.0, m * (np.log(sizes) - theta[:, 1:2])) / m, theta[:, :1])


def _slow_limit(theta: Floats) -> Floats:
    q = theta[:, 0]
    return np.where(q < -EDGE, -1 / np.where(q < -EDGE, q, -1.0), np.inf)


def _no_limit(theta: Floats) -> Floats:
    return np.full(len(theta), np.inf)


def _zero(theta: Floats) -> Floats:
    return np.zeros(len(theta))


# ---- the lattices that a search starts from -------------------------------------------------

_NOTHING = np.zeros(1)


def _lattice(*axes: Floats) -> Lattice:
    theta = np.array(list(product(*(axis.tolist() for axis in axes))))
    free = np.array([len(axis) > 1 for axis in axes])
    return theta, np.repeat(free[np.newaxis], len(theta), axis=0)


def _lengths(sizes: Floats, share: float) -> Floats:
    """Logarithms of crossover lengths, from a share of the smallest size to the largest."""
    return np.log(np.geomspace(share * sizes[0], sizes[-1], LENGTHS))


def _powers(sizes: Floats, m: Margins, exponent: float | None) -> Iterator[Lattice]:
    near_margin = [k * m.kappa_min for k in (*BELOW, *ABOVE)]
    kappa = np.array([*near_margin, *(k for k in EXPONENTS if k > near_margin[-1])])
    if exponent is not None:
        kappa = np.union1d(kappa, [exponent])
    yield _lattice(np.concatenate([SATURATING, kappa]), np.array([np.inf]), _NOTHING)
    cut = np.concatenate([[k for k in SATURATING if k > -0.3], kappa])
    yield _lattice(cut, _lengths(sizes, 1 / 2), np.array(SHARP))
    yield _lattice(kappa, np.log(sizes[-1] * np.array(BEYOND)), np.array(SHARP))


def _stretches(sizes: Floats, *_: object) -> Iterator[Lattice]:
    yield _lattice(np.array(STRETCHED), _lengths(sizes, 1 / 4), _NOTHING)


def _onsets(sizes: Floats, m: Margins, exponent: float | None) -> Iterator[Lattice]:
    late = np.union1d(LATE, [m.kappa_min] if exponent is None else [m.kappa_min, exponent])
    yield _lattice(late, _lengths(sizes, 1 / 4), np.array(SHARP[1:]))


def _logarithms(sizes: Floats, *_: object) -> Iterator[Lattice]:
    low = np.log(sizes[0])
    yield _lattice(np.array(LOGARITHMS), low - np.array(UNITS[::-1]), _NOTHING)
    if low > UNITS[0]:
        yield _lattice(np.array(SLOW + LOGARITHMS), _NOTHING, _NOTHING)


def _row(*_: object) -> Iterator[Lattice]:
    yield _lattice(_NOTHING, _NOTHING, _NOTHING)


def _overshoots(sizes: Floats, *_: object) -> Iterator[Lattice]:
    for p in (1.0, 2.0):
        lengths = np.log(np.geomspace(sizes[0] / 8, sizes[-2] / p, LENGTHS))
        yield _lattice(np.array([p]), lengths, _NOTHING)


LAWS = (
    Law(
        "power",
        ("kappa", "ln xi", "m"),
        lambda L, theta: power_of(ln_l(L, theta), theta[:, :1]),
        _power_limit,
        _powers,
        ((-3.0, STEEPEST), (-np.inf, np.inf), (SHARP[0], SHARP[-1])),
        pure=False,
    ),
    Law(
        "stretched exponential",
        ("q", "ln xi"),
        lambda L, theta: -np.exp(-np.exp(theta[:, :1] * (np.log(L) - theta[:, 1:2]))),
        _zero,
        _stretches,
        ((STRETCHED[0], STRETCHED[-1]),),
        pure=False,
    ),
    Law(
        "growth with an onset",
        ("kappa", "ln L0", "m"),
        _growth_after_onset,
        _no_limit,
        _onsets,
        # With m below 1 an onset imitates any power of L.
        ((0.0, STEEPEST), (-np.inf, np.inf), (SHARP[1], SHARP[-1])),
        pure=False,
        small=False,
    ),
    Law(
        "power of the logarithm",
        ("q", "ln L0"),
        lambda L, theta: power_of(np.log(np.log(L) - theta[:, 1:2]), theta[:, :1]),
        _slow_limit,
        _logarithms,
        ((-2.0, 3.5),),
        small=False,
    ),
    Law(
        "attention row",
        (),
        lambda L, theta: np.broadcast_to(heat_capacity_bound(L), (len(theta), len(L))),
        _no_limit,
        _row,
        small=False,
    ),
    Law(
        "overshoot",
        ("p", "ln xi"),
        lambda L, theta: -np.exp(theta[:, :1] * np.log(L) - L * np.exp(-theta[:, 1:2])),
        _zero,
        _overshoots,
    ),
)
