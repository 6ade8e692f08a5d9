"""Milliseconds per training step of the reference model, one thread, beside an earlier measurement.

    python benchmarks/trainer.py [--fraction 0.3] [--seconds 8]

The model is one layer, d = 128, 4 heads, d_mlp = 512, float32, full batch, loss in float64 and, to
show what that costs, in float32.  Time is processor time of the one thread, the smallest of many
short stretches, because other processes only ever add to it; the median stands beside it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from heatcap_trainer.config import ModelConfig, OptimiserConfig, RunConfig, TaskConfig
from heatcap_trainer.pool import _keep_memory
from heatcap_trainer.train import Paths, _Loop, _Run

from machine import cpu_name

#: ms per step at fraction 0.3 of the trial that came before this trainer, on 2 shared cores.
BEFORE = {19: 2.9, 43: 10.0, 113: 63.0}


def stepper(config: RunConfig) -> Callable[[], None]:
    """A function that makes one training step."""
    loop = _Loop([_Run(config, Paths(Path(), config.name))], torch.device("cpu"))
    return lambda: loop._update(loop.models(loop.on_train))


def measure(step: Callable[[], None], seconds: float) -> tuple[float, float]:
    """Smallest and median milliseconds per step over stretches of about 0.2 s."""
    for _ in range(3):
        step()
    start = time.process_time()
    step()
    count = max(1, round(0.2 / (time.process_time() - start)))
    end, stretches = time.perf_counter() + seconds, list[float]()
    while time.perf_counter() < end:
        start = time.process_time()
        for _ in range(count):
            step()
        stretches.append((time.process_time() - start) / count * 1e3)
    return min(stretches), statistics.median(stretches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fraction", type=float, default=0.3)
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    _keep_memory()
    torch.set_num_threads(1)
    print(f"{cpu_name()}, torch {torch.__version__}, one thread, ")
    print(f"fraction {arguments.fraction}, ms per step\n")
    print("| p | before | float64 loss | median | float32 loss |")
    print("|---|---|---|---|---|")
    for p, before in BEFORE.items():
        config = RunConfig(TaskConfig(p=p, fraction=arguments.fraction), ModelConfig())
        least, median = measure(stepper(config), arguments.seconds)
        single = replace(config, optimiser=OptimiserConfig(loss_dtype="float32"))
        least_32, _ = measure(stepper(single), arguments.seconds)
        then = f"{before}" if arguments.fraction == 0.3 else "-"
        print(f"| {p} | {then} | {least:.2f} | {median:.2f} | {least_32:.2f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
