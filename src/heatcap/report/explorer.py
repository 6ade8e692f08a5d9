"""Explorer of a collapse: one HTML file with sliders for x_c, the shape and every exponent.

    explore(fit, data).save("fit.html")

The page draws X = (x - x_c) S(L) against A L^-exponent in the units of the table, S(L) = L^(1/nu)
at second order, and says how well the sizes agree: chi^2 per point of a local comparison, which is
in explorer.js.  The sliders begin at the fit, with its 68 and 95 % regions.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatcap.core.result import Caution, Parameter, readable
from heatcap.core.result import plain as plain_values
from heatcap.core.text import plain
from heatcap.core.writing import html_path, write_text
from heatcap.figures.panels import look_of_sizes
from heatcap.report.findings import Source
from heatcap.report.single_file import embedded, page_of
from heatcap.runfile import checksums
from heatcap.scaling import Collapse, Points
from heatcap.scaling.competitors import NOT_EXCLUDED
from heatcap.scaling.condense import condensed
from heatcap.scaling.following import corrections_of, rows_used

__all__ = ["Explorer", "explore"]

MOST = 3000  # points: the page stays below 200 kB
BUTTONS = 60  # sizes that can be switched off
REACH, STEPS = 8.0, 10.0  # a slider spans 8 errors to either side, in steps of a tenth or less
LONGEST = 40  # letters of a name on the page
STANDING = ("ok", "narrowed", *NOT_EXCLUDED)  # statuses of numbers that hold, on a condition
SHAPES = {
    "second-order": ("inverse_nu", "1/ν", 1.0),
    "first-order": ("dimension", "d", 2.0),
    "kosterlitz-thouless": ("log_l0", "ln L₀", 0.0),
}


@dataclass(frozen=True)
class Slider:
    """A parameter on the page: value = start + step × place, place from `low` to `high`.

    `inner` and `outer` are the 68 and 95 % regions, None where the fit gives none.
    """

    name: str
    label: str
    start: float
    step: float
    low: int
    high: int
    fitted: str
    inner: tuple[float, float] | None = None
    outer: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Explorer:
    """A collapse, its data, and the page to try other parameters on.

    Attributes
    ----------
    result : Collapse
    parts : sequence of Points
        The data that `result` was made from.
    names : tuple of str
        What the size and the control are called.
    sources : list of Source
        Files of the data with their SHA-256.
    command : str
        How the page was made, if by a command.
    """

    result: Collapse
    parts: Sequence[Points]
    names: tuple[str, str] = ("size", "control")
    sources: Sequence[Source] = field(default_factory=list)
    command: str = ""

    def html(self) -> str:
        """Return the page as HTML; equal results give equal text."""
        return _page(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to a file, which appears when it is complete.

        Raises
        ------
        ValueError
            If the path does not end in .html or .htm, or is a file of the data.
        """
        target = html_path(path)
        if any(os.path.realpath(target) == os.path.realpath(each.path) for each in self.sources):
            raise ValueError(f"{target}: is an input, expected another output")
        write_text(target, self.html())
        return target

    def __repr__(self) -> str:
        points = sum(map(len, self.parts))
        return f"<heatcap.report.Explorer: {points} points, {self.result.status}; see .save(path)>"


def explore(
    result: Collapse,
    data: Points | Sequence[Points],
    *,
    names: tuple[str, str] = ("size", "control"),
    sources: Iterable[str | os.PathLike[str]] = (),
    command: str = "",
) -> Explorer:
    """Make the page on which the parameters of a collapse are moved by hand.

    Parameters
    ----------
    result : Collapse
        Made by :func:`heatcap.scaling.collapse`.  One that gives no numbers is shown, too: its
        sliders begin at the middle of the data.
    data : Points or sequence of Points
        The data that `result` was made from.
    names : tuple of str, optional
        What the size and the control are called.
    sources : iterable of paths
        Files that `data` were read from; their SHA-256 goes on the page.
    command : str
        How the page was made, if by a command.

    Returns
    -------
    Explorer
        :meth:`Explorer.save` writes the page.

    Raises
    ------
    ValueError
        If there are no data, their names are not those of the collapse, or its ansatz is none of
        those that the page can compute.
    """
    parts = [condensed(part) for part in ([data] if isinstance(data, Points) else data)]
    if not parts or not all(len(part) for part in parts):
        raise ValueError("there are no points to explore")
    fitted = [curve["name"] for curve in result.curves]
    if fitted and fitted != [part.name for part in parts]:
        raise ValueError(f"expected the data of {', '.join(map(str, fitted))}")
    if result.ansatz not in SHAPES:
        raise ValueError(
            f"an explorer shows the ansatz {', '.join(SHAPES)}, got {result.ansatz!r}: "
            "its figure shows the collapse"
        )
    files = [Source(plain(path), digest) for path, digest in checksums(sources).items()]
    return Explorer(result, parts, names, files, plain(command))


# ---- sliders -------------------------------------------------------------------------------


def _sliders(page: Explorer) -> list[Slider]:
    """x_c, the shape, and the exponent of every observable."""
    result, parts = page.result, page.parts
    controls = np.concatenate([part.control for part in parts])
    smallest = math.log(min(float(part.size.min()) for part in parts))
    low, high = float(controls.min()), float(controls.max())
    half = (high - low) / 2 or 1.0
    name, label, start = SHAPES[result.ansatz]
    if name == "log_l0":  # ln(L / L0) is positive
        start, bounds, most = smallest - 2.0, (smallest - 12.0, smallest - 0.01), 2.0
    else:
        bounds, most = (0.01, math.inf), 1.0
    exponents = [
        (f"exponent_{part.name}", f"exponent of {_short(part.name)}") for part in parts
    ] if len(parts) > 1 else [("exponent", "exponent")]  # fmt: skip
    return [
        _slider(result, "x_c", "x_c", (low + high) / 2, half, (low, high)),
        _slider(result, name, label, start, most, bounds),
        *(
            _slider(result, name, label, 0.0, 1.0, (-math.inf, math.inf))
            for name, label in exponents
        ),
    ]


def _slider(
    result: Collapse,
    name: str,
    label: str,
    start: float,
    most: float,
    bounds: tuple[float, float],
) -> Slider:
    """A slider about the fit; about `start`, `most` to either side, where there is no fit."""
    p = result.parameters.get(name)
    known = p is not None and math.isfinite(p.value)
    value = p.value if p is not None and known else start
    error = p.error if p is not None and known and math.isfinite(p.error) else 0.0
    reach = min(REACH * error, 2 * most) or most
    step = _round_down(reach / (REACH * STEPS))
    ends = [math.ceil(max(-reach, bounds[0] - value) / step),
            math.floor(min(reach, bounds[1] - value) / step)]  # fmt: skip
    low, high = min(ends[0], 0), max(ends[1], 0)
    if low == high:
        low, high = -1, 1
    inner = outer = None
    if p is not None and error and result.status in STANDING:
        inner, outer = (p.value - p.error, p.value + p.error), p.ci95
    return Slider(name, label, value, step, low, high, _said(result, name, p), inner, outer)


def _said(result: Collapse, name: str, p: Parameter | None) -> str:
    """What the fit says of a parameter."""
    if p is None or not math.isfinite(p.value):
        return "not fitted"
    if name in result.fixed:
        return f"{p.value:.6g}, held"
    if not math.isfinite(p.error):
        return "not determined"
    return readable(p.value, p.error).replace("-", "−")


def _round_down(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return float(f"{max(m for m in (1, 2, 5) if m * power <= step * (1 + 1e-9)) * power:.3g}")


# ---- data ----------------------------------------------------------------------------------


def _observable(part: Points, used: NDArray[np.bool_], most: int) -> dict[str, Any]:
    """Points by size, at most so many, evenly along the control.

    Numbers are rounded to a thousandth of their error; `out` are places of points that the fit left
    out.
    """
    every = math.ceil(len(part) / most)
    groups = []
    for size in np.unique(part.size):
        rows = np.flatnonzero(part.size == size)[::every]
        value, error = part.value[rows], part.error[rows]
        groups.append(
            {
                "size": float(size),
                "x": [float(f"{x:.12g}") for x in part.control[rows]],
                "y": [_rounded(y, e) for y, e in zip(value, error, strict=True)],
                "e": [float(f"{e:.4g}") for e in error],
                "out": np.flatnonzero(~used[rows]).tolist(),
            }
        )
    return {"groups": groups}


def _rounded(value: float, error: float) -> float:
    """A value to a thousandth of its error, in as few digits as that takes."""
    if not value:
        return 0.0
    digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(error)) + 4
    return float(f"{value:.{min(max(digits, 1), 17)}g}")


def _short(name: str) -> str:
    """A name as the page shows it: visible letters, not too many."""
    name = plain(str(name))
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


# ---- the page ------------------------------------------------------------------------------


def _page(page: Explorer) -> str:
    result = page.result
    sizes = sorted({float(s) for part in page.parts for s in part.size})
    look = look_of_sizes(sizes)
    sliders = _sliders(page)
    rows = rows_used(result, page.parts) or [np.ones(len(part), dtype=bool) for part in page.parts]
    most = max((MOST - 2 * len(sizes)) // len(page.parts), 1)
    observables = [_observable(part, u, most) for part, u in zip(page.parts, rows, strict=True)]
    groups = [group for each in observables for group in each["groups"]]
    corrections = corrections_of(result, page.parts)
    shown = [_short(part.name) for part in page.parts]
    return page_of(
        "explorer",
        title=f"Collapse of {', '.join(shown)}",
        colours=[look[size]["color"].removeprefix("#") for size in sizes],
        result=result,
        begin="fit" if result.parameters else "start",
        cautions=[Caution(c.title, plain(c.text)) for c in result.cautions()],
        page=page,
        size_name=_short(page.names[0]),
        control_name=_short(page.names[1]),
        observables=shown,
        sliders=sliders,
        sizes=[(f"{size:g}", look[size]["color"].removeprefix("#")) for size in sizes],
        buttons=BUTTONS,
        corrected=corrections is not None,
        left_out=sum(len(group["out"]) for group in groups),
        points=sum(len(group["x"]) for group in groups),
        measured=sum(map(len, page.parts)),
        regions=any(slider.inner for slider in sliders),
        data=embedded(
            {
                "ansatz": result.ansatz,
                "sliders": [
                    {
                        "start": s.start, "step": s.step, "low": s.low, "high": s.high,
                        "inner": s.inner, "outer": s.outer,
                    }
                    for s in sliders
                ],
                "sizes": [
                    {"size": s, "colour": look[s]["color"].removeprefix("#"),
                     "marker": look[s]["marker"]}
                    for s in sizes
                ],
                "observables": observables,
                "corrections": plain_values(corrections),
            }
        ),
    )  # fmt: skip
