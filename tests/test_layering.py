"""The arrows between the modules, and what importing may cost and do."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"

#: Who stands above whom; a module imports only from rooms above its own.
ROOMS = [
    "heatcap",
    "heatcap.core",
    "heatcap.runfile",
    "heatcap.attention",
    "heatcap.observables",
    "heatcap.resampling",
    "heatcap.events",
    "heatcap.audit",
    "heatcap.systems",
    "heatcap.scaling",
    "heatcap.divergence",
    "heatcap.figures",
    "heatcap.report",
    "heatcap.cli",
    "heatcap.__main__",
    "heatcap.ensemble",
    "heatcap.scalars",
]


#: Names of modules that stood elsewhere, kept for one version.
MOVED = {"heatcap.ensemble", "heatcap.scalars"}


def _modules(package: str) -> dict[str, Path]:
    paths = sorted((SRC / package).rglob("*.py"))
    assert paths
    return {_name(path): path for path in paths}


def _name(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(name: str, path: Path) -> set[str]:
    """What a module imports when it runs; names for the type checker alone do not count."""
    found: set[str] = set()
    for node in _run_time(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: an import is absolute"
            module = str(node.module)
            inner = {f"{module}.{alias.name}" for alias in node.names} & _every_module()
            found |= inner if len(inner) == len(node.names) else {module, *inner}
    return found


@functools.cache
def _every_module() -> frozenset[str]:
    return frozenset({*_modules("heatcap"), *_modules("heatcap_trainer")})


def _run_time(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return []
    return [node, *(inner for child in ast.iter_child_nodes(node) for inner in _run_time(child))]


def _room(module: str) -> int:
    rooms = [i for i, room in enumerate(ROOMS) if f"{module}.".startswith(f"{room}.")]
    return rooms[-1]


def test_every_module_has_a_room_of_its_own() -> None:
    for name in _modules("heatcap"):
        assert _room(name) > 0 or name == "heatcap", f"{name} stands in no room of the house"


def test_the_map_in_contributing_is_that_of_the_house() -> None:
    page = (SRC.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawn = re.findall(r"^\| `(\w+)/` \|", page, re.MULTILINE)
    folders = {path.parent.name for path in (SRC / "heatcap").glob("*/__init__.py")}
    assert [f"heatcap.{room}" for room in drawn] == [r for r in ROOMS if r[8:] in folders]
    assert {*drawn} == folders


@pytest.mark.parametrize("name", sorted(set(_modules("heatcap")) - {"heatcap"}))
def test_imports_point_upwards(name: str) -> None:
    path = _modules("heatcap")[name]
    for imported in _imports(name, path):
        if imported.split(".")[0] == "heatcap":
            assert _room(imported) <= _room(name), f"{name} imports {imported} from below"


@pytest.mark.parametrize("package", ["heatcap", "heatcap_trainer"])
def test_nothing_inside_imports_the_root(package: str) -> None:
    for name, path in _modules(package).items():
        assert "heatcap" not in _imports(name, path), name


def _wing(module: str) -> str:
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("package", ["heatcap", "heatcap_trainer"])
def test_no_private_name_crosses_a_wing(package: str) -> None:
    for name, path in _modules(package).items():
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.ImportFrom)
                and str(node.module).startswith("heatcap")
                and _wing(str(node.module)) != _wing(name)
            ):
                parts = [*str(node.module).split("."), *(alias.name for alias in node.names)]
                private = [p for p in parts if p.startswith("_") and not p.startswith("__")]
                assert not private, f"{name} imports {private} from {node.module}"


@pytest.mark.parametrize("package", ["heatcap", "heatcap_trainer"])
def test_no_module_is_hidden_by_a_name_of_its_face(package: str) -> None:
    for name in set(_modules(package)) - MOVED:
        face, _, last = name.rpartition(".")
        if face and not last.startswith("__"):
            importlib.import_module(name)
            held = vars(importlib.import_module(face)).get(last)
            assert held is sys.modules[name], f"{name} is hidden by {held!r}"


def test_imports_make_no_circle() -> None:
    arrows = {
        name: {imp for imp in _imports(name, path) if imp in _every_module()} - {name}
        for package in ("heatcap", "heatcap_trainer")
        for name, path in _modules(package).items()
    }
    while free := [name for name, to in arrows.items() if not to]:
        for name in free:
            del arrows[name]
        arrows = {name: to - set(free) for name, to in arrows.items()}
    for _ in list(arrows):  # what only leads into a circle is no part of it
        into = {imp for to in arrows.values() for imp in to}
        arrows = {name: to for name, to in arrows.items() if name in into}
    assert not arrows, f"a circle: {arrows}"


def test_the_analysis_knows_neither_torch_nor_the_trainer() -> None:
    for name, path in _modules("heatcap").items():
        roots = {imported.split(".")[0] for imported in _imports(name, path)}
        assert not roots & {"torch", "heatcap_trainer", "safetensors"}, name


def test_only_the_run_file_knows_hdf5() -> None:
    for package in ("heatcap", "heatcap_trainer"):
        for name, path in _modules(package).items():
            if not name.startswith("heatcap.runfile"):
                assert "h5py" not in _imports(name, path), name


def test_the_trainer_knows_the_run_file_and_the_core_alone() -> None:
    for name, path in _modules("heatcap_trainer").items():
        own = {imp for imp in _imports(name, path) if imp.split(".")[0] == "heatcap"}
        assert own <= {"heatcap.runfile", "heatcap.core.writing", "heatcap.core.text"}, name


def test_the_core_knows_nothing_of_heatcap() -> None:
    for name, path in _modules("heatcap").items():
        if _room(name) == ROOMS.index("heatcap.core"):
            own = {imp for imp in _imports(name, path) if imp.split(".")[0] == "heatcap"}
            assert all(imp.startswith("heatcap.core") for imp in own), f"{name} imports {own}"


#: Files that are locked and not written, and those that have a way of their own to be whole.
WRITERS = ("heatcap.core.writing", "heatcap.runfile", "heatcap.core.jit")


def test_outputs_are_written_by_the_core() -> None:
    for package in ("heatcap", "heatcap_trainer"):
        for name, path in _modules(package).items():
            if name.startswith(WRITERS):
                continue
            for call in _calls(path):
                said = ast.unparse(call)
                ending = said.partition("(")[0].rpartition(".")[2]
                by_hand = ending in ("write_text", "write_bytes") and "." in said.partition("(")[0]
                opened = ending == "open" and any(
                    isinstance(each, ast.Constant) and set(str(each.value)) & set("wax+")
                    for each in [*call.args[:2], *(k.value for k in call.keywords)]
                    if len(str(getattr(each, "value", ""))) <= 3
                )
                assert not by_hand, f"{name}: {said}"
                assert not opened, f"{name}: {said}"


def test_commands_print_by_say() -> None:
    for name, path in _modules("heatcap").items():
        if name.startswith("heatcap.cli.") and name != "heatcap.cli.application":
            said = [ast.unparse(call.func) for call in _calls(path)]
            assert not {"typer.echo", "print", "typer.secho", "click.echo"} & set(said), name


def _calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def _loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_is_cheap() -> None:
    heavy = {"numpy", "xarray", "h5py", "matplotlib", "numba", "scipy", "pandas", "torch"}
    assert not _loaded_by("import heatcap") & heavy
    assert not _loaded_by("import heatcap.cli") & heavy
    assert not _loaded_by("import heatcap.runfile") & (heavy - {"numpy", "h5py"})


def test_public_names_exist_and_are_listed() -> None:
    import heatcap

    for name in heatcap.__all__:
        assert getattr(heatcap, name).__doc__, name
    assert set(heatcap.__all__) <= set(dir(heatcap))
    with pytest.raises(AttributeError, match="no attribute 'observ'"):
        heatcap.observ  # noqa: B018


PACKAGES = [name for name, path in _modules("heatcap").items() if path.name == "__init__.py"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_a_package_can_be_loaded(package: str) -> None:
    face = importlib.import_module(package)
    for name in getattr(face, "__all__", []):
        assert getattr(face, name) is not None
    with pytest.raises(AttributeError):
        face.no_such_name  # noqa: B018
