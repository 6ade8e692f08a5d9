"""The list of observables: units and words are true of what is computed."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from heatcap.attention import heat_capacities
from heatcap.attention.geometry import _geometry
from heatcap.core.quantities import HEAT_CAPACITIES, OBSERVABLES

POWERS = {"1/time": 1, "1/time^2": 2}


def test_units_of_a_path_are_those_in_which_its_numbers_change_with_the_clock():
    d = np.random.default_rng(0).uniform(0.1, 0.2, (4, 1))
    nothing = np.zeros((4, 1))
    slow, fast = (
        _geometry(d, d**2, d, nothing, unit * np.array([0.0, 1.0, 4.0, 9.0]))
        for unit in (1.0, 10.0)
    )
    for name, values in slow.items():
        power = POWERS.get(OBSERVABLES[f"fisher_{name}"].unit, 0)
        assert OBSERVABLES[f"depth_{name}"].unit == OBSERVABLES[f"fisher_{name}"].unit
        np.testing.assert_allclose(fast[name] * 10**power, values, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", HEAT_CAPACITIES)
def test_what_depends_on_the_gauge_of_the_rows_is_said_to(name):
    rng = np.random.default_rng(0)
    logits = xr.DataArray(rng.normal(size=(50, 4)), dims=("probe", "key"))
    moved = logits + xr.DataArray(rng.normal(size=50), dims="probe")
    before, after = heat_capacities(logits)[name], heat_capacities(moved)[name]
    depends = not np.isclose(before, after, rtol=1e-9)
    assert depends == ("depends on the gauge" in OBSERVABLES[name].words)
