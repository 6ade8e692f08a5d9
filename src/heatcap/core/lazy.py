"""Names of a package that are imported where they are first used."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

__all__ = ["homes", "lazy"]


def homes(package: str) -> dict[str, str]:
    """Read the names of a package, and the module of each, from its block ``if TYPE_CHECKING:``."""
    source = pkgutil.get_data(package, "__init__.py") or b""
    return {
        alias.name: str(node.module)
        for block in ast.parse(source).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def lazy(package: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package, which imports a name when it is first asked for.

    The names are those of :func:`homes`, so that type checkers and the interpreter read the same
    lines.
    """
    known = homes(package)

    def load(name: str) -> Any:
        if name not in known:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(known[name]), name)

    return load
