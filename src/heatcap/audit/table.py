"""One row per run: where its peak, its memorisation and its onset lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from heatcap.events import Events, order_of_events, sizes_of

__all__ = ["lead_table"]


def lead_table(
    events: Events, observable: str, layer: Any, head: int | str = "mean"
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
    best = events.peak(observable, layer=layer, head=head).set_index("run")
    table = events.runs.copy()
    table["size"] = sizes_of(events.runs)
    table["configuration"] = _configurations(table)
    for name, column in (("peak_step", "peak_step"), ("height", "peak_height")):
        table[name] = table["run"].map(best[column]).astype(float)
    table["spacing"] = table["run"].map(best["peak_step_spacing"]).astype(float)
    curves = events.curves
    here = (curves["observable"] == observable) & (curves["layer"] == layer)
    curves = curves[here & (curves["head"] == str(head))].set_index("run")
    for name, column in (("highest_at_end", "edge_maximum"), ("rising", "rising")):
        table[name] = table["run"].map(curves[column]).fillna(False).astype(bool)
    table["lead"] = table["onset_step"] - table["peak_step"]
    table["log_lead"] = np.log(table["onset_step"] / table["peak_step"])
    spacing = table[["spacing", "onset_step_spacing"]].max(axis=1)
    table["order"] = order_of_events(table["lead"], spacing)
    return table


def _configurations(table: pd.DataFrame) -> pd.Series:
    """A number for every combination of what a sweep varies, seeds apart."""
    names = [n for n in ("size", "fraction", "weight_decay", "task") if n in table]
    return table.groupby(names, dropna=False, sort=True).ngroup()
