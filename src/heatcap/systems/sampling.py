"""Random numbers and options of the samplers.

Every run has a generator of its own, seeded from one NumPy generator: equal seeds give equal
tables, whatever is computed before.

Kernels are compiled or loaded under one lock, with the only types they are ever called with, see
:func:`heatcap.attention.kernels.compile_once`; numba's cache does not notice a change in a function
of another file: after one, remove src/heatcap/systems/__pycache__.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# One lock for the caches of all kernels: what is compiled here calls what is compiled there.
from heatcap.core.jit import compiling, jit

__all__ = [
    "Seed",
    "State",
    "compiling",
    "generator",
    "mean_and_spread",
    "seed_attrs",
    "states",
    "uniform",
]

Seed = int | np.random.Generator | None
State = NDArray[np.uint64]

_PER_DOUBLE = 2.0**-53
_SHIFT_UP, _SHIFT_DOWN = np.uint64(17), np.uint64(11)
_LEFT, _RIGHT = np.uint64(45), np.uint64(19)


def generator(rng: Seed) -> np.random.Generator:
    """A NumPy generator; None is a fresh one."""
    return np.random.default_rng(rng)


def seed_attrs(rng: Seed) -> dict[str, int | str]:
    """What a table says of its seed."""
    return {"seed": int(rng) if isinstance(rng, (int, np.integer)) else "not recorded"}


def states(rng: np.random.Generator, points: int, replicates: int) -> State:
    """State of the generator of every run (point, replicate, 4)."""
    return rng.integers(1, 2**64, size=(points, replicates, 4), dtype=np.uint64, endpoint=False)


@jit()
def uniform(state: State) -> float:
    """Next number of xoshiro256+ in [0, 1).

    D. Blackman & S. Vigna, ACM Trans. Math. Softw. 47 (4) (2021).  Inlined into the kernels:
    NumPy's generators would be called through a pointer.
    """
    total = state[0] + state[3]
    shifted = state[1] << _SHIFT_UP
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = (state[3] << _LEFT) | (state[3] >> _RIGHT)
    return float(total >> _SHIFT_DOWN) * _PER_DOUBLE


def mean_and_spread(series: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Averages (moment, replicate) of x and (x - c)^2 over series (replicate, sweep), and c.

    c is common to all runs, so that the variance of all of them follows from the averages.
    """
    centre = float(series.mean())
    square = np.mean((series - centre) ** 2, axis=1)
    return np.array([series.mean(axis=1), square]), centre
