"""What :func:`heatcap.events.find_events` returns: tables, and their counts in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from heatcap.core.result import plain
from heatcap.core.text import csv
from heatcap.core.writing import write_text
from heatcap.resampling.censored import censored_median

__all__ = ["Events", "order_of_events"]


@dataclass(frozen=True, eq=False)
class Events:
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
        share of the checkpoints, and `group`: "none", or the control that the run is.
    curves : DataFrame
        One row per curve: how many maxima stand out before smoothing (`maxima`), how many of them
        coincide with a spike, whether an end is higher (`edge_maximum`), whether the record ends
        while the curve is `rising` to its highest, and why there is no peak.
    spike_steps : dict
        Steps of the marked rows of the loss, per run.
    settings : dict
        Smoothing width, smallest prominence, query and inputs.
    """

    table: pd.DataFrame
    runs: pd.DataFrame
    curves: pd.DataFrame
    spike_steps: dict[Any, NDArray[np.float64]]
    settings: dict[str, Any]

    def maxima(
        self, observable: str, *, layer: Any = None, head: int | str | None = "mean"
    ) -> pd.DataFrame:
        """All rows of one observable, layer (the first by default) and head (None: every head).

        Raises
        ------
        ValueError
            If there are none.
        """
        t = self.table[self.table["observable"] == observable]
        if t.empty:
            known = ", ".join(self.table["observable"].unique())
            raise ValueError(f"events lack {observable!r}; they have {known}")
        layer = t["layer"].iloc[0] if layer is None else layer
        chosen = t["head"] != "mean" if head is None else t["head"] == str(head)
        found: pd.DataFrame = t[(t["layer"] == layer) & chosen]
        if found.empty:
            raise ValueError(f"events lack {observable!r}, layer {layer}, head {head}")
        return found

    def peak(
        self,
        observable: str,
        *,
        layer: Any = None,
        head: int | str | None = "mean",
        at_end: bool = False,
    ) -> pd.DataFrame:
        """The peak (rank 1) of every run that has one; see :meth:`maxima`.

        A curve that is higher at an end of its record has no peak; its highest interior maximum is
        here only if `at_end`.
        """
        t = self.maxima(observable, layer=layer, head=head)
        best: pd.DataFrame = t[t["rank"] == 1]
        return best if at_end else best[~best["edge_maximum"].astype(bool)]

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

    def counts(self) -> pd.DataFrame:
        """How many runs, onsets and peaks, and which came first: per observable, layer and group.

        Stands on the head average.  A curve that is highest at an end of its record counts under
        `highest_at_end` and not as a peak: what its highest interior maximum is depends on where
        the record stops.  `compared` runs have a peak and an onset: `peak_first`, `onset_first`, or
        `unresolved` where the checkpoints beside the peak are further apart than the two;
        `median_lead` is in steps, with the censored runs in it (Kaplan-Meier).
        """
        t = self.table[self.table["head"] == "mean"]
        t = t[(t["rank"] == 1) | t["rank"].isna()].merge(self.runs[["run", "group"]], on="run")
        keys = ["observable", "layer", "group"]
        rows = [
            dict(zip(keys, key, strict=True)) | _count(part)
            for key, part in t.groupby(keys, sort=False)
        ]
        return pd.DataFrame(rows, columns=[*keys, *_COUNTS])

    def summary(self) -> str:
        """The counts as a table of text: nothing is claimed beyond them.

        One line per observable (and layer) on runs with a peak, with an onset, and on which came
        first among those that have both; then peaks and onsets of each control.
        """
        counts, names = self.counts(), self.names()
        controls = [group for group in counts["group"].unique() if group != "none"]
        lines = [["observable", *_HEADER, *controls]]
        for place, part in counts.groupby(["observable", "layer"], sort=False):
            groups = {row["group"]: row for row in part.to_dict("records")}
            line = [names[place], *_main_cells(groups)]
            lines.append(line + [_control_cell(groups.get(group)) for group in controls])
        return f"{_aligned(lines)}\n{_NOTE.format(**self.settings)}"

    def names(self) -> dict[tuple[Any, ...], str]:
        """Name of each observable and layer: with the layer where it has several."""
        found = self.table[["observable", "layer"]].drop_duplicates()
        layers = found["observable"].value_counts()
        return {
            (name, layer): f"{name}, layer {layer}" if layers[name] > 1 else str(name)
            for name, layer in found.itertuples(index=False)
        }

    def __repr__(self) -> str:
        return f"<heatcap.Events: {len(self.runs)} runs, {len(self.table)} rows; see .summary()>"


_COUNTS = (
    *("runs", "censored", "with_onset", "with_peak", "highest_at_end", "compared"),
    *("peak_first", "unresolved", "onset_first", "median_lead"),
)
_NOTE = (
    "Of all runs; the highest maximum of each, on the head average; a curve that is highest at an "
    "end of its record has no peak.\nLead = onset - peak, positive when the peak came first.  "
    "Smoothing {smoothing:g} in ln step, prominence at least {min_prominence:.0%} of the range."
)
_HEADER = (
    *("peak", "highest at end", "onset"),
    *("peak first", "unresolved", "onset first", "median lead"),
)


def order_of_events(lead: ArrayLike, spacing: ArrayLike) -> NDArray[Any]:
    """Which came first: "first" (the peak), "later", "unresolved" within the spacing, or ""."""
    lead = np.asarray(lead, dtype=np.float64)
    close = np.abs(lead) <= np.asarray(spacing, dtype=np.float64)
    return np.select([np.isnan(lead), close, lead > 0], ["", "unresolved", "first"], "later")


def _count(part: pd.DataFrame) -> dict[str, Any]:
    at_end = part["edge_maximum"].astype(bool)
    both = part[(part["rank"] == 1) & ~at_end & part["lead_steps"].notna()]
    lead = both["lead_steps"]
    spacing = both[["peak_step_spacing", "onset_step_spacing"]].max(axis=1)
    order = order_of_events(lead, spacing)
    waiting = part[(part["rank"] == 1) & ~at_end & part["censored"]]
    at_least = (waiting["last_step"] - waiting["peak_step"]).to_numpy(dtype=np.float64)
    return {
        "runs": part["run"].nunique(),
        "censored": int(part["censored"].sum()),
        "with_onset": int(part["onset_step"].notna().sum()),
        "with_peak": int(((part["rank"] == 1) & ~at_end).sum()),
        "highest_at_end": int(at_end.sum()),
        "compared": len(both),
        "peak_first": int((order == "first").sum()),
        "unresolved": int((order == "unresolved").sum()),
        "onset_first": int((order == "later").sum()),
        "median_lead": censored_median(lead.to_numpy(dtype=np.float64), at_least)[0],
    }


def _main_cells(groups: dict[Any, dict[Any, Any]]) -> list[str]:
    row = groups.get("none")
    if row is None:
        return ["-"] * len(_HEADER)
    n, lead = row["runs"], row["median_lead"]
    return [
        *(f"{row[name]}/{n}" for name in ("with_peak", "highest_at_end")),
        f"{row['with_onset']}/{n}",
        *(f"{row[name]}/{row['compared']}" for name in ("peak_first", "unresolved", "onset_first")),
        f"{lead:+.0f} steps" if np.isfinite(lead) else "-",
    ]


def _control_cell(row: dict[Any, Any] | None) -> str:
    if row is None:
        return "-"
    return f"peak {row['with_peak']}/{row['runs']}, onset {row['with_onset']}/{row['runs']}"


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
