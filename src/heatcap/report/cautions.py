"""What could mislead a reader of these runs: one sentence each, with counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from heatcap.audit import Audit
from heatcap.core.text import plain
from heatcap.divergence import Verdict
from heatcap.divergence.heights import FEW as ENOUGH
from heatcap.events import MEMORISED, Column, Events, size_name_of, sizes_of
from heatcap.figures.names import spoken
from heatcap.observables.dataset import problems_of
from heatcap.report.texts import differing, size_label

__all__ = ["Caution", "cautions_of"]

FEW = 3  # runs of a size, below which their spread says little


@dataclass(frozen=True)
class Caution:
    """A title of a few words, and the sentence."""

    title: str
    text: str


def cautions_of(
    obs: xr.Dataset, events: Events, audit: Audit | None, verdicts: Mapping[str, Verdict]
) -> list[Caution]:
    """All that apply, what touches the answers most first.

    Parameters
    ----------
    obs : Dataset
    events : Events
    audit : Audit or None
    verdicts : dict
        By observable; their warnings come last.
    """
    proper = events.proper
    parts = (
        _size_names(proper),
        _settings(proper),
        _problems(obs),
        _bound(audit),
        _mirror(proper),
        _spikes(events, audit),
        _censored(proper),
        _at_end(audit),
        _seeds(proper),
        _incomplete(obs),
        _not_controls(audit),
        _untested(audit),
        _statuses(verdicts),
        _of_verdicts(verdicts),
    )
    return [each for part in parts for each in part]


def _problems(obs: xr.Dataset) -> Iterator[Caution]:
    try:
        said = [plain(each) for each in problems_of(obs)]  # in JSON an escape is no control yet
    except ValueError as problem:
        said = [str(problem)]
    if said:
        text = f"{len(said)} noted when the runs were read: {'; '.join(said)}."
        yield Caution("Problems of the files", text)


def _bound(audit: Audit | None) -> Iterator[Caution]:
    tested = {k: lead for k, lead in (audit.leads if audit else {}).items() if lead.bound.tested}
    if not tested:
        return
    name, lead = max(tested.items(), key=lambda item: item[1].bound.reached)
    reached = (
        f"The highest peak of {spoken(name)} in a single run proper reaches "
        f"{lead.bound.reached:.0%} of {lead.bound.bound:.3g}, the most that its number of visible "
        "keys allows"
    )
    if lead.bound.within_reach:
        yield Caution("Bound in reach", reached + ": part of its shape is that of the bound.")
    if lead.bound.same_for_all_sizes and len(lead.by_size) > 1:
        yield Caution(
            "Bound the same for all sizes",
            f"{reached}, at every size: it cannot diverge, and a height that saturates is no "
            "finding.",
        )


def _mirror(proper: pd.DataFrame) -> Iterator[Caution]:
    leaks = proper[proper[Column.MIRROR_LEAK].fillna(False).astype(bool)]
    if leaks.empty:
        return
    free = int((leaks[Column.ONSET_METRIC] == "mirror_free_accuracy").sum())
    said = (
        f"In {len(leaks)} of {len(proper)} runs the test accuracy waits where mirrors (b, a) of "
        "trained pairs are answered"
    )
    if free == len(leaks):
        said += "; the onset stands on the mirror-free accuracy and is not touched by it."
    else:
        said += (
            f"; {len(leaks) - free} of them have no mirror-free accuracy, and their onset may be "
            "that of the mirrors."
        )
    yield Caution("Mirror leak", said)


def _spikes(events: Events, audit: Audit | None) -> Iterator[Caution]:
    runs = events.runs
    spiky = int((runs[Column.SPIKES].fillna(0) > 0).sum())
    if not spiky:
        return
    said = f"The training loss spikes in {spiky} of {len(runs)} runs; peaks are sought elsewhere."
    at = [
        f"{lead.spikes.at_spike} of {lead.spikes.maxima} of {spoken(name)} (base rate "
        f"{lead.spikes.base_rate:.1%}" + (", so they explain it)" if lead.spikes.explain else ")")
        for name, lead in (audit.leads if audit else {}).items()
        if lead.spikes.at_spike
    ]
    if at:
        said += " Of the maxima before smoothing lie at a spike: " + "; ".join(at) + "."
    yield Caution("Loss spikes", said)


def _censored(proper: pd.DataFrame) -> Iterator[Caution]:
    n = int(proper[Column.CENSORED].sum())
    if n:
        all_ = n == len(proper)
        yield Caution(
            "Not generalised",
            f"{n} of {len(proper)} runs had not generalised by their last step"
            + (": no order of peak and onset can be seen." if all_ else "; they are kept as such."),
        )
    unknown = int((proper[Column.ONSET].isna() & ~proper[Column.CENSORED].astype(bool)).sum())
    if unknown:
        yield Caution(
            "No defined onset",
            f"{unknown} of {len(proper)} runs have no defined onset: no accuracy in the record, or "
            f"a train accuracy that never reaches {MEMORISED:g}.",
        )


def _at_end(audit: Audit | None) -> Iterator[Caution]:
    at = [
        f"{lead.pooled.highest_at_end} of {lead.pooled.runs} for {spoken(name)}"
        for name, lead in (audit.leads if audit else {}).items()
        if lead.pooled.highest_at_end
    ]
    if at:
        yield Caution(
            "Highest at an end",
            "Curves that are highest at an end of their record have no peak yet; longer records "
            "could give them one: " + "; ".join(at) + ".",
        )


def _seeds(proper: pd.DataFrame) -> Iterator[Caution]:
    size = sizes_of(proper)
    unknown = int((size.isna() | (size == 0)).sum())
    if unknown:
        yield Caution(
            "No size",
            f"{unknown} of {len(proper)} runs have no size: nothing can be said of how a height "
            "grows with it.",
        )
    counts = size[size.notna() & (size != 0)].value_counts().sort_index()
    name = size_label(proper)
    guesses, pooled = counts[counts < FEW], counts[(counts >= FEW) & (counts < ENOUGH)]
    said = []
    if len(guesses):
        said.append(
            f"{len(guesses)} of {len(counts)} sizes have fewer than {FEW} runs "
            f"({_listed(guesses, name)}): their errors are guesses"
        )
    if len(pooled) == len(counts) > 1 and pooled.nunique() == 1:
        said.append(f"all {len(counts)} sizes have {pooled.iloc[0]} runs")
    elif len(pooled):
        said.append(
            f"{len(pooled)} of {len(counts)} sizes have {FEW} to {ENOUGH - 1} runs "
            f"({_listed(pooled, name)})"
        )
    if said and len(counts) > 1:
        said.append(
            "the relative spreads of the sizes steady one another, by as much as they are alike"
        )
    if said:
        yield Caution("Few runs per size", _sentence(said))


def _listed(counts: pd.Series, name: str) -> str:
    at = {n: ", ".join(f"{s:g}" for s in counts.index[counts == n]) for n in counts.unique()}
    return "; ".join(f"{n} at {name} = {sizes}" for n, sizes in at.items())


def _size_names(proper: pd.DataFrame) -> Iterator[Caution]:
    try:
        size_name_of(proper)
    except ValueError as problem:
        said = str(problem)
        yield Caution(
            "Sizes of several names",
            f"{said[:1].upper()}{said[1:]}. They are no one axis: there is no verdict, and nothing "
            "that is said of sizes holds.",
        )


def _settings(proper: pd.DataFrame) -> Iterator[Caution]:
    for each in differing(proper):
        moves = ", and it changes with the size" if each.by_size else ""
        said = f"The runs differ in {each}{moves}: a peak may follow it, and not the size."
        yield Caution(f"{spoken(each.name).capitalize()} differs", said)


def _incomplete(obs: xr.Dataset) -> Iterator[Caution]:
    if "complete" not in obs:
        return
    n = int(np.sum(obs["complete"].to_numpy() != 1))
    if n:
        yield Caution(
            "Runs not complete",
            f"{n} of {obs.sizes['run']} run files were still being written, or their training "
            "stopped without an end.",
        )


def _not_controls(audit: Audit | None) -> Iterator[Caution]:
    """Runs of a control that do generalise: the same ones for every observable."""
    leads = audit.leads.values() if audit else ()
    for control in next((lead.controls for lead in leads), []):
        if control.generalising:
            every = control.runs + control.generalising
            yield Caution(
                "Controls that generalise",
                f"{control.generalising} of {every} runs with {spoken(control.name)} do generalise "
                f"and are no controls: {control.runs} are left to compare with.",
            )


def _untested(audit: Audit | None) -> Iterator[Caution]:
    lacks = audit.not_tested if audit else []
    controls = [each for each in lacks if each.startswith("controls")]
    others = [each for each in lacks if not each.startswith("controls")]
    if controls:
        yield Caution(
            "No controls",
            "There are no runs in which nothing can generalise (random labels, weight decay 0): "
            "whether the same peak is there too is not tested.",
        )
    if others:
        yield Caution(
            "Not tested", "The record lacks what is needed for: " + "; ".join(others) + "."
        )


def _statuses(verdicts: Mapping[str, Verdict]) -> Iterator[Caution]:
    for name, found in verdicts.items():
        if found.status != "ok":
            yield Caution("No class is named", f"{spoken(name)}: {found.meaning}.")


def _of_verdicts(verdicts: Mapping[str, Verdict]) -> Iterator[Caution]:
    """Warnings of the verdicts: what all share, then those of each."""
    of_each = {
        name: [text for text in found.warnings if text != found.meaning]
        for name, found in verdicts.items()
    }
    shared = [
        text
        for text in dict.fromkeys(each for said in of_each.values() for each in said)
        if len(of_each) > 1 and all(text in said for said in of_each.values())
    ]
    if shared:
        yield Caution("Verdicts", f"All {len(of_each)}: {_sentence(shared, upper=False)}")
    for name, said in of_each.items():
        if own := [text for text in said if text not in shared]:
            yield Caution("Verdict", _sentence([f"{spoken(name)}: {own[0]}", *own[1:]]))


def _sentence(parts: Sequence[str], *, upper: bool = True) -> str:
    text = "; ".join(part.rstrip(".") for part in parts)
    return f"{text[:1].upper() if upper else text[:1]}{text[1:]}."
