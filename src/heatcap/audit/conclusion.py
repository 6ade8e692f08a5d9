"""One sentence per observable, in words that claim no more than the tests do."""

from __future__ import annotations

import math

from heatcap.audit.lead_tests import Precedes
from heatcap.audit.result import LeadAudit

__all__ = ["against", "conclude", "order_of"]

LEVEL = 0.05
FEWEST = 6  # runs: below it no sign test can reach 5 %


def order_of(p: Precedes, holm_p: float) -> str:
    """Answer "first" or "later" where every test of the order agrees at 5 %, else "undecided".

    Six or more configurations must agree among themselves; two to five are too few for that, and
    each of them must show the order by itself.
    """
    tests = [p.sign_p, p.strict_sign_p, p.wilcoxon_p, p.phase_null_p, holm_p]
    tests += [q for q in (p.configurations_p, p.each_p) if not math.isnan(q)]
    if not all(q < LEVEL for q in tests):  # NaN: not tested, so not shown
        return "undecided"
    return "first" if p.share > 0.5 else "later"


def conclude(name: str, audit: LeadAudit) -> str:
    """The conclusion of one observable."""
    counted = _counted(audit)
    p = audit.precedes
    if audit.order == "first":
        return f"{name}: {counted}{_as_precursor(audit)}"
    if audit.order == "later":
        how = f" (sign test: p-value {_p(p.sign_p)}): it is no precursor of the onset"
        return f"{name}: {counted}{how}.{_notes(audit)}"
    return f"{name}: {counted}: {_why_undecided(audit)}.{_notes(audit)}"


def _counted(audit: LeadAudit) -> str:
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
        return f"undecided, {_left_open(audit)}"
    if not p.phase_null_p < LEVEL:
        return f"undecided, for free: {_free(p)}; longer records would tell"
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


def _left_open(audit: LeadAudit) -> str:
    """What the strict sign test counts against the majority."""
    if audit.precedes.share > 0.5:
        return "because curves that still rise at the end of their record peak after the onset"
    return "because runs with a peak that have not generalised yet have the peak first"


def _free(p: Precedes) -> str:
    """What the null with the larger chance gives for nothing."""
    steps = p.share <= 0.5 or p.phase_null["steps"]["p"] >= p.phase_null["log_steps"]["p"]
    null = p.phase_null["steps" if steps else "log_steps"]
    at = "a random step" if steps else "a random ln step"
    side, share = ("first", null["expected_share"])
    if p.share <= 0.5:
        side, share = "after the onset", 1 - share
    return f"at {at} a peak comes {side} in {share:.0%} of the runs (p-value {_p(p.phase_null_p)})"


def _as_precursor(audit: LeadAudit) -> str:
    """What stands for and against calling a peak that comes first a precursor."""
    p = audit.precedes
    said = f" (sign test: p-value {_p(p.sign_p)}; {_free(p)})"
    but, open_ = against(audit), _open(audit)
    if but:
        return f"{said}, but {_joined(but)}: no evidence of a precursor.{_notes(audit)}"
    if open_:
        follows = "; its time follows the onset" if audit.clock.follows == "onset" else ""
        return f"{said}{follows}, yet {_joined(open_)}: a precursor is not shown.{_notes(audit)}"
    which = ", ".join(f"{c.name.replace('_', ' ')}: {c.verdict}" for c in audit.controls)
    return (
        f"{said}; its time follows the onset, and the controls ({which}) do not contradict: "
        f"consistent with a precursor of generalisation.{_notes(audit)}"
    )


def against(audit: LeadAudit) -> list[str]:
    """What speaks against calling the peak a precursor of the onset, in words."""
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
    known = onset is not None and onset.answer == "no"
    return "its time follows memorisation" + (" and not the onset" if known else "")


def _open(audit: LeadAudit) -> list[str]:
    out = []
    if audit.clock.follows == "undetermined":
        said = f" ({audit.clock.message})" if audit.clock.message else ""
        out.append(f"whether its time follows the onset is undetermined{said}")
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
    """What a reader has to know in any case."""
    p, leads, notes = audit.precedes, audit.pooled, []
    if p.between_sizes_p < LEVEL:
        value = _p(p.between_sizes_p)
        notes.append(f"The order depends on the size (p-value {value}){_which(audit)}")
    but = against(audit) if audit.order == "undecided" else []
    if but:
        notes.append(f"Against a precursor: {_joined(but)}")
    early = audit.other_maxima.get("before memorisation", 0)
    if audit.order != "first" and early > leads.runs / 2:
        notes.append(f"Another, lower maximum lies before memorisation in {early} of the runs")
    if audit.order != "undecided" and p.configurations < FEWEST:
        notes.append(_scope(p.configurations))
    if leads.highest_at_end:
        notes.append(
            f"{leads.highest_at_end} of {leads.runs} curves {_are(leads.highest_at_end)} highest "
            "at an end of the record"
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


def _which(audit: LeadAudit) -> str:
    """Sizes at which every run has one order."""
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


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _scope(configurations: int) -> str:
    """How far a claim reaches."""
    if configurations == 1:
        return "One size (or setting) was tried: nothing is said of others"
    return f"{configurations} sizes (or settings) were tried, too few to speak of others"


def _runs(n: int) -> str:
    return "run" if n == 1 else "runs"


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
