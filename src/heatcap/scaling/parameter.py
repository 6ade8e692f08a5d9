"""A fitted parameter with its two errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Parameter", "finite"]


@dataclass(frozen=True)
class Parameter:
    """A fitted parameter: error^2 = statistical^2 + systematic^2, the latter between models."""

    value: float
    statistical: float
    systematic: float

    @classmethod
    def held(cls, value: float) -> Parameter:
        """One that is not fitted: the value as given, without an error."""
        return cls(value, 0.0, 0.0)

    @property
    def error(self) -> float:
        return float(np.hypot(self.statistical, self.systematic))

    @property
    def ci95(self) -> tuple[float, float]:
        half = 1.959964 * self.error
        return self.value - half, self.value + half

    def to_dict(self) -> dict[str, Any]:
        return {
            "value": finite(self.value),
            "statistical": finite(self.statistical),
            "systematic": finite(self.systematic),
            "error": finite(self.error),
            "ci95": [finite(x) for x in self.ci95],
        }


def finite(x: float) -> float | None:
    """A float for JSON: None where it is not finite."""
    return float(x) if np.isfinite(x) else None
