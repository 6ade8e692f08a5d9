"""One hostile string on its way from a file to every place where text is shown or written."""

from __future__ import annotations

import os
import re
from copy import copy
from csv import reader
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.text import Text
from typer.testing import CliRunner

from heatcap import figures
from heatcap.cli import app
from heatcap.core.text import cell, csv, legible, literal, plain
from heatcap.divergence import divergence_test, peak_test
from heatcap.events import find_events
from heatcap.figures.style import letter
from heatcap.observables import save
from heatcap.runfile import open_runs

from runs import write_run
from synthetic import Plan, observables

ANALYSIS = Path(__file__).parents[1] / "analysis"
FORMULA = "=HYPERLINK(1)"
MARKUP = "[bold]a[/b]<b onload='x'>&amp;\"]]>"
CONTROLS = "\x1b[31m\x9b\r\n\t\x07\u202e\u2066\u200b\u2028\x7f"
MATH = "$\\frac{$_^{%&#~}\\"
EVIL = FORMULA + MARKUP + CONTROLS + MATH
SHOWN = FORMULA + MARKUP + plain(CONTROLS) + MATH
NAME = EVIL.replace("/", "")  # of a file, or of a variable of one
NO_TEXT = "\x00\ud800\udcff"


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    for line in (done.stdout + done.stderr).split("\n"):
        assert line.isprintable(), ascii(line)
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def obs():
    """Observables whose names and texts are hostile throughout."""
    table = observables([Plan(p=p, seed=s) for p in (19, 31) for s in (0, 1)])
    runs = table.sizes["run"]
    table = table.rename({"landscape_heat_capacity": NAME, "p": "size"})
    return table.assign_coords(
        run=[f"{EVIL}{k}" for k in range(runs)],
        size_name=("run", [EVIL] * runs),
        path=("run", [EVIL] * runs),
        checksum=("run", [EVIL] * runs),
    ).assign_attrs(command=EVIL)


@pytest.fixture(scope="module")
def saved(obs, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "obs.nc"
    save(obs, path)
    return path


# ---- the terminal --------------------------------------------------------------------------


def test_what_is_plain():
    assert plain("a – 中\N{THIN SPACE}é \U0001f600") == "a – 中\N{THIN SPACE}é \U0001f600"
    assert plain("a\x1b[0m\u202e\n\ud800") == r"a\x1b[0m\u202e\n\ud800"
    assert plain("a\n\r", lines=True) == "a\n\\r"
    for text in (EVIL, NAME, NO_TEXT):
        assert plain(text).isprintable()


def test_what_has_no_shape_is_shown():
    for c in "\u034f\u115f\u1160\u2800\u3164\uffa0\ufe00\ufe0f\U000e0100":
        assert plain(f"a{c}") == "a" + ascii(c)[1:-1]
    assert legible(xr.Dataset(coords={"run": ["a", "a\u3164"]})).run.values.tolist() == [
        "a",
        r"a\u3164",
    ]


@pytest.mark.parametrize(
    "text", ["e\u0301", "한글", "❤\ufe0f ☀\ufe0f", "\U0001f600", "ไทย้", "हिन्दी"]
)
def test_accents_and_emoji_stay(text):
    assert plain(text) == text


def test_a_colour_that_changes_nothing_is_shown():
    assert plain("\U0001f600\ufe0f ❤\ufe0f\ufe0f") == "\U0001f600\\ufe0f ❤\ufe0f\\ufe0f"


def test_info(tmp_path, monkeypatch):
    runs = open_runs(write_run(tmp_path / "run.h5"))
    values = {"run_id": EVIL, "parameters": {EVIL: EVIL}, "stop_reason": EVIL}
    hostile = replace(runs, headers=tuple(replace(each, **values) for each in runs.headers))
    monkeypatch.setattr("heatcap.runfile.open_runs", lambda *_, **__: hostile)
    status, text, _ = run("info", tmp_path)
    assert status == 0
    words = re.sub(r"\s", "", text)
    assert words.count("[bold]a[/b]") == 4
    assert words.count(r"\x1b[31m\x9b\r\n") == 4


@pytest.mark.parametrize("command", ["validate", "info", "observe"])
def test_bad_files_with_hostile_names(command, tmp_path):
    name = os.fsdecode(NAME.encode()[:200] + b"\xff.h5")
    (tmp_path / name).write_bytes(b"nothing")
    write_run(tmp_path / "good.h5")
    more = ["-o", tmp_path / "out.nc"] if command == "observe" else []
    status, text, said = run(command, tmp_path, *more)
    assert status == 1
    about = [line for line in (text + said).splitlines() if "HYPERLINK" in line]
    assert len(about) == 1
    assert r"\xff.h5" in about[0] or r"\udcff.h5" in about[0]


def test_a_missing_file(tmp_path):
    status, _, said = run("events", tmp_path / f"{NAME}.nc", "-o", tmp_path / "out.csv")
    assert status == 1
    assert len(said.splitlines()) == 1


def test_summaries_are_as_many_lines_as_without_it(obs, saved, tmp_path):
    status, text, said = run(
        "events", saved, "-o", tmp_path / "out.csv", "--observable", plain(NAME)
    )
    assert status == 0
    harmless = obs.rename({NAME: "name"})
    expected = find_events(harmless, "name").summary()
    assert len(text.splitlines()) == 1 + len(expected.splitlines())
    assert said.count("warning: text that begins like a formula has a ' before it") == 1


# ---- tables --------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", "=+-@\t\r\n＝")
@pytest.mark.parametrize("space", ["", " ", "\N{NO-BREAK SPACE}", "\N{EM SPACE} ", '"'])
def test_no_cell_is_a_formula(lead, space):
    assert cell(f"{space}{lead}1+1") == f"'{space}{plain(lead)}1+1"


@pytest.mark.parametrize("text", ["-1", "+1.5e3", "-inf", "a=b", "", "1-2"])
def test_numbers_and_words_stay(text):
    assert cell(text) == text


def test_a_table_keeps_what_is_no_text():
    table = pd.DataFrame({"a": [-1.5, np.nan], "b": ["-2", None], "=c": ["x", "-y"]})
    with pytest.warns(UserWarning, match="before it in the CSV: '=c, and 1 more"):
        assert csv(table) == """"a","b","'=c"\n-1.5,"-2","x"\n,,"'-y"\n"""
    assert csv(table[["a"]]) == '"a"\n-1.5\n""\n'


def test_numbers_in_a_table_keep_their_digits():
    values = [1.5, 1e-300, 0.1 + 0.2]
    table = pd.DataFrame({"f": values, "g": np.array(values, "f4"), "i": [2**60, 0, -1]})
    table["n"] = pd.array([1, None, 3], dtype="Int64")
    table["b"] = [True, False, True]
    assert csv(table).split("\n")[1:] == table.to_csv(index=False).split("\n")[1:]
    assert csv(table[["f"]], float_format="%.10g") == '"f"\n1.5\n1e-300\n0.3\n'


@pytest.mark.parametrize("separator", ",;")
def test_no_cell_is_a_formula_whatever_separates(separator):
    hostile = ["x;=1+1", "=1;\N{NO-BREAK SPACE}@x", 'x;"=1', 'x"; =1', ";;+A1", "x;-1"]
    with pytest.warns(UserWarning, match="begins like a formula"):
        text = csv(pd.DataFrame({"a": hostile, "b": hostile}))
    for line in text.splitlines():
        # Both readings of the quotes: with commas, and as if they were none.
        for one in (*next(reader([line], delimiter=separator)), *line.split(separator)):
            assert not re.match(r"""[\s"]*[=+\-@]""", one), ascii(one)


def test_events_as_csv(obs, tmp_path):
    found = find_events(legible(obs), plain(NAME))
    with pytest.warns(UserWarning, match="begins like a formula"):
        found.to_csv(tmp_path / "out.csv")
    text = (tmp_path / "out.csv").read_text()
    assert all(line.isprintable() for line in text.split("\n"))
    back = pd.read_csv(tmp_path / "out.csv")
    assert len(back) == len(found.table)
    assert back["run"].tolist() == [f"'{each}" for each in found.table["run"]]
    assert back["observable"].unique().tolist() == [f"'{plain(NAME)}"]


def test_latex_and_markdown_of_the_study(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ANALYSIS)
    scripts = {name: __import__(name) for name in ("11_results", "12_page")}
    table = pd.DataFrame({EVIL: [EVIL]})
    with pytest.warns(UserWarning, match="begins like a formula"):
        scripts["11_results"].write_table(table, tmp_path / "tables" / "a")
    for tex in ((tmp_path / "tables" / "a.tex").read_text(), scripts["12_page"].tex(EVIL)):
        bare = re.sub(
            r"\\text\w+(\{\})?|\\[$&%#_{}^~ ]|\\(\w+rule|begin\{\w+\}|end\{\w+\})", "", tex
        )
        assert r"\frac" not in tex
        assert not re.search(r"[$#%^~\x1b]", bare), bare


# ---- figures -------------------------------------------------------------------------------


def labels(figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(Text)}


@pytest.fixture(scope="module")
def answers():
    sizes, x = np.array([8.0, 16, 32, 64, 128]), np.linspace(0.5, 1.5, 30)
    found = (
        divergence_test(sizes, np.log(sizes), np.full(5, 0.05)),
        peak_test(x, 1 / (0.1 + abs(x - 1)), np.full(30, 0.05)),
    )
    for answer in found:
        answer.summary()  # works out, once, what is worked out on demand
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a$b$c", "$", "\\", "a\\", "\\$x$", "_", EVIL, NO_TEXT])
def test_names_are_no_formulas_in_figures(name, answers, tmp_path):
    by_size, along = map(copy, answers)  # with what has been worked out
    vars(by_size)["size_name"] = vars(along)["control_name"] = name
    for figure in (figures.verdict(by_size, name=name), figures.peak_verdict(along, name=name)):
        if name in (EVIL, NO_TEXT):
            figures.save(figure, tmp_path / "out.pdf")
        figure.draw_without_rendering()
        said = literal(name.replace("_", " "))
        assert any(said in text for text in labels(figure))


@pytest.mark.slow
def test_scaling_figures(tmp_path):
    table = pd.DataFrame(
        [
            (s, x, np.tanh((x - 1) * s), 0.01)
            for s in (8, 16, 32)
            for x in np.linspace(0.8, 1.2, 15)
        ],
        columns=[f"s{EVIL}", f"x{EVIL}", f"v{EVIL}", "error"],
    )
    table.to_parquet(tmp_path / "t.parquet")
    given = ["--size", f"s{EVIL}", "--control", f"x{EVIL}", "--error", "error"]
    for command in ("collapse", "crossings", "extrema"):
        status, _, said = run(
            command, tmp_path / "t.parquet", "--value", f"v{EVIL}", *given,
            "--figure", tmp_path / "out.pdf", "--json", tmp_path / "out.json",
            *(["--html", tmp_path / "out.html"] if command == "collapse" else []),
        )  # fmt: skip
        assert status == 0, said
        assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["evolution", "leads", "scan"])
def test_figures_along_training(kind, saved, tmp_path):
    assert run("figure", kind, saved, "-o", tmp_path / "out.pdf")[0] == 0
    assert (tmp_path / "out.png").stat().st_size > 0


def test_names_of_sizes_in_figures(obs):
    figure = figures.evolution(obs, find_events(obs, NAME), observables=(NAME,))
    assert {f"{letter(EVIL)} = {size}" for size in (19, 31)} < labels(figure)


# ---- the page ------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Names of attributes, and texts, as a browser has them."""

    def __init__(self):
        super().__init__()
        self.attributes, self.texts = set(), []

    def handle_starttag(self, _, attrs):
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.slow
@pytest.mark.usefixtures("without_extras")
def test_the_report(saved, tmp_path):
    status, _, _ = run("report", saved, "-o", tmp_path / "out.html", "--title", EVIL)
    page = (tmp_path / "out.html").read_text()
    assert status == 0
    assert "could not be drawn" not in page
    assert not {c for c in CONTROLS if not c.isprintable()} - {"\n"} & set(page)
    reader = Reader()
    reader.feed(page)
    assert "onload" not in reader.attributes
    assert "[bold]a[/b]<b onload='x'>" in "".join(reader.texts)


# ---- names that look alike -----------------------------------------------------------------


def test_runs_that_differ_still_differ():
    obs = observables([Plan(p=19, seed=s) for s in range(3)], scan=False)
    obs = obs.assign_coords(run=["a\x1b", "a\\x1b", "a\x1b~"])
    assert legible(obs)["run"].values.tolist() == ["a\\x1b~", "a\\x1b", "a\\x1b~~"]
    plainly = obs.assign_coords(run=["a", "b", "c"])
    assert legible(plainly).identical(plainly)
