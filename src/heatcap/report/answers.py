"""One row of answers per observable, and the paragraph above them.

Words are those of the audit and of the verdict; here they are only put side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from heatcap._json import plain
from heatcap.audit import Audit, LeadAudit
from heatcap.divergence import Verdict
from heatcap.events import Events, size_name_of, sizes_of

__all__ = ["Answer", "answers_of", "headline", "listed", "spoken"]

ORDERS = {
    "precursor": "before the onset of generalisation, consistent with a precursor",
    "not shown": "before the onset; a precursor is not shown",
    "against": "before the onset, but no evidence of a precursor",
    "later": "after the onset: no precursor",
    "undecided": "undecided",
    "nothing": "nothing to compare",
}


@dataclass(frozen=True)
class Answer:
    """What is said of one observable (in one layer).

    Attributes
    ----------
    name : str
        That of the audit: the observable, with the layer where there are several.
    observable, layer
    peak, peak_note : str
        How many runs have a peak; how many curves are highest at an end of their record.
    order : str
        A key of `ORDERS`, "" without an audit.
    conclusion : str
        The sentence of the audit, or why there is none.
    verdict : str
        The word of the verdict, or "no verdict".
    tested : str
        Which sizes, and which classes are not excluded; or why there is no verdict.
    exponent : str
    warnings : list of str
        Of the verdict.
    advice : str
        What would decide an undecided verdict.
    """

    name: str
    observable: str
    layer: Any
    peak: str
    peak_note: str
    order: str
    conclusion: str
    verdict: str
    tested: str
    exponent: str = ""
    warnings: list[str] = field(default_factory=list)
    advice: str = ""

    @property
    def precedes(self) -> str:
        """The order in a few words."""
        return ORDERS.get(self.order, "not tested")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return dict(plain(fields | {"precedes": self.precedes}))


def answers_of(
    places: Mapping[str, tuple[str, Any]],
    events: Events,
    audit: Audit | None,
    verdicts: Mapping[str, Verdict],
    missing: Mapping[str, str],
) -> list[Answer]:
    """One row for every name of `places`."""
    counts = {
        (row["observable"], row["layer"]): row
        for row in events.counts().to_dict("records")
        if row["group"] == "none" or audit is None
    }
    out = []
    for name, place in places.items():
        lead = audit.leads.get(name) if audit is not None else None
        peak, note = _peak(counts.get(place))
        out.append(
            Answer(
                name=name,
                observable=place[0],
                layer=place[1],
                peak=peak,
                peak_note=note,
                order=_order(lead),
                conclusion=_conclusion(name, lead, missing),
                **_verdict(name, verdicts.get(name), missing),
            )
        )
    return out


def _peak(row: Mapping[Any, Any] | None) -> tuple[str, str]:
    if row is None:
        return "no runs", ""
    at_end = row["highest_at_end"]
    note = f"{at_end} highest at an end of the record, which is no peak" if at_end else ""
    return f"{row['with_peak']} of {row['runs']} runs", note


def _order(lead: LeadAudit | None) -> str:
    if lead is None:
        return ""
    if lead.order == "first":
        return "precursor" if lead.precursor else "against" if lead.against else "not shown"
    if lead.order == "later":
        return "later"
    return "undecided" if lead.pooled.compared else "nothing"


def _conclusion(name: str, lead: LeadAudit | None, missing: Mapping[str, str]) -> str:
    if lead is None:
        return f"no audit: {missing.get('audit', 'this curve was not audited')}"
    return lead.conclusion.removeprefix(f"{name}: ")


def _verdict(name: str, found: Verdict | None, missing: Mapping[str, str]) -> dict[str, Any]:
    if found is None:
        why = missing.get(name, "not tested")
        return {"verdict": "no verdict", "tested": why}
    first, exponent = found.brief(name).split("\n    ")[:2]
    return {
        "verdict": found.verdict,
        "tested": first.removeprefix(f"{name}: {found.verdict} ")
        .replace("(", "", 1)
        .replace("); ", "; ", 1),
        "exponent": exponent,
        "warnings": [text for text in found.warnings if text != found.meaning],
        "advice": found.advice,
    }


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
    name = size_name_of(runs)
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
    name = size_name_of(events.runs)
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
    return f"{asked}{said[:1].upper()}{said[1:]}."


def _together(meanings: Sequence[str]) -> str:
    """Meanings of one word; those that differ before the colon alone share what follows it."""
    heads = list(dict.fromkeys(each.partition(": ")[0] for each in meanings))
    tails = list(dict.fromkeys(each.partition(": ")[2] for each in meanings))
    if len(tails) > 1:
        return f"that is, {' or '.join(dict.fromkeys(meanings))}"
    return f"that is, {' or '.join(heads)}" + (f": {tails[0]}" if tails[0] else "")


def _every(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"all {len(names)} observables"


def spoken(name: str) -> str:
    """A name as it stands in a sentence."""
    return name.replace("_", " ").replace(", layer ", " in layer ")


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
