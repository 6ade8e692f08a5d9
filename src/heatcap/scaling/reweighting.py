"""Histogram reweighting: from energies sampled at a few temperatures to averages in between.

    Omega(E) = H(E) / sum_k N_k exp(f_k - beta_k E),      Z(beta) = sum_E Omega(E) exp(-beta E)

with H the histogram of all samples, N_k the number of samples of simulation k, and
f_k = -ln Z(beta_k) determined self-consistently.  One simulation gives the single-histogram method,
several the multiple-histogram method, whose equations are those of WHAM without bins and of MBAR:
the f_k minimise a convex function, by Newton's method.

A. M. Ferrenberg & R. H. Swendsen, Phys. Rev. Lett. 61 (1988) 2635 and 63 (1989) 1195; M. R. Shirts
& J. D. Chodera, J. Chem. Phys. 129 (2008) 124105; Kish's number of effective samples: L. Kish,
Survey Sampling (1965).  What was checked: docs/references.md.

Conventions: energies are extensive here, E = sites times energy per site; k_B = 1; the control is
the temperature or the inverse temperature, as the attribute ``control_name`` of the series says.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from heatcap.core.arrays import Floats, numbers
from heatcap.resampling import integrated_time
from heatcap.systems.table import Controls, make_table, points

__all__ = [
    "OBSERVABLES",
    "Ensemble",
    "energy_series",
    "ensembles",
    "inverse",
    "reweight",
]

REPLICATES = 8  # below which runs are cut into blocks
BLOCKS = 16  # units wanted then
LONG = 20.0  # a block in integrated times
GRID = 41  # controls of a size if none are given
OBSERVABLES = ("energy", "heat_capacity", "energy_binder")
ENOUGH = 100.0  # effective samples; below, a reweighted average is not trusted
TAIL, IN_TAIL = 0.025, 5.0  # quantile of the energy, and effective samples needed beyond it
LEVELS = 8192  # of the energy at most; more, as of a continuous energy, are binned
OVERLAP = 0.03  # of neighbouring simulations, below which they do not support one another


def energy_series(
    energy: ArrayLike,
    *,
    size: ArrayLike,
    control: ArrayLike,
    sites: ArrayLike,
    control_name: str = "temperature",
) -> xr.Dataset:
    """Make a series for :func:`reweight` from energies of other simulations.

    Parameters
    ----------
    energy : array_like (point, replicate, sweep)
        Per site, thermalised, equally spaced in time; every replicate an independent run.
    size, control, sites : array_like (point)
        L, the temperature or its inverse, and the number of sites.
    control_name : str
        Begins with "temperature", or with "inverse temperature", "beta" or "coupling".

    Returns
    -------
    Dataset (point, replicate, sweep)

    Raises
    ------
    ValueError
        For another shape or control, energies that are not finite, controls or sites that are not
        positive.
    """
    values = numbers(energy, "energy")
    if values.ndim != 3:
        raise ValueError(f"energy must be (point, replicate, sweep), got shape {values.shape}")
    names = {"size": size, "control": control, "sites": sites}
    coords = {k: ("point", np.atleast_1d(numbers(v, k))) for k, v in names.items()}
    series = xr.Dataset({"energy": (("point", "replicate", "sweep"), values)}, coords)
    return _checked(series.assign_attrs(control_name=control_name))


def reweight(series: xr.Dataset, controls: Controls | None = None) -> xr.Dataset:
    """Compute energy, heat capacity and energy cumulant between simulated temperatures.

    Parameters
    ----------
    series : Dataset (point, replicate, sweep)
        As from :meth:`heatcap.systems.Potts.series` or :func:`energy_series`: simulations of one
        size or several, at one control or several.
    controls : sequence, mapping from size to sequence, or function of the size, optional
        In the unit of the series' own control; 41 over the trusted range of each size by default.

    Returns
    -------
    Dataset (point)
        The table of :mod:`heatcap.systems.table` with ``energy`` per site, ``heat_capacity``
        Var(E) / (N T^2) and ``energy_binder`` V4 = 1 - <E^4> / (3 <E^2>^2), their errors and
        replicates (jackknife pseudo-values of independent runs; with fewer than 8 runs, of blocks
        of 20 integrated times or more), and a coordinate ``effective_samples``.  Where these are
        fewer than 100, or fewer than 5 beyond the outer 2.5 % of the energies on either side,
        values are NaN, as the attribute ``message`` reports.

    Raises
    ------
    ValueError
        For a series that is not as described, or controls that are not positive.

    Notes
    -----
    Samples of all simulations weigh alike, which is best where their autocorrelation times are
    equal, and right where they are not.  V4 depends on the zero of the energy.
    """
    every = ensembles(series)
    direct = inverse(series)
    sizes = [int(ensemble.size) for ensemble in every]
    if controls is None:
        controls = {int(e.size): _trusted_grid(e, direct) for e in every}
    size, control = points(sizes, controls)
    if np.any(control <= 0):
        raise ValueError(f"controls must be positive, got {control.min():g}")
    beta = control if direct else 1 / control
    units = {ensemble.counts.shape[0] for ensemble in every}
    values = np.full((len(OBSERVABLES), size.size), np.nan)
    pseudo = np.full((max(units), *values.shape), np.nan)
    samples, notes = np.empty(size.size), []
    for ensemble in every:
        here = np.flatnonzero(size == ensemble.size)
        samples[here] = ensemble.effective_samples(beta[here])
        trusted = here[ensemble.reaches(beta[here])]
        if trusted.size:
            values[:, trusted], pseudo[:, :, trusted] = ensemble.estimate(beta[trusted])
        left = np.setdiff1d(here, trusted)
        notes += [ensemble.message(), _beyond(ensemble, control[left], samples[left])]
    if max(units) < 2:
        notes.append("one run too short to be cut into blocks: no errors")
    table = make_table(
        size,
        control,
        dict(zip(OBSERVABLES, values, strict=True)),
        dict(zip(OBSERVABLES, _standard_error(pseudo), strict=True)),
        replicates=dict(zip(OBSERVABLES, pseudo.transpose(1, 2, 0), strict=True)),
        attrs=series.attrs | {"message": "; ".join(filter(None, notes)), "replicates": max(units)},
    )
    return table.assign_coords(effective_samples=("point", samples))


def _standard_error(pseudo: Floats) -> Floats:
    count = pseudo.shape[0]
    if count < 2:
        return np.full(pseudo.shape[1:], np.nan)
    return np.asarray(pseudo.std(axis=0, ddof=1) / np.sqrt(count))


def _beyond(ensemble: Ensemble, controls: Floats, samples: Floats) -> str:
    if not controls.size:
        return ""
    return (
        f"size {ensemble.size:g}: {controls.size} controls ({controls.min():g} to "
        f"{controls.max():g}) are NaN: too few independent samples behind them (at most"
        f" {samples.max():.0f}), or energies that were not sampled; run longer, or nearer to them"
    )


def _trusted_grid(ensemble: Ensemble, direct: bool) -> Floats:
    low, high = ensemble.trusted()
    if low == high:  # too few samples even where they were taken
        return np.array([low if direct else 1 / low])
    return np.linspace(low, high, GRID) if direct else np.linspace(1 / high, 1 / low, GRID)


def ensembles(series: xr.Dataset) -> list[Ensemble]:
    """Collect the histograms of every size, smallest first.

    Raises
    ------
    ValueError
        As :func:`reweight`.
    """
    series = _checked(series)
    control = series["control"].to_numpy().astype(np.float64)
    beta = control if inverse(series) else 1 / control
    tau = np.nan_to_num(_times(series), nan=0.5)
    blocks = _blocks(series.sizes, tau)
    energy = series["energy"].transpose("point", "replicate", "sweep").to_numpy()
    size, sites = series["size"].to_numpy(), series["sites"].to_numpy()
    return [
        _ensemble_of(
            energy[rows], float(one_size), float(sites[rows[0]]), beta[rows], tau[rows], blocks
        )
        for one_size in np.unique(size)
        for rows in [np.flatnonzero(size == one_size)]
    ]


def _times(series: xr.Dataset) -> Floats:
    """Integrated autocorrelation time of every simulation, averaged over its runs."""
    if series.sizes["sweep"] < 8:
        return np.full(series.sizes["point"], 0.5)
    tau = integrated_time(series["energy"], dim="sweep").value
    return np.asarray(tau.mean("replicate").to_numpy())


def _blocks(sizes: Any, tau: Floats) -> int:
    runs, sweeps = int(sizes["replicate"]), int(sizes["sweep"])
    if runs >= REPLICATES:
        return 1
    return max(1, min(-(-BLOCKS // runs), int(sweeps / (LONG * float(tau.max())))))


def inverse(series: xr.Dataset) -> bool:
    """Whether the control is the inverse temperature."""
    name = str(series.attrs.get("control_name", ""))
    if name.startswith("temperature"):
        return False
    if name.startswith(("inverse temperature", "beta", "coupling")):
        return True
    raise ValueError(
        "the series' attribute 'control_name' must begin with 'temperature', 'inverse temperature'"
        f", 'beta' or 'coupling', got {name!r}"
    )


def _checked(series: xr.Dataset) -> xr.Dataset:
    if "energy" not in series:
        raise ValueError(f"a series must have 'energy', got {', '.join(map(str, series))}")
    if missing := [name for name in ("size", "control", "sites") if name not in series.coords]:
        raise ValueError(f"a series must have coordinates {', '.join(missing)}")
    if "point" not in series.dims:
        series = series.expand_dims("point").assign_coords(
            {k: ("point", [series[k].item()]) for k in ("size", "control", "sites")}
        )
    if missing := [d for d in ("replicate", "sweep") if d not in series["energy"].dims]:
        raise ValueError(f"energy must have dimensions {', '.join(missing)}")
    if bad := int((~np.isfinite(series["energy"])).sum()):
        raise ValueError(f"energies must be finite, got {bad} that are not")
    for name in ("size", "control", "sites"):
        if (series[name] <= 0).any():
            raise ValueError(f"{name} must be positive, got {float(series[name].min()):g}")
    inverse(series)
    return series


# ---- the histograms of one size ----------------------------------------------------------


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
        """ln sum_k N_k exp(f_k - beta_k E), the expected histogram divided by Omega(E)."""
        return _log_mixture(self.total, self.beta, self.level, self.free_energies)

    @cached_property
    def free_energies(self) -> Floats:
        """f_k = -ln Z(beta_k), f_0 = 0."""
        return _free_energies(self.total, self.beta, self.level)

    def without(self) -> Iterator[tuple[Floats, Floats]]:
        """Samples and ln mixture with each unit left out in turn."""
        for unit in self.counts:
            counts = self.total - unit
            f = _free_energies(counts, self.beta, self.level, self.free_energies)
            yield counts, _log_mixture(counts, self.beta, self.level, f)

    def effective_samples(self, beta: Floats) -> Floats:
        """Kish's number of independent samples: (sum w)^2 / sum w^2 / (2 tau)."""
        log_h = _log(self.total.sum(axis=0))
        log_w = -np.outer(beta, self.level) - self.log_mixture
        kish = 2 * logsumexp(log_h + log_w, axis=1) - logsumexp(log_h + 2 * log_w, axis=1)
        return np.asarray(np.exp(kish) / self.correlated)

    @property
    def correlated(self) -> float:
        """2 tau: number of samples that count as one independent sample."""
        samples = self.total.sum(axis=1)
        return float(2 * samples @ self.tau / samples.sum())

    def reaches(self, beta: Floats) -> NDArray[np.bool_]:
        """Whether samples suffice, in the tails of the energy as well.

        Kish's number alone does not detect a tail that was never sampled.
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
        """Jackknife averages (observable, beta), leading bias removed, and pseudo-values."""
        whole = self.averages(self.total, self.log_mixture, beta)
        count = self.counts.shape[0]
        if count < 2:
            return whole, np.full((1, *whole.shape), np.nan)
        left_out = np.array([self.averages(c, m, beta) for c, m in self.without()])
        pseudo = count * whole - (count - 1) * left_out
        return np.asarray(pseudo.mean(axis=0)), pseudo

    def message(self) -> str:
        """A warning if neighbouring simulations share too few energies, else empty."""
        order = np.argsort(self.beta)
        f, n = self.free_energies, self.total.sum(axis=1)
        log_p = f[:, None] - np.outer(self.beta, self.level) - self.log_mixture
        p, h = np.exp(log_p), self.total.sum(axis=0)
        shared = [min(n[i], n[j]) * float(h @ (p[i] * p[j])) for i, j in itertools.pairwise(order)]
        poor = sum(s < OVERLAP for s in shared)
        return f"size {self.size:g}: {poor} pairs of simulations do not overlap" if poor else ""


def _last(beta: Floats, reached: NDArray[np.bool_]) -> float:
    """The last `beta` before the first that is not reached."""
    return float(beta[max((reached.size if reached.all() else int(np.argmin(reached))) - 1, 0)])


def _ensemble_of(
    energy: Floats, size: float, sites: float, beta: Floats, tau: Floats, blocks: int
) -> Ensemble:
    """Histograms of one size from energies per site (simulation, run, sweep)."""
    simulations, runs, sweeps = energy.shape
    extensive = energy * sites
    # Lattice energies are discrete; rounding merges levels that the division by sites split.
    level, at = np.unique(np.round(extensive, 6), return_inverse=True)
    if level.size > LEVELS:
        edges = np.linspace(level[0], level[-1], LEVELS + 1)
        at = np.clip(np.searchsorted(edges, extensive.ravel(), side="right") - 1, 0, LEVELS - 1)
        occupied, at = np.unique(at, return_inverse=True)
        counted = np.bincount(at, minlength=occupied.size)
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
    """f_k by Newton's method, the equations of Shirts and Chodera.

    Minimises sum_E H(E) ln sum_k N_k exp(f_k - beta_k E) - sum_k N_k f_k, which is convex with one
    minimum up to f -> f + c.
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
    """f by integrating the mean energies over beta: the start of Newton's method."""
    mean, order = counts @ level / counts.sum(axis=1), np.argsort(beta)
    between = np.diff(beta[order]) * (mean[order][1:] + mean[order][:-1]) / 2
    f = np.empty(beta.size)
    f[order] = np.concatenate([[0.0], np.cumsum(between)])
    return np.asarray(f - f[0])
