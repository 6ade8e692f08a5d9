"""Result of :func:`heatcap.audit.audit_leads`: all tests of every lead, and their conclusion.

`Audit` holds a `LeadAudit` for every observable and layer, `order_of` decides the order of peak and
onset, `against` lists evidence against a precursor, `conclude` words the conclusion.  Leads are
onset - peak in steps.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from heatcap.audit.artefacts import Bound, Control, Share, SpikeShare
from heatcap.audit.clocks import Clock
from heatcap.audit.lead_tests import FEWEST, Leads, Precedes
from heatcap.core.quantities import spoken
from heatcap.core.result import Caution, Result, plain
from heatcap.events import Column, OnsetSurvival, PeaksBySize
from heatcap.events.result import SPIKES

__all__ = [
    "Audit",
    "LeadAudit",
    "LookElsewhere",
    "against",
    "conclude",
    "order_of",
]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class LookElsewhere:
    """Correction for the number of curves that were tested.

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
    """All tests of the lead of one observable in one layer.

    `order` is "first" or "later" where all tests of the order agree at 5 %, after Holm's
    correction (:func:`heatcap.audit.result.order_of`); "undecided" otherwise.  `against` lists the
    evidence against calling such a peak a precursor: clock, offset, spikes, controls.
    `other_maxima` counts the runs that have a lower maximum as well, by its phase of training.
    `conclusion` words the result and claims no more than the tests show.
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
        """Whether every requirement of a precursor of generalisation was tested and holds.

        The peak comes first, its time follows the onset, there is no evidence against it, and in
        controls it is absent, lower or later.
        """
        follows = self.clock.follows == "onset" and not self.against
        cleared = self.control_verdict in ("absent", "lower", "later")
        return self.order == "first" and follows and cleared

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None for missing numbers."""
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
        """Worst verdict of the controls: "present", then open ones, then those that clear."""
        verdicts = [control.verdict for control in self.controls]
        order = ("present", "open", "earlier", "too few runs", "later", "lower", "absent")
        return next((v for v in order if v in verdicts), "not tested")


@dataclass(frozen=True, eq=False)
class Audit(Result):
    """Audit of the leads of all observables.

    Attributes
    ----------
    leads : dict
        :class:`LeadAudit` by the name of the observable, with the layer where there are several.
    runs : DataFrame
        Runs of the events.
    onsets : OnsetSurvival
        Onset times with censoring, per size.
    not_tested : list of str
        Tests that the record does not allow, with what is missing.
    settings : dict
        Settings of the events, and the seed of the permutations.
    """

    leads: Mapping[str, LeadAudit]
    runs: pd.DataFrame
    onsets: OnsetSurvival
    not_tested: list[str]
    settings: dict[str, Any]

    def cautions(self) -> list[Caution]:
        """List what could mislead a reader of these leads."""
        parts = (_bound, _maxima_at_spikes, _at_end, _not_controls, _untested)
        return [caution for part in parts for caution in part(self)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON (the content of AUDIT.json)."""
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
        """Format the conclusions, then the tests not made, in lines of 100 columns."""
        paragraphs = [lead.conclusion for lead in self.leads.values()]
        if self.not_tested:
            paragraphs.append("Not tested: " + "; ".join(self.not_tested) + ".")
        return [textwrap.fill(text, 100, subsequent_indent="    ") for text in paragraphs]

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
            "Curves that are highest at an end of their record have no peak; where it is the last "
            "step, a longer record could give them one: " + "; ".join(at) + ".",
        )


def _not_controls(audit: Audit) -> Iterator[Caution]:
    """Caution on runs of a control that do generalise: the same ones for every observable."""
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
    controls = [lack for lack in lacks if lack.startswith("controls")]
    others = [lack for lack in lacks if not lack.startswith("controls")]
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


def _maxima_at_spikes(audit: Audit) -> Iterator[Caution]:
    at = [
        f"{lead.spikes.at_spike} of {lead.spikes.maxima} of {spoken(name)} (base rate "
        f"{lead.spikes.base_rate:.1%}" + (", so they explain it)" if lead.spikes.explain else ")")
        for name, lead in audit.leads.items()
        if lead.spikes.at_spike
    ]
    if at:
        yield Caution(SPIKES, f"Of the maxima before smoothing lie at a spike: {'; '.join(at)}.")


# ---- the conclusion in words ---------------------------------------------------------------

LEVEL = 0.05


def order_of(p: Precedes, holm_p: float) -> str:
    """Decide "first" or "later" where every test of the order agrees at 5 %, else "undecided".

    Six or more configurations must agree among themselves; two to five are too few for that test,
    and each of them must show the order by itself.
    """
    tests = [p.sign_p, p.strict_sign_p, p.wilcoxon_p, p.phase_null_p, holm_p]
    tests += [q for q in (p.configurations_p, p.each_p) if not math.isnan(q)]
    if not all(q < LEVEL for q in tests):  # NaN, a test not made, shows nothing
        return "undecided"
    return "first" if p.share > 0.5 else "later"


def conclude(name: str, audit: LeadAudit) -> str:
    """Word the conclusion on one observable."""
    counted = _order_counts(audit)
    p = audit.precedes
    if audit.order == "first":
        return f"{name}: {counted}{_as_precursor(audit)}"
    if audit.order == "later":
        how = f" (sign test: p-value {_p(p.sign_p)}): it is no precursor of the onset"
        return f"{name}: {counted}{how}.{_notes(audit)}"
    return f"{name}: {counted}: {_why_undecided(audit)}.{_notes(audit)}"


def _order_counts(audit: LeadAudit) -> str:
    leads = audit.pooled
    if not leads.with_peak:
        return f"no peak in {leads.runs} {_runs(leads.runs)}"
    if not leads.compared:
        return f"a peak in {leads.with_peak} of {leads.runs} runs, none of them with an onset"
    if leads.first and leads.later:
        where = f"before the onset in {leads.first}, after it in {leads.later}"
    else:
        where = f"{'before' if leads.first else 'after'} the onset in {leads.first or leads.later}"
    text = f"peak {where} of {leads.compared} runs that have both"
    if leads.unresolved:
        text += f" ({leads.unresolved} too close to tell)"
    return text + f", median lead {_interval(leads.median, leads.ci95)}"


def _why_undecided(audit: LeadAudit) -> str:
    leads, p = audit.pooled, audit.precedes
    if not leads.compared:
        return "nothing to compare"
    if p.runs < FEWEST:
        return f"undecided, {p.runs} {_runs(p.runs)} decided, too few for a test of the order"
    if not p.sign_p < LEVEL or not p.wilcoxon_p < LEVEL:
        which = "sign test" if not p.sign_p < LEVEL else "Wilcoxon's test"
        value = p.sign_p if not p.sign_p < LEVEL else p.wilcoxon_p
        return f"undecided, no order is shown ({which}: p-value {_p(value)})"
    if not p.strict_sign_p < LEVEL:
        # The open runs that the strict sign test counts against the majority.
        if p.share > 0.5:
            still = "curves that still rise at the end of their record peak after the onset"
        else:
            still = "runs with a peak that have not generalised yet have the peak first"
        return f"undecided, because {still}"
    if not p.phase_null_p < LEVEL:
        return f"undecided, for free: {_phase_null_text(p)}; longer records would tell"
    if p.configurations_p >= LEVEL:
        return (
            f"undecided, the {p.configurations} configurations do not agree "
            f"(sign test over their medians: p-value {_p(p.configurations_p)})"
        )
    if p.each_p >= LEVEL:
        return (
            f"undecided, {p.configurations} sizes (or other settings) are too few to be pooled, "
            "and not each of them shows it by itself; 6 of them, or 6 runs or more of each, could"
        )
    looked = audit.look_elsewhere
    return (
        f"undecided, p-value {_p(looked.holm_p)} after correction for {looked.observables} "
        "observables"
    )


def _phase_null_text(p: Precedes) -> str:
    """Share expected by the phase null with the larger p-value, with the p-value of the test."""
    steps = p.share <= 0.5 or p.phase_null["steps"]["p"] >= p.phase_null["log_steps"]["p"]
    null = p.phase_null["steps" if steps else "log_steps"]
    at = "a random step" if steps else "a random ln step"
    side, share = ("first", null["expected_share"])
    if p.share <= 0.5:
        side, share = "after the onset", 1 - share
    return f"at {at} a peak comes {side} in {share:.0%} of the runs (p-value {_p(p.phase_null_p)})"


def _as_precursor(audit: LeadAudit) -> str:
    """Evidence for and against calling a peak that comes first a precursor."""
    p = audit.precedes
    text = f" (sign test: p-value {_p(p.sign_p)}; {_phase_null_text(p)})"
    but, open_ = against(audit), _open_questions(audit)
    if but:
        return f"{text}, but {_joined(but)}: no evidence of a precursor.{_notes(audit)}"
    if open_:
        follows = "; its time follows the onset" if audit.clock.follows == "onset" else ""
        return f"{text}{follows}, yet {_joined(open_)}: a precursor is not shown.{_notes(audit)}"
    which = ", ".join(f"{c.name.replace('_', ' ')}: {c.verdict}" for c in audit.controls)
    return (
        f"{text}; its time follows the onset, and the controls ({which}) do not contradict: "
        f"consistent with a precursor of generalisation.{_notes(audit)}"
    )


def against(audit: LeadAudit) -> list[str]:
    """List the evidence against calling the peak a precursor of the onset."""
    out: list[str] = []
    if not audit.pooled.with_peak:
        return [_at_spikes(audit)] if audit.spikes.explain else out
    follows = audit.clock.follows
    if follows in ("memorisation", "neither"):
        out.append(_other_clock(audit))
    if audit.offset.tested and audit.offset.median > 0.5:
        out.append(f"{audit.offset.median:.0%} of its height is a constant offset of keys")
    if audit.spikes.explain:
        out.append(_at_spikes(audit))
    present = [c for c in audit.controls if c.verdict == "present"]
    out += [
        f"it is there in {c.with_peak} of {c.runs} runs with {c.name.replace('_', ' ')} as well"
        for c in present
    ]
    return out


def _other_clock(audit: LeadAudit) -> str:
    if audit.clock.follows == "neither":
        return "its time follows neither the onset nor memorisation"
    onset = audit.clock.slopes.get("onset")
    independent = onset is not None and onset.answer == "no"
    return "its time follows memorisation" + (" and not the onset" if independent else "")


def _open_questions(audit: LeadAudit) -> list[str]:
    out = []
    if audit.clock.follows == "undetermined":
        reason = f" ({audit.clock.message})" if audit.clock.message else ""
        out.append(f"whether its time follows the onset is undetermined{reason}")
    if audit.clock.follows == "both":
        out.append("its time follows memorisation as well as the onset")
    if audit.control_verdict == "not tested":
        out.append("no control was tested")
    out += [
        f"with {c.name.replace('_', ' ')} the curve still rises at the end of {c.rising} of "
        f"{c.runs} records"
        for c in audit.controls
        if c.verdict == "open"
    ]
    out += [
        f"with {c.name.replace('_', ' ')} there is a maximum, but a much earlier one"
        for c in audit.controls
        if c.verdict == "earlier"
    ]
    out += [
        f"{c.runs} {_runs(c.runs)} with {c.name.replace('_', ' ')} are too few to show its absence"
        for c in audit.controls
        if c.verdict == "too few runs"
    ]
    return out


def _notes(audit: LeadAudit) -> str:
    """Notes that qualify any conclusion, as sentences."""
    p, leads, notes = audit.precedes, audit.pooled, []
    if p.between_sizes_p < LEVEL:
        value = _p(p.between_sizes_p)
        notes.append(f"The order depends on the size (p-value {value}){_sizes_in_agreement(audit)}")
    but = against(audit) if audit.order == "undecided" else []
    if but:
        notes.append(f"Against a precursor: {_joined(but)}")
    early = audit.other_maxima.get("before memorisation", 0)
    if audit.order != "first" and early > leads.runs / 2:
        notes.append(f"Another, lower maximum lies before memorisation in {early} of the runs")
    if audit.order != "undecided" and p.configurations < FEWEST:
        notes.append(_scope_note(p.configurations))
    if leads.highest_at_end:
        notes.append(
            f"{leads.highest_at_end} of {leads.runs} curves "
            f"{'is' if leads.highest_at_end == 1 else 'are'} highest at an end of the record"
        )
    if leads.censored:
        notes.append(f"{leads.censored} of {leads.runs} runs had not generalised")
    unknown = leads.runs - leads.with_onset - leads.censored
    if unknown:
        notes.append(
            f"{unknown} of {leads.runs} runs have no defined onset (train accuracy never at 0.99, "
            "or no accuracy in the record)"
        )
    if audit.bound.tested and audit.bound.within_reach:
        notes.append(f"Height up to {audit.bound.reached:.0%} of its bound {audit.bound.bound:.3g}")
    return "".join(f" {note}." for note in notes)


def _sizes_in_agreement(audit: LeadAudit) -> str:
    """Sizes at which all runs have one order."""
    parts = []
    for word in ("first", "later"):
        sizes = [f"{c.size:g}" for c in audit.by_size if getattr(c, word) == c.runs]
        if sizes:
            parts.append(f"{word} in all runs at {', '.join(sizes)}")
    return f": {'; '.join(parts)}" if parts else ""


def _at_spikes(audit: LeadAudit) -> str:
    s = audit.spikes
    return (
        f"{s.at_spike} of {s.maxima} maxima coincide with spikes of the loss "
        f"(base rate {s.base_rate:.1%})"
    )


def _interval(value: float, ci95: tuple[float, float]) -> str:
    if not math.isfinite(value):
        return "beyond the record (half of the runs or more have no onset yet)"
    if not all(map(math.isfinite, ci95)):
        return f"{value:+.0f} steps"
    return f"{value:+.0f} [{ci95[0]:+.0f}, {ci95[1]:+.0f}] steps"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"


def _scope_note(configurations: int) -> str:
    """Limit of a claim about few sizes."""
    if configurations == 1:
        return "One size (or setting) was tried: nothing is said of others"
    return f"{configurations} sizes (or settings) were tried, too few to speak of others"


def _runs(n: int) -> str:
    return "run" if n == 1 else "runs"


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
