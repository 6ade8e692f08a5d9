"""Training: full-batch AdamW on one model, or on several that differ in the seed alone.

At step t the weights have seen t updates; metrics and logits of step t belong to these weights.
The loss is cross-entropy, in float64 by default: in float32 a loss below 1e-7 is rounding error,
whose gradient throws the model out of its minimum again and again.

The order of events that makes a killed run resumable: logits and metrics go into the run file in
one commit; only then the state of the optimiser replaces the previous one on disk.  So the file
is never behind the state, and rows beyond the state are dropped and computed again, bit for bit.

Metrics, each on the whole training or test set:

    train_loss, test_loss           mean cross-entropy, nats
    train_accuracy, test_accuracy   share of answers with the largest logit
    mirror_free_accuracy            the same on test inputs whose mirror is not trained on
    weight_norm                     Euclidean norm of all weights
    logit_scale                     rms of the answers' logits about their mean over the answers of
                                    an input, over all test inputs and answers
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors
import torch
from safetensors.torch import save
from torch import Tensor
from torch.optim.adamw import adamw

from heatcap.core.writing import write_bytes
from heatcap.runfile import STANDARD_METRICS, RunFileError, RunWriter, open_run, read_header
from heatcap_trainer import schedule, tasks
from heatcap_trainer.config import OptimiserConfig, RunConfig
from heatcap_trainer.model import Contexts, Transformer
from heatcap_trainer.recorder import evaluating

__all__ = ["Ensemble", "Paths", "batches", "check_same_config", "train"]

Report = Callable[[int], None]


@dataclass(frozen=True)
class Paths:
    """Paths of the files of a run."""

    folder: Path
    name: str

    @property
    def run(self) -> Path:
        return self.folder / f"{self.name}.h5"

    @property
    def state(self) -> Path:
        """State of the trainer; removed when the run is finished."""
        return self.folder / "state" / f"{self.name}.safetensors"

    def weights(self, step: int) -> Path:
        return self.folder / "weights" / self.name / f"step_{step:08d}.safetensors"

    @property
    def finished(self) -> bool:
        return self.run.exists() and read_header(self.run).complete

    @property
    def state_step(self) -> int | None:
        """Step of the saved state; None if there is none."""
        if not (self.run.exists() and self.state.exists()):
            return None
        with _opened_state(self.state) as file:
            return int(file.metadata()["step"])


@contextmanager
def _opened_state(path: Path) -> Iterator[Any]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunFileError(
            f"{path}: not a readable state of the trainer ({error}); "
            "remove it to start this run again from step 0"
        ) from error


def batches(configs: Sequence[RunConfig], folder: Path, *, together: bool) -> list[list[RunConfig]]:
    """Group runs to train at once: single, or all at one step that differ in the seed alone."""
    groups: dict[Any, list[RunConfig]] = {}
    for config in configs:
        alike = (replace(config, seed=0), Paths(folder, config.name).state_step)
        groups.setdefault(alike if together else config, []).append(config)
    return list(groups.values())


def train(
    configs: Sequence[RunConfig],
    folder: Path,
    *,
    device: str = "cpu",
    resume: bool = False,
    report: Report | None = None,
) -> dict[str, str]:
    """Train runs that differ in the seed alone, and record each in its file.

    Parameters
    ----------
    configs : sequence of RunConfig
        With more than one, all train at once on the device; each ends by its own rule.
    folder : Path
        Gets NAME.h5 of each run, and the folders state/ and weights/.
    device : str
        "cpu" or "cuda".
    resume : bool
        Leave finished runs as they are; go on from the saved state where there is one; where
        there is none, start again.
    report : callable (step) -> None, optional
        Called at metric steps.

    Returns
    -------
    dict
        Reason of the end by run name: "after_onset" or "max_steps".

    Raises
    ------
    RunFileError
        If a file exists and `resume` is not given, or belongs to another configuration.
    """
    ended: dict[str, str] = {}
    if resume:
        for config in configs:
            if (path := Paths(folder, config.name)).finished:
                check_same_config(config, path.run)
                ended[config.name] = read_header(path.run).stop_reason
    runs = [_Run(c, Paths(folder, c.name)) for c in configs if c.name not in ended]
    if not runs:
        return ended
    loop = _Loop(runs, torch.device(device))
    try:
        loop.start(resume)
        loop.go(report or (lambda _: None))
    except BaseException as error:  # runs that ended have closed their files
        for failure in _close(runs):
            error.add_note(f"then a file could not be closed: {failure}")
        raise
    return ended | {run.config.name: run.reason for run in runs}


class Ensemble:
    """Models of one shape: a single one unchanged, several with stacked weights under vmap.

    Every result has the models as its first axis.
    """

    def __init__(self, models: Sequence[Transformer]) -> None:
        self.size, self.template = len(models), models[0]
        if self.size == 1:
            self.weights: dict[str, Tensor] = dict(models[0].named_parameters())
        else:
            self.weights, _ = torch.func.stack_module_state(list(models))

    def __call__(self, contexts: Contexts) -> Tensor:
        """Logits of the answers, (s, N, y); contexts have rows (s, N, n)."""
        if self.size == 1:
            return cast(Tensor, self.template(replace(contexts, row=contexts.row[0]))).unsqueeze(0)

        def one(weights: dict[str, Tensor], row: Tensor) -> Any:
            call = (replace(contexts, row=row),)
            return torch.func.functional_call(self.template, weights, call)

        return cast(Tensor, torch.func.vmap(one)(self.weights, contexts.row))

    def attention_logits(self, contexts: Contexts, *, all_queries: bool) -> Tensor:
        """Compute attention logits (s, layer, h, N, i, n) on contexts that all models share."""
        return torch.stack(
            [m.attention_logits(contexts, all_queries=all_queries) for m in self._models()]
        )

    def _models(self) -> Iterator[Transformer]:
        for s in range(self.size):
            if self.size > 1:
                with torch.no_grad():
                    for name, weight in self.template.named_parameters():
                        weight.copy_(self.weights[name][s])
            yield self.template

    def of_model(self, tensor: Tensor, s: int) -> Tensor:
        """Select one model's part of a weight, or of its moments in the optimiser."""
        return tensor if self.size == 1 else tensor[s]


class AdamW:
    """Decoupled weight decay on all weights, by torch's fused kernel.

    Its moments exist from the start, so that they can be loaded in place.  The kernel is called
    directly because the class around it imports the compiler, which takes seconds per process.
    """

    def __init__(self, weights: dict[str, Tensor], rule: OptimiserConfig) -> None:
        self.weights, self.rule = list(weights.values()), rule
        self.mean, self.square = ([torch.zeros_like(w) for w in self.weights] for _ in range(2))
        self.steps = [torch.zeros((), device=w.device) for w in self.weights]

    def moments(self) -> dict[str, list[Tensor]]:
        """Return the moments, on which the next step depends beside weights and step."""
        return {"mean": self.mean, "square": self.square}

    def step(self, step: int, gradients: Sequence[Tensor]) -> None:
        """Update the weights once; `step` counts from 0."""
        rule = self.rule
        warm = min(1.0, (step + 1) / rule.warmup) if rule.warmup else 1.0
        with torch.no_grad():
            adamw(
                self.weights,
                [g.contiguous() for g in gradients],  # the kernel ignores strides
                self.mean,
                self.square,
                [],
                self.steps,
                fused=True,
                amsgrad=False,
                beta1=rule.betas[0],
                beta2=rule.betas[1],
                lr=warm * rule.learning_rate,
                weight_decay=rule.weight_decay,
                eps=1e-8,
                maximize=False,
            )


class _Run:
    """One run's file, data and history."""

    def __init__(self, config: RunConfig, paths: Paths) -> None:
        self.config, self.paths = config, paths
        self.data = tasks.build(config.task, config.seed)
        self.history: list[tuple[int, float, float]] = []  # step, train accuracy, deciding accuracy
        self.reason = ""
        self.writer: RunWriter | None = None

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Log metrics, and decide whether the run ends here."""
        assert self.writer is not None
        self.writer.log(step, **metrics)
        deciding = metrics.get("mirror_free_accuracy", metrics["test_accuracy"])
        self.history.append((step, metrics["train_accuracy"], deciding))
        self.reason = schedule.should_stop(self.history, self.config.stop)

    def create(self, heads: int, probe: np.ndarray) -> None:
        """Create the run file, with the probe as indices of inputs."""
        config, data = self.config, self.data
        task, last = config.task, config.task.positions - 1
        size_name, size = task.size
        leaked = data.mirror_trained
        self.paths.folder.mkdir(parents=True, exist_ok=True)
        self.writer = RunWriter.create(
            self.paths.run,
            layers=config.model.layers,
            heads=heads,
            keys=task.positions,
            queries=[last] if config.record.queries == "last" else range(last + 1),
            probe_input=data.tokens[probe],
            probe_trained=data.trained[probe],
            probe_mirror_trained=None if leaked is None else leaked[probe],
            probe_population=task.population if task.modular else 0,
            metrics=[m for m in STANDARD_METRICS if data.mirror is not None or "mirror" not in m],
            size_name=size_name,
            size=size,
            seed=config.seed,
            parameters=config.parameters,
            config=config.to_dict(),
            d_k=config.model.d_k,
            softmax_scale=config.model.scale,
            versions={"torch": torch.__version__},
            overwrite=True,
        )

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def _close(runs: Sequence[_Run]) -> list[Exception]:
    """Close all files, also after one that cannot be closed; returns what went wrong."""
    failures: list[Exception] = []
    for run in runs:
        try:
            run.close()
        except Exception as error:
            failures.append(error)
    return failures


class _Loop:
    """The training loop over runs that train at once."""

    def __init__(self, runs: Sequence[_Run], device: torch.device) -> None:
        config, data = runs[0].config, [run.data for run in runs]
        self.runs, self.config, self.device = runs, config, device
        shape = (data[0].vocabulary, config.task.positions, config.task.answers)
        self.models = Ensemble([_model(run.config, shape).to(device) for run in runs])
        self.optimiser = AdamW(self.models.weights, config.optimiser)
        contexts = Contexts.of(data[0].tokens)
        self.probe = tasks.probe(config.task, config.record.probe_size)
        self.on_probe = contexts.select(self.probe).to(device)
        train, test = (
            np.stack([np.flatnonzero(d.trained == t) for d in data]) for t in (True, False)
        )
        self.on_train, self.on_test = (contexts.select(i).to(device) for i in (train, test))
        pick = [
            (np.stack([d.answers[i] for d, i in zip(data, of, strict=True)]))
            for of in (train, test)
        ]
        self.train_answers, self.test_answers = (torch.from_numpy(a).to(device) for a in pick)
        free = [d.mirror_free for d in data]
        self.mirror_free = [None if f is None else f[i] for f, i in zip(free, test, strict=True)]
        record, last = config.record, config.stop.max_steps
        self.checkpoints = set(
            schedule.steps(
                last, per_decade=record.checkpoints_per_decade, every=record.checkpoint_every
            )
        )
        self.metric_steps = self.checkpoints | set(
            schedule.steps(last, per_decade=record.metrics_per_decade, every=record.metrics_every)
        )
        self.step, self.saved = 0, time.monotonic()
        self.resumed: int | None = None  # a step that is in the file already

    def start(self, resume: bool) -> None:
        """Open the files; load the saved state if there is one."""
        done = {run.paths.state_step for run in self.runs} if resume else {None}
        (step,) = done  # `batches` puts runs at one step together
        for run in self.runs:
            if resume and run.paths.run.exists():
                check_same_config(run.config, run.paths.run)
        for s, run in enumerate(self.runs):
            if not resume and run.paths.run.exists():
                raise RunFileError(
                    f"{run.paths.run}: exists already; resume it or choose another folder"
                )
            if step is None:
                run.paths.state.unlink(missing_ok=True)
                run.create(self.config.model.heads, self.probe)
            else:
                run.writer = RunWriter.resume(run.paths.run, step=step)
                self._load_state(s)
        self.step, self.resumed = step or 0, step

    def go(self, report: Report) -> None:
        """Train until every run has ended by its own rule."""
        while True:
            logits = self.models(self.on_train)  # (s, N, y)
            if self.step in self.metric_steps and self.step != self.resumed:
                self._measure(logits.detach())
                report(self.step)
            if all(run.reason for run in self.runs):
                return
            self._update(logits)

    def _update(self, logits: Tensor) -> None:
        """Make one step of AdamW."""
        gradient = _loss_gradient(logits.detach(), self.train_answers, self._loss_dtype)
        self.optimiser.step(
            self.step, torch.autograd.grad(logits, self.optimiser.weights, gradient)
        )
        self.step += 1

    def _measure(self, logits: Tensor) -> None:
        """Log the metrics; at a checkpoint, and where a run ends, its logits too."""
        open_runs = [(s, run) for s, run in enumerate(self.runs) if not run.reason]
        with evaluating(self.models.template):
            metrics = self._metrics(logits)
            for s, run in open_runs:
                run.log(self.step, metrics[s])
            if self.step in self.checkpoints or any(run.reason for _, run in open_runs):
                self._record(open_runs)

    def _record(self, runs: Sequence[tuple[int, _Run]]) -> None:
        queries = self.config.record.queries == "all"
        logits = self.models.attention_logits(self.on_probe, all_queries=queries).cpu().numpy()
        pause = self.config.record.state_seconds
        save = self.step in self.checkpoints and time.monotonic() - self.saved >= pause
        for s, run in runs:
            if self.step not in self.checkpoints and not run.reason:
                continue
            assert run.writer is not None
            run.writer.append(self.step, logits[s])
            if self.config.record.weights:
                self._save_weights(s, run)
            if run.reason:
                run.writer.finish(run.reason)
                run.close()
                run.paths.state.unlink(missing_ok=True)
            elif save:
                self._save_state(s, run)
        if save:
            self.saved = time.monotonic()

    def _metrics(self, train_logits: Tensor) -> list[dict[str, float]]:
        """Metrics of each model, as listed at the top of this module."""
        test_logits = self.models(self.on_test)  # (s, N, y)
        right = test_logits.argmax(-1) == self.test_answers  # (s, N)
        centred = test_logits - test_logits.mean(-1, keepdim=True)
        columns = {
            "train_loss": _loss(train_logits, self.train_answers, self._loss_dtype),
            "test_loss": _loss(test_logits, self.test_answers, self._loss_dtype),
            "train_accuracy": _share(train_logits.argmax(-1) == self.train_answers),
            "test_accuracy": _share(right),
            "weight_norm": self._weight_norm(),
            "logit_scale": centred.double().square().mean((-2, -1)).sqrt(),
        }
        values = torch.stack([c.double() for c in columns.values()], dim=1).tolist()
        rows = [dict(zip(columns, row, strict=True)) for row in values]
        for row, correct, free in zip(rows, right.cpu().numpy(), self.mirror_free, strict=True):
            if free is not None:
                row["mirror_free_accuracy"] = float(correct[free].mean())
        return rows

    def _weight_norm(self) -> Tensor:
        size = self.models.size
        squares = [
            w.reshape(size, -1).double().square().sum(1) for w in self.models.weights.values()
        ]
        return torch.stack(squares).sum(0).sqrt()  # (s,)

    @property
    def _loss_dtype(self) -> torch.dtype:
        return torch.float64 if self.config.optimiser.loss_dtype == "float64" else torch.float32

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the tensors that determine the next steps: weights and moments."""
        groups = {"weight": self.optimiser.weights, **self.optimiser.moments()}
        for kind, tensors in groups.items():
            for name, tensor in zip(self.models.weights, tensors, strict=True):
                yield f"{kind}.{name}", tensor

    def _save_weights(self, s: int, run: _Run) -> None:
        weights = self.models.weights.items()
        tensors = {name: self.models.of_model(w, s).detach().clone() for name, w in weights}
        _replace_file(run.paths.weights(self.step), tensors, {"step": str(self.step)})

    def _save_state(self, s: int, run: _Run) -> None:
        tensors = {name: self.models.of_model(t, s).detach().clone() for name, t in self._state()}
        tensors["history"] = torch.tensor(run.history, dtype=torch.float64)
        _replace_file(run.paths.state, tensors, {"step": str(self.step)})

    def _load_state(self, s: int) -> None:
        run = self.runs[s]
        with _opened_state(run.paths.state) as file, torch.no_grad():
            for name, tensor in self._state():
                self.models.of_model(tensor, s).copy_(file.get_tensor(name))
            run.history = [(int(a), b, c) for a, b, c in file.get_tensor("history").tolist()]
            step = int(file.metadata()["step"])
        for count in self.optimiser.steps:
            count.fill_(step)


def _model(config: RunConfig, shape: tuple[int, int, int]) -> Transformer:
    vocabulary, positions, answers = shape
    return Transformer(
        config.model,
        vocabulary=vocabulary,
        positions=positions,
        answers=answers,
        seed=config.seed,
    )


def _loss(logits: Tensor, answers: Tensor, dtype: torch.dtype) -> Tensor:
    """Mean cross-entropy of each model, (s,)."""
    log_p = torch.log_softmax(logits.to(dtype), -1)  # (s, N, y)
    return -log_p.gather(-1, answers.unsqueeze(-1)).squeeze(-1).mean(-1)


def _loss_gradient(logits: Tensor, answers: Tensor, dtype: torch.dtype) -> Tensor:
    """Gradient (p - 1[answer]) / N of the mean cross-entropy of each model, (s, N, y).

    Written out because the loss itself is not needed at every step, and neither is a second
    exponential.
    """
    p = torch.softmax(logits.to(dtype), -1)
    p.scatter_add_(-1, answers.unsqueeze(-1), p.new_full((), -1.0).expand(*answers.shape, 1))
    return p.div_(answers.shape[-1]).to(logits.dtype)


def _share(right: Tensor) -> Tensor:
    """Share of right answers of each model, (s,)."""
    return right.double().mean(-1)


def check_same_config(config: RunConfig, path: Path) -> None:
    """Check that a run file was made with this configuration.

    Raises
    ------
    RunFileError
        With the keys that differ.
    """
    with open_run(path) as file:
        before = json.loads(file.attrs["config"])
    now = json.loads(json.dumps(config.to_dict()))
    changed = [
        f"{section}.{key}" if key else section
        for section, value in now.items()
        for key in (value if isinstance(value, dict) else [""])
        if before.get(section) != value
        and (not key or before.get(section, {}).get(key) != value[key])
    ]
    if changed:
        raise RunFileError(
            f"{path}: was made with another {', '.join(changed)}; "
            "resume with the same configuration or choose another folder"
        )


def _replace_file(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file so that its name always stands for a complete one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, save({name: t.cpu().contiguous() for name, t in tensors.items()}, metadata))
