"""Heights of a set -> what the verdict can find at these sizes and errors, and what it would take.

Coverage and power are measured with the tool itself, at the median relative error of the heights of
two definitions.  Beside growths there is a height that falls by half, as some do here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from shares import shares
from study import SEED, arguments, draw, note, read_json, write_json

import heatcap as hc
from heatcap.divergence import Truth, usual_truths

PLANNED = ("heat_capacity", "landscape_heat_capacity_fixed")
EXPERIMENTS = 60


def main() -> None:
    given = arguments(__doc__ or "", "heights")
    heights = read_json(given.heights)
    plans, drawings = {}, {}
    for name in PLANNED:
        data = heights["verdicts"][heights["size"]][name]
        relative = np.median(np.asarray(data["errors"]) / np.asarray(data["heights"]))
        plan = hc.calibrate(
            data["sizes"], float(relative), truths=truths(np.asarray(data["sizes"])),
            replicates=EXPERIMENTS, rng=SEED,
        )  # fmt: skip
        note(f"{name}: errors of {relative:.1%}")
        plans[name] = {
            k: v for k, v in plan.to_dict().items() if k not in ("seconds", "schema_version")
        }
        drawings[f"calibration_{name}"] = shares(plan)
    write_json(
        given.output, {"plans": plans, "figures": draw(drawings, given.output)}, [given.heights]
    )


def truths(sizes: Any) -> list[Truth]:
    """The usual growths by half, and a fall by half."""

    def falling(each: Any) -> Any:
        return 1 - 0.5 * (1 / sizes[0] - 1 / each) / (1 / sizes[0] - 1 / sizes[-1])

    return [*usual_truths(sizes), Truth("falls to half, c + a/L", "bounded", falling)]


if __name__ == "__main__":
    main()
