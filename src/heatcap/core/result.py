"""Results: status with its meaning, numbers with errors, summary, plain values for JSON.

What answers a question derives from :class:`Result`; tables and estimates that it holds need not.
A number counts only if `ok` is true; `cautions` lists what limits its use.  :class:`Parameter` is a
fitted number with statistical and systematic error; `readable` writes a number with its error,
0.4406(12).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np

__all__ = [
    "Caution",
    "Parameter",
    "Result",
    "SkewParameter",
    "Status",
    "compact",
    "goodness_line",
    "measured",
    "parameter_line",
    "plain",
    "readable",
    "status_line",
]

DIGITS = 2  # of the error
LONGEST = 8  # decimals at most; beyond, a power of ten is factored out


class Status(StrEnum):
    """Whether the numbers of a result may be used, or why not; `meaning` is a full sentence."""

    meaning: str

    def __new__(cls, word: str, meaning: str) -> Status:
        status = str.__new__(cls, word)
        status._value_ = word
        status.meaning = meaning
        return status

    OK = "ok", "the numbers may be used, with their errors"
    NOT_GIVEN = "not given", "this part of the data was not given"
    TOO_FEW_SIZES = "too few sizes", "there are fewer sizes than the question needs"
    TOO_FEW_POINTS = "too few points", "there are fewer points than the fit needs"
    TOO_FEW_PAIRS = "too few pairs", "fewer than three pairs of sizes cross"
    NO_ERRORS = "no errors", "errors are neither given nor to be had from the scatter"
    UNDERSAMPLED = "undersampled", "curves are not resolved near their maximum"
    POOR_FIT = "poor fit", "no form describes the data within their errors"
    MISFIT = "misfit", "no form describes the data, by far"
    NARROWED = (
        "narrowed",
        "the ansatz holds for fewer than half of the points, those nearest to x_c",
    )
    UNDETERMINED = "undetermined", "the data do not determine the parameter"
    UNIDENTIFIED = (
        "unidentified",
        "the data do not determine a critical point, its exponents or a jump",
    )
    AT_AN_EDGE = (
        "at an edge",
        "the best value lies at an edge of the data or of the search, or beyond",
    )
    EDGE = "edge", "the maximum is at the edge of the window"
    DRIFT_NOT_TESTED = (
        "drift not tested",
        "there are no more pairs than parameters, so that nothing tests the extrapolation",
    )
    NO_CROSSING = "no crossing", "no pair of sizes crosses within its data"
    MULTIPLE_CROSSINGS = "multiple crossings", "a pair of sizes crosses more than once"
    NO_PEAK = "no peak", "no size has a maximum inside its data"
    PEAK_AT_AN_END = "peak at an end", "sizes are highest at an end of their data"
    SEPARATED = (
        "separated",
        "trials all fail on one side and all succeed on the other: the width is not known",
    )
    NOT_MONOTONE = "not monotone", "the share of successes both rises and falls with the control"
    NO_JUMP = "no jump", "the stiffness shows no jump within the data"
    ANOTHER_JUMP = "another jump", "the jump is not the universal one"
    FIRST_ORDER = "first order", "the exponents are those of a jump, which has no exponent nu"
    CROSSOVER_NOT_EXCLUDED = "crossover not excluded", "a crossover fits as well and moves a number"
    LOGARITHMS_NOT_EXCLUDED = "logarithms not excluded", "logarithms fit as well and move a number"
    AGAINST_THE_BOUND = "against the bound", "a theorem excludes all that the data leave"
    UNDECIDED = "undecided", "the data leave more than one answer"
    TESTS_DISAGREE = "tests disagree", "tests exclude what another one favours, or every order"
    NO_CROSSOVER = "no crossover", "one power law with corrections describes the data as well"
    ONE_SIDE_ONLY = "one side only", "the data reach only one of the two power laws"
    NO_EVIDENCE = "no evidence", "no test favours or excludes anything"


@dataclass(frozen=True)
class Caution:
    """A limit to the use of a number: a title of a few words, and a sentence."""

    title: str
    text: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Result(ABC):
    """The base of all results.

    Attributes
    ----------
    status : Status
        "ok", or why the numbers do not count.
    message : str
        Meaning of the status for these data, and what to do; if "ok", what limits the numbers.
    """

    status: Status = Status.OK
    message: str = ""

    #: Attributes written to JSON, in this order.
    FIELDS: ClassVar[tuple[str, ...]] = ()

    @property
    def ok(self) -> bool:
        """Whether the numbers may be used."""
        return self.status is Status.OK

    def cautions(self) -> list[Caution]:
        """Limits to the use of the numbers; empty if there are none."""
        if self.ok:  # the numbers count, within what the message says of them
            return [Caution("Note", self.message)] if self.message else []
        return [Caution(self.status.capitalize(), self.message or self.status.meaning)]

    def summary(self, verbose: bool = False) -> str:
        """Summarise the answer and its numbers in lines; with `verbose` also the reasons."""
        return "\n".join([*self._lines(), *(self._reasons() if verbose else ())])

    @abstractmethod
    def _lines(self) -> Sequence[str]:
        """Lines of the summary: the answer first, then the numbers."""

    def _reasons(self) -> Sequence[str]:
        """Reasons for the answer."""
        return () if self.ok else (f"{self.status}: {self.status.meaning}",)

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values for JSON, None for infinite or undetermined numbers."""
        return {"schema_version": 1} | {name: plain(getattr(self, name)) for name in self.FIELDS}


@dataclass(frozen=True)
class Parameter:
    """A fitted parameter: error^2 = statistical^2 + systematic^2, the latter between models."""

    value: float
    statistical: float
    systematic: float

    @classmethod
    def held(cls, value: float) -> Parameter:
        """Make a parameter that is not fitted: the given value without an error."""
        return cls(value, 0.0, 0.0)

    @property
    def error(self) -> float:
        return float(np.hypot(self.statistical, self.systematic))

    @property
    def ci95(self) -> tuple[float, float]:
        half = 1.959964 * self.error
        return self.value - half, self.value + half

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("value", "statistical", "systematic", "error", "ci95")
        return {name: plain(getattr(self, name)) for name in names}


def measured(value: float, error: float) -> dict[str, float]:
    """Write a number with its error for JSON."""
    return {"value": float(value), "error": float(error)}


@dataclass(frozen=True)
class SkewParameter(Parameter):
    """A parameter whose interval of 95 % need not be 1.96 errors to either side."""

    interval: tuple[float, float]

    @property
    def ci95(self) -> tuple[float, float]:
        return self.interval


def status_line(status: str, message: str) -> str:
    """Write the status and its message as a line."""
    return f"status: {status}" + (f" ({message})" if message else "")


def parameter_line(
    name: str,
    p: Parameter | None,
    *,
    fixed: float | None = None,
    between: str = "between models",
    note: str = "",
) -> str:
    """Write a parameter with its two errors as a line; `between` explains the systematic one."""
    if fixed is not None:
        return f"{name} = {fixed:g} (fixed)"
    if p is None or not np.isfinite([p.value, p.statistical]).all():
        return f"{name}: not determined"
    if not np.isfinite(p.systematic):
        return f"{name} = {readable(p.value, p.statistical)}   statistical only{note}"
    errors = f"statistical {p.statistical:.2g}, {between} {p.systematic:.2g}"
    return f"{name} = {readable(p.value, p.error)}   {errors}{note}"


def goodness_line(chi2: float, dof: int, p_value: float) -> str:
    """Write chi^2 over the degrees of freedom as a line."""
    if dof == 0:
        return f"chi2 = {chi2:.1f}, no degrees of freedom left: the fit is not tested"
    return f"chi2/dof = {chi2:.1f}/{dof} (p = {p_value:.2g})"


def readable(value: float, error: float) -> str:
    """Write a number as ``0.4406(12)``, or ``3.5(1.2)`` if the error is 1 or more."""
    return _word(value, error, point=True)


def compact(value: float, error: float) -> str:
    """Write a number for siunitx: digits in brackets count in the last places, ``3.5(12)``."""
    return _word(value, error, point=False)


def _word(value: float, error: float, *, point: bool) -> str:
    if not math.isfinite(value) or not math.isfinite(error):
        return f"{value:.6g}"
    if error == 0:
        return f"{_signed(f'{value:.6g}')}(0)"
    # The exponent after rounding: 9.96 becomes 10, with one more place.
    last = _exponent(f"{error:.{DIGITS - 1}e}") - (DIGITS - 1)
    top = max(last + DIGITS - 1, _exponent(f"{value:e}") if value else last)
    if -last > LONGEST or last > LONGEST:
        mantissa = _fixed(_scaled(value, top), _scaled(error, top), last - top, point)
        return f"{mantissa}e{top}"
    return _fixed(value, error, last, point)


def _fixed(value: float, error: float, last: int, point: bool) -> str:
    """Value and error, rounded to the place 10^last."""
    if last >= 0:
        return f"{round(value, -last):.0f}({round(error, -last):.0f})".replace("-0(", "0(")
    shown = _signed(f"{value:.{-last}f}")
    inside = f"{error:.{-last}f}"
    if point and not inside.startswith("0"):
        return f"{shown}({inside})"
    return f"{shown}({inside.replace('.', '').lstrip('0')})"


def _scaled(x: float, power: int) -> float:
    """x / 10^power, correctly rounded."""
    return float(f"{x:.17e}".split("e")[0] + f"e{_exponent(f'{x:.17e}') - power}")


def _exponent(text: str) -> int:
    return int(text.split("e")[1])


def _signed(text: str) -> str:
    """No minus before a zero."""
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def plain(value: Any) -> Any:
    """Convert to plain numbers, text, lists and dicts for JSON.

    Dataclasses are converted by their ``to_dict``, else field by field; numbers that are not finite
    become None.
    """
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    try:
        return None if value != value else str(value)  # missing values of pandas, dates
    except (TypeError, ValueError):  # pandas' NA has no truth value
        return None
