"""Checks of an HDF5 file before it is read: plain variables and small attributes alone.

HDF5 follows links into other files, takes memory for any shape that a header claims, and makes
objects of bytes.  Here everything is checked before it is opened or read; all sizes are in bytes.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5l, h5t, h5z

from heatcap.runfile.layout import RunFileError

__all__ = [
    "LARGEST_TEXT",
    "MISSING",
    "attribute",
    "check_all",
    "check_names",
    "check_storage",
    "check_together",
    "stated_length",
    "variable",
]

#: Bytes of an attribute; the longest in use, a configuration, has some thousand.
LARGEST_TEXT = 1 << 20
#: Bytes of a chunk, which HDF5 takes whole; RunWriter's have at most a mebibyte.
LARGEST_CHUNK = 1 << 28
#: Bytes that a stored byte may stand for.  Logits deflate by at most 1.24, twice to ten times that
#: where most keys are absent; one repeated value would reach 1032.
INFLATION = 100
#: A variable smaller than this may inflate without limit: a column of NaN is no bomb.
SMALL = 1 << 26
#: The same for all variables of a file together: observables are padded with NaN.
SMALL_TOGETHER = 1 << 28

#: Filters whose output is checked before HDF5 makes it; RunWriter uses none.
_FILTERS = (h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE, h5z.FILTER_FLETCHER32)

#: The NAME of a dataset that stands for an extent alone; readers of netCDF take it for no variable.
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable."
#: Version of an HDF5 superblock: where it has its size of addresses, and the end of the file.
_SUPERBLOCKS = {0: (13, 40), 1: (13, 44), 2: (9, 28), 3: (9, 28)}

MISSING = object()

_OBJECT, _INT, _UNSIGNED = np.dtype(object), np.dtype(np.int64), np.dtype(np.uint64)
_REFERENCE = 16
_TEXT = h5t.py_create(h5py.string_dtype())


def attribute(owner: h5py.h5g.GroupID | h5d.DatasetID, file: Path, name: str) -> Any:
    """Read an attribute as a Python value, `MISSING`, or an array of several values.

    netCDF writers store a scalar as an array of one.
    """
    try:
        opened = h5a.open(owner, name.encode())
    except KeyError:
        return MISSING
    try:
        return _value(opened, file, name)
    except (OSError, RuntimeError, TypeError, ValueError, MemoryError) as error:
        if isinstance(error, RunFileError):
            raise
        raise RunFileError(f"{file}: the attribute {name!r} cannot be read: {error}") from error


def _value(opened: h5a.AttrID, file: Path, name: str) -> Any:
    """Value of an open attribute; RunFileError where it is no text or number, or too large."""
    shape, (dtype, in_memory) = opened.shape, _types(opened)
    if dtype is None:
        raise RunFileError(f"{file}: the attribute {name!r} must be text or a number")
    is_text = dtype.kind in "OS"
    if shape is None or opened.get_storage_size() > LARGEST_TEXT or (is_text and shape > (1,)):
        raise RunFileError(f"{file}: the attribute {name!r} is no single value, or too large")
    values = np.empty(shape, dtype)
    opened.read(values, in_memory)
    if values.size != 1:
        return values
    value = values.reshape(-1)[0]
    if not is_text:
        return value.item()
    if len(value) > LARGEST_TEXT:
        raise RunFileError(f"{file}: the attribute {name!r} is longer than {LARGEST_TEXT} bytes")
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _types(opened: h5a.AttrID) -> tuple[np.dtype[Any] | None, h5t.TypeID | None]:
    """NumPy's and HDF5's type to read text or a number as; h5py's own way takes twice as long."""
    kind = opened.get_type()
    number = kind.get_class()
    if number == h5t.STRING and kind.is_variable_str():
        return _OBJECT, _TEXT
    if number == h5t.INTEGER:
        return (_INT, None) if kind.get_sign() == h5t.SGN_2 else (_UNSIGNED, None)
    if number in (h5t.FLOAT, h5t.STRING):
        return opened.dtype, None
    return None, None


def variable(h5: h5py.File, file: Path, name: str) -> h5d.DatasetID:
    """Open a variable that lies in this file; RunFileError for any other.

    The low level costs a fifth: this is what opening 500 files consists of.
    """
    key = name.encode()
    try:
        if h5.id.links.get_info(key).type != h5l.TYPE_HARD:
            raise RunFileError(f"{file}: the variable {name!r} is a link, expected numbers")
        dataset = h5d.open(h5.id, key)
    except RunFileError:
        raise
    except (KeyError, ValueError, RuntimeError):  # HDF5 has one for each way to be absent
        raise RunFileError(f"{file}: the variable {name!r} is missing") from None
    if dataset.get_offset() is None:  # not contiguous in this file; the check costs a tenth
        plan = dataset.get_create_plist()
        storage = plan.get_layout()
        if storage == h5d.VIRTUAL or (storage == h5d.CONTIGUOUS and plan.get_external_count()):
            raise RunFileError(f"{file}: the variable {name!r} lies in another file")
    return dataset


def stated_length(start: bytes) -> int | None:
    """Read the length that an HDF5 file states in its first bytes; None for any other file.

    As `RunWriter`, h5py and netCDF write it, with addresses of eight bytes.
    """
    if start[:8] != b"\x89HDF\r\n\x1a\n" or len(start) < 64:
        return None
    width, end = _SUPERBLOCKS.get(start[8], (0, 0))
    if not width or start[width] != 8:
        return None
    return int(struct.unpack_from("<Q", start, end)[0])


def check_all(h5: h5py.File, file: Path, but: Collection[str] = ()) -> None:
    """Raise RunFileError for what xarray, which opens everything, should not open.

    That is a link, or a variable that is not all in the file; `but` are checked elsewhere.
    """

    def elsewhere(name: bytes, link: h5l.LinkInfo) -> bytes | None:
        return None if link.type == h5l.TYPE_HARD else name  # a name ends the visit

    if link_name := h5.id.links.visit(elsewhere, info=True):
        told = link_name.decode(errors="replace")
        raise RunFileError(f"{file}: {told!r} is a link, expected what lies in this file")
    looked_at, texts = {}, 0
    for name in h5:
        if h5.get(name, getclass=True) is not h5py.Dataset:
            continue
        dataset = variable(h5, file, name)
        if name in but or _is_extent(dataset, file):
            continue
        texts += _check_variable(dataset, file, name)
        looked_at[name] = dataset
    check_names(looked_at, file)
    check_together(looked_at, file, texts)


def check_names(datasets: Mapping[str, h5d.DatasetID], file: Path) -> None:
    """Raise RunFileError where two names share one variable, which would be read twice."""
    names: dict[int, str] = {}
    for name, dataset in datasets.items():
        other = names.setdefault(h5py.h5o.get_info(dataset).addr, name)
        if other != name:
            raise RunFileError(f"{file}: the variables {other!r} and {name!r} are one")


def check_together(datasets: Mapping[str, h5d.DatasetID], file: Path, texts: int = 0) -> None:
    """Raise RunFileError where checked variables inflate too much together.

    `texts` are bytes that are read in addition, of texts of any length.
    """
    stored = sum(dataset.get_storage_size() for dataset in datasets.values())
    content = texts + sum(
        _itemsize(dataset) * math.prod(dataset.shape) for dataset in datasets.values()
    )
    if content > max(SMALL_TOGETHER, INFLATION * stored):
        raise RunFileError(
            f"{file}: its variables claim {content} bytes together, more than their {stored} "
            f"stored ones can hold"
        )


def _is_extent(dataset: h5d.DatasetID, file: Path) -> bool:
    """Whether a dataset stands for a length alone, of which h5netcdf reads nothing."""
    told = attribute(dataset, file, "NAME")
    return (
        isinstance(told, str)
        and told.startswith(_NO_VARIABLE)
        and h5a.open(dataset, b"NAME").shape == ()
    )


def check_storage(dataset: h5d.DatasetID, file: Path, name: str) -> None:
    """Raise RunFileError unless a variable holds numbers that are all in the file."""
    if dataset.dtype.kind not in "iuf":
        raise RunFileError(f"{file}: the variable {name!r} must hold numbers, got {dataset.dtype}")
    _check_bytes(dataset, file, name)


def _check_variable(dataset: h5d.DatasetID, file: Path, name: str) -> int:
    """Check a variable that may hold text or flags too, as `check_storage`; bytes of its texts."""
    dtype = dataset.dtype
    if dtype.hasobject and h5py.check_string_dtype(dtype) is None:
        raise RunFileError(f"{file}: the variable {name!r} must hold numbers or text, got {dtype}")
    _check_bytes(dataset, file, name)
    return _check_texts(dataset, file, name) if dtype.hasobject else 0


def _check_texts(dataset: h5d.DatasetID, file: Path, name: str) -> int:
    """Bytes that texts take as xarray has them, all as wide as the longest, of four bytes a letter.

    Raises where that, or all texts together, are far more than the file: one text may stand in
    many places.
    """
    room = h5py.h5i.get_file_id(dataset).get_filesize()
    values, length, longest = h5py.Dataset(dataset), 0, 0
    at_once = max(1, SMALL // room)  # none of them is longer than the file
    for corner in np.ndindex(values.shape[:-1]):
        for start in range(0, values.shape[-1] if values.shape else 1, at_once):
            part = (*corner, slice(start, start + at_once)) if values.shape else ()
            lengths = [len(text) for text in np.atleast_1d(values[part])]
            length, longest = length + sum(lengths), max(longest, *lengths)
            if length > max(SMALL, room) or 4 * longest * values.size > max(SMALL, 4 * room):
                raise RunFileError(
                    f"{file}: the texts of {name!r} take far more than the {room} bytes of the file"
                )
    return 4 * longest * int(values.size)


def _check_bytes(dataset: h5d.DatasetID, file: Path, name: str) -> None:
    """Raise where chunks, filters or bytes of a variable are not what its shape needs."""
    shape, plan = dataset.shape, dataset.get_create_plist()
    itemsize = _itemsize(dataset)
    content, stored = itemsize * math.prod(shape), dataset.get_storage_size()
    room = h5py.h5i.get_file_id(dataset).get_filesize()
    chunked = plan.get_layout() == h5d.CHUNKED
    if chunked and (size := itemsize * math.prod(plan.get_chunk())) > LARGEST_CHUNK:
        raise RunFileError(
            f"{file}: a chunk of {name!r} has {size} bytes, the limit is {LARGEST_CHUNK}"
        )
    if content and (not stored or (chunked and dataset.get_num_chunks() != _chunks(shape, plan))):
        raise RunFileError(f"{file}: a part of the variable {name!r} was never written")
    filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
    if unknown := set(filters) - set(_FILTERS):
        raise RunFileError(f"{file}: {name!r} is stored with the unknown filter {min(unknown)}")
    if len(set(filters)) < len(filters):  # only one layer of deflate is checked below
        raise RunFileError(f"{file}: {name!r} is stored with the same filter twice")
    most = max(SMALL, INFLATION * stored) if filters else stored
    if stored > room or content > most:
        raise RunFileError(
            f"{file}: the variable {name!r} claims {content} bytes, more than the {stored} stored "
            f"ones of a file of {room} can hold"
        )
    if h5z.FILTER_DEFLATE in filters:
        _check_inflation(dataset, file, name, filters)


def _itemsize(dataset: h5d.DatasetID) -> int:
    """Bytes of an element where it is stored; of a text of any length, those of its address."""
    return _REFERENCE if dataset.dtype.hasobject else int(dataset.dtype.itemsize)


def _chunks(shape: tuple[int, ...], plan: h5py.h5p.PropDCID) -> int:
    return math.prod(-(-n // c) for n, c in zip(shape, plan.get_chunk(), strict=True))


def _check_inflation(dataset: h5d.DatasetID, file: Path, name: str, filters: list[int]) -> None:
    """Raise where a deflated chunk is longer than a chunk; HDF5 would take memory for all of it."""
    chunk = dataset.get_create_plist().get_chunk()
    size = _itemsize(dataset) * math.prod(chunk)
    corners = itertools.product(
        *(range(0, n, c) for n, c in zip(dataset.shape, chunk, strict=True))
    )
    skipped = 1 << filters.index(h5z.FILTER_DEFLATE)
    for corner in corners:
        mask, raw = dataset.read_direct_chunk(corner)
        if mask & skipped:
            continue
        inflating = zlib.decompressobj()
        try:
            length = len(inflating.decompress(raw, size + 5))  # a checksum of 4 may lie within
        except zlib.error as error:
            raise RunFileError(f"{file}: {name!r} cannot be inflated: {error}") from None
        if length > size + 4:
            raise RunFileError(
                f"{file}: a chunk of {name!r} inflates to more than its {size} bytes"
            )
