"""What the study is made of: sets of runs that are compared, and how its scripts read and write.

A set holds everything fixed that is not its size or its clock, and is named for what it holds:

    fraction_70   addition, 70 % of the pairs, weight decay 1; random labels and weight decay 0
    fraction_60   addition, 60 % of the pairs, weight decay 1: a longer delay; random labels
    clock          one modulus each, fractions and weight decays on a grid
    recall         associative recall: the number of visible keys is the size

Every script takes its inputs by position, writes what `-o` names and nothing else, and uses the
public interface of heatcap alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import heatcap as hc
from heatcap import figures
from heatcap.core.writing import write_text
from heatcap.events import DEFAULT_OBSERVABLES
from heatcap.runfile import checksum

__all__ = [
    "OBSERVABLES",
    "POOLED",
    "SEED",
    "SETS",
    "SPOKEN",
    "arguments",
    "draw",
    "falls",
    "note",
    "read_json",
    "rounded",
    "write_json",
]

POOLED = "pooled_logit_variance"  # of data/grokking alone: the others ship without mean logits
OBSERVABLES = tuple(name for name in DEFAULT_OBSERVABLES if name != POOLED)
FALL = 2.0  # errors of the difference between the first height and the last
SPOKEN = {
    "heat_capacity": "canonical",
    "landscape_heat_capacity": "landscape",
    "landscape_heat_capacity_fixed": "landscape, gauge fixed",
    "total_heat_capacity": "total",
    "unweighted_heat_capacity": "unweighted",
    "offset_heat_capacity": "offset",
    "pooled_logit_variance": "pooled",
    "fraction_70": "70 %",
    "fraction_60": "60 %",
    "clock_p43": "p = 43",
    "clock_p59": "p = 59",
}
"""Definitions and sets as the page and its tables call them; others as they are."""
SEED = 20261122  # of every draw in the study
DIGITS, OF_ERROR, OF_P = 6, 4, 4  # of a number, of an error, of a p-value
IN_UNITS_OF = {
    "error": ("value", "exponent", "error", "statistical", "systematic", "bias", "ci68", "ci95"),
    "errors": ("heights", "errors"),
}
"""What is written to the last place of the error that stands beside it."""

Chosen = Callable[[xr.Dataset], Any]


def _addition(obs: xr.Dataset) -> Any:
    return obs["task"] == "addition"


def _proper(obs: xr.Dataset) -> Any:
    return _addition(obs) & (obs["control"] == "none") & (obs["weight_decay"] > 0)


def _clock(p: int) -> Chosen:
    def chosen(obs: xr.Dataset) -> Any:
        cell = np.isin(obs["fraction"], [0.6, 0.7, 0.8]) & (obs["seed"] < 5)
        return _proper(obs) & (obs["p"] == p) & cell

    return chosen


SETS: dict[str, Chosen] = {
    "fraction_70": lambda obs: (
        _addition(obs) & (obs["fraction"] == 0.7) & np.isin(obs["weight_decay"], [0, 1])
    ),
    "fraction_60": lambda obs: (
        _addition(obs) & (obs["fraction"] == 0.6) & (obs["weight_decay"] == 1)
    ),
    "clock_p43": _clock(43),
    "clock_p59": _clock(59),
    "recall": lambda obs: obs["task"] == "recall",
}


def arguments(what: str, *inputs: str, many: bool = False) -> argparse.Namespace:
    """Inputs by position, the last of them several if `many`; the output of `-o`."""
    parser = argparse.ArgumentParser(description=what)
    for name in inputs:
        last = many and name == inputs[-1]
        parser.add_argument(name, type=Path, nargs="+" if last else None)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.parent.mkdir(parents=True, exist_ok=True)
    return given


def draw(drawings: Mapping[str, Figure], output: Path) -> list[str]:
    """Figures by name, as PDF and PNG in the folder figures/ beside the output; their names."""
    folder = output.parent / "figures"
    folder.mkdir(exist_ok=True)
    for name, figure in drawings.items():
        figures.save(figure, folder / name)
    return list(drawings)


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def write_json(path: Path, content: dict[str, Any], inputs: Iterable[Path] = ()) -> None:
    """Rounded numbers with versions and checksums of the inputs; equal inputs give equal bytes."""
    names = ("numpy", "scipy", "pandas", "xarray", "statsmodels", "matplotlib")
    content = {
        "schema_version": 1,
        "made_by": Path(sys.argv[0]).name,
        "versions": {"heatcap": hc.__version__, "python": platform.python_version()}
        | {name: version(name) for name in names},
        "inputs": {each.name: checksum(each) for each in inputs},
        **rounded(content),
    }
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def rounded(x: Any, digits: int = DIGITS) -> Any:
    """Numbers to the digits that they mean, in anything that JSON knows.

    Beside an `error` a number has the places of that error, which has four digits; a p-value has
    four, any other number six; whole numbers stay.  That is two more than a page shows: with one
    more, of twenty numbers one is rounded twice, from 5.2504 to 5.25 to 5.2.
    Processors add in different orders: between one without vector instructions and AVX-512 the
    numbers differ by 1e-8 at most, so that hardly one of thousands is written otherwise.
    """
    if isinstance(x, dict):
        errors = {k: x[name] for name, own in IN_UNITS_OF.items() if x.get(name) for k in own}
        return {
            k: _placed(v, errors[k])
            if k in errors
            else rounded(v, OF_P if _is_p_value(k, v) else digits)
            for k, v in x.items()
        }
    if isinstance(x, list | tuple):
        return [rounded(each, digits) for each in x]
    if not isinstance(x, float):
        return x
    return (x if x.is_integer() else float(f"{x:.{digits}g}")) + 0.0  # no minus before a zero


def _is_p_value(name: str, x: Any) -> bool:
    """By its name; p alone may be a size, with results in it."""
    return name.startswith("p_") or name.endswith("_p") or (name == "p" and isinstance(x, float))


def _placed(x: Any, error: Any) -> Any:
    """To the place of the last digit of an error; of every entry where there is a list of them."""
    if not error or x is None:
        return rounded(x)
    if isinstance(error, list):
        return [_placed(*pair) for pair in zip(x, error, strict=True)]
    if isinstance(x, list):
        return [_placed(each, error) for each in x]
    # The exponent after rounding: 0.0996 is 0.10, with one place less.
    return round(x, OF_ERROR - 1 - int(f"{error:.{OF_ERROR - 1}e}".split("e")[1])) + 0.0


def falls(verdict: hc.Verdict) -> bool:
    """Whether heights fall, from the first to the last or behind a maximum between them.

    The sizes of a set are in different regimes, so that such heights answer nothing on divergence.
    """
    data = verdict.data
    lost = data.heights[0] - data.heights[-1]
    down = lost > FALL * np.hypot(data.errors[0], data.errors[-1])
    return bool(down or np.isfinite(verdict.hump_at))


def note(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"{text}\n")
