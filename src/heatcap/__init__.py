"""Is that peak a phase transition, or a crossover?  Thermodynamics of attention, from saved runs.

    import heatcap as hc

    runs = hc.open_runs("data/grokking/runs")
    obs = hc.observe(runs)
    events = hc.find_events(obs, "landscape_heat_capacity")

Importing is cheap: each name is loaded where it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heatcap.core.lazy import lazy
from heatcap.core.version import VERSION

if TYPE_CHECKING:
    from heatcap.attention import canonical, heat_capacities, heat_capacity_bound
    from heatcap.audit import Audit, audit_leads
    from heatcap.divergence import (
        Calibration,
        Margins,
        PeakMargins,
        PeakVerdict,
        Verdict,
        calibrate,
        divergence_test,
        peak_test,
        verdict_of_runs,
    )
    from heatcap.events import Events, find_events, peaks_by_size
    from heatcap.observables import join, load, observe, read_scalars, save
    from heatcap.report import Report, build_report
    from heatcap.resampling import Estimate, bootstrap, gamma_method, jackknife
    from heatcap.runfile import RunFileError, Runs, RunWriter, open_run, open_runs
    from heatcap.scaling import (
        Collapse,
        collapse,
        crossings,
        crossover,
        extrema,
        power_law,
        read_table,
        stiffness,
        thresholds,
        transition_order,
    )
    from heatcap.systems import example
else:
    __getattr__ = lazy(__name__)

__version__ = VERSION

__all__ = [
    "Audit",
    "Calibration",
    "Collapse",
    "Estimate",
    "Events",
    "Margins",
    "PeakMargins",
    "PeakVerdict",
    "Report",
    "RunFileError",
    "RunWriter",
    "Runs",
    "Verdict",
    "audit_leads",
    "bootstrap",
    "build_report",
    "calibrate",
    "canonical",
    "collapse",
    "crossings",
    "crossover",
    "divergence_test",
    "example",
    "extrema",
    "find_events",
    "gamma_method",
    "heat_capacities",
    "heat_capacity_bound",
    "jackknife",
    "join",
    "load",
    "observe",
    "open_run",
    "open_runs",
    "peak_test",
    "peaks_by_size",
    "power_law",
    "read_scalars",
    "read_table",
    "save",
    "stiffness",
    "thresholds",
    "transition_order",
    "verdict_of_runs",
]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
