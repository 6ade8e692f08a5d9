"""The Ising ring: a heat capacity that overshoots its limit and a transition only at T = 0.

L spins, E = -sum_i s_i s_(i+1) with s_(L+1) = s_1, J = k_B = 1; the control is the temperature,
everything is per spin.  The largest C over the temperature is 0.526 at L = 8, rises to 0.544 at
11, falls to 0.480 at 32 and tends to 0.4392: a finite-size overshoot that a fit over a few sizes
takes for growth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.systems.system import ExactSystem, at_least, positive

__all__ = ["Ising1D"]


@dataclass(frozen=True)
class Ising1D(ExactSystem):
    """Z = (2 cosh K)^L + (2 sinh K)^L, K = 1/T: the transfer matrix of E. Ising (1925; what was
    checked: docs/references.md); the tests sum over all states.
    """

    name = "ising1d"
    control_name = "temperature T"
    observables = ("heat_capacity", "energy", "susceptibility")

    def columns(self, size: int, control: Floats) -> dict[str, Floats]:
        """With t = tanh K and ln Z = L ln(2 cosh K) + ln(1 + t^L):

        U = -(t + t^(L-1)) / (1 + t^L),
        C = K^2 (1 - t^2) [1 - t^(2L-2) + (L-1) t^(L-2) (1 - t^2)] / (1 + t^L)^2,
        chi = K <M^2> / L = K e^(2K) (1 - t^L) / (1 + t^L).
        """
        at_least(2, size)
        positive("temperature", control)
        k = 1.0 / control
        log_t = np.log1p(-2.0 / (np.exp(np.minimum(2.0 * k, 700.0)) + 1.0))
        gap = 1.0 / np.cosh(np.minimum(k, 350.0)) ** 2  # 1 - t^2 without cancellation
        ring = 1.0 + np.exp(size * log_t)
        bracket = (size - 1) * np.exp((size - 2) * log_t) * gap - np.expm1((2 * size - 2) * log_t)
        return {
            "heat_capacity": k**2 * gap * bracket / ring**2,
            "energy": -(np.exp(log_t) + np.exp((size - 1) * log_t)) / ring,
            "susceptibility": k * np.exp(2.0 * k) * -np.expm1(size * log_t) / ring,
        }

    def maximum(self, size: int) -> tuple[float, float]:
        """Temperature and height of the largest C per spin."""
        return self._maximum(size, (0.2, 3.0))
