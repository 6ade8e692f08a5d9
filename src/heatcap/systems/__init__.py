"""Model systems with known critical points and exponents, for tests and calibration.

    table = SYSTEMS["ising2d"].sample([16, 32], [0.43, 0.44, 0.45], rng=1)
    table = Ising2DExact().exact([16, 32], {16: t_16, 32: t_32})
    write("potts3", "potts.nc", [8, 16], [0.98, 1.0, 1.02], rng=1)

Exact: :class:`TwoLevel`, :class:`RandomEnergy`, :class:`Ising1D`, :class:`Ising2DExact`,
:class:`CurieWeiss`.  Sampled: :class:`Ising2D`, :class:`Potts`, :class:`XY`,
:class:`Percolation`.  :class:`Planted` is both.  Each gives the table of
:mod:`heatcap.systems.table`, with the known answers as its attributes.  J = k_B = 1; energies and
heat capacities are per site; the control is a temperature, a coupling or a probability, as
`control_name` says.  Take the exact systems for bias of a fit, the sampled ones for realistic
errors, `Planted` for any scaling function.
"""

from typing import TYPE_CHECKING

from heatcap.core.lazy import lazy

if TYPE_CHECKING:
    from heatcap.systems.clusters import SpinSystem
    from heatcap.systems.exact import CurieWeiss, Ising1D, Ising2DExact, RandomEnergy, TwoLevel
    from heatcap.systems.percolation import Percolation
    from heatcap.systems.planted import Planted
    from heatcap.systems.potts import Ising2D, Potts
    from heatcap.systems.registry import SYSTEMS, tabulate, write
    from heatcap.systems.shipped import EXAMPLES, Example, example
    from heatcap.systems.spanning import spanning_counts
    from heatcap.systems.system import ExactSystem, SampledSystem, System
    from heatcap.systems.table import to_csv, to_frame
    from heatcap.systems.xy import XY, weber_minnhagen
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "EXAMPLES",
    "SYSTEMS",
    "XY",
    "CurieWeiss",
    "ExactSystem",
    "Example",
    "Ising1D",
    "Ising2D",
    "Ising2DExact",
    "Percolation",
    "Planted",
    "Potts",
    "RandomEnergy",
    "SampledSystem",
    "SpinSystem",
    "System",
    "TwoLevel",
    "example",
    "spanning_counts",
    "tabulate",
    "to_csv",
    "to_frame",
    "weber_minnhagen",
    "write",
]
