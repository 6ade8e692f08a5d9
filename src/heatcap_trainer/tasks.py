"""Tasks: contexts of tokens, their answers, and the split into trained and untrained inputs.

Modular arithmetic has the p^2 contexts (a, b, "=") with answer a + b, a - b or a b mod p.
Associative recall has a data set of contexts k1 v1 ... kn vn q, whose answer is the value that
stood beside the key q; its number of visible keys, not a modulus, is the size.  The data set and
the probe belong to the task and its size: they are the same for every seed of a run.  All inputs
are distinct, so that none stands on both sides of the split; a task whose draw has repetitions is
refused.  The seed
draws the split and, under the control ``random_labels``, the answers, which are then independent
of the inputs: they can be memorised, and nothing generalises.

The mirror of (a, b) is (b, a).  Where the operation is symmetric a test input whose mirror was
trained on is answered as soon as training is memorised; an input with a = b is its own mirror,
hence mirror-free on the test side.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from heatcap_trainer.config import ConfigError, TaskConfig

__all__ = ["Data", "build", "probe"]


@dataclass(frozen=True)
class Data:
    """All inputs of a run, their answers, and which of them are trained on."""

    tokens: np.ndarray  # (input, position) int64
    answers: np.ndarray  # (input,) int64
    trained: np.ndarray  # (input,) bool
    mirror: np.ndarray | None  # (input,) index of the mirror; None where the task is not symmetric
    vocabulary: int

    @property
    def mirror_trained(self) -> np.ndarray | None:
        """Test whether the mirror of each input is trained on, (input,)."""
        return None if self.mirror is None else self.trained[self.mirror]

    @property
    def mirror_free(self) -> np.ndarray | None:
        """Test inputs whose mirror is not trained on, (input,)."""
        leaked = self.mirror_trained
        return None if leaked is None else ~self.trained & ~leaked


def build(task: TaskConfig, seed: int) -> Data:
    """Make the data of a task, split and, for the control, relabelled by the seed."""
    rng = np.random.default_rng(seed)
    tokens, answers = _modular(task) if task.modular else _recall(task)
    mirror = _mirror(task.p) if task.symmetric else None
    trained = _split(task, rng)
    if task.control == "random_labels":
        answers = rng.integers(task.answers, size=len(answers))
    data = Data(tokens, answers, trained, mirror, _vocabulary(task))
    if data.mirror_free is not None and not data.mirror_free.any():
        raise ConfigError(
            f"task.fraction: {task.fraction} leaves no test input with an untrained mirror "
            f"at p = {task.p}"
        )
    return data


def probe(task: TaskConfig, size: int) -> np.ndarray:
    """Sample min(population, size) inputs uniformly without replacement; sorted indices.

    It depends on the task and its size alone, so that all runs of a size are probed on the same
    inputs.
    """
    rng = _rng_of_the_task(task, "probe")
    return np.sort(rng.choice(task.population, min(task.population, size), replace=False))


def _modular(task: TaskConfig) -> tuple[np.ndarray, np.ndarray]:
    """Contexts (a, b, "=") for all a, b, and their answers."""
    p = task.p
    a, b = np.divmod(np.arange(p * p), p)
    value = {"addition": a + b, "subtraction": a - b, "multiplication": a * b}[task.name]
    return np.stack([a, b, np.full_like(a, p)], axis=1), value % p


def _recall(task: TaskConfig) -> tuple[np.ndarray, np.ndarray]:
    """Contexts of `pairs` key-value pairs with distinct keys, then one of these keys.

    Tokens are the keys, then the values, or with `joined` pairs the keys, then all pairs.
    """
    rng = _rng_of_the_task(task, "data")
    size = (task.samples, task.pairs)
    key = rng.permuted(np.tile(np.arange(task.alphabet), (task.samples, 1)), axis=1)[
        :, : task.pairs
    ]
    value = rng.integers(task.values, size=size)
    asked = rng.integers(task.pairs, size=(task.samples, 1))
    query, answer = np.take_along_axis(key, asked, 1), np.take_along_axis(value, asked, 1)
    if task.joined:
        pairs = task.alphabet + key * task.values + value
    else:
        pairs = np.stack([key, task.alphabet + value], axis=2).reshape(task.samples, -1)
    tokens = np.concatenate([pairs, query], axis=1)
    if repeated := len(tokens) - len(np.unique(tokens, axis=0)):
        raise ConfigError(
            f"task.samples: {repeated} of {task.samples} contexts are drawn more than once and "
            "would stand on both sides of the split; take fewer, or more keys or values"
        )
    return tokens, answer[:, 0]


def _vocabulary(task: TaskConfig) -> int:
    """Number of distinct tokens: residues and "=", or keys and values."""
    if task.modular:
        return task.p + 1
    return task.alphabet + task.values * (task.alphabet if task.joined else 1)


def _mirror(p: int) -> np.ndarray:
    return np.arange(p * p).reshape(p, p).T.ravel()


def _split(task: TaskConfig, rng: np.random.Generator) -> np.ndarray:
    """Trained inputs; `fraction` of all, or of the unordered pairs together with their mirrors."""
    trained = np.zeros(task.population, dtype=bool)
    if task.split == "ordered":
        trained[rng.permutation(task.population)[: round(task.fraction * task.population)]] = True
        return trained
    a, b = np.divmod(np.arange(task.population), task.p)
    # A pair off the diagonal is two inputs: fixed shares by kind keep the size equal for all seeds.
    for kind in (np.flatnonzero(a < b), np.flatnonzero(a == b)):
        trained[rng.permutation(kind)[: round(task.fraction * len(kind))]] = True
    trained[_mirror(task.p)[trained]] = True
    return trained


def _rng_of_the_task(task: TaskConfig, purpose: str) -> np.random.Generator:
    shape = (task.pairs, task.alphabet, task.values, task.samples, task.joined)
    words = repr((purpose, task.name, task.p if task.modular else shape))
    return np.random.default_rng(zlib.crc32(words.encode()))
