"""The paragraph above the answers: what there is, what came first, does it grow with the size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heatcap.audit import Audit
from heatcap.divergence import Verdict
from heatcap.events import Events, sizes_of
from heatcap.figures.names import spoken
from heatcap.report.answers import Answer, listed
from heatcap.report.texts import differing, size_label

__all__ = ["Said", "headline"]

ORDER = "Does a peak precede generalisation?"


@dataclass(frozen=True)
class Said:
    """A part of the headline: the question, "" for none, and what is said."""

    question: str
    text: str

    def __str__(self) -> str:
        return f"{self.question} {self.text}".strip()


def headline(
    events: Events,
    answers: Sequence[Answer],
    audit: Audit | None,
    verdicts: Mapping[str, Verdict],
) -> list[Said]:
    """The answer in a few sentences: what there is, what came first, does it grow with the size."""
    return [
        Said("", _inventory(events)),
        Said(ORDER, _orders(answers, audit)),
        Said(_growth_asked(events), _growth(answers, verdicts, events)),
    ]


def _inventory(events: Events) -> str:
    runs = events.runs
    proper, controls = events.proper, events.counted_controls()
    counted = f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}"
    if controls:
        others = [f"{n} with {spoken(name)}" for name, n in controls.items()]
        counted += f": {len(proper)} runs proper, and as controls {listed(others)}"
    size = sizes_of(runs if proper.empty else proper).dropna()
    known = sorted(set(size.tolist()) - {0.0})
    name = size_label(runs)
    if not known:
        return f"{counted}; no size is known."
    if len(known) == 1:
        return f"{counted}; one size, {name} = {known[0]:g}."
    return f"{counted}; {len(known)} sizes, {name} = {known[0]:g} to {known[-1]:g}."


def _orders(answers: Sequence[Answer], audit: Audit | None) -> str:
    if audit is None:
        return "Not tested: there is no audit."
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
    return f"{none}{said[:1].upper()}{said[1:]}."


def _growth_asked(events: Events) -> str:
    name = size_label(events.runs)
    return f"Does the height diverge with the size{'' if name == 'size' else f' {name}'}?"


def _growth(answers: Sequence[Answer], verdicts: Mapping[str, Verdict], events: Events) -> str:
    found: dict[str, list[str]] = {}
    for each in answers:
        word = each.verdict if each.name in verdicts else f"no verdict ({each.tested})"
        # One word may have several meanings: heights that saturate, or fall, are both bounded.
        word += f", that is, {each.meaning}" if each.meaning else ""
        found.setdefault(word, []).append(spoken(each.name))
    about = listed if len(found) > 1 else _every
    said = "; ".join(f"{about(names)}: {word}" for word, names in found.items())
    return f"{said[:1].upper()}{said[1:]}{_qualified(events) if verdicts else ''}."


def _qualified(events: Events) -> str:
    """What else changes between the runs that a verdict compares."""
    others = differing(events.proper)
    if not others:
        return ""
    what = listed(list(map(str, others)))
    return f", over runs that differ in {what}: a height may follow {_it(others)}, not the size"


def _it(things: Sequence[object]) -> str:
    return "it" if len(things) == 1 else "these"


def _every(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"all {len(names)} observables"
