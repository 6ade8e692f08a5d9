"""Peak heights against size, checked: what a verdict is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from heatcap._vector import Floats

__all__ = ["LEAST_SIZES", "Heights", "checked_sizes", "covariance_of", "read_heights"]

LEAST_SIZES = 4
FEW = 8  # replicates below which the spread at one size is no error by itself


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
        What was done to get the errors.
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
        """The same with errors multiplied by a factor."""
        return Heights(
            self.sizes, self.heights, self.covariance * factor**2, self.known, self.notes
        )

    def take(self, rows: slice) -> Heights:
        """Some of the sizes."""
        return Heights(
            self.sizes[rows],
            self.heights[rows],
            self.covariance[rows, rows],
            self.known,
            self.notes,
        )


def checked_sizes(sizes: ArrayLike) -> Floats:
    """Sizes as floats, in their order.

    Raises
    ------
    ValueError
        If there are fewer than four, one is not above 1 or not finite, or one occurs twice.
    """
    size = np.asarray(sizes, dtype=np.float64)
    if size.ndim != 1:
        raise ValueError(f"expected sizes along one dimension, got shape {size.shape}")
    if size.size < LEAST_SIZES:
        raise ValueError(f"expected at least {LEAST_SIZES} sizes, got {size.size}")
    good = np.isfinite(size) & (size > 1)
    if not good.all():
        raise ValueError(f"sizes must be finite and above 1, got {size[~good][:3].tolist()}")
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
) -> Heights:
    """Heights with their covariance, sorted by size.

    Raises
    ------
    ValueError
        For what is missing, not finite, of another length, or given twice.
    """
    size = checked_sizes(sizes)
    if sum(each is not None for each in (errors, covariance, replicates)) > 1:
        raise ValueError("give only one of errors, covariance and replicates")
    notes: tuple[str, ...] = ()
    if replicates is not None:
        mean, cov, notes = _of_replicates(size, replicates)
        height = mean if heights is None else np.asarray(heights, dtype=np.float64)
    elif heights is None:
        raise ValueError("heights are needed, or replicates of each size")
    else:
        height = np.asarray(heights, dtype=np.float64)
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
    order = np.argsort(size)
    known = not (errors is None and covariance is None and replicates is None)
    return Heights(size[order], height[order], cov[np.ix_(order, order)], known, notes)


def covariance_of(height: Floats, errors: ArrayLike | None, covariance: ArrayLike | None) -> Floats:
    """Covariance of heights; equal errors of 1 % of the largest where nothing is known.

    Raises
    ------
    ValueError
        For another shape, errors that are not positive, a matrix that is no covariance.
    """
    if covariance is not None:
        matrix = np.asarray(covariance, dtype=np.float64)
        if matrix.shape != (height.size, height.size):
            raise ValueError(
                f"expected a covariance of shape {(height.size, height.size)}, got {matrix.shape}"
            )
        if not np.allclose(matrix, matrix.T, rtol=1e-8, atol=0.0):
            raise ValueError("the covariance must be symmetric")
        if not np.all(np.isfinite(matrix)) or np.linalg.eigvalsh(matrix)[0] <= 0:
            raise ValueError("the covariance must be finite and positive definite")
        return matrix
    if errors is None:
        return np.diag(np.full(height.size, (0.01 * height.max()) ** 2))
    error = np.asarray(errors, dtype=np.float64)
    if error.shape != height.shape:
        raise ValueError(f"expected one error per height ({height.size}), got {error.shape}")
    if not np.all(np.isfinite(error) & (error > 0)):
        wrong = error[~(np.isfinite(error) & (error > 0))][0]
        raise ValueError(f"errors must be positive and finite, got {wrong}")
    return np.diag(error**2)


def _of_replicates(
    size: Floats, replicates: Sequence[ArrayLike]
) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Means with their errors; few replicates share one relative spread."""
    runs = [np.asarray(each, dtype=np.float64).ravel() for each in replicates]
    if len(runs) != size.size:
        raise ValueError(f"expected replicates of each of {size.size} sizes, got {len(runs)}")
    if not all(np.all(np.isfinite(each)) for each in runs):
        raise ValueError("replicates must be finite; count runs without a peak in `missing`")
    if any(each.size == 0 for each in runs):
        raise ValueError("a size has no replicate: leave it out")
    count = np.array([each.size for each in runs])
    if count.max() < 2:
        raise ValueError("one replicate per size has no spread: give errors")
    # From the first of them: equal replicates have no spread, not one of rounding.
    off = [each - each[0] for each in runs]
    mean = np.array([each[0] + own.mean() for each, own in zip(runs, off, strict=True)])
    squares = np.array([np.sum((own - own.mean()) ** 2) for own in off])
    if count.min() < FEW and np.all(mean > 0):
        free = int(np.sum(count - 1))
        relative = np.sqrt(np.sum(squares / mean**2) / free)
        # The spread is itself uncertain: the interval of Student's t is wider than that of a
        # Gaussian by this factor.
        wider = float(stdtrit(free, 0.975) / ndtri(0.975))
        spread = wider * relative * mean
        notes: tuple[str, ...] = (
            f"fewer than {FEW} replicates at some sizes: all share one relative spread of "
            f"{relative:.2g}; errors are wider by {wider:.3g} for it",
        )
    else:
        wider = stdtrit(np.maximum(count - 1, 1), 0.975) / ndtri(0.975)
        spread, notes = wider * np.sqrt(squares / np.maximum(count - 1, 1)), ()
    if not np.all(spread > 0):
        raise ValueError("replicates of a size are all equal: give errors")
    return mean, np.diag(spread**2 / count), notes
