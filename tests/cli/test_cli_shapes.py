"""Every verb on every shape of a table: its fit gets what the plain table gives it.

What cannot be is refused in one line that names the way on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from heatcap.cli import app
from heatcap.scaling import Points

SIZES = (8, 16, 32, 64)
CURVES = ("--size", "L", "--control", "T")
PLAIN = ("--error", "dy")
#: Options, and the module and name of what fits.
VERBS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "collapse": ((*CURVES, "--value", "y"), "heatcap.scaling", "collapse"),
    "crossings": ((*CURVES, "--value", "y"), "heatcap.scaling", "crossings"),
    "extrema": ((*CURVES, "--value", "y"), "heatcap.scaling", "extrema"),
    "extrema --positions": (
        ("--size", "L", "--positions", "y"), "heatcap.scaling", "peaks_against_size"),
    "stiffness": ((*CURVES, "--value", "y"), "heatcap.scaling", "stiffness"),
    "order": ((*CURVES, "--binder", "y"), "heatcap.scaling", "transition_order"),
    "verdict": (("--size", "L", "--value", "y"), "heatcap.divergence", "divergence_test"),
    "verdict --control": ((*CURVES, "--value", "y"), "heatcap.scaling", "extrema"),
    "verdict --at 16": ((*CURVES, "--at", "16", "--value", "y"), "heatcap.divergence", "peak_test"),
    "power-law": (("--x", "L", "--value", "y"), "heatcap.scaling", "power_law"),
    "crossover": (("--x", "L", "--value", "y"), "heatcap.scaling", "crossover"),
    "thresholds": (
        (*CURVES, "--successes", "k", "--trials", "n"), "heatcap.scaling", "thresholds"),
}  # fmt: skip
HEIGHTS = ("extrema --positions", "verdict", "power-law", "crossover")  # no control


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stderr


def table_of(verb: str) -> pd.DataFrame:
    """A row for each size and control, or for each size."""
    if verb in HEIGHTS:
        sizes, controls = 2 ** np.arange(3, 11), np.array([1.0])
    else:
        sizes, controls = np.array(SIZES), np.linspace(0.9, 1.1, 9).round(6)
    size, control = (g.T.ravel() for g in np.meshgrid(sizes, controls))
    value = np.random.default_rng(1).uniform(0.2, 0.8, size.size).round(6)
    table = pd.DataFrame({"L": size, "T": control, "y": value, "dy": 0.004})
    return table.assign(k=np.rint(400 * value).astype(int), n=400)


def fitted(verb: str, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[list[Any], str]:
    """Arrays of numbers that the fit is given, and the messages."""
    _, module, name = VERBS[verb]
    given: list[Any] = []

    def fit(*data: Any, **options: Any) -> None:
        given.extend([*data, options])
        raise ValueError("reading has ended")

    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.{name}", fit)
        _, said = run(verb.split()[0], *arguments)
    assert "reading has ended" in said, said
    return _arrays(given), said


def _arrays(given: Any) -> list[Any]:
    """Points as their columns, options as their values; in order of size and control."""
    if isinstance(given, Points):
        columns = [given.size, given.control, given.value, given.error]
        return [np.stack(columns)[:, np.lexsort((given.control, given.size))]]
    if isinstance(given, dict):
        values = [given[k] for k in sorted(given) if k not in ("rng", "name")]
        return [found for value in values for found in _arrays(value)]
    if isinstance(given, list | tuple):
        return [found for value in given for found in _arrays(value)]
    return [given]


def same(a: list[Any], b: list[Any]) -> bool:
    def alike(x: Any, y: Any) -> bool:
        if isinstance(x, np.ndarray):
            return x.shape == y.shape and np.allclose(x, y, rtol=1e-9, atol=1e-12)
        return bool(x == y)

    return len(a) == len(b) and all(map(alike, a, b))


# ---- shapes that hold what the plain table holds ------------------------------------------------


Shape = tuple[list[object], tuple[object, ...]]


def wide(table: pd.DataFrame, folder: Path) -> Shape:
    columns = {}
    for size, rows in table.groupby("L"):
        columns[f"y(L={size})"] = rows["y"].to_numpy()
        columns[f"dy(L={size})"] = rows["dy"].to_numpy()
    controls = {"T": table["T"].unique()} if table["L"].duplicated().any() else {}
    pd.DataFrame(controls | columns).to_csv(folder / "wide.csv", index=False)
    return [folder / "wide.csv"], ("--wide",)


def files(table: pd.DataFrame, folder: Path) -> Shape:
    for size, rows in table.groupby("L"):
        rows.drop(columns="L").to_csv(folder / f"n{size}.dat", index=False, sep=" ")
    return (
        [folder / f"n{size}.dat" for size in table["L"].unique()],
        ("--size-from", r"n(\d+)", *PLAIN),
    )


def interval(table: pd.DataFrame, folder: Path) -> Shape:
    lower, upper = table["y"] - table["dy"], table["y"] + table["dy"]
    table.drop(columns="dy").assign(lo=lower, hi=upper).to_csv(folder / "i.csv", index=False)
    return [folder / "i.csv"], ("--interval", "lo,hi")


def zeros(table: pd.DataFrame, folder: Path) -> Shape:
    more = table.tail(1).assign(T=table["T"].max() + 0.01, L=table["L"].max(), dy=0.0)
    pd.concat([table, more]).to_csv(folder / "z.csv", index=False)
    return [folder / "z.csv"], ("--drop-zero-errors", *PLAIN)


def commas(table: pd.DataFrame, folder: Path) -> Shape:
    table.to_csv(folder / "c.csv", index=False, sep=";", decimal=",")
    return [folder / "c.csv"], ("--decimal", ",", *PLAIN)


def dropped(table: pd.DataFrame, folder: Path) -> Shape:
    more = table.head(1).assign(y=99.0)
    pd.concat([more, table]).to_csv(folder / "d.csv", index=False)
    return [folder / "d.csv"], ("--drop", 1, *PLAIN)


def sizes(table: pd.DataFrame, folder: Path) -> Shape:
    more = table[table["L"] == 8].assign(L=4, y=99.0)
    pd.concat([more, table]).to_csv(folder / "s.csv", index=False)
    return [folder / "s.csv"], ("--sizes", "8:", *PLAIN)


def window(table: pd.DataFrame, folder: Path) -> Shape:
    along = "T" if table["L"].duplicated().any() else "L"
    more = table[table["L"] == 8].assign(**{along: 1e5 + table["T"] - table["T"].min(), "y": 99.0})
    pd.concat([more, table]).to_csv(folder / "w.csv", index=False)
    return [folder / "w.csv"], ("--window", ":2000", *PLAIN)


SHAPES = (wide, files, interval, zeros, commas, dropped, sizes, window)
#: Cells without a meaning, and what the refusal says.
REFUSED = {
    ("verdict", "window"): "--window needs --control",
    ("extrema --positions", "window"): "--positions: goes without --value, --window",
    ("verdict --at 16", "sizes"): "--sizes goes without --control",
    ("thresholds", "wide"): "counts need two columns, k and n",
    ("thresholds", "interval"): "errors come from the counts",
    ("thresholds", "zeros"): "counts have no error of zero",
}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("verb", VERBS)
def test_every_shape_gives_the_fit_what_the_plain_table_gives(
    verb: str, shape: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = VERBS[verb][0]
    table_of(verb).to_csv(plain := tmp_path / "plain.csv", index=False)
    tables, how = shape(table_of(verb), tmp_path)
    errors = {"order": ("--binder-error", "dy"), "thresholds": ()}.get(verb, PLAIN)
    how = (*how[:-2], *errors) if how[-2:] == PLAIN else how
    if (verb, shape.__name__) in REFUSED:
        status, said = run(verb.split()[0], *tables, *options, *how)
        assert status > 0
        assert REFUSED[verb, shape.__name__] in said
        assert "Traceback" not in said
        return
    if verb == "verdict --at 16" and shape is window:
        errors = how  # its fit is given the window
    expected, _ = fitted(verb, monkeypatch, plain, *options, *errors)
    found, _ = fitted(verb, monkeypatch, *tables, *options, *how)
    assert same(found, expected)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "thresholds"])
def test_counts_are_shares_with_their_errors(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(verb)
    share = (table["k"] + 1) / 402
    table["dy"], table["y"] = np.sqrt(share * (1 - share) / 400), table["k"] / 400
    table.to_csv(plain := tmp_path / "plain.csv", index=False)
    options = VERBS[verb][0]
    errors = ("--binder-error", "dy") if verb == "order" else PLAIN
    expected, _ = fitted(verb, monkeypatch, plain, *options, *errors)
    counted = ("--successes", "k", "--trials", "n")
    found, _ = fitted(verb, monkeypatch, plain, *options, *counted)
    assert same(found, expected)


@pytest.mark.parametrize("verb", ["collapse", "crossings", "extrema", "stiffness", "order",
                                  "verdict --control"])  # fmt: skip
def test_rows_of_one_point_are_runs(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, rng = table_of(verb), np.random.default_rng(2)
    runs = [table.assign(seed=k, y=table["y"] + 0.01 * rng.normal(size=36)) for k in range(5)]
    every = pd.concat(runs).drop(columns="dy")
    every.to_csv(path := tmp_path / "runs.csv", index=False)
    given, _ = fitted(verb, monkeypatch, path, *VERBS[verb][0])
    points = next(one for one in given if isinstance(one, np.ndarray))
    of_point = every.groupby(["L", "T"])["y"]
    assert points.shape == (4, 36)
    assert points[2] == pytest.approx(of_point.mean().to_numpy())
    assert np.median(points[3] / of_point.sem().to_numpy()) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("more", [(), ("--wide",)], ids=["long", "wide"])
def test_heights_of_runs_are_read_in_both_shapes(
    more: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heights = np.random.default_rng(3).uniform(1, 2, (6, 4)).round(6)  # (run, size)
    if more:
        data = pd.DataFrame(heights, columns=[f"L={n}" for n in SIZES]).assign(seed=range(6))
    else:
        data = pd.DataFrame({"L": np.tile(SIZES, 6), "y": heights.ravel()})
    data.to_csv(path := tmp_path / "runs.csv", index=False)
    given, _ = fitted("verdict", monkeypatch, path, *VERBS["verdict"][0], *more)
    runs = [one for one in given if isinstance(one, np.ndarray) and one.size == 6]
    assert same(runs, list(heights.T))


def test_contradictory_shapes_name_the_way_on(tmp_path: Path) -> None:
    table = table_of("crossings")
    (path,), _ = wide(table, tmp_path)
    asked = ("crossings", path, *CURVES, "--value", "y")
    status, said = run(*asked, "--wide", "--interval", "lo,hi")
    assert status == 1
    assert "--interval needs one row for each size and control" in said
    pd.read_csv(str(path))[["T", "y(L=8)", "y(L=16)"]].to_csv(
        bare := tmp_path / "bare.csv", index=False
    )
    status, said = run("crossings", bare, *CURVES, "--value", "y", "--wide", "--error", "dy")
    assert status == 1
    assert "expected a column of errors for each size, such as dL=8, instead of --error dy" in said
    table.to_csv(path := tmp_path / "t.csv", index=False)
    both = ("--interval", "y,y", "--successes", "k", "--trials", "n")
    status, said = run("verdict", path, "--size", "L", "--value", "y", *both)
    assert status == 1
    assert "expected one of them, both give errors" in said
    two = ("--binder", "y", "--stiffness", "dy")
    status, said = run("order", path, *CURVES, *two, "--interval", "y,y")
    assert status == 2
    assert "is of one quantity" in said


@pytest.mark.parametrize("verb", ["crossings", "extrema", "stiffness"])
def test_names_alone_name_the_columns_by_their_place(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(verb)[["L", "T", "y", "dy"]]
    table.to_csv(path := tmp_path / "bare.dat", index=False, header=False, sep=" ")
    named = (path, "--names", "L,T,y,dy")
    by_options, _ = fitted(verb, monkeypatch, *named, *VERBS[verb][0], *PLAIN)
    by_place, _ = fitted(verb, monkeypatch, *named)
    assert same(by_place, by_options)


def test_a_note_on_several_files_is_printed_once(tmp_path: Path) -> None:
    table = table_of("crossings")
    for size, rows in table.groupby("L"):
        cells = rows[["T", "y", "dy"]].to_csv(index=False, header=False, sep=";", decimal=",")
        (tmp_path / f"L{size}.txt").write_text("T;y;dy\n" + cells)
    files = sorted(tmp_path.glob("*.txt"))
    _, said = run("crossings", *files, "--size-from", r"L(\d+)", *CURVES, "--value", "y", *PLAIN)
    assert said.count("decimal commas") == 1


def test_the_option_of_a_column_that_is_looked_for_by_default_is_named(tmp_path: Path) -> None:
    table_of("crossings").to_csv(path := tmp_path / "table.csv", index=False)
    _, said = run("crossings", path, "--control", "T", "--value", "y", *PLAIN)
    assert said.rstrip().endswith("say which is the size, --size COLUMN")
