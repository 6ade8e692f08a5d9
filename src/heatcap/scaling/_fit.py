"""One fit of a scaling ansatz: splines by linear algebra, the rest by Levenberg-Marquardt.

Coefficients of splines and corrections enter linearly and are projected out (variable projection;
Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973) 413, with Kaufman's simpler Jacobian, BIT 15
(1975) 49; cited from memory, not checked), so that only x_c, the shape parameter, the exponents and
the analytic corrections are sought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.linalg import cholesky, solve_triangular

from heatcap.scaling.ansatz import Ansatz
from heatcap.scaling.points import Points

__all__ = ["Block", "Model", "Problem", "Solution"]

Floats = NDArray[np.float64]

MAX_ITERATIONS = 60


@dataclass(frozen=True)
class Model:
    """What is varied between fits.

    `knots` inner intervals of every spline, correction exponent `omega` (None: no correction to
    scaling), and whether the `analytic` corrections b and c are free.
    """

    knots: int
    omega: float | None = None
    analytic: bool = False


@dataclass(frozen=True, eq=False)
class Block:
    """One observable, ready for linear algebra: whitened values on logarithmic sizes."""

    log_size: Floats  # ln(L / L_ref)
    plain_log: Floats  # ln L
    control: Floats
    value: Floats  # whitened
    whiten: Floats  # 1 / error, or the inverse Cholesky factor of the covariance

    @classmethod
    def of(cls, points: Points, log_ref: float) -> Block:
        whiten = 1 / points.error
        if points.covariance is not None:
            factor = cholesky(points.covariance, lower=True)
            whiten = solve_triangular(factor, np.eye(len(points)), lower=True)
        log = np.log(points.size)
        block = cls(log - log_ref, log, points.control, points.value, whiten)
        return cls(log - log_ref, log, points.control, block.whitened(points.value), whiten)

    def whitened(self, rows: Floats) -> Floats:
        if self.whiten.ndim == 2:
            return self.whiten @ rows
        return self.whiten[:, None] * rows if rows.ndim == 2 else self.whiten * rows


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a fit ended.

    `theta` in the order of ``problem.names``; `covariance` of the free ones, in the order of
    ``problem.free``.
    """

    theta: Floats
    chi2: float
    parameters: int  # free ones, linear ones included
    covariance: Floats
    converged: bool
    model: Model
    n: int

    @property
    def dof(self) -> int:
        return self.n - self.parameters


@dataclass(frozen=True, eq=False)
class Problem:
    """Blocks that share x_c and the shape parameter, and what is held fixed."""

    blocks: Sequence[Block]
    ansatz: Ansatz
    names: Sequence[str]
    fixed: Mapping[str, float]
    centre: float  # of the control, and half its range: x_c is theta[0] in these units
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

    def free(self, model: Model) -> NDArray[np.intp]:
        """Places in theta of what is fitted: without analytic corrections, not b and c."""
        kept = [
            i
            for i, name in enumerate(self.names)
            if name not in self.fixed and _varied(name, model)
        ]
        return np.array(kept, dtype=np.intp)

    def start(self, x_c: float, shape: float, exponents: Sequence[float]) -> Floats:
        """theta = [x_c, shape, c, (exponent, b, a) of every block], fixed values put in."""
        theta = [x_c, shape, 0.0]
        for exponent in exponents:
            theta += [exponent, 0.0, 0.0]
        for i, name in enumerate(self.names):
            theta[i] = self.fixed.get(name, theta[i])
        return np.array(theta, dtype=np.float64)

    def scaled(self, block: Block, theta: Floats) -> Floats:
        """The scaling variable X of a block."""
        x_c, shape, c = theta[:3]
        t = (block.control - x_c) / self.half
        log = block.log_size if self.ansatz.parameter == "inverse_nu" else block.plain_log
        return np.asarray(t * (1 + c * t) * np.exp(self.ansatz.stretch(log, shape)[0]))

    def overlap(self, theta: Floats) -> float:
        """Share of the points whose X lies between those of another size; the least of all blocks.

        A large shape parameter pulls the sizes apart until none meets another: any data "collapse"
        then, without anything having been compared.
        """
        shares = []
        for block in self.blocks:
            x = self.scaled(block, theta)
            covered = np.zeros(x.size, dtype=bool)
            for size in np.unique(block.log_size):
                own = block.log_size == size
                covered |= ~own & (x >= x[own].min()) & (x <= x[own].max())
            shares.append(covered.mean())
        return float(min(shares))

    def knots(self, theta: Floats, model: Model) -> list[Floats]:
        """Knots of every block at even shares of its points, with room at the ends."""
        out = []
        for block in self.blocks:
            x = self.scaled(block, theta)
            inner = np.quantile(x, np.linspace(0, 1, model.knots + 1))
            room = 0.1 * np.ptp(inner) + 1e-12
            inner = _apart(inner, room)
            inner[0] -= room
            inner[-1] += room
            out.append(np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3]))
        return out

    def _limits(self, n: int) -> tuple[Floats, Floats]:
        """Where a descent may go: a little beyond the data, no further than numbers stay finite."""
        high = np.full(n, 8.0)
        high[2] = 2.0
        high[4::3] = 4.0
        low = -high
        low[0], high[0] = self.centre - 1.5 * self.half, self.centre + 1.5 * self.half
        low[1], high[1] = self.ansatz.bounds
        return low, high

    def evaluate(
        self, theta: Floats, model: Model, knots: Sequence[Floats], *, jacobian: bool = True
    ) -> tuple[Floats, Floats, int]:
        """Residuals, their derivatives with respect to theta, and the number of coefficients."""
        residuals, derivatives, count = [], [], 0
        for b, block in enumerate(self.blocks):
            r, j, k = self._block(block, b, theta, model, knots[b], jacobian)
            residuals.append(r)
            derivatives.append(j)
            count += k
        return np.concatenate(residuals), np.concatenate(derivatives), count

    def _block(
        self, block: Block, b: int, theta: Floats, model: Model, knots: Floats, jacobian: bool
    ) -> tuple[Floats, Floats, int]:
        x_c, shape, c = theta[:3]
        exponent, slope, weight = theta[3 + 3 * b : 6 + 3 * b]
        t = (block.control - x_c) / self.half
        log = block.log_size if self.ansatz.parameter == "inverse_nu" else block.plain_log
        log_stretch, d_shape = self.ansatz.stretch(log, shape)
        stretch = np.exp(log_stretch)
        x = t * (1 + c * t) * stretch
        size = np.exp(exponent * block.log_size)
        decline = np.exp(-(model.omega or 0.0) * block.log_size)
        finite = 1 + weight * decline if model.omega is not None else 1.0
        factor = size * (1 + slope * t) * finite
        inside = x.clip(knots[0], knots[-1])
        columns = [BSpline.design_matrix(inside, knots, 3).toarray() * factor[:, None]]
        design = block.whitened(np.hstack(columns))
        q, r = np.linalg.qr(design)
        projected = q.T @ block.value
        residual = block.value - q @ projected
        width = design.shape[1]
        if not jacobian:
            return residual, np.empty((0, 0)), width
        coefficients = _back(np.asarray(r), projected)
        spline = BSpline(knots, coefficients[: columns[0].shape[1]], 3)
        f, f_slope = spline(inside), spline.derivative()(inside)
        d_x = factor * f_slope
        total = factor * f
        change = np.zeros((t.size, theta.size))
        change[:, 0] = (-d_x * (1 + 2 * c * t) * stretch - size * finite * slope * f) / self.half
        change[:, 1] = d_x * x * d_shape
        change[:, 2] = d_x * t**2 * stretch
        change[:, 3 + 3 * b] = total * block.log_size
        change[:, 4 + 3 * b] = size * finite * t * f
        if model.omega is not None:
            change[:, 5 + 3 * b] = size * (1 + slope * t) * decline * f
        change = block.whitened(change)
        return residual, -(change - q @ (q.T @ change)), width

    def curve(self, b: int, solution: Solution, points: int = 200) -> dict[str, Floats]:
        """What a picture of block b needs: collapsed points, the scaling function and its band.

        `x`, `y`, `error` of every point: X and A L^-exponent with the analytic prefactor and the
        correction to scaling taken off; `residual` in units of the error; `grid`, `f`, `band`.
        """
        theta, model, block = solution.theta, solution.model, self.blocks[b]
        knots = self.knots(theta, model)[b]
        x_c, (exponent, slope, weight) = theta[0], theta[3 + 3 * b : 6 + 3 * b]
        x = self.scaled(block, theta)
        size = np.exp(exponent * block.log_size)
        decline = np.exp(-(model.omega or 0.0) * block.log_size)
        factor = size * (1 + slope * (block.control - x_c) / self.half)
        if model.omega is not None:
            factor = factor * (1 + weight * decline)
        inside = x.clip(knots[0], knots[-1])
        columns = [BSpline.design_matrix(inside, knots, 3).toarray() * factor[:, None]]
        design = np.hstack(columns)
        whitened = block.whitened(design)
        coefficients, *_ = np.linalg.lstsq(whitened, block.value, rcond=1e-10)
        spread = np.linalg.pinv(whitened.T @ whitened, rcond=1e-12, hermitian=True)
        n = columns[0].shape[1]
        grid = np.linspace(x.min(), x.max(), points)
        basis = BSpline.design_matrix(grid, knots, 3).toarray()
        residual = block.value - whitened @ coefficients
        error = 1 / block.whiten if block.whiten.ndim == 1 else _errors(block.whiten)
        fitted = columns[0] @ coefficients[:n] / factor
        return {
            "x": x,
            "y": fitted + residual * error / factor if block.whiten.ndim == 1 else fitted,
            "error": error / np.abs(factor),
            "residual": residual,
            "grid": grid,
            "f": basis @ coefficients[:n],
            "band": np.sqrt(np.einsum("ij,jk,ik->i", basis, spread[:n, :n], basis)),
        }

    def solve(self, theta: Floats, model: Model, *, passes: int = 2) -> Solution:
        """Levenberg-Marquardt from a start; knots follow the scaling variable between passes."""
        free = self.free(model)
        theta = theta.copy()
        for i, name in enumerate(self.names):
            if i not in free and name not in self.fixed:
                theta[i] = 0.0
        converged = False
        for _ in range(passes):
            knots = self.knots(theta, model)
            theta, converged = self._descend(theta, model, knots, free)
        residual, jacobian, linear = self.evaluate(theta, model, knots)
        return Solution(
            theta=theta,
            chi2=float(residual @ residual),
            parameters=linear + free.size,
            covariance=_inverse(jacobian[:, free]),
            converged=converged,
            model=model,
            n=self.n,
        )

    def _descend(
        self, theta: Floats, model: Model, knots: Sequence[Floats], free: NDArray[np.intp]
    ) -> tuple[Floats, bool]:
        residual, jacobian, _ = self.evaluate(theta, model, knots)
        cost, damping = residual @ residual, 1e-3
        for _ in range(MAX_ITERATIONS):
            j = jacobian[:, free]
            normal, gradient = j.T @ j, j.T @ residual
            step = _damped(normal, gradient, damping)
            trial = theta.copy()
            trial[free] -= step
            trial = trial.clip(*self._limits(theta.size))
            new, new_jacobian, _ = self.evaluate(trial, model, knots)
            new_cost = new @ new
            if new_cost < cost:
                small = cost - new_cost < 1e-6 * (1 + 1e-3 * cost)
                theta, residual, jacobian, cost = trial, new, new_jacobian, new_cost
                damping = max(damping / 5, 1e-9)
                if small:
                    return theta, True
            else:
                damping *= 4
                if damping > 1e8:
                    return theta, True
        return theta, False


def _varied(name: str, model: Model) -> bool:
    """Whether a model has a parameter: a with a correction to scaling, b and c if analytic."""
    kind = name.split("_")[0]
    if kind == "a":
        return model.omega is not None
    return model.analytic or kind not in ("b", "c")


def _errors(whiten: Floats) -> Floats:
    """Standard deviations behind an inverse Cholesky factor."""
    return np.sqrt(np.diag(np.linalg.inv(whiten.T @ whiten)))


def _apart(knots: Floats, room: float) -> Floats:
    """Knots that do not coincide: points at one X would leave a spline without support."""
    gap = 1e-3 * room
    for i in range(1, knots.size):
        knots[i] = max(knots[i], knots[i - 1] + gap)
    return knots


def _back(r: Floats, y: Floats) -> Floats:
    """Coefficients; a direction that no point determines gets none."""
    diagonal = np.abs(np.diag(r))
    if diagonal.min() > 1e-10 * diagonal.max():
        return np.asarray(solve_triangular(r, y, check_finite=False))
    return np.asarray(np.linalg.lstsq(r, y, rcond=1e-10)[0])


def _damped(normal: Floats, gradient: Floats, damping: float) -> Floats:
    scale = np.maximum(np.diag(normal), 1e-12)
    return np.asarray(np.linalg.lstsq(normal + damping * np.diag(scale), gradient, rcond=None)[0])


def _inverse(jacobian: Floats) -> Floats:
    """Covariance of the free parameters; infinite where nothing determines one."""
    normal = jacobian.T @ jacobian
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    values, vectors = np.linalg.eigh(normal / np.outer(scale, scale))
    inverse = (vectors / np.maximum(values, 1e-14)) @ vectors.T
    return np.asarray(inverse / np.outer(scale, scale))
