"""The one list of observables of attention: names, units, dimensions, labels and equations.

Code that computes an observable, reserves its name, labels an axis or explains it in a report reads
this list, so that a new observable is added in one place.

Symbols: E = -logit of a visible key, p its attention weight, U = sum p E the energy of one row with
n visible keys, Ē the plain mean of E over them, x the probe inputs; at the temperature of the
model, beta = 1.  Energies in logits, entropies and heat capacities in nats (k_B = 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "BOUND",
    "ENERGY",
    "ENTROPY",
    "FISHER_INFORMATION",
    "FLUCTUATIONS",
    "FREE_ENERGY",
    "HEAT_CAPACITIES",
    "HEAT_CAPACITY",
    "INPUTS",
    "KEYS",
    "LANDSCAPE",
    "LANDSCAPE_FIXED",
    "OBSERVABLES",
    "OFFSET",
    "PATH_DIMS",
    "POOLED",
    "PREFERRED",
    "ROWS",
    "SCANNED",
    "SCAN_DIMS",
    "SINGLE_KEY",
    "TABLE_DIMS",
    "TOTAL",
    "UNWEIGHTED",
    "VISIBLE_KEYS",
    "Observable",
    "error_of",
    "preferred",
    "scan_of",
    "spoken",
]

FREE_ENERGY, ENERGY, ENTROPY = "free_energy", "energy", "entropy"
HEAT_CAPACITY = "heat_capacity"
LANDSCAPE, LANDSCAPE_FIXED = "landscape_heat_capacity", "landscape_heat_capacity_fixed"
TOTAL = "total_heat_capacity"
UNWEIGHTED, OFFSET = "unweighted_heat_capacity", "offset_heat_capacity"
POOLED = "pooled_logit_variance"
VISIBLE_KEYS, FISHER_INFORMATION = "visible_keys", "fisher_information"
BOUND, KEYS, SINGLE_KEY = "heat_capacity_bound", "mean_visible_keys", "single_key"

#: Averages over the probe, one kind of inputs each; scans in temperature; paths of training.
TABLE_DIMS = ("checkpoint", "inputs", "layer", "head", "query")
SCAN_DIMS = ("checkpoint", "temperature", "layer", "head", "query")
PATH_DIMS = ("checkpoint", "layer", "head", "query")

#: Kinds of probe inputs.
INPUTS = ("all", "trained", "untrained")


@dataclass(frozen=True)
class Observable:
    """One observable.

    Attributes
    ----------
    name : str
        Name in files.
    unit : str
    dims : tuple
        Dimensions in a Dataset of one run.
    label : str
        Label of an axis, with a line break for narrow axes; "" if it is not drawn.
    equation, words : str
        Definition as an equation and in words.
    grows : str
        Whether it can grow with the size, for the report.
    """

    name: str
    unit: str
    dims: tuple[str, ...] = TABLE_DIMS
    label: str = ""
    equation: str = ""
    words: str = ""
    grows: str = ""


_FLUCTUATIONS = (
    Observable(
        HEAT_CAPACITY,
        "nat",
        label="heat capacity",
        equation="⟨β² Var_p(E)⟩_x",
        words="canonical; the only one that is dU/dT",
        grows="no further than the number of visible keys lets it: below (ln(n − 1))²/4 + 1; "
        "where n is the same at every size, so is the bound",
    ),
    Observable(
        LANDSCAPE,
        "nat",
        label="landscape\nheat capacity",
        equation="β² Var_x(U)",
        words="fluctuation of the row energy over inputs; depends on the gauge unless all inputs "
        "share the query vector",
        grows="yes",
    ),
    Observable(
        LANDSCAPE_FIXED,
        "nat",
        label="landscape heat\ncapacity fixed",
        equation="β² Var_x(U − Ē)",
        words="the landscape heat capacity in the gauge Ē = 0",
        grows="yes",
    ),
    Observable(
        TOTAL,
        "nat",
        label="total\nheat capacity",
        equation="⟨β² Var_p(E)⟩_x + β² Var_x(U)",
        words="heat capacity plus landscape heat capacity; depends on the gauge as the latter does",
        grows="yes",
    ),
    Observable(
        UNWEIGHTED,
        "nat",
        label="unweighted\nheat capacity",
        equation="β² Var_{x,j}(E)",
        words="all keys j alike, whatever their weight; mostly constant offsets of keys; "
        "depends on the gauge",
        grows="yes, without a bound",
    ),
    Observable(
        OFFSET,
        "nat",
        label="offset\nheat capacity",
        equation="β² Var_j(⟨E⟩_x)",
        words="the part of the unweighted heat capacity that is a constant offset of keys",
        grows="yes; it is that artefact by itself",
    ),
    Observable(
        POOLED,
        "nat",
        dims=("checkpoint", "inputs"),
        label="pooled\nlogit variance",
        equation="β² Var(E) over inputs, queries, heads, layers and keys at once",
        words="the unweighted heat capacity without telling heads and layers apart; offsets of "
        "heads, queries and keys count in full",
        grows="yes, without a bound",
    ),
)
#: In the order of display: the canonical one, the other heat capacities, the logit variance; their
#: peaks are searched for.
FLUCTUATIONS = tuple(observable.name for observable in _FLUCTUATIONS)
HEAT_CAPACITIES = tuple(name for name in FLUCTUATIONS if name != POOLED)

_ROWS = {
    FREE_ENERGY: "logit",
    ENERGY: "logit",
    ENTROPY: "nat",
    HEAT_CAPACITY: "nat",
    "third_cumulant": "1",
    "fourth_cumulant": "1",
    "participation_ratio": "key",
    "max_probability": "1",
    VISIBLE_KEYS: "key",
}
#: Observables of every attention row, in the order of the kernel's columns.
ROWS = tuple(_ROWS)

#: Averages of every head at every query whose peaks are not searched for.
_AVERAGES = (
    *(Observable(name, unit) for name, unit in _ROWS.items() if name != HEAT_CAPACITY),
    Observable(FISHER_INFORMATION, "logit^2"),
)

#: Observables of a temperature scan.
SCANNED = (FREE_ENERGY, ENERGY, ENTROPY, HEAT_CAPACITY, LANDSCAPE, LANDSCAPE_FIXED, TOTAL)

# Of the distributions along training (fisher) or along the layers (depth).  The time is the step,
# ln step or the layer; the action takes F as a number in 1/time^2, and so depends on which it is.
_PATH = {
    **dict.fromkeys(("distance", "length", "geodesic", "detour"), "1"),
    "speed": "1/time",
    "kinetic": "1/time^2",
    "potential": "logit",
    "action": "1/time",
}


def error_of(name: str) -> str:
    """Name the standard error of an observable, which is due to the sampling of the probe."""
    return f"{name}_error"


def scan_of(name: str) -> str:
    """Name an observable in a temperature scan."""
    return f"scan_{name}"


def _every() -> Iterable[Observable]:
    pooled = [fluctuation for fluctuation in _FLUCTUATIONS if fluctuation.name == POOLED]
    averages = (*_AVERAGES, *(other for other in _FLUCTUATIONS if other not in pooled))
    yield from averages
    # Not all errors and scans are computed, but all their names are reserved.
    yield from (Observable(error_of(average.name), average.unit) for average in averages)
    yield from (Observable(scan_of(average.name), average.unit, SCAN_DIMS) for average in averages)
    for name, unit in _PATH.items():
        for path in ("fisher", "depth"):
            yield Observable(f"{path}_{name}", unit, PATH_DIMS)
        yield Observable(f"depth_{name}_head_average", unit, ("checkpoint", "layer", "query"))
    yield Observable(BOUND, "nat", ("query",))
    yield Observable(KEYS, "key", ("query",))
    yield Observable(SINGLE_KEY, "1", ("query",))
    yield from pooled


#: All of them by name.
OBSERVABLES = {observable.name: observable for observable in _every()}

#: One observable of each kind, the better first: the others nearly coincide with it.
PREFERRED = ((HEAT_CAPACITY,), (LANDSCAPE_FIXED, LANDSCAPE), (UNWEIGHTED,))


def preferred(have: Iterable[str]) -> tuple[str, ...]:
    """Select one observable of each kind of fluctuation, the first that is available."""
    have = set(have)
    firsts = (next((name for name in group if name in have), None) for group in PREFERRED)
    return tuple(name for name in firsts if name)


def spoken(name: str) -> str:
    """Write a name as in a sentence, with spaces."""
    return name.replace("_", " ").replace(", layer ", " in layer ")
