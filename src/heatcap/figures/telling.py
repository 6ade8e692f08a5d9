"""What panels and lines stand for, said where they are drawn: for a page that answers a pointer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

__all__ = ["Panel", "entitle", "panel_of", "tell", "words_of"]


@dataclass(frozen=True)
class Panel:
    """What a panel shows, and what its axes are called, without mathematics."""

    title: str
    x: str = "x"
    y: str = "y"


# They live as long as what they speak of.
_PANELS: WeakKeyDictionary[Axes, Panel] = WeakKeyDictionary()
_WORDS: WeakKeyDictionary[Line2D, str | tuple[str, ...]] = WeakKeyDictionary()


def entitle(ax: Axes, title: str, x: str = "x", y: str = "y") -> None:
    """Say what a panel shows."""
    _PANELS[ax] = Panel(title, x, y)


def tell(line: Line2D, words: str | Sequence[str]) -> None:
    """Say what a line stands for, or each of its points."""
    _WORDS[line] = words if isinstance(words, str) else tuple(words)


def panel_of(ax: Axes) -> Panel | None:
    """What a panel shows; None where it was not said."""
    return _PANELS.get(ax)


def words_of(line: Line2D) -> str | tuple[str, ...] | None:
    """Words of a line, or of each of its points; None where it stands for nothing."""
    return _WORDS.get(line)
