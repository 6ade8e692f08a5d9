"""The four classes of growth, the verdict on a set of them, and the margins between them.

`Margins` separate the classes of heights by size, `PeakMargins` those of a peak along the control.
They are dimensionless: exponents, ratios, or shares of the largest height of the best fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

__all__ = [
    "BOUNDED",
    "CLASSES",
    "FLAT",
    "LOGARITHMIC",
    "POWER",
    "Margins",
    "PeakMargins",
    "check_level",
    "right_verdicts",
    "verdict_of",
]

CLASSES = ("flat", "bounded", "logarithmic", "power-law")
FLAT, BOUNDED, LOGARITHMIC, POWER = range(4)
MOST_DECADE = 1e6  # with a larger one, or a smaller least alpha_min, forms agree up to rounding


def verdict_of(names: tuple[str, ...]) -> str:
    """Name the verdict: a single class, "divergent" for {logarithmic, power-law}, "undecided"."""
    if len(names) == 1:
        return names[0]
    return "divergent" if set(names) == {"logarithmic", "power-law"} else "undecided"


def check_level(level: float) -> None:
    """Raise ValueError for a level that is not in [0.5, 1)."""
    if not 0.5 <= level < 1:
        raise ValueError(f"level must be at least 0.5 and below 1, got {level}")


def right_verdicts(kind: str) -> tuple[str, ...]:
    """List the verdicts that are right for a class: itself, and "divergent" where it diverges."""
    return (kind, "divergent") if kind in ("logarithmic", "power-law") else (kind,)


@dataclass(frozen=True)
class _Margins:
    """Margins in their ranges: above a number, 0 unless said, or at it where that is allowed."""

    LEAST: ClassVar[Mapping[str, float]] = {}
    AT_LEAST: ClassVar[tuple[str, ...]] = ()
    BELOW: ClassVar[Mapping[str, float]] = {"smallest_effect": 0.5}

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least, may = self.LEAST.get(name, 0.0), name in self.AT_LEAST
            if not (least < value < float("inf") or (may and value == least)):
                bound = "at least" if may else "above"
                raise ValueError(f"margin {name} must be finite and {bound} {least:g}, got {value}")
            if value >= self.BELOW.get(name, float("inf")):
                raise ValueError(f"margin {name} must be below {self.BELOW[name]:g}, got {value}")

    def to_dict(self) -> dict[str, float]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Margins(_Margins):
    """Margins between the classes of heights by size; part of every answer.

    Without margins nothing can be decided: a logarithm is the limit of both small powers and slow
    saturation, and an unlimited correction to scaling imitates any growth.

    Attributes
    ----------
    kappa_min : float
        Smallest asymptotic exponent of a power law.
    saturation_ratio : float
        R: saturation beyond R times the largest height of the best fit counts as unseen.
    smallest_effect : float
        Change over the sizes, in units of the largest height of the best fit, below which heights
        are flat.
    correction : float
        Largest |b|, the correction to scaling at the smallest size, in units of the growth seen.
    corrected_growth : float
        Least growth, in units of the largest height of the best fit, that may have a correction.
    corrected_saturation : float
        Replaces R for saturating powers with a correction: slow ones look like a logarithm over
        any sizes, so their limit has to be nearly reached.  A cut-off with a correction has R.
    penalty : float
        Cost of a correction in chi^2 (4: two standard deviations), so that corrections are used
        where the data require them.  At 0 they are free, and fewer data decide.

    Raises
    ------
    ValueError
        If a margin is out of its range.
    """

    kappa_min: float = 0.1
    saturation_ratio: float = 2.0
    smallest_effect: float = 0.05
    correction: float = 0.3
    corrected_growth: float = 0.1
    corrected_saturation: float = 1.25
    penalty: float = 4.0

    LEAST: ClassVar = {"saturation_ratio": 1.0, "corrected_saturation": 1.0}
    AT_LEAST = ("correction", "penalty")

    def summary(self) -> str:
        """Summarise the margins in one line."""
        return (
            f"margins: power law from kappa = {self.kappa_min:g}, bounded up to "
            f"{self.saturation_ratio:g} times the height ({self.corrected_saturation:g} where a "
            f"saturating power has a correction), effects from {self.smallest_effect:.0%}, "
            f"corrections up to {self.correction:g} of the growth at a cost of {self.penalty:g} in "
            "chi2"
        )


@dataclass(frozen=True)
class PeakMargins(_Margins):
    """Margins between the classes of a peak at one size, where every peak is rounded.

    Attributes
    ----------
    alpha_min : float
        Smallest exponent of a power law, 0.001 or more; from -alpha_min to alpha_min it is a
        logarithm, below that a cusp, which is bounded.
    decade : float
        Range over which a power law or a logarithm must be visible: its cut-off delta is at most
        reach / decade (`decade` at most 1e6).  With a larger delta the rounding itself is visible,
        and the peak is bounded.  A Lorentzian narrower than this has alpha = 2, and belongs to the
        power laws.
    smallest_effect : float
        Change over the window, in units of the largest value, below which the curve is flat.  A
        small peak or step that counts as flat may lie on a drift: together they may change by a
        third more than this, a few of them by half more.
    asymmetry : float
        Largest ratio of the amplitudes on the two sides.

    Raises
    ------
    ValueError
        If a margin is out of its range.
    """

    alpha_min: float = 0.1
    decade: float = 10.0
    smallest_effect: float = 0.05
    asymmetry: float = 2.0

    LEAST: ClassVar = {"alpha_min": 1e-3, "decade": 1.0, "asymmetry": 1.0}
    AT_LEAST = ("alpha_min", "asymmetry")
    BELOW: ClassVar = {"smallest_effect": 0.5, "alpha_min": 1.0}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decade > MOST_DECADE:
            raise ValueError(f"margin decade must be at most {MOST_DECADE:g}, got {self.decade:g}")

    @property
    def penalty(self) -> float:
        """Cost of a correction in chi^2: there are none."""
        return 0.0

    @property
    def skew(self) -> float:
        """Largest |b|: the amplitudes are 1 + b and 1 - b."""
        return (self.asymmetry - 1) / (self.asymmetry + 1)

    def summary(self) -> str:
        """Summarise the margins in one line."""
        return (
            f"margins: power law from alpha = {self.alpha_min:g}, cut off below "
            f"1/{self.decade:g} of its reach, effects from {self.smallest_effect:.0%}, amplitudes "
            f"of the two sides within a factor {self.asymmetry:g}"
        )
