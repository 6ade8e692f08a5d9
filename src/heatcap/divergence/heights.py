"""Peak heights against size before any fit: errors, upper bound, maximum inside the sizes.

*Errors.*  They are given, or come from the spread of runs (`read_heights`); heights with errors of
more than half of the largest are left out (`informative`).

*Bound.*  The heat capacity of an attention row with n visible keys stays below
(ln(n - 1))^2 / 4 + 1, and more sharply below :func:`heatcap.heat_capacity_bound`: where n does not
grow with the size, no height can; where n is the size, growth like (ln n)^2 is possible and a power
law is not (`ceiling`).

*Maximum* (a hump, `hump_at`).  Heights have a maximum inside the sizes if a curve with one turn
fits them, and fits better than any monotone curve, rising or falling, by more than noise explains.
The statistic is

    D = chi^2 of the best monotone curve - chi^2 of the best curve that turns once,

with the diagonal of the covariance.  Its distribution is drawn with the whole covariance from a
constant, the monotone curve that noise turns most easily: about `CHANCE` at most of all saturating
heights are taken for a hump.  Heights that fall and rise again, as one outlier makes them, have a
larger chi^2 about the best turn than noise alone, and are no hump.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heatcap.core.arrays import Floats, numbers
from heatcap.core.student import ENOUGH, counts_of_runs, errors_of_means
from heatcap.divergence.margins import Margins

__all__ = [
    "CHANCE",
    "LEAST_SIZES",
    "Bound",
    "Ceiling",
    "Heights",
    "ceiling",
    "checked_sizes",
    "covariance_of",
    "hump_at",
    "informative",
    "read_heights",
]

LEAST_SIZES = 4
LEAST_RATIO = 1.05  # of the largest size to the smallest
SHARPEST = 1e-8  # relative error of a height below which rounding decides
KNOWN = 0.5  # largest relative error of an informative height
LEAST_OTHERS = 3  # runs needed to judge another one by their scatter
CARRIED = 1e-3  # probability of such an outlier among all runs, below which it is named
LEAST_HEAVY = 3  # sizes with such an outlier, from which on (and half of all) tails are heavy
AT_BOUND = 0.95  # share of the bound from which on a height is at the bound
FAR_SIZES = (1e15, 1e30, 1e60)  # sizes at which the asymptotic growth of a bound is read off
FALLS = 0.8  # a local exponent that falls below this share of itself goes on falling
CHANCE = 0.05  # probability of a hump where heights saturate
NOISES = 200  # draws of noise
LEAST_TURN = 2.7  # in chi^2: one difference at 5 %, one-sided; smaller ones need no draws

Bound = ArrayLike | Callable[[float], Any]


@dataclass(frozen=True, eq=False)
class Heights:
    """Sizes in rising order with their heights.

    Attributes
    ----------
    sizes, heights : ndarray (size,)
    covariance : ndarray (size, size)
    known : bool
        Whether the size of the errors is known; else only their ratios are.
    notes : tuple of str
        How the errors were obtained, and runs that are outliers.
    """

    sizes: Floats
    heights: Floats
    covariance: Floats
    known: bool = True
    notes: tuple[str, ...] = ()

    @property
    def errors(self) -> Floats:
        return np.sqrt(np.diag(self.covariance))

    def scaled(self, factor: float) -> Heights:
        """Multiply the errors by a factor; they stay above the rounding of the heights."""
        factor = max(factor, 10 * SHARPEST * float((np.abs(self.heights) / self.errors).max()))
        return replace(self, covariance=self.covariance * factor**2)

    def take(self, rows: slice | NDArray[np.bool_]) -> Heights:
        """Select some of the sizes."""
        return Heights(
            self.sizes[rows],
            self.heights[rows],
            self.covariance[rows][:, rows],
            self.known,
            self.notes,
        )


def checked_sizes(sizes: ArrayLike) -> Floats:
    """Check sizes and return them as floats (size,), in their order.

    Raises
    ------
    ValueError
        If there are fewer than four, one is not above 1 or not finite, or one occurs twice, or all
        are nearly the same.
    """
    size = numbers(sizes, "sizes")
    if size.ndim != 1:
        raise ValueError(f"expected sizes along one dimension, got shape {size.shape}")
    if size.size < LEAST_SIZES:
        raise ValueError(f"expected at least {LEAST_SIZES} sizes, got {size.size}")
    good = np.isfinite(size) & (size > 1)
    if not good.all():
        raise ValueError(f"sizes must be finite and above 1, got {size[~good][:3].tolist()}")
    if size.max() < LEAST_RATIO * size.min():
        raise ValueError(
            f"sizes {size.min():g} to {size.max():g} are too close: over less than a factor of "
            f"{LEAST_RATIO:g} growths look alike"
        )
    values, counts = np.unique(size, return_counts=True)
    if np.any(counts > 1):
        raise ValueError(
            f"every size must occur once, got {values[counts > 1][0]:g} {counts.max()} times; "
            "give several runs of a size as replicates"
        )
    return size


def read_heights(
    sizes: ArrayLike,
    heights: ArrayLike | None,
    errors: ArrayLike | None = None,
    *,
    covariance: ArrayLike | None = None,
    replicates: Sequence[ArrayLike] | None = None,
    runs: ArrayLike | None = None,
    labels: Sequence[Sequence[str]] | None = None,
    size_name: str = "L",
) -> Heights:
    """Read heights with their covariance, sorted by size.

    Parameters are those of :func:`heatcap.divergence_test`: either `errors` (size,) (from `runs`
    runs each), a `covariance` (size, size), or `replicates` by size with their `labels`.

    Raises
    ------
    ValueError
        If an argument is missing, not finite, of another length, or given twice.
    """
    size = checked_sizes(sizes)
    if sum(option is not None for option in (errors, covariance, replicates)) > 1:
        raise ValueError("give only one of errors, covariance and replicates")
    notes: tuple[str, ...] = ()
    if replicates is not None:
        mean, cov, notes = _means_of_replicates(size, replicates, labels, size_name)
        height = mean if heights is None else numbers(heights, "heights")
    elif heights is None:
        raise ValueError("heights are needed, or replicates of each size")
    else:
        height = numbers(heights, "heights")
    if height.shape != size.shape:
        raise ValueError(f"expected one height per size ({size.size}), got shape {height.shape}")
    if not np.all(np.isfinite(height)):
        raise ValueError(f"heights must be finite, got {height[~np.isfinite(height)][0]}")
    if not height.max() > 0 or -height.min() > height.max():
        raise ValueError(
            "heights must be positive, but for noise: margins are in units of the largest; got "
            f"{height.min():g} to {height.max():g}"
        )
    if replicates is None:
        cov = covariance_of(height, errors, covariance)
    if runs is not None:
        if errors is None:
            raise ValueError("runs are those behind the errors: give the errors, too")
        count = counts_of_runs(
            numbers(runs, "runs"), size.size, lambda k: f"{size_name} = {size[k]:g}"
        )
        cov, notes = _covariance_of_means(height, np.diag(cov) * count, count)
    order = np.argsort(size)
    has_errors = not (errors is None and covariance is None and replicates is None)
    weight = 1 / np.diag(cov)
    apart = np.abs(height - height @ weight / weight.sum()) / np.sqrt(np.diag(cov))
    if has_errors and apart.max() * SHARPEST > 1:
        raise ValueError(
            f"heights differ by {apart.max():.1g} errors: from {1 / SHARPEST:.0g} on rounding "
            "decides; give errors that are not smaller than what the heights are rounded to"
        )
    return Heights(size[order], height[order], cov[np.ix_(order, order)], has_errors, notes)


def informative(data: Heights, size_name: str) -> Heights:
    """Leave out heights whose error exceeds half of the largest informative height.

    They carry no information, but their sizes would count: a crossover may begin at any length up
    to the largest size.
    """
    precise = data.errors <= KNOWN * np.abs(data.heights)
    informative = data.errors <= KNOWN * np.abs(data.heights[precise]).max(initial=0.0)
    if informative.all() or informative.sum() < LEAST_SIZES:
        return data
    listed = ", ".join(f"{size:g}" for size in data.sizes[~informative])
    message = f"{size_name} = {listed}: left out, the error is more than half of the heights"
    part = data.take(informative)
    return replace(part, notes=(*part.notes, message))


def covariance_of(height: Floats, errors: ArrayLike | None, covariance: ArrayLike | None) -> Floats:
    """Build the covariance (size, size) of heights; without errors 1 % of the largest for all.

    Raises
    ------
    ValueError
        If a shape differs, an error is not positive, or a matrix is no covariance.
    """
    if covariance is not None:
        matrix = numbers(covariance, "covariance")
        if matrix.shape != (height.size, height.size):
            raise ValueError(
                f"expected a covariance of shape {(height.size, height.size)}, got {matrix.shape}"
            )
        if not np.all(np.isfinite(matrix)) or not np.all(np.diag(matrix) > 0):
            raise ValueError("the covariance must be finite, with variances above zero")
        scale = np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))
        if np.any(np.abs(matrix - matrix.T) > 1e-8 * scale):
            raise ValueError("the covariance must be symmetric")
        if np.linalg.eigvalsh(matrix / scale)[0] <= 0:
            raise ValueError("the covariance must be positive definite")
        return (matrix + matrix.T) / 2
    if errors is None:
        return np.diag(np.full(height.size, (0.01 * height.max()) ** 2))
    error = numbers(errors, "errors")
    if error.shape != height.shape:
        raise ValueError(f"expected one error per height ({height.size}), got {error.shape}")
    if not np.all(np.isfinite(error) & (error > 0)):
        wrong = error[~(np.isfinite(error) & (error > 0))][0]
        raise ValueError(f"errors must be positive and finite, got {wrong}")
    return np.diag(error**2)


def _means_of_replicates(
    size: Floats,
    replicates: Sequence[ArrayLike],
    labels: Sequence[Sequence[str]] | None,
    size_name: str,
) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Means (size,), their covariance (size, size), and notes on the errors and outliers."""
    runs = [numbers(heights, "replicates").ravel() for heights in replicates]
    if len(runs) != size.size:
        raise ValueError(f"expected replicates of each of {size.size} sizes, got {len(runs)}")
    if not all(np.all(np.isfinite(heights)) for heights in runs):
        raise ValueError("replicates must be finite; count runs without a peak in `missing`")
    if any(heights.size == 0 for heights in runs):
        raise ValueError("a size has no replicate: leave it out")
    count = np.array([heights.size for heights in runs], dtype=np.float64)
    if count.max() < 2:
        raise ValueError("one replicate per size has no spread: give errors")
    # Relative to the first replicate, so that equal ones have no spread from rounding.
    distance = [heights - heights[0] for heights in runs]
    mean = np.array(
        [heights[0] + deviation.mean() for heights, deviation in zip(runs, distance, strict=True)]
    )
    squares = np.array([np.sum((deviation - deviation.mean()) ** 2) for deviation in distance])
    covariance, notes = _covariance_of_means(mean, squares / np.maximum(count - 1, 1), count)
    return mean, covariance, (*notes, *_outlying_runs(size, runs, labels, size_name))


def _covariance_of_means(
    mean: Floats, variance: Floats, count: Floats
) -> tuple[Floats, tuple[str, ...]]:
    """Covariance of means over few runs, from the variance of single runs; and notes.

    See :func:`heatcap.core.student.errors_of_means`.
    """
    errors, wider = errors_of_means(mean, variance, count)
    if not np.all(errors > 0):
        raise ValueError("replicates of a size are all equal: give errors")
    if count.min() >= ENOUGH:
        return np.diag(errors**2), ()
    shared = "relative spreads" if np.all(mean > 0) else "spreads"
    message = (
        f"fewer than {ENOUGH} runs at some sizes: their {shared} steady one another, and errors "
        f"are wider by up to {wider.max():.3g} (Student)"
    )
    return np.diag(errors**2), (message,)


def _outlying_runs(
    size: Floats,
    runs: list[Floats],
    labels: Sequence[Sequence[str]] | None,
    size_name: str,
) -> tuple[str, ...]:
    """Messages on sizes whose mean one run dominates, far outside the scatter of the others."""
    from scipy.special import stdtr

    messages = []
    for k, values in enumerate(runs):
        if values.size < LEAST_OTHERS + 1:
            continue
        i = int(np.argmax(np.abs(values - np.median(values))))
        others = np.delete(values, i)
        spread = others.std(ddof=1) * np.sqrt(1 + 1 / others.size)
        off = np.abs(values[i] - others.mean())
        chance = 2 * stdtr(others.size - 1, -off / spread) if spread > 0 else float(off == 0)
        if chance * values.size * len(runs) >= CARRIED:
            continue
        called = f" ({labels[k][i]})" if labels is not None else ""
        messages.append(
            f"{size_name} = {size[k]:g}: one of {values.size} runs{called} has {values[i]:g} and "
            f"carries the mean, {values.mean():.3g}; the others have {others.mean():.3g}"
        )
    if len(messages) >= max(LEAST_HEAVY, len(runs) / 2):
        what = f"single runs carry the means of {len(messages)} of {len(runs)} sizes: such a mean "
        what += "grows with the number of runs and may not exist; test medians or logarithms, "
        return (f"{what}with errors of their own; for example {messages[-1]}",)
    return tuple(messages)


@dataclass(frozen=True)
class Ceiling:
    """Classes that a bound excludes, and messages about it."""

    excluded: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()


def ceiling(
    data: Heights, bound: Bound | None, margins: Margins, size_name: str, order: Floats
) -> Ceiling:
    """Compare heights with their bound; an array has the order of the sizes as given (`order`).

    Raises
    ------
    ValueError
        If the bound has another length, or is not positive and finite.
    """
    if bound is None:
        return Ceiling()
    if callable(bound):
        values = np.array([float(bound(float(size))) for size in data.sizes])
        excluded, message = _asymptotic_growth(bound, margins.kappa_min)
    else:
        array = np.asarray(bound, dtype=np.float64)
        if array.shape not in ((), (1,), order.shape):
            raise ValueError(f"expected one bound per size ({order.size}), got shape {array.shape}")
        values = np.broadcast_to(array, order.shape)[np.argsort(order)]
        values = values[np.isin(np.sort(order), data.sizes)]
        excluded, message = (), "its growth is not known: give it as a function of the size"
        if np.ptp(values) == 0:
            excluded = ("logarithmic", "power-law")
            message = "it is the same at every size, so no height can grow without limit"
    if not np.all(np.isfinite(values) & (values > 0)):
        wrong = values[~(np.isfinite(values) & (values > 0))][0]
        raise ValueError(f"a bound must be positive and finite, got {wrong}")
    largest_seen = margins.saturation_ratio * data.heights.max()
    if "logarithmic" in excluded and values[-1] > largest_seen:
        excluded = ("power-law",)
        message += f"; but a limit up to {values[-1]:.3g} is beyond what counts as seen"
    messages = [f"bound: {message}"]
    above = data.heights > values + 3 * data.errors
    if above.any():
        where = _list_sizes(data.sizes[above], size_name)
        return Ceiling((), (f"bound: heights at {where} lie above it; it was not used",))
    at = data.heights > AT_BOUND * values
    if at.any():
        where = _list_sizes(data.sizes[at], size_name)
        messages.append(f"heights at {where} are at their bound: that is no finding")
    return Ceiling(excluded, tuple(messages))


def _asymptotic_growth(
    bound: Callable[[float], Any], kappa_min: float
) -> tuple[tuple[str, ...], str]:
    values = [float(bound(size)) for size in FAR_SIZES]
    before, growth = (
        math.log(values[i + 1] / values[i]) / math.log(FAR_SIZES[i + 1] / FAR_SIZES[i])
        for i in (0, 1)
    )
    if abs(growth) < 1e-12:
        return ("logarithmic", "power-law"), "it does not grow with the size, so no height can"
    if growth < FALLS * before:
        return ("power-law",), "it grows slower than any power of the size: no power law"
    if growth < kappa_min:
        return ("power-law",), f"it grows slower than the power {kappa_min:g}: no power law"
    return (), f"it grows like a power {growth:.2g} of the size and excludes nothing"


def _list_sizes(sizes: Floats, size_name: str) -> str:
    return f"{size_name} = " + ", ".join(f"{size:g}" for size in sizes)


def hump_at(data: Heights) -> float:
    """Locate a maximum of heights that rise before it and fall after it; else NaN.

    Parameters
    ----------
    data : Heights
        Heights (size,) and their covariance (size, size), by increasing size.

    Returns
    -------
    float
        One of the sizes, neither the first nor the last: the maximum lies between its neighbours.
    """
    weight = 1 / np.diag(data.covariance)
    left, top = _best_turn(data.heights, weight)
    gains_seen = np.array([_chi2(data.heights, weight, rising) for rising in (True, False)]) - left
    if not 0 < top < len(data.sizes) - 1 or gains_seen.min() < LEAST_TURN:
        return float("nan")
    noise = np.random.default_rng(0).multivariate_normal(
        np.zeros(len(weight)), data.covariance, size=NOISES, method="cholesky"
    )
    lefts = np.array([_best_turn(draw, weight)[0] for draw in noise])
    for rising, gain in zip((True, False), gains_seen, strict=True):
        gains = np.array([_chi2(draw, weight, rising) for draw in noise]) - lefts
        if _share_above(gains, gain) > CHANCE:
            return float("nan")
    return float(data.sizes[top]) if _share_above(lefts, left) > CHANCE else float("nan")


def _share_above(drawn: Floats, observed: float) -> float:
    """Share of draws (draw,) at least as large as the observed value."""
    return float((1 + np.sum(drawn >= observed)) / (1 + len(drawn)))


def _best_turn(y: Floats, weight: Floats) -> tuple[float, int]:
    """chi^2 of heights (size,) about the best curve with one turn, and the index of its maximum."""
    fits = [
        np.concatenate([_monotone(y[:i], weight[:i], True), _monotone(y[i:], weight[i:], False)])
        for i in range(1, len(y))
    ]
    left = [float(np.sum(weight * (y - fit) ** 2)) for fit in fits]
    best = fits[int(np.argmin(left))]
    highest = np.flatnonzero(best == best.max())
    return min(left), int(highest[np.argmax(y[highest])])


def _chi2(y: Floats, weight: Floats, rising: bool) -> float:
    """chi^2 of heights (size,) about the best curve that never falls, or never rises."""
    return float(np.sum(weight * (y - _monotone(y, weight, rising)) ** 2))


def _monotone(y: Floats, weight: Floats, rising: bool) -> Floats:
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(y, weights=weight, increasing=rising).x)
