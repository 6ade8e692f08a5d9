"""What is found of saved runs: answers, cautions, and what they rest on.  Data, and no page."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from heatcap.audit import Audit
from heatcap.core.result import plain
from heatcap.divergence import Verdict
from heatcap.events import Events
from heatcap.report.answers import Answer, Said
from heatcap.report.cautions import Caution

__all__ = ["Findings", "Source"]


@dataclass(frozen=True)
class Source:
    """A file that was read, and its SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Findings:
    """Answers about saved runs, with what they rest on.

    Attributes
    ----------
    title : str
    said : list of Said
        What there is, what came first, and whether it diverges: questions with a sentence or two.
    answers : list of Answer
        One per observable (and layer): peak, order, verdict.
    cautions : list of Caution
        What could mislead a reader of these runs.
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
    cautions: list[Caution]
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

    def summary(self) -> str:
        """The headline, then each caution, in lines of 100 columns."""
        said = [*self.headline, *(f"warning: {each.text}" for each in self.cautions)]
        return "\n".join(textwrap.fill(text, 100, subsequent_indent="    ") for text in said)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, None where a number does not exist."""
        content = {
            "schema_version": 1,
            "headline": self.headline,
            "answers": [each.to_dict() for each in self.answers],
            "cautions": self.cautions,
            "audit": None if self.audit is None else self.audit.to_dict(),
            "verdicts": {name: each.to_dict() for name, each in self.verdicts.items()},
            "missing": self.missing,
            "settings": self.settings,
            "sources": self.sources,
        }
        return dict(plain(content))
