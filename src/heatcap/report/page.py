"""Report on saved runs: :func:`build_report` asks every question, :class:`Report` writes the page.

The page is one HTML file that loads nothing; all text from runs is escaped, and equal inputs and
seeds give equal bytes.  :mod:`heatcap.report.findings` holds the answers as data,
:mod:`heatcap.report.plans` the figures, :mod:`heatcap.report.tables` the tables.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr
from markupsafe import Markup

from heatcap.audit import Audit, audit_leads
from heatcap.core.quantities import HEAT_CAPACITY, spoken
from heatcap.core.text import legible, plain
from heatcap.core.version import VERSION
from heatcap.core.writing import html_path, write_text
from heatcap.divergence import (
    Margins,
    Verdict,
    bound_by_keys,
    divergence_test,
    verdict_of_runs,
)
from heatcap.divergence.testing import check_options
from heatcap.events import SMOOTHING, Events, find_events
from heatcap.report.findings import Findings, Source, answers_of, headline
from heatcap.report.methods import SYMBOLS, bibtex, definitions_of, fluctuations, methods
from heatcap.report.plans import Picture, drawn, plans_of
from heatcap.report.single_file import embedded, page_of
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
from heatcap.runfile import checksums

__all__ = [
    "Report",
    "build_report",
    "check_level",
]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Report(Findings):
    """Answers about saved runs, and write the page that shows them.

    The attributes are those of :class:`heatcap.report.findings.Findings`.
    """

    def html(self, *, progress: Progress | None = None) -> str:
        """Return the page as HTML; equal results give equal text.

        Parameters
        ----------
        progress
            Called with (figures drawn, figures in all).
        """
        return _page(self, progress)

    def save(self, path: str | os.PathLike[str], *, progress: Progress | None = None) -> Path:
        """Write the page to a file, which appears when it is complete.

        Raises
        ------
        ValueError
            If the path does not end in .html or .htm.
        """
        target = html_path(path)
        write_text(target, self.html(progress=progress))
        return target

    def __repr__(self) -> str:
        runs = len(self.events.runs)
        return f"<heatcap.Report: {runs} runs, {len(self.answers)} observables; see .save(path)>"


# ---- events, audit and verdicts of saved runs, put together --------------------------------

QUESTION = "Is that peak a phase transition, or a crossover?"


def build_report(
    obs: xr.Dataset,
    *observables: str,
    title: str = "",
    smoothing: float = SMOOTHING,
    level: float = 0.95,
    margins: Margins | None = None,
    rng: int = 0,
    sources: Iterable[str | os.PathLike[str]] = (),
    command: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Find events, audit their order and test the growth of peaks in saved runs.

    A part that has no answer (too few sizes for a verdict, runs that are all controls) does not
    stop the others: `Report.missing` says why.

    Parameters
    ----------
    obs : Dataset (run, checkpoint, ...)
        From `heatcap.load`, `heatcap.observe` or `heatcap.read_scalars`.
    *observables : str
        Names; by default those of :func:`heatcap.find_events`.
    title : str
        Title of the page; a question by default.
    smoothing : float
        Standard deviation of the smoothing kernel in ln step.
    level : float
        How often, at least, the true class is not excluded, for data that the fitted forms
        describe or nearly, at errors that are known.
    margins : Margins, optional
        What separates the classes of growth.
    rng : int
        Seed of permutations and draws; equal inputs and seeds give equal pages.
    sources : iterable of paths
        Files that `obs` was read from; their SHA-256 goes on the page.
    command : str
        How the page was made, if by a command.
    progress : callable, optional
        Called with (parts done, parts in all).

    Returns
    -------
    Report
        Answers as data; :meth:`Report.save` writes the page.

    Raises
    ------
    ValueError
        If `obs` lack what :func:`heatcap.find_events` needs, or the level is not in [0.5, 1).
    """
    tell = progress or (lambda *_: None)
    m = margins or Margins()
    check_level(level)
    obs = legible(obs)
    observables = tuple(map(plain, observables))
    events = find_events(obs, *observables, smoothing=smoothing)
    # Observable and layer of every answer, by the names that the audit gives them.
    places = {name: place for place, name in events.names().items()}
    total = len(places) + 2
    tell(1, total)
    missing: dict[str, str] = {}
    audit = _audit(obs, events, rng, missing)
    tell(2, total)
    verdicts: dict[str, Verdict] = {}
    for done, (name, (observable, layer)) in enumerate(places.items(), start=3):
        try:
            bound = bound_by_keys(obs) if observable == HEAT_CAPACITY else None
            verdicts[name] = verdict_of_runs(
                events, observable, layer=layer, bound=bound, level=level, margins=m, rng=rng
            )
        except ValueError as problem:
            missing[name] = str(problem)
        tell(done, total)
    answers = answers_of(places, events, audit, verdicts, missing)
    settings = dict(events.settings) | {"seed": rng, "level": level, "margins": m.to_dict()}
    return Report(
        title=plain(title) or QUESTION,
        replies=headline(events, answers, audit, verdicts),
        answers=answers,
        events=events,
        audit=audit,
        verdicts=verdicts,
        missing=missing,
        settings=settings,
        sources=[Source(plain(path), digest) for path, digest in checksums(sources).items()],
        command=plain(command),
        obs=obs,
    )


def check_level(level: float) -> None:
    """Check before any work that a verdict at this level can be given.

    Raises
    ------
    ValueError
        If it is not in [0.5, 1), or asks for more draws than a verdict makes.
    """
    check_options(level, inspect.signature(divergence_test).parameters["draws"].default)


def _audit(obs: xr.Dataset, events: Events, seed: int, missing: dict[str, str]) -> Audit | None:
    """Audit of the leads; None where there is none, with the reason in `missing`."""
    try:
        return audit_leads(obs, events, rng=seed)
    except ValueError as problem:
        missing["audit"] = str(problem)
        return None


# ---- the page ------------------------------------------------------------------------------

LIBRARIES = ("numpy", "scipy", "pandas", "xarray", "statsmodels", "matplotlib")


def _page(report: Findings, progress: Progress | None) -> str:
    """HTML of a report, complete in itself."""
    plans = plans_of(report)
    pictures = []
    for done, plan in enumerate(plans, start=1):
        pictures.append(drawn(plan))
        if progress:
            progress(done, len(plans))
    colours = frozenset().union(*(p.image.colours for p in pictures if p.image))
    return page_of(
        "report",
        title=report.title,
        colours=colours,
        filters={"spoken": spoken},
        report=report,
        cautions=report.cautions(),
        pictures=[_framed(picture) for picture in pictures],
        tables=_tables(report),
        margins=next((v.margins.summary() for v in report.verdicts.values()), ""),
        symbols=SYMBOLS,
        definitions=definitions_of(answer.observable for answer in report.answers),
        fluctuations=fluctuations(report),
        methods=methods(report),
        bibtex=bibtex(),
        versions=_versions(report),
        made_by=_several(report, "command", "commands"),
        runs=_runs(report),
    )


def _framed(picture: Picture) -> dict[str, Any]:
    """Picture for the template: its drawing, which is ours, and data without signs of a tag."""
    image = picture.image
    return {
        "picture": picture,
        "svg": Markup(image.text) if image else None,
        "width": image.width if image else 0,
        "height": image.height if image else 0,
        "data": embedded(picture.panels),
    }


def _versions(report: Findings) -> list[tuple[str, str]]:
    """Versions of this package and its libraries, and of the one that made the observables."""
    made = _several(report, "heatcap_version", "versions")
    versions = [("heatcap", VERSION)]
    if set(made) - {VERSION}:
        versions.append(("heatcap that made the observables", ", ".join(made)))
    return versions + [(name, version(name)) for name in LIBRARIES]


def _several(report: Findings, single: str, several: str) -> list[str]:
    """Attribute of the observables, or of every file where several were joined."""
    attrs = report.obs.attrs
    if several in attrs:
        return [plain(str(entry)) for entry in json.loads(attrs[several])]
    return [str(attrs[single])] if attrs.get(single) else []


def _tables(report: Findings) -> list[Table]:
    """Tables that have a row."""
    events, audit, verdicts = report.events, report.audit, report.verdicts
    tables = [runs_of(events), peaks_of(events), sizes_table(events, audit), heads_of(audit)]
    tables += [classes_of(verdicts), exponents_of(verdicts)]
    return [table for table in tables if table.rows]


def _runs(report: Findings) -> Table | None:
    """Table of the run files with their checksums; None where the observables have none."""
    obs = report.obs
    if "checksum" not in obs:
        return None
    paths = obs["path"].to_numpy() if "path" in obs else [""] * obs.sizes["run"]
    rows = [
        [Cell(str(text), str(text)) for text in row]
        for row in zip(obs["run"].to_numpy(), paths, obs["checksum"].to_numpy(), strict=True)
    ]
    head = [Heading("run"), Heading("file"), Heading("SHA-256")]
    return Table("files", "Run files", "As they were read by `heatcap observe`.", head, rows)
