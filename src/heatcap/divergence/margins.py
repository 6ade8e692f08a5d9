"""The four classes, the verdict on them, and the margins that separate them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = [
    "BOUNDED",
    "CLASSES",
    "FLAT",
    "LOGARITHMIC",
    "POWER",
    "Margins",
    "PeakMargins",
    "right_verdicts",
    "verdict_of",
]

CLASSES = ("flat", "bounded", "logarithmic", "power-law")
FLAT, BOUNDED, LOGARITHMIC, POWER = range(4)
MAY_BE_ZERO = ("correction", "penalty")
LEAST_ALPHA, MOST_DECADE = 1e-3, 1e6  # margins beyond which forms are the same to the last digits


def verdict_of(names: tuple[str, ...]) -> str:
    """One class, "divergent" for {logarithmic, power-law}, else "undecided"."""
    if len(names) == 1:
        return names[0]
    return "divergent" if set(names) == {"logarithmic", "power-law"} else "undecided"


def right_verdicts(kind: str) -> tuple[str, ...]:
    """Verdicts that are right for a class: itself, and "divergent" for the two that are."""
    return (kind, "divergent") if kind in ("logarithmic", "power-law") else (kind,)


@dataclass(frozen=True)
class Margins:
    """What separates the classes; they are part of every answer.

    Without them nothing can be told: a logarithm is the limit of both small powers and slow
    saturation, and a correction to scaling that may be as large as it likes imitates anything.

    Attributes
    ----------
    kappa_min : float
        Smallest asymptotic exponent of a power law.
    saturation_ratio : float
        R: what saturates beyond R times the largest height of the best fit is not seen to saturate.
    smallest_effect : float
        Change over the sizes, in units of the largest height of the best fit, below which heights
        are flat.
    correction : float
        Largest |b|, the correction to scaling at the smallest size, in units of the growth that is
        seen.
    corrected_growth : float
        Least growth, in units of the largest height of the best fit, that may have a correction.
    corrected_saturation : float
        The same as R where a power that saturates by itself has a correction: slow ones with
        corrections look like a logarithm over any sizes, so their limit has to be nearly reached.
        A cut-off with a correction has R.
    penalty : float
        Cost of a correction in chi^2 (4: two standard deviations), so that corrections come in
        where the data ask for them.  At 0 they cost nothing and fewer data decide.
    """

    kappa_min: float = 0.1
    saturation_ratio: float = 2.0
    smallest_effect: float = 0.05
    correction: float = 0.3
    corrected_growth: float = 0.1
    corrected_saturation: float = 1.25
    penalty: float = 4.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = 1.0 if "saturation" in name else 0.0
            may = name in MAY_BE_ZERO
            if not least < value < float("inf") and not (may and value == 0.0):
                words = "finite and at least" if may else "finite and above"
                raise ValueError(f"margin {name} must be {words} {least:g}, got {value}")
        if self.smallest_effect >= 0.5:
            raise ValueError(
                f"margin smallest_effect must be below 0.5, got {self.smallest_effect}"
            )

    def summary(self) -> str:
        """In a line."""
        return (
            f"margins: power law from kappa = {self.kappa_min:g}, bounded up to "
            f"{self.saturation_ratio:g} times the height ({self.corrected_saturation:g} where a "
            f"saturating power has a correction), effects from {self.smallest_effect:.0%}, "
            f"corrections up to {self.correction:g} of the growth at a cost of {self.penalty:g} in "
            "chi2"
        )

    def to_dict(self) -> dict[str, float]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class PeakMargins:
    """What separates the classes at one size, where every peak is rounded.

    Attributes
    ----------
    alpha_min : float
        Smallest exponent of a power law, 0.001 or more; from -alpha_min to alpha_min it is a
        logarithm, below that a cusp, which is bounded.
    decade : float
        How far a power law or a logarithm is seen: the cut-off delta is at most reach / decade
        (1e6 at most).  Above that the rounding itself is seen, and the peak is bounded.  A
        Lorentzian narrower than this has alpha = 2, and belongs to the power laws.
    smallest_effect : float
        Change over the window, in units of the largest value, below which the curve is flat.  A
        small peak or step that counts as flat may lie on a drift: together they may change by a
        third more than this, a few of them by half more.
    asymmetry : float
        Largest ratio of the amplitudes on the two sides.

    Raises
    ------
    ValueError
        For a margin out of its range.
    """

    alpha_min: float = 0.1
    decade: float = 10.0
    smallest_effect: float = 0.05
    asymmetry: float = 2.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = 1.0 if name in ("decade", "asymmetry") else 0.0
            allowed = value >= least if name == "asymmetry" else value > least
            if not (allowed and value < float("inf")):
                bound = "at least" if name == "asymmetry" else "above"
                raise ValueError(f"margin {name} must be finite and {bound} {least:g}, got {value}")
        for name, most in (("smallest_effect", 0.5), ("alpha_min", 1.0)):
            if getattr(self, name) >= most:
                raise ValueError(f"margin {name} must be below {most}, got {getattr(self, name)}")
        if self.alpha_min < LEAST_ALPHA:
            raise ValueError(
                f"margin alpha_min must be {LEAST_ALPHA} or more, got {self.alpha_min}"
            )
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
        """In a line."""
        return (
            f"margins: power law from alpha = {self.alpha_min:g}, cut off below "
            f"1/{self.decade:g} of its reach, effects from {self.smallest_effect:.0%}, amplitudes "
            f"of the two sides within a factor {self.asymmetry:g}"
        )

    def to_dict(self) -> dict[str, float]:
        """Plain values for JSON."""
        return asdict(self)
