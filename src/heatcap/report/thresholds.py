"""Thresholds of the events, as they are in the functions that use them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from heatcap.events import memorisation, onset

__all__ = ["LEAST_FINAL", "LEAST_RISE", "MEMORISED"]


def _default(function: Callable[..., Any], name: str) -> float:
    return float(inspect.signature(function).parameters[name].default)


MEMORISED = _default(memorisation, "level")
LEAST_RISE = _default(onset, "min_rise")
LEAST_FINAL = _default(onset, "min_final")
