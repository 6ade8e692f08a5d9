"""Run a command as on a processor with no vector instructions beyond numpy's baseline.

    .venv/bin/python .ci/generic.py make paper

Results must not rest on the last bits of one processor: numba, numpy, OpenBLAS and the C library
each choose their kernels by what they find.  What is run inherits the choice, by the environment.
"""

from __future__ import annotations

import os
import platform
import sys

import numpy as np


def variables() -> dict[str, str]:
    """What takes the extensions of this machine away, as far as they are there."""
    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    present = " ".join(extensions.get("found", []))
    found = {"NUMBA_CPU_NAME": "generic", "NPY_DISABLE_CPU_FEATURES": present}
    if platform.machine() in ("x86_64", "AMD64"):
        found["OPENBLAS_CORETYPE"] = "Nehalem"
        found["GLIBC_TUNABLES"] = "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA,-FMA4"
    return {name: value for name, value in found.items() if value}


if __name__ == "__main__":
    for name, value in variables().items():
        sys.stderr.write(f"{name}={value!r}\n")
    os.execvpe(sys.argv[1], sys.argv[1:], os.environ | variables())
