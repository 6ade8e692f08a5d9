"""Tables of text, with the numbers that their rows are sorted by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from heatcap.figures.names import spoken

__all__ = ["Cell", "Column", "Table", "either", "named", "number", "word"]

NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """What is shown, and the value that rows are sorted by ("" where there is none)."""

    text: str
    value: str | float = ""


@dataclass(frozen=True)
class Column:
    """Its head, whether it holds numbers, and what it means."""

    name: str
    number: bool = False
    meaning: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page."""

    key: str
    title: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


def word(value: Any) -> Cell:
    """Text, a dash where there is none; names of controls without underscores."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return Cell(NOTHING)
    text = spoken(str(value)) if str(value) in ("random_labels", "weight_decay_0") else str(value)
    return Cell(text or NOTHING, text)


def named(observable: str) -> Cell:
    """An observable by the name that it has on the page; rows are sorted and copied by its own."""
    return Cell(spoken(observable), observable)


def either(value: Any) -> Cell:
    """A parameter of a run: a number or text."""
    numeric = isinstance(value, int | float) or hasattr(value, "dtype")
    if numeric and not isinstance(value, bool | str):
        return number(value, "g")
    return word(value)


def number(value: Any, form: str) -> Cell:
    """A number in a format; a dash where there is none."""
    if value is None or value is pd.NA or not math.isfinite(value):
        return Cell(NOTHING)
    text = format(value, form).replace("-", "\N{MINUS SIGN}")
    rounded = float(f"{value:.10g}")
    return Cell(text, int(rounded) if rounded.is_integer() else rounded)
