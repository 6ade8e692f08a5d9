"""What could mislead a reader of runs and their events: one sentence each, with counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from heatcap.core.columns import OF_RUN, Column
from heatcap.core.quantities import spoken
from heatcap.core.result import Caution
from heatcap.core.student import ENOUGH
from heatcap.events.accuracy import MEMORISED
from heatcap.observables.dataset import size_label, size_name_of, sizes_of

__all__ = ["SPIKES", "Differing", "cautions_of_runs", "differing"]

FEW = 3  # runs of a size, below which their spread says little
SPIKES = "Loss spikes"


def cautions_of_runs(runs: pd.DataFrame, proper: pd.DataFrame) -> list[Caution]:
    """Of all runs, and of those that are no controls, what touches the answers most first."""
    parts = (
        _size_names(proper),
        _settings(proper),
        _mirror(proper),
        _spikes(runs),
        _censored(proper),
        _seeds(proper),
    )
    return [each for part in parts for each in part]


def _size_names(proper: pd.DataFrame) -> Iterator[Caution]:
    try:
        size_name_of(proper)
    except ValueError as problem:
        said = str(problem)
        yield Caution(
            "Sizes of several names",
            f"{said[:1].upper()}{said[1:]}. They are no one axis: there is no verdict, and nothing "
            "that is said of sizes holds.",
        )


def _settings(proper: pd.DataFrame) -> Iterator[Caution]:
    for each in differing(proper):
        moves = ", and it changes with the size" if each.by_size else ""
        said = f"The runs differ in {each}{moves}: a peak may follow it, and not the size."
        yield Caution(f"{spoken(each.name).capitalize()} differs", said)


def _mirror(proper: pd.DataFrame) -> Iterator[Caution]:
    leaks = proper[proper[Column.MIRROR_LEAK].fillna(False).astype(bool)]
    if leaks.empty:
        return
    free = int((leaks[Column.ONSET_METRIC] == "mirror_free_accuracy").sum())
    said = (
        f"In {len(leaks)} of {len(proper)} runs the test accuracy waits where mirrors (b, a) of "
        "trained pairs are answered"
    )
    if free == len(leaks):
        said += "; the onset stands on the mirror-free accuracy and is not touched by it."
    else:
        said += (
            f"; {len(leaks) - free} of them have no mirror-free accuracy, and their onset may be "
            "that of the mirrors."
        )
    yield Caution("Mirror leak", said)


def _spikes(runs: pd.DataFrame) -> Iterator[Caution]:
    if spiky := int((runs[Column.SPIKES].fillna(0) > 0).sum()):
        said = f"The training loss spikes in {spiky} of {len(runs)} runs"
        yield Caution(SPIKES, f"{said}; peaks are sought elsewhere.")


def _censored(proper: pd.DataFrame) -> Iterator[Caution]:
    n = int(proper[Column.CENSORED].sum())
    if n:
        all_ = n == len(proper)
        yield Caution(
            "Not generalised",
            f"{n} of {len(proper)} runs had not generalised by their last step"
            + (": no order of peak and onset can be seen." if all_ else "; they are kept as such."),
        )
    unknown = int((proper[Column.ONSET].isna() & ~proper[Column.CENSORED].astype(bool)).sum())
    if unknown:
        yield Caution(
            "No defined onset",
            f"{unknown} of {len(proper)} runs have no defined onset: no accuracy in the record, or "
            f"a train accuracy that never reaches {MEMORISED:g}.",
        )


def _seeds(proper: pd.DataFrame) -> Iterator[Caution]:
    size = sizes_of(proper)
    unknown = int((size.isna() | (size == 0)).sum())
    if unknown:
        yield Caution(
            "No size",
            f"{unknown} of {len(proper)} runs have no size: nothing can be said of how a height "
            "grows with it.",
        )
    counts = size[size.notna() & (size != 0)].value_counts().sort_index()
    name = size_label(proper)
    guesses, pooled = counts[counts < FEW], counts[(counts >= FEW) & (counts < ENOUGH)]
    said = []
    if len(guesses):
        said.append(
            f"{len(guesses)} of {len(counts)} sizes have fewer than {FEW} runs "
            f"({_listed(guesses, name)}): their errors are guesses"
        )
    if len(pooled) == len(counts) > 1 and pooled.nunique() == 1:
        said.append(f"all {len(counts)} sizes have {pooled.iloc[0]} runs")
    elif len(pooled):
        said.append(
            f"{len(pooled)} of {len(counts)} sizes have {FEW} to {ENOUGH - 1} runs "
            f"({_listed(pooled, name)})"
        )
    if said and len(counts) > 1:
        said.append(
            "the relative spreads of the sizes steady one another, by as much as they are alike"
        )
    if said:
        yield Caution("Few runs per size", _sentence(said))


def _listed(counts: pd.Series, name: str) -> str:
    at = {n: ", ".join(f"{s:g}" for s in counts.index[counts == n]) for n in counts.unique()}
    return "; ".join(f"{n} at {name} = {sizes}" for n, sizes in at.items())


def _sentence(parts: Sequence[str], *, upper: bool = True) -> str:
    text = "; ".join(part.rstrip(".") for part in parts)
    return f"{text[:1].upper() if upper else text[:1]}{text[1:]}."


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
