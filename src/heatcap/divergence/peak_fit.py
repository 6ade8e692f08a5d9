"""Fits of a peak along the control: the best form of every class, position and exponent.

*Search* (`peak_problem`).  Position, width and exponent are on a lattice that is refined where a
class fits best, until neighbours differ by less than an error.  The slope of the background is
projected out of the weight, W - W t t^T W / t^T W t, so that :mod:`heatcap.divergence.kernel` fits
level, change and asymmetry.  Flat forms have no background beside their change.

*Position* (`peak_position`).  For a power law, a logarithm or a step it is the point x_c of the
form; a rounded peak has no such point, and its position is the maximum of the curve.  Within a
family, mean and deviation are those of exp(-chi^2 / 2) over the parameters of the form; the
difference between families is systematic.

*Exponent* (`peak_exponent`), if the peak is a power law with an unresolved cut-off:

    A = s + c x + a [(|t|^m + delta^m)^(-alpha/m) - ...] / alpha,    delta <= reach / decade

alpha > 0 is a power law, 0 a logarithm, alpha < 0 a cusp.  chi^2 is minimised over position,
cut-off, its sharpness, asymmetry and background; its profile gives the interval (3.84) and the
upper limit (2.71).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats, Ints
from heatcap.core.result import Parameter
from heatcap.divergence.curve import Curve
from heatcap.divergence.exponent import Exponent, no_exponent, of_profile
from heatcap.divergence.kernel import Normal, best, every, normal
from heatcap.divergence.margins import BOUNDED, CLASSES, FLAT, POWER, PeakMargins
from heatcap.divergence.peak_shapes import (
    ALL,
    CUSP,
    STEEPEST_ALPHA,
    Family,
    PeakShapes,
    cut_off,
    families,
    plain,
    stacked,
)
from heatcap.divergence.testing import HOPELESS

__all__ = ["PeakFits", "PeakProblem", "peak_exponent", "peak_position", "peak_problem"]

KEEP = 20.0  # in chi^2 above the best of a class: no draw about a fit exceeds it
BEST = 60  # shapes of a family kept while the lattice is coarse, whatever their chi^2
MOST = 200  # shapes of a family in the end
KEEP_ALL, MOST_OF_ALL = 40.0, 800  # the same where there may be no peak at all
FINE = 0.8  # errors between neighbours of the lattice
THIN = 0.7  # least distance of two selected shapes, in errors
LEAST_CHANGE = 2.0  # errors: least change of a shape in comparisons
MOVED = 2  # most parameters in which a refined point of the lattice differs from its parent
FINER = 5  # most times that steps are halved
NEAR = 3.0  # errors below the largest value, for points that may be the maximum
AS_GOOD = 4.0  # in chi^2: families that count for the systematic error of the position
PARAMETERS = 7  # of a peak, for chi^2 per degree of freedom: a poor one widens the errors
SAMPLES, ROUNDS = 300, 4  # parameters drawn about those of a family, adapted in each round
TAILS = 5  # degrees of freedom of Student's t from which they are drawn
NARROWEST = 1e-3  # least width of that distribution, of the range of a parameter
POINTED = ("cut-off", "step")  # prefixes of the names of forms with an x_c
LIGHT = 1e-4  # weights below this share of the largest are negligible
LOOKS = 201  # points to locate a maximum: over the window, then about the first results
ALPHAS = np.linspace(CUSP, STEEPEST_ALPHA, 41)
PLACES = 200  # positions and cut-offs that the profile is made over, for each family
UNROUNDED = ("cut-off power", "cut-off logarithm", "cusp")


@dataclass(frozen=True, eq=False)
class PeakProblem:
    """Shapes on the points of a curve, and the covariance of its values.

    Attributes
    ----------
    curve : Curve
    margins : PeakMargins
    flat, peaks : PeakShapes
        Shapes without a slope beside their change (flat ones and drift), and with one.  Rows of the
        fits are those of `flat`, then those of `peaks`.
    weight, sloped, root : ndarray (point, point)
        Inverse covariance; the same without a slope; Cholesky root of the covariance.
    tilt : ndarray (point,)
        Maps values to their slope.
    error : ndarray (point,)
    parts : tuple of Normal
        Scalar products of `flat` and of `peaks`.
    """

    curve: Curve
    margins: PeakMargins
    flat: PeakShapes
    peaks: PeakShapes
    weight: Floats
    sloped: Floats
    tilt: Floats
    root: Floats
    error: Floats
    parts: tuple[Normal, Normal]

    @cached_property
    def kind(self) -> Ints:
        """Class of every shape."""
        return np.concatenate([self.flat.kind, self.peaks.kind])

    @cached_property
    def rows(self) -> list[tuple[Family, Floats]]:
        """Family and parameters of every shape."""
        return self.flat.rows + self.peaks.rows

    def scores(self, y: Floats) -> Floats:
        """Minimise chi^2 in every class (set, class) for sets of values (set, point)."""
        height = y.max(axis=1)
        flat = best(self.flat, self.parts[0], y, self.weight, height)
        peaks = best(self.peaks, self.parts[1], y, self.sloped, height)
        return np.minimum(flat, peaks)

    def fits(self, y: Floats) -> PeakFits:
        """Fit all shapes to one set of values (point,)."""
        height = float(y.max())
        flat = every(self.flat, self.parts[0], y, self.weight, height)
        peaks = every(self.peaks, self.parts[1], y, self.sloped, height)
        chi2, a, s, b = np.hstack([flat, peaks])
        rest = y - s[:, np.newaxis] - a[:, np.newaxis] * self._forms(b)
        c = rest @ self.tilt
        c[: len(self.flat)] = 0.0
        return PeakFits(self, chi2, a, s, b, c)

    def _forms(self, b: Floats) -> Floats:
        g = np.vstack([self.flat.g, self.peaks.g])
        e = np.vstack([self.flat.e, self.peaks.e])
        return np.asarray(g + b[:, np.newaxis] * e)

    def noise(self, draws: int, rng: np.random.Generator) -> Floats:
        """Draw noise (draw, point) with the covariance of the values."""
        return np.asarray(rng.normal(size=(draws, len(self.error))) @ self.root.T)


@dataclass(frozen=True, eq=False)
class PeakFits:
    """chi^2, change a, level s, asymmetry b and slope c of every shape."""

    problem: PeakProblem
    chi2: Floats
    a: Floats
    s: Floats
    b: Floats
    c: Floats

    @property
    def score(self) -> Floats:
        """chi^2: peaks have no penalty."""
        return self.chi2

    def of(self, kind: int) -> Ints:
        """Rank the shapes of a class, the best first."""
        rows = np.flatnonzero(self.problem.kind == kind)
        return rows[np.argsort(self.chi2[rows], kind="stable")]

    def best_of_classes(self) -> Floats:
        """Lowest chi^2 of every class (class,)."""
        return np.array([self.chi2[self.of(kind)[0]] for kind in range(len(CLASSES))])

    def curves(self, rows: Ints) -> Floats:
        """Evaluate some fits at the points of the curve: values (shape, point)."""
        return self.curves_at(rows, self.problem.curve.x)

    def curves_at(self, rows: Ints, x: Floats) -> Floats:
        """Evaluate some fits at any points: values (shape, point)."""
        problem = self.problem
        count = len(problem.flat)
        out = np.empty((len(rows), len(x)))
        for shapes, here in ((problem.flat, rows < count), (problem.peaks, rows >= count)):
            if not here.any():
                continue
            i = rows[here]
            g, e = shapes.at(x, i if shapes is problem.flat else i - count)
            out[here] = self.s[i, np.newaxis] + self.a[i, np.newaxis] * (
                g + self.b[i, np.newaxis] * e
            )
            out[here] += self.c[i, np.newaxis] * (x - problem.curve.centre)
        return out


@dataclass(frozen=True, eq=False)
class _Weight:
    """Weight without the slope, and root R of the weight without slope and level, W_1 = R R^T."""

    sloped: Floats
    root: Floats

    @classmethod
    def of(cls, sloped: Floats) -> _Weight:
        """Take the root of the weight (point, point) without its level."""
        w1 = sloped.sum(axis=1)
        value, vector = np.linalg.eigh(sloped - np.outer(w1, w1) / w1.sum())
        return cls(sloped, np.asarray(vector * np.sqrt(np.maximum(value, 0.0))))


def peak_problem(curve: Curve, margins: PeakMargins) -> PeakProblem:
    """Search for the shapes that describe a curve, and prepare them for its covariance."""
    inverse = np.linalg.inv(curve.covariance)
    weight = np.asarray((inverse + inverse.T) / 2, dtype=np.float64)
    t = curve.x - curve.centre
    tilt = weight @ t / (t @ weight @ t)
    weights = _Weight.of(weight - np.outer(tilt, weight @ t))
    flat = stacked(curve.x, plain(curve.x, margins), margins.skew, sloped=False)
    forms = families(curve.x, *_maximum_interval(curve), margins, curve.at)
    searched = _search_all(forms, curve, weights, margins.skew)
    height = float(curve.values.max())
    alone = every(flat, normal(flat, weight), curve.values, weight, height)[0]
    without = float(alone.min())
    near_flat = alone <= without + KEEP_ALL
    near_flat[[int(np.flatnonzero(flat.kind == kind)[0]) for kind in (FLAT, BOUNDED)]] = True
    flat = flat.take(near_flat)
    parts = normal(flat, weight)
    keep = KEEP
    if without < min(float(chi2.min()) for *_, chi2 in searched) + HOPELESS:
        # Without a true peak noise makes one, and in other draws at other positions.
        keep = KEEP_ALL
        gap = float(np.median(np.diff(curve.x)))
        forms = families(curve.x, (0.0, 1.0), gap, margins, curve.at, ALL)
        searched = _search_all(forms, curve, weights, margins.skew, KEEP_ALL, MOST_OF_ALL)
    peaks = stacked(curve.x, _competing_shapes(searched, keep), margins.skew)
    return PeakProblem(
        curve=curve,
        margins=margins,
        flat=flat,
        peaks=peaks,
        weight=weight,
        sloped=weights.sloped,
        tilt=tilt,
        root=np.asarray(np.linalg.cholesky(curve.covariance), dtype=np.float64),
        error=np.sqrt(np.diag(curve.covariance)),
        parts=(parts, normal(peaks, weights.sloped)),
    )


def _maximum_interval(curve: Curve) -> tuple[tuple[float, float], float]:
    """Interval in which the maximum may be, and the distance of points there."""
    y, x = curve.values, curve.x
    peak = int(np.argmax(y))
    error = np.hypot(curve.errors, curve.errors[peak])
    near = np.flatnonzero(y >= y[peak] - NEAR * error)
    first, last = max(near[0] - 1, 0), min(near[-1] + 1, len(x) - 1)
    return (float(x[first]), float(x[last])), float(np.median(np.diff(x[first : last + 1])))


def _search_all(
    forms: Iterable[Family],
    curve: Curve,
    weight: _Weight,
    skew: float,
    keep: float = KEEP,
    most: int = MOST,
) -> list[tuple[Family, Floats, Floats]]:
    """Families that differ from a slope somewhere, with the best points of their lattices."""
    searched = [(family, *_search(family, curve, weight, skew, keep, most)) for family in forms]
    return [result for result in searched if len(result[1])]


def _search(
    family: Family,
    curve: Curve,
    weight: _Weight,
    skew: float,
    keep: float,
    most: int,
) -> tuple[Floats, Floats]:
    """Parameters (shape, parameter) of a lattice about the best of a family, with their chi^2."""
    axes, height = list(family.axes.values()), float(curve.values.max())
    start, step = (np.array([axis[i] for axis in axes]) for i in (0, 1))
    step, last = step - start, np.array([len(axis) - 1 for axis in axes])
    index = np.array(list(product(*(range(n + 1) for n in last))))
    for halved in range(FINER + 1):
        shapes = stacked(curve.x, [(family, start + step * index)], skew)
        if not shapes.seen.all():
            index, shapes = index[shapes.seen], shapes.take(shapes.seen)
        if not len(shapes):
            return np.empty((0, len(axes))), np.empty(0)
        parts = normal(shapes, weight.sloped)
        chi2, a, _, b = every(shapes, parts, curve.values, weight.sloped, height)
        order = np.argsort(chi2, kind="stable")
        close = int(np.count_nonzero(chi2 <= chi2[order[0]] + keep))
        order = order[: min(max(close, BEST), most)]
        index, chi2 = index[order], chi2[order]
        curves = _in_errors(shapes, a, b, order, weight.root)
        coarse = _coarse_axes(index, curves, min(close, most))
        if halved == FINER or not coarse.any():
            break
        step, last = np.where(coarse, step / 2, step), np.where(coarse, 2 * last, last)
        index = _children(index, coarse, last)
    near = int(np.count_nonzero(chi2 <= chi2[0] + keep))
    selected = _thinned(curves[:near])
    return start + step * index[selected], chi2[selected]


def _in_errors(shapes: PeakShapes, a: Floats, b: Floats, rows: Ints, root: Floats) -> Floats:
    """Best fits of some shapes in units of the errors, without level and slope."""
    forms = (shapes.g[rows] + b[rows, np.newaxis] * shapes.e[rows]) @ root
    # Noise alone changes the amplitude by this much, so that small forms must be resolved as well.
    least = LEAST_CHANGE / np.maximum(np.linalg.norm(forms, axis=1), 1e-300)
    return np.asarray(np.maximum(np.abs(a[rows]), least)[:, np.newaxis] * forms)


def _thinned(curves: Floats) -> Ints:
    """Indices of curves that differ by more than THIN, the first ones preferred."""
    norm = np.einsum("ij,ij->i", curves, curves)
    apart = norm[:, np.newaxis] + norm - 2 * curves @ curves.T > THIN**2
    selected: list[int] = []
    free = np.ones(len(curves), dtype=np.bool_)
    while free.any():
        selected.append(int(np.argmax(free)))
        free &= apart[selected[-1]]
        free[selected[-1]] = False
    return np.array(selected)


def _coarse_axes(index: Ints, curves: Floats, near: int) -> NDArray[np.bool_]:
    """Whether neighbours along each axis differ by more than FINE in the median.

    The best `near` decide, or all points if no two of these are neighbours.
    """
    stride = np.concatenate([[1], np.cumprod(index.max(axis=0) + 2)[:-1]])
    key = index @ stride
    order = np.argsort(key)
    coarse = np.ones(index.shape[1], dtype=np.bool_)
    for axis, step in enumerate(stride):
        place = np.minimum(np.searchsorted(key, key + step, sorter=order), len(key) - 1)
        neighbour = order[place]
        pairs = np.flatnonzero(key[neighbour] == key + step)
        inner = pairs[(pairs < near) & (neighbour[pairs] < near)]
        pairs = inner if len(inner) else pairs
        if len(pairs):
            apart = np.linalg.norm(curves[pairs] - curves[neighbour[pairs]], axis=1)
            coarse[axis] = np.median(apart) > FINE
    return coarse


def _children(index: Ints, coarse: NDArray[np.bool_], last: Ints) -> Ints:
    """Points of the lattice at half the distance, about the selected ones."""
    steps = [(-1, 0, 1) if is_coarse else (0,) for is_coarse in coarse]
    around = np.array(list(product(*steps)))
    around = around[np.count_nonzero(around, axis=1) <= MOVED]
    children = np.where(coarse, 2 * index, index)[:, np.newaxis] + around
    children = children.reshape(-1, index.shape[1])
    children = children[np.all((children >= 0) & (children <= last), axis=1)]
    stride = np.concatenate([[1], np.cumprod(last + 1)[:-1]])
    return np.asarray(children[np.unique(children @ stride, return_index=True)[1]])


def _competing_shapes(
    searched: list[tuple[Family, Floats, Floats]], keep: float
) -> list[tuple[Family, Floats]]:
    """Shapes close to the best of their class; of every class at least one."""
    lowest: dict[int, float] = {}
    for family, _, chi2 in searched:
        lowest[family.kind] = min(lowest.get(family.kind, np.inf), float(chi2.min()))
    near_shapes = []
    for family, theta, chi2 in searched:
        # The best of each family stays, because the table of models lists it.
        near = chi2 <= max(lowest[family.kind] + keep, chi2.min())
        near_shapes.append((family, theta[near]))
    return near_shapes


def peak_position(fits: PeakFits, plausible: Sequence[str]) -> Parameter:
    """Estimate x_c, the position of the peak, in units of the control.

    NaN where the values may be flat, or are drift.
    """
    kinds = [CLASSES.index(name) for name in plausible]
    problem = fits.problem
    rows = np.flatnonzero(np.isin(problem.kind, kinds))
    positions = []
    if len(rows) and FLAT not in kinds:
        lowest = fits.chi2[rows].min()
        poor = max(lowest / (len(problem.error) - PARAMETERS), 1.0)
        near = rows[fits.chi2[rows] <= lowest + AS_GOOD * poor]
        for name in dict.fromkeys(problem.rows[i][0].name for i in near.tolist()):
            members = rows[[problem.rows[i][0].name == name for i in rows.tolist()]]
            if members[0] >= len(problem.flat):
                above = (fits.chi2[members].min() - lowest) / poor
                mean, deviation = _family_position(fits, members)
                positions.append((above, mean, deviation * np.sqrt(poor)))
    if not positions:
        return Parameter(*[float("nan")] * 3)
    above, mean, deviation = np.array(positions).T
    weight = np.exp(-above / 2) / np.exp(-above / 2).sum()
    value = weight @ mean
    return Parameter(
        float(value),
        statistical=float(np.sqrt(weight @ deviation**2)),
        systematic=float(np.abs(mean - value).max()),
    )


def _family_position(fits: PeakFits, rows: Ints) -> tuple[float, float]:
    """Mean and standard deviation of the position within a family."""
    family = fits.problem.rows[rows[0]][0]
    theta, log, curves = _samples_about(fits, rows)
    weight = np.exp(log - log.max())
    place = theta[:, 0] if family.name.startswith(POINTED) else _maxima(curves, weight)
    place = fits.problem.curve.at(place)
    mean = weight @ place / weight.sum()
    return float(mean), float(np.sqrt(weight @ (place - mean) ** 2 / weight.sum()))


def _samples_about(fits: PeakFits, rows: Ints) -> tuple[Floats, Floats, Callable[[Floats], Floats]]:
    """Parameters drawn about the shapes of a family, ln of their weights, and their curves.

    Importance sampling of exp(-chi^2 / 2) from Student's t, whose centre and width each round takes
    from the weights of the last one.
    """
    problem = fits.problem
    family = problem.rows[rows[0]][0]
    low, high = np.array([[axis[0], axis[-1]] for axis in family.axes.values()]).T
    from scipy.stats import multivariate_t  # a third of a second to import

    theta = np.array([problem.rows[i][1] for i in rows.tolist()])
    weight = np.exp(-(fits.chi2[rows] - fits.chi2[rows].min()) / 4)
    rng = np.random.default_rng(0)  # nodes of an integral: equal data give equal results
    for _ in range(ROUNDS):
        centre = weight @ theta / weight.sum()
        rest = theta - centre
        spread = (weight * rest.T) @ rest / weight.sum()
        spread += np.diag((NARROWEST * (high - low)) ** 2)
        law = multivariate_t(centre, spread, df=TAILS, seed=rng)
        theta = np.atleast_2d(law.rvs(SAMPLES))
        theta = theta[np.all((theta >= low) & (theta <= high), axis=1)]
        chi2, curves = _refitted(fits, family, theta)
        log = -chi2 / 2 - law.logpdf(theta)
        weight = np.exp(log - log.max())
    return theta, log, curves


def _refitted(
    fits: PeakFits, family: Family, theta: Floats
) -> tuple[Floats, Callable[[Floats], Floats]]:
    """chi^2 of a family with other parameters, and its curves (shape, point) at any points."""
    problem, y = fits.problem, fits.problem.curve.values
    shapes = stacked(problem.curve.x, [(family, theta)], problem.margins.skew)
    chi2, *linear = every(shapes, normal(shapes, problem.sloped), y, problem.sloped, float(y.max()))
    a, s, b = (coefficients[:, np.newaxis] for coefficients in linear)
    c = (y - s - a * (shapes.g + b * shapes.e)) @ problem.tilt

    def curves(x: Floats) -> Floats:
        g, e = family.form(x, theta)
        form = (g + b * e) / shapes.span[:, np.newaxis]
        return np.asarray(s + a * form + np.outer(c, x - problem.curve.centre))

    return np.where(shapes.seen, chi2, np.inf), curves


def _maxima(curves: Callable[[Floats], Floats], weight: Floats) -> Floats:
    """Position of the maximum of each curve."""
    x = np.linspace(0.0, 1.0, LOOKS)
    maxima = x[curves(x).argmax(axis=1)]
    near = maxima[weight > LIGHT]
    x = np.linspace(max(near.min() - x[1], 0.0), min(near.max() + x[1], 1.0), LOOKS)
    return np.asarray(x[curves(x).argmax(axis=1)])


def peak_exponent(fits: PeakFits) -> Exponent:
    """Estimate the exponent of cut-off power laws from the profile of chi^2.

    NaN if no power law comes near the best fit, or the best fit is flat.
    """
    places = _unrounded_places(fits)
    chi2 = _exponent_profile(fits, places, ALPHAS)
    best = int(np.argmin(fits.chi2))
    if fits.problem.kind[best] == FLAT or chi2.min() > fits.chi2[best] + HOPELESS:
        return no_exponent(ALPHAS, chi2)
    return of_profile(lambda exponents: _exponent_profile(fits, places, exponents), ALPHAS, chi2)


def _unrounded_places(fits: PeakFits) -> Floats:
    """Position, cut-off and log2 of its sharpness (1 for a cusp) of shapes with a sharp peak."""
    names = np.array([family.name for family, _ in fits.problem.rows])
    places = []
    for name in UNROUNDED:
        # As drawn, and not the best of them, which have nearly one exponent.
        theta = _samples_about(fits, np.flatnonzero(names == name))[0][:PLACES]
        places += [np.append(row, 1.0)[[0, 1, 3]] for row in theta]
    return np.array(places)


def _exponent_profile(fits: PeakFits, places: Floats, exponents: Floats) -> Floats:
    """Lowest chi^2 (exponent,) over all places."""
    problem = fits.problem
    x_c, delta, log2_m = np.repeat(places, len(exponents), axis=0).T
    theta = np.column_stack([x_c, delta, np.tile(exponents, len(places)), log2_m])
    family = Family("cut-off power", POWER, {}, cut_off, (0.0, np.inf))
    shapes = stacked(problem.curve.x, [(family, theta)], problem.margins.skew)
    y, parts = problem.curve.values, normal(shapes, problem.sloped)
    chi2 = every(shapes, parts, y, problem.sloped, float(y.max()))[0]
    return np.asarray(chi2.reshape(len(places), len(exponents)).min(axis=0))
