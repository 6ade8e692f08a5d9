"""What :func:`heatcap.audit.audit_leads` returns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from heatcap.audit.artefacts import Bound, Share, SpikeShare
from heatcap.audit.clocks import Clock
from heatcap.audit.control_runs import Control
from heatcap.audit.lead_tests import Leads, Precedes
from heatcap.core.quantities import spoken
from heatcap.core.result import Caution, Result, plain
from heatcap.events import Column, OnsetSurvival, PeaksBySize
from heatcap.events.cautions import SPIKES

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
class Audit(Result):
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

    def cautions(self) -> list[Caution]:
        """What could mislead a reader of these leads."""
        parts = (_bound, _at_spikes, _at_end, _not_controls, _untested)
        return [each for part in parts for each in part(self)]

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

    def _lines(self) -> list[str]:
        """The conclusion on each observable, then what was not tested, in lines of 100 columns."""
        said = [lead.conclusion for lead in self.leads.values()]
        if self.not_tested:
            said.append("Not tested: " + "; ".join(self.not_tested) + ".")
        return [textwrap.fill(text, 100, subsequent_indent="    ") for text in said]

    def __repr__(self) -> str:
        return f"<heatcap.Audit: {len(self.leads)} observables; see .summary()>"


def _bound(audit: Audit) -> Iterator[Caution]:
    tested = {k: lead for k, lead in audit.leads.items() if lead.bound.tested}
    if not tested:
        return
    name, lead = max(tested.items(), key=lambda item: item[1].bound.reached)
    reached = (
        f"The highest peak of {spoken(name)} in a single run proper reaches "
        f"{lead.bound.reached:.0%} of {lead.bound.bound:.3g}, the most that its number of visible "
        "keys allows"
    )
    if lead.bound.within_reach:
        yield Caution("Bound in reach", reached + ": part of its shape is that of the bound.")
    if lead.bound.same_for_all_sizes and len(lead.by_size) > 1:
        yield Caution(
            "Bound the same for all sizes",
            f"{reached}, at every size: it cannot diverge, and a height that saturates is no "
            "finding.",
        )


def _at_end(audit: Audit) -> Iterator[Caution]:
    at = [
        f"{lead.pooled.highest_at_end} of {lead.pooled.runs} for {spoken(name)}"
        for name, lead in audit.leads.items()
        if lead.pooled.highest_at_end
    ]
    if at:
        yield Caution(
            "Highest at an end",
            "Curves that are highest at an end of their record have no peak yet; longer records "
            "could give them one: " + "; ".join(at) + ".",
        )


def _not_controls(audit: Audit) -> Iterator[Caution]:
    """Runs of a control that do generalise: the same ones for every observable."""
    leads = audit.leads.values()
    for control in next((lead.controls for lead in leads), []):
        if control.generalising:
            every = control.runs + control.generalising
            yield Caution(
                "Controls that generalise",
                f"{control.generalising} of {every} runs with {spoken(control.name)} do generalise "
                f"and are no controls: {control.runs} are left to compare with.",
            )


def _untested(audit: Audit) -> Iterator[Caution]:
    lacks = audit.not_tested
    controls = [each for each in lacks if each.startswith("controls")]
    others = [each for each in lacks if not each.startswith("controls")]
    if controls:
        yield Caution(
            "No controls",
            "There are no runs in which nothing can generalise (random labels, weight decay 0): "
            "whether the same peak is there too is not tested.",
        )
    if others:
        yield Caution(
            "Not tested", "The record lacks what is needed for: " + "; ".join(others) + "."
        )


def _at_spikes(audit: Audit) -> Iterator[Caution]:
    at = [
        f"{lead.spikes.at_spike} of {lead.spikes.maxima} of {spoken(name)} (base rate "
        f"{lead.spikes.base_rate:.1%}" + (", so they explain it)" if lead.spikes.explain else ")")
        for name, lead in audit.leads.items()
        if lead.spikes.at_spike
    ]
    if at:
        yield Caution(SPIKES, f"Of the maxima before smoothing lie at a spike: {'; '.join(at)}.")
