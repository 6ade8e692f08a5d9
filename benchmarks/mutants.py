"""Bad files made from good ones, for `fuzz.py` and for tests: each is drawn from a generator.

A mutant of the bytes (`change_bytes`) may do no harm: HDF5 leaves gaps, and a pad may hold
anything.  A mutant of the structure (`IN_FILE`, `IN_FOLDER`, `JOURNALS`) is a valid HDF5 file,
or no file at all, that lies; those in `HARMLESS` may be read as the original is.
"""

# All harms of a kind are called alike, whatever they need.
# ruff: noqa: ARG001

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
from h5py import h5p

from heatcap.runfile import RunWriter

__all__ = [
    "HARMLESS",
    "HARMLESS_IN_OLD",
    "IN_FILE",
    "IN_FOLDER",
    "JOURNALS",
    "change_bytes",
    "change_table",
    "deaths",
    "odd_document",
    "structures",
    "unseal",
    "write_run",
]

HUGE = 10**12
DEEP = 200_000  # brackets of a JSON text
BOMB = 2**28  # bytes that inflate from some hundred kilobytes


def write_run(path: Path, *, checkpoints: int = 4, layers: int = 2, inputs: int = 9) -> Path:
    """A good run, whose values are what its name and extents make them."""
    draw = np.random.default_rng([checkpoints, layers, inputs])
    with RunWriter.create(
        path,
        layers=layers,
        heads=2,
        keys=3,
        queries=[1, 2],
        probe_input=np.arange(2 * inputs).reshape(inputs, 2),
        probe_trained=np.arange(inputs) % 2,
        probe_mirror_trained=None,
        probe_population=inputs,
        size_name="p",
        size=5.0,
        seed=1,
        parameters={"p": 5, "seed": 1, "fraction": 0.5, "task": "addition"},
        d_k=8,
    ) as run:
        for step in range(checkpoints):
            run.log(step, train_loss=1 / (step + 1), test_accuracy=step / checkpoints)
            run.append(step, draw.normal(size=run.shape).astype(np.float32))
        run.finish("step limit")
    return path


# Bytes ---------------------------------------------------------------------------------------

SIGNATURES = re.compile(
    rb"\x89HDF\r\n\x1a\n|TREE|HEAP|SNOD|GCOL|OHDR|OCHK|FRHP|FHDB|FHIB|FSHD|FSSE|BTHD|BTLF|BTIN"
    rb"|EAHD|EAIB|EASB|EADB|FAHD|FADB|SMTB|SMLI"
)
NUMBERS = (0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def structures(data: bytes) -> list[int]:
    """Where HDF5 keeps something about the data, by its signatures."""
    return [found.start() for found in SIGNATURES.finditer(data)]


def change_bytes(data: bytes, draw: Random) -> tuple[str, bytes]:
    """Name of the change, and the bytes after it; half of all changes are near a structure."""
    places, out = structures(data), bytearray(data)
    names = []
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        near = places and draw.random() < 0.5
        at = draw.choice(places) + draw.randrange(160) if near else draw.randrange(len(data))
        change = draw.choice(BYTE_CHANGES)
        names.append(change.__name__.strip("_"))
        change(out, min(at, max(len(out) - 1, 0)), draw, places)
    return "+".join(sorted(set(names))), bytes(out)


def _flip(out: bytearray, at: int, draw: Random, _: list[int]) -> None:
    for i in range(at, min(at + draw.choice((1, 1, 8)), len(out))):
        out[i] ^= 1 << draw.randrange(8)


def _byte(out: bytearray, at: int, draw: Random, _: list[int]) -> None:
    out[at : at + 1] = bytes([draw.choice((0, 1, 127, 128, 255, draw.randrange(256)))])


def _number(out: bytearray, at: int, draw: Random, places: list[int]) -> None:
    """An extreme number, or the address of a structure: sizes that lie, pointers in a circle."""
    value = draw.choice((*NUMBERS, *(places or [0])[:20]))
    width = draw.choice((2, 4, 8))
    out[at : at + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")[: len(out) - at]


def _zero(out: bytearray, at: int, draw: Random, _: list[int]) -> None:
    stop = min(at + draw.choice((4, 64, 512, 4096)), len(out))
    out[at:stop] = bytes(stop - at)


def _copy(out: bytearray, at: int, draw: Random, places: list[int]) -> None:
    """A range over another one of the same length."""
    source = draw.choice(places) if places else draw.randrange(len(out) or 1)
    part = out[source : source + draw.choice((8, 40, 512))]
    out[at : at + len(part)] = part[: len(out) - at]


def _swap(out: bytearray, at: int, draw: Random, _: list[int]) -> None:
    length = draw.choice((1, 8, 64, 1024))
    other = draw.randrange(len(out) or 1)
    first, second = sorted((at, other))
    length = min(length, second - first, len(out) - second)
    a, b = out[first : first + length], out[second : second + length]
    out[first : first + length], out[second : second + length] = b, a


def _insert(out: bytearray, at: int, draw: Random, _: list[int]) -> None:
    out[at:at] = draw.randbytes(draw.choice((1, 8, 513)))


def _delete(out: bytearray, at: int, draw: Random, _: list[int]) -> None:
    del out[at : at + draw.choice((1, 8, 513))]


def _truncate(out: bytearray, at: int, draw: Random, _: list[int]) -> None:
    del out[max(at, 1) :]


def _append(out: bytearray, at: int, draw: Random, _: list[int]) -> None:
    out += draw.randbytes(draw.choice((1, 100, 5000)))


BYTE_CHANGES = (
    *(_flip, _flip, _byte, _byte, _number, _number, _zero, _copy, _swap),
    *(_insert, _delete, _truncate, _append),
)


# Structure -----------------------------------------------------------------------------------

InFile = Callable[[h5py.File, Random], None]
IN_FILE: dict[str, InFile] = {}
#: What may be read as the original is, or as another good file.
HARMLESS: set[str] = set()
#: What foreign writers of version 1 did: names that are taken get a prefix, and a caution.
HARMLESS_IN_OLD = ("clashing_metric", "clashing_parameter", "odd_metrics")


def _in_file(harm: InFile) -> InFile:
    IN_FILE[harm.__name__.strip("_")] = harm
    return harm


def _harmless(harm: InFile) -> InFile:
    HARMLESS.add(harm.__name__.strip("_"))
    return _in_file(harm)


def unseal(h5: h5py.File) -> None:
    """Make a file of version 1, which has no checksums that a lie would have to match."""
    h5.attrs["format_version"] = 1
    h5.attrs.pop("header_checksum", None)
    h5.pop("logits_checksum", None)
    for variable in h5.values():
        variable.attrs.pop("checksum", None)


def _instead(h5: h5py.File, name: str, *args: Any, **how: Any) -> h5py.Dataset:
    """Another dataset in the place of one, with its attributes."""
    kept = {key: value for key, value in h5[name].attrs.items() if key not in _SCALE}
    del h5[name]
    new = h5.create_dataset(name, *args, **how)
    for key, value in kept.items():
        new.attrs[key] = value
    return new


_SCALE = ("CLASS", "REFERENCE_LIST", "DIMENSION_LIST", "NAME", "_Netcdf4Dimid")
_VARIABLES = (
    *("logits", "step", "metric_step", "probe_input", "probe_trained", "probe_mirror_trained"),
    *("query", "key", "layer", "head", "probe", "position"),
)
_ATTRIBUTES = (
    *("format", "format_version", "run_id", "parameters", "size_name", "size", "seed"),
    *("probe_population", "stop_reason", "config"),
)
_METRICS = ("train_loss", "test_accuracy")


@_in_file
def huge_logits(h5: h5py.File, draw: Random) -> None:
    shape = list(h5["logits"].shape)
    shape[draw.randrange(6)] = HUGE
    _instead(h5, "logits", shape=shape, dtype="f4", chunks=(1, 1, 1, 1, 1, min(shape[5], 3)))


@_in_file
def huge_in_accord(h5: h5py.File, draw: Random) -> None:
    """One dimension is huge in all that have it, so that no shape contradicts another."""
    dim, extent = draw.choice(("step", "probe", "key", "layer", "head", "query")), HUGE
    axis = ("step", "layer", "head", "probe", "query", "key").index(dim)
    shape = list(h5["logits"].shape)
    shape[axis] = extent
    maximal = [None, *shape[1:]]
    chunks = (1, 1, 1, 1, 1, min(shape[5], 1000))
    _instead(h5, "logits", shape=shape, maxshape=maximal, dtype="f4", chunks=chunks)
    for name in (dim, *(("probe_input", "probe_trained", "probe_mirror_trained")
                        if dim == "probe" else ())):  # fmt: skip
        own = (extent, *h5[name].shape[1:])
        _instead(h5, name, shape=own, dtype=h5[name].dtype, chunks=(1000, *own[1:]))


@_in_file
def huge_metric(h5: h5py.File, draw: Random) -> None:
    extent = draw.choice((HUGE, 2**31, 10**8))
    for name in [n for n in h5 if h5[n].shape == h5["metric_step"].shape and n != "step"]:
        _instead(h5, name, shape=(extent,), dtype=h5[name].dtype, chunks=(1000,))


@_in_file
def huge_chunk(h5: h5py.File, draw: Random) -> None:
    """Chunks of a gibibyte in one dataset, unwritten but one value."""
    name = draw.choice(("logits", "train_loss", "step"))
    values = h5[name][...]
    grown = (None,) * values.ndim
    chunks = (2**27, *(1,) * (values.ndim - 1))
    _instead(h5, name, shape=values.shape, maxshape=grown, dtype=values.dtype, chunks=chunks)


@_in_file
def unwritten_chunks(h5: h5py.File, draw: Random) -> None:
    name = draw.choice(("logits", "train_loss", "step", "probe_input"))
    old = h5[name]
    _instead(h5, name, shape=old.shape, dtype=old.dtype, chunks=(1, *old.shape[1:]))


@_in_file
def lost_chunk(h5: h5py.File, draw: Random) -> None:
    """One checkpoint of logits was never written."""
    values = h5["logits"][...]
    new = _instead(
        h5, "logits", shape=values.shape, dtype="f4", chunks=(1, 1, *values.shape[2:]), fillvalue=0
    )
    for at in range(len(values) - 1):
        new[at] = values[at]


@_in_file
def gzip_bomb(h5: h5py.File, draw: Random) -> None:
    """Zeros that inflate a thousand times."""
    name = draw.choice(("probe_input", "train_loss", "logits"))
    shape = list(h5[name].shape)
    shape[-1 if name == "logits" else 0] = BOMB // 4
    zeros = {"chunks": True, "compression": "gzip", "compression_opts": 1}
    new = _instead(h5, name, shape=shape, dtype=h5[name].dtype, **zeros)
    new[(0,) * (new.ndim - 1)] = 0


@_in_file
def double_bomb(h5: h5py.File, draw: Random) -> None:
    """A chunk of zeros that were deflated twice."""
    shape, chunks, plan = h5["train_loss"].shape, (1024,), h5p.create(h5p.DATASET_CREATE)
    plan.set_chunk(chunks)
    for _ in range(2):
        plan.set_deflate(draw.randrange(1, 10))
    del h5["train_loss"]
    space = h5py.h5s.create_simple(shape, (h5py.h5s.UNLIMITED,))
    new = h5py.h5d.create(h5.id, b"train_loss", h5py.h5t.IEEE_F64LE, space, plan)
    new.write_direct_chunk((0,), zlib.compress(zlib.compress(bytes(BOMB), 9), 9))


@_in_file
def attribute_bomb(h5: h5py.File, draw: Random) -> None:
    """Text of 64 MB in a heap."""
    name = draw.choice(("config", "parameters", "run_id", "stop_reason", "size_name"))
    text = {"config": '{"a": "%s"}', "parameters": '{"task": "%s"}'}.get(name, "%s")
    h5.attrs[name] = text % ("x" * 2**26)


@_in_file
def deep_json(h5: h5py.File, draw: Random) -> None:
    text = draw.choice(("[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP))
    h5.attrs["parameters"] = text


@_in_file
def odd_json(h5: h5py.File, draw: Random) -> None:
    h5.attrs["parameters"] = draw.choice(
        (
            *('{"p": NaN}', '{"p": Infinity}', '{"p": -1e999}', '{"p": %s}' % ("9" * 6000)),
            *('{"p": "\\ud800"}', '{"p": "a\\u0000b"}', '{"p": null}', '{"p": [1]}', '{"": 1}'),
            *("{", "null", "[]", '{"p": 1, "p": 2}', '{"a/b": 1}', "\ufeff{}"),
            '{"\\ud800": 1}',
        )
    )


@_in_file
def clashing_parameter(h5: h5py.File, draw: Random) -> None:
    """A parameter that is called like something else."""
    name = draw.choice(("run", "step", "entropy", "size", "path", "metric_entropy", "__class__"))
    h5.attrs["parameters"] = json.dumps({name: 3})


@_in_file
def odd_text(h5: h5py.File, draw: Random) -> None:
    """Text that no writer of runs writes: NUL, bytes that are not UTF-8, no text at all."""
    name = draw.choice(("run_id", "size_name", "stop_reason", "format", "parameters"))
    h5.attrs[name] = draw.choice(
        (
            *(np.bytes_(b"\xff\xfe\x80"), b"\xed\xa0\x80", np.float64(3), np.arange(4.0)),
            *(h5py.Empty("S1"), h5py.Empty("f8"), np.array([["a", "b"]], dtype=object)),
        )
    )


@_in_file
def nul_in_text(h5: h5py.File, draw: Random) -> None:
    name = draw.choice(("run_id", "size_name", "stop_reason"))
    fixed = np.bytes_(b"a\0b")
    h5.attrs.create(name, fixed, dtype=h5py.string_dtype("utf-8", 3))


@_harmless
def hostile_text(h5: h5py.File, draw: Random) -> None:
    """Text that is allowed, and that a sink may trip over."""
    name = draw.choice(("run_id", "size_name", "stop_reason"))
    h5.attrs[name] = draw.choice(
        ("[/bold]", "[link=x]", "\x1b[2J", "a\nb", "=1+1", "\u202eabc", "$\\frac{", "../../x", "")
    )


@_in_file
def odd_number(h5: h5py.File, draw: Random) -> None:
    name, values = draw.choice(
        (
            (
                "size",
                (np.nan, -1.0, 0.0, np.inf, -np.inf, "5", 1 + 2j, [5.0, 6.0], h5py.Empty("f8")),
            ),
            ("seed", (0.5, "1", [1, 2], np.nan, h5py.Empty("i8"))),
            ("probe_population", (-1, 1, 0.5, "9", [3, 4])),
        )
    )
    h5.attrs[name] = draw.choice(values)


@_in_file
def odd_version(h5: h5py.File, draw: Random) -> None:
    h5.attrs["format_version"] = draw.choice((0, -1, 99, 2**62, 1.5, "1", [1, 2], np.nan))


@_in_file
def foreign_format(h5: h5py.File, draw: Random) -> None:
    h5.attrs["format"] = draw.choice(("", "heatcap", "HEATCAP-RUN", "heatcap-run2", 1))


@_in_file
def missing_variable(h5: h5py.File, draw: Random) -> None:
    del h5[draw.choice(_VARIABLES[:6])]


@_in_file
def missing_attribute(h5: h5py.File, draw: Random) -> None:
    del h5.attrs[draw.choice(_ATTRIBUTES[:9])]


@_harmless
def more_things(h5: h5py.File, draw: Random) -> None:
    """Names that a reader does not know, which it must not mind."""
    h5.create_group("more/deep/er")
    h5["more/values"] = np.arange(3)
    h5.attrs["more"] = "x"


@_in_file
def wrong_type(h5: h5py.File, draw: Random) -> None:
    name = draw.choice((*_VARIABLES[:6], *_METRICS))
    types = ["S4", h5py.string_dtype(), "c16", [("a", "f4")], h5py.vlen_dtype("f4"), h5py.ref_dtype]
    types += [h5py.opaque_dtype("V4"), h5py.enum_dtype({"a": 1}, "i4")]
    types += {"logits": ["f8", "f2", "i4", "u1"], "step": ["f4", "f8"]}.get(name, [])
    kind = draw.choice(types)
    old = h5[name]
    _instead(h5, name, shape=old.shape, dtype=kind, chunks=(1, *old.shape[1:]))


@_in_file
def wrong_shape(h5: h5py.File, draw: Random) -> None:
    name = draw.choice((*_VARIABLES[:6], *_METRICS))
    values = h5[name][...]
    _instead(h5, name, data=draw.choice((values[:-1], values[..., None], np.array(values.flat[0]))))


@_in_file
def zero_extent(h5: h5py.File, draw: Random) -> None:
    """No layer, head, probe input, query or key, in accord over the file."""
    dim = draw.choice(("layer", "head", "probe", "query", "key"))
    axis = ("step", "layer", "head", "probe", "query", "key").index(dim)
    shape = list(h5["logits"].shape)
    shape[axis] = 0
    _instead(h5, "logits", shape=shape, dtype="f4")
    for name in (dim, *(("probe_input", "probe_trained", "probe_mirror_trained")
                        if dim == "probe" else ())):  # fmt: skip
        _instead(h5, name, shape=(0, *h5[name].shape[1:]), dtype=h5[name].dtype)


@_in_file
def group_instead(h5: h5py.File, draw: Random) -> None:
    name = draw.choice((*_VARIABLES[:6], *_METRICS))
    del h5[name]
    h5.create_group(name)


@_in_file
def type_instead(h5: h5py.File, draw: Random) -> None:
    name = draw.choice(("logits", "step", "probe_trained", "train_loss"))
    del h5[name]
    h5[name] = np.dtype("f4")


@_in_file
def external_link(h5: h5py.File, draw: Random) -> None:
    name = draw.choice((*_VARIABLES[:6], *_METRICS))
    del h5[name]
    h5[name] = h5py.ExternalLink("../beside/other.h5", f"/{name}")


@_in_file
def soft_link(h5: h5py.File, draw: Random) -> None:
    name = draw.choice(("logits", "step", "train_loss", "probe_trained"))
    target = draw.choice((f"/{name}", "/nowhere", "/kept"))
    h5["kept"] = h5[name]
    del h5[name]
    h5[name] = h5py.SoftLink(target)


@_in_file
def external_storage(h5: h5py.File, draw: Random) -> None:
    name = draw.choice(("logits", "train_loss", "step", "probe_input"))
    old = h5[name]
    where = draw.choice(("../beside/precious.bin", os.path.abspath(h5.filename) + ".raw"))
    _instead(h5, name, shape=old.shape, dtype=old.dtype, external=[(where, 0, h5py.h5f.UNLIMITED)])


@_in_file
def virtual_dataset(h5: h5py.File, draw: Random) -> None:
    name = draw.choice(("logits", "train_loss", "step"))
    old = h5[name]
    layout = h5py.VirtualLayout(old.shape, old.dtype)
    layout[...] = h5py.VirtualSource("../beside/other.h5", name, old.shape)
    del h5[name]
    h5.create_virtual_dataset(name, layout)


@_in_file
def references(h5: h5py.File, draw: Random) -> None:
    h5.attrs[draw.choice(("run_id", "parameters", "size", "seed"))] = h5["logits"].ref


@_in_file
def unordered_steps(h5: h5py.File, draw: Random) -> None:
    name = draw.choice(("step", "metric_step"))
    values = h5[name][...]
    at = draw.randrange(len(values) - 1)
    values[at + 1] = draw.choice((values[at], values[at] - 1, -5, np.iinfo(np.int64).min))
    h5[name][...] = values


@_in_file
def odd_flags(h5: h5py.File, draw: Random) -> None:
    name = draw.choice(("probe_trained", "probe_mirror_trained"))
    h5[name][draw.randrange(len(h5[name]))] = draw.choice((2, -2, 127, -128))


@_in_file
def odd_logits(h5: h5py.File, draw: Random) -> None:
    """A number that is no logit, or a row that sees nothing."""
    at = [draw.randrange(extent) for extent in h5["logits"].shape]
    value = draw.choice((np.nan, np.inf, -1e30, 1e30, -65504.0))
    h5["logits"][(*at[:5], slice(None) if draw.random() < 0.3 else at[5])] = value


@_in_file
def odd_accuracy(h5: h5py.File, draw: Random) -> None:
    h5["test_accuracy"][draw.randrange(len(h5["test_accuracy"]))] = draw.choice((55.0, -1.0, 1e300))


@_in_file
def odd_metrics(h5: h5py.File, draw: Random) -> None:
    """Names of metrics that mean something else, or are no names."""
    h5["metric_step"].attrs["metrics"] = draw.choice(
        (
            *(
                "logits",
                "step",
                "train_loss probe_trained",
                "../x",
                "train_loss nothing",
                "entropy",
            ),
            *("x " * 200_000, "a\x1bb", 3, "train_loss train_loss", "/", "metric_step"),
        )
    )


@_in_file
def clashing_metric(h5: h5py.File, draw: Random) -> None:
    """A metric that is called like an observable."""
    name = draw.choice(("entropy", "heat_capacity", "visible_keys", "checksum", "size", "path"))
    h5[name] = np.full(h5["metric_step"].shape, 7.0)
    h5["metric_step"].attrs["metrics"] = "train_loss test_accuracy " + name


@_in_file
def odd_filter(h5: h5py.File, draw: Random) -> None:
    """A checksum or a filter of somebody's, and bytes that it cannot undo."""
    values = h5["logits"][...]
    how = draw.choice(({"fletcher32": True}, {"compression": "gzip"}, {"compression": "lzf"}))
    new = _instead(h5, "logits", shape=values.shape, dtype="f4", chunks=values.shape, **how)
    new.id.write_direct_chunk((0,) * 6, draw.randbytes(values.nbytes // 2))


@_in_file
def no_checkpoint(h5: h5py.File, draw: Random) -> None:
    _instead(h5, "step", shape=(0,), maxshape=(None,), dtype="i8")
    _instead(h5, "logits", shape=(0, *h5["logits"].shape[1:]), dtype="f4")


# Files and folders ---------------------------------------------------------------------------

InFolder = Callable[[Path, Random], None]
IN_FOLDER: dict[str, InFolder] = {}


def _in_folder(harm: InFolder) -> InFolder:
    IN_FOLDER[harm.__name__.strip("_")] = harm
    return harm


@_in_folder
def empty(path: Path, draw: Random) -> None:
    path.write_bytes(b"")


@_in_folder
def other_content(path: Path, draw: Random) -> None:
    path.write_bytes(draw.choice((b"step,loss\n0,1\n", b"\0" * 9000, b"PK\x03\x04", b"{}")))


@_in_folder
def folder(path: Path, draw: Random) -> None:
    path.unlink()
    path.mkdir()


@_in_folder
def fifo(path: Path, draw: Random) -> None:
    path.unlink()
    os.mkfifo(path)


@_in_folder
def link_to_device(path: Path, draw: Random) -> None:
    path.unlink()
    path.symlink_to(draw.choice(("/dev/zero", "/dev/null", "/dev/urandom")))


@_in_folder
def dangling_link(path: Path, draw: Random) -> None:
    path.unlink()
    path.symlink_to("nowhere.h5")


@_in_folder
def link_to_itself(path: Path, draw: Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


@_in_folder
def missing(path: Path, draw: Random) -> None:
    path.unlink()


@_in_folder
def unreadable(path: Path, draw: Random) -> None:
    path.chmod(0)


@_in_folder
def sparse(path: Path, draw: Random) -> None:
    """The good file, grown to a tebibyte of nothing."""
    try:
        os.truncate(path, 2**40)
    except OSError as error:
        if error.errno not in (errno.EFBIG, errno.EINVAL, errno.ENOSPC):
            raise


HARMLESS |= {"sparse", "unreadable"}  # a tail that is not read; root reads everything


# Journals ------------------------------------------------------------------------------------


def deaths(path: Path, folder: Path) -> Iterator[tuple[bytes, bytes]]:
    """File and journal after the death of a writer at each of its writes to the disk."""
    died, count = True, 0
    while died:
        own = Path(shutil.copy(path, folder / f"death{count}.h5"))
        if (child := os.fork()) == 0:
            _append_and_die(own, count)
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77
        journal = own.with_name(own.name + ".journal")
        yield own.read_bytes(), journal.read_bytes() if journal.exists() else b""
        count += 1


def _append_and_die(path: Path, writes: int) -> None:
    """In a child: add a checkpoint, and be gone at a write."""
    real, left = os.pwrite, writes

    def pwrite(*arguments: Any) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            os._exit(77)
        return real(*arguments)

    try:
        with RunWriter.resume(path) as run:
            os.pwrite = pwrite
            step = 1 + (run.last_step or 0)
            run.append(step, np.full(run.shape, 0.25, np.float32))
    finally:
        os._exit(0)


Journal = Callable[[Path, bytes, Random], None]
JOURNALS: dict[str, Journal] = {}


def _journal(harm: Journal) -> Journal:
    JOURNALS[harm.__name__.strip("_")] = harm
    return harm


@_journal
def journal_as_left(journal: Path, good: bytes, draw: Random) -> None:
    journal.write_bytes(good)


@_journal
def journal_bytes(journal: Path, good: bytes, draw: Random) -> None:
    journal.write_bytes(change_bytes(good or b"heatcap-journal", draw)[1])


@_journal
def journal_linked(journal: Path, good: bytes, draw: Random) -> None:
    """A sealed journal somewhere else, by a link."""
    (journal.parent.parent / "beside" / "journal").write_bytes(good)
    journal.symlink_to("../beside/journal")


@_journal
def journal_to_precious(journal: Path, good: bytes, draw: Random) -> None:
    journal.symlink_to(
        draw.choice(("../beside/precious.bin", "../beside", "nowhere", journal.name))
    )


@_journal
def journal_fifo(journal: Path, good: bytes, draw: Random) -> None:
    os.mkfifo(journal)


@_journal
def journal_folder(journal: Path, good: bytes, draw: Random) -> None:
    journal.mkdir()


@_journal
def run_linked(journal: Path, good: bytes, draw: Random) -> None:
    """The run is a link to a file elsewhere, beside whose link a journal lies."""
    run = journal.with_name(journal.name.removesuffix(".journal"))
    target = run.parent.parent / "beside" / "linked.h5"
    run.rename(target)
    run.symlink_to("../beside/linked.h5")
    journal.write_bytes(good)


@_journal
def journal_of_zeros(journal: Path, good: bytes, draw: Random) -> None:
    """Sparse, a tebibyte."""
    with journal.open("wb") as file:
        file.write(good)
        try:
            file.truncate(2**40)
        except OSError:
            file.truncate(2**32)


# Tables --------------------------------------------------------------------------------------

CELLS = (
    *("", "nan", "inf", "-inf", "1e999", "-1", "0", "1_000", "0x10", "1,5", "٣", "١٢", "1e-400"),
    *('"', '""', "'", "=1+1", "None", "NA", "\0", "\ufeff1", "1e5 ", "−1", "1.5.2", "9" * 400),
    *("[/x]", "\x1b[2J", "True", "1+2j", "\u2028", "#", "a" * 5000, "\ud800"),
)


def change_table(text: str, draw: Random) -> str:
    """A text table with other cells, rows, columns, separators or line ends."""
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(draw.choice((1, 1, 2, 5))):
        row = draw.choice(rows)
        at = draw.randrange(len(row) or 1)
        match draw.randrange(8):
            case 0 | 1 | 2:
                row[at : at + 1] = [draw.choice(CELLS)]
            case 3:
                row.insert(at, draw.choice(CELLS))
            case 4:
                del row[at : at + 1]
            case 5:
                rows.append(list(draw.choice(rows)))
            case 6:
                rows[0][at : at + 1] = [draw.choice((*CELLS, *rows[0]))]
            case 7:
                draw.shuffle(rows)
        rows = rows or [[""]]
    separator, end = draw.choice((",", ",", ",", ";", "\t", " ", "|")), draw.choice("\n\n\n\r")
    return end.join(separator.join(row) for row in rows) + end


def odd_document(draw: Random) -> tuple[str, bytes]:
    """What is no table, under the name of one: suffix and content."""
    numbers = io.BytesIO()
    np.savez(numbers, L=np.arange(4.0), x=np.arange(4.0), A=np.arange(4.0))
    objects = io.BytesIO()
    np.save(objects, np.array([Path("x")]), allow_pickle=True)
    record = json.dumps({"L": [1, 2], "x": [1, 2], "A": [1, 2]}).encode()
    contents = (numbers.getvalue(), objects.getvalue(), record, b"PK\x03\x04" + draw.randbytes(500))
    content = draw.choice((*contents, b"[" * DEEP, b"\n" * 10**6, b"," * 10**6, b"1 " * 10**6))
    if draw.random() < 0.5:
        content = change_bytes(content, draw)[1]
    kinds = (".csv", ".txt", ".json", ".npz", ".parquet", ".nc", ".xlsx", ".h5", "")
    return draw.choice(kinds), content
