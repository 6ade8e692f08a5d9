"""Whether results of the study, made here, are those committed, up to the last digit written.

    .venv/bin/python .ci/same.py analysis/results.json
    .venv/bin/python .ci/same.py analysis/results.json out/study/*.json    # only these parts of it

Another processor adds in another order: of thousands of rounded numbers one may fall to the other
side.  Another Python differs in its version and so in the checksums of the parts.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ULP = 2e-4  # of a number with four digits, as p-values have; others have more
OF_ERROR = 0.02  # of a number that is written to the place of its error
WHOLE = 1.0  # of a chi2 that is written as a whole number
NOTHING = 1e-6  # a p-value below it has one digit
ELSEWHERE = {"python", "inputs"}
#: Which key of a part the results hold where, as 11_results.py puts it there ("": some of its keys
#: as they are); parts that are not named here lie there under their own name.
PLACES: dict[str, dict[str, tuple[str, ...]]] = {
    "events": {"counts": ("peak",), "": ("runs", "sets")},
    "leads": {"observables": ("precede",)},
    "heights": {"verdicts": ("diverge",), "": ("branches",)},
    "robust": {"variants": ("robust",)},
    "clock": {"sets": ("clock",)},
    "scan": {"runs": ("scan",)},
    "plan": {"plans": ("plan",)},
}


def differences(here: Any, there: Any, where: str = "", error: float = 0.0) -> list[str]:
    """Places in which two results differ by more than rounding."""
    if isinstance(here, dict) and isinstance(there, dict) and list(here) == list(there):
        own = here.get("error")
        error = own if isinstance(own, float) else 0.0
        pairs = [(k, here[k], there[k]) for k in here if k not in ELSEWHERE]
    elif isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        pairs = [(n, a, b) for n, (a, b) in enumerate(zip(here, there, strict=True))]
    elif isinstance(here, float) and isinstance(there, int | float):
        place = WHOLE if where.endswith("/chi2") and here.is_integer() else NOTHING
        near = abs(here - there) <= max(ULP * max(abs(here), abs(there)), OF_ERROR * error, place)
        return [] if near else [f"{where}: {here} here, {there} committed"]
    else:
        same = _digits_aside(here) == _digits_aside(there)
        return [] if same else [f"{where}: {here!r:.80} here, {there!r:.80} committed"]
    return [line for k, a, b in pairs for line in differences(a, b, f"{where}/{k}", error)]


def _digits_aside(x: Any) -> Any:
    return re.sub(r"[0-9][0-9.,]*", "N", x) if isinstance(x, str) else x


def part_of(results: dict[str, Any], name: str, part: dict[str, Any]) -> tuple[Any, Any]:
    """A part as it was made, and as the results have it; `name` is SET.KIND or KIND."""
    group, _, kind = name.rpartition(".")
    there: dict[str, Any] = {}
    for key, place in PLACES.get(kind, {"": (kind,)}).items():
        found = results
        for step in (*place, *filter(None, [group])):
            if step not in found:
                raise SystemExit(f"{name}.json is no part of the results: they hold no {step!r}")
            found = found[step]
        there |= {key: found} if key else found
    if kind == "events":
        counts: dict[str, Any] = {}
        for row in part["counts"]:
            counts.setdefault(row["observable"], {})[row["group"]] = row
        part = part | {"counts": counts}
    return {key: part.get(key) for key in there}, there


def main(path: Path, *parts: Path) -> int:
    command = ["git", "show", f"HEAD:{path}"]
    told = subprocess.run(command, capture_output=True, check=True, text=True)
    committed = json.loads(told.stdout)
    pairs = [
        (each.stem, part_of(committed, each.stem, json.loads(each.read_text()))) for each in parts
    ]
    pairs = pairs or [("", (json.loads(path.read_text()), committed))]
    found = [line for name, (here, there) in pairs for line in differences(here, there, name)]
    sys.stderr.writelines(f"{line}\n" for line in found[:60])
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
