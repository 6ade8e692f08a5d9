"""Heights whose class is known, and sizes at which they are measured: what the battery draws.

The class of a truth at a design follows the definitions of the verdict, by this rule:

* flat: the heights change by less than 5 % of the largest over the sizes;
* what has no limit is its growth, logarithmic or power-law, by its asymptotic exponent (0, or 0.15
  and above);
* what saturates has a crossover length xi: where its early growth, continued, would reach the
  limit (the xi of the fitted family, whatever the sharpness; 0 where it approaches the limit from
  the first size on).  With xi up to the largest size L_max and a limit up to R = 2 times the
  largest height it is bounded; with xi above L_max it counts as its early growth; with a limit
  beyond R it is logarithmic ("no limit in sight").

Left out, as no class is right within the errors: changes of 4 to 6.5 %, limits of 1.85 to 2.2
times the largest height, exponents between 0 and 0.15, xi of 1 to 1.5 L_max where the form of the
cut-off is not that of the family.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import erf

from heatcap.systems import CurieWeiss, Ising1D, Ising2DExact, TwoLevel

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]

DESIGNS: dict[str, Floats] = {
    "10 primes": np.array([19, 23, 29, 37, 43, 59, 73, 83, 97, 113.0]),
    "8-256": np.exp2(np.arange(3.0, 9.0)),
    "15 sizes": np.array([8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024.0]),
    "32-8192": np.exp2(np.arange(5.0, 14.0)),
    "dense 4-64": np.arange(4.0, 65.0),
    "16 of 4-64": np.unique(np.round(np.geomspace(4, 64, 18))),
    "20 over 3 decades": np.round(np.geomspace(10, 1e4, 20)),
    "millions": 1e6 * np.exp2(np.arange(9.0)),
}
R = 2.0  # of the verdict's margins, as its least effect
EFFECT = 0.05
GROWTHS = ("logarithmic", "power-law")


@dataclass(frozen=True)
class Truth:
    """Heights against size with what is known of them.

    Attributes
    ----------
    heights : callable
    growth : str
        "logarithmic" or "power-law", of what has no limit or before a cut-off; empty for what
        approaches its limit from the first size on.
    limit : float
    crossover : float
        xi: where the early growth, continued, would reach the limit; 0 if there is none.
    known : bool
        Whether the fitted family has this function, on or off its grid.
    kappa : float
        Asymptotic exponent; NaN where it is not an exponent that a verdict states.
    name : str
        With the parameters that were drawn.
    kind : str
        Class, of a truth that is made to have one.
    """

    heights: Function
    growth: str = ""
    limit: float = np.inf
    crossover: float = 0.0
    known: bool = False
    kappa: float = np.nan
    name: str = ""
    kind: str = ""


def class_of(truth: Truth, sizes: Floats) -> str:
    """Its class at these sizes; empty where none is right."""
    if truth.kind:
        return truth.kind
    h = truth.heights(sizes)
    change, ratio, xi = np.ptp(h) / h.max(), truth.limit / h.max(), truth.crossover / sizes.max()
    if change < 0.8 * EFFECT:
        return "flat"
    if change < 1.3 * EFFECT:
        return ""
    if np.isinf(ratio) or (xi > 1 and truth.known) or xi > 1.5:
        return truth.growth
    if xi > 1 or 0.925 * R < ratio < 1.1 * R:
        return ""
    return "bounded" if ratio < R else "logarithmic"


def grown(ell: Floats, kappa: float) -> Floats:
    """(ell^kappa - 1) / kappa, ln ell at 0."""
    return np.asarray(np.log(ell) if kappa == 0 else np.expm1(kappa * np.log(ell)) / kappa)


def cut(L: Floats, xi: float, m: float) -> Floats:
    """L (1 + (L / xi)^m)^(-1/m)."""
    return np.asarray(L * np.exp(-np.log1p((L / xi) ** m) / m))


def cut_off(
    sizes: Floats,
    kappa: float,
    xi: float = np.inf,
    m: float = 2.0,
    *,
    share: float = 0.7,
    b: float = 0.0,
    omega: float = 1.0,
) -> Truth:
    """Power, cut off or not: `share` of the largest height is growth, b of that a correction."""
    unit, least = sizes.max(), sizes.min()

    def raw(L: Floats) -> Floats:
        return grown(cut(L, xi, m) / unit, kappa)

    low, high = raw(np.array([least, unit])).tolist()
    span = high - low

    def heights(L: Floats) -> Floats:
        return np.asarray(1 - share + share * ((raw(L) - low) / span + b * (L / least) ** -omega))

    saturates = np.isfinite(xi) or kappa < 0
    top = min(xi, 1e300) / unit
    end = float(grown(np.array([top]), kappa)[0]) if np.isfinite(xi) else -1 / min(kappa, -1e-9)
    name = f"kappa {kappa:.2f}" if kappa else "ln"
    name += f", xi {xi / unit:.2g} L_max, m {m:.2g}" if np.isfinite(xi) else ""
    name += f", corr {b:+.2f} w {omega:.1f}" if b else ""
    return Truth(
        heights,
        "" if kappa < 0 else "logarithmic" if kappa < 0.1 else "power-law",
        1 - share + share * (end - low) / span if saturates else np.inf,
        float(xi) if np.isfinite(xi) and kappa >= 0 else 0.0,
        not (np.isfinite(xi) and b),  # the family corrects cut-offs at omega 1 and 2 alone
        np.nan if np.isfinite(xi) else float(kappa),
        name,
    )


# (a) Off the grid: members of the family, and cut-offs with corrections of an omega, or a length,
# with which it has none.


def drawn_family(kind: str, sizes: Floats, rng: np.random.Generator) -> Truth:
    """With a background and, in half of the draws, a correction."""
    share = rng.uniform(0.35, 0.9)
    b = rng.choice([0.0, rng.uniform(-0.15, 0.15)])
    omega, m = rng.uniform(1.0, 2.0), 2 ** rng.uniform(-1, 2)
    inside = sizes.max() * np.exp(rng.uniform(np.log(0.15), 0.0))
    kappa, xi = {
        "saturation": (-rng.uniform(0.4, 1.6), np.inf),
        "slow saturation": (-rng.uniform(0.02, 0.08), np.inf),
        "cut-off logarithm": (0.0, inside),
        "cut-off power": (rng.uniform(0.2, 1.2), inside),
        "logarithm": (0.0, np.inf),
        "power": (rng.uniform(0.18, 1.2), np.inf),
        "cut off beyond": (rng.uniform(0.25, 1.2), sizes.max() * rng.uniform(1.5, 6)),
    }[kind]
    return cut_off(sizes, kappa, xi, m, share=share, b=b, omega=omega)


FAMILY = {  # with the class that is wanted
    "saturation": "bounded",
    "cut-off logarithm": "bounded",
    "cut-off power": "bounded",
    "logarithm": "logarithmic",
    "power": "power-law",
    "slow saturation": "logarithmic",
    "cut off beyond": "power-law",
}


# (b) Random smooth local exponents d ln h / d ln L with a known end.


def wiggle(span: float, rng: np.random.Generator) -> Function:
    """A smooth random function of x = ln(L / L_min) that dies out: a correction of any form."""
    rate = 1 / (span * rng.uniform(0.15, 0.35))
    wave, phase = rng.uniform(0.3, 3.0, 3) / span * np.pi, rng.uniform(0, 2 * np.pi, 3)
    weight = rng.normal(size=3)

    def raw(x: Floats) -> Floats:
        return np.asarray(np.exp(-rate * x) * (np.cos(wave * x[..., np.newaxis] + phase) @ weight))

    size = rng.uniform(0.01, 0.06) / np.abs(raw(np.linspace(0, 2 * span, 400))).max()
    return lambda x: size * raw(x)


def drawn_exponent(kind: str, sizes: Floats, rng: np.random.Generator) -> Truth:
    """ln h = integral of a local exponent that ends at gamma, at 0 integrably, or as q / ln L."""
    least, span = sizes.min(), float(np.log(sizes.max() / sizes.min()))
    extra = wiggle(span, rng)

    def corrected(h: Function) -> Function:
        return lambda L: h(L) * np.exp(extra(np.log(L / least)))

    if kind == "power-law":
        gamma = float(rng.uniform(0.15, 1.0))
        heights, name = corrected(lambda L: (L / least) ** gamma), f"gamma -> {gamma:.2f}"
        return Truth(heights, kind, kappa=gamma, name=name)
    if kind == "logarithmic":
        q, onset = rng.uniform(0.5, 2.5), rng.uniform(0.05, 0.5)
        heights = corrected(lambda L: np.log(L / least / onset) ** q)
        return Truth(heights, kind, name=f"gamma ~ {q:.2f} / ln(L/{onset:.2f} L_min)")
    gamma, middle = rng.uniform(0.15, 1.0), float(rng.uniform(0.3, 0.95)) * span
    name = str(rng.choice(["Gaussian", "exponential", "logistic", "sech^2"]))
    integral, total = _ending(name, middle)
    return Truth(
        corrected(lambda L: np.exp(gamma * integral(np.log(L / least)))),
        "power-law",
        float(np.exp(gamma * total)),
        least * float(np.exp(total)),
        name=f"gamma {gamma:.2f} -> 0, {name} at {middle / span:.2f}",
    )


def _ending(name: str, c: float) -> tuple[Function, float]:
    """Integral over x of an exponent that falls from 1 to 0 about c, and its end."""

    def gaussian(x: Floats) -> Floats:
        return np.asarray(c * erf(x * np.sqrt(np.pi) / 2 / c))

    def exponential(x: Floats) -> Floats:
        return np.asarray(-c * np.expm1(-x / c))

    def logistic(x: Floats) -> Floats:
        return np.asarray(x - w * np.logaddexp(0, (x - c) / w) + w * np.logaddexp(0, -c / w))

    def sech2(x: Floats) -> Floats:
        return np.asarray(c * np.tanh(x / c))

    w = c / 4
    forms = {
        "Gaussian": (gaussian, c),
        "exponential": (exponential, c),
        "logistic": (logistic, c + w * float(np.logaddexp(0, -c / w))),
        "sech^2": (sech2, c),
    }
    return forms[name]


EXPONENTS = ("bounded", "logarithmic", "power-law")


# (c) Exact systems.


def each(height: Callable[[int], float]) -> Function:
    """A function of one integer size, computed once for each."""
    stored = functools.cache(height)
    return lambda sizes: np.array([stored(int(L)) for L in sizes])


@functools.cache
def _chi(size: int, t: float) -> float:
    return float(CurieWeiss().columns(size, np.array([t]))["susceptibility"][0])


@functools.cache
def chi_peak(size: int) -> float:
    """The largest susceptibility of the Curie-Weiss magnet over the temperature."""
    found = minimize_scalar(
        lambda t: -_chi(size, float(t)),
        bounds=(0.3, 1.5),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return -float(found.fun)


WARM = 1.04  # temperature above that of the transition: chi ~ N^(1/2) up to N ~ 0.04^-2
CHI_END = (1 - 2 / np.pi) / (WARM - 1)  # N (<m^2> - <|m|>^2) / T, m Gaussian of variance T / N(T-1)
NEAR = 0.98  # K / K_c of the square Ising model: a logarithm up to L ~ 1 / (4 * 0.02 K_c)


@functools.cache
def _warm_end() -> tuple[float, float]:
    """Limit of C of the square Ising model off its transition, and where the logarithm meets it."""
    model = Ising2DExact()

    def at(size: int, ratio: float) -> float:
        k = np.array([ratio * model.critical_point])
        return float(model.columns(size, k)["heat_capacity"][0])

    limit = at(512, NEAR)
    slope = (at(64, 1.0) - at(32, 1.0)) / np.log(2)
    return limit, 64 * float(np.exp((limit - at(64, 1.0)) / slope))


def _ising_near(size: int) -> float:
    model = Ising2DExact()
    k = np.array([NEAR * model.critical_point])
    return float(model.columns(size, k)["heat_capacity"][0])


def exact(name: str) -> Truth:
    """One of the solvable systems."""
    return replace(_exact(name), name="exact")


def _exact(name: str) -> Truth:
    if name == "mean-field C":
        return Truth(each(lambda n: CurieWeiss().maximum(n)[1]), "", 1.657)
    if name == "mean-field chi":
        return Truth(each(chi_peak), "power-law", kappa=0.5)
    if name == "mean-field chi at 1.04 T_c":
        met = 100 * (CHI_END / _chi(100, 1.0)) ** 2
        return Truth(each(lambda n: _chi(n, WARM)), "power-law", CHI_END, met)
    if name == "Ising ring C":
        return Truth(each(lambda n: Ising1D().maximum(n)[1]), "", 0.4392)
    if name == "square Ising C":
        return Truth(each(lambda n: Ising2DExact().maximum(n)[1]), "logarithmic")
    if name == "square Ising C at 0.98 K_c":
        return Truth(each(_ising_near), "logarithmic", *_warm_end())
    if name == "attention row":  # of L keys: the family has it
        return Truth(each(lambda n: TwoLevel().maximum(n)[1]), "logarithmic", known=True)
    raise ValueError(name)


# (d) Forms that the family does not have, but for those marked as known; x = L / xi.


ROOT = np.sqrt(np.pi)
SATURATING: dict[str, Truth] = {
    "1 + x^2/(1+x^2)": Truth(lambda x: 1 + x**2 / (1 + x**2), "power-law", 2, 1, True),
    "1 + tanh x": Truth(lambda x: 1 + np.tanh(x), "power-law", 2, 1),
    "Gompertz": Truth(lambda x: 1 + np.exp(-3 * np.exp(-2 * x)), "power-law", 2, 1),
    "1 + arctan x": Truth(lambda x: 1 + np.arctan(x), "power-law", 1 + np.pi / 2, np.pi / 2),
    "1 + erf x": Truth(lambda x: 1 + np.asarray(erf(x)), "power-law", 2, ROOT / 2),
    "1.5 - exp(-x)": Truth(lambda x: 1.5 - np.exp(-x), "power-law", 1.5, 1, True),
    "1.5 - exp(-x^0.63)": Truth(lambda x: 1.5 - np.exp(-(x**0.63)), "power-law", 1.5, 1, True),
    "Pade (2+3x+2x^2)/(2+x+x^2)": Truth(
        lambda x: (2 + 3 * x + 2 * x**2) / (2 + x + x**2), "power-law", 2, 1
    ),
    "Langevin 0.5 + coth x - 1/x": Truth(
        lambda x: 0.5 + np.where(x < 1e-4, x / 3, 1 / np.tanh(np.maximum(x, 1e-5)) - 1 / x),
        "power-law",
        1.5,
        3,
    ),
    "1 - ln(1+x)/x": Truth(lambda x: 1 - np.log1p(x) / x, "power-law", 1, 2),
    "two stages": Truth(
        lambda x: 0.5 + 0.5 * 9 * x / (1 + 9 * x) + 0.5 * np.tanh(x), "power-law", 1.5, 1
    ),
    "ln tanh x": Truth(lambda x: 8 + np.log(np.tanh(x)), "logarithmic", 8, 1),
    "ln x - ln(1+x^2)/2": Truth(
        lambda x: 8 + np.log(x) - np.log1p(x**2) / 2, "logarithmic", 8, 1, True
    ),
    "1 + x^0.4 (1+x^1.3)^(-0.4/1.3)": Truth(
        lambda x: 1 + x**0.4 * (1 + x**1.3) ** (-0.4 / 1.3), "power-law", 2, 1, True
    ),
    "(1 - exp(-x))^0.4": Truth(lambda x: (-np.expm1(-x)) ** 0.4, "power-law", 1, 1),
    "0.5 + erf(x)^0.6": Truth(
        lambda x: 0.5 + np.asarray(erf(x)) ** 0.6, "power-law", 1.5, ROOT / 2
    ),
    "broken power (1+x^-2)^-0.15": Truth(
        lambda x: 0.3 + (1 + x**-2.0) ** -0.15, "power-law", 1.3, 1, True
    ),
}


def saturating(name: str, sizes: Floats, at: float) -> Truth:
    """With its crossover at a share of the largest size."""
    form = SATURATING[name]
    xi = at * sizes.max() / form.crossover
    return replace(
        form,
        name=f"xi {at:.2g} L_max",
        heights=lambda L: form.heights(L / xi),
        crossover=at * sizes.max(),
    )


# Without a limit; x = L / L_max.
GROWING: dict[str, Truth] = {
    "1 + ln(1 + x/0.3)": Truth(lambda x: 1 + np.log1p(x / 0.3), "logarithmic", known=True),
    "1 + arsinh(10 x)": Truth(lambda x: 1 + np.arcsinh(10 * x), "logarithmic"),
    "1 + ln ln L": Truth(lambda L: 1 + np.log(np.log(L)), "logarithmic", known=True),
    "(ln L)^0.6": Truth(lambda L: np.log(L) ** 0.6, "logarithmic", known=True),
    "1 + 0.2 (ln L)^2.3": Truth(lambda L: 1 + 0.2 * np.log(L) ** 2.3, "logarithmic", known=True),
    "ln L + ln ln L": Truth(lambda L: np.log(L) + np.log(np.log(L)), "logarithmic"),
    "ln L ln ln L": Truth(lambda L: 1 + np.log(L) * np.log(np.log(L)), "logarithmic"),
    "1 + ln(1 + L^0.5)": Truth(lambda L: 1 + np.log1p(L**0.5), "logarithmic"),
    "L^0.4 ln L": Truth(lambda L: L**0.4 * np.log(L), "power-law"),
    "L / ln L": Truth(lambda L: L / np.log(L), "power-law"),
    "L^0.5 (ln L)^-0.25": Truth(lambda L: L**0.5 * np.log(L) ** -0.25, "power-law"),
    "L^0.5 log-periodic": Truth(
        lambda L: L**0.5 * (1 + 0.005 * np.cos(2 * np.pi * np.log2(L) / 1.7)), "power-law"
    ),
    "L^0.6 + L^0.2": Truth(lambda L: L**0.6 + L**0.2, "power-law"),
    "1 + L^0.3 (1 + L^-0.5)": Truth(lambda L: 1 + L**0.3 * (1 + L**-0.5), "power-law"),
    "x^0.4 to x^0.8": Truth(lambda x: x**0.4 * (1 + (4 * x) ** 2) ** 0.2, "power-law"),
    "0.3 + x^2": Truth(lambda x: 0.3 + x**2, "power-law", known=True),
}


def growing(name: str, sizes: Floats) -> Truth:
    """In units of the largest size where it is one of x."""
    form, unit = GROWING[name], sizes.max() if "x" in name else 1.0
    return replace(form, name="", heights=lambda L: form.heights(L / unit))


def seeded(seed: int, *what: object) -> np.random.Generator:
    """Random numbers that belong to a name: a cell alone draws what it draws among all."""
    return np.random.default_rng([seed, zlib.crc32("|".join(map(str, what)).encode())])
