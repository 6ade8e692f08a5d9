"""The modules of a folder of packages, and what the names in them stand for; none is run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

Target = tuple[str, str]
"""A module and a name in it; the name "" is the module itself."""
Scope = dict[str, Target | None]
"""What a name stands for, if it was imported; None for what is made here."""
Function = ast.FunctionDef | ast.AsyncFunctionDef

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
ASSIGNMENTS = ("Assign", "AnnAssign", "AugAssign", "TypeAlias")  # the last from Python 3.12 on
INNER_SCOPES = (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef)


@dataclass(frozen=True)
class Module:
    """One file; `package` is what its relative imports start from."""

    name: str
    package: str
    tree: ast.Module
    lines: int
    face: bool
    scope: Scope

    @classmethod
    def read(cls, src: Path, path: Path) -> Module:
        parts = path.relative_to(src).with_suffix("").parts
        package = ".".join(parts[:-1])
        name = package if path.name == "__init__.py" else ".".join(parts)
        text = path.read_text(encoding="utf-8")
        tree, face = ast.parse(text, path), parts[-1] in ("__init__", "__main__")
        return cls(name, package, tree, text.count("\n"), face, bound_in(tree.body, package))


class House(dict[str, Module]):
    """All modules of the packages in a folder, by name."""

    @classmethod
    def read(cls, src: Path) -> House:
        paths = [path for face in src.glob("*/__init__.py") for path in face.parent.rglob("*.py")]
        modules = [Module.read(src, path) for path in sorted(paths)]
        if not modules:
            raise SystemExit(f"{src}: expected a folder of packages, or one with src/ in it")
        return cls({module.name: module for module in modules})

    def resolve(self, module: str, name: str) -> Target | None:
        """Where a name of a module is made; None outside the house."""
        if module not in self or not name:
            return (module, "") if module in self else None
        inner = f"{module}.{name}"
        if name in self[module].scope and self[module].scope[name] != (module, name):
            origin = self[module].scope[name]
            return self.resolve(*origin) if origin else (module, name)
        return (inner, "") if inner in self else None

    def arrow(self, module: str, name: str) -> str:
        """The module of the house that an import needs, "" for none."""
        inner = self.resolve(module, name)
        return inner[0] if inner == (f"{module}.{name}", "") else module if module in self else ""


def imports(node: ast.AST, package: str, when: str = "run time") -> Iterator[tuple[str, Target]]:
    """All imports below a node, with when they run."""
    yield from ((when, target) for _, target in _targets(node, package))
    typing = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    if isinstance(node, Function) and when == "run time":
        when = "function"
    for child in ast.iter_child_nodes(node):
        apart = typing and child not in getattr(node, "orelse", [])
        yield from imports(child, package, "type checker" if apart else when)


def assignments(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    return (node for node in nodes if type(node).__name__ in ASSIGNMENTS)


def _targets(node: ast.AST, package: str) -> Iterator[tuple[str, Target]]:
    """Names that an import statement binds, and what it imports."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name, (alias.name, "")
    elif isinstance(node, ast.ImportFrom):
        base = package.rsplit(".", node.level - 1)[0] if node.level else ""
        module = ".".join(part for part in (base, node.module) if part)
        for alias in node.names:
            yield alias.asname or alias.name, (module, alias.name)


def bound_in(body: Iterable[ast.AST], package: str) -> Scope:
    """The names that a scope binds, those of inner scopes left out."""
    scope: Scope = {}
    elsewhere: set[str] = set()
    todo = list(body)
    while todo:
        node = todo.pop()
        for name, target in _targets(node, package):
            root = name.partition(".")[0]  # `import a.b` binds a
            scope[root] = target if root == name else (root, "")
        if isinstance(node, ast.Global | ast.Nonlocal):
            elsewhere |= set(node.names)
        elif isinstance(node, ast.Name):
            scope |= {} if isinstance(node.ctx, ast.Load) else {node.id: None}
        elif not isinstance(node, ast.alias):
            made = getattr(node, "arg" if isinstance(node, ast.arg) else "name", None)
            scope |= {made: None} if isinstance(made, str) else {}
        if not isinstance(node, INNER_SCOPES):
            todo += ast.iter_child_nodes(node)
    return {name: target for name, target in scope.items() if name not in elsewhere}


def uses(house: House, module: Module) -> list[Target]:
    """Every use in a module of something made in the house, but in its own body."""
    found: list[Target] = []

    def visit(node: ast.AST, scopes: Sequence[Scope], owner: str) -> None:
        if isinstance(node, INNER_SCOPES):
            return enter(node, scopes, owner)
        target = meant(node, scopes)
        if target and target[1] and target != (module.name, owner):
            found.append(target)
        for child in [] if target else ast.iter_child_nodes(node):
            visit(child, scopes, owner)
        return None

    def enter(node: ast.AST, scopes: Sequence[Scope], owner: str) -> None:
        children = list(ast.iter_child_nodes(node))
        body = getattr(node, "body", children)
        inside = body if isinstance(body, list) else [body]
        for child in children:
            if child not in inside:  # decorators, defaults, bases
                for part in ast.iter_child_nodes(child) if _is_arguments(child) else [child]:
                    visit(part, scopes, owner)
        scope = bound_in([*filter(_is_arguments, children), *inside], module.package)
        if isinstance(node, ast.ClassDef):
            scope[""] = None  # marks names that functions within do not see
            around = scopes
        else:
            around = [each for each in scopes if "" not in each]
        for child in inside:
            visit(child, [*around, scope], owner or getattr(node, "name", ""))

    def meant(node: ast.AST, scopes: Sequence[Scope]) -> Target | None:
        if isinstance(node, ast.Attribute):
            base = meant(node.value, scopes)
            return house.resolve(base[0], node.attr) if base and not base[1] else None
        if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
            return None
        for scope in reversed(scopes):
            if node.id in scope:
                return house.resolve(*origin) if (origin := scope[node.id]) else None
        return house.resolve(module.name, node.id) if node.id in module.scope else None

    visit(module.tree, [], "")
    return found


def _is_arguments(node: ast.AST) -> bool:
    return isinstance(node, ast.arguments)
