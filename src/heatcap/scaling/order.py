"""Order of a transition: second, first, Kosterlitz-Thouless, or undecided.

No single test decides.  Kosterlitz-Thouless data on a few sizes always fit a second-order collapse
with a small 1/nu; a weak first-order transition looks continuous up to its correlation length.
Hence each test states which orders it favours and excludes.  An order is the verdict only if the
other two are excluded, at least one test favours or allows it, and no favoured order is excluded.

test                  second order        first order            Kosterlitz-Thouless
--------------------  ------------------  ---------------------  --------------------------------
collapse              t L^(1/nu)          t L^d                  t (ln L/L0)^2
1/nu                  below 0.85 d        d                      -
heat-capacity peaks   L^(alpha/nu)        L^d                    bounded
energy histogram      one peak            barrier as L^(d-1)     one peak
stiffness             -                   -                      universal jump

M. S. S. Challa, D. P. Landau & K. Binder, Phys. Rev. B 34 (1986) 1841; J. Lee & J. M. Kosterlitz,
Phys. Rev. Lett. 65 (1990) 137; H. Weber & P. Minnhagen, Phys. Rev. B 37 (1988) 5986 (what was
checked: docs/references.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from heatcap.core.result import Parameter, Result, Status, readable
from heatcap.scaling.ansatz import ANSATZE, in_unit
from heatcap.scaling.collapsing import Collapse, collapse
from heatcap.scaling.competitors import KINDS
from heatcap.scaling.data import Points, read_table
from heatcap.scaling.histogram import Barriers, barriers
from heatcap.scaling.jump import Stiffness
from heatcap.scaling.jump import stiffness as fit_stiffness
from heatcap.scaling.peaks import Extrema, extrema, peaks_against_size
from heatcap.scaling.reweighting import reweight

__all__ = ["ORDERS", "Evidence", "Order", "transition_order"]

SECOND, FIRST, KT = ORDERS = ("second order", "first order", "Kosterlitz-Thouless")
FORMS = {"second-order": SECOND, "first-order": FIRST, "kosterlitz-thouless": KT}

DECISIVE = 5.0  # log evidence from which on the lesser form is excluded: odds of 150
FAR = 3.0  # errors
CLEARLY = 0.85  # of the dimension: 1/nu below it is no first-order transition with corrections
NEAR = 2.0  # errors within which two numbers agree
GROWS = 0.15  # exponent of a height from which on it is not bounded; that of XY has 0.1 at L = 16
POOR = 1e-3
NOTHING = Parameter(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class Evidence:
    """One test: its quantity, and the orders it favours and excludes.

    Attributes
    ----------
    test : str
    favours, excludes : tuple of str
        Among the three orders; both empty where the test is not conclusive.
    quantity : str
        Name of `value`.
    value : Parameter
    message : str
    allows : tuple of str
        Orders that describe the data well, though others may as well.
    """

    test: str
    quantity: str
    value: Parameter
    favours: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    message: str = ""
    allows: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line."""
        line = f"{self.test}: {self.quantity}"
        if np.isfinite(self.value.value):
            error = self.value.error
            line += " = " + (
                readable(self.value.value, error) if error > 0 else f"{self.value.value:.3g}"
            )
        for word in ("favours", "excludes"):
            if names := getattr(self, word):
                line += f"; {word} {', '.join(names)}"
        return line + (f" ({self.message})" if self.message else "")


@dataclass(frozen=True, eq=False)
class Order(Result):
    """Verdict on the order, with its evidence.

    Attributes
    ----------
    verdict : str
        "second order", "first order", "Kosterlitz-Thouless" or "undecided".
    evidence : list of Evidence
    status : Status
        "ok", "undecided" (more than one order is not excluded), "tests disagree", "no evidence".
    message : str
        Orders that are not excluded, and the limit of the verdict.
    results : dict
        By name the Collapse of each form, Extrema, Barriers and Stiffness behind the tests.
    """

    verdict: str
    evidence: list[Evidence]
    results: Mapping[str, Any] = field(default_factory=dict, repr=False)

    FIELDS = ("verdict", "status", "message", "evidence", "results")

    def _lines(self) -> list[str]:
        """Verdict and one line for every test."""
        tests = [test.summary() for test in self.evidence]
        return [f"verdict: {self.verdict} ({self.message})", *tests]


def transition_order(
    *,
    dimensionless: Points | None = None,
    heat_capacity: Points | None = None,
    series: xr.Dataset | None = None,
    stiffness: Points | None = None,
    dimension: int = 2,
    rng: int | np.random.Generator = 0,
) -> Order:
    """Determine the order of a transition from the data there are.

    The tests are those of the table at the head of :mod:`heatcap.scaling.order`; each kind of data
    adds its own.

    Parameters
    ----------
    dimensionless : Points, optional
        Such as Binder's cumulant; collapsed with all three forms at exponent 0.
    heat_capacity : Points, optional
        Per site, with a maximum at every size; from the `series` if left out.
    series : Dataset (point, replicate, sweep), optional
        Energies near the transition, as of :func:`heatcap.scaling.reweight`.
    stiffness : Points, optional
        Helicity modulus against temperature.
    dimension : int
        Dimension d of the lattice.
    rng : int or Generator

    Returns
    -------
    Order
        "undecided" unless the other two orders are excluded and no tests disagree.

    Raises
    ------
    ValueError
        If nothing is given, or as of the fits.
    """
    given = (dimensionless, heat_capacity, series, stiffness)
    if all(data is None for data in given):
        raise ValueError("expected a dimensionless quantity, heat capacity, series or stiffness")
    generator = np.random.default_rng(rng)
    results: dict[str, Any] = {}
    evidence: list[Evidence] = []
    if dimensionless is not None:
        collapses = _collapses(dimensionless, dimension, generator)
        results |= collapses
        evidence += [_forms(collapses, dimension), _shape(collapses["second-order"], dimension)]
    if series is not None:
        histograms = barriers(series, dimension=dimension, rng=generator)
        results["barriers"] = histograms
        evidence.append(_histogram(histograms))
        if heat_capacity is None:
            heat_capacity = _reweighted(series, histograms)
    if heat_capacity is not None and len(heat_capacity):
        results["heat_capacity"] = peaks = extrema(heat_capacity, rng=generator)
        evidence.append(_heights(peaks, dimension))
    if stiffness is not None:
        results["stiffness"] = jump = fit_stiffness(stiffness, rng=generator)
        evidence.append(_jump(jump))
    sizes = [data["size"] if isinstance(data, xr.Dataset) else data.size for data in given
             if data is not None]  # fmt: skip
    largest = max(float(np.max(size)) for size in sizes)
    verdict, status, message = _verdict(evidence, largest)
    return Order(verdict, evidence, results, status=status, message=message)


def _collapses(points: Points, dimension: int, rng: np.random.Generator) -> dict[str, Collapse]:
    held = {"exponent": 0.0}
    of_first = held | {"dimension": float(dimension)}
    return {
        name: collapse(
            points,
            ansatz=name,
            fixed=of_first if name == "first-order" else held,
            excluded=KINDS,  # the three forms compete with each other only, on all points
            narrow=False,
            rng=rng,
        )
        for name in FORMS
    }


def _forms(collapses: Mapping[str, Collapse], dimension: int) -> Evidence:
    """Log evidence of the best form over the others, and the orders that it excludes."""
    independent = min(result.independent for result in collapses.values())
    scores = {name: independent * result.score for name, result in collapses.items()}
    ranked = sorted(scores, key=lambda name: scores[name])
    best = ranked[0]
    odds = {name: (scores[name] - scores[best]) / 2 for name in ranked}
    quantity = f"log evidence of {FORMS[best]} over {FORMS[ranked[1]]}"
    number = Parameter(odds[ranked[1]], 0.0, 0.0)
    others = ", ".join(f"{FORMS[name]} {odds[name]:.1f}" for name in ranked[1:])
    if not np.isfinite(scores[best]) or not collapses[best].p_value >= POOR:
        return Evidence("collapse", quantity, NOTHING, message="no form fits: no evidence for any")
    if not collapses[best].ok:
        message = f"the best form is {collapses[best].status}; behind it {others}"
        return Evidence("collapse", quantity, number, message=message)
    excluded = tuple(FORMS[name] for name in ranked[1:] if odds[name] >= DECISIVE)
    favoured = (FORMS[best],) if odds[ranked[1]] >= DECISIVE else ()
    message = f"behind it {others}"
    if best == "second-order":
        if _like_kt(collapses):
            excluded, favoured = tuple(name for name in excluded if name != KT), ()
            message += "; 1/nu is as small as that of Kosterlitz-Thouless data"
        if _like_first(collapses[best], dimension):
            excluded, favoured = tuple(name for name in excluded if name != FIRST), ()
            message += "; 1/nu is as large as at a first-order transition with corrections"
    return Evidence("collapse", quantity, number, favoured, excluded, message, (FORMS[best],))


def _like_first(second: Collapse, dimension: int) -> bool:
    """Whether 1/nu is not clearly below d.

    The form with 1/nu held at d cannot absorb corrections to L^d, a free 1/nu can: a worse fit of
    the former is evidence for corrections as much as against first order.
    """
    p = second.parameters["inverse_nu"]
    return p.value + FAR * p.error > CLEARLY * dimension


def _like_kt(collapses: Mapping[str, Collapse]) -> bool:
    """Whether 1/nu is not above d ln (ln L/L0)^2 / d ln L = 2 / ln(L/L0) at the middle size.

    L0 is that of the Kosterlitz-Thouless fit plus three errors.  Below T_KT every temperature is
    critical, which no form of collapse describes: where the range of the control extends below it,
    second order fits better, with such a small 1/nu.
    """
    second, other = collapses["second-order"], collapses["kosterlitz-thouless"]
    p = second.parameters["inverse_nu"]
    highest = in_unit(ANSATZE["kosterlitz-thouless"], min(second.sizes_used)).bounds[1]
    log_l0 = other.parameters.get("log_l0", Parameter(highest, 0.0, 0.0))
    start = min(highest, log_l0.value + FAR * log_l0.error)
    middle = float(np.mean(np.log(second.sizes_used)))
    return p.value - FAR * p.error < 2 / max(middle - start, 1e-9)


def _shape(second: Collapse, dimension: int) -> Evidence:
    """1/nu of the second-order collapse against the dimension."""
    if not second.ok:
        message = f"the second-order collapse is {second.status}"
        return Evidence("1/nu", "1/nu", NOTHING, message=message)
    p = second.parameters["inverse_nu"]
    off = (p.value - dimension) / p.error
    if not _like_first(second, dimension):
        return Evidence("1/nu", "1/nu", p, (), (FIRST,), f"below d by {-off:.1f} errors")
    if off > FAR:
        message = f"above d by {off:.1f} errors, which no transition has: "
        message += "corrections, or no scaling"
        return Evidence("1/nu", "1/nu", p, message=message)
    favoured = (FIRST,) if abs(off) < NEAR and p.error < dimension / 8 else ()
    return Evidence("1/nu", "1/nu", p, favoured, (), f"from d by {off:+.1f} errors")


def _heights(peaks: Extrema, dimension: int) -> Evidence:
    """The exponent of the heat-capacity peaks compared with 0 and with the dimension.

    The exponent between the two largest sizes is used, too: heights that first rise and then fall
    are fitted well by a power with a background.
    """
    test, quantity = "heat-capacity peaks", "exponent of the height"
    finite = np.isfinite(peaks.height) & np.isfinite(peaks.height_error)
    rows = np.flatnonzero(finite & (peaks.height > 0))
    if rows.size < 4:
        message = f"{rows.size} sizes have a peak inside their data, 4 are needed"
        return Evidence(test, quantity, NOTHING, message=message)
    last = _last_exponent(peaks, rows[-2:])
    message = f"between the largest sizes {readable(last.value, last.error)}"
    low, high = last.value - FAR * last.error, last.value + FAR * last.error
    if low < 0 and high < dimension / 2:
        return Evidence(test, quantity, last, (), (FIRST,), "the largest sizes do not grow")
    growth = peaks_against_size(
        peaks.size[rows],
        height=peaks.height[rows],
        height_covariance=peaks.height_covariance[np.ix_(rows, rows)],
    )
    # What a logarithm excludes a power excludes as well: it grows, and slower than L^d.
    grows = (Status.OK, Status.LOGARITHMS_NOT_EXCLUDED)
    if growth.exponent is None or growth.height_status not in grows:
        message = f"{growth.message or growth.height_status}; {message}"
        return Evidence(test, quantity, NOTHING, message=message)
    p = growth.exponent
    excluded = []
    if max(p.value + FAR * p.error, high) < dimension:
        excluded.append(FIRST)
    if min(p.value - FAR * p.error, low) > GROWS:
        excluded.append(KT)
    near = abs(p.value - dimension) < NEAR * p.error and p.error < dimension / 8
    if near and low > dimension / 2 and growth.height_status is Status.OK:
        return Evidence(test, quantity, p, (FIRST,), (SECOND, *excluded), message)
    return Evidence(test, quantity, p, (), tuple(excluded), message)


def _last_exponent(peaks: Extrema, rows: NDArray[np.intp]) -> Parameter:
    """d ln h / d ln L between two sizes."""
    log = np.log(peaks.size[rows[1]] / peaks.size[rows[0]])
    h = peaks.height[rows]
    slope = np.array([-1.0, 1.0]) / h / log
    error = np.sqrt(slope @ peaks.height_covariance[np.ix_(rows, rows)] @ slope)
    return Parameter(float(np.log(h[1] / h[0]) / log), float(error), 0.0)


def _histogram(result: Barriers) -> Evidence:
    """Growth of the barrier with L^(d-1)."""
    test, quantity = "energy histogram", "growth of the barrier with L^(d-1)"
    resolved = [i for i, word in enumerate(result.shapes) if word in ("double", "single")]
    words = ", ".join(
        f"{word} at L = {size:g}" for size, word in zip(result.size, result.shapes, strict=True)
    )
    if not resolved:
        return Evidence(test, quantity, result.tension, message=words)
    slope = result.tension
    doubles = sum(result.shapes[i] == "double" for i in resolved)
    if result.shapes[resolved[-1]] == "single":
        return Evidence(test, quantity, slope, (), (), words)
    if doubles > 1 and slope.value > FAR * slope.error:
        return Evidence(test, quantity, slope, (FIRST,), (SECOND, KT), words)
    return Evidence(test, quantity, slope, (FIRST,), (), f"{words}; its growth is not resolved")


def _jump(result: Stiffness) -> Evidence:
    """The jump of the stiffness in units of the universal one."""
    test, quantity = "stiffness", "jump over 2 T / pi"
    if result.ok:
        return Evidence(test, quantity, result.jump, (KT,), (SECOND, FIRST), "1 if universal")
    if result.status in (Status.NO_JUMP, Status.ANOTHER_JUMP):
        return Evidence(test, quantity, result.jump, (), (KT,), result.status)
    return Evidence(test, quantity, result.jump, message=f"{result.status}: {result.message}")


def _reweighted(series: xr.Dataset, histograms: Barriers) -> Points | None:
    """Heat capacities of the sizes whose runs sample both phases."""
    sampled = [
        size
        for size, word in zip(histograms.size, histograms.shapes, strict=True)
        if word != "no tunnelling"
    ]
    if "point" in series.dims:
        series = series.isel(point=np.flatnonzero(np.isin(series["size"].to_numpy(), sampled)))
    if not sampled:
        return None
    table = reweight(series)
    return read_table(
        table, size="size", control="control", value="heat_capacity", error="heat_capacity_error"
    )


def _verdict(evidence: Sequence[Evidence], largest: float) -> tuple[str, Status, str]:
    excluded = {name for test in evidence for name in test.excludes}
    favoured = {name for test in evidence for name in test.favours}
    allowed = {name for test in evidence for name in test.allows}
    left = [name for name in ORDERS if name not in excluded]
    if not excluded and not favoured:
        return "undecided", Status.NO_EVIDENCE, "no test says anything"
    if favoured & excluded or not left:
        names = ", ".join(sorted(favoured & excluded)) or "every order"
        return "undecided", Status.TESTS_DISAGREE, f"{names}: favoured and excluded"
    if len(left) > 1 or left[0] not in favoured | allowed:
        return "undecided", Status.UNDECIDED, f"not excluded: {', '.join(left)}"
    message = f"up to L = {largest:g}"
    if left[0] == SECOND:
        message += ": a first-order transition with a larger correlation length would look the same"
    return left[0], Status.OK, message
