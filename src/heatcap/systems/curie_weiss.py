"""The Curie-Weiss magnet: a true transition at T = 1 whose heat capacity stays bounded.

N spins, each coupled to all: E = -M^2 / (2 N), J = k_B = 1.  The size is N, the control the
temperature, everything is per spin.  C peaks at 1.37, 1.51, 1.58 for N = 256, 1024,
4096 and tends to about 1.66; the susceptibility diverges.  "Bounded" does not mean "no transition".

Exponents are those of the number of spins: near T = 1 the free energy per spin is
t m^2 / 2 + m^4 / 12, so that m ~ N^(-1/4) and t ~ N^(-1/2).  `nu` is 2 in this sense.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import gammaln

from heatcap.core.arrays import Floats
from heatcap.systems.system import ExactSystem, at_least, positive

__all__ = ["CurieWeiss"]


@dataclass(frozen=True)
class CurieWeiss(ExactSystem):
    """Exact sums over the magnetisation, to N of a few hundred thousand.

    ``susceptibility`` is N (<m^2> - <|m|>^2) / T, ``binder`` U4 = 1 - <m^4> / (3 <m^2>^2).
    """

    name = "curie_weiss"
    control_name = "temperature T"
    observables = (
        "heat_capacity",
        "energy",
        "magnetisation",
        "susceptibility",
        "binder",
    )
    transition = "second order"
    critical_point = 1.0
    nu = 2.0
    alpha_over_nu = 0.0
    beta_over_nu = 0.25
    gamma_over_nu = 0.5
    critical_binder: ClassVar[float] = 0.2705201  # 1 - Gamma(1/4)^4 / (24 pi^2), of e^(-m^4)

    def columns(self, size: int, control: Floats) -> dict[str, Floats]:
        """Averages with the weights binom(N, (N + M) / 2) e^(M^2 / (2 N T))."""
        at_least(2, size)
        positive("temperature", control)
        rows = [_averages(size, float(t)) for t in control]
        return dict(zip(self.observables, np.array(rows).T, strict=True))

    def maximum(self, size: int) -> tuple[float, float]:
        """Temperature and height of the largest C per spin."""
        return self._maximum(size, (0.3, 1.5))


def _averages(size: int, temperature: float) -> tuple[float, ...]:
    up = np.arange(size + 1.0)
    m = (2.0 * up - size) / size
    energy = -(m**2) / 2.0
    log_w = gammaln(size + 1.0) - gammaln(up + 1.0) - gammaln(size - up + 1.0)
    log_w -= size * energy / temperature
    p = np.exp(log_w - log_w.max())
    p /= p.sum()
    u, m1, m2, m4 = (float(p @ q) for q in (energy, np.abs(m), m**2, m**4))
    # Variances about their means: the difference of the moments cancels at low temperatures.
    heat = size * float(p @ (energy - u) ** 2) / temperature**2
    chi = size * float(p @ (np.abs(m) - m1) ** 2) / temperature
    return heat, u, m1, chi, 1.0 - m4 / (3.0 * m2**2)
