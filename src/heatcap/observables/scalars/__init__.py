"""Scalars that other programs logged, brought into the Dataset that `heatcap observe` writes.

A table of one row per step, CSV or Parquet, or what TensorBoard and Weights & Biases export,
becomes observables (run, checkpoint) and metrics (run, metric), so that `find_events` works on
it.  `Columns` maps meanings to columns; nothing is guessed from a column's name.

    columns = parse_columns("step=epoch,train_accuracy=train_acc,test_accuracy=val_acc,"
                            "observable=cv")
    events = find_events(read_scalars(["a.csv", "b.csv"], columns), "cv")

Forms that are distinguished by their header:

one row per step
    Every column is there.  One file is one run, unless ``run=`` names the column that tells runs
    apart.  Rows of the same step that fill different columns (a W&B history) count as one row.
TensorBoard, download of one chart
    ``Wall time,Step,Value`` in ``run-RUN-tag-TAG.csv``; the files of a folder are joined by run.
TensorBoard, long table
    Columns ``run``, ``tag``, ``step``, ``value``.
W&B, download of a chart
    Columns ``RUN - METRIC``; the files of a folder are joined by run.

In the last three, a column of `Columns` is the name of a tag or metric.
"""

from typing import TYPE_CHECKING

from heatcap.core.lazy import lazy

if TYPE_CHECKING:
    from heatcap.core.tables import is_table
    from heatcap.observables.scalars.columns import Columns, parse_columns
    from heatcap.observables.scalars.read import read_scalars
else:
    __getattr__ = lazy(__name__)

__all__ = ["Columns", "is_table", "parse_columns", "read_scalars"]
