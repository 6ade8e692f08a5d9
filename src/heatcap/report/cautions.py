"""What could mislead a reader of these runs: one sentence each, with counts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from heatcap.audit import Audit
from heatcap.divergence import Verdict
from heatcap.events import Events, size_name_of, sizes_of

__all__ = ["Caution", "cautions_of"]

FEW = 3  # runs of a size, below which their spread says little
# Columns of the runs that are results, or that tell runs apart without being a setting.
NO_SETTING = {
    *("run", "seed", "size", "size_name", "p", "control", "group", "stop_reason"),
    *("memorisation_step", "baseline", "final_value", "onset_step", "onset_step_spacing"),
    *("censored", "last_step", "onset_metric", "message", "plateau", "mirror_leak"),
    *("mirror_message", "spikes", "spike_share", "checkpoints", "path", "checksum"),
}


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
        By observable; the warnings of each stand beside it and are not repeated here.

    Returns
    -------
    list of Caution
    """
    proper = events.runs[events.runs["group"] == "none"]
    parts = (
        _problems(obs),
        _bound(audit),
        _mirror(proper),
        _spikes(events, audit),
        _censored(proper),
        _at_end(audit),
        _seeds(proper),
        _settings(proper),
        _incomplete(obs),
        _untested(audit),
        _statuses(verdicts),
    )
    return [each for part in parts for each in part]


def _problems(obs: xr.Dataset) -> Iterator[Caution]:
    try:
        said = json.loads(obs.attrs.get("problems", "[]"))
    except (TypeError, ValueError):
        said = [obs.attrs["problems"]]
    if said:
        yield Caution(
            "Problems of the files",
            f"{len(said)} noted when the runs were read: " + "; ".join(map(str, said)) + ".",
        )


def _bound(audit: Audit | None) -> Iterator[Caution]:
    tested = {k: lead for k, lead in (audit.leads if audit else {}).items() if lead.bound.tested}
    if not tested:
        return
    name, lead = max(tested.items(), key=lambda item: item[1].bound.reached)
    reached = (
        f"The highest peak of {name} reaches {lead.bound.reached:.0%} of {lead.bound.bound:.3g}, "
        "the most that its number of visible keys allows"
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
    leaks = proper[proper["mirror_leak"].fillna(False).astype(bool)]
    if leaks.empty:
        return
    free = int((leaks["onset_metric"] == "mirror_free_accuracy").sum())
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
    spiky = int((runs["spikes"].fillna(0) > 0).sum())
    if not spiky:
        return
    said = f"The training loss spikes in {spiky} of {len(runs)} runs; peaks are sought elsewhere."
    at = [
        f"{lead.spikes.at_spike} of {lead.spikes.maxima} of {name} (base rate "
        f"{lead.spikes.base_rate:.1%}" + (", so they explain it)" if lead.spikes.explain else ")")
        for name, lead in (audit.leads if audit else {}).items()
        if lead.spikes.at_spike
    ]
    if at:
        said += " Of the maxima before smoothing lie at a spike: " + "; ".join(at) + "."
    yield Caution("Loss spikes", said)


def _censored(proper: pd.DataFrame) -> Iterator[Caution]:
    n = int(proper["censored"].sum())
    if n:
        all_ = n == len(proper)
        yield Caution(
            "Not generalised",
            f"{n} of {len(proper)} runs had not generalised by their last step"
            + (": no order of peak and onset can be seen." if all_ else "; they are kept as such."),
        )
    unknown = int((proper["onset_step"].isna() & ~proper["censored"].astype(bool)).sum())
    if unknown:
        yield Caution(
            "No defined onset",
            f"{unknown} of {len(proper)} runs have no defined onset: no accuracy in the record, or "
            "a train accuracy that never reaches 0.99.",
        )


def _at_end(audit: Audit | None) -> Iterator[Caution]:
    at = [
        f"{lead.pooled.highest_at_end} of {lead.pooled.runs} for {name}"
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
    few = counts[counts < FEW]
    if len(few):
        name = size_name_of(proper)
        shown = ", ".join(f"{n} at {name} = {s:g}" for s, n in few.items())
        yield Caution(
            "Few runs per size",
            f"{len(few)} of {len(counts)} sizes have fewer than {FEW} runs ({shown}): their errors "
            "are guesses.",
        )


def _settings(proper: pd.DataFrame) -> Iterator[Caution]:
    size = sizes_of(proper)
    for name in map(str, proper.columns):
        if name in NO_SETTING:
            continue
        values = proper[name]
        kinds = values[values.notna() & (values.astype(str) != "")]
        if kinds.nunique() < 2 or kinds.nunique() == len(proper) > 2:
            continue
        shown = ", ".join(map(str, sorted(kinds.unique().tolist(), key=str)[:8]))
        by_size = kinds.groupby(size[kinds.index]).nunique()
        moves = bool((by_size <= 1).all())
        yield Caution(
            f"{name.replace('_', ' ').capitalize()} differs",
            f"The runs differ in {name} ({shown})"
            + (", and it changes with the size: " if moves else ": ")
            + "a peak may follow it, and not the size.",
        )


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
            yield Caution("No class is named", f"{name}: {found.meaning}.")
