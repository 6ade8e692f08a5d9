"""What the extensions of the documentation do to docstrings and to equations."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("sphinx", reason="the documentation is built with Sphinx")

from docutils import nodes

FOLDER = Path(__file__).parents[2] / "docs" / "_ext"
MATH = "{http://www.w3.org/1998/Math/MathML}"


def extension(name):
    spec = importlib.util.spec_from_file_location(f"ext_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


docstrings, mathml = map(extension, ("docstrings", "mathml"))


class App:
    """What a setup asks of Sphinx."""

    def __init__(self):
        self.connected, self.renderers = [], {}

    def connect(self, event, call, priority):
        self.connected.append((priority, event, call))

    def add_html_math_renderer(self, name, *pairs):
        self.renderers[name] = pairs


def mended(*lines, what="function"):
    found = list(lines)
    docstrings.mend(None, what, "", None, None, found)
    return found


# ---- docstrings ----------------------------------------------------------------------------


def test_what_is_set_off_becomes_a_block():
    assert mended("Title.", "", "    C = Var E", "", "More.") == [
        *("Title.", "", ".. code-block:: none", "", "    C = Var E", "", "More.")
    ]


def test_set_off_code_of_a_module_is_python():
    assert ".. code-block:: python" in mended("Title.", "", "    f(x)", what="module")


def test_one_block_is_marked_once():
    assert sum(".. code" in line for line in mended("A.", "", "    x", "    y", "", "    z")) == 1


@pytest.mark.parametrize("above", ["* item", "- item", ".. note::", "As in::", "    code"])
def test_indented_lines_that_belong_to_markup_are_left(above):
    assert mended(above, "", "    text") == [above, "", "    text"]


def test_sections_are_left_to_napoleon():
    lines = ["Title.", "", "Parameters", "----------", "x : float", "", "    Text."]
    assert mended(*lines) == lines


def test_absolute_values_are_no_substitutions():
    assert mended("the share |x - y| and |z|") == [r"the share \|x - y\| and \|z\|"]
    assert mended("``|x|`` and `|y|`") == ["``|x|`` and `|y|`"]
    assert mended("a | b | c") == ["a | b | c"]
    assert mended(r"\|x\|") == [r"\|x\|"]


def test_a_property_keeps_what_stands_before_its_colon():
    class Thing:
        @property
        def width(self):
            """Width: |left - right|."""

    lines = ["napoleon took this apart"]
    docstrings.restore(None, "property", "", Thing.width, None, lines)
    assert lines[0] == r"Width: \|left - right\|."
    kept = ["text"]
    docstrings.restore(None, "method", "", Thing.width, None, kept)
    assert kept == ["text"]


def test_docstrings_are_mended_before_napoleon_and_properties_after():
    app = App()
    assert docstrings.setup(app)["parallel_read_safe"]
    first, last = sorted(app.connected, key=lambda each: each[0])
    assert first[2] is docstrings.mend
    assert last[2] is docstrings.restore
    assert first[0] < 500 < last[0]  # that of napoleon


# ---- equations -----------------------------------------------------------------------------


def tree(tex, *, display=False):
    return ET.fromstring(mathml.converted(tex, nodes.math(), display=display))


def test_an_equation_is_mathml_by_itself():
    found = tree(r"C = \beta^2", display=True)
    assert found.tag == f"{MATH}math"
    assert found.get("display") == "block"
    assert "".join("".join(found.itertext()).split()) == "C=β2"


def test_names_of_functions_stand_apart():
    spaces = [e for e in tree(r"a \ln n").iter() if e.tag == f"{MATH}mspace"]
    assert [each.get("width") for each in spaces] == [mathml.THIN] * 2
    assert not [e for e in tree(r"\ln(n)").iter() if e.tag == f"{MATH}mspace"]


def test_angles_do_not_grow():
    brackets = [e for e in tree(r"\langle E \rangle").iter() if e.text in ("⟨", "⟩")]
    assert len(brackets) == 2
    assert all(each.get("stretchy") == "false" for each in brackets)


def test_what_cannot_be_converted_is_a_warning(monkeypatch):
    said = []
    monkeypatch.setattr(mathml.LOG, "warning", lambda *text, **_: said.append(text))
    assert mathml.converted(r"\nosuchthing{x}", nodes.math(), display=False) == "<code></code>"
    assert len(said) == 1
    assert said[0][1] == r"\nosuchthing{x}"


def test_both_kinds_of_equation_are_written_to_the_page():
    app = App()
    mathml.setup(app)
    (inline, _), (display, _) = app.renderers["mathml"]

    class Page:
        body: list

    for call, node, wanted in (
        (inline, nodes.math("", "x"), "<math"),
        (display, nodes.math_block("", "x"), '<div class="math"><math'),
    ):
        page = Page()
        page.body = []
        with pytest.raises(nodes.SkipNode):
            call(page, node)
        assert page.body[0].startswith(wanted)
