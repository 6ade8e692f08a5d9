"""Kosterlitz-Thouless by the stiffness: planted flows, exact lines, data without a jump."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from typer.testing import CliRunner

from heatcap.cli import app
from heatcap.core.result import Parameter
from heatcap.figures import caption, new_figure, save
from heatcap.figures import stiffness as draw
from heatcap.scaling import points, stiffness
from heatcap.scaling.flow import (
    NEXT,
    Fit,
    Form,
    Problem,
    constant_of,
    critical_fugacity,
    described,
    flow,
    scan,
    search,
)
from heatcap.scaling.jump import _differs
from heatcap.systems import weber_minnhagen

from pictures import gids
from stiffness_marks import T_PLANTED, flowing, planted, without_a_jump

LOGS = np.log([8.0, 12.0, 16.0, 32.0, 64.0, 128.0])
FEW = {"sizes": (8, 16, 32, 64), "temperatures": np.linspace(0.86, 0.94, 7)}


@pytest.fixture(scope="module")
def data():
    return planted(np.random.default_rng(0), 0.002, **FEW)


@pytest.fixture(scope="module")
def found(data):
    return stiffness(data)


@pytest.mark.parametrize("jump", [False, True])
def test_every_fit_has_ended_where_a_second_one_from_there_ends(data, jump):
    """Fits with a free jump once ended early, by up to 39 of chi^2."""
    guess = search(data, np.random.default_rng(0))
    for model in scan(data.take(described(guess, data)), guess, jump):
        again = model.fit.problem.solve(model.fit.theta, model.fit.form, jump)
        assert model.fit.chi2 - again.chi2 < 1e-3


# ---- the flow ------------------------------------------------------------------------------


@pytest.mark.parametrize("root", [0.1, 0.3])
def test_the_leading_order_is_known_in_closed_form(root) -> None:
    """v = s coth s (l + k) below T_KT, s cot s (l + k) above, 1 / (l + k) at it."""
    later = LOGS - LOGS[0] + 2.0
    below, above = root / np.tanh(root * later), root / np.tan(root * later)
    for v, u2 in ((below, below[0] ** 2 - root**2), (above, above[0] ** 2 + root**2)):
        kept = v > -0.3
        got = flow(v[:1], 0.5 * np.log([u2]), LOGS, 0.0)[:, 0]
        np.testing.assert_allclose(got[kept], v[kept], atol=2e-5)
    critical = flow(np.array([0.5]), np.log([0.5]), LOGS, 0.0)[:, 0]
    np.testing.assert_allclose(1 / critical, later, rtol=2e-5)


def test_at_the_leading_order_the_critical_line_is_that_of_weber_and_minnhagen() -> None:
    c = 1.4
    v = flow(np.array([2 / (2 * LOGS[0] + c)]), np.log([2 / (2 * LOGS[0] + c)]), LOGS, 0.0)[:, 0]
    expected = weber_minnhagen(np.exp(LOGS), c, temperature=0.9) * np.pi / 1.8
    np.testing.assert_allclose(1 + v / 2, expected, atol=1e-6)


def test_at_next_order_the_critical_line_has_half_a_logarithm() -> None:
    """1 / v = l + ln(l) / 2 + const: Hsieh, Kao and Sandvik's ln(c / 2 + ln L)."""
    v = 0.02
    logs = np.linspace(0, 400, 3)
    u = float(critical_fugacity(np.array(v), NEXT))
    inverse = 1 / flow(np.array([v]), np.log([u]), logs, NEXT)[:, 0]
    grown = inverse - inverse[0] - logs
    np.testing.assert_allclose(grown[1:], 0.5 * np.log(inverse[1:] / inverse[0]), rtol=0.02)


@settings(max_examples=20)
@given(v=st.floats(0.1, 0.6), ratio=st.floats(0.7, 1.3), b=st.sampled_from([0.0, NEXT]))
def test_the_flow_agrees_with_a_slow_oracle(v, ratio, b) -> None:
    u = ratio * float(critical_fugacity(np.array(v), b))
    slow = solve_ivp(
        lambda _, s: [-(s[1] ** 2) * (1 + b * s[0]), -s[0] * s[1]],
        LOGS[[0, -1]], [v, u], t_eval=LOGS, rtol=1e-10, atol=1e-12,
    ).y[0]  # fmt: skip
    fast = flow(np.array([v]), np.log([u]), LOGS, b)[:, 0]
    kept = slow > -0.3
    np.testing.assert_allclose(fast[kept], slow[kept], atol=5e-5)


def test_derivatives_are_those_of_the_residuals(data) -> None:
    problem, form = Problem.of(data, 0.04), Form(NEXT, True, True)
    theta = np.array([0.9, 0.36, -0.3, 0.3, 0.02, 0.05, 0.01, 1.1])
    jacobian = problem._linear(theta, form, True)[1]
    for k, h in enumerate([1e-4, *[3e-4] * 7]):
        step = h * np.eye(8)[k]
        up, down = (problem.residuals((theta + s * step)[None], form, True)[0] for s in (1, -1))
        np.testing.assert_allclose(jacobian[:, k], (up - down) / (2 * h), rtol=2e-3, atol=0.05)


# ---- planted transitions -------------------------------------------------------------------


@pytest.mark.slow
def test_planted_transitions_come_back_with_honest_errors() -> None:
    z, values = [], []
    for seed in range(10, 18):
        found = stiffness(planted(np.random.default_rng(seed), 0.002, **FEW))
        assert found.status in ("ok", "unidentified"), found.message
        z.append(
            [
                (found.t_kt.value - T_PLANTED) / found.t_kt.error,
                (found.jump.value - 1) / found.jump.error,
            ]
        )
        assert found.t_kt.error < 0.003
        values.append((found.t_kt.value, found.t_kt.statistical))
    t_kt, statistical = np.transpose(values)
    assert 0.5 < t_kt.std(ddof=1) / np.median(statistical) < 1.6
    z = np.array(z)
    assert np.abs(z).max() < 3.2
    assert 0.35 < z[:, 0].std() < 1.8
    assert np.abs(z.mean(axis=0)).max() < 1


def test_without_noise_the_planted_values_come_back() -> None:
    exact = planted(np.random.default_rng(0), 1e-9, **FEW)
    known = points(exact.size, exact.control, exact.value, np.full(len(exact), 1e-4))
    found = stiffness(known)
    assert found.ok, found.message
    assert found.t_kt.value == pytest.approx(T_PLANTED, abs=2e-4)
    assert found.jump.value == pytest.approx(1, abs=0.01)
    v = flowing([64], np.array([T_PLANTED]))[0, 0]
    assert found.c.value == pytest.approx(2 / v - 2 * np.log(64), abs=0.1)


def test_units_and_order_do_not_matter(data, found) -> None:
    rows = np.random.default_rng(3).permutation(len(data))
    columns = (c[rows] for c in (data.size, 7 * data.control, 7 * data.value, 7 * data.error))
    other = stiffness(points(*columns))
    assert other.t_kt.value == pytest.approx(7 * found.t_kt.value, rel=1e-6)
    assert other.t_kt.error == pytest.approx(7 * found.t_kt.error, rel=1e-2)
    assert other.jump.value == pytest.approx(found.jump.value, abs=1e-4)
    assert other.status == found.status


@pytest.mark.slow
def test_a_covariance_is_used(data, found) -> None:
    plain = points(data.size, data.control, data.value, covariance=np.diag(data.error**2))
    assert stiffness(plain).t_kt.value == pytest.approx(found.t_kt.value, abs=1e-6)
    # What all points share is no scatter: beside it each point is as well known as before.
    shared = np.diag(data.error**2) + 0.004**2
    common = stiffness(points(data.size, data.control, data.value, covariance=shared))
    own = points(data.size, data.control, data.value, np.sqrt(np.diag(shared)))
    assert common.chi2 > 2.5 * stiffness(own).chi2
    assert common.t_kt.statistical > 1.5 * found.t_kt.statistical


def test_grids_may_differ_between_sizes() -> None:
    rng = np.random.default_rng(5)
    parts = [
        planted(rng, 0.002, sizes=(size,), temperatures=np.linspace(0.86, 0.94, 7) + shift)
        for size, shift in ((8, 0.0), (16, 0.001), (32, -0.002), (64, 0.0005))
    ]
    columns = [
        np.concatenate([getattr(p, n) for p in parts])
        for n in ("size", "control", "value", "error")
    ]
    found = stiffness(points(*columns))
    assert abs(found.t_kt.value - T_PLANTED) < 3.2 * found.t_kt.error
    assert found.temperatures == []


def test_the_classical_table_is_lowest_near_the_transition(found) -> None:
    best = min(found.temperatures, key=lambda row: row["chi2"])
    assert abs(best["temperature"] - T_PLANTED) < 0.02
    assert len(found.temperatures) == 7
    assert found.temperatures[0]["dof"] == 3


# ---- negative controls ---------------------------------------------------------------------


def test_another_jump_is_noticed() -> None:
    wide = {"sizes": (8, 16, 32, 64), "temperatures": np.linspace(0.86, 0.98, 10)}
    data = planted(np.random.default_rng(1), 0.002, jump=1.3, **wide)
    found = stiffness(data)
    assert found.status == "another jump", found.message
    assert abs(found.jump.value - 1.3) < 3.2 * found.jump.error
    free = stiffness(data, free_jump=True)
    assert free.ok, free.message
    assert abs(free.t_kt.value - T_PLANTED) < 3.2 * free.t_kt.error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        ("second order, L^-1/8", ("poor fit", "no jump")),
        ("second order, L^-1", ("poor fit", "no jump")),
        ("smooth crossover", ("no jump", "unidentified", "poor fit")),
        ("vanishing", ("poor fit", "no jump", "at an edge")),
        ("noise", ("no jump",)),
        ("constant", ("no jump", "unidentified")),
    ],
)
def test_data_without_a_jump_are_never_ok(kind, statuses) -> None:
    data = without_a_jump(np.random.default_rng(4), kind)
    found = stiffness(data.take((np.arange(66) // 6) % 2 == 0))  # every other temperature
    assert found.status in statuses, found.summary()
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_smooth_stiffness_is_called_by_its_name() -> None:
    found = stiffness(without_a_jump(np.random.default_rng(2), "smooth crossover", 0.002))
    assert found.status == "no jump", found.summary()
    assert found.against_smooth < -6


def test_too_little_is_said(data) -> None:
    assert stiffness(data.take(data.size <= 16)).status == "too few sizes"
    assert stiffness(data.take(data.control < 0.88)).status == "too few points"
    cold = data.take(data.control < 0.885)
    raised = points(cold.size, cold.control, cold.value + 0.2, cold.error)
    assert stiffness(raised).status in ("at an edge", "too few points")
    low = points(data.size, data.control, 0.5 * data.value, data.error)
    found = stiffness(low)
    assert found.status == "no jump"
    assert "lies below 2 T / pi" in found.message
    with pytest.raises(ValueError, match=r"temperatures must be positive, got -0\.94"):
        stiffness(points(data.size, -data.control, data.value, data.error))


# ---- outputs -------------------------------------------------------------------------------


def test_summary_and_json(found) -> None:
    assert found.ok, found.message
    content = found.to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["t_kt"]["value"] == found.t_kt.value
    assert set(content["goodness_of_fit"]) == {"chi2", "dof", "p_value"}
    assert "T_KT = 0." in found.summary()
    weight, value, error = (
        np.array([m[name] for m in content["models"]]) for name in ("weight", "t_kt", "t_kt_error")
    )
    assert weight.sum() == pytest.approx(1)
    assert found.t_kt.statistical == pytest.approx(np.sqrt(weight @ error**2))
    spread = weight @ (value - weight @ value) ** 2
    assert found.t_kt.systematic == pytest.approx(np.sqrt(spread))


def test_command(data, tmp_path: Path) -> None:
    table, out = tmp_path / "t.dat", tmp_path / "out.json"
    frame = pd.DataFrame({"L": data.size, "T": data.control, "Y": data.value, "dY": data.error})
    frame.to_csv(table, sep=" ", header=False, index=False)
    columns = ("--size", "L", "--control", "T", "--value", "Y", "--error", "dY")
    arguments = ("stiffness", table, *columns, "--names", "L,T,Y,dY")
    outputs = ("--json", out, "--figure", tmp_path / "f.pdf")
    done = CliRunner().invoke(app, [str(a) for a in (*arguments, *outputs)])
    assert done.exit_code == 0, done.output
    assert "status: ok" in done.stdout
    content = json.loads(out.read_text())
    assert content["t_kt"]["value"] == pytest.approx(T_PLANTED, abs=0.005)
    assert content["inputs"]
    assert (tmp_path / "f.png").is_file()
    bad = CliRunner().invoke(app, ["stiffness", str(table), "--value", "Z", "--names", "L,T,Y,dY"])
    assert bad.exit_code == 1


def test_figure(data, found, tmp_path: Path) -> None:
    figure = draw(found, data, names=("L", "T"))
    save(figure, tmp_path / "f")
    left_out, used = (
        sum(len(line.get_xdata()) for line in gids(figure, name)) for name in ("left out", "point")
    )
    assert used == len(found.curves["used"])
    assert used + left_out == len(data)
    (line,) = gids(figure, "universal")
    np.testing.assert_allclose(line.get_ydata(), 2 * line.get_xdata() / np.pi)
    (centre,) = gids(figure, "t_kt")
    assert centre.get_xdata()[0] == found.t_kt.value
    assert len(gids(figure, "measured")) == 4
    for curve in found.curves["at_t_kt"]:
        assert curve[-1] == pytest.approx(1, abs=0.03)


def test_figure_for_print(data, found) -> None:
    figure = draw(found, data, width="single", labels={"control": "$k_B T$", "value": "$Y$"})
    assert figure.get_size_inches()[0] == 3.4
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["(a)", "(b)"]
    assert figure.axes[0].get_xlabel() == "$k_B T$"
    assert "T_KT = " in caption(figure)
    own = new_figure(3.4, 2.5)
    assert draw(found, data, panel="jump", axes=own.subplots()) is own
    assert gids(own, "measured")
    with pytest.raises(ValueError, match="panel must be one of data, jump, all"):
        draw(found, data, panel="pairs")


def test_figure_without_a_fit(tmp_path: Path) -> None:
    noise = without_a_jump(np.random.default_rng(0), "noise")
    figure = draw(stiffness(noise), noise)
    save(figure, tmp_path / "f")
    assert not gids(figure, "model")
    assert "Status: no jump" in caption(figure)
    with pytest.raises(ValueError, match="no data"):
        draw(stiffness(noise), noise.take(np.zeros(len(noise), bool)))


def test_the_constant_has_the_error_of_the_line_that_it_is_read_from() -> None:
    """At the leading order 2 / v = 2 ln L + c all along the critical line."""
    size = np.repeat([8.0, 16.0, 32.0], 4)
    problem = Problem.of(
        points(size, np.tile([0.86, 0.88, 0.9, 0.92], 3), np.full(12, 0.6), np.full(12, 0.01)), 0.04
    )
    theta, v = np.array([0.9, 0.36, -0.3, 0.3]), 0.36
    fit = Fit(Form(0.0), False, theta, np.diag([0.0, 1e-4, 0.0, 0.0]), 0.0, 12, problem)
    for largest in (32.0, 128.0):
        c, variance = constant_of(fit, largest)
        assert c == pytest.approx(2 / v - 2 * np.log(8), rel=1e-3)
        assert np.sqrt(variance) == pytest.approx(2 / v**2 * 0.01, rel=1e-3)


def test_a_jump_is_another_one_from_three_errors_on() -> None:
    assert not _differs(Parameter(1.29, 0.08, 0.06))
    assert _differs(Parameter(0.69, 0.08, 0.06))
