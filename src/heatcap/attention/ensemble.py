"""Canonical ensemble of attention logits: a query row is a system, its keys are the states.

A logit s_j is minus an energy, E_j = -s_j, so softmax is the Boltzmann weight and
Z = sum_j exp(beta s_j).  Logits are the softmax argument (1/sqrt(d_k) and soft caps are in them),
so the model runs at beta = 1.  k_B = 1; energies in logits, entropies in nats; ``-inf`` is an
absent state.
A temperature scan is quenched: beta varies, the logits stay.

Which function to use: :func:`canonical` for single rows, :func:`heat_capacities` for the several
quantities over a probe that are called heat capacities, :func:`path_geometry` for rows that move.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from heatcap.core.arrays import require
from heatcap.core.quantities import (
    FISHER_INFORMATION,
    HEAT_CAPACITIES,
    HEAT_CAPACITY,
    LANDSCAPE,
    LANDSCAPE_FIXED,
    OBSERVABLES,
    ROWS,
    error_of,
)

__all__ = [
    "UNITS",
    "canonical",
    "fisher_distance",
    "heat_capacities",
    "path_geometry",
]

UNITS = {name: OBSERVABLES[name].unit for name in (*ROWS, FISHER_INFORMATION)} | {
    "mean_energy": "logit"
}
"""What :func:`canonical` returns, with units."""

TABLE_UNITS = {
    name: OBSERVABLES[name].unit
    for name in (
        *HEAT_CAPACITIES,
        *(error_of(name) for name in (HEAT_CAPACITY, LANDSCAPE, LANDSCAPE_FIXED)),
    )
}
"""What :func:`heat_capacities` returns, with units."""

Beta = float | xr.DataArray


def canonical(logits: xr.DataArray, *, beta: Beta = 1.0, dim: str = "key") -> xr.Dataset:
    """Compute the thermodynamics of every query row.

    Parameters
    ----------
    logits : DataArray (..., key)
        The softmax argument, any float type; absent keys are -inf.
    beta : float or DataArray
        Inverse temperature; broadcasts by name, so a temperature sweep is one call.
    dim : str
        Dimension that enumerates the states.

    Returns
    -------
    Dataset (...)
        With p = exp(-beta E) / Z over the visible keys: ``free_energy`` F = -ln Z / beta,
        ``energy`` U = <E>, ``entropy`` beta (U - F), ``heat_capacity`` beta^2 Var E,
        ``third_cumulant`` and ``fourth_cumulant`` of beta E, ``participation_ratio`` 1 / sum p^2,
        ``max_probability``, ``visible_keys`` n, ``fisher_information`` Var E and ``mean_energy``,
        the plain mean over the visible keys.  float64, relative accuracy 1e-10.

    Raises
    ------
    ValueError
        If `dim` is missing, `beta` is not positive, or a row is NaN, +inf or fully masked.
    """
    _require(logits, dim)
    values = xr.apply_ufunc(
        _canonical,
        logits,
        beta,
        input_core_dims=[[dim], []],
        output_core_dims=[[] for _ in UNITS],
    )
    named = zip(UNITS.items(), values, strict=True)
    return xr.Dataset({name: da.assign_attrs(units=unit) for (name, unit), da in named})


def heat_capacities(
    logits: xr.DataArray,
    *,
    beta: Beta = 1.0,
    probe: str = "probe",
    key: str = "key",
    selection: xr.DataArray | None = None,
    population: int = 0,
) -> xr.Dataset:
    """Compute the heat capacities of a table of logits, over its probe inputs.

    One of them is dU/dT; the others are fluctuations that go by that name.

    All variances are population variances (ddof = 0).  E are the energies of one row, U = <E> its
    energy, x the inputs of the probe, j the keys.

    Parameters
    ----------
    logits : DataArray (..., probe, key)
        The softmax argument; absent keys are -inf.
    beta : float or DataArray
        Inverse temperature; broadcasts by name.
    probe, key : str
        Dimensions of the probe inputs and of the states.
    selection : DataArray (inputs, probe) or (probe), optional
        Boolean: which inputs each subset holds.  Its other dimension appears in the result.
    population : int
        Number of inputs that the probe was drawn from without replacement; 0 is infinite.

    Returns
    -------
    Dataset (...)
        * ``heat_capacity``                 <beta^2 Var E>_x, the only one that is dU/dT
        * ``landscape_heat_capacity``       beta^2 Var_x(U); depends on the gauge of the rows
        * ``landscape_heat_capacity_fixed`` beta^2 Var_x(U - plain mean of E), its gauge-fixed twin
        * ``total_heat_capacity``           heat_capacity + landscape_heat_capacity
        * ``unweighted_heat_capacity``      beta^2 Var_(x,j)(E), all visible pairs alike
        * ``offset_heat_capacity``          beta^2 Var_j(<E>_x), its part between keys

        and ``*_error``, standard errors from the sampling of the probe
        (:func:`heatcap.attention.moments.table_heat_capacities`).  An empty subset gives NaN.
        `heatcap.observe` has ``pooled_logit_variance`` beside them: the unweighted one over all
        queries, heads and layers at once.

    Raises
    ------
    ValueError
        If a dimension is missing, `beta` is not positive, a row is NaN, +inf or fully masked, or
        the probe is larger than its population.
    """
    for dim in (probe, key):
        _require(logits, dim)
    subsets = _selection(logits, selection, probe)
    values = xr.apply_ufunc(
        _heat_capacities,
        logits,
        beta,
        input_core_dims=[[probe, key], []],
        output_core_dims=[["_subset"] for _ in TABLE_UNITS],
        kwargs={"subsets": subsets, "population": population},
    )
    pairs = zip(TABLE_UNITS.items(), values, strict=True)
    named = {name: da.assign_attrs(units=unit) for (name, unit), da in pairs}
    return _name_subsets(xr.Dataset(named), selection, probe)


def fisher_distance(
    first: xr.DataArray, second: xr.DataArray, *, beta: float = 1.0, dim: str = "key"
) -> xr.DataArray:
    """Compute the Fisher geodesic distance between attention rows.

    d = 2 arccos sum_j sqrt(p_j q_j), in [0, pi], p and q the softmax of `beta` times the logits.

    Parameters
    ----------
    first, second : DataArray (..., key)
        The softmax argument of both; other dimensions than `dim` broadcast by name.
    beta : float
        Inverse temperature.
    dim : str
        Dimension that enumerates the states.

    Returns
    -------
    DataArray (...)

    Raises
    ------
    ValueError
        If `dim` is missing, `beta` is not positive, a row is NaN, +inf or fully masked, or two rows
        do not see the same keys.
    """
    for rows in (first, second):
        _require(rows, dim)
    distance: xr.DataArray = xr.apply_ufunc(
        _distance, first, second, input_core_dims=[[dim], [dim]], kwargs={"beta": beta}
    )
    return distance.assign_attrs(units="1")


def path_geometry(
    logits: xr.DataArray, *, along: str = "step", beta: float = 1.0, dim: str = "key"
) -> xr.Dataset:
    """Measure the path of each row's distribution, and the geodesic between its ends.

    Parameters
    ----------
    logits : DataArray (along, ..., key)
        Rows at successive times; at least two.
    along : str
        The dimension of time: step, layer or temperature.
    beta : float
        Inverse temperature.
    dim : str
        Dimension that enumerates the states.

    Returns
    -------
    Dataset
        ``fisher_distance`` (along, ...) from each point to the next, labelled by the later one;
        ``fisher_length`` their sum; ``fisher_geodesic`` the distance between the ends;
        ``fisher_detour`` length / geodesic, at least 1 (NaN for a row that returns or rests).

    Raises
    ------
    ValueError
        If a dimension is missing, there are fewer than 2 points, or as :func:`fisher_distance`.
    """
    for name in (along, dim):
        _require(logits, name)
    if logits.sizes[along] < 2:
        raise ValueError(
            f"a path along {along!r} needs at least 2 points, got {logits.sizes[along]}"
        )
    before = logits.isel({along: slice(None, -1)})
    after = logits.isel({along: slice(1, None)})
    if along in before.coords:
        before = before.assign_coords({along: after[along]})
    steps = fisher_distance(before, after, beta=beta, dim=dim)
    ends = [logits.isel({along: i}, drop=True) for i in (0, -1)]
    length, geodesic = steps.sum(along), fisher_distance(*ends, beta=beta, dim=dim)
    return xr.Dataset(
        {
            "fisher_distance": steps,
            "fisher_length": length.assign_attrs(units="1"),
            "fisher_geodesic": geodesic,
            "fisher_detour": (length / geodesic.where(geodesic > 0)).assign_attrs(units="1"),
        }
    )


def _require(logits: xr.DataArray, dim: str) -> None:
    require(logits, "logits", xr.DataArray)
    if dim not in logits.dims:
        raise ValueError(f"logits must have dimension {dim!r}, got {logits.dims}")


def _canonical(logits: NDArray[Any], beta: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Kernel over the last axis; one call per value of beta."""
    from heatcap.attention.kernels import ROW_COLUMNS, row_observables

    def rows(block: NDArray[Any], value: float) -> NDArray[np.float64]:
        table = row_observables(block.reshape(-1, block.shape[-1]), value)
        return table.reshape(len(ROW_COLUMNS), *block.shape[:-1])

    column = dict(zip(ROW_COLUMNS, _each_beta(rows, logits, beta, core=1), strict=True))
    column[FISHER_INFORMATION] = column[HEAT_CAPACITY] / np.square(beta)
    return tuple(column[name] for name in UNITS)


def _heat_capacities(
    logits: NDArray[Any], beta: ArrayLike, *, subsets: NDArray[np.bool_], population: int
) -> tuple[NDArray[np.float64], ...]:
    """Kernel over the last two axes; the subsets come out as the last axis."""
    from heatcap.attention.moments import Subsets, table_heat_capacities, table_moments

    groups = Subsets.of(subsets)

    def tables(block: NDArray[Any], value: float) -> NDArray[np.float64]:
        stack = block.reshape(-1, *block.shape[-2:])
        capacities = table_heat_capacities(
            table_moments(stack, groups, value), value, population, inputs=subsets.shape[1]
        )
        table = np.stack([capacities[name][..., 0] for name in TABLE_UNITS])
        return table.reshape(len(TABLE_UNITS), *block.shape[:-2], -1)

    return tuple(_each_beta(tables, logits, beta, core=2, trailing=1))


def _distance(first: NDArray[Any], second: NDArray[Any], *, beta: float) -> NDArray[np.float64]:
    from heatcap.attention.distances import fisher_distance

    a, b = np.broadcast_arrays(first, second)
    n = a.shape[-1]
    return fisher_distance(a.reshape(-1, n), b.reshape(-1, n), beta).reshape(a.shape[:-1])


def _each_beta(
    kernel: Any, logits: NDArray[Any], beta: ArrayLike, *, core: int, trailing: int = 0
) -> NDArray[np.float64]:
    """Apply kernel(block, value) for each `beta`, aligned with the leading axes of `logits`.

    A kernel keeps the leading axes of its block and puts a new axis first.
    """
    from heatcap.attention.blocks import check_beta

    values = np.asarray(beta, dtype=np.float64)
    check_beta(values)
    if values.size == 1 and values.ndim <= logits.ndim - core:
        result: NDArray[np.float64] = kernel(logits, float(values.reshape(())))
        return result
    lead = np.broadcast_shapes(logits.shape[:-core], values.shape)
    values = values.reshape((1,) * (len(lead) - values.ndim) + values.shape)
    logits = logits.reshape((1,) * (len(lead) + core - logits.ndim) + logits.shape)
    out = None
    for index in np.ndindex(values.shape):
        place = [
            slice(i, i + 1) if n > 1 else slice(None)
            for i, n in zip(index, values.shape, strict=True)
        ]
        source = [s if n > 1 else slice(None) for s, n in zip(place, logits.shape, strict=False)]
        block = kernel(logits[tuple(source)], float(values[index]))
        if out is None:
            out = np.empty((len(block), *lead, *block.shape[block.ndim - trailing :]))
        out[(slice(None), *place)] = block
    assert out is not None
    return out


def _selection(
    logits: xr.DataArray, selection: xr.DataArray | None, probe: str
) -> NDArray[np.bool_]:
    """The boolean matrix (subset, probe)."""
    if selection is None:
        return np.ones((1, logits.sizes[probe]), dtype=bool)
    if probe not in selection.dims or selection.ndim > 2:
        raise ValueError(
            f"selection must have dimensions (inputs, {probe}) or ({probe},), got {selection.dims}"
        )
    if selection.sizes[probe] != logits.sizes[probe]:
        raise ValueError(
            f"selection has {selection.sizes[probe]} inputs along {probe!r}, "
            f"the logits have {logits.sizes[probe]}"
        )
    return np.atleast_2d(selection.transpose(..., probe).to_numpy().astype(bool))


def _name_subsets(result: xr.Dataset, selection: xr.DataArray | None, probe: str) -> xr.Dataset:
    """Give the dimension of the subsets the name and the labels it has in `selection`."""
    names = [] if selection is None else [d for d in selection.dims if d != probe]
    if selection is None or not names:
        return result.squeeze("_subset")
    renamed = result.rename(_subset=names[0])
    labels = selection.coords.get(names[0])
    return renamed if labels is None else renamed.assign_coords({names[0]: labels})
