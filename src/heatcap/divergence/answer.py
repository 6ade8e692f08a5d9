"""What every verdict says: the classes that are not excluded, what they mean, and what for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from heatcap.core.result import plain
from heatcap.divergence.exponent import Exponent
from heatcap.divergence.margins import Margins
from heatcap.divergence.peak_shapes import PeakMargins
from heatcap.divergence.power import Advice

__all__ = ["Answer", "Streams"]

UNDECIDED = "the data do not exclude enough"
LEAST_SAID = 0.001  # p-value below which no figure is printed
UNSOUND = {  # by status: why an exponent and its interval mean nothing
    "misfit": "no class describes the data",
    "poor fit": "no class describes the data well",
    "no errors": "without errors",
    "against the bound": "the bound excludes what the data leave",
    "edge": "no peak is seen inside the window",
}
UNLIMITED = "at these errors nothing limits it"
UNTESTED = ("misfit", "no errors")  # p-values compare classes that do not describe the data
PARTS = ("test", "conditional", "advice", "detectable", "realised", "stability")


class Streams:
    """Streams of random numbers, one for each part, so that none depends on what was asked."""

    def __init__(self, rng: int | np.random.Generator) -> None:
        if isinstance(rng, np.random.RandomState):
            raise TypeError("give a seed or numpy.random.default_rng(seed), not a RandomState")
        children = np.random.default_rng(rng).bit_generator.seed_seq.spawn(len(PARTS))  # type: ignore[attr-defined]
        self._seeds = dict(zip(PARTS, children, strict=True))

    def of(self, part: str) -> np.random.Generator:
        """The stream of a part, from its beginning."""
        return np.random.default_rng(self._seeds[part])


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer(ABC):
    """Fields and words that a verdict by size and one along the control share.

    See :class:`heatcap.divergence.Verdict` and :class:`heatcap.divergence.PeakVerdict`.
    """

    MEANING: ClassVar[Mapping[str, str]]
    STATUS: ClassVar[Mapping[str, str]]
    STEEPEST: ClassVar[float]
    NO_POWER: ClassVar[str]  # why the profile has no minimum at a power law

    verdict: str
    plausible: tuple[str, ...]
    p_values: Mapping[str, float]
    margins: Margins | PeakMargins
    warnings: list[str]
    seconds: float
    level: float
    status: str = "ok"
    excluded_by_bound: tuple[str, ...] = ()
    streams: Streams = field(repr=False)

    @property
    @abstractmethod
    def exponent(self) -> Exponent:
        """The exponent with its interval."""

    @property
    @abstractmethod
    def models(self) -> list[dict[str, Any]]:
        """Every family of shapes."""

    @property
    @abstractmethod
    def curves(self) -> Mapping[str, Mapping[str, Any]]:
        """By class the best fit."""

    @property
    @abstractmethod
    def detectable_exponent(self) -> float:
        """Smallest exponent that these data would have told from flat and bounded."""

    @property
    @abstractmethod
    def calibration(self) -> Mapping[str, Any]:
        """How often the true class is kept, by simulation."""

    @property
    @abstractmethod
    def _advised(self) -> Advice:
        """What would decide."""

    @property
    def advice(self) -> str:
        """What would decide; empty where the data do."""
        return self._advised.text

    @property
    def ways(self) -> Mapping[str, Mapping[str, Any]]:
        """The advice as numbers, by class."""
        return self._advised.ways

    @property
    def exponent_upper_limit95(self) -> float:
        """One-sided; infinite where nothing limits the exponent, or none is determined."""
        return self.exponent.upper_limit95 if self.exponent_determined else float("inf")

    @property
    def exponent_determined(self) -> bool:
        """Whether the exponent and its interval mean anything."""
        return not self.why_no_exponent

    @property
    def why_no_exponent(self) -> str:
        """Why no exponent is determined; empty where one is."""
        if self.status != "ok":
            return UNSOUND[self.status]
        if not np.isfinite(self.exponent.value):
            return self.NO_POWER
        limits = [*self.exponent.ci95, self.exponent.upper_limit95]
        return "" if np.isfinite(limits).any() else UNLIMITED

    @property
    def meaning(self) -> str:
        """What the verdict says, or the status; what `bounded` would mean where it is left."""
        if self.status != "ok":
            return self.STATUS[self.status]
        if self.verdict != "undecided":
            return self.MEANING[self.verdict]
        if "bounded" in self.plausible:
            return f"{UNDECIDED}; bounded would mean that {self.MEANING['bounded']}"
        return UNDECIDED

    def summary(self) -> str:
        """The verdict in plain words, in lines."""
        first = f"verdict: {self.verdict} ({self.tested}): {self.meaning}"
        return "\n".join([first, self.not_excluded, *self._lines(self.margins.summary())])

    @property
    @abstractmethod
    def tested(self) -> str:
        """What was tested: how many sizes or points, from where to where."""

    @property
    @abstractmethod
    def exponent_said(self) -> str:
        """The exponent in a line, and the power of the data."""

    @property
    def not_excluded(self) -> str:
        """The classes that are not excluded, with the level, in a line."""
        left = ", ".join(self.plausible) if self.status == "ok" else "no class is named"
        return f"not excluded at {self.level:.0%}: {left}"

    @property
    def p_values_said(self) -> str:
        """The p-value of every class in a line; none where they would look like support."""
        if self.status in UNTESTED:
            return f"p-values: none ({UNSOUND[self.status]})"
        each = (
            f"{name} {p:.2g}" if p >= LEAST_SAID else f"{name} < {LEAST_SAID:g}"
            for name, p in self.p_values.items()
        )
        return "p-values: " + ", ".join(each)

    @property
    def _exponent_or_why(self) -> str:
        if self.exponent_determined:
            return f"{self.exponent.said()}; {self._detectable()}"
        return f"not determined: {self.why_no_exponent}"

    def _lines(self, *margins: str) -> list[str]:
        lines = [self.exponent_said, *margins]
        if self.status not in UNTESTED:
            lines.insert(1, self.p_values_said)
        lines += [f"warning: {text}" for text in self.warnings if text != self.meaning]
        return lines + ([f"to decide: {self.advice}"] if self.advice else [])

    def _detectable(self) -> str:
        if np.isnan(self.detectable_exponent):
            smallest = f"there is none up to {self.STEEPEST:g}"
        else:
            smallest = f"{self.detectable_exponent:g}"
        return (
            "smallest exponent that is told from bounded 95 times in 100, with the growth seen: "
            + smallest
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: None for what is infinite, not determined or does not exist."""
        shown = self.exponent.only_if(self.exponent_determined).to_dict()
        names = ("verdict", "status", "plausible", "p_values", "level", "exponent_upper_limit95")
        more = ("detectable_exponent", "models", "margins", "calibration", "advice")
        own = {name: getattr(self, name) for name in (*names, *more, "ways", "seconds")}
        own["cautions"] = self.warnings
        return dict(plain({"schema_version": 1, "exponent": shown} | own))
