"""The least-squares problem of a collapse: residuals and derivatives of all observables.

Coefficients of the splines enter linearly and are projected out (variable projection; Golub and
Pereyra, SIAM J. Numer. Anal. 10 (1973) 413, with Kaufman's simpler Jacobian, BIT 15 (1975) 49;
what was checked: docs/references.md).  The other parameters, theta, are x_c, the shape parameter,
the exponents and the corrections.  t = (x - x_c) / x_s has no unit; sizes are relative to their
geometric mean.

Corrections are always fitted: every finite system has them, and leaving them out where the data do
not require them gives errors that are too small.  Priors keep them finite where the data do not
determine them; each enters chi^2 as one more residual:

    omega                         ln omega ~ N(ln 1.4, 0.5)         0.5 to 3.7 in 95 of 100
    a, s                          a L_min^-omega ~ N(0, 0.5), s 0.3       of the smallest size
    b, c                          N(0, 1), N(0, 0.5)                over half the control's range
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize_scalar

from heatcap.core.arrays import Floats
from heatcap.scaling.ansatz import Ansatz
from heatcap.scaling.data import Points

__all__ = ["Block", "Model", "Problem", "names_of", "without_structure"]


X_C, SHAPE, C, OMEGA, SHARED = 0, 1, 2, 3, 4  # places in theta; SHARED of them belong to all blocks
OMEGA_PRIOR = (float(np.log(1.4)), 0.5)
OWN = 4  # places of each block: exponent, b, a, s
A_PRIOR, S_PRIOR, B_PRIOR, C_PRIOR = 0.5, 0.3, 1.0, 0.5
MEETING = 3  # points of another size within the range of a size, for the two to be compared


@dataclass(frozen=True)
class Model:
    """Settings that vary between fits: intervals of every spline, corrections or none."""

    knots: int
    corrected: bool = True


@dataclass(frozen=True, eq=False)
class Block:
    """One observable, ready for linear algebra: whitened values on logarithmic sizes."""

    log_size: Floats  # ln(L / L_ref)
    log_ref: float
    control: Floats
    raw: Floats
    value: Floats  # whitened
    whiten: Floats  # 1 / error, or the inverse Cholesky factor of the covariance

    @classmethod
    def of(cls, points: Points, log_ref: float) -> Block:
        whiten = 1 / points.error
        if points.covariance is not None:
            factor = cholesky(points.covariance, lower=True)
            whiten = solve_triangular(factor, np.eye(len(points)), lower=True)
        log = np.log(points.size) - log_ref
        bare = cls(log, log_ref, points.control, points.value, points.value, whiten)
        return bare.with_values(points.value)

    def with_values(self, raw: Floats) -> Block:
        """Replace the values, such as by those of a resample."""
        return replace(self, raw=raw, value=self.whitened(raw))

    def whitened(self, rows: Floats) -> Floats:
        if self.whiten.ndim == 2:
            return self.whiten @ rows
        return self.whiten[:, None] * rows if rows.ndim == 2 else self.whiten * rows

    def unwhitened(self, residual: Floats) -> Floats:
        if self.whiten.ndim == 2:
            return np.asarray(solve_triangular(self.whiten, residual, lower=True))
        return residual / self.whiten

    @property
    def error(self) -> Floats:
        """Standard deviations of the values."""
        if self.whiten.ndim == 1:
            return 1 / self.whiten
        return np.sqrt(np.diag(np.linalg.inv(self.whiten.T @ self.whiten)))


def names_of(ansatz: Ansatz, observables: Sequence[str]) -> list[str]:
    """Name the parameters in the order of theta.

    Exponent and corrections carry the name of their observable if there are several.
    """
    names = ["x_c", ansatz.parameter, "c", "omega"]
    for observable in observables:
        end = "" if len(observables) == 1 else f"_{observable}"
        names += [f"{name}{end}" for name in ("exponent", "b", "a", "s")]
    return names


@dataclass(frozen=True, eq=False)
class Problem:
    """Blocks that share x_c and the shape parameter, with the fixed parameters."""

    blocks: Sequence[Block]
    ansatz: Ansatz
    names: Sequence[str]
    fixed: Mapping[str, float]
    centre: float  # of the control, and half its range
    half: float

    @classmethod
    def of(
        cls,
        parts: Sequence[Points],
        ansatz: Ansatz,
        names: Sequence[str],
        fixed: Mapping[str, float],
    ) -> Problem:
        controls = np.concatenate([part.control for part in parts])
        log_ref = float(np.mean(np.log(np.concatenate([part.size for part in parts]))))
        centre, half = (controls.max() + controls.min()) / 2, np.ptp(controls) / 2
        blocks = [Block.of(part, log_ref) for part in parts]
        return cls(blocks, ansatz, names, fixed, float(centre), float(half) or 1.0)

    @property
    def n(self) -> int:
        return sum(block.value.size for block in self.blocks)

    def with_values(self, values: Sequence[Floats]) -> Problem:
        """Replace the values of all blocks."""
        blocks = [block.with_values(v) for block, v in zip(self.blocks, values, strict=True)]
        return replace(self, blocks=blocks)

    def free(self, model: Model) -> NDArray[np.intp]:
        """Places in theta of the fitted parameters."""
        places = [
            i
            for i, name in enumerate(self.names)
            if name not in self.fixed and (model.corrected or not _is_correction(i))
        ]
        return np.array(places, dtype=np.intp)

    def start(self, x_c: float, shape: float, exponents: Sequence[float]) -> Floats:
        """theta = [x_c, shape, c, omega, (exponent, b, a, s) of every block], fixed ones put in."""
        theta = [x_c, shape, 0.0, float(np.exp(OMEGA_PRIOR[0]))]
        for exponent in exponents:
            theta += [exponent, 0.0, 0.0, 0.0]
        for i, name in enumerate(self.names):
            theta[i] = self.fixed.get(name, theta[i])
        return np.array(theta, dtype=np.float64)

    def limits(self) -> tuple[Floats, Floats]:
        """Bounds of theta: x_c a little beyond the data, others where numbers stay finite."""
        high = np.full(len(self.names), 8.0)
        high[C] = 2.0
        high[SHARED + 1 :: OWN] = 4.0
        low = -high
        low[X_C], high[X_C] = self.centre - 1.5 * self.half, self.centre + 1.5 * self.half
        low[SHAPE], high[SHAPE] = self.ansatz.bounds
        low[OMEGA], high[OMEGA] = 0.1, 10.0
        return low, high

    def _stretch(self, block: Block, shape: float) -> tuple[Floats, Floats]:
        """ln S relative to the mean size, which decorrelates size and shape."""
        log, slope = self.ansatz.stretch(block.log_size + block.log_ref, shape)
        there, slope_there = self.ansatz.stretch(np.array([block.log_ref]), shape)
        return log - there, slope - slope_there

    def scaled(self, b: int, theta: Floats) -> Floats:
        """The scaling variable X of block b, corrections included."""
        block, shift = self.blocks[b], self.own(b, theta)[3]
        t = (block.control - theta[X_C]) / self.half
        x = t * (1 + theta[C] * t) * np.exp(self._stretch(block, theta[SHAPE])[0])
        return np.asarray(x + shift * np.exp(-theta[OMEGA] * block.log_size))

    def own(self, b: int, theta: Floats) -> Floats:
        """Exponent, b, a and s of block b."""
        return theta[SHARED + OWN * b : SHARED + OWN * (b + 1)]

    def overlap(self, theta: Floats) -> float:
        """Share of points that are compared with another size; the least of all blocks.

        A point is compared if its X lies within the range of another size, and at least MEETING
        points of that size lie within the range of its own.  A large shape parameter separates the
        sizes, or puts all points of one between two of the next: any data "collapse" then, without
        a comparison.
        """
        return min(
            _compared(self.scaled(b, theta), block.log_size) for b, block in enumerate(self.blocks)
        )

    def knots(self, theta: Floats, model: Model) -> list[Floats]:
        """Knots of every block at even shares of its points, with room at the ends."""
        out = []
        for b in range(len(self.blocks)):
            x = self.scaled(b, theta)
            inner = np.quantile(x, np.linspace(0, 1, model.knots + 1))
            room = 0.1 * np.ptp(inner) + 1e-12
            inner = _apart(inner, room)
            inner[0] -= room
            inner[-1] += room
            out.append(np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3]))
        return out

    def evaluate(
        self, theta: Floats, knots: Sequence[Floats], *, jacobian: bool = True
    ) -> tuple[Floats, Floats, int]:
        """Residuals, their derivatives with respect to theta, and the number of coefficients."""
        residuals, derivatives, count = [], [], 0
        for b in range(len(self.blocks)):
            r, j, k = self._block(b, theta, knots[b], jacobian)
            residuals.append(r)
            derivatives.append(j)
            count += k
        return np.concatenate(residuals), np.concatenate(derivatives), count

    def _factors(self, b: int, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """t, L^exponent K(L), and the correction to scaling 1 + a L^-omega."""
        block, (exponent, _, weight, _) = self.blocks[b], self.own(b, theta)
        t = (block.control - theta[X_C]) / self.half
        size = exponent * block.log_size
        if self.ansatz.amplitude is not None:
            there = self.ansatz.amplitude(np.array([block.log_ref]))
            size = size + self.ansatz.amplitude(block.log_size + block.log_ref) - there
        return t, np.exp(size), 1 + weight * np.exp(-theta[OMEGA] * block.log_size)

    def _block(
        self, b: int, theta: Floats, knots: Floats, jacobian: bool
    ) -> tuple[Floats, Floats, int]:
        block, at, c = self.blocks[b], SHARED + OWN * b, theta[C]
        _, slope, weight, shift = self.own(b, theta)
        t, size, finite = self._factors(b, theta)
        log_stretch, d_shape = self._stretch(block, theta[SHAPE])
        stretch = np.exp(log_stretch)
        decline = np.exp(-theta[OMEGA] * block.log_size)
        bare = t * (1 + c * t) * stretch
        x = bare + shift * decline
        factor = size * (1 + slope * t) * finite
        inside = x.clip(knots[0], knots[-1])
        design = BSpline.design_matrix(inside, knots, 3).toarray() * factor[:, None]
        q, upper = np.linalg.qr(block.whitened(design))
        projected = q.T @ block.value
        residual = block.value - q @ projected
        if not jacobian:
            return residual, np.empty((0, 0)), upper.shape[1]
        spline = BSpline(knots, _back(np.asarray(upper), projected), 3)
        f, f_slope = spline(inside), spline.derivative()(inside)
        d_x, total = factor * f_slope, factor * f
        of_weight = size * (1 + slope * t) * decline * f
        change = np.zeros((t.size, theta.size))
        change[:, X_C] = (-d_x * (1 + 2 * c * t) * stretch - size * finite * slope * f) / self.half
        change[:, SHAPE] = d_x * bare * d_shape
        change[:, C] = d_x * t**2 * stretch
        change[:, OMEGA] = -block.log_size * (weight * of_weight + d_x * shift * decline)
        change[:, at] = total * block.log_size
        change[:, at + 1] = size * finite * t * f
        change[:, at + 2] = of_weight
        change[:, at + 3] = d_x * decline
        change = block.whitened(change)
        return residual, -(change - q @ (q.T @ change)), upper.shape[1]

    def priors(self, theta: Floats, model: Model) -> tuple[Floats, Floats]:
        """One residual for every correction that is free, and their derivatives."""
        free = set(self.free(model).tolist())
        rows: list[tuple[float, dict[int, float]]] = []
        if OMEGA in free:
            mean, width = OMEGA_PRIOR
            off = (np.log(theta[OMEGA]) - mean) / width
            rows.append((off, {OMEGA: 1 / (theta[OMEGA] * width)}))
        if C in free:
            rows.append((theta[C] / C_PRIOR, {C: 1 / C_PRIOR}))
        for b, block in enumerate(self.blocks):
            at = SHARED + OWN * b
            if at + 1 in free:
                rows.append((theta[at + 1] / B_PRIOR, {at + 1: 1 / B_PRIOR}))
            smallest = float(block.log_size.min())
            for place, width in ((at + 2, A_PRIOR), (at + 3, S_PRIOR)):
                if place in free:
                    decline = np.exp(-theta[OMEGA] * smallest) / width
                    row = theta[place] * decline
                    rows.append((row, {place: decline, OMEGA: -smallest * row}))
        jacobian = np.zeros((len(rows), theta.size))
        for i, (_, slopes) in enumerate(rows):
            for place, slope in slopes.items():
                jacobian[i, place] = slope
        return np.array([row for row, _ in rows]), jacobian

    def largest_correction(self, theta: Floats) -> float:
        """|a| L^-omega at the smallest size, the largest of all blocks."""
        return max(
            float(np.abs(self._factors(b, theta)[2][block.log_size.argmin()] - 1))
            for b, block in enumerate(self.blocks)
        )

    def factor(self, b: int, theta: Floats) -> Floats:
        """What multiplies f at every point of block b: size, prefactor and correction."""
        t, size, finite = self._factors(b, theta)
        return np.asarray(size * (1 + self.own(b, theta)[1] * t) * finite)


def _compared(x: Floats, log_size: Floats) -> float:
    sizes = np.unique(log_size)
    groups = [np.sort(x[log_size == size]) for size in sizes]
    count = 0
    for a, group in enumerate(groups):
        covered = np.zeros(group.size, dtype=bool)
        for b, other in enumerate(groups):
            among = np.searchsorted(other, group[-1], "right") - np.searchsorted(other, group[0])
            if a != b and among >= MEETING:
                covered |= (group >= other[0]) & (group <= other[-1])
        count += int(covered.sum())
    return count / x.size


def _is_correction(place: int) -> bool:
    return place in (C, OMEGA) or (place >= SHARED and (place - SHARED) % OWN > 0)


def _apart(knots: Floats, room: float) -> Floats:
    """Separate coinciding knots: points at one X would leave a spline without support."""
    gap = 1e-3 * room
    for i in range(1, knots.size):
        knots[i] = max(knots[i], knots[i - 1] + gap)
    return knots


def _back(r: Floats, y: Floats) -> Floats:
    """Coefficients of the spline; 0 along directions that no point determines."""
    diagonal = np.abs(np.diag(r))
    if diagonal.min() > 1e-10 * diagonal.max():
        return np.asarray(solve_triangular(r, y, check_finite=False))
    return np.asarray(np.linalg.lstsq(r, y, rcond=1e-10)[0])


def without_structure(problem: Problem) -> tuple[float, int]:
    """chi^2 and parameters of A = B L^exponent, which does not depend on the control."""
    chi2, parameters = 0.0, 0
    for b, block in enumerate(problem.blocks):
        name = problem.names[SHARED + OWN * b]
        if name in problem.fixed:
            chi2 += _constant(problem.fixed[name], block)
            parameters += 1
            continue
        fit = minimize_scalar(_constant, args=(block,), bounds=(-4, 4), method="bounded")
        chi2 += min(float(fit.fun), _constant(0.0, block))
        parameters += 2
    return chi2, parameters


def _constant(exponent: float, block: Block) -> float:
    column = block.whitened(np.exp(exponent * block.log_size))
    off = block.value - column * (column @ block.value) / (column @ column)
    return float(off @ off)
