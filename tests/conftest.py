"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from runs import write_run

# The first example of a kernel compiles it; a deadline would measure that.
settings.register_profile("heatcap", deadline=None)
settings.load_profile("heatcap")


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run.h5")
