"""Foreign text made safe to show: on terminals, in spreadsheets and in figures.

Names of runs, parameters, columns and files come from elsewhere.  A terminal obeys control
characters, a spreadsheet computes cells that begin like a formula, matplotlib typesets text between
dollars.  `plain` is for terminals, `cell` and `csv` for tables, `literal` for figures, `legible`
for whole Datasets.  `few` keeps a list of complaints short.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["cell", "csv", "few", "legible", "literal", "plain"]

# Also the wide forms, which spreadsheets in some languages accept, and after spaces and quotes,
# which some strip.
_FORMULA = re.compile(r"""[\s"]*[=+\-@\t\r\n＝＋－＠]""")
# Where it separates cells, quotes that open after a comma do not protect them.
_SEPARATOR = ";"

# Letters and marks without a shape; Python knows all other invisible ones as unprintable.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U00013441\U00013442\U00016fe4\U0001d159\U000e0100-\U000e01ef]"
)
_COLOURED = "\ufe0f"


def plain(text: str, *, lines: bool = False) -> str:
    r"""Escape invisible characters: controls, direction, zero width, lone surrogates.

    Parameters
    ----------
    text : str
    lines : bool
        Keep line breaks.

    Returns
    -------
    str
        With ``\x1b``, ``\u202e`` and similar in their place; spaces of any width stay.
    """
    if text.isprintable() and not _BLANK.search(text):
        return text
    before = ("", *text)
    return "".join(
        c
        if _visible(c, last) or (lines and c == "\n")
        else c.encode("unicode_escape").decode("ascii")
        for c, last in zip(text, before, strict=False)
    )


def few(complaints: Sequence[str], most: int = 3) -> str:
    """Join the first complaints, and count the others."""
    others = len(complaints) - most
    return "; ".join(complaints[:most]) + (f"; and {others} more" if others > 0 else "")


def _visible(c: str, last: str) -> bool:
    if c == _COLOURED:
        return _is_plain_symbol(last)
    return not _BLANK.match(c) and (c.isprintable() or unicodedata.category(c) == "Zs")


def _is_plain_symbol(c: str) -> bool:
    """Whether a symbol is black by itself and coloured as an emoji: a heart, a sun."""
    in_blocks = "\u2600" <= c <= "\u27bf" or "\U0001f000" <= c <= "\U0001faff"
    return in_blocks and unicodedata.east_asian_width(c) == "N"


def literal(text: str) -> str:
    """Escape text for a label of a figure, where dollars would begin a formula."""
    return plain(text).replace("$", r"\$")


# ---- tables --------------------------------------------------------------------------------


def cell(text: str) -> str:
    """Escape a cell of CSV against formulas: ``=1+1`` becomes ``'=1+1``.

    So does text after a semicolon, which separates cells where commas are decimal.
    """
    if _is_number(text):
        return plain(text)
    parts = text.split(_SEPARATOR)
    return _SEPARATOR.join(("'" if _FORMULA.match(part) else "") + plain(part) for part in parts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isprintable()


def csv(table: pd.DataFrame, float_format: str = "%s") -> str:
    """Write a table as CSV, all text in quotes; warn of text that begins like a formula."""
    import numpy as np
    import pandas as pd

    changed: list[str] = []

    def written(value: Any) -> str:
        if isinstance(value, str):
            if (escaped := cell(value)) != plain(value):
                changed.append(escaped)
            return '"' + escaped.replace('"', '""') + '"'
        if pd.isna(value):
            return ""
        return float_format % value if isinstance(value, float | np.floating) else str(value)

    header = [written(name) for name in table.columns]
    columns = [map(written, table.iloc[:, k].array) for k in range(table.shape[1])]
    rows = [header, *zip(*columns, strict=True)]
    # An empty line would not count as a row.
    text = "".join((",".join(row) or '""') + "\n" for row in rows)
    if changed:
        warnings.warn(
            f"text that begins like a formula has a ' before it in the CSV: {changed[0]}"
            + (f", and {len(changed) - 1} more" if len(changed) > 1 else ""),
            stacklevel=3,
        )
    return text


# ---- observables ---------------------------------------------------------------------------


def legible(obs: xr.Dataset) -> xr.Dataset:
    """Escape all names and texts of a Dataset; one that needs no change is returned as it is."""
    import numpy as np

    names = [str(name) for name in obs.variables]
    new = {a: b for a, b in zip(names, _apart(names), strict=True) if a != b}
    out = obs.rename(new) if new else obs
    for name in map(str, out.variables):
        values = out[name].to_numpy()
        if values.dtype.kind not in "OUS":
            continue
        before = values.ravel().tolist()
        shown = [plain(value) if isinstance(value, str) else value for value in before]
        if shown != before:
            shown = _apart(before) if values.ndim == 1 and out[name].dims == (name,) else shown
            # None at the end keeps NumPy from making an array of more dimensions, of sequences.
            array = np.array([*shown, None], dtype=object)[:-1]
            filled = out[name].variable.copy(data=array.reshape(values.shape))
            out = out.assign_coords({name: filled}) if name in out.coords else (
                out.assign({name: filled})
            )  # fmt: skip
    attrs = {key: plain(text) if isinstance(text, str) else text for key, text in out.attrs.items()}
    return out.assign_attrs(attrs)


def _apart(names: list[str]) -> list[str]:
    """Escaped names; different ones stay different."""
    taken = {name for name in names if plain(name) == name}
    out = []
    for name in names:
        line = plain(name)
        if line != name:
            while line in taken:
                line += "~"
            taken.add(line)
        out.append(line)
    return out
