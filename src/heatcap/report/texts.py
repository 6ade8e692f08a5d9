"""Settings in which runs differ, and what their size is called: what a comparison rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from heatcap.core.columns import OF_RUN, Column
from heatcap.events import size_name_of, sizes_of

__all__ = ["Differing", "differing", "size_label"]

# Columns of the runs that are results, or that tell runs apart without being a setting.
NO_SETTING = {
    *(Column.RUN, "seed", "size", "size_name", "p", "control", "path", "checksum"),
    *OF_RUN,
}
MOST = 8  # values that are listed


@dataclass(frozen=True)
class Differing:
    """A setting, its values (the first few), and whether each size has one value of it."""

    name: str
    values: Sequence[str]
    by_size: bool

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.values)})"


def differing(runs: pd.DataFrame) -> list[Differing]:
    """Settings that have more than one value in the runs, and do not just number them."""
    size, found = sizes_of(runs), []
    for name in map(str, runs.columns):
        if name in NO_SETTING:
            continue
        known = runs[name][runs[name].notna() & (runs[name].astype(str) != "")]
        if known.nunique() < 2 or known.nunique() == len(runs) > 2:
            continue
        values = sorted(known.unique().tolist(), key=_order)
        shown = [*map(_text, values[:MOST]), *(["..."] if len(values) > MOST else [])]
        by_size = bool((known.groupby(size[known.index]).nunique() <= 1).all())
        found.append(Differing(name, shown, by_size))
    return found


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _order(value: object) -> tuple[bool, float, str]:
    number = float(value) if isinstance(value, int | float) else 0.0
    return not isinstance(value, int | float), number, str(value)


def size_label(runs: pd.DataFrame) -> str:
    """Name of the size; "size" for a column that holds sizes of several names."""
    try:
        return size_name_of(runs)
    except ValueError:
        return "size"
