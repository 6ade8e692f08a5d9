"""Shapes of tables: wide, several files, rows of runs, intervals, counts, zero errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from heatcap.core.cells import TableNote
from heatcap.scaling import collapse, crossings, points, read_table
from heatcap.scaling.condense import MANY, MOST, condensed
from heatcap.scaling.data import Points
from heatcap.scaling.scatter import local_scatter

NAMES = {"size": "L", "control": "T", "value": "U"}


def same(a: Points, b: Points) -> bool:
    return all(
        np.allclose(getattr(a, k), getattr(b, k), rtol=1e-12)
        for k in ("size", "control", "value", "error")
    )


@pytest.fixture
def long() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    size, control = (g.ravel() for g in np.meshgrid([8, 16, 32], np.linspace(0.9, 1.1, 9)))
    value = 1 / (1 + np.exp(size * (control - 1))) + 0.003 * rng.standard_normal(size.size)
    return pd.DataFrame({"L": size, "T": control, "U": value, "dU": 0.003})


@pytest.mark.parametrize(
    "names",
    [("L={}", "dL={}"), ("U_{}", "U_{}_err"), ("{}", "err {}"), ("U(L={})", "sigma(L={})"),
     ("{0}x{0}", "error {0}x{0}")],
)  # fmt: skip
def test_a_wide_table_is_the_long_one(names: tuple[str, str], long: pd.DataFrame) -> None:
    wide = {"T": np.unique(long["T"])}
    for size, rows in long.groupby("L"):
        wide[names[0].format(size)] = rows["U"].to_numpy()
        wide[names[1].format(size)] = rows["dU"].to_numpy()
    with pytest.warns(TableNote, match="sizes 8, 16, 32 are those in the names .*, with errors"):
        found = read_table(pd.DataFrame(wide), **NAMES, wide=True)
    assert same(found, read_table(long, **NAMES, error="dU"))


def test_a_wide_table_without_sizes_is_refused(long: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="--wide: expected a column for each size, such as L=8"):
        read_table(long, **NAMES, wide=True)
    with pytest.raises(ValueError, match="no column 'X'"):
        read_table(long.rename(columns={"T": "temp"}), **NAMES | {"control": "X"}, wide=True)
    wide = pd.DataFrame({"T": [1.0], "L=8": [1.0], "dL=8": [0.1], "L=16": [1.0]})
    with pytest.raises(ValueError, match="no column of errors for the sizes '16'"):
        read_table(wide, **NAMES, wide=True)


@pytest.mark.parametrize("column", [False, True])
def test_many_files_are_one_table(column: bool, long: pd.DataFrame, tmp_path: Path) -> None:
    paths = []
    for size, rows in long.groupby("L"):
        paths.append(tmp_path / f"run3_L{size}.csv")
        rows.drop(columns=[] if column else "L").to_csv(paths[-1], index=False)
    how = {} if column else {"size_from": r"L(\d+)"}
    found = read_table(paths, **NAMES, error="dU", **how)
    assert same(found, read_table(long, **NAMES, error="dU"))
    if not column:
        with pytest.raises(ValueError, match=r"run3_L8.csv: no column 'L': .* --size-from '\(\\d"):
            read_table(paths, **NAMES, error="dU")
        with pytest.raises(
            ValueError, match=r"--size-from X\(\.\*\): nothing in 'run3_L8\.csv' is like it"
        ):
            read_table(paths, **NAMES, error="dU", size_from="X(.*)")
        # The regular expression was sought in the printed numbers of the table.
        with pytest.raises(ValueError, match="expected a file, got a table without a name"):
            read_table(pd.read_csv(paths[0]), **NAMES, error="dU", size_from=r"(\d+)")


@pytest.mark.parametrize("even", [True, False])
def test_rows_of_one_size_and_control_are_runs(even: bool) -> None:
    rng = np.random.default_rng(1)
    size, control = (g.ravel() for g in np.meshgrid([8, 16, 32], np.linspace(0.8, 1.2, 9)))
    mean = 1 / (1 + np.exp(size * (control - 1)))
    runs = pd.concat(
        pd.DataFrame({"L": size, "T": control, "U": mean + 0.01 * rng.standard_normal(27)})
        for _ in range(200)
    ).sample(frac=1, random_state=0)
    found = read_table(runs if even else runs[:-1], **NAMES)
    assert len(found) == 27
    assert np.sqrt(np.mean(found.error**2)) == pytest.approx(0.01 / np.sqrt(200), rel=0.05)
    first = runs[(runs["L"] == 8) & (runs["T"] == control.min())]["U"]
    assert found.value[0] == pytest.approx(first[: 200 if even else None].mean(), abs=1e-3)
    assert found.message.startswith(
        "rows of one size and control are runs, " + ("200 for" if even else "199 to 200")
    )
    assert not found.estimated


def test_runs_that_share_their_noise_stay_replicates() -> None:
    rng = np.random.default_rng(2)
    x = np.linspace(0.8, 1.2, 15)
    rows = [
        pd.DataFrame({"L": size, "T": x, "U": x / size + 0.01 * rng.standard_normal(), "seed": run})
        for run in range(30)
        for size in (8, 16)
    ]
    found = read_table(pd.concat(rows), **NAMES)
    assert found.replicates is not None
    assert found.replicates_shared


def test_one_row_twice_is_no_run(long: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"2 rows at size 8 and control 0\.9, and most points"):
        read_table(pd.concat([long[:1], long]).drop(columns="dU"), **NAMES)


def test_ends_of_an_interval(long: pd.DataFrame) -> None:
    table = long.assign(lo=long["U"] - 0.003, hi=long["U"] + 0.003)
    found = read_table(table, **NAMES, interval=("lo", "hi"))
    assert same(found, read_table(long, **NAMES, error="dU"))
    with pytest.raises(ValueError, match=r"row 1 of .*: expected dU <= value <= hi.* not errors"):
        read_table(table.assign(dU=9.0), **NAMES, interval=("dU", "hi"))
    with pytest.warns(TableNote, match="27 of 27 intervals are lopsided"):
        read_table(table.assign(lo=long["U"] - 1e-4), **NAMES, interval=("lo", "hi"))


def test_counts_have_no_error_of_zero() -> None:
    table = pd.DataFrame({"L": 8, "T": [1.0, 2, 3], "k": [0, 7, 20], "n": 20})
    found = read_table(table, **NAMES, successes="k", trials="n")
    assert found.value.tolist() == [0, 0.35, 1]
    share = np.array([1, 8, 21]) / 22
    assert found.error == pytest.approx(np.sqrt(share * (1 - share) / 20), rel=1e-12)
    with pytest.raises(ValueError, match=r"row 2 .*: expected counts 0 <= k <= n, got 7 of 5"):
        read_table(table.assign(n=[5, 5, 20]), **NAMES, successes="k", trials="n")
    with pytest.raises(ValueError, match="--successes and --trials go together"):
        read_table(table, **NAMES, successes="k")


def test_runs_of_zero_and_one_are_counts() -> None:
    rows = pd.DataFrame({"L": 8, "T": np.repeat([1.0, 2, 3], 20), "U": [0] * 20 + [1] * 40})
    found = read_table(rows, **NAMES)
    share = np.array([1, 21, 21]) / 22
    assert found.error == pytest.approx(np.sqrt(share * (1 - share) / 20), rel=1e-12)


def test_errors_of_zero_are_counted_and_left_out_on_request(long: pd.DataFrame) -> None:
    table = long.assign(dU=np.where(long["L"] == 16, 0, long["dU"]))
    with pytest.raises(
        ValueError, match=r"9 of 27 errors are zero, of sizes 16: .*--drop-zero-err"
    ):
        read_table(table, **NAMES, error="dU")
    found = read_table(table, **NAMES, error="dU", drop_zero_errors=True)
    assert np.unique(found.size).tolist() == [8, 32]
    assert found.message == "9 of 27 rows left out, whose error is zero: sizes 16"


def test_a_column_of_errors_that_is_not_named_is_noted(long: pd.DataFrame) -> None:
    with pytest.warns(TableNote, match="'dU' looks like the errors of 'U' .*: --error dU"):
        read_table(long, **NAMES)


def test_errors_within_cells_are_used(long: pd.DataFrame) -> None:
    cells = long.assign(U=[f"{u:.6f}(3000)" for u in long["U"]]).drop(columns="dU")
    with pytest.warns(TableNote, match="errors of 'U' are those within its cells"):
        found = read_table(cells, **NAMES)
    assert same(found, read_table(long.round({"U": 6}), **NAMES, error="dU"))


@pytest.mark.parametrize("kind", ["arrays", "table"])
def test_plain_hdf5_is_read(kind: str, long: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "t.hdf5"
    with h5py.File(path, "w") as file:
        file["history"] = np.arange(1000.0)
        if kind == "table":
            file["points"] = long.to_records(index=False)
        else:
            for name in long:
                file[name] = long[name].to_numpy()
    if kind == "table":
        with h5py.File(path, "a") as file:
            del file["history"]
    assert same(read_table(path, **NAMES, error="dU"), read_table(long, **NAMES, error="dU"))


def test_hdf5_without_arrays_at_its_top_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "t.h5", "w") as file:
        for k in range(14):
            file.create_group(f"data{k:02}")["L"] = np.arange(3.0)
    with pytest.raises(ValueError, match=r"t.h5: .* in groups, 'data00/L', .*1/L' and 2 more: exp"):
        read_table(tmp_path / "t.h5", **NAMES)


# ---- errors from the scatter ------------------------------------------------------------------


def test_the_scatter_is_local_where_noise_differs_and_even_where_it_does_not() -> None:
    even, uneven, x = [], [], np.linspace(0, 1, 100)
    sigma = 0.001 + 0.03 * np.exp(-(((x - 0.5) / 0.12) ** 2))
    for seed in range(20):
        noise = np.random.default_rng(seed).standard_normal(100)
        even.append(local_scatter(np.full(100, 8.0), x, np.sin(x) + 0.01 * noise))
        found = local_scatter(np.full(100, 8.0), x, np.sin(x) + sigma * noise)
        uneven.append(np.sqrt(np.mean(np.log(found / sigma) ** 2)))
    assert np.mean(even) == pytest.approx(0.01, rel=0.1)
    assert np.mean([np.std(one) for one in even]) < 0.0015
    assert np.mean(uneven) < 0.45  # one number for all: 1.5


def test_noise_that_grows_at_the_critical_point_is_no_poor_fit() -> None:
    rng = np.random.default_rng(4)
    size, x = (g.ravel() for g in np.meshgrid([16.0, 32, 64], np.linspace(0.5, 1.5, 33)))
    scaled = (x - 1) * size
    value = size**-0.125 / (1 + np.exp(scaled / 3)) ** 0.125
    value += (1e-4 + 2.5e-3 * np.exp(-((scaled / 4) ** 2))) * rng.standard_normal(x.size)
    result = collapse(points(size, x, value))
    assert result.status != "poor fit"
    for name, truth in (("x_c", 1.0), ("inverse_nu", 1.0), ("exponent", -0.125)):
        assert abs(result.parameters[name].value - truth) < 3 * result.parameters[name].error
    assert result.chi2 == pytest.approx(result.dof, rel=0.3)
    assert "chi^2 tests nothing" in result.message


# ---- many points ------------------------------------------------------------------------------


def many(n: int, noise: float, seed: int = 0, shared: bool = False) -> Points:
    rng = np.random.default_rng(seed)
    columns: list[Any] = []
    for size in (8, 16, 32, 64):
        x = np.sort(rng.uniform(0.8, 1.2, n))
        own = rng.standard_normal(1 if shared else n)
        value = 1 / (1 + np.exp(0.6 * size * (x - 1))) + noise * own
        columns.append([np.full(n, size), x, value, np.full(n, noise)])
    return points(*np.concatenate(columns, axis=1))


def test_condensing_keeps_what_a_bin_tells_of_a_line_and_meets_parabolas() -> None:
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(1, 2, 5 * MANY))
    error = rng.uniform(0.5, 2, x.size)
    noisy = points(np.full(x.size, 8), x, rng.standard_normal(x.size) * error, error)
    few = condensed(noisy)
    assert len(few) <= MOST
    for order in (0, 1):  # weighted sums of 1 and x are those of all points
        one, other = few.control**order / few.error**2, noisy.control**order / noisy.error**2
        assert one.sum() == pytest.approx(other.sum(), rel=1e-9)
        assert one @ few.value == pytest.approx(other @ noisy.value, rel=1e-9)
    parabola = 1 + (x - 1.5) ** 2 / 3
    exact = condensed(points(np.full(x.size, 8), x, parabola, np.full(x.size, 1e-12)))
    assert exact.value == pytest.approx(1 + (exact.control - 1.5) ** 2 / 3, rel=1e-12)


def test_few_points_stay_as_they_are() -> None:
    data = many(MANY, 0.01)
    assert condensed(data) is data


def test_noise_that_neighbours_share_is_not_averaged() -> None:
    assert condensed(many(2000, 0.01, shared=True)).error == pytest.approx(0.01, rel=1e-3)
    assert condensed(many(2000, 0.01)).error.mean() == pytest.approx(
        0.01 * np.sqrt(MOST / 2000), rel=0.1
    )


@pytest.mark.slow
def test_ten_thousand_points_of_a_size_cross_as_well_as_few() -> None:
    found = [crossings(many(n, 0.01 * np.sqrt(n / 240)), draws=200) for n in (240, 10_000)]
    for result in found:
        assert abs(result.x_c.value - 1) < 3 * result.x_c.error
    assert found[1].error == pytest.approx(found[0].error, rel=0.4)
    assert "40000 points condensed to 960" in found[1].message


def test_points_with_a_covariance_keep_it() -> None:
    data = many(MANY + 1, 0.01).take(np.arange(MANY + 1))
    shared = points(
        data.size, data.control, data.value, covariance=1e-4 * (0.5 * np.eye(len(data)) + 0.5)
    )
    assert condensed(shared) is shared
    assert condensed(data) is not data
