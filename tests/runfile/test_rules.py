"""Files that lie: what `validate` refuses `observe` refuses, and sizes are looked at before use."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import heatcap
from heatcap.runfile import RunFileError, open_run, read_header, validate_run
from heatcap.runfile.rules import json_object
from heatcap.runfile.storage import stated_length

from runs import as_version_1, create_run, logits_at

Harm = Callable[[h5py.File], None]


@pytest.fixture
def old(run_path: Path) -> Path:
    """A run without checksums: its lies are found by the rules alone."""
    return as_version_1(run_path)


def harm_to(name: str, place: object, value: object) -> Harm:
    def harm(h5: h5py.File) -> None:
        h5[name][place] = value

    return harm


def attribute(name: str, value: object) -> Harm:
    def harm(h5: h5py.File) -> None:
        h5.attrs[name] = value

    return harm


def instead(name: str, **how: object) -> Harm:
    """Another dataset in the place of one."""

    def harm(h5: h5py.File) -> None:
        del h5[name]
        h5.create_dataset(name, **how)

    return harm


RULES: list[tuple[Harm, str]] = [
    (harm_to("step", 1, 0), "step does not grow strictly from 0 on"),
    (harm_to("step", 0, -1), "step does not grow strictly from 0 on"),
    (harm_to("metric_step", 3, 99), "metric_step does not grow strictly from 0 on"),
    (instead("step", data=[0.0, 1.0, np.nan, 3.0, 4.0]), "step holds other than whole numbers"),
    (instead("step", data=[0.0, 1.0, 1.5, 3.0, 4.0]), "step holds other than whole numbers"),
    (
        instead("metric_step", data=[0, 1, 2, 2**60, 2**60 + 1]),
        "metric_step holds other than whole",
    ),
    (instead("query", data=[np.inf]), "query holds other than whole numbers below 2.53"),
    (harm_to("probe_trained", 0, 2), "probe_trained holds values other than 0, 1 and -1"),
    (harm_to("probe_mirror_trained", 0, 7), "probe_mirror_trained holds values other than"),
    (harm_to("probe_input", 0, [3, 3, 5]), "probe_input holds an input twice"),
    (harm_to("test_accuracy", 2, 40.0), "test_accuracy holds 40, expected fractions"),
    (harm_to("logits", (2, 0, 1, 3, 0, 0), np.nan), "step 2, layer 0.*1 values are NaN"),
    (harm_to("logits", (2, 0, 1, 3, 0, 0), np.inf), "step 2, layer 0.*values are .inf"),
    (harm_to("logits", (2, 0, 1, 3), -np.inf), "step 2, layer 0.*1 queries have no visible key"),
    (harm_to("logits", (2, 0, 1, 3, 0, 0), -1e9), "step 2, layer 0.*1e.09 is too large to be a"),
    (attribute("size", -5.0), "the size must be positive and finite, got -5"),
    (attribute("size", np.inf), "the size must be positive and finite, got inf"),
    (attribute("probe_population", 24), "probe_population must be 0 .* or at least the 25 probe"),
    (attribute("probe_population", -1), "probe_population must be 0"),
    (attribute("size_name", np.bytes_(b"p\xff")), "size_name .* holds a NUL or is no Unicode"),
    (attribute("size_name", "p" * 2001), "size_name has 2001 characters, expected at most 2000"),
    (attribute("parameters", '{"task": "a\\u0000b"}'), "parameter task .* holds a NUL"),
    (attribute("parameters", '{"task": "\\ud800"}'), "parameter task .* no Unicode"),
    (attribute("parameters", '{"p": NaN}'), "'parameters' must be a JSON object"),
    (attribute("parameters", f'{{"p": {10**30}}}'), "parameter 'p' does not fit into 64 bits"),
    (attribute("parameters", "[" * 100_000), "'parameters' must be a JSON object"),
    (attribute("config", '{"a": ' * 100_000), "'config' must be a JSON object"),
    (attribute("format_version", 0), "format_version 0"),
    (attribute("format_version", -3), "format_version -3"),
    (attribute("run_id", ["a", "b"]), "the attribute 'run_id' is no single value"),
    (attribute("run_id", np.zeros(1, [("a", int)])), "'run_id' must be text or a number"),
]


@pytest.mark.parametrize(("harm", "message"), RULES, ids=[message for _, message in RULES])
def test_what_validate_refuses_observe_refuses(old: Path, harm: Harm, message: str) -> None:
    with h5py.File(old, "r+") as h5:
        harm(h5)
    assert re.search(message, _validated(old))
    with pytest.raises(RunFileError, match=f"run.h5: .*{message}"):
        heatcap.observe(old)


def _validated(path: Path) -> str:
    try:
        return "; ".join(validate_run(path))
    except RunFileError as error:
        return str(error)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*looks like an additive mask")
def test_a_run_that_diverged_is_observed_with_a_caution(tmp_path: Path) -> None:
    """The writer cannot tell it from a mask of -1e4 that was left in."""
    deep = logits_at(2)
    deep[0, 1, 3, 0, 0] = -1e4
    for name, step_2 in (("deep", deep), ("good", logits_at(2))):
        with create_run(tmp_path / f"{name}.h5") as run:
            run.append(0, logits_at(0))
            run.append(2, step_2)
    assert re.match(
        "step 2, layer 0, head 1: 1 queries .*mask", *validate_run(tmp_path / "deep.h5")
    )
    with pytest.warns(UserWarning, match=r"deep.h5: step 2, layer 0: 1 queries .*unless the run"):
        found = heatcap.observe(tmp_path)
    (line,) = json.loads(found.attrs["problems"])
    assert line.startswith(f"{tmp_path / 'deep.h5'}: step 2, layer 0")
    again = heatcap.observe(tmp_path, known=found, jobs=2)
    assert again.identical(found)  # with the line of what is known already
    np.testing.assert_array_equal(found.heat_capacity[0, 0], found.heat_capacity[1, 0])
    assert np.isfinite(found.heat_capacity.sel(inputs="all")).all()


def link(target: object) -> Harm:
    def harm(h5: h5py.File) -> None:
        del h5["weight_norm"]
        h5["weight_norm"] = target

    return harm


def _virtual(h5: h5py.File) -> None:
    del h5["weight_norm"]
    layout = h5py.VirtualLayout((5,), float)
    layout[...] = h5py.VirtualSource("precious.h5", "x", (5,))
    h5.create_virtual_dataset("weight_norm", layout)


def _unlimited_virtual(h5: h5py.File) -> None:
    """HDF5 opens the other file when it is asked for the shape."""
    del h5["weight_norm"]
    layout = h5py.VirtualLayout((5,), float, maxshape=(None,))
    source = h5py.VirtualSource("precious.h5", "x", (5,), maxshape=(None,))
    layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    h5.create_virtual_dataset("weight_norm", layout)


def _reference(h5: h5py.File) -> None:
    ref = h5["step"].ref
    del h5["weight_norm"]
    h5.create_dataset("weight_norm", (5,), dtype=h5py.ref_dtype)[...] = ref


def _lost_chunk(h5: h5py.File) -> None:
    values = h5["logits"][...]
    del h5["logits"]
    h5.create_dataset("logits", values.shape, "f4", chunks=(1, *values.shape[1:]))
    h5["logits"][1:] = values[1:]


def _huge_in_accord(h5: h5py.File) -> None:
    """10^12 checkpoints, of which none is there."""
    for name in ("step", "logits"):
        h5[name].resize(10**12, axis=0)


def _huge_chunk(h5: h5py.File) -> None:
    del h5["weight_norm"]
    h5.create_dataset("weight_norm", (5,), "f8", maxshape=(None,), chunks=(1 << 26,))


def _bomb(h5: h5py.File) -> None:
    """A chunk that inflates to far more than a chunk."""
    del h5["weight_norm"]
    made = h5.create_dataset("weight_norm", (5,), "f8", chunks=(5,), compression="gzip")
    made.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 24)))


def _bomb_in_a_bomb(h5: h5py.File) -> None:
    """A chunk that inflates to a chunk of deflated bytes, which inflate to far more."""
    del h5["weight_norm"]
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((5,))
    plan.set_deflate(9)
    plan.set_deflate(9)
    space = h5py.h5s.create_simple((5,))
    made = h5py.h5d.create(h5.id, b"weight_norm", h5py.h5t.IEEE_F64LE, space, plan)
    made.write_direct_chunk((0,), zlib.compress(zlib.compress(bytes(1 << 24), 9), 9))


def _much_of_nothing(h5: h5py.File) -> None:
    """Steps in accord that deflate to nothing, beyond what may inflate so."""
    count = 3 << 22
    for name in ("metric_step", *(n for n in h5 if h5[n].shape == (5,) and n != "step")):
        del h5[name]
        h5.create_dataset(name, data=np.zeros(count), chunks=(1 << 20,), compression="gzip")


def _two_names(h5: h5py.File) -> None:
    del h5["weight_norm"]
    h5["weight_norm"] = h5["train_loss"]


def _little_each(h5: h5py.File) -> None:
    """Columns that may inflate as they like one by one, but not all together."""
    for name in ("metric_step", *(n for n in h5 if h5[n].shape == (5,) and n != "step")):
        del h5[name]
        h5.create_dataset(name, data=np.zeros(1 << 22), chunks=(1 << 20,), compression="gzip")


PLACES: list[tuple[Harm, str]] = [
    (link(h5py.ExternalLink("precious.h5", "/x")), "'weight_norm' is a link"),
    (link(h5py.SoftLink("/train_loss")), "'weight_norm' is a link"),
    (link(h5py.SoftLink("/nowhere")), "'weight_norm' is a link"),
    (_virtual, "'weight_norm' lies in another file"),
    (_unlimited_virtual, "'weight_norm' lies in another file"),
    (
        instead("weight_norm", shape=(5,), dtype="f8", external=[("precious.h5", 0, 40)]),
        "'weight_norm' lies in another file",
    ),
    (_reference, "'weight_norm' must hold numbers"),
    (instead("weight_norm", data=["a"] * 5), "'weight_norm' must hold numbers"),
    (instead("weight_norm", data=np.zeros(5, [("a", int)])), "'weight_norm' must hold numbers"),
    (instead("weight_norm", data=np.zeros(5, complex)), "'weight_norm' must hold numbers"),
    (instead("weight_norm", data=np.zeros(5, bool)), "'weight_norm' must hold numbers"),
    (instead("weight_norm", shape=(5,), dtype="f8"), "'weight_norm' was never written"),
    (_lost_chunk, "'logits' was never written"),
    (_huge_in_accord, "'(step|logits)' was never written"),
    (_huge_chunk, "a chunk of 'weight_norm' has 536870912 bytes"),
    (_bomb, "a chunk of 'weight_norm' inflates to more than its 40 bytes"),
    (_bomb_in_a_bomb, "'weight_norm' is stored with the same filter twice"),
    (_much_of_nothing, "'metric_step' claims 100663296 bytes"),
    (_two_names, "'train_loss' and 'weight_norm' are one"),
    (_little_each, r"its variables claim \d+ bytes together, more than their \d+ stored"),
    (
        instead("weight_norm", data=np.zeros(5), chunks=(5,), compression="lzf"),
        "'weight_norm' is stored with the unknown filter 32000",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("harm", "message"), PLACES, ids=[message for _, message in PLACES])
def test_nothing_else_is_opened_and_no_memory_taken(
    old: Path, monkeypatch: pytest.MonkeyPatch, harm: Harm, message: str
) -> None:
    monkeypatch.chdir(old.parent)
    with h5py.File("precious.h5", "w") as other:
        other.create_dataset("x", data=np.zeros(5), maxshape=(None,))
    with h5py.File(old, "r+") as h5:
        harm(h5)
    os.mkfifo("fifo.h5")
    Path("fifo.h5").replace("precious.h5")  # who opens it waits for ever, or is found out
    for read in (open_run, validate_run, heatcap.observe):
        with pytest.raises(RunFileError, match=f"run.h5: .*{message}"):
            read(old)


def test_a_link_that_no_run_file_knows_is_not_followed(old: Path) -> None:
    """xarray opens whatever it finds; the other readers look at what they know."""
    with h5py.File(old, "r+") as h5:
        h5["other/deep"] = h5py.ExternalLink("precious.h5", "/x")
    with pytest.raises(RunFileError, match=r"run.h5: 'other/deep' is a link"):
        open_run(old)
    assert validate_run(old) == []
    assert heatcap.observe(old).sizes["run"] == 1


EXTENT = "This is a netCDF dimension but not a netCDF variable.        10"


@pytest.mark.parametrize("name", [None, EXTENT.replace(".", ""), [np.bytes_(EXTENT)]])
def test_a_variable_that_no_run_file_knows_claims_no_memory(old: Path, name: object) -> None:
    """xarray reads at once what is called like its dimension, unless it is an extent alone."""
    with h5py.File(old, "r+") as h5:
        claims = h5.create_dataset("foo", (10**10,), "f8", chunks=(1 << 20,))
        claims.make_scale("foo")
        if name is not None:
            del claims.attrs["NAME"]
            claims.attrs["NAME"] = name
    with pytest.raises(RunFileError, match=r"run.h5: a part of the variable 'foo' was never writ"):
        open_run(old)
    assert validate_run(old) == []


def test_an_extent_and_a_text_of_others_are_left_alone(old: Path) -> None:
    with h5py.File(old, "r+") as h5:
        h5.create_dataset("foo", (10**10,), "f4").make_scale(EXTENT)
        h5["words"] = ["a", "b"]
    with open_run(old) as run:
        assert "foo" not in run.variables
        assert run.sizes["step"] == 5


def test_a_long_attribute_is_not_read(old: Path) -> None:
    with h5py.File(old, "r+") as h5:
        h5.attrs["config"] = json.dumps({"a": "b" * (1 << 21)})
    with pytest.raises(RunFileError, match="'config' is longer than 1048576 bytes"):
        read_header(old)
    with pytest.raises(RunFileError, match=r"config has .* characters, the limit is 1048576"):
        create_run(old.with_name("new.h5"), config={"a": "b" * (1 << 21)})


def test_json_objects() -> None:
    assert json_object('{"a": [1, 2]}') == {"a": [1, 2]}
    for text in (
        "[1]",
        "",
        "{",
        '{"a": Infinity}',
        '{"a": -1e999}',
        '{"a": 1, "a": 2}',
        "[" * 10**6,
        "1" * 10**5,
    ):
        assert json_object(text) is None


def test_rows_of_large_logits_are_looked_at_one_by_one(tmp_path: Path) -> None:
    """Far from zero all together is no mask; one far below its row is."""
    large = logits_at(0) + np.float32(9000.0)
    with create_run(tmp_path / "run.h5") as run:
        run.append(0, large)
    assert validate_run(tmp_path / "run.h5") == []
    assert heatcap.observe(tmp_path / "run.h5").sizes["checkpoint"] == 1


def test_a_hole_after_the_end_is_not_hashed(old: Path) -> None:
    os.truncate(old, 1 << 40)
    with pytest.raises(RunFileError, match=r"run.h5: goes on for 10995\d* bytes after its end"):
        heatcap.observe(old)
    with open_run(old) as run:
        assert run.sizes["step"] == 5


@pytest.mark.parametrize(("version", "width", "end"), [(0, 13, 40), (1, 13, 44), (3, 9, 28)])
def test_the_end_of_a_file_is_found_in_every_superblock(version: int, width: int, end: int) -> None:
    """Places of the file format specification of HDF5, 3.0, section II.A."""
    start = bytearray(b"\x89HDF\r\n\x1a\n" + bytes([version]) + bytes(55))
    start[width] = 8
    start[end : end + 8] = (123_456).to_bytes(8, "little")
    assert stated_length(bytes(start)) == 123_456
    start[8] = 9
    assert stated_length(bytes(start)) is None


LITTLE = """
import resource, sys
from heatcap.runfile import RunFileError, validate_run
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    validate_run(sys.argv[1])
except RunFileError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "harm", [_huge_in_accord, _bomb, _bomb_in_a_bomb, _much_of_nothing, _huge_chunk]
)
def test_lies_cost_no_memory(old: Path, harm: Harm) -> None:
    with h5py.File(old, "r+") as h5:
        harm(h5)
    done = subprocess.run(
        [sys.executable, "-c", LITTLE, old], capture_output=True, text=True, check=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout.splitlines()[-1]) * unit < 64 << 20


def test_dimensions_that_change_places_are_refused_where_names_count(old: Path) -> None:
    """What is read by position is right; a Dataset is read by name."""
    with h5py.File(old, "r+") as h5:
        logits = h5["logits"]
        for axis, name in ((1, "head"), (2, "layer")):
            logits.dims[axis].detach_scale(logits.dims[axis][0])
            logits.dims[axis].attach_scale(h5[name])
    with pytest.raises(RunFileError, match=r"'logits' names its dimensions .*'head', 'layer'"):
        open_run(old)


def test_other_floats_of_four_bytes_are_no_float32(old: Path) -> None:
    """Chunks are read past HDF5, which would convert them."""
    odd = h5py.h5t.IEEE_F32LE.copy()
    odd.set_ebias(100)
    with h5py.File(old, "r+") as h5:
        shape, chunks = h5["logits"].shape, h5["logits"].chunks
        del h5["logits"]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk(chunks)
        space = h5py.h5s.create_simple(shape)
        made = h5py.h5d.create(h5.id, b"logits", odd, space, plan)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ones(shape, np.float32))
    assert "logits must be float32 (IEEE)" in _validated(old)


def test_attributes_of_variables_do_not_steer_what_is_read(old: Path) -> None:
    with h5py.File(old, "r+") as h5:
        h5["logits"].attrs["coordinates"] = "train_loss"
        h5["train_loss"].attrs["scale_factor"] = 10.0
        given = h5["train_loss"][...]
    with open_run(old) as run:
        np.testing.assert_array_equal(run.train_loss, given)
        assert "train_loss" in run.data_vars
    with h5py.File(old, "r+") as h5:
        h5["probe_mirror_trained"].attrs["dtype"] = "bool"
    with pytest.raises(RunFileError, match="'probe_mirror_trained' has an attribute dtype"):
        open_run(old)
