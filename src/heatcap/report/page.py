"""The page: asked for by `build_report`, written with text that is escaped, loading nothing."""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from heatcap.audit import Audit, audit_leads
from heatcap.core.quantities import HEAT_CAPACITY, spoken
from heatcap.core.text import legible, plain
from heatcap.core.version import VERSION
from heatcap.core.writing import write_text
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
from heatcap.report.plans import CARD, Picture, drawn, plans_of, shades
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
        cautions=report.cautions(),
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


# ---- events, audit and verdicts of saved runs, put together --------------------------------

QUESTION = "Is that peak a phase transition, or a crossover?"

Place = tuple[str, Any]


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
    """Ask everything of saved runs that the package can ask, and keep the answers together.

    A part that has no answer (too few sizes for a verdict, runs that are all controls) does not
    stop the others: `Report.missing` says why.

    Parameters
    ----------
    obs : Dataset (run, checkpoint, ...)
        From `heatcap.load`, `heatcap.observe` or `heatcap.read_scalars`.
    *observables : str
        Names; by default those of :func:`heatcap.find_events`.
    title : str
        Of the page; the question, if it is empty.
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

    Raises
    ------
    ValueError
        If `obs` lack what :func:`heatcap.find_events` needs, or the level is not one.
    """
    said = progress or (lambda *_: None)
    m = margins or Margins()
    check_level(level)
    obs = legible(obs)
    observables = tuple(map(plain, observables))
    events = find_events(obs, *observables, smoothing=smoothing)
    places = _places(events)
    total = len(places) + 2
    said(1, total)
    missing: dict[str, str] = {}
    audit = _audit(obs, events, rng, missing)
    said(2, total)
    verdicts: dict[str, Verdict] = {}
    for done, (name, place) in enumerate(places.items(), start=3):
        try:
            verdicts[name] = _verdict(obs, events, place, level=level, margins=m, rng=rng)
        except ValueError as problem:
            missing[name] = str(problem)
        said(done, total)
    answers = answers_of(places, events, audit, verdicts, missing)
    settings = dict(events.settings) | {"seed": rng, "level": level, "margins": m.to_dict()}
    return Report(
        title=plain(title) or QUESTION,
        said=headline(events, answers, audit, verdicts),
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
    """Before any work: a verdict at this level can be given.

    Raises
    ------
    ValueError
        If it is not in [0.5, 1), or asks for more draws than a verdict makes.
    """
    check_options(level, inspect.signature(divergence_test).parameters["draws"].default)


def _places(events: Events) -> dict[str, Place]:
    """Observable and layer of every row of answers, by the names that the audit gives them."""
    return {name: place for place, name in events.names().items()}


def _audit(obs: xr.Dataset, events: Events, seed: int, missing: dict[str, str]) -> Audit | None:
    try:
        return audit_leads(obs, events, rng=seed)
    except ValueError as problem:
        missing["audit"] = str(problem)
        return None


def _verdict(obs: xr.Dataset, events: Events, place: Place, **options: Any) -> Verdict:
    name, layer = place
    bound = bound_by_keys(obs) if name == HEAT_CAPACITY else None
    return verdict_of_runs(events, name, layer=layer, bound=bound, **options)
