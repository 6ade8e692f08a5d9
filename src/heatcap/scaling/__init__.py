"""Finite-size scaling: collapse of data from several sizes, with errors that mean something."""

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
from heatcap.scaling.crossing import Crossings, crossings
from heatcap.scaling.data import Points, points, read_table
from heatcap.scaling.histogram import Barriers, barriers
from heatcap.scaling.jump import Stiffness, stiffness
from heatcap.scaling.order import Evidence, Order, transition_order
from heatcap.scaling.peaks import Extrema, PeakScaling, extrema, peaks_against_size
from heatcap.scaling.reweighting import energy_series, reweight

__all__ = [
    "ANSATZE",
    "Ansatz",
    "Barriers",
    "Collapse",
    "Crossings",
    "Evidence",
    "Extrema",
    "Order",
    "Parameter",
    "PeakScaling",
    "Points",
    "Stiffness",
    "barriers",
    "collapse",
    "crossings",
    "energy_series",
    "extrema",
    "first_order",
    "kosterlitz_thouless",
    "peaks_against_size",
    "points",
    "read_table",
    "reweight",
    "second_order",
    "stiffness",
    "transition_order",
    "with_crossover",
    "with_logarithms",
]
