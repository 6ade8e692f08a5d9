"""Tables of events, as :func:`heatcap.events.find_events` returns them, with counts and cautions.

`Events` owns the tables: it selects treatment runs and controls, maxima and peaks, and writes CSV
and JSON; `order_of_events` decides which of two events came first; the rest turns counts and
settings into text.  Columns are named by :class:`heatcap.events.Column`; times and leads are in
training steps.
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
    UNRESOLVED = "unresolved"  #: closer than the spacing of the record
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
        share of the checkpoints, and `group`: "none", or the name of the control.  `proper`,
        `controls` and `of_group` select rows of it.
    curves : DataFrame
        One row per curve: number of significant maxima before smoothing (`maxima`), number of these
        that coincide with a spike, whether an end is higher (`edge_maximum`), whether the record
        ends while the curve is `rising` to its largest value, and the reason for a missing peak.
    spike_steps : dict
        Steps of the marked rows of the loss, per run.
    settings : dict
        Smoothing width, smallest prominence, query and inputs.
    status : Status
        Always "ok": an event that is missing has a row with the reason.
    """

    table: pd.DataFrame
    runs: pd.DataFrame
    curves: pd.DataFrame
    spike_steps: dict[Any, NDArray[np.float64]]
    settings: dict[str, Any]

    @property
    def proper(self) -> pd.DataFrame:
        """Rows of the treatment runs, which are no control."""
        return proper_of(self.runs)

    @property
    def controls(self) -> dict[str, pd.DataFrame]:
        """Rows of the runs of every control, by its name."""
        return controls_of(self.runs)

    def counted_controls(self) -> dict[str, int]:
        """Count the runs of every control, by its name, the largest first."""
        groups = self.runs[Column.GROUP].value_counts()
        return {str(name): int(n) for name, n in groups.items() if name != PROPER}

    def of_group(self, group: str) -> pd.DataFrame:
        """Select the runs of one group: `PROPER`, or the name of a control; none if unknown."""
        runs: pd.DataFrame = self.runs[self.runs[Column.GROUP] == group]
        return runs

    @property
    def observables(self) -> list[str]:
        """Names of the observables, in the order of the table."""
        return list(dict.fromkeys(self.table[Column.OBSERVABLE]))

    @property
    def group_of(self) -> dict[Any, str]:
        """Group of every run."""
        return dict(zip(self.runs[Column.RUN], self.runs[Column.GROUP], strict=True))

    def highest(self) -> pd.DataFrame:
        """Select the highest maximum of every head average, or the row with the reason for none."""
        t = self.table[self.table[Column.HEAD] == AVERAGE]
        best: pd.DataFrame = t[(t[Column.RANK] == 1) | t[Column.RANK].isna()]
        return best

    def curves_of(self, observable: str, layer: Any, head: int | str = AVERAGE) -> pd.DataFrame:
        """Select the rows of `curves` of one observable, layer and head, one for every run."""
        t = self.curves
        here = (t[Column.OBSERVABLE] == observable) & (t[Column.LAYER] == layer)
        rows: pd.DataFrame = t[here & (t[Column.HEAD] == str(head))]
        return rows

    def maxima(
        self, observable: str, *, layer: Any = None, head: int | str | None = AVERAGE
    ) -> pd.DataFrame:
        """Select all maxima of an observable, layer (default: the first) and head (None: every).

        Raises
        ------
        ValueError
            If there are none.
        """
        t = self.table[self.table[Column.OBSERVABLE] == observable]
        if t.empty:
            listed = ", ".join(self.observables)
            raise ValueError(f"events lack {observable!r}; they have {listed}")
        layer = t[Column.LAYER].iloc[0] if layer is None else layer
        chosen = t[Column.HEAD] != AVERAGE if head is None else t[Column.HEAD] == str(head)
        rows: pd.DataFrame = t[(t[Column.LAYER] == layer) & chosen]
        if rows.empty:
            raise ValueError(f"events lack {observable!r}, layer {layer}, head {head}")
        return rows

    def peak(
        self,
        observable: str,
        *,
        layer: Any = None,
        head: int | str | None = AVERAGE,
        at_end: bool = False,
    ) -> pd.DataFrame:
        """Select the peak (rank 1) of every run that has one; see :meth:`maxima`.

        A curve that is higher at an end of its record has no peak; its highest interior maximum is
        included only if `at_end`.
        """
        t = self.maxima(observable, layer=layer, head=head)
        best: pd.DataFrame = t[t[Column.RANK] == 1]
        return best if at_end else best[~best[Column.EDGE_MAXIMUM].astype(bool)]

    def to_csv(self, path: str | Path) -> None:
        """Write `table` as CSV, with empty cells for missing values.

        Text that a spreadsheet would take for a formula is prefixed with ``'``, with a warning.
        """
        write_text(path, csv(self.table, float_format="%.10g"))

    def to_dict(self) -> dict[str, Any]:
        """Return all tables as plain values for JSON; None for missing values."""
        tables = {"runs": self.runs, "peaks": self.table, "counts": self.counts()}
        return {
            "schema_version": 1,
            "settings": dict(self.settings),
            **{name: plain(table.to_dict("records")) for name, table in tables.items()},
        }

    def cautions(self) -> list[Caution]:
        """List what could mislead a reader of these runs."""
        return cautions_of_runs(self.runs, self.proper)

    def counts(self) -> pd.DataFrame:
        """Count runs, onsets, peaks and their order, per observable, layer and group.

        Counts use the head average.  A curve that is highest at an end of its record counts under
        `highest_at_end` and not as a peak, because its highest interior maximum depends on the end
        of the record.  `compared` runs have a peak and an onset: `peak_first`, `onset_first`, or
        `unresolved` where the two are closer than the checkpoints beside the peak; `median_lead` is
        in steps and includes the censored runs (Kaplan-Meier).
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
        """Format the counts as a table of text.

        One line per observable (and layer): runs with a peak, runs with an onset, and the order of
        the two where a run has both; then peaks and onsets of each control.
        """
        counts, names = self.counts(), self.names()
        controls = list(controls_of(counts))
        lines = [["observable", *_HEADER, *controls]]
        for place, part in counts.groupby([Column.OBSERVABLE, Column.LAYER], sort=False):
            groups = {row[Column.GROUP]: row for row in part.to_dict("records")}
            line = [names[place], *_main_cells(groups.get(PROPER))]
            lines.append(line + [_control_cell(groups.get(group)) for group in controls])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        return [*aligned, _NOTE.format(**self.settings)]

    def names(self) -> dict[tuple[Any, ...], str]:
        """Name each observable and layer; the layer is named where there are several."""
        places = self.table[[Column.OBSERVABLE, Column.LAYER]].drop_duplicates()
        layers = places[Column.OBSERVABLE].value_counts()
        return {
            (name, layer): f"{name}, layer {layer}" if layers[name] > 1 else str(name)
            for name, layer in places.itertuples(index=False)
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
    """Select the treatment runs, which are no control, from a table with a column `group`."""
    proper: pd.DataFrame = table[table[Column.GROUP] == PROPER]
    return proper


def controls_of(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Split the controls of a table with a column `group`, by their names."""
    names = [name for name in table[Column.GROUP].unique() if name != PROPER]
    return {str(name): table[table[Column.GROUP] == name] for name in names}


def settings_of(runs: pd.DataFrame) -> list[str]:
    """List the columns that are settings of the runs, the parameters of the sweep first."""
    columns = list(map(str, runs.columns))
    return columns[1 : columns.index(Column.MEMORISED)]


def order_of_events(lead: ArrayLike, spacing: ArrayLike) -> NDArray[Any]:
    """Decide which event came first.

    Parameters
    ----------
    lead, spacing : array_like (run,)
        onset - peak, and the spacing of the record there, in steps.

    Returns
    -------
    ndarray of str (run,)
        "first" (the peak), "later", "unresolved" (within the spacing), or "" without a lead.
    """
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


# ---- cautions ------------------------------------------------------------------------------

FEW = 3  # runs of a size below which their spread carries little information
SPIKES = "Loss spikes"


def cautions_of_runs(runs: pd.DataFrame, proper: pd.DataFrame) -> list[Caution]:
    """List cautions on all runs and on the treatment runs (`proper`), the gravest first."""
    parts = (
        _size_names(proper),
        _settings(proper),
        _mirror(proper),
        _spikes(runs),
        _censored(proper),
        _seeds(proper),
    )
    return [caution for part in parts for caution in part]


def _size_names(proper: pd.DataFrame) -> Iterator[Caution]:
    try:
        size_name_of(proper)
    except ValueError as problem:
        message = str(problem)
        yield Caution(
            "Sizes of several names",
            f"{message[:1].upper()}{message[1:]}. They are no one axis: there is no verdict, and "
            "nothing that is said of sizes holds.",
        )


def _settings(proper: pd.DataFrame) -> Iterator[Caution]:
    for setting in differing(proper):
        moves = ", and it changes with the size" if setting.by_size else ""
        message = f"The runs differ in {setting}{moves}: a peak may follow it, and not the size."
        yield Caution(f"{spoken(setting.name).capitalize()} differs", message)


def _mirror(proper: pd.DataFrame) -> Iterator[Caution]:
    leaks = proper[proper[Column.MIRROR_LEAK].fillna(False).astype(bool)]
    if leaks.empty:
        return
    free = int((leaks[Column.ONSET_METRIC] == "mirror_free_accuracy").sum())
    text = (
        f"In {len(leaks)} of {len(proper)} runs the test accuracy waits where mirrors (b, a) of "
        "trained pairs are answered"
    )
    if free == len(leaks):
        text += "; the onset stands on the mirror-free accuracy and is not touched by it."
    else:
        text += (
            f"; {len(leaks) - free} of them have no mirror-free accuracy, and their onset may be "
            "that of the mirrors."
        )
    yield Caution("Mirror leak", text)


def _spikes(runs: pd.DataFrame) -> Iterator[Caution]:
    if spiky := int((runs[Column.SPIKES].fillna(0) > 0).sum()):
        text = f"The training loss spikes in {spiky} of {len(runs)} runs"
        yield Caution(SPIKES, f"{text}; peaks are sought elsewhere.")


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
    parts = []
    if len(guesses):
        parts.append(
            f"{len(guesses)} of {len(counts)} sizes have fewer than {FEW} runs "
            f"({_listed(guesses, name)}): their errors are guesses"
        )
    if len(pooled) == len(counts) > 1 and pooled.nunique() == 1:
        parts.append(f"all {len(counts)} sizes have {pooled.iloc[0]} runs")
    elif len(pooled):
        parts.append(
            f"{len(pooled)} of {len(counts)} sizes have {FEW} to {ENOUGH - 1} runs "
            f"({_listed(pooled, name)})"
        )
    if parts and len(counts) > 1:
        parts.append(
            "the relative spreads of the sizes steady one another, by as much as they are alike"
        )
    if parts:
        text = "; ".join(parts)
        yield Caution("Few runs per size", f"{text[:1].upper()}{text[1:]}.")


def _listed(counts: pd.Series, name: str) -> str:
    at = {n: ", ".join(f"{s:g}" for s in counts.index[counts == n]) for n in counts.unique()}
    return "; ".join(f"{n} at {name} = {sizes}" for n, sizes in at.items())


# Columns of the runs that are results, or that distinguish runs without being a setting.
NO_SETTING = {
    *(Column.RUN, "seed", "size", "size_name", "p", "control", "path", "checksum"),
    *OF_RUN,
}
MOST = 8  # values that are listed


@dataclass(frozen=True)
class Differing:
    """A setting that differs between runs: first values, and whether each size has a single one."""

    name: str
    values: Sequence[str]
    by_size: bool

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.values)})"


def differing(runs: pd.DataFrame) -> list[Differing]:
    """List the settings with several values in the runs that do not just number the runs."""
    size, settings = sizes_of(runs), []
    for name in map(str, runs.columns):
        if name in NO_SETTING:
            continue
        defined = runs[name][runs[name].notna() & (runs[name].astype(str) != "")]
        if defined.nunique() < 2 or defined.nunique() == len(runs) > 2:
            continue
        values = sorted(defined.unique().tolist(), key=_sort_key)
        shown = [f"{v:g}" if isinstance(v, float) else str(v) for v in values[:MOST]]
        shown += ["..."] if len(values) > MOST else []
        by_size = bool((defined.groupby(size[defined.index]).nunique() <= 1).all())
        settings.append(Differing(name, shown, by_size))
    return settings


def _sort_key(value: object) -> tuple[bool, float, str]:
    """Sort key: numbers by value, then texts."""
    number = float(value) if isinstance(value, int | float) else 0.0
    return not isinstance(value, int | float), number, str(value)
