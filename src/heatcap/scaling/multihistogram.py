"""All simulations of one size as histograms, and the averages that follow from them.

Equations and references: :mod:`heatcap.scaling.reweighting`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from heatcap.core.arrays import Floats

__all__ = ["OBSERVABLES", "Ensemble", "ensemble_of"]


OBSERVABLES = ("energy", "heat_capacity", "energy_binder")

ENOUGH = 100.0  # effective samples; below, a reweighted average is not trusted
TAIL, IN_TAIL = 0.025, 5.0  # beyond either tail of the energy this many must have been seen
LEVELS = 8192  # of the energy; a finer, continuous one is binned
OVERLAP = 0.03  # of neighbouring simulations, below which they do not support one another


@dataclass(frozen=True, eq=False)
class Ensemble:
    """All simulations of one size, as histograms.

    Attributes
    ----------
    size, sites : float
    beta : ndarray (simulation)
    level : ndarray (level)
        Extensive energies.
    counts : ndarray (unit, simulation, level)
        Samples of every independent unit: a run, or a block of one.
    tau : ndarray (simulation)
        Integrated autocorrelation time of the energy, in sweeps.
    """

    size: float
    sites: float
    beta: Floats
    level: Floats
    counts: Floats
    tau: Floats

    @cached_property
    def total(self) -> Floats:
        """Samples (simulation, level) of all units."""
        return np.asarray(self.counts.sum(axis=0))

    @cached_property
    def log_mixture(self) -> Floats:
        """ln sum_k N_k exp(f_k - beta_k E) of all units: what the samples were drawn from."""
        return _log_mixture(self.total, self.beta, self.level, self.free_energies)

    @cached_property
    def free_energies(self) -> Floats:
        """f_k = -ln Z(beta_k), f_0 = 0."""
        return _free_energies(self.total, self.beta, self.level)

    def without(self) -> Iterator[tuple[Floats, Floats]]:
        """Samples and ln mixture with one unit left out, in turn."""
        for unit in self.counts:
            counts = self.total - unit
            f = _free_energies(counts, self.beta, self.level, self.free_energies)
            yield counts, _log_mixture(counts, self.beta, self.level, f)

    def effective_samples(self, beta: Floats) -> Floats:
        """Independent samples behind an average: (sum w)^2 / sum w^2 over 2 tau."""
        log_h = _log(self.total.sum(axis=0))
        log_w = -np.outer(beta, self.level) - self.log_mixture
        kish = 2 * logsumexp(log_h + log_w, axis=1) - logsumexp(log_h + 2 * log_w, axis=1)
        return np.asarray(np.exp(kish) / self.correlated)

    @property
    def correlated(self) -> float:
        """2 tau: samples that count as one."""
        samples = self.total.sum(axis=1)
        return float(2 * samples @ self.tau / samples.sum())

    def reaches(self, beta: Floats) -> NDArray[np.bool_]:
        """Where averages are trusted: samples are enough, in the tails of the energy as well.

        Kish's number alone does not see a tail from which nothing was drawn.
        """
        h = self.total.sum(axis=0)
        log_p = _log(h) - self.log_mixture - np.outer(beta, self.level)
        below = np.cumsum(np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True)), axis=1)
        seen = np.cumsum(h) / self.correlated
        low = np.argmax(below >= TAIL, axis=1)
        high = np.argmax(below >= 1 - TAIL, axis=1)
        above = seen[-1] - np.concatenate([[0.0], seen[:-1]])
        tails = np.minimum(seen[low], above[high]) >= IN_TAIL
        return np.asarray(tails & (self.effective_samples(beta) >= ENOUGH))

    def trusted(self) -> tuple[float, float]:
        """Lowest and highest beta that reweighting reaches from the simulations."""
        h = self.total.sum(axis=0)
        mean = h @ self.level / h.sum()
        reach = 6.0 / max(np.sqrt(h @ (self.level - mean) ** 2 / h.sum()), 1e-300)
        low, high = self.beta.min(), self.beta.max()
        down = np.linspace(low, max(low - reach, 1e-3 * low), 400)
        up = np.linspace(high, high + reach, 400)
        return _last(down, self.reaches(down)), _last(up, self.reaches(up))

    def averages(self, counts: Floats, log_mixture: Floats, beta: Floats) -> Floats:
        """Energy per site, heat capacity and V4 (observable, beta)."""
        log_p = _log(counts.sum(axis=0)) - log_mixture - np.outer(beta, self.level)
        p = np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True))
        energy = p @ self.level
        variance = np.sum(p * (self.level - energy[:, None]) ** 2, axis=1)
        binder = 1 - (p @ self.level**4) / (3 * (p @ self.level**2) ** 2)
        return np.array([energy / self.sites, beta**2 * variance / self.sites, binder])

    def estimate(self, beta: Floats) -> tuple[Floats, Floats]:
        """Averages without their leading bias (observable, beta), and the units' pseudo-values."""
        whole = self.averages(self.total, self.log_mixture, beta)
        count = self.counts.shape[0]
        if count < 2:
            return whole, np.full((1, *whole.shape), np.nan)
        left_out = np.array([self.averages(c, m, beta) for c, m in self.without()])
        pseudo = count * whole - (count - 1) * left_out
        return np.asarray(pseudo.mean(axis=0)), pseudo

    def message(self) -> str:
        """Neighbouring simulations that share too few energies, in words."""
        order = np.argsort(self.beta)
        f, n = self.free_energies, self.total.sum(axis=1)
        log_p = f[:, None] - np.outer(self.beta, self.level) - self.log_mixture
        p, h = np.exp(log_p), self.total.sum(axis=0)
        shared = [min(n[i], n[j]) * float(h @ (p[i] * p[j])) for i, j in itertools.pairwise(order)]
        poor = sum(s < OVERLAP for s in shared)
        return f"size {self.size:g}: {poor} pairs of simulations do not overlap" if poor else ""


def _last(beta: Floats, reached: NDArray[np.bool_]) -> float:
    """The end of the first stretch of `beta` without a gap."""
    return float(beta[max((reached.size if reached.all() else int(np.argmin(reached))) - 1, 0)])


def ensemble_of(
    energy: Floats, size: float, sites: float, beta: Floats, tau: Floats, blocks: int
) -> Ensemble:
    """The histograms of one size; energies per site (simulation, run, sweep), cut into blocks."""
    simulations, runs, sweeps = energy.shape
    extensive = energy * sites
    # Energies of a lattice are few numbers; division by the sites leaves rounding in them.
    level, at = np.unique(np.round(extensive, 6), return_inverse=True)
    if level.size > LEVELS:
        edges = np.linspace(level[0], level[-1], LEVELS + 1)
        at = np.clip(np.searchsorted(edges, extensive.ravel(), side="right") - 1, 0, LEVELS - 1)
        found, at = np.unique(at, return_inverse=True)
        counted = np.bincount(at, minlength=found.size)
        level = np.bincount(at, weights=extensive.ravel()) / counted
    length = sweeps // blocks
    at = at.reshape(simulations, runs, sweeps)[:, :, : blocks * length]
    at = at.reshape(simulations, runs * blocks, length)
    counts = np.array(
        [
            [np.bincount(at[k, r], minlength=level.size) for k in range(simulations)]
            for r in range(runs * blocks)
        ],
        dtype=np.float64,
    )
    return Ensemble(size, sites, beta, level, counts, tau)


def _log(counts: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(counts))


def _log_mixture(counts: Floats, beta: Floats, level: Floats, f: Floats) -> Floats:
    log_n = _log(counts.sum(axis=1))
    return np.asarray(logsumexp((log_n + f)[:, None] - np.outer(beta, level), axis=0))


def _free_energies(
    counts: Floats, beta: Floats, level: Floats, start: Floats | None = None
) -> Floats:
    """Newton's method on sum_E H(E) ln sum_k N_k exp(f_k - beta_k E) - sum_k N_k f_k.

    Shirts and Chodera's equations; convex, the only solution up to f -> f + c.
    """
    n, h = counts.sum(axis=1), counts.sum(axis=0)
    if beta.size == 1:
        return np.zeros(1)
    f = _thermodynamic(counts, beta, level) if start is None else start.copy()
    value = h @ _log_mixture(counts, beta, level, f) - n @ f
    for _ in range(100):
        log_p = (_log(n) + f)[:, None] - np.outer(beta, level)
        p = np.exp(log_p - logsumexp(log_p, axis=0))
        gradient = p @ h - n
        if np.abs(gradient).max() < 1e-9 * n.max():
            break
        hessian = np.diag(p @ h) - (p * h) @ p.T
        step = np.zeros_like(f)
        step[1:] = -np.linalg.lstsq(hessian[1:, 1:], gradient[1:], rcond=1e-14)[0]
        scale = 1.0
        while scale > 1e-6:
            moved = f + scale * step
            new = h @ _log_mixture(counts, beta, level, moved) - n @ moved
            if new <= value + 1e-12 * abs(value):
                break
            scale /= 2
        f, value = moved, new
    return np.asarray(f - f[0])


def _thermodynamic(counts: Floats, beta: Floats, level: Floats) -> Floats:
    """f by integrating the mean energies over beta: close enough for Newton's method."""
    mean, order = counts @ level / counts.sum(axis=1), np.argsort(beta)
    between = np.diff(beta[order]) * (mean[order][1:] + mean[order][:-1]) / 2
    f = np.empty(beta.size)
    f[order] = np.concatenate([[0.0], np.cumsum(between)])
    return np.asarray(f - f[0])
