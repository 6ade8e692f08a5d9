"""What :func:`heatcap.events.find_events` returns: tables, and their counts in words.

Whoever reads the tables asks here which runs are proper and which are controls, which rows are the
peaks, and which columns are settings; columns are named by :class:`heatcap.events.Column`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from heatcap.core.columns import AVERAGE, OF_RUN, PROPER, Column
from heatcap.core.quantities import spoken
from heatcap.core.result import Caution, Result, plain
from heatcap.core.student import ENOUGH
from heatcap.core.text import csv
from heatcap.core.writing import write_text
from heatcap.events.record import MEMORISED
from heatcap.observables.dataset import size_label, size_name_of, sizes_of
from heatcap.resampling.censored import censored_median

__all__ = [
    "SPIKES",
    "Count",
    "Differing",
    "Events",
    "cautions_of_runs",
    "controls_of",
    "differing",
    "order_of_events",
    "proper_of",
    "settings_of",
]


class Count:
    """Columns of the counts, beside observable, layer and group."""

    RUNS = "runs"
    CENSORED = "censored"
    WITH_ONSET = "with_onset"
    WITH_PEAK = "with_peak"
    HIGHEST_AT_END = "highest_at_end"
    COMPARED = "compared"  #: with a peak and an onset
    PEAK_FIRST = "peak_first"
    UNRESOLVED = "unresolved"  #: closer than the record tells
    ONSET_FIRST = "onset_first"
    MEDIAN_LEAD = "median_lead"  #: in steps


@dataclass(frozen=True, eq=False)
class Events(Result):
    """Events of all runs.

    Attributes
    ----------
    table : DataFrame
        One row per run, observable, layer, head (and "mean", the average over heads) and peak;
        one row with an empty rank where there is no interior peak.  Rank 1 is the highest interior
        maximum outside marked spikes; `status` is "peak" unless the curve is higher at an end of
        its record, or in a maximum that scatter could make ("interior maximum").  `lead_steps` is
        onset - peak, empty when the run is censored.
    runs : DataFrame
        One row per run: memorisation, baseline, final value, onset, censored, spikes and their
        share of the checkpoints, and `group`: "none", or the control that the run is.  `proper`,
        `controls` and `of_group` are parts of it.
    curves : DataFrame
        One row per curve: how many maxima stand out before smoothing (`maxima`), how many of them
        coincide with a spike, whether an end is higher (`edge_maximum`), whether the record ends
        while the curve is `rising` to its highest, and why there is no peak.
    spike_steps : dict
        Steps of the marked rows of the loss, per run.
    settings : dict
        Smoothing width, smallest prominence, query and inputs.
    status : Status
        Always "ok": what is not found is a row that says why.
    """

    table: pd.DataFrame
    runs: pd.DataFrame
    curves: pd.DataFrame
    spike_steps: dict[Any, NDArray[np.float64]]
    settings: dict[str, Any]

    @property
    def proper(self) -> pd.DataFrame:
        """Rows of the runs that are no control."""
        return proper_of(self.runs)

    @property
    def controls(self) -> dict[str, pd.DataFrame]:
        """Rows of the runs of every control, by its name."""
        return controls_of(self.runs)

    def counted_controls(self) -> dict[str, int]:
        """How many runs every control has, by its name, the largest first."""
        groups = self.runs[Column.GROUP].value_counts()
        return {str(name): int(n) for name, n in groups.items() if name != PROPER}

    def of_group(self, group: str) -> pd.DataFrame:
        """Rows of the runs of one group: `PROPER`, or the name of a control; none if unknown."""
        runs: pd.DataFrame = self.runs[self.runs[Column.GROUP] == group]
        return runs

    @property
    def observables(self) -> list[str]:
        """Names of the observables, in the order of the table."""
        return list(dict.fromkeys(self.table[Column.OBSERVABLE]))

    @property
    def group_of(self) -> dict[Any, str]:
        """The group of every run."""
        return dict(zip(self.runs[Column.RUN], self.runs[Column.GROUP], strict=True))

    def highest(self) -> pd.DataFrame:
        """The highest maximum of every head average, or the row that says why there is none."""
        t = self.table[self.table[Column.HEAD] == AVERAGE]
        best: pd.DataFrame = t[(t[Column.RANK] == 1) | t[Column.RANK].isna()]
        return best

    def curves_of(self, observable: str, layer: Any, head: int | str = AVERAGE) -> pd.DataFrame:
        """Rows of `curves` of one observable, layer and head, one for every run."""
        t = self.curves
        here = (t[Column.OBSERVABLE] == observable) & (t[Column.LAYER] == layer)
        found: pd.DataFrame = t[here & (t[Column.HEAD] == str(head))]
        return found

    def maxima(
        self, observable: str, *, layer: Any = None, head: int | str | None = AVERAGE
    ) -> pd.DataFrame:
        """All rows of one observable, layer (the first by default) and head (None: every head).

        Raises
        ------
        ValueError
            If there are none.
        """
        t = self.table[self.table[Column.OBSERVABLE] == observable]
        if t.empty:
            known = ", ".join(self.observables)
            raise ValueError(f"events lack {observable!r}; they have {known}")
        layer = t[Column.LAYER].iloc[0] if layer is None else layer
        chosen = t[Column.HEAD] != AVERAGE if head is None else t[Column.HEAD] == str(head)
        found: pd.DataFrame = t[(t[Column.LAYER] == layer) & chosen]
        if found.empty:
            raise ValueError(f"events lack {observable!r}, layer {layer}, head {head}")
        return found

    def peak(
        self,
        observable: str,
        *,
        layer: Any = None,
        head: int | str | None = AVERAGE,
        at_end: bool = False,
    ) -> pd.DataFrame:
        """The peak (rank 1) of every run that has one; see :meth:`maxima`.

        A curve that is higher at an end of its record has no peak; its highest interior maximum is
        here only if `at_end`.
        """
        t = self.maxima(observable, layer=layer, head=head)
        best: pd.DataFrame = t[t[Column.RANK] == 1]
        return best if at_end else best[~best[Column.EDGE_MAXIMUM].astype(bool)]

    def to_csv(self, path: str | Path) -> None:
        """Write `table`; empty cells where a value does not exist.

        Text that a spreadsheet would take for a formula has a ``'`` before it, with a warning.
        """
        write_text(path, csv(self.table, float_format="%.10g"))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python values for JSON, None where a value does not exist."""
        tables = {"runs": self.runs, "peaks": self.table, "counts": self.counts()}
        return {
            "schema_version": 1,
            "settings": dict(self.settings),
            **{name: plain(table.to_dict("records")) for name, table in tables.items()},
        }

    def cautions(self) -> list[Caution]:
        """What could mislead a reader of these runs."""
        return cautions_of_runs(self.runs, self.proper)

    def counts(self) -> pd.DataFrame:
        """How many runs, onsets and peaks, and which came first: per observable, layer and group.

        Stands on the head average.  A curve that is highest at an end of its record counts under
        `highest_at_end` and not as a peak: what its highest interior maximum is depends on where
        the record stops.  `compared` runs have a peak and an onset: `peak_first`, `onset_first`, or
        `unresolved` where the checkpoints beside the peak are further apart than the two;
        `median_lead` is in steps, with the censored runs in it (Kaplan-Meier).
        """
        groups = self.runs[[Column.RUN, Column.GROUP]]
        t = self.highest().merge(groups, on=Column.RUN)
        keys = [Column.OBSERVABLE, Column.LAYER, Column.GROUP]
        rows = [
            dict(zip(keys, key, strict=True)) | _count(part)
            for key, part in t.groupby(keys, sort=False)
        ]
        return pd.DataFrame(rows, columns=[*keys, *_COUNTED])

    def _lines(self) -> list[str]:
        """The counts as a table of text: nothing is claimed beyond them.

        One line per observable (and layer) on runs with a peak, with an onset, and on which came
        first among those that have both; then peaks and onsets of each control.
        """
        counts, names = self.counts(), self.names()
        controls = list(controls_of(counts))
        lines = [["observable", *_HEADER, *controls]]
        for place, part in counts.groupby([Column.OBSERVABLE, Column.LAYER], sort=False):
            groups = {row[Column.GROUP]: row for row in part.to_dict("records")}
            line = [names[place], *_main_cells(groups.get(PROPER))]
            lines.append(line + [_control_cell(groups.get(group)) for group in controls])
        return [*_aligned(lines), _NOTE.format(**self.settings)]

    def names(self) -> dict[tuple[Any, ...], str]:
        """Name of each observable and layer: with the layer where it has several."""
        found = self.table[[Column.OBSERVABLE, Column.LAYER]].drop_duplicates()
        layers = found[Column.OBSERVABLE].value_counts()
        return {
            (name, layer): f"{name}, layer {layer}" if layers[name] > 1 else str(name)
            for name, layer in found.itertuples(index=False)
        }

    def __repr__(self) -> str:
        return f"<heatcap.Events: {len(self.runs)} runs, {len(self.table)} rows; see .summary()>"


_NOTE = (
    "Of all runs; the highest maximum of each, on the head average; a curve that is highest at an "
    "end of its record has no peak.\nLead = onset - peak, positive when the peak came first.  "
    "Smoothing {smoothing:g} in ln step, prominence at least {min_prominence:.0%} of the range."
)
_HEADER = (
    *("peak", "highest at end", "onset"),
    *("peak first", "unresolved", "onset first", "median lead"),
)


def proper_of(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the runs that are no control, of a table with a column `group`."""
    proper: pd.DataFrame = table[table[Column.GROUP] == PROPER]
    return proper


def controls_of(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of every control by its name, of a table with a column `group`."""
    names = [name for name in table[Column.GROUP].unique() if name != PROPER]
    return {str(name): table[table[Column.GROUP] == name] for name in names}


def settings_of(runs: pd.DataFrame) -> list[str]:
    """Columns that are settings of the runs: the sweep's parameters first."""
    columns = list(map(str, runs.columns))
    return columns[1 : columns.index(Column.MEMORISED)]


def order_of_events(lead: ArrayLike, spacing: ArrayLike) -> NDArray[Any]:
    """Which came first: "first" (the peak), "later", "unresolved" within the spacing, or ""."""
    lead = np.asarray(lead, dtype=np.float64)
    close = np.abs(lead) <= np.asarray(spacing, dtype=np.float64)
    return np.select([np.isnan(lead), close, lead > 0], ["", "unresolved", "first"], "later")


def _count(part: pd.DataFrame) -> dict[str, Any]:
    at_end = part[Column.EDGE_MAXIMUM].astype(bool)
    both = part[(part[Column.RANK] == 1) & ~at_end & part[Column.LEAD].notna()]
    lead = both[Column.LEAD]
    spacing = both[[Column.PEAK_SPACING, Column.ONSET_SPACING]].max(axis=1)
    order = order_of_events(lead, spacing)
    waiting = part[(part[Column.RANK] == 1) & ~at_end & part[Column.CENSORED]]
    at_least = (waiting[Column.LAST_STEP] - waiting[Column.PEAK]).to_numpy(dtype=np.float64)
    return {
        Count.RUNS: part[Column.RUN].nunique(),
        Count.CENSORED: int(part[Column.CENSORED].sum()),
        Count.WITH_ONSET: int(part[Column.ONSET].notna().sum()),
        Count.WITH_PEAK: int(((part[Column.RANK] == 1) & ~at_end).sum()),
        Count.HIGHEST_AT_END: int(at_end.sum()),
        Count.COMPARED: len(both),
        Count.PEAK_FIRST: int((order == "first").sum()),
        Count.UNRESOLVED: int((order == "unresolved").sum()),
        Count.ONSET_FIRST: int((order == "later").sum()),
        Count.MEDIAN_LEAD: censored_median(lead.to_numpy(dtype=np.float64), at_least)[0],
    }


_COUNTED = [name for key, name in vars(Count).items() if not key.startswith("__")]


def _main_cells(row: dict[Any, Any] | None) -> list[str]:
    if row is None:
        return ["-"] * len(_HEADER)
    lead = row[Count.MEDIAN_LEAD]
    of_all = (Count.WITH_PEAK, Count.HIGHEST_AT_END, Count.WITH_ONSET)
    of_compared = (Count.PEAK_FIRST, Count.UNRESOLVED, Count.ONSET_FIRST)
    return [
        *(f"{row[name]}/{row[Count.RUNS]}" for name in of_all),
        *(f"{row[name]}/{row[Count.COMPARED]}" for name in of_compared),
        f"{lead:+.0f} steps" if np.isfinite(lead) else "-",
    ]


def _control_cell(row: dict[Any, Any] | None) -> str:
    if row is None:
        return "-"
    n = row[Count.RUNS]
    return f"peak {row[Count.WITH_PEAK]}/{n}, onset {row[Count.WITH_ONSET]}/{n}"


def _aligned(lines: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


# ---- what could mislead --------------------------------------------------------------------

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
