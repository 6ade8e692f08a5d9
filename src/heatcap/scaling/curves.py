"""Smooth curves through the points of each size, and draws from their posterior.

Curves of finite systems are analytic, as are those of a Gaussian process with the kernel

    k(t, t') = A / (1 + (t - t')^2 / l^2) + B (1 + t t')

(its poles lie off the real axis, as those of the curves do).  Its error includes the uncertainty
between the points, where a spline with few knots deviates by more than its error (measured at
peaks: by 1 to 11 errors).  t is the control, scaled to [-1, 1]; values are in units of the spread
of the points.  `crossings` and `extrema` locate their points on these curves.

C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning (2006), chapters 2
and 5 (what was checked: docs/references.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from heatcap.core.arrays import Floats
from heatcap.core.student import chi2_tail
from heatcap.scaling.condense import condensed
from heatcap.scaling.data import Points

__all__ = ["Curve", "curves", "drawing", "lone_points", "missed"]


FEWEST = 5  # points of a size
LENGTHS, LONGEST = 12, 4.0  # values of l, from the spacing of the points to twice their range
AMPLITUDES = np.geomspace(0.1, 1e4, 8)  # values of A, in squares of the spread of the points
SHARPER = 0.7  # of the most likely l: see below
TREND = 100.0  # B, likewise
LEAST = 1e-5  # least error, in units of the spread, for which matrices can be inverted
NEGLIGIBLE = 0.03  # weight of a kernel, relative to the largest
WAVES = 48  # number of waves whose sum is a prior curve
_SHARE = (np.arange(WAVES) + 0.5) / WAVES
# Quantiles of Laplace's distribution, the kernel's spectrum.
WAVE_NUMBERS = np.where(_SHARE > 0.5, -np.log(2 * (1 - _SHARE)), np.log(2 * _SHARE))
GRID = 201
POOR = 1e-4  # p-value of chi^2 from which on a curve misses its points
SHOWN = 301  # points of a curve that is drawn
RESCALED, CLOSE = 6, 0.05  # passes of scaling estimated errors, and ln of a factor that is one
LEAST_FREE = 2.0  # degrees of freedom of all sizes from which on errors are scaled
SUSPECTS = 3  # points farthest from the curve of the others, each of which is tried
ALONE = 5.0  # gain in log evidence from which on a point stands alone; noise gains 2 to 3
MOST_TRIED = 200  # points of a size up to which they are: the cost is that of a few more curves


@dataclass(frozen=True, eq=False)
class Curve:
    """The curve of one size, on a `grid`: its mean and draws (draw, grid)."""

    size: float
    grid: Floats
    mean: Floats
    draws: Floats
    chi2: float
    dof: float
    alone: str = ""  # the one point that the others contradict, in words

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest control of the data."""
        return float(self.grid[0]), float(self.grid[-1])

    def __call__(self, x: Floats) -> Floats:
        """The curve at x."""
        return np.asarray(CubicSpline(self.grid, self.mean)(x))

    def drawn(self, x: Floats) -> Floats:
        """All draws at x: (draw, x)."""
        return np.asarray(CubicSpline(self.grid, self.draws, axis=1)(x))


def curves(points: Points, *, draws: int, rng: np.random.Generator) -> list[Curve]:
    """Fit a curve to every size, averaged over A and l by marginal likelihood.

    A draw is a curve of the posterior: a prior curve f plus the regression of y + noise - f at the
    points (Matheron's rule).  The noise is that of the errors or of the covariance; replicates are
    bootstrapped instead, jointly for all sizes, which keeps correlations between sizes.

    Raises
    ------
    ValueError
        If a size has fewer than 5 points, or for fewer than 50 draws.
    """
    if draws < 50:
        raise ValueError(f"draws must be at least 50 for an error, got {draws}")
    picked = None
    if points.replicates is not None:
        n = points.replicates.shape[0]
        picked = rng.integers(n, size=(draws, n - 1))
    points = condensed(points)
    if points.estimated:
        points = _with_scaled_errors(points)
    return [_curve(points, float(s), draws, picked, rng) for s in np.unique(points.size)]


def _with_scaled_errors(points: Points) -> Points:
    """Points whose estimated errors give the curves of all sizes the chi^2 that is expected."""
    for _ in range(RESCALED):
        chi2, free = 0.0, 0.0
        for size in np.unique(points.size):
            t, y, noise, _ = _scaled(points.take(points.size == size), float(size))
            for length, a, w in zip(*_kernels(t, y, noise), strict=True):
                solved = np.linalg.solve(_kernel(t, t, length, a) + noise, noise)
                # The residual is solved^T y, and noise^-1 that of it K^-1 y.
                off = solved.T @ y
                chi2 += w * float(off**2 @ (1 / np.diag(noise)))
                free += w * float(np.trace(solved))
        factor = float(np.sqrt(max(chi2, 1e-6) / free)) if free > LEAST_FREE else 1.0
        points = points.scaled(factor)
        if abs(np.log(factor)) < CLOSE:
            break
    return points


def missed(lines: Sequence[Curve]) -> str:
    """List the sizes whose curve misses its points, as a message."""
    bad = [
        f"{line.size:g} (chi2/dof = {line.chi2:.3g}/{line.dof:.2g})"
        for line in lines
        if line.dof > 1 and chi2_tail(line.chi2, line.dof) < POOR
    ]
    return f"curves miss their points, errors are too small: sizes {', '.join(bad)}" if bad else ""


def lone_points(lines: Sequence[Curve]) -> str:
    """Name the points that the others of their size contradict, as a message."""
    return "; ".join(filter(None, (line.alone for line in lines)))


def drawing(line: Curve) -> dict[str, Any]:
    """Sample a curve for a figure: `size`, grid `x`, `y` and its standard deviation `band`."""
    x = np.linspace(*line.range, SHOWN)
    return {"size": line.size, "x": x, "y": line(x), "band": line.drawn(x).std(axis=0)}


def _curve(
    points: Points,
    size: float,
    draws: int,
    picked: NDArray[np.int64] | None,
    rng: np.random.Generator,
) -> Curve:
    part = points.take(np.flatnonzero(points.size == size))
    t, y, noise, (low, high, middle, spread) = _scaled(part, size)
    n = len(part)
    lengths, amplitudes, weight = _kernels(t, y, noise)
    drawn_y = (_values(part, draws, picked, rng) - middle) / spread
    choice = rng.choice(weight.size, size=draws, p=weight)
    grid = np.linspace(-1, 1, max(GRID, 8 * n))
    mean, at_points, free = np.zeros(grid.size), np.zeros(n), 0.0
    drawn = np.empty((draws, grid.size))
    for k, (length, a, w) in enumerate(zip(lengths, amplitudes, weight, strict=True)):
        inverse = np.linalg.inv(_kernel(t, t, length, a) + noise)
        to_grid = _kernel(grid, t, length, a) @ inverse
        mean += w * (to_grid @ y)
        at_points += w * (y - noise @ (inverse @ y))
        free += w * float(np.trace(noise @ inverse))
        chosen = np.flatnonzero(choice == k)
        prior, prior_points = _prior(grid, t, length, a, chosen.size, rng)
        drawn[chosen] = prior + (drawn_y[chosen] - prior_points) @ to_grid.T
    off = y - at_points
    chi2 = float(off @ np.linalg.solve(noise, off))
    x = low + (grid + 1) / 2 * (high - low)
    alone = ""
    if (found := _alone(t, y, noise)) is not None:
        row, rest = found
        alone = (
            f"one point stands alone: {part.name} at {part.place(row)} is {part.value[row]:.3g}, "
            f"the others of its size have {middle + spread * rest:.3g} there (leave it out, or "
            "measure more closely)"
        )
    return Curve(size, x, middle + spread * mean, middle + spread * drawn, chi2, free, alone)


def _alone(t: Floats, y: Floats, noise: Floats) -> tuple[int, float] | None:
    """The one point that the curve of the others contradicts, and their value there.

    Its value is then more likely anywhere within the spread of the points, y = O(1), than on their
    curve: the evidence of the others alone exceeds that of all.
    """
    if not FEWEST < y.size <= MOST_TRIED:
        return None
    every = np.arange(y.size)
    length, a, evidence = _best_kernel(t, y, noise, every)
    inverse = np.linalg.inv(_kernel(t, t, length, a) + noise)
    off = np.abs(inverse @ y) / np.sqrt(np.diag(inverse))
    tried = [
        (*_best_kernel(t, y, noise, np.delete(every, i)), i)
        for i in np.argsort(-off)[:SUSPECTS].tolist()
    ]
    length, a, without, i = max(tried, key=lambda kernel: kernel[2])
    if without - evidence < ALONE:
        return None
    rest = np.delete(every, i)
    inverse = np.linalg.inv(_kernel(t[rest], t[rest], length, a) + noise[np.ix_(rest, rest)])
    return i, float((_kernel(t[i : i + 1], t[rest], length, a) @ inverse @ y[rest])[0])


def _best_kernel(
    t: Floats, y: Floats, noise: Floats, rows: NDArray[np.intp]
) -> tuple[float, float, float]:
    """l, A and log evidence of the most likely kernel of some points."""
    x, values, spread = t[rows], y[rows], noise[np.ix_(rows, rows)]
    return max(
        (
            (float(length), float(a), _likelihood(_kernel(x, x, length, a) + spread, values))
            for length in _lengths(t)
            for a in AMPLITUDES
        ),
        key=lambda kernel: kernel[2],
    )


def _scaled(
    part: Points, size: float
) -> tuple[Floats, Floats, Floats, tuple[float, float, float, float]]:
    """t, y and the covariance of y of one size; ends of its control, middle and spread of A."""
    if len(part) < FEWEST:
        raise ValueError(f"size {size:g} has {len(part)} points, at least {FEWEST} are needed")
    low, high = float(part.control[0]), float(part.control[-1])
    t = 2 * (part.control - low) / (high - low) - 1
    middle = float(np.mean(part.value))
    spread = float(np.std(part.value)) or float(part.error.max())
    return t, (part.value - middle) / spread, _noise(part) / spread**2, (low, high, middle, spread)


def _noise(part: Points) -> Floats:
    """Covariance of the points; from replicates, which are few, its diagonal only."""
    least = (LEAST * float(np.std(part.value))) ** 2
    if part.covariance is not None:
        return np.asarray(part.covariance + least * np.eye(len(part)))
    return np.diag(part.error**2 + least)


def _values(
    part: Points, draws: int, picked: NDArray[np.int64] | None, rng: np.random.Generator
) -> Floats:
    """Values with fresh noise: (draw, point)."""
    if picked is not None and part.replicates is not None:
        return np.asarray(part.replicates[picked].mean(axis=1))
    if part.covariance is not None:
        return rng.multivariate_normal(part.value, part.covariance, size=draws)
    return np.asarray(part.value + part.error * rng.standard_normal((draws, len(part))))


def _kernel(s: Floats, t: Floats, length: float, amplitude: float) -> Floats:
    apart = s[:, None] - t
    smooth = amplitude / (1 + (apart / length) ** 2)
    return np.asarray(smooth + TREND * (1 + np.outer(s, t)))


def _lengths(t: Floats) -> Floats:
    return np.geomspace(float(np.median(np.diff(t))), LONGEST, LENGTHS)


def _kernels(t: Floats, y: Floats, noise: Floats) -> tuple[Floats, Floats, Floats]:
    """l, A and weight of the kernels whose weight is not negligible."""
    grid = np.meshgrid(_lengths(t), AMPLITUDES, indexing="ij")
    length, amplitude = (values.ravel() for values in grid)
    likelihood = np.array(
        [
            _likelihood(_kernel(t, t, scale, a) + noise, y)
            for scale, a in zip(length, amplitude, strict=True)
        ]
    )
    weight = np.exp(likelihood - likelihood.max())
    heavy = weight > NEGLIGIBLE * weight.max()
    # The most likely l suits the whole curve and flattens a peak by one standard deviation at any
    # noise; 0.7 l flattens it by a tenth of one, and errors are larger by a sixth.
    return SHARPER * length[heavy], amplitude[heavy], weight[heavy] / weight[heavy].sum()


def _likelihood(covariance: Floats, y: Floats) -> float:
    """Logarithm of the Gaussian density of y, up to a constant."""
    root = np.linalg.cholesky(covariance)
    whitened = np.linalg.solve(root, y)
    return float(-0.5 * whitened @ whitened - np.log(np.diag(root)).sum())


def _prior(
    grid: Floats, t: Floats, length: float, amplitude: float, count: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Prior curves on the grid and at the points: waves with the kernel's spectrum, a trend."""
    frequency = WAVE_NUMBERS / length
    weight = rng.standard_normal((count, 2 * WAVES)) * np.sqrt(amplitude / WAVES)
    trend = rng.standard_normal((count, 2)) * np.sqrt(TREND)
    out = []
    for x in (grid, t):
        phase = np.outer(frequency, x)
        waves = np.concatenate([np.cos(phase), np.sin(phase)])
        out.append(weight @ waves + trend @ np.stack([np.ones_like(x), x]))
    return out[0], out[1]
