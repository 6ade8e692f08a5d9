"""The recorder on loops that are not ours: it sees the logits and leaves no trace."""

import re
import textwrap

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

from heatcap.runfile import open_run
from heatcap_trainer import recorder as module
from heatcap_trainer.config import ModelConfig, TaskConfig
from heatcap_trainer.model import Contexts, Transformer
from heatcap_trainer.recorder import Recorder, capture_logits, evaluating
from heatcap_trainer.tasks import build

HEADS, WIDTH, N, B = 2, 8, 5, 6


class Foreign(nn.Module):
    """Somebody's model: dropout, batch statistics, and an attention of one kind or another."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.embed = nn.Embedding(7, WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.bn = nn.BatchNorm1d(N)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(WIDTH, 7)
        if kind == "encoder":
            layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        if kind == "mha":
            self.mha = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, tokens):
        x = self.drop(self.bn(self.embed(tokens)))
        return self.out(self.mix(x)[:, -1])

    def mix(self, x):
        if self.kind == "encoder":
            return self.encoder(x)
        if self.kind == "mha":
            return self.mha(x, x, x, need_weights=True)[0]
        q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        mask = torch.ones(N, N).tril().bool()
        if self.kind == "sdpa":
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        elif self.kind == "sdpa mask":
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            s = q @ k.mT / q.shape[-1] ** 0.5
            s = s + torch.zeros(N, N).masked_fill(~mask, torch.finfo(s.dtype).min)
            y = s.softmax(-1) @ v
        return y.transpose(1, 2).flatten(2)


KINDS = ["plain", "sdpa", "sdpa mask", "mha", "encoder"]
CAUSAL = {"plain", "sdpa", "sdpa mask"}


def foreign(kind):
    torch.manual_seed(0)
    return Foreign(kind), torch.randint(0, 7, (B, N))


def loop(model, steps, record=None):
    """A training loop with its own random numbers."""
    torch.manual_seed(1)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(steps):
        if record:
            record(step)
        tokens = torch.randint(0, 7, (B, N))
        F.cross_entropy(model(tokens), tokens[:, 0]).backward()
        optimiser.step()
        optimiser.zero_grad()
    return torch.cat([p.detach().flatten() for p in [*model.parameters(), *model.buffers()]])


@pytest.mark.parametrize("kind", KINDS)
def test_training_with_and_without_it_is_bit_equal(kind, tmp_path):
    bare, _ = foreign(kind)
    expected = loop(bare, 6)
    model, probe = foreign(kind)
    with Recorder(tmp_path / "run.h5", model, probe, d_k=4, size_name="n", size=N) as recorder:
        weights = loop(model, 6, recorder.record)
    assert torch.equal(weights, expected)
    run = open_run(tmp_path / "run.h5")
    assert run.logits.shape == (6, 2 if kind == "encoder" else 1, HEADS, B, N, N)
    assert run.attrs["stop_reason"] == "end of loop"
    np.testing.assert_array_equal(run.probe_input.values, probe.numpy())


@pytest.mark.parametrize("kind", ["plain", "sdpa", "sdpa mask"])
def test_captured_logits_are_the_softmax_argument(kind):
    model, probe = foreign(kind)
    logits = capture_logits(model, probe)
    with evaluating(model):
        x = model.drop(model.bn(model.embed(probe)))
        q, k, _ = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in model.qkv(x).chunk(3, -1))
        expected = (q @ k.mT / 2).masked_fill(torch.ones(N, N).triu(1).bool(), -torch.inf)
    np.testing.assert_allclose(logits[0], expected.transpose(0, 1).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_keys_are_minus_infinity(kind):
    model, probe = foreign(kind)
    logits = capture_logits(model, probe)
    hidden = np.triu(np.ones((N, N), bool), 1) if kind in CAUSAL else np.zeros((N, N), bool)
    np.testing.assert_array_equal(np.isneginf(logits), np.broadcast_to(hidden, logits.shape))


def test_probabilities_of_multihead_attention_are_reproduced():
    model, probe = foreign("mha")
    logits = capture_logits(model, probe)
    with evaluating(model):
        x = model.bn(model.embed(probe))
        _, expected = model.mha(x, x, x, need_weights=True, average_attn_weights=False)
    found = torch.from_numpy(logits[0]).softmax(-1).transpose(0, 1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_modes_of_all_submodules_come_back():
    model, probe = foreign("encoder")
    model.train()
    model.drop.eval()
    model.encoder.layers[1].eval()
    before = [m.training for m in model.modules()]
    capture_logits(model, probe)
    assert [m.training for m in model.modules()] == before


@pytest.mark.parametrize("where", ["forward", "accept"])
def test_it_comes_off_after_an_exception(where):
    model, probe = foreign("sdpa")
    model.train()
    fast = torch.backends.mha.get_fastpath_enabled()
    state = torch.random.get_rng_state()

    def burst(*_):
        torch.rand(3)
        raise RuntimeError("burst")

    hook = model.out.register_forward_hook(burst if where == "forward" else lambda *_: None)
    with pytest.raises(RuntimeError, match="burst"):
        capture_logits(model, probe, accept=burst if where == "accept" else None)
    hook.remove()
    assert model.training
    assert model.drop.training
    assert torch.is_grad_enabled()
    assert _get_current_dispatch_mode() is None
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert torch.equal(state, torch.random.get_rng_state())


def test_an_exception_in_the_loop_keeps_what_was_recorded(tmp_path):
    model, probe = foreign("plain")

    def interrupted():
        with Recorder(tmp_path / "r.h5", model, probe, d_k=4, size_name="n", size=N) as recorder:
            recorder.record(0)
            recorder.record(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with open_run(tmp_path / "r.h5") as run:
        assert list(run.step.values) == [0, 1]
        assert run.attrs["stop_reason"] == ""


def test_metrics_are_denser_than_logits(tmp_path):
    model, probe = foreign("plain")
    header = {"d_k": 4, "size_name": "n", "size": N, "parameters": {"dropout": 0.5}}
    with Recorder(tmp_path / "r.h5", model, probe, steps=[0, 4], **header) as recorder:
        for step in range(6):
            recorder.record(step, train_loss=step / 2, surprise=1.0)
    with open_run(tmp_path / "r.h5") as run:
        assert list(run.step.values) == [0, 4]
        assert list(run.metric_step.values) == list(range(6))
        assert list(run.train_loss.values) == [0, 0.5, 1, 1.5, 2, 2.5]
        assert set(run.surprise.values) == {1.0}


def test_a_model_may_hand_out_its_own_logits(tmp_path):
    task = TaskConfig(p=5)
    data = build(task, 0)
    config = ModelConfig(d_model=8, heads=2, d_mlp=8, layers=2)
    model = Transformer(config, vocabulary=6, positions=3, answers=5, seed=0)
    contexts = Contexts.of(data.tokens)
    with Recorder(
        tmp_path / "r.h5",
        model,
        None,
        capture=lambda: model.attention_logits(contexts),
        probe_input=data.tokens,
        probe_trained=data.trained,
        d_k=4,
        size_name="p",
        size=5,
    ) as recorder:
        recorder.record(0)
    with open_run(tmp_path / "r.h5") as run:
        expected = model.attention_logits(contexts).detach().numpy()
        np.testing.assert_array_equal(run.logits.values[0], expected)
        assert list(run["query"].values) == [2]
        np.testing.assert_array_equal(run.probe_trained.values, data.trained)


def test_no_attention_is_an_error():
    with pytest.raises(ValueError, match=r"expected attention logits .* saw none"):
        capture_logits(nn.Linear(3, 3), torch.zeros(4, 3))


def test_layers_of_different_shape_are_an_error_that_names_the_way_out():
    class Two(nn.Module):
        def forward(self, x):
            return x.softmax(-1), x[..., :2].softmax(-1)

    with pytest.raises(ValueError, match=r"one shape .* accept="):
        capture_logits(Two(), torch.zeros(4, 2, 3, 3))
    chosen = capture_logits(Two(), torch.zeros(4, 2, 3, 3), accept=lambda _, s: s.shape[-1] == 3)
    assert chosen.shape == (1, 2, 4, 3, 3)


def test_probes_with_several_arguments():
    class Keyword(nn.Module):
        def forward(self, tokens, scale):
            return (scale * tokens[:, None, :, None] * tokens[:, None, None, :].float()).softmax(-1)

    tokens = torch.arange(6).view(3, 2)
    for probe in ((tokens, 2.0), {"tokens": tokens, "scale": 2.0}):
        assert capture_logits(Keyword(), probe).shape == (1, 1, 3, 2, 2)
    with pytest.raises(ValueError, match="probe: expected a tensor"):
        capture_logits(Keyword(), 3)


class Masked(nn.Module):
    """Causal attention that adds a number to the scores of masked keys."""

    def __init__(self, mask):
        super().__init__()
        self.mask = mask

    def forward(self, scores):
        return (scores + self.mask * torch.ones(N, N).triu(1)).softmax(-1)


@pytest.mark.parametrize("mask", [-1e4, -3e4])
def test_a_mask_that_is_too_small_is_an_error_that_names_the_option(mask):
    scores = torch.randn(B, HEADS, N, N)
    with pytest.raises(ValueError, match=r"looks like an additive mask; pass absent_below"):
        capture_logits(Masked(mask), scores)
    logits = capture_logits(Masked(mask), scores, absent_below=-5000)
    expected = scores.masked_fill(torch.ones(N, N).triu(1).bool(), -torch.inf)
    np.testing.assert_array_equal(logits[0], expected.transpose(0, 1).numpy())


def test_large_scores_are_not_a_mask():
    scores = torch.zeros(B, HEADS, N, N)
    scores[..., 0] = 4999.0
    assert np.isfinite(capture_logits(Masked(0.0), scores)).all()


def test_the_recorder_passes_the_level_of_masks_on(tmp_path):
    header = {"d_k": 4, "size_name": "n", "size": N}
    scores, path = torch.randn(B, HEADS, N, N), tmp_path / "r.h5"
    with Recorder(path, Masked(-1e4), scores, absent_below=-5000, **header) as recorder:
        recorder.record(0)
    with open_run(path) as run:
        assert np.isneginf(run.logits.values[..., 0, 1:]).all()


def test_what_is_not_said_about_the_probe_is_unknown(tmp_path):
    model, probe = foreign("plain")
    with Recorder(tmp_path / "r.h5", model, probe, d_k=4, size_name="n", size=N) as recorder:
        recorder.record(0)
    with open_run(tmp_path / "r.h5") as run:
        assert set(run.probe_trained.values) == {-1}


def test_the_example_records_step_t_after_t_updates(tmp_path, monkeypatch):
    """The lines at the top of the module, run as they stand: logits and loss are of one model."""
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"^    with Recorder.*?(?=^\S)", module.__doc__, re.M | re.S)
    model, probe = foreign("plain")
    model.eval()  # batch statistics change with the forward pass, weights with the update
    optimiser, expected, losses = torch.optim.SGD(model.parameters(), lr=0.1), [], []

    def loss_on(tokens):
        expected.append(capture_logits(model, probe))
        losses.append(F.cross_entropy(model(tokens), tokens[:, 0]))
        return losses[-1]

    def update(loss):
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    names = {"Recorder": Recorder, "model": model, "probe": probe, "loader": [probe] * 4}
    exec(textwrap.dedent(example), names | {"loss_on": loss_on, "update": update})
    with open_run(tmp_path / "run.h5") as run:
        assert list(run.step.values) == [0, 1, 2, 3]
        np.testing.assert_allclose(run.logits.values, np.stack(expected), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(run.train_loss.values, [x.item() for x in losses], rtol=1e-6)
