"""Run files, and tables of other programs -> observables: one labelled Dataset for all runs."""

from heatcap.observables.dataset import SCHEMA_VERSION, load, save
from heatcap.observables.observing import observe
from heatcap.observables.scalars import read_scalars
from heatcap.observables.side_by_side import join

__all__ = ["SCHEMA_VERSION", "join", "load", "observe", "read_scalars", "save"]
