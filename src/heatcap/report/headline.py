"""The paragraph above the answers: what there is, what came first, does it grow with the size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heatcap.audit import Audit
from heatcap.divergence import Verdict
from heatcap.events import Events, sizes_of
from heatcap.report.answers import Answer, listed, spoken
from heatcap.report.settings import differing, size_label

__all__ = ["headline"]


def headline(
    events: Events,
    answers: Sequence[Answer],
    audit: Audit | None,
    verdicts: Mapping[str, Verdict],
) -> list[str]:
    """The answer in a few sentences: what there is, what came first, does it grow with the size."""
    return [_inventory(events), _orders(answers, audit), _growth(answers, verdicts, events)]


def _inventory(events: Events) -> str:
    runs = events.runs
    groups = runs["group"].value_counts()
    proper = int(groups.get("none", 0))
    counted = f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}"
    others = [f"{n} with {spoken(str(g))}" for g, n in groups.items() if g != "none"]
    if others:
        counted += f": {proper} runs proper, and as controls {listed(others)}"
    size = sizes_of(runs[runs["group"] == "none"] if proper else runs).dropna()
    known = sorted(set(size.tolist()) - {0.0})
    name = size_label(runs)
    if not known:
        return f"{counted}; no size is known."
    if len(known) == 1:
        return f"{counted}; one size, {name} = {known[0]:g}."
    return f"{counted}; {len(known)} sizes, {name} = {known[0]:g} to {known[-1]:g}."


def _orders(answers: Sequence[Answer], audit: Audit | None) -> str:
    asked = "Does a peak precede generalisation? "
    if audit is None:
        return asked + "Not tested: there is no audit."
    found: dict[str, list[str]] = {}
    for each in answers:
        found.setdefault(each.order, []).append(spoken(each.name))
    ways = {
        "precursor": "before the onset and consistent with a precursor: {}",
        "not shown": "before the onset, but a precursor is not shown: {}",
        "against": "before the onset, but no evidence of a precursor: {}",
        "later": "after the onset: {}",
        "undecided": "order undecided: {}",
        "nothing": "no peak to compare with an onset: {}",
    }
    names = listed if len(found) > 1 else _every
    parts = [text.format(names(found[order])) for order, text in ways.items() if order in found]
    none = "" if "precursor" in found else "No observable has a peak that these runs show to be a "
    none += "precursor. " if none else ""
    said = "; ".join(parts)
    return f"{asked}{none}{said[:1].upper()}{said[1:]}."


def _growth(answers: Sequence[Answer], verdicts: Mapping[str, Verdict], events: Events) -> str:
    name = size_label(events.runs)
    asked = f"Does the height diverge with the size{'' if name == 'size' else f' {name}'}? "
    found: dict[str, list[Answer]] = {}
    for each in answers:
        word = each.verdict if each.name in verdicts else f"no verdict ({each.tested})"
        found.setdefault(word, []).append(each)
    parts = []
    for word, group in found.items():
        names = [spoken(each.name) for each in group]
        about = (listed if len(found) > 1 else _every)(names)
        meanings = [verdicts[each.name].meaning for each in group if each.name in verdicts]
        parts.append(f"{about}: {word}" + (f", {_together(meanings)}" if meanings else ""))
    said = "; ".join(parts)
    return f"{asked}{said[:1].upper()}{said[1:]}{_qualified(events) if verdicts else ''}."


def _qualified(events: Events) -> str:
    """What else changes between the runs that a verdict compares."""
    others = differing(events.runs[events.runs["group"] == "none"])
    if not others:
        return ""
    what = listed(list(map(str, others)))
    return f", over runs that differ in {what}: a height may follow {_it(others)}, not the size"


def _it(things: Sequence[object]) -> str:
    return "it" if len(things) == 1 else "these"


def _together(meanings: Sequence[str]) -> str:
    """Meanings of one word; those that differ before the colon alone share what follows it."""
    heads = list(dict.fromkeys(each.partition(": ")[0] for each in meanings))
    tails = list(dict.fromkeys(each.partition(": ")[2] for each in meanings))
    if len(tails) > 1:
        return f"that is, {' or '.join(dict.fromkeys(meanings))}"
    return f"that is, {' or '.join(heads)}" + (f": {tails[0]}" if tails[0] else "")


def _every(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"all {len(names)} observables"
