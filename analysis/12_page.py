"""results.json and templates -> docs/study.md, captions for LaTeX: no number is typed by hand.

A sentence that interprets numbers stands in the template as a claim with its condition:
`claim(condition, "words")` gives the words, and stops the page where the condition fails.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

import jinja2
from study import read_json

from heatcap.core.text import plain
from heatcap.core.writing import write_bytes, write_text

HERE = Path(__file__).parent
FOLDER = "images/study"


COLUMNS = {
    "who": "who",
    "setup": "set-up",
    "quantity": "quantity",
    "found": "what was found",
    "said": "in the words of the audit",
    "status": "source",
}


class ClaimError(ValueError):
    """A sentence of the template does not hold for these results."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--figures", type=Path, help="folder of PNG files to put beside the page")
    parser.add_argument("--captions", type=Path, help="LaTeX file with a macro for every caption")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    results = read_json(given.results)
    text = page(results)
    if given.figures:
        folder = given.output.parent / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for name in captions(results):
            write_bytes(folder / f"{name}.png", (given.figures / f"{name}.png").read_bytes())
    if given.captions:
        lines = [rf"\newcommand{{\{macro(k)}}}{{{tex(v)}}}" for k, v in captions(results).items()]
        head = "% for XeLaTeX or LuaLaTeX: Greek letters are written as such"
        write_text(given.captions, "\n".join([head, *lines]) + "\n")
    write_text(given.output, text)


def page(results: dict[str, Any]) -> str:
    """The study, as Markdown."""
    said = captions(results)
    shown: list[str] = []

    def figure(name: str) -> str:
        if name not in said:
            raise ClaimError(f"figure {name} was not drawn, or has no caption")
        shown.append(name)
        text = said[name]
        first = text.split(". ")[0].rstrip(".")
        return f"![{first}]({FOLDER}/{name}.png)\n\n*Figure {len(shown)}. {text}*"

    template = environment().get_template("study.md.j2")
    text = template.render(results, figure=figure, literature=literature())
    if forgotten := set(said) - set(shown):
        raise ClaimError(f"captions without a place on the page: {', '.join(sorted(forgotten))}")
    return text


def captions(results: dict[str, Any]) -> dict[str, str]:
    """Caption of every figure that was drawn: some verdicts need more sizes than there are."""
    templates = tomllib.loads((HERE / "captions.toml").read_text())
    made = environment()
    return {
        name: " ".join(made.from_string(text).render(results).split())
        for name, text in templates.items()
        if name in results["figures"]
    }


def literature() -> dict[str, Any]:
    """What others measured, as a table."""
    works = tomllib.loads((HERE / "literature.toml").read_text())["work"]
    return {"columns": [*COLUMNS.values()], "rows": [[w[k] for k in COLUMNS] for w in works]}


def environment() -> jinja2.Environment:
    """Templates in which an unknown name is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Markdown and LaTeX, from our own numbers
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals.update(claim=claim, table=markdown, answers=answers)
    made.filters.update(whole=lambda x: f"{x:,.0f}", percent=lambda x: f"{x:.0%}")
    return made


def shaken(found: dict[str, Any]) -> bool:
    """Whether a verdict says that its guarantee does not hold."""
    return any("guarantee does not hold" in text for text in found.get("cautions", []))


def answers(verdicts: dict[str, Any], names: list[str], spoken: dict[str, str]) -> str:
    """Both parts of the verdicts by definition; those whose heights fall together."""
    fallen = [name for name in names if verdicts[name]["falls"]]
    said = [f"{spoken[name]} {answer(verdicts[name])}" for name in names if name not in fallen]
    if fallen:
        which = ", ".join(spoken[name] for name in fallen) if said else "all definitions"
        said.append(f"**no answer** from heights that fall ({which})")
    return "; ".join(said)


def answer(found: dict[str, Any]) -> str:
    """A verdict, with what is not excluded where that is more than it says."""
    word = f"**{found['verdict']}**" + ("†" if shaken(found) else "")
    both = [" or ".join(found[part]) for part in ("plausible", "if_no_crossover")]
    if not both[0] or both == [found["verdict"]] * 2:
        return word
    if both[0] == both[1]:
        return f"{word} ({both[0]}, with and without a crossover inside the sizes)"
    return f"{word} ({both[0]}; if there is no crossover {both[1] or 'no class fits'})"


def claim(condition: Any, words: str) -> str:
    """The words, if the condition holds."""
    if not condition:
        raise ClaimError(f"does not hold for these results: {words}")
    return words


def markdown(table: dict[str, Any], *, without: str = "", **only: str) -> str:
    """A table of the results: rows in which the columns named in `only` have these values."""
    columns = table["columns"]
    kept = [c for c in columns if c not in only and c != without]
    lines = ["| " + " | ".join(kept) + " |", "|" + " --- |" * len(kept)]
    for row in table["rows"]:
        values = dict(zip(columns, row, strict=True))
        if all(values[key] == value for key, value in only.items()):
            lines.append("| " + " | ".join(str(values[c]) for c in kept) + " |")
    if len(lines) == 2:
        raise ClaimError(f"no row of the table has {only}")
    return "\n".join(lines)


def macro(name: str) -> str:
    """A name that TeX allows: letters alone."""
    digits = dict(zip("0123456789", "OABCDEFGHI", strict=True))
    words = "".join(digits.get(c, c) for c in name).replace("_", " ").title()
    return "caption" + words.replace(" ", "")


def tex(text: str) -> str:
    """Text with the characters that TeX takes for itself escaped."""
    own = {c: f"\\{c}" for c in "%&_#${}"}
    own |= {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    return "".join(own.get(c, c) for c in plain(text))


if __name__ == "__main__":
    main()
