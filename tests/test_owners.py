"""A name has one owner: elsewhere it is asked for, and does not stand as a bare string."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from heatcap.core.quantities import OBSERVABLES

SRC = Path(__file__).parents[1] / "src"


@dataclass(frozen=True)
class Owned:
    """Names, the modules that own them, and places where a string of that name is something else.

    A place is a module, or a wing with all its modules.
    """

    names: frozenset[str]
    owners: tuple[str, ...]
    others: Mapping[str, frozenset[str]]


# Columns of tables of simulations and of exact solutions: no observables of attention.
_OF_TABLES = frozenset({"energy", "entropy", "free_energy", "heat_capacity", "heat_capacity_error"})
# What `path_geometry` returns of a path in memory.
_OF_PATHS = frozenset(f"fisher_{name}" for name in ("distance", "length", "geodesic", "detour"))

OWNED = {
    "observables": Owned(
        names=frozenset(OBSERVABLES),
        owners=("heatcap.core.quantities",),
        others={
            "heatcap.systems": _OF_TABLES,
            "heatcap.scaling": _OF_TABLES,
            "heatcap.cli.order": _OF_TABLES,
            "heatcap.figures.order": _OF_TABLES,
            "heatcap.attention.ensemble": _OF_PATHS,
            "heatcap.__init__": frozenset({"heat_capacity_bound"}),  # the function, loaded late
        },
    ),
}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((SRC / "heatcap").rglob("*.py")):
        name = ".".join(path.relative_to(SRC).with_suffix("").parts)
        yield name, ast.parse(path.read_text())


def _strings(tree: ast.Module) -> Iterator[ast.Constant]:
    """All strings but those of `__all__`, which are names of functions and classes."""
    listed = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in listed
        ):
            yield node


def _within(module: str, place: str) -> bool:
    return f"{module}.".startswith(f"{place}.")


def _bare(owned: Owned) -> list[tuple[str, int, str]]:
    """Where a name stands as a bare string outside its owners: module, line, name."""
    return [
        (module, node.lineno, node.value)
        for module, tree in _modules()
        if not any(_within(module, owner) for owner in owned.owners)
        for node in _strings(tree)
        if node.value in owned.names
    ]


@pytest.mark.parametrize("what", OWNED)
def test_no_name_stands_as_a_bare_string_outside_its_owner(what: str) -> None:
    owned = OWNED[what]
    found = [
        f"{module}:{line}: {name!r}"
        for module, line, name in _bare(owned)
        if not any(_within(module, place) and name in own for place, own in owned.others.items())
    ]
    assert not found, f"ask {' or '.join(owned.owners)}: {found}"


@pytest.mark.parametrize("what", OWNED)
def test_every_exception_is_needed(what: str) -> None:
    owned = OWNED[what]
    for place, names in owned.others.items():
        assert any(_within(m, place) and name in names for m, _, name in _bare(owned)), place
