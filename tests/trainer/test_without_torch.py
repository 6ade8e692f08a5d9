"""The command where the extra is not installed: what works, and what it says of the rest."""

import sys

import pytest
from typer.testing import CliRunner

from heatcap_trainer.cli import app


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[task]\np = 5\n")
    return path


@pytest.fixture(params=["torch", "safetensors"])
def missing(request, monkeypatch):
    monkeypatch.setitem(sys.modules, request.param, None)


@pytest.mark.usefixtures("missing")
def test_training_names_the_extra(config, tmp_path):
    result = CliRunner().invoke(app, ["run", str(config), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    expected = "error: heatcap-train needs the extra: pip install 'heatcap[train]'"
    assert result.output.strip() == expected
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("missing")
def test_runs_can_be_listed(config, tmp_path):
    result = CliRunner().invoke(app, ["run", str(config), "-o", str(tmp_path), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "addition_p5_f0.7_wd1_seed0" in result.output
