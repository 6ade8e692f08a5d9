"""What :func:`heatcap.audit.audit_leads` returns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from heatcap.audit.artefacts import Bound, Share, SpikeShare
from heatcap.audit.clocks import Clock
from heatcap.audit.control_runs import Control
from heatcap.audit.lead_tests import Leads, Precedes
from heatcap.core.result import plain
from heatcap.events import Column, OnsetSurvival, PeaksBySize

__all__ = ["Audit", "LeadAudit", "LookElsewhere"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class LookElsewhere:
    """One curve among all that were looked at.

    `holm_p` corrects the sign test for the other observables and layers, `max_statistic_p` tests
    the pairing of peaks and onsets against the best of all `curves` (observables, layers, heads).
    `heads`: one row per head, with Holm's correction over all heads of all observables.
    """

    observables: int
    curves: int
    holm_p: float
    max_statistic_p: float
    heads: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class LeadAudit:
    """All that was asked of the lead of one observable in one layer.

    `order` is "first" or "later" where all tests of the order agree at 5 %, after Holm's
    correction (:func:`heatcap.audit.conclusion.order_of`); "undecided" otherwise.  `against` lists
    what speaks against calling such a peak a precursor: clock, offset, spikes, controls.
    `other_maxima` counts the runs that have a lower maximum as well, by where it lies.
    `conclusion` says it in words that claim no more.
    """

    observable: str
    layer: Any
    pooled: Leads
    by_size: list[Leads]
    precedes: Precedes
    clock: Clock
    spikes: SpikeShare
    controls: list[Control]
    bound: Bound
    offset: Share
    random_energy: Share
    look_elsewhere: LookElsewhere
    peaks: PeaksBySize
    other_maxima: dict[str, int] = field(default_factory=dict)
    order: str = "undecided"
    against: list[str] = field(default_factory=list)
    conclusion: str = ""

    @property
    def precursor(self) -> bool:
        """Whether everything that was asked of a precursor of generalisation was tested and holds.

        It comes first, its time follows the onset, nothing speaks against it, and in controls it is
        absent, lower or later.
        """
        follows = self.clock.follows == "onset" and not self.against
        cleared = self.control_verdict in ("absent", "lower", "later")
        return self.order == "first" and follows and cleared

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, None where a number does not exist."""
        pooled = self.pooled
        content = {
            "layer": self.layer,
            "runs": pooled.runs,
            "censored": pooled.censored,
            "with_peak": pooled.with_peak,
            "highest_at_end": pooled.highest_at_end,
            "median_lead": {
                "value": pooled.median,
                "ci95": pooled.ci95,
                "runs": pooled.compared,
                "censored": pooled.censored,
                "median_log": pooled.median_log,
                "log_ci95": pooled.log_ci95,
            },
            "leads_by_size": self.by_size,
            "precedes": plain(self.precedes)
            | {"first": pooled.first, "unresolved": pooled.unresolved, "later": pooled.later},
            "clock": self.clock,
            "spikes": self.spikes,
            "controls": {"verdict": self.control_verdict, "groups": self.controls},
            "bound": self.bound,
            "offset": self.offset,
            "random_energy": self.random_energy,
            "look_elsewhere": self.look_elsewhere,
            "other_maxima": self.other_maxima,
            "peaks_by_size": self.peaks,
            "order": self.order,
            "against": self.against,
            "precursor": self.precursor,
            "conclusion": self.conclusion,
        }
        return dict(plain(content))

    @property
    def control_verdict(self) -> str:
        """The worst of the controls: "present" before what is open, before what clears."""
        verdicts = [control.verdict for control in self.controls]
        order = ("present", "open", "earlier", "too few runs", "later", "lower", "absent")
        return next((v for v in order if v in verdicts), "not tested")


@dataclass(frozen=True, eq=False)
class Audit:
    """The audit of all observables.

    Attributes
    ----------
    leads : dict
        :class:`LeadAudit` by name: that of the observable, with the layer where there are several.
    runs : DataFrame
        Those of the events.
    onsets : OnsetSurvival
        Onset times with censoring, per size.
    not_tested : list of str
        What the record lacks.
    settings : dict
        Those of the events, and the seed of the permutations.
    """

    leads: Mapping[str, LeadAudit]
    runs: pd.DataFrame
    onsets: OnsetSurvival
    not_tested: list[str]
    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON (the content of AUDIT.json)."""
        groups = self.runs[Column.GROUP].value_counts().to_dict()
        return {
            "schema_version": SCHEMA_VERSION,
            "settings": plain(self.settings),
            "runs": {
                "total": len(self.runs),
                "groups": {str(k): int(v) for k, v in groups.items()},
                Column.MIRROR_LEAK: int(self.runs[Column.MIRROR_LEAK].eq(True).sum()),
            },
            "onsets": self.onsets.to_dict(),
            "not_tested": list(self.not_tested),
            "observables": {name: lead.to_dict() for name, lead in self.leads.items()},
        }

    def summary(self) -> str:
        """The conclusion on each observable, then what was not tested, in lines of 100 columns."""
        said = [lead.conclusion for lead in self.leads.values()]
        if self.not_tested:
            said.append("Not tested: " + "; ".join(self.not_tested) + ".")
        return "\n".join(textwrap.fill(text, 100, subsequent_indent="    ") for text in said)

    def __repr__(self) -> str:
        return f"<heatcap.Audit: {len(self.leads)} observables; see .summary()>"
