"""Parquet files, read: what they would take in memory is known, or counted, before they are."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["flat_columns", "open_parquet", "read_flat"]

#: Bytes that a byte of the file may stand for: a repeated text is stored once.
INFLATION = 100
#: Below it a table may inflate as it likes: columns of one value are no bomb.
SMALL = 1 << 28
#: Rows of texts that are counted at a time.
BATCH = 256
#: Bytes of a value that is an object of Python's, and which are.
OBJECT = 104
_OBJECTS = ("DECIMAL", "DATE", "TIME")


def open_parquet(path: Path) -> Any:
    """A `pyarrow.parquet.ParquetFile`; raises ValueError where it is none, or without pyarrow."""
    try:
        return importlib.import_module("pyarrow.parquet").ParquetFile(path)
    except ImportError:
        raise ValueError(
            f"{path}: reading Parquet needs pyarrow: pip install heatcap[parquet]"
        ) from None
    except Exception as error:
        raise _unreadable(path, error) from None


def flat_columns(file: Any) -> list[str]:
    """Names of the columns with one value in a row: how much lists hold, no size tells."""
    return [of.path for of in _leaves(file) if _is_flat(of)]


def read_flat(file: Any, path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Flat columns of an open file, as they stand: an index of pandas is a column as well.

    Raises ValueError where columns share a name, would inflate to far more than the file has, or
    cannot be read.
    """
    leaves = _leaves(file)
    for name in names:  # what is within another column is read by its name as well
        alike = [of for of in leaves if f"{of.path}.".startswith(f"{name}.")]
        if (n := sum(of.path == name or not _is_flat(of) for of in alike)) > 1:
            raise ValueError(f"{path}: {n} columns are called {name!r}, expected one")
    most = max(SMALL, INFLATION * path.stat().st_size)
    # Not by columns: pyarrow ends the process where it finds what describes one to be wrong.
    groups = [file.metadata.row_group(k) for k in range(file.metadata.num_row_groups)]
    kinds = {of.path: of for of in leaves if _is_flat(of)}
    width = sum(_width(kinds[name]) for name in names)
    texts = [name for name in names if kinds[name].physical_type == "BYTE_ARRAY"]
    stored = [max(group.total_byte_size, 0) for group in groups]
    content = sum(max(g.num_rows * width, size) for g, size in zip(groups, stored, strict=True))
    try:
        if texts and content <= most:
            # No text is longer than its row group, so that no batch takes more than the whole may;
            # and the batches are small, for who writes a file can say that its groups are.
            rows = max(1, min(BATCH, most // max(1, *stored)))
            for batch in file.iter_batches(batch_size=rows, columns=texts):
                content += sum(map(_text_bytes, batch.columns))
                if content > most:
                    break
        if content <= most:
            table = file.read(columns=list(names))
            found: pd.DataFrame = table.to_pandas(ignore_metadata=True)[list(names)]
            return found
    except Exception as error:
        raise _unreadable(path, error) from None
    raise ValueError(
        f"{path}: its columns inflate to far more than its {path.stat().st_size} bytes; "
        f"at most {most} are read"
    )


def _leaves(file: Any) -> list[Any]:
    return [file.schema.column(k) for k in range(len(file.schema))]


def _is_flat(leaf: Any) -> bool:
    return leaf.path == leaf.name and not leaf.max_repetition_level


def _width(leaf: Any) -> int:
    """Bytes of a value in memory, of a text those that say where it is."""
    is_object = leaf.logical_type.type in _OBJECTS
    return max(leaf.length or 0, 8) + (OBJECT if is_object else 0)


def _text_bytes(column: Any) -> int:
    """Bytes of texts, each counted as often as it stands there."""
    return int((column.dictionary_decode() if hasattr(column, "dictionary") else column).nbytes)


def _unreadable(path: Path, error: Exception) -> ValueError:
    told = " ".join(str(error).split())[:200] or type(error).__name__
    return ValueError(f"{path}: cannot be read as Parquet ({told})")
