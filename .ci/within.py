"""Run a command whose processor time may be a multiple of a reference's, measured beside it.

    .venv/bin/python .ci/within.py 300 make demo

A limit in seconds is one for the machine that it was found on.  The reference is a fixed piece of
Python and numpy, a second or so; processor time is that of the command and of all that it waited
for, in which neither the network nor other people's processes count.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

GIVEN = dict(os.environ)
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads of the reference would count while they wait

import numpy as np  # noqa: E402


def reference() -> float:
    """Processor time of the workload: the least of three, before and after a command."""
    times = []
    for _ in range(3):
        start = time.process_time()
        _workload()
        times.append(time.process_time() - start)
    return min(times)


def _workload() -> None:
    """What the package does most: loops and text in Python; products, sorting and exp in numpy."""
    rng = np.random.default_rng(0)
    for _ in range(4):
        a = rng.standard_normal((200, 2000))
        np.sort(np.exp(a), axis=1).cumsum(axis=1)
        np.linalg.eigh(a @ a.T)
    rows = [{"size": i % 97, "value": i**0.5, "name": f"{i:08d}"} for i in range(100_000)]
    rows = json.loads(json.dumps(rows))
    sum(row["value"] for row in sorted(rows, key=lambda row: (row["size"], row["name"])))


def main() -> None:
    most, command = float(sys.argv[1]), sys.argv[2:]
    before, start = reference(), time.monotonic()
    status = subprocess.run(command, check=False, env=GIVEN).returncode
    wall = time.monotonic() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, unit = used.ru_utime + used.ru_stime, min(before, reference())
    said = f"{' '.join(command)}: {wall:.0f} s, {seconds:.0f} s of processors, {seconds / unit:.0f}"
    sys.stderr.write(f"{said} references of {unit:.2f} s; at most {most:.0f}\n")
    sys.exit(status or int(seconds > most * unit))


if __name__ == "__main__":
    main()
