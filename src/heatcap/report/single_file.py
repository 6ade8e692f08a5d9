"""Pages in a single HTML file that loads nothing: template, styles, script and data put together.

Text is escaped by the templates.  The policy of a page lets its one script run, by its hash, and
forbids every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from heatcap.core.version import VERSION
from heatcap.report.plans import CARD, shades

__all__ = ["embedded", "page_of"]


def page_of(
    name: str,
    *,
    title: str,
    colours: Iterable[str] = (),
    filters: Mapping[str, Callable[..., Any]] | None = None,
    **content: Any,
) -> str:
    """Fill the template of a page, with the style and the script of its name.

    Parameters
    ----------
    name : str
        Stem of ``NAME.html.jinja``, ``NAME.css`` and ``NAME.js``.
    title : str
    colours : iterable of str
        Hexadecimal, without the sign: each is a variable ``--c-RRGGBB`` with a shade for the dark
        theme.
    filters : mapping of callables, optional
        Of the template.
    **content
        Variables of the template.
    """
    environment = Environment(
        loader=PackageLoader("heatcap.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters or {})
    script = _asset("theme.js") + _asset(f"{name}.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(f"{name}.html.jinja").render(
        title=title,
        version=VERSION,
        # Markup: ours, without any text from files.
        style=Markup(_asset("page.css") + _asset(f"{name}.css")),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        colours=shades(frozenset(colours)),
        card="".join(f"{channel:02x}" for channel in CARD),
        **content,
    )


def embedded(data: Any) -> Markup:
    """Write data as JSON for an element ``script``, without signs of a tag."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _asset(name: str) -> str:
    """Read a file beside the templates."""
    path = resources.files("heatcap.report") / "templates" / name
    return path.read_text(encoding="utf-8")
