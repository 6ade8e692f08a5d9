"""The average over fits with weights exp(-score / 2), score = chi^2 + 2 k + 2 n_cut.

k parameters, n_cut points left out (W. I. Jay and E. T. Neil, Phys. Rev. D 103 (2021) 114502; what
was checked: docs/references.md); each kind of fit says itself what it charges for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter

__all__ = ["Tested", "averaged", "moments", "weights_of_scores"]


class Tested:
    """A fit with a chi^2, and what JSON says of it."""

    chi2: float
    dof: int
    p_value: float

    @property
    def goodness_of_fit(self) -> dict[str, Any]:
        """chi2, dof and p_value."""
        return {"chi2": self.chi2, "dof": self.dof, "p_value": self.p_value}


def weights_of_scores(scores: Sequence[float]) -> Floats:
    """exp(-score / 2), adding up to 1."""
    score = np.array(scores)
    weights = np.exp(-0.5 * (score - score.min()))
    return np.asarray(weights / weights.sum())


def moments(weights: Floats, values: Floats, variances: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean over fits (fit, ...), its statistical error, and the spread between fits."""
    # From the first of them: equal values have that mean and no spread, whatever the rounding.
    off = values - values[0]
    mean = weights @ off
    return values[0] + mean, np.sqrt(weights @ variances), np.sqrt(weights @ (off - mean) ** 2)


def averaged(weights: Floats, values: Sequence[float], variances: Sequence[float]) -> Parameter:
    """The mean of a parameter; the spread between fits is `systematic`."""
    return Parameter(*map(float, moments(weights, np.array(values), np.array(variances))))
