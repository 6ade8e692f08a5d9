"""What a command imports before it refuses its input, and before it computes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

#: Half a second and more, each; numpy is a tenth.
HEAVY = {"h5netcdf", "matplotlib", "numba", "pandas", "scipy", "statsmodels", "torch", "xarray"}
READ = "import sys\nfrom heatcap.cli import app\ntry:\n    app()\nfinally:\n    print(*sys.modules)"

HEIGHTS = "N,C,dC\n16,.5,.02\n32,.6,.02\n64,.66,.02\n128,.69,.02\n256,.7,.02\n512,.71,.02\n"


def _run(folder: Path, command: str) -> tuple[int, str, set[str]]:
    """Exit status, last line of the errors, and the packages that are imported at the end."""
    (folder / "six.csv").write_text(HEIGHTS)
    done = subprocess.run(
        [sys.executable, "-c", READ, *command.split()],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    return done.returncode, done.stderr.strip().rpartition("\n")[2], loaded


REFUSED = {
    "verdict no.csv --value C": "no such file",
    "verdict six.csv": "needs --value",
    "verdict . --value C": "is a folder",
    "verdict no.nc": "no such file",
    "verdict six.csv --size N --value dCs": "did you mean 'dC'?",
    "verdict six.csv --size N --value C --figure x.docx": "x.docx",
    "verdict six.csv --size N --value C --level 2": "level must be",
    "verdict six.csv --size N --value C --kappa-min -1": "kappa_min must be",
    "collapse six.csv --size N --control Q --value C": "no column 'Q'",
    "crossings six.csv --size N --control Q --value C": "no column 'Q'",
    "extrema six.csv --size N --control Q --value C": "no column 'Q'",
    "stiffness six.csv --size N --control Q --value C": "no column 'Q'",
    "order six.csv --size N --control Q --binder C": "no column 'Q'",
    "thresholds six.csv --size N": "no column 'control'",
    "power-law six.csv --x n --value C": "no column 'n'",
    "crossover six.csv --x N --value Q": "no column 'Q'",
    "order --series no.nc": "no such file",
    "events no.nc -o x.csv": "no such file",
    "events . -o x.csv": "is a folder",
    "report no.nc -o x.html": "no such file",
    "report no.nc -o x.pdf": ".html",
    "observe no.h5 -o x.nc": "no such file",
    "figure evolution no.nc -o x.pdf": "no such file",
    "example isin": "example must be one of",
    "calibrate --sizes 8,a": "expected numbers",
    "verdikt six.csv": "Did you mean 'verdict'?",
    "verdict six.csv --vaule C": "--value",
}


@pytest.mark.parametrize("command", REFUSED)
def test_bad_input_is_refused_before_anything_heavy_is_imported(
    command: str, tmp_path: Path
) -> None:
    status, told, loaded = _run(tmp_path, command)
    assert status in (1, 2)
    assert REFUSED[command] in told
    assert not loaded & HEAVY


def test_help_imports_no_numbers(tmp_path: Path) -> None:
    for command in ("--help", "verdict -h", "figure leads -h"):
        status, _, loaded = _run(tmp_path, command)
        assert status == 0
        assert not loaded & (HEAVY | {"numpy"}), command


def test_a_verdict_on_heights_imports_what_it_needs(tmp_path: Path) -> None:
    status, _, loaded = _run(tmp_path, "verdict six.csv --size N --value C --error dC")
    assert status == 0
    assert not loaded & {"matplotlib", "xarray", "h5py", "statsmodels"}


def test_what_one_package_needs_the_others_do_not_import() -> None:
    code = "import sys, heatcap.scaling.data, heatcap.divergence.tables; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name.partition(".")[0] for name in done.stdout.split()} & HEAVY
