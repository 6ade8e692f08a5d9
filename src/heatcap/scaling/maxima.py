"""Peaks of curves: position and height of the maximum of every size, with their covariance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.core.result import plain, readable, status_line
from heatcap.scaling.curves import Curve, curves, drawing, missed
from heatcap.scaling.data import Points
from heatcap.scaling.peaks import PeakScaling, peaks_against_size

__all__ = ["Extrema", "extrema"]


GRID = 501
MOST_AT_END = 0.05  # share of draws that peak at an end of the data
ACROSS = 4  # points within half the height of a peak, at least


@dataclass(frozen=True, eq=False)
class Extrema:
    """The maximum of every size.

    Attributes
    ----------
    size, x, x_error, height, height_error : ndarray (size)
        NaN for sizes whose curve is highest at an end of its data, or may be.  Heights have the
        upward bias of a noisy maximum taken off (`bias`).
    x_covariance, height_covariance : ndarray (size, size)
        Diagonal unless sizes share replicates.
    status : str
        "ok", "peak at an end" of the data of some sizes, "no peak" at any size, "undersampled".
    message : str
        Which sizes, and what to do.
    curves : list of dict
        By size: grid `x`, `y`, and `band`, its standard deviation.
    draws : ndarray (size, draw)
        Heights of the draws.
    """

    size: Floats
    x: Floats
    x_error: Floats
    height: Floats
    height_error: Floats
    bias: Floats
    height_covariance: Floats
    x_covariance: Floats
    status: str = "ok"
    message: str = ""
    name: str = "A"
    curves: list[dict[str, Any]] = field(default_factory=list, repr=False)
    draws: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    def against_size(
        self, *, inverse_nu: float | None = None, exponent: float | None = None
    ) -> PeakScaling:
        """Positions and heights against the size, of the sizes that have a peak."""
        kept = np.flatnonzero(np.isfinite(self.x))
        pairs = np.ix_(kept, kept)
        return peaks_against_size(
            self.size[kept], self.x[kept], self.x_error[kept], self.height[kept],
            self.height_error[kept], x_covariance=self.x_covariance[pairs],
            height_covariance=self.height_covariance[pairs], inverse_nu=inverse_nu,
            exponent=exponent, name=self.name,
        )  # fmt: skip

    def summary(self) -> str:
        """Peaks with their errors and status, in lines."""
        lines = [status_line(self.status, self.message)]
        for k, size in enumerate(self.size):
            if np.isfinite(self.x[k]):
                at = readable(float(self.x[k]), float(self.x_error[k]))
                height = readable(float(self.height[k]), float(self.height_error[k]))
                lines.append(f"size {size:g}: x = {at}, {self.name} = {height}")
            else:
                lines.append(f"size {size:g}: no peak inside its data")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = (
            "name", "size", "x", "x_error", "height", "height_error", "bias", "x_covariance",
            "height_covariance", "status", "message",
        )  # fmt: skip
        return {"schema_version": 1} | dict(plain({name: getattr(self, name) for name in names}))


def extrema(points: Points, *, draws: int = 500, rng: int | np.random.Generator = 0) -> Extrema:
    """Position and height of the maximum of A(x) at every size.

    A smooth curve is fitted to every size, and its maximum found on draws of it: their spread is
    the error, their mean over the fit's own maximum the bias of a noisy maximum.  A maximum at an
    end of the data is no peak: the size is listed, with NaN, and left out of fits.

    Parameters
    ----------
    points : Points
        For the minimum of a curve, give -A.
    draws : int
    rng : int or Generator

    Returns
    -------
    Extrema
        ``.against_size()`` fits them against the size.

    Raises
    ------
    ValueError
        If a size has fewer than 5 points, or for fewer than 50 draws.
    """
    if draws < 50:
        raise ValueError(f"draws must be at least 50 for an error, got {draws}")
    lines = curves(points, draws=draws, rng=np.random.default_rng(rng))
    found = [_maximum(line) for line in lines]
    x, height, bias = (np.array([f[k] for f in found]) for k in range(3))
    drawn_x, drawn = (np.array([f[k] for f in found]) for k in (3, 4))
    shared = points.replicates is not None
    x_covariance, covariance = (_covariance(d, x, shared) for d in (drawn_x, drawn))
    inside = np.isfinite(x)
    at_end = [f"{line.size:g}" for line, ok in zip(lines, inside, strict=True) if not ok]
    said = f"highest at an end of the data: sizes {', '.join(at_end)}" if at_end else ""
    said += "; widen the range of their control" if at_end else ""
    coarse = [
        f"{line.size:g}"
        for line, ok in zip(lines, inside, strict=True)
        if ok and _across(line, points.control[points.size == line.size]) < ACROSS
    ]
    if coarse:
        said = "; ".join(filter(None, [said, _COARSE.format(", ".join(coarse), ACROSS)]))
    status = "undersampled" if coarse else "ok"
    if not inside.all():
        status = "peak at an end" if inside.any() else "no peak"
    return Extrema(
        np.array([line.size for line in lines]), x, np.sqrt(np.diag(x_covariance)), height,
        np.sqrt(np.diag(covariance)), bias, covariance, x_covariance, status,
        "; ".join(filter(None, [said, points.message, missed(lines)])), points.name,
        [drawing(line) for line in lines], drawn,
    )  # fmt: skip


_COARSE = (
    "undersampled: the peaks of sizes {} have fewer than {} points within half of their height, so "
    "that the heights are guesses; measure in between"
)


def _across(line: Curve, control: Floats) -> int:
    """Points about the peak, up to where the curve has fallen by half."""
    x = np.linspace(*line.range, GRID)
    y = line(x)
    low = y < (y.max() + y.min()) / 2
    top = int(y.argmax())
    left, right = np.flatnonzero(low[:top]), np.flatnonzero(low[top:])
    first = x[left[-1]] if left.size else x[0]
    last = x[top + right[0]] if right.size else x[-1]
    return int(np.sum((control >= first) & (control <= last)))


def _maximum(line: Curve) -> tuple[float, float, float, Floats, Floats]:
    """Position, height and bias of a peak, and the positions and heights of its draws."""
    x = np.linspace(*line.range, GRID)
    at, top = _tops(x, line(x)[None])
    drawn_at, drawn = _tops(x, line.drawn(x))
    ends = (drawn_at <= x[0]) | (drawn_at >= x[-1])
    if at[0] in (x[0], x[-1]) or ends.mean() > MOST_AT_END:
        nan = float("nan")
        return nan, nan, nan, drawn_at, drawn
    bias = float(drawn.mean() - top[0])
    return float(at[0]), float(top[0] - bias), bias, drawn_at, drawn


def _tops(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Maximum of every row: a parabola through the highest grid point and its neighbours."""
    k = y.argmax(axis=1)
    inner = np.clip(k, 1, x.size - 2)
    rows = np.arange(y.shape[0])
    left, middle, right = (y[rows, inner + step] for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / np.where(bend < 0, bend, -np.inf)
    inside = k == inner
    at = np.where(inside, x[inner] + shift * (x[1] - x[0]), x[k])
    return at, np.where(inside, middle - 0.25 * (left - right) * shift, y[rows, k])


def _covariance(drawn: Floats, value: Floats, shared: bool) -> Floats:
    """Of the sizes that have a peak, NaN for the others."""
    out = np.full((value.size, value.size), np.nan)
    known: Sequence[int] = np.flatnonzero(np.isfinite(value)).tolist()
    if known:
        found = np.atleast_2d(np.cov(drawn[known]))
        # Of independent sizes, what is off the diagonal is chance.
        out[np.ix_(known, known)] = found if shared else np.diag(np.diag(found))
    return out
