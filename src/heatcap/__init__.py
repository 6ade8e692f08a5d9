"""Is that peak a phase transition, or a crossover?  Thermodynamics of attention, from saved runs.

    import heatcap as hc

    runs = hc.open_runs("data/grokking/runs")
    obs = hc.observe(runs)
    events = hc.find_events(obs, "landscape_heat_capacity")

Importing is cheap: each name is loaded where it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heatcap.ensemble import canonical, heat_capacities, heat_capacity_bound
    from heatcap.events import Events, find_events
    from heatcap.observables import load, observe, save
    from heatcap.runfile import RunFileError, Runs, RunWriter, open_run, open_runs

__version__ = "0.1.0"

_HOME = {
    "Events": "events",
    "RunFileError": "runfile",
    "RunWriter": "runfile",
    "Runs": "runfile",
    "canonical": "ensemble",
    "find_events": "events",
    "heat_capacities": "ensemble",
    "heat_capacity_bound": "ensemble",
    "load": "observables",
    "observe": "observables",
    "open_run": "runfile",
    "open_runs": "runfile",
    "save": "observables",
}

__all__ = [
    "Events",
    "RunFileError",
    "RunWriter",
    "Runs",
    "canonical",
    "find_events",
    "heat_capacities",
    "heat_capacity_bound",
    "load",
    "observe",
    "open_run",
    "open_runs",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'heatcap' has no attribute {name!r}")
    return getattr(importlib.import_module(f"heatcap.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
