"""Collapse beside other public tools, on the same published data, in one run.

    python -m pip install --no-deps fssa==0.7.6
    python benchmarks/peers.py [--replicates 60]

The first table is of planted cases (eight draws of each), the others are of published data, those
of collapse_marks.py (docs/verification.md says where they come from).

pyfssa (PyPI: fssa; https://github.com/andsor/pyfssa) is the one that Python users know; its last
release is older than NumPy 2, so that names which NumPy and SciPy have removed since are lent to it
here, in memory: nothing in it is changed.  It needs one grid of controls for all sizes and a start;
its starts are drawn at random, as a user's would be who does not know the answer.

What else PyPI has is jaxfss 0.1.0 (MIT), parts for a network of one's own: it gives no errors, and
does not import without tensorflow_probability.
"""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from heatcap.resampling import readable
from heatcap.scaling import Collapse, Points, collapse, points
from heatcap.systems import CurieWeiss

from collapse_marks import PUBLISHED, ising, percolation
from machine import cpu_name, print_tables, progress

Floats = NDArray[np.float64]

K_C = 0.4406868  # ln(1 + sqrt 2) / 2
ISING = {"x_c": K_C, "1/nu": 1.0}
BONDS = {"x_c": 0.5, "1/nu": 0.75, "exponent": -5 / 48}
#: BSA, measured once on the Ising Binder data: seconds with errors, K_c and 1/nu.
BSA = (433.0, (0.4406821, 0.0000068), (0.9965, 0.0021))


def installed() -> bool:
    return importlib.util.find_spec("fssa") is not None


def load_fssa() -> types.ModuleType:
    """The package, with the names that it expects of an older NumPy and SciPy.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed.
    """
    from scipy.optimize import OptimizeResult

    old_scipy = types.ModuleType("scipy.optimize.optimize")
    old_scipy.__dict__.update(
        OptimizeResult=OptimizeResult,
        wrap_function=_counted,
        _status_message={
            "success": "Optimization terminated successfully.",
            "maxfev": "Maximum number of function evaluations has been exceeded.",
            "maxiter": "Maximum number of iterations has been exceeded.",
        },
    )
    old_setuptools = types.ModuleType("pkg_resources")
    old_setuptools.__dict__["get_distribution"] = lambda _: types.SimpleNamespace(version="0.7.6")
    lent = {"scipy.optimize.optimize": old_scipy, "pkg_resources": old_setuptools}
    with _modules(lent), _asfarray():
        import fssa  # type: ignore[import-not-found]
        import fssa.fssa  # type: ignore[import-not-found]
    fssa.fssa.np = _OldNumpy("numpy")
    return fssa  # type: ignore[no-any-return]


class _OldNumpy(types.ModuleType):
    """NumPy with the alias that it had."""

    int = int

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def _counted(function: Any, args: tuple[Any, ...]) -> tuple[list[int], Any]:
    """What SciPy once had: a function that counts its calls."""
    calls = [0]

    def counting(*x: Any) -> Any:
        calls[0] += 1
        return function(*x, *args)

    return calls, counting


@contextlib.contextmanager
def _modules(lent: Mapping[str, types.ModuleType]) -> Iterator[None]:
    before = {name: sys.modules.get(name) for name in lent}
    sys.modules.update(lent)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


@contextlib.contextmanager
def _asfarray() -> Iterator[None]:
    vars(np)["asfarray"] = lambda a: np.asarray(a, dtype=np.float64)
    try:
        yield
    finally:
        del vars(np)["asfarray"]


class Found(NamedTuple):
    """What a tool says."""

    seconds: float
    parameters: Mapping[str, tuple[float, float]]  # with errors
    said: str  # of itself: success, or a status
    quality: str


def common(data: Points) -> tuple[Floats, Floats, Floats, Floats]:
    """Sizes, the controls that all of them share, values and errors (size, control)."""
    sizes = np.unique(data.size)
    rounded = data.control.round(12)
    shared = [x for x in np.unique(rounded) if np.count_nonzero(rounded == x) == sizes.size]
    kept = np.isin(rounded, shared)
    order = np.lexsort((rounded[kept], data.size[kept]))
    shape = sizes.size, len(shared)
    value, error = (a[kept][order].reshape(shape) for a in (data.value, data.error))
    return sizes, np.array(shared), value, error


def by_fssa(fssa: types.ModuleType, data: Points, start: tuple[float, float, float]) -> Found:
    """pyfssa from a start (x_c, nu, zeta), on the controls that all sizes share."""
    table = common(data)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _at_most(PATIENCE):
                done = fssa.autoscale(*table, *start)
        except (ValueError, ZeroDivisionError, TimeoutError, np.linalg.LinAlgError) as problem:
            return Found(time.perf_counter() - began, {}, f"raised {type(problem).__name__}", "")
    nu, error = float(done.nu), float(done.dnu)
    ratio = float(done.zeta) / nu
    inverse = np.array([-ratio / nu, 1 / nu])  # d(zeta / nu) by nu and by zeta
    spread = float(np.sqrt(max(inverse @ done.varco[1:, 1:] @ inverse, 0.0)))
    parameters = {
        "x_c": (float(done.rho), float(done.drho)),
        "1/nu": (1 / nu, error / nu**2),
        "exponent": (ratio, spread),
    }
    said = f"success = {bool(done.success)}"
    return Found(time.perf_counter() - began, parameters, said, f"S = {float(done.fun):.3g}")


PATIENCE = 30.0  # seconds of CPU that pyfssa has: from some starts it does not end


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """End in TimeoutError what uses more CPU; of the main thread."""

    def over(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def by_heatcap(data: Points, **options: Any) -> Found:
    began = time.perf_counter()
    found = collapse(data, **options)
    seconds = time.perf_counter() - began
    names = {"x_c": "x_c", "1/nu": "inverse_nu", "exponent": "exponent"}
    parameters = {
        name: (found.parameters[own].value, found.parameters[own].error)
        for name, own in names.items()
        if own in found.parameters
    }
    return Found(seconds, parameters, f"status: {found.status}", _quality(found))


def _quality(found: Collapse) -> str:
    return f"chi²/dof = {found.chi2:.0f}/{found.dof} (p = {found.p_value:.2g})"


HEAD = (
    "| data | tool | parameter | found | exact | off by (errors) | goodness | says | s |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def rows(data: str, tool: str, found: Found, truth: Mapping[str, float]) -> Iterator[str]:
    for name, exact in truth.items():
        value, error = found.parameters.get(name, (np.nan, np.nan))
        off = f"{(value - exact) / error:+.1f}" if error > 0 else "no error"
        yield (
            f"| {data} | {tool} | {name} | {readable(value, error)} | {exact:.7g} | {off} "
            f"| {found.quality} | {found.said} | {found.seconds:.2f} |"
        )


def side_by_side(fssa: types.ModuleType) -> str:
    """Both data sets; pyfssa from the exact start, which is the best that it can be given."""
    binder, strength = ising("B"), percolation("strength")
    shared = np.isin(binder.control.round(12), common(binder)[1])
    ours = by_heatcap(binder, fixed={"exponent": 0.0})
    few = by_heatcap(binder.take(shared), fixed={"exponent": 0.0})
    lines = [HEAD]
    name = f"Ising Binder, {len(binder)} points"
    part = f"Ising Binder, {int(shared.sum())} points on one grid"
    lines += rows(name, "heatcap, no start", ours, ISING)
    lines += rows(part, "heatcap, no start", few, ISING)
    lines += rows(part, "pyfssa, exact start", by_fssa(fssa, binder, (K_C, 1.0, 0.0)), ISING)
    far = by_fssa(fssa, binder, (0.42, 0.9, 0.0))
    lines += rows(part, "pyfssa, start K = 0.42, nu = 0.9", far, ISING)
    seconds, x_c, inverse_nu = BSA
    bsa = Found(
        seconds, {"x_c": x_c, "1/nu": inverse_nu}, "measured November 2026 on 2 cores, not re-run",
        "",
    )  # fmt: skip
    lines += rows(name, "BSA", bsa, ISING)
    bonds = f"bond percolation, strength, {len(strength)} points"
    lines += rows(bonds, "heatcap, no start", by_heatcap(strength), BONDS)
    grid = common(strength)
    part = f"bond percolation, strength, {grid[2].size} points on one grid"
    exact = (0.5, 4 / 3, -5 / 36)
    lines += rows(part, "pyfssa, exact start", by_fssa(fssa, strength, exact), BONDS)
    far = by_fssa(fssa, strength, (0.48, 1.0, 0.0))
    lines += rows(part, "pyfssa, start p = 0.48, nu = 1", far, BONDS)
    ratio = seconds / ours.seconds
    return "\n".join(lines) + (
        f"\n\nBSA with errors over heatcap with errors, in time: {ratio:.0f}.  pyfssa's fit of "
        "the Binder ratio has zeta free; it cannot hold it.\n"
    )


def basin_table(fssa: types.ModuleType, starts: int) -> str:
    """Random starts K in [0.42, 0.46], nu in [0.5, 2]: how many are right, and who says so."""
    rng = np.random.default_rng(0)
    data = ising("B")
    counts = {"pyfssa": np.zeros(4, int), "heatcap": np.zeros(4, int)}
    clock = dict.fromkeys(counts, 0.0)
    for k in range(starts):
        x_c, nu = rng.uniform(0.42, 0.46), rng.uniform(0.5, 2.0)
        start = {"x_c": x_c, "inverse_nu": 1 / nu}
        both = {
            "pyfssa": by_fssa(fssa, data, (x_c, nu, 0.0)),
            "heatcap": by_heatcap(data, fixed={"exponent": 0.0}, start=start, rng=k),
        }
        for tool, found in both.items():
            good = right(found)
            content = found.said in ("success = True", "status: ok")
            counts[tool] += [good, not good, content and not good, good and not content]
            clock[tool] += found.seconds
        if (k + 1) % 10 == 0:
            print(f"starts: {k + 1} of {starts}", file=sys.stderr, flush=True)
    lines = [
        "| tool | right | wrong | wrong, and flagged success | right, and flagged a failure "
        "| s a start |",
        "|---|---|---|---|---|---|",
    ]
    for tool, (good, bad, proud, modest) in counts.items():
        mean = clock[tool] / starts
        lines.append(f"| {tool} | {good} of {starts} | {bad} | {proud} | {modest} | {mean:.2f} |")
    return "\n".join(lines) + (
        "\n\nRight: K_c within 0.0005 and 1/nu within 0.1 of the exact values, whatever the errors "
        "say.\n"
    )


def right(found: Found) -> bool:
    """Near the exact values of the Ising model."""
    x_c, inverse_nu = (found.parameters.get(n, (np.nan, 0.0))[0] for n in ("x_c", "1/nu"))
    return bool(abs(x_c - K_C) < 5e-4 and abs(inverse_nu - 1) < 0.1)


# ---- planted cases -------------------------------------------------------------------------

DRAWS = 8  # of each case
NAMES = ("x_c", "1/nu", "exponent")
NOISE = 0.003  # of every value, relative
DRIFT, OMEGA = 0.5, 0.9  # A = L^exponent f(X) (1 + DRIFT L^-OMEGA)
SIZES = np.array([8.0, 12.0, 16.0, 24.0, 32.0, 48.0])
Planted = tuple[Points, tuple[float, ...]]  # and the values of NAMES


def mean_field(rng: np.random.Generator) -> Planted:
    """<|m|> of Curie and Weiss's magnet, exact: its drift and its function are its own."""
    sizes, x = np.array([64, 128, 256, 512, 1024]), np.linspace(0.85, 1.15, 25)
    value = np.concatenate([CurieWeiss().columns(int(n), x)["magnetisation"] for n in sizes])
    return _noisy(np.repeat(sizes, x.size), np.tile(x, sizes.size), value, rng), (1.0, 0.5, -0.25)


def drifting(rng: np.random.Generator) -> Planted:
    """A random step with a correction to scaling; one grid for all sizes, off its middle."""
    centre, width, height = rng.normal(size=3), rng.uniform(0.8, 2.5, 3), rng.uniform(0.4, 1, 3)
    f = _sum(lambda z: 1 + np.tanh(z), centre, width, height / height.sum(), 0.4)
    truth = (1.0, float(rng.uniform(0.7, 1.3)), -0.2)
    control = np.tile(np.linspace(0.84, 1.12, 25), SIZES.size)
    return _scaled(f, np.repeat(SIZES, 25), control, truth, rng), truth


def own_grids(rng: np.random.Generator) -> Planted:
    """A random peak with a correction to scaling; every size has controls of its own."""
    centre, width = rng.normal(0, 0.8, 3), rng.uniform(1, 2.5, 3)
    height = np.array([1.0, *rng.uniform(-0.2, 0.4, 2)])
    f = _sum(lambda z: 1 / (1 + z**2), centre, width, height, 0.15)
    truth = (1.0, float(rng.uniform(0.7, 1.3)), 1.5)
    spread = np.linspace(-4, 4, 25) + rng.uniform(-0.5, 0.5, (SIZES.size, 1))
    control = (1 + spread * SIZES[:, None] ** -truth[1]).ravel()
    return _scaled(f, np.repeat(SIZES, 25), control, truth, rng), truth


CASES: dict[str, Callable[[np.random.Generator], Planted]] = {
    "exact mean-field magnet": mean_field,
    "random step, drift": drifting,
    "random peak, drift, a grid for each size": own_grids,
}


def _sum(
    one: Callable[[Floats], Floats], centre: Floats, width: Floats, height: Floats, least: float
) -> Callable[[Floats], Floats]:
    """A constant and a sum of equal shapes."""
    return lambda z: least + one((z[:, None] - centre) / width) @ height


def _scaled(
    f: Callable[[Floats], Floats],
    size: Floats,
    control: Floats,
    truth: tuple[float, ...],
    rng: np.random.Generator,
) -> Points:
    x_c, inverse_nu, exponent = truth
    value = size**exponent * f((control - x_c) * size**inverse_nu)
    return _noisy(size, control, value * (1 + DRIFT * size**-OMEGA), rng)


def _noisy(size: Floats, control: Floats, value: Floats, rng: np.random.Generator) -> Points:
    error = NOISE * value
    return points(size, control, value + error * rng.normal(size=size.size), error)


def on_one_grid(data: Points) -> Points:
    """Values and errors between the points, on the range of all sizes: what pyfssa asks for."""
    sizes = np.unique(data.size)
    if common(data)[1].size:
        return data
    rows = [data.size == size for size in sizes]
    low = max(data.control[row].min() for row in rows)
    high = min(data.control[row].max() for row in rows)
    x = np.linspace(low, high, 25)
    value, error = (
        np.concatenate([np.interp(x, data.control[row], column[row]) for row in rows])
        for column in (data.value, data.error)
    )
    return points(np.repeat(sizes, x.size), np.tile(x, sizes.size), value, error)


def off(found: Found, truth: tuple[float, ...]) -> Floats:
    """|z| of each parameter; infinite without an error, or without a value."""
    values = np.array([found.parameters.get(name, (np.nan, 0.0)) for name in NAMES])
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(values[:, 0] - truth) / values[:, 1]
    return np.where(values[:, 1] > 0, np.nan_to_num(z, nan=np.inf), np.inf)


def planted_table(fssa: types.ModuleType | None, draws: int) -> str:
    """Median time and |z| of every tool in all cases, and how often it is wrong unawares."""
    lines = [
        "| case | tool | CPU s a fit (longest) | median abs(z): x_c | 1/nu | exponent "
        "| largest | content | content, and over 3 errors off |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, make in CASES.items():
        found: dict[str, list[tuple[Found, Floats]]] = {}
        for k in progress(case, draws):
            rng = np.random.default_rng(k)
            data, truth = make(rng)
            tools = {"heatcap, no start": _on_the_clock(by_heatcap, data)}
            if fssa is not None:
                x_c, inverse_nu, exponent = truth
                nu = 1 / inverse_nu
                grid = on_one_grid(data)
                exact = (x_c, nu, exponent * nu)
                tools["pyfssa, exact start"] = _on_the_clock(by_fssa, fssa, grid, exact)
                low, high = grid.control.min(), grid.control.max()
                start = tuple(rng.uniform(*ends) for ends in ((low, high), (0.5, 2), (-1, 1)))
                tools["pyfssa, random start"] = _on_the_clock(by_fssa, fssa, grid, start)
            for tool, one in tools.items():
                found.setdefault(tool, []).append((one, off(one, truth)))
        lines += [_planted_row(case, tool, rows) for tool, rows in found.items()]
    return "\n".join(lines) + (
        f"\n\n{draws} draws of noise and function a row.  Sizes 8 to 48 (64 to 1024 spins), 25 "
        f"controls each, errors of {NOISE:.1%}; drift: a factor 1 + {DRIFT:g} L^-{OMEGA:g}.  No "
        "function is a spline, and none is told to any tool.  Where sizes have grids of their own, "
        "pyfssa gets values between the points; its starts are drawn from the range of x, nu from "
        "0.5 to 2, zeta from -1 to 1.  Content: success = True, or the status ok; no error: 0, or "
        "not a number.\n"
    )


def _on_the_clock(tool: Callable[..., Found], *given: Any) -> Found:
    """Seconds of CPU, which other programs on the machine do not change."""
    began = time.process_time()
    found = tool(*given)
    return found._replace(seconds=time.process_time() - began)


def _planted_row(case: str, tool: str, rows: list[tuple[Found, Floats]]) -> str:
    z = np.array([z for _, z in rows])
    seconds = np.array([found.seconds for found, _ in rows])
    content = np.array([found.said in ("success = True", "status: ok") for found, _ in rows])
    proud = int(np.count_nonzero(content & (z > 3).any(axis=1)))
    median = " | ".join(_of_errors(one) for one in np.median(z, axis=0))
    return (
        f"| {case} | {tool} | {np.median(seconds):.1f} ({seconds.max():.1f}) | {median} "
        f"| {_of_errors(z.max())} | {content.sum()} of {len(rows)} | {proud} |"
    )


def _of_errors(z: float) -> str:
    return f"{z:.1f}" if z < 1e4 else f"{z:.0e}" if np.isfinite(z) else "no error"


def tables(starts: int) -> Iterator[str]:
    """All tables in Markdown."""
    yield f"{cpu_name()}, numpy {np.__version__}.\n"
    fssa = load_fssa() if installed() else None
    yield "### Planted cases\n\n" + planted_table(fssa, min(DRAWS, starts))
    if not PUBLISHED.is_dir():
        yield f"Skipped: no folder {PUBLISHED.name} (set HEATCAP_PUBLISHED).\n"
        return
    if fssa is None:
        yield "Skipped: pyfssa is not installed (pip install --no-deps fssa==0.7.6).\n"
        return
    yield "### Side by side\n\n" + side_by_side(fssa)
    yield "### Random starts, Ising Binder ratio\n\n" + basin_table(fssa, starts)


if __name__ == "__main__":
    print_tables(tables, __doc__, 60)
