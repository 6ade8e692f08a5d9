"""Lines of a summary that all results share."""

from __future__ import annotations

import numpy as np

from heatcap.resampling import readable
from heatcap.scaling.parameter import Parameter

__all__ = ["goodness_line", "parameter_line", "status_line"]


def status_line(status: str, message: str) -> str:
    """The status, and what it means."""
    return f"status: {status}" + (f" ({message})" if message else "")


def parameter_line(
    name: str,
    p: Parameter | None,
    *,
    fixed: float | None = None,
    between: str = "between models",
    note: str = "",
) -> str:
    """A parameter with its two errors, the systematic one `between` what; or that it is fixed."""
    if fixed is not None:
        return f"{name} = {fixed:g} (fixed)"
    if p is None or not np.isfinite(p.value):
        return f"{name}: not determined"
    if not np.isfinite(p.systematic):
        return f"{name} = {readable(p.value, p.statistical)}   statistical only{note}"
    errors = f"statistical {p.statistical:.2g}, {between} {p.systematic:.2g}"
    return f"{name} = {readable(p.value, p.error)}   {errors}{note}"


def goodness_line(chi2: float, dof: int, p_value: float) -> str:
    """chi^2 by the degrees of freedom; where none are left it says nothing."""
    if dof == 0:
        return f"chi2 = {chi2:.1f}, no degrees of freedom left: the fit is not tested"
    return f"chi2/dof = {chi2:.1f}/{dof} (p = {p_value:.2g})"
