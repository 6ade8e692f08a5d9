"""Files of labelled arrays, read whole: a seal shows damage before HDF5 reads a byte.

A file that `save` of observables writes ends with a line of its own, behind all that HDF5 reads:
the SHA-256 of what precedes it.  It detects accidents, not forgery.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from heatcap.runfile.layout import RunFileError
from heatcap.runfile.storage import check_all

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SEALED", "array_names", "read_netcdf", "sealed"]

#: Attribute of a dataset whose file ends with a seal, which is missed when it is cut off.
SEALED = "sealed"

_MARK = b"\nheatcap-sha256 "
_LENGTH = len(_MARK) + 64 + 1
_BLOCK = 1 << 20


def sealed(content: bytes | memoryview) -> bytes:
    """Append the seal to the content of a file."""
    digest = hashlib.sha256(content).hexdigest().encode()
    return b"".join((content, _MARK, digest, b"\n"))


def read_netcdf(path: str | os.PathLike[str], expected: str) -> xr.Dataset:
    """Read a Dataset into memory; errors name `expected`, the contents the file should have.

    Raises
    ------
    ValueError
        If the file is missing, damaged or not NetCDF.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file, expected {expected}")
    import xarray as xr  # half a second, with pandas

    try:
        whole = _has_seal(Path(path))
        if not h5py.is_hdf5(path):
            raise ValueError("it is not HDF5")
        with h5py.File(path, "r") as h5:
            check_all(h5, Path(path))
        # Arrays of other programs have no names of dimensions: those of one length share one.
        table = xr.load_dataset(path, engine="h5netcdf", phony_dims="sort")
    except RunFileError as error:
        raise ValueError(str(error)) from None
    except Exception as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: cannot be read as NetCDF ({told})") from None
    if SEALED in table.attrs and not whole:
        raise ValueError(f"{path}: is truncated, or was changed after heatcap wrote it")
    table.attrs.pop(SEALED, None)
    return table


def array_names(path: str | os.PathLike[str]) -> list[str]:
    """List the arrays of a file that `read_netcdf` has read, those in groups with their path."""
    names: list[str] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            names.append(name)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return names


def _has_seal(path: Path) -> bool:
    """Whether a file ends with its seal; raises ValueError where the seal is another one."""
    with path.open("rb") as file:
        content = os.fstat(file.fileno()).st_size - _LENGTH
        if content < 0:
            return False
        file.seek(content)
        if not (seal := file.read(_LENGTH)).startswith(_MARK):
            return False
        file.seek(0)
        digest = hashlib.sha256()
        while content > 0 and (block := file.read(min(_BLOCK, content))):
            digest.update(block)
            content -= len(block)
    if seal[len(_MARK) : -1] != digest.hexdigest().encode():
        raise ValueError("it is damaged: its bytes do not have their checksum")
    return True
