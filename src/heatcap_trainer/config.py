"""Configuration of training runs: a TOML file becomes a list of frozen, validated `RunConfig`.

The file has one table per section of `RunConfig` and any number of ``[[sweep]]`` blocks:

    [task]                    # one value for all runs; what is left out keeps its default
    name = "addition"
    fraction = 0.7

    [stop]
    max_steps = 8000

    [[sweep]]                 # every combination of its lists and ranges
    p = [19, 43, 113]
    seed = { start = 0, stop = 3 }

    [[sweep]]                 # a control in the same file
    p = [19]
    seed = [0, 1]
    control = "random_labels"
    "stop.max_steps" = 2000

In a sweep a key stands for the one section that has it (``weight_decay`` is
``optimiser.weight_decay``; ``task`` is ``task.name``); a list or a range
``{ start, stop, step }`` (stop excluded) is an axis, anything else holds for the whole block; an
axis of ``betas`` is a list of lists.  An error names the dotted key, what was expected and what
came.
"""

from __future__ import annotations

import difflib
import itertools
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_type_hints

__all__ = [
    "ConfigError",
    "ModelConfig",
    "OptimiserConfig",
    "RecordConfig",
    "RunConfig",
    "StopConfig",
    "TaskConfig",
    "load",
    "parse",
]


class ConfigError(ValueError):
    """A key of the configuration is unknown, or its value is not what was expected."""


@dataclass(frozen=True)
class _Check:
    """A condition on a value, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


def _key(default: Any, words: str, holds: Callable[[Any], bool]) -> Any:
    return field(default=default, metadata={"check": _Check(words, holds)})


def _one_of(default: str, *choices: str) -> Any:
    words = "one of " + ", ".join(repr(c) for c in choices)
    return _key(default, words, lambda v: v in choices)


def _at_least(default: Any, least: float) -> Any:
    return _key(default, f"at least {least}", lambda v: v >= least)


@dataclass(frozen=True)
class TaskConfig:
    """The inputs, their answers, and which of them are trained on."""

    name: str = _one_of("addition", "addition", "subtraction", "multiplication", "recall")
    p: int = _at_least(113, 2)  # modulus; unused by recall
    fraction: float = _key(0.7, "between 0 and 1", lambda v: 0 < v < 1)
    split: str = _one_of("ordered", "ordered", "unordered")
    control: str = _one_of("none", "none", "random_labels")
    pairs: int = _at_least(8, 1)  # recall: key-value pairs in a context
    alphabet: int = _at_least(32, 1)  # recall: distinct keys
    values: int = _at_least(16, 2)  # recall: distinct values, the answers
    samples: int = _at_least(4096, 2)  # recall: contexts in the data set
    joined: bool = False  # recall: a pair is one token instead of two

    @property
    def modular(self) -> bool:
        return self.name != "recall"

    @property
    def symmetric(self) -> bool:
        """Whether (a, b) and (b, a) have the same answer."""
        return self.name in ("addition", "multiplication")

    @property
    def size(self) -> tuple[str, int]:
        """Name and value of the system size: the modulus, or the number of visible keys."""
        return ("p", self.p) if self.modular else ("visible_keys", self.positions)

    @property
    def positions(self) -> int:
        """Tokens in a context."""
        return 3 if self.modular else (self.pairs if self.joined else 2 * self.pairs) + 1

    @property
    def population(self) -> int:
        """Number of possible inputs; for recall the size of the data set."""
        return self.p**2 if self.modular else self.samples

    @property
    def contexts(self) -> int:
        """Number of distinct inputs; recall draws its data set from them."""
        if self.modular:
            return self.p**2
        keys, values = math.perm(self.alphabet, self.pairs), int(self.values**self.pairs)
        return keys * values * self.pairs

    @property
    def answers(self) -> int:
        return self.p if self.modular else self.values


@dataclass(frozen=True)
class ModelConfig:
    """Shape of the transformer."""

    layers: int = _key(1, "1 to 4", lambda v: 1 <= v <= 4)
    heads: int = _at_least(4, 1)
    d_model: int = _at_least(128, 1)
    d_mlp: int = _at_least(512, 1)
    layer_norm: bool = False
    causal: bool = True
    positions: str = _one_of("learned", "learned", "rotary", "none")
    softmax_scale: float = _at_least(0.0, 0.0)  # 0 stands for 1/sqrt(d_k)
    attention_scaling: float = _at_least(0.0, 0.0)  # gamma of gamma ln n; 0: none
    qk_bias: bool = False

    @property
    def d_k(self) -> int:
        """Width of a head."""
        return self.d_model // self.heads

    @property
    def scale(self) -> float:
        """Factor of q.k in the logit, without gamma ln n."""
        return self.softmax_scale or self.d_k**-0.5


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW on the full batch."""

    learning_rate: float = _key(1e-3, "positive", lambda v: v > 0)
    betas: tuple[float, float] = _key(
        (0.9, 0.98), "two numbers in [0, 1)", lambda v: len(v) == 2 and all(0 <= b < 1 for b in v)
    )
    weight_decay: float = _at_least(1.0, 0.0)
    warmup: int = _at_least(0, 0)  # steps over which the learning rate rises linearly
    loss_dtype: str = _one_of("float64", "float64", "float32")


@dataclass(frozen=True)
class RecordConfig:
    """When and on what the run is recorded."""

    probe_size: int = _at_least(1024, 1)
    queries: str = _one_of("last", "last", "all")
    checkpoints_per_decade: int = _at_least(25, 1)
    checkpoint_every: int = _at_least(100, 0)  # 0: logarithmic steps alone
    metrics_per_decade: int = _at_least(50, 1)
    metrics_every: int = _at_least(20, 0)
    weights: bool = False
    state_seconds: float = _at_least(5.0, 0.0)  # least time between two saved trainer states


@dataclass(frozen=True)
class StopConfig:
    """End of a run: at `after_onset` times its onset or at `max_steps`, the earlier of both."""

    max_steps: int = _at_least(10_000, 1)
    min_steps: int = _at_least(0, 0)
    after_onset: float = _at_least(2.0, 1.0)
    accuracy: float = _key(0.95, "between 0.9 and 1", lambda v: 0.9 <= v <= 1)


@dataclass(frozen=True)
class RunConfig:
    """One training run."""

    task: TaskConfig = field(default_factory=TaskConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    record: RecordConfig = field(default_factory=RecordConfig)
    stop: StopConfig = field(default_factory=StopConfig)
    seed: int = _at_least(0, 0)

    def __post_init__(self) -> None:
        """Conditions that join several keys."""
        task, model = self.task, self.model
        if model.d_model % model.heads:
            raise ConfigError(
                f"model.d_model: expected a multiple of model.heads = {model.heads}, "
                f"got {model.d_model}"
            )
        if model.positions == "rotary" and model.d_k % 2:
            raise ConfigError(
                f"model.positions: 'rotary' needs an even d_model / heads, got {model.d_k}"
            )
        if not task.modular and task.alphabet < task.pairs:
            raise ConfigError(
                f"task.alphabet: expected at least task.pairs = {task.pairs} keys, "
                f"got {task.alphabet}"
            )
        if not task.modular and task.contexts < 10 * task.samples:
            raise ConfigError(
                f"task.samples: expected at most a tenth of the {task.contexts} distinct contexts "
                f"of {task.pairs} of {task.alphabet} keys with {task.values} values, "
                f"got {task.samples}; others would stand on both sides of the split"
            )
        if not task.modular and task.split != "ordered":
            raise ConfigError("task.split: 'unordered' is for two operands, task.name is 'recall'")
        if not 1 <= round(task.fraction * task.population) < task.population:
            raise ConfigError(
                f"task.fraction: {task.fraction} of {task.population} inputs leaves none "
                "to train or to test on"
            )

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters that distinguish runs: usual keys, and others not at default."""
        task = self.task
        size = {"p": task.p} if task.modular else {"pairs": task.pairs}
        usual = {"fraction": task.fraction, "weight_decay": self.optimiser.weight_decay}
        listed = {"task": task.name, "control": task.control, **size, **usual, "seed": self.seed}
        return listed | {k: v for k, v in self._unusual().items() if k not in listed}

    @property
    def name(self) -> str:
        """Return the file name without ending, such as addition_p113_f0.7_wd1_seed0."""
        task, parameters = self.task, self.parameters
        head = (
            task.name if task.control == "none" else f"{task.name}-{task.control.replace('_', '-')}"
        )
        size = f"p{task.p}" if task.modular else f"n{task.pairs}"
        usual = ("task", "control", "p", "pairs", "fraction", "weight_decay", "seed")
        more = [
            f"{k.replace('_', '-')}-{_text(v)}" for k, v in parameters.items() if k not in usual
        ]
        decay = f"wd{_text(self.optimiser.weight_decay)}"
        return "_".join([head, size, f"f{_text(task.fraction)}", decay, *more, f"seed{self.seed}"])

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def _unusual(self) -> dict[str, Any]:
        """Keys of task, model and optimiser that are not at default."""
        sections = (self.task, self.model, self.optimiser)
        return {
            f.name: _text(value) if isinstance(value, tuple) else value
            for section in sections
            for f in fields(section)
            if f.name != "name" and (value := getattr(section, f.name)) != f.default
        }


def load(path: str | Path) -> list[RunConfig]:
    """Read the runs of a TOML file, in the order of its sweeps."""
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not a readable TOML file: {error}") from error
    try:
        return parse(table)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse(table: Mapping[str, Any]) -> list[RunConfig]:
    """Make the runs of a table as it stands in the TOML file.

    Raises
    ------
    ConfigError
        If a key is unknown or ambiguous, a value is not of its type or range, or two sweeps name
        the same run.
    """
    table = dict(table)
    sweeps = table.pop("sweep", [{}])
    if not isinstance(sweeps, list) or not all(isinstance(s, Mapping) for s in sweeps):
        raise ConfigError(f"sweep: expected [[sweep]] blocks, got {sweeps!r}")
    base = _build(RunConfig, table, "")
    runs = [run for i, s in enumerate(sweeps, 1) for run in _expand(base, s, f"sweep {i}: ")]
    _all_different(runs)
    return runs


def _expand(base: RunConfig, sweep: Mapping[str, Any], where: str) -> Iterator[RunConfig]:
    """Every combination of the axes of a sweep."""
    axes = [
        [(place, v) for v in _values(where + key, value, _hint(*place))]
        for key, value in sweep.items()
        for place in [_resolve(key, where)]
    ]
    for point in itertools.product(*axes):
        tables: dict[str, Any] = {}
        for (section, key), value in point:
            (tables.setdefault(section, {}) if section else tables)[key] = value
        yield _overlay(base, tables, where)


def _overlay(base: RunConfig, tables: Mapping[str, Any], where: str) -> RunConfig:
    changes = {}
    for name, value in tables.items():
        old = getattr(base, name)
        if is_dataclass(old) and not isinstance(old, type):
            value = replace(old, **_values_of(type(old), value, f"{where}{name}."))
        else:
            value = _values_of(RunConfig, {name: value}, where)[name]
        changes[name] = value
    try:
        return replace(base, **changes)
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") from error


def _values(where: str, value: Any, hint: Any) -> list[Any]:
    """Points of an axis: a list, a range { start, stop, step }, or the value alone."""
    if isinstance(value, Mapping):
        if not {"start", "stop"} <= value.keys() <= {"start", "stop", "step"}:
            raise ConfigError(
                f"{where}: expected a range {{ start, stop, step }}, got {dict(value)}"
            )
        if not all(type(v) is int for v in value.values()) or value.get("step", 1) < 1:
            raise ConfigError(f"{where}: expected a range of integers going up, got {dict(value)}")
        value = list(range(value["start"], value["stop"], value.get("step", 1)))
    if value == []:
        raise ConfigError(f"{where}: expected at least one value, got none")
    values = value if isinstance(value, list) else [value]
    if _kind(hint) is tuple and not all(isinstance(v, list) for v in values):
        raise ConfigError(
            f"{where}: expected a list of lists, one for each point, such as [[0.9, 0.98]], "
            f"got {value!r}"
        )
    return values


def _hint(section: str, key: str) -> Any:
    """Type of a field of a section, or of the run itself."""
    return get_type_hints(get_type_hints(RunConfig)[section] if section else RunConfig)[key]


def _kind(hint: Any) -> Any:
    return getattr(hint, "__origin__", hint)


def _resolve(key: str, where: str) -> tuple[str, str]:
    """Section and field that a key of a sweep stands for."""
    places = _sweep_keys()
    if key not in places:
        raise ConfigError(f"{where}{key}: unknown key{_did_you_mean(key, places)}")
    return places[key]


def _sweep_keys() -> dict[str, tuple[str, str]]:
    """Dotted keys, and short ones where only one section has them."""
    hints = get_type_hints(RunConfig)
    dotted = [(s, f.name) for s, t in hints.items() if is_dataclass(t) for f in fields(t)]
    names = [f for _, f in dotted]
    places = {f"{s}.{f}": (s, f) for s, f in dotted}
    places |= {f: (s, f) for s, f in dotted if names.count(f) == 1 and f != "name"}
    return places | {"task": ("task", "name"), "seed": ("", "seed")}


def _build(cls: type[Any], table: Any, where: str) -> Any:
    return cls(**_values_of(cls, table, where))


def _values_of(cls: type[Any], table: Any, where: str) -> dict[str, Any]:
    """Checked keyword arguments of `cls` from a TOML table."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where[:-1]}: expected a table, got {table!r}")
    hints, by_name = get_type_hints(cls), {f.name: f for f in fields(cls)}
    values = {}
    for key, value in table.items():
        if key not in by_name:
            raise ConfigError(f"{where}{key}: unknown key{_did_you_mean(key, by_name)}")
        hint = hints[key]
        if isinstance(hint, type) and is_dataclass(hint):
            values[key] = _build(hint, value, f"{where}{key}.")
        else:
            values[key] = _checked(_typed(value, hint, where + key), by_name[key], where + key)
    return values


def _typed(value: Any, hint: Any, where: str) -> Any:
    """The value as the type of its field; an integer serves as a float, a list as a tuple."""
    kind = _kind(hint)
    assert not isinstance(kind, UnionType)
    if kind is float and type(value) in (int, float):
        return _finite(value, where)
    if kind is tuple and isinstance(value, list):
        return tuple(_typed(v, float, where) for v in value)
    if type(value) is not kind:
        words = {float: "a number", int: "an integer", bool: "true or false", str: "a string"}
        raise ConfigError(f"{where}: expected {words.get(kind, 'a list')}, got {value!r}")
    return value


def _finite(value: float, where: str) -> float:
    try:
        number = float(value)
    except OverflowError:  # an integer of more than 308 digits
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"{where}: expected a finite number, got {number}")
    return number


def _checked(value: Any, entry: Any, where: str) -> Any:
    """Value that meets the check of its field; ConfigError where it does not."""
    check: _Check = entry.metadata["check"] if "check" in entry.metadata else _Check("", bool)
    if type(value) is not bool and not check.holds(value):
        raise ConfigError(f"{where}: expected {check.words}, got {value!r}{_near(value, check)}")
    return value


def _near(value: Any, check: _Check) -> str:
    if not isinstance(value, str):
        return ""
    choices = [c.strip("'") for c in check.words.removeprefix("one of ").split(", ")]
    return _did_you_mean(value, choices)


def _did_you_mean(word: str, choices: Any) -> str:
    near = difflib.get_close_matches(word, list(choices), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _all_different(runs: list[RunConfig]) -> None:
    seen: dict[str, RunConfig] = {}
    for run in runs:
        if run.name in seen:
            raise ConfigError(f"sweep: the run {run.name} is described twice")
        seen[run.name] = run


def _text(value: Any) -> str:
    """A value in a file name: 1.0 as 1, 0.7 as 0.7, (0.9, 0.98) as 0.9-0.98."""
    if isinstance(value, tuple):
        return "-".join(_text(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
