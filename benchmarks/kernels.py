"""(read + observe) / read on one thread: run file to heat capacities, data in the page cache.

    python benchmarks/kernels.py [--megabytes 200] [--rounds 7]

Reading is the fastest of several block sizes of plain ``h5py`` ``read_direct`` into a reused
buffer.  Observing is all `ROW_COLUMNS` and the moments of every key over the probe, at beta = 1, on
all, trained and untrained inputs, down to heat capacities with errors.  The ways alternate; medians
over the rounds of CPU time.  Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from heatcap.attention.moments import Subsets, TableMoments, table_heat_capacities, table_moments

from machine import cpu_name

KEYS = (3, 16, 64)
MARK = {3: 4.3, 16: 4.4, 64: 3.2}  # numba kernels that were tried before, row moments alone
HEADS, PROBE = 4, 1024
BLOCK = 1 << 19  # bytes in flight: half of a typical L2 cache

Array = NDArray[Any]


def write_file(path: Path, keys: int, megabytes: int) -> None:
    """Contiguous chunks of one checkpoint, as a run file has them."""
    shape = (HEADS, PROBE, 1, keys)
    steps = max(8, megabytes * 1_000_000 // (4 * int(np.prod(shape))) // 8 * 8)
    rng = np.random.default_rng(keys)
    with h5py.File(path, "w") as file:
        dset = file.create_dataset("logits", (steps, 1, *shape), "f4", chunks=(1, 1, *shape))
        block = rng.normal(scale=3.0, size=(8, 1, *shape)).astype(np.float32)
        for step in range(0, steps, 8):
            dset[step : step + 8] = block[rng.permutation(8)]


def blocks_h5py(dset: h5py.Dataset, nbytes: int) -> Iterator[Array]:
    """Blocks of whole checkpoints through h5py, in one reused buffer."""
    steps = len(dset)
    size = min(steps, max(1, nbytes // (4 * int(np.prod(dset.shape[1:])))))
    buffer = np.empty((size, *dset.shape[1:]), np.float32)
    for first in range(0, steps, size):
        part = buffer[: min(size, steps - first)]
        dset.read_direct(part, np.s_[first : first + len(part)])
        yield part


def blocks_chunks(dset: h5py.Dataset, nbytes: int) -> Iterator[Array]:
    """The same from the byte offsets of uncompressed chunks, past the HDF5 library.

    Chunks that follow one another in the file are read by one system call.
    """
    checkpoint = 4 * int(np.prod(dset.shape[1:]))
    size = min(len(dset), max(1, nbytes // checkpoint))
    buffer = np.empty((size, *dset.shape[1:]), np.float32)
    raw = memoryview(cast(Any, buffer)).cast("B")
    where = {info.chunk_offset[0]: info.byte_offset for info in _chunks(dset)}
    handle = os.open(dset.file.filename, os.O_RDONLY)
    try:
        for first in range(0, len(dset), size):
            steps = range(first, min(first + size, len(dset)))
            for start, stop in _runs([where[step] for step in steps], checkpoint):
                target = raw[start * checkpoint : stop * checkpoint]
                if os.preadv(handle, [target], where[steps[start]]) != len(target):
                    raise OSError(f"{dset.file.filename} ends within a chunk")
            yield buffer[: len(steps)]
    finally:
        os.close(handle)


def _chunks(dset: h5py.Dataset) -> list[Any]:
    found: list[Any] = []
    dset.id.chunk_iter(found.append)
    return found


def _runs(offsets: list[int], size: int) -> Iterator[tuple[int, int]]:
    """Stretches [start, stop) of chunks that lie side by side."""
    start = 0
    for i in range(1, len(offsets) + 1):
        if i == len(offsets) or offsets[i] != offsets[i - 1] + size:
            yield start, i
            start = i


def observe(blocks: Iterable[Array], subsets: Subsets) -> None:
    """Everything that the observables of a run's tables are made of."""
    parts = [table_moments(b.reshape(-1, PROBE, b.shape[-1]), subsets) for b in blocks]
    table_heat_capacities(TableMoments.concatenate(parts), 1.0, 113**2)


def observe_scipy(block: Array) -> None:
    """The same in plain scipy, row quantities and key moments of all inputs only."""
    s = block.reshape(-1, PROBE, block.shape[-1]).astype(np.float64)
    ln_z = logsumexp(s, axis=-1, keepdims=True)
    p = np.exp(s - ln_z)
    energy = -(p * s).sum(-1, keepdims=True)
    d = -s - energy
    moments = [(p * d**k).sum(-1) for k in (2, 3, 4)]
    kappa4 = moments[2] - 3 * moments[0] ** 2
    rows = (ln_z, energy, energy + ln_z, *moments, kappa4, (p * p).sum(-1), p.max(-1), s.mean(-1))
    [np.var(row) for row in rows]
    s.mean(1), s.var(1)


def timed(work: Callable[[], None]) -> float:
    """CPU time, user and system: nothing waits for a disk, and neighbours do not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(path: Path, rounds: int) -> dict[str, float]:
    """Median nanoseconds per logit of each way."""
    with ExitStack() as stack:
        dset = stack.enter_context(h5py.File(path))["logits"]
        chosen = np.arange(PROBE) % 10 < 7
        rng = np.random.default_rng(0)
        rng.shuffle(chosen)
        subsets = Subsets.of(np.stack([np.ones(PROBE, bool), chosen, ~chosen]))
        checkpoint = 4 * HEADS * PROBE * dset.shape[-1]
        sample = np.asarray(dset[: max(1, (1 << 22) // checkpoint)])

        def read(source: Callable[..., Iterator[Array]], nbytes: int) -> None:
            for _ in source(dset, nbytes):
                pass

        def both(source: Callable[..., Iterator[Array]], nbytes: int) -> None:
            observe(source(dset, nbytes), subsets)

        ways: dict[str, Callable[[], None]] = {
            f"read {nbytes >> 10} KiB": partial(read, blocks_h5py, nbytes)
            for nbytes in (BLOCK, 1 << 22, 1 << 25)
        }
        ways["both h5py"] = partial(both, blocks_h5py, BLOCK)
        ways["read chunks"] = partial(read, blocks_chunks, BLOCK)
        ways["both chunks"] = partial(both, blocks_chunks, BLOCK)
        times: dict[str, list[float]] = {name: [] for name in ways}
        slow: list[float] = []
        for work in ways.values():  # compiles, and brings the file into the page cache
            work()
        for _ in range(rounds):
            for name, work in ways.items():
                times[name].append(timed(work))
            if len(slow) < 2:
                slow.append(timed(lambda: observe_scipy(sample)))
        result = {name: statistics.median(t) / dset.size * 1e9 for name, t in times.items()}
        result["scipy"] = min(slow) / sample.size * 1e9
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(f"{cpu_name()}, {platform.platform()}, Python {platform.python_version()}, one thread;")
    print(
        f"{options.megabytes} MB per file in the page cache, median of {options.rounds} rounds.\n"
    )
    print("| keys | h5py read, ns/logit | read + observe / read | through h5py | scipy | to beat |")
    print("|---|---|---|---|---|---|")
    for keys in KEYS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "run.h5")
            write_file(path, keys, options.megabytes)
            ns = measure(path, options.rounds)
        base = min(t for name, t in ns.items() if name.endswith("KiB"))
        scipy_ratio = (base + ns["scipy"]) / base
        print(
            f"| {keys} | {base:.2f} | **{ns['both chunks'] / base:.2f}** "
            f"| {ns['both h5py'] / base:.2f} | {scipy_ratio:.0f} | {MARK[keys]} |"
        )
        print({k: round(v, 2) for k, v in ns.items()}, file=sys.stderr)


if __name__ == "__main__":
    main()
