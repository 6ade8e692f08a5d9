"""Measure coverage, false alarms and power, and write the tables into docs/verification.md.

    python benchmarks/verify.py            # hours; each battery alone takes 5 to 40 minutes
    python benchmarks/verify.py --only false_alarms --replicates 200

The page's own text stays; what stands between the marks of a battery is replaced.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from heatcap.core.writing import write_text

import collapse_marks
import coverage_of_intervals
import crossings_marks
import divergence_marks
import false_alarms_and_power
import order_marks
import peak_marks
import peers
import powers_marks
import stiffness_marks
import thresholds_marks

PAGE = Path(__file__).parents[1] / "docs" / "verification.md"
BATTERIES: dict[str, tuple[Callable[[int], Iterator[str]], int]] = {
    "coverage": (coverage_of_intervals.tables, 2000),
    "false_alarms": (false_alarms_and_power.tables, 1000),
    "collapse": (collapse_marks.tables, 200),
    "peers": (peers.tables, 60),
    "crossings": (crossings_marks.tables, 200),
    "powers": (powers_marks.tables, 200),
    "stiffness": (stiffness_marks.tables, 100),
    "thresholds": (thresholds_marks.tables, 100),
    "order": (order_marks.tables, 16),
    "divergence": (divergence_marks.tables, divergence_marks.USUAL),
    "peak": (peak_marks.tables, 40),
}


def written(page: str, name: str, text: str) -> str:
    """The page with a battery's tables between its marks."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if begin not in page or end not in page:
        raise ValueError(f"{PAGE}: has no marks '{begin}' … '{end}'")
    return re.sub(
        re.escape(begin) + ".*?" + re.escape(end),
        lambda _: f"{begin}\n\n{text.strip()}\n\n{end}",
        page,
        flags=re.DOTALL,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=BATTERIES, help="one of the batteries")
    parser.add_argument("--replicates", type=int, help="experiments per row")
    options = parser.parse_args()
    for name, (tables, usual) in BATTERIES.items():
        if options.only in (None, name):
            text = "\n".join(tables(options.replicates or usual))
            write_text(PAGE, written(PAGE.read_text(), name, text))
            print(f"{PAGE}: {name}")


if __name__ == "__main__":
    main()
