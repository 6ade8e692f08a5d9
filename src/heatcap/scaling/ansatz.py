"""Scaling ansatz: how size and control combine into one variable X.

    A(L, x) = L^exponent K(L) (1 + b t) (1 + a L^-omega) f(X + s L^-omega),    t = (x - x_c) / x_s

with x_s the half-width of the control's range.  The scaling variable is

    second order             X = t (1 + c t) L^(1/nu)
    first order              X = t (1 + c t) L^d                   d the dimension, held at 2
    Kosterlitz-Thouless      X = t (1 + c t) (ln L/L0)^2           (ln L/L0)^(1/sigma), sigma = 1/2

f is a spline.  a and s are corrections to scaling: the general one is f(X) + L^-omega g(X), and
they are the parts of g proportional to f and to its derivative; without s, curves of different
sizes could not cross away from x_c.  b and c are analytic corrections: a prefactor that is not
constant, and a scaling field that is not linear in the control (Pelissetto and Vicari, Phys. Rep.
368 (2002) 549, section 1; what was checked: docs/references.md).  Without them a wide window
biases the exponents while chi^2 stays good.  K(L) is given by theory, such as a power of ln L, and
1 by default.

`second_order`, `first_order` and `kosterlitz_thouless` are the three forms, by name in `ANSATZE`;
`with_logarithms` and `with_crossover` modify one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from heatcap.core.arrays import Floats

__all__ = [
    "ANSATZE",
    "LENGTH",
    "START",
    "Ansatz",
    "first_order",
    "in_unit",
    "kosterlitz_thouless",
    "second_order",
    "with_crossover",
    "with_logarithms",
]

LENGTH = "log_l0"  # the parameter that is a length
START = 1 / 16  # of the smallest size: about 1 on lattices
Stretch = Callable[[Floats, float], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Ansatz:
    """A scaling variable X = t (1 + c t) S(L; y) with one shape parameter y.

    Attributes
    ----------
    name : str
    parameter : str
        Name of y.
    bounds : tuple of float
        Range of the search for y; that of ln L0 is for lattices from 16 on (:func:`in_unit`).
    stretch : callable (ln L, y) -> (ln S, d ln S / d y)
        Up to a constant: the fit uses it relative to the mean ln L.
    amplitude : callable ln L -> ln K, optional
        A known factor of A that depends on the size.
    held : float, optional
        Value of y where theory fixes it, unless the user gives another.
    """

    name: str
    parameter: str
    bounds: tuple[float, float]
    stretch: Stretch
    amplitude: Callable[[Floats], Floats] | None = None
    held: float | None = None


def with_logarithms(
    form: Ansatz, *, amplitude: float = 0.0, stretch: float = 0.0, length: float = 1.0
) -> Ansatz:
    """Add given powers of a logarithm to an ansatz.

        A = L^e l^p f(t S(L) l^q),    l = ln(L / L0)

    For marginal cases with powers from theory: the upper critical dimension, or the four-state
    Potts model.  Neither p = `amplitude` nor q = `stretch` is fitted: over the sizes of any
    experiment a power of a logarithm is indistinguishable from a small power.  L0 = `length`, in
    the unit of the sizes, is 1 on a lattice.

    Raises
    ------
    ValueError
        During the fit, if a size is L0 or less.
    """

    start = float(np.log(length))

    def stretched(log_size: Floats, y: float) -> tuple[Floats, Floats]:
        log, slope = form.stretch(log_size, y)
        return log + stretch * _log(log_size - start), slope

    def factor(log_size: Floats) -> Floats:
        log_amplitude = form.amplitude(log_size) if form.amplitude else np.zeros_like(log_size)
        return np.asarray(log_amplitude + amplitude * _log(log_size - start))

    name = f"{form.name} with logarithms"
    return Ansatz(name, form.parameter, form.bounds, stretched, factor, form.held)


def with_crossover(form: Ansatz, length: float, *, sharpness: float = 2.0) -> Ansatz:
    """Cut off the stretch of an ansatz at a length xi.

    In the stretch L is replaced by l = L (1 + (L/xi)^m)^(-1/m), with m = `sharpness`: l is L far
    below xi = `length`, 2^(-1/m) L at xi, and xi far above.
    """
    log_length = float(np.log(length))

    def stretched(log_size: Floats, y: float) -> tuple[Floats, Floats]:
        # logaddexp: ln(1 + (L/xi)^m) without overflow.
        cut = np.logaddexp(0.0, sharpness * (log_size - log_length)) / sharpness
        return form.stretch(log_size - cut, y)

    return replace(form, name=f"{form.name} with a crossover", stretch=stretched)


def in_unit(form: Ansatz, smallest: float) -> Ansatz:
    """Shift the bounds of a length to the unit of the sizes; other forms are unchanged."""
    if form.parameter != LENGTH:
        return form
    low, high = form.bounds
    shift = float(np.log(START * smallest))
    return replace(form, bounds=(low + shift, high + shift))


def _log(log_size: Floats) -> Floats:
    if np.any(log_size <= 0):
        raise ValueError(
            f"logarithmic corrections need sizes above L0, got {np.exp(log_size.min()):g} L0"
        )
    return np.log(log_size)


def _power(log_size: Floats, y: float) -> tuple[Floats, Floats]:
    return y * log_size, log_size


def _logarithm(log_size: Floats, y: float) -> tuple[Floats, Floats]:
    log = np.maximum(log_size - y, 1e-3)
    return 2 * np.log(log), -2 / log


second_order = Ansatz("second-order", "inverse_nu", (0.1, 4.0), _power)
first_order = Ansatz("first-order", "dimension", (1.0, 6.0), _power, held=2.0)
kosterlitz_thouless = Ansatz("kosterlitz-thouless", LENGTH, (-6.0, 1.5), _logarithm)
ANSATZE = {a.name: a for a in (second_order, first_order, kosterlitz_thouless)}
