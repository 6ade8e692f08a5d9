"""Answers about saved runs, as data: one per observable, a headline, and cautions.

:class:`Findings` holds the results of events, audit and verdicts with their words; the page of
:mod:`heatcap.report.page` shows them.  Numbers keep the units of the results: steps of training,
heights in the unit of the observable.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from heatcap.audit import Audit, LeadAudit
from heatcap.core.quantities import spoken
from heatcap.core.result import Caution, Result, plain
from heatcap.divergence import Verdict
from heatcap.divergence.answer import NO_CLASS
from heatcap.events import PROPER, Column, Count, Events, sizes_of
from heatcap.events.result import differing
from heatcap.observables.dataset import cautions_of as of_observables
from heatcap.observables.dataset import size_label

__all__ = [
    "Answer",
    "Findings",
    "Reply",
    "Source",
    "answers_of",
    "cautions_of",
    "chance",
    "headline",
    "listed",
]


@dataclass(frozen=True)
class Source:
    """Path and SHA-256 of an input file."""

    path: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Findings(Result):
    """Answers about saved runs, with what they rest on.

    Attributes
    ----------
    title : str
    replies : list of Reply
        Inventory, order of peak and onset, growth with the size: questions with their answers.
    answers : list of Answer
        One per observable (and layer): peak, order, verdict.
    events : Events
    audit : Audit or None
    verdicts : dict
        :class:`heatcap.Verdict` by the names of `answers`.
    missing : dict
        Why a part has no answer, in words: "audit", or a name of `answers` without a verdict.
    settings : dict
        Smoothing and the other options of the events; seed, level and margins.
    sources : list of Source
    command : str
        Empty where the page was made in Python.
    obs : Dataset
        What was analysed.
    """

    title: str
    replies: list[Reply]
    answers: list[Answer]
    events: Events
    audit: Audit | None
    verdicts: Mapping[str, Verdict]
    missing: Mapping[str, str]
    settings: Mapping[str, Any]
    sources: list[Source]
    command: str
    obs: xr.Dataset = field(repr=False)

    @property
    def headline(self) -> list[str]:
        """Return questions and answers of `replies` as text."""
        return [str(part) for part in self.replies]

    def cautions(self) -> list[Caution]:
        """Return what could mislead a reader, the cautions that touch the answers most first."""
        return cautions_of(self.obs, self.events, self.audit, self.verdicts)

    def _lines(self) -> list[str]:
        """Headline, then each caution, in lines of 100 columns."""
        texts = [*self.headline, *(f"warning: {caution.text}" for caution in self.cautions())]
        return [textwrap.fill(text, 100, subsequent_indent="    ") for text in texts]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, None where a number does not exist."""
        names = ("audit", "verdicts", "missing", "settings", "sources")
        content = {name: getattr(self, name) for name in names}
        first = {"headline": self.headline, "answers": self.answers, "cautions": self.cautions()}
        return super().to_dict() | dict(plain(first | content))


# ---- answers, one per observable -----------------------------------------------------------

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
    """Answers about one observable (in one layer), in words.

    Attributes
    ----------
    name : str
        Name in the audit: the observable, with the layer where there are several.
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
        Meaning of the verdict; "" where there is none.
    tested : str
        Which sizes, and which classes are not excluded; or why there is no verdict.
    exponent : str
    warnings : list of str
        Those of the verdict; they stand among the cautions.
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
        """Return the order of peak and onset in a few words."""
        return ORDERS.get(self.order, "not tested")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return dict(plain(fields | {"precedes": self.precedes}))


def answers_of(
    places: Mapping[str, tuple[str, Any]],
    events: Events,
    audit: Audit | None,
    verdicts: Mapping[str, Verdict],
    missing: Mapping[str, str],
) -> list[Answer]:
    """Collect the answer for every name of `places`, each an observable and its layer.

    `missing` gives the reason for a name that has no verdict, and under "audit" for all if there is
    no audit.
    """
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
    """How many runs have a peak, and how many curves are highest at an end."""
    if row is None:
        return "no runs", ""
    at_end = row[Count.HIGHEST_AT_END]
    note = f"{at_end} highest at an end of the record, which is no peak" if at_end else ""
    return f"{row[Count.WITH_PEAK]} of {row[Count.RUNS]} runs", note


def _order(lead: LeadAudit | None) -> str:
    """Key of `ORDERS`, "" without an audit."""
    if lead is None:
        return ""
    if lead.order == "first":
        return "precursor" if lead.precursor else "against" if lead.against else "not shown"
    if lead.order == "later":
        return "later"
    return "undecided" if lead.pooled.compared else "nothing"


def _conclusion(name: str, lead: LeadAudit | None, missing: Mapping[str, str]) -> str:
    """Sentence of the audit, or why there is none."""
    if lead is None:
        return f"no audit: {missing.get('audit', 'this curve was not audited')}"
    return lead.conclusion.removeprefix(f"{name}: ")


def _chance(lead: LeadAudit | None) -> str:
    """p-values of the order: sign test, and peaks at a random step, on the side observed."""
    if lead is None or not lead.precedes.runs:
        return ""
    tests = lead.precedes
    values = {"sign test": tests.sign_p}
    side, many = ("p", "many") if tests.share > 0.5 else ("p_as_few", "few")
    for key, at in (("steps", "a random step"), ("log_steps", "a random ln step")):
        values[f"as {many} peaks first at {at}"] = tests.phase_null[key][side]
    p_values = [f"{name} {chance(value)}" for name, value in values.items() if math.isfinite(value)]
    return f"p-values: {', '.join(p_values)}" if p_values else ""


def _verdict(name: str, verdict: Verdict | None, missing: Mapping[str, str]) -> dict[str, Any]:
    if verdict is None:
        why = missing.get(name, "not tested")
        return {"verdict": "no verdict", "tested": why}
    return {
        "verdict": verdict.verdict,
        "meaning": verdict.meaning,
        "tested": "; ".join([verdict.tested, *verdict.not_excluded.splitlines()]),
        "exponent": verdict.exponent_said,
        "warnings": [text for text in verdict.warnings if text != verdict.meaning],
        "advice": verdict.advice,
    }


# ---- the headline: what there is, what came first, whether it diverges ---------------------

PRECEDES = "Does a peak precede generalisation?"


@dataclass(frozen=True)
class Reply:
    """Part of the headline: the question, "" for none, and its answer."""

    question: str
    text: str

    def __str__(self) -> str:
        return f"{self.question} {self.text}".strip()


def headline(
    events: Events,
    answers: Sequence[Answer],
    audit: Audit | None,
    verdicts: Mapping[str, Verdict],
) -> list[Reply]:
    """Answer in a few sentences: the runs, the order of peak and onset, the growth."""
    name = size_label(events.runs)
    asked = f"Does the height diverge with the size{'' if name == 'size' else f' {name}'}?"
    return [
        Reply("", _inventory(events)),
        Reply(PRECEDES, _orders(answers, audit)),
        Reply(asked, _growth(answers, verdicts, events)),
    ]


def _inventory(events: Events) -> str:
    """Numbers of runs, controls and sizes."""
    runs = events.runs
    proper, controls = events.proper, events.counted_controls()
    counted = f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}"
    if controls:
        others = [f"{n} with {spoken(name)}" for name, n in controls.items()]
        counted += f": {len(proper)} runs proper, and as controls {listed(others)}"
    size = sizes_of(runs if proper.empty else proper).dropna()
    sizes = sorted(set(size.tolist()) - {0.0})
    name = size_label(runs)
    if not sizes:
        return f"{counted}; no size is known."
    if len(sizes) == 1:
        return f"{counted}; one size, {name} = {sizes[0]:g}."
    return f"{counted}; {len(sizes)} sizes, {name} = {sizes[0]:g} to {sizes[-1]:g}."


def _orders(answers: Sequence[Answer], audit: Audit | None) -> str:
    """Observables by the order of peak and onset, in a sentence."""
    if audit is None:
        return "Not tested: there is no audit."
    by_order: dict[str, list[str]] = {}
    for answer in answers:
        by_order.setdefault(answer.order, []).append(spoken(answer.name))
    ways = {
        "precursor": "before the onset and consistent with a precursor: {}",
        "not shown": "before the onset, but a precursor is not shown: {}",
        "against": "before the onset, but no evidence of a precursor: {}",
        "later": "after the onset: {}",
        "undecided": "order undecided: {}",
        "nothing": "no peak to compare with an onset: {}",
    }
    names = listed if len(by_order) > 1 else _every
    parts = [
        text.format(names(by_order[order])) for order, text in ways.items() if order in by_order
    ]
    none = (
        "" if "precursor" in by_order else "No observable has a peak that these runs show to be a "
    )
    none += "precursor. " if none else ""
    sentence = "; ".join(parts)
    return f"{none}{sentence[:1].upper()}{sentence[1:]}."


def _growth(answers: Sequence[Answer], verdicts: Mapping[str, Verdict], events: Events) -> str:
    """Observables by verdict and its meaning, in a sentence."""
    by_word: dict[str, list[str]] = {}
    for answer in answers:
        word = answer.verdict if answer.name in verdicts else f"no verdict ({answer.tested})"
        # One word may have several meanings: heights that saturate, or fall, are both bounded.
        word += f", that is, {answer.meaning}" if answer.meaning else ""
        by_word.setdefault(word, []).append(spoken(answer.name))
    about = listed if len(by_word) > 1 else _every
    sentence = "; ".join(f"{about(names)}: {word}" for word, names in by_word.items())
    return f"{sentence[:1].upper()}{sentence[1:]}{_qualified(events) if verdicts else ''}."


def _qualified(events: Events) -> str:
    """Name the settings, other than the size, that differ between the compared runs."""
    others = differing(events.proper)
    if not others:
        return ""
    what = listed(list(map(str, others)))
    it = "it" if len(others) == 1 else "these"
    return f", over runs that differ in {what}: a height may follow {it}, not the size"


def _every(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"all {len(names)} observables"


# ---- the order of cautions -----------------------------------------------------------------

ORDER = (
    *("Sizes of several names", "Problems of the files"),
    *("Bound in reach", "Bound the same for all sizes", "Mirror leak", "Loss spikes"),
    *("Not generalised", "No defined onset", "Highest at an end", "No size", "Few runs per size"),
    *("Runs not complete", "Controls that generalise", "No controls", "Not tested"),
)


def cautions_of(
    obs: xr.Dataset, events: Events, audit: Audit | None, verdicts: Mapping[str, Verdict]
) -> list[Caution]:
    """Collect the cautions of all results, one per title, in the order of `ORDER`.

    Those of verdicts come last.
    """
    of_runs = [*events.cautions(), *of_observables(obs), *(audit.cautions() if audit else [])]
    by_title: dict[str, list[str]] = {}
    for caution in of_runs:
        by_title.setdefault(caution.title, []).append(caution.text)
    cautions = [Caution(title, " ".join(text)) for title, text in by_title.items()]
    # A title that is not in the list, a setting that differs, comes with the first.
    rank = {title: place for place, title in enumerate(ORDER)}
    cautions.sort(key=lambda caution: rank.get(caution.title, 0))
    return [*cautions, *_of_verdicts(verdicts)]


def _of_verdicts(verdicts: Mapping[str, Verdict]) -> Iterator[Caution]:
    """Verdicts without a class, then warnings that all share, then those of single ones."""
    of_each = {name: verdict.cautions() for name, verdict in verdicts.items()}
    for name, cautions in of_each.items():
        for caution in cautions:
            if caution.title == NO_CLASS:
                yield Caution(NO_CLASS, f"{spoken(name)}: {caution.text}.")
    warnings = {
        name: [caution.text for caution in cautions if caution.title != NO_CLASS]
        for name, cautions in of_each.items()
    }
    shared = [
        text
        for text in dict.fromkeys(text for texts in warnings.values() for text in texts)
        if len(warnings) > 1 and all(text in texts for texts in warnings.values())
    ]
    if shared:
        yield Caution("Verdicts", f"All {len(warnings)}: {_sentence(shared, upper=False)}")
    for name, texts in warnings.items():
        if unshared := [text for text in texts if text not in shared]:
            yield Caution("Verdict", _sentence([f"{spoken(name)}: {unshared[0]}", *unshared[1:]]))


def _sentence(parts: Sequence[str], *, upper: bool = True) -> str:
    """Join parts by semicolons, with a capital unless the sentence goes on, and a full stop."""
    text = "; ".join(part.rstrip(".") for part in parts)
    return f"{text[:1].upper() if upper else text[:1]}{text[1:]}."


# ---- words ---------------------------------------------------------------------------------


def listed(parts: Sequence[str]) -> str:
    """Join names as in "a, b and c"."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def chance(value: float) -> str:
    """Write a probability in two digits."""
    return f"{value:.2g}" if value >= 1e-4 or value == 0 else f"{value:.0e}"
