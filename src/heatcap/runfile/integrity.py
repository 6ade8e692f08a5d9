"""Checksums of a run file, defined in docs/file-format.md: against accident, not against forgery.

A table of numbers is a sequence of 32-bit words u_0, u_1, …; its checksum is
n + sum_i u_i m_i mod 2^64 with odd multipliers m_i < 2^32.  A changed word always shows, for
0 < |u - u'| m_i < 2^64.  As a sum it grows with the table and takes blocks in any order.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Mapping, Sequence

import numpy as np

__all__ = [
    "DAMAGED",
    "GOLDEN",
    "LayerSums",
    "header_checksum",
    "layer_checksums",
    "table_checksum",
    "word_sum",
]

#: 2^64 / golden ratio: the upper half of its multiples has no short period.
GOLDEN = 0x9E3779B97F4A7C15

DAMAGED = "the logits are damaged, they do not have their checksum"

_BLOCK = 1 << 14  # words whose multipliers stay in the cache
_MULTIPLES = np.arange(1, _BLOCK + 1, dtype=np.uint64) * np.uint64(GOLDEN)


def word_sum(words: np.ndarray, start: int = 0) -> int:
    """Compute sum u_i m_i mod 2^64 over 32-bit words that begin at index `start`."""
    words, total = words.reshape(-1), 0
    for at in range(0, len(words), _BLOCK):
        part = words[at : at + _BLOCK]
        factors = _MULTIPLES[: len(part)] + np.uint64(GOLDEN * (start + at) % 2**64)
        factors >>= np.uint64(32)
        factors |= np.uint64(1)
        factors *= part
        total += int(factors.sum())
    return total % 2**64


def table_checksum(values: np.ndarray, start: int = 0) -> int:
    """Compute the checksum of integers or floats, or of a table's rows from `start` on.

    Values count as 64-bit words.  The checksum of a table is the sum, mod 2^64, of those of its
    parts.
    """
    kind = "<f8" if values.dtype.kind == "f" else "<i8"
    words = np.ascontiguousarray(values, dtype=kind).reshape(-1).view("<u4")
    return (len(words) + word_sum(words, 2 * start)) % 2**64


def layer_checksums(logits: np.ndarray) -> np.ndarray:
    """Compute checksums (layer,) of the logits (layer, …) of a checkpoint, as float32."""
    words = np.ascontiguousarray(logits, dtype="<f4").view("<u4")
    sums = [(layer.size + word_sum(layer)) % 2**64 for layer in words]
    return np.array(sums, dtype=np.uint64)


class LayerSums:
    """Checksums (checkpoint, layer) of logits whose blocks come in any order.

    `row_sums` gives `word_sum` of rows (row, word), each with the index at which it begins.
    """

    def __init__(
        self,
        shape: Sequence[int],
        row_sums: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self._shape = tuple(shape)
        self._row_sums = row_sums or _row_sums
        self._sums = np.full(self._shape[:2], math.prod(self._shape[2:]), np.uint64)

    def add(
        self,
        logits: np.ndarray,
        checkpoints: slice,
        layer: int,
        heads: slice,
        probes: slice,
        queries: slice,
    ) -> None:
        """Add a block (checkpoint, head, probe, query, key) of float32."""
        _, _, _, all_probes, all_queries, keys = self._shape
        starts = np.arange(heads.start, heads.stop) * all_probes
        if queries == slice(0, all_queries):  # the rows of several inputs follow one another
            starts = (starts + probes.start) * all_queries * keys
        else:
            probe = np.arange(probes.start, probes.stop)
            starts = ((starts[:, np.newaxis] + probe) * all_queries + queries.start) * keys
        every = np.tile(starts.reshape(-1), len(logits)).astype(np.uint64)
        words = np.ascontiguousarray(logits).reshape(len(every), -1).view(np.uint32)
        sums = self._row_sums(words, every).reshape(len(logits), -1)
        self._sums[checkpoints, layer] += sums.sum(axis=1, dtype=np.uint64)

    def wrong(self, expected: np.ndarray) -> list[tuple[int, int]]:
        """List each (checkpoint, layer) whose logits differ from those that were written."""
        return [(int(at), int(layer)) for at, layer in np.argwhere(self._sums != expected)]


def _row_sums(words: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """`word_sum` of each row, without compiled code."""
    sums = [word_sum(row, int(start)) for row, start in zip(words, starts, strict=True)]
    return np.array(sums, dtype=np.uint64)


def header_checksum(attributes: Mapping[str, str | int | float | None]) -> str:
    """Compute the SHA-256 of the attributes in their order, with names, types, lengths."""
    digest = hashlib.sha256()
    for name, value in attributes.items():
        kind, payload = _payload(value)
        encoded = name.encode()
        digest.update(struct.pack("<I", len(encoded)) + encoded)
        digest.update(kind + struct.pack("<Q", len(payload)) + payload)
    return digest.hexdigest()


def _payload(value: str | int | float | None) -> tuple[bytes, bytes]:
    """Type and bytes of a value."""
    if value is None:
        return b"-", b""
    if isinstance(value, str):
        return b"t", value.encode("utf-8", "surrogateescape")
    if isinstance(value, int):
        return b"i", struct.pack("<Q", value % 2**64)
    return b"f", struct.pack("<d", value)
