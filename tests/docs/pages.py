"""What the tests of the pages share: which pages there are, and what stands in their blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PAGES", "ROOT", "blocks", "commands", "links", "named"]

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "data").rglob("*.md"),
    ]
    if "_build" not in page.parts
)

FENCED = re.compile(r"^(`{3,})([^\n]*)\n(.*?)^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^(?:\$ |!|    )(heatcap(?:-train)? .*)$")


def named(page: Path) -> str:
    """A page in the words of a test's report."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Fenced blocks: the first word after the fence, and the text without options of cells."""
    for _, kind, text in FENCED.findall(page.read_text("utf-8")):
        yield kind.split(" ")[0], re.sub(r"\A(:[^\n]*\n)+", "", text)


def links(page: Path) -> list[str]:
    """Targets of links and images, code left out."""
    text = FENCED.sub("", page.read_text("utf-8"))
    return LINK.findall(re.sub(r"^    .*$|`[^`\n]*`", "", text, flags=re.MULTILINE))


def commands(page: Path) -> list[str]:
    """Lines of a shell that call heatcap: in consoles, in cells, or set off by four spaces."""
    text = re.sub(r"\\\n\s*", "", page.read_text("utf-8"))
    found = (COMMAND.match(line) for line in text.splitlines())
    return [match[1].split("   # ")[0].split("  # ")[0].strip() for match in found if match]
