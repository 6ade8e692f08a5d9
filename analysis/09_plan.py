"""Heights of sets -> what the verdict can find at these sizes and errors, and what it would take.

Coverage and power are measured with the tool itself, at the median relative error of the heights of
two definitions.  Beside growths there is a height that falls by half, as some do here.  And at the
six primes of Bi et al. (2603.24746), at the error that a variance from 50 seeds has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from shares import shares
from study import SEED, arguments, draw, note, read_json, write_json

import heatcap as hc
from heatcap.divergence import Truth, usual_truths

PLANNED = (
    ("fraction_70", "heat_capacity"),
    ("fraction_70", "landscape_heat_capacity_fixed"),
)
BI = (149, 179, 211, 251, 307, 397)
BI_SEEDS = 50
BI_TRUTHS = [
    Truth("L", "power-law", lambda sizes: sizes),
    Truth("ln L", "logarithmic", np.log),
    Truth("1 − exp(−L/150)", "bounded", lambda sizes: 1 - np.exp(-sizes / 150)),
]
EXPERIMENTS = 60


def main() -> None:
    given = arguments(__doc__ or "", "heights", many=True)
    parts = {path.name.split(".")[0]: read_json(path) for path in given.heights}
    plans, drawings = {}, {}
    for stem, name in PLANNED:
        data = parts[stem]["verdicts"][parts[stem]["size"]][name]
        relative = np.median(np.asarray(data["errors"]) / np.asarray(data["heights"]))
        plan = hc.calibrate(
            data["sizes"], float(relative), truths=truths(np.asarray(data["sizes"])),
            replicates=EXPERIMENTS, rng=SEED,
        )  # fmt: skip
        note(f"{name}: errors of {relative:.1%}")
        plans[name] = _kept(plan)
        drawings[f"calibration_{name}"] = shares(plan)
    error = float(np.sqrt(2 / BI_SEEDS))  # of a variance of Gaussian numbers
    plan = hc.calibrate(BI, error, truths=BI_TRUTHS, replicates=EXPERIMENTS, rng=SEED)
    plans["bi"] = _kept(plan) | {"seeds": BI_SEEDS}
    write_json(
        given.output, {"plans": plans, "figures": draw(drawings, given.output)}, given.heights
    )


def _kept(plan: hc.Calibration) -> dict[str, Any]:
    return {k: v for k, v in plan.to_dict().items() if k not in ("seconds", "schema_version")}


def truths(sizes: Any) -> list[Truth]:
    """The usual growths by half, and a fall by half."""

    def falling(each: Any) -> Any:
        return 1 - 0.5 * (1 / sizes[0] - 1 / each) / (1 / sizes[0] - 1 / sizes[-1])

    return [*usual_truths(sizes), Truth("falls to half, c + a/L", "bounded", falling)]


if __name__ == "__main__":
    main()
