"""Text of others, fit to show: what it says is seen, and does nothing where it is shown.

Names of runs, parameters, columns and files come from elsewhere.  A terminal obeys control
characters, a spreadsheet computes cells that begin like a formula, matplotlib sets what stands
between dollars; every place that shows such text goes through one of these functions.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["cell", "csv", "legible", "literal", "plain"]

# Also the wide forms, which spreadsheets of some languages take for the same, and behind spaces
# and quotes, which some strip.
_FORMULA = re.compile(r"""[\s"]*[=+\-@\t\r\n＝＋－＠]""")
# Where this separates cells, quotes that began after a comma hold nothing together.
_SEPARATOR = ";"

# Letters and marks without a shape; all else that cannot be seen Python calls unprintable.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U00013441\U00013442\U00016fe4\U0001d159\U000e0100-\U000e01ef]"
)
_COLOURED = "\ufe0f"


def plain(text: str, *, lines: bool = False) -> str:
    r"""Show characters that cannot be seen: controls, direction, zero width, lone surrogates.

    Parameters
    ----------
    text : str
    lines : bool
        Keep line breaks.

    Returns
    -------
    str
        With ``\x1b``, ``\u202e`` and the like in their place; spaces of any width stay.
    """
    if text.isprintable() and not _BLANK.search(text):
        return text
    before = ("", *text)
    return "".join(
        c if _seen(c, last) or (lines and c == "\n") else _shown(c)
        for c, last in zip(text, before, strict=False)
    )


def _seen(c: str, last: str) -> bool:
    if c == _COLOURED:
        return _is_plain_symbol(last)
    return not _BLANK.match(c) and (c.isprintable() or unicodedata.category(c) == "Zs")


def _is_plain_symbol(c: str) -> bool:
    """Whether a symbol has no colour of its own, and has one as an emoji: a heart, a sun."""
    in_blocks = "\u2600" <= c <= "\u27bf" or "\U0001f000" <= c <= "\U0001faff"
    return in_blocks and unicodedata.east_asian_width(c) == "N"


def _shown(c: str) -> str:
    return c.encode("unicode_escape").decode("ascii")


def literal(text: str) -> str:
    """As a label of a figure, in which no dollar begins a formula."""
    return plain(text).replace("$", r"\$")


# ---- tables --------------------------------------------------------------------------------


def cell(text: str) -> str:
    """Cell of a CSV file that no spreadsheet computes: ``=1+1`` becomes ``'=1+1``.

    So does what stands behind a semicolon, which separates cells where commas are decimal.
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
    """A table as CSV, all text in quotes; warns if there is text that begins like a formula."""
    import numpy as np
    import pandas as pd

    changed: list[str] = []

    def written(value: Any) -> str:
        if isinstance(value, str):
            if (said := cell(value)) != plain(value):
                changed.append(said)
            return '"' + said.replace('"', '""') + '"'
        if pd.isna(value):
            return ""
        return float_format % value if isinstance(value, float | np.floating) else str(value)

    header = [written(name) for name in table.columns]
    columns = [map(written, table.iloc[:, k].array) for k in range(table.shape[1])]
    rows = [header, *zip(*columns, strict=True)]
    # A line without anything would be none.
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
    """Observables with all names and texts in one line each; the same ones where they are."""
    names = [str(name) for name in obs.variables]
    new = {a: b for a, b in zip(names, _apart(names), strict=True) if a != b}
    out = obs.rename(new) if new else obs
    for name in map(str, out.variables):
        values = out[name].to_numpy()
        if values.dtype.kind not in "OUS":
            continue
        before = values.ravel().tolist()
        said = [plain(each) if isinstance(each, str) else each for each in before]
        if said != before:
            said = _apart(before) if values.ndim == 1 and out[name].dims == (name,) else said
            filled = out[name].variable.copy(data=_array(said).reshape(values.shape))
            out = out.assign_coords({name: filled}) if name in out.coords else (
                out.assign({name: filled})
            )  # fmt: skip
    attrs = {key: plain(text) if isinstance(text, str) else text for key, text in out.attrs.items()}
    return out.assign_attrs(attrs)


def _apart(names: list[str]) -> list[str]:
    """Names in one line each, that differ if they differed."""
    taken = {name for name in names if plain(name) == name}
    out = []
    for name in names:
        said = plain(name)
        if said != name:
            while said in taken:
                said += "~"
            taken.add(said)
        out.append(said)
    return out


def _array(values: list[Any]) -> Any:
    import numpy as np

    return np.array([*values, None], dtype=object)[:-1]
