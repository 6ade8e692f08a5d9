"""Docstrings are written to be read in a terminal; this makes them reStructuredText.

Lines that are set off by indenting them are equations or code, without the `::` that the markup
wants, and |x| is an absolute value, not a substitution.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.docstrings import prepare_docstring

UNDERLINE = re.compile(r"^-{3,}$")
NOT_TEXT = (" ", "* ", "- ", "..")
# In double or single backticks a backslash would be printed.
ABSOLUTE = re.compile(r"(``.*?``|`.*?`)|(?<!\\)\|(?=\S)([^|`]+)(?<!\\)\|")


def mend(_app: Sphinx, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Mark set-off blocks above the first section, and escape absolute values elsewhere."""
    head = next((i - 1 for i, line in enumerate(lines) if UNDERLINE.match(line)), len(lines))
    language = "python" if what == "module" else "none"
    mended: list[str] = []
    for i, line in enumerate(lines):
        set_off = i < head and line.startswith("    ")
        if set_off and i > 0 and not lines[i - 1].strip() and _after_text(lines[:i]):
            mended += [f".. code-block:: {language}", ""]
        mended.append(line if set_off else ABSOLUTE.sub(_escaped, line))
    lines[:] = mended


def _after_text(above: list[str]) -> bool:
    """Whether the last line that is not blank is plain text at the margin."""
    last = next((line for line in reversed(above) if line.strip()), " ")
    return not last.startswith(NOT_TEXT) and not last.endswith("::")


def _escaped(found: re.Match[str]) -> str:
    return found[1] or rf"\|{found[2]}\|"


def restore(_app: Sphinx, what: str, _name: str, obj: Any, _opt: Any, lines: list[str]) -> None:
    """A property's text as it was: napoleon takes what stands before a colon for a type."""
    if what == "property" and (text := getattr(obj, "__doc__", None)):
        lines[:] = [ABSOLUTE.sub(_escaped, line) for line in prepare_docstring(text)]


def setup(app: Sphinx) -> dict[str, Any]:
    # Before napoleon, which takes the sections apart.
    app.connect("autodoc-process-docstring", mend, priority=100)
    app.connect("autodoc-process-docstring", restore, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
