"""Command line of the trainer: `heatcap-train run CONFIG.toml -o DIR`."""

from __future__ import annotations

import os
import sys
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from heatcap.core.text import plain
from heatcap_trainer.config import ConfigError, RunConfig, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.progress import Progress, TaskID

    from heatcap_trainer.pool import Event

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train small transformers and record their attention logits in run files.",
)

_PLAIN_SECONDS = 15.0


@app.callback()
def main() -> None:
    """Train small transformers and record their attention logits in run files."""


@app.command()
def run(
    config: Annotated[
        Path, typer.Argument(help="TOML file: task, model, optimiser, schedule, sweep.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the run files.")],
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.")
    ] = "auto",
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=0, help="Processes; 0: one per core, one on CUDA.")
    ] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip finished runs, go on with the others.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List runs, sizes and times; train nothing.")
    ] = False,
) -> None:
    """Train every run of a configuration, in parallel, one run file each."""
    try:
        configs = load(config)
    except ConfigError as error:
        _fail(str(error))
    if dry_run:
        _list(configs, jobs or _cores())
        return
    if any(find_spec(name) is None for name in ("torch", "safetensors")):
        _fail("heatcap-train needs the extra: pip install 'heatcap[train]'")
    chosen = _device(device)
    waiting = _waiting(configs, out, resume)
    if waiting:
        _train(waiting, out, chosen, jobs or (1 if chosen == "cuda" else _cores()), resume)
    typer.echo(plain(f"all {len(configs)} runs are finished in {out}"))


def _train(configs: list[RunConfig], out: Path, device: str, jobs: int, resume: bool) -> None:
    """Train and show; exits with 1 if a run failed and with 130 on Ctrl-C."""
    from heatcap.runfile import RunFileError
    from heatcap_trainer.cost import estimate
    from heatcap_trainer.pool import work_through
    from heatcap_trainer.train import batches

    out.mkdir(parents=True, exist_ok=True)
    try:
        work = batches(configs, out, together=device == "cuda")
    except RunFileError as error:
        _fail(str(error))
    work.sort(
        key=lambda batch: -estimate(batch[0]).seconds
    )  # a long run last would keep one core busy
    events = work_through(work, out, jobs=jobs, device=device, resume=resume)
    failed: list[str] = []
    try:
        with _display(work) as show:
            for event in events:
                show(event)
                if event.kind == "failed":
                    failed += [run.name for run in work[event.batch]]
    except KeyboardInterrupt:
        events.close()
        typer.echo("interrupted; the same command with --resume goes on", err=True)
        raise typer.Exit(130) from None
    if failed:
        _fail(f"{len(failed)} of {len(configs)} runs failed: {', '.join(failed)}")


def _waiting(configs: Sequence[RunConfig], out: Path, resume: bool) -> list[RunConfig]:
    """Runs still to be trained; what exists of the others was made with their configuration."""
    from heatcap.runfile import RunFileError
    from heatcap_trainer.train import Paths, check_same_config

    there = [c for c in configs if Paths(out, c.name).run.exists()]
    if there and not resume:
        _fail(
            f"{Paths(out, there[0].name).run} exists already"
            + (f", and {len(there) - 1} more" if len(there) > 1 else "")
            + "; pass --resume or choose another folder"
        )
    try:
        for c in there:
            check_same_config(c, Paths(out, c.name).run)
        return [c for c in configs if not Paths(out, c.name).finished]
    except RunFileError as error:
        _fail(str(error))


def _device(name: str) -> str:
    if name == "cpu":
        return name
    import torch

    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        _fail("--device cuda: torch finds no CUDA device here")
    return "cuda" if available else "cpu"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _list(configs: Sequence[RunConfig], jobs: int) -> None:
    """The table of --dry-run."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from heatcap_trainer.cost import estimate

    table = Table("run", "steps", "checkpoints", "MiB", "minutes", title="at most", box=None)
    costs = [estimate(config) for config in configs]
    for config, cost in zip(configs, costs, strict=True):
        figures = f"{cost.bytes / 2**20:.1f}", f"{cost.seconds / 60:.1f}"
        table.add_row(Text(plain(config.name)), str(cost.steps), str(cost.checkpoints), *figures)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    size, seconds = sum(c.bytes for c in costs), sum(c.seconds for c in costs)
    typer.echo(
        f"{len(configs)} runs, at most {size / 2**20:.0f} MiB on disk "
        f"and {seconds / jobs / 60:.0f} minutes on {jobs} cores"
    )


class _Ledger:
    """How much of the work is done, in estimated seconds."""

    def __init__(self, work: Sequence[Sequence[RunConfig]]) -> None:
        from heatcap_trainer.cost import estimate

        self.work, self.started = work, time.monotonic()
        self.costs = [len(batch) * estimate(batch[0]).seconds for batch in work]
        self.total, self.done = sum(self.costs), dict.fromkeys(range(len(work)), 0.0)

    def enter(self, event: Event) -> None:
        share = event.step / self.work[event.batch][0].stop.max_steps
        self.done[event.batch] = self.costs[event.batch] * (share if event.kind == "step" else 1.0)

    @property
    def completed(self) -> float:
        return sum(self.done.values())

    @property
    def time_left(self) -> str:
        """In words, at the pace so far; runs that stop by their onset end it earlier."""
        if self.completed < 0.01 * self.total:
            return "time left not known yet"
        passed = time.monotonic() - self.started
        left = passed * (self.total - self.completed) / self.completed
        return f"at most {left / 60:.0f} minutes left"


@contextmanager
def _display(work: Sequence[Sequence[RunConfig]]) -> Iterator[_Show]:
    """Progress bars on a terminal, a plain line now and then elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console, ledger = Console(stderr=True), _Ledger(work)
    if not console.is_terminal:
        yield _Plain(ledger)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bars(ledger, progress)


class _Show(ABC):
    """Shows events as they come; the two ways to do it are below."""

    def __init__(self, ledger: _Ledger) -> None:
        self.ledger = ledger

    def __call__(self, event: Event) -> None:
        self.ledger.enter(event)
        names = [run.name for run in self.ledger.work[event.batch]]
        for name, reason in event.reasons:
            self.line(f"{name}: {reason}")
        if event.kind == "failed":
            for name in names:
                self.line(f"{name}: failed: {event.error}")
        self.update(event, names)

    @abstractmethod
    def line(self, text: str) -> None:
        """Say something for good."""

    @abstractmethod
    def update(self, event: Event, names: Sequence[str]) -> None:
        """Show how far the work is."""


class _Plain(_Show):
    """Lines on standard error."""

    last = 0.0

    def line(self, text: str) -> None:
        typer.echo(plain(text), err=True)

    def update(self, event: Event, names: Sequence[str]) -> None:
        if time.monotonic() - self.last < _PLAIN_SECONDS:
            return
        self.last = time.monotonic()
        done = f"{self.ledger.completed / self.ledger.total:.0%} done"
        step = f", {names[0]} at step {event.step}" if event.kind == "step" else ""
        self.line(f"{done}, {self.ledger.time_left}{step}")


class _Bars(_Show):
    """A bar for all of the work and one for each batch that is being trained."""

    def __init__(self, ledger: _Ledger, progress: Progress) -> None:
        super().__init__(ledger)
        self._progress = progress
        self._whole = progress.add_task(f"{len(ledger.work)} batches", total=ledger.total)
        self._tasks: dict[int, TaskID] = {}

    def line(self, text: str) -> None:
        self._progress.console.print(plain(text), markup=False, highlight=False)

    def update(self, event: Event, names: Sequence[str]) -> None:
        self._progress.update(self._whole, completed=self.ledger.completed)
        if event.kind == "step":
            if event.batch not in self._tasks:
                total = self.ledger.work[event.batch][0].stop.max_steps
                self._tasks[event.batch] = self._progress.add_task(plain(names[0]), total=total)
            self._progress.update(self._tasks[event.batch], completed=event.step)
        elif event.batch in self._tasks:
            self._progress.remove_task(self._tasks.pop(event.batch))


def _fail(message: str) -> NoReturn:
    typer.echo(f"error: {plain(message)}", err=True)
    raise typer.Exit(1)
