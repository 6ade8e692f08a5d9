"""Whether heights have a maximum inside the sizes and fall after it, beyond what noise makes.

Rule: heights have a hump where a curve with one turn describes them better than any monotone one,
rising or falling, by more than noise does.  The statistic is

    D = chi^2 of the best monotone curve - the lowest of a curve that turns once,

with the diagonal of the covariance.  Its distribution is drawn with the whole covariance from a
constant, the monotone curve that noise turns over most easily: heights that saturate are called a
hump at most as often as `CHANCE`, about.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import isotonic_regression

from heatcap._vector import Floats
from heatcap.divergence.heights import Heights

__all__ = ["CHANCE", "hump_at"]

CHANCE = 0.05  # of a hump where heights saturate
DRAWS = 200  # of noise
LEAST = 2.7  # in chi^2, of one difference at 5 %, one-sided: less is noise without drawing any


def hump_at(data: Heights) -> float:
    """Size with the largest height, if heights rise up to it and fall after it; else NaN.

    Notes
    -----
    The size is one of those measured: the maximum lies between its neighbours.
    """
    top = int(np.argmax(data.heights))
    if not 0 < top < len(data.sizes) - 1:
        return float("nan")
    weight = 1 / np.diag(data.covariance)
    seen = {rising: _gain(data.heights, weight, rising) for rising in (True, False)}
    if min(seen.values()) < LEAST:
        return float("nan")
    noise = np.random.default_rng(0).multivariate_normal(
        np.zeros(len(weight)), data.covariance, size=DRAWS, method="cholesky"
    )
    for rising, gain in seen.items():
        drawn = np.array([_gain(each, weight, rising) for each in noise])
        if (1 + np.sum(drawn >= gain)) / (1 + DRAWS) > CHANCE:
            return float("nan")
    return float(data.sizes[top])


def _gain(y: Floats, weight: Floats, rising: bool) -> float:
    """What a turn gains in chi^2 over the best curve that never falls, or never rises."""
    turns = range(1, len(y))
    turned = min(_chi2(y[:i], weight[:i], True) + _chi2(y[i:], weight[i:], False) for i in turns)
    return _chi2(y, weight, rising) - turned


def _chi2(y: Floats, weight: Floats, rising: bool) -> float:
    fit = isotonic_regression(y, weights=weight, increasing=rising).x
    return float(np.sum(weight * (y - fit) ** 2))
