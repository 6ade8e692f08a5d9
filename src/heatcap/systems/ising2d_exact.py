"""The Ising model on the L x L torus, exactly: Kaufman's partition function of a finite lattice.

E = -sum_<ij> s_i s_j with J = k_B = 1; the control is the coupling K = 1/T, energies and heat
capacity are per site.  C diverges like ln L at K_c = ln(1 + sqrt 2) / 2 (alpha = 0).

B. Kaufman, Phys. Rev. 76 (1949) 1232, as quoted at mathoverflow.net/revisions/108353; the paper
itself was not seen.  The tests sum over all states at L = 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.systems.system import ExactSystem, at_least, positive

__all__ = ["CRITICAL_COUPLING", "Ising2DExact"]

CRITICAL_COUPLING = math.log1p(math.sqrt(2.0)) / 2.0


@dataclass(frozen=True)
class Ising2DExact(ExactSystem):
    """Energy, heat capacity and free energy per site of the torus.

    The derivatives of ln Z are analytic and their common part is taken out before they are
    squared, so that nothing overflows or cancels up to L of several hundred.
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
        """C = K^2 (ln Z)'' / N, U = -(ln Z)' / N, F = -ln Z / (K N), N = L^2."""
        at_least(2, size)
        positive("coupling", control)
        log_z, first, second = np.array([_log_z(size, float(k)) for k in control]).T / size**2
        return {
            "heat_capacity": control**2 * second,
            "energy": -first,
            "free_energy": -log_z / control,
        }

    def maximum(self, size: int) -> tuple[float, float]:
        """Coupling and height of the largest C per site."""
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
    """gamma_0, gamma_0', gamma_0'' (3, 1): the mode that is critical."""
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
    # exp |y| goes into f: the product does not overflow where its factors would.
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
