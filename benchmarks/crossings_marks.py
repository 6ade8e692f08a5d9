"""Coverage of extrapolated crossings on planted Binder curves whose drift is known.

python benchmarks/crossings_marks.py [--replicates 200]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np

from heatcap.scaling import Points, crossings, read_table
from heatcap.systems import Planted

from machine import cpu_name, print_tables

SIZES = {6: (8, 16, 32, 64, 128, 256), 4: (8, 16, 32, 64)}
DRIFTS = {2.0: (1.0, 1.0, 0.6), 1.2: (0.6, 0.6, 0.4)}  # w = 1/nu + omega: 1/nu, omega, b


def planted(sizes: Sequence[int], noise: float, drift: float, seed: int) -> Points:
    """Fifteen points per size, within a range that narrows with the size."""
    inverse_nu, omega, b = DRIFTS[drift]
    system = Planted(inverse_nu=inverse_nu, omega=omega, correction=b, noise=noise)
    table = system.sample(
        list(sizes), lambda size: system.grid(size, width=2.0, count=15), rng=seed
    )
    return read_table(table, size="size", control="control", value="value", error="value_error")


def coverage_table(replicates: int) -> str:
    lines = [
        "| drift w | sizes | noise | 68 % statistical | 68 % total | 95 % total | median error "
        "| rms deviation | w determined | ok |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for drift in DRIFTS:
        for count, sizes in SIZES.items():
            for noise in (0.001, 0.005, 0.02):
                rows = []
                for seed in range(replicates):
                    found = crossings(planted(sizes, noise, drift, seed), rng=seed, draws=300)
                    x_c = found.x_c
                    known = found.drift_exponent is not None
                    rows.append((x_c.value - 1, x_c.statistical, x_c.error, known, found.ok))
                off, statistical, total, known_, ok = np.array(rows, dtype=float).T
                shares = [
                    np.mean(np.abs(off) < statistical),
                    np.mean(np.abs(off) < total),
                    np.mean(np.abs(off) < 1.96 * total),
                ]
                said = " | ".join(f"{share:.2f}" for share in shares)
                lines.append(
                    f"| {drift} | {count} | {noise:.1%} | {said} | {np.median(total):.1e} "
                    f"| {np.sqrt(np.mean(off**2)):.1e} | {known_.mean():.2f} | {ok.mean():.2f} |"
                )
                print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines) + "\n"


def tables(replicates: int) -> Iterator[str]:
    """All tables in Markdown."""
    yield f"{cpu_name()}, numpy {np.__version__}.\n"
    yield f"### x_c from crossings ({replicates} tables a row)\n\n" + coverage_table(replicates)


if __name__ == "__main__":
    print_tables(tables, __doc__, 200)
