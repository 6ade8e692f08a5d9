"""The gallery as it stands: its commands run, and pictures show the numbers of their JSON."""

from __future__ import annotations

import ast
import itertools
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from pages import ROOT, blocks
from typer.testing import CliRunner

from heatcap import figures
from heatcap.cli import app

from pictures import gids

PAGE = list(blocks(ROOT / "docs" / "gallery.md"))
SHOWN = [
    (text, PAGE[k + 1]) for k, (kind, text) in enumerate(PAGE[:-1]) if kind == "console"
]  # commands, and the block that draws their picture


def at(figure: Figure, gid: str, axis: int = 0) -> Any:
    """All places that are drawn under a name, in order along one axis."""
    return np.sort(np.concatenate([a.get_data()[axis] for a in gids(figure, gid)]))


def same(drawn: Any, told: Any) -> None:
    np.testing.assert_allclose(np.asarray(drawn, float), np.sort(told), rtol=1e-9, atol=1e-12)


def collapse(figure: Figure, told: dict[str, Any], table: pd.DataFrame, value: str) -> None:
    p = {name: one["value"] for name, one in told["parameters"].items()}
    error = told["parameters"]["x_c"]["error"]
    same(at(figure, "x_c"), [p["x_c"]] * 2)
    (span,) = gids(figure, "x_c error")
    same([span.get_x(), span.get_x() + span.get_width()], [p["x_c"] - error, p["x_c"] + error])
    same(at(figure, "raw"), table["control"])
    same(at(figure, "raw", 1), table[value])
    same(at(figure, "point"), (table["control"] - p["x_c"]) * table["size"] ** p["inverse_nu"])


def thresholds(figure: Figure, told: dict[str, Any], table: pd.DataFrame, _: str) -> None:
    x_c = told["x_c"]["value"]
    data, sizes = (next(a.axes for a in gids(figure, gid)) for gid in ("share", "position"))
    for axes, axis in ((data, 0), (sizes, 1)):
        same(at(axes, "x_c", axis), [x_c] * 2)  # a line across, and one along
    same(at(figure, "share", 1), table["successes"] / table["trials"])
    places = [row["position"]["value"] for row in told["rows"]]
    same(at(figure, "threshold"), places)
    same(at(figure, "position", 1), places)


def verdict(figure: Figure, told: dict[str, Any], table: pd.DataFrame, value: str) -> None:
    same(at(figure, "height"), table["size"])
    same(at(figure, "height", 1), table[value])
    same(told["heights"], table[value])
    local = [one["exponent"] for one in told["local_exponents"]]
    same(at(figure, "local exponent", 1), local)
    assert f"{told['exponent']['value']:.2f}" in figures.caption(figure)


CHECK: dict[str, Callable[[Figure, dict[str, Any], pd.DataFrame, str], None]] = {
    "collapse": collapse, "thresholds": thresholds, "verdict": verdict,
}  # fmt: skip


def built(names: dict[str, Any], cell: str) -> Any:
    """What a cell shows: the value of its last line."""
    *before, last = ast.parse(re.sub(r"^%.*$", "", cell, flags=re.MULTILINE)).body
    exec(compile(ast.Module(before, []), "gallery.md", "exec"), names)
    if not isinstance(last, ast.Expr):
        exec(compile(ast.Module([last], []), "gallery.md", "exec"), names)
        return None
    return eval(compile(ast.Expression(last.value), "gallery.md", "eval"), names)


def test_every_command_has_its_picture() -> None:
    assert len(SHOWN) == 4
    assert all(kind == "{code-cell}" and "figures." in cell for _, (kind, cell) in SHOWN)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("console", "cell"), [pytest.param(c, b, id=c.split()[3]) for c, (_, b) in SHOWN]
)
def test_the_picture_shows_the_numbers_of_the_command(
    console: str, cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved: list[Figure] = []
    save = figures.save
    monkeypatch.setattr(
        figures, "save", lambda figure, path: (saved.append(figure), save(figure, path))[1]
    )
    lines = console.replace("\\\n", "").split("$ ")[1:]
    example, command = (shlex.split(line)[1:] for line in lines)
    for words in (example, [*command, "--json", "out.json"]):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.stderr
    told = json.loads(Path("out.json").read_text("utf-8"))
    options = dict(itertools.pairwise(command))
    picture = Path(options["--figure"])
    assert picture.stat().st_size > 10_000
    assert picture.with_suffix(".png").stat().st_size > 10_000
    names: dict[str, Any] = {}
    built(names, PAGE[0][1])
    for figure in (*saved, built(names, cell)):
        CHECK[command[0]](figure, told, pd.read_csv(command[1]), options.get("--value", ""))
    assert len(saved) == 1
