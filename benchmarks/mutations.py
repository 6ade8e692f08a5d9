"""Change kernels and statistics one place at a time, and see whether a test notices.

`mutants.py` makes bad *files* and asks whether the reader refuses them; here the *program* is made
bad, and what is asked is whether its tests can fail.  Each mutation of `mutations.toml` names a
function, a text that occurs in it exactly once, what is put there instead, and the tests that
should notice.  The package is copied to a temporary folder and changed there: the checkout stays
as it is.

    python benchmarks/mutations.py --list
    python benchmarks/mutations.py --only extrema
    python benchmarks/mutations.py --table      # for docs/verification.md, from the results kept

Results are kept (`--results`) until the function's file, the mutation or its tests change.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[1]
TABLE = Path(__file__).with_suffix(".toml")
KILLED, SURVIVED, BROKEN, NOT_RUN = "killed", "survived", "broken", "not run"


class Stale(ValueError):
    """The code has moved on, and a mutation has to follow."""


@dataclass(frozen=True)
class Mutation:
    """One change. `tests` are names of files anywhere in tests/, or ends of their node ids."""

    name: str
    module: str
    function: str
    find: str
    replace: str
    tests: tuple[str, ...]
    left: str = ""
    """Why it may survive."""

    def applied(self, source: str) -> str:
        """The source with the change."""
        first, last = _lines_of(source, self)
        lines = source.splitlines(keepends=True)
        body = "".join(lines[first:last])
        if (count := body.count(self.find)) != 1:
            raise Stale(
                f"{self.name}: {self.find!r} occurs {count} times in {self.function} of "
                f"{self.module}, expected once"
            )
        changed = body.replace(self.find, self.replace)
        return "".join([*lines[:first], changed, *lines[last:]])


def _lines_of(source: str, mutation: Mutation) -> tuple[int, int]:
    """Range of lines of a function or method, such as "Curve.drawn", after its docstring."""
    scope: Sequence[ast.AST] = [ast.parse(source)]
    for name in mutation.function.split("."):
        scope = [node for outer in scope for node in _defined(outer) if node.name == name]
    if len(scope) != 1:
        raise Stale(
            f"{mutation.name}: {mutation.module} has {len(scope)} functions "
            f"{mutation.function!r}, expected 1"
        )
    found: Any = scope[0]
    first = found.body[0].end_lineno if ast.get_docstring(found) else found.lineno - 1
    return first, found.end_lineno


def _defined(outer: ast.AST) -> Iterator[Any]:
    for node in ast.iter_child_nodes(outer):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node


def read(table: Path) -> list[Mutation]:
    """All mutations of a table."""
    rows = tomllib.loads(table.read_text(encoding="utf-8"))["mutation"]
    found = [Mutation(**{**row, "tests": tuple(row["tests"])}) for row in rows]
    twice = [name for name, n in Counter(each.name for each in found).items() if n > 1]
    if twice:
        raise ValueError(f"{table.name}: names must differ, got {twice} more than once")
    return found


@dataclass(frozen=True)
class Checkout:
    """A package and its tests, which are only read."""

    home: Path
    package: str

    def module(self, mutation: Mutation) -> Path:
        return self.home / "src" / self.package / mutation.module

    def mutated(self, mutation: Mutation) -> str:
        """The source of its module with the change."""
        return mutation.applied(self.module(mutation).read_text(encoding="utf-8"))

    def selected(self, tests: Sequence[str]) -> list[str]:
        """Paths of tests, wherever in tests/ their file stands."""
        out = []
        for test in tests:
            name, _, node = test.partition("::")
            files = sorted((self.home / "tests").rglob(name))
            if len(files) != 1:
                raise Stale(f"tests/ has {len(files)} files {name!r}, expected 1")
            out.append(f"{files[0]}::{node}" if node else str(files[0]))
        return out

    def key(self, mutation: Mutation) -> str:
        """Changes when the result might: the mutation, its file, the files of its tests."""
        digest = hashlib.sha256(repr(mutation).encode() + self.module(mutation).read_bytes())
        for test in self.selected(mutation.tests):
            digest.update(Path(test.partition("::")[0]).read_bytes())
        return digest.hexdigest()[:16]

    def check(self, mutations: Sequence[Mutation]) -> None:
        """Raise if the code has moved on, for all mutations at once."""
        said = []
        for each in mutations:
            try:
                self.mutated(each)
                self.selected(each.tests)
            except (Stale, OSError) as error:
                said.append(str(error))
        if said:
            raise Stale("\n".join(said))


@dataclass(frozen=True)
class Bench:
    """A copy of a package, where one change at a time is made and tested."""

    checkout: Checkout
    folder: Path

    @classmethod
    @contextmanager
    def of(cls, checkout: Checkout) -> Iterator[Bench]:
        """In a temporary folder."""
        with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(checkout.home / "src", Path(folder) / "src", ignore=ignored)
            compileall.compile_dir(folder, quiet=1)
            yield cls(checkout, Path(folder))

    def test(self, tests: Sequence[str], limit: float | None = None) -> tuple[str, float]:
        """What becomes of the copy as it stands, and how many seconds that took."""
        began, home = time.perf_counter(), self.checkout.home
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
        command += [f"--rootdir={home}", *self.checkout.selected(tests)]
        if (settings := home / "pyproject.toml").exists():
            command += ["-c", str(settings)]
        # Nothing is written beside the tests.  Kernels are cached beside the copy, in a folder that
        # bears the hash of their sources.
        environment = os.environ | {
            "PYTHONPATH": str(self.folder / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NUMBA_CACHE_DIR": str(self.folder / "numba"),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(self.folder / "hypothesis"),
        }
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, timeout=limit
            )
            # 1: tests failed; 2 to 5: they could not be collected, or there are none.
            result = {0: SURVIVED, 1: KILLED}.get(done.returncode, BROKEN)
        except subprocess.TimeoutExpired:
            result = KILLED
        return result, time.perf_counter() - began

    @contextmanager
    def changed(self, mutation: Mutation) -> Iterator[None]:
        """While it lasts the copy bears the mutation."""
        path = self.folder / "src" / self.checkout.package / mutation.module
        path.write_text(self.checkout.mutated(mutation), encoding="utf-8")
        try:
            yield
        finally:  # with its time, which compiled files go by
            shutil.copy2(self.checkout.module(mutation), path)


@dataclass(frozen=True)
class Results:
    """Results by name, in a JSON file that is written after each of them."""

    path: Path
    rows: dict[str, dict[str, Any]]

    @classmethod
    def at(cls, path: Path) -> Results:
        return cls(path, json.loads(path.read_text()) if path.exists() else {})

    def known(self, name: str, key: str) -> str | None:
        row = self.rows.get(name, {})
        return row["result"] if row.get("key") == key else None

    def add(self, name: str, key: str, result: str, seconds: float) -> None:
        self.rows[name] = {"result": result, "seconds": round(seconds, 1), "key": key}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.rows, indent=1, sort_keys=True) + "\n")


def run(
    bench: Bench,
    mutations: Sequence[Mutation],
    results: Results,
    limit: float,
    *,
    passed: bool = False,
) -> list[Mutation]:
    """Test every mutation that has no result yet; those that are not killed.

    Unless the suite has just `passed`, all their tests are made once with the package as it is:
    what fails there kills nothing.
    """
    keys = {each.name: bench.checkout.key(each) for each in mutations}
    new = [each for each in mutations if results.known(each.name, keys[each.name]) is None]
    tests = list(dict.fromkeys(test for each in new for test in each.tests))
    if tests and not passed:
        result, seconds = bench.test(tests)
        print(f"as it is: {len(tests)} tests in {seconds:.0f} s", flush=True)
        if result != SURVIVED:
            raise SystemExit("tests fail without any mutation: " + " ".join(tests))
    alive = []
    for each in mutations:
        if each in new:
            with bench.changed(each):
                results.add(each.name, keys[each.name], *bench.test(each.tests, limit))
        row = results.rows[each.name]
        print(f"{row['result']:9}{row['seconds']:6.1f} s  {each.name}", flush=True)
        if row["result"] != KILLED:
            alive.append(each)
    return alive


def table(mutations: Sequence[Mutation], results: Results) -> str:
    """Markdown: how many of each room were killed, and what survives with the reason."""
    rooms: dict[str, Counter[str]] = {}
    lines = []
    for each in mutations:
        result = results.rows.get(each.name, {}).get("result", NOT_RUN)
        rooms.setdefault(each.module.split("/")[0], Counter())[result] += 1
        if result not in (KILLED, NOT_RUN):
            lines.append(f"* `{each.function}`, {each.name} ({result}): {each.left or 'open'}")
    rooms["all"] = sum(rooms.values(), Counter[str]())
    rows = ["| Room | Mutations | Killed | Survived | Not run |", "|---|---|---|---|---|"]
    rows += [
        f"| {room} | {n.total()} | {n[KILLED]} | {n[SURVIVED]} | {n[NOT_RUN]} |"
        for room, n in rooms.items()
    ]
    return "\n".join([*rows, "", *lines]).rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="names or modules that hold this, or match it")
    parser.add_argument("--list", action="store_true", help="name them, and check that they apply")
    parser.add_argument("--table", action="store_true", help="print the results kept as Markdown")
    parser.add_argument("--results", type=Path, default=HOME / "out" / "mutations.json")
    parser.add_argument("--passed", action="store_true", help="the suite has just passed as it is")
    parser.add_argument("--limit", type=float, default=300, help="seconds after which it hangs")
    parser.add_argument("--mutations", type=Path, default=TABLE)
    parser.add_argument("--home", type=Path, default=HOME, help="the checkout")
    parser.add_argument("--package", default="heatcap")
    given = parser.parse_args(arguments)
    pattern = given.only if any(c in given.only for c in "*?[") else f"*{given.only}*"
    chosen = [
        each
        for each in read(given.mutations)
        if fnmatch.fnmatch(each.name, pattern) or fnmatch.fnmatch(each.module, pattern)
    ]
    results = Results.at(given.results)
    if given.table:
        print(table(chosen, results))
        return 0
    checkout = Checkout(given.home, given.package)
    checkout.check(chosen)
    if given.list:
        print("\n".join(f"{each.module}: {each.name}" for each in chosen))
        return 0
    with Bench.of(checkout) as bench:
        alive = run(bench, chosen, results, given.limit, passed=given.passed)
    print(f"{len(chosen) - len(alive)} of {len(chosen)} killed")
    return 1 if any(not each.left for each in alive) else 0


if __name__ == "__main__":
    sys.exit(main())
