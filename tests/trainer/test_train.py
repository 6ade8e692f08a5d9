"""Training: the same numbers every time, also after a kill, and for seeds that train at once."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import load_file

from heatcap.runfile import RunFileError, open_run, read_header, validate_run
from heatcap_trainer import schedule, tasks
from heatcap_trainer.config import (
    ModelConfig,
    OptimiserConfig,
    RecordConfig,
    RunConfig,
    StopConfig,
    TaskConfig,
)
from heatcap_trainer.model import Contexts
from heatcap_trainer.train import Ensemble, Paths, batches, train

SMALL = RunConfig(
    task=TaskConfig(p=7, fraction=0.6),
    model=ModelConfig(d_model=16, heads=2, d_mlp=32),
    optimiser=OptimiserConfig(learning_rate=1e-2, warmup=3),
    record=RecordConfig(
        probe_size=20,
        checkpoints_per_decade=4,
        checkpoint_every=10,
        metrics_per_decade=8,
        metrics_every=5,
        state_seconds=0.0,
    ),
    stop=StopConfig(max_steps=60),
)
LONG = replace(
    SMALL,
    record=replace(SMALL.record, checkpoint_every=50, metrics_every=25),
    stop=StopConfig(max_steps=1500),
)


def contents(path):
    """All arrays of a run file, and what says how it ended."""
    with open_run(path) as run:
        return {name: run[name].values for name in run.variables} | {
            "end": run.attrs["stop_reason"]
        }


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_a_run_leaves_a_complete_file(tmp_path):
    assert train([SMALL], tmp_path) == {SMALL.name: "max_steps"}
    paths = Paths(tmp_path, SMALL.name)
    assert validate_run(paths.run) == []
    with open_run(paths.run) as run:
        assert run.logits.dims == ("step", "layer", "head", "probe", "query", "key")
        assert run.logits.shape[1:] == (1, 2, 20, 1, 3)
        assert list(run.step.values) == [0, 1, 2, 3, 6, 10, 18, 20, 30, 32, 40, 50, 56, 60]
        assert set(run.step.values) < set(run.metric_step.values)
        assert list(run["query"].values) == [2]
        chosen = tasks.probe(SMALL.task, 20)
        data = tasks.build(SMALL.task, 0)
        np.testing.assert_array_equal(run.probe_input.values, data.tokens[chosen])
        np.testing.assert_array_equal(run.probe_trained.values, data.trained[chosen])
        np.testing.assert_array_equal(run.probe_mirror_trained.values, data.mirror_trained[chosen])
        assert run.attrs["probe_population"] == 49
        assert json.loads(run.attrs["config"])["model"]["d_model"] == 16
        assert json.loads(run.attrs["parameters"])["p"] == 7
        assert run.attrs["softmax_scale"] == pytest.approx(8**-0.5)
        for name in ("train_loss", "mirror_free_accuracy", "weight_norm", "logit_scale"):
            assert np.isfinite(run[name].values).all()
    assert not paths.state.exists()


def test_equal_seeds_are_bit_equal_and_other_seeds_are_not(tmp_path):
    for folder in ("a", "b"):
        train([SMALL], tmp_path / folder)
    other = replace(SMALL, seed=1)
    train([other], tmp_path)
    a, b = (contents(tmp_path / f / f"{SMALL.name}.h5") for f in ("a", "b"))
    assert_equal(a, b)
    assert (contents(tmp_path / f"{other.name}.h5")["logits"] != a["logits"]).any()


def test_recording_does_not_touch_training(tmp_path):
    train([SMALL], tmp_path / "often")
    sparse = replace(
        SMALL,
        record=RecordConfig(checkpoints_per_decade=1, checkpoint_every=0, metrics_every=0),
    )
    train([sparse], tmp_path / "seldom")
    often, seldom = (contents(tmp_path / f / f"{SMALL.name}.h5") for f in ("often", "seldom"))
    assert often["train_loss"][-1] == seldom["train_loss"][-1]
    assert often["weight_norm"][-1] == seldom["weight_norm"][-1]


def test_step_zero_is_the_untrained_model_and_metrics_are_its_metrics(tmp_path):
    """Metrics of step 0 from their definitions, in NumPy."""
    config = replace(SMALL, record=replace(SMALL.record, weights=True))
    train([config], tmp_path)
    run = contents(tmp_path / f"{config.name}.h5")
    data = tasks.build(config.task, 0)
    from heatcap_trainer.train import _model

    model = _model(config, (data.vocabulary, 3, 7))
    weights = load_file(Paths(tmp_path, config.name).weights(0))
    for name, parameter in model.named_parameters():
        assert torch.equal(weights[name], parameter), name
    logits = model(Contexts.of(data.tokens)).detach().double().numpy()
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    loss = -log_p[np.arange(49), data.answers]
    right = logits.argmax(1) == data.answers
    test = ~data.trained
    expected = {
        "train_loss": loss[data.trained].mean(),
        "test_loss": loss[test].mean(),
        "train_accuracy": right[data.trained].mean(),
        "test_accuracy": right[test].mean(),
        "mirror_free_accuracy": right[data.mirror_free].mean(),
        "weight_norm": np.sqrt(sum(float((w.double() ** 2).sum()) for w in weights.values())),
        "logit_scale": np.sqrt(logits[test].var(axis=1).mean()),
    }
    for name, value in expected.items():
        assert run[name][0] == pytest.approx(value, rel=1e-5), name


def test_weights_go_beside_the_logits(tmp_path):
    config = replace(SMALL, record=replace(SMALL.record, weights=True))
    train([config], tmp_path)
    saved = sorted((tmp_path / "weights" / config.name).iterdir())
    steps = contents(tmp_path / f"{config.name}.h5")["step"]
    assert [path.name for path in saved] == [f"step_{step:08d}.safetensors" for step in steps]


def test_a_step_is_adamw_on_the_float64_loss(tmp_path):
    """The hand-written gradient against autograd through log_softmax, over a few steps."""
    from heatcap_trainer.train import _model

    config = replace(SMALL, optimiser=OptimiserConfig(warmup=2), stop=StopConfig(max_steps=4))
    config = replace(config, record=replace(config.record, weights=True, checkpoint_every=1))
    train([config], tmp_path)
    data = tasks.build(config.task, 0)
    model = _model(config, (data.vocabulary, 3, 7))
    contexts = Contexts.of(data.tokens).select(np.flatnonzero(data.trained))
    answers = torch.from_numpy(data.answers[data.trained])
    rule = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0)
    for step in range(4):
        rule.param_groups[0]["lr"] = 1e-3 * min(1, (step + 1) / 2)
        rule.zero_grad()
        torch.nn.functional.cross_entropy(model(contexts).double(), answers).backward()
        rule.step()
    weights = load_file(Paths(tmp_path, config.name).weights(4))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(weights[name], parameter.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_seeds_that_train_at_once_follow_the_single_runs(tmp_path):
    """To rounding: batched products sum in another order."""
    configs = [replace(SMALL, seed=seed) for seed in range(3)]
    for config in configs:
        train([config], tmp_path / "single")
    assert set(train(configs, tmp_path / "together").values()) == {"max_steps"}
    for config in configs:
        one, many = (contents(tmp_path / f / f"{config.name}.h5") for f in ("single", "together"))
        assert one.keys() == many.keys()
        np.testing.assert_array_equal(one["probe_trained"], many["probe_trained"])
        np.testing.assert_allclose(one["logits"], many["logits"], rtol=1e-3, atol=2e-4)
        np.testing.assert_allclose(one["train_loss"], many["train_loss"], rtol=1e-3)


def test_stacked_models_give_the_answers_of_each(tmp_path):
    from heatcap_trainer.train import _model

    del tmp_path
    models = [_model(replace(SMALL, seed=seed), (8, 3, 7)) for seed in range(3)]
    contexts = Contexts.of(tasks.build(SMALL.task, 0).tokens)
    rows = [np.random.default_rng(s).permutation(49)[:10] for s in range(3)]
    expected = torch.stack([m(contexts.select(r)) for m, r in zip(models, rows, strict=True)])
    found = Ensemble(models)(contexts.select(np.stack(rows)))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [{"layers": 2}, {"layer_norm": True}, {"positions": "rotary", "causal": False}]
)
@pytest.mark.parametrize("task", [{}, {"name": "recall", "pairs": 3, "alphabet": 5, "samples": 40}])
def test_every_kind_of_model_and_task_trains_together(tmp_path, model, task):
    config = replace(
        SMALL,
        model=replace(SMALL.model, **model),
        task=replace(SMALL.task, **task),
        record=replace(SMALL.record, queries="all"),
        stop=StopConfig(max_steps=12),
    )
    train([config, replace(config, seed=1)], tmp_path)
    with open_run(tmp_path / f"{config.name}.h5") as run:
        n = config.task.positions
        assert run.logits.shape[-2:] == (n, n)
        assert ("mirror_free_accuracy" in run) == config.task.symmetric
        assert run.train_loss.values[-1] < run.train_loss.values[0]
    assert validate_run(tmp_path / f"{config.name}.h5") == []


def test_a_run_ends_where_the_rule_says_with_a_checkpoint(tmp_path, monkeypatch):
    def rule(record, stop):
        step, train_accuracy, accuracy = record[-1]
        assert stop == SMALL.stop
        assert 0 <= accuracy <= 1
        assert 0 <= train_accuracy <= 1
        return "after_onset" if step >= 25 else ""

    monkeypatch.setattr(schedule, "should_stop", rule)
    assert train([SMALL], tmp_path) == {SMALL.name: "after_onset"}
    run = contents(tmp_path / f"{SMALL.name}.h5")
    assert run["step"][-1] == run["metric_step"][-1] == 25
    assert run["end"] == "after_onset"


def test_runs_that_train_together_end_one_by_one(tmp_path, monkeypatch):
    ends = iter([""] * 8 + ["max_steps"] + [""] * 3 + ["after_onset"])
    monkeypatch.setattr(schedule, "should_stop", lambda *_: next(ends))
    configs = [SMALL, replace(SMALL, seed=1)]
    reasons = train(configs, tmp_path)
    assert sorted(reasons.values()) == ["after_onset", "max_steps"]
    last = [contents(tmp_path / f"{c.name}.h5")["metric_step"][-1] for c in configs]
    assert last[0] < last[1]


class Killed(Exception):
    """Stands for the end of the process."""


def test_resumed_is_uninterrupted(tmp_path):
    """Interrupted at every metric step in turn, one resumption after the other."""
    train([SMALL], tmp_path / "whole")

    def die_after(count):
        def report(_):
            nonlocal count
            count -= 1
            if count < 0:
                raise Killed

        return report

    done = 0
    for _ in range(40):
        try:
            train([SMALL], tmp_path / "parts", resume=True, report=die_after(4))
        except Killed:
            done += 1
        else:
            break
    assert done > 3
    whole, parts = (contents(tmp_path / f / f"{SMALL.name}.h5") for f in ("whole", "parts"))
    assert_equal(whole, parts)


KILLED = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from test_train import LONG
from heatcap_trainer.train import train
train([LONG], Path(sys.argv[1]), resume=True, report=lambda step: print(step, flush=True))
"""


@pytest.mark.slow
def test_killed_and_resumed_is_uninterrupted(tmp_path):
    train([LONG], tmp_path / "whole")
    path = Paths(tmp_path / "parts", LONG.name)
    for reports in (40, 25):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "parts")],
            cwd=os.path.dirname(__file__),
            stdout=subprocess.PIPE,
        )
        # Ends a child that hangs, so that readline meets the end of its output.
        alarm = threading.Timer(600, process.kill)
        alarm.start()
        try:
            for _ in range(reports):
                assert process.stdout.readline()
        finally:
            alarm.cancel()
            process.kill()
            process.wait(timeout=120)
            process.stdout.close()
    assert not read_header(path.run).complete
    assert path.state_step is not None
    train([LONG], tmp_path / "parts", resume=True)
    assert_equal(contents(tmp_path / "whole" / path.run.name), contents(path.run))


def test_an_existing_file_is_not_overwritten(tmp_path):
    train([SMALL], tmp_path)
    with pytest.raises(RunFileError, match="exists already"):
        train([SMALL], tmp_path)


def test_a_finished_run_is_left_as_it_is(tmp_path):
    train([SMALL], tmp_path)
    before = Paths(tmp_path, SMALL.name).run.read_bytes()
    assert train([SMALL], tmp_path, resume=True) == {SMALL.name: "max_steps"}
    assert Paths(tmp_path, SMALL.name).run.read_bytes() == before


def test_resuming_another_configuration_names_what_changed(tmp_path):
    def die(step):
        if step > 20:
            raise Killed

    with pytest.raises(Killed):
        train([SMALL], tmp_path, report=die)
    changed = replace(SMALL, stop=StopConfig(max_steps=70))
    with pytest.raises(RunFileError, match=r"made with another stop\.max_steps"):
        train([changed], tmp_path, resume=True)


def test_resuming_another_configuration_without_a_state_keeps_the_file(tmp_path):
    """A finished run, and an unfinished one whose state was never saved."""
    train([SMALL], tmp_path)
    path = Paths(tmp_path, SMALL.name)
    before = path.run.read_bytes()
    changed = replace(SMALL, stop=StopConfig(max_steps=70))
    with pytest.raises(RunFileError, match=r"seed0\.h5: was made with another stop\.max_steps"):
        train([changed], tmp_path, resume=True)
    assert path.run.read_bytes() == before


def test_a_corrupt_state_is_named(tmp_path):
    def die(step):
        if step > 20:
            raise Killed

    with pytest.raises(Killed):
        train([SMALL], tmp_path, report=die)
    path = Paths(tmp_path, SMALL.name)
    path.state.write_bytes(path.state.read_bytes()[:100])
    message = r"state/\S+\.safetensors: not a readable state of the trainer .* remove it"
    with pytest.raises(RunFileError, match=message):
        batches([SMALL], tmp_path, together=False)
    with pytest.raises(RunFileError, match=message):
        train([SMALL], tmp_path, resume=True)
    path.state.unlink()
    assert train([SMALL], tmp_path, resume=True) == {SMALL.name: "max_steps"}


def test_a_file_that_cannot_be_closed_hides_no_error_and_keeps_no_other_open(tmp_path, monkeypatch):
    from heatcap_trainer.train import _Run

    closed, close = [], _Run.close

    def failing(run):
        closed.append(run.config.seed)
        close(run)
        if run.config.seed == 0:
            raise OSError("disk full")

    def report(_):
        monkeypatch.setattr(_Run, "close", failing)
        raise Killed

    with pytest.raises(Killed) as caught:
        train([SMALL, replace(SMALL, seed=1)], tmp_path, report=report)
    assert closed == [0, 1]
    assert "disk full" in caught.value.__notes__[0]


def test_batches_join_what_differs_in_the_seed_alone(tmp_path):
    configs = [
        replace(SMALL, seed=s, task=replace(SMALL.task, p=p)) for p in (5, 7) for s in range(3)
    ]
    assert [len(b) for b in batches(configs, tmp_path, together=True)] == [3, 3]
    assert [len(b) for b in batches(configs, tmp_path, together=False)] == [1] * 6


def test_the_loss_is_float64_where_float32_rounds_it_away():
    """A margin of 25 in the logits: p = 1 - 2 e^-25, which float32 takes for 1."""
    from heatcap_trainer.train import _Loop, _loss, _loss_gradient, _Run

    logits, answers = torch.tensor([[[25.0, 0.0, 0.0]]]), torch.tensor([[0]])
    exact = 2 * np.exp(-25.0)
    for dtype, expected in ((torch.float64, exact), (torch.float32, 0.0)):
        assert float(_loss(logits, answers, dtype)) == pytest.approx(expected, rel=1e-6)
        gradient = float(_loss_gradient(logits, answers, dtype)[0, 0, 0])
        assert gradient == pytest.approx(-expected, rel=1e-6)
    for name, config in {
        "float64": SMALL,
        "float32": replace(SMALL, optimiser=OptimiserConfig(loss_dtype="float32")),
    }.items():
        loop = _Loop([_Run(config, Paths(Path(), "x"))], torch.device("cpu"))
        assert str(loop._loss_dtype) == f"torch.{name}"
