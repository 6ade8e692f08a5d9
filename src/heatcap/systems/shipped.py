"""Small tables that ship with the package: to try a command on, without a clone.

Each was made by the systems of this room: `remade` makes it again, from the seed.  The makers
import them, which takes seconds: a copy of the text needs none.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from heatcap.core.arrays import Floats

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EXAMPLES", "Example", "example", "remade", "shipped"]

DIGITS = 6  # of what is written


def _ising() -> pd.DataFrame:
    from heatcap.systems.potts import Ising2D
    from heatcap.systems.table import to_frame

    controls = np.linspace(0.42, 0.46, 13).round(4)
    table = Ising2D().sample([8, 12, 16, 24, 32], controls, replicates=16, sweeps=1000, rng=1)
    return to_frame(table)[["size", "control", "binder", "binder_error"]]


def _percolation() -> pd.DataFrame:
    """Every control from runs of its own: those of one call share their noise."""
    import pandas as pd

    from heatcap.systems.percolation import Percolation
    from heatcap.systems.table import to_frame

    parts = [
        to_frame(Percolation().sample([8, 16, 32, 64], [p], replicates=20, runs=50, rng=seed))
        for seed, p in enumerate(np.linspace(0.44, 0.56, 13).round(3).tolist())
    ]
    table = pd.concat(parts).sort_values(["size", "control"], ignore_index=True)
    names = ["wrapping", "wrapping_error", "strength", "strength_error"]
    return table[["size", "control", *names]]


def _verdict() -> pd.DataFrame:
    from heatcap.systems.potts import Ising2D
    from heatcap.systems.table import to_frame

    sizes, k_c = [4, 6, 8, 12, 16, 24, 32, 48], 0.44068679
    table = to_frame(Ising2D().sample(sizes, [k_c], replicates=20, sweeps=1000, rng=1))
    names = ["susceptibility", "susceptibility_error", "heat_capacity", "heat_capacity_error"]
    return table[["size", *names]]


def _thresholds() -> pd.DataFrame:
    from heatcap.systems.spanning import SITE_P_C, spanning_counts

    def controls(size: int) -> Floats:
        return np.asarray((SITE_P_C + 0.8 * size**-0.75 * np.linspace(-1, 1, 9)).round(4))

    return spanning_counts([8, 16, 32, 64, 128], controls, trials=500, rng=1)


@dataclass(frozen=True)
class Example:
    """A table: what it is, what is known of it, the command to try, and its maker."""

    about: str
    known: str
    command: str
    make: Callable[[], pd.DataFrame]


EXAMPLES: dict[str, Example] = {
    "ising": Example(
        "Binder ratio of the square Ising model, sampled, L = 8 to 32",
        "K_c = 0.440687, 1/nu = 1, no logarithms",
        "heatcap collapse ising.csv --value binder --error binder_error --fix exponent=0"
        " --excluded logarithms --figure ising.pdf",
        _ising,
    ),
    "percolation": Example(
        "Bond percolation on the torus, sampled, L = 8 to 64",
        "p_c = 0.5, 1/nu = 0.75, exponent of the strength -0.104",
        "heatcap collapse percolation.csv --value strength --error strength_error"
        " --excluded logarithms --figure percolation.pdf",
        _percolation,
    ),
    "verdict": Example(
        "Heights of the square Ising model at K_c, sampled, L = 4 to 48",
        "the susceptibility grows like L^1.75, the heat capacity like ln L",
        "heatcap verdict verdict.csv --value susceptibility --error susceptibility_error"
        " --figure verdict.pdf",
        _verdict,
    ),
    "thresholds": Example(
        "Counts of samples of site percolation that span the square, L = 8 to 128",
        "p_c = 0.592746, 1/nu = 0.75",
        "heatcap thresholds thresholds.csv --figure thresholds.pdf",
        _thresholds,
    ),
}


def shipped(name: str) -> str:
    """Return the text of a table, CSV.

    Raises
    ------
    ValueError
        If there is no such example.
    """
    _known(name)
    path = resources.files("heatcap.systems") / "examples" / f"{name}.csv"
    return path.read_text(encoding="utf-8")


def example(name: str) -> pd.DataFrame:
    """Return a table that ships with the package.

    Parameters
    ----------
    name : str
        "ising", "percolation", "verdict" or "thresholds".

    Returns
    -------
    DataFrame
        Columns size, control (not of "verdict"), values and errors, or successes and trials.

    Raises
    ------
    ValueError
        If there is no such example.
    """
    import pandas as pd

    return pd.read_csv(io.StringIO(shipped(name)))


def remade(name: str) -> str:
    """Make the text of a table again, as it ships: up to minutes.

    Raises
    ------
    ValueError
        If there is no such example.
    """
    _known(name)
    return (
        EXAMPLES[name].make().to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
    )


def _known(name: str) -> None:
    if name not in EXAMPLES:
        raise ValueError(f"example must be one of {', '.join(EXAMPLES)}, got {name!r}")
