"""Commands one after the other on given inputs, as a program: a digest of each result as JSON.

    python pipeline.py INPUTS OUT

INPUTS holds runs/, saved.nc and table.csv.  What results say of their paths, of the command and of
the time is left out, so that equal results in different environments are equal text.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sys
from pathlib import Path

from heatcap import load
from heatcap.cli import app


def main(inputs: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    runs, saved, table = (str(inputs / name) for name in ("runs", "saved.nc", "table.csv"))
    what = "landscape_heat_capacity"
    run("observe", runs, "-o", str(out / "obs.nc"), "--jobs", "1", "--temperature", "0.5,2")
    found = {"obs": of_observables(out / "obs.nc"), "info": digest(run("info", runs))}
    audit, csv = out / "audit.json", out / "events.csv"
    run("events", saved, "--observable", what, "-o", str(csv), "--json", str(audit))
    found |= {"events": digest(csv.read_bytes()), "audit": of_json(audit)}
    run("verdict", table, "--value", "C", "--error", "dC", "--json", str(out / "verdict.json"))
    found["verdict"] = of_json(out / "verdict.json")
    run("figure", "scan", saved, "-o", str(out / "scan.pdf"))
    found |= {kind: digest((out / f"scan.{kind}").read_bytes()) for kind in ("pdf", "png")}
    print(json.dumps(found))


def run(*arguments: str) -> bytes:
    """What a command prints; it must end well."""
    said = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(said):
        ended = app(list(arguments), standalone_mode=False)
    assert not ended, (arguments, ended)
    said.flush()
    return said.buffer.getvalue()  # type: ignore[attr-defined]


def of_json(path: Path) -> str:
    content = json.loads(path.read_text(encoding="utf-8"))
    content["inputs"] = list(content["inputs"].values())
    return digest(json.dumps(content | {"command": "", "seconds": 0}).encode())


def of_observables(path: Path) -> str:
    table = load(path).drop_vars("path")
    parts = [json.dumps(sorted((k, str(v)) for k, v in table.attrs.items() if k != "command"))]
    for name in sorted(map(str, table.variables)):
        values = table.variables[name]
        parts += [name, str(values.dims), str(values.dtype), json.dumps(sorted(values.attrs))]
        plain = values.values
        parts.append(str(plain.tolist()) if plain.dtype.kind in "OUST" else digest(plain.tobytes()))
    return digest("\n".join(parts).encode())


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
