"""The script that mutates kernels and statistics, on a package made here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mutations

MODULE = '''
def mean(values):
    """The mean."""
    return sum(values) / len(values)


class Spread:
    def squared(self, values):
        return sum((v - mean(values)) ** 2 for v in values) / (len(values) - 1)
'''

TESTS = """
from made.numbers_ import Spread, mean


def test_mean():
    assert mean([1, 3]) == 2


def test_spread():
    assert Spread().squared([1, 1]) == 0
"""

TABLE = """
[[mutation]]
name = "half of a mean"
module = "numbers_.py"
function = "mean"
find = "/ len(values)"
replace = "/ len(values) / 2"
tests = ["test_numbers.py::test_mean"]

[[mutation]]
name = "a biased spread"
module = "numbers_.py"
function = "Spread.squared"
find = "(len(values) - 1)"
replace = "len(values)"
tests = ["test_numbers.py::test_spread"]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (
        ("src/made/__init__.py", ""),
        ("src/made/numbers_.py", MODULE),
        ("tests/deep/test_numbers.py", TESTS),
        ("table.toml", TABLE),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return tmp_path


def _main(home: Path, *more: str) -> int:
    given = ["--home", str(home), "--package", "made", "--mutations", str(home / "table.toml")]
    return mutations.main([*given, "--results", str(home / "out" / "found.json"), *more])


def test_one_is_killed_one_survives_and_both_are_remembered(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(home.rglob("*"))
    assert _main(home) == 1
    found = json.loads((home / "out" / "found.json").read_text())
    assert {name: row["result"] for name, row in found.items()} == {
        "half of a mean": "killed",
        "a biased spread": "survived",
    }
    made = {home / "out", home / "out" / "found.json"}
    assert set(before) | made == set(home.rglob("*"))
    assert (home / "src/made/numbers_.py").read_text() == MODULE
    # Nothing is tested again, until a test changes.
    monkeypatch.setattr(mutations.Bench, "test", lambda *_, **__: pytest.fail("tested again"))
    assert _main(home) == 1
    assert "1 of 2 killed" in capsys.readouterr().out
    assert _main(home, "--only", "half of") == 0
    assert _main(home, "--table") == 0
    said = capsys.readouterr().out
    assert "| 2 | 1 | 1 |" in said
    assert "* `Spread.squared`, a biased spread (survived): open" in said
    (home / "tests/deep/test_numbers.py").write_text(TESTS + "\n")
    with pytest.raises(pytest.fail.Exception, match="tested again"):
        _main(home)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("/ len(values)\n", "/ n\n", "occurs 0 times in mean"),
        ("sum(values) / len(values)", "(0 / len(values) + 0 / len(values))", "occurs 2 times"),
        ("class Spread", "class Width", "0 functions 'Spread.squared'"),
    ],
)
def test_code_that_has_moved_on_is_said(home: Path, old: str, new: str, said: str) -> None:
    (home / "src/made/numbers_.py").write_text(MODULE.replace(old, new))
    with pytest.raises(mutations.Stale, match=said):
        _main(home)


def test_tests_that_fail_anyhow_kill_nothing(home: Path) -> None:
    (home / "tests/deep/test_numbers.py").write_text(TESTS.replace("== 2", "== 3"))
    with pytest.raises(SystemExit, match="without any mutation"):
        _main(home, "--only", "half of a mean")
