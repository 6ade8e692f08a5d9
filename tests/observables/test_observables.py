"""Run files -> observables: against a slow path that holds everything in memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import heatcap
from heatcap.attention import canonical, fisher_distance, heat_capacities
from heatcap.observables import observing, side_by_side
from heatcap.observables import stream as _stream
from heatcap.runfile import RunFileError, RunWriter, checksum, open_run, repair_run

from runs import as_version_1, create_run, logits_at, seal_a_commit, write_run


def in_memory(path: Path, beta: float = 1.0) -> xr.Dataset:
    """The heat capacities of a run in one call, on all, trained and untrained inputs."""
    with open_run(path) as run:
        run = run.load()
    trained = run.probe_trained.values
    selection = xr.DataArray(
        [np.ones(len(trained), bool), trained == 1, trained == 0],
        dims=("inputs", "probe"),
        coords={"inputs": ["all", "trained", "untrained"]},
    )
    population = int(run.attrs["probe_population"])
    return heat_capacities(run.logits, beta=beta, selection=selection, population=population)


def ragged_run(path: Path, checkpoints: int = 4) -> Path:
    """Two layers, three queries of a causal row, a probe drawn from a larger population."""
    rng = np.random.default_rng(5)
    probe = rng.permutation(900)[:40, np.newaxis]
    with create_run(
        path,
        layers=2,
        heads=3,
        keys=5,
        queries=[0, 3, 4],
        probe_input=probe,
        probe_trained=np.arange(40) < 25,
        probe_mirror_trained=None,
        probe_population=900,
    ) as run:
        for step in range(checkpoints):
            logits = rng.normal(scale=1 + step, size=run.shape).astype(np.float32)
            for i, query in enumerate([0, 3, 4]):
                logits[..., i, query + 1 :] = -np.inf
            run.append(step**2, logits)
            run.log(step**2, train_loss=1.0)
        run.finish("step limit")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("block_bytes", [1 << 22, 2000, 60, 1])
def test_streamed_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(_stream, "BLOCK_BYTES", block_bytes)
    path = ragged_run(tmp_path / "run.h5")
    obs = heatcap.observe(path, temperatures=[0.5, 2.0]).isel(run=0)
    whole = in_memory(path).rename(step="checkpoint").drop_vars("checkpoint")
    for name in whole.data_vars:
        expected = whole[name].transpose("checkpoint", "inputs", "layer", "head", "query")
        np.testing.assert_allclose(obs[name], expected, rtol=1e-9, atol=1e-12, err_msg=str(name))
    hot = in_memory(path, beta=0.5).sel(inputs="all")
    for name in ("heat_capacity", "landscape_heat_capacity", "total_heat_capacity"):
        np.testing.assert_allclose(
            obs[f"scan_{name}"].sel(temperature=2.0), hot[name], rtol=1e-9, atol=1e-12
        )


def run_of(path: Path, logits: np.ndarray) -> Path:
    """Logits (checkpoint, layer, head, probe, query, key), the first half of the probe trained."""
    _, layers, heads, probes, queries, keys = logits.shape
    with create_run(
        path,
        layers=layers,
        heads=heads,
        keys=keys,
        queries=[*range(queries)],
        probe_input=np.arange(probes)[:, np.newaxis],
        probe_trained=np.arange(probes) < probes // 2,
        probe_mirror_trained=None,
        probe_population=0,
    ) as run:
        for step, values in enumerate(logits):
            run.append(step, values.astype(np.float32))
    return path


def pooled(path: Path, **options: object) -> np.ndarray:
    """Pooled variances of the logits of a run (checkpoint, inputs)."""
    return heatcap.observe(path, **options).pooled_logit_variance.isel(run=0).values


@pytest.mark.slow
@pytest.mark.parametrize("block_bytes", [1 << 22, 2000, 60, 1])
def test_pooled_is_the_variance_of_all_logits_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(_stream, "BLOCK_BYTES", block_bytes)
    path = ragged_run(tmp_path / "run.h5")
    with open_run(path) as run:
        logits, trained = run.logits.load().values.astype(float), run.probe_trained.values == 1
    expected = [
        [values[np.isfinite(values)].var() for values in (every, every[:, :, a], every[:, :, ~a])]
        for every in logits
        for a in [trained]
    ]
    np.testing.assert_allclose(pooled(path), expected, rtol=1e-10)
    # At T = 1, whatever is scanned; and heads do not average, for it is one number.
    scanned = pooled(path, temperatures=[0.5, 2.0], per="layer")
    np.testing.assert_array_equal(scanned, pooled(path))


def test_pooled_variance_of_two_levels(tmp_path: Path) -> None:
    """A share q of all logits is higher by d: d^2 q (1 - q), whichever dimension holds them."""
    shape = (1, 2, 4, 6, 2, 5)
    for axis, share in ((1, 1 / 2), (2, 1 / 4), (3, 1 / 6), (4, 1 / 2), (5, 1 / 5)):
        logits = np.zeros(shape)
        logits[tuple([slice(None)] * axis + [0])] = 3.0
        found = pooled(run_of(tmp_path / f"{axis}.h5", logits))[0, 0]
        assert found == pytest.approx(9 * share * (1 - share), rel=1e-14)


def test_pooled_variance_survives_large_offsets(tmp_path: Path) -> None:
    """Logits of thousands that differ by units, in float32 as they are stored."""
    rng = np.random.default_rng(3)
    logits = (5e4 + rng.normal(size=(2, 3, 2, 9, 2, 7))).astype(np.float32)
    expected = logits.astype(float).reshape(2, -1).var(axis=1)
    np.testing.assert_allclose(
        pooled(run_of(tmp_path / "r.h5", logits))[:, 0], expected, rtol=1e-10
    )


def test_pooled_variance_has_no_gauge(tmp_path: Path) -> None:
    """What is constant in a row is nothing to a softmax; the pooled variance takes it in full."""
    rng = np.random.default_rng(4)
    logits = rng.normal(size=(1, 2, 3, 8, 2, 5))
    rows = rng.normal(size=(1, 2, 3, 8, 2, 1))
    plain, moved, common = (
        heatcap.observe(run_of(tmp_path / f"{name}.h5", values)).isel(run=0, checkpoint=0)
        for name, values in (("a", logits), ("b", logits + rows), ("c", logits + 7.0))
    )
    for other in (moved, common):
        np.testing.assert_allclose(other.heat_capacity, plain.heat_capacity, rtol=1e-5)
    own, after, same = (float(o.pooled_logit_variance[0]) for o in (plain, moved, common))
    assert after == pytest.approx((logits + rows).var(), rel=1e-5)
    assert after > 1.5 * own
    assert same == pytest.approx(own, rel=1e-5)


def test_events_name_what_has_no_layer_without_one(tmp_path: Path) -> None:
    obs = heatcap.observe(ragged_run(tmp_path / "run.h5", checkpoints=9))
    for name in ("train_accuracy", "test_accuracy"):
        obs[name] = obs["train_loss"]
    names = heatcap.find_events(obs, "heat_capacity", "pooled_logit_variance").names()
    assert list(names.values()) == [
        "heat_capacity, layer 0",
        "heat_capacity, layer 1",
        "pooled_logit_variance",
    ]


def test_rows_are_averaged_over_the_probe(tmp_path: Path) -> None:
    path = ragged_run(tmp_path / "run.h5")
    obs = heatcap.observe(path).isel(run=0)
    with open_run(path) as run:
        rows = canonical(run.logits)
        trained = run.probe_trained.values == 1
    for name in ("free_energy", "entropy", "third_cumulant", "participation_ratio"):
        for inputs, chosen in [("all", slice(None)), ("trained", trained), ("untrained", ~trained)]:
            expected = rows[name].isel(probe=chosen).mean("probe")
            np.testing.assert_allclose(obs[name].sel(inputs=inputs), expected, rtol=1e-10)


def test_geometry_is_computed_on_demand(tmp_path: Path) -> None:
    """And nothing else depends on it, to the last bit; what is known without is computed again."""
    path = ragged_run(tmp_path / "run.h5")
    without, whole = heatcap.observe(path), heatcap.observe(path, geometry=True)
    names = ("distance", "length", "geodesic", "detour", "speed", "kinetic", "potential", "action")
    more = {f"{along}_{name}" for along in ("fisher", "depth") for name in names}
    more |= {f"depth_{name}_head_average" for name in names}
    assert {*whole.data_vars} - {*without.data_vars} == more
    xr.testing.assert_identical(
        whole.drop_vars(more).drop_attrs(deep=False), without.drop_attrs(deep=False)
    )
    xr.testing.assert_identical(heatcap.observe(path, geometry=True, known=without), whole)
    xr.testing.assert_identical(heatcap.observe(path, known=whole), without)
    with pytest.raises(ValueError, match="it needs geometry=True"):
        heatcap.observe(path, time="log")


def test_keys_that_change_along_training_have_no_path(tmp_path: Path) -> None:
    with create_run(tmp_path / "run.h5") as run:
        for step in range(3):
            logits = logits_at(step, run.shape)
            logits[0, 1, 7, 0, step % 2] = -np.inf
            run.append(step, logits)
    assert np.isfinite(heatcap.observe(tmp_path / "run.h5")["heat_capacity"]).all()
    with pytest.raises(RunFileError, match="2 rows do not see the same keys"):
        heatcap.observe(tmp_path / "run.h5", geometry=True)


@pytest.mark.parametrize("block_bytes", [1 << 22, 60])
@pytest.mark.parametrize("time", ["step", "log"])
def test_geometry_along_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int, time: str
) -> None:
    monkeypatch.setattr(_stream, "BLOCK_BYTES", block_bytes)
    path = ragged_run(tmp_path / "run.h5")
    obs = heatcap.observe(path, geometry=True, time=time).isel(run=0)
    with open_run(path) as run:
        logits = run.logits.load()
    d = [fisher_distance(logits[i], logits[i + 1]) for i in range(3)]
    mean = np.stack([x.mean("probe") for x in d])
    square = np.stack([(x**2).mean("probe") for x in d])
    np.testing.assert_allclose(obs.fisher_distance[1:], mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(obs.fisher_length[-1], mean.sum(0), rtol=1e-9, atol=1e-12)
    chord = fisher_distance(logits[0], logits[3]).mean("probe")
    np.testing.assert_allclose(obs.fisher_geodesic[-1], chord, rtol=1e-9, atol=1e-12)
    steps = np.array([0.0, 1.0, 4.0, 9.0])
    with np.errstate(divide="ignore"):
        lapse = np.diff(steps if time == "step" else np.log(steps)).reshape(-1, 1, 1, 1)
    known = np.isfinite(lapse).ravel()
    lapse[~known] = np.nan
    np.testing.assert_allclose(
        obs.fisher_speed[1:][known], (mean / lapse)[known], rtol=1e-9, atol=1e-12
    )
    assert np.isnan(obs.fisher_speed[1:][~known]).all()
    rows = canonical(logits)
    potential = (rows.free_energy - rows.mean_energy).mean("probe").values
    middle = (potential[1:] + potential[:-1]) / 2
    action = ((square / lapse**2 / 2 - middle) * lapse)[known].sum(0)
    np.testing.assert_allclose(obs.fisher_action[-1], action, rtol=1e-9, atol=1e-12)


def test_no_path_is_shorter_than_the_geodesic(tmp_path: Path) -> None:
    obs = heatcap.observe(ragged_run(tmp_path / "run.h5", checkpoints=6), geometry=True)
    for prefix in ("fisher", "depth"):
        length, geodesic = obs[f"{prefix}_length"], obs[f"{prefix}_geodesic"]
        assert (length >= geodesic - 1e-12).all()
    # and not because they are the same thing:
    assert (obs.fisher_length > obs.fisher_geodesic + 1e-3).any()


def test_geometry_along_depth(tmp_path: Path) -> None:
    path = ragged_run(tmp_path / "run.h5")
    obs = heatcap.observe(path, geometry=True).isel(run=0)
    with open_run(path) as run:
        logits = run.logits.load()
    expected = fisher_distance(logits.isel(layer=0), logits.isel(layer=1)).mean("probe")
    np.testing.assert_allclose(obs.depth_distance[:, 1], expected, rtol=1e-9, atol=1e-12)
    assert np.isnan(obs.depth_distance[:, 0]).all()
    rows = logits.astype(float)
    p = np.exp(rows - np.log(np.exp(rows).sum("key"))).mean("head")
    a, b = p.isel(layer=0, query=[1, 2]), p.isel(layer=1, query=[1, 2])
    averaged = 2 * np.arccos(np.sqrt(a * b).sum("key"))
    np.testing.assert_allclose(
        obs.depth_distance_head_average[:, 1, 1:], averaged.mean("probe"), rtol=1e-9
    )
    # E = -ln p of the averaged distribution: F = 0, mean E over the visible keys.
    potential = np.log(p.where(p > 0)).mean("key").mean("probe")
    np.testing.assert_allclose(
        obs.depth_potential_head_average, potential.transpose("step", "layer", "query"), rtol=1e-9
    )
    own = canonical(logits)
    np.testing.assert_allclose(
        obs.depth_potential,
        (own.free_energy - own.mean_energy)
        .mean("probe")
        .transpose("step", "layer", "head", "query"),
        rtol=1e-9,
        atol=1e-12,
    )


def test_a_key_that_all_heads_froze_out_is_not_absent(tmp_path: Path) -> None:
    """Logits 1000 apart underflow as probabilities; the path through the layers still exists."""
    probe = np.arange(4)[:, np.newaxis]
    arguments = {"layers": 2, "probe_input": probe, "probe_trained": np.zeros(4)}
    with create_run(
        tmp_path / "run.h5", **arguments, probe_mirror_trained=None, probe_population=0
    ) as run:
        logits = np.zeros(run.shape, np.float32)
        logits[0, ..., 0] = 1000.0
        run.append(0, logits)
    obs = heatcap.observe(tmp_path / "run.h5", geometry=True).isel(run=0, checkpoint=0, query=0)
    expected = 2 * np.arccos(np.sqrt(1 / 3))  # one key against three alike
    assert obs.depth_distance_head_average[1] == pytest.approx(expected, rel=1e-9)
    assert obs.depth_potential_head_average[0] == pytest.approx(-2000 / 3, rel=1e-6)


def test_bound_and_single_keys(tmp_path: Path) -> None:
    obs = heatcap.observe(ragged_run(tmp_path / "run.h5")).isel(run=0)
    assert obs.mean_visible_keys.values.tolist() == [1, 4, 5]
    np.testing.assert_allclose(obs.heat_capacity_bound, [0, 1.0235, 1.2464], atol=1e-4)
    assert obs.single_key.values.tolist() == [1, 0, 0]
    first = obs.isel(query=0)
    assert (first.heat_capacity == 0).all()
    assert (first.entropy == 0).all()
    assert (obs.heat_capacity <= obs.heat_capacity_bound + 1e-12).all()


def test_runs_of_different_length_and_width_stand_side_by_side(tmp_path: Path) -> None:
    write_run(tmp_path / "long.h5", steps=7, parameters={"p": 5, "task": "addition"})
    ragged_run(tmp_path / "wide.h5")
    obs = heatcap.observe(tmp_path)
    assert dict(obs.sizes) | {"inputs": 3} == {
        **{"run": 2, "checkpoint": 7, "inputs": 3, "layer": 2, "head": 3, "query": 3, "metric": 7}
    }
    long = obs.sel(run="long")
    assert np.isfinite(long.step).sum() == 7
    assert np.isnan(obs.sel(run="wide").step[4:]).all()
    # The last query is the last one in every run.
    assert long.query_position.values.tolist()[-1] == 2
    assert np.isnan(long.heat_capacity.isel(query=0)).all()
    assert np.isfinite(long.heat_capacity.isel(query=-1, layer=0, head=0, inputs=0)).all()
    assert obs.task.values.tolist() == ["addition", ""]
    for run_id in ("long", "wide"):
        alone = heatcap.observe(tmp_path / f"{run_id}.h5").isel(run=0)
        there = obs.sel(run=run_id).isel(query=-1, layer=0, head=0)
        np.testing.assert_array_equal(
            there.total_heat_capacity[: alone.sizes["checkpoint"]],
            alone.total_heat_capacity.isel(query=-1, layer=0, head=0),
        )


def test_per_layer_averages_over_heads(tmp_path: Path) -> None:
    path = ragged_run(tmp_path / "run.h5")
    by_head = heatcap.observe(path, geometry=True)
    by_layer = heatcap.observe(path, geometry=True, per="layer")
    assert "head" not in by_layer.dims
    np.testing.assert_allclose(by_layer.heat_capacity, by_head.heat_capacity.mean("head"))
    assert "heat_capacity_error" in by_head
    assert "heat_capacity_error" not in by_layer  # heads share the probe: errors do not average
    ratio = by_layer.fisher_length / by_layer.fisher_geodesic
    np.testing.assert_allclose(by_layer.fisher_detour[:, 1:, :, 1:], ratio[:, 1:, :, 1:])


@pytest.mark.slow
def test_names_longer_than_those_of_the_file_they_join_are_saved_whole(tmp_path: Path) -> None:
    """A loaded file remembers the length of its text; what is joined to it may be longer."""
    heatcap.save(heatcap.observe(ragged_run(tmp_path / "run.h5")), tmp_path / "short.nc")
    short = heatcap.load(tmp_path / "short.nc")
    names = [f"{run}_and_much_more" for run in short["run"].values]
    joined = heatcap.join({"short": short, "long": short.assign_coords(run=names)})
    heatcap.save(joined, tmp_path / "both.nc")
    assert heatcap.load(tmp_path / "both.nc")["run"].values[len(names) :].tolist() == names


def test_saved_is_loaded(tmp_path: Path) -> None:
    ragged_run(tmp_path / "run.h5")
    obs = heatcap.observe(tmp_path, temperatures=[1.0])
    heatcap.save(obs, tmp_path / "obs.nc")
    xr.testing.assert_identical(heatcap.load(tmp_path / "obs.nc"), obs)


def test_only_what_changed_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(3):
        write_run(tmp_path / f"s{seed}.h5", steps=3 + seed, seed=seed)
    known = heatcap.observe(tmp_path)
    with RunWriter.resume(tmp_path / "s1.h5") as run:
        run.append(50, logits_at(50))
    computed, real = [], observing._observe_run
    monkeypatch.setattr(
        observing, "_observe_run", lambda path, o: (computed.append(path.stem), real(path, o))[1]
    )
    again = heatcap.observe(tmp_path, known=known)
    assert computed == ["s1"]
    xr.testing.assert_equal(again, heatcap.observe(tmp_path))
    computed.clear()
    heatcap.observe(tmp_path, known=known, temperatures=[2.0])
    assert computed == ["s0", "s1", "s2"]


def test_a_commit_in_the_journal_is_not_what_was_known(tmp_path: Path) -> None:
    """The file alone has the same bytes before and after; with its journal it is another run."""
    path = write_run(tmp_path / "run.h5", steps=3, reason="")
    seal_a_commit(path)
    sealed = heatcap.observe(path)
    (tmp_path / "run.h5.journal").rename(tmp_path / "aside")
    bare = heatcap.observe(path, known=sealed)
    assert (bare.sizes["checkpoint"], sealed.sizes["checkpoint"]) == (3, 4)
    (tmp_path / "aside").rename(tmp_path / "run.h5.journal")
    xr.testing.assert_identical(heatcap.observe(path, known=bare), sealed)
    repair_run(path)
    assert checksum(path) == sealed["checksum"].item() == sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_run_that_blows_up_the_others_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(20):
        write_run(tmp_path / f"s{seed}.h5", steps=1, seed=seed)
    good = heatcap.observe(tmp_path)
    with create_run(tmp_path / "long.h5") as run:
        for step in range(4000):
            run.log(step, train_loss=1.0)
        run.append(0, logits_at(0, run.shape))
    assert heatcap.observe(tmp_path).sizes["run"] == 21  # there is room
    monkeypatch.setattr(side_by_side, "ROOM", 0)
    with pytest.warns(UserWarning, match=r"left out: .*long\.h5: is so long or wide"):
        found = heatcap.observe(tmp_path)
    assert "long.h5: is so long" in found.attrs["problems"]
    xr.testing.assert_equal(found, good)


def test_what_is_reused_is_not_padded(tmp_path: Path) -> None:
    """One run taken from a wider, longer collection is as if it had been computed alone."""
    write_run(tmp_path / "short.h5", steps=2, parameters={"p": 5, "seed": 1})
    ragged_run(tmp_path / "wide.h5")  # has a fraction and a weight decay
    known = heatcap.observe(tmp_path)
    again = heatcap.observe(tmp_path / "short.h5", known=known)
    xr.testing.assert_equal(again, heatcap.observe(tmp_path / "short.h5"))
    older = known.assign_attrs(heatcap_version="0.0.1")
    assert observing._reusable(older, observing._Options((), False, "step", "head")) == frozenset()
    assert observing._reusable(known, observing._Options((), False, "step", "head"))


def test_what_is_reused_has_the_parameters_of_its_file(tmp_path: Path) -> None:
    """They had become numbers, text or nothing beside those of other runs; a file may move."""
    one, other = tmp_path / "one.h5", tmp_path / "other.h5"
    write_run(one, parameters={"p": 5, "flag": True, "large": 2**53 + 1, "note": ""})
    write_run(other, seed=1, parameters={"p": 5, "flag": "text"})
    known = heatcap.observe(tmp_path)
    (tmp_path / "moved").mkdir()
    moved = one.rename(tmp_path / "moved" / "one.h5")
    again = heatcap.observe(moved, known=known)
    xr.testing.assert_identical(again.drop_attrs(), heatcap.observe(moved).drop_attrs())


@pytest.mark.parametrize(
    "lost",
    [
        *("checksum", "path", "visible_keys", "step", "query_position", "run"),
        "pooled_logit_variance",
    ],
)
def test_what_lacks_its_labels_is_computed_again(run_path: Path, lost: str) -> None:
    """As other programs may leave observables with the stamps of this version."""
    obs = heatcap.observe(run_path)
    known = obs.isel(run=0, drop=True) if lost == "run" else obs.drop_vars(lost)
    xr.testing.assert_identical(heatcap.observe(run_path, known=known), obs)
    if lost != "run":
        known = known.assign({lost: ("run", ["text"])})
        xr.testing.assert_identical(heatcap.observe(run_path, known=known), obs)


@pytest.mark.slow
def test_processes_give_the_same(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / f"s{seed}.h5", seed=seed)
    seen: list[tuple[int, int]] = []
    several = heatcap.observe(tmp_path, jobs=2, progress=lambda *done: seen.append(done))
    xr.testing.assert_identical(several, heatcap.observe(tmp_path))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5")
    with pytest.raises(ValueError, match=r"temperatures must be positive, got -1.0"):
        heatcap.observe(path, temperatures=[1, -1])
    with pytest.raises(ValueError, match="time must be 'step' or 'log', got 'epoch'"):
        heatcap.observe(path, time="epoch")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="per must be 'head' or 'layer', got 'model'"):
        heatcap.observe(path, per="model")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"run.h5: holds no observables.*got a run file"):
        heatcap.load(path)
    with pytest.raises(ValueError, match=r"none.nc: no such file"):
        heatcap.load(tmp_path / "none.nc")
    (tmp_path / "text.nc").write_text("x")
    with pytest.raises(ValueError, match=r"text.nc: cannot be read as NetCDF"):
        heatcap.load(tmp_path / "text.nc")


def test_observables_of_next_to_nothing(tmp_path: Path) -> None:
    """A million steps of one number, deflated: a file of kilobytes, observables of gibibytes."""
    with create_run(
        tmp_path / "run.h5", heads=1, keys=1, metrics=(), probe_input=np.zeros((1, 1), int),
        probe_trained=[1], probe_mirror_trained=None, probe_population=0,
    ):  # fmt: skip
        pass
    as_version_1(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "r+") as h5:
        for name, tail in (("step", ()), ("logits", (1,) * 5)):
            del h5[name]
            packed = {"chunks": (10**5, *tail), "compression": "gzip", "shuffle": True}
            values = np.zeros((10**6, *tail), np.float32) if tail else np.arange(10**6)
            h5.create_dataset(name, data=values, **packed)
    with pytest.raises(RunFileError, match="its observables would take 2000000000 bytes"):
        heatcap.observe(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda obs: obs.isel(layer=slice(0)), "has no layer"),
        (lambda obs: obs.isel(head=[0, 0]), "has one head twice"),
        (lambda obs: obs.assign(entropy=("run", ["a"])), "entropy must be numbers"),
        (lambda obs: obs.assign_coords(size=5.0), "size lacks the dimension 'run'"),
    ],
)
def test_what_is_no_record_of_runs_is_said(
    tmp_path: Path, change: Callable[[xr.Dataset], xr.Dataset], said: str
) -> None:
    """Events, figures and verdicts would end in errors that name no file."""
    write_run(tmp_path / "run.h5")
    heatcap.save(change(heatcap.observe(tmp_path)), tmp_path / "obs.nc")
    with pytest.raises(ValueError, match=f"obs.nc: {said}.*, expected what `heatcap observe`"):
        heatcap.load(tmp_path / "obs.nc")


def test_damage_inside_the_logits_loses_one_run_only(tmp_path: Path) -> None:
    import h5py

    write_run(tmp_path / "good.h5")
    write_run(tmp_path / "bad.h5")
    with h5py.File(tmp_path / "bad.h5", "r+") as h5:
        h5["logits"][2, 0, 0, 0, 0, 0] = np.nan
    with pytest.warns(UserWarning, match=r"left out: .*bad.h5: step 2, layer 0: 1 values are NaN"):
        obs = heatcap.observe(tmp_path)
    assert obs.run.values.tolist() == ["good"]
    with pytest.raises(RunFileError, match=r"no run could be observed: .*bad.h5"):
        heatcap.observe(tmp_path / "bad.h5")


GIBIBYTES = """
import sys
import heatcap
obs = heatcap.observe(sys.argv[1])
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) / 1024, float(obs.heat_capacity[0, -1].max()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("gibibytes", [1, pytest.param(4, marks=pytest.mark.large)])
def test_memory_stays_bounded_for_gibibytes(tmp_path: Path, gibibytes: int) -> None:
    """A file of 4 GiB is observed in less than 512 MiB."""
    checkpoints, heads, probes, keys = 8 * gibibytes, 8, 1024, 4096
    free = os.statvfs(tmp_path)
    if free.f_bavail * free.f_frsize < (gibibytes + 2) << 30:
        pytest.skip(f"needs {gibibytes + 2} GiB of free disk")
    path = tmp_path / "large.h5"
    rng = np.random.default_rng(0)
    with create_run(
        path,
        heads=heads,
        keys=keys,
        queries=[keys - 1],
        probe_input=np.arange(probes)[:, np.newaxis],
        probe_trained=np.arange(probes) % 2,
        probe_mirror_trained=None,
        probe_population=0,
    ) as run:
        logits = rng.normal(size=(1, heads, probes, 1, keys)).astype(np.float32)
        for step in range(checkpoints):
            run.append(step, logits)
    assert path.stat().st_size >= gibibytes << 30
    done = subprocess.run(
        [sys.executable, "-c", GIBIBYTES, str(path)], capture_output=True, text=True, check=False
    )
    path.unlink()
    assert done.returncode == 0, done.stderr
    peak, highest = map(float, done.stdout.split())
    assert highest == pytest.approx(1.0, abs=0.02)  # independent Gaussian logits: C = Var E
    assert peak < 512, f"{peak:.0f} MiB"


@pytest.mark.slow
def test_damaged_observables_are_not_read(tmp_path: Path, run_path: Path) -> None:
    """Any byte, any end: refused before HDF5 sees it; other files have no seal."""
    path = tmp_path / "obs.nc"
    table = heatcap.observe(run_path)
    heatcap.save(table, path)
    good = path.read_bytes()
    xr.testing.assert_identical(heatcap.load(path), table)
    draw = random.Random(3)
    for _ in range(50):
        at = draw.randrange(len(good) - 80)
        path.write_bytes(good[:at] + bytes([good[at] ^ 1 << draw.randrange(8)]) + good[at + 1 :])
        with pytest.raises(ValueError, match=r"obs.nc: .*damaged: its bytes do not have"):
            heatcap.load(path)
    path.write_bytes(good[:-80])
    with pytest.raises(ValueError, match=r"obs.nc: is truncated, or was changed after"):
        heatcap.load(path)
    table.to_netcdf(path, engine="h5netcdf")
    xr.testing.assert_identical(heatcap.load(path), table)


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["huge", "unwritten", "link", "elsewhere", "text"])
def test_observables_that_lie_about_their_storage(
    tmp_path: Path, run_path: Path, harm: str
) -> None:
    """Without a seal, as a stranger may write them: refused before memory is taken."""
    path = tmp_path / "obs.nc"
    heatcap.observe(run_path).to_netcdf(path, engine="h5netcdf")
    with h5py.File(path, "r+") as h5:
        if harm == "link":
            h5["more"] = h5py.ExternalLink("other.h5", "/x")
        else:
            name, shape = "more", {"huge": (10**12,)}.get(harm, (10**6,))
            kind = h5py.string_dtype() if harm == "text" else "f8"
            where = [("raw", 0, h5py.h5f.UNLIMITED)] if harm == "elsewhere" else None
            h5.create_dataset(name, shape, kind, external=where, chunks=None if where else (1000,))
    with pytest.raises(ValueError, match=r"obs.nc: .*(is a link|never written|another file)"):
        heatcap.load(path)
