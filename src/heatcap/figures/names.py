"""Names of observables as they are read: one for each, in sentences, tables and figures alike."""

from __future__ import annotations

from heatcap.core.quantities import OBSERVABLES, spoken
from heatcap.core.text import literal

__all__ = ["label", "letter"]

LETTERS = 0x500  # Latin, Greek, Cyrillic: what mathtext has


def label(name: str) -> str:
    """An observable, as on an axis."""
    known = OBSERVABLES.get(name)
    return (known and known.label) or letter(spoken(name))


def letter(name: str) -> str:
    """A letter in italics; any other name as it is, for it may come from a file."""
    if len(name) == 1 and name.isalpha() and ord(name) < LETTERS:
        return f"${name}$"
    # A backslash at the end would take the dollar of a formula behind it for its own.
    return literal(name) + " " * name.endswith("\\")
