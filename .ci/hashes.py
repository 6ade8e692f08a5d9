"""Write requirements-demo.txt: what heatcap installs, each file by its hash.

    python .ci/hashes.py

Asks pip what it would install under constraints.txt on each platform and Python (a dry run: only
metadata are downloaded), and notes the hashes of the wheels that it names.  A combination that
lacks a wheel is left out, and said.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "requirements-demo.txt"
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = {
    "Linux x86_64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64"),
    "macOS arm64": ("macosx_14_0_arm64",),
}
#: Builds heatcap itself, without a download that no hash vouches for.
BUILD = "setuptools"


def wheels(platform: str, python: str) -> list[tuple[str, str, str]] | None:
    """Name, version and hash of each wheel that pip would install; None if one is missing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        tags = [option for tag in PLATFORMS[platform] for option in ("--platform", tag)]
        told = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"),
                *("--ignore-installed", "--only-binary", ":all:", "--target", folder),
                *("--python-version", python, *tags, "--report", str(report)),
                *("-c", str(ROOT / "constraints.txt"), BUILD, *project["project"]["dependencies"]),
            ],
            check=False,
        )
        if told.returncode:
            return None
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [
        (
            re.sub(r"[-_.]+", "-", each["metadata"]["name"]).lower(),
            each["metadata"]["version"],
            each["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for each in found
    ]


def main() -> None:
    hashes: dict[str, set[str]] = {}
    supported = []
    for platform in PLATFORMS:
        for python in PYTHONS:
            found = wheels(platform, python)
            if found is None:
                sys.stderr.write(f"left out: {platform}, Python {python}\n")
                continue
            supported.append(f"{platform}, Python {python}")
            for name, version, digest in found:
                hashes.setdefault(f"{name}=={version}", set()).add(digest)
    lines = [
        "# Made by .ci/hashes.py: what heatcap needs, for pip install --require-hashes.",
        "# For:",
    ]
    lines += [f"#   {each}" for each in supported]
    for name in sorted(hashes):
        lines.append(f"{name} \\")
        lines.append(" \\\n".join(f"    --hash=sha256:{each}" for each in sorted(hashes[name])))
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
