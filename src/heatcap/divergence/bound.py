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

from heatcap.core.arrays import Floats
from heatcap.divergence.heights import Heights
from heatcap.divergence.margins import Margins

__all__ = ["Bound", "Ceiling", "ceiling"]

Bound = ArrayLike | Callable[[float], Any]

NEAR = 0.95  # share of the bound from which on a height is at the bound
FAR = (1e15, 1e30, 1e60)  # sizes between which the growth of a bound is read off
FALLS = 0.8  # a local exponent that falls by more goes on falling


@dataclass(frozen=True)
class Ceiling:
    """What a bound says: classes that it excludes, and sentences."""

    excluded: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()


def ceiling(
    data: Heights, bound: Bound | None, margins: Margins, size_name: str, order: Floats
) -> Ceiling:
    """Compare heights with their bound; an array has the order of the sizes as given (`order`).

    Raises
    ------
    ValueError
        For a bound of another length, or one that is not positive and finite.
    """
    if bound is None:
        return Ceiling()
    if callable(bound):
        values = np.array([float(bound(float(size))) for size in data.sizes])
        excluded, said = _asymptotics(bound, margins.kappa_min)
    else:
        given = np.asarray(bound, dtype=np.float64)
        if given.shape not in ((), (1,), order.shape):
            raise ValueError(f"expected one bound per size ({order.size}), got shape {given.shape}")
        values = np.broadcast_to(given, order.shape)[np.argsort(order)]
        values = values[np.isin(np.sort(order), data.sizes)]
        excluded, said = (), "its growth is not known: give it as a function of the size"
        if np.ptp(values) == 0:
            excluded = ("logarithmic", "power-law")
            said = "it is the same at every size, so no height can grow without limit"
    if not np.all(np.isfinite(values) & (values > 0)):
        wrong = values[~(np.isfinite(values) & (values > 0))][0]
        raise ValueError(f"a bound must be positive and finite, got {wrong}")
    seen = margins.saturation_ratio * data.heights.max()
    if "logarithmic" in excluded and values[-1] > seen:
        excluded = ("power-law",)
        said += f"; but a limit up to {values[-1]:.3g} is beyond what counts as seen"
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
    values = [float(bound(size)) for size in FAR]
    before, growth = (
        math.log(values[i + 1] / values[i]) / math.log(FAR[i + 1] / FAR[i]) for i in (0, 1)
    )
    if abs(growth) < 1e-12:
        return ("logarithmic", "power-law"), "it does not grow with the size, so no height can"
    if growth < FALLS * before:
        return ("power-law",), "it grows slower than any power of the size: no power law"
    if growth < kappa_min:
        return ("power-law",), f"it grows slower than the power {kappa_min:g}: no power law"
    return (), f"it grows like a power {growth:.2g} of the size and excludes nothing"


def _where(sizes: Floats, size_name: str) -> str:
    return f"{size_name} = " + ", ".join(f"{size:g}" for size in sizes)
