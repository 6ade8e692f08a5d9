"""The page itself: templates filled with text that is escaped, and a policy that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from heatcap.core.text import plain
from heatcap.core.version import VERSION
from heatcap.core.writing import write_text
from heatcap.figures.names import spoken
from heatcap.report.definitions import SYMBOLS, definitions_of
from heatcap.report.drawing import CARD, Picture, drawn, shades
from heatcap.report.findings import Findings
from heatcap.report.methods import bibtex, fluctuations, methods
from heatcap.report.plans import plans_of
from heatcap.report.tables import (
    Cell,
    Heading,
    Table,
    classes_of,
    exponents_of,
    heads_of,
    peaks_of,
    runs_of,
    sizes_table,
)

__all__ = ["Report"]

Progress = Callable[[int, int], None]

LIBRARIES = ("numpy", "scipy", "pandas", "xarray", "statsmodels", "matplotlib")


@dataclass(frozen=True, eq=False)
class Report(Findings):
    """Answers about saved runs, with what they rest on, and the page that shows them.

    The attributes are those of :class:`heatcap.report.findings.Findings`.
    """

    def html(self, *, progress: Progress | None = None) -> str:
        """The page; equal results give equal text.

        Parameters
        ----------
        progress
            Called with (figures drawn, figures in all).
        """
        return _page(self, progress)

    def save(self, path: str | os.PathLike[str], *, progress: Progress | None = None) -> Path:
        """Write the page; the file appears when it is complete.

        Raises
        ------
        ValueError
            If the path does not end in .html or .htm.
        """
        target = Path(path)
        if target.suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"{target}: a report is written as .html, got {target.suffix!r}")
        write_text(target, self.html(progress=progress))
        return target

    def __repr__(self) -> str:
        runs = len(self.events.runs)
        return f"<heatcap.Report: {runs} runs, {len(self.answers)} observables; see .save(path)>"


def _page(report: Findings, progress: Progress | None) -> str:
    """HTML of a report, complete in itself."""
    plans = plans_of(report)
    pictures = []
    for done, plan in enumerate(plans, start=1):
        pictures.append(drawn(plan))
        if progress:
            progress(done, len(plans))
    environment = Environment(
        loader=PackageLoader("heatcap.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["spoken"] = spoken
    script = _asset("report.js")
    colours = frozenset().union(*(p.image.colours for p in pictures if p.image))
    return environment.get_template("report.html.jinja").render(
        report=report,
        pictures=[_framed(each) for each in pictures],
        tables=_tables(report),
        margins=_margins(report),
        symbols=SYMBOLS,
        definitions=definitions_of(each.observable for each in report.answers),
        fluctuations=fluctuations(report),
        methods=methods(report),
        bibtex=bibtex(),
        versions=_versions(report),
        made_by=_several(report, "command", "commands"),
        runs=_runs(report),
        # Markup: ours, without any text from runs.
        style=Markup(_asset("report.css")),
        colours=shades(colours),
        card="".join(f"{each:02x}" for each in CARD),
        script=Markup(script),
        script_hash=_integrity(script),
    )


def _asset(name: str) -> str:
    path = resources.files("heatcap.report") / "templates" / name
    return path.read_text(encoding="utf-8")


def _integrity(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _framed(picture: Picture) -> dict[str, Any]:
    """A picture with its drawing, which is ours, and its data, in which no tag can begin or end."""
    data = json.dumps(picture.panels, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    image = picture.image
    return {
        "picture": picture,
        "svg": Markup(image.text) if image else None,
        "width": image.width if image else 0,
        "height": image.height if image else 0,
        "data": Markup(data),
    }


def _margins(report: Findings) -> str:
    return next((each.margins.summary() for each in report.verdicts.values()), "")


def _versions(report: Findings) -> list[tuple[str, str]]:
    made = _several(report, "heatcap_version", "versions")
    own = [("heatcap", VERSION)]
    if set(made) - {VERSION}:
        own.append(("heatcap that made the observables", ", ".join(made)))
    return own + [(name, version(name)) for name in LIBRARIES]


def _several(report: Findings, single: str, several: str) -> list[str]:
    """An attribute of the observables, of every file where several were joined."""
    attrs = report.obs.attrs
    if several in attrs:
        return [plain(str(each)) for each in json.loads(attrs[several])]
    return [str(attrs[single])] if attrs.get(single) else []


def _tables(report: Findings) -> list[Table]:
    """Those that have a row."""
    events, audit, verdicts = report.events, report.audit, report.verdicts
    found = [runs_of(events), peaks_of(events), sizes_table(events, audit), heads_of(audit)]
    found += [classes_of(verdicts), exponents_of(verdicts)]
    return [table for table in found if table.rows]


def _runs(report: Findings) -> Table | None:
    """Run files with their checksums."""
    obs = report.obs
    if "checksum" not in obs:
        return None
    paths = obs["path"].to_numpy() if "path" in obs else [""] * obs.sizes["run"]
    rows = [
        [Cell(str(each), str(each)) for each in row]
        for row in zip(obs["run"].to_numpy(), paths, obs["checksum"].to_numpy(), strict=True)
    ]
    head = [Heading("run"), Heading("file"), Heading("SHA-256")]
    return Table("files", "Run files", "As they were read by `heatcap observe`.", head, rows)
