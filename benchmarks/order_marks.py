"""Order of transitions that are known, from systems sampled here, and exponents of Potts q = 3.

    python benchmarks/order_marks.py [--replicates 16]

No published data are used: the systems' answers are exact.  On one core the sampling takes about
five minutes and the collapses about as long.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from heatcap.resampling import readable
from heatcap.scaling import Points, collapse, extrema, points, read_table
from heatcap.scaling.histogram import Barriers
from heatcap.scaling.order import Order, transition_order
from heatcap.scaling.peaks import peaks_against_size
from heatcap.scaling.reweighting import reweight
from heatcap.systems import XY, Ising1D, Ising2D, Potts

from machine import cpu_name, print_tables, said

Given = dict[str, Any]


def column(table: xr.Dataset, name: str) -> Points:
    """Points of one observable with their errors."""
    error = f"{name}_error"
    return read_table(table, size="size", control="control", value=name, error=error)


def around(system: Any, width: float, power: float, count: int) -> Any:
    """A grid of the control that narrows with the size."""
    return lambda L: system.critical_point * (1 + width * np.linspace(-1, 1, count) / L**power)


def potts3(replicates: int) -> Given:
    system = Potts(3)
    table = system.sample(
        [8, 16, 32, 64, 128],
        around(system, 1.2, 1.2, 13),
        replicates=replicates,
        sweeps=1200,
        rng=1,
    )
    sizes = [8, 16, 32, 64, 128]
    # Peaks of the heat capacity lie above T_c, the more so the smaller the lattice.
    controls = {L: system.critical_point * (1 + np.array([0.1, 0.8]) / L**1.2) for L in sizes}
    series = system.series(sizes, controls, replicates=replicates, sweeps=1500, rng=2)
    return {"table": table, "dimensionless": column(table, "binder"), "series": series}


def potts10(replicates: int) -> Given:
    system, sizes = Potts(10), [8, 12, 16, 24, 32]
    table = system.sample(
        sizes[:4],
        lambda L: system.critical_point * (1 + 1.5 * np.linspace(-1.5, 3, 15) / L**2),
        replicates=replicates,
        sweeps=2500,
        rng=1,
    )
    controls = {L: [system.critical_point * (1 + 0.8 / L**2)] for L in sizes}
    series = system.series(sizes, controls, replicates=replicates, sweeps=20_000, rng=2)
    return {"dimensionless": column(table, "binder"), "series": series}


def potts5(replicates: int) -> Given:
    """First order with a correlation length of 2512 sites: no size here can show it."""
    system, sizes = Potts(5), [8, 16, 32, 64]
    controls = {L: system.critical_point * (1 + np.array([0.0, 0.8]) / L**1.6) for L in sizes}
    series = system.series(sizes, controls, replicates=replicates, sweeps=2500, rng=2)
    return {"series": series}


def ising(replicates: int) -> Given:
    system, sizes = Ising2D(), [8, 16, 32, 64]
    table = system.sample(
        sizes, around(system, 1.5, 1.0, 13), replicates=replicates, sweeps=1000, rng=1
    )
    controls = {L: system.critical_point * (1 - np.array([0.0, 0.6]) / L) for L in sizes}
    series = system.series(sizes, controls, replicates=replicates, sweeps=1500, rng=2)
    return {"dimensionless": column(table, "binder"), "series": series}


def xy(replicates: int) -> Given:
    table = XY().sample(
        [8, 16, 32, 64], np.linspace(0.8, 1.25, 16), replicates=replicates, sweeps=600, rng=1
    )
    return {
        "dimensionless": column(table, "binder"),
        "heat_capacity": column(table, "heat_capacity"),
        "stiffness": column(table, "helicity_modulus"),
    }


def noisy(table: xr.Dataset, share: float, seed: int) -> Points:
    """Exact heat capacities with noise of a share of their mean."""
    value = table["heat_capacity"].to_numpy()
    error = np.full(value.size, share * value.mean())
    drawn = value + error * np.random.default_rng(seed).normal(size=value.size)
    return points(table["size"], table["control"], drawn, error, name="heat_capacity")


def ring(_: int) -> Given:
    table = Ising1D().exact([8, 16, 32, 64, 128], np.linspace(0.2, 1.2, 21))
    return {"heat_capacity": noisy(table, 0.01, 0)}


def noise(_: int) -> Given:
    rng = np.random.default_rng(0)
    size, control = np.repeat([8.0, 16.0, 32.0, 64.0], 11), np.tile(np.linspace(0, 1, 11), 4)
    one = np.full(44, 1.0)
    drawn = [points(size, control, rng.normal(size=44), one) for _ in range(2)]
    return {"dimensionless": drawn[0], "heat_capacity": drawn[1]}


CASES: dict[str, tuple[Any, str]] = {
    "Potts q = 3, Binder and energies": (potts3, "second order"),
    "2D Ising, Binder and energies": (ising, "second order"),
    "XY, Binder, heat capacity, stiffness": (xy, "Kosterlitz-Thouless"),
    "XY without its stiffness": (xy, "undecided or Kosterlitz-Thouless"),
    "Potts q = 10, Binder and energies": (potts10, "first order"),
    "Potts q = 10, energies alone": (potts10, "first order"),
    "Potts q = 5, energies alone": (potts5, "undecided: correlation length 2512"),
    "1D ring, heat capacity": (ring, "undecided: no transition"),
    "noise": (noise, "undecided"),
}


def results(replicates: int) -> tuple[dict[str, Order], dict[str, Given], float]:
    """Verdict of every case, what it was made from, and the seconds of sampling."""
    sampled: dict[Any, Given] = {}
    found: dict[str, Order] = {}
    seconds = 0.0
    for name, (make, _) in CASES.items():
        began = time.perf_counter()
        if make not in sampled:
            said(f"sampling: {name}")
            sampled[make] = make(replicates)
            seconds += time.perf_counter() - began
        given = {key: value for key, value in sampled[make].items() if key != "table"}
        if "without" in name:
            del given["stiffness"]
        if "alone" in name:
            given = {"series": given["series"]}
        said(f"order: {name}")
        found[name] = transition_order(**given, rng=0)
    return found, {make.__name__: given for make, given in sampled.items()}, seconds


def verdict_table(found: dict[str, Order]) -> str:
    lines = ["| data | truth | verdict | said |", "|---|---|---|---|"]
    for name, order in found.items():
        lines.append(f"| {name} | {CASES[name][1]} | {order.verdict} | {order.message} |")
    return "\n".join(lines) + "\n"


def evidence_table(found: dict[str, Order]) -> str:
    lines = [
        "| data | test | quantity | value | favours | excludes |",
        "|---|---|---|---|---|---|",
    ]
    for name, order in found.items():
        for each in order.evidence:
            v = each.value
            value = "–"
            if np.isfinite(v.value):
                value = readable(v.value, v.error) if v.error > 0 else f"{v.value:.1f}"
            cells = [each.quantity, value, ", ".join(each.favours), ", ".join(each.excludes)]
            lines.append(f"| {name} | {each.test} | {' | '.join(c or '–' for c in cells)} |")
    return "\n".join(lines) + "\n"


def barrier_table(found: dict[str, Order]) -> str:
    lines = [
        "| system | L | histogram | barrier | distance of the peaks | passages |",
        "|---|---|---|---|---|---|",
    ]
    for name in ("Potts q = 3", "2D Ising", "Potts q = 5", "Potts q = 10"):
        order = next(v for k, v in found.items() if k.startswith(name))
        b: Barriers = order.results["barriers"]
        for i, size in enumerate(b.size):
            cells = [
                readable(v[i], e[i]) if np.isfinite(v[i]) else "–"
                for v, e in ((b.barrier, b.barrier_error), (b.distance, b.distance_error))
            ]
            lines.append(
                f"| {name} | {size:g} | {b.shapes[i]} | {cells[0]} | {cells[1]} "
                f"| {b.crossings[i]} |"
            )
    exact = Potts(10).latent_heat
    return "\n".join(lines) + f"\n\nLatent heat of q = 10, exact: {exact:.4f}.\n"


def exponent_table(given: Given) -> str:
    """Exponents of Potts q = 3, each with its exact value."""
    table, system = given["table"], Potts(3)
    lines = [
        "| from | exponent | found | exact | off by (errors) | status |",
        "|---|---|---|---|---|---|",
    ]
    wanted = [
        ("magnetisation", "beta/nu", -system.beta_over_nu),
        ("susceptibility", "gamma/nu", system.gamma_over_nu),
    ]
    for other, name, exact in wanted:
        said(f"exponents: binder and {other}")
        parts = [column(table, "binder"), column(table, other)]
        fit = collapse(parts, fixed={"exponent_binder": 0.0})
        where = f"collapse of Binder and {other}"
        rows = [("inverse_nu", "1/nu", 1 / system.nu), (f"exponent_{other}", name, exact)]
        rows.append(("x_c", "T_c", system.critical_point))
        for key, label, truth in rows:
            p = fit.parameters[key]
            shown = f"-{label}" if truth < 0 else label
            lines.append(exponent_row(where, shown, p.value, p.error, truth, fit.status))
    table = reweight(given["series"])
    peaks = extrema(column(table, "heat_capacity"), rng=0)
    growth = peaks_against_size(
        peaks.size, height=peaks.height, height_covariance=peaks.height_covariance
    )
    where = "peaks of the heat capacity, reweighted"
    if growth.exponent is None:
        lines.append(f"| {where} | alpha/nu | – | 0.4 | – | {growth.height_status} |")
    else:
        p = growth.exponent
        status = growth.height_status
        lines.append(exponent_row(where, "alpha/nu", p.value, p.error, 0.4, status))
    return "\n".join(lines) + "\n"


def exponent_row(
    where: str, name: str, value: float, error: float, exact: float, status: str
) -> str:
    off = (value - exact) / error
    return f"| {where} | {name} | {readable(value, error)} | {exact:.6g} | {off:+.1f} | {status} |"


def tables(replicates: int) -> Iterator[str]:
    """All tables in Markdown; `replicates` runs of every point."""
    found, given, seconds = results(replicates)
    yield f"{cpu_name()}, numpy {np.__version__}; {seconds:.0f} s of sampling.\n"
    yield "### Verdicts\n\n" + verdict_table(found)
    yield "### Evidence\n\n" + evidence_table(found)
    yield "### Energy histograms\n\n" + barrier_table(found)
    yield "### Exponents of Potts q = 3\n\n" + exponent_table(given["potts3"])


if __name__ == "__main__":
    print_tables(tables, __doc__, 16)
