"""A small transformer with explicit attention logits q.k; the file reads from top to bottom.

A context is a row of n tokens, the answer is read at its last position.  Few distinct vectors
enter the first layer, because it sees only (token, position) pairs: 2p + 1 for modular addition,
however many of the p^2 contexts are trained on.  So a batch is a *table* of the R distinct pairs
and, for each of N contexts, the n rows of the table that stand at its positions.  Keys, values
and queries are projected once per row of the table and gathered; deeper layers, where every
context has vectors of its own, run through the same lines with one row per (context, position).
In the last layer only the last query is followed, unless all are asked for.

Letters in the shape comments: R rows of the table, N contexts, n positions, i queries, h heads, d
the width of the model, c the width of a head, y the number of answers.  The logit of a key is

    s = softmax_scale q.k,    or with attention scaling    s = softmax_scale gamma ln m  q.k

for a query that sees m keys: the argument of the softmax.  A key behind the causal mask is -inf.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from heatcap_trainer.config import ModelConfig

__all__ = ["Contexts", "Transformer"]


@dataclass(frozen=True)
class Contexts:
    """N contexts of n tokens, as rows of a table of the distinct (token, position) pairs.

    The table is sorted by position, so that the candidates for the last query are its last rows.
    """

    token: Tensor  # (R,)
    position: Tensor  # (R,)
    row: Tensor  # (N, n), or (seed, N, n) for several seeds at once
    last: int  # first row of the table that stands at the last position

    @classmethod
    def of(cls, tokens: np.ndarray) -> Contexts:
        """Make contexts from an integer array (N, n)."""
        n = tokens.shape[1]
        pairs = tokens.astype(np.int64) + np.arange(n) * (int(tokens.max()) + 1)
        distinct, row = np.unique(pairs, return_inverse=True)
        position, token = np.divmod(distinct, int(tokens.max()) + 1)
        return cls(
            torch.from_numpy(token),
            torch.from_numpy(position),
            torch.from_numpy(row.reshape(tokens.shape)),
            int(np.searchsorted(position, n - 1)),
        )

    def select(self, which: np.ndarray) -> Contexts:
        """Select contexts over the same table; an array (seed, N) selects for each seed."""
        return Contexts(self.token, self.position, self.row[torch.from_numpy(which)], self.last)

    def to(self, device: torch.device) -> Contexts:
        """Move the contexts to a device."""
        token, position, row = (t.to(device) for t in (self.token, self.position, self.row))
        return Contexts(token, position, row, self.last)


@dataclass(frozen=True)
class Stream:
    """Residual stream in front of a layer: x (R, d), and the rows of each context.

    With ``row`` (N, n) the rows of x are shared between the contexts, as they are in front of the
    first layer; without it x is (N * n, d) and they stand in order.
    """

    x: Tensor
    position: Tensor  # (R,)
    row: Tensor | None
    last: int  # first row of x that may stand at the last position
    n: int

    def keys(self, values: Tensor) -> Tensor:
        """Gather values of all keys of each context, (R, k) -> (N, n, k)."""
        if self.row is None:
            return values.view(-1, self.n, values.shape[-1])
        return F.embedding(self.row, values)

    def queries(self, values: Tensor, last_only: bool) -> Tensor:
        """Gather values at the queries of each context, (R, k) -> (N, i, k)."""
        first = self.n - 1 if last_only else 0
        if self.row is None:
            return values.view(-1, self.n, values.shape[-1])[:, first:]
        if last_only and self.last == len(values) - 1:  # one token ends every context
            return values[-1:].expand(len(self.row), 1, -1)
        return F.embedding(self.row[:, first:], values)

    def follow(self, x: Tensor) -> Stream:
        """Make the stream behind a layer from its output (N, n, d)."""
        place = torch.arange(self.n, device=x.device).repeat(len(x))  # (N n,)
        return Stream(x.flatten(0, 1), place, None, 0, self.n)


class Transformer(nn.Module):
    """Token and position embedding, blocks, unembedding at the last position; no dropout.

    Parameters
    ----------
    config : ModelConfig
        Shape of the model.
    vocabulary, positions, answers : int
        Number of tokens, length of a context, number of classes of the answer.
    seed : int
        Seed of the initial weights: every matrix is Gaussian with variance 1/fan-in, drawn on the
        CPU from its own generator, so neither the device nor a global random state matters.
    """

    def __init__(
        self, config: ModelConfig, *, vocabulary: int, positions: int, answers: int, seed: int
    ) -> None:
        super().__init__()
        draw, d = torch.Generator().manual_seed(seed), config.d_model
        learned = config.positions == "learned"
        self.embed = _matrix(draw, vocabulary, d, fan_in=d)
        self.place = _matrix(draw, positions, d, fan_in=d) if learned else None
        self.blocks = nn.ModuleList(Block(config, draw) for _ in range(config.layers))
        self.norm = nn.LayerNorm(d) if config.layer_norm else nn.Identity()
        self.unembed = _matrix(draw, d, answers)

    def forward(self, contexts: Contexts) -> Tensor:
        """Compute the logits of the answers, (N, y)."""
        *below, top = self.blocks
        stream = self._enter(contexts)
        for block in below:
            stream = stream.follow(block(stream)[0])
        if isinstance(self.norm, nn.LayerNorm):
            return cast(Tensor, self.norm(top(stream, last_only=True)[0][:, 0]) @ self.unembed)
        return cast(Tensor, top(stream, last_only=True, read=self.unembed)[0][:, 0])

    def attention_logits(self, contexts: Contexts, *, all_queries: bool = False) -> Tensor:
        """Return the argument of every softmax, (layer, h, N, i, n); at all queries or the last."""
        stream, logits = self._enter(contexts), list[Tensor]()
        for block in self.blocks:
            top = len(logits) == len(self.blocks) - 1
            x, s = block(stream, last_only=top and not all_queries)  # (N, i, d), (N, i, n, h)
            logits.append((s if all_queries else s[:, -1:]).permute(3, 0, 1, 2))
            stream = stream if top else stream.follow(x)
        return torch.stack(logits)

    def _enter(self, contexts: Contexts) -> Stream:
        """Stream in front of the first layer: token and position embeddings."""
        x = F.embedding(contexts.token, self.embed)  # (R, d)
        if self.place is not None:
            x = x + F.embedding(contexts.position, self.place)  # (R, d)
        return Stream(x, contexts.position, contexts.row, contexts.last, contexts.row.shape[-1])


class Block(nn.Module):
    """Attention, then MLP; each reads the stream (through LayerNorm, if any) and adds to it."""

    def __init__(self, config: ModelConfig, draw: torch.Generator) -> None:
        super().__init__()
        d = config.d_model
        self.norm_1 = nn.LayerNorm(d) if config.layer_norm else nn.Identity()
        self.attention = Attention(config, draw)
        self.norm_2 = nn.LayerNorm(d) if config.layer_norm else nn.Identity()
        self.w_in = _matrix(draw, d, config.d_mlp)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.w_out = _matrix(draw, config.d_mlp, d)
        self.b_out = nn.Parameter(torch.zeros(d))

    def forward(
        self, stream: Stream, *, last_only: bool = False, read: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Stream behind the block (N, i, d), or `read` (d, y) from it, and attention logits."""
        mixed, s = self.attention(replace(stream, x=self.norm_1(stream.x)), last_only)
        x = (stream.queries(stream.x, last_only) + mixed).flatten(0, 1)  # (N i, d)
        hidden = torch.relu(torch.addmm(self.b_in, self.norm_2(x), self.w_in))  # (N i, d_mlp)
        if read is None:
            x = x + torch.addmm(self.b_out, hidden, self.w_out)  # (N i, d)
        elif read.shape[1] < read.shape[0]:  # the product of both matrices is the smaller one
            x = torch.addmm(x @ read + self.b_out @ read, hidden, self.w_out @ read)  # (N i, y)
        else:
            x = (x + torch.addmm(self.b_out, hidden, self.w_out)) @ read  # (N i, y)
        return x.view(*mixed.shape[:2], -1), s  # (N, i, d or y), (N, i, n, h)


class Attention(nn.Module):
    """Attention that returns its logits as an ordinary tensor."""

    def __init__(self, config: ModelConfig, draw: torch.Generator) -> None:
        super().__init__()
        d, h = config.d_model, config.heads
        self.config, self.heads = config, h
        self.scale = config.scale
        self.w_q, self.w_k, self.w_v, self.w_o = (_matrix(draw, d, d) for _ in range(4))
        self.b_q = nn.Parameter(torch.zeros(d)) if config.qk_bias else None
        self.b_k = nn.Parameter(torch.zeros(d)) if config.qk_bias else None

    def forward(self, stream: Stream, last_only: bool) -> tuple[Tensor, Tensor]:
        """Mix the values of the keys, (N, i, d); also returns the logits (N, i, n, h)."""
        s = self._logits(stream, last_only)  # (N, i, n, h)
        weight = torch.softmax(s, dim=2)  # (N, i, n, h)
        value = self._heads(stream.keys(stream.x @ self.w_v))  # (N, n, h, c)
        if last_only:  # a product and a sum: many small matrix products are slower
            mixed = (weight.squeeze(1).unsqueeze(-1) * value).sum(1).unsqueeze(1)  # (N, 1, h, c)
        else:
            mixed = torch.einsum("nijh,njhc->nihc", weight, value)  # (N, i, h, c)
        return mixed.flatten(2) @ self.w_o, s  # (N, i, d), (N, i, n, h)

    def _logits(self, stream: Stream, last_only: bool) -> Tensor:
        """softmax_scale (gamma ln m) q.k behind the mask, (N, i, n, h)."""
        n, device = stream.n, stream.x.device
        place = torch.arange(n - 1 if last_only else 0, n, device=device)  # (i,)
        s = self._products(stream, place, last_only)  # (N, i, n, h)
        if self.config.attention_scaling:
            visible = place + 1 if self.config.causal else torch.full_like(place, n)  # (i,)
            s = s * (self.config.attention_scaling * torch.log(visible.to(s.dtype))).view(-1, 1, 1)
        if self.config.causal and not last_only:
            hidden = torch.arange(n, device=device) > place[:, None]  # (i, n)
            s = s.masked_fill(hidden.unsqueeze(-1), -math.inf)
        return s

    def _products(self, stream: Stream, place: Tensor, last_only: bool) -> Tensor:
        """softmax_scale q.k of every query with every key, (N, i, n, h)."""
        first = stream.last if last_only else 0
        key = self._project(stream.x, self.w_k, self.b_k, stream.position)  # (R, h, c)
        row, pairs = stream.row, (len(key) - first) * len(key)
        if row is not None and pairs <= 4 * len(place) * row.numel():
            x, position = stream.x[first:], stream.position[first:]
            query = self.scale * self._project(x, self.w_q, self.b_q, position)  # (Q, h, c)
            table = torch.einsum("qhc,rhc->qrh", query, key).flatten(0, 1)  # (Q R, h)
            query_row = (row[:, -len(place) :] - first).unsqueeze(2)  # (N, i, 1)
            return F.embedding(query_row * len(key) + row.unsqueeze(1), table)  # (N, i, n, h)
        x = stream.queries(stream.x, last_only)  # (N, i, d)
        query = self.scale * self._project(x, self.w_q, self.b_q, place)  # (N, i, h, c)
        key = self._heads(stream.keys(key.flatten(1)))  # (N, n, h, c)
        if last_only:
            return (query * key).sum(-1).unsqueeze(1)  # (N, 1, n, h)
        return torch.einsum("nihc,njhc->nijh", query, key)  # (N, i, n, h)

    def _project(self, x: Tensor, w: Tensor, b: Tensor | None, position: Tensor) -> Tensor:
        """Queries or keys of vectors at the given positions, (..., d) -> (..., h, c)."""
        y = self._heads(x @ w if b is None else x @ w + b)
        return _rotate(y, position) if self.config.positions == "rotary" else y

    def _heads(self, y: Tensor) -> Tensor:
        """(..., d) -> (..., h, c)"""
        return y.view(*y.shape[:-1], self.heads, -1)


def _rotate(y: Tensor, position: Tensor) -> Tensor:
    """Rotary embedding: the pairs (y_a, y_(a + c/2)) turn by position * 10000^(-2a/c)."""
    half = y.shape[-1] // 2
    rate = 10000.0 ** (-torch.arange(half, dtype=y.dtype, device=y.device) / half)  # (c/2,)
    angle = (position.unsqueeze(-1) * rate).unsqueeze(-2)  # (..., 1, c/2)
    a, b = y[..., :half], y[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


def _matrix(
    draw: torch.Generator, rows: int, columns: int, fan_in: int | None = None
) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, columns, generator=draw) / math.sqrt(fan_in or rows))
