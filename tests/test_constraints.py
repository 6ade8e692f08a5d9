"""requirements-demo.txt vouches by hashes for what constraints.txt pins."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

ROOT = Path(__file__).parents[1]
HASHED = r"^(\S+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$"


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(*names: str) -> Iterator[str]:
    """The packages and all that they need here, extras left out."""
    waiting, seen = list(names), set[str]()
    while waiting:
        if (name := plain(waiting.pop())) in seen:
            continue
        seen.add(name)
        yield name
        for each in requires(name) or ():
            text, _, marker = each.partition(";")
            if "extra" not in marker and not re.search(r"sys_platform|platform_system", marker):
                waiting.append(re.split(r"[^\w.-]", text.strip())[0])


def test_every_package_of_the_demo_is_pinned_with_hashes() -> None:
    text = (ROOT / "requirements-demo.txt").read_text(encoding="utf-8")
    hashed = {name: version for name, version, _ in re.findall(HASHED, text, re.MULTILINE)}
    # Nothing stands there without a hash.
    assert re.sub(HASHED, "", text, flags=re.MULTILINE).replace("\n", "").startswith("#")
    assert text.count("==") == len(hashed)
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {
        plain(name): version
        for name, _, version in (line.partition("==") for line in lines if line[0] != "#")
    }
    build = {"setuptools"}  # which is no part of a set-up
    assert {name: pinned.get(name) for name in hashed.keys() - build} == {
        name: version for name, version in hashed.items() if name not in build
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = [re.split(r"[^\w.-]", each)[0] for each in project["dependencies"]]
    assert {*needed(*direct)} <= hashed.keys()
