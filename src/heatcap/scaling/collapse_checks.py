"""Whether the numbers of a collapse count: refusals before the fit, statuses after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter, Status
from heatcap.core.student import chi2_tail
from heatcap.scaling.ansatz import LENGTH, Ansatz
from heatcap.scaling.collapse_fits import Fit
from heatcap.scaling.collapse_problem import without_structure
from heatcap.scaling.data import Points
from heatcap.scaling.fits import average, weights_of

__all__ = [
    "FITS",
    "LEAST_SHARE",
    "MOST",
    "POOR",
    "hollow",
    "p_value_of",
    "parameters_of",
    "share_of",
    "share_used",
    "status_of",
    "too_little",
    "window_of",
]

CORRECTIONS = ("a", "b", "c", "s", "omega")  # nuisance parameters
SMALL = 0.75  # of the leading term, at the smallest size: more is not a correction
LEAST_SHARE = 0.5  # of the points: for fewer of them the status is "narrowed"
MOST = 0.75  # of the points: where fewer are used, the message tells which
FITS = 0.05  # p-value from which on a range is taken: it is chosen for its fit
STRUCTURE = 20.0  # in chi^2 + 2 k, over values that do not depend on the control
POOR = 1e-3  # p-value of chi^2 below which a fit is poor


def p_value_of(fit: Fit) -> float:
    """p-value of chi^2, over as many points as are independent."""
    solution, share = fit.solution, fit.independent
    return chi2_tail(solution.chi2 * share, solution.dof * share)


def parameters_of(fits: Sequence[Fit], names: Sequence[str]) -> dict[str, Parameter]:
    """Averages of the parameters of interest: no corrections but omega."""
    corrected = fits[0].solution.model.corrected
    return {
        name: average(fits, [fit.of(i) for fit in fits])
        for i, name in enumerate(names)
        if name.split("_")[0] not in CORRECTIONS or (name == "omega" and corrected)
    }


def too_little(
    parts: Sequence[Points], names: Sequence[str], fixed: Mapping[str, float]
) -> tuple[Status, str] | None:
    """One size, or fewer points than there are parameters; None if a fit may begin."""
    free = sum(name.split("_")[0] not in CORRECTIONS and name not in fixed for name in names)
    for part in parts:
        sizes, counts = np.unique(part.size, return_counts=True)
        if sizes.size < 2:
            return (
                Status.TOO_FEW_SIZES,
                f"{part.name}: {sizes.size} size; a collapse compares sizes",
            )
        if len(part) < 4 + 3 + free or counts.max() < 4:
            message = f"{part.name}: {len(part)} points, at least {7 + free} are needed"
            return Status.TOO_FEW_POINTS, message
    return None


def status_of(
    parameters: Mapping[str, Parameter],
    fixed: Mapping[str, float],
    p_value: float,
    chi2: float,
    dof: int,
    form: Ansatz,
    parts: Sequence[Points],
) -> tuple[Status, str]:
    """Whether the fit is good, and its parameters determined and inside their ranges."""
    controls = np.concatenate([part.control for part in parts])
    span = float(np.ptp(controls))
    if p_value < POOR and not all(part.estimated for part in parts):
        return Status.POOR_FIT, (
            f"chi2/dof = {chi2:.1f}/{dof} (p = {p_value:.1g}): the ansatz does not describe these "
            "data within their errors; check the errors, narrow the range of the control, or try "
            "another ansatz"
        )
    x_c, shape = parameters["x_c"], parameters[form.parameter]
    # L0 depends on the unit of the size; the slope of the stretch, 2 / ln(L/L0), does not.
    middle = float(np.mean(np.log(np.concatenate([part.size for part in parts]))))
    scale = abs(middle - shape.value) if form.parameter == LENGTH else abs(shape.value)
    limits = {"x_c": span / 4, form.parameter: 0.25 * scale}
    for name, limit in limits.items():
        if name not in fixed and not parameters[name].error < limit:
            return _unidentified(name, parameters[name])
    for name, p in parameters.items():
        if name.startswith("exponent") and name not in fixed and not p.error < 0.5:
            return _unidentified(name, p)
    low, high = controls.min(), controls.max()
    margin = max(0.02 * span, x_c.error)
    if "x_c" not in fixed and not low + margin < x_c.value < high - margin:
        return Status.AT_AN_EDGE, (
            f"x_c = {x_c.value:.6g} lies at the edge of the control, {low:g} to {high:g}: "
            "measure on both sides of it"
        )
    near = 0.05 * (form.bounds[1] - form.bounds[0])
    if form.parameter not in fixed and not (
        form.bounds[0] + near / 2 < shape.value < form.bounds[1] - near
    ):
        return (
            Status.AT_AN_EDGE,
            f"{form.parameter} = {shape.value:.3g} lies at the edge of its range",
        )
    return Status.OK, ""


def _unidentified(name: str, p: Parameter) -> tuple[Status, str]:
    if not np.isfinite(p.error):
        return Status.UNIDENTIFIED, f"the data do not depend on {name}"
    return Status.UNIDENTIFIED, (
        f"{name} = {p.value:.4g} with an error of {p.error:.2g}: the data do not determine it"
    )


def hollow(
    fits: Sequence[Fit], weights: Floats, parts: Sequence[Points]
) -> tuple[Status, str] | None:
    """Whether a good chi^2 means nothing: large corrections, no structure, or two sizes only."""
    best = fits[int(np.argmax(weights))]
    if (correction := best.problem.largest_correction(best.solution.theta)) > SMALL:
        return Status.POOR_FIT, (
            f"the correction to scaling is {correction:.1f} times the leading term at the smallest "
            "size, which is no correction: check what is fixed, or leave out the smallest sizes"
        )
    chi2, parameters = without_structure(best.problem)
    gain = (chi2 - best.solution.chi2) * best.independent
    if gain - 2 * (best.solution.parameters - parameters) < STRUCTURE:
        return Status.UNIDENTIFIED, (
            "values that do not depend on the control describe the data as well: there is nothing "
            "to collapse"
        )
    # Curves of two sizes always meet somewhere, whatever the correction to scaling.
    if min(np.unique(part.size).size for part in parts) < 3:
        return Status.TOO_FEW_SIZES, (
            "two sizes leave no room for a correction to scaling, which the errors do not hold: "
            "add a third"
        )
    return None


def share_of(fits: Sequence[Fit]) -> float:
    """Share of the points that fits use, in the mean over their weights."""
    return float(weights_of(fits) @ [fit.problem.n / (fit.problem.n + fit.cut) for fit in fits])


def window_of(fits: Sequence[Fit]) -> float:
    """Share of the points of the sizes used that lie in the windows, in the mean over weights."""
    return float(weights_of(fits) @ [fit.share for fit in fits])


def share_used(
    fits: Sequence[Fit],
    weights: Floats,
    parameters: Mapping[str, Parameter],
    p_value: float,
    moving: str,
) -> tuple[Status, str]:
    """Whether most points are used, which are, and whether a part of them may be.

    `moving` says why no range agrees with narrower ones, if none does.
    """
    best = fits[int(np.argmax(weights))]
    share = share_of(fits)
    if share > MOST:
        return Status.OK, ""
    low, high = best.window
    text = f"uses {share:.0%} of the points: control {low:g} to {high:g}"
    if (p := parameters.get("inverse_nu")) is not None:
        x_c = parameters["x_c"].value
        scaled = [np.abs(part.control - x_c) * part.size**p.value for part in best.parts]
        text = f"uses {share:.0%} of the points: |X| < {max(map(np.max, scaled)):.2g}"
        text += f", control {low:g} to {high:g}"
    if moving:
        return Status.POOR_FIT, (
            f"{text}, and no range about x_c is known to scale: {moving}; measure closer to x_c, "
            "or give the range that is meant (--window)"
        )
    if share >= LEAST_SHARE:
        return Status.OK, text
    if p_value < FITS and not all(part.estimated for part in best.parts):
        return Status.POOR_FIT, (
            f"{text}, and even there the fit is poor (p = {p_value:.1g}): check the errors, or try "
            "another ansatz"
        )
    return Status.NARROWED, (
        f"{text}; the others do not follow the ansatz: they are far from x_c, of small sizes, or "
        "of another transition; give the range that is meant (--window) to have it tested alone"
    )
