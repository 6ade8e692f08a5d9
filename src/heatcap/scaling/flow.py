"""Kosterlitz's renormalisation flow from the smallest size upwards, fitted to a stiffness.

With l = ln L, v the relative distance of the stiffness from its universal value (pi Upsilon / (2 T)
= 1 + v / 2) and u the fugacity of the vortices,

    dv/dl = -u^2 (1 + B v)        du/dl = -u v

B = 0 is the leading order (Kosterlitz, J. Phys. C 7 (1974) 1046) and B = 3/2 the next one, whose
coefficient is universal (Pelissetto and Vicari, Phys. Rev. E 87 (2013) 032105, eqs. 17-20, at
second hand).  Conserved: u^2 - 2 [v / B - ln(1 + B v) / B^2], at B = 0 u^2 - v^2; it is zero on the
critical line, where 1/v = l + const at leading and l + ln(l) / 2 + ... at next order.

`flow` integrates the equations, `search` and `scan` fit them, `smooth_score` is the alternative
without a jump; :mod:`heatcap.scaling.jump` averages the fits.  Units: k_B = 1, T and Upsilon alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.core.result import Status
from heatcap.scaling.data import Points
from heatcap.scaling.fits import inverse_normal, minimum

__all__ = [
    "Fit",
    "Form",
    "Model",
    "Problem",
    "constant_of",
    "critical_fugacity",
    "described",
    "flow",
    "scan",
    "search",
    "smooth_score",
    "too_little",
]

STEP = 0.18  # of ln L, at most: smaller ones move v by less than 3e-5
LOWEST, HIGHEST = -0.6, 3.0  # bounds of v in the flow; fits stay within them
NEXT = 1.5  # B at next order
NAMES = ("t_kt", "v", "v_1", "g_1", "v_2", "g_2", "correction", "jump")
SEARCH, REFINED = 256, 6  # points of the global search, and of those that are refined
ROUGH = 0.03  # added to the errors of y in the search: far from T_KT the flow is only a sketch
NEAR = (0.5, 2.2)  # y of the points of the search
DEEPEST = -0.35  # v of the first guess, below which the flow, a series in v and u, is unreliable
SHARES = (1.0, 0.8, 0.65, 0.5)  # of the points, nearest to T_KT
NEGLIGIBLE = 12.0  # in the score: a weight of e^-6
SMOOTH_ORDERS, SMOOTH_POWERS = (2, 3, 4), (0.5, 1.0, 2.0)  # of a stiffness without a jump


def critical_fugacity(v: Floats, b: float) -> Floats:
    """u on the critical line at v, from the conserved quantity."""
    if b == 0:
        return np.asarray(v, dtype=np.float64)
    return np.asarray(np.sqrt(2 * (v / b - np.log1p(b * v) / b**2)))


def flow(v: Floats, log_u: Floats, log_sizes: Floats, b: float) -> Floats:
    """Integrate dv/dl = -u^2 (1 + b v), du/dl = -u v from the smallest size upwards.

    Runge and Kutta's fourth order.

    Parameters
    ----------
    v, log_u : ndarray (...)
        At the first size.
    log_sizes : ndarray (size)
        ln L, ascending.
    b : float
        0 or 3/2.

    Returns
    -------
    ndarray (size, ...)
        v at every size.
    """

    def slope(state: Floats) -> Floats:
        v = state[0].clip(LOWEST, HIGHEST)
        fugacity = np.exp(np.minimum(2 * state[1], 4.0))
        return np.stack([-fugacity * (1 + b * v), -v])

    state = np.stack([v, log_u])
    out = [state[0]]
    for width in np.diff(log_sizes):
        count = max(int(np.ceil(width / STEP)), 1)
        h = width / count
        for _ in range(count):
            one = slope(state)
            two = slope(state + h / 2 * one)
            three = slope(state + h / 2 * two)
            state = state + h / 6 * (one + 2 * two + 2 * three + slope(state + h * three))
            state[0] = state[0].clip(LOWEST, HIGHEST)
        out.append(state[0])
    return np.stack(out)


@dataclass(frozen=True)
class Form:
    """Settings that vary between fits: order of the flow, curvature in T, a term L^-2."""

    b: float = NEXT
    quadratic: bool = False
    correction: bool = False

    def names(self, jump: bool) -> tuple[str, ...]:
        """Free parameters; the first is T_KT."""
        out: tuple[str, ...] = NAMES[:4]
        out += NAMES[4:6] if self.quadratic else ()
        out += NAMES[6:7] if self.correction else ()
        return out + (NAMES[7:] if jump else ())


@dataclass(frozen=True, eq=False)
class Fit:
    """Minimum of chi^2 for one form; parameters in the order of ``form.names(jump)``."""

    form: Form
    free_jump: bool
    theta: Floats
    covariance: Floats
    chi2: float
    n: int
    problem: Problem
    settled: bool = True

    @property
    def dof(self) -> int:
        return self.n - self.theta.size

    def of(self, name: str) -> tuple[float, float]:
        """Value and variance of a parameter; a jump that is not fitted is 1."""
        names = self.form.names(self.free_jump)
        if name not in names:
            return 1.0, 0.0
        i = names.index(name)
        return float(self.theta[i]), float(self.covariance[i, i])


@dataclass(frozen=True, eq=False)
class Problem:
    """Least-squares problem of y = pi Upsilon / (2 T) of all points.

    At the smallest size, with t = (T - T_KT) / half,

        v(T) = v + v_1 t + v_2 t^2        ln u(T) = ln u_c(v) + g_1 t + g_2 t^2

    and y = J (1 + v(L) / 2 + correction (L_min / L)^2).
    """

    log_sizes: Floats  # of the different sizes
    temperatures: Floats  # the different ones
    size: NDArray[np.intp]  # place of every point among the sizes
    temperature: NDArray[np.intp]
    y: Floats
    whiten: Floats  # (point, point), of y
    half: float

    @classmethod
    def of(cls, points: Points, half: float, floor: float = 0.0) -> Problem:
        """Make a problem from Upsilon; `floor` is added in quadrature to the errors of y."""
        sizes, size = np.unique(points.size, return_inverse=True)
        temperatures, temperature = np.unique(points.control, return_inverse=True)
        factor = np.pi / (2 * points.control)
        covariance = np.diag(points.error**2) if points.covariance is None else points.covariance
        covariance = covariance * np.outer(factor, factor) + floor**2 * np.eye(len(points))
        whiten = np.linalg.inv(np.linalg.cholesky(covariance))
        return cls(
            np.log(sizes), temperatures, size, temperature, points.value * factor, whiten, half
        )

    def expected(self, thetas: Floats, form: Form, jump: bool) -> Floats:
        """y (row, point) for one set of parameters in every row."""
        v, place = self.running(thetas, form, jump), form.names(jump).index
        values = 1 + v[self.size, :, self.temperature].T / 2
        if form.correction:
            decline = np.exp(-2 * (self.log_sizes - self.log_sizes[0]))[self.size]
            values = values + thetas[:, place("correction"), None] * decline
        return values * thetas[:, place("jump"), None] if jump else values

    def running(
        self, thetas: Floats, form: Form, jump: bool, temperatures: Floats | None = None
    ) -> Floats:
        """v (size, row, temperature) along the flow."""
        at = self.temperatures if temperatures is None else temperatures
        columns = dict(zip(form.names(jump), thetas.T[:, :, None], strict=True))
        t = (at - columns["t_kt"]) / self.half
        v = columns["v"] + columns["v_1"] * t
        log_u = np.log(critical_fugacity(np.maximum(columns["v"], 1e-3), form.b))
        log_u = log_u + columns["g_1"] * t
        if form.quadratic:
            v, log_u = v + columns["v_2"] * t**2, log_u + columns["g_2"] * t**2
        return flow(v.clip(LOWEST, HIGHEST), log_u.clip(-12, 1), self.log_sizes, form.b)

    def residuals(self, thetas: Floats, form: Form, jump: bool) -> Floats:
        """Whitened residuals, one row for every set of parameters."""
        return np.asarray((self.expected(thetas, form, jump) - self.y) @ self.whiten.T)

    def solve(self, start: Floats, form: Form, jump: bool) -> Fit:
        """Descend to the minimum next to a start, within the limits of the parameters."""
        low, high = _limits(form.names(jump), self)
        theta, settled = minimum(lambda at: self._linear(at, form, jump), start, low, high)
        residual, jacobian = self._linear(theta, form, jump)
        covariance, chi2 = inverse_normal(jacobian, 1e-13), float(residual @ residual)
        return Fit(form, jump, theta, covariance, chi2, self.y.size, self, settled)

    def _linear(self, theta: Floats, form: Form, jump: bool) -> tuple[Floats, Floats]:
        """Residuals and their derivatives, by central differences in one pass of the flow."""
        steps = np.full(theta.size, 1e-5)
        steps[0] *= self.half
        trial = np.vstack([theta, theta + np.diag(steps), theta - np.diag(steps)])
        residuals = self.residuals(trial, form, jump)
        up, down = np.split(residuals[1:], 2)
        return residuals[0], np.asarray(((up - down) / (2 * steps[:, None])).T)


def _limits(names: Sequence[str], problem: Problem) -> tuple[Floats, Floats]:
    """Bounds of the parameters; T_KT may lie a little beyond the data."""
    low = {"v": 0.02, "v_1": -6.0, "g_1": -3.0, "jump": 0.05}
    high = {"v": 2.5, "v_1": 3.0, "g_1": 6.0, "jump": 5.0}
    first, last = problem.temperatures[[0, -1]]
    low["t_kt"], high["t_kt"] = first - 0.25 * problem.half, last + 0.25 * problem.half
    return (
        np.array([low.get(name, -6.0) for name in names]),
        np.array([high.get(name, 6.0) for name in names]),
    )


# ---- the scan of models ------------------------------------------------------------------
#
# The flow is compared with smooth functions that have no jump.

FORMS = (
    Form(0.0), Form(0.0, True), Form(), Form(NEXT, True), Form(NEXT, False, True),
    Form(NEXT, True, True),
)  # fmt: skip


def too_little(points: Points) -> tuple[Status, str] | None:
    """Status and message if there are too few sizes or points for a fit."""
    sizes = np.unique(points.size)
    if sizes.size < 3:
        return Status.TOO_FEW_SIZES, f"{sizes.size} sizes; a logarithm needs three or more"
    if len(points) < 12 or np.unique(points.control).size < 3:
        return (
            Status.TOO_FEW_POINTS,
            f"{len(points)} points, at least 12 at 3 temperatures are needed",
        )
    return None


def search(points: Points, rng: np.random.Generator) -> Fit | None:
    """Search globally for a rough fit, from a space-filling design of starts."""
    from scipy.stats import qmc  # a third of a second to import, which readers of tables need not

    y = np.pi * points.value / (2 * points.control)
    some = points.take((y > NEAR[0]) & (y < NEAR[1]))
    if too_little(some):
        return None
    half = float(np.ptp(points.control)) / 2
    problem, form = Problem.of(some, half, ROUGH), Form()
    low, high = _limits(form.names(False), problem)
    low[1:], high[1:] = (0.05, -3.0, -0.5), (1.5, 0.0, 3.0)
    thetas = low + qmc.Sobol(low.size, rng=rng).random(SEARCH) * (high - low)
    costs = np.log1p(problem.residuals(thetas, form, False) ** 2).sum(axis=1)
    fits = [problem.solve(thetas[k], form, False) for k in np.argsort(costs)[:REFINED]]
    return min(fits, key=lambda fit: fit.chi2)


def described(guess: Fit, points: Points) -> NDArray[np.bool_]:
    """Select points that the flow can describe, by the guess and not by their noise."""
    problem = Problem.of(points, guess.problem.half)
    shift = problem.log_sizes - guess.problem.log_sizes[0]
    # The guess starts at its own smallest size; sizes below it are taken as that one.
    first = guess.problem.log_sizes[0]
    problem = replace(problem, log_sizes=first + np.maximum(shift, 0.0))
    expected = problem.expected(guess.theta[None], guess.form, False)[0]
    return np.asarray(expected > 1 + DEEPEST / 2)


@dataclass(frozen=True, eq=False)
class Model:
    """A fit to the `share` of points nearest to T_KT; `cut` points are left out."""

    fit: Fit
    points: Points
    cut: int
    share: float

    @property
    def score(self) -> float:
        """chi^2 + 2 n_cut: corrections, which always exist, cost nothing."""
        return self.fit.chi2 + 2 * self.cut

    @property
    def settled(self) -> bool:
        """Whether the descent ended at a minimum."""
        return self.fit.settled

    @property
    def charged(self) -> float:
        """Score with 2 k for all parameters, for comparison with another kind of model."""
        return self.score + 2 * self.fit.theta.size


def scan(points: Points, guess: Fit, jump: bool) -> list[Model]:
    """Fit all models whose weight is not negligible."""
    distance = np.abs(points.control - guess.of("t_kt")[0])
    start = dict(zip(guess.form.names(False), guess.theta, strict=True)) | {"jump": 1.0}
    out: list[Model] = []
    best = np.inf
    sizes = np.unique(points.size)
    for smallest, share in itertools.product(sizes[: max(1, min(sizes.size - 2, 4))], SHARES):
        reach = np.quantile(distance, share)
        selected = points.take((points.size >= smallest) & (distance <= reach * (1 + 1e-9)))
        if too_little(selected):
            continue
        problem, cut = Problem.of(selected, guess.problem.half), len(points) - len(selected)
        begin = start
        for form in FORMS:
            names = form.names(jump)
            dof = len(selected) - len(names)
            least = dof - 3 * np.sqrt(2 * max(dof, 0)) + 2 * cut
            if dof < max(3, len(selected) // 10) or least > best + NEGLIGIBLE:
                continue
            fit = problem.solve(np.array([begin.get(n, 0.0) for n in names]), form, jump)
            if not (form.quadratic or form.correction):
                begin = start | dict(zip(names, fit.theta, strict=True))
            out.append(Model(fit, selected, cut, share))
            best = min(best, out[-1].score)
    return out


def smooth_score(points: Points, guess: Fit) -> float:
    """Score chi^2 + 2 k of the best smooth stiffness without a jump, y = P(T) + Q(T) L^-w.

    At and below T_KT a flow is similar; above T_KT, where y falls ever more steeply with the size,
    it is not.
    """
    problem = Problem.of(points, guess.problem.half)
    t = (points.control - guess.of("t_kt")[0]) / guess.problem.half
    value, scores = problem.whiten @ problem.y, []
    for order, power in itertools.product(SMOOTH_ORDERS, SMOOTH_POWERS):
        in_t = np.polynomial.chebyshev.chebvander(t, order)
        small = (points.size / points.size.min())[:, None] ** -power
        design = problem.whiten @ np.hstack([in_t, small * in_t])
        off = value - design @ np.linalg.lstsq(design, value, rcond=1e-12)[0]
        scores.append(float(off @ off) + 2 * design.shape[1])
    return float(min(scores))


def constant_of(fit: Fit, largest: float) -> tuple[float, float]:
    """c of 1 + 1 / (2 ln L + c) at T_KT and the largest size, with its variance."""
    names, h = fit.form.names(fit.free_jump), 1e-4
    trial = np.tile(fit.theta, (2, 1))
    trial[:, names.index("v")] += [-h, h]
    at = np.concatenate([fit.problem.log_sizes, [np.log(largest)]])
    problem = replace(fit.problem, log_sizes=np.unique(at))
    v = problem.running(trial, fit.form, fit.free_jump, fit.theta[:1])[-1, :, 0]
    down, up = 2 / v - 2 * np.log(largest)
    slope = (up - down) / (2 * h)
    return float((up + down) / 2), float(slope**2 * fit.of("v")[1])
