"""Site percolation on the open L x L square: counts of samples that span it from top to bottom.

    P(p, L) = f((p - p_c) L^(1/nu)),   p_c = 0.59274605,   nu = 4/3,   P(p_c, inf) = 1/2

p_c: J. L. Jacobsen, J. Phys. A 48 (2015) 454003; 1/2, of a square: J. L. Cardy, J. Phys. A 25
(1992) L201 (both in part: docs/references.md).  Every control has samples of its own: counts are
binomial and independent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import label

from heatcap.core.arrays import Floats
from heatcap.systems.clusters import Seed, generator
from heatcap.systems.system import LARGEST_EDGE, at_least
from heatcap.systems.table import Controls, points

__all__ = ["SITE_P_C", "spanning_counts"]

SITE_P_C = 0.59274605


def spanning_counts(
    sizes: Sequence[int], controls: Controls, *, trials: int = 500, rng: Seed = None
) -> pd.DataFrame:
    """Count samples that span.

    Parameters
    ----------
    sizes : sequence of int
        L, from 2.
    controls : sequence, mapping from size to sequence, or function of the size
        Probabilities of a site.
    trials : int
        Samples at each size and control.
    rng : int or Generator, optional
        Equal seeds give equal tables.

    Returns
    -------
    DataFrame
        Columns size, control, successes, trials.

    Raises
    ------
    ValueError
        If a size, a control or the number of trials is out of range.
    """
    size, control = points(sizes, controls)
    if not np.all((control >= 0) & (control <= 1)):
        raise ValueError("a probability p must lie between 0 and 1")
    if trials < 1:
        raise ValueError(f"trials must be 1 or more, got {trials}")
    random = generator(rng)
    counts = []
    for length, p in zip(size.tolist(), control.tolist(), strict=True):
        at_least(2, length, LARGEST_EDGE)
        counts.append(int(spans(random.random((trials, length, length)) < p).sum()))
    columns = {"size": size, "control": control, "successes": counts}
    return pd.DataFrame(columns | {"trials": trials})


def spans(occupied: NDArray[np.bool_] | Floats) -> NDArray[np.bool_]:
    """Whether occupied sites (sample, row, column) join the first row to the last."""
    within = np.zeros((3, 3, 3), dtype=int)  # neighbours in the plane of a sample alone
    within[1] = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    clusters, count = label(occupied, within)
    at_top = np.zeros(count + 1, dtype=bool)
    at_top[clusters[:, 0]] = True
    at_top[0] = False
    return np.asarray(at_top[clusters[:, -1]].any(axis=1))
