"""Tables of strangers in NetCDF: text is looked at as numbers are, before memory is taken."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from heatcap.runfile import read_netcdf

TEXT = h5py.string_dtype()


def _repeated(h5: h5py.File) -> None:
    """Two thousand references to one text of a megabyte."""
    one = h5.create_dataset("one", (1,), TEXT, chunks=(1,))
    one[0] = "x" * 10**6
    reference = one.id.read_direct_chunk((0,))[1]
    many = h5.create_dataset("run", (2000,), TEXT, chunks=(2000,), compression="gzip")
    many.id.write_direct_chunk((0,), zlib.compress(reference * 2000))


def _wide(h5: h5py.File) -> None:
    """One long text among short ones; xarray makes all as wide."""
    h5["run"] = ["a" * 10**5] + ["b"] * 500


def _padded(h5: h5py.File) -> None:
    made = h5.create_dataset("run", (100,), "S1000000", chunks=(10,), compression="gzip")
    for k in range(0, 100, 10):
        made.id.write_direct_chunk((k,), zlib.compress(bytes(10**7)))


def _sequences(h5: h5py.File) -> None:
    h5.create_dataset("run", (3,), h5py.vlen_dtype(np.float64))


BOMBS: list[tuple[Callable[[h5py.File], None], str]] = [
    (_repeated, "the texts of 'run' take far more than the 1.* bytes of the file"),
    (_wide, "the texts of 'run' take far more than the 1.* bytes of the file"),
    (_padded, "'run' claims 100000000 bytes"),
    (_sequences, "'run' must hold numbers or text"),
]


@pytest.mark.parametrize(("make", "message"), BOMBS)
def test_texts_are_bounded(tmp_path: Path, make: Callable[[h5py.File], None], message: str) -> None:
    with h5py.File(tmp_path / "a.nc", "w") as h5:
        make(h5)
    with pytest.raises(ValueError, match=f"a.nc: .*{message}"):
        read_netcdf(tmp_path / "a.nc", "a table")


def test_text_of_all_kinds_is_read(tmp_path: Path) -> None:
    table = xr.Dataset(
        {
            "text": ("x", np.array(["a", "bé"], dtype=object)),
            "bytes": ("x", np.array([b"a", b"bee"])),
            "flag": ("x", [True, False]),
            "none": ("y", np.array([], dtype=object)),
            "one": "text",
        }
    )
    table.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    read = read_netcdf(tmp_path / "a.nc", "a table")
    for name in ("text", "bytes", "flag", "one"):
        assert read[name].values.tolist() == table[name].values.tolist()
