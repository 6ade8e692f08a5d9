"""Slow, plain versions of the kernels: a line per definition, in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Floats = NDArray[np.float64]


def probabilities(logits: Any, beta: float = 1.0) -> Floats:
    s = beta * np.asarray(logits, dtype=np.float64)
    return np.exp(s - logsumexp(s, axis=-1, keepdims=True))


def row_observables(logits: Any, beta: float = 1.0) -> dict[str, Floats]:
    """Every row quantity over the last axis.

    The energies are counted from the lowest one, and the weight of the most probable key is left
    out of a sum for log1p: this changes nothing but the rounding, in frozen rows.
    """
    s = np.asarray(logits, dtype=np.float64)
    top = s.max(axis=-1, keepdims=True)
    seen = np.isfinite(s)
    level = np.where(seen, top - s, 0.0)
    weight = np.where(seen, np.exp(-beta * level), 0.0)
    np.put_along_axis(weight, s.argmax(-1, keepdims=True), 0.0, axis=-1)
    rest = weight.sum(-1)
    p = np.where(seen, np.exp(-beta * level), 0.0) / (1 + rest)[..., None]
    depth = (p * level).sum(-1)
    deviation = beta * (level - depth[..., None])
    m2, m3, m4 = ((p * deviation**k).sum(-1) for k in (2, 3, 4))
    n = seen.sum(-1)
    mean = level.sum(-1) / n
    return {
        "free_energy": -np.log1p(rest) / beta - top[..., 0],
        "energy": depth - top[..., 0],
        "entropy": beta * depth + np.log1p(rest),
        "heat_capacity": m2,
        "third_cumulant": m3,
        "fourth_cumulant": m4 - 3 * m2**2,
        "participation_ratio": 1 / (p**2).sum(-1),
        "max_probability": p.max(-1),
        "visible_keys": n.astype(float),
        "mean_energy": mean - top[..., 0],
        "energy_above_mean": depth - mean,
    }


def heat_capacities(logits: Any, beta: float = 1.0) -> dict[str, float]:
    """Of one table (probe, key)."""
    row = row_observables(logits, beta)
    energy = -np.asarray(logits, dtype=np.float64)
    seen = np.isfinite(energy)
    pooled = energy[seen]
    # each visible pair with the mean of its key
    offsets = np.concatenate(
        [np.full(c.sum(), e[c].mean()) for e, c in zip(energy.T, seen.T, strict=True) if c.any()]
    )
    u, fixed = row["energy"], row["energy_above_mean"]
    return {
        "heat_capacity": row["heat_capacity"].mean(),
        "landscape_heat_capacity": beta**2 * u.var(),
        "landscape_heat_capacity_fixed": beta**2 * fixed.var(),
        "total_heat_capacity": row["heat_capacity"].mean() + beta**2 * u.var(),
        "unweighted_heat_capacity": beta**2 * pooled.var(),
        "offset_heat_capacity": beta**2 * offsets.var(),
    }


def fisher_distance(a: Any, b: Any, beta: float = 1.0) -> Floats:
    overlap = np.sqrt(probabilities(a, beta) * probabilities(b, beta)).sum(-1)
    distance: Floats = 2 * np.arccos(np.minimum(overlap, 1.0))
    return distance


def heat_capacity_bound(n: int) -> float:
    """By brute force: the best two-level row on a fine grid of gaps and all its degeneracies."""
    gap = np.linspace(0.5, 40, 200_001)
    weight = (n - 1) * np.exp(-gap)
    return float((gap**2 * weight / (1 + weight) ** 2).max())
