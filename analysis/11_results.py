"""All parts of the study -> results.json, and its tables as CSV and LaTeX.

Every number of the page and of the captions is in results.json; nothing is computed after it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from study import SPOKEN, arguments, read_json, write_json

from heatcap.core.text import csv, plain
from heatcap.core.writing import write_text
from heatcap.divergence.exponent import GROWTH
from heatcap.resampling import readable

STEEPEST = GROWTH[1] - 0.01  # edge of the exponents that are tried
NO_VERDICT, NO_ANSWER = "not determined", "no answer: falls"
SIZE_SETS = ("fraction_70", "fraction_60", "recall")


def main() -> None:
    given = arguments(__doc__ or "", "runs", "parts", many=True)
    parts = {path.stem: read_json(path) for path in given.parts}
    runs = pd.read_csv(given.runs)
    results: dict[str, Any] = {
        "runs": inventory(runs, parts),
        "peak": {},
        "precede": {},
        "diverge": {},
        "branches": {},
    }
    for name in SIZE_SETS:
        results["peak"][name] = peaks(parts[f"{name}.events"])
        results["precede"][name] = parts[f"{name}.leads"]["observables"]
        heights = parts[f"{name}.heights"]
        results["diverge"][name] = heights["verdicts"]
        results["branches"][name] = {k: heights[k] for k in ("places", "delayed")}
    results["pooled"] = {
        k: parts["pooled"][k] for k in ("observables", "counts", "within_heads", "plateau")
    }
    results["clock"] = parts["clock"]["sets"]
    results["robust"] = {
        name.removesuffix(".robust"): part["variants"]
        for name, part in parts.items()
        if name.endswith(".robust")
    }
    results["scan"] = parts["scan"]["runs"]
    results["systems"] = {
        k: parts["systems"][k] for k in ("sizes", "relative_error", "experiments")
    }
    results["systems"] |= {k: parts["systems"][k] for k in ("verdicts", "collapse")}
    results["plan"] = parts["plan"]["plans"]
    results["figures"] = [name for part in parts.values() for name in part.get("figures", [])]
    tables = {
        "runs": table_of_runs(results["runs"]["sets"]),
        "precede": table_of_leads(results["precede"], results["peak"]),
        "diverge": table_of_verdicts(results["diverge"], results["branches"]),
        "variables": table_of_variables(results["diverge"]),
        "delayed": table_of_delayed(results["branches"]),
        "clock": table_of_clocks(results["clock"]),
        "robust": table_of_variants(results["robust"]),
        "systems": table_of_systems(results["systems"]["verdicts"]),
        "pooled": table_of_leads(
            {"grokking": results["pooled"]["observables"]}, {"grokking": peaks(parts["pooled"])}
        ),
    } | {f"plan_{name}": table_of_systems(plan["rows"]) for name, plan in results["plan"].items()}
    for name, table in tables.items():
        write_table(table, given.runs.parent / "tables" / name)
    results["tables"] = {
        name: {"columns": list(table.columns), "rows": table.to_numpy().tolist()}
        for name, table in tables.items()
    }
    results["run_files"] = dict(zip(runs["run"], runs["checksum"], strict=True))
    results["spoken"] = SPOKEN
    write_json(given.output, results, given.parts)


def inventory(runs: pd.DataFrame, parts: dict[str, Any]) -> dict[str, Any]:
    """How many runs, by set; hours of training where they were recorded."""
    sets = {}
    for name in SIZE_SETS:
        sets[name] = {
            k: parts[f"{name}.events"][k] for k in ("runs", "groups", "by_size", "control_sizes")
        }
    timed = runs["wall_seconds"].dropna()
    return {
        "total": len(runs),
        "sets": sets,
        "timed": len(timed),
        "hours": round(float(timed.sum()) / 3600, 1),
    }


def peaks(events: dict[str, Any]) -> dict[str, Any]:
    """Counts of peaks by definition and group."""
    found: dict[str, Any] = {}
    for row in events["counts"]:
        found.setdefault(row["observable"], {})[row["group"]] = row
    return found


def table_of_runs(sets: dict[str, Any]) -> pd.DataFrame:
    rows = [
        {
            "set": spoken(name),
            "size": f"{row['size']:g}",
            "runs": row["runs"],
            "with onset": row["with_onset"],
            "memorisation (step)": _whole(row["memorisation"]),
            "test accuracy there": _number(row["accuracy_at_memorisation"]),
            "at the end": _number(row["final_accuracy"]),
            "onset (step), median": _whole(row["onset"]),
            "onset / memorisation": _ratio(row["onset"], row["memorisation"]),
            "lowest": _whole(row["onset_lowest"]),
            "highest": _whole(row["onset_highest"]),
        }
        for name, content in sets.items()
        for row in content["by_size"]
    ]
    return pd.DataFrame(rows)


def table_of_leads(precede: dict[str, Any], peak: dict[str, Any]) -> pd.DataFrame:
    rows = []
    for name, observables in precede.items():
        for observable, lead in observables.items():
            order, lead_time = lead["precedes"], lead["median_lead"]
            count = peak[name][observable]["none"]
            low, high = lead_time["ci95"]
            rows.append(
                {
                    "set": spoken(name),
                    "definition": spoken(observable),
                    "peak": f"{count['with_peak']} of {count['runs']}",
                    "highest at the end": count["highest_at_end"],
                    "first": order["first"],
                    "too close": order["unresolved"],
                    "later": order["later"],
                    "median lead (steps)": _whole(lead_time["value"]),
                    "95 %": f"{_whole(low)} to {_whole(high)}" if low is not None else "",
                    "order": lead["order"],
                    "with random labels": _control(lead, "random_labels"),
                    "at weight decay 0": _control(lead, "weight_decay_0"),
                    "its time follows": lead["clock"]["follows"],
                    "precursor": "yes" if lead["precursor"] else "not shown",
                }
            )
    return pd.DataFrame(rows)


def _control(lead: dict[str, Any], name: str) -> str:
    """The verdict on a control and how many of its runs have a peak."""
    for group in lead["controls"]["groups"]:
        if group["name"] == name:
            return f"{group['verdict']}, {group['with_peak']} of {group['runs']}"
    return "not tested"


def table_of_verdicts(diverge: dict[str, Any], branches: dict[str, Any]) -> pd.DataFrame:
    rows = []
    for name, variables in diverge.items():
        for variable, observables in variables.items():
            for observable, found in observables.items():
                row = {"set": spoken(name), "definition": spoken(observable), "size": variable}
                place = _places(branches[name]["places"].get(observable))
                rows.append(row | {"the peak lies": place} | _verdict(found))
    return pd.DataFrame(rows).fillna("")


def table_of_variables(diverge: dict[str, Any]) -> pd.DataFrame:
    """The verdict and the exponent, for every variable that is called the size."""
    rows = []
    for name, variables in diverge.items():
        for observable in next(reversed(variables.values())):
            if all(each[observable]["verdict"] is None for each in variables.values()):
                continue
            row = {"set": spoken(name), "definition": spoken(observable)}
            for variable, observables in variables.items():
                found = _verdict(observables[observable])
                said = [found["verdict"], found.get("exponent, 95 %")]
                row[_generic(variable)] = ": ".join(filter(None, said))
            rows.append(row)
    return pd.DataFrame(rows).fillna("")


def _generic(variable: str) -> str:
    """One column for what p and n are, and one for their logarithms."""
    named = {"p": "size", "visible_keys": "size", "ln p": "ln size", "ln visible_keys": "ln size"}
    return named.get(variable, variable)


def table_of_delayed(branches: dict[str, Any]) -> pd.DataFrame:
    """The verdicts on the sizes with a delay alone."""
    rows = []
    for name, content in branches.items():
        delayed = content["delayed"]
        sizes = ", ".join(f"{size:g}" for size in delayed["sizes"])
        if not any(found["verdict"] for found in delayed["verdicts"].values()):
            continue
        for observable, found in delayed["verdicts"].items():
            row = {"set": spoken(name), "definition": spoken(observable), "sizes": sizes}
            rows.append(row | _verdict(found))
    return pd.DataFrame(rows).fillna("")


def _places(places: dict[str, dict[str, int]] | None) -> str:
    """Where most of the peaks of a size lie, by size, in words."""
    if not places:
        return ""
    most: dict[str, list[str]] = {}
    for size, counts in places.items():
        most.setdefault(max(counts, key=lambda place: counts[place]), []).append(size)
    if len(most) == 1:
        return next(iter(most))
    return "; ".join(f"{place} at {', '.join(sizes)}" for place, sizes in most.items())


def _verdict(found: dict[str, Any]) -> dict[str, str]:
    """Both parts of a verdict, heights and exponent; no class where heights fall."""
    if found["verdict"] is None:
        return {"verdict": NO_VERDICT}
    top = found["heights"].index(max(found["heights"]))
    ends = [readable(found["heights"][i], found["errors"][i]) for i in (0, top, -1)]
    heights = dict(zip(("first height", "largest", "last height"), ends, strict=True))
    if found["falls"]:
        return {"verdict": NO_ANSWER} | heights
    value, (low, high) = found["exponent"]["value"], found["exponent"]["ci95"]
    limit, length = found["exponent_upper_limit95"], found["crossover_length_lower_limit95"]
    shaken = any("guarantee does not hold" in text for text in found["cautions"])
    parts = {
        "verdict": found["verdict"] + ("†" if shaken else ""),
        "not excluded": ", ".join(found["plausible"]),
        "crossover": f"not below {length:.3g}" if length else "at any length",
        "if no crossover": ", ".join(found["if_no_crossover"]),
    }
    return (
        parts
        | heights
        | {
            "exponent, 95 %": _exponent(value, low, high),
            "upper limit": "" if limit is None else f"{limit:.2f}",
        }
    )


def table_of_clocks(clocks: dict[str, Any]) -> pd.DataFrame:
    rows = []
    for name, content in clocks.items():
        for observable, clock in content["clocks"].items():
            decay = clock["with_decay"] or {}
            rows.append(
                {
                    "set": spoken(name),
                    "definition": spoken(observable),
                    "runs": clock["runs"],
                    "follows": clock["follows"],
                    "on the onset": _slope(clock["slopes"].get("onset")),
                    "for free": _number(clock["free"].get("onset")),
                    "seeds alone": _slope(clock["within"].get("onset")),
                    "on the onset, at equal decay": _slope(decay.get("onset")),
                    "on the weight decay": _slope(decay.get("weight_decay")),
                }
            )
    return pd.DataFrame(rows)


def table_of_variants(robust: dict[str, Any]) -> pd.DataFrame:
    """Runs with the peak first : too close : later, the order and the verdict, for each variant."""
    rows = []
    for name, variants in robust.items():
        for variant, answers in variants.items():
            row = {"set": spoken(name), "variant": variant}
            for observable, found in answers.items():
                counts = ":".join(str(found[k]) for k in ("first", "unresolved", "later"))
                verdict = NO_ANSWER if found.get("falls") else found["verdict"] or NO_VERDICT
                row[spoken(observable)] = f"{counts} {found['order']}; {verdict}"
            rows.append(row)
    return pd.DataFrame(rows).fillna("")


def table_of_systems(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "truth": row["truth"],
                "class": row["class"],
                "coverage": f"{row['coverage']:.2f}",
                "power": f"{row['power']:.2f}",
                "false": f"{row['false']:.2f}",
                "undecided": f"{row['verdicts'].get('undecided', 0.0):.2f}",
            }
            for row in rows
        ]
    )


def write_table(table: pd.DataFrame, path: Path) -> None:
    """CSV, and LaTeX in the style of booktabs."""
    path.parent.mkdir(exist_ok=True)
    write_text(path.with_suffix(".csv"), csv(table))
    shown = table.rename(columns=plain).map(lambda each: plain(str(each)))
    style = shown.style.format(escape="latex").format_index(escape="latex", axis=1)
    write_text(path.with_suffix(".tex"), style.hide(axis="index").to_latex(hrules=True))


def spoken(name: str) -> str:
    """A name as the page has it; a branch keeps its place."""
    definition, comma, place = name.partition(",")
    return SPOKEN.get(definition, definition.replace("_", " ")) + comma + place


def _slope(slope: dict[str, Any] | None) -> str:
    return "" if slope is None else readable(slope["value"], slope["error"])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _exponent(value: float | None, low: float | None, high: float | None) -> str:
    """With its interval; the interval alone where the best value is the edge of what is tried."""
    if value is None:
        return ""
    if value >= STEEPEST and low is not None:
        return f"above {low:.2f}"
    if low is None:
        return "not limited" if high is None else f"below {high:.2f}"
    return f"{value:.2f} ({low:.2f} to {_end(high)})"


def _ratio(a: float | None, b: float | None) -> str:
    return "" if a is None or b is None else f"{a / b:.1f}"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _end(value: float | None) -> str:
    return "no limit" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
