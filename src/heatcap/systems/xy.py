"""The XY model on the L x L torus: a Kosterlitz-Thouless transition.

E = -sum_<ij> cos(theta_i - theta_j), J = k_B = 1; the control is the temperature, all per site.
The helicity modulus falls from 2 T / pi to 0 at T_KT = 0.8929 (Hasenbusch, J. Phys. A 38 (2005)
5869; 0.8935(1) has been published as well); on a finite lattice the jump is smeared by a logarithm,
:func:`weber_minnhagen`.  The heat capacity has a bounded maximum above T_KT, without a transition.

Clusters after U. Wolff, Phys. Rev. Lett. 62 (1989) 361 (what was checked: docs/references.md):
components of the spins along a random direction are Ising spins; all their clusters are updated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from heatcap.core.arrays import Floats, Ints
from heatcap.core.jit import compile_by, jit
from heatcap.systems.clusters import SpinSystem, State, flatten, join, uniform

__all__ = ["T_KT", "XY", "weber_minnhagen"]

T_KT = 0.8929
"""Kosterlitz-Thouless temperature of the square lattice, to four digits."""


def weber_minnhagen(size: ArrayLike, c: float, *, temperature: float = T_KT) -> Floats:
    """Helicity modulus at T_KT on a finite lattice: (2 T / pi) [1 + 1 / (2 ln L + c)].

    H. Weber & P. Minnhagen, Phys. Rev. B 37 (1988) 5986 (what was checked: docs/references.md).
    On the torus windings lower the limit by 16 pi e^(-4 pi), 1.8e-4 of it, which is neglected.

    Parameters
    ----------
    size : array_like
        L.
    c : float
        Constant of the lattice.
    temperature : float
        T_KT, in units of J / k_B.

    Raises
    ------
    ValueError
        If 2 ln L + c is not positive.
    """
    log = 2.0 * np.log(np.asarray(size, dtype=np.float64)) + c
    if not np.all(log > 0):
        raise ValueError(f"2 ln L + c must be positive, got a minimum of {np.min(log):g}")
    return np.asarray(2.0 * temperature / math.pi * (1.0 + 1.0 / log))


@dataclass(frozen=True)
class XY(SpinSystem):
    """The XY model by its temperature, sampled by clusters.

    ``helicity_modulus`` <sum_x cos> / N - <(sum_x sin)^2> / (N T) over the bonds of a direction,
    averaged over both; ``magnetisation`` <|m|>; ``susceptibility`` N <m^2> / T, as L^(2 - eta) with
    eta = 1/4 and a power of ln L at T_KT; ``binder`` 1 - <m^4> / (3 <m^2>^2), 1/3 in a disordered
    state; ``heat_capacity`` Var(E) / (N T^2).
    """

    name = "xy"
    control_name = "temperature T"
    observables = (
        "heat_capacity",
        "energy",
        "helicity_modulus",
        "magnetisation",
        "susceptibility",
        "binder",
    )
    measured = ("energy", "current", "square", "fourth", "magnetisation")
    transition = "Kosterlitz-Thouless"
    critical_point = T_KT
    beta_over_nu = 0.125
    gamma_over_nu = 1.75
    universal_jump: ClassVar[float] = 2.0 / math.pi

    def answers(self) -> dict[str, float]:
        """Add the universal jump of the helicity modulus over T, 2 / pi."""
        return super().answers() | {"universal_jump": self.universal_jump}

    def _run(
        self, length: int, control: float, seeds: State, sweeps: int, thermalisation: int
    ) -> Floats:
        """Every other run starts from an ordered state."""
        compile_by(_run, 2, 1.0, False, 0, np.ones(4, np.uint64), np.empty((3, 1)))
        out = np.empty((len(seeds), 3, sweeps))
        for i, seed in enumerate(seeds.copy()):
            _run(length, 1.0 / control, bool(i % 2), thermalisation, seed, out[i])
        energy, current, square = out.swapaxes(0, 1)
        return np.array([energy, current, square, square**2, np.sqrt(square)])

    def _observables(
        self, sites: Ints, control: Floats, mean: dict[str, Floats]
    ) -> dict[str, Floats]:
        energy, square = mean["energy"], mean["square"]
        return {
            "heat_capacity": sites * mean["variance"] / control**2,
            "energy": energy,
            "helicity_modulus": -energy / 2.0 - sites * mean["current"] / control,
            "magnetisation": mean["magnetisation"],
            "susceptibility": sites * square / control,
            "binder": 1.0 - mean["fourth"] / (3.0 * square**2),
        }


@jit()
def _bonds(length: int, beta: float, along: Floats, parent: Ints, state: State) -> None:
    """Build clusters of the components a_i along a direction.

    The probability of a bond is 1 - e^(-2 beta a_i a_j) if positive.
    """
    for i in range(len(parent)):
        parent[i] = i
    for y in range(length):
        below = (y + 1) * length if y + 1 < length else 0
        for x in range(length):
            i = y * length + x
            right = i + 1 if x + 1 < length else y * length
            for j in (right, below + x):
                weight = along[i] * along[j]
                if weight > 0.0 and uniform(state) > math.exp(-2.0 * beta * weight):
                    join(parent, i, j)


@jit()
def _reflect(
    spin: Floats, along: Floats, direction: tuple[float, float], parent: Ints, state: State
) -> None:
    """Reflect each cluster with probability 1/2: s -> s - 2 (s r) r.

    `along` of a root then holds the factor of its cluster, 2 or 0.
    """
    for i in range(len(parent)):
        projection = along[i]
        if parent[i] == i:
            along[i] = 2.0 if uniform(state) < 0.5 else 0.0
        factor = along[parent[i]]
        spin[0, i] -= factor * projection * direction[0]
        spin[1, i] -= factor * projection * direction[1]


@jit()
def _normalise(spin: Floats) -> None:
    """Restore unit length, which rounding changes."""
    for i in range(spin.shape[1]):
        norm = math.sqrt(spin[0, i] ** 2 + spin[1, i] ** 2)
        spin[0, i] /= norm
        spin[1, i] /= norm


@jit()
def _measure(length: int, spin: Floats, out: Floats) -> None:
    """Energy per site, mean square of the two currents and m^2, per site squared."""
    sites = length * length
    cos, along_x, along_y, mx, my = 0.0, 0.0, 0.0, 0.0, 0.0
    for y in range(length):
        below = (y + 1) * length if y + 1 < length else 0
        for x in range(length):
            i = y * length + x
            j = i + 1 if x + 1 < length else y * length
            k = below + x
            sx, sy = spin[0, i], spin[1, i]
            cos += sx * (spin[0, j] + spin[0, k]) + sy * (spin[1, j] + spin[1, k])
            along_x += sx * spin[1, j] - sy * spin[0, j]
            along_y += sx * spin[1, k] - sy * spin[0, k]
            mx += sx
            my += sy
    out[0] = -cos / sites
    out[1] = (along_x * along_x + along_y * along_y) / (2.0 * float(sites) ** 2)
    out[2] = (mx * mx + my * my) / float(sites) ** 2


@jit()
def _run(
    length: int, beta: float, ordered: bool, thermalisation: int, state: State, out: Floats
) -> None:
    """One run; `out` (column, sweep)."""
    sites = length * length
    spin, along = np.empty((2, sites)), np.empty(sites)
    parent, size = np.empty(sites, np.int64), np.empty(sites, np.int64)
    for i in range(sites):
        angle = 0.0 if ordered else 2.0 * math.pi * uniform(state)
        spin[0, i], spin[1, i] = math.cos(angle), math.sin(angle)
    for sweep in range(-thermalisation, out.shape[1]):
        angle = 2.0 * math.pi * uniform(state)
        direction = (math.cos(angle), math.sin(angle))
        for i in range(sites):
            along[i] = spin[0, i] * direction[0] + spin[1, i] * direction[1]
        _bonds(length, beta, along, parent, state)
        flatten(parent, size)
        _reflect(spin, along, direction, parent, state)
        if sweep % 256 == 0:
            _normalise(spin)
        if sweep >= 0:
            _measure(length, spin, out[:, sweep])
