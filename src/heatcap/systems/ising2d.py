"""The Ising model on the L x L torus, sampled; :mod:`heatcap.systems.ising2d_exact` is its check.

E = -sum_<ij> s_i s_j, J = k_B = 1; the control is the coupling K = 1/T, all per site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from heatcap.core.arrays import Floats
from heatcap.systems.ising2d_exact import CRITICAL_COUPLING
from heatcap.systems.potts import make_series, moments, series
from heatcap.systems.sampling import Seed, seed_attrs
from heatcap.systems.system import SampledSystem, positive
from heatcap.systems.table import Controls, from_runs, points

__all__ = ["Ising2D"]


@dataclass(frozen=True)
class Ising2D(SampledSystem):
    """Swendsen-Wang with improved estimators, see :mod:`heatcap.systems.swendsen_wang`.

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
        """Averages over independent runs at couplings K; see :meth:`heatcap.systems.Potts.sample`.

        Raises
        ------
        ValueError
            If an argument is out of range.
        """
        size, control = points(sizes, controls)
        positive("coupling", control)
        # Two states: s s' = 2 delta - 1, so that the coupling of Potts is 2 K.
        averages = moments(size, 2.0 * control, 2, replicates, sweeps, thermalisation, rng)
        attrs = self.describe() | seed_attrs(rng) | {"replicates": replicates, "sweeps": sweeps}
        return from_runs(size, control, averages, _Observables(size, control), attrs=attrs)

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
        """Time series of energy and |m| per site; see :meth:`heatcap.systems.Potts.series`."""
        size, control, out = series(
            sizes, controls, self._coupling, 2, replicates, sweeps, thermalisation, rng
        )
        out[0] = 2.0 * out[0] + 2.0
        attrs = self.describe() | seed_attrs(rng)
        return make_series(size, control, out, one=np.ndim(sizes) == 0, attrs=attrs)

    @staticmethod
    def _coupling(coupling: Floats) -> Floats:
        positive("coupling", coupling)
        return 2.0 * coupling


@dataclass(frozen=True)
class _Observables:
    """From averages (moment, point) to observables (observable, point)."""

    size: Any
    coupling: Floats

    def __call__(self, mean: xr.DataArray) -> xr.DataArray:
        energy, spread, square, fourth, magnetisation = mean.to_numpy()
        sites, shift = self.size**2, energy - mean["centre"].to_numpy()
        values = {
            "heat_capacity": 4.0 * self.coupling**2 * sites * (spread - shift**2),
            "energy": 2.0 * energy + 2.0,
            "magnetisation": magnetisation,
            "susceptibility": self.coupling * sites * square,
            "connected_susceptibility": self.coupling * sites * (square - magnetisation**2),
            "binder": 1.0 - fourth / (3.0 * square**2),
        }
        return xr.DataArray(
            np.array(list(values.values())),
            dims=("observable", "point"),
            coords={"observable": list(values)},
        )
