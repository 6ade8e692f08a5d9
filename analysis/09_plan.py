"""Heights of sets -> what the verdict can find at these sizes and errors, and what it would take.

Coverage and power are measured with the tool itself, at the median relative error of the heights of
two definitions, and of the canonical ones of recall.  Beside growths there is a height that falls
by half, as some do here.
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
    ("recall", "heat_capacity"),
)
EXPERIMENTS = 60


def main() -> None:
    given = arguments(__doc__ or "", "heights", many=True)
    parts = {path.name.split(".")[0]: read_json(path) for path in given.heights}
    plans, drawings = {}, {}
    for stem, name in PLANNED:
        data = parts[stem]["verdicts"][parts[stem]["size"]][name]
        label = name if stem == "fraction_70" else f"{stem}_{name}"
        relative = np.median(np.asarray(data["errors"]) / np.asarray(data["heights"]))
        plan = hc.calibrate(
            data["sizes"], float(relative), truths=truths(np.asarray(data["sizes"])),
            replicates=EXPERIMENTS, rng=SEED,
        )  # fmt: skip
        note(f"{label}: errors of {relative:.1%}")
        plans[label] = {
            k: v for k, v in plan.to_dict().items() if k not in ("seconds", "schema_version")
        }
        drawings[f"calibration_{label}"] = shares(plan)
    write_json(
        given.output, {"plans": plans, "figures": draw(drawings, given.output)}, given.heights
    )


def truths(sizes: Any) -> list[Truth]:
    """The usual growths by half, and a fall by half."""

    def falling(each: Any) -> Any:
        return 1 - 0.5 * (1 / sizes[0] - 1 / each) / (1 / sizes[0] - 1 / sizes[-1])

    return [*usual_truths(sizes), Truth("falls to half, c + a/L", "bounded", falling)]


if __name__ == "__main__":
    main()
