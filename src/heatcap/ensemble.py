"""Moved: :mod:`heatcap.attention`.  This name goes with the next version."""

import warnings

from heatcap.attention import *  # noqa: F403

warnings.warn("heatcap.ensemble is heatcap.attention now", DeprecationWarning, stacklevel=2)
