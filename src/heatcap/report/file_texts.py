"""Texts that come from files: fit for a page, and for figures that read dollars as formulas."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text

from heatcap.figures.names import spoken

__all__ = ["clean", "literal", "printable"]

# Those that XML 1.0 has no place for, escaped or not: control characters and lone surrogates.
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Control characters as the sign for a character that cannot be shown."""
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def printable(obs: xr.Dataset) -> xr.Dataset:
    """Observables whose names and texts can stand on a page; the same ones where all can."""
    new = {str(name): clean(str(name)) for name in obs.variables if str(name) != clean(str(name))}
    out = obs.rename(new) if new else obs
    for name in map(str, out.variables):
        values = out[name].to_numpy()
        if values.dtype.kind not in "OUS":
            continue
        said = [_clean(each) for each in values.ravel().tolist()]
        if said != values.ravel().tolist():
            filled = np.array([*said, None], dtype=object)[:-1].reshape(values.shape)
            out = (
                out.assign_coords({name: (out[name].dims, filled)})
                if name in out.coords
                else (out.assign({name: (out[name].dims, filled)}))
            )
    return out.assign_attrs({key: _clean(value) for key, value in out.attrs.items()})


def _clean(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value


def literal(figure: Figure, texts: Collection[str]) -> None:
    """Keep dollars of given texts from being read as formulas, wherever a figure shows them.

    Parameters
    ----------
    figure : Figure
    texts : collection of str
        Names from files; labels of the figure that hold none of them keep their formulas.
    """
    risky = {form for text in texts if "$" in text for form in (text, spoken(text))}
    single = {f"${text}$" for text in texts if len(text) == 1 and not text.isalnum()}
    for artist in figure.findobj(Text):
        said = artist.get_text()
        for text in single:
            said = said.replace(text, text[1:-1])
        for text in sorted(risky, key=len, reverse=True):
            said = re.sub(rf"(?<!\\){re.escape(text)}", lambda m: m[0].replace("$", r"\$"), said)
        artist.set_text(said)
        if not _parses(said):
            artist.set_parse_math(False)


def _parses(text: str) -> bool:
    """Whether every line is plain, or a formula that can be read."""
    try:
        for line in filter(is_math_text, text.split("\n")):
            MathTextParser("path").parse(line)
    except ValueError:
        return False
    return True
