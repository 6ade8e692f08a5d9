"""Exponential, logarithm and angle for numba kernels, in a form that LLVM vectorises.

Exponential and logarithm are branch-free, so that loops over them are vectorised without a vector
mathematics library.  These functions are compiled into the kernels that call them.
"""

from __future__ import annotations

import math

import numpy as np

from heatcap.core.jit import CONTRACT, jit

__all__ = ["LN2", "LOG2E", "LOWEST", "angle", "exp2", "exp2m1", "ln"]

LN2 = math.log(2.0)
LOG2E = 1.0 / LN2
_ROUND = 1.5 * 2.0**52  # adding it rounds to an integer and leaves that in the low bits
LOWEST = -1022.0  # 2**-1022, the smallest normal double; less probable keys count as p = 0


@jit(CONTRACT)
def _power_parts(y: float) -> tuple[float, float]:
    """2^y as (2^k, 2^r - 1), k the nearest integer and |r| <= 1/2; relative error 4e-14 of 2^r.

    The polynomial interpolates (2^r - 1)/r at Chebyshev nodes; made with mpmath, 40 digits.
    """
    t = y + _ROUND
    r = y - (t - _ROUND)
    p = 1.0203121063391729e-07
    p = p * r + 1.3255224878668817e-06
    p = p * r + 1.525268684626772e-05
    p = p * r + 0.00015403455852453838
    p = p * r + 0.0013333558179043112
    p = p * r + 0.009618129159402558
    p = p * r + 0.055504108664760424
    p = p * r + 0.2402265069581299
    p = p * r + 0.6931471805599453
    scale = np.int64((np.float64(t).view(np.int64) + 1023) << 52).view(np.float64)
    return scale, p * r


@jit(CONTRACT)
def exp2(y: float) -> float:
    """2^y for -1022 <= y <= 0; exactly 1 at 0."""
    scale, fraction = _power_parts(y)
    return scale * fraction + scale


@jit(CONTRACT)
def exp2m1(y: float) -> float:
    """2^y - 1 for -1022 <= y <= 0, accurate near 0."""
    scale, fraction = _power_parts(y)
    return scale * fraction + (scale - 1.0)


@jit(CONTRACT)
def ln(x: float) -> float:
    """ln x for finite x >= 1, after fdlibm's e_log.c but without branches; relative error 1e-15."""
    bits = np.float64(x).view(np.int64) + (0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
    exponent = np.float64((bits >> 52) - 1023)
    mantissa = np.int64((bits & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD).view(np.float64)
    f = mantissa - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 1.479819860511658591e-01
    p = p * z + 1.531383769920937332e-01
    p = p * z + 1.818357216161805012e-01
    p = p * z + 2.222219843214978396e-01
    p = p * z + 2.857142874366239149e-01
    p = p * z + 3.999999999940941908e-01
    p = p * z + 6.666666666666735130e-01
    half = 0.5 * f * f
    return exponent * LN2 + (f - (half - s * (half + p * z)))


@jit(CONTRACT)
def angle(square: float) -> float:
    """Geodesic distance 4 arcsin(c / 2) of two rows by the square of their chord, c^2 <= 2.

    The polynomial interpolates arcsin(x) / x in x^2 <= 1/2 at Chebyshev nodes; made with 60 digits;
    relative error 5e-15.
    """
    t = 0.25 * square
    p = 0.4506961623648314
    p = p * t - 1.31765094826782
    p = p * t + 1.851318110732128
    p = p * t - 1.560034226250262
    p = p * t + 0.8998613648486288
    p = p * t - 0.34939268545353547
    p = p * t + 0.11291573948991558
    p = p * t - 0.009982357841429139
    p = p * t + 0.01720225913966385
    p = p * t + 0.0170082049638628
    p = p * t + 0.02239732936987961
    p = p * t + 0.030380744182298736
    p = p * t + 0.044642891587955105
    p = p * t + 0.07499999948308628
    p = p * t + 0.16666666666972135
    p = p * t + 0.999999999999997
    return 2.0 * math.sqrt(square) * p
