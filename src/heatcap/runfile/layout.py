"""What stands where in a run file: names, dimensions, attributes, version.

The prose twin of this module is docs/file-format.md; a change here is a change there, and a
change that old readers cannot follow raises `FORMAT_VERSION`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "LARGEST_LOGIT",
    "LOGIT_DIMS",
    "STANDARD_METRICS",
    "RunFileError",
    "RunHeader",
]

FORMAT = "heatcap-run"
FORMAT_VERSION = 1
LOGIT_DIMS = ("step", "layer", "head", "probe", "query", "key")

#: Metrics that the rest of the toolkit knows by name.
STANDARD_METRICS = (
    "train_loss",
    "test_loss",
    "train_accuracy",
    "test_accuracy",
    "mirror_free_accuracy",
    "weight_norm",
    "logit_scale",
)

#: Beyond it a finite number is a mask in disguise (the smallest in use is float16's -65504).
LARGEST_LOGIT = 65504.0


class RunFileError(ValueError):
    """A run file that cannot be used; the message names the file and what was expected."""


@dataclass(frozen=True)
class RunHeader:
    """All of a run file but its arrays."""

    path: Path
    run_id: str
    parameters: Mapping[str, Any]
    size_name: str
    size: float
    seed: int
    probe_population: int
    stop_reason: str
    shape: tuple[int, ...]
    metric_rows: int

    @property
    def complete(self) -> bool:
        """Whether the run stopped by its own rule (not killed, not still running)."""
        return bool(self.stop_reason)

    @property
    def checkpoints(self) -> int:
        return self.shape[0]

    @property
    def sizes(self) -> dict[str, int]:
        return dict(zip(LOGIT_DIMS, self.shape, strict=True))
