"""Observables of runs: one labelled Dataset for all runs of a sweep.

`observe` computes them from run files, `read_scalars` reads them from tables of other programs,
`join` merges several Datasets; `save` and `load` are their NetCDF file.  Energies are in logits,
entropies and heat capacities in nats (k_B = 1), times in training steps.
"""

from typing import TYPE_CHECKING

from heatcap.core.lazy import lazy

if TYPE_CHECKING:
    from heatcap.observables.dataset import SCHEMA_VERSION, load, save
    from heatcap.observables.observing import observe
    from heatcap.observables.scalars import read_scalars
    from heatcap.observables.side_by_side import join
else:
    __getattr__ = lazy(__name__)

__all__ = ["SCHEMA_VERSION", "join", "load", "observe", "read_scalars", "save"]
