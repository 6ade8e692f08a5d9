"""The most that any honest verdict can decide: how near the closest function of a wrong class is.

A set of classes that keeps a function 95 times in 100 excludes it, where another is true, at most
Phi(sqrt(chi2) - 1.645) of the time (Neyman and Pearson, one-sided); chi2 is the distance of the
two without noise.  The closest wrong function is sought with a continuous optimiser of its own,
which shares nothing with the verdict, among

    c + a g(l),  l = L (1 + (L / xi)^m)^(-1/m),  g = (l^kappa - 1) / kappa,  m from 1/2 to 4

(bounded: kappa < 0 or xi <= L_max, with a limit within R; growths: xi > L_max, or a limit beyond
R), stretched exponentials 1 - exp(-(L / xi)^s), s from 0.3 to 3, onsets ln(1 + L / L_0), and with
corrections b (L / L_min)^-omega of up to 0.3 of the growth, omega from 1 to 2, that cost nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm

from divergence_truths import EFFECT, Floats, R, cut, grown

__all__ = ["FAMILIES", "Closest", "ceiling", "closest_wrong"]

FAMILIES = ("cut-offs", "stretched too", "corrections too")  # each has those before it
CORRECTION = 0.3
CUT = ("kappa", "ln xi", "lb m")
PLAIN = {"ln ": np.exp, "lb ": np.exp2}
STARTS = 6


@dataclass(frozen=True)
class Closest:
    """The nearest function of a wrong class."""

    chi2: float
    name: str
    heights: Floats = field(repr=False)
    parameters: Mapping[str, float] = field(default_factory=dict)  # lengths in units of L_max

    def said(self) -> str:
        """The form with its parameters."""
        own = ", ".join(f"{name} {x:.2g}" for name, x in self.parameters.items())
        return f"{self.name}: {own}" if own else self.name


@dataclass(frozen=True)
class Form:
    """Shapes by parameters: at the sizes, and the limit; where the search starts and ends."""

    name: str
    parameters: tuple[str, ...]  # lengths and sharpness as logarithms
    bounded: bool  # the limit must lie within R; else beyond it, or the crossover beyond L_max
    shape: Callable[..., Floats]
    limit: Callable[..., float]
    grid: tuple[tuple[float, ...], ...]
    box: tuple[tuple[float, float], ...]


def ceiling(chi2: float) -> float:
    """Largest power at a coverage of 95 %."""
    return float(norm.cdf(np.sqrt(chi2) - norm.ppf(0.95)))


def closest_wrong(
    sizes: Floats, heights: Floats, errors: Floats, kind: str, family: str
) -> Closest:
    """The nearest function of a class that is not that of the heights.

    For heights that diverge these are the flat and the bounded ones: logarithm and power law
    together are an answer.
    """
    found = [_flat(heights, errors)]
    corrected = family == FAMILIES[2]
    for form in _forms(sizes, kind in ("bounded", "flat"), family != FAMILIES[0]):
        found.append(_nearest(form, sizes, heights, errors, False))
        if corrected:
            found.append(_nearest(form, sizes, heights, errors, True))
    return min(found, key=lambda each: each.chi2)


def _flat(h: Floats, errors: Floats) -> Closest:
    """Of any function that changes by less than the least effect."""
    width = EFFECT * h.max()
    lows = np.linspace(h.min(), h.max() - width, 400)[:, np.newaxis]
    flat = np.clip(h, lows, lows + width)
    chi2 = np.sum(((h - flat) / errors) ** 2, axis=1)
    best = int(np.argmin(chi2))
    return Closest(float(chi2[best]), "flat", flat[best])


def _forms(sizes: Floats, growths: bool, stretched: bool) -> Iterator[Form]:
    """The wrong ones: growths where the truth is bounded, else those with a limit."""
    last, sharp = sizes.max(), (-1.0, 0.0, 1.0, 2.0)
    nearest = float(np.log(2 * sizes.min() / last))

    def cut_shape(L: Floats, kappa: float, u: float, m: float) -> Floats:
        return grown(cut(L, last * np.exp(u), 2**m) / last, kappa)

    def cut_limit(kappa: float, u: float, m: float) -> float:  # noqa: ARG001
        return float(grown(np.array([np.exp(u)]), kappa)[0])

    def power(L: Floats, kappa: float) -> Floats:
        return grown(L / last, kappa)

    if growths:
        steps = (0.0, 0.1, 0.3, 0.6, 1.0)
        box = ((0.0, 3.0), (0.0, 12.0), (-1.0, 2.0))
        yield Form(
            "cut off beyond", CUT, False, cut_shape, cut_limit, (steps, (0.0, 1.0, 4.0), sharp), box
        )
        yield Form("power", ("kappa",), False, power, lambda kappa: np.inf, (steps,), ((0.0, 3.0),))  # noqa: ARG005
        yield Form(
            "slow saturation",
            ("kappa",),
            False,
            power,
            lambda kappa: -1 / kappa,
            ((-0.05, -0.2, -0.5, -1.0),),
            ((-4.0, -1e-3),),
        )
        yield Form(
            "onset",
            ("ln L_0",),
            False,
            lambda L, u: np.log1p(L / last * np.exp(-u)),
            lambda u: np.inf,  # noqa: ARG005
            ((-6.0, -3.0, -1.0, 0.0),),
            ((-12.0, 3.0),),
        )
        return
    kappas = (-1.5, -0.7, -0.3, 0.0, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0)
    lengths = tuple(np.linspace(nearest, 0.0, 5))
    box = ((-4.0, 4.0), (nearest, 0.0), (-1.0, 2.0))
    yield Form("cut off", CUT, True, cut_shape, cut_limit, (kappas, lengths, sharp), box)
    slow = (-0.05, -0.1, -0.2, -0.4, -0.7, -1.0, -2.0)
    yield Form(
        "saturation", ("kappa",), True, power, lambda kappa: -1 / kappa, (slow,), ((-4.0, -1e-3),)
    )
    if stretched:
        yield Form(
            "stretched",
            ("ln xi", "s"),
            True,
            lambda L, u, s: -np.expm1(-((L / last * np.exp(-u)) ** s)),
            lambda u, s: 1.0,  # noqa: ARG005
            (lengths, (0.3, 0.5, 0.8, 1.2, 2.0)),
            ((nearest, 0.0), (0.3, 3.0)),
        )


def _nearest(form: Form, sizes: Floats, h: Floats, errors: Floats, corrected: bool) -> Closest:
    """Best of several descents, from the best points of a grid."""
    steps, box = form.grid, form.box
    if corrected:
        steps = (*steps, (-CORRECTION, -0.1, 0.1, CORRECTION), (1.0, 2.0))
        box = (*box, (-CORRECTION, CORRECTION), (1.0, 2.0))
    low, high = np.array(box).T

    def chi2(p: Floats) -> float:
        inside = np.clip(p, low, high)
        off = (h - _fitted(form, sizes, h, errors, inside, corrected)) / errors
        return float(np.sum(off**2)) + 10 * float(np.sum(abs(p - inside)))

    grid = sorted(itertools.product(*steps), key=lambda p: chi2(np.array(p)))
    best = min(
        (
            minimize(
                chi2,
                np.array(start),
                method="Nelder-Mead",
                options={"xatol": 1e-4, "fatol": 1e-4, "maxiter": 600, "adaptive": True},
            )
            for start in grid[:STARTS]
        ),
        key=lambda each: each.fun,
    )
    names = (*form.parameters, "b", "omega") if corrected else form.parameters
    end = np.clip(best.x, low, high)
    found = dict(_plain(*each) for each in zip(names, end.tolist(), strict=True))
    curve = _fitted(form, sizes, h, errors, end, corrected)
    return Closest(float(best.fun), form.name, curve, found)


def _plain(name: str, value: float) -> tuple[str, float]:
    """Without its logarithm."""
    undo = PLAIN.get(name[:3])
    return (name[3:], float(undo(value))) if undo else (name, value)


def _fitted(
    form: Form, sizes: Floats, h: Floats, errors: Floats, p: Floats, corrected: bool
) -> Floats:
    """With the best background and amplitude, with the limit where the class wants it."""
    own = p[:-2] if corrected else p
    shape, limit = form.shape(sizes, *own), form.limit(*own)
    ends = form.shape(np.array([sizes.min(), sizes.max()]), *own)
    span = float(ends[1] - ends[0])
    if not span > 1e-12:
        return np.full_like(h, 1e9)
    shape, limit = (shape - ends[0]) / span, (limit - float(ends[0])) / span
    if corrected:
        shape = shape + p[-2] * (sizes / sizes.min()) ** -p[-1]
    w = 1 / errors
    a = float(np.polynomial.polynomial.polyfit(shape, h, 1, w=w)[1])
    c = float(np.average(h - a * shape, weights=w**2))
    top = R * h.max()
    inside = c + a * limit <= top
    if np.isfinite(limit) and inside != form.bounded and form.name != "cut off beyond":
        # On the border: c + a limit = top.
        lever = shape - limit
        a = float(np.sum(w**2 * lever * (h - top)) / np.sum(w**2 * lever**2))
        c = top - a * limit
    least = EFFECT * h.max()
    if a < least:  # a growth that cannot be told from flat is no growth
        a = least
        c = float(np.average(h - a * shape, weights=w**2))
    return np.asarray(c + a * shape)
