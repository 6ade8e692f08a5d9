"""One row per run: where its peak, its memorisation and its onset lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from heatcap.events import AVERAGE, Column, Events, order_of_events, sizes_of

__all__ = ["LeadColumn", "lead_table"]


class LeadColumn:
    """Columns of the table of leads beside those of the runs, the peak and `rising`."""

    SIZE = "size"
    CONFIGURATION = "configuration"  #: a number for every combination of settings, seeds apart
    HEIGHT = "height"  #: of the peak
    SPACING = "spacing"  #: of the checkpoints beside the peak, in steps
    HIGHEST_AT_END = "highest_at_end"  #: the curve is higher at an end, and has no peak
    LEAD = "lead"  #: onset - peak in steps
    LOG_LEAD = "log_lead"  #: ln(onset / peak)
    ORDER = "order"  #: "first", "later", "unresolved", or "" without a lead


def lead_table(
    events: Events, observable: str, layer: Any, head: int | str = AVERAGE
) -> pd.DataFrame:
    """Every run with its peak of one curve (rank 1, outside spikes), where it has one.

    Parameters
    ----------
    events : Events
    observable : str
    layer : label of a layer
    head : int or "mean"

    Returns
    -------
    DataFrame
        One row per run in the order of ``events.runs``: its columns and

        * `size`, `configuration` (a number for every combination of size, fraction, weight decay
          and task), `peak_step`, `height`, `spacing`;
        * `highest_at_end`: the curve is higher at an end of its record, and has no peak;
        * `rising`: the record ends while the curve rises to its highest;
        * `lead` = onset - peak in steps, `log_lead` = ln(onset / peak);
        * `order`: "first", "later", "unresolved" (closer than the checkpoints beside the peak or
          the rows beside the onset),
          or "" without a lead.

    Raises
    ------
    ValueError
        If `events` lack the curve.
    """
    best = events.peak(observable, layer=layer, head=head).set_index(Column.RUN)
    table = events.runs.copy()
    table[LeadColumn.SIZE] = sizes_of(events.runs)
    table[LeadColumn.CONFIGURATION] = _configurations(table)
    for name, column in ((Column.PEAK, Column.PEAK), (LeadColumn.HEIGHT, Column.HEIGHT)):
        table[name] = table[Column.RUN].map(best[column]).astype(float)
    table[LeadColumn.SPACING] = table[Column.RUN].map(best[Column.PEAK_SPACING]).astype(float)
    curves = events.curves_of(observable, layer, head).set_index(Column.RUN)
    for name, column in (
        (LeadColumn.HIGHEST_AT_END, Column.EDGE_MAXIMUM),
        (Column.RISING, Column.RISING),
    ):
        table[name] = table[Column.RUN].map(curves[column]).fillna(False).astype(bool)
    table[LeadColumn.LEAD] = table[Column.ONSET] - table[Column.PEAK]
    table[LeadColumn.LOG_LEAD] = np.log(table[Column.ONSET] / table[Column.PEAK])
    spacing = table[[LeadColumn.SPACING, Column.ONSET_SPACING]].max(axis=1)
    table[LeadColumn.ORDER] = order_of_events(table[LeadColumn.LEAD], spacing)
    return table


def _configurations(table: pd.DataFrame) -> pd.Series:
    """A number for every combination of what a sweep varies, seeds apart."""
    names = [n for n in ("size", "fraction", "weight_decay", "task") if n in table]
    return table.groupby(names, dropna=False, sort=True).ngroup()
