"""Audit of a lead: does the peak precede the onset more often than by chance, and follow it?

A lead is onset - peak, in steps.  Six definitions of a heat capacity, times heads and layers, all
have maxima somewhere; this package asks of each what a referee would ask:

* do peaks come first more often than the sign test, Wilcoxon's test and a random phase allow;
* which clock does the peak follow, the onset or memorisation;
* is it there in controls, where nothing generalises;
* is its height set by the bound, a constant offset of keys, the variance of random energies;
* do its maxima sit at spikes of the loss;
* does it survive the correction for the number of curves (look-elsewhere).

:func:`audit_leads` makes all tests; each of them can be used alone.
"""

from typing import TYPE_CHECKING

from heatcap.core.lazy import lazy

if TYPE_CHECKING:
    from heatcap.attention import random_energy_heat_capacity
    from heatcap.audit.artefacts import (
        Bound,
        Control,
        Share,
        SpikeShare,
        bound,
        controls,
        offset_share,
        random_energy_ratio,
        spike_share,
    )
    from heatcap.audit.clocks import Clock, Slope, clock
    from heatcap.audit.every_test import audit_leads, holm, max_statistic
    from heatcap.audit.lead_tests import (
        LeadColumn,
        Leads,
        Precedes,
        lead_table,
        leads,
        median_with_interval,
        phase_null,
        precedes,
        records_of,
    )
    from heatcap.audit.result import Audit, LeadAudit, LookElsewhere
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "Audit",
    "Bound",
    "Clock",
    "Control",
    "LeadAudit",
    "LeadColumn",
    "Leads",
    "LookElsewhere",
    "Precedes",
    "Share",
    "Slope",
    "SpikeShare",
    "audit_leads",
    "bound",
    "clock",
    "controls",
    "holm",
    "lead_table",
    "leads",
    "max_statistic",
    "median_with_interval",
    "offset_share",
    "phase_null",
    "precedes",
    "random_energy_heat_capacity",
    "random_energy_ratio",
    "records_of",
    "spike_share",
]
