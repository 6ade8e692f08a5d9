"""Base classes of the systems: name, control and known answers.

`System` holds the critical point and the exponents; `ExactSystem` adds a formula for every size,
`SampledSystem` Monte Carlo runs.  J = k_B = 1.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from heatcap.core.arrays import Floats
from heatcap.systems.table import Controls, make_table, points

__all__ = ["ANSWERS", "ExactSystem", "SampledSystem", "System"]


LARGEST_EDGE = 2**15  # of a lattice, whose 10^9 sites are the most that memory holds

ANSWERS = ("critical_point", "nu", "alpha_over_nu", "beta_over_nu", "gamma_over_nu")
"""Known answers: the control at the transition, and the exponents of the size."""


@dataclass(frozen=True)
class System(ABC):
    """A system with known answers; an answer that is not defined is None.

    Attributes
    ----------
    control_name : str
        Quantity and symbol of the control.
    observables : tuple of str
        Names of the columns of its table.
    """

    control_name: ClassVar[str]
    observables: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the system, the key in :data:`heatcap.systems.SYSTEMS`."""

    @property
    def transition(self) -> str:
        """Second order, first order, Kosterlitz-Thouless or none."""
        return "none"

    @property
    def critical_point(self) -> float | None:
        """Control at the transition of the infinite system."""
        return None

    @property
    def nu(self) -> float | None:
        """Exponent of the correlation length: controls scale as (x - x_c) L^(1/nu)."""
        return None

    @property
    def alpha_over_nu(self) -> float | None:
        """Exponent of the size in the heat capacity; 0 is a logarithm (or a jump)."""
        return None

    @property
    def beta_over_nu(self) -> float | None:
        """Exponent of the order parameter, which scales as L^(-beta/nu)."""
        return None

    @property
    def gamma_over_nu(self) -> float | None:
        """Exponent of the size in the susceptibility."""
        return None

    def answers(self) -> dict[str, float]:
        """Collect the :data:`ANSWERS` that are defined."""
        values = {name: getattr(self, name) for name in ANSWERS}
        return {name: float(value) for name, value in values.items() if value is not None}

    def describe(self) -> dict[str, Any]:
        """Collect name, control, transition, parameters and answers: attributes of a table."""
        identity = {"system": self.name, "control_name": self.control_name}
        parameters = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return identity | {"transition": self.transition} | parameters | self.answers()


@dataclass(frozen=True)
class ExactSystem(System):
    """A system with a formula for every size."""

    @abstractmethod
    def columns(self, size: int, control: Floats) -> dict[str, Floats]:
        """Observables of one size at an array of controls."""

    def exact(self, sizes: Sequence[int], controls: Controls) -> xr.Dataset:
        """Compute a table of exact values, without errors.

        Parameters
        ----------
        sizes : sequence of int
        controls : sequence, mapping from size to sequence, or function of the size

        Returns
        -------
        Dataset (point)
            See :mod:`heatcap.systems.table`.

        Raises
        ------
        ValueError
            If a size or a control is out of range.
        """
        size, control = points(sizes, controls)
        columns: dict[str, Floats] = {name: np.empty(size.size) for name in self.observables}
        for one_size in np.unique(size):
            here = size == one_size
            for name, values in self.columns(int(one_size), control[here]).items():
                columns[name][here] = values
        return make_table(size, control, columns, attrs=self.describe())

    def _maximum(
        self, size: int, bounds: tuple[float, float], name: str = "heat_capacity"
    ) -> tuple[float, float]:
        """Control and height of the maximum of an observable between `bounds`."""
        return maximum(lambda x: self.columns(size, x)[name], bounds)


@dataclass(frozen=True)
class SampledSystem(System):
    """A system that is sampled by independent runs, each with its own thermalisation."""

    sample: ClassVar[Callable[..., xr.Dataset]]


def maximum(curve: Callable[[Floats], Floats], bounds: tuple[float, float]) -> tuple[float, float]:
    """Find position and height of the highest maximum of a smooth curve, at positive x."""
    grid = np.geomspace(*bounds, 65)
    top = int(np.clip(np.argmax(curve(grid)), 1, grid.size - 2))
    fit = minimize_scalar(
        lambda x: -float(curve(np.array([x]))[0]),
        bounds=(grid[top - 1], grid[top + 1]),
        method="bounded",
        options={"xatol": 1e-12 * grid[top]},
    )
    return float(fit.x), -float(fit.fun)


def positive(name: str, values: ArrayLike) -> None:
    """Raise unless every control is positive and finite."""
    array = np.asarray(values, dtype=np.float64)
    if not np.all((array > 0) & np.isfinite(array)):
        raise ValueError(f"{name} must be positive and finite, got {np.min(array):g}")


def at_least(least: int, size: int, most: int | None = None) -> None:
    """Raise unless a size is large enough for its system, and not too large for memory."""
    if size < least:
        raise ValueError(f"size must be at least {least}, got {size}")
    if most is not None and size > most:
        raise ValueError(f"size must be at most {most}, got {size:g}")
