"""Names of observables as they are read: one for each, in sentences, tables and figures alike."""

from __future__ import annotations

__all__ = ["LABEL", "spoken"]

# With line breaks for the narrow axes of figures; spoken() without them.
LABEL = {
    "heat_capacity": "heat capacity",
    "landscape_heat_capacity": "landscape\nheat capacity",
    "landscape_heat_capacity_fixed": "landscape heat\ncapacity fixed",
    "total_heat_capacity": "total\nheat capacity",
    "unweighted_heat_capacity": "unweighted\nheat capacity",
    "offset_heat_capacity": "offset\nheat capacity",
}


def spoken(name: str) -> str:
    """A name as it stands in a sentence."""
    return name.replace("_", " ").replace(", layer ", " in layer ")
