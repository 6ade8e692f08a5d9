"""Checksums: what they are, that they are kept, and that whatever changes is found and named."""

from __future__ import annotations

import hashlib
import itertools
import json
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import heatcap
from heatcap.attention import kernels as _kernels
from heatcap.runfile import (
    LogitReader,
    RunFileError,
    RunWriter,
    open_run,
    read_header,
    validate_run,
)
from heatcap.runfile.integrity import (
    GOLDEN,
    LayerSums,
    layer_checksums,
    table_checksum,
    word_sum,
)

from runs import as_version_1, create_run, logits_at, write_run

SHIPPED = Path(__file__).parents[2] / "data" / "grokking" / "runs"


def oracle(words: list[int], start: int = 0) -> int:
    """The definition of docs/file-format.md, without the n, in Python's integers."""
    multiples = ((i + 1) * 0x9E3779B97F4A7C15 % 2**64 for i in range(start, start + len(words)))
    return sum(u * (m >> 32 | 1) for u, m in zip(words, multiples, strict=True)) % 2**64


words_of = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40)


@given(words_of, st.integers(0, 2**40))
def test_the_sums_are_the_definition(words: list[int], start: int) -> None:
    array = np.array(words, np.uint32)
    assert word_sum(array, start) == oracle(words, start)
    sums, _ = _kernels.weigh_words(array[np.newaxis], np.array([start], np.uint64))
    assert int(sums[0]) == oracle(words, start)
    plain = np.zeros(1, np.uint64)
    with np.errstate(over="ignore"):  # as without the compiler
        _kernels._word_sums.py_func(  # type: ignore[attr-defined]
            array[np.newaxis], np.array([start], np.uint64), np.uint64(GOLDEN), plain
        )
    assert int(plain[0]) == oracle(words, start)


def test_the_sums_of_more_than_a_block() -> None:
    words = np.random.default_rng(0).integers(0, 2**32, 40_000, dtype=np.uint32)
    assert word_sum(words, 5) == oracle(words.tolist(), 5)


@given(words_of, st.data())
def test_a_changed_word_is_always_found(words: list[int], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(words) - 1))
    changed = data.draw(st.integers(0, 2**32 - 1).filter(lambda word: word != words[at]))
    other = [*words[:at], changed, *words[at + 1 :]]
    assert word_sum(np.array(words, np.uint32)) != word_sum(np.array(other, np.uint32))


@given(st.lists(st.floats(), min_size=1, max_size=20), st.integers(0, 20))
def test_a_table_is_the_sum_of_its_parts(values: list[float], cut: int) -> None:
    table = np.array(values)
    parts = table_checksum(table[:cut]) + table_checksum(table[cut:], start=len(table[:cut]))
    assert parts % 2**64 == table_checksum(table)
    assert table_checksum(np.array([1, 2], np.int8)) == table_checksum(np.array([1, 2], ">i8"))


@pytest.mark.parametrize("row_sums", [None, lambda *rows: _kernels.weigh_words(*rows)[0]])
@given(seed=st.integers(0, 2**32))
def test_blocks_of_logits_in_any_order(seed: int, row_sums: Callable | None) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, size=6))
    logits = rng.normal(size=shape).astype(np.float32)
    sums = LayerSums(shape, row_sums)
    axes = [_cut(rng, shape[axis]) for axis in (0, 2, 3, 4)]
    blocks = list(itertools.product(range(shape[1]), *axes))
    for i in rng.permutation(len(blocks)):
        layer, checkpoints, heads, probes, queries = blocks[i]
        block = logits[checkpoints, layer, heads, probes, queries]
        sums.add(block, checkpoints, layer, heads, probes, queries)
    expected = np.array([layer_checksums(checkpoint) for checkpoint in logits])
    assert sums.wrong(expected) == []
    expected[-1, 0] += np.uint64(1)
    assert sums.wrong(expected) == [(shape[0] - 1, 0)]


def _cut(rng: np.random.Generator, extent: int) -> list[slice]:
    step = int(rng.integers(1, extent + 1))
    return [slice(at, min(at + step, extent)) for at in range(0, extent, step)]


def test_the_largest_magnitude_comes_along() -> None:
    values = np.array([[3.0, -np.inf, -7000.0], [0.5, -0.0, -np.inf]], np.float32)
    for rows, expected in ((values, 7000.0), (values[1:], 0.5), (np.full_like(values, np.inf), 0)):
        words = rows.view(np.uint32)
        assert _kernels.weigh_words(words, np.zeros(len(rows), np.uint64))[1] == expected


def check_against_the_documentation(path: Path) -> None:
    with h5py.File(path) as h5:
        names = [
            *("format", "format_version", "Conventions", "run_id", "size_name", "size", "seed"),
            *("probe_population", "d_k", "softmax_scale", "soft_cap", "model_dtype"),
            *("parameters", "config", "versions", "started", "finished", "stop_reason"),
        ]
        values = [h5.attrs[name] for name in names] + [h5["metric_step"].attrs["metrics"]]
        record = b""
        for name, value in zip([*names, "metrics"], values, strict=True):
            if isinstance(value, str):
                kind, stored = b"t", value.encode()
            elif np.issubdtype(value.dtype, np.integer):
                kind, stored = b"i", struct.pack("<q", value)
            else:
                kind, stored = b"f", struct.pack("<d", value)
            record += struct.pack("<I", len(name)) + name.encode() + kind
            record += struct.pack("<Q", len(stored)) + stored
        assert h5.attrs["header_checksum"] == hashlib.sha256(record).hexdigest()
        for name, variable in h5.items():
            if name not in ("logits", "logits_checksum"):
                values = variable[...]
                wide = values.astype("<f8" if values.dtype.kind == "f" else "<i8")
                found = wide.tobytes()
                words = list(struct.unpack(f"<{len(found) // 4}I", found))
                assert variable.attrs["checksum"] == (len(words) + oracle(words)) % 2**64, name
        for at, layer in np.ndindex(h5["logits_checksum"].shape):
            words = h5["logits"][at, layer].view(np.uint32).reshape(-1).tolist()
            assert h5["logits_checksum"][at, layer] == (len(words) + oracle(words)) % 2**64


def test_what_is_written_is_what_is_documented(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5", layers=2)
    check_against_the_documentation(path)
    with RunWriter.resume(path, step=2) as run:
        check_against_the_documentation(path)
        run.log(3, train_loss=1.0)
        run.log(4, test_loss=2.0)
        run.append(3, logits_at(3, run.shape))
        run.log(7, test_loss=2.0)
    check_against_the_documentation(path)
    assert validate_run(path) == []


@pytest.mark.parametrize("name", ["step", "metric_step", "layer", "head", "probe", "query", "key",
                                  "position", "probe_input", "probe_trained",
                                  "probe_mirror_trained", "train_loss", "weight_norm"])  # fmt: skip
def test_a_changed_table_is_named(run_path: Path, name: str) -> None:
    with h5py.File(run_path, "r+") as h5:
        values = h5[name][...]
        values[..., -1] = 1 - (values[..., -1] == 1)
        h5[name][...] = values
    problem = f"run.h5: the variable '{name}' is damaged"
    for read in (open_run, LogitReader, heatcap.observe, RunWriter.resume):
        with pytest.raises(RunFileError, match=problem):
            read(run_path)
    assert problem[8:] in "; ".join(validate_run(run_path))


@pytest.mark.parametrize(
    ("name", "value"),
    [("parameters", json.dumps({"p": 7})), ("size", 7.0), ("seed", 1), ("run_id", "other"),
     ("config", "{ }"), ("stop_reason", ""), ("d_k", 31), ("soft_cap", -0.0)],
)  # fmt: skip
def test_a_changed_header_is_named(run_path: Path, name: str, value: object) -> None:
    with h5py.File(run_path, "r+") as h5:
        h5.attrs[name] = value
    for read in (open_run, read_header, validate_run, LogitReader, RunWriter.resume):
        with pytest.raises(RunFileError, match=r"run.h5: the header is damaged or was changed"):
            read(run_path)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_changed_logit_is_named(tmp_path: Path, compression: str | None) -> None:
    """Also where chunks are read past HDF5."""
    path = write_run(tmp_path / "run.h5", layers=2)
    with h5py.File(path, "r+") as h5:
        values = h5["logits"][...]
        if compression:
            chunks = h5["logits"].chunks
            del h5["logits"]
            h5.create_dataset("logits", data=values, chunks=chunks, compression=compression)
    assert validate_run(path) == []
    heatcap.observe(path)
    with h5py.File(path, "r+") as h5:
        h5["logits"][3, 1, 0, 24, 0, 2] = np.nextafter(values[3, 1, 0, 24, 0, 2], np.float32(9))
    assert validate_run(path) == ["step 3, layer 1: the logits are damaged, they do not have their "
                                  "checksum"]  # fmt: skip
    with pytest.raises(RunFileError, match=r"run.h5: step 3, layer 1: the logits are damaged"):
        heatcap.observe(path)


def test_every_byte_of_the_logits_counts(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5", steps=2)
    content = path.read_bytes()
    start = content.index(logits_at(1)[0].tobytes())
    for at in np.random.default_rng(0).integers(start, start + logits_at(1).nbytes, 20):
        damaged = bytearray(content)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(RunFileError, match=r"run.h5: step 1, layer 0: the logits are damaged"):
            heatcap.observe(path)


def _without(name: str) -> Callable[[h5py.File], None]:
    def harm(h5: h5py.File) -> None:
        del (h5.attrs if name in h5.attrs else h5)[name]

    return harm


def _as_1(h5: h5py.File) -> None:
    h5.attrs["format_version"] = 1


@pytest.mark.parametrize(
    ("harm", "message"),
    [(_as_1, "the header is damaged"), (_without("header_checksum"), "the header is damaged"),
     (_without("logits_checksum"), "the variable 'logits_checksum' is missing")],
)  # fmt: skip
def test_checksums_cannot_go_missing(
    run_path: Path, harm: Callable[[h5py.File], None], message: str
) -> None:
    with h5py.File(run_path, "r+") as h5:
        harm(h5)
    for read in (validate_run, heatcap.observe):
        with pytest.raises(RunFileError, match=message):
            read(run_path)


def test_version_1_is_read_and_stays_version_1(run_path: Path) -> None:
    sealed = heatcap.observe(run_path)
    as_version_1(run_path)
    assert not read_header(run_path).sealed
    plain = heatcap.observe(run_path)
    xr.testing.assert_identical(plain.drop_vars("checksum"), sealed.drop_vars("checksum"))
    with RunWriter.resume(run_path, step=3) as run:
        run.append(7, logits_at(7))
    assert validate_run(run_path) == []
    with h5py.File(run_path) as h5:
        assert h5.attrs["format_version"] == 1
        assert "logits_checksum" not in h5
        assert "header_checksum" not in h5.attrs


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.h5")), ids=lambda path: path.stem)
def test_shipped_runs_of_version_1(path: Path) -> None:
    header = read_header(path)
    assert not header.sealed
    assert validate_run(path) == []


def test_a_long_run_keeps_its_checksums(tmp_path: Path) -> None:
    """Over chunks of tables and of checksums, and through many commits."""
    with create_run(tmp_path / "run.h5", metrics=["train_loss"]) as run:
        for step in range(300):
            for row in range(4):
                run.log(4 * step + row, train_loss=1.0 / (1 + step))
            run.append(step, logits_at(step))
    assert validate_run(tmp_path / "run.h5") == []
    assert heatcap.observe(tmp_path / "run.h5").sizes["checkpoint"] == 300
