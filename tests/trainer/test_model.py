"""The table model against a plain transformer on tokens, written without any of its shortcuts."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from heatcap_trainer.config import ModelConfig, TaskConfig
from heatcap_trainer.model import Contexts, Transformer
from heatcap_trainer.tasks import build

SMALL = ModelConfig(d_model=16, heads=2, d_mlp=24)
VARIANTS = {
    "one layer": SMALL,
    "two layers": replace(SMALL, layers=2),
    "four layers": replace(SMALL, layers=4),
    "layer norm": replace(SMALL, layers=2, layer_norm=True),
    "not causal": replace(SMALL, layers=2, causal=False),
    "rotary": replace(SMALL, layers=2, positions="rotary"),
    "no positions": replace(SMALL, positions="none"),
    "scaled": replace(SMALL, softmax_scale=0.7, attention_scaling=1.3, layers=2),
    "scaled, not causal": replace(SMALL, attention_scaling=1.3, causal=False),
    "biased": replace(SMALL, qk_bias=True, positions="rotary"),
    "wide answers": replace(SMALL, d_model=4),
}
TASKS = {
    "addition": TaskConfig(p=5),
    "recall": TaskConfig(name="recall", pairs=3, alphabet=5, values=4, samples=30),
    "recall of few": TaskConfig(name="recall", pairs=3, alphabet=40, values=4, samples=6),
}


def make(config, task):
    data = build(task, 0)
    model = Transformer(
        config,
        vocabulary=data.vocabulary,
        positions=task.positions,
        answers=task.answers,
        seed=1,
    ).double()
    with torch.no_grad():  # weights that are not zero anywhere
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model, data


def plain(model, tokens):
    """Answers (N, y) and attention logits (layer, h, N, n, n), context by context."""
    config, (count, n) = model.blocks[0].attention.config, tokens.shape
    h, c = config.heads, config.d_k
    x = model.embed[tokens]
    if config.positions == "learned":
        x = x + model.place
    logits = []
    for block in model.blocks:
        attention, y = block.attention, block.norm_1(x)
        q, k, v = (y @ w for w in (attention.w_q, attention.w_k, attention.w_v))
        if config.qk_bias:
            q, k = q + attention.b_q, k + attention.b_k
        q, k, v = (t.view(count, n, h, c) for t in (q, k, v))
        s = torch.full((h, count, n, n), -math.inf, dtype=x.dtype)
        for i, j in itertools.product(range(n), range(n)):
            if config.causal and j > i:
                continue
            for head in range(h):
                left, right = q[:, i, head], k[:, j, head]
                if config.positions == "rotary":
                    left, right = turn(left, i), turn(right, j)
                s[head, :, i, j] = config.scale * (left * right).sum(-1)
            if config.attention_scaling:
                visible = i + 1 if config.causal else n
                s[:, :, i, j] *= config.attention_scaling * math.log(visible)
        logits.append(s)
        mixed = torch.einsum("hbij,bjhc->bihc", s.softmax(-1), v).reshape(count, n, -1)
        x = x + mixed @ attention.w_o
        hidden = (block.norm_2(x) @ block.w_in + block.b_in).clamp(min=0)
        x = x + hidden @ block.w_out + block.b_out
    return model.norm(x[:, -1]) @ model.unembed, torch.stack(logits)


def turn(y, position):
    """Rotary embedding as a complex phase."""
    half = y.shape[-1] // 2
    phase = position * 10000.0 ** (-torch.arange(half, dtype=y.dtype) / half)
    z = torch.complex(y[..., :half], y[..., half:]) * torch.polar(torch.ones(half).double(), phase)
    return torch.cat([z.real, z.imag], -1)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_table_is_the_plain_transformer(variant, task):
    torch.manual_seed(0)
    model, data = make(VARIANTS[variant], TASKS[task])
    contexts = Contexts.of(data.tokens).select(np.arange(0, len(data.tokens), 2))
    answers, logits = plain(model, torch.from_numpy(data.tokens)[::2])
    torch.testing.assert_close(model(contexts), answers, rtol=1e-10, atol=1e-10)
    ours = model.attention_logits(contexts, all_queries=True)
    torch.testing.assert_close(ours, logits, rtol=1e-10, atol=1e-10)
    last = model.attention_logits(contexts)
    torch.testing.assert_close(last, logits[..., -1:, :], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("variant", ["one layer", "two layers", "layer norm", "biased"])
def test_gradients_are_those_of_the_plain_transformer(variant):
    torch.manual_seed(0)
    model, data = make(VARIANTS[variant], TASKS["addition"])
    weights = dict(model.named_parameters())
    ours = torch.autograd.grad(model(Contexts.of(data.tokens)).cos().sum(), weights.values())
    answers, _ = plain(model, torch.from_numpy(data.tokens))
    theirs = torch.autograd.grad(answers.cos().sum(), weights.values())
    for name, a, b in zip(weights, ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


def test_recorded_logits_are_the_ones_that_attention_used(monkeypatch):
    model, data = make(VARIANTS["two layers"], TASKS["addition"])
    used, softmax = [], torch.softmax
    monkeypatch.setattr(torch, "softmax", lambda s, dim: used.append(s) or softmax(s, dim))
    contexts = Contexts.of(data.tokens)
    model(contexts)
    monkeypatch.undo()
    recorded = model.attention_logits(contexts)[:, :, :, 0]  # (layer, h, N, n)
    for layer, s in enumerate(used):
        assert torch.equal(recorded[layer], s[:, -1].permute(2, 0, 1))


def test_a_masked_key_is_minus_infinity_and_nothing_else_is():
    model, data = make(SMALL, TASKS["addition"])
    logits = model.attention_logits(Contexts.of(data.tokens), all_queries=True)
    hidden = torch.ones(3, 3).triu(1).bool().expand(logits.shape)
    assert torch.equal(torch.isneginf(logits), hidden)
    assert torch.isfinite(logits[~hidden]).all()


def test_a_key_bias_is_gauge_and_a_query_bias_is_not():
    """q.b_k is the same for all keys of a query, so the answers ignore it (physics: gauge)."""
    model, data = make(replace(SMALL, qk_bias=True), TASKS["addition"])
    contexts, attention = Contexts.of(data.tokens), model.blocks[0].attention
    before = model(contexts)
    with torch.no_grad():
        attention.b_k.add_(1.0)
    torch.testing.assert_close(model(contexts), before)
    with torch.no_grad():
        attention.b_q.add_(1.0)
    assert (model(contexts) - before).abs().max() > 1e-3


def test_weights_depend_on_the_seed_alone():
    def weights(seed):
        torch.rand(seed + 3)
        model = Transformer(SMALL, vocabulary=6, positions=3, answers=5, seed=seed)
        return torch.cat([w.detach().flatten() for w in model.parameters()])

    state = torch.random.get_rng_state()
    Transformer(SMALL, vocabulary=6, positions=3, answers=5, seed=0)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_the_table_holds_each_pair_once():
    contexts = Contexts.of(build(TaskConfig(p=7), 0).tokens)
    assert len(contexts.token) == 2 * 7 + 1
    rebuilt = contexts.token[contexts.row]
    np.testing.assert_array_equal(rebuilt.numpy(), build(TaskConfig(p=7), 0).tokens)
