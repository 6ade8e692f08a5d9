"""The test with what chi^2 says of the errors: for heights against size and for a peak alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.divergence.testing import Fitted, Plausible, Setup, plausible

__all__ = [
    "POOR",
    "check_options",
    "judged_by",
    "least_draws",
    "off",
    "realised",
    "scale_of",
    "unlikely",
]

ROUNDING = 1e-9  # chi^2 that is none
MISFIT = 0.05  # share of draws with a worse (or a better) chi^2: errors too small (too large)
POOR, SELDOM = 2.0, 0.01  # chi^2 over that of draws, and share of draws beyond: a poor fit
STANDS_OFF = 3.0  # errors from the best fit
PER_CENT = 20.0  # errors that are larger than they can be by more may be in per cent
AGAIN, SETTLED = 4, 0.2  # rounds of scaling the errors; change of ln errors that ends them
REPEATS, REPEATED = 40, 100  # sets of data for the realised level; draws of a test within


class Scalable(Protocol):
    """Data whose errors can be multiplied by a factor."""

    @property
    def known(self) -> bool: ...
    @property
    def errors(self) -> Floats: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    def scaled(self: D, factor: float) -> D: ...


D = TypeVar("D", bound=Scalable)
S = TypeVar("S", bound=Setup)


def check_options(level: float, draws: int) -> None:
    """Level and draws of a test.

    Raises
    ------
    ValueError
        If the level is not in [0.5, 1), or the draws are too few for it.
    """
    if not 0.5 <= level < 1:
        raise ValueError(f"level must be at least 0.5 and below 1, got {level}")
    if draws != int(draws):
        raise ValueError(f"draws must be a whole number, got {draws}")
    if draws < least_draws(level):
        raise ValueError(
            f"a level of {level} needs at least {least_draws(level)} draws, got {draws}"
        )


def least_draws(level: float) -> int:
    """Draws with which a p-value can fall below the level."""
    return int(np.ceil(5 / (1 - level)))


def judged_by(
    prepared: Callable[[D], S],
    data: D,
    values: Floats,
    rescale: bool,
    draws: int,
    rng: np.random.Generator,
    called: str,
) -> tuple[D, S, Plausible, list[str]]:
    """The test of data with the shapes that `prepared` makes from them, and what to warn of.

    Where errors are not known, or do not agree with chi^2 and the caller asks for it, the test is
    made again with others.
    """
    warnings = list(data.notes)
    setup = prepared(data)
    found = plausible(setup, values, draws=draws, rng=rng)
    worse = float(np.mean(found.drawn_chi2 >= found.best_chi2))
    better = float(np.mean(found.drawn_chi2 <= found.best_chi2))
    factor = scale_of(found)
    if data.known and worse < MISFIT:
        warnings.append(
            f"chi2 = {found.best_chi2:.1f} of the best fit is too large (p-value "
            f"{_share(worse, found)}): errors are too small by {factor:.2g}, or the "
            f"{called} have structure that no class has"
        )
    elif data.known and better < MISFIT:
        cents = "; are they in per cent?" if factor < 1 / PER_CENT else ""
        warnings.append(
            f"chi2 = {found.best_chi2:.2g} of the best fit is too small (p-value "
            f"{_share(better, found)}): errors look too large, by {1 / factor:.2g}{cents}; or "
            "neighbours share their noise, as along training or in sums: then errors are too small"
        )
    misfit = worse < MISFIT or better < MISFIT
    if not data.known or (rescale and misfit):
        total = 1.0
        for _ in range(AGAIN):
            data, total = data.scaled(factor), total * factor
            setup = prepared(data)
            found = plausible(setup, values, draws=draws, rng=rng)
            # A correction costs in chi^2, so that the best fit may change with the errors.
            factor = scale_of(found)
            if abs(np.log(factor)) < SETTLED:
                break
        if data.known:
            warnings.append(f"errors were multiplied by {total:.3g}")
        else:
            warnings.append(
                f"no errors given: equal ones of {data.errors[0]:.3g} were taken from the scatter "
                "about the best fit"
            )
    elif worse < MISFIT:
        warnings.append("the guarantee does not hold with such errors: test again with --rescale")
    return data, setup, found, warnings


def _share(p: float, found: Plausible) -> str:
    """Of the draws; none of them is less than one of them."""
    least = 1 / len(found.drawn_chi2)
    return f"{p:.2g}" if p >= least else f"below {least:.2g}"


def scale_of(found: Plausible) -> float:
    """What errors are to be multiplied by; chi^2 of exact data is zero up to rounding."""
    drawn = float(np.median(found.drawn_chi2))
    return float(np.sqrt(max(found.best_chi2, ROUNDING) / max(drawn, ROUNDING)))


def unlikely(found: Plausible) -> bool:
    """Whether fewer draws than `SELDOM` have a chi^2 like this."""
    return float(np.mean(found.drawn_chi2 >= found.best_chi2)) < SELDOM


def off(at: Floats, values: Floats, covariance: Floats, fits: Fitted, name: str) -> list[str]:
    """Values that stand off the best fit by more than three errors, or the furthest one."""
    curve = fits.curves(np.array([np.argmin(fits.score)]))[0]
    pull = (values - curve) / np.sqrt(np.diag(covariance))
    far = np.flatnonzero(np.abs(pull) > STANDS_OFF)
    far = far if len(far) else np.array([np.argmax(np.abs(pull))])
    listed = ", ".join(f"{name} = {at[i]:g} ({pull[i]:+.1f} errors)" for i in far.tolist())
    return [f"off the best fit: {listed}"]


def realised(
    setup: Setup, fits: Fitted, level: float, draws: int, rng: np.random.Generator
) -> dict[str, Any]:
    """How often the class of the best fit is plausible for data drawn from that fit."""
    best = int(np.argmin(fits.score))
    kind = int(setup.kind[best])
    curve = fits.curves(np.array([best]))[0]
    inner = max(REPEATED, least_draws(level))
    kept = [
        kind in plausible(setup, y, draws=inner, rng=rng).kinds(level)
        for y in curve + setup.noise(REPEATS, rng)
    ]
    return {
        "replicates": draws,
        "realised_level": float(np.mean(kept)),
        "repeats": REPEATS,
    }
