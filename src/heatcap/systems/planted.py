"""Synthetic tables with planted parameters: scaling function, exponents, corrections, noise.

    A(L, x) = L^exponent f((x - x_c) L^(1/nu)) (1 + b L^(-omega)) + noise

The noise is Gaussian, relative to A or absolute, and may be correlated between the points of one
size (as when one simulation is reweighted to many temperatures).  Use it to measure bias and
coverage of a fit; the parameters are in the attributes of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from heatcap.core.arrays import Floats
from heatcap.systems.clusters import Seed, generator, seed_attrs
from heatcap.systems.system import ExactSystem
from heatcap.systems.table import Controls, make_table, points

__all__ = ["FUNCTIONS", "Planted"]

Curve = Callable[[Floats], ArrayLike]

FUNCTIONS: dict[str, Curve] = {
    "binder": lambda z: 0.6107 / (1.0 + 0.9 * np.exp(-1.7 * z)),
    "order_parameter": lambda z: 1.0 + np.tanh(0.8 * z) + 0.1 * np.tanh(0.4 * z - 1.0),
    "peak": lambda z: 0.2 + np.exp(-0.5 * (z - 0.3) ** 2 / 1.4**2) + 0.1 * np.tanh(z),
    "lorentzian": lambda z: 1.0 / (1.0 + (z - 0.4) ** 2),
}
"""Scaling functions of z = (x - x_c) L^(1/nu): a step, an order parameter and two peaks."""


@dataclass(frozen=True)
class Planted(ExactSystem):
    """A perfect collapse with given parameters, and noise.

    Attributes
    ----------
    function : str or callable
        One of :data:`FUNCTIONS`, or f itself.
    x_c, inverse_nu, exponent : float
        Critical control, 1/nu and the exponent of the size (zeta/nu).
    correction, omega : float
        b and omega of the factor 1 + b L^(-omega).
    noise : float
        Standard deviation, in units of \\|A\\| if `relative`; 0 gives exact values.
    relative : bool
    correlation : float
        Correlation of the noise of two points of the same size, from 0 to 1.
    """

    name = "planted"
    control_name = "control x"
    observables = ("value",)
    transition = "second order"

    function: str | Curve = "binder"
    x_c: float = 1.0
    inverse_nu: float = 1.0
    exponent: float = 0.0
    correction: float = 0.0
    omega: float = 1.0
    noise: float = 0.01
    relative: bool = True
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.function, str) and self.function not in FUNCTIONS:
            raise ValueError(
                f"function must be callable or one of {sorted(FUNCTIONS)}, got {self.function!r}"
            )
        if self.noise < 0.0:
            raise ValueError(f"noise must be 0 or more, got {self.noise}")
        if not 0.0 <= self.correlation <= 1.0:
            raise ValueError(f"correlation must lie between 0 and 1, got {self.correlation}")
        if self.inverse_nu == 0.0:
            raise ValueError("inverse_nu must not be 0: nothing would scale")

    @property
    def critical_point(self) -> float:
        """Critical control x_c."""
        return self.x_c

    @property
    def nu(self) -> float:
        """Exponent of the correlation length, 1 / inverse_nu."""
        return 1.0 / self.inverse_nu

    def columns(self, size: int, control: Floats) -> dict[str, Floats]:
        """A without noise, at one size."""
        curve = FUNCTIONS[self.function] if isinstance(self.function, str) else self.function
        z = (control - self.x_c) * size**self.inverse_nu
        factor = size**self.exponent * (1.0 + self.correction * size**-self.omega)
        return {"value": factor * np.asarray(curve(z), dtype=np.float64)}

    def describe(self) -> dict[str, Any]:
        """Collect the attributes of every system; a callable is given by its name."""
        name = self.function if isinstance(self.function, str) else repr(self.function)
        return super().describe() | {"function": name, "relative": int(self.relative)}

    def grid(self, size: int, *, width: float = 2.0, count: int = 21) -> Floats:
        """Controls of one size with \\|z\\| <= `width`.

        The method itself can be passed as `controls`.
        """
        return np.asarray(self.x_c + np.linspace(-width, width, count) * size**-self.inverse_nu)

    def sample(
        self,
        sizes: Sequence[int],
        controls: Controls,
        *,
        replicates: int | None = None,
        rng: Seed = None,
    ) -> xr.Dataset:
        """Sample a table with noise.

        Parameters
        ----------
        sizes, controls
            As for :meth:`exact`.
        replicates : int, optional
            Independent measurements behind each value: the error is then estimated from their
            spread, as it would be in an experiment.  Without replicates it is the true one.
        rng : int or Generator, optional
            Equal seeds give equal tables.

        Returns
        -------
        Dataset (point)
            ``value``, ``value_error``, with replicates ``value_replicates``, and for correlated
            noise the true ``value_covariance`` (point, point_2).

        Raises
        ------
        ValueError
            As :meth:`exact`; or for fewer than 2 replicates.
        """
        if replicates is not None and replicates < 2:
            raise ValueError(f"replicates must be at least 2 for an error, got {replicates}")
        size, control = points(sizes, controls)
        truth = self.exact(sizes, controls)["value"].to_numpy()
        sigma = self.noise * (np.abs(truth) if self.relative else np.ones_like(truth))
        draws = self._normal(size, replicates or 1, generator(rng))
        attrs = self.describe() | seed_attrs(rng)
        if replicates is None:
            noisy = truth + sigma * draws[:, 0]
            table = make_table(size, control, {"value": noisy}, {"value": sigma}, attrs=attrs)
        else:
            runs = truth[:, None] + sigma[:, None] * np.sqrt(replicates) * draws
            error = runs.std(axis=1, ddof=1) / np.sqrt(replicates)
            table = make_table(
                size,
                control,
                {"value": runs.mean(axis=1)},
                {"value": error},
                replicates={"value": runs},
                attrs=attrs | {"replicates": replicates},
            )
        if self.correlation > 0.0:
            table["value_covariance"] = (("point", "point_2"), self._covariance(size, sigma))
        return table

    def _normal(self, size: NDArray[np.int64], count: int, rng: np.random.Generator) -> Floats:
        """Standard normal numbers (point, count), correlated within a size."""
        _, group = np.unique(size, return_inverse=True)
        independent = rng.standard_normal((size.size, count))
        shared = rng.standard_normal((group.max() + 1, count))[group]
        return np.asarray(
            np.sqrt(1.0 - self.correlation) * independent + np.sqrt(self.correlation) * shared
        )

    def _covariance(self, size: NDArray[np.int64], sigma: Floats) -> Floats:
        same = size[:, None] == size
        rho = np.where(same, self.correlation, 0.0)
        np.fill_diagonal(rho, 1.0)
        return np.asarray(rho * sigma[:, None] * sigma)
