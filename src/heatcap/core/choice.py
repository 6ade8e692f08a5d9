"""Rows of a table that are used: a window of the control, some sizes, all but some rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats

__all__ = ["Choice", "interval"]

INF = float("inf")


@dataclass(frozen=True)
class Choice:
    """Rows with lowest <= control <= highest, of the chosen sizes, but for those in `drop`.

    `sizes` is a range (lowest, highest) or a set of sizes; `drop` counts rows of the data from 1.
    """

    window: tuple[float, float] = (-INF, INF)
    sizes: tuple[float, float] | frozenset[float] = (-INF, INF)
    drop: tuple[int, ...] = ()

    @classmethod
    def of(cls, window: str = "", sizes: str = "", drop: str = "") -> Choice:
        """Parse ``lo:hi``, ``64:``, ``:64`` or ``8,16``, and ``3,17``.

        Raises
        ------
        ValueError
            For text of another form.
        """
        chosen: tuple[float, float] | frozenset[float] = frozenset(_parsed("--sizes", sizes))
        if not chosen or ":" in sizes:
            chosen = interval("--sizes", sizes)
        rows = _parsed("--drop", drop)
        if wrong := [row for row in rows if row < 1 or row % 1]:
            raise ValueError(f"--drop: expected rows of the data, 1 or more, got {wrong[0]:g}")
        return cls(interval("--window", window), chosen, tuple(map(int, rows)))

    def rows(self, size: Floats | None = None, control: Floats | None = None) -> NDArray[np.bool_]:
        """Mask of the rows (row,) that are used; NaN is left to the reader.

        Raises
        ------
        ValueError
            If a size or a row that is named does not occur, or no row is left.
        """
        columns = [column for column in (size, control) if column is not None]
        used = np.ones(columns[0].size, dtype=bool)
        if missing := [row for row in self.drop if row > used.size]:
            raise ValueError(f"--drop {missing[0]}: there are {used.size} rows of data")
        used[np.array(self.drop, dtype=int) - 1] = False
        if size is not None:
            used &= np.isnan(size) | self._has(size)
        if control is not None:
            low, high = self.window
            used &= np.isnan(control) | ((control >= low) & (control <= high))
            if not used.any() and self.window != (-INF, INF):
                raise ValueError(
                    f"no row is left: --window {low:g}:{high:g}, the control of the chosen rows is "
                    f"{np.nanmin(control):g} to {np.nanmax(control):g}"
                )
        if not used.any():
            raise ValueError("no row is left: check --sizes and --drop")
        return used

    def _has(self, size: Floats) -> NDArray[np.bool_]:
        if isinstance(self.sizes, tuple):
            return np.asarray((size >= self.sizes[0]) & (size <= self.sizes[1]))
        if missing := sorted(self.sizes - set(size.tolist())):
            present = ", ".join(f"{s:g}" for s in np.unique(size[~np.isnan(size)])[:12])
            raise ValueError(f"--sizes: there is no size {missing[0]:g}, there are {present}")
        return np.isin(size, list(self.sizes))


def interval(option: str, text: str) -> tuple[float, float]:
    """Parse ``lo:hi`` (or ``lo,hi``), where either end may be left out.

    Raises
    ------
    ValueError
        If it is no such interval, or its ends are in the wrong order.
    """
    if not text:
        return -INF, INF
    ends = text.split(":" if ":" in text else ",")
    try:
        low, high = (float(end) if end.strip() else None for end in ends)
    except ValueError:
        raise ValueError(f"{option}: expected lo:hi, got {text}") from None
    out = -INF if low is None else low, INF if high is None else high
    if not out[0] < out[1]:
        raise ValueError(f"{option}: expected lo:hi with lo below hi, got {text}")
    return out


def _parsed(option: str, text: str) -> list[float]:
    if ":" in text:
        return []
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"{option}: expected numbers, got {text}") from None
