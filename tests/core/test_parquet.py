"""Parquet files stand for no more than they should, whatever stands in them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from heatcap.core.parquet import SMALL, check_content, open_parquet

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

LONG = 10**6
ROWS = SMALL // LONG + 1


def _check(path: Path, texts: list[str], **options: object) -> None:
    pq.write_table(pa.table({"run": texts, "k": range(len(texts))}), path, **options)
    file = open_parquet(path)
    check_content(file, path, ["k"])
    check_content(file, path, ["run", "k"])


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
    file = open_parquet(tmp_path / "a.pq")
    with pytest.raises(ValueError, match="inflate to far more"):
        check_content(file, tmp_path / "a.pq", ["k"])


def test_labels_of_many_rows_are_no_bomb(tmp_path: Path) -> None:
    names = [f"run {k // 1000}" for k in range(300_000)]
    _check(tmp_path / "a.pq", names)
    assert 300_000 * len(set(names)) * 5 > SMALL  # what the sizes alone would allow
