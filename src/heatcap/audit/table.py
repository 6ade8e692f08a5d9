"""One row per run: where its peak, its memorisation and its onset lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from heatcap.events import Events, sizes_of

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

        * `size`, `peak_step`, `height`, `spacing`;
        * `highest_at_end`: the curve is higher at an end of its record, and has no peak;
        * `rising`: the record ends while the curve rises to its highest;
        * `lead` = onset - peak in steps, `log_lead` = ln(onset / peak);
        * `order`: "first", "later", "unresolved" (closer than the checkpoints beside the peak),
          or "" without a lead.

    Raises
    ------
    ValueError
        If `events` lack the curve.
    """
    t = events.table
    rows = t[(t["observable"] == observable) & (t["head"] == str(head)) & (t["layer"] == layer)]
    if rows.empty:
        raise ValueError(f"events lack {observable!r}, layer {layer}, head {head}")
    best = rows[rows["rank"] == 1].set_index("run")
    table = events.runs.copy()
    table["size"] = sizes_of(events.runs)
    for name, column in (("peak_step", "peak_step"), ("height", "peak_height")):
        table[name] = table["run"].map(best[column]).astype(float)
    table["spacing"] = table["run"].map(best["peak_step_spacing"]).astype(float)
    edges = rows.groupby("run")["edge_maximum"].any()
    table["highest_at_end"] = table["run"].map(edges).fillna(False).astype(bool)
    c = events.curves
    c = c[(c["observable"] == observable) & (c["head"] == str(head)) & (c["layer"] == layer)]
    table["rising"] = table["run"].map(c.set_index("run")["rising"]).fillna(False).astype(bool)
    no_peak = table["highest_at_end"]
    table.loc[no_peak, ["peak_step", "height", "spacing"]] = np.nan
    table["lead"] = table["onset_step"] - table["peak_step"]
    table["log_lead"] = np.log(table["onset_step"] / table["peak_step"])
    table["order"] = np.select(
        [
            table["lead"].isna(),
            table["lead"].abs() <= table["spacing"],
            table["lead"] > 0,
        ],
        ["", "unresolved", "first"],
        "later",
    )
    return table
