"""Meaning of the columns of a table: step, run, observables, metrics, sweep parameters.

`Columns` holds the mapping and checks it, `parse_columns` reads it from the text of the command
line; nothing is guessed from the name of a column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from heatcap.core.columns import Column
from heatcap.core.quantities import BOUND, KEYS, SINGLE_KEY
from heatcap.runfile import TAKEN

__all__ = ["ACCURACIES", "METRICS", "NUMBERS", "PARAMETERS", "TEXTS", "Columns", "parse_columns"]

ACCURACIES = ("train_accuracy", "test_accuracy", "mirror_free_accuracy")
METRICS = ("train_loss", "test_loss", *ACCURACIES)
TEXTS = ("task", "control")
NUMBERS = ("p", "size", "seed", "fraction", "weight_decay")
PARAMETERS = (*NUMBERS, *TEXTS)
_MEANINGS = ("step", "run", *METRICS, "observable", *PARAMETERS)

#: Names that the Dataset, or its readers, use for something else.
_TAKEN = frozenset(_MEANINGS) | {
    *TAKEN["a dimension or coordinate"],
    *TAKEN["something that is known of every run"],
    *(Column.GROUP, BOUND, KEYS, SINGLE_KEY),
}


@dataclass(frozen=True)
class Columns:
    """Columns of a table by their meaning.

    Parameters
    ----------
    step
        Column of the training step (or epoch, or whatever counts time).
    run
        Column that identifies the run; None if one file is one run.
    observables
        Columns to search for peaks; a slash in a name becomes an underscore in the Dataset.
    metrics
        Columns of `train_loss`, `test_loss`, `train_accuracy`, `test_accuracy` and
        `mirror_free_accuracy`, as many as there are.
    parameters
        Columns of the sweep parameters p, size, seed, fraction, weight_decay, task and control.

    Raises
    ------
    ValueError
        If there is no step or no observable, a metric or parameter is unknown, or an observable
        has a name that the Dataset needs for something else.
    """

    step: str
    run: str | None = None
    observables: tuple[str, ...] = ()
    metrics: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.step:
            raise ValueError("columns name no step, expected step=COLUMN")
        if not self.observables:
            raise ValueError("columns name no observable, expected observable=COLUMN at least once")
        for kind, given, allowed in (
            ("metric", self.metrics, METRICS),
            ("sweep parameter", self.parameters, PARAMETERS),
        ):
            if unknown := [name for name in given if name not in allowed]:
                raise ValueError(f"no {kind} is called {unknown[0]!r}; known: {', '.join(allowed)}")
        _check_names(self.observables)
        object.__setattr__(self, "metrics", MappingProxyType(dict(self.metrics)))
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    @property
    def series(self) -> tuple[str, ...]:
        """Columns that hold a number per step, each once."""
        return tuple(dict.fromkeys([*self.metrics.values(), *self.observables]))

    @property
    def accuracies(self) -> tuple[str, ...]:
        """Columns of accuracies, each once."""
        columns = [self.metrics[name] for name in ACCURACIES if name in self.metrics]
        return tuple(dict.fromkeys(columns))

    def text(self) -> str:
        """Format the mapping as `parse_columns` reads it."""
        pairs = [("step", self.step)] + ([("run", self.run)] if self.run else [])
        pairs += [*self.metrics.items(), *(("observable", name) for name in self.observables)]
        return ",".join(f"{meaning}={column}" for meaning, column in (*pairs, *self.items()))

    def items(self) -> Iterable[tuple[str, str]]:
        """List sweep parameters and their columns."""
        return self.parameters.items()


def variable_name(column: str) -> str:
    """Return the name of an observable in the Dataset: NetCDF allows no slash in it."""
    return column.replace("/", "_")


def parse_columns(text: str) -> Columns:
    """Parse columns from ``meaning=column`` pairs separated by commas.

    Parameters
    ----------
    text : str
        Like ``step=epoch,test_accuracy=val_acc,observable=cv``; `observable` may be repeated.

    Returns
    -------
    Columns

    Raises
    ------
    ValueError
        If a pair lacks its ``=`` or its column, a meaning is unknown or repeated, or step or
        observable is missing.
    """
    pairs = [_pair(part) for part in text.split(",") if part.strip()]
    twice = [m for m, n in Counter(m for m, _ in pairs if m != "observable").items() if n > 1]
    if twice:
        named = " and ".join(column for meaning, column in pairs if meaning == twice[0])
        raise ValueError(f"{twice[0]} stands for {named}, expected one column")
    single = {meaning: column for meaning, column in pairs if meaning != "observable"}
    return Columns(
        step=single.get("step", ""),
        run=single.get("run"),
        observables=tuple(column for meaning, column in pairs if meaning == "observable"),
        metrics={name: single[name] for name in METRICS if name in single},
        parameters={name: single[name] for name in PARAMETERS if name in single},
    )


def _pair(part: str) -> tuple[str, str]:
    meaning, equals, column = (word.strip() for word in part.partition("="))
    if not equals or not column:
        raise ValueError(f"expected MEANING=COLUMN, separated by commas, got {part.strip()!r}")
    if meaning not in _MEANINGS:
        raise ValueError(f"{meaning!r} is no meaning of a column; known: {', '.join(_MEANINGS)}")
    return meaning, column


def _check_names(observables: tuple[str, ...]) -> None:
    names = [variable_name(column) for column in observables]
    for name, column in zip(names, observables, strict=True):
        if name in _TAKEN:
            raise ValueError(
                f"observable={column}: the Dataset keeps the name {name!r} for something else; "
                f"rename the column"
            )
        if names.count(name) > 1:
            both = " and ".join(c for c in observables if variable_name(c) == name)
            raise ValueError(f"observable: {both} would both be called {name!r}, expected one")
