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
def without_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Power and realised level of a verdict cost nothing: for tests that look at neither."""
    for module, power in (("verdict", "detectable"), ("peak", "detectable_alpha")):
        monkeypatch.setattr(f"heatcap.divergence.{module}.{power}", lambda *_, **__: float("inf"))
        level = {"replicates": 0, "realised_level": 1.0, "repeats": 0}
        monkeypatch.setattr(f"heatcap.divergence.{module}.realised", lambda *_, it=level: it)


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run.h5")
