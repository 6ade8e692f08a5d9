"""Systems with a formula for every size: nothing is sampled, and the tests sum over all states.

:class:`TwoLevel` and :class:`RandomEnergy` are attention rows without a transition, as is the ring
:class:`Ising1D`; :class:`CurieWeiss` has a transition with a bounded heat capacity, the heat
capacity of :class:`Ising2DExact` diverges as ln L.  J = k_B = 1; quantities of magnets are per
spin, those of attention rows per row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, gammaln

from heatcap.attention import random_energy_heat_capacity
from heatcap.core.arrays import Floats
from heatcap.systems.system import ExactSystem, at_least, positive

__all__ = ["CRITICAL_COUPLING", "CurieWeiss", "Ising1D", "Ising2DExact", "RandomEnergy", "TwoLevel"]

CRITICAL_COUPLING = math.log1p(math.sqrt(2.0)) / 2.0
"""K_c of the Ising model on the square lattice."""


@dataclass(frozen=True)
class TwoLevel(ExactSystem):
    """One level below n - 1 degenerate ones: an attention row with one preferred key.

    No row with n keys has a larger heat capacity.  Its maximum over the temperature stays below
    (ln(n - 1))^2 / 4 + 1 and tends to it: it grows without bound in n, slower than any power, and
    its position T ~ gap / (ln n + 2) moves to 0.  There is no transition.

    The size is the number of keys n, the control is the temperature; C = dU/dT.  Energies are in
    units of the gap by default.

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
        """Schottky's heat capacity, energy and entropy.

        C = x^2 w / (1 + w)^2, U = gap w / (1 + w), S = ln(1 + w) + x w / (1 + w), with
        w = (n - 1) e^(-x), x = gap / T.
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
        """Find temperature and height of the largest C; the height is independent of the gap."""
        depth = np.log(size) + 2.0  # gap / T at the maximum lies between half of it and twice it
        return self._maximum(size, (self.gap / depth / 2.0, self.gap / depth * 2.0))


@dataclass(frozen=True)
class RandomEnergy(ExactSystem):
    """Row of independent Gaussian logits: Derrida's random-energy model at finite n.

    The size is the number of keys n, the control is the standard deviation s of the logits at T = 1
    (1 / T in units of the disorder).  C is the mean over the disorder, s^2 (1 - 1/n) at small s; it
    is largest near freezing at s = sqrt(2 ln n), which moves with n, and falls above, where one key
    has all the weight.

    For its accuracy see :func:`heatcap.attention.random_energy_heat_capacity`.
    """

    name = "random_energy"
    control_name = "standard deviation s of the logits"
    observables = ("heat_capacity",)

    def columns(self, size: int, control: Floats) -> dict[str, Floats]:
        """Mean heat capacity C(s^2, n) = < Var_p(E) >."""
        at_least(1, size)
        return {"heat_capacity": random_energy_heat_capacity(control**2, size)}

    def describe(self) -> dict[str, Any]:
        """Add the accuracy of the quadrature to the attributes of every system."""
        return super().describe() | {"accuracy": "quasi-Monte Carlo, 1 % up to n = 64"}

    def freezing(self, size: int) -> float:
        """Freezing point s = sqrt(2 ln n) at large n: the extreme of n Gaussians."""
        return float(np.sqrt(2.0 * np.log(size)))

    def maximum(self, size: int) -> tuple[float, float]:
        """Find standard deviation and height of the largest mean C."""
        return self._maximum(size, (0.3 * self.freezing(size), 4.0 * self.freezing(size)))


@dataclass(frozen=True)
class Ising1D(ExactSystem):
    """The Ising ring: a transition at T = 0 only, and a heat capacity above its limit.

    L spins, E = -sum_i s_i s_(i+1) with s_(L+1) = s_1, J = k_B = 1; the control is the temperature,
    all is per spin.  The largest C over the temperature is 0.526 at L = 8, rises to 0.544 at 11,
    falls to 0.480 at 32 and tends to 0.4392: a finite-size overshoot that a fit over a few sizes
    mistakes for growth.

    Z = (2 cosh K)^L + (2 sinh K)^L, K = 1/T: the transfer matrix of E. Ising (1925; what was
    checked: docs/references.md); the tests sum over all states.
    """

    name = "ising1d"
    control_name = "temperature T"
    observables = ("heat_capacity", "energy", "susceptibility")

    def columns(self, size: int, control: Floats) -> dict[str, Floats]:
        """Energy, heat capacity and susceptibility from the transfer matrix.

        With t = tanh K and ln Z = L ln(2 cosh K) + ln(1 + t^L),

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
        """Find temperature and height of the largest C per spin."""
        return self._maximum(size, (0.2, 3.0))


@dataclass(frozen=True)
class CurieWeiss(ExactSystem):
    """The Curie-Weiss magnet: a transition at T = 1 with a bounded heat capacity.

    N spins, each coupled to all: E = -M^2 / (2 N), J = k_B = 1.  The size is N, the control the
    temperature, all is per spin.  The maxima of C are 1.37, 1.51, 1.58 for N = 256, 1024, 4096 and
    tend to about 1.66; the susceptibility diverges.  "Bounded" does not mean "no transition".

    Exponents are those of the number of spins: near T = 1 the free energy per spin is
    t m^2 / 2 + m^4 / 12, so that m ~ N^(-1/4) and t ~ N^(-1/2).  `nu` is 2 in this sense.

    Computed by sums over the magnetisation, up to N of a few hundred thousand.

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
        """Find temperature and height of the largest C per spin."""
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


@dataclass(frozen=True)
class Ising2DExact(ExactSystem):
    """The Ising model on the L x L torus, exactly: Kaufman's partition function.

    E = -sum_<ij> s_i s_j with J = k_B = 1; the control is the coupling K = 1/T; energy, heat
    capacity and free energy are per site.  C diverges as ln L at K_c = ln(1 + sqrt 2) / 2
    (alpha = 0).  Derivatives of ln Z are analytic, and their common part is subtracted before they
    are squared, so that nothing overflows or cancels up to L of several hundred.

    B. Kaufman, Phys. Rev. 76 (1949) 1232, as quoted at mathoverflow.net/revisions/108353; the paper
    itself was not seen.  The tests sum over all states at L = 4.
    """

    name = "ising2d_exact"
    control_name = "coupling K = 1/T"
    observables = ("heat_capacity", "energy", "free_energy")
    transition = "second order"
    critical_point = CRITICAL_COUPLING
    nu = 1.0
    alpha_over_nu = 0.0
    beta_over_nu = 0.125
    gamma_over_nu = 1.75

    def columns(self, size: int, control: Floats) -> dict[str, Floats]:
        """Heat capacity, energy and free energy from ln Z and its derivatives.

        C = K^2 (ln Z)'' / N, U = -(ln Z)' / N, F = -ln Z / (K N), N = L^2.
        """
        at_least(2, size)
        positive("coupling", control)
        log_z, first, second = np.array([_log_z(size, float(k)) for k in control]).T / size**2
        return {
            "heat_capacity": control**2 * second,
            "energy": -first,
            "free_energy": -log_z / control,
        }

    def maximum(self, size: int) -> tuple[float, float]:
        """Find coupling and height of the largest C per site."""
        return self._maximum(size, (0.3, 0.6))


def _log_z(size: int, k: float) -> tuple[float, float, float]:
    """ln Z and its first two derivatives in K.

    Z = (2 sinh 2K)^(N/2) [prod_odd 2 cosh + prod_odd 2 sinh + prod_even 2 cosh + prod_even 2 sinh]
    / 2, of L gamma_l / 2 with cosh gamma_l = cosh 2K coth 2K - cos(l pi / L), and
    gamma_0 = 2K + ln tanh K, which changes its sign at K_c and with it the fourth product.
    """
    odd, even = (_gamma(size, k, start) for start in (1, 2))
    soft = _soft(k)
    products = [
        _cosh(size, odd),
        _sinh(size, odd),
        _cosh(size, even) + _cosh(size, soft),
        _sinh(size, even),
    ]
    scale, slope = products[0][0], products[0][1]
    common = np.array([scale, slope, 0.0])
    terms = [_centred(product - common) for product in products[:3]]
    terms.append(_times_sinh(products[3] - common, size, soft))
    z, z1, z2 = np.sum(terms, axis=0)
    sites, c, s = size**2, math.cosh(2.0 * k), math.sinh(2.0 * k)
    log_z = 0.5 * sites * math.log(2.0 * s) - math.log(2.0) + scale + math.log(z)
    first = sites * c / s + slope + z1 / z
    second = -2.0 * sites / s**2 + z2 / z - (z1 / z) ** 2
    return log_z, first, second


def _gamma(size: int, k: float, start: int) -> Floats:
    """gamma_l, gamma_l', gamma_l'' (3, l) for l = start, start + 2 ... below 2L, l = 0 left out."""
    theta = np.pi * np.arange(start, 2 * size, 2) / size
    c, s = math.cosh(2.0 * k), math.sinh(2.0 * k)
    half = (1.0 - s) ** 2 / (2.0 * s) + np.sin(theta / 2.0) ** 2  # sinh^2(gamma / 2)
    cosh, sinh = 1.0 + 2.0 * half, 2.0 * np.sqrt(half * (1.0 + half))
    g1 = 2.0 * c * (1.0 - 1.0 / s**2)
    g2 = 4.0 * (s - 1.0 / s) + 8.0 * c**2 / s**3
    first = g1 / sinh
    return np.array([2.0 * np.arcsinh(np.sqrt(half)), first, (g2 - cosh * first**2) / sinh])


def _soft(k: float) -> Floats:
    """gamma_0, gamma_0', gamma_0'' (3, 1): the critical mode."""
    c, s = math.cosh(2.0 * k), math.sinh(2.0 * k)
    value = 2.0 * math.asinh((s - 1.0) / math.sqrt(2.0 * s))
    return np.array([[value], [2.0 + 2.0 / s], [-4.0 * c / s**2]])


def _cosh(size: int, gamma: Floats) -> Floats:
    """ln prod 2 cosh(L gamma / 2) and two derivatives."""
    y, y1, y2 = 0.5 * size * gamma
    tanh = np.tanh(y)
    value = np.abs(y) + np.log1p(np.exp(-2.0 * np.abs(y)))
    return np.array([value.sum(), (y1 * tanh).sum(), (y2 * tanh + y1**2 * (1 - tanh**2)).sum()])


def _sinh(size: int, gamma: Floats) -> Floats:
    """ln prod 2 sinh(L gamma / 2) and two derivatives, gamma > 0."""
    y, y1, y2 = 0.5 * size * gamma
    coth = 1.0 / np.tanh(y)
    value = y + np.log(-np.expm1(-2.0 * y))
    return np.array([value.sum(), (y1 * coth).sum(), (y2 * coth + y1**2 * (1 - coth**2)).sum()])


def _centred(log: Floats) -> Floats:
    """exp(f) and two derivatives from those of f."""
    value = math.exp(log[0])
    return np.array([value, value * log[1], value * (log[2] + log[1] ** 2)])


def _times_sinh(log: Floats, size: int, soft: Floats) -> Floats:
    """2 sinh(L gamma_0 / 2) exp(f) and two derivatives; regular where gamma_0 = 0."""
    y, y1, y2 = 0.5 * size * soft[:, 0]
    # exp |y| is moved into f: the product does not overflow where its factors would.
    rest = _centred(log + np.array([abs(y), 0.0, 0.0]))
    fall = math.exp(-2.0 * abs(y))
    sinh, cosh = math.copysign(1.0 - fall, y), 1.0 + fall
    f, f1, f2 = sinh, y1 * cosh, y2 * cosh + y1**2 * sinh
    return np.array(
        [
            f * rest[0],
            f1 * rest[0] + f * rest[1],
            f2 * rest[0] + 2.0 * f1 * rest[1] + f * rest[2],
        ]
    )
