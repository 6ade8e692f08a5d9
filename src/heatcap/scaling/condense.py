"""Many points of a size condensed to few, at no cost for the curve through them.

Points are divided into bins along the control.  Each bin becomes two points: the nodes of the Gauss
rule for the weights 1 / error^2 of its points, with the values there of the line fitted to them and
the variances 1 / (Gauss weight).  They are independent, hold all that the bin tells of a line, and
have no bias from a curvature: at the nodes of a Gauss rule the line fitted to a parabola meets it.

G. H. Golub and J. H. Welsch, Math. Comp. 23 (1969) 221 (unchecked).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.scaling.data import Points

__all__ = ["condensed"]

NODES = 2
MANY, MOST = 400, 240  # points of a size: a curve costs their cube


def condensed(points: Points) -> Points:
    """Condense sizes with more than MANY points to MOST; the message says so.

    Points with a covariance are left as they are: bins have one, too.

    The scatter within the bins tells whether points share their noise, as those of one reweighted
    simulation do: what they share is not averaged.
    """
    sizes, counts = np.unique(points.size, return_counts=True)
    if counts.max(initial=0) <= MANY or points.covariance is not None:
        return points
    pieces = []
    for size, count in zip(sizes, counts, strict=True):
        part = points.take(points.size == size)
        pieces.append(_condensed(part, MOST // NODES) if count > MANY else part)
    told = (
        f"{len(points)} points condensed to {sum(map(len, pieces))}: at most {MOST} of a"
        f" size with more than {MANY}, two for each bin of the control"
    )
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(piece, name) for piece in pieces])
        for name in ("size", "control", "value", "error")
    }
    replicates = None
    if points.replicates is not None:
        replicates = np.concatenate([np.asarray(piece.replicates) for piece in pieces], axis=1)
    return replace(
        points, **joined, covariance=None, replicates=replicates, row=None,
        message="; ".join(filter(None, [points.message, told])),
    )  # fmt: skip


def _condensed(part: Points, bins: int) -> Points:
    """Two points for every bin of one size."""
    edges = np.linspace(part.control[0], part.control[-1], bins + 1)
    of = np.searchsorted(edges, part.control, side="right").clip(1, bins)
    x = part.control - part.control[0]
    weight = 1 / part.error**2
    rows: list[tuple[float, float, float]] = []
    drawn: list[Floats] = []
    inside, free = 0.0, 0
    for k in np.unique(of):
        at = np.flatnonzero(of == k)
        w, here = weight[at], x[at]
        total = w.sum()
        middle = float(w @ here / total)
        width = float(np.sqrt(w @ (here - middle) ** 2 / total))
        values = part.value[at] if part.replicates is None else part.replicates[:, at].T
        mean = w @ values / total
        if width == 0 or at.size <= NODES:
            if at.size <= NODES:
                rows += zip(here, part.value[at], 1 / w, strict=True)
            else:
                rows.append((middle, float(w @ part.value[at] / total), float(1 / total)))
            drawn += list(np.atleast_2d(values)) if at.size <= NODES else [mean]
            continue
        u = (here - middle) / width
        skew = float(w @ u**3 / total)
        slope = (w * u) @ values / total
        root = np.sqrt(skew**2 + 4)
        own_slope = float((w * u) @ part.value[at] / total)
        own_mean = float(w @ part.value[at] / total)
        off = part.value[at] - own_mean - own_slope * u
        inside += float(w @ off**2)
        free += at.size - NODES
        for node in ((skew - root) / 2, (skew + root) / 2):
            rows.append((middle + width * node, own_mean + own_slope * node, (1 + node**2) / total))
            drawn.append(np.asarray(mean + slope * node))
    control, value, variance = np.array(rows).T
    # Errors are of the points: noise that neighbours share leaves less scatter within the bins.
    shared = max(0.0, 1 - inside / free) if free else 0.0
    if shared * np.sqrt(free) < 4:  # no more than chance
        shared = 0.0
    usual = np.interp(control, x, part.error**2)
    error = np.sqrt(variance * (1 - shared) + shared * usual)
    order = np.argsort(control)
    return replace(
        part, size=np.full(control.size, part.size[0]),
        control=part.control[0] + control[order], value=value[order], error=error[order],
        covariance=None,
        row=None,
        replicates=None if part.replicates is None else np.array(drawn).T[:, order],
    )  # fmt: skip
