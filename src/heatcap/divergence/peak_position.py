"""Where a peak along the control lies, with what its form leaves open.

Of a power law, a logarithm or a step it is the point x_c of the form; of a rounded peak, which has
no such point, it is where the curve itself is largest.  Within a family its mean and deviation are
those of exp(-chi^2 / 2) over the parameters of the form; between families it is systematic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from heatcap.core.arrays import Floats, Ints
from heatcap.core.result import Parameter
from heatcap.divergence.kernel import every, normal
from heatcap.divergence.margins import CLASSES, FLAT
from heatcap.divergence.peak_fit import PeakFits
from heatcap.divergence.peak_shapes import Family, stacked

__all__ = ["about", "position"]

NEAR = 4.0  # in chi^2: families whose position differs as much as the data allow
COUNT = 7  # parameters of a peak, for chi^2 by degree of freedom: errors grow with a poor one
DRAWS, ROUNDS = 300, 4  # parameters drawn about those of a family, each time from where they were
TAILS = 5  # degrees of freedom of what they are drawn from
NARROWEST = 1e-3  # of the range of a parameter
POINTS = ("cut-off", "step")  # names of forms with an x_c begin so
LIGHT = 1e-4  # weight against the heaviest that is none
GRID = 201  # where the largest value is looked for: in the window, then about those found


def position(fits: PeakFits, plausible: Sequence[str]) -> Parameter:
    """x_c in units of the control; NaN where the values may be flat, or are drift."""
    kinds = [CLASSES.index(name) for name in plausible]
    own = fits.problem
    rows = np.flatnonzero(np.isin(own.kind, kinds))
    found = []
    if len(rows) and FLAT not in kinds:
        lowest = fits.chi2[rows].min()
        poor = max(lowest / (len(own.error) - COUNT), 1.0)
        near = rows[fits.chi2[rows] <= lowest + NEAR * poor]
        for name in dict.fromkeys(own.rows[i][0].name for i in near.tolist()):
            members = rows[[own.rows[i][0].name == name for i in rows.tolist()]]
            if members[0] >= len(own.flat):
                above = (fits.chi2[members].min() - lowest) / poor
                mean, deviation = _of_family(fits, members)
                found.append((above, mean, deviation * np.sqrt(poor)))
    if not found:
        return Parameter(*[float("nan")] * 3)
    above, mean, deviation = np.array(found).T
    weight = np.exp(-above / 2) / np.exp(-above / 2).sum()
    value = weight @ mean
    return Parameter(
        float(value),
        statistical=float(np.sqrt(weight @ deviation**2)),
        systematic=float(np.abs(mean - value).max()),
    )


def _of_family(fits: PeakFits, rows: Ints) -> tuple[float, float]:
    """Mean and deviation of the position."""
    family = fits.problem.rows[rows[0]][0]
    theta, log, curves = about(fits, rows)
    weight = np.exp(log - log.max())
    place = theta[:, 0] if family.name.startswith(POINTS) else _largest(curves, weight)
    place = fits.problem.curve.at(place)
    mean = weight @ place / weight.sum()
    return float(mean), float(np.sqrt(weight @ (place - mean) ** 2 / weight.sum()))


def about(fits: PeakFits, rows: Ints) -> tuple[Floats, Floats, Callable[[Floats], Floats]]:
    """Parameters drawn about the shapes of a family, ln of their weights, and their curves.

    Importance sampling of exp(-chi^2 / 2), each round from where the last one was heavy.
    """
    own = fits.problem
    family = own.rows[rows[0]][0]
    low, high = np.array([[axis[0], axis[-1]] for axis in family.axes.values()]).T
    theta = np.array([own.rows[i][1] for i in rows.tolist()])
    weight = np.exp(-(fits.chi2[rows] - fits.chi2[rows].min()) / 4)
    rng = np.random.default_rng(0)  # nodes of an integral: the same for the same data
    for _ in range(ROUNDS):
        centre = weight @ theta / weight.sum()
        rest = theta - centre
        spread = (weight * rest.T) @ rest / weight.sum()
        spread += np.diag((NARROWEST * (high - low)) ** 2)
        law = stats.multivariate_t(centre, spread, df=TAILS, seed=rng)
        theta = np.atleast_2d(law.rvs(DRAWS))
        theta = theta[np.all((theta >= low) & (theta <= high), axis=1)]
        chi2, curves = _fitted(fits, family, theta)
        log = -chi2 / 2 - law.logpdf(theta)
        weight = np.exp(log - log.max())
    return theta, log, curves


def _fitted(
    fits: PeakFits, family: Family, theta: Floats
) -> tuple[Floats, Callable[[Floats], Floats]]:
    """chi^2 of a family with other parameters, and its curves (shape, point) at any points."""
    own, y = fits.problem, fits.problem.curve.values
    shapes = stacked(own.curve.x, [(family, theta)], own.margins.skew)
    chi2, *linear = every(shapes, normal(shapes, own.sloped), y, own.sloped, float(y.max()))
    a, s, b = (each[:, np.newaxis] for each in linear)
    c = (y - s - a * (shapes.g + b * shapes.e)) @ own.tilt

    def curves(x: Floats) -> Floats:
        g, e = family.form(x, theta)
        form = (g + b * e) / shapes.span[:, np.newaxis]
        return np.asarray(s + a * form + np.outer(c, x - own.curve.centre))

    return np.where(shapes.seen, chi2, np.inf), curves


def _largest(curves: Callable[[Floats], Floats], weight: Floats) -> Floats:
    """Where each curve is largest."""
    x = np.linspace(0.0, 1.0, GRID)
    found = x[curves(x).argmax(axis=1)]
    near = found[weight > LIGHT]
    x = np.linspace(max(near.min() - x[1], 0.0), min(near.max() + x[1], 1.0), GRID)
    return np.asarray(x[curves(x).argmax(axis=1)])
