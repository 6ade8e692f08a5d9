"""`heatcap verdict` and `heatcap calibrate`: a table in, the summary, JSON and a figure out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

from heatcap.cli import app
from heatcap.cli.verdict import _meanings
from heatcap.core.result import plain
from heatcap.divergence import Margins, PeakMargins, Verdict, divergence_test, peak_test
from heatcap.observables import save

from synthetic import Plan, observables

pytestmark = pytest.mark.usefixtures("without_extras")

SIZES = np.array([8.0, 16.0, 32.0, 64.0, 128.0, 256.0])
HEIGHTS = 4 - 10 / SIZES
OPTIONS = ("--size", "L", "--value", "h")
ERROR = ("--error", "dh")


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def frame() -> pd.DataFrame:
    noise = np.array([0.4, -0.7, 1.1, -0.2, 0.6, -0.9])
    errors = 0.01 * HEIGHTS
    return pd.DataFrame({"L": SIZES, "h": HEIGHTS + noise * errors, "dh": errors})


def runs() -> pd.DataFrame:
    scatter = 1 + 0.01 * np.random.default_rng(0).normal(size=(6, 9))
    return pd.DataFrame({"L": np.repeat(SIZES, 9), "h": (HEIGHTS[:, None] * scatter).ravel()})


def written(path: Path, table: pd.DataFrame) -> Path:
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="," if path.suffix == ".csv" else " ")
    return path


def without_time(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != "seconds"}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".dat", ".parquet"])
def test_the_verdict_on_a_table_is_that_of_the_function(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the extras are compared
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="Parquet is read by pyarrow")
    shuffled = frame().sample(frac=1, random_state=0)
    table, out = written(tmp_path / f"table{suffix}", shuffled), tmp_path / "out.json"
    options = ("--level", "0.9", "--kappa-min", "0.15", "--saturation-ratio", "1.8")
    more = ("--smallest-effect", "0.04", "--seed", "3", "--json", out)
    status, text, _ = run("verdict", table, *OPTIONS, *ERROR, *options, *more)
    assert status == 0
    expected = divergence_test(
        *(frame()[name] for name in ("L", "h", "dh")),
        level=0.9, margins=Margins(0.15, 1.8, 0.04), rng=3,
    )  # fmt: skip
    assert expected.summary() in text
    content = json.loads(out.read_text())
    assert content.pop("inputs").keys() == {str(table)}
    assert content.pop("versions")
    assert content.pop("command")
    assert without_time(content) == without_time(json.loads(json.dumps(expected.to_dict())))


def test_a_figure_comes_with_its_png(tmp_path: Path) -> None:
    table, figure = written(tmp_path / "table.csv", frame()), tmp_path / "out.pdf"
    status, text, _ = run("verdict", table, *OPTIONS, *ERROR, "--figure", figure)
    assert status == 0
    assert "crossover, or a transition at which this observable does not diverge" in text
    assert figure.is_file()
    assert figure.with_suffix(".png").is_file()


def test_a_table_without_a_header(tmp_path: Path) -> None:
    bare = tmp_path / "table.dat"
    frame().to_csv(bare, index=False, header=False, sep=" ")
    status, text, _ = run("verdict", bare, *OPTIONS, *ERROR, "--names", "L,h,dh")
    assert status == 0
    assert "verdict: bounded (6 sizes, L = 8 to 256)" in text
    status, _, said = run("verdict", bare, *OPTIONS, *ERROR)
    assert status == 1
    assert "no header? Then name the columns, --names L,C,dC (in Python names=)" in said


def test_rows_of_one_size_are_replicates_and_empty_heights_are_stated(tmp_path: Path) -> None:
    table = runs()
    table.loc[[3, 4, 20], "h"] = np.nan
    path, out = written(tmp_path / "table.csv", table), tmp_path / "out.json"
    status, text, _ = run("verdict", path, *OPTIONS, "--json", out)
    assert status == 0
    assert "not in the heights: 2 at L = 8, 1 at L = 32" in text
    kept = table.dropna()
    expected = divergence_test(
        SIZES,
        None,
        replicates=[kept.h[size == kept.L].to_numpy() for size in SIZES],
        missing={8.0: 2, 32.0: 1},
        size_name="L",
    )
    content = json.loads(out.read_text())
    assert content["models"] == plain(expected.to_dict()["models"])


def test_one_row_per_size_without_errors_takes_them_from_the_scatter(tmp_path: Path) -> None:
    status, text, _ = run("verdict", written(tmp_path / "table.csv", frame()), *OPTIONS)
    assert status == 0
    assert "no errors given" in text


def test_errors_that_are_too_small_are_rescaled_on_request(tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", frame().assign(dh=0.002 * HEIGHTS))
    assert "test again with --rescale" in run("verdict", path, *OPTIONS, *ERROR)[1]
    assert "errors were multiplied by" in run("verdict", path, *OPTIONS, *ERROR, "--rescale")[1]


@pytest.mark.parametrize(
    ("column", "row", "cell", "expected"),
    [
        ("L", 1, "x", "row 2 of the data, column 'L': expected a number, got 'x'"),
        ("L", 2, "1", "row 3 of the data, column 'L': expected a finite size above 1, got 1"),
        ("L", 3, "", "column 'L': expected a finite size above 1, got an empty cell"),
        ("h", 0, "inf", "row 1 of the data, column 'h': expected a finite height, got inf"),
        ("dh", 4, "0", "row 5 of the data, column 'dh': expected a positive error, got 0"),
        ("dh", 5, "", "row 6 of the data, column 'dh': expected a positive error, got an empty"),
        ("h", 2, "3,14", "expected a number, got '3,14': a decimal comma? Write 3.14"),
        ("h", 2, "n/a", "got 'n/a': leave the cell empty where there is no value"),
        ("L", 4, "8.0", "rows 1 and 5 of the data, column 'L': both have 8"),
    ],
)
def test_a_bad_cell_is_named(
    column: str, row: int, cell: str, expected: str, tmp_path: Path
) -> None:
    table = frame().astype(str)
    table.loc[row, column] = cell
    path = tmp_path / "table.csv"
    table.to_csv(path, index=False, sep=";")
    status, _, said = run("verdict", path, *OPTIONS, *ERROR)
    assert status == 1
    assert f"{path}: row" in said
    assert expected in said


def test_curves_are_not_taken_for_runs(tmp_path: Path) -> None:
    curves = peak((8.0, 16.0, 32.0, 64.0))
    path = written(tmp_path / "curves.csv", curves)
    for options in ((), ("--error", "dC")):
        status, _, said = run("verdict", path, "--size", "L", "--value", "C", *options)
        assert status == 1
        assert "rows of one L differ in 'T': these are curves, and no heights" in said
        assert "Their peaks against the size: --size L --control T" in said
        assert "go without --error" not in said
        assert "leave the column 'T' out" in said
    groups = runs().assign(control=["none", "random_labels", "none"] * 18)
    path = written(tmp_path / "groups.csv", groups)
    status, _, said = run("verdict", path, *OPTIONS)
    assert status == 1
    assert "differ in 'control' (none, random_labels): these are no runs of one kind" in said
    of_size = frame().assign(T=SIZES / 7)  # one control for each size: heights
    path = written(tmp_path / "heights.csv", of_size)
    assert run("verdict", path, *OPTIONS, *ERROR)[0] == 0


def test_places_of_peaks_beside_the_heights_are_no_curves(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    places = 1.4 + 1 / runs()["L"] + 0.01 * rng.normal(size=54)
    for found in (places, places.round(2), places.where(places > places.min())):
        path = written(tmp_path / "heights.csv", runs().assign(seed=list(range(9)) * 6, T=found))
        status, _, said = run("verdict", path, *OPTIONS)
        assert status == 0
        assert "every row was taken for a run of its L; 'T' was not used" in said


@pytest.mark.parametrize(
    "control",
    [
        [0.1, 0.2, 0.1, 0.2, 0.1, 0.2] * 9,  # two settings of each size
        np.concatenate([np.linspace(0, 1 + k, 9) for k in range(6)]),
        np.concatenate([np.geomspace(1, 3 + k, 9)[::-1].round(3) for k in range(6)]),
        np.concatenate([np.sort(np.random.default_rng(k).random(9)) for k in range(6)]),
        np.concatenate([np.linspace(0, 1, 9)[[3, 1, 2, 0, 8, 6, 4, 5, 7]] + k for k in range(6)]),
    ],
)
def test_a_grid_of_the_control_is_seen(control: list[float], tmp_path: Path) -> None:
    table = pd.concat([runs(), runs()]) if isinstance(control, list) else runs()
    values = control * 2 if isinstance(control, list) else control
    path = written(tmp_path / "curves.csv", table.sort_values("L").assign(T=values))
    assert "these are curves, and no heights" in run("verdict", path, *OPTIONS)[2]


def test_without_errors_the_columns_that_were_not_used_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", frame().assign(note=1))
    _, text, said = run("verdict", path, *OPTIONS)
    assert "no --error; columns that were not used: 'dh', 'note'" in said
    assert "errors were multiplied" not in text
    assert "not used" not in run("verdict", path, *OPTIONS, *ERROR)[2]


def test_decimal_commas_between_commas_are_guessed(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("L,h,dh\n8,2,75,0,03\n")
    status, _, said = run("verdict", path, *OPTIONS, *ERROR)
    assert status == 1
    assert "row 1 of the data has 5 columns, expected 3: 'L', 'h', 'dh': decimal commas?" in said


@pytest.mark.parametrize("command", ["verdict", "collapse"])
def test_runs_are_one_number_or_one_column(command: str, tmp_path: Path) -> None:
    """A superscript is a digit and no number: it was neither, and float failed on it."""
    table = frame().assign(n=4, x=1.0)
    path = written(tmp_path / "table.csv", table)
    arguments = (command, path, *OPTIONS, "--control", "x")[: None if command == "collapse" else -2]
    for text in ("\u00b2", "4.5", "m"):
        status, _, said = run(*arguments, *ERROR, "--runs", text)
        assert status == 1
        assert f"no column {text!r}" in said
    help_text = "".join(run(command, "--help")[1].split())
    assert "COLUMN|N" in help_text


def test_the_number_of_runs_is_a_column_or_a_number(tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", frame().assign(n=4))
    said = [run("verdict", path, *OPTIONS, *ERROR, "--runs", each)[1] for each in ("n", "4")]
    assert said[0] == said[1]
    assert "fewer than 8 runs at some sizes" in said[0]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", frame())
    for arguments, expected in [
        ((path, "--size", "L", "--value", "C"), "no column 'C'; there is 'L', 'h', 'dh'"),
        ((path, *OPTIONS, "--json", path), "is an input"),
        ((path,), "table.csv: a table needs --value, the column of the height"),
        ((path, "--kappa-min", "0.2", *ERROR), "--error needs --value"),
        ((path, *OPTIONS, "--group", "none"), "--group goes without --value"),
        ((path, *OPTIONS, "--kappa-min", "-1"), "margin kappa_min must be finite and above 0"),
        ((path, *OPTIONS, *ERROR, "--level", "2"), "level must be at least 0.5"),
        ((tmp_path / "none.csv", *OPTIONS), "no such file"),
        ((written(tmp_path / "few.csv", frame()[:3]), *OPTIONS), "few.csv: expected at least 4"),
    ]:
        status, _, said = run("verdict", *arguments)
        assert status == 1
        assert expected in said


@pytest.mark.slow
def test_a_plan_is_calibrated(tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    plan = ("--sizes", "8,16,32,64,128,256", "--seeds", "4", "--scatter", "0.005")
    status, text, _ = run("calibrate", *plan, "--replicates", "5", "--json", out)
    assert status == 0
    assert "sizes 8, 16, 32, 64, 128, 256; errors of 0.25% of a height (4 seeds)" in text
    assert "constant (flat): " in text
    content = json.loads(out.read_text())
    assert content["relative_error"] == pytest.approx(0.0025)
    assert content["replicates"] == 5
    assert len(content["rows"]) == 7


def test_a_plan_without_an_error_is_refused() -> None:
    status, _, said = run("calibrate", "--sizes", "8,16,32,64")
    assert status == 1
    assert "give a relative error, or seeds and their scatter" in said
    assert run("calibrate", "--sizes", "8,x", "--relative-error", "0.01")[0] == 2


def peak(sizes: tuple[float, ...] = (8.0,)) -> pd.DataFrame:
    """A Lorentzian along T, of another height for every size."""
    temperature = np.linspace(0.5, 2.5, 40)
    noise = 0.02 * np.random.default_rng(0).normal(size=40)
    curve = 1 / (1 + ((temperature - 1.4) / 0.5) ** 2) + noise
    return pd.concat(
        pd.DataFrame({"L": size, "T": temperature, "C": 0.1 * size + curve, "dC": 0.02})
        for size in sizes
    )


ALONG = ("--control", "T", "--value", "C", "--error", "dC")


@pytest.mark.slow
def test_along_the_control_the_verdict_is_that_of_the_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the extras are compared
    table = written(tmp_path / "table.csv", peak((8.0, 16.0)))
    out, figure = tmp_path / "out.json", tmp_path / "out.pdf"
    options = ("--size", "L", "--at", "16", "--window", "0.6,2.4", "--alpha-min", "0.2")
    more = ("--json", out, "--figure", figure, "--seed", "2")
    status, text, _ = run("verdict", table, *ALONG, *options, *more)
    assert status == 0
    expected = peak_test(
        *(peak((16.0,))[name] for name in ("T", "C", "dC")), control_name="T", window=(0.6, 2.4),
        margins=PeakMargins(alpha_min=0.2), rng=2,
    )  # fmt: skip
    assert expected.summary() in text
    assert "only heights against size tell" in text
    content = json.loads(out.read_text())
    assert content.pop("inputs").keys() == {str(table)}
    assert content.pop("versions")
    assert content.pop("command")
    assert without_time(content) == without_time(json.loads(json.dumps(expected.to_dict())))
    assert figure.is_file()
    assert figure.with_suffix(".png").is_file()


def test_options_of_one_question_are_refused_for_the_other(tmp_path: Path) -> None:
    table = written(tmp_path / "table.csv", peak((8.0, 16.0)))
    for arguments, expected in [
        ((*ALONG, "--size", "L"), "2 of 2 sizes have a peak inside their data, 4 are needed"),
        ((*ALONG, "--size", "L", "--at", "9"), "no row with L = 9; there is 8, 16"),
        ((*ALONG, "--kappa-min", "0.2"), "--kappa-min goes without --control"),
        ((*ALONG, "--window", "1"), "--window: expected lo:hi, got 1"),
        (ALONG, "every control must occur once, got 0.5 again"),
        (("--size", "L", "--value", "C", "--window", "1,2"), "--window needs --control"),
        (("--size", "L", "--value", "C", "--log-control"), "--log-control needs --control"),
    ]:
        status, _, said = run("verdict", table, *arguments)
        assert status == 1
        assert expected in said


@pytest.mark.slow
def test_saved_runs_have_a_verdict_for_each_observable(tmp_path: Path) -> None:
    plans = [Plan(p=p, seed=s) for p in (19, 29, 43, 67) for s in range(3)]
    path, out = tmp_path / "obs.nc", tmp_path / "verdict.json"
    others = ["landscape_heat_capacity_fixed", "total_heat_capacity", "offset_heat_capacity"]
    save(observables(plans, noise=0.002, scan=False).drop_vars(others), path)
    status, text, _ = run("verdict", path, "--json", out)
    assert status == 0
    content = json.loads(out.read_text())["observables"]
    assert len(content) == 3
    for name, found in content.items():
        assert f"{name}: {found['verdict']} (4 sizes, p = 19 to 67); not excluded at 95%: " in text
        assert f"{found['verdict']}: " in text  # what it means, once
        assert found["p_values"].keys() == {"flat", "bounded", "logarithmic", "power-law"}
        assert found["size_name"] == "p"
    assert text.count("p-values: flat") == len(content)
    assert text.count("margins: power law from kappa = 0.1") == 1
    status, _, said = run("verdict", path, "--figure", tmp_path / "verdict.pdf")
    assert status == 1
    assert "name one --observable" in said


def test_a_word_with_several_meanings_says_of_what() -> None:
    """Heights that saturate and heights that fall are both bounded."""

    def of(heights: Any) -> Verdict:
        return divergence_test(SIZES, heights, 0.005 * heights, size_name="L", draws=100)

    rising, falling = of(HEIGHTS), of(1 + 4 / SIZES)
    lines = _meanings({"A": rising, "B": falling, "C": rising})
    assert [line.startswith("bounded: the height") for line in lines] == [True, True]
    assert lines[0].endswith(" (said of A, C)")
    assert lines[1].endswith(" (said of B)")
    assert _meanings({"A": rising, "C": rising}) == [f"bounded: {rising.meaning}"]


def test_an_observable_without_a_verdict_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    plans = [Plan(p=p, seed=s) for p in (19, 29, 43, 67) for s in range(3)]
    table = observables(plans, noise=0.002, scan=False)
    lost = table["landscape_heat_capacity"].where(table["p"] < 60, 1.0)
    path = tmp_path / "obs.nc"
    save(table.assign(landscape_heat_capacity=lost), path)
    names = ("--observable", "landscape_heat_capacity", "--observable", "heat_capacity")
    status, text, said = run("verdict", path, *names)
    assert status == 1
    assert "landscape_heat_capacity: no verdict: " in said
    assert "expected at least 4 sizes, got 3" in said
    assert text.startswith("heat_capacity: ")


def test_the_covariance_of_a_dataset_is_used(tmp_path: Path) -> None:
    root = np.tril(0.02 * np.random.default_rng(0).normal(size=(6, 6))) + 0.04 * np.eye(6)
    covariance = root @ root.T
    table = xr.Dataset(
        {
            "L": ("point", SIZES),
            "h": ("point", HEIGHTS),
            "h_covariance": (("point", "point_2"), covariance),
        }
    )
    path, out = tmp_path / "heights.nc", tmp_path / "out.json"
    table.to_netcdf(path, engine="h5netcdf")
    assert run("verdict", path, *OPTIONS, "--json", out)[0] == 0
    found = json.loads(out.read_text())
    np.testing.assert_allclose(found["errors"], np.sqrt(np.diag(covariance)))
    expected = divergence_test(SIZES, HEIGHTS, covariance=covariance, size_name="L", rng=0)
    assert found["p_values"] == expected.p_values


def test_the_covariance_of_a_curve_is_used(tmp_path: Path) -> None:
    x = np.linspace(0.5, 1.5, 30)
    covariance = 0.02**2 * 0.5 ** np.abs(np.subtract.outer(np.arange(30), np.arange(30)))
    values = 0.2 + np.exp(-(((x - 1.02) / 0.15) ** 2) / 2)
    table = xr.Dataset(
        {
            "T": ("point", x),
            "C": ("point", values),
            "C_covariance": (("point", "point_2"), covariance),
        }
    )
    path, out = tmp_path / "curve.nc", tmp_path / "out.json"
    table.to_netcdf(path, engine="h5netcdf")
    options = ("--control", "T", "--value", "C", "--json", out)
    assert run("verdict", path, *options)[0] == 0
    expected = peak_test(x, values, covariance=covariance, control_name="T")
    assert json.loads(out.read_text())["p_values"] == expected.p_values


def test_curves_of_several_sizes_go_from_their_peaks_to_the_verdict(tmp_path: Path) -> None:
    """Heights 1 + L / 10 of the Lorentzians above."""
    table = written(tmp_path / "table.csv", peak((8.0, 16.0, 32.0, 64.0, 128.0)))
    out = tmp_path / "out.json"
    status, text, _ = run("verdict", table, *ALONG, "--size", "L", "--json", out)
    assert status == 0
    assert text.startswith("verdict: power-law (5 sizes, L = 8 to 128)")
    peaks = json.loads(out.read_text())["peaks"]
    truth = 1 + 0.1 * np.array(peaks["size"])
    assert np.abs((np.array(peaks["height"]) - truth) / peaks["height_error"]).max() < 5
    _, text, _ = run("verdict", table, *ALONG, "--size", "L", "--sizes", "16:", "--drop", "200")
    assert "(4 sizes, L = 16 to 128)" in text


@pytest.mark.parametrize("options", [(), ("--rescale",)])
def test_a_run_that_diverged_is_named_and_changes_nothing(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    size = np.repeat(2.0 ** np.arange(3, 11), 12)
    height = size**0.5 * (1 + 0.05 * rng.normal(size=size.size))
    height[43] = 40000
    table = written(tmp_path / "runs.csv", pd.DataFrame({"n": size, "h": height}))
    _, text, _ = run("verdict", table, "--size", "n", "--value", "h", *options)
    assert text.startswith("verdict: power-law (7 sizes")
    assert "one of 12 runs (row 44 of the data) has 40000" in text


def test_means_that_do_not_exist_decide_nothing(tmp_path: Path) -> None:
    """Cauchy tails: single runs carry the means of most sizes."""
    rng = np.random.default_rng(1)
    size = np.repeat([20.0, 28, 40, 56, 80, 112, 160, 224], 16)
    height = 20 / rng.uniform(size=size.size) ** 1.5
    table = written(tmp_path / "runs.csv", pd.DataFrame({"n": size, "h": height}))
    _, text, _ = run("verdict", table, "--size", "n", "--value", "h")
    assert text.startswith("verdict: undecided")
    assert "such a mean grows with the number of runs and may not exist" in text
