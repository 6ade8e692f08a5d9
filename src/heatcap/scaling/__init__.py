"""Finite-size scaling: critical points and exponents from measurements at several sizes.

`Points` hold the value A(L, x) of an observable at size L and control x with its standard error;
`points` makes them from arrays, `read_table` from files.  Then

* `collapse` fits x_c and the exponents to whole curves;
* `crossings` extrapolates where curves of a dimensionless quantity (Binder's cumulant) meet;
* `extrema` and `peaks_against_size` follow positions and heights of maxima;
* `thresholds` locates where the share of successes crosses a level, from counts;
* `power_law` fits exponent, amplitude and limit of values against a size or a field, `crossover`
  two power laws that are joined;
* `stiffness` fits a Kosterlitz-Thouless transition to the helicity modulus;
* `reweight` and `barriers` start from energy series of Monte Carlo runs;
* `transition_order` compares the evidence of all of them.

k_B = 1; sizes and controls keep the user's units.  Each result has a `status` and a `message`: a
parameter counts only where the status is "ok".
"""

from typing import TYPE_CHECKING

from heatcap.core.lazy import lazy

if TYPE_CHECKING:
    from heatcap.core.result import Parameter
    from heatcap.scaling.ansatz import (
        ANSATZE,
        Ansatz,
        first_order,
        kosterlitz_thouless,
        second_order,
        with_crossover,
        with_logarithms,
    )
    from heatcap.scaling.collapsing import Collapse, collapse
    from heatcap.scaling.counts import Threshold, Thresholds, thresholds
    from heatcap.scaling.crossing import Crossings, crossings
    from heatcap.scaling.data import Points, points, read_table
    from heatcap.scaling.histogram import Barriers, barriers
    from heatcap.scaling.jump import Stiffness, stiffness
    from heatcap.scaling.order import Evidence, Order, transition_order
    from heatcap.scaling.peaks import Extrema, PeakScaling, extrema, peaks_against_size
    from heatcap.scaling.power_laws import PowerLaw, power_law
    from heatcap.scaling.reweighting import energy_series, reweight
    from heatcap.scaling.two_powers import Crossover, crossover
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "ANSATZE",
    "Ansatz",
    "Barriers",
    "Collapse",
    "Crossings",
    "Crossover",
    "Evidence",
    "Extrema",
    "Order",
    "Parameter",
    "PeakScaling",
    "Points",
    "PowerLaw",
    "Stiffness",
    "Threshold",
    "Thresholds",
    "barriers",
    "collapse",
    "crossings",
    "crossover",
    "energy_series",
    "extrema",
    "first_order",
    "kosterlitz_thouless",
    "peaks_against_size",
    "points",
    "power_law",
    "read_table",
    "reweight",
    "second_order",
    "stiffness",
    "thresholds",
    "transition_order",
    "with_crossover",
    "with_logarithms",
]
