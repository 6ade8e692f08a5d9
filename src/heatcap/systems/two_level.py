"""One level below n - 1 degenerate ones: an attention row with one key that stands out.

It is the row with the largest heat capacity of all rows with n keys.  The maximum over the
temperature stays below (ln(n - 1))^2 / 4 + 1 and tends to it: it grows without bound in n, slower
than any power, and its position T ~ gap / (ln n + 2) moves to 0.  There is no transition.

The size is the number of keys n, the control is the temperature; C = dU/dT.  Energies in units
of the gap unless it is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from heatcap.core.arrays import Floats
from heatcap.systems.system import ExactSystem, at_least, positive

__all__ = ["TwoLevel"]


@dataclass(frozen=True)
class TwoLevel(ExactSystem):
    """Row of n keys: energy 0 once, `gap` n - 1 times.

    Attributes
    ----------
    gap : float
        Distance of the two levels; at T = 1 the difference of the logits.
    """

    name = "two_level"
    control_name = "temperature T"
    observables = ("heat_capacity", "energy", "entropy")

    gap: float = 1.0

    def __post_init__(self) -> None:
        positive("gap", self.gap)

    def columns(self, size: int, control: Floats) -> dict[str, Floats]:
        """Schottky: C = x^2 w / (1 + w)^2, U = gap w / (1 + w), w = (n - 1) e^(-x), x = gap / T.

        The entropy is that of the states: ln(1 + w) + x w / (1 + w), up to ln n.
        """
        at_least(2, size)
        positive("temperature", control)
        x = self.gap / control
        log_w = np.log(size - 1.0) - x
        upper, lower = expit(log_w), expit(-log_w)
        return {
            "heat_capacity": x**2 * upper * lower,
            "energy": self.gap * upper,
            "entropy": np.logaddexp(0.0, log_w) + x * upper,
        }

    def maximum(self, size: int) -> tuple[float, float]:
        """Temperature and height of the largest C; the height does not depend on the gap."""
        depth = np.log(size) + 2.0  # gap / T at the maximum lies between half of it and twice it
        return self._maximum(size, (self.gap / depth / 2.0, self.gap / depth * 2.0))
