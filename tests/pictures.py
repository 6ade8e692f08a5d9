"""What tests of figures look at: artists by name, words, and where texts lie on the page."""

from __future__ import annotations

import itertools
from unittest import mock

from matplotlib.text import Text

__all__ = ["gids", "overlapping", "words"]


def gids(figure, *names):
    """Artists that are drawn under one of these names."""
    return [artist for artist in figure.findobj() if artist.get_gid() in names]


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text))


def overlapping(figure):
    """Pairs of texts that overlap on the canvas, and texts that leave it, of those drawn."""
    boxes, paint = {}, Text.draw

    def recorded(self, renderer, *args, **kwargs):
        if self.get_visible() and self.get_text().strip():
            boxes[self] = self.get_window_extent(renderer).padded(-0.5)
        return paint(self, renderer, *args, **kwargs)

    with mock.patch.object(Text, "draw", recorded):
        figure.draw_without_rendering()
    assert len(boxes) > 8
    page = figure.bbox.padded(1.0)
    outside = [
        text.get_text()
        for text, box in boxes.items()
        if not (page.contains(*box.min) and page.contains(*box.max))
    ]
    pairs = itertools.combinations(boxes, 2)
    return outside + [(a.get_text(), b.get_text()) for a, b in pairs if boxes[a].overlaps(boxes[b])]
