"""A figure is written twice: as PDF for the page and as PNG for the screen."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib.figure import Figure

from heatcap.core.writing import write_bytes
from heatcap.figures.style import styled

__all__ = ["save"]


def save(figure: Figure, path: str | Path, *, dpi: int = 200) -> tuple[Path, Path]:
    """Write the figure as PDF, with embedded fonts, and as PNG beside it.

    Parameters
    ----------
    figure : Figure
    path : str or Path
        Ends in .pdf or .png or in neither; both files are written in any case.
    dpi : int
        Of the PNG.

    Returns
    -------
    tuple of Path
        The PDF and the PNG.  Equal figures give equal bytes: no date is written.

    Raises
    ------
    ValueError
        If the path ends in the suffix of another format.
    """
    path = Path(path)
    if path.suffix.lower() not in ("", ".pdf", ".png"):
        raise ValueError(f"figures are written as .pdf and .png, got {path.name!r}")
    pdf, png = path.with_suffix(".pdf"), path.with_suffix(".png")
    for part in figure.subfigs:  # whose edges the layout puts at 0 or -0, by chance
        part.patch.set_visible(False)
    page, screen = io.BytesIO(), io.BytesIO()  # both are drawn before one is written
    with styled(), _laid_out(figure):
        figure.savefig(page, format="pdf", metadata={"CreationDate": None})
        figure.savefig(screen, format="png", dpi=dpi)
    write_bytes(pdf, page.getbuffer())
    write_bytes(png, screen.getbuffer())
    return pdf, png


@contextmanager
def _laid_out(figure: Figure) -> Iterator[None]:
    """Make the layout once for both files: it costs as much as drawing."""
    engine = figure.get_layout_engine()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    try:
        yield
    finally:
        figure.set_layout_engine(engine)
