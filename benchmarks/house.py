"""The structure of the code in numbers: files, functions, what a verb enters, arrows, owners.

    python benchmarks/house.py [-v] [--no-verbs] [--src DIR] [--json FILE] [--beside FILE]

A leading underscore, of a file or a function, makes no difference but to the row of private names.

* A face is an ``__init__.py`` or ``__main__.py``; a wing is a folder; lines are all lines.
* A function is inner if it stands at the top level of its module and in no ``__all__``, of the
  module or of a face.  A use is a name or an attribute that scopes and imports resolve to it,
  outside its own body; a command, which a decorator hands on, needs none.  Its statements are all
  those of its body, inner blocks counted, the docstring not.
* Arrows go from module to module, each pair once; what the type checker alone sees, and what a
  function imports when it is called, is counted apart.  The arrows to the faces above a module,
  which Python runs first, are not counted.
* A private name crosses wings where a module imports it, or a private file, of another folder; the
  folder above is another one.
* A module is hidden if its package's face has another thing of that name.
* What a verb enters is measured by house_verbs.py, in a process for each verb, after all modules
  are imported: functions that numba compiles are not seen, nor other processes; lambdas and
  comprehensions belong to the function around them.
* A bare string is a constant, but no entry of ``__all__`` and no part of an f-string.  Words with
  other senses elsewhere (run, step, head, status, group, ...) are not looked for; some that are
  (energy, heat_capacity) name columns of systems' tables as well.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import house_verbs
from house_modules import Function, House, Target, assignments, imports, uses

_ROWS = (
    *("free_energy", "energy", "entropy", "third_cumulant", "fourth_cumulant"),
    *("participation_ratio", "max_probability", "visible_keys", "fisher_information"),
    *("heat_capacity", "landscape_heat_capacity", "landscape_heat_capacity_fixed"),
    *("total_heat_capacity", "unweighted_heat_capacity", "offset_heat_capacity"),
)
_PATH = ("distance", "length", "geodesic", "detour", "speed", "kinetic", "potential", "action")
OBSERVABLES = {
    *(f"{before}{name}" for name in _ROWS for before in ("", "scan_")),
    *(f"{name}_error" for name in _ROWS),
    *(f"{path}_{name}" for path in ("fisher", "depth") for name in _PATH),
    *("heat_capacity_bound", "mean_visible_keys", "single_key", "pooled_logit_variance"),
}
EVENT_COLUMNS = {
    *("peak_step", "peak_height", "peak_step_spacing", "prominence", "significance", "height_bias"),
    *("at_spike", "memorisation_step", "onset_step", "onset_step_spacing", "onset_metric"),
    *("censored", "lead_steps", "last_step", "edge_maximum", "baseline", "final_value", "plateau"),
    *("mirror_leak", "mirror_message", "spikes", "spike_share", "maxima", "maxima_at_spike"),
    "rising",
}
#: Modules that may write these names out, in the house of November 2026 and in the next, without
#: their leading underscores.
OWNERS = {
    "event columns": ("heatcap.core.columns", "heatcap.events"),
    "observables": (
        *("heatcap.stream", "heatcap.moments", "heatcap.geometry", "heatcap.kernels"),
        *("heatcap.join", "heatcap.ensemble", "heatcap.attention", "heatcap.observables"),
        "heatcap.core.quantities",
    ),
}
WORDS = {"event columns": EVENT_COLUMNS, "observables": OBSERVABLES}

Numbers = dict[str, float]
Measured = tuple[Numbers, dict[str, list[str]]]
"""Numbers by what they count, and the names behind them."""


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _texts(nodes: Iterable[ast.AST]) -> dict[int, str]:
    """The constant strings below nodes, by the identity of their nodes."""
    below = (inner for node in nodes for inner in ast.walk(node))
    return {id(node): str(getattr(node, "value", "")) for node in below if _is_text(node)}


def _lists(tree: ast.Module) -> list[ast.AST]:
    """Statements that make ``__all__``."""
    return [n for n in assignments(tree.body) if ast.unparse(n).startswith("__all__")]


def exported(house: House) -> set[Target | None]:
    """What stands in an ``__all__``, where it is made."""
    return {
        house.resolve(module.name, name)
        for module in house.values()
        for name in _texts(_lists(module.tree)).values()
    }


def top_level(node: ast.AST) -> Iterator[Function]:
    """Functions of a module, also those made under a condition."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield child
        elif not isinstance(child, ast.ClassDef | ast.expr):
            yield from top_level(child)


def statements(function: Function) -> int:
    inside = sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1
    return inside - (ast.get_docstring(function, clean=False) is not None)


def files(house: House) -> Measured:
    rooms = [module for module in house.values() if not module.face]
    sizes = sorted((module.lines for module in rooms), reverse=True)
    numbers: Numbers = {"files": len(rooms), "lines": sum(sizes)}
    for module in rooms:
        for place in (f"of {module.name.partition('.')[0]}", f"in wing {module.package}"):
            numbers[f"files {place}"] = numbers.get(f"files {place}", 0) + 1
            numbers[f"lines {place}"] = numbers.get(f"lines {place}", 0) + module.lines
    numbers["lines of faces"] = sum(module.lines for module in house.values() if module.face)
    numbers["lines of a file, median"] = statistics.median(sizes)
    numbers |= {f"lines of the largest file, {n}": size for n, size in enumerate(sizes[:5], 1)}
    largest = sorted(rooms, key=lambda module: -module.lines)[:5]
    return numbers, {"largest files": [f"{module.name} {module.lines}" for module in largest]}


def functions(house: House, used: Sequence[Target]) -> Measured:
    every = {
        (module.name, node.name): node
        for module in house.values()
        for node in top_level(module.tree)
        if not node.name.startswith("__")
    }
    public, count = exported(house), Counter(used)
    inner = [place for place in every if place not in public]
    once = [place for place in inner if count[place] == 1]
    idle = [place for place in inner if not count[place]]
    never = [place for place in idle if not every[place].decorator_list]
    numbers: Numbers = {
        "functions at top level": len(every),
        "inner functions": len(inner),
        "inner functions used once": len(once),
        "inner functions used once, share": round(len(once) / max(len(inner), 1), 3),
        "of these, of at most 3 statements": sum(statements(every[place]) <= 3 for place in once),
        "inner functions never used": len(never),
        "inner functions that a decorator hands on": len(idle) - len(never),
    }
    return numbers, {"never used": [".".join(place) for place in never]}


def arrows(house: House, used: dict[str, list[Target]]) -> Measured:
    pairs: dict[str, set[Target]] = {"run time": set(), "function": set(), "type checker": set()}
    crossing: set[Target] = set()
    for module in house.values():
        imported = list(imports(module.tree, module.package))
        written = {target for _, target in imported}
        for when, target in imported:
            if (to := house.arrow(*target)) not in ("", module.name):
                pairs[when].add((module.name, to))
        for to, name in [*written, *used[module.name]]:
            abroad = to in house and house[to].package != module.package
            if abroad and (_private(name) or ((to, name) in written and _private(*to.split(".")))):
                crossing.add((module.name, f"{to}.{name}".rstrip(".")))
    run, later = pairs["run time"], pairs["function"] - pairs["run time"]
    typed = pairs["type checker"] - run - later
    to_root = [f"{start} -> {end}" for start, end in sorted(run | later) if "." not in end]
    nodes = [node for module in house.values() for node in ast.walk(module.tree)]
    names = [end for _, end in crossing if _private(end.rpartition(".")[2]) and end not in house]
    circles = circles_of(run | later | typed)
    numbers: Numbers = {
        "arrows at run time": len(run),
        "arrows, further, inside functions": len(later),
        "arrows, further, for the type checker": len(typed),
        "imports of the root": len(to_root),
        "relative imports": sum(isinstance(n, ast.ImportFrom) and n.level > 0 for n in nodes),
        "private names across wings": len(names),
        "names of private files across wings": len(crossing) - len(names),
        "circles at run time": len(circles_of(run)),
        "circles, imports in functions too": len(circles_of(run | later)),
        "circles, the type checker's too": len(circles),
    }
    across = [f"{start} -> {end}" for start, end in sorted(crossing)]
    named = {"imports of the root": to_root, "private across wings": across}
    return numbers, named | {"circles": [", ".join(circle) for circle in circles]}


def _private(*names: str) -> bool:
    return any(re.match("_[^_]", name) for name in names)


def circles_of(pairs: set[Target]) -> list[list[str]]:
    """Modules that reach each other; each circle once."""
    after: dict[str, set[str]] = {}
    for start, end in pairs:
        after.setdefault(start, set()).add(end)
    reach: dict[str, set[str]] = {}
    for start in after:
        reach[start], todo = set(), [start]
        while todo:
            new = after.get(todo.pop(), set()) - reach[start]
            reach[start] |= new
            todo += new
    circles = {tuple(sorted(b for b in reach[a] if a in reach.get(b, ()))) for a in reach}
    return [list(circle) for circle in sorted(circles) if circle]


def hidden(house: House) -> Measured:
    found = []
    for name in house:
        package, _, last = name.rpartition(".")
        if package in house:
            face = house[package]
            lazy = "__getattr__" in face.scope and last not in face.scope
            listed = lazy and last in _texts(_lists(face.tree)).values()
            if listed or house.resolve(package, last) != (name, ""):
                found.append(name)
    return {"modules hidden by a name": len(found)}, {"hidden modules": found}


def words(house: House) -> Measured:
    numbers: Numbers = {}
    for what, names in WORDS.items():
        bare = Counter[str]()
        for name, module in house.items():
            plain = name.replace("._", ".")
            if not any(f"{plain}.".startswith(f"{owner}.") for owner in OWNERS[what]):
                parts = [node for node in ast.walk(module.tree) if isinstance(node, ast.JoinedStr)]
                apart = _texts([*_lists(module.tree), *parts])
                texts = _texts([module.tree])
                bare[module.package] += sum(texts[k] in names for k in texts.keys() - apart)
        numbers[f"{what} as bare strings"] = bare.total()
        numbers |= {f"{what} as bare strings in wing {wing}": n for wing, n in bare.items() if n}
    nodes = [node for module in house.values() for node in ast.walk(module.tree)]
    none = [node for node in nodes if isinstance(node, ast.Constant) and node.value == "none"]
    compared = [node for node in nodes if isinstance(node, ast.Compare)]
    floats = re.compile(r"(type )?\w+(: [\w.]+)? = ([\w.]+\.)?NDArray\[\w+\.float64\]")
    numbers["strings 'none'"] = len(none)
    numbers["comparisons with 'none'"] = sum(
        "none" in [getattr(side, "value", "") for side in (node.left, *node.comparators)]
        for node in compared
    )
    numbers["definitions of to_dict"] = sum(
        isinstance(node, Function) and node.name == "to_dict" for node in nodes
    )
    numbers["aliases of NDArray[np.float64]"] = sum(
        floats.fullmatch(ast.unparse(node)) is not None for node in assignments(nodes)
    )
    return numbers, {}


def verbs(src: Path) -> Measured:
    """What each verb enters, in a process of its own, after all have run once."""
    numbers: Numbers = {}
    names: list[str] = []
    _run(src)
    for verb in house_verbs.VERBS:
        found = json.loads(_run(src, verb).splitlines()[-1])
        if Path(found["package"]).parent != src:
            raise SystemExit(f"expected heatcap in {src}, got {found['package']}")
        numbers |= {f"{verb}: {what}": n for what, n in found["numbers"].items()}
        names += [f"{verb}: {name}" for name in found["files"]]
    return numbers, {"files that verbs enter": names}


def _run(src: Path, *verb: str) -> str:
    command = [sys.executable, house_verbs.__file__, *verb]
    around = {**os.environ, "PYTHONPATH": str(src)}
    return subprocess.run(command, env=around, stdout=subprocess.PIPE, text=True, check=True).stdout


def measured(src: Path, with_verbs: bool = True) -> Measured:
    """All numbers of the packages in a folder, and names behind them."""
    house = House.read(src)
    used = {name: uses(house, module) for name, module in house.items()}
    all_used = [target for found in used.values() for target in found]
    parts = [files(house), functions(house, all_used), arrows(house, used), hidden(house)]
    parts += [words(house), *([verbs(src)] if with_verbs else [])]
    numbers = {row: n for some, _ in parts for row, n in some.items()}
    return numbers, {what: names for _, some in parts for what, names in some.items()}


def table(now: Numbers, before: Numbers | None = None, wings: bool = False) -> str:
    """One row for each number, aligned; those of single wings come last."""
    every = dict.fromkeys([*now, *(before or {})])
    single = sorted(row for row in every if " wing " in row)
    columns = {"now": now} if before is None else {"before": before, "now": now}
    shown = [*(row for row in every if row not in single), *(single if wings else [])]
    rows = [["", *columns]] + [
        [row, *(f"{of[row]:.6g}" if row in of else "-" for of in columns.values())] for row in shown
    ]
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        row.ljust(first) + "".join(f"  {c:>{w}}" for c, w in zip(cells, others, strict=True))
        for row, *cells in rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-v", "--verbose", action="store_true", help="wings and names, too")
    parser.add_argument("--no-verbs", action="store_true", help="leave out what runs heatcap")
    parser.add_argument("--src", type=Path, default=Path(__file__).parents[1], help="a checkout")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--beside", type=Path, help="numbers written earlier, printed beside")
    given = parser.parse_args()
    src = given.src.resolve()
    src = src / "src" if (src / "src").is_dir() else src
    numbers, names = measured(src, not given.no_verbs)
    before = json.loads(given.beside.read_text())["numbers"] if given.beside else None
    print(table(numbers, before, given.verbose))
    for what, which in names.items() if given.verbose else ():
        print(f"\n{what}:", *(f"  {name}" for name in which), sep="\n")
    if given.json:
        given.json.write_text(json.dumps({"numbers": numbers, "names": names}, indent=1) + "\n")


if __name__ == "__main__":
    main()
