"""Row of independent Gaussian logits: Derrida's random-energy model at finite n.

The size is the number of keys n, the control is the standard deviation s of the logits at T = 1
(1 / T in units of the disorder).  C is the mean over the disorder of s^2 (1 - 1/n) at small s; it
has its maximum near the freezing s = sqrt(2 ln n), which moves with n, and falls above it: one
key then holds all the weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.systems.system import ExactSystem, at_least

__all__ = ["RandomEnergy"]


@dataclass(frozen=True)
class RandomEnergy(ExactSystem):
    """Mean heat capacity of n independent Gaussian logits; see
    :func:`heatcap.attention.random_energy.random_energy_heat_capacity` for how exact it is.
    """

    name = "random_energy"
    control_name = "standard deviation s of the logits"
    observables = ("heat_capacity",)

    def columns(self, size: int, control: Floats) -> dict[str, Floats]:
        """C(s^2, n) = < Var_p(E) >."""
        from heatcap.attention.random_energy import (
            random_energy_heat_capacity,  # a second to import
        )

        at_least(1, size)
        return {"heat_capacity": random_energy_heat_capacity(control**2, size)}

    def describe(self) -> dict[str, Any]:
        """As of every system, with the accuracy of the quadrature."""
        return super().describe() | {"accuracy": "quasi-Monte Carlo, 1 % up to n = 64"}

    def freezing(self, size: int) -> float:
        """s = sqrt(2 ln n), where the row freezes at large n: the extreme of n Gaussians."""
        return float(np.sqrt(2.0 * np.log(size)))

    def maximum(self, size: int) -> tuple[float, float]:
        """Standard deviation and height of the largest mean C."""
        return self._maximum(size, (0.3 * self.freezing(size), 4.0 * self.freezing(size)))
