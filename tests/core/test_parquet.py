"""Parquet files stand for no more than they should, whatever stands in them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from heatcap.core.tables import SMALL, flat_columns, open_parquet, read_flat

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

LONG = 10**6
ROWS = SMALL // LONG + 1


def _read(path: Path, *names: str) -> pd.DataFrame:
    return read_flat(open_parquet(path), path, names)


def _check(path: Path, texts: list[str], **options: object) -> None:
    pq.write_table(pa.table({"run": texts, "k": range(len(texts))}), path, **options)
    assert list(_read(path, "k")["k"]) == list(range(len(texts)))
    assert list(_read(path, "run", "k")["run"]) == texts


@pytest.mark.parametrize("incremental", [False, True])
def test_a_long_text_in_every_row(tmp_path: Path, incremental: bool) -> None:
    options = (
        {"use_dictionary": False, "column_encoding": {"run": "DELTA_BYTE_ARRAY"}}
        if incremental
        else {}
    )
    long = "x" * LONG
    with pytest.raises(ValueError, match=r"a.pq: its columns inflate to far more than its \d+"):
        _check(tmp_path / "a.pq", [long] * ROWS, **options)
    assert (tmp_path / "a.pq").stat().st_size < SMALL / 100


def test_numbers_that_are_one(tmp_path: Path) -> None:
    table = pd.DataFrame({"k": [1]}).loc[[0] * (SMALL // 8 + 1)]
    table.to_parquet(tmp_path / "a.pq", index=False)
    with pytest.raises(ValueError, match="inflate to far more"):
        _read(tmp_path / "a.pq", "k")


def test_labels_of_many_rows_are_no_bomb(tmp_path: Path) -> None:
    names = [f"run {k // 1000}" for k in range(300_000)]
    _check(tmp_path / "a.pq", names)
    assert 300_000 * len(set(names)) * 5 > SMALL  # what the sizes alone would allow


def test_texts_of_increments_that_are_no_bomb(tmp_path: Path) -> None:
    names = [f"run {k // 1000}" for k in range(300_000)]
    _check(
        tmp_path / "a.pq",
        names,
        use_dictionary=False,
        column_encoding={"run": "DELTA_BYTE_ARRAY"},
    )


def test_lists_are_not_read(tmp_path: Path) -> None:
    """A few bytes hold a list of any length; and a column below one is read by its name."""
    lists = pa.array([[1] * (SMALL // 8 + 1)])
    inside = pa.array([{"k": 1.0}])
    table = pa.table({"lists": lists, "of": inside, "k": [2.0], "a.b": [3.0]})
    pq.write_table(table, tmp_path / "a.pq")
    assert flat_columns(open_parquet(tmp_path / "a.pq")) == ["k", "a.b"]
    assert _read(tmp_path / "a.pq", "a.b", "k").values.tolist() == [[3.0, 2.0]]


@pytest.mark.parametrize("inside", [[1] * 10, "text"])
def test_a_name_that_is_also_a_path(tmp_path: Path, inside: object) -> None:
    """pyarrow reads both, and what is within the other column is bounded by nothing."""
    table = pa.table({"a.b": ["x"], "a": pa.array([{"b": inside}])})
    pq.write_table(table, tmp_path / "a.pq")
    with pytest.raises(ValueError, match=r"a.pq: 2 columns are called 'a.b', expected one"):
        _read(tmp_path / "a.pq", "a.b")


def test_a_name_that_begins_like_another(tmp_path: Path) -> None:
    pq.write_table(pa.table({"loss": [1.0], "loss.max": [2.0]}), tmp_path / "a.pq")
    assert _read(tmp_path / "a.pq", "loss").values.tolist() == [[1.0]]


def test_a_dictionary_of_long_texts(tmp_path: Path) -> None:
    """It is small as long as nobody asks for its texts row by row."""
    texts = pa.array(["x" * LONG] * ROWS).dictionary_encode()
    pq.write_table(pa.table({"run": texts}), tmp_path / "a.pq")
    with pytest.raises(ValueError, match="inflate to far more"):
        _read(tmp_path / "a.pq", "run")


def test_a_dictionary_that_is_no_bomb(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"run": pa.array(["a", "b", "a"]).dictionary_encode()}), tmp_path / "a.pq"
    )
    assert list(_read(tmp_path / "a.pq", "run")["run"]) == ["a", "b", "a"]


def test_sizes_that_are_made_up(tmp_path: Path) -> None:
    """What a row group says of its size is not what is read."""
    path = tmp_path / "a.pq"
    pq.write_table(pa.table({"run": ["x" * LONG] * ROWS}), path)
    size = pq.ParquetFile(path).metadata.row_group(0).total_byte_size
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    # A number of Thrift's: seven bits a byte, the sign in the lowest; twice as much is its double.
    said = [(2 * size >> at & 127) | 128 for at in range(0, 21, 7)]
    said[-1] &= 127
    assert 2**14 < 2 * size < 2**21
    before, after = data[:footer], data[footer:]
    assert after.count(bytes([0x16, *said])) >= 1
    path.write_bytes(before + after.replace(bytes([0x16, *said]), b"\x16\x82\x80\x00"))
    assert pq.ParquetFile(path).metadata.row_group(0).total_byte_size == 1
    with pytest.raises(ValueError, match="inflate to far more"):
        _read(path, "run")


def test_objects_of_python_are_counted_as_such(tmp_path: Path) -> None:
    rows = SMALL // 100
    tenths = pa.array([1], pa.int32()).cast(pa.decimal128(12, 1)).take(pa.array([0] * rows))
    pq.write_table(pa.table({"k": tenths}), tmp_path / "a.pq")
    with pytest.raises(ValueError, match="inflate to far more"):
        _read(tmp_path / "a.pq", "k")


def test_columns_of_one_name(tmp_path: Path) -> None:
    pq.write_table(pa.table([[1.0], [2.0]], names=["k", "k"]), tmp_path / "a.pq")
    with pytest.raises(ValueError, match=r"a.pq: 2 columns are called 'k', expected one"):
        _read(tmp_path / "a.pq", "k")


def test_a_column_that_is_described_wrong(tmp_path: Path) -> None:
    """pyarrow ends the process where it is asked for such a description by itself."""
    pq.write_table(pa.table({"k": [1.0, 2.0, None]}), tmp_path / "a.pq")
    data = (tmp_path / "a.pq").read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    # A column that may be null becomes one that must not: the counts of its nulls are too many.
    optional, required = b"\x15\x0a\x25\x02\x18\x01k", b"\x15\x0a\x25\x00\x18\x01k"
    assert data.count(optional, footer) == 1
    (tmp_path / "a.pq").write_bytes(data[:footer] + data[footer:].replace(optional, required))
    with pytest.raises(ValueError, match=r"a.pq: cannot be read as Parquet"):
        _read(tmp_path / "a.pq", "k")
