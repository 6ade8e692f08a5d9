"""Steps at which a run is recorded, and the rule that ends it.

A run ends by rule: at `after_onset` times its onset of generalisation, or at the step limit.  The
onset is computed on the record so far: the last upward crossing of the midpoint between the
baseline (accuracy at memorisation, where training accuracy first reaches 0.99) and the final value
(median accuracy over the last tenth of the record in log step), interpolated in log step.  It
exists only if the final value is at least `accuracy` (never below 0.9) and 0.2 above the baseline.
The accuracy is the mirror-free one where the task is symmetric, plain test accuracy elsewhere.

It is a rule for stopping, close to `heatcap.events.onset` but not the same.  That one asks for a
final value of 0.9, where `accuracy` is 0.95 by default, and reads the baseline off between two
records, where this takes the first record at or after memorisation.  In data/grokking the two
agree within 10 % where both exist; a run that ends between 0.9 and 0.95, such as p = 19, seed 2,
has an onset for the analysis and none here, and goes on to its step limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from heatcap_trainer.config import StopConfig

__all__ = ["onset", "should_stop", "steps"]

MEMORISED = 0.99
LEAST_RISE = 0.2


def steps(last: int, *, per_decade: int, every: int = 0) -> list[int]:
    """List step 0, logarithmic and linear steps, and the last one.

    Parameters
    ----------
    last : int
        Last step, included.
    per_decade : int
        Logarithmic steps in a factor of ten, rounded to integers; equal ones count once.
    every : int
        Distance of the linear steps; 0 for none.
    """
    points = math.ceil(per_decade * math.log10(max(last, 1)))
    logarithmic = {round(10 ** (k / per_decade)) for k in range(points + 1)}
    linear = set(range(0, last + 1, every)) if every else {0}
    return sorted(s for s in logarithmic | linear | {0, last} if s <= last)


def onset(
    step: np.ndarray, train_accuracy: np.ndarray, accuracy: np.ndarray, *, final: float = 0.9
) -> float | None:
    """Find the onset of generalisation in a record so far, in steps; None if there is none."""
    memorised = np.flatnonzero(train_accuracy >= MEMORISED)
    if not len(memorised):
        return None
    tail = accuracy[step >= max(step[-1], 1) ** 0.9]
    baseline, value = accuracy[memorised[0]], float(np.median(tail))
    if value < final or value - baseline < LEAST_RISE:
        return None
    middle = (baseline + value) / 2
    up = np.flatnonzero((accuracy[:-1] < middle) & (accuracy[1:] >= middle))
    return _crossing(step, accuracy, int(up[-1]), middle) if len(up) else None


def should_stop(record: Sequence[tuple[float, float, float]], rule: StopConfig) -> str:
    """Decide whether a run ends now: "after_onset", "max_steps", or "" if it goes on.

    Rows of the record are step, training accuracy and the accuracy that defines the onset.
    """
    step, train_accuracy, accuracy = np.array(record).T
    now = step[-1]
    if now >= rule.min_steps and accuracy[-1] >= rule.accuracy:
        onset_step = onset(step, train_accuracy, accuracy, final=rule.accuracy)
        if onset_step is not None and now >= rule.after_onset * onset_step:
            return "after_onset"
    return "max_steps" if now >= rule.max_steps else ""


def _crossing(step: np.ndarray, accuracy: np.ndarray, i: int, level: float) -> float:
    """Step at which accuracy reaches the level between records i and i + 1, linear in ln step."""
    share = (level - accuracy[i]) / (accuracy[i + 1] - accuracy[i])
    if step[i] == 0:
        return float(step[i + 1])
    return float(step[i] * (step[i + 1] / step[i]) ** share)
