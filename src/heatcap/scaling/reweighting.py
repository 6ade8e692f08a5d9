"""Histogram reweighting: energies sampled at a few temperatures, averages at all between them.

    Omega(E) = H(E) / sum_k N_k exp(f_k - beta_k E),      Z(beta) = sum_E Omega(E) exp(-beta E)

with H the histogram of all samples, N_k those of simulation k, and f_k = -ln Z(beta_k) made
self-consistent.  With one simulation that is the single histogram; with several the multiple
histograms, whose equations those of WHAM without bins and of MBAR are: the f_k minimise a convex
function, and Newton's method finds them.

A. M. Ferrenberg & R. H. Swendsen, Phys. Rev. Lett. 61 (1988) 2635 and 63 (1989) 1195; M. R. Shirts
& J. D. Chodera, J. Chem. Phys. 129 (2008) 124105; Kish's number of effective samples: L. Kish,
Survey Sampling (1965).  What was checked: docs/references.md.

Conventions: energies are extensive here, E = sites times energy per site; k_B = 1; the control is
the temperature or the inverse temperature, as the attribute ``control_name`` of the series says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from heatcap.core.arrays import Floats, numbers
from heatcap.resampling import integrated_time
from heatcap.scaling.multihistogram import OBSERVABLES, Ensemble, ensemble_of
from heatcap.systems.table import Controls, make_table, points

__all__ = ["OBSERVABLES", "energy_series", "ensembles", "inverse", "reweight"]


REPLICATES = 8  # below which runs are cut into blocks
BLOCKS = 16  # units wanted then
LONG = 20.0  # a block in integrated times
GRID = 41  # controls of a size if none are given


def energy_series(
    energy: ArrayLike,
    *,
    size: ArrayLike,
    control: ArrayLike,
    sites: ArrayLike,
    control_name: str = "temperature",
) -> xr.Dataset:
    """Energies of one's own simulations as :func:`reweight` takes them.

    Parameters
    ----------
    energy : array_like (point, replicate, sweep)
        Per site, thermalised, equally spaced in time; every replicate an independent run.
    size, control, sites : array_like (point)
        L, the temperature or its inverse, and the number that makes the energy extensive.
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
    """Mean energy, heat capacity and energy cumulant between the temperatures simulated.

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
        values are NaN, and the attribute ``message`` says so.

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
    sizes = [int(each.size) for each in every]
    if controls is None:
        controls = {int(e.size): _trusted_grid(e, direct) for e in every}
    size, control = points(sizes, controls)
    if np.any(control <= 0):
        raise ValueError(f"controls must be positive, got {control.min():g}")
    beta = control if direct else 1 / control
    units = {each.counts.shape[0] for each in every}
    values = np.full((len(OBSERVABLES), size.size), np.nan)
    pseudo = np.full((max(units), *values.shape), np.nan)
    samples, notes = np.empty(size.size), []
    for each in every:
        here = np.flatnonzero(size == each.size)
        samples[here] = each.effective_samples(beta[here])
        kept = here[each.reaches(beta[here])]
        if kept.size:
            values[:, kept], pseudo[:, :, kept] = each.estimate(beta[kept])
        left = np.setdiff1d(here, kept)
        notes += [each.message(), _beyond(each, control[left], samples[left])]
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


def _beyond(each: Ensemble, controls: Floats, samples: Floats) -> str:
    if not controls.size:
        return ""
    return (
        f"size {each.size:g}: {controls.size} controls ({controls.min():g} to {controls.max():g})"
        " are NaN: too few independent samples behind them (at most"
        f" {samples.max():.0f}), or energies that were not sampled; run longer, or nearer to them"
    )


def _trusted_grid(each: Ensemble, direct: bool) -> Floats:
    low, high = each.trusted()
    if low == high:  # too few samples even where they were taken
        return np.array([low if direct else 1 / low])
    return np.linspace(low, high, GRID) if direct else np.linspace(1 / high, 1 / low, GRID)


def ensembles(series: xr.Dataset) -> list[Ensemble]:
    """The histograms of every size, smallest first.

    Raises
    ------
    ValueError
        As of :func:`reweight`.
    """
    series = _checked(series)
    control = series["control"].to_numpy().astype(np.float64)
    beta = control if inverse(series) else 1 / control
    tau = np.nan_to_num(_times(series), nan=0.5)
    blocks = _blocks(series.sizes, tau)
    energy = series["energy"].transpose("point", "replicate", "sweep").to_numpy()
    size, sites = series["size"].to_numpy(), series["sites"].to_numpy()
    return [
        ensemble_of(energy[rows], float(each), float(sites[rows[0]]), beta[rows], tau[rows], blocks)
        for each in np.unique(size)
        for rows in [np.flatnonzero(size == each)]
    ]


def _times(series: xr.Dataset) -> Floats:
    """Integrated time of every simulation, the mean over its runs."""
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
