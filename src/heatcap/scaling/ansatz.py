"""Forms of finite-size scaling: how size and control combine into one variable.

    A(L, x) = L^exponent K(L) (1 + b t) (1 + a L^-omega) f(X + s L^-omega),    t = (x - x_c) / x_s

with x_s the half-width of the control's range.  The scaling variable is

    second order             X = t (1 + c t) L^(1/nu)
    first order              X = t (1 + c t) L^d                   d the dimension, held at 2
    Kosterlitz-Thouless      X = t (1 + c t) (ln L/L0)^2           (ln L/L0)^(1/sigma), sigma = 1/2

f is a spline.  a and s are the corrections to scaling: the general one is f(X) + L^-omega g(X), and
they are the parts of g that look like f and like its derivative; without s, curves of different
sizes could not cross away from x_c.  b and c are the analytic corrections: a scaling field that is
not linear in the control, and a prefactor that is not constant (Pelissetto and Vicari, Phys. Rep.
368 (2002) 549, section 1; what was checked: docs/references.md).  Without them a wide window
biases the exponents without a bad chi^2.  K is known beforehand, such as a power of ln L, and 1
where nothing else is said.
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
        What y is called.
    bounds : tuple of float
        Where y is sought; of ln L0 on lattices of 16 and more (see :func:`in_unit`).
    stretch : callable (ln L, y) -> (ln S, d ln S / d y)
        Up to a constant: the fit takes it relative to the mean ln L.
    amplitude : callable ln L -> ln K, optional
        A factor of A that depends on the size in a known way.
    held : float, optional
        The value of y, unless the user fixes another, where theory leaves nothing to fit.
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
    """The same ansatz with powers of l = ln(L / L0): A = L^e l^p f(t S(L) l^q).

    For marginal cases whose powers theory gives: at the upper critical dimension, or the four-state
    Potts model.  Neither p = `amplitude` nor q = `stretch` is fitted: over the sizes of any
    experiment a power of a logarithm cannot be told from a small power.  L0 = `length`, in the unit
    of the sizes, is 1 on a lattice.

    Raises
    ------
    ValueError
        By the fit, if a size is L0 or less.
    """

    start = float(np.log(length))

    def stretched(log_size: Floats, y: float) -> tuple[Floats, Floats]:
        log, slope = form.stretch(log_size, y)
        return log + stretch * _log(log_size - start), slope

    def factor(log_size: Floats) -> Floats:
        own = form.amplitude(log_size) if form.amplitude else np.zeros_like(log_size)
        return np.asarray(own + amplitude * _log(log_size - start))

    name = f"{form.name} with logarithms"
    return Ansatz(name, form.parameter, form.bounds, stretched, factor, form.held)


def with_crossover(form: Ansatz, length: float, *, sharpness: float = 2.0) -> Ansatz:
    """The same ansatz cut off at a length xi: L becomes l = L (1 + (L/xi)^m)^(-1/m) in the stretch.

    At xi the size counts as 2^(-1/m) of itself, and far beyond as xi: m = `sharpness`.
    """
    log_length = float(np.log(length))

    def stretched(log_size: Floats, y: float) -> tuple[Floats, Floats]:
        # logaddexp is ln(1 + (L/xi)^m) at any size.
        cut = np.logaddexp(0.0, sharpness * (log_size - log_length)) / sharpness
        return form.stretch(log_size - cut, y)

    return replace(form, name=f"{form.name} with a crossover", stretch=stretched)


def in_unit(form: Ansatz, smallest: float) -> Ansatz:
    """The same ansatz, a length sought relative to the smallest size, in whatever unit."""
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
