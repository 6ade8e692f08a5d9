"""What all tests share."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import xarray as xr
from hypothesis import settings

from heatcap.audit import Audit, audit_leads
from heatcap.events import Events, find_events

from runs import write_run
from synthetic import observables, sweep

# The first example of a kernel compiles it; a deadline would measure that.
settings.register_profile("heatcap", deadline=None)
settings.load_profile("heatcap")


def pytest_collection_finish() -> None:
    """What is imported stays; looking through it for garbage took a tenth of the time."""
    gc.collect()
    gc.freeze()


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


# A sweep for all files, its events and audit: a test that changes one of them makes a copy first.


@pytest.fixture(scope="session")
def sweep_obs() -> xr.Dataset:
    """Ten sizes, three seeds, controls; onset and peak of every run are known."""
    return observables(sweep(), noise=0.01, scan=False)


@pytest.fixture(scope="session")
def sweep_events(sweep_obs: xr.Dataset) -> Events:
    names = ("landscape_heat_capacity", "unweighted_heat_capacity", "heat_capacity")
    return find_events(sweep_obs, *names)


@pytest.fixture(scope="session")
def sweep_audit(sweep_obs: xr.Dataset, sweep_events: Events) -> Audit:
    return audit_leads(sweep_obs, sweep_events)
