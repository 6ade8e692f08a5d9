"""The q-state Potts model on the L x L torus, sampled: second order for q <= 4, first above.

E = -sum_<ij> delta(s_i, s_j), J = k_B = 1; the control is the temperature, all per site.  The
transition is at T_c = 1 / ln(1 + sqrt q) by duality.  q = 3: alpha/nu = 2/5; q = 10: latent heat
0.696, correlation length about 10.6 (the length after Buffenoir and Wallon (1993), at second hand),
so that L = 32 shows two peaks in the histogram of the energy.

Exponents from F. Y. Wu, Rev. Mod. Phys. 54 (1982) 235; latent heat from R. J. Baxter, J. Phys. C 6
(1973) L445 (what was checked: docs/references.md); the tests measure the energy at T_c.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from heatcap.core.arrays import Floats
from heatcap.systems.sampling import Seed, generator, mean_and_spread, seed_attrs, states
from heatcap.systems.swendsen_wang import runs
from heatcap.systems.system import SampledSystem, at_least, positive
from heatcap.systems.table import Controls, from_runs, points

__all__ = ["MOMENTS", "Potts", "check_run", "make_series", "moments", "series"]

# nu, alpha/nu, beta/nu, gamma/nu of q = 2, 3 and 4 in two dimensions
_EXPONENTS = {
    2: (1.0, 0.0, 1 / 8, 7 / 4),
    3: (5 / 6, 2 / 5, 2 / 15, 26 / 15),
    4: (2 / 3, 1.0, 1 / 8, 7 / 4),
}

MOMENTS = ("energy", "energy_spread", "square", "fourth", "magnetisation")


@dataclass(frozen=True)
class Potts(SampledSystem):
    """Swendsen-Wang with improved estimators, see :mod:`heatcap.systems.swendsen_wang`.

    ``heat_capacity`` Var(E) / (N T^2); ``magnetisation`` (q n_max / N - 1) / (q - 1) with n_max
    the sites of the majority; ``susceptibility`` N <m^2> / T, of both phases and without the mean
    taken out: L^(gamma/nu) at T_c; ``binder`` 1 - <m^4> / (3 <m^2>^2), which is 2/3 in an ordered
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
        """potts3 for q = 3."""
        return f"potts{self.q}"

    @property
    def transition(self) -> str:
        """Second order up to q = 4."""
        return "second order" if self.q <= 4 else "first order"

    @property
    def critical_point(self) -> float:
        """T_c = 1 / ln(1 + sqrt q)."""
        return 1.0 / math.log1p(math.sqrt(self.q))

    @property
    def nu(self) -> float:
        """5/6 for q = 3; 1/d for a first-order transition."""
        return self._exponent(0, 0.5)

    @property
    def alpha_over_nu(self) -> float:
        """2/5 for q = 3; d for a first-order transition.  q = 4 has logarithmic factors."""
        return self._exponent(1, 2.0)

    @property
    def beta_over_nu(self) -> float:
        """2/15 for q = 3; 0 for a first-order transition."""
        return self._exponent(2, 0.0)

    @property
    def gamma_over_nu(self) -> float:
        """26/15 for q = 3; d for a first-order transition."""
        return self._exponent(3, 2.0)

    @staticmethod
    def _coupling(temperature: Floats) -> Floats:
        positive("temperature", temperature)
        return 1.0 / temperature

    def _exponent(self, which: int, first_order: float) -> float:
        return _EXPONENTS[self.q][which] if self.q <= 4 else first_order

    @property
    def critical_energy(self) -> float:
        """-(1 + 1 / sqrt q): the energy at T_c, or the mean of the two phases there."""
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
        """As of every system, with the latent heat."""
        return super().answers() | {"latent_heat": self.latent_heat}

    def sample(
        self,
        sizes: Sequence[int],
        controls: Controls,
        *,
        replicates: int = 16,
        sweeps: int = 1000,
        thermalisation: int | None = None,
        rng: Seed = None,
    ) -> xr.Dataset:
        """Averages over independent runs.

        Parameters
        ----------
        sizes : sequence of int
            L, from 2; beyond 128 nothing was tried.
        controls : sequence, mapping from size to sequence, or function of the size
            Temperatures.
        replicates : int
            Independent runs of every point; the errors are from their spread.
        sweeps, thermalisation : int
            Sweeps measured and, before them, left out: by default a fifth of them and 100 at least.
        rng : int or Generator, optional
            Equal seeds give equal tables.

        Returns
        -------
        Dataset (point)

        Raises
        ------
        ValueError
            If an argument is out of range.
        """
        size, control = points(sizes, controls)
        positive("temperature", control)
        averages = moments(size, 1.0 / control, self.q, replicates, sweeps, thermalisation, rng)
        statistic = _Observables(size, control)
        attrs = self.describe() | seed_attrs(rng) | {"replicates": replicates, "sweeps": sweeps}
        return from_runs(size, control, averages, statistic, attrs=attrs)

    def series(
        self,
        sizes: int | Sequence[int],
        controls: float | Controls,
        *,
        replicates: int = 2,
        sweeps: int = 1000,
        thermalisation: int | None = None,
        rng: Seed = None,
    ) -> xr.Dataset:
        """Time series of ``energy`` and ``magnetisation`` per site; options as of :meth:`sample`.

        Returns
        -------
        Dataset (point, replicate, sweep)
            With coordinates ``size``, ``control`` and ``sites`` along ``point``, as
            :func:`heatcap.scaling.reweight` takes them.  One size and one control, both single
            numbers, have no dimension ``point``.
        """
        size, control, out = series(
            sizes, controls, self._coupling, self.q, replicates, sweeps, thermalisation, rng
        )
        attrs = self.describe() | seed_attrs(rng)
        return make_series(size, control, out, one=np.ndim(sizes) == 0, attrs=attrs)


def check_run(size: int, replicates: int, sweeps: int, thermalisation: int | None) -> int:
    """Validate the options of a run; returns the sweeps to leave out."""
    at_least(2, size)
    if replicates < 1 or sweeps < 1:
        raise ValueError(f"replicates and sweeps must be positive, got {replicates}, {sweeps}")
    if thermalisation is not None and thermalisation < 0:
        raise ValueError(f"thermalisation must be 0 or more, got {thermalisation}")
    return max(100, sweeps // 5) if thermalisation is None else thermalisation


def moments(
    size: Any,
    coupling: Floats,
    q: int,
    replicates: int,
    sweeps: int,
    thermalisation: int | None,
    rng: Seed,
) -> xr.DataArray:
    """Averages of every run (moment, point, replicate); the energies are those of Potts.

    `energy_spread` is taken about the mean of the point, which is the coordinate ``centre``.
    """
    seeds = states(generator(rng), size.size, replicates)
    out, centres = np.empty((len(MOMENTS), size.size, replicates)), np.empty(size.size)
    for i, (length, k) in enumerate(zip(size.tolist(), coupling.tolist(), strict=True)):
        before = check_run(length, replicates, sweeps, thermalisation)
        series = runs(length, q, k, seeds[i], sweeps=sweeps, thermalisation=before)
        out[:2, i], centres[i] = mean_and_spread(-series[0])
        out[2:, i] = series[1:].mean(axis=2)
    coords = {"moment": list(MOMENTS), "centre": ("point", centres)}
    return xr.DataArray(out, dims=("moment", "point", "replicate"), coords=coords)


def series(
    sizes: int | Sequence[int],
    controls: float | Controls,
    coupling: Callable[[Floats], Floats],
    q: int,
    replicates: int,
    sweeps: int,
    thermalisation: int | None,
    rng: Seed,
) -> tuple[Any, Floats, Floats]:
    """Sizes and controls of the points; series (energy, magnetisation; point, replicate, sweep)."""
    size, control = points(np.atleast_1d(np.asarray(sizes)).tolist(), controls)
    seeds = states(generator(rng), size.size, replicates)
    out = np.empty((2, size.size, replicates, sweeps))
    for i, (length, k) in enumerate(zip(size.tolist(), coupling(control).tolist(), strict=True)):
        before = check_run(length, replicates, sweeps, thermalisation)
        columns = runs(length, q, k, seeds[i], sweeps=sweeps, thermalisation=before)
        out[0, i], out[1, i] = -columns[0], columns[3]
    return size, control, out


def make_series(
    size: Any, control: Floats, out: Floats, *, one: bool, attrs: dict[str, Any]
) -> xr.Dataset:
    """Dataset of :func:`series`; `one` point loses its dimension."""
    dims = ("point", "replicate", "sweep")
    data = xr.Dataset(
        {"energy": (dims, out[0]), "magnetisation": (dims, out[1])},
        coords={
            "size": ("point", size),
            "control": ("point", control),
            "sites": ("point", size**2),
        },
    ).assign_attrs(attrs)
    if one and size.size == 1:
        own = {"size": int(size[0]), "control": float(control[0])}
        return data.isel(point=0).assign_attrs(own)
    return data


@dataclass(frozen=True)
class _Observables:
    """From averages (moment, point) to observables (observable, point)."""

    size: Any
    temperature: Floats

    def __call__(self, mean: xr.DataArray) -> xr.DataArray:
        energy, spread, square, fourth, magnetisation = mean.to_numpy()
        sites, shift = self.size**2, energy - mean["centre"].to_numpy()
        values = {
            "heat_capacity": sites * (spread - shift**2) / self.temperature**2,
            "energy": energy,
            "magnetisation": magnetisation,
            "susceptibility": sites * square / self.temperature,
            "binder": 1.0 - fourth / (3.0 * square**2),
        }
        return xr.DataArray(
            np.array(list(values.values())),
            dims=("observable", "point"),
            coords={"observable": list(values)},
        )
