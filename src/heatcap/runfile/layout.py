"""Layout of a run file: names, dimensions, attributes, version.

The prose twin of this module is docs/file-format.md; a change here is a change there, and a
change that old readers cannot follow raises `FORMAT_VERSION`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "ATTRIBUTES",
    "FORMAT",
    "FORMAT_VERSION",
    "LARGEST_LOGIT",
    "LOGIT_DIMS",
    "STANDARD_METRICS",
    "RunFileError",
    "RunHeader",
    "parameter_problem",
]

FORMAT = "heatcap-run"
FORMAT_VERSION = 2  # 1 has no checksums
LOGIT_DIMS = ("step", "layer", "head", "probe", "query", "key")

#: Attributes of the file, in the order in which `header_checksum` covers them.
ATTRIBUTES = (
    *("format", "format_version", "Conventions", "run_id", "size_name", "size", "seed"),
    *("probe_population", "d_k", "softmax_scale", "soft_cap", "model_dtype"),
    *("parameters", "config", "versions", "started", "finished", "stop_reason"),
)

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

#: Beyond it a finite number is a mask in disguise: float16's largest, which much code masks with.
#: Smaller masks (-1e4) are in use too, but a logit may get there; `validate_run` points them out,
#: and `observe` warns of them.
LARGEST_LOGIT = 65504.0


class RunFileError(ValueError):
    """A run file that cannot be used; the message names the file and what was expected."""


@dataclass(frozen=True)
class RunHeader:
    """Header of a run file: all but its arrays."""

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
    cautions: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    sealed: bool = False  # with checksums, as from version 2 on

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


def parameter_problem(parameters: Mapping[Any, Any]) -> str:
    """Describe what is wrong with the sweep parameters of a run; empty when nothing is."""
    for name, value in parameters.items():
        if not isinstance(name, str) or not name.isidentifier():
            return f"the parameter {name!r} must be an identifier (letters, digits, _)"
        if not isinstance(value, bool | int | float | str):
            return (
                f"the parameter {name!r} must be a number, text or true/false, "
                f"got {type(value).__name__}"
            )
    return ""
