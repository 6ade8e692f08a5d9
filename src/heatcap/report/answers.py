"""One row of answers per observable.

Words are those of the audit and of the verdict; here they are only put side by side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from heatcap.audit import Audit, LeadAudit
from heatcap.core.result import plain
from heatcap.divergence import Verdict
from heatcap.events import PROPER, Column, Count, Events

__all__ = ["Answer", "answers_of", "chance", "listed"]

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
    chance : str
        p-values of the order: sign test, and peaks at a random step; "" where nothing compares.
    verdict : str
        The word of the verdict, or "no verdict".
    meaning : str
        What the verdict says; "" where there is none.
    tested : str
        Which sizes, and which classes are not excluded; or why there is no verdict.
    exponent : str
    warnings : list of str
        Of the verdict; they stand among the cautions.
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
    chance: str = ""
    meaning: str = ""
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
        (row[Column.OBSERVABLE], row[Column.LAYER]): row
        for row in events.counts().to_dict("records")
        if row[Column.GROUP] == PROPER or audit is None
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
                chance=_chance(lead),
                **_verdict(name, verdicts.get(name), missing),
            )
        )
    return out


def _peak(row: Mapping[Any, Any] | None) -> tuple[str, str]:
    if row is None:
        return "no runs", ""
    at_end = row[Count.HIGHEST_AT_END]
    note = f"{at_end} highest at an end of the record, which is no peak" if at_end else ""
    return f"{row[Count.WITH_PEAK]} of {row[Count.RUNS]} runs", note


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


def _chance(lead: LeadAudit | None) -> str:
    """p-values of the order found, whichever of them decided."""
    if lead is None or not lead.precedes.runs:
        return ""
    tests = lead.precedes
    values = {"sign test": tests.sign_p}
    side, many = ("p", "many") if tests.share > 0.5 else ("p_as_few", "few")
    for key, at in (("steps", "a random step"), ("log_steps", "a random ln step")):
        values[f"as {many} peaks first at {at}"] = tests.phase_null[key][side]
    said = [f"{name} {chance(value)}" for name, value in values.items() if math.isfinite(value)]
    return f"p-values: {', '.join(said)}" if said else ""


def chance(value: float) -> str:
    """A probability in two digits."""
    return f"{value:.2g}" if value >= 1e-4 or value == 0 else f"{value:.0e}"


def _verdict(name: str, found: Verdict | None, missing: Mapping[str, str]) -> dict[str, Any]:
    if found is None:
        why = missing.get(name, "not tested")
        return {"verdict": "no verdict", "tested": why}
    return {
        "verdict": found.verdict,
        "meaning": found.meaning,
        "tested": "; ".join([found.tested, *found.not_excluded.splitlines()]),
        "exponent": found.exponent_said,
        "warnings": [text for text in found.warnings if text != found.meaning],
        "advice": found.advice,
    }


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
