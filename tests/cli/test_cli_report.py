"""`heatcap report`: files in, one page out."""

from __future__ import annotations

import html
import shlex

import numpy as np
import pytest
from typer.testing import CliRunner

import heatcap as hc
from heatcap.cli import app
from heatcap.cli.application import command

from synthetic import Plan, observables

pytestmark = pytest.mark.usefixtures("without_extras")


def run(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two files of observables, of two sizes each."""
    folder = tmp_path_factory.mktemp("files")
    plans = [Plan(p=p, seed=s) for p in (19, 31, 43, 59) for s in range(2)]
    obs = observables(plans, scan=False)
    paths = folder / "a.nc", folder / "b.nc"
    for path, rows in zip(paths, (slice(0, 4), slice(4, 8)), strict=True):
        hc.save(obs.isel(run=rows), path)
    return paths


@pytest.mark.slow
def test_one_page_from_two_files(files, tmp_path):
    page = tmp_path / "page.html"
    done = run(*files, "-o", page, "--observable", "heat_capacity", "--seed", 3)
    assert done.exit_code == 0, done.output
    assert "8 runs; 4 sizes, p = 19 to 59." in done.output
    text = page.read_text()
    for path in files:
        assert hc.runfile.checksum(path) in text
    assert "seed 3" in text


@pytest.mark.slow
def test_options_reach_the_verdict(files, tmp_path):
    page = tmp_path / "page.html"
    done = run(*files, "-o", page, "--observable", "heat_capacity", "--kappa-min", 0.2, "--title",
               "My <runs>", "--smoothing", 0.15)  # fmt: skip
    assert done.exit_code == 0, done.output
    text = page.read_text()
    assert "power law from kappa = 0.2" in text
    assert "<h1>My &lt;runs&gt;</h1>" in text
    assert "deviation 0.15 in" in text


def test_bad_input_is_one_line(files, tmp_path):
    for arguments, wanted in (
        ((files[0], files[0], "-o", tmp_path / "x.html"), "is given twice"),
        ((files[0], "-o", tmp_path / "x.pdf"), "written as .html"),
        ((files[0], "-o", files[0]), "is an input"),
        ((tmp_path / "none.nc", "-o", tmp_path / "x.html"), "no such file"),
        ((files[0], "-o", tmp_path / "no" / "x.html"), "there is no folder"),
        ((files[0], "-o", tmp_path / "x.html", "--observable", "nope"), "observables lack nope"),
    ):
        done = run(*arguments)
        assert done.exit_code == 1, wanted
        assert wanted in done.output
        assert "Traceback" not in done.output
    assert not list(tmp_path.iterdir())


def test_tables_of_scalars(tmp_path):
    step = np.unique(np.geomspace(1, 4000, 150).round())
    x = np.log(step)
    test = 1 / (1 + np.exp(-(x - 6.8) / 0.15))
    peak = np.exp(-0.5 * ((x - 6) / 0.4) ** 2)
    table = tmp_path / "run.csv"
    rows = zip(step, np.clip(x / 4.6, 0, 1), test, peak, strict=True)
    table.write_text("\n".join(["epoch,acc,val,cv", *(",".join(map(str, row)) for row in rows)]))
    columns = "step=epoch,train_accuracy=acc,test_accuracy=val,observable=cv"
    page = tmp_path / "page.html"
    done = run(table, "-o", page, "--columns", columns)
    assert done.exit_code == 0, done.output
    assert "1 run; no size is known." in done.output
    assert run(table, "-o", page).exit_code == 2


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (["report", "a.nc", "-o", "x.html", "--seed", "1"], "heatcap report a.nc --seed 1"),
        (["report", "--output=x.html", "a.nc"], "heatcap report a.nc"),
        (["report", "a.nc", "--output", "my page.html"], "heatcap report a.nc"),
        (["report", "my runs/a.nc", "-omy page.html"], "heatcap report 'my runs/a.nc'"),
        (["report", "a.nc", "--title", "a -o b c"], "heatcap report a.nc --title 'a -o b c'"),
        (["report", "-o", "x.html", "--", "-o", "a.nc"], "heatcap report -- -o a.nc"),
    ],
)
def test_the_page_does_not_know_where_it_is_written(monkeypatch, typed, kept):
    monkeypatch.setattr("sys.argv", ["heatcap", *typed])
    assert command(without=("-o", "--output")) == kept
    assert shlex.split(command())[1:] == typed


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--level", 2), "level must be at least 0.5 and below 1, got 2.0"),
        (("--level", 0.4), "level must be at least 0.5"),
        (("--level", 0.99999), "needs at least"),
        (("--kappa-min", -1), "margin kappa_min must be"),
        (("--saturation-ratio", 0.5), "margin saturation_ratio must be"),
        (("--smallest-effect", 0.7), "margin smallest_effect must be below 0.5"),
    ],
)
def test_options_that_no_verdict_can_have_are_refused_before_the_work(
    files, tmp_path, options, wanted
):
    done = run(files[0], "-o", tmp_path / "x.html", *options)
    assert done.exit_code == 1
    assert wanted in done.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("problems", ["{", "3", '"x"', "[1]"])
def test_a_file_with_malformed_problems_is_named(files, tmp_path, problems):
    path = tmp_path / "bad.nc"
    hc.save(hc.load(files[0]).assign_attrs(problems=problems), path)
    done = run(path, "-o", tmp_path / "x.html")
    assert done.exit_code == 1
    assert "bad.nc: problems must be a list of texts" in done.output


@pytest.mark.slow
def test_files_that_do_not_fit_cost_themselves_alone(files, tmp_path):
    obs = hc.load(files[0])
    other = obs.assign_coords(run=[f"{run} of another" for run in obs["run"].values])
    bad = {
        "has no dimension 'run'": other.isel(run=0, drop=True),
        "problems must be a list of texts": other.assign_attrs(problems="nonsense"),
        "has options": other.assign_attrs(options='[[], "log", "head"]'),
        "has layer": other.assign_coords(layer=obs["layer"] + 5),
        "does not fit (TypeError": other.assign_attrs(commands="3"),
        "holds run": obs,
    }
    paths = [tmp_path / f"bad{k}.nc" for k in range(len(bad))]
    for path, table in zip(paths, bad.values(), strict=True):
        hc.save(table, path)
    page = tmp_path / "page.html"
    done = run(
        paths[0], files[0], *paths[1:], files[1], "-o", page, "--observable", "heat_capacity"
    )
    assert done.exit_code == 1
    assert "8 runs; 4 sizes" in done.output
    shown = html.unescape(page.read_text())
    for path, wanted in zip(paths, bad, strict=True):
        assert f"left out: {path}: {wanted}" in done.output
        assert f"{path}: {wanted}" in shown


def test_where_no_file_can_be_taken_all_are_named(files, tmp_path):
    path = tmp_path / "bad.nc"
    hc.save(hc.load(files[0]).isel(run=0, drop=True), path)
    (tmp_path / "worse.nc").write_bytes(b"")
    done = run(path, tmp_path / "worse.nc", "-o", tmp_path / "page.html")
    assert done.exit_code == 1
    assert f"heatcap: {tmp_path / 'worse.nc'}: cannot be read" in done.output
    assert f"; {path}: has no dimension 'run'" in done.output
    assert not (tmp_path / "page.html").exists()
