"""Theorems before fits: what a bound on the observable says about growth with the size.

The heat capacity of an attention row with n visible keys stays below (ln(n - 1))^2 / 4 + 1, and
more sharply below :func:`heatcap.heat_capacity_bound`: where n does not grow with the size, no
height can; where n is the size, growth like (ln n)^2 is possible and a power law is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from heatcap._vector import Floats
from heatcap.divergence.heights import Heights

__all__ = ["Bound", "Ceiling", "ceiling"]

Bound = ArrayLike | Callable[[float], Any]

NEAR = 0.95  # share of the bound from which on a height is at the bound
FAR = (1e30, 1e60)  # sizes between which the growth of a bound is read off


@dataclass(frozen=True)
class Ceiling:
    """What a bound says: classes that it excludes, and sentences."""

    excluded: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()


def ceiling(
    data: Heights, bound: Bound | None, kappa_min: float, size_name: str, order: Floats
) -> Ceiling:
    """Compare heights with their bound; an array has the order of the sizes as given (`order`)."""
    if bound is None:
        return Ceiling()
    if callable(bound):
        values = np.array([float(bound(float(size))) for size in data.sizes])
        excluded, said = _asymptotics(bound, kappa_min)
    else:
        values = np.broadcast_to(np.asarray(bound, dtype=np.float64), order.shape)[
            np.argsort(order)
        ]
        excluded, said = (), "its growth is not known: give it as a function of the size"
        if np.ptp(values) == 0:
            excluded = ("logarithmic", "power-law")
            said = "it is the same at every size, so that no height can grow without limit"
    if not np.all(np.isfinite(values) & (values > 0)):
        raise ValueError(f"a bound must be positive and finite, got {values.min()}")
    messages = [f"bound: {said}"]
    above = data.heights > values + 3 * data.errors
    if above.any():
        where = _where(data.sizes[above], size_name)
        return Ceiling((), (f"bound: heights at {where} lie above it; it was not used",))
    at = data.heights > NEAR * values
    if at.any():
        where = _where(data.sizes[at], size_name)
        messages.append(f"heights at {where} are at their bound: that is no finding")
    return Ceiling(excluded, tuple(messages))


def _asymptotics(bound: Callable[[float], Any], kappa_min: float) -> tuple[tuple[str, ...], str]:
    first, last = (float(bound(size)) for size in FAR)
    growth = math.log(last / first) / math.log(FAR[1] / FAR[0])
    if abs(growth) < 1e-12:
        return ("logarithmic", "power-law"), "it does not grow with the size, so no height can"
    if growth < kappa_min:
        return ("power-law",), "it grows slower than any power of the size: no power law"
    return (), f"it grows like a power {growth:.2g} of the size and excludes nothing"


def _where(sizes: Floats, size_name: str) -> str:
    return f"{size_name} = " + ", ".join(f"{size:g}" for size in sizes)
