"""Points of a collapse: tables of many kinds in, one checked set of arrays out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from heatcap.core.cells import TableNote
from heatcap.scaling import points, read_table
from heatcap.scaling.data import read_columns

FRAME = pd.DataFrame(
    {"L": [8, 8, 16, 16.0], "K": [0.4, 0.5, 0.5, 0.3], "A": [1, 2, 3, 4.0], "dA": [0.1] * 4}
)
COLUMNS = {"size": "L", "control": "K", "value": "A", "error": "dA"}


def written(tmp_path, kind):
    path = tmp_path / f"table.{kind}"
    if kind == "csv":
        FRAME.to_csv(path, index=False)
    elif kind == "dat":
        rows = FRAME.to_csv(index=False, header=False, sep=" ")
        path.write_text("# L K A dA\n" + rows)
    elif kind == "parquet":
        FRAME.to_parquet(path)
    else:
        FRAME.to_xarray().to_netcdf(path, engine="h5netcdf")
    return path


@pytest.mark.parametrize("kind", ["csv", "dat", "parquet", "nc"])
def test_every_kind_of_table_gives_the_same_points(tmp_path, kind):
    names = list(FRAME) if kind == "dat" else None
    found = read_table(written(tmp_path, kind), **COLUMNS, names=names)
    assert found.size.tolist() == [8, 8, 16, 16]
    assert found.control.tolist() == [0.4, 0.5, 0.3, 0.5]  # sorted within sizes
    assert found.value.tolist() == [1, 2, 4, 3]
    assert found.error.tolist() == [0.1] * 4


def test_a_table_is_no_larger_than_it_may_be(tmp_path):
    pd.concat([FRAME.assign(note="x" * 10**6)] * 75).to_parquet(tmp_path / "a.pq", index=False)
    with pytest.raises(ValueError, match=r"a.pq: its columns inflate to far more than its"):
        read_table(tmp_path / "a.pq", **COLUMNS)
    apart = xr.Dataset({"L": ("a", np.arange(1e4)), "K": ("b", np.arange(1e4))})
    apart.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"a.nc: has 200000000 cells, more than 67108864 are not"):
        read_table(tmp_path / "a.nc", **COLUMNS)


def test_missing_rows_are_left_out_and_said():
    found = points([8, 8, 8], [1, 2, 3], [1, np.nan, 3], [0.1] * 3)
    assert found.value.tolist() == [1, 3]
    assert found.message == "1 row without a number left out"


def test_masked_rows_are_left_out_whatever_lies_behind_the_mask():
    """The numbers behind it were taken for values."""
    value = np.ma.masked_array([1.0, 999, 3], [False, True, False])
    found = points([8, 8, 8], [1, 2, 3], value, [0.1] * 3, runs=[3, np.nan, 4])
    assert found.value.tolist() == [1, 3]
    assert found.message.startswith("1 row without a number left out")
    error = np.ma.masked_array([0.1, 0.1, 0.1], [True, False, False])
    assert len(points([8, 8, 8], [1, 2, 3], [1, 2, 3], error)) == 2
    rng = np.random.default_rng(0)
    replicates = np.ma.masked_array(rng.normal(size=(5, 3)), np.arange(15).reshape(5, 3) == 4)
    assert len(points([8] * 3, range(3), [1, 2, 3], replicates=replicates)) == 2


def test_errors_come_from_replicates_or_from_scatter_and_say_so():
    rng = np.random.default_rng(0)
    replicates = rng.normal(size=(400, 5))
    found = points([8] * 5, range(5), replicates.mean(0), replicates=replicates)
    assert found.error == pytest.approx(0.05, rel=0.2)
    assert found.message == "errors from the replicates"
    x = np.linspace(0, 1, 200)
    found = points(np.full(200, 8.0), x, np.sin(x) + 0.01 * rng.normal(size=200))
    assert found.error == pytest.approx(0.01, rel=0.25)
    assert "estimated from the scatter" in found.message
    # np.std of three numbers 0.1 is 1.7e-17: an error that would outweigh all other points.
    with pytest.raises(ValueError, match="errors must be positive, got 0 in row 1"):
        points([8] * 5, range(5), [0.1] * 5, replicates=np.full((3, 5), 0.1))


def test_a_dataset_brings_its_replicates():
    data = xr.Dataset(
        {"A": ("point", [1.0, 2]), "A_replicates": (("point", "replicate"), [[1, 1.2], [2, 2.4]])},
        {"size": ("point", [8, 16]), "control": ("point", [1.0, 1])},
    )
    found = read_table(data, size="size", control="control", value="A")
    assert found.replicates.tolist() == [[1, 2], [1.2, 2.4]]


def test_taking_some_takes_rows_and_columns_of_the_covariance():
    covariance = np.diag([1.0, 4, 9]) + 0.1
    found = points([8, 8, 16], [1, 2, 1], [1, 2, 3], covariance=covariance)
    assert found.error == pytest.approx(np.sqrt([1.1, 4.1, 9.1]))
    some = found.take(np.array([True, False, True]))
    assert some.covariance.tolist() == [[1.1, 0.1], [0.1, 9.1]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([8, 8], [1, 2, 3], [1, 2], [1, 1]), "control must have one entry for each of 2 points"),
        (([0, 8], [1, 2], [1, 2], [1, 1]), "sizes must be positive, got 0"),
        (([8, 8], [1, 2], [1, np.inf], [1, 1]), "value must be finite, got inf in row 2"),
        (([8, 8], [1, 2], [1, 2], [1, 0]), "errors must be positive, got 0 in row 2 of the data"),
        (([8, 8], [1, 1], [1, 2], [1, 1]), "two points at size 8 and control 1"),
        (([8, 8], [1, 2], [1, 2]), "size 8 has 2 points: 7 are needed"),
    ],
)
def test_refusals(arguments, said):
    with pytest.raises(ValueError, match=said):
        points(*arguments)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"error": [0.1] * 3, "runs": [2, 3]}, "runs must be one number, or one for each of 3"),
        ({"error": [0.1] * 3, "runs": [3, np.inf, 1]}, "known, got inf in row 2"),
        ({"error": [0.1] * 3, "runs": np.nan}, "known, got nan$"),
        ({"error": [0.1j] * 3}, "error must be real numbers, got complex"),
        ({"value": [True, False, True]}, "value must be real numbers, got truth"),
        ({"covariance": np.full((3, 3), 0.1)}, "covariance must be finite and positive definite"),
        ({"covariance": np.diag([1, -1, 1])}, "diagonal of the covariance must be positive"),
        ({"covariance": np.where(np.eye(3), 1, np.nan)}, "covariance must be finite and positive"),
    ],
)
def test_errors_and_runs_that_cannot_be(options, said):
    with pytest.raises(ValueError, match=said):
        points(**{"size": [8, 8, 16], "control": [2, 1, 1], "value": [1, 2, 3]} | options)


@pytest.mark.parametrize(
    ("text", "names", "value"),
    [
        ('L,"C (a;b)",dC\n8,1.5,0.1\n16,2,0.1\n', None, "C (a;b)"),
        ('L,"C (a, b)",dC\n8,1.5,0.1\n16,2,0.1\n', None, "C (a, b)"),
        ("L;C (a,b);dC\n8;1.5;0.1\n16;2;0.1\n", None, "C (a,b)"),
        ("L C(a,b) dC\n8 1.5 0.1\n16 2 0.1\n", None, "C(a,b)"),
        ("L, C, dC\n8, 1.5, 0.1\n16, 2, 0.1\n", None, "C"),
        ("L\tC; mean\tdC\n8\t1.5\t0.1\n16\t2\t0.1\n", None, "C; mean"),
        ("8;1.5;0.1\n16;2;0.1\n", ["L", "C", "dC"], "C"),
    ],
)
def test_what_separates_is_what_gives_rows_the_width_of_the_header(text, names, value, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text)
    found = read_columns(path, ["L", value, "dC"], names=names, value=value)[0]
    assert {k: v.tolist() for k, v in found.items()} == {
        "L": [8, 16],
        value: [1.5, 2],
        "dC": [0.1, 0.1],
    }


@pytest.mark.parametrize("names", [None, ["L", "C", "dC"]])
def test_decimal_commas_between_semicolons_are_read_and_said(names, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("L;C;dC\n" * (names is None) + "8;1,5e-1;0,1\n")
    with pytest.warns(TableNote, match=r"t.csv: decimal commas: 0,5 is read as 0.5"):
        columns, _ = read_columns(path, ["L", "C"], names=names, value="C")
    assert columns["C"].tolist() == [0.15]


def test_bad_tables_name_the_file_the_column_and_the_row(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("L,K,A\n8,1,x\n")
    with pytest.raises(
        ValueError, match="row 1 of the data, column 'A': expected a number, got 'x'"
    ):
        read_table(path, size="L", control="K", value="A")
    with pytest.raises(ValueError, match="no column 'B'; there is 'L', 'K', 'A'"):
        read_table(path, size="L", control="K", value="B")
    path.write_text("L,K,A\n8,1\n")
    with pytest.raises(ValueError, match="row 1 of the data has 2 columns, expected 3"):
        read_table(path, size="L", control="K", value="A")
    path.write_text("L,K,A,A\n8,1,2,3\n")
    with pytest.raises(ValueError, match=r"t.csv: 2 columns are called 'A', expected one"):
        read_table(path, size="L", control="K", value="A")
    path.write_text("")
    with pytest.raises(ValueError, match="holds no data"):
        read_table(path, size="L", control="K", value="A")
    with pytest.raises(ValueError, match="no such file"):
        read_table(tmp_path / "none.csv", size="L", control="K", value="A")


def test_a_quote_that_is_left_open_takes_no_other_row_with_it(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('L,K,A\n8,1,"2\n8,2,3\n16,1,4\n')
    assert read_columns(path, ["A"], names=None, value="A")[0]["A"].tolist() == [2, 3, 4]


def test_times_are_no_numbers() -> None:
    """A missing one would be -9e18, which no row says."""
    times = pd.Series(pd.to_datetime(["2026-01-01", None]))
    for column in (times, times - times[0]):
        with pytest.raises(ValueError, match=r"column 'x': expected numbers, got times"):
            read_columns(pd.DataFrame({"x": column}), ["x"], names=None, value="x")


@pytest.mark.parametrize("name", ["table.nc", "table.h5"])
def test_a_table_that_is_no_netcdf_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"L,x,A\n8,1,2\n")
    with pytest.raises(ValueError, match=rf"{name}: cannot be read as NetCDF \(it is not HDF5\)"):
        read_table(tmp_path / name, size="L", control="x", value="A")


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
def test_a_million_columns_are_no_table(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(f"1{separator}" * 1_000_000)
    with pytest.raises(ValueError, match=r"wide.csv: has 100000[01] columns or more, expected at"):
        read_table(path, size="L", control="x", value="A")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": 1e-200}, "^size 8e-200: expected 1e-60 to 1e\\+60, choose another unit"),
        ({"control": 1e300}, "^control 1.2e\\+300: "),
        ({"control": 1e-70}, "^control 1.2e-70: "),
        ({"value": 1e100}, "^value 3e\\+100: "),
        ({"value": 1e-300}, "^value 3e-300: "),
        ({"error": 1e-200}, "^error 1e-202: "),
        ({"error": 1e200}, "^error 1e\\+198: "),
    ],
)
def test_magnitudes_whose_squares_are_no_numbers_are_named(changed, message):
    columns = {
        "size": np.repeat([8.0, 16.0, 32.0], 7),
        "control": np.tile(np.linspace(0.8, 1.2, 7), 3),
        "value": np.repeat([1.0, 2.0, 3.0], 7),
        "error": np.full(21, 0.01),
    }
    scaled = {name: column * changed.get(name, 1.0) for name, column in columns.items()}
    with pytest.raises(ValueError, match=message):
        points(**scaled)
    with pytest.raises(ValueError, match=r"sizes span a factor of 1e\+40"):
        points(**(columns | {"size": np.repeat([1.0, 10.0, 1e40], 7)}))


@pytest.mark.parametrize("height", [0.0, 3.0])
def test_values_on_a_cubic_have_the_errors_of_rounding(height):
    x = np.arange(9.0)
    data = points(np.repeat([8, 16], 9), np.tile(x, 2), np.full(18, height))
    assert np.all((data.error > 1e-17) & (data.error < 1e-14))


@pytest.mark.parametrize("cell", ["9" * 400_000 + "x", "9" * 200_000 + ",5", "\0" * 400_000])
def test_a_huge_cell_or_name_is_shortened_in_a_message(tmp_path, cell):
    path = tmp_path / "t.txt"
    path.write_text(f"L\tK\tA\n8\t1\t{cell}\n")
    with pytest.raises(ValueError, match=r"column 'A': expected a number, got .*\.\.\.") as said:
        read_table(path, size="L", control="K", value="A")
    assert len(str(said.value)) < len(str(path)) + 200
    path.write_text(f"L\t{cell}\tA\n" + "8\t1\t1\n")
    with pytest.raises(ValueError, match=r"no column 'K'; there is 'L', .*\.\.\.") as said:
        read_table(path, size="L", control="K", value="A")
    assert len(str(said.value)) < len(str(path)) + 200


@pytest.mark.parametrize("suffix", ["parquet", "nc"])
def test_capitals_in_a_suffix_are_the_same_kind(tmp_path, suffix):
    written(tmp_path, suffix).rename(path := tmp_path / f"T.{suffix.upper()}")
    assert read_table(path, **COLUMNS).value.tolist() == [1, 2, 4, 3]


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(ValueError, match="is a folder, expected a table of points"):
        read_table(tmp_path, **COLUMNS)
