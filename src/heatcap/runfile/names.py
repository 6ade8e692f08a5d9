"""Reserved names: a metric, a parameter and an observable never share a name.

Metrics and parameters stand beside the observables in one Dataset, so a run file cannot give them a
name that has a meaning there.  Older files may have done so: their metrics and parameters are read
under a prefix, and a note reports it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from heatcap.core.columns import OF_PEAK, OF_RUN, Column
from heatcap.core.quantities import OBSERVABLES
from heatcap.runfile.layout import LOGIT_DIMS, STANDARD_METRICS

__all__ = ["TAKEN", "Kind", "merged_notes", "name_problem", "names_read", "reading_notes"]

Kind = Literal["metric", "parameter"]

_ESCAPE = "_nc4_non_coord_"  # which readers of netCDF take off

# Names that a run file or the observables use as well are listed with those.
_OTHERS = {Column.RUN, Column.LAYER, Column.HEAD, Column.CHECKPOINTS, Column.STOP_REASON}
_EVENTS = tuple(name for name in dict.fromkeys((*OF_PEAK, *OF_RUN)) if name not in _OTHERS)

#: What each kind of name is called in messages, and the names; the first that has a name owns it.
TAKEN: dict[str, tuple[str, ...]] = {
    "a dimension or coordinate": (
        *LOGIT_DIMS,
        *("position", "metric", "metric_step", "run", "checkpoint", "inputs", "temperature"),
        *("query_position", "size", "size_name", "seed"),
    ),
    "an observable": tuple(OBSERVABLES),
    "something that is known of every run": (
        *("run_id", "path", "checksum", "complete", "stop_reason", "checkpoints"),
        *("probe_size", "probe_population"),
    ),
    "a variable of the run file": (
        *("logits", "logits_checksum", "probe_input", "probe_trained", "probe_mirror_trained"),
    ),
    "an attribute of the run file": (
        *("format", "format_version", "Conventions", "parameters", "config", "versions"),
        *("started", "finished", "d_k", "softmax_scale", "soft_cap", "model_dtype"),
        "header_checksum",
    ),
    "a standard metric": STANDARD_METRICS,
    "a column of the tables of events": _EVENTS,
}
_OWNER = {name: what for what, names in reversed(TAKEN.items()) for name in names}

_KINDS: tuple[Kind, ...] = ("metric", "parameter")
#: Metrics are no columns of events; a sweep may vary a setting, and the parameter is its attribute.
_FREE: dict[Kind, frozenset[str]] = {
    "metric": frozenset({*STANDARD_METRICS, *_EVENTS}),
    "parameter": frozenset({"seed", "d_k", "softmax_scale", "soft_cap", "model_dtype"}),
}


def name_problem(kind: Kind, name: str, parameters: Collection[str] = ()) -> str:
    """Explain why a metric or parameter cannot have a name; empty when it can."""
    if kind == "metric" and name in parameters:
        return "a parameter is called so"
    if name.startswith(_ESCAPE):
        return "netCDF writes other names so"
    if name in _OWNER:
        return "" if name in _FREE[kind] else f"{_OWNER[name]} is called so"
    for other in _KINDS:
        plain = name.removeprefix(f"{other}_")
        if plain != name and name_problem(other, plain):
            return f"a {other} {plain!r} of older files is called so"
    return ""


def names_read(
    kind: Kind, names: Collection[str], parameters: Collection[str] = ()
) -> dict[str, str]:
    """Map names in files to names beside the observables, with a prefix where one is taken.

    Different names stay different, also one that equals another with its prefix.
    """
    clash = [name for name in names if name_problem(kind, name, parameters)]
    read = {name: name for name in names if name not in clash}
    for name in clash:
        prefixed = f"{kind}_{name}"
        while prefixed in {*_OWNER, *parameters, *read.values()}:
            prefixed = f"{kind}_{prefixed}"
        read[name] = prefixed
    return {name: read[name] for name in names}


def reading_notes(
    kind: Kind, read: Mapping[str, str], parameters: Collection[str] = ()
) -> list[str]:
    """Report the names that were prefixed, with the reason."""
    return [
        f"the {kind} {name!r} is read as {now!r}: {name_problem(kind, name, parameters)}"
        for name, now in read.items()
        if now != name
    ]


def merged_notes(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Merge pairs (file or run, note) into one line per note."""
    about: dict[str, list[str]] = {}
    for who, note in notes:
        about.setdefault(note, []).append(who)
    return [f"{_some(names)}: {note}" for note, names in about.items()]


def _some(names: Sequence[str]) -> str:
    if len(names) <= 3:
        return ", ".join(names)
    return f"{', '.join(names[:2])} and {len(names) - 2} more runs"
