"""The table of the systems, the estimates in it, and the files it is written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from heatcap.systems import SYSTEMS, ExactSystem, Ising1D, Planted, tabulate, to_frame, write
from heatcap.systems.clusters import states, uniform
from heatcap.systems.table import from_runs, observables, points

SMALL: dict[str, dict[str, Any]] = {
    "ising2d": {"replicates": 3, "sweeps": 20, "thermalisation": 5},
    "potts3": {"replicates": 3, "sweeps": 20, "thermalisation": 5},
    "potts10": {"replicates": 3, "sweeps": 20, "thermalisation": 5},
    "xy": {"replicates": 3, "sweeps": 20, "thermalisation": 5},
    "percolation": {"replicates": 3, "runs": 4},
    "planted": {"replicates": 3},
}


def test_grids_may_differ_between_sizes() -> None:
    size, control = points([8, 4], {4: [0.1], 8: [0.2, 0.3]})
    assert size.tolist() == [8, 8, 4]
    assert control.tolist() == [0.2, 0.3, 0.1]
    assert points([2, 4], lambda n: [1 / n])[1].tolist() == [0.5, 0.25]
    assert points([2, 4], [0.5, 0.6])[0].tolist() == [2, 2, 4, 4]


@pytest.mark.parametrize(
    ("sizes", "controls", "message"),
    [
        ([], [1.0], "one or more different numbers"),
        ([4, 4], [1.0], "one or more different numbers"),
        ([2.5], [1.0], "a whole number"),
        ([0], [1.0], "1 or more, got 0"),
        ([4], {8: [1.0]}, "no controls for size 4"),
        ([4], [], "controls of size 4"),
        ([4], [np.nan], "controls of size 4"),
    ],
)
def test_bad_points_say_why(sizes: Any, controls: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        points(sizes, controls)


def _runs(count: int, seed: int = 0) -> xr.DataArray:
    values = np.random.default_rng(seed).normal(3.0, 1.0, (2, 4, count))
    return xr.DataArray(values, dims=("moment", "point", "replicate"))


def _observables(mean: xr.DataArray) -> xr.DataArray:
    x, y = mean.to_numpy()
    return xr.DataArray(
        [x, x**2 / y], dims=("observable", "point"), coords={"observable": ["A", "B"]}
    )


def test_means_keep_their_runs() -> None:
    runs = _runs(5)
    table = from_runs(np.full(4, 8), np.arange(4.0), runs, _observables)
    np.testing.assert_allclose(table["A_replicates"], runs[0], rtol=1e-12)
    np.testing.assert_allclose(table["A"], runs[0].mean("replicate"), rtol=1e-12)


def test_value_and_error_are_those_of_the_replicates() -> None:
    table = from_runs(np.full(4, 8), np.arange(4.0), _runs(5), _observables)
    for name in ("A", "B"):
        runs = table[f"{name}_replicates"]
        np.testing.assert_allclose(table[name], runs.mean("replicate"), rtol=1e-12)
        error = runs.std("replicate", ddof=1) / np.sqrt(5)
        np.testing.assert_allclose(table[f"{name}_error"], error, rtol=1e-10)


def test_the_bias_of_a_square_is_removed() -> None:
    def square(mean: xr.DataArray) -> xr.DataArray:
        return xr.DataArray(
            mean.to_numpy()[:1] ** 2, dims=("observable", "point"), coords={"observable": ["A"]}
        )

    runs = _runs(6)
    table = from_runs(np.full(4, 8), np.arange(4.0), runs, square)
    x = runs[0].to_numpy()
    np.testing.assert_allclose(table["A"], x.mean(1) ** 2 - x.var(1, ddof=1) / 6, rtol=1e-10)


def test_one_run_has_no_error() -> None:
    with pytest.raises(ValueError, match="replicates must be at least 2"):
        from_runs(np.full(4, 8), np.arange(4.0), _runs(1), _observables)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_every_system_gives_a_table_with_its_answers(name: str, tmp_path: Path) -> None:
    system, controls = SYSTEMS[name], {4: [0.3, 0.5], 8: [0.4]}
    options = SMALL.get(name, {}) | ({"rng": 5} if name in SMALL else {})
    table = write(name, tmp_path / "table.nc", [4, 8], controls, **options)
    assert observables(table) == list(system.observables)
    assert table["size"].to_numpy().tolist() == [4, 4, 8]
    assert table.attrs["system"] == name
    for answer, value in system.answers().items():
        assert table.attrs[answer] == value
    for observable in system.observables:
        assert (f"{observable}_error" in table) == (name in SMALL)
    with xr.open_dataset(tmp_path / "table.nc", engine="h5netcdf") as back:
        xr.testing.assert_identical(back.load().drop_attrs(), table.drop_attrs())
        assert back.attrs["system"] == name


@pytest.mark.parametrize("name", sorted(SMALL))
def test_equal_seeds_give_equal_tables(name: str) -> None:
    first, again, other = (
        tabulate(name, [4, 6], [0.45, 0.5], rng=seed, **SMALL[name]) for seed in (7, 7, 8)
    )
    xr.testing.assert_identical(first, again)
    assert first.attrs["seed"] == 7
    for observable in SYSTEMS[name].observables:
        assert np.any(first[observable] != other[observable])


def test_csv_and_parquet_keep_every_digit(tmp_path: Path) -> None:
    grid = Planted().grid
    table = write("planted", tmp_path / "t.csv", [8, 16], grid, rng=1)
    again = write("planted", tmp_path / "t.parquet", [8, 16], grid, rng=1)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), to_frame(table))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), to_frame(again))
    assert list(to_frame(table)) == ["size", "control", "value", "value_error"]


def test_parameters_and_options_go_where_they_belong() -> None:
    assert tabulate("two_level", [4], [0.5], gap=2.0)["heat_capacity"].item() == pytest.approx(
        tabulate("two_level", [4], [0.25])["heat_capacity"].item()
    )
    assert tabulate("potts3", [4], [0.9], q=4, rng=0, **SMALL["potts3"]).attrs["q"] == 4
    with pytest.raises(ValueError, match="system must be one of"):
        tabulate("ising3d", [4], [1.0])
    with pytest.raises(ValueError, match=r"ising1d has no option \['sweeps'\]"):
        tabulate("ising1d", [4], [1.0], sweeps=5)
    with pytest.raises(ValueError, match=r"ends in \.csv, \.parquet or \.nc"):
        write("ising1d", "table.txt", [4], [1.0])


def test_exact_systems_are_functions_of_one_point() -> None:
    for name, system in SYSTEMS.items():
        if isinstance(system, ExactSystem):
            both = system.exact([4, 6], [0.4, 0.7])
            alone = system.exact([6], [0.7])
            for observable in system.observables:
                assert alone[observable].item() == both[observable][3].item(), name
    with pytest.raises(ValueError, match="size must be at least 2, got 1"):
        Ising1D().exact([1], [1.0])
    with pytest.raises(ValueError, match="temperature must be positive"):
        Ising1D().exact([4], [0.0])


def test_random_numbers_are_those_of_xoshiro() -> None:
    """Against the recurrence in whole numbers of Python."""
    state = states(np.random.default_rng(3), 1, 1)[0, 0]
    s, mask = [int(x) for x in state], 2**64 - 1
    for _ in range(100):
        expected = ((s[0] + s[3]) & mask) >> 11
        t = (s[1] << 17) & mask
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = ((s[3] << 45) & mask) | (s[3] >> 19)
        with np.errstate(over="ignore"):
            assert uniform.py_func(state) == expected * 2.0**-53
