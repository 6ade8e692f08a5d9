"""Results are the same in every environment: language, home, umask, names of folders, systems."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import xarray as xr

import heatcap

from runs import write_run
from synthetic import observables, sweep

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("pipeline.py")
LONG = "länger als üblich [1] 100 % – {a} 'b' $x$ & " + 156 * "y"

#: Before the program starts, in its own process.
NO_SEMAPHORES = """
import _multiprocessing
def refuse(*_, **__): raise FileNotFoundError(2, "No such file or directory")
_multiprocessing.SemLock = type("SemLock", (), {"__new__": refuse, "SEM_VALUE_MAX": 1})
"""


def python(
    code: str,
    *arguments: str | Path,
    changes: Mapping[str, str | None] | None = None,
    umask: int = -1,
) -> subprocess.CompletedProcess[str]:
    """A program in an environment of its own; None takes a variable away."""
    environment = dict(os.environ) | {"PYTHONWARNINGS": "error"}
    for name, value in (changes or {}).items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    told = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment, umask=umask, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    return told


def spawn(*arguments: Path, before: str = "", **how: Any) -> str:
    """What `pipeline.py` prints."""
    start = f"import runpy\nrunpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    return python(before + start, *arguments, **how).stdout


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "runs").mkdir()
    for seed in range(2):
        parameters = {"p": 5, "seed": seed, "task": "Größe"}
        write_run(folder / "runs" / f"r{seed}.h5", steps=3, parameters=parameters)
    heatcap.save(observables(sweep(primes=(19, 43), controls=(19,))), folder / "saved.nc")
    # Decided: what else would decide takes most of the time.
    rows = [f"{size},{size**0.5},0.005\n" for size in (8, 16, 32, 64, 128)]
    (folder / "table.csv").write_text("size,C,dC\n" + "".join(rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def usual(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(spawn(inputs, tmp_path_factory.mktemp("usual")))
    return found


ENVIRONMENTS: dict[str, dict[str, str | None]] = {
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "bare": {"HOME": None, "MPLCONFIGDIR": None, "XDG_CACHE_HOME": None, "TZ": None},
    "homeless": {"HOME": "/nonexistent/home", "MPLCONFIGDIR": None, "PYTHONHASHSEED": "77"},
}
C = {"LC_ALL": "C", "LANG": None, "PYTHONHASHSEED": "1"}
GERMAN = {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8", "TZ": "Asia/Kathmandu"}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_results_are_equal_in(
    name: str, inputs: Path, usual: dict[str, Any], tmp_path: Path
) -> None:
    assert json.loads(spawn(inputs, tmp_path, changes=ENVIRONMENTS[name])) == usual


# Two at once below, for each start of the program costs seconds: either shows in the result.


def test_results_are_equal_in_german_for_a_private_umask_and_a_home_that_is_read_only(
    inputs: Path, usual: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir(mode=0o500)
    changes = {"HOME": str(tmp_path / "home"), "MPLCONFIGDIR": None, "XDG_CACHE_HOME": None}
    found = spawn(inputs, tmp_path / "out", changes=GERMAN | changes, umask=0o077)
    assert json.loads(found) == usual
    assert (tmp_path / "out" / "obs.nc").stat().st_mode & 0o777 == 0o600


def test_results_are_equal_in_locale_c_and_in_folders_of_any_name(
    inputs: Path, usual: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copytree(inputs, tmp_path / LONG)
    assert len(os.fsencode(LONG)) > 200
    assert json.loads(spawn(tmp_path / LONG, tmp_path / LONG / LONG, changes=C)) == usual


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_a_name_that_is_no_text_costs_nothing(inputs: Path, tmp_path: Path) -> None:
    shutil.copy(inputs / "runs" / "r0.h5", os.fsencode(tmp_path) + b"/\xff.h5")
    shutil.copy(inputs / "runs" / "r1.h5", tmp_path)
    heatcap.save(heatcap.observe(tmp_path), tmp_path / "obs.nc")
    found = heatcap.load(tmp_path / "obs.nc").sortby("run")
    assert found.drop_vars("path").equals(heatcap.observe(inputs / "runs").drop_vars("path"))
    assert "\\xff.h5" in found["path"].values[0]


def test_workers_need_no_semaphores(inputs: Path, tmp_path: Path) -> None:
    """No /dev/shm, as in some containers."""
    code = "import sys, heatcap; heatcap.save(heatcap.observe(sys.argv[1], jobs=2), sys.argv[2])"
    python(NO_SEMAPHORES + code, inputs / "runs", tmp_path / "obs.nc")
    alone = heatcap.observe(inputs / "runs")
    xr.testing.assert_identical(heatcap.load(tmp_path / "obs.nc"), alone)


def test_without_compiled_kernels_the_numbers_are_the_same(inputs: Path, tmp_path: Path) -> None:
    code = "import sys, heatcap; heatcap.save(heatcap.observe(sys.argv[1]), sys.argv[2])"
    python(code, inputs / "runs", tmp_path / "obs.nc", changes={"NUMBA_DISABLE_JIT": "1"})
    compiled = heatcap.observe(inputs / "runs")
    xr.testing.assert_allclose(heatcap.load(tmp_path / "obs.nc"), compiled, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("per", ["head", "layer"])
def test_two_processes_find_what_one_does(inputs: Path, per: Literal["head", "layer"]) -> None:
    one, two = (heatcap.observe(inputs / "runs", per=per, jobs=jobs) for jobs in (1, 2))
    xr.testing.assert_identical(one, two)


#: What Windows lacks, of what heatcap or its libraries use.
WINDOWS = """
import os, sys
for name in ("preadv", "pwritev", "pread", "pwrite", "fchmod", "fchown", "fork", "forkpty",
             "sched_getaffinity", "getuid", "geteuid", "killpg", "setpgid", "O_NOFOLLOW",
             "O_NONBLOCK", "O_DIRECTORY", "O_CLOEXEC", "statvfs", "posix_fadvise", "wait4"):
    if hasattr(os, name):
        delattr(os, name)
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "resource", "pwd", "grp", "termios"):
            raise ImportError(f"No module named {name!r}")
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
"""


def test_all_but_writing_runs_works_without_posix(
    inputs: Path, usual: dict[str, Any], tmp_path: Path
) -> None:
    assert json.loads(spawn(inputs, tmp_path, before=WINDOWS)) == usual


def test_writing_a_run_without_locks_is_one_clear_error(tmp_path: Path) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(PROGRAM.parent)!r})
from pathlib import Path
import heatcap, runs
try:
    runs.write_run(Path(sys.argv[1]))
except heatcap.RunFileError as error:
    print(error)
"""
    told = python(WINDOWS + code, tmp_path / "run.h5").stdout
    assert "run.h5: writing a run needs flock, this system has none" in told
    assert list(tmp_path.iterdir()) == []
