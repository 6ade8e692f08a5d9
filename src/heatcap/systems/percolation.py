"""Bond percolation on the L x L torus: p_c = 1/2, nu = 4/3, beta/nu = 5/48, gamma/nu = 43/24.

One run occupies all bonds in random order and follows the clusters by union-find; the averages at
a fixed number n of bonds give those at any p by the binomial distribution,

    Q(p) = sum_n binom(M, n) p^n (1 - p)^(M - n) Q_n,    M = 2 L^2

(M. E. J. Newman & R. M. Ziff, Phys. Rev. E 64 (2001) 016706; abstract seen).  All points of a size
come from the same runs: their noise is shared, and replicate i of one point belongs to replicate i
of the others.  gamma/nu = 2 - 2 beta/nu; nu = 4/3 and beta = 5/36 from public pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import xarray as xr
from scipy.stats import binom

from heatcap.core.arrays import Floats, Ints
from heatcap.core.jit import compile_by, jit
from heatcap.systems.clusters import (
    Seed,
    State,
    generator,
    seed_attrs,
    states,
    uniform,
)
from heatcap.systems.system import LARGEST_EDGE, SampledSystem, at_least
from heatcap.systems.table import Controls, from_runs, points

__all__ = ["Percolation"]


@dataclass(frozen=True)
class Percolation(SampledSystem):
    """Bond percolation, sampled by the algorithm of Newman and Ziff.

    ``strength`` is the share of the sites in the largest cluster, ``mean_size`` is sum s^2 / N over
    all other clusters, ``wrapping`` the probability that a cluster wraps around the torus in a
    given direction (mean of both), ``wrapping_both`` that clusters wrap in both directions.
    """

    name = "percolation"
    control_name = "probability p of a bond"
    observables = (
        "strength",
        "mean_size",
        "wrapping",
        "wrapping_both",
    )
    transition = "second order"
    critical_point = 0.5
    nu = 4 / 3
    beta_over_nu = 5 / 48
    gamma_over_nu = 43 / 24
    critical_wrapping: ClassVar[float] = 0.521058290
    """At p_c for L to infinity.

    H. T. Pinson, J. Stat. Phys. 75 (1994) 1167; the digits after Mertens and Ziff, at second hand.
    """

    def sample(
        self,
        sizes: Sequence[int],
        controls: Controls,
        *,
        replicates: int = 16,
        runs: int = 100,
        rng: Seed = None,
    ) -> xr.Dataset:
        """Sample a table of averages over `replicates` batches of `runs` runs each.

        Parameters
        ----------
        sizes : sequence of int
            L, from 2.
        controls : sequence, mapping from size to sequence, or function of the size
            Probabilities from 0 to 1.
        replicates, runs : int
            Independent batches, and runs in each of them.
        rng : int or Generator, optional
            Equal seeds give equal tables.

        Returns
        -------
        Dataset (point)

        Raises
        ------
        ValueError
            If an argument is out of range.
        """
        size, control = points(sizes, controls)
        if not np.all((control >= 0.0) & (control <= 1.0)):
            raise ValueError("a probability p must lie between 0 and 1")
        if runs < 1 or replicates < 1:
            raise ValueError(f"replicates and runs must be positive, got {replicates}, {runs}")
        seeds = states(generator(rng), np.unique(size).size, replicates)
        out = np.empty((len(self.observables), size.size, replicates))
        for seed, length in zip(seeds, np.unique(size).tolist(), strict=True):
            here = size == length
            out[:, here] = canonical(microcanonical(length, seed, runs), control[here])
        coords = {"observable": list(self.observables)}
        averages = xr.DataArray(out, dims=("observable", "point", "replicate"), coords=coords)
        settings = {"replicates": replicates, "runs": runs, "shared_noise": "within a size"}
        attrs = self.describe() | seed_attrs(rng) | settings
        return from_runs(size, control, averages, lambda mean: mean, attrs=attrs)


def canonical(averages: Floats, p: Floats) -> Floats:
    """Convert averages at fixed numbers of bonds to averages at probabilities p.

    From (observable, replicate, bonds) to (observable, point, replicate).
    """
    bonds = averages.shape[-1] - 1
    weight = np.asarray(binom.pmf(np.arange(bonds + 1), bonds, p[:, np.newaxis]))
    return np.asarray(np.moveaxis(averages @ weight.T, -1, 1))


def microcanonical(length: int, seeds: State, runs: int) -> Floats:
    """Sample averages (observable, replicate, bonds) at every number of bonds."""
    at_least(2, length, LARGEST_EDGE)
    compile_by(_fill, 2, 1, np.ones(4, np.uint64), np.zeros((4, 9)))
    out = np.zeros((len(seeds), len(Percolation.observables), 2 * length**2 + 1))
    for total, seed in zip(out, seeds.copy(), strict=True):
        _fill(length, runs, seed, total)
    return np.swapaxes(out, 0, 1) / runs


@jit()
def _find(parent: Ints, shift: Ints, i: int) -> int:
    """Root of a site; the path is compressed, shift (2, site) leads from a site to its parent."""
    root, dx, dy = i, 0, 0
    while parent[root] >= 0:
        dx += shift[0, root]
        dy += shift[1, root]
        root = parent[root]
    while parent[i] >= 0:
        above, step_x, step_y = parent[i], shift[0, i], shift[1, i]
        parent[i], shift[0, i], shift[1, i] = root, dx, dy
        dx -= step_x
        dy -= step_y
        i = above
    return root


@jit()
def _occupy(length: int, bond: int, parent: Ints, shift: Ints, measured: Floats) -> None:
    """Add a bond.  `measured`: largest cluster, sum of squares, wrapping in x, wrapping in y.

    The parent of a root is minus the size of its cluster.  A bond within a cluster closes a loop;
    the loop winds around the torus if the steps along it do not add up to 0 (J. Machta et al.,
    Phys. Rev. E 54 (1996) 1332; what was checked: docs/references.md).
    """
    i, down = bond // 2, bond % 2
    x, y = i % length, i // length
    j = ((y + 1) % length) * length + x if down == 1 else y * length + (x + 1) % length
    a, b = _find(parent, shift, i), _find(parent, shift, j)
    # From the root of i to i, over the bond, and on to the root of j.
    dx = (1 - down) + shift[0, j] - shift[0, i]
    dy = down + shift[1, j] - shift[1, i]
    if a == b:
        if dx != 0:
            measured[2] = 1.0
        if dy != 0:
            measured[3] = 1.0
        return
    if parent[a] < parent[b]:  # a is larger: b becomes its child
        a, b, dx, dy = b, a, -dx, -dy
    measured[1] += 2.0 * float(parent[a]) * float(parent[b])
    parent[b] += parent[a]
    parent[a] = b
    shift[0, a], shift[1, a] = dx, dy
    measured[0] = max(measured[0], -float(parent[b]))


@jit()
def _fill(length: int, runs: int, state: State, total: Floats) -> None:
    """Add the observables of `runs` runs to total (observable, bonds)."""
    sites = length * length
    order = np.arange(2 * sites)
    parent, shift, measured = np.empty(sites, np.int64), np.empty((2, sites), np.int64), np.empty(4)
    for _ in range(runs):
        parent[:], shift[:] = -1, 0
        measured[0], measured[1], measured[2], measured[3] = 1.0, float(sites), 0.0, 0.0
        for n in range(2 * sites + 1):
            if n > 0:  # one step of a random permutation
                k = n - 1 + int(uniform(state) * (2 * sites - n + 1))
                order[n - 1], order[k] = order[k], order[n - 1]
                _occupy(length, order[n - 1], parent, shift, measured)
            total[0, n] += measured[0] / sites
            total[1, n] += (measured[1] - measured[0] * measured[0]) / sites
            total[2, n] += 0.5 * (measured[2] + measured[3])
            total[3, n] += measured[2] * measured[3]
