"""Parquet files, opened: what they would take in memory is known before they are read."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["check_content", "open_parquet"]

#: Bytes that a byte of the file may stand for: a repeated text is stored once.
INFLATION = 100
#: Below it a table may inflate as it likes: columns of one value are no bomb.
SMALL = 1 << 28

# Each text says how much of the one before it begins with: no size in the file bounds it.
_INCREMENTAL = "DELTA_BYTE_ARRAY"


def open_parquet(path: Path, **options: Any) -> Any:
    """A `pyarrow.parquet.ParquetFile`; raises ValueError where it is none, or without pyarrow."""
    try:
        return importlib.import_module("pyarrow.parquet").ParquetFile(path, **options)
    except ImportError:
        raise ValueError(
            f"{path}: reading Parquet needs pyarrow: pip install heatcap[parquet]"
        ) from None
    except Exception as error:
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: cannot be read as Parquet ({told})") from None


def check_content(file: Any, path: Path, names: Sequence[str]) -> None:
    """Raise ValueError where columns would inflate to far more than the file has."""
    most = max(SMALL, INFLATION * path.stat().st_size)
    leaves = [k for k in range(len(file.schema)) if _within(file.schema.column(k).path, names)]
    sizes = [_sizes(file, k) for k in leaves]
    texts = [k for k in leaves if file.schema.column(k).physical_type == "BYTE_ARRAY"]
    content = sum(at_least for at_least, _ in sizes)
    if content <= most < sum(at_most for _, at_most in sizes):
        if any(_INCREMENTAL in chunk.encodings for k in texts for chunk in _chunks(file, k)):
            content = most + 1
        else:
            content += _text_bytes(path, [file.schema.column(k).path for k in texts])
    if content > most:
        raise ValueError(
            f"{path}: its columns inflate to far more than its {path.stat().st_size} bytes; "
            f"at most {most} are read"
        )


def _within(leaf: str, names: Sequence[str]) -> bool:
    return any(leaf == name or leaf.startswith(f"{name}.") for name in names)


def _chunks(file: Any, column: int) -> list[Any]:
    about = file.metadata
    return [about.row_group(k).column(column) for k in range(about.num_row_groups)]


def _sizes(file: Any, column: int) -> tuple[int, int]:
    """Bytes that a column takes at least and at most; they differ for text alone."""
    kind, low, high = file.schema.column(column), 0, 0
    for chunk in _chunks(file, column):
        width = max(kind.length or 0, 8)
        low += (least := max(chunk.num_values * width, chunk.total_uncompressed_size))
        is_text = kind.physical_type == "BYTE_ARRAY"
        high += max(least, chunk.num_values * chunk.total_uncompressed_size) if is_text else least
    return low, high


def _text_bytes(path: Path, texts: list[str]) -> int:
    """Length of all texts together; each different one is read once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    read = open_parquet(path, read_dictionary=texts).read(columns=texts)
    total = 0
    for chunk in (chunk for column in read.columns for chunk in column.chunks):
        if not pa.types.is_dictionary(chunk.type):
            total += chunk.nbytes
            continue
        lengths = pc.binary_length(chunk.dictionary)
        total += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    return total
