"""Observables with planted events: every memorisation, onset, peak and spike is known.

Shapes follow what was measured on modular addition: a Schottky bump of `heat_capacity` before
memorisation and a broad maximum later, an `unweighted_heat_capacity` that peaks near memorisation
and is nearly all key offset, a `landscape_heat_capacity` that peaks near the onset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

PRIMES = (19, 23, 31, 43, 53, 61, 73, 89, 97, 113)
HEADS = 4
TEMPERATURES = np.geomspace(0.1, 10, 21)


@dataclass(frozen=True)
class Plan:
    """What is planted in one run; times in steps, onset NaN for a run that never generalises."""

    p: int = 43
    seed: int = 0
    memorisation: float = 100.0
    onset: float = 900.0
    peak: float = 600.0
    last: float = 4000.0
    control: str = "none"
    weight_decay: float = 1.0
    spikes: tuple[float, ...] = ()
    symmetric: bool = True


def sweep(primes=PRIMES, seeds=3, controls=(19, 43, 113), rng=0) -> list[Plan]:
    """Plans of a sweep like the one that ships: leads of both signs, controls at three sizes."""
    rng = np.random.default_rng(rng)
    plans = [_plan(p, seed, rng) for p in primes for seed in range(seeds)]
    for p in controls:
        if p in primes:
            base = _plan(p, 0, rng)
            never = {"p": p, "memorisation": base.memorisation, "onset": np.nan}
            plans.append(Plan(**never, peak=700.0, last=6000.0, control="random_labels"))
            plans.append(Plan(**never, peak=900.0, last=6000.0, weight_decay=0.0))
    return plans


def _plan(p, seed, rng) -> Plan:
    onset = 2200 * (19 / p) ** 1.2 * np.exp(0.15 * rng.normal())
    peak = onset * np.exp(0.3 * rng.normal() - 0.15)
    memorised = 60 + 0.7 * p
    return Plan(p, seed, memorised, onset, peak, max(2.4 * onset, 600.0))


def checkpoint_steps(last: float, n: int = 120) -> np.ndarray:
    """Step 0 and n log-spaced steps up to the last, whole numbers without repetition."""
    return np.unique(np.concatenate([[0], np.rint(np.geomspace(1, last, n))]))


def observables(plans=None, *, noise=0.02, rng=0, scan=True) -> xr.Dataset:
    """Dataset in the shape that observe writes, padded with NaN, for a list of plans."""
    plans = sweep() if plans is None else plans
    rng = np.random.default_rng(rng)
    runs = [_run(plan, noise, rng, scan) for plan in plans]
    padded = xr.concat(runs, "run", join="outer", coords="all", data_vars="all", compat="override")
    coords = {
        "run": [f"add_p{q.p:03d}_s{q.seed}_{q.control}_wd{q.weight_decay:g}" for q in plans],
        "p": ("run", [q.p for q in plans]),
        "seed": ("run", [q.seed for q in plans]),
        "fraction": ("run", [0.7] * len(plans)),
        "weight_decay": ("run", [q.weight_decay for q in plans]),
        "task": ("run", ["add" if q.symmetric else "subtract" for q in plans]),
        "control": ("run", [q.control for q in plans]),
    }
    return padded.drop_vars(["checkpoint", "metric"]).assign_coords(coords)


def bump(x, centre, width):
    """Gaussian in ln step of height 1."""
    return np.exp(-0.5 * ((x - np.log(centre)) / width) ** 2)


def rise(x, centre, width):
    """Logistic in ln step from 0 to 1."""
    return 1 / (1 + np.exp(-(x - np.log(centre)) / width))


def _run(plan: Plan, noise, rng, scan) -> xr.Dataset:
    step = checkpoint_steps(plan.last)
    metric_step = np.unique(
        np.rint(np.concatenate([np.arange(0, 200, 2), np.linspace(200, plan.last, 400)]))
    )
    data = _curves(plan, step, noise, rng) | _metrics(plan, metric_step)
    if scan:
        data |= _scan(plan, step)
    bound = 0.7618
    return xr.Dataset(
        data
        | {
            "heat_capacity_bound": ("query", [bound]),
            "visible_keys": ("query", [3.0]),
            "stop_reason": "twice the onset" if np.isfinite(plan.onset) else "step limit",
        },
        coords={
            "step": ("checkpoint", step),
            "metric_step": ("metric", metric_step),
            "checkpoint": np.arange(step.size),
            "metric": np.arange(metric_step.size),
            "inputs": ["all", "trained", "untrained"],
            "layer": [0],
            "head": np.arange(HEADS),
            "query": [2],
            "temperature": TEMPERATURES,
        },
    )


def _curves(plan, step, noise, rng) -> dict:
    x = np.log(np.maximum(step, 0.5))
    late = plan.onset if np.isfinite(plan.onset) else 3 * plan.peak
    shape = {
        "heat_capacity": 0.26 * bump(x, 55, 0.35) + 0.36 * bump(x, 1.15 * late, 0.7),
        "landscape_heat_capacity": 0.05 * plan.p**0.8 * bump(x, plan.peak, 0.4),
        "offset_heat_capacity": 0.45 * plan.p**1.05 * bump(x, 1.3 * plan.memorisation, 0.5),
    }
    shape["landscape_heat_capacity_fixed"] = 1.1 * shape["landscape_heat_capacity"]
    shape["total_heat_capacity"] = shape["heat_capacity"] + shape["landscape_heat_capacity"]
    shape["unweighted_heat_capacity"] = (
        shape["offset_heat_capacity"] + 0.4 * shape["landscape_heat_capacity"]
    )
    for spike in plan.spikes:
        hit = 1 + 3 * (np.abs(x - np.log(spike)) < 0.05)
        shape = {name: curve * hit for name, curve in shape.items()}
    shape["heat_capacity"] = np.minimum(shape["heat_capacity"], 0.7)  # below the bound of 3 keys
    head = np.linspace(0.7, 1.3, HEADS)  # averages to one: the head mean is the planted curve
    dims = ("checkpoint", "inputs", "layer", "head", "query")
    out = {}
    for name, curve in shape.items():
        values = curve[:, None, None, None, None] * head[:, None]
        values = np.broadcast_to(values, (step.size, 3, 1, HEADS, 1))
        out[name] = (dims, values * (1 + noise * rng.normal(size=values.shape)))
    return out


def _metrics(plan, step) -> dict:
    x = np.log(np.maximum(step, 0.5))
    memorised = np.log(plan.memorisation)
    # Linear in ln step through 0.99 at the planted step: interpolation gives it back exactly.
    train = np.clip(0.99 + 0.6 * (x - memorised), 0.01, 1.0)
    gain = rise(x, plan.onset, 0.15) if np.isfinite(plan.onset) else np.zeros(step.size)
    mirror = 0.98 * gain + 0.01
    test = 0.7 * np.minimum(train, 1.0) * (1 - gain) + gain if plan.symmetric else mirror
    loss = 4.0 * np.exp(-3 * np.maximum(x - memorised + 1.5, 0)) + 1e-6
    for spike in plan.spikes:
        loss[np.argmin(np.abs(step - spike))] *= 100
    nan = np.full(step.size, np.nan)
    return {
        "train_accuracy": ("metric", train),
        "test_accuracy": ("metric", test),
        "mirror_free_accuracy": ("metric", mirror if plan.symmetric else nan),
        "train_loss": ("metric", loss),
        "test_loss": ("metric", 5 * (1 - gain) + 0.01),
    }


def _scan(plan, step) -> dict:
    """Two-level rows whose gap grows along training: C(T) is a Schottky curve that moves."""
    gap = 4.0 * rise(np.log(np.maximum(step, 0.5)), plan.memorisation, 0.8)[:, None] + 0.05
    y = gap / TEMPERATURES
    w = 2 * np.exp(-y)
    c = (y**2 * w / (1 + w) ** 2)[:, :, None, None, None] * np.ones((1, 1, 1, HEADS, 1))
    return {"scan_heat_capacity": (("checkpoint", "temperature", "layer", "head", "query"), c)}
