"""Confidence set of classes: likelihood ratios with a parametric bootstrap.

The statistic of class c is

    Delta_c = min over the shapes of c of (chi^2 + penalty) - min over all shapes of the same.

It does not follow a chi^2 distribution: classes touch each other, each has many shapes, and the
null is a fit.  Therefore data are drawn from fits of class c at the given sizes and errors, and p_c
is the share of draws with a Delta_c at least as large.  Each draw has a shape of c of its own,
chosen with probability exp(-(chi^2 + penalty) / 2) among those that the data do not distinguish
from the best: p_c is averaged over the possible truths, like a posterior predictive p-value.

The same draws give the distribution of chi^2 at the best fit.  If the observed value is unlikely
there, the errors are wrong or no class has the form of the data; unknown errors are scaled until
chi^2 agrees.  The module serves heights by size and peaks along the control alike (`Setup`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Protocol, TypeVar

import numpy as np

from heatcap.core.arrays import Floats, Ints
from heatcap.divergence.growth import LAWS, OMEGAS, PARAMETERS, Shapes, finer, shapes_of, slopes
from heatcap.divergence.kernel import Normal, best, every, normal
from heatcap.divergence.margins import CLASSES, Margins, check_level

__all__ = [
    "HOPELESS",
    "NEAR",
    "POOR",
    "REPEATED",
    "Fits",
    "Fitted",
    "Plausible",
    "Problem",
    "Setup",
    "Streams",
    "check_options",
    "drawn_from",
    "judged_by",
    "least_draws",
    "plausible",
    "problem",
    "scale_of",
    "standing_off",
    "unlikely",
]

NEAR = 4.0  # in chi^2 + penalty: fits of a class that the data do not distinguish
HOPELESS = 30.0  # Delta beyond the penalty that no draw reaches
APART = 0.5  # standard deviations: closer fits count as the same
DIGITS = 2  # of a parameter beyond those of the heights
TIE = 6  # digits of chi^2 that are more than rounding
KEEP = 25.0  # in chi^2 + penalty above the best of a class: no draw about a near fit gets there
ROUNDS = 30  # of a finer lattice, at most
GAIN = 0.02  # in chi^2, and as a share of the distance of a law from the best: smaller gains stop
DAMPED = (1e-6, 1e-3)  # of the diagonal of the normal equations
FAR = 1e-4  # the same damping, for standard deviations
FELT = 0.1  # least change of the heights with a parameter, in standard deviations, for a step
SHARES = (3.0, 1.0, 0.5, 0.2)  # of a step: valleys are long, and curved
ABOUT = [np.array(move) for move in product((-1.2, 0.0, 1.2), repeat=PARAMETERS) if any(move)]
SEEDS = 3  # shapes of each law and class from which the search starts
CORRECTIONS = (0.0, *OMEGAS)
WIDEST = 0.3  # largest change of a parameter: the lattice covers what lies beyond
ZERO = 1e-9  # chi^2 that counts as zero
AMISS = 0.05  # share of draws with a worse (or a better) chi^2: errors too small (too large)
POOR, SELDOM = 2.0, 0.01  # chi^2 over that of draws, and share of draws beyond: a poor fit
STANDS_OFF = 3.0  # errors from the best fit
PER_CENT = 20.0  # errors too large by more than this factor may be in per cent
AGAIN, SETTLED = 4, 0.2  # rounds of scaling the errors; change of ln errors that ends them
PARTS = ("test", "conditional", "advice", "detectable", "realised", "stability")
REPEATED = 100  # draws of a nested test


class Scalable(Protocol):
    """Data whose errors can be multiplied by a factor."""

    @property
    def known(self) -> bool: ...
    @property
    def errors(self) -> Floats: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    def scaled(self: D, factor: float) -> D: ...


class Costly(Protocol):
    """Margins with the cost of a correction in chi^2."""

    @property
    def penalty(self) -> float: ...


class Setup(Protocol):
    """Shapes with a covariance, for heights by size or a peak by control."""

    @property
    def margins(self) -> Costly: ...
    @property
    def error(self) -> Floats: ...
    @property
    def kind(self) -> Ints: ...
    def scores(self, y: Floats) -> Floats: ...
    def fits(self, y: Floats) -> Fitted: ...
    def noise(self, draws: int, rng: np.random.Generator) -> Floats: ...


class Fitted(Protocol):
    """All shapes fitted to one set of data, as the test needs them."""

    @property
    def problem(self) -> Setup: ...
    @property
    def score(self) -> Floats: ...
    def of(self, kind: int) -> Ints: ...
    def curves(self, rows: Ints) -> Floats: ...
    def best_of_classes(self) -> Floats: ...


D = TypeVar("D", bound=Scalable)
S = TypeVar("S", bound=Setup)


@dataclass(frozen=True, eq=False)
class Problem:
    """Shapes on the sizes, and the covariance of the heights.

    Attributes
    ----------
    shapes : Shapes
    margins : Margins
    exponent : float, optional
        Exponent of the power law where theory gives it.
    weight, root : ndarray (size, size)
        Inverse of the covariance, and its Cholesky root, which turns unit normal numbers into
        noise.
    error : ndarray (size,)
    parts : Normal
        Scalar products of the shapes.
    unit : float
        Height in which the margins are measured.
    """

    shapes: Shapes
    margins: Margins
    exponent: float | None
    weight: Floats
    root: Floats
    error: Floats
    parts: Normal
    unit: float

    @property
    def kind(self) -> Ints:
        """Class of every shape."""
        return self.shapes.kind

    @property
    def pure(self) -> Problem:
        """The same problem without crossovers inside the sizes."""
        return self.having(self.shapes.take(self.shapes.pure))

    def having(self, shapes: Shapes) -> Problem:
        """Replace the shapes."""
        return replace(self, shapes=shapes, parts=normal(shapes, self.weight))

    def scores(self, y: Floats) -> Floats:
        """Minimise chi^2 + penalty (set, class) for sets of heights (set, size)."""
        return best(self.shapes, self.parts, y, self.weight, np.full(len(y), self.unit))

    def fits(self, y: Floats) -> Fits:
        """Fit all shapes to one set of heights (size,)."""
        chi2, a, s, b = every(self.shapes, self.parts, y, self.weight, self.unit)
        return Fits(self, chi2, chi2 + self.shapes.penalty, a, s, b)

    def noise(self, draws: int, rng: np.random.Generator) -> Floats:
        """Draw noise (draw, size) with the covariance of the heights."""
        return np.asarray(rng.normal(size=(draws, len(self.error))) @ self.root.T)


@dataclass(frozen=True, eq=False)
class Fits:
    """chi^2, score = chi^2 + penalty, growth a, level s and correction b of every shape."""

    problem: Problem
    chi2: Floats
    score: Floats
    a: Floats
    s: Floats
    b: Floats

    def of(self, kind: int) -> Ints:
        """Rank the shapes of a class, the best first."""
        rows = np.flatnonzero(self.problem.shapes.kind == kind)
        return rows[np.argsort(np.round(self.score[rows], TIE), kind="stable")]

    def curves(self, rows: Ints) -> Floats:
        """Evaluate some fits at the sizes of the data: heights (shape, size)."""
        shapes = self.problem.shapes
        forms = shapes.g[rows] + self.b[rows, np.newaxis] * shapes.e[rows]
        return np.asarray(self.s[rows, np.newaxis] + self.a[rows, np.newaxis] * forms)

    def curves_at(self, rows: Ints, sizes: Floats) -> Floats:
        """Evaluate some fits at any sizes: heights (shape, size)."""
        chosen = self.problem.shapes.take(rows).at(sizes)
        forms = chosen.g + self.b[rows, np.newaxis] * chosen.e
        return np.asarray(self.s[rows, np.newaxis] + self.a[rows, np.newaxis] * forms)

    def best_of_classes(self) -> Floats:
        """Lowest chi^2 + penalty of every class (class,)."""
        lowest = np.full(len(CLASSES), np.inf)
        np.minimum.at(lowest, self.problem.shapes.kind, self.score)
        return lowest


@dataclass(frozen=True, eq=False)
class Plausible:
    """p-values and Delta of the classes, the lowest chi^2 + penalty, and draws of it."""

    p_values: Floats
    delta: Floats
    best_chi2: float
    drawn_chi2: Floats

    def kinds(self, level: float) -> tuple[int, ...]:
        """List the classes that are not excluded, by index."""
        return tuple(np.flatnonzero(self.p_values > 1 - level).tolist())

    def names(self, level: float) -> tuple[str, ...]:
        """List the classes that are not excluded, by name."""
        return tuple(CLASSES[kind] for kind in self.kinds(level))


def problem(
    sizes: Floats,
    covariance: Floats,
    margins: Margins,
    exponent: float | None = None,
    *,
    heights: Floats,
) -> Problem:
    """Prepare the shapes that come near some heights (size,), for their covariance (size, size).

    The lattice of parameters is refined where a law fits best, until no law gains in any class.
    """
    inverse = np.linalg.inv(covariance)
    weight = np.asarray((inverse + inverse.T) / 2, dtype=np.float64)
    root = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    error = np.sqrt(np.diag(covariance))
    shapes = shapes_of(sizes, margins, exponent)
    parts = normal(shapes, weight)
    unit = _unit_height(shapes, parts, heights)
    setup = Problem(shapes, margins, exponent, weight, root, error, parts, unit)
    fits, lowest, last = setup.fits(heights), np.full((len(LAWS), len(CLASSES)), np.inf), False
    # Rounded and ordered, so that draws do not depend on the last bit of a processor.
    digits = int(np.clip(DIGITS - np.round(np.log10(error.min() / unit)), DIGITS + 2, 9))
    for left in reversed(range(ROUNDS)):
        lowest, before = _best_of_laws(fits), lowest
        near = np.isfinite(lowest)
        gain = before[near] - lowest[near]
        last = not left or bool((gain < GAIN * (1 + lowest[near] - lowest.min())).all())
        seeds = _best_shapes(fits, 1 if last else SEEDS)
        tried = np.round(_trial_parameters(fits, heights, seeds, last), digits)
        new = finer(setup.shapes, seeds, tried, margins, exponent)
        if new is not None:
            fits = setup.having(setup.shapes.joined(new)).fits(heights)
        setup = setup.having(_competing_shapes(fits, 0 if last else SEEDS))
        fits = setup.fits(heights)
        if last:
            break
    return setup.having(_distinct_shapes(fits))


def _competing_shapes(fits: Fits, seeds: int) -> Shapes:
    """Shapes that may fit a draw about a near fit best; pure ones compete among themselves.

    Some `seeds` of every law are added, because its lattice may be too coarse to exclude it.
    """
    shapes, pure = fits.problem.shapes, fits.problem.shapes.pure
    near = fits.score <= fits.best_of_classes()[shapes.kind] + KEEP
    for kind in range(len(CLASSES)):
        rows = np.flatnonzero((shapes.kind == kind) & pure)
        if len(rows):
            near[rows] |= fits.score[rows] <= fits.score[rows].min() + KEEP
    if seeds:
        near[_best_shapes(fits, seeds)] = True
    return shapes.take(near)


def _distinct_shapes(fits: Fits) -> Shapes:
    """Of the shapes of a law and class with equal fits within the errors, the best one.

    Fits are compared along their principal axes, so that they differ in few directions only.
    """
    shapes = fits.problem.shapes
    curves = fits.curves(np.arange(len(shapes))) @ np.linalg.cholesky(fits.problem.weight)
    score = np.round(fits.score, TIE)
    curves -= curves[np.argmin(score)]
    axes = np.linalg.eigh(curves.T @ curves)[1]
    places = np.round(curves @ axes / APART)
    group = np.column_stack([shapes.kind, shapes.law, shapes.pure, shapes.omega, places])
    # The best of equal rows is first; ten times as fast as np.unique(axis=0).
    order = np.lexsort((score, *group.T))
    first = np.r_[True, (np.diff(group[order], axis=0) != 0).any(axis=1)]
    return shapes.take(np.sort(order[first]))


def _trial_parameters(fits: Fits, heights: Floats, rows: Ints, last: bool) -> Floats:
    """Parameters (row, other, 3) near those of some shapes, where fits may be better.

    Gauss-Newton steps with more and less damping, for all parameters and with each of them held,
    as at the end of its range.  In the last round, those about a standard deviation away: the best
    fits of the drawn data lie there.
    """
    shapes, weight = fits.problem.shapes, fits.problem.weight
    linear = np.stack([np.ones_like(shapes.g[rows]), shapes.g[rows], shapes.e[rows]], axis=1)
    moved = fits.a[rows, np.newaxis, np.newaxis] * slopes(shapes, rows)
    rest = (heights - fits.curves(rows))[..., np.newaxis]
    tried = []
    for held in (np.zeros(PARAMETERS),) if last else (np.zeros(PARAMETERS), *np.eye(PARAMETERS)):
        design = np.concatenate([linear, moved * (1 - held)[:, np.newaxis]], axis=1)
        square, towards = design @ weight @ design.transpose(0, 2, 1), design @ weight @ rest
        size = np.sqrt(np.einsum("ikk->ik", square))[..., np.newaxis]
        size[:, 3:] = np.maximum(size[:, 3:], FELT)
        size[size == 0] = 1.0
        value, axes = np.linalg.eigh(square / (size * size.transpose(0, 2, 1)))
        if last:
            inverse = (axes / (value[:, np.newaxis] + FAR)) @ axes.transpose(0, 2, 1)
            inverse = inverse[:, 3:, 3:] / size[:, 3:] / size[:, 3:, 0][:, np.newaxis]
            width, axes = np.linalg.eigh(inverse)
            width = np.minimum(np.sqrt(np.maximum(width, 0.0)), WIDEST)
            tried += [(axes * width[:, np.newaxis]) @ move for move in ABOUT]
        else:  # damped, so that directions without any effect stay exactly where they are
            along = (axes.transpose(0, 2, 1) @ (towards / size))[..., 0]
            damped = [along * value / (value**2 + damp**2) for damp in DAMPED]
            steps = [((axes @ move[..., np.newaxis]) / size)[:, 3:, 0] for move in damped]
            tried += [share * step for step in steps for share in SHARES]
    change = np.stack(tried, axis=1) * shapes.free[rows][:, np.newaxis]
    change /= np.maximum(np.abs(change).max(axis=2, keepdims=True), 1.0)
    return np.asarray(shapes.theta[rows][:, np.newaxis] + change)


def _unit_height(shapes: Shapes, parts: Normal, heights: Floats) -> float:
    """Unit of the margins: the largest height of the best fit, free of the noise of one height."""
    mean = float(heights @ parts.w1 / parts.w1.sum())
    yg = parts.wg @ (heights - mean)
    a = yg / parts.products[:, 2]
    i = int(np.argmax(a * yg - shapes.penalty))
    largest = float((mean + a[i] * (shapes.g[i] - parts.products[i, 1])).max())
    return largest if largest > 0 else float(heights.max())


def _best_of_laws(fits: Fits) -> Floats:
    """Lowest score of every law and class; infinite where a law has no shape in a class."""
    shapes = fits.problem.shapes
    lowest = np.full((len(LAWS), len(CLASSES)), np.inf)
    np.minimum.at(lowest, (shapes.law, shapes.kind), fits.score)
    return lowest


def _best_shapes(fits: Fits, count: int) -> Ints:
    """Best shapes of every law and class, pure or not, with corrections or without.

    Short and long lengths are apart: each has a valley of its own.
    """
    shapes = fits.problem.shapes
    group = 2 * (len(CLASSES) * shapes.law + shapes.kind) + shapes.pure
    group = 2 * group + (shapes.theta[:, 1] > np.log(shapes.sizes[[0, -1]]).mean())
    group = len(CORRECTIONS) * group + np.searchsorted(CORRECTIONS, shapes.omega)
    order = np.lexsort((np.round(fits.score, TIE), group))
    first = np.searchsorted(group[order], group[order])
    return np.asarray(order[np.arange(len(order)) - first < count])


def plausible(setup: Setup, y: Floats, *, draws: int, rng: np.random.Generator) -> Plausible:
    """Compute the p-value of every class for heights `y` (size,)."""
    fits = setup.fits(y)
    lowest = fits.best_of_classes()
    delta = lowest - lowest.min()
    p, chi2 = np.ones(len(CLASSES)), np.empty(0)
    for kind in range(len(CLASSES)):
        if delta[kind] > HOPELESS + setup.margins.penalty:
            p[kind] = 0.0
        elif delta[kind] > 0.0:
            scores = setup.scores(drawn_from(fits, kind, draws, rng))
            larger = np.sum(scores[:, kind] - scores.min(axis=1) >= delta[kind] - 10.0**-TIE)
            p[kind] = float(1 + larger) / (1 + draws)
        else:
            best_fit = fits.curves(fits.of(kind)[:1])
            chi2 = setup.scores(best_fit + setup.noise(draws, rng)).min(axis=1)
    # chi^2 of exact data is zero up to rounding, and may be negative.
    return Plausible(p, delta, max(float(lowest.min()), 0.0), chi2)


def drawn_from(fits: Fitted, kind: int, draws: int, rng: np.random.Generator) -> Floats:
    """Draw sets of data (draw, size) about the near fits of a class, by their likelihood."""
    rows = fits.of(kind)
    best_one, rows = rows[:1], np.sort(rows)
    above = np.round(fits.score[rows] - fits.score[best_one], TIE)
    rows, above = rows[above <= NEAR], above[above <= NEAR]
    likely = np.exp(-above / 2)
    chosen, index = np.unique(
        rng.choice(rows, size=draws, p=likely / likely.sum()), return_inverse=True
    )
    curves = fits.curves(chosen)
    curves[~np.isfinite(curves).all(axis=1)] = fits.curves(best_one)[0]
    return np.asarray(curves[index] + fits.problem.noise(draws, rng))


class Streams:
    """Streams of random numbers, one for each part, independent of the order of use."""

    def __init__(self, rng: int | np.random.Generator) -> None:
        if isinstance(rng, np.random.RandomState):
            raise TypeError("give a seed or numpy.random.default_rng(seed), not a RandomState")
        children = np.random.default_rng(rng).bit_generator.seed_seq.spawn(len(PARTS))  # type: ignore[attr-defined]
        self._seeds = dict(zip(PARTS, children, strict=True))

    def of(self, part: str) -> np.random.Generator:
        """Return the stream of a part, from its beginning."""
        return np.random.default_rng(self._seeds[part])


def check_options(level: float, draws: int) -> None:
    """Check the level and the draws of a test.

    Raises
    ------
    ValueError
        If the level is not in [0.5, 1), or the draws are too few for it.
    """
    check_level(level)
    if draws != int(draws):
        raise ValueError(f"draws must be a whole number, got {draws}")
    if draws < least_draws(level):
        raise ValueError(
            f"a level of {level} needs at least {least_draws(level)} draws, got {draws}"
        )


def least_draws(level: float) -> int:
    """Compute the draws that a p-value needs to fall below 1 - level."""
    return int(np.ceil(5 / (1 - level)))


def judged_by(
    prepared: Callable[[D], S],
    data: D,
    values: Floats,
    rescale: bool,
    draws: int,
    rng: np.random.Generator,
    called: str,
) -> tuple[D, S, Plausible, list[str]]:
    """Test data with the shapes that `prepared` makes from them, and collect warnings.

    With unknown errors, or with `rescale` where chi^2 disagrees with them, the test is repeated
    with scaled errors.

    Returns
    -------
    data, setup, result, warnings
        Data with the errors in use, shapes prepared for them, p-values, and texts.
    """
    warnings = list(data.notes)
    setup = prepared(data)
    result = plausible(setup, values, draws=draws, rng=rng)
    worse = float(np.mean(result.drawn_chi2 >= result.best_chi2))
    better = float(np.mean(result.drawn_chi2 <= result.best_chi2))
    factor = scale_of(result)
    if data.known and worse < AMISS:
        warnings.append(
            f"chi2 = {result.best_chi2:.1f} of the best fit is too large (p-value "
            f"{_p_text(worse, result)}): errors are too small by {factor:.2g}, or the "
            f"{called} have structure that no class has"
        )
    elif data.known and better < AMISS:
        cents = "; are they in per cent?" if factor < 1 / PER_CENT else ""
        warnings.append(
            f"chi2 = {result.best_chi2:.2g} of the best fit is too small (p-value "
            f"{_p_text(better, result)}): errors look too large, by {1 / factor:.2g}{cents}; or "
            "neighbours share their noise, as along training or in sums: then errors are too small"
        )
    misfit = worse < AMISS or better < AMISS
    if not data.known or (rescale and misfit):
        total = 1.0
        for _ in range(AGAIN):
            data, total = data.scaled(factor), total * factor
            setup = prepared(data)
            result = plausible(setup, values, draws=draws, rng=rng)
            # A correction costs chi^2, so that the best fit may change with the errors.
            factor = scale_of(result)
            if abs(np.log(factor)) < SETTLED:
                break
        if data.known:
            warnings.append(f"errors were multiplied by {total:.3g}")
        else:
            warnings.append(
                f"no errors given: equal ones of {data.errors[0]:.3g} were taken from the scatter "
                "about the best fit"
            )
    elif worse < AMISS:
        warnings.append("the guarantee does not hold with such errors: test again with --rescale")
    return data, setup, result, warnings


def _p_text(p: float, result: Plausible) -> str:
    """Share of the draws as text; none of n draws means less than 1/n."""
    least = 1 / len(result.drawn_chi2)
    return f"{p:.2g}" if p >= least else f"below {least:.2g}"


def scale_of(result: Plausible) -> float:
    """Compute the factor by which the errors are too small: sqrt(chi^2 / its median over draws)."""
    drawn = float(np.median(result.drawn_chi2))
    return float(np.sqrt(max(result.best_chi2, ZERO) / max(drawn, ZERO)))


def unlikely(result: Plausible) -> bool:
    """Return whether chi^2 is exceeded by a smaller share of the draws than `SELDOM`."""
    return float(np.mean(result.drawn_chi2 >= result.best_chi2)) < SELDOM


def standing_off(
    at: Floats, values: Floats, covariance: Floats, fits: Fitted, name: str
) -> list[str]:
    """Name the values further than three errors from the best fit, or else the furthest one."""
    curve = fits.curves(np.array([np.argmin(fits.score)]))[0]
    pull = (values - curve) / np.sqrt(np.diag(covariance))
    far = np.flatnonzero(np.abs(pull) > STANDS_OFF)
    far = far if len(far) else np.array([np.argmax(np.abs(pull))])
    listed = ", ".join(f"{name} = {at[i]:g} ({pull[i]:+.1f} errors)" for i in far.tolist())
    return [f"off the best fit: {listed}"]
