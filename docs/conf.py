"""The site: `make docs` builds it, warnings are errors, the tutorials run while it is built."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import heatcap

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
# Pages run code and commands of this environment, whatever kernels and commands a user has; a
# RuntimeWarning in them is an error (kernels/python3/kernel.json).
os.environ["JUPYTER_PATH"] = str(HERE / "_ext")
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

project = "heatcap"
author = "The heatcap developers"
copyright = "The heatcap developers, BSD-3-Clause"
version = release = heatcap.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "docstrings",
    "mathml",
]
exclude_patterns = ["_build", "_ext"]

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
# As GitHub writes a displayed equation.
myst_fence_as_directive = ["math"]

# Nothing is cached: outputs must belong to the code beside them, and a cache sees only the page.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True

# Types stand in the docstrings, with shapes; a signature with annotations as well is unreadable.
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
# What a result inherits is part of it, as `summary` of a verdict; not so of an exception.
autodoc_default_options = {"inherited-members": "BaseException,Exception,Sequence,Mapping"}
# The recorder's page needs no torch.
autodoc_mock_imports = ["torch"]
autosummary_generate = False
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]
napoleon_use_rtype = False
# `name` in a docstring is a parameter or a column, not a title of a book.
default_role = "code"

# Equations are MathML, written while the site is built: no script, and nothing from the network.
html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "heatcap"
html_static_path = ["_static"]
html_css_files = ["heatcap.css"]
html_show_sourcelink = False
html_sidebars = {"start": []}
html_theme_options = {
    "logo": {"text": "heatcap"},
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "navbar_persistent": ["search-button"],
    "show_prev_next": True,
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def apart(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    """Pages that run code, apart: Sphinx gives pages that stand in a row to one process."""
    pages.sort(key=lambda page: "{code-cell}" not in env.doc2path(page).read_text("utf-8"))
    pages[:] = [page for first in range(app.parallel) for page in pages[first :: app.parallel]]


def setup(app: Sphinx) -> None:
    app.connect("env-before-read-docs", apart)
