"""What every verdict says: the classes that are not excluded, what they mean, and what for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from heatcap._json import plain
from heatcap.divergence.exponent import Exponent
from heatcap.divergence.margins import Margins
from heatcap.divergence.peak_shapes import PeakMargins

__all__ = ["Answer"]

UNDECIDED = "the data do not exclude enough"


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """Fields and words that a verdict by size and one along the control share.

    See :class:`heatcap.divergence.Verdict` and :class:`heatcap.divergence.PeakVerdict`.
    """

    MEANING: ClassVar[Mapping[str, str]]
    STATUS: ClassVar[Mapping[str, str]]
    STEEPEST: ClassVar[float]

    verdict: str
    plausible: tuple[str, ...]
    p_values: Mapping[str, float]
    exponent: Exponent
    detectable_exponent: float
    models: list[dict[str, Any]]
    margins: Margins | PeakMargins
    calibration: Mapping[str, Any]
    warnings: list[str]
    advice: str
    seconds: float
    level: float
    status: str = "ok"
    excluded_by_bound: tuple[str, ...] = ()
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    ways: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def exponent_upper_limit95(self) -> float:
        return self.exponent.upper_limit95

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
        first = f"verdict: {self.verdict} ({self._named()}): {self.meaning}"
        return "\n".join([first, self._left(), *self._lines(self.margins.summary())])

    def _named(self) -> str:
        """What was tested."""
        raise NotImplementedError

    def _exponent(self) -> str:
        """The exponent in a line."""
        raise NotImplementedError

    def _left(self) -> str:
        left = ", ".join(self.plausible) if self.status == "ok" else "no class is named"
        return f"not excluded at {self.level:.0%}: {left}"

    def _lines(self, *margins: str) -> list[str]:
        lines = [self._exponent(), *margins]
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
        """Plain values for JSON: None for what is infinite or does not exist."""
        names = ("verdict", "status", "plausible", "p_values", "level", "exponent_upper_limit95")
        more = ("detectable_exponent", "models", "margins", "calibration", "warnings", "advice")
        own = {name: getattr(self, name) for name in (*names, *more, "ways", "seconds")}
        return dict(plain({"schema_version": 1, "exponent": self.exponent.to_dict()} | own))
