"""A statistic on many data sets, one after the other or in batches."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from heatcap.core.arrays import Floats
from heatcap.resampling.draws import Draw, take

__all__ = ["Data", "Statistic", "evaluate", "replicate"]

Data = xr.DataArray | xr.Dataset
Statistic = Callable[[Any], Any]

BATCH_BYTES = 1 << 26  # of drawn data: with a few temporaries of the statistic, 256 MB in all


def evaluate(statistic: Statistic, data: Any) -> xr.DataArray:
    """The statistic as a DataArray of float64."""
    result = statistic(data)
    if isinstance(result, xr.DataArray):
        if clash := {"bound", "replicate"} & set(map(str, result.dims)):
            raise ValueError(f"statistic must not return dimension {sorted(clash)[0]!r}")
        return result.astype(np.float64)
    if isinstance(result, numbers.Real) or (isinstance(result, np.ndarray) and not result.ndim):
        return xr.DataArray(float(result))
    raise ValueError(f"statistic must return a number or a DataArray, got {_kind(result)}")


def replicate(
    data: Data,
    statistic: Statistic,
    like: xr.DataArray,
    draws: Iterable[Draw],
    *,
    vectorized: bool,
) -> Floats:
    """Statistic (draw, ...) of every drawn data set, dimensions in the order of `like`."""
    if not vectorized:
        rows = [_checked(evaluate(statistic, take(data, draw)), like) for draw in draws]
        return np.stack(rows) if rows else np.empty((0, *like.shape))
    parts = [_batch(data, statistic, like, batch) for batch in _batches(draws, data)]
    return np.concatenate(parts) if parts else np.empty((0, *like.shape))


def _batch(data: Data, statistic: Statistic, like: xr.DataArray, batch: list[Draw]) -> Floats:
    result = statistic(take(data, Draw.stack(batch)))
    if not isinstance(result, xr.DataArray) or "replicate" not in result.dims:
        came = result.dims if isinstance(result, xr.DataArray) else _kind(result)
        raise ValueError(f"a vectorized statistic must keep dimension 'replicate', got {came}")
    if result.sizes["replicate"] != len(batch):
        raise ValueError(
            f"a vectorized statistic must return {len(batch)} replicates, "
            f"got {result.sizes['replicate']}"
        )
    first = result.isel(replicate=0, drop=True)
    _checked(first, like)
    return result.transpose("replicate", *like.dims).to_numpy().astype(np.float64)


def _checked(result: xr.DataArray, like: xr.DataArray) -> Floats:
    if set(result.dims) != set(like.dims) or dict(result.sizes) != dict(like.sizes):
        raise ValueError(
            "statistic must return one shape for all samples, "
            f"got {dict(like.sizes)} and then {dict(result.sizes)}"
        )
    for dim in like.dims:
        if dim in like.indexes and dim in result.indexes:
            labels = result.indexes[dim]
            if labels is not like.indexes[dim] and not labels.equals(like.indexes[dim]):
                raise ValueError(
                    f"statistic must return one set of labels of {dim!r} for all samples"
                )
    return result.transpose(*like.dims).to_numpy()


def _batches(draws: Iterable[Draw], data: Data) -> Iterator[list[Draw]]:
    """Runs of draws of one shape that fit into `BATCH_BYTES`."""
    batch: list[Draw] = []
    for draw in draws:
        limit = max(1, BATCH_BYTES // max(1, draw.nbytes(data)))
        if batch and (len(batch) >= limit or draw.shape != batch[0].shape):
            yield batch
            batch = []
        batch.append(draw)
    if batch:
        yield batch


def _kind(result: Any) -> str:
    return (
        f"{type(result).__name__} {np.shape(result)}"
        if isinstance(result, np.ndarray)
        else type(result).__name__
    )
