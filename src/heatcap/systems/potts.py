"""Potts and Ising models on the L x L torus: second order for q <= 4, first order above.

E = -sum_<ij> delta(s_i, s_j), J = k_B = 1; the control is the temperature, all per site.  The
transition is at T_c = 1 / ln(1 + sqrt q) by duality.  q = 3: alpha/nu = 2/5; q = 10: latent heat
0.696, correlation length about 10.6 (the length after Buffenoir and Wallon (1993), at second hand),
so that L = 32 shows two peaks in the histogram of the energy.

Exponents from F. Y. Wu, Rev. Mod. Phys. 54 (1982) 235; latent heat from R. J. Baxter, J. Phys. C 6
(1973) L445 (what was checked: docs/references.md); the tests measure the energy at T_c.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from heatcap.core.arrays import Floats, Ints
from heatcap.systems.clusters import SpinSystem, State, potts_runs
from heatcap.systems.exact import CRITICAL_COUPLING

__all__ = ["Ising2D", "Potts"]

# nu, alpha/nu, beta/nu, gamma/nu of q = 2, 3 and 4 in two dimensions
_EXPONENTS = {
    2: (1.0, 0.0, 1 / 8, 7 / 4),
    3: (5 / 6, 2 / 5, 2 / 15, 26 / 15),
    4: (2 / 3, 1.0, 1 / 8, 7 / 4),
}


@dataclass(frozen=True)
class Potts(SpinSystem):
    """The q-state Potts model by its temperature.

    Swendsen-Wang with improved estimators, see :mod:`heatcap.systems.clusters`.

    ``heat_capacity`` Var(E) / (N T^2); ``magnetisation`` (q n_max / N - 1) / (q - 1) with n_max
    the sites of the majority; ``susceptibility`` N <m^2> / T in both phases, the mean not
    subtracted: L^(gamma/nu) at T_c; ``binder`` 1 - <m^4> / (3 <m^2>^2), which is 2/3 in an ordered
    state and 1 - (q + 1) / (3 (q - 1)) in a disordered one (0 for q = 2, 1/3 for q = 3).

    Attributes
    ----------
    q : int
        Number of states.
    """

    control_name = "temperature T"
    observables = (
        "heat_capacity",
        "energy",
        "magnetisation",
        "susceptibility",
        "binder",
    )

    q: int = 3

    def __post_init__(self) -> None:
        if self.q < 2:
            raise ValueError(f"q must be at least 2, got {self.q}")

    @property
    def name(self) -> str:
        """Name with q: potts3 for q = 3."""
        return f"potts{self.q}"

    @property
    def transition(self) -> str:
        """Second order up to q = 4, first order above."""
        return "second order" if self.q <= 4 else "first order"

    @property
    def critical_point(self) -> float:
        """Critical temperature T_c = 1 / ln(1 + sqrt q)."""
        return 1.0 / math.log1p(math.sqrt(self.q))

    @property
    def nu(self) -> float:
        """Exponent nu: 5/6 for q = 3; 1/d for a first-order transition."""
        return self._exponent(0, 0.5)

    @property
    def alpha_over_nu(self) -> float:
        """alpha/nu: 2/5 for q = 3; d at first order; q = 4 has logarithmic factors."""
        return self._exponent(1, 2.0)

    @property
    def beta_over_nu(self) -> float:
        """beta/nu: 2/15 for q = 3; 0 for a first-order transition."""
        return self._exponent(2, 0.0)

    @property
    def gamma_over_nu(self) -> float:
        """gamma/nu: 26/15 for q = 3; d for a first-order transition."""
        return self._exponent(3, 2.0)

    def _exponent(self, which: int, first_order: float) -> float:
        return _EXPONENTS[self.q][which] if self.q <= 4 else first_order

    @property
    def critical_energy(self) -> float:
        """Energy at T_c, or mean of the two phases there: -(1 + 1 / sqrt q)."""
        return -(1.0 + 1.0 / math.sqrt(self.q))

    @property
    def latent_heat(self) -> float:
        """Difference of the energies of the two phases at T_c; 0 up to q = 4.

        2 (1 + 1 / sqrt q) tanh(theta / 2) prod_n tanh^2(n theta), 2 cosh theta = sqrt q.
        """
        if self.q <= 4:
            return 0.0
        theta = math.acosh(math.sqrt(self.q) / 2.0)
        product = np.prod(np.tanh(theta * np.arange(1, 2000)) ** 2)
        return float(-2.0 * self.critical_energy * math.tanh(theta / 2.0) * product)

    def answers(self) -> dict[str, float]:
        """Add the latent heat to the answers of every system."""
        return super().answers() | {"latent_heat": self.latent_heat}

    def _run(
        self, length: int, control: float, seeds: State, sweeps: int, thermalisation: int
    ) -> Floats:
        run = potts_runs(length, self.q, 1.0 / control, seeds, sweeps, thermalisation)
        return np.concatenate([-run[:1], run[1:]])

    def _observables(
        self, sites: Ints, control: Floats, mean: dict[str, Floats]
    ) -> dict[str, Floats]:
        return {
            "heat_capacity": sites * mean["variance"] / control**2,
            "energy": mean["energy"],
            "magnetisation": mean["magnetisation"],
            "susceptibility": sites * mean["square"] / control,
            "binder": 1.0 - mean["fourth"] / (3.0 * mean["square"] ** 2),
        }


@dataclass(frozen=True)
class Ising2D(SpinSystem):
    """The Ising model by its coupling.

    E = -sum_<ij> s_i s_j, K = 1/T, J = k_B = 1.  Swendsen-Wang with improved estimators, see
    :mod:`heatcap.systems.clusters`; checked against :class:`Ising2DExact`.

    ``heat_capacity`` K^2 Var(E) / N; ``magnetisation`` <|m|>; ``susceptibility`` K N <m^2>, that of
    the disordered phase, L^(7/4) at K_c; ``connected_susceptibility`` K N (<m^2> - <|m|>^2), which
    has a maximum; ``binder`` U4 = 1 - <m^4> / (3 <m^2>^2), 0.61069 at K_c for large L (same
    digits in public code; no paper seen).
    """

    name = "ising2d"
    control_name = "coupling K = 1/T"
    observables = (
        "heat_capacity",
        "energy",
        "magnetisation",
        "susceptibility",
        "connected_susceptibility",
        "binder",
    )
    transition = "second order"
    critical_point = CRITICAL_COUPLING
    nu = 1.0
    alpha_over_nu = 0.0
    beta_over_nu = 0.125
    gamma_over_nu = 1.75

    def _run(
        self, length: int, control: float, seeds: State, sweeps: int, thermalisation: int
    ) -> Floats:
        # s s' = 2 delta - 1: the coupling of the two-state Potts model is 2 K.
        run = potts_runs(length, 2, 2.0 * control, seeds, sweeps, thermalisation)
        return np.concatenate([-run[:1], run[1:]])

    def _energy(self, run: Floats) -> Floats:
        return 2.0 * run + 2.0

    def _observables(
        self, sites: Ints, control: Floats, mean: dict[str, Floats]
    ) -> dict[str, Floats]:
        square, magnetisation = mean["square"], mean["magnetisation"]
        return {
            "heat_capacity": 4.0 * control**2 * sites * mean["variance"],
            "energy": self._energy(mean["energy"]),
            "magnetisation": magnetisation,
            "susceptibility": control * sites * square,
            "connected_susceptibility": control * sites * (square - magnetisation**2),
            "binder": 1.0 - mean["fourth"] / (3.0 * square**2),
        }
