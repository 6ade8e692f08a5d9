"""The numbered scripts of the study as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["ANALYSIS", "script"]

ANALYSIS = Path(__file__).parents[2] / "analysis"


def script(name: str) -> ModuleType:
    """A script by its name: a number is no name of a module that Python imports by itself."""
    spec = importlib.util.spec_from_file_location(f"study_{name}", ANALYSIS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(ANALYSIS))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ANALYSIS))
    return module
