"""Equations as MathML, by the converter that comes with docutils.

MathJax would be taken from the network when a page is read, or be shipped with it (tens of
megabytes); browsers have drawn MathML by themselves since 2023.  The font, which they may lack,
is in _static.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from xml.etree import ElementTree as ET

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

LOG = logging.getLogger(__name__)
XMLNS = "http://www.w3.org/1998/Math/MathML"
ROWS = {f"{{{XMLNS}}}{name}" for name in ("math", "mrow", "mtd", "msqrt")}
FUNCTIONS = {"arccos", "exp", "ln"}
BRACKETS = ("⟨", "⟩", "|")  # stretched only by left and right in TeX, always in MathML
ENTITY = re.compile(r"&(?!amp;|lt;|gt;|quot;)[a-zA-Z]+;")  # of HTML; XML knows the others
THIN = "0.17em"
APPLY = "\N{FUNCTION APPLICATION}"  # invisible, after every name of a function


def converted(tex: str, node: nodes.Element, *, display: bool) -> str:
    """MathML of `tex`; one that cannot be converted is a warning, and so fails the build."""
    try:
        text = latex2mathml.tex2mathml(tex, as_block=display)
    except MathError as error:
        LOG.warning("equation %r: %s", tex, error, location=node)
        return "<code></code>"
    tree = ET.fromstring(ENTITY.sub(lambda name: unescape(name[0]), text))
    for element in tree.iter():
        if element.tag in ROWS:
            _space(element)
        if element.text in BRACKETS:
            element.attrib |= {"stretchy": "false", "lspace": "0", "rspace": "0"}
    ET.register_namespace("", XMLNS)
    return ET.tostring(tree, encoding="unicode")


def _space(row: ET.Element) -> None:
    """Thin spaces about names of functions, which TeX puts there and the converter does not."""
    for i in reversed(range(len(row))):
        if row[i].text not in FUNCTIONS:
            continue
        after = [each.text for each in row[i + 1 : i + 3] if each.text != APPLY]
        if after and after[0] != "(":
            row.insert(i + 1, ET.Element(f"{{{XMLNS}}}mspace", width=THIN))
        if i > 0 and not row[i - 1].tag.endswith(("mo", "mspace")):
            row.insert(i, ET.Element(f"{{{XMLNS}}}mspace", width=THIN))


def inline(self: Any, node: nodes.math) -> None:
    self.body.append(converted(node.astext(), node, display=False))
    raise nodes.SkipNode


def display(self: Any, node: nodes.math_block) -> None:
    tex = converted(node.astext(), node, display=True)
    self.body.append(f'<div class="math">{tex}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
