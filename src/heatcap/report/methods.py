"""A paragraph for the methods section, with the settings as they were, and how to cite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import heatcap
from heatcap.divergence import Margins
from heatcap.events import size_name_of, sizes_of
from heatcap.report.answers import listed, spoken

if TYPE_CHECKING:
    from heatcap.report.result import Report

__all__ = ["bibtex", "methods"]

# Those of CITATION.cff, which is not part of an installed package; a test holds them together.
TITLE = "heatcap: canonical thermodynamics of attention, and whether a peak is a phase transition"
AUTHORS = ("The heatcap developers",)
LICENCE = "BSD-3-Clause"


def bibtex() -> str:
    """The entry of this version of the package."""
    authors = " and ".join(f"{{{author}}}" for author in AUTHORS)
    fields = {
        "title": f"{{{TITLE}}}",
        "author": authors,
        "version": heatcap.__version__,
        "license": LICENCE,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join(["@software{heatcap,", *lines, "}"])


def methods(report: Report) -> str:
    """What was done, in sentences that can be pasted; only what was done is in it."""
    parts = (_runs, _ensemble, _events, _order, _growth)
    return " ".join(text for text in (part(report) for part in parts) if text)


def _runs(report: Report) -> str:
    runs = report.events.runs
    groups = runs["group"].value_counts()
    proper = runs[runs["group"] == "none"]
    size = sorted(set(sizes_of(proper).dropna().tolist()) - {0.0})
    name = size_name_of(runs)
    said = f"We analysed {len(proper)} {'run' if len(proper) == 1 else 'runs'}"
    if len(size) > 1:
        said += f" at {len(size)} sizes ({name} = {', '.join(f'{s:g}' for s in size)})"
    elif size:
        said += f" at {name} = {size[0]:g}"
    controls = [f"{n} with {spoken(str(g))}" for g, n in groups.items() if g != "none"]
    if controls:
        said += f", and as controls {listed(controls)},"
    return f"{said} with heatcap {heatcap.__version__}."


def _ensemble(report: Report) -> str:
    if "heat_capacity" not in report.obs or "heat_capacity_bound" not in report.obs:
        return ""
    return (
        "Each attention row is a canonical ensemble whose energies are minus its logits, at "
        "temperature 1 (k_B = 1); its heat capacity is the variance of the energy under the "
        "attention weights, averaged over the probe inputs."
    )


def _events(report: Report) -> str:
    s, runs = report.settings, report.events.runs
    free = bool((runs["onset_metric"] == "mirror_free_accuracy").any())
    accuracy = (
        "accuracy on test inputs whose mirror was not trained on" if free else "test accuracy"
    )
    query = "last query" if s["query"] == -1 else f"query with index {s['query']}"
    rows = f"of the {query}, on {s['inputs']} probe inputs, " if "query" in report.obs.dims else ""
    return (
        "Memorisation is the step at which the train accuracy first reaches 0.99. The onset of "
        f"generalisation is the last upward crossing of the midpoint between the {accuracy} at "
        "memorisation and its final value (its median over the last tenth of the record in ln "
        "step); it exists if that accuracy rises by 0.2 or more and ends at 0.9 or more, and other "
        f"runs are censored at their last step. Curves {rows}averaged over heads, were smoothed by "
        f"local regression with a kernel of standard deviation {s['smoothing']:g} in ln step; the "
        "peak is the highest interior maximum outside spikes of the training loss, with a "
        f"prominence of at least {s['min_prominence']:.0%} of the range of the curve and "
        f"{s['min_significance']:g} standard errors."
    )


def _order(report: Report) -> str:
    if report.audit is None:
        return ""
    leads = report.audit.leads
    return (
        "The order of peak and onset was tested by a two-sided sign test and by Wilcoxon's "
        "signed-rank test, against peaks at a random phase of each record, with Holm's correction "
        f"for {len(leads)} {'observable' if len(leads) == 1 else 'observables'}, all at the 5% "
        f"level (permutations with seed {report.settings['seed']})."
    )


def _growth(report: Report) -> str:
    if not report.verdicts:
        return ""
    found = next(iter(report.verdicts.values()))
    margins = Margins(**report.settings["margins"])
    return (
        "Whether peak heights diverge with the size was tested by the likelihood ratios of four "
        f"classes of growth (flat, bounded, logarithmic, power law) at a level of {found.level:g}, "
        f"with a parametric bootstrap of {found.calibration['replicates']} sets of data for each "
        f"null (seed {report.settings['seed']}); {margins.summary()}."
    )
