"""What each observable is, and whether it can grow with the size: the texts of the report.

Symbols: E = -logit of a visible key, p its attention weight, U = sum p E the energy of one row with
n visible keys, x the probe inputs; at the temperature of the model, beta = 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from heatcap.figures.names import spoken

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


# By the names in files: equation, words, growth.
KNOWN = {
    "heat_capacity": (
        "⟨β² Var_p(E)⟩_x",
        "canonical; the only one that is dU/dT",
        "no further than the number of visible keys lets it: below (ln(n − 1))²/4 + 1; where n is "
        "the same at every size, so is the bound",
    ),
    "landscape_heat_capacity": (
        "β² Var_x(U)",
        "fluctuation of the row energy over inputs; depends on the gauge unless all inputs share "
        "the query vector",
        "yes",
    ),
    "landscape_heat_capacity_fixed": (
        "β² Var_x(U − Ē)",
        "the landscape heat capacity in the gauge Ē = 0",
        "yes",
    ),
    "total_heat_capacity": (
        "⟨β² Var_p(E)⟩_x + β² Var_x(U)",
        "heat capacity plus landscape heat capacity",
        "yes",
    ),
    "unweighted_heat_capacity": (
        "β² Var_{x,j}(E)",
        "all keys j alike, whatever their weight; mostly constant offsets of keys",
        "yes, without a bound",
    ),
    "offset_heat_capacity": (
        "β² Var_j(⟨E⟩_x)",
        "the part of the unweighted heat capacity that is a constant offset of keys",
        "yes; it is that artefact by itself",
    ),
    "pooled_logit_variance": (
        "β² Var(E) over inputs, queries, heads, layers and keys at once",
        "the unweighted heat capacity without telling heads and layers apart; offsets of heads, "
        "queries and keys count in full",
        "yes, without a bound",
    ),
}
OTHER = ("as the file gives it", "not known here")


def definitions_of(observables: Iterable[str]) -> list[Definition]:
    """Definitions of the observables of a page, each once; those of others are not known."""
    found = []
    for name in dict.fromkeys(observables):
        if name in KNOWN:
            equation, words, grows = KNOWN[name]
            found.append(Definition(spoken(name), f"{equation}: {words}", grows))
        else:
            found.append(Definition(spoken(name), *OTHER))
    return found
