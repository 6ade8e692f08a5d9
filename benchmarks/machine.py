"""What benchmarks share: the machine that a table names, progress on stderr, a command line."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["cpu_name", "print_tables", "progress", "said"]


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


def print_tables(tables: Callable[[int], Iterator[str]], about: str | None, usual: int) -> None:
    """The tables of a battery, one by one; ``--replicates`` says how many of whatever it counts."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--replicates", type=int, default=usual)
    for text in tables(parser.parse_args().replicates):
        print(text, flush=True)
