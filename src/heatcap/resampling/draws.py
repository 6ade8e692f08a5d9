"""What a replicate is made of: positions of the drawn units, and of the rows if they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["Draw", "take"]

Positions = NDArray[np.intp]


@dataclass(frozen=True)
class Draw:
    """Positions along the dimension of the units, and rows for the set that each belongs to.

    Attributes
    ----------
    dim, within : str
        Names of the two dimensions; empty where nothing is drawn along them.
    units : ndarray ([replicate,] unit)
    rows : ndarray ([replicate,] [unit,] row) or None
        With a dimension of units where not all units look at the same rows.
    """

    dim: str
    units: Positions | None
    within: str = ""
    rows: Positions | None = None
    stacked: bool = False

    @property
    def shape(self) -> tuple[tuple[int, ...], ...]:
        return tuple(() if a is None else a.shape for a in (self.units, self.rows))

    def nbytes(self, data: xr.DataArray | xr.Dataset) -> int:
        """Size of the drawn data, before padding and temporaries."""
        share = 1.0
        for dim, drawn in ((self.dim, self.units), (self.within, self.rows)):
            if drawn is not None:
                share *= drawn.shape[-1] / max(1, data.sizes[dim])
        return int(data.nbytes * share)

    @staticmethod
    def stack(draws: list[Draw]) -> Draw:
        """Draws of one shape, with a leading dimension of replicates."""
        one = draws[0]
        units = None if one.units is None else np.stack([_known(d.units) for d in draws])
        rows = None if one.rows is None else np.stack([_known(d.rows) for d in draws])
        return Draw(one.dim, units, one.within, rows, True)


def _known(a: Positions | None) -> Positions:
    assert a is not None
    return a


def take(data: Any, draw: Draw) -> Any:
    """The drawn data; labels go with what they belong to.

    With stacked draws a label of the units has dimensions (replicate, unit), unless it is the same
    in all replicates, as that of a stratum is.
    """
    lead: tuple[str, ...] = ("replicate",) if draw.stacked else ()
    indexers = {}
    if draw.units is not None:
        indexers[draw.dim] = xr.Variable((*lead, draw.dim), draw.units)
    if draw.rows is not None:
        own = draw.rows.ndim > len(lead) + 1
        dims = (*lead, draw.dim, draw.within) if own else (*lead, draw.within)
        indexers[draw.within] = xr.Variable(dims, draw.rows)
        if own and draw.units is None:
            indexers[draw.dim] = xr.Variable((draw.dim,), np.arange(data.sizes[draw.dim]))
    if draw.stacked or draw.rows is not None:
        # Labels of a dimension cannot have two dimensions.
        data = data.drop_vars([d for d in indexers if d in data.coords])
    out = data.isel(indexers)
    return _settle(out) if draw.stacked else out


def _settle(data: Any) -> Any:
    """Labels that are the same in all replicates lose that dimension."""
    for name, c in data.coords.items():
        if "replicate" in c.dims:
            values = c.transpose("replicate", ...)
            first = values.isel(replicate=0)
            if bool(np.all(values.to_numpy() == first.to_numpy())):
                data = data.assign_coords({name: first.drop_vars(list(first.coords))})
    return data
