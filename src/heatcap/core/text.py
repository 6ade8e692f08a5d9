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

# Also the wide forms, which spreadsheets of some languages take for the same.
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")


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
    if text.isprintable():
        return text
    return "".join(c if _seen(c) or (lines and c == "\n") else _shown(c) for c in text)


def _seen(c: str) -> bool:
    return c.isprintable() or unicodedata.category(c) == "Zs"


def _shown(c: str) -> str:
    return c.encode("unicode_escape").decode("ascii")


def literal(text: str) -> str:
    """As a label of a figure, in which no dollar begins a formula."""
    return plain(text).replace("$", r"\$")


# ---- tables --------------------------------------------------------------------------------


def cell(text: str) -> str:
    """Cell of a CSV file that no spreadsheet computes: ``=1+1`` becomes ``'=1+1``."""
    return f"'{plain(text)}" if _FORMULA.match(text) and not _is_number(text) else plain(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isprintable()


def csv(table: pd.DataFrame, **options: Any) -> str:
    """A table as CSV without its index; warns if there is text that begins like a formula."""
    changed: list[str] = []

    def safe(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if (said := cell(value)) != plain(value):
            changed.append(said)
        return said

    out = table.rename(columns=safe)
    for k in range(out.shape[1]):
        column = out.iloc[:, k].tolist()
        if any(isinstance(value, str) for value in column):
            out.isetitem(k, [safe(value) for value in column])
    if changed:
        warnings.warn(
            f"text that begins like a formula has a ' before it in the CSV: {changed[0]}"
            + (f", and {len(changed) - 1} more" if len(changed) > 1 else ""),
            stacklevel=3,
        )
    return str(out.to_csv(index=False, lineterminator="\n", **options))


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
    taken = {name for name in names if name.isprintable()}
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
