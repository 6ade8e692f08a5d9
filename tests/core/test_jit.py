"""Compiled kernels know their sources: what is kept of them, where, and what they rest on."""

from __future__ import annotations

import ast
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import heatcap
from heatcap.core.jit import SOURCES

PACKAGE = Path(heatcap.__file__).parent

KERNEL = """
import sys
from heatcap.attention.kernels import _log_z
from heatcap.core.jit import FOLDER
print(FOLDER, _log_z(0.5, 1.5, 1 / 1.5), sum(_log_z.stats.cache_hits.values()))
"""

BITS = """
import numpy as np
from heatcap.attention.distances import Layers, _follow
from heatcap.core.jit import FOLDER
rows = np.random.default_rng(1).normal(0, 2, (3, 2, 37, 2, 7)).astype(np.float32)
layers = Layers(*rows.shape[1:])
sums = [layers.follow(logits, k == 0)[0] for k, logits in enumerate(rows)]
print(FOLDER, sum(_follow.stats.cache_hits.values()), np.stack(sums).tobytes().hex())
"""


def run(package: Path, code: str = KERNEL, **environment: str) -> list[str]:
    """What `code` prints in a process of its own: folder, value, loads from the cache."""
    paths = {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    inherited = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=inherited | paths | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    skipped = shutil.ignore_patterns("__pycache__")
    return shutil.copytree(PACKAGE, tmp_path / "heatcap", ignore=skipped)


@pytest.mark.slow
def test_a_kernel_sees_a_change_in_another_file(copy: Path) -> None:
    first, second = run(copy), run(copy)
    assert second[:2] == first[:2]
    assert int(second[2]) == 1
    arithmetic = copy / "attention" / "arithmetic.py"
    text = arithmetic.read_text()
    assert "return exponent * LN2 + (f" in text
    arithmetic.write_text(
        text.replace("return exponent * LN2 + (f", "return exponent * LN2 + (1 + f")
    )
    assert float(run(copy)[1]) == pytest.approx(float(first[1]) + 1)
    arithmetic.write_text(text)  # and what was compiled before is still there
    assert run(copy) == second


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "an empty index": ("*.nbi", lambda _: b""),
    "files cut short": ("*.nb?", lambda data: data[: len(data) // 2]),
    "zeros for code": ("*.nbc", lambda data: bytes(len(data))),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_cache_is_compiled_again(copy: Path, kind: str) -> None:
    pattern, damage = DAMAGE[kind]
    folder, value, _ = run(copy)
    files = [*Path(folder).rglob(pattern)]
    assert files
    for file in files:
        file.write_bytes(damage(file.read_bytes()))
    assert run(copy) == [folder, value, "0"]
    assert run(copy) == [folder, value, "1"]


@pytest.mark.slow
def test_a_process_that_compiles_has_the_bits_of_one_that_loads(copy: Path) -> None:
    first, later = (run(copy, BITS) for _ in range(2))
    assert first[2:] == later[2:]
    assert (first[1], later[1]) == ("0", "1")


@pytest.mark.slow
def test_the_folder_is_where_numba_would_look(copy: Path, tmp_path: Path) -> None:
    wanted, of_user = tmp_path / "wanted", tmp_path / "user"
    there = Path(run(copy, NUMBA_CACHE_DIR=str(wanted))[0])
    assert there.parent == wanted
    assert list(there.rglob("kernels._log_z*"))
    assert not (copy / "__pycache__").exists()
    (copy / "__pycache__").write_text("")  # no folder can be made here
    home = {"XDG_CACHE_HOME": str(of_user), "HOME": str(of_user)}
    there = Path(run(copy, **home)[0])
    assert of_user in there.parents
    assert list(there.rglob("kernels._log_z*"))
    (tmp_path / "file").write_text("")
    nowhere = {name: str(tmp_path / "file") for name in home}
    value, loads = run(copy, **nowhere)  # compiled, and not kept
    assert float(value) == pytest.approx(0.4054651081)
    assert loads == "0"


def imports(tree: ast.Module) -> dict[str, str]:
    """Name in a module -> module of heatcap that it comes from."""
    return {
        alias.asname or alias.name: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("heatcap")
        for alias in node.names
    }


def module(source: str) -> str:
    return f"heatcap.{source.removesuffix('.py').replace('/', '.')}"


def test_all_files_with_kernels_are_named() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if imports(ast.parse(path.read_text())).get("jit") == "heatcap.core.jit"
    }
    assert found | {"core/jit.py", "core/quantities.py"} == {*SOURCES}


@pytest.mark.parametrize("source", SOURCES)
def test_what_a_kernel_reads_lies_in_a_file_with_kernels(source: str) -> None:
    """A number that came from elsewhere would be compiled in, and change unseen."""
    came = imports(ast.parse((PACKAGE / source).read_text()))
    hashed = {module(name) for name in SOURCES}
    names = vars(importlib.import_module(module(source))).values()
    for kernel in names:
        function: Any = getattr(kernel, "py_func", None)
        if function is not None and function.__module__ == module(source):
            read = {*function.__code__.co_names} & {*came}
            assert {came[name] for name in read} <= hashed, (function, read)
