"""What each observable is, and whether it can grow with the size: the texts of the report.

Symbols: E = -logit of a visible key, p its attention weight, U = sum p E the energy of one row with
n visible keys, x the probe inputs; at the temperature of the model, beta = 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from heatcap.core.quantities import OBSERVABLES, spoken

__all__ = ["SYMBOLS", "Definition", "definitions_of"]

SYMBOLS = (
    "E = \N{MINUS SIGN}logit of a visible key, p its attention weight, U = Σ p E the energy of one "
    "row with n visible keys, Ē the plain mean of E over them; Var_x and ⟨ ⟩_x are over the probe "
    "inputs x, all at the temperature of the model (β = 1). Names in files have underscores for "
    "spaces."
)


@dataclass(frozen=True)
class Definition:
    """Name as on the page, equation with words, and the bound on growth, if any."""

    name: str
    content: str
    grows: str


OTHER = ("as the file gives it", "not known here")


def definitions_of(observables: Iterable[str]) -> list[Definition]:
    """Definitions of the observables of a page, each once; those of others are not known."""
    found = []
    for name in dict.fromkeys(observables):
        known = OBSERVABLES.get(name)
        content = known and known.equation and (f"{known.equation}: {known.words}", known.grows)
        found.append(Definition(spoken(name), *(content or OTHER)))
    return found
