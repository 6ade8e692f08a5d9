"""The canonical ensemble of attention: a query row is a system, its keys are the states.

:func:`canonical` and :func:`heat_capacities` take logits in memory; `heatcap.observe`, which works
through a run file in bounded memory, calls the same kernels.
"""

from typing import TYPE_CHECKING

from heatcap.core.lazy import lazy

if TYPE_CHECKING:
    from heatcap.attention.bounds import (
        bound_asymptote,
        heat_capacity_bound,
        random_energy_heat_capacity,
    )
    from heatcap.attention.ensemble import (
        canonical,
        fisher_distance,
        heat_capacities,
        path_geometry,
    )
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "bound_asymptote",
    "canonical",
    "fisher_distance",
    "heat_capacities",
    "heat_capacity_bound",
    "path_geometry",
    "random_energy_heat_capacity",
]
