"""Which figures the page shows, each with a caption of numbers; or why one is not there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from heatcap.core.quantities import HEAT_CAPACITY, preferred, scan_of, spoken
from heatcap.divergence import Verdict
from heatcap.events import PROPER, Column, size_name_of
from heatcap.observables.dataset import size_coordinate
from heatcap.report.answers import listed
from heatcap.report.drawing import Plan
from heatcap.report.findings import Findings

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["plans_of"]

MOST = 4  # rows of panels
DRAWN = 12  # observables (and layers): a page of more would be too large to open
LEADS, GROWS = "Does the peak come first?", "Does it diverge?"


def plans_of(report: Findings) -> list[Plan]:
    """Evolution, leads, verdicts, temperature scan; controls are folded away."""
    obs = _with_sizes(report.obs)
    parts = (_evolutions(report, obs), _leads(report), _verdicts(report), _scans(report, obs))
    found: dict[str, Plan] = {}
    for plan in (plan for part in parts for plan in part):
        # Names of observables and controls are anybody's; identifiers are not.
        key = re.sub("[^a-z0-9]+", "-", plan.key.lower()).strip("-")
        key = key if key not in found else f"{key}-{len(found)}"
        found[key] = replace(plan, key=key)
    return list(found.values())


def _with_sizes(obs: xr.Dataset) -> xr.Dataset:
    """Runs without a size are numbered, so that each has a panel of its own."""
    if size_coordinate(obs):
        return obs
    number = [float(k) for k in range(1, obs.sizes["run"] + 1)]
    return obs.assign_coords(size=("run", number), size_name=("run", ["run"] * len(number)))


def _shown(report: Findings) -> tuple[str, ...]:
    """One of each kind; or the first few of others."""
    have = list(dict.fromkeys(answer.observable for answer in report.answers))
    return preferred(have) or tuple(have[:MOST])


def _evolutions(report: Findings, obs: xr.Dataset) -> Iterator[Plan]:
    import heatcap.figures as figures

    events, shown = report.events, _shown(report)
    layers = obs.sizes.get("layer", 1)
    numbered = "" if obs is report.obs else "; runs are numbered as in the table of runs"
    proper = {} if events.proper.empty else {PROPER: events.proper}
    for group, runs in (proper | dict(sorted(events.controls.items()))).items():
        n, censored = len(runs), int(runs[Column.CENSORED].sum())
        names = listed([spoken(name) for name in shown])

        def draw(group: str = group, runs: pd.DataFrame = runs) -> Figure:
            size_name_of(runs)  # panels of sizes with several names would share one
            return figures.evolution(obs, events, observables=shown, group=group)

        control = "" if group == PROPER else f", control: {spoken(group)}"
        yield Plan(
            key="evolution" if group == PROPER else f"evolution {group}",
            title=f"Along training{control}",
            caption=(
                f"{n} {'run' if n == 1 else 'runs'}, one line each: accuracies, then {names}"
                + (" of the first layer" if layers > 1 else "")
                + numbered
                + f". Dotted: memorisation; dashed: onset of generalisation ({n - censored} of "
                f"{n}; {censored} censored). A filled triangle is a peak, a hollow one the highest "
                "interior maximum of a curve that is higher at an end."
            ),
            draw=draw,
            folded=group != PROPER,
        )


def _leads(report: Findings) -> Iterator[Plan]:
    """The same observables as along training, then the others, folded away."""
    import heatcap.figures as figures

    audit, events = report.audit, report.events
    if audit is None:
        why = f"no audit: {report.missing.get('audit', '')}"
        yield Plan("leads", LEADS, "", _nothing(why))
        return
    names = list(audit.leads)
    shown = _shown(report)
    main = [name for name in names if audit.leads[name].observable in shown][:MOST]
    others = [name for name in names if name not in main]
    others, left = others[: DRAWN - len(main)], others[DRAWN - len(main) :]
    chunks = [main, *(others[k : k + MOST] for k in range(0, len(others), MOST))]
    for number, chunk in enumerate(chunks):

        def draw(chunk: list[str] = chunk) -> Figure:
            return figures.leads(audit, events, observables=chunk)

        pooled = {name: audit.leads[name].pooled for name in chunk}
        counted = [
            f"{spoken(name)} {each.first} of {each.first + each.later}"
            + (f" ({each.unresolved} more too close to tell)" if each.unresolved else "")
            for name, each in pooled.items()
            if each.compared
        ]
        yield Plan(
            key=f"leads-{number}" if number else "leads",
            title=f"{LEADS} Other observables" if number else LEADS,
            caption=(
                "Left: onset over peak for each run; above 1 the peak came first. Centre: how "
                "often the peak is first, beside what a peak at a random step has for free (P: "
                "p-value). Right: which clock its time follows, and whether controls show it too."
                + (f" Peak first in: {'; '.join(counted)} runs." if counted else "")
            ),
            draw=draw,
            folded=number > 0,
        )
    if left:
        yield Plan("leads-left", f"{LEADS} The rest", "", _nothing(_in_tables(len(left))))


def _in_tables(count: int) -> str:
    return f"{count} more {'is' if count == 1 else 'are'} in the tables alone"


def _nothing(why: str) -> Callable[[], Figure]:
    def draw() -> Figure:
        raise ValueError(why)

    return draw


def _verdicts(report: Findings) -> Iterator[Plan]:
    import heatcap.figures as figures

    for name, found in list(report.verdicts.items())[:DRAWN]:

        def draw(name: str = name, found: Verdict = found) -> Figure:
            return figures.verdict(found, name=name, head=False)

        answer = next(each for each in report.answers if each.name == name)
        yield Plan(
            key=f"verdict {name}",
            title=f"{GROWS} {spoken(name).capitalize()}: {answer.verdict}",
            caption=(
                "Left: heights with the errors of the verdict, and the best fit of each class. "
                "Centre: local exponents. Right: profile of the exponent. "
                f"Tested: {answer.tested}; {found.p_values_said}. "
                f"{answer.verdict.capitalize()}: {found.meaning}."
            ),
            draw=draw,
        )
    if (left := len(report.verdicts) - DRAWN) > 0:
        yield Plan("verdicts-left", f"{GROWS} The rest", "", _nothing(_in_tables(left)))
    without: dict[str, list[str]] = {}
    for answer in report.answers:
        if answer.name in report.missing:
            without.setdefault(answer.tested, []).append(spoken(answer.name))
    for number, (why, names) in enumerate(without.items()):
        key = f"no-verdict-{number}" if number else "no-verdict"
        yield Plan(key, f"{GROWS} {listed(names).capitalize()}: no verdict", "", _nothing(why))


def _scans(report: Findings, obs: xr.Dataset) -> Iterator[Plan]:
    import heatcap.figures as figures

    for name in map(str, obs.data_vars):
        if name != scan_of(HEAT_CAPACITY):
            continue

        def draw() -> Figure:
            controls = report.events.controls
            group = next(iter(controls)) if report.events.proper.empty else PROPER
            size_name_of(report.events.of_group(group))
            return figures.scan(obs, report.events, group=group)

        temperatures = obs["temperature"].to_numpy()
        yield Plan(
            key="scan",
            title="Heat capacity against temperature",
            caption=(
                f"Quenched scan, {temperatures.size} temperatures from {temperatures.min():g} to "
                f"{temperatures.max():g} in units of the model's own (T = 1): weights and "
                "everything upstream stay as they are. One run for every size."
            ),
            draw=draw,
            paper=True,
        )
