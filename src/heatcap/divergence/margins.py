"""The four classes, and the margins that separate them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["BOUNDED", "CLASSES", "FLAT", "LOGARITHMIC", "POWER", "Margins"]

CLASSES = ("flat", "bounded", "logarithmic", "power-law")
FLAT, BOUNDED, LOGARITHMIC, POWER = range(4)


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
            may = name in _MAY_BE_ZERO
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


_MAY_BE_ZERO = ("correction", "penalty")
