"""Whether heights have a maximum inside the sizes and fall after it, beyond what noise makes.

Rule: heights have a hump where a curve with one turn fits them, and better than any monotone one,
rising or falling, does by noise.  The statistic is

    D = chi^2 of the best monotone curve - chi^2 of the best curve that turns once,

with the diagonal of the covariance.  Its distribution is drawn with the whole covariance from a
constant, the monotone curve that noise turns over most easily: heights that saturate are called a
hump at most as often as `CHANCE`, about.  Heights that go down and up again, as one wild height
does, leave more of chi^2 to the best turn than noise, and are no hump.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import isotonic_regression

from heatcap.core.arrays import Floats
from heatcap.divergence.heights import Heights

__all__ = ["CHANCE", "hump_at"]

CHANCE = 0.05  # of a hump where heights saturate
DRAWS = 200  # of noise
LEAST = 2.7  # in chi^2, of one difference at 5 %, one-sided: less is noise without drawing any


def hump_at(data: Heights) -> float:
    """Size with the largest height, if heights rise up to it and fall after it; else NaN.

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
    left, top = _turn(data.heights, weight)
    seen = np.array([_chi2(data.heights, weight, rising) for rising in (True, False)]) - left
    if not 0 < top < len(data.sizes) - 1 or seen.min() < LEAST:
        return float("nan")
    noise = np.random.default_rng(0).multivariate_normal(
        np.zeros(len(weight)), data.covariance, size=DRAWS, method="cholesky"
    )
    lefts = np.array([_turn(each, weight)[0] for each in noise])
    for rising, gain in zip((True, False), seen, strict=True):
        gains = np.array([_chi2(each, weight, rising) for each in noise]) - lefts
        if _share(gains, gain) > CHANCE:
            return float("nan")
    return float(data.sizes[top]) if _share(lefts, left) > CHANCE else float("nan")


def _share(drawn: Floats, seen: float) -> float:
    """Of draws (draw,) at least as large as what was seen."""
    return float((1 + np.sum(drawn >= seen)) / (1 + len(drawn)))


def _turn(y: Floats, weight: Floats) -> tuple[float, int]:
    """chi^2 of heights (size,) about the best curve with one turn, and where it is highest."""
    fits = [
        np.concatenate([_monotone(y[:i], weight[:i], True), _monotone(y[i:], weight[i:], False)])
        for i in range(1, len(y))
    ]
    left = [float(np.sum(weight * (y - fit) ** 2)) for fit in fits]
    best = fits[int(np.argmin(left))]
    highest = np.flatnonzero(best == best.max())
    return min(left), int(highest[np.argmax(y[highest])])


def _chi2(y: Floats, weight: Floats, rising: bool) -> float:
    """Of heights (size,) about the best curve that never falls, or never rises."""
    return float(np.sum(weight * (y - _monotone(y, weight, rising)) ** 2))


def _monotone(y: Floats, weight: Floats, rising: bool) -> Floats:
    return np.asarray(isotonic_regression(y, weights=weight, increasing=rising).x)
