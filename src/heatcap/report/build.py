"""Events, audit and verdicts of saved runs, put in order."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from typing import Any

import xarray as xr

from heatcap.audit import Audit, audit_leads
from heatcap.core.quantities import HEAT_CAPACITY
from heatcap.core.text import legible, plain
from heatcap.divergence import (
    Margins,
    Verdict,
    bound_by_keys,
    divergence_test,
    verdict_of_runs,
)
from heatcap.divergence.testing import check_options
from heatcap.events import SMOOTHING, Events, find_events
from heatcap.report.answers import answers_of, headline
from heatcap.report.cautions import cautions_of
from heatcap.report.findings import Source
from heatcap.report.page import Report
from heatcap.runfile import checksums

__all__ = ["build_report", "check_level"]

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
        cautions=cautions_of(obs, events, audit, verdicts),
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
