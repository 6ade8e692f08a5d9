"""What is found of saved runs: answers, cautions, and what they rest on.  Data, and no page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from heatcap.audit import Audit
from heatcap.core.quantities import spoken
from heatcap.core.result import Caution, Result, plain
from heatcap.divergence import Verdict
from heatcap.divergence.answer import NO_CLASS
from heatcap.events import Events
from heatcap.observables.dataset import cautions_of as of_observables
from heatcap.report.answers import Answer, Said

__all__ = ["Findings", "Source", "cautions_of"]


@dataclass(frozen=True)
class Source:
    """A file that was read, and its SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Findings(Result):
    """Answers about saved runs, with what they rest on.

    Attributes
    ----------
    title : str
    said : list of Said
        What there is, what came first, and whether it diverges: questions with a sentence or two.
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
    said: list[Said]
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
        """Questions and sentences of `said` as text."""
        return [str(each) for each in self.said]

    def cautions(self) -> list[Caution]:
        """What could mislead a reader of these runs, what touches the answers most first."""
        return cautions_of(self.obs, self.events, self.audit, self.verdicts)

    def _lines(self) -> list[str]:
        """The headline, then each caution, in lines of 100 columns."""
        said = [*self.headline, *(f"warning: {each.text}" for each in self.cautions())]
        return [textwrap.fill(text, 100, subsequent_indent="    ") for text in said]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, None where a number does not exist."""
        names = ("audit", "verdicts", "missing", "settings", "sources")
        content = {name: getattr(self, name) for name in names}
        first = {"headline": self.headline, "answers": self.answers, "cautions": self.cautions()}
        return super().to_dict() | dict(plain(first | content))


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
    """What each result has to say, what touches the answers most first; verdicts come last."""
    of_runs = [*events.cautions(), *of_observables(obs), *(audit.cautions() if audit else [])]
    by_title: dict[str, list[str]] = {}
    for each in of_runs:
        by_title.setdefault(each.title, []).append(each.text)
    said = [Caution(title, " ".join(text)) for title, text in by_title.items()]
    return [*sorted(said, key=_rank), *_of_verdicts(verdicts)]


def _rank(caution: Caution) -> int:
    """Place in the list; what is not in it, a setting that differs, comes with the first."""
    return ORDER.index(caution.title) if caution.title in ORDER else 0


def _of_verdicts(verdicts: Mapping[str, Verdict]) -> Iterator[Caution]:
    """Those without a class, then warnings: what all share, then those of each."""
    of_each = {name: verdict.cautions() for name, verdict in verdicts.items()}
    for name, found in of_each.items():
        for each in found:
            if each.title == NO_CLASS:
                yield Caution(NO_CLASS, f"{spoken(name)}: {each.text}.")
    warnings = {
        name: [each.text for each in found if each.title != NO_CLASS]
        for name, found in of_each.items()
    }
    shared = [
        text
        for text in dict.fromkeys(text for said in warnings.values() for text in said)
        if len(warnings) > 1 and all(text in said for said in warnings.values())
    ]
    if shared:
        yield Caution("Verdicts", f"All {len(warnings)}: {_sentence(shared, upper=False)}")
    for name, said in warnings.items():
        if own := [text for text in said if text not in shared]:
            yield Caution("Verdict", _sentence([f"{spoken(name)}: {own[0]}", *own[1:]]))


def _sentence(parts: Sequence[str], *, upper: bool = True) -> str:
    text = "; ".join(part.rstrip(".") for part in parts)
    return f"{text[:1].upper() if upper else text[:1]}{text[1:]}."
