"""Forms of finite-size scaling: how size and control combine into one variable.

    A(L, x) = L^exponent (1 + b t) (1 + a L^-omega) f(X),      t = (x - x_c) / x_s

with x_s the half-width of the control's range, so that b and c are of order one where analytic
corrections matter.  The scaling variable is

    second order             X = t (1 + c t) L^(1/nu)
    Kosterlitz-Thouless      X = t (1 + c t) (ln L/L0)^2       (ln L/L0)^(1/sigma), sigma = 1/2

f is a spline; a is the correction to scaling; b and c are the analytic corrections: a scaling field
that is not linear in the control, and a prefactor that is not constant (Pelissetto and Vicari,
Phys. Rep. 368 (2002) 549, section 1; cited from memory, not checked).  Without them a wide window
biases
the exponents without a bad chi^2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ANSATZE", "Ansatz", "kosterlitz_thouless", "second_order"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ansatz:
    """A scaling variable X = t (1 + c t) S(L; y) with one shape parameter y.

    Attributes
    ----------
    name : str
    parameter : str
        What y is called.
    bounds : tuple of float
        Where y is sought.
    stretch : callable (ln L, y) -> (ln S, d ln S / d y)
    """

    name: str
    parameter: str
    bounds: tuple[float, float]
    stretch: Callable[[Floats, float], tuple[Floats, Floats]]


def _power(log_size: Floats, y: float) -> tuple[Floats, Floats]:
    return y * log_size, log_size


def _logarithm(log_size: Floats, y: float) -> tuple[Floats, Floats]:
    log = np.maximum(log_size - y, 1e-3)
    return 2 * np.log(log), -2 / log


second_order = Ansatz("second-order", "inverse_nu", (0.1, 4.0), _power)
kosterlitz_thouless = Ansatz("kosterlitz-thouless", "log_l0", (-6.0, 1.5), _logarithm)
ANSATZE = {a.name: a for a in (second_order, kosterlitz_thouless)}
