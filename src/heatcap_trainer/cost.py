"""Estimated cost of a run before it starts: steps, bytes, seconds.

Seconds are floating-point operations of the matrix products at the rate of one core, keys and
values gathered for every context, and a fixed cost per step.  The three constants give the measured
3 and 60 ms per step of docs/benchmarks.md (p = 19 and 113) within a factor of two, and 10 to 50 ms
of recall with 8 to 32 keys within a third; what leaves the cache takes several times as long.  They
are an upper bound as far as the step limit is one.
"""

from __future__ import annotations

from dataclasses import dataclass

from heatcap_trainer.config import RunConfig
from heatcap_trainer.schedule import steps

__all__ = ["Cost", "estimate"]

_FLOPS = 60e9  # float32, one core with AVX2 or AVX-512
_STEP_SECONDS = 2.0e-3
_GATHER_SECONDS = 5e-9  # a number of a key or value, forward and back


@dataclass(frozen=True)
class Cost:
    """Upper bounds of steps, bytes and seconds, reached at the step limit."""

    steps: int
    checkpoints: int
    bytes: int
    seconds: float


def estimate(config: RunConfig) -> Cost:
    """Estimate the cost of a run that reaches its step limit."""
    record, last = config.record, config.stop.max_steps
    checkpoints = steps(
        last, per_decade=record.checkpoints_per_decade, every=record.checkpoint_every
    )
    dense = steps(last, per_decade=record.metrics_per_decade, every=record.metrics_every)
    metrics = len(set(checkpoints) | set(dense))
    inputs = config.task.population
    train = round(config.task.fraction * inputs)
    macs = 3 * last * train + metrics * (inputs - train)  # in units of one context forward
    gathered = 2 * config.model.layers * config.task.positions * config.model.d_model
    seconds = 2 * macs * _weights_seen(config) / _FLOPS + last * _STEP_SECONDS
    seconds += macs / 3 * gathered * _GATHER_SECONDS
    size = len(checkpoints) * _checkpoint_bytes(config) + metrics * 8 * 8 + 50_000
    return Cost(last, len(checkpoints), size, seconds)


def _weights_seen(config: RunConfig) -> int:
    """Multiply-adds of one context in the forward pass."""
    model, task = config.model, config.task
    d, read = model.d_model, min(task.answers, model.d_model)
    top = d * d + d * model.d_mlp + (model.d_mlp + d) * read
    below = task.positions * (4 * d * d + 2 * d * model.d_mlp)
    return top + (model.layers - 1) * below


def _checkpoint_bytes(config: RunConfig) -> int:
    """Logits, and weights if they are kept."""
    model, task, record = config.model, config.task, config.record
    queries = 1 if record.queries == "last" else task.positions
    rows = model.layers * model.heads * min(task.population, record.probe_size) * queries
    weights = model.layers * (4 * model.d_model**2 + 2 * model.d_model * model.d_mlp)
    return 4 * (rows * task.positions + (weights if record.weights else 0))
