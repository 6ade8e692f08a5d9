"""What benchmarks share: the machine that a table names, and progress on stderr."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cpu_name", "progress", "said"]


def cpu_name() -> str:
    """Name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def progress(name: str, n: int) -> Iterator[int]:
    """0 to n - 1, counted on stderr."""
    for i in range(n):
        yield i
        if (i + 1) % 20 == 0:
            said(f"{name}: {i + 1} of {n}")


def said(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
