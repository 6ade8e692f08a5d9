"""Systems whose answer is known -> what the verdict and the collapse say of them.

Heights of exactly solved systems with drawn errors go through the whole test; a sampled Ising
model through the collapse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from shares import shares
from study import SEED, arguments, draw, note, write_json

import heatcap as hc
from heatcap import figures
from heatcap.divergence import Truth
from heatcap.systems import CurieWeiss, Ising1D, Ising2DExact, TwoLevel, tabulate

SIZES = (8, 16, 32, 64, 128, 256)
ERROR = 0.01
EXPERIMENTS = 60
# Class by asymptotics: C of the ring and of the mean-field magnet is finite, that of the square
# lattice grows like ln L, that of a row of n keys like (ln n)^2 / 4.
KNOWN = (
    ("Ising ring", "bounded", Ising1D()),
    ("mean-field magnet", "bounded", CurieWeiss()),
    ("square-lattice Ising model", "logarithmic", Ising2DExact()),
    ("attention row of n keys", "logarithmic", TwoLevel()),
    ("heights 1 + L/10 (no system)", "power-law", None),
    ("non-interacting spins", "flat", None),
)
# Free spins have the Schottky maximum per spin, whatever their number.
PLAIN = {
    "power-law": lambda sizes: 1 + 0.1 * sizes,
    "flat": lambda sizes: np.full(len(sizes), 0.44),
}
K_C = float(np.log(1 + np.sqrt(2)) / 2)


def main() -> None:
    given = arguments(__doc__ or "")
    plan = hc.calibrate(
        SIZES, ERROR, truths=truths(), replicates=EXPERIMENTS, rng=SEED
    )  # coverage and power of the test on these very heights
    note("verdicts done")
    table = tabulate(
        "ising2d", (8, 12, 16, 24, 32), np.linspace(0.41, 0.47, 17), replicates=16, rng=SEED
    )
    data = hc.read_table(
        table, size="size", control="control", value="binder", error="binder_error"
    )
    # Of this model theory excludes both: its stretch is L.
    excluded = ("crossover", "logarithms")
    fit = hc.collapse(data, fixed={"exponent": 0.0}, excluded=excluded, rng=SEED)
    note(f"collapse {fit.status}")
    drawings = {
        "systems_verdicts": shares(plan),
        "systems_collapse": figures.collapse(fit, data, names=("L", "K")),
    }
    drawn = draw(drawings, given.output)
    write_json(
        given.output,
        {
            "sizes": SIZES,
            "relative_error": ERROR,
            "experiments": EXPERIMENTS,
            "verdicts": plan.to_dict()["rows"],
            "collapse": {
                "status": fit.status,
                "exact": {"x_c": K_C, "inverse_nu": 1.0},
                "parameters": fit.to_dict()["parameters"],
            },
            "figures": drawn,
        },
    )


def truths() -> list[Truth]:
    """Heights of the maximum of C of every system, as a function of the sizes."""

    def heights(system: Any) -> Any:
        known: dict[float, float] = {}

        def at(sizes: Any) -> Any:
            for size in np.unique(sizes):
                if size not in known:
                    known[size] = system.maximum(int(size))[1]
            return np.array([known[size] for size in sizes])

        return at

    return [
        Truth(name, kind, PLAIN[kind] if system is None else heights(system))
        for name, kind, system in KNOWN
    ]


if __name__ == "__main__":
    main()
