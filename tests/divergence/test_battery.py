"""The battery of benchmarks/divergence_marks.py: its truths have the class that it says."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import divergence_marks as battery
import divergence_truths as truths
from divergence_ceilings import FAMILIES, Closest, ceiling, closest_wrong
from divergence_cells import USUAL_TRUTHS, Cell, all_cells
from divergence_truths import DESIGNS, Truth, class_of, cut_off

SIZES = DESIGNS["32-8192"]
LAST = SIZES.max()


def cells(*parts: str) -> list[Cell]:
    return [each for each in all_cells(7).values() if each.part[0] in parts]


@pytest.mark.parametrize(
    ("truth", "kind"),
    [
        (truths.saturating("1 + x^2/(1+x^2)", SIZES, 1.0), "bounded"),
        (truths.saturating("ln x - ln(1+x^2)/2", SIZES, 1.0), "bounded"),
        (truths.saturating("ln tanh x", SIZES, 2.0), "logarithmic"),
        (truths.saturating("1 + tanh x", SIZES, 1.2), ""),
        (cut_off(SIZES, 0.4, 1.01 * LAST, 2.0), "power-law"),
        (cut_off(SIZES, -0.02), "logarithmic"),
        (truths.growing("1 + ln(1 + x/0.3)", SIZES), "logarithmic"),
        (Truth(lambda L: 3 - 0.1 / np.log(L), limit=3.0), "flat"),
    ],
)
def test_class_of_a_truth(truth, kind) -> None:
    assert class_of(truth, SIZES) == kind


def test_limits_are_those_that_are_stated() -> None:
    for cell in cells("a", "b", "d", "g"):
        truth, last = cell.truth, cell.sizes.max()
        if np.isfinite(truth.limit):
            far = last * (1e60 if truth.crossover else 1e250)
            assert truth.heights(np.array([far]))[0] == pytest.approx(truth.limit, rel=0.01), cell


def test_what_has_no_limit_grows_like_its_class() -> None:
    for cell in cells("a", "b", "d", "f"):
        if np.isfinite(cell.truth.limit) or cell.label == "attention row":
            continue
        h = np.log(cell.truth.heights(np.array([1e60, 1e90])))
        exponent = np.diff(h)[0] / np.log(1e30)
        if cell.truth.growth == "power-law":
            assert exponent > 0.14, cell
            if not np.isnan(cell.truth.kappa):
                assert exponent == pytest.approx(cell.truth.kappa, abs=1e-3)
        else:
            assert 0 < exponent < 0.02, cell


def test_early_growth_meets_the_limit_at_the_crossover() -> None:
    """Where the early growth is a power or a logarithm of the size, which a Gompertz's is not."""
    for name in set(truths.SATURATING) - {"Gompertz", "two stages", "Pade (2+3x+2x^2)/(2+x+x^2)"}:
        truth = truths.saturating(name, SIZES, 0.5)
        low, mid, high = truth.heights(truth.crossover * np.array([1e-5, 1e-4, 1e-3]))
        step = np.log(10.0)
        k = np.log((high - mid) / (mid - low)) / step
        # Slope at the lowest point of a (L^k - 1) / k, continued over five decades.
        slope = (mid - low) / (np.expm1(k * step) / k)
        met = low + slope * np.expm1(5 * k * step) / k
        assert met == pytest.approx(truth.limit, rel=0.05), name


def test_exact_systems_are_as_stated() -> None:
    cell = cells("c")[0]
    assert (cell.label, cell.kind) == ("mean-field C", "bounded")
    h = truths.exact("mean-field C").heights(np.array([256.0, 1024.0, 4096.0]))
    assert h == pytest.approx([1.37, 1.51, 1.58], abs=0.01)
    # Corrections fall like N^(-1/2): twice the last height less the one before.
    assert 2 * h[2] - h[1] == pytest.approx(1.657, abs=0.01)
    chi = truths.exact("mean-field chi at 1.04 T_c")
    assert chi.heights(np.array([40000.0]))[0] == pytest.approx(chi.limit, rel=0.03)


def test_the_battery_is_large_and_out_of_sample() -> None:
    judged = [cell for cell in cells("a", "b", "c", "d", "e", "f") if cell.kind]
    assert len(judged) >= 60
    assert len({cell.label for cell in judged if cell.part[0] == "d" and not cell.truth.known}) >= 8
    assert {cell.design for cell in judged} >= set(DESIGNS)
    for cell in judged:
        assert np.all(cell.truth.heights(cell.sizes) > 0), cell
    other = [each for each in all_cells(8).values() if each.part[0] == "b"]
    for cell, again in zip(cells("b"), other, strict=True):
        assert not np.allclose(cell.truth.heights(cell.sizes), again.truth.heights(cell.sizes)), (
            cell
        )


def test_a_member_of_a_wrong_class_is_at_no_distance() -> None:
    sizes = DESIGNS["8-256"]
    h = cut_off(sizes, 0.63, 0.41 * sizes.max(), 1.7).heights(sizes)
    near = closest_wrong(sizes, h, 0.01 * h, "power-law", FAMILIES[0])
    assert near.heights == pytest.approx(h, rel=2e-3)
    assert near.chi2 < 0.01
    assert near.name == "cut off"
    assert near.parameters["xi"] == pytest.approx(0.41, rel=0.2)
    assert closest_wrong(sizes, h, 0.01 * h, "bounded", FAMILIES[0]).chi2 > 1


def test_ceilings_fall_with_the_family() -> None:
    sizes = DESIGNS["15 sizes"]
    h = USUAL_TRUTHS["1 + 0.3 L^0.4"].heights(sizes)
    found = [closest_wrong(sizes, h, 0.01 * h, "power-law", family).chi2 for family in FAMILIES[:2]]
    assert found == sorted(found, reverse=True)
    # A coarse grid of cut-offs had given 14.
    assert found[0] == pytest.approx(13, abs=1.5)
    assert ceiling(found[0]) > 0.95
    assert ceiling(0.0) == pytest.approx(0.05)


def test_what_is_refused_is_neither_kept_nor_false() -> None:
    cell = next(each for each in cells("f") if each.kind == "power-law")
    kept = battery.Said("divergent", ("logarithmic", "power-law"), False, False, (), 10.0)
    wrong = battery.Said("bounded", ("bounded",), False, False, ("power-law",), 10.0)
    row = battery.summed(cell, [kept, wrong, battery.Said(plausible=("power-law",)), kept])
    assert (row.kept, row.refused, row.false, row.silent) == (0.5, 0.25, 0.25, 0.25)
    assert row.power == 0.5
    assert row.conditional_kept == pytest.approx(1 / 3)


def test_marks_of_a_verdict_that_always_says_the_same(monkeypatch) -> None:
    """One that names bounded, with a crossover above 0.6 of the largest size."""

    def said(sizes, heights, rng, **told):  # noqa: ARG001
        return SimpleNamespace(
            verdict="bounded",
            plausible=("bounded",),
            status="ok",
            warnings=[],
            exponent=SimpleNamespace(ci95=(0.3, 0.5)),
            exponent_determined=True,
            if_no_crossover=("logarithmic", "power-law"),
            crossover_length_lower_limit95=0.6 * np.max(sizes),
        )

    monkeypatch.setattr(battery, "divergence_test", said)
    rows = [row for part in ("f ten cells", "g length") for row in battery.measure(7, 1, part, 1)]
    near = Closest(4.0, "none", np.ones(1))
    distances = {(*cell, family): near for cell in battery.POWER for family in FAMILIES}
    found = {mark.what: mark for mark in battery.marks(rows, distances)}
    ten = battery.POWER
    assert found["coverage, all cells, mean"].value == pytest.approx(2 / len(ten))
    assert found["false single verdicts, all cells, mean"].value == pytest.approx(0.8)
    # The two saturations are the power of the first part, the eight growths that of the second.
    power = next(mark for what, mark in found.items() if what.startswith("sum of powers; 85 %"))
    assert power.value == 2
    assert power.bound == pytest.approx(8.5 * ceiling(4.0))
    assert found["sum of powers, if no crossover"].passed
    # Of the planted lengths 0.3, 1, 2 and 10 the first lies below the limit.
    assert found["limit of the crossover length not above it"].value == pytest.approx(0.75)
    assert found["limit above L_max / 2, 1 + 0.3 L, 32-8192"].passed
    exponents = {row.exponent for row in rows if row.label == "1 + 0.3 L^0.4"}
    assert exponents == {1.0}
    assert all(text.startswith("### ") for text in battery.report(rows, distances))


def test_a_small_run_writes_rows_and_marks(tmp_path, monkeypatch, capsys) -> None:
    path = tmp_path / "rows.json"
    key = "c exact | mean-field C | 16 of 4-64 | 1%"
    options = ["--only", key, "--replicates", "2", "--jobs", "1", "--json", str(path)]
    monkeypatch.setattr(sys, "argv", ["divergence_marks.py", *options])
    battery.main()
    (row,) = json.loads(path.read_text())["cells"]
    assert (row["kind"], row["sets"]) == ("bounded", 2)
    assert (row["kept"], row["refused"], row["false"]) == (1, 0, 0)
    monkeypatch.setattr(sys, "argv", ["divergence_marks.py", *options, "--against", str(path)])
    battery.main()
    shown = capsys.readouterr().out
    assert "coverage, out of the family, lowest cell" in shown
    changes = shown.split("### Changes")[1]
    assert key.replace(" |", ";") not in changes, "equal seeds give equal rows"
