"""The pages: links lead somewhere, code compiles, commands have the options that are shown."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from pages import PAGES, ROOT, blocks, commands, links, named

import heatcap
from heatcap.cli import app
from heatcap.core.lazy import homes
from heatcap_trainer.cli import app as trainer

of_each_page = pytest.mark.parametrize("page", PAGES, ids=named)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
RULE = re.compile(r"\|[\s:|-]+\|")  # below the header of a table
MAGIC = re.compile(r"^[%!].*$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub and the site make them."""
    titles = HEADING.findall(page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@of_each_page
def test_links_and_images_lead_somewhere(page: Path) -> None:
    broken = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def test_links_are_seen() -> None:
    assert "docs/file-format.md" in links(ROOT / "README.md")
    assert "theory.md#the-bound" in links(ROOT / "docs" / "index.md")


@of_each_page
def test_rows_of_a_table_stand_below_a_header(page: Path) -> None:
    """A blank line cuts what follows it out of its table."""
    lines = ["", *page.read_text("utf-8").splitlines(), ""]
    loose = [
        line
        for before, line, after in zip(lines, lines[1:], lines[2:], strict=False)
        if line.startswith("|") and not before.startswith("|") and not RULE.fullmatch(after)
    ]
    assert loose == []


@of_each_page
def test_python_of_a_page_compiles(page: Path) -> None:
    for kind, text in blocks(page):
        if kind in ("python", "{code-cell}"):
            ast.parse(MAGIC.sub("pass", text), named(page))


@of_each_page
def test_names_of_heatcap_on_a_page_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    used = {name for name in re.findall(r"\b(?:hc|heatcap)\.(\w+)(?=\()", text) if name[0] != "_"}
    assert used - {*heatcap.__all__} == set()


@cache
def parser(program: str) -> Any:
    return typer.main.get_command({"heatcap": app, "heatcap-train": trainer}[program])


def unknown(line: str) -> list[str]:
    """What a command line has that the command has not."""
    program, *words = shlex.split(line, comments=True)
    command, path = parser(program), []
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        path.append(words.pop(0))
        if path[-1] not in command.commands:
            return [" ".join(path)]
        command = command.commands[path[-1]]
    known = {option for each in command.params for option in each.opts} | {"--help"}
    given = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    return [option for option in given if option not in known]


@of_each_page
def test_commands_of_a_page_have_their_options(page: Path) -> None:
    for line in commands(page):
        assert (line, unknown(line)) == (line, [])


def test_commands_are_seen_and_wrong_ones_noticed() -> None:
    assert "heatcap verdict obs.nc" in commands(ROOT / "README.md")
    assert len([line for page in PAGES for line in commands(page)]) > 30
    assert unknown("heatcap verdict HEIGHTS.csv --hight C") == ["--hight"]
    assert unknown("heatcap figure leeds obs.nc -o x.pdf") == ["figure leeds"]
    assert unknown("heatcap figure leads obs.nc -o x.pdf") == []
    assert unknown("heatcap-train run config.toml -o runs --dry") == ["--dry"]


def test_every_public_name_is_in_the_reference() -> None:
    index = (ROOT / "docs" / "api" / "index.md").read_text("utf-8")
    listed = dict(reversed(pair) for pair in re.findall(r"~heatcap\.(\w+)\.(\w+)", index))
    rooms_of = {name: home.rpartition(".")[2] for name, home in homes("heatcap").items()}
    assert listed == rooms_of
    rooms = {*rooms_of.values(), "figures", "systems"}
    for room in sorted(rooms):
        page = (ROOT / "docs" / "api" / f"{room}.md").read_text("utf-8")
        assert f".. automodule:: heatcap.{room}\n" in page


WRITTEN = re.compile(r"""(?:-o |--json |--figure |--html |to_csv\(\"|savetxt\(\")([\w.]+\.\w+)""")


def test_pages_of_a_folder_that_run_side_by_side_write_files_of_their_own() -> None:
    writers: dict[Path, list[str]] = {}
    for page in sorted((ROOT / "docs").rglob("*.md")):
        cells = re.findall(r"^```\{code-cell\}.*?^```", page.read_text(), re.M | re.S)
        files = writers.setdefault(page.parent, [])
        files += sorted({name for cell in cells for name in WRITTEN.findall(cell)})
    assert "downloaded.csv" in writers[ROOT / "docs" / "howto"]
    for folder, files in writers.items():
        assert len(set(files)) == len(files), f"{folder.name}: {files}"
