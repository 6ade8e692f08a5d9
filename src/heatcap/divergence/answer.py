"""Fields and words that all verdicts share: confidence set, exponent, meaning, advice.

`Answer` is the base of `Verdict` (heights by size) and `PeakVerdict` (one curve along the control).
It holds no statistics: it turns the results of the test into the lines of a summary, into cautions
and into JSON.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from heatcap.core.result import Caution, Result, Status, goodness_line, plain
from heatcap.divergence.exponent import Exponent
from heatcap.divergence.margins import Margins, PeakMargins
from heatcap.divergence.power import Advice
from heatcap.divergence.testing import Streams

__all__ = ["Answer"]

UNDECIDED = "the data do not exclude enough"
LEAST_SAID = 0.001  # p-values below it are printed as "< 0.001"
UNSOUND = {  # reasons why an exponent and its interval are undefined
    Status.MISFIT: "no class describes the data",
    Status.POOR_FIT: "no class describes the data well",
    Status.NO_ERRORS: "without errors",
    Status.AGAINST_THE_BOUND: "the bound excludes what the data leave",
    Status.EDGE: "no peak is seen inside the window",
}
NO_CLASS = "No class is named"  # title of a caution
UNLIMITED = "at these errors nothing limits it"
UNTESTED = (Status.MISFIT, Status.NO_ERRORS)  # p-values would compare descriptions that all fail


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer(Result):
    """Base of the verdicts by size and along the control.

    See :class:`heatcap.divergence.Verdict` and :class:`heatcap.divergence.PeakVerdict`.
    """

    FIELDS = (
        *("exponent", "verdict", "status", "plausible", "p_values", "level"),
        *("exponent_upper_limit95", "detectable_exponent", "models", "margins", "calibration"),
        *("advice", "ways", "seconds"),
    )
    MEANING: ClassVar[Mapping[str, str]]  # of each verdict
    MESSAGES: ClassVar[Mapping[Status, str]]  # of each status but "ok"
    MOST_TRIED: ClassVar[float]  # largest exponent whose detection is tried
    NO_POWER: ClassVar[str]  # reason why the profile has no minimum at a power law

    verdict: str
    plausible: tuple[str, ...]
    p_values: Mapping[str, float]
    margins: Margins | PeakMargins
    warnings: list[str]
    seconds: float
    level: float
    excluded_by_bound: tuple[str, ...] = ()
    streams: Streams = field(repr=False)

    @property
    @abstractmethod
    def exponent(self) -> Exponent:
        """Exponent with its interval."""

    @property
    @abstractmethod
    def models(self) -> list[dict[str, Any]]:
        """Every family of shapes."""

    @property
    @abstractmethod
    def curves(self) -> Mapping[str, Mapping[str, Any]]:
        """Best fit of each class."""

    @property
    @abstractmethod
    def detectable_exponent(self) -> float:
        """Smallest exponent that these data would distinguish from flat and bounded."""

    @property
    @abstractmethod
    def calibration(self) -> Mapping[str, Any]:
        """Coverage of the confidence set, by simulation."""

    @property
    @abstractmethod
    def _advised(self) -> Advice:
        """Measurements that would decide."""

    @property
    def advice(self) -> str:
        """Measurements that would decide; empty where the data decide."""
        return self._advised.text

    @property
    def ways(self) -> Mapping[str, Mapping[str, Any]]:
        """Advice as numbers, by class."""
        return self._advised.ways

    @property
    def exponent_upper_limit95(self) -> float:
        """One-sided limit; infinite where nothing limits the exponent, or none is determined."""
        return self.exponent.upper_limit95 if self.exponent_determined else float("inf")

    @property
    def exponent_determined(self) -> bool:
        """Whether the exponent and its interval are defined."""
        return not self.why_no_exponent

    @property
    def why_no_exponent(self) -> str:
        """Reason why no exponent is determined; empty where one is."""
        if not self.ok:
            return UNSOUND[self.status]
        if not np.isfinite(self.exponent.value):
            return self.NO_POWER
        limits = [*self.exponent.ci95, self.exponent.upper_limit95]
        return "" if np.isfinite(limits).any() else UNLIMITED

    @property
    def meaning(self) -> str:
        """Meaning of the verdict or the status; that of `bounded` where it is not excluded."""
        if not self.ok:
            return self.message
        if self.verdict != "undecided":
            return self.MEANING[self.verdict]
        if "bounded" in self.plausible:
            return f"{UNDECIDED}; bounded would mean that {self.MEANING['bounded']}"
        return UNDECIDED

    def cautions(self) -> list[Caution]:
        """List the reason if no class is named, then the warnings."""
        first = [] if self.ok else [Caution(NO_CLASS, self.meaning)]
        return [*first, *(Caution("Verdict", text) for text in self._beside_the_meaning)]

    @property
    def _beside_the_meaning(self) -> list[str]:
        return [text for text in self.warnings if text != self.meaning]

    def _lines(self) -> Sequence[str]:
        first = f"verdict: {self.verdict} ({self.tested}): {self.meaning}"
        return [first, self.not_excluded, *self._numbers(self.margins.summary())]

    def _reasons(self) -> Sequence[str]:
        """Every family of shapes with its best fit."""
        of_each = (
            f"  {row['name']} ({row['class']}): "
            f"{goodness_line(row['chi2'], max(row['dof'], 0), row['p_value'])}, "
            f"weight {row['weight']:.2g}"
            for row in self.models
        )
        return [*super()._reasons(), "families of shapes, the likeliest first:", *of_each]

    @property
    @abstractmethod
    def tested(self) -> str:
        """Number of sizes or points and their range."""

    @property
    @abstractmethod
    def exponent_said(self) -> str:
        """Exponent and detectable exponent in a line."""

    @property
    def not_excluded(self) -> str:
        """Classes that are not excluded, with the level, in a line."""
        left = ", ".join(self.plausible) if self.ok else "no class is named"
        return f"not excluded at {self.level:.0%}: {left}"

    @property
    def p_values_said(self) -> str:
        """p-values of the classes in a line; none where they would look like support."""
        if self.status in UNTESTED:
            return f"p-values: none ({UNSOUND[self.status]})"
        listed = (
            f"{name} {p:.2g}" if p >= LEAST_SAID else f"{name} < {LEAST_SAID:g}"
            for name, p in self.p_values.items()
        )
        return "p-values: " + ", ".join(listed)

    @property
    def _exponent_or_why(self) -> str:
        if self.exponent_determined:
            return f"{self.exponent.said()}; {self._detectable()}"
        return f"not determined: {self.why_no_exponent}"

    def _numbers(self, *margins: str) -> list[str]:
        lines = [self.exponent_said, *margins]
        if self.status not in UNTESTED:
            lines.insert(1, self.p_values_said)
        lines += [f"warning: {text}" for text in self._beside_the_meaning]
        return lines + ([f"to decide: {self.advice}"] if self.advice else [])

    def _detectable(self) -> str:
        if np.isnan(self.detectable_exponent):
            smallest = f"there is none up to {self.MOST_TRIED:g}"
        else:
            smallest = f"{self.detectable_exponent:g}"
        return (
            "smallest exponent that is told from bounded 95 times in 100, with the growth seen: "
            + smallest
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None for infinite, undetermined or missing values."""
        shown = self.exponent.only_if(self.exponent_determined)
        return super().to_dict() | dict(plain({"exponent": shown, "cautions": self.warnings}))
