"""A datum has one owner: what it is called is written there, and others ask."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from heatcap.core.columns import Column
from heatcap.core.quantities import OBSERVABLES
from heatcap.events import Count
from heatcap.runfile import TAKEN

SRC = Path(__file__).parents[1] / "src"


def _names(namespace: type) -> frozenset[str]:
    return frozenset(value for name, value in vars(namespace).items() if name.isupper())


@dataclass(frozen=True)
class Owner:
    """Who may write names as bare strings, and where one of them means something else.

    Attributes
    ----------
    rooms : tuple of str
        Modules and packages in which the names are written.
    names : frozenset of str
    words : dict
        Names that are words of others as well, with the reason: as a text they may stand anywhere,
        but nothing is looked up by them in a table.
    tables : str
        Modules that import it handle the tables.
    others : dict
        What else such modules look up by these words: last name before the bracket, and reason.
    elsewhere : dict
        Modules and packages to which some of the names are something else.
    """

    rooms: tuple[str, ...]
    names: frozenset[str]
    words: dict[str, str] = field(default_factory=dict)
    tables: str = ""
    others: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, frozenset[str]] = field(default_factory=dict)

    def may_write(self, module: str) -> frozenset[str]:
        """Names that a module of others may write, for they are something else there."""
        own = [names for place, names in self.elsewhere.items() if _within(module, place)]
        return frozenset().union(*own, self.words)


def _within(module: str, place: str) -> bool:
    """Whether a module stands in a place; in the root stands its face alone."""
    return module == place or (place != "heatcap" and module.startswith(f"{place}."))


_OF_RUN_FILES = "the run file and the observables have it too"
_OF_LEADS = "a field of the counts of the audit"
_HEADING = "the heading of a table of the report"
# Columns of tables of simulations and of exact solutions: no observables of attention.
_OF_TABLES = frozenset({"energy", "entropy", "free_energy", "heat_capacity", "heat_capacity_error"})
# What `path_geometry` returns of a path in memory.
_OF_PATHS = frozenset(f"fisher_{name}" for name in ("distance", "length", "geodesic", "detour"))
OWNERS = {
    "observables": Owner(
        rooms=("heatcap.core.quantities",),
        names=frozenset(OBSERVABLES),
        elsewhere={
            "heatcap.systems": _OF_TABLES,
            "heatcap.scaling": _OF_TABLES,
            "heatcap.cli.scaling": _OF_TABLES,
            "heatcap.figures.curves_of_sizes": _OF_TABLES,
            "heatcap.attention.ensemble": _OF_PATHS,
        },
    ),
    "tables of events": Owner(
        rooms=("heatcap.core.columns", "heatcap.events"),
        names=_names(Column) | _names(Count),
        words={
            **dict.fromkeys(("run", "layer", "head", "checkpoints", "stop_reason"), _OF_RUN_FILES),
            **dict.fromkeys(("runs", "compared", "unresolved", "with_peak"), _OF_LEADS),
            **dict.fromkeys(("highest_at_end", "median_lead", "rising"), _OF_LEADS),
            **dict.fromkeys(("spikes", "prominence"), _HEADING),
            **dict.fromkeys(("status", "message"), "every result has it"),
            "observable": "an option, and what a system has",
            "group": "an option, and a heading",
            "censored": "a field of the audit, and what a line of a figure stands for",
            "baseline": "where matplotlib sets a text",
        },
        tables="heatcap.events",
        others={
            "obs": "the observables, which have runs, layers and heads",
            "sizes": "the dimensions of the observables",
            "counts": "the fields of a control",
            "one_head": "the heads of the look-elsewhere correction",
            "MARKER": "styles of lines",
        },
    ),
}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((SRC / "heatcap").rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        yield ".".join(p for p in parts if p != "__init__"), ast.parse(path.read_text())


def _outside(owner: Owner) -> Iterator[tuple[str, ast.Module]]:
    for name, tree in _modules():
        if not any(_within(name, room) for room in owner.rooms):
            yield name, tree


def _texts(tree: ast.AST) -> list[ast.Constant]:
    """All texts but the names that a module exports."""
    exported = {
        node
        for assigned in ast.walk(tree)
        if isinstance(assigned, ast.Assign) and ast.unparse(assigned.targets[0]) == "__all__"
        for node in ast.walk(assigned)
    }
    return [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and n not in exported]


def _bare(owner: Owner, module: str, tree: ast.Module) -> list[str]:
    """Names that are written where their owner should be asked."""
    found = [
        f"{module}:{text.lineno} {text.value!r}"
        for text in _texts(tree)
        if text.value in owner.names - owner.may_write(module)
    ]
    if not _imports(tree, owner.tables):
        return found
    return found + [
        f"{module}:{node.lineno} {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and ast.unparse(node.value).rpartition(".")[2] not in owner.others
        and any(text.value in owner.words for text in _looked_up(node))
    ]


def _imports(tree: ast.Module, tables: str) -> bool:
    return any(isinstance(n, ast.ImportFrom) and n.module == tables for n in ast.walk(tree))


def _looked_up(node: ast.Subscript) -> list[ast.Constant]:
    within = node.slice.elts if isinstance(node.slice, ast.List | ast.Tuple) else [node.slice]
    return [each for each in within if isinstance(each, ast.Constant)]


@pytest.mark.parametrize("what", OWNERS)
def test_names_are_written_by_their_owner_alone(what: str) -> None:
    owner = OWNERS[what]
    assert [line for name, tree in _outside(owner) for line in _bare(owner, name, tree)] == []


@pytest.mark.parametrize("what", OWNERS)
def test_every_exception_is_needed(what: str) -> None:
    owner = OWNERS[what]
    assert set(owner.words) <= owner.names
    written, looked_up = set(), set()
    for _, tree in _outside(owner):
        written |= {text.value for text in _texts(tree)}
        if _imports(tree, owner.tables):
            looked_up |= {
                ast.unparse(node.value).rpartition(".")[2]
                for node in ast.walk(tree)
                if isinstance(node, ast.Subscript)
                and any(text.value in owner.words for text in _looked_up(node))
            }
    assert set(owner.words) - written == set()
    assert set(owner.others) - looked_up == set()
    for place, names in owner.elsewhere.items():
        within = [tree for name, tree in _outside(owner) if _within(name, place)]
        assert any(text.value in names for tree in within for text in _texts(tree)), place


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('row["onset_step"]', "m:2 'onset_step'"),
        ('{"onset_step": 1}', "m:2 'onset_step'"),
        ('table[["run", "size"]]', "m:2 table[['run', 'size']]"),
        ('events.runs["run"]', "m:2 events.runs['run']"),
    ],
)
def test_a_bare_name_is_found(source: str, said: str) -> None:
    tree = ast.parse(f"from heatcap.events import Events\n{source}")
    assert said in _bare(OWNERS["tables of events"], "m", tree)


@pytest.mark.parametrize("source", ['obs["run"]', 'line.gid == "censored"', "row[Column.RUN]"])
def test_what_is_no_column_is_let_pass(source: str) -> None:
    tree = ast.parse(f"from heatcap.events import Events\n{source}")
    assert _bare(OWNERS["tables of events"], "m", tree) == []


def test_columns_of_events_are_taken() -> None:
    """No metric or parameter is called like a column: they stand in one table."""
    taken = {name for names in TAKEN.values() for name in names}
    of_curves = {Column.MAXIMA, Column.MAXIMA_AT_SPIKE, Column.RISING}  # no parameters beside them
    assert _names(Column) - of_curves <= taken | {Column.RUN}
