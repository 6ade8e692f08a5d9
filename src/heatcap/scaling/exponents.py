"""Exponents that follow from those of a collapse, with the covariance of its parameters.

    nu = 1 / (1/nu)
    A an order parameter      A ~ L^(-beta/nu)     beta  = -exponent nu
    A a susceptibility        A ~ L^(gamma/nu)     gamma =  exponent nu,  eta = 2 - exponent
    A a heat capacity         A ~ L^(alpha/nu)     alpha =  exponent nu

Which of them A is, its exponent does not tell: one that falls has a beta, one that grows the
others.  Errors are propagated linearly with the covariance.  Without units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter
from heatcap.scaling.collapse_fits import Fit
from heatcap.scaling.fits import weights_of

__all__ = ["correlation_between", "derived", "propagated"]

KNOWN = 2.0  # errors of an exponent that has a sign


def correlation_between(fits: Sequence[Fit], names: Sequence[str], wanted: Sequence[str]) -> Floats:
    """Correlation (wanted, wanted) of parameters: within fits and between them.

    0 beside a parameter that is fixed, or that the data do not determine.
    """
    places = [list(names).index(name) for name in wanted]
    weights = weights_of(fits)
    values = np.array([fit.solution.theta[places] for fit in fits])
    off = values - weights @ values
    total = np.einsum("f,fi,fj->ij", weights, off, off)
    for weight, fit in zip(weights, fits, strict=True):
        free = fit.problem.free(fit.solution.model).tolist()
        inside = [k for k, place in enumerate(places) if place in free]
        rows = [free.index(places[k]) for k in inside]
        part = fit.covariance[np.ix_(rows, rows)]
        total[np.ix_(inside, inside)] += weight * np.where(np.isfinite(part), part, 0.0)
    scale = np.sqrt(np.diag(total))
    scale = np.where(scale > 0, scale, np.inf)
    out = total / np.outer(scale, scale)
    np.fill_diagonal(out, 1.0)
    return np.asarray(out)


def propagated(value: float, slopes: Floats, parts: Sequence[Parameter], rho: Floats) -> Parameter:
    """A function of parameters (parameter,) of which the slopes are known.

    `rho` is of the total errors: kinds of error share the total as they would with it alone.
    """
    used = np.flatnonzero(slopes).tolist()  # others may have infinite errors
    between = rho[np.ix_(used, used)]

    def error(kind: str) -> float:
        changes = slopes[used] * [getattr(parts[k], kind) for k in used]
        return float(np.sqrt(np.maximum(changes @ between @ changes, 0.0)))

    kinds = np.array([error("statistical"), error("systematic")])
    if 0 < (apart := float(np.hypot(*kinds))) < np.inf:
        kinds *= error("error") / apart
    return Parameter(value, *kinds.tolist())


def derived(parameters: Mapping[str, Parameter], rho: Floats) -> dict[str, Parameter]:
    """Compute nu, and beta, or gamma, eta and alpha, of each exponent; names as of the exponents.

    `rho` (parameter, parameter) is the correlation of the parameters in their order.
    """
    names = list(parameters)
    if "inverse_nu" not in names or not parameters["inverse_nu"].value > 0:
        return {}
    parts = list(parameters.values())
    inverse, at = parameters["inverse_nu"].value, names.index("inverse_nu")
    unit = np.eye(len(names))
    out = {"nu": propagated(1 / inverse, -unit[at] / inverse**2, parts, rho)}
    for k, name in enumerate(names):
        if not name.startswith("exponent"):
            continue
        e, error, end = parts[k].value, parts[k].error, name.removeprefix("exponent")
        slopes = unit[k] / inverse - e * unit[at] / inverse**2
        if e < -KNOWN * error:
            out[f"beta{end}"] = propagated(-e / inverse, -slopes, parts, rho)
        elif e > KNOWN * error and e > 0:
            out[f"gamma{end}"] = propagated(e / inverse, slopes, parts, rho)
            out[f"eta{end}"] = propagated(2 - e, -unit[k], parts, rho)
            out[f"alpha{end}"] = out[f"gamma{end}"]
    return out
