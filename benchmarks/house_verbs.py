"""Which files and functions of heatcap one verb enters: run by house.py, prints JSON.

    python benchmarks/house_verbs.py [VERB]

Without a verb, all of them run once and nothing is measured: what numba compiles is then in its
cache, and compiling it enters no function any more.
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import pkgutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

DATA = Path(__file__).resolve().parents[1] / "data" / "grokking"
OBSERVABLE = "landscape_heat_capacity"

Call = Callable[[], object]


def divergence_test(hc: Any) -> Call:
    sizes = [2.0**k for k in range(4, 13)]
    heights = [1.6 - 3 * size**-0.5 + 0.008 * wobble(k) for k, size in enumerate(sizes)]
    return partial(hc.divergence_test, sizes, heights, [0.01] * len(sizes))


def verdict_of_runs(hc: Any) -> Call:
    events = hc.find_events(hc.load(DATA / "observables.nc"))
    return partial(hc.verdict_of_runs, events, OBSERVABLE)


def observe(hc: Any) -> Call:
    runs = hc.open_runs(DATA / "runs")
    return partial(hc.observe, runs)


def collapse(hc: Any) -> Call:
    points = made(hc, lambda size, x: math.tanh(size * (x - 1)))
    return partial(hc.collapse, points, bootstrap=20)


def audit_leads(hc: Any) -> Call:
    obs = hc.load(DATA / "observables.nc")
    events = hc.find_events(obs, OBSERVABLE)
    return partial(hc.audit_leads, obs, events)


def find_events(hc: Any) -> Call:
    obs = hc.load(DATA / "observables.nc")
    return partial(hc.find_events, obs)


def crossings(hc: Any) -> Call:
    points = made(hc, lambda size, x: math.tanh(size * (x - 1)))
    return partial(hc.crossings, points)


def extrema(hc: Any) -> Call:
    points = made(hc, lambda size, x: size**0.5 / (1 + (size * (x - 1) / 3) ** 2))
    return partial(hc.extrema, points)


def written(verb: Callable[[Any], Call]) -> Callable[[Any], Call]:
    """The same with all that its result computes when it is asked."""

    def prepare(hc: Any) -> Call:
        call: Callable[[], Any] = verb(hc)
        return lambda: call().to_dict()

    return prepare


VERBS: dict[str, Callable[[Any], Call]] = {
    "divergence_test": divergence_test,
    "divergence_test.to_dict": written(divergence_test),
    "verdict_of_runs": verdict_of_runs,
    "verdict_of_runs.to_dict": written(verdict_of_runs),
    "observe": observe,
    "collapse": collapse,
    "audit_leads": audit_leads,
    "find_events": find_events,
    "crossings": crossings,
    "extrema": extrema,
}


def made(hc: Any, value: Callable[[float, float], float]) -> Any:
    """Points of four sizes on one grid, through a file as a user's would come."""
    rows = ["L,x,y,dy"]
    for size in (8, 16, 32, 64):
        for x in (0.9 + 0.01 * k for k in range(21)):
            rows.append(f"{size},{x:g},{value(size, x) + 0.002 * wobble(len(rows))},0.002")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.csv"
        path.write_text("\n".join(rows))
        return hc.read_table(path, size="L", control="x", value="y", error="dy")


def wobble(k: int) -> float:
    """A number in [-1, 1], the same on every machine."""
    return (37 * k % 11 - 5) / 5


def import_all(package: Any) -> None:
    """Every module below a package, so that no verb imports one."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)


def entered(call: Call, folder: Path) -> list[CodeType]:
    """The functions in files of a folder that a call enters, each once."""
    seen: dict[tuple[str, str, int], CodeType] = {}

    def look(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call":
            seen[code.co_filename, code.co_qualname, code.co_firstlineno] = code

    threading.setprofile(look)
    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return [
        code
        for code in seen.values()
        if Path(code.co_filename).is_relative_to(folder)
        # Neither modules and bodies of classes, nor lambdas and comprehensions.
        and code.co_flags & inspect.CO_OPTIMIZED
        and not code.co_name.startswith("<")
    ]


def counted(codes: list[CodeType], folder: Path, wing: Path) -> dict[str, Any]:
    """Numbers of what was entered; lines that belong to two functions count once."""
    files = {Path(code.co_filename) for code in codes}
    lines = {
        (code.co_filename, code.co_firstlineno + k)
        for code in codes
        for k in range(len(inspect.getsourcelines(code)[0]))
    }
    numbers = {
        "files": len(files),
        "files of its wing": sum(file.parent == wing for file in files),
        "functions": len(codes),
        "lines of them": len(lines),
    }
    return {"numbers": numbers, "files": sorted(str(file.relative_to(folder)) for file in files)}


def main(verb: str = "") -> None:
    warnings.simplefilter("ignore")
    hc = importlib.import_module("heatcap")
    import_all(hc)
    if not verb:
        for each in VERBS.values():
            each(hc)()
        return
    call = VERBS[verb](hc)
    folder = Path(str(hc.__file__)).parent
    home = sys.modules[getattr(hc, verb.partition(".")[0]).__module__]
    wing = Path(str(home.__file__)).parent
    found = counted(entered(call, folder), folder, wing)
    print(json.dumps(found | {"package": str(folder)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
