"""Moved: :mod:`heatcap.observables.scalars`.  This name goes with the next version."""

import warnings

from heatcap.observables.scalars import *  # noqa: F403

warnings.warn(
    "heatcap.scalars is heatcap.observables.scalars now", DeprecationWarning, stacklevel=2
)
