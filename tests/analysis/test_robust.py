"""Each variant of the study changes what it says that it changes, and nothing else."""

from __future__ import annotations

from types import ModuleType

import pytest
import xarray as xr
from study_scripts import script

from heatcap.divergence import Margins

from synthetic import observables, sweep

LANDSCAPE = "landscape_heat_capacity_fixed"


@pytest.fixture(scope="module")
def robust() -> ModuleType:
    return script("10_robust")


@pytest.fixture(scope="module")
def obs() -> xr.Dataset:
    made = observables(sweep((19, 31, 59, 97, 113), seeds=2, controls=()), scan=False)
    return made.assign_coords(size=made["p"].astype(float))


@pytest.fixture
def no_audit(robust, monkeypatch):
    """Events alone: permutations take their time."""
    monkeypatch.setattr(robust.hc, "audit_leads", lambda *_, **__: None)


@pytest.mark.usefixtures("no_audit")
def test_every_variant_can_be_had(robust, obs):
    for name, change in robust.VARIANTS.items():
        events, _ = robust.audited(obs, **change)
        some = {LANDSCAPE} if "inputs" in name else set(robust.OBSERVABLES)
        assert set(events.curves["observable"]) == some
        for key in set(change) - {"runs", "without"}:
            assert events.settings[key] == change[key]


@pytest.mark.usefixtures("no_audit")
def test_runs_and_metrics_are_left_out(robust, obs):
    def runs(name):
        return robust.audited(obs, **robust.VARIANTS[name])[0].runs

    assert set(runs("seeds of even number")["seed"]) == {0}
    assert set(runs("seeds of odd number")["seed"]) == {1}
    assert runs("sizes below 79")["p"].max() == 59
    assert set(runs("onset of the plain test accuracy")["onset_metric"]) == {"test_accuracy"}
    assert set(runs("as in the study")["onset_metric"]) == {"mirror_free_accuracy"}


def test_margins_change_the_verdict_alone(robust, obs):
    """Planted is a growth like p^0.8: no power law if these begin at 3."""
    events, audit = robust.audited(obs)
    plain = robust.answers(obs, events, audit)[LANDSCAPE]
    steep = robust.answers(obs, events, audit, Margins(kappa_min=3.0))[LANDSCAPE]
    assert "power-law" in plain["plausible"]
    assert "power-law" not in steep["plausible"]
    kept = ("first", "unresolved", "later", "order", "precursor")
    assert [plain[k] for k in kept] == [steep[k] for k in kept]
    assert plain["first"] + plain["unresolved"] + plain["later"] == 10
