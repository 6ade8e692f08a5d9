"""Every command with an output: what a failure in the middle or a full disk leaves of it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from heatcap.cli import app
from heatcap.core import writing
from heatcap.observables import save

from runs import write_run
from synthetic import Plan, observables

SYSTEM = "system ising2d_exact --sizes 4,8 --control 2:2.5:20 -o "
VERDICT = "verdict heights.csv --value C --error dC "
COMMANDS = {
    "observe": ("observe run.h5 -o out.nc", ["out.nc"]),
    "events": ("events obs.nc -o out.csv", ["out.csv"]),
    "audit": ("events obs.nc -o /dev/null --json out.json", ["out.json"]),
    "evolution": ("figure evolution obs.nc -o out.pdf", ["out.pdf", "out.png"]),
    "leads": ("figure leads obs.nc -o out.png", ["out.pdf", "out.png"]),
    "scan": ("figure scan obs.nc -o out", ["out.pdf", "out.png"]),
    "report": ("report obs.nc -o out.html", ["out.html"]),
    "system.csv": (SYSTEM + "out.csv", ["out.csv"]),
    "system.parquet": (SYSTEM + "out.parquet", ["out.parquet"]),
    "system.nc": (SYSTEM + "out.nc", ["out.nc"]),
    "verdict": (VERDICT + "--json out.json", ["out.json"]),
    "figure of a verdict": (VERDICT + "--figure out.pdf", ["out.pdf", "out.png"]),
    "calibrate": (
        "calibrate --sizes 8,16,32,64 --relative-error 0.1 --replicates 2 --json out.json",
        ["out.json"],
    ),
}
HEIGHTS = "size,C,dC\n8,1.0,0.1\n16,1.5,0.1\n32,2.1,0.1\n64,2.4,0.1\n128,3.1,0.1\n"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_run(folder / "run.h5")
    save(observables([Plan(p=p) for p in (19, 31)]), folder / "obs.nc")
    (folder / "heights.csv").write_text(HEIGHTS)
    return folder


def placed(line: str, inputs: Path, here: Path) -> list[str]:
    """Arguments with names of inputs and outputs as paths."""
    known = set(os.listdir(inputs))
    return [
        str(inputs / each) if each in known else str(here / each) if each[:3] == "out" else each
        for each in line.split()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_failure_in_the_middle_leaves_what_was_there(name, inputs, tmp_path, monkeypatch):
    line, outputs = COMMANDS[name]
    old = (inputs / "obs.nc").read_bytes()  # which `observe` can read
    for output in outputs:
        (tmp_path / output).write_bytes(old)
    where = tmp_path / outputs[-1]
    real = writing._sync

    def full(draft, mode):
        assert draft.stat().st_size > 0
        if f".{where.name}." in draft.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(draft, mode)

    monkeypatch.setattr(writing, "_sync", full)
    done = CliRunner().invoke(app, placed(line, inputs, tmp_path))
    assert done.stderr.endswith(f"heatcap: {where}: No space left on device\n")
    assert done.exit_code == 1
    assert where.read_bytes() == old
    assert sorted(os.listdir(tmp_path)) == outputs


LIMITED = """
import json, resource, sys
from typer.testing import CliRunner
from heatcap.cli import app
said = []
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
for arguments in json.loads(sys.argv[1]):
    done = CliRunner().invoke(app, arguments)
    said.append((done.exit_code, done.stderr, str(done.exception)))
sys.stderr.write(json.dumps(said))
"""


def test_a_full_disk_is_one_line_and_no_signal(inputs, tmp_path):
    """Files may not grow beyond 500 bytes: what a full disk does, where nothing can be mounted."""
    warm = placed(COMMANDS["observe"][0], inputs, tmp_path)
    assert CliRunner().invoke(app, warm).exit_code == 0  # kernels that are compiled stay so
    (tmp_path / "out.nc").unlink()
    chosen = ["observe", "events", "system.nc", "system.csv", "system.parquet", "scan", "verdict"]
    lines = [placed(COMMANDS[name][0], inputs, tmp_path) for name in chosen]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, json.dumps(lines)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name, (status, said, _) in zip(chosen, json.loads(done.stderr), strict=True):
        where = tmp_path / COMMANDS[name][1][0]
        assert (status, said) == (1, f"heatcap: {where}: File too large\n"), name
    assert os.listdir(tmp_path) == []


MOUNTED = 'mount -t tmpfs -o size=120k tmpfs "$1" && shift && "$@"; s=$?; ls -A "$0"; exit $s'


def test_observe_on_a_small_disk(tmp_path):
    if not shutil.which("unshare"):
        pytest.skip("no unshare here")
    allowed = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", tmp_path]
    if subprocess.run(allowed, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    disk = tmp_path / "disk"
    disk.mkdir()
    for k in range(40):
        write_run(tmp_path / f"{k}.h5")
    command = [sys.executable, "-m", "heatcap", "observe", tmp_path, "-o", disk / "out.nc"]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", MOUNTED, disk, disk, *command, "-j", "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == f"heatcap: {disk}/out.nc: No space left on device\n"
    assert (done.returncode, done.stdout) == (1, "")


def test_a_standard_output_that_is_full_is_one_line(run_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    command = [sys.executable, "-m", "heatcap", "info", run_path]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == "heatcap: standard output: No space left on device\n"
    assert done.returncode == 1
