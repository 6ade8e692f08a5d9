"""The structure of a small made house is measured exactly."""

from __future__ import annotations

import importlib
import json
import sys

import pytest

import house
import house_verbs

SOURCES = {
    "__init__.py": '__version__ = "1"\n',
    "__main__.py": "",
    "near/__init__.py": "from tiny.near.measure import measure\n",
    "near/measure.py": """
from tiny.near import _tools as tools

__all__ = ["measure"]

def measure(x):
    def inner(once):
        return once
    return tools.once(x) + tools._twice(x) + tools._twice([inner(y) for y in [x]][0])
""",
    "near/_tools.py": '''
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from tiny.near.measure import measure

def once(x):
    """Used once, by another name of its module."""
    return x

def _twice(x):
    if x:
        x = x
    y = x
    return y

def never(x):
    return never(x)
''',
    "far/__init__.py": "",
    "far/result.py": """
import numpy as np
from numpy.typing import NDArray

from tiny import __version__
from tiny.near._tools import _twice as two
from .table import row

Floats = NDArray[np.float64]

class Result:
    group = "none"
    def row(self):
        return row(self)
    def to_dict(self):
        return {"peak_step": two(1), "heat_capacity": self.group == "none"}
""",
    "far/table.py": """
import tiny.near._tools

def row(result):
    from tiny.far.result import Result
    if result:
        pass
    return f"{Result}peak_step"

def handed_on(command):
    return command

@handed_on
def command():
    pass
""",
}
EXPECTED = {
    "files": 4,
    "lines": 57,
    "files of tiny": 4,
    "lines of tiny": 57,
    "files in wing tiny.far": 2,
    "lines in wing tiny.far": 31,
    "files in wing tiny.near": 2,
    "lines in wing tiny.near": 26,
    "lines of faces": 2,
    "lines of a file, median": 15.5,
    "lines of the largest file, 1": 17,
    "lines of the largest file, 2": 16,
    "lines of the largest file, 3": 15,
    "lines of the largest file, 4": 9,
    "functions at top level": 7,
    "inner functions": 6,
    "inner functions used once": 3,
    "inner functions used once, share": 0.5,
    "of these, of at most 3 statements": 2,
    "inner functions never used": 1,
    "inner functions that a decorator hands on": 1,
    "arrows at run time": 6,
    "arrows, further, inside functions": 1,
    "arrows, further, for the type checker": 1,
    "imports of the root": 1,
    "relative imports": 1,
    "private names across wings": 1,
    "names of private files across wings": 1,
    "circles at run time": 0,
    "circles, imports in functions too": 1,
    "circles, the type checker's too": 2,
    "modules hidden by a name": 1,
    "event columns as bare strings": 1,
    "event columns as bare strings in wing tiny.far": 1,
    "observables as bare strings": 1,
    "observables as bare strings in wing tiny.far": 1,
    "strings 'none'": 2,
    "comparisons with 'none'": 1,
    "definitions of to_dict": 1,
    "aliases of NDArray[np.float64]": 1,
}


def build(folder, sources):
    for name, text in sources.items():
        path = folder / "tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_every_number_is_that_of_the_made_house(tmp_path) -> None:
    numbers, names = house.measured(build(tmp_path, SOURCES), with_verbs=False)
    assert numbers == EXPECTED
    assert names["never used"] == ["tiny.near._tools.never"]
    assert names["imports of the root"] == ["tiny.far.result -> tiny"]
    assert names["private across wings"] == [
        "tiny.far.result -> tiny.near._tools._twice",
        "tiny.far.table -> tiny.near._tools",
    ]
    assert names["hidden modules"] == ["tiny.near.measure"]
    assert names["circles"] == [
        "tiny.far.result, tiny.far.table",
        "tiny.near._tools, tiny.near.measure",
    ]


def test_a_leading_underscore_makes_no_difference(tmp_path) -> None:
    plain = {
        name.replace("_tools", "tools"): text.replace("_tools", "tools").replace("_twice", "twice")
        for name, text in SOURCES.items()
    }
    numbers, _ = house.measured(build(tmp_path, plain), with_verbs=False)
    private = {"private names across wings": 0, "names of private files across wings": 0}
    assert numbers == EXPECTED | private


def test_owners_may_write_their_names_out(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(house.OWNERS, "event columns", ("tiny.far.result",))
    monkeypatch.setitem(house.OWNERS, "observables", ("tiny.far.res", "tiny.near"))
    numbers, _ = house.measured(build(tmp_path, SOURCES), with_verbs=False)
    assert numbers["event columns as bare strings"] == 0
    assert numbers["observables as bare strings"] == 1
    hidden = {name.replace("far/result", "far/_result"): SOURCES[name] for name in SOURCES}
    numbers, _ = house.measured(build(tmp_path / "hidden", hidden), with_verbs=False)
    assert numbers["event columns as bare strings"] == 0


def test_what_a_call_enters(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(build(tmp_path, SOURCES))
    folder = tmp_path / "tiny"
    measure = importlib.import_module("tiny.near").measure
    codes = house_verbs.entered(lambda: measure(2.0), folder)
    assert sorted(code.co_name for code in codes) == ["_twice", "inner", "measure", "once"]
    found = house_verbs.counted(codes, folder, folder / "near")
    assert found["files"] == ["near/_tools.py", "near/measure.py"]
    assert found["numbers"] == {
        "files": 2,
        "files of its wing": 2,
        "functions": 4,
        "lines of them": 4 + 3 + 5,
    }
    assert house_verbs.counted(codes, folder, folder)["numbers"]["files of its wing"] == 0


def test_numbers_stand_beside_those_written_earlier(tmp_path, monkeypatch, capsys) -> None:
    build(tmp_path / "src", SOURCES)
    before = tmp_path / "before.json"
    command = ["house.py", "--no-verbs", "--src", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*command, "--json", str(before)])
    house.main()
    assert json.loads(before.read_text())["numbers"] == EXPECTED
    assert " wing " not in capsys.readouterr().out
    (tmp_path / "src" / "tiny" / "far" / "__main__.py").write_text("")
    (tmp_path / "src" / "tiny" / "far" / "table.py").write_text("def row(): pass\n")
    monkeypatch.setattr(sys, "argv", [*command, "-v", "--beside", str(before)])
    house.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["before", "now"]
    rows = {line[: lines[0].index("before")].strip(): line.split()[-2:] for line in lines}
    assert rows["lines of tiny"] == ["57", "43"]
    assert rows["circles, imports in functions too"] == ["1", "0"]
    assert rows["lines of the largest file, 4"] == ["9", "1"]
    assert rows["observables as bare strings in wing tiny.far"] == ["1", "1"]
    assert len({len(line) for line in lines[: lines.index("")]}) == 1


def test_a_folder_without_packages_is_named(tmp_path) -> None:
    with pytest.raises(SystemExit, match="expected a folder of packages"):
        house.measured(tmp_path)
