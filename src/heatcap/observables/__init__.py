"""Run files, and tables of other programs -> observables: one labelled Dataset for all runs."""

from heatcap.observables.dataset import join
from heatcap.observables.observing import SCHEMA_VERSION, load, observe, save
from heatcap.observables.scalars import read_scalars

__all__ = ["SCHEMA_VERSION", "join", "load", "observe", "read_scalars", "save"]
