"""Rules for the contents of a run file: one list, for `validate_run` and `observe` alike.

Each rule returns a sentence about what is wrong, or "".  `RunWriter` applies the rules of logits
too.  Only `mask_problem` is a problem for `validate_run` and a warning for `observe`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from heatcap.runfile import layout
from heatcap.runfile.layout import RunHeader

__all__ = [
    "LARGEST_STEP",
    "MASK_DEPTH",
    "accuracy_problem",
    "header_problem",
    "is_plain",
    "json_object",
    "logit_problem",
    "mask_problem",
    "table_problems",
    "text_problem",
]

#: A finite logit so far below its row's largest has no weight and looks like a mask of -1e4.  A run
#: that diverged gets there, too: `validate_run` points it out, `observe` warns and goes on.
MASK_DEPTH = 5000.0

_ACCURACIES = tuple(name for name in layout.STANDARD_METRICS if name.endswith("accuracy"))
_ROUNDING = 1e-3
#: Characters of a text that tables, figures and pages show.
LONGEST_TEXT = 2000
#: Parameters of a run, each a coordinate of all runs and a column of their table.
MOST_PARAMETERS = 1000
#: Steps are below it, since observables store them as doubles.
LARGEST_STEP = 2.0**53


def header_problem(header: RunHeader) -> str:
    """Describe what is wrong with the values of a header; empty when nothing is."""
    texts = {
        "run_id": header.run_id,
        "size_name": header.size_name,
        "stop_reason": header.stop_reason,
        **{f"parameter {name}": v for name, v in header.parameters.items() if isinstance(v, str)},
    }
    for name, text in texts.items():
        if problem := text_problem(name, text):
            return problem
    if (count := len(header.parameters)) > MOST_PARAMETERS:
        return f"has {count} parameters, expected at most {MOST_PARAMETERS}; config is for the rest"
    for name, value in header.parameters.items():
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return f"the parameter {name!r} does not fit into 64 bits"
    if not (math.isfinite(header.size) and header.size > 0):
        return f"the size must be positive and finite, got {header.size:g}"
    probes, population = header.shape[3], header.probe_population
    if population < 0 or 0 < population < probes:
        return (
            f"probe_population must be 0 (unbounded) or at least the {probes} probe inputs, "
            f"got {population}"
        )
    if min(header.shape[1:]) < 1:
        return f"every extent must be at least 1, got {header.shape[1:]} (layer to key)"
    return ""


def text_problem(name: str, text: str) -> str:
    """Explain why a text of a header would not be read; empty when it would."""
    if not is_plain(text):
        return f"{name} {text!r} holds a NUL or is no Unicode text"
    if len(text) > LONGEST_TEXT:
        return f"{name} has {len(text)} characters, expected at most {LONGEST_TEXT}"
    return ""


def json_object(text: str) -> dict[str, Any] | None:
    """Parse a JSON object; None where readers could disagree about it.

    They could if it nests too deep, holds NaN or an infinite number, or repeats a name.
    """
    try:
        value = json.loads(
            text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unambiguous
        )
    except (TypeError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is too large")
    return value


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(mapping := dict(pairs)) < len(pairs):
        raise ValueError("a name is given twice")
    return mapping


def table_problems(tables: Mapping[str, np.ndarray], population: int) -> Iterator[str]:
    """Yield what is wrong with steps, metrics and probe of a run."""
    for name in ("step", "metric_step", "query"):
        # Other writers may have stored floats: NaN fails the comparison.
        if not np.all(np.abs(tables[name]) < LARGEST_STEP) or np.any(tables[name] % 1):
            yield f"{name} holds other than whole numbers below 2^53"
    for name in ("step", "metric_step"):
        steps = tables[name]
        if steps.size and not (steps[0] >= 0 and np.all(steps[1:] > steps[:-1])):
            yield f"{name} does not grow strictly from 0 on"
    for name in ("probe_trained", "probe_mirror_trained"):
        if not np.isin(tables[name], (-1, 0, 1)).all():
            yield f"{name} holds values other than 0, 1 and -1"
    inputs = tables["probe_input"]
    if population and len(np.unique(inputs, axis=0)) < len(inputs):
        yield "probe_input holds an input twice, but says it is a sample without replacement"
    yield from filter(None, (accuracy_problem(name, values) for name, values in tables.items()))


def accuracy_problem(name: str, values: np.ndarray) -> str:
    """Detect accuracies in per cent, which would pass every threshold of the events.

    A mean of single precision may be a little above 1.
    """
    if name in _ACCURACIES and (bad := (values < -_ROUNDING) | (values > 1 + _ROUNDING)).any():
        return f"{name} holds {values[bad][0]:g}, expected fractions between 0 and 1"
    return ""


def logit_problem(logits: np.ndarray) -> str:
    """Describe what is wrong with logits (…, key) of a run file; empty when nothing is."""
    low, high = logits.min(axis=-1), logits.max(axis=-1)  # NaN goes through both
    if np.isnan(high).any():
        return f"{int(np.isnan(logits).sum())} values are NaN; an absent key is -inf"
    if np.isposinf(high).any():
        return "some values are +inf"
    if np.isneginf(high).any():
        return f"{int(np.isneginf(high).sum())} queries have no visible key"
    finite_low = np.where(np.isneginf(low), high, low)
    if np.isneginf(low).any():
        finite_low = np.where(np.isneginf(logits), np.inf, logits).min(axis=-1)
    extreme = max(float(high.max()), -float(finite_low.min()))
    if extreme >= layout.LARGEST_LOGIT:
        return (
            f"a finite value of magnitude {extreme:.4g} is too large to be a logit "
            f"(limit {layout.LARGEST_LOGIT:g}); a masked key must be -inf"
        )
    return ""


def mask_problem(logits: np.ndarray) -> str:
    """Detect finite logits (…, key) that look like a mask, which the writer cannot know."""
    finite_low = np.where(np.isneginf(logits), np.inf, logits).min(axis=-1)
    depth = logits.max(axis=-1) - finite_low
    if (rows := int(np.count_nonzero(depth > MASK_DEPTH))) == 0:
        return ""
    return (
        f"{rows} queries have a finite logit {depth.max():.4g} below their largest: looks like an "
        f"additive mask of -1e4 (an absent key is -inf), unless the run diverged"
    )


def is_plain(text: str) -> bool:
    """Test that a text has neither NUL nor surrogates, which files and terminals refuse."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
