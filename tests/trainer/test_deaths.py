"""The command that trains is killed at random instants, and resumed."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from trainer_deaths import equal

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "trainer_deaths.py"


@pytest.mark.skipif(sys.platform == "win32", reason="the trainer needs fork to be killed cheaply")
def test_killed_at_random_instants_it_resumes_bit_equal() -> None:
    told = subprocess.run(
        [sys.executable, str(PROGRAM), "--deaths", "6", "--seed", "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.count(": equal\n") == 6
    assert "6 of 6 resumed bit-equal" in told.stdout


def test_runs_that_differ_are_told_apart() -> None:
    import numpy as np

    one = {"logits": np.array([1.0, 2.0]), "weights": b"ab"}
    assert equal(one, one | {"logits": np.array([1.0, 2.0])})
    assert not equal(one, one | {"logits": np.array([1.0, np.nextafter(2.0, 3)])})
    assert not equal(one, one | {"weights": b"ac"})
    assert not equal(one, {"logits": one["logits"]})
